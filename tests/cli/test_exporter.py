# SPDX-License-Identifier: BSD-2-Clause
"""The command line of `wtmpdb exporter`: what it refuses, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wtmpdb.__main__ import main
from wtmpdb.cli import exporter

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--collect.max-series=0"], "at least 1"),
        (["--file=a", "--utmp-path=b"], "one of them"),
        (["--textfile=.", "--web.listen-address=:1"], "goes with no --web option"),
        (["--web.telemetry-path=metrics"], "begins with /"),
        (["--web.telemetry-path=/"], "is neither"),
        (["--collect.per"], "unrecognized"),
    ],
)
def test_wrong_usage(words: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage ends with 2, and says what is wrong."""
    assert main(["wtmpdb", "exporter", *words]) == 2
    assert why in capsys.readouterr().err


def test_missing_package(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a package is missing, one line names it, and what to do."""
    monkeypatch.setattr(exporter, "find_spec", lambda _: None)
    assert main(["wtmpdb", "exporter"]) == 1
    said = "wtmpdb exporter: the Python package prometheus_client is not installed (pip install 'wtmpdb[exporter]')\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("option", ["--web.listen-address=nowhere", "--web.config.file=/none/web.yml", "--textfile=/none", "--web.systemd-socket"])
def test_errors_are_one_line(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be done ends with 1 and one line."""
    assert main(["wtmpdb", "exporter", "-f", str(tmp_path / "wtmp.db"), option]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "wtmp.db" not in line]
    assert len(lines) == 1
    assert lines[0].startswith("wtmpdb exporter: ")
