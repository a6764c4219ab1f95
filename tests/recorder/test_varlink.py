# SPDX-License-Identifier: BSD-2-Clause
"""The recorder spoken to: what it answers, and that nobody who speaks to it does harm. Each test has a recorder in a process of its own."""

from __future__ import annotations

import itertools
import json
import os
import resource
import select
import socket
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speaking import ALICE, BOB, METHODS, Client, Speaking, close_all, wait, who_is
from support import HOUR, NOON, SECOND, edit, make_file, table
from wtmpdb.log import Log
from wtmpdb.recorder.loop import Loop
from wtmpdb.recorder.varlink import Varlink
from wtmpdb.system import System

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="sockets of several users are needed")

ROWS = [
    (1, "reboot", NOON - HOUR, None, "~", "6.1", None),
    (3, "alice", NOON, NOON + 5, "pts/1", "192.0.2.7", "sshd"),
    (3, "bob", NOON + 1, None, "pts/2", "2001:db8::7", "sshd"),
    (3, "alice", NOON + 2, None, None, None, "login"),
]
MANY = 3000
DENIED = {"error": "org.varlink.service.PermissionDenied", "parameters": {}}


@pytest.fixture
def speaking(place: Path) -> Iterator[Speaking]:
    """Give a recorder that runs, with a few rows."""
    speaking = Speaking(place)
    make_file(speaking.database, ROWS)
    speaking.start()
    yield speaking
    speaking.close()


@pytest.fixture
def still(place: Path) -> Iterator[Speaking]:
    """Give a recorder that is not started yet, with many rows."""
    speaking = Speaking(place)
    make_file(speaking.database, [(3, "alice", NOON + number, NOON + number + 1, "pts/1", "h" * 100, "sshd") for number in range(MANY)])
    yield speaking
    speaking.close()


# What it answers


def test_describes_itself(speaking: Speaking) -> None:
    """It tells who it is, and describes each of its interfaces with all their methods."""
    told = speaking.call("GetInfo")
    assert set(told) == {"vendor", "product", "version", "url", "interfaces"}
    assert set(told["interfaces"]) == set(METHODS) - {"org.example"}
    for interface in told["interfaces"]:
        description = speaking.call("GetInterfaceDescription", interface=interface)["description"]
        assert f"\ninterface {interface}\n" in description
        assert all(f"\nmethod {method}(" in description for method in METHODS[interface] if method != "Nothing")
    assert speaking.call("GetInterfaceDescription", interface="org.example")["error"] == "org.varlink.service.InterfaceNotFound"


def test_unknown(speaking: Speaking) -> None:
    """Unknown interfaces, methods and parameters, and parameters of another kind, are named in the error that varlink has for them."""
    assert speaking.call("Unknown") == {"error": "org.varlink.service.InterfaceNotFound", "parameters": {"interface": "org.example"}}
    unknown = {"error": "org.varlink.service.MethodNotFound", "parameters": {"method": "org.openSUSE.wtmpdb.Nothing"}}
    assert speaking.call("Nothing") == unknown
    right: dict[str, object] = {"Type": 3, "User": "alice", "LoginTime": NOON}
    wrong: dict[str, list[object]] = {"Type": [4, -1, True, 1.0, "3", None], "User": ["", None, 7, "u" * 257], "LoginTime": [2**63, None, 1e3]}
    wrong |= {"TTY": [7, "t" * 65], "RemoteHost": ["h" * 256], "Service": [[]], "Colour": ["red", None]}
    for name, values in wrong.items():
        for value in values:
            answer = speaking.call("Login", **(right | {name: value}))
            assert answer == {"error": "org.varlink.service.InvalidParameter", "parameters": {"parameter": name}}, (name, value)
    assert len(table(speaking.database)) == len(ROWS)


