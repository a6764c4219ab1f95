# SPDX-License-Identifier: BSD-2-Clause
"""The database: where it is, whose it is, whether it is whole, what is in it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from doctor.conftest import World, said
from support import BOOT_KEY, C_TABLE, HOUR, NOON, Machine, edit, make_file
from wtmpdb import schema
from wtmpdb.doctor import asking, database
from wtmpdb.doctor.finding import NOTE, OK, PROBLEM
from wtmpdb.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from wtmpdb.doctor.case import Case
    from wtmpdb.doctor.finding import Finding

ROW = (3, "alice", NOON - HOUR, None, "tty1", None, "login")

# Writes with a small cache, so that pages reach the file before the end, and dies.
KILLED = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 2")
database.execute("BEGIN")
for number in range(5000):
    database.execute("INSERT INTO wtmp (Type, User, Login) VALUES (3, ?, 1)", ("x" * 500,))
os.kill(os.getpid(), 9)
"""


def found(check: Callable[[Case], Iterable[Finding]], case: Case, state: str) -> list[str]:
    """Return what a check says of a state."""
    return said(list(check(case)), state)


class TestPlace:
    def test_missing(self, world: World) -> None:
        """A history that is not there yet is a note; the other checks have nothing to say."""
        assert "is not there yet" in found(database.place, world.case(), NOTE)[0]
        for check in (database.modes, database.whole, database.tables):
            assert list(check(world.case())) == []

    def test_own(self, world: World) -> None:
        """A history in its place needs no word."""
        world.history(ROW)
        assert list(database.place(world.case())) == []

    def test_link(self, world: World) -> None:
        """A link to the file of the C tools is said, and well, be it that this is not there yet."""
        (world.root / "var/log").mkdir()
        world.debian_13()
        world.link("var/lib/wtmpdb/wtmp.db", "/var/log/wtmp.db")
        assert f"is a link to {world.root}/var/log/wtmp.db" in found(database.place, world.case(), OK)[0]
        make_file(world.root / "var/log/wtmp.db", [ROW])
        assert found(database.place, world.case(), PROBLEM) == []

    def test_two_halves(self, world: World) -> None:
        """Where sshd writes into another file than we do, the history is in two halves: a problem."""
        world.history(ROW)
        make_file(world.write("var/log/wtmp.db", ""), [ROW])
        assert "is another history" in found(database.place, world.case(), NOTE)[0]
        world.debian_13()
        assert "the history is in two halves" in found(database.place, world.case(), PROBLEM)[0]

    def test_their_file_is_a_link_to_ours(self, world: World) -> None:
        """Where their file is a link to ours, there is one history."""
        world.history(ROW)
        world.debian_13()
        world.link("var/log/wtmp.db", "/var/lib/wtmpdb/wtmp.db")
        assert list(database.place(world.case())) == []


