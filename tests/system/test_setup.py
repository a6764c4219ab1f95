# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb setup` and its undoing on real Debians that are not running: nothing else is changed, and nobody is locked out at any time."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from system.containers import SOURCE, CannotError, Container, Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from system.conftest import Installed

pytestmark = pytest.mark.system

NAMES = ["bookworm", "trixie-peer", "sid"]
each = pytest.mark.parametrize("name", NAMES)

# The right password lets in and the wrong one does not, by each stack that has our line or that is next to one that has. All at once: PAM takes
# its time with a wrong one.
LOGINS = r"""
check() {
    name=$1 password=$2
    shift 2
    if printf '%s\n' "$password" | timeout 60 "$@" >/dev/null 2>&1; then echo "$name $password in"; else echo "$name $password out"; fi
}
for password in right wrong; do
    for service in login sshd; do
        check $service $password pamtester -I rhost=192.0.2.9 $service alice authenticate acct_mgmt open_session close_session &
    done
    check su $password setpriv --reuid bob --regid bob --init-groups su alice -c true &
    check su-l $password setpriv --reuid bob --regid bob --init-groups su - alice -c true &
    check sudo $password setpriv --reuid alice --regid alice --init-groups sudo -S -k true &
    check sudo-i $password setpriv --reuid alice --regid alice --init-groups sudo -S -k -i true &
done
wait
"""
STACKS = ("login", "sshd", "su", "su-l", "sudo", "sudo-i")
AS_EVER = sorted([f"{stack} {password}" for stack in STACKS for password in ("right in", "wrong out")])

# What is so before and after, in a tree where the same files come and go.
STATE = """
    cat /etc/pam.d/*; cd /
    find etc usr/local usr/share/pam-configs usr/lib/*/security var/lib/wtmpdb opt -printf '%p %m %u %g %l\\n' | sort
    find etc usr/local usr/share/pam-configs opt -type f | sort | xargs -r sha256sum
"""
OF_DEBIAN = re.compile(
    r"/var/(cache/debconf|lib/dpkg)/.*-old|/var/lib/dpkg/diversions|/var/lib/dpkg/lock|/tmp/.*|/var/tmp/.*|/run/.*|/var/log/([bw]tmp|lastlog)"
)
"""What the tools of Debian keep of what was before, what goes away with the next boot, and where Debian itself records logins."""


def others(found: dict[str, str]) -> dict[str, str]:
    """Return those of some changes that are not Debian's own notes."""
    return {name: what for name, what in found.items() if not OF_DEBIAN.fullmatch(name)}


def logins(tree: Tree) -> list[str]:
    """Return how all logins go in a tree; what they leave is forgotten."""
    return sorted(tree.above().run(LOGINS).stdout.splitlines())


@dataclass
class Life:
    """A Debian before, with an installation, and after it was undone."""

    before: Tree
    installed: Tree
    undone: Tree
    said: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def life(prepared: Callable[[str], Tree], install: Callable[[str], Installed]) -> Callable[[str], Life]:
    """Install and undo, once for each Debian."""
    lives: dict[str, Life] = {}

    def get(name: str) -> Life:
        if name not in lives:
            before = prepared(name)
            if name == "bookworm":  # `install` has begun without the packages
                installed = before.above()
                installed.run("/src/install.sh --no-packages")
            else:
                installed = install(name).tree
            undone = installed.above()
            one = Life(before, installed, undone)
            one.said["again"] = installed.above().run("exec wtmpdb setup").stdout
            one.said["dry"] = undone.run("exec wtmpdb setup --undo --dry-run").stdout
            one.said["undo"] = undone.run("exec wtmpdb setup --undo").stdout
            lives[name] = one
        return lives[name]

    return get


@each
def test_second_setup_has_nothing_to_do(life: Callable[[str], Life], name: str) -> None:
    """A second `wtmpdb setup` says that everything is in place, and has changed nothing."""
    assert life(name).said["again"].splitlines()[-1] == "wtmpdb setup: nothing to do: everything is in place"