def test_login_and_logout(speaking: Speaking) -> None:
    """Login writes a row as the C library would and returns its ID; GetID finds it until Logout has ended it."""
    ident = speaking.call("Login", Type=3, User="carol", LoginTime=NOON + 9, TTY="pts/9", RemoteHost="host", Service="sshd")["ID"]
    assert table(speaking.database)[-1] == (ident, 3, "carol", NOON + 9, None, "pts/9", "host", "sshd")
    assert speaking.call("GetID", TTY="pts/9") == {"ID": ident}
    assert speaking.call("Logout", ID=ident, LogoutTime=NOON + 10) == {"Success": True}
    assert table(speaking.database)[-1][4] == NOON + 10
    assert speaking.call("GetID", TTY="pts/9")["error"] == "org.openSUSE.wtmpdb.NoEntryFound"
    answer = speaking.call("Logout", ID=99, LogoutTime=NOON)
    assert answer == {"error": "org.openSUSE.wtmpdb.InternalError", "parameters": {"Success": False, "ErrorMsg": "no entry has the ID 99"}}
    speaking.call("Login", Type=3, User="d\n\ud800", LoginTime=NOON, TTY=None, RemoteHost="", Service=None)
    assert table(speaking.database)[-1][2:] == ("d\\012\\355\\240\\200", NOON, None, None, None, None)


def test_get_id_gives_the_newest(speaking: Speaking) -> None:
    """Of several open sessions on a terminal, GetID gives the newest."""
    idents = [speaking.call("Login", Type=3, User="x", LoginTime=NOON + time, TTY="tty1")["ID"] for time in (7, 9, 8)]
    assert speaking.call("GetID", TTY="tty1") == {"ID": idents[1]}


def test_read_all(speaking: Speaking) -> None:
    """ReadAll gives all rows, newest first, as the C project sends them: 0 for no logout, a question mark for no terminal, no null."""
    told = speaking.call("ReadAll")
    assert told["Success"] is True
    assert [tuple(row.values()) for row in told["Data"]] == [
        (4, 3, "alice", NOON + 2, 0, "?", "", "login"),
        (3, 3, "bob", NOON + 1, 0, "pts/2", "2001:db8::7", "sshd"),
        (2, 3, "alice", NOON, NOON + 5, "pts/1", "192.0.2.7", "sshd"),
        (1, 1, "reboot", NOON - HOUR, 0, "~", "6.1", ""),
    ]
    assert list(told["Data"][0]) == ["ID", "Type", "User", "Login", "Logout", "TTY", "RemoteHost", "Service"]


def test_whatever_stands_in_the_file(speaking: Speaking) -> None:
    """Control characters, zeros and bytes that are not UTF-8 come as valid JSON, without a zero in any text."""
    with edit(speaking.database) as file:
        file.execute("INSERT INTO wtmp VALUES (9, 3, CAST(x'07ff00e2' AS TEXT), ?, NULL, '\u2028\"\\', CAST(x'c3a4' AS TEXT), '')", (NOON + 9,))
    with speaking.connect() as client:
        client.send("ReadAll")
        row = client.reply()["parameters"]["Data"][0]
    assert row == {
        "ID": 9,
        "Type": 3,
        "User": "\a\\377\\000\\342",
        "Login": NOON + 9,
        "Logout": 0,
        "TTY": '\u2028"\\',
        "RemoteHost": "ä",
        "Service": "",
    }


def test_an_empty_history(speaking: Speaking) -> None:
    """A history that was just moved away and replaced by an empty file reads as empty."""
    assert speaking.call("ReadAll")["Data"]
    speaking.database.rename(speaking.database.with_name("old"))
    speaking.database.with_name("new").touch()
    speaking.database.with_name("new").rename(speaking.database)
    assert speaking.call("ReadAll") == {"Success": True, "Data": []}
    assert speaking.call("Begins") == {"begins": None}


def test_a_history_that_cannot_be_read(still: Speaking) -> None:
    """What is no database is an error with a reason, in the words of the interface."""
    still.database.write_bytes(b"no database" * 100)
    still.start()
    assert still.call("ReadAll")["error"] == "org.openSUSE.wtmpdb.InternalError"
    answer = still.call("Begins")
    assert answer["error"] == "org.wtmpdb.History.Unavailable"
    assert "not a database" in answer["parameters"]["why"]


