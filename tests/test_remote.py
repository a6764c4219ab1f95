# SPDX-License-Identifier: BSD-2-Clause
"""The history through the recorder: the same answers as the file gives, for those who may not read it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from speaking import ALICE, Speaking, who_is
from support import BOOT_KEY, HOUR, NOON, edit, make_file, opened, post
from wtmpdb import home
from wtmpdb.errors import DeniedLogError, LogError
from wtmpdb.history import History
from wtmpdb.log import Log
from wtmpdb.recorder.drain import drain
from wtmpdb.remote import Remote

if TYPE_CHECKING:
    from collections.abc import Iterator

root = pytest.mark.skipif(os.getuid() != 0, reason="sockets of several users are needed")

# `wtmpdb last` on a machine whose history and socket are elsewhere.
LAST = """
import sys
from wtmpdb import remote
from wtmpdb.cli import databases
databases.DATABASE, remote.SOCKET = sys.argv[1:3]
remote.Remote.__init__.__defaults__ = "", sys.argv[2]
from wtmpdb.__main__ import main
sys.exit(main(["wtmpdb", "last", *sys.argv[3:]]))
"""


@pytest.fixture
def speaking(place: Path) -> Iterator[Speaking]:
    """Give a recorder that runs, with a private history: boots, sessions of ours and of C, what a name can hold."""
    speaking = Speaking(place)
    rows: list[tuple[object, ...]] = [
        (1, "reboot", NOON + number * HOUR, None if number % 3 else NOON + number * HOUR + 1, "~", f"6.{number}", None) for number in range(300)
    ]
    rows += [(3, "al\\012ice", NOON + number, None if number % 4 == 0 else NOON + number + 1, "pts/1", None, "sshd") for number in range(700)]
    make_file(
        speaking.database, [*rows, (3, "alice", NOON + 9, None, None, "host", "x\x1b"), (2, "runlevel", NOON + 8, 0, "(to lvl 5)", "6.1", None)]
    )
    with edit(speaking.database) as file:
        file.execute("INSERT INTO boot VALUES (300, ?, ?)", (NOON + 299 * HOUR, BOOT_KEY))
    post(speaking.spool, *(opened("alice", NOON + 500 * HOUR + number, pid=100 + number) for number in range(3)))
    drain(str(speaking.database), str(speaking.spool))
    speaking.database.chmod(0o640)
    speaking.start()
    yield speaking
    speaking.close()


@root
def test_as_the_file(speaking: Speaking) -> None:
    """Rows, bounds, open rows, boots, the beginning and what is known of open sessions are the same as in the file."""
    remote = Remote(str(speaking.database), speaking.address)
    with Log.read(str(speaking.database)) as log, remote:
        for since, until in ((None, None), (NOON + 10, NOON + 300 * HOUR), (None, NOON), (NOON + 1000 * HOUR, None)):
            assert [row for rows in remote.rows(since, until) for row in rows] == [as_told(row) for rows in log.rows(since, until) for row in rows]
        assert list(remote.entries()) == list(log.entries())
        assert remote.open_rows() == log.open_rows()
        assert remote.begins() == log.begins()
        assert [facts(boot) for boot in remote.boots()] == [facts(boot) for boot in log.boots()]
        for row in log.open_rows():
            assert facts(remote.opening(row[7], row[5])) == facts(log.opening(row[7], row[5]))
        assert remote.opening(1005, NOON + 500 * HOUR + 2) is not None
        lines = [[line for chunk in History(source).lines_with_shutdowns(source.rows()) for line in chunk] for source in (remote, log)]
        assert lines[0] == lines[1]


def as_told(row: tuple[object, ...]) -> tuple[object, ...]:
    """Return a row whose logout is None where nobody recorded it: 0 says the same."""
    return (*row[:6], row[6] or None, *row[7:])


def facts(thing: object) -> list[object]:
    """Return what stands in the slots of something."""
    return [getattr(thing, name) for name in getattr(type(thing), "__slots__", ())]


@root
def test_no_more_than_needed(speaking: Speaking) -> None:
    """Who wants ten rows fetches a chunk, and the recorder reads no further for who has gone."""
    with who_is(ALICE):
        rows = Remote(address=speaking.address).rows()
        first = next(rows)
    assert len(first) == 128
    rows.close()  # type: ignore[attr-defined]
    assert speaking.call("Ping") == {"Alive": True}


@root
def test_what_only_the_file_tells(speaking: Speaking) -> None:
    """A question that the recorder has no answer for is denied in one line."""
    with pytest.raises(DeniedLogError, match="Permission denied"):
        Remote(address=speaking.address).query("SELECT 1")


def last(speaking: Speaking, *words: str, uid: int = ALICE) -> subprocess.CompletedProcess[str]:
    """Run `wtmpdb last` as a user, from where users get to: this checkout may be in root's home."""
    source = speaking.database.with_name("src")
    shutil.copytree(Path(home.__file__).parent, source / "wtmpdb", dirs_exist_ok=True)
    command = [os.path.realpath(sys.executable), "-c", LAST, str(speaking.database), speaking.address, *words]
    environment = os.environ | {"PYTHONPATH": str(source)}
    return subprocess.run(command, user=uid, group=uid, extra_groups=[], capture_output=True, text=True, check=False, env=environment, cwd="/")


