# SPDX-License-Identifier: BSD-2-Clause
"""Entry: one row of the login history. No I/O."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    # A row of the file, and a line of history, which has the same shape: what ended it (`End`; 0 in rows, which nobody has judged yet), user, tty,
    # host, service, login (µs), logout (µs, None where there is none), ID (None of a line that is of no row), type. Text is bytes, so that what is
    # not UTF-8 can be shown too.
    Row = tuple[int, bytes, bytes | None, bytes | None, bytes | None, int, int | None, int, int]
    Line = tuple[int, bytes, bytes | None, bytes | None, bytes | None, int, int | None, int | None, int]

SECOND = 1_000_000
"""Microseconds in a second."""

_LARGEST = 2**63 - 1


def now() -> int:
    """Return the time of the system's clock in µs since the epoch."""
    return time.time_ns() // 1000


class EntryType:
    """The values of the column Type, as the C project wtmpdb defined them, and one of listings."""

    EMPTY = 0
    BOOT_TIME = 1
    RUNLEVEL = 2
    USER_PROCESS = 3
    SHUTDOWN = 254
    """Never stored: the line that is listed for the end of a boot."""


CLOCK_TTYS = (b"old time", b"new time")
"""The ttys of rows of the type RUNLEVEL that tell that the clock was set: the time before, and after."""


class End:
    """How a session or a boot ended; worked out when it is listed, never stored."""

    LOGOUT = 0
    """By its logout, or its shutdown, as stored."""
    DOWN = 1
    """With its boot, which was shut down."""
    CRASH = 2
    """With its boot, which was not."""
    RUNNING = 3
    """Not yet: this very boot."""
    STILL = 4
    """Not yet: still logged in."""
    GONE = 5
    """Somehow: it is not there any more."""
    UNKNOWN = 6
    """Nobody can say; shown as still logged in."""

    CLOCK = 7
    """Not at all: it is no stretch of time, it tells that the clock was set. In lines stands beside it when the next shutdown came."""

    WORDS = ("logout", "down", "crash", "running", "logged in", "gone", "unknown", "clock")


class Entry:
    """One session or boot.

    ``login`` and ``logout`` are µs since the epoch, UTC; ``logout`` is None while nobody has recorded the end.
    """

    __slots__ = ("host", "id", "login", "logout", "service", "tty", "type", "user")

    def __init__(
        self,
        *,
        user: str,
        login: int,
        logout: int | None = None,
        tty: str | None = None,
        host: str | None = None,
        service: str | None = None,
        type: int = EntryType.USER_PROCESS,  # noqa: A002 - the field's own name
        id: int | None = None,  # noqa: A002 - the field's own name
    ) -> None:
        """Make an entry; only ``user`` and ``login`` have no default."""
        self.id = id
        self.type = type
        self.user = user
        self.login = login
        self.logout = logout
        self.tty = tty
        self.host = host
        self.service = service

    def _fields(self) -> Mapping[str, object]:
        return {name: getattr(self, name) for name in self.__slots__}

    def __eq__(self, other: object) -> bool:
        """Two entries are equal when all fields are."""
        return isinstance(other, Entry) and self._fields() == other._fields()

    __hash__ = None  # type: ignore[assignment]  # entries can be changed

    def __repr__(self) -> str:
        """Show all fields by name."""
        return f"Entry({', '.join(f'{name}={value!r}' for name, value in self._fields().items())})"


def as_time(value: object) -> int | None:
    """Return a time as stored, or None for NULL; what damage made of it (text, a fraction) becomes a number, or 0."""
    if value is None or type(value) is int:
        return value
    try:
        return max(-_LARGEST, min(int(value), _LARGEST))  # type: ignore[call-overload, no-any-return]  # any type may stand in a damaged row
    except (TypeError, ValueError, OverflowError):
        return 0


def as_text(value: object) -> bytes:
    """Return the text of a column as bytes; NULL is empty."""
    if type(value) is bytes:
        return value
    return b"" if value is None else str(value).encode("utf-8", "surrogateescape")


def clean(row: Row) -> Row:
    """Return the row with the types that it should have, whatever stood in the file."""
    how, user, tty, host, service, login, logout, ident, type_ = row
    return (how, as_text(user), _bytes(tty), _bytes(host), _bytes(service), as_time(login) or 0, as_time(logout), ident, as_time(type_) or 0)


def _bytes(value: object) -> bytes | None:
    return None if value is None else as_text(value)


def entry_of(row: Row) -> Entry:
    """Turn a row into an Entry; bytes that are not UTF-8 become surrogate escapes."""
    _, user, tty, host, service, login, logout, ident, type_ = row
    return Entry(
        id=ident,
        type=type_,
        user=user.decode("utf-8", "surrogateescape"),
        login=login,
        logout=logout or None,
        tty=_text(tty),
        host=_text(host),
        service=_text(service),
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "surrogateescape")
