# SPDX-License-Identifier: BSD-2-Clause
"""The exporter as it runs, scraped by a real Prometheus, judged by promtool, started by a socket, and beside logins."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from urllib.request import ProxyHandler, build_opener

import bcrypt
import pytest

from support import SECOND, closed, edit, make_file, make_spool, opened, post
from wtmpdb.entry import now
from wtmpdb.recorder.drain import drain
from wtmpdb.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.system

EVERYTHING = ("--collect.per-user", "--collect.per-host", "--collect.sessions")
HOSTILE = 'a"b\nc\\d\xe9\udcff}{'
_opener = build_opener(ProxyHandler({}))  # loopback only, whatever the environment says


def needs(program: str) -> str:
    """Return the path of a program, or skip."""
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/usr/bin")
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Make a history of this very machine, with a session of this very process."""
    system, pid, at = System(), os.getpid(), now()
    boot = min(system.boot_time(), at - 3600 * SECOND)
    rows: list[tuple[object, ...]] = [
        (1, "reboot", boot - 9000 * SECOND, None, "~", "6.1", None),
        (3, "bob", boot - 8000 * SECOND, boot - 7000 * SECOND, "tty1", None, "login"),
        (1, "reboot", boot, None, "~", "6.1", None),
        (3, "alice", at - 60 * SECOND, None, "pts/0", "192.0.2.7", "sshd"),
    ]
    path = make_file(tmp_path / "wtmp.db", rows)
    make_file(tmp_path / "btmp.db", [(3, "x", at, at, "ssh", "192.0.2.9", "sshd")])
    with edit(path) as database:
        database.execute("INSERT INTO boot VALUES (3, ?, ?)", (boot, system.boot_key()))
        facts = (at - 60 * SECOND, system.boot_key(), pid, system.process_start(pid))
        database.execute("INSERT INTO session (entry_id, login, boot_key, pid, start_ticks) VALUES (4, ?, ?, ?, ?)", facts)
        text = HOSTILE.encode("utf-8", "surrogateescape")
        row = (text, at - 50 * SECOND, text, text)
        database.execute(
            "INSERT INTO wtmp (Type, User, Login, TTY, RemoteHost, Service) VALUES (3, CAST(? AS TEXT), ?, 'gone', CAST(? AS TEXT), CAST(? AS TEXT))",
            row,
        )
    return path


