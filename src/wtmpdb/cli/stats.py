# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb stats`: the history at a glance."""

from __future__ import annotations

import gc
import os
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from json import dumps
from typing import TYPE_CHECKING

from wtmpdb import home, log
from wtmpdb.cli.asking import failed_logins, failures_option, tell_of_privacy
from wtmpdb.cli.moments import joined, since, until
from wtmpdb.entry import SECOND
from wtmpdb.listing import times
from wtmpdb.listing.chart import BAD, GOOD, HEADING, Screen
from wtmpdb.listing.columns import columns, padded, shown
from wtmpdb.listing.machine import text_of
from wtmpdb.query.engine import Database
from wtmpdb.query.periods import Periods, days
from wtmpdb.query.stats import Picture, Wishes, picture
from wtmpdb.text import store

if TYPE_CHECKING:
    from argparse import Namespace
    from collections import Counter
    from collections.abc import Iterator, Sequence

    from wtmpdb.listing.chart import Piece
    from wtmpdb.query.stats import Session

_EPILOGUE = """
Examples:
  wtmpdb stats                         all that is known
  wtmpdb stats -s -30days              the last thirty days
  wtmpdb stats --user alice --top 20   of one user
  wtmpdb stats --json | jq .days       for a program
"""

_MOST = 1000


def run(words: Sequence[str], program: str) -> int:
    """Run the command."""
    parser = _parser(program)
    wishes = parser.parse_args(list(joined(words)))
    if wishes.since is not None and wishes.until is not None and wishes.since > wishes.until:
        parser.error("--since is later than --until")
    gc.disable()  # nothing here is circular, and there are millions of small things
    wanted = Wishes(since=wishes.since, until=wishes.until, user=_stored(wishes.user), host=_stored(wishes.host), most=wishes.top)
    found = _asked(wishes, wanted, program)
    if wishes.json:
        print(dumps(_object(found, wishes.top), indent=1), flush=True)
    else:
        screen = Screen()
        screen.show(_drawn(found, screen, wishes.top))
    return 0


def _parser(program: str) -> ArgumentParser:
    parser = ArgumentParser(
        prog=program,
        description="Sum the history up: logins by day, users, hosts, services, the longest sessions, the most at once, and how the machine fared.",
        epilog=_EPILOGUE,
        formatter_class=RawDescriptionHelpFormatter,
    )
    failures_option(parser)
    parser.add_argument("-f", "--file", metavar="FILE", help="read this database")
    parser.add_argument("--host", metavar="HOST", help="only sessions from this remote host")
    parser.add_argument("-j", "--json", action="store_true", help="print one JSON document")
    parser.add_argument("-s", "--since", metavar="TIME", type=since, help="only what began at this time or later")
    parser.add_argument("--top", metavar="NUMBER", type=_number, default=5, help="so many users, hosts, services and sessions (default: 5)")
    parser.add_argument("-t", "--until", metavar="TIME", type=until, help="only what began at this time or before")
    parser.add_argument("--user", metavar="USER", help="only sessions of this user")
    return parser


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 5 and int(text) <= _MOST):  # noqa: PLR2004 - digits
        raise ArgumentTypeError(f"not a number from 0 to {_MOST}: '{text}'")
    return int(text)


def _stored(text: str | None) -> str | None:
    return None if text is None else store(os.fsencode(text))


def _asked(wishes: Namespace, wanted: Wishes, program: str) -> Picture:
    at_home = True if wishes.file is None else None
    if at_home:
        home.take_letters(program)
    failed = failed_logins(wishes.failed, program) if at_home or wishes.failed is not None else None
    try:
        with home.history() if at_home else log.Log.read(wishes.file) as history, Database.of(history) as database:
            tell_of_privacy(history, program)
            return picture(database, wanted, failed=failed, at_home=at_home)
    finally:
        if failed:
            failed.close()


# For people


