# SPDX-License-Identifier: BSD-2-Clause
"""The last login of each account, and its last failed one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from wtmpdb.entry import EntryType, as_time
from wtmpdb.query.engine import text_of
from wtmpdb.query.tables import counted, wtmp
from wtmpdb.text import forms, one_form

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wtmpdb.query.engine import Database

# By the index on user and login one row is touched for each account, however long the history.
_NEWEST = (
    select(wtmp.c.Login, wtmp.c.TTY, wtmp.c.RemoteHost, wtmp.c.Service)
    .where(wtmp.c.User == bindparam("user"), wtmp.c.Type == EntryType.USER_PROCESS, wtmp.c.Login.between(1, 2**63 - 1))  # text is above all numbers
    .order_by(wtmp.c.Login.desc(), wtmp.c.ID.desc())
    .limit(1)
)
_USERS = select(wtmp.c.User).distinct()
_COUNTED = select(counted.c.user, counted.c.last, counted.c.host, counted.c.service).where(counted.c.user != "").order_by(counted.c.last)


class Last:
    """When somebody came, or failed to: ``time`` in µs since the epoch, UTC. Text is as it is stored; ``source`` says which file knows it."""

    __slots__ = ("host", "service", "source", "time", "tty")

    def __init__(self, time: int, tty: str | None, host: str | None, service: str | None, *, source: str | None = None) -> None:
        """Keep the facts; ``source`` is None for the history itself."""
        self.time = time
        self.tty = tty
        self.host = host
        self.service = service
        self.source = source


class Account:
    """A user of the machine, with what is known of the last login and the last failed one; ``uid`` is None where nobody has the name any more."""

    __slots__ = ("failed", "last", "name", "uid")

    def __init__(self, name: str, uid: int | None) -> None:
        """Know of nothing yet."""
        self.name = name
        self.uid = uid
        self.last: Last | None = None
        self.failed: Last | None = None

    def take(self, last: Last | None) -> None:
        """Keep a login when it is later than the one that is known."""
        if last is not None and (self.last is None or last.time > self.last.time):
            self.last = last


def users(database: Database) -> list[str]:
    """Return all names in a history, of sessions and others, sorted."""
    return sorted({one_form(text_of(user) or "") for (user,) in database.all(_USERS)})


def last_logins(database: Database, accounts: Iterable[Account]) -> None:
    """Let each account take its last login in the history. Raises LogError."""
    for account in accounts:
        account.take(_newest(database, account.name))


def last_failures(database: Database, accounts: Iterable[Account]) -> None:
    """Give each account its last failed login; ``database`` is one of failed logins. Raises LogError."""
    only_counted = {}
    if database.has("counted"):
        only_counted = {
            one_form(text_of(user) or ""): Last(as_time(last) or 0, None, text_of(host), text_of(service))
            for user, last, host, service in database.all(_COUNTED)
        }
    for account in accounts:
        both = [last for last in (_newest(database, account.name), only_counted.get(account.name)) if last]
        account.failed = max(both, key=lambda last: last.time, default=None)


def _newest(database: Database, user: str) -> Last | None:
    if not database.has("wtmp"):
        return None
    found = [row for form in forms(user) for row in database.all(_NEWEST, {"user": form})]
    lasts = [Last(as_time(login) or 0, *map(text_of, texts)) for login, *texts in found]
    return max(lasts, key=lambda last: last.time, default=None)
