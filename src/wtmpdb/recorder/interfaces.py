# SPDX-License-Identifier: BSD-2-Clause
"""What the recorder answers to: the interface of the C project's wtmpdb, ours, and the one that every varlink service has.

A method is a generator. It yields what is to be sent, in pieces; b"" means that it has more to do and lets others go first, None that it waits for
something and is to be asked again in a while. It may raise `RefusedError` and `LogError`.
"""

from __future__ import annotations

import os

from wtmpdb import __version__
from wtmpdb.entry import EntryType
from wtmpdb.recorder.access import ALL, BOOTS, NONE, View, for_others, may_read
from wtmpdb.recorder.calls import RefusedError, denied, maybe, number, reply, text, word, written
from wtmpdb.recorder.reading import STEP, Scan, patiently
from wtmpdb.text import readable, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from wtmpdb.entry import Row
    from wtmpdb.errors import LogError
    from wtmpdb.log import Log
    from wtmpdb.recorder.access import Names
    from wtmpdb.recorder.caller import Caller
    from wtmpdb.recorder.calls import Call
    from wtmpdb.recorder.reading import Reader
    from wtmpdb.system import System

    Answer = Iterator[bytes | None]
    Method = Callable[[Call, Caller], Answer]

SERVICE, THEIRS, OURS = "org.varlink.service", "org.openSUSE.wtmpdb", "org.wtmpdb.History"

LARGEST_REPLY = 16 * 1024 * 1024 - 65_536
"""The most bytes of one message: clients of libsystemd read none of 16 MiB."""

_DESCRIPTIONS = {
    SERVICE: """# What every varlink service has
interface org.varlink.service

method GetInfo() -> (vendor: string, product: string, version: string, url: string, interfaces: []string)
method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)
error MethodNotFound (method: string)
error MethodNotImplemented (method: string)
error InvalidParameter (parameter: string)
error PermissionDenied ()
error ExpectedMore ()
""",
    THEIRS: """# The interface of the C project wtmpdb. Times are microseconds since 1970.
interface org.openSUSE.wtmpdb

type WtmpdbEntry (
  ID: int, Type: int, User: string, Login: ?int, Logout: ?int, TTY: string, RemoteHost: ?string, Service: ?string
)

method Login(Type: int, User: string, LoginTime: int, TTY: ?string, RemoteHost: ?string, Service: ?string) -> (ID: int, ErrorMsg: ?string)
method Logout(ID: int, LogoutTime: int) -> (Success: bool, ErrorMsg: ?string)
method GetID(TTY: string) -> (ID: int, ErrorMsg: ?string)
method GetBootTime() -> (Success: bool, BootTime: ?int, ErrorMsg: ?string)

# With "more" in several replies
method ReadAll() -> (Success: bool, Data: ?[]WtmpdbEntry, ErrorMsg: ?string)

# Not implemented
method Rotate(Days: int) -> (Success: bool, Entries: ?int, BackupName: ?string, ErrorMsg: ?string)

# The service is started again at once
method Quit(ExitCode: ?int) -> (Success: bool)
method Ping() -> (Alive: bool)
method SetLogLevel(Level: ?int) -> ()
method GetEnvironment() -> (Environment: ?[]string)

error NoEntryFound (Success: bool, ErrorMsg: string)
error InternalError (Success: bool, ErrorMsg: string)
""",
    OURS: """# The login history, as the caller may see it. Times are microseconds since 1970.
interface org.wtmpdb.History

# type: 1 a boot, 3 a session. What comes last tells of the process that opened a session that has not ended; of a boot, boot is its key.
type Row (
  id: int, type: int, user: string, tty: ?string, host: ?string, service: ?string, login: int, logout: ?int,
  boot: ?string, pid: ?int, start: ?int, xdg_session: ?string
)
type Which (all, open, boots)

# Newest first; to be called with "more"
method Rows(which: ?Which, since: ?int, until: ?int) -> (rows: []Row)

# When the oldest row began
method Begins() -> (begins: ?int)

# The history cannot be read
error Unavailable (why: string, hint: string)
""",
}


