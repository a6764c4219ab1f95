# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb last -f` and `wtmpdb lastb -f` on old files: what is ours, beside what util-linux does (test_last_cases.py, test_like_last.py)."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import NOON, SECOND, Machine, make_file
from wtmpdb.__main__ import main
from wtmpdb.cli import last
from wtmpdb.legacy.layouts import FIXED
from wtmpdb.legacy.record import BOOT_TIME, DEAD_PROCESS, NEW_TIME, NO_ADDRESS, OLD_TIME, RUN_LVL, USER_PROCESS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wtmpdb.legacy.record import Fields

NATIVE = FIXED["glibc-384-le"]
NOW = NOON // SECOND
BOOT = NOW - 4 * 3600
FOUR = bytes((192, 0, 2, 7)) + bytes(12)


def record(kind: int, line: bytes, user: bytes, seconds: int, host: bytes = b"", *, pid: int = 1, address: bytes = NO_ADDRESS) -> Fields:
    """Return a record."""
    return kind, pid, line, b"~~" if line == b"~" else line[-4:], user, host, seconds, 123_456, address, 0, 0, 0


RECORDS = (
    record(BOOT_TIME, b"~", b"reboot", BOOT - 90_000, b"6.1.0"),
    record(USER_PROCESS, b"pts/0", b"alice", BOOT - 80_000, b"192.0.2.7", address=FOUR),
    record(DEAD_PROCESS, b"pts/0", b"", BOOT - 70_000),
    record(USER_PROCESS, b"tty1", b"bob", BOOT - 60_000),
    record(RUN_LVL, b"~", b"shutdown", BOOT - 30_000, b"6.1.0", pid=0),
    record(BOOT_TIME, b"~", b"reboot", BOOT, b"6.1.0"),
    record(RUN_LVL, b"~", b"runlevel", BOOT + 1, b"6.1.0", pid=53),
    record(OLD_TIME, b"|", b"date", BOOT + 10, pid=0),
    record(NEW_TIME, b"{", b"date", BOOT + 20, pid=0),
    record(USER_PROCESS, b"pts/1", b"alice", BOOT + 60, b"host.example", pid=100),
    record(USER_PROCESS, b"pts/2", b"mallory", BOOT + 70, b"host.example", pid=100),
)
ALL = """\
mallory  pts/2        host.example     Fri Mar  1 08:01    gone - no logout
alice    pts/1        host.example     Fri Mar  1 08:01   still logged in
reboot   system boot  6.1.0            Fri Mar  1 08:00   still running
bob      tty1                          Thu Feb 29 15:20 - down   (08:20)
alice    pts/0        192.0.2.7        Thu Feb 29 09:46 - 12:33  (02:46)
reboot   system boot  6.1.0            Thu Feb 29 07:00 - 23:40  (16:40)

"""
BEGINS = "begins Thu Feb 29 07:00:00 2024\n"


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    error: str


class Run(Protocol):
    """Runs a command line."""

    def __call__(self, *words: str, name: str = "last") -> Ran:
        """Run it."""


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put local time at UTC and now at noon, and let the test decide about the machine."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr("wtmpdb.cli.last.time.time", lambda: float(NOW))
    machine = Machine(boot=BOOT * SECOND, users={b"alice": 1000}, login_uids={100: 1000})
    monkeypatch.setattr("wtmpdb.cli.old.System", lambda: machine)
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Return what runs `last`, or `lastb`."""

    def run(*words: str, name: str = "last") -> Ran:
        code = main([name, *words])
        return Ran(code, *capfd.readouterr())

    return run


def data(layout: str = "glibc-384-le", records: tuple[Fields, ...] = RECORDS) -> bytes:
    """Return the bytes of a file."""
    return FIXED[layout].make_signature() + b"".join(map(FIXED[layout].encode, records))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make an old file."""
    path = tmp_path / "wtmp"
    path.write_bytes(data())
    return path


def test_lines(run: Run, path: Path) -> None:
    """An old file is listed as util-linux does, without a word on stderr."""
    assert run("-f", str(path)) == (0, f"{ALL}wtmp {BEGINS}", "")


