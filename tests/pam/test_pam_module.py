# SPDX-License-Identifier: BSD-2-Clause
"""What the PAM module writes: letters, pokes and words in the log."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pam_world import PAM_RHOST, PAM_TTY, PAM_USER, PAM_XDISPLAY, Letter, enter_namespace, in_child

if TYPE_CHECKING:
    from collections.abc import Callable

    from pam_world import Stack, Syslog

BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
BOOT_KEY = BOOT_ID + b"/2/117"
LEFT = Path("/run/wtmpdb/boot")  # where this very machine has the program
ERROR, DEBUG = "<83>", "<87>"  # of facility authpriv


def start_of_this_process() -> bytes:
    """Return field 22 of /proc/self/stat."""
    return Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[19]


def microseconds() -> int:
    """Return the time of day."""
    return time.time_ns() // 1000


def test_letters_are_written_exactly_as_the_format_says(stack: Stack) -> None:
    """Opening and closing a session gives two letters, byte for byte those of docs/format.md."""
    before = microseconds()
    opened, closed = stack.session(XDG_SESSION_ID="12")
    after = microseconds()

    assert before <= int(opened["time"]) <= int(closed["time"]) <= after
    facts = b"pid %d\nstart %s\nboot %s\nuser alice\ntty pts/3\nhost 192.0.2.7\nservice login\nsession 12\nend\n" % (
        os.getpid(),
        start_of_this_process(),
        LEFT.read_bytes().strip() if LEFT.exists() else BOOT_ID,
    )
    assert [file.read_bytes() for file in stack.files()] == [
        b"wtmpdb 1 opened\nkey %s\ntime %s\n" % (opened["key"], opened["time"]) + facts,
        b"wtmpdb 1 closed\nkey %s\ntime %s\nopened %s\n" % (opened["key"], closed["time"], opened["time"]) + facts,
    ]


def test_a_letter_is_named_for_its_time_and_process(stack: Stack) -> None:
    """The name of a letter begins with the time and the process id, and sorts in the order of time."""
    opened, closed = stack.session()
    names = [file.name.split(".")[:3] for file in stack.files()]
    assert [(int(when), int(pid)) for when, pid, _ in names] == [
        (int(opened["time"]), os.getpid()),
        (int(closed["time"]), os.getpid()),
    ]


@pytest.mark.parametrize("umask", [0, 0o777])
def test_the_umask_of_the_application_has_no_effect(stack: Stack, umask: int) -> None:
    """Letters are root's and 0600 under every umask, and the umask stays as it was."""

    def login() -> None:
        os.umask(umask)
        stack.run()
        assert os.umask(0) == umask

    in_child(login)
    assert [(file.stat().st_mode, file.stat().st_uid) for file in stack.files()] == [(0o100600, 0)] * 2


def test_the_product_reads_the_letters(stack: Stack) -> None:
    """The recorder's own reader understands what the module writes."""
    event = pytest.importorskip("wtmpdb.event")
    opened, closed = (event.decode(file.read_bytes(), file.name) for file in self_made(stack))
    assert (opened.kind, closed.kind) == ("opened", "closed")
    assert opened.key == closed.key
    assert opened.time == closed.opened
    assert (closed.user, closed.tty, closed.host, closed.pid) == ("alice", "pts/3", "192.0.2.7", os.getpid())


def self_made(stack: Stack) -> list[Path]:
    """Return the files of one session."""
    stack.run()
    return stack.files()


def test_a_process_may_have_any_name(stack: Stack) -> None:
    """The start of the process is found also where its name looks like the end of the name and more fields."""
    program = stack.root / "a) S 1 (b"
    shutil.copy(stack.build / "exercise", program)
    before = start_of_a_process()
    subprocess.run([program, stack.confdir, "login", "1", "1", "1"], check=True, timeout=30)
    opened, _ = stack.letters()
    assert before <= int(opened["start"]) <= start_of_a_process()


def start_of_a_process() -> int:
    """Return the start of a process that begins now."""
    done = subprocess.run(["cat", "/proc/self/stat"], check=True, capture_output=True, timeout=30)
    return int(done.stdout.split()[21])


def test_a_close_repeats_the_facts_of_its_open(stack: Stack) -> None:
    """The closing letter is complete in itself, whatever became of the PAM items meanwhile."""
    application = stack.application(XDG_SESSION_ID="12")
    application.open()
    for item in (PAM_USER, PAM_TTY, PAM_RHOST):
        application.set(item, b"changed")
    application.putenv("XDG_SESSION_ID", "13")
    application.close()
    application.end()

    opened, closed = stack.letters()
    assert closed.values == {**opened.values, "time": closed["time"], "opened": opened["time"]}


