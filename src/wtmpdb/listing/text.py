# SPDX-License-Identifier: BSD-2-Clause
"""Lines in columns, as `last` prints them. No I/O.

All widths count bytes, as in `last`. What `last` would cut in the middle of a UTF-8 character is cut before it, and no control character gets
through.
"""

from __future__ import annotations

from wtmpdb.entry import SECOND, End, EntryType
from wtmpdb.history import shown_tty
from wtmpdb.listing import times
from wtmpdb.listing.printable import printable
from wtmpdb.text import cut, restore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wtmpdb.entry import Line

NOTIME, SHORT, FULL, ISO = "notime", "short", "full", "iso"
TIME_FORMATS = (NOTIME, SHORT, FULL, ISO)

USER_WIDTH = 8
LINE_WIDTH = 12
HOST_WIDTH = 16
SERVICE_WIDTH = 12
_LENGTH_WIDTH = 12
_LOGIN_WIDTH = {NOTIME: 0, SHORT: 16, FULL: 24, ISO: 25}
_END_WIDTH = {NOTIME: 0, SHORT: 7, FULL: 26, ISO: 27}
_TIME = {SHORT: times.full, FULL: times.full, ISO: times.iso}  # short is the beginning of full
_MOST_CACHED = 20_000

# What stands in the place of the logout and of the length: in short form, in full and ISO form, and without times.
_SAID = {
    End.RUNNING: (("  still", "running"), ("  still running", ""), ("", "running")),
    End.STILL: (("  still", "logged in"), ("  still logged in", ""), ("", "logged in")),
    End.GONE: (("   gone", "- no logout"), ("  gone - no logout", ""), ("", "no logout")),
}
_SAID[End.UNKNOWN] = _SAID[End.STILL]
_ENDED = {End.DOWN: "- down ", End.CRASH: "- crash"}


class Style:
    """Which columns, and how."""

    __slots__ = ("full_names", "host_last", "no_host", "service", "tabs", "time_format")

    def __init__(
        self,
        *,
        time_format: str = SHORT,
        host_last: bool = False,
        no_host: bool = False,
        full_names: bool = False,
        tabs: bool = False,
        service: bool = False,
    ) -> None:
        """Start with what `last` does without options."""
        self.time_format = time_format
        self.host_last = host_last and not no_host
        self.no_host = no_host
        self.full_names = full_names
        self.tabs = tabs
        self.service = service


class _Cells(dict["bytes | None", str]):
    """From the text of a column to its cell, made once: most users, ttys and hosts come again and again."""

    def __init__(self, make: Callable[[bytes | None], str]) -> None:
        self._make = make

    def __missing__(self, text: bytes | None) -> str:
        if len(self) > _MOST_CACHED:
            self.clear()
        cell = self[text] = self._make(text)
        return cell


