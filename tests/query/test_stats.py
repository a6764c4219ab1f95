# SPDX-License-Identifier: BSD-2-Clause
"""Sums over a history, against the same worked out of its lines, and on PostgreSQL."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from random_histories import in_postgresql as moved
from random_histories import make, make_failures
from support import C_TABLE, HOUR, NOON, SECOND, Machine, edit, make_file
from wtmpdb.__main__ import main
from wtmpdb.history import History
from wtmpdb.log import Log
from wtmpdb.query import engine as engine_module
from wtmpdb.query.engine import Database
from wtmpdb.query.lastlog import Account, last_failures
from wtmpdb.query.stats import QUARTER, Picture, Wishes, picture
from wtmpdb.query.tables import wtmp

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

DAY = 24 * HOUR
WISHES = (
    Wishes(most=4),
    Wishes(since=NOON + 5 * DAY, until=NOON + 20 * DAY),
    Wishes(user="alice", since=NOON + 9 * DAY),
    Wishes(host="192.0.2.7", until=NOON + 30 * DAY, most=1),
    Wishes(user="nobody"),
)


def facts(found: Picture) -> dict[str, object]:
    """Return all that a picture says."""
    said = dict(vars(found))
    said["longest"] = [tuple(getattr(one, name) for name in type(one).__slots__) for one in found.longest]
    return said


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a statement look at a few rows only, so that there are several."""
    monkeypatch.setattr(engine_module, "_WINDOW", 37)


