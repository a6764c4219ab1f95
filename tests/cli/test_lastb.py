# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb lastb`: failed logins of the database, and how many there were of what."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from support import HOUR, NOON, SECOND, edit, failed, make_file, make_spool, post
from wtmpdb.__main__ import main
from wtmpdb.cli import failed as module
from wtmpdb.cli.last import FAILED_OPTIONS, OPTIONS
from wtmpdb.cli.options import scan
from wtmpdb.errors import DeniedLogError
from wtmpdb.log import Log
from wtmpdb.recorder.failures import take_failures

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parents[1] / "data" / "docs"

ATTEMPTS = [
    failed("root", NOON - 30 * HOUR, host="198.51.100.9"),
    failed("alice", NOON - 2 * HOUR, host=None, tty="tty1", service="login"),
    *(failed("root", NOON - HOUR + number * SECOND, host="192.0.2.7") for number in range(15)),
    failed("b\\303\\266b\\033[2J", NOON - 60 * SECOND, host="gate.example.net"),
]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put local time at UTC and now at noon."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr("wtmpdb.cli.last.time.time", lambda: NOON / SECOND)
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the failed logins of this machine: 15 rows and 5 that were only counted, and 7 of which nobody knows more."""
    spool = make_spool(tmp_path / "failed")
    post(spool, *ATTEMPTS)
    (spool / "uncounted").write_bytes(b"." * 7)
    os.utime(spool / "uncounted", ns=(NOON * 1000, NOON * 1000))
    take_failures(str(tmp_path / "btmp.db"), str(spool), owner=os.getuid())
    monkeypatch.setattr(module, "FAILED", str(tmp_path / "btmp.db"))
    monkeypatch.setattr(module, "take_failures", lambda _: None)
    return tmp_path / "btmp.db"


def lastb(capfd: pytest.CaptureFixture[str], *words: str, code: int = 0) -> list[str]:
    """Run the command; return the lines of what it printed, or of its complaint."""
    capfd.readouterr()
    assert main(["wtmpdb", "lastb", *words]) == code
    found = capfd.readouterr()
    return (found.err if code else found.out).splitlines()


def test_lists_the_database(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Without a file it lists the failed logins of this machine as lastb does, and says how many more were only counted."""
    assert home.exists()
    lines = lastb(capfd)
    assert lines[0] == "böb*[[2J ssh          gate.example.net Fri Mar  1 11:59 - 11:59  (00:00)"
    assert lines[-5:-3] == [
        "alice    tty1                          Fri Mar  1 10:00 - 10:00  (00:00)",
        "root     ssh          198.51.100.9     Thu Feb 29 06:00 - 06:00  (00:00)",
    ]
    assert lines[-3:] == ["", "btmp.db begins Thu Feb 29 06:00:00 2024", "12 more were only counted; 'lastb --by host' tells of them too"]
    assert len(lines) == 16


