# SPDX-License-Identifier: BSD-2-Clause
"""Failed logins: from their spool into their file, in which each is a row whose logout is its login.

An attack must neither fill the disk nor wear the machine out. What comes faster than a person types is not written as rows but counted, for each day,
host, user and service; and so is what goes beyond a day's rows. Where too many letters wait, the PAM module itself only counts, without saying whom.

Each attempt is taken once: the letters of the last transaction are named in it, so that those which a kill has left in the spool are known again.

A spool and a file of their own keep all this apart from sessions: whatever is wrong with the one does not touch the other.
"""

from __future__ import annotations

import os
import sqlite3
from itertools import islice
from time import monotonic, sleep

from wtmpdb import schema
from wtmpdb.entry import SECOND, EntryType
from wtmpdb.errors import WtmpdbError, complain
from wtmpdb.event import FAILED, BrokenLetterError
from wtmpdb.log import FAILED as DATABASE
from wtmpdb.log import Log
from wtmpdb.spool import FAILED_SPOOL, BusyError, Spool, SpoolError, waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wtmpdb.event import Event
    from wtmpdb.recorder.loop import Loop

    Key = tuple[int, str, str, str]

PER_HOST, PER_USER = 20, 10
"""So many attempts from a host, and for a user from a host, become rows in a minute of the clock; the rest is only counted. An IPv6 network of 64
bits, of which each customer has one at least, is one host."""

MOST_ROWS = 100_000
"""So many attempts become rows in a day (UTC); the rest is only counted."""

MOST_KEYS = 10_000
"""So many hosts, users and services are told apart of what is counted in a day; the rest is counted together."""

LARGEST_FILE = 1 << 30
"""So many bytes the file may have, which are millions of attempts; then all are only counted: a long attack must not fill a disk either."""

FEW_KEYS = 100
"""So many hosts, users and services are told apart in a day while the file is that large."""

BATCH = 500
"""How many letters go into one transaction."""

UNCOUNTED = "uncounted"
"""The file to which the PAM module appends a byte for each attempt while it is there; it makes it when too many letters wait."""

EVERY, RETRY = 2.0, 10.0
"""So many seconds a recorder lets failed logins gather, and lets pass before it tries again what went wrong."""

MINUTE, DAY = 60 * SECOND, 86_400 * SECOND

_MOST_UNCOUNTED = 1 << 24
_MOST_FILES = 1000
_AT_ONCE = 100
_PATIENCE = 0.05
_MOMENT = 0.005  # who has opened the file appends its byte meanwhile
_LARGEST = 2**63 - 1


class Taken:
    """What was done, in numbers of attempts: written as rows, only counted; and of letters that were broken."""

    __slots__ = ("broken", "counted", "rows")

    def __init__(self) -> None:
        """Start at nothing."""
        self.rows = 0
        self.counted = 0
        self.broken = 0

    def __str__(self) -> str:
        """Say it in a line; an empty one when there was nothing to do."""
        numbers = ((self.rows, "failed"), (self.counted, "failed and only counted"), (self.broken, "broken of failed ones"))
        return ", ".join(f"{number} {what}" for number, what in numbers if number)


def anything_waits(spool: str = FAILED_SPOOL) -> bool:
    """Tell whether there is something to take; False where there is no spool, or it may not be seen."""
    return waiting(spool) or bool(_uncounted(spool)) or os.path.exists(f"{spool}/{UNCOUNTED}")


def take_failures(
    database: str | None = None, spool: str = FAILED_SPOOL, *, timeout: float = 5.0, wait: float = 0.0, owner: int = 0, most: int = 50_000
) -> Taken:
    """Take what waits, but at most so many letters (``most``), into the file of failed logins, which is made where it is missing.

    ``timeout`` is how many seconds a lock on the database is waited for, ``wait`` how many somebody else who empties the spool. Raises SpoolError
    and LogError; what was not taken then waits for the next time.
    """
    taken = Taken()
    if not anything_waits(spool):
        return taken
    try:
        with Spool(spool, owner=owner, wait=wait, kinds=(FAILED,)) as letters:
            letters.rescue()
            with Log.write(DATABASE if database is None else database, timeout=timeout, private=True) as log:
                _take_all(letters, _Keeper(log, taken), most)
    except OSError as error:  # of the spool: those of the database are told as LogError
        raise SpoolError(f"{spool}: {error.strerror or error}") from error
    return taken