def test_the_rest(speaking: Speaking) -> None:
    """Ping, GetBootTime, SetLogLevel, GetEnvironment and Rotate answer what there is to say."""
    assert speaking.call("Ping") == {"Alive": True}
    assert abs(speaking.call("GetBootTime")["BootTime"] - System().boot_time()) < SECOND
    assert speaking.call("SetLogLevel", Level=7) == {}
    assert "LISTEN_FDNAMES=poke:varlink" in speaking.call("GetEnvironment")["Environment"]
    assert "cannot rotate" in speaking.call("Rotate", Days=60)["parameters"]["ErrorMsg"]


def test_quit(speaking: Speaking) -> None:
    """Quit, called by root, ends the recorder in good order, also when who called has gone; systemd starts it again."""
    assert speaking.call("Quit", ALICE) == DENIED
    with speaking.connect() as client:
        client.send("Quit")
    assert speaking.process
    assert speaking.process.wait(10) == 0


def test_for_root_only(speaking: Speaking) -> None:
    """What writes, ends or tells of the recorder itself is denied to everybody but root, and nothing is done."""
    assert speaking.call("Login", ALICE, Type=3, User="alice", LoginTime=NOON) == DENIED
    assert speaking.call("Logout", ALICE, ID=2, LogoutTime=NOON) == DENIED
    for method in ("Rotate", "SetLogLevel", "GetEnvironment"):
        assert speaking.call(method, ALICE) == DENIED
    assert [row[1:] for row in table(speaking.database)] == ROWS


# How it speaks


def test_more(still: Speaking) -> None:
    """With more, rows come in replies of a bounded size, the last of which does not continue; Rows is not to be had otherwise."""
    still.start()
    with still.connect() as client:
        for method, field in (("ReadAll", "Data"), ("Rows", "rows")):
            sizes = [len(told[field]) for told in client.replies(method)]
            assert sum(sizes) == MANY
            assert max(sizes) <= 128
        assert client.call("Rows") == {"error": "org.varlink.service.ExpectedMore", "parameters": {}}
        assert len(client.call("ReadAll")["Data"]) == MANY


def test_bounds_and_ties(still: Speaking) -> None:
    """Rows of the same moment come each once, and since and until are inclusive."""
    with edit(still.database) as file:
        file.execute("UPDATE wtmp SET Login = ? WHERE ID % 7 > 1", (NOON + 1000,))
        wanted = [ident for (ident,) in file.execute("SELECT ID FROM wtmp ORDER BY Login DESC, ID DESC")]
        some = [
            ident
            for (ident,) in file.execute("SELECT ID FROM wtmp WHERE Login BETWEEN ? AND ? ORDER BY Login DESC, ID DESC", (NOON + 7, NOON + 1000))
        ]
    still.start()
    with still.connect() as client:
        assert [row["id"] for told in client.replies("Rows") for row in told["rows"]] == wanted
        assert [row["id"] for told in client.replies("Rows", since=NOON + 7, until=NOON + 1000) for row in told["rows"]] == some


def test_several_calls_on_a_connection(speaking: Speaking) -> None:
    """Calls that are sent together are answered one after the other, those that are oneway not at all; upgrade is refused."""
    with speaking.connect() as client:
        client.send("Ping")
        client.send("GetID", {"TTY": "pts/2"}, oneway=True)
        client.send("GetID", {"TTY": "pts/2"})
        client.send("Login", {"Type": 3, "User": "x", "LoginTime": NOON}, oneway=True)
        client.send("Ping", upgrade=True)
        assert [client.reply().get("parameters") for _ in range(3)] == [{"Alive": True}, {"ID": 3}, {"parameter": "upgrade"}]
    assert len(table(speaking.database)) == len(ROWS) + 1


def test_half_closed(speaking: Speaking) -> None:
    """Who has said all and waits for the answer with half a connection gets it."""
    with speaking.connect() as client:
        client.send("ReadAll")
        client.socket.shutdown(socket.SHUT_WR)
        assert len(client.reply()["parameters"]["Data"]) == len(ROWS)
        assert client.is_cut_off()


