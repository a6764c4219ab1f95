# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures of the system tests: trees with an installation, made once a run, and containers booted from them."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from system.containers import CannotError, Container, Tree, Workplace, debian

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

NO_ARCHIVE = re.compile(r"^E: (Failed to fetch|Unable to locate package|Unable to fetch)", re.MULTILINE)
NEEDED = ("setpriv", "unshare", "nsenter", "systemd-nspawn", "git")

PREPARE = """
for user in alice bob carol mallory; do useradd --create-home --shell /bin/bash "$user"; done
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
printf '%s\n' 'Host *' 'StrictHostKeyChecking no' 'UserKnownHostsFile /dev/null' 'LogLevel ERROR' 'BatchMode yes' >/root/.ssh/config
for home in /root /home/alice /home/bob /home/mallory; do
    mkdir -p -m 700 "$home/.ssh"
    cp /root/.ssh/id_ed25519.pub "$home/.ssh/authorized_keys"
    chown -R --reference="$home" "$home/.ssh"
done
ls /etc/ssh/ssh_host_*_key >/dev/null 2>&1 || ssh-keygen -A
"""


class Installed:
    """A tree in which install.sh has run twice, and what it said."""

    def __init__(self, tree: Tree, first: subprocess.CompletedProcess[str], second: subprocess.CompletedProcess[str]) -> None:
        """Keep them."""
        self.tree = tree
        self.first = first
        self.second = second


@pytest.fixture(scope="session")
def workplace() -> Iterator[Workplace]:
    """Give a place for trees, or skip where trees cannot be worked in."""
    if os.geteuid() != 0:
        pytest.skip("must be run as root")
    if missing := [tool for tool in NEEDED if shutil.which(tool) is None]:
        pytest.skip(f"not installed: {missing}")
    place = Workplace()
    try:
        yield place
    finally:
        place.close()


@pytest.fixture(scope="session")
def install(workplace: Workplace) -> Callable[[str], Installed]:
    """Install into a fresh tree of a Debian; the same tree is given again when it is asked for again."""
    done: dict[str, Installed] = {}

    def get(name: str) -> Installed:
        if name not in done:
            try:
                tree = Tree(workplace, debian(name))
                tree.run("true")
            except (CannotError, AssertionError) as error:
                pytest.skip(f"no tree of {name}: {error}")
            tree.copy_in()
            tree.run(PREPARE)
            first, second = (tree.run("exec /src/install.sh", check=False) for _ in range(2))
            if NO_ARCHIVE.search(first.stderr):
                pytest.skip(f"no packages to be had: {first.stderr[-300:]}")
            done[name] = Installed(tree, first, second)
        return done[name]

    return get


@pytest.fixture(scope="session")
def container(install: Callable[[str], Installed]) -> Iterator[Callable[[str], Container]]:
    """Give a container, not yet booted, with an installation of its own; it is ended at the end of the run."""
    made: list[Container] = []

    def get(name: str) -> Container:
        new = Container(install(name).tree.above())
        made.append(new)
        return new

    try:
        yield get
    finally:
        for one in made:
            one.close()


@pytest.fixture(scope="session")
def booted(container: Callable[[str], Container]) -> Callable[[str], Container]:
    """Give a booted container that tests share; they leave it as it is, but for logins."""
    running: dict[str, Container] = {}

    def get(name: str) -> Container:
        if name not in running:
            new = container(name)
            try:
                new.boot()
            except CannotError as error:
                pytest.skip(str(error))
            running[name] = new
        return running[name]

    return get
