# SPDX-License-Identifier: BSD-2-Clause
"""Many records at once: what counts where there are millions of them. No I/O."""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from wtmpdb.legacy.fixed import FixedLayout
    from wtmpdb.legacy.record import Fields


def is_plain(layout: FixedLayout) -> bool:
    """Tell whether a layout has exactly the fields of Linux, in their order: then many can be encoded quickly."""
    return layout._plain  # noqa: SLF001 - a friend of that module


def encode_all(layout: FixedLayout, records: Iterable[Fields]) -> bytes:
    """Return the records with these fields, one after the other. Raises ValueError for what the layout cannot hold."""
    if not is_plain(layout):
        return b"".join(map(layout.encode, records))
    pack = layout._struct.pack  # noqa: SLF001 - a friend of that module
    try:
        return b"".join(
            [
                pack(kind, pid, line, ident, user, host, termination, status, session, seconds, micros, address, b"")
                for kind, pid, line, ident, user, host, seconds, micros, address, session, termination, status in records
            ]
        )
    except struct.error as error:
        raise ValueError(f"{layout}: {error}") from error
