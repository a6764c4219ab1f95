# SPDX-License-Identifier: BSD-2-Clause
"""Records of boot and shutdown for the kernel's audit, where nobody else sends them.

Format: a netlink message (netlink(7)) of type AUDIT_SYSTEM_BOOT or AUDIT_SYSTEM_SHUTDOWN (linux/audit.h); its text is fields as the tools of
auditd expect them.
"""

from __future__ import annotations

import os
import socket
import struct
import sys

SYSTEM_BOOT = 1127
SYSTEM_SHUTDOWN = 1128

_NETLINK_AUDIT = 9
_REQUEST_AND_ACKNOWLEDGE = 0x1 | 0x4
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ANSWER = struct.Struct("=i")
_UNITS = "/usr/lib/systemd/system"
_SENDERS = ("systemd-update-utmp.service", "wtmpdb-update-boot.service")  # systemd's own (not on Debian 13), and that of the C project
_MASKS = "/etc/systemd/system"


def sent_by_others() -> bool:
    """Tell whether another service of this machine sends these records."""
    return any(os.path.exists(f"{_UNITS}/{unit}") and os.path.realpath(f"{_MASKS}/{unit}") != os.devnull for unit in _SENDERS)


def send(kind: int) -> bool:
    """Send a record of this kind; False when the kernel does not take it: no audit, no right, a container."""
    text = f'comm="wtmpdb" exe="{sys.executable}" hostname=? addr=? terminal=? res=success\0'.encode("utf-8", "replace")
    message = _HEADER.pack(_HEADER.size + len(text), kind, _REQUEST_AND_ACKNOWLEDGE, 1, 0) + text
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_AUDIT) as kernel:
            kernel.settimeout(1.0)
            kernel.sendto(message, (0, 0))
            answer = kernel.recv(1024)
    except OSError:
        return False
    return len(answer) >= _HEADER.size + _ANSWER.size and _ANSWER.unpack_from(answer, _HEADER.size)[0] == 0
