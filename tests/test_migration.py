# SPDX-License-Identifier: BSD-2-Clause
"""Bringing the file of the history up to date, and meeting one that is newer."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import NOON, closed, edit, make_file, make_spool, opened, post, table
from wtmpdb import connection, log, migration, schema, shipped
from wtmpdb.errors import BusyLogError, DamagedLogError, LogError, WtmpdbError
from wtmpdb.log import Log
from wtmpdb.migration import add_indexes, bring_up_to_date, version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent
ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="needs root: mounts, the spool")

ROWS = [
    (1, "reboot", NOON - 9, None, "~", "6.1", None),
    (3, "alice", NOON, NOON + 5, "tty1", None, "login"),
    (3, "bob", NOON, None, "ssh", "h", "sshd"),
]

# A step as one may come one day: a column with a value in every row, and a table.
NEXT = """
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    ask = op.get_bind().exec_driver_sql
    if not ask("SELECT 1 FROM pragma_table_info('session') WHERE name = 'shell'").fetchone():
        op.execute("ALTER TABLE session ADD COLUMN shell TEXT")
    op.execute("UPDATE session SET shell = 'sh'")
    op.execute("CREATE TABLE IF NOT EXISTS more (entry_id INTEGER PRIMARY KEY)")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a history may be made."""
    return tmp_path / "wtmp.db"


@pytest.fixture
def future(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a program of tomorrow, whose file has the version 2; return its environment."""
    place = tmp_path / "100% of tomorrow"
    shutil.copytree(ROOT / "migrations", place, ignore=shutil.ignore_patterns("__pycache__"))
    (place / "versions" / "0002_more.py").write_text(NEXT)
    monkeypatch.setattr(shipped, "path", lambda name: {"migrations": str(place)}[name])
    monkeypatch.setattr(schema, "VERSION", 2)
    return place