def test_what_was_counted_is_chosen_as_rows_are(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """How many were only counted is said of what was asked for: a time, a user, a host, a service."""
    assert home.exists()
    for words, number in (
        (["-t", "2024-02-29"], 0),
        (["root"], 5),
        (["--from-host", "192.0.2.7"], 5),
        (["--for-service", "login"], 0),
        (["alice"], 0),
    ):
        said = [line for line in lastb(capfd, *words) if "only counted" in line]
        assert [int(line.split()[0]) for line in said] == [number] * bool(number), words


def test_json(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The JSON is that of last, and has the number of those that were only counted."""
    assert home.exists()
    document = json.loads("\n".join(lastb(capfd, "--json", "-n", "1")))
    assert document["only_counted"] == 12
    assert [(entry["user"], entry["hostname"], entry["service"], entry["login_usec"]) for entry in document["entries"]] == [
        ("böb\033[2J", "gate.example.net", "sshd", NOON - 60 * SECOND)
    ]
    assert len(lastb(capfd, "--jsonl")) == 13


@pytest.mark.parametrize(
    ("by", "counts"),
    [
        ("user", ["      16  root", "       7  (not known)", "       1  alice", "       1  böb*[[2J"]),
        ("host", ["      15  192.0.2.7", "       7  (not known)", "       1  -", "       1  198.51.100.9", "       1  gate.example.net"]),
        ("address", ["      15  192.0.2.7", "       7  (not known)", "       2  -", "       1  198.51.100.9"]),
        ("service", ["      17  sshd", "       7  (not known)", "       1  login"]),
        ("day", ["      24  2024-03-01", "       1  2024-02-29"]),
    ],
)
def test_by(home: Path, capfd: pytest.CaptureFixture[str], by: str, counts: list[str]) -> None:
    """--by counts all attempts, those without a row included, by what they have in common."""
    assert home.exists()
    lines = lastb(capfd, "--by", by, "--time-format", "notime")
    assert lines == counts
    lines = lastb(capfd, "--by", by)
    assert [" ".join(line.split()[:2]) for line in lines[: len(counts)]] == [" ".join(line.split()[:2]) for line in counts]
    assert lines[len(counts) :] == ["", "btmp.db begins Thu Feb 29 06:00:00 2024"]


def test_by_is_chosen_as_rows_are(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Counts are of what was asked for, and a limit is one of counts."""
    assert home.exists()
    assert lastb(capfd, "--by", "user", "-s", "2024-03-01", "-n", "1")[0] == "      15  root                      Fri Mar  1 11:00 - Fri Mar  1 11:00"
    assert lastb(capfd, "--by", "user", "-n", "1", "--time-format", "notime", "alice") == ["       1  alice"]
    assert lastb(capfd, "--by", "host", "-n2", "-T", "--time-format", "notime")[0].split("\t") == ["      15", "192.0.2.7"]


def test_by_as_json(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The JSON of counts tells the number, how many of them have no row, and the first and last time."""
    assert home.exists()
    document = json.loads("\n".join(lastb(capfd, "--by", "host", "-j", "-n", "2")))
    assert document == {
        "by": "host",
        "counts": [
            {
                "host": "192.0.2.7",
                "attempts": 15,
                "only_counted": 5,
                "first": "2024-03-01T11:00:00+00:00",
                "last": "2024-03-01T11:00:14+00:00",
                "first_usec": NOON - HOUR,
                "last_usec": NOON - HOUR + 14 * SECOND,
            },
            {
                "host": None,
                "attempts": 7,
                "only_counted": 7,
                "first": "2024-03-01T12:00:00+00:00",
                "last": "2024-03-01T12:00:00+00:00",
                "first_usec": NOON,
                "last_usec": NOON,
            },
        ],
        "start": "2024-02-29T06:00:00+00:00",
    }
    assert [json.loads(line)["user"] for line in lastb(capfd, "--by", "user", "--jsonl", "-n", "2")] == ["root", None]


def test_by_of_old_files(capfd: pytest.CaptureFixture[str]) -> None:
    """Old files are counted in the same way; they know no services, and have an address beside the host."""
    path = str(DATA / "btmp")
    records = lastb(capfd, "-f", path, "--jsonl", "-w")
    for by in ("user", "host", "address", "service", "day"):
        lines = lastb(capfd, "-f", path, "--by", by)
        assert sum(int(line.split()[0]) for line in lines[:-2]) == len(records)
        assert lines[-1].startswith("btmp begins ")
    assert lastb(capfd, "-f", path, "--by", "service", "--time-format", "notime") == [f"{len(records):8}  -"]
    assert "192.0.2.7" in " ".join(lastb(capfd, "-f", path, "--by", "address"))


def test_old_and_new_together(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A database and an old file are counted together, each with its last line."""
    lines = lastb(capfd, "-f", str(home), "-f", str(DATA / "btmp"), "--by", "user")
    assert [line.split()[0] for line in lines[-2:]] == ["btmp.db", "btmp"]


def test_what_to_count_by(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What cannot be counted by is said, with what can; --by is lastb's alone, and takes no abbreviation away from last."""
    assert home.exists()
    assert lastb(capfd, "--by", "colour", code=1) == ["wtmpdb lastb: cannot count by 'colour': one of user, host, address, service, day"]
    assert main(["wtmpdb", "last", "--by=user"]) == 1
    for name in [option.long[:end] for option in OPTIONS for end in range(1, len(option.long) + 1) if option.long[:end] != "by"]:
        outcome = []
        for options in (OPTIONS, FAILED_OPTIONS):
            try:
                outcome.append(list(scan([f"--{name}", "x"], options)))
            except Exception as error:  # noqa: BLE001 - it has to be the same, whatever it is
                outcome.append([("", str(error))])
        assert outcome[0] == outcome[1], name


def test_a_history_of_sessions(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A database without counts, as the C tool or an import makes it, is listed and counted as it is."""
    path = make_file(tmp_path / "btmp.db", [(3, "eve", NOON, NOON, "ssh", "192.0.2.9", None)], ours=False)
    assert lastb(capfd, "-f", str(path))[0] == "eve      ssh          192.0.2.9        Fri Mar  1 12:00 - 12:00  (00:00)"
    assert lastb(capfd, "-f", str(path), "--by", "address", "--time-format", "notime") == ["       1  192.0.2.9"]


def test_address_beside_a_name(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """An attempt that was imported with the name of a host counts under the address that was recorded beside it."""
    path = make_file(tmp_path / "btmp.db", [(3, "eve", NOON, NOON, "ssh", "gate.example.net", None)])
    with edit(path) as database:
        values = (1, NOON, b"hash", 0, bytes((192, 0, 2, 9)) + bytes(12))
        database.execute("INSERT INTO imported (entry_id, login, record_hash, nth, address) VALUES (?, ?, ?, ?, ?)", values)
        database.commit()
    assert lastb(capfd, "-f", str(path), "--by", "address", "--time-format", "notime") == ["       1  192.0.2.9"]


def test_never_by_the_recorder(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Who may not read failed logins is not shown what the recorder answers instead, which are sessions."""
    assert home.exists()

    def denied(path: str) -> NoReturn:
        raise DeniedLogError(f"{path}: Permission denied")

    monkeypatch.setattr("wtmpdb.cli.databases.history", lambda _: pytest.fail("the recorder was asked"))
    monkeypatch.setattr(Log, "read", denied)
    assert lastb(capfd, code=1) == [f"wtmpdb lastb: cannot open {home}: Permission denied"]


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_others_may_not(home: Path) -> None:
    """Whoever is neither root nor in the group is told so in one line, with a hint."""
    for directory in list(home.parents)[:3]:
        directory.chmod(0o755)
    code = (
        f"import os, sys, wtmpdb.cli.failed as f; f.FAILED = {str(home)!r}; from wtmpdb.__main__ import main; import wtmpdb.cli.lastb, wtmpdb.faults"
    )
    code += "; os.setgroups([]); os.setgid(65534); os.setuid(65534); sys.exit(main(['wtmpdb', 'lastb']))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr == f"wtmpdb lastb: cannot open {home}: Permission denied (root may read it, and members of its group)\n"


def test_without_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Where no attempt was recorded yet, the old file is listed; where there is none either, that is said."""
    monkeypatch.setattr(module, "FAILED", str(tmp_path / "btmp.db"))
    monkeypatch.setattr("wtmpdb.cli.last._FAILED_FILE", str(DATA / "btmp"))
    assert lastb(capfd)[-1].startswith("btmp begins ")
    monkeypatch.setattr("wtmpdb.cli.last._FAILED_FILE", str(tmp_path / "btmp"))
    assert lastb(capfd, code=1) == [f"wtmpdb lastb: cannot open {tmp_path}/btmp.db: No such file or directory (no failed login was recorded yet)"]
