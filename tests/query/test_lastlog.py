# SPDX-License-Identifier: BSD-2-Clause
"""The last login of each account, in the file and on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from random_histories import in_postgresql as moved
from random_histories import make, make_failures
from wtmpdb.log import Log
from wtmpdb.query.engine import Database
from wtmpdb.query.lastlog import Account, last_failures, last_logins, users

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine


def told(database: Database, failed: Database | None = None) -> dict[str, tuple[object, ...]]:
    """Return what is said of each user of a history, and of one that it does not know."""
    accounts = [Account(name, None) for name in [*users(database), "nobody-at-all"]]
    last_logins(database, accounts)
    if failed:
        last_failures(failed, accounts)
    return {
        one.name: tuple(getattr(last, name) for last in (one.last, one.failed) if last for name in ("time", "tty", "host", "service"))
        for one in accounts
    }


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_the_rows(tmp_path: Path, seed: int) -> None:
    """The last login of a user is the newest session of all rows."""
    path = str(make(tmp_path / "wtmp.db", seed))
    with Log.read(path) as log, Database.read(path) as database:
        newest: dict[str, int] = {}
        for entry in log.entries():
            if entry.type == 3:
                newest[entry.user] = max(newest.get(entry.user, 0), entry.login)
        said = told(database)
    assert {name: facts[0] for name, facts in said.items() if facts} == newest
    assert said["nobody-at-all"] == ()


@pytest.mark.parametrize("seed", range(4))
def test_the_same_on_postgresql(tmp_path: Path, postgresql: Engine, seed: int) -> None:
    """The same history and failures give the same last logins on PostgreSQL as in the file."""
    path, btmp = make(tmp_path / "wtmp.db", seed), make_failures(tmp_path / "btmp.db", seed)
    with Database.read(str(path)) as database, Database.read(str(btmp)) as failed:
        here, failures = told(database, failed), told(failed, failed)
    with moved(postgresql, path) as database:
        assert {name: facts[:4] for name, facts in here.items()} == {name: facts[:4] for name, facts in told(database).items()}
    with moved(postgresql, btmp) as failed:
        assert told(failed, failed) == failures