@pytest.mark.parametrize("layout", ["glibc-384-be", "glibc-400-le", "glibc-400-be", "glibc-392-le", "glibc-382-be", "netbsd-64-le", "solaris-be"])
def test_layouts(run: Run, path: Path, layout: str) -> None:
    """Whatever machine wrote a file, its lines are the same."""
    path.write_bytes(data(layout))
    ran = run("-f", str(path))
    assert (ran.code, ran.out.partition("\n\n")[0]) == (0, ALL.partition("\n\n")[0])


def test_compressed(run: Run, path: Path) -> None:
    """A compressed file is listed as the file itself, with its own name."""
    packed = path.with_name("wtmp.1.gz")
    packed.write_bytes(gzip.compress(data()))
    assert run("-f", str(packed)) == (0, f"{ALL}wtmp.1.gz {BEGINS}", "")


def test_pipe(path: Path) -> None:
    """A pipe can be read too, which util-linux cannot."""
    command = f"cat {path} | TZ=UTC {sys.executable} -m wtmpdb last -t '2024-02-29 23:59' -f /dev/stdin"
    ran = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    assert ran.stdout.splitlines()[:2] == ALL.splitlines()[3:5]


@pytest.mark.parametrize("place", [384 * 5, 384 * 11])
@pytest.mark.parametrize("count", [1, 100, 383])
def test_stray_bytes(run: Run, path: Path, place: int, count: int) -> None:
    """Stray bytes cost none of the records around them, and are told."""
    path.write_bytes(data()[:place] + b"\xf9" * count + data()[place:])
    code, out, error = run("-f", str(path))
    assert (code, out) == (0, f"{ALL}wtmp {BEGINS}")
    assert error == f"last: {path}: bytes that are no records were skipped: {count}\n"


class TestMachineOutput:
    def test_json(self, run: Run, path: Path) -> None:
        """JSON has the keys of the history, no ID, and tells how each line ended."""
        document = json.loads(run("-xj", "-f", str(path)).out)
        assert document["start"] == "2024-02-29T07:00:00+00:00"
        assert document["entries"][-2] == {
            "user": "alice",
            "tty": "pts/0",
            "hostname": "192.0.2.7",
            "service": "",
            "login": "2024-02-29T09:46:40+00:00",
            "logout": "2024-02-29T12:33:20+00:00",
            "length": "02:46",
            "id": None,
            "type": 3,
            "login_usec": (BOOT - 80_000) * SECOND + 123_456,
            "logout_usec": (BOOT - 70_000) * SECOND + 123_456,
            "end": "logout",
        }
        ends = [(entry["user"], entry["type"], entry["logout"], entry["end"]) for entry in document["entries"]]
        assert ends == [
            ("mallory", 3, "gone - no logout", "gone"),
            ("alice", 3, "still logged in", "logged in"),
            ("date", 253, "", "clock"),
            ("date", 252, "", "clock"),
            ("runlevel", 2, "still running", "running"),
            ("reboot", 1, "still running", "running"),
            ("shutdown", 254, "2024-03-01T08:00:00+00:00", "logout"),
            ("bob", 3, "down", "down"),
            ("alice", 3, "2024-02-29T12:33:20+00:00", "logout"),
            ("reboot", 1, "2024-02-29T23:40:00+00:00", "logout"),
        ]

    def test_odd_text(self, run: Run, path: Path) -> None:
        """Text comes through JSON whole; bytes that are none are escaped."""
        path.write_bytes(data(records=(record(USER_PROCESS, b"tty1", b'\xff"\n\\x', 1, "é".encode()),)))
        shown = json.loads(run("--jsonl", "-f", str(path)).out)
        assert (shown["user"], shown["hostname"]) == ('\\377"\n\\x', "é")

    def test_ends_that_are_none(self, run: Run, path: Path) -> None:
        """A shutdown that no boot follows has no end, and what ended in this very second has ended."""
        records = (
            record(USER_PROCESS, b"tty1", b"bob", NOW - 60),
            record(DEAD_PROCESS, b"tty1", b"", NOW),
            record(RUN_LVL, b"~", b"shutdown", NOW - 5),
        )
        path.write_bytes(data(records=records))
        shown = [json.loads(text) for text in run("-x", "--jsonl", "-f", str(path)).out.splitlines()]
        assert [(entry["user"], entry["logout_usec"], entry["end"]) for entry in shown] == [
            ("shutdown", None, "unknown"),
            ("bob", NOW * SECOND + 123_456, "logout"),
        ]

    def test_several(self, run: Run, path: Path) -> None:
        """Several files make one document, which begins when the earliest does."""
        other = path.with_name("other")
        other.write_bytes(data(records=(record(USER_PROCESS, b"tty1", b"erin", 86_400),)))
        document = json.loads(run("-j", "-f", str(path), "-f", str(other)).out)
        assert [entry["user"] for entry in document["entries"]][-2:] == ["reboot", "erin"]
        assert document["start"] == "1970-01-02T00:00:00+00:00"


