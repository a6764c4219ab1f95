# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb last`: from the command line to the bytes on stdout."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from support import BOOT_KEY, HOUR, NOON, SECOND, Machine, edit, make_file, make_spool, opened, post
from wtmpdb.__main__ import main
from wtmpdb.cli import databases, last
from wtmpdb.listing import addresses

if TYPE_CHECKING:
    from collections.abc import Iterator

START = NOON - 100 * HOUR
BOOT = NOON - 4 * HOUR
ROWS = (
    (1, "reboot", START, START + 50 * HOUR, "~", "6.1.0-18-amd64", None),
    (3, "alice", START + HOUR, START + 2 * HOUR, "pts/0", "10.0.0.5", "sshd"),
    (3, "bob", START + 3 * HOUR, None, "tty1", None, "login"),
    (1, "reboot", BOOT, None, "~", "6.1.0-18-amd64", None),
    (3, "alice", BOOT + HOUR, BOOT + 2 * HOUR, "pts/1", "2001:db8::7", "sshd"),
    (3, "carol", BOOT + 3 * HOUR, None, "ssh", "192.0.2.7", "sshd"),
)
ALL = """\
carol    ssh          192.0.2.7        Fri Mar  1 11:00   still logged in
alice    pts/1        2001:db8::7      Fri Mar  1 09:00 - 10:00  (01:00)
reboot   system boot  6.1.0-18-amd64   Fri Mar  1 08:00   still running
bob      tty1                          Mon Feb 26 11:00 - down  (1+23:00)
alice    pts/0        10.0.0.5         Mon Feb 26 09:00 - 10:00  (01:00)
reboot   system boot  6.1.0-18-amd64   Mon Feb 26 08:00 - 10:00 (2+02:00)

wtmp.db begins Mon Feb 26 08:00:00 2024
"""


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put local time at UTC and now at noon, and let the test decide about the machine."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr("wtmpdb.cli.last.time.time", lambda: NOON / SECOND)
    monkeypatch.setattr(databases, "System", lambda: Machine(boot=BOOT))
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make a history."""
    return make_file(tmp_path / "wtmp.db", ROWS)


class Ran:
    """What a command did."""

    def __init__(self, code: int, out: str, error: str) -> None:
        self.code = code
        self.out = out
        self.error = error

    @property
    def lines(self) -> list[str]:
        """The lines before the trailer."""
        return self.out.partition("\n\n")[0].splitlines() if not self.out.startswith("\n") else []

    @property
    def users(self) -> list[str]:
        """The users of these lines."""
        return [line.split()[0] for line in self.lines]


class Run(Protocol):
    def __call__(self, *words: str, file: bool = True) -> Ran:
        """Run `wtmpdb last`, on the history of the test unless told otherwise."""


@pytest.fixture
def run(path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs `wtmpdb last` on the history."""

    def run(*words: str, file: bool = True) -> Ran:
        code = main(["wtmpdb", "last", *(("-f", str(path)) if file else ()), *words])
        return Ran(code, *capfd.readouterr())

    return run


def test_everything(run: Run) -> None:
    """Without options the whole history is listed as `last` does."""
    ran = run()
    assert (ran.code, ran.out, ran.error) == (0, ALL, "")


@pytest.mark.parametrize(
    ("words", "users"),
    [
        (["-n", "2"], ["carol", "alice"]),
        (["-2"], ["carol", "alice"]),
        (["-n0", "reboot"], ["reboot", "reboot"]),
        (["alice"], ["alice", "alice"]),
        (["pts/1", "bob"], ["alice", "bob"]),
        (["1"], ["bob"]),
        (["nobody"], []),
        (["system boot"], ["reboot", "reboot"]),
        (["reboot", "-n", "1"], ["reboot"]),
        (["-x", "shutdown"], ["shutdown"]),
        (["shutdown"], []),
        (["-s", "2024-03-01"], ["carol", "alice", "reboot"]),
        (["-t", "2024-02-26 09:00"], ["alice", "reboot"]),
        (["-s", "2024-02-26 09:00", "-t", "2024-02-26 11:00"], ["bob", "alice"]),
        (["-s", "@0", "-n1"], ["carol"]),
        (["-p", "2024-02-26 09:30"], ["alice", "reboot"]),
        (["-p", "now"], ["carol", "reboot"]),
        (["-p", "+1hour"], ["carol"]),
        (["--open"], ["carol", "reboot"]),
        (["--from-host", "192.0.2.7"], ["carol"]),
        (["--from-host", "192.0.2.7", "--from-host", "10.0.0.5"], ["carol", "alice"]),
        (["--for-service", "login"], ["bob"]),
        (["--for-service", "sshd", "alice"], ["alice", "alice"]),
    ],
)
def test_choices(run: Run, words: list[str], users: list[str]) -> None:
    """Operands, limits, times and filters choose lines; each choice narrows."""
    ran = run(*words)
    assert (ran.code, ran.users, ran.error) == (0, users, "")
    assert ran.out.endswith("\n\nwtmp.db begins Mon Feb 26 08:00:00 2024\n" if users else "\nwtmp.db begins Mon Feb 26 08:00:00 2024\n")


