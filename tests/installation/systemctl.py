# SPDX-License-Identifier: BSD-2-Clause
"""A systemctl that is played, for a tree in which none runs."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from wtmpdb.installation import c_tool, found, places, units

if TYPE_CHECKING:
    import pytest

    from installation.world import World

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
