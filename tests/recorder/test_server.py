# SPDX-License-Identifier: BSD-2-Clause
"""The resident recorder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import NOON, closed, edit, make_file, make_spool, opened, post, table
from wtmpdb.log import Log
from wtmpdb.recorder import server
from wtmpdb.recorder.loop import Loop
from wtmpdb.schema import VERSION
from wtmpdb.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="the spool has to belong to root")

# As systemd does it: the socket is descriptor 3, and the variables name the process.
START = """
import os, sys
os.dup2(int(sys.argv[3]), 3)
os.environ["LISTEN_FDS"] = "1"
os.environ["LISTEN_FDNAMES"] = "poke"
os.environ["LISTEN_PID"] = os.environ["WATCHDOG_PID"] = str(os.getpid())
from wtmpdb.__main__ import main
sys.exit(main(["wtmpdb", "recorder", "--resident", "--file", sys.argv[1], "--spool", sys.argv[2]]))
"""


class Resident:
    """The resident recorder, and the systemd that it speaks to."""

    def __init__(self, place: Path) -> None:
        self.spool = make_spool(place / "spool")
        self.database = place / "wtmp.db"
        self.said_to = place / "stderr"
        self.poked, self.notified = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
        self.poked.bind(str(place / "poke"))
        self.notified.bind(str(place / "notify"))
        self.notified.settimeout(10)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        """Start it, and wait until it says that it is ready."""
        command = [sys.executable, "-c", START, str(self.database), str(self.spool), str(self.poked.fileno())]
        environment = os.environ | {"NOTIFY_SOCKET": self.notified.getsockname()} | environment
        with self.said_to.open("ab") as stderr:
            self.process = subprocess.Popen(command, pass_fds=[self.poked.fileno()], stderr=stderr, env=environment)
        assert self.heard() == "READY=1"

    def heard(self) -> str:
        """Return what it tells systemd next."""
        return self.notified.recv(100).decode()

    def said(self) -> str:
        """Return what it has said in the log."""
        return self.said_to.read_text()

    def post(self, *users: str) -> None:
        """Leave a letter for each of these users, and poke."""
        post(self.spool, *(opened(user) for user in users))
        self.poke()

    def poke(self) -> None:
        """Poke as the module does: without waiting where many pokes wait."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(b"\n", self.poked.getsockname())
            except BlockingIOError:
                pass

    def users(self) -> list[object]:
        """Return the users in the history; none while it is being made."""
        try:
            return [row[2] for row in table(self.database)] if self.database.exists() else []
        except sqlite3.OperationalError:
            return []

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it; return its exit code."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(10)

    def close(self) -> None:
        """Kill it if it runs, and close the sockets."""
        if self.process:
            self.process.kill()
            self.process.wait()
        self.poked.close()
        self.notified.close()


@pytest.fixture
def resident(tmp_path: Path) -> Iterator[Resident]:
    """Make a recorder that is not started yet."""
    resident = Resident(tmp_path)
    yield resident
    resident.close()


