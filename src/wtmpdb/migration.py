# SPDX-License-Identifier: BSD-2-Clause
"""Migration: a file that C or an older program made gets what this one adds. What is added only ever grows, so that older programs can go on writing.

The steps are those of the Alembic environment in ``migrations``. Alembic is imported when there is something to do, never otherwise.
"""

from __future__ import annotations

import time

from wtmpdb import schema, shipped
from wtmpdb.connection import Transaction, connect, look_at, prepare_to_write
from wtmpdb.errors import LogError, NoLogError, WtmpdbError
from wtmpdb.faults import explained
from wtmpdb.log import DATABASE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

_PAUSE = 0.25
"""Seconds in which those who wait for the lock get it: SQLite tries again every 0.1 s at least (sqliteDefaultBusyCallback)."""


def version(path: str | None = None, *, timeout: float = 5.0) -> int | None:
    """Return the version of what we added to the file: 0 for a file of C's or an empty one, None when there is no file.

    Raises LogError when the file cannot be read. One whose last writer was killed is mended first, by those who may.
    """
    path = DATABASE if path is None else path
    try:
        look_at(path)
    except NoLogError:
        return None
    connection = connect(path, "rw", timeout)
    try:
        with explained(path):
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def bring_up_to_date(path: str | None = None, *, timeout: float = 5.0) -> list[str]:
    """Take the file to `schema.VERSION`, one step and one transaction after the other; return the revisions that were applied.

    Nothing is done to a file that is not there, or newer. ``timeout`` is how many seconds each step waits for a lock. Raises LogError; then the
    file has the version that it had, or that of the last step that was done.
    """
    path = DATABASE if path is None else path
    found = version(path, timeout=timeout)
    done: list[str] = []
    if found is not None:
        for number in range(max(found, 0) + 1, schema.VERSION + 1):
            done += _step(path, number, timeout)
    return done


def _step(path: str, number: int, timeout: float) -> list[str]:
    """Apply the step to this version, unless somebody else has done so meanwhile; return its revision, or nothing."""
    done: list[str] = []
    connection = connect(path, "rw", timeout)
    try:
        prepare_to_write(path, connection)
        _alembic(path, number, connection, done)
    except WtmpdbError:
        raise
    except Exception as error:
        # A step can go wrong in any way, Alembic may not be installed: the caller goes on recording.
        raise LogError(f"{path}: cannot be brought to version {number}: {error}") from error
    finally:
        connection.close()
    return done


def _alembic(path: str, number: int, connection: sqlite3.Connection, done: list[str]) -> None:
    from alembic import command  # noqa: PLC0415 - half a second, and not part of the standard library
    from alembic.config import Config  # noqa: PLC0415
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    config = Config(attributes={"connection": connection, "done": done})
    config.set_main_option("script_location", shipped.path("migrations").replace("%", "%%"))
    with explained(path):
        try:
            command.upgrade(config, f"{number:04d}")
        except DBAPIError as error:
            raise error.orig or error from error


def add_indexes(path: str | None = None, *, timeout: float = 5.0) -> list[str]:
    """Make the indexes that are missing, also in a big file; return their names.

    Each has a transaction of its own and a pause after it: other writers, of whom C's give up after 5 s, wait for one index, not for all.
    Raises LogError; then the indexes that were made stay.
    """
    path = DATABASE if path is None else path
    made: list[str] = []
    if version(path, timeout=timeout) is None:
        return made
    connection = connect(path, "rw", timeout)
    try:
        prepare_to_write(path, connection)
        with explained(path):
            for name, statement in _missing_indexes(connection):
                with Transaction(connection):
                    connection.execute(statement)
                made.append(name)
                time.sleep(_PAUSE)
    finally:
        connection.close()
    return made


def _missing_indexes(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' OR (type, name) = ('table', 'wtmp')")}
    if "wtmp" not in there:
        return []
    named = ((statement.partition(" ON ")[0].rpartition(" ")[2], statement) for statement in schema.INDEXES)
    return [(name, statement) for name, statement in named if name not in there]
