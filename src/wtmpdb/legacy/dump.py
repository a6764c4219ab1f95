# SPDX-License-Identifier: BSD-2-Clause
"""The text of util-linux's utmpdump: one line a record, eight fields in brackets. No I/O.

Source: util-linux login-utils/utmpdump.c, by what the program reads and writes.
"""

from __future__ import annotations

import time

from wtmpdb.legacy.record import NO_ADDRESS, SECOND, Chunk, Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wtmpdb.legacy.resync import Skipped

LONGEST = 4096
"""Bytes of a line; a longer one is none of ours."""

_BLOCK = 1 << 16
_SHOWN = frozenset(range(0x20, 0x7F)) - frozenset(b"[]")
_UNPRINTABLE = bytes(byte if byte in _SHOWN else 0x3F for byte in range(256))
_FIRST_THREE = 19  # where utmpdump begins to look for the other five
_TIME = 28  # how much of the time it looks at
_MONTHS = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")
_DAYS = (b"mon", b"tue", b"wed", b"thu", b"fri", b"sat", b"sun")
_SHORT, _INT = 1 << 15, 1 << 31


def write(fields: Fields) -> bytes:
    """Return the line of a record, with its end."""
    kind, pid, line, ident, user, host, seconds, micros, address, *_ = fields
    parts = (
        b"%d" % kind,
        b"%05d" % pid,
        ident[:4].translate(_UNPRINTABLE).ljust(4),
        user[:32].translate(_UNPRINTABLE).ljust(8),
        line[:32].translate(_UNPRINTABLE).ljust(12),
        host[:256].translate(_UNPRINTABLE).ljust(20),
        _address_text(address).ljust(15),
        _time_text(seconds, micros),
    )
    return b" ".join(b"[%b]" % part for part in parts) + b"\n"


def parse(text: bytes) -> Fields:
    """Return the record that a line stands for, as `utmpdump -r` reads it: the id keeps its spaces, other names end at their first space.

    Raises ValueError for a line that is none.
    """
    kind, rest = _number(text, _SHORT)
    pid, rest = _number(rest, _INT)
    rest = rest.lstrip()
    if len(rest) < 6 or rest[:1] != b"[" or rest[5:6] != b"]":  # noqa: PLR2004 - four characters in brackets
        raise ValueError("no id of four characters")
    ident = rest[1:5]
    start = max(_FIRST_THREE, len(text) - len(rest) + 6)
    fields = []
    for _ in range(5):
        opened = text.find(b"[", start)
        closed = text.find(b"]", opened) if opened >= 0 else -1
        if closed < 0:
            raise ValueError("fewer than eight fields")
        fields.append(text[opened + 1 : closed])
        start = closed + 1
    user, line, host, address, when = fields
    seconds, micros = _parse_time(when)
    return (
        kind,
        pid,
        line.partition(b" ")[0][:32],
        ident,
        user.partition(b" ")[0][:32],
        host.partition(b" ")[0][:256],
        seconds,
        micros,
        _parse_address(address.partition(b" ")[0]),
        0,
        0,
        0,
    )


def chunks(read: Callable[[int], bytes], skipped: Skipped) -> Iterator[Chunk]:
    """Yield the records of a text; ids lose the spaces that pad them. Lines that are none are counted."""
    place = 0
    fields: list[Fields] = []
    places: list[int] = []
    raws: list[bytes] = []
    for line in _lines(read):
        try:
            kind, pid, name, ident, *rest = parse(line)
        except ValueError:
            if line.strip():
                skipped.add("no such line", len(line), 1)
        else:
            fields.append((kind, pid, name, ident.rstrip(b" "), *rest))  # type: ignore[arg-type]  # the same fields
            places.append(place)
            raws.append(line)
        place += len(line)
        if len(fields) == 1024:  # noqa: PLR2004
            yield Chunk(fields, places, raws)
            fields, places, raws = [], [], []
    if fields:
        yield Chunk(fields, places, raws)


def share(data: bytes) -> tuple[int, int]:
    """Return how many lines of a sample are records, and how many are not."""
    lines = [line for line in data.split(b"\n")[:64] if line.strip()]
    good = sum(map(_is_line, lines))
    return good, len(lines) - good - (1 if len(lines) > 1 and not _is_line(lines[-1]) else 0)


def _is_line(line: bytes) -> bool:
    try:
        parse(line)
    except ValueError:
        return False
    return True


