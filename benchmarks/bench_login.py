# SPDX-License-Identifier: BSD-2-Clause
"""What a login costs: a session opened and closed through PAM, over a stack that only permits, against the C module of Debian 13.

All stacks run in a tree of Debian 13 by chroot, in turns, with the same pamtester, their files in one directory on one disk. Where no tree can be
had, ours runs on the machine itself and is compared with nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import logins
from benchmarks.measure import ROOT, TEST_CACHE, Result, Settings, Skipped, at_most, low, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

_TREES = ("trixie-c", "trixie-peer")  # the second is that of the tests
_NEEDED = ("usr/bin/pamtester", "usr/lib/*/security/pam_wtmpdb.so")
_PACKAGES = "pamtester,wtmpdb,libpam-wtmpdb"
_LETTERS = 2 * (logins.ROUNDS + 1)
BOOT_KEY = "8d6f3c0e-6a55-4f0e-9d9b-0f4ad2b7a1c3/0/23\n"

# The namespace hides from everybody else what is mounted over the tree: pam.d, /proc, an empty /run and the directory of the files.
NAMESPACE = """
set -eu
tree=$1 work=$2
shift 2
mount --bind "$work/pam.d" "$tree/etc/pam.d"
mount --bind "$work" "$tree/mnt"
mount -t tmpfs tmpfs "$tree/run"
[ "$tree" = / ] || mount --rbind /proc "$tree/proc"
mkdir "$tree/run/wtmpdb"
cp "$work/boot" "$tree/run/wtmpdb/boot"
exec "$@"
"""


def run(settings: Settings) -> Iterator[Result]:
    """Yield the lines of the table."""
    if os.geteuid() != 0:
        raise Skipped("sessions are recorded only for root")
    tree, why = find_tree()
    for program in ("make", "cc", "unshare", *(() if tree else ("pamtester",))):
        if shutil.which(program) is None:
            raise Skipped(f"{program} is not installed")
    with tempfile.TemporaryDirectory(prefix="login-", dir=settings.cache) as name:
        times = _log_in(tree or "/", Path(name), ["permit", "ours", "locked", *(["c"] if tree else [])])
    low_of = {service: low(seconds) for service, seconds in times.items()}
    cost = {service: seconds - low_of["permit"] for service, seconds in low_of.items()}
    which = "open + close of a session"
    yield Result(f"{which}, a stack that only permits (pamtester)", f"{low_of['permit'] * 1000:.2f} ms")
    yield Result("writing and syncing two small files as it does, without PAM", f"{low_of['disk'] * 1000:.2f} ms")
    yield at_most(f"{which}: our module adds", cost["ours"] * 1000, 1.2, "ms")
    yield at_most(f"{which}, database locked: our module adds", cost["locked"] * 1000, 1.2, "ms")
    yield ratio(f"{which}: database locked : not locked (whole login)", low_of["locked"], low_of["ours"], 1.05)
    if tree:
        yield ratio(f"{which}: added by our module : by Debian's pam_wtmpdb.so", cost["ours"], cost["c"], 0.6)
    else:
        yield Result(f"{which}: against Debian's pam_wtmpdb.so", f"skipped: {why}")


def find_tree() -> tuple[str, str]:
    """Return a tree of Debian 13 with the C module, made where there is none yet; or "" and why there is none."""
    for name in _TREES:
        if all(next((TEST_CACHE / name).glob(path), None) for path in _NEEDED):
            return str(TEST_CACHE / name), ""
    if shutil.which("mmdebstrap") is None:
        return "", "mmdebstrap is not installed"
    print("  making a tree of Debian 13 …", file=sys.stderr, flush=True)
    TEST_CACHE.mkdir(parents=True, exist_ok=True)
    draft = TEST_CACHE / f"{_TREES[0]}.draft"
    shutil.rmtree(draft, ignore_errors=True)
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={_PACKAGES}", "trixie", str(draft)]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    if made.returncode:
        return "", f"mmdebstrap: {(made.stderr.strip().splitlines() or ['failed'])[-1]}"
    draft.rename(TEST_CACHE / _TREES[0])
    return str(TEST_CACHE / _TREES[0]), ""


def _log_in(tree: str, work: Path, services: list[str]) -> dict[str, list[float]]:
    """Prepare files and PAM services, log in, and look whether every login was recorded."""
    work.chmod(0o755)
    for path in (work / "spool", work / "spool" / "tmp", work / "spool" / "new", work / "pam.d"):
        path.mkdir(0o700)
    (work / "boot").write_text(BOOT_KEY)
    subprocess.run(["make", "-s", "-C", ROOT / "pam", f"BUILD={work}", "all"], check=True)
    ours = f"session optional /mnt/pam_wtmpdb_spool.so spool=/mnt/spool poke={logins.POKE}\n"
    lines = {"permit": "", "ours": ours, "locked": ours, "c": "session optional pam_wtmpdb.so database=/mnt/c.db\n"}
    for service in services:
        (work / "pam.d" / service).write_text("session required pam_permit.so\n" + lines[service])
    (work / "pam.d" / "other").write_text("session required pam_deny.so\n")

    loop = [sys.executable, logins.__file__, tree, *services]
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", NAMESPACE, "sh", tree, str(work), *loop]
    times: dict[str, list[float]] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    _check("our module", sum(1 for _ in (work / "spool" / "new").iterdir()), 2 * _LETTERS)  # free and locked
    if "c" in services:
        with closing(sqlite3.connect(work / "c.db")) as db:
            _check("the C module", sum(db.execute("SELECT count(*), count(Logout) FROM wtmp").fetchone()), _LETTERS)
    return times


def _check(whose: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise RuntimeError(f"{whose} recorded {found} events, not {wanted}")
