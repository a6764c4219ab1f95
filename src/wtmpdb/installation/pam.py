# SPDX-License-Identifier: BSD-2-Clause
"""PAM's part: the module, and the lines that call it: when a session is opened or closed, and when a login has failed.

The line for failed logins is reached only when all in front of it have failed, and has no say in the outcome: behind it stands pam_deny.so. Stacks
are never edited here: pam-auth-update does it where there is one; elsewhere the line and its place are printed. The module is there before the line
is, and goes after it.
"""

from __future__ import annotations

import os
from glob import glob
from typing import TYPE_CHECKING

from wtmpdb import shipped
from wtmpdb.errors import WtmpdbError
from wtmpdb.installation.found import has_program, pam_lines, security_directory, sshd_records
from wtmpdb.installation.places import C_MODULE, C_PROFILE, FAILURES_PROFILE, MODULE, PROFILE, PROFILES, STACKS
from wtmpdb.installation.program import read

if TYPE_CHECKING:
    from wtmpdb.installation.changes import Changes
    from wtmpdb.installation.found import PamLine

DISABLED = "profile of the C tool disabled"
BEGUN = "pam-auth-update begun"

LINE = f"session optional {MODULE}"
FAILURES_LINE = f"auth [default=ignore] {MODULE}"

_STACK = f"{STACKS}/common-session"
_FAILURES_STACK = f"{STACKS}/common-auth"
_INTERACTIVE = "Session-Interactive-Only: yes\n"
_UPDATE = ("pam-auth-update", "--package")

# What opens sessions, where no tool of the distribution writes the stacks; those that are there are named.
_SERVICES = ("login", "sshd", "su", "su-l", "sudo-i", "remote", "gdm-password", "gdm-autologin", "lightdm", "sddm", "lxdm", "xrdp-sesman")


def put(changes: Changes, top: str, *, all_sessions: bool, failures: bool, resident: bool) -> None:
    """Put the module and its lines in place. A recorder that is ``resident`` makes one row of what sshd and the module record of a session."""
    changes.put(f"{_directory(changes)}/{MODULE}", _built(top))
    if not has_program(changes.root, "pam-auth-update"):
        _advise(changes, all_sessions=all_sessions)
        if failures:
            _advise_failures(changes)
        return
    skip_sshd = sshd_records(changes.root) and not resident
    changed = changes.put(f"{PROFILES}/{PROFILE}", profile(skip_sshd=skip_sshd, all_sessions=all_sessions))
    if failures:
        changed |= changes.put(f"{PROFILES}/{FAILURES_PROFILE}", read(f"{shipped.path('pam/pam-configs')}/{FAILURES_PROFILE}"))
    elif _takes_failures(changes) or os.path.exists(changes.at(f"{PROFILES}/{FAILURES_PROFILE}")):
        changes.run(*_UPDATE, "--remove", FAILURES_PROFILE)
        changes.remove(f"{PROFILES}/{FAILURES_PROFILE}")
    if (
        changed
        or BEGUN in changes.ledger.deeds
        or not _is_as_wanted(changes, skip_sshd=skip_sshd)
        or _is_everywhere(changes) != all_sessions
        or (failures and not _takes_failures(changes))
        or _c_profile(changes)
    ):
        _update(changes, [PROFILE, *([FAILURES_PROFILE] if failures else [])], skip_sshd=skip_sshd)
    if skip_sshd:
        changes.note("sshd records sessions with a terminal itself; ssh sessions without one (scp, sftp) are recorded with --recorder only")
    if not changes.dry:
        _look(changes, skip_sshd=skip_sshd)
        if failures:
            _look_for_failures(changes)


def profile(*, skip_sshd: bool, all_sessions: bool) -> bytes:
    """Return the profile for pam-auth-update."""
    text = read(f"{shipped.path('pam/pam-configs')}/{PROFILE}").decode()
    if skip_sshd:
        text = text.replace(MODULE, f"{MODULE} skip_if=sshd")
    return (text.replace(_INTERACTIVE, "") if all_sessions else text).encode()


