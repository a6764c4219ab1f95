# SPDX-License-Identifier: BSD-2-Clause
"""Records of old made by hand, and random files of them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from wtmpdb.legacy.record import (
    BOOT_TIME,
    DEAD_PROCESS,
    INIT_PROCESS,
    LOGIN_PROCESS,
    NEW_TIME,
    NO_ADDRESS,
    OLD_TIME,
    RUN_LVL,
    USER_PROCESS,
    Chunk,
    Fields,
    Record,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

RECORD = struct.Struct("<hxxi32s4s32s256shhiIi16s20x")
"""A record of glibc on x86: bits/utmp.h."""

BEGIN = 1_600_000_000
"""2020-09-13 12:26:40 UTC."""

IPV4 = bytes([192, 0, 2, 7]) + bytes(12)


def fields(kind: int, second: float, line: str = "~", user: str = "", host: str = "", *, pid: int = 0, address: bytes = NO_ADDRESS) -> Fields:
    """Return the fields of a record; the fraction of the second becomes microseconds."""
    seconds, micro = divmod(round(second * 1_000_000), 1_000_000)
    return kind, pid, line.encode(), b"~~" if line == "~" else line.encode()[-4:], user.encode(), host.encode(), seconds, micro, address, 0, 0, 0


def login(second: float, line: str, user: str = "alice", host: str = "192.0.2.7", *, pid: int = 100, address: bytes = IPV4) -> Fields:
    """Return the record of a login."""
    return fields(USER_PROCESS, second, line, user, host, pid=pid, address=address)


def logout(second: float, line: str, *, pid: int = 100) -> Fields:
    """Return the record of a logout."""
    return fields(DEAD_PROCESS, second, line, pid=pid)


def boot(second: float, kernel: str = "6.1.0-18") -> Fields:
    """Return the record of a boot."""
    return fields(BOOT_TIME, second, "~", "reboot", kernel)


def shutdown(second: float) -> Fields:
    """Return the record of a shutdown."""
    return fields(RUN_LVL, second, "~", "shutdown", "6.1.0-18")


def run_level(second: float, level: str) -> Fields:
    """Return the record of a change of the run level."""
    return fields(RUN_LVL, second, "~", "runlevel", "6.1.0-18", pid=ord(level))


def getty(second: float, line: str, kind: int = LOGIN_PROCESS) -> Fields:
    """Return the record of a getty that waits for a login."""
    return fields(kind, second, line, "LOGIN" if kind == LOGIN_PROCESS else "")


def clock(second: float, kind: int) -> Fields:
    """Return the record of a change of the clock."""
    return fields(kind, second, "{" if kind == NEW_TIME else "|", "date")


def encode(records: Iterable[Fields]) -> bytes:
    """Return a file of records."""
    return b"".join(RECORD.pack(*row[:6], *row[10:12], row[9], *row[6:9]) for row in records)


def as_records(rows: Iterable[Fields], source: str = "wtmp") -> list[Record]:
    """Return records as the reader makes them."""
    found = list(rows)
    data = encode(found)
    return [Record(Chunk([row], [384 * n], [data[384 * n : 384 * n + 384]]), 0, source) for n, row in enumerate(found)]


LINES = st.sampled_from(["pts/0", "pts/1", "tty1", "ttyS0", "ftp12", ":0"])
USERS = st.sampled_from(["alice", "bob", "averylongname", "x", "Zoë", "reboot2", "a\x1bb"])
HOSTS = st.sampled_from(["", "10.0.0.1", "2001:db8:1:2:3:4:5:6", "a.long.host.name.example.org", ":0", "höst"])


@st.composite
def usual(draw: st.DrawFn, *, levels: bool = True, twice: bool = True, clocks: bool = False) -> list[Fields]:
    """Return records in the order of time, as programs that do what they should write them; each shutdown has a boot before it.

    The last boot is shut down, or `last` would look at the processes of this machine. Without ``twice`` no two records are the same; with
    ``clocks`` the clock is set now and then, and the run level changed.
    """
    moment = float(BEGIN)
    found: list[Fields] = []
    boots = draw(st.integers(1, 4))
    for number in range(boots):
        moment += draw(st.integers(1, 90_000))
        found.append(boot(moment))
        if levels and draw(st.booleans()):
            found.append(run_level(moment, "5"))
        for _ in range(draw(st.integers(0, 14))):
            moment += draw(st.sampled_from([0, 0, 1, 0.25, 60, 5000, 90_000]))
            kinds = [USER_PROCESS] * 4 + [DEAD_PROCESS] * 3 + [INIT_PROCESS, LOGIN_PROCESS] + [OLD_TIME, NEW_TIME, RUN_LVL] * clocks
            kind = draw(st.sampled_from(kinds))
            line = draw(LINES)
            if kind == USER_PROCESS:
                found.append(login(moment, line, draw(USERS), draw(HOSTS), pid=draw(st.integers(1, 3))))
                if not draw(st.integers(0, 7)):
                    found.append(found[-1])  # Ubuntu wrote some twice
            elif kind == DEAD_PROCESS:
                found.append(logout(moment, line))
            elif kind in (OLD_TIME, NEW_TIME):
                found.append(clock(moment, kind))
            elif kind == RUN_LVL:
                found.append(run_level(moment, draw(st.sampled_from("2345"))))
            else:
                found.append(getty(moment, line, kind))
        if draw(st.booleans()) or number == boots - 1:
            moment += draw(st.integers(1, 90_000))
            found.append(shutdown(moment))
    return found if twice else list(dict.fromkeys(found))


@st.composite
def strange(draw: st.DrawFn) -> list[Fields]:
    """Return records of any types in any order of times."""
    found: list[Fields] = []
    moment = BEGIN
    for _ in range(draw(st.integers(0, 30))):
        moment = draw(st.one_of(st.just(moment), st.just(moment + 3600), st.integers(BEGIN, BEGIN + 10**6)))
        line = draw(st.sampled_from(["pts/0", "pts/1", "tty1", "", "~", "~", "~x", "|", "{"]))
        user = draw(st.sampled_from(["alice", "bob", "", "", "reboot", "shutdown", "runlevel", "date", "LOGIN"]))
        kind = draw(st.one_of(st.sampled_from([1, 2, 7, 7, 8, 8]), st.integers(-1, 12), st.just(254)))
        pid = draw(st.sampled_from([0, 48, 53, 54, 53 + 256 * 78]))
        found.append(fields(kind, moment + draw(st.sampled_from([0, 0.5])), line, user, "h", pid=pid))
    return found
