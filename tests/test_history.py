# SPDX-License-Identifier: BSD-2-Clause
"""What rows mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support import BOOT_KEY, HOUR, NOON, Machine
from wtmpdb.entry import End, EntryType
from wtmpdb.history import History, shown_tty
from wtmpdb.log import Boot, Opening

if TYPE_CHECKING:
    from wtmpdb.entry import Row

OLD_KEY = "11111111-2222/0/23"
MINE = {10: Opening(BOOT_KEY, 100, 1000)}
OLD, NOW = NOON - 100 * HOUR, NOON - 4 * HOUR  # when an earlier boot, and this one, began


class Book:
    """A log made by hand."""

    def __init__(self, *boots: Boot, openings: dict[int, Opening] | None = None) -> None:
        self._boots = list(boots)
        self._openings = openings or {}
        self.asked = 0

    def boots(self) -> list[Boot]:
        """Return the boots, and count."""
        self.asked += 1
        return self._boots

    def opening(self, ident: int, login: int) -> Opening | None:  # noqa: ARG002 - the log's own
        """Return what the test says."""
        return self._openings.get(ident)


def session(login: int, logout: int | None = None, *, ident: int = 10, tty: bytes = b"tty1") -> Row:
    """Return a session's row."""
    return (0, b"alice", tty, b"", b"login", login, logout, ident, EntryType.USER_PROCESS)


def boot_row(login: int, logout: int | None = None, *, ident: int) -> Row:
    """Return a boot's row."""
    return (0, b"reboot", b"~", b"6.1", None, login, logout, ident, EntryType.BOOT_TIME)


def meaning(book: Book, row: Row, machine: Machine | None = None, *, at_home: bool | None = True) -> tuple[int, int | None]:
    """Return how the row ended, and when."""
    [[line]] = History(book, machine or Machine(), at_home=at_home).lines([[row]])
    return line[0], line[6]


def test_logout() -> None:
    """A session with a logout ended then, and no boot or process is asked about."""
    book = Book()
    assert meaning(book, session(NOON, NOON + 5)) == (End.LOGOUT, NOON + 5)
    assert book.asked == 0


def test_zero_is_open() -> None:
    """A logout of 0 stands for none, as in the C tool."""
    assert meaning(Book(), session(NOON, 0))[0] == End.STILL


def test_down() -> None:
    """A session without a logout ended when its boot was shut down."""
    book = Book(Boot(1, OLD, OLD + 9), Boot(2, NOW, None))
    assert meaning(book, session(OLD + 5)) == (End.DOWN, OLD + 9)


def test_crash() -> None:
    """A session without a logout, in a boot that was not shut down, ended in a crash before the next boot."""
    book = Book(Boot(1, OLD, None), Boot(2, NOW, None))
    assert meaning(book, session(OLD + 5)) == (End.CRASH, NOW)


def test_before_the_first_boot() -> None:
    """A session from before all recorded boots ended before the first of them."""
    assert meaning(Book(Boot(2, NOW, None)), session(OLD)) == (End.CRASH, NOW)


def test_after_a_shutdown() -> None:
    """A session that began after the shutdown of the newest boot is judged by its process."""
    assert meaning(Book(Boot(1, OLD, OLD + 9)), session(NOON), Machine(boot=NOW))[0] == End.STILL


class TestBootRows:
    def test_running(self) -> None:
        """The newest boot is still running, whether C or we wrote it."""
        for key in (BOOT_KEY, None):
            assert meaning(Book(Boot(2, NOW, None, key=key)), boot_row(NOW, ident=2)) == (End.RUNNING, None)

    def test_shut_down(self) -> None:
        """A boot that was shut down ended then."""
        assert meaning(Book(Boot(1, OLD, OLD + 9)), boot_row(OLD, OLD + 9, ident=1)) == (End.LOGOUT, OLD + 9)

    def test_crashed(self) -> None:
        """A boot without a shutdown, with another boot after it, crashed, however many follow."""
        book = Book(Boot(1, OLD, None), Boot(2, OLD + 5, None), Boot(3, NOW, None))
        assert meaning(book, boot_row(OLD, ident=1)) == (End.CRASH, OLD + 5)
        assert meaning(book, boot_row(OLD + 5, ident=2)) == (End.CRASH, NOW)

    def test_another_boot_row_after_ours(self) -> None:
        """The running boot is known by its key, whatever boots seem to come later: one that C added, or one with a wrong clock."""
        book = Book(Boot(2, NOW, None, key=BOOT_KEY), Boot(3, NOW + 1, None), Boot(1, NOON + 99 * HOUR, None, key=OLD_KEY), openings=MINE)
        assert meaning(book, boot_row(NOW, ident=2)) == (End.RUNNING, None)
        assert meaning(book, session(NOON), Machine(processes={100: 1000})) == (End.STILL, None)

    def test_not_this_boot(self) -> None:
        """The newest boot of this machine's history, when it is not the one that runs, is gone; in a copied history nobody can say."""
        book = Book(Boot(1, OLD, None, key=OLD_KEY))
        assert meaning(book, boot_row(OLD, ident=1))[0] == End.GONE
        assert meaning(book, boot_row(OLD, ident=1), at_home=None)[0] == End.RUNNING


