# SPDX-License-Identifier: BSD-2-Clause
"""systemd's part: units and directories, enabled and started."""

from __future__ import annotations

import os
import re
from glob import glob
from typing import TYPE_CHECKING

from wtmpdb import shipped
from wtmpdb.entry import SECOND
from wtmpdb.installation.found import has_program, systemd_runs
from wtmpdb.installation.places import (
    ENABLED,
    EXPORTER,
    EXPORTER_FILES,
    EXPORTER_SERVICE,
    PREFIX,
    PROGRAM,
    RECORDER,
    RESIDENT,
    RESIDENT_FILES,
    TMPFILES,
    UNITS,
)
from wtmpdb.installation.program import read
from wtmpdb.system import System

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wtmpdb.installation.changes import Changes

_WANTS = "/etc/systemd/system"
_WANTED_BY = re.compile(r"^WantedBy=(\S+)$", re.MULTILINE)


def put(changes: Changes, top: str, *, resident: bool, exporter: bool) -> bool:
    """Put the units in place; tell whether any is new, gone or other than before."""
    wanted = {f"{UNITS}/{os.path.basename(path)}": path for path in sorted(glob(f"{shipped.path('systemd')}/wtmpdb-*"))}
    changed = [_leave_resident(changes)] if not resident else []
    if resident:
        wanted |= {path: shipped.path(source) for path, source in RESIDENT_FILES.items()}
    if exporter:
        wanted |= {path: shipped.path(source) for path, source in EXPORTER_FILES.items()}
    else:
        changed.append(_leave_exporter(changes))
    changed += [changes.put(path, read(source).replace(PREFIX.encode(), top.encode())) for path, source in wanted.items()]
    changes.put(f"{TMPFILES}/wtmpdb.conf", read(shipped.path("systemd/tmpfiles.d/wtmpdb.conf")))
    return any(changed)


def _leave_resident(changes: Changes) -> bool:
    """Take away what makes the recorder stay; tell whether anything was there."""
    found = any(os.path.lexists(changes.at(path)) for path in RESIDENT_FILES)
    if found and has_program(changes.root, "systemctl") and (enabled := [unit for unit in RESIDENT if _is_enabled(changes, unit)]):
        changes.run("systemctl", "--quiet", "disable", *(["--now"] if systemd_runs(changes.root) else []), *enabled)
    _remove_resident(changes)
    return found


def _remove_resident(changes: Changes) -> None:
    for path in RESIDENT_FILES:
        changes.remove(path)
    directory = f"{UNITS}/{RECORDER}.d"
    if directory in changes.ledger.directories:
        changes.remove_directory(directory)


def _leave_exporter(changes: Changes) -> bool:
    """Take away the exporter's units; tell whether any was there."""
    found = any(os.path.lexists(changes.at(path)) for path in EXPORTER_FILES)
    if found and has_program(changes.root, "systemctl"):
        _halt(changes, [*EXPORTER, EXPORTER_SERVICE])
    for path in EXPORTER_FILES:
        changes.remove(path)
    return found


def start(changes: Changes, *, changed: bool, resident: bool, exporter: bool) -> None:
    """Enable the units, and start them where systemd runs."""
    if not has_program(changes.root, "systemctl"):
        changes.note(f"no systemd here: run '{PROGRAM} boot' at boot, '{PROGRAM} shutdown' at shutdown, '{PROGRAM} recorder --once' every minute")
        return
    if changed and systemd_runs(changes.root):
        changes.run("systemctl", "daemon-reload")
    wanted = (*ENABLED, *(RESIDENT if resident else ()), *(EXPORTER if exporter else ()))
    for unit in wanted:
        for target in _WANTED_BY.findall(read(_source(unit)).decode()):
            _own(changes, f"{_WANTS}/{target}.wants")
    if any(not _is_enabled(changes, unit) for unit in wanted):
        changes.run("systemctl", "--quiet", "enable", *wanted)
    if not systemd_runs(changes.root):
        changes.note("systemd does not run here: the units start with the next boot")
        return
    idle = _idle(changes, wanted)
    # systemd starts no socket while its service runs, which, started by the path unit or the timer, lasts some seconds; and a recorder that
    # stays goes on as what it was when it was started. So does the exporter.
    for service in (RECORDER, *([EXPORTER_SERVICE] if exporter else [])):
        sockets = [unit for unit in idle if unit.endswith(".socket") and (unit in EXPORTER) == (service == EXPORTER_SERVICE)]
        if _is_active(changes, service) and (changed or sockets or _is_outdated(changes, service)):
            changes.run("systemctl", "--quiet", "stop", service)
            idle = _idle(changes, wanted)
    if idle:
        changes.run("systemctl", "--quiet", "start", *idle)


