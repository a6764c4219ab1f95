# SPDX-License-Identifier: BSD-2-Clause
"""FreeBSD's utx.log: records of struct futx without the zeros at their ends, each after its length in two bytes.

Source: FreeBSD lib/libc/gen/getutxent.c and pututxline.c. A length of zero is damage: one byte is passed over. A length beyond the record's is a
later version of it: the beginning is read. A logout carries only the id, so the line is that of the login with this id.
"""

from __future__ import annotations

from wtmpdb.legacy.layouts import FIXED
from wtmpdb.legacy.record import BOOT_TIME, DEAD_PROCESS, RUN_LVL, USER_PROCESS, Chunk, Fields
from wtmpdb.legacy.resync import MISALIGNED, TRUNCATED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wtmpdb.legacy.resync import Skipped

_RECORD = FIXED["freebsd-active-be"]
_BLOCK = 1 << 16
_LONGEST = 1024
_ID = slice(9, 17)
_TYPES = range(9)
_OPEN = 65536  # logins whose lines are kept in mind


def chunks(read: Callable[[int], bytes], skipped: Skipped) -> Iterator[Chunk]:
    """Yield the records; bytes that belong to none are counted."""
    lines: dict[bytes, bytes] = {}
    data, base, final = b"", 0, False
    while not final:
        block = read(_BLOCK)
        data, final = data + block, not block
        found, done = _walk(data, skipped, final=final)
        raws = [data[start:end] for start, end in found]
        if raws:
            yield Chunk([_decode(raw, lines) for raw in raws], [base + start for start, _ in found], raws)
        data, base = data[done:], base + done


def encode(fields: Fields) -> bytes:
    """Return a record with its length. Raises ValueError for what the layout cannot hold."""
    raw = _RECORD.encode(fields).rstrip(b"\0")
    return len(raw).to_bytes(2, "big") + raw


def share(data: bytes) -> tuple[int, int]:
    """Return how many records a sample holds that are beyond doubt, and how many bytes belong to them."""
    from wtmpdb.legacy.resync import Skipped  # noqa: PLC0415

    found, _ = _walk(data, Skipped(), final=False)
    good = [end - start for start, end in found if _RECORD.valid(_whole(data[start:end]))]
    return len(good), sum(good)


def _walk(data: bytes, skipped: Skipped, *, final: bool) -> tuple[list[tuple[int, int]], int]:
    found, at, lost = [], 0, 0
    while at + 2 <= len(data):
        size = data[at] << 8 | data[at + 1]
        if not 0 < size <= _LONGEST or (at + 2 < len(data) and data[at + 2] not in _TYPES):
            end = 0
        else:
            end = at + 2 + size
            if end > len(data) and not final:
                break
        if end and end <= len(data) and _RECORD.possible(_whole(data[at:end])):
            if lost:
                skipped.add(MISALIGNED, lost)
                lost = 0
            found.append((at, end))
            at = end
        else:
            at += 1
            lost += 1
    if final and at < len(data):
        lost += len(data) - at
        at = len(data)
    if lost:
        skipped.add(TRUNCATED if final else MISALIGNED, lost)
    return found, at


def _whole(raw: bytes) -> bytes:
    return raw[2 : 2 + _RECORD.size].ljust(_RECORD.size, b"\0")


def _decode(raw: bytes, lines: dict[bytes, bytes]) -> Fields:
    whole = _whole(raw)
    fields = _RECORD.decode(whole)[0]
    kind, ident = fields[0], whole[_ID]
    if kind == USER_PROCESS:
        if len(lines) >= _OPEN:
            del lines[next(iter(lines))]
        lines[ident] = fields[2]
    elif kind == DEAD_PROCESS and not fields[2]:
        return (*fields[:2], lines.pop(ident, b""), *fields[3:])
    elif kind == BOOT_TIME or (kind == RUN_LVL and fields[4] == b"shutdown"):
        lines.clear()
    return fields
