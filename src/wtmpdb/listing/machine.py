# SPDX-License-Identifier: BSD-2-Clause
"""Lines as JSON: one document with the keys of the C project's `wtmpdb last --json`, or one object a line."""

from __future__ import annotations

from json import dumps

from wtmpdb.entry import SECOND, End
from wtmpdb.listing import times
from wtmpdb.listing.text import FULL, ISO, NOTIME, SHORT
from wtmpdb.text import octal, restore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wtmpdb.entry import Line

TIME = {SHORT: lambda second: times.full(second)[:16], FULL: times.full, ISO: times.iso}


def object_lines(chunks: Iterable[list[Line]], time_format: str) -> Iterator[bytes]:
    """Yield a JSON object and a newline for each line; times as text are local, in the format asked for, and in µs since the epoch."""
    for chunk in chunks:
        yield "".join(dumps(_object(line, time_format)) + "\n" for line in chunk).encode()


def document(chunks: Iterable[list[Line]], time_format: str, begins: int, **more: int) -> Iterator[bytes]:
    """Yield the pieces of one document ``{"entries": […], "start": …, **more}``; ``begins`` is the time of the oldest row in µs."""
    yield b'{"entries": ['
    before = "\n"
    for chunk in chunks:
        for line in chunk:
            yield f"{before}  {dumps(_object(line, time_format))}".encode()
            before = ",\n"
    start = dumps(TIME.get(time_format, times.iso)(begins // SECOND))
    rest = "".join(f', "{name}": {number}' for name, number in more.items())
    yield f'\n], "start": {start}{rest}}}\n'.encode()


def _object(line: Line, time_format: str) -> dict[str, str | int | None]:
    how, user, tty, host, service, login, end, ident, type_ = line
    end = None if how == End.CLOCK else end
    shown: dict[str, str | int | None] = {
        "user": text_of(user),
        "tty": text_of(tty),
        "hostname": text_of(host),
        "service": text_of(service),
    }
    if time_format != NOTIME:
        shown["login"] = TIME[time_format](login // SECOND)
        shown["logout"] = _logout(how, end, time_format)
    if end is not None:
        shown["length"] = times.length(end // SECOND - login // SECOND).strip(" ()")
    ended_by = End.UNKNOWN if how == End.LOGOUT and end is None else how  # a shutdown that no boot has followed
    shown |= {"id": ident, "type": type_, "login_usec": login, "logout_usec": end, "end": End.WORDS[ended_by]}
    return shown


def _logout(how: int, end: int | None, time_format: str) -> str:
    if how in (End.LOGOUT, End.CLOCK):
        return "" if end is None else TIME[time_format](end // SECOND)
    if how in (End.STILL, End.UNKNOWN, End.RUNNING):
        return "still running" if how == End.RUNNING else "still logged in"
    return "gone - no logout" if end is None else End.WORDS[how]


def text_of(stored: bytes | None) -> str:
    """Return the text itself; bytes in it that are not UTF-8 stay octal escapes."""
    text = restore(stored or b"").decode("utf-8", "surrogateescape")
    return text if text.isascii() else "".join(octal(bytes((ord(c) - 0xDC00,))) if 0xDC80 <= ord(c) <= 0xDCFF else c for c in text)  # noqa: PLR2004
