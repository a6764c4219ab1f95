# SPDX-License-Identifier: BSD-2-Clause
"""A machine's life: booted, logged in to by ssh, crashed, rebooted, powered off. Afterwards its history is read on another machine: this one."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from system.containers import WAIT, CannotError, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.containers import Container

    Line = dict[str, Any]
    Row = tuple[str, str, str, str, str]

pytestmark = pytest.mark.system

CLOCK = 2.0  # seconds by which what is recorded may differ from what the test saw

KILL = """
import os, sqlite3
database = sqlite3.connect("file:/var/lib/wtmpdb/wtmp.db?mode=ro", uri=True)
process, = database.execute("SELECT pid FROM session JOIN wtmp ON entry_id = ID WHERE User = '{}' AND Logout IS NULL ORDER BY ID DESC").fetchone()
os.kill(process, 9)
"""


class Story:
    """What was done, and what was seen meanwhile from inside."""

    def __init__(self, container: Container, *, by_sshd: bool, soft: bool) -> None:
        """Live it. ``by_sshd``: sshd records its sessions itself, those with a terminal."""
        self.by_sshd = by_sshd
        self.soft = soft
        self.begun: list[float] = []  # the boots, seconds since the epoch
        self.ended: list[float] = []
        self.seen: dict[str, list[Line]] = {}
        self._live(container)
        self.database = container.tree.path("/var/log/wtmp.db" if by_sshd else "/var/lib/wtmpdb/wtmp.db")
        self.journal = container.tree.path("/var/log/journal")
        shown = subprocess.run([sys.executable, "-m", "wtmpdb", "last", "--json", "-f", self.database], capture_output=True, text=True, check=True)
        self.lines: list[Line] = json.loads(shown.stdout)["entries"]
        self.lines.reverse()

    def _live(self, container: Container) -> None:
        self.begun.append(container.boot())
        self._work(container)
        self._hold(container, "127.0.0.19")
        self.ended.append(time.time())
        container.crash()

        self.begun.append(container.boot())
        self.seen["after the crash"] = container.last()
        self._kill_su(container)
        self._hold(container, "127.0.0.21")
        if self.soft:
            self.ended.append(time.time())
            self.begun.append(container.soft_reboot())
            self.seen["after the soft reboot"] = container.last()
            with container.session("bob", "127.0.0.31"):
                pass
        self.ended.append(time.time())
        self.begun.append(container.reboot())
        self.seen["after the reboot"] = container.last()
        with container.session("bob", "127.0.0.41"):
            pass
        self._hold(container, "127.0.0.42")
        self.ended.append(time.time())
        container.power_off()

    def _work(self, container: Container) -> None:
        with container.session("alice", "127.0.0.11"):
            self.seen["alice is logged in"] = container.last()
        container.run("ssh -b 127.0.0.12 alice@127.0.0.1 true")
        container.run("echo ls | sftp -q -b - -o BindAddress=127.0.0.13 alice@127.0.0.1")
        container.run("scp -q -o BindAddress=127.0.0.14 /etc/hostname alice@127.0.0.1:")
        with container.session("root", "127.0.0.15", f"su - bob -c '{WAIT}'"):
            self.seen["bob is logged in"] = container.last()
        self._kill_su(container)
        self.seen["a su was killed"] = container.last()
        if not self.by_sshd:
            container.hold("mallory", "127.0.0.16")
            container.last()
            container.python(KILL.format("mallory"))
            self.seen["a monitor was killed"] = container.last()

    def _kill_su(self, container: Container) -> None:
        container.start("su", "-", "carol", "-c", "echo ready; exec sleep 1000").expect(b"ready")
        container.last()  # takes what waits in the spool
        container.python(KILL.format("carol"))

    def _hold(self, container: Container, source: str) -> None:
        """Be logged in when the system goes down."""
        container.hold("alice", source)
        until(lambda: any(line["hostname"] == source for line in container.last()), "the login")

    def rows(self) -> list[Row]:
        """Return what has to be listed afterwards, oldest first: user, tty, host, service, end."""
        kernel = ("system boot", self.lines[0]["hostname"], "")

        def by_ssh(user: str, host: str, end: str, tty: str = "pts/N") -> Row:
            return (user, tty, host, "", end) if self.by_sshd else (user, "ssh", host, "sshd", end)

        rows: list[Row] = [("reboot", *kernel, "crash"), by_ssh("alice", "127.0.0.11", "logout")]
        rows += [by_ssh("alice", f"127.0.0.{number}", "logout") for number in (12, 13, 14) if not self.by_sshd]
        rows += [by_ssh("root", "127.0.0.15", "logout"), ("bob", "pts/N", "", "su-l", "logout"), ("carol", "", "", "su-l", "crash")]
        rows += [by_ssh("mallory", "127.0.0.16", "crash") for _ in range(not self.by_sshd)]
        rows += [by_ssh("alice", "127.0.0.19", "crash")]
        rows += [("reboot", *kernel, "logout"), ("carol", "", "", "su-l", "down"), by_ssh("alice", "127.0.0.21", "logout")]
        if self.soft:
            rows += [("soft-reboot", *kernel, "logout"), by_ssh("bob", "127.0.0.31", "logout")]
        return [*rows, ("reboot", *kernel, "logout"), by_ssh("bob", "127.0.0.41", "logout"), by_ssh("alice", "127.0.0.42", "logout")]


STORIES = {"bookworm": {"by_sshd": False, "soft": False}, "trixie": {"by_sshd": True, "soft": True}}


@pytest.fixture(scope="module", params=list(STORIES))
def story(request: pytest.FixtureRequest, container: Callable[[str], Container]) -> Story:
    """Live the story once on each Debian."""
    try:
        return Story(container(request.param), **STORIES[request.param])
    except CannotError as error:
        pytest.skip(str(error))


def row(line: Line) -> Row:
    """Return what a line says, but for the times and the number of the terminal."""
    return line["user"], re.sub(r"pts/\d+", "pts/N", line["tty"]), line["hostname"], line["service"], line["end"]


def end_of(lines: list[Line], user: str, host: str = "") -> str:
    """Return how the newest session of a user and host ended."""
    return str(next(line["end"] for line in lines if line["user"] == user and host in ("", line["hostname"])))


def test_every_row(story: Story) -> None:
    """The history holds each boot and each login once, in order, with user, terminal, host, service and how it ended, and nothing else."""
    assert [row(line) for line in story.lines] == story.rows()


def test_boots_begin_and_end_when_they_did(story: Story) -> None:
    """Each boot begins when the container was started (a soft reboot, when it was ordered), and ends when it was brought down, unless it crashed."""
    with closing(sqlite3.connect(story.database)) as database:
        boots = database.execute("SELECT Login / 1e6, Logout / 1e6 FROM wtmp WHERE Type = 1 ORDER BY ID").fetchall()
    assert [began for began, _ in boots] == [pytest.approx(began, abs=CLOCK) for began in story.begun]
    assert [ended for _, ended in boots] == [None, *(pytest.approx(ended, abs=CLOCK) for ended in story.ended[1:])]


def test_sessions_lie_within_their_boots(story: Story) -> None:
    """Each session begins and ends within its boot: those that were open when the system went down, too."""
    begun = [*story.begun, float("inf")]
    for line in story.lines:
        if line["type"] == 3:
            login, logout = line["login_usec"] / 1e6, line["logout_usec"] / 1e6
            following = next(place for place, began in enumerate(begun) if began > login)
            assert login <= logout <= begun[following] + CLOCK, line
            assert logout - login < 10, line


def test_shown_while_they_last(story: Story) -> None:
    """Who is logged in is shown as such, and so is the boot that is running."""
    seen = story.seen["alice is logged in"]
    assert [end_of(seen, "alice"), end_of(seen, "reboot")] == ["logged in", "running"]
    seen = story.seen["bob is logged in"]
    assert [end_of(seen, "bob"), end_of(seen, "root"), end_of(seen, "alice")] == ["logged in", "logged in", "logout"]


def test_killed_session_is_gone(story: Story) -> None:
    """A session whose process was killed is gone while its boot lives; afterwards it crashed with the boot, or went down with it."""
    assert end_of(story.seen["a su was killed"], "carol") == "gone"
    if not story.by_sshd:
        assert end_of(story.seen["a monitor was killed"], "mallory") == "gone"
    assert end_of(story.seen["after the crash"], "carol") == "crash"
    assert end_of(story.seen["after the reboot"], "carol") == "down"


def test_crash_is_shown_after_the_next_boot(story: Story) -> None:
    """After the power failed, the boot before and who was logged in are shown as crashed; the new boot is running."""
    seen = story.seen["after the crash"]
    assert [line["end"] for line in seen if line["type"] == 1] == ["running", "crash"]
    assert end_of(seen, "alice", "127.0.0.19") == "crash"


def test_going_down_in_good_order(story: Story) -> None:
    """After a reboot, or a soft reboot, the boot before has its end, and so has the session that was open."""
    for when in ("after the soft reboot", "after the reboot"):
        if when in story.seen:
            boots = [line["end"] for line in story.seen[when] if line["type"] == 1]
            assert boots[:2] == ["running", "logout"], when
            assert end_of(story.seen[when], "alice") == "logout", when


def test_file_is_whole(story: Story) -> None:
    """After a crash and three shutdowns the file is whole, no letter is left over, and all side rows belong to rows."""
    with closing(sqlite3.connect(story.database)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for table in ("session", "boot"):
            stray = f"SELECT * FROM {table} LEFT JOIN wtmp ON entry_id = ID AND {table}.login = wtmp.Login WHERE ID IS NULL"
            assert database.execute(stray).fetchall() == []
        sessions, distinct = database.execute("SELECT count(*), count(DISTINCT boot_key) FROM session").fetchone()
        assert sessions == sum(line["type"] == 3 and line["service"] != "" for line in story.lines)
        assert distinct >= 2
        assert database.execute("SELECT count(DISTINCT boot_key) FROM boot").fetchone() == (len(story.begun),)


def test_services_have_nothing_to_complain_about(story: Story) -> None:
    """In the whole story none of our services wrote a word into the journal, and systemd had no warning about any of them."""
    journal = ["journalctl", f"--directory={story.journal}", "--quiet", "--no-pager", "--output=short-iso"]
    told = subprocess.run([*journal, "--unit=wtmpdb-recorder.service"], capture_output=True, text=True, check=True)
    assert "Started wtmpdb-recorder.service" in told.stdout
    ours = subprocess.run([*journal, "--identifier=wtmpdb"], capture_output=True, text=True, check=True)
    assert ours.stdout == ""
    warnings = subprocess.run([*journal, "--priority=warning", "--unit=wtmpdb-*"], capture_output=True, text=True, check=True)
    assert warnings.stdout == ""
