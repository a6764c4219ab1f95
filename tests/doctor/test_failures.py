# SPDX-License-Identifier: BSD-2-Clause
"""What the doctor says of failed logins."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from doctor.conftest import World, said
from support import NOON, SECOND, make_spool
from wtmpdb.doctor import failures

if TYPE_CHECKING:
    from wtmpdb.doctor.finding import Finding

AUTH = "auth [success=2 default=ignore] pam_unix.so\nauth {control} pam_wtmpdb_spool.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n"


def found(world: World) -> list[Finding]:
    """Return what is found."""
    case = world.case()
    return [finding for check in failures.CHECKS for finding in check(case)]


def whole(world: World, control: str = "[default=ignore]") -> None:
    """Make all be well."""
    world.write("usr/sbin/pam-auth-update", "").chmod(0o755)
    world.write("etc/pam.d/common-auth", AUTH.format(control=control))
    make_spool(world.spool / "failed")


def test_all_is_well(world: World) -> None:
    """The line is named, and nothing else is said."""
    whole(world)
    assert [(finding.state, finding.what) for finding in found(world)] == [("ok", "are recorded through /etc/pam.d/common-auth:2")]


def test_a_line_that_has_a_say(world: World) -> None:
    """A line under another control than the one that decides nothing is a problem."""
    whole(world, "sufficient")
    assert said(found(world), "problem") == [
        "/etc/pam.d/common-auth:2 has the control sufficient: it must decide nothing -> write [default=ignore] there"
    ]


def test_no_line(world: World) -> None:
    """Without the line it is a problem where setup could put it in, a note where it cannot, and neither where it is not wanted."""
    assert said(found(world), "note") == ["are not recorded: no line in the auth part names the module -> see man pam_wtmpdb_spool"]
    whole(world)
    (world.root / "etc/pam.d/common-auth").unlink()
    assert said(found(world), "problem") == [
        "no line in the auth part names the module: they are not recorded -> sudo wtmpdb setup, or with --no-failures"
    ]
    world.records(failures=False)
    assert found(world) == []


def test_a_spool_that_is_not_there(world: World) -> None:
    """Without their spool failed logins cannot be recorded, as after an upgrade without setup."""
    whole(world)
    (world.spool / "failed" / "new").rmdir()
    assert said(found(world), "problem") == [f"their spool {world.spool}/failed is not whole: they cannot be recorded -> sudo wtmpdb setup"]


def test_letters_that_nobody_takes(world: World) -> None:
    """Failed logins that wait for long are a problem, others are none."""
    whole(world)
    letter = world.spool / "failed" / "new" / "letter"
    letter.touch()
    os.utime(letter, (NOON / SECOND - 5,) * 2)
    assert said(found(world), "problem") == []
    os.utime(letter, (NOON / SECOND - 900,) * 2)
    assert said(found(world), "problem") == ["wait for ten minutes and longer: nobody takes them -> sudo wtmpdb recorder --once"]


def test_a_file_that_others_can_read(world: World) -> None:
    """A file of failed logins that everybody can read is a problem: passwords may be in it."""
    whole(world)
    path = world.state / "btmp.db"
    path.touch(mode=0o640)
    assert said(found(world), "problem") == []
    path.chmod(0o644)
    assert said(found(world), "problem") == [f"{path} can be read by others: a mistyped user may be a password -> sudo chmod o= {path}"]
