# SPDX-License-Identifier: BSD-2-Clause
"""Beside the C project's history: one file, which undo gives back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support import NOON, make_file, table
from wtmpdb.installation import found
from wtmpdb.legacy.importer import bring_in, look_at

if TYPE_CHECKING:
    from pathlib import Path

    from installation.world import World

OURS, THEIRS = "/var/lib/wtmpdb/wtmp.db", "/var/log/wtmp.db"
ROWS = [(3, "alice", NOON, NOON + 1, "pts/0", None, "login")]


@pytest.mark.parametrize("purge", [False, True])
def test_shares_the_file_of_the_c_tool(world: World, *, purge: bool) -> None:
    """Where the C tool has a history ours is a link to it; undo takes the link away and leaves the rows, with purge without what we added."""
    theirs = make_file(world.path(THEIRS), ROWS, ours=False)
    before = world.state(without=[world.top, THEIRS])
    world.set_up()
    assert world.path(OURS).readlink().as_posix() == THEIRS
    assert world.set_up() == 0
    make_file(theirs, [])
    world.undo(purge=purge)
    assert world.state(without=[THEIRS]) == before
    assert table(theirs) == [(1, *ROWS[0])]


@pytest.mark.parametrize("purge", [False, True])
def test_link_of_debian_stays(world: World, *, purge: bool) -> None:
    """The link that Debian 13 itself has in the place of our history is there after undo, also after one with purge and before any login."""
    world.path(OURS).parent.mkdir()
    world.path(OURS).symlink_to("../../log/wtmp.db")
    before = world.state(without=[world.top])
    world.set_up()
    world.undo(purge=purge)
    assert world.state() == before


def test_sshd_of_debian_13_finds_an_older_history(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Debian 12 with our history that became a Debian 13 gets a link for its sshd; undo takes it back, and purge the history with it."""
    before = world.state(without=[world.top])
    world.set_up()
    history = make_file(world.path(OURS), ROWS)
    monkeypatch.setattr("wtmpdb.installation.c_tool.sshd_records", lambda _root: True)
    world.set_up()
    assert world.path(THEIRS).readlink().as_posix() == OURS
    purged = world.copy(world.root.with_name("purged"))
    world.undo()
    assert not world.path(THEIRS).is_symlink()
    assert table(history) == [(1, *ROWS[0])]
    purged.undo(purge=True)
    assert purged.state() == before


def test_two_histories(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Two histories that were there before stay two, and setup says how to list both, and how to make them one."""
    world.path(OURS).parent.mkdir()
    files = [make_file(world.path(path), ROWS) for path in (OURS, THEIRS)]
    world.set_up()
    said = capsys.readouterr().out
    assert f"wtmpdb last -f {OURS} -f {THEIRS}" in said
    assert f"mv {OURS} {OURS}.before && wtmpdb setup && wtmpdb import {OURS}.before" in said
    assert [file.is_symlink() for file in files] == [False, False]


def test_two_histories_become_one(world: World) -> None:
    """The way that setup and doctor tell makes one of two histories: each row of both is in it once, in the file that sshd writes into."""
    world.path(OURS).parent.mkdir()
    ours = make_file(world.path(OURS), [(3, "bob", NOON + 9, NOON + 10, "tty1", None, "login"), *ROWS])
    theirs = make_file(world.path(THEIRS), [(3, "alice", NOON - 9, NOON - 8, "ssh", "192.0.2.7", "sshd"), *ROWS], ours=False)
    before = ours.rename(ours.with_name("wtmp.db.before"))
    world.set_up()
    assert ours.is_symlink()
    for _ in range(2):
        bring_in(look_at([str(before)], str(theirs)), str(theirs))
        assert sorted(row[2:4] for row in table(theirs)) == [("alice", NOON - 9), ("alice", NOON), ("bob", NOON + 9)]


def test_undoes_what_version_0_1_0_did(world: World) -> None:
    """The link that an install.sh without a ledger made is taken away by undo, and so are its files."""
    make_file(world.path(THEIRS), ROWS, ours=False)
    before = world.state(without=[world.top, THEIRS])
    old = world.copy(world.root.with_name("old"))
    old.path(OURS).parent.mkdir()
    old.path(OURS).symlink_to(THEIRS)
    unit = old.path("/usr/local/lib/systemd/system/wtmpdb-boot.service")
    unit.parent.mkdir(parents=True)
    unit.write_text("[Unit]\n")
    old.set_up()
    old.undo()
    left = set(old.state(without=[THEIRS])) - set(before)
    assert left == {"/var/lib/wtmpdb", "/usr/local/lib/systemd", "/usr/local/lib/systemd/system", "/usr/local/lib"}


def test_sshd_is_known_by_its_library(tmp_path: Path) -> None:
    """An sshd that is linked against the C library records by itself; one that is not, or is not there, does not."""
    sshd = tmp_path / "usr/sbin/sshd"
    assert not found.sshd_records(str(tmp_path))
    sshd.parent.mkdir(parents=True)
    sshd.write_bytes(b"\x7fELF libpam.so.0\0")
    assert not found.sshd_records(str(tmp_path))
    sshd.write_bytes(b"\x7fELF libpam.so.0\0libwtmpdb.so.0\0")
    assert found.sshd_records(str(tmp_path))
