# SPDX-License-Identifier: BSD-2-Clause
"""The spool of letters."""

from __future__ import annotations

import os
import resource
import threading
import time
from pathlib import Path

import pytest

from support import NOON, make_spool, opened, post
from wtmpdb import spool as module
from wtmpdb.event import BrokenLetterError
from wtmpdb.spool import BusyError, Spool, SpoolError, waiting

ME = os.getuid()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make an empty spool."""
    return make_spool(tmp_path / "spool")


def test_names_in_order_of_time(path: Path) -> None:
    """Letters are named in the order of their time, whatever the order they came in."""
    late, early = opened(time=NOON + 1), opened(time=NOON)
    post(path, late, early)
    with Spool(str(path), owner=ME) as spool:
        assert spool.names() == [early.id, late.id]


def test_waiting(path: Path, tmp_path: Path) -> None:
    """One can ask whether letters wait, and the answer is no where there is no spool."""
    assert not waiting(str(path))
    post(path, opened())
    assert waiting(str(path))
    assert not waiting(str(tmp_path / "absent"))


def test_read_and_remove(path: Path) -> None:
    """A letter can be read, taken away, and taken away once more."""
    event = opened("bob")
    post(path, event)
    with Spool(str(path), owner=ME) as spool:
        assert spool.read(event.id).user == "bob"
        spool.remove(event.id)
        spool.remove(event.id)
        assert spool.names() == []
        with pytest.raises(FileNotFoundError):
            spool.read(event.id)


@pytest.mark.parametrize("kind", ["link", "fifo", "directory", "long", "binary name", "long name"])
def test_odd_letters(path: Path, kind: str) -> None:
    """What is no plain file of a fair size and name is broken, and never followed, waited for or read whole."""
    name, letter = "odd", path / "new" / "odd"
    if kind == "link":
        letter.symlink_to("/etc/passwd")
    elif kind == "fifo":
        os.mkfifo(letter)
    elif kind == "directory":
        letter.mkdir()
    elif kind == "long":
        letter.write_bytes(bytes(100_000))
    else:
        name = os.fsdecode(b"\xff\xfe") if kind == "binary name" else "n" * 200
        (path / "new" / name).touch()
    with Spool(str(path), owner=ME) as spool:
        with pytest.raises(BrokenLetterError):
            spool.read(name)
        spool.quarantine(name)
        assert spool.names() == []
    assert os.listdir(path / "bad") == [name]


@pytest.mark.skipif(ME != 0, reason="only root can give a letter to another user")
def test_letters_of_others(path: Path) -> None:
    """A letter that another user wrote is broken."""
    post(path, event := opened())
    os.chown(path / "new" / event.id, 12345, -1)
    with Spool(str(path), owner=ME) as spool, pytest.raises(BrokenLetterError, match="regular file of user"):
        spool.read(event.id)


def test_a_passing_fault_is_not_the_letters(path: Path) -> None:
    """When the process has too many files open, a letter is not taken to be broken; it waits."""
    post(path, event := opened())
    with Spool(str(path), owner=ME) as spool:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            with pytest.raises(SpoolError):
                spool.read(event.id)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert spool.read(event.id).user == "alice"


def test_quarantine_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When bad/ is full, broken letters are deleted: they cannot fill the disk."""
    monkeypatch.setattr(module, "MOST_BROKEN", 2)
    for number in range(4):
        (path / "new" / f"{number}").touch()
    with Spool(str(path), owner=ME) as spool:
        for number in range(4):
            spool.quarantine(f"{number}")
    assert len(os.listdir(path / "bad")) == 2
    assert os.listdir(path / "new") == []


def test_one_at_a_time(path: Path) -> None:
    """Only one process at a time empties a spool."""
    with Spool(str(path), owner=ME), pytest.raises(BusyError):
        Spool(str(path), owner=ME)
    Spool(str(path), owner=ME).close()


def test_waits_for_the_lock(path: Path) -> None:
    """A process that is asked to waits for the lock, as long as it is asked to."""
    first = Spool(str(path), owner=ME)
    began = time.monotonic()
    with pytest.raises(BusyError):
        Spool(str(path), owner=ME, wait=0.1)
    assert time.monotonic() - began >= 0.1
    threading.Timer(0.1, first.close).start()
    Spool(str(path), owner=ME, wait=10).close()


@pytest.mark.parametrize("mode", [0o770, 0o707])
@pytest.mark.parametrize("place", ["", "tmp", "new", "bad"])
def test_open_directories(path: Path, place: str, mode: int) -> None:
    """A spool into which others may write is not used."""
    (path / place).chmod(mode)
    with pytest.raises(SpoolError, match="writable by nobody else"):
        Spool(str(path), owner=ME)


def test_missing_directories(path: Path, tmp_path: Path) -> None:
    """A missing spool, or part of it, is named in the error; a link in its place is not followed."""
    with pytest.raises(SpoolError, match="absent: No such file"):
        Spool(str(tmp_path / "absent"), owner=ME)
    (path / "bad").rmdir()
    with pytest.raises(SpoolError, match="spool/bad: No such file"):
        Spool(str(path), owner=ME)
    (path / "bad").symlink_to(tmp_path)
    with pytest.raises(SpoolError, match="spool/bad"):
        Spool(str(path), owner=ME)


def test_rescue(path: Path) -> None:
    """What a killed writer left in tmp/ is taken up: whole letters become letters, halves go away; what is fresh or of who lives is left alone."""
    dead, alive = (f"{NOON:020}.{pid:010}" for pid in (2**31 - 1, os.getpid()))
    whole, half, slow, fresh = opened(id=f"{dead}.1.a"), opened(id=f"{dead}.2.a"), opened(id=f"{alive}.1.a"), opened()
    for event, letter in ((whole, whole.encode()), (half, half.encode()[:50]), (slow, slow.encode()[:50]), (fresh, fresh.encode())):
        (path / "tmp" / event.id).write_bytes(letter)
    for event in (whole, half, slow):
        os.utime(path / "tmp" / event.id, (time.time() - 1000,) * 2)
    (path / "tmp" / "directory").mkdir()
    os.utime(path / "tmp" / "directory", (0, 0))
    with Spool(str(path), owner=ME) as spool:
        spool.rescue()
        assert spool.names() == [whole.id]
    assert sorted(os.listdir(path / "tmp")) == sorted([fresh.id, slow.id, "directory"])