def test_meaning_does_not_change_with_choices(run: Run) -> None:
    """A line is the same line whatever else is listed."""
    everything = set(run().lines)
    for words in (["bob"], ["-t", "2024-02-27"], ["-s", "2024-02-26 10:00"], ["-n", "4"], ["-p", "2024-02-26 11:00"], ["--for-service", "login"]):
        lines = run(*words).lines
        assert lines
        assert everything.issuperset(lines)


def test_shutdowns(run: Run) -> None:
    """With -x shutdowns are listed in their place."""
    assert run("-x").lines[3] == "shutdown system down  6.1.0-18-amd64   Wed Feb 28 10:00 - 08:00 (1+22:00)"


def test_notime_has_no_trailer(run: Run) -> None:
    """Without times there is no trailer."""
    assert run("--time-format", "notime", "-n1").out == "carol    ssh          192.0.2.7          logged in\n"


def test_columns(run: Run) -> None:
    """The options for columns reach the listing."""
    assert run("-aFn1").lines == ["carol    ssh          Fri Mar  1 11:00:00 2024   still logged in                       192.0.2.7"]
    assert run("-R1").lines == ["carol    ssh          Fri Mar  1 11:00   still logged in"]
    assert run("-wS1").lines == ["carol    ssh          192.0.2.7        sshd         Fri Mar  1 11:00   still logged in"]
    assert run("-T1").lines == ["carol   \tssh         \t192.0.2.7       \tFri Mar  1 11:00\t  still\tlogged in"]


def test_json(run: Run) -> None:
    """JSON has the keys of the C tool and ours, and a filter leaves it well-formed."""
    document = json.loads(run("--json").out)
    assert document["start"] == "2024-02-26T08:00:00+00:00"
    assert document["entries"][1] == {
        "user": "alice",
        "tty": "pts/1",
        "hostname": "2001:db8::7",
        "service": "sshd",
        "login": "2024-03-01T09:00:00+00:00",
        "logout": "2024-03-01T10:00:00+00:00",
        "length": "01:00",
        "id": 5,
        "type": 3,
        "login_usec": BOOT + HOUR,
        "logout_usec": BOOT + 2 * HOUR,
        "end": "logout",
    }
    assert [entry["end"] for entry in document["entries"]] == ["unknown", "logout", "running", "down", "logout", "logout"]
    assert json.loads(run("-j", "nobody").out) == {"entries": [], "start": "2024-02-26T08:00:00+00:00"}
    assert json.loads(run("-jF", "-n1").out)["entries"][0]["login"] == "Fri Mar  1 11:00:00 2024"


def test_json_lines(run: Run) -> None:
    """JSON lines are one object a line, and nothing else."""
    objects = [json.loads(text) for text in run("--jsonl").out.splitlines()]
    assert [shown["user"] for shown in objects] == ["carol", "alice", "reboot", "bob", "alice", "reboot"]
    assert run("--jsonl", "nobody").out == ""


def test_json_of_hostile_text(run: Run, path: Path) -> None:
    """Quotes, newlines and bytes that are no text come through JSON whole."""
    with edit(path) as database:
        statement = "INSERT INTO wtmp (Type, User, Login, Logout) VALUES (3, CAST(? AS TEXT), ?, ?)"
        for number, user in enumerate((b'a"\n\\', b"Zo\xc3\xab", b"\xff", b"x\\012y")):
            database.execute(statement, (user, NOON + number, NOON + number))
    users = [json.loads(text)["user"] for text in run("--jsonl", "-n4").out.splitlines()]
    assert users == ["x\ny", "\\377", "Zoë", 'a"\n\\']


def test_several_files(run: Run, tmp_path: Path) -> None:
    """Several files are merged by time, and each has its trailer."""
    other = make_file(tmp_path / "other.db", [(3, "dave", START + HOUR + 1, NOON, "tty2", None, "login")], ours=False)
    ran = run("-f", str(other))
    assert ran.users == ["carol", "alice", "reboot", "bob", "dave", "alice", "reboot"]
    assert ran.out.endswith("\n\nwtmp.db begins Mon Feb 26 08:00:00 2024\nother.db begins Mon Feb 26 09:00:00 2024\n")


