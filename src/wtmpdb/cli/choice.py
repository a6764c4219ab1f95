# SPDX-License-Identifier: BSD-2-Clause
"""What the command line of `last` asks for, and which lines that chooses."""

from __future__ import annotations

from wtmpdb.entry import SECOND, End, EntryType
from wtmpdb.history import shown_tty
from wtmpdb.listing.text import SHORT, Style
from wtmpdb.text import restore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from wtmpdb.entry import Line

_MOST_REMEMBERED = 20_000
_LONGEST_USER = 32  # of a record of old, and so much of an operand counts
_NOT_ENDED = (End.STILL, End.UNKNOWN, End.RUNNING)


class Wishes:
    """What the command line asks for. Times in seconds since the epoch, 0 for none."""

    def __init__(self) -> None:
        """Start with what `last` does without options."""
        self.files: list[str] = []
        self.operands: list[bytes] = []
        self.hosts: list[bytes] = []
        self.services: list[bytes] = []
        self.flags: set[str] = set()
        self.by = ""
        self.limit = 0
        self.times = {"since": 0, "until": 0, "present": 0}
        self.time_format = ""
        self.layout: str | None = None
        self.byte_order: str | None = None

    @property
    def json(self) -> bool:
        """Tell whether JSON is asked for."""
        return "json" in self.flags or "jsonl" in self.flags

    @property
    def style(self) -> Style:
        """The columns that are asked for."""
        flags = self.flags
        return Style(
            time_format=self.time_format or SHORT,
            host_last="hostlast" in flags,
            no_host="nohostname" in flags,
            full_names="fullnames" in flags,
            tabs="tab-separated" in flags,
            service="service" in flags,
        )


class Choice:
    """The lines of one run that are asked for; ``old`` says that their text is raw bytes (of old files), not as it is stored."""

    def __init__(self, wishes: Wishes, now: int) -> None:
        """Take ``now`` in seconds since the epoch."""
        self._wishes = wishes
        self.now = now
        self._left = wishes.limit or None

    def of(self, chunks: Iterable[list[Line]], *, old: bool = False) -> Iterator[list[Line]]:
        """Yield the lines that are asked for, of one listing, until there are as many as are asked for.

        As in util-linux, the count runs on from one listing to the next, each of which shows one line in any case.
        """
        tests = list(self._tests(old=old))
        if self._left is not None:
            self._left = max(self._left, 1)
        for chunk in chunks:
            lines = chunk
            for test in tests:
                lines = [line for line in lines if test(line)]
            if self._left is not None:
                lines = lines[: self._left]
                self._left -= len(lines)
            yield lines
            if self._left == 0:
                return

    def _tests(self, *, old: bool) -> Iterator[Callable[[Line], bool]]:
        wishes = self._wishes
        if "system" not in wishes.flags:
            yield lambda line: line[8] != EntryType.RUNLEVEL
        if wishes.operands:
            users = _Found([*wishes.operands, *(name[:_LONGEST_USER] for name in wishes.operands)] if old else wishes.operands, stored=not old)
            ttys = _FoundTty(wishes.operands, stored=not old)
            yield lambda line: users[line[1]] or ttys[line[2]]
        if wishes.hosts:
            hosts = _Found(wishes.hosts, stored=not old)
            yield lambda line: hosts[line[3]]
        if wishes.services:
            services = _Found([] if old else wishes.services, stored=not old)  # old files know no services
            yield lambda line: services[line[4]]
        if "open" in wishes.flags:
            yield lambda line: line[0] in _NOT_ENDED
        if wishes.times["present"]:
            moment = wishes.times["present"]
            yield lambda line: _was_there(line, moment, self.now)


def _was_there(line: Line, moment: int, now: int) -> bool:
    end = now if line[0] == End.RUNNING else (line[6] or 0) // SECOND
    return line[5] // SECOND <= moment and not 0 < end < moment


class _Found(dict["bytes | None", bool]):
    """From a text of the file to whether it was asked for; remembers."""

    def __init__(self, wanted: Sequence[bytes], *, stored: bool) -> None:
        self._wanted = frozenset(wanted)
        self._stored = stored

    def __missing__(self, text: bytes | None) -> bool:
        if len(self) > _MOST_REMEMBERED:
            self.clear()
        found = self._matches(restore(text or b"")) or text in self._wanted if self._stored else self._matches(text or b"")
        self[text] = found
        return found

    def _matches(self, text: bytes) -> bool:
        return text in self._wanted


class _FoundTty(_Found):
    """The same for ttys, where ``1`` means ``tty1``."""

    def _matches(self, text: bytes) -> bool:
        shown = shown_tty(text)
        return shown in self._wanted or (shown.startswith(b"tty") and shown[3:] in self._wanted)
