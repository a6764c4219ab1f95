# SPDX-License-Identifier: BSD-2-Clause
"""The history as records of old: a session becomes a login and a logout, a boot a boot and a shutdown, all in the order of time.

An old file says less than the history, so some of it has to be said otherwise:

* Whoever reads records pairs them by their line. Of sessions that overlap on one line (those of ``ssh``, a `su` on a terminal) each but the first
  gets a line of its own, ``ssh:2``, so that every session keeps its own end.
* A session without a terminal stands on the line ``?``; a terminal whose name begins as a line of the system does gets a ``?`` before it.
* A boot or a shutdown ends all sessions. One that lasted beyond it has no logout in the file.
* A row without a user says nothing in an old file, and is left out; so is a time that the layout cannot hold.

How often that happened is counted in `Records.changed`.
"""

from __future__ import annotations

import marshal
import os
from heapq import heappop, heappush
from itertools import islice
from sys import byteorder

from wtmpdb.entry import SECOND, EntryType, as_text
from wtmpdb.legacy import dump, freebsd
from wtmpdb.legacy.compressed import temporary, write_all
from wtmpdb.legacy.errors import LegacyError
from wtmpdb.legacy.fixed import FixedLayout
from wtmpdb.legacy.layouts import FIXED, FREEBSD_LOG, choose
from wtmpdb.legacy.record import BOOT_TIME, DEAD_PROCESS, NEW_TIME, NO_ADDRESS, OLD_TIME, RUN_LVL, USER_PROCESS, Fields
from wtmpdb.text import cut, restore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from wtmpdb.entry import Row
    from wtmpdb.log import Log

    # Whether it is an end, ID, type, user, tty, host, login, logout, pid, id of the line, address.
    Moment = tuple[int, int, int, bytes, bytes | None, bytes | None, int, int | None, int | None, bytes | None, bytes | None]

_RECORDS_AT_ONCE = 1024
_LARGEST_SECOND = (2**63 - 1) // SECOND
_UNSIGNED, _SIGNED = 2**32 - 1, 2**31 - 1
_FIRST_SECOND, _LAST_SECOND = -62135596800, 253402300799  # the years 1 to 9999, all that a text of utmpdump can say
_LARGEST_PID = 1 << 22
_MOST_REMEMBERED = 20_000
_NO_LINE = b"?"
_OF_THE_SYSTEM = (b"~", b"|", b"{")
_CLOCK = {b"old time": (OLD_TIME, b"|"), b"new time": (NEW_TIME, b"{")}
_WIDE = b"w" * 1024
_FIELDS = ("line", "id", "user", "host")

# Which machines' glibc has which layout: sysdeps/*/utmp-size.h. All others have glibc-384.
_MACHINES = {
    **dict.fromkeys(("aarch64", "aarch64_be", "s390", "s390x", "loongarch64", "alpha"), "glibc-400"),
    **dict.fromkeys(("arc", "or1k"), "glibc-392"),
    "m68k": "glibc-382",
}


def native_layout() -> str:
    """Return the name of the layout that glibc has on this machine."""
    return _MACHINES.get(os.uname().machine, "glibc-384")


class Form:
    """A layout to write in: how long its texts are, which times it can hold, and how records are encoded."""

    def __init__(self, encode: Callable[[list[Fields]], bytes], widths: dict[str, int], least: int, largest: int, head: bytes = b"") -> None:
        """Take ``widths`` in bytes, ``least`` and ``largest`` in seconds since the epoch, and what a file begins with."""
        self.encode = encode
        self.widths = widths
        self.least = least
        self.largest = largest
        self.head = head

    @classmethod
    def named(cls, name: str | None, byte_order: str | None) -> Form:
        """Return the form of a layout, of this machine unless it is named; raises LegacyError for one that cannot be written."""
        found = choose(name or native_layout(), byte_order)
        layout = next((layout for layout in found if layout.order == byteorder), found[0])
        if layout is FREEBSD_LOG:
            return cls(_each(freebsd.encode), *_limits(FIXED["freebsd-active-be"]))
        if not isinstance(layout, FixedLayout):
            raise LegacyError(f"{layout}: not a layout of records", hint="there may be a --format of that name")
        return cls(layout.encode_all, *_limits(layout), layout.make_signature())

    @classmethod
    def text(cls) -> Form:
        """Return the form of utmpdump's text."""
        return cls(_each(dump.write), {"line": 32, "id": 4, "user": 32, "host": 256}, _FIRST_SECOND, _LAST_SECOND)

    @property
    def ends_early(self) -> bool:
        """Tell whether times end in 2106: programs built for signed seconds misread those of after 2038."""
        return self.largest <= _UNSIGNED