def test_a_close_by_another_handle_tells_what_it_can(stack: Stack) -> None:
    """A close without its open has no key and no opening time, but the facts of now."""
    application = stack.application()
    application.close()
    application.end()
    (closed,) = stack.letters()
    assert closed.kind == "closed"
    assert set(closed.values) == {"time", "pid", "start", "boot", "user", "tty", "host", "service"}


def test_each_session_has_its_own_key(stack: Stack) -> None:
    """Keys are 32 hexadecimal digits and never the same."""
    for _ in range(50):
        stack.run()
    keys = [letter["key"] for letter in stack.letters()]
    assert len(set(keys)) == 50
    assert all(len(key) == 32 and int(key, 16) for key in keys)


def test_sessions_may_lie_within_each_other(stack: Stack) -> None:
    """Two handles in one process, as sudo within su would be, do not mix up their sessions."""
    outer, inner = stack.application("alice"), stack.application("bob")
    for step in (outer.open, inner.open, inner.close, outer.close):
        assert step() == 0
    for application in (inner, outer):
        application.end()
    letters = stack.letters()
    assert [(letter.kind, letter["user"]) for letter in letters] == [
        ("opened", b"alice"),
        ("opened", b"bob"),
        ("closed", b"bob"),
        ("closed", b"alice"),
    ]
    assert [letter["key"] for letter in letters[:2]] == [letter["key"] for letter in letters[:1:-1]]


def test_a_handle_can_be_used_again(stack: Stack) -> None:
    """A second session through the same handle is a session of its own."""
    application = stack.application()
    for step in (application.open, application.close, application.open, application.close):
        step()
    application.end()
    letters = stack.letters()
    assert [letter.kind for letter in letters] == ["opened", "closed"] * 2
    assert letters[0]["key"] == letters[1]["key"] != letters[2]["key"] == letters[3]["key"]


def test_a_module_that_is_listed_twice_records_once(stack: Stack) -> None:
    """A stack that names the module twice does not double the history, nor leave a session open."""
    stack.service(times=2)
    opened, closed = stack.session()
    assert opened["key"] == closed["key"]


def test_another_user_on_the_same_handle_is_recorded(stack: Stack) -> None:
    """An application that tries again for another user without a close does not lose the second login."""
    application = stack.application("alice")
    application.open()
    application.set(PAM_USER, b"bob")
    application.open()
    application.end()
    assert [letter["user"] for letter in stack.letters()] == [b"alice", b"bob"]


@pytest.mark.parametrize(
    ("option", "service", "recorded"),
    [
        ("skip_if=sshd,cron", "cron", False),
        ("skip_if=sshd,cron", "sshd", False),
        ("skip_if=cron", "cron", False),
        ("skip_if=,,cron,", "cron", False),
        ("skip_if=sshd,crond", "cron", True),
        ("skip_if=cro", "cron", True),
        ("skip_if=", "cron", True),
        ("debug", "systemd-user", False),
    ],
)
def test_services_can_be_left_out(stack: Stack, option: str, service: str, recorded: bool) -> None:
    """Exactly the services of skip_if are left out, and systemd's user manager always."""
    stack.service(service, option)
    stack.run(service=service)
    assert len(stack.letters()) == (2 if recorded else 0)


@pytest.mark.parametrize(
    ("tty", "vt", "expected"),
    [
        (b"/dev/tty2", None, b"tty2"),
        (b"ssh", None, b"ssh"),
        (b"/dev/", None, b""),
        (None, None, b""),
        (None, "2", b"tty2"),
        (b"", "63", b"tty63"),
        (b":0", "07", b"tty7"),
        (b":0", None, b":0"),
        (b":0", "", b":0"),
        (b":0", "0", b":0"),
        (b":0", "64", b":0"),
        (b":0", "0001", b":0"),
        (b":0", "-1", b":0"),
        (b":0", " 1", b":0"),
        (b":0", "1x", b":0"),
        (b":0", "1\n", b":0"),
        (b"/dev/pts/3", "2", b"pts/3"),
    ],
)
def test_the_tty_is_named(stack: Stack, tty: bytes | None, vt: str | None, expected: bytes) -> None:
    """The virtual terminal stands in only for a display or for nothing, and only when it is one."""
    opened, _ = stack.session(tty=tty, **({} if vt is None else {"XDG_VTNR": vt}))
    assert opened["tty"] == expected


@pytest.mark.parametrize(
    ("rhost", "display", "expected"),
    [(b"192.0.2.7", b":1", b"192.0.2.7"), (None, b":1", b":1"), (b"", b":1", b":1"), (None, None, b"")],
)
def test_the_host_is_named(stack: Stack, rhost: bytes | None, display: bytes | None, expected: bytes) -> None:
    """The host is the remote host, or else the X display."""
    application = stack.application(rhost=rhost)
    application.set(PAM_XDISPLAY, display)
    application.open()
    application.end()
    assert [letter["host"] for letter in stack.letters()] == [expected]


