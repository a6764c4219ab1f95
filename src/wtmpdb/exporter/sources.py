# SPDX-License-Identifier: BSD-2-Clause
"""Where the numbers come from. A source is whatever can be asked, anew at each scrape, who is on: the history of a machine, or a utmp file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from wtmpdb import spool
from wtmpdb.errors import LogError
from wtmpdb.exporter.failed import FailedTally
from wtmpdb.exporter.tally import Tally
from wtmpdb.log import DATABASE, FAILED
from wtmpdb.recorder import pulse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wtmpdb.live import Session
    from wtmpdb.system import System


class Reading:
    """What a source told at one scrape.

    ``sessions`` are those that are open now, ``booted`` when the machine was started (µs since the epoch). A source that is no history has no
    ``history``; ``failed`` is None where failed logins are not recorded or may not be read, ``size`` and ``waiting`` likewise; ``looked`` is
    when a recorder looked for letters (µs, 0 when none has since the boot), None where nobody can say.
    """

    __slots__ = ("booted", "failed", "history", "looked", "sessions", "size", "waiting")

    def __init__(self, sessions: Sequence[Session], booted: int | None) -> None:
        """Begin with what every source knows."""
        self.sessions = sessions
        self.booted = booted
        self.history: Tally | None = None
        self.failed: FailedTally | None = None
        self.size: int | None = None
        self.waiting: int | None = None
        self.looked: int | None = None


class Source(Protocol):
    """What the collector asks."""

    def read(self) -> Reading:
        """Return what is so now. Raises WtmpdbError when the source cannot be read."""


class Database:
    """The history in a database, and what lies beside it: failed logins, the spool."""

    def __init__(self, path: str | None = None, *, system: System | None = None) -> None:
        """Read the history at ``path``, by default that of this machine; the rest is where it is on this machine: beside it."""
        path = path or DATABASE
        self._is_home = path == DATABASE
        directory = os.path.dirname(os.path.abspath(path))
        self._tally = Tally(path, system)
        self._failed = FailedTally(os.path.join(directory, os.path.basename(FAILED)))
        self._letters = os.path.join(directory, os.path.basename(spool.SPOOL), "new")

    def read(self) -> Reading:
        """Return what is so now. Raises LogError when the history cannot be read."""
        tally = self._tally
        try:
            tally.update()
            size = os.stat(tally.path).st_size
        except OSError as error:  # it has gone at this moment
            raise LogError(f"{tally.path}: {error.strerror}") from error
        reading = Reading(tally.sessions, tally.boots()[-1].login if tally.boots() else None)
        reading.history = tally
        reading.size = size
        letters, reading.looked = (pulse.felt() if self._is_home else None) or (None, None)
        waiting = self._waiting()
        reading.waiting = letters if waiting is None else waiting
        try:
            self._failed.update()
            reading.failed = self._failed
        except (LogError, OSError):
            pass  # not recorded, or not for us to read
        return reading

    def _waiting(self) -> int | None:
        try:
            with os.scandir(self._letters) as found:
                return sum(1 for _ in found)
        except OSError:
            return None
