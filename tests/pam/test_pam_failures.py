# SPDX-License-Identifier: BSD-2-Clause
"""Failed logins: what the PAM module writes of them, and that it has no say in who is let in."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from pam_world import enter_namespace, in_child, mount
from wtmpdb.event import FAILED
from wtmpdb.recorder.failures import take_failures
from wtmpdb.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pam_world import Stack, Syslog

SUCCESS, AUTH_ERR, PERM_DENIED = 0, 7, 6
ERROR, DEBUG = "<83>", "<87>"


def test_a_failed_login_is_a_letter(stack: Stack) -> None:
    """A failed login gives a letter in the spool of failed logins, byte for byte that of docs/format.md, and none among those of sessions."""
    stack.failing()
    before = time.time_ns() // 1000
    assert stack.attempt(tty=b"/dev/tty1", rhost=b"192.0.2.7") != SUCCESS
    [file] = stack.files(stack.spool / "failed")
    [letter] = stack.failures()
    assert before <= int(letter["time"]) <= time.time_ns() // 1000
    assert file.read_bytes() == b"wtmpdb 1 failed\ntime %s\npid %d\nuser alice\ntty tty1\nhost 192.0.2.7\nservice login\nend\n" % (
        letter["time"],
        os.getpid(),
    )
    assert stack.letters() == []


def test_the_product_reads_it(stack: Stack) -> None:
    """The recorder's own reader understands the letter, also of somebody who has said no name."""
    stack.failing()
    stack.attempt(b"s3cret pass\xff")
    stack.attempt(b"")
    (stack.spool / "failed" / "bad").mkdir(mode=0o700)
    with Spool(str(stack.spool / "failed"), kinds=(FAILED,)) as letters:
        assert [letters.read(name).user for name in letters.names()] == ["s3cret pass\\377", ""]


def test_a_user_is_bounded(stack: Stack) -> None:
    """A user as long as one likes is cut."""
    stack.failing()
    stack.attempt(b"x" * 100_000)
    [letter] = stack.failures()
    assert letter["user"] == b"x" * 256


@pytest.mark.parametrize("umask", [0, 0o777])
def test_the_umask_of_the_application_has_no_effect(stack: Stack, umask: int) -> None:
    """Letters and the file that only counts are root's and 0600 under every umask."""
    stack.failing()

    def attempts() -> None:
        os.umask(umask)
        fill(stack)
        while not (stack.spool / "failed" / "uncounted").exists():
            stack.attempt()

    in_child(attempts)
    failed = stack.spool / "failed"
    assert {path.stat().st_mode for path in (*failed.glob("new/*.*"), failed / "uncounted")} == {0o100600}


# --- It has no say ----------------------------------------------------------------------------------------------------

STACKS = {
    "as pam-auth-update makes it, wrong password": (
        "[success=2 default=ignore] pam_deny.so",
        "requisite pam_deny.so\nrequired pam_permit.so",
        False,
        1,
    ),
    "as pam-auth-update makes it, right password": (
        "[success=2 default=ignore] pam_permit.so",
        "requisite pam_deny.so\nrequired pam_permit.so",
        True,
        0,
    ),
    "sufficient in front, wrong": ("sufficient pam_deny.so", "required pam_deny.so", False, 1),
    "sufficient in front, right": ("sufficient pam_permit.so", "required pam_deny.so", True, 0),
    "nothing but us": ("", "", False, 1),
    "nothing behind, wrong": ("required pam_deny.so", "", False, 1),
    "die in front": ("[success=2 default=die] pam_deny.so", "requisite pam_deny.so\nrequired pam_permit.so", False, 0),
    "permit behind": ("", "required pam_permit.so", True, 1),
}


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("spool", ["there", "missing"])
def test_it_decides_nothing(stack: Stack, name: str, spool: str) -> None:
    """Whoever is let in without the module is let in with it, and nobody else, whether it can write or not."""
    before, behind, is_let_in, letters = STACKS[name]
    stack.failing("with", "silent", *(["spool=/nonexistent"] if spool == "missing" else []), before=before, behind=behind)
    lines = (stack.confdir / "with").read_text().splitlines(keepends=True)
    # Without the module each jump is one shorter.
    (stack.confdir / "without").write_text("".join(line.replace("success=2", "success=1") for line in lines if str(stack.module) not in line))
    if len(lines) > 1:
        assert (stack.attempt(service="without") == SUCCESS) == is_let_in
    assert (stack.attempt(service="with") == SUCCESS) == is_let_in
    assert len(stack.failures()) == (letters if spool == "there" else 0)


