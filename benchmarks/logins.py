# SPDX-License-Identifier: BSD-2-Clause
"""logins.py TREE SERVICE…: logs in through each PAM service in turns, inside a tree, and prints the seconds of each login as JSON.

Run by bench_login.py in a mount namespace of its own. One process per login, as sshd has it: what is measured is the whole of pamtester, which loads
the modules, opens a session and closes it. A service called ``locked`` runs while somebody else has locked the database;
``disk`` is what writing and syncing the files of a login takes without PAM.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import take_turns

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 300
DATABASE = "/mnt/wtmp.db"
SCRATCH = "/mnt/scratch"
POKE = "/run/wtmpdb/poke"

_PAMTESTER = "/usr/bin/pamtester"
_ITEMS = ("-I", "tty=/dev/pts/3", "-I", "rhost=192.0.2.7", "-I", "ruser=alice")


class Logins:
    """Logins on a machine with a recorder that hears every poke."""

    def __init__(self) -> None:
        """Make the recorder's ears and a database that can be locked."""
        self._recorder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._recorder.bind(POKE)
        self._database = sqlite3.connect(DATABASE, isolation_level=None)
        self._database.execute("CREATE TABLE IF NOT EXISTS wtmp (ID INTEGER PRIMARY KEY)")
        self._null = os.open(os.devnull, os.O_RDWR)

    def log_in(self, service: str) -> float:
        """Log in once; return how many seconds it took."""
        if service == "locked":
            self._database.execute("BEGIN IMMEDIATE")
        streams = [(os.POSIX_SPAWN_DUP2, self._null, number) for number in range(3)]
        begun = time.perf_counter()
        pid = os.posix_spawn(_PAMTESTER, [_PAMTESTER, *_ITEMS, service, "root", "open_session", "close_session"], {}, file_actions=streams)
        status = os.waitpid(pid, 0)[1]
        lasted = time.perf_counter() - begun
        if status:
            raise RuntimeError(f"pamtester {service}: {os.waitstatus_to_exitcode(status)}")
        if service == "locked":
            self._database.execute("ROLLBACK")
        self._hear()
        return lasted

    def sync(self) -> float:
        """Put two small files where letters go, with the system calls of the module only; return how many seconds the disk took."""
        begun = time.perf_counter()
        for name in ("opened", "closed"):
            file = os.open(f"{SCRATCH}/{name}.tmp", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(file, b"x" * 300)
            os.fdatasync(file)
            os.close(file)
            os.rename(f"{SCRATCH}/{name}.tmp", f"{SCRATCH}/{name}")
            directory = os.open(SCRATCH, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(directory)
            os.close(directory)
        lasted = time.perf_counter() - begun
        for name in ("opened", "closed"):
            os.unlink(f"{SCRATCH}/{name}")
        return lasted

    def _hear(self) -> None:
        try:
            while True:
                self._recorder.recv(16)
        except BlockingIOError:
            pass


def main() -> None:
    """Log in and say how long it took."""
    tree, *services = sys.argv[1:]
    os.chroot(tree)
    os.chdir("/")
    logins = Logins()
    os.mkdir(SCRATCH)
    runners: dict[str, Callable[[], float]] = {service: partial(logins.log_in, service) for service in services}
    times = take_turns(runners | {"disk": logins.sync}, ROUNDS)
    json.dump(times, sys.stdout)


if __name__ == "__main__":
    main()
