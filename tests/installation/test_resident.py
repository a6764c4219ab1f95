# SPDX-License-Identifier: BSD-2-Clause
"""The resident recorder, as setup turns it on and off; systemctl is played."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from wtmpdb.installation import c_tool, found, places, units

if TYPE_CHECKING:
    from installation.world import World

OF_SYSTEM = "/usr/lib/systemd/system"
ADMINISTRATOR = "/etc/systemd/system"


class Systemctl:
    """What systemctl does in a tree that does not run: links in /etc/systemd/system."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """Be there."""
        self.world = world
        self.asked: list[str] = []
        for module in (units, c_tool):
            monkeypatch.setattr(module, "has_program", lambda root, name: name == "systemctl" or found.has_program(root, name))
        monkeypatch.setattr("wtmpdb.installation.changes.run", self.run)

    def run(self, _root: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Do it."""
        self.asked.append(" ".join(words))
        verb, names = words[2], [word for word in words[3:] if not word.startswith("-")]
        for name in names:
            mask = self.world.path(f"{ADMINISTRATOR}/{name}")
            link = self.world.path(f"{ADMINISTRATOR}/x.target.wants/{name}")
            if verb == "mask":
                mask.parent.mkdir(parents=True, exist_ok=True)
                mask.symlink_to(os.devnull)
            elif verb == "unmask":
                mask.unlink()
            elif verb == "enable" and not link.is_symlink():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(f"{places.UNITS}/{name}")
            elif verb == "disable":
                link.unlink()
        return subprocess.CompletedProcess(words, 0, "", "")

    def enabled(self) -> set[str]:
        """Return the units that are enabled."""
        return {link.name for link in self.world.path(ADMINISTRATOR).glob("*.wants/*")}


@pytest.fixture
def systemctl(world: World, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    """Give a tree a systemctl."""
    return Systemctl(world, monkeypatch)


def test_on_and_off(world: World, systemctl: Systemctl) -> None:
    """Turned on, what makes the recorder stay is there and enabled; turned off it is gone, and the tree is as it was."""
    world.set_up()
    before = world.state(without=[places.RECORD])
    assert systemctl.enabled() == set(places.ENABLED)
    world.set_up(recorder=True)
    assert systemctl.enabled() == {*places.ENABLED, *places.RESIDENT}
    assert "ExecStart=/opt/wtmpdb/bin/wtmpdb recorder --resident" in world.path(f"{places.UNITS}/{places.RECORDER}.d/resident.conf").read_text()
    assert world.set_up() == 0
    world.set_up(recorder=False)
    assert systemctl.enabled() == set(places.ENABLED)
    assert world.state(without=[places.RECORD]) == before


def test_file_of_the_administrator_stays(world: World) -> None:
    """What somebody has put beside ours stays, turned off and undone."""
    world.set_up(recorder=True)
    theirs = world.path(f"{places.UNITS}/{places.RECORDER}.d/override.conf")
    theirs.write_text("[Service]\nNice=5\n")
    world.set_up(recorder=False)
    assert os.listdir(theirs.parent) == ["override.conf"]
    world.set_up(recorder=True)
    world.undo()
    assert os.listdir(theirs.parent) == ["override.conf"]


def test_daemon_of_c(world: World, systemctl: Systemctl) -> None:
    """The C project's daemon, which has the same socket, is masked while our recorder stays, and no longer."""
    for name in places.C_DAEMON_UNITS:
        world.path(f"{OF_SYSTEM}/{name}").parent.mkdir(parents=True, exist_ok=True)
        world.path(f"{OF_SYSTEM}/{name}").touch()
    masks = [world.path(f"{ADMINISTRATOR}/{name}") for name in places.C_DAEMON_UNITS]
    world.set_up()
    assert not any(mask.is_symlink() for mask in masks)
    world.set_up(recorder=True)
    assert all(mask.is_symlink() for mask in masks)
    assert world.set_up() == 0
    world.set_up(recorder=False)
    assert not any(mask.is_symlink() for mask in masks)
    world.set_up(recorder=True)
    world.undo()
    assert not any(mask.is_symlink() for mask in masks)
    assert systemctl.enabled() == set()


def test_mask_of_the_administrator_stays(world: World, systemctl: Systemctl) -> None:
    """A daemon that somebody else has masked stays masked."""
    for name in places.C_DAEMON_UNITS:
        world.path(f"{OF_SYSTEM}/{name}").parent.mkdir(parents=True, exist_ok=True)
        world.path(f"{OF_SYSTEM}/{name}").touch()
        systemctl.run("", "systemctl", "--quiet", "mask", name)
    world.set_up(recorder=True)
    world.undo()
    assert all(world.path(f"{ADMINISTRATOR}/{name}").is_symlink() for name in places.C_DAEMON_UNITS)
