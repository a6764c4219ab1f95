# SPDX-License-Identifier: BSD-2-Clause
"""Logins on a booted machine: how soon they are shown, what they wait for, what a user can do about them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from system.containers import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.containers import Container

pytestmark = pytest.mark.system
both = pytest.mark.parametrize("name", ["bookworm", "trixie"])

ACTIVE = "wtmpdb-boot.service wtmpdb-boot-time.path wtmpdb-recorder.socket wtmpdb-recorder.path wtmpdb-recorder.timer"

HOLD_LOCK = """
import sqlite3, time
database = sqlite3.connect("/var/lib/wtmpdb/wtmp.db", isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep({seconds})
"""

TRAP = """
mkdir /var/tmp/trap
cat >/var/tmp/trap/trap.c <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
__attribute__((constructor)) static void loaded(void)
{
    int fd = open("/var/tmp/trap/seen", O_WRONLY | O_APPEND);
    if (fd >= 0)
        dprintf(fd, "%d %s\\n", geteuid(), program_invocation_short_name), close(fd);
}
END
gcc -shared -fPIC -o /home/mallory/trap.so /var/tmp/trap/trap.c
touch /var/tmp/trap/seen
chmod 666 /var/tmp/trap/seen
cat >/home/mallory/.pam_environment <<'END'
LD_PRELOAD DEFAULT=/home/mallory/trap.so
PAM_USER DEFAULT=root
PAM_RHOST DEFAULT=203.0.113.66
PAM_SERVICE DEFAULT=login
PAM_TTY DEFAULT=/dev/tty1
PAM_TYPE DEFAULT=open_session
XDG_SESSION_ID DEFAULT=666
XDG_VTNR DEFAULT=6
END
"""


def mine(lines: list[dict[str, Any]], user: str) -> list[dict[str, Any]]:
    """Return the lines of a user."""
    return [line for line in lines if line["user"] == user]


@both
def test_units_after_boot(booted: Callable[[str], Container], name: str) -> None:
    """After boot all units wait for logins, none has failed, and what they made has the modes of docs/format.md."""
    container = booted(name)
    assert container.run(f"systemctl is-active {ACTIVE}").split() == ["active"] * len(ACTIVE.split())
    assert container.run("systemctl --failed --plain --no-legend") == ""
    made = container.run("stat -Lc '%F %a %U:%G' /var/lib/wtmpdb/wtmp.db /var/lib/wtmpdb/spool /run/wtmpdb /run/wtmpdb/poke /run/wtmpdb/boot")
    assert made.splitlines() == [
        "regular file 644 root:utmp",
        "directory 700 root:root",
        "directory 755 root:root",
        "socket 600 root:root",
        "regular file 644 root:root",
    ]


@both
def test_root_sees_itself(booted: Callable[[str], Container], name: str) -> None:
    """`wtmpdb last` as the first thing after a login shows root this very login, each time."""
    container = booted(name)
    for number in range(101, 109):
        answer = container.run(f"ssh -tt -b 127.0.0.{number} root@127.0.0.1 wtmpdb last --json -n 1")
        line = json.loads(answer)["entries"][0]
        assert [line["user"], line["hostname"], line["end"]] == ["root", f"127.0.0.{number}", "logged in"]


@both
def test_others_see_a_login_within_a_second(booted: Callable[[str], Container], name: str) -> None:
    """A user who may not look into the spool sees a login after a second at most: the poke has woken the recorder."""
    container = booted(name)
    with container.session("alice", "127.0.0.120"):
        until(lambda: [line for line in container.last(user="bob") if line["hostname"] == "127.0.0.120"], "the login", seconds=1.5)


@both
def test_recorder_ends_when_idle(booted: Callable[[str], Container], name: str) -> None:
    """A login starts the recorder, which ends by itself, with success, when nothing more comes; the next login starts it again."""
    container = booted(name)
    state = "systemctl is-active wtmpdb-recorder.service || :"
    for _ in range(2):
        container.run("su - bob -c true")
        assert container.run(state).strip() in ("active", "activating")
        until(lambda: container.run(state).strip() == "inactive", "the recorder's end", seconds=15)
    assert container.run("systemctl show -P Result wtmpdb-recorder.service").strip() == "success"


def test_login_does_not_wait_for_a_locked_database(booted: Callable[[str], Container]) -> None:
    """While somebody holds the database's lock for 8 seconds, logins take no longer than else; they are in the history after the lock has gone."""
    container = booted("bookworm")
    logins = ("su - bob -c true", "ssh -b 127.0.0.130 bob@127.0.0.1 true")

    def seconds(login: str) -> float:
        begun = time.monotonic()
        container.run(login)
        return time.monotonic() - begun

    usual = [min(seconds(login) for _ in range(2)) for login in logins]
    before = len(mine(container.last(), "bob"))
    holder = container.start("/usr/bin/python3", "-c", HOLD_LOCK.format(seconds=8))
    holder.expect(b"locked")
    locked = [seconds(login) for login in logins]
    assert len(mine(container.last(user="bob"), "bob")) == before, "the lock was not held"
    assert all(now < then + 1.5 for now, then in zip(locked, usual, strict=True)), (locked, usual)
    holder.end()
    rows = until(lambda: mine(container.last(user="bob"), "bob")[: -before or None], "the rows", seconds=25)
    assert [(line["service"], line["end"]) for line in rows] == [("sshd", "logout"), ("su-l", "logout")]


def test_environment_of_a_user_has_no_effect(booted: Callable[[str], Container]) -> None:
    """On Debian 12 a user's ~/.pam_environment can neither make root load a library in our part of a login, nor forge a word of the row."""
    container = booted("bookworm")
    assert "user_readenv=1" in container.run("cat /etc/pam.d/sshd"), "no longer Debian 12's stock configuration"
    container.run(TRAP)

    def loaded_by(command: str) -> set[str]:
        container.run(": >/var/tmp/trap/seen; " + command)
        return set(container.run("sleep 0.3; cut -d' ' -f1 /var/tmp/trap/seen").split())

    user = container.run("id -u mallory").strip()
    login = "ssh -tt -b 127.0.0.140 mallory@127.0.0.1 true"
    assert loaded_by(login) == {user}, "the user's own programs load it, root's do not"
    rows = [line for line in container.last() if line["hostname"] == "127.0.0.140" or "203.0.113.66" in line["hostname"]]
    assert [(line["user"], line["tty"], line["hostname"], line["service"], line["end"]) for line in rows] == [
        ("mallory", "ssh", "127.0.0.140", "sshd", "logout")
    ]
    # The trap does catch: a program that is started by pam_exec, as in other solutions, falls into it.
    container.run("cp /etc/pam.d/sshd /var/tmp/trap/; echo 'session optional pam_exec.so quiet seteuid /bin/true' >>/etc/pam.d/sshd")
    try:
        assert "0" in loaded_by(login)
    finally:
        container.run("cp /var/tmp/trap/sshd /etc/pam.d/sshd; rm /home/mallory/.pam_environment")
