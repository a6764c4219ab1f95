# SPDX-License-Identifier: BSD-2-Clause
"""Event: what the PAM module saw, and the letter that carries it (docs/format.md, "A letter"). No I/O."""

from __future__ import annotations

from wtmpdb.text import restore, store

LETTER_LIMIT = 16_384
"""A letter of more bytes is broken."""

OPENED = "opened"
CLOSED = "closed"
FAILED = "failed"

UNMADE = "ssh"
"""The tty that sshd tells PAM: the terminal is made later, or never."""

_TEXTS = {"user": 256, "tty": 64, "host": 255, "service": 64, "session": 32}  # the most bytes of each
_NUMBERS = frozenset(("time", "opened", "pid", "start"))
_WORDS = {"key": frozenset(b"0123456789abcdef"), "boot": frozenset(b"0123456789abcdef-/")}
_KEY_LENGTH = 32
_BOOT_LENGTH = 127
_DIGITS = frozenset(b"0123456789")
_MOST_DIGITS = 19
_LARGEST = 2**63 - 1


class BrokenLetterError(ValueError):
    """A letter that does not keep to the format; the message says where."""


class Event:
    """One thing that happened: a session was opened, or closed, or a login failed.

    ``time`` is when, ``opened`` when the session was opened (the same unless it is a close; None when a close knows nothing of its open): µs since
    the epoch, UTC. ``start`` is the start of process ``pid`` in clock ticks since the kernel's boot. Text is as the file keeps it
    (`wtmpdb.text.store`). ``id`` names the event, ``key`` the session. The ``user`` of a failed login may be empty.
    """

    __slots__ = ("boot", "host", "id", "key", "kind", "opened", "pid", "service", "session", "start", "time", "tty", "user")

    def __init__(
        self,
        kind: str,
        *,
        id: str,  # noqa: A002 - the field's own name
        time: int,
        user: str,
        key: str | None = None,
        opened: int | None = None,
        pid: int | None = None,
        start: int | None = None,
        boot: str | None = None,
        tty: str | None = None,
        host: str | None = None,
        service: str | None = None,
        session: str | None = None,
    ) -> None:
        """Make an event; ``kind`` is OPENED, CLOSED or FAILED."""
        self.kind = kind
        self.id = id
        self.time = time
        self.user = user
        self.key = key
        self.opened = opened if kind == CLOSED else time
        self.pid = pid
        self.start = start
        self.boot = boot
        self.tty = tty
        self.host = host
        self.service = service
        self.session = session

    def encode(self) -> bytes:
        """Return the letter, as the PAM module would write it."""
        lines = [f"wtmpdb 1 {self.kind}"]
        names = ("key", "time", "opened", "pid", "start", "boot", "user", "tty", "host", "service", "session")
        for name in names:
            value = getattr(self, name)
            if value is None or (name == "opened" and self.kind != CLOSED) or (name == "user" and not value):
                continue
            text = _quote(restore(value.encode())) if name in _TEXTS else str(value)
            lines.append(f"{name} {text}")
        lines.append("end\n")
        return "\n".join(lines).encode("ascii")


def decode(letter: bytes, name: str) -> Event:
    """Return the event of a letter called ``name``.

    Raises BrokenLetterError when the letter is cut off, too long, or breaks a rule of docs/format.md.
    """
    if len(letter) > LETTER_LIMIT:
        raise BrokenLetterError("longer than a letter may be")
    lines = letter.split(b"\n")
    if len(lines) < 3 or lines[-1] or lines[-2] != b"end":  # noqa: PLR2004 - kind, end, and nothing behind
        raise BrokenLetterError("not whole")
    kind = {b"wtmpdb 1 opened": OPENED, b"wtmpdb 1 closed": CLOSED, b"wtmpdb 1 failed": FAILED}.get(lines[0])
    if kind is None:
        raise BrokenLetterError("not a letter of version 1")
    values: dict[str, str | int] = {}
    for line in lines[1:-2]:
        field, _, value = line.partition(b" ")
        name_of_field = field.decode("ascii", "replace")
        if name_of_field in values:
            raise BrokenLetterError(f"{name_of_field} comes twice")
        read = _read(name_of_field, value)
        if read is not None:
            values[name_of_field] = read
    return _event(kind, name, values)


def _event(kind: str, name: str, values: dict[str, str | int]) -> Event:
    if kind == FAILED:
        values.setdefault("user", "")
    missing = {"time", "user"} - values.keys()
    if kind == OPENED:
        missing |= {"key"} - values.keys()
    if kind != CLOSED:
        values.pop("opened", None)
    elif "key" in values:
        missing |= {"opened"} - values.keys()
    if missing:
        raise BrokenLetterError(f"{min(missing)} is missing")
    if not values["user"] and kind != FAILED:
        raise BrokenLetterError("user is empty")
    return Event(kind, id=name, **values)  # type: ignore[arg-type]  # _read gave each field its type


def _read(field: str, value: bytes) -> str | int | None:
    if field in _NUMBERS:
        return _number(field, value)
    if field in _TEXTS:
        return store(_unquote(field, value))
    if field in _WORDS:
        length_is_wrong = len(value) != _KEY_LENGTH if field == "key" else not 0 < len(value) <= _BOOT_LENGTH
        if length_is_wrong or not _WORDS[field].issuperset(value):
            raise BrokenLetterError(f"{field} is malformed")
        return value.decode("ascii")
    return None  # a line of a later module


def _number(field: str, value: bytes) -> int:
    if not 0 < len(value) <= _MOST_DIGITS or not _DIGITS.issuperset(value) or int(value) > _LARGEST:
        raise BrokenLetterError(f"{field} is not a number")
    return int(value)


def _unquote(field: str, value: bytes) -> bytes:
    if value.translate(None, _PLAIN):
        raise BrokenLetterError(f"{field} holds bytes that should have been quoted")
    raw = restore(value)
    if len(raw) > _TEXTS[field]:
        raise BrokenLetterError(f"{field} is too long")
    return raw


_PLAIN = bytes(range(0x21, 0x7F))


def _quote(raw: bytes) -> str:
    return "".join(chr(byte) if byte in _PLAIN and byte != 0x5C else f"\\{byte:03o}" for byte in raw)  # noqa: PLR2004 - the backslash
