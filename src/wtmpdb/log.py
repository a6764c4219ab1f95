# SPDX-License-Identifier: BSD-2-Clause
"""Log: the SQLite file of the history. Standard library only.

Two kinds of opening. `Log.read` never writes and holds no lock between two chunks. `Log.write` makes what is missing (file, tables, indexes) and
is meant for the one process of ours that writes at a time. The C tools may read and write the same file meanwhile: rollback journal, short
transactions.
"""

from __future__ import annotations

import sqlite3

from wtmpdb import schema
from wtmpdb.connection import Transaction, connect, create, look_at, prepare_to_write
from wtmpdb.entry import EntryType, as_text, as_time, clean, entry_of
from wtmpdb.errors import DamagedLogError
from wtmpdb.event import OPENED, UNMADE
from wtmpdb.faults import damaged, explained
from wtmpdb.scan import OutOfOrderError, newest_first

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Any, Self, TypeVar

    from wtmpdb.entry import Entry, Row
    from wtmpdb.event import Event

    Answer = TypeVar("Answer")

DATABASE = "/var/lib/wtmpdb/wtmp.db"
"""The history of this machine; on Debian 13 a link to where the C tools of that system keep it."""

FAILED = "/var/lib/wtmpdb/btmp.db"
"""The failed logins of this machine: the same table, in which each attempt is a row whose logout is its login."""

INDEX_AT_ONCE = 100_000
"""A file with more rows than this gets its indexes from `wtmpdb.migration.add_indexes`, not while logins wait."""

_OPENING = "boot_key, pid, start_ticks, xdg_session"

_AT_ONCE = 10_000_000  # µs that lie at most between two ends of which sshd wrote one in place of the other

WRITTEN, ADOPTED, REOPENED, KNOWN = "written", "adopted", "reopened", "known"
"""What `Log.begin_boot` did."""


class Boot:
    """A row of type BOOT_TIME: ``login`` is when it began, ``logout`` when it was shut down or None, in µs; ``key`` is None in rows made by C."""

    __slots__ = ("id", "kernel", "key", "login", "logout")

    def __init__(self, ident: int, login: int, logout: int | None, *, kernel: bytes = b"", key: str | None = None) -> None:
        """Keep the five."""
        self.kernel = kernel
        self.id = ident
        self.login = login
        self.logout = logout
        self.key = key


class Opening:
    """What is known of the process that opened a session: boot key, process id, start in clock ticks since the kernel's boot, logind's session."""

    __slots__ = ("boot", "pid", "start", "xdg_session")

    def __init__(self, boot: str | None, pid: int | None, start: int | None, xdg_session: str | None = None) -> None:
        """Keep the four."""
        self.boot = boot
        self.pid = pid
        self.start = start
        self.xdg_session = xdg_session


