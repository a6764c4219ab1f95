# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb who`: who is on now, as `who` of GNU coreutils prints it; of this machine, a database or an old file."""

from __future__ import annotations

import os

from wtmpdb.cli.options import Option, UsageError, describe, scan
from wtmpdb.cli.present import Present
from wtmpdb.entry import now
from wtmpdb.errors import WtmpdbError, complain
from wtmpdb.legacy.record import BOOT_TIME, DEAD_PROCESS, INIT_PROCESS, LOGIN_PROCESS, NEW_TIME, RUN_LVL, USER_PROCESS
from wtmpdb.listing.who import EVERYTHING, Columns, WhoListing, count, objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

OPTIONS = (
    Option("all", "a", "all", "", "the same as -b -d -l -p -r -t -T -u"),
    Option("boot", "b", "boot", "", "show when the machine was started"),
    Option("byte-order", "", "byte-order", "order", "of an old file: little or big", exact=True),
    Option("dead", "d", "dead", "", "of an old file: show processes that have ended"),
    Option("heading", "H", "heading", "", "print a line of headings"),
    Option("help", "", "help", "", "show this and end"),
    Option("json", "", "json", "", "print a JSON document", exact=True),
    Option("jsonl", "", "jsonl", "", "print a JSON object a line", exact=True),
    Option("layout", "", "layout", "name", "of an old file, where it is not recognised", exact=True),
    Option("login", "l", "login", "", "of an old file: show lines that wait for a login"),
    Option("lookup", "", "lookup", "", "show names instead of addresses"),
    Option("me", "m", "", "", "only who is on the terminal of the standard input"),
    Option("process", "p", "process", "", "of an old file: show processes that init started"),
    Option("count", "q", "count", "", "show the names of all users, and how many there are"),
    Option("runlevel", "r", "runlevel", "", "show the run level, as systemd's targets stand for it"),
    Option("short", "s", "short", "", "show name, line and time only: the default"),
    Option("time", "t", "time", "", "of an old file: show when the clock was set"),
    Option("mesg", "T", "mesg", "", "show whether a terminal takes messages, as +, - or ?"),
    Option("mesg", "w", "message", "", "the same"),
    Option("mesg", "", "writable", "", "the same"),
    Option("users", "u", "users", "", "show how long terminals are idle, and process ids"),
    Option("version", "", "version", "", "show the version and end"),
)

_KINDS = {
    "boot": BOOT_TIME,
    "dead": DEAD_PROCESS,
    "login": LOGIN_PROCESS,
    "process": INIT_PROCESS,
    "runlevel": RUN_LVL,
    "time": NEW_TIME,
    "users": USER_PROCESS,
}
_WITH_IDLE = {"all", "dead", "login", "runlevel", "users"}
_MOST_OPERANDS = 2
_BLOCK = 1 << 16

_USAGE = """Usage: {program} [option…] [FILE | ARG1 ARG2]

Show who is on now. FILE is a database or an old file (utmp, wtmp); two words, such as "am i", stand for -m.

{options}
Examples:
  {program}                    everybody who is on
  {program} -uH                with idle times, process ids and headings
  {program} am i               me, as I am known here
  {program} -b                 when the machine was started
  {program} --json             all that is known, for a program
  {program} /var/run/utmp      an old file
"""


def run(words: Sequence[str], program: str) -> int:
    """Run the command; return coreutils' exit codes: 0, or 1 for any error."""
    try:
        given, operands = read(words)
    except UsageError as error:
        raise WtmpdbError(f"{error}\nTry '{program} --help' for more information.") from error
    flags = given.keys()
    if said := _said(flags):
        print(said.format(program=program, options=describe(OPTIONS)), end="")
        return 0
    columns = _columns(flags)
    if "me" in flags or len(operands) == _MOST_OPERANDS:
        columns.line = _own_terminal()
    machine = "json" in flags or "jsonl" in flags
    boots = BOOT_TIME in columns.kinds or columns.idle
    with Present(program, boot=boots and not machine, run_level=RUN_LVL in columns.kinds) as present:
        if len(operands) == 1:
            present.open(operands[0], given.get("layout"), given.get("byte-order"))
        else:
            present.look()
            if columns.line is not None:
                present.only(columns.line)
        if machine:
            _show_json(present, columns.line, lines="jsonl" in flags)
        elif "count" in flags:
            _write(count(present.records()))
        else:
            _show(present, columns, lookup="lookup" in flags, program=program)
    return 0


