# SPDX-License-Identifier: BSD-2-Clause
"""A small plain Linux in a directory for setup to work on, and a way to kill setup before any of its changes."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wtmpdb.installation import setup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

SECURITY = "/lib/x86_64-linux-gnu/security"
MODULE = f"{SECURITY}/pam_wtmpdb_spool.so"

_DIRECTORIES = ("etc/pam.d", "opt", "usr/bin", "usr/local/bin", "usr/local/share/man", "var/lib", "var/log", SECURITY.lstrip("/"))
_CHANGES = ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.symlink", "os.link", "os.chmod", "os.chown", "os.truncate", "subprocess.Popen")

Snapshot = dict[str, tuple[Any, ...]]


@dataclass(frozen=True)
class World:
    """A tree, and a program that install.sh has put into it."""

    root: Path
    top: str

    def path(self, name: str) -> Path:
        """Return where a path of the tree is."""
        return self.root / name.lstrip("/")

    def set_up(self, *, dry: bool = False, **asked: bool | None) -> int:
        """Run setup."""
        return setup.set_up(str(self.root), self.top, asked, dry=dry)

    def show_others(self, what: str) -> int:
        """Run setup, told only what others may see."""
        return setup.set_up(str(self.root), self.top, {}, others=what)

    def undo(self, *, purge: bool = False, dry: bool = False) -> int:
        """Undo it."""
        return setup.undo(str(self.root), self.top, purge=purge, dry=dry)

    def state(self, *, without: Iterable[str] = ()) -> Snapshot:
        """Return all that is there: kinds, modes, owners, and what files hold and links lead to."""
        return {name: facts for name, facts in _look(str(self.root)) if not name.startswith(tuple(without))}

    def copy(self, root: Path) -> World:
        """Make another one like it."""
        shutil.copytree(self.root, root, symlinks=True)
        return World(root, self.top)


def plain(root: Path, top: str) -> World:
    """Make a plain Linux: PAM and directories, no tools."""
    for name in _DIRECTORIES:
        (root / name).mkdir(parents=True)
    (root / SECURITY.lstrip("/") / "pam_permit.so").write_bytes(b"")
    for service in ("login", "sshd", "su", "cron"):
        (root / "etc/pam.d" / service).write_text("auth required pam_unix.so\nsession required pam_unix.so\n")
    world = World(root, top)
    install(world)
    return world


def install(world: World) -> None:
    """Do what install.sh does before it calls setup."""
    library = world.path(f"{world.top}/lib")
    library.mkdir(parents=True, exist_ok=True)
    (library / "pam_wtmpdb_spool.so").write_bytes(b"the module")


def _look(top: str) -> Iterable[tuple[str, tuple[Any, ...]]]:
    for directory, directories, files in os.walk(top):
        for name in (*directories, *files):
            path = os.path.join(directory, name)
            facts = os.lstat(path)
            inner: str | bytes | None = None
            if stat.S_ISLNK(facts.st_mode):
                inner = os.readlink(path)
            elif stat.S_ISREG(facts.st_mode):
                with open(path, "rb") as file:
                    inner = file.read()
            yield path.removeprefix(top), (facts.st_mode, facts.st_uid, facts.st_gid, inner)


def killed(work: Callable[[], object], number: int) -> bool:
    """Do some work in a process that is killed before its change of this number; False when it got to its end before that."""
    child = os.fork()
    if not child:
        _die_at(work, number)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), f"it failed by itself: {status}"
    return status != 0


def _die_at(work: Callable[[], object], number: int) -> None:
    """Never return."""
    code = 1
    try:
        sys.dont_write_bytecode = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.fsync = lambda fd: None  # noqa: ARG005 - as it is called; who is killed is not a machine without power: the kernel has what was written
        left = number

        def watch(event: str, words: tuple[Any, ...]) -> None:
            nonlocal left
            if event in _CHANGES or (event == "open" and isinstance(words[2], int) and words[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - told to the one who waits
        traceback.print_exc()
    finally:
        os._exit(code)
