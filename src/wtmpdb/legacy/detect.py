# SPDX-License-Identifier: BSD-2-Clause
"""Of which layout a file is, by its content; neither its size nor its name says it. No I/O.

Signatures first. Then every layout counts the records of a sample that are beyond doubt (`FixedLayout.valid`): on real files, damaged ones
too, the right layout has many and the others none, where an average over all records is misled by a few bad ones. What counts is the
number of bytes that they cover, because small records fit by chance into large ones.
"""

from __future__ import annotations

from wtmpdb.legacy import dump
from wtmpdb.legacy.fixed import TYPELESS, FixedLayout
from wtmpdb.legacy.layouts import FIXED, FREEBSD_LOG, UTMPDUMP, WTMPDB, native
from wtmpdb.legacy.resync import is_blank, next_good

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wtmpdb.legacy.fixed import Layout

SAMPLE = 1 << 16
"""Bytes of a sample."""

_FIRST = 16  # records that are enough where they agree
_YEAR = 366 * 86400
_SQLITE = b"SQLite format 3\0"


class Sure:
    """How sure a layout is; ``layout`` is None where none fits.

    Of the records that were looked at ``valid`` are beyond doubt and ``rejected`` are not; the ``runner_up`` has ``runner_up_valid``.
    """

    __slots__ = ("layout", "rejected", "runner_up", "runner_up_valid", "valid")

    def __init__(self, layout: Layout | None, valid: int = 0, rejected: int = 0, runner_up: Layout | None = None, runner_up_valid: int = 0) -> None:
        """Keep the numbers."""
        self.layout = layout
        self.valid = valid
        self.rejected = rejected
        self.runner_up = runner_up
        self.runner_up_valid = runner_up_valid

    def __str__(self) -> str:
        """Return it in words."""
        if self.layout is None:
            return "not recognised"
        after = f"{self.runner_up} {self.runner_up_valid}" if self.runner_up else "none"
        return f"{self.layout}: {self.valid} of {self.valid + self.rejected} records beyond doubt; next: {after}"


def detect(samples: Sequence[bytes], layouts: Sequence[Layout], size: int | None = None) -> Sure:
    """Tell of which of the layouts a file is, from its beginning and perhaps other parts, and its size where that is known."""
    head = samples[0]
    if head.startswith(_SQLITE):
        return Sure(WTMPDB if WTMPDB in layouts else None, 1)
    fixed = [layout for layout in layouts if isinstance(layout, FixedLayout)]
    signed = [layout for layout in fixed if layout.signed(head)]
    fixed = signed or fixed
    return (
        _by_text(head, layouts)
        or (None if signed else _by_first_records(head, fixed))
        or _by_lengths(head, layouts)
        or _by_all(samples, fixed, size)
        or _by_numbers(head, fixed)
        or Sure(_blank(head, fixed))
    )


def _by_text(head: bytes, layouts: Sequence[Layout]) -> Sure | None:
    if UTMPDUMP not in layouts or b"] [" not in head:
        return None
    good, bad = dump.share(head)
    return Sure(UTMPDUMP, good, bad) if good and good >= bad else None


def _by_first_records(head: bytes, fixed: Sequence[FixedLayout]) -> Sure | None:
    """Return the only layout that the first records are of."""
    found = None
    for layout in fixed:
        good = bad = 0
        for at in range(0, min(len(head) - layout.size + 1, _FIRST * layout.size), layout.size):
            if layout.valid(head, at):
                good += 1
            elif not is_blank(head, at, layout.size):
                bad += 1
        if good:
            if found or good < 3 * bad or _is_typeless(layout):
                return None
            found = Sure(layout, good, bad)
    return found


def _by_lengths(head: bytes, layouts: Sequence[Layout]) -> Sure | None:
    if FREEBSD_LOG not in layouts:
        return None
    from wtmpdb.legacy import freebsd  # noqa: PLC0415 - on the way of `last` only where nothing simpler fits

    good, covered = freebsd.share(head)
    return Sure(FREEBSD_LOG, good) if good and 2 * covered >= len(head) else None


def _by_all(samples: Sequence[bytes], fixed: Sequence[FixedLayout], size: int | None) -> Sure | None:
    """Return the layout that covers most and leaves out least, looking for its records wherever they begin."""
    ranks = []
    for nth, layout in enumerate(fixed):
        good, bad, unrest = map(sum, zip(*(_count(layout, sample) for sample in samples), strict=True))
        if good and (good > 2 * bad or not _is_typeless(layout)):
            whole = size is not None and size % layout.size == 0
            ranks.append((((good - bad - unrest) * layout.size, whole, -bad, -nth), layout, good, bad))
    ranks.sort(key=lambda rank: rank[0], reverse=True)
    if not ranks:
        return None
    _, layout, good, bad = ranks[0]
    return Sure(layout, good, bad, *((ranks[1][1], ranks[1][2]) if len(ranks) > 1 else ()))


def _by_numbers(head: bytes, fixed: Sequence[FixedLayout]) -> Sure | None:
    """Return the layout whose numbers are possible in most of the first records, whatever the texts are."""
    best = None
    for layout in fixed:
        places = range(0, min(len(head) - layout.size + 1, 64 * layout.size), layout.size)
        good = sum(layout.possible(head, at) for at in places)
        bad = sum(not is_blank(head, at, layout.size) for at in places) - good
        if good > bad and (best is None or good * layout.size > best.valid * getattr(best.layout, "size", 1)):
            best = Sure(layout, good, bad)
    return best


def _blank(head: bytes, fixed: Sequence[FixedLayout]) -> FixedLayout | None:
    """Return this machine's layout for a file that says nothing at all."""
    if not head or head.strip(b"\0"):
        return None
    return native() if native() in fixed or not fixed else fixed[0]


def _count(layout: FixedLayout, data: bytes) -> tuple[int, int, int]:
    """Return how many records are beyond doubt, how many are not, and how often the time jumps by a year, as it does in the wrong byte order."""
    good = bad = at = unrest = last = 0
    while at + layout.size <= len(data):
        if layout.valid(data, at):
            good += 1
            seconds = layout.seconds(data, at)
            unrest += abs(seconds - (last or seconds)) > _YEAR
            last = seconds
        elif not is_blank(data, at, layout.size):
            after = next_good(layout, data, at)
            if after is None:
                return good, bad + (len(data) - at) // layout.size, unrest
            bad += max(1, (after - at) // layout.size)
            at = after
            continue
        at += layout.size
    return good, bad, unrest


def _is_typeless(layout: FixedLayout) -> bool:
    return layout.kinds is TYPELESS


__all__ = ["FIXED", "SAMPLE", "Sure", "detect"]
