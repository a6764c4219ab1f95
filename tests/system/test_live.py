# SPDX-License-Identifier: BSD-2-Clause
"""Installing on a machine that runs, and taking off again."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from system.containers import SOURCE, CannotError, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from system.conftest import Installed
    from system.containers import Container, Tree

pytestmark = pytest.mark.system

UNITS = "wtmpdb-boot.service wtmpdb-boot-time.path wtmpdb-recorder.socket wtmpdb-recorder.path wtmpdb-recorder.timer"


# ssh itself asks a program for the password when it has no terminal.
PASSWORDS = """
printf '#!/bin/sh\\necho "$SSH_TEST_PASSWORD"\\n' >/var/tmp/ask
chmod 755 /var/tmp/ask
for SSH_TEST_PASSWORD in right wrong; do
    export SSH_TEST_PASSWORD SSH_ASKPASS=/var/tmp/ask SSH_ASKPASS_REQUIRE=force
    setsid ssh -o BatchMode=no -o PubkeyAuthentication=no -o NumberOfPasswordPrompts=1 alice@127.0.0.1 true </dev/null 2>/dev/null &&
        echo "$SSH_TEST_PASSWORD in" || echo "$SSH_TEST_PASSWORD out"
done
"""


@pytest.mark.parametrize("name", ["bookworm", "trixie-peer", "sid"])
def test_taken_off_and_put_on_again(install: Callable[[str], Installed], container: Callable[[str], Container], name: str) -> None:
    """On a running machine undo takes everything off but the history; `install.sh` puts it on again, and the next login is a row.

    All the while sshd lets in who has the right password, and nobody else.
    """
    machine = container(name)
    download(machine.tree)
    before = debian_files(install(name).below)
    try:
        machine.boot()
    except CannotError as error:
        pytest.skip(str(error))
    machine.run("ssh -tt -b 127.0.0.61 alice@127.0.0.1 true")
    until(lambda: hosts(machine) >= {"127.0.0.61"} or None, "the first login")

    assert machine.run(PASSWORDS).splitlines() == ["right in", "wrong out"]
    assert "done: everything was taken out" in machine.run("wtmpdb setup --undo")
    left = machine.run("find / -xdev -iname '*wtmpdb*' ! -path '/src/*' ! -path '/wheels*' ! -path '/tmp/*' ! -path '/var/tmp/*'").split()
    assert set(left) - before <= {"/var/lib/wtmpdb"}
    assert "wtmpdb_spool" not in machine.run("cat /etc/pam.d/*")
    assert machine.run("systemctl list-units --all --plain --no-legend 'wtmpdb-[!u]*'") == ""
    machine.run("ssh -tt -b 127.0.0.62 alice@127.0.0.1 true")
    assert machine.run(PASSWORDS).splitlines() == ["right in", "wrong out"]

    said = machine.run("PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels /src/install.sh --no-packages")
    assert "run systemctl --quiet start wtmpdb-boot.service" in said
    assert "nothing to do" in machine.run("wtmpdb setup")
    assert machine.run(PASSWORDS).splitlines() == ["right in", "wrong out"]
    assert machine.run(f"systemctl is-active {UNITS}").split() == ["active"] * len(UNITS.split())
    assert machine.run("systemctl --failed --plain --no-legend") == ""
    machine.run("ssh -tt -b 127.0.0.63 alice@127.0.0.1 true")
    seen = until(lambda: hosts(machine) if "127.0.0.63" in hosts(machine) else None, "the last login")
    # Meanwhile Debian 12 wrote its wtmp, which is imported, and Debian 13's sshd the file that we share with it.
    assert {"127.0.0.61", "127.0.0.62"} <= seen
    assert [line["hostname"] for line in machine.last("alice")].count("127.0.0.61") == 1

    machine.run("systemctl restart wtmpdb-boot.service")
    assert next(line["end"] for line in machine.last("reboot")) == "running"
    machine.power_off()


def hosts(machine: Container) -> set[str]:
    """Return the remote hosts in the history of the machine."""
    return {line["hostname"] for line in machine.last()}


def download(tree: Tree) -> None:
    """Get what pip will need, while the tree has a network: for its very Python, at /wheels."""
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text())
    extra = project["project"]["optional-dependencies"]["exporter"]
    names = " ".join(f"'{name}'" for name in (*project["build-system"]["requires"], *project["project"]["dependencies"], *extra))
    done = tree.run(f"/opt/wtmpdb/bin/python -Im pip download --quiet --dest /wheels {names}", check=False)
    if done.returncode:
        pytest.skip(f"not to be had: {done.stderr[-300:]}")


def debian_files(tree: Tree) -> set[str]:
    """Return what Debian itself brings under that name: since Debian 13 the C library, for its sshd."""
    return {f"/{path.relative_to(layer)}" for layer in (tree.upper, *tree.lower) for path in layer.rglob("*wtmpdb*")}