class TestChanges:
    BOOK = Book(Boot(1, OLD, OLD + 9), Boot(2, OLD + 20, OLD + 29), Boot(3, NOW, None, key=BOOT_KEY))

    @pytest.mark.parametrize(
        ("login", "logout", "expected"),
        [
            (OLD + 1, OLD + 5, (End.LOGOUT, OLD + 5)),
            (OLD + 1, None, (End.LOGOUT, OLD + 9)),
            (OLD + 21, None, (End.LOGOUT, OLD + 29)),
            (NOW, None, (End.RUNNING, None)),
        ],
    )
    def test_run_level(self, login: int, logout: int | None, expected: tuple[int, int | None]) -> None:
        """A run level lasts until the next, or until the next shutdown; the one without an end is still running."""
        assert meaning(self.BOOK, (0, b"runlevel", b"(to lvl 5)", b"6.1", None, login, logout, 7, EntryType.RUNLEVEL)) == expected

    @pytest.mark.parametrize("tty", [b"old time", b"new time"])
    def test_clock(self, tty: bytes) -> None:
        """A change of the clock is no stretch of time; the next shutdown bounds for how long it is asked for."""
        row = (0, b"date", tty, b"", None, OLD + 1, OLD + 1, 7, EntryType.RUNLEVEL)
        assert meaning(self.BOOK, row) == (End.CLOCK, OLD + 9)
        [(_, how, when)] = History(self.BOOK, Machine(), at_home=True).entries([[row]])
        assert (how, when) == ("clock", None)


class TestLiving:
    book = Book(Boot(1, OLD, None, key=OLD_KEY), Boot(2, NOW, None, key=BOOT_KEY), openings={10: Opening(BOOT_KEY, 100, 1000)})

    def test_process_lives(self) -> None:
        """A session whose process lives is still logged in, whatever its tty is called."""
        assert meaning(self.book, session(NOON, tty=b"ssh"), Machine(processes={100: 1000}))[0] == End.STILL

    @pytest.mark.parametrize("processes", [{}, {100: 2000}])
    def test_process_gone(self, processes: dict[int, int]) -> None:
        """A session whose process died, or whose process id another process has by now, is gone."""
        assert meaning(self.book, session(NOON), Machine(processes=processes))[0] == End.GONE

    def test_hidden_process(self) -> None:
        """When processes of others may not be seen, nobody can say."""
        assert meaning(self.book, session(NOON), Machine(hidden=[100]))[0] == End.UNKNOWN

    def test_wrong_clock(self) -> None:
        """A session opened while the clock was wrong belongs to its boot by the key, not by its time."""
        assert meaning(self.book, session(5), Machine(processes={100: 1000}))[0] == End.STILL
        old = Book(*self.book.boots(), openings={10: Opening(OLD_KEY, 100, 1000)})
        assert meaning(old, session(NOON)) == (End.CRASH, NOW)
        shut = Book(Boot(1, OLD, OLD + 9, key=OLD_KEY), Boot(2, NOW, None), openings={10: Opening(OLD_KEY, 100, 1000)})
        assert meaning(shut, session(NOON)) == (End.DOWN, OLD + 9)

    def test_boot_without_a_row(self) -> None:
        """A session of this very boot lives or not by its process, even when the boot has no row."""
        book = Book(Boot(1, OLD, None), openings={10: Opening(BOOT_KEY, 100, 1000)})
        assert meaning(book, session(NOON), Machine(processes={100: 1000}))[0] == End.STILL

    def test_unknown_boot(self) -> None:
        """A session of a boot that has no row and is over is gone; in a history copied from elsewhere nobody can say."""
        book = Book(openings={10: Opening("elsewhere/0/1", 100, 1000)})
        assert meaning(book, session(NOON))[0] == End.GONE
        assert meaning(book, session(NOON), at_home=None)[0] == End.UNKNOWN

    def test_copied_history(self) -> None:
        """In a history copied from another machine nothing is judged by the processes and ttys of this one."""
        book = Book(Boot(1, NOW, None, key="elsewhere/0/1"))
        assert meaning(book, session(NOON), Machine(ttys={b"tty1": 0}), at_home=None)[0] == End.UNKNOWN


