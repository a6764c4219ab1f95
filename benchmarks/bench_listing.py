# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb last` of a whole history into a pipe, against util-linux's `last -f` of a wtmp file of the same history; and its peak memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import data
from benchmarks.installed import installed
from benchmarks.listings import compare, util_linux
from benchmarks.measure import Result, Settings, at_most, peak, race, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROUNDS = 7


def run(settings: Settings) -> Iterator[Result]:
    """Yield the lines of the table."""
    last = util_linux()
    for distinct, which in ((False, ""), (True, ", each from a host of its own")):
        ours = str(data.database(settings, distinct_hosts=distinct))
        theirs = str(data.wtmp(settings, distinct_hosts=distinct))
        with installed() as program:
            commands = {"ours": [program, "last", "-f", ours], "theirs": [last, "-f", theirs]}
            lines = compare(commands["ours"], commands["theirs"])
            times = race(commands, _ROUNDS)
            what = f"`wtmpdb last`, {lines - 2:,} lines{which}"
            yield ratio(f"{what} : util-linux's `last -f`", times["ours"], times["theirs"], 2)
            yield at_most(f"{what}: peak memory", peak(commands["ours"]), 48, "MB")
