# SPDX-License-Identifier: BSD-2-Clause
"""Import: what `last` says of the file it says of the database; once and for all; killed, crowded and without space."""

from __future__ import annotations

import gzip
import itertools
import lzma
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from importing import MACHINE, again, at, import_, sides, without_ids, write
from old_records import BEGIN, IPV4, boot, clock, encode, getty, login, logout, run_level, shutdown, strange, usual
from support import closed, edit, make_file, opened, table
from wtmpdb.__main__ import main
from wtmpdb.legacy import staging
from wtmpdb.legacy.importer import bring_in
from wtmpdb.legacy.record import NEW_TIME, OLD_TIME, Fields
from wtmpdb.legacy.sources import RefusedError, Source
from wtmpdb.log import Log

LENIENT = settings(max_examples=int(os.environ.get("WTMPDB_EXAMPLES", "100")), deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return where the database will be."""
    (tmp_path / "db").mkdir()
    return tmp_path / "db" / "wtmp"


class TestRows:
    def test_what_is_kept(self, tmp_path: Path, database: Path) -> None:
        """A session keeps its microseconds, and its pid, id and address beside it."""
        file = write(
            tmp_path / "wtmp", boot(BEGIN), login(BEGIN + 1.25, "pts/0", "bob", "host", pid=7), logout(BEGIN + 9.5, "pts/0"), shutdown(BEGIN + 10)
        )
        summary = import_(database, file)
        assert table(database) == [
            (1, 1, "reboot", at(0), at(10), "~", "6.1.0-18", None),
            (2, 3, "bob", at(1.25), at(9.5), "pts/0", "host", None),
        ]
        assert sides(database) == [
            (1, at(0), 0, str(file), 0, 0, "~~", None),
            (2, at(1.25), 0, str(file), 384, 7, "ts/0", IPV4),
        ]
        assert (summary.records, summary.counts.sessions, summary.counts.boots, summary.first, summary.last) == (4, 1, 1, at(0), at(10))

    def test_ends_that_are_told_by_boots(self, tmp_path: Path, database: Path) -> None:
        """A session that ended with its boot gets no logout, unless no boot could tell its end."""
        rows = [login(BEGIN, "tty1"), shutdown(BEGIN + 1), boot(BEGIN + 2), login(BEGIN + 3, "tty1"), shutdown(BEGIN + 4), login(BEGIN + 5, "tty2")]
        import_(database, write(tmp_path / "wtmp", *rows, shutdown(BEGIN + 6), boot(BEGIN + 7), login(BEGIN + 8, "tty1"), boot(BEGIN + 9)))
        ends = [(row[3], row[4]) for row in table(database)]
        assert ends == [(at(0), at(1)), (at(2), at(4)), (at(3), None), (at(5), at(6)), (at(7), None), (at(8), None), (at(9), None)]

    def test_all(self, tmp_path: Path, database: Path) -> None:
        """Changes of run level and clock are kept on request only."""
        rows = [
            boot(BEGIN),
            run_level(BEGIN, "5"),
            clock(BEGIN + 1, OLD_TIME),
            clock(BEGIN + 9, NEW_TIME),
            getty(BEGIN + 9, "tty1"),
            shutdown(BEGIN + 20),
        ]
        file = write(tmp_path / "wtmp", *rows)
        assert import_(database, file).counts.others == 0
        summary = import_(database, file, system=True)
        assert (summary.counts.others, summary.counts.duplicates, summary.skipped()) == (3, 1, {"waiting for a login": 1})
        assert [row[1:6] for row in table(database)[1:]] == [
            (2, "runlevel", at(0), at(20), "(to lvl 5)"),
            (2, "date", at(1), at(1), "old time"),
            (2, "date", at(9), at(9), "new time"),
        ]

    def test_odd_text(self, tmp_path: Path, database: Path) -> None:
        """Bytes that are not UTF-8, and control characters, are kept as octal escapes."""
        data = encode([login(BEGIN, "tty1", "a\x1bb", "h")]).replace(b"h\0", b"\xff\0", 1)
        (tmp_path / "wtmp").write_bytes(data)
        import_(database, tmp_path / "wtmp")
        assert table(database)[0][2] == "a\\033b"
        assert "\\377" in str(table(database)[0])

    @settings(parent=LENIENT, max_examples=150)
    @given(strange())
    def test_strange_files(self, tmp_path: Path, database: Path, rows: list[Fields]) -> None:
        """Whatever stands in a file: it can be imported, and twice adds nothing."""
        again(database)
        sources = [_as_glibc(write(tmp_path / "strange", *rows))]
        bring_in(sources, str(database), system=True, machine=MACHINE)
        before = table(database)
        assert len(before) == len(sides(database))
        summary = bring_in(sources, str(database), system=True, machine=MACHINE)
        assert (table(database), summary.counts.sessions, summary.counts.boots, summary.counts.others) == (before, 0, 0, 0)


def _as_glibc(file: Path) -> Source:
    return Source(str(file), str(file), "glibc-384", "little")


CHOICES = [
    [[], [], ["-x"]],
    [[], ["-F"], ["--time-format=iso"], ["--time-format=notime"]],
    [[], ["-w"]],
    [[], ["-a"], ["-R"], ["-aR"]],
    [[], [], ["-n", "3"], ["-5"]],
    [[], [], ["-p", "2020-09-14 10:00:00"], ["-p", "2020-09-13 12:26:40"]],
    [[], [], ["alice"], ["1"], ["reboot"], ["pts/0", "bob"], ["ftp"]],
]
OPTIONS = st.tuples(*(st.sampled_from(choice) for choice in CHOICES)).map(lambda chosen: [word for words in chosen for word in words])


def listed(path: Path, words: list[str], into: Path) -> str:
    """Return what `last -f` prints of a file or a database."""
    before = os.dup(1)
    with into.open("wb") as file:
        os.dup2(file.fileno(), 1)
    try:
        assert main(["last", "-f", str(path), *words]) == 0
    finally:
        os.dup2(before, 1)
        os.close(before)
    return into.read_text("utf-8", "surrogateescape")


class TestSameLines:
    @LENIENT
    @given(usual(levels=False), OPTIONS)
    def test_as_the_file(self, tmp_path: Path, database: Path, rows: list[Fields], words: list[str]) -> None:
        """After an import `last` prints of the database what it prints of the file: the terms are time order, and a boot before each shutdown."""
        again(database)
        file = write(tmp_path / "wtmp", *rows)
        import_(database, file)
        assert listed(database, words, tmp_path / "out") == listed(file, ["--layout=glibc-384", *words], tmp_path / "out")

    @LENIENT
    @given(usual(clocks=True, twice=False), OPTIONS)
    def test_all_as_the_file(self, tmp_path: Path, database: Path, rows: list[Fields], words: list[str]) -> None:
        """After an import with --all `last -x` prints the changes of run level and clock too as it prints them of the file."""
        again(database)
        file = write(tmp_path / "wtmp", *rows)
        import_(database, file, system=True)
        assert listed(database, ["-x", *words], tmp_path / "out") == listed(file, ["--layout=glibc-384", "-x", *words], tmp_path / "out")

    @LENIENT
    @given(usual(clocks=True, twice=False), st.lists(st.integers(0, 60), max_size=3), st.booleans())
    def test_rotated(self, tmp_path: Path, rows: list[Fields], cuts: list[int], system: bool) -> None:
        """A file that was rotated gives what it gives in one piece, in whatever order the pieces are named, at once or one after the other."""
        whole, together, apart = (again(tmp_path / name) for name in ("whole.db", "together.db", "apart.db"))
        import_(whole, write(tmp_path / "wtmp", *rows), system=system)
        edges = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
        pieces = [write(tmp_path / f"wtmp.{n}", *rows[first:last]) for n, (first, last) in enumerate(itertools.pairwise(edges))]
        import_(together, *reversed(pieces), system=system)
        for piece in pieces:
            import_(apart, piece, system=system)
        assert without_ids(together) == without_ids(whole)
        assert without_ids(apart) == without_ids(whole)

    @LENIENT
    @given(usual(levels=False, twice=False), st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.booleans())
    def test_overlapping(self, tmp_path: Path, rows: list[Fields], first: int, second: int, third: int, one_by_one: bool) -> None:
        """Files that overlap give what the whole gives, imported at once or one after the other."""
        whole, parts = (again(tmp_path / name) for name in ("whole.db", "parts.db"))
        import_(whole, write(tmp_path / "wtmp", *rows))
        start, end = sorted((min(first, len(rows)), min(second, len(rows))))
        older, newer = write(tmp_path / "older", *rows[:end]), write(tmp_path / "newer", *rows[max(0, start - third) :])
        for files in [[older], [newer]] if one_by_one else [[older, newer]]:
            import_(parts, *files)
        assert without_ids(parts) == without_ids(whole)


class TestOnce:
    def test_twice(self, tmp_path: Path, database: Path) -> None:
        """The second import of a file adds nothing and changes nothing."""
        file = write(tmp_path / "wtmp", boot(BEGIN), login(BEGIN + 1, "tty1"), login(BEGIN + 2, "pts/0", "bob"), logout(BEGIN + 3, "pts/0"))
        import_(database, file)
        before = table(database), sides(database)
        summary = import_(database, file)
        assert (table(database), sides(database)) == before
        assert (summary.counts.duplicates, summary.counts.sessions, summary.counts.closed) == (3, 0, 0)

    def test_compressed(self, tmp_path: Path, database: Path) -> None:
        """A file is known again when it has been compressed, or written as text by utmpdump."""
        file = write(tmp_path / "wtmp", *(record for n in range(9) for record in (login(BEGIN + n, "tty1"), logout(BEGIN + n + 0.5, "tty1"))))
        import_(database, file)
        (tmp_path / "wtmp.1.gz").write_bytes(gzip.compress(file.read_bytes()))
        assert import_(database, tmp_path / "wtmp.1.gz").counts.duplicates == 9
        if shutil.which("utmpdump"):
            dumped = subprocess.run(["utmpdump", str(file)], capture_output=True, check=True, env={**os.environ, "TZ": "UTC"}).stdout
            (tmp_path / "text").write_bytes(dumped)
            summary = import_(database, tmp_path / "text")
            assert (summary.counts.duplicates, summary.counts.sessions) == (9, 0)

    def test_what_was_written_twice(self, tmp_path: Path, database: Path) -> None:
        """A login that its program recorded twice has two rows, as it has two lines of `last`, and no more after a second import."""
        rows = [boot(BEGIN), *[login(BEGIN + 1, "pts/0")] * 2, logout(BEGIN + 9, "pts/0")]
        file = write(tmp_path / "wtmp", *rows)
        for _ in range(2):
            import_(database, file)
            assert [row[3:5] for row in table(database)] == [(at(0), None), (at(1), at(1)), (at(1), at(9))]
            assert [row[2] for row in sides(database)] == [0, 0, 1]

    def test_file_twice_in_a_row(self, tmp_path: Path, database: Path) -> None:
        """A file that somebody has appended to itself gives its sessions once."""
        rows = [login(BEGIN, "tty1"), logout(BEGIN + 1, "tty1"), login(BEGIN + 2, "tty2"), logout(BEGIN + 3, "tty2")]
        summary = import_(database, write(tmp_path / "wtmp", *rows, *rows))
        assert [row[3:5] for row in table(database)] == [(at(0), at(1)), (at(2), at(3))]
        assert (summary.counts.sessions, summary.counts.duplicates, len(sides(database))) == (2, 2, 2)

    def test_closes_what_was_open(self, tmp_path: Path, database: Path) -> None:
        """What was open in one import is closed by the next, in a file that has grown and in the one that follows it."""
        rows = [boot(BEGIN), login(BEGIN + 1, "tty1"), login(BEGIN + 2, "tty2", "bob"), login(BEGIN + 3, "tty3", "carol")]
        import_(database, write(tmp_path / "wtmp", *rows))
        assert import_(database, write(tmp_path / "wtmp", *rows, logout(BEGIN + 9, "tty1"))).counts.closed == 1
        summary = import_(database, write(tmp_path / "next", logout(BEGIN + 10, "tty2"), shutdown(BEGIN + 11), boot(BEGIN + 12)))
        assert (summary.counts.closed, summary.counts.sessions, summary.counts.boots) == (2, 0, 1)
        assert [row[4] for row in table(database)] == [at(11), at(9), at(10), None, None]

    def test_what_another_boot_ended_stays(self, tmp_path: Path, database: Path) -> None:
        """A session that ended with its boot is not closed by a later file's logout on the same line."""
        import_(database, write(tmp_path / "wtmp", boot(BEGIN), login(BEGIN + 1, "tty1"), boot(BEGIN + 2)))
        import_(database, write(tmp_path / "next", logout(BEGIN + 3, "tty1"), login(BEGIN + 4, "tty1")))
        assert [row[4] for row in table(database)] == [None, None, None, None]

    def test_deleted_rows_come_again(self, tmp_path: Path, database: Path) -> None:
        """What somebody has deleted since, an import brings back."""
        file = write(tmp_path / "wtmp", login(BEGIN, "tty1"), logout(BEGIN + 1, "tty1"))
        import_(database, file)
        with edit(database) as db:
            db.execute("DELETE FROM wtmp")
        assert import_(database, file).counts.sessions == 1


class TestSteps:
    @pytest.mark.parametrize("rows", [1, 2, 3])
    def test_lone_rows(self, tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
        """One lone row is copied, also when it is all that is left for the last step."""
        monkeypatch.setattr(staging, "FIRST_SIZE", 2)
        monkeypatch.setattr(staging, "LARGEST", 2)
        file = write(tmp_path / "wtmp", *(login(BEGIN + n, f"pts/{n}") for n in range(rows)))
        for added in (rows, 0):
            assert import_(database, file).counts.sessions == added
        assert [row[3] for row in table(database)] == [at(n) for n in range(rows)]

    def test_many_at_once(self, tmp_path: Path, database: Path) -> None:
        """However many sessions end at once, each is kept."""
        for number in (39, 40, 41, 81):
            again(database)
            import_(database, write(tmp_path / "wtmp", *(login(BEGIN + n, f"pts/{n}") for n in range(number)), boot(BEGIN + 100)))
            assert [row[3] for row in table(database)] == [*(at(n) for n in range(number)), at(100)]


class TestOthersRows:
    def test_recorder(self, tmp_path: Path, database: Path) -> None:
        """Sessions that the recorder wrote are recognised: same user and host, at most two seconds apart, each once, ``ssh`` for any ``pts``."""
        events = [opened("alice", at(n), host="192.0.2.7", tty="ssh") for n in (10, 10.25, 10.5)]
        events += [opened("bob", at(20), host=None, tty="tty1"), opened("carol", at(30), host=None, tty="tty2")]
        with Log.write(str(database)) as log:
            log.apply([*events, closed(events[3], at(25))])
        rows = [boot(BEGIN)]
        rows += [login(BEGIN + 10.25 + n / 4, f"pts/{n}") for n in range(3)]
        rows += [login(BEGIN + 19.5, "tty1", "bob", ""), logout(BEGIN + 24, "tty1")]
        rows += [login(BEGIN + 32.5, "tty2", "carol", "")]  # too late
        rows += [login(BEGIN + 40, "tty2", "dora", ""), logout(BEGIN + 50, "pts/0")]
        file = write(tmp_path / "wtmp", *rows)
        before = table(database)
        summary = import_(database, file)
        assert (summary.counts.recognised, summary.counts.sessions, summary.counts.boots, summary.counts.closed) == (4, 2, 1, 0)
        assert table(database)[:5] == before
        assert len({row[0] for row in sides(database)}) == 7
        summary = import_(database, file)
        assert (summary.counts.recognised, summary.counts.duplicates, summary.counts.sessions) == (0, 7, 0)

    def test_boot(self, tmp_path: Path, database: Path) -> None:
        """A boot that `wtmpdb boot` recorded is recognised, though its time differs; if nobody wrote its shutdown, the file does."""
        with Log.write(str(database)) as log:
            log.begin_boot("first", at(-20), user="reboot", kernel="6.1.0-18")
            log.begin_boot("second", at(100), user="reboot", kernel="6.1.0-18")
        summary = import_(database, write(tmp_path / "wtmp", boot(BEGIN), shutdown(BEGIN + 50), boot(BEGIN + 110), boot(BEGIN + 111, "another")))
        assert (summary.counts.recognised, summary.counts.boots, summary.counts.closed) == (2, 1, 1)
        assert [row[3:5] for row in table(database)] == [(at(-20), at(50)), (at(100), None), (at(111), None)]

    def test_the_boot_that_runs(self, tmp_path: Path, database: Path) -> None:
        """The boot that runs is not closed, whatever a file says."""
        with Log.write(str(database)) as log:
            log.begin_boot(MACHINE.boot_key(), at(0), user="reboot", kernel="6.1.0-18")
        import_(database, write(tmp_path / "wtmp", boot(BEGIN + 1), shutdown(BEGIN + 5)))
        import_(database, write(tmp_path / "next", shutdown(BEGIN + 9)))
        assert [row[4] for row in table(database)] == [None]

    def test_rows_of_c(self, tmp_path: Path, database: Path) -> None:
        """Rows that the C tool wrote are recognised, and closed where it has not done so; a large file of it without indexes too."""
        rows = [(1, "reboot", at(0), None, "~", "6.1.0-18", None), (3, "alice", at(1), None, "tty1", None, "login")]
        make_file(database, rows, ours=False)
        summary = import_(database, write(tmp_path / "wtmp", boot(BEGIN), login(BEGIN + 1.5, "tty1", "alice", ""), logout(BEGIN + 9, "tty1")))
        assert (summary.counts.recognised, summary.counts.closed, len(table(database))) == (2, 1, 2)
        assert table(database)[1][4] == at(9)

    def test_row_that_comes_meanwhile(self, tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A session that the recorder writes while we copy is recognised too."""
        file = write(tmp_path / "wtmp", *(login(BEGIN + n, f"pts/{n}") for n in range(0, 40, 5)))
        monkeypatch.setattr(staging, "FIRST_SIZE", 1)
        monkeypatch.setattr(staging, "SMALLEST", 1)
        monkeypatch.setattr(staging, "LARGEST", 1)
        monkeypatch.setattr(staging, "TURN", -1)
        seen: list[int] = []

        def sleep(_: float) -> None:
            if not seen:
                with Log.write(str(database)) as log:
                    log.apply([opened("alice", at(34.5), host="192.0.2.7", tty="ssh")])
            seen.append(1)

        monkeypatch.setattr("wtmpdb.legacy.staging.time.sleep", sleep)
        assert import_(database, file).counts.recognised == 1
        assert len(table(database)) == 8


class TestDatabases:
    ROWS = (
        (1, "reboot", at(0), at(50), "~", "6.1.0-18", None),
        (3, "alice", at(1), at(9), "ssh", "192.0.2.7", "sshd"),
        (3, "alice", at(2), None, "ssh", "192.0.2.7", "sshd"),
        (2, "runlevel", at(3), at(4), "~", None, None),
        (0, "", at(3), None, None, None, None),
    )

    def test_of_c(self, tmp_path: Path, database: Path) -> None:
        """A database of C is imported row by row, with the service; run levels on request; sessions on one tty stay apart."""
        source = make_file(tmp_path / "old.db", self.ROWS, ours=False)
        summary = import_(database, source)
        assert [row[1:] for row in table(database)] == list(self.ROWS[:3])
        assert (summary.counts.sessions, summary.counts.boots, summary.skipped()) == (2, 1, {"run level": 1, "unknown type": 1})
        assert import_(database, source, system=True).counts.others == 1
        assert [row[3:5] for row in sides(database)] == [(str(source), 1), (str(source), 2), (str(source), 3), (str(source), 4)]

    def test_twice(self, tmp_path: Path, database: Path) -> None:
        """The second import adds nothing, but closes what has ended since."""
        source = make_file(tmp_path / "old.db", self.ROWS, ours=False)
        import_(database, source)
        with edit(source) as db:
            db.execute("UPDATE wtmp SET Logout = ? WHERE ID = 3", (at(40),))
        summary = import_(database, source)
        assert (summary.counts.closed, summary.counts.duplicates, len(table(database))) == (1, 3, 3)
        assert table(database)[2][4] == at(40)

    def test_databases_of_the_same_old_file(self, tmp_path: Path, database: Path) -> None:
        """A database brings nothing that the other has from the same old file, be it that we imported it there or C, and be it known by either."""
        rows = [boot(BEGIN), *[login(BEGIN + 1, "pts/0")] * 2, logout(BEGIN + 9, "pts/0"), login(BEGIN + 20, "tty1", "bob", ""), shutdown(BEGIN + 50)]
        file = write(tmp_path / "wtmp", *rows)
        ours, of_c = tmp_path / "ours.db", tmp_path / "c.db"
        import_(ours, file)
        make_file(of_c, [row[1:] for row in table(ours)], ours=False)
        for into, source, known in (
            (database, ours, 0),
            (database, of_c, 4),
            (database, file, 4),
            (ours, of_c, 4),
            (of_c, ours, 4),
            (of_c, database, 4),
        ):
            counts = import_(into, source).counts
            assert counts.duplicates + counts.recognised == known, (into, source)
            assert [row[1:] for row in table(into)] == [row[1:] for row in table(ours)]
        assert [row[5:] for row in sides(database)] == [row[5:] for row in sides(ours)]

    def test_recorded_and_imported(self, tmp_path: Path, database: Path) -> None:
        """A row of the recorder that an old file told of, too, is known again in a copy of its database."""
        copy = tmp_path / "copy.db"
        with Log.write(str(database)) as log:
            log.apply([opened("alice", at(1), tty="tty1", host=None)])
        shutil.copy(database, copy)
        import_(database, write(tmp_path / "wtmp", login(BEGIN + 0.5, "tty1", "alice", "")))
        summary = import_(database, copy)
        assert (summary.counts.duplicates, summary.counts.sessions, len(table(database))) == (1, 0, 1)

    def test_recorded_elsewhere(self, tmp_path: Path, database: Path) -> None:
        """A row of the recorder that came by way of a database, such as a backup, is recognised in an old file."""
        backup = tmp_path / "backup.db"
        with Log.write(str(backup)) as log:
            log.begin_boot("a boot", at(0), user="reboot", kernel="6.1.0-18")
            log.apply([opened("alice", at(1), tty="ssh", host="192.0.2.7")])
        import_(database, backup)
        file = write(tmp_path / "wtmp", boot(BEGIN + 2), login(BEGIN + 1.5, "pts/0"), login(BEGIN + 2, "pts/1"))
        summary = import_(database, file)
        assert (summary.counts.recognised, summary.counts.sessions, summary.counts.boots) == (2, 1, 0)
        assert (import_(database, file).counts.sessions, import_(database, backup).counts.duplicates, len(table(database))) == (0, 2, 3)

    def test_without_a_name(self, tmp_path: Path, database: Path) -> None:
        """A database that is compressed, or comes through a pipe, is imported row by row too, and known again."""
        source = make_file(tmp_path / "old.db", self.ROWS, ours=False)
        packed = tmp_path / "old.db.xz"
        packed.write_bytes(lzma.compress(source.read_bytes()))
        import_(database, packed)
        assert [row[1:] for row in table(database)] == list(self.ROWS[:3])
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        with subprocess.Popen(["cp", str(source), str(pipe)]):
            assert import_(database, pipe).counts.duplicates == 3

    def test_not_of_ours(self, tmp_path: Path, database: Path) -> None:
        """A database of something else is refused, and so are the database itself and a damaged one."""
        with closing(sqlite3.connect(tmp_path / "other.db")) as other:
            other.execute("CREATE TABLE x (y)")
        (tmp_path / "broken.db").write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 20)
        make_file(database, [])
        with pytest.raises(RefusedError) as caught:
            import_(database, tmp_path / "other.db", database, tmp_path / "broken.db")
        assert [str(error).rpartition("/")[2] for error in caught.value.errors] == [
            "other.db: a database, but not of wtmpdb: it has no table wtmp",
            "wtmp: is the database itself",
            "broken.db: not a database",
        ]
