# SPDX-License-Identifier: BSD-2-Clause
"""The web server: a bounded number of connections, each for one request, each with little time and few bytes.

When all are taken, the one whose request has not come for the longest time makes room: who only connects keeps no scrape waiting.
"""

from __future__ import annotations

import binascii
import io
import os
import selectors
import socket
import sys
import threading
import time
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

from wtmpdb.errors import WtmpdbError
from wtmpdb.text import store

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from _typeshed import WriteableBuffer

    from wtmpdb.exporter.site import Site
    from wtmpdb.exporter.webconfig import Guard

CONNECTIONS = 16
"""So many are served at once."""

SECONDS = 10.0
"""So long a request may take to arrive, and as long an answer to be taken."""

_MOST_BYTES = 32_768  # of a request, all its headers together
_BACKLOG = 64
_FIRST_FD = 3


def listen(addresses: Iterable[str]) -> list[socket.socket]:
    """Return sockets that listen on ``HOST:PORT``, ``[IPV6]:PORT`` or, on every address, ``:PORT``. Raises WtmpdbError."""
    found: list[socket.socket] = []
    for address in addresses:
        host, colon, port = address.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 0xFFFF:  # noqa: PLR2004 - 16 bits
            raise WtmpdbError(f"--web.listen-address: {address}: not HOST:PORT")
        try:
            if not host:
                both = socket.has_dualstack_ipv6()
                family = socket.AF_INET6 if both else socket.AF_INET
                found.append(socket.create_server(("", int(port)), family=family, dualstack_ipv6=both, backlog=_BACKLOG))
                continue
            places = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, _, _, _, place in dict.fromkeys(places):
                found.append(socket.create_server(place[:2], family=socket.AddressFamily(family), backlog=_BACKLOG))
        except (OSError, UnicodeError) as error:
            for made in found:
                made.close()
            raise WtmpdbError(f"--web.listen-address: {address}: {getattr(error, 'strerror', None) or error}") from error
    return found


def handed_over() -> list[socket.socket]:
    """Return the listening sockets that systemd has handed over (sd_listen_fds(3)). Raises WtmpdbError when there are none."""
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdigit() or not int(count):
        raise WtmpdbError("--web.systemd-socket: systemd has handed over no socket", "a .socket unit has to start this")
    found = [socket.socket(fileno=fd) for fd in range(_FIRST_FD, _FIRST_FD + int(count))]
    if any(one.type != socket.SOCK_STREAM for one in found):
        raise WtmpdbError("--web.systemd-socket: not a socket for streams", "the .socket unit has to say ListenStream=")
    return found


