# SPDX-License-Identifier: BSD-2-Clause
"""The examples in docs/library.md and in the docstrings of the library: they run, and print what is shown."""

from __future__ import annotations

import doctest
import re
import shutil
from importlib import import_module
from pathlib import Path

import pytest

import wtmpdb

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "library.md"
OLD_FILES = Path(__file__).parent / "data" / "docs"
PACKAGE = Path(wtmpdb.__file__).parent
MODULES = sorted(path.stem for path in (PACKAGE / "legacy").glob("*.py") if path.stem != "__init__")
NAMES = ["wtmpdb", "wtmpdb.pyutmp", "wtmpdb.legacy", *(f"wtmpdb.legacy.{name}" for name in MODULES)]


@pytest.fixture(autouse=True)
def old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter a directory with the files of the examples."""
    shutil.copytree(OLD_FILES, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def code_of(page: Path) -> str:
    """Return the blocks ``pycon`` of a page, each in its own lines; the others are empty."""
    lines, inside = [], False
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            inside = line == "```pycon"
        lines.append(line if inside and not line.startswith("```") else "")
    return "\n".join(lines) + "\n"


def test_page() -> None:
    """Every example in docs/library.md runs, one after the other, and prints what is shown behind it."""
    test = doctest.DocTestParser().get_doctest(code_of(PAGE), {}, PAGE.name, str(PAGE), 0)
    assert len(test.examples) >= 40
    said: list[str] = []
    results = doctest.DocTestRunner().run(test, out=said.append)
    assert results.failed == 0, "".join(said)


@pytest.mark.parametrize("name", NAMES)
def test_docstrings(name: str) -> None:
    """The examples in the docstrings of the library are right."""
    module = import_module(name)
    assert doctest.testmod(module).failed == 0


def test_every_public_name_is_shown() -> None:
    """docs/library.md names every function of `wtmpdb.legacy`, and shows it at work."""
    from wtmpdb import legacy  # noqa: PLC0415 - the module of the tests is not that of the names

    code = code_of(PAGE)
    functions = [name for name in legacy.__all__ if name.islower() and name != "default_files"]
    assert [name for name in functions if not re.search(rf"\blegacy\.{name}\b", code)] == []
