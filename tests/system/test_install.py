# SPDX-License-Identifier: BSD-2-Clause
"""install.sh on a bare Debian, where systemd is not running."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from system.containers import Tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.conftest import Installed

pytestmark = pytest.mark.system
both = pytest.mark.parametrize("name", ["bookworm", "trixie"])

UNITS = {
    "wtmpdb-boot.service": "multi-user.target",
    "wtmpdb-boot-time.path": "multi-user.target",
    "wtmpdb-boot-time.service": "time-sync.target",
    "wtmpdb-recorder.path": "multi-user.target",
    "wtmpdb-recorder.socket": "sockets.target",
    "wtmpdb-recorder.timer": "timers.target",
}


def lines(tree: Tree, file: str) -> list[str]:
    """Return the lines of a file of /etc/pam.d that count."""
    return [line.rstrip() for line in tree.path(f"/etc/pam.d/{file}").read_text().splitlines() if line and not line.startswith("#")]


@both
def test_runs_to_the_end_on_a_bare_system(install: Callable[[str], Installed], name: str) -> None:
    """On a bare system without a running systemd install.sh ends with success, and its last word says how to go on."""
    first = install(name).first
    assert first.returncode == 0, first.stdout + first.stderr
    assert "systemd does not run here: the units start with the next boot" in first.stdout
    assert first.stdout.splitlines()[-1] == "wtmpdb setup: done: the history begins with the next boot"


@both
def test_second_run_changes_nothing(install: Callable[[str], Installed], name: str) -> None:
    """A second run succeeds and leaves PAM, units, directories and program as the first left them."""
    installed = install(name)
    assert installed.second.returncode == 0, installed.second.stdout + installed.second.stderr
    # pip has put its own launcher in the place of ours, which is the only thing that there is to do.
    assert re.findall(r"^  (?:write|make|run|link|remove) .*", installed.second.stdout, re.MULTILINE) == ["  write /opt/wtmpdb/bin/wtmpdb"]
    tree = installed.tree.above()
    state = "cd /; cat /etc/pam.d/*; find etc/systemd usr/local var/lib/wtmpdb usr/share/pam-configs -printf '%p %m %u %g %l\\n' | sort; wtmpdb -V"
    before = tree.run(state).stdout
    tree.run("/src/install.sh --no-packages")
    assert tree.run(state).stdout == before


@both
def test_pam_line_is_where_it_belongs(install: Callable[[str], Installed], name: str) -> None:
    """Our module is the last in common-session, in common-auth where only a failure leads and a success jumps across, and in no other stack."""
    tree = install(name).tree
    session = lines(tree, "common-session")
    assert [line.split() for line in session if "wtmpdb" in line] == [session[-1].split()]
    assert re.fullmatch(r"session\s+optional\s+pam_wtmpdb_spool\.so( skip_if=sshd)?", session[-1])
    assert "pam_systemd.so" in session[-2]
    bare = Tree(tree.workplace, tree.lower[-1])
    for stack in ("common-account", "common-password", "common-session-noninteractive"):
        assert lines(tree, stack) == lines(bare, stack)
    ours = [line.split() for line in lines(tree, "common-auth")]
    assert ours.pop(1) == ["auth", "[default=ignore]", "pam_wtmpdb_spool.so"]
    ours[0][1] = ours[0][1].replace("success=2", "success=1")
    assert ours == [line.split() for line in lines(bare, "common-auth")]


@both
def test_leaves_ssh_to_an_sshd_that_records(install: Callable[[str], Installed], name: str) -> None:
    """On Debian 13, whose sshd writes its sessions itself, our module leaves ssh out and says so; on Debian 12 it does not."""
    installed = install(name)
    records = name == "trixie"
    assert ("skip_if=sshd" in lines(installed.tree, "common-session")[-1]) == records
    assert ("sshd records sessions with a terminal itself" in installed.first.stdout) == records


@both
def test_units_are_enabled(install: Callable[[str], Installed], name: str) -> None:
    """All units are enabled, each where it is wanted."""
    tree = install(name).tree
    for unit, target in UNITS.items():
        assert tree.path(f"/etc/systemd/system/{target}.wants/{unit}").is_symlink(), unit
    assert tree.run(f"systemctl is-enabled {' '.join(UNITS)}").stdout.split() == ["enabled"] * len(UNITS)


@both
def test_directories_and_files_have_their_modes(install: Callable[[str], Installed], name: str) -> None:
    """The history's directory can be entered by all, the spool by root alone, and nobody but root may write anything that is installed."""
    tree = install(name).tree
    script = "stat -c '%a %U:%G %n' /var/lib/wtmpdb /var/lib/wtmpdb/spool /var/lib/wtmpdb/spool/*"
    assert tree.run(script).stdout.splitlines() == [
        "755 root:root /var/lib/wtmpdb",
        "700 root:root /var/lib/wtmpdb/spool",
        "700 root:root /var/lib/wtmpdb/spool/bad",
        "700 root:root /var/lib/wtmpdb/spool/failed",
        "700 root:root /var/lib/wtmpdb/spool/new",
        "700 root:root /var/lib/wtmpdb/spool/tmp",
    ]
    theirs = "find /opt/wtmpdb /usr/local/lib/systemd /usr/local/lib/tmpfiles.d /usr/local/bin/wtmpdb /usr/lib/*/security/pam_wtmpdb_spool.so"
    assert tree.run(rf"{theirs} ! -type l \( ! -user root -o ! -group root -o -perm /022 \)").stdout == ""


