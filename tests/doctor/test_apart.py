# SPDX-License-Identifier: BSD-2-Clause
"""What is done in a child process: nothing of it harms or holds up the parent."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from wtmpdb.doctor.apart import Apart, ApartError


def test_result() -> None:
    """What the function returns comes back, however long; it ran in another process, with nothing of our environment, input or terminal."""
    text, pid, variables, terminal = Apart(lambda: ["x" * 200_000, os.getpid(), sorted(os.environ), os.isatty(0)]).result(10)
    assert (len(text), variables, terminal) == (200_000, ["PATH"], False)
    assert pid != os.getpid()


def test_failure() -> None:
    """An exception of the function is told by its message."""
    with pytest.raises(ApartError, match=r"^unsupported operand"):
        Apart(lambda: 1 + "x").result(10)  # type: ignore[operator]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_crash(number: signal.Signals) -> None:
    """A process that dies says so by the name of the signal."""
    with pytest.raises(ApartError, match=f"was killed by {number.name}"):
        Apart(lambda: os.kill(os.getpid(), number)).result(10)


def test_exit() -> None:
    """A library that ends the process is told, too."""
    with pytest.raises(ApartError, match="ended without a word"):
        Apart(lambda: os._exit(0)).result(10)


def test_hang() -> None:
    """A function that hangs, and what it has started, is killed after the time that it was given."""

    def hang() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.fork()
        time.sleep(100)

    begun = time.monotonic()
    child = Apart(hang)
    with pytest.raises(ApartError, match=r"did not end within 0 s"):
        child.result(0.2)
    assert time.monotonic() - begun < 3
    while living(child.pid):  # killed, but the kernel may not have got round to it
        assert time.monotonic() - begun < 10


def living(group: int) -> list[str]:
    """Return the processes of a group that are not dead."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(ProcessLookupError, FileNotFoundError):
            state, _, its_group, *_ = stat.read_text().rpartition(")")[2].split()
            if int(its_group) == group and state not in "ZX":
                found.append(stat.parent.name)
    return found


def test_grandchild_holds_the_pipe() -> None:
    """A process that the function leaves behind does not keep the answer from being taken."""

    def leave_somebody() -> str:
        if os.fork() == 0:
            time.sleep(3)
            os._exit(0)
        return "done"

    begun = time.monotonic()
    assert Apart(leave_somebody).result(10) == "done"
    assert time.monotonic() - begun < 2


def test_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """What the function prints goes nowhere."""
    Apart(lambda: [os.write(1, b"out"), os.write(2, b"err")]).result(10)
    assert capfd.readouterr() == ("", "")
