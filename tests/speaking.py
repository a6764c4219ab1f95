# SPDX-License-Identifier: BSD-2-Clause
"""The resident recorder in a process of its own, as systemd starts it, and who speaks to its socket."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from support import make_spool, opened, post, table

if TYPE_CHECKING:
    from collections.abc import Iterator

ALICE, BOB = 61_001, 61_002  # uids that no machine has given away

# The sockets are descriptors 3 and 4, and the variables name the process. Users whom only the tests know have names all the same.
_START = """
import os, pwd, sys
for place, fd in enumerate(sys.argv[3:5]):
    os.dup2(int(fd), 3 + place)
os.environ |= dict(LISTEN_FDS="2", LISTEN_FDNAMES="poke:varlink", LISTEN_PID=str(os.getpid()))
class Known:
    def __init__(self, name): self.pw_name = name
def known(uid):
    return Known(dict([(61001, "alice"), (61002, "bob")])[uid])
pwd.getpwuid = known
exec(sys.argv[5])
from wtmpdb.__main__ import main
sys.exit(main(["wtmpdb", "recorder", "--resident", "--file", sys.argv[1], "--spool", sys.argv[2]]))
"""


class Speaking:
    """The recorder. ``place`` is where its files are; others have to be able to get there."""

    def __init__(self, place: Path) -> None:
        place.chmod(0o755)
        self.spool = make_spool(place / "spool")
        self.database = place / "wtmp.db"
        self.address = str(place / "socket")
        self.said_to = place / "stderr"
        self.poked = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.poked.bind(str(place / "poke"))
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(self.address)
        self.listening.listen(4096)
        Path(self.address).chmod(0o666)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, change: str = "") -> None:
        """Start it, with some code that changes what it waits for."""
        fds = [self.poked.fileno(), self.listening.fileno()]
        command = [sys.executable, "-c", _START, str(self.database), str(self.spool), *map(str, fds), change]
        with self.said_to.open("ab") as stderr:
            self.process = subprocess.Popen(command, pass_fds=fds, stderr=stderr)

    def said(self) -> str:
        """Return what it has said in the log."""
        return self.said_to.read_text()

    def close(self) -> None:
        """Kill it, and close the sockets."""
        if self.process:
            self.process.kill()
            self.process.wait()
        self.poked.close()
        self.listening.close()

    def memory(self) -> float:
        """Return its resident memory in MB."""
        assert self.process
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024 / 1e6

    def log_in(self, user: str) -> float:
        """Leave a letter and poke; return how many seconds it took until the row was there."""
        before = len(table(self.database))
        begun = time.monotonic()
        post(self.spool, opened(user, time.time_ns() // 1000))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"\n", self.poked.getsockname())
        while len(table(self.database)) == before:
            assert time.monotonic() - begun < 10
            time.sleep(0.0005)
        return time.monotonic() - begun

    # Who speaks to it

    def connect(self, uid: int = 0, *groups: int) -> Client:
        """Connect as a user, who is in these groups besides."""
        with who_is(uid, *groups):
            return Client(self.address)

    def call(self, method: str, uid: int = 0, /, *groups: int, **parameters: object) -> dict[str, Any]:
        """Call a method, given by its name without the interface, and return the parameters of its reply, or the error."""
        with self.connect(uid, *groups) as client:
            return client.call(method, **parameters)


@contextmanager
def who_is(uid: int, *groups: int) -> Iterator[None]:
    """Be another user for a while, as far as the kernel is concerned."""
    before = os.getgroups()
    if uid:
        os.setgroups(groups)
        os.setegid(uid)
        os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


class Client:
    """A connection."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(address)  # without a time-out, which makes a long queue an error
        self.socket.settimeout(20)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, method: str, parameters: dict[str, object] | None = None, **flags: bool) -> None:
        """Send a call."""
        interface = next(name for name, methods in METHODS.items() if method in methods)
        self.socket.sendall(json.dumps({"method": f"{interface}.{method}", "parameters": parameters or {}, **flags}).encode() + b"\0")

    def reply(self) -> dict[str, Any]:
        """Return the next reply."""
        while b"\0" not in self._buffer:
            got = self.socket.recv(1 << 20)
            assert got, "the connection was ended"
            self._buffer += got
        message, _, self._buffer = self._buffer.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        return told

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Call a method; return the parameters of its reply, or the whole of an error."""
        self.send(method, parameters)
        told = self.reply()
        return told if "error" in told else told["parameters"]

    def replies(self, method: str, **parameters: object) -> Iterator[dict[str, Any]]:
        """Call a method with more; yield what comes, as above."""
        self.send(method, parameters, more=True)
        while True:
            told = self.reply()
            yield told if "error" in told else told["parameters"]
            if not told.get("continues"):
                return

    def is_cut_off(self, seconds: float = 5.0) -> bool:
        """Tell whether the other side closes the connection within some seconds; what it sends before is thrown away."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True


METHODS = {
    "org.varlink.service": ("GetInfo", "GetInterfaceDescription"),
    "org.openSUSE.wtmpdb": (
        *("Login", "Logout", "GetID", "GetBootTime", "ReadAll", "Rotate", "Quit", "Ping", "SetLogLevel", "GetEnvironment"),
        "Nothing",
    ),
    "org.wtmpdb.History": ("Rows", "Begins"),
    "org.example": ("Unknown",),
}


def wait(found: Any, seconds: float = 10.0) -> None:
    """Wait until a function says yes."""
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def close_all(clients: list[Client]) -> None:
    """Close many connections."""
    for client in clients:
        with suppress(OSError):
            client.socket.close()
