# SPDX-License-Identifier: BSD-2-Clause
"""PAM: the module, and the lines that make services run through it."""

from __future__ import annotations

import os

from wtmpdb.doctor.apart import Apart, ApartError
from wtmpdb.doctor.finding import note, ok, problem
from wtmpdb.doctor.stacks import file_of, session_lines
from wtmpdb.installation import places
from wtmpdb.installation.found import security_directory, sshd_records
from wtmpdb.spool import SPOOL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.doctor.case import Case
    from wtmpdb.doctor.finding import Finding
    from wtmpdb.doctor.stacks import StackLine

LOGINS = ("login", "remote", "sshd", "su", "su-l", "sudo-i", "gdm-password", "gdm-autologin", "lightdm", "lxdm", "sddm", "xrdp-sesman", "cockpit")
"""Services whose sessions are logins: these are to be recorded."""

OTHERS = ("sudo", "cron", "crond", "atd", "runuser", "runuser-l", "vsftpd", "proftpd", "dovecot", "samba", "polkit-1")
"""Services that open sessions which are none, or which few want recorded: told, no more."""

LINE = f"session optional {places.MODULE}"
_SETUP = "sudo wtmpdb setup"
_COMMON = "/etc/pam.d/common-session"
_SECONDS = 5.0
_CALLS = ("pam_sm_open_session", "pam_sm_close_session", "pam_sm_authenticate", "pam_sm_setcred")
_PLAIN_OPTIONS = ("debug", "silent")
_PATH_OPTIONS = ("spool=/", "poke=/")


def module(case: Case) -> Iterator[Finding]:
    """Check that the module is where libpam looks for modules, nobody else can change it, and it can be loaded."""
    directory = security_directory(case.root)
    if directory is None:
        yield problem(
            "pam module", "libpam's own modules are not found on this machine", "install libpam (Debian: sudo apt-get install libpam-modules)"
        )
        return
    path = case.path(f"{directory}/{places.MODULE}")
    if not os.path.exists(path):
        say = problem if case.asked_for("pam") else note
        yield say("pam module", f"{path} is not there", _SETUP)
        return
    if why := case.unsafe(path):
        yield problem("pam module", f"{why}: every login would run what somebody else wrote", f"sudo chown root: {path}; sudo chmod 644 {path}")
        return
    try:
        Apart(lambda: _load(path)).result(_SECONDS)
    except ApartError as error:
        yield problem("pam module", f"{path} cannot be loaded: {error}", f"{_SETUP} builds it anew")
        return
    yield ok("pam module", f"{path} can be loaded")


def _load(path: str) -> bool:
    """Load as libpam does: all symbols at once."""
    from ctypes import CDLL  # noqa: PLC0415 - only in the child process

    library = CDLL(path, mode=os.RTLD_NOW)
    return all(hasattr(library, name) for name in _CALLS) or _die("it lacks the calls of a session module")


def _die(why: str) -> bool:
    raise OSError(why)


class Reached:
    """A service, and which lines of ours and of the C project's module it runs through."""

    def __init__(self, root: str, service: str) -> None:
        """Walk through the service's stack."""
        lines = session_lines(root, service)
        self.service = service
        self.ours = [line for line in lines if line.module == places.MODULE]
        self.theirs = [line for line in lines if line.module == places.C_MODULE]

    @property
    def recorded(self) -> bool:
        """Tell whether our module writes this service's sessions."""
        return any(self.service not in skipped(line) for line in self.ours)

    @property
    def left_out(self) -> bool:
        """Tell whether an option says that this service is not to be recorded."""
        return bool(self.ours) and not self.recorded


def skipped(line: StackLine) -> set[str]:
    """Return the services that an option of the line leaves out."""
    return {name for option in line.options if option.startswith("skip_if=") for name in option.removeprefix("skip_if=").split(",")}


def _present(case: Case, names: tuple[str, ...]) -> list[Reached]:
    return [Reached(case.root, name) for name in names if file_of(case.root, name)]


def lines(case: Case) -> Iterator[Finding]:
    """Check that there are lines that name the module; their options are right."""
    found = {(line.file, line.number): line for one in _present(case, (*LOGINS, *OTHERS, "other")) for line in one.ours}
    if not found:
        yield from _no_line(case)
        return
    yield ok("pam lines", ", ".join(f"{line} ({line.control}{''.join(f' {option}' for option in line.options)})" for line in found.values()))
    for line in found.values():
        yield from _line(line)


def _no_line(case: Case) -> Iterator[Finding]:
    if not case.asked_for("pam"):
        yield note(
            "pam lines",
            "no service names the module: setup was told to leave PAM alone",
            f"put '{LINE}' at the end of the session part of the services' stacks",
        )
    elif os.path.exists(case.path(f"{places.PROFILES}/{places.PROFILE}")) and os.path.exists(case.path(_COMMON)):
        # pam-auth-update leaves a file that was edited by hand alone, and says nothing.
        yield problem(
            "pam lines",
            f"the profile {places.PROFILE} is there, but no service names the module: {_COMMON} was edited by hand, or the profile turned off",
            f"sudo pam-auth-update --enable {places.PROFILE}; if that changes nothing: echo '{LINE}' | sudo tee -a {_COMMON}",
        )
    else:
        yield problem("pam lines", "no service names the module: no login is recorded", _SETUP)


