# SPDX-License-Identifier: BSD-2-Clause
"""The real terminals of ssh sessions, found at real processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from recorder.test_merging import key, sshd_closes, sshd_opens
from support import BOOT_KEY, Machine, closed, edit, opened, table
from wtmpdb.entry import SECOND
from wtmpdb.errors import LogError
from wtmpdb.log import Log
from wtmpdb.recorder import terminals
from wtmpdb.recorder.loop import Loop
from wtmpdb.recorder.terminals import Terminals
from wtmpdb.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wtmpdb.event import Event

# What PAM is called by, with a child that has a terminal a moment later, or never.
MONITOR = """
import os, pty, sys, time
print(flush=True)
sys.stdin.readline()
if sys.argv[1] == "pty":
    pid, terminal = pty.fork()
    if pid:
        print(os.read(terminal, 100).decode().strip(), flush=True)
    else:
        print(os.ttyname(0), flush=True)
time.sleep(100)
"""


class Monitor:
    """A process that has called PAM."""

    def __init__(self, *words: str) -> None:
        """Start it, without a terminal so far."""
        self.process = subprocess.Popen(
            [sys.executable, "-c", MONITOR, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
        )
        self._line()

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def make_terminal(self) -> str:
        """Let it make its terminal; return that."""
        self.go_on()
        return self._line().removeprefix("/dev/")

    def go_on(self) -> None:
        """Let it go on."""
        assert self.process.stdin
        self.process.stdin.write("\n")

    def opened(self, user: str = "alice") -> Event:
        """Return what PAM was told."""
        pid = self.process.pid
        return opened(user, time.time_ns() // 1000, pid=pid, start=System().process_start(pid), boot=System().boot_key())

    def end(self) -> None:
        """End it and its children."""
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()


@pytest.fixture
def monitors() -> Iterator[Callable[..., Monitor]]:
    """Start processes that are ended afterwards."""
    made: list[Monitor] = []

    def start(*words: str) -> Monitor:
        made.append(Monitor(*words))
        return made[-1]

    yield start
    for one in made:
        one.end()


class Recorder:
    """A loop with a history, in which terminals are looked for."""

    def __init__(self, path: Path, system: System | None = None) -> None:
        """Begin, with everything that takes seconds in tenths of them."""
        self.path = path
        self.loop = Loop()
        self.log = Log.write(str(path))
        self.errors = 0
        self.terminals = Terminals(self.loop, self.get, system)

    def get(self) -> Log:
        """Return the history, or fail as often as is wished."""
        if self.errors:
            self.errors -= 1
            raise LogError("locked")
        return self.log

    def take(self, *events: Event) -> None:
        """Take letters as the server does."""
        self.log.apply(events)
        self.terminals.applied(list(events), self.log)

    def run(self, until: Callable[[], bool] = lambda: False, seconds: float = 5.0) -> bool:
        """Let the loop run until something is so; tell whether that came."""
        end = time.monotonic() + seconds

        def look() -> None:
            if until() or time.monotonic() > end:
                self.loop._goes_on = False
            else:
                self.loop.after(0.01, look)

        look()
        self.loop.run()
        self.loop._goes_on = True
        return until()

    def ttys(self) -> list[object]:
        """Return the terminals of all rows."""
        return [row[5] for row in table(self.path)]

    def close(self) -> None:
        """End as the server does."""
        self.terminals.close()
        self.log.close()
        self.loop.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything take tenths of seconds."""
    for name, seconds in (("LAST_PAUSE", 0.2), ("SETTLED", 0.1), ("EVERY", 0.1)):
        monkeypatch.setattr(terminals, name, seconds)


@pytest.fixture
def recorder(tmp_path: Path, quick: None) -> Iterator[Recorder]:  # noqa: ARG001 - what it does counts
    """Give a recorder of an empty history."""
    made = Recorder(tmp_path / "wtmp.db")
    yield made
    made.close()


def test_terminal_that_is_made_later(recorder: Recorder, monitors: Callable[..., Monitor]) -> None:
    """A session whose process has a child with a terminal after a moment has that in its row."""
    monitor = monitors("pty")
    recorder.take(monitor.opened())
    recorder.run(seconds=0.05)
    assert recorder.ttys() == ["ssh"]
    tty = monitor.make_terminal()
    assert tty.startswith("pts/")
    assert recorder.run(lambda: recorder.ttys() == [tty])


