# SPDX-License-Identifier: BSD-2-Clause
"""The C project's wtmpdb beside us: it shares the file, but a session is to be recorded by one of us."""

from __future__ import annotations

import os

from wtmpdb.doctor.finding import note, ok, problem
from wtmpdb.doctor.pam import LOGINS, OTHERS, Reached
from wtmpdb.doctor.stacks import file_of
from wtmpdb.installation import places
from wtmpdb.installation.found import security_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.doctor.case import Case
    from wtmpdb.doctor.finding import Finding

PROGRAM = "/usr/bin/wtmpdb"
SOCKET = "/run/wtmpdb/socket"
"""Where the C project's daemon listens, or our recorder, if it is to stay: then the daemon is masked."""


def beside(case: Case) -> Iterator[Finding]:
    """Say what of the C project is there."""
    there = [path for path in (PROGRAM, f"{security_directory(case.root)}/{places.C_MODULE}") if os.path.exists(case.path(path))]
    if os.path.exists(case.path(SOCKET)) and not any(os.path.exists(case.path(file)) for file in places.RESIDENT_FILES):
        there.append(f"its daemon ({SOCKET})")
    yield ok("C tool", f"{', '.join(there)}: it may read and write the same file" if there else "the C project's wtmpdb is not installed")


def module(case: Case) -> Iterator[Finding]:
    """No service runs through both modules."""
    reached = [Reached(case.root, name) for name in (*LOGINS, *OTHERS) if file_of(case.root, name)]
    both = [one for one in reached if one.theirs and one.recorded]
    theirs = [one for one in reached if one.theirs and not one.recorded]
    if both:
        where = both[0].theirs[0]
        turn_off = f"sudo pam-auth-update --disable {places.C_PROFILE}"
        hint = turn_off if os.path.exists(case.path(f"{places.PROFILES}/{places.C_PROFILE}")) else f"remove the line {where}"
        yield problem(
            "C tool", f"{', '.join(one.service for one in both)}: {places.C_MODULE} ({where}) and ours both record: two rows for each session", hint
        )
    if theirs:
        yield note("C tool", f"{', '.join(one.service for one in theirs)}: recorded by {places.C_MODULE} ({theirs[0].theirs[0]}), not by ours")


def logrotate(case: Case) -> Iterator[Finding]:
    """Check that the package's logrotate does not move the shared history away."""
    try:
        with open(case.path(places.C_LOGROTATE), encoding="utf-8", errors="replace") as file:
            words = [line for line in file if line.strip() and not line.lstrip().startswith("#")]
    except OSError:
        return
    if words and os.path.realpath(case.database) == os.path.realpath(case.path(places.C_DATABASE)):
        yield note("C tool", f"{places.C_LOGROTATE} moves the whole history away once it is old or large", "sudo wtmpdb setup")


CHECKS = (beside, module, logrotate)
