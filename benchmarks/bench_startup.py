# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb last -n 10` of a long history, against a Python that only loads SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import data
from benchmarks.installed import PYTHON, installed
from benchmarks.measure import Result, Settings, output, race, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROUNDS = 150


def run(settings: Settings) -> Iterator[Result]:
    """Yield the lines of the table."""
    database = data.database(settings)
    with installed() as program, installed(database) as at_home:
        commands = {
            "python": [PYTHON, "-I", "-S", "-c", "import sqlite3"],
            "bare": [PYTHON, "-I", "-S", "-c", ""],
            "file": [program, "last", "-n", "10", "-f", str(database)],
            "home": [at_home, "last", "-n", "10"],
        }
        for name in ("file", "home"):
            if output(commands[name]).count(b"\n") != 12:
                raise RuntimeError(f"{commands[name]}: not ten lines, a blank one and the trailer")
        times = race(commands, _ROUNDS)
    yield ratio("`wtmpdb last -n 10 -f FILE` : `python3 -I -S -c 'import sqlite3'`", times["file"], times["python"], 2)
    yield ratio("`wtmpdb last -n 10` : the same", times["home"], times["python"], 2)
    yield ratio("`wtmpdb last -n 10` : `python3 -I -S -c ''`", times["home"], times["bare"])
