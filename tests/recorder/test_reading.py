# SPDX-License-Identifier: BSD-2-Clause
"""Reading in steps, and what may be seen."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support import NOON, edit, make_file
from wtmpdb import schema
from wtmpdb.errors import NoLogError
from wtmpdb.recorder.access import OTHERS, View, for_others, may_read
from wtmpdb.recorder.reading import STEP, Reader, Scan

if TYPE_CHECKING:
    from pathlib import Path

VIEWS = (View(), View("alice"), View(""))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make a history of three users and some boots, a third of it open, many rows at the same moment."""
    rows = [
        (3, ("u0", "u1", "")[number % 3], NOON + number // 50, None if number % 3 == 0 else NOON + 99, "tty1", None, "x") for number in range(900)
    ]
    return make_file(tmp_path / "wtmp.db", [*rows, *((1, "reboot", NOON + number, None, "~", "6", None) for number in range(20))])


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("view", VIEWS)
def test_each_step_uses_an_index(path: Path, view: View, opened: bool) -> None:
    """Each statement of a step finds its place in an index, in whose order it reads: a step costs what it gives, not what is in the file."""
    with edit(path) as file:
        for where, values in view.conditions(opened=opened):
            for place, known in (("Login = ? AND ID < ? ORDER BY ID DESC", 2), ("Login < ? AND Login >= ? ORDER BY Login DESC, ID DESC", 2)):
                plan = file.execute(f"EXPLAIN QUERY PLAN SELECT {schema.ROW} FROM wtmp WHERE {where} AND {place} LIMIT 9", (*values, *[7] * known))
                steps = [step[3] for step in plan]
                assert len(steps) == 1, steps
                assert steps[0].startswith("SEARCH wtmp USING INDEX wtmp_"), steps
                assert opened == ("wtmp_open" in steps[0]), steps


@pytest.mark.parametrize(("user", "opened"), [(None, False), (None, True), ("u0", False), ("u1", True), ("", False)])
def test_all_of_it_once(path: Path, user: str | None, opened: bool) -> None:
    """Step by step come all rows that may be seen, each once, newest first, in chunks of which only the last is short."""
    with edit(path) as file:
        where = "1" if user is None else f"(Type = 1 OR User = '{user or 'nobody'}')"
        where += " AND Logout IS NULL" if opened else ""
        wanted = [ident for (ident,) in file.execute(f"SELECT ID FROM wtmp WHERE {where} ORDER BY Login DESC, ID DESC")]
    reader = Reader(str(path))
    chunks = [chunk or [] for chunk in Scan(reader, View(user).conditions(opened=opened)).chunks()]
    reader.close()
    assert [row[7] for chunk in chunks for row in chunk] == wanted
    assert {len(chunk) for chunk in chunks[:-1]} <= {STEP}
    assert len(chunks[-1]) < STEP


def test_nothing_is_held_between_steps(path: Path) -> None:
    """In the middle of a scan everybody may write, also rows that come in it later."""
    reader = Reader(str(path))
    chunks = Scan(reader, View().conditions()).chunks()
    next(chunks)
    with edit(path) as file:
        file.execute("BEGIN EXCLUSIVE")
        file.execute("DELETE FROM wtmp WHERE Login < ?", (NOON + 3,))
    left = [row for chunk in chunks for row in chunk or []]
    reader.close()
    assert left
    assert min(row[5] for row in left) == NOON + 3


def test_another_file(path: Path) -> None:
    """A file that takes the place of the history is read from the next step on; without one there is an error."""
    reader = Reader(str(path))
    assert reader.first(View().conditions()) == NOON
    other = make_file(path.with_name("other"), [(3, "x", NOON + 7, None, None, None, None)])
    other.rename(path)
    assert reader.first(View().conditions()) == NOON + 7
    path.unlink()
    with pytest.raises(NoLogError):
        reader.first(View().conditions())
    reader.close()


def test_who_may_read(path: Path) -> None:
    """Who may read a file sees all: its owner and root, its group if the mode says so, and the others if it says so."""
    me = os.stat(path)
    other, group = me.st_uid + 1001, me.st_gid
    for mode, allowed in ((0o644, (True, True, True)), (0o640, (True, True, False)), (0o600, (True, False, False)), (0o604, (True, False, True))):
        path.chmod(mode)
        asked = ((me.st_uid, ()), (other, (5, group)), (other, (5,)))
        assert tuple(may_read(str(path), uid, groups) for uid, groups in asked) == allowed
        assert may_read(str(path), 0, ())
    path.unlink()
    with pytest.raises(NoLogError):
        may_read(str(path), 0, ())


@pytest.mark.parametrize("said", [*OTHERS, "", " own \n", "All", "own all", "\xff", "x" * 100])
def test_what_others_may_see(path: Path, said: str) -> None:
    """What others may see is the word that stands beside the history; nothing there means their own, and what is no such word nothing."""
    assert for_others(str(path)) == "own"
    path.with_name("private").write_text(said, encoding="latin-1")
    assert for_others(str(path)) == {"": "own", "own": "own", "all": "all"}.get(said.strip(), "none")
