# SPDX-License-Identifier: BSD-2-Clause
"""One row of what sshd and the PAM module write of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from support import BOOT_KEY, NOON, SECOND, closed, edit, make_file, opened, table
from wtmpdb.log import Log
from wtmpdb.recorder import merging

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wtmpdb.event import Event

TTY = "pts/3"
CRASHED = (3, "dave", NOON - 9 * 3600 * SECOND, None, TTY, "192.0.2.9", None)
"""A row that C wrote of an earlier boot, and nobody has closed."""


def sshd_opens(path: Path, time: int, user: str = "alice", tty: str = TTY, host: str = "192.0.2.7") -> None:
    """Write a row as Debian 13's sshd does."""
    with edit(path) as database:
        database.execute("INSERT INTO wtmp (Type, User, Login, TTY, RemoteHost) VALUES (3, ?, ?, ?, ?)", (user, time, tty, host))


def sshd_closes(path: Path, time: int, tty: str = TTY) -> None:
    """Close a row as Debian 13's sshd does: the newest that is open on the terminal."""
    with edit(path) as database:
        found = database.execute("SELECT ID FROM wtmp WHERE TTY = ? AND Logout IS NULL ORDER BY Login DESC LIMIT 1", (tty,)).fetchone()
        if found:
            database.execute("UPDATE wtmp SET Logout = ? WHERE ID = ?", (time, *found))


