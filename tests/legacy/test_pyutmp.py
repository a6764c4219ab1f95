# SPDX-License-Identifier: BSD-2-Clause
"""The interface of the old pyutmp."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from every_layout import BEGIN, content, history, make
from wtmpdb.legacy import LegacyError, encode
from wtmpdb.legacy.record import DEAD_PROCESS
from wtmpdb.pyutmp import UtmpFile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def utmp(tmp_path: Path) -> str:
    """Make a file of three entries."""
    path = tmp_path / "utmp"
    path.write_bytes(content("glibc-384-le", history(3)))
    return str(path)


def test_entries(utmp: str) -> None:
    """Entries have the fields that pyutmp gave them."""
    boot, login, logout = UtmpFile(utmp)
    assert (boot.ut_type, boot.ut_user_process, boot.ut_user, boot.ut_line) == ("BOOT_TIME", False, "reboot", "/dev/~")
    assert (login.ut_type, login.ut_user_process, login.ut_user, login.ut_line) == ("USER_PROCESS", True, "user1", "/dev/pts/0")
    assert (login.ut_host, login.ut_pid, login.ut_id, login.ut_exit_code, login.ut_session) == ("192.0.2.1", 501, "ts/0", 0, 0)
    assert (type(login.ut_time), login.ut_time) == (float, BEGIN + 60.0)
    assert (logout.ut_type, login.ut_addr) == ("DEAD_PROCESS", [0, 0, 0, 0])
    assert repr(login) == f"<Utmp USER_PROCESS 'user1' on '/dev/pts/0' at {BEGIN + 60.0}>"


def test_rewind(utmp: str) -> None:
    """An iteration goes on where the last one stopped, and begins anew after a rewind."""
    file = UtmpFile(utmp)
    first = next(iter(file))
    assert [entry.ut_type for entry in file] == ["USER_PROCESS", "DEAD_PROCESS"]
    assert list(file) == []
    file.rewind()
    assert next(iter(file)).ut_time == first.ut_time


def test_rare_fields(tmp_path: Path) -> None:
    """Addresses are four octets, times have fractions, an empty line stays empty, and an unknown type is called so."""
    fields = (*make(DEAD_PROCESS, b"", b"", BEGIN, micros=500_000)[:8], bytes((192, 0, 2, 7)) + bytes(12), 9, 1, 2)
    odd = make(77, b"x", b"tty1", BEGIN)
    (tmp_path / "f").write_bytes(content("glibc-384-le", history(1)) + encode("glibc-384-le", fields) + encode("glibc-384-le", odd))
    _, entry, unknown = UtmpFile(str(tmp_path / "f"))
    assert (entry.ut_addr, entry.ut_time, entry.ut_line) == ([192, 0, 2, 7], BEGIN + 0.5, "")
    assert (entry.ut_session, entry.ut_exit_code, unknown.ut_type) == (9, 2, "UNKNOWN")


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there is told when it is read."""
    with pytest.raises(LegacyError, match="No such file"):
        list(UtmpFile(str(tmp_path / "none")))