def make_version_1(path: Path, rows: int = 1) -> Path:
    """Make a history of version 1 with sessions, whatever the newest version is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "VERSION", 1)
        with Log.write(str(path)) as history:
            history.apply([opened(f"user{number}", NOON + number, host="h" * 200) for number in range(rows)])
    return path


def layout(path: Path) -> list[tuple[str, ...]]:
    """Return the definitions of all tables, indexes and triggers, white space aside."""
    with edit(path) as database:
        found = database.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master").fetchall()
    return sorted((kind, name, of, " ".join(sql.split()).replace("( ", "(").replace(" )", ")")) for kind, name, of, sql in found)


def is_whole(path: Path) -> bool:
    """Tell whether SQLite finds nothing wrong."""
    with edit(path) as database:
        return bool(database.execute("PRAGMA integrity_check").fetchall() == [("ok",)])


def set_version(path: Path, number: int) -> None:
    """Write a version into a file."""
    with edit(path) as database:
        database.execute(f"PRAGMA user_version = {number:d}")


def run(code: str, *arguments: object, python: tuple[str, ...] = (sys.executable,)) -> subprocess.CompletedProcess[str]:
    """Run code that finds wtmpdb."""
    script = f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})\n{code}"
    return subprocess.run([*python, "-c", script, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60)


BARE = ("/usr/bin/python3", "-I", "-S", "-B")
"""An interpreter without Alembic."""


class TestUpToDate:
    @pytest.mark.parametrize("strict", [True, False])
    @pytest.mark.parametrize("rows", [[], ROWS])
    def test_file_of_c(self, path: Path, rows: list[tuple[object, ...]], *, strict: bool) -> None:
        """A file that C made gets exactly what a fresh file has beside `wtmp`; `wtmp` and its rows stay as they are."""
        make_file(path, rows, strict=strict, ours=False)
        before, kept = layout(path), table(path)
        assert version(str(path)) == 0
        assert bring_up_to_date(str(path)) == ["0001"]
        assert version(str(path)) == schema.VERSION
        Log.write(str(path.with_name("fresh.db"))).close()
        without = [entry for entry in layout(path.with_name("fresh.db")) if entry[1] not in ("wtmp", "sqlite_sequence")]
        assert layout(path) == sorted(before + without)
        assert table(path) == kept
        assert is_whole(path)

    def test_empty_file(self, path: Path) -> None:
        """An empty file becomes what a fresh one is, to the letter."""
        path.touch()
        assert bring_up_to_date(str(path)) == ["0001"]
        fresh = path.with_name("fresh.db")
        Log.write(str(fresh)).close()
        assert layout(path) == layout(fresh)
        assert version(str(path)) == version(str(fresh)) == schema.VERSION

    def test_steps_lead_to_the_version(self) -> None:
        """There is one step for each version, none missing and none too many."""
        steps = sorted(found.name[:4] for found in (ROOT / "migrations" / "versions").glob("*.py"))
        assert steps == [f"{number:04d}" for number in range(1, schema.VERSION + 1)]

    def test_recorded_into(self, path: Path) -> None:
        """What C wrote and what we write stand side by side afterwards, and deleting a row deletes what belongs to it."""
        make_file(path, ROWS, ours=False)
        bring_up_to_date(str(path))
        event = opened("carol")
        with Log.write(str(path)) as history:
            history.apply([event, closed(event, NOON + 7)])
        assert [row[2] for row in table(path)] == ["reboot", "alice", "bob", "carol"]
        with edit(path) as database:
            assert database.execute("SELECT count(*) FROM session").fetchone() == (1,)
            database.execute("DELETE FROM wtmp")
            assert database.execute("SELECT count(*) FROM session").fetchone() == (0,)

    def test_link(self, path: Path, tmp_path: Path) -> None:
        """A link, as on Debian 13, is followed and stays one."""
        real = make_file(tmp_path / "real.db", ROWS, ours=False)
        path.symlink_to(real)
        assert bring_up_to_date(str(path)) == ["0001"]
        assert path.is_symlink()
        assert version(str(real)) == 1

    def test_no_file(self, path: Path) -> None:
        """To a file that is not there nothing is done, nor to a link that leads nowhere."""
        assert (version(str(path)), bring_up_to_date(str(path)), add_indexes(str(path))) == (None, [], [])
        path.symlink_to("nowhere")
        assert (version(str(path)), bring_up_to_date(str(path))) == (None, [])

    def test_nothing_to_do(self, path: Path) -> None:
        """A file that is up to date, or newer, stays as it is, byte for byte."""
        make_file(path, ROWS)
        for number in (schema.VERSION, 99):
            set_version(path, number)
            before = path.read_bytes()
            assert bring_up_to_date(str(path)) == []
            assert path.read_bytes() == before

    def test_odd_version(self, path: Path) -> None:
        """A version below nothing, which only somebody else can have written, counts as none."""
        make_file(path, ROWS, ours=False)
        set_version(path, -7)
        assert bring_up_to_date(str(path)) == ["0001"]

    def test_leaves_no_table_of_alembic(self, path: Path) -> None:
        """The version stands in `user_version` alone; a table of Alembic's that lies there already is not looked at."""
        make_file(path, ROWS, ours=False)
        bring_up_to_date(str(path))
        assert "alembic_version" not in {name for _, name, _, _ in layout(path)}
        other = make_file(path.with_name("other.db"), ROWS, ours=False)
        with edit(other) as database:
            database.execute("CREATE TABLE alembic_version (version_num TEXT)")
            database.execute("INSERT INTO alembic_version VALUES ('cafe')")
        assert bring_up_to_date(str(other)) == ["0001"]
        with edit(other) as database:
            assert database.execute("SELECT * FROM alembic_version").fetchall() == [("cafe",)]

    def test_wal(self, path: Path) -> None:
        """A file that somebody put into WAL mode is put back on the way."""
        make_file(path, ROWS, ours=False)
        with edit(path) as database:
            database.execute("PRAGMA journal_mode = WAL")
        assert bring_up_to_date(str(path)) == ["0001"]
        assert path.read_bytes()[18:20] == b"\1\1"

    def test_restored_from_a_dump(self, path: Path, future: Path) -> None:
        """A file that lost its version, as by a dump, gets it back: each step passes over what is there."""
        assert future.exists()
        make_version_1(path)
        bring_up_to_date(str(path))
        before = layout(path)
        set_version(path, 0)
        assert bring_up_to_date(str(path)) == ["0001", "0002"]
        assert layout(path) == before


