# SPDX-License-Identifier: BSD-2-Clause
"""sessions.py one|many|moment SERVICE NUMBER…: opens sessions through libpam, and prints what came of it as JSON.

Run by bench_recorder.py inside a tree, with the tree's own Python. ``one`` NUMBER: one after the other, with a pause; ``many`` WORKERS NUMBER: so
many by each of so many processes, opened and closed; ``moment`` NUMBER: so many processes, each of which opens one, all at the same moment. All have
loaded the modules before they open a session, as sshd has.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE = 0.02
_TTY, _RHOST, _CONV_ERR = 3, 4, 19  # <security/_pam_types.h>

pam = ctypes.CDLL("libpam.so.0")


class Conversation(ctypes.Structure):
    """A pam_conv that nobody calls."""

    _fields_ = (("call", ctypes.c_void_p), ("data", ctypes.c_void_p))


_refuse = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(lambda *_: _CONV_ERR)
CONVERSATION = Conversation(ctypes.cast(_refuse, ctypes.c_void_p), None)


class Login:
    """What a program such as sshd has when it has let somebody in: a handle of libpam, all modules loaded."""

    def __init__(self, service: str) -> None:
        """Get so far."""
        self._handle = ctypes.c_void_p()
        if pam.pam_start(service.encode(), b"root", ctypes.byref(CONVERSATION), ctypes.byref(self._handle)):
            raise RuntimeError(f"pam_start {service}")
        pam.pam_set_item(self._handle, _TTY, b"/dev/pts/3")
        pam.pam_set_item(self._handle, _RHOST, b"192.0.2.7")
        pam.pam_acct_mgmt(self._handle, 0)  # loads the modules, whatever it says

    def open(self) -> float:
        """Open the session; return the seconds that it took."""
        begun = time.perf_counter()
        if pam.pam_open_session(self._handle, 0):
            raise RuntimeError("pam_open_session")
        return time.perf_counter() - begun

    def close(self) -> None:
        """Close the session."""
        if pam.pam_close_session(self._handle, 0):
            raise RuntimeError("pam_close_session")
        self.end()

    def end(self) -> None:
        """End without closing the session."""
        pam.pam_end(self._handle, 0)


def one(service: str, number: int) -> list[float]:
    """Log in one after the other."""
    seconds = []
    for _ in range(number):
        login = Login(service)
        seconds.append(login.open())
        login.end()
        time.sleep(PAUSE)
    return seconds


def many(service: str, workers: int, number: int) -> dict[str, float]:
    """Log in as fast as it goes."""
    begun = time.time()
    children = [_child(lambda: sum(_refused(service) for _ in range(number))) for _ in range(workers)]
    failed = sum(_answer(child) for child in children)
    return {"begun": begun, "ended": time.time(), "failed": failed}


def _refused(service: str) -> bool:
    """Log in and out; tell whether PAM refused it."""
    login = Login(service)
    try:
        login.open()
        login.close()
    except RuntimeError:
        return True
    return False


def moment(service: str, number: int) -> dict[str, float]:
    """Log in at the same moment."""
    waiting, go = os.pipe()

    def wait_and_log_in() -> float:
        os.close(go)
        login = Login(service)
        os.read(waiting, 1)
        return login.open()

    children = [_child(wait_and_log_in) for _ in range(number)]
    time.sleep(3)
    begun = time.time()
    os.close(go)
    slowest = max(_answer(child) for child in children)
    return {"begun": begun, "slowest": slowest}


def _child(work: Callable[[], float]) -> tuple[int, int]:
    """Do some work in a process of its own; return it, and where its number will come."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, struct.pack("d", work()))
        os._exit(0)
    os.close(writing)
    return pid, reading


def _answer(child: tuple[int, int]) -> float:
    """Wait for its number, and for its end."""
    pid, reading = child
    number: float = struct.unpack("d", os.read(reading, 8))[0]
    os.close(reading)
    os.waitpid(pid, 0)
    return number


if __name__ == "__main__":
    what, service, *numbers = sys.argv[1:]
    ways: dict[str, Callable[..., object]] = {"one": one, "many": many, "moment": moment}
    json.dump(ways[what](service, *map(int, numbers)), sys.stdout)
