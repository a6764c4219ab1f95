# SPDX-License-Identifier: BSD-2-Clause
"""From a login through libpam to a row of the history."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from support import edit, table
from wtmpdb.log import Log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pam_world import Stack

DRAIN = """
import sys, time
from wtmpdb.errors import WtmpdbError
from wtmpdb.recorder.drain import drain
while True:
    try:
        drain(sys.argv[1], sys.argv[2], timeout=0.1)
    except WtmpdbError:
        pass
    time.sleep(0.01)
"""


@pytest.fixture
def history(stack: Stack) -> Iterator[Path]:
    """Make a history, and empty the spool into it over and over."""
    (stack.spool / "bad").mkdir(mode=0o700)
    path = stack.root / "wtmp.db"
    Log.write(str(path)).close()
    with subprocess.Popen([sys.executable, "-c", DRAIN, str(path), str(stack.spool)]) as drain:
        yield path
        drain.kill()


def wait_for(path: Path, stack: Stack, rows: int) -> None:
    """Wait until so many rows are there and closed."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if sum(row[4] is not None for row in table(path)) >= rows and not list((stack.spool / "new").iterdir()):
            return
        time.sleep(0.05)


@pytest.mark.parametrize(("processes", "sessions"), [(40, 20), (1000, 1)], ids=["40 of 20", "1000 at once"])
def test_every_login_of_a_burst_is_a_row(stack: Stack, history: Path, processes: int, sessions: int) -> None:
    """While the spool is emptied, each of many sessions at the same moment becomes one closed row."""
    stack.exercise(processes, 1, sessions)
    wait_for(history, stack, processes * sessions)
    rows = table(history)
    assert sorted(str(row[2]) for row in rows) == sorted(f"p{p}t0s{s}" for p in range(processes) for s in range(sessions))
    assert all(int(str(row[4])) >= int(str(row[3])) for row in rows)
    assert list((stack.spool / "bad").iterdir()) == []


def test_the_history_is_locked(stack: Stack, history: Path) -> None:
    """While somebody holds the history locked, a login succeeds as fast as ever; its row comes when the lock goes."""
    free = seconds(stack)
    with edit(history) as other:
        other.isolation_level = None
        other.execute("BEGIN EXCLUSIVE")
        locked = seconds(stack)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            sqlite3.connect(history, timeout=0).execute("SELECT * FROM wtmp")
        other.execute("ROLLBACK")
    assert locked < 10 * free + 0.5  # far below any time for which a lock would be waited for
    wait_for(history, stack, 2)
    assert len(table(history)) == 2


def seconds(stack: Stack) -> float:
    """Return how long opening and closing a session takes."""
    began = time.monotonic()
    stack.run()
    return time.monotonic() - began


def test_hostile_names_stay_on_their_line(stack: Stack, history: Path) -> None:
    """What a user puts into names is stored in one line of valid text, and listed in one line."""
    user = "eve\nroot     pts/0        trusted          Fri Mar  1 09:00   still logged in\x1b[2J"
    stack.run(user, rhost=b"\xff\xfe" + b"h" * 400, tty=b"/dev/pts/\n9")
    wait_for(history, stack, 1)
    [row] = table(history)
    assert row[2] == user.replace("\n", "\\012").replace("\x1b", "\\033")
    assert row[5] == "pts/\\0129"
    assert str(row[6]).startswith("\\377\\376hhh")
    assert len(str(row[6])) == 8 + 253
    command = [sys.executable, "-m", "wtmpdb", "last", "-w", "-f", str(history)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert len(shown.splitlines()) == 3
    assert "\x1b" not in shown
