# SPDX-License-Identifier: BSD-2-Clause
"""Reading for others, in steps: between two there is no transaction, no lock and nothing kept but the place, however slow the reader is."""

from __future__ import annotations

import os
from time import monotonic

from wtmpdb import schema
from wtmpdb.entry import clean
from wtmpdb.errors import BusyLogError, LogError
from wtmpdb.log import INDEX_AT_ONCE, Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from typing import TypeVar

    from wtmpdb.entry import Row
    from wtmpdb.recorder.access import Condition

    Answer = TypeVar("Answer")

STEP = 128
"""How many rows are read at a time: about a millisecond's work."""

_LOCKED = 0.02
_PATIENCE = 5.0
_CACHE = 512  # KiB: rows are read once, in order
_LARGEST = 2**63 - 1


class Reader:
    """The history, open for reading as long as somebody reads; where its path leads to another file, that is read from then on."""

    def __init__(self, path: str) -> None:
        """Open nothing yet."""
        self.path = path
        self._log: Log | None = None
        self._file: tuple[int, int] | None = None

    def log(self) -> Log:
        """Return the history. Raises LogError."""
        found = self._identity()
        if self._log is None or found is None or found != self._file:
            self.close()
            self._file = found
            log = Log.read(self.path, timeout=_LOCKED)
            log.query(f"PRAGMA cache_size = -{_CACHE}")
            self._log = log
        return self._log

    def close(self) -> None:
        """Close the file."""
        if self._log:
            self._log.close()
        self._log = None

    def _identity(self) -> tuple[int, int] | None:
        try:
            facts = os.stat(self.path)
        except OSError:
            return None
        return facts.st_dev, facts.st_ino

    def is_empty(self) -> bool:
        """Tell whether there is no table yet. Raises LogError, also for a file in which reading in order would take long."""
        names = {name for (name,) in self.log().query("SELECT name FROM sqlite_master WHERE tbl_name = 'wtmp' AND type IN ('table', 'index')")}
        if b"wtmp" not in names:
            return True
        if b"wtmp_login" not in names and self.log().query("SELECT max(ID) > ? FROM wtmp", (INDEX_AT_ONCE,)) == [(1,)]:
            raise LogError(f"{self.path}: is large and has no indexes yet", "run 'wtmpdb setup' as root")
        return False

    def first(self, conditions: Iterable[Condition]) -> int | None:
        """Return the earliest login, in µs, of the rows that fulfil a condition; None when there are none. Raises LogError."""
        if self.is_empty():
            return None
        ask = "SELECT Login FROM wtmp WHERE {} AND Login > ? ORDER BY Login LIMIT 1"
        found = [rows[0][0] for where, values in conditions if (rows := self.log().query(ask.format(where), (*values, -_LARGEST)))]
        return min(found, default=None)

    def after(self, conditions: Iterable[Condition], place: tuple[int, int], since: int, most: int = STEP) -> list[Row]:
        """Return rows that fulfil one of the conditions, newest first (by login, then ID), beginning behind a login and an ID. Raises LogError."""
        if self.is_empty():
            return []
        found: list[Row] = []
        number = 0
        for where, values in conditions:
            number += 1
            select = f"SELECT {schema.ROW} FROM wtmp WHERE {where} AND "  # noqa: S608 - what stands in it are constants
            # Two statements, as for `Log.rows`: what has the same login, and what is older.
            rows = self.log().query(f"{select}Login = ? AND ID < ? ORDER BY ID DESC LIMIT ?", (*values, *place, most))
            older = f"{select}Login < ? AND Login >= ? ORDER BY Login DESC, ID DESC LIMIT ?"
            rows += self.log().query(older, (*values, place[0], since, most - len(rows))) if len(rows) < most else []
            found += map(clean, rows)
        if number > 1:
            found.sort(key=_place, reverse=True)
        return found[:most]


def _place(row: Row) -> tuple[int, int]:
    return row[5], row[7]


def patiently(work: Callable[[], Answer]) -> Generator[None, None, Answer]:
    """Do some work with a file; yield when it is locked, and try again when asked. Raises LogError, BusyLogError when that lasts for long."""
    begun = monotonic()
    while True:
        try:
            return work()
        except BusyLogError:
            if monotonic() - begun > _PATIENCE:
                raise
        yield None


class Scan:
    """Rows that fulfil one of some conditions, newest first; those without a login are left out."""

    def __init__(self, reader: Reader, conditions: Sequence[Condition], since: int | None = None, until: int | None = None) -> None:
        """Stand before the first row; ``since`` and ``until`` bound the login, both inclusive, in µs."""
        self._reader = reader
        self._conditions = conditions
        self._since = -_LARGEST if since is None else since
        self._place = (_LARGEST if until is None else until, _LARGEST)

    def chunks(self) -> Iterator[list[Row] | None]:
        """Yield the rows in chunks, of which only the last has fewer than STEP; None means that the file is locked: ask later.

        Raises LogError, BusyLogError too when it has been locked for long.
        """
        while True:
            chunk = yield from patiently(lambda: self._reader.after(self._conditions, self._place, self._since))
            if chunk:
                self._place = _place(chunk[-1])
            yield chunk
            if len(chunk) < STEP:
                return
