# SPDX-License-Identifier: BSD-2-Clause
"""Points in time as people type them."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtmpdb.timespec import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = 1_709_294_400  # 2024-03-01 12:00:00 UTC, a Friday
SECOND = 1_000_000
TABLE = Path(__file__).parent / "data" / "timeargs.tsv"
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Australia/Lord_Howe")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
UNITS = {
    **dict.fromkeys(("us", "usec"), 1),
    **dict.fromkeys(("ms", "msec"), 1000),
    **dict.fromkeys(("s", "sec", "second", "seconds"), SECOND),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60 * SECOND),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600 * SECOND),
    **dict.fromkeys(("d", "day", "days"), 86_400 * SECOND),
    **dict.fromkeys(("w", "week", "weeks"), 604_800 * SECOND),
    **dict.fromkeys(("month", "months"), 2_629_800 * SECOND),
    **dict.fromkeys(("y", "year", "years"), 31_557_600 * SECOND),
}
PIECES = (
    *("+", "-", "@", " ", "  ", "\t", ":", ".", ",", "T", "\0", "\udc80", "٣", "²", "1", "07", "59", "61", "1.5", "h"),
    *(" ago", "now", "today", "Fri ", "2012-09-22", "16:34:22", "99999999999999999999", "month", "min", "us", "y"),
)

seconds = st.integers(0, 2**33)
components = st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(sorted(UNITS))), min_size=1, max_size=6)
blanks = st.text(" \t\n\r", max_size=2)


@contextlib.contextmanager
def zone(name: str) -> Iterator[None]:
    """Make ``name`` the local time zone, for a while."""
    if not (Path("/usr/share/zoneinfo") / name).exists():
        pytest.skip(f"no time zone {name} on this machine")
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


def outcome(text: str, now: int) -> str:
    """Return what the table would say."""
    try:
        return str(parse(text, now))
    except ValueError:
        return "ERR"


def rows(name: str) -> list[list[str]]:
    """Return the rows of the table for one time zone: zone, now, argument, results of three versions."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if line.startswith(f"{name}\t")]


@pytest.mark.parametrize(
    ("name", "count"),
    [("UTC", 260), ("America/New_York", 202), ("Europe/Berlin", 202), ("Asia/Kolkata", 202)],
)
def test_table(name: str, count: int) -> None:
    """Each of the 866 arguments tried on util-linux gives the newest version's result."""
    table = rows(name)
    with zone(name):
        got = [(text, outcome(text.replace("\\t", "\t"), int(now))) for _, now, text, *_ in table]
    assert got == [(row[2], row[-1]) for row in table]
    assert len(table) == count


@given(st.one_of(st.text(st.characters()), st.lists(st.sampled_from(PIECES), max_size=8).map("".join)))
def test_any_text(text: str) -> None:
    """Any text at all is an unsigned 64-bit number or a ValueError."""
    with contextlib.suppress(ValueError):
        assert 0 <= parse(text, NOW) < 2**64


@pytest.mark.parametrize(
    "text",
    [
        *(sign + digit * 100_000 + unit for sign in "+-@ " for digit in "09" for unit in ("", "s")),
        *(f"+1.{digit * 100_000}s" for digit in "09"),
        *(sign * 100_000 for sign in "+-@ \t:\0\udc80"),
        *(" " * 100_000 + rest for rest in ("x", "2012-09-22 10:00x", " ago")),
        "10:00:00." + "0" * 100_000,
        "x" * 100_000 + " 10:00",
        "+" + "1sx" * 33_333,
        "+" + "9999y" * 20_000,
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_long_text(text: str) -> None:
    """A very long argument is rejected."""
    with pytest.raises(ValueError, match=r"."):
        parse(text, NOW)


def test_long_span() -> None:
    """A span may have as many components as it likes."""
    assert parse("+" + "1s " * 33_333, NOW) == (NOW + 33_333) * SECOND


@pytest.mark.parametrize("text", ["٢٠١٢-09-22", "+٣s", "@٣", "+5²s", "٢٣:00", "+.٣s", "10:00:00.٣", "Fr\u0131 10:00"])
def test_other_scripts(text: str) -> None:
    """Only the ten ASCII digits are digits, and only ASCII letters make the names of days."""
    with pytest.raises(ValueError, match=r"."):
        parse(text, NOW)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("noon", "not a known form"),
        ("", "not a known form"),
        ("Thu 2024-03-01", "another day of the week"),
        ("+", "missing"),
        ("+h", "needs a number"),
        ("+.h", "needs a number"),
        ("+1.h", "needs a number"),
        ("+5", "needs a unit"),
        ("-60years", "before 1970"),
        ("+600000years", "out of range"),
        ("@18446744073710", "out of range"),
        ("@-9223372036855", "out of range"),
        ("@-1", "last second of 1969"),
        ("@1.2345678", "up to six decimals"),
    ],
)
def test_reasons(text: str, reason: str) -> None:
    """The ValueError says what is wrong."""
    with pytest.raises(ValueError, match=reason):
        parse(text, NOW)


