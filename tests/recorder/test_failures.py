# SPDX-License-Identifier: BSD-2-Clause
"""Failed logins: from their spool into their file."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import NOON, SECOND, edit, failed, make_spool, name, opened, post, table
from wtmpdb.__main__ import main
from wtmpdb.errors import BusyLogError, DamagedLogError
from wtmpdb.log import Log
from wtmpdb.recorder import failures as module
from wtmpdb.recorder.failures import DAY, EVERY, MINUTE, PER_HOST, PER_USER, Failures, Part, Taken, anything_waits, take_failures
from wtmpdb.recorder.loop import Loop
from wtmpdb.recorder.service import serve
from wtmpdb.spool import BusyError, Spool

ME = os.getuid()
TODAY = NOON // DAY * DAY


class World:
    """A spool of failed logins and a file of them."""

    def __init__(self, place: Path) -> None:
        self.spool = make_spool(place / "failed")
        self.database = place / "btmp.db"

    def take(self, timeout: float = 5.0, **wishes: int) -> Taken:
        """Take what waits."""
        return take_failures(str(self.database), str(self.spool), timeout=timeout, owner=ME, **wishes)

    def left(self, where: str = "new") -> list[str]:
        """Return the names of the letters that are left."""
        return sorted(os.listdir(self.spool / where))

    def counted(self) -> list[tuple[object, ...]]:
        """Return what was only counted."""
        with closing(sqlite3.connect(self.database)) as database:
            return database.execute("SELECT * FROM counted ORDER BY day, host, user, service").fetchall()

    def total(self) -> int:
        """Return how many attempts are in the file, in rows or counted."""
        return len(table(self.database)) + sum(int(str(row[4])) for row in self.counted())


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make an empty spool and a place for a file."""
    return World(tmp_path)


def test_attempts_become_rows(world: World) -> None:
    """Failed logins become rows whose logout is their login, in the order of their time, and the letters go."""
    post(world.spool, failed("bob", NOON + 1, host=None, tty="tty1", service="login"), failed("", NOON))
    assert str(world.take()) == "2 failed"
    assert [row[1:] for row in table(world.database)] == [
        (3, "", NOON, NOON, "ssh", "192.0.2.7", "sshd"),
        (3, "bob", NOON + 1, NOON + 1, "tty1", None, "login"),
    ]
    assert world.left() == []


def test_the_file_is_private(world: World) -> None:
    """The file is made with the first failed login, for its owner and the group only: a mistyped user may be a password."""
    world.take()
    assert not world.database.exists()
    post(world.spool, failed())
    world.take()
    assert world.database.stat().st_mode & 0o777 == 0o640
    assert Path(f"{world.database}-journal").stat().st_mode & 0o777 == 0o640


def test_a_host_that_is_too_fast(world: World) -> None:
    """Beyond so many attempts in a minute those of a host are only counted, and other hosts are not touched by that."""
    post(world.spool, *(failed(f"user{number}", NOON + number) for number in range(100)), failed("bob", NOON + 200, host="192.0.2.8"))
    assert str(world.take()) == f"{PER_HOST + 1} failed, {100 - PER_HOST} failed and only counted"
    assert [row[2] for row in table(world.database)] == [*(f"user{number}" for number in range(PER_HOST)), "bob"]
    assert world.counted() == [(TODAY, "192.0.2.7", "", "sshd", 100 - PER_HOST, NOON + PER_HOST, NOON + 99)]


@pytest.mark.parametrize(("host", "listed"), [("2001:db8:1:2::{:x}", PER_HOST), ("2001:db8:1:{:x}::1", 30), ("::ffff:192.0.2.{}", 30), (":x{}", 30)])
def test_a_network_of_one_customer(world: World, host: str, listed: int) -> None:
    """The addresses of an IPv6 network of 64 bits have one rate together, also from one time to the next; others one each."""
    for first in (0, 15):
        post(world.spool, *(failed(f"u{number}", NOON + number, host=host.format(number)) for number in range(first, first + 15)))
        world.take()
    assert len(table(world.database)) == listed
    assert world.total() == 30


