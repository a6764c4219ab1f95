# SPDX-License-Identifier: BSD-2-Clause
"""The history as records of old: what is read from them is what the history says."""

from __future__ import annotations

import os
import shutil
import sys
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import HOUR, NOON, SECOND, edit, make_file
from test_like_last import OPTIONS, alike, fresh, histories, output
from wtmpdb.entry import End
from wtmpdb.legacy.errors import LegacyError
from wtmpdb.legacy.exporting import Form, Records, native_layout
from wtmpdb.legacy.importer import bring_in, look_at
from wtmpdb.legacy.layouts import FIXED
from wtmpdb.legacy.pairing import Backward
from wtmpdb.legacy.reader import open_file
from wtmpdb.legacy.record import BOOT_TIME, DEAD_PROCESS, NEW_TIME, OLD_TIME, RUN_LVL, USER_PROCESS
from wtmpdb.log import Log

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wtmpdb.legacy.record import Fields

LENIENT = settings(deadline=None, suppress_health_check=list(HealthCheck))
LAYOUT = "glibc-384-le"
Rows = list[tuple[object, ...]]
needs_last = pytest.mark.skipif(not shutil.which("last", path="/usr/bin:/bin"), reason="needs the `last` of util-linux")


def export(path: Path, to: Path, layout: str = LAYOUT, **bounds: int) -> dict[str, int]:
    """Write a history as a file of a layout; return what had to be said otherwise."""
    records = Records(Form.named(layout, None))
    with Log.read(str(path)) as log:
        to.write_bytes(b"".join(records.encoded(log, **bounds)))
    return records.changed


def exported(tmp_path: Path, rows: Iterable[tuple[object, ...]], layout: str = LAYOUT) -> tuple[list[Fields], dict[str, int]]:
    """Return the records of a history, and what had to be said otherwise."""
    path = tmp_path / "wtmp.db"
    path.unlink(missing_ok=True)
    changed = export(make_file(path, rows), tmp_path / "old", layout)
    return read(tmp_path / "old", layout), changed


def read(path: Path, layout: str = LAYOUT) -> list[Fields]:
    """Return the records of a file."""
    with open_file(str(path), layout) as file:
        return [fields for chunk in file.forward() for fields, _ in chunk]


