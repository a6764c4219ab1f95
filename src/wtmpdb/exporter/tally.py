# SPDX-License-Identifier: BSD-2-Clause
"""What the history of sessions and boots adds up to. The first look reads all of it, each one after that only what is new or still open.

Counted by ID, not by time: a row that is imported counts when it comes. What is open is kept, and looked at again until it has ended.

A session to which Debian 13's sshd has written a row of its own has two until the recorder has made one of them (`wtmpdb.recorder.merging`): it is
counted once.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, cast

from wtmpdb import live
from wtmpdb.entry import SECOND, End, EntryType, as_text, as_time, clean, now
from wtmpdb.event import UNMADE
from wtmpdb.exporter.follow import Follower, has_table
from wtmpdb.exporter.labels import Tallied
from wtmpdb.history import History
from wtmpdb.log import Log
from wtmpdb.recorder.merging import SOON
from wtmpdb.system import System

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wtmpdb.entry import Row
    from wtmpdb.live import Session
    from wtmpdb.log import Boot, Opening

BUCKETS = (60, 300, 900, 3600, 14400, 86400)
"""Upper bounds of the durations of sessions, in seconds."""

LOGOUT, CRASH, SHUTDOWN = "logout", "crash", "shutdown"

_SETTLES = 60 * SECOND
"""So long after a boot it is not yet said how sessions of the one before have ended: their last letters may still wait."""

_MERGED = 30 * SECOND
"""So long after its login two rows of a session become one, if ever."""

_REMEMBERED = 4 * _MERGED
"""So long it is remembered which row a session had: one that takes its place may have waited behind others."""

_SSH = UNMADE.encode()
_BOTH = (
    "SELECT 1 FROM wtmp AS this JOIN wtmp AS other ON other.Login BETWEEN this.Login - ? AND this.Login + ? AND other.User = this.User"
    " AND other.Type = 3 AND other.ID < this.ID WHERE this.ID = ? AND {ours}.TTY IN (?, {theirs}.TTY) AND {ours}.Login <= {theirs}.Login"
    " AND EXISTS (SELECT 1 FROM session WHERE entry_id = {ours}.ID) AND {theirs}.TTY LIKE 'pts/%'"
    " AND NOT EXISTS (SELECT 1 FROM session WHERE entry_id = {theirs}.ID AND session.login = {theirs}.Login)"
)
_OURS, _THEIRS = _BOTH.format(ours="this", theirs="other"), _BOTH.format(ours="other", theirs="this")
_BOUNDS = tuple(seconds * SECOND for seconds in BUCKETS)
_WATCHED = "SELECT ID, Login, Logout FROM wtmp WHERE ID IN ({})"
_THERE = "SELECT ID, Login FROM wtmp WHERE ID BETWEEN ? AND ?"
_AT_ONCE = 500


class Tally(Follower):
    """The sums over one file, and its open sessions. It stands in for the log where `wtmpdb.live` asks who is on."""

    def __init__(self, path: str, system: System | None = None) -> None:
        """Begin before the first row; ``system`` is the machine that the history is of."""
        self._system = system or System()
        super().__init__(path)

    def restart(self) -> None:
        """Drop what was added up, and begin anew."""
        super().restart()
        self.starts = Tallied()
        self.ends = {LOGOUT: 0, CRASH: 0, SHUTDOWN: 0}
        self.durations = [0] * (len(_BOUNDS) + 1)
        self.seconds = 0.0
        self.latest: int | None = None
        self.crashes = 0
        self.version = 0
        self.sessions: list[Session] = []
        self._open: dict[int, Row] = {}
        self._openings: dict[int, Opening | None] = {}
        self._boots: list[Boot] = []
        self._booted = True  # whether boots have come that were not looked at
        self._unsettled: set[int] = set()  # of the open ones, those that a boot may have ended
        self._young: dict[tuple[int, object], int] = {}  # IDs of new sessions, by login and user: their rows may give way to sshd's

    def update(self) -> None:
        """Look at the file. Raises LogError; what was seen until then stays, and the next look goes on from there."""
        with Log.read(self.path, timeout=2.0) as log:
            self._log = log
            for chunk in self.added(log):
                self._take(chunk)
            self.version = log.query("PRAGMA user_version")[0][0]
            self._look_at_open()
            if self._booted or self._newest_boot_has_changed():
                self._look_at_boots()
            self._settle()
            self.sessions = live.sessions(cast("Log", self), self._system)

    # What is new

    def settled(self, log: Log, chunk: list[Row]) -> list[Row]:
        """Return the rows before the first of which another one, seen already, is of the same session."""
        self._young = {key: ident for key, ident in self._young.items() if _is_young(key[0], _REMEMBERED)}
        young = [row for row in chunk if _is_young(row[5])]
        if not young:
            return chunk
        waits = {row[7] for row in young if _is_one_of_two(log, row)}
        # The recorder may have made one of two meanwhile: then neither was found to be one.
        there = set(log.query(_THERE, (young[0][7], young[-1][7])))
        waits |= {row[7] for row in young if (row[7], row[5]) not in there}
        return next((chunk[:place] for place, row in enumerate(chunk) if row[7] in waits), chunk)

    def stays(self, row: Row) -> bool:
        """Tell whether the recorder leaves a row as it is: where sshd has written one too, it deletes its own, and corrects that."""
        return not (row[8] == EntryType.USER_PROCESS and _is_young(row[5]))

    def _take(self, chunk: list[Row]) -> None:
        for row in chunk:
            _, _, _, _, service, login, logout, ident, type_ = row
            if type_ == EntryType.USER_PROCESS:
                if _is_young(login, _REMEMBERED) and self._takes_over(row):
                    continue
                login = login if type(login) is int else as_time(login) or 0  # what damage made of it
                self.starts.count(as_text(service))
                if self.latest is None or login > self.latest:
                    self.latest = login
                if logout and (ended := as_time(logout)):
                    self._ended(LOGOUT, ended - login)
                else:
                    self._open[ident] = clean(row)
                    self._unsettled.add(ident)
            elif type_ == EntryType.BOOT_TIME:
                self._booted = True

    def _takes_over(self, row: Row) -> bool:
        """Tell whether a row stands for a session that was counted from now on, because the row of that has given way to it."""
        _, user, _, _, _, login, _, ident, _ = row
        before = self._young.get((login, user))
        self._young[login, user] = ident
        if before is None or self._log.query("SELECT 1 FROM wtmp WHERE ID = ?", (before,)):
            return False
        self.rows -= 1
        if before in self._open:
            self._keep(self._open.keys() - {before})
            self._open[ident] = clean((*row[:6], None, *row[7:]))  # whether it has ended is looked at next
            self._unsettled.add(ident)
        return True

    def _ended(self, how: str, lasted: int) -> None:
        lasted = max(lasted, 0)  # the clock may have been set back
        self.ends[how] += 1
        self.durations[bisect_left(_BOUNDS, lasted)] += 1
        self.seconds += lasted / SECOND

    # What was open

    def _look_at_open(self) -> None:
        """Count what has ended since, and forget what was deleted."""
        there: set[int] = set()
        idents = list(self._open)
        for place in range(0, len(idents), _AT_ONCE):
            some = idents[place : place + _AT_ONCE]
            for ident, login, logout in self._log.query(_WATCHED.format(",".join("?" * len(some))), some):
                row, began = self._open[ident], as_time(login) or 0
                if not 0 <= row[5] - began <= SOON:  # what the recorder may have corrected
                    continue  # the ID was used again
                if ended := as_time(logout):
                    self._ended(LOGOUT, ended - began)
                    continue
                there.add(ident)
                if began != row[5]:
                    self._open[ident] = (*row[:5], began, *row[6:])
                    self._openings.pop(ident, None)
        self._keep(there)

    def _keep(self, idents: Iterable[int]) -> None:
        self._open = {ident: self._open[ident] for ident in idents}
        self._openings = {ident: opening for ident, opening in self._openings.items() if ident in self._open}
        self._unsettled &= self._open.keys()

    def _settle(self) -> None:
        """Count what has ended with its boot, once its last letters must have come."""
        if not self._unsettled or (self._boots and 0 <= now() - self._boots[-1].login < _SETTLES):
            return
        rows = sorted((self._open[ident] for ident in self._unsettled), key=lambda row: (-row[5], -row[7]))
        started = self._system.boot_time()
        over = set()
        for line in next(History(self, self._system, at_home=True).lines([rows])):
            how, login, when, ident = line[0], line[5], line[6], line[7] or 0
            if how in (End.CRASH, End.DOWN):
                self._ended(CRASH if how == End.CRASH else SHUTDOWN, (when or login) - login)
                over.add(ident)
            elif how == End.GONE and login < started:
                over.add(ident)  # of an earlier boot that has no row: nobody will ever say how it ended
        self._unsettled = set()
        self._keep(self._open.keys() - over)

    # Boots

    def _newest_boot_has_changed(self) -> bool:
        """Tell whether the newest boot was shut down, or its time was corrected; those before do not change any more."""
        if not self._boots:
            return False
        newest = self._boots[-1]
        found = self._log.query("SELECT Login, Logout FROM wtmp WHERE ID = ?", (newest.id,))
        return not found or (as_time(found[0][0]) or 0, as_time(found[0][1]) or None) != (newest.login, newest.logout)

    def _look_at_boots(self) -> None:
        self._boots = self._log.boots()
        self._booted = False
        self._unsettled = set(self._open)
        running = self._system.boot_key()
        self.crashes = sum(boot.logout is None and boot.key != running for boot in self._boots[:-1])

    # What `wtmpdb.live` and `wtmpdb.history` ask a log

    def boots(self) -> list[Boot]:
        """Return all boots, oldest first."""
        return self._boots

    def open_rows(self) -> list[Row]:
        """Return the rows of sessions that may be open, newest first."""
        return sorted(self._open.values(), key=lambda row: (-row[5], -row[7]))

    def opening(self, ident: int, login: int) -> Opening | None:
        """Return what is known of the process behind a row."""
        if ident not in self._openings:
            self._openings[ident] = self._log.opening(ident, login)
        return self._openings[ident]


def _is_young(login: object, within: int = _MERGED) -> bool:
    """Tell whether a session began so lately that a second row of it may come, or go."""
    return type(login) is int and 0 <= now() - login < within


def _is_one_of_two(log: Log, row: Row) -> bool:
    """Tell whether a row is our own or sshd's of a session of which the other was there before."""
    _, _, tty, _, service, _, _, ident, type_ = row
    if type_ != EntryType.USER_PROCESS or not isinstance(tty, bytes) or not (tty == _SSH or tty.startswith(b"pts/")):
        return False
    if not has_table(log, "session"):
        return False
    return bool(log.query(_THEIRS if service is None else _OURS, (SOON, SOON, ident, UNMADE)))
