# SPDX-License-Identifier: BSD-2-Clause
"""Sessions to which sshd writes a row of its own, until the recorder makes one of two: each is one for the exporter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from exporter.test_collector import collector
from support import SECOND, Machine, closed, edit, opened
from wtmpdb.entry import now
from wtmpdb.exporter import tally
from wtmpdb.log import Log
from wtmpdb.recorder import merging

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prometheus_client.registry import Collector

    Expose = Callable[[Collector], dict[str, float]]


def log_rows(path: Path) -> int:
    """Return how many rows the history has."""
    with Log.read(str(path)) as log:
        return int(log.query("SELECT count(*) FROM wtmp")[0][0])


@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize("seen", ["both", "ours", "ours with its terminal", "theirs", "none"])
def test_two_rows_that_become_one(history: Path, machine: Machine, expose: Expose, seen: str, *, over: bool) -> None:
    """A session of which sshd writes a row too is counted once, whenever the exporter looks, and is open as long as it lasts."""
    source = collector(history, machine)
    before = expose(source)
    remote = "sessions{class=user,remote=true,type=tty}"
    start = now() - 5 * SECOND
    machine.processes[200] = 2000
    event = opened("dave", start, pid=200, start=2000, tty="ssh")
    for who in ("theirs", "ours") if seen == "theirs" else ("ours", "theirs"):
        if who == "ours":
            with Log.write(str(history)) as log:
                log.apply([event])
                if "terminal" in seen:
                    merging.put_in(log, [(str(event.key), "pts/7")])
        else:
            with edit(history) as database:
                insert = "INSERT INTO wtmp (Type, User, Login, TTY, RemoteHost) VALUES (3, 'dave', ?, 'pts/7', '192.0.2.7')"
                database.execute(insert, (start + 9000,))
        if seen.startswith(who):
            assert expose(source)["database_rows"] == before["database_rows"] + 1
    if over:
        with Log.write(str(history)) as log:
            log.apply([closed(event, start + SECOND)])
            log.query("UPDATE wtmp SET Logout = ? WHERE TTY = 'pts/7'", (start + SECOND,))
    if seen in ("both", "ours with its terminal"):
        assert expose(source)[remote] == before[remote] + (not over)
    with Log.write(str(history)) as log:
        if over:
            merging.find(log, [str(event.key)])
        else:
            merging.put_in(log, [(str(event.key), "pts/7")])
    assert log_rows(history) == before["database_rows"] + 1
    for _ in range(2):
        found = expose(source)
        assert found["database_rows"] == before["database_rows"] + 1
        assert sum(value for name, value in found.items() if "session_starts_total" in name) == 1 + sum(
            value for name, value in before.items() if "session_starts_total" in name
        )
        assert found[remote] == before[remote] + (not over)
        assert found["session_ends_total{reason=logout}"] == before["session_ends_total{reason=logout}"] + over


def test_two_rows_become_one_just_then(history: Path, machine: Machine, expose: Expose, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the recorder makes one row of two while the exporter reads them, the session is counted once."""
    source = collector(history, machine)
    before = expose(source)
    event = opened("dave", now() - 5 * SECOND)
    with Log.write(str(history)) as log:
        log.apply([event])
        log.query("INSERT INTO wtmp (Type, User, Login, TTY) VALUES (3, 'dave', ?, 'pts/7')", (event.time + 9000,))
    ask = tally._is_one_of_two

    def merged_before(*facts: Any) -> bool:
        with Log.write(str(history)) as log:
            merging.put_in(log, [(str(event.key), "pts/7")])
        return ask(*facts)

    monkeypatch.setattr(tally, "_is_one_of_two", merged_before)
    expose(source)
    found = expose(source)
    assert found["database_rows"] == before["database_rows"] + 1
    assert found["session_starts_total{service=sshd}"] == before["session_starts_total{service=sshd}"] + 1


def test_sshd_row_alone(history: Path, machine: Machine, expose: Expose) -> None:
    """Where sshd alone writes sessions, each is there at once."""
    source = collector(history, machine)
    before = expose(source)
    with edit(history) as database:
        database.execute("INSERT INTO wtmp (Type, User, Login, TTY, RemoteHost) VALUES (3, 'dave', ?, 'pts/7', '192.0.2.9')", (now(),))
    assert expose(source)["database_rows"] == before["database_rows"] + 1
