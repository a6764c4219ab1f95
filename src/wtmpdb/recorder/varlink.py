# SPDX-License-Identifier: BSD-2-Clause
"""The recorder's varlink service: strangers connect to its socket, and whatever they do, logins are recorded as if they were not there.

Work is done a piece at a time, one piece for each turn of the loop, so that letters never wait for more than a piece. Users take turns, then the
connections of a user. A piece is made when the one before is on its way: nothing is kept for who does not read. Connections are limited, for each
user and in all; the last ones are root's. Who is idle, sends half a call or stops reading is cut off after a while.
"""

from __future__ import annotations

from time import monotonic

from wtmpdb.errors import LogError, complain
from wtmpdb.log import DATABASE
from wtmpdb.recorder.loop import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable, Iterator

    from wtmpdb.event import Event
    from wtmpdb.log import Log
    from wtmpdb.recorder.caller import Caller
    from wtmpdb.recorder.interfaces import Interfaces
    from wtmpdb.recorder.loop import Loop
    from wtmpdb.recorder.reading import Reader
    from wtmpdb.system import System

MOST, MOST_OF_A_USER, ROOTS = 512, 64, 64
"""Connections: in all, of one user other than root, and how many of all only root can have."""

IDLE, HALF, STUCK = 60.0, 10.0, 30.0
"""Seconds: without a call, for a call that has begun to be whole, and without taking anything of an answer."""

_AT_ONCE = 64
_LOOK = 2.0
_LATER = 0.01
_PAUSE = 0.2
_SEND_BUFFER = 65_536