@each
def test_undo_leaves_the_system_as_it_was(life: Callable[[str], Life], name: str) -> None:
    """After setup and undo every file, link and directory, its mode and owner are what they were before."""
    one = life(name)
    assert others(one.installed.changes_since(one.before)), "setup did nothing"
    assert others(one.undone.changes_since(one.before)) == {}
    assert one.said["undo"].splitlines()[-1] == "wtmpdb setup: done: everything was taken out"


@each
def test_dry_run_names_what_undo_does(life: Callable[[str], Life], name: str) -> None:
    """`--undo --dry-run` announces what --undo then does, but for directories of which it is not yet known that they will be empty."""
    said = life(name).said
    announced = set(re.findall(r"^  would (.*)", said["dry"], re.MULTILINE))
    made = set(re.findall(r"^  ((?:run|remove|chmod) .*)", said["undo"], re.MULTILINE))
    assert announced <= made
    assert all(re.fullmatch(r"remove /(usr/local|var/lib/wtmpdb)(/[a-z0-9-]+|/tmpfiles\.d)*", what) for what in made - announced), made - announced


@each
def test_everybody_logs_in_as_ever(life: Callable[[str], Life], name: str) -> None:
    """Through login, sshd, su and sudo the right password lets in and a wrong one does not: before, with the installation, and after undo."""
    one = life(name)
    assert {what: logins(tree) for what, tree in (("before", one.before), ("installed", one.installed), ("undone", one.undone))} == dict.fromkeys(
        ("before", "installed", "undone"), AS_EVER
    )


@each
def test_logins_are_rows_and_stay_or_go(life: Callable[[str], Life], name: str) -> None:
    """The logins with the right password are in the history, the others and sudo are not; undo keeps the history, undo with purge does not."""
    one = life(name)
    lived = one.installed.above()
    lived.run(f"{LOGINS}\nwtmpdb last")
    undone, purged = lived.above(), lived.above()
    assert "the history stays: " in undone.run("exec wtmpdb setup --undo").stdout
    file = undone.path("/var/lib/wtmpdb/wtmp.db" if name == "bookworm" else "/var/log/wtmp.db")
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT Service FROM wtmp WHERE User = 'alice' OR User = 'root' ORDER BY Service").fetchall()
    assert {service for (service,) in rows} == {"login", "sshd", "su", "su-l", "sudo-i"} - ({"sshd"} if name != "bookworm" else set())
    purged.run("exec wtmpdb setup --undo --purge")
    left = [path for path in others(purged.changes_since(one.before)) if "wtmpdb" in path or "wtmp.db" in path]
    if name != "bookworm":  # shared with Debian's sshd
        assert left == ["/var/log/wtmp.db"]
        file = purged.above().upper / "copy"  # beside it lies overlayfs's word that its journal is gone
        shutil.copy(purged.path("/var/log/wtmp.db"), file)
        with closing(sqlite3.connect(file)) as database:
            assert database.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall() == [("wtmp",)]
            assert database.execute("SELECT count(*) FROM wtmp").fetchone() == (len(rows),)
    else:
        assert left == []


def test_old_files_are_imported_once(life: Callable[[str], Life]) -> None:
    """The end of an installation brings the old wtmp into the history; another setup does not, and one that is told not to does not either."""
    tree = life("bookworm").installed.above()
    tree.run("wtmpdb setup --undo --purge >/dev/null; cp /src/tests/data/docs/wtmp /var/log/wtmp")
    assert "  import /" not in tree.above().run("/src/install.sh --no-packages --no-import").stdout
    said = tree.run("/src/install.sh --no-packages").stdout
    assert re.search(r"  import /var/log/wtmp\n  sessions added: [1-9]\d*, boots: [1-9]\d*, known already: 0", said)
    ours, theirs = (tree.run(f"{command} --time-format iso").stdout.splitlines() for command in ("wtmpdb last", "last -f /var/log/wtmp"))
    assert len(ours) == len(theirs) > 5
    assert {line.split()[0] for line in ours[:-2]} == {line.split()[0] for line in theirs[:-2]}
    assert "nothing to do: everything is in place" in tree.run("wtmpdb setup").stdout


