# SPDX-License-Identifier: BSD-2-Clause
"""From records to sessions, oldest first: the mirror of `wtmpdb.legacy.pairing`, for the import and the library. No I/O of its own.

A session ends with the next record on its line, be it a logout or a login, and at the latest with the next boundary: a boot, a shutdown, run level 0
or 6. The order is that of the records; times are never compared to find out what comes first. Rotated files are read as one, oldest first.

    >>> from wtmpdb.legacy.reader import open_file
    >>> with open_file("/var/log/wtmp") as file:  # doctest: +SKIP
    ...     for session in sessions(file):
    ...         print(session.user, session.line, session.login, session.end)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic

from wtmpdb.entry import EntryType
from wtmpdb.legacy.open_sessions import MOST, OpenSessions, Tag
from wtmpdb.legacy.pairing import CLOCK_IS, CLOCK_WAS, LARGEST_SECOND, meaning, moment
from wtmpdb.legacy.record import (
    BOOT_TIME,
    DEAD_PROCESS,
    NEW_TIME,
    OLD_TIME,
    RUN_LVL,
    SECOND,
    USER_PROCESS,
    Chunk,
    Fields,
    Record,
    address_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LOGOUT, REPLACED, SHUTDOWN, REBOOT, STILL = "logout", "replaced", "shutdown", "reboot", "still logged in"
"""How a session ended: by its logout; by the next login on its line; with its boot, by a shutdown or without one; not yet."""

CLOCK = "clock"
"""Of a change of the clock: it is no stretch of time."""

RUNLEVEL, BOOT, SESSION = EntryType.RUNLEVEL, EntryType.BOOT_TIME, EntryType.USER_PROCESS

_SPECIAL = b"~|{"  # lines that begin so may be of the system
_HALTS = b"06"
_AT_ONCE = 1024

# What it is (a value of EntryType, CLOCK_WAS or CLOCK_IS), the record that began it, its tag, when it ended (µs, or None), and how.
Paired = tuple[int, Fields, Tag, "int | None", str]


class Attempts(Generic[Tag]):
    """Takes the records of failed logins, in the place of `Forward`: each that names somebody or some place begins and ends at once.

    sshd writes them with the type LOGIN_PROCESS, login with USER_PROCESS. A record may come twice: it is as if the second replaced the first.
    """

    def __init__(self) -> None:
        """Prepare."""
        self.ignored: dict[int, int] = {}
        self.unmatched = 0

    def carry(self, fields: Fields, tag: Tag) -> None:
        """Failed logins are never left open."""

    def pair(self, chunks: Iterable[list[tuple[Fields, Tag]]]) -> Iterator[list[Paired[Tag]]]:
        """Yield the attempts, chunk by chunk."""
        for chunk in chunks:
            attempts: list[Paired[Tag]] = []
            for fields, tag in chunk:
                kind, _, line, _, user, host, seconds, micro, _, _, _, _ = fields
                if line or user or host:
                    attempts.append((SESSION, fields, tag, moment(seconds, micro), REPLACED))
                else:
                    self.ignored[kind] = self.ignored.get(kind, 0) + 1
            yield attempts

    def finish(self) -> Iterator[list[Paired[Tag]]]:
        """Yield nothing more."""
        return iter(())


class Forward(Generic[Tag]):
    """Pairs records, oldest first. What has ended is told when it ends; what belongs to a record, its tag, comes with it.

    ``ignored`` counts the records that begin and end nothing, by type, ``unmatched`` the logouts of nobody.
    """

    def __init__(self, *, system: bool = False, most: int = MOST) -> None:
        """Prepare; ``system`` asks for shutdowns, run levels and changes of the clock beside boots and sessions."""
        self.ignored: dict[int, int] = {}
        self.unmatched = 0
        self._system = system
        self._open: OpenSessions[Tag] = OpenSessions(most)
        self._boot: tuple[Fields, Tag] | None = None
        self._down: tuple[Fields, Tag] | None = None
        self._level: tuple[Fields, Tag] | None = None

    def carry(self, fields: Fields, tag: Tag) -> None:
        """Begin with a session, a boot or a run level that earlier records left open."""
        kind = meaning(fields[0], fields[2], fields[4])
        if kind == BOOT_TIME:
            self._boot = fields, tag
        elif kind == RUN_LVL:
            self._level = fields, tag
        else:
            self._login(fields, tag)

    def pair(self, chunks: Iterable[list[tuple[Fields, Tag]]]) -> Iterator[list[Paired[Tag]]]:
        """Yield what has ended, chunk by chunk."""
        for chunk in chunks:
            yield from self._pair(chunk)
            self._open.spill()

    def finish(self) -> Iterator[list[Paired[Tag]]]:
        """Yield what has not ended."""
        for openings in self._open.take_all():
            yield [(SESSION, fields, tag, None, STILL) for fields, tag in openings]
        rest = ((BOOT, self._boot), (EntryType.SHUTDOWN, self._down), (RUNLEVEL, self._level))
        yield [(kind, *begun, None, STILL) for kind, begun in rest if begun]
        self._boot = self._down = self._level = None

    # The loop over a million records: nearly all are logins and logouts that are what they say.
    def _pair(self, chunk: list[tuple[Fields, Tag]]) -> Iterator[list[Paired[Tag]]]:
        ended: list[Paired[Tag]] = []
        open_, pop = self._open, self._open.pop
        for item in chunk:
            fields = item[0]
            kind, _, line, _, user, _, seconds, micro, _, _, _, _ = fields
            if not line or line[0] in _SPECIAL:
                kind = 0
            if kind == DEAD_PROCESS or (kind == USER_PROCESS and user):
                begun = pop(line, None) or (open_.recall(line) if open_.is_spilled else None)
                if begun:
                    at = seconds * SECOND + micro if 0 <= micro < SECOND and 0 <= seconds <= LARGEST_SECOND else moment(seconds, micro)
                    ended.append((SESSION, *begun, at, LOGOUT if kind == DEAD_PROCESS else REPLACED))
                elif kind == DEAD_PROCESS:
                    self.unmatched += 1
                if kind == USER_PROCESS:
                    open_[line] = item
            else:
                for more in self._any(*item):
                    ended += more
                    if len(ended) > _AT_ONCE:
                        yield ended
                        ended = []
        yield ended

    # Every other record.
    def _any(self, fields: Fields, tag: Tag) -> Iterator[list[Paired[Tag]]]:
        kind = meaning(fields[0], fields[2], fields[4])
        at = moment(fields[6], fields[7])
        if kind in (USER_PROCESS, DEAD_PROCESS):
            yield self._on_a_line(kind, fields, tag, at)
        elif kind == BOOT_TIME:
            yield from self._boundary(at, REBOOT)
            self._boot = fields, tag
        elif kind == EntryType.SHUTDOWN:
            yield from self._boundary(at, SHUTDOWN)
            yield self._new_level(None, at)
            self._down = (fields, tag) if self._system else None
        elif kind == RUN_LVL:
            if fields[1] & 0xFF in _HALTS:
                yield from self._boundary(at, SHUTDOWN)
            yield self._new_level((fields, tag), at)
        elif kind in (OLD_TIME, NEW_TIME):
            yield [(CLOCK_WAS if kind == OLD_TIME else CLOCK_IS, fields, tag, None, CLOCK)] if self._system else []
        else:
            self.ignored[kind] = self.ignored.get(kind, 0) + 1

    def _on_a_line(self, kind: int, fields: Fields, tag: Tag, at: int) -> list[Paired[Tag]]:
        begun = self._open.take(fields[2]) if fields[2] else None
        if kind == USER_PROCESS:
            self._login(fields, tag)
        elif not fields[2]:
            self.ignored[fields[0]] = self.ignored.get(fields[0], 0) + 1
        elif not begun:
            self.unmatched += 1
        return [(SESSION, *begun, at, REPLACED if kind == USER_PROCESS else LOGOUT)] if begun else []

    def _login(self, fields: Fields, tag: Tag) -> None:
        if fields[2]:
            self._open[fields[2]] = fields, tag
        else:
            self._open.add_nameless(fields, tag)

    def _boundary(self, at: int, why: str) -> Iterator[list[Paired[Tag]]]:
        """End the boot, then all sessions; a boundary without a time ends them nobody knows when, as in `last`."""
        yield [(kind, *begun, at, why) for kind, begun in ((BOOT, self._boot), (EntryType.SHUTDOWN, self._down)) if begun]
        self._boot = self._down = None
        end, how = (at, why) if at // SECOND else (None, STILL)
        for openings in self._open.take_all():
            yield [(SESSION, fields, tag, end, how) for fields, tag in openings]

    def _new_level(self, level: tuple[Fields, Tag] | None, at: int) -> list[Paired[Tag]]:
        before, self._level = self._level, level if self._system else None
        return [(RUNLEVEL, *before, at, REPLACED if level else SHUTDOWN)] if before else []


class Session:
    """A stretch of time that records tell of. Text is `str`; bytes that are not UTF-8 are surrogate escapes.

    ``type`` is a value of `EntryType` (a session, unless more was asked for), ``record`` the record that began it, ``logout`` when it ended, in µs
    since the epoch, UTC, None where it has not; ``end`` is how: a constant of this module.
    """

    __slots__ = ("end", "logout", "record", "type")

    def __init__(self, kind: int, record: Record, logout: int | None, end: str) -> None:
        """Keep the four."""
        self.type = kind
        self.record = record
        self.logout = logout
        self.end = end

    @property
    def user(self) -> str:
        """The name of the user."""
        return self.record.user

    @property
    def line(self) -> str:
        """The terminal without ``/dev/``, ``~`` for what concerns the system."""
        return self.record.line

    @property
    def host(self) -> str:
        """Where the user came from; of a boot, the kernel's release."""
        return self.record.host

    @property
    def address(self) -> str | None:
        """The remote address in its usual form, or None."""
        fields = self.record.fields
        return address_text(fields[8], fields[5])

    @property
    def pid(self) -> int:
        """The process that the first record names."""
        return self.record.pid

    @property
    def login(self) -> int:
        """When it began, µs since the epoch, UTC."""
        fields = self.record.fields
        return moment(fields[6], fields[7])

    @property
    def duration(self) -> int | None:
        """How long it lasted, in µs; negative where the clock was set back, None where it has not ended."""
        return None if self.logout is None else self.logout - self.login

    @property
    def active(self) -> bool:
        """Tell whether the records know of no end."""
        return self.end == STILL

    def covers(self, at: int) -> bool:
        """Tell whether it lasted at a moment (µs), its ends included."""
        return self.login <= at and (self.logout is None or at <= self.logout)

    def __repr__(self) -> str:
        """Show who, where, when and how."""
        return f"<Session {self.user!r} on {self.line!r} from {self.host!r}, {self.login} to {self.logout}: {self.end}>"


