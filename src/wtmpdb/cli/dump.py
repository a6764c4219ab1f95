# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb dump`: the records of an old file as text, and back, as util-linux's `utmpdump` does."""

from __future__ import annotations

import os
import time
from itertools import islice

from wtmpdb.cli.output import Output
from wtmpdb.errors import complain
from wtmpdb.legacy import dump
from wtmpdb.legacy.errors import LegacyError
from wtmpdb.legacy.fixed import FixedLayout
from wtmpdb.legacy.layouts import choose, native
from wtmpdb.legacy.reader import open_file
from wtmpdb.text import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

    from wtmpdb.legacy.reader import LegacyFile
    from wtmpdb.legacy.record import Fields

EPILOGUE = """
Examples:
  wtmpdb dump /var/log/wtmp                        every record, as text
  wtmpdb dump /var/log/wtmp | sed /alice/d | wtmpdb dump -r -o wtmp.new
                                                   the same file without alice's
  wtmpdb dump -f /var/log/wtmp                     the last ten records, and each new one
  wtmpdb dump -r --layout glibc-400 text -o wtmp   a file for another kind of machine
"""

_FIRST = 10
_AT_ONCE = 1024
_PAUSE = 0.5  # seconds between two looks at a file that is followed
_MOST_NAMED = 5
_SHOWN = 60  # bytes of a line that is no record


def run(words: Sequence[str], program: str) -> int:
    """Run the command."""
    from argparse import ArgumentParser, RawDescriptionHelpFormatter  # noqa: PLC0415

    parser = ArgumentParser(
        prog=program,
        description="Print the records of an old file as text, one a line; or make such a file of text.",
        epilog=EPILOGUE,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", nargs="?", default="-", help="what to read (default: the standard input)")
    parser.add_argument("-f", "--follow", action="store_true", help="print the last ten records, and each one that is added")
    parser.add_argument("-o", "--output", metavar="FILE", help="write into this file")
    parser.add_argument("-r", "--reverse", action="store_true", help="make records of text")
    parser.add_argument("--layout", metavar="NAME", help="the layout of the records")
    parser.add_argument("--byte-order", metavar="ORDER", choices=("little", "big"), help="their byte order, little or big")
    wishes = parser.parse_args(words)
    if wishes.follow and (wishes.reverse or wishes.file == "-"):
        parser.error("--follow needs a file of records")
    act = _reverse if wishes.reverse else _follow if wishes.follow else _dump
    if wishes.follow and wishes.output is not None:  # it never ends: what is there is to be seen
        with open(wishes.output, "wb", buffering=0) as file:
            act(wishes, program, file.write)
        return 0
    with Output(wishes.output, spare=wishes.file) as output:
        act(wishes, program, output.write)
    return 0


# Records to text


def _dump(wishes: Namespace, program: str, write: Callable[[bytes], object]) -> None:
    with open_file(wishes.file, wishes.layout, wishes.byte_order) as file:
        for chunk in file.chunks():
            write(_text(chunk.fields))
        if file.skipped:
            complain(f"{program}: {wishes.file}: {file.skipped}")


def _follow(wishes: Namespace, program: str, write: Callable[[bytes], object]) -> None:  # noqa: ARG001 - as the others
    with open_file(wishes.file, wishes.layout, wishes.byte_order) as file:
        layout = file.layout
        if not isinstance(layout, FixedLayout) or file.compression:
            raise LegacyError(f"{wishes.file}: cannot be followed")
        with open(wishes.file, "rb") as growing:
            end = growing.seek(0, os.SEEK_END)
            write(_text(_newest(file)[::-1]))
            for data in _added(growing, end, layout.size):
                write(_text(layout.decode(data)))


def _newest(file: LegacyFile) -> list[Fields]:
    return next((chunk[:_FIRST] for chunk in file.backward()), [])


def _added(file: BinaryIO, place: int, size: int) -> Iterator[bytes]:
    """Yield what is added to a file, in whole records, for ever; a file that was cut short is followed from its new end."""
    while True:
        end = os.fstat(file.fileno()).st_size
        place = min(place, end)
        whole = (end - place) // size * size
        if whole:
            file.seek(place)
            data = file.read(whole)
            place += len(data)
            yield data
        else:
            time.sleep(_PAUSE)


def _text(records: Sequence[Fields]) -> bytes:
    return b"".join(map(dump.write, records))


# Text to records


def _reverse(wishes: Namespace, program: str, write: Callable[[bytes], object]) -> None:
    layout = native()
    if wishes.layout or wishes.byte_order:
        found = choose(wishes.layout or layout.name, wishes.byte_order)
        chosen = next((one for one in found if one.order == layout.order), found[0])
        if not isinstance(chosen, FixedLayout):
            raise LegacyError(f"{chosen}: cannot be written")
        layout = chosen
    with open(0 if wishes.file == "-" else wishes.file, "rb", closefd=wishes.file != "-") as text:
        records = _records(text, layout, f"{program}: {wishes.file}")
        while data := b"".join(islice(records, _AT_ONCE)):
            write(data)


def _records(text: BinaryIO, layout: FixedLayout, where: str) -> Iterator[bytes]:
    bad = 0
    for line in iter(lambda: text.readline(dump.LONGEST), b""):
        try:
            yield layout.encode(dump.parse(line))
        except ValueError as error:
            bad += 1
            if bad <= _MOST_NAMED:
                complain(f"{where}: no record: {store(line[:_SHOWN].rstrip())} ({error})")
    if bad > _MOST_NAMED:
        complain(f"{where}: {bad} lines are no records")