class Interfaces:
    """Finds methods, and is what these need."""

    def __init__(self, reader: Reader, log: Callable[[], Log], system: System, names: Names, quit_: Callable[[], object]) -> None:
        """Read by ``reader``; write into what ``log`` returns; ``quit_`` ends the service after the present turn."""
        self._reader = reader
        self._log = log
        self._system = system
        self._names = names
        self._quit = quit_
        self._methods: dict[str, dict[str, Method]] = {
            SERVICE: {"GetInfo": self._info, "GetInterfaceDescription": self._description},
            THEIRS: {
                "Login": _roots(self._login),
                "Logout": _roots(self._logout),
                "GetID": self._id,
                "GetBootTime": self._boot_time,
                "ReadAll": self._read_all,
                "Rotate": _roots(self._rotate),
                "Quit": _roots(self._end),
                "Ping": self._ping,
                "SetLogLevel": _roots(self._log_level),
                "GetEnvironment": _roots(self._environment),
            },
            OURS: {"Rows": self._rows, "Begins": self._begins},
        }

    def answer(self, call: Call, caller: Caller) -> Answer:
        """Return the answer to a call. Raises RefusedError."""
        methods = self._methods.get(call.interface)
        if methods is None:
            raise RefusedError(f"{SERVICE}.InterfaceNotFound", interface=call.interface)
        method = methods.get(call.name)
        if method is None:
            raise RefusedError(f"{SERVICE}.MethodNotFound", method=f"{call.interface}.{call.name}")
        return method(call, caller)

    # What every service has

    def _info(self, call: Call, _: Caller) -> Answer:
        call.take()
        yield reply(
            {
                "vendor": "wtmpdb",
                "product": "wtmpdb recorder",
                "version": __version__,
                "url": "man:wtmpdb-recorder(1)",
                "interfaces": [*self._methods],
            }
        )

    def _description(self, call: Call, _: Caller) -> Answer:
        (interface,) = call.take(interface=text(256))
        if interface not in _DESCRIPTIONS:
            raise RefusedError(f"{SERVICE}.InterfaceNotFound", interface=interface)
        yield reply({"description": _DESCRIPTIONS[interface]})

    # Of the C project's

    def _login(self, call: Call, _: Caller) -> Answer:
        type_, user, login, *rest = call.take(
            Type=_type, User=text(256), LoginTime=number, TTY=_maybe(64), RemoteHost=_maybe(255), Service=_maybe(64)
        )
        tty, host, service = (None if value is None else _stored(value) for value in rest)
        ident = yield from patiently(lambda: self._log().add_row(type_, _stored(user), login, tty=tty, host=host, service=service))
        yield reply({"ID": ident})

    def _logout(self, call: Call, _: Caller) -> Answer:
        ident, logout = call.take(ID=number, LogoutTime=number)
        if not (yield from patiently(lambda: self._log().end_row(ident, logout))):
            raise _internal(f"no entry has the ID {ident}")
        yield reply({"Success": True})

    def _id(self, call: Call, caller: Caller) -> Answer:
        (tty,) = call.take(TTY=text(256))
        view = yield from self._view(caller)
        conditions = [(f"+Type = 3 AND +TTY = ? AND {where}", (_stored(tty), *values)) for where, values in view.conditions(opened=True)]
        for rows in Scan(self._reader, conditions).chunks():
            if rows is None:
                yield None
            elif rows:
                yield reply({"ID": rows[0][7]})
                return
        raise _not_found(f"nobody is logged in on {tty}")

    def _boot_time(self, call: Call, _: Caller) -> Answer:
        call.take()
        yield reply({"Success": True, "BootTime": self._system.boot_time()})

    def _read_all(self, call: Call, caller: Caller) -> Answer:
        call.take()
        conditions = (yield from self._view(caller)).conditions()
        if call.more:
            for rows in Scan(self._reader, conditions).chunks():
                yield None if rows is None else reply({"Success": True, "Data": [*map(_entry, rows)]}, continues=len(rows) == STEP)
            return
        # All in one message, and nobody keeps it: read once for its size, and once more to send it.
        size = 0
        newest: int | None = None
        for rows in Scan(self._reader, conditions).chunks():
            if rows:
                newest = rows[0][5] if newest is None else newest
                size += len(written([*map(_entry, rows)]))
                if size > LARGEST_REPLY:
                    raise _internal("the history is too large for one message: ask for more, or read the file")
            yield b"" if rows else None
        yield b'{"parameters":{"Success":true,"Data":['
        before = b""
        for rows in Scan(self._reader, conditions, until=newest).chunks():
            yield before + written([*map(_entry, rows)])[1:-1] if rows else None
            before = b"," if rows else before
        yield b"]}}\0"

    def _rotate(self, call: Call, _: Caller) -> Answer:
        call.take(Days=number)
        raise _internal("the recorder cannot rotate the history yet")
        yield None

    def _end(self, call: Call, _: Caller) -> Answer:
        call.take(ExitCode=maybe(number))
        self._quit()  # before the answer, which goes out in this turn: who has it may be gone in the next
        yield reply({"Success": True})

    def _ping(self, call: Call, _: Caller) -> Answer:
        call.take()
        yield reply({"Alive": True})

    def _log_level(self, call: Call, _: Caller) -> Answer:
        call.take(Level=maybe(number))
        yield reply({})

    def _environment(self, call: Call, _: Caller) -> Answer:
        call.take()
        yield reply({"Environment": [readable(os.fsencode(f"{name}={value}")) for name, value in os.environ.items()]})

    # Ours

    def _rows(self, call: Call, caller: Caller) -> Answer:
        which, since, until = call.take(which=maybe(word("all", "open", "boots")), since=maybe(number), until=maybe(number))
        if not call.more:
            raise RefusedError(f"{SERVICE}.ExpectedMore")
        view = yield from self._view(caller)
        conditions = [BOOTS] if which == "boots" else view.conditions(opened=which == "open")
        for rows in Scan(self._reader, conditions, since, until).chunks():
            if rows is None:
                yield None
                continue
            told = yield from patiently(lambda rows=rows: [*map(self._row, rows)])  # type: ignore[misc]
            yield reply({"rows": told}, continues=len(rows) == STEP)

    def _row(self, row: Row) -> dict[str, object]:
        _, user, tty, host, service, login, logout, ident, type_ = row
        told = {"id": ident, "type": type_, "user": readable(user), "login": login, "logout": logout or None}
        told |= {"tty": _readable(tty), "host": _readable(host), "service": _readable(service)}
        if type_ == EntryType.BOOT_TIME:
            told["boot"] = self._reader.log().boot_key(ident, login)
        elif not logout and (opening := self._reader.log().opening(ident, login)):
            told |= {name: getattr(opening, name) for name in opening.__slots__}
        return told

    def _begins(self, call: Call, caller: Caller) -> Answer:
        call.take()
        view = yield from self._view(caller)
        begins = yield from patiently(lambda: self._reader.first(view.conditions()))
        yield reply({"begins": begins})

    def _view(self, caller: Caller) -> Generator[None, None, View]:
        """Return what the caller may see. Raises RefusedError when that is nothing."""
        path = self._reader.path
        if may_read(path, caller.uid, caller.groups):
            return View()
        others = for_others(path)
        if others == NONE:
            raise denied()
        if others == ALL:
            return View()
        while (name := self._names.of(caller.uid)) is None:
            yield None
        return View(name)


