# SPDX-License-Identifier: BSD-2-Clause
"""The real terminals of ssh sessions.

sshd tells PAM the terminal ``ssh``; a moment later a process below the one that called PAM has a pseudo terminal, or never will. So each new session
is looked at some times, ever less often, for some seconds: what has a terminal gets it into its row, what has none, scp and sftp say, stays
``ssh``. Of a connection that carries several sessions the first terminal is taken.

What is to be looked at is asked of the history, not taken from the letters: root's `last` may have emptied the spool, or a recorder before this one.
"""

from __future__ import annotations

from heapq import heappop, heappush
from time import monotonic

from wtmpdb.errors import BusyLogError, LogError
from wtmpdb.event import CLOSED, UNMADE
from wtmpdb.recorder import merging
from wtmpdb.system import System

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wtmpdb.event import Event
    from wtmpdb.log import Log
    from wtmpdb.recorder.loop import Loop, Timer

FIRST_PAUSE, LAST_PAUSE = 0.025, 6.4
"""Seconds before the first look at a session, and before the last: each pause is twice the one before. The last look is after 13 seconds."""

SETTLED = 2.0
"""Seconds after which sshd has written all that it writes about a session that has a terminal, or is over."""

EVERY = 5.0
"""Seconds between two questions for sessions whose letters somebody else has taken."""

AGAIN = 0.1
"""Seconds until a history that somebody had locked is asked again."""

AT_ONCE = 50
"""How many sessions have their turn before everybody else in the loop has his."""

_NO_TERMINAL = b"@notty"  # how sshd calls a process of a session without one


class Watched:
    """A session whose terminal is looked for; ``tty`` is what was found, ``over`` that its process has ended."""

    __slots__ = ("key", "over", "pause", "pid", "start", "tty")

    def __init__(self, key: str, pid: int, start: int) -> None:
        """Take the key, and the process that has opened it."""
        self.key = key
        self.pid = pid
        self.start = start
        self.pause = FIRST_PAUSE
        self.tty: str | None = None
        self.over = False

    def __lt__(self, other: Watched) -> bool:
        """Order those whose turn is at the same moment."""
        return self.key < other.key


class Terminals:
    """A part of the recorder. ``log`` gives the history, open for writing, and may raise LogError."""

    def __init__(self, loop: Loop, log: Callable[[], Log], system: System | None = None) -> None:
        """Begin with what is open in the history, as soon as the loop runs."""
        self._loop = loop
        self._log = log
        self._system = system or System()
        self._asked: Log | None = None  # the history that was asked last; its rows up to the mark are known
        self._mark = 0
        self._watched: dict[str, Watched] = {}
        self._turns: list[tuple[float, Watched]] = []
        self._timer: Timer | None = None
        self._again: dict[tuple[int, int], int] = {}  # rows that sshd may close by mistake, and since when, µs
        loop.soon(self._ask_again)

    def applied(self, events: list[Event], log: Log) -> None:
        """Learn of a batch, or soon, while somebody has locked the history. Raises LogError."""
        of_ssh = [event for event in events if event.tty == UNMADE]
        try:
            self._learn(of_ssh, log)
        except BusyLogError:
            self._loop.after(AGAIN, lambda: self._learn_at_last(of_ssh))

    def _learn_at_last(self, events: list[Event]) -> None:
        try:
            self.applied(events, self._log())
        except LogError:
            pass  # being replaced: nothing is known of these rows

    def _learn(self, events: list[Event], log: Log) -> None:
        if events:
            self._ask(log)
        ends = [event for event in events if event.kind == CLOSED and event.key]
        rows = {row: event.time for event in ends for row in merging.others_on_terminal(log, event.key or "")}
        if rows and len(self._again) < merging.MOST:
            self._again |= rows
            self._loop.after(SETTLED, lambda: self._open_again(rows))

    def close(self) -> None:
        """Do at once what still had to settle. The history has to be there yet."""
        try:
            self._open_again(self._again)
            for _ in range(2):  # what the first look finds to be over is settled by the second
                self._look(list(self._watched.values()))
        except LogError:
            pass  # whoever comes next looks at the newest sessions again

    # What is to be looked at

    def _ask_again(self) -> None:
        self._loop.after(EVERY, self._ask_again)
        try:
            self._ask(self._log())
        except LogError:
            pass  # locked, or being replaced: the next time will do

    def _ask(self, log: Log) -> None:
        boot = self._system.boot_key()
        newest = merging.newest(log)
        if log is not self._asked or newest < self._mark:  # the first question, or another file
            self._asked, self._mark = log, max(newest - merging.MOST, 0)
            self._watch(merging.open_without_terminal(log, boot))
        if newest > self._mark:
            self._watch(merging.without_terminal(log, boot, self._mark))
            self._mark = newest

    def _watch(self, sessions: list[tuple[str, int, int]]) -> None:
        for key, pid, start in sessions[: merging.MOST - len(self._watched)]:
            if key not in self._watched:
                self._watched[key] = Watched(key, pid, start)
                self._later(self._watched[key], FIRST_PAUSE)

    def _later(self, one: Watched, seconds: float) -> None:
        heappush(self._turns, (monotonic() + seconds, one))
        if self._timer is None or self._turns[0][0] < self._timer.when:
            self._plan()

    def _plan(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.at(self._turns[0][0], self._turn) if self._turns else None

    # Looking

    def _turn(self) -> None:
        due: list[Watched] = []
        now = monotonic()
        while self._turns and self._turns[0][0] <= now and len(due) < AT_ONCE:
            due.append(heappop(self._turns)[1])
        try:
            self._look(due)
        except LogError:  # nothing was written: they have their turn again
            for one in due:
                heappush(self._turns, (now + SETTLED, one))
        self._plan()

    def _look(self, sessions: list[Watched]) -> None:
        """Look at processes, write what was found; see to it that each is looked at again, or no longer."""
        over = [one for one in sessions if one.over]
        alive = [one for one in sessions if not one.over]
        found = [(one, tty) for one in alive if (tty := self._terminal(one))]
        if over or found:
            log = self._log()
            merging.put_in(log, [(one.key, tty) for one, tty in found])
            merging.find(log, [one.key for one in over])
        # sshd's own row may come after the terminal was seen: then a second look finds it.
        done = {one.key for one in over} | {one.key for one in alive if one.tty and not one.over}
        for one, tty in found:
            one.tty = tty
        for one in sessions:
            if one.key in done or not self._goes_on(one):
                del self._watched[one.key]

    def _terminal(self, one: Watched) -> str | None:
        """Return the terminal of a session; also find out whether it is over."""
        found = self._system.terminal(one.pid)
        if found and self._system.title(one.pid).endswith(_NO_TERMINAL):
            found = None  # made by a program that runs in the session
        # Only now: the process may have ended while it was looked at, and another may have its number.
        one.over = self._system.process_lives(one.pid, one.start) is False
        return found.decode() if found and not one.over else None

    def _goes_on(self, one: Watched) -> bool:
        if one.over or one.tty:
            self._later(one, SETTLED)
        elif one.pause < LAST_PAUSE:
            one.pause *= 2
            self._later(one, one.pause)
        else:
            return False
        return True

    def _open_again(self, rows: dict[tuple[int, int], int]) -> None:
        if not rows:
            return
        try:
            merging.open_again(self._log(), rows)
        except LogError:
            self._loop.after(SETTLED, lambda: self._open_again(rows))
        else:
            for row in list(rows):
                self._again.pop(row, None)
