# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb doctor`: what it prints, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from support import HOUR, NOON, make_file
from wtmpdb.__main__ import main
from wtmpdb.doctor import session
from wtmpdb.doctor.finding import note, ok, problem

if TYPE_CHECKING:
    from pathlib import Path

ROW = (3, "alice", NOON - HOUR, NOON, "tty1", None, "login")


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Make a history that is well."""
    return make_file(tmp_path / "wtmp.db", [ROW])


def test_well(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A database without a problem ends with 0, and the last line sums up."""
    assert main(["wtmpdb", "doctor", "-f", str(history), "--full"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ok       integrity  SQLite's full check of a copy finds no damage"
    assert lines[-1].startswith("3 ok, 0 notes, 0 problems")


def test_problem(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A problem ends with 1, and what to do stands beneath it."""
    history.write_bytes(b"no database at all" * 300)
    assert main(["wtmpdb", "doctor", "--file", str(history)]) == 1
    text = capsys.readouterr().out
    assert f"problem  integrity  {history}: not a database" in text
    assert "0 ok, 0 notes, 1 problem" in text


def test_json(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON document has all findings, with the same four keys, and counts them."""
    assert main(["wtmpdb", "doctor", "--json", "-f", str(history)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert all(set(finding) == {"check", "state", "what", "hint"} for finding in document["findings"])
    assert [finding["state"] for finding in document["findings"]] == ["ok"] * document["ok"]
    assert (document["note"], document["problem"]) == (0, 0)


def test_of_this_machine_is_quick(tmp_path: Path) -> None:
    """All checks of the machine that the tests run on, whatever they find, take a second at most."""
    begun = time.monotonic()
    ran = subprocess.run([sys.executable, "-m", "wtmpdb", "doctor", "--json"], cwd=tmp_path, capture_output=True, text=True, check=False)
    took = time.monotonic() - begun
    document = json.loads(ran.stdout)
    assert ran.returncode == int(document["problem"] > 0)
    assert ran.stderr == ""
    assert not [finding for finding in document["findings"] if "this check failed" in finding["what"]]
    assert took < 3, took


class TestSession:
    @pytest.fixture(autouse=True)
    def tried(self, monkeypatch: pytest.MonkeyPatch) -> session.Tried:
        """Let a session have been tried."""
        tried = session.Tried()
        tried.findings = [ok("session", "row 7, written")]
        tried.lines = [(0, b"root", b"doctor", None, b"login", NOON, NOON, 7, 3)]
        self.asked: list[str] = []

        def try_session(_: object, service: str) -> session.Tried:
            self.asked.append(service)
            return tried

        monkeypatch.setattr(session, "try_session", try_session)
        return tried

    def test_text(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The row is shown as `last` shows it, with the word that it stays; login is the service where none is named."""
        assert main(["wtmpdb", "doctor", "--pam"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert self.asked == ["login"]
        assert lines[0] == "A session of root with the service login, on the terminal 'doctor'; no password was asked for."
        assert lines[2] == "ok       session  row 7, written"
        assert lines[4].split()[:3] == ["root", "doctor", "login"]
        assert lines[-1] == "The row stays in the history."

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        """With --json the row is an entry as in `last --json`."""
        assert main(["wtmpdb", "doctor", "--pam", "sshd", "-j"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert self.asked == ["sshd"]
        assert [(entry["id"], entry["tty"], entry["service"], entry["end"]) for entry in document["entries"]] == [(7, "doctor", "login", "logout")]
        assert document["ok"] == 1

    def test_problem(self, tried: session.Tried, capsys: pytest.CaptureFixture[str]) -> None:
        """Without a row it ends with 1, and shows none."""
        tried.findings = [note("session", "first"), problem("session", "no row came")]
        tried.lines = []
        assert main(["wtmpdb", "doctor", "--pam"]) == 1
        assert capsys.readouterr().out.endswith("problem  session  no row came\n")


def test_unknown_service(capsys: pytest.CaptureFixture[str]) -> None:
    """A service that does not exist, or who is not root, is an error in one line."""
    assert main(["wtmpdb", "doctor", "--pam", "no-such-service"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("wtmpdb doctor: ")
    assert error.count("\n") == 1
