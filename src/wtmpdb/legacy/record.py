# SPDX-License-Identifier: BSD-2-Clause
"""One record of a login-accounting file, as a plain tuple (`Fields`) and as an object that decodes it when asked (`Record`). No I/O.

Whatever system wrote a record, its fields come as Linux would have them: the type in Linux's numbers (``bits/utmp.h``), a boot as user
``reboot`` on line ``~``, a shutdown as a run level of user ``shutdown`` on line ``~``, so that whoever reads them needs to know one system only.
"""

from __future__ import annotations

EMPTY, RUN_LVL, BOOT_TIME, NEW_TIME, OLD_TIME, INIT_PROCESS, LOGIN_PROCESS, USER_PROCESS, DEAD_PROCESS, ACCOUNTING = range(10)

Fields = tuple[int, int, bytes, bytes, bytes, bytes, int, int, bytes, int, int, int]
"""Type, pid, line, id, user, host (text is cut at its first NUL), seconds, microseconds, address (16 bytes, an IPv4 address in the first
four), session, termination, exit status."""

SECOND = 1_000_000
"""Microseconds in a second."""

NO_ADDRESS = bytes(16)
_MAPPED = bytes(10) + b"\xff\xff"
_IPV4 = 4


class Record:
    """A record that came from a file; what it says is decoded when it is asked for.

    Text is `str`; bytes that are not UTF-8 are surrogate escapes. Two records are equal when their bytes are.
    """

    __slots__ = ("_chunk", "_nth", "_source")

    def __init__(self, chunk: Chunk, nth: int, source: str) -> None:
        """Point at the nth record of a chunk that was read from ``source``."""
        self._chunk = chunk
        self._nth = nth
        self._source = source

    @property
    def fields(self) -> Fields:
        """All fields as they were decoded."""
        return self._chunk.fields[self._nth]

    @property
    def type(self) -> int:
        """What happened, in Linux's numbers."""
        return self._chunk.fields[self._nth][0]

    @property
    def pid(self) -> int:
        """The process; of a run level, its character and, times 256, that of the one before."""
        return self._chunk.fields[self._nth][1]

    @property
    def line(self) -> str:
        """The terminal without ``/dev/``, ``~`` for what concerns the system."""
        return _text(self._chunk.fields[self._nth][2])

    @property
    def id(self) -> str:
        """The short name of the terminal, or what else the writer uses to tell sessions apart."""
        return _text(self._chunk.fields[self._nth][3])

    @property
    def user(self) -> str:
        """The name of the user."""
        return _text(self._chunk.fields[self._nth][4])

    @property
    def host(self) -> str:
        """Where the user came from; of a boot, the kernel's release."""
        return _text(self._chunk.fields[self._nth][5])

    @property
    def time(self) -> int:
        """When it happened, µs since the epoch, UTC."""
        fields = self._chunk.fields[self._nth]
        return fields[6] * SECOND + fields[7]

    @property
    def address(self) -> str | None:
        """The remote address in its usual form (IPv4 that is mapped into IPv6 as IPv4), or None where there is none."""
        fields = self._chunk.fields[self._nth]
        return address_text(fields[8], fields[5])

    @property
    def raw_address(self) -> bytes:
        """The 16 bytes of the address as they stand in the record."""
        return self._chunk.fields[self._nth][8]

    @property
    def session(self) -> int:
        """The session id (getsid)."""
        return self._chunk.fields[self._nth][9]

    @property
    def termination(self) -> int:
        """The signal that ended the process."""
        return self._chunk.fields[self._nth][10]

    @property
    def exit(self) -> int:
        """The exit status of the process."""
        return self._chunk.fields[self._nth][11]

    @property
    def position(self) -> int:
        """Where the record begins in its file (once decompressed), in bytes."""
        return self._chunk.positions[self._nth]

    @property
    def raw(self) -> bytes:
        """The bytes of the record: its identity."""
        return self._chunk.raw(self._nth)

    @property
    def source(self) -> str:
        """The name of the file."""
        return self._source

    def __eq__(self, other: object) -> bool:
        """Two records are equal when their bytes are."""
        return isinstance(other, Record) and self.raw == other.raw

    def __hash__(self) -> int:
        """Equal records have the same hash."""
        return hash(self.raw)

    def __repr__(self) -> str:
        """Show what the record says."""
        return f"<Record {self.type} {self.user!r} on {self.line!r} from {self.host!r} at {self.time}>"


class Chunk:
    """Records that were read together: ``fields`` of each, decoded when the first is asked for, and ``positions``, where each begins."""

    __slots__ = ("_base", "_data", "_decode", "_size", "fields", "positions")
    fields: list[Fields]

    def __init__(
        self, fields: list[Fields] | Callable[[bytes], list[Fields]], positions: Sequence[int], data: bytes | list[bytes], size: int = 0
    ) -> None:
        """Take the records, or what decodes them, and their bytes: one run of records of one size, or each by itself."""
        if callable(fields):
            self._decode = fields
        else:
            self.fields = fields
        self.positions = positions
        self._data = data
        self._size = size
        self._base = positions[0] if positions else 0

    def __getattr__(self, name: str) -> list[Fields]:
        """Decode the records: ``fields`` are not there yet."""
        if name != "fields":
            raise AttributeError(name)
        self.fields = self._decode(self.data)
        return self.fields

    @property
    def data(self) -> bytes:
        """The bytes of all records, one after the other."""
        return b"".join(self._data) if isinstance(self._data, list) else self._data

    def raw(self, nth: int) -> bytes:
        """Return the bytes of the nth record."""
        if isinstance(self._data, list):
            return self._data[nth]
        start = self.positions[nth] - self._base
        return self._data[start : start + self._size]


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def address_text(raw: bytes, host: bytes = b"") -> str | None:
    """Return 16 bytes as an address, None for all zero.

    An IPv4 address and an IPv6 address that ends in twelve zero bytes look the same; the host, where it is an address, decides.
    """
    if raw == NO_ADDRESS:
        return None
    from socket import AF_INET, AF_INET6, inet_ntop  # noqa: PLC0415 - only where there is an address

    if raw.startswith(_MAPPED):
        return inet_ntop(AF_INET, raw[12:])
    if not raw[_IPV4:].strip(b"\0"):
        six = inet_ntop(AF_INET6, raw)
        return six if host == six.encode() else inet_ntop(AF_INET, raw[:_IPV4])
    return inet_ntop(AF_INET6, raw)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
