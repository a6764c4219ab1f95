# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb doctor`: say what is wrong with the installation, and what to do."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Sequence

    from wtmpdb.doctor.finding import Finding
    from wtmpdb.doctor.session import Tried

EPILOGUE = """
It changes nothing, but for --pam, whose session stays in the history. Exit status: 0 when there is no problem, 1 when there is one.

Examples:
  sudo wtmpdb doctor             is all well? (whoever is not root does not see all)
  sudo wtmpdb doctor --pam       is a login recorded? Opens and closes a session of the service login
  sudo wtmpdb doctor --pam sshd  the same for sshd
  wtmpdb doctor --full           check the whole database
  wtmpdb doctor --json           for a program
"""


def run(words: Sequence[str], program: str) -> int:
    """Run the command."""
    wishes = _parser(program).parse_args(words)

    from wtmpdb.doctor.case import Case  # noqa: PLC0415 - a wrong option is told at once

    case = Case(file=wishes.file, full=wishes.full)
    if wishes.pam is not None:
        from wtmpdb.doctor.session import try_session  # noqa: PLC0415 - only then

        tried = try_session(case, wishes.pam)
        print(_json(tried.findings, tried) if wishes.json else _session(tried, wishes.pam), end="")
        return _exit_code(tried.findings)
    from wtmpdb.doctor.examine import examine  # noqa: PLC0415

    findings = examine(case)
    print(_json(findings) if wishes.json else _text(findings, is_root=case.is_root), end="")
    return _exit_code(findings)


def _parser(program: str) -> ArgumentParser:
    from argparse import ArgumentParser, RawDescriptionHelpFormatter  # noqa: PLC0415

    parser = ArgumentParser(
        prog=program,
        description="Say what is wrong with the installation, and what to do.",
        epilog=EPILOGUE,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("-f", "--file", metavar="FILE", help="look at this database only, not at the installation")
    parser.add_argument("--full", action="store_true", help="check the whole database, on a copy of it, however long that takes")
    parser.add_argument("-j", "--json", action="store_true", help="print a JSON document")
    parser.add_argument(
        "--pam", metavar="SERVICE", nargs="?", const="login", help="open and close a session of this PAM service (default login), and show its row"
    )
    return parser


def _exit_code(findings: list[Finding]) -> int:
    from wtmpdb.doctor.finding import PROBLEM  # noqa: PLC0415

    return int(any(finding.state == PROBLEM for finding in findings))


def _text(findings: list[Finding], *, is_root: bool) -> str:
    from wtmpdb.doctor.finding import listing, summary  # noqa: PLC0415

    rest = "" if is_root else "; 'sudo wtmpdb doctor' sees more"
    return f"{listing(findings)}\n{summary(findings)}{rest}\n"


def _session(tried: Tried, service: str) -> str:
    from wtmpdb.doctor.finding import listing  # noqa: PLC0415
    from wtmpdb.doctor.session import TTY, USER  # noqa: PLC0415
    from wtmpdb.listing.text import Style, TextListing  # noqa: PLC0415

    rows = TextListing(Style(service=True, full_names=True)).render(tried.lines).decode("utf-8", "surrogateescape")
    last = f"\n{rows}\nThe row stays in the history.\n" if rows else ""
    return f"A session of {USER} with the service {service}, on the terminal {TTY!r}; no password was asked for.\n\n{listing(tried.findings)}{last}"


def _json(findings: list[Finding], tried: Tried | None = None) -> str:
    from json import dumps, loads  # noqa: PLC0415

    from wtmpdb.doctor.finding import STATES  # noqa: PLC0415

    document: dict[str, object] = {"findings": [finding.as_dict() for finding in findings]}
    document |= {state: sum(finding.state == state for finding in findings) for state in STATES}
    if tried is not None:
        from wtmpdb.listing.machine import object_lines  # noqa: PLC0415
        from wtmpdb.listing.text import ISO  # noqa: PLC0415

        document["entries"] = [loads(line) for chunk in object_lines([tried.lines], ISO) for line in chunk.splitlines()]
    return dumps(document, indent=2) + "\n"
