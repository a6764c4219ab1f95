# SPDX-License-Identifier: BSD-2-Clause
"""The exporter's units, as setup turns them on and off; systemctl is played."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wtmpdb.errors import WtmpdbError
from wtmpdb.installation import places, program

if TYPE_CHECKING:
    from installation.systemctl import Systemctl
    from installation.world import World


def test_on_and_off(world: World, systemctl: Systemctl) -> None:
    """Turned on, socket and service are there and the socket is enabled; turned off they are gone, and the tree is as it was."""
    world.set_up()
    before = world.state(without=[places.RECORD])
    world.set_up(exporter=True)
    assert systemctl.enabled() == {*places.ENABLED, *places.EXPORTER}
    assert "\nExecStart=/opt/wtmpdb/bin/wtmpdb exporter " in world.path(f"{places.UNITS}/{places.EXPORTER_SERVICE}").read_text()
    assert world.set_up() == 0
    world.set_up(exporter=False)
    assert systemctl.enabled() == set(places.ENABLED)
    assert world.state(without=[places.RECORD]) == before


def test_undo(world: World, systemctl: Systemctl) -> None:
    """Undo takes the exporter's units out with all others."""
    before = world.state(without=[world.top, "/etc/systemd"])
    world.set_up(exporter=True, recorder=True)
    world.undo()
    assert systemctl.enabled() == set()
    assert world.state(without=["/etc/systemd"]) == before


def test_packages_are_missing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages that the exporter needs nothing is changed, and what to do is said."""
    before = world.state()
    monkeypatch.setattr(program, "find_spec", lambda _: None)
    with pytest.raises(WtmpdbError, match="prometheus_client") as caught:
        world.set_up(exporter=True)
    assert caught.value.hint == "pip install 'wtmpdb[exporter]'"
    assert world.state() == before
