# SPDX-License-Identifier: BSD-2-Clause
"""Setup and undo on a plain Linux: what they do, what they leave alone, what they refuse."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from installation.world import MODULE, SECURITY, World
from support import NOON, make_file, table
from wtmpdb import shipped
from wtmpdb.errors import WtmpdbError
from wtmpdb.installation import found, pam, program
from wtmpdb.installation.ledger import LOCK, OPTIONS, Ledger
from wtmpdb.log import Log

if TYPE_CHECKING:
    from pathlib import Path

RECORD = "/var/lib/wtmpdb/setup.json"
DATABASE = "/var/lib/wtmpdb/wtmp.db"
LAST = "/usr/local/bin/last"
ROWS = [(3, "alice", NOON, NOON + 1, "pts/0", None, "login")]


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return path.stat().st_mode & 0o7777


def test_second_run_does_nothing(world: World) -> None:
    """What setup has put in place, a second run leaves to the byte, and counts no change."""
    assert world.set_up() > 0
    state = world.state()
    assert world.set_up() == 0
    assert world.state() == state


def test_puts_everything_in_place(world: World) -> None:
    """Module, program, manual, completion, units and spool are where they belong, with their modes, whatever the umask."""
    before = os.umask(0o077)
    try:
        world.set_up()
    finally:
        os.umask(before)
    assert world.path(MODULE).read_bytes() == b"the module"
    assert world.path("/usr/local/bin/wtmpdb").readlink().as_posix() == "/opt/wtmpdb/bin/wtmpdb"
    modes = {
        "/opt/wtmpdb/bin/wtmpdb": 0o755,
        "/usr/local/share/man/man1/wtmpdb-last.1": 0o644,
        "/usr/local/share/man/man1": 0o755,
        "/usr/local/share/bash-completion/completions/wtmpdb": 0o644,
        "/usr/local/lib/systemd/system/wtmpdb-boot.service": 0o644,
        "/usr/local/lib/systemd/system": 0o755,
        "/usr/local/lib/tmpfiles.d/wtmpdb.conf": 0o644,
        MODULE: 0o644,
        "/var/lib/wtmpdb": 0o755,
        RECORD: 0o644,
        "/var/lib/wtmpdb/spool": 0o700,
        "/var/lib/wtmpdb/spool/new": 0o700,
    }
    assert {path: mode(world.path(path)) for path in modes} == modes


@pytest.mark.parametrize("asked", [{}, {"private": True, "last": True}])
def test_undo_leaves_the_tree_as_it_was(world: World, asked: dict[str, bool]) -> None:
    """Setup and undo leave every byte, mode, owner, link and directory as they were, and the program is gone; a second undo has nothing to do."""
    before = world.state(without=[world.top])
    world.set_up(**asked)
    world.undo()
    assert world.state() == before
    assert world.undo() == 0


def test_undo_sweeps_what_a_killed_upgrade_left(world: World) -> None:
    """What install.sh left beside the program when it was killed goes with it."""
    before = world.state(without=[world.top])
    world.set_up()
    for left in ("new", "old"):
        world.path(f"{world.top}.{left}/bin").mkdir(parents=True)
    world.undo()
    assert world.state() == before


def test_undo_keeps_the_history(world: World) -> None:
    """Undo leaves the history where it is, and nothing beside it; with purge it goes, too."""
    before = world.state(without=[world.top])
    world.set_up()
    make_file(world.path(DATABASE), ROWS)
    whole = world.copy(world.root.with_name("purged"))
    world.undo()
    assert sorted(set(world.state()) - set(before)) == ["/var/lib/wtmpdb", DATABASE]
    assert table(world.path(DATABASE)) == [(1, *ROWS[0])]
    whole.undo(purge=True)
    assert whole.state() == before


def test_dry_run_changes_nothing_and_says_what_would_be_done(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run announces just the changes that the real one makes then, each once, and makes none."""
    before = world.state()
    for work in (world.set_up, world.undo):
        state = world.state()
        capsys.readouterr()
        announced = work(dry=True)
        said = [line.replace("  would ", "  ") for line in capsys.readouterr().out.splitlines()]
        assert world.state() == state
        work()
        made = capsys.readouterr().out.splitlines()
        assert len(set(said)) == len(said)
        # Whether a directory is empty in the end is not known beforehand.
        assert [line for line in made if line not in said and "remove /usr" not in line and "remove /var" not in line] == []
        assert [line for line in said if line not in made] == []
        assert announced > 0
    assert before != world.state()


