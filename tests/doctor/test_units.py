# SPDX-License-Identifier: BSD-2-Clause
"""The units, by what systemd answers about them."""

from __future__ import annotations

import subprocess

import pytest

from doctor.conftest import World, said
from wtmpdb.doctor import units
from wtmpdb.doctor.case import Case
from wtmpdb.doctor.finding import NOTE, OK, PROBLEM
from wtmpdb.installation import places

GOOD = {"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active", "NeedDaemonReload": "no"}


class Systemd:
    """A systemd of which the test decides everything."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let all units be as they should."""
        self.case = world.case()
        self.case.systemd = True
        self.states = {name: dict(GOOD) for name in places.ENABLED}
        self.states[places.RECORDER] = GOOD | {"UnitFileState": "static", "ActiveState": "inactive"}
        self.states[places.C_BOOT_UNIT] = {"LoadState": "not-found", "UnitFileState": "", "ActiveState": "inactive"}
        self.asked: list[tuple[str, ...]] = []
        monkeypatch.setattr(units, "run", self.run)

    def run(self, _root: str, *command: str, timeout: float) -> subprocess.CompletedProcess[str]:
        """Answer as `systemctl show`."""
        assert timeout <= 10
        self.asked.append(command)
        blocks = ["".join(f"{key}={value}\n" for key, value in {"Id": name, **state}.items()) for name, state in self.states.items()]
        return subprocess.CompletedProcess(command, 0, "\n".join(blocks), "")

    def say(self, state: str) -> list[str]:
        """Return what the check says of a state."""
        return said(list(units.units(self.case)), state)


