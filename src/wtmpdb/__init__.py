# SPDX-License-Identifier: BSD-2-Clause
"""wtmpdb: the login history of a machine, past 2038.

The public names are loaded when they are first used: importing the package costs nothing.

    >>> import wtmpdb
    >>> with wtmpdb.Log.read("/var/lib/wtmpdb/wtmp.db") as log:  # doctest: +SKIP
    ...     for entry in log.entries():
    ...         print(entry.user, entry.login)
"""

from __future__ import annotations

__version__ = "0.1.0"

_HOMES = {
    "BusyLogError": "wtmpdb.errors",
    "DamagedLogError": "wtmpdb.errors",
    "End": "wtmpdb.entry",
    "Entry": "wtmpdb.entry",
    "EntryType": "wtmpdb.entry",
    "Event": "wtmpdb.event",
    "History": "wtmpdb.history",
    "Log": "wtmpdb.log",
    "LogError": "wtmpdb.errors",
    "NoLogError": "wtmpdb.errors",
    "Spool": "wtmpdb.spool",
    "System": "wtmpdb.system",
    "WtmpdbError": "wtmpdb.errors",
}

__all__ = [
    "BusyLogError",
    "DamagedLogError",
    "End",
    "Entry",
    "EntryType",
    "Event",
    "History",
    "Log",
    "LogError",
    "NoLogError",
    "Spool",
    "System",
    "WtmpdbError",
    "__version__",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wtmpdb.entry import End, Entry, EntryType
    from wtmpdb.errors import BusyLogError, DamagedLogError, LogError, NoLogError, WtmpdbError
    from wtmpdb.event import Event
    from wtmpdb.history import History
    from wtmpdb.log import Log
    from wtmpdb.spool import Spool
    from wtmpdb.system import System


def __dir__() -> list[str]:
    """Name what is public."""
    return __all__


def __getattr__(name: str) -> object:
    """Load a public name (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'wtmpdb' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only when a name is asked for

    return getattr(import_module(_HOMES[name]), name)
