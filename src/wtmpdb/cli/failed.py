# SPDX-License-Identifier: BSD-2-Clause
"""Listing databases of failed logins: those of this machine, or files."""

from __future__ import annotations

import os

from wtmpdb.cli.databases import Databases
from wtmpdb.entry import SECOND, as_text, as_time
from wtmpdb.home import take_failures
from wtmpdb.log import FAILED, Log
from wtmpdb.text import restore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.cli.choice import Wishes

    # Host, user, service, number of attempts, when the first and the last was (µs); an empty host, user or service may mean that nobody knows which.
    OnlyCounted = tuple[bytes, bytes, bytes, int, int, int]


_LARGEST = 2**63 - 1


def home(wishes: Wishes, program: str, or_else: str) -> FailedLogins | None:
    """Open the failed logins of this machine, once what waits in the spool is among them; None when there are only those in an old file."""
    take_failures(program)
    return FailedLogins([FAILED], wishes, program) if os.path.exists(FAILED) or not os.path.exists(or_else) else None


class FailedLogins(Databases):
    """Databases of failed logins, merged by time."""

    def _open(self, path: str) -> Log:
        return Log.read(path)  # never by the recorder, which shows sessions to who may not read the file

    def _nothing_yet(self) -> str:
        return "no failed login was recorded yet"

    def only_counted(self) -> Iterator[OnlyCounted]:
        """Yield what stands for attempts that are no rows, as far as it is asked for; a number counts when its first and last attempt allow it."""
        for log in self._logs:
            ident = 0
            while chunk := _ask(
                log, "rowid, host, user, service, number, first, last", "rowid > ? AND", "ORDER BY rowid LIMIT 5000", ident, *self._span()
            ):
                yield from (found for _, *columns in chunk if self._is_asked_for(*(found := _cleaned(*columns))[:3]))
                ident = chunk[-1][0]

    def _span(self) -> tuple[int, int]:
        """Return the bounds of the last and of the first attempt that a number may have."""
        since, until, present = (self._wishes.times[name] for name in ("since", "until", "present"))
        last = min(present or _LARGEST, until or _LARGEST)
        return min(max(since, present) * SECOND, _LARGEST), min(last * SECOND + SECOND - 1, _LARGEST)

    def _is_asked_for(self, host: bytes, user: bytes, service: bytes) -> bool:
        wishes = self._wishes
        return (
            (not wishes.operands or restore(user) in wishes.operands)
            and (not wishes.hosts or restore(host) in wishes.hosts)
            and (not wishes.services or restore(service) in wishes.services)
        )

    def number_counted(self) -> int:
        """Return how many attempts are no rows."""
        if self._wishes.operands or self._wishes.hosts or self._wishes.services:
            return sum(number for _, _, _, number, _, _ in self.only_counted())
        return sum(found[0][0] for log in self._logs if (found := _ask(log, "coalesce(sum(number), 0)", "", "", *self._span())))

    def trailer(self) -> bytes:
        """Return the last lines of a listing, and that there were more."""
        number = self.number_counted()
        more = f"{number:,} more were only counted; 'lastb --by host' tells of them too\n" if number and not self._wishes.by else ""
        return super().trailer() + more.encode()

    def addresses(self, idents: list[int]) -> dict[int, bytes]:
        """Return the addresses that old files told of these rows beside their hosts; of several databases together none."""
        if len(self._logs) > 1 or not idents or not _has(self._logs[0], "imported"):
            return {}
        # One statement for all chunks, unlike one with the IDs in it: the driver keeps statements.
        wanted = "SELECT entry_id, address FROM imported WHERE entry_id IN (SELECT value FROM json_each(?)) AND address NOT NULL"
        return dict(self._logs[0].query(wanted, (f"[{', '.join(map(str, idents))}]",)))


def _ask(log: Log, columns: str, where: str, order: str, *values: int) -> list[tuple]:  # type: ignore[type-arg]  # columns of any type
    """Ask the table of what is only counted; there may be none."""
    if not _has(log, "counted"):
        return []
    return log.query(f"SELECT {columns} FROM counted WHERE {where} last >= ? AND first <= ? {order}", values)  # noqa: S608 - constants


def _cleaned(host: object, user: object, service: object, number: object, first: object, last: object) -> OnlyCounted:
    """Return what was only counted with the types that it should have, whatever stood in the file."""
    return as_text(host), as_text(user), as_text(service), as_time(number) or 0, as_time(first) or 0, as_time(last) or 0


def _has(log: Log, table: str) -> bool:
    return bool(log.query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)))
