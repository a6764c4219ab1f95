# SPDX-License-Identifier: BSD-2-Clause
"""Hostile names, a broken spool, a system that fails: the login goes on, and nothing is lost silently."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pam_world import PAM_RHOST, PAM_TTY, PAM_USER, Letter, enter_namespace, in_child, mount

if TYPE_CHECKING:
    from collections.abc import Callable

    from pam_world import Stack, Syslog

BOUNDS = {"user": 256, "tty": 64, "host": 255, "service": 64}
HOSTILE = {
    "newlines": b"x\nuser root\nend\nwtmpdb 1 closed\n",
    "terminal": b"\x1b]0;owned\x07\x1b[2J\x9b31m\r\x08\x7f",
    "escapes": b"\\012\\\\ %s%n%1000000d",
    "invalid UTF-8": b"\xff\xfe\xc3(\xe2\x82\xed\xa0\x80\xf8\x88",
    "every byte": bytes(range(1, 256)),
    "continuations": b"\x80" * 5000,
    "100 kB": b"A" * 100_000,
    "100 kB of UTF-8": "€".encode() * 33_333,
}
MS_RDONLY, MS_REMOUNT = 1, 32


@pytest.mark.parametrize("name", [pytest.param(value, id=key) for key, value in HOSTILE.items()])
def test_hostile_names_are_bounded_and_escaped(stack: Stack, name: bytes) -> None:
    """Whatever PAM_USER, PAM_TTY and PAM_RHOST hold, there is one well-formed letter with the start of each."""
    application = stack.application()
    for item in (PAM_USER, PAM_TTY, PAM_RHOST):
        application.set(item, name)
    application.open()  # libpam itself answers with an error where the audit system does not take such names
    application.close()
    application.end()
    opened, closed = stack.letters()
    for letter in (opened, closed):
        for field in ("user", "tty", "host"):
            value = letter[field]
            assert name.startswith(value)
            assert len(value) == len(name) or BOUNDS[field] - 3 <= len(value) <= BOUNDS[field]
    assert all(file.stat().st_size <= 16_384 for file in stack.files())


def test_no_character_is_cut_in_half(stack: Stack) -> None:
    """A name that is too long is cut before a UTF-8 character, not through it."""
    for shift in range(4):
        for character in ("é", "€", "😀"):
            opened, _ = stack.session("x" * shift + character * 200)
            text = opened["user"].decode()
            assert 256 - len(character.encode()) < len(text.encode()) <= 256
            shutil.rmtree(stack.spool)
            stack.make_spool()


def test_a_long_service_is_bounded(stack: Stack) -> None:
    """The name of the service is recorded up to 64 bytes."""
    name = "s" * 100
    stack.service(name)
    opened, _ = stack.session(service=name)
    assert opened["service"] == b"s" * 64


# --- A spool that cannot be written ---------------------------------------------------------------------------------


def no_spool(spool: Path) -> None:
    """Take the spool away."""
    shutil.rmtree(spool)


def instead(make: Callable[[Path], object], part: str = "") -> Callable[[Path], None]:
    """Put something else in place of the spool, or of a part of it."""

    def prepare(spool: Path) -> None:
        path = spool / part
        path.rename(spool.with_name("elsewhere"))
        make(path)

    return prepare


def symlink(path: Path) -> None:
    """Make a link to the real directory, which was renamed."""
    path.symlink_to(next(parent / "elsewhere" for parent in path.parents if (parent / "elsewhere").exists()))


def full(spool: Path) -> None:
    """Put the spool on a file system without a free page."""
    small_disk(spool)
    ballast = os.open(spool / "ballast", os.O_WRONLY | os.O_CREAT)
    while os.statvfs(spool).f_bfree > 0:
        os.write(ballast, bytes(4096))


def out_of_inodes(spool: Path) -> None:
    """Put the spool on a file system that cannot have another file."""
    small_disk(spool)
    while (left := os.statvfs(spool).f_ffree) > 0:
        (spool / f"ballast{left}").touch()


def read_only(spool: Path) -> None:
    """Put the spool on a read-only file system."""
    small_disk(spool)
    mount("tmpfs", spool, "tmpfs", MS_REMOUNT | MS_RDONLY)


def small_disk(spool: Path) -> None:
    """Mount a small file system on the spool."""
    mount("tmpfs", spool, "tmpfs", data="size=32k,nr_inodes=20,mode=0700")
    for part in ("tmp", "new"):
        (spool / part).mkdir(mode=0o700)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (no_spool, "No such file or directory"),
    "a file": (instead(Path.touch), "Not a directory"),
    "a fifo": (instead(os.mkfifo), "Not a directory"),
    "a device": (instead(lambda path: os.mknod(path, 0o20666, os.makedev(1, 5))), "Not a directory"),
    "a symlink": (instead(symlink), "Not a directory"),
    "a loop": (instead(lambda path: path.symlink_to(path)), "Not a directory"),
    "group-writable": (lambda spool: spool.chmod(0o770), "Operation not permitted"),
    "world-writable": (lambda spool: spool.chmod(0o1777), "Operation not permitted"),
    "somebody's": (lambda spool: os.chown(spool, 65534, 0), "Operation not permitted"),
    "without tmp": (lambda spool: (spool / "tmp").rmdir(), "No such file or directory"),
    "without new": (lambda spool: (spool / "new").rmdir(), "No such file or directory"),
    "tmp a fifo": (instead(os.mkfifo, "tmp"), "Not a directory"),
    "new a symlink": (instead(symlink, "new"), "Not a directory"),
    "tmp world-writable": (lambda spool: (spool / "tmp").chmod(0o777), "Operation not permitted"),
    "new somebody's": (lambda spool: os.chown(spool / "new", 65534, 0), "Operation not permitted"),
    "full": (full, "No space left on device"),
    "out of inodes": (out_of_inodes, "No space left on device"),
    "read-only": (read_only, "Read-only file system"),
}


@pytest.mark.parametrize(("breakage", "reason"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_written_goes_to_the_log(stack: Stack, syslog: Syslog, breakage: Callable[[Path], object], reason: str) -> None:
    """With a broken spool sessions succeed at once, leave nothing behind, and the log has all their facts."""

    def login() -> None:
        enter_namespace(syslog)
        breakage(stack.spool)
        began = time.monotonic()
        stack.run("alice\n\x1b[2J", rhost=b"192.0.2.7", XDG_SESSION_ID="12")
        assert time.monotonic() - began < 5
        for part in ("tmp", "new"):
            if (stack.spool / part).is_dir():
                assert list((stack.spool / part).iterdir()) == []

    in_child(login)
    messages = syslog.messages()
    assert all(message.startswith(f"<83>cannot write to {stack.spool} ({reason}): ") for message in messages)
    opened, closed = (Letter.decode(restore_lines(message.partition("): ")[2])) for message in messages)
    assert (opened.kind, closed.kind) == ("opened", "closed")
    assert (opened["user"], opened["host"], opened["session"]) == (b"alice\n\x1b[2J", b"192.0.2.7", b"12")
    assert closed.values == {**opened.values, "time": closed["time"], "opened": opened["time"]}


def restore_lines(words: str) -> bytes:
    """Make a letter of a message again: in it the newlines became spaces, and no value holds one."""
    head, *rest = words.split(" ")[:3], *words.split(" ")[3:-1]
    pairs = [" ".join(rest[index : index + 2]) for index in range(0, len(rest), 2)]
    return "\n".join([" ".join(head), *pairs, ""]).encode()


def test_silent_keeps_quiet_about_a_broken_spool(stack: Stack, syslog: Syslog) -> None:
    """With silent a broken spool leaves no word in the log."""
    stack.service("login", "silent")
    shutil.rmtree(stack.spool)

    def login() -> None:
        enter_namespace(syslog)
        stack.run()

    in_child(login)
    assert syslog.messages() == []


def test_a_close_is_whole_though_its_open_was_lost(stack: Stack) -> None:
    """When the spool comes back between open and close, the close alone tells everything."""
    stack.service("login", "silent")
    application = stack.application()
    stack.spool.rename(stack.root / "away")
    application.open()
    (stack.root / "away").rename(stack.spool)
    application.close()
    application.end()
    (closed,) = stack.letters()
    assert {"key", "opened", "time", "user", "pid", "start", "boot", "tty", "host"} <= closed.values.keys()


# --- A system that fails --------------------------------------------------------------------------------------------


def test_a_file_size_limit_kills_nobody(stack: Stack, syslog: Syslog) -> None:
    """Under RLIMIT_FSIZE=0, SIGXFSZ being deadly, sessions succeed; the log has the facts; no signal is left."""

    def login() -> None:
        enter_namespace(syslog)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        stack.run()
        assert signal.sigpending() == set()
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()

    in_child(login)
    assert stack.letters() == []
    reasons = [message.split(": ")[0] for message in syslog.messages()]
    assert reasons == [f"<83>cannot write to {stack.spool} (File too large)"] * 2


def test_a_signal_that_was_pending_before_stays_pending(stack: Stack) -> None:
    """A SIGXFSZ that the application holds back itself is not swallowed by us."""
    stack.service("login", "silent")

    def login() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGXFSZ])
        signal.raise_signal(signal.SIGXFSZ)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        stack.run()
        assert signal.sigpending() == {signal.SIGXFSZ}
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == {signal.SIGXFSZ}

    in_child(login)


def test_without_descriptors_the_session_goes_on(stack: Stack) -> None:
    """An application that is out of descriptors at some step leaves nothing half done in the spool."""
    stack.service("login", "silent")

    def login() -> None:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        module = ctypes.CDLL(str(stack.module))
        options = (ctypes.c_char_p * 2)(f"spool={stack.spool}".encode(), b"silent")
        application = stack.application()
        used = len(list(Path("/proc/self/fd").iterdir()))
        for free in range(6):
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + free, limits[1]))
            assert module.pam_sm_open_session(application.handle, 0, 2, options) == 0
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert len(list(Path("/proc/self/fd").iterdir())) == used

    in_child(login)
    assert 0 < len(stack.letters()) < 6  # four descriptors are needed at once


@pytest.fixture(scope="session")
def strace() -> str:
    """Find strace; skip where processes cannot be traced."""
    path = shutil.which("strace")
    if path is None or subprocess.run([path, "-o", "/dev/null", "true"], check=False, capture_output=True).returncode:
        pytest.skip("strace is not installed, or may not trace")
    return path


@pytest.mark.parametrize(
    "fault",
    [
        "getrandom:error=EAGAIN",
        "getrandom:error=ENOSYS",
        "getrandom:retval=3",
        "write:error=EINTR:when=1",
        "write:error=EINTR:when=1..3",
        "fdatasync:error=EINTR:when=1",
        "fsync:error=EINTR:when=1",
        "sendto:error=ECONNREFUSED",
        "rt_sigprocmask:delay_enter=1000",
        "newfstatat:delay_enter=1000",
    ],
)
def test_passing_faults_lose_nothing(stack: Stack, strace: str, fault: str) -> None:
    """Interrupted calls are made again, and what can be done without is done without."""
    stack.exercise(1, 1, 5, prefix=[strace, "-f", "-qq", "-o", "/dev/null", "-e", f"inject={fault}"])
    letters = stack.letters()
    assert len(letters) == 10
    assert len({letter["key"] for letter in letters}) == 5


def test_keys_differ_without_random_numbers(stack: Stack, strace: str) -> None:
    """Where getrandom fails, as early in boot, keys are still all different, across threads and processes."""
    stack.exercise(3, 2, 20, prefix=[strace, "-f", "-qq", "-o", "/dev/null", "-e", "inject=getrandom:error=EAGAIN"])
    letters = stack.letters()
    assert len(letters) == 240
    assert len({letter["key"] for letter in letters}) == 120


@pytest.mark.parametrize("fault", ["write:error=EIO", "fdatasync:error=EIO", "renameat:error=EIO", "fchmod:error=EPERM"])
def test_a_failing_step_leaves_no_letter(stack: Stack, strace: str, fault: str) -> None:
    """When a letter cannot be made safe, nothing of it is left in the spool."""
    stack.exercise(1, 1, 2, prefix=[strace, "-f", "-qq", "-o", "/dev/null", "-e", f"inject={fault}"])
    assert stack.letters() == []


def test_a_short_write_is_continued(stack: Stack, strace: str) -> None:
    """When the kernel takes only a part, the rest is written after it."""
    # strace pretends that five bytes were written: so exactly these five are missing.
    stack.exercise(1, 1, 1, prefix=[strace, "-f", "-qq", "-o", "/dev/null", "-e", "inject=write:retval=5:when=1"])
    assert [file.read_bytes()[:11] for file in stack.files()] == [b"b 1 opened\n", b"wtmpdb 1 cl"]


def test_the_steps_of_a_letter_come_in_the_safe_order(stack: Stack, strace: str) -> None:
    """A letter is written, synced, renamed, its directory synced, and only then the recorder poked."""
    trace = stack.root / "trace"
    calls = "write,fdatasync,rename,renameat,renameat2,fsync,sendto"
    stack.exercise(1, 1, 1, prefix=[strace, "-f", "-qq", "-o", str(trace), "-e", f"trace={calls}", "-e", "signal=none"])
    names = [line.split("(")[0].split()[-1] for line in trace.read_text().splitlines() if "(" in line]
    ours = " ".join(names)
    assert ours.count("write fdatasync renameat fsync sendto") == 2