def _take_all(letters: Spool, keeper: _Keeper, left: int) -> None:
    before: list[str] = []
    while left > 0 and (names := letters.names()) != before:  # a broken letter may not let itself be moved away
        for start in range(0, min(len(names), left), BATCH):
            _batch(letters, keeper, names[start : min(start + BATCH, left)])
        left -= len(names)
        before = names
    if left > 0:
        _set_aside(letters.path)
        for name in _uncounted(letters.path):
            _take_uncounted(f"{letters.path}/{name}", keeper)


def _batch(letters: Spool, keeper: _Keeper, names: list[str]) -> None:
    events = []
    for name in names:
        try:
            events.append(letters.read(name))
        except FileNotFoundError:
            continue
        except BrokenLetterError as error:
            complain(f"wtmpdb recorder: letter failed/{name!a} is broken: {error}: put into bad/")
            keeper.done.broken += 1
            letters.quarantine(name)
    keeper.write(events, lambda name: letters.has(name) or os.path.lexists(f"{letters.path}/{name}"))
    for event in events:
        letters.remove(event.id)


def _set_aside(spool: str) -> None:
    """Give the file of what the module has only counted another name, now that the letters are taken: the module writes letters again."""
    path = f"{spool}/{UNCOUNTED}"
    try:
        os.rename(path, f"{path}.{os.stat(path).st_mtime_ns}")
    except FileNotFoundError:
        return
    sleep(_MOMENT)


def _uncounted(spool: str) -> list[str]:
    try:
        with os.scandir(spool) as files:
            return [file.name for file in islice(files, _MOST_FILES) if file.name.startswith(f"{UNCOUNTED}.")]
    except OSError:
        return []


