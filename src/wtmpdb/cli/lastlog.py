# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb lastlog`: when each account was last logged in, and when that last failed."""

from __future__ import annotations

import os
import pwd
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from json import dumps
from time import localtime
from typing import TYPE_CHECKING

from wtmpdb import home, log
from wtmpdb.cli.asking import failed_logins, failures_option, tell_of_privacy
from wtmpdb.entry import SECOND, now
from wtmpdb.errors import WtmpdbError, complain
from wtmpdb.legacy.lastlog import LASTLOG, LASTLOG2, is_database, last_logins
from wtmpdb.listing import times
from wtmpdb.listing.columns import columns, shown
from wtmpdb.listing.machine import text_of
from wtmpdb.query import lastlog
from wtmpdb.query.engine import Database
from wtmpdb.query.lastlog import Account, Last
from wtmpdb.text import store

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Sequence

_EPILOGUE = """
Examples:
  wtmpdb lastlog                     every account, in the order of the password database
  wtmpdb lastlog -u alice            one of them; -u 1000-1999 those with such uids
  wtmpdb lastlog -b 90               who has not been there for ninety days
  wtmpdb lastlog --jsonl | jq        for a program
  wtmpdb lastlog -f /backup/lastlog  what an old file knows
"""

_DAY = 86_400 * SECOND
_SAME = 60 * SECOND  # old files have whole seconds, and are written a little earlier or later than the row of the same login
_WIDTHS = (16, 8, 16)  # those of lastlog(8)
_NEVER = "**Never logged in**"


def run(words: Sequence[str], program: str) -> int:
    """Run the command."""
    wishes = _parser(program).parse_args(words)
    accounts, knows_failures = _of_machine(wishes, program) if wishes.file is None else _of_file(wishes, program)
    accounts = [account for account in accounts if _is_asked_for(account, wishes)]
    if wishes.json or wishes.jsonl:
        _print_json([_object(account) for account in accounts], as_lines=wishes.jsonl)
    else:
        is_mixed = any(account.last and account.last.source for account in accounts)
        more = [name for name, there in (("Failed", knows_failures), ("Source", is_mixed)) if there]
        rows = [["Username", "Port", "From", "Service", "Latest", *more], *(_row(account, more) for account in accounts)]
        lines = ["\t".join(row) for row in rows] if wishes.tab_separated else columns(rows, least=_WIDTHS)
        print("\n".join(lines), flush=True)
    return 0


def _parser(program: str) -> ArgumentParser:
    parser = ArgumentParser(
        prog=program,
        description="Say when each account was last logged in, and when that last failed.",
        epilog=_EPILOGUE,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("-b", "--before", metavar="DAYS", type=_days, help="only whose last login is more than so many days ago, or who has none")
    parser.add_argument("-f", "--file", metavar="FILE", help="read this database, lastlog file or database of lastlog2, and nothing else")
    failures_option(parser)
    parser.add_argument("-j", "--json", action="store_true", help="print one JSON document")
    parser.add_argument("--jsonl", action="store_true", help="print one JSON object a line")
    parser.add_argument("-t", "--time", metavar="DAYS", type=_days, help="only whose last login is at most so many days ago")
    parser.add_argument("-T", "--tab-separated", action="store_true", help="put a tab between the columns, and no blanks")
    parser.add_argument("-u", "--user", metavar="LOGIN|UID|RANGE", help="only this account, or those with such uids: 1000, 1000-1999, 1000-, -999")
    return parser


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 8):  # noqa: PLR2004 - 27,000 years
        raise ArgumentTypeError(f"not a number of days: '{text}'")
    return int(text)


# Who is asked for


def _of_machine(wishes: Namespace, program: str) -> tuple[list[Account], bool]:
    """Return the accounts of this machine with what is known of them, and whether failed logins are known."""
    home.take_letters(program)
    accounts = _accounts(wishes.user)
    with home.history() as history, Database.of(history, newest=True) as database:
        lastlog.last_logins(database, accounts)
        tell_of_privacy(history, program)
    for path in (LASTLOG, LASTLOG2):
        try:
            if os.access(path, os.R_OK):
                _take(accounts, path)
        except WtmpdbError as error:
            complain(f"{program}: {error}", error.hint)
    knows_failures = _add_failures(accounts, wishes.failed, program)
    if wishes.user is not None and len(accounts) == 1 and accounts[0].uid is None and not (accounts[0].last or accounts[0].failed):
        raise WtmpdbError(f"{wishes.user}: no such account, and nothing is known of one")
    return accounts, knows_failures


def _of_file(wishes: Namespace, program: str) -> tuple[list[Account], bool]:
    """Return those whom a file knows, by name or by uid."""
    history = _history_of(wishes.file)
    if history is None:
        accounts = [Account(name, uid) for name, uid in _known_to(wishes.file)]
        _take(accounts, wishes.file)
    else:
        with history, Database.of(history, newest=True) as database:
            accounts = [Account(name, None) for name in (lastlog.users(database) if database.has("wtmp") else [])]
            lastlog.last_logins(database, accounts)
        accounts = [account for account in accounts if account.last]
    if wishes.user is not None:
        names, uids = _wanted(wishes.user)
        accounts = [account for account in accounts if account.name in names or (account.uid is not None and account.uid in uids)]
    return accounts, wishes.failed is not None and _add_failures(accounts, wishes.failed, program)


