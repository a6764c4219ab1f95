# SPDX-License-Identifier: BSD-2-Clause
"""PAM's part: the module, and the line that calls it.

Stacks are never edited here: pam-auth-update does it where there is one; elsewhere the line and its place are printed. The module is there before the
line is, and goes after it.
"""

from __future__ import annotations

import os
from glob import glob
from typing import TYPE_CHECKING

from wtmpdb import shipped
from wtmpdb.errors import WtmpdbError
from wtmpdb.installation.found import has_program, pam_lines, security_directory, sshd_records
from wtmpdb.installation.places import C_MODULE, C_PROFILE, MODULE, PROFILE, PROFILES, STACKS
from wtmpdb.installation.program import read

if TYPE_CHECKING:
    from wtmpdb.installation.changes import Changes

DISABLED = "profile of the C tool disabled"
BEGUN = "pam-auth-update begun"

LINE = f"session optional {MODULE}"

_STACK = f"{STACKS}/common-session"
_INTERACTIVE = "Session-Interactive-Only: yes\n"
_UPDATE = ("pam-auth-update", "--package")

# What opens sessions, where no tool of the distribution writes the stacks; those that are there are named.
_SERVICES = ("login", "sshd", "su", "su-l", "sudo-i", "remote", "gdm-password", "gdm-autologin", "lightdm", "sddm", "lxdm", "xrdp-sesman")


def put(changes: Changes, top: str, *, all_sessions: bool, resident: bool) -> None:
    """Put the module and its line in place. A recorder that is ``resident`` makes one row of what sshd and the module record of a session."""
    changes.put(f"{_directory(changes)}/{MODULE}", _built(top))
    if not has_program(changes.root, "pam-auth-update"):
        _advise(changes, all_sessions=all_sessions)
        return
    skip_sshd = sshd_records(changes.root) and not resident
    changed = changes.put(f"{PROFILES}/{PROFILE}", profile(skip_sshd=skip_sshd, all_sessions=all_sessions))
    if (
        changed
        or BEGUN in changes.ledger.deeds
        or not _is_as_wanted(changes, skip_sshd=skip_sshd)
        or _is_everywhere(changes) != all_sessions
        or _c_profile(changes)
    ):
        _update(changes, skip_sshd=skip_sshd)
    if skip_sshd:
        changes.note("sshd records sessions with a terminal itself; ssh sessions without one (scp, sftp) are recorded with --recorder only")
    if not changes.dry:
        _look(changes, skip_sshd=skip_sshd)


def profile(*, skip_sshd: bool, all_sessions: bool) -> bytes:
    """Return the profile for pam-auth-update."""
    text = read(f"{shipped.path('pam/pam-configs')}/{PROFILE}").decode()
    if skip_sshd:
        text = text.replace(MODULE, f"{MODULE} skip_if=sshd")
    return (text.replace(_INTERACTIVE, "") if all_sessions else text).encode()


def remove(changes: Changes) -> bool:
    """Take the line out, then the module; False when the line stands in a stack that is edited by hand: then the module stays too."""
    has_tool = has_program(changes.root, "pam-auth-update")
    lines = pam_lines(changes.root, MODULE)
    if has_tool and (lines or DISABLED in changes.ledger.deeds or os.path.exists(changes.at(f"{PROFILES}/{PROFILE}"))):
        back = ["--enable", C_PROFILE] if DISABLED in changes.ledger.deeds and os.path.exists(changes.at(f"{PROFILES}/{C_PROFILE}")) else []
        changes.run(*_UPDATE, "--remove", PROFILE, *back)
    changes.ledger.drop("deeds", DISABLED)
    changes.remove(f"{PROFILES}/{PROFILE}")
    if not changes.dry and (left := [f"{line.file}:{line.number}" for line in pam_lines(changes.root, MODULE)]):
        changes.note(f"{', '.join(left)}: still names {MODULE}, in a file that was edited by hand: take the line out, and run this again")
        return False
    directory = security_directory(changes.root)
    if directory:
        changes.remove(f"{directory}/{MODULE}")
    return True


def _directory(changes: Changes) -> str:
    directory = security_directory(changes.root)
    if directory is None:
        raise WtmpdbError("no pam_permit.so: this system has no PAM, or keeps its modules in a place of its own", "use --no-pam")
    return directory