def stop(changes: Changes) -> None:
    """Stop and disable the units and take them away."""
    present = [unit for unit in (*ENABLED, *RESIDENT, *EXPORTER, EXPORTER_SERVICE) if os.path.exists(changes.at(f"{UNITS}/{unit}"))]
    if has_program(changes.root, "systemctl"):
        _halt(changes, present)
    _remove_resident(changes)
    units = [path for path in sorted(glob(changes.at(f"{UNITS}/wtmpdb-*"))) if not os.path.isdir(path)]
    for path in units:
        changes.remove(f"{UNITS}/{os.path.basename(path)}")
    changes.remove(f"{TMPFILES}/wtmpdb.conf")
    if units and systemd_runs(changes.root):
        changes.run("systemctl", "daemon-reload")
        # What had failed would be listed for ever.
        changes.run("systemctl", "reset-failed")


def _halt(changes: Changes, present: Sequence[str]) -> None:
    """Stop and disable units that are there."""
    if systemd_runs(changes.root) and (active := [unit for unit in present if _is_active(changes, unit)]):
        changes.run("systemctl", "--quiet", "stop", *active)
    if enabled := [unit for unit in present if _is_enabled(changes, unit)]:
        changes.run("systemctl", "--quiet", "disable", *enabled)


def retire(changes: Changes, path: str) -> None:
    """Disable a unit that is no longer part of the program, before its file goes."""
    unit = os.path.basename(path)
    if os.path.dirname(path) == UNITS and _is_enabled(changes, unit):
        changes.run("systemctl", "--quiet", "disable", *(["--now"] if systemd_runs(changes.root) else []), unit)


def _source(unit: str) -> str:
    """Return where the package has a unit."""
    return shipped.path((RESIDENT_FILES | EXPORTER_FILES).get(f"{UNITS}/{unit}", f"systemd/{unit}"))


def _idle(changes: Changes, wanted: Sequence[str]) -> list[str]:
    """Return the units that are to run and do not: what waits for a clock is started by the clock."""
    return [unit for unit in wanted if unit != "wtmpdb-boot-time.service" and not _is_active(changes, unit)]


def _is_outdated(changes: Changes, service: str) -> bool:
    """Tell whether a service that runs was started before this program was installed."""
    pid = changes.ask("systemctl", "show", "--property=MainPID", "--value", service).strip()
    system = System()
    ticks = system.process_start(int(pid)) if pid.isdecimal() and pid != "0" else None
    return ticks is not None and system.kernel_start() / SECOND + ticks / os.sysconf("SC_CLK_TCK") < os.stat(shipped.__file__).st_ctime


def _own(changes: Changes, path: str) -> None:
    """Write down that a directory is ours to remove, before systemctl makes it."""
    if not os.path.isdir(changes.at(path)) and not changes.dry:
        changes.ledger.add("directories", path)


def _is_enabled(changes: Changes, unit: str) -> bool:
    return bool(glob(changes.at(f"{_WANTS}/*.wants/{unit}")))


def _is_active(changes: Changes, unit: str) -> bool:
    return changes.ask("systemctl", "show", "--property=ActiveState", "--value", unit).strip() == "active"
