# SPDX-License-Identifier: BSD-2-Clause
"""What can go wrong with an old file."""

from __future__ import annotations

from wtmpdb.errors import WtmpdbError


class LegacyError(WtmpdbError):
    """An old file cannot be opened or read."""


class UnrecognisedError(LegacyError):
    """The content is of no layout that we know."""