def wait(until: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait until something is so; False when it never is."""
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def test_takes_letters(resident: Resident) -> None:
    """What waits at its start is in the history when it is ready, and what comes later is there at once after the poke."""
    post(resident.spool, opened("alice"))
    resident.start()
    assert resident.users() == ["alice"]
    begun = time.monotonic()
    resident.post("bob")
    assert wait(lambda: resident.users() == ["alice", "bob"])
    assert time.monotonic() - begun < 1
    assert os.listdir(resident.spool / "new") == []
    assert resident.said() == ""


def test_without_a_poke(resident: Resident) -> None:
    """A letter whose poke was lost is found all the same."""
    resident.start()
    post(resident.spool, opened("alice"))
    assert wait(lambda: resident.users() == ["alice"])


def test_ends(resident: Resident) -> None:
    """SIGTERM ends it after a last look into the spool, and it tells systemd so."""
    resident.start()
    resident.process.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
    post(resident.spool, opened("alice"))
    resident.process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
    assert resident.end(signal.SIGCONT) == 0
    assert resident.heard() == "STOPPING=1"
    assert resident.users() == ["alice"]


def test_watchdog(resident: Resident) -> None:
    """It shows systemd that it lives, twice in the time that it is given."""
    resident.start(WATCHDOG_USEC="200000")
    begun = time.monotonic()
    assert [resident.heard() for _ in range(5)] == ["WATCHDOG=1"] * 5
    assert 0.3 < time.monotonic() - begun < 2


def test_others_take_letters_too(resident: Resident) -> None:
    """While nothing comes it holds no lock: others may empty the spool and write the history."""
    resident.start()
    Spool(str(resident.spool)).close()
    with edit(resident.database) as other:
        other.execute("BEGIN EXCLUSIVE")


def test_locked(resident: Resident) -> None:
    """While somebody has locked the history letters wait, which is said once; when it is free they are taken."""
    resident.start(WATCHDOG_USEC="200000")
    with edit(resident.database) as other:
        other.execute("BEGIN IMMEDIATE")
        resident.post("alice", "bob")
        begun = time.monotonic()
        assert [resident.heard() for _ in range(20)] == ["WATCHDOG=1"] * 20
        assert time.monotonic() - begun < 4  # it is never held up for long
    assert wait(lambda: resident.users() == ["alice", "bob"])
    assert wait(lambda: "taken again" in resident.said())
    assert resident.said().count("locked by another program") == 1


def lose(database: Path) -> None:
    """Delete the history."""
    database.unlink()


def move(database: Path) -> None:
    """Move the history away."""
    database.rename(f"{database}.1")


def rotate(database: Path) -> None:
    """Do as logrotate does: an empty file in its place."""
    database.rename(f"{database}.1")
    database.touch()


def empty(database: Path) -> None:
    """Cut the file off."""
    os.truncate(database, 0)


def exchange(database: Path) -> None:
    """Put a history of somebody else in its place."""
    Log.write(f"{database}.new").close()
    Path(f"{database}.new").rename(database)


@pytest.mark.parametrize("change", [lose, move, rotate, empty, exchange])
def test_replaced(resident: Resident, change: Callable[[Path], None]) -> None:
    """A history that is deleted, moved away or replaced is noticed: letters go into what is there now."""
    resident.start()
    resident.post("alice")
    assert wait(lambda: resident.users() == ["alice"])
    change(resident.database)
    resident.post("bob")
    assert wait(lambda: resident.users() == ["bob"])
    assert resident.said() == ""


def test_damaged(resident: Resident) -> None:
    """A history that is damaged, or no database, is told of once; letters wait and are taken when it was moved away."""
    resident.start()
    resident.database.write_bytes(b"no database " * 4096)
    resident.post("alice")
    assert wait(lambda: "not a database" in resident.said())
    time.sleep(2.5)
    assert resident.said().count("\n") == 1
    move(resident.database)
    assert wait(lambda: resident.users() == ["alice"])


def test_no_spool_for_a_while(resident: Resident) -> None:
    """A spool that is deleted and made again is found."""
    resident.start()
    shutil.rmtree(resident.spool)
    resident.poke()
    assert wait(lambda: "No such file" in resident.said())
    make_spool(resident.spool)
    resident.post("alice")
    assert wait(lambda: resident.users() == ["alice"])


def test_full_disk(resident: Resident, tmp_path: Path) -> None:
    """While the disk of the history is full letters wait, which is said once; when there is room they are taken."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", small], capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        resident.database = small / "wtmp.db"
        resident.start()
        with pytest.raises(OSError, match="No space"):
            (small / "filler").write_bytes(bytes(1 << 20))
        post(resident.spool, *(opened(f"user{number}", NOON + number) for number in range(500)))
        resident.poke()
        assert wait(lambda: "no space left" in resident.said())
        (small / "filler").unlink()
        assert wait(lambda: len(resident.users()) == 500)
        assert wait(lambda: resident.said().count("\n") == 2)
    finally:
        resident.close()
        subprocess.run(["umount", small], check=True)


