# SPDX-License-Identifier: BSD-2-Clause
"""The history of this machine, as whoever asks may see it."""

from __future__ import annotations

import os

from wtmpdb import log
from wtmpdb.errors import DeniedLogError, NoLogError, WtmpdbError, complain


def history(path: str | None = None) -> log.Log:
    """Open the history of this machine for reading; who may not read the file sees what the recorder shows. Raises LogError."""
    path = log.DATABASE if path is None else path
    try:
        return log.Log.read(path)
    except NoLogError as error:
        raise NoLogError(str(error), "nothing has been recorded yet") from error
    except DeniedLogError as error:
        from wtmpdb.remote import SOCKET, Remote  # noqa: PLC0415 - costs an import of json and socket

        if not os.path.exists(SOCKET):
            raise DeniedLogError(str(error), f"{error.hint}; others where 'wtmpdb setup --recorder' has made the recorder answer") from error
        return Remote(path)


def take_letters(program: str) -> None:
    """Let root see what has just happened: take what waits in the spool first. What goes wrong is said on stderr; others need not care."""
    from wtmpdb import spool  # noqa: PLC0415 - only for the file of this machine

    if os.geteuid() != 0 or not spool.waiting():
        return
    from wtmpdb.recorder.drain import drain  # noqa: PLC0415 - only when something waits

    try:
        drain(timeout=1.0, wait=1.0)  # the service may be taking them at this moment
    except WtmpdbError as error:
        if not isinstance(error, spool.BusyError):
            complain(f"{program}: what happened just now is not listed: {error}", error.hint)


def take_failures(program: str) -> None:
    """Let root see the logins that have just failed, in the same way."""
    if os.geteuid() != 0:
        return
    from wtmpdb import spool  # noqa: PLC0415 - only for the file of this machine
    from wtmpdb.recorder.failures import take_failures as take  # noqa: PLC0415

    try:
        take(timeout=1.0, wait=1.0)
    except WtmpdbError as error:
        if not isinstance(error, spool.BusyError):
            complain(f"{program}: logins that failed just now are not listed: {error}", error.hint)
