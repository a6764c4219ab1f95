# SPDX-License-Identifier: BSD-2-Clause
"""The machine: clock, room, what a crash left."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from doctor.conftest import World, said
from support import HOUR, NOON, SECOND
from wtmpdb.doctor import machine
from wtmpdb.doctor.finding import NOTE, OK, PROBLEM

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def built_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program have been built long before noon of the test."""
    monkeypatch.setattr(machine, "_built", lambda: NOON / SECOND - 1000)


def boot(at: int, end: int | None) -> tuple[object, ...]:
    """Return the row of a boot."""
    return (1, "reboot", at, end, "~", "6.1", None)


def session(at: int, end: int | None) -> tuple[object, ...]:
    """Return the row of a session."""
    return (3, "alice", at, end, "tty1", None, "login")


class TestClock:
    def test_well(self, world: World) -> None:
        """A clock that is ahead of all rows is well, with or without a history."""
        assert len(said(list(machine.clock(world.case())), OK)) == 1
        world.history(session(NOON - HOUR, None))
        assert len(said(list(machine.clock(world.case())), OK)) == 1

    def test_behind_the_newest_row(self, world: World) -> None:
        """A row of tomorrow says that the clock is wrong, or was."""
        world.history(session(NOON + 26 * HOUR, None), session(NOON, None))
        found = said(list(machine.clock(world.case())), PROBLEM)
        assert "26 h ahead: the clock is wrong now, or was then" in found[0]

    def test_behind_the_program(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """A clock from before the installation is wrong."""
        monkeypatch.setattr(machine, "_built", lambda: NOON / SECOND + 1e8)
        assert "behind the installation of this program" in said(list(machine.clock(world.case())), PROBLEM)[0]

    def test_not_kept(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """A clock that nobody keeps in step is a note."""
        case = world.case()
        case.root = "/"
        monkeypatch.setattr(machine, "SYNCHRONISED", str(world.root / "none"))
        monkeypatch.setattr(machine, "_clock_state", lambda: 5)
        assert "nobody keeps it in step" in said(list(machine.clock(case)), NOTE)[0]
        monkeypatch.setattr(machine, "_clock_state", lambda: 0)
        assert said(list(machine.clock(case)), NOTE) == []
        monkeypatch.setattr(machine, "_clock_state", lambda: os.kill(os.getpid(), 9))
        assert said(list(machine.clock(case)), NOTE) == []
        monkeypatch.undo()
        assert machine._clock_state() in range(-1, 6)

    def test_hostile_times(self, world: World) -> None:
        """A login that is no time does no harm."""
        world.history(session(2**63 - 1, None))
        assert "ahead" in said(list(machine.clock(world.case())), PROBLEM)[0]
        world.database.unlink()
        world.history((3, "alice", "text", None, "tty1", None, None), ours=False, strict=False)
        assert len(said(list(machine.clock(world.case())), OK)) == 1


class TestRoom:
    @pytest.fixture
    def disk(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        """Let the test decide about the file system."""

        def answer(flags: int = 0, blocks: int = 10**6, inodes: int = 10**6) -> None:
            facts = os.statvfs_result((4096, 4096, 10**7, blocks, blocks, 10**7, inodes, inodes, flags, 255))
            monkeypatch.setattr(machine.os, "statvfs", lambda _: facts)  # type: ignore[attr-defined]

        return answer

    def test_well(self, world: World, disk: Callable[..., None]) -> None:
        """One line for spool and history on the same file system."""
        disk()
        assert said(list(machine.room(world.case())), OK) == [f"4096 MB are free on the file system of {world.spool} -> "]

    @pytest.mark.parametrize(
        ("facts", "word"),
        [({"flags": os.ST_RDONLY}, "is mounted read-only"), ({"blocks": 100}, "0 MB are free"), ({"inodes": 5}, "5 files can still be made")],
    )
    def test_problems(self, world: World, disk: Callable[..., None], facts: dict[str, int], word: str) -> None:
        """A file system that is read-only, full, or out of inodes is a problem."""
        disk(**facts)
        assert word in said(list(machine.room(world.case())), PROBLEM)[0]

    def test_before_the_directories_are_there(self, world: World) -> None:
        """Where there is no spool yet, the file system that it will be on is meant."""
        case = world.case()
        case.spool = str(world.root / "no/such/spool")
        assert str(world.root) in said(list(machine.room(case)), OK)[0]


class TestCrash:
    def test_none(self, world: World) -> None:
        """A first boot, and one after a shutdown, need no word; nor does a history that is not there."""
        assert list(machine.crash(world.case())) == []
        world.history(boot(NOON - 9 * HOUR, NOON - 5 * HOUR), session(NOON - 8 * HOUR, None), boot(NOON - 4 * HOUR, None))
        assert list(machine.crash(world.case())) == []

    def test_explained(self, world: World) -> None:
        """Sessions that the crash of the boot before left open are counted, and explained: nothing is to be done."""
        rows = [session(NOON - 8 * HOUR + number, None) for number in range(3)]
        world.history(boot(NOON - 9 * HOUR, None), *rows, session(NOON - 7 * HOUR, NOON), boot(NOON - 4 * HOUR, None), session(NOON - HOUR, None))
        found = said(list(machine.crash(world.case())), NOTE)
        assert found[0].endswith("ended without a shutdown; 3 sessions that were open then are shown as 'crash': nothing to do -> ")

    def test_only_the_last(self, world: World) -> None:
        """A crash before the last but one boot is history."""
        world.history(boot(NOON - 9 * HOUR, None), boot(NOON - 6 * HOUR, NOON - 5 * HOUR), boot(NOON - 4 * HOUR, None))
        assert list(machine.crash(world.case())) == []
