# SPDX-License-Identifier: BSD-2-Clause
"""The program: its interpreter, its packages, the names it is called by."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from doctor.conftest import World, said
from wtmpdb.doctor import program
from wtmpdb.doctor.finding import NOTE, OK, PROBLEM
from wtmpdb.installation import places

if TYPE_CHECKING:
    from pathlib import Path

RUNNING = "python{}.{}".format(*sys.version_info)


class TestLauncher:
    def test_well(self, world: World) -> None:
        """A program of root's, with an interpreter of root's, is well."""
        assert said(list(program.launcher(world.case())), OK)[0].endswith("run by /usr/bin/python3; only root can change it -> ")

    def test_missing(self, world: World) -> None:
        """A program that is not there is a problem."""
        (world.root / "opt/wtmpdb/bin/wtmpdb").unlink()
        assert said(list(program.launcher(world.case())), PROBLEM)[0].endswith("-> sudo ./install.sh")

    @pytest.mark.parametrize("text", ["", "#!/usr/bin/python9 -I\n", "#!\n", "\x7fELF"])
    def test_interpreter(self, world: World, text: str) -> None:
        """A program whose interpreter is not there, or not named, is a problem."""
        world.write("opt/wtmpdb/bin/wtmpdb", text)
        assert "its interpreter" in said(list(program.launcher(world.case())), PROBLEM)[0]

    @pytest.mark.parametrize("name", ["bin/wtmpdb", "lib", "lib/python3.11/site-packages", "lib/python3.11/site-packages/wtmpdb.py", "bin"])
    def test_others_can_change_it(self, world: World, name: str) -> None:
        """Any part of it that others can write, or that belongs to somebody else, is a problem."""
        path = world.root / "opt/wtmpdb" / name
        mode = path.stat().st_mode
        path.chmod(mode | 0o020)
        assert f"{path} can be written by others" in said(list(program.launcher(world.case())), PROBLEM)[0]
        path.chmod(mode)
        os.chown(path, 1234, 0)
        found = said(list(program.launcher(world.case())), PROBLEM)
        assert f"{path} belongs to user 1234" in found[0]
        assert found[0].endswith("sudo chmod -R go-w /opt/wtmpdb")

    def test_elsewhere(self, world: World, tmp_path: Path) -> None:
        """A program that setup has put elsewhere is found by the link to it."""
        (tmp_path / "srv").mkdir()
        (world.root / "opt/wtmpdb").rename(tmp_path / "srv/own")
        world.write("srv/own/pyvenv.cfg", "")
        link = world.root / "usr/local/bin/wtmpdb"
        link.unlink()
        link.symlink_to("/srv/own/bin/wtmpdb")
        assert world.case().prefix == "/srv/own"
        assert len(said(list(program.launcher(world.case())), OK)) == 1


class TestPython:
    def test_well(self, world: World) -> None:
        """Packages of the Python that runs are well."""
        world.write(f"opt/wtmpdb/lib/{RUNNING}/site-packages/wtmpdb.py", "")
        findings = list(program.python(world.case()))
        assert [finding.check for finding in findings if finding.state == OK] == ["python", "packages"]

    def test_upgraded(self, world: World) -> None:
        """An upgrade of Python under the installation is a note, with what to run."""
        (world.root / "opt/wtmpdb/lib/python3.11").rename(world.root / "opt/wtmpdb/lib/python3.9")
        found = said(list(program.python(world.case())), NOTE)[0]
        assert found == (
            f"was upgraded from python3.9 to {RUNNING} under the installation: that works, but is not what was installed -> {program.INSTALL}"
        )

    def test_packages(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """Packages that cannot be found are named."""
        monkeypatch.setattr(program, "_NEEDED", {"os": "os", "no_such_module": "Nothing"})
        assert said(list(program.python(world.case())), PROBLEM)[0].startswith("Nothing cannot be found")


class TestNames:
    def test_well(self, world: World) -> None:
        """A link that leads to the program is well."""
        assert [finding.state for finding in program.called(world.case())] == [OK]

    def test_link(self, world: World) -> None:
        """A link that is missing, or leads elsewhere, is a problem."""
        world.link("usr/local/bin/wtmpdb", "/usr/bin/python3")
        assert "does not lead to" in said(list(program.called(world.case())), PROBLEM)[0]
        (world.root / "usr/local/bin/wtmpdb").unlink()
        assert "does not lead to" in said(list(program.called(world.case())), PROBLEM)[0]

    def test_last(self, world: World) -> None:
        """The names `last` and `lastb` are looked at where setup was asked for them."""
        assert said(list(program.called(world.case())), NOTE) == []
        world.records(last=True)
        assert "/usr/local/bin/last does not lead to wtmpdb" in said(list(program.called(world.case())), NOTE)[0]
        for name in places.NAMES:
            world.link(f"usr/local/bin/{name}", "/opt/wtmpdb/bin/wtmpdb")
        assert said(list(program.called(world.case())), NOTE) == []

    def test_another_before_or_behind(self, world: World) -> None:
        """A wtmpdb of somebody else is a note where it comes first in PATH, and said where it comes behind ours."""
        world.write("usr/bin/wtmpdb", "").chmod(0o755)
        assert f"{world.root}/usr/bin/wtmpdb stands behind it" in said(list(program.called(world.case())), OK)[0]
        world.write("usr/local/sbin/wtmpdb", "").chmod(0o755)
        assert f"{world.root}/usr/local/sbin/wtmpdb comes before" in said(list(program.called(world.case())), NOTE)[0]


def test_record_of_setup(world: World) -> None:
    """A record of setup that cannot be read is a problem; one that can, and none, need no word."""
    assert list(program.record(world.case())) == []
    world.records(private=True)
    assert list(program.record(world.case())) == []
    assert world.case().asked_for("private")
    world.write("var/lib/wtmpdb/setup.json", "[]")
    assert "not what setup wrote" in said(list(program.record(world.case())), PROBLEM)[0]
    assert not world.case().asked_for("private")
