# SPDX-License-Identifier: BSD-2-Clause
"""The file of the history."""

from __future__ import annotations

import grp
import itertools
import multiprocessing
import os
import signal
import sqlite3
import stat
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import BOOT_KEY, C_TABLE, HOUR, NOON, SECOND, closed, edit, make_file, opened, table
from wtmpdb.errors import BusyLogError, DamagedLogError, FullError, LogError, NoLogError
from wtmpdb.log import Log

if TYPE_CHECKING:
    from wtmpdb.event import Event

ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="needs root: mounts, other users")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a history may be made."""
    return tmp_path / "wtmp.db"


def apply(path: Path, *events: Event) -> None:
    """Apply events in one transaction."""
    with Log.write(str(path)) as log:
        log.apply(events)


def logins(path: Path) -> list[tuple[str, int, int | None]]:
    """Return user, login and logout of all entries, newest first."""
    with Log.read(str(path)) as log:
        return [(entry.user, entry.login, entry.logout) for entry in log.entries()]


class TestFile:
    def test_layout(self, path: Path) -> None:
        """The table has exactly the columns that C readers insist on, is STRICT and never uses an ID again."""
        Log.write(str(path)).close()
        with edit(path) as database:
            columns = [(name, kind, bool(not_null)) for _, name, kind, not_null, _, _ in database.execute("PRAGMA table_info(wtmp)")]
            definition = database.execute("SELECT sql FROM sqlite_master WHERE name = 'wtmp'").fetchone()[0]
        assert columns == [
            ("ID", "INTEGER", False),
            ("Type", "INTEGER", False),
            ("User", "TEXT", True),
            ("Login", "INTEGER", False),
            ("Logout", "INTEGER", False),
            ("TTY", "TEXT", False),
            ("RemoteHost", "TEXT", False),
            ("Service", "TEXT", False),
        ]
        assert "AUTOINCREMENT" in definition
        assert definition.endswith("STRICT")

    def test_journal(self, path: Path) -> None:
        """The file stays in rollback-journal mode, with commits that are synced."""
        with Log.write(str(path)) as log:
            assert log._db.execute("PRAGMA journal_mode").fetchone() == (b"persist",)
            assert log._db.execute("PRAGMA synchronous").fetchone() == (2,)
        with open(path, "rb") as file:
            assert file.read(20)[18:] == b"\1\1"  # read and write version of the header: 1 is rollback

    @ROOT_ONLY
    def test_modes(self, path: Path) -> None:
        """A new file is 0644 and of the group utmp, whatever the umask."""
        before = os.umask(0o077)
        try:
            Log.write(str(path)).close()
        finally:
            os.umask(before)
        facts = path.stat()
        assert stat.S_IMODE(facts.st_mode) == 0o644
        assert facts.st_gid == grp.getgrnam("utmp").gr_gid

    def test_link_to_nothing(self, path: Path, tmp_path: Path) -> None:
        """A link to a file that is not there yet, as Debian 13 has it, is followed."""
        path.symlink_to(tmp_path / "elsewhere.db")
        apply(path, opened())
        assert path.is_symlink()
        assert len(table(tmp_path / "elsewhere.db")) == 1

    def test_absent(self, path: Path) -> None:
        """A file that is not there is said to be absent, and reading does not make it."""
        with pytest.raises(NoLogError, match="No such file"):
            Log.read(str(path))
        assert not path.exists()

    def test_empty(self, path: Path) -> None:
        """An empty file, as logrotate leaves it, reads as no entries, and is written to."""
        path.touch()
        with Log.read(str(path)) as log:
            assert list(log.rows()) == []
            assert log.begins() is None
            assert log.boots() == []
            assert log.opening(1, 1) is None
        apply(path, opened())
        assert len(logins(path)) == 1

    def test_directory(self, tmp_path: Path) -> None:
        """A directory is no file of history, to read or to write."""
        for opening in (Log.read, Log.write):
            with pytest.raises(LogError, match="is a directory"):
                opening(str(tmp_path))

    def test_not_a_database(self, path: Path) -> None:
        """A wtmp file of old, or any other file, is said to be no database, and stays as it is."""
        path.write_bytes(b"\7" + bytes(383) * 3)
        before = path.read_bytes()
        for opening in (Log.read, Log.write):
            with pytest.raises(DamagedLogError, match="not a database"):
                opening(str(path))
        assert path.read_bytes() == before

    def test_corrupt(self, path: Path) -> None:
        """A damaged database is said to be damaged, with what to do."""
        make_file(path, [(3, f"user{number}", NOON, None, "tty1", None, "login") for number in range(5000)])
        with open(path, "r+b") as file:
            file.seek(8192)
            file.write(os.urandom(path.stat().st_size - 8192))
        with pytest.raises(DamagedLogError, match="damaged") as error, Log.read(str(path)) as log:
            list(log.rows())
        assert "recover" in error.value.hint

    def test_other_database(self, path: Path) -> None:
        """A database of something else is told apart from a history."""
        with edit(path) as database:
            database.execute("CREATE TABLE wtmp (id, name)")
        with pytest.raises(LogError, match="not a history"), Log.read(str(path)) as log:
            list(log.rows())

    @ROOT_ONLY
    def test_no_permission(self, path: Path) -> None:
        """A user who may not read the file is told so."""
        make_file(path, [])
        path.chmod(0o600)
        path.parent.chmod(0o755)
        assert run_as_nobody(lambda: Log.read(str(path))) == "DeniedLogError: Permission denied"

    @ROOT_ONLY
    def test_wal_read_by_anybody(self, path: Path) -> None:
        """Of a file in WAL mode, which a user cannot read, that is said, and what root can do."""
        make_file(path, [])
        with edit(path) as database:
            database.execute("PRAGMA journal_mode = WAL")
        assert run_as_nobody(lambda: logins(path)) == "LogError: is in WAL mode, in which only its owner can read it"

    @ROOT_ONLY
    def test_read_by_anybody(self, path: Path) -> None:
        """A user who may only read sees the entries, also beside the journal that the last writer left."""
        apply(path, opened("bob"))
        assert (path.parent / "wtmp.db-journal").exists()
        assert run_as_nobody(lambda: str(logins(path))) == f"[('bob', {NOON}, None)]"

    def test_odd_names(self, tmp_path: Path) -> None:
        """Characters that mean something in a URI, and bytes that are no text, may stand in the path."""
        for name in ("a?mode=rwc", "100%", "a#b", "a b", "ü", os.fsdecode(b"\xff.db")):
            path = tmp_path / name
            apply(path, opened())
            assert len(logins(path)) == 1

    def test_wal_is_undone(self, path: Path) -> None:
        """A file that somebody put into WAL mode, which users could not read, is put back."""
        make_file(path, [])
        with edit(path) as database:
            database.execute("PRAGMA journal_mode = WAL")
        apply(path, opened())
        assert path.read_bytes()[18:20] == b"\1\1"

    def test_replaced(self, path: Path) -> None:
        """When logrotate moves the file away, the next writer makes a new one and the old one keeps its rows."""
        apply(path, opened("alice"))
        path.rename(path.with_suffix(".1"))
        path.touch()
        apply(path, opened("bob"))
        assert [user for user, _, _ in logins(path)] == ["bob"]
        assert [user for user, _, _ in logins(path.with_suffix(".1"))] == ["alice"]

    def test_killed_writer(self, path: Path) -> None:
        """A journal left by a killed writer stops a reader with a hint, and the next writer mends it; nothing that was committed is lost."""
        make_file(path, [(3, "alice", NOON, None, "tty1", None, "login")])
        leave_hot_journal(path)
        if os.getuid() == 0:
            os.chmod(path, 0o644)
        with pytest.raises(LogError, match="killed in the middle") as error:
            logins(path)
        assert "recorder --once" in error.value.hint
        apply(path, opened("bob", NOON + 1))
        assert [user for user, _, _ in logins(path)] == ["bob", "alice"]

    @ROOT_ONLY
    def test_full_disk(self, tmp_path: Path) -> None:
        """On a full disk nothing is half written: the error says so, what was there is whole, and it goes on when there is room."""
        with mounted(tmp_path / "small", "size=256k") as small:
            path = small / "wtmp.db"
            apply(path, opened("first", NOON - 1))
            with pytest.raises(FullError, match="no space left"):
                for _ in range(1000):
                    apply(path, *(opened(host="x" * 200) for _ in range(20)))
            with edit(path) as database:
                assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert ("first", NOON - 1, None) in logins(path)

    @ROOT_ONLY
    def test_read_only_file_system(self, tmp_path: Path) -> None:
        """On a read-only file system the history can be read; writing is refused with the reason."""
        with mounted(tmp_path / "small", "size=1m") as small:
            path = small / "wtmp.db"
            apply(path, opened("alice"))
            subprocess.run(["mount", "-o", "remount,ro", small], check=True)
            assert len(logins(path)) == 1
            with pytest.raises(LogError, match="read-only"):
                apply(path, opened("bob"))

    def test_locked(self, path: Path) -> None:
        """A lock is waited for as long as asked and no longer."""
        make_file(path, [])
        with edit(path) as other:
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            with pytest.raises(BusyLogError, match="locked"), Log.write(str(path), timeout=0.3) as log:
                log.apply([opened()])
            assert 0.2 < time.monotonic() - began < 3


class TestApply:
    def test_open_then_close(self, path: Path) -> None:
        """A session that is opened and closed is one row with both times."""
        event = opened("alice")
        apply(path, event)
        assert table(path) == [(1, 3, "alice", NOON, None, "ssh", "192.0.2.7", "sshd")]
        apply(path, closed(event, NOON + 5))
        assert table(path) == [(1, 3, "alice", NOON, NOON + 5, "ssh", "192.0.2.7", "sshd")]

    def test_any_order(self, path: Path) -> None:
        """However often and in whatever order the letters of two sessions come, the rows are the same."""
        first, second = opened("alice"), opened("bob", NOON + 1)
        letters = [first, closed(first, NOON + 5), second, closed(second, NOON + 6)]
        expected = {("alice", NOON, NOON + 5), ("bob", NOON + 1, NOON + 6)}
        for number, order in enumerate(itertools.permutations(letters)):
            place = path.with_name(f"{number}.db")
            for event in (*order, *order):
                apply(place, event)
            assert set(logins(place)) == expected
            assert len(table(place)) == 2

    def test_close_alone(self, path: Path) -> None:
        """A close whose open was lost makes a whole row."""
        apply(path, closed(opened("alice"), NOON + 5))
        assert logins(path) == [("alice", NOON, NOON + 5)]

    def test_closed_by_somebody_else(self, path: Path) -> None:
        """A logout that another program wrote into our row, as Debian 13's sshd may into that of a su, goes to the row that was meant."""
        make_file(path, [(3, "alice", NOON - 9, None, tty, None, "sshd") for tty in ("pts/0", "pts/1")])
        su = opened("root", tty="pts/0", service="su")
        apply(path, su)
        with edit(path) as database:
            database.execute("UPDATE wtmp SET Logout = ? WHERE User = 'root'", (NOON + 4,))
        apply(path, closed(su, NOON + 5))
        assert [row[2:6] for row in table(path)] == [
            ("alice", NOON - 9, NOON + 4, "pts/0"),
            ("alice", NOON - 9, None, "pts/1"),
            ("root", NOON, NOON + 5, "pts/0"),
        ]

    def test_all_or_nothing(self, path: Path) -> None:
        """When one event of a batch cannot be written, none is."""
        bad = opened("bob")
        bad.user = object()  # type: ignore[assignment]
        with pytest.raises(LogError), Log.write(str(path)) as log:
            log.apply([opened("alice"), bad])
        assert table(path) == []

    def test_close_without_a_key(self, path: Path) -> None:
        """A close without a key closes the newest open row of its process, or else of its tty, user and service, once."""
        mine, other = opened("alice", NOON), opened("alice", NOON + 1, pid=101)
        unnamed = closed(mine, NOON + 5, key=None, opened=None)
        apply(path, mine, other, unnamed, unnamed)
        assert set(logins(path)) == {("alice", NOON, NOON + 5), ("alice", NOON + 1, None)}
        by_tty = closed(other, NOON + 6, key=None, opened=None, pid=None, start=None)
        apply(path, by_tty)
        apply(path, by_tty)
        assert set(logins(path)) == {("alice", NOON, NOON + 5), ("alice", NOON + 1, NOON + 6)}

    def test_close_without_a_key_of_a_row_by_c(self, path: Path) -> None:
        """A close without a key also closes a row that C wrote, and does not close the one before it when it comes again."""
        rows = [(3, "alice", NOON + number, None, "tty1", None, "login") for number in range(2)]
        make_file(path, rows, ours=False)
        unnamed = closed(opened("alice", tty="tty1", service="login"), NOON + 5, key=None, opened=None)
        apply(path, unnamed)
        apply(path, unnamed)
        assert logins(path) == [("alice", NOON + 1, NOON + 5), ("alice", NOON, None)]

    def test_close_without_a_key_spares_the_living(self, path: Path) -> None:
        """A close without a key does not close the session of another process, though user, tty and service are the same."""
        first, second = opened(pid=11), opened(time=NOON + 1, pid=12)
        apply(path, first, second, closed(first, NOON + 5, key=None, opened=None, pid=99))
        assert [row[4] for row in table(path)] == [None, None]

    def test_close_without_a_key_after_the_clock_was_set_back(self, path: Path) -> None:
        """The process of a close without a key tells its row, even when the clock was set back in between."""
        event = opened()
        apply(path, event, closed(event, NOON - 5, key=None, opened=None))
        assert logins(path) == [("alice", NOON, NOON - 5)]

    def test_close_without_a_key_of_a_zero(self, path: Path) -> None:
        """A logout of 0, which C takes for none, is none here too."""
        make_file(path, [(3, "alice", NOON, 0, "tty1", None, "login")])
        apply(path, closed(opened(tty="tty1", service="login"), NOON + 5, key=None, opened=None))
        assert logins(path) == [("alice", NOON, NOON + 5)]

    def test_close_of_a_changed_row(self, path: Path) -> None:
        """When somebody has changed the login of an open row, the close makes a whole row of its own."""
        event = opened()
        apply(path, event)
        with edit(path) as database:
            database.execute("UPDATE wtmp SET Login = 5")
        for _ in range(2):
            apply(path, closed(event, NOON + 5))
        assert logins(path) == [("alice", NOON, NOON + 5), ("alice", 5, None)]

    def test_old_rows_are_not_given_a_logout(self, path: Path) -> None:
        """A logout that is handed on does not go to a session of an earlier boot."""
        rows = [(3, "old", NOON - HOUR, None, "pts/0", None, "sshd"), (1, "reboot", NOON - 9, None, "~", "6.1", None)]
        make_file(path, rows)
        su = opened("root", tty="pts/0")
        apply(path, su)
        with edit(path) as database:
            database.execute("UPDATE wtmp SET Logout = ? WHERE User = 'root'", (NOON + 4,))
        apply(path, closed(su, NOON + 5))
        assert table(path)[0][4] is None

    def test_foreign_version(self, path: Path) -> None:
        """A version that another program wrote into the file does not keep us from making our tables."""
        make_file(path, [], ours=False)
        with edit(path) as database:
            database.execute("PRAGMA user_version = 99")
        apply(path, opened())
        assert len(logins(path)) == 1

    def test_close_of_nothing(self, path: Path) -> None:
        """A close without a key that fits no open row changes nothing, and is counted."""
        with Log.write(str(path)) as log:
            assert log.apply([closed(opened(), NOON, key=None, opened=None)]).unmatched == 1
        assert table(path) == []

    def test_ids_used_again(self, path: Path) -> None:
        """In a file made by C, whose IDs can come again, what we know of a deleted row is not taken for the new row's."""
        make_file(path, [], ours=False)
        apply(path, opened("alice"))
        with edit(path) as database:
            database.execute("DROP TRIGGER wtmp_deleted")
            database.execute("DELETE FROM wtmp")
            database.execute("INSERT INTO wtmp (Type, User, Login) VALUES (3, 'bob', ?)", (NOON + 9,))
            assert database.execute("SELECT entry_id FROM session").fetchone() == (1,)
        with Log.read(str(path)) as log:
            assert log.opening(1, NOON + 9) is None
        event = opened("carol", NOON + 10)
        apply(path, event, closed(event, NOON + 11))
        assert ("bob", NOON + 9, None) in logins(path)

    def test_deleted_rows_take_their_side_rows_along(self, path: Path) -> None:
        """When any program deletes a row, what we know of it goes too."""
        apply(path, opened())
        with edit(path) as database:
            database.execute("DELETE FROM wtmp")
            assert database.execute("SELECT count(*) FROM session").fetchone() == (0,)

    @pytest.mark.parametrize("strict", [True, False])
    def test_file_made_by_c(self, path: Path, strict: bool) -> None:
        """A file made by C gains side tables and indexes, keeps its rows, and C's readers still find eight columns."""
        make_file(path, [(1, "reboot", NOON - HOUR, None, "~", "6.1.0", None)], strict=strict, ours=False)
        apply(path, opened())
        with edit(path) as database:
            assert len(database.execute("SELECT * FROM wtmp").description) == 8
            assert {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE name LIKE 'wtmp\\__%' ESCAPE '\\'")} >= {
                "wtmp_login",
                "wtmp_open",
                "wtmp_user",
                "wtmp_boot",
                "wtmp_deleted",
            }
        assert len(logins(path)) == 2


