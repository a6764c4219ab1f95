# SPDX-License-Identifier: BSD-2-Clause
"""All checks together."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from doctor.conftest import World, said
from support import HOUR, NOON, SECOND
from wtmpdb.doctor import examine as examining
from wtmpdb.doctor import machine, pam, spool
from wtmpdb.doctor.examine import examine
from wtmpdb.doctor.finding import NOTE, PROBLEM, ok

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wtmpdb.doctor.case import Case
    from wtmpdb.doctor.finding import Finding


@pytest.fixture(autouse=True)
def built_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program have been built before noon of the test."""
    monkeypatch.setattr(machine, "_built", lambda: NOON / SECOND)


def test_all_is_well(world: World, build: Path) -> None:
    """On a machine on which all is well there is no problem, and every area says something."""
    shutil.copy(build / "pam_wtmpdb_spool.so", world.pam_path())
    world.history((3, "alice", NOON - HOUR, None, "tty1", None, "login"))
    findings = examine(world.case())
    assert said(findings, PROBLEM) == []
    checks = {finding.check for finding in findings}
    assert {"program", "python", "pam module", "pam lines", "pam services", "sshd", "units", "spool", "modes", "integrity", "clock", "disk"} <= checks


def test_an_empty_machine(tmp_path: Path) -> None:
    """On a machine where nothing is installed each area says so, and no check fails."""
    from wtmpdb.doctor.case import Case  # noqa: PLC0415

    findings = examine(Case(str(tmp_path)))
    assert [finding for finding in findings if "this check failed" in finding.what] == []
    assert {finding.check for finding in findings if finding.state == PROBLEM} >= {"program", "pam module", "pam lines", "spool"}
    assert all(finding.hint for finding in findings if finding.state == PROBLEM)


def test_a_check_that_fails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that fails itself is a problem with its name, after what it had found; the others go on."""

    def broken(_: Case) -> Iterator[Finding]:
        yield ok("x", "before")
        raise ZeroDivisionError("\033[2J")

    monkeypatch.setattr(pam, "CHECKS", (broken,))
    monkeypatch.setattr(examining, "AREAS", (pam, spool))
    findings = examine(world.case())
    assert [finding.state for finding in findings] == ["ok", "problem", "ok"]
    assert findings[1].check == "test_examine.broken"
    assert findings[1].what == "this check failed: ZeroDivisionError: \\033[2J"


@pytest.mark.parametrize("damage", [b"", b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_any_file(world: World, damage: bytes) -> None:
    """Whatever stands in the file of the history, no check fails."""
    world.database.write_bytes(damage)
    assert [finding for finding in examine(world.case()) if "this check failed" in finding.what] == []


def test_damage_anywhere(world: World) -> None:
    """Wherever pages of the history are damaged, no check fails."""
    world.history(*[(3, f"user{number % 50}", NOON - HOUR + number, None, "tty1", None, "login") for number in range(2000)])
    whole = world.database.read_bytes()
    for page in range(0, len(whole), 4096):
        world.database.write_bytes(whole[:page] + b"\xa5" * 4096 + whole[page + 4096 :])
        findings = examine(world.case())
        assert [finding for finding in findings if "this check failed" in finding.what] == [], page
        world.database.write_bytes(whole)


def test_not_root(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not root gets no problem from that alone: what cannot be seen is a note."""
    monkeypatch.setattr(sys, "executable", os.path.realpath(sys.executable))  # others get to it also where they do not get to this checkout
    world.history((3, "alice", NOON - HOUR, None, "tty1", None, "login"))
    world.database.chmod(0o640)  # as where it is private
    parents = [world.root, *world.root.parents]
    modes = [path.stat().st_mode for path in parents]
    reader, writer = os.pipe()
    for path, mode in zip(parents, modes, strict=True):
        path.chmod(mode | 0o055)
    try:
        child = os.fork()
        if child == 0:
            text = "the child failed"
            try:
                os.setuid(65534)
                findings = examine(world.case())
                text = "\n".join([*said(findings, NOTE), *(f"FAILED {finding}" for finding in findings if "this check failed" in finding.what)])
            finally:
                os.write(writer, text.encode())
                os._exit(0)
        os.waitpid(child, 0)
    finally:
        for path, mode in zip(parents, modes, strict=True):
            path.chmod(mode)
        os.close(writer)
    with os.fdopen(reader) as stream:
        text = stream.read()
    assert "only root can look into it -> sudo wtmpdb doctor" in text
    assert "only root and the group of the history can look into it -> sudo wtmpdb doctor" in text
    assert "FAILED" not in text
    assert "the child failed" not in text
