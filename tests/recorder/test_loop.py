# SPDX-License-Identifier: BSD-2-Clause
"""The loop of the resident recorder."""

from __future__ import annotations

import os
from time import monotonic

import pytest

from wtmpdb.recorder.loop import READ, Loop


@pytest.fixture
def pipe() -> tuple[int, int]:
    """Give a pipe that nobody closes before the test is over."""
    return os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)


def test_what_happens_at_a_descriptor(pipe: tuple[int, int]) -> None:
    """Something that happens at a descriptor is told to who watches it, and no longer once it is forgotten."""
    loop, seen = Loop(), []

    def read(events: int) -> None:
        seen.append((events, os.read(pipe[0], 9)))
        loop.forget(pipe[0])
        os.write(pipe[1], b"b")
        loop.after(0.01, loop.stop)

    loop.watch(pipe[0], READ, read)
    os.write(pipe[1], b"a")
    loop.run()
    loop.close()
    assert seen == [(READ, b"a")]


def test_moments() -> None:
    """Moments come in their order and not too early, what is cancelled never, and what is asked for meanwhile in the next turn."""
    loop = Loop()
    seen: list[str] = []
    begun = monotonic()

    def late() -> None:
        seen.append("late")
        loop.stop()

    def early() -> None:
        seen.append("early")
        loop.soon(lambda: seen.append("soon"))

    loop.after(0.02, late)
    loop.after(0.01, early)
    loop.after(0.005, lambda: seen.append("never")).cancel()
    loop.run()
    loop.close()
    assert seen == ["early", "soon", "late"]
    assert monotonic() - begun >= 0.02


def test_forgotten_within_a_turn(pipe: tuple[int, int]) -> None:
    """Who is forgotten by another in the same turn is not called any more."""
    loop = Loop()
    pipes = [pipe, os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)]
    seen: list[int] = []

    def called(which: int) -> None:
        seen.append(which)
        loop.forget(pipes[1 - which][0])
        loop.stop()

    for which, (reading, writing) in enumerate(pipes):
        loop.watch(reading, READ, lambda _, which=which: called(which))  # type: ignore[misc]
        os.write(writing, b"x")
    loop.run()
    loop.close()
    assert len(seen) == 1


def test_wakeup() -> None:
    """A byte in the pipe for signals ends the waiting."""
    loop = Loop()
    os.write(loop.wakeup(), b"\0")
    loop.after(0.0, loop.stop)
    loop.run()
    loop.close()