class Applied:
    """What `Log.apply` did, in numbers of events."""

    __slots__ = ("closed", "known", "opened", "unmatched")

    def __init__(self) -> None:
        """Start at nothing."""
        self.opened = 0
        self.closed = 0
        self.known = 0
        self.unmatched = 0

    def add(self, other: Applied) -> None:
        """Add the numbers of another."""
        for name in Applied.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Log:
    """The file. Make one with `Log.read` or `Log.write`; use it as a context manager."""

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        """Not to be called directly."""
        self.path = path
        self._db = connection
        connection.text_factory = bytes
        self._openings: dict[tuple[int, int], Opening | None] = {}  # of the open rows: who asks for these asks for those next

    @classmethod
    def read(cls, path: str | None = None, *, timeout: float = 5.0) -> Log:
        """Open for reading; ``timeout`` is how many seconds a lock is waited for.

        An empty file reads as a history without entries. Raises NoLogError when there is no file, DamagedLogError when it is no database,
        LogError for anything else that stands in the way.
        """
        path = DATABASE if path is None else path
        look_at(path)
        return cls(path, connect(path, "ro", timeout))

    @classmethod
    def write(cls, path: str | None = None, *, timeout: float = 5.0, private: bool = False) -> Log:
        """Open for writing; the file, its tables and (in a small file) its indexes are made where there are none.

        A file that is made ``private`` can be read by root and the group only. Tables of an older or a newer version stay as they are, and are
        written to: what we add only ever grows.
        """
        path = DATABASE if path is None else path
        create(path, private=private)
        log = cls(path, connect(path, "rw", timeout))
        try:
            log._prepare()
        except BaseException:
            log.close()
            raise
        return log

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        """Return the log itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    # Reading

    def rows(self, since: int | None = None, until: int | None = None) -> Iterator[list[Row]]:
        """Yield the rows newest first (by login, then ID), in chunks, each read in a transaction of its own.

        ``since`` and ``until`` bound the login, both inclusive, in µs. A row that is written while this goes on may be missed or seen,
        as it comes. Rows without a login come last. In a file without our indexes the times of all rows are read first.
        """
        if not self._is_made():
            return
        try:
            yield from newest_first(self._all, since, until)
        except OutOfOrderError as error:
            raise damaged(self.path) from error

    def entries(self, since: int | None = None, until: int | None = None) -> Iterator[Entry]:
        """Yield what `rows` yields as Entry objects."""
        for chunk in self.rows(since, until):
            for row in chunk:
                yield entry_of(row)

    def open_rows(self, boot: str | None = None) -> list[Row]:
        """Return the rows without a logout, newest first. Costs what is open, not what is in the file; without our indexes the file is read.

        With the key of a ``boot`` that has a row, rows are left out that were both written before it and began before it: what is open in a file of
        many years is mostly what crashes left behind.
        """
        if not self._is_made():
            return []
        where, began = "Logout IS NULL", self._began(boot)
        if began:
            where += " AND (+ID > ? OR +wtmp.Login >= ?)"  # the plus keeps to the index of open rows
        found = self._all(f"SELECT {schema.ROW} FROM wtmp WHERE {where} ORDER BY Login DESC, ID DESC", began)  # noqa: S608 - constants
        rows = [clean(row) for row in found]
        self._openings = {(row[7], row[5]): None for row in rows}
        if self._has("table", "session"):
            join = "wtmp JOIN session ON entry_id = ID AND session.login = wtmp.Login"
            found = self._all(f"SELECT ID, wtmp.Login, {_OPENING} FROM {join} WHERE {where}", began)  # noqa: S608 - constants
            self._openings |= {(ident, login): _opening(*values) for ident, login, *values in found}
        return rows

    def _began(self, boot: str | None) -> tuple[int, ...]:
        """Return ID and login of a boot, nothing when it has no row."""
        if boot is None or not self._has("table", "boot"):
            return ()
        return next(iter(self._all("SELECT entry_id, login FROM boot WHERE boot_key = ?", (boot,))), ())

    def begins(self) -> int | None:
        """Return the login of the oldest row in µs, or None when there is none."""
        if not self._is_made():
            return None
        found = self._all("SELECT min(Login) FROM wtmp", ())
        return as_time(found[0][0])

    def boots(self) -> list[Boot]:
        """Return all boots, oldest first."""
        if not self._is_made():
            return []
        join = "LEFT JOIN boot ON boot.entry_id = wtmp.ID AND boot.login = wtmp.Login" if self._has("table", "boot") else ""
        key = "boot.boot_key" if join else "NULL"
        found = self._all(
            f"SELECT wtmp.ID, wtmp.Login, wtmp.Logout, RemoteHost, {key} FROM wtmp {join} WHERE Type = 1 ORDER BY wtmp.Login, wtmp.ID",  # noqa: S608
            (),
        )
        return [
            Boot(ident, as_time(login) or 0, as_time(logout) or None, kernel=as_text(kernel), key=_word(key))
            for ident, login, logout, kernel, key in found
        ]

    def boot_key(self, ident: int, login: int) -> str | None:
        """Return the key of the boot that the row tells of, or None for a row that C or an import made."""
        if not self._has("table", "boot"):
            return None
        found = self._all("SELECT boot_key FROM boot WHERE entry_id = ? AND login = ?", (ident, login))
        return _word(found[0][0]) if found else None

    def opening(self, ident: int, login: int) -> Opening | None:
        """Return what is known of the process behind the row, or None for a row that C or an import made."""
        if (ident, login) in self._openings:
            return self._openings[ident, login]
        if not self._has("table", "session"):
            return None
        found = self._all(f"SELECT {_OPENING} FROM session WHERE entry_id = ? AND login = ?", (ident, login))  # noqa: S608 - a constant
        return _opening(*found[0]) if found else None

    def _is_made(self) -> bool:
        """Tell whether there are rows to be read: an empty file has no table yet."""
        if self._has("view", "wtmp"):
            raise DamagedLogError(f"{self.path}: not a history of wtmpdb: wtmp is a view")
        return self._has("table", "wtmp")

    def _has(self, kind: str, name: str) -> bool:
        return bool(self._all("SELECT 1 FROM sqlite_master WHERE type = ? AND name = ?", (kind, name)))

    def _all(self, statement: str, values: Sequence[object]) -> list[tuple]:  # type: ignore[type-arg]  # columns of any type
        with explained(self.path):
            return self._db.execute(statement, values).fetchall()

    # Writing

    def _prepare(self) -> None:
        prepare_to_write(self.path, self._db)
        if not self._has("table", "session"):
            with explained(self.path), self._transaction():
                make_tables(self._db.execute)

    def _transaction(self) -> Transaction:
        return Transaction(self._db)

    def apply(self, events: Iterable[Event]) -> Applied:
        """Write what happened, all in one transaction, each event once however often it comes, in whatever order.

        Raises LogError; then nothing was written.
        """
        applied = Applied()
        with explained(self.path), self._transaction():
            for event in events:
                if event.key is None:
                    self._close_unnamed(event, applied)
                elif event.kind == OPENED:
                    self._open(event, applied)
                else:
                    self._close(event, applied)
        return applied

    def _session(self, key: str | None) -> tuple[int, int, bytes | None, bytes | None] | None:
        found: tuple[int, int, bytes | None, bytes | None] | None = self._db.execute(
            "SELECT entry_id, login, opened_by, closed_by FROM session WHERE session_key = ?", (key,)
        ).fetchone()
        return found

    def _open(self, event: Event, applied: Applied) -> None:
        session = self._session(event.key)
        if session is None:
            self._insert(event, None)
            applied.opened += 1
        elif session[2] is None:  # its close came first and made the row
            self._db.execute("UPDATE session SET opened_by = ? WHERE session_key = ?", (event.id, event.key))
            applied.opened += 1
        else:
            applied.known += 1

    def _close(self, event: Event, applied: Applied) -> None:
        session = self._session(event.key)
        if session is None:
            self._insert(event, event.time)
        elif session[3] is None:
            if event.tty == UNMADE:
                self._take_back(event)
            else:
                self._give_back(*session[:2])
            changed = self._db.execute("UPDATE wtmp SET Logout = ? WHERE ID = ? AND Login = ?", (event.time, *session[:2]))
            if changed.rowcount:
                self._db.execute("UPDATE session SET closed_by = ? WHERE session_key = ?", (event.id, event.key))
            else:  # somebody has changed or deleted the row: the close makes it anew
                self._insert(event, event.time)
        else:
            applied.known += 1
            return
        applied.closed += 1

    def _give_back(self, ident: int, login: int) -> None:
        """Hand the logout that a row of ours has got from somebody else to the row that was meant.

        Debian 13's sshd closes the newest open row of its tty. When a su on that tty ends at the same moment and its letter has not been read yet,
        that is the row of the su: the session around it, which is the newest that has no row in ``session``, would stay open for ever. Where sshd's
        row and ours have become one (`wtmpdb.recorder.merging`), its own letter closes it.
        """
        self._db.execute(
            "UPDATE wtmp SET Logout = ours.Logout FROM (SELECT Logout, TTY FROM wtmp WHERE ID = ? AND Login = ?) AS ours"
            " WHERE ours.Logout > 0 AND ID = (SELECT ID FROM wtmp WHERE Logout IS NULL AND Type = 3 AND TTY = ours.TTY AND Login <= ?"
            " AND Login >= coalesce((SELECT max(Login) FROM wtmp WHERE Type = 1 AND Login <= ?), Login)"
            " AND (Service = 'sshd' OR NOT EXISTS (SELECT 1 FROM session WHERE entry_id = wtmp.ID AND session.login = wtmp.Login))"
            " ORDER BY Login DESC LIMIT 1)"
            " AND NOT EXISTS (SELECT 1 FROM session WHERE entry_id = wtmp.ID AND session.login = wtmp.Login)",
            (ident, login, login, login),
        )

    def _take_back(self, event: Event) -> None:
        """Open what sshd has closed in place of its own row, whose close this is: a su on its terminal, say, that was killed and has not ended.

        A row of ours is closed by a letter; one on the terminal of this session that was closed at the same time by none was closed by sshd.
        """
        own = "SELECT ID, TTY FROM wtmp JOIN session ON entry_id = ID AND session.login = wtmp.Login WHERE session_key = ? AND TTY <> ?"
        for ident, tty in self._db.execute(own, (event.key, UNMADE)).fetchall():
            self._db.execute(
                "UPDATE wtmp SET Logout = NULL WHERE (ID, Login) IN (SELECT entry_id, login FROM session WHERE closed_by IS NULL AND entry_id > ?"
                " AND boot_key = ?) AND TTY = CAST(? AS TEXT) AND Logout BETWEEN ? AND ?",
                (ident, event.boot, tty, event.time - _AT_ONCE, event.time + _AT_ONCE),
            )

    def _insert(self, event: Event, logout: int | None) -> None:
        cursor = self._db.execute(
            "INSERT INTO wtmp (Type, User, Login, Logout, TTY, RemoteHost, Service) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (EntryType.USER_PROCESS, event.user, event.opened, logout, event.tty, event.host, event.service),
        )
        opened_by, closed_by = (event.id, None) if event.kind == OPENED else (None, event.id)
        self._db.execute(
            "INSERT OR REPLACE INTO session (entry_id, login, session_key, opened_by, closed_by, boot_key, pid, start_ticks, xdg_session)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (cursor.lastrowid, event.opened, event.key, opened_by, closed_by, event.boot, event.pid, event.start, event.session),
        )

    def _close_unnamed(self, event: Event, applied: Applied) -> None:
        """Close the newest open row of the same process, or else of the same tty, user and service."""
        if self._db.execute("SELECT 1 FROM session WHERE closed_by = ?", (event.id,)).fetchone():
            applied.known += 1
            return
        row = self._open_row_of_process(event) or self._open_row_of_tty(event)
        if row is None:
            applied.unmatched += 1
            return
        ident, login = row
        self._db.execute("UPDATE wtmp SET Logout = ? WHERE ID = ?", (event.time, ident))
        self._db.execute("INSERT OR IGNORE INTO session (entry_id, login) VALUES (?, ?)", (ident, login))
        self._db.execute("UPDATE session SET login = ?, closed_by = ? WHERE entry_id = ?", (login, event.id, ident))
        applied.closed += 1

    def _open_row_of_process(self, event: Event) -> tuple[int, int] | None:
        found: tuple[int, int] | None = self._db.execute(
            "SELECT wtmp.ID, wtmp.Login FROM wtmp JOIN session ON entry_id = wtmp.ID AND session.login = wtmp.Login"
            " WHERE Logout IS NULL AND pid = ? AND start_ticks = ? AND boot_key = ? AND closed_by IS NULL"
            " ORDER BY wtmp.Login DESC LIMIT 1",
            (event.pid, event.start, event.boot),
        ).fetchone()
        return found

    def _open_row_of_tty(self, event: Event) -> tuple[int, int] | None:
        process = event.pid, event.start
        found: tuple[int, int] | None = self._db.execute(
            "SELECT ID, Login FROM wtmp WHERE coalesce(Logout, 0) = 0 AND Type = 3 AND Login <= ?"
            " AND NOT EXISTS (SELECT 1 FROM session WHERE entry_id = ID AND session.login = wtmp.Login AND (pid <> ? OR start_ticks <> ?))"
            " AND User = ? AND coalesce(Service, '') = ? AND (coalesce(TTY, '') = ?"
            # The terminal may have been made since it was told.
            " OR ? AND EXISTS (SELECT 1 FROM session WHERE entry_id = ID AND session.login = wtmp.Login AND pid = ? AND start_ticks = ?))"
            " ORDER BY Login DESC LIMIT 1",
            (event.time, *process, event.user, event.service or "", event.tty or "", event.tty == UNMADE, *process),
        ).fetchone()
        return found

    def begin_boot(self, key: str, time: int, *, user: str, kernel: str, adopt: Sequence[tuple[int, int]] = ()) -> str:
        """Write the row of the boot called ``key`` that began at ``time`` (µs), once however often this is called.

        If the newest boot in the file is one that the C tool wrote, with a time within one of the spans ``adopt`` (µs), that row becomes ours
        instead. Returns WRITTEN, ADOPTED, REOPENED when the row of this boot had been closed, or KNOWN.
        """
        with explained(self.path), self._transaction():
            if self._db.execute("SELECT 1 FROM boot WHERE boot_key = ?", (key,)).fetchone():
                # It runs: whatever closed it (the service was restarted, say) was not its end.
                where = "WHERE (ID, Login) IN (SELECT entry_id, login FROM boot WHERE boot_key = ?)"
                changed = self._db.execute(f"UPDATE wtmp SET Logout = NULL {where} AND coalesce(Logout, 0) > 0", (key,))  # noqa: S608 - a constant
                return REOPENED if changed.rowcount else KNOWN
            theirs = self._boot_of_c(adopt)
            if theirs is None:
                insert = "INSERT INTO wtmp (Type, User, Login, TTY, RemoteHost) VALUES (?, ?, ?, '~', ?)"
                ident = self._db.execute(insert, (EntryType.BOOT_TIME, user, time, kernel)).lastrowid
            else:
                ident = theirs
                self._db.execute("UPDATE wtmp SET Login = ?, User = ? WHERE ID = ?", (time, user, ident))
            self._db.execute("INSERT OR REPLACE INTO boot (entry_id, login, boot_key) VALUES (?, ?, ?)", (ident, time, key))
            return WRITTEN if theirs is None else ADOPTED

    def _boot_of_c(self, spans: Sequence[tuple[int, int]]) -> int | None:
        newest = self._db.execute(
            "SELECT ID, Login, Logout, EXISTS (SELECT 1 FROM boot WHERE entry_id = ID AND boot.login = wtmp.Login)"
            " FROM wtmp WHERE Type = 1 ORDER BY ID DESC LIMIT 1"
        ).fetchone()
        if newest is None:
            return None
        ident, login, logout, ours = newest
        is_theirs = not ours and not logout and any(first <= login <= last for first, last in spans)
        return ident if is_theirs else None

    def end_boot(self, key: str, time: int) -> bool:
        """Write when the boot called ``key`` was shut down; False when it has no row or was closed before. No other row is touched."""
        with explained(self.path), self._transaction():
            changed = self._db.execute(
                "UPDATE wtmp SET Logout = ? WHERE coalesce(Logout, 0) = 0 AND (ID, Login) IN (SELECT entry_id, login FROM boot WHERE boot_key = ?)",
                (time, key),
            )
            return changed.rowcount == 1

    def move_boot(self, key: str, time: int) -> bool:
        """Correct when the boot called ``key`` began; False when it has no row."""
        with explained(self.path), self._transaction():
            where = "WHERE (ID, Login) IN (SELECT entry_id, login FROM boot WHERE boot_key = ?)"
            changed = self._db.execute(f"UPDATE wtmp SET Login = ? {where}", (time, key))  # noqa: S608 - a constant
            self._db.execute("UPDATE boot SET login = ? WHERE boot_key = ?", (time, key))
            return changed.rowcount == 1

    # For programs of the C library, which ask the recorder

    def add_row(self, type_: int, user: str, login: int, *, tty: str | None, host: str | None, service: str | None) -> int:
        """Write a row that has not ended, ``login`` in µs; return its ID."""
        insert = "INSERT INTO wtmp (Type, User, Login, TTY, RemoteHost, Service) VALUES (?, ?, ?, ?, ?, ?)"
        with explained(self.path), self._transaction():
            return self._db.execute(insert, (type_, user, login, tty, host, service)).lastrowid or 0

    def end_row(self, ident: int, logout: int) -> bool:
        """Write when the row ended (µs), whatever stood there; False when there is no such row."""
        with explained(self.path), self._transaction():
            return self._db.execute("UPDATE wtmp SET Logout = ? WHERE ID = ?", (logout, ident)).rowcount == 1

    # For an import, which gathers in temporary tables first

    def query(self, statement: str, values: Sequence[object] = ()) -> list[tuple]:  # type: ignore[type-arg]  # columns of any type
        """Run one statement, in a short transaction of its own, and return all its rows. Text comes as bytes."""
        return self._all(statement, values)

    def gather(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement for each of the rows, on temporary tables only: no lock is taken."""
        with explained("temporary file"):
            self._db.execute("BEGIN")
            try:
                self._db.executemany(statement, rows)
            finally:
                if self._db.in_transaction:  # a full disk has ended it
                    self._db.execute("COMMIT")

    def at_once(self, work: Callable[[], Answer]) -> Answer:
        """Do some work, which asks by `query`, in one transaction that nobody else writes in; all of it is written, or nothing."""
        with explained(self.path), self._transaction():
            return work()


def make_tables(execute: Callable[[str], Any]) -> None:
    """Make what is missing of the tables, and in a small file the indexes; the caller has begun a transaction. A newer version stays.

    ``execute`` takes a statement and returns something with ``fetchone``: a migration comes with a connection of another kind.
    """
    for statement in schema.statements(sqlite3.sqlite_version_info):
        execute(statement)
    largest = execute("SELECT max(ID) FROM wtmp").fetchone()[0] or 0
    if largest <= INDEX_AT_ONCE:
        for statement in schema.INDEXES:
            execute(statement)
    if execute("PRAGMA user_version").fetchone()[0] < schema.VERSION:
        execute(f"PRAGMA user_version = {schema.VERSION:d}")


def _opening(boot: object, pid: object, start: object, xdg_session: object) -> Opening:
    return Opening(_word(boot), pid if type(pid) is int else None, start if type(start) is int else None, _word(xdg_session))


def _word(value: object) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else None
