# SPDX-License-Identifier: BSD-2-Clause
"""The tables of the file: the one definition of them. No I/O.

The table ``wtmp`` is that of the C project wtmpdb, whose readers insist on exactly these columns in this order; all else stands in tables of
its own, joined by ``entry_id`` and ``login``, since a file made by C may use an ID again.

These tables only ever grow: a new version adds columns that need no value, and tables; it takes nothing away and gives nothing another meaning, so
that an older program can write into a newer file. It comes with a step in ``migrations`` that adds the same to a file of the version before.
"""

from __future__ import annotations

VERSION = 1
"""The version of what we add to the file, kept in its ``user_version``; 0 is a file without anything of ours."""

ROW = "0, User, TTY, RemoteHost, Service, Login, Logout, ID, Type"
"""The columns of `wtmpdb.entry.Row`."""

# AUTOINCREMENT keeps SQLite from using the ID of a deleted row again.
WTMP = """
CREATE TABLE IF NOT EXISTS wtmp (
    ID INTEGER PRIMARY KEY AUTOINCREMENT,
    Type INTEGER,
    User TEXT NOT NULL,
    Login INTEGER,
    Logout INTEGER,
    TTY TEXT,
    RemoteHost TEXT,
    Service TEXT
)"""

SIDE_TABLES = (
    """
CREATE TABLE IF NOT EXISTS session (
    entry_id INTEGER PRIMARY KEY,
    login INTEGER NOT NULL,
    session_key TEXT UNIQUE,
    opened_by TEXT UNIQUE,
    closed_by TEXT UNIQUE,
    boot_key TEXT,
    pid INTEGER,
    start_ticks INTEGER,
    xdg_session TEXT
)""",
    """
CREATE TABLE IF NOT EXISTS boot (
    entry_id INTEGER PRIMARY KEY,
    login INTEGER NOT NULL,
    boot_key TEXT NOT NULL UNIQUE
)""",
    """
CREATE TABLE IF NOT EXISTS imported (
    entry_id INTEGER PRIMARY KEY,
    login INTEGER NOT NULL,
    record_hash BLOB NOT NULL,
    nth INTEGER NOT NULL,
    source TEXT,
    position INTEGER,
    pid INTEGER,
    line_id TEXT,
    address BLOB,
    UNIQUE (record_hash, nth)
)""",
    """
CREATE TRIGGER IF NOT EXISTS wtmp_deleted AFTER DELETE ON wtmp BEGIN
    DELETE FROM session WHERE entry_id = OLD.ID;
    DELETE FROM boot WHERE entry_id = OLD.ID;
    DELETE FROM imported WHERE entry_id = OLD.ID;
END""",
)

FAILED_TABLES = (
    """
CREATE TABLE IF NOT EXISTS counted (
    day INTEGER NOT NULL,
    host TEXT NOT NULL,
    user TEXT NOT NULL,
    service TEXT NOT NULL,
    number INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (day, host, user, service)
)""",
    """
CREATE TABLE IF NOT EXISTS taken (
    letter TEXT PRIMARY KEY
)""",
)
"""What the file of failed logins has besides: attempts of which only the number is kept, and the letters that were taken last."""

INDEXES = (
    "CREATE INDEX IF NOT EXISTS wtmp_login ON wtmp (Login)",
    "CREATE INDEX IF NOT EXISTS wtmp_open ON wtmp (Login) WHERE Logout IS NULL",
    "CREATE INDEX IF NOT EXISTS wtmp_user ON wtmp (User, Login)",
    "CREATE INDEX IF NOT EXISTS wtmp_boot ON wtmp (Login) WHERE Type = 1",
)

STRICT_SINCE = (3, 37, 0)
"""The first SQLite that knows STRICT tables."""


def statements(sqlite: tuple[int, int, int], tables: tuple[str, ...] = (WTMP, *SIDE_TABLES)) -> tuple[str, ...]:
    """Return what makes the tables where they are missing, for this version of SQLite; without the indexes."""
    strict = " STRICT" if sqlite >= STRICT_SINCE else ""
    return tuple(text if "TRIGGER" in text else text + strict for text in tables)
