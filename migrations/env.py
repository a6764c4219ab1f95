# SPDX-License-Identifier: BSD-2-Clause
"""Alembic's environment for what we add to the file of the history.

The file keeps its version in ``user_version``, and in nothing else: Alembic's own table is a TEMP table, which no other connection sees and which
hides one of the same name in the file; it is filled from there. The lock is taken before the version is read, so that of two processes the second
finds nothing to do. The steps that are asked for and the new version are one transaction.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import NullPool

from wtmpdb.connection import connect, prepare_to_write
from wtmpdb.errors import WtmpdbError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping

    from alembic.runtime.migration import MigrationContext, MigrationInfo


def migrate(raw: sqlite3.Connection, done: list[str]) -> None:
    """Run the steps that Alembic was asked for; put the revisions that were applied into ``done``."""
    engine = create_engine("sqlite://", creator=lambda: raw, poolclass=NullPool)
    # The driver begins no transactions (isolation_level is None), and so does not end one before DDL.
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.connect() as connection, connection.begin():
        _seed(connection)

        def applied(ctx: MigrationContext, step: MigrationInfo, heads: Collection[Any], run_args: Mapping[str, Any]) -> None:  # noqa: ARG001 - so called
            if not step.is_upgrade:
                raise CommandError("what we add is never taken away again: older programs write into newer files")
            connection.exec_driver_sql(f"PRAGMA user_version = {max(int(head) for head in heads):d}")
            done.extend(step.up_revision_ids)

        context.configure(connection=connection, transactional_ddl=True, on_version_apply=applied)
        context.run_migrations()


def _seed(connection: Connection) -> None:
    """Give Alembic its table: revision "0007" for version 7, no row for 0, which is a file without anything of ours.

    Alembic is not told the schema: SQLAlchemy does not list "temp" among them, and Alembic would make the table once more.
    """
    connection.exec_driver_sql("CREATE TEMP TABLE alembic_version (version_num TEXT NOT NULL PRIMARY KEY)")
    connection.exec_driver_sql("INSERT INTO temp.alembic_version SELECT printf('%04d', user_version) FROM pragma_user_version WHERE user_version > 0")


def _by_hand() -> sqlite3.Connection:
    """Return the file that was named on the command line of Alembic."""
    if context.is_offline_mode():
        raise CommandError("--sql: a step looks at the file that it changes")
    database = context.get_x_argument(as_dictionary=True).get("database")
    if not isinstance(database, str):
        raise CommandError("which file? Say it with '-x database=FILE'")
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        connection = connect(database, "rw", 5.0)
        prepare_to_write(database, connection)
    except WtmpdbError as error:
        raise CommandError(str(error)) from error
    return connection


# `wtmpdb.migration` hands over a connection and takes the list of what was done.
migrate(context.config.attributes.get("connection") or _by_hand(), context.config.attributes.get("done", []))
