# SPDX-License-Identifier: BSD-2-Clause
# ruff: noqa: RUF001 - a table for people has a multiplication sign
"""`wtmpdb last -f` of an old file, against util-linux's `last`: all of it, its newest ten lines, and logins that all have a terminal of their own."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from benchmarks import data
from benchmarks.installed import PYTHON, installed
from benchmarks.listings import compare, util_linux
from benchmarks.measure import Result, Settings, at_most, output, peak, race, ratio, time_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ROUNDS = 7
_SHORT_ROUNDS = 100
_FEW, _MANY = 25_000, 100_000  # logins; of the many util-linux is too slow to be asked
_RECORD = struct.Struct("<hxxi32s4s32s256shhiIi16s20x")
_USER_PROCESS = 7
_BEGIN = 1_600_000_000


def run(settings: Settings) -> Iterator[Result]:
    """Yield the lines of the table."""
    last = util_linux()
    half = Settings(settings.rows // 2, settings.cache)  # most rows are two records
    wtmp = str(data.wtmp(half))
    with installed() as program:
        yield from _whole(program, last, wtmp)
        short = {"ours": [program, "last", "-n", "10", "-f", wtmp], "python": [PYTHON, "-c", "pass"]}
        if output(short["ours"]).count(b"\n") != 12:
            raise RuntimeError("not ten lines, a blank one and the last")
        times = race(short, _SHORT_ROUNDS)
        yield ratio("old file: `wtmpdb last -n 10 -f` : `python3 -c pass`", times["ours"], times["python"], 2.5)
        yield from _distinct(program, last, settings)


def _whole(program: str, last: str, wtmp: str) -> Iterator[Result]:
    commands = {"ours": [program, "last", "-f", wtmp], "theirs": [last, "-f", wtmp]}
    lines = compare(commands["ours"], commands["theirs"])
    times = race(commands, _ROUNDS)
    what = f"old file: `wtmpdb last -f`, {lines - 2:,} lines"
    yield ratio(f"{what} : util-linux's `last -f`", times["ours"], times["theirs"], 3)
    yield at_most(f"{what}: peak memory", peak(commands["ours"]), 64, "MB")


def _distinct(program: str, last: str, settings: Settings) -> Iterator[Result]:
    few, many, all_ = (str(_logins(settings, count)) for count in (_FEW, _MANY, settings.rows))
    commands = {"few": [program, "last", "-f", few], "many": [program, "last", "-f", many], "theirs": [last, "-f", few]}
    compare(commands["few"], commands["theirs"])
    times = race(commands, _ROUNDS)
    what = "logins on terminals of their own, no boot"
    many_each, few_each = (times[name] / count * 1e6 for name, count in (("many", _MANY), ("few", _FEW)))
    found, most = many_each / few_each, 1.25
    yield Result(
        f"each of {_MANY:,} {what} : each of {_FEW:,}", f"{found:.2f} × ({many_each:.1f} µs : {few_each:.1f} µs)", f"≤ {most} ×", found <= most
    )
    yield Result(f"{_FEW:,} {what}, util-linux's `last -f`", time_of(times["theirs"]))
    yield at_most(f"{settings.rows:,} {what}: peak memory", peak([program, "last", "-f", all_]), 64, "MB")


def _logins(settings: Settings, count: int) -> Path:
    """Return a file of logins, as ftpd wrote them, that no boot and no logout ends."""
    path = settings.cache / f"{count}-terminals.wtmp"
    if not path.exists():
        draft = path.with_suffix(".draft")
        with draft.open("wb", buffering=1 << 20) as file:
            for number in range(count):
                text = b"ftp%d" % number, b"", b"u%d" % (number % 300), b"10.0.%d.%d" % (number >> 8 & 255, number & 255)
                file.write(_RECORD.pack(_USER_PROCESS, 4711, *text, 0, 0, 0, _BEGIN + 3 * number, 0, b""))
        draft.rename(path)
    return path
