# SPDX-License-Identifier: BSD-2-Clause
"""Comparing what our `last` and that of util-linux print, so that their times are those of equal work."""

from __future__ import annotations

import re
import shutil
from itertools import zip_longest
from typing import TYPE_CHECKING

from benchmarks.measure import Skipped, output

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARKS = {7: (2, 41), 37: (2, 41)}  # the bytes where a cut user and a cut host have an asterisk, since that version
_CRASHED_BOOTS = (2, 40)  # from this version on a crashed boot ends with the next one


def util_linux() -> str:
    """Return the path of util-linux's `last`."""
    found = shutil.which("last")
    if found is None or b"util-linux" not in output([found, "--version"]):
        raise Skipped("no `last` of util-linux")
    return found


def compare(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """Run both; return how many lines they printed. Raises RuntimeError when they differ in more than util-linux's versions do."""
    version = _version(theirs[0])
    lines = 0
    for our, their in zip_longest(output(ours).splitlines(), output(theirs).splitlines()):
        lines += 1
        if our != their and (our is None or their is None or _plain(our, our, version) != _plain(their, our, version)):
            raise RuntimeError(f"line {lines} differs: {our!r}, and from {theirs[0]}: {their!r}")
    return lines


def _version(program: str) -> tuple[int, ...]:
    found = re.search(rb"(\d+)\.(\d+)", output([program, "--version"]))
    return tuple(map(int, found.groups())) if found else (0,)


def _plain(line: bytes, ours: bytes, version: tuple[int, ...]) -> bytes:
    """Return the line without what differs between versions of util-linux; ``ours`` is our line for the same."""
    if b" begins " in line:
        return line.partition(b" begins ")[2]
    for place, since in _MARKS.items():
        if ours[place : place + 1] == b"*" and version < since:
            line = line[:place] + b"*" + line[place + 1 :]
    return line[:55] if ours.startswith(b"reboot ") and b"- crash" in ours and version < _CRASHED_BOOTS else line
