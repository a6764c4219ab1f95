# SPDX-License-Identifier: BSD-2-Clause
"""Everything that was ever written: the login-accounting files (wtmp, btmp, utmp) of old systems, read only.

The public names are loaded when they are first used.

    >>> from wtmpdb import legacy
    >>> line = b"[7] [00123] [ts/0] [alice   ] [pts/0       ] [192.0.2.7           ] [192.0.2.7      ] [2024-02-20T09:00:00,123456+00:00]"
    >>> for record in legacy.decode(line):
    ...     print(record.user, record.line, record.address, record.time)
    alice pts/0 192.0.2.7 1708419600123456
"""

from __future__ import annotations

_HOMES = {
    "LAYOUTS": "wtmpdb.legacy.layouts",
    "Layout": "wtmpdb.legacy.fixed",
    "LegacyError": "wtmpdb.legacy.errors",
    "LegacyFile": "wtmpdb.legacy.reader",
    "Reader": "wtmpdb.legacy.library",
    "Record": "wtmpdb.legacy.record",
    "UnrecognisedError": "wtmpdb.legacy.errors",
    "decode": "wtmpdb.legacy.library",
    "encode": "wtmpdb.legacy.library",
    "open_file": "wtmpdb.legacy.reader",
    "read": "wtmpdb.legacy.library",
    "read_files": "wtmpdb.legacy.library",
}

__all__ = [
    "LAYOUTS",
    "Layout",
    "LegacyError",
    "LegacyFile",
    "Reader",
    "Record",
    "UnrecognisedError",
    "decode",
    "encode",
    "open_file",
    "read",
    "read_files",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wtmpdb.legacy.errors import LegacyError, UnrecognisedError
    from wtmpdb.legacy.fixed import Layout
    from wtmpdb.legacy.layouts import LAYOUTS
    from wtmpdb.legacy.library import Reader, decode, encode, read, read_files
    from wtmpdb.legacy.reader import LegacyFile, open_file
    from wtmpdb.legacy.record import Record


def __dir__() -> list[str]:
    """Name what is public."""
    return __all__


def __getattr__(name: str) -> object:
    """Load a public name (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'wtmpdb.legacy' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only when a name is asked for

    return getattr(import_module(_HOMES[name]), name)
