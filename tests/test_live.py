# SPDX-License-Identifier: BSD-2-Clause
"""Who is on now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support import BOOT_KEY, NOON, SECOND, Machine, make_file, opened
from wtmpdb import live
from wtmpdb.log import Log
from wtmpdb.logind import Login

if TYPE_CHECKING:
    from pathlib import Path

    from wtmpdb.event import Event


def test_open_and_alive(tmp_path: Path) -> None:
    """A session is on when its row has no logout and its process lives."""
    path = str(tmp_path / "wtmp.db")
    with Log.write(path) as log:
        log.begin_boot(BOOT_KEY, NOON - 9, user="reboot", kernel="6.1")
        log.apply([opened(user="alice", pid=10, start=5, boot=BOOT_KEY), opened(user="bob", pid=11, start=6, boot=BOOT_KEY)])
    with Log.read(path) as log:
        found = live.sessions(log, Machine(processes={10: 5}))
    assert [(session.user, session.pid) for session in found] == [(b"alice", 10)]


def test_no_table(tmp_path: Path) -> None:
    """In an empty file nobody is on."""
    (tmp_path / "wtmp.db").touch()
    with Log.read(str(tmp_path / "wtmp.db")) as log:
        assert live.sessions(log, Machine()) == []


class TestLogins:
    """What logind adds."""

    def test_other_ways(self) -> None:
        """Who came by another way than PAM is on as logind says; a greeter, a service in the background and a dead leader are not."""
        logins = [
            login("1", USER="carol", TTY="tty1", SERVICE="autologin", LEADER="20", SEAT="seat0"),
            login("2", USER="bob", REMOTE_HOST="192.0.2.8", SERVICE="sshd", LEADER="21"),
            login("c1", USER="gdm", CLASS="greeter", LEADER="22"),
            login("3", USER="root", CLASS="background", SERVICE="cron", LEADER="23"),
            login("4", USER="mallory", LEADER="24"),
        ]
        machine = Machine(processes={20: 1, 21: 1, 22: 1, 23: 1}, terminals={21: b"pts/4"}, logins=logins)
        found = live.sessions(None, machine)
        assert [(one.user, one.tty, one.host, one.pid, one.kind, one.seat, one.id) for one in found] == [
            (b"carol", b"tty1", None, 20, "user", "seat0", None),
            (b"bob", b"pts/4", b"192.0.2.8", 21, "user", None, None),
        ]

    @pytest.mark.parametrize(("session", "leader"), [("7", "31"), (None, "30")])
    def test_known_to_both(self, tmp_path: Path, session: str | None, leader: str) -> None:
        """A session that both know, by logind's id or by its leader, is there once, with its real terminal."""
        path = history(tmp_path, opened(pid=30, start=5, session=session))
        machine = Machine(processes={30: 5, 31: 6}, terminals={30: b"pts/9"}, logins=[login("7", USER="alice", LEADER=leader, SERVICE="sshd")])
        with Log.read(path) as log:
            (one,) = live.sessions(log, machine)
        assert (one.user, one.tty, one.host, one.xdg_session, one.kind, one.id) == (b"alice", b"pts/9", b"192.0.2.7", "7", "user", 2)

    def test_su_within(self, tmp_path: Path) -> None:
        """A su has the session of logind that it was called in, and does not stand for it."""
        path = history(tmp_path, opened("bob", NOON, tty="pts/2", host=None, service="su", session="5", pid=41, start=1))
        machine = Machine(processes={40: 1, 41: 1}, terminals={40: b"pts/2"}, logins=[login("5", USER="alice", LEADER="40", SERVICE="sshd")])
        with Log.read(path) as log:
            found = live.sessions(log, machine)
        assert [(one.user, one.tty, one.pid, one.service, one.xdg_session) for one in found] == [
            (b"bob", b"pts/2", 41, b"su", "5"),
            (b"alice", b"pts/2", 40, b"sshd", "5"),
        ]

    def test_row_of_sshd(self, tmp_path: Path) -> None:
        """A row that Debian 13's sshd wrote is the session whose leader has its terminal."""
        row = (3, "alice", NOON, None, "pts/2", "192.0.2.7", None)
        path = str(make_file(tmp_path / "wtmp.db", [row], ours=False))
        machine = Machine(
            users={b"alice": 1000},
            ttys={b"pts/2": 1000},
            processes={40: 1},
            terminals={40: b"pts/2"},
            logins=[login("5", USER="alice", LEADER="40", SERVICE="sshd")],
        )
        with Log.read(path) as log:
            (one,) = live.sessions(log, machine)
        assert (one.tty, one.pid, one.id, one.xdg_session, one.service) == (b"pts/2", 40, 1, "5", b"sshd")

    @pytest.mark.parametrize("facts", [{"STATE": "closing"}, {"LEADER": "40"}])
    @pytest.mark.parametrize(("later", "on"), [(0, False), (60 * SECOND, True)])
    def test_row_of_sshd_that_was_killed(self, tmp_path: Path, facts: dict[str, str], *, later: int, on: bool) -> None:
        """A row that began with a session of logind's that has ended is over, though its terminal is still there; a later one is another."""
        row = (3, "alice", NOON + later, None, "pts/2", "192.0.2.7", None)
        path = str(make_file(tmp_path / "wtmp.db", [row], ours=False))
        known = login("5", USER="alice", REMOTE_HOST="192.0.2.7", SERVICE="sshd", **facts)
        with Log.read(path) as log:
            found = live.sessions(log, Machine(users={b"alice": 1000}, ttys={b"pts/2": 1000}, logins=[known]))
        assert (len(found) == 1) == on

    def test_background(self, tmp_path: Path) -> None:
        """A row whose session is in the background for logind is nobody who is on."""
        path = history(tmp_path, opened(user="root", tty="cron", service="cron", session="9", pid=50, start=1))
        with Log.read(path) as log:
            assert live.sessions(log, Machine(processes={50: 1}, logins=[login("9", USER="root", CLASS="background", LEADER="50")])) == []

    def test_background_that_is_only_said(self, tmp_path: Path) -> None:
        """The id of a session in the background, which a user may have put into PAM's environment, does not hide another process."""
        path = history(tmp_path, opened(session="9", pid=51, start=1))
        machine = Machine(processes={50: 1, 51: 1}, logins=[login("9", USER="alice", CLASS="background", LEADER="50")])
        with Log.read(path) as log:
            (one,) = live.sessions(log, machine)
        assert (one.user, one.pid, one.kind) == (b"alice", 51, None)


