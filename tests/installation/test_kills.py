# SPDX-License-Identifier: BSD-2-Clause
"""Setup and undo, killed before each single change that they make to the file system: what is run next mends it."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from installation.world import World, install, killed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPTIONS = {"private": True, "last": True, "recorder": True, "exporter": True}
PROGRAM = "/opt/wtmpdb"


def worlds(directory: Path, first: World) -> Iterator[tuple[int, World]]:
    """Give copies of a world, with numbers from 1."""
    for number in count(1):
        yield number, first.copy(directory / str(number))


def test_setup_is_ended_by_the_next_one(directory: Path, world: World) -> None:
    """Whatever change a kill came before, the next setup leaves what an unbroken one does, and undo takes out all of it."""
    whole = world.copy(directory / "whole")
    whole.set_up(**OPTIONS)
    before, after = world.state(without=[PROGRAM]), whole.state()
    for number, one in worlds(directory, world):
        died = killed(lambda one=one: one.set_up(**OPTIONS), number)  # type: ignore[misc]
        one.set_up(**OPTIONS)
        assert one.state() == after, number
        assert one.set_up() == 0, number
        one.undo()
        assert one.state() == before, number
        if not died:
            break
    assert number > 50


def test_setup_is_undone(directory: Path, world: World) -> None:
    """Whatever change a kill came before, undo leaves the tree as it was before setup."""
    before = world.state(without=[PROGRAM])
    for number, one in worlds(directory, world):
        died = killed(lambda one=one: one.set_up(**OPTIONS), number)  # type: ignore[misc]
        one.undo()
        assert one.state() == before, number
        if not died:
            break


@pytest.mark.parametrize("purge", [False, True])
def test_undo_is_ended_by_the_next_one(directory: Path, world: World, *, purge: bool) -> None:
    """Whatever change a kill came before, the next undo leaves the tree as it was; so it does when install.sh was run between the two."""
    before = world.state(without=[PROGRAM])
    world.set_up(**OPTIONS)
    for number, one in worlds(directory, world):
        died = killed(lambda one=one: one.undo(purge=purge), number)  # type: ignore[misc]
        again = one.copy(directory / f"{number}-again")
        one.undo(purge=purge)
        assert one.state() == before, number
        install(again)
        again.set_up(**OPTIONS)
        again.undo(purge=purge)
        assert again.state() == before, number
        if not died:
            break
    assert number > 20


def test_change_of_an_option_is_ended(directory: Path, world: World) -> None:
    """Whatever change a kill came before when options are turned back, a setup that is told nothing ends what was begun, or leaves all as it was."""
    world.set_up(**OPTIONS)
    old = world.state()
    whole = world.copy(directory / "whole")
    whole.set_up(private=False, last=False, recorder=False, exporter=False)
    new = whole.state()
    assert old != new
    for number, one in worlds(directory, world):
        died = killed(lambda one=one: one.set_up(private=False, last=False, recorder=False, exporter=False), number)  # type: ignore[misc]
        one.set_up()
        assert one.state() in (old, new), number
        if not died:
            break
