# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb check`: from the command line to what it prints, and its exit status."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Protocol

import pytest

from old_records import BEGIN, boot, encode, login, logout
from support import make_file
from wtmpdb.__main__ import main
from wtmpdb.entry import SECOND
from wtmpdb.legacy.detect import Sure
from wtmpdb.legacy.findings import CAP
from wtmpdb.legacy.layouts import FIXED, native

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLEAN = encode([boot(BEGIN), login(BEGIN + 60, "pts/0"), logout(BEGIN + 120, "pts/0")])
TAMPERED = encode([boot(BEGIN), logout(BEGIN + 120, "pts/0")]) + b"\1\2\3"


class Run(Protocol):
    def __call__(self, *words: str | Path) -> tuple[int, str, str]:
        """Run `wtmpdb check`; return the exit status and what it printed."""


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put local time at UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command in a directory with files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clean").write_bytes(CLEAN)
    (tmp_path / "tampered").write_bytes(TAMPERED)

    def run(*words: str | Path) -> tuple[int, str, str]:
        code = main(["wtmpdb", "check", *map(str, words)])
        return code, *capfd.readouterr()

    return run


def test_nothing_found(run: Run) -> None:
    """Of a clean file the layout, how sure it is, and numbers are told, and the exit status is 0."""
    code, out, error = run("clean")
    assert (code, error) == (0, "")
    assert out.splitlines() == [
        "clean: glibc-384-le: of the 3 records looked at 3 are beyond doubt, no other fits",
        "clean: 3 records, 1 boots, 1 logins, 1 logouts, from 2020-09-13T12:26:40+00:00 to 2020-09-13T12:28:40+00:00",
        "clean: nothing found",
    ]


def test_something_found(run: Run) -> None:
    """Each finding is a line with its kind, place and times, each kind is explained, and the exit status is 1."""
    code, out, error = run("tampered")
    assert (code, error) == (1, "")
    assert out.splitlines()[2:] == [
        "tampered: logout: byte 384: a logout on pts/0 without a login, between 2020-09-13T12:26:40+00:00 and 2020-09-13T12:28:40+00:00",
        "tampered: size: byte 768: 3 bytes at the end that are no whole record, after 2020-09-13T12:28:40+00:00",
        "tampered: logout may be innocent: a program that records logouts only; a login that could not be written because the disk was full",
        "tampered: size may be innocent: a power cut or a full disk while the last record was written; a copy made at that moment",
    ]


