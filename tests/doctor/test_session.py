# SPDX-License-Identifier: BSD-2-Clause
"""A real session through libpam, opened and closed by python-pam, and the row that comes of it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from doctor.conftest import World, said
from support import edit, make_file
from wtmpdb.doctor.finding import NOTE, OK, PROBLEM
from wtmpdb.doctor.session import check_service, try_session
from wtmpdb.errors import WtmpdbError
from wtmpdb.system import System

if TYPE_CHECKING:
    from wtmpdb.doctor.case import Case
    from wtmpdb.doctor.session import Tried

pytest.importorskip("pam", reason="python-pam is not installed")


class Machine:
    """A tree with PAM services whose session part runs through our module, and the spool that it writes to."""

    def __init__(self, world: World, build: Path) -> None:
        """Make the service "login"."""
        self.world = world
        self.module = build / "pam_wtmpdb_spool.so"
        world.root.chmod(0o755)
        self.service()

    def service(self, name: str = "login", *, before: str = "", options: str = "") -> None:
        """Write a service with our module at its end."""
        line = f"session optional {self.module} spool={self.world.spool} poke={self.world.root}/poke {options}\n"
        self.world.stack(name, before + line)

    def case(self) -> Case:
        """Return the case, of the real time and boot."""
        return self.world.case(system=System(), now=time.time())

    def go(self, service: str = "login", **options: float) -> Tried:
        """Try a session."""
        return try_session(self.case(), service, row_within=0.5, **options)


@pytest.fixture
def machine(world: World, build: Path) -> Machine:
    """Give a tree with a service that runs through the module."""
    return Machine(world, build)


def test_a_row_comes(machine: Machine) -> None:
    """A session of root on the terminal "doctor" is opened and closed; its row, and the letters that made it, are told."""
    tried = machine.go()
    assert [finding.state for finding in tried.findings] == [OK]
    assert tried.findings[0].what.startswith("row 1, written by pam_wtmpdb_spool.so: opened by letter 000")
    assert [(line[1], line[2], line[4], line[6] is not None) for line in tried.lines] == [(b"root", b"doctor", b"login", True)]
    assert not any((machine.world.spool / name).iterdir() is None for name in ("new", "bad"))
    assert os.listdir(machine.world.spool / "new") == []


def test_of_another_service_and_again(machine: Machine) -> None:
    """Another service than login, and one more session after that, each give their own row alone."""
    machine.service("su-l")
    assert [line[7] for line in machine.go("su-l").lines] == [1]
    again = machine.go("su-l")
    assert [(line[7], line[4]) for line in again.lines] == [(2, b"su-l")]


def test_modules_that_talk(machine: Machine) -> None:
    """Modules that print, each time they are called, find the conversation alive."""
    (machine.world.root / "motd").write_text("welcome\n" * 200)
    talk = f"session optional pam_echo.so file={machine.world.root}/motd\n" * 20
    machine.service(before=talk)
    assert [finding.state for finding in machine.go().findings] == [OK]


def test_module_not_reached(machine: Machine) -> None:
    """A stack without the module is told as the reason, with the line to add."""
    machine.world.stack("login", "session required pam_permit.so\n")
    found = said(machine.go().findings, PROBLEM)
    assert found[0].startswith("no row came: the stack of login does not run through the module -> put 'session optional pam_wtmpdb_spool.so'")
    assert found[0].endswith("of /etc/pam.d/login")


def test_left_out(machine: Machine) -> None:
    """A service that an option leaves out gets no row, and that is no problem."""
    machine.service("sshd", options="skip_if=sshd")
    tried = machine.go("sshd")
    assert said(tried.findings, PROBLEM) == []
    assert "none should" in said(tried.findings, NOTE)[0]


def test_stopped_before_the_module(machine: Machine) -> None:
    """Where another module of the stack fails, its answer and its words are told; that our row lacks follows."""
    machine.service(before="session requisite pam_deny.so\n")
    findings = machine.go().findings
    assert "login: another module of the stack failed to open it: " in said(findings, NOTE)[0]
    assert "another module ended the stack before ours came" in said(findings, PROBLEM)[0]


def test_another_module_fails_but_ours_runs(machine: Machine) -> None:
    """Where another module fails and ours is reached all the same, there is a row, and a note."""
    machine.service(before="session required pam_deny.so\n")
    findings = machine.go().findings
    assert "row 1" in said(findings, OK)[0]
    assert len(said(findings, NOTE)) >= 1
    assert said(findings, PROBLEM) == []


def test_hanging_module(machine: Machine) -> None:
    """A module that hangs does not hang the doctor."""
    machine.service(before="session optional pam_exec.so /bin/sleep 60\n")
    begun = time.monotonic()
    findings = machine.go(hangs=0.5).findings
    assert time.monotonic() - begun < 6
    assert "did not end within" in said(findings, PROBLEM)[0]
    assert "a module of that stack is at fault" in said(findings, PROBLEM)[0]


def test_nowhere_to_write(machine: Machine) -> None:
    """A spool that others can write makes the module refuse it: no row, and the recorder's own word for why."""
    (machine.world.spool / "new").chmod(0o777)
    found = said(machine.go().findings, PROBLEM)[0]
    assert found.startswith("no row came: ")
    assert "writable by nobody else" in found


