# SPDX-License-Identifier: BSD-2-Clause
"""The sessions that systemd-logind knows, from the files in which it keeps them.

Their format is logind's own; libsystemd (sd-login(3)) reads the same files, which every user may, and a question over D-Bus would cost more than all
else of a listing. A line is ``KEY=value``; what does not fit is passed over, what is not there is not known. Source: sd-login's functions, by what
systemd 252 and 257 write.
"""

from __future__ import annotations

import os

from wtmpdb.text import store

SESSIONS = "/run/systemd/sessions"

_MOST = 10_000
_LONGEST = 1 << 16
_LARGEST = 2**63 - 1
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "s": " "}
_BASES = {"x": (1, 2, 16), "0": (0, 3, 8), "1": (0, 3, 8), "2": (0, 3, 8), "3": (0, 3, 8)}  # where digits begin, how many, to which base


class Login:
    """A session of logind's. Text is bytes in the form of the history; ``login`` is µs since the epoch, UTC.

    ``closing`` says that it only waits for its last processes to end. ``kind`` is logind's class: "user" and what begins with it for people,
    "greeter", "lock-screen", "background", "manager" and others.
    """

    __slots__ = ("closing", "host", "id", "kind", "leader", "login", "seat", "service", "tty", "user")

    def __init__(self, ident: str, values: dict[str, str]) -> None:
        """Take what stands in the file of the session ``ident``."""
        self.id = ident
        self.closing = values.get("STATE") == "closing"
        self.user = _text(values, "USER") or b""
        self.tty = _text(values, "TTY")
        self.host = _text(values, "REMOTE_HOST")
        self.service = _text(values, "SERVICE")
        self.kind = values.get("CLASS", "")
        self.seat = values.get("SEAT") or None
        self.leader = _number(values, "LEADER")
        self.login = _number(values, "REALTIME") or 0

    @property
    def is_of_a_person(self) -> bool:
        """Tell whether somebody has logged in, and no program waits for that or works in the background."""
        return self.kind.startswith("user")


def logins(directory: str | None = None) -> list[Login]:
    """Return the sessions of all classes, in no order."""
    found = []
    directory = directory or SESSIONS
    for name in _names(directory):
        values = _values(os.path.join(directory, name))
        if values.get("USER"):
            found.append(Login(name, values))
    return found


def _names(directory: str) -> list[str]:
    try:
        return [name for name in os.listdir(directory)[:_MOST] if name.isalnum()]  # beside them lie pipes, called ID.ref
    except OSError:
        return []


def _values(path: str) -> dict[str, str]:
    try:
        with open(path, "rb") as file:
            lines = file.read(_LONGEST).decode("utf-8", "surrogateescape").split("\n")
    except OSError:  # it has just ended
        return {}
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {key: _unescape(value) for key, equals, value in pairs if equals}


def _unescape(value: str) -> str:
    """Undo quotes and the escapes of C."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    first, *rest = value.split("\\")
    done, literal = [first], False
    for part in rest:
        if literal or not part:  # two backslashes leave an empty part between them
            done.append(part if literal else "\\")
            literal = not literal
        else:
            done.append(_escaped(part))
    return "".join(done)


def _escaped(part: str) -> str:
    start, length, base = _BASES.get(part[0], (0, 0, 0))
    digits = part[start : start + length]
    if length and len(digits) == length:
        try:
            return bytes((int(digits, base),)).decode("utf-8", "surrogateescape") + part[start + length :]
        except ValueError:
            return "\\" + part
    return _ESCAPES.get(part[0], part[0]) + part[1:]


def _text(values: dict[str, str], key: str) -> bytes | None:
    value = values.get(key)
    return store(value.encode("utf-8", "surrogateescape")).encode() if value else None


def _number(values: dict[str, str], key: str) -> int | None:
    value = values.get(key, "")
    return min(int(value), _LARGEST) if value.isascii() and value.isdigit() and len(value) <= len(str(_LARGEST)) else None