def unavailable(error: LogError, interface: str) -> RefusedError:
    """Return the error for a caller of an interface, when the history cannot be read or written."""
    if interface == THEIRS:
        return _internal(str(error))
    return RefusedError(f"{OURS}.Unavailable", why=str(error), hint=error.hint)


def too_many() -> RefusedError:
    """Return the error for a connection too many."""
    return _internal("too many connections")


def _roots(method: Method) -> Method:
    """Let only root call a method."""

    def check(call: Call, caller: Caller) -> Answer:
        if caller.uid != 0:
            raise denied()
        return method(call, caller)

    return check


def _type(value: object) -> int:
    if type(value) is not int or not 0 <= value <= EntryType.USER_PROCESS:
        raise ValueError
    return value


def _maybe(most: int) -> Callable[[object], str | None]:
    return maybe(text(most), empty="")


def _stored(value: str) -> str:
    return store(value.encode("utf-8", "surrogatepass"))


def _readable(value: bytes | None) -> str | None:
    return None if value is None else readable(value)


def _entry(row: Row) -> dict[str, object]:
    """Return a row as the C project's programs expect it: no logout is 0, no terminal a question mark, other text empty."""
    _, user, tty, host, service, login, logout, ident, type_ = row
    return {
        "ID": ident,
        "Type": type_,
        "User": readable(user),
        "Login": login,
        "Logout": logout or 0,
        "TTY": "?" if tty is None else readable(tty),
        "RemoteHost": readable(host or b""),
        "Service": readable(service or b""),
    }


def _not_found(why: str) -> RefusedError:
    return RefusedError(f"{THEIRS}.NoEntryFound", Success=False, ErrorMsg=why)


def _internal(why: str) -> RefusedError:
    return RefusedError(f"{THEIRS}.InternalError", Success=False, ErrorMsg=why)
