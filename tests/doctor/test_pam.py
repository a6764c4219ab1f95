# SPDX-License-Identifier: BSD-2-Clause
"""PAM: the module, and the lines by which services run through it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from doctor.conftest import World, said
from wtmpdb.doctor import pam
from wtmpdb.doctor.finding import NOTE, OK, PROBLEM

LOADABLE = "int pam_sm_open_session(void) { return 0; } int pam_sm_close_session(void) { return 0; }"


def compile_module(world: World, code: str) -> None:
    """Put a library in the place of the module."""
    if shutil.which("cc") is None:
        pytest.skip("not installed: cc")
    command = ["cc", "-x", "c", "-shared", "-fPIC", "-w", "-o", world.pam_path(), "-"]
    subprocess.run(command, input=code, text=True, check=True)


def one(findings: list[str]) -> str:
    """Return the only finding."""
    assert len(findings) == 1, findings
    return findings[0]


class TestModule:
    def test_is_well(self, world: World, build: Path) -> None:
        """Our module, as it is built, can be loaded."""
        shutil.copy(build / "pam_wtmpdb_spool.so", world.pam_path())
        assert said(list(pam.module(world.case())), OK) == [f"{world.pam_path()} can be loaded -> "]

    def test_missing(self, world: World) -> None:
        """A module that is not there is a problem, but where setup was told to leave PAM alone."""
        assert "is not there -> sudo wtmpdb setup" in one(said(list(pam.module(world.case())), PROBLEM))
        world.records(pam=False)
        assert "is not there" in one(said(list(pam.module(world.case())), NOTE))

    def test_no_libpam(self, world: World) -> None:
        """A machine without libpam is told so."""
        (world.security / "pam_permit.so").unlink()
        assert "libpam's own modules are not found" in one(said(list(pam.module(world.case())), PROBLEM))

    @pytest.mark.parametrize(
        ("code", "why"),
        [
            ("int x;", "it lacks the calls of a session module"),
            (f"{LOADABLE} extern int nothing(void); int f(void) {{ return nothing(); }}", "undefined symbol: nothing"),
            (f"#include <signal.h>\n{LOADABLE} __attribute__((constructor)) void f(void) {{ raise(SIGKILL); }}", "was killed by SIGKILL"),
            (f"#include <unistd.h>\n{LOADABLE} __attribute__((constructor)) void f(void) {{ for (;;) pause(); }}", "did not end within"),
        ],
    )
    def test_cannot_be_loaded(self, world: World, monkeypatch: pytest.MonkeyPatch, code: str, why: str) -> None:
        """A module that lacks a symbol, crashes or hangs when it is loaded is a problem; the doctor survives it."""
        monkeypatch.setattr(pam, "_SECONDS", 0.3)
        compile_module(world, code)
        begun = time.monotonic()
        found = one(said(list(pam.module(world.case())), PROBLEM))
        assert "cannot be loaded: " in found
        assert why in found
        assert time.monotonic() - begun < 3

    def test_no_library(self, world: World) -> None:
        """A file that is no library is a problem."""
        world.write("usr/lib/x86_64-linux-gnu/security/pam_wtmpdb_spool.so", "text")
        assert "cannot be loaded" in one(said(list(pam.module(world.case())), PROBLEM))

    def test_others_can_change_it(self, world: World) -> None:
        """A module, or a directory above it, that others can write, is a problem and is not loaded."""
        compile_module(world, f"{LOADABLE} __attribute__((constructor)) void f(void) {{ __builtin_trap(); }}")
        Path(world.pam_path()).chmod(0o666)
        assert f"{world.pam_path()} can be written by others (mode 0666)" in one(said(list(pam.module(world.case())), PROBLEM))
        Path(world.pam_path()).chmod(0o644)
        world.security.chmod(0o775)
        assert f"{world.security} can be written by others (mode 0775)" in one(said(list(pam.module(world.case())), PROBLEM))
        world.security.chmod(0o755)
        os.chown(world.pam_path(), 1234, 0)
        assert f"{world.pam_path()} belongs to user 1234" in one(said(list(pam.module(world.case())), PROBLEM))


class TestLines:
    def test_where(self, world: World) -> None:
        """The lines that name the module are told with file and number, once each."""
        assert said(list(pam.lines(world.case())), OK) == ["/etc/pam.d/common-session:6 (optional) -> "]
        assert said(list(pam.lines(world.case())), PROBLEM) == []

    def test_none(self, world: World) -> None:
        """Without a line no login is recorded: a problem, unless setup was told so."""
        world.write("etc/pam.d/common-session", "session required pam_unix.so\n")
        assert one(said(list(pam.lines(world.case())), PROBLEM)).endswith("no login is recorded -> sudo wtmpdb setup")
        world.records(pam=False)
        assert "setup was told to leave PAM alone" in one(said(list(pam.lines(world.case())), NOTE))

    def test_edited_by_hand(self, world: World) -> None:
        """Where the profile is there but the line is not, a stack was edited by hand: the line to add is told."""
        world.write("etc/pam.d/common-session", "session required pam_unix.so\n")
        world.write("usr/share/pam-configs/wtmpdb-spool", "Name: x\n")
        found = one(said(list(pam.lines(world.case())), PROBLEM))
        assert "was edited by hand" in found
        assert "echo 'session optional pam_wtmpdb_spool.so' | sudo tee -a /etc/pam.d/common-session" in found

    def test_options(self, world: World) -> None:
        """An option that the module does not know, and a spool that nobody empties, are problems; the module's own options are not."""
        world.write("etc/pam.d/common-session", "session optional pam_wtmpdb_spool.so debug silent skip_if=ftp poke=/run/x database=/x\n")
        assert one(said(list(pam.lines(world.case())), PROBLEM)).startswith("/etc/pam.d/common-session:1: the module does not know database=/x")
        world.write("etc/pam.d/common-session", "session optional pam_wtmpdb_spool.so spool=/srv/spool\n")
        assert "letters go to /srv/spool" in one(said(list(pam.lines(world.case())), PROBLEM))
        world.write("etc/pam.d/common-session", "session optional pam_wtmpdb_spool.so spool=/var/lib/wtmpdb/spool\n")
        assert said(list(pam.lines(world.case())), PROBLEM) == []

    def test_required(self, world: World) -> None:
        """A module that is required would refuse logins when it is missing: a note."""
        world.write("etc/pam.d/common-session", "session required pam_wtmpdb_spool.so\n")
        assert "would refuse logins" in one(said(list(pam.lines(world.case())), NOTE))


