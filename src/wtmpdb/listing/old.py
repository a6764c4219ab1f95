# SPDX-License-Identifier: BSD-2-Clause
"""Lines of old files in columns, with util-linux's very bytes. No I/O but asking for the locale.

They differ from those of the history: what is too long is cut between two bytes, also within a character; a bell, a tab, a newline and a carriage
return in a name stay as they are; what ended in this very second is shown as still running.
"""

from __future__ import annotations

from wtmpdb.entry import End, EntryType
from wtmpdb.history import shown_tty
from wtmpdb.listing.printable import printable
from wtmpdb.listing.text import FULL, HOST_WIDTH, ISO, LINE_WIDTH, NOTIME, SERVICE_WIDTH, Style, TextListing
from wtmpdb.text import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wtmpdb.entry import Line

_KEPT = b"\a\t\n\r"
_SPACE = b" \t\n\v\f\r"
_LONGEST_HOST = 255


class OldListing(TextListing):
    """Makes text of the lines of `legacy.pairing.Backward`, whose own text is raw bytes."""

    def __init__(self, style: Style, now: int) -> None:
        """Prepare for a style and for the second in which the file is read."""
        super().__init__(style)
        self._now = now

    def _cell(self, text: bytes | None, width: int, limit: int, mark: bytes = b"") -> str:
        return _shown(_fit(text or b"", width, limit, mark)) + self._gap

    def _tty(self, text: bytes | None) -> str:
        return self._cell(shown_tty(text or b""), LINE_WIDTH, LINE_WIDTH)

    def _host(self, text: bytes | None) -> str:
        raw = self._raw_host(text or b"")
        return _shown(raw.rstrip(_SPACE)) if self._style.host_last else _shown(raw) + self._gap

    def _raw_host(self, host: bytes) -> bytes:
        style = self._style
        return _fit(host[:_LONGEST_HOST], HOST_WIDTH, 0 if style.full_names or style.host_last else HOST_WIDTH, b"*")

    def _service(self, text: bytes | None) -> str:  # noqa: ARG002 - it is the address: old files know no services
        return self._cell(b"", SERVICE_WIDTH, 0)

    def _any(self, line: Line) -> str:
        style = self._style
        if line[0] == End.CLOCK and style.time_format == NOTIME and not (style.host_last or style.no_host or style.service):
            # Nothing stands behind the host: blanks go, also those that are its own.
            host = _shown(self._raw_host(line[3] or b"").rstrip(_SPACE))
            return f"{self._users[line[1]]}{self._ttys[line[2]]}{host}".rstrip(" \t") + "\n"
        return super()._any(line)

    def _ending(self, how: int, login: int, end: int | None) -> tuple[str, str]:
        ended, lasted = super()._ending(how, login, end)
        if how in (End.DOWN, End.CRASH) and end == self._now:
            lasted = "" if self._style.time_format in (FULL, ISO) else "running"
        return ended, lasted


def _fit(raw: bytes, width: int, limit: int, mark: bytes) -> bytes:
    """Cut what is longer than the limit (0 for none), pad what is shorter than the width."""
    return (raw if not limit or len(raw) <= limit else raw[: limit - len(mark)] + mark).ljust(width)


def _shown(raw: bytes, kept: bytes = _KEPT) -> str:
    """Make bytes printable but for the control characters that `last` keeps."""
    if not kept or len(raw.translate(None, _KEPT)) == len(raw):
        return printable(raw)
    return chr(kept[0]).join(_shown(part, kept[1:]) for part in raw.split(kept[:1]))


def for_machine(line: Line) -> Line:
    """Return a line as those of the history are, with no ID (null), for `listing.machine`."""
    how, user, tty, host, _, login, end, _, type_ = line
    if how == End.RUNNING and type_ == EntryType.USER_PROCESS:
        how = End.LOGOUT  # it did end, in this very second
    elif how == End.RUNNING or type_ == EntryType.SHUTDOWN:
        end = end if how != End.RUNNING and end else None
    return how, _stored(user), _stored(tty), _stored(host), None, login, end, None, type_


def _stored(raw: bytes | None) -> bytes:
    return store(raw or b"").encode()
