# SPDX-License-Identifier: BSD-2-Clause
"""The metrics that there are: names, types, labels and what they mean. docs/metrics.md has the same, and a test compares."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"

PREFIX = "wtmpdb_"


class Kind(NamedTuple):
    """A metric: its type, its labels, its help text, and the option that turns it on, or ""."""

    type: str
    labels: tuple[str, ...]
    help: str
    option: str = ""

    def empty(self, name: str) -> Metric:
        """Return the metric without samples."""
        return Metric(PREFIX + name.removesuffix("_total"), self.help, self.type)


METRICS = {
    "sessions": Kind(GAUGE, ("class", "type", "remote"), "Sessions that are open now, by class, type and whether they came from elsewhere."),
    "users": Kind(GAUGE, (), "Different users who are logged in now."),
    "session_oldest_start_timestamp_seconds": Kind(GAUGE, (), "When the oldest of the open sessions began."),
    "session_starts_total": Kind(COUNTER, ("service",), "Sessions that were opened, by PAM service."),
    "session_ends_total": Kind(COUNTER, ("reason",), "Sessions that ended: by a logout, or with their boot, shut down or crashed."),
    "session_duration_seconds": Kind(HISTOGRAM, (), "How long sessions that have ended had lasted."),
    "last_success_timestamp_seconds": Kind(GAUGE, (), "When the newest session began."),
    "failures_total": Kind(COUNTER, ("service",), "Logins that failed, by PAM service."),
    "last_failure_timestamp_seconds": Kind(GAUGE, (), "When a login failed last."),
    "failures_up": Kind(GAUGE, (), "Whether the file of failed logins could be read: 0 also where none was ever recorded."),
    "boot_timestamp_seconds": Kind(GAUGE, (), "When the machine was started."),
    "boots_total": Kind(COUNTER, (), "Starts of the machine."),
    "unclean_shutdowns_total": Kind(COUNTER, (), "Boots that ended without a shutdown: crashes and power cuts."),
    "database_size_bytes": Kind(GAUGE, (), "Size of the file of the history."),
    "database_rows": Kind(GAUGE, (), "Rows of the history: sessions, boots and changes of the clock."),
    "oldest_record_timestamp_seconds": Kind(GAUGE, (), "When the oldest row of the history began."),
    "schema_version": Kind(GAUGE, (), "Version of the tables that wtmpdb adds to the file; 0 in a file of the C tools."),
    "spool_letters": Kind(GAUGE, (), "Letters that wait in the spool for the recorder; without access to the spool, when the recorder looked last."),
    "recorder_last_look_timestamp_seconds": Kind(GAUGE, (), "When a recorder last looked for letters; 0 when none has since the boot."),
    "up": Kind(GAUGE, (), "Whether the source could be read: the history, or the utmp file."),
    "scrape_duration_seconds": Kind(GAUGE, (), "How long it took to gather all this."),
    "build_info": Kind(GAUGE, ("version",), "The version of wtmpdb, always 1."),
    "user_sessions": Kind(GAUGE, ("user",), "Open sessions of each user.", "--collect.per-user"),
    "session_info": Kind(GAUGE, ("session", "user", "tty", "remote_host"), "An open session, always 1.", "--collect.sessions"),
    "session_start_timestamp_seconds": Kind(GAUGE, ("session",), "When an open session began.", "--collect.sessions"),
    "host_sessions": Kind(GAUGE, ("remote_host",), "Open sessions from each remote host.", "--collect.per-host"),
    "host_failures_total": Kind(COUNTER, ("remote_host",), "Logins that failed, by remote host.", "--collect.per-host"),
}
"""By name, without PREFIX."""


def gauge(name: str, value: float) -> Metric:
    """Return a gauge without labels."""
    return gauges(name, {(): value})


def gauges(name: str, values: Mapping[tuple[str, ...], float]) -> Metric:
    """Return a gauge, its values by the values of its labels."""
    family = GaugeMetricFamily(PREFIX + name, METRICS[name].help, labels=METRICS[name].labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def counter(name: str, value: float) -> Metric:
    """Return a counter without labels."""
    return counters(name, {(): value})


def counters(name: str, values: Mapping[tuple[str, ...], float]) -> Metric:
    """Return a counter, its values by the values of its labels."""
    family = CounterMetricFamily(PREFIX + name, METRICS[name].help, labels=METRICS[name].labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def histogram(name: str, bounds: Sequence[float], counts: Sequence[float], total: float) -> Metric:
    """Return a histogram; ``counts`` are how many lie up to each bound and above the one before, and one more: how many above all."""
    names = [*(str(float(bound)) for bound in bounds), "+Inf"]
    family = HistogramMetricFamily(PREFIX + name, METRICS[name].help, labels=METRICS[name].labels)
    family.add_metric((), list(zip(names, accumulate(counts), strict=True)), total)
    return family