@pytest.mark.parametrize(
    "message",
    [
        b"{",
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{}",
        b'{"method":7}',
        b'{"method":"a.b","parameters":[]}',
        b'{"method":"a.b","more":1}',
        b'{"method":"org.openSUSE.wtmpdb.Ping","method":"org.openSUSE.wtmpdb.Quit"}',
        b'{"method":"org.openSUSE.wtmpdb.Ping","parameters":{"x":NaN}}',
        b'{"method":"\xff"}',
        b"[" * 15_000,
        b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
        b'{"method":"org.openSUSE.wtmpdb.Logout","parameters":{"ID":' + b"9" * 10_000 + b"}}",
    ],
)
def test_what_is_no_call(speaking: Speaking, message: bytes) -> None:
    """What is no call ends the connection, and nothing else."""
    with speaking.connect() as client:
        client.socket.sendall(message + b"\0")
        assert client.is_cut_off()
    assert speaking.call("Ping") == {"Alive": True}
    assert speaking.said() == ""


def test_a_message_without_end(speaking: Speaking) -> None:
    """A message that becomes too long is not kept, and ends the connection."""
    with speaking.connect(ALICE) as client, pytest.raises(OSError, match=r"pipe|reset"):
        for _ in range(1000):
            client.socket.sendall(b" " * 65_536)
    assert speaking.call("Ping") == {"Alive": True}


# Who may see what


def test_everybody_where_everybody_may_read(speaking: Speaking) -> None:
    """A history that everybody may read is shown to everybody."""
    assert len(speaking.call("ReadAll", ALICE)["Data"]) == len(ROWS)


def test_own_sessions_and_boots(speaking: Speaking) -> None:
    """Of a private history a user sees own sessions and the boots, in each way of asking; root and the group of the file see all."""
    speaking.database.chmod(0o640)
    os.chown(speaking.database, 0, 61_900)
    for uid, groups, seen in (
        (ALICE, (), [4, 2, 1]),
        (BOB, (), [3, 1]),
        (61_003, (), [1]),
        (ALICE, (7, 61_900), [4, 3, 2, 1]),
        (0, (), [4, 3, 2, 1]),
    ):
        assert [row["ID"] for row in speaking.call("ReadAll", uid, *groups)["Data"]] == seen
        with speaking.connect(uid, *groups) as client:
            assert [row["ID"] for told in client.replies("ReadAll") for row in told["Data"]] == seen
            assert [row["id"] for told in client.replies("Rows") for row in told["rows"]] == seen
            opened = [row["id"] for told in client.replies("Rows", which="open") for row in told["rows"]]
            assert opened == [ident for ident in seen if ident != 2]
            assert [row["id"] for told in client.replies("Rows", which="boots") for row in told["rows"]] == [1]
            assert client.call("GetID", TTY="pts/2").get("ID") == (3 if 3 in seen else None)
            assert client.call("Begins") == {"begins": NOON - HOUR}


def test_own_sessions_in_their_order(still: Speaking) -> None:
    """Own sessions and boots come merged by time, however many there are of either."""
    with edit(still.database) as file:
        file.execute("UPDATE wtmp SET User = 'bob' WHERE ID % 3 = 0")
        file.execute("UPDATE wtmp SET Type = 1, User = 'reboot' WHERE ID % 5 = 0")
        wanted = [ident for (ident,) in file.execute("SELECT ID FROM wtmp WHERE Type = 1 OR User = 'bob' ORDER BY Login DESC, ID DESC")]
    still.database.chmod(0o600)
    still.start()
    with still.connect(BOB) as client:
        assert [row["id"] for told in client.replies("Rows") for row in told["rows"]] == wanted
    assert [row["ID"] for row in still.call("ReadAll", BOB)["Data"]] == wanted


