# SPDX-License-Identifier: BSD-2-Clause
"""The history at a glance: how much, who, from where, how long, how many at once, and how the machine fared.

A session counts where it began; what its end is without a logout is for `wtmpdb.history` to say, as in `last`. Of the sessions that have a logout,
which are nearly all, the database hands out sums, and two numbers each for the most at once.
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, case, func, literal_column, select

from wtmpdb.entry import SECOND, End, EntryType, as_text, as_time, now
from wtmpdb.history import History
from wtmpdb.query.engine import between_ids, text_of
from wtmpdb.query.tables import counted, wtmp
from wtmpdb.text import forms, one_form

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from sqlalchemy import ColumnElement, Select

    from wtmpdb.entry import Line, Row
    from wtmpdb.query.engine import Database
    from wtmpdb.system import System

QUARTER = 900 * SECOND
"""In µs. Every local day begins with a quarter of an hour, whatever its offset from UTC."""

_LARGEST = 2**63 - 1
_LIVES = (End.STILL, End.UNKNOWN, End.RUNNING)

# Constants stand in the text: PostgreSQL does not see that two parameters of GROUP BY and SELECT are one.
_SECOND: ColumnElement[int] = literal_column(str(SECOND))
_QUARTER: ColumnElement[int] = literal_column(str(QUARTER))
_SECONDS = wtmp.c.Logout // _SECOND - wtmp.c.Login // _SECOND  # whole seconds, as `last` counts them
_LASTED = case((func.coalesce(wtmp.c.Logout, 0) == 0, 0), (_SECONDS < 0, 0), else_=_SECONDS)
_BEGAN = wtmp.c.Login.between(bindparam("since"), bindparam("until"))
_SESSION = (wtmp.c.Type == EntryType.USER_PROCESS) & (wtmp.c.Login > 0)
_ROW = (wtmp.c.User, wtmp.c.TTY, wtmp.c.RemoteHost, wtmp.c.Service, wtmp.c.Login, wtmp.c.Logout, wtmp.c.ID, wtmp.c.Type)


class Wishes:
    """Which sessions are summed up: those that began within ``since`` and ``until`` (µs, inclusive), of a user, from a host; all where None.

    ``most`` is how many users, hosts, services and long sessions are told. Text is as it is stored.
    """

    __slots__ = ("host", "most", "since", "until", "user")

    def __init__(
        self, *, since: int | None = None, until: int | None = None, user: str | None = None, host: str | None = None, most: int = 5
    ) -> None:
        """Keep the wishes."""
        self.since = since
        self.until = until
        self.user = user
        self.host = host
        self.most = most

    def of(self, statement: Select[Any], *, began: bool = True) -> Select[Any]:
        """Narrow a statement on sessions down to what is wished for; without ``began`` whenever they began."""
        statement = statement.where(_SESSION)
        if began:
            statement = statement.where(_BEGAN)
        if self.user is not None:
            statement = statement.where(wtmp.c.User.in_(forms(self.user)))
        if self.host is not None:
            statement = statement.where(wtmp.c.RemoteHost.in_(forms(self.host)))
        return statement

    @property
    def bounds(self) -> dict[str, int]:
        """The bounds, as values for a statement."""
        return {"since": 1 if self.since is None else self.since, "until": _LARGEST if self.until is None else self.until}


class Session:
    """A long session: ``end`` is a word of `End.WORDS`, ``seconds`` how long it lasted, or has lasted so far. Text is as it is stored."""

    __slots__ = ("end", "host", "login", "seconds", "service", "tty", "user")

    def __init__(self, line: Line, seconds: int) -> None:
        """Take what a line of history says."""
        self.user, self.tty, self.host, self.service = (None if text is None else text.decode() for text in line[1:5])
        self.login = line[5]
        self.end = End.WORDS[line[0]]
        self.seconds = seconds


class Picture:
    """What came out. Times are µs since the epoch, UTC; what nobody knows is None."""

    def __init__(self) -> None:
        """Know of nothing yet."""
        self.begin: int | None = None
        """The beginning of the stretch of time that is summed up, and its end."""
        self.end: int | None = None
        self.quarters: Counter[int] = Counter()
        """Logins by the quarter of an hour since the epoch."""
        self.failed_quarters: Counter[int] | None = None
        """Failed logins in the same way."""
        self.users: Counter[str] = Counter()
        """Logins by user, host and service."""
        self.hosts: Counter[str] = Counter()
        self.services: Counter[str] = Counter()
        self.failed_hosts: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        """How long each user was there."""
        self.longest: list[Session] = []
        self.peak = 0
        """The most sessions at once, and the first moment at which there were so many."""
        self.peak_time: int | None = None
        self.up = 0
        """For how long of the stretch the machine was up, in µs; how often it was started, and crashed."""
        self.boots = 0
        self.crashes = 0


def picture(
    database: Database, wishes: Wishes, *, failed: Database | None = None, system: System | None = None, at_home: bool | None = None
) -> Picture:
    """Sum a history up; ``failed`` is the database of failed logins. Raises LogError.

    ``at_home`` says that the history is this machine's: then what is open lasts until now, and otherwise until the last moment that it tells of.
    """
    found = Picture()
    if database.has("wtmp"):
        _Sum(database, wishes, History(database, system, at_home=at_home), found).run(at_home=bool(at_home))
    if failed is not None:
        _failures(failed, wishes, found)
    return found


class _Sum:
    """The work on the sessions and boots of one history."""

    def __init__(self, database: Database, wishes: Wishes, history: History, found: Picture) -> None:
        self._database = database
        self._wishes = wishes
        self._history = history
        self._found = found
        self._windows = list(database.windows())
        self._since, self._until = wishes.bounds["since"], wishes.bounds["until"]

    def run(self, *, at_home: bool) -> None:
        found, wishes = self._found, self._wishes
        spans = self._ended()
        open_lines = self._judged(wishes.of(select(*_ROW), began=False).where(func.coalesce(wtmp.c.Logout, 0) == 0))
        boots = self._judged(select(*_ROW).where(wtmp.c.Type == EntryType.BOOT_TIME, wtmp.c.Login > 0))
        moment = now() if at_home else self._last_moment()
        self._add_open(open_lines, moment, spans)
        self._sum_up()
        self._longest(open_lines, moment)
        found.peak, found.peak_time = _peak(*map(sorted, spans))
        begins = self._database.all(select(func.min(wtmp.c.Login)).where(wtmp.c.Login > 0))[0][0]
        if begins is not None:
            found.begin = begins if wishes.since is None else wishes.since
            found.end = min(self._until, moment)
            self._uptime(boots, moment)

    def _asked(self, statement: Select[Any]) -> Iterator[list[Any]]:
        for window in self._windows:
            yield self._database.all(statement.where(between_ids), {**window, **self._wishes.bounds})

    def _last_moment(self) -> int:
        statement = select(func.max(wtmp.c.Login), func.max(wtmp.c.Logout)).where(wtmp.c.Type.in_((EntryType.BOOT_TIME, EntryType.USER_PROCESS)))
        return max([time for rows in self._asked(statement) for time in rows[0] if time is not None], default=0)

    def _ended(self) -> tuple[array[int], array[int]]:
        """Count the sessions that have a logout; return when those that touch the stretch of time were there: begins, and ends."""
        begins, ends = array("q"), array("q")
        since, until = self._since, self._until
        statement = self._wishes.of(select(wtmp.c.Login, wtmp.c.Logout), began=False).where(
            wtmp.c.Logout != 0, wtmp.c.Login <= until, (wtmp.c.Logout >= since) | (wtmp.c.Login >= since)
        )
        for rows in self._asked(statement):
            self._found.quarters.update([login // QUARTER for login, _ in rows if login >= since])
            spans = [(login, logout) for login, logout in rows if logout >= login]
            begins.extend([max(since, login) for login, _ in spans])
            ends.extend([logout for _, logout in spans])
        return begins, ends

    def _judged(self, statement: Select[Any]) -> list[Line]:
        """Return what the rows mean that a statement finds."""
        lines: list[Line] = []
        for found in self._asked(statement):
            lines += [line for part in self._history.lines([[_row(*row) for row in found]]) for line in part]
        return lines

    def _add_open(self, lines: list[Line], moment: int, spans: tuple[array[int], array[int]]) -> None:
        for line in lines:
            login, end = line[5], _end(line, moment)
            if self._since <= login <= self._until:
                self._found.quarters[login // QUARTER] += 1
                self._found.seconds[one_form(line[1].decode())] += _lasted(login, end)
            if login <= self._until and end is not None and end >= max(login, self._since):
                spans[0].append(max(login, self._since))
                spans[1].append(end)

    def _sum_up(self) -> None:
        found = self._found
        for column, counts in ((wtmp.c.User, found.users), (wtmp.c.RemoteHost, found.hosts), (wtmp.c.Service, found.services)):
            lasted = [func.sum(_LASTED)] if counts is found.users else []
            for rows in self._asked(self._wishes.of(select(column, func.count(), *lasted)).group_by(column)):
                for stored, number, *seconds in rows:
                    _add(counts, stored, number)
                    if seconds:
                        _add(found.seconds, stored, int(seconds[0]))

    def _longest(self, lines: list[Line], moment: int) -> None:
        """Find the longest sessions; of equally long ones the earlier counts."""
        most = self._wishes.most
        statement = self._wishes.of(select(*_ROW)).where(wtmp.c.Logout != 0).order_by(_LASTED.desc(), wtmp.c.Login, wtmp.c.ID).limit(most)
        ended: list[Line] = [_row(*row) for rows in self._asked(statement) for row in rows]
        known = [(_lasted(line[5], line[6]), line) for line in ended]
        known += [(_lasted(line[5], _end(line, moment)), line) for line in lines if self._since <= line[5] <= self._until]
        known.sort(key=lambda pair: (-pair[0], pair[1][5], pair[1][7] or 0))
        self._found.longest = [Session(line, seconds) for seconds, line in known[:most]]

    def _uptime(self, boots: list[Line], moment: int) -> None:
        found = self._found
        found.boots = sum(self._since <= line[5] <= self._until for line in boots)
        found.crashes = sum(line[0] == End.CRASH and line[6] is not None and self._since <= line[6] <= self._until for line in boots)
        at = found.begin or 0
        for line in sorted(boots, key=lambda line: line[5]):
            begin, end = max(line[5], at), min(_end(line, moment) or 0, found.end or 0)
            if end > begin:
                found.up += end - begin
                at = end


def _row(*columns: Any) -> Row:
    *texts, login, logout, ident, type_ = columns
    user, tty, host, service = (None if text is None else as_text(text_of(text)) for text in texts)
    return (0, user or b"", tty, host, service, as_time(login) or 0, as_time(logout) or None, ident, type_)


def _end(line: Line, moment: int) -> int | None:
    """Return when a line ended, or until when it is known to have lasted; None where nobody knows."""
    return max(moment, line[5]) if line[0] in _LIVES else line[6]


def _lasted(login: int, end: int | None) -> int:
    return 0 if end is None else max(end // SECOND - login // SECOND, 0)


def _peak(begins: list[int], ends: list[int]) -> tuple[int, int | None]:
    """Return the most stretches at one moment, and the first such moment; both ends belong to a stretch."""
    most, when, over = 0, None, 0
    for begun, begin in enumerate(begins, 1):
        while ends[over] < begin:
            over += 1
        if begun - over > most:
            most, when = begun - over, begin
    return most, when


def _failures(database: Database, wishes: Wishes, found: Picture) -> None:
    quarters: Counter[int] = Counter()
    found.failed_quarters = quarters
    quarter = (wtmp.c.Login // _QUARTER).label("quarter")
    if database.has("wtmp"):
        for window in database.windows():
            values = {**window, **wishes.bounds}
            for at, number in database.all(wishes.of(select(quarter, func.count())).where(between_ids).group_by("quarter"), values):
                quarters[int(at)] += number
            for host, number in database.all(
                wishes.of(select(wtmp.c.RemoteHost, func.count())).where(between_ids).group_by(wtmp.c.RemoteHost), values
            ):
                _add(found.failed_hosts, host, number)
    if database.has("counted"):
        statement = select(counted.c.first, counted.c.host, counted.c.number).where(counted.c.first.between(bindparam("since"), bindparam("until")))
        for column, wish in ((counted.c.user, wishes.user), (counted.c.host, wishes.host)):
            if wish is not None:
                statement = statement.where(column.in_(forms(wish)))
        for first, host, number in database.all(statement, wishes.bounds):
            attempts = as_time(number) or 0  # the file may be damaged
            quarters[(as_time(first) or 0) // QUARTER] += attempts
            _add(found.failed_hosts, host, attempts)


def _add(counts: Counter[str], stored: object, number: int) -> None:
    text = text_of(stored)
    if text:
        counts[one_form(text)] += number
