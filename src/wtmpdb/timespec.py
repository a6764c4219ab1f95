# SPDX-License-Identifier: BSD-2-Clause
"""Points in time as people type them: "yesterday", "-5days", "2026-11-20 10:00". No I/O.

The language is that of util-linux's `last`, newest version; calendar forms are local time.
Where the clock is put back, an hour comes twice: which one is meant is the C library's choice (`time.mktime`).
One thing is stricter: a span of 2^64 µs or more is an error, where `last` goes on with the remainder.
"""

from __future__ import annotations

import time

from wtmpdb.entry import SECOND as _SECOND

# All spans are in µs.
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_YEAR = 365 * _DAY + 6 * _HOUR

_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}

# The first name that the text goes on with is the unit: "m" has to come behind all that begin with it.
_UNITS = (
    *((name, _SECOND) for name in ("seconds", "second", "sec", "s")),
    *((name, _MINUTE) for name in ("minutes", "minute", "min")),
    *((name, _YEAR // 12) for name in ("months", "month")),
    *((name, _SECOND // 1000) for name in ("msec", "ms")),
    ("m", _MINUTE),
    *((name, _HOUR) for name in ("hours", "hour", "hr", "h")),
    *((name, _DAY) for name in ("days", "day", "d")),
    *((name, 7 * _DAY) for name in ("weeks", "week", "w")),
    *((name, _YEAR) for name in ("years", "year", "y")),
    *((name, 1) for name in ("usec", "us")),
)

_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAYS = {word: number for number, name in enumerate(_WEEK) for word in (name, name[:3])}

# Letters are fields, a blank is any white space or none, a final "." allows subseconds. The first that fits counts.
_FORMS = (
    "y-m-d H:M:S.",
    "Y-m-d H:M:S.",
    "Y-m-dTH:M:S.",
    "y-m-d H:M",
    "Y-m-d H:M",
    "y-m-d",
    "Y-m-d",
    "H:M:S.",
    "H:M",
    "YmdHMS.",
)
_FIELDS = {  # the most digits, least and greatest value
    "Y": (4, 0, 9999),
    "y": (2, 0, 99),
    "m": (2, 1, 12),
    "d": (2, 1, 31),
    "H": (2, 0, 23),
    "M": (2, 0, 59),
    "S": (2, 0, 61),
}
_CENTURY_TURN = 69  # two digits: 69-99 are of the 20th century, 00-68 of the 21st
_SUBSECOND_DIGITS = 6

_SPAN_SPACE = " \t\n\r"
_FORM_SPACE = " \t\n\v\f\r"
_LARGEST = 2**63 - 1  # of a number as it is typed
_MODULUS = 2**64


def parse(text: str, now: int) -> int:
    """Return the point in time that ``text`` names, in µs since the epoch, UTC, as an unsigned 64-bit number.

    ``now`` is in whole seconds since the epoch. A time before 1970 wraps around, as in `last`: its value is 2^64 too
    high. Raises ValueError, and nothing else, when the text is of no known form, contradicts itself or is out of range.
    """
    try:
        usec = _read(text, now)
    except (OverflowError, OSError) as error:  # of the C library: a year it cannot hold
        raise ValueError("out of range") from error
    if not -_LARGEST <= usec < _MODULUS:
        raise ValueError("out of range")
    return usec % _MODULUS


def _read(text: str, now: int) -> int:  # noqa: PLR0911 - one for each kind
    if text == "now":
        return now * _SECOND
    if text in _DAYS:
        year, month, day = time.localtime(now)[:3]
        return _local((year, month, day + _DAYS[text]), (0, 0, 0)) * _SECOND
    if text.startswith("+"):
        return now * _SECOND + _span(text[1:])
    if text.startswith("-"):
        return _before(now, text[1:])
    if text.startswith("@"):
        return _epoch(text[1:])
    if text.endswith(" ago"):
        return _before(now, text[:-4])
    return _calendar(text, now)


def _before(now: int, span: str) -> int:
    usec = now * _SECOND - _span(span)
    if usec < 0:
        raise ValueError("before 1970")
    return usec


def _span(text: str) -> int:
    """Return the sum of components such as "1h 30min"."""
    at, usec = _skip(text, 0, _SPAN_SPACE), 0
    if at == len(text):
        raise ValueError("a span of time is missing")
    while at < len(text):
        at, component = _component(text, at)
        usec += component
        at = _skip(text, at, _SPAN_SPACE)
    return usec


def _component(text: str, at: int) -> tuple[int, int]:
    """Return the end of the component that begins at ``at``, and its length in µs."""
    start = at + text.startswith("+", at)
    point = end = _skip_digits(text, start)
    if text.startswith(".", point):
        end = _skip_digits(text, point + 1)
    if end in (start, point + 1):
        raise ValueError("a span of time needs a number")
    whole = _number(text[start:point] or "0")
    fraction = text[point + 1 : end] or "0"
    at = _skip(text, end, _SPAN_SPACE)
    for name, unit in _UNITS:
        if text.startswith(name, at):
            return at + len(name), whole * unit + _number(fraction) * unit // 10 ** len(fraction)
    raise ValueError("a span of time needs a unit")


def _epoch(text: str) -> int:
    """Return seconds since the epoch, such as "1348331662.25", in µs."""
    start = _skip(text, 0, _FORM_SPACE)
    digits = start + text.startswith(("+", "-"), start)
    end = _skip_digits(text, digits)
    subseconds = _subseconds(text[end:])
    if end == digits or subseconds is None:
        raise ValueError("seconds since the epoch are a number with up to six decimals")
    seconds = _number(text[digits:end])
    return _valid(-seconds if text[start] == "-" else seconds) * _SECOND + subseconds


def _calendar(text: str, now: int) -> int:
    name, blank, _ = text.partition(" ")
    weekday = _WEEKDAYS.get(name.lower()) if blank else None
    start = 0 if weekday is None else len(name) + 1
    for form in _FORMS:
        fields = _match(form, text, start)
        if fields is not None:
            break
    else:
        raise ValueError("not a known form of time")
    year, month, day = time.localtime(now)[:3]
    if "y" in fields:
        year = fields["y"] + (1900 if fields["y"] >= _CENTURY_TURN else 2000)
    date = (fields.get("Y", year), fields.get("m", month), fields.get("d", day))
    seconds = _local(date, (fields.get("H", 0), fields.get("M", 0), fields.get("S", 0)))
    if weekday is not None and time.localtime(seconds).tm_wday != weekday:
        raise ValueError("the day is another day of the week")
    return seconds * _SECOND + fields.get(".", 0)


def _match(form: str, text: str, at: int) -> dict[str, int] | None:
    """Return the fields of ``text`` from ``at`` on, "." for the µs, or None when it does not fit as a whole."""
    fields = {}
    for sign in form:
        if sign in _FIELDS:
            most, least, greatest = _FIELDS[sign]
            start = _skip(text, at, _FORM_SPACE)
            at = _field_end(text, start, most, greatest)
            if at == start or not least <= int(text[start:at]) <= greatest:
                return None
            fields[sign] = int(text[start:at])
        elif sign == ".":
            subseconds = _subseconds(text[at:])
            if subseconds is None:
                return None
            fields[sign], at = subseconds, len(text)
        elif sign == " ":
            at = _skip(text, at, _FORM_SPACE)
        elif text.startswith(sign, at):
            at += 1
        else:
            return None
    return fields if at == len(text) else None


def _field_end(text: str, start: int, most: int, greatest: int) -> int:
    """Return where a field ends: a digit more is taken only while ten times the value may still be allowed."""
    at, value = start, 0
    while at < min(start + most, len(text)) and "0" <= text[at] <= "9" and value * 10 <= greatest:
        value = value * 10 + int(text[at])
        at += 1
    return at


def _subseconds(text: str) -> int | None:
    """Return the µs of ".25", ",25", "." or nothing; None for anything else."""
    if not text:
        return 0
    digits = text[1:]
    if text[0] not in ".," or len(digits) > _SUBSECOND_DIGITS or _skip_digits(digits, 0) < len(digits):
        return None
    return int(digits.ljust(_SUBSECOND_DIGITS, "0"))


def _number(digits: str) -> int:
    value = int(digits)  # more than 4300 digits are a ValueError of their own
    if value > _LARGEST:
        raise ValueError("out of range")
    return value


def _skip(text: str, at: int, spaces: str) -> int:
    while at < len(text) and text[at] in spaces:
        at += 1
    return at


def _skip_digits(text: str, at: int) -> int:
    while at < len(text) and "0" <= text[at] <= "9":  # str.isdigit would let other scripts in
        at += 1
    return at


def _local(date: tuple[int, int, int], clock: tuple[int, int, int]) -> int:
    """Return seconds since the epoch of a local time; what is too high for its field is carried."""
    return _valid(int(time.mktime((*date, *clock, 0, 0, -1))))


def _valid(seconds: int) -> int:
    if seconds == -1:  # what mktime says when it fails, and so no time for `last`
        raise ValueError("the last second of 1969 cannot be named")
    return seconds
