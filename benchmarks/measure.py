# SPDX-License-Identifier: BSD-2-Clause
# ruff: noqa: RUF001 - a table for people has a multiplication sign and a dash
"""What all benchmarks share: running commands in turns, and saying what came out.

The speed of a machine drifts, so nothing is measured alone: the commands that are compared run in turns, many times, and of each the fast end counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parents[1]
TEST_CACHE = Path(os.environ.get("WTMPDB_TEST_CACHE", "/var/cache/wtmpdb-tests"))
"""Where the tests keep their trees of Debian."""

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "Europe/Berlin", "LC_ALL": "C.UTF-8"}

# A process of its own, since a child inherits the peak memory of the process that started it.
_PEAK = """
import os, sys
null = os.open(os.devnull, os.O_WRONLY)
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
_, status, used = os.wait4(pid, 0)
print(used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


class Skipped(Exception):  # noqa: N818 - not an error
    """A benchmark that cannot be had here; the message says why."""


class Settings(NamedTuple):
    """What the command line asked for: rows of the histories, and where large files are kept from one run to the next."""

    rows: int
    cache: Path


class Result(NamedTuple):
    """A line of the table; ``met`` is None where there is no aim."""

    what: str
    measured: str
    aim: str = "–"
    met: bool | None = None


def run_once(command: Sequence[str]) -> float:
    """Run a command with its output in a pipe that is read and thrown away; return how many seconds it took."""
    begun = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=ENVIRONMENT, cwd="/") as process:
        buffer = bytearray(1 << 16)
        while process.stdout and os.readv(process.stdout.fileno(), [buffer]):
            pass
        process.wait()
    lasted = time.perf_counter() - begun
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return lasted


def take_turns(runners: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run all in turns, so many rounds after one that does not count; return the seconds of each."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    names = list(runners)
    for number in range(-1, rounds):
        for name in names:
            lasted = runners[name]()
            if number >= 0:
                times[name].append(lasted)
        names.append(names.pop(0))  # nobody always runs behind the same neighbour
    return times


def race(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, float]:
    """Run commands in turns; return the `low` seconds of each."""
    times = take_turns({name: partial(run_once, command) for name, command in commands.items()}, rounds)
    return {name: low(seconds) for name, seconds in times.items()}


def low(seconds: Sequence[float]) -> float:
    """Return the tenth percentile: of few the smallest, and not the one lucky among hundreds."""
    return sorted(seconds)[len(seconds) // 10]


def peak(command: Sequence[str]) -> float:
    """Run a command; return its peak resident memory in MB."""
    told = subprocess.run([sys.executable, "-ISc", _PEAK, *command], check=True, capture_output=True, text=True, env=ENVIRONMENT, cwd="/")
    return int(told.stdout) * 1024 / 1e6


def output(command: Sequence[str]) -> bytes:
    """Run a command; return what it printed."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, env=ENVIRONMENT, cwd="/").stdout


def time_of(seconds: float) -> str:
    """Return seconds in a form for people."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.2f} ms" if seconds < 0.01 else f"{seconds * 1000:.1f} ms"


def ratio(what: str, ours: float, theirs: float, most: float | None = None) -> Result:
    """Return the line for a ratio of two times that is to be ``most`` at most."""
    found = ours / theirs
    aim = "–" if most is None else f"≤ {most:g} ×"
    return Result(what, f"{found:.2f} × ({time_of(ours)} : {time_of(theirs)})", aim, None if most is None else found <= most)


def at_most(what: str, found: float, most: float, unit: str) -> Result:
    """Return the line for a number that is to be ``most`` at most."""
    return Result(what, f"{found:.2f} {unit}", f"≤ {most:g} {unit}", found <= most)


def table(results: Sequence[Result]) -> str:
    """Return the Markdown table."""
    rows = [("what", "measured", "aim", "met?"), ("---", "---", "---", "---")]
    rows += [(result.what, result.measured, result.aim, {True: "yes", False: "**no**", None: "–"}[result.met]) for result in results]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
