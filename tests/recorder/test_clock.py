# SPDX-License-Identifier: BSD-2-Clause
"""The resident recorder while the clock jumps: it waits by a clock that does not, and goes by the times that letters tell."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from glob import glob
from typing import TYPE_CHECKING

import pytest

from recorder import test_server
from recorder.test_server import Resident, wait
from support import SECOND, closed, failed, make_spool, opened, post, table
from wtmpdb.recorder.failures import PER_USER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wtmpdb.event import Event

FAKE = glob("/usr/lib/*/faketime/libfaketime.so.1")
DAY = 86_400

pytestmark = pytest.mark.skipif(os.getuid() != 0 or not FAKE, reason="needs root, and libfaketime")


class Jumping(Resident):
    """A recorder whose clock can be set."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._clock = place / "clock"
        self.offset = 0
        self.set_clock(0)
        make_spool(self.spool / "failed")

    def set_clock(self, offset: int) -> None:
        """Let the clock differ by so many seconds."""
        self.offset = offset
        new = self._clock.with_suffix(".new")
        new.write_text(f"{offset:+d}")
        new.rename(self._clock)

    def begin(self, **environment: str) -> None:
        """Start it under that clock. The rest, monotonic clock and times of files, is the kernel's."""
        self.start(
            LD_PRELOAD=FAKE[0],
            FAKETIME_TIMESTAMP_FILE=str(self._clock),
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
            NO_FAKE_STAT="1",
            **environment,
        )

    def now(self) -> int:
        """Return what the clock says, in µs."""
        return time.time_ns() // 1000 + self.offset * SECOND

    def take(self, *events: Event) -> float:
        """Leave letters and poke; return how many seconds it took until none was left."""
        begun = time.monotonic()
        post(self.spool, *events)
        self.poke()
        assert wait(lambda: not os.listdir(self.spool / "new"))
        return time.monotonic() - begun


# That library fails in what time.sleep calls, clock_nanosleep until a moment of the monotonic clock.
SLEEP = "import select, time; time.sleep = lambda seconds: select.select([], [], [], seconds)"


@pytest.fixture
def jumping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jumping]:
    """Make a recorder that is not started yet."""
    monkeypatch.setattr(test_server, "START", f"{SLEEP}\n{test_server.START}")
    jumping = Jumping(tmp_path)
    yield jumping
    jumping.close()


@pytest.mark.parametrize("jumps", [(DAY, 0), (-DAY, 0), (4000 * DAY, -4000 * DAY)])
def test_sessions(jumping: Jumping, jumps: tuple[int, ...]) -> None:
    """However the clock jumps letters are taken at once, poked or not, and each session is one row with the times that its letters tell."""
    jumping.begin()
    first = opened("first", jumping.now())
    jumping.take(first)
    expected = [("first", first.time)]
    for jump in jumps:
        jumping.set_clock(jump)
        event = opened(f"at{jump}", jumping.now())
        assert jumping.take(event) < 10
        expected.append((event.user, event.time))
        without_poke = opened(f"unpoked{jump}", jumping.now())
        post(jumping.spool, without_poke)
        assert wait(lambda letter=without_poke: letter.user in jumping.users(), 4)  # type: ignore[misc]
        expected.append((without_poke.user, without_poke.time))
    end = closed(first, jumping.now())
    assert jumping.take(end) < 10
    rows = table(jumping.database)
    assert [row[2:4] for row in rows] == expected
    assert [row[4] for row in rows] == [end.time, *[None] * (len(rows) - 1)]
    assert jumping.said() == ""
    assert jumping.end() == 0


def test_letters_that_are_being_written(jumping: Jumping) -> None:
    """A jump ahead does not make an abandoned letter of one that is just being written: it is whole a moment later, and a row."""
    event = opened("alice", jumping.now(), id=f"{jumping.now():020}.{os.getpid():010}.000001.0000000a")
    jumping.begin()
    with (jumping.spool / "tmp" / event.id).open("wb", buffering=0) as file:
        file.write(event.encode()[:40])
        jumping.set_clock(DAY)
        assert jumping.take(opened("bob", jumping.now())) < 10
        file.write(event.encode()[40:])
    (jumping.spool / "tmp" / event.id).rename(jumping.spool / "new" / event.id)
    jumping.poke()
    assert wait(lambda: sorted(map(str, jumping.users())) == ["alice", "bob"])


def test_signs_of_life(jumping: Jumping) -> None:
    """The watchdog is told as often as before."""
    jumping.begin(WATCHDOG_USEC="400000")
    for jump in (DAY, -DAY):
        jumping.set_clock(jump)
        jumping.take(opened("alice", jumping.now()))
        for _ in range(3):
            begun = time.monotonic()
            assert jumping.heard() == "WATCHDOG=1"
            assert time.monotonic() - begun < 0.4


def test_failed_logins(jumping: Jumping) -> None:
    """Each day and minute has its own limits, also one to which the clock comes back; no attempt is lost or listed beyond the limit."""
    jumping.begin()
    database = jumping.spool.parent / "btmp.db"
    minute = jumping.now() // (60 * SECOND) * 60 * SECOND
    total = 0

    def attempts() -> int:
        with closing(sqlite3.connect(database)) as file:
            try:
                rows, counted = file.execute("SELECT (SELECT count(*) FROM wtmp), (SELECT coalesce(sum(number), 0) FROM counted)").fetchone()
            except sqlite3.OperationalError:
                return 0
        return int(rows + counted)

    for jump in (0, DAY, 0):
        jumping.set_clock(jump)
        post(jumping.spool / "failed", *(failed("root", minute + jump * SECOND + number) for number in range(PER_USER + 5)))
        total += PER_USER + 5
        assert wait(lambda number=total: attempts() == number)  # type: ignore[misc]
    assert len(table(database)) == 2 * PER_USER
