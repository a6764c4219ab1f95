# SPDX-License-Identifier: BSD-2-Clause
"""PAM's stacks: which modules a service runs through when it opens a session (pam.conf(5)).

``include`` and ``substack`` of the session part are followed, and ``@include``, which Debian's libpam has beside them.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from wtmpdb.installation.found import inside
from wtmpdb.installation.places import STACKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORIES = (STACKS, "/usr/lib/pam.d")
"""Where services are looked for, the first first."""

_DEEPEST = 16
_MOST_FILES = 200
_LARGEST = 1_000_000
_LINE = re.compile(r"-?(?P<type>\w+)\s+(?P<control>\[(?:\\.|[^\]\\])*\]|\S+)\s+(?P<module>\S+)(?P<options>.*)")
_INCLUDE = re.compile(r"@include\s+(?P<file>\S+)")


class StackLine(NamedTuple):
    """A line of a stack that runs a module when a session is opened."""

    file: str
    number: int
    control: str
    module: str
    options: tuple[str, ...]

    def __str__(self) -> str:
        """Say where it is."""
        return f"{self.file}:{self.number}"


def file_of(root: str, service: str) -> str | None:
    """Return the file of a service, as the tree itself calls it, or None when there is none: libpam then takes that of ``other``."""
    if service in ("", ".", "..") or "/" in service or "\0" in service:
        return None
    for directory in DIRECTORIES:
        if os.path.isfile(inside(root, f"{directory}/{service}")):
            return f"{directory}/{service}"
    return None


def session_lines(root: str, service: str) -> list[StackLine]:
    """Return the lines that a service runs through when it opens a session, in their order."""
    walk = _Walk(root)
    file = file_of(root, service)
    if file:
        walk.through(file, ())
    return walk.lines


class _Walk:
    """A walk through files that include others; it ends, also where they include one another."""

    def __init__(self, root: str) -> None:
        self.lines: list[StackLine] = []
        self._root = root
        self._files = 0

    def through(self, file: str, above: tuple[str, ...]) -> None:
        """Take the lines of a file and of those that it includes; ``above`` are the files that lead to it."""
        self._files += 1
        if file in above or len(above) == _DEEPEST or self._files > _MOST_FILES:
            return
        for number, text in _logical_lines(inside(self._root, file)):
            if include := _INCLUDE.match(text):
                self._include(include["file"], (*above, file))
            elif (line := _LINE.match(text)) and line["type"].lower() == "session":
                if line["control"].lower() in ("include", "substack"):
                    self._include(line["module"], (*above, file))
                else:
                    self.lines.append(StackLine(file, number, line["control"], os.path.basename(line["module"]), tuple(line["options"].split())))

    def _include(self, name: str, above: tuple[str, ...]) -> None:
        file = name if name.startswith("/") else file_of(self._root, name)
        if file:
            self.through(file, above)


def _logical_lines(path: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file with the number of their first: comments left out, what a backslash at the end continues put together."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            physical = file.read(_LARGEST).split("\n")
    except OSError:
        return
    begun, text = 0, ""
    for number, line in enumerate(physical, 1):
        begun = begun or number
        text += line.partition("#")[0]
        if line.endswith("\\") and text.endswith("\\"):
            text = text[:-1] + " "
            continue
        if text.strip():
            yield begun, text.strip()
        begun, text = 0, ""
