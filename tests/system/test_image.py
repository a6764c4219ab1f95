# SPDX-License-Identifier: BSD-2-Clause
"""The image of the exporter, built by podman from the Dockerfile and run as compose.yml says; the base is a Debian of the tests."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from system.containers import SOURCE, CannotError, until
from system.monitored import history
from system.podman import LIMITS, Podman, service
from wtmpdb.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
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
    names = ("/var/lib/wtmpdb", "/var/log", "/run/wtmpdb", "/run/systemd/sessions", "/run/utmp")
    places = {name: tmp_path / name.strip("/").replace("/", "-") for name in names}
    shutil.copy(SOURCE / "tests" / "data" / "docs" / "utmp", places["/run/utmp"])
    for place in (tmp_path, *(places[name] for name in names[:-1])):
        place.mkdir(exist_ok=True)
        place.chmod(0o755)
    (places["/run/wtmpdb"] / "boot").write_text(System().boot_key())
    with history(places["/var/lib/wtmpdb"] / "wtmp.db", tmp_path / "spool", {"alice": "192.0.2.7"}):
        yield places


@pytest.fixture
def scraped(podman: Podman, mounted: dict[str, Path]) -> Callable[..., tuple[str, list[str]]]:
    """Start the exporter and scrape it from inside its own network; give the container and the lines that it exposes."""

    def scrape(*wanted: str, command: Sequence[str] = ()) -> tuple[str, list[str]]:
        ident = podman.start(IMAGE, service("exporter", *wanted), mounted, *command)
        (port,) = {line.partition("/")[0] for line in facts(podman)["ExposedPorts"]}
        get = ("exec", ident, "python", "-c", GET, f"http://127.0.0.1:{port}/metrics")

        def got() -> str:
            assert podman.run("inspect", "--format={{.State.Running}}", ident) == "true\n", podman.run("logs", ident)
            return podman.run(*get, check=False)

        return ident, until(got, "the exporter in the container").splitlines()

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
    assert json.loads(podman.run("image", "inspect", "--format={{json .HealthCheck}}", IMAGE))["Test"][0] == "CMD"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "BSD-2-Clause"


def test_what_the_image_holds(podman: Podman) -> None:
    """The program in the image has the packages that the exporter needs, and neither pip nor those of our other commands."""
    names = ("prometheus_client", "pip", "sqlalchemy", "alembic")
    look = f"from importlib.util import find_spec as find; print(*(bool(find(name)) for name in {names}))"
    words = ("run", "--rm", "--network=none", *LIMITS, "--entrypoint=python", IMAGE, "-c", look)
    assert podman.run(*words).split() == ["True", "False", "False", "False"]


def test_serves_what_is_mounted(scraped: Callable[..., tuple[str, list[str]]]) -> None:
    """Run as compose.yml says, it serves the history that is mounted, and sees by its process that one of two open sessions lives."""
    _, lines = scraped()
    assert {"wtmpdb_up 1.0", "wtmpdb_database_rows 3.0", "wtmpdb_users 1.0"} <= set(lines)
    assert sum(float(line.split()[-1]) for line in lines if line.startswith("wtmpdb_sessions{")) == 1


def test_history_of_debian_13(mounted: dict[str, Path], scraped: Callable[..., tuple[str, list[str]]]) -> None:
    """Where the history is a link to /var/log, it is served once compose.yml mounts that, too."""
    file = mounted["/var/lib/wtmpdb"] / "wtmp.db"
    shutil.move(file, mounted["/var/log"])
    file.symlink_to("/var/log/wtmp.db")
    assert "wtmpdb_up 0.0" in scraped()[1]
    assert {"wtmpdb_up 1.0", "wtmpdb_users 1.0"} <= set(scraped("/var/log:")[1])


def test_utmp(podman: Podman, scraped: Callable[..., tuple[str, list[str]]]) -> None:
    """A utmp file that compose.yml mounts is served with --utmp-path."""
    command = (*facts(podman)["Cmd"], "--utmp-path=/run/utmp")
    _, lines = scraped("/run/utmp:", command=command)
    assert "wtmpdb_up 1.0" in lines
    assert "wtmpdb_users 1.0" in lines


def test_health_check(podman: Podman, scraped: Callable[..., tuple[str, list[str]]]) -> None:
    """The health check of the image runs in the container, and finds it well."""
    ident, _ = scraped()
    podman.run("healthcheck", "run", ident)


def test_can_do_little(podman: Podman, scraped: Callable[..., tuple[str, list[str]]]) -> None:
    """In the container there is no root, no capability, and no place to write to."""
    ident, _ = scraped()
    status = podman.run("exec", ident, "cat", "/proc/self/status")
    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    for place in ("/", "/tmp", "/opt/wtmpdb", "/var/lib/wtmpdb", "/run/wtmpdb"):
        assert podman.run("exec", ident, "sh", "-c", f"touch {place}/new 2>/dev/null || echo refused") == "refused\n"


def test_private_history(mounted: dict[str, Path], scraped: Callable[..., tuple[str, list[str]]]) -> None:
    """A history that only the group utmp may read is served when compose.yml adds that group, and otherwise reported as unreadable."""
    file = mounted["/var/lib/wtmpdb"] / "wtmp.db"
    os.chown(file, 0, UTMP)
    file.chmod(0o640)
    assert "wtmpdb_up 0.0" in scraped()[1]
    assert "wtmpdb_up 1.0" in scraped(f'group_add: ["{UTMP}"]')[1]