class TestImports:
    def test_nothing_to_do(self, path: Path) -> None:
        """Where there is nothing to do, neither Alembic nor SQLAlchemy is loaded."""
        make_file(path, ROWS)
        code = "from wtmpdb.migration import bring_up_to_date; assert bring_up_to_date(sys.argv[1]) == []; print(*sys.modules)"
        ran = run(code, path)
        assert ran.returncode == 0, ran.stderr
        assert not {"alembic", "sqlalchemy", "re", "typing"} & set(run(code, path, python=BARE).stdout.split())
        assert not {"alembic", "sqlalchemy"} & set(ran.stdout.split())

    def test_without_alembic(self, path: Path) -> None:
        """Where Alembic is not installed, that is an error in one line, and nothing is changed."""
        make_file(path, ROWS, ours=False)
        ran = run("from wtmpdb.migration import bring_up_to_date; bring_up_to_date(sys.argv[1])", path, python=BARE)
        assert ran.stderr.splitlines()[-1] == f"wtmpdb.errors.LogError: {path}: cannot be brought to version 1: No module named 'alembic'"
        assert version(str(path)) == 0

    def test_nothing_is_written_beside_the_steps(self, path: Path, tmp_path: Path) -> None:
        """Started with -B, as the program is, Alembic writes no compiled files."""
        place = tmp_path / "migrations"
        shutil.copytree(ROOT / "migrations", place, ignore=shutil.ignore_patterns("__pycache__"))
        make_file(path, ROWS, ours=False)
        code = "from wtmpdb import migration, shipped; shipped.path = lambda _: sys.argv[2]; print(migration.bring_up_to_date(sys.argv[1]))"
        assert run(code, path, place, python=(sys.executable, "-B")).stdout == "['0001']\n"
        assert list(place.rglob("*.pyc")) == []


class TestNextVersion:
    def test_steps(self, path: Path, future: Path) -> None:
        """A file goes from any version to the newest, step by step, and says which steps it took."""
        assert future.exists()
        make_version_1(path)
        assert bring_up_to_date(str(path)) == ["0002"]
        assert version(str(path)) == 2
        c_made = make_file(path.with_name("c.db"), ROWS, ours=False)
        assert bring_up_to_date(str(c_made)) == ["0001", "0002"]
        columns = "SELECT name FROM pragma_table_info('session')"
        for file in (path, c_made):
            with edit(file) as database:
                assert database.execute(columns).fetchall()[-1] == ("shell",)
        with edit(path) as database:
            assert database.execute("SELECT shell FROM session").fetchall() == [("sh",)]

    def test_failing_step(self, path: Path, future: Path) -> None:
        """A step that fails in the middle, in whatever way, leaves nothing behind, and the error is one of ours."""
        make_version_1(path)
        before = layout(path)
        for fault in ("    1 / 0\n", '    op.execute("SELECT nothing FROM nowhere")\n', '    raise SystemError("out of order")\n'):
            (future / "versions" / "0002_more.py").write_text(NEXT + fault)
            with pytest.raises(LogError) as error:
                bring_up_to_date(str(path))
            assert str(error.value).startswith(f"{path}: ")
            assert "\n" not in str(error.value)
            assert (layout(path), version(str(path)), is_whole(path)) == (before, 1, True)

    def test_lost_steps(self, path: Path, future: Path) -> None:
        """Where the steps are missing, that is an error, and nothing is changed."""
        (future / "versions" / "0002_more.py").unlink()
        make_version_1(path)
        with pytest.raises(LogError, match="cannot be brought to version 2"):
            bring_up_to_date(str(path))
        shutil.rmtree(future)
        with pytest.raises(LogError, match="cannot be brought to version 2"):
            bring_up_to_date(str(path))
        assert version(str(path)) == 1

    def test_older_file_is_recorded_into(self, path: Path, future: Path) -> None:
        """A file of an older version that nobody has brought up to date is written to, and its tables stay as they are."""
        assert future.exists()
        make_version_1(path)
        before = layout(path)
        with Log.write(str(path)) as history:
            history.apply([opened("bob")])
            history.begin_boot("key", NOON, user="reboot", kernel="6.1")
        assert (layout(path), version(str(path)), len(table(path))) == (before, 1, 3)

    def test_several_at_once(self, path: Path, future: Path) -> None:
        """Of several processes that do the same at once all succeed, and each step is taken by one of them."""
        assert future.exists()
        make_file(path, ROWS, ours=False)
        gate, answers = os.pipe(), os.pipe()
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    os.close(gate[1])
                    os.read(gate[0], 1)
                    os.write(answers[1], "".join(f"{step} " for step in bring_up_to_date(str(path))).encode())
                    code = 0
                finally:
                    os._exit(code)
            children.append(child)
        os.close(gate[1])
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
        os.close(gate[0])
        os.close(answers[1])
        with open(answers[0], "rb") as answer:
            assert sorted(answer.read().split()) == [b"0001", b"0002"]
        assert version(str(path)) == 2
        assert is_whole(path)


