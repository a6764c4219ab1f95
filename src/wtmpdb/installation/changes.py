# SPDX-License-Identifier: BSD-2-Clause
"""Changes to a machine or a tree: each looks first whether it is needed, is said in a line, and is written into the ledger before it is made."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from typing import TYPE_CHECKING

from wtmpdb.errors import WtmpdbError
from wtmpdb.installation.found import inside, run
from wtmpdb.installation.places import PROGRAM

if TYPE_CHECKING:
    from wtmpdb.installation.ledger import Ledger

_OPEN = 0o755  # of directories that nothing is to be kept from


class Changes:
    """Makes changes below a root; with ``dry`` it only says them."""

    def __init__(self, root: str, ledger: Ledger, *, dry: bool = False) -> None:
        """Start with none made."""
        self.root = root
        self.ledger = ledger
        self.dry = dry
        self.made = 0
        self._said: set[str] = set()
        self.wanted: set[str] = set()
        """The files that belong to the installation as it is to be now."""

    def at(self, path: str) -> str:
        """Return where a path of the tree is for us."""
        return inside(self.root, path)

    def note(self, text: str) -> None:
        """Say something that is not a change."""
        print(f"  {text}")

    def begin(self, what: str) -> bool:
        """Say a change and count it; True when it is to be made."""
        print(f"  {'would ' if self.dry else ''}{what}", flush=True)
        self.made += 1
        return not self.dry

    # Files

    def directory(self, path: str, mode: int = _OPEN) -> None:
        """Make a directory, and those above it, where it is missing; give it its mode."""
        real = self.at(path)
        if not os.path.isdir(real):
            if path in self._said or self._cannot_see(real):
                return
            if os.path.dirname(path) not in ("", "/"):
                self.directory(os.path.dirname(path))
            self._said.add(path)
            if self.begin(f"make {path}"):
                self.ledger.add("directories", path)
                os.mkdir(real, mode)
                os.chmod(real, mode)  # whatever the umask
        elif mode != _OPEN and stat.S_IMODE(os.stat(real).st_mode) != mode and self.begin(f"chmod {mode:04o} {path}"):
            os.chmod(real, mode)

    def _cannot_see(self, real: str) -> bool:
        """Tell whether it may be there, in a directory that is closed to those who only ask what would be done."""
        above = os.path.dirname(real)
        while not os.path.isdir(above):
            above = os.path.dirname(above)
        return self.dry and not os.access(above, os.X_OK)

    def put(self, path: str, content: bytes, mode: int = 0o644) -> bool:
        """Write a file of ours unless it is just so already; tell whether it was not. It is there whole or not at all."""
        real = self.at(path)
        self.wanted.add(path)
        if _is(real, content, mode):
            self.ledger.add("files", path)  # it may have been put there by a version that kept no ledger
            return False
        self.directory(os.path.dirname(path))
        if self.begin(f"write {path}"):
            self.ledger.add("files", path)
            new = f"{real}.wtmpdb-new"
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(content)
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            os.rename(new, real)
        return True

    def link(self, path: str, target: str) -> bool:
        """Make a symbolic link; False when something that is not ours stands there: it stays."""
        real = self.at(path)
        self.wanted.add(path)
        if os.path.islink(real) and (os.readlink(real) == target or self.is_own_link(path)):
            if os.readlink(real) == target:
                self.ledger.add("files", path)
                return True
        elif os.path.lexists(real):
            return False
        self.directory(os.path.dirname(path))
        if self.begin(f"link {path} to {target}"):
            self.ledger.add("files", path)
            new = f"{real}.wtmpdb-new"
            if os.path.lexists(new):
                os.remove(new)
            os.symlink(target, new)
            os.rename(new, real)
        return True

    def is_own_link(self, path: str) -> bool:
        """Tell whether a link that setup made is still one to a program of our name."""
        real = self.at(path)
        return path in self.ledger.files and os.path.islink(real) and os.path.basename(os.readlink(real)) == os.path.basename(PROGRAM)

    def remove(self, path: str) -> None:
        """Remove a file or link of ours, and what a killed setup left beside it."""
        real = self.at(path)
        if os.path.lexists(f"{real}.wtmpdb-new") and not self.dry:
            os.remove(f"{real}.wtmpdb-new")
        if os.path.lexists(real) and path not in self._said:
            self._said.add(path)
            if not self.begin(f"remove {path}"):
                return
            os.remove(real)
        self.ledger.drop("files", path)

    def remove_tree(self, path: str) -> None:
        """Remove a directory with all that is in it; killed in the middle, nothing under its old name is half there."""
        real = self.at(path)
        doomed = self.sweep(path)
        if os.path.isdir(real) and not os.path.islink(real) and self.begin(f"remove {path}"):
            shutil.rmtree(doomed if moved(real, doomed) else real)

    def sweep(self, path: str) -> str:
        """Remove what a killed `remove_tree` left; return what that is called."""
        doomed = self.at(os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.removed"))
        if os.path.isdir(doomed) and not self.dry:
            shutil.rmtree(doomed)
        return doomed

    def remove_directory(self, path: str) -> None:
        """Remove a directory that setup made, if nothing is left in it."""
        real = self.at(path)
        if os.path.isdir(real) and not os.listdir(real) and path not in self._said:
            self._said.add(path)
            if not self.begin(f"remove {path}"):
                return
            os.rmdir(real)
        self.ledger.drop("directories", path)

    # Programs

    def run(self, *command: str) -> None:
        """Run a program of the tree as a change. Raises WtmpdbError when it fails."""
        if self.begin(f"run {' '.join(command)}"):
            self.ask(*command)

    def ask(self, *command: str) -> str:
        """Run a program of the tree; return what it printed. Raises WtmpdbError when it fails."""
        try:
            done = run(self.root, *command)
        except OSError as error:
            raise WtmpdbError(f"{command[0]}: {error.strerror}") from error
        if done.returncode:
            raise WtmpdbError(f"{' '.join(command)}: {last_words(done.stderr, done.stdout) or f'exit code {done.returncode}'}")
        return done.stdout

    def deed(self, name: str, *command: str) -> None:
        """Run a program as a change that undoing has to know of."""
        if self.begin(f"run {' '.join(command)}"):
            self.ledger.add("deeds", name)
            self.ask(*command)


def last_words(*texts: str) -> str:
    """Return the last line of the first text that has one."""
    return next((text.strip().splitlines()[-1] for text in texts if text.strip()), "")


def moved(old: str, new: str) -> bool:
    """Rename a directory; False where that cannot be done: overlayfs, the file system of containers, does not rename what is in a lower layer."""
    try:
        os.rename(old, new)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def only_roots(path: str) -> str | None:
    """Return what of a path somebody besides root could change: the path itself, where links lead, or a directory above; None when nothing."""
    real = os.path.realpath(path)
    while True:
        facts = os.lstat(real)
        if facts.st_uid != 0 or (facts.st_mode & 0o022 and not facts.st_mode & stat.S_ISVTX):
            return real
        if real == "/":
            return None
        real = os.path.dirname(real)


def _is(path: str, content: bytes, mode: int) -> bool:
    try:
        facts = os.lstat(path)
        if (
            not stat.S_ISREG(facts.st_mode)
            or stat.S_IMODE(facts.st_mode) != mode
            or facts.st_size != len(content)
            or facts.st_uid not in (0, os.geteuid())
        ):
            return False
        with open(path, "rb") as file:
            return file.read() == content
    except OSError:
        return False
