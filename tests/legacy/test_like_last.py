# SPDX-License-Identifier: BSD-2-Clause
"""Random old files: we print what the real `last` and `lastb` of this machine print, to the byte.

What their version does otherwise than the newest, ours is made to do here too: before 2.40 a boot lasts until the next shutdown, whatever came
between, before 2.41 nothing marks a name that was cut. All logins are from before this machine was started, so that none of them is still there.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from wtmpdb.__main__ import main
from wtmpdb.entry import End, EntryType
from wtmpdb.legacy import pairing
from wtmpdb.listing import old, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wtmpdb.entry import Line
    from wtmpdb.legacy.record import Fields

PATH = "/usr/bin:/bin"
LAST = shutil.which("last", path=PATH)
FOUND = re.search(r"util-linux (\d+)\.(\d+)", subprocess.run([LAST, "-V"], capture_output=True, text=True, check=False).stdout) if LAST else None
VERSION = (int(FOUND[1]), int(FOUND[2])) if FOUND else (0, 0)
pytestmark = pytest.mark.skipif(not FOUND or not shutil.which("lastb", path=PATH), reason="needs the `last` and `lastb` of util-linux")

LAYOUT = ["--layout", "glibc-384-le"]
RECORD = struct.Struct("<hxxi32s4s32s256shhiIi16s20x")
BEGIN, END = 1_600_000_000, 1_650_000_000  # long before this machine was started
ODD = [b"\0", b"a", b"Z", b" ", b"*", b"\\", b"[", b"~", b"\a", b"\t", b"\n", b"\v", b"\f", b"\r", b"\x1b", b"\x01", b"\x7f", b"\x80", b"\xff"]
ODD += [text.encode() for text in "é日­\u200b\u2028 "] + [b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe6\x97"]

odd = st.lists(st.sampled_from(ODD), max_size=40).map(b"".join)
KNOWN = (*range(10), 254)
types = st.one_of(st.sampled_from([7, 7, 7, 8, 8, 2, 1]), st.integers(0, 9), st.sampled_from([-1, 10, 100, 254]))
lines = st.one_of(
    st.sampled_from(["pts/0", "pts/1", "pts/1", "tty1", "ttyS0", "~", "~", "~~", "~x", "|", "{", "{x", "", ":0", "ftp12", "ftp13", "ftpd1", "uucp7"]),
    st.just("a-line-that-fills-all-of-its-field"),
).map(str.encode)
users = st.one_of(
    st.sampled_from(
        ["alice", "bob", "bob", "", "", "reboot", "reboot", "rebootx", "shutdown", "runlevel", "date", "dated", "LOGIN", "LOGINx", "eightyes"]
    ),
    st.sampled_from(["nine-byte", "a-user-that-has-31-bytes-in-all"]),
).map(str.encode)
hosts = st.sampled_from(["", "10.0.0.1", "2001:db8:1:2:3:4:5:6", "host.example", ":0", "sixteen-bytes-ok", "seventeen-bytes-x", "h" * 300]).map(
    str.encode
)
pids = st.one_of(st.sampled_from([0, 1, 48, 53, 54, 53 + 256 * 78, 0x0A, 0x1B, 0x80]), st.integers(0, 2**22))
strange_pids = st.one_of(pids, st.integers(-(2**31), 2**31 - 1))
addresses = st.one_of(
    st.just(bytes(16)),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=4, max_size=4).map(lambda four: four + bytes(12)),
    st.binary(min_size=4, max_size=4).map(lambda four: bytes(10) + b"\xff\xff" + four),
    st.binary(min_size=4, max_size=4).map(lambda four: bytes(12) + four),
)


@st.composite
def files(draw: st.DrawFn, *, strange: bool) -> bytes:
    """Return the bytes of a file: of programs that do what they should, or of none that could be trusted."""
    records, moment = [], BEGIN
    for _ in range(draw(st.integers(1, 25))):
        moment = draw(st.integers(BEGIN, END)) if strange and draw(st.booleans()) else moment + draw(st.integers(0, 90_000))
        if strange:
            # A record of no known type that has control characters in its texts is noise for us, and left out.
            kind = draw(types)
            text = [draw(st.one_of(usual, odd) if kind in KNOWN else usual) for usual in (lines, users, hosts)]
        else:
            kind, text = draw(ordinary())
        seconds = draw(st.sampled_from([moment, 0])) if strange and not draw(st.integers(0, 9)) else moment
        user = text[1] if len(text[1].partition(b"\0")[0]) < 32 else text[1][:31]  # before 2.39 the 32nd byte was lost
        micro = draw(st.integers(0, 999_999))
        records.append(
            RECORD.pack(kind, draw(strange_pids if strange else pids), text[0], b"id", user, text[2], 0, 0, 0, seconds, micro, draw(addresses))
        )
    return b"".join(records)


@st.composite
def ordinary(draw: st.DrawFn) -> tuple[int, list[bytes]]:
    """Return type, line, user and host of what is usual."""
    kind = draw(st.sampled_from([7, 7, 7, 8, 8, 8, 2, 1, 1, 5, 6]))
    tty = draw(st.sampled_from([b"pts/0", b"pts/1", b"tty1", b"ftp12", b":0"]))
    line, user = {
        1: [b"~", draw(st.sampled_from([b"shutdown", b"runlevel"]))],
        2: [b"~", b"reboot"],
        5: [tty, b""],
        6: [tty, b"LOGIN"],
        7: [tty, draw(users.filter(lambda user: user not in (b"", b"date", b"LOGIN")))],
        8: [tty, draw(st.sampled_from([b"", b"alice"]))],
    }[kind]
    return kind, [line, user, draw(hosts)]


# At most one of each: what two limits mean, versions differ in; -F and --time-format cannot be combined.
CHOICES = [
    [[], ["-x"]],
    [[], [], ["-F"], ["--time-format=iso"], ["--time-format=notime"]],
    [[], ["-w"]],
    [[], ["-a"], ["-R"], ["-aR"]],
    [[], [], ["-i"]],
    [[], [], [], ["-n", "3"], ["-5"], ["-n0"], ["-1"]],
    [[], [], ["-p", "2020-09-14 10:00:00"], ["-p", "2020-09-13 12:26:40"], ["-p", "@1600100000"][: 2 * (VERSION >= (2, 39))]],
    [[], [], ["-s", "2020-09-13 20:00"], ["-s", "1969-12-31"], ["-s", "1970-01-01 12:00"]],
    [[], [], ["-t", "2020-09-15 20:00"], ["-t", "2020-09-13 12:26:40"], ["-t", "1969-12-31"]],
    [[], [], [], ["alice"], ["1"], ["reboot"], ["pts/0", "bob"], ["ftp"], ["ftp12"], [""], ["(to lvl 5)"], ["system boot", "shutdown"]],
    [[], [], ["-T"][: VERSION >= (2, 40)]],
]
options = st.tuples(*(st.sampled_from(choice) for choice in CHOICES)).map(lambda chosen: [word for words in chosen for word in words])
zones = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Pacific/Apia"])
locales = st.sampled_from(["C", "C.UTF-8"])


@pytest.fixture(autouse=True)
def version(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Do as the version of util-linux that we are compared with does; afterwards put local time back."""
    if VERSION < (2, 40):
        monkeypatch.setattr(pairing.Backward, "_boot", _boot_before_2_40)
    if VERSION < (2, 41):
        fit = old._fit
        monkeypatch.setattr(old, "_fit", lambda raw, width, limit, _: fit(raw, width, limit, b""))
    monkeypatch.setenv("TZ", "UTC")
    yield
    monkeypatch.undo()
    time.tzset()


