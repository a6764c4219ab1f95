# SPDX-License-Identifier: BSD-2-Clause
"""The resident recorder: one process, one thread, one connection. A letter is a row milliseconds after the PAM module's poke.

Other parts live in the same loop (`Part`): they are told of each batch, and get the history from `Server.log`. Nothing here waits: a lock of
somebody else's is tried for again by a timer, and much work is done a batch at a turn of the loop.

While nothing is taken no lock is held, neither on the spool nor on the history: whoever else empties the spool, or writes the file, may do so. The
path of the history is looked at before each pass: another file there (logrotate) is the history from then on.
"""

from __future__ import annotations

import os
import signal
from time import monotonic, sleep

from wtmpdb.errors import LogError, WtmpdbError, complain
from wtmpdb.recorder import failures, pulse
from wtmpdb.recorder.drain import Drain
from wtmpdb.recorder.loop import READ, Loop
from wtmpdb.recorder.service import VARLINK, pokes, quiet, settle_version
from wtmpdb.recorder.systemd import handed_over, is_a_service, notify, watchdog
from wtmpdb.recorder.terminals import Terminals
from wtmpdb.recorder.varlink import Varlink
from wtmpdb.spool import SPOOL, waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from wtmpdb.event import Event
    from wtmpdb.log import Log
    from wtmpdb.recorder.drain import Drained
    from wtmpdb.system import System

    class Part(Protocol):
        """Something that lives in the loop of the recorder, beside what moves letters.

        It is not told of letters that somebody else took (root's `last`, `wtmpdb recorder --once`), nor of those from before a restart.
        """

        def applied(self, events: list[Event], log: Log) -> None:
            """Learn of a batch: its events were committed and their letters are gone. May write; LogError is said in the log and goes no further."""

        def close(self) -> None:
            """End with the recorder."""


EVERY = 2.0
"""Seconds between two looks into the spool without a poke."""

PATIENCE = 0.05
"""Seconds for which a lock on the history holds up the loop; after that it is tried again by a timer."""

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
"""Seconds between two tries while letters cannot be taken: the pause doubles."""

LONGEST_START = 10.0
"""Seconds for which the bringing up to date of an older history is waited for: logins wait for the start of the recorder."""

ANEW = 60.0
"""Seconds after which a recorder that cannot write because a file system is read-only ends, for systemd to start it again: to a service that was
started while it was, it stays read-only in its own view of the mounts, whatever becomes of it."""

_LOOK_AGAIN = 0.01

QUIET = 1.0
"""Seconds for which trouble is not worth a word: another drain, a lock that somebody holds for a moment."""


