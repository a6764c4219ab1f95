# SPDX-License-Identifier: BSD-2-Clause
"""The scanner of command lines, and the same words given to the `last` of util-linux."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wtmpdb.cli.options import Option, UsageError, describe, scan
from wtmpdb.timespec import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

LAST = "/usr/bin/last"
OPTIONS = (
    Option("limit", "n", "limit", "number", "show at most so many lines"),
    Option("help", "h", "help", "", "say this"),
    Option("file", "f", "file", "path", "read this file"),
    Option("nohostname", "R", "nohostname", "", "leave the host out"),
    Option("version", "V", "version", "", "say which version this is"),
    Option("hostlast", "a", "hostlast", "", "show the host in the last column"),
    Option("since", "s", "since", "time", "show what came after"),
    Option("until", "t", "until", "time", "show what came before"),
    Option("present", "p", "present", "time", "show who was there"),
    Option("system", "x", "system", "", "show the system's entries too"),
    Option("dns", "d", "dns", "", "show names for addresses"),
    Option("ip", "i", "ip", "", "show addresses"),
    Option("fulltimes", "F", "fulltimes", "", "show whole times and dates"),
    Option("fullnames", "w", "fullnames", "", "show names in full"),
    Option("time-format", "", "time-format", "format", "show times as notime, short, full or iso"),
)


@pytest.fixture(autouse=True)
def _no_posix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSIXLY_CORRECT", raising=False)


def found(line: str, options: Sequence[Option] = OPTIONS) -> list[tuple[str, str]]:
    """Return all that is found in a line of words."""
    return list(scan(line.split(), options, numbers=True))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ("-xa", [("system", ""), ("hostlast", "")]),
        ("-xan5", [("system", ""), ("hostlast", ""), ("limit", "5")]),
        ("-n5x", [("limit", "5x")]),
        ("-n 5 -x", [("limit", "5"), ("system", "")]),
        ("-n=5", [("limit", "=5")]),
        ("-s -5min", [("since", "-5min")]),
        ("-f -- -x", [("file", "--"), ("system", "")]),
        ("--limit=5 --limit 6", [("limit", "5"), ("limit", "6")]),
        ("--limit= --since=a=b", [("limit", ""), ("since", "a=b")]),
        ("--since --until", [("since", "--until")]),
        ("--lim 5 --ho --fulln --p=now", [("limit", "5"), ("hostlast", ""), ("fullnames", ""), ("present", "now")]),
        ("--time-format iso", [("time-format", "iso")]),
        ("alice -x tty1 -n 5 bob", [("", "alice"), ("system", ""), ("", "tty1"), ("limit", "5"), ("", "bob")]),
        ("-x -- -a --dns -- -5", [("system", ""), ("", "-a"), ("", "--dns"), ("", "--"), ("", "-5")]),
        ("- -x -", [("", "-"), ("system", ""), ("", "-")]),
        ("-25", [("number", "25")]),
        ("-1R2", [("number", "1"), ("nohostname", ""), ("number", "2")]),
        ("-1 -2", [("number", "1"), ("number", "2")]),
        ("-x025n7", [("system", ""), ("number", "025"), ("limit", "7")]),
        ("reboot -12", [("", "reboot"), ("number", "12")]),
    ],
)
def test_found(line: str, expected: list[tuple[str, str]]) -> None:
    """Options, arguments, numbers and operands are found as GNU getopt_long finds them."""
    assert found(line) == expected


def test_empty_words() -> None:
    """An empty word is an operand, or the argument of the option before it."""
    assert list(scan(["", "-n", "", "--file", ""], OPTIONS)) == [("", ""), ("limit", ""), ("file", "")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-Z", "invalid option -- 'Z'"),
        ("-aZ", "invalid option -- 'Z'"),
        ("-a-", "invalid option -- '-'"),
        ("-:", "invalid option -- ':'"),
        ("-٣", "invalid option -- '٣'"),
        ("--bogus", "unrecognized option '--bogus'"),
        ("--bogus=3", "unrecognized option '--bogus=3'"),
        ("---", "unrecognized option '---'"),
        ("--DNS", "unrecognized option '--DNS'"),
        ("--time-format", "option '--time-format' requires an argument"),
        ("--time", "option '--time-format' requires an argument"),
        ("-f", "option requires an argument -- 'f'"),
        ("-xf", "option requires an argument -- 'f'"),
        ("--dns=3", "option '--dns' doesn't allow an argument"),
        ("--dn=", "option '--dns' doesn't allow an argument"),
        ("--f", "option '--f' is ambiguous; possibilities: '--file' '--fulltimes' '--fullnames'"),
        ("--full=3", "option '--full=3' is ambiguous; possibilities: '--fulltimes' '--fullnames'"),
        ("--s", "option '--s' is ambiguous; possibilities: '--since' '--system'"),
        ("--h", "option '--h' is ambiguous; possibilities: '--help' '--hostlast'"),
    ],
)
def test_messages(line: str, message: str) -> None:
    """A bad word is reported in getopt's own words."""
    with pytest.raises(UsageError) as caught:
        found(line)
    assert str(caught.value) == message


