# SPDX-License-Identifier: BSD-2-Clause
"""Records of one size: what a layout is made of, decoding, encoding, and telling a record from noise. No I/O.

A layout is a `struct` format with a name for every value. Values are named like the fields of `Fields`, and besides:

``sockaddr``   a socket address as BSD has it (length, family, port, address)
``stamp``      µs in one number
``reserved``   bytes that every writer leaves zero
``syslen``     a number that nobody needs
"""

from __future__ import annotations

import struct

from wtmpdb.legacy.record import (
    BOOT_TIME,
    DEAD_PROCESS,
    EMPTY,
    INIT_PROCESS,
    LOGIN_PROCESS,
    NEW_TIME,
    NO_ADDRESS,
    OLD_TIME,
    RUN_LVL,
    SECOND,
    USER_PROCESS,
    Fields,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from re import Pattern
    from typing import Any

    Row = tuple[Any, ...]

DOWN = 1 << 16
"""A shutdown, where a layout has a type for it."""
SIGNATURE = DOWN + 1
"""A record that only says of which layout the file is."""

LINUX = dict(zip(range(10), range(10), strict=True))
SYSTEM_V = {**LINUX, 3: OLD_TIME, 4: NEW_TIME}
SOLARIS = {**SYSTEM_V, 10: DOWN}
NETBSD = {**SYSTEM_V, 10: SIGNATURE, 11: DOWN}
FREEBSD = {
    0: EMPTY,
    1: BOOT_TIME,
    2: OLD_TIME,
    3: NEW_TIME,
    4: USER_PROCESS,
    5: INIT_PROCESS,
    6: LOGIN_PROCESS,
    7: DEAD_PROCESS,
    8: DOWN,
}
TYPELESS: dict[int, int] = {}

_GLIBC = ("type", "pid", "line", "id", "user", "host", "termination", "exit", "session", "seconds", "microseconds", "address", "reserved")
_SIZES = {"h": 2, "i": 4, "I": 4, "q": 8, "B": 1, "H": 2, "Q": 8}
_TEXTS = ("line", "id", "user", "host")
_CONTROL = bytes((*range(32), 127))
_LARGEST_PID = 1 << 22
_SHUTDOWN = 254  # what `last` makes of a shutdown inside; records of this type exist
_SYSTEM_KINDS = {BOOT_TIME, OLD_TIME, NEW_TIME, DOWN, SIGNATURE}
_RUN_LEVEL = b"run-level "
_INET, _INET6 = 2, (24, 26, 28, 30)  # NetBSD, illumos, FreeBSD, macOS
_OLDEST = 300_000_000  # 1979: a layout without types has little else to be told by than its times
_NEWEST = 1 << 34  # 2514: what 64 bits hold beyond that was hardly meant as a time
_PLAIN_TEXT = bytes(range(0x21, 0x7F))


class Layout:
    """How a file is laid out.

    ``order`` is "little", "big", or "" where there is none, ``size`` that of a record (0: it varies), ``source`` says where the facts are from.
    """

    __slots__ = ("name", "order", "size", "source", "verified")

    def __init__(self, name: str, source: str, *, order: str = "", size: int = 0, verified: bool = True) -> None:
        """Describe a layout; ``verified`` tells whether a first-hand source or a real file stands behind it."""
        self.name = name
        self.order = order
        self.size = size
        self.source = source
        self.verified = verified

    def __str__(self) -> str:
        """Return the name with the byte order."""
        return f"{self.name}-{self.order[0]}e" if self.order else self.name

    def __repr__(self) -> str:
        """Show the name."""
        return f"<Layout {self}>"


class FixedLayout(Layout):
    """A layout whose records are all of one size."""

    __slots__ = (
        "_anchor",
        "_checks",
        "_index",
        "_largest_pid",
        "_offsets",
        "_pattern",
        "_reserved",
        "_struct",
        "_texts",
        "_types",
        "is_plain",
        "kinds",
        "signature",
    )

    def __init__(
        self,
        name: str,
        order: str,
        fields: str,
        kinds: Mapping[int, int],
        source: str,
        *,
        signature: bytes = b"",
        largest_pid: int = _LARGEST_PID,
        verified: bool = True,
    ) -> None:
        """Take the values as ``code:name`` words, a code without a name being padding; ``kinds`` gives Linux's types for the layout's own."""
        mark = "<" if order == "little" else ">"
        words = [word.partition(":") for word in fields.split()]
        self._struct = struct.Struct(mark + "".join(code for code, _, _ in words))
        super().__init__(name, source, order=order, size=self._struct.size, verified=verified)
        self.signature = signature
        self._largest_pid = largest_pid
        self._index: dict[str, int] = {}
        self._offsets: dict[str, tuple[int, str]] = {}
        offset = 0
        for code, _, field in words:
            if field:
                self._offsets[field] = (offset, code)
                self._index[field] = len(self._index)
            offset += _width(code)
        self.is_plain = tuple(self._index) == _GLIBC
        """Whether it has exactly the fields of Linux, in their order: then many are quickly encoded and decoded."""
        self.kinds = kinds
        self._types = {kind: number for number, kind in kinds.items()}
        self._texts = [self._index[field] for field in _TEXTS if field in self._index and not (field == "id" and kinds is FREEBSD)]
        self._reserved = [index for field, index in self._index.items() if field.startswith("reserved")]
        self._checks = self._make_checks()
        self._anchor = 0
        self._pattern: Pattern[bytes] | None = None

    def decode(self, data: bytes) -> list[Fields]:
        """Decode whole records that follow one another."""
        rows = self._struct.iter_unpack(data)
        if not self.is_plain:
            return [self._translate(row) for row in rows]
        return [
            (
                kind,
                pid,
                line.partition(b"\0")[0],
                ident.partition(b"\0")[0],
                user.partition(b"\0")[0],
                host.partition(b"\0")[0],
                seconds,
                micros,
                address,
                session,
                termination,
                status,
            )
            for kind, pid, line, ident, user, host, termination, status, session, seconds, micros, address, _ in rows
        ]

    def encode(self, fields: Fields) -> bytes:
        """Return the record with these fields; text that is too long is cut.

        Raises ValueError for what the layout cannot hold: a type, or a number that is too large.
        """
        values: dict[str, Any] = dict(zip(_NAMES, fields, strict=True))
        if not self.is_plain:
            values = self._untranslate(values)
        row = [values.get(field, 0 if field == "syslen" else b"") for field in self._index]
        try:
            return self._struct.pack(*row)
        except struct.error as error:
            raise ValueError(f"{self}: {error}") from error

    def encode_all(self, records: Iterable[Fields]) -> bytes:
        """Return the records with these fields, one after the other; as `encode` does it, but fast."""
        if not self.is_plain:
            return b"".join(map(self.encode, records))
        pack = self._struct.pack
        try:
            return b"".join(
                [
                    pack(kind, pid, line, ident, user, host, termination, status, session, seconds, micros, address, b"")
                    for kind, pid, line, ident, user, host, seconds, micros, address, session, termination, status in records
                ]
            )
        except struct.error as error:
            raise ValueError(f"{self}: {error}") from error

    def make_signature(self) -> bytes:
        """Return the record that begins a file of this layout, or nothing."""
        if not self.signature:
            return b""
        row = {"type": self._types[SIGNATURE], "user": self.signature}
        return self._struct.pack(*(row.get(field, b"" if self._code(field).endswith("s") else 0) for field in self._index))

    def signed(self, data: bytes) -> bool:
        """Tell whether a file begins with the signature of this layout."""
        if not self.signature or len(data) < self.size:
            return False
        row = self._struct.unpack_from(data)
        return self.kinds.get(row[self._index["type"]]) == SIGNATURE and bool(row[self._index["user"]].startswith(self.signature))

    def valid(self, data: bytes, at: int = 0) -> bool:
        """Tell whether a record is beyond doubt: every field possible, texts padded with NULs and free of control bytes, all reserved bytes zero."""
        row = self._struct.unpack_from(data, at)
        return self._possible(row) and self._clean(row) and not any(row[index].strip(b"\0") for index in self._reserved)

    def possible(self, data: bytes, at: int = 0) -> bool:
        """Tell whether the numbers of a record are possible, whatever its texts are."""
        return bool(self.kinds) and self._possible(self._struct.unpack_from(data, at))

    def sane(self, data: bytes, at: int = 0) -> bool:
        """Tell whether a record may have been meant: of a known type, or with texts that are texts."""
        row = self._struct.unpack_from(data, at)
        return (bool(self.kinds) and (row[self._index["type"]] in self.kinds or row[self._index["type"]] == _SHUTDOWN)) or self._readable(row)

    def seconds(self, data: bytes, at: int) -> int:
        """Return the seconds of a record."""
        return self._time(self._struct.unpack_from(data, at))[0]

    def evident(self, data: bytes, end: int) -> bool:
        """Tell cheaply whether all records up to ``end`` are in their places: no bytes where a type, a pid or a fraction of a second has none.

        A layout without types has no such places, and the answer is no.
        """
        size = self.size
        return bool(self._checks) and not any(data[at:end:size].translate(None, allowed) for at, allowed in self._checks)

    def candidates(self, data: bytes, start: int, end: int) -> Iterator[int]:
        """Yield the offsets where a record may begin."""
        if self._pattern is None:
            self._anchor, self._pattern = self._make_pattern()
        anchor = self._anchor
        for match in self._pattern.finditer(data, start + anchor, min(end + anchor + 1, len(data))):
            place = match.start() - anchor
            if place < end and all(data[place + at] in allowed for at, allowed in self._checks if place + at < len(data)):
                yield place

    def _possible(self, row: Row) -> bool:
        index = self._index
        if not self.kinds:
            return _OLDEST <= row[index["seconds"]] <= _NEWEST and _is_plain_text(row[index["line"]], row[index["user"]], row[index["host"]])
        kind = self.kinds.get(row[index["type"]], EMPTY)
        if kind == EMPTY:
            return False
        if kind == SIGNATURE:
            return bool(row[index["user"]].startswith(self.signature))
        seconds, micros = self._time(row)
        if not (0 < seconds <= _NEWEST and 0 <= micros < SECOND and 0 <= row[index["pid"]] <= self._largest_pid):
            return False
        named = any(row[index[field]][:1] != b"\0" for field in ("line", "id") if field in index)
        return named or (not self.is_plain and kind in _SYSTEM_KINDS)

    def _padded(self, row: Row) -> bool:
        return not any(row[index].partition(b"\0")[2].strip(b"\0") for index in self._texts)

    def _readable(self, row: Row) -> bool:
        """Tell whether texts are padded and UTF-8, and those that fill their fields free of control bytes, which noise is not."""
        texts = [row[index] for index in self._texts]
        if not self._padded(row) or any(len(text.translate(None, _CONTROL)) != len(text) for text in texts if b"\0" not in text):
            return False
        try:
            b" ".join(texts).decode()
        except UnicodeDecodeError:
            return False
        return True

    def _clean(self, row: Row) -> bool:
        return self._padded(row) and not any(len(row[index].translate(None, _CONTROL)) != len(row[index].rstrip(b"\0")) for index in self._texts)

    def _time(self, row: Row) -> tuple[int, int]:
        index = self._index
        if "stamp" in index:
            seconds, micros = divmod(row[index["stamp"]], SECOND)
            return seconds, micros
        return row[index["seconds"]], row[index["microseconds"]] if "microseconds" in index else 0

    def _translate(self, row: Row) -> Fields:
        index = self._index

        def number(field: str) -> int:
            return row[index[field]] if field in index else 0

        def text(field: str) -> bytes:
            return row[index[field]].partition(b"\0")[0] if field in index else b""

        line, ident, user, pid = text("line"), text("id"), text("user"), number("pid")
        kind = self.kinds.get(number("type"), number("type")) if self.kinds else _kind_of(line, user)
        if kind == SIGNATURE:
            kind, user = EMPTY, b""
        else:
            kind, pid, line, ident, user = _as_linux(kind, pid, line, ident, user)
        seconds, micros = self._time(row)
        return (
            kind,
            pid,
            line,
            ident,
            user,
            text("host"),
            seconds,
            micros,
            self._address(row),
            number("session"),
            number("termination"),
            number("exit"),
        )

    def _address(self, row: Row) -> bytes:
        index = self._index
        if "address" in index:
            address: bytes = (row[index["address"]] + NO_ADDRESS)[:16]
            return address
        if "sockaddr" not in index:
            return NO_ADDRESS
        raw: bytes = row[index["sockaddr"]]
        family = raw[1]
        if family == _INET:
            return (raw[4:8] + NO_ADDRESS)[:16]
        return raw[8:24] if family in _INET6 else NO_ADDRESS

    def _untranslate(self, values: dict[str, Any]) -> dict[str, Any]:
        kind: int = values["type"]
        if kind == RUN_LVL and values["user"] == b"shutdown" and DOWN in self._types:
            kind = DOWN
        if self.kinds and kind not in self._types:
            raise ValueError(f"{self}: no record of type {kind} can be written")
        if not self.kinds and kind != _kind_of(values["line"], values["user"]):
            raise ValueError(f"{self}: no record of type {kind} with such a line and user can be written")
        if self.kinds and kind == RUN_LVL and values["user"] != b"shutdown":
            values["line"] = _RUN_LEVEL + bytes((values["pid"] & 255,))
        if "stamp" in self._index:
            values["stamp"] = values["seconds"] * SECOND + values["microseconds"]
        if "sockaddr" in self._index:
            raw: bytes = values["address"]
            if raw != NO_ADDRESS:
                values["sockaddr"] = bytes((28, _INET6[0])) + bytes(6) + raw if raw[4:].strip(b"\0") else bytes((16, _INET, 0, 0)) + raw[:4]
        values["type"] = self._types.get(kind, 0)
        return values

    def _code(self, field: str) -> str:
        return self._offsets[field][1] if field in self._offsets else "0s"

    def _make_checks(self) -> list[tuple[int, bytes]]:
        if not self.kinds:
            return []
        known = bytes(number for number, kind in self.kinds.items() if kind not in (EMPTY, SIGNATURE))
        first, *zeros = self._places("type")
        zeros += self._places("microseconds")[3:] + self._places("stamp")[7:] + self._places("seconds")[5:]
        zeros += self._places("pid")[3:] if self._largest_pid < 1 << 24 else []
        return [(first, known), *((place, b"\0") for place in zeros)]

    def _places(self, field: str) -> list[int]:
        """Return the offsets of a number's bytes, the lowest byte first."""
        if field not in self._offsets:
            return []
        offset, code = self._offsets[field]
        places = range(offset, offset + _SIZES[code])
        return list(places if self.order == "little" else reversed(places))

    def _make_pattern(self) -> tuple[int, Pattern[bytes]]:
        """Return what to look for, and at which offset of a record: the bytes of the type, or of a text where there is none."""
        import re  # noqa: PLC0415 - only where a file is damaged

        if not self._checks:
            return 0, re.compile(rb"[!-~]")
        places = dict(self._checks)
        spots = sorted(self._places("type"))
        return spots[0], re.compile(b"".join(b"[" + b"".join(b"\\x%02x" % byte for byte in places[at]) + b"]" for at in spots))


_NAMES = ("type", "pid", "line", "id", "user", "host", "seconds", "microseconds", "address", "session", "termination", "exit")


def _width(code: str) -> int:
    return int(code[:-1] or 1) if code[-1] in "sx" else _SIZES[code]


def _is_plain_text(*texts: bytes) -> bool:
    """Tell whether texts are of ASCII without blanks, the first is not empty, and not all of them fill their fields."""
    stripped = [text.rstrip(b"\0") for text in texts]
    return bool(stripped[0]) and not any(text.translate(None, _PLAIN_TEXT) for text in stripped) and tuple(stripped) != texts


def _kind_of(line: bytes, user: bytes) -> int:
    """Return the type of a record that has none, by its line and user (utmp(5) of the BSDs)."""
    if line == b"~":
        return RUN_LVL if user == b"shutdown" else BOOT_TIME
    if line == b"|":
        return OLD_TIME
    if line in (b"{", b"}"):
        return NEW_TIME
    return USER_PROCESS if user else DEAD_PROCESS


def _as_linux(kind: int, pid: int, line: bytes, ident: bytes, user: bytes) -> tuple[int, int, bytes, bytes, bytes]:
    """Return what concerns the whole system as Linux writes it."""
    if kind == DOWN:
        return RUN_LVL, 0, b"~", b"~~", b"shutdown"
    if kind == BOOT_TIME:
        return kind, pid, b"~", b"~~", b"reboot"
    if kind == RUN_LVL and user != b"shutdown":
        if line.startswith(_RUN_LEVEL):
            level = line[len(_RUN_LEVEL) :]
            pid = pid & ~255 | level[0] if level else pid
        return kind, pid, b"~", b"~~", b"runlevel"
    if kind == RUN_LVL:
        return kind, 0, b"~", b"~~", user
    if kind in (OLD_TIME, NEW_TIME):
        return kind, pid, b"|" if kind == OLD_TIME else b"{", b"~~", b"date"
    return kind, pid, line, ident, user