def brief(records: Iterable[Fields]) -> list[tuple[int, bytes, bytes, int]]:
    """Return type, line, user and seconds after noon."""
    return [(kind, line, user, seconds - NOON // SECOND) for kind, _, line, _, user, _, seconds, *_ in records]


def session(user: str, begin: float, end: float | None, tty: str | None = "pts/0", host: str | None = None) -> tuple[object, ...]:
    """Return a row; times in seconds after noon."""
    return (3, user, NOON + round(begin * SECOND), None if end is None else NOON + round(end * SECOND), tty, host, "sshd")


def boot(begin: float, end: float | None) -> tuple[object, ...]:
    """Return the row of a boot; times in seconds after noon."""
    return (1, "reboot", NOON + round(begin * SECOND), None if end is None else NOON + round(end * SECOND), "~", "6.1.0", None)


class TestRoundTrips:
    @needs_last
    @settings(LENIENT, max_examples=60)
    @given(histories(), OPTIONS, st.sampled_from(["UTC", "America/St_Johns"]))
    def test_the_real_last_prints_the_same(
        self, tmp_path: Path, history: tuple[Rows, list[bytes]], options: tuple[list[str], ...], zone: str
    ) -> None:
        """`last` on the exported file prints what `wtmpdb last` prints on the history."""
        words = [word for choice in options for word in choice]
        if "-p" in words:
            return  # versions of `last` differ in it
        ours, theirs = tmp_path / "ours" / "wtmp", tmp_path / "theirs" / "wtmp"
        for path in (ours, theirs):
            path.parent.mkdir(exist_ok=True)
        fresh(ours, history[0])
        assert export(ours, theirs) == {}
        environment = {"TZ": zone, "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
        expected = output(["/usr/bin/last", "-f", str(theirs), *words], environment)
        assert alike(output([sys.executable, "-m", "wtmpdb", "last", "-f", str(ours), *words], environment)) == alike(expected)

    @settings(LENIENT, max_examples=60)
    @given(histories())
    def test_an_import_of_it_gives_the_same_rows(self, tmp_path: Path, history: tuple[Rows, list[bytes]]) -> None:
        """What is exported and imported again is the same history, but for the service, which old files do not have."""
        ours, old, again = tmp_path / "wtmp.db", tmp_path / "old", tmp_path / "again.db"
        again.unlink(missing_ok=True)
        fresh(ours, history[0])
        export(ours, old)
        bring_in(look_at([str(old)]), str(again))
        columns = "SELECT Type, User, Login, Logout, TTY, RemoteHost FROM wtmp ORDER BY Login, Type, TTY"
        with edit(ours) as before, edit(again) as after:
            assert after.execute(columns).fetchall() == before.execute(columns).fetchall()

    @settings(LENIENT, max_examples=100)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["alice", "bob", "carol"]),
                st.integers(0, 40),
                st.one_of(st.none(), st.integers(-3, 20)),
                st.sampled_from(["ssh", "ssh", "pts/0", "ssh:2", None, "~", "|x"]),
            ),
            max_size=25,
        )
    )
    def test_every_session_keeps_its_times(self, tmp_path: Path, drawn: list[tuple[str, int, int | None, str | None]]) -> None:
        """Sessions that overlap on one terminal are read back each with its own times, whatever the terminals are called."""
        rows = [session(user, begin, None if lasts is None else begin + lasts, tty) for user, begin, lasts, tty in drawn]
        path = tmp_path / "wtmp.db"
        path.unlink(missing_ok=True)
        export(make_file(path, rows), tmp_path / "old")
        pairing = Backward(lambda _: End.GONE, 4_000_000_000)
        with open_file(str(tmp_path / "old"), LAYOUT) as file:
            found = [line for chunk in pairing.lines(file.backward()) for line in chunk]
        expected = [
            (user.encode(), NOON + begin * SECOND, None if lasts is None else NOON + (begin + lasts) * SECOND) for user, begin, lasts, _ in drawn
        ]
        assert sorted(((line[1], line[5], line[6]) for line in found), key=repr) == sorted(expected, key=repr)

    @pytest.mark.parametrize("layout", [*FIXED, "freebsd", "libc5", "musl"])
    def test_every_layout(self, tmp_path: Path, layout: str) -> None:
        """A history can be written in every layout, and read back from it."""
        rows = [boot(0, 100), session("alice", 10, 20, "tty1"), session("bob", 15, None, "tty2"), boot(200, None)]
        records, changed = exported(tmp_path, rows, layout)
        assert changed == {}
        assert [(kind, user, second) for kind, line, user, second in brief(records)] == [
            (BOOT_TIME, b"reboot", 0),
            (USER_PROCESS, b"alice", 10),
            (USER_PROCESS, b"bob", 15),
            (DEAD_PROCESS, b"", 20),
            (RUN_LVL, b"shutdown", 100),
            (BOOT_TIME, b"reboot", 200),
        ]
        assert [line for kind, _, line, *_ in records if kind in (USER_PROCESS, DEAD_PROCESS)] == [b"tty1", b"tty2", b"tty1"]