def test_empty_history(run: Run, path: Path) -> None:
    """An empty history, or an empty file, lists nothing and begins with the change of the file, as `last` says of an empty wtmp."""
    path.unlink()
    path.touch()
    changed = time.gmtime(path.stat().st_ctime)
    for words in ([], ["-x"], ["-n", "3"]):
        assert run(*words).out == f"\nwtmp.db begins {time.asctime(changed)}\n"
    assert json.loads(run("--json").out)["entries"] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-Z"], "invalid option -- 'Z'\nTry 'wtmpdb last --help' for more information."),
        (["--bogus"], "unrecognized option '--bogus'\nTry 'wtmpdb last --help' for more information."),
        (["--f"], "option '--f' is ambiguous; possibilities:"),
        (["--s", "now"], "option '--s' is ambiguous; possibilities:"),
        (["-n"], "option requires an argument -- 'n'"),
        (["-n", "abc"], "failed to parse number: 'abc'"),
        (["-n", "-1"], "failed to parse number: '-1'"),
        (["-n", "4294967296"], "failed to parse number: '4294967296': Numerical result out of range"),
        (["-n", "9" * 5000], "Numerical result out of range"),
        (["-n", "abc", "-Z"], "failed to parse number: 'abc'"),
        (["-s", "tomorow"], 'invalid time value "tomorow"'),
        (["-p", ""], 'invalid time value ""'),
        (["-F", "--time-format=full"], "options --fulltimes and --time-format cannot be combined"),
        (["--time-format=iso", "-F"], "options --time-format and --fulltimes cannot be combined"),
        (["--time-format=foo"], "unknown time format: foo"),
    ],
)
def test_wrong_usage(run: Run, words: list[str], message: str) -> None:
    """A wrong option or value is said in `last`'s words, with nothing on stdout and the exit code 1."""
    ran = run(*words)
    assert (ran.code, ran.out) == (1, "")
    assert ran.error.startswith(f"wtmpdb last: {message}") or message in ran.error
    assert "Traceback" not in ran.error


@pytest.mark.parametrize(
    ("short", "name"),
    [("--host", "hostlast"), ("--p", "present"), ("--l", "limit"), ("--n", "nohostname"), ("--i", "ip"), ("--d", "dns"), ("--u", "until")],
)
def test_abbreviations(short: str, name: str) -> None:
    """None of our options takes an abbreviation away from `last`."""
    from wtmpdb.cli.options import scan  # noqa: PLC0415

    assert next(scan([short, "1"], last.OPTIONS))[0] == name


def test_help_and_version(run: Run) -> None:
    """Help and version act when they are met: before a bad option behind them, after one before them."""
    assert run("--help", "-Z").out.startswith("Usage: wtmpdb last [option…] [user|tty…]")
    assert run("-V", "-Z").out.startswith("wtmpdb last from wtmpdb ")
    assert run("-Z", "--help").code == 1


