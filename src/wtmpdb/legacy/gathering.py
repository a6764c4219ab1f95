# SPDX-License-Identifier: BSD-2-Clause
"""Gathering: from the records of all sources to the rows that an import is about to write.

The sources are read as one, oldest first, so that a session may begin in one file and end in the next. What two of them hold both counts once. What
an earlier import left open goes on here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtmpdb.entry import CLOCK_TTYS, SECOND, EntryType, now
from wtmpdb.legacy.findings import Inspector
from wtmpdb.legacy.pairing import CLOCK_IS, CLOCK_WAS, LARGEST_SECOND, moment
from wtmpdb.legacy.record import BOOT_TIME, NO_ADDRESS, RUN_LVL, USER_PROCESS, Fields
from wtmpdb.legacy.sessions import BOOT, LOGOUT, REBOOT, REPLACED, RUNLEVEL, SESSION, SHUTDOWN, Attempts, Forward, Paired
from wtmpdb.legacy.staging import BOOT_WITHIN, PLACES, Staging, identity, identity_of_row
from wtmpdb.text import restore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from wtmpdb.entry import Row
    from wtmpdb.legacy.sources import Source
    from wtmpdb.legacy.staging import Staged
    from wtmpdb.log import Log

    Tell = Callable[[str, int, int | None], None]

_MOST_REMEMBERED = 100_000
_LARGEST_PLACE = 2**PLACES
_CLOCK_TTYS = dict(zip((CLOCK_WAS, CLOCK_IS), CLOCK_TTYS, strict=True))
_REBOOTS = (b"reboot", b"soft-reboot")

_LEFT_OPEN = """SELECT i.entry_id, User, TTY, RemoteHost, wtmp.Login, record_hash, nth, pid, line_id FROM wtmp JOIN imported i
    ON i.entry_id = wtmp.ID AND i.login = wtmp.Login
    WHERE (wtmp.Login, wtmp.ID) >= (?, ?) AND wtmp.Login <= ? AND Type = ? AND coalesce(Logout, 0) = 0
    AND NOT EXISTS (SELECT 1 FROM session WHERE session.entry_id = wtmp.ID AND session.login = wtmp.Login) ORDER BY wtmp.Login, wtmp.ID"""


_IMPORTED = "SELECT entry_id, login, record_hash, nth, pid, line_id, address FROM imported WHERE entry_id IN ({})"


class Gathering:
    """From the records of all sources to staged rows.

    ``repeated`` counts records that an earlier source has too, ``ignored`` those that begin and end nothing, by type, ``unmatched`` the logouts of
    nobody; ``first`` and ``last`` are the times of the earliest and the latest record in µs.
    """

    def __init__(self, log: Log, staging: Staging, running: str, *, system: bool, failed: bool) -> None:
        """Prepare; ``running`` is the key of the boot that runs, ``system`` keeps run levels and changes of the clock as well.

        The records are those of logins that ``failed``, or else of sessions and of the system.
        """
        self._log = log
        self._staging = staging
        self._stored = staging.stored
        self._running = running
        self._system = system
        self._engine: Forward[int] | Attempts[int] = Attempts() if failed else Forward(system=system)
        self._again: dict[bytes, int] = {}
        self._carried: dict[tuple[bytes, int], int] = {}
        self._told_anew: list[tuple[int]] = []
        self._boot: tuple[int, int | None] = 0, None
        self._at = 0
        self.repeated = 0
        self.first: int | None = None
        self.last: int | None = None
        self.ignored = self._engine.ignored

    @property
    def unmatched(self) -> int:
        """Return how many logouts were of nobody who had logged in."""
        return self._engine.unmatched

    def read(self, sources: Sequence[Source], tell: Tell) -> None:
        """Stage what the sources tell, which come oldest first; ``tell`` is told how far that is, in bytes."""
        before: list[tuple[int, Source]] = []
        self._carry(min((source.first for source in sources if source.first is not None), default=None))
        total = sum(source.size or 0 for source in sources) if all(source.size is not None for source in sources) else None
        done = 0
        for number, source in enumerate(sources):
            self._staging.name_source(number, source.name, is_database=source.is_database)
            if source.is_database:
                self._stage_rows(number, source)
            else:
                overlap = Overlap(self._log, before, source)
                for ended in self._engine.pair(self._chunks(number, source, overlap)):
                    self._stage(ended)
                    tell("reading", done + self._at, total)
                before.append((number, source))
            done += source.size or 0
        for ended in self._engine.finish():
            self._stage(ended)
        self._staging.settle(self._told_anew)

    def _chunks(self, number: int, source: Source, overlap: Overlap) -> Iterator[list[tuple[Fields, int]]]:
        base = number << PLACES
        with source.open() as file:
            inspector = Inspector(file.layout, now())
            for seen in inspector.watch(file.chunks()):
                chunk = list(zip(seen.fields, seen.positions, strict=True))
                source.records += len(chunk)
                if not chunk:
                    continue
                self._span(source, chunk)
                fresh = overlap.without(chunk)
                self.repeated += len(chunk) - len(fresh)
                self._at = chunk[-1][1]
                yield [(fields, base + place) for fields, place in fresh] if base else fresh
            inspector.finish(file.skipped)
            source.note(file.skipped, inspector.counts)

    def _span(self, source: Source, chunk: list[tuple[Fields, int]]) -> None:
        seconds = [item[0][6] for item in chunk if item[0][6] or item[0][0]]  # not of zeros
        if not seconds:
            return
        last = moment(max(seconds) + 1, 0) - 1
        source.latest = last if source.latest is None else max(last, source.latest)
        self._extend(moment(min(seconds), 0), moment(max(seconds), 0))

    def _extend(self, first: int, last: int) -> None:
        self.first = first if self.first is None else min(first, self.first)
        self.last = last if self.last is None else max(last, self.last)

    # What an earlier import left open goes on where the oldest source begins.

    def _carry(self, first: int | None) -> None:
        if first is None or not self._log.query("SELECT 1 FROM imported LIMIT 1"):
            return
        boots = self._log.boots()
        boot = next((boot for boot in reversed(boots) if boot.login <= first), None)
        begin = (boot.login, boot.id) if boot else (-(2**63), 0)
        self._boot = (boot.login, boot.logout) if boot else self._boot
        if boot and boot.logout is None and boot.key != self._running:
            self._engine.carry(_fields(BOOT_TIME, boot.login, b"~", b"reboot", boot.kernel), -boot.id)
            for key, nth in self._log.query("SELECT record_hash, nth FROM imported WHERE entry_id = ?", (boot.id,)):
                self._carried[key, nth] = -boot.id
        if boot and boot.logout is not None and boot.logout <= first:
            begin = (boot.logout + 1, 0)
        self._carry_open(SESSION, begin, first)
        if self._system:  # a run level outlives a crash
            shut = max((boot.logout for boot in boots if boot.logout is not None and boot.logout <= first), default=-(2**63))
            self._carry_open(RUNLEVEL, (shut, 0), first)

    def _carry_open(self, kind: int, begin: tuple[int, int], until: int) -> None:
        for ident, user, tty, host, login, key, nth, pid, line_id in self._log.query(_LEFT_OPEN, (*begin, until, kind)):
            self._carried[key, nth] = -ident
            opening, line = (USER_PROCESS, restore(tty or b"")) if kind == SESSION else (RUN_LVL, b"~")
            fields = _fields(opening, login, line, restore(user), restore(host or b""), pid or 0, restore(line_id or b""))
            self._engine.carry(fields, -ident)

    # Staging

    # The loop over a million records: nearly all are sessions that ended with a logout.
    def _stage(self, ended: list[Paired[int]]) -> None:
        rows: list[Staged] = []
        stored, is_special = self._stored, self._again or self._carried
        for item in ended:
            _, fields, place, end, how = item
            _, pid, line, ident, user, host, seconds, micro, address, _, _, _ = fields
            if how is LOGOUT and place >= 0 and 0 <= seconds <= LARGEST_SECOND and 0 <= micro < SECOND and not is_special:
                at = seconds * SECOND + micro
                kept = None if address == NO_ADDRESS else address
                key = identity(fields, at)
                rows.append((place, SESSION, stored[user] or "", at, end, stored[line], stored[host], key, 0, pid, stored[ident], kept))
            elif row := self._row(*item):
                rows.append(row)
                is_special = self._again or self._carried
        self._staging.stage(rows)

    def _row(self, kind: int, fields: Fields, place: int, end: int | None, how: str) -> Staged | None:
        at = moment(fields[6], fields[7])
        user, tty, logout = fields[4], fields[2], end
        if kind == SESSION:
            if how in (SHUTDOWN, REBOOT):
                logout = self._end_with_boot(at, end, how)
        elif kind == BOOT:
            self._boot = at, end
            user, tty, logout = user if user in _REBOOTS else b"reboot", b"~", end if how == SHUTDOWN else None
        elif kind == RUNLEVEL:
            tty = b"(to lvl %c)" % (fields[1] & 0xFF)
        elif kind == EntryType.SHUTDOWN:
            return None  # told by its boot
        else:
            kind, tty, logout = RUNLEVEL, _CLOCK_TTYS[kind], at
        if place < 0:  # in the database already: only its end is news
            return None if logout is None else self._staging.row(place, kind, fields, at, logout, user, tty, b"", 0)
        key = identity(fields, at)
        nth = self._again.pop(key, 0) if self._again else 0
        if end == at and how in (REPLACED, REBOOT):
            self._expect_again(key, nth + 1)
        if self._carried and (key, nth) in self._carried:  # in a file that is not in the order of time
            self._told_anew.append((self._carried[key, nth],))
        return self._staging.row(place, kind, fields, at, logout, user, tty, key, nth)

    def _end_with_boot(self, login: int, end: int | None, how: str) -> int | None:
        """Return the end to store of a session that ended with its boot: none where boots and their shutdowns will tell it."""
        booted, shut = self._boot
        if how == REBOOT or end is None:
            return None
        return None if shut is not None and booted <= login <= shut and abs(shut - end) <= BOOT_WITHIN else end

    def _expect_again(self, key: bytes, nth: int) -> None:
        """Note that the next record may be the same once more: it has ended this one at once."""
        if len(self._again) >= _MOST_REMEMBERED:
            self._again.clear()
        self._again[key] = nth

    # Databases

    def _stage_rows(self, number: int, source: Source) -> None:
        with source.open_database() as log:
            is_ours = bool(log.query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'imported'"))
            for chunk in log.rows():
                known = _identities(log, chunk) if is_ours else {}
                self._staging.stage_rows([staged for row in chunk if (staged := self._row_of_database(number, source, row, known))])

    def _row_of_database(self, number: int, source: Source, row: Row, known: dict[tuple[int, int], Staged]) -> Staged | None:
        _, user, tty, host, service, login, logout, ident, kind = row
        source.records += 1
        if kind not in (BOOT, SESSION) and not (self._system and kind == RUNLEVEL):
            source.skip("run level" if kind == RUNLEVEL else "unknown type")
            return None
        if login <= 0 or not 0 < ident < _LARGEST_PLACE:
            source.skip("without a time" if login <= 0 else "impossible ID")
            return None
        self._extend(login, login)
        texts = [None if text is None else text.decode("utf-8", "replace") for text in (user, tty, host, service)]
        told = known.get((ident, login)) or (identity_of_row(login, b"%d" % kind, user, tty, host, service), 0, None, None, None)
        return ((number << PLACES) + ident, kind, texts[0] or "", login, logout or None, *texts[1:3], *told, texts[3])


class Overlap:
    """What of a file has been read in earlier ones: copies and rotated files may hold the same records."""

    def __init__(self, log: Log, before: list[tuple[int, Source]], source: Source) -> None:
        first = source.first
        latest = max((other.latest for _, other in before if other.latest is not None), default=None)
        self._log = log
        self._latest: int | None = None
        if first is None or latest is None or first > latest:
            return
        self._latest = latest
        log.query("CREATE TEMP TABLE IF NOT EXISTS seen (record BLOB PRIMARY KEY) WITHOUT ROWID")
        for _, other in before:
            if other.latest is not None and other.latest >= first:
                self._gather(other, first)

    def _gather(self, source: Source, since: int) -> None:
        with source.open() as file:
            for chunk in file.forward():
                later = [(identity(fields, at),) for fields, _ in chunk if (at := moment(fields[6], fields[7])) >= since]
                if later:
                    self._log.gather("INSERT OR IGNORE INTO temp.seen VALUES (?)", later)

    def without(self, chunk: list[tuple[Fields, int]]) -> list[tuple[Fields, int]]:
        """Return those of the records that are new."""
        return chunk if self._latest is None else [item for item in chunk if not self._is_seen(item[0], self._latest)]

    def _is_seen(self, fields: Fields, latest: int) -> bool:
        at = moment(fields[6], fields[7])
        return at <= latest and bool(self._log.query("SELECT 1 FROM temp.seen WHERE record = ?", (identity(fields, at),)))


def _identities(log: Log, rows: list[Row]) -> dict[tuple[int, int], Staged]:
    """Return what a database of ours knows of rows that were imported into it: identity, how manieth, pid, id and address, by ID and login."""
    asked = _IMPORTED.format(", ".join(str(row[7]) for row in rows))
    return {
        (ident, login): (key, nth, pid, None if line_id is None else line_id.decode("utf-8", "replace"), address)
        for ident, login, key, nth, pid, line_id, address in log.query(asked)
    }


def _fields(kind: int, at: int, line: bytes, user: bytes, host: bytes, pid: int = 0, ident: bytes = b"") -> Fields:
    seconds, micro = divmod(at, SECOND)
    return kind, pid, line, ident, user, host, seconds, micro, NO_ADDRESS, 0, 0, 0
