# SPDX-License-Identifier: BSD-2-Clause
"""Runs the benchmarks and prints a table: what is fast, and against whom. Slow times are told, not punished; errors are."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import TEST_CACHE, Result, Settings, Skipped, table

BENCHMARKS = {
    "login": "what a login costs: open and close of a session through PAM, against Debian's C module",
    "failures": "what a failed login costs, and an attack of 2,000 a minute",
    "drain": "10,000 letters from the spool into a fresh database",
    "recorder": "the resident recorder: from login to row, bursts against Debian's C module, memory",
    "startup": "last -n 10, against Python itself",
    "who": "who, against Python itself",
    "listing": "last of everything to a pipe, against util-linux; peak memory",
    "c_file": "the same on a file as the C tools make it: no side tables, no indexes",
    "legacy": "last -f of an old file, against util-linux; the newest ten lines, against Python itself; memory",
    "varlink": "reading a million rows through the recorder: its memory, and logins meanwhile",
    "import": "import of an old file, against a plain executemany of its rows; who waits meanwhile",
    "exporter": "a scrape of metrics: the first, those after it, of a utmp file; resident memory",
    "query": "lastlog and stats, with the import of SQLAlchemy",
    "imports": "what our own modules cost when they are imported",
}
MILLION = 1_000_000


def read_arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, epilog="benchmarks:\n" + listed())
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these; without a name, all")
    parser.add_argument("--rows", type=int, default=MILLION, help="rows of the histories (default: %(default)s, for which the aims are)")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="where histories are kept from run to run (default: %(default)s)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - BENCHMARKS.keys():
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    if arguments.rows < 1000:
        parser.error("--rows: at least 1000")
    return arguments


def listed() -> str:
    """Return the names with what they stand for."""
    return "".join(f"  {name:9} {what}\n" for name, what in BENCHMARKS.items())


def default_cache() -> Path:
    """Return a directory that is likely to lie on the disk of /var/lib; without rights there, one that is not."""
    usable = os.access(TEST_CACHE if TEST_CACHE.exists() else TEST_CACHE.parent, os.W_OK)
    parent = TEST_CACHE if usable else Path(tempfile.gettempdir())
    return parent / "benchmarks"


def measure(name: str, settings: Settings) -> list[Result]:
    """Run one benchmark; return its lines of the table."""
    print(f"{name}: {BENCHMARKS[name]} …", file=sys.stderr, flush=True)
    results: list[Result] = []
    try:
        for result in import_module(f"benchmarks.bench_{name}").run(settings):
            print(f"  {result.what}: {result.measured}", file=sys.stderr, flush=True)
            results.append(result)
    except Skipped as reason:
        results.append(Result(BENCHMARKS[name], f"skipped: {reason}"))
    return results


def main() -> None:
    """Run what is asked for."""
    arguments = read_arguments()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    settings = Settings(arguments.rows, arguments.cache.resolve())
    results = [result for name in arguments.names or BENCHMARKS for result in measure(name, settings)]
    print(table(results), end="")


if __name__ == "__main__":
    main()
