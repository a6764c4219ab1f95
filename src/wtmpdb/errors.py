# SPDX-License-Identifier: BSD-2-Clause
"""What can go wrong in a way that a user can be told in one line."""

from __future__ import annotations

import sys


class WtmpdbError(Exception):
    """Something went wrong; ``str(error)`` is ``what: why``, ``hint`` what the user can do about it, or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep the message and the hint."""
        super().__init__(message)
        self.hint = hint


class LogError(WtmpdbError):
    """The history cannot be opened, read or written."""


class NoLogError(LogError):
    """There is no file of history (yet)."""


class DeniedLogError(LogError):
    """The history is not for whoever asks to see."""


class BusyLogError(LogError):
    """Somebody else has locked the file for longer than we wait."""


class FullError(LogError):
    """There is no space left to write into."""


class DamagedLogError(LogError):
    """The file is no database, or a damaged one."""


def complain(message: str, hint: str = "") -> None:
    """Print an error in one line."""
    if sys.stderr:  # None when the program was started with it closed
        print(message + (f" ({hint})" if hint else ""), file=sys.stderr)
