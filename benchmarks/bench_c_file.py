# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb last` of a file that the C tools made: no side tables, no indexes, and readers cannot make any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import data
from benchmarks.installed import PYTHON, installed
from benchmarks.listings import compare, util_linux
from benchmarks.measure import Result, Settings, at_most, peak, race, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROUNDS = 5
_SHORT_ROUNDS = 20


def run(settings: Settings) -> Iterator[Result]:
    """Yield the lines of the table."""
    last = util_linux()
    ours, theirs = str(data.database_of_c(settings)), str(data.wtmp(settings))
    with installed() as program:
        short = {"ours": [program, "last", "-n", "10", "-f", ours], "python": [PYTHON, "-I", "-S", "-c", "import sqlite3"]}
        times = race(short, _SHORT_ROUNDS)
        yield ratio("C's file: `wtmpdb last -n 10` : `python3 -I -S -c 'import sqlite3'`", times["ours"], times["python"])
        full = {"ours": [program, "last", "-f", ours], "theirs": [last, "-f", theirs]}
        lines = compare(full["ours"], full["theirs"])
        times = race(full, _ROUNDS)
        yield ratio(f"C's file: `wtmpdb last`, {lines - 2:,} lines : util-linux's `last -f`", times["ours"], times["theirs"], 2)
        yield at_most("C's file: peak memory", peak(full["ours"]), 48, "MB")
