# SPDX-License-Identifier: BSD-2-Clause
"""What systemd and a service of it say to each other: sockets that are handed over (sd_listen_fds(3)), and how it goes (sd_notify(3))."""

from __future__ import annotations

import os

FIRST_FD = 3


def handed_over() -> dict[str, list[int]]:
    """Return the sockets that systemd has opened for this process, by their FileDescriptorName; no process that is started gets them."""
    environment = os.environ
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return {}
    number = int(environment.get("LISTEN_FDS", "0"))
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, list[int]] = {}
    for place in range(number):
        fd = FIRST_FD + place
        os.set_inheritable(fd, False)  # noqa: FBT003 - the standard library's own order
        found.setdefault(names[place] if place < len(names) else "", []).append(fd)
    return found


def notify(state: str) -> None:
    """Tell systemd the state of this service, such as READY=1; where nobody asked, or listens, nothing happens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM, socket  # noqa: PLC0415 - `socket` itself takes a megabyte, for what is not used

    sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC)
    try:
        sender.settimeout(1.0)
        sender.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
    except OSError:
        pass
    finally:
        sender.close()


def is_a_service() -> bool:
    """Tell whether systemd waits for word of us, as it does of the service that it starts again."""
    return "NOTIFY_SOCKET" in os.environ


def watchdog() -> float | None:
    """Return after how many seconds without WATCHDOG=1 systemd takes this process to hang; None when it does not look."""
    environment = os.environ
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isascii() and microseconds.isdecimal() and int(microseconds) else None
