# SPDX-License-Identifier: BSD-2-Clause
"""Drain: one pass over the spool. Letters → Log, in the order of their time; then the letters go.

A letter is deleted only after its event is committed, and an event is applied once however often its letter is read: killed at any point, a
drain loses nothing and writes nothing twice.
"""

from __future__ import annotations

from wtmpdb.errors import complain
from wtmpdb.event import BrokenLetterError
from wtmpdb.log import Applied, Log
from wtmpdb.spool import MOST_NAMES, SPOOL, Spool
from wtmpdb.system import System

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wtmpdb.event import Event

BATCH = 1000
"""How many events go into one transaction: enough to share its cost, few enough that no other writer waits long."""


class Drained(Applied):
    """What a drain did: numbers of events, and of letters that were broken."""

    __slots__ = ("broken",)

    def __init__(self) -> None:
        """Start at nothing."""
        super().__init__()
        self.broken = 0

    def __str__(self) -> str:
        """Say it in a line."""
        said = f"{self.opened} opened, {self.closed} closed"
        for number, what in ((self.known, "known already"), (self.unmatched, "closed without an open entry"), (self.broken, "broken")):
            said += f", {number} {what}" if number else ""
        return said


def drain(
    database: str | None = None, spool: str = SPOOL, *, timeout: float = 5.0, wait: float = 0.0, system: System | None = None, owner: int = 0
) -> Drained:
    """Empty the spool into the database; return what was done.

    ``timeout`` is how many seconds a lock on the database is waited for, ``wait`` how many the drain of another process. Raises SpoolError and
    LogError; the letters that were not applied then wait for the next drain.
    """
    drained = Drained()
    with Spool(spool, wait=wait, owner=owner) as letters:
        letters.rescue()
        boot = (system or System()).boot_key()
        # Opened even when nothing waits: opening for writing mends a file whose last writer was killed.
        with Log.write(database, timeout=timeout) as log:
            while names := letters.names():
                for start in range(0, len(names), BATCH):
                    _batch(letters, log, names[start : start + BATCH], boot, drained)
                if len(names) < MOST_NAMES:
                    break
    return drained


def _batch(letters: Spool, log: Log, names: list[str], boot: str, drained: Drained) -> None:
    events, done = [], []
    for name in names:
        event = _read(letters, name, drained)
        if event:
            events.append(_placed(event, boot))
            done.append(name)
    drained.add(log.apply(events))
    for name in done:
        letters.remove(name)


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
