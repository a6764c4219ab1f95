# SPDX-License-Identifier: BSD-2-Clause
"""What an import is about to write: gathered in temporary tables of the database's own connection, then copied in short transactions.

The identity of a record is what stands in it, and, since Ubuntu wrote some twice, the how manieth of its kind it is. The hash begins with the time,
so that what is written one after the other lies side by side in the index.
"""

from __future__ import annotations

import functools
import time
from hashlib import blake2b
from itertools import chain
from sqlite3 import sqlite_version_info
from struct import Struct
from typing import TYPE_CHECKING

from wtmpdb import schema
from wtmpdb.entry import SECOND, EntryType
from wtmpdb.errors import BusyLogError
from wtmpdb.legacy.record import NO_ADDRESS
from wtmpdb.text import store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wtmpdb.legacy.record import Fields
    from wtmpdb.log import Answer, Log

    Staged = tuple[object, ...]

PLACES = 44
"""How many bits of a place are the position in its source; those above are the source's number."""

SESSION_WITHIN, FAILED_WITHIN, BOOT_WITHIN = 2 * SECOND, 5 * SECOND, 60 * SECOND
"""So far apart may the times be of what the recorder and an old file tell of the same login, failed login and boot.

PAM lets whoever failed wait, two seconds or three, before the application learns of it, and writes a record."""

LOCKED_FOR, FIRST_SIZE, SMALLEST, LARGEST = 0.18, 1024, 64, 50_000
"""Seconds that a transaction is to last, rows in the first, and in the smallest and the largest."""

TURN, PAUSE, BREATH = 0.25, 0.105, 0.045
"""After so many seconds of transactions comes so long a pause, in which the next is planned; and until another try where somebody else has locked.

SQLite looks every 100 ms at the latest whether a lock is free: whoever waits gets it in the pause."""

PATIENCE = 60.0
"""Seconds for which a database is waited for that somebody else has locked."""

_SCANNED_AT_ONCE = 20_000
_MOST_REMEMBERED = 20_000
_BIAS = 2**63
_NUMBERS = Struct("<qqqq16s")

_TABLES = """
CREATE TEMP TABLE staged (place INTEGER PRIMARY KEY, type INTEGER, user TEXT, login INTEGER, logout INTEGER, tty TEXT, host TEXT,
    hash BLOB, nth INTEGER, pid INTEGER, line_id TEXT, address BLOB, service TEXT, entry_id INTEGER);
CREATE TEMP TABLE source (number INTEGER PRIMARY KEY, name TEXT, is_database INTEGER);
CREATE TEMP TABLE present (type INTEGER, user TEXT, login INTEGER, id INTEGER, tty TEXT, host TEXT,
    PRIMARY KEY (type, user, login, id)) WITHOUT ROWID;
CREATE TEMP TABLE claim (place INTEGER UNIQUE, id INTEGER UNIQUE, login INTEGER);
CREATE TEMP TABLE batch (rank INTEGER PRIMARY KEY, place INTEGER, type INTEGER, how TEXT, id INTEGER, login INTEGER)"""

_AT_ONCE = 40  # rows in a statement: with more, older SQLites run out of numbers for values
_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)"
_STAGE = f"INSERT INTO temp.staged VALUES {_ROW}"  # noqa: S608 - a constant
_STAGE_MANY = f"INSERT INTO temp.staged VALUES {', '.join([_ROW] * _AT_ONCE)}"  # noqa: S608
_STAGE_ROW = "INSERT INTO temp.staged VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)"
_CARRY = "UPDATE temp.staged SET entry_id = -place, hash = NULL WHERE place < 0"

_NEXT_IDS = "SELECT max(ID) FROM (SELECT ID FROM wtmp WHERE ID > ? ORDER BY ID LIMIT ?)"
_NEXT_PLACES = "SELECT max(place) FROM (SELECT place FROM temp.staged WHERE place > ? ORDER BY place LIMIT ?)"

