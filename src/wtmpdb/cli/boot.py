# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb boot`: record that the machine was started."""

from __future__ import annotations

from wtmpdb.cli.system_events import event_parser, take_letters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SAID = {
    "written": "recorded",
    "adopted": "recorded: the row that the C tool had written was taken over",
    "reopened": "the row of this boot had been closed: opened again",
    "known": "this boot has been recorded before",
}

EPILOGUE = """
wtmpdb-boot.service runs it; it writes one row for each boot, however often it is called.

Examples:
  wtmpdb boot            record this boot
  wtmpdb boot --correct  the clock has been set since: correct the time of the boot
"""


def run(words: Sequence[str], program: str) -> int:
    """Run the command."""
    from wtmpdb import boot  # noqa: PLC0415

    parser = event_parser(program, "Record that the machine was started.", EPILOGUE)
    parser.add_argument("--correct", action="store_true", help="correct the recorded time of this boot by the clock of now")
    wishes = parser.parse_args(words)
    if wishes.correct:
        said = _corrected(boot.correct(wishes.file))
    else:
        said = SAID[boot.begin(wishes.file)]
        take_letters(wishes.file, program)
    if not wishes.quiet:
        print(f"{program}: {said}")
    return 0


def _corrected(moved: int | None) -> str:
    if moved is None:
        return "this boot has not been recorded: nothing to correct"
    return f"the time of this boot was corrected by {moved / 1_000_000:+.1f} s" if moved else "the time of this boot stands"
