# SPDX-License-Identifier: BSD-2-Clause
"""Boots and shutdowns."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

import pytest

from support import BOOT_KEY, HOUR, NOON, SECOND, Machine, edit, make_file, table
from wtmpdb import audit, boot
from wtmpdb.__main__ import main
from wtmpdb.errors import LogError
from wtmpdb.log import Log
from wtmpdb.system import System


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep away from the machine: no audit, no systemd, and the key of the boot in a place of the test's own."""
    monkeypatch.setattr(boot, "BOOT_KEY", str(tmp_path / "boot"))
    monkeypatch.setattr(boot, "_ask_systemd", lambda *_: {})
    monkeypatch.setattr(audit, "send", lambda _: True)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return where a history may be made."""
    return str(tmp_path / "wtmp.db")


def test_boot_and_shutdown(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A boot is one row and its shutdown closes it, however often both are recorded; meanwhile its key lies ready; the audit hears of both."""
    machine = Machine(boot=NOON)
    told: list[int] = []
    monkeypatch.setattr("wtmpdb.log.DATABASE", path)
    monkeypatch.setattr(audit, "send", told.append)
    monkeypatch.setattr(audit, "sent_by_others", lambda: False)
    assert boot.begin(system=machine) == "written"
    assert boot.begin(system=machine) == "known"
    assert (tmp_path / "boot").read_text() == f"{BOOT_KEY}\n"
    assert (tmp_path / "boot").stat().st_mode & 0o777 == 0o644
    with Log.read(path) as log:
        assert boot.began(log) == NOON
    assert boot.end(system=machine)
    assert not boot.end(system=machine)
    assert not (tmp_path / "boot").exists()
    assert told == [audit.SYSTEM_BOOT, audit.SYSTEM_SHUTDOWN]
    [row] = table(Path(path))
    assert row[:4] == (1, 1, "reboot", NOON)
    assert abs(int(str(row[4])) - time.time() * SECOND) < 10 * SECOND


def test_boot_goes_on(path: str) -> None:
    """When the service is restarted, the boot that it closed is open again, and its real end is recorded."""
    machine = Machine(boot=NOON)
    boot.begin(path, system=machine)
    boot.end(path, system=machine)
    assert boot.begin(path, system=machine) != "written"
    assert [row[4] for row in table(Path(path))] == [None]
    assert boot.end(path, system=machine)


def test_shutdown_after_logrotate(path: str) -> None:
    """When logrotate has taken the row of this boot away, the shutdown writes it anew, closed."""
    machine = Machine(boot=NOON)
    boot.begin(path, system=machine)
    os.unlink(path)
    assert boot.end(path, system=machine)
    [row] = table(Path(path))
    assert row[3] == NOON
    assert row[4] is not None


def test_shutdown_closes_no_other_boot(path: str) -> None:
    """A shutdown leaves the boots of before, and those that C recorded, as they are."""
    boot.begin(path, system=Machine(key="before/0/1", boot=NOON - 9 * HOUR))
    make_file(Path(path), [(1, "reboot", NOON - HOUR, None, "~", "6.1", None)])
    boot.begin(path, system=Machine(boot=NOON))
    boot.end(path, system=Machine(boot=NOON))
    assert [row[4] is None for row in table(Path(path))] == [True, True, False]


