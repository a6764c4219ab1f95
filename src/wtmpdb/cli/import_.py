# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb import`: bring the history that old files tell into the database, once."""

from __future__ import annotations

import gc
import shlex
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from json import dumps
from typing import TYPE_CHECKING

from wtmpdb.entry import SECOND
from wtmpdb.errors import WtmpdbError, complain
from wtmpdb.legacy.importer import RefusedError, Summary, bring_in, default_files, look_at, of_failed_logins
from wtmpdb.listing import times

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Tell = Callable[[str, int, int | None], None]

_EPILOGUE = """
Running it again adds nothing, and closes what was open and has ended since.

Examples:
  wtmpdb import                       all of /var/log/wtmp*, the oldest first
  wtmpdb import --dry-run             only say what would be done
  wtmpdb import /backup/wtmp.*.gz     files of this machine from elsewhere
  wtmpdb import /var/log/btmp*        failed logins, for lastb
  zcat old.gz | wtmpdb import -       what comes through a pipe
  wtmpdb import --layout glibc-384 --byte-order big OLD
"""


def run(words: Sequence[str], program: str) -> int:
    """Run the command."""
    wishes = _parser(program).parse_args(words)
    failed = wishes.failed or (bool(wishes.files) and all(map(of_failed_logins, wishes.files)))
    try:
        files = wishes.files or default_files(failed=failed)
        sources = look_at(files, wishes.file, wishes.layout, wishes.byte_order, failed=failed)
    except RefusedError as refused:
        for error in refused.errors:
            complain(f"{program}: {error}", error.hint)
        return 1
    for source in sources:
        if source.is_empty:
            complain(f"{program}: {source.name}: empty")
    sources = [source for source in sources if not source.is_empty]
    if not sources and not wishes.json:
        return 0
    gc.disable()  # nothing here is circular, and there are millions of small things
    bar = _Bar() if sys.stderr is not None and sys.stderr.isatty() else None
    try:
        tell = bar.tell if bar else lambda *_: None
        summary = bring_in(sources, wishes.file, system=wishes.all, failed=failed, dry=wishes.dry_run, tell=tell)
    except WtmpdbError as error:
        raise type(error)(str(error), error.hint or "what is missing the next import brings") from error
    finally:
        if bar:
            bar.close()
    print(dumps(summary.as_json()) if wishes.json else said(summary), flush=True)
    return 0


def _parser(program: str) -> ArgumentParser:
    parser = ArgumentParser(
        prog=program,
        description="Bring the history that old files tell into the database: wtmp of many systems, compressed or not, and other databases.",
        epilog=_EPILOGUE,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", metavar="FILE", nargs="*", help="files of one machine, - for standard input (default: /var/log/wtmp*)")
    parser.add_argument("-f", "--file", metavar="DATABASE", help="write into this database")
    parser.add_argument("--failed", action="store_true", help="these are failed logins, as files called btmp are in any case")
    parser.add_argument("--all", action="store_true", help="keep changes of run level and clock too")
    parser.add_argument("--dry-run", action="store_true", help="write nothing, only say what would be done")
    parser.add_argument("-j", "--json", action="store_true", help="print the summary as JSON")
    parser.add_argument("--layout", metavar="NAME", help="take the files for ones of this layout, whatever they contain")
    parser.add_argument("--byte-order", choices=("little", "big"), help="take their numbers for ones of this byte order")
    return parser


def said(summary: Summary) -> str:
    """Return the summary for people."""
    counts = summary.counts
    added = [_number(counts.sessions, "session"), _number(counts.boots, "boot"), *([_number(counts.others, "other")] if counts.others else [])]
    if summary.failed:
        added = [_number(counts.sessions, "failed login")]
    would = "would " * summary.dry
    lines = [f"{summary.records:,} records: {would}{'add' if would else 'added'} {', '.join(added)}"]
    if counts.closed:
        lines[0] += f"; {would}{'close' if would else 'closed'} {counts.closed:,}"
    there = [
        (counts.duplicates, "imported before"),
        (counts.recognised, "recorded by others"),
        (summary.repeated, "records of an earlier file"),
    ]
    if any(number for number, _ in there):
        lines.append("already there: " + ", ".join(f"{number:,} {what}" for number, what in there if number))
    skipped = summary.skipped()
    if skipped:
        lines.append("skipped: " + ", ".join(f"{number:,} {reason}" for reason, number in sorted(skipped.items())) + _bytes(summary))
    if summary.unmatched:
        lines.append(f"logouts of nobody who had logged in: {summary.unmatched:,}")
    for source in summary.sources:
        if source.findings:
            found = ", ".join(f"{number:,} {kind}" for kind, number in source.findings.items())
            lines.append(f"findings: {found} (reasons to look, no proof: wtmpdb check {shlex.quote(source.name)})")
    if summary.first is not None and summary.last is not None:
        lines.append(f"from {times.full(summary.first // SECOND)} to {times.full(summary.last // SECOND)}")
    return "\n".join(lines)


def _number(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _bytes(summary: Summary) -> str:
    return f" ({summary.bytes_skipped:,} bytes)" if summary.bytes_skipped else ""


class _Bar:
    """A progress bar on standard error."""

    def __init__(self) -> None:
        try:
            from rich.console import Console  # noqa: PLC0415 - only for a terminal
            from rich.progress import Progress  # noqa: PLC0415
        except ImportError:  # a plain copy of the program, without what it depends on
            self._progress = None
            return
        self._progress = Progress(console=Console(stderr=True), transient=True)
        self._progress.start()
        self._task = self._progress.add_task("reading")
        self._what = "reading"

    def tell(self, what: str, done: int, total: int | None) -> None:
        """Show how far it is."""
        if self._progress is None:
            return
        if what != self._what:
            self._progress.reset(self._task, description=what)
            self._what = what
        self._progress.update(self._task, completed=done, total=total)

    def close(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
