# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures for the doctor: a tree of a machine on which all is well, for the tests to break."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import NOON, SECOND, Machine, make_file, make_spool
from wtmpdb.doctor.case import Case
from wtmpdb.installation import places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.doctor.finding import Finding

PAM = Path(__file__).parents[2] / "pam"
COMMON = """# managed by a tool
session [default=1] pam_permit.so
session requisite pam_deny.so
session required pam_permit.so
session required pam_unix.so
session optional pam_wtmpdb_spool.so
"""
PLAIN = "auth required pam_permit.so\naccount required pam_permit.so\n"
DAY = 86_400


class World:
    """A tree. Its clock stands at noon."""

    def __init__(self, root: Path) -> None:
        """Make what an installation consists of; the module, which has to be built, is not there."""
        self.root = root
        self.security = root / "usr/lib/x86_64-linux-gnu/security"
        self.write("usr/lib/x86_64-linux-gnu/security/pam_permit.so", "")
        self.write("etc/pam.d/common-session", COMMON)
        self.write("etc/pam.d/common-session-noninteractive", COMMON.replace("session optional pam_wtmpdb_spool.so\n", ""))
        for name in ("login", "su", "sshd"):
            self.stack(name, "@include common-session\n")
        self.stack("cron", "@include common-session-noninteractive\n")
        self.stack("other", "@include common-session\n")
        self.write("opt/wtmpdb/bin/wtmpdb", "#!/usr/bin/python3 -ISB\n").chmod(0o755)
        self.write("usr/bin/python3", "").chmod(0o755)
        self.write("opt/wtmpdb/lib/python3.11/site-packages/wtmpdb.py", "")
        self.link("usr/local/bin/wtmpdb", "/opt/wtmpdb/bin/wtmpdb")
        self.state = root / "var/lib/wtmpdb"
        self.state.mkdir(parents=True)
        self.spool = make_spool(self.state / "spool")
        self.database = self.state / "wtmp.db"

    def write(self, name: str, text: str) -> Path:
        """Write a file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def link(self, name: str, target: str) -> None:
        """Make a link, which leads into the tree."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(f"{self.root}{target}")

    def stack(self, service: str, text: str) -> Path:
        """Write a PAM service."""
        return self.write(f"etc/pam.d/{service}", PLAIN + text)

    def history(self, *rows: tuple[object, ...], **options: bool) -> Path:
        """Make a history."""
        return make_file(self.database, rows, **options)

    def case(self, **facts: object) -> Case:
        """Return the case, at noon."""
        known: dict[str, object] = {"system": Machine(), "now": NOON / SECOND} | facts
        return Case(str(self.root), **known)  # type: ignore[arg-type]

    def records(self, **options: bool) -> None:
        """Leave a record of setup."""
        from wtmpdb.installation.ledger import Ledger  # noqa: PLC0415

        ledger = Ledger(str(self.root))
        ledger.options |= options
        ledger.save()

    def debian_13(self) -> None:
        """Give it an sshd that records by itself."""
        self.write("usr/sbin/sshd", "libwtmpdb.so.0")

    def pam_path(self) -> str:
        """Return where our module is."""
        return str(self.security / places.MODULE)


def said(findings: list[Finding], state: str) -> list[str]:
    """Return what the findings of a state say, each with its hint."""
    return [f"{finding.what} -> {finding.hint}" for finding in findings if finding.state == state]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Make a tree in which all belongs to root."""
    if os.geteuid() != 0:
        pytest.skip("what is installed has to belong to root")
    return World(tmp_path)


@pytest.fixture(scope="session")
def build() -> Iterator[Path]:
    """Build the PAM module."""
    missing = [tool for tool in ("make", "cc") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {missing}")
    with tempfile.TemporaryDirectory(prefix="wtmpdb-pam-") as directory:
        subprocess.run(["make", "-s", "-C", PAM, f"BUILD={directory}", "all"], check=True, timeout=120)
        yield Path(directory)