def _drawn(found: Picture, screen: Screen, top: int) -> Iterator[list[Piece]]:
    failed = sum((found.failed_quarters or {}).values())
    logins = sum(found.quarters.values())
    if found.begin is None and not failed:
        yield [("nothing is recorded", "")]
        return
    said = f"{_counted(logins, 'login')} of {_counted(len(found.users), 'user')} from {_counted(len(found.hosts), 'host')}"
    yield [(said + ("" if found.failed_quarters is None else f", {failed:,} failed"), HEADING)]
    if found.begin is not None and found.end is not None and found.begin <= found.end:
        yield [(f"from {times.full(found.begin // SECOND)} to {times.full(found.end // SECOND)}", "")]
    yield from _bars(found, screen)
    yield from _table(
        ["Users", "logins", "time"], [(shown(user), f"{number:,}", _length(found.seconds[user])) for user, number in _most(found.users, top)]
    )
    yield from _table(["Hosts", "logins"], [(shown(host), f"{number:,}") for host, number in _most(found.hosts, top)])
    yield from _table(["Services", "logins"], [(shown(service), f"{number:,}") for service, number in _most(found.services, top)])
    yield from _table(["Hosts that failed", "times"], [(shown(host), f"{number:,}") for host, number in _most(found.failed_hosts, top)])
    sessions = [(shown(one.user), _length(one.seconds), times.full(one.login // SECOND), *_where(one)) for one in found.longest]
    yield from _table(["Longest", "time", "since", "tty", "host"], sessions)
    yield [("", "")]
    if found.peak_time is not None:
        yield [("Most at once: ", HEADING), (f"{found.peak:,}, {times.full(found.peak_time // SECOND)}", "")]
    if found.boots or found.up:
        yield _fared(found)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _most(counts: Counter[str], top: int) -> list[tuple[str, int]]:
    """Return the largest counts; of equal ones in the order of their names."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:top]


def _length(seconds: int) -> str:
    return times.length(seconds).strip(" ()")


def _where(session: Session) -> tuple[str, str]:
    return shown(session.tty), shown(session.host) + ("" if session.end == "logout" else f" ({session.end})")


def _bars(found: Picture, screen: Screen) -> Iterator[list[Piece]]:
    """Draw the logins of each day, or of longer periods where these are too many, and behind them those that failed."""
    both = [days(found.quarters), days(found.failed_quarters or {})]
    periods = Periods(both)
    most = max((sum(counts) for _, counts in periods.rows), default=0)
    if not most:
        return
    names = columns([[periods.unit, "logins", "failed"], *([name, f"{good:,}", f"{bad:,}"] for name, (good, bad) in periods.rows)], right=(1, 2))
    if found.failed_quarters is None:
        names = columns([[periods.unit, "logins"], *([name, f"{good:,}"] for name, (good, _) in periods.rows)], right=(1,))
    yield [("", "")]
    yield [(names[0], HEADING)]
    width = max(map(len, names)) + 2
    for name, (_, (good, bad)) in zip(names[1:], periods.rows, strict=True):
        room = screen.width - width
        bars = screen.bar(good, most, room - bool(bad)), screen.bar(bad, most, room - bool(good))
        yield [
            (padded(name, width), ""),
            (bars[0], GOOD),
            ("" if screen.is_terminal else " " * bool(bars[0] and bars[1]), ""),
            (bars[1].replace("#", "x"), BAD),
        ]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[list[Piece]]:
    if rows:
        lines = columns([header, *rows], right=(1, 2) if header[2:] == ["time"] else (1,))
        yield from ([("", "")], [(lines[0], HEADING)], *([(line, "")] for line in lines[1:]))


def _fared(found: Picture) -> list[Piece]:
    stretch = (found.end or 0) - (found.begin or 0)
    share = f"{100 * found.up / stretch:.2f} % of the time, " if stretch > 0 else ""
    crashes = ("no crash" if not found.crashes else _counted(found.crashes, "crash").replace("crashs", "crashes"), BAD if found.crashes else "")
    return [("Up: ", HEADING), (f"{share}{_counted(found.boots, 'boot')}, ", ""), crashes]


# For programs


def _object(found: Picture, top: int) -> dict[str, object]:
    failed = None if found.failed_quarters is None else days(found.failed_quarters)
    logins = days(found.quarters)
    stretch = (found.end or 0) - (found.begin or 0)
    return {
        "begin_usec": found.begin,
        "end_usec": found.end,
        "logins": sum(logins.values()),
        "failed": None if failed is None else sum(failed.values()),
        "days": [
            {"day": "{:04}-{:02}-{:02}".format(*day), "logins": logins[day], "failed": None if failed is None else failed[day]}
            for day in sorted({*logins, *(failed or {})})
        ],
        "users": [{"user": _text(user), "logins": number, "seconds": found.seconds[user]} for user, number in _most(found.users, top)],
        "hosts": [{"hostname": _text(host), "logins": number} for host, number in _most(found.hosts, top)],
        "services": [{"service": _text(service), "logins": number} for service, number in _most(found.services, top)],
        "failed_hosts": [{"hostname": _text(host), "failed": number} for host, number in _most(found.failed_hosts, top)],
        "distinct_users": len(found.users),
        "distinct_hosts": len(found.hosts),
        "longest": [_session(one) for one in found.longest],
        "peak": found.peak,
        "peak_usec": found.peak_time,
        "up_share": found.up / stretch if stretch > 0 else None,
        "boots": found.boots,
        "crashes": found.crashes,
    }


def _session(one: Session) -> dict[str, object]:
    names = {"user": one.user, "tty": one.tty, "hostname": one.host, "service": one.service}
    return {name: _text(text) for name, text in names.items()} | {"login_usec": one.login, "seconds": one.seconds, "end": one.end}


def _text(stored: str | None) -> str:
    return text_of((stored or "").encode())
