# SPDX-License-Identifier: BSD-2-Clause
# ruff: noqa: RUF001 - a table for people has a multiplication sign
"""The resident recorder: how soon a login through the real PAM module is a row, what bursts of logins do, and how much memory it takes.

The sessions are opened by the libpam of a tree of Debian 13, whose pam_wtmpdb.so does the same burst; the recorder runs as its unit has it run. A
login begins when the module looks at the clock, and is seen by a reader that asks the database all the time.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.bench_login import BOOT_KEY, NAMESPACE, find_tree
from benchmarks.installed import PYTHON, installed
from benchmarks.measure import ROOT, Result, Settings, Skipped, at_most

if TYPE_CHECKING:
    from collections.abc import Iterator

_SINGLE = 300
_WORKERS, _EACH = 8, 2000
_MOMENT = 1000
_LOOK = 0.001  # seconds between two looks of the reader

# As systemd starts it.
_START = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "poke", "LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[2], sys.argv[2:])
"""


class World:
    """A directory with a spool, a history, PAM services, and a recorder that is running; seen from inside the tree, it is /mnt."""

    def __init__(self, work: Path, tree: str) -> None:
        """Prepare all but the recorder."""
        self.work = work
        self.tree = tree
        self.database = work / "wtmp.db"
        work.chmod(0o755)
        for path in (work / "pam.d", work / "spool", *(work / "spool" / name for name in ("tmp", "new", "bad"))):
            path.mkdir(0o700)
        (work / "boot").write_text(BOOT_KEY)
        shutil.copy(ROOT / "benchmarks" / "sessions.py", work)
        subprocess.run(["make", "-s", "-C", ROOT / "pam", f"BUILD={work}", "all"], check=True)
        lines = {"ours": "/mnt/pam_wtmpdb_spool.so spool=/mnt/spool poke=/mnt/poke", "c": "pam_wtmpdb.so database=/mnt/c.db"}
        for service, line in lines.items():
            (work / "pam.d" / service).write_text(f"session required pam_permit.so\nsession required {line}\n")
        self.poke = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.poke.bind(str(work / "poke"))
        self.recorder: subprocess.Popen[bytes] | None = None

    def start(self, program: str) -> None:
        """Start the recorder."""
        words = [program, "recorder", "--resident"]
        self.recorder = subprocess.Popen([PYTHON, "-ISc", _START, str(self.poke.fileno()), *words], pass_fds=[self.poke.fileno()])
        while not self.database.exists() or not self.asked("SELECT count(*) FROM sqlite_master WHERE name = 'session'"):
            time.sleep(0.01)

    def close(self) -> None:
        """End the recorder."""
        if self.recorder:
            self.recorder.terminate()
            self.recorder.wait()
        self.poke.close()

    def log_in(self, *words: str) -> subprocess.Popen[bytes]:
        """Start sessions.py in the tree."""
        inside = ["chroot", self.tree, "/usr/bin/python3", "-IS", "/mnt/sessions.py", *words]
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", NAMESPACE, "sh", self.tree, str(self.work), *inside]
        return subprocess.Popen(command, stdout=subprocess.PIPE)

    def logged_in(self, *words: str) -> Any:
        """Run it to its end; return what it says."""
        with self.log_in(*words) as process:
            said = process.communicate()[0]
        if process.returncode:
            raise RuntimeError(f"sessions.py {' '.join(words)}: {process.returncode}")
        return json.loads(said)

    def asked(self, question: str, name: str = "wtmp.db") -> int:
        """Return the number that is the answer."""
        with closing(sqlite3.connect(f"file:{self.work / name}?mode=ro", uri=True, timeout=10)) as db:
            return int(db.execute(question).fetchone()[0])

    def memory(self) -> float:
        """Return the resident memory of the recorder in MB."""
        status = Path(f"/proc/{self.recorder.pid if self.recorder else 0}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024 / 1e6

    def seen_when(self, column: str, number: int, patience: float = 60.0) -> float:
        """Wait until so many rows have something in a column; return when they had (seconds since the epoch)."""
        deadline = time.monotonic() + patience
        while self.asked(f"SELECT count({column}) FROM wtmp") < number:
            if time.monotonic() > deadline:
                raise RuntimeError(f"of {number} logins only {self.asked(f'SELECT count({column}) FROM wtmp')} became rows")
            time.sleep(0.005)
        return time.time()


@contextmanager
def world(cache: Path, tree: str) -> Iterator[World]:
    """Give a new one, with a recorder that runs."""
    with tempfile.TemporaryDirectory(prefix="recorder-", dir=cache) as name, installed(Path(name, "wtmp.db"), Path(name, "spool")) as program:
        made = World(Path(name), tree)
        try:
            made.start(program)
            yield made
        finally:
            made.close()


def run(settings: Settings) -> Iterator[Result]:
    """Yield the lines of the table."""
    if os.geteuid() != 0:
        raise Skipped("sessions are recorded only for root")
    for tool in ("make", "cc", "unshare"):
        if shutil.which(tool) is None:
            raise Skipped(f"{tool} is not installed")
    tree, why = find_tree()
    if tree and not (Path(tree) / "usr/bin/python3").exists():
        tree, why = "", f"no Python in {tree}"
    with world(settings.cache, tree or "/") as one:
        yield at_most("recorder: resident memory when idle", one.memory(), 14, "MB")
        yield from _single(one)
        yield at_most(f"recorder: resident memory after {_SINGLE} logins", one.memory(), 14, "MB")
    with world(settings.cache, tree or "/") as one:
        yield from _moment(one)
    with world(settings.cache, tree or "/") as one:
        yield from _burst(one, "" if tree else why)


def _single(one: World) -> Iterator[Result]:
    """Log in one after the other; a row is seen by a reader that looks again and again."""
    waited: list[float] = []
    with one.log_in("one", "ours", str(_SINGLE)) as process, closing(sqlite3.connect(f"file:{one.database}?mode=ro", uri=True, timeout=10)) as db:
        deadline = time.monotonic() + 120
        while len(waited) < _SINGLE:
            rows = db.execute("SELECT Login FROM wtmp WHERE ID > ?", (len(waited),)).fetchall()
            now = time.time()
            waited += [now - login / 1e6 for (login,) in rows]
            if time.monotonic() > deadline:
                raise RuntimeError(f"of {_SINGLE} logins {len(waited)} were seen")
            time.sleep(_LOOK)
        process.communicate()
    waited.sort()
    yield at_most("login to visible row, median", waited[len(waited) // 2] * 1000, 20, "ms")
    yield at_most("login to visible row, 99th percentile", waited[len(waited) * 99 // 100] * 1000, 100, "ms")


def _moment(one: World) -> Iterator[Result]:
    """Log in a thousand times at the same moment."""
    with one.log_in("moment", "ours", str(_MOMENT)) as process:
        seen = one.seen_when("Login", _MOMENT)
        told = json.loads(process.communicate()[0])
    yield at_most(f"{_MOMENT:,} logins at the same moment: slowest", told["slowest"], 1, "s")
    yield at_most(f"{_MOMENT:,} logins at the same moment: all are rows after", seen - told["begun"], 3, "s")
    yield at_most(f"{_MOMENT:,} logins at the same moment: lost", _MOMENT - one.asked("SELECT count(*) FROM wtmp"), 0, "logins")


def _burst(one: World, why: str) -> Iterator[Result]:
    """Log in and out as fast as it goes, through ours and through C's."""
    number = _WORKERS * _EACH
    what = f"{_WORKERS} × {_EACH:,} logins"
    told = one.logged_in("many", "ours", str(_WORKERS), str(_EACH))
    ours = number / (one.seen_when("Logout", number) - told["begun"])
    yield at_most(f"{what}: lost", number - one.asked("SELECT count(Logout) FROM wtmp") + told["failed"], 0, "logins")
    if why:
        yield Result(f"{what}: against Debian's pam_wtmpdb.so", f"skipped: {why}")
        return
    theirs = one.logged_in("many", "c", str(_WORKERS), str(_EACH))
    kept = one.asked("SELECT count(Logout) FROM wtmp", "c.db")
    speed = kept / (theirs["ended"] - theirs["begun"])
    yield Result(f"{what}, Debian's pam_wtmpdb.so: lost", f"{number - kept} logins")
    yield Result(
        f"{what}: rows per second by ours : by Debian's pam_wtmpdb.so", f"{ours / speed:.2f} × ({ours:.0f} : {speed:.0f})", "≥ 2 ×", ours >= 2 * speed
    )