def survives(path: Path, arm: Callable[[sqlite3.Connection], object]) -> bool:
    """Bring a file up to date in a child that ``arm`` may have killed; tell whether it lived. Its cache is small: it writes early."""
    child = os.fork()
    if child == 0:
        prepare = connection.prepare_to_write

        def prepare_and_arm(path: str, connection: sqlite3.Connection) -> None:
            prepare(path, connection)
            connection.execute("PRAGMA cache_size = 5")
            arm(connection)

        migration.prepare_to_write = prepare_and_arm  # type: ignore[attr-defined]
        try:
            bring_up_to_date(str(path))
        finally:
            os._exit(0)
    return not os.WIFSIGNALED(os.waitpid(child, 0)[1])


def die() -> None:
    """Be killed."""
    os.kill(os.getpid(), signal.SIGKILL)


def at_statement(number: int) -> Callable[[sqlite3.Connection], object]:
    """Kill before a statement, counted from 1."""
    left = iter(range(number - 1))
    return lambda connection: connection.set_trace_callback(lambda _: None if next(left, None) is not None else die())


def at_instruction(number: int) -> Callable[[sqlite3.Connection], object]:
    """Kill in the middle of a statement, after so many instructions of SQLite's machine."""
    left = iter(range(number - 1))
    return lambda connection: connection.set_progress_handler(lambda: None if next(left, None) is not None else die(), 1)


def at_size(number: int) -> Callable[[sqlite3.Connection], object]:
    """Kill in the middle of a write that takes the file, or its journal, beyond a size."""

    def arm(_: sqlite3.Connection) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))

    return arm


class TestKilled:
    @pytest.mark.parametrize("version_before", [0, 1])
    @pytest.mark.parametrize(
        ("arm", "points"),
        [
            (at_statement, range(1, 60)),
            (at_instruction, [int(1.35**exponent) + exponent for exponent in range(1, 45)]),
            (at_size, [512 + 2000 * number for number in range(1, 80)]),
        ],
    )
    def test_old_or_new(
        self, path: Path, future: Path, arm: Callable[[int], Callable[[sqlite3.Connection], object]], points: list[int], version_before: int
    ) -> None:
        """Killed at any point, the file has the old version or the new one, whole; the next run completes it, and no row is lost."""
        assert future.exists()
        original = path.with_name("original.db")
        if version_before:
            make_version_1(original, rows=200)
        else:
            make_file(original, [(3, f"user{number}", NOON + number, None, "tty1", "h" * 200, "login") for number in range(200)], ours=False)
        layouts = {version_before: layout(original)}
        shutil.copy(original, path)
        for number in range(version_before + 1, 3):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(schema, "VERSION", number)
                assert bring_up_to_date(str(path)) == [f"{number:04d}"]
            layouts[number] = layout(path)
        rows = table(original)
        killed, hot, found = 0, 0, set()
        for point in points:
            Path(f"{path}-journal").unlink(missing_ok=True)
            shutil.copy(original, path)
            if survives(path, arm(point)):
                if killed:
                    break
                continue
            killed += 1
            journal = Path(f"{path}-journal")
            hot += journal.exists() and journal.read_bytes()[:1] == b"\xd9"
            now = version(str(path))
            assert now is not None
            found.add(now)
            assert layout(path) == layouts[now]
            assert table(path) == rows
            assert is_whole(path)
            assert bring_up_to_date(str(path)) == [f"{number:04d}" for number in range(now + 1, 3)]
            assert layout(path) == layouts[2]
            assert table(path) == rows
        assert killed > 5
        assert hot > 0
        assert version_before in found


