# SPDX-License-Identifier: BSD-2-Clause
"""Finding the records among bytes that are damaged: stray bytes, records cut off, noise. No I/O.

A record that is doubtful stays where the records before and after it say that it belongs. Only where a run of good records begins out of step
are the bytes before it left out. So what `last` would read from an aligned file is read, whatever stands in its fields, and what
`last` loses after a stray byte is found again.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wtmpdb.legacy.fixed import FixedLayout

WINDOW = 1 << 16
"""How many bytes ahead a good record is looked for."""

MISALIGNED, IMPOSSIBLE, TRUNCATED = "out of step", "impossible fields", "cut off"


class Skipped:
    """What was left out: ``records`` that stood in their places but cannot be any, ``bytes`` altogether, how often for which of the ``reasons``."""

    __slots__ = ("bytes", "reasons", "records")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.records = 0
        self.bytes = 0
        self.reasons: dict[str, int] = {}

    def add(self, reason: str, size: int, records: int = 0) -> None:
        """Count bytes that were left out."""
        self.bytes += size
        self.records += records
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def __bool__(self) -> bool:
        """Tell whether anything was left out."""
        return bool(self.reasons)

    def __str__(self) -> str:
        """Return a word about it."""
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(self.reasons.items()))
        return f"{self.bytes} bytes skipped ({reasons})" if self.reasons else "nothing skipped"


def sift(layout: FixedLayout, data: bytes, skipped: Skipped, *, final: bool, rest: str = TRUNCATED) -> tuple[list[int], int]:
    """Return where the records are, and how many bytes are done with.

    Unless ``final``, the last bytes (`WINDOW` and a record) are left for a later call, which sees what follows; otherwise what is left over is
    counted as ``rest``.
    """
    size = layout.size
    limit = len(data) - size if final else len(data) - WINDOW - 2 * size
    found: list[int] = []
    at = 0
    while at <= limit:
        if _good(layout, data, at):
            found.append(at)
            at += size
            continue
        good = next_good(layout, data, at)
        stop = min(at + WINDOW, limit + 1) if good is None else good
        while at + size <= stop or (good is None and at < stop):
            _take(layout, data, at, found, skipped)
            at += size
        if good is not None and at < good:
            skipped.add(MISALIGNED, good - at)
            at = good
    if final and at < len(data):
        skipped.add(rest, len(data) - at)
        at = len(data)
    return found, at


def next_good(layout: FixedLayout, data: bytes, at: int) -> int | None:
    """Return where the next good record is after a doubtful one, or None where there is none within `WINDOW`.

    A record in step is taken at once. Noise may look like a record, but hardly in front of another: out of step, one that is followed by a
    good one is preferred to the first.
    """
    size = layout.size
    if at + 2 * size <= len(data) and _good(layout, data, at + size):
        return at + size
    end = min(at + WINDOW, len(data) - size + 1)
    first = None
    for place in layout.candidates(data, at + 1, end):
        if first is not None and place >= first + size:
            break
        if not layout.valid(data, place):
            continue
        if (place - at) % size == 0 or place + 2 * size > len(data) or _good(layout, data, place + size):
            return place
        if first is None:
            first = place
    return first


def is_blank(data: bytes, at: int, size: int) -> bool:
    """Tell whether a record is nothing but zeros."""
    return not data[at] and not data[at : at + size].strip(b"\0")


def _good(layout: FixedLayout, data: bytes, at: int) -> bool:
    return layout.valid(data, at) or is_blank(data, at, layout.size)


def _take(layout: FixedLayout, data: bytes, at: int, found: list[int], skipped: Skipped) -> None:
    if layout.sane(data, at):
        found.append(at)
    else:
        skipped.add(IMPOSSIBLE, layout.size, 1)
