# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb import`: its words, its summary and its errors."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from old_records import BEGIN, boot, encode, getty, login, logout, run_level, shutdown
from support import SECOND, edit, make_file, table
from wtmpdb.__main__ import main
from wtmpdb.legacy import sources

if TYPE_CHECKING:
    from pathlib import Path

OLD = [boot(BEGIN), login(BEGIN + 1, "tty1"), login(BEGIN + 2, "pts/0", "bob")]
NEW = [getty(BEGIN + 20, "tty2"), logout(BEGIN + 50, "pts/0"), logout(BEGIN + 51, "pts/7"), shutdown(BEGIN + 3660)]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have times in UTC."""
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Make an old file."""
    (tmp_path / "wtmp.1").write_bytes(encode(OLD))
    return tmp_path / "wtmp.1"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Make the file that follows it."""
    (tmp_path / "wtmp").write_bytes(encode(NEW))
    return tmp_path / "wtmp"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return where the database will be."""
    return tmp_path / "wtmp.db"


def run(database: Path, *words: object) -> int:
    """Run the command."""
    return main(["wtmpdb", "import", "-f", str(database), *map(str, words)])


class TestSummary:
    def test_words(self, database: Path, old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The summary says what was added, what was there, what was skipped, and which time the records span."""
        assert run(database, old) == 0
        assert capsys.readouterr().out == "3 records: added 2 sessions, 1 boot\nfrom Sun Sep 13 12:26:40 2020 to Sun Sep 13 12:26:42 2020\n"
        assert run(database, new, old) == 0
        assert capsys.readouterr().out == (
            "7 records: added 0 sessions, 0 boots; closed 2\n"
            "already there: 3 imported before\n"
            "skipped: 1 waiting for a login\n"
            "logouts of nobody who had logged in: 1\n"
            "from Sun Sep 13 12:26:40 2020 to Sun Sep 13 13:27:40 2020\n"
        )

    def test_json(self, database: Path, old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The same comes as JSON."""
        assert run(database, "--json", old, new) == 0
        found = json.loads(capsys.readouterr().out)
        assert found == {
            "dry_run": False,
            "records": 7,
            "sessions": 2,
            "boots": 1,
            "others": 0,
            "closed": 0,
            "duplicates": 0,
            "recognised": 0,
            "repeated": 0,
            "unmatched_logouts": 1,
            "skipped": {"waiting for a login": 1},
            "bytes_skipped": 0,
            "findings": {},
            "first_usec": BEGIN * SECOND,
            "last_usec": (BEGIN + 3660) * SECOND,
            "files": [
                {"path": str(old), "layout": "glibc-384-le", "records": 3, "skipped": {}, "bytes_skipped": 0, "findings": {}},
                {"path": str(new), "layout": "glibc-384-le", "records": 4, "skipped": {}, "bytes_skipped": 0, "findings": {}},
            ],
        }

    def test_dry_run(self, database: Path, old: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A dry run says what it would do, and writes nothing."""
        assert run(database, "--dry-run", old) == 0
        assert capsys.readouterr().out.startswith("3 records: would add 2 sessions, 1 boot\n")
        assert not database.exists()

    def test_all(self, database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Run levels are kept on request."""
        (tmp_path / "levels").write_bytes(encode([*OLD, run_level(BEGIN + 9, "5")]))
        assert run(database, "--all", tmp_path / "levels") == 0
        assert capsys.readouterr().out.startswith("4 records: added 2 sessions, 1 boot, 1 other\n")

    def test_damage(self, database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """What cannot be read is left out and counted, in bytes too."""
        (tmp_path / "torn").write_bytes(encode(OLD) + b"x" * 100 + encode(NEW) + b"y")
        assert run(database, tmp_path / "torn") == 0
        assert "101 bytes" in capsys.readouterr().out
        assert len(table(database)) == 3


class TestFindings:
    def test_words(self, database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The summary says of each file how many findings of which kind there are, and what shows them; a dry run too."""
        file, other = tmp_path / "my wtmp", tmp_path / "other"
        file.write_bytes(encode(OLD) + bytes(384 * 2) + encode([*NEW, logout(BEGIN + 3700, "pts/9")]) + b"x")
        other.write_bytes(encode(OLD))
        for words in ([], ["--dry-run"]):
            assert run(database, *words, file, other) == 0
            assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("findings")] == [
                f"findings: 1 zeroed, 2 logout, 1 size (reasons to look, no proof: wtmpdb check '{file}')"
            ]

    def test_same_as_check(self, database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The numbers are those of `wtmpdb check`, compressed or not."""
        file = tmp_path / "wtmp.gz"
        file.write_bytes(gzip.compress(encode(OLD) + b"x" * 100 + encode([*NEW, login(BEGIN - 9999, "tty1")])))
        main(["wtmpdb", "check", "--json", str(file)])
        counts = json.loads(capsys.readouterr().out)[0]["counts"]
        assert counts
        assert run(database, "--json", file) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["findings"], found["files"][0]["findings"]) == (counts, counts)


class TestSources:
    def test_standard_input(self, database: Path, old: Path) -> None:
        """What comes through a pipe is imported, compressed or not; so is a pipe with a name."""
        for data in (old.read_bytes(), gzip.compress(old.read_bytes()), bz2.compress(old.read_bytes())):
            subprocess.run([sys.executable, "-m", "wtmpdb", "import", "-f", str(database), "-"], input=data, check=True, capture_output=True)
        command = f"{sys.executable} -m wtmpdb import -f {database} <(cat {old})"
        subprocess.run(["bash", "-c", command], check=True, capture_output=True)
        assert len(table(database)) == 3
        with edit(database) as db:
            assert {source for (source,) in db.execute("SELECT source FROM imported")} == {"-"}

    @pytest.mark.usefixtures("old", "new")
    def test_default(self, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """Without a file all rotated ones are taken, oldest first, and nothing that only begins with their name."""
        (tmp_path / "wtmp-20200101.gz").write_bytes(gzip.compress(encode([boot(BEGIN - 99)])))
        (tmp_path / "wtmpdb.log").write_text("no")
        make_file(tmp_path / "wtmp.db", [])
        make_file(tmp_path / "wtmp_20250101.db", [])
        monkeypatch.setattr(sources, "OLD_FILES", str(tmp_path / "wtmp*"))
        assert run(database, "--json") == 0
        assert [file["path"] for file in json.loads(capsys.readouterr().out)["files"]] == [
            str(tmp_path / name) for name in ("wtmp-20200101.gz", "wtmp.1", "wtmp")
        ]
        monkeypatch.setattr(sources, "OLD_FILES", str(tmp_path / "none*"))
        assert run(database) == 1
        assert capsys.readouterr().err.startswith(f"wtmpdb import: {tmp_path}/none*: no such file (")

    def test_layout(self, database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Layout and byte order can be given; a wrong one is an error."""
        (tmp_path / "odd").write_bytes(bytes(384))
        assert run(database, "--layout", "glibc-384", "--byte-order", "big", "--json", tmp_path / "odd") == 0
        assert json.loads(capsys.readouterr().out)["files"][0]["layout"] == "glibc-384-be"
        assert run(database, "--layout", "nonsense", tmp_path / "odd") == 1
        assert "nonsense: unknown layout" in capsys.readouterr().err

    def test_progress(self, database: Path, old: Path) -> None:
        """A bar is shown on a terminal, and only there; rich is loaded for it alone."""
        code = "import sys; from wtmpdb.__main__ import main; main(sys.argv); print('rich' in sys.modules)"
        command = [sys.executable, "-c", code, "import", "-f", str(database), str(old)]
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
        assert (ran.stdout.splitlines()[-1], ran.stderr) == ("False", "")
        leader, terminal = pty.openpty()
        ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=terminal, text=True, env={**os.environ, "TERM": "xterm"})
        os.close(terminal)
        assert ran.stdout.splitlines()[-1] == "True"
        assert b"writing" in os.read(leader, 65536)
        os.close(leader)


class TestErrors:
    def test_bad_files(self, database: Path, old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Each file that cannot be imported gets a line of its own; nothing is written, of the good ones either."""
        (tmp_path / "noise").write_text("no records are in here, only words\n" * 40)
        (tmp_path / "btmp").write_bytes(encode(OLD))
        words = [tmp_path / "none", tmp_path, tmp_path / "noise", old, tmp_path / "btmp"]
        assert run(database, *words) == 1
        found = capsys.readouterr()
        assert found.out == ""
        assert found.err.splitlines() == [
            f"wtmpdb import: {tmp_path}/none: No such file or directory",
            f"wtmpdb import: {tmp_path}: Is a directory (name the files in it)",
            f"wtmpdb import: {tmp_path}/noise: no login-accounting file of a known layout (--layout NAME reads it as one)",
            f"wtmpdb import: {tmp_path}/btmp: failed logins are no sessions (name them in a command of their own)",
        ]
        assert not database.exists()

    @pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
    def test_unreadable(self, database: Path, tmp_path: Path) -> None:
        """A file that the user may not read is an error, in one line."""
        tmp_path.chmod(0o755)
        (tmp_path / "secret").write_bytes(encode(OLD))
        (tmp_path / "secret").chmod(0)
        words = ["import", "-f", str(database), str(tmp_path / "secret")]
        code = f"import os, sys, wtmpdb.cli.import_; from wtmpdb.__main__ import main; os.setuid(65534); sys.exit(main(['wtmpdb', *{words!r}]))"
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
        assert "secret: Permission denied" in ran.stderr

    def test_empty(self, database: Path, old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """An empty file is named, but no error; beside it others are imported."""
        (tmp_path / "empty").touch()
        assert run(database, tmp_path / "empty") == 0
        assert capsys.readouterr() == ("", f"wtmpdb import: {tmp_path}/empty: empty\n")
        assert not database.exists()
        assert run(database, tmp_path / "empty", old) == 0
        assert capsys.readouterr().out.startswith("3 records: ")

    def test_database_that_cannot_be_written(self, old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A database that is none, or cannot be made, is an error in one line."""
        (tmp_path / "words").write_text("not a database, by no means" * 100)
        for place in (tmp_path / "words", tmp_path / "none" / "x.db", tmp_path):
            assert run(place, old) == 1
            error = capsys.readouterr().err
            assert error.startswith(f"wtmpdb import: {place}: ")
            assert error.count("\n") == 1

    def test_wrong_usage(self, database: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A wrong byte order is wrong usage."""
        assert run(database, "--byte-order", "middle") == 2
        assert "invalid choice" in capsys.readouterr().err