def _boot_before_2_40(self: pairing.Backward, fields: Fields, at: int) -> list[Line]:
    line = pairing._line(self._ended(self._down), fields, b"system boot", at, self._down, EntryType.BOOT_TIME)
    self._bound(at, End.CRASH)
    return [line]


def compare(name: str, directory: Path, data: list[bytes], words: list[str], zone: str, locale: str, ours_only: Sequence[str] = ()) -> None:
    """Let both print files, and compare."""
    paths = [str(directory / f"{name}.{number}") for number in range(len(data))]
    for path, content in zip(paths, data, strict=True):
        with open(path, "wb") as file:
            file.write(content)
    words = [word for path in paths for word in ("-f", path)] + words
    environment = {"TZ": zone, "LC_ALL": locale, "PATH": PATH}
    theirs = subprocess.run([name, *words], env=environment, capture_output=True, check=False)
    os.environ["TZ"] = zone
    time.tzset()
    printable._utf8[:] = ["UTF-8" in locale]
    ours = directory / "ours"
    assert (printed(ours, [name, *words, *ours_only]), ours.read_bytes()) == (theirs.returncode, theirs.stdout)


def printed(into: Path, argv: list[str]) -> int:
    """Run us with standard output in a file; return the exit code."""
    before = os.dup(1)
    with into.open("wb") as file:
        os.dup2(file.fileno(), 1)
    try:
        return main(argv)
    finally:
        os.dup2(before, 1)
        os.close(before)


LENIENT = settings(max_examples=int(os.environ.get("WTMPDB_EXAMPLES", "150")), deadline=None, suppress_health_check=list(HealthCheck))


@LENIENT
@given(files(strange=False), options, zones, locales)
def test_usual_files(tmp_path: Path, data: bytes, words: list[str], zone: str, locale: str) -> None:
    """Of files as programs write them we print what `last` prints."""
    compare("last", tmp_path, [data], words, zone, locale)


@LENIENT
@given(files(strange=True), options, zones, locales)
def test_strange_files(tmp_path: Path, data: bytes, words: list[str], zone: str, locale: str) -> None:
    """Of files with any types, times and bytes we print what `last` prints, once we are told the layout."""
    compare("last", tmp_path, [data], words, zone, locale, LAYOUT)


@settings(parent=LENIENT, max_examples=LENIENT.max_examples // 3)
@given(st.lists(files(strange=False), min_size=2, max_size=3), options, zones)
def test_several_files(tmp_path: Path, data: list[bytes], words: list[str], zone: str) -> None:
    """Several files are listed one after the other, each with its last line, and the limit is counted as `last` counts it."""
    compare("last", tmp_path, data, words, zone, "C")


@LENIENT
@example(bytes(384 * 2), [], "UTC", "C")
@given(files(strange=True), options, zones, locales)
def test_failed_logins(tmp_path: Path, data: bytes, words: list[str], zone: str, locale: str) -> None:
    """Of files of failed logins we print what `lastb` prints."""
    compare("lastb", tmp_path, [data], words, zone, locale, LAYOUT)
