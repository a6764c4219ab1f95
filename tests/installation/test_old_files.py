# SPDX-License-Identifier: BSD-2-Clause
"""The import of the old files by setup: once, of what there is, and never a reason to fail."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from importing import MACHINE, write
from old_records import BEGIN, boot, login, logout
from support import table
from wtmpdb.installation import old_files
from wtmpdb.installation.changes import Changes
from wtmpdb.installation.ledger import Ledger
from wtmpdb.legacy import importer, sources

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the place of the history of a machine whose old files are in a directory ``log``."""
    (tmp_path / "var/lib/wtmpdb").mkdir(parents=True)
    (tmp_path / "log").mkdir()
    path = tmp_path / "wtmp.db"
    monkeypatch.setattr(sources, "OLD_FILES", f"{tmp_path}/log/wtmp*")
    monkeypatch.setattr(sources, "FAILED_FILES", f"{tmp_path}/log/btmp*")
    monkeypatch.setattr(old_files, "bring_in", partial(importer.bring_in, database=str(path), machine=MACHINE))
    return path


def put(database: Path, *, dry: bool = False) -> int:
    """Do the part of setup; return how many changes were made."""
    changes = Changes("/", Ledger(str(database.parent), dry=dry), dry=dry)
    old_files.put(changes, failures=True)
    return changes.made


def test_once(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Old files are imported, oldest first, and it is said; another setup imports nothing, even if the rows are gone."""
    log = database.parent / "log"
    write(log / "wtmp", logout(BEGIN + 5, "tty1"), boot(BEGIN + 9))
    write(log / "wtmp.1", boot(BEGIN), login(BEGIN + 1, "tty1"))
    (log / "wtmp.2").touch()
    assert put(database) == 1
    said = capsys.readouterr().out
    assert f"  import {log}/wtmp.1, {log}/wtmp\n" in said
    assert "  sessions added: 1, boots: 2, known already: 0\n" in said
    assert [(row[1], row[2]) for row in table(database)] == [(1, "reboot"), (3, "alice"), (1, "reboot")]
    assert table(database)[1][4] == (BEGIN + 5) * 1_000_000
    database.unlink()
    assert put(database) == 0
    assert capsys.readouterr().out == ""
    assert not database.exists()


def test_dry(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run says what would be imported, and neither does nor remembers it."""
    write(database.parent / "log" / "wtmp", boot(BEGIN))
    assert put(database, dry=True) == 1
    assert capsys.readouterr().out == f"  would import {database.parent}/log/wtmp\n"
    assert not database.exists()
    assert put(database) == 1


@pytest.mark.parametrize("empty", [False, True])
def test_nothing_there(database: Path, capsys: pytest.CaptureFixture[str], *, empty: bool) -> None:
    """Without old files, or with empty ones, nothing is said, and no history is made."""
    if empty:
        (database.parent / "log" / "wtmp").touch()
    assert put(database) == 0
    assert capsys.readouterr().out == ""
    assert not database.exists()


def test_not_readable(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that cannot be understood is told of, with what to do, and is no error; the next setup tries again."""
    log = database.parent / "log"
    write(log / "wtmp", boot(BEGIN))
    (log / "wtmp.1").write_text("these are words, and no records\n" * 50)
    assert put(database) == 0
    said = capsys.readouterr().out
    assert f"{log}/wtmp.1: no login-accounting file of a known layout" in said
    assert not database.exists()
    (log / "wtmp.1").unlink()
    assert put(database) == 1


def test_not_writable(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A history that cannot be written is told of, and is no error; the next setup tries again."""
    write(database.parent / "log" / "wtmp", boot(BEGIN))
    database.write_text("no database, by no means" * 100)
    put(database)
    assert "not a database" in capsys.readouterr().out
    database.unlink()
    assert put(database) == 1
    assert len(table(database)) == 1
