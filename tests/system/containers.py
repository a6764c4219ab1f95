# SPDX-License-Identifier: BSD-2-Clause
"""Trees of Debian, installed into and booted without leaving a trace on the machine.

A `Tree` is a stack of directories, put together by overlayfs: below a Debian that is kept from run to run, above it what happened in this run. All
mounts are made in namespaces that die with the process that needs them; on the machine itself there are only the directories, and a cgroup.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

HERE = Path(__file__).parent
SOURCE = HERE.parents[1]
CACHE = Path(os.environ.get("WTMPDB_TEST_CACHE", "/var/cache/wtmpdb-tests"))

PACKAGES = "systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,openssh-client,python3,python3-venv,pamtester,sudo,ca-certificates"
C_PACKAGES = "wtmpdb libpam-wtmpdb gcc make libc6-dev libpam0g-dev"  # with what install.sh would have to bring, to save time

# Debian builds these without varlink; from the same source, with it.
BUILD_C = """
sed "s/^deb /deb-src /" /etc/apt/sources.list >/etc/apt/sources.list.d/source.list
apt-get {wait} update -qq
apt-get install -y -qq --no-install-recommends dpkg-dev meson pkgconf libsqlite3-dev libaudit-dev libsystemd-dev
cd /usr/src
apt-get source -qq wtmpdb
meson setup /usr/src/build wtmpdb-*/ -Dman=disabled
ninja -C /usr/src/build
apt-get clean
rm -rf /var/lib/apt/lists/*
"""
BUILT_C = "/usr/src/build"

_STANDS_STILL = "-o Acquire::Check-Valid-Until=false"  # a mirror that does has a list of sid that has expired

_PRIVATE = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
WAIT = "echo ready; read -r end"
_FROM_HOST = ("/etc/pip.conf", "/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")
_RUN = "run-"
_CGROUP = "wtmpdb-test-"


class CannotError(Exception):
    """This machine cannot do it: a reason to skip a test, not to fail it."""


def until(found: Callable[[], T | None], what: str, seconds: float = 30.0) -> T:
    """Wait until a function gives something, and return that."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.05)
    return value


# Trees


def debian(name: str) -> Path:
    """Return a Debian, made where it is missing: bookworm, trixie, sid, trixie-peer or sid-peer (with the C project's packages), or sid-varlink.

    The last has the C project's programs in BUILT_C too, built so that they speak varlink.
    """
    tree = CACHE / name
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.is_dir():
            made = CACHE / f"{name}.new"
            shutil.rmtree(made, ignore_errors=True)
            _make(name, made)
            made.rename(tree)
    return tree


def _make(name: str, path: Path) -> None:
    suite, _, kind = name.partition("-")
    if kind:
        _made("cp", "-a", str(debian("sid-peer" if kind == "varlink" else suite)), str(path))
        shutil.copy("/etc/resolv.conf", path / "etc/resolv.conf")
        install = f"apt-get {_STANDS_STILL} update -qq; apt-get install -y -qq --no-install-recommends"
        script = BUILD_C.format(wait=_STANDS_STILL) if kind == "varlink" else f"{install} {C_PACKAGES}; apt-get clean; rm -rf /var/lib/apt/lists/*"
        _made("chroot", str(path), "env", "DEBIAN_FRONTEND=noninteractive", "sh", "-ec", script)
    elif shutil.which("mmdebstrap") is None:
        raise CannotError("mmdebstrap is not installed")
    else:
        _made("mmdebstrap", "--variant=minbase", '--aptopt=Acquire::Check-Valid-Until "false"', f"--include={PACKAGES}", suite, str(path))


def _made(*command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode != 0:
        raise CannotError(f"{command[0]}: {done.stderr[-500:]}")


class Workplace:
    """The directory for what happens in this run; it goes away with it, as do those of runs that were killed."""

    def __init__(self) -> None:
        CACHE.mkdir(parents=True, exist_ok=True)
        for left in CACHE.glob(f"{_RUN}*"):
            if not Path(f"/proc/{left.name.removeprefix(_RUN).partition('-')[0]}").exists():
                shutil.rmtree(left, ignore_errors=True)
        _remove_cgroups(f"""
            for left in {_CGROUP}*; do
                pid=${{left#{_CGROUP}}}
                [ -e "/proc/${{pid%-*}}" ] || find "$left" -depth -type d -exec rmdir {{}} +
            done""")
        self.path = Path(tempfile.mkdtemp(prefix=f"{_RUN}{os.getpid()}-", dir=CACHE))
        self._names = (str(number) for number in count(1))

    def directory(self) -> Path:
        """Return a new directory."""
        path = self.path / next(self._names)
        path.mkdir()
        return path

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.path, ignore_errors=True)


class Tree:
    """A stack of directories, the topmost of which takes all changes."""

    def __init__(self, workplace: Workplace, *lower: Path) -> None:
        """Lay a new directory on top of others, the upper ones first."""
        self.workplace = workplace
        self.lower = lower
        self.upper = workplace.directory()

    def above(self) -> Tree:
        """Lay a new directory on top of this tree, which must not be changed from now on."""
        return Tree(self.workplace, self.upper, *self.lower)

    def overlay(self) -> list[str]:
        """Return the first arguments of enter.sh and boot.sh."""
        work, root = self.workplace.directory(), self.workplace.directory()
        return [":".join(map(str, self.lower)), str(self.upper), str(work), str(root)]

    def path(self, name: str) -> Path:
        """Return where a file is, now that nobody works in the tree; links are not followed."""
        return next((path for top in (self.upper, *self.lower) if os.path.lexists(path := top / name.lstrip("/"))), self.upper / name.lstrip("/"))

    def find(self, name: str) -> Path | None:
        """Return where a file is likewise, None when there is none: it may have been removed in an upper layer."""
        for layer in (self.upper, *self.lower):
            path = layer / name.lstrip("/")
            if os.path.lexists(path):
                return None if _is_whiteout(path) else path
            if any(_is_whiteout(above) or _is_opaque(above) for above in path.parents if layer in above.parents and os.path.lexists(above)):
                return None
        return None

    def changes_since(self, below: Tree) -> dict[str, str]:
        """Return the files that are new, gone or other than in a tree below this one: what they hold, lead to, their modes and owners."""
        layers = [layer for layer in (self.upper, *self.lower) if layer not in (below.upper, *below.lower)]
        names = {name for layer in layers for name in _names(layer)}
        for layer in layers:
            for name in [name for name in _names(layer) if _is_opaque(layer / name)]:
                names |= {f"{name}/{inner}" for lower in (below.upper, *below.lower) for inner in _names(lower / name)}
        found: dict[str, str] = {}
        for name in sorted(names):
            old, new = below.find(name), self.find(name)
            if old is None or new is None:
                if old is not new:
                    found[f"/{name}"] = "new" if old is None else "gone"
            elif what := _difference(old, new):
                found[f"/{name}"] = what
        return found

    def put(self, name: str, text: str, mode: int = 0o644) -> None:
        """Write a file, while nobody works in the tree."""
        path = self.upper / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def copy_in(self) -> None:
        """Copy the source to /src, and from this machine what is needed to reach the package registries."""
        files = subprocess.run(
            ["git", "-c", f"safe.directory={SOURCE}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=SOURCE,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\0")
        for name in filter(None, files):
            target = self.upper / "src" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # in the index, but deleted
                shutil.copy2(SOURCE / name, target)
        self.put("/etc/apt/apt.conf.d/99wtmpdb-tests", 'Acquire::Check-Valid-Until "false";\n')
        for file in _FROM_HOST:
            if Path(file).exists():
                self.put(file, Path(file).read_text())

    def run(self, script: str, *, image: Tree | None = None, timeout: float = 300.0, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell script in the tree, as with chroot; the caller's environment stays outside. Another tree can be at /srv/image."""
        command = [*_PRIVATE, "sh", str(HERE / "enter.sh"), *self.overlay(), "/bin/sh", "-eu"]
        lower, upper, work, _ = image.overlay() if image else [""] * 4
        environment = {"PATH": os.environ["PATH"], "IMAGE": f"lowerdir={lower},upperdir={upper},workdir={work}" if image else ""}
        done = subprocess.run(command, input=script, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
        assert not check or done.returncode == 0, f"exit {done.returncode} of:\n{script}\n{done.stdout}\n{done.stderr}"
        return done


def _names(top: Path) -> list[str]:
    """Return what is below a directory, by names relative to it; none when it is no directory."""
    return [os.path.relpath(f"{directory}/{name}", top) for directory, inner, files in os.walk(top) for name in (*inner, *files)]


def _is_whiteout(path: Path) -> bool:
    """Tell whether overlayfs says with this that a file of a lower layer is gone."""
    facts = path.lstat()
    return stat.S_ISCHR(facts.st_mode) and facts.st_rdev == 0


def _is_opaque(path: Path) -> bool:
    """Tell whether overlayfs says of this directory that nothing of the lower layers is in it."""
    with suppress(OSError):
        return path.is_dir() and os.getxattr(path, "trusted.overlay.opaque", follow_symlinks=False) == b"y"
    return False


def _difference(old: Path, new: Path) -> str:
    """Return in what two files differ, "" when in nothing."""
    before, after = old.lstat(), new.lstat()
    if before.st_mode != after.st_mode:
        return f"mode {before.st_mode:o} → {after.st_mode:o}"
    if (before.st_uid, before.st_gid) != (after.st_uid, after.st_gid):
        return "owner"
    if stat.S_ISLNK(after.st_mode):
        return "" if old.readlink() == new.readlink() else "link"
    return "content" if stat.S_ISREG(after.st_mode) and old.read_bytes() != new.read_bytes() else ""


# Containers


class Session:
    """A command that runs in a container until it is told to end: the far end of an ssh, say."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Take over a process with pipes."""
        self._process = process
        self.output = b""

    def expect(self, word: bytes, seconds: float = 30.0) -> None:
        """Wait until the command has printed a word."""
        assert self._process.stdout is not None
        end = time.monotonic() + seconds
        while word not in self.output:
            if select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                more = os.read(self._process.stdout.fileno(), 4096)
                self.output += more
                assert more, f"ended before it said {word!r}: {self.output!r}"
            else:
                raise AssertionError(f"waited in vain for {word!r}: {self.output!r}")

    def end(self, seconds: float = 30.0) -> None:
        """Send a newline, and wait until the command has ended."""
        with suppress(BrokenPipeError):
            self._process.communicate(b"\n", timeout=seconds)

    def close(self) -> None:
        """Forget the command; it may have been killed with its container."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # nsenter, and systemd-run
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()


class Container:
    """A tree that is booted, with a systemd of its own."""

    _numbers = count(1)

    def __init__(self, tree: Tree) -> None:
        """Prepare; `boot` boots."""
        self.tree = tree
        self._cgroup = f"{_CGROUP}{os.getpid()}-{next(self._numbers)}"
        self._console = tree.workplace.directory() / "console"
        self._process: subprocess.Popen[bytes] | None = None
        self._sessions: list[Session] = []
        self._leader = 0

    def boot(self) -> float:
        """Boot the tree, and wait until all has been started; return when its process 1 was started (seconds since the epoch)."""
        command = [*_PRIVATE, "sh", str(HERE / "boot.sh"), self._cgroup, *self.tree.overlay()]
        with self._console.open("ab") as console:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        return self._wait_for_boot(0)

    def _wait_for_boot(self, before: int) -> float:
        self._leader = until(lambda: self._find_leader(before), "systemd in the container")
        self._wait_until_up()
        return _start(self._leader)

    def _wait_until_up(self) -> None:
        until(lambda: Path(f"/proc/{self._leader}/root/run/systemd/private").exists(), "systemd's socket")
        answer = until(self._state, "an answer of systemd")
        assert answer in ("running", "degraded"), answer

    def _state(self) -> str:
        return self._enter("systemctl", "is-system-running", "--wait", seconds=60)

    def _find_leader(self, before: int) -> int | None:
        """Return the process that is number 1 in the container and is systemd already."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise (AssertionError if before else CannotError)(f"the container ended: {self._said()}")
        parents: dict[int, int] = {}
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                status = dict(line.split(":\t", 1) for line in (entry / "status").read_text().splitlines() if ":\t" in line)
                pid = int(entry.name)
                parents[pid] = int(status["PPid"])
                if status["Name"] == "systemd" and len(ids := status["NSpid"].split()) >= 3 and ids[-1] == "1" and pid != before:
                    found.append(pid)
        for pid in found:
            parent = pid
            while parent and parent != self._process.pid:
                parent = parents.get(parent, 0)
            if parent:
                return pid
        return None

    def _said(self) -> str:
        return self._console.read_text(errors="replace")[-2000:] if self._console.exists() else ""

    # What is done inside

    def _inside(self) -> list[str]:
        return ["nsenter", "--target", str(self._leader), "--all"]

    def _enter(self, *command: str, seconds: float = 5.0) -> str:
        """Run a command inside; return what it printed, or "" when it takes too long.

        Before it goes down, systemd stops all processes and continues them: nsenter, which is outside, would stay stopped for ever.
        """
        try:
            done = subprocess.run([*self._inside(), *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout.strip()

    def _unit(self, *command: str) -> list[str]:
        return [*self._inside(), "systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--service-type=exec", "--", *command]

    def run(self, script: str, *, program: str = "/bin/sh -eu", timeout: float = 120.0, check: bool = True) -> str:
        """Run a script as a unit of the container; return what it printed."""
        done = subprocess.run(self._unit(*program.split()), input=script, capture_output=True, text=True, timeout=timeout, check=False)
        assert not check or done.returncode == 0, f"exit {done.returncode} of:\n{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def python(self, script: str, **options: Any) -> str:
        """Run a Python script likewise."""
        return self.run(script, program="/usr/bin/python3 -", **options)

    def last(self, options: str = "", user: str = "root") -> list[dict[str, Any]]:
        """Return the lines of `wtmpdb last` in the container, as root sees them or another user, newest first."""
        text = self.run(f"exec setpriv --reuid {user} --regid {user} --clear-groups wtmpdb last --json {options}")
        lines: list[dict[str, Any]] = json.loads(text)["entries"]
        return lines

    def start(self, *command: str) -> Session:
        """Start a command as a unit of the container, which goes on."""
        pipe = subprocess.PIPE
        session = Session(subprocess.Popen(self._unit(*command), stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, start_new_session=True))
        self._sessions.append(session)
        return session

    @contextmanager
    def session(self, user: str, source: str, command: str = WAIT) -> Iterator[Session]:
        """Be logged in by ssh with a terminal, from a loopback address; the command says "ready" and waits for a line."""
        session = self.start("ssh", "-tt", "-b", source, f"{user}@127.0.0.1", command)
        session.expect(b"ready")
        yield session
        session.end()

    def hold(self, user: str, source: str) -> Session:
        """Log in likewise, for good."""
        session = self.start("ssh", "-tt", "-b", source, f"{user}@127.0.0.1", "echo ready; exec sleep 1000")
        session.expect(b"ready")
        return session

    # How it ends

    def reboot(self) -> float:
        """Reboot; return as `boot` does."""
        self._enter("systemctl", "reboot")
        return self._wait_for_boot(self._leader)

    def soft_reboot(self) -> float:
        """Reboot the user space only; return when that began (seconds since the epoch)."""
        began = time.time()
        self._enter("systemctl", "soft-reboot")
        until(lambda: self._enter("systemctl", "show", "--property=SoftRebootsCount") == "SoftRebootsCount=1", "the soft reboot")
        self._wait_until_up()
        return began

    def power_off(self) -> None:
        """Power off in good order."""
        assert self._process is not None
        self._enter("systemctl", "poweroff")
        assert self._process.wait(60) == 0, self._said()
        self.close()

    def crash(self) -> None:
        """End as when the power fails: no process inside does anything any more."""
        assert self._process is not None
        os.kill(self._leader, signal.SIGKILL)
        self._process.wait(60)
        self.close()

    def close(self) -> None:
        """End it in whatever state it is, and clean up."""
        if self._process is not None:
            self._process.kill()  # the first process of its namespaces dies with it, and that ends all others
            self._process.wait()
            self._process = None
        for session in self._sessions:
            session.close()
        self._sessions.clear()
        until(lambda: _remove_cgroups(f"[ ! -d {self._cgroup} ] || find {self._cgroup} -depth -type d -exec rmdir {{}} +"), "the cgroup to be empty")


def _remove_cgroups(script: str) -> bool:
    """Run a script in the root of the cgroups; False when it failed."""
    enter = "cd /sys/fs/cgroup; [ $(stat -f -c %T .) = cgroup2fs ] || { mount -t cgroup2 cgroup2 .; cd /sys/fs/cgroup; }; "
    # No namespace for processes: the ids of those of the machine are asked for.
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", enter + script]
    return subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def _start(pid: int) -> float:
    """Return when a process was started, in seconds since the epoch (proc(5), stat, field 22)."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")