@both
def test_program_heeds_no_variable_of_python(install: Callable[[str], Installed], name: str) -> None:
    """`wtmpdb` works for every user, whatever PYTHONPATH and PYTHONHOME say, and from a directory with modules of the same names."""
    tree = install(name).tree.above()
    script = """
        mkdir /tmp/trap; cd /tmp/trap
        for module in sqlite3 wtmpdb os glob sitecustomize usercustomize; do echo 'raise SystemExit("trapped")' >$module.py; done
        PYTHONPATH=/tmp/trap PYTHONHOME=/tmp/trap PYTHONSTARTUP=/tmp/trap/os.py setpriv --reuid alice --regid alice --clear-groups wtmpdb --version
    """
    assert re.fullmatch(r"wtmpdb \d+\.\d+\S*\n", tree.run(script).stdout)


@both
def test_recorded_from_the_first_login_on(install: Callable[[str], Installed], name: str) -> None:
    """A login through the installed stack is in the history at once, although nothing has been started yet."""
    tree = install(name).tree.above()
    script = """
        pamtester -I tty=/dev/pts/7 login alice open_session close_session >/dev/null
        wtmpdb last --time-format notime --service
    """
    assert tree.run(script).stdout.split()[:3] == ["alice", "pts/7", "login"]


def test_edited_stack_is_left_alone(install: Callable[[str], Installed]) -> None:
    """A common-session that was edited by hand stays byte for byte as it is; install.sh prints the line that is to be added."""
    tree = install("bookworm").tree.above()
    tree.run("pam-auth-update --package --remove wtmpdb-spool; rm /usr/share/pam-configs/wtmpdb-spool")
    stack = tree.path("/etc/pam.d/common-session").read_text()
    edited = stack.replace("session\toptional\tpam_systemd.so", "session required pam_limits.so\nsession\toptional\tpam_systemd.so")
    assert edited != stack
    tree.put("/etc/pam.d/common-session", edited)
    done = tree.run("exec /src/install.sh --no-packages")
    assert tree.path("/etc/pam.d/common-session").read_text() == edited
    assert "      session optional pam_wtmpdb_spool.so" in done.stdout.splitlines()
    assert "common-session was edited by hand" in done.stdout


@both
def test_refuses_those_who_are_not_root(install: Callable[[str], Installed], name: str) -> None:
    """Whoever is not root is told to be, and nothing is touched."""
    done = install(name).tree.above().run("exec setpriv --reuid alice --regid alice --clear-groups /src/install.sh", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "install.sh: must be run as root: sudo ./install.sh\n")


@both
def test_tree_is_bare(install: Callable[[str], Installed], name: str) -> None:
    """The trees that install.sh is tried on have no compiler: it has to bring what it needs."""
    assert not (install(name).tree.lower[-1] / "usr/bin/gcc").exists()
