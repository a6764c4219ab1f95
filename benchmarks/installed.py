# SPDX-License-Identifier: BSD-2-Clause
"""The program as it is installed: the package in a site-packages of its own, byte-compiled, behind the launcher of setup."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import ROOT, Skipped

from wtmpdb.installation.program import LAUNCHER

if TYPE_CHECKING:
    from collections.abc import Iterator

PYTHON = "/usr/bin/python3"


@contextmanager
def installed(database: Path | None = None, spool: Path | None = None) -> Iterator[str]:
    """Make an installation for a while; yield the path of its launcher. ``database`` and ``spool`` are what it takes for this machine's."""
    with tempfile.TemporaryDirectory(prefix="wtmpdb-installed-") as name:
        prefix = Path(name)
        package = prefix / "lib" / f"python{_version()}" / "site-packages" / "wtmpdb"
        shutil.copytree(ROOT / "src" / "wtmpdb", package, ignore=shutil.ignore_patterns("__pycache__"))
        _compile(package)
        text = LAUNCHER.format(python=PYTHON, prefix=name)
        for name_of_place, place in (("log.DATABASE", database), ("spool.SPOOL", spool)):
            if place:
                text = text.replace("from wtmpdb.", f"import wtmpdb.log, wtmpdb.spool; wtmpdb.{name_of_place} = {str(place)!r}; from wtmpdb.", 1)
        program = prefix / "wtmpdb"
        program.write_text(text)
        program.chmod(0o755)
        yield str(program)


def _version() -> str:
    if not Path(PYTHON).exists():
        raise Skipped(f"no {PYTHON}")
    command = [PYTHON, "-ISc", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _compile(package: Path) -> None:
    """Compile for the Python that runs it, which need not be the one of the benchmarks."""
    subprocess.run([PYTHON, "-ISm", "compileall", "-q", str(package)], check=True)
