# SPDX-License-Identifier: BSD-2-Clause
"""The old files' part: what they tell, also of failed logins, is brought into the history, once, when everything else is in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtmpdb.errors import WtmpdbError
from wtmpdb.legacy.errors import LegacyError
from wtmpdb.legacy.importer import bring_in, default_files, look_at

if TYPE_CHECKING:
    from wtmpdb.installation.changes import Changes

IMPORTED, FAILED_IMPORTED = "old files imported", "old failed logins imported"

_LATER = "'wtmpdb import' tries again"


def put(changes: Changes, *, failures: bool) -> None:
    """Import the old files of the machine, unless that was done before. What goes wrong is said; logins are recorded all the same."""
    _put(changes, IMPORTED, failed=False)
    if failures:
        _put(changes, FAILED_IMPORTED, failed=True)


def _put(changes: Changes, deed: str, *, failed: bool) -> None:
    if deed in changes.ledger.deeds or changes.root != "/":
        return
    try:
        sources = [source for source in look_at(default_files(failed=failed), failed=failed) if not source.is_empty]
    except LegacyError:
        sources = []  # there are none
    except WtmpdbError as error:
        changes.note(f"old files were not imported: {error} ({error.hint or _LATER})")
        return
    if sources and not changes.begin(f"import {', '.join(source.name for source in sources)}"):
        return
    try:
        counts = bring_in(sources, failed=failed).counts if sources else None
    except WtmpdbError as error:
        changes.note(f"not all could be imported: {error} ({error.hint or _LATER})")
        return
    if counts:
        added = f"failed logins added: {counts.sessions:,}" if failed else f"sessions added: {counts.sessions:,}, boots: {counts.boots:,}"
        changes.note(f"{added}, known already: {counts.recognised:,}")
    if not changes.dry:
        changes.ledger.add("deeds", deed)