@pytest.mark.parametrize(
    ("session", "expected"),
    [("c12", b"c12"), ("x" * 32, b"x" * 32), ("x" * 33, b""), ("", b""), ("1 2", b""), ("1\n", b""), ("é", b"")],
)
def test_the_logind_session_is_taken_only_if_well_formed(stack: Stack, session: str, expected: bytes) -> None:
    """The id of the logind session is 1 to 32 letters and digits, or not recorded."""
    opened, _ = stack.session(XDG_SESSION_ID=session)
    assert opened["session"] == expected


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda path: path.write_bytes(BOOT_KEY + b"\n"), BOOT_KEY),
        (lambda path: path.write_bytes(BOOT_KEY + b"\nmore\n"), BOOT_KEY),
        (lambda path: path.write_bytes(b"a" * 127 + b"\n"), b"a" * 127),
        (lambda path: path.write_bytes(b"a" * 128), BOOT_ID),
        (lambda path: path.write_bytes(BOOT_KEY + b" \n"), BOOT_ID),
        (lambda path: path.write_bytes(b"\n"), BOOT_ID),
        (lambda path: path.write_bytes(b""), BOOT_ID),
        (lambda path: (path.write_bytes(BOOT_KEY), path.chmod(0o664)), BOOT_ID),
        (lambda path: (path.write_bytes(BOOT_KEY), shutil.chown(path, 65534)), BOOT_ID),
        (lambda path: (Path("/run/key").write_bytes(BOOT_KEY), path.symlink_to("/run/key")), BOOT_ID),
        (os.mkfifo, BOOT_ID),
        (Path.mkdir, BOOT_ID),
    ],
)
def test_the_boot_key_is_taken_only_from_root(stack: Stack, syslog: Syslog, prepare: Callable[[Path], object], expected: bytes) -> None:
    """/run/wtmpdb/boot counts if it is a regular file of root with a key in it; else the kernel's boot id does."""

    def login() -> None:
        enter_namespace(syslog)
        path = Path("/run/wtmpdb/boot")
        path.parent.mkdir()
        prepare(path)
        stack.run()

    in_child(login)
    assert {letter["boot"] for letter in stack.letters()} == {expected}


