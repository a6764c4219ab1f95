# SPDX-License-Identifier: BSD-2-Clause
"""Times and lengths as `last` writes them: local time (TZ), whole seconds, English names in every locale. No I/O."""

from __future__ import annotations

from time import localtime

from wtmpdb.entry import SECOND

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
QUARTER = 900 * SECOND
"""In µs."""

_QUARTER = 900
_DAY = 86_400
_MOST_CACHED = 30_000


def full(second: int) -> str:
    """Return a time as ``Thu Jan  1 00:00:00 1970``."""
    at = localtime(second)
    day = f"{_DAYS[at.tm_wday]} {MONTHS[at.tm_mon - 1]} {at.tm_mday:2}"
    return f"{day} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} {at.tm_year}"


def iso(second: int) -> str:
    """Return a time as ``1970-01-01T00:00:00+00:00``; as in `last`, an offset of less than an hour loses its sign."""
    at = localtime(second)
    minutes = abs(at.tm_gmtoff) // 60
    sign = "-" if at.tm_gmtoff < 0 and minutes >= 60 else "+"  # noqa: PLR2004 - an hour
    day = f"{at.tm_year:04}-{at.tm_mon:02}-{at.tm_mday:02}"
    return f"{day}T{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}{sign}{minutes // 60:02}:{minutes % 60:02}"


def length(seconds: int) -> str:
    """Return a length as `last` shows it, with its brackets: `` (00:05)``, ``(1+02:03)``, `` (-2:30)``."""
    minutes = abs(seconds) // 60
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"({'-' if seconds < 0 else ''}{days}+{hours:02}:{minutes:02})"
    if seconds >= 0:
        return f" ({hours:02}:{minutes:02})"
    return f" (-{hours}:{minutes:02})" if hours else f" (-00:{minutes:02})"


class Spans(dict[int, "tuple[int, int, int | None, str]"]):
    """From a quarter of an hour since the epoch (UTC) to a stretch around it in which local time is steady.

    A stretch is its first µs and the one behind its last, the local midnight before it in µs, and ``Thu Jan  1 ``. It is a whole local day, or the
    quarter alone on a day on which the offset changes. The midnight is None where local time is not in step with minutes (before 1900 or so), or
    where the offset changes within the quarter.
    """

    def __missing__(self, quarter: int) -> tuple[int, int, int | None, str]:
        """Ask the C library, once."""
        if len(self) > _MOST_CACHED:
            self.clear()
        begin, end = quarter * _QUARTER, (quarter + 1) * _QUARTER
        at = localtime(begin)
        offset = at.tm_gmtoff
        midnight = begin - (begin + offset) % _DAY
        clock = at.tm_hour * 3600 + at.tm_min * 60 + at.tm_sec
        steady = localtime(end - 1).tm_gmtoff == offset and offset % 60 == 0 and clock == (begin + offset) % _DAY <= _DAY - _QUARTER
        if not steady:
            self[quarter] = unsteady = begin * SECOND, end * SECOND, None, ""
            return unsteady
        if localtime(midnight).tm_gmtoff == localtime(midnight + _DAY - 1).tm_gmtoff == offset:
            begin, end = midnight, midnight + _DAY
        day = f"{_DAYS[at.tm_wday]} {MONTHS[at.tm_mon - 1]} {at.tm_mday:2} "
        span = begin * SECOND, end * SECOND, midnight * SECOND, day
        for place in range(-(-begin // _QUARTER), end // _QUARTER):  # midnight itself may lie within a quarter
            self[place] = span
        return span


class Lengths(dict[int, str]):
    """From a number of minutes that is not negative to its `length`."""

    def __missing__(self, minutes: int) -> str:
        """Work out the length."""
        if len(self) > _MOST_CACHED:
            self.clear()
        self[minutes] = text = length(minutes * 60)
        return text


class Clock(dict[int, str]):
    """From a minute of the day to ``00:00``."""

    def __missing__(self, minute: int) -> str:
        """Write it out; there are 1440 at most."""
        self[minute] = text = f"{minute // 60:02}:{minute % 60:02}"
        return text
