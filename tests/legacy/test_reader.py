# SPDX-License-Identifier: BSD-2-Clause
"""Reading old files: from both ends, compressed, through pipes, damaged, and always in bounded memory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from every_layout import BEGIN, WRITABLE, content, history, make
from support import make_file
from wtmpdb.legacy import compressed
from wtmpdb.legacy.errors import LegacyError, UnrecognisedError
from wtmpdb.legacy.layouts import FIXED, native
from wtmpdb.legacy.reader import LegacyFile, open_file
from wtmpdb.legacy.record import DEAD_PROCESS, RUN_LVL, USER_PROCESS
from wtmpdb.legacy.resync import WINDOW

if TYPE_CHECKING:
    from wtmpdb.legacy.record import Fields

DATA = Path(__file__).parent.parent / "data" / "legacy"
SIZE = 384
ANY_TMP = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def forward(file: LegacyFile) -> list[Fields]:
    """Return all records, oldest first."""
    return [fields for chunk in file.forward() for fields, _ in chunk]


def backward(file: LegacyFile) -> list[Fields]:
    """Return all records in the order of the file, read from its end."""
    return [fields for chunk in file.backward() for fields in chunk][::-1]


def both(path: Path, layout: str | None = None) -> tuple[list[Fields], LegacyFile]:
    """Return all records, which have to be the same from both ends."""
    with open_file(str(path), layout) as file:
        records = forward(file)
        skipped = file.skipped.bytes
        assert backward(file) == records
        assert file.skipped.bytes == skipped
    return records, file


def times(records: list[Fields]) -> list[int]:
    """Return which records of a `history` these are."""
    return [(fields[6] - BEGIN) // 60 for fields in records]


@pytest.mark.parametrize("count", [1, 65, 1500])
@pytest.mark.parametrize("name", WRITABLE)
def test_every_layout(tmp_path: Path, name: str, count: int) -> None:
    """All records of a file of any layout are read from both ends, with their positions and bytes."""
    if count == 1 and name == "bsd-36-be":
        pytest.skip("four bytes of time can be read both ways")
    data = content(name, history(count))
    (tmp_path / "f").write_bytes(data)
    records, file = both(tmp_path / "f")
    assert (str(file.layout), times(records), str(file.skipped)) == (name, list(range(count)), "nothing skipped")
    with open_file(str(tmp_path / "f")) as file:
        for record in file:
            assert data[record.position : record.position + len(record.raw)] == record.raw


@pytest.mark.parametrize(("name", "count", "skipped"), [("wtmp-x86_64-rotated", 4, 1), ("utmp-aarch64", 6, 0)])
def test_real_files(name: str, count: int, skipped: int) -> None:
    """Real files are read; a stray byte at the end is left out."""
    records, file = both(DATA / name)
    assert (len(records), file.skipped.bytes) == (count, skipped)


@pytest.mark.parametrize("name", ["glibc-384-le", "glibc-384-be", "glibc-400-le", "netbsd-64-le", "solaris-be", "aix-be", "openbsd-le", "libc5-le"])
@pytest.mark.parametrize(("stray", "place"), [(1, 0), (10, 0), (33, 1), (1, 1000), (7, 1000), (10, 1999), (1, 2000), (33, 2000)])
def test_stray_bytes(tmp_path: Path, name: str, stray: int, place: int) -> None:
    """Bytes that belong to no record are left out and counted, wherever they stand; no record is lost."""
    if FIXED[name].signature and place == 0:
        pytest.skip("a signature stands at the beginning")
    records = history(2000)
    data = content(name, records[:place]) + b"\x01\xfe" * (stray // 2) + b"!" * (stray % 2) + b"".join(map(FIXED[name].encode, records[place:]))
    (tmp_path / "f").write_bytes(data)
    read, file = both(tmp_path / "f")
    assert times(read) == list(range(2000))
    assert (file.skipped.bytes, sum(file.skipped.reasons.values())) == (stray, 1)


@pytest.mark.parametrize("lost", [1, 20, 100, 200, 300, 383])
@pytest.mark.parametrize("place", [1, 50, 682, 1365])
def test_cut_record(tmp_path: Path, lost: int, place: int) -> None:
    """A record that lost its end costs only itself."""
    records = [FIXED["glibc-384-le"].encode(fields) for fields in history(2000)]
    records[place] = records[place][: SIZE - lost]
    (tmp_path / "f").write_bytes(b"".join(records))
    read, file = both(tmp_path / "f")
    assert times(read) == [nth for nth in range(2000) if nth != place]
    assert file.skipped.bytes == SIZE - lost


def test_cut_end(tmp_path: Path) -> None:
    """A record that was being written when the machine died is left out."""
    (tmp_path / "f").write_bytes(content("glibc-384-le", history(10))[:-100])
    read, file = both(tmp_path / "f")
    assert times(read) == list(range(9))
    assert (file.skipped.bytes, file.skipped.reasons) == (284, {"cut off": 1})


@pytest.mark.parametrize("size", [SIZE, 5 * SIZE, 1000, 3 * WINDOW + 5, 20 * WINDOW])
@pytest.mark.parametrize("name", ["glibc-384-le", "netbsd-64-be"])
def test_noise(tmp_path: Path, name: str, size: int) -> None:
    """Noise of any length in the middle is left out and counted, and the records on both sides are read."""
    records = history(3000)
    noise = random.Random(size).randbytes(size)  # noqa: S311 - noise
    (tmp_path / "f").write_bytes(content(name, records[:1500]) + noise + b"".join(map(FIXED[name].encode, records[1500:])))
    with open_file(str(tmp_path / "f")) as file:
        for read in (forward(file), backward(file)):
            assert [when for when in times(read) if 0 <= when < 3000] == list(range(3000))
            assert len(read) <= 3000 + max(2, size // 100_000)  # one in thousands looks like one
        assert size - 2 * FIXED[name].size <= file.skipped.bytes <= size


@pytest.mark.parametrize("size", [SIZE, 10 * SIZE, 5000, 500_000])
def test_zeros_in_the_middle(tmp_path: Path, size: int) -> None:
    """Zeros are records that say nothing; where they put the rest out of step, it is found again."""
    data = content("glibc-384-le", history(100))
    (tmp_path / "f").write_bytes(data[: 50 * SIZE] + bytes(size) + data[50 * SIZE :])
    with open_file(str(tmp_path / "f")) as file:
        for read in (forward(file), backward(file)):
            assert times([fields for fields in read if fields[0]]) == list(range(100))
            assert len(read) == 100 + size // SIZE
        assert file.skipped.bytes == size % SIZE


def test_doubtful_records(tmp_path: Path) -> None:
    """Records in their places are read whatever their fields are; what has no text at all where text belongs is left out."""
    odd = [
        make(100, b"alice", b"", BEGIN),
        make(-1, b"acc\x1b", b"\x01", BEGIN + 1),
        make(254, b"", b"", 0),
        make(0, b"bob", b"tty3", BEGIN + 2),
        make(USER_PROCESS, b"x", b"tty1", 0, pid=-1, micros=-5),
    ]
    records = [*history(5), *odd, *history(5)]
    (tmp_path / "f").write_bytes(content("glibc-384-le", records))
    read, file = both(tmp_path / "f")
    assert read == records
    assert not file.skipped
    (tmp_path / "f").write_bytes(content("glibc-384-le", records[:7]) + b"\xaa\0\xbb" * 128 + content("glibc-384-le", records[7:]))
    read, file = both(tmp_path / "f")
    assert read == records
    assert (file.skipped.records, file.skipped.bytes) == (1, SIZE)
    assert str(file.skipped) == "384 bytes skipped (impossible fields 1)"


@ANY_TMP
@given(data=st.binary(max_size=3000), name=st.sampled_from(sorted(FIXED)))
@example(data=b"\0\xff" * 1000, name="bsd-36-le")
def test_any_bytes(tmp_path: Path, data: bytes, name: str) -> None:
    """Any bytes can be read in any layout, in either direction, and everything is accounted for."""
    (tmp_path / "f").write_bytes(data)
    with open_file(str(tmp_path / "f"), name) as file:
        records = forward(file)
        signature = FIXED[name].size if FIXED[name].signed(data) else 0
        assert file.compression or len(records) * FIXED[name].size + file.skipped.bytes + signature == len(data)
        backward(file)


@ANY_TMP
@given(data=st.data(), name=st.sampled_from(["glibc-384-le", "glibc-400-be", "solaris-le", "netbsd-64-le"]))
def test_damaged(tmp_path: Path, data: st.DataObject, name: str) -> None:
    """Cuts, insertions and wrong bytes cost at most the records that they touch, from either end."""
    size = FIXED[name].size
    raw = content(name, history(300))
    hurt = 0
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(20 * size, len(raw) - 20 * size))
        lost, added = data.draw(st.integers(0, 2 * size)), data.draw(st.binary(max_size=2 * size))
        raw = raw[:at] + added + raw[at + lost :]
        hurt += 2 + lost // size
    (tmp_path / "f").write_bytes(raw)
    with open_file(str(tmp_path / "f")) as file:
        for read in (forward(file), backward(file)):
            intact = {nth for nth in times(read) if 0 <= nth < 300}
            assert len(intact) >= 300 - 2 * hurt


@ANY_TMP
@given(data=st.binary(max_size=3000), name=st.sampled_from(["freebsd", "utmpdump"]))
def test_any_stream(tmp_path: Path, data: bytes, name: str) -> None:
    """The same holds for FreeBSD's log and for text."""
    (tmp_path / "f").write_bytes(data)
    both(tmp_path / "f", name)


