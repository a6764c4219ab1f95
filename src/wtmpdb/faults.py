# SPDX-License-Identifier: BSD-2-Clause
"""What SQLite complains of, said so that an administrator knows what to do."""

from __future__ import annotations

import os
import sqlite3

from wtmpdb.errors import BusyLogError, DamagedLogError, FullError, LogError
from wtmpdb.text import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


class explained:  # noqa: N801 - reads as a statement: with explained(path)
    """Turns an error of SQLite about the file at ``path`` into a LogError."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, sqlite3.Error):
            raise _explanation(self._path, error) from error


def damaged(path: str) -> LogError:
    """Return the error that says of the file at ``path`` that it is damaged, where SQLite does not see it."""
    kind, why, hint = _FAULTS[sqlite3.SQLITE_CORRUPT]
    return kind(f"{path}: {why}", hint)


def _explanation(path: str, error: sqlite3.Error) -> LogError:
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    said = store(str(error).encode("utf-8", "replace"))  # it may quote names out of a hostile file
    if code in _FAULTS:
        kind, why, hint = _FAULTS[code]
        hint = hint or _old_file_hint(path)
    elif _is_hot(path):
        kind, why, hint = LogError, "its last writer was killed in the middle", "run 'wtmpdb recorder --once' as root to mend it"
    elif code == sqlite3.SQLITE_READONLY:
        kind, why, hint = LogError, "the file, its journal or their file system is read-only", ""
        if _is_wal(path):
            why, hint = "is in WAL mode, in which only its owner can read it", "run 'wtmpdb recorder --once' as root to put it back"
    elif "no such column" in said or "no column named" in said:
        kind, why, hint = DamagedLogError, f"not a history of wtmpdb: {said}", ""
    else:
        kind, why, hint = LogError, said, ""
    return kind(f"{path}: {why}", hint)


_FAULTS: dict[int, tuple[type[LogError], str, str]] = {
    sqlite3.SQLITE_BUSY: (BusyLogError, "locked by another program", "try again, or find the program with 'fuser'"),
    sqlite3.SQLITE_LOCKED: (BusyLogError, "locked by another program", "try again"),
    sqlite3.SQLITE_FULL: (FullError, "no space left on the device", "make room: what waits in the spool is not lost"),
    sqlite3.SQLITE_NOTADB: (DamagedLogError, "not a database", ""),
    sqlite3.SQLITE_CORRUPT: (
        DamagedLogError,
        "the database is damaged",
        "move it away and the recorder makes a new one; 'sqlite3 FILE .dump' may save what is in it, or, from SQLite 3.41 on, '.recover'",
    ),
}


def _old_file_hint(path: str) -> str:
    """Return what to do with a file that is no database but looks like records of wtmp, which have 384 bytes on most machines."""
    try:
        size = os.path.getsize(path)
    except OSError:
        return ""
    return "a wtmp file of old is read by 'wtmpdb last -f'" if size and size % 384 == 0 else ""


def _is_wal(path: str) -> bool:
    """Tell whether the header of the file names WAL: bytes 18 and 19, https://www.sqlite.org/fileformat.html."""
    try:
        with open(path, "rb") as file:
            return file.read(20)[18:] == b"\2\2"
    except OSError:
        return False


def _is_hot(path: str) -> bool:
    """Tell whether a journal with something to roll back lies beside the file: its first byte is not zero."""
    try:
        with open(os.path.realpath(path) + "-journal", "rb") as journal:
            return journal.read(1) not in (b"", b"\0")
    except OSError:
        return False
