# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb recorder`: move what logins left in the spool into the history."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EPILOGUE = """
Without an option it serves the socket that the PAM module pokes, and ends when nothing has come for some seconds: wtmpdb-recorder.service runs
it so. With --resident it stays: so it is run after 'wtmpdb setup --recorder'.

Examples:
  wtmpdb recorder --once  take what waits now, and say what it was
  wtmpdb recorder --once --spool /mnt/var/lib/wtmpdb/spool --file /mnt/var/lib/wtmpdb/wtmp.db
                          the same for a system that is mounted there
"""


def run(words: Sequence[str], program: str) -> int:
    """Run the command."""
    if list(words) == ["--resident"]:  # as its unit runs it: without argparse, which would stay in memory
        return _resident()
    from argparse import ArgumentParser, RawDescriptionHelpFormatter  # noqa: PLC0415 - the command is on the hot path only as a service

    from wtmpdb.spool import SPOOL  # noqa: PLC0415

    parser = ArgumentParser(
        prog=program,
        description="Move what logins left in the spool into the history.",
        epilog=EPILOGUE,
        formatter_class=RawDescriptionHelpFormatter,
    )
    manners = parser.add_mutually_exclusive_group()
    manners.add_argument("--once", action="store_true", help="drain the spool once and end")
    manners.add_argument("--resident", action="store_true", help="stay, and take each letter within milliseconds, until SIGTERM")
    parser.add_argument("-f", "--file", metavar="FILE", help="write into this database")
    parser.add_argument("--spool", metavar="DIR", default=SPOOL, help=f"the spool (default {SPOOL})")
    wishes = parser.parse_args(words)
    if wishes.resident:
        return _resident(wishes.file, wishes.spool)
    if not wishes.once:
        from wtmpdb.recorder.service import serve  # noqa: PLC0415

        return serve(wishes.file, wishes.spool)
    return _once(wishes.file, wishes.spool, program)


def _once(database: str | None, spool: str, program: str) -> int:
    """Take sessions and failed logins; what is wrong with the one does not keep the other from being taken."""
    from wtmpdb.errors import WtmpdbError, complain  # noqa: PLC0415
    from wtmpdb.recorder.drain import drain  # noqa: PLC0415
    from wtmpdb.recorder.failures import Failures  # noqa: PLC0415
    from wtmpdb.recorder.pulse import beat  # noqa: PLC0415

    takes: tuple[Callable[[], object], ...] = (lambda: drain(database, spool, wait=10.0), Failures(spool).take)
    said: list[str] = []
    code = 0
    for take in takes:
        try:
            said.append(str(take()))
        except WtmpdbError as error:
            complain(f"{program}: {error}", error.hint)
            code = 1
    beat(spool)
    if said:
        print(", ".join(filter(None, said)))
    return code


def _resident(database: str | None = None, *spool: str) -> int:
    from wtmpdb.recorder.server import serve  # noqa: PLC0415

    return serve(database, *spool)
