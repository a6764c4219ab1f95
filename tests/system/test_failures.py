# SPDX-License-Identifier: BSD-2-Clause
"""Failed logins on real Debians: the line that pam-auth-update makes, and what sshd, login, su and sudo leave through it."""

from __future__ import annotations

import difflib
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from system.containers import until
from system.test_setup import LOGINS

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.conftest import Installed
    from system.containers import Container, Tree

pytestmark = pytest.mark.system
both = pytest.mark.parametrize("name", ["bookworm", "trixie"])

STACK = "/etc/pam.d/common-auth"
OURS = "auth\t[default=ignore]\tpam_wtmpdb_spool.so"

# A wrong password where the program asks for one on its terminal.
LOGIN = """
import os, pty, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.execvp("login", ["login", sys.argv[1]])
def expect(word):
    said = b""
    end = time.monotonic() + 30
    while word not in said and time.monotonic() < end:
        try:
            said += os.read(terminal, 1000)
        except OSError:  # login hangs up its terminal, and opens it again
            time.sleep(0.05)
        print(said, file=sys.stderr, flush=True)
    assert word in said
expect(b"assword:")
time.sleep(0.5)
os.write(terminal, b"wrong\\n")
expect(b"ncorrect")
"""
SSH = (
    "SSH_ASKPASS=/var/tmp/ask SSH_ASKPASS_REQUIRE=force ssh -o BatchMode=no -o PubkeyAuthentication=no -o PreferredAuthentications=password"
    " -o NumberOfPasswordPrompts=1 -b {source} {user}@127.0.0.1 true"
)


def auth(tree: Tree) -> list[str]:
    """Return the lines of the stack that count."""
    return [line.rstrip() for line in tree.path(STACK).read_text().splitlines() if line.strip() and not line.startswith("#")]


@both
def test_the_line_stands_where_only_failures_come(install: Callable[[str], Installed], name: str) -> None:
    """pam-auth-update puts the line between what lets in and what denies, and makes each jump over the latter longer by one; nothing else."""
    one = install(name)
    before, after = auth(one.below), auth(one.tree)
    diff = [line for line in difflib.unified_diff(before, after, n=0, lineterm="") if not line.startswith(("---", "+++", "@@"))]
    assert [line.split() for line in diff] == [
        ["-auth", "[success=1", "default=ignore]", "pam_unix.so", "nullok"],
        ["+auth", "[success=2", "default=ignore]", "pam_unix.so", "nullok"],
        ["+auth", "[default=ignore]", "pam_wtmpdb_spool.so"],
    ]
    assert after[1].split() == OURS.split()
    assert after[2].split() == ["auth", "requisite", "pam_deny.so"]


def test_not_wanted(install: Callable[[str], Installed]) -> None:
    """With --no-failures the line goes, and the stack is as it was; with --failures it comes back; each is remembered."""
    one = install("bookworm")
    tree = one.tree.above()
    said = tree.run("wtmpdb setup --no-failures; wtmpdb setup | tail -n 1").stdout
    assert said.splitlines()[-1] == "wtmpdb setup: nothing to do: everything is in place"
    assert auth(tree) == auth(one.below)
    assert not tree.find("/usr/share/pam-configs/wtmpdb-failures")
    assert tree.run("wtmpdb setup --failures; wtmpdb setup | tail -n 1").stdout.splitlines()[-1] == said.splitlines()[-1]
    assert auth(tree) == auth(one.tree)


def test_a_stack_that_was_edited_by_hand(prepared: Callable[[str], Tree]) -> None:
    """A stack that somebody has edited is left alone, and setup says that failed logins are not recorded."""
    tree = prepared("bookworm").above()
    tree.run(f"sed -i 's/nullok/nullok try_first_pass/; /^# here are the per-package/d' {STACK}; echo 'auth optional pam_warn.so' >>{STACK}")
    edited = tree.path(STACK).read_text()
    said = tree.run("/src/install.sh --no-packages").stdout
    assert f"failed logins are not recorded: {STACK} was edited by hand" in said
    assert tree.path(STACK).read_text() == edited
    tree.run("wtmpdb setup --undo --purge")
    assert tree.path(STACK).read_text() == edited


@both
def test_wrong_passwords_are_rows(install: Callable[[str], Installed], name: str) -> None:
    """Of logins through all stacks those with a wrong password are failed logins, with user and service, and those with the right one are not."""
    tree = install(name).tree.above()
    entries = json.loads(tree.run(f"{{ {LOGINS} }} >/dev/null; wtmpdb lastb --json; ls -l /var/lib/wtmpdb/btmp.db >&2").stdout)["entries"]
    found = {entry["service"]: (entry["user"], entry["hostname"], entry["end"]) for entry in entries}
    assert found == {
        **dict.fromkeys(("login", "sshd"), ("alice", "192.0.2.9", "logout")),
        **dict.fromkeys(("su", "su-l", "sudo", "sudo-i"), ("alice", "", "logout")),
    }
    file = tree.path("/var/lib/wtmpdb/btmp.db")
    group = next(line.split(":")[2] for line in tree.path("/etc/group").read_text().splitlines() if line.startswith("utmp:"))
    assert (file.stat().st_mode & 0o777, file.stat().st_uid, file.stat().st_gid) == (0o640, 0, int(group))