class TestScan:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        st.lists(st.none() | st.integers(-5, 5) | st.integers(-(2**63), 2**63 - 1), max_size=300),
        st.none() | st.integers(-5, 5),
        st.none() | st.integers(-5, 5),
        st.booleans(),
        st.booleans(),
    )
    def test_order_and_bounds(self, path: Path, times: list[int | None], since: int | None, until: int | None, ours: bool, in_order: bool) -> None:
        """All rows within the bounds come once, by login and then ID, newest first, with and without our indexes."""
        if in_order:
            times = sorted(time for time in times if time is not None)  # type: ignore[assignment]
        path.unlink(missing_ok=True)
        path.with_name("wtmp.db-journal").unlink(missing_ok=True)
        make_file(path, [(3, "alice", login, None, None, None, None) for login in times], ours=ours)
        with Log.read(str(path)) as log:
            seen = [(row[5], row[7]) for chunk in log.rows(since, until) for row in chunk]
        everything = [(0 if login is None else login, number) for number, login in enumerate(times, 1)]
        if ours:
            dated = sorted((pair for pair in everything if times[pair[1] - 1] is not None), reverse=True)
            undated = sorted((pair for pair in everything if times[pair[1] - 1] is None), reverse=True)
            expected = [pair for pair in dated if in_bounds(pair[0], since, until)] + (undated if since is None else [])
        else:
            expected = [pair for pair in sorted(everything, reverse=True) if in_bounds(pair[0], since, until)]
        if min((login for login, _ in everything), default=0) > -(2**63):  # the least number of all is kept apart from the next
            assert seen == expected

    def test_same_time(self, path: Path) -> None:
        """Any number of rows of one moment come once each."""
        make_file(path, [(3, "alice", NOON, None, None, None, None)] * 10_000)
        with Log.read(str(path)) as log:
            assert [row[7] for chunk in log.rows() for row in chunk] == list(range(10_000, 0, -1))

    @pytest.mark.parametrize("ours", [True, False])
    def test_holds_no_lock(self, path: Path, ours: bool) -> None:
        """A reader that stops in the middle of the list blocks no writer."""
        make_file(path, [(3, "alice", NOON + number, None, None, None, None) for number in range(10_000)], ours=ours)
        with Log.read(str(path)) as log:
            rows = log.rows()
            next(rows)
            with Log.write(str(path), timeout=0) as writer:
                writer.apply([opened("bob", NOON - 1)])
            assert sum(len(chunk) for chunk in rows) >= 10_000 - 4096

    @pytest.mark.parametrize("number", [20, 1000])
    def test_page_missing(self, path: Path, number: int) -> None:
        """A file whose last page was lost, which SQLite does not see, is said to be damaged, not read without end."""
        path = make_file(path.with_name("c.db"), [(3, "alice", NOON, None, None, None, None)] * number, ours=False)
        os.truncate(path, path.stat().st_size - 4000)
        with Log.read(str(path)) as log, pytest.raises(DamagedLogError, match="is damaged"):
            list(log.rows())

    def test_damaged_rows(self, path: Path) -> None:
        """In a file that is not STRICT any type may stand in any column: the rows are read all the same."""
        make_file(path, [], strict=False, ours=False)
        with edit(path) as database:
            for row in (("x", b"\xff", "soon", 1.5), (None, 7, 2.5, "later"), (3, "bob", b"", None), (3, "carol", 1e300, b"\xfe")):
                database.execute("INSERT INTO wtmp (Type, User, Login, Logout) VALUES (?, ?, ?, ?)", row)
        with Log.read(str(path)) as log:
            assert sorted((entry.user, entry.login, entry.logout) for entry in log.entries()) == [
                ("7", 2, None),
                ("bob", 0, None),
                ("carol", 2**63 - 1, None),
                ("\udcff", 0, 1),
            ]

    @pytest.mark.parametrize(
        "table",
        [
            "wtmp (ID INTEGER PRIMARY KEY, Type ANY, User ANY, Login ANY, Logout ANY, TTY ANY, RemoteHost ANY, Service ANY) STRICT",
            "wtmp (ID INTEGER PRIMARY KEY, Type, User, Login, Logout, TTY, RemoteHost, Service)",
        ],
    )
    def test_text_for_times(self, path: Path, table: str) -> None:
        """Where times are text, each row is read once all the same, also with an index on them, and whatever process ids are."""
        with edit(path) as database:
            database.execute(f"CREATE TABLE {table}")
            database.execute("CREATE INDEX login ON wtmp (Login)")
            database.executemany("INSERT INTO wtmp (Type, User, Login, Logout) VALUES (3, 'x', ?, 'y')", ((f"t{n}",) for n in range(3000)))
            database.execute("CREATE TABLE session (entry_id, login, session_key, opened_by, closed_by, boot_key, pid, start_ticks, xdg_session)")
            database.execute("INSERT INTO session VALUES (1, 't0', NULL, NULL, NULL, 'k', 1.5, 'x', NULL)")
        with Log.read(str(path)) as log:
            assert sum(len(chunk) for chunk in log.rows()) == 3000
            opening = log.opening(1, "t0")  # type: ignore[arg-type]
        assert opening
        assert (opening.pid, opening.start) == (None, None)

    def test_view(self, path: Path) -> None:
        """A view called wtmp is no history."""
        with edit(path) as database:
            database.execute("CREATE VIEW wtmp AS SELECT 1")
        with Log.read(str(path)) as log:
            for ask in (lambda: list(log.rows()), log.boots, log.open_rows, log.begins):
                with pytest.raises(DamagedLogError, match="wtmp is a view"):
                    ask()

    def test_words_of_a_hostile_file(self, path: Path) -> None:
        """What SQLite quotes out of a hostile file reaches the terminal escaped."""
        with edit(path) as database:
            database.execute("CREATE TABLE wtmp (x)")
            database.execute("PRAGMA writable_schema = ON")
            database.execute("UPDATE sqlite_master SET sql = 'CREATE VIRTUAL TABLE wtmp USING \"\x1b[2J\nforged\"'")
        with pytest.raises(LogError) as error:
            logins(path)
        assert "\x1b" not in str(error.value)
        assert "\n" not in str(error.value)

    def test_bytes_that_are_no_text(self, path: Path) -> None:
        """A name that C stored as it came, not in UTF-8, is read."""
        make_file(path, [])
        with edit(path) as database:
            database.execute("INSERT INTO wtmp (Type, User, Login) VALUES (3, CAST(x'ff41' AS TEXT), 5)")
        with Log.read(str(path)) as log:
            assert next(log.entries()).user == "\udcffA"

    def test_begins(self, path: Path) -> None:
        """The beginning of a history is its oldest login."""
        make_file(path, [(3, "alice", NOON, None, None, None, None), (3, "bob", NOON - 5, None, None, None, None)])
        with Log.read(str(path)) as log:
            assert log.begins() == NOON - 5