def sessions(records: Iterable[Record], *, system: bool = False) -> Iterator[Session]:
    """Yield the sessions of records that come oldest first, each when it has ended; those that have not come last.

    With ``system`` boots, shutdowns, run levels and changes of the clock come as well, told by their ``type``. Memory is bounded, whatever is read.
    """
    for kind, _, record, end, how in paired(records, system=system):
        if system or kind == SESSION:
            yield Session(kind, record, end, how)


def paired(records: Iterable[Record], *, system: bool = False) -> Iterator[Paired[Record]]:
    """Yield what `Forward` finds, with the records as tags."""
    engine: Forward[Record] = Forward(system=system)
    for found in engine.pair(_in_chunks(records)):
        yield from found
    for found in engine.finish():
        yield from found


def _in_chunks(records: Iterable[Record]) -> Iterator[list[tuple[Fields, Record]]]:
    chunk: list[tuple[Fields, Record]] = []
    for record in records:
        fields = record.fields
        # A record keeps all that were read with it; one that may stay for long, a login, is taken out.
        alone = record if fields[0] == DEAD_PROCESS else Record(Chunk([fields], [record.position], [record.raw]), 0, record.source)
        chunk.append((fields, alone))
        if len(chunk) == _AT_ONCE:
            yield chunk
            chunk = []
    yield chunk
