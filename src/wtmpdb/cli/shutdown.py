# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb shutdown`: record that the machine is being stopped."""

from __future__ import annotations

from wtmpdb.cli.system_events import event_parser, take_letters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

EPILOGUE = """
wtmpdb-boot.service runs it when it is stopped; it closes the row of this boot, no other. Run by hand while the machine goes on it says what is
not so, until 'wtmpdb boot' opens the row again.

Example, for a machine without systemd, in the script that stops it:
  wtmpdb shutdown --quiet
"""


def run(words: Sequence[str], program: str) -> int:
    """Run the command."""
    from wtmpdb import boot  # noqa: PLC0415

    wishes = event_parser(program, "Record that the machine is being stopped.", EPILOGUE).parse_args(words)
    closed = boot.end(wishes.file)
    take_letters(wishes.file, program)
    if not wishes.quiet:
        print(f"{program}: {'recorded' if closed else 'nothing to do: this boot has no open row'}")
    return 0
