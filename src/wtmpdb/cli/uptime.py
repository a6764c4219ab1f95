# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb uptime`: how long the machine is up, in the form of uptime(1), and how long it was before, with how each time ended."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import TYPE_CHECKING, NamedTuple

from wtmpdb import entry, home
from wtmpdb.cli.present import Present
from wtmpdb.entry import SECOND, End, EntryType
from wtmpdb.history import SYSTEM_BOOT, History
from wtmpdb.listing import times
from wtmpdb.listing.printable import printable
from wtmpdb.log import Log
from wtmpdb.text import restore

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from wtmpdb.entry import Line, Row

EPILOGUE = """
Examples:
  wtmpdb uptime
  wtmpdb uptime --all
  wtmpdb uptime -n 5 --json
  wtmpdb uptime --all --file /backup/wtmp.db
"""

_DAY = 86_400
_ENDED = {End.LOGOUT: "down", End.GONE: "unknown"}
"""How a boot ended, where that is another word than `End.WORDS` has: a boot has no logout."""


class Now(NamedTuple):
    """The machine as it is: the time and when it was started (µs since the epoch), how many are on, and the load of 1, 5 and 15 minutes."""

    time: int
    boot: int
    users: int
    load: tuple[float, float, float]


def run(words: Sequence[str], program: str) -> int:
    """Run the command."""
    asked = _arguments(words, program)
    now: Now | None = None
    if asked.file is None:
        with Present(program, boot=True) as present:
            present.look()
            now = _now(present)
    boots: list[Line] | None = None
    if asked.all or asked.limit or asked.file is not None:
        with home.history() if asked.file is None else Log.read(asked.file) as log:
            boots = list(_boots(log, History(log, at_home=True if asked.file is None else None)))[: asked.limit]
    if asked.json:
        from json import dumps  # noqa: PLC0415 - only here

        print(dumps((_values(now) if now else {}) | ({} if boots is None else {"boots": list(map(_object, boots))})))
        return 0
    if now:
        print(_text(now))
    for boot in boots or ():
        print(_row(boot))
    return 0


def _arguments(words: Sequence[str], program: str) -> Namespace:
    parser = ArgumentParser(
        prog=program,
        description="Print how long the machine is up, how many are on, and the load; and how long it was up before, and how that ended.",
        epilog=EPILOGUE,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("-a", "--all", action="store_true", help="show all boots, the newest first")
    parser.add_argument("-n", "--limit", metavar="NUMBER", type=int, help="show so many of the newest boots")
    parser.add_argument("-f", "--file", metavar="FILE", help="show the boots in this database")
    parser.add_argument("-j", "--json", action="store_true", help="print a JSON object")
    asked = parser.parse_args(words)
    if asked.limit is not None and asked.limit < 1:
        parser.error("argument -n/--limit: at least 1")
    return asked


def _now(present: Present) -> Now:
    records = list(present.records())
    return Now(entry.now(), records[0][6] * SECOND + records[0][7], len(records) - 1, os.getloadavg())


def _text(now: Now) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(now.time // SECOND))
    days, rest = divmod(max(0, now.time - now.boot) // SECOND, _DAY)
    hours, minutes = rest // 3600, rest // 60 % 60
    up = f"{days} day{'s' if days > 1 else ''}, " if days else ""
    up += f"{hours:2}:{minutes:02}" if hours else f"{minutes} min"
    load = ", ".join(f"{one:.2f}" for one in now.load)
    return f" {clock} up {up}, {now.users:2} user{'s' if now.users > 1 else ''},  load average: {load}"


def _values(now: Now) -> dict[str, object]:
    return {"time_usec": now.time, "boot_usec": now.boot, "up_usec": max(0, now.time - now.boot), "users": now.users, "load": now.load}


def _boots(log: Log, history: History) -> Iterator[Line]:
    """Yield the boots, newest first, with how each ended."""
    rows: list[Row] = [
        (0, b"reboot", SYSTEM_BOOT, boot.kernel, None, boot.login, boot.logout, boot.id, EntryType.BOOT_TIME) for boot in reversed(log.boots())
    ]
    for lines in history.lines([rows]):
        yield from lines


def _row(boot: Line) -> str:
    how, _, _, kernel, _, login, end, *_ = boot
    until, lasted = (_time(end), times.length((end - login) // SECOND)) if end is not None else ("", "")
    return f"{_time(login)} - {until:16}  {_word(how):7} {lasted:12} {printable(restore(kernel or b''))}".rstrip()


def _object(boot: Line) -> dict[str, object]:
    how, _, _, kernel, _, login, end, ident, _ = boot
    return {
        "boot_usec": login,
        "end_usec": end,
        "up_usec": None if end is None else end - login,
        "end": _word(how),
        "kernel": printable(restore(kernel or b"")),
        "id": ident,
    }


def _word(how: int) -> str:
    return _ENDED.get(how) or End.WORDS[how]


def _time(at: int) -> str:
    return times.iso(at // SECOND)[:16].replace("T", " ")
