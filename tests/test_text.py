# SPDX-License-Identifier: BSD-2-Clause
"""Text that users had a hand in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtmpdb.text import cut, forms, one_form, restore, store


@given(st.binary(max_size=300))
def test_round_trip(raw: bytes) -> None:
    """Any bytes come back from the file as they were."""
    assert restore(store(raw).encode()) == raw


@given(st.binary(max_size=300))
def test_one_line(raw: bytes) -> None:
    """What is stored is valid UTF-8 and one line without control characters."""
    stored = store(raw)
    stored.encode("utf-8")
    assert len(f"x{stored}x".splitlines()) == 1
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in stored)


@pytest.mark.parametrize(
    ("raw", "stored"),
    [(b"alice", "alice"), ("Zoë".encode(), "Zoë"), (b"a\nb", "a\\012b"), (b"\xff", "\\377"), (b"DOM\\bob", "DOM\\134bob"), (b"", "")],
)
def test_stored_form(raw: bytes, stored: str) -> None:
    """Plain text stays, what could do harm and the backslash become octal escapes."""
    assert store(raw) == stored


@given(st.binary(max_size=300), st.text(max_size=300))
def test_forms(raw: bytes, text: str) -> None:
    """Whatever form a text stands in, as we or C keep it, it has one form, and is among all of those."""
    assert one_form(store(raw)) == store(raw)
    assert store(raw) in forms(store(raw))
    assert all(one_form(form) == store(raw) for form in forms(store(raw)))
    assert "\0" in text or text in forms(one_form(text)) or restore(text.encode()) != text.encode()


@pytest.mark.parametrize("stored", [b"DOM\\bob", b"\\", b"\\9", b"\\777", b"\\12"])
def test_lone_backslash(stored: bytes) -> None:
    """A backslash that begins no escape, as C programs store it, stands for itself."""
    assert restore(stored) == stored


@given(st.text(), st.integers(1, 40))
def test_cut_keeps_characters_whole(text: str, limit: int) -> None:
    """A cut text is a beginning of the text, short enough, and ends with a whole character."""
    raw = text.encode("utf-8", "ignore")
    part = cut(raw, limit)
    assert raw.startswith(part)
    assert len(part) <= limit
    assert len(part) > limit - 4 or part == raw
    part.decode("utf-8")
