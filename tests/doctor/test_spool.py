# SPDX-License-Identifier: BSD-2-Clause
"""The spool: whose it is, and what lies in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from doctor.conftest import World, said
from support import NOON, SECOND, opened, post
from wtmpdb.doctor import spool
from wtmpdb.doctor.finding import NOTE, OK, PROBLEM

if TYPE_CHECKING:
    from pathlib import Path


def aged(path: Path, seconds: float) -> Path:
    """Let a file be written so many seconds before noon."""
    path.touch()
    os.utime(path, (NOON / SECOND - seconds,) * 2)
    return path


def test_empty(world: World) -> None:
    """An empty spool with the right modes is well."""
    assert said(list(spool.letters(world.case())), OK) == ["is empty -> "]
    assert list(spool.directories(world.case())) == []


def test_letters_on_their_way(world: World) -> None:
    """Letters that have just come are no problem."""
    letter = opened()
    post(world.spool, letter)
    aged(world.spool / "new" / letter.id, 3)
    assert said(list(spool.letters(world.case())), OK) == ["1 letter waits, the oldest for 3 s -> "]


def test_nobody_takes_letters(world: World) -> None:
    """A letter that has waited for longer than the timer's turn is a problem, with its age and what to do."""
    aged(world.spool / "new/a", 3)
    aged(world.spool / "new/b", 1500)
    found = said(list(spool.letters(world.case())), PROBLEM)
    assert found == ["2 letters wait, the oldest for 25 min: nobody takes them; nothing is lost yet -> sudo wtmpdb recorder --once"]


def test_resident_takes_no_letters(world: World) -> None:
    """Where the recorder stays half a minute is long."""
    aged(world.spool / "new/a", 60)
    assert said(list(spool.letters(world.case())), PROBLEM) == []
    world.records(recorder=True)
    assert len(said(list(spool.letters(world.case())), PROBLEM)) == 1


def test_broken(world: World) -> None:
    """Letters that nobody could read are a problem, with what to do about them."""
    aged(world.spool / "bad/a", 7200)
    aged(world.spool / "bad/b", 600)
    assert said(list(spool.letters(world.case())), PROBLEM)[0].startswith(
        "2 letters could not be read, the newest of 10 min ago: put aside into bad -> sudo head"
    )


def test_left_in_tmp(world: World) -> None:
    """What was left half-written is a note; what is being written now is not."""
    aged(world.spool / "tmp/a", 5)
    assert said(list(spool.letters(world.case())), NOTE) == []
    aged(world.spool / "tmp/b", 500)
    assert said(list(spool.letters(world.case())), NOTE)[0].startswith("1 letter in tmp left by programs that were killed")


@pytest.mark.parametrize(
    ("mode", "state", "word"),
    [(0o777, PROBLEM, "can be written by others (mode 0777)"), (0o720, PROBLEM, "written by others"), (0o755, NOTE, "others may see who logs in")],
)
@pytest.mark.parametrize("name", ["", "new", "tmp", "bad"])
def test_modes(world: World, name: str, mode: int, state: str, word: str) -> None:
    """A directory that others may write, or enter, is told with its mode and the command that mends it."""
    path = world.spool / name
    path.chmod(mode)
    found = said(list(spool.directories(world.case())), state)
    assert len(found) == 1
    assert word in found[0]
    assert found[0].endswith(f"-> sudo chmod 700 {world.spool}{f'/{name}' if name else ''}")


def test_owner(world: World) -> None:
    """A spool that belongs to somebody else is a problem."""
    os.chown(world.spool / "new", 1234, 0)
    assert "belongs to user 1234" in said(list(spool.directories(world.case())), PROBLEM)[0]


def test_missing(world: World) -> None:
    """A directory that is not there, or is none, is told once, and as a problem."""
    (world.spool / "new").rmdir()
    assert "new is not there: no login can be recorded" in said(list(spool.directories(world.case())), PROBLEM)[0]
    assert list(spool.letters(world.case())) == []
    (world.spool / "new").touch()
    assert "new is not a directory" in said(list(spool.directories(world.case())), PROBLEM)[0]
    assert list(spool.letters(world.case())) == []


def test_hostile_name(world: World) -> None:
    """Whatever a letter is called, it is only counted."""
    aged(world.spool / "new/\033[2J\n\udcff", 5000)
    assert "1 letter waits" in said(list(spool.letters(world.case())), PROBLEM)[0]
