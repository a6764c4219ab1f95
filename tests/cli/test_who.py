# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb who`, `users` and `uptime`: what they print of old files beside the real ones, and of this machine."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from old_records import BEGIN, IPV4, boot, encode, login, logout, run_level
from support import BOOT_KEY, HOUR, NOON, SECOND, Machine, closed, make_file, opened
from wtmpdb.__main__ import main
from wtmpdb.cli import present, who
from wtmpdb.listing import printable
from wtmpdb.log import Log
from wtmpdb.logind import Login
from wtmpdb.system import System

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wtmpdb.legacy.record import Fields

PATH = "/usr/bin:/bin"
REAL = shutil.which("who", path=PATH)
LAYOUT = ["--layout", "glibc-384-le"]

texts = st.sampled_from(["", "alice", "LOGIN", "a user", " x ", "naïve-日", "a-name-that-fills-all-of-its-32-b"]).map(lambda text: text.encode()[:32])
hosts = st.sampled_from(["", "192.0.2.7", "2001:db8::7", ":0", "host:0.0", "host:", "h" * 256]).map(str.encode)
lines = st.sampled_from(["~", "null", "pts/99987", "console", "a-line-that-fills-all-of-its-32-b"]).map(lambda text: text.encode()[:32])
numbers = st.sampled_from([0, 49, 53, 53 + 256 * 78, 51 + 256 * 53, 2**22, 53 + 256 * (256 + 51)])
moments = st.one_of(st.integers(BEGIN, BEGIN + 10**8), st.just(0), st.just(2**31 - 1))
records = st.tuples(
    st.integers(0, 10),
    numbers,
    lines,
    st.sampled_from([b"", b"1", b"ts/0", b"~~"]),
    texts,
    hosts,
    moments,
    st.integers(0, 999_999),
    st.just(IPV4),
    st.just(0),
    st.integers(-9, 9),
    st.integers(-9, 300),
)
options = st.lists(st.sampled_from(["-a", "-b", "-d", "-H", "-l", "-p", "-q", "-r", "-s", "-t", "-T", "-w", "-u", "--mesg", "--count"]), max_size=4)


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put local time at UTC, in a locale with UTF-8."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setattr(printable, "_utf8", [True])
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the history of this machine: alice is on by ssh, bob has gone; carol logged in on the console, as only logind knows."""
    path = tmp_path / "wtmp.db"
    with Log.write(str(path)) as log:
        log.begin_boot(BOOT_KEY, NOON - HOUR, user="reboot", kernel="6.1")
        bob = opened("bob", NOON, pid=12, start=7)
        log.apply([opened("alice", NOON + SECOND, pid=11, start=6, host="2001:db8::17"), bob, closed(bob, NOON + HOUR)])
        log.apply([opened("dave", NOON + 2 * SECOND, pid=13, start=8)])  # killed with -9
    carol = Login("4", {"USER": "carol", "TTY": "tty2", "CLASS": "user", "REALTIME": str(NOON + 5), "LEADER": "14", "SEAT": "seat0"})
    machine = Machine(processes={11: 6, 14: 9}, terminals={11: b"pts/3"}, ttys={b"tty2": 1002}, logins=[carol])
    monkeypatch.setattr(present, "System", lambda: machine)
    monkeypatch.setattr("wtmpdb.log.DATABASE", str(path))
    monkeypatch.setattr("wtmpdb.spool.SPOOL", str(tmp_path))
    return path


def printed(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    """Run the program; return what it printed, which must be no error."""
    assert main(["wtmpdb", *words]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    return out


@pytest.mark.skipif(REAL is None, reason="needs the `who` of coreutils")
class TestLikeWho:
    """Old files, beside the real `who` of this machine."""

    @pytest.mark.parametrize("locale", ["C", "C.UTF-8", "no-such-locale"])
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(rows=st.lists(records, max_size=8), given_options=options)
    def test_random_files(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfdbinary: pytest.CaptureFixture[bytes],
        locale: str,
        rows: list[Fields],
        given_options: list[str],
    ) -> None:
        """Of whatever records and with whatever options, we print the very bytes that the real one prints."""
        path = tmp_path / "utmp"
        path.write_bytes(encode(rows))
        monkeypatch.setenv("LC_ALL", locale)
        assert main(["wtmpdb", "who", *LAYOUT, *given_options, str(path)]) == 0
        assert capfdbinary.readouterr().out == real(*given_options, str(path), locale=locale)

    def test_my_terminal(self, tmp_path: Path) -> None:
        """`who -m FILE` shows who is on the terminal of the standard input, and nothing where that is none."""
        ours, theirs = pty.openpty()
        path = tmp_path / "utmp"
        line = os.ttyname(theirs).removeprefix("/dev/")
        path.write_bytes(encode([login(BEGIN, "pts/99987"), login(BEGIN, line, "bob"), logout(BEGIN, line)]))
        for stdin in (theirs, subprocess.DEVNULL):
            words = ["-muH", str(path)]
            ran = subprocess.run([sys.executable, "-m", "wtmpdb", "who", *LAYOUT, *words], stdin=stdin, capture_output=True, check=True)
            assert ran.stdout == real(*words, stdin=stdin)
            assert (b"\nbob " in ran.stdout) == (stdin == theirs)
        os.close(ours)
        os.close(theirs)

    @pytest.mark.parametrize("words", [["-x"], ["a", "b", "c"], ["--no-such"], ["--heading=5"]])
    def test_errors(self, capfd: pytest.CaptureFixture[str], words: list[str]) -> None:
        """Wrong usage ends with 1 and with the words of the real one."""
        ran = subprocess.run([REAL or "", *words], env={"PATH": PATH, "LC_ALL": "C"}, capture_output=True, text=True, check=False)
        assert main(["who", *words]) == ran.returncode == 1
        assert capfd.readouterr().err == ran.stderr.replace(REAL or "", "who")


def real(*words: str, locale: str = "C.UTF-8", stdin: int = subprocess.DEVNULL) -> bytes:
    """Return what the real `who` prints."""
    environment = {"PATH": PATH, "TZ": "UTC", "LC_ALL": locale}
    return subprocess.run([REAL or "", *words], env=environment, stdin=stdin, stdout=subprocess.PIPE, check=True).stdout


class TestHere:
    """This machine."""

    @pytest.mark.usefixtures("home")
    def test_plain(self, capfd: pytest.CaptureFixture[str]) -> None:
        """Who lives is shown, the oldest first, with the real terminal; who has gone or was killed is not."""
        assert printed(capfd, "who") == ("carol    tty2         2024-03-01 12:00\nalice    pts/3        2024-03-01 12:00 (2001:db8::17)\n")

    @pytest.mark.usefixtures("home")
    def test_all(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """`-a` shows boot and run level too, terminals that take messages, idle times and processes."""
        monkeypatch.setattr("wtmpdb.boot.run_level", lambda: ("5", NOON - HOUR + 60 * SECOND))
        assert printed(capfd, "who", "-aH") == (
            "NAME       LINE         TIME             IDLE          PID COMMENT  EXIT\n"
            "           system boot  2024-03-01 11:00\n"
            "           run-level 5  2024-03-01 11:01\n"
            "carol    + tty2         2024-03-01 12:00  old           14\n"
            "alice    ? pts/3        2024-03-01 12:00   ?            11 (2001:db8::17)\n"
        )

    @pytest.mark.usefixtures("home")
    def test_count(self, capfd: pytest.CaptureFixture[str]) -> None:
        """`-q` shows names and their number."""
        assert printed(capfd, "who", "-q") == "carol alice\n# users=2\n"

    @pytest.mark.usefixtures("home")
    def test_json(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """`--json` tells all that is known, and `--jsonl` the same an object a line."""
        monkeypatch.setattr(who, "now", lambda: NOON + HOUR)
        found = json.loads(printed(capfd, "who", "--json"))["sessions"]
        assert [json.loads(line) for line in printed(capfd, "who", "--jsonl").splitlines()] == found
        assert found[1] == {
            "user": "alice",
            "tty": "pts/3",
            "hostname": "2001:db8::17",
            "service": "sshd",
            "login": "2024-03-01T12:00:01+00:00",
            "login_usec": NOON + SECOND,
            "idle_usec": None,
            "messages": None,
            "pid": 11,
            "id": 2,
            "session": None,
            "kind": None,
            "seat": None,
        }
        assert (found[0]["session"], found[0]["kind"], found[0]["seat"], found[0]["id"]) == ("4", "user", "seat0", None)
        assert (found[0]["idle_usec"], found[0]["messages"]) == (5 * HOUR, True)

    def test_nothing_recorded(self, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Where there is no history yet, logind alone tells who is on."""
        home.unlink()
        assert printed(capfd, "who") == "carol    tty2         2024-03-01 12:00\n"
        assert printed(capfd, "users") == "carol\n"

    def test_who_am_i_after_su(self, home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """`who am i` is one line, whom the terminal belongs to, also after a su on it, as scripts have known it from utmp."""
        with Log.write(str(home)) as log:
            log.apply([opened("root", NOON + 9 * SECOND, pid=11, start=6, tty="pts/3", service="su-l")])
        assert "root     pts/3" in printed(capfd, "who")
        monkeypatch.setattr("os.ttyname", lambda _: "/dev/pts/3")
        for words in (["am", "i"], ["-m"], ["-b", "-m", "-s"]):
            assert printed(capfd, "who", *words) == ("" if "-b" in words else "alice    pts/3        2024-03-01 12:00 (2001:db8::17)\n")
        assert [one["user"] for one in json.loads(printed(capfd, "who", "-m", "--json"))["sessions"]] == ["alice"]

    @pytest.mark.usefixtures("home")
    def test_lookup(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """`--lookup` shows the name of an address."""
        monkeypatch.setattr("wtmpdb.listing.addresses._name_of", lambda address: f"name-of-{address}")
        assert "(name-of-2001:db8::17)\n" in printed(capfd, "who", "--lookup")

    @pytest.mark.usefixtures("home")
    def test_users(self, capfd: pytest.CaptureFixture[str]) -> None:
        """`users` prints the sorted names in one line."""
        assert printed(capfd, "users") == "alice carol\n"

    @pytest.mark.usefixtures("home")
    def test_uptime(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """`uptime` prints the time, how long the machine is up by its history, how many are on, and the load."""
        monkeypatch.setattr(os, "getloadavg", lambda: (0.5, 1.0, 2.25))
        for ago, said in (
            (0, "0 min"),
            (59 * 60, "59 min"),
            (3 * 3600 + 240, " 3:04"),
            (86_400, "1 day, 0 min"),
            (2 * 86_400 + 3660, "2 days,  1:01"),
        ):
            monkeypatch.setattr("wtmpdb.entry.now", lambda ago=ago: NOON - HOUR + ago * SECOND)
            line = printed(capfd, "uptime")
            assert line[9:] == f" up {said},  2 users,  load average: 0.50, 1.00, 2.25\n"
        assert json.loads(printed(capfd, "uptime", "--json"))["up_usec"] == (2 * 86_400 + 3660) * SECOND


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let nothing have been recorded on this very machine, and logind not run; return where its history will be."""
    path = str(tmp_path / "wtmp.db")
    monkeypatch.setattr("wtmpdb.log.DATABASE", path)
    monkeypatch.setattr("wtmpdb.spool.SPOOL", str(tmp_path))
    monkeypatch.setattr("wtmpdb.logind.SESSIONS", str(tmp_path))
    return path


def test_real_process(fresh: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A session whose process lives is shown with the terminal below it; killed with -9 it is gone at once."""
    system = System()
    code = "import os, pty, time; pid, fd = pty.fork(); print(os.read(fd, 99).decode() if pid else os.ttyname(0), flush=True); time.sleep(100)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True) as monitor:
        assert monitor.stdout
        tty = monitor.stdout.readline().strip().removeprefix("/dev/")
        with Log.write(fresh) as log:
            log.apply([opened("alice", NOON, pid=monitor.pid, start=system.process_start(monitor.pid), boot=system.boot_key())])
        assert printed(capfd, "who") == f"alice    {tty:12} 2024-03-01 12:00 (192.0.2.7)\n"
        monitor.kill()
        monitor.wait()
        assert printed(capfd, "who") == ""


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_windows_of_tmux(tmp_path: Path, fresh: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The windows of a real tmux are no logins: who uses it is shown on the terminal of the login, as long as that lives."""
    system = System()
    code = """
import os, pty, sys
pid, fd = pty.fork()
if not pid:
    print(os.ttyname(0), flush=True)
    os.execlp("tmux", "tmux", "-S", sys.argv[1], "new-session", ";", "new-window")
while got := os.read(fd, 999):
    print(got, flush=True)
"""
    tmux = ["tmux", "-S", str(tmp_path / "tmux")]
    environment = os.environ | {"TERM": "xterm", "SHELL": "/bin/sh"}
    command = [sys.executable, "-c", code, tmux[2]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=environment) as monitor:
        assert monitor.stdout
        tty = monitor.stdout.readline().split("'")[1].partition("\\r")[0].removeprefix("/dev/")
        try:
            windows = two_words(*tmux, "list-panes", "-a", "-F", "#{pane_tty}")
            with Log.write(fresh) as log:
                log.apply([opened("alice", NOON, pid=monitor.pid, start=system.process_start(monitor.pid), boot=system.boot_key())])
            assert f"/dev/{tty}" not in windows
            assert printed(capfd, "who") == f"alice    {tty:12} 2024-03-01 12:00 (192.0.2.7)\n"
            monitor.kill()
            monitor.wait()
            assert ask(*tmux, "list-sessions")  # it lives on
            assert printed(capfd, "who") == ""
        finally:
            ask(*tmux, "kill-server")


def ask(*command: str) -> str:
    """Return what a command prints; nothing when it fails."""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout


def two_words(*command: str) -> list[str]:
    """Wait until a command prints two words, and return them."""
    end = time.monotonic() + 10
    while len(words := ask(*command).split()) != 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    return words


class TestFiles:
    """Files that are not of this machine."""

    def test_no_file(self, capfd: pytest.CaptureFixture[str]) -> None:
        """A file that is not there is an error in one line, for the real one it is an empty one."""
        for command in ("who", "users"):
            assert main(["wtmpdb", command, "/no/such/file"]) == 1
            assert capfd.readouterr().err == f"wtmpdb {command}: /no/such/file: No such file or directory\n"

    def test_database(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Of a database the sessions are shown that nobody has closed, in its newest boot."""
        rows = [
            (1, "reboot", NOON - HOUR, None, "~", "6.1", None),
            (3, "bob", NOON - 2, None, "pts/0", None, "login"),
            (1, "reboot", NOON, None, "~", "6.1", None),
            (3, "alice", NOON + SECOND, None, "pts/1", "192.0.2.7", "sshd"),
        ]
        path = str(make_file(tmp_path / "backup.db", rows, ours=False))
        assert printed(capfd, "who", "-b", "-u", path) == (
            "         system boot  2024-03-01 12:00\nalice    pts/1        2024-03-01 12:00   ?             0 (192.0.2.7)\n"
        )
        assert printed(capfd, "users", path) == "alice\n"

    def test_old_file(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """An old file is recognised by its content; JSON tells its logins, and `users` their names."""
        path = tmp_path / "utmp"
        path.write_bytes(
            encode([boot(BEGIN), run_level(BEGIN, "5"), login(BEGIN, "pts/0"), login(BEGIN, "pts/1", "bob", ""), logout(BEGIN, "pts/2")])
        )
        found = json.loads(printed(capfd, "who", "--json", str(path)))["sessions"]
        assert [(one["user"], one["tty"], one["hostname"], one["login_usec"]) for one in found] == [
            ("alice", "pts/0", "192.0.2.7", BEGIN * SECOND),
            ("bob", "pts/1", "", BEGIN * SECOND),
        ]
        assert printed(capfd, "users", str(path)) == "alice bob\n"

    def test_stray_bytes(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Bytes that are no records are left out and counted."""
        path = tmp_path / "utmp"
        path.write_bytes(encode([login(BEGIN, "pts/0", "alice"), login(BEGIN, "pts/1", "bob")] * 4) + b"stray")
        assert main(["wtmpdb", "who", "-q", str(path)]) == 0
        out, err = capfd.readouterr()
        assert out == "alice bob alice bob alice bob alice bob\n# users=8\n"
        assert err == f"wtmpdb who: {path}: bytes that are no records were skipped: 5\n"

    def test_large_file(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """A file of many records is listed to its end."""
        path = tmp_path / "wtmp"
        path.write_bytes(encode([login(BEGIN, f"pts/{number}", "alice") for number in range(5_000)]))
        assert printed(capfd, "who", str(path)).splitlines()[-1].split()[:2] == ["alice", "pts/4999"]
        assert len(json.loads(printed(capfd, "who", "--json", str(path)))["sessions"]) == 5_000

    def test_forged_name(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """A control character in a name reaches no terminal."""
        path = tmp_path / "utmp"
        path.write_bytes(encode([login(BEGIN, "pts/0", "a\x1b[2Jb\nx", "h\n\x9b") for _ in range(3)]))
        for words in (["who"], ["who", "-q"], ["users"]):
            out = printed(capfd, *words, str(path))
            assert all(char.isprintable() for char in out.replace("\n", ""))
            assert out.count("\n") == {"who": 3, "-q": 2, "users": 1}[words[-1]]

    def test_past_uptimes(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """`uptime --all` shows each boot with how it ended, the newest first, `-n` only so many."""
        rows = [
            (1, "reboot", NOON, NOON + 30 * HOUR, "~", "6.1.0-1", None),
            (1, "reboot", NOON + 40 * HOUR, None, "~", "6.1.0-1", None),
            (1, "reboot", NOON + 50 * HOUR, None, "~", "6.1.0-2", None),
        ]
        path = str(make_file(tmp_path / "backup.db", rows))
        text = (
            "2024-03-03 14:00 -                   running              6.1.0-2\n"
            "2024-03-03 04:00 - 2024-03-03 14:00  crash    (10:00)     6.1.0-1\n"
            "2024-03-01 12:00 - 2024-03-02 18:00  down    (1+06:00)    6.1.0-1\n"
        )
        assert printed(capfd, "uptime", "--all", "-f", path) == printed(capfd, "uptime", "-f", path) == text
        assert printed(capfd, "uptime", "-n", "1", "-f", path) == text.splitlines(keepends=True)[0]
        assert printed(capfd, "uptime", "-n", "9" * 30, "-f", path) == text
        found = json.loads(printed(capfd, "uptime", "--json", "-f", path))
        assert [boot["end"] for boot in found["boots"]] == ["running", "crash", "down"]
        assert found["boots"][1] == {
            "boot_usec": NOON + 40 * HOUR,
            "end_usec": NOON + 50 * HOUR,
            "up_usec": 10 * HOUR,
            "end": "crash",
            "kernel": "6.1.0-1",
            "id": 2,
        }