def test_under_the_name_last(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Started under the name last the program is `last`, in its messages too."""
    assert main(["/usr/bin/last", "-f", str(path)]) == 0
    assert capfd.readouterr().out == ALL
    assert main(["last", "-f", "/nonexistent"]) == 1
    assert capfd.readouterr().err == "last: cannot open /nonexistent: No such file or directory\n"


def test_no_history_yet(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing has been recorded yet, that is said, and the file of old is named."""
    old = tmp_path / "old"
    old.write_bytes(bytes(384))
    monkeypatch.setattr(databases, "DATABASE", str(tmp_path / "absent.db"))
    monkeypatch.setattr(databases, "_OLD_FILE", str(old))
    ran = run(file=False)
    assert (ran.code, ran.out) == (1, "")
    assert "absent.db: No such file or directory (nothing has been recorded yet; the history of before is in" in ran.error
    assert str(old) in ran.error


def test_neither_database_nor_old_file(run: Run, tmp_path: Path) -> None:
    """A file that is neither a database nor records is refused in one line."""
    (tmp_path / "wtmp").write_bytes(random.Random(1).randbytes(4000))  # noqa: S311 - noise
    ran = run("-f", str(tmp_path / "wtmp"), file=False)
    assert (ran.code, ran.out) == (1, "")
    assert ran.error.count("\n") == 1
    assert ran.error.startswith(f"wtmpdb last: cannot open {tmp_path}/wtmp: ")


@pytest.mark.skipif(os.getuid() != 0, reason="only root drains")
def test_root_drains_first(run: Run, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root sees what waits in the spool; when that cannot be taken, the history is listed all the same, with a word."""
    spool = make_spool(tmp_path / "spool")
    post(spool, opened("dave", NOON))
    monkeypatch.setattr("wtmpdb.recorder.drain.drain.__defaults__", (str(path), str(spool)))
    monkeypatch.setattr("wtmpdb.spool.waiting.__defaults__", (str(spool),))
    monkeypatch.setattr(databases, "DATABASE", str(path))
    assert run("-n1", file=False).users == ["dave"]
    post(spool, opened("erin", NOON + 1))
    with edit(path) as other:
        other.execute("BEGIN IMMEDIATE")
        ran = run("-n1", file=False)
    assert ran.users == ["dave"]
    assert "what happened just now is not listed" in ran.error
    assert "locked" in ran.error


class TestAddresses:
    def test_numeric(self, run: Run) -> None:
        """With -i hosts are addresses; what has none is 0.0.0.0, as in `last`."""
        ran = run("-i")
        assert [line[22:38].strip() for line in ran.lines] == ["192.0.2.7", "2001:db8::7", "0.0.0.0", "0.0.0.0", "10.0.0.5", "0.0.0.0"]  # noqa: S104

    def test_names(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """With -d addresses are names, each looked up once; what has no name stays a number."""
        asked: list[str] = []

        def look_up(address: tuple[str, int], _: int) -> tuple[str, str]:
            asked.append(address[0])
            if address[0] == "10.0.0.5":
                return "host.example", "0"
            raise socket.gaierror

        monkeypatch.setattr(socket, "getnameinfo", look_up)
        assert [line[22:38].strip() for line in run("-d", "alice", "carol").lines] == ["192.0.2.7", "2001:db8::7", "host.example"]
        assert sorted(asked) == ["10.0.0.5", "192.0.2.7", "2001:db8::7"]

    def test_slow_name_server(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        """All look-ups together have a bound, after which hosts are shown as recorded, with a word."""

        def slow(*_: object) -> tuple[str, str]:
            time.sleep(2)
            return "late.example", "0"

        monkeypatch.setattr(socket, "getnameinfo", slow)
        monkeypatch.setattr(addresses.Addresses.__init__, "__kwdefaults__", {"bound": 0.2})
        began = time.monotonic()
        ran = run("-d")
        assert time.monotonic() - began < 1.5
        assert ran.lines[0].split()[2] == "192.0.2.7"
        assert "took too long" in ran.error

    @pytest.mark.parametrize(
        ("host", "shown"),
        [(b"", b"0.0.0.0"), (b":0", b"0.0.0.0"), (b"::ffff:192.0.2.9", b"192.0.2.9"), (b"FE80::1", b"fe80::1"), (b"no such\xff", b"no such\xff")],
    )
    def test_forms(self, host: bytes, shown: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        """Addresses are shown in their usual form."""
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: (_ for _ in ()).throw(socket.gaierror()))
        assert addresses.Addresses(names=False).of(host) == shown

    def test_escapes_are_undone_once(self, run: Run, path: Path) -> None:
        """A host that looks like an escape is the same host with -d as without."""
        with edit(path) as database:
            database.execute("UPDATE wtmp SET RemoteHost = 'x\\134012' WHERE User = 'carol'")
        for words in (["--jsonl", "-n1"], ["--jsonl", "-n1", "-d"]):
            assert json.loads(run(*words).out)["hostname"] == "x\\012"

    def test_name_to_address(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With -i a name that was recorded is looked up."""
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("192.0.2.44", 0))])
        assert addresses.Addresses(names=False).of(b"host.example") == b"192.0.2.44"


def as_program(*words: str) -> list[str]:
    """Return a command line for another process."""
    return [sys.executable, "-m", "wtmpdb", "last", *words]


def test_closed_pipe(tmp_path: Path) -> None:
    """When the reader of a pipe goes, as `head` does, the program ends without a word."""
    path = make_file(tmp_path / "big.db", [(3, "alice", NOON + number, NOON, "tty1", None, "x") for number in range(50_000)])
    with subprocess.Popen(as_program("-f", str(path)), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(100)
        process.stdout.close()
        assert process.wait(20) == 141
        assert process.stderr.read() == b""


def test_full_disk(path: Path) -> None:
    """When stdout cannot be written, that is said, with the exit code 1."""
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(as_program("-f", str(path)), stdout=full, stderr=subprocess.PIPE, check=False)
    assert ran.returncode == 1
    assert ran.stderr == b"wtmpdb last: write error: No space left on device\n"


def test_interrupted(tmp_path: Path) -> None:
    """Interrupted from the keyboard, the program says so and ends with 1, as `last`."""
    path = make_file(tmp_path / "big.db", [(3, "alice", NOON + number, NOON, "tty1", None, "x") for number in range(50_000)])
    pipe = subprocess.PIPE
    # What runs in the background of a shell has the signal ignored, and so would what it starts.
    heeding = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731 - one word
    with subprocess.Popen(as_program("-f", str(path)), stdout=pipe, stderr=pipe, preexec_fn=heeding) as process:  # noqa: PLW1509 - no threads
        assert process.stdout
        process.stdout.read(100)
        process.send_signal(2)
        _, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (1, b"wtmpdb last: Interrupted\n")


def test_key_of_the_machine() -> None:
    """The machine of the tests is not the one that they run on."""
    assert Machine().boot_key() == BOOT_KEY