class TestBoots:
    def test_once(self, path: Path) -> None:
        """A boot is written once, however often it is reported."""
        with Log.write(str(path)) as log:
            assert log.begin_boot(BOOT_KEY, NOON, user="reboot", kernel="6.1") == "written"
            assert log.begin_boot(BOOT_KEY, NOON + 5, user="reboot", kernel="6.1") == "known"
        assert table(path) == [(1, 1, "reboot", NOON, None, "~", "6.1", None)]

    def test_end_closes_its_own(self, path: Path) -> None:
        """A shutdown closes the row of its boot, no other, and only once."""
        with Log.write(str(path)) as log:
            log.begin_boot("other", NOON - HOUR, user="reboot", kernel="6.1")
            log.begin_boot(BOOT_KEY, NOON, user="reboot", kernel="6.1")
            assert log.end_boot(BOOT_KEY, NOON + 5)
            assert not log.end_boot(BOOT_KEY, NOON + 9)
            assert not log.end_boot("unknown", NOON + 9)
        assert logins(path) == [("reboot", NOON, NOON + 5), ("reboot", NOON - HOUR, None)]

    def test_move(self, path: Path) -> None:
        """The time of a boot can be corrected, and it keeps its key."""
        with Log.write(str(path)) as log:
            log.begin_boot(BOOT_KEY, 5, user="reboot", kernel="6.1")
            assert log.move_boot(BOOT_KEY, NOON)
            assert [(boot.login, boot.key) for boot in log.boots()] == [(NOON, BOOT_KEY)]
            assert log.end_boot(BOOT_KEY, NOON + 5)

    @pytest.mark.parametrize(
        ("row", "adopted"),
        [
            ((1, "reboot", NOON - 3 * SECOND, None, "~", "6.1", None), True),
            ((1, "reboot", NOON - HOUR, None, "~", "6.1", None), False),
            ((1, "reboot", NOON - 3 * SECOND, NOON - SECOND, "~", "6.1", None), False),
            ((1, "soft-reboot", NOON - 3 * SECOND, None, "~", "6.1", None), True),
        ],
    )
    def test_adopt(self, path: Path, row: tuple[object, ...], adopted: bool) -> None:
        """An open boot row that C wrote seconds before becomes ours, whatever kind it took it for; one of long ago, or closed, does not."""
        make_file(path, [row], ours=False)
        with Log.write(str(path)) as log:
            spans = [(NOON - 60 * SECOND, NOON + 60 * SECOND)]
            done = log.begin_boot(BOOT_KEY, NOON, user="reboot", kernel="6.1", adopt=spans)
            assert done == ("adopted" if adopted else "written")
            assert len(log.boots()) == (1 if adopted else 2)
            assert log.end_boot(BOOT_KEY, NOON + 5)
        assert logins(path)[0] == ("reboot", NOON, NOON + 5)


