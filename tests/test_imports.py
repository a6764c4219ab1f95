# SPDX-License-Identifier: BSD-2-Clause
"""What may be imported where: the start of `last` is counted in milliseconds, and imports run one way."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import NOON, Machine, failed, make_file, make_spool, opened, post
from wtmpdb.recorder.drain import drain

SOURCE = Path(__file__).parent.parent / "src"
PACKAGE = SOURCE / "wtmpdb"

# What the interpreter, `import os` and `import sqlite3` load anyway is measured, not listed: each Python has its own; beyond that only these.
ALLOWED = {"__future__", "_bisect", "bisect", "fcntl", "importlib", "itertools", "pwd", "time"}
ALLOWED |= {"_warnings", "importlib._bootstrap", "importlib._bootstrap_external", "warnings"}  # parts of importlib
HEAVY = {
    "sqlalchemy",
    "alembic",
    "dataclasses",
    "typing",
    "re",
    "enum",
    "argparse",
    "json",
    "socket",
    "subprocess",
    "uuid",
    "collections",
    "functools",
}


def loaded(code: str, *arguments: str) -> set[str]:
    """Run code in a bare interpreter; return the modules that are loaded at its end."""
    script = f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n{code}\nprint('\\n'.join(['', *sys.modules]), file=sys.stderr)"
    command = ["/usr/bin/python3", "-I", "-S", "-B", "-c", script, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return set(ran.stderr.split())


BASE = loaded("import os, sqlite3")
OS = loaded("import os")
NOTHING = loaded("")


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Make a history with a closed session, an open one and a boot."""
    rows = [
        (1, "reboot", NOON - 9, None, "~", "6.1", None),
        (3, "alice", NOON, NOON + 5, "tty1", "192.0.2.7", "login"),
        (3, "bob", NOON + 1, None, "tty2", None, "login"),
    ]
    return make_file(tmp_path / "wtmp.db", rows)


@pytest.mark.parametrize("words", [["-n", "10"], ["-x"], ["-F", "alice", "-s", "yesterday"], ["-aw", "--open"]])
@pytest.mark.parametrize("command", ["last", "lastb"])
def test_last(history: Path, command: str, words: list[str]) -> None:
    """`last` and `lastb` load nothing beyond sqlite3 and a few modules that cost nothing."""
    modules = loaded("from wtmpdb.__main__ import main; main(['wtmpdb', sys.argv[1], '-f', *sys.argv[2:]])", command, str(history), *words)
    extra = {name for name in modules - BASE if not name.startswith("wtmpdb")}
    assert extra <= ALLOWED
    assert not extra & HEAVY


@pytest.mark.parametrize("words", [[], ["-q"], ["-uHT"], ["-b"], ["-s", "am", "i"]])
def test_who(history: Path, words: list[str]) -> None:
    """`who` loads as little as `last`."""
    code = "import wtmpdb.log; wtmpdb.log.DATABASE = sys.argv[1]; from wtmpdb.__main__ import main; main(['wtmpdb', 'who', *sys.argv[2:]])"
    modules = loaded(code, str(history), *words)
    assert {name for name in modules - BASE if not name.startswith("wtmpdb")} <= ALLOWED | {"_locale", "errno"}  # both are built in
    assert "wtmpdb.listing.text" not in modules


@pytest.mark.parametrize("words", [[], ["-q"], ["-a"]])
def test_who_of_an_old_file(words: list[str]) -> None:
    """`who` of an old file does without SQLite."""
    path = Path(__file__).parent / "data" / "docs" / "wtmp"
    modules = loaded("from wtmpdb.__main__ import main; main(['wtmpdb', 'who', *sys.argv[1:]])", str(path), *words)
    assert not modules & HEAVY
    assert "sqlite3" not in modules


@pytest.mark.parametrize("words", [["-n", "10"], ["-x"], ["-F", "alice", "-s", "yesterday"], ["-aw"]])
@pytest.mark.parametrize("command", ["last", "lastb"])
def test_last_of_an_old_file(command: str, words: list[str]) -> None:
    """An old file is listed without SQLite, and without anything else that is heavy."""
    path = Path(__file__).parent / "data" / "last" / "02-formats" / "wtmp"
    modules = loaded("from wtmpdb.__main__ import main; main(['wtmpdb', *sys.argv[1:]])", command, "-f", str(path), *words)
    assert {name for name in modules - OS if not name.startswith("wtmpdb")} <= ALLOWED | {"_struct", "struct"}
    assert "wtmpdb.log" not in modules