@pytest.mark.parametrize("name", ["bookworm", "trixie-peer"])
def test_all_sessions(life: Callable[[str], Life], name: str) -> None:
    """With --all-sessions cron's stack gets the line, too, and loses it again with the opposite; all of it is undone."""
    one = life(name)
    tree = one.installed.above()
    count = "grep -c pam_wtmpdb_spool /etc/pam.d/common-session-noninteractive || :"
    done = tree.run(f"wtmpdb setup --all-sessions; {count}; wtmpdb setup; wtmpdb setup --no-all-sessions; {count}; wtmpdb setup --all-sessions")
    assert [line for line in done.stdout.splitlines() if line.isdigit()] == ["1", "0"]
    assert "nothing to do" in done.stdout
    assert logins(tree) == AS_EVER
    tree.run("exec wtmpdb setup --undo")
    assert others(tree.changes_since(one.before)) == {}


def test_killed_setup_is_mended(life: Callable[[str], Life]) -> None:
    """Killed with all that it runs at any moment, setup locks nobody out; run again it ends what was begun, and so does undo."""
    one = life("trixie-peer")
    tree = one.installed.above()
    tree.run("cp -a /opt/wtmpdb /var/tmp/kept; wtmpdb setup --undo")
    setup = "/opt/wtmpdb/bin/wtmpdb setup"
    times = tree.run(f"cp -a /var/tmp/kept /opt/wtmpdb; date +%s.%N; {setup} >/dev/null; date +%s.%N; {setup} --undo >/dev/null").stdout.split()
    usual = float(times[1]) - float(times[0])
    moments = [f"{usual * share:.3f}" for share in (0.2, 0.45, 0.7, 0.95)]
    script = f"""
        state() {{ {STATE} }}
        log_in() {{ printf '%s\\n' "$1" | setpriv --reuid bob --regid bob --init-groups su alice -c true >/dev/null 2>&1; }}
        killed_at() {{
            when=$1
            shift
            setsid "$@" >/dev/null 2>&1 & group=$!
            sleep "$when"
            kill -KILL "-$group" 2>/dev/null || echo "too late"
            wait "$group" || :
        }}
        look() {{
            log_in wrong && echo "wrong in" & wrong=$!
            log_in right && echo "right in"
            wait $wrong || :
            rm -f /var/lib/wtmpdb/spool/new/* /var/lib/wtmpdb/spool/failed/new/*
        }}
        state >/var/tmp/before
        cp -a /var/tmp/kept /opt/wtmpdb
        /opt/wtmpdb/bin/wtmpdb setup >/dev/null
        state >/var/tmp/installed
        for moment in {" ".join(moments)}; do
            rm -rf /opt/wtmpdb
            cp -a /var/tmp/kept /opt/wtmpdb
            killed_at $moment /opt/wtmpdb/bin/wtmpdb setup
            look
            /opt/wtmpdb/bin/wtmpdb setup >/dev/null || echo "setup failed"
            state | diff /var/tmp/installed - || echo "not mended"
            killed_at $moment wtmpdb setup --undo
            look
            [ ! -e /opt/wtmpdb/bin/wtmpdb ] || /opt/wtmpdb/bin/wtmpdb setup --undo >/dev/null || echo "undo failed"
            rm -rf /opt/.wtmpdb.removed
            state | diff /var/tmp/before - || echo "not undone"
        done
    """
    said = tree.run(script).stdout.splitlines()
    late = said.count("too late")
    assert [line for line in said if line != "too late"] == ["right in"] * 2 * len(moments), (moments, "\n".join(said))
    assert late < 2 * len(moments), "never killed"
    assert logins(tree) == AS_EVER


