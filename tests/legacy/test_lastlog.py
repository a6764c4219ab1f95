# SPDX-License-Identifier: BSD-2-Clause
"""The last logins as old systems kept them."""

from __future__ import annotations

import os
import sqlite3
import struct
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import SECOND
from wtmpdb.errors import LogError, WtmpdbError
from wtmpdb.legacy.errors import UnrecognisedError
from wtmpdb.legacy.lastlog import last_logins

if TYPE_CHECKING:
    from pathlib import Path

WHEN = 1_700_000_000
OTHER = ">" if sys.byteorder == "little" else "<"
FORMS = {"292": "=I32s256s", "296": "=q32s256s", "296 of the other byte order": f"{OTHER}q32s256s"}


def write(path: Path, form: str, records: dict[int, tuple[int, bytes, bytes]]) -> str:
    """Write a lastlog file of such records, by uid, with holes between them."""
    with path.open("wb") as file:
        for uid, fields in records.items():
            file.seek(uid * struct.calcsize(form))
            file.write(struct.pack(form, *fields))
    return str(path)


def facts(path: str) -> list[tuple[object, ...]]:
    """Return what is known, each as a tuple."""
    return [(last.user, last.time, last.tty, last.host, last.service) for last in last_logins(path)]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_layouts(tmp_path: Path, form: str) -> None:
    """A lastlog file is read with records of 292 and of 296 bytes; which it has is told by its content, and the place of a record is the uid."""
    path = write(tmp_path / "lastlog", form, {0: (WHEN, b"tty1", b""), 1000: (WHEN + 5, b"pts/0", b"192.0.2.7"), 65534: (WHEN + 9, b"", b"")})
    assert facts(path) == [
        (0, WHEN * SECOND, "tty1", None, None),
        (1000, (WHEN + 5) * SECOND, "pts/0", "192.0.2.7", None),
        (65534, (WHEN + 9) * SECOND, None, None, None),
    ]


def test_after_2038(tmp_path: Path) -> None:
    """Times of 32 bits are unsigned, so that they last until 2106."""
    assert facts(write(tmp_path / "lastlog", "=I32s256s", {3: (2**31 + 7, b"pts/1", b"h")}))[0][1] == (2**31 + 7) * SECOND


def test_holes_are_not_read(tmp_path: Path) -> None:
    """A file whose last uid is 4,294,967,290 (1.2 TB, nearly all of it a hole) is read at once."""
    uid = 4_294_967_290
    path = tmp_path / "lastlog"
    try:
        write(path, "=I32s256s", {uid: (WHEN, b"pts/0", b"h")})
    except OSError:
        pytest.skip("the file system has no files of that size")
    if os.stat(path).st_blocks > 1000:
        pytest.skip("the file system has no holes")
    assert [last.user for last in last_logins(str(path))] == [uid]


def test_hostile_text(tmp_path: Path) -> None:
    """A byte that is not UTF-8 is kept as an octal escape."""
    assert facts(write(tmp_path / "lastlog", "=I32s256s", {0: (WHEN, b"pts/0", b"a\xffb")}))[0][3] == r"a\377b"


@pytest.mark.parametrize("content", [b"", b"\0" * 2920, b"\0" * 100])
def test_nothing(tmp_path: Path, content: bytes) -> None:
    """An empty file, and one of zeros, know of nobody."""
    (tmp_path / "lastlog").write_bytes(content)
    assert last_logins(str(tmp_path / "lastlog")) == []


def test_something_else(tmp_path: Path) -> None:
    """A file of something else is refused."""
    (tmp_path / "passwd").write_bytes(b"root:x:0:0:root:/root:/bin/bash\n" * 50)
    with pytest.raises(UnrecognisedError, match="passwd: not a lastlog file"):
        last_logins(str(tmp_path / "passwd"))


@given(content=st.binary(max_size=1500) | st.lists(st.binary(min_size=292, max_size=292), max_size=4).map(b"".join))
def test_any_bytes(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever bytes a file holds, it is read, or refused in one line."""
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(content)
    try:
        found = last_logins(str(path))
    except WtmpdbError as error:
        found, said = [], str(error)
    else:
        said = "".join((last.tty or "") + (last.host or "") for last in found)
    assert "\n" not in said
    assert all(last.time > 0 for last in found)


class TestLastlog2:
    def test_read(self, tmp_path: Path) -> None:
        """The database of lastlog2 is read, by name, in seconds; a user who has never been there has the time 0."""
        with closing(sqlite3.connect(tmp_path / "lastlog2.db")) as database:
            database.execute("CREATE TABLE Lastlog2 (Name TEXT PRIMARY KEY, Time INTEGER, TTY TEXT, RemoteHost TEXT, Service TEXT)")
            rows = [("alice", WHEN, "ssh", "192.0.2.7", "sshd"), ("bob", 0, None, None, None), ("zoë\n", WHEN, "tty1", "", None)]
            database.executemany("INSERT INTO Lastlog2 VALUES (?, ?, ?, ?, ?)", rows)
            database.commit()
        assert facts(str(tmp_path / "lastlog2.db")) == [
            ("alice", WHEN * SECOND, "ssh", "192.0.2.7", "sshd"),
            (r"zoë\012", WHEN * SECOND, "tty1", None, None),
        ]

    def test_another_database(self, tmp_path: Path) -> None:
        """Another database is refused, and a damaged one is told."""
        with closing(sqlite3.connect(tmp_path / "x.db")) as database:
            database.execute("CREATE TABLE x (y)")
        with pytest.raises(UnrecognisedError, match="a database without a table Lastlog2"):
            last_logins(str(tmp_path / "x.db"))
        (tmp_path / "y.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
        with pytest.raises(LogError, match=r"y\.db: "):
            last_logins(str(tmp_path / "y.db"))
