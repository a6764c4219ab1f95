# SPDX-License-Identifier: BSD-2-Clause
"""Findings: how they are said."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtmpdb.doctor.finding import counted, listing, note, ok, problem, span, summary


def test_listing() -> None:
    """Each finding is a line in columns with its state first; what to do stands beneath it."""
    findings = [ok("python", "3.11"), note("clock", "nobody keeps it", "timedatectl"), problem("pam lines", "none", "sudo wtmpdb setup")]
    assert listing(findings) == (
        "ok       python     3.11\n"
        "note     clock      nobody keeps it\n"
        "    do: timedatectl\n"
        "problem  pam lines  none\n"
        "    do: sudo wtmpdb setup\n"
    )  # fmt: skip
    assert summary(findings) == "1 ok, 1 note, 1 problem"
    assert summary([]) == "0 ok, 0 notes, 0 problems"
    assert listing([]) == ""


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_hostile_words(what: bytes, hint: bytes) -> None:
    """Whatever bytes a file's name has, they stay within their line, and no control character gets out."""
    text = listing([problem("spool", os.fsdecode(what), os.fsdecode(hint))])
    assert text.count("\n") == (2 if hint else 1)
    assert not [char for char in text.replace("\n", "") if ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 or char in "\u2028\u2029"]
    text.encode()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_199, "120 min"), (7_200, "2 h"), (172_800, "2 days"), (1e7, "116 days")]
)
def test_span(seconds: float, text: str) -> None:
    """A length of time is said in the largest unit of which there are two."""
    assert span(seconds) == text


def test_counted() -> None:
    """One is said without an s."""
    assert [counted(number, "letter") for number in (0, 1, 2)] == ["0 letters", "1 letter", "2 letters"]