def _lines(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield lines with their ends; of a line that is too long, pieces."""
    rest = b""
    while block := read(_BLOCK):
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield line + b"\n"
        if len(rest) > LONGEST:
            yield rest
            rest = b""
    if rest:
        yield rest


def _number(text: bytes, limit: int) -> tuple[int, bytes]:
    """Return the number in brackets at the beginning, in the range of its C type, and what follows."""
    text = text.lstrip()
    inside, closed, rest = text[1:].partition(b"]")
    if text[:1] != b"[" or not closed:
        raise ValueError("no field in brackets")
    digits = inside.strip().lstrip(b"+-")
    if not digits.isdigit() or len(inside) > 32:  # noqa: PLR2004 - a sane length
        raise ValueError("no number")
    return (int(inside) + limit) % (2 * limit) - limit, rest


def _address_text(raw: bytes) -> bytes:
    from socket import AF_INET, AF_INET6, inet_ntop  # noqa: PLC0415 - not on the way of `last`

    return (inet_ntop(AF_INET6, raw) if raw[4:].strip(b"\0") else inet_ntop(AF_INET, raw[:4])).encode()


def _parse_address(text: bytes) -> bytes:
    from socket import AF_INET, AF_INET6, inet_pton  # noqa: PLC0415

    try:
        raw = inet_pton(AF_INET if b"." in text else AF_INET6, text.decode("ascii"))
    except (OSError, UnicodeError, ValueError):
        return NO_ADDRESS
    return (raw + NO_ADDRESS)[:16]


def _time_text(seconds: int, micros: int) -> bytes:
    # A fraction that is none shows as 0, and a negative one as what 32 bits of nanoseconds make of it.
    micros = 0 if micros >= SECOND else micros if micros >= 0 else (micros * 1000 & 0xFFFFFFFF) // 1000
    try:
        year, month, day, hour, minute, second, *_ = time.gmtime(seconds)
    except (OverflowError, OSError, ValueError):
        return b""
    return b"%04d-%02d-%02dT%02d:%02d:%02d,%06d+00:00" % (year, month, day, hour, minute, second, micros)


def _parse_time(text: bytes) -> tuple[int, int]:
    text = text[:_TIME]
    if text[:1].isdigit():
        fraction = text.partition(b",")[2]
        count = 0
        while fraction[count : count + 1].isdigit():
            count += 1
        return _iso(text), int(fraction[:count] or 0)
    return (_ctime(text), 0) if text[:1].isalpha() else (0, 0)


def _iso(text: bytes) -> int:
    """Return the seconds of ``YYYY-MM-DDTHH:MM:SS``; from where it goes wrong, everything is zero, as with strptime(3)."""
    values = [1900, 1, 0, 0, 0, 0]
    limits = ((4, 0, 9999, b"-"), (2, 1, 12, b"-"), (2, 1, 31, b"T"), (2, 0, 23, b":"), (2, 0, 59, b":"), (2, 0, 61, b""))
    for place, (width, least, most, after) in enumerate(limits):
        value, text = _digits(text, width, most)
        if value is None or not least <= value <= most:
            break
        values[place] = value
        if not text.startswith(after):
            break
        text = text[len(after) :]
    return _seconds(*values)


def _ctime(text: bytes) -> int:
    """Return the seconds of ``Tue Feb 20 09:00:00 2024``, the form of utmpdump before 2.29; 0 where it is not of that form."""
    words = text.lower().split()
    if len(words) < 5 or words[0][:3] not in _DAYS or words[1][:3] not in _MONTHS:  # noqa: PLR2004
        return 0
    clock = words[3].split(b":")
    if len(clock) != 3 or not all(word.isdigit() and len(word) <= 4 for word in (words[2], words[4], *clock)):  # noqa: PLR2004
        return 0
    return _seconds(int(words[4]), _MONTHS.index(words[1][:3]) + 1, int(words[2]), *map(int, clock))


def _digits(text: bytes, width: int, most: int) -> tuple[int | None, bytes]:
    """Return the number at the beginning, of as many digits as it can have (``99`` is no month, but 9 is), and what follows."""
    count = 0
    while count < width and text[count : count + 1].isdigit() and int(text[:count] or b"0") * 10 <= most:
        count += 1
    return (int(text[:count]) if count else None), text[count:]


def _seconds(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """Return the seconds since the epoch, of any numbers, by the Gregorian calendar."""
    year -= month <= 2  # noqa: PLR2004 - years begin in March
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * ((month + 9) % 12) + 2) // 5 + day - 1 - 719468
    return ((days * 24 + hour) * 60 + minute) * 60 + second
