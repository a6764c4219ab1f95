# SPDX-License-Identifier: BSD-2-Clause
"""Where statements are asked: the file of a history, a copy in memory of what may be seen of one, or PostgreSQL.

Each statement is a transaction of its own, and none should take long: while one reads, nobody can write into the file.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, create_engine, func, insert, inspect, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from wtmpdb.connection import connect, look_at
from wtmpdb.entry import EntryType, as_text, as_time
from wtmpdb.errors import LogError
from wtmpdb.faults import damaged, explained
from wtmpdb.log import Boot, Log, Opening
from wtmpdb.query.tables import boot, metadata, session, wtmp
from wtmpdb.text import octal, store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Any, Protocol, Self

    from sqlalchemy import Engine, Executable

    from wtmpdb.entry import Row

    class Readable(Protocol):
        """What of a `Log` is read to make a copy."""

        path: str

        def rows(self, since: int | None = None, until: int | None = None) -> Iterator[list[Row]]:
            """Yield the rows newest first, in chunks."""

        def open_rows(self) -> list[Row]:
            """Return the rows without a logout."""

        def boots(self) -> list[Boot]:
            """Return all boots, oldest first."""

        def opening(self, ident: int, login: int) -> Opening | None:
            """Return what is known of the process behind a row."""


_WINDOW = 50_000
"""Rows of the table that one statement looks at: some hundredths of a second."""


class Database:
    """A database that is asked; use it as a context manager. Text comes as str in which bytes that are not UTF-8 are octal escapes."""

    def __init__(self, engine: Engine, path: str) -> None:
        """Ask ``engine``, which is called ``path`` in errors. Raises LogError."""
        self.path = path
        self._engine = engine
        with _told(path):
            self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._tables = set(inspect(self._connection).get_table_names())

    @classmethod
    def read(cls, path: str, *, timeout: float = 5.0) -> Database:
        """Open a file, as `Log.read` does. Raises LogError."""
        look_at(path)
        return cls(_engine(connect(path, "ro", timeout)), path)

    @classmethod
    def of(cls, log: Log | Readable, *, newest: bool = False) -> Database:
        """Open the file of a log once more; where that cannot be asked, copy what the log shows. Raises LogError.

        A file in which numbers are text is copied, cleaned. With ``newest`` only the last session of each user counts: then a file without our
        index on users is copied, which costs less than asking.
        """
        if type(log) is Log:  # what shows a history that lies behind it, is of another class
            database = cls.read(log.path)
            if database.has("wtmp") and (database.is_indexed() if newest else database.is_sound()):
                return database
            database.close()
        return cls.copy(log, newest=newest)

    @classmethod
    def copy(cls, log: Readable, *, newest: bool = False) -> Database:
        """Copy what a log shows into memory, with ``newest`` only the last session of each user. Raises LogError."""
        engine = _engine(sqlite3.connect(":memory:", isolation_level=None))
        metadata.create_all(engine)
        database = cls(engine, log.path)
        for chunk in _newest(log) if newest else log.rows():
            database._put(wtmp, [_columns(row) for row in chunk])
        if not newest:
            database._copy_side_tables(log)
        return database

    def _copy_side_tables(self, log: Readable) -> None:
        self._put(boot, [{"entry_id": one.id, "login": one.login, "boot_key": one.key} for one in log.boots() if one.key])
        openings = [(row[7], row[5], log.opening(row[7], row[5])) for row in log.open_rows()]
        self._put(
            session,
            [
                {"entry_id": ident, "login": login, "boot_key": one.boot, "pid": one.pid, "start_ticks": one.start}
                for ident, login, one in openings
                if one is not None
            ],
        )

    def _put(self, table: Any, rows: list[dict[str, Any]]) -> None:
        if rows:
            self._connection.execute(insert(table), rows)

    def close(self) -> None:
        """Close it."""
        self._connection.close()
        self._engine.dispose()

    def __enter__(self) -> Self:
        """Return the database itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def has(self, table: str) -> bool:
        """Tell whether there is such a table."""
        return table in self._tables

    def is_indexed(self) -> bool:
        """Tell whether the last session of a user is found without reading all."""
        with _told(self.path):
            return any(index["name"] == "wtmp_user" for index in inspect(self._connection).get_indexes("wtmp"))

    def is_sound(self) -> bool:
        """Tell whether times are numbers, which only a STRICT table makes sure of."""
        return bool(self.all(_IS_STRICT)) or not self.all(_WRONG_TYPES)

    def all(self, statement: Executable, values: Mapping[str, object] | None = None) -> list[Any]:
        """Run one statement in a transaction of its own; return its rows. Raises LogError."""
        with _told(self.path):
            return list(self._connection.execute(statement, values or {}).all())

    def windows(self) -> Iterator[dict[str, int]]:
        """Yield spans of IDs, as values for a statement with ``between_ids``, which hold some ten thousand rows each and together all.

        Raises LogError.
        """
        after = -(2**63)
        first = self.all(_FIRST)[0][0]
        while found := self.all(_LAST_OF_WINDOW, {"after": after, "skip": _WINDOW - 1}) or self.all(_LAST, {"after": after}):
            upto = found[0][0]
            if upto <= after or upto < first:  # a page is missing: it would never end, or say nothing
                raise damaged(self.path)
            yield {"after": after, "upto": upto}
            after = upto

    # What `wtmpdb.history.History` asks of a log

    def boots(self) -> list[Boot]:
        """Return all boots, oldest first."""
        statement = select(wtmp.c.ID, wtmp.c.Login, wtmp.c.Logout, wtmp.c.RemoteHost)
        if self.has("boot"):
            statement = statement.outerjoin_from(wtmp, boot, (boot.c.entry_id == wtmp.c.ID) & (boot.c.login == wtmp.c.Login)).add_columns(
                boot.c.boot_key
            )
        found = self.all(statement.where(wtmp.c.Type == EntryType.BOOT_TIME).order_by(wtmp.c.Login, wtmp.c.ID))
        return [
            Boot(ident, as_time(login) or 0, as_time(logout) or None, kernel=as_text(kernel), key=key[0] if key else None)
            for ident, login, logout, kernel, *key in found
        ]

    def opening(self, ident: int, login: int) -> Opening | None:
        """Return what is known of the process behind the row, or None."""
        if not self.has("session"):
            return None
        found = self.all(_OPENING, {"ident": ident, "login": login})
        return Opening(*found[0]) if found else None