class Server:
    """Serves one site on some sockets."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        site: Site,
        guard: Callable[[], Guard] | None = None,
        report: Callable[[WtmpdbError], None] = lambda _: None,
        *,
        debug: bool = False,
    ) -> None:
        """``guard`` says for each connection who is let in, without it everybody is; ``report`` is told when it cannot, each reason once."""
        self.site = site
        self.debug = debug
        self._sockets = sockets
        self._guard = guard
        self._report = report
        self._said = ""
        self._slots = threading.Semaphore(CONNECTIONS)
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="scrape")
        self._stop, self._stopped = socket.socketpair()
        self._silent: dict[socket.socket, None] = {}  # those whose request has not come yet, the oldest first
        self._lock = threading.Lock()

    def serve(self) -> None:
        """Serve until `stop` is called."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._stopped, selectors.EVENT_READ)
            for one in self._sockets:
                one.settimeout(0)
                selector.register(one, selectors.EVENT_READ)
            while True:
                for ready, _ in selector.select():
                    if ready.fileobj is self._stopped:
                        self._threads.shutdown()
                        return
                    self._accept(ready.fileobj)  # type: ignore[arg-type]  # a socket was registered

    def stop(self) -> None:
        """Let `serve` return, from another thread."""
        self._stop.send(b".")

    def _accept(self, listening: socket.socket) -> None:
        if not self._slots.acquire(blocking=False):
            self._make_room()
            self._slots.acquire()
        try:
            connection, _ = listening.accept()
        except OSError as error:
            self._slots.release()
            if not isinstance(error, BlockingIOError | ConnectionError):
                time.sleep(0.1)  # no descriptors left, say: the connection waits
            return
        self._silent[connection] = None
        self._threads.submit(self._talk, connection)

    def _make_room(self) -> None:
        """Cut off who has been silent for the longest time; their thread sees the end of the connection."""
        with self._lock:  # none is closed meanwhile, and its descriptor used again
            if oldest := next(iter(self._silent), None):
                del self._silent[oldest]
                with suppress(OSError):
                    socket.socket.shutdown(oldest, socket.SHUT_RDWR)  # that of SSLSocket would take away what its thread works with

    def heard(self, connection: socket.socket) -> None:
        """Learn that a request has come."""
        with self._lock:
            self._silent.pop(connection, None)

    def _talk(self, connection: socket.socket) -> None:
        """Answer one request, whatever comes."""
        try:
            connection.settimeout(SECONDS)
            guard = self._guard() if self._guard else None
            self._said = ""
            if guard and guard.context:
                connection = self._wrapped(connection, guard.context)
                connection.do_handshake()
                if guard.names and not guard.names & _names(connection):
                    return
            Request(connection, self, guard)
        except WtmpdbError as error:
            if self._said != str(error):
                self._report(error)
            self._said = str(error)
        except (OSError, ValueError):  # the other side went away, took too long, or talked nonsense
            pass
        except Exception as error:  # noqa: BLE001 - a fault of ours: an answer is missing, and nobody would know why
            self._report(WtmpdbError(f"a request was not answered: {error!r}", "please report this"))
        finally:
            self.heard(connection)
            connection.close()
            self._slots.release()

    def _wrapped(self, connection: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        with self._lock:
            is_wanted = connection in self._silent
            self._silent.pop(connection, None)
            wrapped = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            if is_wanted:
                self._silent[wrapped] = None
        return wrapped


class Request(BaseHTTPRequestHandler):
    """One request and its answer."""

    protocol_version = "HTTP/1.1"
    server: Server  # type: ignore[assignment]  # all that the base asks of one is nothing

    def __init__(self, connection: socket.socket, server: Server, guard: Guard | None) -> None:
        """Read it and answer it."""
        self._guard = guard
        super().__init__(connection, ("", 0), server)  # type: ignore[arg-type]

    def setup(self) -> None:
        """Read within bounds."""
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Bounded(self.connection))

    def handle(self) -> None:
        """Answer one request only: a thread is not kept by who says nothing more."""
        self.close_connection = True
        self.handle_one_request()

    def do_GET(self) -> None:
        """Answer with a body."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer without one."""
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        self.server.heard(self.connection)
        if not self._is_let_in():
            status, headers, body = 401, {"WWW-Authenticate": 'Basic realm="wtmpdb exporter"', "Content-Type": "text/plain"}, b"Unauthorized\n"
        else:
            status, headers, body = self.server.site.answer(self.path, {name.lower(): value for name, value in self.headers.items()})
        self.connection.settimeout(SECONDS)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _is_let_in(self) -> bool:
        if not self._guard or not self._guard.passwords:
            return True
        scheme, _, coded = self.headers.get("Authorization", "").partition(" ")
        try:
            user, colon, password = b64decode(coded.strip(), validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        return bool(colon) and scheme.lower() == "basic" and self._guard.passwords.are_right(user.decode("utf-8", "replace"), password)

    def end_headers(self) -> None:
        """Add the headers that the file asks for, to errors too."""
        for name, value in self._guard.headers.items() if self._guard else ():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self) -> str:
        """Name no versions to strangers."""
        return "wtmpdb"

    def log_message(self, form: str, *values: Any) -> None:
        """Write a line for each request, if that was asked for."""
        if self.server.debug:
            print(store((form % values).encode("utf-8", "replace")), file=sys.stderr)


class _Bounded(io.RawIOBase):
    """What a client sends: so many bytes, until so late."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._until = time.monotonic() + SECONDS
        self._left = _MOST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        left = self._until - time.monotonic()
        if left <= 0 or self._left <= 0:
            raise TimeoutError("too slow, or too much")
        self._connection.settimeout(left)
        count = self._connection.recv_into(buffer, min(len(memoryview(buffer)), self._left))
        self._left -= count
        return count


def _names(connection: ssl.SSLSocket) -> set[str]:
    """Return the alternative names in the certificate of a client."""
    certificate = connection.getpeercert() or {}
    return {str(pair[1]) for pair in certificate.get("subjectAltName", ())}
