# SPDX-License-Identifier: BSD-2-Clause
"""Events and the letters that carry them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import NOON, closed, opened
from wtmpdb.event import CLOSED, FAILED, LETTER_LIMIT, OPENED, BrokenLetterError, Event, decode
from wtmpdb.text import store

TIMES = st.integers(0, 2**63 - 1)
KEYS = st.text("0123456789abcdef", min_size=32, max_size=32)


def texts(limit: int) -> st.SearchStrategy[str | None]:
    """Return texts as the file keeps them, of so many bytes at most, or None."""
    return st.none() | st.binary(max_size=limit).map(store)


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Return any event that the module could write."""
    kind = draw(st.sampled_from([OPENED, CLOSED, FAILED]))
    key = draw(KEYS if kind == OPENED else st.none() | KEYS)
    return Event(
        kind,
        id="name",
        time=draw(TIMES),
        user=store(draw(st.binary(min_size=kind != FAILED, max_size=256))),
        key=key,
        opened=draw(TIMES) if key else None,
        pid=draw(st.none() | TIMES),
        start=draw(st.none() | TIMES),
        boot=draw(st.none() | st.text("0123456789abcdef-/", min_size=1, max_size=127)),
        tty=draw(texts(64)),
        host=draw(texts(255)),
        service=draw(texts(64)),
        session=draw(texts(32)),
    )


@given(events())
def test_round_trip(event: Event) -> None:
    """Any event comes back from its letter as it was."""
    letter = event.encode()
    assert len(letter) <= LETTER_LIMIT
    again = decode(letter, "name")
    assert [getattr(again, field) for field in Event.__slots__] == [getattr(event, field) for field in Event.__slots__]


@given(st.binary(max_size=400))
def test_garbage_is_broken(letter: bytes) -> None:
    """Any other bytes are a broken letter, and nothing worse."""
    with pytest.raises(BrokenLetterError):
        decode(letter, "name")


@given(events(), st.data())
def test_damaged_letters(event: Event, data: st.DataObject) -> None:
    """A letter with a byte changed, or cut off, is broken or reads as some event."""
    letter = bytearray(event.encode())
    place = data.draw(st.integers(0, len(letter) - 1))
    letter[place] = data.draw(st.integers(0, 255))
    for damaged in (bytes(letter), bytes(letter[:place])):
        try:
            decode(damaged, "name")
        except BrokenLetterError:
            pass


@given(events(), st.data())
def test_half_a_letter_is_broken(event: Event, data: st.DataObject) -> None:
    """A letter that was not written to its end is always broken."""
    letter = event.encode()
    with pytest.raises(BrokenLetterError):
        decode(letter[: data.draw(st.integers(0, len(letter) - 1))], "name")


@pytest.mark.parametrize(
    ("line", "instead", "reason"),
    [
        (b"wtmpdb 1 opened", b"wtmpdb 2 opened", "not a letter of version 1"),
        (b"wtmpdb 1 opened", b"wtmpdb 1 tried", "not a letter of version 1"),
        (b"user alice", b"", "user is missing"),
        (b"user alice", b"user ", "user is empty"),
        (b"user alice", b"user al ice", "user holds bytes that should have been quoted"),
        (b"user alice", b"user " + b"a" * 257, "user is too long"),
        (b"user alice", b"user alice\nuser bob", "user comes twice"),
        (b"pid 100", b"pid -1", "pid is not a number"),
        (b"pid 100", b"pid 99999999999999999999", "pid is not a number"),
        (b"pid 100", "pid ١٢".encode(), "pid is not a number"),
        (b"pid 100", b"pid 9223372036854775808", "pid is not a number"),
    ],
)
def test_rules(line: bytes, instead: bytes, reason: str) -> None:
    """A letter that breaks a rule of the format is broken, and the reason is said."""
    letter = opened().encode()
    with pytest.raises(BrokenLetterError, match=reason):
        decode(letter.replace(line, instead).replace(b"\n\n", b"\n"), "name")


def test_close_with_a_key_needs_its_open() -> None:
    """A close that has a key and does not say when the session was opened is broken."""
    letter = closed(opened(), NOON + 5).encode().replace(f"opened {NOON}\n".encode(), b"")
    with pytest.raises(BrokenLetterError, match="opened is missing"):
        decode(letter, "name")


def test_a_failed_login_may_be_of_nobody() -> None:
    """A failed login tells its time; whoever tried may not have said a name."""
    assert decode(b"wtmpdb 1 failed\ntime 5\nend\n", "name").user == ""
    with pytest.raises(BrokenLetterError, match="time is missing"):
        decode(b"wtmpdb 1 failed\nuser alice\nend\n", "name")


def test_lines_of_later_modules_are_passed_over() -> None:
    """A line with a name that this version does not know does no harm."""
    letter = opened().encode().replace(b"end\n", b"colour blue\nend\n")
    assert decode(letter, "name").user == "alice"


def test_too_long() -> None:
    """A letter of more bytes than a letter may have is broken."""
    letter = opened().encode().replace(b"end\n", b"colour " + b"x" * LETTER_LIMIT + b"\nend\n")
    with pytest.raises(BrokenLetterError, match="longer"):
        decode(letter, "name")
