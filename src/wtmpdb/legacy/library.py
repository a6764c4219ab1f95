# SPDX-License-Identifier: BSD-2-Clause
"""Old records for Python programmers: streaming, filtered, from files or from bytes; and the way back into bytes."""

from __future__ import annotations

import os

from wtmpdb.legacy import dump
from wtmpdb.legacy.errors import LegacyError
from wtmpdb.legacy.fixed import FixedLayout
from wtmpdb.legacy.layouts import FREEBSD_LOG, LAYOUTS, UTMPDUMP
from wtmpdb.legacy.reader import LegacyFile
from wtmpdb.legacy.record import SECOND, Fields, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from wtmpdb.errors import WtmpdbError
    from wtmpdb.legacy.fixed import Layout


class Reader:
    """The records of a file, oldest first, as often as it is iterated over; memory does not grow with the file.

    Keywords leave only records of a user, on a line, from a host, of some types (`wtmpdb.legacy.record`), since and until a time
    (µs since the epoch, UTC, both inclusive). ``layout`` and ``byte_order`` ("little", "big") overrule what the content says.
    Iterating raises `LegacyError` where the file cannot be read and `UnrecognisedError` where it is none of ours.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        layout: str | None = None,
        byte_order: str | None = None,
        user: str | None = None,
        line: str | None = None,
        host: str | None = None,
        types: Iterable[int] | None = None,
        since: int | None = None,
        until: int | None = None,
    ) -> None:
        """Remember what is wanted; the file is opened when the records are."""
        self.path = os.fspath(path)
        self._layout = layout
        self._byte_order = byte_order
        self._wanted = [(at, os.fsencode(text)) for at, text in ((4, user), (2, line), (5, host)) if text is not None]
        self._types = None if types is None else frozenset(types)
        self._since = since
        self._until = until

    def __iter__(self) -> Iterator[Record]:
        """Yield the records that are wanted."""
        with LegacyFile(self.path, self._layout, self._byte_order) as file:
            if self._is_plain():
                yield from file
                return
            for chunk in file.chunks():
                for nth, fields in enumerate(chunk.fields):
                    if self._wants(fields):
                        yield Record(chunk, nth, self.path)

    def _is_plain(self) -> bool:
        return not self._wanted and self._types is None and self._since is None and self._until is None

    def _wants(self, fields: Fields) -> bool:
        if self._types is not None and fields[0] not in self._types:
            return False
        if any(fields[at] != text for at, text in self._wanted):
            return False
        when = fields[6] * SECOND + fields[7]
        return (self._since is None or when >= self._since) and (self._until is None or when <= self._until)


read: Callable[..., Reader] = Reader
"""Return the records of a file: see `Reader`."""


def decode(data: bytes, layout: str | None = None, byte_order: str | None = None) -> list[Record]:
    """Return the records of a file that is in memory. Raises as `Reader` does."""
    descriptor = os.memfd_create("records", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as memory:
        memory.write(data)
        memory.flush()
        with LegacyFile("bytes", layout, byte_order, descriptor=os.dup(descriptor)) as file:
            return list(file)


def read_files(paths: Iterable[str | os.PathLike[str]]) -> tuple[list[Record], dict[str, WtmpdbError]]:
    """Return the records of several files in their order, and of every file that could not be read (to its end) the error, by its path."""
    records: list[Record] = []
    errors: dict[str, WtmpdbError] = {}
    for path in paths:
        try:
            records.extend(Reader(path))
        except LegacyError as error:
            errors[os.fspath(path)] = error
    return records, errors


def encode(layout: Layout | str, fields: Fields) -> bytes:
    """Return the bytes of a record in a layout (by its name, with byte order where there is one, as ``glibc-384-le``).

    Text that is too long is cut. Raises ValueError for what the layout cannot hold.
    """
    found = LAYOUTS.get(layout) if isinstance(layout, str) else layout
    if isinstance(found, FixedLayout):
        return found.encode(fields)
    if found is UTMPDUMP:
        return dump.write(fields)
    if found is FREEBSD_LOG:
        from wtmpdb.legacy import freebsd  # noqa: PLC0415 - rarely wanted

        return freebsd.encode(fields)
    raise ValueError(f"{layout}: no layout that records can be written in")
