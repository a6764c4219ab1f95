# SPDX-License-Identifier: BSD-2-Clause
"""The poke of the PAM module: it wakes the recorder, and never holds up a login."""

from __future__ import annotations

import os
import select
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pam_world import in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pam_world import Stack


@pytest.fixture
def recorder(stack: Stack) -> Iterator[socket.socket]:
    """Listen for pokes as the recorder does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as recorder:
        recorder.bind(str(stack.poke))
        recorder.settimeout(0)
        yield recorder


def test_each_letter_is_followed_by_a_poke(stack: Stack, recorder: socket.socket) -> None:
    """The recorder gets one datagram for each letter, after the letter is in its place."""
    stack.run()
    assert len(recorder.recv(100)) == 1
    assert len(recorder.recv(100)) == 1
    with pytest.raises(BlockingIOError):
        recorder.recv(100)


def writable(sender: socket.socket) -> bool:
    """Tell whether the receiver's queue has room."""
    return bool(select.select([], [sender], [], 0)[1])


def test_a_busy_recorder_delays_nobody(stack: Stack, recorder: socket.socket) -> None:
    """When the recorder's queue is full, sessions go on at once and their letters are kept."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as flood:
        flood.settimeout(0)
        flood.connect(recorder.getsockname())
        while writable(flood):
            flood.send(b"")
    began = time.monotonic()
    for _ in range(10):
        stack.run()
    assert time.monotonic() - began < 5
    assert len(stack.letters()) == 20


@pytest.mark.parametrize(
    "prepare",
    [Path.write_bytes, Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path)],
    ids=["file", "directory", "fifo", "loop"],
)
def test_something_else_in_place_of_the_recorder_is_harmless(stack: Stack, prepare: Callable[..., object]) -> None:
    """Whatever lies where the recorder's socket should be, the session is recorded."""
    prepare(stack.poke, *([b""] if prepare is Path.write_bytes else []))
    in_child(stack.run)
    assert len(stack.letters()) == 2


def test_a_poke_path_that_no_socket_can_have_is_harmless(stack: Stack) -> None:
    """A path too long for a socket's address is not cut short, and the session is recorded."""
    stack.service("login", "poke=/" + "x" * 200)
    assert len(stack.session()) == 2
