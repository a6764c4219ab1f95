# SPDX-License-Identifier: BSD-2-Clause
"""A database of wtmpdb as records: a login and a logout of every row, in the order of their times.

Source: wtmpdb include/wtmpdb.h; the columns and the types are those of `wtmpdb.entry`.
"""

from __future__ import annotations

import sqlite3

from wtmpdb.entry import EntryType, as_text, as_time
from wtmpdb.legacy.errors import LegacyError, UnrecognisedError
from wtmpdb.legacy.record import BOOT_TIME, DEAD_PROCESS, NO_ADDRESS, RUN_LVL, SECOND, USER_PROCESS, Chunk, Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ROWS = """SELECT ID, Type, User, Login, TTY, RemoteHost, 0 AS Ended, Login AS At FROM wtmp
    UNION ALL SELECT ID, Type, User, Logout, TTY, RemoteHost, 1, Logout FROM wtmp WHERE Logout IS NOT NULL AND Type IN (1, 3)
    ORDER BY At, Ended DESC, ID"""


def chunks(path: str, shown: str) -> Iterator[Chunk]:
    """Yield the records; the position of one is the ID of its row, and its bytes are the columns as text.

    Raises UnrecognisedError for a database without such a table, LegacyError for a damaged one.
    """
    place = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    try:
        connection = sqlite3.connect(f"file:{place}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise LegacyError(f"{shown}: {error}") from error
    try:
        connection.text_factory = bytes
        # A file from elsewhere must not run anything through views or triggers of its own.
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA temp_store = FILE")
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'wtmp' AND type = 'table'").fetchone():
            raise UnrecognisedError(f"{shown}: a database without a table wtmp")
        rows = connection.execute(_ROWS)
        while found := rows.fetchmany(1024):
            fields = [_fields(*row[1:7]) for row in found]
            yield Chunk(fields, [row[0] for row in found], [repr(row).encode() for row in found])
    except sqlite3.Error as error:
        raise LegacyError(f"{shown}: {error}") from error
    finally:
        connection.close()


def _fields(kind: object, user: object, at: object, tty: object, host: object, ended: int) -> Fields:
    seconds, micros = divmod(as_time(at) or 0, SECOND)
    name, line, origin = as_text(user), as_text(tty), as_text(host)
    if kind == EntryType.BOOT_TIME:
        boot, name, line = (RUN_LVL, b"shutdown", b"~") if ended else (BOOT_TIME, b"reboot", b"~")
        return boot, 0, line, b"~~", name, origin, seconds, micros, NO_ADDRESS, 0, 0, 0
    if kind == EntryType.RUNLEVEL:
        return RUN_LVL, 0, b"~", b"~~", name or b"runlevel", origin, seconds, micros, NO_ADDRESS, 0, 0, 0
    return DEAD_PROCESS if ended else USER_PROCESS, 0, line, b"", b"" if ended else name, origin, seconds, micros, NO_ADDRESS, 0, 0, 0
