# SPDX-License-Identifier: BSD-2-Clause
"""Tables for people: columns as wide as what stands in them, on the screen. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from wtmpdb.listing.printable import printable
from wtmpdb.text import restore

if TYPE_CHECKING:
    from collections.abc import Sequence


_WIDEST = 80  # a time and an IPv6 address take 76


def shown(stored: str | None) -> str:
    """Return the text of a column of the database so that it can be printed."""
    return printable(restore((stored or "").encode()))


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Return the text in so many cells of a screen, in which some characters take two and others none; what is longer stays."""
    gap = " " * (width - cell_len(text))
    return gap + text if right else text + gap


def columns(rows: Sequence[Sequence[str]], *, least: Sequence[int] = (), right: Sequence[int] = ()) -> list[str]:
    """Return a line for each row, two blanks between the columns; ``least`` are widths that are not undercut, ``right`` columns of numbers.

    A very long cell puts its own line out of step, and no other: strangers choose names.
    """
    widths = [max((width for width in map(cell_len, column) if width <= _WIDEST), default=0) for column in zip(*rows, strict=True)]
    widths = [max(width, floor) for width, floor in zip(widths, [*least, *[0] * len(widths)], strict=False)]
    return ["  ".join(padded(cell, widths[at], right=at in right) for at, cell in enumerate(row)).rstrip() for row in rows]
