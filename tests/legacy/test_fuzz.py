# SPDX-License-Identifier: BSD-2-Clause
"""The fuzz target of the reader runs, a minute in CI and a few seconds elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TARGET = Path(__file__).parent / "fuzz_reader.py"


def test_fuzz(tmp_path: Path) -> None:
    """Coverage-guided inputs find neither an error nor a hang."""
    pytest.importorskip("atheris", reason="atheris is not installed")
    seconds = 60 if os.environ.get("CI") else 5
    command = [sys.executable, str(TARGET), f"-max_total_time={seconds}", f"-artifact_prefix={tmp_path}/"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": str(tmp_path)}, timeout=seconds + 120)
    found = [path.read_bytes() for path in tmp_path.glob("*-*") if path.is_file()]
    assert ran.returncode == 0, f"{ran.stderr[-3000:]}\n{found!r}"
    assert "Done " in ran.stderr
