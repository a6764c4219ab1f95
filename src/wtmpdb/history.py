# SPDX-License-Identifier: BSD-2-Clause
"""History: from rows to what they mean. No I/O of its own: it asks the log for boots and processes, and the system who lives.

Stored is what happened; what it means is worked out here: a session without a logout went down with its boot, or crashed with it, or is still logged
in, or is gone. What a row means depends on the row, the boots around it and the living processes, never on which other rows are listed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from wtmpdb.entry import CLOCK_TTYS, SECOND, End, EntryType, entry_of
from wtmpdb.system import System

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Protocol

    from wtmpdb.entry import Entry, Line, Row
    from wtmpdb.log import Boot, Opening

    class Source(Protocol):
        """What history asks of a log."""

        def boots(self) -> list[Boot]:
            """Return all boots, oldest first."""

        def opening(self, ident: int, login: int) -> Opening | None:
            """Return what is known of the process behind a row."""


SYSTEM_BOOT = b"system boot"
SYSTEM_DOWN = b"system down"


def shown_tty(tty: bytes) -> bytes:
    """Return the tty as `last` shows and matches it: ``ftp`` and ``uucp`` lose the number behind them."""
    for name in (b"ftp", b"uucp"):
        if tty.startswith(name) and tty[len(name) : len(name) + 1].isdigit():
            return name
    return tty


def _after(shutdown: Line, line: Line) -> bool:
    """Tell whether a shutdown stands before a line in a list with the newest first; a boot at the same moment followed it."""
    return shutdown[5] > line[5] or (shutdown[5] == line[5] and line[8] != EntryType.BOOT_TIME)


class History:
    """What rows of one log mean. ``at_home`` says that the log is known to be this machine's; None lets its boots decide."""

    def __init__(self, source: Source, system: System | None = None, *, at_home: bool | None = None) -> None:
        """Ask ``source``, a log, for boots and processes, ``system``, this machine, for what lives, both only when a row needs it."""
        self._source = source
        self._system = system or System()
        self._at_home = at_home
        self._key: str | None = None
        self._boots_read: list[Boot] | None = None
        self._downs: list[int] | None = None
        self._places: dict[str, int] = {}

    # The loop over a million rows: nearly all are sessions with a logout, and these need no thought.
    def lines(self, chunks: Iterable[list[Row]]) -> Iterator[list[Line]]:
        """Turn chunks of rows, newest first, into chunks of lines."""
        user_process = EntryType.USER_PROCESS
        for chunk in chunks:
            yield [row if row[6] and row[8] == user_process else self._line(row) for row in chunk]

    def entries(self, chunks: Iterable[list[Row]]) -> Iterator[tuple[Entry, str, int | None]]:
        """Yield each entry with how it ended (a word of `End.WORDS`) and when (µs, None where it has not, or nobody knows).

        ``chunks`` are what `Log.rows` yields, of the same log.
        """
        for chunk in chunks:
            for row in chunk:
                line = self._line(row)
                yield entry_of(row), End.WORDS[line[0]], None if line[0] == End.CLOCK else line[6]

    def lines_with_shutdowns(self, chunks: Iterable[list[Row]], since: int | None = None, until: int | None = None) -> Iterator[list[Line]]:
        """Do as `lines`, with a line for each shutdown between them; ``since`` and ``until`` bound these too (µs, inclusive)."""
        shutdowns = [line for line in self._shutdowns() if (since is None or line[5] >= since) and (until is None or line[5] <= until)]
        for lines in self.lines(chunks):
            merged: list[Line] = []
            for line in lines:
                while shutdowns and _after(shutdowns[-1], line):
                    merged.append(shutdowns.pop())
                merged.append(line)
            yield merged
        yield shutdowns[::-1]

    def _shutdowns(self) -> list[Line]:
        """Return the lines of all shutdowns, oldest first: each lasts until the next boot."""
        begins = [boot.login for boot in self._boots[1:]]
        lines: list[Line] = [
            (End.LOGOUT, b"shutdown", SYSTEM_DOWN, boot.kernel, b"", boot.logout, begin, boot.id, EntryType.SHUTDOWN)
            for boot, begin in zip(self._boots, [*begins, None], strict=False)
            if boot.logout is not None
        ]
        return sorted(lines, key=lambda line: line[5])

    def _line(self, row: Row) -> Line:
        _, user, tty, host, service, login, logout, ident, type_ = row
        end, when = End.LOGOUT, logout or None
        if type_ == EntryType.BOOT_TIME:
            tty = SYSTEM_BOOT
            if when is None:
                end, when = self._boot(ident, login)
        elif type_ == EntryType.RUNLEVEL:
            end, when = self._change(login, when, tty)
        elif when is None:
            end, when = self._session(ident, login, user, tty or b"")
        return end, user, tty, host, service, login, when, ident, type_

    # Boots

    @property
    def _boots(self) -> list[Boot]:
        if self._boots_read is None:
            self._boots_read = self._source.boots()
            self._places = {boot.key: place for place, boot in enumerate(self._boots_read) if boot.key}
        return self._boots_read

    @property
    def _running(self) -> str:
        """The key of the boot that runs, asked once: hundreds of open sessions need it."""
        if self._key is None:
            self._key = self._system.boot_key()
        return self._key

    def _next_boot(self, login: int, ident: int) -> int:
        """Return the place of the first boot after the row."""
        return bisect_right(self._boots, (login, ident), key=lambda boot: (boot.login, boot.id))

    def _boot(self, ident: int, login: int) -> tuple[int, int | None]:
        place = self._next_boot(login, ident)
        key = self._boots[place - 1].key
        if key is not None and key == self._running:
            return End.RUNNING, None
        if place < len(self._boots):
            return End.CRASH, self._boots[place].login
        if key is None or not self._is_at_home():
            return End.RUNNING, None
        return End.GONE, None  # an earlier boot of this machine; this one has no row

    def _change(self, login: int, logout: int | None, tty: bytes | None) -> tuple[int, int | None]:
        """Return how a run level or a change of the clock ended: at the latest with the next shutdown, as in `last`."""
        if self._downs is None:
            self._downs = sorted(boot.logout for boot in self._boots if boot.logout is not None)
        place = bisect_left(self._downs, login)
        down = self._downs[place] if place < len(self._downs) else None
        if tty in CLOCK_TTYS:
            return End.CLOCK, down
        end = down if logout is None else logout
        return (End.RUNNING, None) if end is None else (End.LOGOUT, end)

    # Sessions without a logout

    def _session(self, ident: int, login: int, user: bytes, tty: bytes) -> tuple[int, int | None]:
        opening = self._source.opening(ident, login)
        boots, key = self._boots, opening.boot if opening else None
        # The clock may have been wrong when the session was opened: its boot key tells its boot, not its time.
        if key and key == self._running:  # this very boot: its processes tell
            return self._alive(opening, login, user, tty), None
        place = self._places.get(key or "")
        if place is None:
            place, earliest = self._next_boot(login, ident) - 1, login
        else:
            earliest = 0
        shutdown = boots[place].logout if place >= 0 else None
        if shutdown is not None and shutdown >= earliest:
            return End.DOWN, shutdown
        if place + 1 < len(boots):
            return End.CRASH, boots[place + 1].login
        return self._alive(opening, login, user, tty), None

    def _alive(self, opening: Opening | None, login: int, user: bytes, tty: bytes) -> int:
        if opening and opening.boot:
            return self._process_alive(opening)
        if not self._is_at_home():
            return End.UNKNOWN
        if login // SECOND < self._system.boot_time() // SECOND:
            return End.GONE
        owner = self._system.tty_owner(tty)
        return End.STILL if owner is None or owner == self._system.user_id(user) else End.GONE

    def _process_alive(self, opening: Opening) -> int:
        if opening.boot != self._running:
            return End.GONE if self._is_at_home() else End.UNKNOWN
        if opening.pid is None:
            return End.STILL
        lives = self._system.process_lives(opening.pid, opening.start)
        return End.UNKNOWN if lives is None else End.STILL if lives else End.GONE

    def _is_at_home(self) -> bool:
        if self._at_home is None:
            key = self._running
            self._at_home = any(boot.key == key for boot in self._boots)
        return self._at_home
