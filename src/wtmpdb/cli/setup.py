# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb setup`: put PAM, units and directories in place, or take them out again."""

from __future__ import annotations

import os
from argparse import ArgumentParser, BooleanOptionalAction, RawDescriptionHelpFormatter
from typing import TYPE_CHECKING

from wtmpdb.errors import WtmpdbError
from wtmpdb.installation import program, setup, tree
from wtmpdb.installation.ledger import OPTIONS
from wtmpdb.log import DATABASE
from wtmpdb.recorder.access import OTHERS

if TYPE_CHECKING:
    from collections.abc import Sequence

EPILOGUE = """
install.sh runs it. What an option has said once is remembered: later runs, also of install.sh, keep to it until the opposite is said.

Examples:
  wtmpdb setup --dry-run      show what is missing, or what would be changed
  wtmpdb setup --private      only root and the group utmp may read the history
  wtmpdb setup --recorder     each login is seen within milliseconds; programs can ask the recorder
  wtmpdb setup --exporter     metrics for Prometheus at 127.0.0.1:20380
  wtmpdb setup --private --recorder --others own
                              the same, but users see their own sessions and the boots
  wtmpdb setup --last         make 'last', 'lastb' and 'who' names of ours
  wtmpdb setup --root /mnt    in a tree that is not running, such as an image
  wtmpdb setup --undo         take everything out again; the history stays
"""

_HELP = {
    "pam": "let PAM call our module (default: yes)",
    "failures": "record failed logins, too (default: yes)",
    "systemd": "install and start the units (default: yes)",
    "import": "bring what /var/log/wtmp* and btmp* tell into the history, once (default: yes)",
    "private": "let only root and the group utmp read the history (default: no)",
    "all_sessions": "record cron and other sessions that are not interactive, too (default: no)",
    "exporter": "serve metrics to Prometheus (default: no)",
    "recorder": "let the recorder stay, so that logins are seen at once (default: no)",
    "last": "make links beside wtmpdb, so that 'last', 'lastb' and 'who' are ours (default: no)",
}


def run(words: Sequence[str], program_name: str) -> int:
    """Run the command."""
    parser = ArgumentParser(
        prog=program_name,
        description="Put the PAM line, the units and the directories of wtmpdb in place, or take them out again. A second run changes nothing.",
        epilog=EPILOGUE,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--root", metavar="DIR", default="/", help="work on the tree at DIR, which is not running")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    for name, text in _HELP.items():
        parser.add_argument(f"--{name.replace('_', '-')}", action=BooleanOptionalAction, help=text)
    parser.add_argument("--others", choices=OTHERS, help="what the recorder shows who may not read a private history (default: own)")
    parser.add_argument("--undo", action="store_true", help="take out what setup put in place, and the program; the history stays")
    parser.add_argument("--purge", action="store_true", help="with --undo: remove the history too")
    wishes = parser.parse_args(words)
    asked = {name: getattr(wishes, name) for name in OPTIONS}
    if wishes.purge and not wishes.undo:
        parser.error("--purge goes with --undo")
    if wishes.systemd is False and (wishes.recorder or wishes.exporter):
        parser.error("--recorder and --exporter are services of systemd: they do not go with --no-systemd")
    if wishes.undo and any(value is not None for value in (*asked.values(), wishes.others)):
        parser.error("--undo undoes all: it goes with no other option but --root, --dry-run and --purge")
    if os.geteuid() != 0 and not (wishes.dry_run and wishes.root == "/" and not wishes.undo):
        raise WtmpdbError("must be run as root", f"sudo {program_name}")
    if not wishes.root:
        parser.error("--root: which directory?")
    top = program.prefix()
    root = os.path.realpath(wishes.root)
    if root != "/":
        return tree.enter(root, top, _without_root(words), undo=wishes.undo, dry=wishes.dry_run)
    dry = wishes.dry_run
    made = setup.undo("/", top, purge=wishes.purge, dry=dry) if wishes.undo else setup.set_up("/", top, asked, others=wishes.others, dry=dry)
    print(f"{program_name}: {_summary(made, undone=wishes.undo, dry=wishes.dry_run)}")
    return 0


def _without_root(words: Sequence[str]) -> list[str]:
    """Return the words without --root, for the setup in the tree."""
    left = list(words)
    while "--root" in left:
        place = left.index("--root")
        del left[place : place + 2]
    return [word for word in left if not word.startswith("--root=")]


def _summary(made: int, *, undone: bool, dry: bool) -> str:
    if not made:
        return "nothing to undo" if undone else "nothing to do: everything is in place"
    if dry:
        return "nothing was changed"
    if undone:
        return "done: everything was taken out"
    return "done: 'wtmpdb last' shows the history" if os.path.exists(DATABASE) else "done: the history begins with the next boot"
