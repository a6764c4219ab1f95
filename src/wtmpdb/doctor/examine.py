# SPDX-License-Identifier: BSD-2-Clause
"""Examine: all checks, in order. A check that fails itself is a finding, not a failure of the others."""

from __future__ import annotations

from wtmpdb.doctor import c_tool, database, failures, machine, pam, program, spool, units
from wtmpdb.doctor.finding import problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from wtmpdb.doctor.case import Case
    from wtmpdb.doctor.finding import Finding

    Check = Callable[[Case], Iterable[Finding]]

AREAS = (program, pam, units, spool, database, failures, machine, c_tool)
"""Modules with a tuple CHECKS."""


def examine(case: Case) -> list[Finding]:
    """Return all findings; of a database that is not the machine's own, only those about itself."""
    areas = (database,) if case.alone else AREAS
    return [finding for area in areas for check in area.CHECKS for finding in _found(check, case)]


def _found(check: Check, case: Case) -> Iterator[Finding]:
    try:
        yield from check(case)
    except Exception as error:  # noqa: BLE001 - whatever it is: the doctor has to go on
        name = f"{check.__module__.rpartition('.')[2]}.{check.__name__}"
        yield problem(name, f"this check failed: {type(error).__name__}: {error}", "please report it, with this line")
