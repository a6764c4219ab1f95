# SPDX-License-Identifier: BSD-2-Clause
"""The completion of bash: it offers what there is."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import pytest

from wtmpdb.__main__ import COMMANDS, NAMES, module_of
from wtmpdb.cli import last, who

ROOT = Path(__file__).parent.parent
COMPLETION = ROOT / "docs" / "completion" / "wtmpdb"
BASH = shutil.which("bash", path="/usr/bin:/bin")

SCANNED = {"last": last.OPTIONS, "lastb": last.FAILED_OPTIONS, "who": who.OPTIONS}  # what other commands take is asked of argparse
pytestmark = pytest.mark.skipif(BASH is None, reason="needs bash")

DRIVER = """
source "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_wtmpdb
for word in "${COMPREPLY[@]}"; do printf '%s\\n' "$word"; done
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory with programs wtmpdb and last, which run this checkout."""
    directory = tmp_path_factory.mktemp("bin")
    program = directory / "wtmpdb"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT}/src exec {sys.executable} -c "$CODE" "$0" "$@"\n')
    program.chmod(0o755)
    (directory / "last").symlink_to("wtmpdb")
    return directory


def bash(programs: Path, code: str, *words: str, cwd: Path = ROOT) -> list[str]:
    """Run bash with the programs in PATH; return the lines that it printed. It must not complain."""
    assert BASH
    main = "import sys; sys.argv = sys.argv[1:]; from wtmpdb.__main__ import main; sys.exit(main())"
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "CODE": main, "LC_ALL": "C.UTF-8"}
    command = [BASH, "--norc", "-c", code, "bash", str(COMPLETION), *words]
    ran = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stderr == ""
    return ran.stdout.splitlines()


def offered(programs: Path, *words: str, cwd: Path = ROOT) -> list[str]:
    """Return what is offered for the last of these words."""
    return bash(programs, DRIVER, *words, cwd=cwd)


def options(command: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the long options that a command has, from what it parses its arguments with; of `lastb` without those that say nothing there."""
    if command in NAMES:
        left_out = last.MEANINGLESS if command == "lastb" else ()
        return {f"--{option.long}" for option in SCANNED[command] if option.long and option.name not in left_out}
    found: set[str] = set()

    def catch(parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        found.update(name for action in parser._actions for name in action.option_strings if name.startswith("--"))
        raise KeyboardInterrupt

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", catch)
    with pytest.raises(KeyboardInterrupt):
        import_module(module_of(command)).run([], f"wtmpdb {command}")
    return found


def test_every_command_is_offered(programs: Path) -> None:
    """Behind the name of the program every command is offered, and the options that stand there, and nothing else."""
    assert sorted(offered(programs, "wtmpdb", "")) == sorted([*COMMANDS, "help", "--help", "--version"])
    assert sorted(offered(programs, "wtmpdb", "help", "")) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_completed(programs: Path, command: str) -> None:
    """The beginning of a command is completed to the command, and to none that begins otherwise."""
    assert offered(programs, "wtmpdb", command[:3]) == [name for name in COMMANDS if name.startswith(command[:3])]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_offered(programs: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every long option of every command is offered, and no other."""
    assert set(offered(programs, "wtmpdb", command, "--")) == options(command, monkeypatch)


def test_options_are_completed(programs: Path) -> None:
    """The beginning of an option is completed; it stands anywhere behind the command."""
    assert offered(programs, "wtmpdb", "last", "alice", "--time") == ["--time-format"]
    assert offered(programs, "wtmpdb", "exporter", "--collect.per") == ["--collect.per-host", "--collect.per-user"]
    assert offered(programs, "wtmpdb", "setup", "--private", "--no-p") == ["--no-pam", "--no-private"]


@pytest.mark.parametrize(
    "words", [("-f", ""), ("-f", "wt"), ("-xf", "wt"), ("--file", "wt"), ("--file", "=", "wt"), ("--file", "="), ("--failed", "wt")]
)
def test_files_are_offered(programs: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Where a file is to be named the files are offered, however the option is written."""
    (tmp_path / "wtmp.db").touch()
    assert offered(programs, "wtmpdb", "last", *words, cwd=tmp_path) == ["wtmp.db"]


def test_users_are_offered(programs: Path) -> None:
    """Where a user is to be named the accounts are offered."""
    assert offered(programs, "wtmpdb", "stats", "--user", "roo") == ["root"]
    assert offered(programs, "wtmpdb", "lastlog", "--user", "=", "roo") == ["root"]


def test_directories_are_offered(programs: Path, tmp_path: Path) -> None:
    """Where a directory is to be named directories are offered, and no files."""
    (tmp_path / "image").mkdir()
    (tmp_path / "image.raw").touch()
    assert offered(programs, "wtmpdb", "setup", "--root", "im", cwd=tmp_path) == ["image"]
    assert offered(programs, "wtmpdb", "recorder", "--spool", "im", cwd=tmp_path) == ["image"]
    assert offered(programs, "wtmpdb", "exporter", "--textfile", "im", cwd=tmp_path) == ["image"]


def test_values_are_offered(programs: Path) -> None:
    """Formats, times and users are offered where they are to be given."""
    assert offered(programs, "wtmpdb", "last", "--time-format", "") == ["notime", "short", "full", "iso"]
    assert offered(programs, "wtmpdb", "last", "--time-format", "=", "i") == ["iso"]
    assert "yesterday" in offered(programs, "wtmpdb", "last", "-s", "")
    assert offered(programs, "wtmpdb", "last", "roo") == ["root"]


def test_a_link_called_last_is_completed(programs: Path, tmp_path: Path) -> None:
    """`last` is completed as `wtmpdb last` where it is a link to our program, and left alone where it is another one."""
    assert offered(programs, "last", "--json") == ["--json", "--jsonl"]
    assert bash(programs, 'source "$1"; complete -p last') == ["complete -F _wtmpdb last"]
    other = tmp_path / "last"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    assert bash(programs, f'PATH={tmp_path}:$PATH; source "$1"; complete -p last 2>/dev/null || echo none') == ["none"]


def test_layouts_and_formats_are_offered(programs: Path) -> None:
    """Where an option takes one of a few words, these are offered."""
    assert offered(programs, "wtmpdb", "last", "--layout", "glibc-40") == ["glibc-400"]
    assert offered(programs, "wtmpdb", "import", "--byte-order", "b") == ["big"]
    assert offered(programs, "wtmpdb", "export", "--format", "") == ["wtmp", "utmpdump", "json", "csv"]
    assert offered(programs, "wtmpdb", "lastb", "--by", "") == ["user", "host", "address", "service", "day"]
    assert offered(programs, "wtmpdb", "setup", "--others", "") == ["own", "all", "none"]


def test_letters_that_mean_something_else(programs: Path) -> None:
    """`-t` takes a time of `stats`, days of `lastlog`, and nothing of `who`; `-u` takes a user of `lastlog` only."""
    assert "yesterday" in offered(programs, "wtmpdb", "stats", "-t", "")
    assert offered(programs, "wtmpdb", "lastlog", "-t", "") == []
    assert offered(programs, "wtmpdb", "lastlog", "-u", "roo") == ["root"]
    for letter in ("-t", "-u", "-s"):
        assert offered(programs, "wtmpdb", "who", letter, "READ") == ["README.md"]