def read(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the options that are given, with their values, and the operands; raises UsageError."""
    given: dict[str, str] = {}
    operands: list[str] = []
    for name, value in scan(words, OPTIONS):
        if name == "":
            operands.append(value)
            continue
        given[name] = value
        if name in ("help", "version"):  # acts when it is met, whatever comes behind it
            return given, []
    if len(operands) > _MOST_OPERANDS:
        raise UsageError(f"extra operand '{operands[_MOST_OPERANDS]}'")
    if given.get("byte-order", "little") not in ("little", "big"):
        raise UsageError(f"unknown byte order: {given['byte-order']}")
    return given, operands


def _said(flags: Iterable[str]) -> str:
    if "help" in flags:
        return _USAGE
    if "version" in flags:
        from wtmpdb import __version__  # noqa: PLC0415 - seldom

        return f"{{program}} from wtmpdb {__version__}\n"
    return ""


def _columns(flags: Iterable[str]) -> Columns:
    """Return what is to be shown; nothing but users, in short, unless some kind of record is named."""
    flags = set(flags)
    columns = Columns()
    columns.kinds = EVERYTHING if "all" in flags else {_KINDS[name] for name in flags & _KINDS.keys()}
    columns.heading = "heading" in flags
    columns.mesg = bool(flags & {"all", "mesg"})
    columns.idle = bool(flags & _WITH_IDLE)
    columns.exit = bool(flags & {"all", "dead"})
    columns.short = ("short" in flags or not columns.kinds) and not columns.exit
    columns.kinds = columns.kinds or {USER_PROCESS}
    return columns


def _own_terminal() -> bytes:
    """Return the terminal of the standard input; where that is none, what no terminal is called."""
    try:
        return os.fsencode(os.ttyname(0)).removeprefix(b"/dev/")
    except OSError:
        return b"\0"


def _show(present: Present, columns: Columns, *, lookup: bool, program: str) -> None:
    name: Callable[[bytes], bytes] | None = None
    if lookup:
        from wtmpdb.listing.addresses import Addresses  # noqa: PLC0415 - costs an import of socket

        addresses = Addresses(names=True)

        def name(host: bytes) -> bytes:
            """Keep what stands behind an address, an X display."""
            return host if host.startswith(b":") and not host.startswith(b"::") else addresses.of(host)

    _write(WhoListing(columns, present.system, now(), name).render(present.records()))
    if lookup and addresses.late:
        complain(f"{program}: looking up hosts took too long: some are shown as recorded")


def _show_json(present: Present, line: bytes | None, *, lines: bool) -> None:
    from json import dumps  # noqa: PLC0415 - only here

    found = (one for one in present.sessions() if line is None or one.tty == line)
    texts = map(dumps, objects(found, present.system, now()))
    if lines:
        _write(f"{text}\n".encode() for text in texts)
    else:
        _write(_document(texts))


def _document(texts: Iterable[str]) -> Iterator[bytes]:
    yield b'{"sessions": ['
    before = "\n"
    for text in texts:
        yield f"{before}  {text}".encode()
        before = ",\n"
    yield b"\n]}\n"


def _write(pieces: Iterable[bytes]) -> None:
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= _BLOCK:
            _write_all(waiting)
    _write_all(waiting)


def _write_all(waiting: bytearray) -> None:
    while waiting:
        del waiting[: os.write(1, waiting)]
