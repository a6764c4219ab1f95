# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb export`: from the command line to the file."""

from __future__ import annotations

import csv
import inspect
import io
import json
import os
import pty
import shutil
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Protocol

import pytest

from support import BOOT_KEY, HOUR, NOON, Machine, make_file
from wtmpdb.__main__ import main
from wtmpdb.cli import export
from wtmpdb.legacy import exporting
from wtmpdb.legacy.exporting import Records
from wtmpdb.legacy.reader import open_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

YEAR = 365 * 24 * HOUR
ROWS = (
    (1, "reboot", NOON, NOON + 9 * HOUR, "~", "6.1.0-18", None),
    (3, "alice", NOON + HOUR, NOON + 2 * HOUR, "pts/0", "192.0.2.7", "sshd"),
    (3, r"=cmd|'x'\033", NOON + 3 * HOUR + 1, None, "tty1", '@h,"q"', "login"),
)


class Run(Protocol):
    def __call__(self, *words: str) -> tuple[int, bytes, str]:
        """Run `wtmpdb export` on the history; return the exit status and what it printed."""


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put local time at UTC, and let the test decide about the machine."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(export, "System", lambda: Machine(boot=NOON))
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make a history."""
    return make_file(tmp_path / "wtmp.db", ROWS)


@pytest.fixture
def run(path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Return a function that runs the command on the history."""

    def run(*words: str) -> tuple[int, bytes, str]:
        code = main(["wtmpdb", "export", "-f", str(path), *words])
        out, error = capfdbinary.readouterr()
        return code, out, error.decode()

    return run


