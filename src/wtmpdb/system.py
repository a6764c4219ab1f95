# SPDX-License-Identifier: BSD-2-Clause
"""What the running machine knows: its boot, its processes, its users, its ttys. One seam, so that tests can stand in for it."""

from __future__ import annotations

import os
import time
from stat import S_IWGRP

from wtmpdb.entry import SECOND

BOOT_KEY = "/run/wtmpdb/boot"
"""Where `wtmpdb boot` leaves the boot key for the PAM module and for readers."""

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_CONTAINER = "/run/systemd/container"
_LONGEST_KEY = 127
_STATE, _TTY, _THREADS, _START = 3, 7, 20, 22  # fields of /proc/PID/stat
_PTS_MAJOR = 136  # devices.txt of the kernel
_SHELL_BELOW = 2
_MOST_CHILDREN = 64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wtmpdb.logind import Login


class System:
    """The machine that we run on. Times are µs since the epoch, UTC."""

    def boot_id(self) -> str:
        """Return the kernel's id of this boot, or "" where /proc does not tell."""
        return _first_line(_BOOT_ID)

    def boot_key(self) -> str:
        """Return the key of this boot (docs/format.md, "The boot key"): as `wtmpdb boot` left it, or else without knowledge of soft reboots."""
        return self.boot_key_left() or self.make_boot_key(0)

    def boot_key_left(self) -> str:
        """Return the key that `wtmpdb boot` left in this boot, or "".

        Process 1 tells whether it is of this boot. The boot id does not do: in a container a sandboxed service may see that of the host, since
        systemd 252 mounts a /proc of its own for it.
        """
        left, start = _first_line(BOOT_KEY), self.process_start(1)
        return left if 0 < len(left) <= _LONGEST_KEY and (start is None or left.endswith(f"/{start}")) else ""

    def make_boot_key(self, soft_reboots: int) -> str:
        """Return the key of this boot, given how often systemd has soft-rebooted since the kernel's start."""
        return f"{self.boot_id()}/{soft_reboots}/{self.process_start(1) or 0}"

    def boot_time(self) -> int:
        """Return when this boot began: the start of the kernel; in a container, whose kernel is the host's, the start of process 1."""
        if not os.path.exists(_CONTAINER):
            return self.kernel_start()
        ticks = self.process_start(1) or 0
        return self.kernel_start() + ticks * SECOND // os.sysconf("SC_CLK_TCK")

    def kernel_start(self) -> int:
        """Return when the kernel was started: the clock less its uptime."""
        return (time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) // 1000

    def kernel(self) -> str:
        """Return the release of the kernel."""
        return os.uname().release

    def process_start(self, pid: int) -> int | None:
        """Return the start of a process in clock ticks since the kernel's boot, or None when it cannot be seen (proc(5), stat, field 22)."""
        fields = _stat(pid)
        return int(fields[_START]) if fields else None

    def process_lives(self, pid: int, start: int | None) -> bool | None:
        """Tell whether the very process lives that had this id and start; None when that cannot be found out (hidepid).

        One that is dead, but that its parent has not taken notice of, lives no more; whose first thread has ended before others lives on.
        """
        fields = _stat(pid)
        if fields:
            is_dead = fields[_STATE] in (b"Z", b"X") and int(fields[_THREADS]) <= 1
            return not is_dead and start in (None, int(fields[_START]))
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except (PermissionError, OverflowError):
            pass
        return None

    def terminal(self, pid: int) -> bytes | None:
        """Return the pseudo terminal, as ``pts/0``, of a process or of the nearest below it, or None where none of them has one.

        Only so far below as the shell of an ssh session is: sshd's monitor, which opens the session, has a child that has the shell.
        """
        pids = [pid]
        for _ in range(_SHELL_BELOW + 1):
            for one in pids:
                fields = _stat(one)
                device = int(fields[_TTY]) if fields else 0
                if device >> 8 & 0xFFF == _PTS_MAJOR:
                    return b"pts/%d" % (device & 0xFF | device >> 12 & 0xFFF00)
            pids = [child for one in pids for child in _children(one)][:_MOST_CHILDREN]
        return None

    def title(self, pid: int) -> bytes:
        """Return what a process calls itself (proc(5), cmdline), b"" where that cannot be seen."""
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return file.read(4096).rstrip(b"\0 ")
        except OSError:
            return b""

    def tty_use(self, tty: bytes) -> tuple[bool, int] | None:
        """Tell whether others may write to a terminal, and when it was last read from (µs); None when there is no such device."""
        found = _device(tty)
        return (bool(found.st_mode & S_IWGRP), found.st_atime_ns // 1000) if found else None

    def logins(self) -> list[Login]:
        """Return the sessions that logind knows; none where it does not run."""
        from wtmpdb import logind  # noqa: PLC0415 - only where the present counts

        return logind.logins()

    def user_id(self, name: bytes) -> int | None:
        """Return the uid of a user, or None."""
        import pwd  # noqa: PLC0415 - only needed for rows without a process

        try:
            return pwd.getpwnam(name.decode("utf-8", "surrogateescape")).pw_uid
        except (KeyError, ValueError):
            return None

    def tty_owner(self, tty: bytes) -> int | None:
        """Return the uid of the owner of a device in /dev, or None when there is no such device."""
        found = _device(tty)
        return found.st_uid if found else None

    def login_uid(self, pid: int) -> int | None:
        """Return the uid that the login of a process set: 2**32 - 1 where none did, -1 where there is no number, None where there is no process."""
        try:
            with open(f"/proc/{pid}/loginuid", "rb") as file:
                return int(file.read(32))
        except (FileNotFoundError, PermissionError):
            return None
        except (OSError, ValueError):
            return -1


def _stat(pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat, counted from 1 as in proc(5); none when they cannot be seen."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            # The second field, the name, may hold anything, also blanks and parentheses.
            fields = stat.read(4096).rpartition(b")")[2].split()
    except OSError:
        return []
    return [b"", b"", b"", *fields] if len(fields) > _START - _STATE else []


def _children(pid: int) -> list[int]:
    """Return the ids of the children of a process, as its first thread has them (proc(5), task/TID/children)."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            return [int(word) for word in file.read(4096).split()[:_MOST_CHILDREN]]
    except (OSError, ValueError):
        return []


def _device(tty: bytes) -> os.stat_result | None:
    if not tty or b"\0" in tty or b".." in tty:
        return None
    try:
        return os.stat(b"/dev/" + tty)
    except OSError:
        return None


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline(256).strip()
    except OSError:
        return ""
