# SPDX-License-Identifier: BSD-2-Clause
"""Histories by chance, with all that is odd in real ones; and the same history in another database."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from sqlalchemy import insert

from support import HOUR, NOON, SECOND, edit, make_file
from wtmpdb.query.engine import Database
from wtmpdb.query.tables import boot, counted, metadata, session, wtmp

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine, Table

USERS = ("alice", "bob", "zoë", "root", "back\\134slash", "Alice")
HOSTS = (None, "", "192.0.2.7", "2001:db8::17", "höst.example", "-")
SERVICES = (None, "sshd", "su-l", "login")
KEY = "8d6f3c0e-6a55-4f0e-9d9b-0f4ad2b7a1c3/0/{}"


def make(path: Path, seed: int, number: int = 150) -> Path:
    """Make a history with boots that were shut down and that crashed, sessions that ended, that did not, and that end before they begin."""
    chance = random.Random(seed)  # noqa: S311 - the same every time
    rows: list[tuple[object, ...]] = []
    for _ in range(number):
        login = NOON + chance.randrange(40 * 24 * 3600) * SECOND + chance.choice((0, 0, 1, 999_999))
        lasted = chance.choice((0, 1, SECOND, chance.randrange(30 * HOUR), chance.randrange(HOUR), -HOUR))
        logout = chance.choice((login + lasted, login + lasted, login + lasted, None, 0))
        if chance.random() < 0.1:
            rows.append((1, "reboot", login, chance.choice((None, login + abs(lasted))), "~", "6.1", None))
        else:
            rows.append((3, chance.choice(USERS), login, logout, chance.choice((None, "tty1", "ssh")), chance.choice(HOSTS), chance.choice(SERVICES)))
    rows.append((2, "runlevel", NOON + HOUR, None, "(to lvl 5)", "6.1", None))
    make_file(path, rows)
    with edit(path) as database:
        for kind, table in ((1, "boot"), (3, "session")):
            for ident, login in database.execute("SELECT ID, Login FROM wtmp WHERE Type = ? AND ID % 3 = 0", (kind,)).fetchall():
                key = KEY.format(chance.randrange(5) if kind == 3 else ident)
                columns = "boot_key" if kind == 1 else "boot_key, pid, start_ticks"
                values = [key] if kind == 1 else [key, 100, 1000]
                database.execute(
                    f"INSERT INTO {table} (entry_id, login, {columns}) VALUES ({', '.join('?' * (2 + len(values)))})", (ident, login, *values)
                )
    return path


def make_failures(path: Path, seed: int, number: int = 60) -> Path:
    """Make failed logins, some of which were only counted."""
    chance = random.Random(seed)  # noqa: S311 - the same every time
    times = [NOON + chance.randrange(40 * 24 * 3600) * SECOND for _ in range(number)]
    make_file(path, [(3, chance.choice(USERS), time, time, "ssh:notty", chance.choice(HOSTS), "sshd") for time in times])
    with edit(path) as database:
        database.execute(
            "CREATE TABLE counted (day INTEGER NOT NULL, host TEXT NOT NULL, user TEXT NOT NULL, service TEXT NOT NULL, number INTEGER NOT NULL,"
            " first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (day, host, user, service)) STRICT"
        )
        for day in range(5):
            begin = NOON - 12 * HOUR + day * 24 * HOUR
            for user in ("", "bob", "root"):
                last = begin + chance.randrange(1, 24 * HOUR)
                database.execute(
                    "INSERT INTO counted VALUES (?, ?, ?, 'sshd', ?, ?, ?)", (begin, "203.0.113.9", user, chance.randrange(1, 900), begin, last)
                )
    return path


def in_postgresql(engine: Engine, path: Path) -> Database:
    """Put all that the questions read into PostgreSQL; return it to be asked."""
    metadata.drop_all(engine)
    metadata.create_all(engine)
    with engine.begin() as connection, closing(sqlite3.connect(path)) as file:
        for table in (wtmp, session, boot, counted):
            if rows := _rows(file, table):
                connection.execute(insert(table), rows)
    return Database(engine, "postgresql")


def _rows(file: sqlite3.Connection, table: Table) -> list[dict[str, object]]:
    if not file.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table.name,)).fetchone():
        return []
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in file.execute(f"SELECT {', '.join(names)} FROM {table.name}")]
