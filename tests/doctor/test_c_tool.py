# SPDX-License-Identifier: BSD-2-Clause
"""The C project's wtmpdb beside us."""

from __future__ import annotations

from doctor.conftest import World, said
from wtmpdb.doctor import c_tool
from wtmpdb.doctor.finding import NOTE, OK, PROBLEM


def test_beside(world: World) -> None:
    """What of it is there is said."""
    assert said(list(c_tool.beside(world.case())), OK) == ["the C project's wtmpdb is not installed -> "]
    world.write("usr/bin/wtmpdb", "")
    world.write("usr/lib/x86_64-linux-gnu/security/pam_wtmpdb.so", "")
    world.write("run/wtmpdb/socket", "")
    found = said(list(c_tool.beside(world.case())), OK)[0]
    assert found.startswith("/usr/bin/wtmpdb, ")
    assert "pam_wtmpdb.so, its daemon (/run/wtmpdb/socket): it may read and write the same file" in found


def test_our_own_socket(world: World) -> None:
    """The socket of our own recorder, which is where the C project's daemon would have its own, is not taken for one of that."""
    world.write("run/wtmpdb/socket", "")
    world.write("usr/local/lib/systemd/system/wtmpdb-varlink.socket", "")
    assert said(list(c_tool.beside(world.case())), OK) == ["the C project's wtmpdb is not installed -> "]


def test_both_modules(world: World) -> None:
    """A service that runs through both modules gets two rows for each session: a problem."""
    assert list(c_tool.module(world.case())) == []
    world.stack("login", "@include common-session\nsession optional pam_wtmpdb.so\n")
    found = said(list(c_tool.module(world.case())), PROBLEM)
    assert found == [
        "login: pam_wtmpdb.so (/etc/pam.d/login:4) and ours both record: two rows for each session -> remove the line /etc/pam.d/login:4"
    ]
    world.write("usr/share/pam-configs/wtmpdb", "")
    assert said(list(c_tool.module(world.case())), PROBLEM)[0].endswith("-> sudo pam-auth-update --disable wtmpdb")


def test_their_module_alone(world: World) -> None:
    """A service that runs through theirs alone is a note."""
    world.stack("cron", "session optional pam_wtmpdb.so\n")
    assert "cron: recorded by pam_wtmpdb.so" in said(list(c_tool.module(world.case())), NOTE)[0]


def test_logrotate(world: World) -> None:
    """The package's logrotate is a note where it would move the shared history away."""
    world.write("etc/logrotate.d/wtmpdb", "# nothing\n")
    world.write("var/log/wtmp.db", "")
    world.link("var/lib/wtmpdb/wtmp.db", "/var/log/wtmp.db")
    assert list(c_tool.logrotate(world.case())) == []
    world.write("etc/logrotate.d/wtmpdb", "/var/log/wtmp.db {\n yearly\n}\n")
    assert said(list(c_tool.logrotate(world.case())), NOTE)[0].endswith("-> sudo wtmpdb setup")
    (world.state / "wtmp.db").unlink()
    assert list(c_tool.logrotate(world.case())) == []
