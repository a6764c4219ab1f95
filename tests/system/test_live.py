# SPDX-License-Identifier: BSD-2-Clause
"""Installing on a machine that runs, and taking off by the words of the README."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from system.containers import CannotError, debian, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.containers import Container

pytestmark = pytest.mark.system

README = Path(__file__).parents[2] / "README.md"
UNITS = "wtmpdb-boot.service wtmpdb-boot-time.path wtmpdb-recorder.socket wtmpdb-recorder.path wtmpdb-recorder.timer"


@pytest.mark.parametrize("name", ["bookworm", "trixie"])
def test_taken_off_and_put_on_again(container: Callable[[str], Container], name: str) -> None:
    """On a running machine the README's words take everything off but the history; `install.sh` puts it on again, and the next login is a row."""
    machine = container(name)
    wheels = machine.tree.upper / "wheels"
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(wheels), "hatchling"]
    if subprocess.run(download, check=False).returncode:
        pytest.skip("hatchling is not to be had")
    try:
        machine.boot()
    except CannotError as error:
        pytest.skip(str(error))
    machine.run("ssh -tt -b 127.0.0.61 alice@127.0.0.1 true")
    until(lambda: hosts(machine) >= {"127.0.0.61"} or None, "the first login")

    machine.run(uninstall())
    left = machine.run("find / -xdev -iname '*wtmpdb*' ! -path '/src/*' ! -name 99wtmpdb-tests").split()
    assert set(left) - of_the_system(name) <= {"/var/lib/wtmpdb"}
    assert "wtmpdb" not in machine.run("cat /etc/pam.d/*; systemctl list-units --all --plain --no-legend 'wtmpdb-*'")
    machine.run("ssh -tt -b 127.0.0.62 alice@127.0.0.1 true")

    said = machine.run("PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels /src/install.sh --no-packages")
    assert "starting the units" in said
    assert machine.run(f"systemctl is-active {UNITS}").split() == ["active"] * len(UNITS.split())
    assert machine.run("systemctl --failed --plain --no-legend") == ""
    machine.run("ssh -tt -b 127.0.0.63 alice@127.0.0.1 true")
    seen = until(lambda: hosts(machine) if "127.0.0.63" in hosts(machine) else None, "the last login")
    assert "127.0.0.61" in seen
    # Debian 13's sshd goes on writing into the file that we share with it.
    assert ("127.0.0.62" in seen) is (name == "trixie")

    machine.run("systemctl restart wtmpdb-boot.service")
    assert next(line["end"] for line in machine.last("reboot")) == "running"
    machine.power_off()


def hosts(machine: Container) -> set[str]:
    """Return the remote hosts in the history of the machine."""
    return {line["hostname"] for line in machine.last()}


def of_the_system(name: str) -> set[str]:
    """Return what Debian itself brings under that name: on Debian 13 the C library for its sshd."""
    tree = debian(name)
    return {f"/{path.relative_to(tree)}" for path in tree.rglob("*wtmpdb*")}


def uninstall() -> str:
    """Return the commands of the README that take the program off."""
    found = re.search(r"## Uninstall\n.*?```sh\n(.*?)```", README.read_text(), re.DOTALL)
    assert found
    return found[1]
