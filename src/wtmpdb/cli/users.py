# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb users`: the names of all who are on now in one line, as `users` of GNU coreutils prints them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

EPILOGUE = """
Examples:
  wtmpdb users
  wtmpdb users /var/run/utmp
"""


def run(words: Sequence[str], program: str) -> int:
    """Run the command."""
    from argparse import ArgumentParser, RawDescriptionHelpFormatter  # noqa: PLC0415

    from wtmpdb.cli.present import Present  # noqa: PLC0415
    from wtmpdb.legacy.record import USER_PROCESS  # noqa: PLC0415
    from wtmpdb.listing.printable import printable  # noqa: PLC0415

    parser = ArgumentParser(
        prog=program,
        description="Print the names of all who are on now in one line, one for each session.",
        epilog=EPILOGUE,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", nargs="?", help="a database or an old file (utmp, wtmp), instead of this machine")
    path = parser.parse_args(words).file
    with Present(program) as present:
        if path is None:
            present.look()
        else:
            present.open(path)
        names = sorted(record[4].rstrip(b" ") for record in present.records() if record[0] == USER_PROCESS and record[4])
    if names:
        print(" ".join(map(printable, names)))
    return 0