def lastb(container: Container) -> list[dict[str, Any]]:
    """Return the failed logins that the recorder has taken, newest first; nothing is taken for us."""
    text = container.run("[ ! -e /var/lib/wtmpdb/btmp.db ] || exec setpriv --reuid bob --regid utmp --clear-groups wtmpdb lastb --json")
    entries: list[dict[str, Any]] = json.loads(text or '{"entries": []}')["entries"]
    return entries


@both
def test_real_programs(booted: Callable[[str], Container], name: str) -> None:
    """A wrong password and an unknown user at sshd, a wrong password at su, sudo and login: each is a row soon, taken by the recorder."""
    container = booted(name)
    container.run("printf '#!/bin/sh\\necho wrong\\n' >/var/tmp/ask; chmod 755 /var/tmp/ask")
    ssh = container.run("sshd -T | grep -i ^passwordauthentication").split()[-1]
    assert ssh == "yes"
    container.run(f"! {SSH.format(source='127.0.0.31', user='alice')}; ! {SSH.format(source='127.0.0.32', user='hunter2')}")
    container.run("! echo wrong | setpriv --reuid bob --regid bob --init-groups su alice -c true")
    container.run("! echo wrong | setpriv --reuid alice --regid alice --init-groups sudo -S -k true")
    container.run(f"exec /usr/bin/python3 - alice <<'END'\n{LOGIN}\nEND\n", timeout=60)
    wanted = {
        ("alice", "ssh", "127.0.0.31", "sshd"),
        ("hunter2", "ssh", "127.0.0.32", "sshd"),
        ("alice", "", "", "su"),
        ("alice", "", "", "sudo"),
        ("alice", "pts/", "", "login"),
    }

    def found() -> bool:
        return wanted == {(row["user"], row["tty"].rstrip("0123456789"), row["hostname"], row["service"]) for row in lastb(container)}

    until(found, "just these rows", seconds=15)
    assert "hunter2" not in container.run("setpriv --reuid bob --regid bob --clear-groups wtmpdb lastb 2>&1 || :")


def test_brute_force(booted: Callable[[str], Container]) -> None:
    """2,000 attempts as fast as they can be made are some rows and a number, none is missing, and logins meanwhile are recorded at once."""
    container = booted("bookworm")
    before = total(container)
    container.run("""
        mkdir /var/tmp/attack
        gcc -o /var/tmp/attack/exercise /src/pam/exercise.c -lpam
        printf '%s\\n' 'auth [default=ignore] pam_wtmpdb_spool.so' 'auth requisite pam_deny.so' >/var/tmp/attack/attack
    """)
    attack = container.start("/var/tmp/attack/exercise", "/var/tmp/attack", "attack", "8", "1", "250", "failed")
    with container.session("alice", "127.0.0.41"):
        until(lambda: [line for line in container.last(user="bob") if line["hostname"] == "127.0.0.41"], "the login", seconds=5)
    attack.end()
    until(lambda: total(container)[1] - before[1] == 2000, "all attempts", seconds=20)
    rows = total(container)[0] - before[0]
    assert 0 < rows <= 60, "of one host, in two or three minutes at most"
    assert "failed logins come too fast" in container.run("journalctl -u wtmpdb-recorder.service")
    assert container.run("find /var/lib/wtmpdb/spool -type f").strip() == ""


def total(container: Container) -> tuple[int, int]:
    """Return how many failed logins are rows, and how many there are."""
    script = """
import sqlite3, time
try:
    db = sqlite3.connect("file:/var/lib/wtmpdb/btmp.db?mode=ro", uri=True)
    rows = db.execute("SELECT count(*) FROM wtmp").fetchone()[0]
    print(rows, rows + db.execute("SELECT coalesce(sum(number), 0) FROM counted").fetchone()[0])
except sqlite3.OperationalError:
    print(0, 0)
"""
    rows, number = map(int, container.python(script).split())
    return rows, number


def test_a_broken_file_of_failures_stops_no_login(booted: Callable[[str], Container]) -> None:
    """While the file of failed logins is no database, sessions are recorded as ever; when it is moved away, what has waited is taken."""
    container = booted("bookworm")
    container.run("cd /var/lib/wtmpdb; mv btmp.db /var/tmp/kept.db || :; rm -f btmp.db-journal; head -c 8192 /dev/urandom >btmp.db")
    try:
        container.run("! echo wrong | setpriv --reuid bob --regid bob --init-groups su mallory -c true")
        with container.session("alice", "127.0.0.42"):
            until(lambda: [line for line in container.last(user="bob") if line["hostname"] == "127.0.0.42"], "the login", seconds=5)
        time.sleep(3)
        assert "not a database: failed logins wait in the spool" in container.run("journalctl -u wtmpdb-recorder.service")
    finally:
        container.run("cd /var/lib/wtmpdb; rm -f btmp.db btmp.db-journal; mv /var/tmp/kept.db btmp.db || :")
    assert "mallory" in container.run("wtmpdb lastb")
