# SPDX-License-Identifier: BSD-2-Clause
"""The ledger: what it keeps, and what it makes of a file that setup did not write."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtmpdb.errors import WtmpdbError
from wtmpdb.installation.ledger import OPTIONS, Ledger

if TYPE_CHECKING:
    from installation.world import World

RECORD = "var/lib/wtmpdb/setup.json"
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
ALMOST = st.fixed_dictionaries(dict.fromkeys(("options", "files", "directories", "deeds"), JSON))


def write(root: Path, content: bytes) -> None:
    """Write what is to be read."""
    path = root / RECORD
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_round_trip(tmp_path: Path) -> None:
    """What was written is read again, and a tree without a ledger has an empty one."""
    first = Ledger(str(tmp_path))
    assert (first.is_new, first.options, first.files) == (True, OPTIONS, [])
    (tmp_path / RECORD).parent.mkdir(parents=True)
    first.options["private"] = True
    first.add("files", "/a")
    first.add("files", "/b")
    first.add("deeds", "something done")
    first.drop("files", "/a")
    again = Ledger(str(tmp_path))
    assert (again.is_new, again.options, again.files, again.deeds) == (False, OPTIONS | {"private": True}, ["/b"], ["something done"])


def test_dry_ledger_is_never_written(tmp_path: Path) -> None:
    """A ledger of a dry run keeps what it is told to itself."""
    ledger = Ledger(str(tmp_path), dry=True)
    ledger.add("files", "/a")
    assert list(tmp_path.iterdir()) == []


def test_goes_by_what_was_written_while_it_waited(tmp_path: Path) -> None:
    """What another setup wrote between the reading and the lock is not lost."""
    write(tmp_path, b'{"options": {}, "files": [], "directories": [], "deeds": []}')
    one, other = Ledger(str(tmp_path)), Ledger(str(tmp_path))
    other.lock()
    other.add("files", "/b")
    with pytest.raises(WtmpdbError, match="another setup"):
        one.lock()
    other.unlock()
    one.lock()
    assert one.files == ["/b"]
    one.unlock()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"options": {}, "files": "abc", "directories": [], "deeds": []}',
        b'{"options": {}, "files": ["relative"], "directories": [], "deeds": []}',
    ],
)
def test_broken_ledger(world: World, content: bytes) -> None:
    """A ledger that cannot be understood stops setup and undo in one line that says what to do; nothing is changed."""
    world.set_up()
    world.path(RECORD).write_bytes(content)
    state = world.state()
    for work in (world.set_up, world.undo):
        with pytest.raises(WtmpdbError, match="not what setup wrote") as raised:
            work()
        assert raised.value.hint == "move it away, and run setup again"
    assert world.state() == state
    world.path(RECORD).unlink()
    world.set_up()


@given(content=st.one_of(ALMOST, JSON))
def test_any_json_is_a_ledger_or_refused(content: Any) -> None:
    """Whatever JSON stands in the file, it is refused in one line, or what comes of it are options we know and absolute paths."""
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), json.dumps(content).encode())
        try:
            ledger = Ledger(name)
        except WtmpdbError as error:
            ledger, said = None, str(error)
        if ledger is None:
            assert "\n" not in said
            return
        assert set(ledger.options) == set(OPTIONS)
        assert all(path.startswith("/") for path in (*ledger.files, *ledger.directories))
        assert all(isinstance(deed, str) for deed in ledger.deeds)
