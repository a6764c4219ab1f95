# SPDX-License-Identifier: BSD-2-Clause
"""Lines as comma-separated values (RFC 4180, but lines end as on Unix): for spreadsheets, and for programs that know no JSON.

Users and hosts are chosen by strangers, and a spreadsheet runs what begins like a formula: such text gets an apostrophe before it. Text is as it is
stored, on one line; what is not UTF-8 and control characters stand as octal escapes.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO

from wtmpdb.entry import End
from wtmpdb.text import restore, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wtmpdb.entry import Line

COLUMNS = ("id", "type", "user", "tty", "hostname", "service", "login", "logout", "end", "login_usec", "logout_usec")
"""The header; the names are those of the JSON."""

_FORMULA = tuple("=+-@＝＋－＠")  # noqa: RUF001 - spreadsheets take the wide ones for the same
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_CACHED = 20_000


def values(chunks: Iterable[list[Line]]) -> Iterator[bytes]:
    """Yield the header, and a line for each line of the history; times are UTC with µs, ``2026-11-20T10:00:00.000000+00:00``."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    cells = _Cells()
    writer.writerow(COLUMNS)
    for chunk in chunks:
        for how, user, tty, host, service, login, end, ident, type_ in chunk:
            if how == End.CLOCK:
                end = None  # noqa: PLW2901
            ended_by = End.UNKNOWN if how == End.LOGOUT and end is None else how
            writer.writerow(
                (
                    ident,
                    type_,
                    cells[user],
                    cells[tty],
                    cells[host],
                    cells[service],
                    _time(login),
                    "" if end is None else _time(end),
                    End.WORDS[ended_by],
                    login,
                    "" if end is None else end,
                )
            )
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
    yield text.getvalue().encode()


class _Cells(dict["bytes | None", str]):
    """From the text of a column to its cell."""

    def __missing__(self, stored: bytes | None) -> str:
        if len(self) > _MOST_CACHED:
            self.clear()
        text = store(restore(stored or b""))
        cell = self[stored] = f"'{text}" if text.startswith(_FORMULA) else text
        return cell


def _time(at: int) -> str:
    try:
        return (_EPOCH + timedelta(microseconds=at)).isoformat(timespec="microseconds")
    except OverflowError:  # before the year 1 or after 9999: the µs stand in their own column
        return ""
