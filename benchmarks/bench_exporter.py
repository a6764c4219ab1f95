# SPDX-License-Identifier: BSD-2-Clause
"""Scrapes of a running exporter over HTTP: of a history with 200 open sessions, with a login between any two, and of a utmp file."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import data
from benchmarks.measure import ENVIRONMENT, Result, Settings, at_most, low, ratio, time_of

from wtmpdb.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_OPEN = 200
_SCRAPES = 60
_UTMP_SESSIONS = 1000
_RECORD = struct.Struct("<hxxi32s4s32s256shhiii16s20x")
_USER_PROCESS = 7


def run(settings: Settings) -> Iterator[Result]:
    """Yield the lines of the table."""
    with tempfile.TemporaryDirectory(prefix="exporter-", dir=settings.cache) as name:
        directory = Path(name)
        rows = max(settings.rows // 10, 1000)
        shorter = _history(Settings(rows, settings.cache), directory / "shorter.db")
        whole = _history(settings, directory / "whole.db")
        with _exporter("-f", str(shorter)) as (_, scrape):
            _check(scrape, rows + _OPEN + 1)
            few = low(_times(scrape, partial(_log_in, shorter)))
        with _exporter("-f", str(whole)) as (pid, scrape):
            begun = time.perf_counter()
            _check(scrape, settings.rows + _OPEN + 1)
            first = time.perf_counter() - begun
            quiet = low(_times(scrape, lambda: None))
            many = low(_times(scrape, partial(_log_in, whole)))
            memory, peak = _resident(pid, "VmRSS"), _resident(pid, "VmHWM")
        with _exporter("--utmp-path", str(_utmp(directory / "utmp"))) as (_, scrape):
            if f"wtmpdb_users {_UTMP_SESSIONS}.0" not in scrape():
                raise AssertionError("not all sessions of the utmp file were found")
            utmp = low(_times(scrape, lambda: None))
    yield Result(f"the first scrape of {settings.rows:,} rows", time_of(first))
    yield at_most(f"a scrape after it, {_OPEN} open sessions", quiet * 1000, 25, "ms")
    yield at_most("the same, with a login between any two", many * 1000, 25, "ms")
    yield ratio(f"the same : with {rows:,} rows", many, few, 1.5)
    yield at_most("resident memory", memory, 40, "MB")
    yield at_most("peak memory, in the first scrape", peak, 40, "MB")
    yield at_most(f"a scrape of a utmp file with {_UTMP_SESSIONS} sessions", utmp * 1000, 10, "ms")


def _history(settings: Settings, path: Path) -> Path:
    """Copy a history, and add this boot with sessions that are open: all of this very process, which lives."""
    shutil.copyfile(data.database(settings), path)
    system, now = System(), time.time_ns() // 1000
    key, pid = system.boot_key(), os.getpid()
    with closing(sqlite3.connect(path)) as db:
        booted = system.boot_time()
        ident = db.execute("INSERT INTO wtmp (Type, User, Login, TTY) VALUES (1, 'reboot', ?, '~')", (min(booted, now - 3_600_000_000),)).lastrowid
        db.execute("INSERT INTO boot (entry_id, login, boot_key) SELECT ID, Login, ? FROM wtmp WHERE ID = ?", (key, ident))
        for number in range(_OPEN):
            login = now - number * 1_000_000
            row = f"user{number % 50}", login, f"pts/{number}", "192.0.2.7"
            ident = db.execute("INSERT INTO wtmp (Type, User, Login, TTY, RemoteHost, Service) VALUES (3, ?, ?, ?, ?, 'sshd')", row).lastrowid
            facts = ident, login, f"{number:032}", key, pid, system.process_start(pid)
            db.execute("INSERT INTO session (entry_id, login, session_key, boot_key, pid, start_ticks) VALUES (?, ?, ?, ?, ?, ?)", facts)
        db.commit()
    return path


def _log_in(path: Path) -> None:
    """Add a session that is over."""
    now = time.time_ns() // 1000
    with closing(sqlite3.connect(path)) as db:
        row = now - 60_000_000, now
        db.execute("INSERT INTO wtmp (Type, User, Login, Logout, TTY, Service) VALUES (3, 'u', ?, ?, 'pts/999', 'sshd')", row)
        db.commit()


def _utmp(path: Path) -> Path:
    records = (
        _RECORD.pack(
            _USER_PROCESS, 1000 + number, b"pts/%d" % number, b"%d" % number, b"user%d" % number, b"192.0.2.7", 0, 0, 0, 1_795_242_031, 0, b""
        )
        for number in range(_UTMP_SESSIONS)
    )
    path.write_bytes(b"".join(records))
    return path


@contextmanager
def _exporter(*words: str) -> Iterator[tuple[int, Callable[[], str]]]:
    """Run an exporter; give its process id, and what scrapes it."""
    command = [sys.executable, "-m", "wtmpdb", "exporter", "--web.listen-address=127.0.0.1:0", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd="/") as process:
        try:
            line = process.stderr.readline() if process.stderr else ""
            yield process.pid, partial(_scrape, int(line.rpartition(":")[2]))
        finally:
            process.kill()


def _scrape(port: int) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    with closing(connection):
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()


def _check(scrape: Callable[[], str], rows: int) -> None:
    text = scrape()
    for name, wanted in (("wtmpdb_database_rows", rows), ('wtmpdb_sessions{class="user",remote="true",type="tty"}', _OPEN)):
        found = [float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} ")]
        if found != [wanted]:
            raise AssertionError(f"{name} is {found}, not {wanted}")


def _times(scrape: Callable[[], str], before: Callable[[], None]) -> list[float]:
    times = []
    for _ in range(_SCRAPES):
        before()
        begun = time.perf_counter()
        scrape()
        times.append(time.perf_counter() - begun)
    return times


def _resident(pid: int, what: str) -> float:
    """Return a number of /proc/PID/status in MB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{what}:")) * 1024 / 1e6