@contextmanager
def held(path: Path, *statements: str) -> Iterator[sqlite3.Connection]:
    """Hold what some statements hold."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        for statement in statements:
            other.execute(statement).fetchall()
        yield other


HOLDERS = [("BEGIN", "SELECT * FROM wtmp"), ("BEGIN IMMEDIATE",), ("BEGIN EXCLUSIVE",)]


class TestInUse:
    @pytest.mark.parametrize("statements", HOLDERS)
    def test_waits(self, path: Path, statements: tuple[str, ...]) -> None:
        """A reader or a writer that holds the file for a while is waited for."""
        make_file(path, ROWS, ours=False)
        with held(path, *statements) as other:
            threading.Timer(1.0, lambda: other.execute("ROLLBACK")).start()
            began = time.monotonic()
            assert bring_up_to_date(str(path)) == ["0001"]
            assert time.monotonic() - began > 0.8

    @pytest.mark.parametrize("statements", HOLDERS)
    def test_waits_no_longer_than_asked(self, path: Path, statements: tuple[str, ...]) -> None:
        """One that holds the file for longer is named as the reason, and nothing is changed."""
        make_file(path, ROWS, ours=False)
        before = path.read_bytes()
        with held(path, *statements):
            began = time.monotonic()
            with pytest.raises(BusyLogError, match="locked by another program"):
                bring_up_to_date(str(path), timeout=0.3)
            assert time.monotonic() - began < 4
        assert path.read_bytes() == before
        assert bring_up_to_date(str(path)) == ["0001"]

    def test_killed_writer(self, path: Path) -> None:
        """A file whose last writer was killed is mended on the way."""
        make_file(path, ROWS, ours=False)
        code = """
