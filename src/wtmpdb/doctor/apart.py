# SPDX-License-Identifier: BSD-2-Clause
"""Apart: doing what may crash, hang or change the process (loading a library, opening a session) in a child process."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PIECE = 65_536
_PATIENCE = 1.0  # seconds for a process that was killed to be gone


class ApartError(Exception):
    """The child process failed, hung or died; the message says which."""


class Apart:
    """A function that runs in a child process with no terminal, no input and an empty environment; ``pid`` is the id of that process."""

    def __init__(self, function: Callable[[], object]) -> None:
        """Start it. It must return what JSON can hold."""
        self._reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _run(function, writer)
        os.close(writer)

    def result(self, seconds: float) -> Any:
        """Return what the function returned; raises ApartError, after ``seconds`` at the latest."""
        try:
            line = self._line(time.monotonic() + seconds)
        finally:
            os.close(self._reader)
            died = self._end()
        if line is None:
            raise ApartError(f"did not end within {seconds:.0f} s")
        if not line.endswith(b"\n"):
            raise ApartError(f"was killed by {signal.Signals(died).name}" if died else "ended without a word")
        answer = json.loads(line)
        if "failed" in answer:
            raise ApartError(str(answer["failed"]))
        return answer["result"]

    def _line(self, deadline: float) -> bytes | None:
        """Read up to a newline or the end, which a grandchild that holds the pipe may keep from coming; None when it comes too late."""
        text = b""
        while not text.endswith(b"\n"):
            if not select.select([self._reader], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            piece = os.read(self._reader, _PIECE)
            if not piece:
                break
            text += piece
        return text

    def _end(self) -> int:
        """Make sure that the process has gone; return the signal that it died of, or 0."""
        deadline = time.monotonic() + _PATIENCE
        done, status = 0, 0
        while not done and time.monotonic() < deadline:  # it has said its word: it ends by itself
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if not done:
                if deadline - time.monotonic() < _PATIENCE * 0.9:
                    self._kill()
                time.sleep(0.005)
        return os.WTERMSIG(status) if done and os.WIFSIGNALED(status) else 0

    def _kill(self) -> None:
        for kill in (os.killpg, os.kill):
            with suppress(ProcessLookupError, PermissionError):
                kill(self.pid, signal.SIGKILL)


def _run(function: Callable[[], object], writer: int) -> None:
    """Be the child; does not return."""
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        os.environ.clear()
        os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
        answer: dict[str, object] = {"result": function()}
    except BaseException as error:  # noqa: BLE001 - the parent tells it
        answer = {"failed": f"{error}" or type(error).__name__}
    try:
        with open(writer, "wb") as pipe:
            pipe.write(json.dumps(answer).encode() + b"\n")
    finally:
        os._exit(0)
