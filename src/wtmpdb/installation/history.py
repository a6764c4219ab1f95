# SPDX-License-Identifier: BSD-2-Clause
"""The history's part: its directories, its modes, its tables and indexes. The file itself is made by the first boot or login."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING

from wtmpdb import migration, schema, spool
from wtmpdb.errors import WtmpdbError, complain
from wtmpdb.installation.places import C_DATABASE, FAILED_SPOOL, PRIVATE, RUNTIME, SPOOL, STATE
from wtmpdb.log import DATABASE, FAILED
from wtmpdb.recorder.access import OWN
from wtmpdb.recorder.drain import drain
from wtmpdb.recorder.failures import take_failures

if TYPE_CHECKING:
    from wtmpdb.installation.changes import Changes

_SPOOL = tuple(path for top in (SPOOL, FAILED_SPOOL) for path in (top, *(f"{top}/{name}" for name in ("tmp", "new", "bad"))))
_MODES = {False: 0o644, True: 0o640}


def put(changes: Changes) -> None:
    """Make the directories."""
    changes.directory(STATE)
    for path in _SPOOL:
        changes.directory(path, 0o700)
    if changes.root == "/":  # in a tree /run is that of no machine
        changes.directory(RUNTIME)


def modernise(changes: Changes) -> None:
    """Bring the tables up to date, and add what indexes are missing: a file of the C tool has none."""
    path = changes.at(DATABASE)
    if not os.path.exists(path):
        return
    for what, version in (("tables", migration.bring_up_to_date), ("indexes", migration.add_indexes)):
        if changes.dry:
            continue
        if done := version(path):
            changes.begin(f"add to {DATABASE}: {what} {', '.join(map(str, done))}")


def close(changes: Changes, *, private: bool, others: str | None = None) -> None:
    """Let everybody read the history, or only root and the group; ``others`` is what the recorder shows the others, None leaves that as it is."""
    if private:
        changes.put(PRIVATE, f"{others}\n".encode() if others else _content(changes.at(PRIVATE)))
    elif not os.path.exists(changes.at(PRIVATE)):
        return  # a mode that somebody else has chosen stays
    wanted, other = _MODES[private], _MODES[not private]
    for path in (DATABASE, f"{os.path.realpath(changes.at(DATABASE))}-journal"):
        real = changes.at(path) if path == DATABASE else path
        if os.path.isfile(real) and stat.S_IMODE(os.stat(real).st_mode) == other and changes.begin(f"chmod {wanted:04o} {path}"):
            os.chmod(real, wanted)
    if not private:
        changes.remove(PRIVATE)


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except FileNotFoundError:
        return f"{OWN}\n".encode()


def take_letters(changes: Changes) -> None:
    """Take what waits in the spool into the history, so that nothing is lost with the spool."""
    if changes.root != "/" or changes.dry:
        return
    for path, take in ((SPOOL, drain), (FAILED_SPOOL, take_failures)):
        try:
            if path == FAILED_SPOOL or spool.waiting(path):
                take(wait=5.0)
        except WtmpdbError as error:
            complain(f"  what waits in {path} stays there: {error}", error.hint)


def remove(changes: Changes) -> None:
    """Remove the spool, if it is empty, and what belongs to this boot."""
    for path in reversed(_SPOOL):
        changes.remove_directory(path)
        if os.path.isdir(changes.at(path)) and not changes.dry:
            changes.note(f"{path} is not empty: it stays")
    changes.remove(PRIVATE)
    journal = f"{DATABASE}-journal"
    if os.path.exists(changes.at(journal)) and (os.path.islink(changes.at(DATABASE)) or not os.path.exists(changes.at(DATABASE))):
        changes.remove(journal)  # Debian's upgrade to 13 moves the history to where its sshd writes, without its journal
    if changes.root == "/":
        for name in ("boot", "poke", "recorder"):
            if os.path.lexists(f"{RUNTIME}/{name}"):
                changes.remove(f"{RUNTIME}/{name}")
        changes.remove_directory(RUNTIME)


def purge(changes: Changes) -> None:
    """Remove the history; in a file that is shared with the C tools only what we added."""
    real = os.path.realpath(changes.at(DATABASE))
    if real == os.path.realpath(changes.at(C_DATABASE)) and os.path.isfile(real) and not os.path.islink(changes.at(C_DATABASE)):
        if changes.begin(f"remove our tables from {C_DATABASE}"):
            _strip(real)
    elif os.path.isfile(real):
        path = real if changes.root == "/" else real.removeprefix(os.path.realpath(changes.root))  # a link is not ours, or taken back with the rest
        for name in (f"{path}-journal", path):
            changes.remove(name)
    for name in (f"{FAILED}-journal", FAILED):
        changes.remove(name)
    changes.remove_tree(SPOOL)


def _strip(path: str) -> None:
    with closing(sqlite3.connect(":memory:")) as fresh, closing(sqlite3.connect(path, isolation_level=None, timeout=10.0)) as database:
        for statement in (*schema.statements(sqlite3.sqlite_version_info), *schema.INDEXES):
            fresh.execute(statement)
        ours = fresh.execute("SELECT type, name FROM sqlite_master WHERE name <> 'wtmp' AND name NOT LIKE 'sqlite_%' ORDER BY type DESC").fetchall()
        database.execute("BEGIN IMMEDIATE")
        for kind, name in ours:
            database.execute(f"DROP {kind} IF EXISTS {name}")
        database.execute("PRAGMA user_version = 0")
        database.execute("COMMIT")
