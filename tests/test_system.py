# SPDX-License-Identifier: BSD-2-Clause
"""What the running machine knows, asked of this very machine."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wtmpdb import system as module
from wtmpdb.system import System

SECOND = 1_000_000


@pytest.fixture
def system() -> System:
    """Return this machine."""
    return System()


def test_boot_id(system: System) -> None:
    """The boot id is the kernel's."""
    assert system.boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_boot_key(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The boot key is the one that was left for this boot; one left in another boot, or nonsense, is not taken."""
    place = tmp_path / "boot"
    monkeypatch.setattr(module, "BOOT_KEY", str(place))
    made, start = system.make_boot_key(0), system.process_start(1)
    assert made == f"{system.boot_id()}/0/{start}"
    assert system.boot_key() == made
    place.write_text(f"the-boot-id/3/{start}\n")
    assert system.boot_key() == f"the-boot-id/3/{start}"
    for nonsense in (f"the-boot-id/3/{start}1\n", "", "\xff", f"{'9' * 200}/{start}\n"):
        place.write_text(nonsense)
        assert system.boot_key() == made
    monkeypatch.setattr(System, "process_start", lambda *_: None)
    place.write_text("the-boot-id/3/99\n")
    assert system.boot_key() == "the-boot-id/3/99"  # with hidepid process 1 cannot be seen


def test_boot_time(system: System) -> None:
    """The machine was started when the kernel says."""
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert abs(system.kernel_start() - (time.time() - uptime) * SECOND) < SECOND


def test_boot_time_in_a_container(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container it was started when process 1 was, not when the host's kernel was."""
    mark = tmp_path / "container"
    mark.touch()
    monkeypatch.setattr(module, "_CONTAINER", str(mark))
    monkeypatch.setattr(System, "process_start", lambda _self, pid: 500 * os.sysconf("SC_CLK_TCK") if pid == 1 else None)
    assert abs(system.boot_time() - system.kernel_start() - 500 * SECOND) < SECOND


def test_processes(system: System) -> None:
    """A process lives while it has its id and its start; a process id that another one took does not count."""
    with subprocess.Popen(["sleep", "100"]) as process:
        start = system.process_start(process.pid)
        assert start
        assert system.process_lives(process.pid, start) is True
        assert system.process_lives(process.pid, start + 1) is False
        assert system.process_lives(process.pid, None) is True
        process.kill()
        process.wait()
        assert system.process_lives(process.pid, start) is False
    assert system.process_lives(2**62, 1) is None or system.process_lives(2**62, 1) is False


def test_killed_and_not_waited_for(system: System) -> None:
    """A process that was killed lives no more, also while its parent takes no notice of that."""
    with subprocess.Popen(["sleep", "100"]) as process:
        start = system.process_start(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert system.process_start(process.pid) == start
        assert system.process_lives(process.pid, start) is False
        assert system.process_lives(process.pid, None) is False


def test_first_thread_over(system: System) -> None:
    """A process whose first thread has ended lives while another one runs."""
    ended = "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(100,)).start(); ctypes.CDLL(None).pthread_exit(None)"
    with subprocess.Popen([sys.executable, "-c", ended]) as process:
        while b") Z " not in Path(f"/proc/{process.pid}/stat").read_bytes():
            time.sleep(0.01)
        assert system.process_lives(process.pid, None) is True
        process.kill()


def test_odd_process_names(system: System, tmp_path: Path) -> None:
    """The start is found whatever the program is called."""
    program = tmp_path / "a) R 1 2 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "100"]) as process:
        time.sleep(0.05)
        assert Path(f"/proc/{process.pid}/stat").read_text().count(")") > 1
        ours = system.process_start(os.getpid())
        assert ours
        assert abs((system.process_start(process.pid) or 0) - time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")) < 1000
        process.kill()


def test_hidden_processes(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is there but may not be looked at may live."""
    monkeypatch.setattr("wtmpdb.system._stat", lambda _: [])
    assert system.process_lives(os.getpid(), 5) is None


def test_users(system: System) -> None:
    """Users are found by name; names that nobody has, or can have, are not."""
    root = pwd.getpwuid(0).pw_name.encode()
    assert system.user_id(root) == 0
    for name in (b"nobody-of-that-name", b"", b"\xff\xfe", b"a\0b"):
        assert system.user_id(name) is None


def test_ttys(system: System) -> None:
    """Devices have owners; what is no device, or lies outside /dev, has none."""
    assert system.tty_owner(b"null") == 0
    for name in (b"ssh", b"", b"../etc/passwd", b"a\0b", b"x" * 5000):
        assert system.tty_owner(name) is None


SHELL = """
import os, pty, sys, time
for _ in range(int(sys.argv[1])):
    if os.fork():
        os.wait()
        sys.exit()
pid, terminal = pty.fork()
print(os.read(terminal, 100).decode().strip() if pid else os.ttyname(0), flush=True)
time.sleep(100)
"""


@pytest.mark.parametrize(("between", "seen"), [(0, True), (1, True), (2, False)])
def test_terminal_below(system: System, between: int, *, seen: bool) -> None:
    """The terminal of a session is that of its nearest process that has one, as far below as a shell is below sshd's monitor, and no farther."""
    command = [sys.executable, "-c", SHELL, str(between)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout
        name = process.stdout.readline().strip()
        found = system.terminal(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
    assert found == (name.removeprefix("/dev/").encode() if seen else None)


def test_title(system: System) -> None:
    """A process is called by what it calls itself; one that is not there by nothing."""
    code = "print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code, "sshd: alice@notty "], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()  # now it is that program
        assert system.title(process.pid).endswith(b"\0sshd: alice@notty")
        process.kill()
    assert system.title(2**31 - 1) == b""


def test_use_of_a_terminal(system: System) -> None:
    """A terminal tells whether others may write to it, and when it was last read from; what is no device tells nothing."""
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    os.chmod(name, 0o620)
    assert system.tty_use(name.removeprefix("/dev/").encode()) == (True, os.stat(name).st_atime_ns // 1000)
    os.chmod(name, 0o600)
    assert (system.tty_use(name.removeprefix("/dev/").encode()) or (True, 0))[0] is False
    os.close(ours)
    os.close(theirs)
    assert system.tty_use(b"pts/no-such") is None


def test_login_uids(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process has the uid of its login, or one that stands for none; a process that is not there has no uid, and nonsense is none either."""
    own = Path("/proc/self/loginuid")
    assert system.login_uid(os.getpid()) == (int(own.read_text()) if own.exists() else None)
    for pid in (0, -1, 2**31 - 1, 2**62):
        assert system.login_uid(pid) is None
    monkeypatch.setattr("builtins.open", lambda *_: (tmp_path / "loginuid").open("rb"))
    (tmp_path / "loginuid").write_text("no number")
    assert system.login_uid(1) == -1


def test_kernel(system: System) -> None:
    """The kernel's release is that of uname."""
    assert system.kernel() == os.uname().release