# Rows of the recorder, of C or of whoever, also by way of another database, which no record of an old file has claimed yet: that has a process id.
_LOOK = """INSERT OR IGNORE INTO temp.present SELECT Type, User, Login, ID, TTY, coalesce(RemoteHost, '') FROM wtmp
    WHERE ID > ? AND ID <= ? AND Type IN (1, 3) AND Login BETWEEN ? AND ?
    AND NOT EXISTS (SELECT 1 FROM imported WHERE entry_id = ID AND imported.login = wtmp.Login AND pid NOT NULL)"""

_PLAN = """INSERT INTO temp.batch (place, type, how, id, login)
    SELECT place, type, CASE WHEN s.entry_id NOT NULL THEN 'carried' WHEN i.entry_id NOT NULL THEN 'known' ELSE 'new' END,
        coalesce(s.entry_id, i.entry_id), CASE WHEN s.entry_id NOT NULL THEN s.login ELSE i.login END
    FROM temp.staged s LEFT JOIN imported i ON i.record_hash = s.hash AND i.nth = s.nth
    WHERE place > ? AND place <= ? ORDER BY place"""

# Both in the order of time, and each takes the earliest that is left: so as many as possible find their own.
_CLAIM = f"""INSERT OR IGNORE INTO temp.claim WITH within (seconds) AS (VALUES (?))
    SELECT b.place, p.id, p.login FROM within CROSS JOIN temp.batch b CROSS JOIN temp.staged s ON s.place = b.place CROSS JOIN temp.present p
    ON p.type = s.type AND p.user = s.user
    AND p.login BETWEEN s.login - CASE s.type WHEN 1 THEN {BOOT_WITHIN} ELSE seconds END
    AND s.login + CASE s.type WHEN 1 THEN {BOOT_WITHIN} ELSE seconds END
    WHERE b.how = 'new' AND CASE s.type
        WHEN 1 THEN p.host = '' OR s.host IS NULL OR p.host = s.host
        ELSE p.host = coalesce(s.host, '') AND (p.tty IS s.tty OR (p.tty = 'ssh' AND (s.tty GLOB 'pts/*' OR s.tty = 'ssh:notty'))) END
    ORDER BY b.place, p.login, p.id"""  # noqa: S608 - numbers of ours

_CLAIMED = "UPDATE temp.batch SET how = 'recognised', id = claim.id, login = claim.login FROM temp.claim WHERE claim.place = batch.place"

# Two databases may have a row from the same old file, of which each knows in its own way.
_TWINS = f"""UPDATE temp.batch SET how = 'known', id = twin.id, login = twin.login FROM (
    SELECT b.place, w.ID AS id, w.Login AS login FROM temp.batch b CROSS JOIN temp.staged s ON s.place = b.place
    CROSS JOIN temp.source ON number = s.place >> {PLACES} AND is_database
    CROSS JOIN wtmp w ON w.Login = s.login AND w.User = s.user AND w.Type = s.type
    WHERE b.how = 'new' AND coalesce(w.TTY, '') = coalesce(s.tty, '') AND coalesce(w.RemoteHost, '') = coalesce(s.host, '')
    AND EXISTS (SELECT 1 FROM imported i WHERE i.entry_id = w.ID AND i.login = w.Login)) AS twin WHERE twin.place = batch.place"""  # noqa: S608

_COPY = """INSERT INTO wtmp (ID, Type, User, Login, Logout, TTY, RemoteHost, Service)
    SELECT ? + rank, s.type, s.user, s.login, s.logout, s.tty, s.host, s.service
    FROM temp.batch b CROSS JOIN temp.staged s ON s.place = b.place WHERE how = 'new' ORDER BY rank"""