class TestRowsOfC:
    def judge(self, row: Row, **facts: object) -> int:
        """Judge a row that has no side row, in this machine's history."""
        return meaning(Book(Boot(2, NOW, None)), row, Machine(boot=NOW, **facts))[0]  # type: ignore[arg-type]

    def test_owner_of_the_tty(self) -> None:
        """A session on a tty lives while the tty belongs to its user."""
        assert self.judge(session(NOON), users={b"alice": 1000}, ttys={b"tty1": 1000}) == End.STILL
        assert self.judge(session(NOON), users={b"alice": 1000}, ttys={b"tty1": 0}) == End.GONE
        assert self.judge(session(NOON), ttys={b"tty1": 0}) == End.GONE

    def test_no_such_tty(self) -> None:
        """A session whose tty is no device, such as ssh, is still logged in."""
        assert self.judge(session(NOON, tty=b"ssh")) == End.STILL

    def test_before_this_boot(self) -> None:
        """A session from before the machine was started, with no boot recorded since, is gone."""
        assert meaning(Book(), session(NOW - HOUR), Machine(boot=NOW))[0] == End.GONE


def test_shutdowns_between_lines() -> None:
    """With shutdowns asked for, each stands in its place by time, until the boot after it; a boot at the same moment stands before it."""
    boots = [Boot(1, OLD, OLD + 9, kernel=b"6.1"), Boot(2, OLD + 9, OLD + 20, kernel=b"6.2"), Boot(3, NOW, None)]
    rows = [
        session(NOON, NOON + 1),
        boot_row(NOW, ident=3),
        boot_row(OLD + 9, OLD + 20, ident=2),
        session(OLD + 5, OLD + 9),
        boot_row(OLD, OLD + 9, ident=1),
    ]
    chunks = History(Book(*boots), Machine(), at_home=True).lines_with_shutdowns([rows[:3], rows[3:]])
    assert [(line[1], line[5], line[6]) for chunk in chunks for line in chunk] == [
        (b"alice", NOON, NOON + 1),
        (b"reboot", NOW, None),
        (b"shutdown", OLD + 20, NOW),
        (b"reboot", OLD + 9, OLD + 20),
        (b"shutdown", OLD + 9, OLD + 9),
        (b"alice", OLD + 5, OLD + 9),
        (b"reboot", OLD, OLD + 9),
    ]


def test_bounds_of_shutdowns() -> None:
    """Bounds of time hold for shutdowns too, and the last one has no end."""
    book = Book(Boot(1, OLD, OLD + 9), Boot(2, NOW, NOON))
    chunks = History(book, Machine(), at_home=True).lines_with_shutdowns([], since=NOW)
    assert [(line[5], line[6]) for chunk in chunks for line in chunk] == [(NOON, None)]


@pytest.mark.parametrize(("tty", "shown"), [(b"ftp123", b"ftp"), (b"ftpd1", b"ftpd1"), (b"uucp4", b"uucp"), (b"pts/1", b"pts/1"), (b"ftp", b"ftp")])
def test_ftp(tty: bytes, shown: bytes) -> None:
    """Lines of ftp and uucp are shown without their number."""
    assert shown_tty(tty) == shown


def test_entries() -> None:
    """Programmers get each entry with how it ended, in words, and when."""
    book = Book(Boot(1, OLD, None), Boot(2, NOW, None))
    rows = [boot_row(NOW, ident=2), session(OLD + 5), session(OLD + 1, OLD + 2)]
    ended = [(entry.user, end, when) for entry, end, when in History(book, Machine(), at_home=True).entries([rows])]
    assert ended == [("reboot", "running", None), ("alice", "crash", NOW), ("alice", "logout", OLD + 2)]
