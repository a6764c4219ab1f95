# SPDX-License-Identifier: BSD-2-Clause
"""The units, as systemd itself judges them, on two versions of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.conftest import Installed

pytestmark = pytest.mark.system
both = pytest.mark.parametrize("name", ["bookworm", "trixie"])

DIRECTORY = "/usr/local/lib/systemd/system"


@both
def test_systemd_understands_every_word(install: Callable[[str], Installed], name: str) -> None:
    """`systemd-analyze verify` has nothing to say about any unit: an unknown word would be told on stderr, with exit code 0."""
    done = install(name).tree.run(f"exec systemd-analyze verify --man=no {DIRECTORY}/wtmpdb-*")
    assert done.stdout + done.stderr == ""


@both
def test_services_are_sandboxed(install: Callable[[str], Installed], name: str) -> None:
    """`systemd-analyze security` rates each service as OK: below 5."""
    script = f"for unit in {DIRECTORY}/wtmpdb-*.service; do systemd-analyze security --offline=yes --no-pager $unit | grep Overall; done"
    ratings = dict(re.findall(r"exposure level for (\S+): ([\d.]+)", install(name).tree.run(script).stdout))
    assert sorted(ratings) == ["wtmpdb-boot-time.service", "wtmpdb-boot.service", "wtmpdb-recorder.service"]
    assert all(float(rating) < 5 for rating in ratings.values()), ratings


@both
def test_directories_are_made_at_boot(install: Callable[[str], Installed], name: str) -> None:
    """systemd-tmpfiles makes what is missing and sets wrong modes right, as at each boot."""
    tree = install(name).tree.above()
    script = """
        rm -r /run/wtmpdb /var/lib/wtmpdb/spool/bad
        chmod 777 /var/lib/wtmpdb/spool
        systemd-tmpfiles --create wtmpdb.conf
        stat -c '%a %U %n' /run/wtmpdb /var/lib/wtmpdb/spool /var/lib/wtmpdb/spool/bad
    """
    made = tree.run(script).stdout.splitlines()
    assert made == ["755 root /run/wtmpdb", "700 root /var/lib/wtmpdb/spool", "700 root /var/lib/wtmpdb/spool/bad"]
