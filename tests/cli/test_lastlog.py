# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb lastlog`: from the command line to the table."""

from __future__ import annotations

import json
import pwd
import struct
import time
from typing import TYPE_CHECKING, Protocol

import pytest

from support import HOUR, NOON, SECOND, edit, make_file
from wtmpdb.__main__ import main
from wtmpdb.cli import lastlog
from wtmpdb.home import history
from wtmpdb.log import Log
from wtmpdb.query.engine import Database
from wtmpdb.query.lastlog import Account, last_logins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 24 * HOUR
ROWS = (
    (3, "alice", NOON, NOON + 1, "ssh", "192.0.2.7", "sshd"),
    (3, "alice", NOON + 2 * HOUR, None, "pts/0", None, "su-l"),
    (3, "alice", NOON + HOUR, NOON + 2 * HOUR, "ssh", "192.0.2.8", "sshd"),
    (3, "gone", NOON, NOON + 1, "tty1", None, "login"),
    (1, "bob", NOON + 9, None, "~", "6.1", None),
    (3, "漢字", NOON + 3 * HOUR, None, "tty2", "h\\033[31m", "login"),
)
USERS = {"root": 0, "bob": 1001, "alice": 1000, "漢字": 1002}

SHOWN = """\
Username          Port      From              Service  Latest
root                                                   **Never logged in**
bob                                                    **Never logged in**
alice             pts/0                       su-l     Fri Mar  1 14:00:00 +0000 2024
漢字              tty2      h*[[31m           login    Fri Mar  1 15:00:00 +0000 2024
"""


