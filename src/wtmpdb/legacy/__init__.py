# SPDX-License-Identifier: BSD-2-Clause
"""Everything that was ever written: the login-accounting files (wtmp, btmp, utmp) of old systems, read only.

The public names are loaded when they are first used. ``docs/library.md`` shows them at work.

    >>> from wtmpdb import legacy
    >>> line = b"[7] [00123] [ts/0] [alice   ] [pts/0       ] [192.0.2.7           ] [192.0.2.7      ] [2024-02-20T09:00:00,123456+00:00]"
    >>> for record in legacy.decode(line):
    ...     print(record.user, record.line, record.address, record.time)
    alice pts/0 192.0.2.7 1708419600123456
"""

from __future__ import annotations

import sys

_HOMES = {
    "Attempt": "wtmpdb.legacy.analysis",
    "FailedLogins": "wtmpdb.legacy.analysis",
    "Finding": "wtmpdb.legacy.findings",
    "Inspector": "wtmpdb.legacy.findings",
    "Jump": "wtmpdb.legacy.analysis",
    "LAYOUTS": "wtmpdb.legacy.layouts",
    "Layout": "wtmpdb.legacy.fixed",
    "LegacyError": "wtmpdb.legacy.errors",
    "LegacyFile": "wtmpdb.legacy.reader",
    "Live": "wtmpdb.legacy.analysis",
    "Reader": "wtmpdb.legacy.library",
    "Record": "wtmpdb.legacy.record",
    "RefusedError": "wtmpdb.legacy.sources",
    "Session": "wtmpdb.legacy.sessions",
    "Source": "wtmpdb.legacy.sources",
    "Summary": "wtmpdb.legacy.importer",
    "UnrecognisedError": "wtmpdb.legacy.errors",
    "Window": "wtmpdb.legacy.analysis",
    "bring_in": "wtmpdb.legacy.importer",
    "decode": "wtmpdb.legacy.library",
    "default_files": "wtmpdb.legacy.sources",
    "encode": "wtmpdb.legacy.library",
    "failed_logins": "wtmpdb.legacy.analysis",
    "inspect": "wtmpdb.legacy.findings",
    "live_users": "wtmpdb.legacy.analysis",
    "look_at": "wtmpdb.legacy.sources",
    "open_file": "wtmpdb.legacy.reader",
    "read": "wtmpdb.legacy.library",
    "read_files": "wtmpdb.legacy.library",
    "sessions": "wtmpdb.legacy.sessions",
    "windows": "wtmpdb.legacy.analysis",
}

__all__ = [
    "LAYOUTS",
    "Attempt",
    "FailedLogins",
    "Finding",
    "Inspector",
    "Jump",
    "Layout",
    "LegacyError",
    "LegacyFile",
    "Live",
    "Reader",
    "Record",
    "RefusedError",
    "Session",
    "Source",
    "Summary",
    "UnrecognisedError",
    "Window",
    "bring_in",
    "decode",
    "default_files",
    "encode",
    "failed_logins",
    "inspect",
    "live_users",
    "look_at",
    "open_file",
    "read",
    "read_files",
    "sessions",
    "windows",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from wtmpdb.legacy.analysis import Attempt, FailedLogins, Jump, Live, Window, failed_logins, live_users, windows
    from wtmpdb.legacy.errors import LegacyError, UnrecognisedError
    from wtmpdb.legacy.findings import Finding, Inspector, inspect
    from wtmpdb.legacy.fixed import Layout
    from wtmpdb.legacy.importer import Summary, bring_in
    from wtmpdb.legacy.layouts import LAYOUTS
    from wtmpdb.legacy.library import Reader, decode, encode, read, read_files
    from wtmpdb.legacy.reader import LegacyFile, open_file
    from wtmpdb.legacy.record import Record
    from wtmpdb.legacy.sessions import Session, sessions
    from wtmpdb.legacy.sources import RefusedError, Source, default_files, look_at
else:
    ModuleType = type(sys)


class _Package(ModuleType):
    """The package, in which ``sessions`` is the function, also once the module of that name is imported, which would set the name."""

    def __setattr__(self, name: str, value: object) -> None:
        if name != "sessions":
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    """Name what is public."""
    return __all__


def __getattr__(name: str) -> object:
    """Load a public name (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'wtmpdb.legacy' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only when a name is asked for

    return getattr(import_module(_HOMES[name]), name)
