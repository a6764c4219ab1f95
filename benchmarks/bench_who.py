# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb who` on a machine with a long history, against a Python that only loads SQLite."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks import data
from benchmarks.installed import PYTHON, installed
from benchmarks.measure import Result, Settings, output, race, ratio

from wtmpdb.entry import now
from wtmpdb.event import OPENED, Event
from wtmpdb.log import Log
from wtmpdb.system import System

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROUNDS = 150
_ROUNDS_WITHOUT_INDEXES = 15


def run(settings: Settings) -> Iterator[Result]:
    """Yield the lines of the table."""
    with _with_me(data.database(settings)) as history, installed(history) as program:
        commands = {"python": [PYTHON, "-I", "-S", "-c", "import sqlite3"], "plain": [program, "who"], "full": [program, "who", "-aH"]}
        if b"me       pts/998" not in output(commands["plain"]):
            raise RuntimeError("who does not show who is on")
        times = race(commands, _ROUNDS)
    yield ratio("`wtmpdb who` : `python3 -I -S -c 'import sqlite3'`", times["plain"], times["python"], 2)
    yield ratio("`wtmpdb who -aH`, which asks systemd for the run level : the same", times["full"], times["python"])
    with installed(data.database_of_c(settings)) as program:
        times = race({"python": commands["python"], "plain": [program, "who"]}, _ROUNDS_WITHOUT_INDEXES)
    yield ratio("C's file: `wtmpdb who` : the same", times["plain"], times["python"])


@contextmanager
def _with_me(database: Path) -> Iterator[Path]:
    """Yield a copy of a history in which this very process has logged in, in this very boot."""
    system = System()
    with TemporaryDirectory(prefix="who-", dir=database.parent) as directory:
        path = str(shutil.copy(database, directory))
        key, start = system.boot_key(), system.process_start(os.getpid())
        with Log.write(path) as log:
            log.begin_boot(key, system.boot_time(), user="reboot", kernel=system.kernel())
            log.apply([Event(OPENED, id="1", time=now(), user="me", key="0" * 32, pid=os.getpid(), start=start, boot=key, tty="pts/998")])
        yield Path(path)
