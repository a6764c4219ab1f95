# SPDX-License-Identifier: BSD-2-Clause
"""The import of failed logins: btmp files into the database that lastb reads."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from importing import MACHINE, at, sides
from old_records import BEGIN, encode, fields, login
from support import edit, failed, make_spool, post, table
from wtmpdb.__main__ import main
from wtmpdb.installation import old_files
from wtmpdb.installation.changes import Changes
from wtmpdb.installation.ledger import Ledger
from wtmpdb.legacy import importer, sources
from wtmpdb.legacy.importer import Summary, bring_in, look_at
from wtmpdb.legacy.record import LOGIN_PROCESS, USER_PROCESS
from wtmpdb.recorder.failures import take_failures

if TYPE_CHECKING:
    from wtmpdb.legacy.record import Fields

DOCS = Path(__file__).parents[1] / "data" / "docs"


def attempt(second: float, user: str = "root", line: str = "ssh:notty", host: str = "192.0.2.7", kind: int = LOGIN_PROCESS) -> Fields:
    """Return a record as sshd writes it, or with another kind as login does."""
    return (kind, *login(second, line, user, host)[1:])


ATTEMPTS = [attempt(BEGIN + 1), attempt(BEGIN + 2.5, "alice", "tty1", "", USER_PROCESS), attempt(BEGIN + 3, "", host="198.51.100.9")]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return where the database will be."""
    return tmp_path / "btmp.db"


def write(path: Path, *rows: Fields) -> Path:
    """Write a file of records."""
    path.write_bytes(encode(rows))
    return path


def import_(database: Path, *files: Path, dry: bool = False) -> Summary:
    """Import files."""
    return bring_in(look_at(map(str, files), str(database), failed=True), str(database), failed=True, dry=dry, machine=MACHINE)


def test_what_is_kept(tmp_path: Path, database: Path) -> None:
    """Each record, sshd's of type 6 and login's of type 7, becomes a row that ends when it begins; address, process and place are kept beside it."""
    empty = fields(0, 0, "", "")
    summary = import_(database, write(tmp_path / "btmp", *ATTEMPTS, empty))
    assert [row[1:] for row in table(database)] == [
        (3, "root", at(1), at(1), "ssh:notty", "192.0.2.7", None),
        (3, "alice", at(2.5), at(2.5), "tty1", None, None),
        (3, "", at(3), at(3), "ssh:notty", "198.51.100.9", None),
    ]
    assert (summary.counts.sessions, summary.records, summary.skipped()) == (3, 4, {"empty": 1})
    assert [side[4] for side in sides(database)] == [0, 384, 768]
    assert database.stat().st_mode & 0o777 == 0o640


def test_again(tmp_path: Path, database: Path) -> None:
    """Files that were imported before, copies of them, and files that go on where they end, bring what is new, once."""
    first = write(tmp_path / "btmp.1", *ATTEMPTS)
    import_(database, first)
    before = table(database)
    later = attempt(BEGIN + 99)
    for files, new in (([first], 0), ([write(tmp_path / "copy", *ATTEMPTS)], 0), ([first, write(tmp_path / "btmp", *ATTEMPTS[1:], later)], 1)):
        summary = import_(database, *files)
        assert summary.counts.sessions == new
    assert table(database)[:3] == before
    assert len(table(database)) == 4


def test_what_was_written_twice(tmp_path: Path, database: Path) -> None:
    """A record that a program has written twice in a row counts twice, as it is listed twice; also when it is imported again."""
    path = write(tmp_path / "btmp", ATTEMPTS[0], ATTEMPTS[0], ATTEMPTS[1])
    assert import_(database, path).counts.sessions == 3
    assert import_(database, path).counts.sessions == 0
    assert [side[2] for side in sides(database)] == [0, 1, 0]


def test_what_was_recorded_is_recognised(tmp_path: Path, database: Path) -> None:
    """An attempt that the recorder has written too, seconds before the application has, is recognised, each once."""
    spool = make_spool(tmp_path / "failed")
    post(spool, failed("root", at(1) - 2_500_000), failed("root", at(5)))
    take_failures(str(database), str(spool), owner=os.getuid())
    counts = import_(database, write(tmp_path / "btmp", attempt(BEGIN + 1), attempt(BEGIN + 1.5), attempt(BEGIN + 7))).counts
    assert (counts.recognised, counts.sessions) == (2, 1)
    assert len(table(database)) == 3


def test_as_the_file(tmp_path: Path) -> None:
    """The database lists what the old file lists."""
    database = tmp_path / "btmp.db"
    import_(database, DOCS / "btmp")
    shown = [
        subprocess.run(
            [sys.executable, "-m", "wtmpdb", "lastb", "-F", "-w", "-f", path],
            env={**os.environ, "TZ": "UTC"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for path in (str(database), str(DOCS / "btmp"))
    ]
    assert shown[0].replace("btmp.db begins", "btmp begins") == shown[1]


def test_a_database(tmp_path: Path, database: Path) -> None:
    """The rows of another database of failed logins are brought in likewise."""
    import_(tmp_path / "other", write(tmp_path / "btmp", *ATTEMPTS))
    shutil.copy(tmp_path / "other", tmp_path / "btmp-copy.db")
    assert import_(database, tmp_path / "btmp-copy.db").counts.sessions == 3
    assert import_(database, tmp_path / "btmp").counts.sessions == 0


def test_the_command(tmp_path: Path, database: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Files called btmp are known for what they are, others are named so by --failed; the summary counts failed logins."""
    monkeypatch.setenv("TZ", "UTC")
    write(tmp_path / "btmp.1", *ATTEMPTS)
    write(tmp_path / "other", attempt(BEGIN + 60))
    monkeypatch.setattr(importer, "FAILED", str(database))
    assert main(["wtmpdb", "import", str(tmp_path / "btmp.1")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "3 records: added 3 failed logins"
    assert main(["wtmpdb", "import", "--failed", "--json", str(tmp_path / "other")]) == 0
    assert json.loads(capsys.readouterr().out)["sessions"] == 1
    monkeypatch.setattr(sources, "FAILED_FILES", f"{tmp_path}/btmp*")
    assert main(["wtmpdb", "import", "--failed"]) == 0
    assert "3 imported before" in capsys.readouterr().out
    assert len(table(database)) == 4


def test_dry(tmp_path: Path, database: Path) -> None:
    """A dry import writes nothing."""
    assert import_(database, write(tmp_path / "btmp", *ATTEMPTS), dry=True).counts.sessions == 3
    assert not database.exists()


def test_the_end_of_setup(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Setup imports the old failed logins once, unless failed logins are not wanted."""
    (tmp_path / "var/lib/wtmpdb").mkdir(parents=True)
    write(tmp_path / "btmp.1", *ATTEMPTS)
    (tmp_path / "btmp").touch()
    monkeypatch.setattr(sources, "OLD_FILES", f"{tmp_path}/wtmp*")
    monkeypatch.setattr(sources, "FAILED_FILES", f"{tmp_path}/btmp*")
    monkeypatch.setattr(old_files, "bring_in", partial(importer.bring_in, database=str(database), machine=MACHINE))
    for failures, made in ((False, 0), (True, 1), (True, 0)):
        changes = Changes("/", Ledger(str(tmp_path)))
        old_files.put(changes, failures=failures)
        assert changes.made == made
    assert f"  import {tmp_path}/btmp.1\n  failed logins added: 3, known already: 0\n" in capsys.readouterr().out
    with edit(database) as db:
        assert db.execute("SELECT count(*) FROM wtmp").fetchone() == (3,)
