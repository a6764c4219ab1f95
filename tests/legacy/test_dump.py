# SPDX-License-Identifier: BSD-2-Clause
"""The text of utmpdump: written and read as util-linux does."""

from __future__ import annotations

import base64
import json
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from every_layout import any_fields, history, make
from wtmpdb.legacy import dump
from wtmpdb.legacy.layouts import FIXED
from wtmpdb.legacy.record import USER_PROCESS

DATA = Path(__file__).parent.parent / "data" / "utmpdump"
CASES = json.loads((DATA / "undump.json").read_text())
LAYOUT = FIXED["glibc-384-le"]
LINE = b"[7] [00123] [ts/0] [alice   ] [pts/0       ] [h                   ] [10.0.0.5       ] [%s]\n"


def signed(raw: bytes) -> int:
    """Return the seconds of a record as a glibc before 2.40 reads them."""
    seconds: int = struct.unpack_from("<i", raw, 340)[0]
    return seconds


def test_dump() -> None:
    """Every record of the sample becomes util-linux's very line (whose glibc reads seconds as signed)."""
    data = (DATA / "dump.bin").read_bytes()
    raws = [data[at : at + LAYOUT.size] for at in range(0, len(data), LAYOUT.size)]
    fields = [(*LAYOUT.decode(raw)[0][:6], signed(raw), *LAYOUT.decode(raw)[0][7:]) for raw in raws]
    assert b"".join(map(dump.write, fields)) == (DATA / "dump.txt").read_bytes()


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case["rc"] == 0])
def test_undump(name: str) -> None:
    """Lines become util-linux's very bytes; what is no line is passed over."""
    records = []
    for line in CASES[name]["text"].encode().splitlines(keepends=True):
        try:
            records.append(dump.parse(line))
        except ValueError:
            assert "parse error" in CASES[name]["stderr"]
    assert b"".join(map(LAYOUT.encode, records)) == base64.b64decode(CASES[name]["binary_b64"])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case["rc"] != 0])
def test_refused(name: str) -> None:
    """What util-linux gives up on, or crashes over, is refused."""
    with pytest.raises(ValueError, match=r"fewer than eight fields|no number|no id"):
        dump.parse(CASES[name]["text"].encode())


@given(any_fields("glibc-384-le"))
def test_round_trip(fields: tuple) -> None:  # type: ignore[type-arg]
    """A dump that is read and dumped again is the same dump."""
    line = dump.write(fields)
    again = dump.parse(line)
    if b"?" not in line and b" " not in b"".join(fields[2:6]) and fields[7] >= 0:
        assert (again[:2], again[2], again[4:7]) == (fields[:2], fields[2], fields[4:7])
    if b"::" not in line.split(b"] [")[6]:  # an address with a dot in it and colons is lost, as in util-linux
        read = dump.parse(dump.write(again))
        assert read[:7] == again[:7]
        assert read[9:] == again[9:]


@pytest.mark.skipif(not shutil.which("utmpdump"), reason="no program utmpdump")
@pytest.mark.parametrize("reverse", [False, True])
def test_like_utmpdump(tmp_path: Path, *, reverse: bool) -> None:
    """The installed utmpdump writes and reads the same."""
    records = [*history(50), make(USER_PROCESS, b"a b[c]", b"x" * 32, 1, host=b"\xff" * 256, pid=2**31 - 1, micros=999_999)]
    binary, text = b"".join(map(LAYOUT.encode, records)), b"".join(map(dump.write, records))
    (tmp_path / "f").write_bytes(text if reverse else binary)
    ran = subprocess.run(["utmpdump", *(["-r"] if reverse else []), tmp_path / "f"], capture_output=True, check=True)
    ours = b"".join(LAYOUT.encode(dump.parse(line)) for line in text.splitlines(keepends=True)) if reverse else text
    assert ran.stdout == ours


@pytest.mark.parametrize(
    ("text", "seconds", "micros"),
    [
        (b"2024-02-20T09:00:00,000007+00:00", 1708419600, 7),
        (b"2106-02-07T06:28:15,999999+00:00", 2**32 - 1, 999999),
        (b"1969-12-31T23:59:59,000000+00:00", -1, 0),
        (b"Wed Aug 28 03:00:00 2013 GMT", 1377658800, 0),
        (b"Thu Jan  1 00:00:00 1970", 0, 0),
        (b"Xyz Aug 28 03:00:00 2013 GMT", 0, 0),
        (b"Wed Aug", 0, 0),
        (b"", 0, 0),
        (b"2024-99-20T09:00:00", 1725062400, 0),
        (b"2024-02-20T25:00:00", 1708387200, 0),
        (b"2024-2-3T4:5:6,1", 1706933106, 1),
        (b"2024", 1703980800, 0),
    ],
)
def test_times(text: bytes, seconds: int, micros: int) -> None:
    """Times are read in both forms that utmpdump has had; what is wrong in them is as wrong as in util-linux."""
    assert dump.parse(LINE % text)[6:8] == (seconds, micros)


@given(st.binary(max_size=400))
def test_any_line(line: bytes) -> None:
    """Any line is read or refused."""
    try:
        fields = dump.parse(line)
    except ValueError:
        return
    assert dump.write(fields).endswith(b"]\n")