def _built(top: str) -> bytes:
    try:
        return read(f"{top}/lib/{MODULE}")
    except FileNotFoundError:
        raise WtmpdbError(f"{top}/lib/{MODULE}: not there: install.sh builds it", "run 'sudo ./install.sh', or use --no-pam") from None


def _is_as_wanted(changes: Changes, *, skip_sshd: bool) -> bool:
    """Tell whether the line is in the stack, with the options that it should have."""
    return any(line.file == _STACK and ("skip_if=sshd" in line.options.split()) == skip_sshd for line in pam_lines(changes.root, MODULE))


def _is_everywhere(changes: Changes) -> bool:
    """Tell whether the line is in the stack of what is not interactive, too."""
    return any(line.file == f"{_STACK}-noninteractive" for line in pam_lines(changes.root, MODULE))


def _c_profile(changes: Changes) -> bool:
    """Tell whether the profile of the C tool is on: each login would be written twice."""
    return os.path.exists(changes.at(f"{PROFILES}/{C_PROFILE}")) and any(line.file == _STACK for line in pam_lines(changes.root, C_MODULE))


def _update(changes: Changes, *, skip_sshd: bool) -> None:
    if any(line.file == _STACK for line in pam_lines(changes.root, MODULE)) and not _is_as_wanted(changes, skip_sshd=skip_sshd):
        # It would keep the options of the old line for somebody's own.
        changes.run(*_UPDATE, "--remove", PROFILE)
    # Killed, it may have noted our profile as one that somebody has seen, and not put it in: then only --enable does.
    command = [*_UPDATE, *(["--enable", PROFILE] if BEGUN in changes.ledger.deeds else [])]
    changes.ledger.add("deeds", BEGUN)
    if _c_profile(changes):
        changes.deed(DISABLED, *command, "--disable", C_PROFILE)
    else:
        changes.run(*command)
    changes.ledger.drop("deeds", BEGUN)


def _look(changes: Changes, *, skip_sshd: bool) -> None:
    """Look whether the line is there now: pam-auth-update leaves files alone that somebody has edited, and says nothing."""
    lines = pam_lines(changes.root, MODULE)
    if not any(line.file == _STACK for line in lines):
        where = f"{_STACK} was edited by hand, or the profile was turned off: pam-auth-update left it alone"
        changes.note(where if not lines else f"{where}; {lines[0].file}:{lines[0].number} has the line")
        if not lines:
            changes.note("put this line at its end:")
            changes.note(f"    {LINE}{' skip_if=sshd' if skip_sshd else ''}")
    for line in pam_lines(changes.root, C_MODULE):
        changes.note(f"{line.file}:{line.number} names {C_MODULE}: what it records is recorded twice; take that line out")


def _advise(changes: Changes, *, all_sessions: bool) -> None:
    """Print what is to be done by hand; nothing where the line is there already."""
    if pam_lines(changes.root, MODULE):
        return
    if has_program(changes.root, "authselect"):
        steps = _authselect()
    elif has_program(changes.root, "pam-config"):
        steps = _pam_config(all_sessions=all_sessions)
    else:
        steps = _plain(changes)
    changes.note("logins are recorded once PAM calls the module; setup does not edit PAM on this system. Keep a root shell open, and do:")
    for step in steps:
        changes.note(f"    {step}")


def _authselect() -> list[str]:
    return [
        "authselect current                      # names the profile, and its features",
        "authselect create-profile wtmpdb --base-on=PROFILE --symlink-meta",
        f"echo '{LINE}' >>/etc/authselect/custom/wtmpdb/postlogin   # at the end: no jump crosses it",
        "authselect select custom/wtmpdb FEATURES",
    ]


def _pam_config(*, all_sessions: bool) -> list[str]:
    stacks = ["login", "sshd", "su", "su-l", *(["crond"] if all_sessions else [])]
    return [f"echo '{LINE}' >>{STACKS}/{name}   # at the end; copy it from /usr/lib/pam.d first if it is not there" for name in stacks]


def _plain(changes: Changes) -> list[str]:
    there = [name for name in _SERVICES if os.path.isfile(changes.at(f"{STACKS}/{name}"))]
    if not there:
        there = sorted(os.path.basename(path) for path in glob(changes.at(f"{STACKS}/*")))[:20]
    return [f"put at the end of {', '.join(f'{STACKS}/{name}' for name in there)}:", f"    {LINE}"]