@pytest.mark.parametrize(("word", "seen"), [("own", [4, 2, 1]), ("", [4, 2, 1]), ("all", [4, 3, 2, 1]), ("none", None), ("nonsense", None)])
def test_what_others_may_see(speaking: Speaking, word: str, seen: list[int] | None) -> None:
    """The word in the file `private` says what others see; where it is none, or no word that is known, every question is denied."""
    speaking.database.chmod(0o640)
    speaking.database.with_name("private").write_text(word)
    told = speaking.call("ReadAll", ALICE)
    assert (told == DENIED) if seen is None else [row["ID"] for row in told["Data"]] == seen
    if seen is None:
        assert speaking.call("GetID", ALICE, TTY="pts/2") == DENIED
        assert speaking.call("Begins", ALICE) == DENIED
        with speaking.connect(ALICE) as client:
            assert list(client.replies("Rows")) == [DENIED]
            assert list(client.replies("Rows", which="boots")) == [DENIED]


# Nobody is harmed


def rows_of(client: Client) -> Iterator[Any]:
    """Yield all rows, chunk by chunk."""
    return itertools.chain.from_iterable(told["rows"] for told in client.replies("Rows"))


def test_slow_reader(still: Speaking) -> None:
    """A reader that stops in the middle holds no lock, fills no memory, and is cut off after a while; others are answered, logins recorded."""
    with edit(still.database) as file:
        file.execute(
            "INSERT INTO wtmp (Type, User, Login, Logout, RemoteHost) SELECT 3, 'x', Login, Logout, RemoteHost FROM wtmp, (VALUES (1), (2), (3))"
        )
    still.start("from wtmpdb.recorder import varlink; varlink.STUCK, varlink._LOOK = 1.0, 0.1")
    still.call("Ping")
    before = still.memory()
    with still.connect(ALICE) as client:
        client.send("Rows", more=True)
        client.reply()
        with edit(still.database) as file:
            file.execute("PRAGMA busy_timeout = 1000")  # what fits into the socket may still be read
            file.execute("BEGIN EXCLUSIVE")  # which a lock of somebody else would forbid
        assert still.log_in("carol") < 1
        assert still.call("Ping") == {"Alive": True}
        assert still.memory() < before + 3
        time.sleep(1.5)
        assert client.is_cut_off()


def test_idle_and_half(still: Speaking) -> None:
    """Who sends nothing, or half a call, is cut off after a while; who goes on in time is not."""
    still.start("from wtmpdb.recorder import varlink; varlink.IDLE, varlink.HALF, varlink._LOOK = 2.0, 0.5, 0.1")
    begun = time.monotonic()
    with still.connect(ALICE) as idle, still.connect(ALICE) as half, still.connect(ALICE) as busy:
        half.socket.sendall(b'{"method"')
        for _ in range(3):
            time.sleep(0.3)
            assert busy.call("Ping") == {"Alive": True}
        assert half.is_cut_off(0.5)
        assert busy.call("Ping") == {"Alive": True}
        assert idle.is_cut_off(3)
        assert time.monotonic() - begun > 1.9


def test_come_and_gone(tmp_path: Path) -> None:
    """Whoever comes and goes leaves nothing behind: no timer, no connection."""
    loop = Loop()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen(4096)
        varlink = Varlink(loop, os.dup(listening.fileno()), Log.write, database=str(tmp_path / "wtmp.db"))
        left = 300

        def come_and_go() -> None:
            nonlocal left
            left -= 1
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(tmp_path / "socket"))
            loop.after(0.0005, come_and_go if left else loop.stop)

        come_and_go()
        loop.run()
        assert len(loop._timers) <= 2
        assert len(varlink._peers) <= 1
        varlink.close()
        assert varlink._peers == {}
        assert varlink._of_user == {}
    loop.close()


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process open many files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (20_000, max(before[1], 20_000)))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("many_files")
def test_ten_thousand_connections(speaking: Speaking) -> None:
    """Of 10,000 connections of one user 64 stay, the others are turned away with a reason; other users and root are answered, logins recorded."""
    with who_is(ALICE):
        clients = [Client(speaking.address) for _ in range(10_000)]
    poll = select.poll()
    for client in clients:
        poll.register(client.socket, select.POLLIN)
    wait(lambda: len(poll.poll(0)) == 10_000 - 64)
    turned_away = next(client for client in clients[::-1] if client.reply())
    assert turned_away.is_cut_off()
    with speaking.connect(ALICE) as refused:
        assert refused.reply()["parameters"]["ErrorMsg"] == "too many connections"
    assert speaking.call("Ping", BOB) == {"Alive": True}
    assert speaking.call("Ping") == {"Alive": True}
    assert speaking.log_in("carol") < 1
    assert speaking.memory() < 30
    close_all(clients)
    wait(lambda: speaking.call("Ping", ALICE) == {"Alive": True})


