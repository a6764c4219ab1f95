# SPDX-License-Identifier: BSD-2-Clause
"""The collector: from what a source tells to metrics, with fresh values at each scrape."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.registry import Collector

from wtmpdb import __version__
from wtmpdb.entry import SECOND
from wtmpdb.errors import WtmpdbError
from wtmpdb.exporter.follow import Rising
from wtmpdb.exporter.labels import OTHER, Places, label, largest
from wtmpdb.exporter.metrics import METRICS, counter, counters, gauge, gauges, histogram
from wtmpdb.exporter.tally import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client import Metric

    from wtmpdb.exporter.failed import FailedTally
    from wtmpdb.exporter.sources import Reading, Source
    from wtmpdb.exporter.tally import Tally
    from wtmpdb.live import Session

_CLASSES = frozenset(
    ("user", "user-early", "user-light", "user-early-light", "user-incomplete", "greeter", "lock-screen", "background", "background-light")
) | {"manager", "manager-early", "none"}


class Wishes(NamedTuple):
    """What is to be collected beyond what always is, and how many values a label may have."""

    per_user: bool = False
    per_host: bool = False
    sessions: bool = False
    max_series: int = 100


class Sessions(Collector):
    """The metrics of one source, under the names of this project."""

    def __init__(self, source: Source, wishes: Wishes | None = None, report: Callable[[WtmpdbError], None] = lambda _: None) -> None:
        """Ask ``source``; ``report`` is told of each failure that is not the same as the one before."""
        self._source = source
        self._wishes = wishes or Wishes()
        self._report = report
        self._said = ""
        self._lock = threading.Lock()
        self._rising, self._failures_rising = Rising(), Rising()
        most = self._wishes.max_series
        self._services, self._failing_services, self._failing_hosts = Places(most), Places(most), Places(most)

    def describe(self) -> Iterable[Metric]:
        """Yield what can come, without samples: registering must not make a scrape."""
        for name, kind in METRICS.items():
            yield kind.empty(name)

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics. A source that cannot be read is told by ``up``; what it would have told is absent, never stale."""
        begun = time.perf_counter()
        with self._lock:
            found = list(self._found())
        yield from found
        yield gauge("scrape_duration_seconds", time.perf_counter() - begun)
        yield gauges("build_info", {(__version__,): 1})

    def _found(self) -> Iterable[Metric]:
        try:
            reading = self._source.read()
        except WtmpdbError as error:
            if self._said != str(error):
                self._report(error)
            self._said = str(error)
            yield gauge("up", 0)
            return
        self._said = ""
        yield gauge("up", 1)
        yield from self._of_sessions(reading.sessions)
        yield from _times("boot_timestamp_seconds", reading.booted)
        if reading.history:
            yield from self._of_history(reading, reading.history)
            yield gauge("failures_up", reading.failed is not None)
        if reading.failed:
            yield from self._of_failures(reading.failed)

    # Who is on

    def _of_sessions(self, sessions: Iterable[Session]) -> Iterable[Metric]:
        sessions = list(sessions)
        kinds: Counter[tuple[str, ...]] = Counter(map(_kind, sessions))
        for remote in ("false", "true"):
            kinds.setdefault(("user", "tty", remote), 0)  # a series that comes and goes cannot be alerted on
        yield gauges("sessions", kinds)
        yield gauge("users", len({session.user for session in sessions}))
        yield from _times("session_oldest_start_timestamp_seconds", min((session.login for session in sessions), default=None))
        most = self._wishes.max_series
        if self._wishes.per_user:
            yield gauges("user_sessions", _keys(largest(Counter(label(session.user) for session in sessions), most)))
        if self._wishes.per_host:
            yield gauges("host_sessions", _keys(largest(Counter(label(session.host) for session in sessions), most)))
        if self._wishes.sessions:
            yield from _each(sessions, most)

    # What was

    def _of_history(self, reading: Reading, tally: Tally) -> Iterable[Metric]:
        sums: dict[tuple[str, ...], float] = {("starts", name): count for name, count in self._services.sums(tally.starts).items()}
        sums |= {("ends", reason): count for reason, count in tally.ends.items()}
        sums |= {("lasted", str(place)): count for place, count in enumerate(tally.durations)}
        sums |= {("seconds",): tally.seconds, ("boots",): len(tally.boots()), ("crashes",): tally.crashes}
        shown = self._rising.take(sums)
        yield counters("session_starts_total", _part(shown, "starts"))
        yield counters("session_ends_total", _part(shown, "ends"))
        lasted = [shown["lasted", str(place)] for place in range(len(tally.durations))]
        yield histogram("session_duration_seconds", BUCKETS, lasted, shown["seconds",])
        yield counter("boots_total", shown["boots",])
        yield counter("unclean_shutdowns_total", shown["crashes",])
        yield from _times("last_success_timestamp_seconds", tally.latest)
        yield from _times("oldest_record_timestamp_seconds", tally.oldest)
        yield gauge("database_rows", tally.rows)
        yield gauge("schema_version", tally.version)
        if reading.size is not None:
            yield gauge("database_size_bytes", reading.size)
        if reading.waiting is not None:
            yield gauge("spool_letters", reading.waiting)
        yield from _times("recorder_last_look_timestamp_seconds", reading.looked)

    def _of_failures(self, tally: FailedTally) -> Iterable[Metric]:
        sums: dict[tuple[str, ...], float] = {("service", name): count for name, count in self._failing_services.sums(tally.by_service()).items()}
        if self._wishes.per_host:
            sums |= {("host", name): count for name, count in self._failing_hosts.sums(tally.by_host()).items()}
        shown = self._failures_rising.take(sums)
        yield counters("failures_total", _part(shown, "service"))
        if self._wishes.per_host:
            yield counters("host_failures_total", _part(shown, "host"))
        yield from _times("last_failure_timestamp_seconds", tally.latest)


def _kind(session: Session) -> tuple[str, str, str]:
    """Return class, type and whether it came from elsewhere, in logind's words."""
    display = any((text or b"").startswith(b":") for text in (session.tty, session.host))
    kind = session.kind or "user"
    type_ = "x11" if display else "tty" if session.tty else "unspecified"
    return kind if kind in _CLASSES else OTHER, type_, str(bool(session.host) and not display).lower()


def _each(sessions: list[Session], most: int) -> Iterable[Metric]:
    """Yield a series for each session, the oldest first; those beyond the number allowed are one series, whose value says how many."""
    named = {}
    for session in sessions[:most]:
        name = str(session.id) if session.id is not None else label((session.xdg_session or "").encode() or session.tty)
        named[name] = session
    infos: dict[tuple[str, ...], int] = {(name, label(session.user), label(session.tty), label(session.host)): 1 for name, session in named.items()}
    if rest := len(sessions) - len(infos):
        infos[OTHER, OTHER, OTHER, OTHER] = rest
    yield gauges("session_info", infos)
    yield gauges("session_start_timestamp_seconds", {(name,): session.login / SECOND for name, session in named.items()})


def _times(name: str, at: int | None) -> Iterable[Metric]:
    """Yield a moment, given in µs, unless there is none."""
    if at is not None:
        yield gauge(name, at / SECOND)


def _keys(values: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    return {(name,): value for name, value in values.items()}


def _part(shown: Mapping[tuple[str, ...], float], kind: str) -> dict[tuple[str, ...], float]:
    """Return the sums of one kind by the rest of their keys."""
    return {key[1:]: value for key, value in shown.items() if key[0] == kind}