class TestModes:
    def test_as_they_should_be(self, world: World) -> None:
        """A history as the recorder makes it is well."""
        world.history(ROW)
        assert "root:utmp 0644" in found(database.modes, world.case(), OK)[0]

    @pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
    def test_writable(self, world: World, mode: int) -> None:
        """A history that others can write is a problem."""
        world.history(ROW).chmod(mode)
        assert found(database.modes, world.case(), PROBLEM)[0].endswith(f"-> sudo chmod 0644 {world.database}")

    def test_private(self, world: World) -> None:
        """Where it was to be private, one that all can read is a problem; elsewhere one that they cannot read is a note."""
        world.history(ROW).chmod(0o640)
        assert "users cannot see the history" in found(database.modes, world.case(), NOTE)[0]
        (world.state / "private").touch()
        world.records(private=True)
        assert found(database.modes, world.case(), NOTE) == []
        world.database.chmod(0o644)
        assert "was to be private" in found(database.modes, world.case(), PROBLEM)[0]

    def test_owner(self, world: World) -> None:
        """A history of somebody else is a problem."""
        os.chown(world.history(ROW), 1234, 0)
        assert "belongs to user 1234" in found(database.modes, world.case(), PROBLEM)[0]

    @pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
    def test_directory(self, world: World, mode: int) -> None:
        """A directory that others can write is a problem: they could replace the history."""
        world.history(ROW)
        world.state.chmod(mode)
        words = found(database.modes, world.case(), PROBLEM)[0]
        assert words.startswith(f"{world.state} can be written by others (mode {mode:04o}): somebody else than root can replace the history")
        assert words.endswith(f" -> sudo chown root: {world.state}; sudo chmod go-w {world.state}")

    def test_directory_of_logs(self, world: World) -> None:
        """/var/log belongs to the distribution: that its group can write it, as on Ubuntu, is a note."""
        make_file(world.write("var/log/wtmp.db", ""), [ROW])
        world.link("var/lib/wtmpdb/wtmp.db", "/var/log/wtmp.db")
        (world.root / "var/log").chmod(0o775)
        assert "can be written by its group" in found(database.modes, world.case(), NOTE)[0]
        assert found(database.modes, world.case(), PROBLEM) == []
        (world.root / "var/log").chmod(0o777)
        assert "can be written by others" in found(database.modes, world.case(), PROBLEM)[0]

    def test_directory_of_the_link(self, world: World) -> None:
        """Where the history is a link, its own directory must be root's alone, too."""
        make_file(world.write("var/log/wtmp.db", ""), [ROW])
        world.link("var/lib/wtmpdb/wtmp.db", "/var/log/wtmp.db")
        world.state.chmod(0o777)
        assert f"{world.state} can be written by others" in found(database.modes, world.case(), PROBLEM)[0]

    def test_journal(self, world: World) -> None:
        """A journal with other modes than the history, of somebody else, or that is no file, is a problem."""
        world.history(ROW)
        journal = world.state / "wtmp.db-journal"
        journal.touch()
        journal.chmod(0o666)
        assert "-journal has the mode 0666" in found(database.modes, world.case(), PROBLEM)[0]
        os.chown(journal, 1234, 0)
        assert "-journal belongs to user 1234" in found(database.modes, world.case(), PROBLEM)[0]
        journal.unlink()
        journal.symlink_to("/etc/passwd")
        assert "-journal is not a regular file" in found(database.modes, world.case(), PROBLEM)[0]


