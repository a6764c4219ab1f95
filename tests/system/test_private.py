# SPDX-License-Identifier: BSD-2-Clause
"""A private history on a machine that runs: the recorder shows each user what may be seen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from system.containers import CannotError

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.containers import Container

pytestmark = pytest.mark.system


def seen(machine: Container, user: str, *words: str) -> list[str]:
    """Return the users that `wtmpdb last` lists for a user, boots and all."""
    listed = machine.run(f"setpriv --reuid={user} --regid={user} --init-groups wtmpdb last --jsonl {' '.join(words)}")
    return [json.loads(line)["user"] for line in listed.splitlines()]


def refused(machine: Container, user: str) -> str:
    """Return what `wtmpdb last` says to a user who may see nothing."""
    return machine.run(f"setpriv --reuid={user} --regid={user} --init-groups wtmpdb last 2>&1 >/dev/null || :")


def test_what_is_seen(container: Callable[[str], Container]) -> None:
    """With --recorder --private a user sees own sessions and the boots, a member of utmp and root see all; --others says otherwise."""
    machine = container("bookworm")
    try:
        machine.boot()
    except CannotError as error:
        pytest.skip(str(error))
    machine.run("wtmpdb setup --private")
    assert "setup --recorder" in refused(machine, "alice")

    machine.run("adduser --quiet bob utmp; wtmpdb setup --recorder")
    machine.run("ssh -tt -b 127.0.0.81 alice@127.0.0.1 true; ssh -tt -b 127.0.0.82 bob@127.0.0.1 true")
    assert seen(machine, "alice") == ["alice", "reboot"]
    assert seen(machine, "carol") == ["reboot"]
    assert seen(machine, "bob") == seen(machine, "root") == ["bob", "alice", "reboot"]
    assert seen(machine, "alice", "-n", "1") == ["alice"]
    assert machine.run("setpriv --reuid=alice --regid=alice --init-groups wtmpdb last -n 0").splitlines()[-1].startswith("wtmp.db begins ")

    machine.run("wtmpdb setup --others none")
    assert "Permission denied" in refused(machine, "alice")
    assert seen(machine, "bob") == ["bob", "alice", "reboot"]
    machine.run("wtmpdb setup --others all")
    assert seen(machine, "carol") == ["bob", "alice", "reboot"]
    assert "nothing to do" in machine.run("wtmpdb setup")
    machine.run("wtmpdb setup --no-private")
    assert seen(machine, "carol") == ["bob", "alice", "reboot"]
    assert machine.run("journalctl --no-pager --unit wtmpdb-recorder.service --priority warning --output cat") == ""
