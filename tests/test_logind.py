# SPDX-License-Identifier: BSD-2-Clause
"""What logind knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from wtmpdb import logind

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SSH = """# This is private data. Do not parse.
UID=1000
USER=alice
ACTIVE=1
STATE=active
REMOTE=1
CLASS=user
TTY=pts/0
REMOTE_HOST="2001:db8::17"
SERVICE=sshd
LEADER=4711
REALTIME=1795921200123456
"""


def test_session(tmp_path: Path) -> None:
    """A session is read with its user, terminal, host, service, leader, class and time."""
    (tmp_path / "3").write_text(SSH)
    (tmp_path / "3.ref").touch()
    (one,) = logind.logins(str(tmp_path))
    assert (one.id, one.user, one.tty, one.host, one.service) == ("3", b"alice", b"pts/0", b"2001:db8::17", b"sshd")
    assert (one.leader, one.kind, one.seat, one.login, one.is_of_a_person) == (4711, "user", None, 1_795_921_200_123_456, True)


def test_closing(tmp_path: Path) -> None:
    """A session that only waits for its last processes is known as such, and one without a user is none."""
    (tmp_path / "3").write_text(SSH.replace("STATE=active", "STATE=closing"))
    (tmp_path / "4").write_text(SSH.replace("USER=alice\n", ""))
    assert [(one.id, one.closing) for one in logind.logins(str(tmp_path))] == [("3", True)]


def test_no_logind(tmp_path: Path) -> None:
    """Where logind does not run it knows nobody."""
    assert logind.logins(str(tmp_path / "none")) == []


def test_escapes(tmp_path: Path) -> None:
    """What logind has escaped, and bytes that are not UTF-8, come as the history stores them."""
    text = SSH.replace("SERVICE=sshd", r'SERVICE="a\\b\"c\x41\101\n\303"').encode().replace(b"pts/0", b"pts/\xff")
    (tmp_path / "3").write_bytes(text)
    (one,) = logind.logins(str(tmp_path))
    assert one.service == rb'a\134b"cAA\012\303'
    assert one.tty == rb"pts/\377"


@given(data=st.binary(max_size=400))
def test_anything(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever stands in a file, it is read without an error, and no control character gets into a text."""
    directory = tmp_path_factory.mktemp("sessions")
    (directory / "1").write_bytes(b"USER=x\n" + data)
    for one in logind.logins(str(directory)):
        for text in (one.user, one.tty, one.host, one.service):
            assert text is None or text.decode().isprintable()