class Varlink:
    """Serves the listening socket ``fd``; a part of the recorder's server."""

    def __init__(self, loop: Loop, fd: int, log: Callable[[], Log], *, database: str | None = None, system: System | None = None) -> None:
        """Listen. ``log`` returns the history, open for writing; ``database`` is where it is read."""
        self._loop = loop
        self._fd = fd
        self._log = log
        self._database = DATABASE if database is None else database
        self._system = system
        self._listening: socket | None = None
        self._interfaces: Interfaces | None = None
        self._reader: Reader | None = None
        self._peers: dict[int, _Peer] = {}
        self._of_user: dict[int, int] = {}
        self._turns: dict[int, list[_Peer]] = {}
        self._looks = False  # after who does nothing
        loop.watch(fd, READ, self._accept)

    def applied(self, events: list[Event], log: Log) -> None:
        """Learn of a batch of letters; nothing follows from it."""

    def close(self) -> None:
        """Cut everybody off."""
        for peer in [*self._peers.values()]:
            self._drop(peer)
        self._loop.forget(self._fd)
        if self._listening:
            self._listening.close()

    # Connections

    def _accept(self, _: int) -> None:
        if self._listening is None:
            self._begin()
        assert self._listening  # noqa: S101 - for the type checker: _begin has made it
        for _ in range(_AT_ONCE):
            try:
                fd, _ = self._listening._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - what the module socket calls, which takes a megabyte
            except (BlockingIOError, ConnectionError, InterruptedError):
                return
            except OSError as error:  # no more descriptors: who waits goes on waiting
                complain(f"wtmpdb recorder: {error.strerror}: nobody can connect for a moment")
                self._loop.forget(self._fd)
                self._loop.after(_PAUSE, lambda: self._loop.watch(self._fd, READ, self._accept))
                return
            self._greet(fd)

    def _begin(self) -> None:
        """Load what is needed once somebody connects."""
        from _socket import socket  # noqa: PLC0415

        from wtmpdb.recorder.access import Names  # noqa: PLC0415
        from wtmpdb.recorder.interfaces import Interfaces  # noqa: PLC0415
        from wtmpdb.recorder.reading import Reader  # noqa: PLC0415
        from wtmpdb.system import System  # noqa: PLC0415

        self._listening = socket(fileno=self._fd)
        self._listening.setblocking(False)  # noqa: FBT003 - the standard library's own order
        self._reader = Reader(self._database)
        self._interfaces = Interfaces(self._reader, self._log, self._system or System(), Names(), self._loop.stop)

    def _greet(self, fd: int) -> None:
        from _socket import SO_SNDBUF, SOL_SOCKET, socket  # noqa: PLC0415

        from wtmpdb.recorder.caller import Caller  # noqa: PLC0415

        connection = socket(fileno=fd)
        connection.setblocking(False)  # noqa: FBT003 - the standard library's own order
        try:
            connection.setsockopt(SOL_SOCKET, SO_SNDBUF, _SEND_BUFFER)
            caller = Caller.of(connection)
        except OSError:
            connection.close()  # gone already
            return
        uid = caller.uid
        number = self._of_user.get(uid, 0)
        if uid != 0 and number < MOST_OF_A_USER and len(self._peers) >= MOST - ROOTS:
            self._make_room()
        if len(self._peers) >= (MOST if uid == 0 else MOST - ROOTS) or (uid != 0 and number >= MOST_OF_A_USER):
            _turn_away(connection)
            return
        if not self._looks:
            self._looks = True
            self._loop.after(_LOOK, self._look)
        self._of_user[uid] = number + 1
        peer = self._peers[fd] = _Peer(connection, caller)
        self._loop.watch(fd, READ, lambda events: self._happened(peer, events))

    def _drop(self, peer: _Peer) -> None:
        fd = peer.socket.fileno()
        if fd < 0:
            return
        self._loop.forget(fd)
        del self._peers[fd]
        left = self._of_user[peer.caller.uid] = self._of_user[peer.caller.uid] - 1
        if not left:
            del self._of_user[peer.caller.uid]
        peer.close()
        if not self._peers and self._reader:
            self._reader.close()

    def _make_room(self) -> None:
        """Cut off who has said nothing for the longest time: one user may have many uids, through user namespaces, and keep nobody out with them."""
        idle = [peer for peer in self._peers.values() if peer.caller.uid != 0 and not peer.is_busy]
        if idle:
            self._drop(min(idle, key=lambda peer: peer.deadline))

    def _look(self) -> None:
        """Cut off who does nothing, now and then while there is anybody."""
        now = monotonic()
        for peer in [peer for peer in self._peers.values() if peer.deadline < now]:
            self._drop(peer)
        self._looks = bool(self._peers)
        if self._looks:
            self._loop.after(_LOOK, self._look)

    # What they say, and what they are told

    def _happened(self, peer: _Peer, events: int) -> None:
        try:
            if events & WRITE and peer.send():
                self._line_up(peer)
            elif events & READ and not peer.is_busy:
                peer.receive()
                if peer.has_call():
                    self._line_up(peer)
                elif peer.has_ended:
                    self._drop(peer)
            elif not events & (READ | WRITE):
                self._drop(peer)
        except (OSError, ValueError):
            self._drop(peer)

    def _line_up(self, peer: _Peer) -> None:
        """Let a connection have a turn."""
        peer.is_busy = True
        self._loop.change(peer.socket.fileno(), 0)
        if not self._turns:
            self._loop.soon(self._turn)
        self._turns.setdefault(peer.caller.uid, []).append(peer)

    def _turn(self) -> None:
        """Do one piece of work, for the user whose turn it is."""
        uid, waiting = next(iter(self._turns.items()))
        del self._turns[uid]
        peer = waiting.pop(0)
        if waiting:
            self._turns[uid] = waiting  # at the end: the others come first
        if self._turns:
            self._loop.soon(self._turn)
        if peer.socket.fileno() < 0:
            return
        try:
            self._work(peer)
        except (OSError, ValueError):
            self._drop(peer)
        except Exception as error:  # noqa: BLE001 - a mistake of ours in an answer must not end the recording of logins
            complain(f"wtmpdb recorder: an answer failed: {type(error).__name__}: {error}")
            self._drop(peer)

    def _work(self, peer: _Peer) -> None:
        fd = peer.socket.fileno()
        piece = peer.piece(self._answer)
        if piece is None:
            self._loop.after(_LATER, lambda: self._line_up(peer) if peer.socket.fileno() >= 0 else None)
        elif piece and not peer.send(piece):
            self._loop.change(fd, WRITE)
        elif peer.answer or peer.has_call():
            self._line_up(peer)
        elif peer.has_ended:
            self._drop(peer)
        else:
            peer.is_busy = False
            peer.wait_for_call()
            self._loop.change(fd, READ)

    def _answer(self, message: bytes, caller: Caller) -> Iterator[bytes | None]:
        """Yield the answer to a message. Raises ValueError for one that deserves none, and for an answer that stops in the middle of a message."""
        from wtmpdb.recorder.calls import RefusedError, parse, refusal  # noqa: PLC0415
        from wtmpdb.recorder.interfaces import unavailable  # noqa: PLC0415

        assert self._interfaces  # noqa: S101 - for the type checker
        whole, oneway, interface = True, False, ""
        try:
            call = parse(message)
            oneway, interface = call.oneway, call.interface
            for piece in self._interfaces.answer(call, caller):
                if piece:
                    whole = piece.endswith(b"\0")
                yield b"" if oneway and piece else piece
        except (RefusedError, LogError) as error:
            if not whole:
                raise ValueError from error
            yield b"" if oneway else refusal(error if isinstance(error, RefusedError) else unavailable(error, interface))