class Run(Protocol):
    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Run `wtmpdb lastlog`; return the exit status and what it printed."""


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Make a machine with four accounts, a history, and nothing else."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    entries = {name: pwd.struct_passwd((name, "x", uid, uid, "", "/", "/bin/sh")) for name, uid in USERS.items()}
    monkeypatch.setattr(pwd, "getpwall", lambda: list(entries.values()))
    monkeypatch.setattr(pwd, "getpwnam", entries.__getitem__)
    monkeypatch.setattr(pwd, "getpwuid", {entry.pw_uid: entry for entry in entries.values()}.__getitem__)
    path = str(make_file(tmp_path / "wtmp.db", ROWS))
    monkeypatch.setattr("wtmpdb.home.history", lambda: Log.read(path))
    monkeypatch.setattr("wtmpdb.log.FAILED", str(tmp_path / "btmp.db"))
    monkeypatch.setattr("wtmpdb.home.take_letters", lambda _: None)
    monkeypatch.setattr("wtmpdb.home.take_failures", lambda _: None)
    monkeypatch.setattr("wtmpdb.listing.printable._utf8", [True])
    monkeypatch.setattr(lastlog, "now", lambda: NOON + 10 * DAY)
    for name in ("LASTLOG", "LASTLOG2"):
        monkeypatch.setattr(lastlog, name, str(tmp_path / name))
    yield tmp_path
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["wtmpdb", "lastlog", *words])
        out, error = capsys.readouterr()
        return code, out, error

    return run


def old_file(path: Path, records: dict[int, int]) -> None:
    """Write a lastlog file: when each uid was there, in s."""
    with path.open("wb") as file:
        for uid, when in records.items():
            file.seek(uid * 292)
            file.write(struct.pack("=I32s256s", when, b"pts/7", b"198.51.100.1"))


def test_table(run: Run) -> None:
    """Every account has a line, in the order of the password database, with its last session; characters of two cells keep the columns straight."""
    assert run() == (0, SHOWN, "")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["-u", "alice"], ["alice"]),
        (["-u", "1001"], ["bob"]),
        (["-u", "1001-"], ["bob", "漢字"]),
        (["-u", "-1000"], ["root", "alice"]),
        (["--user", "1000-1001"], ["bob", "alice"]),
        (["-u", "gone"], ["gone"]),
        (["-u", "5-9"], []),
        (["-b", "9"], ["root", "bob", "alice", "漢字"]),
        (["-b", "10"], ["root", "bob"]),
        (["-t", "10"], ["alice", "漢字"]),
        (["-t", "9"], []),
        (["-t", "10", "-b", "9"], ["alice", "漢字"]),
    ],
)
def test_choice(run: Run, words: list[str], names: list[str]) -> None:
    """-u chooses by name, uid or a range of these, also a name that only the history knows; -b and -t by the days since the last login."""
    code, out, error = run("--jsonl", *words)
    assert ([json.loads(line)["user"] for line in out.splitlines()], code, error) == (names, 0, "")


@pytest.mark.parametrize("words", [["-b", "x"], ["-t", "-1"], ["-t", "1.5"], ["--no-such"]])
def test_wrong_usage(run: Run, words: list[str]) -> None:
    """Wrong usage has the exit status 2."""
    assert run(*words)[:2] == (2, "")


def test_unknown(run: Run) -> None:
    """A name that nobody knows is an error in one line."""
    assert run("-u", "mallory") == (1, "", "wtmpdb lastlog: mallory: no such account, and nothing is known of one\n")


def test_empty_words(run: Run) -> None:
    """An empty name, as of a variable that is not set, stands neither for all accounts nor for the history of this machine."""
    assert run("-u", "") == (1, "", "wtmpdb lastlog: : no such account, and nothing is known of one\n")
    assert run("-f", "") == (1, "", "wtmpdb lastlog: : No such file or directory\n")


def test_backslash_as_c_stores_it(run: Run, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    r"""An account called DOMAIN\\user has the sessions that C stored so, and those that we stored; the later one counts, once in a file."""
    account = pwd.struct_passwd(("EX\\ann", "x", 2000, 2000, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [account])
    for name, later in (("EX\\ann", "EX\\134ann"), ("EX\\134ann", "EX\\ann")):
        path = world / f"{len(name)}.db"
        make_file(path, [(3, name, NOON, NOON, "ssh", None, "sshd"), (3, later, NOON + HOUR, None, "ssh", None, "sshd")])
        monkeypatch.setattr("wtmpdb.home.history", lambda path=path: Log.read(str(path)))
        for words in (["-u", "EX\\ann"], ["-f", str(path)]):
            found = [json.loads(line) for line in run("--jsonl", *words)[1].splitlines()]
            assert [(one["user"], one["login_usec"]) for one in found] == [("EX\\ann", NOON + HOUR)]


@pytest.mark.parametrize(("others", "said"), [("own", "wtmpdb lastlog: the history is private: only your own sessions are told\n"), ("all", "")])
def test_private(run: Run, world: Path, monkeypatch: pytest.MonkeyPatch, others: str, said: str) -> None:
    """To whom the recorder shows own sessions only it is said that "never logged in" may not be so of others."""

    class Shown(Log):
        """What stands for a history that may not be read."""

    monkeypatch.setattr("wtmpdb.home.history", lambda: Shown.read(str(world / "wtmp.db")))
    (world / "private").write_text(f"{others}\n")
    assert run() == (0, SHOWN, said)


class TestFailures:
    @pytest.fixture
    def btmp(self, world: Path) -> Path:
        """Make failed logins."""
        rows = [(3, "alice", NOON + hours * HOUR, NOON + hours * HOUR, "ssh:notty", f"192.0.2.{hours}", "sshd") for hours in (3, 5, 4)]
        return make_file(world / "btmp.db", rows)

    def test_beside_the_last_login(self, run: Run, btmp: Path) -> None:
        """The last failed login stands beside the last login, with its host."""
        assert btmp.exists()
        header, line = run("-u", "alice")[1].splitlines()
        assert header.endswith("Failed")
        assert line.endswith("Fri Mar  1 14:00:00 +0000 2024  Fri Mar  1 17:00:00 +0000 2024 from 192.0.2.5")

    def test_counted(self, run: Run, btmp: Path) -> None:
        """A failed login that was only counted is one too."""
        with edit(btmp) as database:
            database.execute("CREATE TABLE counted (day, host, user, service, number, first, last)")
            database.execute("INSERT INTO counted VALUES (0, '203.0.113.9', 'alice', 'sshd', 7, 1, ?)", (NOON + 6 * HOUR,))
            database.execute("INSERT INTO counted VALUES (0, '203.0.113.9', '', 'sshd', 7, 1, ?)", (NOON + 7 * HOUR,))
        found = json.loads(run("--jsonl", "-u", "alice")[1])
        assert (found["failed_usec"], found["failed_hostname"]) == (NOON + 6 * HOUR, "203.0.113.9")

    def test_damaged(self, run: Run, world: Path) -> None:
        """Damaged failed logins are told, and the rest is shown."""
        (world / "btmp.db").write_bytes(b"x" * 5000)
        code, out, error = run("-u", "alice")
        assert (code, len(out.splitlines())) == (0, 2)
        assert error.startswith("wtmpdb lastlog: failed logins are not shown: ")
        assert error.count("\n") == 1


class TestOldFiles:
    def test_what_came_before(self, run: Run, world: Path) -> None:
        """An old file counts where it knows of a later login, or nothing else is known; a column says so. The same login a moment later does not."""
        old_file(world / "LASTLOG", {0: 1_000_000_000, 1000: NOON // SECOND + 7201, 1002: NOON // SECOND + 4 * 3600})
        code, out, error = run("-T")
        rows = [line.split("\t") for line in out.splitlines()]
        assert (code, error) == (0, "")
        assert rows[0] == ["Username", "Port", "From", "Service", "Latest", "Source"]
        assert [(row[0], row[1], row[-1]) for row in rows[1:]] == [
            ("root", "pts/7", str(world / "LASTLOG")),
            ("bob", "", ""),
            ("alice", "pts/0", ""),
            ("漢字", "pts/7", str(world / "LASTLOG")),
        ]

    def test_by_itself(self, run: Run, world: Path) -> None:
        """With -f an old file is all that is read; a uid without a name here is shown as a number."""
        old_file(world / "old", {1000: 1_000_000_000, 4242: 1_000_000_001})
        objects = [json.loads(line) for line in run("--jsonl", "-f", str(world / "old"))[1].splitlines()]
        assert [(one["user"], one["uid"], one["login_usec"]) for one in objects] == [("alice", 1000, 10**15), ("4242", 4242, 10**15 + SECOND)]

    def test_unreadable(self, run: Run, world: Path) -> None:
        """An old file of something else is told, and the rest is shown."""
        (world / "LASTLOG").write_bytes(b"hello " * 1000)
        code, out, error = run()
        assert (code, len(out.splitlines())) == (0, 5)
        assert error == f"wtmpdb lastlog: {world / 'LASTLOG'}: not a lastlog file\n"


def test_another_history(run: Run, world: Path) -> None:
    """With -f a history lists whom it knows, by name."""
    make_file(world / "other.db", [(3, name, NOON, None, None, None, None) for name in ("zoe", "amy", "zoe")])
    code, out, _ = run("--json", "-f", str(world / "other.db"))
    assert (code, [one["user"] for one in json.loads(out)["accounts"]]) == (0, ["amy", "zoe"])


def test_no_history(run: Run, world: Path) -> None:
    """A file that is not there is an error in one line."""
    assert run("-f", str(world / "none")) == (1, "", f"wtmpdb lastlog: {world / 'none'}: No such file or directory\n")


def test_nothing_recorded_yet(run: Run, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no history yet, that is said, and why."""
    monkeypatch.setattr("wtmpdb.home.history", lambda: history(str(world / "none")))
    assert run() == (1, "", f"wtmpdb lastlog: {world / 'none'}: No such file or directory (nothing has been recorded yet)\n")


def test_a_file_of_the_c_tools(world: Path) -> None:
    """A file without our index gives the same answers."""
    ours, theirs = (Account("alice", None), Account("漢字", None)), (Account("alice", None), Account("漢字", None))
    make_file(world / "c.db", ROWS, ours=False)
    for path, accounts in ((world / "wtmp.db", ours), (world / "c.db", theirs)):
        with Log.read(str(path)) as log, Database.of(log, newest=True) as database:
            last_logins(database, accounts)
    assert [(one.last.time, one.last.tty) for one in ours if one.last] == [(NOON + 2 * HOUR, "pts/0"), (NOON + 3 * HOUR, "tty2")]
    assert [(one.last.time, one.last.tty) for one in theirs if one.last] == [(NOON + 2 * HOUR, "pts/0"), (NOON + 3 * HOUR, "tty2")]
