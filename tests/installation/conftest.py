# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures: a plain Linux with a program that waits to be set up."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from installation.systemctl import Systemctl
from installation.world import World, plain
from wtmpdb.installation import pam, program
from wtmpdb.installation.places import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def directory() -> Iterator[Path]:
    """Give a directory in memory, where there is one: hundreds of setups sync their files."""
    shared = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="wtmpdb-setup-", dir=shared if shared.is_dir() else None))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def world(directory: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Give a plain Linux in which install.sh has made /opt/wtmpdb; who may write to the directory of this test does not matter."""
    made = plain(directory / "root", PREFIX)
    monkeypatch.setattr(program, "check", lambda _top, _python: None)
    monkeypatch.setattr(program, "interpreter", lambda: "/usr/bin/python3")
    monkeypatch.setattr(pam, "_built", lambda _top: b"the module")
    return made


@pytest.fixture
def systemctl(world: World, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    """Give a tree a systemctl."""
    return Systemctl(world, monkeypatch)