@ROOT_ONLY
def test_closed_history_has_a_closed_journal(path: Path) -> None:
    """When an administrator lets only some read the history, its journal, which stays, follows with the next login."""
    apply(path, opened(host="secret.example"))
    os.chown(path, -1, 12345)
    path.chmod(0o640)
    apply(path, opened(time=NOON + 1))
    journal = path.with_name("wtmp.db-journal").stat()
    assert (stat.S_IMODE(journal.st_mode), journal.st_gid) == (0o640, 12345)


def test_parallel_writers(path: Path) -> None:
    """Several processes of C that write at the same time as ours lose nothing."""
    make_file(path, [])
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=write_like_c, args=(path, number)) for number in range(3)]
    for process in others:
        process.start()
    for number in range(50):
        apply(path, opened(f"ours{number}"))
    for process in others:
        process.join()
        assert process.exitcode == 0
    assert len(table(path)) == 50 + 3 * 50


def write_like_c(path: Path, number: int) -> None:
    """Write rows as the C library does: one transaction each, waiting for locks."""
    database = sqlite3.connect(path, timeout=5, isolation_level=None)
    for row in range(50):
        database.execute("INSERT INTO wtmp (Type, User, Login) VALUES (3, ?, ?)", (f"c{number}", NOON + row))
    database.close()