def test_no_terminal(recorder: Recorder, monitors: Callable[..., Monitor]) -> None:
    """A session that never has one stays ``ssh``, and is no longer looked at after a while."""
    monitor = monitors("none")
    recorder.take(monitor.opened())
    assert recorder.terminals._watched
    assert recorder.run(lambda: not recorder.terminals._watched)
    assert recorder.ttys() == ["ssh"]
    assert recorder.terminals._turns == []


def test_made_by_a_program_in_the_session(tmp_path: Path, quick: None) -> None:  # noqa: ARG001 - what it does counts
    """A terminal below a process that sshd calls a session without one was made by a program in it: the row stays ``ssh``."""

    class Titled(Machine):
        def title(self, pid: int) -> bytes:
            return b"sshd: root@notty" if pid == 100 else b"sshd: alice [priv]"

    recorder = Recorder(tmp_path / "wtmp.db", Titled(processes={100: 1000, 101: 1001}, terminals={100: b"pts/1", 101: b"pts/2"}))
    recorder.take(opened("root"), opened("alice", pid=101, start=1001))
    assert recorder.run(lambda: not recorder.terminals._watched)
    assert recorder.ttys() == ["ssh", "pts/2"]
    recorder.close()


def test_number_of_another_process(tmp_path: Path, quick: None) -> None:  # noqa: ARG001 - what it does counts
    """A process that has the number of one that has ended, or is of another boot, does not lend its terminal."""
    recorder = Recorder(tmp_path / "wtmp.db", Machine(processes={100: 1000}, terminals={100: b"pts/1"}))
    recorder.take(opened(start=999), opened("bob", boot=BOOT_KEY.replace("/23", "/24")), opened("carol", service="other", tty="ssh:1"))
    assert recorder.run(lambda: not recorder.terminals._watched)
    assert recorder.ttys() == ["ssh", "ssh", "ssh:1"]
    recorder.close()


def test_letters_that_others_took(recorder: Recorder, monitors: Callable[..., Monitor]) -> None:
    """A session whose letter was taken by another process, root's `last` say, is found, whether the recorder was there before or came later."""
    monitor = monitors("pty")
    tty = monitor.make_terminal()
    with Log.write(str(recorder.path)) as other:
        other.apply([monitor.opened()])
        assert recorder.run(lambda: recorder.ttys() == [tty])
        other.apply([monitor.opened("bob")])
    assert recorder.run(lambda: recorder.ttys() == [tty, tty])
    with edit(recorder.path) as database:
        database.execute("UPDATE wtmp SET TTY = 'ssh'")
    later = Recorder(recorder.path)
    assert later.run(lambda: later.ttys() == [tty, tty])
    later.close()


def test_another_history(recorder: Recorder, monitors: Callable[..., Monitor], tmp_path: Path) -> None:
    """When another file takes the place of the history, its sessions are looked at likewise."""
    monitor = monitors("pty")
    tty = monitor.make_terminal()
    recorder.take(monitor.opened())
    assert recorder.run(lambda: recorder.ttys() == [tty])
    recorder.log.close()
    recorder.path = tmp_path / "new.db"
    recorder.log = Log.write(str(recorder.path))
    recorder.take(monitor.opened())
    assert recorder.run(lambda: recorder.ttys() == [tty])


def test_locked(recorder: Recorder, monitors: Callable[..., Monitor]) -> None:
    """While the history cannot be written, nothing is lost: the terminal is in the row once it can."""
    monitor = monitors("pty")
    tty = monitor.make_terminal()
    recorder.take(monitor.opened())
    recorder.errors = 4
    assert recorder.run(lambda: recorder.ttys() == [tty])