@pytest.mark.parametrize("now", [2**62, -(2**62), 2**80])
@pytest.mark.parametrize("text", ["now", "today", "10:00", "+1s", "-1s"])
def test_impossible_now(text: str, now: int) -> None:
    """A clock that the C library cannot work with is a ValueError too."""
    with pytest.raises(ValueError, match=r"."):
        parse(text, now)


@given(
    seconds,
    st.integers(0, 999_999),
    st.sampled_from(ZONES),
    st.sampled_from(("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y%m%d%H%M%S", "%H:%M:%S")),
    st.sampled_from(".,"),
)
def test_round_trip(moment: int, micro: int, name: str, form: str, point: str) -> None:
    """A local time in full is read back as the same local time, to the microsecond."""
    with zone(name):
        text = time.strftime(form, time.localtime(moment))
        read = parse(f"{text}{point}{micro:06}", moment)
        assert read % SECOND == micro
        again = time.localtime(read // SECOND)
        assert again[:6] == time.localtime(moment)[:6]
        if again.tm_isdst == time.localtime(moment).tm_isdst:
            assert read // SECOND == moment


@given(
    st.integers(172_800, 3_092_688_000),  # two digits for a year reach to 2068
    st.sampled_from(ZONES),
    st.sampled_from((("%y-%m-%d %H:%M", 5), ("%Y-%m-%d %H:%M", 5), ("%y-%m-%d", 3), ("%Y-%m-%d", 3), ("%H:%M", 5))),
)
def test_missing_parts(moment: int, name: str, form: tuple[str, int]) -> None:
    """What a form does not name is zero, and the date is today's."""
    with zone(name):
        local = time.localtime(moment)
        read = time.localtime(parse(time.strftime(form[0], local), moment) // SECOND)
        assert read[:6] == (*local[: form[1]], 0, 0, 0)[:6]


@given(seconds, st.sampled_from(ZONES), st.sampled_from(range(7)), st.booleans())
def test_weekday(moment: int, name: str, weekday: int, short: bool) -> None:
    """The name of a day before a time is a check of the date."""
    word = WEEKDAYS[weekday][: 3 if short else None]
    with zone(name):
        text = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
        accepted = outcome(f"{word.upper()} {text}", NOW)
        assert (accepted != "ERR") == (time.localtime(moment).tm_wday == weekday)


@given(st.integers(631_152_000, 2**33), st.sampled_from(ZONES))  # no midnight of theirs comes twice since 1990
def test_days(now: int, name: str) -> None:
    """Yesterday, today and tomorrow begin at midnight of three days on end, in local time."""
    with zone(name):
        yesterday, today, tomorrow = (parse(word, now) for word in ("yesterday", "today", "tomorrow"))
        assert parse(time.strftime("%Y-%m-%d", time.localtime(now)), now) == today
        assert today <= now * SECOND < tomorrow
        assert yesterday <= today  # Apia had no 30th December 2011


@given(components, blanks, blanks)
def test_spans_add_up(parts: list[tuple[int, str]], before: str, between: str) -> None:
    """The components of a span are added, with any blanks around them."""
    span = before + between.join(f"{count}{between}{unit}{before}" for count, unit in parts)
    length = sum(count * UNITS[unit] for count, unit in parts)
    assert parse(f"+{span}", NOW) == NOW * SECOND + length
    past = str(NOW * SECOND - length) if length <= NOW * SECOND else "ERR"
    assert outcome(f"-{span}", NOW) == outcome(f"{span} ago", NOW) == past


@given(st.integers(0, 999), st.integers(0, 999_999), st.sampled_from(sorted(UNITS)))
def test_fractions(whole: int, millionths: int, unit: str) -> None:
    """A number may have a fraction; what is below a microsecond is dropped."""
    length = (whole * SECOND + millionths) * UNITS[unit] // SECOND
    assert parse(f"+{whole}.{millionths:06}{unit}", NOW) == NOW * SECOND + length


@given(st.integers(-(2**63) // SECOND + 1, 2**64 // SECOND - 1).filter(lambda value: value != -1))
def test_epoch(value: int) -> None:
    """Seconds since the epoch are taken as they are; before 1970 they wrap around at 2^64 µs."""
    assert parse(f"@{value}", NOW) == value * SECOND % 2**64
