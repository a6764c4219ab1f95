# SPDX-License-Identifier: BSD-2-Clause
"""The exporter's service on a machine that runs: turned on, asked, seen to have few rights, and turned off again."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from system.containers import CannotError, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.containers import Container

pytestmark = pytest.mark.system

UNITS = "/usr/local/lib/systemd/system"
SCRAPE = """
from urllib.request import urlopen
print(urlopen("http://127.0.0.1:20380/metrics", timeout=10).read().decode())
"""


def scraped(machine: Container) -> dict[str, float]:
    """Return what the exporter gives, as any user may ask for it."""
    text = machine.python(SCRAPE)
    return {name: float(value) for name, value in re.findall(r"^(wtmpdb_[^ ]+) (\S+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("name", ["bookworm", "trixie"])
def test_service(container: Callable[[str], Container], name: str) -> None:
    """The first scrape starts it, as a user of its own that reads a private history too; it sees who is on; turned off, nothing of it is left."""
    machine = container(name)
    try:
        machine.boot()
    except CannotError as error:
        pytest.skip(str(error))
    machine.run("wtmpdb setup --exporter")
    assert "nothing to do" in machine.run("wtmpdb setup")
    assert machine.run("systemctl is-active wtmpdb-exporter.socket wtmpdb-exporter.service || :").split() == ["active", "inactive"]
    assert machine.run(f"systemd-analyze verify --man=no {UNITS}/wtmpdb-exporter.* 2>&1") == ""

    found = scraped(machine)
    assert (found["wtmpdb_up"], found["wtmpdb_boots_total"]) == (1, 1)
    facts = machine.run("cat /proc/$(systemctl show -p MainPID --value wtmpdb-exporter.service)/status")
    assert 61184 <= int(re.findall(r"^Uid:\s+(\d+)", facts, re.MULTILINE)[0]) <= 65519  # what systemd gives to dynamic users
    assert int(re.findall(r"^CapEff:\s+(\w+)", facts, re.MULTILINE)[0], 16) == 0
    rating = machine.run("systemd-analyze security --no-pager wtmpdb-exporter.service | grep Overall")
    assert float(re.findall(r": ([\d.]+)", rating)[0]) < 2

    remote = 'wtmpdb_sessions{class="user",remote="true",type="tty"}'
    before = found[remote]
    with machine.session("alice", "127.0.0.8"):
        until(lambda: scraped(machine)[remote] == before + 1, "a session")
    until(lambda: scraped(machine)[remote] == before, "the end of it")

    machine.run("wtmpdb setup --private")
    machine.run("systemctl restart wtmpdb-exporter.service")
    assert scraped(machine)["wtmpdb_up"] == 1
    machine.run("echo ARGS=--collect.per-user >/etc/default/wtmpdb-exporter; systemctl restart wtmpdb-exporter.service")
    with machine.session("alice", "127.0.0.9"):
        until(lambda: scraped(machine).get('wtmpdb_user_sessions{user="alice"}') == 1, "a session of alice")

    # Letters that nobody can take are told of, though the service may not see them, and so is when a recorder looked last.
    machine.run("wtmpdb setup --recorder")
    until(lambda: scraped(machine)["wtmpdb_recorder_last_look_timestamp_seconds"] > time.time() - 60, "the pulse of the recorder")
    assert scraped(machine)["wtmpdb_spool_letters"] == 0
    machine.run("systemctl stop wtmpdb-recorder.path wtmpdb-recorder.timer wtmpdb-recorder.socket wtmpdb-recorder.service")
    stopped = scraped(machine)["wtmpdb_recorder_last_look_timestamp_seconds"]
    with machine.session("alice", "127.0.0.9"):
        pass
    assert scraped(machine)["wtmpdb_recorder_last_look_timestamp_seconds"] == stopped
    machine.run("wtmpdb setup --no-recorder; wtmpdb recorder --once")
    assert scraped(machine)["wtmpdb_recorder_last_look_timestamp_seconds"] > stopped

    machine.run("wtmpdb setup --no-exporter --no-private")
    assert machine.run(f"ls {UNITS} | grep exporter || :") == ""
    assert machine.run("systemctl is-active wtmpdb-exporter.socket wtmpdb-exporter.service || :").split() == ["inactive", "inactive"]
