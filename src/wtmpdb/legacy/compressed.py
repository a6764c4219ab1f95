# SPDX-License-Identifier: BSD-2-Clause
"""Compressed files (gzip, xz, bzip2, zstd, told by their first bytes), read as a stream in bounded memory.

zstd is read by Python where it can (3.14 and later), else by the ``zstd`` program. What comes out of a file is bounded,
because a few kilobytes can be made to decompress to terabytes.
"""

from __future__ import annotations

import os

from wtmpdb.legacy.errors import LegacyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Read = Callable[[int], bytes]

LARGEST = 1 << 33
"""Bytes that may come out of one file."""

_MEMORY = 40 << 20  # what a decompressor may take; enough for everything but `xz -9` and `zstd --long`
_BLOCK = 1 << 16
_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\xfd7zXZ\0", "xz"), (b"BZh", "bzip2"), (b"\x28\xb5\x2f\xfd", "zstd"))
_PROGRAMS = ("/usr/bin/zstd", "/bin/zstd", "/usr/local/bin/zstd")


def compression_of(head: bytes) -> str:
    """Return how a file is compressed, by its first bytes, or ""."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "")


class Decompressed:
    """What comes out of a compressed file. Where it is damaged or cut off the stream ends, and ``broken`` says why."""

    def __init__(self, path: str, kind: str, read: Read, descriptor: int | None = None) -> None:
        """Take the reader of the compressed bytes, and the descriptor of a file that begins with them, where there is one.

        Raises LegacyError when there is nothing to decompress it with.
        """
        self._path = path
        self._left = LARGEST
        self._program: Any = None
        self._read: Read
        self.broken = ""
        if kind == "zstd" and not _has_zstd():
            self._read = self._start_program(descriptor if descriptor is not None else _copied(read, path))
        else:
            self._make = _maker(kind)
            self._compressed = read
            self._pending = b""
            self._machine: Any = self._make()
            self._read = self._inflate

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes; none at the end. Raises LegacyError where too much comes out, or too much memory is needed."""
        data = self._read(size)
        self._left -= len(data)
        if self._left < 0:
            raise LegacyError(f"{self._path}: decompresses to more than {LARGEST >> 30} GiB", hint="decompress it first if this is meant")
        return data

    def close(self) -> None:
        """End the program, if one runs."""
        if self._program:
            self._program.stdout.close()
            self._program.kill()
            self._program.wait()
            self._program = None

    def _inflate(self, size: int) -> bytes:
        while not self.broken:
            if self._machine.eof:
                self._pending = (self._machine.unused_data + self._pending).lstrip(b"\0")  # gzip may be padded
                self._pending = self._pending or self._compressed(_BLOCK).lstrip(b"\0")
                if not self._pending:
                    return b""
                self._machine = self._make()
            try:
                data = self._machine.decompress(self._pending, size)
            except Exception as error:  # every library has its own
                if "emory" in str(error):
                    raise LegacyError(f"{self._path}: needs too much memory to decompress", hint="decompress it first") from error
                self.broken = f"damaged: {error}"
                return b""
            self._pending = getattr(self._machine, "unconsumed_tail", b"")
            if data:
                return data  # type: ignore[no-any-return]
            if not self._machine.eof and not self._pending and getattr(self._machine, "needs_input", True):
                self._pending = self._compressed(_BLOCK)
                if not self._pending:
                    self.broken = "compressed data end early"
        return b""

    def _start_program(self, descriptor: int) -> Read:
        import subprocess  # noqa: PLC0415 - only for zstd

        program = next(filter(os.path.exists, _PROGRAMS), None)
        if program is None:
            raise LegacyError(f"{self._path}: nothing to decompress zstd with", hint="install the program zstd")
        os.lseek(descriptor, 0, os.SEEK_SET)
        command = [program, "-dcq", f"--memory={_MEMORY}"]
        self._program = subprocess.Popen(command, stdin=descriptor, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={})  # noqa: S603
        return self._read_program

    def _read_program(self, size: int) -> bytes:
        data: bytes = self._program.stdout.read(size)
        if not data and self._program.wait():
            self.broken = "damaged or cut off, or needs too much memory"
        return data


def _has_zstd() -> bool:
    import sys  # noqa: PLC0415 - always loaded

    return sys.version_info >= (3, 14)


def _maker(kind: str) -> Callable[[], Any]:
    from importlib import import_module  # noqa: PLC0415 - each only for files of its kind

    if kind == "gzip":
        zlib = import_module("zlib")
        return lambda: zlib.decompressobj(wbits=31)
    if kind == "xz":
        lzma = import_module("lzma")
        return lambda: lzma.LZMADecompressor(memlimit=_MEMORY)
    if kind == "bzip2":
        return lambda: import_module("bz2").BZ2Decompressor()
    zstd = import_module("compression.zstd")
    return lambda: zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 25})


def _copied(read: Read, path: str) -> int:
    """Return the descriptor of a temporary file with everything that can be read."""
    descriptor = temporary()
    left = LARGEST
    while data := read(_BLOCK):
        left -= len(data)
        if left < 0:
            raise LegacyError(f"{path}: more than {LARGEST >> 30} GiB through a pipe")
        write_all(descriptor, data)
    return descriptor


def temporary() -> int:
    """Return the descriptor of a temporary file without a name."""
    directory = os.environ.get("TMPDIR") or "/var/tmp"  # noqa: S108 - the file has no name there
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        from tempfile import TemporaryFile  # noqa: PLC0415 - where the file system knows no nameless files

        with TemporaryFile() as file:
            return os.dup(file.fileno())


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything."""
    while data:
        data = data[os.write(descriptor, data) :]
