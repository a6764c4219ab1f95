# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb export`: the history as a file of old, as JSON or as a table."""

from __future__ import annotations

import os
from argparse import ArgumentParser, RawDescriptionHelpFormatter

from wtmpdb.cli.moments import joined, since, until
from wtmpdb.cli.output import Output
from wtmpdb.cli.system_events import take_letters
from wtmpdb.errors import WtmpdbError, complain
from wtmpdb.history import History
from wtmpdb.legacy.errors import LegacyError
from wtmpdb.legacy.exporting import Form, Records
from wtmpdb.listing.machine import document
from wtmpdb.listing.table import values
from wtmpdb.listing.text import ISO
from wtmpdb.log import DATABASE, Log
from wtmpdb.system import System

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

EPILOGUE = """
Examples:
  wtmpdb export -o wtmp                            a wtmp file as programs of this machine read it
  wtmpdb export --layout glibc-400 -o wtmp         the same with 64-bit times, as on aarch64
  wtmpdb export --format utmpdump                  as text
  wtmpdb export --format csv -s -30days -o 30.csv  the last thirty days as a table
  wtmpdb export --format json | jq                 what 'wtmpdb last --json' prints
"""

_HINT = "choose a layout with 64-bit times: --layout glibc-400"

# What a file of old could not take as it is, of one, of several, and how it went on; in the order in which it is told. The last three make the exit
# status 1.
_SAID = {
    "users": ("user was", "users were", "cut, being longer than the layout's"),
    "hosts": ("host was", "hosts were", "cut, being longer than the layout's"),
    "renamed": ("session was", "sessions were", "put on a line of another name (such as ssh:2), since others overlap there, or since it was cut"),
    "lines": ("session without a terminal was", "sessions without a terminal were", "put on the line ?"),
    "beyond": ("session that lasted beyond a shutdown or a boot has", "sessions that lasted beyond a shutdown or a boot have", "no logout"),
    "late": ("time lies", "times lie", "after 2038-01-19: programs built for the C library before 2.40 misread that"),
    "kinds": ("record of a kind that the layout has not was", "records of a kind that the layout has not were", "left out"),
    "nameless": ("session without a user was", "sessions without a user were", "left out"),
    "times": ("time that the layout cannot hold was", "times that the layout cannot hold were", "left out"),
}
_LEFT_OUT = ("kinds", "nameless", "times")


def run(words: Sequence[str], program: str) -> int:
    """Run the command."""
    parser = _parser(program)
    wishes = parser.parse_args(list(joined(words)))
    form = _form(parser, wishes)
    if wishes.file is None and os.geteuid() == 0:
        take_letters(None, program)
    path = DATABASE if wishes.file is None else wishes.file
    with Log.read(path) as log, Output(wishes.output, spare=path) as output:
        if form is None:
            for piece in _listed(log, wishes):
                output.write(piece)
            return 0
        if wishes.format == "wtmp" and output.is_terminal:
            raise WtmpdbError("records are not for a terminal", "-o FILE, or --format utmpdump")
        records = Records(form)
        for piece in records.encoded(log, wishes.since, wishes.until):
            output.write(piece)
    return _told(records, program)


def _parser(program: str) -> ArgumentParser:
    about = "Write the history as a file of old, for tools that still need one, as JSON or as a table."
    parser = ArgumentParser(prog=program, description=about, epilog=EPILOGUE, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--byte-order", choices=("little", "big"), help="of the records (default: this machine's)")
    parser.add_argument("-f", "--file", metavar="FILE", help="read this database")
    parser.add_argument("--format", choices=("wtmp", "utmpdump", "json", "csv"), default="wtmp", help="what to write (default: wtmp)")
    parser.add_argument("--layout", metavar="NAME", help="of the records (default: that of the C library of this machine)")
    parser.add_argument("-o", "--output", metavar="FILE", help="write into this file instead of to the standard output")
    parser.add_argument("-s", "--since", metavar="TIME", type=since, help="only what began at this time or later")
    parser.add_argument("-t", "--until", metavar="TIME", type=until, help="only what began at this time or before")
    return parser


def _form(parser: ArgumentParser, wishes: Namespace) -> Form | None:
    """Return what records to write, None for a listing."""
    if wishes.format != "wtmp" and (wishes.layout or wishes.byte_order):
        parser.error(f"--layout and --byte-order do not go with --format {wishes.format}")
    if wishes.format != "wtmp":
        return Form.text() if wishes.format == "utmpdump" else None
    try:
        return Form.named(wishes.layout, wishes.byte_order)
    except LegacyError as error:
        parser.error(f"{error} ({error.hint})")


def _listed(log: Log, wishes: Namespace) -> Iterator[bytes]:
    history = History(log, System(), at_home=None if wishes.file else True)
    lines = history.lines(log.rows(wishes.since, wishes.until))
    if wishes.format == "csv":
        return values(lines)
    begins = log.begins()
    return document(lines, ISO, os.stat(log.path).st_ctime_ns // 1000 if begins is None else begins)


def _told(records: Records, program: str) -> int:
    """Say what was said otherwise, and what was left out."""
    for what, (one, several, how) in _SAID.items():
        count = records.changed.get(what, 0)
        if count:
            complain(f"{program}: {count} {one if count == 1 else several} {how}", _HINT if what in ("late", "times") else "")
    return 1 if any(records.changed.get(what) for what in _LEFT_OUT) else 0
