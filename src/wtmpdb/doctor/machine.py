# SPDX-License-Identifier: BSD-2-Clause
"""The machine: its clock, the room on its disks, and what its last crash left behind."""

from __future__ import annotations

import os
import time

from wtmpdb import errors
from wtmpdb.doctor.apart import Apart, ApartError
from wtmpdb.doctor.asking import asked
from wtmpdb.doctor.finding import counted, note, ok, problem, span
from wtmpdb.entry import SECOND
from wtmpdb.log import Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.doctor.case import Case
    from wtmpdb.doctor.finding import Finding

SYNCHRONISED = "/run/systemd/timesync/synchronized"
"""systemd-timesyncd makes it when it has set the clock (systemd-timesyncd.service(8))."""

AHEAD = 60.0
"""Seconds that the newest row may lie in the future."""

ROOM = 64 * 2**20
FEW_INODES = 1000
_MEGABYTE = 10**6
_ADJTIMEX_ERROR = 5  # TIME_ERROR of adjtimex(2): nobody keeps the clock
_SET_CLOCK = "timedatectl status; sudo timedatectl set-ntp true"


def clock(case: Case) -> Iterator[Finding]:
    """Check that the clock is not behind what has been recorded or built, and somebody keeps it."""
    newest = _newest(case)
    built = _built()
    if newest is not None and newest > case.now + AHEAD:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(newest))
        yield problem("clock", f"the newest row is of {when}, {span(newest - case.now)} ahead: the clock is wrong now, or was then", _SET_CLOCK)
    elif built > case.now + AHEAD:
        yield problem(
            "clock", f"is {span(built - case.now)} behind the installation of this program: what is recorded now gets a wrong time", _SET_CLOCK
        )
    elif case.root == "/" and not os.path.exists(SYNCHRONISED) and not _is_kept():
        yield note("clock", "nobody keeps it in step (no time service has set it since boot)", _SET_CLOCK)
    else:
        yield ok("clock", time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(case.now)))


def _built() -> float:
    return os.stat(__file__).st_mtime


def _newest(case: Case) -> float | None:
    with asked(case.database) as log:
        if log is not None and log.has("wtmp"):
            newest = log.one("SELECT max(Login) FROM wtmp")
            return newest / SECOND if isinstance(newest, int) else None
    return None


def _is_kept() -> bool:
    """Ask the kernel whether somebody keeps its clock in step; where it does not tell, believe that."""
    try:
        return bool(Apart(_clock_state).result(1.0) != _ADJTIMEX_ERROR)
    except ApartError:
        return True


def _clock_state() -> int:
    from ctypes import CDLL, create_string_buffer  # noqa: PLC0415 - only in the child process

    return int(CDLL(None).adjtimex(create_string_buffer(512)))  # modes 0, the first field: nothing is changed


def room(case: Case) -> Iterator[Finding]:
    """Check that there is room for the history and the letters, and their file systems can be written."""
    seen: set[int] = set()
    paths = [os.path.dirname(os.path.realpath(case.database))] if case.alone else [case.spool, os.path.dirname(os.path.realpath(case.database))]
    for path in paths:
        there = _first_that_exists(path)
        device = os.stat(there).st_dev
        if device not in seen:
            seen.add(device)
            yield _room(there)


def _first_that_exists(path: str) -> str:
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def _room(path: str) -> Finding:
    facts = os.statvfs(path)
    free = facts.f_bavail * facts.f_frsize
    if facts.f_flag & os.ST_RDONLY:
        return problem(
            "disk", f"the file system of {path} is mounted read-only: nothing can be recorded", "sudo dmesg says why; sudo mount -o remount,rw …"
        )
    if free < ROOM:
        return problem("disk", f"{free // _MEGABYTE} MB are free on the file system of {path}", f"make room: df -h {path}")
    if facts.f_files and facts.f_favail < FEW_INODES:
        return problem(
            "disk", f"{facts.f_favail} files can still be made on the file system of {path}: each letter is one", f"remove files: df -i {path}"
        )
    return ok("disk", f"{free // _MEGABYTE} MB are free on the file system of {path}")


def crash(case: Case) -> Iterator[Finding]:
    """Explain what the last crash left: sessions without a logout, which the listing closes by the next boot."""
    try:
        with Log.read(case.database, timeout=1.0) as log:
            found = log.boots()
    except errors.LogError:
        return
    if len(found) < 2 or found[-2].logout is not None:  # noqa: PLR2004 - the one before the last
        return
    before, after = found[-2].login, found[-1].login
    with asked(case.database) as answers:
        if answers is None:
            return
        count = answers.one("SELECT count(*) FROM wtmp WHERE Logout IS NULL AND Type = 3 AND Login >= ? AND Login < ?", before, after)
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(after / SECOND))
        said = "a session that was open then is shown" if count == 1 else f"{counted(count, 'session')} that were open then are shown"
        yield note("crash", f"the boot before that of {when} ended without a shutdown; {said} as 'crash': nothing to do")


CHECKS = (clock, room, crash)
