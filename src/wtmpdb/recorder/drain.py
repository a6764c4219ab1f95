# SPDX-License-Identifier: BSD-2-Clause
"""Drain: passes over the spool. Letters → Log, in the order of their time; then the letters go.

A letter is deleted only after its event is committed, and an event is applied once however often its letter is read: killed at any point, a
drain loses nothing and writes nothing twice.
"""

from __future__ import annotations

import os

from wtmpdb.errors import LogError, complain
from wtmpdb.event import BrokenLetterError
from wtmpdb.log import DATABASE, Applied, Log
from wtmpdb.spool import MOST_NAMES, SPOOL, Spool, SpoolError
from wtmpdb.system import System

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from wtmpdb.event import Event

BATCH = 1000
"""How many events go into one transaction: enough to share its cost, few enough that no other writer waits long."""

CACHE = 2000
"""Kilobytes of the history that are kept in memory: what a batch touches, not more, since the connection stays open."""


class Drained(Applied):
    """What a drain did: numbers of events, and of letters that were broken."""

    __slots__ = ("broken",)

    def __init__(self) -> None:
        """Start at nothing."""
        super().__init__()
        self.broken = 0

    def add(self, other: Applied) -> None:
        """Add the numbers of another."""
        super().add(other)
        self.broken += getattr(other, "broken", 0)

    def __str__(self) -> str:
        """Say it in a line."""
        said = f"{self.opened} opened, {self.closed} closed"
        for number, what in ((self.known, "known already"), (self.unmatched, "closed without an open entry"), (self.broken, "broken")):
            said += f", {number} {what}" if number else ""
        return said


class Drain:
    """Takes letters out of the spool into the history. The connection stays open between two passes, without any lock; the spool does not.

    Use it as a context manager, or close it. The spool is opened anew for each pass: it may have been deleted and made again, and while nothing
    is taken, others (root's `last`, `wtmpdb recorder --once`) may take letters as well.
    """

    def __init__(
        self, database: str | None = None, spool: str = SPOOL, *, timeout: float = 5.0, system: System | None = None, owner: int = 0
    ) -> None:
        """Open nothing yet; ``timeout`` is how many seconds a lock on the database is waited for, ``owner`` who may have put letters there."""
        self.database = DATABASE if database is None else database
        self.spool = spool
        self._timeout = timeout
        self._system = system or System()
        self._owner = owner
        self._log: Log | None = None
        self._file: tuple[int, int] | None = None

    def log(self) -> Log:
        """Return the history, open for writing: opened anew when its path leads to another file than before. Raises LogError."""
        # Asked again after it was opened: it may have been replaced just then.
        while self._log is None or self._file != _identity(self.database):
            self.close()
            self._file = _identity(self.database)
            self._log = Log.write(self.database, timeout=self._timeout)
            self._log.query(f"PRAGMA cache_size = -{CACHE}")
        return self._log

    def close(self) -> None:
        """Close the history."""
        if self._log:
            self._log.close()
        self._log = None

    def __enter__(self) -> Self:
        """Return the drain itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the history."""
        self.close()

    def batches(self, *, wait: float = 0.0) -> Iterator[tuple[list[Event], Drained]]:
        """Take all that waits, a batch for each step; yield the events of the batch, which are committed and their letters gone, and what was done.

        The spool is locked from the first step to the last, or until the iterator is closed; ``wait`` is how many seconds the drain of another
        process is waited for. Raises SpoolError and LogError; the letters that were not applied then wait for the next pass.
        """
        try:
            with Spool(self.spool, wait=wait, owner=self._owner) as letters:
                yield from self._take_all(letters)
        except OSError as error:  # of the spool: those of the database are told as LogError
            raise SpoolError(f"{self.spool}: {error.strerror or error}") from error

    def _take_all(self, letters: Spool) -> Iterator[tuple[list[Event], Drained]]:
        letters.rescue()
        # Opened even when nothing waits: opening for writing mends a file whose last writer was killed.
        self.log()
        boot = self._system.boot_key()
        while names := letters.names():
            for start in range(0, len(names), BATCH):
                yield self._batch(letters, names[start : start + BATCH], boot)
            if len(names) < MOST_NAMES:
                break

    def _batch(self, letters: Spool, names: list[str], boot: str) -> tuple[list[Event], Drained]:
        drained = Drained()
        events, done = [], []
        for name in names:
            event = _read(letters, name, drained)
            if event:
                events.append(_placed(event, boot))
                done.append(name)
        drained.add(self._apply(events))
        for name in done:
            letters.remove(name)
        return events, drained

    def _apply(self, events: list[Event]) -> Applied:
        """Write a batch where it belongs; here letters part by their kind."""
        try:
            return self.log().apply(events)
        except LogError:
            self.close()  # whatever is wrong, it is not to be met again for having been kept open
            raise


def drain(
    database: str | None = None, spool: str = SPOOL, *, timeout: float = 5.0, wait: float = 0.0, system: System | None = None, owner: int = 0
) -> Drained:
    """Empty the spool into the database once; return what was done. Arguments and errors are those of `Drain` and `Drain.batches`."""
    drained = Drained()
    with Drain(database, spool, timeout=timeout, system=system, owner=owner) as taking:
        for _, done in taking.batches(wait=wait):
            drained.add(done)
    return drained


def _read(letters: Spool, name: str, drained: Drained) -> Event | None:
    try:
        return letters.read(name)
    except FileNotFoundError:
        return None
    except BrokenLetterError as error:
        complain(f"wtmpdb recorder: letter {name!a} is broken: {error}: put into bad/")
        drained.broken += 1
        letters.quarantine(name)
        return None


def _placed(event: Event, boot: str) -> Event:
    """Give an event that knows only the kernel's boot id the whole key of this boot, if it is of this boot."""
    if event.boot and "/" not in event.boot and boot.startswith(f"{event.boot}/"):
        event.boot = boot
    return event


def _identity(path: str) -> tuple[int, int] | None:
    """Return what tells the file at a path from another that is put in its place; None where there is none."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
