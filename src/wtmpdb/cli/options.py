# SPDX-License-Identifier: BSD-2-Clause
"""A scanner of command lines that behaves as GNU getopt_long, for `last`, `lastb` and `who`.

What is found is handed out at once, from left to right: ``--help`` acts when it is met,
and a bad value is reported before a bad option that stands behind it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NUMBER = "number"
"""What `scan` calls a number written as an option, such as ``-25``."""

_DIGITS = "0123456789"


class UsageError(Exception):
    """A command line that breaks the rules; the message is getopt's own, without the name of the program."""


class Option:
    """One option. Options of the same ``name`` are spellings of one thing.

    ``short`` and ``long`` are written without dashes and may be empty, ``takes`` is what the argument is called in
    the help text, empty for a flag. The long name of an ``exact`` option cannot be abbreviated: it takes no abbreviation away from another.
    """

    __slots__ = ("exact", "help", "long", "name", "short", "takes")

    def __init__(self, name: str, short: str, long: str, takes: str, help: str, *, exact: bool = False) -> None:  # noqa: A002 - its name
        """Make an option; ``help`` is one line."""
        self.name = name
        self.short = short
        self.long = long
        self.takes = takes
        self.help = help
        self.exact = exact


def scan(words: Sequence[str], options: Sequence[Option], *, numbers: bool = False) -> Iterator[tuple[str, str]]:
    """Yield (name, argument or "") for each option, ("", operand) for each operand and, if asked, (NUMBER, digits).

    Raises UsageError when the bad word is reached. As for GNU getopt, operands may stand anywhere unless
    POSIXLY_CORRECT is in the environment.
    """
    rest = iter(words)
    for word in rest:
        if word == "--":
            break
        if word.startswith("--"):
            yield _long(word, options, rest)
        elif word.startswith("-") and word != "-":
            yield from _bundle(word, options, rest, numbers=numbers)
        else:
            yield "", word
            if "POSIXLY_CORRECT" in os.environ:
                break
    for word in rest:
        yield "", word


def describe(options: Sequence[Option], *, number: str = "") -> str:
    """Return a line for each option, in columns, for a help text; ``number`` is the help of numbers as options."""
    rows = [(_spelling(option), option.help) for option in options]
    if number:
        rows.insert(0, (" -<number>", number))
    width = max((len(left) for left, _ in rows), default=0)
    return "".join(f"{left:{width}}  {text}\n" for left, text in rows)


def _long(word: str, options: Sequence[Option], rest: Iterator[str]) -> tuple[str, str]:
    given, equals, value = word[2:].partition("=")
    option = _named(given, word, options)
    if not equals and option.takes:
        return option.name, _next(rest, f"option '--{option.long}' requires an argument")
    if equals and not option.takes:
        raise UsageError(f"option '--{option.long}' doesn't allow an argument")
    return option.name, value


def _named(given: str, word: str, options: Sequence[Option]) -> Option:
    """Return the option whose long name is, or alone begins with, ``given``."""
    found = [option for option in options if option.long and option.long.startswith(given) and (option.long == given or not option.exact)]
    for option in found:
        if option.long == given:
            return option
    if not found:
        raise UsageError(f"unrecognized option '{word}'")
    others = [option for option in found if option.name != found[0].name]
    if others:
        names = " ".join(f"'--{option.long}'" for option in (found[0], *others))
        raise UsageError(f"option '{word}' is ambiguous; possibilities: {names}")
    return found[0]


def _bundle(word: str, options: Sequence[Option], rest: Iterator[str], *, numbers: bool) -> Iterator[tuple[str, str]]:
    """Yield the options of a word such as ``-xan5``."""
    at = 1
    while at < len(word):
        start, letter = at, word[at]
        at += 1
        if numbers and letter in _DIGITS:
            while at < len(word) and word[at] in _DIGITS:
                at += 1
            yield NUMBER, word[start:at]
            continue
        option = next((option for option in options if option.short == letter), None)
        if option is None:
            raise UsageError(f"invalid option -- '{letter}'")
        if option.takes:
            yield option.name, word[at:] or _next(rest, f"option requires an argument -- '{letter}'")
            return
        yield option.name, ""


def _next(rest: Iterator[str], complaint: str) -> str:
    word = next(rest, None)
    if word is None:
        raise UsageError(complaint)
    return word


def _spelling(option: Option) -> str:
    names = [dash + name for dash, name in (("-", option.short), ("--", option.long)) if name]
    takes = f" <{option.takes}>" if option.takes else ""
    return (" " if option.short else " " * 5) + ", ".join(names) + takes