class _Peer:
    """Somebody at the other end of a connection."""

    __slots__ = ("_buffer", "_out", "answer", "caller", "deadline", "has_ended", "is_busy", "socket")

    def __init__(self, connection: socket, caller: Caller) -> None:
        self.socket = connection
        self.caller = caller
        self.answer: Iterator[bytes | None] | None = None
        self.is_busy = False  # with a call; further ones stay in the socket
        self.has_ended = False  # sends no more, but may go on reading
        self._buffer = b""
        self._out: memoryview | bytes = b""
        self.wait_for_call()

    def close(self) -> None:
        self.answer = None
        self.socket.close()

    def wait_for_call(self) -> None:
        self.deadline = monotonic() + (HALF if self._buffer else IDLE)

    def has_call(self) -> bool:
        return b"\0" in self._buffer

    def receive(self) -> None:
        """Take what was sent. Raises ValueError when it is too long for a call, OSError when the connection is gone."""
        from wtmpdb.recorder.calls import LONGEST  # noqa: PLC0415

        try:
            got = self.socket.recv(LONGEST - len(self._buffer))
        except BlockingIOError:
            return
        if not self._buffer and got:
            self.deadline = monotonic() + HALF
        self._buffer += got
        self.has_ended = not got
        if len(self._buffer) >= LONGEST and not self.has_call():
            raise ValueError

    def piece(self, answer: Callable[[bytes, Caller], Iterator[bytes | None]]) -> bytes | None:
        """Return the next piece of the answer, b"" when there is none this time, None when there is none for a while."""
        if self.answer is None:
            message, _, self._buffer = self._buffer.partition(b"\0")
            self.answer = answer(message, self.caller)
            self.deadline = monotonic() + STUCK
        try:
            piece = next(self.answer)
        except StopIteration:
            self.answer = None
            return b""
        if piece is not None:
            self.deadline = monotonic() + STUCK
        return piece

    def send(self, piece: bytes = b"") -> bool:
        """Send a piece, or the rest of one; True when nothing of it is left. Raises OSError."""
        self._out = memoryview(piece) if piece else self._out
        try:
            while self._out:
                self._out = self._out[self.socket.send(self._out) :]
                self.deadline = monotonic() + STUCK
        except BlockingIOError:
            return False
        self._out = b""
        return True


def _turn_away(connection: socket) -> None:
    from wtmpdb.recorder.calls import refusal  # noqa: PLC0415
    from wtmpdb.recorder.interfaces import too_many  # noqa: PLC0415

    try:
        connection.send(refusal(too_many()))
    except OSError:
        pass
    connection.close()