class TestOrder:
    def test_what_ends_comes_before_what_begins(self, tmp_path: Path) -> None:
        """At one moment the ends come first, then the shutdown, then boots and logins in the order of their rows."""
        rows = [boot(0, 10), session("alice", 5, 10), boot(10, None), session("bob", 10, 11), session("carol", 10, 10, "pts/1")]
        records, changed = exported(tmp_path, rows)
        assert changed == {}
        assert brief(records)[2:] == [
            (DEAD_PROCESS, b"pts/0", b"", 10),
            (RUN_LVL, b"~", b"shutdown", 10),
            (BOOT_TIME, b"~", b"reboot", 10),
            (USER_PROCESS, b"pts/0", b"bob", 10),
            (USER_PROCESS, b"pts/1", b"carol", 10),
            (DEAD_PROCESS, b"pts/1", b"", 10),
            (DEAD_PROCESS, b"pts/0", b"", 11),
        ]

    def test_an_end_before_its_beginning_follows_it(self, tmp_path: Path) -> None:
        """A session that ended before it began, the clock having been set back, has its logout behind its login all the same."""
        records, _ = exported(tmp_path, [session("alice", 100, 50), session("bob", 60, 200, "pts/1")])
        assert [second for *_, second in brief(records)] == [60, 100, 50, 200]

    def test_microseconds_stay(self, tmp_path: Path) -> None:
        """Times keep their microseconds."""
        records, _ = exported(tmp_path, [session("alice", 0.000001, 0.999999)])
        assert [fields[7] for fields in records] == [1, 999_999]


class TestLines:
    def test_a_terminal_is_given_back(self, tmp_path: Path) -> None:
        """Only sessions that overlap get another line, the lowest that is free, and they are counted."""
        rows = [
            session("a", 0, 10, "ssh"),
            session("b", 1, 3, "ssh"),
            session("c", 2, 9, "ssh"),
            session("d", 4, 8, "ssh"),
            session("e", 20, 21, "ssh"),
        ]
        records, changed = exported(tmp_path, rows)
        assert [line for kind, line, *_ in brief(records) if kind == USER_PROCESS] == [b"ssh", b"ssh:2", b"ssh:3", b"ssh:2", b"ssh"]
        assert changed == {"renamed": 3}

    def test_a_boot_gives_all_back(self, tmp_path: Path) -> None:
        """An open session holds its line until the next boot."""
        records, _ = exported(tmp_path, [session("a", 0, None), session("b", 1, 2), boot(3, None), session("c", 4, 5)])
        assert [line for kind, line, *_ in brief(records) if kind == USER_PROCESS] == [b"pts/0", b"pts/0:2", b"pts/0"]

    def test_no_terminal(self, tmp_path: Path) -> None:
        """A session without a terminal stands on the line ``?``, and is counted."""
        records, changed = exported(tmp_path, [session("a", 0, 1, None), session("b", 2, 3, "")])
        assert {line for _, line, *_ in brief(records)} == {b"?"}
        assert changed == {"lines": 2}

    def test_a_terminal_that_looks_like_the_system(self, tmp_path: Path) -> None:
        """No session can pass for a boot, a shutdown or a change of the clock."""
        records, changed = exported(tmp_path, [session("reboot", 0, 1, "~"), session("shutdown", 2, 3, "~x"), session("date", 4, 5, "{")])
        assert {line for _, line, *_ in brief(records)} == {b"?~", b"?~x", b"?{"}
        assert changed == {"renamed": 3}

    def test_a_session_that_lasts_beyond_a_boot(self, tmp_path: Path) -> None:
        """A logout behind a boot is left out and counted: it would end somebody else's session."""
        records, changed = exported(tmp_path, [session("a", 0, 10), boot(5, None), session("b", 6, 12)])
        assert [kind for kind, *_ in brief(records)] == [USER_PROCESS, BOOT_TIME, USER_PROCESS, DEAD_PROCESS]
        assert changed == {"beyond": 1}


