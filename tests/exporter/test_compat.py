# SPDX-License-Identifier: BSD-2-Clause
"""A utmp file as a source, and the metrics of unix-user-exporter."""

from __future__ import annotations

import os
import struct
import threading
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from support import NOON, SECOND, make_file
from wtmpdb.__main__ import main
from wtmpdb.errors import WtmpdbError
from wtmpdb.exporter.collector import Sessions, Wishes
from wtmpdb.exporter.compat import UnixUsers
from wtmpdb.exporter.sources import Database
from wtmpdb.exporter.utmp import Utmp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prometheus_client.registry import Collector

    Expose = Callable[[Collector], dict[str, float]]

_RECORD = {384: struct.Struct("<hxxi32s4s32s256shhiii16s20x"), 400: struct.Struct("<hxxi32s4s32s256shhqqq16s20x4x")}
BOOT, LOGIN, USER, DEAD = 2, 6, 7, 8


def record(kind: int, user: bytes, line: bytes, host: bytes = b"", *, at: int = NOON, size: int = 384) -> bytes:
    """Return a record of a utmp file."""
    return _RECORD[size].pack(kind, 4711, line, line[-4:], user, host, 0, 0, 0, at // SECOND, at % SECOND, b"")


@pytest.fixture
def utmp(tmp_path: Path) -> Path:
    """Make a utmp file: three sessions, the last record being one, a dead one and one that waits."""
    records = [
        record(BOOT, b"reboot", b"~", b"6.1", at=NOON - SECOND),
        record(USER, b"alice", b"pts/0", b"192.168.1.100"),
        record(DEAD, b"eve", b"pts/7", b"192.0.2.66"),
        record(LOGIN, b"LOGIN", b"tty2"),
        record(USER, b"bob", b"tty1", b":0"),
        record(USER, b"alice", b"pts/1", b"192.168.1.100"),
    ]
    path = tmp_path / "utmp"
    path.write_bytes(b"".join(records))
    return path


def test_the_four_metrics(utmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The four metrics have the names, types, labels and forms of unix-user-exporter; the last record counts, a dead one does not."""
    monkeypatch.setenv("TZ", "UTC0")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(UnixUsers(Utmp(str(utmp)), 100))
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("# HELP")]
    assert lines == [
        "# TYPE unix_users_logged_in_total gauge",
        "unix_users_logged_in_total 3.0",
        "# TYPE unix_user_session_info gauge",
        'unix_user_session_info{from="192.168.1.100",login_time="2024-03-01 12:00",tty="pts/0",username="alice"} 1.0',
        'unix_user_session_info{from="192.168.1.100",login_time="2024-03-01 12:00",tty="pts/1",username="alice"} 1.0',
        'unix_user_session_info{from=":0",login_time="2024-03-01 12:00",tty="tty1",username="bob"} 1.0',
        "# TYPE unix_user_session_count gauge",
        'unix_user_session_count{username="alice"} 2.0',
        'unix_user_session_count{username="bob"} 1.0',
        "# TYPE unix_user_session_by_ip gauge",
        'unix_user_session_by_ip{ip="192.168.1.100"} 2.0',
    ]


def test_of_the_database(tmp_path: Path, expose: Expose) -> None:
    """The four metrics can come from a history, too; who came from nowhere has a dash."""
    path = make_file(tmp_path / "w.db", [(3, "alice", NOON, None, "pts/0", None, "sshd")])
    found = expose(UnixUsers(Database(str(path)), 100))
    assert found["unix_users_logged_in_total"] in (0, 1)  # whether the owner of pts/0 is alice is for this machine to say


def test_no_file_is_said(tmp_path: Path) -> None:
    """While the file is not there, the four metrics are refused with the reason: they have no way to say so themselves."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(UnixUsers(Utmp(str(tmp_path / "none")), 100))
    with pytest.raises(WtmpdbError, match="No such file"):
        generate_latest(registry)


@pytest.mark.parametrize("size", [384, 400])
def test_layouts(tmp_path: Path, expose: Expose, size: int) -> None:
    """A utmp file of 32 or of 64 bit is read without being told which, also times after 2038."""
    later = 3_000_000_000 * SECOND if size == 400 else NOON
    path = tmp_path / "utmp"
    path.write_bytes(b"".join(record(USER, b"u%d" % number, b"pts/%d" % number, at=later, size=size) for number in range(5)))
    found = expose(Sessions(Utmp(str(path))))
    assert (found["up"], found["users"], found["session_oldest_start_timestamp_seconds"]) == (1, 5, later / SECOND)


def test_our_metrics_of_a_utmp_file(utmp: Path, expose: Expose) -> None:
    """Our own metrics tell who is on and when the machine was booted, and nothing of a history that is not there."""
    found = expose(Sessions(Utmp(str(utmp)), Wishes(per_user=True, sessions=True)))
    assert (found["users"], found["user_sessions{user=alice}"], found["boot_timestamp_seconds"]) == (2, 2, NOON / SECOND - 1)
    assert found["sessions{class=user,remote=true,type=tty}"] == 2
    assert found["sessions{class=user,remote=false,type=x11}"] == 1
    assert found["session_start_timestamp_seconds{session=pts/1}"] == NOON / SECOND
    assert "database_rows" not in found
    assert "failures_up" not in found


def test_file_that_comes_and_goes(utmp: Path, expose: Expose) -> None:
    """A utmp file that is taken away and put back in the middle of scrapes makes `up` 0 and 1 and nothing else happens."""
    source = Sessions(Utmp(str(utmp)))
    stop = threading.Event()

    def disturb() -> None:
        content = utmp.read_bytes()
        away = utmp.with_name("away")
        while not stop.is_set():
            os.rename(utmp, away)
            utmp.write_bytes(content[:500])
            os.truncate(utmp, 0)
            os.rename(away, utmp)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        seen = {expose(source).get("users", -1) for _ in range(200)}
    finally:
        stop.set()
        thread.join()
    assert seen <= {-1, 0, 1, 2}
    assert expose(source)["users"] == 2


def test_bytes_that_are_not_utf8(tmp_path: Path, expose: Expose) -> None:
    """Bytes that are not UTF-8, quotes, newlines and backslashes in a record come out as escapes, and two users stay two."""
    path = tmp_path / "utmp"
    users = [b"\xff", b"\xfe", b'a"b', b"a\nb", b"a\\b", "é".encode()]
    path.write_bytes(b"".join(record(USER, user, b"pts/%d" % number, b"h\xffst") for number, user in enumerate(users)))
    found = expose(Sessions(Utmp(str(path)), Wishes(per_user=True)))
    names = {name.removeprefix("user_sessions{user=").removesuffix("}") for name in found if name.startswith("user_sessions")}
    assert names == {"\\377", "\\376", 'a"b', "a\\012b", "a\\134b", "é"}


def test_nothing_is_written_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --textfile a source that cannot be read ends the command with 1, and leaves no file."""
    words = ["exporter", "--compat.unix-user-exporter", f"--utmp-path={tmp_path}/none", "--textfile", str(tmp_path)]
    assert main(["wtmpdb", *words]) == 1
    assert capsys.readouterr().err == f"wtmpdb exporter: {tmp_path}/none: No such file or directory\n"
    assert list(tmp_path.iterdir()) == []
