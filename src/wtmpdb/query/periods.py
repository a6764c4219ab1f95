# SPDX-License-Identifier: BSD-2-Clause
"""Counts by local day, and by longer periods where the days are too many to be looked at. No I/O."""

from __future__ import annotations

from collections import Counter
from datetime import date
from functools import cache
from time import localtime
from typing import TYPE_CHECKING

from wtmpdb.entry import SECOND
from wtmpdb.query.stats import QUARTER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST = 36
"""So many periods are shown at most: five weeks of days, three years of months."""

_LARGEST_YEAR = 9999  # of Python's dates
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def days(quarters: Mapping[int, int]) -> Counter[tuple[int, int, int]]:
    """Return the counts by local day (year, month, day), given those by quarters of an hour since the epoch."""
    counts: Counter[tuple[int, int, int]] = Counter()
    for quarter, number in quarters.items():
        counts[localtime(quarter * QUARTER // SECOND)[:3]] += number
    return counts


class Periods:
    """Days, weeks, months or years, as few as `MOST`, from the first to the last that something happened in."""

    def __init__(self, counts: list[Counter[tuple[int, int, int]]]) -> None:
        """Take counts by day, several that belong together."""
        known = sorted({day for one in counts for day in one})
        for self.unit, self._number, self._name in _UNITS:
            if not known or (known[-1][0] <= _LARGEST_YEAR and self._number(known[-1]) - self._number(known[0]) < MOST):
                break
        numbers = sorted({self._number(day) for day in known})
        if numbers and numbers[-1] - numbers[0] < MOST:
            numbers = list(range(numbers[0], numbers[-1] + 1))
        summed = [self._summed(one) for one in counts]
        self.rows = [(self._name(number), [one[number] for one in summed]) for number in numbers[-MOST:]]
        """The name of each period, and its counts."""

    def _summed(self, days: Mapping[tuple[int, int, int], int]) -> Counter[int]:
        summed: Counter[int] = Counter()
        for day, number in days.items():
            summed[self._number(day)] += number
        return summed


@cache
def _day(day: tuple[int, int, int]) -> int:
    return date(*day).toordinal()


def _week(day: tuple[int, int, int]) -> int:
    return (_day(day) - 1) // 7


def _month(day: tuple[int, int, int]) -> int:
    return day[0] * 12 + day[1] - 1


def _year(day: tuple[int, int, int]) -> int:
    return day[0]


def _day_name(number: int) -> str:
    day = date.fromordinal(number)
    return f"{_WEEKDAYS[day.weekday()]} {_MONTHS[day.month - 1]} {day.day:2}"


def _week_name(number: int) -> str:
    day = date.fromordinal(number * 7 + 1)
    return f"{day.day:2} {_MONTHS[day.month - 1]} {day.year}"


def _month_name(number: int) -> str:
    return f"{_MONTHS[number % 12]} {number // 12}"


_UNITS: tuple[tuple[str, Callable[[tuple[int, int, int]], int], Callable[[int], str]], ...] = (
    ("Day", _day, _day_name),
    ("Week from", _week, _week_name),
    ("Month", _month, _month_name),
    ("Year", _year, str),
)