between_ids = (bindparam("after") < wtmp.c.ID) & (bindparam("upto") >= wtmp.c.ID)
"""The condition that puts a statement into one of `Database.windows`."""

_IS_STRICT = text("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'wtmp' AND rtrim(sql) LIKE '%) STRICT'")
_WRONG_TYPES = text(
    "SELECT 1 FROM wtmp WHERE typeof(Login) NOT IN ('integer', 'null') OR typeof(Logout) NOT IN ('integer', 'null')"
    " OR typeof(Type) NOT IN ('integer', 'null') LIMIT 1"
)
_AFTER = select(wtmp.c.ID).where(bindparam("after") < wtmp.c.ID)
_LAST_OF_WINDOW = _AFTER.order_by(wtmp.c.ID).limit(1).offset(bindparam("skip"))
_FIRST = select(func.min(wtmp.c.ID))
_LAST = _AFTER.order_by(wtmp.c.ID.desc()).limit(1)
_OPENING = select(session.c.boot_key, session.c.pid, session.c.start_ticks).where(
    session.c.entry_id == bindparam("ident"), session.c.login == bindparam("login")
)


class _told:  # noqa: N801 - reads as a statement: with _told(path)
    """Turns an error of the database into a LogError."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not isinstance(error, DBAPIError):
            return
        with explained(self._path):
            if isinstance(error.orig, sqlite3.Error):
                raise error.orig
        said = store(str(error.orig).partition("\n")[0].encode("utf-8", "replace"))
        raise LogError(f"{self._path}: {said}") from error


def _engine(connection: sqlite3.Connection) -> Engine:
    connection.text_factory = _decoded
    return create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        chars = raw.decode("utf-8", "surrogateescape")
        return "".join(octal(bytes((ord(char) - 0xDC00,))) if 0xDC80 <= ord(char) <= 0xDCFF else char for char in chars)  # noqa: PLR2004


def text_of(value: object) -> str | None:
    """Return the text of a column, whatever stands in a damaged row."""
    return None if value is None else value if isinstance(value, str) else _decoded(as_text(value))


def _columns(row: Row) -> dict[str, Any]:
    _, user, tty, host, service, login, logout, ident, type_ = row
    texts = {"TTY": text_of(tty), "RemoteHost": text_of(host), "Service": text_of(service)}
    return {"ID": ident, "Type": type_, "User": _decoded(user), "Login": login, "Logout": logout, **texts}


def _newest(log: Readable) -> Iterator[list[Row]]:
    """Yield the first session of each user in a log that comes newest first."""
    seen = set()
    for chunk in log.rows():
        for row in chunk:
            if row[8] == EntryType.USER_PROCESS and row[1] not in seen:
                seen.add(row[1])
                yield [row]