def test_freebsd_damage(tmp_path: Path) -> None:
    """A length of zero, noise and a later version's longer record cost nothing but themselves."""
    records = history(60)
    login = content("freebsd", [records[31]])[2:]
    later = (250).to_bytes(2, "big") + login.ljust(250, b"\x77")
    data = content("freebsd", records[:20]) + b"\0\0\xff\xff\xff" + content("freebsd", records[20:31]) + later + content("freebsd", records[32:])
    (tmp_path / "f").write_bytes(data + b"\0\x50\x04")
    with open_file(str(tmp_path / "f")) as file:
        assert times(forward(file)) == list(range(60))
        assert (file.skipped.bytes, sum(file.skipped.reasons.values())) == (8, 2)


def test_text(tmp_path: Path) -> None:
    """Lines of a dump that are none are left out and counted; blank ones are not."""
    data = content("utmpdump", history(3))
    (tmp_path / "f").write_bytes(b"Utmp dump of /var/log/wtmp\n\n" + data + b"[7] [nothing\n" + b"x" * 70000 + b"\n" + data)
    records, file = both(tmp_path / "f")
    assert times(records) == [0, 1, 2, 0, 1, 2]
    assert file.skipped.reasons["no such line"] >= 3


def test_database(tmp_path: Path) -> None:
    """Rows of a database come as logins and logouts in the order of their times."""
    rows = [
        (1, "reboot", 1_000_000, 9_000_000, "~", "6.1", None),
        (3, "alice", 2_000_000, 7_500_000, "pts/0", "192.0.2.7", "sshd"),
        (3, "bob", 3_000_000, None, "tty1", None, "login"),
    ]
    path = make_file(tmp_path / "wtmp.db", rows)
    records, file = both(path)
    assert str(file.layout) == "wtmpdb"
    assert [(fields[0], fields[4], fields[6]) for fields in records] == [
        (2, b"reboot", 1),
        (USER_PROCESS, b"alice", 2),
        (USER_PROCESS, b"bob", 3),
        (DEAD_PROCESS, b"", 7),
        (RUN_LVL, b"shutdown", 9),
    ]
    (tmp_path / "wtmp.db.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert both(tmp_path / "wtmp.db.gz")[0] == records


def test_other_databases(tmp_path: Path) -> None:
    """A database without the table is not ours, and a damaged one is told."""
    (tmp_path / "x.db").write_bytes(b"SQLite format 3\0" + bytes(500))
    with open_file(str(tmp_path / "x.db")) as file, pytest.raises(LegacyError, match=r"x\.db: "):
        forward(file)
    with closing(sqlite3.connect(tmp_path / "y.db")) as other:
        other.execute("CREATE TABLE t (a)")
    with open_file(str(tmp_path / "y.db")) as file, pytest.raises(UnrecognisedError, match="without a table wtmp"):
        forward(file)


def squeeze(kind: str, data: bytes) -> bytes:
    """Compress."""
    if kind == "zstd":
        return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout
    if kind == "gzip":
        return gzip.compress(data)
    return lzma.compress(data) if kind == "xz" else bz2.compress(data)


KINDS = ["gzip", "xz", "bzip2", pytest.param("zstd", marks=pytest.mark.skipif(not shutil.which("zstd"), reason="no program zstd"))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["glibc-384-le", "freebsd", "utmpdump"])
def test_compressed(tmp_path: Path, kind: str, name: str) -> None:
    """Compressed files are read as if they were not, also ones of several parts, and their positions are those of the content."""
    data = content(name, history(3000))
    (tmp_path / "f").write_bytes(squeeze(kind, data[:100]) + squeeze(kind, data[100:]))
    records, file = both(tmp_path / "f")
    assert (file.compression, times(records)) == (kind, list(range(3000)))
    with open_file(str(tmp_path / "f")) as file:
        record = list(file)[2999]
    assert data[record.position : record.position + len(record.raw)] == record.raw


@pytest.mark.parametrize("kind", KINDS)
def test_compressed_and_cut_off(tmp_path: Path, kind: str) -> None:
    """Of a compressed file that is cut off or damaged what comes out is read, and it is said."""
    dice = random.Random(1)  # noqa: S311 - text that does not compress well
    records = [(*fields[:5], dice.randbytes(100).hex().encode(), *fields[6:]) for fields in history(6000)]
    data = squeeze(kind, content("glibc-384-le", records))
    (tmp_path / "f").write_bytes(data[: len(data) * 3 // 4])
    with open_file(str(tmp_path / "f")) as file:
        read = times(forward(file))
        assert read == list(range(len(read)))
        assert len(read) > 1000
        assert any("cut off" in reason or "early" in reason or "damaged" in reason for reason in file.skipped.reasons)
    (tmp_path / "f").write_bytes(data[:10])
    with pytest.raises(UnrecognisedError, match=r"early|damaged|known layout"):
        open_file(str(tmp_path / "f"))


def test_compressed_twice(tmp_path: Path) -> None:
    """What is still compressed when it was decompressed is not ours."""
    (tmp_path / "f").write_bytes(gzip.compress(gzip.compress(content("glibc-384-le", history(9)))))
    with pytest.raises(UnrecognisedError):
        open_file(str(tmp_path / "f"))


def test_too_much_comes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes out of a file is bounded."""
    monkeypatch.setattr(compressed, "LARGEST", 1 << 20)
    (tmp_path / "f").write_bytes(gzip.compress(bytes(3 << 20)))
    with open_file(str(tmp_path / "f")) as file, pytest.raises(LegacyError, match="decompresses to more than"):
        forward(file)


def test_too_much_memory(tmp_path: Path) -> None:
    """A file whose decompression would take much memory is refused with a word."""
    (tmp_path / "f").write_bytes(lzma.compress(content("glibc-384-le", history(9)), preset=9))
    with pytest.raises(LegacyError, match="too much memory"):
        open_file(str(tmp_path / "f"))


@pytest.mark.skipif(not shutil.which("zstd"), reason="no program zstd")
def test_no_zstd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anything to decompress zstd, the message says what to install."""
    monkeypatch.setattr(compressed, "_PROGRAMS", ())
    monkeypatch.setattr(compressed, "_has_zstd", lambda: False)  # as before Python 3.14
    (tmp_path / "f").write_bytes(squeeze("zstd", b"x"))
    with pytest.raises(LegacyError, match="nothing to decompress") as caught:
        open_file(str(tmp_path / "f"))
    assert "zstd" in caught.value.hint


def piped(data: bytes) -> int:
    """Return the reading end of a pipe through which the data come."""
    reader, writer = os.pipe()

    def feed() -> None:
        with os.fdopen(writer, "wb") as end:
            end.write(data)

    threading.Thread(target=feed, daemon=True).start()
    return reader


@pytest.mark.parametrize("kind", ["", *KINDS])
@pytest.mark.parametrize("name", ["glibc-384-le", "freebsd", "utmpdump"])
def test_pipe(kind: str, name: str) -> None:
    """A pipe is read in either direction, compressed or not, but once only."""
    data = content(name, history(3000))
    data = squeeze(kind, data) if kind else data
    with LegacyFile("pipe", descriptor=piped(data)) as file:
        assert times(forward(file)) == list(range(3000))
        with pytest.raises(LegacyError, match="once"):
            forward(file)
    with LegacyFile("pipe", descriptor=piped(data)) as file:
        assert times(backward(file)) == list(range(3000))


def test_standard_input(tmp_path: Path) -> None:
    """``-`` is the standard input, a file or a pipe."""
    data = content("glibc-384-le", history(20))
    (tmp_path / "f").write_bytes(data)
    code = "from wtmpdb.legacy.reader import open_file; print(sum(map(len, open_file('-').backward())))"
    with (tmp_path / "f").open("rb") as file:
        assert subprocess.run([sys.executable, "-c", code], stdin=file, capture_output=True, text=True, check=True).stdout == "20\n"
    assert subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True).stdout == b"20\n"


def test_empty(tmp_path: Path) -> None:
    """An empty file has no records, is of this machine's layout, and says that it is empty."""
    (tmp_path / "f").touch()
    records, file = both(tmp_path / "f")
    assert (records, file.empty, file.layout) == ([], True, native())
    assert file.changed == os.stat(tmp_path / "f").st_ctime_ns // 1000


def test_errors(tmp_path: Path) -> None:
    """What cannot be read is told in one line that begins with the path."""
    for path, why in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(LegacyError, match=f"^{path}: {why}$"):
            open_file(str(path))
    (tmp_path / "f").write_bytes(b"\x01" * 383)
    with pytest.raises(UnrecognisedError, match="no login-accounting file"):
        open_file(str(tmp_path / "f"))
    with pytest.raises(LegacyError, match="unknown layout"):
        open_file(str(tmp_path / "f"), "glibc-385")


def test_overruled(tmp_path: Path) -> None:
    """A layout and a byte order that are named overrule the content."""
    (tmp_path / "f").write_bytes(content("glibc-384-le", history(9)))
    with open_file(str(tmp_path / "f"), "glibc-400") as file:
        assert file.layout.name == "glibc-400"
    with open_file(str(tmp_path / "f"), "glibc-384", "big") as file:
        assert str(file.layout) == "glibc-384-be"
    with open_file(str(tmp_path / "f"), None, "little") as file:
        assert times(forward(file)) == list(range(9))


def test_first_chunk_is_small(tmp_path: Path) -> None:
    """The newest records of a large file come from its end at once."""
    with (tmp_path / "f").open("wb") as file:
        file.write(content("glibc-384-le", history(20)))
        file.truncate(SIZE * 20_000_000)
        file.seek(0, os.SEEK_END)
        file.write(content("glibc-384-le", history(20)))
    with open_file(str(tmp_path / "f")) as old:
        newest = next(old.backward())
    assert times(newest[:20]) == list(range(19, -1, -1))
    assert len(newest) < 1000


MEASURE = """
import sys
from wtmpdb.legacy.reader import open_file
from wtmpdb.errors import WtmpdbError
count = 0
try:
    with open_file(sys.argv[1]) as file:
        for chunk in file.forward(): count += len(chunk)
        for chunk in file.backward(): count += len(chunk)
except WtmpdbError as error:
    print(error, file=sys.stderr)
print(count, next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def measured(path: Path) -> tuple[int, int]:
    """Return how many records are read in both directions, and how much memory that takes at most (MB)."""
    ran = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True, timeout=120)
    count, memory = map(int, ran.stdout.split())
    return count, memory // 1024


@pytest.mark.parametrize("kind", ["plain", "gzip", "noise", "text", "one line", "bomb", "xz bomb"])
def test_memory(tmp_path: Path, kind: str) -> None:
    """Memory stays below 64 MB whatever is read."""
    data = content("glibc-384-le", history(1000)) * 100
    made = {
        "plain": lambda: data,
        "gzip": lambda: gzip.compress(data, 1),
        "noise": lambda: data[: 1 << 20] + random.Random(1).randbytes(8 << 20) + data[: 1 << 20],  # noqa: S311 - noise
        "text": lambda: content("utmpdump", history(1000)) * 50,
        "one line": lambda: content("utmpdump", history(10)) + b"x" * (80 << 20),
        "bomb": lambda: gzip.compress(bytes(80 << 20), 9),
        "xz bomb": lambda: lzma.compress(bytes(80 << 20)),
    }
    (tmp_path / "f").write_bytes(made[kind]())
    count, memory = measured(tmp_path / "f")
    assert count > 0
    assert memory < 64


def test_a_view_for_a_table(tmp_path: Path) -> None:
    """A database whose wtmp is a view, which could run for ever, is not ours."""
    path = tmp_path / "view.db"
    with closing(sqlite3.connect(path)) as database:
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS ID, 3 AS Type, 'x' AS User, i AS Login FROM n"
        database.execute(f"CREATE VIEW wtmp AS SELECT ID, Type, User, Login, Login AS Logout, 'x' AS TTY, 'x' AS RemoteHost FROM ({endless})")
    with pytest.raises(UnrecognisedError, match="without a table wtmp"), open_file(str(path)) as file:
        list(file.forward())
