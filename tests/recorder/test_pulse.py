# SPDX-License-Identifier: BSD-2-Clause
"""The recorder's pulse."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support import make_spool, opened, post
from wtmpdb.__main__ import main
from wtmpdb.recorder import pulse
from wtmpdb.recorder.loop import Loop
from wtmpdb.recorder.pulse import Part, beat, felt

HALF_AN_HOUR = 1800


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the spool of a machine, and the place of its pulse."""
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(pulse, "PULSE", str(tmp_path / "run" / "recorder"))
    monkeypatch.setattr(pulse, "SPOOL", str(tmp_path / "spool"))
    return make_spool(tmp_path / "spool")


def test_number_and_time(spool: Path) -> None:
    """It tells how many letters wait and when that was seen, to everybody, whatever the umask."""
    post(spool, opened(), opened())
    before = os.umask(0o077)
    beat(str(spool))
    os.umask(before)
    facts = Path(pulse.PULSE).stat()
    assert felt() == (2, facts.st_mtime_ns // 1000)
    assert facts.st_mode & 0o777 == 0o644
    assert os.listdir(spool.parent / "run") == ["recorder"]


def test_nobody_looked(spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it nobody has looked since the boot; where its directory is not to be seen, in a container say, nobody can tell; nor of nonsense."""
    assert felt() == (0, 0)
    Path(pulse.PULSE).write_text("many")
    assert felt() is None
    monkeypatch.setattr(pulse, "PULSE", str(tmp_path / "elsewhere" / "recorder"))
    beat(str(spool))
    assert felt() is None


def test_what_cannot_be_looked_at_grows_old(spool: Path, tmp_path: Path) -> None:
    """A spool that has gone, and that of another machine, are not told of."""
    beat(str(make_spool(tmp_path / "other")))
    assert felt() == (0, 0)
    spool.rename(tmp_path / "gone")
    beat(str(spool))
    assert felt() == (0, 0)


def test_resident(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder that stays tells at its start, again and again, and at its end."""
    monkeypatch.setattr(pulse, "EVERY", 0.01)
    loop = Loop()
    part = Part(loop, str(spool))
    assert felt()
    os.utime(pulse.PULSE, (HALF_AN_HOUR, HALF_AN_HOUR))
    loop.after(0.1, loop.stop)
    loop.run()
    found = felt()
    assert found
    assert found[1] > HALF_AN_HOUR * 1_000_000
    post(spool, opened())
    part.close()
    assert Path(pulse.PULSE).read_text() == "1\n"
    loop.close()


@pytest.mark.skipif(os.getuid() != 0, reason="the spool has to belong to root")
def test_once(spool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A recorder that is run once tells what it has left: nothing, or, when the history cannot be written, everything."""
    post(spool, opened())
    (tmp_path / "damaged").write_bytes(b"no database " * 100)
    assert main(["wtmpdb", "recorder", "--once", "-f", str(tmp_path / "damaged"), "--spool", str(spool)]) == 1
    assert Path(pulse.PULSE).read_text() == "1\n"
    assert main(["wtmpdb", "recorder", "--once", "-f", str(tmp_path / "wtmp.db"), "--spool", str(spool)]) == 0
    assert Path(pulse.PULSE).read_text() == "0\n"
    capsys.readouterr()
