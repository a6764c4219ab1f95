# SPDX-License-Identifier: BSD-2-Clause
"""Remote hosts as addresses (`last -i`) or as names (`last -d`).

Each host is looked up once, and all look-ups together have a bound: a name server that does not answer must not hold up an administrator.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time

BOUND = 10.0
"""Seconds that all look-ups together may take."""

NO_ADDRESS = b"0.0.0.0"  # what `last` shows where there is no address


class Addresses:
    """Turns hosts into addresses, or into names where ``names`` is true. ``late`` tells whether the bound was reached."""

    def __init__(self, *, names: bool, bound: float = BOUND) -> None:
        """Start the clock of the bound with the first look-up."""
        self._names = names
        self._left = bound
        self._known: dict[bytes, bytes] = {}
        self.late = False

    def of(self, host: bytes) -> bytes:
        """Return what to show for a host as recorded; what has no address (nothing, an X display) is 0.0.0.0, as in `last`."""
        if host not in self._known:
            self._known[host] = self._look_up(host)
        return self._known[host]

    def _look_up(self, host: bytes) -> bytes:
        if not host or (host.startswith(b":") and not host.startswith(b"::")):
            return NO_ADDRESS
        name = host.decode("utf-8", "surrogateescape")
        literal = _literal(name)
        if self._names:
            return self._bounded(_name_of, literal).encode("utf-8", "surrogateescape") if literal else host
        return (literal or self._bounded(_address_of, name)).encode("utf-8", "surrogateescape")

    def _bounded(self, question: _Question, host: str) -> str:
        if self._left <= 0:
            self.late = True
            return host
        answer = [host]
        thread = threading.Thread(target=lambda: answer.insert(0, question(host)), daemon=True)
        start = time.monotonic()
        thread.start()
        thread.join(self._left)
        self._left -= time.monotonic() - start
        self.late |= thread.is_alive()
        return answer[0]


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    _Question = Callable[[str], str]


def _literal(host: str) -> str:
    """Return an address in its usual form (an IPv4 address mapped into IPv6 as IPv4), or "" when ``host`` is none."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _name_of(address: str) -> str:
    try:
        return socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]
    except (OSError, UnicodeError):
        return address


def _address_of(name: str) -> str:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, ValueError):
        return name
    return str(found[0][4][0])