class TestTexts:
    def test_octal_escapes_become_bytes(self, tmp_path: Path) -> None:
        """What was stored as octal escapes is written as the bytes that it stands for."""
        records, changed = exported(tmp_path, [session(r"a\033[31m", 0, None, "tty1", r"h\377\134")])
        assert (records[0][4], records[0][5], changed) == (b"a\x1b[31m", b"h\xff\\", {})

    def test_long_texts_are_cut_between_characters(self, tmp_path: Path) -> None:
        """Text that is too long is cut before the character that does not fit, and counted for each record."""
        rows = [session("ö" * 16 + "x", 0, 1, "t" * 40, "ö" * 200), session("ö" * 16 + "x", 2, 3)]
        records, changed = exported(tmp_path, rows)
        assert (records[0][4], records[0][5], records[0][2]) == ("ö".encode() * 16, "ö".encode() * 128, b"t" * 32)
        assert (records[1][2], changed) == (b"t" * 32, {"users": 2, "hosts": 1, "renamed": 1})
        short, _ = exported(tmp_path, [session("öööööx", 0, 1, "ssh", "ö" * 9)], "libc5")
        assert (short[0][4], short[0][5]) == ("öööö".encode(), "ö".encode() * 8)

    def test_long_terminals_stay_apart(self, tmp_path: Path) -> None:
        """Terminals that begin alike beyond the width of the field get lines of their own."""
        records, _ = exported(tmp_path, [session("a", 0, 5, "t" * 40 + "1"), session("b", 1, 6, "t" * 40 + "2")])
        assert [line for kind, line, *_ in brief(records) if kind == USER_PROCESS] == [b"t" * 32, b"t" * 30 + b":2"]

    def test_a_nul_ends_a_text(self, tmp_path: Path) -> None:
        """A NUL in a text, which ends it in an old file, ends it here, and is counted."""
        records, changed = exported(tmp_path, [session(r"root\000x", 0, None)])
        assert (records[0][4], changed) == (b"root", {"users": 1})

    def test_without_a_user(self, tmp_path: Path) -> None:
        """A session without a user, which in an old file would be a logout, is left out and counted once."""
        assert exported(tmp_path, [session("", 0, 1)]) == ([], {"nameless": 1})


