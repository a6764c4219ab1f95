# SPDX-License-Identifier: BSD-2-Clause
"""A PostgreSQL of the tests' own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Engine]:
    """Start a cluster that listens on a socket in a directory of its own; skip where it cannot be had."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    tools = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(found) for found in (shutil.which("initdb"),) if found]
    if not tools:
        pytest.skip("PostgreSQL is not installed")
    as_owner: list[str] = []
    directory = Path(tempfile.mkdtemp(prefix="wtmpdb-pg-"))
    if os.getuid() == 0:
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("there is no user postgres, and the server does not run as root")
        os.chown(directory, owner.pw_uid, owner.pw_gid)
        as_owner = ["runuser", "-u", "postgres", "--"]
    tool = tools[-1].parent
    control = [*as_owner, f"{tool}/pg_ctl", "-D", f"{directory}/data", "-w", "-s", "-l", f"{directory}/log"]
    made = [*as_owner, f"{tool}/initdb", "-D", f"{directory}/data", "-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    subprocess.run(made, check=True, capture_output=True, cwd="/")
    subprocess.run([*control, "-o", f"-k {directory} -c listen_addresses='' -c fsync=off", "start"], check=True, cwd="/")
    try:
        engine = create_engine(f"postgresql+psycopg://tester@/postgres?host={directory}")
        yield engine
        engine.dispose()
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, cwd="/")
        shutil.rmtree(directory)