def test_soft_reboot(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A soft reboot is a row of its own, with the time at which systemd says its user space began."""
    began = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 - 5 * SECOND
    monkeypatch.setattr(boot, "_ask_systemd", lambda *_: {"SoftRebootsCount": 1, "UserspaceTimestampMonotonic": began})
    boot.begin(path, system=Machine(boot=NOON))
    [row] = table(Path(path))
    assert row[2] == "soft-reboot"
    assert abs(int(str(row[3])) - (time.time() - 5) * SECOND) < 3 * SECOND


def test_row_of_c_is_adopted(path: str) -> None:
    """A boot row that the C tool wrote for this boot becomes ours, also where it took the host's start for a container's."""
    for seconds in (3, 7200):
        make_file(Path(path), [(1, "reboot", NOON - seconds * SECOND, None, "~", "6.1", None)], ours=False)
        machine = Machine(boot=NOON)
        machine.kernel_start = lambda seconds=seconds: NOON - seconds * SECOND  # type: ignore[method-assign,misc]
        assert boot.begin(path, system=machine) != "written"
        assert [row[3] for row in table(Path(path))] == [NOON]
        assert boot.end(path, system=machine)
        os.unlink(path)


def test_correction(path: str) -> None:
    """A clock that was wrong at boot is corrected later, once; a small difference is left."""
    boot.begin(path, system=Machine(boot=5 * SECOND))
    assert boot.correct(path, system=Machine(boot=NOON)) == NOON - 5 * SECOND
    assert boot.correct(path, system=Machine(boot=NOON + SECOND)) == 0
    with Log.read(path) as log:
        assert boot.began(log) == NOON
    assert boot.end(path, system=Machine(boot=NOON))


def test_correction_of_nothing(path: str) -> None:
    """Where this boot has no row, nothing is corrected."""
    assert boot.correct(path, system=Machine(boot=NOON)) is None
    assert table(Path(path)) == []


def test_no_boot(path: str) -> None:
    """Without any boot recorded, the time of boot is an error with a hint."""
    make_file(Path(path), [])
    with Log.read(path) as log, pytest.raises(LogError, match="no boot has been recorded"):
        boot.began(log)


def test_locked_history(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the history is locked a boot cannot be recorded: that is an error, and the key is left all the same."""
    make_file(Path(path), [])
    monkeypatch.setattr("wtmpdb.log.DATABASE", path)
    monkeypatch.setattr("wtmpdb.log.Log.write.__func__.__kwdefaults__", {"timeout": 0.1, "private": False})
    with edit(Path(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogError, match="locked"):
            boot.begin(system=Machine(boot=NOON))
    assert (tmp_path / "boot").exists()
    assert boot.begin(system=Machine(boot=NOON))


def test_commands(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands say what they did, or nothing with --quiet, on this very machine."""
    assert main(["wtmpdb", "boot", "-f", path]) == 0
    assert main(["wtmpdb", "boot", "-f", path]) == 0
    assert main(["wtmpdb", "boot", "-f", path, "--correct"]) == 0
    assert main(["wtmpdb", "boot", "-q", "-f", path]) == 0
    assert main(["wtmpdb", "shutdown", "-f", path]) == 0
    assert main(["wtmpdb", "shutdown", "-f", path]) == 0
    assert main(["wtmpdb", "shutdown", "-q", "-f", path]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "wtmpdb boot: recorded",
        "wtmpdb boot: this boot has been recorded before",
        "wtmpdb boot: the time of this boot stands",
        "wtmpdb shutdown: recorded",
        "wtmpdb shutdown: nothing to do: this boot has no open row",
    ]
    [row] = table(Path(path))
    assert abs(int(str(row[3])) - System().boot_time()) < 5 * SECOND


def test_boottime(path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The time of boot is printed as the C tool prints it."""
    make_file(Path(path), [(1, "reboot", NOON, None, "~", "6.1", None)])
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert main(["wtmpdb", "boottime", "-f", path]) == 0
    assert capsys.readouterr().out == "system boot Fri Mar  1 12:00:00 2024\n"


def test_boottime_of_this_machine(path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a file the history of this machine is asked, as whoever asks may see it; where there is none yet, a hint says who makes it."""
    monkeypatch.setattr("wtmpdb.home.history", lambda: Log.read(path))
    assert main(["wtmpdb", "boottime"]) == 1
    assert "no boot has been recorded yet: 'wtmpdb boot' does it" in capsys.readouterr().err
    make_file(Path(path), [(1, "reboot", NOON, None, "~", "6.1", None)])
    assert main(["wtmpdb", "boottime"]) == 0
    assert "12:00:00 2024" in capsys.readouterr().out


class TestAskingSystemd:
    @pytest.fixture
    def systemctl(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Put a systemctl of the test's own in the place of the machine's."""
        monkeypatch.undo()
        program = tmp_path / "systemctl"
        run = subprocess.run

        def instead(command: list[str], **options: object) -> object:
            return run([str(program), *command[1:]], **options)  # type: ignore[call-overload]

        monkeypatch.setattr(subprocess, "run", instead)
        return program

    def test_answers(self, systemctl: Path) -> None:
        """What systemd answers in numbers is taken; what it does not know is left out."""
        systemctl.write_text("#!/bin/sh\necho SoftRebootsCount=2\necho UserspaceTimestampMonotonic=\necho nonsense\n")
        systemctl.chmod(0o755)
        assert boot._ask_systemd("SoftRebootsCount", "UserspaceTimestampMonotonic") == {"SoftRebootsCount": 2}

    def test_run_level(self, systemctl: Path) -> None:
        """The run level is that of the highest target that was reached, since then."""
        block = "Id={}.target\nActiveState={}\nActiveEnterTimestampMonotonic={}\n"
        reached = [("graphical", "inactive", 0), ("multi-user", "active", 5 * SECOND), ("rescue", "active", 3 * SECOND)]
        systemctl.write_text("#!/bin/sh\ncat <<END\n" + "\n".join(block.format(*unit) for unit in reached) + "END\n")
        systemctl.chmod(0o755)
        level, since = boot.run_level() or ("", 0)
        assert level == "3"
        assert abs(since - (time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) + 5) * SECOND) < SECOND

    def test_absent(self, systemctl: Path) -> None:
        """Without systemctl there are no answers."""
        assert not systemctl.exists()
        assert boot._ask_systemd("SoftRebootsCount") == {}


class TestAudit:
    def test_senders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """We send nothing where systemd or the C tool does, unless their unit is masked."""
        monkeypatch.setattr(audit, "_UNITS", str(tmp_path))
        monkeypatch.setattr(audit, "_MASKS", str(tmp_path / "etc"))
        assert not audit.sent_by_others()
        (tmp_path / "wtmpdb-update-boot.service").touch()
        assert audit.sent_by_others()
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc" / "wtmpdb-update-boot.service").symlink_to("/dev/null")
        assert not audit.sent_by_others()

    def test_kernel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The kernel takes the record or refuses it; neither is an error of ours."""
        monkeypatch.undo()
        try:
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9).close()
        except OSError:
            assert audit.send(1121) is False
        else:
            assert audit.send(1121) in (True, False)  # AUDIT_TRUSTED_APP: a record of ours that is no boot

    @pytest.mark.parametrize(("answer", "taken"), [(0, True), (-1, False)])
    def test_answer(self, answer: int, taken: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """The kernel's acknowledgement decides whether the record was taken."""
        monkeypatch.undo()
        ours, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        kernel.send(audit._HEADER.pack(36, 2, 0, 1, 0) + audit._ANSWER.pack(answer))
        monkeypatch.setattr(socket, "socket", lambda *_: Netlink(ours))
        assert audit.send(audit.SYSTEM_BOOT) is taken
        message = kernel.recv(1000)
        assert audit._HEADER.unpack_from(message)[:2] == (len(message), 1127)
        assert b'comm="wtmpdb"' in message
        kernel.close()


class Netlink:
    """A socket that takes a netlink address and has its peer already."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._peer.close()

    def settimeout(self, seconds: float) -> None:
        """Do as a socket does."""
        self._peer.settimeout(seconds)

    def sendto(self, data: bytes, _: object) -> int:
        """Send to the peer."""
        return self._peer.send(data)

    def recv(self, size: int) -> bytes:
        """Receive from the peer."""
        return self._peer.recv(size)


def test_another_file_is_not_this_machines(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recording into another file neither tells the kernel's audit nor touches the key of the running boot."""
    told: list[int] = []
    monkeypatch.setattr(audit, "send", told.append)
    monkeypatch.setattr(audit, "sent_by_others", lambda: False)
    (tmp_path / "boot").write_text("key\n")
    assert boot.begin(path, system=Machine(boot=NOON))
    assert boot.end(path, system=Machine(boot=NOON))
    assert (tmp_path / "boot").read_text() == "key\n"
    assert told == []


def test_a_shell_in_a_container_finds_the_boot_of_the_service(path: str) -> None:
    """The same process 1 and soft reboots under another boot id are the same boot: by hand it gets no second row, and can be corrected."""
    assert boot.begin(path, system=Machine(key="a/0/23", boot=NOON)) == "written"
    shell = Shell(key="b/0/23", boot=NOON - 100 * SECOND)
    assert boot.begin(path, system=shell) == "known"
    assert boot.correct(path, system=shell) == -100 * SECOND
    assert len(table(Path(path))) == 1


class Shell(Machine):
    """A machine where another boot id was left by the service."""

    def boot_key_left(self) -> str:
        """Return what the service left."""
        return "a/0/23"
