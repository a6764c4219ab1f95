# SPDX-License-Identifier: BSD-2-Clause
"""systemd's part: units and directories, enabled and started."""

from __future__ import annotations

import os
import re
from glob import glob
from typing import TYPE_CHECKING

from wtmpdb import shipped
from wtmpdb.installation.found import has_program, systemd_runs
from wtmpdb.installation.places import ENABLED, PREFIX, PROGRAM, TMPFILES, UNITS
from wtmpdb.installation.program import read

if TYPE_CHECKING:
    from wtmpdb.installation.changes import Changes

_WANTS = "/etc/systemd/system"
_WANTED_BY = re.compile(r"^WantedBy=(\S+)$", re.MULTILINE)


def put(changes: Changes, top: str) -> bool:
    """Put the units in place; tell whether any is new or other than before."""
    changed = [
        changes.put(f"{UNITS}/{os.path.basename(path)}", read(path).replace(PREFIX.encode(), top.encode()))
        for path in sorted(glob(f"{shipped.path('systemd')}/wtmpdb-*"))
    ]
    changes.put(f"{TMPFILES}/wtmpdb.conf", read(shipped.path("systemd/tmpfiles.d/wtmpdb.conf")))
    return any(changed)


def start(changes: Changes, *, changed: bool) -> None:
    """Enable the units, and start them where systemd runs."""
    if not has_program(changes.root, "systemctl"):
        changes.note(f"no systemd here: run '{PROGRAM} boot' at boot, '{PROGRAM} shutdown' at shutdown, '{PROGRAM} recorder --once' every minute")
        return
    if changed and systemd_runs(changes.root):
        changes.run("systemctl", "daemon-reload")
    for unit in ENABLED:
        for target in _WANTED_BY.findall(read(f"{shipped.path('systemd')}/{unit}").decode()):
            _own(changes, f"{_WANTS}/{target}.wants")
    if any(not _is_enabled(changes, unit) for unit in ENABLED):
        changes.run("systemctl", "--quiet", "enable", *ENABLED)
    if not systemd_runs(changes.root):
        changes.note("systemd does not run here: the units start with the next boot")
    elif idle := [unit for unit in _to_start() if not _is_active(changes, unit)]:
        if "wtmpdb-recorder.socket" in idle and _is_active(changes, "wtmpdb-recorder.service"):
            # systemd starts no socket while its service runs; started by the path unit or the timer, that lasts some seconds.
            changes.run("systemctl", "--quiet", "stop", "wtmpdb-recorder.service")
        changes.run("systemctl", "--quiet", "start", *idle)


def stop(changes: Changes) -> None:
    """Stop and disable the units and take them away."""
    present = [unit for unit in ENABLED if os.path.exists(changes.at(f"{UNITS}/{unit}"))]
    if has_program(changes.root, "systemctl"):
        if systemd_runs(changes.root) and (active := [unit for unit in (*present, "wtmpdb-recorder.service") if _is_active(changes, unit)]):
            changes.run("systemctl", "--quiet", "stop", *active)
        if enabled := [unit for unit in present if _is_enabled(changes, unit)]:
            changes.run("systemctl", "--quiet", "disable", *enabled)
    units = sorted(glob(changes.at(f"{UNITS}/wtmpdb-*")))
    for path in units:
        changes.remove(f"{UNITS}/{os.path.basename(path)}")
    changes.remove(f"{TMPFILES}/wtmpdb.conf")
    if units and systemd_runs(changes.root):
        changes.run("systemctl", "daemon-reload")
        # What had failed would be listed for ever.
        changes.run("systemctl", "reset-failed")


def retire(changes: Changes, path: str) -> None:
    """Disable a unit that is no longer part of the program, before its file goes."""
    unit = os.path.basename(path)
    if os.path.dirname(path) == UNITS and _is_enabled(changes, unit):
        changes.run("systemctl", "--quiet", "disable", *(["--now"] if systemd_runs(changes.root) else []), unit)


def _to_start() -> list[str]:
    """Return the units that are to run: what waits for a clock is started by the clock."""
    return [unit for unit in ENABLED if unit != "wtmpdb-boot-time.service"]


def _own(changes: Changes, path: str) -> None:
    """Write down that a directory is ours to remove, before systemctl makes it."""
    if not os.path.isdir(changes.at(path)) and not changes.dry:
        changes.ledger.add("directories", path)


def _is_enabled(changes: Changes, unit: str) -> bool:
    return bool(glob(changes.at(f"{_WANTS}/*.wants/{unit}")))


def _is_active(changes: Changes, unit: str) -> bool:
    return changes.ask("systemctl", "show", "--property=ActiveState", "--value", unit).strip() == "active"
