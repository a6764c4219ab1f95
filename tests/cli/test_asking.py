# SPDX-License-Identifier: BSD-2-Clause
"""What `lastlog` and `stats` share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support import NOON, make_file
from wtmpdb.__main__ import main
from wtmpdb.log import Log

if TYPE_CHECKING:
    from pathlib import Path

FAILED = [(3, "root", NOON, NOON, "ssh:notty", "203.0.113.9", "sshd")]


@pytest.fixture
def taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make a machine where one failed login waits in the spool; return by which programs that was taken."""
    programs: list[str] = []

    def take(program: str) -> None:
        programs.append(program)
        if not (tmp_path / "btmp.db").exists():
            make_file(tmp_path / "btmp.db", FAILED)

    history = str(make_file(tmp_path / "wtmp.db", []))
    monkeypatch.setattr("wtmpdb.home.history", lambda: Log.read(history))
    monkeypatch.setattr("wtmpdb.log.FAILED", str(tmp_path / "btmp.db"))
    monkeypatch.setattr("wtmpdb.home.take_letters", lambda _: None)
    monkeypatch.setattr("wtmpdb.home.take_failures", take)
    return programs


def test_failed_logins_are_taken_first(taken: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Logins that have just failed are taken from the spool before `lastlog` and `stats` look at them."""
    assert main(["wtmpdb", "lastlog", "-u", "root", "--jsonl"]) == 0
    assert json.loads(capsys.readouterr().out)["failed_usec"] == NOON
    assert main(["wtmpdb", "stats", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["failed"] == 1
    assert taken == ["wtmpdb lastlog", "wtmpdb stats"]


def test_a_named_file_is_left_alone(taken: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is taken from the spool for the sake of a file that is named."""
    named = str(make_file(tmp_path / "named.db", FAILED * 2))
    assert main(["wtmpdb", "stats", "--json", "--failed", named]) == 0
    assert json.loads(capsys.readouterr().out)["failed"] == 2
    assert taken == []
