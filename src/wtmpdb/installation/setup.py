# SPDX-License-Identifier: BSD-2-Clause
"""Setup and its undoing, in an order in which a kill at any step leaves a machine on which everybody can log in, and a second run mends the rest."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from wtmpdb.errors import WtmpdbError
from wtmpdb.installation import c_tool, history, old_files, pam, program, units
from wtmpdb.installation.changes import Changes
from wtmpdb.installation.found import has_program, inside, security_directory
from wtmpdb.installation.ledger import LOCK, Ledger
from wtmpdb.installation.places import COMPLETIONS, MANUAL, NAMES, PREFIX, PROFILES, PROGRAM, RECORD, SPOOL, STACKS, STATE, TMPFILES, UNITS
from wtmpdb.log import DATABASE, FAILED

if TYPE_CHECKING:
    from collections.abc import Mapping


def set_up(root: str, top: str, asked: Mapping[str, bool | None], *, others: str | None = None, dry: bool = False) -> int:
    """Put everything in place; ``top`` is where the program is, ``asked`` what the caller wants of `ledger.OPTIONS` (None: as before).

    ``others`` is what the recorder shows of a private history to who may not read it (None: as before).

    Returns how many changes were made. Raises WtmpdbError.
    """
    python = program.interpreter()
    program.check(top, python)
    wishes = {name: value for name, value in asked.items() if value is not None}
    ledger = Ledger(root, dry=dry)
    if others and not (ledger.options | wishes)["private"]:
        raise WtmpdbError("--others: everybody may read the history: nothing was changed", "it goes with --private")
    changes = Changes(root, ledger, dry=dry)
    c_tool.adopt(changes)
    if (ledger.options | wishes)["exporter"]:
        program.check_exporter()
    try:
        if not dry:
            _check_writable(root, ledger.options | wishes)
            _begin(changes)
        ledger.options |= wishes
        ledger.save()
        _put(changes, top, python, others)
        _remove_stale(changes)
    finally:
        ledger.unlock()
    return changes.made


def _put(changes: Changes, top: str, python: str, others: str | None) -> None:
    options = changes.ledger.options
    program.put(changes, top, python, names=options["last"])
    history.put(changes)
    changed = options["systemd"] and units.put(changes, top, resident=options["recorder"], exporter=options["exporter"])
    c_tool.share(changes)
    history.modernise(changes)
    history.close(changes, private=options["private"], others=others)
    c_tool.take_over(changes, systemd=options["systemd"], resident=options["recorder"])
    if options["pam"]:
        resident = options["recorder"] and options["systemd"]
        pam.put(changes, top, all_sessions=options["all_sessions"], failures=options["failures"], resident=resident)
    if options["systemd"]:
        units.start(changes, changed=changed, resident=options["recorder"], exporter=options["exporter"])
    if options["import"]:
        old_files.put(changes, failures=options["failures"])


def _remove_stale(changes: Changes) -> None:
    """Remove what an earlier version put there, and what is no longer wanted; what --no-pam and --no-systemd leave alone stays."""
    ours = [MANUAL, COMPLETIONS, os.path.dirname(PROGRAM), *([UNITS] if changes.ledger.options["systemd"] else [])]
    for path in sorted(set(changes.ledger.files) - changes.wanted):
        is_gone = not os.path.lexists(changes.at(path))
        if is_gone or (path.startswith(tuple(f"{directory}/" for directory in ours)) and _is_ours(changes, path)):
            if not is_gone:
                units.retire(changes, path)
            changes.remove(path)


def undo(root: str, top: str, *, purge: bool = False, dry: bool = False) -> int:
    """Take everything out again; return how many changes were made.

    What was edited by others stays as it is. The history stays, unless it is to be purged. Raises WtmpdbError.
    """
    ledger = Ledger(root, dry=dry)
    changes = Changes(root, ledger, dry=dry)
    if os.path.isdir(inside(root, STATE)) and not dry:
        ledger.lock()
    try:
        _sweep(changes)
        whole = pam.remove(changes)
        units.stop(changes)
        history.take_letters(changes)
        if purge:
            history.purge(changes)
        c_tool.give_back(changes)
        history.remove(changes)
        _remove_files(changes, top)
        if not whole:
            raise WtmpdbError("not all could be undone", f"see above; {top} and the PAM module stay")
        _remove_rest(changes, top)
    finally:
        ledger.unlock()
    return changes.made


def _sweep(changes: Changes) -> None:
    """Remove what a setup or an undoing left that was killed."""
    for path in (SPOOL, STATE):
        changes.sweep(path)
    if not changes.dry:
        shutil.rmtree(changes.at(f"{STATE}.new"), ignore_errors=True)


def _remove_files(changes: Changes, top: str) -> None:
    """Remove our files, but for the program itself: it is what an undoing that is cut short goes on with."""
    for path in sorted(changes.ledger.files):
        if not path.startswith((STATE, f"{top}/")) and path != PROGRAM and _is_ours(changes, path):
            changes.remove(path)
    for name in NAMES:  # a link that somebody made by hand, to a program that goes away
        path = os.path.join(os.path.dirname(PROGRAM), name)
        if os.path.islink(changes.at(path)) and os.readlink(changes.at(path)) in ("wtmpdb", PROGRAM):
            changes.remove(path)


def _is_ours(changes: Changes, path: str) -> bool:
    """Tell whether what stands there now is what setup put there: a link may have been replaced by somebody's program."""
    if path == PROGRAM or os.path.basename(path) in NAMES:
        return changes.is_own_link(path) or not os.path.lexists(changes.at(path))
    return not path.endswith(".so")