_REMEMBER = f"""INSERT OR IGNORE INTO imported (entry_id, login, record_hash, nth, source, position, pid, line_id, address)
    SELECT CASE how WHEN 'new' THEN ? + rank ELSE b.id END, CASE how WHEN 'new' THEN s.login ELSE b.login END, s.hash, s.nth,
        source.name, s.place & {2**PLACES - 1}, s.pid, s.line_id, s.address
    FROM temp.batch b CROSS JOIN temp.staged s ON s.place = b.place LEFT JOIN temp.source ON number = s.place >> {PLACES}
    WHERE how IN ('new', 'recognised') ORDER BY rank"""  # noqa: S608

# Of records that are the same, though not one after the other, the first counts.
_TAKE_BACK = "DELETE FROM wtmp WHERE ID > ? AND NOT EXISTS (SELECT 1 FROM imported WHERE entry_id = ID)"

# What was open and is not any more: never a session of the recorder, which knows its own end, and never the boot that runs.
_ENDED = """FROM temp.batch b CROSS JOIN temp.staged s ON s.place = b.place CROSS JOIN wtmp w ON w.ID = b.id
    WHERE b.how <> 'new' AND s.logout NOT NULL AND w.Login = b.login AND coalesce(w.Logout, 0) = 0
    AND NOT EXISTS (SELECT 1 FROM session WHERE entry_id = w.ID AND session.login = w.Login)
    AND NOT EXISTS (SELECT 1 FROM boot WHERE entry_id = w.ID AND boot.login = w.Login AND boot_key = ?)"""

_CLOSE = f"UPDATE wtmp SET Logout = ended.logout FROM (SELECT w.ID AS id, s.logout AS logout {_ENDED}) AS ended WHERE wtmp.ID = ended.id"  # noqa: S608


def identity(fields: Fields, at: int) -> bytes:
    """Return what a record of the time ``at`` is known by: that, and a hash of what stands in it, whatever its layout."""
    kind, pid, line, ident, user, host, seconds, micro, address, _, _, _ = fields
    try:
        numbers = _NUMBERS.pack(kind, pid, seconds, micro, address)
    except ArithmeticError:
        numbers = repr((kind, pid, seconds, micro, address)).encode()
    digest = blake2b(b"%s%b\0%b\0%b\0%b" % (numbers, line, ident, user, host), digest_size=8).digest()
    return (at + _BIAS).to_bytes(8, "big") + digest


def identity_of_row(login: int, *texts: bytes | None) -> bytes:
    """Return what a row of another database is known by."""
    digest = blake2b(b"row\0" + b"\0".join(text or b"" for text in texts), digest_size=8).digest()
    return (login + _BIAS).to_bytes(8, "big") + digest


class Stored(dict[bytes, "str | None"]):
    """From bytes to what is kept of them, None for nothing; remembers."""

    def __missing__(self, raw: bytes) -> str | None:
        """Work it out."""
        if len(self) > _MOST_REMEMBERED:
            self.clear()
        self[raw] = text = store(raw) or None
        return text


class Counts:
    """What became of what was staged, in rows: ``sessions``, ``boots`` and ``others`` are new ones."""

    __slots__ = ("boots", "closed", "duplicates", "others", "recognised", "sessions")

    def __init__(self) -> None:
        """Begin with nothing."""
        for name in self.__slots__:
            setattr(self, name, 0)
        self.sessions: int
        self.boots: int
        self.others: int
        self.closed: int
        self.duplicates: int
        self.recognised: int


