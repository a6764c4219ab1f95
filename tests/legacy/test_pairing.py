# SPDX-License-Identifier: BSD-2-Clause
"""Pairing records backward. What it gives for whole files is held by the cases and by the comparison with `last`; here is what these do not show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtmpdb.entry import SECOND, End, EntryType
from wtmpdb.legacy import pairing
from wtmpdb.legacy.open_lines import OpenLines
from wtmpdb.legacy.pairing import LARGEST_SECOND, Backward, meaning, moment
from wtmpdb.legacy.record import BOOT_TIME, DEAD_PROCESS, EMPTY, LOGIN_PROCESS, NEW_TIME, NO_ADDRESS, OLD_TIME, RUN_LVL, USER_PROCESS, Fields

NOW = 1_700_000_000


def fields(kind: int, line: bytes, user: bytes = b"", seconds: int = 1, micros: int = 0) -> Fields:
    """Return a record."""
    return kind, 7, line, b"", user, b"", seconds, micros, NO_ADDRESS, 0, 0, 0


@pytest.mark.parametrize(
    ("kind", "line", "user", "means"),
    [
        (EMPTY, b"~", b"shutdown", pairing.SHUTDOWN_TIME),
        (EMPTY, b"~~", b"reboot", BOOT_TIME),
        (EMPTY, b"~", b"runlevel", RUN_LVL),
        (USER_PROCESS, b"~", b"alice", USER_PROCESS),
        (LOGIN_PROCESS, b"tty1", b"LOGIN", LOGIN_PROCESS),
        (LOGIN_PROCESS, b"tty1", b"getty", USER_PROCESS),
        (BOOT_TIME, b"tty1", b"alice", USER_PROCESS),
        (BOOT_TIME, b"", b"alice", BOOT_TIME),
        (USER_PROCESS, b"tty1", b"", DEAD_PROCESS),
        (DEAD_PROCESS, b"tty1", b"alice", DEAD_PROCESS),
        (USER_PROCESS, b"|", b"date", OLD_TIME),
        (DEAD_PROCESS, b"{", b"date", NEW_TIME),
        (USER_PROCESS, b"tty1", b"date", USER_PROCESS),
    ],
)
def test_meaning(kind: int, line: bytes, user: bytes, means: int) -> None:
    """What a record means depends on its line and user as well as on its type."""
    assert meaning(kind, line, user) == means


def test_moment() -> None:
    """Microseconds that are none do not count, and a time always fits into 64 bits of microseconds."""
    assert moment(5, 7) == 5 * SECOND + 7
    assert moment(5, SECOND) == moment(5, -1) == 5 * SECOND
    assert moment(2**63 - 1, 999_999) < 2**63
    assert moment(-(2**63), 0) == -LARGEST_SECOND * SECOND


def test_microseconds() -> None:
    """Lines keep the microseconds of their records."""
    login, logout = fields(USER_PROCESS, b"tty1", b"alice", 10, 250_000), fields(DEAD_PROCESS, b"tty1", seconds=20, micros=750_000)
    (line,) = next(Backward(lambda _: End.GONE, NOW).lines([[logout, login]]))
    assert line == (End.LOGOUT, b"alice", b"tty1", b"", NO_ADDRESS, 10_250_000, 20_750_000, None, EntryType.USER_PROCESS)


def test_unknown_types() -> None:
    """Records of unknown type are counted and give no line."""
    pairing = Backward(lambda _: End.GONE, NOW)
    assert list(pairing.lines([[fields(100, b"", b"alice"), fields(-1, b"", b"x"), fields(100, b"", b"y")], [fields(EMPTY, b"")]])) == [[], []]
    assert pairing.unknown == {100: 2, -1: 1}


names = st.binary(max_size=2)


@given(st.lists(st.one_of(st.tuples(names, st.integers(0, 2**62)), st.sampled_from(["spill", "clear"])), max_size=60))
def test_open_lines_are_a_dictionary(steps: list[tuple[bytes, int] | str]) -> None:
    """Whether lines wait in memory or in a temporary file makes no difference."""
    ours, plain = OpenLines(most=2), dict[bytes, int]()
    for step in steps:
        if isinstance(step, tuple):
            name, time = step
            assert ours[name] == plain.get(name)
            ours[name] = plain[name] = time
        elif step == "spill":
            ours.spill()
            assert len(ours) <= 2
        else:
            ours.clear()
            plain.clear()
    ours.clear()


def test_many_lines_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file with very many lines that wait, only so many are in memory, and each login finds its end."""
    monkeypatch.setattr(OpenLines.__init__, "__defaults__", (100,))
    ends = [[fields(DEAD_PROCESS, b"ftp%d" % number, seconds=2) for number in range(start, start + 50)] for start in range(0, 2000, 50)]
    logins = [[fields(USER_PROCESS, b"ftp%d" % number, b"alice") for number in range(start, start + 50)] for start in range(0, 2000, 50)]
    backward = Backward(lambda _: End.GONE, NOW)
    lines = []
    for chunk in backward.lines([*ends, *logins]):
        lines += chunk
        assert len(backward._open) <= 150
    assert len(lines) == 2000
    assert {line[6] for line in lines} == {2 * SECOND}
    backward._open.clear()