def test_lazy() -> None:
    """What stands before a bad word is handed out before the word is looked at."""
    words = scan(["--version", "-aZ", "--bad"], OPTIONS)
    assert next(words) == ("version", "")
    assert next(words) == ("hostlast", "")
    with pytest.raises(UsageError, match="invalid option -- 'Z'"):
        next(words)


def test_exact_name_wins() -> None:
    """A long name in full is never an abbreviation of another."""
    options = (Option("host-list", "", "host-list", "", ""), Option("host", "", "host", "name", ""))
    assert found("--host=a --host-l", options) == [("host", "a"), ("host-list", "")]


def test_exact_options_take_no_abbreviation_away() -> None:
    """An exact option is found by its whole name only, and makes no abbreviation of another ambiguous."""
    options = (*OPTIONS, Option("line", "", "line", "", "", exact=True))
    assert list(scan(["--line", "--l", "1", "--li=2"], options)) == [("line", ""), ("limit", "1"), ("limit", "2")]
    with pytest.raises(UsageError, match="unrecognized option '--lin'"):
        list(scan(["--lin"], options))


def test_spellings_of_one_option() -> None:
    """Two names of one option are not ambiguous, but with a third option all are named."""
    same = (Option("wide", "w", "fullnames", "", ""), Option("wide", "", "fullwidth", "", ""))
    assert found("--full -w", same) == [("wide", ""), ("wide", "")]
    with pytest.raises(UsageError, match="possibilities: '--fullnames' '--fulltimes'"):
        found("--full", (*same, Option("fulltimes", "F", "fulltimes", "", "")))


def test_options_without_a_name() -> None:
    """An option without a long name is no candidate for an abbreviation, one without a short name no letter."""
    options = (Option("j", "j", "", "", ""), Option("json", "", "json", "", ""))
    assert found("--j -j", options) == [("json", ""), ("j", "")]


def test_numbers_are_asked_for() -> None:
    """Digits are options only where the caller says so."""
    with pytest.raises(UsageError, match="invalid option -- '2'"):
        list(scan(["-25"], OPTIONS))


