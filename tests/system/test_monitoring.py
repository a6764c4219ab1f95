# SPDX-License-Identifier: BSD-2-Clause
"""A real Prometheus with our configuration scrapes a real exporter: each query of the dashboard has an answer, and alerts fire."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest
import yaml

from dashboards.reading import DASHBOARDS, load, queries, rules
from support import edit, make_file
from system.containers import until
from system.monitored import history

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.system

# `wtmpdb exporter` itself, of a machine that has everything in one directory; a recorder has just looked there.
EXPORTER = """
import sys
from wtmpdb import log, spool
log.DATABASE, log.FAILED, spool.SPOOL, pulse_of_recorder = (f"{sys.argv[1]}/{name}" for name in ("wtmp.db", "btmp.db", "spool", "recorder"))
from wtmpdb.recorder import pulse
pulse.PULSE = pulse_of_recorder
pulse.beat(spool.SPOOL)
from wtmpdb.__main__ import main
main(sys.argv[1:])
"""
OPTIONS = ("--collect.per-user", "--collect.per-host", "--collect.sessions")
ATTACKER = "192.0.2.66"
_opener = build_opener(ProxyHandler({}))  # loopback only, whatever the environment says


class Prometheus:
    """A Prometheus that scrapes an exporter, each once a second."""

    def __init__(self, directory: Path) -> None:
        """Serve the history that is in a directory."""
        self.directory = directory
        self.port, self._target = _free_ports(2)
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start both, with the rules as they are, and the configuration but for target and pace."""
        configuration = load("dashboards/prometheus.yml")
        configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        configuration["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{self._target}"]
        (self.directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        for name in configuration["rule_files"]:
            shutil.copy(DASHBOARDS / name, self.directory)
        self._run(sys.executable, "-c", EXPORTER, str(self.directory), "exporter", f"--web.listen-address=127.0.0.1:{self._target}", *OPTIONS)
        places = (f"--config.file={self.directory / 'prometheus.yml'}", f"--storage.tsdb.path={self.directory / 'data'}")
        self._run("prometheus", *places, f"--web.listen-address=127.0.0.1:{self.port}")
        until(lambda: self.ask("wtmpdb_up == 1"), "Prometheus to have scraped the exporter")

    def _run(self, *command: str) -> None:
        log = (self.directory / f"log{len(self._running)}").open("wb")
        with log:
            self._running.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def get(self, what: str, **parameters: str) -> Any:
        """Return what its HTTP interface answers, None while there is no answer."""
        assert [program.args for program in self._running if program.poll() is not None] == [], self._logs()
        try:
            with _opener.open(f"http://127.0.0.1:{self.port}/api/v1/{what}?{urlencode(parameters)}", timeout=10) as answer:
                return json.load(answer)["data"]
        except URLError:
            return None

    def ask(self, expression: str) -> list[Any]:
        """Return the samples that an expression gives now."""
        answer = self.get("query", query=expression)
        return answer["result"] if answer else []

    def _logs(self) -> str:
        return "\n".join(file.read_text()[-2000:] for file in sorted(self.directory.glob("log*")))

    def close(self) -> None:
        """End both."""
        for program in self._running:
            program.kill()
            program.wait()


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Give a Prometheus that scrapes the exporter of a history: root is on, and an address whose logins fail."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed")
    directory = tmp_path_factory.mktemp("monitored")
    made = Prometheus(directory)
    make_file(directory / "btmp.db", [failure()])
    with history(directory / "wtmp.db", directory / "spool", {"root": "192.0.2.9", "alice": ATTACKER}):
        try:
            made.start()
            yield made
        finally:
            made.close()


def failure() -> tuple[object, ...]:
    """Return a row of a login that fails now."""
    now = time.time_ns() // 1000
    return 3, "alice", now, now, "ssh", ATTACKER, "sshd"


def attack(prometheus: Prometheus) -> None:
    """Let thirty logins fail."""
    with edit(prometheus.directory / "btmp.db") as database:
        statement = "INSERT INTO wtmp (Type, User, Login, Logout, TTY, RemoteHost, Service) VALUES (?, ?, ?, ?, ?, ?, ?)"
        database.executemany(statement, [failure() for _ in range(30)])


def alert(prometheus: Prometheus, name: str) -> dict[str, Any] | None:
    """Return an alert that fires."""
    found = [one for one in prometheus.get("alerts")["alerts"] if one["labels"]["alertname"] == name and one["state"] == "firing"]
    return found[0] if found else None


def test_each_recording_rule_records(prometheus: Prometheus) -> None:
    """What the recording rules record is there under its name."""
    for name in rules("record"):
        until(lambda name=name: prometheus.ask(name), name)  # type: ignore[misc]


def test_root_is_reported(prometheus: Prometheus) -> None:
    """The alert on root names the machine and the address."""
    found = until(lambda: alert(prometheus, "WtmpdbRootLoginFromAfar"), "the alert")
    assert found["annotations"]["summary"].endswith(": root is logged in from 192.0.2.9")
    assert found["labels"]["severity"] == "info"


def test_a_guessed_password_is_reported(prometheus: Prometheus) -> None:
    """Twenty and more failures from an address that has a session are reported, with the address."""
    assert alert(prometheus, "WtmpdbLoginAfterManyFailures") is None
    attack(prometheus)
    found = until(lambda: alert(prometheus, "WtmpdbLoginAfterManyFailures"), "the alert")
    assert found["annotations"]["summary"].endswith(f": {ATTACKER} is logged in after many failures")
    assert found["labels"]["severity"] == "critical"


def test_each_query_of_the_dashboard_is_answered(prometheus: Prometheus) -> None:
    """Each query of the dashboard gives something, once the exporter has been scraped a few times and logins have failed meanwhile."""
    until(lambda: prometheus.ask("count_over_time(wtmpdb_up[1m]) > 3"), "a few scrapes")
    attack(prometheus)
    until(lambda: prometheus.ask("increase(wtmpdb_failures_total[1m]) > 0"), "the failures")
    assert [name for name, expression in queries() if not prometheus.ask(expression)] == []


def test_rows_that_go_are_reported(prometheus: Prometheus) -> None:
    """Somebody deletes a row from the history, and an alert says so."""
    assert alert(prometheus, "WtmpdbHistoryShrank") is None
    with edit(prometheus.directory / "wtmp.db") as database:
        database.execute("DELETE FROM wtmp WHERE User = 'bob'")
    found = until(lambda: alert(prometheus, "WtmpdbHistoryShrank"), "the alert")
    assert found["annotations"]["summary"].endswith(": rows have gone from the login history")