def test_read_only(resident: Resident, tmp_path: Path) -> None:
    """While the history is on a file system that cannot be written letters wait."""
    place = tmp_path / "place"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        resident.database = place / "wtmp.db"
        Log.write(str(resident.database)).close()
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        resident.start()
        resident.post("alice")
        assert wait(lambda: "read-only" in resident.said().lower())
        subprocess.run(["mount", "-o", "remount,rw", place], check=True)
        assert wait(lambda: resident.users() == ["alice"])
    finally:
        resident.close()
        subprocess.run(["umount", place], check=True)


def test_read_only_spool(resident: Resident, tmp_path: Path) -> None:
    """A spool from which nothing can be taken away does not end the recorder: it says so once, and each letter becomes one row all the same."""
    place = tmp_path / "place"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        resident.spool = make_spool(place / "spool")
        resident.start()
        post(resident.spool, opened("alice"))
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        resident.poke()
        assert wait(lambda: "Read-only file system: letters wait" in resident.said())
        subprocess.run(["mount", "-o", "remount,rw", place], check=True)
        resident.post("bob")
        assert wait(lambda: resident.users() == ["alice", "bob"] and not os.listdir(resident.spool / "new"))
        assert resident.end() == 0
    finally:
        resident.close()
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("service", [True, False])
def test_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, service: bool) -> None:
    """A service to which a file system stays read-only ends, since systemd starts it again with a new view of it; another program goes on."""
    monkeypatch.setattr(server, "ANEW", 0.2)
    if service:
        monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    place = tmp_path / "place"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        spool = make_spool(tmp_path / "spool")
        make_file(place / "wtmp.db", [])
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        post(spool, opened("alice"))
        ended = []
        loop = Loop()

        def end() -> None:
            ended.append("by us")
            loop.stop()

        recorder = server.Server(loop, str(place / "wtmp.db"), str(spool), owner=os.geteuid())
        recorder.start()
        loop.after(2.0, end)
        loop.run()
        recorder.close()
        loop.close()
        assert ended == ([] if service else ["by us"])
        assert len(os.listdir(spool / "new")) == 1
    finally:
        subprocess.run(["umount", place], check=True)


def test_stopped_and_continued(resident: Resident) -> None:
    """Stopped for a while and continued it takes what has come meanwhile."""
    resident.start()
    assert resident.process
    resident.process.send_signal(signal.SIGSTOP)
    resident.post("alice", "bob")
    time.sleep(0.3)
    assert resident.users() == []
    resident.process.send_signal(signal.SIGCONT)
    assert wait(lambda: resident.users() == ["alice", "bob"])


def test_broken_letter(resident: Resident) -> None:
    """A broken letter is put aside with a word, and stops nobody."""
    resident.start()
    (resident.spool / "new" / "0").write_bytes(b"nonsense")
    resident.post("alice")
    assert wait(lambda: resident.users() == ["alice"])
    assert os.listdir(resident.spool / "bad") == ["0"]
    assert "letter '0' is broken" in resident.said()


def test_older_history(resident: Resident) -> None:
    """A history of an older version is brought up to date before, and what that takes does not stay in memory."""
    Log.write(str(resident.database)).close()
    with edit(resident.database) as database:
        database.execute("PRAGMA user_version = 0")
    post(resident.spool, opened("alice"))
    resident.start()
    with edit(resident.database) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert resident.users() == ["alice"]
    assert resident.process
    assert "sqlalchemy" not in Path(f"/proc/{resident.process.pid}/maps").read_text()


def test_many_pokes(resident: Resident) -> None:
    """In a burst nothing is lost, though most pokes are."""
    resident.start()
    for number in range(3000):
        post(resident.spool, opened(f"user{number}", NOON + number))
        resident.poke()
    assert wait(lambda: len(table(resident.database)) == 3000)
    assert os.listdir(resident.spool / "new") == []


def test_killed(resident: Resident) -> None:
    """Killed and started again while letters come in, it loses nothing and writes nothing twice."""
    sessions = [opened(f"user{number}", NOON + number) for number in range(600)]
    for start in range(0, 600, 50):
        resident.start()
        for event in sessions[start : start + 50]:
            post(resident.spool, closed(event, NOON + 1000), event)
            resident.poke()
        resident.end(signal.SIGKILL)
    resident.start()
    assert sorted((row[2], row[4]) for row in table(resident.database)) == sorted((event.user, NOON + 1000) for event in sessions)
