# SPDX-License-Identifier: BSD-2-Clause
"""From records to sessions, by the rules of util-linux's `last`. No I/O of its own.

A session ends with the next record on its line, be it a logout or a login, and at the latest with the next boundary: a boot, a shutdown, run level 0
or 6. The order is that of the file; times are never compared to find out what comes first.
"""

from __future__ import annotations

from wtmpdb.entry import SECOND, End, EntryType
from wtmpdb.legacy.open_lines import OpenLines
from wtmpdb.legacy.record import BOOT_TIME, DEAD_PROCESS, NEW_TIME, OLD_TIME, RUN_LVL, USER_PROCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from wtmpdb.entry import Line
    from wtmpdb.legacy.record import Fields

SHUTDOWN_TIME = EntryType.SHUTDOWN
"""What `last` takes the record of a shutdown for; a record that has this number as its type is one as well."""

LARGEST_SECOND = 2**63 // SECOND - 1
"""Times of 64 bits beyond this are taken for it: in µs they would not fit into 64 bits."""

CLOCK_WAS, CLOCK_IS = 252, 253
"""The types of such lines, beside those of `EntryType`: the time before the clock was set, and after."""

_SYSTEM_USERS = ((b"shutdown", SHUTDOWN_TIME), (b"reboot", BOOT_TIME), (b"runlevel", RUN_LVL))
_CLOCK_LINES = ((b"|", OLD_TIME), (b"{", NEW_TIME))
_SPECIAL = b"~|{"  # lines that begin so may be none
_HALT, _REBOOT = b"06"
_KNOWN_TYPES = range(10)


def meaning(kind: int, line: bytes, user: bytes) -> int:
    """Return the type that `last` takes a record for: what programs write is not always what the type says."""
    if line.startswith(b"~"):
        return next((means for name, means in _SYSTEM_USERS if user.startswith(name)), kind)
    if kind != DEAD_PROCESS and user and line and not user.startswith(b"LOGIN"):
        kind = USER_PROCESS
    if not user:
        kind = DEAD_PROCESS
    if user.startswith(b"date"):
        return next((means for mark, means in _CLOCK_LINES if line.startswith(mark)), kind)
    return kind


def moment(seconds: int, micro: int) -> int:
    """Return the time of a record in µs since the epoch; microseconds that are none do not count."""
    return max(-LARGEST_SECOND, min(seconds, LARGEST_SECOND)) * SECOND + (micro if 0 <= micro < SECOND else 0)