@pytest.mark.parametrize("wishes", WISHES)
@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_last(tmp_path: Path, seed: int, wishes: Wishes) -> None:
    """Every number is that which the lines of `last` add up to: counts, lengths, the most at once, boots and crashes."""
    path = str(make(tmp_path / "wtmp.db", seed))
    since, until = wishes.bounds["since"], wishes.bounds["until"]
    with Log.read(path) as log:
        entries = list(History(log, Machine(boot=NOON)).entries(log.rows()))
        moment = max(time for entry, _, when in entries if entry.type != 2 for time in (entry.login, when) if time is not None)
    touched = [
        (entry, end, max(moment, entry.login) if end in ("logged in", "unknown") else when)
        for entry, end, when in entries
        if entry.type == 3 and wishes.user in (None, entry.user) and wishes.host in (None, entry.host)
    ]
    began = [one for one in touched if since <= one[0].login <= until]
    lasted = {entry.id: max((when or 0) // SECOND - entry.login // SECOND, 0) for entry, _, when in touched}
    spans = [
        (max(entry.login, since), when) for entry, _, when in touched if entry.login <= until and when is not None and when >= max(entry.login, since)
    ]
    present = {begin: sum(first <= begin <= last for first, last in spans) for begin, _ in spans}
    seconds: Counter[str] = Counter()
    for entry, _, _ in began:
        seconds[entry.user] += lasted[entry.id]

    with Database.read(path) as database:
        found = picture(database, wishes, system=Machine(boot=NOON))

    assert found.quarters == Counter(entry.login // QUARTER for entry, _, _ in began)
    assert found.users == Counter(entry.user for entry, _, _ in began)
    assert found.hosts == Counter(entry.host for entry, _, _ in began if entry.host)
    assert found.services == Counter(entry.service for entry, _, _ in began if entry.service)
    assert found.seconds == seconds
    longest = sorted(began, key=lambda one: (-lasted[one[0].id], one[0].login, one[0].id))[: wishes.most]
    assert [(one.user, one.login, one.seconds, one.end) for one in found.longest] == [(e.user, e.login, lasted[e.id], end) for e, end, _ in longest]
    assert found.peak == max(present.values(), default=0)
    assert found.peak_time == min((time for time, number in present.items() if number == found.peak), default=None)
    assert found.boots == sum(entry.type == 1 and since <= entry.login <= until for entry, _, _ in entries)
    assert found.crashes == sum(entry.type == 1 and end == "crash" and since <= (when or 0) <= until for entry, end, when in entries)


@pytest.mark.parametrize("seed", range(4))
def test_the_same_on_postgresql(tmp_path: Path, postgresql: Engine, seed: int) -> None:
    """The same history gives the same answers on PostgreSQL as in the file."""
    path, btmp = make(tmp_path / "wtmp.db", seed), make_failures(tmp_path / "btmp.db", seed)
    for wishes in WISHES:
        with Database.read(str(path)) as database, Database.read(str(btmp)) as failed:
            here = picture(database, wishes, failed=failed, system=Machine(boot=NOON))
        with moved(postgresql, path) as database:
            there = picture(database, wishes, system=Machine(boot=NOON))
        with moved(postgresql, btmp) as failed, Database.copy(Log.read(str(btmp))) as nothing:
            counted = picture(nothing, wishes, failed=failed, system=Machine(boot=NOON))
        there.failed_quarters, there.failed_hosts = counted.failed_quarters, counted.failed_hosts
        assert facts(there) == facts(here)
        assert wishes.user == "nobody" or there.quarters


@pytest.mark.parametrize("seed", range(3))
def test_the_same_of_a_copy(tmp_path: Path, seed: int) -> None:
    """What is copied of a log into memory gives the same answers as its file."""
    path = str(make(tmp_path / "wtmp.db", seed))
    for wishes in WISHES:
        with Database.read(path) as database:
            here = picture(database, wishes, system=Machine(boot=NOON))
        with Log.read(path) as log, Database.copy(log) as database:
            assert facts(picture(database, wishes, system=Machine(boot=NOON))) == facts(here)


class TestFailures:
    def test_rows_and_what_was_counted(self, tmp_path: Path) -> None:
        """Failed logins are the rows and those of which only the number was kept."""
        path = make_failures(tmp_path / "btmp.db", 1)
        with Database.read(str(path)) as failed:
            number = failed.all(select(wtmp.c.ID))
            found = picture(failed, Wishes(), failed=failed)
            assert found.failed_quarters
            only_counted = sum(found.failed_quarters.values()) - len(number)
            assert only_counted > 14
            assert found.failed_hosts["203.0.113.9"] == only_counted

    def test_damaged(self, tmp_path: Path) -> None:
        """Where damage made text of numbers, the others still count, and so does the last failed login of an account."""
        path = make_failures(tmp_path / "btmp.db", 1)
        with edit(path) as database:
            database.execute("DROP TABLE counted")
            database.execute("CREATE TABLE counted (day, host, user, service, number, first, last)")
            rows = [
                ("h", "ann", 7, NOON, NOON),
                ("h", "bob", "many", NOON, NOON),
                (b"\xff", None, 2.5, NOON + 0.5, "x"),
                ("h", "ann", None, NOON, None),
            ]
            database.executemany("INSERT INTO counted VALUES (0, ?, ?, 'sshd', ?, ?, ?)", rows)
            database.execute("DROP TABLE wtmp")
            database.execute(C_TABLE)
            login = [("dave", NOON), ("dave", "soon"), ("dave", b"x")]
            database.executemany("INSERT INTO wtmp (Type, User, Login) VALUES (3, ?, ?)", login)
        history = str(make(tmp_path / "wtmp.db", 1))
        with Database.read(str(path)) as failed, Database.read(history) as database:
            found = picture(database, Wishes(), failed=failed)
            assert (found.failed_hosts["h"], found.failed_hosts["\\377"]) == (7, 2)
            dave = Account("dave", None)
            last_failures(failed, [dave])
        assert dave.failed
        assert dave.failed.time == NOON
        assert main(["lastb", "--by", "host", "-f", str(path)]) == 0

    def test_of_a_user(self, tmp_path: Path) -> None:
        """Of a user only those count of which it is known that they were of that user."""
        path = make_failures(tmp_path / "btmp.db", 1)
        with Database.read(str(path)) as failed:
            everybody, bob = (picture(failed, wishes, failed=failed).failed_quarters for wishes in (Wishes(), Wishes(user="bob")))
            assert everybody
            assert bob
            assert 0 < sum(bob.values()) < sum(everybody.values())

    def test_none(self, tmp_path: Path) -> None:
        """Without a file of failed logins their number is not known, and that is not none."""
        with Database.read(str(make(tmp_path / "wtmp.db", 1))) as database:
            assert picture(database, Wishes()).failed_quarters is None


class TestUptime:
    def test_share(self, tmp_path: Path) -> None:
        """The machine is up from a boot to its shutdown, or to the boot behind a crash, within the stretch that is asked for."""
        rows = [(1, "reboot", NOON, NOON + HOUR, "~", "6.1", None), (1, "reboot", NOON + 3 * HOUR, None, "~", "6.1", None)]
        rows += [(1, "reboot", NOON + 4 * HOUR, NOON + 5 * HOUR, "~", "6.1", None)]
        with Database.read(str(make_file(tmp_path / "wtmp.db", rows))) as database:
            found = picture(database, Wishes(), system=Machine())
            assert (found.up, found.boots, found.crashes) == (3 * HOUR, 3, 1)
            assert (found.begin, found.end) == (NOON, NOON + 5 * HOUR)
            assert picture(database, Wishes(since=NOON + HOUR // 2, until=NOON + 4 * HOUR - 1), system=Machine()).up == 3 * HOUR // 2 - 1

    def test_nothing(self, tmp_path: Path) -> None:
        """An empty history gives an empty picture."""
        (tmp_path / "wtmp.db").touch()
        with Log.read(str(tmp_path / "wtmp.db")) as log, Database.of(log) as database:
            found = picture(database, Wishes())
            assert (found.begin, found.peak, found.longest, found.up) == (None, 0, [], 0)
