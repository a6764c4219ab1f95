# SPDX-License-Identifier: BSD-2-Clause
"""The recorder's pulse: a file that tells everybody how many letters wait, and by its age when a recorder has looked.

Only root may see the spool, so that metrics, which are gathered by somebody else, could not tell of a recorder that takes nothing any more. One
that has ended, or hangs, tells nothing: then the file grows old.
"""

from __future__ import annotations

import os
from itertools import islice

from wtmpdb.spool import MOST_NAMES, SPOOL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wtmpdb.event import Event
    from wtmpdb.log import Log
    from wtmpdb.recorder.loop import Loop

PULSE = "/run/wtmpdb/recorder"

EVERY = 10.0
"""Seconds between two beats of a recorder that stays."""


def beat(spool: str) -> None:
    """Tell how many letters wait; nothing for a spool that is not this machine's, or cannot be looked into. What goes wrong shows in the age."""
    if spool != SPOOL:
        return
    new = f"{PULSE}.new"
    try:
        with os.scandir(f"{spool}/new") as letters:
            waiting = sum(1 for _ in islice(letters, MOST_NAMES))
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644), "wb") as file:
            os.fchmod(file.fileno(), 0o644)  # whatever the umask
            file.write(b"%d\n" % waiting)
        os.rename(new, PULSE)
    except OSError:
        pass


def felt() -> tuple[int, int] | None:
    """Return how many letters waited, and when a recorder looked (µs since the epoch): (0, 0) when none has since the boot; None: unknown."""
    try:
        with open(PULSE, "rb") as file:
            return int(file.read(20)), os.fstat(file.fileno()).st_mtime_ns // 1000
    except FileNotFoundError:
        return (0, 0) if os.path.isdir(os.path.dirname(PULSE)) else None
    except (OSError, ValueError):
        return None


class Part:
    """The pulse of the resident recorder (`wtmpdb.recorder.server.Part`)."""

    def __init__(self, loop: Loop, spool: str) -> None:
        """Begin to tell."""
        self._loop = loop
        self._spool = spool
        self._beat()

    def applied(self, events: list[Event], log: Log) -> None:
        """Learn of a batch of letters; nothing follows from it."""

    def close(self) -> None:
        """Tell once more: the next start may be a while off."""
        beat(self._spool)

    def _beat(self) -> None:
        beat(self._spool)
        self._loop.after(EVERY, self._beat)
