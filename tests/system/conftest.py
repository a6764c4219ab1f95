# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures of the system tests: trees with an installation, made once a run, and containers booted from them."""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import dataclass
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
echo alice:right | chpasswd
echo 'alice ALL=(ALL) ALL' >/etc/sudoers.d/alice
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
printf '%s\n' 'Host *' 'StrictHostKeyChecking no' 'UserKnownHostsFile /dev/null' 'LogLevel ERROR' 'BatchMode yes' >/root/.ssh/config
for home in /root /home/alice /home/bob /home/mallory; do
    mkdir -p -m 700 "$home/.ssh"
    cp /root/.ssh/id_ed25519.pub "$home/.ssh/authorized_keys"
    chown -R --reference="$home" "$home/.ssh"
done
ls /etc/ssh/ssh_host_*_key >/dev/null 2>&1 || ssh-keygen -A
"""

# What install.sh would bring, so that a tree without and one with an installation differ in nothing else.
PACKAGES = "python3 python3-venv gcc make libc6-dev libpam0g-dev libpam-runtime"
BARE = ("bookworm", "trixie")
"""The Debians whose installation begins without these packages."""


@dataclass
class Installed:
    """A tree in which install.sh has run twice, and the tree below, in which it has not."""

    tree: Tree
    below: Tree
    first: subprocess.CompletedProcess[str]
    second: subprocess.CompletedProcess[str]
    seconds: float
    """How long the first run took."""


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
def bare(workplace: Workplace) -> Callable[[str], Tree]:
    """Give a fresh tree of a Debian, with users and the source, in which nothing is to be changed; the same one to all who ask."""
    done: dict[str, Tree] = {}

    def get(name: str) -> Tree:
        if name not in done:
            try:
                tree = Tree(workplace, debian(name))
                tree.run("true")
            except (CannotError, AssertionError) as error:
                pytest.skip(f"no tree of {name}: {error}")
            tree.copy_in()
            tree.run(PREPARE)
            done[name] = tree
        return done[name]

    return get


@pytest.fixture(scope="session")
def prepared(bare: Callable[[str], Tree]) -> Callable[[str], Tree]:
    """Give a tree likewise, with the packages that install.sh brings."""
    done: dict[str, Tree] = {}

    def get(name: str) -> Tree:
        if name not in done:
            tree = bare(name).above()
            script = f"apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends {PACKAGES} >/dev/null"
            said = tree.run(script, check=False)
            if said.returncode:
                pytest.skip(f"no packages to be had: {said.stderr[-300:]}")
            done[name] = tree
        return done[name]

    return get


@pytest.fixture(scope="session")
def install(bare: Callable[[str], Tree], prepared: Callable[[str], Tree]) -> Callable[[str], Installed]:
    """Install into a tree of a Debian; the same tree is given again when it is asked for again."""
    done: dict[str, Installed] = {}

    def get(name: str) -> Installed:
        if name not in done:
            below = (bare if name in BARE else prepared)(name)
            tree = below.above()
            begun = time.monotonic()
            first = tree.run("exec /src/install.sh", check=False)
            seconds = time.monotonic() - begun
            second = tree.run("exec /src/install.sh --no-packages", check=False)
            if NO_ARCHIVE.search(first.stderr):
                pytest.skip(f"no packages to be had: {first.stderr[-300:]}")
            done[name] = Installed(tree, below, first, second, seconds)
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
