# SPDX-License-Identifier: BSD-2-Clause
"""Where statements are asked."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, inspect, select

from support import NOON, edit, make_file
from wtmpdb.errors import BusyLogError, DamagedLogError, LogError, NoLogError
from wtmpdb.log import Log
from wtmpdb.query import engine
from wtmpdb.query.engine import Database
from wtmpdb.query.tables import metadata, wtmp

if TYPE_CHECKING:
    from pathlib import Path

ALL = select(wtmp.c.User).order_by(wtmp.c.ID)


def test_tables_are_those_of_the_schema(tmp_path: Path) -> None:
    """What the questions know of the tables is what the file has: its columns, their order in wtmp, its keys and indexes."""
    path = make_file(tmp_path / "wtmp.db", [])
    there = inspect(create_engine(f"sqlite:///{path}"))
    for table in metadata.sorted_tables:
        if table.name == "counted":
            continue  # only in the file of failed logins
        columns = {column["name"]: column for column in there.get_columns(table.name)}
        assert {column.name for column in table.columns} <= columns.keys()
        assert all(columns[column.name]["nullable"] == column.nullable for column in table.columns if not column.primary_key)
        assert there.get_pk_constraint(table.name)["constrained_columns"] == [column.name for column in table.primary_key]
        assert {index.name for index in table.indexes} <= {index["name"] for index in there.get_indexes(table.name)}
    assert [column["name"] for column in there.get_columns("wtmp")] == [column.name for column in wtmp.columns]


def test_windows_hold_every_row_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The windows together hold each row once, also where IDs are few and far between."""
    monkeypatch.setattr(engine, "_WINDOW", 3)
    path = make_file(tmp_path / "wtmp.db", [(3, f"u{number}", NOON, None, None, None, None) for number in range(8)])
    with edit(path) as database:
        database.execute("UPDATE wtmp SET ID = 9223372036854775807 WHERE ID = 8")
        database.execute("UPDATE wtmp SET ID = -5 WHERE ID = 1")
    with Database.read(str(path)) as database:
        windows = list(database.windows())
        found = [user for window in windows for (user,) in database.all(ALL.where(engine.between_ids), window)]
    assert len(windows) == 3
    assert found == [f"u{number}" for number in range(8)]


class TestErrors:
    @pytest.mark.parametrize("window", [50, 50_000])
    def test_page_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int) -> None:
        """A file whose last page was lost, which SQLite does not see, is said to be damaged, not summed up without end or to nothing."""
        monkeypatch.setattr(engine, "_WINDOW", window)
        path = make_file(tmp_path / "wtmp.db", [(3, "alice", NOON, None, None, None, None)] * 1000, ours=False)
        os.truncate(path, path.stat().st_size - 4000)
        with Database.read(str(path)) as database, pytest.raises(DamagedLogError, match="is damaged"):
            list(database.windows())

    def test_missing(self, tmp_path: Path) -> None:
        """A file that is not there is told as everywhere."""
        with pytest.raises(NoLogError, match="No such file"):
            Database.read(str(tmp_path / "wtmp.db"))

    def test_locked(self, tmp_path: Path) -> None:
        """A lock that lasts too long is told in one line."""
        path = make_file(tmp_path / "wtmp.db", [(3, "alice", NOON, None, None, None, None)])
        with Database.read(str(path), timeout=0.05) as database:
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(BusyLogError, match=r"wtmp\.db: locked by another program"):
                database.all(ALL)
            other.close()

    def test_damaged(self, tmp_path: Path) -> None:
        """Damage is told in one line."""
        path = make_file(tmp_path / "wtmp.db", [(3, "alice" * 99, NOON + number, None, None, None, None) for number in range(99)])
        data = bytearray(path.read_bytes())
        for page in range(4096, len(data), 4096):
            data[page : page + 100] = b"\xff" * 100
        path.write_bytes(data)
        with pytest.raises(DamagedLogError, match="the database is damaged"), Database.read(str(path)) as database:
            database.all(ALL)

    def test_not_a_history(self, tmp_path: Path) -> None:
        """A table wtmp of other columns is no history."""
        with edit(tmp_path / "wtmp.db") as database:
            database.execute("CREATE TABLE wtmp (x)")
        with pytest.raises(LogError, match="not a history of wtmpdb"), Database.read(str(tmp_path / "wtmp.db")) as database:
            database.all(ALL)

    def test_a_view(self, tmp_path: Path) -> None:
        """A view is no history: it could run anything."""
        with edit(tmp_path / "wtmp.db") as database:
            database.execute("CREATE VIEW wtmp AS SELECT 1 AS ID")
        with Log.read(str(tmp_path / "wtmp.db")) as log, pytest.raises(DamagedLogError, match="is a view"):
            Database.of(log)


def test_a_statement_holds_no_lock(tmp_path: Path) -> None:
    """Behind a statement nothing is locked: others write while a database is open."""
    path = make_file(tmp_path / "wtmp.db", [(3, "alice", NOON, None, None, None, None)])
    with Database.read(str(path)) as database:
        assert database.all(ALL) == [("alice",)]
        with edit(path) as other:
            other.execute("INSERT INTO wtmp (Type, User, Login) VALUES (3, 'bob', 1)")
        assert database.all(ALL) == [("alice",), ("bob",)]


def test_bytes_that_are_not_utf_8(tmp_path: Path) -> None:
    """A byte that is not UTF-8 is an octal escape, from the file and from a copy."""
    path = make_file(tmp_path / "wtmp.db", [])
    with edit(path) as database:
        database.execute("INSERT INTO wtmp (Type, User, Login) VALUES (3, CAST(X'61FF62' AS TEXT), 1)")
    with Log.read(str(path)) as log, Database.of(log) as file, Database.copy(log) as copy:
        assert file.all(ALL) == copy.all(ALL) == [(r"a\377b",)]


def test_damaged_types(tmp_path: Path) -> None:
    """Where SQLite does not guard the types and some are wrong, a cleaned copy is asked."""
    path = make_file(
        tmp_path / "wtmp.db", [(3, "alice", "soon", None, None, None, None), (3, b"bob", 5, 7.5, None, None, None)], ours=False, strict=False
    )
    with Log.read(str(path)) as log, Database.of(log) as database:
        found = database.all(select(wtmp.c.User, wtmp.c.Login, wtmp.c.Logout).order_by(wtmp.c.User))
    assert found == [("alice", 0, None), ("bob", 5, 7)]


def test_what_may_only_be_asked(tmp_path: Path) -> None:
    """Of a history whose file may not be read, but which is shown by its recorder, what it shows is asked: for the newest sessions only these."""
    rows = [
        (3, "alice", NOON, NOON + 1, None, None, None),
        (1, "reboot", NOON - 1, None, "~", "6.1", None),
        (3, "alice", NOON + 2, None, None, None, None),
    ]
    with Log.read(str(make_file(tmp_path / "wtmp.db", rows))) as log:

        class Shown(Log):
            """A log without a file."""

            def __init__(self) -> None:
                self.path = "/nowhere"
                self.rows, self.open_rows, self.boots, self.opening = log.rows, log.open_rows, log.boots, log.opening  # type: ignore[method-assign]

        with Database.of(Shown()) as database, Database.of(Shown(), newest=True) as newest:
            assert database.all(ALL) == [("alice",), ("reboot",), ("alice",)]
            assert [one.login for one in database.boots()] == [NOON - 1]
            assert newest.all(select(wtmp.c.User, wtmp.c.Login)) == [("alice", NOON + 2)]
