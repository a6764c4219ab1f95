# SPDX-License-Identifier: BSD-2-Clause
"""Asking a history for what `Log` has no words for, in short statements: SQLite's own checks, its tables, counts.

A statement holds a lock that keeps writers waiting, so each has a bound: when it is reached, SQLite is interrupted.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from threading import Timer
from time import monotonic

from wtmpdb.connection import connect, look_at
from wtmpdb.errors import LogError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

BOUND = 0.3
"""Seconds for which the checks of a history that others write may hold it, all together."""

_FAULTS_OF_THE_FILE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)
_WAIT = 1.0  # seconds for which a lock is waited for


class OutOfTimeError(Exception):
    """The bound was reached before the answer was there."""


class Asked:
    """A history that is open for reading; all its answers together take at most so many seconds, if any are given."""

    def __init__(self, connection: sqlite3.Connection, seconds: float | None = BOUND) -> None:
        """Begin to count."""
        self._db = connection
        self._deadline = None if seconds is None else monotonic() + seconds

    def all(self, statement: str, *values: object, most: int = 1000) -> list[tuple[Any, ...]]:
        """Return what a statement gives, at most so many rows; raises OutOfTimeError, sqlite3.Error."""
        if self._deadline is None:
            return self._fetch(statement, values, most)
        left = self._deadline - monotonic()
        if left <= 0:
            raise OutOfTimeError
        # From another thread, since the check of a tree of pages does not look at SQLite's own handler of progress.
        timer = Timer(left, self._db.interrupt)
        timer.start()
        try:
            return self._fetch(statement, values, most)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                raise OutOfTimeError from error
            raise
        finally:
            timer.cancel()
            timer.join()

    def _fetch(self, statement: str, values: Sequence[object], most: int) -> list[tuple[Any, ...]]:
        cursor = self._db.execute(statement, values)
        try:
            return cursor.fetchmany(most)
        finally:
            cursor.close()  # gives the lock back, whatever was left

    def one(self, statement: str, *values: object) -> Any:
        """Return the first column of the first row, or None."""
        found = self.all(statement, *values, most=1)
        return found[0][0] if found else None

    def has(self, name: str) -> bool:
        """Tell whether there is a table of that name."""
        return self.one("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", name) is not None


@contextmanager
def asked(path: str, seconds: float | None = BOUND) -> Iterator[Asked | None]:
    """Open a history; None when that does not go.

    What does not come of a question, because the file is damaged, locked or too large, is passed over: `wtmpdb.doctor.database.whole` tells that.
    """
    try:
        connection = connected(path)
    except LogError:
        yield None
        return
    try:
        yield Asked(connection, seconds)
    except OutOfTimeError:
        pass
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF not in _FAULTS_OF_THE_FILE:
            raise
    finally:
        connection.close()


def connected(path: str) -> sqlite3.Connection:
    """Open a file for reading only; text comes with what is not UTF-8 as surrogate escapes. Raises LogError."""
    look_at(path)
    connection = connect(path, "ro", _WAIT)
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    return connection
