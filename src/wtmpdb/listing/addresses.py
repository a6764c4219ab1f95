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
_NO_BYTES = bytes(16)
_MAPPED = bytes(10) + b"\xff\xff"


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

    def name(self, address: bytes) -> bytes:
        """Return the name of a numeric address, or the address as it is given when it has none."""
        if address not in self._known:
            self._known[address] = self._bounded(_name_of, address.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        return self._known[address]

    def _look_up(self, host: bytes) -> bytes:
        if not host or (host.startswith(b":") and not host.startswith(b"::")):
            return NO_ADDRESS
        name = host.decode("utf-8", "surrogateescape")
        numeral = literal(name)
        if self._names:
            return self._bounded(_name_of, numeral).encode("utf-8", "surrogateescape") if numeral else host
        return (numeral or self._bounded(_address_of, name)).encode("utf-8", "surrogateescape")

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


def numeric(raw: bytes) -> bytes:
    """Return the 16 bytes of an address in a record as `last -i` shows them, empty when there are not 16 bytes.

    Four bytes with twelve zero ones behind them are IPv4, even where they are the beginning of an IPv6 address.
    """
    if len(raw) != len(_NO_BYTES):
        return b""
    if raw.startswith(_MAPPED):
        raw = raw[12:] + bytes(12)
    return (socket.inet_ntop(socket.AF_INET6, raw) if any(raw[4:]) else socket.inet_ntop(socket.AF_INET, raw[:4])).encode()


def literal(host: str) -> str:
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