def test_rows_of_c(tmp_path: Path) -> None:
    """Of rows that tell no process the newest on a terminal counts, where there is that terminal; where there is none to look at, each does."""
    rows = [
        (3, user, NOON + number, None, tty, None, None)
        for number, (user, tty) in enumerate(
            [
                ("alice", "pts/0"),
                ("alice", "pts/0"),
                ("alice", "pts/1"),
                ("bob", "ssh"),
                ("bob", "ssh"),
            ]
        )
    ]
    path = str(make_file(tmp_path / "wtmp.db", rows, ours=False))
    with Log.read(path) as log:
        found = live.sessions(log, Machine(users={b"alice": 1000}, ttys={b"pts/0": 1000}))
    assert [(one.tty, one.id) for one in found] == [(b"pts/0", 2), (b"ssh", 4), (b"ssh", 5)]


def test_another_machine(tmp_path: Path) -> None:
    """In the history of another machine what nobody has closed counts as open, and logind is not asked."""
    path = history(tmp_path, opened())
    with Log.read(path) as log:
        assert [one.user for one in live.recorded(log)] == [b"alice"]


def history(tmp_path: Path, *events: Event) -> str:
    """Make a history of the running boot."""
    path = str(tmp_path / "wtmp.db")
    with Log.write(path) as log:
        log.begin_boot(BOOT_KEY, NOON - 9, user="reboot", kernel="6.1")
        log.apply(events)
    return path


def login(ident: str, **values: str) -> Login:
    """Return a session of logind's."""
    return Login(ident, {"CLASS": "user", "REALTIME": str(NOON + 1)} | values)