def test_many_users(speaking: Speaking) -> None:
    """However many users take all that one may have, the last connections are root's, and who only sits there makes room for others."""
    clients = [speaking.connect(uid) for uid in range(62_000, 62_007) for _ in range(64)]
    wait(lambda: speaking.call("Ping") == {"Alive": True})
    assert clients[0].call("Ping") == {"Alive": True}
    assert speaking.call("Ping", 63_000) == {"Alive": True}
    assert clients[1].is_cut_off()
    assert clients[0].call("Ping") == {"Alive": True}
    close_all(clients)


def test_many_users_who_ask(still: Speaking) -> None:
    """Where all connections of others than root are taken by who waits for an answer, the next is turned away; root is answered."""
    still.start()
    clients = [still.connect(uid) for uid in range(62_000, 62_007) for _ in range(64)]
    for client in clients:
        client.send("ReadAll", more=True)
    wait(lambda: still.call("Ping") == {"Alive": True})
    with still.connect(63_000) as refused:
        assert refused.reply()["parameters"]["ErrorMsg"] == "too many connections"
    close_all(clients)


def test_a_flood(still: Speaking) -> None:
    """While one user asks without end on all connections, another is answered, and logins are rows as soon as otherwise."""
    still.start()
    still.call("Ping")
    alone = sorted(still.log_in("carol") for _ in range(20))[10]
    pid = os.fork()
    if pid == 0:
        try:
            flood(still.address)
        finally:
            os._exit(1)
    try:
        time.sleep(0.5)
        meanwhile = sorted(still.log_in("carol") for _ in range(20))[10]
        begun = time.monotonic()
        assert still.call("Ping", BOB) == {"Alive": True}
        assert time.monotonic() - begun < 1
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    assert meanwhile < alone + 0.03


def flood(address: str) -> None:
    """Ask for everything on 64 connections as long as one lives, and throw the answers away."""
    os.setgid(ALICE)
    os.setuid(ALICE)
    poll = select.epoll()
    clients = {}
    call = json.dumps({"method": "org.wtmpdb.History.Rows", "parameters": {}, "more": True}).encode() + b"\0"
    for _ in range(64):
        client = socket.socket(socket.AF_UNIX)
        client.connect(address)
        client.send(call * 10)
        clients[client.fileno()] = client
        poll.register(client.fileno(), select.EPOLLIN)
    while True:
        for fd, _ in poll.poll():
            got = clients[fd].recv(1 << 20)
            clients[fd].setblocking(False)
            if got.endswith(b"}\0") and b"continues" not in got[-12:]:
                try:
                    clients[fd].send(call)
                except BlockingIOError:
                    pass


def test_a_lock(still: Speaking) -> None:
    """While somebody has locked the file, questions that need no file are answered; the others are once it is free, and nothing is lost."""
    still.start()
    still.call("Ping")
    with sqlite3.connect(still.database, isolation_level=None) as other, still.connect(ALICE) as reading, still.connect() as writing:
        other.execute("BEGIN EXCLUSIVE")
        reading.send("Begins")
        reading.send("ReadAll")
        writing.send("Login", {"Type": 3, "User": "x", "LoginTime": NOON})
        writing.send("Logout", {"ID": MANY + 1, "LogoutTime": NOON + 1})
        for _ in range(5):
            assert still.call("Ping", BOB) == {"Alive": True}
        other.execute("COMMIT")
        assert writing.reply() == {"parameters": {"ID": MANY + 1}}
        assert writing.reply() == {"parameters": {"Success": True}}
        assert reading.reply() == {"parameters": {"begins": NOON}}
        assert len(reading.reply()["parameters"]["Data"]) == MANY + 1
    other.close()


