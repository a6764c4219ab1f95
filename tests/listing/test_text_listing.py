# SPDX-License-Identifier: BSD-2-Clause
"""Lines in columns: the very bytes."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import HOUR, NOON, SECOND
from wtmpdb.entry import End, EntryType
from wtmpdb.listing import printable, times
from wtmpdb.listing.text import FULL, ISO, NOTIME, SHORT, Style, TextListing, trailer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.entry import Line


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put local time at UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(params=[True, False], ids=["UTF-8", "C"])
def utf8(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Put the locale at UTF-8, or at C."""
    monkeypatch.setattr(printable, "_utf8", [request.param])
    return bool(request.param)


def line(
    end: int | None = NOON + HOUR,
    *,
    how: int = End.LOGOUT,
    user: bytes = b"alice",
    tty: bytes | None = b"pts/0",
    host: bytes | None = b"10.0.0.5",
    login: int = NOON,
    kind: int = EntryType.USER_PROCESS,
) -> Line:
    """Return a line."""
    return (how, user, tty, host, b"sshd", login, end, 1, kind)


def show(shown: Line, **style: object) -> str:
    """Return the line as text, without its newline."""
    text = TextListing(Style(**style)).render([shown]).decode()  # type: ignore[arg-type]
    assert text.endswith("\n")
    return text[:-1]


ENDINGS = [
    (line(), SHORT, "- 13:00  (01:00)"),
    (line(), FULL, "- Fri Mar  1 13:00:00 2024  (01:00)"),
    (line(), ISO, "- 2024-03-01T13:00:00+00:00  (01:00)"),
    (line(), NOTIME, " (01:00)"),
    (line(how=End.DOWN), SHORT, "- down   (01:00)"),
    (line(how=End.DOWN), FULL, "- down                      (01:00)"),
    (line(how=End.DOWN), NOTIME, " (01:00)"),
    (line(how=End.CRASH), SHORT, "- crash  (01:00)"),
    (line(None, how=End.STILL), SHORT, "  still logged in"),
    (line(None, how=End.STILL), FULL, "  still logged in"),
    (line(None, how=End.STILL), NOTIME, "logged in"),
    (line(None, how=End.UNKNOWN), SHORT, "  still logged in"),
    (line(None, how=End.GONE), SHORT, "   gone - no logout"),
    (line(None, how=End.GONE), ISO, "  gone - no logout"),
    (line(None, how=End.GONE), NOTIME, "no logout"),
    (line(None, how=End.RUNNING), SHORT, "  still running"),
    (line(None, how=End.RUNNING), FULL, "  still running"),
    (line(None, how=End.RUNNING), NOTIME, "running"),
]


@pytest.mark.parametrize(("shown", "form", "ending"), ENDINGS)
def test_endings(shown: Line, form: str, ending: str) -> None:
    """Each way to end is said as `last` says it, in each format of time."""
    login = {NOTIME: "", SHORT: "Fri Mar  1 12:00", FULL: "Fri Mar  1 12:00:00 2024", ISO: "2024-03-01T12:00:00+00:00"}[form]
    gap = "  " if form == NOTIME else " "  # the gaps around the two empty columns
    assert show(shown, time_format=form) == f"alice    pts/0        10.0.0.5         {login}{gap}{ending}"


def test_columns() -> None:
    """The host can stand last in full, or not at all; the service stands after it."""
    long = line(host=b"a-very-long-host.example.org")
    assert show(long) == "alice    pts/0        a-very-long-hos* Fri Mar  1 12:00 - 13:00  (01:00)"
    assert show(long, full_names=True) == "alice    pts/0        a-very-long-host.example.org Fri Mar  1 12:00 - 13:00  (01:00)"
    assert show(long, host_last=True) == "alice    pts/0        Fri Mar  1 12:00 - 13:00  (01:00)     a-very-long-host.example.org"
    assert show(long, no_host=True, host_last=True) == "alice    pts/0        Fri Mar  1 12:00 - 13:00  (01:00)"
    assert show(line(), service=True) == "alice    pts/0        10.0.0.5         sshd         Fri Mar  1 12:00 - 13:00  (01:00)"
    assert show(line(), tabs=True) == "alice   \tpts/0       \t10.0.0.5        \tFri Mar  1 12:00\t- 13:00\t (01:00)"


def test_long_names() -> None:
    """A cut name ends with an asterisk, one that just fits does not, a tty is cut without a mark."""
    assert show(line(user=b"abcdefgh")).startswith("abcdefgh pts/0")
    assert show(line(user=b"abcdefghi")).startswith("abcdefg* pts/0")
    assert show(line(user=b"abcdefghi"), full_names=True).startswith("abcdefghi pts/0")
    assert show(line(tty=b"a-very-long-tty")).startswith("alice    a-very-long- 10.")
    assert show(line(host=b"x" * 16)).startswith("alice    pts/0        xxxxxxxxxxxxxxxx Fri")


