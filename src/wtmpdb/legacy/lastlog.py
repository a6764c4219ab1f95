# SPDX-License-Identifier: BSD-2-Clause
"""The last logins as old systems kept them: /var/log/lastlog, and the database of lastlog2.

A lastlog file has a record for each uid, at uid times its size, and is mostly holes, which are not read. Sources: glibc bits/utmp.h, struct lastlog,
LASTLOG_SIZE 292 (32-bit seconds) or 296 (64-bit, where utmp has 400 bytes); util-linux liblastlog2/src/lastlog2.c, table Lastlog2.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import struct
import sys

from wtmpdb.connection import connect, look_at
from wtmpdb.entry import SECOND, as_text, as_time
from wtmpdb.faults import explained
from wtmpdb.legacy.errors import LegacyError, UnrecognisedError
from wtmpdb.text import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LASTLOG = "/var/log/lastlog"
LASTLOG2 = "/var/lib/lastlog/lastlog2.db"

# Of several that fit the first counts. Seconds of 32 bits in the other byte order could be told from none, and are not looked for.
_LAYOUTS = [struct.Struct(fields) for fields in ("=I32s256s", "=q32s256s", ">q32s256s" if sys.byteorder == "little" else "<q32s256s")]
_AT_ONCE = 1 << 20
_JUDGED = 1000
_MAGIC = b"SQLite format 3\0"
_LARGEST_TIME = 2**62 // SECOND
_CREDIBLE_TIME = 2**36
"""In the year 4147; what is read at the wrong place is beyond."""


class LastLogin:
    """A last login: ``user`` is a uid in a lastlog file, a name in that of lastlog2; ``time`` is µs since the epoch; text is as `store` makes it."""

    __slots__ = ("host", "service", "time", "tty", "user")

    def __init__(self, user: int | str, time: int, tty: str | None, host: str | None, service: str | None = None) -> None:
        """Keep the five."""
        self.user = user
        self.time = time
        self.tty = tty
        self.host = host
        self.service = service


def last_logins(path: str) -> list[LastLogin]:
    """Return what a file of either kind knows, by uid or by name. Raises LegacyError, of a database LogError."""
    try:
        with open(path, "rb", opener=_opener) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise LegacyError(f"{path}: not a regular file")
            if file.read(len(_MAGIC)) != _MAGIC:
                return _of_lastlog(file.fileno(), path)
    except OSError as error:
        raise LegacyError(f"{path}: {error.strerror}") from error
    return _of_lastlog2(path)


def is_database(path: str) -> bool:
    """Tell whether a file that can be read is an SQLite database; an empty one may become one."""
    look_at(path)
    with open(path, "rb") as file:
        return file.read(len(_MAGIC)) in (_MAGIC, b"")


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe without a writer keeps nobody waiting


# /var/log/lastlog


def _of_lastlog(fd: int, path: str) -> list[LastLogin]:
    judged = {layout: _judged(fd, layout) for layout in _LAYOUTS}
    layout = max(judged, key=lambda layout: judged[layout])
    good, bad = judged[layout]
    if bad < 0 and good <= -bad:
        raise UnrecognisedError(f"{path}: not a lastlog file")
    return [
        LastLogin(uid, min(seconds, _LARGEST_TIME) * SECOND, _text(line), _text(host))
        for uid, (seconds, line, host) in _records(fd, layout)
        if seconds > 0
    ]


def _judged(fd: int, layout: struct.Struct) -> tuple[int, int]:
    """Return how many records could be of this layout and, negative, how many could not; as few as tell."""
    good = bad = 0
    for number, (_, (seconds, line, host)) in enumerate(_records(fd, layout)):
        if 0 < seconds < _CREDIBLE_TIME and _is_text(line) and _is_text(host) and host.endswith(b"\0"):
            good += 1
        else:
            bad -= 1
        if number == _JUDGED:
            break
    return good, bad


def _records(fd: int, layout: struct.Struct) -> Iterator[tuple[int, tuple[int, bytes, bytes]]]:
    """Yield the number of each record that is not empty, and its fields; a cut one at the end is none."""
    size, at = layout.size, 0
    end = os.fstat(fd).st_size
    while (start := _data(fd, at)) is not None:
        at = max(at, start // size * size)
        data = os.pread(fd, min(_AT_ONCE // size * size, end - at), at)
        if len(data) < size:
            return
        for offset in range(0, len(data) - size + 1, size):
            record = data[offset : offset + size]
            if record.count(0) < size:
                yield (at + offset) // size, layout.unpack(record)
        at += len(data) // size * size


def _data(fd: int, at: int) -> int | None:
    """Return where the next data stands behind holes, None where there is no more."""
    try:
        return os.lseek(fd, at, os.SEEK_DATA)
    except OSError:
        return None


def _is_text(field: bytes) -> bool:
    text, _, rest = field.partition(b"\0")
    return not rest.strip(b"\0") and all(byte >= 0x20 for byte in text)  # noqa: PLR2004 - a blank


def _text(field: bytes) -> str | None:
    return store(field.partition(b"\0")[0]) or None


# lastlog2


def _of_lastlog2(path: str) -> list[LastLogin]:
    database = connect(path, "ro", 5.0)
    try:
        database.text_factory = bytes
        with explained(path):
            if not database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'Lastlog2'").fetchone():
                raise UnrecognisedError(f"{path}: a database without a table Lastlog2")
            found = database.execute("SELECT Name, Time, TTY, RemoteHost, Service FROM Lastlog2").fetchall()
    except sqlite3.Error as error:
        raise LegacyError(f"{path}: {error}") from error
    finally:
        database.close()
    return [
        LastLogin(store(as_text(name)), min(as_time(time) or 0, _LARGEST_TIME) * SECOND, *(store(as_text(text)) or None for text in texts))
        for name, time, *texts in found
        if (as_time(time) or 0) > 0
    ]
