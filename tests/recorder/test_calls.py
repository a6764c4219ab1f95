# SPDX-License-Identifier: BSD-2-Clause
"""Varlink's messages."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtmpdb.recorder.calls import LONGEST, BadMessageError, Call, RefusedError, maybe, number, parse, refusal, reply, text, word
from wtmpdb.text import readable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
KINDS = {"ID": number, "TTY": maybe(text(64)), "Which": maybe(word("all", "open"))}


def try_it(message: bytes) -> None:
    """Parse a message and take its parameters: either may be refused, by these errors."""
    try:
        call = parse(message)
        ident, tty, which = call.take(**KINDS)
    except (BadMessageError, RefusedError):
        return
    assert type(ident) is int
    assert abs(ident) < 2**63
    assert tty is None or isinstance(tty, str)
    assert which in (None, "all", "open")


@given(st.binary(max_size=200))
def test_any_bytes(message: bytes) -> None:
    """Any bytes are refused or are a call."""
    try_it(message)


@given(st.fixed_dictionaries({}, optional={"method": JSON, "parameters": JSON, "more": JSON, "oneway": JSON, "upgrade": JSON, "other": JSON}))
def test_any_object(told: dict[str, object]) -> None:
    """Any JSON object is refused or is a call."""
    try_it(json.dumps(told).encode())


@given(st.dictionaries(st.sampled_from(["ID", "TTY", "Which", "other"]), JSON))
def test_any_parameters(parameters: dict[str, object]) -> None:
    """Parameters of any kind are refused by the name of one of them, or are what they should be."""
    try_it(json.dumps({"method": "a.b", "parameters": parameters}, allow_nan=True).encode())


@pytest.mark.parametrize("piece", [b"[", b'{"a":', b"9", b'"\\u0', b"-", b"\xff", b" ", b"[{"])
def test_as_long_as_may_be(piece: bytes) -> None:
    """A message of the greatest length, nested as deeply as it can be, is refused in the same way."""
    with pytest.raises(BadMessageError):
        parse(piece * (LONGEST // len(piece)))


def test_a_call() -> None:
    """The method is taken apart at its last point; flags are false unless they are true."""
    call = parse(b'{"method":"org.example.Do","parameters":{"ID":7},"more":true,"other":1}')
    assert (call.interface, call.name, call.parameters, call.more, call.oneway) == ("org.example", "Do", {"ID": 7}, True, False)
    assert call.take(**KINDS) == [7, None, None]


def test_unknown_parameter() -> None:
    """A parameter that the method does not have is refused, also when it is null."""
    with pytest.raises(RefusedError) as caught:
        Call("a.b", {"x": None}, more=False, oneway=False).take(**KINDS)
    assert caught.value.parameters == {"parameter": "x"}


@given(st.binary())
def test_whatever_stands_in_the_file(stored: bytes) -> None:
    """Any bytes of the file become a message of ASCII with one zero, at its end, that gives the text back."""
    message = reply({"x": readable(stored)})
    assert message.isascii()
    assert message.index(b"\0") == len(message) - 1
    assert "\\u0000" not in json.loads(message[:-1])["parameters"]["x"]
    assert json.loads(message[:-1])["parameters"]["x"] == readable(stored)
    readable(stored).encode()


@given(st.text())
def test_readable(text: str) -> None:
    """Text that is UTF-8 stands as it is, but for zeros."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        return
    assert readable(raw) == text.replace("\0", "\\000")


def test_replies() -> None:
    """Replies and errors have the form that varlink gives them."""
    assert reply({"a": 1}) == b'{"parameters":{"a":1}}\0'
    assert reply({}, continues=True) == b'{"parameters":{},"continues":true}\0'
    assert refusal(RefusedError("org.example.Wrong", why="x")) == b'{"error":"org.example.Wrong","parameters":{"why":"x"}}\0'
