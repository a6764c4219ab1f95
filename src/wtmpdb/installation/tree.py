# SPDX-License-Identifier: BSD-2-Clause
"""A tree that is not running, such as an image that is being built.

The program is copied into it and does the rest there, with the tree's own Python, so that no path and no link leads out of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from wtmpdb.errors import WtmpdbError
from wtmpdb.installation.changes import moved
from wtmpdb.installation.found import run

_PYTHONS = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")
_PROBE = "import sys; sys.exit(sys.version_info < (3, 11))"


def enter(root: str, top: str, words: list[str], *, undo: bool, dry: bool) -> int:
    """Run `setup` with these words in the tree at ``root``, where the program goes to the same place as here, ``top``; return its exit code."""
    if not os.path.isdir(root):
        raise WtmpdbError(f"{root}: not a directory")
    python = _python(root)
    target = f"{root}{top}"
    if _leads_out(root, top):
        raise WtmpdbError(f"{target}: a link leads out of the tree")
    if undo and not os.path.isdir(target):
        raise WtmpdbError(f"{target}: not there: nothing to undo")
    if not undo and _listing(top) != _listing(target):
        print(f"  {'would ' if dry else ''}copy {top} to {target}", flush=True)
        if dry:
            print(f"  would set it up in {root}")
            return 0
        _copy(top, target)
    command = ["chroot", root, python, "-ISB", f"{top}/bin/wtmpdb", "setup", *words]
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False).returncode  # noqa: S603 - our own words


def _python(root: str) -> str:
    for name in _PYTHONS:
        path = f"/usr/bin/{name}"
        if os.path.lexists(f"{root}{path}"):
            done = run(root, path, "-ISEc", _PROBE)
            if done.returncode == 0:
                return path
    raise WtmpdbError(f"{root}: no Python 3.11 or later in its /usr/bin that runs here", "install python3 in the tree first")


def _leads_out(root: str, top: str) -> bool:
    """Tell whether the way to the program in the tree goes through a link."""
    path = top
    while path != "/":
        if os.path.islink(f"{root}{path}"):
            return True
        path = os.path.dirname(path)
    return False


def _copy(source: str, target: str) -> None:
    """Copy the program; killed in the middle, what was there stands."""
    new, old = f"{target}.new", f"{target}.old"
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copytree(source, new, symlinks=True)
    if os.path.isdir(target) and not moved(target, old):
        shutil.rmtree(target)
    os.rename(new, target)
    shutil.rmtree(old, ignore_errors=True)


def _listing(top: str) -> list[tuple[str, str]]:
    """Return what is below a directory: names, with what they link to or hold (size and time of change, which copies keep)."""
    found = []
    for directory, _, files in os.walk(top):
        for name in files:
            path = os.path.join(directory, name)
            facts = os.lstat(path)
            inner = os.readlink(path) if os.path.islink(path) else f"{facts.st_size} {int(facts.st_mtime)}"
            found.append((path.removeprefix(top), inner))
    return sorted(found)
