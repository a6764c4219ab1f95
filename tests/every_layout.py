# SPDX-License-Identifier: BSD-2-Clause
"""Files of every layout for tests: what a machine would have written, and anything that a layout can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from wtmpdb.legacy.fixed import DOWN, SIGNATURE, FixedLayout
from wtmpdb.legacy.layouts import FIXED, LAYOUTS
from wtmpdb.legacy.library import encode
from wtmpdb.legacy.record import BOOT_TIME, DEAD_PROCESS, EMPTY, NEW_TIME, NO_ADDRESS, OLD_TIME, RUN_LVL, USER_PROCESS, Fields

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wtmpdb.legacy.fixed import Layout

BEGIN = 1_709_294_400
WRITABLE = [name for name in LAYOUTS if name != "wtmpdb"]

_SYSTEM = {BOOT_TIME: b"reboot", RUN_LVL: b"runlevel", DOWN: b"shutdown", OLD_TIME: b"date", NEW_TIME: b"date"}
_LINES = {OLD_TIME: b"|", NEW_TIME: b"{"}
_RANGES = {"h": (-(2**15), 2**15 - 1), "H": (0, 2**16 - 1), "i": (-(2**31), 2**31 - 1), "I": (0, 2**32 - 1), "q": (-(2**63), 2**63 - 1)}


def make(kind: int, user: bytes, line: bytes, at: int, *, host: bytes = b"", pid: int = 0, ident: bytes = b"", micros: int = 0) -> Fields:
    """Return a record as a program would write it."""
    return (kind, pid, line, ident or line[-4:], user, host, at, micros, NO_ADDRESS, 0, 0, 0)


def history(count: int) -> list[Fields]:
    """Return a boot and logins and logouts after it, fit for every layout."""
    records = [make(BOOT_TIME, b"reboot", b"~", BEGIN, host=b"6.1.0-18", ident=b"~~")]
    for nth in range(1, count):
        line = b"pts/%d" % ((nth - 1) // 2 % 20)
        if nth % 2:
            records.append(make(USER_PROCESS, b"user%d" % (nth % 7), line, BEGIN + 60 * nth, host=b"192.0.2.%d" % (nth % 250), pid=500 + nth))
        else:
            records.append(make(DEAD_PROCESS, b"", line, BEGIN + 60 * nth, pid=499 + nth))
    return records[:count]


def content(layout: Layout | str, records: Iterable[Fields]) -> bytes:
    """Return a file of a layout."""
    found = LAYOUTS[layout] if isinstance(layout, str) else layout
    signature = found.make_signature() if isinstance(found, FixedLayout) else b""
    return signature + b"".join(encode(found, fields) for fields in records)


def _text(layout: FixedLayout, field: str) -> st.SearchStrategy[bytes]:
    if field not in layout._offsets:
        return st.just(b"")
    width = int(layout._offsets[field][1][:-1])
    return st.binary(max_size=width).map(lambda raw: raw.replace(b"\0", b"\xff"))


def _number(layout: FixedLayout, field: str) -> st.SearchStrategy[int]:
    return st.integers(*_RANGES[layout._offsets[field][1]]) if field in layout._offsets else st.just(0)


def _address(layout: FixedLayout) -> st.SearchStrategy[bytes]:
    four = st.binary(min_size=4, max_size=4).map(lambda raw: raw + bytes(12))
    if "address" in layout._offsets:
        return st.binary(min_size=16, max_size=16) if layout._offsets["address"][1] == "16s" else four
    if "sockaddr" in layout._offsets:
        return st.one_of(four, st.binary(min_size=16, max_size=16).filter(lambda raw: bool(raw[4:].strip(b"\0"))))
    return st.just(NO_ADDRESS)


@st.composite
def any_fields(draw: st.DrawFn, name: str) -> Fields:
    """Draw a record that a layout can hold in full."""
    layout = FIXED[name]
    kinds = [kind for kind in layout._types if kind not in (SIGNATURE, EMPTY)] or [USER_PROCESS, DEAD_PROCESS, *_SYSTEM]
    kind, pid = draw(st.sampled_from(kinds)), draw(_number(layout, "pid"))
    line, ident, user, host = (draw(_text(layout, field)) for field in ("line", "id", "user", "host"))
    if not layout.kinds:
        kind = DOWN if kind == RUN_LVL else kind
        line = b"tty" + line[:4]
        user = b"" if kind == DEAD_PROCESS else user or b"someone"
    if kind in _SYSTEM and not layout.is_plain:
        line, ident, user = _LINES.get(kind, b"~"), b"~~", _SYSTEM[kind]
        pid = draw(st.integers(33, 126)) if kind == RUN_LVL else 0
    if "stamp" in layout._offsets:
        seconds, micros = draw(st.integers(0, 2**40)), draw(st.integers(0, 999_999))
    else:
        seconds, micros = draw(_number(layout, "seconds")), draw(_number(layout, "microseconds"))
    numbers = [draw(_number(layout, field)) for field in ("session", "termination", "exit")]
    kind = RUN_LVL if kind == DOWN else kind
    return (kind, pid, line, ident, user, host, seconds, micros, draw(_address(layout)), numbers[0], numbers[1], numbers[2])
