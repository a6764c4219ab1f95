# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the import share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from old_records import BEGIN, boot, encode, login, logout
from support import SECOND, Machine, edit, table
from wtmpdb.legacy.importer import Summary, bring_in, look_at

if TYPE_CHECKING:
    from pathlib import Path

    from wtmpdb.legacy.record import Fields

MACHINE = Machine()


def import_(database: Path, *files: Path, system: bool = False, dry: bool = False) -> Summary:
    """Import files."""
    return bring_in(look_at(map(str, files), str(database)), str(database), system=system, dry=dry, machine=MACHINE)


def write(path: Path, *rows: Fields) -> Path:
    """Write a file of records."""
    path.write_bytes(encode(rows))
    return path


def sides(database: Path) -> list[tuple[object, ...]]:
    """Return the side rows of a database."""
    with edit(database) as db:
        return db.execute("SELECT entry_id, login, nth, source, position, pid, line_id, address FROM imported ORDER BY entry_id").fetchall()


def at(second: float) -> int:
    """Return so many seconds after BEGIN in µs."""
    return round((BEGIN + second) * SECOND)


def again(path: Path) -> Path:
    """Return a path at which nothing is."""
    for name in (path, path.with_name(path.name + "-journal")):
        name.unlink(missing_ok=True)
    return path


def without_ids(database: Path) -> list[tuple[object, ...]]:
    """Return the rows without their IDs, by time."""
    return sorted((row[1:] for row in table(database)), key=repr)


def many(path: Path, records: int) -> Path:
    """Write a file of so many records: short sessions on forty lines."""

    def rows() -> list[Fields]:
        found = [boot(BEGIN)]
        for n in range(records // 2):
            line, second = f"pts/{n % 40}", BEGIN + 10 + n * 30
            if n >= 40:
                found.append(logout(second - 1, line))
            found.append(login(second, line, f"user{n % 97}", f"10.0.{n % 7}.{n % 251}", pid=n % 30_000))
        return found

    path.write_bytes(encode(rows()))
    return path
