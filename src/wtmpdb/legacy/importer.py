# SPDX-License-Identifier: BSD-2-Clause
"""Import: the history that old files, and databases of other makes, tell is brought into ours, once.

All is paired first, in temporary tables; then it is copied in short transactions, so that neither a login nor a reader waits. An import that was
killed is completed by the next. What is there already is known again, by the identity of its record or because the recorder wrote it too; what was
open and has ended since is closed.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from wtmpdb.errors import NoLogError
from wtmpdb.legacy.gathering import Gathering
from wtmpdb.legacy.record import ACCOUNTING, EMPTY, INIT_PROCESS, LOGIN_PROCESS
from wtmpdb.legacy.sources import RefusedError, Source, default_files, look_at, of_failed_logins
from wtmpdb.legacy.staging import Counts, Staging
from wtmpdb.log import FAILED, Log
from wtmpdb.system import System

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wtmpdb.legacy.gathering import Tell

_TIMEOUT = 0.25  # while we wait for readers to end, no new one can begin
_WAITING = "waiting for a login"
_IGNORED = {EMPTY: "empty", INIT_PROCESS: _WAITING, LOGIN_PROCESS: _WAITING, ACCOUNTING: "accounting"}


class Summary:
    """What an import did, or, when it was ``dry``, would do. Times are µs since the epoch.

    ``records`` were read, ``unmatched`` of them logouts of nobody, ``repeated`` seen in an earlier file already; ``ignored`` is what begins and ends
    nothing, by reason. In ``counts`` are the rows.
    """

    def __init__(self, sources: Sequence[Source], *, dry: bool, failed: bool = False) -> None:
        """Begin with nothing; when the sources are of logins that ``failed``, these are counted as sessions."""
        self.sources = sources
        self.dry = dry
        self.failed = failed
        self.records = 0
        self.unmatched = 0
        self.repeated = 0
        self.ignored: dict[str, int] = {}
        self.first: int | None = None
        self.last: int | None = None
        self.counts = Counts()

    def take(self, gathering: Gathering) -> None:
        """Keep what was read."""
        self.records = sum(source.records for source in self.sources)
        self.unmatched, self.repeated = gathering.unmatched, gathering.repeated
        self.first, self.last = gathering.first, gathering.last
        for kind, number in gathering.ignored.items():
            reason = _IGNORED.get(kind, "unknown type")
            self.ignored[reason] = self.ignored.get(reason, 0) + number

    @property
    def bytes_skipped(self) -> int:
        """Return how many bytes the readers could make nothing of."""
        return sum(source.bytes_skipped for source in self.sources)

    def skipped(self) -> dict[str, int]:
        """Return what was left out, by reason."""
        found = dict(self.ignored)
        for source in self.sources:
            for reason, number in source.skipped.items():
                found[reason] = found.get(reason, 0) + number
        return found

    def findings(self) -> dict[str, int]:
        """Return how many signs of damage or tampering there were, by kind (`wtmpdb.legacy.findings.KINDS`)."""
        found: dict[str, int] = {}
        for source in self.sources:
            for kind, number in source.findings.items():
                found[kind] = found.get(kind, 0) + number
        return found

    def as_json(self) -> dict[str, object]:
        """Return all of it for a machine."""
        return {
            "dry_run": self.dry,
            "records": self.records,
            **{name: getattr(self.counts, name) for name in ("sessions", "boots", "others", "closed", "duplicates", "recognised")},
            "repeated": self.repeated,
            "unmatched_logouts": self.unmatched,
            "skipped": self.skipped(),
            "bytes_skipped": self.bytes_skipped,
            "findings": self.findings(),
            "first_usec": self.first,
            "last_usec": self.last,
            "files": [
                {
                    "path": source.name,
                    "layout": source.layout,
                    "records": source.records,
                    "skipped": source.skipped,
                    "bytes_skipped": source.bytes_skipped,
                    "findings": source.findings,
                }
                for source in self.sources
            ],
        }


def bring_in(
    sources: Sequence[Source],
    database: str | None = None,
    *,
    system: bool = False,
    failed: bool = False,
    dry: bool = False,
    tell: Tell = lambda *_: None,
    machine: System | None = None,
) -> Summary:
    """Import sources into a database, which is made where it is missing; ``system`` keeps run levels and changes of the clock as well.

    When the sources are of logins that ``failed``, the database is one of these: by default that of this machine, to be read by root and the group.
    ``tell`` is called with a word, how much is done and how much there is (None where nobody knows). ``dry`` writes nothing. Raises WtmpdbError: of a
    source, before anything was written; of the database, perhaps after some was, which the next import completes.
    """
    summary = Summary(sources, dry=dry, failed=failed)
    running = (machine or System()).boot_key()
    with _opened(database or (FAILED if failed else None), dry=dry, private=failed) as log:
        staging = Staging(log, dry=dry, failed=failed)
        gathering = Gathering(log, staging, running, system=system, failed=failed)
        gathering.read(sources, tell)
        summary.take(gathering)
        staging.look_around()
        for done, counts in staging.copy(running, dry=dry):
            summary.counts = counts
            tell("writing", done, staging.count)
    return summary


def _opened(database: str | None, *, dry: bool, private: bool) -> Log:
    if not dry:
        return Log.write(database, timeout=_TIMEOUT, private=private)
    try:
        return Log.read(database)
    except NoLogError:
        with tempfile.NamedTemporaryFile() as nothing:  # an empty file is a history without entries
            return Log.read(nothing.name)


__all__ = ["RefusedError", "Source", "Summary", "bring_in", "default_files", "look_at", "of_failed_logins"]
