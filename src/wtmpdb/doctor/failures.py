# SPDX-License-Identifier: BSD-2-Clause
"""Failed logins: the line in PAM's auth part, which must have no say; their spool; who may read them."""

from __future__ import annotations

import os
from itertools import islice

from wtmpdb.doctor.finding import note, ok, problem
from wtmpdb.installation import places
from wtmpdb.installation.found import has_program, pam_lines
from wtmpdb.log import FAILED
from wtmpdb.spool import MOST_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.doctor.case import Case
    from wtmpdb.doctor.finding import Finding

CONTROL = "[default=ignore]"
LATE = 600.0


def line(case: Case) -> Iterator[Finding]:
    """Check that failed logins come to the module, under a control that lets it decide nothing."""
    lines = pam_lines(case.root, places.MODULE, "auth")
    for one in lines:
        where = f"{one.file}:{one.number}"
        if one.control == CONTROL:
            yield ok("failed logins", f"are recorded through {where}")
        else:
            yield problem("failed logins", f"{where} has the control {one.control}: it must decide nothing", f"write {CONTROL} there")
    if lines or not case.asked_for("failures") or not case.asked_for("pam"):
        return
    if has_program(case.root, "pam-auth-update"):
        yield problem("failed logins", "no line in the auth part names the module: they are not recorded", "sudo wtmpdb setup, or with --no-failures")
    else:
        yield note("failed logins", "are not recorded: no line in the auth part names the module", "see man pam_wtmpdb_spool")


def spool(case: Case) -> Iterator[Finding]:
    """Check that failed logins can be written, and are taken."""
    if not case.is_root or not pam_lines(case.root, places.MODULE, "auth"):
        return
    top = case.path(places.FAILED_SPOOL)
    if not all(os.path.isdir(f"{top}/{name}") for name in ("new", "bad", "tmp")):
        yield problem("failed logins", f"their spool {top} is not whole: they cannot be recorded", "sudo wtmpdb setup")
        return
    with os.scandir(f"{top}/new") as letters:
        times = [letter.stat(follow_symlinks=False).st_mtime for letter in islice(letters, MOST_NAMES)]
    if times and case.now - min(times) > LATE:
        yield problem("failed logins", "wait for ten minutes and longer: nobody takes them", "sudo wtmpdb recorder --once")


def file(case: Case) -> Iterator[Finding]:
    """Check that only root and the group may read them: a mistyped user may be a password."""
    path = case.path(FAILED)
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if mode & 0o007:
        yield problem("failed logins", f"{path} can be read by others: a mistyped user may be a password", f"sudo chmod o= {path}")


CHECKS = (line, spool, file)
