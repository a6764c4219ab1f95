# SPDX-License-Identifier: BSD-2-Clause
"""The files to import: looked at before anything is written, and read as often as need be."""

from __future__ import annotations

import glob
import os
import stat
import weakref
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from wtmpdb.errors import WtmpdbError
from wtmpdb.legacy.compressed import LARGEST, temporary, write_all
from wtmpdb.legacy.errors import LegacyError, UnrecognisedError
from wtmpdb.legacy.layouts import WTMPDB
from wtmpdb.legacy.pairing import moment
from wtmpdb.legacy.reader import LegacyFile, open_file
from wtmpdb.log import DATABASE, FAILED, Log

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wtmpdb.legacy.resync import Skipped

OLD_FILES, FAILED_FILES = "/var/log/wtmp*", "/var/log/btmp*"
"""What is imported where no file is named: of sessions, and of failed logins."""


class RefusedError(WtmpdbError):
    """Some of the files cannot be imported; nothing was written. ``errors`` has one for each."""

    def __init__(self, errors: list[WtmpdbError]) -> None:
        """Keep them."""
        super().__init__("; ".join(map(str, errors)))
        self.errors = errors


class Source:
    """A file to import: its path, what it is called, its size in bytes, and the time of its first record (µs), None where these are unknown."""

    def __init__(self, path: str, name: str, layout: str | None = None, byte_order: str | None = None) -> None:
        """Look at the file; raises LegacyError."""
        self.path = path
        self.name = name
        self.records = 0
        self.latest: int | None = None
        self.skipped: dict[str, int] = {}
        self.bytes_skipped = 0
        self.findings: dict[str, int] = {}
        self._layout = layout, byte_order
        status = os.stat(path)
        self.changed = status.st_mtime_ns
        self.size: int | None = status.st_size
        with self.open() as file:
            self.is_database = file.layout is WTMPDB
            self.is_empty = file.empty
            self.layout = str(file.layout)
            if self.is_database:
                self._name_database(file)
            else:
                self.first = next((moment(fields[6], fields[7]) for chunk in file.forward() for fields, _ in chunk), None)
            if file.compression:
                self.size = None
        if self.is_database:
            with self.open_database() as log:
                self.first = log.begins()

    def _name_database(self, file: LegacyFile) -> None:
        """Give a database a name that SQLite can open: one that is compressed, or came through a pipe, has none."""
        if file.compression or self.path != self.name:
            copy = NamedTemporaryFile(prefix="wtmpdb-import-")  # noqa: SIM115 - it lives as long as we do
            weakref.finalize(self, copy.close)
            file.copy(copy.fileno())
            self.path = copy.name

    def open(self) -> LegacyFile:
        """Open the file of records."""
        try:
            return open_file(self.path, *self._layout)
        except LegacyError as error:
            raise type(error)(str(error).replace(self.path, self.name, 1), error.hint) from error

    def open_database(self) -> Log:
        """Open the database."""
        log = Log.read(self.path)
        try:
            is_ours = bool(log.query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'wtmp'"))
        except BaseException:
            log.close()
            raise
        if not is_ours:
            log.close()
            raise UnrecognisedError(f"{self.name}: a database, but not of wtmpdb: it has no table wtmp")
        return log

    def note(self, skipped: Skipped, findings: dict[str, int]) -> None:
        """Keep what the reader has left out, and how many findings of which kind there were on the way."""
        self.skipped = dict(skipped.reasons)
        self.bytes_skipped = skipped.bytes
        self.findings = findings

    def skip(self, reason: str) -> None:
        """Count a record that is left out."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1


def default_files(*, failed: bool = False) -> list[str]:
    """Return the old files of this machine, ``/var/log/wtmp`` (of failed logins ``btmp``) and what was rotated away.

    Raises LegacyError when there are none.
    """
    pattern = FAILED_FILES if failed else OLD_FILES
    names = ((path, os.path.basename(path)[len("wtmp") :].removeprefix("x")) for path in sorted(glob.glob(pattern)))
    found = [path for path, rest in names if rest[:1] in ("", ".", "-") and not rest.startswith(".db") and os.path.isfile(path)]
    if not found:
        raise LegacyError(f"{pattern}: no such file", "name the files to import")
    return found


def of_failed_logins(path: str) -> bool:
    """Tell by its name whether a file is one of failed logins: their records look like others."""
    return os.path.basename(path).startswith("btmp")


def look_at(
    paths: Iterable[str], database: str | None = None, layout: str | None = None, byte_order: str | None = None, *, failed: bool = False
) -> list[Source]:
    """Return the files, of sessions or of logins that ``failed``, as sources, oldest first by their contents; ``-`` is the standard input.

    Raises RefusedError when some of them cannot be imported.
    """
    sources: list[Source] = []
    errors: list[WtmpdbError] = []
    for path in paths:
        try:
            sources.append(Source(_place(path, database or (FAILED if failed else DATABASE), failed=failed), path, layout, byte_order))
        except OSError as error:
            errors.append(LegacyError(f"{path}: {error.strerror}"))
        except WtmpdbError as error:
            errors.append(error)
    if errors:
        raise RefusedError(errors)
    return sorted(sources, key=lambda source: (source.first is not None, source.first or 0, source.changed))


def _place(path: str, database: str, *, failed: bool) -> str:
    """Return where the contents of a file can be read more than once; refuse what is not meant."""
    if path == "-":
        return _spooled(0)
    if os.path.isdir(path):
        raise LegacyError(f"{path}: Is a directory", "name the files in it")
    if os.path.exists(database) and os.path.exists(path) and os.path.samefile(path, database):
        raise LegacyError(f"{path}: is the database itself")
    if of_failed_logins(path) and not failed:
        raise LegacyError(f"{path}: failed logins are no sessions", "name them in a command of their own")
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        return path if stat.S_ISREG(os.fstat(descriptor).st_mode) else _spooled(descriptor)
    finally:
        os.close(descriptor)


def _spooled(pipe: int) -> str:
    """Copy what comes out of a pipe into a nameless file; it lives as long as we do."""
    left, descriptor = LARGEST, temporary()
    while data := os.read(pipe, 1 << 16):
        write_all(descriptor, data)
        left -= len(data)
        if left < 0:
            raise LegacyError(f"more than {LARGEST >> 30} GiB through a pipe", "name a file")
    return f"/proc/self/fd/{descriptor}"