import os, signal, sqlite3
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 10")
database.execute("BEGIN IMMEDIATE")
database.executemany("INSERT INTO wtmp (Type, User, Login) VALUES (3, ?, ?)", (("x" * 500, number) for number in range(5000)))
os.kill(os.getpid(), signal.SIGKILL)
"""
        run(code, path)
        assert Path(f"{path}-journal").read_bytes()[:1] == b"\xd9"
        assert version(str(path)) == 0
        assert bring_up_to_date(str(path)) == ["0001"]
        assert len(table(path)) == len(ROWS)


class TestFaults:
    @ROOT_ONLY
    def test_read_only(self, tmp_path: Path) -> None:
        """On a read-only file system the version can be read; a change is refused with the reason."""
        place = tmp_path / "small"
        place.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=False).returncode:
            pytest.skip("cannot mount here")
        try:
            path = make_file(place / "wtmp.db", ROWS, ours=False)
            subprocess.run(["mount", "-o", "remount,ro", place], check=True)
            assert version(str(path)) == 0
            for action in (bring_up_to_date, add_indexes):
                with pytest.raises(LogError, match="read-only"):
                    action(str(path))
        finally:
            subprocess.run(["umount", place], check=True)

    def test_no_database(self, path: Path, tmp_path: Path) -> None:
        """What is no database is said to be none, and stays as it is."""
        path.write_bytes(b"\7" + bytes(383) * 3)
        before = path.read_bytes()
        for action in (version, bring_up_to_date, add_indexes):
            with pytest.raises(DamagedLogError, match="not a database"):
                action(str(path))
            with pytest.raises(LogError, match="is a directory"):
                action(str(tmp_path))
        assert path.read_bytes() == before

    def test_damaged(self, path: Path) -> None:
        """A damaged database is said to be damaged, and is not damaged further."""
        make_file(path, [(3, f"user{number}", NOON, None, "tty1", None, "login") for number in range(5000)], ours=False)
        with open(path, "r+b") as file:
            file.seek(4096)
            file.write(os.urandom(path.stat().st_size - 4096))
        before = path.read_bytes()
        with pytest.raises(DamagedLogError, match="damaged"):
            bring_up_to_date(str(path))
        assert path.read_bytes() == before

    def test_no_history(self, path: Path) -> None:
        """A database of something else is refused whole."""
        for number, statement in enumerate(["CREATE TABLE wtmp (id, name)", "CREATE VIEW wtmp AS SELECT 1 AS ID"]):
            place = path.with_name(f"{number}.db")
            with edit(place) as database:
                database.execute(statement)
            before = layout(place)
            with pytest.raises(LogError):
                bring_up_to_date(str(place))
            assert (layout(place), version(str(place))) == (before, 0)


class TestNewer:
    @pytest.fixture
    def newer(self, path: Path) -> Path:
        """Make a file as a program of tomorrow leaves it."""
        make_version_1(path)
        with edit(path) as database:
            database.execute("ALTER TABLE session ADD COLUMN shell TEXT NOT NULL DEFAULT 'sh'")
            database.execute("ALTER TABLE boot ADD COLUMN cause TEXT")
            database.execute("CREATE TABLE more (entry_id INTEGER PRIMARY KEY)")
        set_version(path, 99)
        return path

    def test_written_to(self, newer: Path) -> None:
        """An older program writes sessions and boots into a newer file, and leaves its tables and its version alone."""
        before = layout(newer)
        event = opened("bob")
        with Log.write(str(newer)) as history:
            history.apply([event, closed(event, NOON + 5)])
            assert history.begin_boot("key", NOON, user="reboot", kernel="6.1") == "written"
            assert history.end_boot("key", NOON + 9)
        assert [row[2:5] for row in table(newer)[1:]] == [("bob", NOON, NOON + 5), ("reboot", NOON, NOON + 9)]
        assert (layout(newer), version(str(newer))) == (before, 99)

    def test_version_without_tables(self, path: Path) -> None:
        """A file with a version but without our tables gets them, for recording comes first, and keeps its version."""
        make_file(path, ROWS, ours=False)
        set_version(path, 99)
        with Log.write(str(path)) as history:
            history.apply([opened()])
        assert (version(str(path)), len(table(path))) == (99, len(ROWS) + 1)

    @ROOT_ONLY
    def test_service(self, newer: Path, tmp_path: Path) -> None:
        """The service says once, in one line, that the file is newer, and records."""
        why = f"was written by a newer wtmpdb (tables of version 99, this one knows {schema.VERSION})"
        assert serve(newer, tmp_path, sys.executable) == [f"wtmpdb recorder: {newer}: {why}: recording goes on; upgrade this one"]
        assert len(table(newer)) == 2
        assert version(str(newer)) == 99


def serve(path: Path, place: Path, *python: str) -> list[str]:
    """Run the service over a spool with a letter; return the lines that it said."""
    spool = make_spool(place / "spool")
    post(spool, opened("carol"))
    code = "from wtmpdb.recorder.service import serve; code = serve(sys.argv[1], sys.argv[2], idle=0.1, retry=0.1); print(code, *sys.modules)"
    ran = run(code, path, spool, python=python)
    assert ran.stdout.startswith("0 "), ran.stderr
    assert os.listdir(spool / "new") == []
    return ran.stderr.splitlines()


@ROOT_ONLY
class TestService:
    def test_older_file(self, path: Path, tmp_path: Path) -> None:
        """The service brings the file up to date before it records, and says nothing."""
        make_file(path, ROWS, ours=False)
        assert serve(path, tmp_path, sys.executable) == []
        assert (version(str(path)), len(table(path))) == (1, len(ROWS) + 1)

    def test_no_file(self, path: Path, tmp_path: Path) -> None:
        """Without a file it makes one, and Alembic is not missed."""
        assert serve(path, tmp_path, *BARE) == []
        assert (version(str(path)), len(table(path))) == (1, 1)

    def test_cannot(self, path: Path, tmp_path: Path) -> None:
        """When the file cannot be brought up to date it says so in one line, and records."""
        make_version_1(path)
        set_version(path, 0)
        assert serve(path, tmp_path, *BARE) == [
            f"wtmpdb recorder: {path}: cannot be brought to version 1: No module named 'alembic': recording goes on with the tables as they are"
        ]
        assert len(table(path)) == 2


class TestIndexes:
    NAMES = ("wtmp_login", "wtmp_open", "wtmp_user", "wtmp_boot")

    def test_big_file(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A big file gets its indexes only when they are asked for, each in a transaction of its own, after which others can write."""
        monkeypatch.setattr(log, "INDEX_AT_ONCE", 2)
        make_file(path, ROWS, ours=False)
        bring_up_to_date(str(path))
        assert not set(self.NAMES) & {name for _, name, _, _ in layout(path)}

        def write_meanwhile(_: float) -> None:
            with edit(path) as other:
                other.execute("INSERT INTO wtmp (Type, User, Login) VALUES (3, 'c', 1)")

        monkeypatch.setattr("wtmpdb.migration.time.sleep", write_meanwhile)
        assert add_indexes(str(path)) == list(self.NAMES)
        assert add_indexes(str(path)) == []
        assert len(table(path)) == len(ROWS) + 4
        fresh = path.with_name("fresh.db")
        Log.write(str(fresh)).close()
        assert [entry for entry in layout(fresh) if entry[0] == "index"] == [entry for entry in layout(path) if entry[0] == "index"]

    def test_some(self, path: Path) -> None:
        """Only what is missing is made."""
        make_file(path, ROWS)
        with edit(path) as database:
            database.execute("DROP INDEX wtmp_user")
        assert add_indexes(str(path)) == ["wtmp_user"]

    def test_empty(self, path: Path) -> None:
        """In an empty file there is nothing to make an index of."""
        path.touch()
        assert add_indexes(str(path)) == []
        assert path.stat().st_size == 0

    def test_locked(self, path: Path) -> None:
        """A lock is waited for as long as asked and no longer."""
        make_file(path, ROWS, ours=False)
        with held(path, "BEGIN IMMEDIATE"), pytest.raises(BusyLogError, match="locked"):
            add_indexes(str(path), timeout=0.2)


