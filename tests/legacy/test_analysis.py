# SPDX-License-Identifier: BSD-2-Clause
"""Uptime windows, failed logins and live users."""

from __future__ import annotations

from hypothesis import given, settings

from old_records import BEGIN, IPV4, as_records, boot, clock, fields, getty, login, logout, run_level, shutdown, strange
from wtmpdb.entry import SECOND, EntryType
from wtmpdb.legacy.analysis import MOST_JUMPS, Jump, failed_logins, live_users, windows
from wtmpdb.legacy.record import LOGIN_PROCESS, NEW_TIME, OLD_TIME, Fields
from wtmpdb.legacy.sessions import REBOOT, SHUTDOWN, STILL, sessions

MAPPED = bytes(10) + b"\xff\xff" + IPV4[:4]
IPV6 = bytes.fromhex("20010db8000000000000000000000017")


def at(second: float) -> int:
    """Return so many seconds after BEGIN in µs."""
    return round((BEGIN + second) * SECOND)


class TestWindows:
    def test_ends(self) -> None:
        """A window ends with a shutdown, or with the next boot, or not yet; its kernel and its logins are told."""
        rows = [boot(BEGIN), login(BEGIN + 1, "tty1"), shutdown(BEGIN + 9), boot(BEGIN + 20, "6.2"), boot(BEGIN + 30)]
        found = [(one.start, one.stop, one.end, one.kernel, one.logins) for one in windows(as_records(rows))]
        assert found == [
            (at(0), at(9), SHUTDOWN, "6.1.0-18", 1),
            (at(20), at(30), REBOOT, "6.2", 0),
            (at(30), None, STILL, "6.1.0-18", 0),
        ]

    def test_boot_in_an_older_file(self) -> None:
        """Records before the first boot belong to a window whose start is not known."""
        rows = [logout(BEGIN, "tty1"), run_level(BEGIN + 1, "0"), shutdown(BEGIN + 2), login(BEGIN + 3, "tty1")]
        found = [(one.start, one.stop, one.end, one.latest, one.duration) for one in windows(as_records(rows))]
        assert found == [(None, at(1), SHUTDOWN, at(0), None), (None, None, STILL, at(3), None)]

    def test_clock(self) -> None:
        """What the clock was set by is kept, and does not count as time that passed."""
        rows = [boot(BEGIN), clock(BEGIN + 1, OLD_TIME), clock(BEGIN + 3601, NEW_TIME), clock(BEGIN + 3700, NEW_TIME), shutdown(BEGIN + 3801)]
        (one,) = windows(as_records(rows))
        assert one.jumps == [Jump(at(1), at(3601)), Jump(None, at(3700))]
        assert one.duration == 201 * SECOND

    def test_clock_that_is_set_all_the_time(self) -> None:
        """No more changes of the clock are kept than memory is for."""
        (one,) = windows(as_records([boot(BEGIN)] + [clock(BEGIN, OLD_TIME)] * (MOST_JUMPS + 5)))
        assert len(one.jumps) == MOST_JUMPS

    @settings(max_examples=200, deadline=None)
    @given(strange())
    def test_strange_files(self, rows: list[Fields]) -> None:
        """Windows with a boot are the boots that `sessions` finds, whatever stands in the file."""
        boots = [one for one in sessions(as_records(rows), system=True) if one.type == EntryType.BOOT_TIME]
        found = [(one.start, one.stop, one.end) for one in windows(as_records(rows)) if one.start is not None]
        assert found == [(one.login, one.logout, one.end) for one in boots]


class TestFailedLogins:
    ROWS = (
        fields(LOGIN_PROCESS, BEGIN, "ssh:notty", "root", "192.0.2.7", address=IPV4),
        login(BEGIN + 1, "tty1", "alice", "", address=bytes(16)),
        fields(LOGIN_PROCESS, BEGIN + 2, "ssh:notty", "root", "mapped", address=MAPPED),
        fields(0, 0, ""),
        fields(LOGIN_PROCESS, BEGIN + 0.5, "ssh:notty", "bob", "2001:db8::17", address=IPV6),
    )

    def test_newest_first(self) -> None:
        """Failures come newest first, of whatever type; blank records are none."""
        found = failed_logins(as_records(self.ROWS))
        assert [(one.time, one.user) for one in found] == [(at(2), "root"), (at(1), "alice"), (at(0.5), "bob"), (at(0), "root")]

    def test_counts(self) -> None:
        """They are counted by user, host and address; addresses in their usual form."""
        found = failed_logins(as_records(self.ROWS))
        assert found.by_user() == {"root": 2, "alice": 1, "bob": 1}
        assert found.by_host() == {"192.0.2.7": 1, "": 1, "mapped": 1, "2001:db8::17": 1}
        assert found.by_addr() == {"192.0.2.7": 2, "": 1, "2001:db8::17": 1}


class TestLiveUsers:
    def test_snapshot(self) -> None:
        """Of a snapshot those are on whose record is a login that nothing has overwritten."""
        rows = [boot(BEGIN), login(BEGIN, "tty1"), getty(BEGIN, "tty2"), login(BEGIN, "pts/0", "bob", pid=7), logout(BEGIN, "pts/1")]
        assert [(one.user, one.line, one.since, one.pid, one.address) for one in live_users(as_records(rows))] == [
            ("alice", "tty1", at(0), 100, "192.0.2.7"),
            ("bob", "pts/0", at(0), 7, "192.0.2.7"),
        ]
        assert [one.user for one in live_users(as_records([*rows, logout(BEGIN + 1, "tty1")]))] == ["bob"]

    def test_left_behind(self) -> None:
        """Whose process is not there is left out when that is asked for."""
        rows = [login(BEGIN, "tty1", pid=1), login(BEGIN, "tty2", "bob", pid=2)]
        assert [one.user for one in live_users(as_records(rows), lambda pid: pid == 2)] == ["bob"]
