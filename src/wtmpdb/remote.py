# SPDX-License-Identifier: BSD-2-Clause
"""Remote: the history of this machine as the recorder shows it to who may not read the file. It is asked like a `Log`.

Each question has a connection of its own. Rows come as they are read: who stops early has not fetched the rest.
"""

from __future__ import annotations

import json
import socket
from time import monotonic, sleep

from wtmpdb.entry import EntryType
from wtmpdb.errors import DeniedLogError, LogError
from wtmpdb.log import DATABASE, Boot, Log, Opening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, NoReturn, TypeVar

    from wtmpdb.entry import Row

    Told = Mapping[str, Any]
    Answer = TypeVar("Answer")

SOCKET = "/run/wtmpdb/socket"

_INTERFACE = "org.wtmpdb.History"
_PATIENCE = 30.0
_PAUSE = 0.02
_LONGEST = 16 * 1024 * 1024
_AT_ONCE = 65_536


class Remote(Log):
    """The recorder's view of the history at ``path``. Any method may raise LogError."""

    def __init__(self, path: str = DATABASE, address: str = SOCKET) -> None:
        """Ask nothing yet."""
        self.path = path
        self._address = address
        self._told: dict[tuple[int, int], Opening] = {}

    def close(self) -> None:
        """Do nothing: no connection stays."""

    # What a Log can be asked

    def rows(self, since: int | None = None, until: int | None = None) -> Iterator[list[Row]]:
        """Yield the rows newest first, in chunks; ``since`` and ``until`` bound the login, both inclusive, in µs."""
        return self._ask("Rows", {"which": "all", "since": since, "until": until}, self._rows, more=True)

    def open_rows(self, boot: str | None = None) -> list[Row]:  # noqa: ARG002 - it may leave rows out, and need not
        """Return the rows without a logout, newest first."""
        return [row for rows in self._ask("Rows", {"which": "open"}, self._rows, more=True) for row in rows]

    def begins(self) -> int | None:
        """Return the login of the oldest row in µs, or None when there is none."""
        (begins,) = self._ask("Begins", {}, _begins)
        return begins

    def boots(self) -> list[Boot]:
        """Return all boots, oldest first."""
        return [boot for boots in self._ask("Rows", {"which": "boots"}, _boots, more=True) for boot in boots][::-1]

    def opening(self, ident: int, login: int) -> Opening | None:
        """Return what is known of the process behind a row, which was open when it was told."""
        return self._told.get((ident, login))

    def _rows(self, told: Told) -> list[Row]:
        rows = []
        for row in told["rows"]:
            ident, login, logout, type_ = row["id"], row["login"], row["logout"], row["type"]
            if not logout and type_ != EntryType.BOOT_TIME and "boot" in row:
                self._told[ident, login] = Opening(**{name: row.get(name) for name in Opening.__slots__})
            rows.append((0, row["user"].encode(), _raw(row["tty"]), _raw(row["host"]), _raw(row["service"]), login, logout, ident, type_))
        return rows

    # Asking

    def _all(self, statement: str, values: Sequence[object]) -> NoReturn:  # noqa: ARG002 - what only a file can be asked
        raise DeniedLogError(f"{self.path}: Permission denied", "root may ask this, and members of the group of the file")

    def _ask(self, method: str, parameters: Told, read: Callable[[Told], Answer], *, more: bool = False) -> Iterator[Answer]:
        """Call a method, and yield what ``read`` makes of each reply. Raises LogError."""
        call = {"method": f"{_INTERFACE}.{method}", "parameters": parameters, "more": more}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PATIENCE)
            try:
                _connect(connection, self._address)
                connection.sendall(json.dumps(call).encode() + b"\0")
                for message in _messages(connection):
                    told = json.loads(message)
                    if "error" in told:
                        raise self._explained(told["error"], told.get("parameters") or {})
                    yield read(told["parameters"])
                    if not told.get("continues"):
                        return
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                why = getattr(error, "strerror", None) or str(error)
                raise LogError(f"{self._address}: {why}", "'wtmpdb doctor', as root, looks whether the recorder is well") from error

    def _explained(self, error: str, parameters: Told) -> LogError:
        if error == "org.varlink.service.PermissionDenied":
            return DeniedLogError(f"{self.path}: Permission denied", "here only root and the members of the group utmp see the history")
        if error == f"{_INTERFACE}.Unavailable":
            return LogError(str(parameters.get("why")), str(parameters.get("hint") or ""))
        why = parameters.get("ErrorMsg")
        return LogError(f"{self._address}: {why or error}")


def _connect(connection: socket.socket, address: str) -> None:
    """Connect; where too many wait to be let in, try again for a while. Raises OSError."""
    end = monotonic() + _PATIENCE
    while True:
        try:
            return connection.connect(address)
        except BlockingIOError:
            if monotonic() > end:
                raise
            sleep(_PAUSE)


def _messages(connection: socket.socket) -> Iterator[bytes]:
    """Yield what comes until the next zero byte, again and again. Raises ValueError when the connection ends."""
    buffer = bytearray()
    while True:
        got = connection.recv(_AT_ONCE)
        if not got or len(buffer) > _LONGEST:
            raise ValueError("the recorder has ended in the middle of an answer")
        buffer += got
        if b"\0" in got:
            *whole, buffer = buffer.split(b"\0")
            yield from map(bytes, whole)


def _begins(told: Told) -> int | None:
    begins: int | None = told["begins"]
    return begins


def _boots(told: Told) -> list[Boot]:
    return [Boot(row["id"], row["login"], row["logout"], kernel=_raw(row["host"]) or b"", key=row.get("boot")) for row in told["rows"]]


def _raw(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
