# SPDX-License-Identifier: BSD-2-Clause
"""Signs of damage and tampering: a clean file has none, and each fault is found where it is."""

from __future__ import annotations

import gzip
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from every_layout import WRITABLE, content, history
from old_records import BEGIN, boot, clock, encode, getty, login, logout, run_level, shutdown, strange, usual
from wtmpdb.entry import SECOND
from wtmpdb.legacy import findings
from wtmpdb.legacy.findings import CAP, INNOCENT, KINDS, Inspector, inspect
from wtmpdb.legacy.layouts import FIXED
from wtmpdb.legacy.reader import open_file
from wtmpdb.legacy.record import NEW_TIME, OLD_TIME, Chunk

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wtmpdb.legacy.record import Fields

LENIENT = settings(deadline=None, suppress_health_check=list(HealthCheck))
NOW = 2_000_000_000 * SECOND
SIZE = 384
DAY = 86_400


def looked(path: Path, data: bytes, layout: str | None = "glibc-384-le") -> Inspector:
    """Look at a file of these bytes."""
    path = path / "wtmp"
    path.write_bytes(data)
    with open_file(str(path), layout) as file:
        return inspect(file, NOW)


def found(inspector: Inspector) -> list[tuple[str, int | None]]:
    """Return kind and position of what was found."""
    return [(finding.kind, finding.position) for finding in inspector.findings]


def clean(count: int = 40, line: str = "pts/0") -> list[Fields]:
    """Return a boot and sessions after it, a minute apart."""
    return [boot(BEGIN), *((login if nth % 2 else logout)(BEGIN + 60 * nth, line) for nth in range(1, count))]


