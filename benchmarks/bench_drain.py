# SPDX-License-Identifier: BSD-2-Clause
"""10,000 letters that wait in the spool, drained into a fresh database: read, committed, unlinked."""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Result, Settings, at_most, low

from wtmpdb.event import CLOSED, OPENED, Event
from wtmpdb.recorder.drain import drain

if TYPE_CHECKING:
    from collections.abc import Iterator

_LETTERS = 10_000
_ROUNDS = 5
_BEGIN = 1_795_242_031_123_456


def run(settings: Settings) -> Iterator[Result]:
    """Yield the lines of the table."""
    kinds = {"5,000 opens and their closes": _letters(_LETTERS // 2, closes=True), "10,000 opens": _letters(_LETTERS, closes=False)}
    times: dict[str, list[float]] = {what: [] for what in kinds}
    for _ in range(_ROUNDS):
        for what, letters in kinds.items():
            times[what].append(_drain(settings.cache, letters))
    for what, seconds in times.items():
        yield at_most(f"draining {what}", low(seconds), 1.5, "s")


def _letters(sessions: int, *, closes: bool) -> dict[str, bytes]:
    """Return letters by their names, as sshd's sessions would leave them."""
    chance = random.Random(sessions)
    events: list[Event] = []
    for number in range(sessions):
        opened = _BEGIN + number * 700_000
        pid = 1000 + number
        key = f"{chance.getrandbits(128):032x}"
        for kind, at in ((OPENED, opened), (CLOSED, opened + chance.randrange(900_000_000)))[: 1 + closes]:
            events.append(
                Event(
                    kind,
                    id=f"{at:020}.{pid:010}.{kind == CLOSED:06}.{chance.getrandbits(32):08x}",
                    time=at,
                    user=f"user{number % 300}",
                    key=key,
                    opened=opened,
                    pid=pid,
                    start=8_812_345 + number,
                    boot="8d6f3c0e-6a55-4f0e-9d9b-0f4ad2b7a1c3/0/23",
                    tty="ssh",
                    host=f"10.0.{number >> 8 & 15}.{number & 255}",
                    service="sshd",
                    session=str(number),
                )
            )
    return {event.id: event.encode() for event in events}


def _drain(cache: Path, letters: dict[str, bytes]) -> float:
    """Drain once, in a new directory; return the seconds."""
    with tempfile.TemporaryDirectory(prefix="drain-", dir=cache) as name:
        directory = Path(name)
        database, spool = directory / "wtmp.db", directory / "spool"
        for path in (spool, spool / "tmp", spool / "new", spool / "bad"):
            path.mkdir(0o700)
        for letter, text in letters.items():
            (spool / "new" / letter).write_bytes(text)
        os.sync()
        begun = time.perf_counter()
        drained = drain(str(database), str(spool), owner=os.geteuid())
        lasted = time.perf_counter() - begun
        _check(database, drained.opened + drained.closed, len(letters))
        if any((spool / "new").iterdir()):
            raise RuntimeError("letters were left in the spool")
    return lasted


def _check(database: Path, applied: int, letters: int) -> None:
    with closing(sqlite3.connect(database)) as db:
        opened, closed = db.execute("SELECT count(*), count(Logout) FROM wtmp").fetchone()
    if not applied == opened + closed == letters:
        raise RuntimeError(f"of {letters} letters {applied} were applied, and made {opened} rows of which {closed} are closed")
