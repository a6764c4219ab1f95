# SPDX-License-Identifier: BSD-2-Clause
"""What the file of failed logins adds up to: attempts that are rows, and attempts of which only the number was kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtmpdb.entry import EntryType, as_text, as_time, now
from wtmpdb.exporter.follow import Follower, has_table
from wtmpdb.exporter.labels import Tallied
from wtmpdb.log import Log

if TYPE_CHECKING:
    from collections.abc import Mapping

_DAY = 86_400 * 1_000_000
_DAYS = "SELECT DISTINCT day FROM counted WHERE day >= ?"
_COUNTED = "SELECT host, service, sum(number), max(last) FROM counted WHERE day = ? GROUP BY host, service"
_BEFORE_ALL = -(2**63)


class FailedTally(Follower):
    """The sums over one file of failed logins."""

    def restart(self) -> None:
        """Drop what was added up, and begin anew."""
        super().restart()
        self._services, self._hosts = Tallied(), Tallied()
        self._days: dict[int, tuple[Tallied, Tallied]] = {}  # what was only counted, by the days that may still change
        self.latest: int | None = None

    def update(self) -> None:
        """Look at the file. Raises LogError."""
        with Log.read(self.path, timeout=2.0) as log:
            for chunk in self.added(log):
                for _, _, _, host, service, login, _, _, type_ in chunk:
                    if type_ == EntryType.USER_PROCESS:
                        self._services.count(as_text(service))
                        self._hosts.count(as_text(host))
                        self._note(as_time(login))
            if has_table(log, "counted"):
                self._look_at_counted(log)

    def _note(self, time: int | None) -> None:
        if time is not None and (self.latest is None or time > self.latest):
            self.latest = time

    def _look_at_counted(self, log: Log) -> None:
        """Read the numbers of the last two days again; those before do not change any more."""
        # A day that lies ahead was counted while the clock was wrong.
        since = min(max(self._days), now()) // _DAY * _DAY - _DAY if self._days else _BEFORE_ALL
        for day in [day for day in self._days if day < since]:
            for kept, sums in zip((self._services, self._hosts), self._days.pop(day), strict=True):
                for name, number in sums.items():
                    kept.count(name, number)
        for (day,) in log.query(_DAYS, (since,)):
            services, hosts = self._days[as_time(day) or 0] = Tallied(), Tallied()
            for host, service, number, last in log.query(_COUNTED, (day,)):
                services.count(as_text(service), as_time(number) or 0)
                hosts.count(as_text(host), as_time(number) or 0)
                self._note(as_time(last))

    def by_service(self) -> Mapping[bytes, int]:
        """Return how many attempts there were, by PAM service."""
        return self._sum(0)

    def by_host(self) -> Mapping[bytes, int]:
        """Return how many attempts there were, by remote host, empty for local ones."""
        return self._sum(1)

    def _sum(self, place: int) -> Tallied:
        found = Tallied((self._services, self._hosts)[place])
        for sums in self._days.values():
            for name, number in sums[place].items():
                found.count(name, number)
        return found
