# SPDX-License-Identifier: BSD-2-Clause
"""The image of the exporter, built by podman from the Dockerfile and run as compose.yml says; the base is a Debian of the tests."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from support import make_spool, opened, post
from system.containers import SOURCE, CannotError, until
from system.podman import LIMITS, Podman, service
from wtmpdb import boot
from wtmpdb.recorder.drain import drain
from wtmpdb.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from system.containers import Workplace

pytestmark = pytest.mark.system

IMAGE = "wtmpdb-exporter"
UTMP = 43
GET = "import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=9).read().decode())"


@pytest.fixture(scope="module")
def podman(workplace: Workplace) -> Iterator[Podman]:
    """Give a podman that has the image."""
    try:
        made = Podman(workplace.directory())
        made.make_base("bookworm")
    except CannotError as error:
        pytest.skip(str(error))
    try:
        made.build(IMAGE, str(SOURCE))
        yield made
    finally:
        made.close()


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """Make what compose.yml mounts: a history with this boot, a session whose process lives, and one whose process is gone."""
    places = {name: tmp_path / name.strip("/").replace("/", "-") for name in ("/var/lib/wtmpdb", "/run/wtmpdb", "/run/systemd/sessions")}
    for place in (tmp_path, *places.values()):
        place.mkdir(exist_ok=True)
        place.chmod(0o755)
    system = System()
    (places["/run/wtmpdb"] / "boot").write_text(key := system.boot_key())
    now = time.time_ns() // 1000
    spool = make_spool(tmp_path / "spool")
    with subprocess.Popen(["sleep", "600"]) as alive:
        post(spool, opened("alice", now - 60_000_000, pid=alive.pid, start=system.process_start(alive.pid), boot=key))
        post(spool, opened("bob", now - 50_000_000, pid=alive.pid, start=1, boot=key))
        database = str(places["/var/lib/wtmpdb"] / "wtmp.db")
        boot.begin(database, system=system)
        drain(database, str(spool), system=system)
        yield places
        alive.kill()


@pytest.fixture
def scraped(podman: Podman, mounted: dict[str, Path]) -> Callable[..., tuple[str, str]]:
    """Start the exporter and scrape it from inside its own network; give the container and what it exposes."""

    def scrape(**more: object) -> tuple[str, str]:
        ident = podman.start(IMAGE, service("exporter") | more, mounted)
        (port,) = {line.partition("/")[0] for line in facts(podman)["ExposedPorts"]}
        get = ("exec", ident, "python", "-c", GET, f"http://127.0.0.1:{port}/metrics")

        def got() -> str:
            assert podman.run("inspect", "--format={{.State.Running}}", ident) == "true\n", podman.run("logs", ident)
            return podman.run(*get, check=False)

        return ident, until(got, "the exporter in the container")

    return scrape


def facts(podman: Podman) -> dict[str, Any]:
    """Return the configuration of the image."""
    found: dict[str, Any] = json.loads(podman.run("image", "inspect", IMAGE))[0]["Config"]
    return found


def test_what_the_image_says(podman: Podman) -> None:
    """The image starts the exporter, as a user who is not root, with a health check, and says what it is."""
    config = facts(podman)
    assert config["Entrypoint"] == ["wtmpdb", "exporter"]
    assert int(config["User"].partition(":")[0]) > 1000
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "BSD-2-Clause"


def test_what_the_image_holds(podman: Podman) -> None:
    """Of the packages of Python the image has what the exporter needs, and neither pip nor a compiler nor the rest of ours."""
    names = ("prometheus_client", "pip", "sqlalchemy", "alembic")
    look = f"from importlib.util import find_spec as find; print(*(bool(find(name)) for name in {names}))"
    words = ("run", "--rm", "--network=none", *LIMITS, "--entrypoint=python", IMAGE, "-c", look)
    assert podman.run(*words).split() == ["True", "False", "False", "False"]


def test_serves_what_is_mounted(scraped: Callable[..., tuple[str, str]]) -> None:
    """Run as compose.yml says, it serves the history that is mounted, and sees by its process that one of two open sessions lives."""
    _, text = scraped()
    lines = text.splitlines()
    assert "wtmpdb_up 1.0" in lines
    assert "wtmpdb_database_rows 3.0" in lines
    assert "wtmpdb_users 1.0" in lines
    assert sum(float(line.split()[-1]) for line in lines if line.startswith("wtmpdb_sessions{")) == 1


def test_health_check(podman: Podman, scraped: Callable[..., tuple[str, str]]) -> None:
    """The health check of the image runs in the container, and finds it well."""
    ident, _ = scraped()
    podman.run("healthcheck", "run", ident)


def test_can_do_little(podman: Podman, scraped: Callable[..., tuple[str, str]]) -> None:
    """In the container there is no root, no capability, and no place to write to."""
    ident, _ = scraped()
    status = podman.run("exec", ident, "cat", "/proc/self/status")
    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    for place in ("/", "/tmp", "/opt/wtmpdb", "/var/lib/wtmpdb", "/run/wtmpdb"):
        assert podman.run("exec", ident, "sh", "-c", f"touch {place}/new 2>/dev/null || echo refused") == "refused\n"


def test_private_history(mounted: dict[str, Path], scraped: Callable[..., tuple[str, str]]) -> None:
    """A history that only the group utmp may read is served when compose.yml adds that group, and otherwise reported as unreadable."""
    file = mounted["/var/lib/wtmpdb"] / "wtmp.db"
    os.chown(file, 0, UTMP)
    file.chmod(0o640)
    assert "wtmpdb_up 0.0" in scraped()[1].splitlines()
    assert "wtmpdb_up 1.0" in scraped(group_add=[str(UTMP)])[1].splitlines()
