# SPDX-License-Identifier: BSD-2-Clause
"""Beside Debian's packages of the C project's wtmpdb: one file, and each login in it once.

Its PAM profile is turned off together with the turning on of ours (pam.py). Here: its boot service, which would write each boot again, and the
yearly logrotate of its library, which would move the history away with the sessions that are open in it.
"""

from __future__ import annotations

import os
from glob import glob
from typing import TYPE_CHECKING

from wtmpdb.installation.found import has_program, mentions, pam_lines, sshd_records, systemd_runs
from wtmpdb.installation.pam import DISABLED
from wtmpdb.installation.places import C_BOOT_UNIT, C_DAEMON_UNITS, C_DATABASE, C_LOGROTATE, C_MODULE, C_PROFILE, PROFILES, UNITS
from wtmpdb.log import DATABASE

if TYPE_CHECKING:
    from wtmpdb.installation.changes import Changes

MASKED, DAEMON_MASKED = "boot unit masked", "daemon masked"
DIVERTED, LINKED = "logrotate diverted", "database linked"

_UNITS = ("/usr/lib/systemd/system", "/lib/systemd/system")
_ADMINISTRATOR = "/etc/systemd/system"
_LIBRARIES = ("/usr/lib/*/libwtmpdb.so.0", "/usr/lib64/libwtmpdb.so.0", "/usr/lib/libwtmpdb.so.0")
_MASKED = {MASKED: (C_BOOT_UNIT,), DAEMON_MASKED: C_DAEMON_UNITS}
_ASIDE = f"{C_LOGROTATE}.disabled"  # logrotate passes over files of this name


def adopt(changes: Changes) -> None:
    """Take what version 0.1.0, which kept no ledger, did to the C tool for deeds of ours: it is undone with the rest."""
    if not (changes.ledger.is_new and os.path.exists(changes.at(f"{UNITS}/wtmpdb-boot.service"))):
        return
    found = {
        LINKED: _leads_to(changes.at(DATABASE), C_DATABASE),
        MASKED: _is_masked(changes, C_BOOT_UNIT),
        DISABLED: os.path.exists(changes.at(f"{PROFILES}/{C_PROFILE}")) and not pam_lines(changes.root, C_MODULE),
    }
    changes.ledger.deeds += [deed for deed, done in found.items() if done]


def _leads_to(path: str, target: str) -> bool:
    return os.path.islink(path) and os.readlink(path) == target


def share(changes: Changes) -> None:
    """Let both use one file: the one that Debian's sshd and its C tool know."""
    if not (sshd_records(changes.root) or os.path.lexists(changes.at(C_DATABASE))) or _knows_our_path(changes):
        return
    ours, theirs = changes.at(DATABASE), changes.at(C_DATABASE)
    if not os.path.lexists(ours):
        if changes.begin(f"link {DATABASE} to {C_DATABASE}, which is shared with Debian's own wtmpdb"):
            changes.ledger.add("deeds", LINKED)
            os.symlink(C_DATABASE, ours)
    elif os.path.realpath(ours) == os.path.realpath(theirs):
        return
    elif not os.path.lexists(theirs):
        # A Debian 12 with our history became a Debian 13: its sshd is to find it.
        if changes.begin(f"link {C_DATABASE} to {DATABASE}, for Debian's sshd and its own wtmpdb"):
            changes.ledger.add("files", C_DATABASE)
            os.symlink(DATABASE, theirs)
    else:
        changes.note(f"{DATABASE} and {C_DATABASE} are two histories; sshd writes into the second, everything else into the first:")
        changes.note(f"    'wtmpdb last -f {DATABASE} -f {C_DATABASE}' lists both; to make them one:")
        changes.note(f"    mv {DATABASE} {DATABASE}.before && wtmpdb setup && wtmpdb import {DATABASE}.before")


def _knows_our_path(changes: Changes) -> bool:
    """Tell whether the C library there has our path compiled in: then no link is needed."""
    libraries = [path for pattern in _LIBRARIES for path in glob(changes.at(pattern))]
    return bool(libraries) and all(mentions(path, DATABASE.encode()) for path in libraries)


def take_over(changes: Changes, *, systemd: bool, resident: bool) -> None:
    """Take the place of its boot service, of its daemon if our recorder is to stay, and of the logrotate of its file."""
    if systemd and has_program(changes.root, "systemctl"):
        _mask(changes, MASKED)
        if resident:
            _mask(changes, DAEMON_MASKED)
        else:
            _unmask(changes, DAEMON_MASKED)
    if os.path.exists(changes.at(C_LOGROTATE)) and has_program(changes.root, "dpkg-divert"):
        changes.deed(DIVERTED, "dpkg-divert", "--quiet", "--local", "--rename", "--divert", _ASIDE, "--add", C_LOGROTATE)


def _mask(changes: Changes, deed: str) -> None:
    there = [unit for unit in _MASKED[deed] if any(os.path.exists(changes.at(f"{path}/{unit}")) for path in _UNITS)]
    # What somebody has put in their place stays.
    if units := [unit for unit in there if not os.path.lexists(changes.at(f"{_ADMINISTRATOR}/{unit}"))]:
        now = ["--now"] if deed == DAEMON_MASKED and systemd_runs(changes.root) else []
        changes.deed(deed, "systemctl", "--quiet", "mask", *now, *units)


def _unmask(changes: Changes, deed: str) -> None:
    if deed not in changes.ledger.deeds:
        return
    if units := [unit for unit in _MASKED[deed] if _is_masked(changes, unit)]:
        changes.run("systemctl", "--quiet", "unmask", *units)
        if systemd_runs(changes.root):
            changes.run("systemctl", "daemon-reload")
    changes.ledger.drop("deeds", deed)


def _is_masked(changes: Changes, unit: str) -> bool:
    return _leads_to(changes.at(f"{_ADMINISTRATOR}/{unit}"), os.devnull)


def give_back(changes: Changes) -> None:
    """Undo what `take_over` and `share` did, and nothing that somebody else did."""
    deeds = changes.ledger.deeds
    for deed in _MASKED:
        _unmask(changes, deed)
    if DIVERTED in deeds:
        if changes.ask("dpkg-divert", "--listpackage", C_LOGROTATE).strip() == "LOCAL":
            changes.run("dpkg-divert", "--quiet", "--rename", "--remove", C_LOGROTATE)
        changes.ledger.drop("deeds", DIVERTED)
    if LINKED in deeds:
        if _leads_to(changes.at(DATABASE), C_DATABASE):
            changes.remove(DATABASE)
        changes.ledger.drop("deeds", LINKED)
    if C_DATABASE in changes.ledger.files and os.path.islink(changes.at(C_DATABASE)):
        changes.remove(C_DATABASE)