def test_missing_columns() -> None:
    """A column that is NULL is shown as empty."""
    assert show(line(tty=None, host=None)) == "alice                                  Fri Mar  1 12:00 - 13:00  (01:00)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, " (00:00)"),
        (59, " (00:00)"),
        (3540, " (00:59)"),
        (86399, " (23:59)"),
        (86400, "(1+00:00)"),
        (8_640_000, "(100+00:00)"),
        (-1, " (-00:00)"),
        (-59 * 60, " (-00:59)"),
        (-2 * 3600 - 1800, " (-2:30)"),
        (-2 * 86400 + 3600, "(-1+23:00)"),
        (-172800 - 7740, "(-2+02:09)"),
    ],
)
def test_lengths(seconds: int, text: str) -> None:
    """Lengths are cut to minutes, also when they are negative or of many days."""
    assert times.length(seconds) == text
    assert show(line(NOON + seconds * SECOND)).endswith(f"{text}")


@given(st.integers(-(2**62), 2**63 - 1), st.integers(-(2**62), 2**63 - 1))
def test_quick_way(login: int, end: int) -> None:
    """The usual listing, which works by tables, gives the same bytes as the way all other listings are made, for all times."""
    listing, shown = TextListing(Style()), line(end, login=login)
    assert listing.render([shown]) == listing._any(shown).encode()


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Africa/Monrovia", "<+0523>-5:23"]
)
def test_quick_way_in_zones(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same holds in zones with odd offsets, around changes of the clock, and before 1900."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    listing = TextListing(Style())
    for start in (-3_000_000_000, 60_000_000, 1_711_846_800, 1_729_990_800, 1_728_140_400, 4_200_000_000):
        for second in range(start - 7200, start + 7200, 97):
            shown = line(second * SECOND + HOUR // 3, login=second * SECOND)
            assert listing.render([shown]) == listing._any(shown).encode()


def test_far_times() -> None:
    """Times beyond 2038, beyond 2106, before 1970 and as far as a row can hold are shown."""
    for year, second in ((2038, 2**31), (2106, 2**32), (1969, -1), (9999, 253_402_300_799)):
        assert f" {year} -" in show(line(second * SECOND, login=second * SECOND), time_format=FULL)
    assert "Jan 10 04:00" in show(line(2**63 - 1, login=2**63 - 1))


def test_control_characters(utf8: bool) -> None:  # noqa: ARG001 - in both locales
    """No control character of a name gets to the terminal, and no newline can forge a line."""
    assert show(line(host=b"a\x1b[2J\nroot\x7f\t")) == "alice    pts/0        a*[[2J*Jroot*?*I     Fri Mar  1 12:00 - 13:00  (01:00)"
    assert show(line(user=b"a\\012b")).startswith("a*Jb      pts/0")


def test_beyond_ascii(utf8: bool) -> None:
    """Characters beyond ASCII are shown where the locale has them, as octal escapes elsewhere; what is no text is always escaped."""
    user = "Zoë".encode()
    assert show(line(user=user)).startswith("Zoë     pts/0" if utf8 else "Zo\\303\\253     pts/0")
    assert show(line(user=b"Zo\xff")).startswith("Zo\\377      pts/0")
    assert show(line(user=b"Zo\\377")).startswith("Zo\\377      pts/0")
    assert show(line(user="a\u0085b\u2028".encode())).startswith("a\\302\\205b\\342\\200\\250")


def test_whole_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cut never leaves half a character."""
    monkeypatch.setattr(printable, "_utf8", [True])
    assert show(line(user="ääääää".encode())).startswith("äää*  pts/0")


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40), st.booleans(), st.booleans())
def test_any_bytes(user: bytes, tty: bytes, host: bytes, full: bool, last: bool) -> None:
    """Whatever bytes stand in a row, it is one line of printable text."""
    shown = show(line(user=user, tty=tty, host=host), full_names=full, host_last=last)
    assert all(char.isprintable() or ord(char) > 127 for char in shown)
    assert len(f"x{shown}x".splitlines()) == 1


def test_trailer() -> None:
    """The last line says when the history begins; its form follows the format of times."""
    assert trailer(b"wtmp.db", NOON, SHORT) == b"wtmp.db begins Fri Mar  1 12:00:00 2024\n"
    assert trailer(b"w\n", NOON, ISO) == b"w*J begins 2024-03-01T12:00:00+00:00\n"


@pytest.mark.parametrize(("zone", "text"), [("<-0030>0:30", "+00:30"), ("<+0530>-5:30", "+05:30"), ("<-1130>11:30", "-11:30"), ("UTC", "+00:00")])
def test_offsets(zone: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offsets of ISO times are as `last` prints them, which loses the sign of half an hour."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    assert times.iso(NOON // SECOND).endswith(text)


def test_locale_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """The locale is the one that the program was started with, not the one that Python chose instead of C."""
    monkeypatch.setattr(printable, "_utf8", [])
    monkeypatch.setattr(printable, "_first_environment", lambda: {"LANG": "C.UTF-8", "LC_ALL": "C"})
    assert printable.printable("ë".encode()) == "\\303\\253"
    monkeypatch.setattr(printable, "_utf8", [])
    monkeypatch.setattr(printable, "_first_environment", lambda: {"LANG": "C", "LC_CTYPE": "C.UTF-8"})
    assert printable.printable("ë".encode()) == "ë"
    monkeypatch.setattr(printable, "_utf8", [])
    monkeypatch.setattr(printable, "_first_environment", lambda: {"LANG": "no_SUCH.UTF-8"})
    assert printable.printable("ë".encode()) == "\\303\\253"
    assert printable._first_environment.__name__ == "<lambda>"
    monkeypatch.undo()
    assert printable._first_environment().keys() <= os.environ.keys() | {"_"}
