# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb setup`: its words, and what it refuses before it does anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from wtmpdb.__main__ import main
from wtmpdb.installation import program, setup, tree
from wtmpdb.installation.ledger import OPTIONS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Be root on an installed machine, and note what setup is asked for."""
    made: list[tuple[Any, ...]] = []

    def note(*words: Any, **more: Any) -> int:
        made.append((*words, more))
        return len(made) % 2

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(program, "prefix", lambda: "/opt/wtmpdb")
    for module, name in ((setup, "set_up"), (setup, "undo"), (tree, "enter")):
        monkeypatch.setattr(module, name, note)
    return made


@pytest.mark.parametrize(
    "words",
    [
        ["--purge"],
        ["--undo", "--private"],
        ["--undo", "--others", "own"],
        ["--others", "some"],
        ["--undo", "--no-pam"],
        ["--undo", "--purge", "--last"],
        ["--unknown"],
        ["--undoo"],
        ["--und"],
        ["file"],
        ["--root"],
        ["--root", ""],
        ["--root="],
    ],
)
def test_wrong_usage(calls: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    """Words that make no sense, or not together, are told in one line with exit code 2, and nothing is done."""
    assert main(["wtmpdb", "setup", *words]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("wtmpdb setup: error: ")
    assert calls == []


def test_passes_on_what_was_said(calls: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    """Options that were said are passed on, those that were not stay open; the last line tells how it ended."""
    assert main(["wtmpdb", "setup", "--private", "--others", "none", "--no-pam", "--dry-run"]) == 0
    asked = dict.fromkeys(OPTIONS) | {"pam": False, "private": True}
    assert calls == [("/", "/opt/wtmpdb", asked, {"others": "none", "dry": True})]
    assert capsys.readouterr().out == "wtmpdb setup: nothing was changed\n"
    assert main(["wtmpdb", "setup"]) == 0
    assert capsys.readouterr().out == "wtmpdb setup: nothing to do: everything is in place\n"
    assert main(["wtmpdb", "setup", "--undo", "--purge"]) == 0
    assert calls[-1] == ("/", "/opt/wtmpdb", {"purge": True, "dry": False})
    assert capsys.readouterr().out == "wtmpdb setup: done: everything was taken out\n"
    assert main(["wtmpdb", "setup", "--undo"]) == 0
    assert capsys.readouterr().out == "wtmpdb setup: nothing to undo\n"


@pytest.mark.parametrize("words", [["--root", "{}"], ["--root={}"], ["--root", "/nowhere", "--root={}"]])
def test_goes_into_a_tree(calls: list[tuple[Any, ...]], tmp_path: Path, words: list[str]) -> None:
    """With --root the rest of the words goes to the setup in the tree."""
    words = [word.replace("{}", str(tmp_path)) for word in words]
    main(["wtmpdb", "setup", "--private", *words, "--no-pam"])
    assert calls == [(str(tmp_path), "/opt/wtmpdb", ["--private", "--no-pam"], {"undo": False, "dry": False})]


@pytest.mark.parametrize("root", ["/", "//", "/..", "/proc/self/root"])
def test_root_of_the_machine_is_no_tree(calls: list[tuple[Any, ...]], root: str) -> None:
    """However the root of the machine itself is called, it is set up as the machine that it is."""
    main(["wtmpdb", "setup", "--root", root])
    assert [call[0] for call in calls] == ["/"]
    assert len(calls[0]) == 4, "not the setup in a tree"


@pytest.mark.parametrize("words", [[], ["--undo"], ["--root", "/srv", "--dry-run"]])
def test_not_root(calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    """Whoever is not root is told to be, in one line with exit code 1, but for a dry run on the machine."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["wtmpdb", "setup", *words]) == 1
    assert capsys.readouterr().err == "wtmpdb setup: must be run as root (sudo wtmpdb setup)\n"
    assert calls == []
    assert main(["wtmpdb", "setup", "--dry-run"]) == 0


@pytest.mark.parametrize("word", ["--recorder", "--exporter"])
def test_services_without_systemd(calls: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str], word: str) -> None:
    """Whoever asks for a service and in the same breath for no units is told that it cannot be; nothing is done."""
    assert main(["wtmpdb", "setup", "--no-systemd", word]) == 2
    assert "do not go with --no-systemd" in capsys.readouterr().err
    assert calls == []


def test_from_a_checkout(capsys: pytest.CaptureFixture[str]) -> None:
    """From a checkout, setup has nothing to install and says in one line what to run."""
    assert main(["wtmpdb", "setup", "--dry-run"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("wtmpdb setup: this wtmpdb is not installed")
    assert said.endswith("(run 'sudo ./install.sh')\n")
    assert said.count("\n") == 1


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    """The help names every option."""
    assert main(["wtmpdb", "setup", "--help"]) == 0
    said = capsys.readouterr().out
    assert all(
        f"--{word}" in said for word in ("root", "dry-run", "no-pam", "no-systemd", "no-import", "private", "all-sessions", "last", "undo", "purge")
    )
