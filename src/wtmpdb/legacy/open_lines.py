# SPDX-License-Identifier: BSD-2-Clause
"""The terminals that wait for their login while a file is read backward, in bounded memory whatever the file.

Nearly every file has a few hundred. One with hundreds of thousands (logins on lines of their own, or made to hurt) goes on in a temporary file.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

MOST = 100_000
"""So many are kept in memory."""

_TABLE = "CREATE TABLE line (name BLOB PRIMARY KEY, time INTEGER NOT NULL) WITHOUT ROWID"


class OpenLines(dict[bytes, "int | None"]):
    """From a line to the time of the nearest later record on it (µs since the epoch), None where there is none."""

    def __init__(self, most: int = MOST) -> None:
        """Keep at most so many in memory, counted when `spill` is called."""
        self._most = most
        self._rest: sqlite3.Connection | None = None

    def __missing__(self, line: bytes) -> int | None:
        """Look into the temporary file, if there is one."""
        if self._rest is None:
            return None
        found = self._rest.execute("SELECT time FROM line WHERE name = ?", (line,)).fetchone()
        return found and int(found[0])

    def spill(self) -> None:
        """Move all into the temporary file when there are too many."""
        if len(self) <= self._most:
            return
        if self._rest is None:
            import sqlite3  # noqa: PLC0415 - seldom

            self._rest = sqlite3.connect("", isolation_level=None)  # a file without a name, gone when it is closed
            self._rest.execute("PRAGMA journal_mode = OFF")
            self._rest.execute(_TABLE)
        self._rest.executemany("INSERT OR REPLACE INTO line VALUES (?, ?)", sorted(self.items()))
        super().clear()

    def clear(self) -> None:
        """Forget all."""
        super().clear()
        if self._rest:
            self._rest.close()
            self._rest = None
