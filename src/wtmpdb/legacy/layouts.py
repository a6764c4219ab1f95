# SPDX-License-Identifier: BSD-2-Clause
"""The layouts of login-accounting files: one table.

Text is padded with NULs and need not end with one. Seconds of 32 bits are unsigned (as in glibc since 2.40), and so good to 2106.
"""

from __future__ import annotations

from wtmpdb.legacy.errors import LegacyError
from wtmpdb.legacy.fixed import FREEBSD, LINUX, NETBSD, SOLARIS, SYSTEM_V, TYPELESS, FixedLayout, Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_GLIBC = "i:pid 32s:line 4s:id 32s:user 256s:host h:termination h:exit"
_NETBSD = "32s:user 4s:id 32s:line 256s:host H:session H:type i:pid H:termination H:exit 128s:sockaddr"
_BOTH = ("little", "big")
_FUTX = "B:type Q:stamp 8s:id I:pid 32s:user 16s:line 128s:host"

# name, byte orders, values (see `fixed`), types, source
_TABLE = (
    (
        "glibc-384",
        _BOTH,
        f"h:type 2x {_GLIBC} i:session I:seconds i:microseconds 16s:address 20s:reserved",
        LINUX,
        "glibc bits/utmp.h, sysdeps/x86/utmp-size.h: x86, arm, powerpc, riscv, mips, sparc, hppa, sh",
    ),
    (
        "glibc-400",
        _BOTH,
        f"h:type 2x {_GLIBC} q:session q:seconds q:microseconds 16s:address 20s:reserved 4x",
        LINUX,
        "glibc sysdeps/generic/utmp-size.h: aarch64, s390x, loongarch64, alpha; musl include/utmpx.h with utmps on 64-bit machines and on arm",
    ),
    (
        "glibc-392",
        _BOTH,
        f"h:type 2x {_GLIBC} i:session q:seconds q:microseconds 16s:address 20s:reserved",
        LINUX,
        "glibc sysdeps/arc/utmp-size.h, sysdeps/or1k/utmp-size.h; musl include/utmpx.h with utmps on i386",
    ),
    (
        "glibc-382",
        ("big",),
        f"h:type {_GLIBC} i:session I:seconds i:microseconds 16s:address 20s:reserved",
        LINUX,
        "glibc sysdeps/m68k/utmp-size.h: two-byte alignment",
    ),
    (
        "libc5",
        ("little",),
        "h:type 2x i:pid 12s:line 4s:id I:seconds 8s:user 16s:host 4s:address",
        LINUX,
        "sysvinit src/oldutmp.h; what `last -o` reads",
    ),
    (
        "netbsd-64",
        _BOTH,
        f"{_NETBSD} q:seconds i:microseconds 4s:reserved_pad 40s:reserved",
        NETBSD,
        "NetBSD include/utmpx.h, LP64: 64-bit time, version 2.00",
    ),
    (
        "netbsd-32",
        _BOTH,
        f"{_NETBSD} q:seconds i:microseconds 40s:reserved",
        NETBSD,
        "NetBSD include/utmpx.h, ILP32 with natural alignment of four bytes: 64-bit time, version 2.00",
    ),
    (
        "netbsd-v1-64",
        _BOTH,
        f"{_NETBSD} q:seconds q:microseconds 40s:reserved",
        NETBSD,
        "NetBSD lib/libc/gen/utmpx.c old2new(), LP64: two longs, version 1.00",
    ),
    (
        "netbsd-v1-32",
        _BOTH,
        f"{_NETBSD} I:seconds i:microseconds 4x 40s:reserved",
        NETBSD,
        "NetBSD lib/libc/gen/utmpx.c old2new(), ILP32: two longs, version 1.00, as continued by NetBSD 5 and later",
    ),
    (
        "netbsd-v1-32-old",
        _BOTH,
        f"{_NETBSD} I:seconds i:microseconds 40s:reserved",
        NETBSD,
        "NetBSD include/utmpx.h before 5.0, ILP32: two longs, version 1.00",
    ),
    (
        "solaris",
        _BOTH,
        "32s:user 4s:id 32s:line i:pid h:type h:termination h:exit 2x I:seconds i:microseconds i:session 20s:reserved h:syslen 257s:host x",
        SOLARIS,
        "illumos usr/src/head/utmpx.h struct futmpx: wtmpx of Solaris and illumos, SPARC big-endian, x86 little-endian",
    ),
    (
        "macos",
        ("little", "big"),
        "256s:user 4s:id 32s:line i:pid h:type 2x I:seconds i:microseconds 256s:host 64s:reserved",
        NETBSD,
        "apple-oss-distributions Libc gen/utmpx-darwin.c struct utmpx32",
    ),
    (
        "aix",
        ("big",),
        "256s:user 14s:id 64s:line 2x i:pid h:type 2x q:seconds h:termination h:exit 256s:host 36s:reserved",
        SYSTEM_V,
        "AIX /usr/include/utmp.h, IBM's documentation of utmp.h; naturally aligned; another reader packs it to 644 bytes",
    ),
    (
        "hpux-wtmps",
        ("big",),
        "4x 257s:user 3x i:pid 4s:id 65s:line x h:type 12x I:seconds 24x 257s:host 15x",
        SYSTEM_V,
        "araqne WtmpEntryParserHpUx, a third party: wtmps and btmps of HP-UX 11.23 and later",
    ),
    (
        "hpux",
        ("big",),
        "8s:user 4s:id 12s:line i:pid h:type h:termination h:exit 2s:reserved I:seconds 16s:host 4s:address",
        SYSTEM_V,
        "HP-UX utmp(4)",
    ),
    ("freebsd-active", ("big",), _FUTX, FREEBSD, "FreeBSD lib/libc/gen/utxdb.h struct futx: utx.active, utx.lastlogin"),
    ("openbsd", _BOTH, "8s:line 32s:user 256s:host q:seconds", TYPELESS, "OpenBSD include/utmp.h since 5.5 (64-bit time)"),
    ("bsd-40", _BOTH, "8s:line 8s:user 16s:host q:seconds", TYPELESS, "NetBSD include/utmp.h, LP64: wtmp as in 4.3BSD"),
    ("bsd-36", _BOTH, "8s:line 8s:user 16s:host I:seconds", TYPELESS, "4.3BSD utmp(5); NetBSD and OpenBSD include/utmp.h with 32-bit time"),
)