class Staging:
    """The temporary tables; made anew for each import, gone with the connection."""

    def __init__(self, log: Log, *, dry: bool = False, failed: bool = False) -> None:
        """Make the tables; for a ``dry`` import those of the file as well that it lacks."""
        self._log = log
        self._within = FAILED_WITHIN if failed else SESSION_WITHIN
        for statement in ("PRAGMA temp_store = FILE", "PRAGMA temp.journal_mode = MEMORY", "PRAGMA temp.cache_size = -8000", *_TABLES.split(";")):
            log.query(statement)
        if dry:
            self._stand_in()
        self.stored = Stored()
        """What is kept of bytes."""
        self._looked = 0
        self._span = 0, 0
        self._is_crowded = False
        self._has_databases = False
        self.count = 0
        """So many rows are staged."""

    def _stand_in(self) -> None:
        there = {name for (name,) in self._log.query("SELECT name FROM main.sqlite_master WHERE type = 'table'")}
        for statement in schema.statements(sqlite_version_info):
            _, _, rest = statement.partition("CREATE TABLE IF NOT EXISTS ")
            if rest and rest.split()[0].encode() not in there:
                self._log.query(f"CREATE TEMP TABLE {rest}")

    def name_source(self, number: int, name: str, *, is_database: bool) -> None:
        """Say what a source is called, and whether it is a database."""
        self._log.gather("INSERT INTO temp.source VALUES (?, ?, ?)", [(number, store(name.encode("utf-8", "surrogateescape")), is_database)])
        self._has_databases |= is_database

    def stage(self, rows: list[Staged]) -> None:
        """Add rows that `row` made; the place of one that is in the database already is its ID, negative."""
        rest = len(rows) % _AT_ONCE
        self._log.gather(_STAGE_MANY, [tuple(chain.from_iterable(rows[at : at + _AT_ONCE])) for at in range(rest, len(rows), _AT_ONCE)])
        self._log.gather(_STAGE, rows[:rest])
        self.count += len(rows)

    def stage_rows(self, rows: list[Staged]) -> None:
        """Add rows of a database: place, type, user, login, logout, tty, host, identity, how manieth, pid, id, address, service."""
        self._log.gather(_STAGE_ROW, rows)
        self.count += len(rows)

    def settle(self, told_anew: list[tuple[int]]) -> None:
        """End the staging; take back what was staged for places that were told anew."""
        self._log.gather("DELETE FROM temp.staged WHERE place = ?", told_anew)
        self._log.query(_CARRY)

    def row(self, place: int, kind: int, fields: Fields, at: int, logout: int | None, user: bytes, tty: bytes, key: bytes, nth: int) -> Staged:
        """Return a row for a record of the time ``at``."""
        _, pid, _, ident, _, host, _, _, address, _, _, _ = fields
        stored = self.stored
        kept = None if address == NO_ADDRESS else address
        return place, kind, stored[user] or "", at, logout, stored[tty], stored[host], key, nth, pid, stored[ident], kept

    # Copying

    def look_around(self) -> None:
        """Find the rows that records may be of which others have written, in short transactions."""
        first, latest = self._log.query("SELECT min(login), max(login) FROM temp.staged")[0]
        self._span = (first or 0) - BOOT_WITHIN, (latest or 0) + BOOT_WITHIN
        while last := self._log.query(_NEXT_IDS, (self._looked, _SCANNED_AT_ONCE))[0][0]:
            self._look(last)

    def _look(self, last: int) -> None:
        self._log.query(_LOOK, (self._looked, last, *self._span))
        self._looked = last
        self._is_crowded = bool(self._log.query("SELECT 1 FROM temp.present LIMIT 1"))

    def copy(self, running: str, *, dry: bool) -> Iterator[tuple[int, Counts]]:
        """Write all, in short transactions with pauses between; yield after each how many of the rows are done with, and what became of them.

        ``running`` is the key of the boot that runs; ``dry`` only finds out what would be done. Raises LogError; the next import completes it.
        """
        counts = Counts()
        done, place, size, busy, ended = 0, -(2**63), FIRST_SIZE, 0.0, 0.0
        while (last := self._patiently(functools.partial(self._plan, place, size))) is not None:
            if busy > TURN and not dry:
                time.sleep(max(0.0, ended + PAUSE - time.perf_counter()))
                busy = 0.0
            begun = time.perf_counter()
            found = self._patiently(functools.partial(self._batch, running, dry=True) if dry else functools.partial(self._write_batch, running))
            ended = time.perf_counter()
            done += found.pop("staged")
            for name, number in found.items():
                setattr(counts, name, getattr(counts, name) + number)
            place = last
            yield done, counts
            busy += ended - begun
            size = max(SMALLEST, min(size * 2, int(size * LOCKED_FOR / (ended - begun)), LARGEST))

    def _patiently(self, work: Callable[[], Answer]) -> Answer:
        """Do some work as soon as nobody else has locked the database."""
        until = time.monotonic() + PATIENCE
        while True:
            looked = self._looked
            try:
                return work()
            except BusyLogError:
                if time.monotonic() > until:
                    raise
                self._looked = looked
                time.sleep(BREATH)

    def _plan(self, place: int, size: int) -> int | None:
        """Find out what is there already of the next rows; return the place of the last of them, None where there are no more.

        Nothing is locked. What another import writes before ours does is recognised by its identity then.
        """
        last: int | None = self._log.query(_NEXT_PLACES, (place, size))[0][0]
        if last is not None:
            self._log.query("DELETE FROM temp.batch")
            self._log.query(_PLAN, (place, last))
        return last

    def _write_batch(self, running: str) -> dict[str, int]:
        return self._log.at_once(functools.partial(self._batch, running, dry=False))

    def _batch(self, running: str, *, dry: bool) -> dict[str, int]:
        ask = self._log.query
        newest = ask("SELECT max(ID) FROM wtmp")[0][0] or 0
        if newest > self._looked:
            self._look(newest)
        if self._is_crowded:
            ask(_CLAIM, (self._within,))
            ask(_CLAIMED)
        if self._has_databases:
            ask(_TWINS)
        found: dict[tuple[str, int], int] = {}
        for how, kind, number in ask("SELECT how, type, count(*) FROM temp.batch GROUP BY how, type"):
            found[how.decode(), kind] = number
        staged = sum(found.values())
        closed = 0 if all(how == "new" for how, _ in found) else ask(f"SELECT count(*) {_ENDED}", (running,))[0][0]
        if not dry:
            self._write(max(newest, self._largest_ever()), found)
            if closed:
                ask(_CLOSE, (running,))
            self._looked = ask("SELECT max(ID) FROM wtmp")[0][0] or 0
        return _told(staged, found, closed)

    def _write(self, base: int, found: dict[tuple[str, int], int]) -> None:
        ask = self._log.query
        ask("DELETE FROM imported WHERE entry_id > ?", (base,))  # of rows that are no more
        ask(_COPY, (base,))
        ask(_REMEMBER, (base,))
        new = {key: number for key, number in found.items() if key[0] == "new"}
        if ask("SELECT count(*) FROM imported WHERE entry_id > ?", (base,))[0][0] < sum(new.values()):
            ask(_TAKE_BACK, (base,))
            found.update(dict.fromkeys(new, 0))
            for kind, number in ask("SELECT Type, count(*) FROM wtmp WHERE ID > ? GROUP BY Type", (base,)):
                found["new", kind] = number

    def _largest_ever(self) -> int:
        """Return the largest ID that was ever given, where AUTOINCREMENT keeps it."""
        if not self._log.query("SELECT 1 FROM main.sqlite_master WHERE name = 'sqlite_sequence'"):
            return 0
        found = self._log.query("SELECT seq FROM main.sqlite_sequence WHERE name = 'wtmp'")
        return found[0][0] if found else 0


def _told(staged: int, found: dict[tuple[str, int], int], closed: int) -> dict[str, int]:
    """Return the numbers of a batch by the names of `Counts`."""
    sums = {how: sum(number for (its, _), number in found.items() if its == how) for how in ("new", "recognised", "carried")}
    sessions, boots = (found.get(("new", kind), 0) for kind in (EntryType.USER_PROCESS, EntryType.BOOT_TIME))
    return {
        "staged": staged,
        "sessions": sessions,
        "boots": boots,
        "others": sums["new"] - sessions - boots,
        "recognised": sums["recognised"],
        "duplicates": staged - sum(sums.values()),
        "closed": closed,
    }
