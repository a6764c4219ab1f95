# SPDX-License-Identifier: BSD-2-Clause
"""Where the numbers come from: the history of this machine, or a utmp file. Each is asked anew at each scrape."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from wtmpdb import spool
from wtmpdb.errors import LogError, WtmpdbError
from wtmpdb.exporter.failed import FailedTally
from wtmpdb.exporter.tally import Tally
from wtmpdb.legacy.analysis import live_users
from wtmpdb.legacy.reader import open_file
from wtmpdb.legacy.record import BOOT_TIME
from wtmpdb.live import Session
from wtmpdb.log import DATABASE, FAILED
from wtmpdb.text import store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wtmpdb.legacy.reader import LegacyFile
    from wtmpdb.legacy.record import Record
    from wtmpdb.system import System


class Reading:
    """What a source told at one scrape.

    ``sessions`` are those that are open now, ``booted`` when the machine was started (µs since the epoch). A source that is no history has no
    ``history``; ``failed`` is None where failed logins are not recorded or may not be read, ``size`` and ``waiting`` likewise.
    """

    __slots__ = ("booted", "failed", "history", "sessions", "size", "waiting")

    def __init__(self, sessions: Sequence[Session], booted: int | None) -> None:
        """Begin with what every source knows."""
        self.sessions = sessions
        self.booted = booted
        self.history: Tally | None = None
        self.failed: FailedTally | None = None
        self.size: int | None = None
        self.waiting: int | None = None


class Source(Protocol):
    """What the collector asks."""

    def read(self) -> Reading:
        """Return what is so now. Raises WtmpdbError when the source cannot be read."""


class Database:
    """The history in a database, and what lies beside it: failed logins, the spool."""

    def __init__(self, path: str | None = None, failed: str = FAILED, letters: str = spool.SPOOL, *, system: System | None = None) -> None:
        """Read the history at ``path``, by default that of this machine."""
        self._tally = Tally(path or DATABASE, system)
        self._failed = FailedTally(failed)
        self._letters = letters

    def read(self) -> Reading:
        """Return what is so now. Raises LogError when the history cannot be read."""
        tally = self._tally
        tally.update()
        reading = Reading(tally.sessions, tally.boots()[-1].login if tally.boots() else None)
        reading.history = tally
        reading.size = os.stat(tally.path).st_size
        reading.waiting = self._waiting()
        try:
            self._failed.update()
            reading.failed = self._failed
        except LogError:
            pass  # not recorded, or not for us to read
        return reading

    def _waiting(self) -> int | None:
        try:
            with os.scandir(os.path.join(self._letters, "new")) as found:
                return sum(1 for _ in found)
        except OSError:
            return None


class Utmp:
    """A live utmp file of any layout, such as one that is mounted into a container. Who has a record there is on: no process is looked for."""

    def __init__(self, path: str) -> None:
        """Read the file at ``path``, anew each time."""
        self._path = path

    def read(self) -> Reading:
        """Return what is so now. Raises WtmpdbError when the file is not there, or is none."""
        booted: list[int] = []

        def records(file: LegacyFile) -> Iterator[Record]:
            for record in file:
                if record.type == BOOT_TIME:
                    booted.append(record.time)
                yield record

        try:
            with open_file(self._path) as file:
                found = live_users(records(file))
        except OSError as error:
            raise WtmpdbError(f"{self._path}: {error.strerror}") from error
        sessions = [Session(_stored(on.user), on.since, tty=_stored(on.line), host=_stored(on.host), pid=on.pid) for on in found]
        return Reading(sessions, booted[-1] if booted else None)


def _stored(text: str) -> bytes:
    """Return text as the database has it."""
    return store(text.encode("utf-8", "surrogateescape")).encode()