@root
def test_last_of_a_private_history(speaking: Speaking) -> None:
    """`wtmpdb last` of a user lists own sessions and the boots of a private history as root's lists them, also as JSON, with its last line."""
    for words in (["-n", "5"], [], ["-x", "-F"], ["--jsonl"], ["-s", "2024-03-02", "-w"]):
        mine, roots = last(speaking, *words), last(speaking, *words, "alice", "reboot", "shutdown", uid=0)
        assert mine.stderr == ""
        assert mine.stdout == roots.stdout
    assert "wtmp.db begins" in last(speaking, "-n", "1").stdout
    assert json.loads(last(speaking, "-j").stdout)["start"]


@root
def test_last_when_nothing_may_be_seen(speaking: Speaking) -> None:
    """Where others may see nothing, and where no recorder answers, it says so in one line with a hint."""
    speaking.database.with_name("private").write_text("none\n")
    ran = last(speaking)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"wtmpdb last: {speaking.database}: Permission denied (")
    assert ran.stderr.count("\n") == 1
    Path(speaking.address).unlink()
    ran = last(speaking)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "setup --recorder" in ran.stderr
    assert ran.stderr.count("\n") == 1


@contextmanager
def answering(address: str, *messages: bytes) -> Iterator[None]:
    """Be a recorder that sends this to the first who asks, and closes."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(9999)
                for message in messages:
                    connection.sendall(message)

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize(
    "messages",
    [
        (),
        (b'{"parameters":',),
        (b"nonsense\0",),
        (b"[1]\0",),
        (b'{"parameters":{}}\0',),
        (b'{"parameters":{"rows":[{"id":1}]}}\0',),
        (b'{"parameters":{"rows":[]},"continues":true}\0',),
        (b'{"error":"org.wtmpdb.History.Unavailable"}\0',),
        (b'{"error":"org.example.Other"}\0',),
    ],
)
def test_an_answer_that_makes_no_sense(tmp_path: Path, messages: tuple[bytes, ...]) -> None:
    """Whatever answers instead of the recorder, or half, comes out as an error in one line."""
    address = str(tmp_path / "socket")
    with answering(address, *messages), pytest.raises(LogError):
        list(Remote(address=address).rows())


def test_nobody_there(tmp_path: Path) -> None:
    """A socket at which nobody listens is an error with a hint."""
    with pytest.raises(LogError, match="No such file") as caught:
        Remote(address=str(tmp_path / "socket")).begins()
    assert "doctor" in caught.value.hint


def test_pieces(tmp_path: Path) -> None:
    """Messages may come in any pieces, several in one and one in several."""
    rows = [json.dumps({"parameters": {"rows": []}, "continues": more}).encode() + b"\0" for more in (True, True, False)]
    whole = b"".join(rows)
    for size in (1, 7, len(rows[0]), len(rows[0]) + 1, len(whole)):
        address = str(tmp_path / f"socket{size}")
        with answering(address, *(whole[start : start + size] for start in range(0, len(whole), size))):
            assert list(Remote(address=address).rows()) == [[], [], []]
