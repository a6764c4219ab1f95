# SPDX-License-Identifier: BSD-2-Clause
"""Signs that an old file was damaged or tampered with: one pass, bounded memory. No I/O of its own.

Each has a position, the stretch of time that its good neighbours bound, and what may have caused it innocently: it is a reason to look, no proof.
Whoever removes a login from a file leaves its logout, a hole, a gap in time or zeros; whoever rewrites one leaves the end of the longer name.
"""

from __future__ import annotations

from itertools import compress
from operator import not_, sub

from wtmpdb.legacy.fixed import FixedLayout
from wtmpdb.legacy.layouts import FREEBSD_LOG
from wtmpdb.legacy.record import (
    BOOT_TIME,
    DEAD_PROCESS,
    EMPTY,
    INIT_PROCESS,
    LOGIN_PROCESS,
    NEW_TIME,
    NO_ADDRESS,
    RUN_LVL,
    SECOND,
    USER_PROCESS,
)
from wtmpdb.legacy.resync import TRUNCATED
from wtmpdb.text import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wtmpdb.legacy.fixed import Layout
    from wtmpdb.legacy.reader import LegacyFile
    from wtmpdb.legacy.record import Chunk, Fields
    from wtmpdb.legacy.resync import Skipped

# The thresholds. All times are in µs.
MINUTE = 60 * SECOND
BACK = MINUTE
"""A record may be so much older than the one before it: programs that write at the same time need not write in order, and clocks are corrected."""
GAP = 7 * 24 * 60 * MINUTE
"""A gap is at least so long …"""
TIMES_USUAL = 50
"""… and at least so many times the usual distance between two records of the file …"""
USUAL = 20
"""… of which there have to be so many before anything is usual."""
TWICE = MINUTE
"""Logouts, boots and shutdowns that come again within this time tell of the same thing: sshd and its PAM modules both write a logout."""
FUTURE = 24 * 60 * MINUTE
"""A record may be so much younger than the moment of the check."""
CAP = 100
"""So many findings of a kind are kept; the rest is counted."""

_MOST_LINES = 100_000  # terminals that are kept in mind
_LARGEST_PID = 1 << 22
_LARGEST_SECOND = 2**63 // SECOND - 1
_CONTROL = bytes((*range(32), 127))
_KNOWN = frozenset(range(1, 10))
_TYPES = (*_KNOWN, 254)  # 254 is what `last` makes of a shutdown inside
_TEXTS = ("line", "id", "user", "host")
_OF_THE_SYSTEM = (b"~", b"|", b"{")

ZEROED, GAPS, BACKWARD, LOGOUT, IMPOSSIBLE, STALE, SIZE, UNREADABLE, ORDER = KINDS = (
    "zeroed",
    "gap",
    "backward",
    "logout",
    "impossible",
    "stale",
    "size",
    "unreadable",
    "order",
)
"""The kinds of findings."""

INNOCENT = {
    ZEROED: "a power cut while the file was written; in a utmp file, places that are free",
    GAPS: "nobody logged in; recording was off; the clock was set forward; a rotated file is missing",
    BACKWARD: "the clock was set, or the machine has none that runs on without power; files were joined; in a utmp file, any order is right",
    LOGOUT: "a program that records logouts only; a login that could not be written because the disk was full",
    IMPOSSIBLE: "a program that fills in fields wrongly, a clock that was wrong, odd names typed at a login prompt; damage by a disk",
    STALE: "a program that does not clear its memory before it writes; a utmp file, where records are written over",
    SIZE: "a power cut or a full disk while the last record was written; a copy made at that moment",
    UNREADABLE: "damage by a disk or a power cut; records of another layout, after an upgrade or in joined files; a download in text mode",
    ORDER: "the service that records boots was restarted by hand; a boot before the disk could be written; a container",
}
"""What may have caused a finding, without anybody meaning harm."""


class Finding:
    """A sign of damage or tampering.

    ``position`` is a byte offset in the (decompressed) file, None where it is of the file as a whole; ``since`` and ``until`` bound when it happened
    (µs since the epoch, UTC), None where nothing does.
    """

    __slots__ = ("kind", "position", "since", "until", "what")

    def __init__(self, kind: str, position: int | None, what: str, since: int | None = None, until: int | None = None) -> None:
        """Keep what was found."""
        self.kind = kind
        self.position = position
        self.since = since
        self.until = until
        self.what = what

    @property
    def innocent(self) -> str:
        """What may have caused it without anybody meaning harm."""
        return INNOCENT[self.kind]

    def __repr__(self) -> str:
        """Show everything."""
        return f"<Finding {self.kind} at {self.position}: {self.what} ({self.since}, {self.until})>"


