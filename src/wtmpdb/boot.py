# SPDX-License-Identifier: BSD-2-Clause
"""Boot and shutdown: one row for each boot, closed when the system goes down.

A boot is known by its key (docs/format.md, "The boot key"): `begin` may run as often as it likes, and `end` closes the row of this boot and no other.
Only for the machine's own history, which is meant where no database is named, is the key left for others, and the kernel's audit told.
"""

from __future__ import annotations

import os
import subprocess
import time

from wtmpdb import audit
from wtmpdb.entry import SECOND, now
from wtmpdb.errors import LogError
from wtmpdb.log import WRITTEN, Log
from wtmpdb.system import BOOT_KEY, System

REBOOT = "reboot"
SOFT_REBOOT = "soft-reboot"

ADOPT_WITHIN = 60 * SECOND
"""A boot row of the C tool that is at most this much earlier than ours is of the same boot."""

PATIENCE = 15.0
"""Seconds for which a lock is waited for at shutdown: there is no second try."""

CORRECT_FROM = 2 * SECOND
"""A clock that was wrong by less than this at boot is not worth a correction."""

TO_RECORD = "'wtmpdb boot' does it, as wtmpdb-boot.service"
"""What records a boot, for a hint."""

_RUN_LEVELS = {"graphical.target": "5", "multi-user.target": "3", "rescue.target": "1"}


class Now:
    """The boot that we run in: its key, when it began (µs since the epoch), and whether it is a soft reboot."""

    __slots__ = ("key", "soft", "time")

    def __init__(self, key: str, began: int, *, soft: bool) -> None:
        """Keep the three."""
        self.key = key
        self.time = began
        self.soft = soft


def this_boot(system: System) -> Now:
    """Find out about this boot; systemd is asked about soft reboots."""
    answers = _ask_systemd("SoftRebootsCount", "UserspaceTimestampMonotonic")
    soft_reboots = answers.get("SoftRebootsCount", 0)
    began = system.boot_time()
    userspace = answers.get("UserspaceTimestampMonotonic", 0)
    if soft_reboots and userspace:  # the kernel went on; systemd alone knows when its user space began anew
        began = _at(userspace)
    return Now(_key(system, soft_reboots), began, soft=soft_reboots > 0)


def _key(system: System, soft_reboots: int) -> str:
    """Return the key of this boot, under the boot id by which it was first known.

    In a container that is the host's for a sandboxed service, which has a /proc of its own there, and another one for a shell.
    """
    key, left = system.make_boot_key(soft_reboots), system.boot_key_left()
    return left if left.partition("/")[2] == key.partition("/")[2] else key


def begin(database: str | None = None, *, system: System | None = None) -> str:
    """Write the row of this boot, once however often it is called; return what `Log.begin_boot` did."""
    system = system or System()
    boot = this_boot(system)
    if database is None:
        _leave_key(boot.key)
    with Log.write(database) as log:
        done = _write_row(log, boot, system)
    if done == WRITTEN and database is None and not boot.soft and not audit.sent_by_others():
        audit.send(audit.SYSTEM_BOOT)
    return done


def _write_row(log: Log, boot: Now, system: System) -> str:
    user = SOFT_REBOOT if boot.soft else REBOOT
    # Where the C tool was started late it takes the time of that; in a container, the start of the host's kernel for that of the container.
    kernel_start = system.kernel_start()
    spans = [(boot.time - ADOPT_WITHIN, max(now(), boot.time + ADOPT_WITHIN)), (kernel_start - ADOPT_WITHIN, kernel_start + ADOPT_WITHIN)]
    return log.begin_boot(boot.key, boot.time, user=user, kernel=system.kernel(), adopt=spans)


def correct(database: str | None = None, *, system: System | None = None) -> int | None:
    """Correct when this boot began, if the clock has been set since; return by how much, in µs, or None when this boot has no row."""
    system = system or System()
    boot = this_boot(system)
    with Log.write(database) as log:
        recorded = next((row.login for row in log.boots() if row.key == boot.key), None)
        if recorded is None:
            return None
        if abs(boot.time - recorded) < CORRECT_FROM:
            return 0
        log.move_boot(boot.key, boot.time)
        return boot.time - recorded


def end(database: str | None = None, *, system: System | None = None) -> bool:
    """Write that this boot ends now; True when its row was closed. The rows of other boots stay as they are."""
    system = system or System()
    key = system.boot_key_left() or this_boot(system).key
    with Log.write(database, timeout=PATIENCE) as log:
        if not any(row.key == key for row in log.boots()):  # logrotate may have taken its row away
            _write_row(log, this_boot(system), system)
        closed = log.end_boot(key, now())
    if database is None:
        _remove_key()
        if closed and not audit.sent_by_others():
            audit.send(audit.SYSTEM_SHUTDOWN)
    return closed


def began(log: Log) -> int:
    """Return when the newest boot in a history began, in µs; raises LogError when there is none."""
    boots = log.boots()
    if not boots:
        raise LogError(f"{log.path}: no boot has been recorded", TO_RECORD)
    return boots[-1].login


def run_level() -> tuple[str, int] | None:
    """Return the run level that systemd's targets stand for (runlevel(8)), and since when (µs); None where systemd does not tell."""
    answer = _systemctl("--property=Id", "--property=ActiveState", "--property=ActiveEnterTimestampMonotonic", *_RUN_LEVELS)
    units = [dict(line.split("=", 1) for line in unit.splitlines() if "=" in line) for unit in answer.split("\n\n")]
    for unit in units:
        since = unit.get("ActiveEnterTimestampMonotonic", "")
        if unit.get("ActiveState") == "active" and unit.get("Id") in _RUN_LEVELS and since.isdigit():
            return _RUN_LEVELS[unit["Id"]], _at(int(since))
    return None


def _at(monotonic: int) -> int:
    """Return the time of the system's clock at a moment of CLOCK_MONOTONIC (µs)."""
    return now() - (time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 - monotonic)


def _ask_systemd(*properties: str) -> dict[str, int]:
    """Return those properties of systemd that are numbers; nothing where systemd is not running or does not know them."""
    pairs = (line.partition("=") for line in _systemctl(*(f"--property={name}" for name in properties)).splitlines())
    return {name: int(value) for name, _, value in pairs if value.isdigit()}


def _systemctl(*words: str) -> str:
    """Return what `systemctl show` says; nothing where systemd is not running."""
    try:
        answer = subprocess.run(  # noqa: S603 - our own words
            ["systemctl", "show", *words],  # noqa: S607 - found in the path below
            capture_output=True,
            timeout=10,
            check=False,
            text=True,
            env={"PATH": "/usr/bin:/bin"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout


def _leave_key(key: str) -> None:
    """Leave the key where the PAM module and readers find it; without it they go by the kernel's boot id."""
    try:
        fd = os.open(f"{BOOT_KEY}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with open(fd, "w", encoding="ascii") as file:
            os.fchmod(fd, 0o644)
            file.write(f"{key}\n")
        os.rename(f"{BOOT_KEY}.new", BOOT_KEY)
    except OSError:
        pass


def _remove_key() -> None:
    try:
        os.unlink(BOOT_KEY)
    except OSError:
        pass
