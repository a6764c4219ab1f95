# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the PAM module stand on: letters, PAM applications, child processes, a syslog."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import subprocess
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

SOURCE = Path(__file__).parents[1] / "pam"
PAM_SERVICE, PAM_USER, PAM_TTY, PAM_RHOST, PAM_XDISPLAY = 1, 2, 3, 4, 11

_LETTER = re.compile(rb"wtmpdb 1 (opened|closed|failed)\n((?:[a-z]+ (?:[!-\[\]-~]|\\[0-3][0-7]{2})+\n)+)end\n")
_NAME = re.compile(r"\d{20}\.\d{10}\.\d{6}\.[0-9a-f]{8}")
_MS_REC, _MS_PRIVATE, _CLONE_NEWNS = 0x4000, 0x40000, 0x20000

_libc = ctypes.CDLL(None, use_errno=True)
_libpam = ctypes.CDLL("libpam.so.0")
_start_confdir = _libpam.pam_start_confdir
_start_confdir.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


@dataclass(frozen=True)
class Letter:
    """A decoded letter: its kind, and its values as the bytes that PAM was given."""

    kind: str
    values: dict[str, bytes]

    @classmethod
    def decode(cls, text: bytes) -> Letter:
        """Decode a letter, strictly by docs/format.md and independently of the product's reader."""
        match = _LETTER.fullmatch(text)
        assert match is not None, text
        lines = [line.split(b" ") for line in match[2].splitlines()]
        values = {name.decode(): _unescape(value) for name, value in lines}
        assert len(values) == len(lines), "a line comes twice"
        return cls(match[1].decode(), values)

    def __getitem__(self, name: str) -> bytes:
        """Return one value; an absent one is empty."""
        return self.values.get(name, b"")


def _unescape(value: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), value)


class Application:
    """A PAM application: python-pam over a directory of services of our own (pam_start_confdir)."""

    def __init__(self, confdir: Path, service: str, user: str) -> None:
        """Begin a PAM transaction for the user."""
        self._kept: list[Any] = []  # python-pam would let the conversation be freed, and libpam may still call it
        self._pam = pytest.importorskip("pam", reason="python-pam is not installed").PamAuthenticator()
        self._pam.pam_start = lambda *arguments: self._start(os.fsencode(confdir), *arguments)
        assert self._pam.authenticate(user, "", service=service, call_end=False, resetcreds=False), self._pam.reason

    def _start(self, confdir: bytes, service: bytes, user: bytes, conversation: Any, handle: Any) -> int:
        self._kept.append(conversation)
        return int(_start_confdir(service, user, conversation, confdir, handle))

    @property
    def handle(self) -> Any:
        """The pam_handle_t."""
        return self._pam.handle

    def set(self, item: int, value: bytes | None) -> None:
        """Set a PAM item."""
        assert self._pam.pam_set_item(self._pam.handle, item, value) == 0

    def putenv(self, name: str, value: str) -> None:
        """Set a variable in the PAM environment."""
        assert self._pam.putenv(f"{name}={value}") == 0

    def open(self) -> int:
        """Open the session; returns PAM's answer."""
        return int(self._pam.open_session())

    def close(self) -> int:
        """Close the session; returns PAM's answer."""
        return int(self._pam.close_session())

    def end(self) -> None:
        """End the transaction."""
        self._pam.end()


class _Conversation(ctypes.Structure):
    _fields_ = (("function", ctypes.CFUNCTYPE(ctypes.c_int)), ("data", ctypes.c_void_p))


_refuse_to_talk = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 19)  # PAM_CONV_ERR


