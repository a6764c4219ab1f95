# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb stats`: from the command line to the picture."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Protocol

import pytest

from support import HOUR, NOON, make_file
from wtmpdb.__main__ import main
from wtmpdb.query.periods import Periods, days
from wtmpdb.query.stats import QUARTER

if TYPE_CHECKING:
    from pathlib import Path

ROWS = (
    (1, "reboot", NOON, NOON + 50 * HOUR, "~", "6.1", None),
    (3, "alice", NOON + HOUR, NOON + 4 * HOUR, "ssh", "192.0.2.7", "sshd"),
    (3, "漢字", NOON + 2 * HOUR, NOON + 3 * HOUR, "tty1", None, "login"),
    (3, "e\\033[31mvil", NOON + 49 * HOUR, None, "ssh", "192.0.2.7", "sshd"),
)
FAILED = [(3, "root", NOON + 30 * HOUR + number, NOON + 30 * HOUR + number, "ssh:notty", "203.0.113.9", "sshd") for number in range(4)]
SHOWN = """\
3 logins of 3 users from 1 host, 4 failed
from Fri Mar  1 12:00:00 2024 to Sun Mar  3 14:00:00 2024

Day         logins  failed
Fri Mar  1       2       0  ##########################
Sat Mar  2       0       4  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
Sun Mar  3       1       0  #############

Users       logins   time
alice            1  03:00
e*[[31mvil       1  01:00
漢字             1  01:00

Hosts      logins
192.0.2.7       2

Services  logins
sshd           2
login          1

Hosts that failed  times
203.0.113.9            4

Longest      time  since                     tty   host
alice       03:00  Fri Mar  1 13:00:00 2024  ssh   192.0.2.7
漢字        01:00  Fri Mar  1 14:00:00 2024  tty1
e*[[31mvil  01:00  Sun Mar  3 13:00:00 2024  ssh   192.0.2.7 (down)

Most at once: 2, Fri Mar  1 14:00:00 2024
Up: 100.00 % of the time, 1 boot, no crash
"""


class Run(Protocol):
    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Run `wtmpdb stats`; return the exit status and what it printed."""


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put local time at UTC."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr("wtmpdb.listing.printable._utf8", [True])
    time.tzset()


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Make a history and failed logins; return the options that name them."""
    return ["-f", str(make_file(tmp_path / "wtmp.db", ROWS)), "--failed", str(make_file(tmp_path / "btmp.db", FAILED))]


@pytest.fixture
def run(files: list[str], capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["wtmpdb", "stats", *files, *words])
        out, error = capsys.readouterr()
        return code, out, error

    return run


def test_picture(run: Run) -> None:
    """Into a pipe goes plain text of 80 columns at most, whatever is in the names."""
    code, out, error = run()
    assert (code, out, error) == (0, SHOWN, "")
    assert all(len(line) <= 80 for line in out.splitlines())


