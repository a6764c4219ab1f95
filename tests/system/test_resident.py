# SPDX-License-Identifier: BSD-2-Clause
"""The resident recorder on a machine that runs: turned on, killed, restarted, there to the last, and turned off again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from system.containers import CannotError, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.conftest import Installed
    from system.containers import Container

pytestmark = pytest.mark.system

DROP_IN = "/usr/local/lib/systemd/system/wtmpdb-recorder.service.d/resident.conf"
RESIDENT = "wtmpdb-recorder.service wtmpdb-recorder.socket wtmpdb-varlink.socket"

# Seconds from the login, as its row has it, until an ordinary user sees it: each login is a session of su.
SEEN = """
import sqlite3, subprocess, time
waited = []
for number in range(20):
    subprocess.run(["su", "alice", "-c", "true"], check=True)
    begun = time.monotonic()
    while True:
        database = sqlite3.connect("file:/var/lib/wtmpdb/wtmp.db?mode=ro", uri=True)
        open_, closed = database.execute("SELECT count(*) FILTER (WHERE Logout IS NULL), count(Logout) FROM wtmp WHERE Service = 'su'").fetchone()
        database.close()
        if closed == number + 1 and not open_:
            break
        assert time.monotonic() - begun < 5
    waited.append(time.monotonic() - begun)
print(sorted(waited)[10], max(waited))
"""


def on(machine: Container) -> None:
    """Boot a machine, and turn the resident recorder on."""
    try:
        machine.boot()
    except CannotError as error:
        pytest.skip(str(error))
    machine.run("wtmpdb setup --recorder")


def pid(machine: Container) -> int:
    """Return the process of the recorder, 0 where there is none."""
    return int(machine.run("systemctl show --property=MainPID --value wtmpdb-recorder.service"))


def is_seen(machine: Container, **facts: str) -> bool:
    """Tell whether an ordinary user sees a login of which these facts are true."""
    return any(facts.items() <= line.items() for line in machine.last(user="alice"))


@pytest.mark.parametrize("name", ["bookworm", "trixie"])
def test_life(container: Callable[[str], Container], name: str) -> None:
    """A login is seen at once by everybody; killed or restarted, the recorder goes on; it is there from before the first login to the last logout."""
    machine = container(name)
    on(machine)
    assert machine.run(f"systemctl is-active {RESIDENT}").split() == ["active"] * 3
    assert "nothing to do" in machine.run("wtmpdb setup")

    median, longest = map(float, machine.python(SEEN).split())
    assert median < 0.1, (median, longest)
    assert longest < 1, (median, longest)

    first = pid(machine)
    machine.run("kill -9 $(systemctl show --property=MainPID --value wtmpdb-recorder.service)")
    machine.run("su carol -c true")
    until(lambda: is_seen(machine, user="carol"), "the login after the kill")
    assert until(lambda: pid(machine), "the recorder") != first
    with machine.session("alice", "127.0.0.72"):
        machine.run("systemctl restart wtmpdb-recorder.service")
        machine.run("su bob -c true")
        until(lambda: is_seen(machine, user="bob"), "the login after the restart")
    until(lambda: next(line for line in machine.last() if line["hostname"] == "127.0.0.72")["end"] == "logout", "the logout after the restart")
    problems = [line for line in machine.run("wtmpdb doctor", check=False).splitlines() if "units" in line or "spool" in line]
    assert not any(line.startswith(("problem", "PROBLEM")) for line in problems), problems

    machine.reboot()
    ordered = machine.run("systemctl show --property=ActiveEnterTimestampMonotonic --value wtmpdb-recorder.service systemd-user-sessions.service")
    recorder, logins = map(int, ordered.split())
    assert 0 < recorder <= logins
    machine.hold("alice", "127.0.0.74")
    until(lambda: is_seen(machine, hostname="127.0.0.74"), "the last login")
    before = time.time()
    machine.power_off()
    database = machine.tree.path("/var/log/wtmp.db" if name == "trixie" else "/var/lib/wtmpdb/wtmp.db")
    shown = subprocess.run([sys.executable, "-m", "wtmpdb", "last", "--json", "-f", database], capture_output=True, text=True, check=True)
    held = [
        (line["end"], (line["logout_usec"] or 0) / 1e6 > before - 2)
        for line in json.loads(shown.stdout)["entries"]
        if line["hostname"] == "127.0.0.74"
    ]
    assert held == [("logout", True)], shown.stdout[:2000]


def test_turned_on_and_off(container: Callable[[str], Container]) -> None:
    """Turned off, the recorder comes and goes as before; undone, nothing of it is left; who turns it on on top of nothing gets it running."""
    machine = container("bookworm")
    on(machine)
    assert pid(machine)
    machine.run("wtmpdb setup --no-recorder")
    assert machine.run(f"systemctl is-enabled {RESIDENT}", check=False).split()[:2] == ["disabled", "enabled"]
    assert machine.run(f"ls {DROP_IN} /run/wtmpdb/socket 2>&1 || true").count("No such file") == 2
    machine.run("ssh -b 127.0.0.75 alice@127.0.0.1 true")
    until(lambda: is_seen(machine, hostname="127.0.0.75"), "the login by the service that comes and goes")
    until(lambda: not pid(machine), "its end")
    assert "nothing to do" in machine.run("wtmpdb setup")
    machine.run("wtmpdb setup --recorder")
    assert pid(machine)
    machine.run("wtmpdb setup --undo")
    assert machine.run("systemctl list-units --all --plain --no-legend 'wtmpdb-*'") == ""
    assert machine.run("find /etc/systemd /usr/local/lib /run -name '*wtmpdb*'") == ""
    machine.power_off()


@pytest.mark.parametrize("name", ["bookworm", "trixie"])
def test_units(install: Callable[[str], Installed], name: str) -> None:
    """What makes the recorder stay is understood by systemd to the last word, and rated as OK."""
    tree = install(name).tree.above()
    tree.run("wtmpdb setup --recorder")
    checked = tree.run("exec systemd-analyze verify --man=no $(find /usr/local/lib/systemd/system -maxdepth 1 -type f)", check=False)
    assert checked.stdout + checked.stderr == ""
    said = tree.run("systemd-analyze security --offline=yes --no-pager /usr/local/lib/systemd/system/wtmpdb-recorder.service").stdout
    assert float(re.findall(r"exposure level for \S+: ([\d.]+)", said)[0]) < 5
