# SPDX-License-Identifier: BSD-2-Clause
"""Caller: who is at the other end of a socket, as the kernel says."""

from __future__ import annotations

import struct
from _socket import SO_PEERCRED, SOL_SOCKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

_CREDENTIALS = struct.Struct("=iII")
_SO_PEERGROUPS = 59
_MOST_BYTES = 1024  # what getsockopt of Python takes: 256 groups


class Caller:
    """The process that connected: its id, its effective user and all its groups, as they were then."""

    __slots__ = ("groups", "pid", "uid")

    def __init__(self, uid: int, groups: frozenset[int] = frozenset(), pid: int = 0) -> None:
        """Keep the three."""
        self.uid = uid
        self.groups = groups
        self.pid = pid

    @classmethod
    def of(cls, connection: socket) -> Caller:
        """Ask the kernel. Of a process in more than 256 groups only the first one counts."""
        pid, uid, gid = _CREDENTIALS.unpack(connection.getsockopt(SOL_SOCKET, SO_PEERCRED, _CREDENTIALS.size))
        try:
            more = connection.getsockopt(SOL_SOCKET, _SO_PEERGROUPS, _MOST_BYTES)
        except OSError:
            more = b""
        return cls(uid, frozenset((gid, *struct.unpack(f"={len(more) // 4}I", more))), pid)
