# SPDX-License-Identifier: BSD-2-Clause
"""What several tests need: histories made by hand, letters, and a machine whose facts the test decides."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wtmpdb.event import CLOSED, FAILED, OPENED, Event
from wtmpdb.log import Log
from wtmpdb.system import System

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from wtmpdb.logind import Login

SECOND = 1_000_000
HOUR = 3600 * SECOND
NOON = 1_709_294_400 * SECOND
"""2024-03-01 12:00:00 UTC, a Friday."""

BOOT_KEY = "8d6f3c0e-6a55-4f0e-9d9b-0f4ad2b7a1c3/0/23"

C_TABLE = """CREATE TABLE wtmp (ID INTEGER PRIMARY KEY, Type INTEGER, User TEXT NOT NULL, Login INTEGER, Logout INTEGER,
    TTY TEXT, RemoteHost TEXT, Service TEXT)"""

_numbers = itertools.count(1)


class Machine(System):
    """A machine of which the test decides everything."""

    def __init__(
        self,
        *,
        key: str = BOOT_KEY,
        boot: int = NOON - 4 * HOUR,
        processes: Mapping[int, int] | None = None,
        hidden: Iterable[int] = (),
        users: Mapping[bytes, int] | None = None,
        ttys: Mapping[bytes, int] | None = None,
        login_uids: Mapping[int, int] | None = None,
        terminals: Mapping[int, bytes] | None = None,
        logins: Iterable[Login] = (),
    ) -> None:
        """Take processes as ids and their starts, ids that may not be looked at, users, ttys and the logins of processes with uids.

        ``terminals`` are those of processes, ``logins`` what logind knows.
        """
        self.key = key
        self.boot = boot
        self.processes = dict(processes or {})
        self.hidden = set(hidden)
        self.users = dict(users or {})
        self.ttys = dict(ttys or {})
        self.login_uids = dict(login_uids or {})
        self.terminals = dict(terminals or {})
        self.known_logins = list(logins)

    def boot_id(self) -> str:
        return self.key.partition("/")[0]

    def boot_key(self) -> str:
        return self.key

    def boot_key_left(self) -> str:
        return self.key

    def make_boot_key(self, soft_reboots: int) -> str:  # noqa: ARG002 - the key is given
        return self.key

    def boot_time(self) -> int:
        return self.boot

    def kernel_start(self) -> int:
        return self.boot

    def kernel(self) -> str:
        return "6.1.0-test"

    def process_start(self, pid: int) -> int | None:
        return self.processes.get(pid)

    def process_lives(self, pid: int, start: int | None) -> bool | None:
        if pid in self.hidden:
            return None
        return pid in self.processes and start in (None, self.processes[pid])

    def user_id(self, name: bytes) -> int | None:
        return self.users.get(name)

    def tty_owner(self, tty: bytes) -> int | None:
        return self.ttys.get(tty)

    def terminal(self, pid: int) -> bytes | None:
        return self.terminals.get(pid)

    def tty_use(self, tty: bytes) -> tuple[bool, int] | None:
        return (True, self.boot) if tty in self.ttys else None

    def logins(self) -> list[Login]:
        return self.known_logins

    def login_uid(self, pid: int) -> int | None:
        return self.login_uids.get(pid)


def opened(user: str = "alice", time: int = NOON, **facts: object) -> Event:
    """Return the opening of a session."""
    number = next(_numbers)
    known: dict[str, object] = {"key": f"{number:032x}", "pid": 100, "start": 1000, "boot": BOOT_KEY, "tty": "ssh", "host": "192.0.2.7"}
    known |= {"service": "sshd", "id": name(time, number)} | facts
    return Event(OPENED, time=time, user=user, **known)  # type: ignore[arg-type]


def closed(event: Event, time: int, **facts: object) -> Event:
    """Return the closing of a session that was opened by ``event``."""
    known: dict[str, object] = {field: getattr(event, field) for field in ("key", "pid", "start", "boot", "tty", "host", "service", "session")}
    known |= {"opened": event.opened, "id": name(time, next(_numbers)), "user": event.user} | facts
    return Event(CLOSED, time=time, **known)  # type: ignore[arg-type]


def failed(user: str = "alice", time: int = NOON, **facts: object) -> Event:
    """Return a login that failed."""
    known = {"pid": 100, "tty": "ssh", "host": "192.0.2.7", "service": "sshd", "id": name(time, next(_numbers))} | facts
    return Event(FAILED, time=time, user=user, **known)  # type: ignore[arg-type]


def name(time: int, number: int) -> str:
    """Return a name for a letter."""
    return f"{time:020}.{number:010}.000001.{number:08x}"


def make_spool(path: Path) -> Path:
    """Make an empty spool."""
    for directory in (path, path / "tmp", path / "new", path / "bad"):
        directory.mkdir(mode=0o700)
    return path


def post(spool: Path, *events: Event) -> None:
    """Put letters into a spool as the module does: written in tmp, renamed into new."""
    for event in events:
        (spool / "tmp" / event.id).write_bytes(event.encode())
        (spool / "tmp" / event.id).rename(spool / "new" / event.id)


def make_file(path: Path, rows: Iterable[tuple[object, ...]], *, strict: bool = True, ours: bool = True) -> Path:
    """Make a history of rows (type, user, login, logout, tty, host, service); without ``ours`` as the C tool does, by plain SQL."""
    if ours:
        Log.write(str(path)).close()
    database = sqlite3.connect(path)
    if not ours:
        database.execute(C_TABLE + (" STRICT" if strict else ""))
    database.executemany("INSERT INTO wtmp (Type, User, Login, Logout, TTY, RemoteHost, Service) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    database.commit()
    database.close()
    return path


def table(path: Path) -> list[tuple[object, ...]]:
    """Return all rows of a history, by ID."""
    with edit(path) as database:
        return database.execute("SELECT * FROM wtmp ORDER BY ID").fetchall()


@contextmanager
def edit(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a history by plain SQL, commit and close it afterwards."""
    database = sqlite3.connect(path)
    try:
        with database:
            yield database
    finally:
        database.close()