def remove(changes: Changes) -> bool:
    """Take the lines out, then the module; False when a line stands in a stack that is edited by hand: then the module stays too."""
    profiles = [name for name in (PROFILE, FAILURES_PROFILE) if os.path.exists(changes.at(f"{PROFILES}/{name}"))]
    if has_program(changes.root, "pam-auth-update") and (_lines(changes) or profiles or DISABLED in changes.ledger.deeds):
        back = ["--enable", C_PROFILE] if DISABLED in changes.ledger.deeds and os.path.exists(changes.at(f"{PROFILES}/{C_PROFILE}")) else []
        changes.run(*_UPDATE, "--remove", PROFILE, FAILURES_PROFILE, *back)
    changes.ledger.drop("deeds", DISABLED)
    for name in (PROFILE, FAILURES_PROFILE):
        changes.remove(f"{PROFILES}/{name}")
    if not changes.dry and (left := [f"{line.file}:{line.number}" for line in _lines(changes)]):
        changes.note(f"{', '.join(left)}: still names {MODULE}, in a file that was edited by hand: take the line out, and run this again")
        if pam_lines(changes.root, MODULE, "auth"):
            changes.note("in the auth part first lower by one each jump over it ([success=2 ...] and the like), or right passwords are refused")
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


def _lines(changes: Changes) -> list[PamLine]:
    """Return all lines that name the module."""
    return [line for part in ("auth", "session") for line in pam_lines(changes.root, MODULE, part)]


def _takes_failures(changes: Changes) -> bool:
    """Tell whether the line for failed logins is in the stack."""
    return any(line.file == _FAILURES_STACK for line in pam_lines(changes.root, MODULE, "auth"))


def _is_as_wanted(changes: Changes, *, skip_sshd: bool) -> bool:
    """Tell whether the line is in the stack, with the options that it should have."""
    return any(line.file == _STACK and ("skip_if=sshd" in line.options.split()) == skip_sshd for line in pam_lines(changes.root, MODULE))


def _is_everywhere(changes: Changes) -> bool:
    """Tell whether the line is in the stack of what is not interactive, too."""
    return any(line.file == f"{_STACK}-noninteractive" for line in pam_lines(changes.root, MODULE))


def _c_profile(changes: Changes) -> bool:
    """Tell whether the profile of the C tool is on: each login would be written twice."""
    return os.path.exists(changes.at(f"{PROFILES}/{C_PROFILE}")) and any(line.file == _STACK for line in pam_lines(changes.root, C_MODULE))


def _update(changes: Changes, profiles: list[str], *, skip_sshd: bool) -> None:
    if any(line.file == _STACK for line in pam_lines(changes.root, MODULE)) and not _is_as_wanted(changes, skip_sshd=skip_sshd):
        # It would keep the options of the old line for somebody's own.
        changes.run(*_UPDATE, "--remove", PROFILE)
    # Killed, it may have noted our profiles as ones that somebody has seen, and not put them in: then only --enable does.
    command = [*_UPDATE, *(["--enable", *profiles] if BEGUN in changes.ledger.deeds else [])]
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


def _look_for_failures(changes: Changes) -> None:
    """Look likewise for the line for failed logins. It is never advised to put it among lines that jumps count: that locks everybody out."""
    if not _takes_failures(changes):
        why = f"{_FAILURES_STACK} was edited by hand, or the profile was turned off: pam-auth-update left it alone"
        changes.note(f"failed logins are not recorded: {why}; see 'man pam_wtmpdb_spool', FAILED LOGINS")


def _advise_failures(changes: Changes) -> None:
    """Print how failed logins are recorded by hand; nothing where the line is there already."""
    if pam_lines(changes.root, MODULE, "auth"):
        return
    changes.note("failed logins are recorded once the auth part ends in these two lines instead of its last one, pam_deny.so; but leave it")
    changes.note("alone where a jump ([success=2 ...] and the like) leads to or over its end, and where you are not sure:")
    for line in (FAILURES_LINE, "auth required pam_deny.so"):
        changes.note(f"    {line}")


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
