# SPDX-License-Identifier: BSD-2-Clause
"""Connections to the file of the history: found or made with its modes, opened so that all programs that share it can bear it."""

from __future__ import annotations

import os
import sqlite3
import stat

from wtmpdb.errors import DeniedLogError, LogError, NoLogError
from wtmpdb.faults import explained

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

PRIVATE = "private"
"""The name of a file beside a history: while it is there, a history that is made anew can be read by root and the group only."""

_MODE = 0o644
_PRIVATE_MODE = 0o640
_GROUP = "utmp"


class Transaction:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK when anything goes wrong."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._db.execute("COMMIT" if kind is None else "ROLLBACK")
        except sqlite3.Error:
            if self._db.in_transaction:  # a COMMIT that failed; after some errors SQLite has rolled back by itself
                self._db.execute("ROLLBACK")
            if kind is None:
                raise


def connect(path: str, mode: str, timeout: float) -> sqlite3.Connection:
    """Open the file at ``path``, which is there, to read ("ro") or to write ("rw"); the driver begins no transactions. Raises LogError."""
    with explained(path):
        connection = sqlite3.connect(_uri(path, mode), uri=True, timeout=timeout, isolation_level=None)
        try:
            # A file from elsewhere must not run functions through views or triggers of its own.
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cache_size = -8000")
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        except BaseException:
            connection.close()
            raise
    return connection


def prepare_to_write(path: str, connection: sqlite3.Connection) -> None:
    """Write as all programs that share the file can bear it. Raises LogError."""
    with explained(path):
        _give_modes_to_journal(path)
        # PERSIST commits fastest; like every rollback journal it leaves the file readable for C and for users who may not write.
        connection.execute("PRAGMA journal_mode = PERSIST")
        connection.execute("PRAGMA synchronous = FULL")


def look_at(path: str) -> None:
    """Raise NoLogError when there is no file at ``path``, DeniedLogError when it may not be read, LogError when there is something else."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError) as error:
        kind = NoLogError if isinstance(error, FileNotFoundError) else LogError
        raise kind(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(facts.st_mode):
        raise LogError(f"{path}: is a directory" if stat.S_ISDIR(facts.st_mode) else f"{path}: not a regular file")
    if not os.access(path, os.R_OK):
        raise DeniedLogError(f"{path}: Permission denied", "root may read it, and members of its group")


def create(path: str, *, private: bool = False) -> None:
    """Make the file with its modes, whatever the umask, unless something is there already."""
    real = os.path.realpath(path)  # a link to a file that is not there yet is followed, as SQLite would
    mode = _PRIVATE_MODE if private or os.path.exists(os.path.join(os.path.dirname(path), PRIVATE)) else _MODE
    try:
        fd = os.open(real, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    except FileExistsError:
        look_at(path)
        return
    except OSError as error:
        raise LogError(f"{path}: {error.strerror}") from error
    try:
        os.fchmod(fd, mode)
        _give_to_group(fd)
    finally:
        os.close(fd)


def _give_modes_to_journal(path: str) -> None:
    """Let nobody read in the journal, which stays and holds pieces of the history, who may not read the history."""
    real = os.path.realpath(path)
    try:
        wanted, fd = os.stat(real), os.open(f"{real}-journal", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return  # there is none; SQLite makes it with the modes of the file
    try:
        found = os.fstat(fd)
        if stat.S_IMODE(found.st_mode) != stat.S_IMODE(wanted.st_mode):
            os.fchmod(fd, stat.S_IMODE(wanted.st_mode))
        if found.st_gid != wanted.st_gid:
            os.fchown(fd, -1, wanted.st_gid)
    except PermissionError:
        pass  # not the owner: then it is not for us to give
    finally:
        os.close(fd)


def _give_to_group(fd: int) -> None:
    import grp  # noqa: PLC0415 - only when a file is made

    try:
        os.fchown(fd, -1, grp.getgrnam(_GROUP).gr_gid)
    except (KeyError, PermissionError):
        pass  # no such group here, or not root: the file is readable all the same


def _uri(path: str, mode: str) -> str:
    raw = os.fsencode(os.path.abspath(path))
    plain = b"/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
    return f"file:{''.join(chr(byte) if byte in plain else f'%{byte:02x}' for byte in raw)}?mode={mode}"
