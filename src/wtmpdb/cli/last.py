# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb last`: the history, newest first, as util-linux's `last` prints it."""

from __future__ import annotations

import os
import time
from stat import S_ISREG

from wtmpdb import timespec
from wtmpdb.cli.choice import Choice, Wishes
from wtmpdb.cli.options import NUMBER, Option, UsageError, describe, scan
from wtmpdb.entry import SECOND
from wtmpdb.errors import WtmpdbError
from wtmpdb.listing.text import FULL, ISO, NOTIME, TIME_FORMATS, TextListing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Protocol

    from wtmpdb.entry import Line

    class Source(Protocol):
        """What is listed together, and ends with its own last line."""

        @property
        def listing(self) -> TextListing:
            """What makes text of its lines."""

        def lines(self, choice: Choice) -> Iterator[list[Line]]:
            """Yield the lines that are asked for."""

        def begins(self) -> int:
            """Return when it begins, in µs since the epoch."""

        def number_counted(self) -> int:
            """Return how many failed logins are not listed, but only counted."""

        def trailer(self) -> bytes:
            """Return the last line of the listing."""

        def close(self) -> None:
            """Close its files."""


OPTIONS = (
    Option("hostlast", "a", "hostlast", "", "show the remote host in the last column, in full"),
    Option("dns", "d", "dns", "", "show names instead of addresses"),
    Option("byte-order", "", "byte-order", "order", "of an old file: little or big"),
    Option("file", "f", "file", "file", "read this database or old file; several databases are merged by time"),
    Option("fulltimes", "F", "fulltimes", "", "show full dates and times"),
    Option("for-service", "", "for-service", "service", "only what came through this PAM service"),
    Option("from-host", "", "from-host", "host", "only what came from this remote host"),
    Option("help", "h", "help", "", "show this and end"),
    Option("ip", "i", "ip", "", "show addresses instead of names"),
    Option("json", "j", "json", "", "print a JSON document"),
    Option("jsonl", "", "jsonl", "", "print a JSON object a line"),
    Option("layout", "", "layout", "name", "of an old file, where it is not recognised", exact=True),
    Option("limit", "n", "limit", "number", "at most so many lines"),
    Option("open", "", "open", "", "only what has not ended"),
    Option("nohostname", "R", "nohostname", "", "leave out the remote host"),
    Option("service", "S", "service", "", "show the PAM service"),
    Option("since", "s", "since", "time", "only what began at this time or later"),
    Option("tab-separated", "T", "tab-separated", "", "put tabs between the columns"),
    Option("until", "t", "until", "time", "only what began at this time or before"),
    Option("present", "p", "present", "time", "only who was there at this time"),
    Option("fullnames", "w", "fullnames", "", "do not cut users and hosts"),
    Option("system", "x", "system", "", "show shutdowns and changes of run level too"),
    Option("time-format", "", "time-format", "format", "notime, short, full or iso"),
    Option("version", "V", "version", "", "show the version and end"),
)

FAILED_OPTIONS = (*OPTIONS, Option("by", "", "by", "what", "count attempts by user, host, address, service or day", exact=True))
"""The options of `lastb`."""

MEANINGLESS = ("open", "system")
"""Options that say nothing of failed logins: `lastb` takes them, as util-linux takes -x, and its help leaves them out."""

_LOGINS = "Show who was logged in, newest first."
_FAILED_LOGINS = "Show failed logins, newest first."

_TIMES = """
TIME is one of: now, today, yesterday, tomorrow, +5min, -2days, "3 hours ago", 10:30, "2026-11-20 10:00",
2026-11-20, "Fri 2026-11-20 10:00", 20261120100000, @1795242031.
"""

_EXAMPLES = """
Examples:
  {program} -n 20                     the newest 20 lines
  {program} -F -w alice pts/3         all of alice, and all of pts/3, with full times and names
  {program} -x reboot shutdown        when the machine was started and stopped
  {program} -p '2026-11-20 03:00'     who was there at that moment
  {program} --from-host 192.0.2.7 -S  what came from there, and through which service
  {program} -f /backup/wtmp.db -j     another file, as JSON
  {program} -f /var/log/wtmp.1.gz     a file of old
"""

