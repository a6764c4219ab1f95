# SPDX-License-Identifier: BSD-2-Clause
"""Where a command writes: the standard output, or a file that is there as a whole or not at all."""

from __future__ import annotations

import os
import stat

from wtmpdb.errors import WtmpdbError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Output:
    """Takes bytes; a file appears under its name when all is written, and what was there before stays where anything goes wrong.

    What is no regular file (a device, a pipe) is written as it comes.
    """

    def __init__(self, path: str | None, *, spare: str | None = None) -> None:
        """Write to ``path``, None for the standard output.

        Raises WtmpdbError when it cannot be made, or is the file ``spare``, which is being read.
        """
        self.path = path
        self._temporary = ""
        if path is None:
            self._descriptor = 1
            return
        try:
            self._open(os.path.realpath(path), spare)
        except OSError as error:
            raise WtmpdbError(f"{path}: {error.strerror}") from error

    def _open(self, real: str, spare: str | None) -> None:
        mode = None
        if os.path.exists(real):
            there = os.stat(real)
            if spare is not None and os.path.exists(spare) and os.path.samestat(there, os.stat(spare)):
                raise WtmpdbError(f"{self.path}: is what is being read")
            if not stat.S_ISREG(there.st_mode):
                self._descriptor = os.open(real, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
                return
            mode = stat.S_IMODE(there.st_mode)
        temporary = f"{real}.{os.getpid()}.part"
        self._descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666 if mode is None else 0o600)
        self._temporary, self._real = temporary, real
        if mode is not None:
            os.fchmod(self._descriptor, mode)

    @property
    def is_terminal(self) -> bool:
        """Tell whether somebody would see the bytes on a screen."""
        return os.isatty(self._descriptor)

    def write(self, data: bytes) -> None:
        """Write everything; raises WtmpdbError, on the standard output OSError."""
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            if self.path is None:
                raise
            raise WtmpdbError(f"{self.path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        """Return the output."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give the file its name, or remove what there is of it."""
        if self.path is None:
            return
        try:
            if self._temporary and kind is None:
                os.fsync(self._descriptor)
                os.replace(self._temporary, self._real)
                self._temporary = ""
        except OSError as failed:
            raise WtmpdbError(f"{self.path}: {failed.strerror}") from failed
        finally:
            os.close(self._descriptor)
            if self._temporary:
                os.unlink(self._temporary)
