# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb last`: the history, newest first, as util-linux's `last` prints it."""

from __future__ import annotations

import os
import time

from wtmpdb import timespec
from wtmpdb.cli.options import NUMBER, Option, UsageError, describe, scan
from wtmpdb.entry import SECOND, End, EntryType
from wtmpdb.errors import LogError, NoLogError, WtmpdbError, complain
from wtmpdb.history import History, shown_tty
from wtmpdb.listing.text import FULL, ISO, NOTIME, SHORT, TIME_FORMATS, Style, TextListing, trailer
from wtmpdb.log import DATABASE, Log
from wtmpdb.system import System
from wtmpdb.text import restore, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from wtmpdb.entry import Line

OPTIONS = (
    Option("hostlast", "a", "hostlast", "", "show the remote host in the last column, in full"),
    Option("dns", "d", "dns", "", "show names instead of addresses"),
    Option("file", "f", "file", "file", "read this database; several are merged by time"),
    Option("fulltimes", "F", "fulltimes", "", "show full dates and times"),
    Option("for-service", "", "for-service", "service", "only sessions of this PAM service"),
    Option("from-host", "", "from-host", "host", "only sessions from this remote host"),
    Option("help", "h", "help", "", "show this and end"),
    Option("ip", "i", "ip", "", "show addresses instead of names"),
    Option("json", "j", "json", "", "print a JSON document"),
    Option("jsonl", "", "jsonl", "", "print a JSON object a line"),
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

_EPILOGUE = """
TIME is one of: now, today, yesterday, tomorrow, +5min, -2days, "3 hours ago", 10:30, "2026-11-20 10:00",
2026-11-20, "Fri 2026-11-20 10:00", 20261120100000, @1795242031.

Examples:
  {program} -n 20                     the newest 20 lines
  {program} -F -w alice pts/3         all of alice, and all of pts/3, with full times and names
  {program} -x reboot shutdown        when the machine was started and stopped
  {program} -p '2026-11-20 03:00'     who was there at that moment
  {program} --from-host 192.0.2.7 -S  what came from there, and through which service
  {program} -f /backup/wtmp.db -j     another file, as JSON
"""

_LARGEST_LIMIT = 2**32 - 1
_MERGED_AT_ONCE = 512
_MOST_REMEMBERED = 20_000
_SPACE = " \t\n\v\f\r"
_NOT_ENDED = (End.STILL, End.UNKNOWN, End.RUNNING)
_OLD_FILE = "/var/log/wtmp"


class Wishes:
    """What the command line asks for. Times in seconds since the epoch, 0 for none."""

    def __init__(self) -> None:
        """Start with what `last` does without options."""
        self.files: list[str] = []
        self.operands: list[bytes] = []
        self.hosts: list[bytes] = []
        self.services: list[bytes] = []
        self.flags: set[str] = set()
        self.limit = 0
        self.times = {"since": 0, "until": 0, "present": 0}
        self.time_format = ""

    @property
    def json(self) -> bool:
        """Tell whether JSON is asked for."""
        return "json" in self.flags or "jsonl" in self.flags


def run(words: Sequence[str], program: str) -> int:
    """Run the command; return util-linux's exit codes: 0, or 1 for any error."""
    try:
        wishes = read(words)
    except _Answer as answer:
        print(answer.text.format(program=program), end="")
        return 0
    except UsageError as error:
        # As getopt and `last`: the second line for words that are no options, none for bad values.
        hint = "" if isinstance(error, _BadValueError) else f"\nTry '{program} --help' for more information."
        raise WtmpdbError(f"{error}{hint}") from error
    logs = _opened(wishes, program)
    try:
        _show(logs, wishes, program)
    finally:
        for log in logs:
            log.close()
    return 0


# The command line


class _Answer(Exception):  # noqa: N818 - not an error
    """The command line asked for help or the version."""

    def __init__(self, text: str) -> None:
        self.text = text


class _BadValueError(UsageError):
    """An option whose value is wrong."""


def read(words: Sequence[str]) -> Wishes:
    """Return what a command line asks for; raises UsageError."""
    wishes = Wishes()
    now = int(time.time())
    for name, value in scan(words, OPTIONS, numbers=True):
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
        else:
            _flag(wishes, name, value)
    return wishes


def _flag(wishes: Wishes, name: str, value: str) -> None:
    if name == "help":
        raise _Answer("Usage: {program} [option…] [user|tty…]\n\nShow who was logged in, newest first.\n\n" + _options() + _EPILOGUE)
    if name == "version":
        from wtmpdb import __version__  # noqa: PLC0415 - seldom

        raise _Answer(f"{{program}} from wtmpdb {__version__}\n")
    if name in ("fulltimes", "time-format"):
        _time_format(wishes, name, value)
    wishes.flags.add(name)


def _options() -> str:
    return describe(OPTIONS, number="the same as --limit").replace("{", "{{").replace("}", "}}")


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


# The files


def _opened(wishes: Wishes, program: str) -> list[Log]:
    if not wishes.files:
        _drain(program)
    logs: list[Log] = []
    for path in wishes.files or [DATABASE]:
        try:
            logs.append(Log.read(path))
        except LogError as error:
            for log in logs:
                log.close()
            raise LogError(f"cannot open {error}", error.hint or _hint(error, wishes)) from error
    return logs


def _hint(error: LogError, wishes: Wishes) -> str:
    if wishes.files or not isinstance(error, NoLogError):
        return ""
    hint = "nothing has been recorded yet"
    try:
        if os.path.getsize(_OLD_FILE):
            hint += f"; the history of before is in {_OLD_FILE}, which util-linux's 'last' reads"
    except OSError:
        pass
    return hint


def _drain(program: str) -> None:
    """Let root see what has just happened: take what waits in the spool first."""
    from wtmpdb import spool  # noqa: PLC0415 - only for the file of this machine

    if os.geteuid() != 0 or not spool.waiting():
        return
    from wtmpdb.recorder.drain import drain  # noqa: PLC0415

    try:
        drain(timeout=1.0, wait=1.0)  # the service may be taking them at this moment
    except WtmpdbError as error:
        if not isinstance(error, spool.BusyError):
            complain(f"{program}: what happened just now is not listed: {error}", error.hint)


# The listing


def _show(logs: list[Log], wishes: Wishes, program: str) -> None:
    now = int(time.time())
    at_home = None if wishes.files else True
    streams = [_lines(log, wishes, at_home=at_home) for log in logs]
    chunks = _chosen(streams[0] if len(streams) == 1 else _merged(streams), wishes, now)
    if wishes.flags & {"dns", "ip"}:
        chunks = _with_addresses(chunks, program, names="ip" not in wishes.flags)
    if wishes.json:
        _show_json(logs, chunks, wishes)
    else:
        _show_text(logs, chunks, wishes)


def _lines(log: Log, wishes: Wishes, *, at_home: bool | None) -> Iterator[list[Line]]:
    since, until = _bounds(wishes)
    history = History(log, System(), at_home=at_home)
    rows = log.rows(since, until)
    return history.lines_with_shutdowns(rows, since, until) if "system" in wishes.flags else history.lines(rows)


def _bounds(wishes: Wishes) -> tuple[int | None, int | None]:
    """Return --since and --until in µs, as the first and the last moment that count."""
    since, until = wishes.times["since"], wishes.times["until"]
    largest = 2**63 - 1
    return (min(since * SECOND, largest) if since else None, min(until * SECOND + SECOND - 1, largest - 1) if until else None)


def _merged(streams: list[Iterator[list[Line]]]) -> Iterator[list[Line]]:
    """Merge by time, newest first."""
    from heapq import merge  # noqa: PLC0415 - seldom
    from itertools import islice  # noqa: PLC0415

    lines = merge(*((line for chunk in stream for line in chunk) for stream in streams), key=lambda line: -line[5])
    while chunk := list(islice(lines, _MERGED_AT_ONCE)):
        yield chunk


def _chosen(chunks: Iterable[list[Line]], wishes: Wishes, now: int) -> Iterator[list[Line]]:
    """Keep the lines that are asked for, at most as many as are asked for."""
    tests = list(_tests(wishes, now))
    left = wishes.limit or None
    for chunk in chunks:
        lines = chunk
        for test in tests:
            lines = [line for line in lines if test(line)]
        if left is not None:
            lines = lines[:left]
            left -= len(lines)
        yield lines
        if left == 0:
            return


def _tests(wishes: Wishes, now: int) -> Iterator[Callable[[Line], bool]]:
    if "system" not in wishes.flags:
        yield lambda line: line[8] != EntryType.RUNLEVEL
    if wishes.operands:
        users, ttys = _Found(wishes.operands), _FoundTty(wishes.operands)
        yield lambda line: users[line[1]] or ttys[line[2]]
    if wishes.hosts:
        hosts = _Found(wishes.hosts)
        yield lambda line: hosts[line[3]]
    if wishes.services:
        services = _Found(wishes.services)
        yield lambda line: services[line[4]]
    if "open" in wishes.flags:
        yield lambda line: line[0] in _NOT_ENDED
    if wishes.times["present"]:
        moment = wishes.times["present"]
        yield lambda line: _was_there(line, moment, now)


def _was_there(line: Line, moment: int, now: int) -> bool:
    end = now if line[0] == End.RUNNING else (line[6] or 0) // SECOND
    return line[5] // SECOND <= moment and not 0 < end < moment


class _Found(dict["bytes | None", bool]):
    """From a text of the file to whether it was asked for; remembers."""

    def __init__(self, wanted: Sequence[bytes]) -> None:
        self._wanted = frozenset(wanted)

    def __missing__(self, text: bytes | None) -> bool:
        if len(self) > _MOST_REMEMBERED:
            self.clear()
        self[text] = found = self._matches(restore(text or b"")) or text in self._wanted
        return found

    def _matches(self, text: bytes) -> bool:
        return text in self._wanted


class _FoundTty(_Found):
    """The same for ttys, where ``1`` means ``tty1``."""

    def _matches(self, text: bytes) -> bool:
        shown = shown_tty(text)
        return shown in self._wanted or (shown.startswith(b"tty") and shown[3:] in self._wanted)


def _show_text(logs: list[Log], chunks: Iterator[list[Line]], wishes: Wishes) -> None:
    form = wishes.time_format or SHORT
    flags = wishes.flags
    listing = TextListing(
        Style(
            time_format=form,
            host_last="hostlast" in flags,
            no_host="nohostname" in flags,
            full_names="fullnames" in flags,
            tabs="tab-separated" in flags,
            service="service" in flags,
        )
    )
    for chunk in chunks:
        _write(listing.render(chunk))
    if form != NOTIME:
        _write(b"\n" + b"".join(trailer(os.fsencode(os.path.basename(log.path)), _begins(log), form) for log in logs))


def _show_json(logs: list[Log], chunks: Iterator[list[Line]], wishes: Wishes) -> None:
    from wtmpdb.listing.machine import document, object_lines  # noqa: PLC0415 - costs an import of json

    form = wishes.time_format or ISO
    for piece in object_lines(chunks, form) if "jsonl" in wishes.flags else document(chunks, form, min(map(_begins, logs))):
        _write(piece)


def _begins(log: Log) -> int:
    begins = log.begins()
    return os.stat(log.path).st_ctime_ns // 1000 if begins is None else begins


def _with_addresses(chunks: Iterator[list[Line]], program: str, *, names: bool) -> Iterator[list[Line]]:
    from wtmpdb.listing.addresses import NO_ADDRESS, Addresses  # noqa: PLC0415 - costs an import of socket

    addresses = Addresses(names=names)
    for chunk in chunks:
        yield [
            (*line[:3], store(addresses.of(restore(line[3] or b""))).encode() if line[8] == EntryType.USER_PROCESS else NO_ADDRESS, *line[4:])
            for line in chunk
        ]
    if addresses.late:
        complain(f"{program}: looking up hosts took too long: some are shown as recorded")


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]