@pytest.mark.parametrize("control", ["required", "requisite", "sufficient", "optional", "[success=done default=ignore]", "[default=die]"])
def test_under_any_control_it_lets_nobody_in(stack: Stack, control: str) -> None:
    """Even a line with another control, in front of one that denies, lets nobody in: the answer is always "ignore"."""
    stack.failing()
    text = (stack.confdir / "login").read_text()
    (stack.confdir / "login").write_text(text.replace("[default=ignore]", control))
    assert stack.attempt() != SUCCESS


def test_no_room(stack: Stack, namespace: None, syslog: Syslog) -> None:  # noqa: ARG001 - may skip
    """On a full disk the answer is the same; the log gets one line, without the user, who may be a password."""
    stack.failing()

    def attempt() -> None:
        enter_namespace(syslog)
        mount("tmpfs", stack.spool / "failed", "tmpfs", data="size=8k,mode=700")
        for name in ("tmp", "new"):
            (stack.spool / "failed" / name).mkdir(mode=0o700)
        with (stack.spool / "failed" / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="space"):
            while True:
                filler.write(b"x" * 4096)
        assert stack.attempt(b"s3cret") != SUCCESS

    in_child(attempt)
    assert syslog.messages() == [f"{ERROR}cannot write a failed login to {stack.spool}/failed (No space left on device)"]


def test_a_limit_on_files_kills_nobody(stack: Stack) -> None:
    """Under a user's limit of file size zero the application lives, and the answer is the same; also when it is only counted."""
    stack.failing("login", "silent")

    def attempt() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        assert stack.attempt() != SUCCESS
        (stack.spool / "failed" / "uncounted").touch(mode=0o600)
        assert stack.attempt() != SUCCESS

    in_child(attempt)
    assert stack.failures() == []
    assert (stack.spool / "failed" / "uncounted").stat().st_size == 0


# --- When many come ---------------------------------------------------------------------------------------------------


def fill(stack: Stack) -> None:
    """Let a thousand letters wait."""
    for place in range(1000):
        (stack.spool / "failed" / "new" / f"{place}").touch()


def test_too_many_wait(stack: Stack) -> None:
    """When a thousand letters wait soon no more is written, but a byte for each attempt; once the letters are taken it goes on as before."""
    stack.failing()
    stack.exercise(1, 4, 500, failed=True)
    failed = stack.spool / "failed"
    waiting, counted = len(list((failed / "new").iterdir())), (failed / "uncounted").stat().st_size
    assert waiting + counted == 2000
    assert 1000 <= waiting <= 1500  # one attempt of sixteen looks
    (failed / "bad").mkdir(mode=0o700)
    taken = take_failures(str(stack.root / "btmp.db"), str(failed))
    assert taken.rows + taken.counted == 2000
    stack.attempt()
    assert len(stack.failures()) == 1


def test_what_is_only_counted_is_bounded(stack: Stack) -> None:
    """The file that counts does not grow for ever while nobody takes it up."""
    stack.failing()
    path = stack.spool / "failed" / "uncounted"
    path.touch(mode=0o600)
    os.truncate(path, 1 << 24)
    stack.attempt()
    assert path.stat().st_size == 1 << 24
    assert stack.failures() == []


@pytest.mark.parametrize("trap", ["link", "fifo", "directory"])
def test_what_is_no_file_is_not_counted_in(stack: Stack, trap: str) -> None:
    """Where something else stands in the place of the file that counts, nothing is written through it, and nobody waits."""
    stack.failing("login", "silent")
    path, elsewhere = stack.spool / "failed" / "uncounted", stack.root / "elsewhere"
    elsewhere.touch()
    make: dict[str, Callable[[], object]] = {"link": lambda: path.symlink_to(elsewhere), "fifo": lambda: os.mkfifo(path), "directory": path.mkdir}
    make[trap]()
    assert stack.attempt() != SUCCESS
    assert elsewhere.stat().st_size == 0


