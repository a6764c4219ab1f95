# SPDX-License-Identifier: BSD-2-Clause
"""The drain: from the spool into the history."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import BOOT_KEY, NOON, Machine, closed, edit, make_spool, name, opened, post, table
from wtmpdb.errors import BusyLogError, DamagedLogError
from wtmpdb.recorder import drain as module
from wtmpdb.recorder.drain import Drained, drain
from wtmpdb.spool import BusyError, Spool

ME = os.getuid()


class World:
    """A spool and a history."""

    def __init__(self, place: Path) -> None:
        self.spool = make_spool(place / "spool")
        self.database = place / "wtmp.db"

    def drain(self, timeout: float = 5.0) -> Drained:
        """Drain once."""
        return drain(str(self.database), str(self.spool), timeout=timeout, owner=ME, system=Machine())

    def left(self, where: str = "new") -> list[str]:
        """Return the names of the letters that are left."""
        return sorted(os.listdir(self.spool / where))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make an empty spool and a place for a history."""
    return World(tmp_path)


def test_letters_become_rows(world: World) -> None:
    """Letters become rows in the order of their time, and go."""
    first, second = opened("alice", NOON), opened("bob", NOON + 1)
    post(world.spool, second, closed(first, NOON + 5), first)
    assert str(world.drain()) == "2 opened, 1 closed"
    assert [row[2:5] for row in table(world.database)] == [("alice", NOON, NOON + 5), ("bob", NOON + 1, None)]
    assert world.left() == []


def test_nothing_waits(world: World) -> None:
    """With an empty spool a drain does nothing, but the history is there afterwards."""
    assert str(world.drain()) == "0 opened, 0 closed"
    assert table(world.database) == []


def test_broken_letters(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    """A broken letter is put into bad/ with a word on stderr, and stops nobody."""
    post(world.spool, opened("alice"))
    (world.spool / "new" / "0").write_bytes(b"nonsense\n\x1b[2J")
    (world.spool / "new" / "dir").mkdir()
    assert world.drain().broken == 2
    assert world.left("bad") == ["0", "dir"]
    assert [row[2] for row in table(world.database)] == ["alice"]
    error = capfd.readouterr().err
    assert "letter '0' is broken: not whole" in error
    assert "\x1b" not in error


def test_letters_come_back(world: World) -> None:
    """Letters that were applied before, because a drain was killed before it deleted them, change nothing."""
    event = opened()
    letters = [event, closed(event, NOON + 5)]
    post(world.spool, *letters)
    world.drain()
    before = table(world.database)
    post(world.spool, *letters)
    assert world.drain().known == 2
    assert table(world.database) == before


def test_boot_of_a_letter(world: World) -> None:
    """A letter that knows only the kernel's boot id gets the key of this boot; one of another boot keeps what it has."""
    post(world.spool, opened("now", boot=BOOT_KEY.partition("/")[0]), opened("then", NOON + 1, boot="0000"))
    world.drain()
    with edit(world.database) as database:
        assert database.execute("SELECT boot_key FROM session ORDER BY entry_id").fetchall() == [(BOOT_KEY,), ("0000",)]


def test_locked(world: World) -> None:
    """While somebody else holds the lock nothing is lost: the letters wait for the next drain."""
    world.drain()
    post(world.spool, opened())
    with edit(world.database) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BusyLogError):
            world.drain(timeout=0.1)
        assert len(world.left()) == 1
    world.drain()
    assert len(table(world.database)) == 1


def test_damaged_history(world: World) -> None:
    """While the history is damaged the letters wait."""
    world.database.write_bytes(b"no database" * 1000)
    post(world.spool, opened())
    with pytest.raises(DamagedLogError):
        world.drain()
    assert len(world.left()) == 1


def test_another_drain(world: World) -> None:
    """Two drains do not get in each other's way: the second says that the first is at work."""
    with Spool(str(world.spool), owner=ME), pytest.raises(BusyError):
        world.drain()


def test_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """More letters than are looked at in one pass, or fit into one transaction, are all taken."""
    monkeypatch.setattr("wtmpdb.spool.MOST_NAMES", 100)
    monkeypatch.setattr(module, "MOST_NAMES", 100)
    monkeypatch.setattr(module, "BATCH", 30)
    post(world.spool, *(opened(f"user{number}", NOON + number) for number in range(450)))
    assert world.drain().opened == 450
    assert world.left() == []


DRAIN_FOR_EVER = """
import sys
from wtmpdb.recorder import drain as module
module.BATCH = 7
while True:
    module.drain(sys.argv[1], sys.argv[2], owner=int(sys.argv[3]), wait=10.0)
"""


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_point(world: World, seed: int) -> None:
    """Killed 50 times at random points while letters come in, the drain loses nothing and writes nothing twice."""
    dice = random.Random(seed)  # noqa: S311 - dice for a test
    sessions = [opened(f"user{number}", NOON + number) for number in range(1500)]
    letters = [letter for event in sessions for letter in (event, closed(event, NOON + 10_000 + event.time % 1000))]
    dice.shuffle(letters)
    kills = 50
    for number in range(kills):
        post(world.spool, *letters[number::kills])
        run_and_kill(world, dice.uniform(0.0, 0.03))
    world.drain()
    rows = sorted((row[2], row[3], row[4]) for row in table(world.database))
    assert rows == sorted((event.user, event.time, NOON + 10_000 + event.time % 1000) for event in sessions)
    assert world.left() == []
    with edit(world.database) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM session WHERE opened_by IS NOT NULL AND closed_by IS NOT NULL").fetchone() == (1500,)


def run_and_kill(world: World, after: float) -> None:
    """Start a drain, and kill it some time after it has begun to work."""
    command = [sys.executable, "-c", DRAIN_FOR_EVER, str(world.database), str(world.spool), str(ME)]
    before = len(world.left())
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 10
        while len(world.left()) == before and time.monotonic() < deadline:
            time.sleep(0.0005)
        time.sleep(after)
        process.send_signal(signal.SIGKILL)


def test_names_of_letters(world: World) -> None:
    """The event that opened or closed a row is known by the name of its letter."""
    event = opened(id=name(NOON, 77))
    post(world.spool, event)
    world.drain()
    with edit(world.database) as database:
        assert database.execute("SELECT opened_by, closed_by FROM session").fetchall() == [(name(NOON, 77), None)]