def _each(encode: Callable[[Fields], bytes]) -> Callable[[list[Fields]], bytes]:
    return lambda records: b"".join(map(encode, records))


def _limits(layout: FixedLayout) -> tuple[dict[str, int], int, int]:
    """Find out what a layout can hold by writing what is too large."""

    def written(second: int) -> Fields | None:
        try:
            return layout.decode(layout.encode((USER_PROCESS, 1, _WIDE, _WIDE, _WIDE, _WIDE, second, 0, NO_ADDRESS, 0, 0, 0)))[0]
        except ValueError:
            return None

    largest = next(second for second in (_LARGEST_SECOND, _UNSIGNED, _SIGNED) if written(second))
    least = next(second for second in (-_LARGEST_SECOND, -_SIGNED, 0) if written(second))
    fields = written(1)
    assert fields  # noqa: S101 - the first second of 1970 fits into every layout
    return dict(zip(_FIELDS, map(len, fields[2:6]), strict=True)), least, largest


class Records:
    """The records of a history for one file."""

    def __init__(self, form: Form) -> None:
        """Prepare for a form."""
        self._form = form
        self._lines = _Lines(form.widths["line"])
        self._texts: dict[tuple[str, bytes | None], tuple[bytes, bool]] = {}
        self._addresses: dict[bytes | None, bytes] = {}
        self.changed: dict[str, int] = {}
        """What had to be said otherwise or left out, and how often, in numbers of records or sessions."""

    def encoded(self, log: Log, since: int | None = None, until: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of a file with the rows whose login lies within the bounds (µs, inclusive), each with its end.

        Rows are copied into a temporary file first, and no lock is held afterwards. Raises LogError, and LegacyError when there is no room for
        that file.
        """
        if self._form.head:
            yield self._form.head
        fields = self.records(_in_order(log, since, until))
        while chunk := list(islice(fields, _RECORDS_AT_ONCE)):
            yield self._encoded(chunk)

    def _encoded(self, records: list[Fields]) -> bytes:
        try:
            return self._form.encode(records)
        except ValueError:
            if len(records) > 1:
                return b"".join(self._encoded([record]) for record in records)
            self._count("kinds")  # a run level, say, where a layout has none
            return b""

    def records(self, moments: Iterable[Moment]) -> Iterator[Fields]:
        """Turn what began and ended, in the order of time, into records."""
        for moment in moments:
            ends, _, type_, *_, login, logout, _, _, _ = moment
            at = (logout or 0) if ends else login
            if not (self._holds(login) and self._holds(at)):
                self._count("times")
                continue
            if at // SECOND > _SIGNED and self._form.ends_early:
                self._count("late")
            if type_ == EntryType.BOOT_TIME:
                self._lines.clear()
                yield self._system(moment, at, RUN_LVL if ends else BOOT_TIME)
            elif type_ == EntryType.RUNLEVEL:
                yield self._change(moment, at)
            else:
                yield from (self._logout if ends else self._login)(moment, at)

    def _holds(self, at: int) -> bool:
        return self._form.least <= at // SECOND <= self._form.largest

    def _system(self, moment: Moment, at: int, kind: int) -> Fields:
        ends, _, _, user, _, host, _, _, pid, _, _ = moment
        name = b"shutdown" if ends else self._text("user", user)
        if not ends and not name.endswith(b"reboot"):  # a reader goes by it
            name = b"reboot"
        return (kind, _pid(pid), b"~", b"~~", name, self._text("host", host), *divmod(at, SECOND), NO_ADDRESS, 0, 0, 0)

    def _change(self, moment: Moment, at: int) -> Fields:
        """Return the record of a change of the run level or of the clock, as an import keeps them."""
        _, _, _, user, tty, host, _, _, pid, _, _ = moment
        kind, line = _CLOCK.get(tty or b"", (RUN_LVL, b"~"))
        level = (tty or b"").removeprefix(b"(to lvl ")[:1]
        name = self._text("user", user) or b"runlevel"
        return (kind, _pid(pid) or (level[0] if level else 0), line, b"~~", name, self._text("host", host), *divmod(at, SECOND), NO_ADDRESS, 0, 0, 0)

    def _login(self, moment: Moment, at: int) -> Iterator[Fields]:
        _, ident, _, stored, tty, host, _, logout, pid, line_id, address = moment
        user = self._text("user", stored)
        if not user:
            self._count("nameless")
            return
        wanted = restore(tty or b"").partition(b"\0")[0]
        if not wanted:
            self._count("lines")
        line = self._lines.take(ident, wanted, stays=logout is None)
        if line != wanted and wanted:
            self._count("renamed")
        if not address or len(address) != len(NO_ADDRESS):
            address = self._address(host)
        yield USER_PROCESS, _pid(pid), line, self._ident(line, line_id), user, self._text("host", host), *divmod(at, SECOND), address, 0, 0, 0

    def _logout(self, moment: Moment, at: int) -> Iterator[Fields]:
        _, ident, _, user, *_, pid, line_id, _ = moment
        line = self._lines.give_back(ident)
        if line:
            yield DEAD_PROCESS, _pid(pid), line, self._ident(line, line_id), b"", b"", *divmod(at, SECOND), NO_ADDRESS, 0, 0, 0
        elif user:
            self._count("beyond")

    def _ident(self, line: bytes, recorded: bytes | None) -> bytes:
        """Return the id: the one that was recorded, or the end of the line, as most programs do it."""
        width = self._form.widths["id"]
        return (restore(recorded or b"") or line[-width:])[:width] if width else b""

    def _text(self, field: str, stored: bytes | None) -> bytes:
        """Return the bytes that the stored text stands for, as many as the field can hold."""
        known = self._texts.get((field, stored))
        if known is None:
            raw = restore(stored or b"")
            text = cut(raw.partition(b"\0")[0], self._form.widths[field])
            known = text, text != raw
            if len(self._texts) > _MOST_REMEMBERED:
                self._texts.clear()
            self._texts[field, stored] = known
        if known[1]:
            self._count(f"{field}s")
        return known[0]

    def _address(self, host: bytes | None) -> bytes:
        address = self._addresses.get(host)
        if address is None:
            if len(self._addresses) > _MOST_REMEMBERED:
                self._addresses.clear()
            address = self._addresses[host] = _address_of(restore(host or b""))
        return address

    def _count(self, what: str) -> None:
        self.changed[what] = self.changed.get(what, 0) + 1


class _Lines:
    """Who is on which line. As many are kept in mind as sessions are open at the same time; one without an end is until the next boot."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._taken: set[bytes] = set()
        self._holders: dict[int, tuple[bytes, bytes, int]] = {}  # line, the line that was wanted, its number
        self._free: dict[bytes, list[int]] = {}  # numbers that were given back
        self._last: dict[bytes, int] = {}  # the largest number given

    def clear(self) -> None:
        """End all sessions."""
        for known in (self._taken, self._holders, self._free, self._last):
            known.clear()

    def take(self, ident: int, wanted: bytes, *, stays: bool) -> bytes:
        """Return the line for a session: the one that is wanted, or, while somebody else is on it, one with a number.

        One that ``stays`` is never given back.
        """
        line, number = self._named(wanted, 1), 1
        while line in self._taken:
            free = self._free.get(wanted)
            if free:
                number = heappop(free)
            else:
                number = self._last[wanted] = self._last.get(wanted, 1) + 1
            line = self._named(wanted, number)
        self._taken.add(line)
        if not stays:
            self._holders[ident] = line, wanted, number
        return line

    def give_back(self, ident: int) -> bytes | None:
        """Return the line of a session that ends, None where it has none any more."""
        held = self._holders.pop(ident, None)
        if held is None:
            return None
        line, wanted, number = held
        self._taken.discard(line)
        if number > 1:
            heappush(self._free.setdefault(wanted, []), number)
        return line

    def _named(self, wanted: bytes, number: int) -> bytes:
        suffix = b"" if number == 1 else b":%d" % number
        line = wanted or _NO_LINE
        if line.startswith(_OF_THE_SYSTEM):
            line = _NO_LINE + line
        return cut(line, self._width - len(suffix)) + suffix


def _in_order(log: Log, since: int | None, until: int | None) -> Iterator[Moment]:
    """Yield what the rows of a log say, in the order of time.

    At the same moment: what ends there, then the shutdowns, then what begins, in the order of the rows. An end that lies before its beginning (the
    clock was set) comes right behind it all the same.
    """
    waiting: list[tuple[int, bool, int, int, Moment]] = []  # ends of what has begun
    count = 0
    for rows in _oldest_first(log, since, until):
        for begin in rows:
            _, ident, type_, _, _, _, login, logout, *_ = begin
            while waiting and waiting[0][0] <= login:
                yield heappop(waiting)[4]
            yield begin
            if logout is None or type_ == EntryType.RUNLEVEL:
                continue
            end = (1, *begin[1:])
            if logout <= login:
                yield end
            else:
                count += 1
                heappush(waiting, (logout, type_ == EntryType.BOOT_TIME, ident, count, end))
    while waiting:
        yield heappop(waiting)[4]


def _oldest_first(log: Log, since: int | None, until: int | None) -> Iterator[list[Moment]]:
    """Yield what begins with the rows of a log, which gives the newest first, by way of a temporary file."""
    places: list[tuple[int, int]] = []
    end = 0
    descriptor = temporary()
    try:
        for rows in log.rows(since, until):
            known, nothing = _known(log, rows), (None, None, None)
            data = marshal.dumps(
                [
                    (0, ident, type_, user, tty, host, login, logout or None, *known.get(ident, nothing))
                    for _, user, tty, host, _, login, logout, ident, type_ in reversed(rows)
                ]
            )
            write_all(descriptor, data)
            places.append((end, len(data)))
            end += len(data)
        while places:
            place, length = places.pop()
            yield marshal.loads(os.pread(descriptor, length, place))  # noqa: S302 - our own, in a nameless file
    except OSError as error:
        raise LegacyError(f"temporary file: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _known(log: Log, rows: list[Row]) -> dict[int, tuple[int | None, bytes | None, bytes | None]]:
    """Return pid, id of the line and address where the side tables know them, by the ID of the row."""
    known: dict[int, tuple[int | None, bytes | None, bytes | None]] = {}
    logins = {row[7]: row[5] for row in rows}
    marks = ",".join("?" * len(logins))
    for name, columns in (("session", "pid, NULL, NULL"), ("imported", "pid, line_id, address")):
        if log.query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)):
            found = log.query(f"SELECT entry_id, login, {columns} FROM {name} WHERE entry_id IN ({marks})", list(logins))  # noqa: S608 - constants
            known |= {
                ident: (pid if type(pid) is int else None, as_text(line_id), address if type(address) is bytes else None)
                for ident, login, pid, line_id, address in found
                if logins[ident] == login
            }
    return known


def _address_of(host: bytes) -> bytes:
    """Return the 16 bytes of a host that is an address, zeros for any other."""
    from socket import AF_INET, AF_INET6, inet_pton  # noqa: PLC0415 - only where records are written

    text = host.partition(b"%")[0].decode("utf-8", "replace")
    for family in (AF_INET, AF_INET6):
        try:
            return (inet_pton(family, text) + NO_ADDRESS)[: len(NO_ADDRESS)]
        except (OSError, ValueError):
            continue
    return NO_ADDRESS


def _pid(pid: int | None) -> int:
    return pid if pid is not None and 0 <= pid <= _LARGEST_PID else 0
