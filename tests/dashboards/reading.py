# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the dashboard, the rules and the container read: the files, the expressions in them, and which metrics there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from wtmpdb.exporter.metrics import HISTOGRAM, METRICS, PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT = Path(__file__).parents[2]
DASHBOARDS = ROOT / "dashboards"

EXPOSED: dict[str, set[str]] = {PREFIX + name: set(kind.labels) for name, kind in METRICS.items() if kind.type != HISTOGRAM}
"""The exporter's metrics as Prometheus stores them, and the labels of each."""

for name in [PREFIX + name for name, kind in METRICS.items() if kind.type == HISTOGRAM]:
    EXPOSED |= {f"{name}_bucket": {"le"}, f"{name}_count": set(), f"{name}_sum": set()}

OF_OTHERS = {"up": set(), "node_boot_time_seconds": set(), "node_textfile_mtime_seconds": {"file"}}
"""The metrics of Prometheus itself and of node_exporter that rules go by."""

TARGET = {"job", "instance"}
"""What Prometheus adds to each metric."""

MACROS = {"$__rate_interval": "5m", "$__range": "1d", "$job": ".+", "$instance": ".+"}
"""What stands for Grafana's variables when Prometheus is asked."""


def load(name: str) -> Any:
    """Return what a YAML or JSON file of the project holds."""
    text = (ROOT / name).read_text()
    return json.loads(text) if name.endswith(".json") else yaml.safe_load(text)


def panels() -> list[dict[str, Any]]:
    """Return the panels of the dashboard that show something: all but the titles of rows."""
    return [panel for panel in load("dashboards/wtmpdb.json")["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Yield what each query of the dashboard is for, and its expression as Prometheus gets it."""
    dashboard = load("dashboards/wtmpdb.json")
    found = [(f"{panel['title']} {target['refId']}", target["expr"]) for panel in panels() for target in panel["targets"]]
    found += [(note["name"], note["expr"]) for note in dashboard["annotations"]["list"]]
    for name, expression in found:
        for macro, value in MACROS.items():
            expression = expression.replace(macro, value)  # noqa: PLW2901 - one after the other
        yield name, expression


def rules(kind: str) -> dict[str, dict[str, Any]]:
    """Return the rules that record ("record"), or those that alert ("alert"), by their names."""
    files = ("dashboards/recording.yml", "dashboards/alerts.yml")
    return {rule[kind]: rule for file in files for group in load(file)["groups"] for rule in group["rules"] if kind in rule}


def metrics(expression: str) -> set[str]:
    """Return the metrics that an expression names: ours, those of others that rules know, and what rules record."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    return set(re.findall(r"\b(?:wtmpdb_\w+|node_\w+|instance:[\w:]+)|(?<![\w:.])up(?=[ {])", bare))


def labels(expression: str) -> set[str]:
    """Return the labels that an expression matches, groups by or joins on."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    matched = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", " ".join(re.findall(r"\{(.*?)\}", bare)))
    listed = re.findall(r"\b(?:by|on|group_left|without|ignoring)\s*\(([^)]*)\)", bare)
    return {*matched, *(name.strip() for names in listed for name in names.split(",") if name.strip())}


def promtool(*words: str | Path) -> str:
    """Run promtool; return what it says, and fail where it finds fault."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    ran = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def check(expressions: Iterable[str], directory: Path) -> None:
    """Let promtool parse expressions, as those of recording rules."""
    listed: list[Mapping[str, str]] = [{"record": f"expression:{number}", "expr": text} for number, text in enumerate(expressions)]
    file = directory / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "expressions", "rules": listed}]}))
    assert f"{len(listed)} rules found" in promtool("check", "rules", file)