@pytest.mark.parametrize("value", ["", "1"])
def test_posixly_correct(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """With POSIXLY_CORRECT the first operand ends the options, and a later "--" is an operand."""
    monkeypatch.setenv("POSIXLY_CORRECT", value)
    assert found("-x alice -a -- --bad") == [("system", ""), ("", "alice"), ("", "-a"), ("", "--"), ("", "--bad")]
    assert found("-x -- alice") == [("system", ""), ("", "alice")]


@given(st.lists(st.text(st.characters())))
def test_any_words(words: list[str]) -> None:
    """Any words at all give names that are in the table, or a UsageError."""
    names = {option.name for option in OPTIONS} | {"", "number"}
    with contextlib.suppress(UsageError):
        assert {name for name, _ in scan(words, OPTIONS, numbers=True)} <= names


@given(st.lists(st.text(st.characters()).filter(lambda word: not word.startswith("-"))), st.lists(st.text()))
def test_operands_are_kept(before: list[str], after: list[str]) -> None:
    """Words that begin with no dash, and all words behind "--", come out unchanged and in order."""
    assert list(scan([*before, "--", *after], OPTIONS)) == [("", word) for word in (*before, *after)]


def test_describe() -> None:
    """The help text has a line for each option, in columns."""
    options = (*OPTIONS[:2], OPTIONS[-1], Option("j", "j", "", "file", "write JSON"))
    assert describe(options, number="the same as -n") == (
        " -<number>                   the same as -n\n"
        " -n, --limit <number>        show at most so many lines\n"
        " -h, --help                  say this\n"
        "     --time-format <format>  show times as notime, short, full or iso\n"
        " -j <file>                   write JSON\n"
    )
    assert describe(()) == ""


# The installed `last`, as a black box: what does it say to the same words?

VALUES = ("now", "5", "-5min", "abc", "iso", "", "-", "--", "-x", "/dev/null", "2012-09-22 16:34")
NAMES = [name[:end] for option in OPTIONS for name in (option.long,) for end in range(len(name) + 1)]

letters = st.text("nhfRVaptsxdiFw0123456789xaRdi-Z:=", min_size=1, max_size=4)
longs = st.tuples(st.sampled_from((*NAMES, "bogus", "-", "DNS")), st.sampled_from(("", *(f"={v}" for v in VALUES))))
word_lists = st.lists(
    st.one_of(letters.map("-{}".format), longs.map("--{0[0]}{0[1]}".format), st.sampled_from((*VALUES, "alice"))),
    max_size=6,
)


def version() -> tuple[int, ...]:
    """Return the version of the `last` of util-linux that is installed, or ()."""
    if not Path(LAST).exists():
        return ()
    said = subprocess.run([LAST, "--version"], capture_output=True, text=True, check=False).stdout
    _, _, number = said.strip().partition(" from util-linux ")
    return tuple(int(part) for part in number.split(".") if part.isdigit())


VERSION = version()
TABLE = (
    *OPTIONS[:-1],
    *((Option("tab-separated", "T", "tab-separated", "", ""),) if VERSION >= (2, 40) else ()),
    OPTIONS[-1],
)


def complaint(words: list[str]) -> str | None:
    """Return the scanner's complaint, "value" for a value that `last` cannot use, None when all is well."""
    files, seen = [], set()
    try:
        for name, value in scan(words, TABLE, numbers=True):
            if name in ("help", "version"):
                return None
            if not usable(name, value):
                return "value"
            if name == "file":
                files.append(value)
            seen.add(name)
            if {"fulltimes", "time-format"} <= seen:
                return "value"
    except UsageError as error:
        return str(error)
    return None if all(Path(file).is_file() or file == "/dev/null" for file in files) else "value"


def usable(name: str, value: str) -> bool:
    """Say whether an option of `last` takes this value, out of those that are tried here."""
    if name == "limit":
        signs = ("+", "-") if VERSION < (2, 43) else ("+",)
        return value[value.startswith(signs) :].isdigit()
    if name in ("since", "until", "present"):
        with contextlib.suppress(ValueError):
            return parse(value, int(time.time())) >= 0
        return False
    return name != "time-format" or value in ("notime", "short", "full", "iso")


@pytest.mark.skipif(not VERSION, reason="the last of util-linux is not installed")
@settings(max_examples=400, deadline=None)
@given(word_lists, st.booleans())
@example(["--version", "--bad"], False)
@example(["-n", "abc", "-Z"], False)
@example(["--=x"], False)
@example(["alice", "-Z"], True)
@example(["alice", "--", "-Z"], False)
def test_like_util_linux(words: list[str], posix: bool) -> None:
    """The installed `last` accepts the same words, and says the same of those it does not."""
    environment = {"LC_ALL": "C", "TZ": "UTC"} | ({"POSIXLY_CORRECT": ""} if posix else {})
    with pytest.MonkeyPatch.context() as patch:
        if posix:
            patch.setenv("POSIXLY_CORRECT", "")
        expected = complaint(words)
    command = [LAST, "-f", os.devnull, *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == (expected is not None)
    if expected not in (None, "value"):
        assert ran.stderr.splitlines()[0] == f"{LAST}: {expected}"