def _history_of(path: str) -> log.Log | None:
    """Open a file as a history, or return None where it is an old one."""
    if not is_database(path):
        return None
    history = log.Log.read(path)
    if history.query("SELECT 1 FROM sqlite_master WHERE name = 'Lastlog2'"):
        history.close()
        return None
    return history


def _known_to(path: str) -> list[tuple[str, int | None]]:
    """Return the names and uids of a file; a uid that has no name here is called by its number."""
    users = [last.user for last in last_logins(path)]
    return [(_name_of(user), user) if isinstance(user, int) else (user, None) for user in users]


def _name_of(uid: int) -> str:
    try:
        return store(os.fsencode(pwd.getpwuid(uid).pw_name))
    except (KeyError, OverflowError):
        return str(uid)


def _accounts(wanted: str | None) -> list[Account]:
    """Return the accounts of the password database; a name that is not there may still be known to the history."""
    accounts = [Account(store(os.fsencode(entry.pw_name)), entry.pw_uid) for entry in pwd.getpwall()]
    if wanted is None:
        return accounts
    names, uids = _wanted(wanted)
    found = [account for account in accounts if account.name in names or account.uid in uids]
    return found or _by_name(wanted) or ([] if uids else [Account(name, None) for name in names])


def _by_name(name: str) -> list[Account]:
    """Return the account of a name that the password database knows but does not list, as that of a directory service may."""
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):
        return []
    return [Account(store(os.fsencode(entry.pw_name)), entry.pw_uid)]


def _wanted(text: str) -> tuple[set[str], range]:
    """Return the names and the uids that ``-u`` asks for."""
    first, dash, last = text.partition("-")
    numbers = all(not part or (part.isascii() and part.isdigit() and len(part) < 11) for part in (first, last))  # noqa: PLR2004 - 32 bits
    if not numbers or not (first or last):
        return {store(os.fsencode(text))}, range(0)
    begin = int(first or 0)
    return {text}, range(begin, (int(last) if last else 2**32 if dash else begin) + 1)


def _take(accounts: Iterable[Account], path: str) -> None:
    """Let accounts take what an old file knows, where it is later than what is known, or nothing is."""
    found = {last.user: last for last in last_logins(path)}
    for account in accounts:
        last = found.get(account.name) or (None if account.uid is None else found.get(account.uid))
        if last and (account.last is None or last.time > account.last.time + _SAME):
            account.take(Last(last.time, last.tty, last.host, last.service, source=path))


def _add_failures(accounts: Iterable[Account], path: str | None, program: str) -> bool:
    database = failed_logins(path, program)
    if database is None:
        return False
    with database:
        lastlog.last_failures(database, accounts)
    return True


def _is_asked_for(account: Account, wishes: Namespace) -> bool:
    age = now() - account.last.time if account.last else None
    if wishes.time is not None and (age is None or age > wishes.time * _DAY):
        return False
    return wishes.before is None or age is None or age > wishes.before * _DAY


# What is printed


def _row(account: Account, more: Sequence[str]) -> list[str]:
    last = account.last
    row = [shown(account.name), "", "", "", _NEVER]
    if last:
        row[1:] = [shown(last.tty), shown(last.host), shown(last.service), _time(last.time)]
    if "Failed" in more:
        row.append(_failure(account.failed))
    if "Source" in more:
        row.append(shown(store(os.fsencode(last.source))) if last and last.source else "")
    return row


def _failure(failed: Last | None) -> str:
    return _time(failed.time) + (f" from {shown(failed.host)}" if failed.host else "") if failed else ""


def _time(usec: int) -> str:
    """Return a time as lastlog(8) writes it: ``Tue Mar 10 08:02:00 +0000 2026``."""
    second = usec // SECOND
    day, _, year = times.full(second).rpartition(" ")
    minutes = abs(localtime(second).tm_gmtoff) // 60
    return f"{day} {'-' if localtime(second).tm_gmtoff < 0 else '+'}{minutes // 60:02}{minutes % 60:02} {year}"


def _object(account: Account) -> dict[str, str | int | None]:
    found: dict[str, str | int | None] = {"user": _text(account.name), "uid": account.uid}
    for prefix, last in (("", account.last), ("failed_", account.failed)):
        found[prefix + "tty"] = _text(last.tty) if last else None
        found[prefix + "hostname"] = _text(last.host) if last else None
        found[prefix + "service"] = _text(last.service) if last else None
        found[prefix + ("time" if prefix else "login")] = times.iso(last.time // SECOND) if last else None
        found[prefix + ("usec" if prefix else "login_usec")] = last.time if last else None
    source = account.last.source if account.last else None
    return found | {"source": _text(store(os.fsencode(source))) if source else None}


def _text(stored: str | None) -> str:
    return text_of((stored or "").encode())


def _print_json(objects: list[dict[str, str | int | None]], *, as_lines: bool) -> None:
    texts = [dumps(one) for one in objects]
    if as_lines:
        print("".join(f"{text}\n" for text in texts), end="", flush=True)
    else:
        print('{"accounts": [' + ",".join(f"\n  {text}" for text in texts) + "\n]}", flush=True)