def test_a_lock_for_long(still: Speaking) -> None:
    """When the file stays locked, the answer is an error after a while."""
    still.start("from wtmpdb.recorder import reading; reading._PATIENCE = 0.3")
    still.call("Ping")
    with sqlite3.connect(still.database, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "locked" in still.call("Begins")["parameters"]["why"]
        assert "locked" in still.call("ReadAll")["parameters"]["ErrorMsg"]
    other.close()


def test_a_directory_service_that_hangs(still: Speaking) -> None:
    """While the system cannot say the name of a user, only that user waits, and in vain no longer than others that are stuck."""
    still.database.chmod(0o640)
    still.start(
        "import time; pwd.getpwuid = lambda uid, known=pwd.getpwuid: time.sleep(60) if uid == 61001 else known(uid)\n"
        "from wtmpdb.recorder import varlink; varlink.STUCK, varlink._LOOK = 1.0, 0.1"
    )
    with still.connect(ALICE) as client:
        client.send("ReadAll")
        assert still.call("ReadAll", BOB)["Data"] == []
        assert len(still.call("ReadAll")["Data"]) == MANY
        assert still.log_in("carol") < 1
        assert client.is_cut_off()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.binary(max_size=60) | st.sampled_from([b"\0", b"{", b'{"method":"', b"org.openSUSE.wtmpdb.ReadAll", b'"}', b'","more":true}', b"[" * 999])
    )
)
def test_anything_in_any_pieces(speaking: Speaking, pieces: list[bytes]) -> None:
    """Whatever is sent, in whatever pieces, the recorder goes on and has nothing to say of it."""
    with speaking.connect(ALICE) as client, suppress(OSError):
        for piece in pieces:
            client.socket.sendall(piece)
    assert speaking.call("Ping") == {"Alive": True}
    assert speaking.said() == ""


def test_too_large_for_a_message(still: Speaking) -> None:
    """A history that would make a message longer than clients read is refused, with the advice to ask for more."""
    still.start("from wtmpdb.recorder import interfaces; interfaces.LARGEST_REPLY = 100_000")
    answer = still.call("ReadAll")
    assert answer["error"] == "org.openSUSE.wtmpdb.InternalError"
    assert "ask for more" in answer["parameters"]["ErrorMsg"]
    with still.connect() as client:
        assert sum(len(told["Data"]) for told in client.replies("ReadAll")) == MANY


def test_large_without_indexes(still: Speaking) -> None:
    """A large file without our indexes, in which each step would take long, is not read."""
    with edit(still.database) as file:
        file.execute("DROP INDEX wtmp_login")
    still.start("from wtmpdb.recorder import reading; reading.INDEX_AT_ONCE = 1000")
    assert "no indexes" in still.call("Begins")["parameters"]["why"]


def test_a_mistake_of_ours(still: Speaking) -> None:
    """An answer that fails for a reason nobody thought of ends that connection, with a word in the log, and no more."""
    still.start("from wtmpdb.recorder import interfaces; interfaces.Interfaces._ping = lambda *_: 1 // 0")
    with still.connect() as client:
        client.send("Ping")
        assert client.is_cut_off()
    assert "an answer failed: ZeroDivisionError" in still.said()
    assert still.call("GetBootTime")["Success"]


def test_loaded_when_somebody_comes(still: Speaking) -> None:
    """What speaking needs is loaded once somebody connects."""
    loaded = "print({'json', 'wtmpdb.recorder.calls'} & sys.modules.keys(), file=sys.stderr, flush=True)"
    still.start(f"from wtmpdb.recorder import loop\nloop.Loop.run = lambda self: {loaded}")
    assert still.process
    assert still.process.wait(10) == 0
    assert still.said() == "set()\n"
