# SPDX-License-Identifier: BSD-2-Clause
"""sessions.py one|many|moment SERVICE [NUMBER…]: opens sessions through libpam, and prints what came of it as JSON.

Run by bench_recorder.py inside a tree, with the tree's own Python. ``one`` NUMBER: one after the other, with a pause; ``many`` WORKERS NUMBER: so
many by each of so many processes, opened and closed; ``moment`` NUMBER: so many processes, each of which opens one, all at the same moment.
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


def log_in(service: str, *, stay: bool = False) -> tuple[float, bool]:
    """Open a session, and close it unless it is to stay; return the seconds of the opening, and whether libpam was content."""
    handle = ctypes.c_void_p()
    if pam.pam_start(service.encode(), b"root", ctypes.byref(CONVERSATION), ctypes.byref(handle)):
        raise RuntimeError(f"pam_start {service}")
    pam.pam_set_item(handle, _TTY, b"/dev/pts/3")
    pam.pam_set_item(handle, _RHOST, b"192.0.2.7")
    begun = time.perf_counter()
    code = pam.pam_open_session(handle, 0)
    lasted = time.perf_counter() - begun
    if not stay:
        code |= pam.pam_close_session(handle, 0)
    pam.pam_end(handle, 0)
    return lasted, code == 0


def one(service: str, number: int) -> list[float]:
    """Log in one after the other."""
    seconds = []
    for _ in range(number):
        seconds.append(log_in(service, stay=True)[0])
        time.sleep(PAUSE)
    return seconds


def many(service: str, workers: int, number: int) -> dict[str, float]:
    """Log in as fast as it goes."""
    begun = time.time()
    failed = 0
    children = [_child(lambda: sum(not log_in(service)[1] for _ in range(number))) for _ in range(workers)]
    for pid, answer in children:
        failed += int(struct.unpack("d", os.read(answer, 8))[0])
        os.waitpid(pid, 0)
    return {"begun": begun, "ended": time.time(), "failed": failed}


def moment(service: str, number: int) -> dict[str, float]:
    """Log in at the same moment."""
    waiting, go = os.pipe()

    def wait_and_log_in() -> float:
        os.close(go)
        os.read(waiting, 1)
        return log_in(service, stay=True)[0]

    children = [_child(wait_and_log_in) for _ in range(number)]
    time.sleep(1)
    begun = time.time()
    os.close(go)
    seconds = [struct.unpack("d", os.read(answer, 8))[0] for _, answer in children]
    ended = time.time()
    for pid, _ in children:
        os.waitpid(pid, 0)
    return {"begun": begun, "ended": ended, "slowest": max(seconds)}


def _child(work: Callable[[], float]) -> tuple[int, int]:
    """Do some work in a process of its own; return it, and where its number will come."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, struct.pack("d", work()))
        os._exit(0)
    os.close(writing)
    return pid, reading


if __name__ == "__main__":
    what, service, *numbers = sys.argv[1:]
    ways: dict[str, Callable[..., object]] = {"one": one, "many": many, "moment": moment}
    json.dump(ways[what](service, *map(int, numbers)), sys.stdout)
