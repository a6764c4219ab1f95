# SPDX-License-Identifier: BSD-2-Clause
"""What records tell beyond sessions: when the machine was up, who failed to log in, who is on. No I/O of its own.

>>> from wtmpdb.legacy.reader import open_file
>>> with open_file("/var/log/btmp") as file:  # doctest: +SKIP
...     print(failed_logins(file).by_host().most_common(10))
"""

from __future__ import annotations

from collections import Counter
from sys import intern
from typing import TYPE_CHECKING, NamedTuple

from wtmpdb.entry import EntryType
from wtmpdb.legacy.pairing import meaning, moment
from wtmpdb.legacy.record import BOOT_TIME, NEW_TIME, OLD_TIME, RUN_LVL, USER_PROCESS, Record, address_text
from wtmpdb.legacy.sessions import REBOOT, SHUTDOWN, STILL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MOST_JUMPS = 10_000
"""So many changes of the clock are kept of one window."""

_HALTS = b"06"


class Jump(NamedTuple):
    """The clock was set: what it showed before and after, µs since the epoch; None where no record tells."""

    before: int | None
    after: int | None


class Window:
    """A stretch of time in which the machine was up.

    ``start`` and ``stop`` are µs since the epoch, UTC, by the clock of then; ``start`` is None where the boot is not among the records, ``stop``
    where it is not over. ``end`` is how it ended: SHUTDOWN, REBOOT or STILL of `wtmpdb.legacy.sessions`. ``kernel`` is the release that was booted,
    ``jumps`` how the clock was set meanwhile, ``logins`` how many sessions began, ``latest`` the time of the last record.
    """

    __slots__ = ("end", "jumps", "kernel", "latest", "logins", "start", "stop")

    def __init__(self, start: int | None, kernel: str = "") -> None:
        """Begin with what is known at boot."""
        self.start = start
        self.stop: int | None = None
        self.end = STILL
        self.kernel = kernel
        self.jumps: list[Jump] = []
        self.logins = 0
        self.latest = start

    @property
    def duration(self) -> int | None:
        """How long it lasted, less what the clock was set by; in µs, None where start or stop is not known."""
        if self.start is None or self.stop is None:
            return None
        return self.stop - self.start - sum(jump.after - jump.before for jump in self.jumps if jump.before is not None and jump.after is not None)

    def _set_clock(self, kind: int, at: int) -> None:
        """Keep a change of the clock: a record of the old time, then one of the new; either can be missing."""
        last = self.jumps[-1] if self.jumps else None
        if kind == NEW_TIME and last and last.after is None:
            self.jumps[-1] = Jump(last.before, at)
        elif len(self.jumps) < MOST_JUMPS:
            self.jumps.append(Jump(at, None) if kind == OLD_TIME else Jump(None, at))

    def _stopped(self, at: int, how: str) -> Window:
        self.stop, self.end = at, how
        return self

    def __repr__(self) -> str:
        """Show when and how."""
        return f"<Window {self.start} to {self.stop}: {self.end}>"


def windows(records: Iterable[Record]) -> Iterator[Window]:
    """Yield the stretches in which the machine was up, of records that come oldest first; each when it has ended."""
    window: Window | None = None
    is_first = True
    for record in records:
        fields = record.fields
        kind, at = meaning(fields[0], fields[2], fields[4]), moment(fields[6], fields[7])
        if window is None and kind != BOOT_TIME and (is_first or kind == USER_PROCESS):
            window = Window(None)  # its boot is in an older file
        is_first = False
        if kind == BOOT_TIME:
            if window:
                yield window._stopped(at, REBOOT)  # noqa: SLF001 - our own
            window = Window(at, record.host)
        elif window is None:
            continue
        elif kind == EntryType.SHUTDOWN or (kind == RUN_LVL and fields[1] & 0xFF in _HALTS):
            yield window._stopped(at, SHUTDOWN)  # noqa: SLF001
            window = None
        else:
            window.latest = at
            window.logins += kind == USER_PROCESS
            if kind in (OLD_TIME, NEW_TIME):
                window._set_clock(kind, at)  # noqa: SLF001
    if window:
        yield window


class Attempt(NamedTuple):
    """A login that failed; ``time`` in µs since the epoch, UTC, ``address`` in its usual form, or None. The user may be a mistyped password."""

    time: int
    user: str
    line: str
    host: str
    address: str | None
    pid: int


class FailedLogins(list[Attempt]):
    """Failed logins, the newest first."""

    def by_user(self) -> Counter[str]:
        """Return how often for which user."""
        return Counter(attempt.user for attempt in self)

    def by_host(self) -> Counter[str]:
        """Return how often from which host, "" for local ones."""
        return Counter(attempt.host for attempt in self)

    def by_addr(self) -> Counter[str]:
        """Return how often from which address, "" where there is none."""
        return Counter(attempt.address or "" for attempt in self)


def failed_logins(records: Iterable[Record]) -> FailedLogins:
    """Return the failed logins of a btmp file: whatever names somebody or some place, be its type LOGIN_PROCESS (sshd) or USER_PROCESS (login).

    All are kept in memory, since the newest come first; their texts once each.
    """
    found = FailedLogins()
    addresses: dict[tuple[bytes, bytes], str | None] = {}
    for record in records:
        _, pid, line, _, user, host, seconds, micro, address, _, _, _ = record.fields
        if not (line or user or host):
            continue
        key = address, host
        if key not in addresses:
            addresses[key] = address_text(address, host)
        who, where, origin = intern(record.user), intern(record.line), intern(record.host)
        found.append(Attempt(moment(seconds, micro), who, where, origin, addresses[key], pid))
    found.reverse()
    found.sort(key=lambda attempt: -attempt.time)  # records of the same time stay in their order, the last first
    return found


class Live(NamedTuple):
    """Somebody who is logged in, ``since`` in µs since the epoch, UTC."""

    user: str
    line: str
    host: str
    address: str | None
    since: int
    pid: int


def live_users(records: Iterable[Record], lives: Callable[[int], bool] | None = None) -> list[Live]:
    """Return who is logged in according to a snapshot, a utmp file, in its order.

    A utmp file has one record for each line, which logouts overwrite. ``lives`` tells of a process id whether it is there (`os.kill` with signal 0,
    say), and leaves out whom a crash has left behind.
    """
    found: dict[bytes, Live] = {}
    for record in records:
        kind, pid, line, _, user, host, seconds, micro, address, _, _, _ = record.fields
        found.pop(line, None)
        if kind == USER_PROCESS and user and (lives is None or lives(pid)):
            found[line] = Live(record.user, record.line, record.host, address_text(address, host), moment(seconds, micro), pid)
    return list(found.values())
