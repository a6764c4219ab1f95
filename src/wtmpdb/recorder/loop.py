# SPDX-License-Identifier: BSD-2-Clause
"""Loop: one thread that waits for file descriptors and for moments, and calls what was asked for. Standard library's epoll, nothing else.

Whatever is called has to return soon, in milliseconds: while it works, everybody else waits. Long work is cut into pieces, each of which asks for
the next (`Loop.soon`).
"""

from __future__ import annotations

import os
import select
from heapq import heappop, heappush
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
"""What a descriptor is watched for. That the other side has gone (EPOLLHUP, EPOLLERR) is told always."""

_NEVER = -1


class Timer:
    """A moment at which something is called, unless it is cancelled before."""

    __slots__ = ("_call", "when")

    def __init__(self, when: float, call: Callable[[], object]) -> None:
        """Not to be called directly: see `Loop.at`."""
        self.when = when
        self._call: Callable[[], object] | None = call

    def __lt__(self, other: Timer) -> bool:
        """Tell which of two comes first."""
        return self.when < other.when

    def cancel(self) -> None:
        """Do not call it; also after it was called."""
        self._call = None

    def fire(self) -> None:
        """Call it, once."""
        call, self._call = self._call, None
        if call:
            call()


class Loop:
    """The loop. Times are seconds of time.monotonic, which a change of the clock does not touch."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._poll = select.epoll()
        self._calls: dict[int, Callable[[int], object]] = {}
        self._timers: list[Timer] = []
        self._goes_on = True

    def watch(self, fd: int, events: int, call: Callable[[int], object]) -> None:
        """Call ``call`` with the events that happened at a descriptor, each time some do, until `forget`."""
        self._poll.register(fd, events)
        self._calls[fd] = call

    def change(self, fd: int, events: int) -> None:
        """Watch a descriptor for other events; for none (0) only its end is told."""
        self._poll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Watch a descriptor no longer; to be called before it is closed. Unknown ones are passed over."""
        if self._calls.pop(fd, None):
            self._poll.unregister(fd)

    def at(self, when: float, call: Callable[[], object]) -> Timer:
        """Call something at a moment, or as soon as possible after it."""
        timer = Timer(when, call)
        heappush(self._timers, timer)
        return timer

    def after(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Call something in some seconds."""
        return self.at(monotonic() + seconds, call)

    def soon(self, call: Callable[[], object]) -> Timer:
        """Call something once whatever waits now has had its turn."""
        return self.after(0.0, call)

    def stop(self) -> None:
        """Let `run` return after the present turn."""
        self._goes_on = False

    def run(self) -> None:
        """Wait and call, until `stop`."""
        while self._goes_on:
            for fd, events in self._poll.poll(self._patience()):
                call = self._calls.get(fd)  # what was called before may have forgotten it
                if call:
                    call(events)
            self._fire()

    def close(self) -> None:
        """Give back what the loop itself has opened."""
        self._poll.close()

    def wakeup(self) -> int:
        """Return the writing end of a pipe that wakes the loop, for signal.set_wakeup_fd; made once, it stays open as long as the process."""
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.watch(reading, READ, lambda _: _drop(reading))
        return writing

    def _patience(self) -> float:
        return max(self._timers[0].when - monotonic(), 0.0) if self._timers else _NEVER

    def _fire(self) -> None:
        now = monotonic()
        due = []
        while self._timers and self._timers[0].when <= now:
            due.append(heappop(self._timers))
        for timer in due:
            timer.fire()


def _drop(fd: int) -> None:
    try:
        while os.read(fd, 512):
            pass
    except BlockingIOError:
        pass