def _line(line: StackLine) -> Iterator[Finding]:
    odd = [option for option in line.options if option not in _PLAIN_OPTIONS and not option.startswith(("skip_if=", *_PATH_OPTIONS))]
    if odd:
        yield problem("pam lines", f"{line}: the module does not know {' '.join(odd)}", "see man pam_wtmpdb_spool, OPTIONS")
    spools = {option.removeprefix("spool=") for option in line.options if option.startswith("spool=/")}
    if spools - {SPOOL}:
        yield problem(
            "pam lines", f"{line}: letters go to {', '.join(spools)}, which the recorder does not empty", f"remove the option spool= from {line}"
        )
    if line.control in ("required", "requisite"):
        yield note("pam lines", f"{line}: with '{line.control}' a module that cannot be loaded would refuse logins", f"write 'optional' in {line}")


def services(case: Case) -> Iterator[Finding]:
    """Check that the services by which one logs in run through the module, each once."""
    logins, others = _present(case, LOGINS), _present(case, OTHERS)
    if not any(one.ours for one in (*logins, *others)):
        return
    recorded = [one.service for one in (*logins, *others) if one.recorded]
    left_out = [one.service for one in (*logins, *others) if one.left_out]
    missing = [one.service for one in logins if not one.ours]
    rest = [one.service for one in others if not one.ours]
    said = f"recorded: {', '.join(recorded) or 'none'}"
    said += f"; left out by skip_if: {', '.join(left_out)}" if left_out else ""
    said += f"; not recorded: {', '.join(rest)}" if rest else ""
    yield ok("pam services", said)
    if missing:
        files = ", ".join(str(file_of(case.root, name)) for name in missing)
        yield problem(
            "pam services",
            f"sessions of {', '.join(missing)} do not run through the module",
            f"put '{LINE}' at the end of the session part of {files}",
        )
    twice = [one for one in (*logins, *others) if len(one.ours) > 1]
    if twice:
        where = " and ".join(map(str, twice[0].ours))
        yield note(
            "pam services",
            f"{', '.join(one.service for one in twice)}: the module comes more than once ({where}); it records once all the same",
            f"remove one of {where}",
        )


def sshd(case: Case) -> Iterator[Finding]:
    """Check that a session of sshd is recorded once: by the module, by sshd itself where it can, or by both where the recorder stays."""
    if not file_of(case.root, "sshd"):
        return
    one = Reached(case.root, "sshd")
    records = sshd_records(case.root)
    merged = records and case.asked_for("recorder")
    if not records and uses_pam(case.root) is False:
        yield problem("sshd", "'UsePAM no': sessions of sshd do not reach PAM, and are not recorded", "set 'UsePAM yes' in /etc/ssh/sshd_config")
    elif merged and one.recorded:
        yield ok("sshd", "is recorded by the module; where it writes a row itself, the recorder makes one of both")
    elif merged and one.left_out:
        yield problem(
            "sshd",
            "is left out by skip_if: sessions without a terminal (scp, sftp) have no row",
            f"sudo wtmpdb setup, or remove skip_if=sshd from {one.ours[0]}",
        )
    elif records and one.recorded:
        yield problem(
            "sshd",
            "sshd records its sessions itself, and so does the module: each has two rows",
            f"sudo wtmpdb setup, or write skip_if=sshd into {one.ours[0]}",
        )
    elif one.left_out and not records:
        yield problem(
            "sshd",
            "is left out by skip_if, but does not record its sessions itself: they have no row",
            f"sudo wtmpdb setup, or remove skip_if=sshd from {one.ours[0]}",
        )
    elif records:
        yield ok("sshd", "records its sessions with a terminal itself; the module leaves it out")
    elif one.recorded:
        yield ok("sshd", "is recorded by the module")


def uses_pam(root: str) -> bool | None:
    """Return what sshd_config(5) says with UsePAM, or None when it is silent: the first word counts, in the order of inclusion."""
    return next(_words_on_pam(f"{'' if root == '/' else root}", "/etc/ssh/sshd_config", 0), None)


def _words_on_pam(prefix: str, pattern: str, depth: int) -> Iterator[bool]:
    from glob import glob  # noqa: PLC0415 - only where there is an sshd

    for path in sorted(glob(prefix + pattern)) if depth < 16 else ():  # noqa: PLR2004 - sshd's own bound
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                words = [line.replace("=", " ", 1).split() for line in file]
        except OSError:
            continue
        for name, *values in filter(None, words):
            if name.lower() == "include":
                for value in values:
                    yield from _words_on_pam(prefix, value if value.startswith("/") else f"/etc/ssh/{value}", depth + 1)
            elif name.lower() == "usepam" and values:
                yield values[0].lower() == "yes"


CHECKS = (module, lines, services, sshd)
