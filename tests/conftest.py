# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures of tests in several directories."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a directory that other users get to, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="wtmpdb-") as name:
        yield Path(name)
