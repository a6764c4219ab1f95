# SPDX-License-Identifier: BSD-2-Clause
"""The resident recorder, as setup turns it on and off; systemctl is played."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from installation.systemctl import ADMINISTRATOR
from wtmpdb.installation import places

if TYPE_CHECKING:
    from installation.systemctl import Systemctl
    from installation.world import World

OF_SYSTEM = "/usr/lib/systemd/system"


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