class TestSeveral:
    def test_with_databases(self, run: Run, path: Path, tmp_path: Path) -> None:
        """Old files are listed where they are named, all databases together where the first of them is."""
        rows = [(3, "dave", (NOW + number) * SECOND, (NOW + number) * SECOND, "tty1", None, "login") for number in (1, 3)]
        one, two = make_file(tmp_path / "one.db", rows[:1]), make_file(tmp_path / "two.db", rows[1:])
        ran = run("-1", "-f", str(path), "-f", str(one), "-f", str(path), "-f", str(two))
        assert [line[:9] for line in ran.out.splitlines()] == [
            "mallory  ",
            "",
            "wtmp begi",
            "dave     ",
            "",
            "one.db be",
            "two.db be",
            "mallory  ",
            "",
            "wtmp begi",
        ]

    def test_missing(self, run: Run, path: Path) -> None:
        """When a file cannot be opened, those before it are listed, and no more."""
        ran = run("-f", str(path), "-f", "/nonexistent", "-f", str(path))
        assert ran == (1, f"{ALL}wtmp {BEGINS}", "last: cannot open /nonexistent: No such file or directory\n")

    @pytest.mark.parametrize("name", ["directory", "noise"])
    def test_unreadable(self, run: Run, tmp_path: Path, name: str) -> None:
        """A directory and noise are refused in one line."""
        (tmp_path / "directory").mkdir()
        (tmp_path / "noise").write_bytes(bytes(number * number % 251 for number in range(5000)))
        ran = run("-f", str(tmp_path / name))
        assert (ran.code, ran.out, ran.error.count("\n")) == (1, "", 1)
        assert ran.error.startswith(f"last: cannot open {tmp_path / name}: ")

    def test_file_called_dash(self, run: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As in util-linux, - is a file of this name."""
        monkeypatch.chdir(path.parent)
        path.rename(path.with_name("-"))
        assert run("-f", "-") == (0, f"{ALL}- {BEGINS}", "")

    def test_name_of_odd_bytes(self, path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        """The name of the file stands in the last line as it is."""
        odd = path.with_name(os.fsdecode(b"w\xff\x1b"))
        path.rename(odd)
        main(["last", "-n1", "-f", str(odd)])
        assert capfdbinary.readouterr()[0].endswith(b"\n\nw\xff\x1b " + BEGINS.encode())


class TestOptions:
    def test_layout(self, run: Run, path: Path) -> None:
        """The layout and the byte order overrule what the content says."""
        path.write_bytes(data("glibc-400-be"))
        for words in (["--layout", "glibc-400-be"], ["--layout=glibc-400"], ["--layout", "glibc-400", "--byte-order=big"], ["--byte", "big"]):
            assert run("-f", str(path), *words).out == f"{ALL}wtmp {BEGINS}"
        assert run("-f", str(path), "--layout", "glibc-384-le").out.partition("\n\n")[0] != ALL.partition("\n\n")[0]

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--layout", "glibc-1"], "cannot open glibc-1: unknown layout"),
            (["--byte-order", "middle"], "unknown byte order: middle"),
            (["--lay", "glibc-384"], "unrecognized option '--lay'"),
        ],
    )
    def test_wrong_layout(self, run: Run, path: Path, words: list[str], message: str) -> None:
        """A layout or byte order that does not exist is an error, and --layout has no short form: --l is --limit."""
        ran = run("-f", str(path), *words)
        assert (ran.code, ran.out) == (1, "")
        assert ran.error.startswith(f"last: {message}")
        assert run("-f", str(path), "--l", "1").out.count("\n") == 3

    def test_our_own(self, run: Run, path: Path) -> None:
        """Our own options work on old files; services, which these do not know, are blank."""
        assert run("-f", str(path), "--from-host", "192.0.2.7").out.partition("\n")[0] == ALL.splitlines()[4]
        assert run("-f", str(path), "--for-service", "sshd").out == f"\nwtmp {BEGINS}"
        assert [line[:8] for line in run("-f", str(path), "--open").out.splitlines()[:-2]] == ["alice   ", "reboot  "]
        line = run("-f", str(path), "-S", "-1").out.partition("\n")[0]
        assert line == "mallory  pts/2        host.example                  Fri Mar  1 08:01    gone - no logout"

    def test_names(self, run: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """With -d the recorded address is looked up, each once; what has no name stays a number."""
        asked: list[str] = []

        def look_up(address: tuple[str, int], _: int) -> tuple[str, str]:
            asked.append(address[0])
            if address[0] == "192.0.2.7":
                return "name.example", "0"
            raise socket.gaierror

        monkeypatch.setattr(socket, "getnameinfo", look_up)
        ran = run("-d", "-f", str(path))
        assert [line[22:38].strip() for line in ran.out.splitlines()[:-2]] == [*["0.0.0.0"] * 4, "name.example", "0.0.0.0"]  # noqa: S104
        assert sorted(asked) == ["0.0.0.0", "192.0.2.7"]  # noqa: S104

    def test_unknown_types(self, run: Run, path: Path) -> None:
        """Records of unknown types are told, in one line for a file."""
        path.write_bytes(data(records=(*RECORDS, *(record(kind, b"", b"x", 9) for kind in range(20, 30)))))
        ran = run("-f", str(path))
        assert ran.error == f"last: {path}: records of unknown type are not listed: 10 (20, 21, 22, 23, 24 …)\n"


class TestLastb:
    def test_default_file(self, run: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without -f the failed logins of this machine are listed; where there are none, that is said."""
        monkeypatch.setattr(last, "_FAILED_FILE", str(path))
        ran = run("bob", name="/usr/bin/lastb")
        assert ran == (0, f"bob      tty1                          Thu Feb 29 15:20 - 15:20  (00:00)\n\nwtmp {BEGINS}", "")
        path.unlink()
        missing = "/var/lib/wtmpdb/btmp.db: No such file or directory (no failed login was recorded yet)"
        assert run(name="lastb").error == f"lastb: cannot open {missing}\n"

    def test_as_a_command(self, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """`wtmpdb lastb` is the same, under its own name in messages."""
        assert main(["wtmpdb", "lastb", "-n1", "-f", str(path)]) == 0
        assert capfd.readouterr().out.startswith("mallory  pts/2        host.example     Fri Mar  1 08:01 - 08:01  (00:00)\n\n")
        assert main(["wtmpdb", "lastb", "-Z"]) == 1
        assert "Try 'wtmpdb lastb --help'" in capfd.readouterr().err
        assert main(["wtmpdb", "lastb", "--help"]) == 0
        assert "Show failed logins" in capfd.readouterr().out

    def test_json(self, run: Run, path: Path) -> None:
        """Failed logins end when they begin, in JSON too."""
        shown = json.loads(run("--jsonl", "-n1", "-f", str(path), name="lastb").out)
        assert (shown["user"], shown["end"], shown["length"]) == ("mallory", "logout", "00:00")
        assert shown["login_usec"] == shown["logout_usec"] == (BOOT + 70) * SECOND + 123_456


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=2000), st.sampled_from(["", *FIXED, "freebsd", "utmpdump"]), st.sampled_from(["last", "lastb"]), st.booleans())
def test_any_bytes(path: Path, content: bytes, layout: str, name: str, machine: bool) -> None:
    """No bytes make it fail otherwise than by refusing them, whatever layout they are said to have."""
    path.write_bytes(content)
    words = [*(["--layout", layout] if layout else []), *(["-j"] if machine else ["-xiF"])]
    assert main([name, "-f", str(path), *words]) in (0, 1)
