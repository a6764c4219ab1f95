# SPDX-License-Identifier: BSD-2-Clause
"""Forward pairing: by hand, in bounded memory, and in agreement with the backward pairing of `last -f`."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from old_records import BEGIN, as_records, boot, clock, fields, getty, login, logout, run_level, shutdown, strange, usual
from wtmpdb.entry import SECOND, End, EntryType
from wtmpdb.legacy.open_sessions import OpenSessions
from wtmpdb.legacy.pairing import CLOCK_IS, CLOCK_WAS, SHUTDOWN_TIME, Backward
from wtmpdb.legacy.record import DEAD_PROCESS, NEW_TIME, OLD_TIME, USER_PROCESS
from wtmpdb.legacy.sessions import CLOCK, LOGOUT, REBOOT, REPLACED, SHUTDOWN, STILL, Forward, Paired, sessions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.legacy.record import Fields

NOW = 2_000_000_000


def told(rows: list[Fields], *, system: bool = False) -> list[tuple[str, str, int | None, str]]:
    """Return user, line, logout (seconds after BEGIN) and end of the sessions of records."""
    found = sessions(as_records(rows), system=system)
    return [(one.user, one.line, None if one.logout is None else one.logout // SECOND - BEGIN, one.end) for one in found]


class TestEnds:
    def test_logout(self) -> None:
        """A logout on its line ends a session; a second one ends nothing."""
        assert told([login(BEGIN, "tty1"), logout(BEGIN + 5, "tty1"), logout(BEGIN + 6, "tty1")]) == [("alice", "tty1", 5, LOGOUT)]

    def test_replaced(self) -> None:
        """The next login on its line ends a session, whoever that is."""
        rows = [login(BEGIN, "tty1"), login(BEGIN + 5, "tty1", "bob")]
        assert told(rows) == [("alice", "tty1", 5, REPLACED), ("bob", "tty1", None, STILL)]

    def test_shutdown_and_reboot(self) -> None:
        """A shutdown ends all sessions, and so does a boot where no shutdown came before it."""
        rows = [boot(BEGIN), login(BEGIN + 1, "tty1"), shutdown(BEGIN + 2), boot(BEGIN + 3), login(BEGIN + 4, "tty1"), boot(BEGIN + 5)]
        assert told(rows) == [("alice", "tty1", 2, SHUTDOWN), ("alice", "tty1", 5, REBOOT)]

    def test_run_level_of_a_halt(self) -> None:
        """Run level 0 or 6 ends all sessions as a shutdown, any other ends none."""
        rows = [login(BEGIN, "tty1"), run_level(BEGIN + 1, "3"), run_level(BEGIN + 2, "6"), login(BEGIN + 3, "tty1"), run_level(BEGIN + 4, "0")]
        assert told(rows) == [("alice", "tty1", 2, SHUTDOWN), ("alice", "tty1", 4, SHUTDOWN)]

    def test_getty(self) -> None:
        """A getty that waits on the line ends nothing and begins nothing, one of an empty user is a logout."""
        assert told([login(BEGIN, "tty1"), getty(BEGIN + 1, "tty1")]) == [("alice", "tty1", None, STILL)]
        assert told([login(BEGIN, "tty1"), getty(BEGIN + 1, "tty1", 5)]) == [("alice", "tty1", 1, LOGOUT)]

    def test_without_a_line(self) -> None:
        """Sessions without a line last until the next boundary, each for itself."""
        rows = [login(BEGIN, "", "alice"), login(BEGIN, "", "bob"), fields(DEAD_PROCESS, BEGIN + 1, ""), shutdown(BEGIN + 2)]
        assert told(rows) == [("alice", "", 2, SHUTDOWN), ("bob", "", 2, SHUTDOWN)]

    def test_across_files(self) -> None:
        """A session that begins in one file ends in the next."""
        older, newer = as_records([login(BEGIN, "tty1")], "wtmp.1"), as_records([logout(BEGIN + 9, "tty1")], "wtmp")
        found = list(sessions([*older, *newer]))
        assert [(one.record.source, one.duration, one.end) for one in found] == [("wtmp.1", 9 * SECOND, LOGOUT)]

    def test_system(self) -> None:
        """Boots, shutdowns, run levels and changes of the clock come when they are asked for."""
        rows = [boot(BEGIN), run_level(BEGIN, "5"), clock(BEGIN + 1, OLD_TIME), clock(BEGIN + 9, NEW_TIME), shutdown(BEGIN + 10), boot(BEGIN + 11)]
        kinds = [(one.type, one.end) for one in sessions(as_records(rows), system=True)]
        assert kinds == [
            (CLOCK_WAS, CLOCK),
            (CLOCK_IS, CLOCK),
            (EntryType.BOOT_TIME, SHUTDOWN),
            (EntryType.RUNLEVEL, SHUTDOWN),
            (EntryType.SHUTDOWN, REBOOT),
            (EntryType.BOOT_TIME, STILL),
        ]
        assert told(rows) == []

    def test_facts(self) -> None:
        """A session says who, from where, when and how long."""
        (one,) = sessions(as_records([login(BEGIN + 0.25, "pts/0", "bob", "host", pid=42), logout(BEGIN + 1, "pts/0")]))
        assert (one.user, one.host, one.address, one.pid, one.login, one.duration) == (
            "bob",
            "host",
            "192.0.2.7",
            42,
            BEGIN * SECOND + 250_000,
            750_000,
        )
        assert (one.active, one.covers(one.login), one.covers(one.login + SECOND)) == (False, True, False)
        (one,) = sessions(as_records([login(BEGIN, "pts/0")]))
        assert (one.active, one.duration, one.covers(BEGIN * SECOND + 10**15)) == (True, None, True)


def forward(rows: list[Fields], *, most: int) -> Iterator[Paired[int]]:
    """Pair forward in chunks of three, with so many sessions in memory."""
    engine: Forward[int] = Forward(system=True, most=most)
    chunks = [[(row, place + n) for n, row in enumerate(rows[place : place + 3])] for place in range(0, len(rows), 3)]
    for found in (*engine.pair(chunks), *engine.finish()):
        yield from found


def expected(kind: int, row: Fields, end: int | None, how: str) -> tuple[object, ...]:
    """Return what the backward pairing says of the same."""
    at = row[6] * SECOND + row[7]
    if how == CLOCK:
        return End.CLOCK, at, kind
    if kind == EntryType.USER_PROCESS:
        return {LOGOUT: End.LOGOUT, REPLACED: End.LOGOUT, SHUTDOWN: End.DOWN, REBOOT: End.CRASH, STILL: End.STILL}[how], at, end, row[4], row[2], kind
    if how == STILL:
        return (End.LOGOUT, at, 0, kind) if kind == SHUTDOWN_TIME else (End.RUNNING, at, None, kind)
    return End.CRASH if kind == EntryType.BOOT_TIME and how == REBOOT else End.LOGOUT, at, end, kind


def backward(rows: list[Fields]) -> Iterator[tuple[object, ...]]:
    """Return what the backward pairing says, in the same words."""
    for how, user, tty, _, _, at, end, _, kind in (
        line for lines in Backward(lambda _: End.STILL, NOW, system=True).lines([rows[::-1]]) for line in lines
    ):
        if how == End.CLOCK:
            yield how, at, kind
        elif kind == EntryType.USER_PROCESS:
            yield how, at, end, user, tty, kind
        else:
            yield how, at, None if how == End.RUNNING else end, kind


def agree(rows: list[Fields], most: int, *, boots: bool) -> None:
    """Compare both ways."""
    ours = Counter(expected(kind, row, end, how) for kind, row, _, end, how in forward(rows, most=most))
    theirs = Counter(backward(rows))
    if not boots:
        ours, theirs = (Counter({line: count for line, count in found.items() if line[-1] != EntryType.BOOT_TIME}) for found in (ours, theirs))
    assert ours == theirs


class TestTwoEngines:
    @settings(max_examples=300, deadline=None)
    @given(usual(), st.sampled_from([0, 1, 100]))
    def test_usual_files(self, rows: list[Fields], most: int) -> None:
        """Of files as programs write them both engines say the same, whether the open sessions are kept in memory or not."""
        agree(rows, most, boots=True)

    @settings(max_examples=500, deadline=None)
    @given(strange(), st.sampled_from([0, 1, 100]))
    def test_strange_files(self, rows: list[Fields], most: int) -> None:
        """Of files with any types in any order both say the same of all but boots.

        Of a boot `last` says by the times of later records how it ended, which is no guide where the clock jumped; see `Backward._boot`.
        """
        agree(rows, most, boots=False)


class TestMemory:
    def test_logins_on_lines_of_their_own(self) -> None:
        """Sessions that stay open by the hundred thousand are not kept in memory, and end at the boundary in the order in which they began."""
        count = 60_000
        engine: Forward[int] = Forward()
        chunks = ([(login(BEGIN, f"l{n}", host="h" * 200), n) for n in range(start, start + 1000)] for start in range(0, count, 1000))
        tracemalloc.start()
        tags = [tag for found in engine.pair(chunks) for _, _, tag, _, _ in found]
        assert tags == []
        for found in engine.pair([[(shutdown(BEGIN + 1), -1)]]):
            tags += [tag for _, _, tag, _, _ in found]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert tags == list(range(count))
        assert peak < 32_000_000

    def test_what_was_moved_away_is_found_again(self) -> None:
        """A session in the temporary file ends with its logout, once."""
        open_: OpenSessions[int] = OpenSessions(0)
        for n in range(5):
            open_[b"line%d" % n] = login(BEGIN, f"line{n}"), n
            open_.spill()
        assert open_.take(b"line3") == (login(BEGIN, "line3"), 3)
        assert open_.take(b"line3") is None
        assert [tag for chunk in open_.take_all() for _, tag in chunk] == [0, 1, 2, 4]
        assert list(open_.take_all()) == []

    def test_records_let_go_of_their_chunk(self) -> None:
        """An open session keeps its own record and not all that were read with it."""
        records = as_records([login(BEGIN, "tty1")])
        (one,) = sessions(records)
        assert one.record == records[0]
        assert one.record is not records[0]
        assert one.record.type == USER_PROCESS