def test_locked_while_it_learns(tmp_path: Path, quick: None) -> None:  # noqa: ARG001 - what it does counts
    """While another program has the history locked, the recorder complains of nothing and waits for nobody; soon it knows."""
    recorder = Recorder(tmp_path / "wtmp.db", Machine(processes={100: 1000}, terminals={100: b"pts/1"}))
    recorder.log = Log.write(str(recorder.path), timeout=0.01)
    event = opened()
    recorder.log.apply([event])
    with closing(sqlite3.connect(recorder.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        recorder.terminals.applied([event], recorder.log)
        assert not recorder.run(lambda: bool(recorder.terminals._watched), seconds=0.3)
    assert recorder.run(lambda: bool(recorder.terminals._watched), seconds=0.3)
    assert recorder.run(lambda: recorder.ttys() == ["pts/1"])
    recorder.close()


def test_row_of_sshd_that_comes_late(recorder: Recorder, monitors: Callable[..., Monitor]) -> None:
    """A row of sshd's own becomes one with ours also when it comes after the terminal was seen."""
    monitor = monitors("pty")
    tty = monitor.make_terminal()
    recorder.take(monitor.opened())
    assert recorder.run(lambda: recorder.ttys() == [tty])
    sshd_opens(recorder.path, time.time_ns() // 1000, tty=tty)
    assert recorder.run(lambda: [row[7] for row in table(recorder.path)] == ["sshd"])
    assert recorder.run(lambda: not recorder.terminals._watched)
    assert recorder.ttys() == [tty]


def test_session_over_at_once(recorder: Recorder, monitors: Callable[..., Monitor]) -> None:
    """A session whose process is gone before it is looked at has its terminal from sshd's row; the end of the recorder does not stop that."""
    monitor = monitors("pty")
    event = monitor.opened()
    assert event.opened
    monitor.end()
    sshd_opens(recorder.path, event.opened + 5)
    sshd_closes(recorder.path, event.opened + 90)
    recorder.take(event, closed(event, event.opened + 100))
    recorder.terminals.close()
    assert [row[2:] for row in table(recorder.path)] == [("alice", event.opened, event.opened + 100, "pts/3", "192.0.2.7", "sshd")]


def test_sshd_closes_another_row(recorder: Recorder, monitors: Callable[..., Monitor]) -> None:
    """Told of the end after PAM was, sshd closes a row that it does not mean: that is open again soon, unless a letter has closed it meanwhile."""
    monitor = monitors("pty")
    tty = monitor.make_terminal()
    event = monitor.opened()
    assert event.opened
    su, ended = (opened(user, event.opened, tty=tty, service="su", boot=event.boot) for user in ("carol", "dave"))
    recorder.take(event, su, ended)
    assert recorder.run(lambda: recorder.ttys() == [tty] * 3)
    end = event.opened + SECOND
    recorder.take(closed(event, end))
    sshd_closes(recorder.path, end + 1, tty)
    sshd_closes(recorder.path, end + 2, tty)
    recorder.log.apply([closed(ended, end)])
    assert recorder.run(lambda: [row[4] for row in table(recorder.path)] == [end, None, end])


def test_many_at_once(tmp_path: Path, quick: None) -> None:  # noqa: ARG001 - what it does counts
    """Of very many sessions a bounded number is looked at, a few at a turn; those get their terminals."""
    number = 1500
    machine = Machine(processes={100 + each: each for each in range(number)}, terminals={100 + each: b"pts/%d" % each for each in range(number)})
    recorder = Recorder(tmp_path / "wtmp.db", machine)
    turns: list[int] = []
    look = recorder.terminals._look

    def counted(sessions: list[terminals.Watched]) -> None:
        turns.append(len(sessions))
        look(sessions)

    recorder.terminals._look = counted  # type: ignore[method-assign]
    recorder.take(*(opened(f"user{each}", 1000 + each, pid=100 + each, start=each) for each in range(number)))
    assert len(recorder.terminals._watched) == 1000
    assert recorder.run(lambda: not recorder.terminals._watched)
    assert max(turns) <= terminals.AT_ONCE
    assert recorder.ttys().count("ssh") == 500
    recorder.close()


def test_nothing_to_look_at_is_no_error(recorder: Recorder) -> None:
    """A session without a key, a process or a boot is passed over, and so is the end of one that is not there."""
    event = opened(pid=None, start=None, boot=None)
    recorder.take(event, closed(opened("bob"), 2**50, key=None, opened=None))
    assert not recorder.terminals._watched
    with edit(recorder.path) as database:
        database.execute("DELETE FROM wtmp")
    recorder.terminals.applied([closed(event, 2**50)], recorder.log)
    assert key(event)