_FAILED_EXAMPLES = """
Examples:
  {program} -n 20                     the newest 20
  {program} -F -w -a root             all for root, with full times and hosts
  {program} -s yesterday              since yesterday, 00:00
  {program} --by host -s -7days -n 5  the five hosts from which most attempts came this week
  {program} -f /var/log/btmp.1 -j     another file, as JSON
"""

BYTE_ORDERS = ("little", "big")
BY = ("user", "host", "address", "service", "day")

_LARGEST_LIMIT = 2**32 - 1
_MERGED_AT_ONCE = 512
_SPACE = " \t\n\v\f\r"
_SQLITE = b"SQLite format 3\0"
_OLD_FILE = "/var/log/wtmp"
_FAILED_FILE = "/var/log/btmp"


def run(words: Sequence[str], program: str, *, failed: bool = False) -> int:
    """Run the command, for `lastb` on failed logins; return util-linux's exit codes: 0, or 1 for any error."""
    try:
        wishes = read(words, FAILED_OPTIONS if failed else OPTIONS)
    except _Answer as answer:
        print((answer.text or _usage(failed=failed)).format(program=program), end="")
        return 0
    except UsageError as error:
        # As getopt and `last`: the second line for words that are no options, none for bad values.
        hint = "" if isinstance(error, _BadValueError) else f"\nTry '{program} --help' for more information."
        raise WtmpdbError(f"{error}{hint}") from error
    now = int(time.time())
    sources = _sources(wishes, program, now, failed=failed)
    if wishes.by:
        _show_counts(sources, wishes, now)
        return 0
    choice = Choice(wishes, now)
    if wishes.json:
        _show_json(sources, choice, wishes)
    else:
        _show_text(sources, choice, wishes)
    return 0


# The command line


class _Answer(Exception):  # noqa: N818 - not an error
    """The command line asked for help or the version."""

    def __init__(self, text: str) -> None:
        self.text = text


class _BadValueError(UsageError):
    """An option whose value is wrong."""


def read(words: Sequence[str], options: Sequence[Option] = OPTIONS) -> Wishes:
    """Return what a command line asks for; raises UsageError."""
    wishes = Wishes()
    now = int(time.time())
    for name, value in scan(words, options, numbers=True):
        if name == "":
            wishes.operands.append(os.fsencode(value))
        elif name == "file":
            wishes.files.append(value)
        elif name in ("limit", NUMBER):
            wishes.limit = _number(value)
        elif name in wishes.times:
            wishes.times[name] = _time(value, now)
        elif name == "from-host":
            wishes.hosts.append(os.fsencode(value))
        elif name == "for-service":
            wishes.services.append(os.fsencode(value))
        elif name in ("layout", "byte-order", "by"):
            _form(wishes, name, value)
        else:
            _flag(wishes, name, value)
    return wishes


def _flag(wishes: Wishes, name: str, value: str) -> None:
    if name == "help":
        raise _Answer("")
    if name == "version":
        from wtmpdb import __version__  # noqa: PLC0415 - seldom

        raise _Answer(f"{{program}} from wtmpdb {__version__}\n")
    if name in ("fulltimes", "time-format"):
        _time_format(wishes, name, value)
    wishes.flags.add(name)


def _form(wishes: Wishes, name: str, value: str) -> None:
    if name == "layout":
        wishes.layout = value
    elif name == "by":
        if value not in BY:
            raise _BadValueError(f"cannot count by '{value}': one of {', '.join(BY)}")
        wishes.by = value
    elif value not in BYTE_ORDERS:
        raise _BadValueError(f"unknown byte order: {value}")
    else:
        wishes.byte_order = value


def _usage(*, failed: bool) -> str:
    what, examples = (_FAILED_LOGINS, _FAILED_EXAMPLES) if failed else (_LOGINS, _EXAMPLES)
    shown = [option for option in FAILED_OPTIONS if option.name not in MEANINGLESS] if failed else OPTIONS
    options = describe(shown, number="the same as --limit").replace("{", "{{").replace("}", "}}")
    return f"Usage: {{program}} [option…] [user|tty…]\n\n{what}\n\n{options}{_TIMES}{examples}"