class TestFormats:
    def test_wtmp(self, run: Run, tmp_path: Path) -> None:
        """Without options the history is written as records of this machine's layout."""
        code, out, error = run()
        (tmp_path / "old").write_bytes(out)
        with open_file(str(tmp_path / "old")) as file:
            kinds = [fields[0] for chunk in file.forward() for fields, _ in chunk]
        assert (code, error, kinds) == (0, "", [2, 7, 8, 7, 1])

    def test_utmpdump(self, run: Run) -> None:
        """As text it is what utmpdump prints."""
        code, out, error = run("--format", "utmpdump")
        assert (code, error, out.count(b"\n")) == (0, "", 5)
        assert out.splitlines()[1] == (
            b"[7] [00000] [ts/0] [alice   ] [pts/0       ] [192.0.2.7           ] [192.0.2.7      ] [2024-03-01T13:00:00,000000+00:00]"
        )

    @pytest.mark.skipif(not shutil.which("utmpdump", path="/usr/bin:/bin"), reason="needs utmpdump")
    def test_utmpdump_agrees(self, run: Run, tmp_path: Path) -> None:
        """The text is that of utmpdump of the exported records."""
        (tmp_path / "old").write_bytes(run("--layout", "glibc-384", "--byte-order", sys.byteorder)[1])
        theirs = subprocess.run(["/usr/bin/utmpdump", str(tmp_path / "old")], capture_output=True, check=True).stdout
        assert run("--format", "utmpdump")[1] == theirs

    def test_json(self, run: Run, path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
        """As JSON it is what `last --json` prints."""
        monkeypatch.setattr("wtmpdb.system.System.boot_key", lambda _: BOOT_KEY)
        code, out, error = run("--format", "json")
        main(["wtmpdb", "last", "--json", "-f", str(path)])
        assert (code, error) == (0, "")
        assert json.loads(out) == json.loads(capfdbinary.readouterr().out)

    def test_csv(self, run: Run) -> None:
        """The table has a header, times in UTC with microseconds, and what the lines of `last` mean."""
        code, out, error = run("--format", "csv")
        header, *rows = csv.reader(io.StringIO(out.decode()))
        assert (code, error) == (0, "")
        assert header == ["id", "type", "user", "tty", "hostname", "service", "login", "logout", "end", "login_usec", "logout_usec"]
        assert [dict(zip(header, row, strict=True)) for row in rows[1:]] == [
            {
                "id": "2",
                "type": "3",
                "user": "alice",
                "tty": "pts/0",
                "hostname": "192.0.2.7",
                "service": "sshd",
                "login": "2024-03-01T13:00:00.000000+00:00",
                "logout": "2024-03-01T14:00:00.000000+00:00",
                "end": "logout",
                "login_usec": str(NOON + HOUR),
                "logout_usec": str(NOON + 2 * HOUR),
            },
            {
                "id": "1",
                "type": "1",
                "user": "reboot",
                "tty": "system boot",
                "hostname": "6.1.0-18",
                "service": "",
                "login": "2024-03-01T12:00:00.000000+00:00",
                "logout": "2024-03-01T21:00:00.000000+00:00",
                "end": "logout",
                "login_usec": str(NOON),
                "logout_usec": str(NOON + 9 * HOUR),
            },
        ]

    def test_csv_is_no_formula(self, run: Run) -> None:
        """Text that a spreadsheet would run has an apostrophe before it, control characters are escaped, and quotes are quoted."""
        assert run("--format", "csv")[1].splitlines()[1] == (
            b'''3,3,\'=cmd|\'x\'\\033,tty1,"\'@h,""q""",login,2024-03-01T15:00:00.000001+00:00,2024-03-01T21:00:00.000000+00:00,down,'''
            + b"%d,%d" % (NOON + 3 * HOUR + 1, NOON + 9 * HOUR)
        )

    def test_csv_of_absurd_times(self, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        """A time that no calendar has is left to its column of microseconds, and raw control characters of C are escaped."""
        path = make_file(tmp_path / "c.db", [(3, "a\x1b\nb", 2**63 - 1, None, "t", "\uff1d1", None)], ours=False)
        assert main(["wtmpdb", "export", "-f", str(path), "--format", "csv"]) == 0
        assert capfdbinary.readouterr().out.splitlines()[1:] == [
            "1,3,a\\033\\012b,t,'\uff1d1,,,,unknown,9223372036854775807,".encode(),
        ]

    def test_bounds(self, run: Run) -> None:
        """Bounds choose by the login, in every format; spans may begin with a minus."""
        for form in ("wtmp", "utmpdump", "json", "csv"):
            assert b"alice" in run("--format", form, "-s", "2024-03-01 13:00", "-t", "2024-03-01 13:00")[1]
            assert b"reboot" not in run("--format", form, "--since", "2024-03-01 12:00:01")[1]
            assert b"alice" not in run("--format", form, "-s", "-5days", "--until=+1day")[1]


class TestTold:
    def test_left_out(self, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        """What a layout cannot hold is counted, with a hint, and the exit status is 1; a layout with 64 bits holds it."""
        path = make_file(
            tmp_path / "far.db", [(3, "a", NOON + 20 * YEAR, NOON + 100 * YEAR, "tty1", None, None), (3, "", NOON, None, "x", None, None)]
        )
        words = ["wtmpdb", "export", "-f", str(path), "-o", str(tmp_path / "old"), "--layout"]
        assert main([*words, "glibc-384"]) == 1
        assert capfdbinary.readouterr().err.decode().splitlines() == [
            (
                "wtmpdb export: 1 time lies after 2038-01-19: programs built for the C library before 2.40 misread that"
                " (choose a layout with 64-bit times: --layout glibc-400)"
            ),
            "wtmpdb export: 1 session without a user was left out",
            "wtmpdb export: 1 time that the layout cannot hold was left out (choose a layout with 64-bit times: --layout glibc-400)",
        ]
        assert main([*words, "glibc-400"]) == 1
        assert capfdbinary.readouterr().err.decode().splitlines() == ["wtmpdb export: 1 session without a user was left out"]

    def test_said_otherwise(self, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        """What was cut or put on another line is counted, and is a success."""
        rows = [
            (3, "u" * 40, NOON, NOON + 9, "ssh", "h" * 300, None),
            (3, "b", NOON + 1, None, "ssh", None, None),
            (3, "c", NOON, None, None, None, None),
        ]
        path = make_file(tmp_path / "odd.db", rows)
        assert main(["wtmpdb", "export", "-f", str(path), "-o", str(tmp_path / "old")]) == 0
        told = capfdbinary.readouterr().err.decode()
        assert [line.split()[2:4] for line in told.splitlines()] == [["1", "user"], ["1", "host"], ["1", "session"], ["1", "session"]]

    def test_everything_that_is_counted_is_told(self) -> None:
        """Every count has words, and what is left out is told last."""
        source = inspect.getsource(exporting)
        for what in ("renamed", "lines", "beyond", "late", "kinds", "nameless", "times"):
            assert f'_count("{what}")' in source
            assert what in export._SAID
        assert tuple(export._SAID)[-3:] == export._LEFT_OUT


class TestOutput:
    def test_a_file_appears_as_a_whole(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where writing fails no half of a file is left, and what was there before stays."""
        target = tmp_path / "old"
        target.write_bytes(b"before")

        def fail(*_: object) -> bytes:
            raise RuntimeError

        with monkeypatch.context() as patch:
            patch.setattr(Records, "_encoded", fail)
            with pytest.raises(RuntimeError):
                run("-o", str(target))
        assert target.read_bytes() == b"before"
        assert sorted(path.name for path in tmp_path.iterdir() if "old" in path.name) == ["old"]
        assert run("-o", str(target)) == (0, b"", "")
        assert target.stat().st_size == len(run()[1])

    def test_modes(self, run: Run, tmp_path: Path) -> None:
        """A file keeps its modes, a new one gets those of the umask."""
        (tmp_path / "private").touch(mode=0o600)
        before = os.umask(0o027)
        try:
            run("-o", str(tmp_path / "private"))
            run("-o", str(tmp_path / "new"))
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640

    def test_links_and_devices(self, run: Run, tmp_path: Path) -> None:
        """A link stays one, and a device is written as it comes, not replaced."""
        (tmp_path / "link").symlink_to("real")
        assert run("-o", str(tmp_path / "link"))[0] == 0
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real").stat().st_size
        assert run("-o", "/dev/null")[0] == 0
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)

    def test_the_database_itself(self, run: Run, path: Path) -> None:
        """The database that is read is not written over."""
        assert run("-o", str(path)) == (1, b"", f"wtmpdb export: {path}: is what is being read\n")

    @pytest.mark.parametrize(("name", "why"), [("no/such/x", "No such file or directory"), (".", "Is a directory")])
    def test_what_cannot_be_written(self, run: Run, tmp_path: Path, name: str, why: str) -> None:
        """Where the file cannot be made one line says why."""
        target = f"{tmp_path}/{name}"
        assert run("-o", target) == (1, b"", f"wtmpdb export: {target}: {why}\n")

    def test_a_full_disk(self, path: Path) -> None:
        """A full device is told in one line."""
        command = [sys.executable, "-m", "wtmpdb", "export", "-f", str(path)]
        ran = subprocess.run([*command, "-o", "/dev/full"], capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (1, "wtmpdb export: /dev/full: No space left on device\n")
        with open("/dev/full", "wb") as full:
            ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (1, "wtmpdb export: write error: No space left on device\n")

    def test_a_terminal(self, path: Path) -> None:
        """Records are not thrown on a terminal; text is."""
        command = [sys.executable, "-m", "wtmpdb", "export", "-f", str(path)]
        master, slave = pty.openpty()
        try:
            ran = subprocess.run(command, stdout=slave, stderr=subprocess.PIPE, text=True, check=False)
            assert (ran.returncode, ran.stderr) == (1, "wtmpdb export: records are not for a terminal (-o FILE, or --format utmpdump)\n")
            assert subprocess.run([*command, "--format", "csv"], stdout=slave, check=False).returncode == 0
            assert os.read(master, 100).startswith(b"id,type,user")
        finally:
            os.close(master)
            os.close(slave)


class TestUsage:
    @pytest.mark.parametrize(
        ("words", "why"),
        [
            (["--layout", "nothing"], "nothing: unknown layout (aix,"),
            (["--layout", "utmpdump"], "utmpdump: not a layout of records"),
            (["--layout", "libc5", "--byte-order", "big"], "libc5: unknown layout of byte order big"),
            (["--format", "csv", "--layout", "libc5"], "--layout and --byte-order do not go with --format csv"),
            (["--since", "xyz"], 'argument -s/--since: invalid time value "xyz"'),
            (["-t"], "argument -t/--until: expected one argument"),
            (["--format", "xml"], "argument --format: invalid choice"),
        ],
    )
    def test_wrong_usage(self, run: Run, words: list[str], why: str) -> None:
        """Wrong usage is 2, with a word about it."""
        code, out, error = run(*words)
        assert (code, out) == (2, b"")
        assert f"wtmpdb export: error: {why}" in error

    def test_no_database(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Where there is no database one line says so, and no file is made."""
        assert main(["wtmpdb", "export", "-f", str(tmp_path / "x"), "-o", str(tmp_path / "y")]) == 1
        assert capfd.readouterr().err == f"wtmpdb export: {tmp_path / 'x'}: No such file or directory\n"
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(("user", "words", "expected"), [(0, [], [None]), (0, ["-f", "x"], []), (1000, [], [])])
    def test_what_waits_in_the_spool(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], user: int, words: list[str], expected: list[None]
    ) -> None:
        """When root exports this machine's history, what has just happened is taken first."""
        taken: list[str | None] = []
        monkeypatch.setattr(export, "take_letters", lambda database, _: taken.append(database))
        monkeypatch.setattr(export, "DATABASE", str(path))
        monkeypatch.setattr("os.geteuid", lambda: user)
        main(["wtmpdb", "export", "--format", "csv", *words])
        assert (taken, bool(capfd.readouterr().out)) == (expected, not words)