def test_no_environment_is_believed(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the process's nor PAM's environment, which a user may fill, can forge a fact."""
    forged = {
        "PAM_USER": "root",
        "PAM_RHOST": "forged",
        "PAM_TTY": "forged",
        "PAM_SERVICE": "forged",
        "PAM_TYPE": "auth",
        "LD_PRELOAD": "/tmp/forged.so",
        "TMPDIR": "/tmp/forged",
    }
    for name, value in {**forged, "XDG_VTNR": "5", "XDG_SESSION_ID": "forged", "DISPLAY": ":9"}.items():
        monkeypatch.setenv(name, value)
    opened, closed = stack.session(tty=b":0", rhost=None, **forged)
    assert (opened["user"], opened["tty"], opened["service"]) == (b"alice", b":0", b"login")
    assert not opened.values.keys() & {"host", "session"}
    assert closed.values.keys() == opened.values.keys() | {"opened"}


def test_nothing_is_left_behind_in_the_application(stack: Stack) -> None:
    """Descriptors, signal mask, dispositions and pending signals are after a hundred sessions as before."""

    def state() -> tuple[object, ...]:
        lines = Path("/proc/self/status").read_text().splitlines()
        return sorted(Path("/proc/self/fd").iterdir()), [line for line in lines if line.startswith(("Sig", "Shd", "Umask"))]

    stack.run()
    before = state()
    for _ in range(100):
        stack.run()
    assert state() == before


def test_errno_is_left_alone(stack: Stack) -> None:
    """The application's errno survives, even where the spool does not."""
    shutil.rmtree(stack.spool)
    module = ctypes.CDLL(str(stack.module), use_errno=True)
    application = stack.application()
    options = (ctypes.c_char_p * 2)(f"spool={stack.spool}".encode(), b"silent")
    ctypes.set_errno(77)
    assert module.pam_sm_open_session(application.handle, 0, 2, options) == 0
    assert ctypes.get_errno() == 77
    application.end()


# --- What is said in the log ----------------------------------------------------------------------------------------


def said(stack: Stack, syslog: Syslog, **items: str) -> list[str]:
    """Return what the module says in the log about one session."""

    def login() -> None:
        enter_namespace(syslog)
        stack.run(**items)

    in_child(login)
    return syslog.messages()


def test_nothing_is_said_without_need(stack: Stack, syslog: Syslog) -> None:
    """A session that is recorded leaves no word in the log, even without a recorder to poke."""
    assert said(stack, syslog) == []


def test_debug_tells_about_each_step(stack: Stack, syslog: Syslog) -> None:
    """With debug the log tells of each letter, at the debug level."""
    stack.service("login", "debug")
    assert said(stack, syslog) == [f"{DEBUG}letter posted, recorder not there or busy"] * 2


def test_debug_tells_what_is_left_out(stack: Stack, syslog: Syslog) -> None:
    """With debug the log tells why a session is not recorded."""
    stack.service("cron", "debug", "skip_if=cron")
    assert said(stack, syslog, service="cron") == [f"{DEBUG}service cron is left out"] * 2


@pytest.mark.parametrize("option", ["nonsense", "spool=relative", "poke=", "debugging", "spool"])
def test_an_unknown_option_is_named_once(stack: Stack, syslog: Syslog, option: str) -> None:
    """An option that is not understood is named once for each session, and the session is recorded."""
    stack.service("login", option)
    assert said(stack, syslog) == [f"{ERROR}option not understood, passed over: {option}"]
    assert len(stack.letters()) == 2


def test_a_session_of_nobody_is_not_recorded(stack: Stack, syslog: Syslog) -> None:
    """Without PAM_USER there is nothing to record, and the log says so."""

    def login() -> None:
        enter_namespace(syslog)
        application = stack.application()
        application.set(PAM_USER, None)
        assert application.open() == 0
        application.end()

    in_child(login)
    assert stack.letters() == []
    assert syslog.messages() == [f"{ERROR}a session without a user is not recorded"]


@pytest.mark.parametrize("debug", [False, True])
def test_an_application_without_root_records_nothing(stack: Stack, syslog: Syslog, debug: bool) -> None:
    """An unprivileged application has its session and leaves no letter; only debug says so."""
    stack.service("login", *(["debug"] if debug else []))
    syslog.path.chmod(0o666)

    def login() -> None:
        enter_namespace(syslog)
        stack.exercise(1, 1, 1, user=65534, group=65534, extra_groups=[])

    in_child(login)
    assert stack.letters() == []
    expected = f"{DEBUG}the application does not run as root: nothing is recorded"
    assert syslog.messages() == ([expected] * 2 if debug else [])


# --- Other applications ---------------------------------------------------------------------------------------------


def test_pamtester_opens_and_closes_a_session(stack: Stack) -> None:
    """The module works in /etc/pam.d, for an application that is not ours."""
    if shutil.which("pamtester") is None:
        pytest.skip("pamtester is not installed")
    name = f"wtmpdb-test-{secrets.token_hex(4)}"
    stack.service(name)
    service = Path("/etc/pam.d", name)
    try:
        service.write_bytes((stack.confdir / name).read_bytes())
        subprocess.run(
            ["pamtester", "-Irhost=192.0.2.9", "-Itty=/dev/pts/7", name, "root", "open_session", "close_session"],
            check=True,
            capture_output=True,
            timeout=30,
        )
    finally:
        service.unlink(missing_ok=True)
    opened, closed = stack.letters()
    assert (opened["user"], opened["tty"], opened["host"]) == (b"root", b"pts/7", b"192.0.2.9")
    assert opened["service"] == name.encode()
    assert closed["key"] == opened["key"]


@pytest.mark.parametrize(
    ("processes", "threads", "sessions"),
    [(40, 1, 20), (1000, 1, 1), (1, 16, 25), (4, 8, 10)],
    ids=["40 of 20", "1000 at once", "threads", "processes of threads"],
)
def test_no_login_of_a_burst_is_lost(stack: Stack, processes: int, threads: int, sessions: int) -> None:
    """Of many sessions at the same moment each has its two letters with one key, and no key comes twice."""
    stack.exercise(processes, threads, sessions)
    letters = stack.letters()
    users = {f"p{p}t{t}s{s}".encode() for p in range(processes) for t in range(threads) for s in range(sessions)}
    for kind in ("opened", "closed"):
        assert {letter["user"] for letter in letters if letter.kind == kind} == users
    assert len(letters) == 2 * len(users)
    assert len({letter["key"] for letter in letters}) == len(users)
    assert len({(letter["user"], letter["key"]) for letter in letters}) == len(users)


def test_letters_sort_as_they_were_written(stack: Stack) -> None:
    """Within a process the order of names is the order of events."""
    stack.exercise(1, 1, 100)
    order = [(letter["user"], letter.kind) for letter in stack.letters()]
    assert order == [(f"p0t0s{s}".encode(), kind) for s in range(100) for kind in ("opened", "closed")]


def test_the_decoder_of_these_tests_is_strict() -> None:
    """The tests would notice a letter that is not well formed."""
    for rest in (b"user a b\nend\n", b"user \\08\nend\n", b"user a\nuser b\nend\n", b"user a\n"):
        with pytest.raises(AssertionError):
            Letter.decode(b"wtmpdb 1 opened\n" + rest)
