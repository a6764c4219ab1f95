# SPDX-License-Identifier: BSD-2-Clause
"""The same history, once in our file and once in a wtmp file of old: we print what the real `last` of this machine prints.

What versions of `last` differ in is allowed for: 2.41 marks cut names with an asterisk, 2.40 says of a boot that it crashed.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from support import SECOND, edit, make_file

if TYPE_CHECKING:
    from pathlib import Path

LAST = shutil.which("last", path="/usr/bin:/bin")
VERSION = (
    re.search(r"util-linux (\d+)\.(\d+)", subprocess.run([LAST, "--version"], capture_output=True, text=True, check=False).stdout) if LAST else None
)
pytestmark = pytest.mark.skipif(not VERSION, reason="needs the `last` of util-linux")

RECORD = struct.Struct("<hxxi32s4s32s256shhiIi16s20x")
RUN_LVL, BOOT_TIME, USER_PROCESS, DEAD_PROCESS = 1, 2, 7, 8
LONG_AGO = 1_600_000_000

USERS = st.sampled_from(["alice", "bob", "averylongname", "x", "Zoë", "reboot2", "a\x1bb"])
HOSTS = st.sampled_from(["", "10.0.0.1", "2001:db8:1:2:3:4:5:6", "a.long.host.name.example.org", ":0", "höst"])
TTYS = ["pts/0", "pts/1", "tty1", "ttyS0", "ftp12", "ssh"]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[tuple], list[bytes]]:  # type: ignore[type-arg]
    """Return the same history as rows and as records: boots, some of them shut down, with sessions in each."""
    rows: list[tuple[object, ...]] = []
    records: list[tuple[int, int, bytes]] = []  # time, place among records of the same time, record
    moment = LONG_AGO
    boots = draw(st.integers(1, 4))
    for boot in range(boots):
        moment += draw(st.integers(1, 200_000))
        began = moment
        records.append((moment, len(records), record(BOOT_TIME, "~", "reboot", "6.1.0-18", moment)))
        row = len(rows)
        rows.append(())
        free = dict.fromkeys(TTYS, moment)
        for _ in range(draw(st.integers(0, 8))):
            moment += draw(st.integers(1, 90_000))
            session(draw, rows, records, free, moment)
        moment = max([moment, *free.values()]) + 1
        # The last boot is shut down too, or `last` would look at the processes of this machine.
        ended = None if boot < boots - 1 and draw(st.booleans()) else moment + draw(st.integers(1, 90_000))
        rows[row] = (1, "reboot", began * SECOND, ended and ended * SECOND, "~", "6.1.0-18", None)
        if ended:
            moment = ended
            records.append((moment, len(records), record(RUN_LVL, "~", "shutdown", "6.1.0-18", moment)))
    return rows, [content for _, _, content in sorted(records)]


def session(draw: st.DrawFn, rows: list, records: list, free: dict[str, int], moment: int) -> None:  # type: ignore[type-arg]
    """Add a session on a tty that is free, with or without its end."""
    ttys = [tty for tty, since in free.items() if since < moment]
    if not ttys:
        return
    tty, user, host = draw(st.sampled_from(ttys)), draw(USERS), draw(HOSTS)
    end = moment + draw(st.integers(0, 300_000)) if draw(st.booleans()) else None
    records.append((moment, len(records), record(USER_PROCESS, tty, user, host, moment)))
    if end is None:
        del free[tty]
    else:
        free[tty] = end
        records.append((end, len(records), record(DEAD_PROCESS, tty, "", "", end)))
    stored = user.replace("\x1b", "\\033")
    rows.append((3, stored, moment * SECOND + draw(st.integers(0, SECOND - 1)), end and end * SECOND + SECOND // 2, tty, host or None, "login"))


def record(kind: int, line: str, user: str, host: str, seconds: int) -> bytes:
    """Return a record of a wtmp file."""
    return RECORD.pack(kind, 1, line.encode(), b"ts", user.encode(), host.encode(), 0, 0, 0, seconds, 0, b"")


# At most one of each: what two limits mean, versions differ in; -F and --time-format cannot be combined.
CHOICES = [
    [[], ["-x"]],
    [[], ["-F"], ["--time-format=iso"], ["--time-format=notime"]],
    [[], ["-w"]],
    [[], ["-a"], ["-R"], ["-aR"]],
    [[], [], ["-n", "3"], ["-5"]],
    [[], [], ["-p", "2020-09-14 10:00:00"], ["-p", "2020-09-13 12:26:40"]],
    [[], [], ["alice"], ["1"], ["reboot"], ["pts/0", "bob"], ["ftp"]],
]
OPTIONS = st.tuples(*(st.sampled_from(choice) for choice in CHOICES))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories(), OPTIONS, st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"]), st.sampled_from(["C", "C.UTF-8"]))
def test_same_lines(tmp_path: Path, history: tuple[list, list[bytes]], options: tuple[list[str], ...], zone: str, locale: str) -> None:  # type: ignore[type-arg]
    """For random histories, options, zones and locales our lines are those of `last`."""
    rows, records = history
    words = [word for choice in options for word in choice]
    # Before 2.40 a boot that crashed lasted until the next shutdown, so that -p finds it at other times.
    assume(version() >= (2, 40) or "-p" not in words or all(row[3] for row in rows if row[0] == 1))
    environment = {"TZ": zone, "LC_ALL": locale, "PATH": os.environ["PATH"]}
    ours = tmp_path / "ours" / "wtmp"
    theirs = tmp_path / "theirs" / "wtmp"
    ours.parent.mkdir(exist_ok=True)
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_bytes(b"".join(records))
    fresh(ours, rows)
    expected = output([str(LAST), "-f", str(theirs), *words], environment)
    seen = output([sys.executable, "-m", "wtmpdb", "last", "-f", str(ours), *words], environment)
    assert alike(seen) == alike(expected)


def fresh(path: Path, rows: list) -> None:  # type: ignore[type-arg]
    """Make the history anew."""
    if not path.exists():
        make_file(path, [])
    with edit(path) as database:
        database.execute("DELETE FROM wtmp")
        database.executemany("INSERT INTO wtmp (Type, User, Login, Logout, TTY, RemoteHost, Service) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def output(command: list[str], environment: dict[str, str]) -> str:
    """Run a program; return what it printed."""
    ran = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.decode("utf-8", "surrogateescape")


def alike(text: str) -> list[str]:
    """Return the lines without what versions of `last`, and we knowingly, differ in."""
    lines = text.splitlines()
    if version() < (2, 41):
        for cut, marked in (("averylon", "averylo*"), ("2001:db8:1:2:3:4", "2001:db8:1:2:3:*"), ("a.long.host.name", "a.long.host.nam*")):
            lines = [line.replace(marked, cut) for line in lines]
    if version() < (2, 40):  # the end of a boot that crashed is told otherwise
        lines = [re.sub(r" +(- |\().*", "", line) if "system boot" in line else line for line in lines]
    return lines


def version() -> tuple[int, int]:
    """Return the version of the `last` of this machine."""
    assert VERSION
    return int(VERSION[1]), int(VERSION[2])