def test_a_user_that_is_tried_too_fast(world: World) -> None:
    """Beyond fewer attempts in a minute those of a host for one user are only counted, by this user."""
    post(world.spool, *(failed("root", NOON + number, service="su", host=None) for number in range(50)))
    world.take()
    assert len(table(world.database)) == PER_USER
    assert world.counted() == [(TODAY, "", "root", "su", 50 - PER_USER, NOON + PER_USER, NOON + 49)]


def test_rates_hold_from_one_time_to_the_next(world: World) -> None:
    """What counts is what the file holds of a minute, however often the letters are taken, and the next minute begins anew."""
    for number in range(30):
        post(world.spool, failed("root", NOON + number))
        world.take()
    assert len(table(world.database)) == PER_USER
    assert world.counted()[0][4] == 30 - PER_USER
    post(world.spool, failed("root", NOON + MINUTE))
    world.take()
    assert len(table(world.database)) == PER_USER + 1


def test_rows_of_a_day_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attack from everywhere makes so many rows in a day, then it is counted; what is there stays, and the next day begins anew."""
    monkeypatch.setattr(module, "MOST_ROWS", 30)
    post(world.spool, *(failed("root", NOON + number, host=f"192.0.2.{number}") for number in range(50)))
    world.take()
    post(world.spool, *(failed("root", NOON + 100 + number, host=f"198.51.100.{number}") for number in range(10)), failed("next", NOON + DAY))
    world.take()
    assert [row[2] for row in table(world.database)] == ["root"] * 30 + ["next"]
    assert world.total() == 61


def test_counts_of_a_day_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of so many hosts in a day the numbers are kept apart, of the rest together; none is lost."""
    monkeypatch.setattr(module, "MOST_ROWS", 0)
    monkeypatch.setattr(module, "MOST_KEYS", 5)
    monkeypatch.setattr(module, "BATCH", 7)
    post(world.spool, *(failed("root", NOON + number, host=f"192.0.2.{number % 20}") for number in range(100)))
    world.take()
    assert len(world.counted()) == 6
    assert (TODAY, "", "", "") in [row[:4] for row in world.counted()]
    assert world.total() == 100


def test_the_file_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A file that has become large hardly grows: attempts are only counted, of few hosts a day, and the log says why; none is lost."""
    world.take()
    post(world.spool, failed("first"))
    world.take()
    size = world.database.stat().st_size
    monkeypatch.setattr(module, "LARGEST_FILE", size)
    for day in range(5):
        post(world.spool, *(failed("x" * 250, NOON + day * DAY + number, host=f"{number}." + "h" * 200) for number in range(500)))
        world.take()
    assert len(table(world.database)) == 1
    assert len(world.counted()) == 5 * (module.FEW_KEYS + 1)
    assert world.total() == 2501
    assert world.database.stat().st_size < size + 5 * module.FEW_KEYS * 1500
    assert "btmp.db is too large to list failed logins: 500 of 2024-03-01 are only counted" in capfd.readouterr().err


def test_what_the_module_only_counted(world: World) -> None:
    """The bytes that the module appended while too many letters waited are added to the day's number, once, and their file goes."""
    (world.spool / "uncounted").write_bytes(b"." * 77)
    os.utime(world.spool / "uncounted", ns=(NOON * 1000, NOON * 1000))
    post(world.spool, failed())
    assert str(world.take()) == "1 failed, 77 failed and only counted"
    assert world.counted() == [(TODAY, "", "", "", 77, NOON, NOON)]
    assert world.left(".") == ["bad", "new", "tmp"]
    assert str(world.take()) == ""


