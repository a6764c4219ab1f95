# SPDX-License-Identifier: BSD-2-Clause
"""Who is on: of this machine, of a database or of an old file, as records and as sessions."""

from __future__ import annotations

from wtmpdb.entry import SECOND
from wtmpdb.errors import NoLogError, complain
from wtmpdb.legacy.record import BOOT_TIME, NO_ADDRESS, RUN_LVL, USER_PROCESS
from wtmpdb.system import System
from wtmpdb.text import restore, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from wtmpdb.legacy.reader import LegacyFile
    from wtmpdb.legacy.record import Fields
    from wtmpdb.live import Session
    from wtmpdb.log import Log


class Present:
    """Who is on, once `look` or `open` was called; use it as a context manager."""

    def __init__(self, program: str, *, boot: bool = False, run_level: bool = False) -> None:
        """Say for which command this is, and whether records of boot and of run level are wanted."""
        self.system = System()
        self._program = program
        self._boot = boot
        self._run_level = run_level
        self._path = ""
        self._file: LegacyFile | None = None
        self._records: list[Fields] = []
        self._sessions: list[Session] = []

    def __enter__(self) -> Self:
        """Return the object itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file; say what in it was left out."""
        if self._file is None:
            return
        self._file.close()
        if self._file.skipped.bytes and kind is None:
            complain(f"{self._program}: {self._path}: bytes that are no records were skipped: {self._file.skipped.bytes}")

    def look(self) -> None:
        """Look who is on this machine. Raises LogError; that nothing has been recorded yet is none."""
        from wtmpdb import home, live  # noqa: PLC0415 - costs an import of sqlite3, which an old file does not need

        home.take_letters(self._program)
        try:
            with home.history() as log:
                self._sessions = live.sessions(log, self.system)
                booted = self._booted_here(log)
        except NoLogError:
            self._sessions = live.sessions(None, self.system)
            booted = self.system.boot_time()
        if self._boot:
            self._records.append(_record(BOOT_TIME, b"~", b"reboot", booted))
        if self._run_level:
            from wtmpdb.boot import run_level  # noqa: PLC0415 - asks systemd

            level = run_level()
            self._records += [_record(RUN_LVL, b"~", b"runlevel", level[1], pid=ord(level[0]))] if level else []
        self._records += map(_record_of, self._sessions)

    def only(self, line: bytes) -> None:
        """Keep, of this machine, only who logged in on a terminal: a su that was called on it later is no login to ``who am i``, whom scripts ask."""
        self._sessions = [one for one in self._sessions if one.tty == line][:1]
        self._records = [record for record in self._records if record[0] != USER_PROCESS] + list(map(_record_of, self._sessions))

    def _booted_here(self, log: Log) -> int:
        if not self._boot:
            return 0
        key = self.system.boot_key()
        return next((boot.login for boot in reversed(log.boots()) if boot.key == key), 0) or self.system.boot_time()

    def open(self, path: str, layout: str | None = None, byte_order: str | None = None) -> None:
        """Look who is on according to a file. Raises LogError, or LegacyError for an old file."""
        from wtmpdb.cli.last import is_database  # noqa: PLC0415 - only for files

        if layout is not None or not is_database(path):
            from wtmpdb.cli.old import opened  # noqa: PLC0415

            self._path = path
            self._file = opened("./-" if path == "-" else path, layout, byte_order)  # a file of this name, as in coreutils
            return
        from wtmpdb import live  # noqa: PLC0415
        from wtmpdb.log import Log  # noqa: PLC0415

        with Log.read(path) as log:
            self._sessions = live.recorded(log)
            boots = log.boots() if self._boot else []
        self._records = [_record(BOOT_TIME, b"~", b"reboot", boot.login) for boot in boots[-1:]]
        self._records += map(_record_of, self._sessions)

    def records(self) -> Iterator[Fields]:
        """Yield the records, those of an old file in its order."""
        if self._file is None:
            yield from self._records
            return
        for records in self._file.forward():
            for fields, _ in records:
                yield fields

    def sessions(self) -> Iterator[Session]:
        """Yield the sessions; of an old file its records of logins."""
        if self._file is None:
            yield from self._sessions
            return
        from wtmpdb.live import Session  # noqa: PLC0415 - only for JSON of an old file

        for kind, pid, line, _, user, host, seconds, micro, *_ in self.records():
            if kind == USER_PROCESS and user:
                at = seconds * SECOND + micro
                yield Session(store(user).encode(), at, tty=store(line).encode(), host=store(host).encode(), pid=pid)


def _record_of(session: Session) -> Fields:
    """Return the session as a record; where it has no terminal its seat, or the service, stands in the place of one."""
    line = restore(session.tty or (session.seat or "").encode() or session.service or b"?")
    return _record(USER_PROCESS, line, restore(session.user), session.login, pid=session.pid or 0, host=restore(session.host or b""))


def _record(kind: int, line: bytes, user: bytes, at: int, *, pid: int = 0, host: bytes = b"") -> Fields:
    return kind, pid, line, b"", user, host, at // SECOND, at % SECOND, NO_ADDRESS, 0, 0, 0
