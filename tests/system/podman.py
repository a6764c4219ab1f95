# SPDX-License-Identifier: BSD-2-Clause
"""Images built and run by podman, with nothing from any registry: a Debian of the tests stands for Python's image."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from system.containers import SOURCE, CannotError, debian

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE = "localhost/python:3.13-slim"
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")  # those of podman are more than some machines give
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"

# Python's image has `python`, with pip, in /usr/local/bin; so has the one that stands for it.
STAND_IN = "FROM localhost/debian\nRUN python3 -m venv /usr/local\n"


class Podman:
    """A store of images and containers of its own."""

    def __init__(self, directory: Path) -> None:
        """Keep all in a directory."""
        if missing := [tool for tool in ("podman", "runc") if shutil.which(tool) is None]:
            raise CannotError(f"not installed: {missing}")
        self._directory = directory
        self._store = ("--root", str(directory / "store"), "--runroot", str(directory / "run"), "--tmpdir", str(directory / "tmp"))
        self._containers: list[str] = []

    def command(self, *words: str) -> list[str]:
        """Return a command of podman's."""
        return ["podman", *self._store, "--runtime", "runc", "--cgroup-manager", "cgroupfs", *words]

    def run(self, *words: str, given: str | bytes = b"", check: bool = True, timeout: float = 300.0) -> str:
        """Run a command of podman's; return what it printed, and with ``check`` fail where it does."""
        text = given.encode() if isinstance(given, str) else given
        done = subprocess.run(self.command(*words), input=text, capture_output=True, timeout=timeout, check=False)
        assert not check or done.returncode == 0, f"exit {done.returncode} of podman {words[0]}: {done.stdout!r} {done.stderr!r}"
        return done.stdout.decode()

    def make_base(self, name: str) -> None:
        """Make the image that stands for Python's, out of a Debian of the tests."""
        files = ["tar", "-C", str(debian(name)), "--exclude=./usr/share/doc", "--exclude=./usr/share/locale", "-c", "."]
        with subprocess.Popen(files, stdout=subprocess.PIPE) as pack:
            taken = subprocess.run(self.command("import", "--quiet", "-", "localhost/debian"), stdin=pack.stdout, capture_output=True, check=False)
        if pack.returncode != 0 or taken.returncode != 0:
            raise CannotError(f"podman import: {taken.stderr[-300:]!r}")
        try:
            self.build(BASE, "--file", "-", given=STAND_IN)
        except AssertionError as error:
            raise CannotError(str(error)) from error

    def build(self, tag: str, *words: str, given: str = "") -> str:
        """Build an image; pip gets its settings from this machine."""
        settings = [file for file in ("/etc/pip.conf", CERTIFICATES) if os.path.exists(file)]
        volumes = [f"--volume={file}:{file}:ro" for file in settings]
        fixed = ("--isolation", "chroot", "--network", "host", "--pull=never", "--format", "docker", *volumes)
        return self.run("build", *fixed, "--tag", tag, *words, given=given)

    def start(self, image: str, service: Mapping[str, object], mounted: Mapping[str, Path], *command: str) -> str:
        """Start a container as a service of compose.yml says, with other directories in place of those that it mounts; return its id."""
        flags = []
        for key, value in service.items():
            match key, value:
                case "read_only", True:
                    flags += ["--read-only", "--read-only-tmpfs=false"]
                case "cap_drop", list(names):
                    flags += [f"--cap-drop={name}" for name in names]
                case "security_opt", list(names):
                    flags += [f"--security-opt={name.replace(':true', '')}" for name in names]
                case "group_add", list(names):
                    flags += [f"--group-add={name}" for name in names]
                case "pid", str(kind):
                    flags += [f"--pid={kind}"]
                case "volumes", list(names):
                    flags += [f"--volume={mounted[name.partition(':')[0]]}:{name.partition(':')[2]}" for name in names]
                case (("build" | "image" | "restart"), _):
                    pass
                case _:
                    raise AssertionError(f"compose.yml has {key}, which this test does not know")
        ident = self.run("run", "--detach", "--timeout=300", "--network=none", *LIMITS, *flags, image, *command).strip()
        self._containers.append(ident)
        return ident

    def close(self) -> None:
        """End what was started, and take away the mounts that podman leaves."""
        for ident in self._containers:
            self.run("rm", "--force", "--time=0", ident, check=False)
        left = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for place in reversed([place for place in left if place.startswith(f"{self._directory}/")]):
            subprocess.run(["umount", place], check=False)


def service(name: str, *wanted: str) -> dict[str, object]:
    """Return a service of compose.yml, with those lines that are comments there and have a wanted word."""
    text = (SOURCE / "compose.yml").read_text()
    for word in wanted:
        text, number = re.subn(rf"^( +)# (?=.*{re.escape(word)})(?=- |\w+: )", r"\1", text, flags=re.MULTILINE)
        assert number == 1, word
    found: dict[str, object] = yaml.safe_load(text)["services"][name]
    return found
