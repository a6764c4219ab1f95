# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the exporter share: a history to look at, and the values that are exposed of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from support import BOOT_KEY, HOUR, NOON, Machine, edit, make_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prometheus_client.registry import Collector

Values = dict[str, float]


@pytest.fixture
def machine() -> Machine:
    """Give a machine that was booted at eight, on which the process 100 runs."""
    return Machine(processes={100: 1000})


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Make a history: a boot that crashed, one that was shut down, and the one that runs; in each a session that nobody has closed."""
    rows = [
        (1, "reboot", NOON - 50 * HOUR, None, "~", "6.1", None),
        (3, "alice", NOON - 49 * HOUR, None, "tty1", None, "login"),
        (3, "bob", NOON - 48 * HOUR, NOON - 47 * HOUR, "ssh", "192.0.2.7", "sshd"),
        (1, "reboot", NOON - 40 * HOUR, NOON - 30 * HOUR, "~", "6.1", None),
        (3, "carol", NOON - 32 * HOUR, None, "ssh", "192.0.2.8", "sshd"),
        (1, "reboot", NOON - 4 * HOUR, None, "~", "6.1", None),
        (3, "alice", NOON - 2 * HOUR, None, "ssh", "192.0.2.7", "sshd"),
    ]
    path = make_file(tmp_path / "wtmp.db", rows)
    with edit(path) as database:
        database.execute("INSERT INTO boot VALUES (6, ?, ?)", (NOON - 4 * HOUR, BOOT_KEY))
        database.execute("INSERT INTO session (entry_id, login, boot_key, pid, start_ticks) VALUES (7, ?, ?, 100, 1000)", (NOON - 2 * HOUR, BOOT_KEY))
    return path


@pytest.fixture
def expose() -> Callable[[Collector], Values]:
    """Give what scrapes a collector and returns the samples by their names and labels."""

    def scrape(collector: Collector) -> Values:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(collector)
        families = text_string_to_metric_families(generate_latest(registry).decode())
        return {_name(sample.name, sample.labels): sample.value for family in families for sample in family.samples}

    return scrape


def _name(name: str, labels: dict[str, str]) -> str:
    inner = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return name.removeprefix("wtmpdb_") + (f"{{{inner}}}" if inner else "")
