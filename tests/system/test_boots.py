# SPDX-License-Identifier: BSD-2-Clause
"""A machine's life: booted, logged in to by ssh, crashed, rebooted, powered off. Afterwards its history is read on another machine: this one."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from system.containers import CannotError, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from system.containers import Container

pytestmark = pytest.mark.system

CLOCK = 3.0  # seconds by which what is recorded may differ from what the test saw

KILL = """
import os, sqlite3
pid, = sqlite3.connect("file:/var/lib/wtmpdb/wtmp.db?mode=ro", uri=True).execute(
    "SELECT pid FROM session JOIN wtmp ON entry_id = ID WHERE User = ? AND Service = ? AND Logout IS NULL", {!r}).fetchone()
os.kill(pid, 9)
"""


class Story:
    """What was done, and what was seen meanwhile in the container."""

    def __init__(self, container: Container, *, by_sshd: bool) -> None:
        """Live the story."""
        self.by_sshd = by_sshd  # sshd records itself; only sessions with a terminal
        self.boots: list[float] = []
        self.ends: list[float] = []
        self.seen: dict[str, Any] = {}
        self._live(container)
        self.database = container.tree.path("/var/log/wtmp.db" if by_sshd else "/var/lib/wtmpdb/wtmp.db")
        self.journal_errors = ""

    def _live(self, container: Container) -> None:
        self.boots.append(container.boot())
        self._work_day(container)
        container.hold("alice", "127.0.0.18")
        until(lambda: any(line["hostname"] == "127.0.0.18" for line in container.last()), "the login")
        self.ends.append(time.time())
        container.crash()

        self.boots.append(container.boot())
        self.seen["after the crash"] = container.last()
        self._stay(container, "127.0.0.21")
        if self.by_sshd:
            self.boots.append(container.soft_reboot())
            self.seen["after the soft reboot"] = container.last()
            self._stay(container, "127.0.0.31")
        self.boots.append(container.reboot())
        self.seen["after the reboot"] = container.last()
        with container.session("bob", "127.0.0.41"):
            pass
        self._stay(container, "127.0.0.42")
        container.power_off()
        self.ends.append(time.time())

    def _work_day(self, container: Container) -> None:
        with container.session("alice", "127.0.0.11"):
            self.seen["alice is there"] = container.last()
        container.run("ssh -b 127.0.0.12 alice@127.0.0.1 true")
        container.run("echo ls | sftp -q -b - -o BindAddress=127.0.0.13 alice@127.0.0.1")
        container.run("scp -q -o BindAddress=127.0.0.14 /etc/hostname alice@127.0.0.1:")
        with container.session("root", "127.0.0.15", "su", "-", "bob", "-c"):
            self.seen["bob is there"] = container.last()
        with container.session("root", "127.0.0.17", "su", "-", "carol", "-c"):
            container.python(KILL.format(("carol", "su-l")))
            self.seen["carol's su was killed"] = container.last()
        if not self.by_sshd:
            container.hold("mallory", "127.0.0.16")
            until(lambda: any(line["hostname"] == "127.0.0.16" for line in container.last()), "the login")
            container.python(KILL.format(("mallory", "sshd")))
            self.seen["the monitor was killed"] = container.last()

    def _stay(self, container: Container, source: str) -> None:
        """Be logged in when the system goes down."""
        container.hold("alice", source)
        until(lambda: any(line["hostname"] == source for line in container.last()), "the login")
        self.ends.append(time.time())


