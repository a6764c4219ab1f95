# SPDX-License-Identifier: BSD-2-Clause
"""Times and lengths as `last` writes them: local time (TZ), whole seconds, English names in every locale. No I/O."""

from __future__ import annotations

from time import gmtime, localtime

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
QUARTER = 15
DAY = 1440
"""In minutes."""
_MOST_CACHED = 30_000


def full(second: int) -> str:
    """Return a time as ``Thu Jan  1 00:00:00 1970``."""
    at = localtime(second)
    day = f"{_DAYS[at.tm_wday]} {_MONTHS[at.tm_mon - 1]} {at.tm_mday:2}"
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


class Offsets(dict[int, "int | None"]):
    """From a quarter of an hour since the epoch (UTC) to the offset of local time in minutes.

    None where local time is not in step with minutes (before 1900 or so), or where the offset changes within the quarter.
    """

    def __missing__(self, quarter: int) -> int | None:
        """Ask the C library, once."""
        if len(self) > _MOST_CACHED:
            self.clear()
        start, end = localtime(quarter * QUARTER * 60), localtime((quarter + 1) * QUARTER * 60 - 1)
        steady = start.tm_gmtoff == end.tm_gmtoff and start.tm_gmtoff % 60 == 0
        self[quarter] = offset = start.tm_gmtoff // 60 if steady else None
        return offset


class Days(dict[int, str]):
    """From a local day since the epoch to ``Thu Jan  1 ``."""

    def __missing__(self, day: int) -> str:
        """Work out the day."""
        if len(self) > _MOST_CACHED:
            self.clear()
        at = gmtime(day * DAY * 60)
        self[day] = text = f"{_DAYS[at.tm_wday]} {_MONTHS[at.tm_mon - 1]} {at.tm_mday:2} "
        return text


class Lengths(dict[int, str]):
    """From a number of minutes that is not negative to its `length`."""

    def __missing__(self, minutes: int) -> str:
        """Work out the length."""
        if len(self) > _MOST_CACHED:
            self.clear()
        self[minutes] = text = length(minutes * 60)
        return text


CLOCK = tuple(f"{minute // 60:02}:{minute % 60:02}" for minute in range(DAY))
"""The minutes of a day: ``00:00`` …"""