def test_pokes(stack: Stack) -> None:
    """The recorder is poked for each letter, and left in peace while attempts are only counted: it has much to do then."""
    stack.failing()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as recorder:
        recorder.bind(str(stack.poke))
        recorder.settimeout(0)
        stack.attempt()
        assert len(recorder.recv(16)) == 1
        (stack.spool / "failed" / "uncounted").touch(mode=0o600)
        stack.attempt()
        with pytest.raises(BlockingIOError):
            recorder.recv(16)


TAKE_FOR_EVER = """
import sys, time
from wtmpdb.errors import WtmpdbError
from wtmpdb.recorder.failures import take_failures
while True:
    try:
        take_failures(sys.argv[1], sys.argv[2])
    except WtmpdbError:
        pass
    time.sleep(0.05)
"""


def test_an_attack(stack: Stack) -> None:
    """Of 2,000 attempts at once none is lost: few are rows, the rest is counted, and a session meanwhile is recorded as ever."""
    stack.failing("login")
    auth = (stack.confdir / "login").read_text()
    stack.service("session")
    (stack.confdir / "login").write_text(auth)
    database, failed = stack.root / "btmp.db", stack.spool / "failed"
    (failed / "bad").mkdir(mode=0o700)
    with subprocess.Popen([sys.executable, "-c", TAKE_FOR_EVER, str(database), str(failed)]) as recorder:
        stack.exercise(20, 1, 100, failed=True)
        opened, closed = stack.session("alice", service="session")
        recorder.kill()
    take_failures(str(database), str(failed))
    assert opened["key"] == closed["key"]
    assert total(database) == 2000
    assert rows(database) <= 200


def total(database: Path) -> int:
    """Return how many attempts a file tells of."""
    from wtmpdb.log import Log  # noqa: PLC0415

    with Log.read(str(database)) as log:
        return rows(database) + int(log.query("SELECT coalesce(sum(number), 0) FROM counted")[0][0])


def rows(database: Path) -> int:
    """Return how many of them are rows."""
    from wtmpdb.log import Log  # noqa: PLC0415

    with Log.read(str(database)) as log:
        return sum(map(len, log.rows()))


# --- What is left out, and what is said -------------------------------------------------------------------------------


def said(stack: Stack, syslog: Syslog, service: str = "login") -> list[str]:
    """Return what the module says in the log about one attempt."""

    def attempt() -> None:
        enter_namespace(syslog)
        stack.attempt(b"s3cret", service=service)

    in_child(attempt)
    return syslog.messages()


def test_nothing_is_said_without_need(stack: Stack, syslog: Syslog) -> None:
    """A failed login that is written leaves no word of ours in the log."""
    stack.failing()
    assert said(stack, syslog) == []


def test_what_is_said_never_names_the_user(stack: Stack, syslog: Syslog) -> None:
    """When it cannot be written the log says why, and not who: that may be a password."""
    stack.failing("login", "spool=/nonexistent")
    assert said(stack, syslog) == [f"{ERROR}cannot write a failed login to /nonexistent/failed (No such file or directory)"]


def test_debug(stack: Stack, syslog: Syslog) -> None:
    """With debug the log tells whether an attempt was posted, only counted, or left out."""
    stack.failing("login", "debug")
    assert said(stack, syslog) == [f"{DEBUG}failed login posted"]
    (stack.spool / "failed" / "uncounted").touch(mode=0o600)
    assert said(stack, syslog) == [f"{DEBUG}failed login only counted"]
    stack.failing("ftp", "debug", "skip_if=cups,ftp")
    assert said(stack, syslog, "ftp") == [f"{DEBUG}service ftp is left out"]


def test_an_application_without_root_records_nothing(stack: Stack) -> None:
    """An unprivileged application, such as a screen locker, leaves no letter."""
    stack.failing()
    stack.exercise(1, 1, 1, failed=True, user=65534, group=65534, extra_groups=[])
    assert stack.failures() == []


def test_the_spool_of_an_older_installation(stack: Stack) -> None:
    """Without a spool for failed logins, as before an upgrade, nothing is recorded of them, and sessions go on."""
    for name in ("tmp", "new", ""):
        (stack.spool / "failed" / name).rmdir()
    stack.failing("denied", "silent")
    assert stack.attempt(service="denied") != SUCCESS
    stack.session()