@contextmanager
def running(*command: str | Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a program until the end of the block."""
    with subprocess.Popen([str(word) for word in command], stderr=subprocess.PIPE, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def exporting(*words: str | Path) -> Iterator[int]:
    """Run an exporter; give its port."""
    with running(sys.executable, "-m", "wtmpdb", "exporter", "--web.listen-address=127.0.0.1:0", *words) as process:
        assert process.stderr
        line = process.stderr.readline()
        assert "listening on" in line
        yield int(line.rpartition(":")[2])


def get(url: str) -> str:
    """Return what is at a URL."""
    with _opener.open(url, timeout=20) as response:
        text: str = response.read().decode()
        return text


def until(what: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.2)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def test_prometheus(history: Path, tmp_path: Path) -> None:
    """A real Prometheus scrapes it over TLS with a password, finds nothing wrong, and answers queries; a login is seen at the next scrape."""
    prometheus, openssl = needs("prometheus"), needs("openssl")
    make = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(
        [*make, "-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"], cwd=tmp_path, check=True, capture_output=True
    )
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(8)).decode()
    web = f"tls_server_config: {{cert_file: cert.pem, key_file: key.pem}}\nbasic_auth_users: {{prometheus: {hashed}}}\n"
    (tmp_path / "web.yml").write_text(web)
    port = free_port()
    with exporting("-f", history, f"--web.config.file={tmp_path}/web.yml", *EVERYTHING) as exporter:
        job = f"""
scrape_configs:
  - job_name: wtmpdb
    scrape_interval: 1s
    scheme: https
    tls_config: {{ca_file: cert.pem}}
    basic_auth: {{username: prometheus, password: secret}}
    static_configs: [{{targets: ["localhost:{exporter}"]}}]
"""
        (tmp_path / "prometheus.yml").write_text(job)
        words = (f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{port}")
        with running(prometheus, *words, cwd=tmp_path):

            def query(expression: str) -> list[tuple[dict[str, str], float]]:
                try:
                    answer = json.loads(get(f"http://127.0.0.1:{port}/api/v1/query?query={quote(expression)}"))
                except OSError:
                    return []
                return [(found["metric"], float(found["value"][1])) for found in answer["data"]["result"]]

            until(lambda: [value for _, value in query("wtmpdb_up")] == [1])
            target = json.loads(get(f"http://127.0.0.1:{port}/api/v1/targets"))["data"]["activeTargets"][0]
            assert (target["health"], target["lastError"]) == ("up", "")
            assert [value for _, value in query('sum(wtmpdb_session_starts_total{service="sshd"})')] == [1]
            assert [value for _, value in query("histogram_quantile(0.5, wtmpdb_session_duration_seconds_bucket)")] == [pytest.approx(2250, abs=1400)]
            assert [value for _, value in query("wtmpdb_unclean_shutdowns_total")] == [1]
            assert [value for _, value in query('wtmpdb_host_failures_total{remote_host="192.0.2.9"}')] == [1]
            names = {labels["user"] for labels, _ in query("wtmpdb_session_info")}
            assert names == {"alice", 'a"b\\012c\\dé\\377}{'}  # no tty of that name: nobody can say that it has ended
            types = json.loads(get(f"http://127.0.0.1:{port}/api/v1/metadata"))["data"]
            assert types["wtmpdb_session_starts"][0]["type"] == "counter"  # the name that OpenMetrics has for it
            pid, system = os.getpid(), System()
            with edit(history) as database:
                at = now()
                ident = database.execute("INSERT INTO wtmp (Type, User, Login, Service) VALUES (3, 'new', ?, 'sshd')", (at,)).lastrowid
                facts = (ident, at, system.boot_key(), pid, system.process_start(pid))
                database.execute("INSERT INTO session (entry_id, login, boot_key, pid, start_ticks) VALUES (?, ?, ?, ?, ?)", facts)
            until(lambda: [value for _, value in query('wtmpdb_user_sessions{user="new"}')] == [1], 10)
            assert [value for _, value in query('wtmpdb_session_starts_total{service="sshd"}')] == [2]


def test_promtool(history: Path, tmp_path: Path) -> None:
    """`promtool check metrics` has nothing to say, with every option, of our own metrics, written by --textfile."""
    command = [sys.executable, "-m", "wtmpdb", "exporter", "-f", str(history), "--textfile", str(tmp_path), *EVERYTHING]
    subprocess.run(command, check=True)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("wtmpdb.prom")] == ["wtmpdb.prom"]
    text = (tmp_path / "wtmpdb.prom").read_text()
    checked = subprocess.run([needs("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_started_by_a_socket(history: Path) -> None:
    """When systemd hands over a socket, here by its own tool, the first scrape finds the exporter; without one it says what is missing."""
    port = free_port()
    program = (sys.executable, "-m", "wtmpdb", "exporter", "--web.systemd-socket", "-f", history)
    with running(needs("systemd-socket-activate"), "--listen", f"127.0.0.1:{port}", *program) as process:
        assert process.stderr
        process.stderr.readline()
        assert "wtmpdb_up 1.0" in get(f"http://127.0.0.1:{port}/metrics")
    failed = subprocess.run([str(word) for word in program], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr == "wtmpdb exporter: --web.systemd-socket: systemd has handed over no socket (a .socket unit has to start this)\n"


@pytest.mark.skipif(os.getuid() != 0, reason="the spool has to belong to root")
def test_beside_logins(history: Path, tmp_path: Path) -> None:
    """Ten scrapes a second while twenty logins a second go on: every login and every logout is recorded and counted, and none waits."""
    spool = make_spool(tmp_path / "spool")
    logins, took = 0, []
    failed: list[object] = []
    stop = threading.Event()

    def scrape(port: int) -> None:
        while not stop.wait(0.1):
            try:
                if "wtmpdb_up 1.0" not in get(f"http://127.0.0.1:{port}/metrics"):
                    failed.append("not up")
            except OSError as error:
                failed.append(error)

    with exporting("-f", history) as port:
        before = float(re.findall(r'starts_total{service="sshd"} (\S+)', get(f"http://127.0.0.1:{port}/metrics"))[0])
        thread = threading.Thread(target=scrape, args=(port,))
        thread.start()
        begun = time.monotonic()
        while (late := begun + logins / 20 - time.monotonic()) > 0 or logins < 160:
            time.sleep(max(late, 0))
            event = opened("carol", now(), pid=os.getpid(), start=1)
            post(spool, event, closed(event, now() + 1))
            at = time.perf_counter()
            drain(str(history), str(spool))
            took.append(time.perf_counter() - at)
            logins += 1
            if logins == 160:
                break
        stop.set()
        thread.join()
        text = get(f"http://127.0.0.1:{port}/metrics")
    assert failed == []
    assert list((spool / "new").iterdir()) == []
    assert float(re.findall(r'starts_total{service="sshd"} (\S+)', text)[0]) == before + logins
    assert float(re.findall(r'ends_total{reason="logout"} (\S+)', text)[0]) == 1 + logins
    assert sorted(took)[len(took) // 2] < 0.05
    assert max(took) < 1


def test_ends_at_once(history: Path) -> None:
    """SIGTERM ends it at once, also while somebody is connected."""
    with running(sys.executable, "-m", "wtmpdb", "exporter", "--web.listen-address=127.0.0.1:0", "-f", history) as process:
        assert process.stderr
        port = int(process.stderr.readline().rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)):
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            assert process.wait(3) == 0
