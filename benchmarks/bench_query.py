# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb lastlog` of a thousand accounts and `wtmpdb stats`, each with the import of SQLAlchemy; and on a file as the C tools make it."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from benchmarks import data
from benchmarks.measure import ROOT, Result, Settings, at_most, output, peak, race

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROUNDS = 5
_ACCOUNTS = 1000

# The accounts of the machine would be those of whoever measures: these are the users of the history, and as many others as make a thousand.
_LASTLOG = f"""
    import pwd, sys
    sys.path.insert(0, sys.argv[1])
    names = [f"{{'backup-' if n % 9 == 0 else ''}}u{{n:0{{2 + n % 7}}}}" for n in range(400)] + [f"nobody{{n}}" for n in range({_ACCOUNTS - 400})]
    entries = [pwd.struct_passwd((name, "x", uid, uid, "", "/", "")) for uid, name in enumerate(names)]
    pwd.getpwall = lambda: entries
    from wtmpdb import home, log
    home.history = lambda: log.Log.read(sys.argv[2])
    log.FAILED = sys.argv[2] + ".none"
    home.take_letters = lambda program: None
    from wtmpdb.__main__ import main
    sys.exit(main(["wtmpdb", "lastlog"]))
"""


def run(settings: Settings) -> Iterator[Result]:
    """Yield the lines of the table."""
    ours, theirs = str(data.database(settings)), str(data.database_of_c(settings))
    source = str(ROOT / "src")
    lastlog = [sys.executable, "-c", textwrap.dedent(_LASTLOG), source]
    stats = [
        sys.executable,
        "-c",
        "import sys; sys.path.insert(0, sys.argv.pop(1)); from wtmpdb.__main__ import main; sys.exit(main())",
        source,
        "stats",
    ]
    commands = {
        "lastlog": [*lastlog, ours],
        "stats": [*stats, "-f", ours],
        "lastlog of C": [*lastlog, theirs],
        "stats of C": [*stats, "-f", theirs],
        "import": [sys.executable, "-c", "import sqlalchemy"],
    }
    if len(output(commands["lastlog"]).splitlines()) != _ACCOUNTS + 1 or output(commands["lastlog"]) != output(commands["lastlog of C"]):
        raise RuntimeError("lastlog: the two files of one history give other answers")
    times = race(commands, _ROUNDS)
    yield at_most(f"`wtmpdb lastlog`, {_ACCOUNTS:,} accounts, {settings.rows:,} rows", times["lastlog"], 1, "s")
    yield at_most(f"`wtmpdb stats`, {settings.rows:,} rows", times["stats"], 5, "s")
    yield at_most("`wtmpdb stats`: peak memory", peak(commands["stats"]), 256, "MB")
    yield Result("C's file: `wtmpdb lastlog`", f"{times['lastlog of C']:.2f} s")
    yield Result("C's file: `wtmpdb stats`", f"{times['stats of C']:.2f} s")
    yield Result("`import sqlalchemy` in a fresh Python", f"{times['import']:.2f} s")
