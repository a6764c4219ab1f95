# SPDX-License-Identifier: BSD-2-Clause
"""Who is on now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support import BOOT_KEY, NOON, Machine, opened
from wtmpdb import live
from wtmpdb.log import Log

if TYPE_CHECKING:
    from pathlib import Path


def test_open_and_alive(tmp_path: Path) -> None:
    """A session is on when its row has no logout and its process lives."""
    path = str(tmp_path / "wtmp.db")
    with Log.write(path) as log:
        log.begin_boot(BOOT_KEY, NOON - 9, user="reboot", kernel="6.1")
        log.apply([opened(user="alice", pid=10, start=5, boot=BOOT_KEY), opened(user="bob", pid=11, start=6, boot=BOOT_KEY)])
    with Log.read(path) as log:
        found = live.sessions(log, Machine(processes={10: 5}))
    assert [(session.user, session.pid) for session in found] == [(b"alice", 10)]


def test_no_table(tmp_path: Path) -> None:
    """In an empty file nobody is on."""
    (tmp_path / "wtmp.db").touch()
    with Log.read(str(tmp_path / "wtmp.db")) as log:
        assert live.sessions(log, Machine()) == []