class TestWhole:
    def test_well(self, world: World) -> None:
        """A history without damage is said to be so, also by the full check, which leaves nothing behind."""
        world.history(ROW)
        assert "quick check finds no damage" in found(database.whole, world.case(), OK)[0]
        assert "full check of a copy finds no damage" in found(database.whole, world.case(full=True), OK)[0]

    def test_empty(self, world: World) -> None:
        """An empty file is a history without rows: logrotate leaves one."""
        world.database.touch()
        assert "is empty" in found(database.whole, world.case(), OK)[0]
        assert list(database.tables(world.case())) == []

    def test_no_database(self, world: World) -> None:
        """What is no database is a problem, and the other checks are silent."""
        world.database.write_bytes(b"x" * 384)
        assert "not a database" in found(database.whole, world.case(), PROBLEM)[0]
        assert list(database.tables(world.case())) == []
        world.database.unlink()
        world.database.mkdir()
        assert "is a directory" in found(database.whole, world.case(), PROBLEM)[0]
        assert list(database.tables(world.case())) == []

    @pytest.mark.parametrize("full", [False, True])
    def test_damaged(self, world: World, *, full: bool) -> None:
        """Damage in a page is found, with how to save what is left."""
        world.history(*[(*ROW[:2], NOON + number, *ROW[3:]) for number in range(2000)])
        damaged = bytearray(world.database.read_bytes())
        damaged[9 * 4096 : 11 * 4096] = b"\xa5" * 8192
        world.database.write_bytes(damaged)
        problems = found(database.whole, world.case(full=full), PROBLEM)
        assert len(problems) == 1
        assert " .dump'" in problems[0]

    def test_damaged_index(self, world: World) -> None:
        """An index that says something else than its table is found by the full check."""
        world.history(ROW)
        with edit(world.database) as db:
            db.execute("PRAGMA writable_schema = ON")
            db.execute("UPDATE sqlite_master SET sql = 'CREATE INDEX wtmp_user ON wtmp (TTY, Login)' WHERE name = 'wtmp_user'")
        assert found(database.whole, world.case(), PROBLEM) == []
        assert "wtmp_user" in found(database.whole, world.case(full=True), PROBLEM)[0]

    def test_large(self, world: World) -> None:
        """The quick check of a large history ends after its bound, and says what it has not looked at."""
        world.history(*[(*ROW[:2], NOON + number, *ROW[3:]) for number in range(100_000)])
        with asking.asked(str(world.database), 0.002) as log:
            assert log is not None
            begun = time.monotonic()
            findings = list(database._checked(log, str(world.database)))
        assert time.monotonic() - begun < 0.1
        assert "the file is too large to look at" in said(findings, OK)[0]
        assert "wtmp too: 'wtmpdb doctor --full' does" in said(findings, OK)[0]

    def test_bound(self, world: World) -> None:
        """A question that takes too long is broken off in its midst, and what stands behind it is passed over."""
        world.history(ROW)
        begun = time.monotonic()
        with asking.asked(str(world.database), 0.05) as log:
            assert log is not None
            log.all("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
            pytest.fail("not broken off")
        assert time.monotonic() - begun < 1

    def test_locked(self, world: World) -> None:
        """A history that somebody holds locked is told so, within a second or two."""
        world.history(ROW)
        with closing(sqlite3.connect(world.database, isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            assert "locked by another program" in found(database.whole, world.case(), PROBLEM)[0]

    def test_killed_writer(self, world: World) -> None:
        """What a writer that was killed leaves is explained, with the command that mends it."""
        world.history(ROW)
        subprocess.run([sys.executable, "-c", KILLED, world.database], check=False)
        assert "its last writer was killed in the middle -> run 'wtmpdb recorder --once' as root" in found(database.whole, world.case(), PROBLEM)[0]

    def test_wal(self, world: World) -> None:
        """A history in WAL mode is a problem: users cannot read it."""
        world.history(ROW)
        with closing(sqlite3.connect(world.database)) as db:
            db.execute("PRAGMA journal_mode = WAL")
        assert "is in WAL mode" in found(database.whole, world.case(), PROBLEM)[0]

    def test_no_room_for_a_copy(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without room for a copy the full check is left out, and says so."""
        world.history(ROW)
        monkeypatch.setattr(database.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))  # type: ignore[attr-defined]
        assert "no room for a copy" in found(database.whole, world.case(full=True), NOTE)[0]

    def test_writers_do_not_wait(self, world: World) -> None:
        """While a check is open, others can write: no lock is held between two questions."""
        world.history(ROW)
        with asking.asked(str(world.database)) as log:
            assert log is not None
            assert log.all("SELECT ID FROM wtmp", most=1) == [(1,)]
            assert log.all("PRAGMA quick_check", most=1) == [("ok",)]
            with closing(sqlite3.connect(world.database, timeout=0)) as writer, writer:
                writer.execute("UPDATE wtmp SET Logout = 1")


class TestTables:
    def test_well(self, world: World) -> None:
        """The tables and indexes of this version are well."""
        world.history(ROW)
        findings = list(database.tables(world.case()))
        assert [finding.state for finding in findings] == [OK, OK]
        assert findings[0].what == f"are those of version {schema.VERSION}"

    def test_made_by_c(self, world: World) -> None:
        """A file of the C tools lacks our tables and indexes: notes, with what adds them."""
        world.history(ROW, ours=False)
        notes = found(database.tables, world.case(), NOTE)
        assert notes[0].startswith("the C tools have made the file")
        assert notes[1] == "wtmp_login, wtmp_open, wtmp_user, wtmp_boot missing: 'last' and the recorder are slow -> sudo wtmpdb setup"
        assert found(database.tables, world.case(), PROBLEM) == []

    def test_one_index_missing(self, world: World) -> None:
        """An index that is missing is named."""
        world.history(ROW)
        with edit(world.database) as db:
            db.execute("DROP INDEX wtmp_user")
        assert found(database.tables, world.case(), NOTE)[0].startswith("wtmp_user missing")

    def test_version(self, world: World) -> None:
        """A file of a newer or an older version is told as such."""
        world.history(ROW)
        for version, word in ((schema.VERSION + 1, "a newer wtmpdb has written"), (-1, "an older wtmpdb has written")):
            with edit(world.database) as db:
                db.execute(f"PRAGMA user_version = {version}")
            assert word in found(database.tables, world.case(), NOTE)[0]

    def test_missing_trigger(self, world: World) -> None:
        """A table or trigger of ours that is missing is a problem."""
        world.history(ROW)
        with edit(world.database) as db:
            db.execute("DROP TRIGGER wtmp_deleted")
            db.execute("DROP TABLE imported")
        assert found(database.tables, world.case(), PROBLEM)[0].startswith("imported, wtmp_deleted of ours is not there")

    def test_columns(self, world: World) -> None:
        """A ninth column, be it generated, breaks the C tools: a problem."""
        world.history(ROW)
        with edit(world.database) as db:
            db.execute("ALTER TABLE wtmp ADD COLUMN Length INTEGER AS (Logout - Login) VIRTUAL")
        assert "the C tools insist on" in found(database.tables, world.case(), PROBLEM)[0]

    def test_another_database(self, world: World) -> None:
        """A database without the table is no history; its names cannot harm a terminal."""
        with edit(world.database) as db:
            db.execute('CREATE TABLE "x\033[2J" (a)')
        assert "no history" in found(database.tables, world.case(), PROBLEM)[0]
        with edit(world.database) as db:
            db.execute('CREATE TABLE wtmp ("\033[2J\n" TEXT)')
        assert "\\033[2J\\012" in found(database.tables, world.case(), PROBLEM)[0]

    def test_large_ids(self, world: World) -> None:
        """IDs that the C tools cannot read are a problem."""
        world.history(ROW)
        with edit(world.database) as db:
            db.execute("UPDATE wtmp SET ID = 2147483648")
        assert "IDs above 2147483647" in found(database.tables, world.case(), PROBLEM)[0]


class TestBoots:
    @pytest.fixture
    def case(self, world: World) -> Case:
        """Return a case of the machine itself, with the history of the tree."""
        world.history()
        case = world.case()
        case.root = "/"
        return case

    def test_recorded(self, case: Case) -> None:
        """The running boot is recorded when a row has its key."""
        with Log.write(case.database) as log:
            log.begin_boot(BOOT_KEY, NOON, user="reboot", kernel="6.1")
        assert found(database.boots, case, OK) == ["the running boot is recorded -> "]

    def test_not_recorded(self, case: Case) -> None:
        """A boot without a row is a problem where systemd should have recorded it, and a note elsewhere."""
        assert "is not recorded" in found(database.boots, case, NOTE)[0]
        case.systemd = True
        assert found(database.boots, case, PROBLEM)[0].endswith("-> sudo wtmpdb boot")

    def test_by_c(self, case: Case) -> None:
        """A row of the C tool for this boot is a note."""
        with edit(case.database) as db:  # type: ignore[arg-type]
            db.execute("INSERT INTO wtmp (Type, User, Login, TTY) VALUES (1, 'reboot', ?, '~')", (Machine().boot_time() + 5_000_000,))
        assert "recorded by the C tool" in found(database.boots, case, NOTE)[0]


def test_table_of_another_program(tmp_path: Path) -> None:
    """A database that is asked for by name is judged by what is in it, not by whose it is."""
    path = tmp_path / "backup.db"
    with edit(path) as db:
        db.execute(C_TABLE)
    path.chmod(0o666)
    from wtmpdb.doctor.case import Case  # noqa: PLC0415
    from wtmpdb.doctor.examine import examine  # noqa: PLC0415

    findings = examine(Case(file=str(path)))
    assert {finding.check for finding in findings} == {"integrity", "tables", "indexes"}
    assert said(findings, PROBLEM) == []