def in_bounds(value: int, since: int | None, until: int | None) -> bool:
    """Tell whether a time lies within bounds, both inclusive."""
    return (since is None or value >= since) and (until is None or value <= until)


def leave_hot_journal(path: Path) -> None:
    """Kill a writer in the middle of a big transaction, as often as it takes to leave a journal that must be rolled back."""
    script = f"""
import os, sqlite3
database = sqlite3.connect({str(path)!r}, isolation_level=None)
database.execute("PRAGMA cache_size = 10")
database.execute("BEGIN IMMEDIATE")
database.executemany("INSERT INTO wtmp (Type, User, Login) VALUES (3, ?, ?)", (("x" * 500, number) for number in range(5000)))
os.kill(os.getpid(), {int(signal.SIGKILL)})
"""
    subprocess.run(["/usr/bin/python3", "-c", script], check=False)
    with open(f"{path}-journal", "rb") as journal:
        assert journal.read(1) == b"\xd9"


def run_as_nobody(action: object) -> str:
    """Run something in a child process as nobody; return what it returned, or its error."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            said = str(action())  # type: ignore[operator]
        except Exception as error:  # noqa: BLE001 - the parent looks at it
            said = f"{type(error).__name__}: {str(error).partition(': ')[2]}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with open(reader, "rb") as answer:
        return answer.read().decode()


class mounted:  # noqa: N801 - with mounted(…)
    """A small file system in memory."""

    def __init__(self, place: Path, options: str) -> None:
        self.place = place
        self.options = options

    def __enter__(self) -> Path:
        self.place.mkdir()
        result = subprocess.run(["mount", "-t", "tmpfs", "-o", self.options, "tmpfs", self.place], capture_output=True, check=False)
        if result.returncode:
            pytest.skip(f"cannot mount here: {result.stderr.decode().strip()}")
        return self.place

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", self.place], check=True)


@pytest.fixture(autouse=True)
def open_directories(tmp_path: Path) -> None:
    """Let other users reach the files of a test."""
    if os.getuid() == 0:
        for place in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            place.chmod(0o755)


def test_c_table_is_that_of_c() -> None:
    """The table that the tests take for C's has the columns of ours."""
    ours, theirs = sqlite3.connect(":memory:"), sqlite3.connect(":memory:")
    from wtmpdb import schema  # noqa: PLC0415

    ours.execute(schema.WTMP)
    theirs.execute(C_TABLE)
    question = "SELECT name, type, pk FROM pragma_table_info('wtmp')"
    assert ours.execute(question).fetchall() == theirs.execute(question).fetchall()
    ours.close()
    theirs.close()


