# SPDX-License-Identifier: BSD-2-Clause
"""What is found on a machine, or in a tree of one: looked up, nothing changed. Every function takes the root of the tree, "/" for the machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from glob import glob
from typing import NamedTuple

from wtmpdb.installation.places import MODULE, STACKS

_SECURITY = ("/lib/*/security", "/usr/lib/*/security", "/lib64/security", "/usr/lib64/security", "/lib/security", "/usr/lib/security")
_SSHD = ("/usr/sbin/sshd", "/usr/lib/openssh/sshd-session", "/usr/libexec/openssh/sshd-session", "/usr/libexec/ssh/sshd-session")
_LINE = re.compile(r"^\s*-?(?P<type>session|auth)\s+(?P<control>\[[^\]]*\]|\S+)\s+(?P<module>\S+)(?P<options>.*)$")


class PamLine(NamedTuple):
    """A line of a stack that names a module."""

    file: str
    number: int
    control: str
    options: str


def inside(root: str, path: str) -> str:
    """Return where ``path``, as the tree itself calls it, is for us."""
    return path if root == "/" else f"{root}{path}"


def security_directory(root: str) -> str | None:
    """Return where libpam's modules are, as the tree calls it: where pam_permit.so is; of several that for programs like this one."""
    there = [found for pattern in _SECURITY for found in sorted(glob(inside(root, f"{pattern}/pam_permit.so")))]
    if not there:
        return None
    ours = _machine(os.path.realpath(sys.executable))
    best = next((found for found in there if _machine(found) == ours), there[0])
    return os.path.dirname(best if root == "/" else best.removeprefix(root))


def _machine(path: str) -> tuple[bytes, bytes]:
    """Return the class and the machine of a program or library (elf(5), EI_CLASS and e_machine)."""
    with open(path, "rb") as file:
        head = file.read(20)
    return head[4:5], head[18:20]


def pam_lines(root: str, module: str = MODULE, part: str = "session") -> list[PamLine]:
    """Return the lines that name a module in this part of all stacks, comments left out; stacks that cannot be read are passed over."""
    found = []
    for path in sorted(glob(inside(root, f"{STACKS}/*"))):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.readlines()
        except OSError:
            continue
        for number, line in enumerate(lines, 1):
            match = _LINE.match(line)
            if match and match["type"] == part and os.path.basename(match["module"]) == module:
                name = path if root == "/" else path.removeprefix(root)
                found.append(PamLine(name, number, match["control"], match["options"].strip()))
    return found


def sshd_records(root: str) -> bool:
    """Tell whether sshd itself writes sessions that have a terminal, as Debian 13's does through the C library."""
    return any(mentions(inside(root, path), b"libwtmpdb") for path in _SSHD)


def mentions(path: str, word: bytes) -> bool:
    """Tell whether a word stands in a program or library: paths do, and the names of the libraries that it needs (elf(5), DT_NEEDED)."""
    try:
        with open(path, "rb") as file:
            return word in file.read()
    except OSError:
        return False


def has_program(root: str, name: str) -> bool:
    """Tell whether the tree has a program of that name."""
    return shutil.which(name, path=":".join(inside(root, path) for path in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"))) is not None


def systemd_runs(root: str) -> bool:
    """Tell whether systemd runs the machine; never so in a tree, be it that we stand in it (chroot)."""
    try:
        return root == "/" and os.path.isdir("/run/systemd/system") and os.path.samefile("/proc/1/root", "/")
    except OSError:
        return False


def run(root: str, *command: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run a program of the tree, with its root as root; nothing of the caller's environment gets in."""
    words = [*command] if root == "/" else ["chroot", root, *command]
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(  # noqa: S603 - our own words
        words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
    )