class Server:
    """Moves letters as they come. ``parts`` are told of each batch."""

    def __init__(
        self, loop: Loop, database: str | None = None, spool: str = SPOOL, *, system: System | None = None, owner: int = 0, every: float = EVERY
    ) -> None:
        """Begin with nothing; see `start`."""
        self.loop = loop
        self.parts: list[Part] = []
        self._drain = Drain(database, spool, timeout=PATIENCE, system=system, owner=owner)
        self._every = every
        self._batches: Iterator[tuple[list[Event], Drained]] | None = None
        self._poked = False  # since the pass that goes on began
        self._waits = False  # for better times
        self._trouble: Trouble | None = None

    def log(self) -> Log:
        """Return the history, open for writing. Raises LogError. Not to be kept: it may be another one at the next turn."""
        return self._drain.log()

    def listen(self, fd: int) -> None:
        """Look into the spool whenever a datagram comes on a socket, from which reading does not wait."""
        self.loop.watch(fd, READ, lambda _: self._read(fd))

    def start(self) -> None:
        """Take what waits, and go on looking."""
        self.look()
        self.loop.after(self._every, self._look_again)

    def look(self) -> None:
        """Take what waits, unless that goes on already or has to wait for better times."""
        self._poked = True
        if self._batches is None and not self._waits:
            self._begin()

    def _begin(self) -> None:
        self._poked = False
        self._batches = self._drain.batches()
        self._step()

    def close(self) -> None:
        """Take what has come last, and close everything."""
        try:
            for events, drained in self._batches or self._drain.batches():
                self._tell(events, drained)
        except WtmpdbError as error:
            complain(f"wtmpdb recorder: letters wait for the next start: {error}", error.hint)
        for part in self.parts:
            part.close()
        self._drain.close()

    def _read(self, fd: int) -> None:
        quiet(fd)
        self.look()

    def _look_again(self) -> None:
        self.loop.after(self._every, self._look_again)
        if waiting(self._drain.spool):
            self.look()

    def _step(self) -> None:
        """Take one batch; the next one has its turn after everybody else."""
        try:
            done = next(self._batches or iter(()), None)
        except WtmpdbError as error:
            self._batches, self._waits = None, True
            self._trouble = self._trouble or Trouble()
            if self._trouble.lasts(ANEW) and is_a_service() and self._is_read_only():
                complain("wtmpdb recorder: a file system is read-only: beginning anew, to see whether it still is")
                self.loop.stop()
                return
            self.loop.after(self._trouble.meet(error), self._try_again)
            return
        if self._trouble:
            self._trouble.end()
            self._trouble = None
        if done is not None:
            self._tell(*done)
            self.loop.soon(self._step)
            return
        self._batches = None
        if self._poked:  # what came after the names were read
            self._begin()

    def _is_read_only(self) -> bool:
        """Tell whether history or spool lie on a file system that cannot be written to, as we see it."""
        places = os.path.dirname(os.path.realpath(self._drain.database)), self._drain.spool
        return any(os.statvfs(place).f_flag & os.ST_RDONLY for place in places if os.path.exists(place))

    def _try_again(self) -> None:
        self._waits = False
        self.look()

    def _tell(self, events: list[Event], drained: Drained) -> None:
        if drained.known or drained.broken or drained.unmatched:
            complain(f"wtmpdb recorder: {drained}")
        for part in self.parts:
            try:
                part.applied(events, self.log())
            except LogError as error:
                complain(f"wtmpdb recorder: {error}", error.hint)


class Trouble:
    """A time in which letters cannot be taken. Why is said once, when it lasts, and that it is over."""

    def __init__(self) -> None:
        """Begin now."""
        self._pause = FIRST_PAUSE
        self._since = monotonic()
        self._said: set[str] = set()

    def lasts(self, seconds: float) -> bool:
        """Tell whether it has lasted for so long."""
        return monotonic() - self._since >= seconds

    def meet(self, error: WtmpdbError) -> float:
        """Say it when it is time to; return how many seconds to wait before the next try."""
        if self.lasts(QUIET) and str(error) not in self._said:
            self._said.add(str(error))
            complain(f"wtmpdb recorder: {error}: letters wait in the spool", error.hint)
        pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
        return pause

    def end(self) -> None:
        """Say that letters are taken again, if it was said that they are not."""
        if self._said:
            complain("wtmpdb recorder: letters are taken again")


def serve(database: str | None = None, spool: str = SPOOL) -> int:
    """Be the resident recorder until SIGTERM; return an exit code."""
    loop = Loop()
    signal.set_wakeup_fd(loop.wakeup())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stop())
    _in_a_child(lambda: settle_version(database))
    server = Server(loop, database, spool)
    for fd in pokes():
        server.listen(fd)
    server.parts.append(Terminals(loop, server.log))
    server.parts += [Varlink(loop, fd, server.log, database=database) for fd in handed_over().get(VARLINK, [])]
    server.start()
    server.parts += [failures.Part(loop, spool), pulse.Part(loop, spool)]
    notify("READY=1")
    _show_life(loop)
    loop.run()
    notify("STOPPING=1")
    server.close()
    loop.close()
    return 0


def _show_life(loop: Loop) -> None:
    patience = watchdog()
    if patience is not None:
        notify("WATCHDOG=1")
        loop.after(patience / 2, lambda: _show_life(loop))


def _in_a_child(work: Callable[[], object]) -> None:
    """Do some work in a process of its own, whose imports do not stay, and wait for it; if it takes long it goes on beside us."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    deadline = monotonic() + LONGEST_START
    while monotonic() < deadline and not os.waitpid(child, os.WNOHANG)[0]:
        sleep(_LOOK_AGAIN)
