# SPDX-License-Identifier: BSD-2-Clause
"""The short-lived service that empties the spool."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import NOON, edit, make_spool, opened, post, table
from wtmpdb.log import Log

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="the spool has to belong to root")

# As systemd does it: the socket is descriptor 3, and the variables name the process.
START = """
import os, sys
os.dup2(int(sys.argv[3]), 3)
os.environ["LISTEN_FDS"] = "1"
os.environ["LISTEN_PID"] = str(os.getpid())
from wtmpdb.recorder import service
sys.exit(service.serve(sys.argv[1], sys.argv[2], idle=1.0, retry=0.2))
"""


class Running:
    """The service, with a socket."""

    def __init__(self, place: Path) -> None:
        self.spool = make_spool(place / "spool")
        self.database = place / "wtmp.db"
        self.address = str(place / "poke")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.address)
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the service."""
        command = [sys.executable, "-c", START, str(self.database), str(self.spool), str(self.socket.fileno())]
        self.process = subprocess.Popen(command, pass_fds=[self.socket.fileno()], stderr=subprocess.PIPE, text=True)

    def poke(self) -> None:
        """Poke as the module does."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"\n", self.address)

    def wait(self) -> tuple[int, str]:
        """Wait for the service to end; return its exit code and what it said."""
        assert self.process
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said

    def rows(self, number: int) -> bool:
        """Wait until there are so many rows; False when they do not come."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                if len(table(self.database)) == number:
                    return True
            except sqlite3.OperationalError:
                pass  # a directory, or a file that has just been made and has no table yet
            time.sleep(0.02)
        return False


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """Make a service that is not started yet."""
    running = Running(tmp_path)
    yield running
    running.socket.close()
    if running.process:
        running.process.kill()
        running.process.communicate()


def test_drains_and_ends(running: Running) -> None:
    """It takes what waits, takes what comes while it waits, and ends when nothing comes any more."""
    post(running.spool, opened("alice"))
    Log.write(str(running.database)).close()
    running.poke()
    running.start()
    assert running.rows(1)
    for number in range(30):
        post(running.spool, opened("bob", NOON + number))
        running.poke() if number % 10 == 0 else None
    running.poke()
    assert running.rows(31)
    assert running.wait() == (0, "")


def test_nothing_is_left_on_the_socket(running: Running) -> None:
    """It takes the pokes off the socket, or systemd would start it again at once."""
    running.poke()
    running.poke()
    running.start()
    assert running.wait()[0] == 0
    running.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        running.socket.recv(16)


def test_tries_again(running: Running) -> None:
    """While the history cannot be written it says why, stays, and goes on when it can."""
    running.database.mkdir()
    post(running.spool, opened("alice"))
    running.start()
    time.sleep(0.5)
    running.database.rmdir()
    assert running.rows(1)
    code, said = running.wait()
    assert code == 0
    assert "is a directory" in said


def test_gives_up(running: Running) -> None:
    """When the history cannot be written for long it ends with a failure, and the letters stay."""
    running.database.mkdir()
    post(running.spool, opened("alice"))
    running.start()
    assert running.wait()[0] == 1
    assert len(os.listdir(running.spool / "new")) == 1


def test_no_spool(running: Running) -> None:
    """Without a spool it ends at once: one will not be there in a moment."""
    running.spool.rename(running.spool.with_name("gone"))
    began = time.monotonic()
    running.start()
    code, said = running.wait()
    assert code == 1
    assert "No such file" in said
    assert time.monotonic() - began < 5


def test_locked_for_a_while(running: Running) -> None:
    """A lock that somebody holds delays the row, no more."""
    Log.write(str(running.database)).close()
    post(running.spool, opened("alice"))
    with edit(running.database) as other:
        other.execute("BEGIN IMMEDIATE")
        running.start()
        time.sleep(1)
    assert running.rows(1)
