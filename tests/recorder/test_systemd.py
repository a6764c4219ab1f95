# SPDX-License-Identifier: BSD-2-Clause
"""What is said to systemd, and what is had from it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from wtmpdb.recorder.systemd import handed_over, notify, watchdog


@pytest.mark.parametrize("abstract", [False, True])
def test_notify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, abstract: bool) -> None:
    """A state is a datagram to the address that the environment has, be it a path or an abstract one."""
    address = f"@wtmpdb-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address.replace("@", "\0"))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify("READY=1")
        assert systemd.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "nonsense", "/nowhere/notify"])
def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Where nobody asked, or nobody listens, nothing happens."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")


def test_sockets_of_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets that were handed to another process are not ours."""
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", str(os.getpid() + 1))
    assert handed_over() == {}


@pytest.mark.parametrize(
    ("microseconds", "process", "seconds"), [("30000000", 0, 30.0), ("30000000", 1, None), ("", 0, None), ("x", 0, None), ("0", 0, None)]
)
def test_watchdog(monkeypatch: pytest.MonkeyPatch, microseconds: str, process: int, seconds: float | None) -> None:
    """The time that systemd gives is ours only if it means this process, and says a number."""
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + process))
    assert watchdog() == seconds
