# SPDX-License-Identifier: BSD-2-Clause
"""What Python programmers get: readers with filters, records that decode when asked, errors a file."""

from __future__ import annotations

import gc
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wtmpdb.legacy as package
from every_layout import BEGIN, content, history, make
from wtmpdb.legacy import LegacyError, UnrecognisedError, decode, encode, read, read_files
from wtmpdb.legacy.record import USER_PROCESS, address_text

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Make a file of a hundred records."""
    path = tmp_path / "wtmp"
    path.write_bytes(content("glibc-384-be", history(100)))
    return path


def test_read(old: Path) -> None:
    """A reader gives all records, as often as it is asked."""
    reader = read(old)
    assert [record.time for record in reader] == [(BEGIN + 60 * nth) * SECOND for nth in range(100)]
    first, second, *_ = reader
    assert (first.type, first.user, first.line, first.id, first.host, first.position, first.source) == (
        2,
        "reboot",
        "~",
        "~~",
        "6.1.0-18",
        0,
        str(old),
    )
    assert (second.pid, second.session, second.termination, second.exit) == (501, 0, 0, 0)
    assert second.raw == encode("glibc-384-be", second.fields)
    assert repr(second) == f"<Record 7 'user1' on 'pts/0' from '192.0.2.1' at {(BEGIN + 60) * SECOND}>"


def test_filters(old: Path) -> None:
    """A reader can be told what is wanted."""
    assert {record.user for record in read(old, user="user3")} == {"user3"}
    assert {record.line for record in read(old, line="pts/7")} == {"pts/7"}
    assert [record.pid for record in read(old, host="192.0.2.9")] == [509]
    assert {record.type for record in read(old, types=[USER_PROCESS])} == {USER_PROCESS}
    times = [record.time for record in read(old, since=(BEGIN + 60) * SECOND, until=(BEGIN + 180) * SECOND)]
    assert times == [(BEGIN + 60 * nth) * SECOND for nth in (1, 2, 3)]
    assert list(read(old, user="user3", line="pts/0")) == []
    assert len(list(read(old, layout="glibc-384", byte_order="big"))) == 100


def test_identity() -> None:
    """Records with the same bytes are the same, wherever they were read."""
    one, two = decode(content("glibc-384-le", history(2)))
    again = decode(content("glibc-384-le", history(2)))
    assert [one, two] == again
    assert len({one, two, *again}) == 2
    assert one != two
    assert one != "one"


def test_records_outlive_their_reader() -> None:
    """Records can be kept."""
    records = decode(content("utmpdump", history(3)))
    gc.collect()
    assert [record.user for record in records] == ["reboot", "user1", ""]


def test_not_utf8() -> None:
    """Bytes that are not UTF-8 become surrogate escapes, and filters find them by these."""
    [record] = decode(content("glibc-384-le", [make(USER_PROCESS, b"zo\xeb", b"tty1", BEGIN)]))
    assert record.user == "zo\udceb"


def test_files(tmp_path: Path, old: Path) -> None:
    """Of several files the good records are read, and of every bad one there is an error."""
    (tmp_path / "bad").write_text("no records here\n" * 9)
    records, errors = read_files([old, tmp_path / "bad", tmp_path / "none", str(old)])
    assert len(records) == 200
    assert list(errors) == [str(tmp_path / "bad"), str(tmp_path / "none")]
    assert isinstance(errors[str(tmp_path / "bad")], UnrecognisedError)
    assert isinstance(errors[str(tmp_path / "none")], LegacyError)


def test_bytes() -> None:
    """Bytes can be decoded, and those that are no file of records are refused."""
    assert decode(b"") == []
    with pytest.raises(UnrecognisedError, match=r"^bytes: "):
        decode(b"hello")


IPV6 = bytes.fromhex("20010db8000000000000000000000001")
AMBIGUOUS = bytes.fromhex("20010db8") + bytes(12)


@pytest.mark.parametrize(
    ("raw", "host", "text"),
    [
        (bytes(16), b"", None),
        (bytes((192, 0, 2, 7)) + bytes(12), b"", "192.0.2.7"),
        (bytes(10) + b"\xff\xff" + bytes((192, 0, 2, 7)), b"", "192.0.2.7"),
        (IPV6, b"", "2001:db8::1"),
        (bytes(15) + b"\1", b"", "::1"),
        (AMBIGUOUS, b"", "32.1.13.184"),
        (AMBIGUOUS, b"host.example", "32.1.13.184"),
        (AMBIGUOUS, b"2001:db8::", "2001:db8::"),
    ],
)
def test_addresses(raw: bytes, host: bytes, text: str | None) -> None:
    """Addresses come in their usual form; where four bytes may be either, the host decides. The raw bytes are kept."""
    assert address_text(raw, host) == text
    fields = (*make(USER_PROCESS, b"a", b"tty1", BEGIN, host=host)[:8], raw, 0, 0, 0)
    [record] = decode(encode("glibc-384-le", fields))
    assert (record.address, record.raw_address) == (text, raw)


@given(st.binary(min_size=16, max_size=16))
def test_any_address(raw: bytes) -> None:
    """Any sixteen bytes have a text."""
    assert address_text(raw) or not raw.strip(b"\0")


def test_public_names() -> None:
    """Every public name is loaded when it is asked for, and is what its module has under that name."""
    assert set(dir(package)) == set(package.__all__) == set(package._HOMES)
    for name, home in package._HOMES.items():
        assert getattr(package, name) is getattr(import_module(home), name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018


@pytest.mark.parametrize(
    "first", ["pass", "import wtmpdb.legacy.sessions", "from wtmpdb.legacy import importer", "from wtmpdb.legacy import windows"]
)
def test_sessions_is_the_function(first: str) -> None:
    """`legacy.sessions` is the function, whether or not the module of that name has been imported before, and by whom."""
    code = f"{first}\nfrom wtmpdb import legacy\nfrom wtmpdb.legacy import sessions\nassert list(legacy.sessions([])) == list(sessions([])) == []"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