@pytest.mark.skipif(os.getuid() != 0, reason="the spool has to belong to root")
def test_recorder(tmp_path: Path) -> None:
    """Draining loads neither SQLAlchemy nor anything else that is heavy."""
    spool = make_spool(tmp_path / "spool")
    post(spool, opened())
    code = "from wtmpdb.recorder.drain import drain; drain(sys.argv[1], sys.argv[2])"
    modules = loaded(code, str(tmp_path / "wtmp.db"), str(spool))
    assert not (modules - BASE) & HEAVY
    post(make_spool(spool / "failed"), failed())
    code = "from wtmpdb.recorder.failures import Failures; print(Failures(sys.argv[1]).take())"
    assert not (loaded(code, str(spool)) - BASE) & HEAVY
    assert str(drain(str(tmp_path / "wtmp.db"), str(spool), system=Machine())) == "0 opened, 0 closed"


def test_resident_recorder() -> None:
    """What stays in the memory of the resident recorder is the standard library's cheap part: of what is heavy only what `signal` brings along."""
    modules = loaded("import wtmpdb.cli.recorder, wtmpdb.recorder.server")
    assert (modules - BASE) & HEAVY == {"enum"}


def test_package() -> None:
    """Importing the package costs nothing, and its public names come when they are asked for."""
    assert loaded("import wtmpdb") - NOTHING == {"wtmpdb", "__future__"}
    import wtmpdb  # noqa: PLC0415

    for name in wtmpdb.__all__:
        assert getattr(wtmpdb, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        wtmpdb.nothing  # noqa: B018
    assert "Log" in dir(wtmpdb) or hasattr(wtmpdb, "Log")


# Who may import whom: a layer sees those below it.
LAYERS = (
    ("__main__",),
    ("cli", "pyutmp"),
    ("doctor",),
    ("installation", "exporter"),
    ("home", "query", "remote"),
    ("recorder", "listing", "legacy"),
    ("live", "boot", "audit", "migration"),
    ("history", "log", "spool"),
    ("connection", "scan", "system", "logind"),
    ("faults",),
    ("schema",),
    ("event", "timespec", "entry"),
    ("shipped",),
    ("text", "errors"),
    ("__init__",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def test_arrows() -> None:
    """Imports run one way: from the commands down to entries and events, never back."""
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        here = path.relative_to(PACKAGE).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            for target in imported(node):
                there = target.split(".")[1]
                if LEVEL.get(there, LEVEL["__init__"]) < LEVEL[here] and not in_type_checking(path, node):
                    wrong.append(f"{path.relative_to(PACKAGE)} imports {target}")
    assert wrong == []


def test_who_sees_the_questions() -> None:
    """What is run all the time, or in a hurry, does not reach the questions, not even by an import that waits in a function."""
    modules = {module_name(path): path for path in PACKAGE.rglob("*.py")}
    roots = [f"wtmpdb.cli.{name}" for name in ("last", "lastb", "who", "boot", "boottime", "shutdown", "recorder", "exporter")]
    roots += [name for name in modules if name.split(".")[1:2] in (["recorder"], ["exporter"], ["live"], ["home"])]
    seen, waiting = set[str](), [name for name in roots if name in modules]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in ast.walk(ast.parse(modules[name].read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and not in_type_checking(modules[name], node):
                targets = {node.module, *(f"{node.module}.{part.name}" for part in node.names)}
                waiting += targets & modules.keys()
    assert {name for name in seen if name.startswith("wtmpdb.query")} == set()
    assert {"wtmpdb.log", "wtmpdb.history", "wtmpdb.recorder.drain"} <= seen


def module_name(path: Path) -> str:
    """Return the dotted name of a module of ours."""
    return ".".join(["wtmpdb", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")


def imported(node: ast.AST) -> list[str]:
    """Return what of wtmpdb an import statement names."""
    if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "wtmpdb":
        return [f"wtmpdb.{name.name}" for name in node.names] if node.module == "wtmpdb" else [node.module]
    return []


def in_type_checking(path: Path, node: ast.AST) -> bool:
    """Tell whether a statement is only for the type checker."""
    for block in ast.walk(ast.parse(path.read_text())):
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            first, last = block.body[0], block.body[-1]
            if first.lineno <= node.lineno <= (last.end_lineno or 0):  # type: ignore[attr-defined]
                return True
    return False


def test_files_are_short() -> None:
    """No file of ours is longer than 500 lines."""
    files = [*PACKAGE.rglob("*.py"), *(SOURCE.parent / "pam").glob("*.[ch]")]
    assert [path.name for path in files if len(path.read_text().splitlines()) > 500] == []


def test_no_traceback(tmp_path: Path) -> None:
    """An error of ours reaches the user in one line, from any command."""
    for words in (["boottime", "-f", str(tmp_path / "x")], ["last", "-f", str(tmp_path)], ["recorder", "--once", "--spool", str(tmp_path / "x")]):
        ran = subprocess.run([sys.executable, "-m", "wtmpdb", *words], capture_output=True, text=True, check=False)
        assert ran.returncode == 1
        assert ran.stderr.count("\n") == 1
        assert ran.stderr.startswith(f"wtmpdb {words[0]}: ")
