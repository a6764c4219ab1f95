# SPDX-License-Identifier: BSD-2-Clause
"""What `boot` and `shutdown` share: their options, and taking what waits in the spool."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter


def event_parser(program: str, description: str, epilogue: str) -> ArgumentParser:
    """Return a parser with the options --file and --quiet."""
    parser = ArgumentParser(prog=program, description=description, epilog=epilogue, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("-f", "--file", metavar="FILE", help="write into this database")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing when all is well")
    return parser


def take_letters(database: str | None, program: str) -> None:
    """Drain the spool: it may hold letters of before the machine went down, or of sessions that just ended. A failure is only told."""
    from wtmpdb import spool  # noqa: PLC0415
    from wtmpdb.errors import WtmpdbError, complain  # noqa: PLC0415
    from wtmpdb.recorder.drain import drain  # noqa: PLC0415

    if database is not None or not spool.waiting():
        return
    try:
        drain(timeout=2.0, wait=2.0)
    except WtmpdbError as error:
        complain(f"{program}: {error}", error.hint)