class TestNumbers:
    def test_addresses_pids_and_ids(self, tmp_path: Path) -> None:
        """Addresses come from the import or from the host, the process from the letter or the import, the id from the import or the line."""
        path = make_file(
            tmp_path / "wtmp.db",
            [session("a", 0, 1, "pts/10", "192.0.2.7"), session("b", 2, 3, "tty1", "fe80::1%eth0"), session("c", 4, 5, "ssh", "a.name")],
        )
        with edit(path) as database:
            database.execute("INSERT INTO session (entry_id, login, session_key, pid) VALUES (1, ?, 'k', 4711)", (NOON,))
            database.execute("INSERT INTO imported VALUES (3, ?, x'00', 0, 'wtmp', 0, 99, 'z\\0331', ?)", (NOON + 4 * SECOND, bytes(range(16))))
            database.execute("INSERT INTO imported VALUES (2, 5, x'01', 0, 'wtmp', 0, 98, 'no', NULL)")  # of a row that is no more
        export(path, tmp_path / "old")
        records = [fields for fields in read(tmp_path / "old") if fields[0] == USER_PROCESS]
        assert [fields[1] for fields in records] == [4711, 0, 99]
        assert [fields[3] for fields in records] == [b"s/10", b"tty1", b"z\x1b1"]
        assert [fields[8] for fields in records] == [bytes([192, 0, 2, 7]) + bytes(12), b"\xfe\x80" + bytes(13) + b"\1", bytes(range(16))]

    def test_damaged_side_tables(self, tmp_path: Path) -> None:
        """What damage made of the side tables of a file without strict types counts for nothing."""
        path = make_file(tmp_path / "c.db", [session("a", 0, 1)], ours=False, strict=False)
        with edit(path) as database:
            database.execute("CREATE TABLE imported (entry_id, login, record_hash, nth, source, position, pid, line_id, address)")
            database.execute("INSERT INTO imported VALUES (1, ?, 1, 1, 1, 1, 'x', 1.5, 7)", (NOON,))
        export(path, tmp_path / "old")
        assert [(fields[1], fields[3], fields[8]) for fields in read(tmp_path / "old")] == [(0, b"1.5", bytes(16))] * 2

    def test_run_levels_and_clocks(self, tmp_path: Path) -> None:
        """Changes of the run level and of the clock that an import kept are written as what they were."""
        rows = [
            (2, "runlevel", NOON, NOON + 9, "(to lvl 5)", "6.1.0", None),
            (2, "date", NOON + SECOND, NOON + SECOND, "old time", None, None),
            (2, "date", NOON + 2 * SECOND, NOON + 2 * SECOND, "new time", None, None),
        ]
        records, changed = exported(tmp_path, rows)
        assert brief(records) == [(RUN_LVL, b"~", b"runlevel", 0), (OLD_TIME, b"|", b"date", 1), (NEW_TIME, b"{", b"date", 2)]
        assert (records[0][1], changed) == (ord("5"), {})
        assert exported(tmp_path, rows, "freebsd")[1] == {"kinds": 1}

    @pytest.mark.parametrize(("layout", "kept", "late"), [("glibc-384-le", 2, 2), ("glibc-400-le", 4, 0), ("openbsd-le", 4, 0), ("libc5", 2, 2)])
    def test_times_that_do_not_fit(self, tmp_path: Path, layout: str, kept: int, late: int) -> None:
        """A time beyond what the layout can hold is left out and counted; one that old programs misread is counted."""
        year = 365 * 24 * HOUR
        rows: Rows = [(3, "a", NOON + 20 * year, None, "tty1", None, None), (3, "b", NOON + 30 * year, None, "tty2", None, None)]
        rows += [(3, "c", NOON + 100 * year, NOON + 100 * year, "tty3", None, None)]
        records, changed = exported(tmp_path, rows, layout)
        assert len(records) == kept
        assert changed == ({"late": late, "times": 2} if late else {})

    def test_bounds_are_of_the_login(self, tmp_path: Path) -> None:
        """Bounds choose sessions by their login, and each comes with its end."""
        path = make_file(tmp_path / "wtmp.db", [session("a", 0, 9), session("b", 5, 20, "pts/1"), session("c", 10, 11, "pts/2")])
        export(path, tmp_path / "old", since=NOON + 5 * SECOND, until=NOON + 9 * SECOND)
        assert [second for *_, second in brief(read(tmp_path / "old"))] == [5, 20]

    def test_any_number(self, tmp_path: Path) -> None:
        """No number in a row, however absurd, stops the export."""
        rows = [
            (kind, "x", login, logout, "t", "h", None)
            for kind in (0, 1, 2, 3, 254, 2**40)
            for login in (-(2**63), 0, 2**63 - 1)
            for logout in (-1, 2**63 - 1)
        ]
        for layout in ("glibc-384-le", "glibc-400-be", "freebsd", "openbsd-le", "solaris"):
            assert exported(tmp_path, rows, layout)[1]["times"] > 0


class TestForms:
    def test_of_this_machine(self) -> None:
        """The default is the layout of this machine's C library, in its byte order."""
        assert Form.named(None, None).encode([]) == b""
        assert native_layout() in {layout.name for layout in FIXED.values()}

    @pytest.mark.parametrize(("name", "order"), [("nothing", None), ("libc5", "big"), ("utmpdump", None), ("wtmpdb", None)])
    def test_what_cannot_be_written(self, name: str, order: str | None) -> None:
        """A layout that there is not, or that is none of records, is refused."""
        with pytest.raises(LegacyError, match="layout"):
            Form.named(name, order)

    def test_byte_orders(self, tmp_path: Path) -> None:
        """The byte order is that which is asked for."""
        records = Records(Form.named("glibc-384", "big"))
        with Log.read(str(make_file(tmp_path / "wtmp.db", [boot(0, None)]))) as log:
            assert b"".join(records.encoded(log))[:2] == b"\0\2"


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Of a long history, with many sessions open at a time, only a part is in memory."""
    rows = [session(f"user{n % 50}", n, n + 500, "ssh") for n in range(60_000)]
    path = make_file(tmp_path / "wtmp.db", rows)
    records = Records(Form.named(LAYOUT, None))
    tracemalloc.start()
    with Log.read(str(path)) as log:
        size = sum(map(len, records.encoded(log)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == 2 * 60_000 * 384
    assert peak < 12_000_000
