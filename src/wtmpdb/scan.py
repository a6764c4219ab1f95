# SPDX-License-Identifier: BSD-2-Clause
"""Scanning the table, newest first, without holding a lock between two chunks.

With our index on the login, chunks are found by it. A file made by C has none, and readers cannot make one: where its logins rise with the IDs it is
read by ID, and otherwise its keys are read and sorted here, outside SQLite, which would hold the lock while it sorts.
"""

from __future__ import annotations

from wtmpdb import schema
from wtmpdb.entry import as_text, as_time, clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from wtmpdb.entry import Row

    Ask = Callable[[str, Sequence[object]], list[tuple]]  # type: ignore[type-arg]  # columns of any type

_FIRST_CHUNK = 64
_LARGEST_CHUNK = 4096
_KEYS = "SELECT ID, Login FROM wtmp WHERE ID > ? ORDER BY ID LIMIT 20000"
_LARGEST_ID = 2**63 - 1
_TYPES = [(b"INTEGER", 0), (b"INTEGER", 0), (b"TEXT", 1), (b"INTEGER", 0), (b"INTEGER", 0), (b"TEXT", 0), (b"TEXT", 0), (b"TEXT", 0)]


class OutOfOrderError(Exception):
    """A chunk ends where the one before it ended: the file is damaged, a page of it is missing, say, and reading on would never end."""


def newest_first(ask: Ask, since: int | None, until: int | None) -> Iterator[list[Row]]:
    """Yield the rows whose login lies within the bounds (µs, inclusive) in chunks, by login and ID; ``ask`` runs one statement.

    Raises OutOfOrderError.
    """
    chunks = _getting_on((_rows_by_index if _sorted_by_index(ask) else _rows_by_key)(ask, since, until))
    if _is_strict(ask):
        yield from chunks
    else:
        for chunk in chunks:
            yield [clean(row) for row in chunk]


def _getting_on(chunks: Iterator[list[Row]]) -> Iterator[list[Row]]:
    last: tuple[int, int | None] | None = None
    for chunk in chunks:
        key = chunk[-1][7], chunk[-1][5]
        if key == last:
            raise OutOfOrderError
        last = key
        yield chunk


def _is_strict(ask: Ask) -> bool:
    """Tell whether SQLite guards the types of the columns."""
    definition = ask("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'wtmp'", ())
    types = [(kind, required) for kind, required in ask("SELECT type, \"notnull\" FROM pragma_table_info('wtmp')", ())]
    return types == _TYPES and as_text(definition[0][0]).rstrip().upper().endswith(b"STRICT")


def _sorted_by_index(ask: Ask) -> bool:
    plan = ask("EXPLAIN QUERY PLAN SELECT ID FROM wtmp ORDER BY Login DESC, ID DESC", ())
    if any(b"TEMP B-TREE" in step[3] for step in plan):
        return False
    # Text and blobs sort above all numbers: where the greatest login is one, the index is no guide.
    greatest = ask("SELECT Login FROM wtmp ORDER BY Login DESC LIMIT 1", ())
    return not greatest or not isinstance(greatest[0][0], bytes)


def _rows_by_index(ask: Ask, since: int | None, until: int | None) -> Iterator[list[Row]]:
    # Two statements a chunk: rows of the same login as the last one seen, then those before. A comparison of (Login, ID)
    # would do in one, but SQLite then walks over all rows of that login again for every chunk.
    select = f"SELECT {schema.ROW} FROM wtmp WHERE "  # noqa: S608 - a constant
    same = select + "Login IS ? AND ID < ? ORDER BY ID DESC LIMIT ?"
    lower = "" if since is None else f" AND Login >= {since:d}"
    older = select + f"Login < ?{lower} ORDER BY Login DESC, ID DESC LIMIT ?"
    newest = select + f"Login IS NOT NULL{lower} ORDER BY Login DESC, ID DESC LIMIT ?"
    size = _FIRST_CHUNK
    chunk = ask(newest, (size,)) if until is None else ask(older, (until + 1, size))
    while chunk:
        yield chunk
        login, _, ident, _ = chunk[-1][5:]
        size = min(size * 4, _LARGEST_CHUNK)
        chunk = ask(same, (login, ident, size)) or ask(older, (login, size))
    if since is None:
        ident = _LARGEST_ID
        while chunk := ask(same, (None, ident, size)):
            yield [clean(row) for row in chunk]
            ident = chunk[-1][7]


def _rows_by_key(ask: Ask, since: int | None, until: int | None) -> Iterator[list[Row]]:
    return _rows_by_id(ask, since, until) if _is_in_order(ask) else _rows_sorted(ask, since, until)


def _is_in_order(ask: Ask) -> bool:
    """Tell whether the logins rise with the IDs, as they do unless the clock was set back or an older history was added."""
    last = -_LARGEST_ID
    for chunk in _chunks_of_keys(ask):
        logins = [last, *(login for _, login in chunk)]
        if set(map(type, logins)) != {int} or logins != sorted(logins):
            return False
        last = logins[-1]
    return True


def _rows_by_id(ask: Ask, since: int | None, until: int | None) -> Iterator[list[Row]]:
    bounds = ("" if since is None else f" AND Login >= {since:d}") + ("" if until is None else f" AND Login <= {until:d}")
    select = f"SELECT {schema.ROW} FROM wtmp WHERE ID < ?{bounds} ORDER BY ID DESC LIMIT ?"  # noqa: S608 - a constant and numbers
    ident, size = _LARGEST_ID, _FIRST_CHUNK
    while chunk := ask(select, (ident, size)):
        yield chunk
        ident = chunk[-1][7]
        size = min(size * 4, _LARGEST_CHUNK)


def _rows_sorted(ask: Ask, since: int | None, until: int | None) -> Iterator[list[Row]]:
    from array import array  # noqa: PLC0415 - only for files without our indexes

    idents, logins = array("q"), array("q")
    for ident, login in _keys(ask):
        if (since is None or login >= since) and (until is None or login <= until):
            idents.append(ident)
            logins.append(login)
    order = sorted(range(len(idents)), key=logins.__getitem__)  # stable: rows of the same time stay in the order of their IDs
    for end in range(len(order), 0, -_LARGEST_CHUNK):
        wanted = [idents[order[place]] for place in range(end - 1, max(end - _LARGEST_CHUNK, 0) - 1, -1)]
        marks = ",".join("?" * len(wanted))
        found = {row[7]: row for row in ask(f"SELECT {schema.ROW} FROM wtmp WHERE ID IN ({marks})", wanted)}  # noqa: S608
        yield [clean(found[ident]) for ident in wanted if ident in found]


def _keys(ask: Ask) -> Iterator[tuple[int, int]]:
    for chunk in _chunks_of_keys(ask):
        for ident, login in chunk:
            yield ident, min(max(as_time(login) or 0, -_LARGEST_ID), _LARGEST_ID)


def _chunks_of_keys(ask: Ask) -> Iterator[list[tuple[int, Any]]]:
    ident = -_LARGEST_ID
    while chunk := ask(_KEYS, (ident,)):
        if chunk[-1][0] <= ident:
            raise OutOfOrderError
        yield chunk
        ident = chunk[-1][0]