def test_options_are_remembered(world: World) -> None:
    """What an option has said holds for later runs that say nothing, until the opposite is said."""
    world.set_up(private=True, last=True, all_sessions=True)
    assert world.set_up() == 0
    told = json.loads(world.path(RECORD).read_text())["options"]
    assert told == OPTIONS | {"private": True, "last": True, "all_sessions": True}
    world.set_up(last=False)
    assert not os.path.lexists(world.path(LAST))
    assert json.loads(world.path(RECORD).read_text())["options"] == OPTIONS | {"private": True, "all_sessions": True}


def test_without_pam_and_systemd(world: World) -> None:
    """With --no-pam and --no-systemd neither a module nor a unit is put anywhere; undo leaves the tree as it was."""
    before = world.state(without=[world.top])
    world.set_up(pam=False, systemd=False)
    new = set(world.state()) - set(before)
    assert not [name for name in new if "systemd" in name or "security" in name or "tmpfiles" in name]
    assert world.set_up() == 0
    world.undo()
    assert world.state() == before


def test_private_history(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """--private closes the history and its journal to others; a file that is made anew is closed, too; --no-private opens them again."""
    monkeypatch.setattr("wtmpdb.log.DATABASE", str(world.path(DATABASE)))
    world.set_up()
    database, journal = world.path(DATABASE), world.path(f"{DATABASE}-journal")
    Log.write(str(database)).close()
    assert (mode(database), mode(journal)) == (0o644, 0o644)
    world.set_up(private=True)
    assert (mode(database), mode(journal)) == (0o640, 0o640)
    world.set_up()
    assert (mode(database), mode(journal)) == (0o640, 0o640)
    database.unlink()
    journal.unlink()
    Log.write(str(database)).close()
    assert (mode(database), mode(journal)) == (0o640, 0o640)
    world.set_up(private=False)
    assert (mode(database), mode(journal)) == (0o644, 0o644)
    assert not world.path("/var/lib/wtmpdb/private").exists()


def test_what_others_may_see(world: World) -> None:
    """What others may see of a private history is their own, until --others says otherwise, which is remembered; elsewhere it says nothing."""
    said = world.path("/var/lib/wtmpdb/private")
    world.set_up()
    with pytest.raises(WtmpdbError, match="everybody may read the history: nothing was changed"):
        world.show_others("none")
    assert not said.exists()
    world.set_up(private=True)
    assert said.read_text() == "own\n"
    world.show_others("none")
    assert said.read_text() == "none\n"
    assert world.set_up() == 0
    assert said.read_text() == "none\n"


def test_mode_that_somebody_has_chosen_stays(world: World) -> None:
    """A history that somebody has closed by hand is not opened to all by a setup that was told nothing of it."""
    world.set_up()
    database = make_file(world.path(DATABASE), ROWS)
    database.chmod(0o640)
    assert world.set_up() == 0
    assert mode(database) == 0o640


def test_history_of_c_gets_its_indexes(world: World) -> None:
    """Setup brings a file that the C tool has made up to date, once, and keeps its rows."""
    world.set_up()
    database = make_file(world.path(DATABASE), ROWS, ours=False)
    assert world.set_up() > 0
    assert world.set_up() == 0
    assert table(database) == [(1, *ROWS[0])]


def test_files_of_an_older_version_go(world: World) -> None:
    """What an earlier version put in place and this one has no more is removed, be it a page or a unit; what is not ours stays."""
    world.set_up()
    state = world.state(without=[RECORD])
    stale = ["/usr/local/lib/systemd/system/wtmpdb-old.timer", "/usr/local/share/man/man1/wtmpdb-old.1"]
    for path in (*stale, "/usr/local/share/man/man1/other.1"):
        world.path(path).write_text("old")
    told = json.loads(world.path(RECORD).read_text())
    told["files"] += stale
    world.path(RECORD).write_text(json.dumps(told))
    assert world.set_up() == 2
    assert world.state(without=[RECORD, "/usr/local/share/man/man1/other.1"]) == state
    assert world.path("/usr/local/share/man/man1/other.1").exists()


def test_older_unit_is_put_right(world: World) -> None:
    """A file of ours that somebody has changed is what it should be after setup, mode and all."""
    world.set_up()
    state = world.state()
    unit = world.path("/usr/local/lib/systemd/system/wtmpdb-boot.service")
    unit.write_text("[Unit]\n")
    unit.chmod(0o666)
    world.path(MODULE).unlink()
    assert world.set_up() == 2
    assert world.state() == state


@pytest.mark.parametrize("kind", ["file", "link"])
def test_foreign_last_stays(world: World, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    """A `last` in /usr/local/bin that is not ours stays, through --last, --no-last and --undo, and setup says so."""
    last = world.path(LAST)
    if kind == "file":
        last.write_text("#!/bin/sh\n")
    else:
        last.symlink_to("/usr/bin/my-last")
    before = world.state(without=[world.top])
    world.set_up(last=True)
    assert f"{LAST} is not ours: it stays" in capsys.readouterr().out
    world.set_up(last=False)
    world.set_up(last=True)
    world.undo()
    assert world.state() == before


@pytest.mark.parametrize("kind", ["file", "link"])
def test_last_that_somebody_has_put_in_place_of_ours_stays(world: World, kind: str) -> None:
    """Where somebody has replaced our `last` by their own, neither setup, --no-last nor --undo takes it away."""
    world.set_up(last=True)
    last = world.path(LAST)
    last.unlink()
    if kind == "file":
        last.write_text("mine")
    else:
        last.symlink_to("/usr/bin/my-last")
    state = world.state()[LAST]
    for wish in (None, False, True):
        world.set_up(last=wish)
        assert world.state()[LAST] == state
    world.undo()
    assert world.state()[LAST] == state


def test_foreign_program_stays(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A /usr/local/bin/wtmpdb that is not ours stays, and setup says where ours is."""
    world.path("/usr/local/bin/wtmpdb").write_text("theirs")
    before = world.state(without=[world.top])
    world.set_up()
    assert "/usr/local/bin/wtmpdb is not ours: it stays; the program is /opt/wtmpdb/bin/wtmpdb" in capsys.readouterr().out
    world.undo()
    assert world.state() == before


def test_what_others_put_into_our_directories_stays(world: World) -> None:
    """A directory that setup made stays when somebody else has put something into it."""
    world.set_up()
    other = world.path("/usr/local/lib/systemd/system/other.service")
    other.write_text("[Unit]\n")
    world.undo()
    assert other.read_text() == "[Unit]\n"
    assert not list(other.parent.glob("wtmpdb*"))


def test_letters_that_wait_are_not_thrown_away(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Undo leaves a spool alone that is not empty, and says so."""
    world.set_up()
    letter = world.path("/var/lib/wtmpdb/spool/new/letter")
    letter.write_text("x")
    world.undo()
    assert letter.read_text() == "x"
    assert "/var/lib/wtmpdb/spool/new is not empty: it stays" in capsys.readouterr().out


def test_line_by_hand_keeps_the_module(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """While a stack that was edited by hand names the module, undo leaves module and program, says where; it can be run again."""
    before = world.state(without=[world.top])
    stack = world.path("/etc/pam.d/login")
    text = stack.read_text()
    stack.write_text(f"{text}session optional pam_wtmpdb_spool.so\n")
    world.set_up()
    with pytest.raises(WtmpdbError, match="not all could be undone"):
        world.undo()
    said = capsys.readouterr().out
    assert "/etc/pam.d/login:3: still names pam_wtmpdb_spool.so" in said
    assert "lower by one" not in said
    assert world.path(MODULE).exists()
    assert world.path("/usr/local/bin/wtmpdb").is_symlink(), "with what should it be run again?"
    assert world.path("/opt/wtmpdb/bin/wtmpdb").exists()
    stack.write_text(text)
    world.undo()
    assert world.state() == before


def test_steps_are_printed_where_there_is_no_tool(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """On a plain Linux setup edits no stack, prints the line and the stacks that are there, and is silent once the line is there."""
    stacks = {path: path.read_bytes() for path in world.path("/etc/pam.d").iterdir()}
    world.set_up()
    said = capsys.readouterr().out
    assert "put at the end of /etc/pam.d/login, /etc/pam.d/sshd, /etc/pam.d/su:\n          session optional pam_wtmpdb_spool.so" in said
    assert {path: path.read_bytes() for path in world.path("/etc/pam.d").iterdir()} == stacks
    with world.path("/etc/pam.d/login").open("a") as file:
        file.write(f"{pam.LINE}\n")
    world.set_up()
    assert "put at the end" not in capsys.readouterr().out


def test_the_line_for_failed_logins_is_only_told(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no tool counts jumps anew setup tells how failed logins are recorded, edits nothing, and is silent once the line is there or unwanted."""
    stack = world.path("/etc/pam.d/su")
    before = stack.read_bytes()
    world.set_up()
    assert f"where you are not sure:\n      {pam.FAILURES_LINE}\n      auth required pam_deny.so\n" in capsys.readouterr().out
    assert stack.read_bytes() == before
    world.set_up(failures=False)
    assert pam.FAILURES_LINE not in capsys.readouterr().out
    stack.write_bytes(f"auth sufficient pam_unix.so\n{pam.FAILURES_LINE}\nauth required pam_deny.so\n".encode())
    world.set_up(failures=True)
    assert pam.FAILURES_LINE not in capsys.readouterr().out
    with pytest.raises(WtmpdbError, match="not all could be undone"):
        world.undo()
    said = capsys.readouterr().out
    assert "/etc/pam.d/su:2: still names pam_wtmpdb_spool.so" in said
    assert "first lower by one each jump over it" in said


def test_purge_takes_failed_logins_too(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Undo keeps the failed logins and says where they are; with purge they go, too."""
    before = world.state(without=[world.top])
    world.set_up()
    make_file(world.path("/var/lib/wtmpdb/btmp.db"), ROWS)
    whole = world.copy(world.root.with_name("purged"))
    world.undo()
    assert f"the history stays: {world.path('/var/lib/wtmpdb/btmp.db')}" in capsys.readouterr().out
    assert sorted(set(world.state()) - set(before)) == ["/var/lib/wtmpdb", "/var/lib/wtmpdb/btmp.db"]
    whole.undo(purge=True)
    assert whole.state() == before


@pytest.mark.parametrize(
    ("tool", "step"),
    [("authselect", "authselect create-profile wtmpdb"), ("pam-config", "/etc/pam.d/su-l   # at the end")],
)
def test_steps_of_other_distributions(world: World, capsys: pytest.CaptureFixture[str], tool: str, step: str) -> None:
    """Where authselect or pam-config writes the stacks, setup prints the steps for it, runs nothing and edits nothing."""
    program_file = world.path(f"/usr/bin/{tool}")
    program_file.write_text("#!/bin/sh\nexit 1\n")
    program_file.chmod(0o755)
    stacks = {path: path.read_bytes() for path in world.path("/etc/pam.d").iterdir()}
    world.set_up()
    said = capsys.readouterr().out
    assert step in said
    assert pam.LINE in said
    assert f"run {tool}" not in said
    assert {path: path.read_bytes() for path in world.path("/etc/pam.d").iterdir()} == stacks


def test_system_without_pam(world: World) -> None:
    """Without libpam's modules setup says that --no-pam is for such a system; with it, it goes through."""
    world.path(f"{SECURITY}/pam_permit.so").unlink()
    with pytest.raises(WtmpdbError, match="no PAM") as raised:
        world.set_up()
    assert raised.value.hint == "use --no-pam"
    world.set_up(pam=False)


def test_module_goes_to_the_modules_of_our_architecture(world: World) -> None:
    """Where libpam is there for several architectures, the module goes to that of this very Python."""
    with open(sys.executable, "rb") as file:
        ours = file.read(20)
    world.path(f"{SECURITY}/pam_permit.so").write_bytes(ours)
    other = world.path("/lib/i386-linux-gnu/security")
    other.mkdir(parents=True)
    (other / "pam_permit.so").write_bytes(ours[:4] + b"\x01" + ours[5:18] + b"\x03\x00")
    assert found.security_directory(str(world.root)) == SECURITY
    world.path(f"{SECURITY}/pam_permit.so").unlink()
    assert found.security_directory(str(world.root)) == "/lib/i386-linux-gnu/security"


@pytest.mark.parametrize("closed", ["/etc/systemd/system", "/var/lib", "/usr/local/share/man", SECURITY])
def test_read_only_target(world: World, monkeypatch: pytest.MonkeyPatch, closed: str) -> None:
    """When a place is on a file system that is read-only, setup says which, and has changed nothing."""
    world.path("/etc/systemd/system").mkdir(parents=True)
    tool = world.path("/usr/bin/systemctl")
    tool.write_text("#!/bin/sh\nexit 1\n")
    tool.chmod(0o755)
    before = world.state()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, how: path != str(world.path(closed)) and access(path, how))
    with pytest.raises(WtmpdbError, match=f"{closed}: read-only, or not to be written by you: nothing was changed"):
        world.set_up()
    assert world.state() == before


LOCKING = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
os.remove(sys.argv[1])
"""


def test_one_setup_at_a_time(world: World) -> None:
    """A setup that meets another one on the same tree changes nothing and says so, and so does undo."""
    world.set_up()
    state = world.state()
    command = [sys.executable, "-c", LOCKING, str(world.path("/var/lib/wtmpdb/setup.lock"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        for work in (world.set_up, world.undo):
            with pytest.raises(WtmpdbError, match="another setup is running"):
                work()
        assert other.stdin is not None
        other.stdin.close()
    assert world.state() == state
    assert world.set_up() == 0


def test_locks_of_others(world: World) -> None:
    """A lock on what anybody can open keeps root from nothing, and nobody else can open what counts."""
    world.set_up()
    with world.path("/var/lib/wtmpdb/setup.json").open("rb") as file:
        directory = os.open(world.path("/var/lib/wtmpdb"), os.O_RDONLY)
        for fd in (directory, file.fileno()):
            fcntl.flock(fd, fcntl.LOCK_EX)
        ledger = Ledger(str(world.path("/")))
        ledger.lock()
        assert world.path(LOCK).stat().st_mode & 0o777 == 0o600
        ledger.unlock()
        assert world.undo() > 0
        os.close(directory)
    assert not world.path("/var/lib/wtmpdb").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="the program has to belong to root")
@pytest.mark.parametrize("loose", ["", "lib", "bin/python"])
def test_prefix_that_others_can_write(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch, loose: str) -> None:
    """Setup refuses a program that others than root could change: itself, a directory above it, or what a link of it leads to."""
    monkeypatch.undo()
    top = tmp_path / "shared" / "wtmpdb"
    (top / "bin").mkdir(parents=True)
    (top / "lib").mkdir()
    python = top / "bin/python"
    python.write_text("")
    program.check(str(top), str(python))
    (top / loose if loose == "bin/python" else top.parent).chmod(0o777)
    before = world.state()
    with pytest.raises(WtmpdbError, match="others than root can change it") as raised:
        program.check(str(top), str(python))
    assert raised.value.hint == "install into /opt/wtmpdb"
    assert world.state() == before


def test_refuses_a_source_that_is_not_installed() -> None:
    """From a checkout there is nothing to set up: setup says that install.sh is to be run."""
    with pytest.raises(WtmpdbError, match="not installed") as raised:
        program.prefix()
    assert raised.value.hint == "run 'sudo ./install.sh'"


def test_launcher_starts(world: World, directory: Path) -> None:
    """The launcher finds the package in the environment, also when the system's Python is newer than the one that it was made with."""
    site = directory / "environment/lib/python3.2/site-packages"
    site.mkdir(parents=True)
    (site / "wtmpdb").symlink_to(os.path.dirname(shipped.__file__))
    world.set_up()
    launcher = world.path("/opt/wtmpdb/bin/wtmpdb").read_text().replace("/opt/wtmpdb", str(directory / "environment"))
    file = directory / "wtmpdb"
    file.write_text(launcher)
    file.chmod(0o755)
    done = subprocess.run([file, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("wtmpdb ")