class TestServices:
    def test_reached(self, world: World) -> None:
        """Services are told by whether they are recorded; cron, which is not interactive, need not be."""
        findings = list(pam.services(world.case()))
        assert said(findings, OK) == ["recorded: login, sshd, su; not recorded: cron -> "]
        assert said(findings, PROBLEM) == []

    def test_a_login_that_is_not(self, world: World) -> None:
        """A service by which one logs in and that does not run through the module is a problem, with its file."""
        world.stack("su", "session required pam_unix.so\n")
        found = one(said(list(pam.services(world.case())), PROBLEM))
        assert found.startswith("sessions of su do not run through the module -> put 'session optional pam_wtmpdb_spool.so' at the end")
        assert found.endswith("of /etc/pam.d/su")

    def test_twice(self, world: World) -> None:
        """A line too many in the same stack is a note, since the module records a session once."""
        world.stack("login", "@include common-session\nsession optional pam_wtmpdb_spool.so\n")
        assert "login: the module comes more than once (/etc/pam.d/common-session:6 and /etc/pam.d/login:4)" in one(
            said(list(pam.services(world.case())), NOTE)
        )

    def test_nothing_to_say_without_a_line(self, world: World) -> None:
        """Where no service names the module, that alone is told."""
        world.write("etc/pam.d/common-session", "")
        assert list(pam.services(world.case())) == []


class TestSshd:
    def test_by_the_module(self, world: World) -> None:
        """Where sshd does not record by itself, the module does."""
        assert said(list(pam.sshd(world.case())), OK) == ["is recorded by the module -> "]

    def test_twice(self, world: World) -> None:
        """Where sshd records by itself and the module does too, each session has two rows."""
        world.debian_13()
        assert one(said(list(pam.sshd(world.case())), PROBLEM)).endswith(
            "-> sudo wtmpdb setup, or write skip_if=sshd into /etc/pam.d/common-session:6"
        )

    def test_by_itself(self, world: World) -> None:
        """Where sshd records by itself and the module leaves it out, all is well."""
        world.debian_13()
        world.write("etc/pam.d/common-session", "session optional pam_wtmpdb_spool.so skip_if=ftp,sshd\n")
        assert "the module leaves it out" in one(said(list(pam.sshd(world.case())), OK))
        assert said(list(pam.services(world.case())), OK) == ["recorded: login, su; left out by skip_if: sshd; not recorded: cron -> "]

    def test_by_both(self, world: World) -> None:
        """Where the recorder stays it makes one row of both; then the module must not leave sshd out."""
        world.debian_13()
        world.write("var/lib/wtmpdb/setup.json", json.dumps({"options": {"recorder": True}, "directories": [], "files": [], "deeds": []}))
        assert "the recorder makes one of both" in one(said(list(pam.sshd(world.case())), OK))
        world.write("etc/pam.d/common-session", "session optional pam_wtmpdb_spool.so skip_if=sshd\n")
        assert "(scp, sftp) have no row -> sudo wtmpdb setup, or remove skip_if=sshd" in one(said(list(pam.sshd(world.case())), PROBLEM))

    def test_by_nobody(self, world: World) -> None:
        """Where the module leaves sshd out, but sshd does not record, sessions have no row."""
        world.write("etc/pam.d/common-session", "session optional pam_wtmpdb_spool.so skip_if=sshd\n")
        assert "they have no row -> sudo wtmpdb setup, or remove skip_if=sshd" in one(said(list(pam.sshd(world.case())), PROBLEM))

    def test_without_pam(self, world: World) -> None:
        """An sshd that does not use PAM is a problem."""
        world.write("etc/ssh/sshd_config", "Port 22\nUsePAM no\n")
        assert "'UsePAM no'" in one(said(list(pam.sshd(world.case())), PROBLEM))

    def test_no_sshd(self, world: World) -> None:
        """Without an sshd there is nothing to say."""
        (world.root / "etc/pam.d/sshd").unlink()
        assert list(pam.sshd(world.case())) == []

    @pytest.mark.parametrize(
        ("main", "more", "uses"),
        [
            ("UsePAM yes\nUsePAM no\n", "", True),
            ("#UsePAM yes\nusepam=NO\n", "", False),
            ("Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n", "UsePAM no\n", False),
            ("Include sshd_config.d/*.conf\nUsePAM yes\n", "Port 22\n", True),
            ("Include sshd_config\n", "", None),
            ("Port 22\n", "", None),
        ],
    )
    def test_configuration(self, world: World, main: str, more: str, uses: bool | None) -> None:
        """As sshd does, the first word on PAM counts, also of a file that is included."""
        world.write("etc/ssh/sshd_config", main)
        world.write("etc/ssh/sshd_config.d/more.conf", more)
        assert pam.uses_pam(str(world.root)) is uses
