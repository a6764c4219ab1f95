# SPDX-License-Identifier: BSD-2-Clause
"""Records of who is on in columns, as `who` of GNU coreutils prints them; or as JSON.

Widths count bytes, as there; control characters, which `who` passes on, are made harmless. Whether a terminal takes messages, and since when it is
idle, is asked of the system.
"""

from __future__ import annotations

from time import localtime

from wtmpdb.entry import SECOND
from wtmpdb.legacy.record import BOOT_TIME, DEAD_PROCESS, INIT_PROCESS, LOGIN_PROCESS, NEW_TIME, RUN_LVL, USER_PROCESS
from wtmpdb.listing.printable import printable
from wtmpdb.listing.times import MONTHS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from wtmpdb.legacy.record import Fields
    from wtmpdb.live import Session
    from wtmpdb.system import System

_DAY = 86_400 * SECOND
_ISO_WIDTH, _C_WIDTH = 16, 12
_SINGLE_USER = {ord("N"): "S"}  # the level before the first


class Columns:
    """Which records are shown, by their types, and which columns."""

    __slots__ = ("exit", "heading", "idle", "kinds", "line", "mesg", "short")

    def __init__(self) -> None:
        """Start with nothing; ``line`` is the only terminal to be shown, None for all."""
        self.kinds: set[int] = set()
        self.line: bytes | None = None
        self.heading = self.mesg = self.idle = self.exit = self.short = False


class WhoListing:
    """Makes lines of records."""

    def __init__(self, columns: Columns, system: System, now: int, name: Callable[[bytes], bytes] | None = None) -> None:
        """Show what is true at ``now`` (µs since the epoch); ``name`` makes the name of a host of what is recorded."""
        self._columns = columns
        self._system = system
        self._now = now
        self._name = name
        self._booted = -(2**63)
        self._time, self._time_width = (_iso, _ISO_WIDTH) if _is_local() else (_as_in_c, _C_WIDTH)

    def render(self, records: Iterable[Fields]) -> Iterator[bytes]:
        """Yield the lines, each with its newline."""
        columns = self._columns
        if columns.heading:
            yield self._row(b"NAME", b"LINE", "TIME", idle="IDLE", pid="PID", comment="COMMENT", end="EXIT")
        for record in records:
            kind, line, user = record[0], record[2], record[4]
            if kind in columns.kinds and (kind != USER_PROCESS or user) and columns.line in (None, line):
                yield self._record(record)
            if kind == BOOT_TIME:
                self._booted = record[6] * SECOND

    def _record(self, record: Fields) -> bytes:
        kind, pid, line, ident, user, host, seconds, _, _, _, termination, status = record
        at = self._time(seconds)
        if kind == USER_PROCESS:
            return self._user(user, line, at, pid, host)
        if kind == BOOT_TIME:
            return self._row(b"", b"system boot", at)
        if kind == NEW_TIME:
            return self._row(b"", b"clock change", at)
        if kind == RUN_LVL:
            before, level = pid >> 8 & 0xFF, pid & 0xFF
            comment = f"last={_SINGLE_USER.get(before, chr(before))}" if 0x20 <= before < 0x7F else ""  # noqa: PLR2004 - printable
            return self._row(b"", b"run-level %c" % level if level else b"run-level ", at, comment=comment)
        comment = f"id={printable(ident)}"
        if kind == LOGIN_PROCESS:
            return self._row(b"LOGIN", line, at, pid=str(pid), comment=comment)
        return self._row(b"", line, at, pid=str(pid), comment=comment, end=f"term={termination} exit={status}" if kind == DEAD_PROCESS else "")

    def _user(self, user: bytes, line: bytes, at: str, pid: int, host: bytes) -> bytes:
        columns = self._columns
        use = self._system.tty_use(line) if columns.mesg or columns.idle else None
        mark = "?" if use is None else "+" if use[0] else "-"
        if host and self._name:
            host = self._name(host)
        comment = f"({printable(host)})" if host else ""
        return self._row(user, line, at, mark=mark, idle=self._idle(use[1]) if use else "  ?", pid=str(pid), comment=comment)

    def _idle(self, used: int) -> str:
        """Return how long a terminal has not been read from."""
        if not max(self._booted, self._now - _DAY) < used <= self._now:
            return " old "
        minutes = (self._now - used) // SECOND // 60
        return f"{minutes // 60:02}:{minutes % 60:02}" if minutes else "  .  "

    def _row(self, user: bytes, line: bytes, at: str, *, mark: str = " ", idle: str = "", pid: str = "", comment: str = "", end: str = "") -> bytes:
        columns = self._columns
        text = printable(user.ljust(8))
        if columns.mesg:
            text += f" {mark}"
        text += f" {printable(line.ljust(12))} {at:{self._time_width}}"
        if not columns.short:
            text += f" {idle:6}" if columns.idle else ""
            text += f" {pid:>10}"
        text += f" {comment:8}"
        if columns.exit:
            text += f" {end:12}"
        return text.rstrip(" ").encode("utf-8", "surrogateescape") + b"\n"


def count(records: Iterable[Fields]) -> Iterator[bytes]:
    """Yield the names of all users in one line, and how many there are in a second one, as `who -q` does."""
    names = [printable(record[4].rstrip(b" ")) for record in records if record[0] == USER_PROCESS and record[4]]
    yield f"{' '.join(names)}\n# users={len(names)}\n".encode("utf-8", "surrogateescape")


def objects(sessions: Iterable[Session], system: System, now: int) -> Iterator[dict[str, object]]:
    """Yield each session as what becomes a JSON object: text, and µs since the epoch or of idleness; null is what is not known."""
    from wtmpdb.listing.machine import text_of  # noqa: PLC0415 - costs an import of json
    from wtmpdb.listing.times import iso  # noqa: PLC0415

    for one in sessions:
        use = system.tty_use(one.tty or b"")
        yield {
            "user": text_of(one.user),
            "tty": text_of(one.tty),
            "hostname": text_of(one.host),
            "service": text_of(one.service),
            "login": iso(one.login // SECOND),
            "login_usec": one.login,
            "idle_usec": max(0, now - use[1]) if use else None,
            "messages": use[0] if use else None,
            "pid": one.pid,
            "id": one.id,
            "session": one.xdg_session,
            "kind": one.kind,
            "seat": one.seat,
        }


def _is_local() -> bool:
    """Tell whether times are to be written in the way of a locale that is not C, which is ISO 8601 for all of them."""
    import _locale  # noqa: PLC0415 - the module locale imports re

    try:
        return _locale.setlocale(_locale.LC_TIME, "") not in ("C", "POSIX")
    except _locale.Error:  # type: ignore[attr-defined]  # it has one
        return False


def _iso(second: int) -> str:
    at = localtime(second)
    return f"{at.tm_year:04}-{at.tm_mon:02}-{at.tm_mday:02} {at.tm_hour:02}:{at.tm_min:02}"


def _as_in_c(second: int) -> str:
    at = localtime(second)
    return f"{MONTHS[at.tm_mon - 1]} {at.tm_mday:2} {at.tm_hour:02}:{at.tm_min:02}"


EVERYTHING = {BOOT_TIME, DEAD_PROCESS, INIT_PROCESS, LOGIN_PROCESS, NEW_TIME, RUN_LVL, USER_PROCESS}
"""The types of records that `who -a` shows."""
