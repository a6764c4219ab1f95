# SPDX-License-Identifier: BSD-2-Clause
"""Following a history: what was added since the last look, found by ID, and the sums that come of it, which never go back."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from wtmpdb import schema
from wtmpdb.entry import as_time
from wtmpdb.faults import damaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wtmpdb.entry import Row
    from wtmpdb.log import Log

_NEXT = f"SELECT {schema.ROW} FROM wtmp WHERE ID > ? ORDER BY ID LIMIT 1024"  # noqa: S608 - a constant
_COUNT = "SELECT count(*), max(ID) FROM (SELECT ID FROM wtmp WHERE ID > ? ORDER BY ID LIMIT 50000)"
_LITTLE_CACHE = "PRAGMA cache_size = -500"  # KiB: rows are read once, in their order
_BEFORE_ALL = -(2**63)


class Follower:
    """A place in a file of history. Rows get rising IDs, so that what is new stands behind the last one seen."""

    def __init__(self, path: str) -> None:
        """Begin before the first row of the file at ``path``."""
        self.path = path
        self._file: tuple[int, int] | None = None
        self.restart()

    def restart(self) -> None:
        """Begin anew. A subclass drops what it has added up, too."""
        self._last: int | None = None  # ID of the last row seen
        self._anchor: tuple[int, int] | None = None  # ID and login of the last one that is to stay as it is
        self._first: int | None = None
        self.rows = 0
        self.oldest: int | None = None

    def added(self, log: Log) -> Iterator[list[Row]]:
        """Yield the rows that are new, oldest ID first, in chunks, each read in a transaction of its own; all where the file is another one.

        Raises LogError.
        """
        log.query(_LITTLE_CACHE)
        if not has_table(log, "wtmp"):
            self.restart()
            return
        facts = os.stat(self.path)
        if self._file != (facts.st_dev, facts.st_ino) or not self._is_where_it_was(log):
            self.restart()
        self._file = facts.st_dev, facts.st_ino
        self._look_for_deletions(log)
        while chunk := self.settled(log, log.query(_NEXT, (_BEFORE_ALL if self._last is None else self._last,))):
            if self._first is None:
                self._first = chunk[0][7]
            if self._last is not None and chunk[-1][7] <= self._last:
                raise damaged(self.path)  # a page is missing: it would never end
            self._last = chunk[-1][7]
            self._anchor = next(((row[7], row[5]) for row in reversed(chunk) if self.stays(row)), self._anchor)
            self.rows += len(chunk)
            logins = [login for row in chunk if (login := row[5] if type(row[5]) is int else as_time(row[5])) is not None]
            self.oldest = min((*logins, *(() if self.oldest is None else (self.oldest,))), default=None)
            yield chunk

    def settled(self, _: Log, chunk: list[Row]) -> list[Row]:
        """Return the rows that are to be seen now, up to the first that has to wait; a subclass knows which."""
        return chunk

    def stays(self, _: Row) -> bool:
        """Tell whether a row that was seen stays as it is; a subclass knows of others."""
        return True

    def _is_where_it_was(self, log: Log) -> bool:
        """Tell whether a row that was seen is there still: a file put in the place of ours can have the same inode."""
        return self._anchor is None or log.query("SELECT ID, Login FROM wtmp WHERE ID = ?", (self._anchor[0],)) == [self._anchor]

    def _look_for_deletions(self, log: Log) -> None:
        """Count the rows again when the first is not there any more: it is the oldest that are deleted. The sums of what happened stay."""
        first = log.query("SELECT min(ID) FROM wtmp")[0][0]
        if self._first in (None, first):
            return
        self._first, self.rows, self.oldest = first, 0, log.begins()
        ident = _BEFORE_ALL
        while (found := log.query(_COUNT, (ident,))[0])[0]:
            if found[1] <= ident:
                raise damaged(self.path)
            self.rows, ident = self.rows + found[0], found[1]
        # What is behind the last row seen is counted when it is read.
        self.rows -= log.query("SELECT count(*) FROM wtmp WHERE ID > ?", (_BEFORE_ALL if self._last is None else self._last,))[0][0]


class Rising:
    """Sums that never go back: of each the rises are added up. A file that is put in the place of another, or rows that are deleted, make no fall."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self._shown: Counter[tuple[str, ...]] = Counter()
        self._last: Mapping[tuple[str, ...], float] = {}

    def take(self, sums: Mapping[tuple[str, ...], float]) -> Mapping[tuple[str, ...], float]:
        """Return what to show for these sums."""
        for key, value in sums.items():
            self._shown[key] += max(value - self._last.get(key, 0), 0)  # type: ignore[assignment]  # seconds are a fraction
        self._last = dict(sums)
        return self._shown


def has_table(log: Log, name: str) -> bool:
    """Tell whether the file has a table: an empty file is a history without entries."""
    return bool(log.query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)))
