# SPDX-License-Identifier: BSD-2-Clause
"""Listing databases: that of this machine, or files."""

from __future__ import annotations

import os

from wtmpdb.entry import SECOND, EntryType
from wtmpdb.errors import LogError, NoLogError, complain
from wtmpdb.history import History
from wtmpdb.home import history, take_letters
from wtmpdb.listing.text import SHORT, TextListing, trailer
from wtmpdb.log import DATABASE, Log
from wtmpdb.system import System
from wtmpdb.text import restore, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.cli.choice import Choice, Wishes
    from wtmpdb.entry import Line

_MERGED_AT_ONCE = 512
_OLD_FILE = "/var/log/wtmp"


def home(wishes: Wishes, program: str) -> Databases:
    """Open the database of this machine, once what waits in the spool is in it."""
    take_letters(program)
    return Databases([DATABASE], wishes, program)


class Databases:
    """Databases, merged by time."""

    def __init__(self, paths: list[str], wishes: Wishes, program: str) -> None:
        """Open all; raises LogError."""
        self._wishes = wishes
        self._program = program
        self._logs: list[Log] = []
        self.listing = TextListing(wishes.style)
        for path in paths:
            try:
                self._logs.append(self._open(path))
            except LogError as error:
                self.close()
                raise LogError(f"cannot open {error}", self._hint(error) or error.hint) from error

    def _open(self, path: str) -> Log:
        return Log.read(path) if self._wishes.files else history(path)

    def _hint(self, error: LogError) -> str:
        return self._nothing_yet() if isinstance(error, NoLogError) and not self._wishes.files else ""

    def _nothing_yet(self) -> str:
        hint = "nothing has been recorded yet"
        try:
            if os.path.getsize(_OLD_FILE):
                hint += f"; the history of before is in {_OLD_FILE}, to be read with -f"
        except OSError:
            pass
        return hint

    def close(self) -> None:
        """Close all."""
        for log in self._logs:
            log.close()

    def lines(self, choice: Choice) -> Iterator[list[Line]]:
        """Yield the lines that are asked for."""
        streams = [self._lines(log) for log in self._logs]
        chunks = choice.of(streams[0] if len(streams) == 1 else _merged(streams))
        flags = self._wishes.flags
        return _with_addresses(chunks, self._program, names="ip" not in flags) if flags & {"dns", "ip"} else chunks

    def _lines(self, log: Log) -> Iterator[list[Line]]:
        since, until = self._bounds()
        history = History(log, System(), at_home=None if self._wishes.files else True)
        rows = log.rows(since, until)
        return history.lines_with_shutdowns(rows, since, until) if "system" in self._wishes.flags else history.lines(rows)

    def _bounds(self) -> tuple[int | None, int | None]:
        """Return --since and --until in µs, as the first and the last moment that count."""
        since, until = self._wishes.times["since"], self._wishes.times["until"]
        largest = 2**63 - 1
        return (min(since * SECOND, largest) if since else None, min(until * SECOND + SECOND - 1, largest - 1) if until else None)

    def begins(self) -> int:
        """Return when the earliest begins, in µs since the epoch."""
        return min(map(_begins, self._logs))

    def number_counted(self) -> int:
        """Return how many failed logins are only counted: none in a history of sessions."""
        return 0

    def trailer(self) -> bytes:
        """Return the last lines of a listing, one for each file."""
        form = self._wishes.time_format or SHORT
        return b"".join(trailer(os.fsencode(os.path.basename(log.path)), _begins(log), form) for log in self._logs)


def _begins(log: Log) -> int:
    begins = log.begins()
    return os.stat(log.path).st_ctime_ns // 1000 if begins is None else begins


def _merged(streams: list[Iterator[list[Line]]]) -> Iterator[list[Line]]:
    """Merge by time, newest first."""
    from heapq import merge  # noqa: PLC0415 - seldom
    from itertools import islice  # noqa: PLC0415

    lines = merge(*((line for chunk in stream for line in chunk) for stream in streams), key=lambda line: -line[5])
    while chunk := list(islice(lines, _MERGED_AT_ONCE)):
        yield chunk


def _with_addresses(chunks: Iterator[list[Line]], program: str, *, names: bool) -> Iterator[list[Line]]:
    from wtmpdb.listing.addresses import NO_ADDRESS, Addresses  # noqa: PLC0415 - costs an import of socket

    addresses = Addresses(names=names)
    for chunk in chunks:
        yield [
            (*line[:3], store(addresses.of(restore(line[3] or b""))).encode() if line[8] == EntryType.USER_PROCESS else NO_ADDRESS, *line[4:])
            for line in chunk
        ]
    if addresses.late:
        complain(f"{program}: looking up hosts took too long: some are shown as recorded")
