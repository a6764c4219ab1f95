# SPDX-License-Identifier: BSD-2-Clause
"""The Grafana dashboard: what it asks can be asked, and each panel says what it shows."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.reading import EXPOSED, MACROS, OF_OTHERS, TARGET, check, labels, load, metrics, panels, queries

if TYPE_CHECKING:
    from pathlib import Path

DASHBOARD = load("dashboards/wtmpdb.json")
OUTSIDE_THE_LIBRARY = {"definition", "step", "textFormat", "titleFormat", "useValueForTime"}
"""Fields of variables and annotations that belong to the data source for Prometheus, not to the dashboard."""

SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def lost(written: Any, read: Any, place: str = "") -> list[str]:
    """Return where a JSON value has something that another has not, or has otherwise."""
    if isinstance(written, dict) and isinstance(read, dict):
        return [where for key, value in written.items() for where in lost(value, read.get(key), f"{place}/{key}")]
    if isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        return [where for number, (one, other) in enumerate(zip(written, read, strict=True)) for where in lost(one, other, f"{place}/{number}")]
    return [] if written == read else [place]


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    """Tell whether two places in the grid share a cell."""
    return all(one[at] < other[at] + other[size] and other[at] < one[at] + one[size] for at, size in (("x", "w"), ("y", "h")))


def strings(value: Any) -> list[str]:
    """Return all text in a JSON value."""
    if isinstance(value, dict):
        return [text for inner in value.values() for text in strings(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return [value] if isinstance(value, str) else []


def unknown(dashboard: dict[str, Any]) -> set[str]:
    """Return the names of the fields that are gone when Grafana's own library has read a dashboard and written it again."""
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    return {place.rpartition("/")[2] for place in lost(dashboard, read)}


def test_grafana_knows_every_field() -> None:
    """Grafana's own library knows every field of the dashboard, also those of each kind of panel; it would not know one with a slip of the pen."""
    register_default_plugins()
    assert unknown(DASHBOARD) == OUTSIDE_THE_LIBRARY
    assert unknown(json.loads(json.dumps(DASHBOARD).replace('"drawStyle"', '"drawStile"'))) == {*OUTSIDE_THE_LIBRARY, "drawStile"}


def test_each_panel_says_what_it_shows() -> None:
    """Each panel has a title of its own, a description that is a sentence, and a unit."""
    titles = Counter(panel["title"] for panel in panels())
    assert [title for title, number in titles.items() if number > 1 or not title] == []
    for panel in panels():
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_ids_are_unique() -> None:
    """No two panels have one id, and no two queries of a panel one letter."""
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in panels():
        letters = [target["refId"] for target in panel["targets"]]
        assert letters
        assert len(set(letters)) == len(letters), panel["title"]


def test_panels_lie_side_by_side() -> None:
    """No panel lies on another, or beyond the 24 columns of the grid."""
    places = [(panel["title"], panel["gridPos"]) for panel in DASHBOARD["panels"]]
    assert [(one, other) for (one, place), (other, beside) in combinations(places, 2) if overlap(place, beside)] == []
    assert [title for title, place in places if place["x"] < 0 or place["x"] + place["w"] > 24] == []


def test_expressions_are_promql(tmp_path: Path) -> None:
    """Prometheus understands every expression."""
    check([expression for _, expression in queries()], tmp_path)


def test_names_are_those_of_the_exporter() -> None:
    """Every expression asks for metrics that there are, by labels that they have."""
    known = EXPOSED | OF_OTHERS
    for name, expression in queries():
        asked = metrics(expression)
        assert asked, name
        assert asked <= known.keys(), name
        assert labels(expression) <= TARGET.union(*(known[metric] for metric in asked)), name


def test_every_metric_is_shown() -> None:
    """No metric of the exporter is left out of the dashboard."""
    assert EXPOSED.keys() - {metric for _, expression in queries() for metric in metrics(expression)} == set()


def test_every_query_obeys_the_choice_of_hosts() -> None:
    """Every metric in an expression is limited to the jobs and hosts that were chosen."""
    for panel in panels():
        for target in panel["targets"]:
            chosen = target["expr"].count('{job=~"$job", instance=~"$instance"')
            assert chosen == len(re.findall(r"\b(?:wtmpdb_\w+|up)\b", target["expr"])), target["expr"]


def test_data_source_is_a_variable() -> None:
    """The dashboard names no data source of one Grafana: panels, queries, variables and annotations take the one that was chosen."""
    users = [*panels(), *(target for panel in panels() for target in panel["targets"])]
    users += [*DASHBOARD["annotations"]["list"], *(variable for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query")]
    assert [user for user in users if user["datasource"] != SOURCE] == []
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"] if variable["type"] == "datasource"] == ["datasource"]


def test_variables_are_defined() -> None:
    """Every variable in the dashboard is one of its own, or one of Grafana's that the tests know."""
    used = {name for text in strings(DASHBOARD) for name in re.findall(r"\$\{?(\w+)", text) if text != "$__all"}
    own = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert used <= own | {macro.strip("$") for macro in MACROS}
    assert own <= used


def test_options_of_the_exporter_are_named() -> None:
    """A panel whose metrics have to be asked for says with which option of the exporter."""
    options = {"wtmpdb_host_": "--collect.per-host", "wtmpdb_user_": "--collect.per-user", "wtmpdb_session_info": "--collect.sessions"}
    for panel in panels():
        text = " ".join(target["expr"] for target in panel["targets"])
        needed = {option for metric, option in options.items() if metric in text}
        assert set(re.findall(r"--collect\.[a-z-]*[a-z]", panel["description"])) == needed, panel["title"]