def test_open_rows_of_a_boot(tmp_path: Path) -> None:
    """With the key of a boot those open rows are left out that were written before it and began before it, and no others."""
    path = str(tmp_path / "wtmp.db")
    with Log.write(path) as log:
        log.apply([opened("crashed", NOON - 5, boot="old"), opened("wrong-clock-before", NOON + 5, boot="old")])
        log.begin_boot("new", NOON, user="reboot", kernel="6.1")
        log.apply([opened("alice", NOON + 9, boot="new"), opened("wrong-clock", 5, boot="new")])
        users = [row[1].decode() for row in log.open_rows("new") if row[8] == 3]
        assert users == ["alice", "wrong-clock-before", "wrong-clock"]
        assert len(log.open_rows("unknown")) == len(log.open_rows()) == 5


def test_openings_of_open_rows(tmp_path: Path) -> None:
    """What is known of the process behind an open row is the same, whether all open rows were asked for before or not."""
    path = str(tmp_path / "wtmp.db")
    with Log.write(path) as log:
        log.apply([opened("alice", pid=5, start=6, session="c7")])
    with Log.read(path) as log, Log.read(path) as other:
        ((ident, login),) = ((row[7], row[5]) for row in log.open_rows())
        for opening in (log.opening(ident, login), other.opening(ident, login)):
            assert opening is not None
            assert (opening.boot, opening.pid, opening.start, opening.xdg_session) == (BOOT_KEY, 5, 6, "c7")
        assert log.opening(ident, login + 1) is None
