# SPDX-License-Identifier: BSD-2-Clause
"""Finding: what a check has to say. No I/O."""

from __future__ import annotations

from wtmpdb.text import store

OK, NOTE, PROBLEM = "ok", "note", "problem"
STATES = (OK, NOTE, PROBLEM)


class Finding:
    """What a check has found: its name, a state, one line that says what, and one that says what to do, the very command where there is one.

    Names of files and words of the system come in here: what a terminal would obey is escaped as in the history (`wtmpdb.text.store`).
    """

    __slots__ = ("check", "hint", "state", "what")

    def __init__(self, check: str, state: str, what: str, hint: str = "") -> None:
        """Keep the four; ``state`` is one of STATES."""
        self.check = check
        self.state = state
        self.what = _line(what)
        self.hint = _line(hint)

    def __repr__(self) -> str:
        """Show it as it is listed."""
        return f"<{self.state} {self.check}: {self.what}{f' ({self.hint})' if self.hint else ''}>"

    def as_dict(self) -> dict[str, str]:
        """Return it for JSON."""
        return {"check": self.check, "state": self.state, "what": self.what, "hint": self.hint}


def ok(check: str, what: str) -> Finding:
    """Say that all is well."""
    return Finding(check, OK, what)


def note(check: str, what: str, hint: str = "") -> Finding:
    """Say something that is good to know, and is no fault."""
    return Finding(check, NOTE, what, hint)


def problem(check: str, what: str, hint: str = "") -> Finding:
    """Say what is wrong."""
    return Finding(check, PROBLEM, what, hint)


def summary(findings: list[Finding]) -> str:
    """Return how many findings there are of each state, in a line."""
    counts = {state: sum(finding.state == state for finding in findings) for state in STATES}
    return ", ".join((f"{counts[OK]} ok", counted(counts[NOTE], "note"), counted(counts[PROBLEM], "problem")))


def listing(findings: list[Finding]) -> str:
    """Return the findings as lines, in columns."""
    width = max((len(finding.check) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:7}  {finding.check:{width}}  {finding.what}\n")
        if finding.hint:
            lines.append(f"    do: {finding.hint}\n")
    return "".join(lines)


def span(seconds: float) -> str:
    """Return a length of time as a human says it: ``50 s``, ``12 min``, ``3 h``, ``4 days``."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def counted(number: int, what: str) -> str:
    """Return ``1 letter``, ``2 letters``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def _line(text: str) -> str:
    return store(text.encode("utf-8", "surrogateescape"))
