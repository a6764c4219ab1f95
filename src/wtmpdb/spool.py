# SPDX-License-Identifier: BSD-2-Clause
"""Spool: the maildir of letters that the PAM module writes (docs/format.md, "A letter").

Whoever empties it holds its lock, so that one process of ours writes the history at a time. Nothing in it is trusted beyond this: it was put
there by root, since the directories belong to root and nobody else may enter.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from itertools import islice
from time import monotonic, sleep, time

from wtmpdb.errors import WtmpdbError
from wtmpdb.event import CLOSED, LETTER_LIMIT, OPENED, BrokenLetterError, decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from wtmpdb.event import Event

SPOOL = "/var/lib/wtmpdb/spool"

FAILED_SPOOL = f"{SPOOL}/failed"
"""The spool of failed logins: one of their own, so that an attack stands in nobody's way."""

MOST_NAMES = 50_000
"""How many letters are looked at in one pass; the next pass takes the rest."""

MOST_BROKEN = 1_000
"""How many broken letters are kept in bad/; beyond that they are deleted, so that they cannot fill the disk."""

_LONGEST_NAME = 64
_LOOK_AGAIN = 0.01
_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # not the letter's fault

_ABANDONED = 60.0
"""Seconds after which a letter that was never renamed into new/ is taken to be left by a writer that was killed."""


class SpoolError(WtmpdbError):
    """The spool is not there, is not safe, or somebody else is emptying it."""


class BusyError(SpoolError):
    """Somebody else holds the lock: the letters are being taken already."""


def waiting(path: str = SPOOL) -> bool:
    """Tell whether letters wait; False where there is no spool or it may not be seen. Costs one system call or two."""
    try:
        with os.scandir(f"{path}/new") as letters:
            return any(True for _ in letters)
    except OSError:
        return False


class Spool:
    """The spool, locked. Use it as a context manager."""

    def __init__(self, path: str = SPOOL, *, owner: int = 0, wait: float = 0.0, kinds: tuple[str, ...] = (OPENED, CLOSED)) -> None:
        """Open and lock the spool.

        ``owner`` is the user who may have put letters there, ``wait`` how many seconds the lock is waited for, ``kinds`` are those of its events.
        Raises SpoolError when a directory is missing, not the owner's or open to others, BusyError when somebody else goes on emptying it.
        """
        self.path = path
        self._kinds = kinds
        self._owner = owner
        self._open: list[int] = []
        try:
            self._root = self._directory(path)
            self._lock(monotonic() + wait)
            self._tmp, self._new, self._bad = (self._directory(name, self._root) for name in ("tmp", "new", "bad"))
        except BaseException:
            self.close()
            raise

    def _lock(self, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(self._root, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if monotonic() >= deadline:
                    raise BusyError(f"{self.path}: another process is emptying it", "try again") from None
                sleep(_LOOK_AGAIN)
            else:
                return

    def _directory(self, name: str, parent: int | None = None) -> int:
        try:
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        except OSError as error:
            hint = "a spool is a directory with tmp, new and bad in it; install.sh makes that of the machine"
            hint = hint if isinstance(error, FileNotFoundError) else "only root may empty the spool"
            raise SpoolError(f"{self._full(name, parent)}: {error.strerror}", hint) from error
        self._open.append(fd)
        facts = os.fstat(fd)
        if facts.st_uid != self._owner or facts.st_mode & 0o022:
            raise SpoolError(f"{self._full(name, parent)}: must belong to user {self._owner} and be writable by nobody else")
        return fd

    def _full(self, name: str, parent: int | None) -> str:
        return name if parent is None else f"{self.path}/{name}"

    def close(self) -> None:
        """Give the lock back."""
        while self._open:
            os.close(self._open.pop())

    def __enter__(self) -> Self:
        """Return the spool itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give the lock back."""
        self.close()

    def names(self) -> list[str]:
        """Return the names of the letters that wait, in the order of their time; at most MOST_NAMES of them."""
        with os.scandir(self._new) as letters:
            return sorted(letter.name for letter in islice(letters, MOST_NAMES))

    def read(self, name: str) -> Event:
        """Return the event in a letter; raises BrokenLetterError, or FileNotFoundError when it has gone."""
        return self._read(self._new, name)

    def _read(self, directory: int, name: str) -> Event:
        if not name.isascii() or len(name) > _LONGEST_NAME:
            raise BrokenLetterError("not the name of a letter")
        # O_NONBLOCK: a FIFO that somebody put there must not hold us up.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            fd = os.open(name, flags, dir_fd=directory)
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno in _PASSING:
                raise SpoolError(f"{self.path}: {error.strerror}") from error
            raise BrokenLetterError(str(error.strerror)) from error
        try:
            facts = os.fstat(fd)
            if not stat.S_ISREG(facts.st_mode) or facts.st_uid != self._owner:
                raise BrokenLetterError(f"not a regular file of user {self._owner}")
            event = decode(os.read(fd, LETTER_LIMIT + 1), name)
        except OSError as error:  # a disk that fails
            raise BrokenLetterError(str(error.strerror)) from error
        finally:
            os.close(fd)
        if event.kind not in self._kinds:
            raise BrokenLetterError(f"does not belong here: it tells of {event.kind}")
        return event

    def has(self, name: str) -> bool:
        """Tell whether a letter is still there."""
        try:
            os.stat(name, dir_fd=self._new, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def remove(self, name: str) -> None:
        """Take a letter away; it may have gone already."""
        self._forget(self._new, name)

    @staticmethod
    def _forget(directory: int, name: str) -> None:
        try:
            os.unlink(name, dir_fd=directory)
        except (FileNotFoundError, IsADirectoryError):
            pass  # gone already, or no letter at all but a directory

    def quarantine(self, name: str) -> None:
        """Move a letter to bad/, or delete it when bad/ is full. What cannot be moved stays where it is."""
        with os.scandir(self._bad) as letters:
            kept = sum(1 for _ in islice(letters, MOST_BROKEN))
        if kept == MOST_BROKEN:
            self.remove(name)
            return
        try:
            os.rename(name, name, src_dir_fd=self._new, dst_dir_fd=self._bad)
        except OSError:
            pass

    @staticmethod
    def _written(letter: os.DirEntry[str]) -> float:
        try:
            return letter.stat(follow_symlinks=False).st_mtime
        except FileNotFoundError:  # renamed into new/ just now
            return time()

    def rescue(self) -> None:
        """Take up what writers that were killed left in tmp/: a whole letter goes to new/, half a letter goes away."""
        before = time() - _ABANDONED
        with os.scandir(self._tmp) as letters:
            old = [letter.name for letter in islice(letters, MOST_NAMES) if self._written(letter) < before and not _writer_lives(letter.name)]
        for name in old:
            try:
                self._read(self._tmp, name)
            except BrokenLetterError:
                self._forget(self._tmp, name)
            except FileNotFoundError:
                pass
            else:
                os.rename(name, name, src_dir_fd=self._tmp, dst_dir_fd=self._new)


def _writer_lives(name: str) -> bool:
    """Tell whether the process lives that is named in the name of a letter: after the clock has jumped, the letter's age says nothing."""
    pid = f"{name}.".split(".")[1]
    if not pid.isascii() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