class TextListing:
    """Makes text of lines."""

    def __init__(self, style: Style) -> None:
        """Prepare for a style."""
        self._style = style
        self._gap = "\t" if style.tabs else " "
        self._users = _Cells(self._user)
        self._ttys = _Cells(self._tty)
        self._hosts = _Cells(self._host)
        self._services = _Cells(self._service)
        self._spans = times.Spans()
        self._clock = times.Clock()
        self._lengths = times.Lengths()

    def render(self, lines: Iterable[Line]) -> bytes:
        """Return the lines as bytes, each with its newline."""
        style = self._style
        plain = style.time_format == SHORT and not (style.host_last or style.no_host or style.service or style.tabs)
        text = "".join(self._plain(lines) if plain else map(self._any, lines))
        return text.encode("utf-8", "surrogateescape")

    # Cells: cut and padded in bytes, then made printable, each with the gap behind it.

    def _cell(self, text: bytes | None, width: int, limit: int, mark: bytes = b"") -> str:
        raw = restore(text or b"")
        if limit and len(raw) > limit:
            raw = cut(raw, limit - len(mark)) + mark
        return printable(raw.ljust(width)) + self._gap

    def _user(self, text: bytes | None) -> str:
        return self._cell(text, USER_WIDTH, 0 if self._style.full_names else USER_WIDTH, b"*")

    def _tty(self, text: bytes | None) -> str:
        return self._cell(shown_tty(text or b""), LINE_WIDTH, LINE_WIDTH)

    def _host(self, text: bytes | None) -> str:
        if self._style.host_last:
            return printable(restore(text or b""))
        return self._cell(text, HOST_WIDTH, 0 if self._style.full_names else HOST_WIDTH, b"*")

    def _service(self, text: bytes | None) -> str:
        return self._cell(text, SERVICE_WIDTH, 0 if self._style.full_names else SERVICE_WIDTH)

    # The usual listing, where each line is a few look-ups: a million lines are to be no slower than need be.
    def _plain(self, lines: Iterable[Line]) -> list[str]:
        users, ttys, hosts, spans, clock, lengths = self._users, self._ttys, self._hosts, self._spans, self._clock, self._lengths
        minute, quarter = 60 * SECOND, times.QUARTER
        first, last, midnight, day = spans[0]
        done = []
        for line in lines:
            how, user, tty, host, _, login, end, _, _ = line
            if how or end is None:
                done.append(self._any(line))
                continue
            if not first <= login < last:
                first, last, midnight, day = spans[login // quarter]
            other = midnight if first <= end < last else spans[end // quarter][2]
            if midnight is None or other is None:
                done.append(self._any(line))
                continue
            lasted = end // SECOND - login // SECOND
            done.append(
                f"{users[user]}{ttys[tty]}{hosts[host]}{day}{clock[(login - midnight) // minute]} - {clock[(end - other) // minute]}"
                f" {lengths[lasted // 60] if lasted >= 0 else times.length(lasted)}\n"
            )
        return done

    # Every other listing.
    def _any(self, line: Line) -> str:
        how, user, tty, host, service, login, end, _, type_ = line
        style, gap = self._style, self._gap
        if type_ == EntryType.SHUTDOWN:
            end = end or 0  # as in `last`, a shutdown that no boot has followed lasts until the epoch
        begun = "" if style.time_format == NOTIME else _TIME[style.time_format](login // SECOND)
        ended, lasted = self._ending(how, login // SECOND, None if end is None else end // SECOND)
        middle = "" if style.no_host or style.host_last else self._hosts[host]
        middle += self._services[service] if style.service else ""
        login_width, end_width = _LOGIN_WIDTH[style.time_format], _END_WIDTH[style.time_format]
        text = f"{self._users[user]}{self._ttys[tty]}{middle}{begun[:login_width]:{login_width}}{gap}{ended[:end_width]:{end_width}}{gap}"
        if style.host_last:
            text += f"{lasted[:_LENGTH_WIDTH]:{_LENGTH_WIDTH}}{gap}{self._hosts[host]}"
        else:
            text += lasted
        return text.rstrip(" \t\n\v\f\r") + "\n"

    def _ending(self, how: int, login: int, end: int | None) -> tuple[str, str]:
        """Return what stands in the columns of the logout and of the length."""
        form = self._style.time_format
        if how == End.CLOCK:
            return "", ""
        if how in _SAID:
            return _SAID[how][0 if form == SHORT else 2 if form == NOTIME else 1]
        if end is None:
            return "", ""
        lasted = times.length(end - login)
        if form == NOTIME:
            return "", lasted
        if how in _ENDED:
            return _ENDED[how], lasted
        at = _TIME[form](end)
        return f"- {at[11:16] if form == SHORT else at}", lasted


def trailer(name: bytes, begins: int, time_format: str) -> bytes:
    """Return the line ``NAME begins TIME`` (``begins`` in µs)."""
    at = times.iso(begins // SECOND) if time_format == ISO else times.full(begins // SECOND)
    return f"{printable(name)} begins {at}\n".encode("utf-8", "surrogateescape")