SIGNATURES = {"netbsd-64": b"utmpx-2.00", "netbsd-32": b"utmpx-2.00", "macos": b"utmpx-1.00"}
SIGNATURES |= dict.fromkeys(("netbsd-v1-64", "netbsd-v1-32", "netbsd-v1-32-old"), b"utmpx-1.00")
_LARGEST_PIDS = {"aix": 1 << 30, "hpux": 1 << 30, "hpux-wtmps": 1 << 30, "freebsd-active": 99999}
_UNVERIFIED = ("aix", "hpux", "hpux-wtmps")


def _fixed() -> Iterator[FixedLayout]:
    for name, orders, values, kinds, source in _TABLE:
        for order in orders:
            signature, pid = SIGNATURES.get(name, b""), _LARGEST_PIDS.get(name, 1 << 22)
            yield FixedLayout(name, order, values, kinds, source, signature=signature, largest_pid=pid, verified=name not in _UNVERIFIED)


FREEBSD_LOG = Layout("freebsd", "FreeBSD lib/libc/gen/getutxent.c, pututxline.c: utx.log, records of struct futx with their length before them")
UTMPDUMP = Layout("utmpdump", "util-linux login-utils/utmpdump.c: one line of text a record")
WTMPDB = Layout("wtmpdb", "wtmpdb include/wtmpdb.h: SQLite, table wtmp")

FIXED = {str(layout): layout for layout in _fixed()}
"""The layouts with records of one size, by name and byte order (``glibc-384-le``)."""

LAYOUTS: dict[str, Layout] = {**FIXED, **{str(layout): layout for layout in (FREEBSD_LOG, UTMPDUMP, WTMPDB)}}
"""All layouts."""

ALIASES = {"musl": "glibc-400", "musl-392": "glibc-392", "utmps": "glibc-400", "illumos": "solaris", "netbsd": "netbsd-64"}


def native() -> FixedLayout:
    """Return the layout of glibc on most machines of this byte order: what a file that says nothing is taken for."""
    import sys  # noqa: PLC0415 - always loaded

    return FIXED[f"glibc-384-{sys.byteorder[0]}e"]


def choose(name: str | None, byte_order: str | None) -> list[Layout]:
    """Return the layouts that a name (with or without byte order) and a byte order ("little", "big") leave.

    Raises LegacyError when there is none.
    """
    if byte_order not in (None, "little", "big"):
        raise LegacyError(f"{byte_order}: unknown byte order", hint="little or big")
    wanted = ALIASES.get(name, name) if name else None
    found = [
        layout
        for layout in LAYOUTS.values()
        if (wanted in (None, layout.name, str(layout))) and (byte_order is None or layout.order in ("", byte_order))
    ]
    if not found:
        known = sorted({layout.name for layout in LAYOUTS.values()})
        raise LegacyError(f"{name}: unknown layout" + (f" of byte order {byte_order}" if byte_order else ""), hint=", ".join(known))
    return found