@pytest.fixture
def systemd(world: World, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    """Give a systemd with all units as they should be."""
    return Systemd(world, monkeypatch)


def test_well(systemd: Systemd) -> None:
    """Units that are enabled and active are one line; systemd is asked once."""
    systemd.states["wtmpdb-boot-time.service"]["ActiveState"] = "inactive"  # no clock has been set yet
    assert systemd.say(OK) == ["6 are enabled and active -> "]
    assert systemd.say(NOTE) == systemd.say(PROBLEM) == []
    assert len(systemd.asked) == 3


@pytest.mark.parametrize(
    ("state", "word", "hint"),
    [
        ({"LoadState": "not-found"}, "is not installed", "sudo wtmpdb setup"),
        ({"LoadState": "bad-setting"}, "cannot be read (bad-setting)", "sudo wtmpdb setup"),
        ({"LoadState": "masked"}, "is masked", "sudo systemctl unmask {0}; sudo systemctl enable --now {0}"),
        ({"ActiveState": "failed"}, "has failed", "sudo journalctl -b -u {0}; then sudo systemctl restart {0}"),
        ({"UnitFileState": "disabled"}, "is not enabled", "sudo systemctl enable --now {0}"),
        ({"ActiveState": "inactive"}, "is enabled, but does not run", "sudo systemctl stop wtmpdb-recorder.service; sudo systemctl start {0}"),
    ],
)
def test_problems(systemd: Systemd, state: dict[str, str], word: str, hint: str) -> None:
    """Each way in which a unit can be wrong is a problem, with the command that mends it; a note where setup was told to leave systemd alone."""
    unit = "wtmpdb-recorder.socket"
    systemd.states[unit] |= state
    assert systemd.say(PROBLEM) == [f"{unit} {word} -> {hint.format(unit)}"]
    Case(systemd.case.root)
    from wtmpdb.installation.ledger import Ledger  # noqa: PLC0415

    ledger = Ledger(systemd.case.root)
    ledger.options["systemd"] = False
    ledger.save()
    assert systemd.say(PROBLEM) == []
    assert systemd.say(NOTE) == [f"{unit} {word} -> {hint.format(unit)}"]


def test_recorder_failed(systemd: Systemd) -> None:
    """A recorder that has failed is a problem, with where it says why."""
    systemd.states[places.RECORDER]["ActiveState"] = "failed"
    assert systemd.say(PROBLEM)[0].startswith("wtmpdb-recorder.service has failed -> sudo journalctl -b -u wtmpdb-recorder.service")


def test_resident(world: World, systemd: Systemd) -> None:
    """A recorder that is to stay, and its socket, are looked at like the others."""
    world.records(recorder=True)
    systemd.states[places.RECORDER] = dict(GOOD)
    systemd.states["wtmpdb-varlink.socket"] = dict(GOOD)
    assert systemd.say(OK) == ["8 are enabled and active -> "]
    systemd.states[places.RECORDER]["ActiveState"] = "inactive"
    systemd.states["wtmpdb-varlink.socket"]["UnitFileState"] = "disabled"
    assert systemd.say(PROBLEM) == [
        "wtmpdb-recorder.service is enabled, but does not run -> sudo systemctl start wtmpdb-recorder.service",
        "wtmpdb-varlink.socket is not enabled -> sudo systemctl enable --now wtmpdb-varlink.socket",
    ]


def test_exporter(world: World, systemd: Systemd) -> None:
    """The exporter's socket is looked at where the exporter was asked for; systemd starts it only while its service does not run."""
    world.records(exporter=True)
    systemd.states["wtmpdb-exporter.socket"] = GOOD | {"ActiveState": "inactive"}
    hint = "sudo systemctl stop wtmpdb-exporter.service; sudo systemctl start wtmpdb-exporter.socket"
    assert systemd.say(PROBLEM) == [f"wtmpdb-exporter.socket is enabled, but does not run -> {hint}"]


def test_reload(systemd: Systemd) -> None:
    """Files that systemd has not read since they changed are a note."""
    systemd.states[places.RECORDER]["NeedDaemonReload"] = "yes"
    assert systemd.say(NOTE)[0].endswith("-> sudo systemctl daemon-reload")


def test_boot_unit_of_c(systemd: Systemd) -> None:
    """The boot unit of the C project is a note where it is enabled, and none where it is masked."""
    systemd.states[places.C_BOOT_UNIT] = dict(GOOD)
    assert systemd.say(NOTE)[0].endswith("-> sudo systemctl mask wtmpdb-update-boot.service")
    systemd.states[places.C_BOOT_UNIT] = {"LoadState": "masked", "UnitFileState": "masked", "ActiveState": "inactive"}
    assert systemd.say(NOTE) == []


@pytest.mark.parametrize("error", [subprocess.TimeoutExpired("systemctl", 5), FileNotFoundError("systemctl")])
def test_no_answer(systemd: Systemd, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A systemd that does not answer is a problem, and holds nobody up."""

    def fail(*_: str, timeout: float) -> None:
        del timeout
        raise error

    monkeypatch.setattr(units, "run", fail)
    assert "systemd does not answer" in systemd.say(PROBLEM)[0]


class TestWithoutSystemd:
    def test_none(self, world: World) -> None:
        """On a machine without systemd it is told what to call instead."""
        found = said(list(units.units(world.case())), NOTE)
        assert found == [f"there is no systemd here -> {units.WITHOUT_SYSTEMD}"]

    def test_not_wanted(self, world: World) -> None:
        """Where setup was told to leave systemd alone, that is told."""
        world.records(systemd=False)
        assert said(list(units.units(world.case())), NOTE) == [f"setup was told to leave systemd alone -> {units.WITHOUT_SYSTEMD}"]

    def test_in_a_tree(self, world: World) -> None:
        """In a tree where systemd is installed but does not run, units that are not there are a problem, and others start with the next boot."""
        world.write("usr/bin/systemctl", "").chmod(0o755)
        assert said(list(units.units(world.case())), PROBLEM)[0].startswith("not installed: wtmpdb-boot.service")
        for name in places.ENABLED:
            world.write(f"{places.UNITS[1:]}/{name}", "")
        assert "they start with the next boot" in said(list(units.units(world.case())), NOTE)[0]