class Stack:
    """A directory with PAM services whose only session module is ours, and with the spool that it writes to."""

    def __init__(self, build: Path, root: Path) -> None:
        """Make the service "login" and an empty spool."""
        self.build, self.root = build, root
        self.module = build / "pam_wtmpdb_spool.so"
        self.confdir, self.spool, self.poke = root / "pam.d", root / "spool", root / "poke"
        self.confdir.mkdir()
        self.make_spool()
        self.service()

    def make_spool(self) -> None:
        """Make an empty spool."""
        for top in (self.spool, self.spool / "failed"):
            for directory in (top, top / "tmp", top / "new"):
                directory.mkdir(mode=0o700)

    def service(self, name: str = "login", *options: str, times: int = 1) -> None:
        """Write a service of the given name, with the module in it so many times."""
        permit = "auth required pam_permit.so\naccount required pam_permit.so\n"
        line = " ".join(["session required", str(self.module), f"spool={self.spool}", f"poke={self.poke}", *options])
        (self.confdir / name).write_text(permit + f"{line}\n" * times)

    def failing(self, name: str = "login", *options: str, behind: str = "requisite pam_deny.so", before: str = "") -> None:
        """Write a service whose auth part comes to the module, and then to what stands ``behind`` it, unless what stands before it jumps."""
        line = " ".join(["[default=ignore]", str(self.module), f"spool={self.spool}", f"poke={self.poke}", *options])
        (self.confdir / name).write_text("".join(f"auth {one}\n" for one in (*before.splitlines(), line, *behind.splitlines())))

    def attempt(self, user: bytes | None = b"alice", *, service: str = "login", tty: bytes | None = None, rhost: bytes | None = None) -> int:
        """Try to log in; return PAM's answer."""
        handle = ctypes.c_void_p()
        conversation = _Conversation(_refuse_to_talk, None)
        assert _start_confdir(service.encode(), user, ctypes.byref(conversation), os.fsencode(self.confdir), ctypes.byref(handle)) == 0
        for item, value in ((PAM_TTY, tty), (PAM_RHOST, rhost)):
            assert value is None or _libpam.pam_set_item(handle, item, value) == 0
        answer = int(_libpam.pam_authenticate(handle, 0))
        assert _libpam.pam_setcred(handle, 0) == 0 or answer != 0
        assert _libpam.pam_end(handle, answer) == 0
        return answer

    def application(
        self,
        user: str = "alice",
        *,
        service: str = "login",
        tty: bytes | None = b"/dev/pts/3",
        rhost: bytes | None = b"192.0.2.7",
        **environment: str,
    ) -> Application:
        """Begin a PAM transaction with these items."""
        application = Application(self.confdir, service, user)
        application.set(PAM_TTY, tty)
        application.set(PAM_RHOST, rhost)
        application.set(PAM_XDISPLAY, None)
        for name, value in environment.items():
            application.putenv(name, value)
        return application

    def session(self, user: str = "alice", **items: Any) -> tuple[Letter, Letter]:
        """Open and close a session; returns its two letters."""
        self.run(user, **items)
        opened, closed = self.letters()
        return opened, closed

    def run(self, user: str = "alice", **items: Any) -> None:
        """Open and close a session; PAM must not notice us, whatever happens."""
        application = self.application(user, **items)
        assert application.open() == 0
        assert application.close() == 0
        application.end()

    def exercise(self, processes: int, threads: int, sessions: int, *, failed: bool = False, **options: Any) -> None:
        """Run the C application of that name, in pam/, with the service "login"."""
        counts = [str(processes), str(threads), str(sessions), *(["failed"] if failed else [])]
        arguments = [str(self.build / "exercise"), str(self.confdir), "login", *counts]
        prefix = options.pop("prefix", [])
        subprocess.run([*prefix, *arguments], check=True, timeout=120, **options)

    def files(self, spool: Path | None = None) -> list[Path]:
        """Return the letters' files in the order of their names; nothing may be left in `tmp`."""
        spool = spool or self.spool
        assert list((spool / "tmp").iterdir()) == []
        files = sorted((spool / "new").iterdir())
        assert all(_NAME.fullmatch(file.name) for file in files)
        return files

    def letters(self) -> list[Letter]:
        """Return the letters in the order of their names."""
        return [Letter.decode(file.read_bytes()) for file in self.files()]

    def failures(self) -> list[Letter]:
        """Return the letters of failed logins likewise."""
        return [Letter.decode(file.read_bytes()) for file in self.files(self.spool / "failed")]


class Syslog:
    """A syslog daemon that only listens."""

    def __init__(self, path: Path) -> None:
        """Bind the socket; it is /dev/log in namespaces entered with it."""
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the socket."""
        self._socket.close()

    def messages(self) -> list[str]:
        """Return what our module has said since the last call: "<priority>" and the text."""
        messages: list[str] = []
        while True:
            try:
                message = self._socket.recv(65536).decode()
            except BlockingIOError:
                return messages
            match = re.fullmatch(r"(<\d+>).*?pam_wtmpdb_spool\([^)]*\): (.*)", message, re.DOTALL)
            if match is not None:
                messages.append(match[1] + match[2])


def mount(source: str, target: Path | str, kind: str | None, flags: int = 0, data: str = "") -> None:
    """Mount a file system."""
    arguments = (source.encode(), os.fsencode(target), kind and kind.encode(), ctypes.c_ulong(flags), data.encode())
    if _libc.mount(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(target))


def enter_namespace(log: Syslog | None) -> None:
    """Give this process mounts of its own: with them an empty /run, and a /dev whose log is the given one."""
    if _libc.unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    mount("tmpfs", "/run", "tmpfs")
    mount("tmpfs", "/dev", "tmpfs")
    if log is not None:
        _libc.closelog()  # the connection of before
        Path("/dev/log").symlink_to(log.path)


def in_child(function: Callable[[], object]) -> None:
    """Run in a child process, so that what it changes ends with it; its failure, or a hang, fails here."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads: none of them is ours
        child = os.fork()
    if child == 0:
        message = ""
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(30)
            function()
        except BaseException:  # noqa: BLE001 - it is told to the parent, which raises it
            message = traceback.format_exc()
        os.write(writer, message.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        message = stream.read()
    _, status = os.waitpid(child, 0)
    assert not message, message
    assert status == 0, f"the child ended with status {status}"
