# SPDX-License-Identifier: BSD-2-Clause
"""What a failed login costs, and an attack of 2,000 of them a minute: our module in a stack that denies, against the same stack without it.

The recorders, the short-lived one and the resident one, run as systemd would run them, each on a spool of its own that is attacked at the same pace.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.installed import installed
from benchmarks.measure import ROOT, Result, Settings, Skipped, at_most, low, take_turns

if TYPE_CHECKING:
    from collections.abc import Iterator

_ATTEMPTS = 25
_ROUNDS = 100
_WAITING = 900
_A_MINUTE, _SECONDS, _BURST = 2000, 60, 10
_MANNERS = {"short-lived": [], "resident": ["--resident"]}
_START = 'exec 3<&"$1"; shift; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'


def run(settings: Settings) -> Iterator[Result]:
    """Yield the lines of the table."""
    if os.geteuid() != 0:
        raise Skipped("failed logins are recorded only for root")
    for program in ("make", "cc"):
        if shutil.which(program) is None:
            raise Skipped(f"{program} is not installed")
    with tempfile.TemporaryDirectory(prefix="failures-", dir=settings.cache) as name:
        work = Path(name)
        subprocess.run(["make", "-s", "-C", ROOT / "pam", f"BUILD={work}", "all", f"{work}/exercise"], check=True)
        yield from _attempts(work)
        yield from _attack(work)


# One attempt


def _attempts(work: Path) -> Iterator[Result]:
    _make_service(work, "denied", ours=False)
    spools = {name: _make_service(work, name) for name in ("few", "many", "counting")}
    for number in range(_WAITING):
        (spools["many"] / "new" / f"{1_795_242_031_123_456:020}.{number:010}.000000.00000000").touch()
    (spools["counting"] / "uncounted").touch(0o600)
    os.sync()
    runners = {"denied": partial(_try, work, "denied"), **{name: partial(_try, work, name, spool) for name, spool in spools.items()}}
    times = {what: low(seconds) for what, seconds in take_turns(runners, _ROUNDS).items()}
    for what, said in (("few", "few letters wait"), ("many", f"{_WAITING} wait"), ("counting", "too many wait: it is only counted")):
        yield at_most(f"a failed login, added time, {said}", (times[what] - times["denied"]) * 1000, 0.6, "ms")


def _make_service(work: Path, name: str, *, ours: bool = True) -> Path:
    """Make a PAM service that denies, and the spool that belongs to it."""
    line = f"auth [default=ignore] {work}/pam_wtmpdb_spool.so spool={work}/{name}/spool poke={work}/{name}/poke\n"
    (work / "pam.d").mkdir(exist_ok=True)
    (work / "pam.d" / name).write_text((line if ours else "") + "auth requisite pam_deny.so\n")
    spool = work / name / "spool"
    for path in (spool, spool / "failed"):
        for directory in (path, path / "tmp", path / "new", path / "bad"):
            directory.mkdir(0o700, parents=True)
    return spool / "failed"


def _try(work: Path, service: str, spool: Path | None = None) -> float:
    """Fail to log in some times; return the seconds of one attempt. The letters that come of it go again."""
    before = set(os.listdir(spool / "new")) if spool else set()
    begun = time.perf_counter()
    _exercise(work, service, _ATTEMPTS)
    lasted = (time.perf_counter() - begun) / _ATTEMPTS
    if spool:
        new = set(os.listdir(spool / "new")) - before
        if len(new) != (0 if service == "counting" else _ATTEMPTS):
            raise RuntimeError("not every attempt left a letter")
        for name in new:
            (spool / "new" / name).unlink()
    return lasted


def _exercise(work: Path, service: str, attempts: int) -> None:
    subprocess.run([work / "exercise", work / "pam.d", service, "1", "1", str(attempts), "failed"], check=True)


# An attack


def _attack(work: Path) -> Iterator[Result]:
    with installed() as program:
        recorders = {manner: _recorder(work, program, manner, words) for manner, words in _MANNERS.items()}
        before = _seconds_of_children()
        number = _at_a_pace(work)
        busy = _seconds_of_children() - before
        used = {manner: _end(process) for manner, process in recorders.items()}
        for manner in _MANNERS:
            subprocess.run([program, "recorder", "--once", "--spool", work / manner / "spool", "--file", work / manner / "wtmp.db"], check=True)
            rows, total = _total(work / manner / "btmp.db")
            if total != number:
                raise RuntimeError(f"{manner}: of {number} attempts {total} are in the file")
    alone = _seconds_of_children()
    for _ in range(number // _BURST):
        _exercise(work, "denied", _BURST)
    alone = _seconds_of_children() - alone
    modules = max(busy / len(_MANNERS) - alone, 0.0)
    what = f"{number * 60 // _SECONDS:,} attempts a minute for {_SECONDS} s"
    yield Result(f"{what}: rows, of {number:,} attempts", f"{rows:,}")
    yield Result(f"{what}: our module, of one core", f"{100 * modules / _SECONDS:.2f} %")
    for manner, seconds in used.items():
        yield at_most(f"{what}: module and {manner} recorder, of one core", 100 * (seconds + modules) / _SECONDS, 10.0, "%")


def _recorder(work: Path, program: str, manner: str, words: list[str]) -> subprocess.Popen[bytes]:
    _make_service(work, manner)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as poke:
        poke.bind(str(work / manner / "poke"))
        poke.set_inheritable(True)
        command = [program, "recorder", *words, "--spool", f"{work}/{manner}/spool", "--file", f"{work}/{manner}/wtmp.db"]
        return subprocess.Popen(["bash", "-c", _START, "bash", str(poke.fileno()), *command], pass_fds=[poke.fileno()], stderr=subprocess.DEVNULL)


def _at_a_pace(work: Path) -> int:
    """Attack all recorders; return how often each."""
    number = _A_MINUTE * _SECONDS // 60
    begun = time.monotonic()
    for attempt in range(0, number, _BURST):
        time.sleep(max(0.0, begun + attempt * 60 / _A_MINUTE - time.monotonic()))
        for manner in _MANNERS:
            _exercise(work, manner, _BURST)
    return number


def _end(process: subprocess.Popen[bytes]) -> float:
    """End a recorder, unless it has ended; return the seconds of processor that it has used."""
    with suppress(ProcessLookupError):
        process.terminate()
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = 0
    return used.ru_utime + used.ru_stime


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _total(database: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(database)) as db:
        rows = db.execute("SELECT count(*) FROM wtmp").fetchone()[0]
        return rows, rows + db.execute("SELECT coalesce(sum(number), 0) FROM counted").fetchone()[0]
