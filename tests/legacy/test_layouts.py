# SPDX-License-Identifier: BSD-2-Clause
"""The table of layouts: every record comes back as it was written, and every field lies where its system has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from every_layout import any_fields, content, history, make
from wtmpdb.legacy import decode, encode
from wtmpdb.legacy.errors import LegacyError
from wtmpdb.legacy.layouts import FIXED, LAYOUTS, choose
from wtmpdb.legacy.record import BOOT_TIME, DEAD_PROCESS, LOGIN_PROCESS, NEW_TIME, NO_ADDRESS, OLD_TIME, RUN_LVL, USER_PROCESS

SIZES = {
    "glibc-384": 384,
    "glibc-400": 400,
    "glibc-392": 392,
    "glibc-382": 382,
    "libc5": 56,
    "netbsd-64": 520,
    "netbsd-32": 516,
    "netbsd-v1-64": 520,
    "netbsd-v1-32": 516,
    "netbsd-v1-32-old": 512,
    "solaris": 372,
    "macos": 628,
    "aix": 648,
    "hpux-wtmps": 652,
    "hpux": 60,
    "freebsd-active": 197,
    "openbsd": 304,
    "bsd-40": 40,
    "bsd-36": 36,
}

# Where the headers and manuals put the fields: line, user, host, seconds, type.
OFFSETS = {
    "glibc-384": (8, 44, 76, 340, 0),
    "glibc-400": (8, 44, 76, 344, 0),
    "glibc-392": (8, 44, 76, 340, 0),
    "glibc-382": (6, 42, 74, 338, 0),
    "libc5": (8, 28, 36, 24, 0),
    "netbsd-64": (36, 0, 68, 464, 326),
    "netbsd-32": (36, 0, 68, 464, 326),
    "netbsd-v1-64": (36, 0, 68, 464, 326),
    "netbsd-v1-32": (36, 0, 68, 464, 326),
    "netbsd-v1-32-old": (36, 0, 68, 464, 326),
    "solaris": (36, 0, 114, 80, 72),
    "macos": (260, 0, 308, 300, 296),
    "aix": (270, 0, 356, 344, 340),
    "hpux-wtmps": (272, 4, 380, 352, 338),
    "hpux": (12, 0, 40, 36, 28),
    "openbsd": (0, 8, 40, 296, None),
    "bsd-40": (0, 8, 16, 32, None),
    "bsd-36": (0, 8, 16, 32, None),
}


@pytest.mark.parametrize("name", FIXED)
@given(data=st.data())
def test_round_trip(name: str, data: st.DataObject) -> None:
    """What a layout can hold comes back unchanged, whatever bytes the texts are made of."""
    fields = data.draw(any_fields(name))
    raw = FIXED[name].encode(fields)
    assert len(raw) == FIXED[name].size
    assert FIXED[name].decode(raw) == [fields]


@pytest.mark.parametrize("name", FIXED)
def test_sizes(name: str) -> None:
    """Records are of the size that their systems give them."""
    assert FIXED[name].size == SIZES[FIXED[name].name]


@pytest.mark.parametrize("name", [name for name, layout in FIXED.items() if layout.name in OFFSETS])
def test_places(name: str) -> None:
    """Fields lie where the headers of their systems put them, in the byte order of the layout."""
    layout = FIXED[name]
    raw = layout.encode(make(USER_PROCESS, b"USER", b"LINE", 0x01020304, host=b"HOST", ident=b"ID"))
    line, user, host, seconds, kind = OFFSETS[layout.name]
    assert (raw.index(b"LINE"), raw.index(b"USER"), raw.index(b"HOST")) == (line, user, host)
    wide = layout._offsets["seconds"][1] == "q"
    expected = (0x01020304).to_bytes(8 if wide else 4, layout.order)  # type: ignore[arg-type]  # little or big
    assert raw[seconds : seconds + len(expected)] == expected
    if kind is not None:
        assert raw[kind : kind + 2] == (7).to_bytes(2, layout.order)  # type: ignore[arg-type]


def test_real_offsets_of_freebsd() -> None:
    """Struct futx is packed and big-endian: type, µs, id, pid, user, line, host."""
    raw = FIXED["freebsd-active-be"].encode(make(USER_PROCESS, b"alice", b"pts/0", 1, host=b"h", pid=258, ident=b"id", micros=5))
    assert raw[0] == 4
    assert raw[1:9] == (1_000_005).to_bytes(8, "big")
    assert (raw[9:11], raw[17:21], raw[21:26], raw[53:58], raw[69:70]) == (b"id", bytes((0, 0, 1, 2)), b"alice", b"pts/0", b"h")


def test_unsigned_seconds() -> None:
    """32 bits of seconds reach to 2106."""
    at = 2**32 - 1
    assert decode(encode("glibc-384-le", make(USER_PROCESS, b"a", b"tty1", at)))[0].time == at * 1_000_000


@pytest.mark.parametrize("name", ["netbsd-64-le", "solaris-be", "macos-le"])
def test_shutdown(name: str) -> None:
    """A shutdown that has a type of its own reads as Linux's shutdown, which stands on a line of its own kind."""
    raw = FIXED[name].encode(make(RUN_LVL, b"shutdown", b"~", 1))
    assert raw[FIXED[name]._places("type")[0]] == {"netbsd-64-le": 11, "solaris-be": 10, "macos-le": 11}[name]
    assert FIXED[name].decode(raw)[0][:5] == (RUN_LVL, 0, b"~", b"~~", b"shutdown")


