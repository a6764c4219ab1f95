# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures for the PAM module: it is built once, and each test has a PAM stack and a spool of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pam_world import SOURCE, Stack, Syslog, enter_namespace, in_child

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def build() -> Iterator[Path]:
    """Build the module and its test application from the sources, where every user can read them."""
    missing = [tool for tool in ("make", "cc") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {missing}")
    with tempfile.TemporaryDirectory(prefix="wtmpdb-pam-") as directory:
        path = Path(directory)
        path.chmod(0o755)
        targets = ["all", f"{path}/exercise"]
        subprocess.run(["make", "-s", "-C", SOURCE, f"BUILD={path}", *targets], check=True, timeout=120)
        yield path


@pytest.fixture
def stack(build: Path) -> Iterator[Stack]:
    """Make a PAM stack and an empty spool; the paths are short and can be searched by every user."""
    if os.geteuid() != 0:
        pytest.skip("the module records for root only, into a spool of root's")
    with tempfile.TemporaryDirectory(prefix="wtmpdb-") as directory:
        Path(directory).chmod(0o755)
        yield Stack(build, Path(directory))


@pytest.fixture
def namespace() -> None:
    """Skip where no mount namespace can be had."""
    try:
        in_child(lambda: enter_namespace(None))
    except AssertionError as error:
        pytest.skip(f"no mount namespaces here: {str(error).splitlines()[-1]}")


@pytest.fixture
def syslog(stack: Stack, namespace: None) -> Iterator[Syslog]:  # noqa: ARG001 - may skip
    """Listen where the children of the test, in their own namespace, find /dev/log."""
    with Syslog(stack.root / "log") as log:
        yield log
