# SPDX-License-Identifier: BSD-2-Clause
"""The interface of the old module pyutmp, so that its users can change one import.

    >>> from wtmpdb.pyutmp import UtmpFile
    >>> for utmp in UtmpFile():  # doctest: +SKIP
    ...     if utmp.ut_user_process:
    ...         print(utmp.ut_user, utmp.ut_line, utmp.ut_time)

Source: the description of pyutmp (https://github.com/bmc/pyutmp). Beyond it, any file that `wtmpdb.legacy` reads can be given.
"""

from __future__ import annotations

from wtmpdb.legacy.reader import LegacyFile
from wtmpdb.legacy.record import SECOND, USER_PROCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.legacy.record import Record

UTMP = "/var/run/utmp"

_TYPES = (
    "EMPTY",
    "RUN_LVL",
    "BOOT_TIME",
    "NEW_TIME",
    "OLD_TIME",
    "INIT_PROCESS",
    "LOGIN_PROCESS",
    "USER_PROCESS",
    "DEAD_PROCESS",
    "ACCOUNTING",
)


class Utmp:
    """One entry of utmp: who, where (``ut_line`` is the path of the device), from where, since when (seconds since the epoch)."""

    def __init__(self, record: Record) -> None:
        """Take the facts from a record."""
        self.ut_type = _TYPES[record.type] if 0 <= record.type < len(_TYPES) else "UNKNOWN"
        self.ut_user_process = record.type == USER_PROCESS
        self.ut_user = record.user
        self.ut_line = f"/dev/{record.line}" if record.line else ""
        self.ut_host = record.host
        self.ut_time = record.time / SECOND
        self.ut_pid = record.pid
        self.ut_id = record.id
        self.ut_exit_code = record.exit
        self.ut_session = record.session
        self.ut_addr = list(record.raw_address[:4])

    def __repr__(self) -> str:
        """Show what it says."""
        return f"<Utmp {self.ut_type} {self.ut_user!r} on {self.ut_line!r} at {self.ut_time}>"


class UtmpFile:
    """The entries of utmp, or of the file that is given. Iterating goes on where the last iteration stopped; `rewind` goes back to the beginning.

    Raises `wtmpdb.legacy.LegacyError` where the file cannot be read.
    """

    def __init__(self, path: str = UTMP) -> None:
        """Begin at the beginning."""
        self._path = path
        self._entries: Iterator[Utmp] | None = None

    def __iter__(self) -> Iterator[Utmp]:
        """Yield the entries that are left."""
        if self._entries is None:
            self._entries = self._read()
        while self._entries and (entry := next(self._entries, None)):
            yield entry

    def rewind(self) -> None:
        """Go back to the beginning; the file is read anew."""
        self._entries = None

    def _read(self) -> Iterator[Utmp]:
        with LegacyFile(self._path) as file:
            for record in file:
                yield Utmp(record)