class TestClean:
    @pytest.mark.parametrize("layout", WRITABLE)
    def test_every_layout(self, tmp_path: Path, layout: str) -> None:
        """A clean file has no findings in any layout, and its records are counted."""
        inspector = looked(tmp_path, content(layout, history(50)), layout)
        assert (inspector.findings, inspector.records) == ([], 50)
        assert (inspector.types[2], inspector.types[7], inspector.types[8]) == (1, 25, 24)

    @settings(LENIENT, max_examples=80)
    @given(usual())
    def test_what_programs_write(self, tmp_path: Path, rows: list[Fields]) -> None:
        """What programs write that do what they should is clean, but for logouts that come without a login and names with control characters."""
        inspector = looked(tmp_path, encode(rows))
        assert set(inspector.counts) <= {findings.LOGOUT, findings.IMPOSSIBLE}
        assert inspector.counts.get(findings.IMPOSSIBLE, 0) == sum(b"\x1b" in row[4] for row in rows)
        assert inspector.records == len(rows)

    def test_a_systemd_machine(self, tmp_path: Path) -> None:
        """Run levels, gettys, logouts that are written twice, a crash and a clock that was set are no findings."""
        rows = [boot(BEGIN), run_level(BEGIN + 5, "5"), getty(BEGIN + 6, "tty1", 5), getty(BEGIN + 7, "tty1"), login(BEGIN + 60, "tty1")]
        rows += [logout(BEGIN + 90, "tty1"), logout(BEGIN + 90.1, "tty1"), getty(BEGIN + 91, "tty1"), logout(BEGIN + 95, "tty1")]
        rows += [login(BEGIN + 100, "pts/0"), boot(BEGIN + 400), clock(BEGIN + 500, OLD_TIME), clock(BEGIN - 9 * DAY, NEW_TIME)]
        rows += [login(BEGIN - 9 * DAY + 5, "pts/1"), shutdown(BEGIN - 9 * DAY + 60), logout(BEGIN - 9 * DAY + 61, "pts/1"), boot(BEGIN + 400 * DAY)]
        assert looked(tmp_path, encode(rows)).findings == []

    def test_an_empty_file(self, tmp_path: Path) -> None:
        """An empty file has no findings and no times."""
        inspector = looked(tmp_path, b"")
        assert (inspector.findings, inspector.records, inspector.first, inspector.last) == ([], 0, None, None)

    def test_times(self, tmp_path: Path) -> None:
        """The earliest and the latest time are those of good records."""
        inspector = looked(tmp_path, encode([*clean(10), login(10, ""), login(NOW // SECOND + 2 * DAY, "pts/1")]))
        assert (inspector.first, inspector.last) == (BEGIN * SECOND, (BEGIN + 540) * SECOND)


class TestFaults:
    @LENIENT
    @given(st.integers(1, 38), st.integers(1, 3))
    def test_zeroed_records(self, tmp_path: Path, nth: int, count: int) -> None:
        """Records that were filled with zeros are found as one run, between the times of their neighbours."""
        rows = clean()
        data = bytearray(encode(rows))
        end = min(nth + count, len(rows) - 1)
        data[nth * SIZE : end * SIZE] = bytes((end - nth) * SIZE)
        first = looked(tmp_path, bytes(data)).findings[0]
        assert (first.kind, first.position, first.since, first.until) == (
            findings.ZEROED,
            nth * SIZE,
            (BEGIN + 60 * (nth - 1)) * SECOND,
            (BEGIN + 60 * end) * SECOND,
        )

    def test_zeros_at_the_end(self, tmp_path: Path) -> None:
        """Zeros at the end are told as such, and nothing bounds them from above."""
        (only,) = looked(tmp_path, encode(clean()) + bytes(3 * SIZE)).findings
        assert (only.kind, only.position, only.what, only.until) == (findings.ZEROED, 40 * SIZE, "3 records of nothing but zeros at the end", None)

    @LENIENT
    @given(st.integers(1, 18), st.booleans())
    def test_a_login_that_was_removed(self, tmp_path: Path, nth: int, zeroed: bool) -> None:
        """Whoever removes a login leaves a logout without one: it is found, since the last logout on that line."""
        data = encode(clean())
        at = (2 * nth + 1) * SIZE
        data = data[:at] + (bytes(SIZE) if zeroed else b"") + data[at + SIZE :]
        *_, last = looked(tmp_path, data).findings
        assert (last.kind, last.position) == (findings.LOGOUT, at + (SIZE if zeroed else 0))
        assert (last.since, last.until) == ((BEGIN + 120 * nth) * SECOND, (BEGIN + 120 * nth + 120) * SECOND)

    def test_a_logout_before_all_is_known(self, tmp_path: Path) -> None:
        """A logout whose login may stand in an earlier file is no finding; behind a boot it is one."""
        assert looked(tmp_path, encode([logout(BEGIN, "pts/0"), login(BEGIN + 90, "pts/1")])).findings == []
        assert found(looked(tmp_path, encode([boot(BEGIN), logout(BEGIN + 90, "pts/0")]))) == [(findings.LOGOUT, SIZE)]

    @LENIENT
    @given(st.integers(30, 38), st.integers(8, 900))
    def test_a_gap(self, tmp_path: Path, nth: int, days: int) -> None:
        """Where records of a week and more are missing, far more than is usual, a gap is found; before a boot the machine was off."""
        rows = [row if place < nth else (*row[:6], row[6] + days * DAY, *row[7:]) for place, row in enumerate(clean())]
        (only,) = looked(tmp_path, encode(rows)).findings
        assert (only.kind, only.position) == (findings.GAPS, nth * SIZE)
        assert (only.since, only.until) == ((BEGIN + 60 * (nth - 1)) * SECOND, (BEGIN + 60 * nth + days * DAY) * SECOND)
        assert looked(tmp_path, encode([*rows[:nth], boot(rows[nth][6] - 1), *rows[nth:]])).counts.keys() <= {findings.LOGOUT}

    def test_a_quiet_machine_has_no_gaps(self, tmp_path: Path) -> None:
        """On a machine where somebody logs in once a week, two months of silence are nothing."""
        rows = [boot(BEGIN)]
        for week in range(1, 60):
            rows += [login(BEGIN + week * 7 * DAY, "tty1"), logout(BEGIN + week * 7 * DAY + 600, "tty1")]
        rows += [login(BEGIN + 67 * 7 * DAY, "tty1")]
        assert looked(tmp_path, encode(rows)).findings == []

    @LENIENT
    @given(st.integers(2, 38), st.integers(61, 10**8))
    def test_a_jump_back(self, tmp_path: Path, nth: int, seconds: int) -> None:
        """A record that is more than a minute older than the one before is found, with both times."""
        rows = clean()
        rows.insert(nth, getty(rows[nth - 1][6] - seconds, "tty1"))
        first = looked(tmp_path, encode(rows)).findings[0]
        assert (first.kind, first.position) == (findings.BACKWARD, nth * SIZE)
        assert (first.since, first.until) == ((rows[nth - 1][6] - seconds) * SECOND, rows[nth - 1][6] * SECOND)

    def test_a_little_out_of_order(self, tmp_path: Path) -> None:
        """A minute back is nothing: programs write side by side."""
        assert looked(tmp_path, encode([*clean(), getty(BEGIN + 39 * 60 - 60, "tty1")])).findings == []

    @pytest.mark.parametrize(
        ("place", "value", "what"),
        [
            (0, b"\x0b\0", "type 11, which there is none of"),
            (0, b"\0\0", "type 0 (empty), yet with contents"),
            (4, b"\xff\xff\xff\xff", "process -1"),
            (4, b"\0\0\0\x7f", "process 2130706432"),
            (8, bytes(36), "neither line nor id"),
            (44, bytes(32), "a login without a user"),
            (44, b"ev\x1b[2Jil\0", r"control characters in the user: ev\033[2Jil"),
            (76, b"a\nb\0" + bytes(20), r"control characters in the host: a\012b"),
            (340, bytes(4), "a time of 0 seconds"),
            (340, b"\0\0\0\xff", "a time in the future"),
            (344, b"\x40\x42\x0f\0", "1000000 microseconds"),
            (344, b"\xff\xff\xff\xff", "-1 microseconds"),
        ],
    )
    def test_impossible_fields(self, tmp_path: Path, place: int, value: bytes, what: str) -> None:
        """A field that cannot be is found and named, and its record tells nothing else."""
        data = bytearray(encode(clean()))
        data[39 * SIZE + place : 39 * SIZE + place + len(value)] = value
        (only,) = looked(tmp_path, bytes(data)).findings
        assert (only.kind, only.position, only.what) == (findings.IMPOSSIBLE, 39 * SIZE, what)
        assert (only.since, only.until) == ((BEGIN + 38 * 60) * SECOND, None)

    @pytest.mark.parametrize(
        ("place", "value", "what"),
        [
            (44, b"eve\0tor\0", "behind the end of the user (eve): tor"),
            (76, b"h\0\x1b]0;x\0.0.2.7", r"behind the end of the host (h): \033]0;x\000.0.2.7"),
            (8 + 31, b"x", "behind the end of the line (pts/0): x"),
            (364 + 19, b"x", "reserved bytes that are not zero"),
        ],
    )
    def test_stale_bytes(self, tmp_path: Path, place: int, value: bytes, what: str) -> None:
        """Bytes behind the end of a text, which a longer one left there, are found and shown."""
        data = bytearray(encode(clean()))
        data[11 * SIZE + place : 11 * SIZE + place + len(value)] = value
        (only,) = looked(tmp_path, bytes(data)).findings
        assert (only.kind, only.position, only.what) == (findings.STALE, 11 * SIZE, what)

    @pytest.mark.parametrize("layout", [name for name, layout in FIXED.items() if layout.kinds])
    def test_stale_bytes_in_every_layout(self, tmp_path: Path, layout: str) -> None:
        """The end of a longer host is found in every layout that has types; in the others such a record is not recognised."""
        rows = history(40)
        data = content(layout, rows)
        at = data.index(rows[11][5])
        data = data[: at + 1] + b"\0" + data[at + 2 :]
        (only,) = looked(tmp_path, data, layout).findings
        assert (only.kind, only.what) == (findings.STALE, f"behind the end of the host (1): {rows[11][5][2:].decode()}")

    @LENIENT
    @given(st.integers(1, SIZE - 1), st.integers(1, 255))
    def test_a_size_that_is_no_multiple(self, tmp_path: Path, count: int, byte: int) -> None:
        """Bytes at the end that are no whole record are found and counted."""
        (only,) = looked(tmp_path, encode(clean()) + bytes((byte,)) * count).findings
        assert (only.kind, only.position, only.what) == (findings.SIZE, 40 * SIZE, f"{count} bytes at the end that are no whole record")

    @LENIENT
    @given(st.integers(1, 38), st.integers(1, 3000))
    def test_an_unreadable_stretch(self, tmp_path: Path, nth: int, count: int) -> None:
        """Noise between records is found where it begins, with its length and the times around it."""
        data = encode(clean())
        (only,) = looked(tmp_path, data[: nth * SIZE] + (b"\xfd\0" * count)[:count] + data[nth * SIZE :]).findings
        assert (only.kind, only.position, only.what) == (findings.UNREADABLE, nth * SIZE, f"{count} bytes that are no record")
        assert (only.since, only.until) == ((BEGIN + 60 * (nth - 1)) * SECOND, (BEGIN + 60 * nth) * SECOND)

    def test_a_compressed_file_that_ends_early(self, tmp_path: Path) -> None:
        """A compressed file that was cut off is told as unreadable."""
        data = gzip.compress(encode(clean(400)))
        inspector = looked(tmp_path, data[: len(data) // 2])
        assert ("unreadable", None) in found(inspector)

    def test_text_of_utmpdump(self, tmp_path: Path) -> None:
        """Lines of a text that are no records are found as a whole, and empty records in it are zeros."""
        text = content("utmpdump", [*history(9), (0, 0, b"", b"", b"", b"", 0, 0, bytes(16), 0, 0, 0), *history(9)[8:]])
        inspector = looked(tmp_path, text + b"\n\nwhat?\n", None)
        assert [finding.kind for finding in inspector.findings] == [findings.ZEROED, findings.UNREADABLE]
        assert inspector.findings[1].position is None

    def test_shutdowns_and_boots(self, tmp_path: Path) -> None:
        """A login or another shutdown behind a shutdown, without a boot between them, is found once."""
        rows = [boot(BEGIN), shutdown(BEGIN + 100), shutdown(BEGIN + 101), login(BEGIN + 300, "tty1"), login(BEGIN + 400, "tty2")]
        rows += [shutdown(BEGIN + 500), shutdown(BEGIN + 900), boot(BEGIN + 1000)]
        first, second = looked(tmp_path, encode(rows)).findings
        assert (first.kind, first.position, first.what) == (findings.ORDER, 3 * SIZE, "a login after a shutdown, without a boot between them")
        assert (second.kind, second.position, second.what) == (findings.ORDER, 6 * SIZE, "a shutdown after a shutdown, without a boot between them")
        assert (second.since, second.until) == ((BEGIN + 500) * SECOND, (BEGIN + 900) * SECOND)


class TestBounds:
    def test_at_most_so_many_of_a_kind(self, tmp_path: Path) -> None:
        """Of a kind only so many are kept; the rest is counted."""
        rows = [login(BEGIN + 60 * nth, "") for nth in range(3 * CAP)]
        inspector = looked(tmp_path, encode(rows))
        assert (len(inspector.findings), inspector.counts) == (CAP, {findings.IMPOSSIBLE: 3 * CAP})

    def test_many_terminals(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """When there are too many terminals to be kept in mind, none is suspected until the next boot."""
        monkeypatch.setattr(findings, "_MOST_LINES", 10)
        rows = [
            boot(BEGIN),
            *(login(BEGIN + nth, f"pts/{nth}") for nth in range(1, 30)),
            *(logout(BEGIN + 100 + nth, f"pts/{nth}") for nth in range(30)),
        ]
        assert looked(tmp_path, encode(rows)).findings == []
        assert found(looked(tmp_path, encode([*rows, boot(BEGIN + 900), logout(BEGIN + 990, "tty1")]))) == [(findings.LOGOUT, 61 * SIZE)]

    def test_memory(self, tmp_path: Path) -> None:
        """A large file needs no more memory than a small one."""
        path = tmp_path / "wtmp"
        path.write_bytes(encode(clean(600)) * 80)
        with open_file(str(path)) as file:
            inspect(file, NOW)
            tracemalloc.start()
            inspector = inspect(file, NOW)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert inspector.records == 48_000
        assert peak < 6_000_000

    @LENIENT
    @given(st.binary(max_size=3000), st.sampled_from([*WRITABLE, None]))
    def test_any_bytes(self, tmp_path: Path, data: bytes, layout: str | None) -> None:
        """Any bytes can be looked at; whatever is said is printable."""
        path = tmp_path / "wtmp"
        path.write_bytes(encode(clean(6)) + data)
        with open_file(str(path), layout) as file:
            inspector = inspect(file, NOW)
        assert all(finding.what.isprintable() and finding.kind in KINDS for finding in inspector.findings)

    @LENIENT
    @given(strange(), st.integers(0, 40 * SIZE), st.binary(min_size=1, max_size=40))
    def test_fast_and_slow_agree(self, tmp_path: Path, rows: list[Fields], place: int, noise: bytes) -> None:
        """Records that are looked at together are judged as when each is looked at alone."""
        data = bytearray(encode([*clean(20), *rows, *clean(20)]))
        data[place : place + len(noise)] = noise
        path = tmp_path / "wtmp"
        path.write_bytes(bytes(data))
        with open_file(str(path), "glibc-384-le") as file:
            whole = inspect(file, NOW)
            single = Inspector(file.layout, NOW)
            for _ in single.watch(ones(file.chunks())):
                pass
            single.finish(file.skipped)
        assert list(map(repr, single.findings)) == list(map(repr, whole.findings))
        assert (single.types, single.records, single.first, single.last) == (whole.types, whole.records, whole.first, whole.last)


def ones(chunks: Iterable[Chunk]) -> Iterable[Chunk]:
    """Cut chunks into chunks of one record, which are looked at by themselves."""
    for chunk in chunks:
        for nth, position in enumerate(chunk.positions):
            yield Chunk([chunk.fields[nth]], [position], [chunk.raw(nth)])


def test_every_kind_is_explained() -> None:
    """Each kind of finding says what may have caused it innocently."""
    assert set(INNOCENT) == set(KINDS)
    assert findings.Finding(findings.SIZE, 1, "x").innocent == INNOCENT[findings.SIZE]