def _remove_rest(changes: Changes, top: str) -> None:
    if PROGRAM in changes.ledger.files and _is_ours(changes, PROGRAM):
        changes.remove(PROGRAM)
    if top != PREFIX:
        changes.remove(f"{top}/bin/wtmpdb")
    for path in sorted(changes.ledger.directories, reverse=True):
        if path != STATE:
            changes.remove_directory(path)
    if STATE in changes.ledger.directories and _holds_nothing(changes):
        changes.remove_tree(STATE)
    elif not changes.dry:
        changes.ledger.remove()
    for real in (os.path.realpath(changes.at(path)) for path in (DATABASE, FAILED) if os.path.exists(changes.at(path))):
        changes.note(f"the history stays: {real}")
    # Before the program goes: killed after that, nobody would be there to take the lock away.
    changes.ledger.unlock()
    if top == PREFIX:  # made by install.sh, for nothing else
        for path in (f"{top}.new", f"{top}.old", top):  # the first two are left by an install.sh that was killed
            changes.remove_tree(path)


def _holds_nothing(changes: Changes) -> bool:
    """Tell whether nothing but the ledger is in our directory."""
    own = {os.path.basename(RECORD), f"{os.path.basename(RECORD)}.new", os.path.basename(LOCK)}
    return os.path.isdir(changes.at(STATE)) and set(os.listdir(changes.at(STATE))) <= own


def _check_writable(root: str, options: Mapping[str, bool]) -> None:
    """Raise WtmpdbError, before anything is done, when something is on a file system that cannot be written."""
    wanted = [STATE, os.path.dirname(PROGRAM), MANUAL]
    if options["systemd"] and has_program(root, "systemctl"):
        wanted += [UNITS, TMPFILES, "/etc/systemd/system"]
    if options["pam"]:
        wanted += [security_directory(root) or "/", *([STACKS, PROFILES] if has_program(root, "pam-auth-update") else [])]
    for path in wanted:
        there = inside(root, path)
        while not os.path.isdir(there):
            there = os.path.dirname(there)
        if not os.access(there, os.W_OK):
            raise WtmpdbError(f"{there}: read-only, or not to be written by you: nothing was changed")


def _begin(changes: Changes) -> None:
    """Make our directory, so that whoever finds it finds in it that setup made it; see to it that no other setup runs."""
    state = changes.at(STATE)
    new = f"{state}.new"
    shutil.rmtree(new, ignore_errors=True)
    if not os.path.isdir(state) and changes.begin(f"make {STATE}"):
        changes.ledger.directories.append(STATE)
        os.makedirs(new)
        os.chmod(new, 0o755)  # noqa: S103 - whatever the umask: who may read the history is for its own modes to say
        changes.ledger.save(new)
        os.rename(new, state)
    changes.ledger.lock()
