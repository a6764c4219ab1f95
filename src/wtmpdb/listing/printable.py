# SPDX-License-Identifier: BSD-2-Clause
"""Making bytes harmless to a terminal, as `last` does, and beyond it: a newline, a tab and a bell are escaped as well.

A control character becomes ``*`` and the character 64 away (ESC is ``*[``); a byte that is not part of a printable character of the locale becomes a
backslash and three octal digits. What is printable follows glibc: all but the Unicode categories Cc, Cn, Cs, Zl and Zp.
"""

from __future__ import annotations

import os

from wtmpdb.text import octal

_UNPRINTABLE = ("Cc", "Cn", "Cs", "Zl", "Zp")
_utf8: list[bool] = []  # the answer of `_is_utf8`, once asked


def printable(raw: bytes) -> str:
    """Return text that can be printed; a byte above 127 stays only as part of a character in a UTF-8 locale."""
    if raw.isascii():
        text = raw.decode("ascii")
        return text if text.isprintable() else "".join(map(_control, text))
    if not _is_utf8():
        return "".join(_control(chr(byte)) if byte < 0x80 else octal(bytes((byte,))) for byte in raw)  # noqa: PLR2004 - ASCII
    return "".join(map(_character, raw.decode("utf-8", "surrogateescape")))


def _control(char: str) -> str:
    return char if char.isprintable() else "*" + chr(ord(char) ^ 0x40)


def _character(char: str) -> str:
    from unicodedata import category  # noqa: PLC0415 - only when there is something beyond ASCII

    if char.isascii():
        return _control(char)
    return octal(char.encode("utf-8", "surrogateescape")) if category(char) in _UNPRINTABLE else char


def _is_utf8() -> bool:
    if not _utf8:
        variables = _first_environment()
        name = next((value for key in ("LC_ALL", "LC_CTYPE", "LANG") if (value := variables.get(key))), "C")
        codeset = name.partition(".")[2].partition("@")[0]
        _utf8.append(codeset.lower().replace("-", "") == "utf8" and _is_installed(name))
    return _utf8[0]


def _is_installed(name: str) -> bool:
    import locale  # noqa: PLC0415 - only when there is something beyond ASCII

    try:
        locale.setlocale(locale.LC_CTYPE, name)
    except locale.Error:
        return False
    return True


def _first_environment() -> dict[str, str]:
    """Return the environment that the program was started with: Python itself may have put LC_CTYPE into it since (PEP 538)."""
    try:
        with open("/proc/self/environ", encoding="utf-8", errors="replace") as file:
            return dict(pair.split("=", 1) for pair in file.read().split("\0") if "=" in pair)
    except OSError:
        return dict(os.environ)
