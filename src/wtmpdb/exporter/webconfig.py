# SPDX-License-Identifier: BSD-2-Clause
"""The file of ``--web.config.file``, as Prometheus's exporter-toolkit has it: TLS, client certificates, users with bcrypt passwords, headers.

It is looked at with each connection and read again when it, a certificate or a key has changed. While what is there now is broken nobody is let in:
going on with the one of before could keep somebody in who was to be locked out. Nor is anybody let in when a file of before asked for TLS or
passwords and that of now does not: half a file, caught while it was being written, must not open the door.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import bcrypt
import yaml

from wtmpdb.errors import WtmpdbError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LARGEST_FILE = 1 << 20
_HASH = re.compile(r"\$2[aby]\$(0[4-9]|1[0-7])\$[./A-Za-z0-9]{53}")
_BCRYPT_READS = 72
_MOST_REMEMBERED = 100

_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_CLIENTS = {"NoClientCert": ssl.CERT_NONE, "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL, "RequireAndVerifyClientCert": ssl.CERT_REQUIRED}
_HEADERS = ("Content-Security-Policy", "X-Frame-Options", "X-Content-Type-Options", "X-XSS-Protection", "Strict-Transport-Security")
_SECTIONS = {
    "tls_server_config": ("cert_file", "key_file", "client_ca_file", "client_auth_type", "client_allowed_sans", "min_version", "max_version"),
    "http_server_config": ("http2", "headers"),
    "basic_auth_users": None,
}


class Passwords:
    """Users and the bcrypt hashes of their passwords."""

    def __init__(self, users: Mapping[str, str]) -> None:
        """Keep the hashes by the names of the users."""
        self._users = dict(users)
        self._lock = threading.Lock()
        self._salt = os.urandom(16)
        self._remembered: dict[bytes, None] = {}  # what was right: bcrypt takes its time

    def __bool__(self) -> bool:
        """Tell whether there is any user."""
        return bool(self._users)

    def are_right(self, user: str, password: bytes) -> bool:
        """Tell whether this is the password of the user. A user that is not there takes as long as one that is."""
        # Who is unknown is measured against the hash of somebody else, and refused whatever comes of it.
        stored = self._users.get(user) or next(iter(self._users.values()))
        mark = hashlib.blake2b(b"\0".join((user.encode("utf-8", "replace"), password)), key=self._salt).digest()
        if mark in self._remembered:
            return True
        with self._lock:  # one at a time: guessing must not take all processors
            try:
                fits = bcrypt.checkpw(password[:_BCRYPT_READS], stored.encode())
            except ValueError:  # a password with a NUL, for some versions
                fits = False
        if not fits or user not in self._users:
            return False
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[mark] = None
        return True


class Guard(NamedTuple):
    """Who is let in, and how: a context for TLS, names that a client certificate must bear one of, users, headers for each response."""

    context: ssl.SSLContext | None
    names: frozenset[str]
    passwords: Passwords
    headers: Mapping[str, str]


_OPEN = Guard(None, frozenset(), Passwords({}), {})


class WebConfig:
    """The file, and what it says now."""

    def __init__(self, path: str) -> None:
        """Read the file at ``path``. Raises WtmpdbError when it is not right."""
        self._path = path
        self._lock = threading.Lock()
        self._seen: dict[str, object] = {path: "not yet"}  # what each file looked like just before it was read
        self._error: WtmpdbError | None = None
        self._guard = _OPEN
        self._guard = self.guard()

    def guard(self) -> Guard:
        """Return what the file says now. Raises WtmpdbError while it is not right."""
        with self._lock:
            if any(_look(path) != facts for path, facts in self._seen.items()):
                try:
                    self._guard, self._error = self._read(), None
                except WtmpdbError as error:
                    self._error = error
            if self._error:
                raise self._error
            return self._guard

    def _read(self) -> Guard:
        self._seen = {self._path: _look(self._path)}
        content = _loaded(self._path)
        for name, keys in _SECTIONS.items():
            part = content.setdefault(name, {}) or {}
            if not isinstance(part, dict):
                raise self._wrong(f"{name} is no mapping")
            content[name] = part
            self._check_names(part, keys, f"{name}: ")
        self._check_names(content, _SECTIONS, "")
        context, names = self._tls(content["tls_server_config"]) if content["tls_server_config"] else (None, frozenset[str]())
        passwords = Passwords(self._users(content["basic_auth_users"]))
        if (self._guard.context and not context) or (self._guard.passwords and not passwords):
            raise self._wrong("asks for less than before", hint="restart the exporter if that is meant")
        return Guard(context, names, passwords, self._headers(content["http_server_config"]))

    def _check_names(self, part: Mapping[str, Any], known: Iterable[str] | None, where: str) -> None:
        if known is not None and (unknown := [name for name in part if name not in known]):
            raise self._wrong(f"{where}{unknown[0]!s:.60} is not supported")

    def _wrong(self, what: str, hint: str = "") -> WtmpdbError:
        return WtmpdbError(f"{self._path}: {what}", hint)

    def _file(self, part: Mapping[str, Any], name: str) -> str:
        path = part.get(name)
        if not isinstance(path, str) or not path:
            raise self._wrong(f"tls_server_config: {name} is missing")
        path = os.path.join(os.path.dirname(os.path.abspath(self._path)), path)
        self._seen[path] = _look(path)
        return path

    def _choice(self, part: Mapping[str, Any], name: str, known: Mapping[str, Any], otherwise: str) -> Any:
        value = part.get(name) or otherwise
        if value not in known:
            raise self._wrong(f"tls_server_config: {name}: {value!s:.60} is not supported", hint=f"there are {', '.join(known)}")
        return known[value]

    def _tls(self, part: Mapping[str, Any]) -> tuple[ssl.SSLContext, frozenset[str]]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self._choice(part, "min_version", _VERSIONS, "TLS12")
        context.maximum_version = self._choice(part, "max_version", _VERSIONS, "TLS13")
        certificate, key = self._file(part, "cert_file"), self._file(part, "key_file")
        verify = self._choice(part, "client_auth_type", _CLIENTS, "NoClientCert")
        names = part.get("client_allowed_sans") or []
        if not isinstance(names, list) or (names and verify != ssl.CERT_REQUIRED):
            raise self._wrong("tls_server_config: client_allowed_sans is a list, and needs client_auth_type: RequireAndVerifyClientCert")
        authority = self._file(part, "client_ca_file") if verify != ssl.CERT_NONE or part.get("client_ca_file") else None
        try:
            what = certificate
            context.load_cert_chain(certificate, key, password=lambda: "")  # an encrypted key must not ask the terminal
            if authority:
                what = authority
                context.load_verify_locations(authority)
        except (OSError, ValueError) as error:
            raise WtmpdbError(f"{what}: {getattr(error, 'strerror', None) or error}") from error
        if authority and verify == ssl.CERT_NONE:
            raise self._wrong("tls_server_config: client_ca_file without a client_auth_type that asks for a certificate")
        context.verify_mode = verify
        return context, frozenset(map(str, names))

    def _users(self, part: Mapping[Any, Any]) -> dict[str, str]:
        for user, stored in part.items():
            if not isinstance(stored, str) or not _HASH.fullmatch(stored):
                raise self._wrong(
                    f"basic_auth_users: {user!s:.60} has no hash of bcrypt with a cost of 4 to 17", hint="'htpasswd -nBC 10 USER' makes one"
                )
        return {str(user): stored for user, stored in part.items()}

    def _headers(self, part: Mapping[str, Any]) -> dict[str, str]:
        headers = part.get("headers") or {}
        if not isinstance(headers, dict):
            raise self._wrong("http_server_config: headers is no mapping")
        self._check_names(headers, _HEADERS, "http_server_config: headers: ")
        if any(not str(value).isprintable() or not str(value).isascii() for value in headers.values()):
            raise self._wrong("http_server_config: headers: a value holds what no header can")
        return {name: str(value) for name, value in headers.items() if value}


def _look(path: str) -> tuple[int, ...] | None:
    """Return what tells whether a file was changed."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _loaded(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            content = yaml.safe_load(file.read(_LARGEST_FILE))
    except OSError as error:
        raise WtmpdbError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        raise WtmpdbError(f"{path}: not YAML" + ("" if line is None else f" in line {line + 1}")) from error
    if content is not None and not isinstance(content, dict):
        raise WtmpdbError(f"{path}: is no mapping")
    return content or {}