def test_what_the_module_only_counted_comes_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the commit and the end of the file, the number is not added again, whatever comes in meanwhile."""
    (world.spool / "uncounted").write_bytes(b"." * 77)

    def killed(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "unlink", killed)
        world.take()
    (world.spool / "uncounted").write_bytes(b"." * 23)
    post(world.spool, failed())
    assert str(world.take()) == "1 failed, 23 failed and only counted"
    assert world.total() == 101


def test_it_is_said_when_attempts_are_only_counted(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    """The log is told of the first that is only counted and of each ten times as many, not of every one."""
    for number in range(2000):
        post(world.spool, failed("root", NOON + number))
        if number % 10 == 9:
            world.take()
    said = capfd.readouterr().err.splitlines()
    assert said[0] == "wtmpdb recorder: failed logins come too fast: 10 of 2024-03-01 are only counted (wtmpdb lastb --by host)"
    assert len(said) == 3


def test_letters_come_back(world: World) -> None:
    """Letters that were taken before, because a kill came before they were deleted, are neither written nor counted again."""
    letters = [failed("root", NOON + number) for number in range(50)]
    post(world.spool, *letters)
    world.take()
    post(world.spool, *letters, failed("bob", NOON - 1))
    world.take()
    assert world.total() == 51


def test_broken_letters(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    """A broken letter, or one that tells of a session, is put into bad/, and stops nobody."""
    post(world.spool, failed(), opened())
    (world.spool / "new" / "0").write_bytes(b"")
    assert world.take().broken == 2
    assert len(world.left("bad")) == 2
    assert [row[2] for row in table(world.database)] == ["alice"]
    assert "does not belong here: it tells of opened" in capfd.readouterr().err


def test_a_failed_login_among_sessions(tmp_path: Path) -> None:
    """A failed login in the spool of sessions is broken there: it must close nobody's session."""
    spool = make_spool(tmp_path / "spool")
    post(spool, failed(id=name(NOON, 1)))
    with Spool(str(spool), owner=ME) as letters, pytest.raises(Exception, match="does not belong here"):
        letters.read(name(NOON, 1))


def test_locked_and_damaged(world: World) -> None:
    """While the file is locked or damaged the letters wait."""
    post(world.spool, failed())
    world.take()
    post(world.spool, failed())
    with edit(world.database) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BusyLogError):
            world.take(timeout=0.1)
    world.database.write_bytes(b"no database" * 1000)
    with pytest.raises(DamagedLogError):
        world.take()
    assert len(world.left()) == 1


def test_two_at_once(world: World) -> None:
    """Two processes that take failed logins do not get in each other's way: the second says that the first is at work."""
    post(world.spool, failed())
    with Spool(str(world.spool), owner=ME), pytest.raises(BusyError):
        world.take()


def test_so_many_at_a_time(world: World) -> None:
    """Who must not be held up takes so many letters at a time, and sees whether there are more."""
    post(world.spool, *(failed(f"user{number}", NOON + number * MINUTE) for number in range(25)))
    assert (world.take(most=10).rows, anything_waits(str(world.spool))) == (10, True)
    assert (world.take(most=10).rows, world.take(most=10).rows, anything_waits(str(world.spool))) == (10, 5, False)


