# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb check`: look for signs of damage and tampering in old files."""

from __future__ import annotations

import os
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from json import dumps

from wtmpdb.entry import SECOND, now
from wtmpdb.errors import WtmpdbError, complain
from wtmpdb.legacy.errors import LegacyError
from wtmpdb.legacy.findings import INNOCENT, inspect
from wtmpdb.legacy.layouts import WTMPDB, choose
from wtmpdb.legacy.reader import open_file
from wtmpdb.listing.times import iso
from wtmpdb.text import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator, Sequence

    from wtmpdb.legacy.findings import Inspector
    from wtmpdb.legacy.reader import LegacyFile

EPILOGUE = """
It ends with 0 when nothing was found, with 1 when something was found or a file cannot be read. A finding is a reason to look, no proof.

Examples:
  wtmpdb check /var/log/wtmp*
  wtmpdb check --json wtmp.1.gz
  zcat wtmp.gz | wtmpdb check -
"""

_NUMBERS = ((2, "boots"), (7, "logins"), (8, "logouts"))


def run(words: Sequence[str], program: str) -> int:
    """Run the command."""
    parser = _parser(program)
    wishes = parser.parse_args(words)
    try:
        choose(wishes.layout, wishes.byte_order)
    except LegacyError as error:
        parser.error(f"{error} ({error.hint})")
    shown = _Json() if wishes.json else _Text(told=bool(wishes.layout))
    found = False
    for path in wishes.files:
        try:
            for piece in _checked(path, wishes, shown):
                print(piece)
            found |= shown.found
        except WtmpdbError as error:
            complain(f"{program}: {error}", error.hint)
            found = True
    for piece in shown.end():
        print(piece)
    return 1 if found else 0


def _parser(program: str) -> ArgumentParser:
    about = "Look for signs of damage and tampering in files such as /var/log/wtmp, of any system, compressed or not."
    parser = ArgumentParser(prog=program, description=about, epilog=EPILOGUE, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--byte-order", choices=("little", "big"), help="the byte order, where it is not to be found out")
    parser.add_argument("-j", "--json", action="store_true", help="print a JSON document")
    parser.add_argument("--layout", metavar="NAME", help="the layout, where it is not to be found out")
    parser.add_argument("files", metavar="FILE", nargs="+", help="a file; - is the standard input")
    return parser


def _checked(path: str, wishes: Namespace, shown: _Text | _Json) -> Iterator[str]:
    with open_file(path, wishes.layout, wishes.byte_order) as file:
        if file.layout is WTMPDB:
            raise LegacyError(f"{path}: is a database of wtmpdb, not an old file", hint="'sqlite3 FILE \"PRAGMA integrity_check\"' looks at one")
        yield from shown.pieces(file, inspect(file, now()))


class _Text:
    """Lines for people."""

    def __init__(self, *, told: bool) -> None:
        self.found = False
        self._told = told

    def pieces(self, file: LegacyFile, seen: Inspector) -> Iterator[str]:
        name = _name(file)
        self.found = bool(seen.counts)
        yield f"{name}: {_recognised(file, told=self._told)}"
        yield f"{name}: {', '.join(_numbers(seen))}"
        for finding in seen.findings:
            where = "" if finding.position is None else f"byte {finding.position}: "
            yield f"{name}: {finding.kind}: {where}{finding.what}{_window(finding.since, finding.until)}"
        kept = [finding.kind for finding in seen.findings]
        for kind, count in seen.counts.items():
            if count > kept.count(kind):
                yield f"{name}: {kind}: {count - kept.count(kind)} more"
        for kind in seen.counts:
            yield f"{name}: {kind} may be innocent: {INNOCENT[kind]}"
        if not seen.counts:
            yield f"{name}: nothing found"

    def end(self) -> Iterable[str]:
        return ()


class _Json:
    """The same for programs: one document."""

    def __init__(self) -> None:
        self.found = False
        self._before = ""

    def pieces(self, file: LegacyFile, seen: Inspector) -> Iterator[str]:
        from wtmpdb.legacy.findings import INNOCENT  # noqa: PLC0415

        self.found = bool(seen.counts)
        sure = file.sure
        shown = {
            "file": _name(file),
            "layout": file.layout.name,
            "byte_order": file.layout.order or None,
            "compression": file.compression or None,
            "valid": sure.valid,
            "rejected": sure.rejected,
            "runner_up": sure.runner_up and str(sure.runner_up),
            "runner_up_valid": sure.runner_up_valid,
            "records": seen.records,
            "types": {str(kind): count for kind, count in sorted(seen.types.items())},
            "skipped_bytes": file.skipped.bytes,
            "first_usec": seen.first,
            "last_usec": seen.last,
            "counts": seen.counts,
            "findings": [
                {
                    "kind": finding.kind,
                    "position": finding.position,
                    "since_usec": finding.since,
                    "until_usec": finding.until,
                    "what": finding.what,
                    "innocent": INNOCENT[finding.kind],
                }
                for finding in seen.findings
            ],
        }
        yield f"{self._before or '['}{dumps(shown)}"
        self._before = ","

    def end(self) -> Iterable[str]:
        return ("]",) if self._before else ("[]",)


def _name(file: LegacyFile) -> str:

    return store(os.fsencode(file.path))


def _recognised(file: LegacyFile, *, told: bool) -> str:
    """Say what layout a file has, and how sure that is; ``told`` says that the user did."""
    sure = file.sure
    if file.empty:
        return "empty"
    packed = f", {file.compression}" if file.compression else ""
    looked = sure.valid + sure.rejected
    next_best = f"next {sure.runner_up} with {sure.runner_up_valid}" if sure.runner_up else "no other fits"
    how = f"of the {looked} records looked at {sure.valid} are beyond doubt, {next_best}"
    return f"{file.layout}{packed}: {how if looked else 'as told' if told else 'nothing in it tells'}"


def _numbers(seen: Inspector) -> Iterator[str]:
    yield f"{seen.records} records"
    for kind, name in _NUMBERS:
        yield f"{seen.types.get(kind, 0)} {name}"
    if seen.first is not None and seen.last is not None:
        yield f"from {_time(seen.first)} to {_time(seen.last)}"


def _window(since: int | None, until: int | None) -> str:
    if since is None and until is None:
        return ""
    if since is None:
        return f", before {_time(until or 0)}"
    return f", after {_time(since)}" if until is None else f", between {_time(since)} and {_time(until)}"


def _time(at: int) -> str:

    try:
        return iso(at // SECOND)
    except (OverflowError, OSError, ValueError):
        return f"@{at // SECOND}"
