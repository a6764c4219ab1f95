# SPDX-License-Identifier: BSD-2-Clause
"""`setup --root`: which trees are refused, and that the program is copied whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from installation.world import World, killed
from wtmpdb.errors import WtmpdbError
from wtmpdb.installation import tree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a program that is installed here; trees have a Python that runs."""
    monkeypatch.setattr(tree, "_python", lambda _root: "/usr/bin/python3")
    top = tmp_path / "opt/wtmpdb"
    (top / "bin").mkdir(parents=True)
    (top / "bin/wtmpdb").write_text("program")
    (top / "bin/python").symlink_to("/usr/bin/python3")
    return top


@pytest.mark.parametrize("root", ["/nowhere", "/etc/passwd", "/dev/null"])
def test_no_directory(top: Path, root: str) -> None:
    """What is no directory is refused by its name."""
    with pytest.raises(WtmpdbError, match=f"{root}: not a directory"):
        tree.enter(root, str(top), [], undo=False, dry=False)


def test_tree_without_python(tmp_path: Path) -> None:
    """A tree without a Python of its own is refused, with what to do, and nothing is put into it."""
    (tmp_path / "usr/bin").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(WtmpdbError, match=r"no Python 3\.11 or later") as raised:
        tree.enter(str(tmp_path), "/opt/wtmpdb", [], undo=False, dry=False)
    assert raised.value.hint == "install python3 in the tree first"
    assert sorted(tmp_path.rglob("*")) == before


def test_link_out_of_the_tree(tmp_path: Path, top: Path) -> None:
    """A tree whose /opt is a link is refused: the program would land on the machine."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    place = root / str(top).lstrip("/")
    place.parent.parent.mkdir(parents=True)
    place.parent.symlink_to(outside)
    with pytest.raises(WtmpdbError, match="a link leads out of the tree"):
        tree.enter(str(root), str(top), [], undo=False, dry=False)
    assert list(outside.iterdir()) == []


def test_nothing_to_undo(tmp_path: Path, top: Path) -> None:
    """Undoing in a tree that has no program says so."""
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(WtmpdbError, match="nothing to undo"):
        tree.enter(str(root), str(top), ["--undo"], undo=True, dry=False)


def test_dry_run_copies_nothing(tmp_path: Path, top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run says that the program would be copied, and copies nothing."""
    root = tmp_path / "root"
    root.mkdir()
    assert tree.enter(str(root), str(top), ["--dry-run"], undo=False, dry=True) == 0
    assert capsys.readouterr().out == f"  would copy {top} to {root}{top}\n  would set it up in {root}\n"
    assert list(root.iterdir()) == []


def test_copy_is_whole_or_not_at_all(tmp_path: Path, top: Path) -> None:
    """Whenever the copying of a newer program is killed, a later one brings it, and leaves nothing beside it."""
    World(top, str(top))
    for number in range(1, 100):
        target = tmp_path / str(number) / "wtmpdb"
        (target / "bin").mkdir(parents=True)
        (target / "bin/wtmpdb").write_text("old")
        died = killed(lambda target=target: tree._copy(str(top), str(target)), number)  # type: ignore[misc]
        if target.exists():
            assert (target / "bin/wtmpdb").read_text() in ("old", "program")
        tree._copy(str(top), str(target))
        assert tree._listing(str(top)) == tree._listing(str(target))
        assert [path.name for path in target.parent.iterdir()] == ["wtmpdb"]
        if not died:
            break
    assert 4 < number < 99
