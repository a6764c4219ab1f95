# SPDX-License-Identifier: BSD-2-Clause
"""The sessions that are open while a file is read forward, in bounded memory whatever the file.

Nearly every file has a few hundred. One with hundreds of thousands (logins on lines of their own, or made to hurt) goes on in a temporary file.
"""

from __future__ import annotations

import pickle
import sqlite3
from typing import TYPE_CHECKING, Generic, TypeVar

from wtmpdb.legacy.record import Fields

if TYPE_CHECKING:
    from collections.abc import Iterator

Tag = TypeVar("Tag")

MOST = 20_000
"""So many are kept in memory."""

_TABLE = "CREATE TABLE open (number INTEGER PRIMARY KEY, line BLOB UNIQUE, opening BLOB)"
_AT_ONCE = 1024


class OpenSessions(dict[bytes, tuple[Fields, Tag]], Generic[Tag]):
    """From a line to the record that opened the session on it, with its tag, in the order of opening."""

    def __init__(self, most: int = MOST) -> None:
        """Keep at most so many in memory, counted when `spill` is called."""
        super().__init__()
        self._most = most
        self._nameless = 0
        self._rest: sqlite3.Connection | None = None

    @property
    def is_spilled(self) -> bool:
        """Tell whether there is a temporary file."""
        return self._rest is not None

    def take(self, line: bytes) -> tuple[Fields, Tag] | None:
        """Remove and return what is open on a line, None where nothing is."""
        return self.pop(line, None) or self.recall(line)

    def add_nameless(self, fields: Fields, tag: Tag) -> None:
        """Add a session without a line: nothing but a boundary ends it."""
        self._nameless += 1
        self[b"\0%d" % self._nameless] = fields, tag  # no line holds a NUL

    def take_all(self) -> Iterator[list[tuple[Fields, Tag]]]:
        """Remove all and yield them in chunks, in the order of opening."""
        if self._rest:
            cursor = self._rest.execute("SELECT opening FROM open ORDER BY number")
            while found := cursor.fetchmany(_AT_ONCE):
                yield [pickle.loads(opening) for (opening,) in found]  # noqa: S301 - our own, in a nameless file
            self._rest.close()
            self._rest = None
        if self:
            rest = list(self.values())
            self.clear()
            yield rest

    def spill(self) -> None:
        """Move all into the temporary file when there are too many."""
        if len(self) <= self._most:
            return
        if self._rest is None:
            self._rest = sqlite3.connect("", isolation_level=None)  # a file without a name, gone when it is closed
            self._rest.execute("PRAGMA journal_mode = OFF")
            self._rest.execute(_TABLE)
        self._rest.execute("BEGIN")
        rows = ((line, pickle.dumps(opening, pickle.HIGHEST_PROTOCOL)) for line, opening in self.items())
        self._rest.executemany("INSERT INTO open (line, opening) VALUES (?, ?)", rows)
        self._rest.execute("COMMIT")
        self.clear()

    def recall(self, line: bytes) -> tuple[Fields, Tag] | None:
        """Remove and return what is open on a line in the temporary file."""
        if self._rest is None:
            return None
        found = self._rest.execute("DELETE FROM open WHERE line = ? RETURNING opening", (line,)).fetchall()
        return pickle.loads(found[0][0]) if found else None  # noqa: S301 - as above
