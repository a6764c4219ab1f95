# SPDX-License-Identifier: BSD-2-Clause
"""Listing databases of failed logins: those of this machine, or files."""

from __future__ import annotations

import os

from wtmpdb.cli.databases import Databases
from wtmpdb.entry import SECOND
from wtmpdb.home import take_failures
from wtmpdb.log import FAILED
from wtmpdb.text import restore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.cli.choice import Wishes
    from wtmpdb.log import Log

    # Host, user, service, number of attempts, when the first and the last was (µs); an empty host, user or service may mean that nobody knows which.
    OnlyCounted = tuple[bytes, bytes, bytes, int, int, int]


def home(wishes: Wishes, program: str, or_else: str) -> FailedLogins | None:
    """Open the failed logins of this machine, once what waits in the spool is among them; None when there are only those in an old file."""
    take_failures(program)
    return FailedLogins([FAILED], wishes, program) if os.path.exists(FAILED) or not os.path.exists(or_else) else None


class FailedLogins(Databases):
    """Databases of failed logins, merged by time."""

    def _nothing_yet(self) -> str:
        return "no failed login was recorded yet"

    def only_counted(self) -> Iterator[OnlyCounted]:
        """Yield what stands for attempts that are no rows, as far as it is asked for; a number counts when its first and last attempt allow it."""
        for log in self._logs:
            for found in _counted(log):
                if self._is_asked_for(found):
                    yield found

    def _is_asked_for(self, found: OnlyCounted) -> bool:
        host, user, service, _, first, last = found
        wishes, times = self._wishes, self._wishes.times
        since, until, present = (times[name] * SECOND for name in ("since", "until", "present"))
        return (
            last >= since
            and (not until or first < until + SECOND)
            and (not present or first < present + SECOND <= last + SECOND)
            and (not wishes.operands or restore(user) in wishes.operands)
            and (not wishes.hosts or restore(host) in wishes.hosts)
            and (not wishes.services or restore(service) in wishes.services)
        )

    def number_counted(self) -> int:
        """Return how many attempts are no rows."""
        return sum(number for _, _, _, number, _, _ in self.only_counted())

    def trailer(self) -> bytes:
        """Return the last lines of a listing, and that there were more."""
        number = self.number_counted()
        more = f"{number:,} more were only counted; 'lastb --by host' tells of them too\n" if number and not self._wishes.by else ""
        return super().trailer() + more.encode()

    def addresses(self, idents: list[int]) -> dict[int, bytes]:
        """Return the addresses that old files told of these rows beside their hosts; of several databases together none."""
        if len(self._logs) > 1 or not idents or not _has(self._logs[0], "imported"):
            return {}
        marks = ", ".join(map(str, idents))
        return dict(self._logs[0].query(f"SELECT entry_id, address FROM imported WHERE entry_id IN ({marks}) AND address NOT NULL"))  # noqa: S608


def _counted(log: Log) -> list[OnlyCounted]:
    return log.query("SELECT host, user, service, number, first, last FROM counted") if _has(log, "counted") else []


def _has(log: Log, table: str) -> bool:
    return bool(log.query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)))