@pytest.fixture(params=[True, False], ids=["ours", "made by C"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Make a history, by us or by C, with a row that is open for ever."""
    return make_file(tmp_path / "wtmp.db", [CRASHED], ours=request.param)


@pytest.fixture
def log(path: Path) -> Iterator[Log]:
    """Open it for writing."""
    with Log.write(str(path)) as log:
        yield log


def rows(path: Path) -> list[tuple[object, ...]]:
    """Return user, login, logout, tty, host, service of all rows but the crashed one, by login; that one has to be as it was."""
    found = [row[2:] for row in table(path)]
    assert found.count(CRASHED[1:]) == 1
    found.remove(CRASHED[1:])
    return sorted(found, key=lambda row: (row[1], row[0]))


def key(event: Event) -> str:
    """Return the key of a session."""
    assert event.key
    return event.key


def test_terminal_is_put_in(path: Path, log: Log) -> None:
    """An open session gets its terminal, and keeps it when it is closed by a letter that still says ``ssh``."""
    alice = opened()
    log.apply([alice])
    merging.put_in(log, [(key(alice), TTY)])
    assert rows(path) == [("alice", NOON, None, TTY, "192.0.2.7", "sshd")]
    log.apply([closed(alice, NOON + 9)])
    assert rows(path) == [("alice", NOON, NOON + 9, TTY, "192.0.2.7", "sshd")]


@pytest.mark.parametrize("tty", ["tty1", "pts/7", None])
def test_only_where_none_is_known(path: Path, log: Log, tty: str | None) -> None:
    """What has told a terminal, or none at all, keeps what it told, and so does a session that is over."""
    other, over = opened(tty=tty), opened("bob", NOON + 1)
    log.apply([other, over, closed(over, NOON + 2)])
    merging.put_in(log, [(key(other), TTY), (key(over), TTY)])
    assert [row[3] for row in rows(path)] == [tty, "ssh"]


def test_ids_stay(path: Path, log: Log) -> None:
    """The row of sshd keeps its ID, with which sshd may be about to close it, and gets login, service and the letters' facts of ours."""
    alice = opened()
    log.apply([alice])
    sshd_opens(path, NOON + 5)
    ident = table(path)[-1][0]
    merging.put_in(log, [(key(alice), TTY)])
    assert table(path)[-1] == (ident, 3, "alice", NOON, None, TTY, "192.0.2.7", "sshd")
    assert len(table(path)) == 2
    opening = log.opening(int(str(ident)), NOON)
    assert opening is not None
    assert (opening.boot, opening.pid, opening.start) == (BOOT_KEY, 100, 1000)


def test_terminal_used_before(path: Path, log: Log) -> None:
    """A row of the same terminal that ended before, of another session in a shared connection, stays a row of its own, however often we look."""
    alice = opened()
    log.apply([alice])
    sshd_opens(path, NOON + 5)
    sshd_closes(path, NOON + 6)
    sshd_opens(path, NOON + 7)
    for _ in range(2):
        merging.put_in(log, [(key(alice), TTY)])
    assert [row[1:3] for row in rows(path)] == [(NOON, None), (NOON + 5, NOON + 6)]


@pytest.mark.parametrize("row", [{"user": "bob"}, {"tty": "pts/4"}, {"time": NOON - 1}])
def test_rows_of_others(path: Path, log: Log, row: dict[str, object]) -> None:
    """A row of another user or terminal, or from before the login, stays a row of its own."""
    alice = opened()
    log.apply([alice])
    sshd_opens(path, **{"time": NOON + 5} | row)  # type: ignore[arg-type]
    merging.put_in(log, [(key(alice), TTY)])
    assert len(rows(path)) == 2


@pytest.mark.parametrize(
    ("row", "is_it"), [({}, True), ({"host": "192.0.2.8"}, False), ({"user": "bob"}, False), ({"time": NOON + 11 * SECOND}, False)]
)
def test_short_sessions(path: Path, log: Log, row: dict[str, object], *, is_it: bool) -> None:
    """A session that was over before anybody saw its terminal has it from sshd's row of the same user, host and time, and from no other."""
    alice = opened()
    sshd_opens(path, **{"time": NOON + SECOND} | row)  # type: ignore[arg-type]
    sshd_closes(path, NOON + 12 * SECOND)
    log.apply([alice, closed(alice, NOON + 12 * SECOND)])
    merging.find(log, [key(alice)])
    found = rows(path)
    assert len(found) == (1 if is_it else 2)
    assert [row[3] for row in found if row[5] == "sshd"] == [TTY if is_it else "ssh"]


def test_two_at_once(path: Path, log: Log) -> None:
    """Of two short sessions of one user each gets the row that ended when it did."""
    first, second = opened(), opened(time=NOON + 1)
    for tty, time in ((TTY, NOON + 5), ("pts/4", NOON + 6)):
        sshd_opens(path, time, tty=tty)
    sshd_closes(path, NOON + 100)
    sshd_closes(path, NOON + 200, "pts/4")
    log.apply([first, second, closed(first, NOON + 101), closed(second, NOON + 201)])
    merging.find(log, [key(first), key(second)])
    assert [row[1:4] for row in rows(path)] == [(NOON, NOON + 101, TTY), (NOON + 1, NOON + 201, "pts/4")]


def test_unnamed_close(path: Path, log: Log) -> None:
    """A close that knows neither its session nor its boot finds the row of its process also after the terminal was put in."""
    alice = opened()
    log.apply([alice, opened("alice", NOON + 1, pid=101)])
    merging.put_in(log, [(key(alice), TTY)])
    log.apply([closed(alice, NOON + 9, key=None, boot=None, opened=None)])
    assert [row[1:4] for row in rows(path)] == [(NOON, NOON + 9, TTY), (NOON + 1, None, "ssh")]


class Life:
    """A session on Debian 13, in which a su ends or is killed. What happens happens in order; the recorder looks when it does."""

    def __init__(self, path: Path, log: Log, *, kill: bool, cut_off: bool) -> None:
        self.path = path
        self.log = log
        self.alice = opened()
        self.su = opened("carol", NOON + 30, service="su", tty=TTY, host=None, pid=200, start=2000)
        self.letters: list[Event] = []
        self.again: dict[tuple[int, int], int] = {}
        self.has_terminal = self.is_over = self.is_known = self.is_named = False
        ends = [lambda: sshd_closes(path, NOON + 60), lambda: self._letter(closed(self.alice, NOON + 61), over=True)]
        self.steps = [
            lambda: self._letter(self.alice),
            self._terminal,
            lambda: self._letter(self.su),
            *([] if kill else [lambda: self._letter(closed(self.su, NOON + 59))]),
            *(reversed(ends) if cut_off else ends),
        ]

    def _letter(self, event: Event, *, over: bool = False) -> None:
        self.letters.append(event)
        self.is_over |= over

    def _terminal(self) -> None:
        sshd_opens(self.path, NOON + 10)
        self.has_terminal = True

    def look(self) -> None:
        """Take letters, and do with what was taken what the recorder does."""
        events, self.letters = self.letters, []
        self.log.apply(events)
        self.is_known |= self.alice in events
        for event in events:
            if event.tty == "ssh" and event.kind == "closed":
                self.again |= dict.fromkeys(merging.others_on_terminal(self.log, key(event)), event.time)
        if self.is_known and self.has_terminal and not self.is_over:
            merging.put_in(self.log, [(key(self.alice), TTY)])
            self.is_named = True

    def settle(self) -> None:
        """Do what the recorder does some seconds later."""
        self.look()
        merging.find(self.log, [key(self.alice)])
        merging.open_again(self.log, self.again)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(looks=[True, True, True, True, True, False], kill=True, cut_off=False, ours=False)
@example(looks=[True, True, True, True, True, True], kill=True, cut_off=True, ours=True)
@given(looks=st.lists(st.booleans(), min_size=6, max_size=6), kill=st.booleans(), cut_off=st.booleans(), ours=st.booleans())
def test_whenever_the_recorder_looks(tmp_path_factory: pytest.TempPathFactory, looks: list[bool], *, kill: bool, cut_off: bool, ours: bool) -> None:
    """Whenever letters are taken, and in whatever order PAM and sshd tell the end, there is one row of the session; a su in it ends as it did.

    A recorder that has missed the whole session does not begin in the milliseconds between its two ends: what sshd then closes in place of its own
    row would stay closed.
    """
    path = make_file(tmp_path_factory.mktemp("life") / "wtmp.db", [CRASHED], ours=ours)
    with Log.write(str(path)) as log:
        life = Life(path, log, kill=kill, cut_off=cut_off)
        for step, looked in zip(life.steps, looks, strict=False):
            step()
            if looked and (life.is_named or not life.is_over):
                life.look()
        life.settle()
    assert rows(path) == [
        ("alice", NOON, NOON + 61, TTY, "192.0.2.7", "sshd"),
        ("carol", NOON + 30, None if kill else NOON + 59, TTY, None, "su"),
    ]
