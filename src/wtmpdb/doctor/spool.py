# SPDX-License-Identifier: BSD-2-Clause
"""The spool: whose it is, what waits in it, for how long, and what nobody could read."""

from __future__ import annotations

import os
import stat
from itertools import islice

from wtmpdb.doctor.finding import counted, note, ok, problem, span
from wtmpdb.spool import MOST_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.doctor.case import Case
    from wtmpdb.doctor.finding import Finding

LATE = 600.0
"""Seconds after which a letter that waits says that nobody takes letters: the timer comes every five minutes."""

LATE_FOR_RESIDENT = 30.0
"""The same where the recorder stays: it looks every few seconds."""

_ABANDONED = 60.0
_MODE = 0o700
_DRAIN = "sudo wtmpdb recorder --once"


def directories(case: Case) -> Iterator[Finding]:
    """Check that the directories are there, and root alone may enter: the module refuses others, and so does the recorder."""
    for path in (case.spool, *(f"{case.spool}/{name}" for name in ("tmp", "new", "bad"))):
        try:
            facts = os.lstat(path)
        except PermissionError:
            return  # only root can see what is within
        except FileNotFoundError:
            yield problem(
                "spool", f"{path} is not there: no login can be recorded", "sudo systemd-tmpfiles --create wtmpdb.conf, or: sudo wtmpdb setup"
            )
            return
        if not stat.S_ISDIR(facts.st_mode):
            yield problem("spool", f"{path} is not a directory: no login can be recorded", f"move it away, then: sudo wtmpdb setup ({path})")
        elif facts.st_uid != 0:
            yield problem("spool", f"{path} belongs to user {facts.st_uid}: no login is recorded until it is root's", f"sudo chown root: {path}")
        elif facts.st_mode & 0o022:
            yield problem(
                "spool", f"{path} can be written by others (mode {_mode(facts)}): no login is recorded as long as it is so", f"sudo chmod 700 {path}"
            )
        elif stat.S_IMODE(facts.st_mode) != _MODE:
            yield note("spool", f"{path} has the mode {_mode(facts)}: others may see who logs in", f"sudo chmod 700 {path}")


def _mode(facts: os.stat_result) -> str:
    return f"{stat.S_IMODE(facts.st_mode):04o}"


def letters(case: Case) -> Iterator[Finding]:
    """Check that nothing waits for long, nothing was put aside, nothing was left half-written."""
    try:
        new, bad, tmp = (_ages(case, f"{case.spool}/{name}") for name in ("new", "bad", "tmp"))
    except PermissionError:
        yield note("spool", "only root can look into it", "sudo wtmpdb doctor")
        return
    except (FileNotFoundError, NotADirectoryError):
        return  # said above
    if not new:
        yield ok("spool", "is empty")
    elif max(new) < (LATE_FOR_RESIDENT if case.asked_for("recorder") else LATE):
        yield ok("spool", _waiting(new))
    else:
        how = "sudo systemctl start wtmpdb-recorder.service; sudo journalctl -u wtmpdb-recorder.service" if case.systemd else _DRAIN
        yield problem("spool", f"{_waiting(new)}: nobody takes them; nothing is lost yet", how)
    if bad:
        look = f"sudo head {case.spool}/bad/*; what is of no use: sudo rm {case.spool}/bad/NAME"
        yield problem("spool", f"{counted(len(bad), 'letter')} could not be read, the newest of {span(min(bad))} ago: put aside into bad", look)
    left = [age for age in tmp if age > _ABANDONED]
    if left:
        yield note("spool", f"{counted(len(left), 'letter')} in tmp left by programs that were killed: the next drain takes up what is whole", _DRAIN)


def _waiting(ages: list[float]) -> str:
    return f"{counted(len(ages), 'letter')} {'waits' if len(ages) == 1 else 'wait'}, the oldest for {span(max(ages))}"


def _ages(case: Case, directory: str) -> list[float]:
    """Return how many seconds ago each file was written, of at most MOST_NAMES."""
    ages = []
    with os.scandir(directory) as found:
        for file in islice(found, MOST_NAMES):
            try:
                ages.append(max(0.0, case.now - file.stat(follow_symlinks=False).st_mtime))
            except FileNotFoundError:  # taken just now
                continue
    return ages


CHECKS = (directories, letters)
