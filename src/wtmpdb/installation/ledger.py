# SPDX-License-Identifier: BSD-2-Clause
"""The ledger: what setup was asked for and what it has done, so that its next run and its undoing go by facts.

Each deed is written down before it is done: whoever kills setup in the middle leaves a ledger that names at most one deed too many, and undoing a
deed that was not done does nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
from typing import Any

from wtmpdb import __version__
from wtmpdb.errors import WtmpdbError
from wtmpdb.installation.found import inside
from wtmpdb.installation.places import RECORD, STATE

LOCK = f"{STATE}/setup.lock"
"""There while a setup runs. Only root can open it: whoever could, could lock it, and so keep root from setting up or undoing."""

OPTIONS = {
    "pam": True,
    "failures": True,
    "systemd": True,
    "import": True,
    "private": False,
    "all_sessions": False,
    "last": False,
    "recorder": False,
    "exporter": False,
}
"""What setup can be told, and what it takes where nobody has."""


class Ledger:
    """What stands in the file RECORD of a tree."""

    def __init__(self, root: str, *, dry: bool = False) -> None:
        """Read it; a tree without one has an empty one. Raises WtmpdbError when it cannot be understood."""
        self._root = root
        self._path = inside(root, RECORD)
        self._dry = dry
        self._lock: int | None = None
        self.is_new = not os.path.exists(self._path)
        self.options: dict[str, bool] = dict(OPTIONS)
        self.directories: list[str] = []
        self.files: list[str] = []
        self.deeds: list[str] = []
        if not self.is_new:
            self._read()

    def _read(self) -> None:
        try:
            with open(self._path, encoding="utf-8") as file:
                told = json.load(file)
            self.options |= {name: bool(value) for name, value in told["options"].items() if name in OPTIONS}
            self.directories, self.files = (_words(told[name], "/") for name in ("directories", "files"))
            self.deeds = _words(told["deeds"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise WtmpdbError(f"{self._path}: not what setup wrote: {error}", "move it away, and run setup again") from error

    def lock(self) -> None:
        """Make sure that no other setup runs on this tree, and go by what the last one wrote; the directory must be there."""
        lock = os.open(inside(self._root, LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = os.fstat(lock).st_nlink == 1  # who had it takes it away at the end
        except BlockingIOError:
            is_ours = False
        if not is_ours:
            os.close(lock)
            raise WtmpdbError("another setup is running", "wait for it")
        self._lock = lock
        if os.path.exists(self._path):
            self._read()

    def unlock(self) -> None:
        """Let others run."""
        if self._lock is not None:
            try:
                os.remove(inside(self._root, LOCK))
            except FileNotFoundError:
                pass  # gone with the directory
            os.close(self._lock)
            self._lock = None

    def add(self, kind: str, what: str) -> None:
        """Write a deed down: a file, a directory, or another deed."""
        known: list[str] = getattr(self, kind)
        if what not in known:
            known.append(what)
            self.save()

    def drop(self, kind: str, what: str) -> None:
        """Forget a deed that is undone."""
        known: list[str] = getattr(self, kind)
        if what in known:
            known.remove(what)
            self.save()

    def save(self, directory: str | None = None) -> None:
        """Write the file anew, killed at any point the old one stands; or write it into another directory."""
        if self._dry:
            return
        content: dict[str, Any] = {
            "version": __version__,
            "options": self.options,
            "files": sorted(self.files),
            "directories": sorted(self.directories),
            "deeds": sorted(self.deeds),
        }
        path = self._path if directory is None else os.path.join(directory, os.path.basename(self._path))
        new = f"{path}.new"
        with open(new, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.write("\n")
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        os.rename(new, path)

    def remove(self) -> None:
        """Remove the file."""
        for path in (f"{self._path}.new", self._path):
            if os.path.exists(path):
                os.remove(path)


def _words(told: Any, start: str = "") -> list[str]:
    """Return a list of words that begin so. Raises TypeError when it is something else."""
    if not isinstance(told, list) or not all(isinstance(word, str) and word.startswith(start) for word in told):
        raise TypeError(f"no list of {'paths' if start else 'words'}: {str(told)[:50]!r}")
    return list(told)
