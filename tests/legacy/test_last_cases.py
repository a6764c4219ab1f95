# SPDX-License-Identifier: BSD-2-Clause
"""Old files made by hand, each with the world that it is read in and what util-linux's `last` and `lastb` (2.43-devel) print of it, to the byte."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from support import SECOND, Machine
from wtmpdb.__main__ import main
from wtmpdb.listing import printable, times

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = Path(__file__).parent.parent / "data" / "last"
UNREADABLE = -2
SAME = 34
"""So much of an error is the same: what is behind it depends on the C library and on our own options."""

OF_STRAY_BYTES = """\
bob      pts/1        h                Fri Mar  1 09:00   still logged in
reboot   system boot  6.1.0-18-amd64   Fri Mar  1 08:00   still running
alice    tty1                          Tue Feb 20 12:00 - down   (06:00)
bob      pts/1        h                Tue Feb 20 09:30 - 11:00  (01:30)
alice    pts/0        h                Tue Feb 20 09:00 - 10:00  (01:00)
reboot   system boot  6.1.0-18-amd64   Tue Feb 20 08:00 - 18:00  (10:00)

wtmp begins Tue Feb 20 08:00:00 2024
"""
UNSIGNED = (
    """\
max      pts/2        h                Tue Jan 19 03:14    gone - no logout
min      pts/1        h                Tue Jan 19 03:14 - 03:14  (-00:00)
neg      pts/0        h                Sun Feb  7 06:28 - 00:00 (-49710+06:28)

wtmp begins Sun Feb  7 06:28:15 2106
""",
    """\
max      pts/2        h                Tue Jan 19 03:14:07 2038   gone - no logout
min      pts/1        h                Tue Jan 19 03:14:08 2038 - Tue Jan 19 03:14:07 2038  (-00:00)
neg      pts/0        h                Sun Feb  7 06:28:15 2106 - Thu Jan  1 00:00:00 1970 (-49710+06:28)

wtmp begins Sun Feb  7 06:28:15 2106
""",
    """\
max      pts/2        h                2038-01-19T03:14:07+00:00   gone - no logout
min      pts/1        h                2038-01-19T03:14:08+00:00 - 2038-01-19T03:14:07+00:00  (-00:00)
neg      pts/0        h                2106-02-07T06:28:15+00:00 - 1970-01-01T00:00:00+00:00 (-49710+06:28)

wtmp begins 2106-02-07T06:28:15+00:00
""",
    """\
max      pts/2        h                Tue Jan 19 03:14    gone - no logout
min      pts/1        h                Tue Jan 19 03:14 - 03:14  (-00:00)
neg      pts/0        h                Sun Feb  7 06:28    gone - no logout

wtmp begins Sun Feb  7 06:28:15 2106
""",
)

# Where we know better than util-linux: the case, the run, and what we print.
BETTER = {
    # Stray bytes at the end shift every record for util-linux, which then finds none; we find the records.
    ("17-odd-files-tail", 0): OF_STRAY_BYTES,
    ("17-odd-files-tail", 1): OF_STRAY_BYTES.replace(
        "alice    tty1 ", "shutdown system down  6.1.0-18-amd64   Tue Feb 20 18:00 - 08:00 (9+14:00)\nalice    tty1 "
    ),
    # Stray bytes at the beginning: util-linux takes the time of the last line from them.
    ("17-odd-files-head", 0): OF_STRAY_BYTES,
    ("17-odd-files-head", 1): "bob      pts/1        h                Fri Mar  1 09:00:00 2024   still logged in\n\n"
    "wtmp begins Tue Feb 20 08:00:00 2024\n",
    # Seconds of 32 bits have no sign: they reach until 2106. So they do for util-linux too where it is built with glibc 2.40 or later.
    **{("22-y2038", nth): printed for nth, printed in enumerate(UNSIGNED)},
}


class Run(NamedTuple):
    """A command line of a case."""

    case: str
    nth: int
    argv: list[str]
    env: dict[str, str]
    rc: int
    stdout: str
    stderr: str


def runs() -> Iterator[Run]:
    """Yield all runs of all cases."""
    for path in sorted(CASES.glob("*/expected.json")):
        for nth, run in enumerate(json.loads(path.read_text())):
            yield Run(path.parent.name, nth, run["argv"], run["env"], run["rc"], run["stdout"], run["stderr"])


RUNS = list(runs())


class World(Machine):
    """The machine that a case is read on."""

    def __init__(self, world: dict) -> None:  # type: ignore[type-arg]
        super().__init__(
            boot=world["boot"] * SECOND,
            users={name.encode(): uid for name, uid in world["users"].items()},
            ttys={name.encode(): uid for name, uid in world["dev"].items()},
            login_uids={int(pid): -1 if uid == UNREADABLE else uid for pid, uid in world["loginuid"].items()},
        )


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Return what puts us into the world of a case."""

    def enter(run: Run) -> None:
        world = json.loads((CASES / run.case / "world.json").read_text())["world"]
        for name, value in {"TZ": "UTC", "LC_ALL": "C", **run.env}.items():
            monkeypatch.setenv(name, value)
        time.tzset()
        monkeypatch.setattr("wtmpdb.cli.last.time.time", lambda: float(world["now"]))
        monkeypatch.setattr("wtmpdb.cli.old.System", lambda: World(world))
        monkeypatch.setattr(printable, "_utf8", ["UTF-8" in os.environ["LC_ALL"]])
        monkeypatch.chdir(CASES / run.case)

    yield enter
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run.case}-{run.nth}")
def test_case(run: Run, enter: object, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Each run prints what util-linux prints, but for the listed ones in which we know better, and complains where it complains."""
    enter(run)  # type: ignore[operator]
    code = main(run.argv)
    out, err = capfdbinary.readouterr()
    expected = BETTER.get((run.case, run.nth), run.stdout)
    changed = int((CASES / run.case / "wtmp").stat().st_ctime)
    form = times.iso if "--time-format=iso" in run.argv else times.full
    assert out.decode("latin-1") == expected.replace("@CTIME@", form(changed))
    assert code == run.rc
    if run.rc:
        assert err.decode()[:SAME] == run.stderr[:SAME]
    else:
        assert bool(run.stderr) <= bool(err)


def test_all_cases_are_there() -> None:
    """There are 32 cases, and each exception is of one of them."""
    assert len({run.case for run in RUNS}) == 32
    assert {(run.case, run.nth) for run in RUNS}.issuperset(BETTER)
