# SPDX-License-Identifier: BSD-2-Clause
"""The units: installed, enabled, running; systemd is asked once for all."""

from __future__ import annotations

import os
import subprocess

from wtmpdb.doctor.finding import note, ok, problem
from wtmpdb.installation import places
from wtmpdb.installation.found import has_program, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.doctor.case import Case
    from wtmpdb.doctor.finding import Finding

WITHOUT_SYSTEMD = "call 'wtmpdb boot' at boot, 'wtmpdb shutdown' at shutdown and 'wtmpdb recorder --once' now and then"
_AT_THEIR_TIME = ("wtmpdb-boot-time.service",)  # started by something that need not happen
_PROPERTIES = "Id,LoadState,UnitFileState,ActiveState,NeedDaemonReload"
_SECONDS = 5.0

State = dict[str, str]


def states(case: Case, *units: str) -> dict[str, State]:
    """Return what systemd knows of units, by their names; nothing when it does not answer in time."""
    try:
        answer = run(case.root, "systemctl", "show", f"--property={_PROPERTIES}", "--", *units, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return read(answer.stdout)


def read(text: str) -> dict[str, State]:
    """Read the answer of `systemctl show`: blocks of ``NAME=VALUE`` with an empty line between them."""
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n")]
    return {block["Id"]: block for block in blocks if "Id" in block}


def units(case: Case) -> Iterator[Finding]:
    """Check that the units are there and do what they should."""
    if not case.systemd:
        yield from _without_systemd(case)
        return
    wanted = _wanted(case)
    found = states(case, *{*wanted, places.RECORDER}, places.C_BOOT_UNIT)
    if not found:
        yield problem("units", f"systemd does not answer within {_SECONDS:.0f} s", "systemctl status")
        return
    findings = [finding for name in wanted for finding in _unit(case, name, found.get(name, {}))]
    if places.RECORDER not in wanted and found.get(places.RECORDER, {}).get("ActiveState") == "failed":
        findings.append(
            problem("units", f"{places.RECORDER} has failed", f"sudo journalctl -b -u {places.RECORDER}; then sudo systemctl start {places.RECORDER}")
        )
    if any(state.get("NeedDaemonReload") == "yes" for state in found.values()):
        findings.append(note("units", "files of units have been changed since systemd read them", "sudo systemctl daemon-reload"))
    yield from findings or [ok("units", f"{len(wanted)} are enabled and active")]
    yield from _boot_unit_of_c(found.get(places.C_BOOT_UNIT, {}))


def _wanted(case: Case) -> tuple[str, ...]:
    resident, exporter = case.asked_for("recorder"), case.asked_for("exporter")
    return (*places.ENABLED, *(places.RESIDENT if resident else ()), *(places.EXPORTER if exporter else ()))


def _unit(case: Case, name: str, state: State) -> Iterator[Finding]:
    say = problem if case.asked_for("systemd") else note
    loaded, enabled, active = (state.get(key, "") for key in ("LoadState", "UnitFileState", "ActiveState"))
    if loaded == "masked":
        yield say("units", f"{name} is masked", f"sudo systemctl unmask {name}; sudo systemctl enable --now {name}")
    elif loaded != "loaded":
        yield say(
            "units", f"{name} is not installed" if loaded == "not-found" else f"{name} cannot be read ({loaded or 'unknown'})", "sudo wtmpdb setup"
        )
    elif active == "failed":
        yield say("units", f"{name} has failed", f"sudo journalctl -b -u {name}; then sudo systemctl restart {name}")
    elif not enabled.startswith("enabled"):
        yield say("units", f"{name} is not enabled", f"sudo systemctl enable --now {name}")
    elif active not in ("active", "activating", "reloading") and name not in _AT_THEIR_TIME:
        # systemd starts no socket while its service runs.
        service = places.EXPORTER_SERVICE if name in places.EXPORTER else places.RECORDER
        first = f"sudo systemctl stop {service}; " if name.endswith(".socket") else ""
        yield say("units", f"{name} is enabled, but does not run", f"{first}sudo systemctl start {name}")


def _boot_unit_of_c(state: State) -> Iterator[Finding]:
    if state.get("UnitFileState", "").startswith("enabled"):
        yield note(
            "units",
            f"{places.C_BOOT_UNIT} of the C project is enabled beside ours: it may write boots a second time",
            f"sudo systemctl mask {places.C_BOOT_UNIT}",
        )


def _without_systemd(case: Case) -> Iterator[Finding]:
    if not case.asked_for("systemd"):
        yield note("units", "setup was told to leave systemd alone", WITHOUT_SYSTEMD)
        return
    if not has_program(case.root, "systemctl"):
        yield note("units", "there is no systemd here", WITHOUT_SYSTEMD)
        return
    missing = [name for name in _wanted(case) if not os.path.exists(case.path(f"{places.UNITS}/{name}"))]
    if missing:
        yield problem("units", f"not installed: {', '.join(missing)}", "sudo wtmpdb setup")
    else:
        yield note("units", "are installed; systemd does not run now: they start with the next boot", "until then: sudo wtmpdb recorder --once")


CHECKS = (units,)
