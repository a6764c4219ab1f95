# SPDX-License-Identifier: BSD-2-Clause
"""The short-lived service: started by the first letter, it drains, waits some seconds for more, and ends.

systemd hands it the socket that the PAM module pokes (sd_listen_fds(3)). While the history cannot be written it stays and tries again, so that
the units which start it do not start it over and over.
"""

from __future__ import annotations

import os
import select
import time

from wtmpdb import schema
from wtmpdb.errors import LogError, WtmpdbError, complain
from wtmpdb.log import DATABASE
from wtmpdb.migration import bring_up_to_date, version
from wtmpdb.recorder import pulse
from wtmpdb.recorder.drain import drain
from wtmpdb.recorder.failures import Failures
from wtmpdb.recorder.systemd import handed_over
from wtmpdb.spool import SPOOL, BusyError, SpoolError, waiting

IDLE = 5.0
"""Seconds without a poke after which the service ends."""

RETRY = 10.0
"""Seconds between two tries while the history cannot be written."""

TRIES = 6
"""How often a history that cannot be written is tried before the service ends with a failure; the timer starts it again."""

VARLINK = "varlink"
"""The FileDescriptorName of the socket that is not poked but spoken to."""

_MOST_POKES = 1000  # at a time: who sends without end holds up nobody


def serve(database: str | None = None, spool: str = SPOOL, *, idle: float = IDLE, retry: float = RETRY) -> int:
    """Drain until nothing has come for a while; return an exit code."""
    sockets = pokes()
    failed_logins = Failures(spool)
    tries, is_first = 0, True
    settle_version(database)
    while True:
        for fd in sockets:
            quiet(fd)
        try:
            if is_first or waiting(spool):
                _take(database, spool)
        except WtmpdbError as error:
            if isinstance(error, SpoolError) and not isinstance(error, BusyError):
                raise  # a spool that is not there, or not ours, will not be there in a moment
            tries += 1
            complain(f"wtmpdb recorder: {error}", error.hint)
            pulse.beat(spool)
            failed_logins.look()
            if tries == TRIES:
                return 1
            time.sleep(retry)
            continue
        tries, is_first = 0, False
        pulse.beat(spool)
        pause = failed_logins.look()
        if not select.select(sockets, [], [], idle if pause is None else pause)[0] and pause is None:
            return 0


def _take(database: str | None, spool: str) -> None:
    drained = drain(database, spool, wait=RETRY)
    if drained.known or drained.broken or drained.unmatched:
        complain(f"wtmpdb recorder: {drained}")


def settle_version(database: str | None = None) -> None:
    """Bring an older file up to date, say that a newer one is newer; whatever comes of it, recording goes on."""
    database = DATABASE if database is None else database
    try:
        found = version(database)
    except LogError:
        return  # the drain will meet the same, and say so
    try:
        if found is not None and found < schema.VERSION:
            bring_up_to_date(database)
    except WtmpdbError as error:
        complain(f"wtmpdb recorder: {error}: recording goes on with the tables as they are", error.hint)
    if found is not None and found > schema.VERSION:
        known = f"tables of version {found}, this one knows {schema.VERSION}"
        complain(f"wtmpdb recorder: {database}: was written by a newer wtmpdb ({known}): recording goes on; upgrade this one")


def pokes() -> list[int]:
    """Return the sockets that the PAM module pokes, of those that systemd has handed over; reading them never waits."""
    found = [fd for name, sockets in handed_over().items() if name != VARLINK for fd in sockets]
    for fd in found:
        os.set_blocking(fd, False)
    return found


def quiet(fd: int) -> None:
    """Take the pokes off a socket: one look into the spool answers them all."""
    try:
        for _ in range(_MOST_POKES):
            os.read(fd, 16)
    except BlockingIOError:
        pass
