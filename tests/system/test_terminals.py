# SPDX-License-Identifier: BSD-2-Clause
"""The terminals of ssh sessions on machines that run, with a recorder that stays: each login once, with the terminal that it had."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from system.containers import WAIT, CannotError, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.containers import Container

    Row = tuple[str, str, str, str, str]

pytestmark = pytest.mark.system

KILLED = "su - carol -c 'exec sleep 1000' & sleep 0.5; pkill -KILL -u root -x su; echo ready; read -r end"


def lived(container: Callable[[str], Container], name: str) -> Container:
    """Boot a machine whose recorder stays."""
    machine = container(name)
    try:
        machine.boot()
    except CannotError as error:
        pytest.skip(str(error))
    machine.run("wtmpdb setup --recorder")
    return machine


def rows(machine: Container) -> list[Row]:
    """Return the sessions of the history, oldest first: user, terminal, host, service, end; once no two are left of one session."""
    lines = [line for line in machine.last(user="alice") if line["type"] == 3]
    return [(line["user"], re.sub(r"\d+", "N", line["tty"]), line["hostname"], line["service"], line["end"]) for line in reversed(lines)]


def shown(machine: Container, host: str) -> list[tuple[str, str]]:
    """Return terminal and end of the sessions from a host, oldest first."""
    return [(tty, end) for _, tty, where, _, end in rows(machine) if where == host]


def is_one(machine: Container, host: str, tty: str, end: str) -> None:
    """Wait until there is one session from a host, with this terminal and this end."""
    until(lambda: shown(machine, host) == [(tty, end)], f"{tty}, {end}: {shown(machine, host)}", seconds=8)


@pytest.mark.parametrize("name", ["bookworm", "trixie-peer"])
def test_each_login_once_with_its_terminal(container: Callable[[str], Container], name: str) -> None:
    """Sessions with a terminal show it while they last and afterwards, those without stay ``ssh``; all are there once and end, also in C's tool."""
    machine = lived(container, name)
    with machine.session("alice", "127.0.0.11"):
        is_one(machine, "127.0.0.11", "pts/N", "logged in")
    machine.run("ssh -b 127.0.0.12 alice@127.0.0.1 true")
    machine.run("echo ls | sftp -q -b - -o BindAddress=127.0.0.13 alice@127.0.0.1")
    machine.run("scp -q -o BindAddress=127.0.0.14 /etc/hostname alice@127.0.0.1:")
    machine.run("ssh -tt -b 127.0.0.15 alice@127.0.0.1 true")
    # As root on Debian 12 the monitor itself is the session; a program that makes a terminal of its own changes nothing.
    with machine.session("root", "127.0.0.16"):
        is_one(machine, "127.0.0.16", "pts/N", "logged in")
    script = machine.start("ssh", "-b", "127.0.0.17", "root@127.0.0.1", "exec script -qc 'echo ready; read -r end' /dev/null")
    script.expect(b"ready")
    machine.run("sleep 1")
    is_one(machine, "127.0.0.17", "ssh", "logged in")
    script.end()
    _master(machine)
    _killed_in_it(machine)
    _cut_off(machine)
    for host, tty in {11: "pts/N", 12: "ssh", 13: "ssh", 14: "ssh", 16: "pts/N", 17: "ssh", 18: "pts/N", 19: "pts/N", 20: "pts/N"}.items():
        is_one(machine, f"127.0.0.{host}", tty, "logout")
    # So short that only sshd's own row, where there is one, tells its terminal.
    until(lambda: len(shown(machine, "127.0.0.15")) == 1, "one row")
    assert shown(machine, "127.0.0.15")[0] in ([("pts/N", "logout")] if name == "trixie-peer" else [("pts/N", "logout"), ("ssh", "logout")])
    if name == "trixie-peer":
        listed = machine.run("/usr/bin/wtmpdb last")
        assert sorted(re.findall(r"127\.0\.0\.\d+", listed)) == [f"127.0.0.{host}" for host in range(11, 22)]
    assert machine.run("journalctl --quiet --priority=warning --unit=wtmpdb-*") == ""
    machine.power_off()


def _master(machine: Container) -> None:
    """Share a connection, of which the first session has a terminal and the second none."""
    with machine.session("alice", "127.0.0.18", WAIT) as first:
        assert first
        is_one(machine, "127.0.0.18", "pts/N", "logged in")
    shared = "-o ControlPath=/run/master"
    master = machine.start("ssh", "-tt", "-M", *shared.split(), "-b", "127.0.0.19", "alice@127.0.0.1", WAIT)
    master.expect(b"ready")
    machine.run(f"ssh {shared} alice@127.0.0.1 true; echo ls | sftp -q -b - {shared} alice@127.0.0.1")
    is_one(machine, "127.0.0.19", "pts/N", "logged in")
    master.end()


def _killed_in_it(machine: Container) -> None:
    """Kill a su in a session: the session ends, the su never has."""
    with machine.session("root", "127.0.0.20", KILLED):
        until(lambda: "carol" in [row[0] for row in rows(machine)], "the su")
        is_one(machine, "127.0.0.20", "pts/N", "logged in")
    is_one(machine, "127.0.0.20", "pts/N", "logout")
    until(lambda: _of(machine, "carol") == "gone", f"the su to be gone, not {_of(machine, 'carol')}", seconds=8)


def _of(machine: Container, user: str) -> str:
    return next(row[4] for row in rows(machine) if row[0] == user)


def _cut_off(machine: Container) -> None:
    """Kill the client: PAM is told of the end before sshd closes its row, and the row of the su that was killed on the same terminal stays open."""
    session = machine.hold("alice", "127.0.0.21")
    is_one(machine, "127.0.0.21", "pts/N", "logged in")
    machine.run("pkill -KILL -f 'ssh.*127.0.0.21'")
    is_one(machine, "127.0.0.21", "pts/N", "logout")
    machine.run("sleep 3")
    assert _of(machine, "carol") == "gone"
    session.close()


def test_many_short_sessions(container: Callable[[str], Container]) -> None:
    """Of many short sessions two at a time each is there once, with its terminal or without; no row of sshd's is left over."""
    machine = lived(container, "trixie-peer")
    machine.run(
        "for number in $(seq 20); do ssh -tt -b 127.0.0.31 alice@127.0.0.1 true & ssh -b 127.0.0.31 alice@127.0.0.1 true & wait; done 2>/dev/null"
    )
    until(lambda: len(rows(machine)) == 40, "20 sessions with a terminal, and 20 without", seconds=10)
    assert sorted(row[1] for row in rows(machine)) == ["pts/N"] * 20 + ["ssh"] * 20
    assert {row[3:] for row in rows(machine)} == {("sshd", "logout")}
    machine.run("wtmpdb setup --no-recorder")
    assert "pam_wtmpdb_spool.so skip_if=sshd" in machine.run("cat /etc/pam.d/common-session")
    machine.power_off()
    with closing(sqlite3.connect(machine.tree.path("/var/log/wtmp.db"))) as file:
        stray = "SELECT count(*) FROM session LEFT JOIN wtmp ON entry_id = ID AND session.login = wtmp.Login WHERE ID IS NULL"
        assert file.execute(stray).fetchone() == (0,)
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
