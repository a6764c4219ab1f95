# SPDX-License-Identifier: BSD-2-Clause
"""The rules for Prometheus: they say what they mean, and alert when they should and not otherwise."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dashboards.reading import DASHBOARDS, EXPOSED, OF_OTHERS, TARGET, labels, load, metrics, promtool, rules

ALERTS = rules("alert")
RECORDED = rules("record")
UNIT_TESTS = sorted((DASHBOARDS / "tests").glob("*.yml"))
KNOWN = EXPOSED | OF_OTHERS | {name: set() for name in RECORDED}


def firing() -> dict[str, set[str]]:
    """Return the labels of each alert that fires in the unit tests of the rules."""
    found: dict[str, set[str]] = {}
    for file in UNIT_TESTS:
        for test in load(f"dashboards/tests/{file.name}")["tests"]:
            for sample in [sample for asked in test["promql_expr_test"] for sample in asked["exp_samples"]]:
                pairs = dict(re.findall(r'(\w+)="([^"]*)"', sample.get("labels", "")))
                if "alertname" in pairs:
                    found.setdefault(pairs["alertname"], set(pairs)).intersection_update(pairs)
    return found


FIRING = firing()


def test_prometheus_takes_them() -> None:
    """Prometheus takes the rules, and the configuration that names them, without a word against either."""
    said = promtool("check", "config", DASHBOARDS / "prometheus.yml")
    said += promtool("check", "rules", "--lint=all", "--lint-fatal", *(DASHBOARDS / name for name in ("recording.yml", "alerts.yml")))
    assert f"{len(ALERTS)} rules found" in said
    assert f"{len(RECORDED)} rules found" in said


def test_they_alert_when_they_should() -> None:
    """Every case of the unit tests comes out as it says: alerts come, go, and stay away."""
    said = promtool("test", "rules", *UNIT_TESTS)
    assert said.count("SUCCESS") == len(UNIT_TESTS) == 3


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_is_tested(name: str) -> None:
    """Each alert fires in a unit test, and a unit test has a moment at which nothing does."""
    assert name in FIRING
    files = [load(f"dashboards/tests/{file.name}")["tests"] for file in UNIT_TESTS]
    cases = [test["promql_expr_test"] for tests in files for test in tests if name in str(test)]
    assert [case for case in cases if any(not asked["exp_samples"] or asked["expr"] == "ALERTS" for asked in case)] == cases


@pytest.mark.parametrize("rule", [*ALERTS.values(), *RECORDED.values()], ids=[*ALERTS, *RECORDED])
def test_names_are_those_of_the_exporter(rule: dict[str, Any]) -> None:
    """Every rule asks for metrics that there are, by labels that they have; `host` is made by the rule that uses it."""
    asked = metrics(rule["expr"])
    assert asked
    assert asked <= KNOWN.keys()
    made = {"host"} if "label_replace" in rule["expr"] else set()
    assert labels(rule["expr"]) <= TARGET.union(made, *(KNOWN[metric] for metric in asked))


@pytest.mark.parametrize("rule", ALERTS.values(), ids=ALERTS)
def test_each_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    """Each alert has a severity, a summary that names the machine, what it means, and what to do; it uses only labels that it has."""
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert re.match(r"\{\{ \$labels\.(instance|host) \}\}: ", rule["annotations"]["summary"])
    used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert used <= FIRING[rule["alert"]]
    assert [text for text in rule["annotations"].values() if len(text) < 20] == []


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_is_documented(name: str) -> None:
    """docs/monitoring.md has a line on each alert, with its severity."""
    line = next(line for line in (DASHBOARDS.parent / "docs" / "monitoring.md").read_text().splitlines() if f"`{name}`" in line)
    assert ALERTS[name]["labels"]["severity"] in line
