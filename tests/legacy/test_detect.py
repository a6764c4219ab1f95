# SPDX-License-Identifier: BSD-2-Clause
"""Recognising a file by its content: every layout among all others, damaged files, and anything else."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from every_layout import WRITABLE, content, history, make
from wtmpdb.legacy.detect import SAMPLE, Sure, detect
from wtmpdb.legacy.layouts import FIXED, LAYOUTS, native
from wtmpdb.legacy.record import USER_PROCESS

DATA = Path(__file__).parent.parent / "data" / "legacy"
ALL = list(LAYOUTS.values())
# The same bytes where there is no signature, and no fraction of a second.
LIKE = {"netbsd-v1-64-le": "netbsd-64-le", "netbsd-v1-64-be": "netbsd-64-be", "netbsd-v1-32-le": "netbsd-32-le"}


def found(data: bytes) -> str:
    """Return the name of the layout that is detected, or ""."""
    layout = judged(data).layout
    return str(layout) if layout else ""


def judged(data: bytes) -> Sure:
    """Return the judgement about a file."""
    samples = [data[:SAMPLE]]
    if len(data) > SAMPLE:
        samples += [data[len(data) // 2 :][:SAMPLE], data[-SAMPLE:]]
    return detect(samples, ALL, len(data))


@pytest.mark.parametrize("count", [1, 2, 5, 19, 25, 100])
@pytest.mark.parametrize("name", WRITABLE)
def test_every_layout(name: str, count: int) -> None:
    """A file of any layout is told from all others, from its first record on."""
    expected = {name, "bsd-36-le"} if count == 1 and name.startswith("bsd-36") else {name}  # four bytes of time can be read both ways
    assert found(content(name, history(count))) in expected


@pytest.mark.parametrize("name", [name for name in FIXED if FIXED[name].signature])
def test_without_signature(name: str) -> None:
    """Where rotation took the signature away, the records tell."""
    data = content(name, history(40))[FIXED[name].size :]
    assert found(data) == LIKE.get(name, name)


@pytest.mark.parametrize("name", [name for name in FIXED if FIXED[name].signature])
def test_only_a_signature(name: str) -> None:
    """A file with nothing but its signature is recognised."""
    assert found(content(name, [])) == name


def test_size_says_nothing() -> None:
    """9600 bytes are 25 records of 384 and 24 of 400; 19 of 384 are 24 of 304."""
    assert found(content("glibc-384-le", history(25))) == "glibc-384-le"
    assert found(content("glibc-400-le", history(24))) == "glibc-400-le"
    assert found(content("openbsd-le", history(24))) == "openbsd-le"
    assert found(content("glibc-384-be", history(19))) == "glibc-384-be"


@pytest.mark.parametrize(("name", "layout"), [("wtmp-x86_64-rotated", "glibc-384-le"), ("utmp-aarch64", "glibc-400-le")])
def test_real_files(name: str, layout: str) -> None:
    """Real files are recognised, also the one with a stray byte at its end."""
    sure = judged((DATA / name).read_bytes())
    assert str(sure.layout) == layout
    assert sure.runner_up_valid < sure.valid


@pytest.mark.parametrize("name", WRITABLE)
def test_beginning_lost(name: str) -> None:
    """A file whose beginning was cut off or is noise is recognised by what follows."""
    data = content(name, history(300))
    assert found(data[len(data) // 100 + 7 :]) == LIKE.get(name, name)
    if name != "utmpdump":
        noise = random.Random(5).randbytes(1000)  # noqa: S311 - noise
        assert found(noise + data) == LIKE.get(name, name)


@pytest.mark.parametrize("name", ["glibc-384-le", "glibc-400-be", "solaris-be", "netbsd-64-le"])
def test_long_noise_in_front(name: str) -> None:
    """Noise that is longer than a sample does not hide the records behind it."""
    data = random.Random(6).randbytes(3 * SAMPLE) + content(name, history(2000))  # noqa: S311 - noise
    assert found(data) == name


@pytest.mark.parametrize("size", [384, 384 * 7, 10_000])
def test_zeros(size: int) -> None:
    """Zeros say nothing: they are taken for what this machine writes."""
    assert judged(bytes(size)).layout is native()


@pytest.mark.parametrize(
    "data",
    [
        b"hello world\n" * 50,
        b"\x01" * 383,
        b"\xff" * 40000,
        b"[1] no dump\n" * 9,
        b"\x7fELF\x02\x01\x01" + bytes(57) + bytes(range(256)) * 40,
        Path(__file__).read_bytes(),
        struct.pack("<100I", *range(100)),
        b"\0\x09" * 500,
    ],
)
def test_not_ours(data: bytes) -> None:
    """What is no login-accounting file is not taken for one."""
    sure = judged(data)
    assert sure.layout is None
    assert str(sure) == "not recognised"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=4096))
@example(b"\0\xc5\x04" * 60)
@example(b"[" * 4096)
@example(b"\x00\x09\x04" + bytes(300))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are judged without an error; what is recognised has records."""
    sure = judged(data)
    assert sure.layout is None or sure.valid or not data.strip(b"\0")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(WRITABLE), st.integers(0, 2**32), st.data())
def test_mutated(name: str, seed: int, data: st.DataObject) -> None:
    """A few wrong bytes anywhere do not make another layout of a file."""
    raw = bytearray(content(name, history(30)))
    places = random.Random(seed)  # noqa: S311 - dice for a test
    for _ in range(data.draw(st.integers(1, 5))):
        raw[places.randrange(len(raw))] = places.randrange(256)
    layout = found(bytes(raw))
    expected = {name, LIKE.get(name, name)} if name.startswith(("netbsd", "macos")) else {name}
    if name.startswith(("netbsd-v1", "netbsd-32")):
        expected |= {other for other in FIXED if other.startswith("netbsd") and FIXED[other].size == FIXED[name].size}
    assert layout in expected


def test_words() -> None:
    """The judgement can be read."""
    assert str(judged(content("glibc-384-le", history(4)))) == "glibc-384-le: 4 of 4 records beyond doubt; next: none"


def test_odd_texts() -> None:
    """Records whose texts are odd are recognised by their numbers."""
    odd = [make(USER_PROCESS, b"\x1b[31m\x01", b"pts/%d" % nth, 1_700_000_000 + nth, host=b"\x02") for nth in range(5)]
    sure = judged(content("glibc-384-le", odd))
    assert (str(sure.layout), sure.valid) == ("glibc-384-le", 5)
