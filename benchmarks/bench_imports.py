# SPDX-License-Identifier: BSD-2-Clause
"""What `wtmpdb last` imports, and what of the time goes to our own modules (`python3 -X importtime`, whose clock itself costs some)."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from benchmarks import data
from benchmarks.installed import PYTHON, installed
from benchmarks.measure import ENVIRONMENT, Result, Settings, low, time_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROUNDS = 40


def run(settings: Settings) -> Iterator[Result]:
    """Yield the lines of the table."""
    database = str(data.database(settings))
    costs: dict[str, list[float]] = {}
    with installed() as program:
        for _ in range(_ROUNDS):
            for name, seconds in _imports([program, "last", "-n", "10", "-f", database]):
                costs.setdefault(name, []).append(seconds)
    fast = {name: low(seconds) for name, seconds in costs.items()}
    own = {name: seconds for name, seconds in fast.items() if name.partition(".")[0] == "wtmpdb"}
    yield Result(f"importing our {len(own)} modules for `last`", time_of(sum(own.values())))
    yield Result("the dearest of them", _dearest(own))
    yield Result("the dearest of the others", _dearest({name: seconds for name, seconds in fast.items() if name not in own}))


def _imports(command: list[str]) -> list[tuple[str, float]]:
    """Return each module with what it cost itself, without those that it imports."""
    told = subprocess.run([PYTHON, "-ISB", "-X", "importtime", *command], check=True, capture_output=True, text=True, env=ENVIRONMENT, cwd="/")
    lines = [line.removeprefix("import time:").split("|") for line in told.stderr.splitlines()[1:]]
    return [(name.strip(), int(own) / 1e6) for own, _, name in lines]


def _dearest(costs: dict[str, float]) -> str:
    return ", ".join(f"{name} {time_of(costs[name])}" for name in sorted(costs, key=costs.__getitem__, reverse=True)[:6])