class Inspector:
    """Looks at the records of one file while they pass.

    ``findings`` are in the order of the file, at most `CAP` of a kind; ``counts`` tells how many there were. ``records`` counts all that were read,
    ``types`` those of each type. ``first`` and ``last`` are the earliest and the latest time of a good one (µs since the epoch), None where there is
    none.
    """

    def __init__(self, layout: Layout, now: int) -> None:
        """Prepare for a file that is read at ``now`` (µs since the epoch)."""
        self.findings: list[Finding] = []
        self.counts: dict[str, int] = {}
        self.records = 0
        self.types: dict[int, int] = {}
        self.first: int | None = None
        self.last: int | None = None
        self._fixed = layout if isinstance(layout, FixedLayout) else None
        self._by_id = layout.name.startswith("freebsd")  # its logouts have no line
        self._has_places = self._fixed is not None or layout is FREEBSD_LOG  # the others are text, or rows
        self._plain = self._fixed is not None and self._fixed.is_plain
        self._spans: dict[str, slice] = {}
        self._latest = now + FUTURE
        self._lines = _Lines()
        self._next = 0  # where the next record ought to begin
        self._strays = 0  # bytes between records
        self._before: int | None = None  # the time of the good record before
        self._usual = _Usual()
        self._zeros: tuple[int, int] | None = None  # where a run of zeros begins, and of how many records it is
        self._down: int | None = None  # a shutdown that no boot has followed
        self._waiting: list[Finding] = []  # for the good record behind them

    def watch(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Pass chunks on, having looked at them."""
        for chunk in chunks:
            self.look(chunk)
            yield chunk

    def look(self, chunk: Chunk) -> None:
        """Look at the next records."""
        times = self._ordinary_times(chunk) if self._plain else None
        if times:
            self._ordinary(chunk, times)
            return
        for nth, (fields, position) in enumerate(zip(chunk.fields, chunk.positions, strict=True)):
            raw = chunk.raw(nth)
            if self._has_places:
                if position > self._next and not self._is_signature(position):
                    self._end_zeros()
                    self._strays += position - self._next
                    self._found(UNREADABLE, self._next, f"{position - self._next} bytes that are no record")
                self._next = position + len(raw)
            self._record(fields, raw, position)

    def finish(self, skipped: Skipped) -> None:
        """Look at the end of the file; ``skipped`` is what the reader left out."""
        self._end_zeros(" at the end")
        place, left = self._next if self._has_places else None, skipped.bytes - self._strays
        if left > 0 and TRUNCATED in skipped.reasons:
            self._found(SIZE, place, f"{left} bytes at the end that are no whole record")
        elif left > 0:
            self._found(UNREADABLE, place, f"{left} bytes that are no record")
        for reason in sorted(skipped.reasons):
            if reason.startswith(("damaged", "compressed")):
                self._found(UNREADABLE, None, store(reason.encode("utf-8", "replace")))

    def _is_signature(self, position: int) -> bool:
        """Tell whether the bytes before the first record are the signature of the file, which the reader keeps to itself."""
        return bool(self._next == 0 and self._fixed and self._fixed.signature and position == self._fixed.size)

    def _found(self, kind: str, position: int | None, what: str, since: int | None = None, until: int | None = None) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] > CAP:
            return
        finding = Finding(kind, position, what, self._before if since is None else since, until)
        self.findings.append(finding)
        if until is None:
            self._waiting.append(finding)

    # Runs of records with nothing wrong in them, as nearly all are

    def _ordinary_times(self, chunk: Chunk) -> list[int] | None:
        """Return the times of a chunk in which no record has a finding of its own, else None: these are looked at one by one."""
        places = chunk.positions
        if not isinstance(places, range) or not places or places[0] != self._next:
            return None
        kinds, pids, lines, idents, users, hosts, seconds, micros, *_ = zip(*chunk.fields, strict=True)
        texts = b"".join((*lines, *idents, *users, *hosts))
        if (
            not _KNOWN.issuperset(kinds)
            or NEW_TIME in kinds
            or not (min(pids) >= 0 and max(pids) <= _LARGEST_PID and min(seconds) > 0 and min(micros) >= 0 and max(micros) < SECOND)
            or not all(lines)
            or USER_PROCESS in compress(kinds, map(not_, users))
            or len(texts.translate(None, _CONTROL)) != len(texts)
            or not self._is_rewritten(chunk)
        ):
            return None
        times = [second * SECOND + micro for second, micro in zip(seconds, micros, strict=True)]
        distances = list(map(sub, times, [times[0] if self._before is None else self._before, *times]))
        return times if min(distances) >= -BACK and max(distances) < GAP and max(times) <= self._latest else None

    def _is_rewritten(self, chunk: Chunk) -> bool:
        """Tell whether the records are what would be written anew: nothing stands where nothing ought to."""
        assert self._fixed  # noqa: S101 - it is plain
        return self._fixed.encode_all(chunk.fields) == chunk.data

    def _ordinary(self, chunk: Chunk, times: list[int]) -> None:
        kinds = [fields[0] for fields in chunk.fields]
        self._end_zeros()
        self._settle(times[0])
        self.records += len(times)
        for kind in set(kinds):
            self.types[kind] = self.types.get(kind, 0) + kinds.count(kind)
        if self._before is not None:
            self._usual.add(len(times), times[-1] - self._before)
        else:
            self._usual.add(len(times) - 1, times[-1] - times[0])
        self._span(min(times), max(times))
        self._next = chunk.positions[-1] + len(chunk.raw(len(times) - 1))
        lines = self._lines.used
        for fields, at, position in zip(chunk.fields, times, chunk.positions, strict=True):
            kind, line = fields[0], fields[2]
            if kind == DEAD_PROCESS and lines.get(line, at) is None:
                lines[line] = at
            elif kind == USER_PROCESS and line in lines and self._down is None:
                lines[line] = None
            else:
                self._before = at
                self._story(fields, line, at, position)
        self._before = times[-1]

    # Records, one by one

    def _record(self, fields: Fields, raw: bytes, position: int) -> None:
        self.records += 1
        kind, _, line, ident, user, _, seconds, micros, *_ = fields
        if kind == EMPTY and _is_blank(fields, raw if self._has_places else b""):
            self._zeros = (self._zeros or (position, 0))[0], (self._zeros or (position, 0))[1] + 1
            return
        self._end_zeros()
        self.types[kind] = self.types.get(kind, 0) + 1
        valid = self._fixed is not None and self._fixed.valid(raw)
        if kind == EMPTY and valid:  # a signature
            return
        wrong = "" if valid else self._wrong(fields, raw)
        at = seconds * SECOND + micros
        if not wrong and at > self._latest:
            wrong = "a time in the future"
        elif not wrong and kind == USER_PROCESS and not user:
            wrong = "a login without a user"
        if wrong:
            self._found(IMPOSSIBLE, position, wrong)
            return
        stale = "" if valid else self._stale(raw)
        if stale:
            self._found(STALE, position, stale)
        self._settle(at)
        self._time(kind, at, position)
        self._story(fields, ident if self._by_id else line, at, position)

    def _settle(self, at: int) -> None:
        """Bound what was found before a good record."""
        for finding in self._waiting:
            finding.until = at
        self._waiting.clear()

    def _span(self, first: int, last: int) -> None:
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)

    def _end_zeros(self, where: str = "") -> None:
        if self._zeros:
            position, count = self._zeros
            self._found(ZEROED, position, f"{count} record{'s' if count > 1 else ''} of nothing but zeros{where}")
            self._zeros = None

    def _wrong(self, fields: Fields, raw: bytes) -> str:
        """Return what in the fields cannot be, or nothing."""
        kind = fields[0]
        if kind not in _TYPES:
            return "type 0 (empty), yet with contents" if kind == EMPTY else f"type {kind}, which there is none of"
        wrong = "" if self._fixed and self._fixed.possible(raw) else _wrong_number(fields)
        return wrong or next(
            (
                f"control characters in the {name}: {store(text)}"
                for name, text in zip(_TEXTS, fields[2:6], strict=True)
                if text.translate(None, _CONTROL) != text and not (self._by_id and name == "id")
            ),
            "",
        )

    def _stale(self, raw: bytes) -> str:
        """Return what stands where nothing ought to, or nothing."""
        if self._fixed is None:
            return ""
        for name, span in (self._spans or self._find_spans(self._fixed)).items():
            text, _, rest = raw[span].partition(b"\0")
            if rest.strip(b"\0"):
                return f"behind the end of the {name} ({store(text)}): {store(rest.strip(bytes(1)))}"
        return "reserved bytes that are not zero"

    def _find_spans(self, layout: FixedLayout) -> dict[str, slice]:
        """Return where in a record the texts are, by writing some."""
        marks = {name: bytes((0xF0 + place,)) for place, name in enumerate(_TEXTS) if not (self._by_id and name == "id")}
        texts = [marks.get(name, b"") * layout.size for name in _TEXTS]
        raw = layout.encode((USER_PROCESS, 1, texts[0], texts[1], texts[2], texts[3], 1, 0, NO_ADDRESS, 0, 0, 0))
        self._spans = {name: slice(raw.index(mark), raw.rindex(mark) + 1) for name, mark in marks.items() if mark in raw}
        return self._spans

    # Times

    def _time(self, kind: int, at: int, position: int) -> None:
        before, self._before = self._before, at
        self._span(at, at)
        if before is None or kind == NEW_TIME:  # the clock was set, and the file says so
            return
        distance = at - before
        if distance < -BACK:
            self._found(BACKWARD, position, f"{_length(-distance)} earlier than the record before", at, before)
        elif not self._usual.is_exceeded(distance):
            self._usual.add(1, min(distance, GAP))
        elif kind != BOOT_TIME:  # before a boot the machine was off
            self._found(GAPS, position, f"no record for {_length(distance)}", before, at)

    # Sessions and boots

    def _story(self, fields: Fields, key: bytes, at: int, position: int) -> None:
        kind = fields[0]
        if kind == USER_PROCESS:
            if self._down is not None:
                self._after_shutdown("a login", at, position)
                self._down = None
            self._lines.enter(key)
        elif kind == DEAD_PROCESS:
            if key and not key.startswith(_OF_THE_SYSTEM):
                since = self._lines.leave(key, at)
                if since is not None:
                    self._found(LOGOUT, position, f"a logout on {store(key)} without a login", min(since, at), at)
        elif kind in (LOGIN_PROCESS, INIT_PROCESS):
            self._lines.enter(key)
        elif kind == BOOT_TIME:
            self._lines.begin(at)
            self._down = None
        elif kind == RUN_LVL and fields[4].startswith(b"shutdown"):
            self._after_shutdown("a shutdown", at, position)
            self._down = at

    def _after_shutdown(self, what: str, at: int, position: int) -> None:
        if self._down is not None and at - self._down > TWICE:
            self._found(ORDER, position, f"{what} after a shutdown, without a boot between them", self._down, at)


class _Lines:
    """Which terminals are in use, and when the others were left."""

    def __init__(self) -> None:
        self.used: dict[bytes, int | None] = {}
        """From a line to when it was left, None while somebody is on it."""
        self._since: int | None = None  # from when on all is known: at first nobody knows who was logged in before the file begins

    def begin(self, at: int) -> None:
        """Begin with nobody logged in."""
        self.used.clear()
        self._since = at

    def enter(self, line: bytes) -> None:
        """Note that somebody is on a line, or a getty."""
        self._put(line, None)

    def leave(self, line: bytes, at: int) -> int | None:
        """Note that a line is left; return since when nobody was on it where nobody was."""
        if line in self.used:
            since = self.used[line]
            if since is not None and abs(at - since) <= TWICE:
                return None
        else:
            since = self._since
        self._put(line, at)
        return since

    def _put(self, line: bytes, at: int | None) -> None:
        if len(self.used) >= _MOST_LINES and line not in self.used:
            self.used.clear()
            self._since = None
        self.used[line] = at


class _Usual:
    """The usual distance between two records."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = 0

    def add(self, count: int, distance: int) -> None:
        """Count distances, given their sum."""
        self._count += count
        self._sum += distance

    def is_exceeded(self, distance: int) -> bool:
        """Tell whether a distance is a gap."""
        return distance >= GAP and self._count >= USUAL and distance * self._count >= TIMES_USUAL * self._sum


def inspect(file: LegacyFile, now: int) -> Inspector:
    """Look at a whole file that is read at ``now`` (µs since the epoch). Raises LegacyError where it cannot be read."""
    inspector = Inspector(file.layout, now)
    for chunk in file.chunks():
        inspector.look(chunk)
    inspector.finish(file.skipped)
    return inspector


def _wrong_number(fields: Fields) -> str:
    _, pid, line, ident, _, _, seconds, micros, *_ = fields
    if not 0 < seconds <= _LARGEST_SECOND:
        return f"a time of {seconds} seconds"
    if not 0 <= micros < SECOND:
        return f"{micros} microseconds"
    if not 0 <= pid <= _LARGEST_PID:
        return f"process {pid}"
    return "" if line or ident else "neither line nor id"


def _is_blank(fields: Fields, raw: bytes) -> bool:
    return not raw.strip(b"\0") if raw else not any(fields[1:8]) and not fields[8].strip(b"\0")


def _length(time: int) -> str:
    """Return a length of time in words."""
    minutes = time // MINUTE
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    return f"{days} days {hours} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min {time // SECOND % 60} s"
