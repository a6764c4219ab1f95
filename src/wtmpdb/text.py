# SPDX-License-Identifier: BSD-2-Clause
"""Text that a user had a hand in: how its bytes are kept in the file, and got back. No I/O.

The file holds valid UTF-8 on one line. A byte that is not UTF-8, a control character, a line or paragraph separator and the backslash are
kept as a backslash and three octal digits, which is how `last` prints such bytes, and which can be undone.
"""

from __future__ import annotations

_OCTAL = frozenset(b"01234567")
_BACKSLASH = 0x5C


def store(raw: bytes) -> str:
    """Return the text that stands for these bytes in the file."""
    if raw.isascii() and b"\\" not in raw:
        text = raw.decode("ascii")
        if text.isprintable():
            return text
    return "".join(_escape(char) for char in raw.decode("utf-8", "surrogateescape"))


def restore(stored: bytes) -> bytes:
    """Return the bytes that `store` was given. A backslash that begins no escape stands for itself."""
    first, *rest = stored.split(b"\\")
    if not rest:
        return stored
    parts = [first]
    for part in rest:
        code = int(part[:3], 8) if len(part) >= 3 and _OCTAL.issuperset(part[:3]) else 256  # noqa: PLR2004
        parts.append(bytes((code,)) + part[3:] if code < 256 else b"\\" + part)  # noqa: PLR2004 - one byte
    return b"".join(parts)


def one_form(stored: str) -> str:
    """Return what `store` makes of what stands for the same bytes: the C tools keep a backslash and control characters as they come."""
    return stored if "\\" not in stored and stored.isprintable() else store(restore(stored.encode("utf-8", "surrogateescape")))


def forms(stored: str) -> list[str]:
    """Return all that may stand in a file for the bytes that `store` made this of: it, and as the C tools keep them."""
    try:
        raw = restore(stored.encode()).decode()
    except UnicodeDecodeError:
        return [stored]
    return [stored] if raw == stored or "\0" in raw else [stored, raw]


def readable(raw: bytes) -> str:
    """Return what was stored as text for anybody: a byte that is not UTF-8, and a zero, as octal escapes, all else as it stands."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = "".join(_escape(char) if 0xDC80 <= ord(char) <= 0xDCFF else char for char in raw.decode("utf-8", "surrogateescape"))  # noqa: PLR2004
    return text.replace("\0", "\\000")


def cut(text: bytes, limit: int) -> bytes:
    """Return at most ``limit`` bytes, never the first half of a UTF-8 character."""
    if len(text) <= limit:
        return text
    end = limit
    while end > limit - 4 and end > 0 and text[end] & 0xC0 == 0x80:  # noqa: PLR2004 - a continuation byte
        end -= 1
    return text[:end] if text[end] & 0xC0 != 0x80 else text[:limit]  # noqa: PLR2004


def octal(raw: bytes) -> str:
    """Return every byte as a backslash and three octal digits."""
    return "".join(f"\\{byte:03o}" for byte in raw)


def _escape(char: str) -> str:
    code = ord(char)
    if code == _BACKSLASH or code < 0x20 or 0x7F <= code < 0xA0 or char in "\u2028\u2029":  # noqa: PLR2004 - C0, DEL, C1
        return octal(char.encode())
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 - what surrogateescape makes of a byte that is not UTF-8
        return octal(bytes((code - 0xDC00,)))
    return char