def test_times_at_the_end_of_time(world: World) -> None:
    """A letter of the largest time that there is does not stop those after it."""
    post(world.spool, failed("last", 2**63 - 1), failed("alice"))
    assert world.take().rows == 2


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 5 * MINUTE)), max_size=120), st.integers(1, 40))
def test_every_attempt_is_kept_once(tmp_path_factory: pytest.TempPathFactory, attempts: list[tuple[int, int, int]], step: int) -> None:
    """Whoever tries whatever at whatever pace: rows and counts together are the attempts, and rows keep to the rates."""
    world = World(tmp_path_factory.mktemp("world"))
    for start in range(0, len(attempts), step):
        post(world.spool, *(failed(f"u{user}", NOON + at, host=f"h{host}" if host else None) for host, user, at in attempts[start : start + step]))
        world.take()
    if not attempts:
        return
    assert world.total() == len(attempts)
    rates: dict[object, int] = {}
    for row in table(world.database):
        for key in ((row[6], int(str(row[3])) // MINUTE), (row[6], row[2], int(str(row[3])) // MINUTE)):
            rates[key] = rates.get(key, 0) + 1
            assert rates[key] <= (PER_HOST if len(key) == 2 else PER_USER)


FOR_EVER = """
import sys
from wtmpdb.recorder import failures as module
from wtmpdb.spool import BusyError
module.BATCH = 7
while True:
    try:
        module.take_failures(sys.argv[1], sys.argv[2], owner=int(sys.argv[3]), wait=10.0)
    except BusyError:
        pass
"""


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_point(world: World, seed: int) -> None:
    """Killed 40 times at random points while attempts come in, each is in a row or counted, once."""
    dice = random.Random(seed)  # noqa: S311 - dice for a test
    letters = [failed(f"user{number % 50}", NOON + number * SECOND // 10, host=f"192.0.2.{number % 9}") for number in range(3000)]
    dice.shuffle(letters)
    kills = 40
    for number in range(kills):
        post(world.spool, *letters[number::kills])
        with (world.spool / "uncounted").open("ab") as file:
            file.write(b".....")
        before = len(world.left())
        command = [sys.executable, "-c", FOR_EVER, str(world.database), str(world.spool), str(ME)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 10
            while len(world.left()) == before and time.monotonic() < deadline:
                time.sleep(0.0005)
            time.sleep(dice.uniform(0.0, 0.03))
            process.send_signal(signal.SIGKILL)
    world.take()
    assert world.left() == []
    assert world.total() == 3000 + 5 * kills
    with edit(world.database) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_sessions_and_failures_do_not_touch_each_other(tmp_path: Path) -> None:
    """The file of failed logins is a history like others for whoever reads it."""
    world = World(tmp_path)
    post(world.spool, failed("bob"))
    world.take()
    with Log.read(str(world.database)) as log:
        assert [(entry.user, entry.login, entry.logout) for entry in log.entries()] == [("bob", NOON, NOON)]


def recorder(place: Path) -> Failures:
    """Return what a recorder has, for a spool of sessions at this place."""
    make_spool(place / "spool")
    make_spool(place / "spool" / "failed")
    return Failures(str(place / "spool"), owner=ME)


def test_a_recorder_lets_attempts_gather(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder takes the first attempt at once and those after it together, seconds later: an attack must not keep it busy."""
    failures, spool = recorder(tmp_path), tmp_path / "spool" / "failed"
    assert failures.look() is None
    post(spool, failed())
    assert failures.look() is None
    assert len(table(tmp_path / "btmp.db")) == 1
    post(spool, failed(), failed())
    pause = failures.look()
    assert pause is not None
    assert 0 < pause <= EVERY
    assert len(table(tmp_path / "btmp.db")) == 1
    monkeypatch.setattr(module, "monotonic", lambda: time.monotonic() + EVERY)
    assert failures.look() is None
    assert len(table(tmp_path / "btmp.db")) == 3


def test_a_recorder_takes_many_in_turns(tmp_path: Path) -> None:
    """Of many letters a recorder takes some at a time, so that a login need not wait for all."""
    failures = recorder(tmp_path)
    post(tmp_path / "spool" / "failed", *(failed(f"user{number}", NOON + number * MINUTE) for number in range(150)))
    assert failures.look() == 0
    assert 0 < len(table(tmp_path / "btmp.db")) < 150
    assert failures.look() is None
    assert len(table(tmp_path / "btmp.db")) == 150


def test_a_recorder_says_once_what_is_wrong(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """While the file is damaged a recorder says so once, tries again after a while, and goes on when the file has been moved away."""
    failures = recorder(tmp_path)
    (tmp_path / "btmp.db").write_bytes(b"no database" * 1000)
    post(tmp_path / "spool" / "failed", failed())
    for minute in range(3):
        monkeypatch.setattr(module, "monotonic", lambda minute=minute: time.monotonic() + minute * 60)
        assert failures.look() is None
    said = capfd.readouterr().err
    assert said.count("not a database: failed logins wait in the spool") == 1
    (tmp_path / "btmp.db").unlink()
    monkeypatch.setattr(module, "monotonic", lambda: time.monotonic() + 600)
    failures.look()
    assert len(table(tmp_path / "btmp.db")) == 1


@pytest.mark.skipif(ME != 0, reason="the spool has to belong to root")
def test_the_part_of_the_resident_recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the loop of the resident recorder attempts are taken without a poke, in turns."""
    monkeypatch.setattr(module, "EVERY", 0.02)
    recorder(tmp_path)
    post(tmp_path / "spool" / "failed", *(failed(f"user{number}", NOON + number * MINUTE) for number in range(150)))
    loop = Loop()
    part = Part(loop, str(tmp_path / "spool"))
    loop.after(0.3, lambda: post(tmp_path / "spool" / "failed", failed("late")))
    loop.after(0.6, loop.stop)
    loop.run()
    part.close()
    loop.close()
    assert len(table(tmp_path / "btmp.db")) == 151


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """Make both spools, in which a session and a failed login wait, of root's."""
    if ME != 0:
        pytest.skip("the spool has to belong to root")
    spool = make_spool(tmp_path / "spool")
    make_spool(spool / "failed")
    post(spool, opened("bob"))
    post(spool / "failed", failed("alice"))
    return spool


def users(path: Path) -> list[object]:
    """Return the users of a file."""
    return [row[2] for row in table(path)]


def test_once(both: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`wtmpdb recorder --once` takes both, each into its file, and says so in a line."""
    assert main(["wtmpdb", "recorder", "--once", "--spool", str(both), "--file", str(both.parent / "wtmp.db")]) == 0
    assert capsys.readouterr().out == "1 opened, 0 closed, 1 failed\n"
    assert (users(both.parent / "wtmp.db"), users(both.parent / "btmp.db")) == (["bob"], ["alice"])


@pytest.mark.parametrize(("broken", "whole", "user"), [("btmp.db", "wtmp.db", "bob"), ("wtmp.db", "btmp.db", "alice")])
def test_once_with_one_broken(both: Path, capsys: pytest.CaptureFixture[str], broken: str, whole: str, user: str) -> None:
    """When one of the files is broken the other one gets what is its own; that is said, and the exit code tells."""
    (both.parent / broken).write_bytes(b"no database" * 1000)
    assert main(["wtmpdb", "recorder", "--once", "--spool", str(both), "--file", str(both.parent / "wtmp.db")]) == 1
    assert f"{broken}: not a database" in capsys.readouterr().err
    assert users(both.parent / whole) == [user]


@pytest.mark.parametrize(("broken", "whole", "user"), [("btmp.db", "wtmp.db", "bob"), ("wtmp.db", "btmp.db", "alice")])
def test_the_service_with_one_broken(both: Path, broken: str, whole: str, user: str) -> None:
    """Nor does a broken file keep the service from filling the other one."""
    (both.parent / broken).write_bytes(b"no database" * 1000)
    serve(str(both.parent / "wtmp.db"), str(both), idle=0.01, retry=0.01)
    assert users(both.parent / whole) == [user]


def test_the_service_ends_only_when_all_is_taken(both: Path) -> None:
    """The service goes on while failed logins gather, and ends when nothing has come for a while."""
    post(both / "failed", *(failed(f"user{number}", NOON + number * MINUTE) for number in range(250)))
    assert serve(str(both.parent / "wtmp.db"), str(both), idle=0.01) == 0
    assert len(users(both.parent / "btmp.db")) == 251
    assert not anything_waits(str(both / "failed"))


def test_a_letter_that_cannot_be_moved_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken letter that cannot be put aside keeps nobody busy, and nothing else from being taken."""
    failures = recorder(tmp_path)
    spool = tmp_path / "spool" / "failed"
    monkeypatch.setattr(Spool, "quarantine", lambda *_: None)
    (spool / "new" / "0").write_bytes(b"nonsense")
    post(spool, failed())
    assert failures.look() == 0
    assert failures.look() is None
    assert len(table(tmp_path / "btmp.db")) == 1


def test_a_spool_that_cannot_be_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A spool from which nothing can be taken is said, and the recorder goes on; nothing is written twice."""

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    failures = recorder(tmp_path)
    post(tmp_path / "spool" / "failed", failed())
    with monkeypatch.context() as patch:
        patch.setattr(Spool, "remove", refuse)
        assert failures.look() is None
    assert "failed: Read-only file system: failed logins wait in the spool" in capfd.readouterr().err
    monkeypatch.setattr(module, "monotonic", lambda: time.monotonic() + 60)
    assert failures.look() is None
    assert len(table(tmp_path / "btmp.db")) == 1
