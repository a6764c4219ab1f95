# SPDX-License-Identifier: BSD-2-Clause
"""What `lastlog` and `stats` share: where failed logins are found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wtmpdb.errors import WtmpdbError, complain
from wtmpdb.log import FAILED
from wtmpdb.query.engine import Database

if TYPE_CHECKING:
    from argparse import ArgumentParser


def failures_option(parser: ArgumentParser) -> None:
    """Add the option ``--failed``."""
    parser.add_argument("--failed", metavar="FILE", help=f"read failed logins from this database (default: {FAILED}; with -f, none)")


def failed_logins(path: str, program: str) -> Database | None:
    """Open a database of failed logins; None where there is none or it is not for whoever asks. What else stands in the way is said on stderr."""
    if path == FAILED and not os.access(path, os.R_OK):
        return None
    try:
        return Database.read(path)
    except WtmpdbError as error:
        if path != FAILED:
            raise
        complain(f"{program}: failed logins are not shown: {error}", error.hint)
        return None