class Backward:
    """Pairs the records of one file, newest first, for a listing.

    A line has the shape of those of the history, with raw bytes as text; in the place of the service, which old records have not, stand the 16 bytes
    of the address, and there is no ID. A line of the system has as its tty what is shown there. The lines of one file need one object of their own.
    """

    def __init__(self, is_there: Callable[[Fields], int], now: int, *, since: int = 0, until: int = 0, system: bool = False) -> None:
        """Prepare for a file that is read at ``now``; all times in seconds since the epoch.

        ``is_there`` says of a login without an end whether it is still there, ``since`` and ``until`` (inclusive, 0 for none) leave out records as if
        they were not in the file, ``system`` asks for shutdowns, run levels and changes of the clock as well.
        """
        self._is_there = is_there
        self._now = now
        self._since, self._until = since, until
        self._system = system
        self._open = OpenLines()
        self._down = self._level = now * SECOND
        self._boundary = 0
        self._why = End.CRASH
        self.unknown: dict[int, int] = {}
        """The types that are none, and how many records have them."""

    def lines(self, chunks: Iterable[list[Fields]]) -> Iterator[list[Line]]:
        """Yield the lines of a wtmp file, chunk by chunk."""
        for chunk in chunks:
            yield self._pair(self._within(chunk))
            self._open.spill()

    def attempts(self, chunks: Iterable[list[Fields]]) -> Iterator[list[Line]]:
        """Yield the lines of a btmp file, as `lastb` does: every record is a line, whatever its type, that begins and ends at once."""
        for chunk in chunks:
            lines: list[Line] = []
            for _, _, line, _, user, host, seconds, micro, address, _, _, _ in self._within(chunk):
                at = moment(seconds, micro)
                lines.append((self._ended(at), user, line, host, address, at, at, None, EntryType.USER_PROCESS))
            yield lines

    def _within(self, chunk: list[Fields]) -> list[Fields]:
        if self._since:
            chunk = [fields for fields in chunk if fields[6] >= self._since]
        if self._until:
            chunk = [fields for fields in chunk if fields[6] <= self._until]
        return chunk

    # The loop over a million records: nearly all are logins and logouts that are what they say.
    def _pair(self, chunk: list[Fields]) -> list[Line]:
        lines: list[Line] = []
        open_ = self._open
        now, next_second = self._now * SECOND, (self._now + 1) * SECOND
        for fields in chunk:
            kind, _, line, _, user, host, seconds, micro, address, _, _, _ = fields
            at = seconds * SECOND + micro if 0 <= micro < SECOND and 0 <= seconds <= LARGEST_SECOND else moment(seconds, micro)
            if kind == DEAD_PROCESS and line[:1] not in _SPECIAL:
                open_[line] = at
            elif kind == USER_PROCESS and user and line[:1] not in _SPECIAL:
                end = open_[line]
                open_[line] = at
                how = self._without_end(fields) if end is None else End.RUNNING if now <= end < next_second else End.LOGOUT
                if how in (End.DOWN, End.CRASH):
                    end = self._boundary
                lines.append((how, user, line, host, address, at, end, None, EntryType.USER_PROCESS))
            else:
                lines += self._any(meaning(kind, line, user), fields, at)
        return lines

    def _without_end(self, fields: Fields) -> int:
        return self._why if self._boundary // SECOND else self._is_there(fields)

    # Every other record.
    def _any(self, kind: int, fields: Fields, at: int) -> list[Line]:
        if kind in (USER_PROCESS, DEAD_PROCESS):
            return self._on_a_line(kind, fields, at)
        if kind == SHUTDOWN_TIME:
            lines = self._shutdown(fields, at)
        elif kind == BOOT_TIME:
            lines = self._boot(fields, at)
        elif kind == RUN_LVL:
            lines = self._run_level(fields, at)
        elif kind in (OLD_TIME, NEW_TIME):
            lines = self._clock(kind, fields, at)
        else:
            if kind not in _KNOWN_TYPES:
                self.unknown[kind] = self.unknown.get(kind, 0) + 1
            return []
        return lines

    def _on_a_line(self, kind: int, fields: Fields, at: int) -> list[Line]:
        line = fields[2]
        end = self._open[line]
        if line:
            self._open[line] = at
        if kind == DEAD_PROCESS:
            return []
        how = self._without_end(fields) if end is None else self._ended(end)
        if how in (End.DOWN, End.CRASH):
            end = self._boundary
        return [_line(how, fields, line, at, end, EntryType.USER_PROCESS)]

    def _shutdown(self, fields: Fields, at: int) -> list[Line]:
        line = _line(self._ended(self._boundary), fields, b"system down", at, self._boundary, EntryType.SHUTDOWN)
        self._down = self._level = at
        self._bound(at, End.DOWN)
        return self._asked_for(line)

    def _boot(self, fields: Fields, at: int) -> list[Line]:
        how, end = self._ended(self._down), self._down
        if how != End.RUNNING and end // SECOND > self._boundary // SECOND:  # another boot came before that shutdown
            how, end = End.CRASH, self._boundary
        self._bound(at, End.CRASH)
        return [_line(how, fields, b"system boot", at, end, EntryType.BOOT_TIME)]

    def _run_level(self, fields: Fields, at: int) -> list[Line]:
        level = fields[1] & 0xFF
        text = b"(to lvl %c)" % level if level else b"(to lvl "  # a NUL ends the text in C
        line = _line(self._ended(self._level), fields, text, at, self._level, EntryType.RUNLEVEL)
        self._level = at
        if level in (_HALT, _REBOOT):
            self._down = at
            self._bound(at, End.DOWN)
        return self._asked_for(line)

    def _clock(self, kind: int, fields: Fields, at: int) -> list[Line]:
        text, type_ = (b"old time", CLOCK_WAS) if kind == OLD_TIME else (b"new time", CLOCK_IS)
        return self._asked_for(_line(End.CLOCK, fields, text, at, self._down, type_))

    def _asked_for(self, line: Line) -> list[Line]:
        return [line] if self._system else []

    def _ended(self, end: int) -> int:
        """Return how a line ends whose end is known: what ends in this very second is shown as still running."""
        return End.RUNNING if end // SECOND == self._now else End.LOGOUT

    def _bound(self, at: int, why: int) -> None:
        self._boundary, self._why = at, why
        self._open.clear()


def _line(how: int, fields: Fields, tty: bytes, at: int, end: int | None, type_: int) -> Line:
    return how, fields[4], tty, fields[5], fields[8], at, end, None, type_