def test_runner_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The layout that would fit next best is told."""
    monkeypatch.setattr("wtmpdb.legacy.reader.detect", lambda *_: Sure(FIXED["glibc-384-le"], 3, 1, FIXED["solaris-be"], 2))
    line = run("clean")[1].splitlines()[0]
    assert line == "clean: glibc-384-le: of the 4 records looked at 3 are beyond doubt, next solaris-be with 2"
    assert json.loads(run("-j", "clean")[1])[0]["runner_up"] == "solaris-be"


def test_json(run: Run) -> None:
    """As JSON there is a list with an object for each file that can be read."""
    code, out, error = run("--json", "clean", "missing", "tampered")
    first, second = json.loads(out)
    assert (code, error) == (1, "wtmpdb check: missing: No such file or directory\n")
    assert first == {
        "file": "clean",
        "layout": "glibc-384",
        "byte_order": "little",
        "compression": None,
        "valid": 3,
        "rejected": 0,
        "runner_up": None,
        "runner_up_valid": 0,
        "records": 3,
        "types": {"2": 1, "7": 1, "8": 1},
        "skipped_bytes": 0,
        "first_usec": BEGIN * SECOND,
        "last_usec": (BEGIN + 120) * SECOND,
        "counts": {},
        "findings": [],
    }
    assert second["counts"] == {"logout": 1, "size": 1}
    assert {name: second["findings"][1][name] for name in ("kind", "position", "since_usec", "until_usec", "what")} == {
        "kind": "size",
        "position": 768,
        "since_usec": (BEGIN + 120) * SECOND,
        "until_usec": None,
        "what": "3 bytes at the end that are no whole record",
    }


def test_json_of_nothing(run: Run) -> None:
    """Where no file can be read the list is empty."""
    code, out, _ = run("--json", "missing")
    assert (code, json.loads(out)) == (1, [])


def test_many_findings(run: Run, tmp_path: Path) -> None:
    """Of a kind with many findings some are shown and the others counted."""
    (tmp_path / "many").write_bytes(encode([login(BEGIN + nth, "") for nth in range(CAP + 7)]))
    lines = run("--layout", "glibc-384", "many")[1].splitlines()
    assert sum(": impossible: byte" in line for line in lines) == CAP
    assert "many: impossible: 7 more" in lines


def test_hostile_text(run: Run, tmp_path: Path) -> None:
    """No control character gets through, neither out of a file nor out of its name."""
    name = "a\x1b[2J\n"
    (tmp_path / name).write_bytes(encode([boot(BEGIN), login(BEGIN + 1, "pts/0", "ev\x1b]0;il\x07\n"), logout(BEGIN + 90, "p\x1b[1m")]))
    _, out, _ = run(name)
    assert all(line.isprintable() for line in out.splitlines())
    assert r"a\033[2J\012: impossible: byte 384: control characters in the user: ev\033]0;il\007\012" in out
    _, out, _ = run("--json", name)
    assert out.replace("\n", "").isprintable()


def test_compressed_and_forced(run: Run, tmp_path: Path) -> None:
    """A compressed file is told as such, and a layout can be forced."""
    (tmp_path / "packed").write_bytes(gzip.compress(CLEAN))
    assert run("packed")[1].startswith("packed: glibc-384-le, gzip: of the 3 records")
    assert run("--layout", "glibc-384", "--byte-order", "little", "clean")[1].startswith("clean: glibc-384-le: as told\n")


def test_stdin(tmp_path: Path) -> None:
    """A dash is the standard input."""
    ran = subprocess.run([sys.executable, "-m", "wtmpdb", "check", "-"], input=CLEAN, capture_output=True, check=False, cwd=tmp_path)
    assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, b"-: nothing found")


def test_an_empty_file(run: Run, tmp_path: Path) -> None:
    """An empty file is told as such, and is nothing bad."""
    (tmp_path / "empty").touch()
    assert run("empty") == (0, "empty: empty\nempty: 0 records, 0 boots, 0 logins, 0 logouts\nempty: nothing found\n", "")


def test_zeros(run: Run, tmp_path: Path) -> None:
    """Of a file of nothing but zeros nothing tells the layout."""
    (tmp_path / "zeros").write_bytes(bytes(768))
    code, out, _ = run("zeros")
    assert (code, out.splitlines()[0]) == (1, f"zeros: {native()}: nothing in it tells")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing", "No such file or directory"),
        (".", "Is a directory"),
        ("noise", "no login-accounting file of a known layout (--layout NAME reads it as one)"),
    ],
)
def test_what_cannot_be_read(run: Run, tmp_path: Path, name: str, why: str) -> None:
    """What cannot be read is one line, the exit status is 1, and the other files are checked all the same."""
    (tmp_path / "noise").write_bytes(b"\xfe\xfd" * 5000)
    code, out, error = run(name, "clean")
    assert (code, error) == (1, f"wtmpdb check: {name}: {why}\n")
    assert out.endswith("clean: nothing found\n")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_without_permission(run: Run, tmp_path: Path) -> None:
    """A file that may not be read is one line."""
    (tmp_path / "clean").chmod(0)
    assert run("clean") == (1, "", "wtmpdb check: clean: Permission denied\n")


def test_a_database(run: Run, tmp_path: Path) -> None:
    """A database of ours is not an old file."""
    make_file(tmp_path / "wtmp.db", [])
    code, out, error = run("wtmp.db")
    assert (code, out) == (1, "")
    assert error.startswith("wtmpdb check: wtmp.db: is a database of wtmpdb, not an old file (")


@pytest.mark.parametrize("words", [[], ["--layout", "nothing", "clean"], ["--byte-order", "middle", "clean"], ["--bogus", "clean"]])
def test_wrong_usage(run: Run, words: list[str]) -> None:
    """Wrong usage is 2, with a word about it."""
    code, out, error = run(*words)
    assert (code, out) == (2, "")
    assert "wtmpdb check: error: " in error
