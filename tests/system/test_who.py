# SPDX-License-Identifier: BSD-2-Clause
"""Who is on, on a booted machine with sshd, login, su and logind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from system.containers import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.containers import Container

pytestmark = pytest.mark.system
both = pytest.mark.parametrize("name", ["bookworm", "trixie"])

TTY = "tty; echo ready; read -r line"


def on(container: Container, user: str, asking: str = "root") -> list[dict[str, Any]]:
    """Return the sessions of a user, as root sees them or another user."""
    text = container.run(f"exec setpriv --reuid {asking} --regid {asking} --clear-groups wtmpdb who --json")
    return [one for one in json.loads(text)["sessions"] if one["user"] == user]


def shown(container: Container, user: str, host: str) -> list[dict[str, Any]]:
    """Return the sessions of a user from a host, once there are any."""
    return until(lambda: [one for one in on(container, user) if one["hostname"] == host], f"{user} from {host}")


def terminal_of(output: bytes) -> str:
    """Return what tty(1) has printed."""
    return output.split()[0].decode().removeprefix("/dev/")


@both
def test_ssh(booted: Callable[[str], Container], name: str) -> None:
    """Who came by ssh is shown once, to everybody, with the terminal that the session has; killed with -9 it is not shown any more."""
    container = booted(name)
    with container.session("alice", "127.0.0.81", TTY) as session:
        (one,) = shown(container, "alice", "127.0.0.81")
        assert one["tty"] == terminal_of(session.output)
        assert (one["kind"], one["service"], one["messages"]) == ("user", "sshd", True)
        assert [seen["tty"] for seen in on(container, "alice", "bob") if seen["hostname"] == "127.0.0.81"] == [one["tty"]]
        line = next(line for line in container.run("wtmpdb who -u").splitlines() if "127.0.0.81" in line)
        assert line.split()[:2] + line.split()[-2:] == ["alice", one["tty"], str(one["pid"]), "(127.0.0.81)"]
        container.run(f"kill -9 {one['pid']}")
        assert [seen for seen in on(container, "alice") if seen["hostname"] == "127.0.0.81"] == []


@both
def test_windows_are_no_logins(booted: Callable[[str], Container], name: str) -> None:
    """A terminal that a program makes within a session, as a multiplexer does for a window, is not shown."""
    container = booted(name)
    with container.session("alice", "127.0.0.82", f"tty; script -qc '{TTY}' /dev/null") as session:
        assert [one["tty"] for one in shown(container, "alice", "127.0.0.82")] == [terminal_of(session.output)]


@both
def test_without_a_terminal(booted: Callable[[str], Container], name: str) -> None:
    """A session without a terminal is shown too, also where sshd does not record it."""
    container = booted(name)
    session = container.start("ssh", "-b", "127.0.0.83", "alice@127.0.0.1", "echo ready; exec sleep 1000")
    session.expect(b"ready")
    (one,) = shown(container, "alice", "127.0.0.83")
    assert one["tty"] in ("", "ssh")
    container.run(f"kill -9 {one['pid']}")
    assert [seen for seen in on(container, "alice") if seen["hostname"] == "127.0.0.83"] == []


@both
def test_am_i(booted: Callable[[str], Container], name: str) -> None:
    """`who am i` shows the one session whose terminal it is asked on."""
    container = booted(name)
    answer = container.run("ssh -tt -b 127.0.0.84 root@127.0.0.1 'tty; wtmpdb who am i'")
    tty, line = answer.replace("\r", "").splitlines()
    assert line.split()[:2] == ["root", tty.removeprefix("/dev/")]
    assert line.endswith("(127.0.0.84)")


@both
def test_login(booted: Callable[[str], Container], name: str) -> None:
    """Who came by login on a terminal is shown with it; killed with -9 it is not shown any more."""
    container = booted(name)
    if not container.run("command -v login || true"):
        pytest.skip(f"{name} comes without login")
    login = container.start("script", "-qec", "exec login -f carol", "/dev/null")
    (one,) = until(lambda: on(container, "carol"), "carol")
    assert one["tty"].startswith("pts/")
    assert (one["service"], one["hostname"]) == ("login", "")
    container.run(f"kill -9 {one['pid']}")
    assert on(container, "carol") == []
    login.close()


@both
def test_su(booted: Callable[[str], Container], name: str) -> None:
    """A su is shown on the terminal that it was called on, for as long as it lasts."""
    container = booted(name)
    with container.session("root", "127.0.0.85", f"tty; su - bob -c '{TTY}'") as session:
        (bob,) = until(lambda: on(container, "bob"), "bob")
        assert (bob["tty"], bob["service"]) == (terminal_of(session.output), "su-l")
    assert until(lambda: on(container, "bob") == [] or None, "the end of the su")


@both
def test_boot_and_run_level(booted: Callable[[str], Container], name: str) -> None:
    """`who -b` and `uptime` know when the machine was started, `who -r` the level that systemd has reached."""
    container = booted(name)
    began = container.last("reboot")[0]["login"][:16].replace("T", " ")
    assert container.run("wtmpdb who -b").split() == ["system", "boot", *began.split()]
    assert container.run("wtmpdb who -r").split()[:2] in (["run-level", "5"], ["run-level", "3"])
    assert " up " in container.run("wtmpdb uptime")
    assert container.run("wtmpdb uptime -n 1").splitlines()[1].split()[:4] == [*began.split(), "-", "running"]