def _time_format(wishes: Wishes, name: str, value: str) -> None:
    other = "time-format" if name == "fulltimes" else "fulltimes"
    if other in wishes.flags:
        raise _BadValueError(f"options --{other} and --{name} cannot be combined")
    if name == "time-format" and value not in TIME_FORMATS:
        raise _BadValueError(f"unknown time format: {value}")
    wishes.time_format = value or FULL


def _number(text: str) -> int:
    digits = text.lstrip(_SPACE).removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        raise _BadValueError(f"failed to parse number: '{text}'")
    if len(digits.lstrip("0")) > len(str(_LARGEST_LIMIT)) or int(digits[-20:]) > _LARGEST_LIMIT:
        raise _BadValueError(f"failed to parse number: '{text}': Numerical result out of range")
    return int(digits)


def _time(text: str, now: int) -> int:
    try:
        return timespec.parse(text, now) // SECOND
    except ValueError:
        raise _BadValueError(f'invalid time value "{text}"') from None


# What is listed


def _sources(wishes: Wishes, program: str, now: int, *, failed: bool) -> Iterator[Source]:
    """Yield what is to be listed, opened one after the other: old files each by itself, all databases together in the place of the first."""
    if not wishes.files and (here := _home(wishes, program, failed=failed)):
        yield here
        return
    files = wishes.files or [_FAILED_FILE]
    databases = [path for path in files if is_database(path) and wishes.layout is None]
    together: Source | None = None
    for path in files:
        if path not in databases:
            from wtmpdb.cli.old import OldFile  # noqa: PLC0415 - only for old files

            yield OldFile(path, wishes, program, now, failed=failed)
        elif together is None:
            yield (together := _databases(databases, wishes, program, failed=failed))


def _home(wishes: Wishes, program: str, *, failed: bool) -> Source | None:
    """Open the database of this machine; None where there are failed logins in an old file at most."""
    if failed:
        from wtmpdb.cli import failed as attempts  # noqa: PLC0415 - costs an import of sqlite3

        return attempts.home(wishes, program, or_else=_FAILED_FILE)
    from wtmpdb.cli.databases import home  # noqa: PLC0415 - costs an import of sqlite3

    return home(wishes, program)


def _databases(paths: list[str], wishes: Wishes, program: str, *, failed: bool) -> Source:
    if failed:
        from wtmpdb.cli.failed import FailedLogins  # noqa: PLC0415

        return FailedLogins(paths, wishes, program)
    from wtmpdb.cli.databases import Databases  # noqa: PLC0415

    return Databases(paths, wishes, program)


def is_database(path: str) -> bool:
    """Tell whether a file is one of SQLite's, https://www.sqlite.org/fileformat.html; an empty one is, but nothing that is read only once."""
    try:
        if not S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb", buffering=0) as file:
            return file.read(len(_SQLITE)) in (_SQLITE, b"")
    except OSError:
        return False


# The listing


def _show_text(sources: Iterable[Source], choice: Choice, wishes: Wishes) -> None:
    for source in sources:
        try:
            for lines in source.lines(choice):
                _write(source.listing.render(lines))
            if wishes.time_format != NOTIME:
                _write(b"\n" + source.trailer())
        finally:
            source.close()


def _show_json(sources: Iterable[Source], choice: Choice, wishes: Wishes) -> None:
    from wtmpdb.listing.machine import document, object_lines  # noqa: PLC0415 - costs an import of json

    form = wishes.time_format or ISO
    opened: list[Source] = []
    try:
        for source in sources:
            opened.append(source)  # noqa: PERF402 - what is open has to be closed, also when the next one cannot be opened
        chunks = (lines for source in opened for lines in source.lines(choice))
        number = sum(source.number_counted() for source in opened)
        more = {"only_counted": number} if number else {}
        begins = min(source.begins() for source in opened)
        for piece in object_lines(chunks, form) if "jsonl" in wishes.flags else document(chunks, form, begins, **more):
            _write(piece)
    finally:
        for source in opened:
            source.close()


def _show_counts(sources: Iterator[Source], wishes: Wishes, now: int) -> None:
    from wtmpdb.cli.tally import show  # noqa: PLC0415 - seldom

    limit, wishes.limit = wishes.limit, 0  # it is one of counts, not of attempts
    for piece in show(sources, Choice(wishes, now), wishes, limit):
        _write(piece)


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]
