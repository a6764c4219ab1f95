# SPDX-License-Identifier: BSD-2-Clause
"""Values of labels: text that a user had a hand in, made harmless, and bounded in number."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from wtmpdb.text import cut, store

if TYPE_CHECKING:
    from collections.abc import Mapping

OTHER = "other"
"""The value that stands for all beyond the number that is allowed."""

_LONGEST = 256


def label(stored: bytes | None) -> str:
    """Return the text of a column as it stands there; bytes that should not stand there, which C can have written, as octal escapes."""
    # In what `store` returns each backslash begins an escape: the one for the backslash itself is taken back.
    return store(cut(stored or b"", _LONGEST)).replace("\\134", "\\")


def largest(counts: Mapping[str, int], most: int) -> dict[str, int]:
    """Return the largest of the counts, ``most`` at most, and the sum of all others as OTHER."""
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = dict(ranked[:most])
    if rest := sum(count for _, count in ranked[most:]):
        shown[OTHER] = shown.get(OTHER, 0) + rest
    return shown


class Places:
    """A bounded number of names for series that have to stay: whoever has a place keeps it, who comes when all are taken is OTHER."""

    def __init__(self, most: int) -> None:
        """Have ``most`` places."""
        self._most = most
        self._taken: dict[bytes, str] = {}

    def sums(self, counts: Mapping[bytes, int]) -> dict[str, int]:
        """Return the counts by the names to show. Free places go to the largest counts."""
        if len(self._taken) < self._most:
            newcomers = sorted((name for name in counts if name not in self._taken), key=lambda name: (-counts[name], name))
            for name in newcomers[: self._most - len(self._taken)]:
                self._taken[name] = label(name)
        found: Counter[str] = Counter()
        for name, count in counts.items():
            found[self._taken.get(name, OTHER)] += count
        return dict(found)


class Tallied(Counter[bytes]):
    """Counts by a text from outside. It keeps so many different ones that memory stays bounded, and counts the rest as OTHER."""

    MOST = 20_000

    def count(self, name: bytes, number: int = 1) -> None:
        """Count a name so many times."""
        self[name if name in self or len(self) < self.MOST else OTHER.encode()] += number
