# SPDX-License-Identifier: BSD-2-Clause
"""The metrics and docs/metrics.md: each is described as it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from support import NOON, Machine, make_file
from wtmpdb.exporter import sources
from wtmpdb.exporter.collector import Sessions, Wishes
from wtmpdb.exporter.metrics import METRICS, PREFIX
from wtmpdb.exporter.sources import Database
from wtmpdb.recorder import pulse

if TYPE_CHECKING:
    import pytest
    from prometheus_client import Metric

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


def described() -> dict[str, tuple[str, tuple[str, ...], str]]:
    """Return type, labels and option of each metric in the tables of the document."""
    found = {}
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].startswith(f"`{PREFIX}") and len(cells) in (4, 5):
            name = cells[0].strip("`").removeprefix(PREFIX)
            found[name] = cells[1], tuple(re.findall(r"`(\w+)`", cells[2])), cells[3].strip("`") if len(cells) == 5 else ""
    return found


def test_all_are_described() -> None:
    """docs/metrics.md has each metric, with its type, its labels and the option that turns it on, and no other."""
    assert described() == {name: (kind.type, kind.labels, kind.option) for name, kind in METRICS.items()}


def test_all_are_exposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each metric that is described comes when everything is asked for and there, with its labels, type and help, and no other comes."""
    path = make_file(tmp_path / "wtmp.db", [(1, "reboot", NOON - 9, None, "~", "6", None), (3, "u", NOON, None, "t", "h", "s")])
    make_file(tmp_path / "btmp.db", [(3, "x", NOON, NOON, "ssh", "h", "sshd")])
    (tmp_path / "spool" / "new").mkdir(parents=True)
    monkeypatch.setattr(sources, "DATABASE", str(path))
    monkeypatch.setattr(pulse, "PULSE", str(tmp_path / "recorder"))
    collector = Sessions(Database(str(path), system=Machine()), Wishes(per_user=True, per_host=True, sessions=True))
    found = {_full(metric): metric for metric in collector.collect()}
    assert set(found) == set(METRICS)
    for name, metric in found.items():
        kind = METRICS[name]
        assert (metric.type, metric.documentation) == (kind.type, kind.help)
        assert {frozenset(set(sample.labels) - {"le"}) for sample in metric.samples} == {frozenset(kind.labels)}
    assert {_full(metric): metric.type for metric in collector.describe()} == {name: kind.type for name, kind in METRICS.items()}


def test_names_keep_the_rules() -> None:
    """Counters end in _total and nothing else does; times and sizes are in base units; no label is a name of the rules' reserved ones."""
    assert all((kind.type == "counter") == name.endswith("_total") for name, kind in METRICS.items())
    assert all(re.fullmatch(r"[a-z_]+", name) for name in METRICS)
    assert not {label for kind in METRICS.values() for label in kind.labels} & {"job", "instance", "host", "le"}


def _full(metric: Metric) -> str:
    return metric.name.removeprefix(PREFIX) + ("_total" if metric.type == "counter" else "")
