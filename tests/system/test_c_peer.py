# SPDX-License-Identifier: BSD-2-Clause
"""Beside the C project's wtmpdb, on a Debian 13 that has it installed: one file, which both write and both read."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from system.containers import WAIT, CannotError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from system.conftest import Installed
    from system.containers import Container

pytestmark = pytest.mark.system

PEER = "trixie-peer"
THEIRS = "/usr/bin/wtmpdb"

SERVICES = """
mkdir -p /srv/spool && cd /srv/spool && mkdir -m 700 tmp new bad
for service in theirs ours; do printf '%s required pam_permit.so\n' auth account >/etc/pam.d/$service; done
echo 'session required pam_wtmpdb.so database=/srv/wtmp.db' >>/etc/pam.d/theirs
echo 'session required pam_wtmpdb_spool.so spool=/srv/spool' >>/etc/pam.d/ours
log_in() { pamtester -I "tty=/dev/pts/$2" -I rhost=192.0.2.7 "$1" "$1" open_session close_session >/dev/null; }
drain() { wtmpdb recorder --once --file /srv/wtmp.db --spool /srv/spool >/dev/null; }
useradd theirs; useradd ours
drain
"""


@pytest.fixture(scope="module")
def lived(container: Callable[[str], Container]) -> Container:
    """Boot, log in by ssh with a terminal, su in it, reboot, log in again, power off."""
    machine = container(PEER)
    try:
        machine.boot()
    except CannotError as error:
        pytest.skip(str(error))
    with machine.session("root", "127.0.0.11", f"su - bob -c '{WAIT}'"):
        pass
    machine.run("su - carol -c true")
    machine.reboot()
    with machine.session("alice", "127.0.0.12"):
        pass
    machine.power_off()
    return machine


@pytest.fixture(scope="module")
def database(install: Callable[[str], Installed]) -> Path:
    """Let both log in, one after the other and then at the same time; return the file."""
    tree = install(PEER).tree.above()
    script = f"""{SERVICES}
        for number in $(seq 10); do log_in theirs $number; log_in ours $number; drain; done
        (for number in $(seq 50); do log_in theirs $number; done) &
        (for number in $(seq 50); do log_in ours $number; done; touch /srv/done) &
        while [ ! -e /srv/done ]; do drain; done
        wait
        drain
        {THEIRS} last -f /srv/wtmp.db >/srv/theirs.txt
        wtmpdb last -f /srv/wtmp.db --json >/srv/ours.json
    """
    tree.run(script)
    return tree.path("/srv/wtmp.db")


def test_install_takes_over_politely(install: Callable[[str], Installed]) -> None:
    """install.sh shares the file of Debian's package, takes the place of its PAM profile and its boot unit, and leaves ssh to Debian's sshd."""
    installed = install(PEER)
    assert installed.first.returncode == 0, installed.first.stdout + installed.first.stderr
    for done in ("run pam-auth-update --package --disable wtmpdb", "mask wtmpdb-update-boot.service", "--add /etc/logrotate.d/wtmpdb"):
        assert done in installed.first.stdout
    tree = installed.tree
    assert re.findall(r"^.*wtmpdb.*\b", tree.path("/etc/pam.d/common-session").read_text(), re.MULTILINE) == [
        "session\toptional\tpam_wtmpdb_spool.so skip_if=sshd"
    ]
    assert tree.run("readlink -f /var/lib/wtmpdb/wtmp.db; systemctl is-enabled wtmpdb-update-boot.service || :").stdout.split() == [
        "/var/log/wtmp.db",
        "masked",
    ]


def test_each_login_and_each_boot_once(lived: Container) -> None:
    """A login by ssh, written by Debian's sshd, a su, written by us, and each boot stand in the shared file exactly once, with their ends."""
    with closing(sqlite3.connect(lived.tree.path("/var/log/wtmp.db"))) as file:
        rows = file.execute("SELECT Type, User, substr(TTY, 1, 4), RemoteHost, Service, Logout >= Login FROM wtmp ORDER BY Login").fetchall()
        kernel = rows[0][3]
    assert rows == [
        (1, "reboot", "~", kernel, None, 1),
        (3, "root", "pts/", "127.0.0.11", None, 1),
        (3, "bob", "pts/", None, "su-l", 1),
        (3, "carol", None, None, "su-l", 1),
        (1, "reboot", "~", kernel, None, 1),
        (3, "alice", "pts/", "127.0.0.12", None, 1),
    ]


def test_both_list_the_shared_file(lived: Container) -> None:
    """The C project's `wtmpdb last` and ours list the same users in the same order."""
    listed = [lived.tree.above().run(f"{program} last").stdout.splitlines() for program in (THEIRS, "/usr/local/bin/wtmpdb")]
    users = [[line.split()[0] for line in lines if line and not line.startswith("wtmp")] for lines in listed]
    assert users == [["alice", "reboot", "carol", "bob", "root", "reboot"]] * 2


def test_nothing_is_lost_between_two_writers(database: Path) -> None:
    """60 logins of theirs and 60 of ours, 50 of each at the same time, make 120 closed rows, and the file is whole."""
    with closing(sqlite3.connect(database)) as file:
        counted = file.execute(
            "SELECT User, count(*), count(Logout), count(DISTINCT ID), min(Service), max(RemoteHost) FROM wtmp GROUP BY User"
        ).fetchall()
        assert counted == [("ours", 60, 60, 60, "ours", "192.0.2.7"), ("theirs", 60, 60, 60, "theirs", "192.0.2.7")]
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        whose = "SELECT DISTINCT User FROM session JOIN wtmp ON entry_id = ID AND session.login = wtmp.Login"
        assert file.execute(whose).fetchall() == [("ours",)]
        assert file.execute("SELECT count(*) FROM session").fetchone() == (60,)


def test_each_reads_what_the_other_wrote(database: Path) -> None:
    """The C project's `wtmpdb last` lists all 120, and so does ours."""
    theirs = [line.split()[0] for line in (database.parent / "theirs.txt").read_text().splitlines() if line.startswith(("ours", "theirs"))]
    ours = [line["user"] for line in json.loads((database.parent / "ours.json").read_text())["entries"]]
    assert theirs == ours
    assert (theirs.count("theirs"), theirs.count("ours")) == (60, 60)
