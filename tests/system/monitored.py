# SPDX-License-Identifier: BSD-2-Clause
"""A history of the machine that the tests run on, with sessions that a process of the test stands for."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from support import SECOND, make_spool, opened, post
from wtmpdb import boot
from wtmpdb.recorder.drain import drain
from wtmpdb.system import System

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def history(database: Path, spool: Path, users: dict[str, str]) -> Iterator[None]:
    """Record this boot, a session for each user from a host that lasts while this does, and one of bob whose process is gone."""
    system, begun = System(), time.time_ns() // 1000 - 60 * SECOND
    make_spool(spool)
    with subprocess.Popen(["sleep", "600"]) as alive:
        facts = {"pid": alive.pid, "boot": system.boot_key()}
        for user, host in users.items():
            post(spool, opened(user, begun, start=system.process_start(alive.pid), host=host, **facts))
        post(spool, opened("bob", begun, start=1, **facts))
        boot.begin(str(database), system=system)
        drain(str(database), str(spool), system=system)
        try:
            yield
        finally:
            alive.kill()
