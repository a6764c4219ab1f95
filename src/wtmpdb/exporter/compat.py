# SPDX-License-Identifier: BSD-2-Clause
"""The four metrics of unix-user-exporter, for dashboards that were made for it.

Names, labels and forms are that program's, against the rules of Prometheus: what cannot be said better without breaking a dashboard is said as there.
The values are of this moment, and right: every record is read, of whatever layout, and whose process is dead is not on.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from wtmpdb.entry import SECOND
from wtmpdb.exporter.labels import label, largest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Metric

    from wtmpdb.exporter.sources import Source

LISTEN = ":32142"
UTMP = "/var/run/utmp"

_LOCAL = ("", ":0", ":0.0", "console")


class UnixUsers(Collector):
    """The metrics of unix-user-exporter from one source."""

    def __init__(self, source: Source, most: int) -> None:
        """Ask ``source``; show ``most`` values of a label at most."""
        self._source = source
        self._most = most
        self._lock = threading.Lock()

    def describe(self) -> Iterable[Metric]:
        """Yield what can come, without samples."""
        return _families()

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics. Raises WtmpdbError while the source cannot be read: these four have no way to say so, and those of before are stale."""
        with self._lock:
            sessions = self._source.read().sessions
        total, info, count, by_ip = _families()
        total.add_metric((), len(sessions))
        seen = {
            (label(session.user), label(session.host) or "-", label(session.tty), _minute(session.login // SECOND))
            for session in sessions[: self._most]
        }
        for labels in sorted(seen):
            info.add_metric(labels, 1)
        for user, number in largest(Counter(label(session.user) for session in sessions), self._most).items():
            count.add_metric((user,), number)
        hosts = Counter(host for session in sessions if (host := label(session.host)) not in _LOCAL)
        for host, number in largest(hosts, self._most).items():
            by_ip.add_metric((host,), number)
        yield from (total, info, count, by_ip)


def _minute(at: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
    except (OverflowError, OSError, ValueError):
        return f"@{at}"


def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
    return (
        GaugeMetricFamily("unix_users_logged_in_total", "Sessions that are open now (a gauge, whatever its name says)."),
        GaugeMetricFamily("unix_user_session_info", "An open session, always 1.", labels=("username", "from", "tty", "login_time")),
        GaugeMetricFamily("unix_user_session_count", "Open sessions of each user.", labels=("username",)),
        GaugeMetricFamily("unix_user_session_by_ip", "Open sessions from each remote host.", labels=("ip",)),
    )
