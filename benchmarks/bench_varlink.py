# SPDX-License-Identifier: BSD-2-Clause
"""The recorder read through its socket: what a million rows cost it, and what logins notice of that.

The recorder runs as systemd starts it. A login is a letter in the spool and a poke; it is there when another program sees its row. Logins with and
without a reader are measured in turns.
"""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import data
from benchmarks.measure import ROOT, Result, Settings, Skipped, at_most, low, ratio, time_of

from wtmpdb.event import OPENED, Event
from wtmpdb.remote import Remote

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOGINS = 60
_ROUNDS = 5
_PAUSE = 0.005
_READERS = (1, 16)

_START = """
import os, sys
sys.path.insert(0, sys.argv[1])
for place, fd in enumerate(sys.argv[4:6]):
    os.dup2(int(fd), 3 + place)
os.environ |= dict(LISTEN_FDS="2", LISTEN_FDNAMES="poke:varlink", LISTEN_PID=str(os.getpid()))
from wtmpdb.__main__ import main
sys.exit(main(["wtmpdb", "recorder", "--resident", "--file", sys.argv[2], "--spool", sys.argv[3]]))
"""


def run(settings: Settings) -> Iterator[Result]:
    """Yield the lines of the table."""
    if os.geteuid() != 0:
        raise Skipped("the spool has to belong to root")
    with tempfile.TemporaryDirectory(prefix="varlink-", dir=settings.cache) as name:
        database = Path(name) / "wtmp.db"
        shutil.copyfile(data.database(settings), database)
        with _recorder(Path(name), database) as recorder:
            yield from _measure(recorder, settings.rows)


class _Recorder:
    def __init__(self, place: Path, database: Path, pid: int) -> None:
        self.address = str(place / "socket")
        self.spool = place / "spool"
        self.poke = str(place / "poke")
        self.pid = pid
        self.database = database
        self.numbers = itertools.count(1)

    def memory(self, what: str = "VmRSS") -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) * 1024 / 1e6

    def log_in(self, times: int) -> list[float]:
        """Log in so many times; return the seconds from poke to row of each."""
        found = []
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as db, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            for _ in range(times):
                self._post()
                (before,) = db.execute("SELECT max(ID) FROM wtmp").fetchone()
                begun = time.perf_counter()
                sender.sendto(b"\n", self.poke)
                while db.execute("SELECT max(ID) FROM wtmp").fetchone() == (before,):
                    if time.perf_counter() - begun > 10:
                        raise RuntimeError("a login was not recorded")
                    time.sleep(0.0002)
                found.append(time.perf_counter() - begun)
                time.sleep(_PAUSE)
        return found

    def _post(self) -> None:
        number, now = next(self.numbers), time.time_ns() // 1000
        name = f"{now:020}.{number:010}.000000.{number:08x}"
        event = Event(OPENED, id=name, time=now, user="alice", key=f"{number:032x}", tty="ssh", service="sshd")
        (self.spool / "tmp" / name).write_bytes(event.encode())
        (self.spool / "tmp" / name).rename(self.spool / "new" / name)


@contextmanager
def _recorder(place: Path, database: Path) -> Iterator[_Recorder]:
    for path in (place / "spool", *(place / "spool" / name for name in ("tmp", "new", "bad"))):
        path.mkdir(0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as poked, socket.socket(socket.AF_UNIX) as listening:
        poked.bind(str(place / "poke"))
        listening.bind(str(place / "socket"))
        listening.listen(4096)
        fds = [poked.fileno(), listening.fileno()]
        command = [sys.executable, "-I", "-S", "-c", _START, str(ROOT / "src"), str(database), str(place / "spool"), *map(str, fds)]
        with subprocess.Popen(command, pass_fds=fds) as process:
            try:
                yield _Recorder(place, database, process.pid)
            finally:
                process.kill()


def _measure(recorder: _Recorder, rows: int) -> Iterator[Result]:
    recorder.log_in(3)
    idle = recorder.memory()
    begun = time.perf_counter()
    found = sum(map(len, Remote(address=recorder.address).rows()))
    lasted = time.perf_counter() - begun
    if found != rows + 3:
        raise RuntimeError(f"of {rows + 3} rows {found} were read")
    yield Result(f"reading {rows:,} rows through the recorder", f"{time_of(lasted)}, {rows / lasted:,.0f} rows/s")
    yield Result("the recorder's memory before anybody connected", f"{idle:.2f} MB")
    yield at_most(f"its peak memory when {rows:,} rows were read", recorder.memory("VmHWM"), 20, "MB")
    for readers in _READERS:
        alone, meanwhile = [], []
        for _ in range(_ROUNDS):
            alone += recorder.log_in(_LOGINS)
            with _reading(recorder, readers):
                meanwhile += recorder.log_in(_LOGINS)
        who = f"{readers} read everything again and again"
        yield ratio(f"poke to row, median, while {who} : while nobody reads", _part(meanwhile, 0.5), _part(alone, 0.5), 1.5)
        yield ratio("the same, 99th percentile", _part(meanwhile, 0.99), _part(alone, 0.99))
        yield ratio("the same, 10th percentile", low(meanwhile), low(alone))
    yield at_most(f"its peak memory after {max(_READERS)} had read at the same time", recorder.memory("VmHWM"), 20, "MB")


def _part(seconds: list[float], part: float) -> float:
    return sorted(seconds)[int(len(seconds) * part)]


@contextmanager
def _reading(recorder: _Recorder, number: int) -> Iterator[None]:
    """Let so many read all the time, in a process of their own: what they do with the rows is not the recorder's time."""
    reader = os.fork()
    if reader == 0:
        try:
            _read_on(recorder.address, number)
        finally:
            os._exit(1)
    time.sleep(0.3)
    try:
        yield
    finally:
        os.kill(reader, 9)
        os.waitpid(reader, 0)


def _read_on(address: str, number: int) -> None:
    call = b'{"method":"org.wtmpdb.History.Rows","parameters":{},"more":true}\0'

    def read() -> None:
        while True:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(address)
                connection.sendall(call)
                while not connection.recv(1 << 20).endswith(b"]}}\0"):
                    pass

    threads = [threading.Thread(target=read) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
