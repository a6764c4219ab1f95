# SPDX-License-Identifier: BSD-2-Clause
"""The command line as a whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import NOON, make_spool, opened, post, table
from wtmpdb import __version__
from wtmpdb.__main__ import COMMANDS, NAMES, main


@pytest.mark.parametrize("word", ["-h", "--help", "help"])
def test_help(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help names all commands, and has examples."""
    assert main(["wtmpdb", word]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {command} " in text for command in COMMANDS)
    assert "Examples:" in text


@pytest.mark.parametrize("word", ["-V", "-v", "--version"])
def test_version(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The version is one line."""
    assert main(["wtmpdb", word]) == 0
    assert capsys.readouterr().out == f"wtmpdb {__version__}\n"


@pytest.mark.parametrize(
    ("words", "what"),
    [([], "no command given"), (["lats"], "unknown command 'lats'"), (["-z"], "unknown command '-z'"), (["help", "lats"], "unknown command 'lats'")],
)
def test_wrong_command(words: list[str], what: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing or unknown command is wrong usage, in one line."""
    assert main(["wtmpdb", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"wtmpdb: {what}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in NAMES])
def test_wrong_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong option of any command but `last`, `lastb` and `who` ends with 2."""
    assert main(["wtmpdb", command, "--no-such-option"]) == 2
    assert f"wtmpdb {command}: error: " in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_commands(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command has a help with an example."""
    assert main(["wtmpdb", command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Example" in text
    assert f"wtmpdb {command}" in text
    assert main(["wtmpdb", "help", command]) == 0
    assert capsys.readouterr().out == text


@pytest.mark.skipif(os.getuid() != 0, reason="the spool has to belong to root")
def test_recorder_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The recorder drains once on demand and says what it took."""
    spool = make_spool(tmp_path / "spool")
    post(spool, opened("alice", NOON))
    assert main(["wtmpdb", "recorder", "--once", "--file", str(tmp_path / "x.db"), "--spool", str(spool)]) == 0
    assert capsys.readouterr().out == "1 opened, 0 closed\n"
    assert len(table(tmp_path / "x.db")) == 1


def test_recorder_without_a_spool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing spool is an error with a hint, in one line."""
    assert main(["wtmpdb", "recorder", "--once", "--spool", str(tmp_path / "none")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("wtmpdb recorder: ")
    assert "No such file or directory (a spool is a directory with tmp, new and bad in it" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("words", [["--help"], ["last", "--help"], ["boot", "--help"], ["--version"]])
@pytest.mark.parametrize("streams", [">/dev/full", ">&-", "2>&- >/dev/full", "| true"])
def test_odd_streams(words: list[str], streams: str) -> None:
    """With a standard stream that is full, closed or gone there is no traceback, and no noise behind the error."""
    command = f"{sys.executable} -m wtmpdb {' '.join(words)} {streams}"
    ran = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
    assert "Exception" not in ran.stderr


def test_locale_without_our_characters() -> None:
    """A help text is printed in a locale that lacks some of its characters."""
    environment = {"PATH": os.environ["PATH"], "PYTHONIOENCODING": "latin-1"}
    ran = subprocess.run([sys.executable, "-m", "wtmpdb", "last", "--help"], env=environment, capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")