@pytest.mark.parametrize(("kind", "number"), [(OLD_TIME, 3), (NEW_TIME, 4), (USER_PROCESS, 7), (DEAD_PROCESS, 8)])
def test_numbers_of_system_v(kind: int, number: int) -> None:
    """Other systems count the changes of the clock the other way round."""
    layout = FIXED["solaris-le"]
    raw = layout.encode(make(kind, b"alice", b"console", 1))
    assert raw[72] == number
    assert layout.decode(raw)[0][0] == kind


def test_run_level_of_solaris() -> None:
    """The level stands in the line there, and in the pid here."""
    layout = FIXED["solaris-be"]
    raw = layout.encode(make(RUN_LVL, b"runlevel", b"~", 1, pid=ord("3")))
    assert b"run-level 3\0" in raw
    assert layout.decode(raw)[0][1:5] == (ord("3"), b"~", b"~~", b"runlevel")


def test_types_of_bsd() -> None:
    """Where records have no type, line and user tell it."""
    layout = FIXED["openbsd-le"]
    read = [layout.decode(layout.encode(fields))[0] for fields in history(3)]
    assert [fields[0] for fields in read] == [BOOT_TIME, USER_PROCESS, DEAD_PROCESS]
    shutdown = layout.encode(make(RUN_LVL, b"shutdown", b"~", 1))
    assert layout.decode(shutdown)[0][:5] == (RUN_LVL, 0, b"~", b"~~", b"shutdown")


@pytest.mark.parametrize(
    ("layout", "fields"),
    [
        ("openbsd-le", make(LOGIN_PROCESS, b"LOGIN", b"tty1", 1)),
        ("solaris-le", make(77, b"x", b"tty1", 1)),
        ("glibc-384-le", make(USER_PROCESS, b"x", b"tty1", 2**32)),
        ("wtmpdb", make(USER_PROCESS, b"x", b"tty1", 1)),
        ("nothing", make(USER_PROCESS, b"x", b"tty1", 1)),
    ],
)
def test_cannot_hold(layout: str, fields: tuple) -> None:  # type: ignore[type-arg]
    """What a layout cannot hold is refused, not bent."""
    with pytest.raises(ValueError, match=layout):
        encode(layout, fields)


def test_sources() -> None:
    """Every layout says where its facts are from, and those that nobody has verified are marked."""
    assert all(len(layout.source) > 10 for layout in LAYOUTS.values())
    assert {layout.name for layout in LAYOUTS.values() if not layout.verified} == {"aix", "hpux", "hpux-wtmps"}


@pytest.mark.parametrize("name", ["netbsd-64-le", "netbsd-v1-32-be"])
@pytest.mark.parametrize("address", [bytes((192, 0, 2, 7)) + bytes(12), bytes.fromhex("20010db8000000000000000000000001"), NO_ADDRESS])
def test_socket_addresses(name: str, address: bytes) -> None:
    """The address of a socket is normalised to sixteen bytes."""
    fields = (*make(USER_PROCESS, b"a", b"pts/0", 1)[:8], address, 0, 0, 0)
    assert FIXED[name].decode(FIXED[name].encode(fields))[0][8] == address


def test_freebsd_logout_gets_its_line() -> None:
    """FreeBSD's logout has only the id of the login: it gets the line of that, until the machine goes down."""
    login = make(USER_PROCESS, b"alice", b"pts/0", 10, ident=b"\x01\x02\x00\x03", pid=5)
    logout = make(DEAD_PROCESS, b"", b"", 20, ident=b"\x01\x02\x00\x03", pid=5)
    down = make(RUN_LVL, b"shutdown", b"~", 15)
    assert [record.line for record in decode(content("freebsd", [login, logout, logout]))] == ["pts/0", "pts/0", ""]
    assert [record.line for record in decode(content("freebsd", [login, down, logout]))] == ["pts/0", "~", ""]


def test_choice() -> None:
    """A layout can be named with or without its byte order, and by what else it is called."""
    assert list(map(str, choose("glibc-384", None))) == ["glibc-384-le", "glibc-384-be"]
    assert list(map(str, choose("glibc-384", "big"))) == list(map(str, choose("glibc-384-be", None))) == ["glibc-384-be"]
    assert list(map(str, choose("musl", "little"))) == ["glibc-400-le"]
    assert set(LAYOUTS.values()) == set(choose(None, None))
    for name, order in (("glibc", None), ("aix", "little"), ("aix", "middle")):
        with pytest.raises(LegacyError, match="unknown"):
            choose(name, order)
