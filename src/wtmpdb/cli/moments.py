# SPDX-License-Identifier: BSD-2-Clause
"""``--since`` and ``--until`` of the commands that use argparse. Unlike in `last`, a time before 1970 is before all others, not behind them."""

from __future__ import annotations

import time
from argparse import ArgumentTypeError

from wtmpdb import timespec
from wtmpdb.entry import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LARGEST = 2**63 - 1


def since(text: str) -> int:
    """Return the time that is named, in µs since the epoch."""
    return _time(text)


def until(text: str) -> int:
    """Return the last moment of the second that is named, in µs since the epoch."""
    return min(_time(text) // SECOND * SECOND + SECOND - 1, _LARGEST - 1)  # the whole second, as in `last`


def _time(text: str) -> int:
    try:
        usec = timespec.parse(text, int(time.time()))
    except ValueError:
        raise ArgumentTypeError(f'invalid time value "{text}"') from None
    return usec if usec <= _LARGEST else usec - 2**64


def joined(words: Sequence[str]) -> Iterator[str]:
    """Yield the words, times with the options that they belong to: argparse takes the time -30days for an option."""
    rest = iter(words)
    for word in rest:
        takes = {"-s": "--since", "-t": "--until"}.get(word, word) if word in ("-s", "--since", "-t", "--until") else ""
        value = next(rest, None) if takes else None
        yield word if value is None else f"{takes}={value}"
