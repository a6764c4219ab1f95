# SPDX-License-Identifier: BSD-2-Clause
"""The histories that are listed: the same machine's three years as a database of ours, as a file of the C tools, and as a wtmp file of old.

A few hundred users, some thousand hosts of which a few hundred make most logins, terminals that are used again once they are free, a boot every two
weeks, some of which end in a crash. What is made is kept in the cache; the names carry what it was made from.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import random
import sqlite3
import struct
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from wtmpdb import schema
from wtmpdb.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.measure import Settings

_EDITION = 1  # to be raised when other data is made
_SECOND = 1_000_000
_BEGIN = 1_672_531_200 * _SECOND  # 2023
_SPAN = 3 * 365 * 86_400 * _SECOND
_UPTIME = 14 * 86_400 * _SECOND
_LENGTHS = ((300, 3_600, 20_000), (75, 22, 3))  # seconds on average, and how many in a hundred sessions are of that kind
_KERNEL = "6.12.57+deb13-amd64"

_BATCH = 20_000
_COLUMNS = "ID, Type, User, Login, Logout, TTY, RemoteHost, Service"
_DDL_OF_C = """CREATE TABLE wtmp(ID INTEGER PRIMARY KEY, Type INTEGER, User TEXT NOT NULL, Login INTEGER, Logout INTEGER, TTY TEXT, RemoteHost TEXT,
    Service TEXT) STRICT"""
_RECORD = struct.Struct("<hxxi32s4s32s256shhiii16s20x")
_BOOT_TIME, _RUN_LVL, _USER_PROCESS, _DEAD_PROCESS = 2, 1, 7, 8


class Row(NamedTuple):
    """A row of the table ``wtmp`` without its ID, times in µs; without a logout it went down with its boot, or crashed with it."""

    type: int
    user: str
    login: int
    logout: int | None
    tty: str
    host: str
    service: str | None


def database(settings: Settings, *, distinct_hosts: bool = False) -> Path:
    """Return a database of ours, with side tables and indexes."""
    return _cached(settings, "wtmp.db", _make_database, distinct_hosts=distinct_hosts)


def database_of_c(settings: Settings) -> Path:
    """Return a database as the C tools make it."""
    return _cached(settings, "c.db", _make_database_of_c)


def wtmp(settings: Settings, *, distinct_hosts: bool = False) -> Path:
    """Return a wtmp file of the same history."""
    return _cached(settings, "wtmp", _make_wtmp, distinct_hosts=distinct_hosts)


def _cached(settings: Settings, kind: str, make: Callable[[Path, Iterator[Row]], None], *, distinct_hosts: bool = False) -> Path:
    hosts = "distinct" if distinct_hosts else "usual"
    path = settings.cache / f"{settings.rows}-{hosts}-{_EDITION}.{schema.VERSION}.{kind}"
    if not path.exists():
        draft = path.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        make(draft, _history(settings.rows, distinct_hosts=distinct_hosts))
        draft.rename(path)
    return path


# The history


def _history(rows: int, *, distinct_hosts: bool) -> Iterator[Row]:
    """Yield so many rows in the order of their login. The last boot is shut down: the listing does not depend on the machine it is made on."""
    chance = random.Random(f"{rows} {distinct_hosts}")
    users = [f"{'backup-' if number % 9 == 0 else ''}u{number:0{2 + number % 7}}" for number in range(400)]
    hosts = list(_hosts())
    rate = rows / _SPAN
    booted = _BEGIN
    while rows:
        down = booted + int(_UPTIME * chance.uniform(0.1, 2))
        next_boot = down + chance.randrange(30, 600) * _SECOND
        crashed = chance.random() < 1 / 8 and down < _BEGIN + _SPAN // 2
        yield Row(1, "reboot", booted, None if crashed else down, "~", _KERNEL, None)
        rows -= 1
        now = booted + 20 * _SECOND
        free, busy = list(range(1000)), list[tuple[int, int]]()
        while rows and (now := now + 1 + int(chance.expovariate(rate))) < down:
            while busy and busy[0][0] < now:
                heapq.heappush(free, heapq.heappop(busy)[1])
            number = heapq.heappop(free)
            ended = now + int(chance.expovariate(1 / chance.choices(*_LENGTHS)[0]) * _SECOND)
            heapq.heappush(busy, (ended, number))
            user = users[int(len(users) * chance.random() ** 2)]
            usual = hosts[min(int(chance.expovariate(1 / 250)), len(hosts) - 1)]
            host = f"10.{rows >> 16}.{rows >> 8 & 255}.{rows & 255}" if distinct_hosts else usual
            yield Row(3, user, now, ended if ended < down else None, f"pts/{number}", host, "sshd")
            rows -= 1
        booted = next_boot


def _hosts() -> Iterator[str]:
    for number in range(4_000):
        if number % 7 == 0:
            yield f"2001:db8::{number:x}:1"
        elif number % 3 == 0:
            yield f"pc{number}.branch{number % 40}.example.com"
        else:
            yield f"10.0.{number >> 8}.{number & 255}"


# The files


def _make_database(path: Path, rows: Iterator[Row]) -> None:
    Log.write(str(path)).close()
    boot = ""
    idents = itertools.count(1)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -400000")
        while batch := [(next(idents), *row) for row in itertools.islice(rows, _BATCH)]:
            sessions = []
            for row in batch:
                ident, kind, _, login, logout, *_ = row
                if kind == 1:
                    boot = f"{_random(ident)[:8]}-0000-4000-8000-{ident:012}/0/23"
                    db.execute("INSERT INTO boot VALUES (?, ?, ?)", (ident, login, boot))
                else:
                    pid = 1000 + ident % 30_000
                    letters = [f"{time:020}.{pid:010}.000000.{_random(ident)[:8]}" if time else None for time in (login, logout)]
                    sessions.append((ident, login, _random(ident), *letters, boot, pid, 10 * ident, str(ident)))
            db.executemany(f"INSERT INTO wtmp ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", batch)
            db.executemany("INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", sessions)
        db.commit()
    path.with_name(path.name + "-journal").unlink(missing_ok=True)


def _random(seed: int) -> str:
    return hashlib.blake2b(seed.to_bytes(8), digest_size=16).hexdigest()


def _make_database_of_c(path: Path, rows: Iterator[Row]) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute(_DDL_OF_C)
        db.executemany(f"INSERT INTO wtmp ({_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", rows)
        db.commit()


def _make_wtmp(path: Path, rows: Iterator[Row]) -> None:
    ends: list[tuple[int, str]] = []
    shutdown = None

    with path.open("wb", buffering=1 << 20) as file:

        def write(kind: int, time: int, line: str, user: str = "", host: str = "") -> None:
            text = line.encode(), b"~~" if line == "~" else line.encode()[-4:], user.encode(), host.encode()
            file.write(_RECORD.pack(kind, 4711, *text, 0, 0, 0, time // _SECOND, time % _SECOND, b""))

        def write_ends(until: int) -> None:
            while ends and ends[0][0] < until:
                write(_DEAD_PROCESS, *heapq.heappop(ends))

        def write_shutdown() -> None:
            write_ends(2**63)
            if shutdown:
                write(_RUN_LVL, shutdown, "~", "shutdown", _KERNEL)

        for row in rows:
            if row.type == 1:
                write_shutdown()
                write(_BOOT_TIME, row.login, "~", row.user, row.host)
                shutdown = row.logout
                continue
            write_ends(row.login)
            write(_USER_PROCESS, row.login, row.tty, row.user, row.host)
            if row.logout:
                heapq.heappush(ends, (row.logout, row.tty))
        write_shutdown()
