# SPDX-License-Identifier: BSD-2-Clause
"""Reading old login-accounting files of any layout, compressed or not, in bounded memory, from either end."""

from __future__ import annotations

import os
import stat
from itertools import repeat

from wtmpdb.legacy.compressed import LARGEST, Decompressed, compression_of, temporary, write_all
from wtmpdb.legacy.detect import SAMPLE, Sure, detect
from wtmpdb.legacy.errors import LegacyError, UnrecognisedError
from wtmpdb.legacy.fixed import FixedLayout
from wtmpdb.legacy.layouts import FREEBSD_LOG, UTMPDUMP, choose, native
from wtmpdb.legacy.record import SECOND, Chunk, Fields, Record
from wtmpdb.legacy.resync import MISALIGNED, TRUNCATED, WINDOW, Skipped, sift

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from wtmpdb.legacy.fixed import Layout

    Read = Callable[[int], bytes]

_BLOCK = 4 * WINDOW
_FIRST_RECORDS = 64


class LegacyFile:
    """An old file, open for reading.

    ``layout`` says how it is laid out and ``sure`` how sure that is, ``compression`` how it is compressed ("" where it is not), ``changed``
    when it was last changed (st_ctime, µs), ``empty`` whether there is nothing in it. ``skipped`` is what the pass that met most of it has left out.
    """

    def __init__(self, path: str, layout: str | None = None, byte_order: str | None = None, *, descriptor: int | None = None) -> None:
        """Open a file, ``-`` for the standard input; or take a descriptor, which is closed with it.

        Raises UnrecognisedError where the content is of no known layout, LegacyError where it cannot be read.
        """
        self.path = path
        self.skipped = Skipped()
        self._descriptor = _open(path) if descriptor is None else descriptor
        self._named = descriptor is None and path != "-"
        self._streams: list[Decompressed] = []
        try:
            status = os.fstat(self._descriptor)
            self.changed = status.st_ctime_ns // 1000
            self._seekable = stat.S_ISREG(status.st_mode)
            self._size = status.st_size if self._seekable else None
            self._waiting: tuple[bytes, Read] | None = None
            self._recognise(layout, byte_order)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        for stream in self._streams:
            stream.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def __iter__(self) -> Iterator[Record]:
        """Yield all records, oldest first."""
        for chunk in self.chunks():
            yield from map(Record, repeat(chunk), range(len(chunk.positions)), repeat(self.path))

    def forward(self) -> Iterator[list[tuple[Fields, int]]]:
        """Yield the records with their positions in bytes, oldest first, in chunks."""
        for chunk in self.chunks():
            yield list(zip(chunk.fields, chunk.positions, strict=True))

    def backward(self) -> Iterator[list[Fields]]:
        """Yield the records newest first, in chunks; from the end of the file where it allows that, else by way of a temporary file."""
        if self._size is not None and not self.compression and isinstance(self.layout, FixedLayout):
            return self._from_the_end(self.layout, self._size)
        return self._by_way_of_a_file()

    def chunks(self) -> Iterator[Chunk]:
        """Yield the records oldest first in chunks that know positions and bytes. A pipe can be read once only."""
        skipped = Skipped()
        for chunk in self._chunks(skipped):
            self._note(skipped)
            yield chunk
        self._note(skipped)

    def copy(self, descriptor: int) -> None:
        """Write the (decompressed) content of the file into another. A pipe can be read once only."""
        read = self._start()
        while data := read(_BLOCK):
            write_all(descriptor, data)

    def _chunks(self, skipped: Skipped) -> Iterator[Chunk]:
        if isinstance(self.layout, FixedLayout):
            yield from self._fixed(self.layout, self._start(), skipped)
        elif self.layout is FREEBSD_LOG:
            from wtmpdb.legacy import freebsd  # noqa: PLC0415 - each only for files of its kind

            yield from freebsd.chunks(self._start(), skipped)
        elif self.layout is UTMPDUMP:
            from wtmpdb.legacy import dump  # noqa: PLC0415

            yield from dump.chunks(self._start(), skipped)
        else:
            yield from self._database()
        for stream in self._streams:
            if stream.broken:
                skipped.add(stream.broken, 0)

    # Opening

    def _recognise(self, name: str | None, byte_order: str | None) -> None:
        layouts = choose(name, byte_order)
        head, self.compression = self._head()
        broken = next((stream.broken for stream in self._streams if stream.broken), "")
        self.empty = not head and not broken
        if self.empty or len(layouts) == 1:
            self.layout: Layout = native() if self.empty and len(layouts) > 1 else layouts[0]
            self.sure = Sure(self.layout)
            return
        samples = [head[:SAMPLE]]
        if self._size is not None and not self.compression and self._size > SAMPLE:
            samples += [os.pread(self._descriptor, SAMPLE, place) for place in (self._size // 2, max(SAMPLE, self._size - SAMPLE))]
        size = self._size if not self.compression else len(head) if len(head) < SAMPLE else None
        self.sure = detect(samples, layouts, size)
        if self.sure.layout is None and name and all(isinstance(layout, FixedLayout) for layout in layouts):
            self.sure.layout = layouts[0]  # the user knows better
        if self.sure.layout is None:
            raise UnrecognisedError(f"{self.path}: {broken or 'no login-accounting file of a known layout'}", hint="--layout NAME reads it as one")
        self.layout = self.sure.layout

    def _head(self) -> tuple[bytes, str]:
        read = self._plain()
        head = _at_least(read, b"", SAMPLE)
        kind = compression_of(head)
        if kind:
            read = self._decompressed(kind, head, read)
            head = _at_least(read, b"", SAMPLE)
        if not self._seekable:
            self._waiting = (head, read)
        return head, kind

    def _decompressed(self, kind: str, head: bytes, read: Read) -> Read:
        if self._seekable:
            read = self._plain()
            head = b""
        stream = Decompressed(self.path, kind, _Joined(head, read), self._descriptor if self._seekable else None)
        self._streams.append(stream)
        return stream.read

    def _plain(self) -> Read:
        if not self._seekable:
            return lambda size: self._checked(os.read, self._descriptor, size)
        place = 0

        def read(size: int) -> bytes:
            nonlocal place
            data = self._checked(os.pread, self._descriptor, min(size, max(0, (self._size or 0) - place)), place)
            place += len(data)
            return data

        return read

    def _checked(self, call: Callable[..., bytes], *arguments: int) -> bytes:
        try:
            return call(*arguments)
        except OSError as error:
            raise LegacyError(f"{self.path}: {error.strerror}") from error

    def _start(self) -> Read:
        """Return a reader of the (decompressed) content from its beginning."""
        if self._seekable:
            for stream in self._streams:
                stream.close()
            self._streams.clear()
            return self._decompressed(self.compression, b"", self._plain()) if self.compression else self._plain()
        if self._waiting is None:
            raise LegacyError(f"{self.path}: can be read only once")
        head, read = self._waiting
        self._waiting = None
        return _Joined(head, read)

    # Reading

    def _fixed(self, layout: FixedLayout, read: Read, skipped: Skipped) -> Iterator[Chunk]:
        size, base = layout.size, 0
        data = _at_least(read, b"", _BLOCK)
        if layout.signed(data):
            data, base = data[size:], size
        final = False
        while not final:
            data = _at_least(read, data, _BLOCK)
            final = len(data) < _BLOCK
            done = len(data) - len(data) % size
            if layout.evident(data, done) or not data.strip(b"\0"):
                if not final:
                    done -= size  # the last one may be cut off: the next block tells
                elif done < len(data):
                    skipped.add(TRUNCATED, len(data) - done)
                run = data[:done]
                if run:
                    yield Chunk(layout.decode, range(base, base + done, size), run, size)
            else:
                found, done = sift(layout, data, skipped, final=final)
                if found:
                    raws = [data[at : at + size] for at in found]
                    yield Chunk(layout.decode, [base + at for at in found], raws)
            data, base = data[done:], base + done

    def _from_the_end(self, layout: FixedLayout, end: int) -> Iterator[list[Fields]]:
        size, count, whole = layout.size, _FIRST_RECORDS, _BLOCK // layout.size
        skipped = Skipped()
        start, last = size if layout.signed(os.pread(self._descriptor, size, 0)) else 0, TRUNCATED
        while end > start:
            begin = max(start, end - count * size)
            data = self._block(begin, end)
            if (end - begin) % size == 0 and (layout.evident(data, len(data)) or not data.strip(b"\0")):
                yield layout.decode(data)[::-1]
                end = begin
            else:
                begin = max(start, end - _BLOCK)
                data = self._block(begin, end)
                synced = 0 if begin == start else _synced(layout, data)
                data = data[synced:]
                found, _ = sift(layout, data, skipped, final=True, rest=last)
                self._note(skipped)
                yield layout.decode(b"".join([data[at : at + size] for at in found]))[::-1]
                end = begin + synced
            last = MISALIGNED
            count = min(count * 4, whole)

    def _block(self, begin: int, end: int) -> bytes:
        data = b""
        while len(data) < end - begin:
            more = self._checked(os.pread, self._descriptor, end - begin - len(data), begin + len(data))
            if not more:
                raise LegacyError(f"{self.path}: was cut off while it was read")
            data += more
        return data

    def _by_way_of_a_file(self) -> Iterator[list[Fields]]:
        import marshal  # noqa: PLC0415 - not for files that can be read from their end

        places: list[tuple[int, int]] = []
        end = 0
        descriptor = temporary()
        try:
            for chunk in self.chunks():
                data = marshal.dumps(chunk.fields)
                write_all(descriptor, data)
                places.append((end, len(data)))
                end += len(data)
                if end > LARGEST:
                    raise LegacyError(f"{self.path}: needs more than {LARGEST >> 30} GiB of temporary space to be read from its end")
            while places:
                at, length = places.pop()
                fields: list[Fields] = marshal.loads(os.pread(descriptor, length, at))  # noqa: S302 - our own, in a nameless file
                yield fields[::-1]
        except OSError as error:
            raise LegacyError(f"{self.path}: temporary file: {error.strerror}") from error
        finally:
            os.close(descriptor)

    def _database(self) -> Iterator[Chunk]:
        from wtmpdb.legacy import database  # noqa: PLC0415 - only for databases

        if self._named and self._seekable and not self.compression:  # its journal lies beside it
            yield from database.chunks(self.path, self.path)
            return
        from tempfile import NamedTemporaryFile  # noqa: PLC0415

        with NamedTemporaryFile() as file:  # SQLite wants a name
            self.copy(file.fileno())
            yield from database.chunks(file.name, self.path)

    def _note(self, skipped: Skipped) -> None:
        """Keep the account of the pass that has met most: another may only have looked at the beginning."""
        if (skipped.bytes, len(skipped.reasons)) >= (self.skipped.bytes, len(self.skipped.reasons)):
            self.skipped = skipped


class _Joined:
    """A reader that gives first what was read already."""

    def __init__(self, head: bytes, read: Read) -> None:
        self._head = head
        self._read = read

    def __call__(self, size: int) -> bytes:
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._read(size)


def open_file(path: str, layout: str | None = None, byte_order: str | None = None) -> LegacyFile:
    """Open an old file, ``-`` for the standard input; ``layout`` and ``byte_order`` ("little", "big") overrule what its content says.

    Raises UnrecognisedError where the content is of no known layout, LegacyError where it cannot be read.
    """
    return LegacyFile(path, layout, byte_order)


def _open(path: str) -> int:
    try:
        return os.dup(0) if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise LegacyError(f"{path}: {error.strerror}") from error


def _at_least(read: Read, data: bytes, size: int) -> bytes:
    """Return the data with more after it, ``size`` bytes unless the end comes first."""
    parts, length = [data], len(data)
    while length < size and (more := read(size - length)):
        parts.append(more)
        length += len(more)
    return b"".join(parts) if len(parts) > 1 else data


def _synced(layout: FixedLayout, data: bytes) -> int:
    """Return where in a block the first record begins: a good one, best in step with the end."""
    size = layout.size
    phase = len(data) % size
    if phase + size <= len(data) and layout.valid(data, phase):
        return phase
    for place in layout.candidates(data, 0, min(WINDOW, len(data) - 2 * size)):
        if layout.valid(data, place) and layout.valid(data, place + size):
            return place
    return phase


__all__ = ["SECOND", "LegacyFile", "Skipped", "open_file"]