def test_letters_go_elsewhere(machine: Machine) -> None:
    """Where the module's letters do not come, it is told how to hear the module."""
    machine.world.stack("login", f"session optional {machine.module} spool={machine.world.root}/none\n")
    found = said(machine.go().findings, PROBLEM)[0]
    assert found.startswith("no row came, and no letter -> add the option debug")


def test_row_of_the_c_module(machine: Machine) -> None:
    """A row that the C module writes for the same session is told as the second one."""
    machine.go()
    with edit(machine.world.database) as db:
        now = time.time_ns() // 1000 + 3_000_000
        db.execute("INSERT INTO wtmp (Type, User, Login, Logout, TTY, Service) VALUES (3, 'root', ?, ?, 'doctor', 'login')", (now, now))
    findings = machine.go().findings
    assert "row 2 was written by pam_wtmpdb.so, beside ours" in said(findings, PROBLEM)[0]
    assert "row 3" in said(findings, OK)[0]


def test_file_of_c(machine: Machine) -> None:
    """A history that the C tools made takes the row."""
    make_file(machine.world.database, [], ours=False)
    assert [finding.state for finding in machine.go().findings] == [OK]


@pytest.mark.parametrize("service", ["no-such-service", "../login", "", "a\nb"])
def test_unknown_service(machine: Machine, service: str) -> None:
    """A service that is not there is an error in one line: libpam would take "other" in its place."""
    with pytest.raises(WtmpdbError, match="there is no such PAM service") as caught:
        machine.go(service)
    assert "\n" not in str(caught.value)
    assert not machine.world.database.exists()


def test_not_root(machine: Machine) -> None:
    """Who is not root is told to be, before anything is done."""
    case = machine.case()
    case.is_root = False
    with pytest.raises(WtmpdbError, match="only root can open a session"):
        check_service(case, "login")


def test_caller_stays_as_it_is(machine: Machine) -> None:
    """What modules do to their process, limits and keys and audit ids, happens to the child alone."""
    before = (os.getpid(), os.environ.copy(), Path("/proc/self/loginuid").read_bytes() if Path("/proc/self/loginuid").exists() else b"")
    machine.service(before="session optional pam_limits.so\nsession optional pam_loginuid.so\nsession optional pam_umask.so umask=0777\n")
    machine.go()
    umask = os.umask(0)
    os.umask(umask)
    assert umask != 0o777
    assert before == (os.getpid(), os.environ.copy(), Path("/proc/self/loginuid").read_bytes() if Path("/proc/self/loginuid").exists() else b"")