def test_killed_install_is_mended(life: Callable[[str], Life]) -> None:
    """install.sh, killed at three moments one after the other, leaves a system that all can log in to; the next run ends it; undo works."""
    one = life("bookworm")
    tree = one.before.above()
    for seconds in (0.7, 2.5, 4.5):
        script = f"""
            setsid /src/install.sh --no-packages >/dev/null 2>&1 & group=$!
            sleep {seconds}
            kill -KILL "-$group"
            wait "$group" || :
            printf 'right\\n' | pamtester login alice authenticate acct_mgmt open_session close_session
        """
        tree.run(script)
    done = tree.run("exec /src/install.sh --no-packages", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert logins(tree) == AS_EVER
    assert tree.run("/opt/wtmpdb/bin/python -Im pip check").stdout == "No broken requirements found.\n"
    program, package = "/opt/wtmpdb/", "/opt/wtmpdb/lib/python3.11/site-packages/wtmpdb/"
    wanted, found = (
        {name for name in others(which.changes_since(one.before)) if not name.startswith(program) or name.startswith(package)}
        for which in (one.installed, tree)
    )
    history = {f"/var/lib/wtmpdb/wtmp.db{end}" for end in ("", "-journal")}  # the logins meanwhile stand in wtmp, which is imported
    assert found - history == wanted - history
    tree.run("exec wtmpdb setup --undo --purge")
    assert others(tree.changes_since(one.before)) == {}


OLD = "275d5e2"
"""Version 0.1.0, whose install.sh kept no ledger."""


@pytest.mark.parametrize("name", ["bookworm", "trixie-peer"])
def test_upgrade_of_what_kept_no_ledger(life: Callable[[str], Life], name: str) -> None:
    """Over version 0.1.0 install.sh keeps the history, one PAM line and the units; undo then takes out what that version put in place, too."""
    archive = subprocess.run(["git", "-c", f"safe.directory={SOURCE}", "archive", OLD], cwd=SOURCE, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"{OLD} is not in this clone")
    one = life(name)
    tree = one.before.above()
    (tree.upper / "old").mkdir()
    subprocess.run(["tar", "-x", "-C", tree.upper / "old"], input=archive.stdout, check=True)
    login = "pamtester login alice open_session close_session >/dev/null"
    tree.run(f"/old/install.sh --no-packages; rm -r /old; {login}; wtmpdb last >/dev/null; {login}")
    new = tree.run(f"/src/install.sh --no-packages; {login}; wtmpdb last --json | grep -c alice; wtmpdb setup | tail -n 1")
    assert new.stdout.splitlines()[-2:] == ["3", "wtmpdb setup: nothing to do: everything is in place"]
    assert tree.run("grep -c pam_wtmpdb_spool /etc/pam.d/common-session").stdout == "1\n"
    assert len(tree.run("ls -d /etc/systemd/system/*.wants/wtmpdb-[br]*").stdout.split()) == 6
    tree.run("exec wtmpdb setup --undo --purge")
    left = others(tree.changes_since(one.before))
    left.pop("/var/log/wtmp.db", None)
    # That version did not write down which directories it made.
    assert all(what == "new" and tree.path(path).is_dir() for path, what in left.items()), left
    assert logins(tree) == AS_EVER


@pytest.fixture(params=["bookworm", "trixie"])
def image(request: pytest.FixtureRequest, bare: Callable[[str], Tree]) -> Tree:
    """Give a tree for an image, without a compiler."""
    return bare(request.param).above()


@pytest.fixture
def machine(image: Tree) -> Iterator[Container]:
    """Give a machine that will boot the image."""
    container = Container(image)
    yield container
    container.close()


def test_image_is_set_up_from_outside(life: Callable[[str], Life], image: Tree, machine: Container) -> None:
    """With --root an image of the same or another Debian is set up, without touching the machine; booted, it records logins; undo undoes it."""
    host = life("bookworm").installed.above()
    before = Tree(image.workplace, *image.lower)
    done = host.run("wtmpdb setup --root /srv/image; wtmpdb setup --root=/srv/image", image=image)
    assert done.stdout.splitlines()[-1] == "wtmpdb setup: nothing to do: everything is in place"
    assert done.stderr == ""
    assert set(host.changes_since(life("bookworm").installed)) <= {"/srv/image"}
    undone = image.above()
    host.run("wtmpdb setup --root /srv/image --undo", image=undone)
    assert others(undone.changes_since(before)) == {}
    try:
        machine.boot()
    except CannotError as error:
        pytest.skip(str(error))
    machine.run("su - bob -c true")
    with machine.session("alice", "127.0.0.71"):
        pass
    assert {line["user"] for line in machine.last()} >= {"alice", "bob", "reboot"}
    machine.power_off()


# What stands in the way


def pam(tree: Tree) -> dict[str, bytes]:
    """Return all stacks of a tree, and the modules."""
    return {
        str(path.relative_to(layer)): path.read_bytes()
        for layer in (*tree.lower[::-1], tree.upper)
        for pattern in ("etc/pam.d/*", "usr/lib/*/security/*", "usr/share/pam-configs/*")
        for path in layer.glob(pattern)
        if path.is_file()
    }


CASES = {
    "read-only /etc": (
        "mount -o bind /etc /etc; mount -o remount,ro,bind /etc; exec wtmpdb setup --last",
        "wtmpdb setup: /etc/systemd/system: read-only, or not to be written by you: nothing was changed",
    ),
    "no compiler": (
        "rm /usr/bin/cc; exec /src/install.sh --no-packages",
        "install.sh: no 'cc' here, and it could not be installed: the PAM module cannot be built; nothing was changed",
    ),
    "no network": (
        "PIP_INDEX_URL=http://127.0.0.1:9/ PIP_RETRIES=0 exec /src/install.sh --no-packages",
        (
            "install.sh: pip could not get what it needs; nothing was changed"
            " (is there a network? PIP_NO_INDEX and PIP_FIND_LINKS let it take files from a directory)"
        ),
    ),
    "no headers": (
        "rm -r /usr/include/security; exec /src/install.sh --no-packages",
        "install.sh: the PAM module cannot be built; nothing was changed (are libc's and libpam's headers there?)",
    ),
    "no venv": (
        "rm -r /usr/lib/python3*/ensurepip; exec /src/install.sh --no-packages",
        "install.sh: /opt/wtmpdb.new: cannot be made (is python3-venv there?); nothing was changed",
    ),
    "prefix of another": (
        "chmod 777 /opt; exec wtmpdb setup",
        "wtmpdb setup: /opt: others than root can change it, and root's services would run what is in it (install into /opt/wtmpdb)",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_says_what_stands_in_the_way(life: Callable[[str], Life], case: str) -> None:
    """What stands in the way of an installation is said in one last line, with exit code 1, and PAM stays as it is."""
    script, last = CASES[case]
    installed = life("bookworm").installed
    tree = installed.above()
    done = tree.run(script, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, last), done.stdout + done.stderr
    assert pam(tree) == pam(installed)
    if "install.sh" in script:
        assert tree.run("exec wtmpdb --version").stdout, "what was installed goes on working"


def test_not_root(life: Callable[[str], Life]) -> None:
    """Whoever is not root is told to be; a dry run may be made by everybody, and finds everything in place."""
    tree = life("bookworm").installed.above()
    done = tree.run("exec setpriv --reuid bob --regid bob --clear-groups wtmpdb setup", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "wtmpdb setup: must be run as root (sudo wtmpdb setup)\n")
    done = tree.run("exec setpriv --reuid bob --regid bob --clear-groups wtmpdb setup --dry-run")
    assert done.stdout.splitlines()[-1] == "wtmpdb setup: nothing to do: everything is in place"


def test_figures(install: Callable[[str], Installed], capsys: pytest.CaptureFixture[str]) -> None:
    """On a bare Debian 12 install.sh and setup alone take no longer than three times what is promised: a minute, packages and all, and 5 s."""
    tree, whole = install("bookworm").tree.above(), install("bookworm").seconds
    tree.run("cp -a /opt/wtmpdb /var/tmp/kept; wtmpdb setup --undo; mv /var/tmp/kept /opt/wtmpdb")
    begun = time.monotonic()
    tree.run("exec /opt/wtmpdb/bin/wtmpdb setup")
    alone = time.monotonic() - begun
    with capsys.disabled():
        print(f"\ninstall.sh on a bare Debian 12: {whole:.1f} s; setup alone: {alone:.2f} s")
    assert whole < 180
    assert alone < 15
