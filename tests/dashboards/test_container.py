# SPDX-License-Identifier: BSD-2-Clause
"""The container of the exporter and what compose.yml starts beside it, as far as the files tell; tests/system/test_image.py builds and runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from dashboards.reading import ROOT, load
from wtmpdb.cli.exporter import LISTEN

INSTRUCTIONS: list[tuple[str, str]] = re.findall(r"^([A-Z]+) +(.*)$", re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text()), re.MULTILINE)
COMPOSE = load("compose.yml")
MOUNT = re.compile(r"([^:]+):([^:]+)(:ro)?")


def last(name: str) -> str:
    """Return the operand of the last instruction of a kind."""
    return [operand for instruction, operand in INSTRUCTIONS if instruction == name][-1]


def mounts(service: str) -> list[tuple[str, str, bool]]:
    """Return what a service mounts, where, and whether it can only read it."""
    found = [MOUNT.fullmatch(volume) for volume in COMPOSE["services"][service].get("volumes", ())]
    return [(match[1], match[2], match[3] is not None) for match in found if match]


def test_the_image_is_made_in_two_stages() -> None:
    """What is needed to build stays in the first stage; the second takes only the program from it, and runs nothing of its own as root."""
    kinds = [instruction for instruction, _ in INSTRUCTIONS]
    assert kinds.count("FROM") == 2
    second = INSTRUCTIONS[len(kinds) - kinds[::-1].index("FROM") :]
    assert [operand for instruction, operand in second if instruction in ("COPY", "ADD", "RUN")] == ["--from=build /opt/wtmpdb /opt/wtmpdb"]


def test_the_image_is_no_roots() -> None:
    """The user is a number and not 0, and nothing after it is of another."""
    uid, _, gid = last("USER").partition(":")
    assert int(uid) > 1000
    assert int(gid) > 1000
    assert [instruction for instruction, _ in INSTRUCTIONS].count("USER") == 1


def test_no_image_names_a_registry() -> None:
    """Images are named without a host, each with a version."""
    images = [operand.split()[0] for instruction, operand in INSTRUCTIONS if instruction == "FROM"]
    images += [service["image"] for service in COMPOSE["services"].values() if "build" not in service]
    assert [image for image in images if not re.fullmatch(r"[a-z]+(/[a-z]+)?:[^:/]+", image) or image.endswith(":latest")] == []


def test_the_port_is_one() -> None:
    """Exporter, image, health check and Prometheus agree on the port."""
    (target,) = load("dashboards/prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"]
    service, _, port = target.partition(":")
    assert service in COMPOSE["services"]
    assert last("EXPOSE") == port
    assert json.loads(last("CMD")) == [f"--web.listen-address=:{port}"]
    assert f"HTTPConnection('127.0.0.1', {port}" in last("HEALTHCHECK")
    assert LISTEN.endswith(f":{port}")


def test_services_may_do_little() -> None:
    """No service keeps a capability or may get one, the exporter writes nowhere, and no port is open beyond this machine."""
    for name, service in COMPOSE["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert [port for port in service.get("ports", ()) if not port.startswith("127.0.0.1:")] == [], name
        assert not service.get("privileged"), name
    assert COMPOSE["services"]["exporter"]["read_only"] is True
    assert [mount for mount in mounts("exporter") if not mount[2] or mount[0] != mount[1]] == []


def test_what_is_mounted_is_there() -> None:
    """Files of the project that a service mounts exist, are read-only to it, and nothing mounts into a volume of data."""
    for name, service in COMPOSE["services"].items():
        data = [inside for source, inside, _ in mounts(name) if source in COMPOSE["volumes"]]
        for source, inside, read_only in mounts(name):
            if source.startswith("./"):
                assert (ROOT / source).is_file()
                assert read_only
                assert not inside.startswith(tuple(f"{path}/" for path in data))
        assert len(mounts(name)) == len(service.get("volumes", ()))


def test_grafana_finds_dashboard_and_data_source() -> None:
    """The dashboard lies where Grafana's provider looks, and the data source is the Prometheus of compose.yml."""
    inside = {source: target for source, target, _ in mounts("grafana")}
    (provider,) = load("dashboards/grafana/dashboards.yml")["providers"]
    assert str(Path(inside["./dashboards/wtmpdb.json"]).parent) == provider["options"]["path"]
    assert inside["./dashboards/grafana/dashboards.yml"].startswith("/etc/grafana/provisioning/dashboards/")
    assert inside["./dashboards/grafana/datasource.yml"].startswith("/etc/grafana/provisioning/datasources/")
    (source,) = load("dashboards/grafana/datasource.yml")["datasources"]
    assert source["type"] == "prometheus"
    assert source["url"].removeprefix("http://").partition(":")[0] in COMPOSE["services"]
    assert source["jsonData"]["timeInterval"] == load("dashboards/prometheus.yml")["global"]["scrape_interval"]


def test_prometheus_finds_the_rules() -> None:
    """The files of rules lie where the configuration of Prometheus looks."""
    inside = {source: target for source, target, _ in mounts("prometheus")}
    configuration = Path(inside["./dashboards/prometheus.yml"])
    assert {str(configuration.parent / name) for name in load("dashboards/prometheus.yml")["rule_files"]} <= set(inside.values())


def test_the_image_gets_what_the_package_is_made_of() -> None:
    """All that goes into the wheel is let through .dockerignore, and of the rest nothing."""
    text = (ROOT / "pyproject.toml").read_text()
    section = text.partition("[tool.hatch.build.targets.wheel.force-include]\n")[2].partition("\n\n")[0]
    needed = {*re.findall(r'^"([^"]+)" = ', section, re.MULTILINE), "src", "pyproject.toml", "README.md", "LICENSE"}
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == needed