def _take_uncounted(path: str, keeper: _Keeper) -> None:
    facts = os.stat(path, follow_symlinks=False)
    keeper.add(os.path.basename(path), min(facts.st_size, _MOST_UNCOUNTED), facts.st_mtime_ns // 1000)
    os.unlink(path)


class Failures:
    """Takes failed logins for a recorder: the first at once, then what has gathered; what goes wrong is said once."""

    def __init__(self, spool: str, *, owner: int = 0) -> None:
        """Begin with the spool of sessions, in which that of failed logins is, and beside which their file is."""
        self._spool, self._database = f"{spool}/failed", os.path.join(os.path.dirname(spool), os.path.basename(DATABASE))
        self._owner = owner
        self._again = 0.0
        self._said = ""

    def take(self) -> Taken:
        """Take all that waits. Raises SpoolError and LogError."""
        return take_failures(self._database, self._spool, owner=self._owner, wait=RETRY)

    def look(self) -> float | None:
        """Take some of what waits, unless that was done just now; return in how many seconds to look again, or None: when there is a reason to."""
        if not anything_waits(self._spool):
            return None
        now = monotonic()
        if now < self._again:
            return self._again - now
        try:
            taken = take_failures(self._database, self._spool, timeout=_PATIENCE, owner=self._owner, most=_AT_ONCE)
        except BusyError:
            return EVERY
        except WtmpdbError as error:
            if str(error) != self._said:
                complain(f"wtmpdb recorder: {error}: failed logins wait in the spool", error.hint)
            self._said, self._again = str(error), now + RETRY
            return None
        self._said = ""
        if (taken.rows or taken.counted) and anything_waits(self._spool):
            return 0.0
        self._again = now + EVERY
        return None


class Part:
    """The same in the loop of the resident recorder (`wtmpdb.recorder.server.Part`)."""

    def __init__(self, loop: Loop, spool: str) -> None:
        """Begin to look."""
        self._loop = loop
        self._failures = Failures(spool)
        self._look()

    def applied(self, events: list[Event], log: Log) -> None:
        """Sessions are nothing to us."""

    def close(self) -> None:
        """Nothing is open; what waits waits for the next start."""

    def _look(self) -> None:
        seconds = self._failures.look()
        self._loop.after(EVERY if seconds is None else seconds, self._look)


class _Keeper:
    """Writes into the file of failed logins."""

    def __init__(self, log: Log, done: Taken) -> None:
        self.done = done
        self._log = log
        self._minute = self._day = -1
        self._rows_of_day = 0
        self._hosts: dict[str, int] = {}
        self._users: dict[tuple[str, str], int] = {}
        self._is_large = False
        log.at_once(self._make_tables)
        self._known = {name.decode() for (name,) in log.query("SELECT letter FROM taken")}

    def _make_tables(self) -> None:
        for statement in schema.statements(sqlite3.sqlite_version_info, schema.FAILED_TABLES):
            self._log.query(statement)

    def write(self, events: list[Event], is_there: Callable[[str], bool]) -> None:
        """Write attempts, all in one transaction; ``is_there`` tells of a letter that was taken before whether it has still to be known."""
        new = [event for event in events if event.id not in self._known]
        pages, free, size = (self._log.query(f"PRAGMA {what}")[0][0] for what in ("page_count", "freelist_count", "page_size"))
        self._is_large = (pages - free) * size >= LARGEST_FILE
        rows: list[Event] = []
        counts: dict[Key, list[int]] = {}
        for event in new:
            if self._is_to_be_listed(event):
                rows.append(event)
            else:
                _add(counts, self._key(event), 1, event.time)
        if new:
            self._commit(rows, counts, [event.id for event in new], [name for name in self._known if not is_there(name)])

    def add(self, letter: str, number: int, time: int) -> None:
        """Count attempts of which nothing is known; ``letter`` is what tells them from others."""
        if letter not in self._known and number:
            self._commit([], {(time // DAY * DAY, "", "", ""): [number, time, time]}, [letter], [])

    def _commit(self, rows: list[Event], counts: dict[Key, list[int]], taken: list[str], gone: list[str]) -> None:
        self._log.at_once(lambda: self._write(rows, counts, taken, gone))
        self._known.difference_update(gone)
        self._known.update(taken)
        self.done.rows += len(rows)
        self.done.counted += sum(number for number, _, _ in counts.values())

    def _write(self, rows: list[Event], counts: dict[Key, list[int]], taken: list[str], gone: list[str]) -> None:
        ask = self._log.query
        for name in gone:
            ask("DELETE FROM taken WHERE letter = ?", (name,))
        for name in taken:
            ask("INSERT INTO taken VALUES (?)", (name,))
        insert = "INSERT INTO wtmp (Type, User, Login, Logout, TTY, RemoteHost, Service) VALUES (?, ?, ?, ?, ?, ?, ?)"
        for event in rows:
            ask(insert, (EntryType.USER_PROCESS, event.user, event.time, event.time, event.tty, event.host, event.service))
        for day in sorted({key[0] for key in counts}):
            self._count(day, {key: value for key, value in counts.items() if key[0] == day})

    # What becomes a row

    def _is_to_be_listed(self, event: Event) -> bool:
        """Tell whether an attempt becomes a row, and count on that it does."""
        source = _source(event.host or "")
        self._look_at(event.time)
        is_too_much = self._hosts.get(source, 0) >= PER_HOST or self._users.get((source, event.user), 0) >= PER_USER
        if is_too_much or self._is_large or self._rows_of_day >= MOST_ROWS:
            return False
        self._rows_of_day += 1
        self._hosts[source] = self._hosts.get(source, 0) + 1
        self._users[source, event.user] = self._users.get((source, event.user), 0) + 1
        return True

    def _look_at(self, time: int) -> None:
        """Know how many rows there are of this day, and of this minute; what was read last is remembered: attempts come in the order of time."""
        within = "FROM wtmp WHERE Login BETWEEN ? AND ?"
        if time // DAY != self._day:
            self._day = time // DAY
            self._rows_of_day = self._log.query(f"SELECT count(*) {within}", _span(self._day, DAY))[0][0]
        if time // MINUTE != self._minute:
            self._minute = time // MINUTE
            self._hosts, self._users = {}, {}
            found = self._log.query(f"SELECT coalesce(RemoteHost, ''), User, count(*) {within} GROUP BY 1, 2", _span(self._minute, MINUTE))
            for raw_host, raw_user, number in found:
                source, user = _source(raw_host.decode()), raw_user.decode()
                self._hosts[source] = self._hosts.get(source, 0) + number
                self._users[source, user] = self._users.get((source, user), 0) + number

    def _key(self, event: Event) -> Key:
        """Return what an attempt is counted under: its user, if that is what was too much, or any user of the host."""
        host = event.host or ""
        user = event.user if self._users.get((_source(host), event.user), 0) >= PER_USER else ""
        return event.time // DAY * DAY, host, user, event.service or ""

    # What is counted

    def _count(self, day: int, counts: dict[Key, list[int]]) -> None:
        before, keys = self._log.query("SELECT coalesce(sum(number), 0), count(*) FROM counted WHERE day = ?", (day,))[0]
        most = FEW_KEYS if self._is_large else MOST_KEYS
        for key, (number, first, last) in counts.items():
            keys += self._add(key if keys < most or self._is_counted(key) else (day, "", "", ""), number, first, last)
        why = f"{self._log.path} is too large to list failed logins" if self._is_large else "failed logins come too fast"
        _tell(why, day, before, before + sum(number for number, _, _ in counts.values()))

    def _is_counted(self, key: Key) -> bool:
        return bool(self._log.query("SELECT 1 FROM counted WHERE (day, host, user, service) = (?, ?, ?, ?)", key))

    def _add(self, key: Key, number: int, first: int, last: int) -> bool:
        """Add to a count; True when it is a new one."""
        is_new = not self._is_counted(key)
        self._log.query(
            "INSERT INTO counted (day, host, user, service, number, first, last) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET number = number + excluded.number, first = min(first, excluded.first), last = max(last, excluded.last)",
            (*key, number, first, last),
        )
        return is_new


def _source(host: str) -> str:
    """Return what a rate is kept for: a host, or the network of 64 bits of an IPv6 address."""
    if ":" in host:
        from _socket import AF_INET6, inet_pton  # noqa: PLC0415 - `socket` itself takes a megabyte

        try:
            packed = inet_pton(AF_INET6, host.partition("%")[0])
        except (OSError, ValueError):
            return host
        return (packed if packed.startswith(bytes(8)) else packed[:8]).hex()  # an IPv4 address in the form of IPv6 begins with zeros
    return host


def _add(counts: dict[Key, list[int]], key: Key, number: int, time: int) -> None:
    known = counts.setdefault(key, [0, time, time])
    known[:] = known[0] + number, min(known[1], time), max(known[2], time)


def _span(number: int, length: int) -> tuple[int, int]:
    """Return the first and the last moment of a minute or a day."""
    return number * length, min((number + 1) * length - 1, _LARGEST)


def _tell(why: str, day: int, before: int, after: int) -> None:
    """Say that attempts are only counted when there are ten times as many as when it was said last: an attack must not fill the log either."""
    if not before or len(str(before)) < len(str(after)):
        from time import gmtime, strftime  # noqa: PLC0415 - seldom

        date = strftime("%Y-%m-%d", gmtime(day // SECOND))
        complain(f"wtmpdb recorder: {why}: {after:,} of {date} are only counted", "wtmpdb lastb --by host")
