# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb lastb --by`: how often logins failed, by user, host, address, service or day."""

from __future__ import annotations

from wtmpdb.cli.failed import FailedLogins
from wtmpdb.entry import SECOND
from wtmpdb.legacy.record import address_text
from wtmpdb.listing import times
from wtmpdb.listing.addresses import literal
from wtmpdb.listing.machine import TIME, text_of
from wtmpdb.listing.printable import printable
from wtmpdb.listing.text import ISO, NOTIME
from wtmpdb.text import restore, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wtmpdb.cli.choice import Choice, Wishes
    from wtmpdb.cli.last import Source
    from wtmpdb.entry import Line

_COLUMN = {"user": 1, "host": 3, "service": 4}
_PLACE = {"host": 0, "user": 1, "service": 2}  # in what was only counted
_NOT_KNOWN = "(not known)"
_MOST_REMEMBERED = 20_000


class Count:
    """How many attempts, how many of these were only counted, when the first and the last was (µs)."""

    __slots__ = ("first", "last", "number", "only_counted")

    def __init__(self, first: int) -> None:
        """Start at nothing."""
        self.number = self.only_counted = 0
        self.first = self.last = first

    def add(self, number: int, first: int, last: int, *, only_counted: bool = False) -> None:
        """Add attempts."""
        self.number += number
        self.only_counted += number * only_counted
        self.first, self.last = min(first, self.first), max(last, self.last)


class Tally:
    """Counts by what the attempts have in common; texts are as they are stored, None is what nobody knows."""

    def __init__(self, by: str) -> None:
        """Start with no attempts."""
        self._by = by
        self._counts: dict[str | None, Count] = {}

    def take(self, source: Source, choice: Choice) -> None:
        """Count what a source has."""
        if isinstance(source, FailedLogins):
            for lines in source.lines(choice):
                self._take(lines, self._key_of_row(source.addresses([line[7] for line in lines if line[7]]) if self._by == "address" else {}))
            for found in source.only_counted():
                number, first, last = found[3:]
                self._count(self._key_of_counted(found[:3], first), first).add(number, first, last, only_counted=True)
        else:
            for lines in source.lines(choice):
                self._take(lines, self._key_of_record)

    def most(self, limit: int) -> list[tuple[str | None, Count]]:
        """Return the largest counts first, of days the latest; at most so many, 0 for all."""
        found = sorted(self._counts.items(), key=lambda item: item[0] or "")
        found.sort(key=(lambda item: -item[1].first) if self._by == "day" else (lambda item: -item[1].number))
        return found[: limit or None]

    def _take(self, lines: list[Line], key_of: Callable[[Line], str]) -> None:
        for line in lines:
            self._count(key_of(line), line[5]).add(1, line[5], line[5])

    def _count(self, key: str | None, first: int) -> Count:
        if key not in self._counts:
            self._counts[key] = Count(first)
        return self._counts[key]

    def _key_of_row(self, addresses: dict[int, bytes]) -> Callable[[Line], str]:
        if self._by == "day":
            return lambda line: _day(line[5])
        if self._by == "address":
            return lambda line: _address(line[3] or b"", addresses.get(line[7] or 0, b""))
        column = _COLUMN[self._by]
        return lambda line: _decoded(line[column])  # type: ignore[arg-type]  # these columns are text

    def _key_of_record(self, line: Line) -> str:
        """Return what an attempt in an old file is counted under: its text is as it was recorded, the address stands in place of the service."""
        if self._by == "day":
            return _day(line[5])
        if self._by == "address":
            return _address(line[3] or b"", line[4] or b"")
        return store(line[_COLUMN[self._by]] or b"") if self._by != "service" else ""  # type: ignore[arg-type]

    def _key_of_counted(self, texts: tuple[bytes, bytes, bytes], first: int) -> str | None:
        if self._by == "day":
            return _day(first)
        text = texts[_PLACE["host" if self._by == "address" else self._by]]
        is_known = bool(text) or (self._by in ("host", "address") and bool(texts[2]))  # whoever has a service and no host was at the machine
        if not is_known:
            return None
        return _address(text) if self._by == "address" else _decoded(text)


def show(sources: Iterator[Source], choice: Choice, wishes: Wishes, limit: int) -> Iterator[bytes]:
    """Yield the pieces of the listing, at most so many counts (0 for all), in the form that is wished for."""
    form, is_json = wishes.time_format or (ISO if wishes.json else ""), wishes.json
    as_lines = "jsonl" in wishes.flags
    wishes.flags -= {"json", "jsonl"}  # a source gives an address only where its lines are to be text
    tally, trailers, begins = Tally(wishes.by), b"", []
    for source in sources:
        try:
            tally.take(source, choice)
            trailers += source.trailer() if not is_json else b""
            begins.append(source.begins())
        finally:
            source.close()
    found = tally.most(limit)
    if is_json:
        yield from _json(wishes.by, found, form, min(begins), as_lines=as_lines)
        return
    yield "".join(_line(key, count, wishes, form) for key, count in found).encode("utf-8", "surrogateescape")
    if form != NOTIME:
        yield b"\n" + trailers


def _line(key: str | None, count: Count, wishes: Wishes, form: str) -> str:
    shown = _NOT_KNOWN if key is None else printable(restore(key.encode("utf-8", "surrogateescape"))) or "-"
    cells = [f"{count.number:8}", f"{shown:24}"]
    if form != NOTIME:
        write = TIME.get(form, TIME["short"])
        cells.append(f"{write(count.first // SECOND)} - {write(count.last // SECOND)}")
    return ("\t" if "tab-separated" in wishes.flags else "  ").join(cells).rstrip() + "\n"


def _json(by: str, found: list[tuple[str | None, Count]], form: str, begins: int, *, as_lines: bool) -> Iterator[bytes]:
    from json import dumps  # noqa: PLC0415 - where it is asked for

    write = TIME.get(form, times.iso)
    objects = [
        {
            by: None if key is None else text_of(key.encode("utf-8", "surrogateescape")),
            "attempts": count.number,
            "only_counted": count.only_counted,
            **({} if form == NOTIME else {"first": write(count.first // SECOND), "last": write(count.last // SECOND)}),
            "first_usec": count.first,
            "last_usec": count.last,
        }
        for key, count in found
    ]
    if as_lines:
        yield from (f"{dumps(one)}\n".encode() for one in objects)
        return
    counts = ",\n".join(f"  {dumps(one)}" for one in objects)
    yield f'{{"by": "{by}", "counts": [\n{counts}\n], "start": {dumps(write(begins // SECOND))}}}\n'.encode()


def _decoded(text: bytes | None) -> str:
    return (text or b"").decode("utf-8", "surrogateescape")


class _Days(dict[int, str]):
    """From a quarter of an hour since the epoch to its day; local days begin with one. Remembers."""

    def __missing__(self, quarter: int) -> str:
        if len(self) > _MOST_REMEMBERED:
            self.clear()
        day = self[quarter] = times.iso(quarter * times.QUARTER // SECOND)[:10]
        return day


class _Literals(dict[bytes, str]):
    """From a host to the address that it is, in its usual form, "" for none; remembers."""

    def __missing__(self, host: bytes) -> str:
        if len(self) > _MOST_REMEMBERED:
            self.clear()
        found = self[host] = literal(_decoded(host))
        return found


_days = _Days()
_literals = _Literals()


def _day(time: int) -> str:
    return _days[time // times.QUARTER]


def _address(host: bytes, raw: bytes = b"") -> str:
    """Return the address of a host: what was recorded beside it, or the host itself where it is one."""
    return (address_text(raw, host) if raw else None) or _literals[host]
