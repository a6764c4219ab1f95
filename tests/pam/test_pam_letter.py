# SPDX-License-Identifier: BSD-2-Clause
"""The encoder of letters, alone: what it writes, an independent decoder reads back."""

from __future__ import annotations

import ctypes
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pam_world import SOURCE, Letter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BOUNDS = {"user": 256, "tty": 64, "host": 255, "service": 64, "session": 32}
ROOM = 4096

no_nul = st.binary(max_size=400).map(lambda value: value.replace(b"\0", b""))
text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300).map(str.encode)
long_text = st.builds(lambda shift, character: b"x" * shift + character * 300, st.integers(0, 4), text)
values = st.tuples(*[st.one_of(no_nul, text, long_text)] * 5)


@pytest.fixture(scope="module")
def encode(build: Path) -> Callable[[tuple[bytes, ...]], bytes]:
    """Load the encoder, as the fuzzer drives it."""
    library = build / "letter.so"
    sources = [str(SOURCE / name) for name in ("fuzz_letter.c", "letter.c")]
    flags = ["-std=c11", "-D_DEFAULT_SOURCE", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, "-o", str(library), *sources], check=True)
    function = ctypes.CDLL(str(library)).letter_from_bytes
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    function.restype = ctypes.c_size_t

    def call(facts: tuple[bytes, ...]) -> bytes:
        data = b"".join(fact + b"\0" for fact in facts)
        room = ctypes.create_string_buffer(ROOM)
        length = function(data, len(data), room, ROOM)
        assert length == len(room.value)
        return room.value

    return call


@given(facts=values)
def test_what_is_encoded_can_be_decoded(encode: Callable[[tuple[bytes, ...]], bytes], facts: tuple[bytes, ...]) -> None:
    """Every value comes back, as it was or cut at its bound and never inside a UTF-8 character."""
    letter = Letter.decode(encode(facts))
    for (name, bound), fact in zip(BOUNDS.items(), facts, strict=True):
        value = letter[name]
        assert fact.startswith(value)
        if len(fact) <= bound:
            assert value == fact
            continue
        assert bound - 3 <= len(value) <= bound
        if is_utf8(fact):
            assert is_utf8(value)


@given(facts=values)
def test_the_product_decodes_the_same(encode: Callable[[tuple[bytes, ...]], bytes], facts: tuple[bytes, ...]) -> None:
    """The recorder's reader takes every letter whose user is not empty."""
    event = pytest.importorskip("wtmpdb.event")
    letter = encode((b"u" + facts[0], *facts[1:4], b"12"))
    assert event.decode(letter, "name").kind == Letter.decode(letter).kind


def test_only_visible_ascii_stands_for_itself(encode: Callable[[tuple[bytes, ...]], bytes]) -> None:
    """Each other byte, and the backslash, is a backslash and three octal digits."""
    line = encode((bytes(range(1, 256)), b"", b"", b"", b"")).split(b"\n")[6]
    expected = "".join(chr(byte) if 33 <= byte <= 126 and byte != 92 else f"\\{byte:03o}" for byte in range(1, 256))
    assert line == f"user {expected}".encode()


def is_utf8(value: bytes) -> bool:
    """Tell whether the bytes are valid UTF-8."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
