# SPDX-License-Identifier: BSD-2-Clause
# ruff: noqa: RUF001 - a table for people has a multiplication sign
"""`wtmpdb import` of an old file into a fresh database, against a plain `executemany` of the very rows, and while others want to write and read."""

from __future__ import annotations

import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

from benchmarks import data
from benchmarks.installed import installed
from benchmarks.measure import Result, Settings, at_most, low, peak, ratio, run_once, take_turns

from wtmpdb.event import OPENED, Event
from wtmpdb.log import Log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ROUNDS = 5
_OF_C = 960  # records a second: what the C tool imports, as its issue tracker has it
_WTMP = "INSERT INTO wtmp VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_IMPORTED = "INSERT INTO imported VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


def run(settings: Settings) -> Iterator[Result]:
    """Yield the lines of the table."""
    half = Settings(settings.rows // 2, settings.cache)  # most rows are two records
    old = data.wtmp(half)
    records = old.stat().st_size // 384
    ours, plain = settings.cache / "import.db", settings.cache / "plain.db"
    with installed() as program:
        command = [program, "import", "-f", str(ours), str(old)]

        def import_() -> float:
            _remove(ours)
            return run_once(command)

        import_()
        with closing(sqlite3.connect(ours)) as database:
            rows = [database.execute(f"SELECT * FROM {table}").fetchall() for table in ("wtmp", "imported")]
        times = take_turns(
            {"ours": import_, "plain": lambda: _plain(plain, rows, sides=True), "bare": lambda: _plain(plain, rows, sides=False)}, _ROUNDS
        )
        best = {name: low(seconds) for name, seconds in times.items()}
        what = f"import of {records:,} records"
        yield ratio(f"{what} : `executemany` of the rows and their side rows", best["ours"], best["plain"], 3)
        yield ratio(f"{what} : `executemany` of the rows alone", best["ours"], best["bare"])
        found = records / best["ours"]
        yield Result(f"{what}, records a second : C's {_OF_C}", f"{found / _OF_C:.0f} × ({found:,.0f})", "≥ 200 ×", found >= 200 * _OF_C)
        yield ratio(f"{what} for the second time : for the first", low(take_turns({"again": lambda: run_once(command)}, 3)["again"]), best["ours"])
        yield from _beside(command, ours)
        _remove(ours)
        yield at_most(f"{what}: peak memory", peak(command), 64, "MB")
    _remove(ours)
    _remove(plain)


def _plain(path: Path, rows: list[list[tuple[object, ...]]], *, sides: bool) -> float:
    _remove(path)
    begun = time.perf_counter()
    Log.write(str(path)).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = PERSIST")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("BEGIN IMMEDIATE")
        database.executemany(_WTMP, rows[0])
        if sides:
            database.executemany(_IMPORTED, rows[1])
        database.execute("COMMIT")
    return time.perf_counter() - begun


def _beside(command: list[str], path: Path) -> Iterator[Result]:
    """Yield how long others wait that write and read while the import runs."""
    _remove(path)
    Log.write(str(path)).close()
    waits: dict[str, list[float]] = {"write": [], "read": []}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        threads = [
            threading.Thread(target=_write, args=(process, path, waits["write"])),
            threading.Thread(target=_read, args=(process, path, waits["read"])),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    for what, seconds in waits.items():
        yield Result(f"beside an import, the longest of {len(seconds):,} waits to {what}", f"{max(seconds) * 1000:.0f} ms")


def _write(process: subprocess.Popen[bytes], path: Path, waits: list[float]) -> None:
    number = 0
    while process.poll() is None:
        number += 1
        event = Event(OPENED, id=str(number), key=f"{number:032x}", time=number, opened=number, user="alice", tty="tty1")
        begun = time.perf_counter()
        with Log.write(str(path)) as log:
            log.apply([event])
        waits.append(time.perf_counter() - begun)
        time.sleep(0.02)


def _read(process: subprocess.Popen[bytes], path: Path, waits: list[float]) -> None:
    while process.poll() is None:
        begun = time.perf_counter()
        with Log.read(str(path)) as log:
            next(iter(log.rows()), None)
        waits.append(time.perf_counter() - begun)
        time.sleep(0.02)


def _remove(path: Path) -> None:
    for name in (path, path.with_name(path.name + "-journal")):
        name.unlink(missing_ok=True)
