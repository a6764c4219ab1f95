# SPDX-License-Identifier: BSD-2-Clause
"""Listing one old file, as `last -f` and `lastb -f` of util-linux do."""

from __future__ import annotations

import os
from stat import S_ISDIR, S_ISREG

from wtmpdb.entry import SECOND
from wtmpdb.errors import complain
from wtmpdb.legacy.compressed import LARGEST, temporary, write_all
from wtmpdb.legacy.errors import LegacyError, UnrecognisedError
from wtmpdb.legacy.layouts import native
from wtmpdb.legacy.pairing import Backward, moment
from wtmpdb.legacy.phantom import Phantoms
from wtmpdb.legacy.reader import LegacyFile, open_file
from wtmpdb.listing import times
from wtmpdb.listing.old import OldListing, for_machine
from wtmpdb.listing.text import ISO
from wtmpdb.system import System

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.cli.choice import Choice, Wishes
    from wtmpdb.entry import Line

_MOST_NAMED = 5
_BLOCK = 1 << 18


class OldFile:
    """A file of records, opened for a listing; ``failed`` says that these are failed logins."""

    def __init__(self, path: str, wishes: Wishes, program: str, now: int, *, failed: bool) -> None:
        """Open the file, read at ``now`` (seconds since the epoch); raises LegacyError."""
        self._path = path
        self._wishes = wishes
        self._program = program
        self._failed = failed
        times_asked = wishes.times
        self._pairing = Backward(Phantoms(System()), now, since=times_asked["since"], until=times_asked["until"], system="system" in wishes.flags)
        self.listing = OldListing(wishes.style, now)
        try:
            self._file = _opened(path, wishes)
        except LegacyError as error:
            raise LegacyError(f"cannot open {error}", error.hint) from error
        except OSError as error:
            raise LegacyError(f"cannot open {path}: {error.strerror}") from error

    def close(self) -> None:
        """Close the file; say what in it was left out."""
        self._file.close()
        self._complain()

    def lines(self, choice: Choice) -> Iterator[list[Line]]:
        """Yield the lines that are asked for."""
        pair = self._pairing.attempts if self._failed else self._pairing.lines
        chunks = choice.of(pair(self._file.backward()), old=True)
        if self._wishes.flags & {"dns", "ip"}:
            chunks = self._with_addresses(chunks)
        return ([for_machine(line) for line in lines] for lines in chunks) if self._wishes.json else chunks

    def _with_addresses(self, chunks: Iterator[list[Line]]) -> Iterator[list[Line]]:
        from wtmpdb.listing.addresses import Addresses, numeric  # noqa: PLC0415 - costs an import of socket

        addresses = None if "ip" in self._wishes.flags else Addresses(names=True)
        for chunk in chunks:
            lines: list[Line] = []
            for line in chunk:
                shown = numeric(line[4] or b"") or line[3] or b""
                lines.append((*line[:3], addresses.name(shown) if addresses else shown, *line[4:]))
            yield lines
        if addresses and addresses.late:
            complain(f"{self._program}: looking up hosts took too long: some are shown as addresses")

    def begins(self) -> int:
        """Return the time of the first record, of a file without any its last change, in µs since the epoch."""
        for records in self._file.forward():
            for fields, _ in records:
                return moment(fields[6], fields[7])
        return self._file.changed

    def number_counted(self) -> int:
        """Return how many failed logins are only counted: old files list all."""
        return 0

    def trailer(self) -> bytes:
        """Return the last line; the name of the file stands there as it is, as in util-linux."""
        form = times.iso if self._wishes.time_format == ISO else times.full
        return os.fsencode(os.path.basename(self._path)) + f" begins {form(self.begins() // SECOND)}\n".encode()

    def _complain(self) -> None:
        unknown = self._pairing.unknown
        if unknown:
            named = ", ".join(map(str, sorted(unknown)[:_MOST_NAMED])) + (" …" if len(unknown) > _MOST_NAMED else "")
            complain(f"{self._program}: {self._path}: records of unknown type are not listed: {sum(unknown.values())} ({named})")
        skipped = self._file.skipped
        if skipped.bytes:
            complain(f"{self._program}: {self._path}: bytes that are no records were skipped: {skipped.bytes}")


def _opened(path: str, wishes: Wishes) -> LegacyFile:
    name = path if path != "-" else "./-"  # a file of this name, as in util-linux
    kind = os.stat(name).st_mode
    if S_ISREG(kind) or S_ISDIR(kind):
        return opened(name, wishes.layout, wishes.byte_order)
    return _by_way_of_a_file(name, wishes)


def opened(path: str, layout: str | None, byte_order: str | None) -> LegacyFile:
    """Open an old file; one that is too short for any record is as good as empty. Raises LegacyError."""
    try:
        return open_file(path, layout, byte_order)
    except UnrecognisedError:
        found = os.stat(path)
        if layout or not S_ISREG(found.st_mode) or found.st_size >= native().size:
            raise
        return open_file(path, str(native()))


def _by_way_of_a_file(path: str, wishes: Wishes) -> LegacyFile:
    """Open what can be read only once, such as a pipe: a listing begins with its end and ends with its beginning."""
    descriptor = temporary()
    name = f"/proc/self/fd/{descriptor}"
    try:
        left = LARGEST
        with open(path, "rb", buffering=0) as pipe:
            while left > 0 and (data := pipe.read(_BLOCK)):
                write_all(descriptor, data)
                left -= len(data)
        return open_file(name, wishes.layout, wishes.byte_order)
    except LegacyError as error:
        raise type(error)(str(error).replace(name, path, 1), error.hint) from error
    finally:
        os.close(descriptor)