def test_on_a_terminal(files: list[str]) -> None:
    """On a terminal bars are drawn in colours, and what users chose is as harmless as elsewhere."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "COLUMNS": "100"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen([sys.executable, "-m", "wtmpdb", "stats", *files], stdout=follower, env=environment) as process:
        os.close(follower)
        data = b""
        while True:
            try:
                data += os.read(leader, 65536)
            except OSError:
                break
    os.close(leader)
    assert process.returncode == 0
    assert "\x1b[32m█".encode() in data
    assert "\x1b[31m█".encode() in data
    assert b"e*[[31mvil" in data


def test_json(run: Run) -> None:
    """A program gets one document, with days of local time and seconds."""
    found = json.loads(run("--json", "--top", "1")[1])
    assert found["days"] == [
        {"day": "2024-03-01", "logins": 2, "failed": 0},
        {"day": "2024-03-02", "logins": 0, "failed": 4},
        {"day": "2024-03-03", "logins": 1, "failed": 0},
    ]
    assert found["users"] == [{"user": "alice", "logins": 1, "seconds": 10800}]
    assert (found["logins"], found["failed"], found["distinct_users"]) == (3, 4, 3)
    assert (found["peak"], found["peak_usec"], found["boots"], found["crashes"], found["up_share"]) == (2, NOON + 2 * HOUR, 1, 0, 1.0)
    assert [(one["user"], one["end"], one["seconds"]) for one in found["longest"]] == [("alice", "logout", 10800)]


@pytest.mark.parametrize(
    ("words", "logins", "failed"),
    [
        (["--user", "alice"], 1, 0),
        (["--user", "漢字"], 1, 0),
        (["--user", "root"], 0, 4),
        (["--host", "192.0.2.7"], 2, 0),
        (["-s", "2024-03-02"], 1, 4),
        (["-t", "2024-03-01 13:00"], 1, 0),
        (["--since", "2024-03-01 14:00", "--until", "2024-03-01 14:00"], 1, 0),
    ],
)
def test_choice(run: Run, words: list[str], logins: int, failed: int) -> None:
    """Sessions and failed logins are chosen by user, host, and when they began."""
    found = json.loads(run("--json", *words)[1])
    assert (found["logins"], found["failed"]) == (logins, failed)


@pytest.mark.parametrize("words", [["--top", "x"], ["--top", "1001"], ["-s", "never"], ["-s", "2026-01-02", "-t", "2026-01-01"], ["--no-such"]])
def test_wrong_usage(run: Run, words: list[str]) -> None:
    """Wrong usage has the exit status 2."""
    assert run(*words)[:2] == (2, "")


def test_long_names(run: Run, tmp_path: Path) -> None:
    """A very long name is shown whole, and moves no line but its own."""
    path = make_file(tmp_path / "long.db", [*ROWS, (3, "n" * 255, NOON, NOON, "ssh", "h" * 255, "sshd")])
    out = run("-f", str(path))[1]
    assert "n" * 255 + "       1  00:00\n" in out
    assert "\nalice            1  03:00\n" in out
    assert "\n192.0.2.7       2\n" in out


def test_backslash_as_c_stores_it(run: Run, tmp_path: Path) -> None:
    r"""A user whom C stored as DOMAIN\\user is the same as one whom we stored, when counted and when asked for."""
    rows = [(3, name, NOON + at, NOON + at + HOUR, "ssh", "h\\x", "sshd") for at, name in enumerate(("EX\\ann", "EX\\134ann", "EX\\bob"))]
    path = str(make_file(tmp_path / "c.db", rows, ours=False))
    found = json.loads(run("-f", path, "--json")[1])
    assert found["users"] == [{"user": "EX\\ann", "logins": 2, "seconds": 7200}, {"user": "EX\\bob", "logins": 1, "seconds": 3600}]
    assert json.loads(run("-f", path, "--json", "--user", "EX\\ann", "--host", "h\\x")[1])["logins"] == 2


def test_before_1970(run: Run) -> None:
    """All that is recorded lies behind a time before 1970, and nothing before it."""
    assert json.loads(run("-s", "1960-01-01", "--json")[1])["logins"] == 3
    assert run("-t", "1960-01-01")[:2] == (0, "0 logins of 0 users from 0 hosts, 0 failed\n\n")


@pytest.mark.parametrize("option", ["-f", "--failed"])
def test_empty_name_of_a_file(run: Run, option: str) -> None:
    """An empty name, as of a variable that is not set, is no file, and does not stand for those of this machine."""
    assert run(option, "") == (1, "", "wtmpdb stats: : No such file or directory\n")


def test_closed_output(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is started without a standard output has nowhere to write to, and shows no traceback."""
    monkeypatch.setattr(sys, "stdout", None)
    assert run() == (0, "", "")


def test_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of an empty history there is nothing to say."""
    (tmp_path / "wtmp.db").touch()
    assert main(["wtmpdb", "stats", "-f", str(tmp_path / "wtmp.db")]) == 0
    assert capsys.readouterr().out == "nothing is recorded\n"


class TestDays:
    def test_clock_put_forward_and_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Days are local ones, also those of 23 and of 25 hours: each hour counts in the day that the clock shows."""
        monkeypatch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        for begin, hours, day in ((1_711_839_600, 23, (2024, 3, 31)), (1_729_980_000, 25, (2024, 10, 27))):
            quarters = {begin // 900 + number: 1 for number in range(-4, hours * 4 + 4)}
            found = days(quarters)
            assert (found[day], len(found)) == (hours * 4, 3)

    def test_offset_of_quarters(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where local time is 5:45 ahead, a day begins at 18:15 UTC."""
        monkeypatch.setenv("TZ", "Asia/Kathmandu")
        time.tzset()
        midnight = (NOON + 6 * HOUR) // QUARTER + 1
        assert days({midnight - 1: 1, midnight: 2}) == {(2024, 3, 1): 1, (2024, 3, 2): 2}

    @pytest.mark.parametrize(
        ("first", "last", "unit", "names"),
        [
            ((2024, 2, 28), (2024, 3, 1), "Day", ["Wed Feb 28", "Thu Feb 29", "Fri Mar  1"]),
            ((2024, 1, 1), (2024, 2, 12), "Week from", [" 1 Jan 2024", " 8 Jan 2024"]),
            ((2023, 11, 9), (2025, 1, 1), "Month", ["Nov 2023", "Dec 2023", "Jan 2024"]),
            ((1999, 1, 1), (2025, 1, 1), "Year", ["1999", "2000"]),
            ((1970, 1, 1), (292_277, 1, 1), "Year", ["1970", "292277"]),
        ],
    )
    def test_periods(self, first: tuple[int, int, int], last: tuple[int, int, int], unit: str, names: list[str]) -> None:
        """Days that are too many become weeks, months or years, with those that are empty between them as long as there is room."""
        counts = days({})
        counts.update({first: 2, last: 3})
        periods = Periods([counts])
        assert (periods.unit, [name for name, _ in periods.rows][: len(names)]) == (unit, names)
        assert (periods.rows[0][1], periods.rows[-1][1]) == ([2], [3])
