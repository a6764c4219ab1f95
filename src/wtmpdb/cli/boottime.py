# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb boottime`: print when the machine was started."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

EPILOGUE = """
Examples:
  wtmpdb boottime
  wtmpdb boottime --file /backup/wtmp.db
"""


def run(words: Sequence[str], program: str) -> int:
    """Run the command."""
    from argparse import ArgumentParser, RawDescriptionHelpFormatter  # noqa: PLC0415

    from wtmpdb import boot, home  # noqa: PLC0415
    from wtmpdb.entry import SECOND  # noqa: PLC0415
    from wtmpdb.errors import NoLogError  # noqa: PLC0415
    from wtmpdb.listing.times import full  # noqa: PLC0415
    from wtmpdb.log import Log  # noqa: PLC0415

    parser = ArgumentParser(
        prog=program, description="Print when the machine was started.", epilog=EPILOGUE, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("-f", "--file", metavar="FILE", help="read this database")
    file = parser.parse_args(words).file
    try:
        with Log.read(file) if file else home.history() as log:
            began = boot.began(log)
    except NoLogError as error:
        raise NoLogError(str(error), f"no boot has been recorded yet: {boot.TO_RECORD}") from error
    print(f"system boot {full(began // SECOND)}")
    return 0