class TestByHand:
    def alembic(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run Alembic as a developer does."""
        command = [sys.executable, "-m", "alembic", "-c", "migrations/alembic.ini", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

    def test_upgrade(self, path: Path) -> None:
        """Alembic's own command brings a file up to date, and knows where it is."""
        make_file(path, ROWS, ours=False)
        assert self.alembic("-x", f"database={path}", "upgrade", "head").returncode == 0
        assert version(str(path)) == schema.VERSION
        assert self.alembic("-x", f"database={path}", "current").stdout == f"{schema.VERSION:04d} (head)\n"

    def test_downgrade(self, path: Path) -> None:
        """There is no way down: what older programs do not know they can leave alone."""
        make_file(path, ROWS)
        before = layout(path)
        for words in (["downgrade", "base"], ["stamp", "base"]):
            ran = self.alembic("-x", f"database={path}", *words)
            assert ran.returncode != 0
            assert "never taken away" in ran.stdout + ran.stderr
            assert (layout(path), version(str(path))) == (before, 1)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["upgrade", "head"], "-x database=FILE"),
            (["-x", "database=/nonexistent/wtmp.db", "upgrade", "head"], "unable to open"),
            (["-x", "database=/nonexistent/wtmp.db", "upgrade", "head", "--sql"], "a step looks at the file"),
        ],
    )
    def test_refused(self, words: list[str], said: str) -> None:
        """What it cannot do it says, without a traceback."""
        ran = self.alembic(*words)
        assert ran.returncode != 0
        assert said in ran.stdout + ran.stderr
        assert "Traceback" not in ran.stderr


class TestShipped:
    def test_checkout(self) -> None:
        """In a checkout it is at the top."""
        assert Path(shipped.path("migrations")) == ROOT / "migrations"

    def test_installed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Once installed it is inside the package, and a directory that happens to lie above is none of ours."""
        package = tmp_path / "lib" / "wtmpdb"
        (package / "shipped" / "migrations").mkdir(parents=True)
        (tmp_path / "systemd").mkdir()
        monkeypatch.setattr(shipped, "_PACKAGE", str(package))
        assert shipped.path("migrations") == str(package / "shipped" / "migrations")
        with pytest.raises(WtmpdbError, match=r"shipped/systemd: No such file or directory") as error:
            shipped.path("systemd")
        assert "install" in error.value.hint
