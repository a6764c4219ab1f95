# SPDX-License-Identifier: BSD-2-Clause
"""What `lastlog` and `stats` share: where failed logins are found, and what is said of a history that is shown in part."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wtmpdb import home, log
from wtmpdb.errors import LogError, complain
from wtmpdb.query.engine import Database
from wtmpdb.recorder.access import ALL, for_others

if TYPE_CHECKING:
    from argparse import ArgumentParser


def failures_option(parser: ArgumentParser) -> None:
    """Add the option ``--failed``."""
    parser.add_argument("--failed", metavar="FILE", help=f"read failed logins from this database (default: {log.FAILED}; with -f, none)")


def failed_logins(path: str | None, program: str) -> Database | None:
    """Open the database of failed logins that was named; raises LogError.

    By default that of this machine, once what waits in the spool is in it: None where there is none or it is not for whoever asks. What else stands
    in the way is said on stderr.
    """
    if path is not None:
        return Database.read(path)
    home.take_failures(program)
    try:
        return Database.read(log.FAILED) if os.access(log.FAILED, os.R_OK) else None
    except LogError as error:
        complain(f"{program}: failed logins are not shown: {error}", error.hint)
        return None


def tell_of_privacy(history: log.Log, program: str) -> None:
    """Say on stderr when the recorder shows only a part of a history: whom it does not tell of may have logged in all the same."""
    if type(history) is not log.Log and for_others(history.path) != ALL:
        complain(f"{program}: the history is private: only your own sessions are told")
