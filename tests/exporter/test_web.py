# SPDX-License-Identifier: BSD-2-Clause
"""The web server, asked over real sockets: by Python's own client, by curl, and by who means no good."""

from __future__ import annotations

import gzip
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import bcrypt
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from wtmpdb.errors import WtmpdbError
from wtmpdb.exporter import web
from wtmpdb.exporter.collector import Sessions
from wtmpdb.exporter.site import Site
from wtmpdb.exporter.sources import Database
from wtmpdb.exporter.utmp import Utmp
from wtmpdb.exporter.web import Server, listen
from wtmpdb.exporter.webconfig import WebConfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support import Machine

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
OTHER = bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()


@contextmanager
def serving(site: Site, config: Path | None = None, address: str = "127.0.0.1:0") -> Iterator[int]:
    """Serve a site; give the port."""
    sockets = listen([address])
    server = Server(sockets, site, WebConfig(str(config)).guard if config else None)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield sockets[0].getsockname()[1]
    finally:
        server.stop()
        thread.join()
        for one in (*sockets, server._stop, server._stopped):
            one.close()


@pytest.fixture
def site(history: Path, machine: Machine) -> Site:
    """Make the site of a history."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Sessions(Database(str(history), system=machine)))
    return Site(registry, title="a <title>", about="a & about")


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask for a path; return status, headers and body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    found = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    connection.close()
    return found


def curl(*words: str) -> tuple[int, str]:
    """Run curl; return the status that it was given, 0 for none, and its complaint."""
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        "--max-time",
        "10",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
        *words,
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(ran.stdout), ran.stderr


def raw(port: int, sent: bytes) -> bytes:
    """Send bytes, return what comes until the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        found = b""
        try:
            while piece := connection.recv(65536):
                found += piece
        except ConnectionError:
            pass
        return found


class TestPages:
    """What is where."""

    def test_metrics(self, site: Site) -> None:
        """Metrics come in the text format, fresh and uncompressed, unless something else is asked for."""
        with serving(site) as port:
            status, headers, body = ask(port, "/metrics")
        assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert b"\nwtmpdb_up 1.0\n" in body
        assert headers["content-length"] == str(len(body))

    def test_openmetrics(self, site: Site) -> None:
        """Who accepts OpenMetrics gets it, and can parse it strictly."""
        with serving(site) as port:
            _, headers, body = ask(port, "/metrics", Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
        assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert body.endswith(b"# EOF\n")
        families = text_string_to_metric_families(body.decode())  # type: ignore[no-untyped-call]
        assert "wtmpdb_session_starts" in {family.name for family in families}

    @pytest.mark.parametrize("accepted", ["gzip", "deflate, gzip;q=1.0", "br, GZIP"])
    def test_gzip(self, site: Site, accepted: str) -> None:
        """Who accepts gzip gets it."""
        with serving(site) as port:
            _, headers, body = ask(port, "/metrics", Accept_Encoding=accepted)
        assert headers["content-encoding"] == "gzip"
        assert b"wtmpdb_up" in gzip.decompress(body)

    def test_gzip_that_is_refused(self, site: Site) -> None:
        """Who names gzip with a weight of zero does not get it."""
        with serving(site) as port:
            assert "content-encoding" not in ask(port, "/metrics", Accept_Encoding="gzip;q=0, identity")[1]

    def test_others(self, site: Site) -> None:
        """There are a page that leads to the metrics, a word of health, and nothing else, whatever the path looks like."""
        with serving(site) as port:
            status, headers, body = ask(port, "/")
            assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
            assert b'<a href="/metrics">' in body
            assert b"a &lt;title&gt;" in body
            assert ask(port, "/-/healthy")[::2] == (200, b"wtmpdb exporter is healthy.\n")
            for path in ("/nothing", "/../../etc/passwd", "/metrics/", "/%2e%2e/etc/passwd", "//etc/passwd", "/metrics/../etc/passwd"):
                assert ask(port, path)[0] == 404

    def test_head(self, site: Site) -> None:
        """HEAD has the headers of GET and no body; nothing else is understood."""
        with serving(site) as port:
            status, headers, body = ask(port, "/", "HEAD")
            assert (status, body) == (200, b"")
            assert int(headers["content-length"]) > 100
            assert ask(port, "/metrics", "POST")[0] == 501

    def test_source_that_cannot_be_read(self, tmp_path: Path) -> None:
        """Metrics that have no way to say that something is wrong are answered by 503 and the reason."""
        from wtmpdb.exporter.compat import UnixUsers  # noqa: PLC0415 - only here

        registry = CollectorRegistry(auto_describe=False)
        registry.register(UnixUsers(Utmp(str(tmp_path / "utmp")), 9))
        with serving(Site(registry, title="t", about="a", openmetrics=False)) as port:
            assert ask(port, "/metrics")[::2] == (503, f"{tmp_path}/utmp: No such file or directory\n".encode())

    @pytest.mark.parametrize("address", ["[::1]:0", ":0", "localhost:0"])
    def test_addresses(self, site: Site, address: str) -> None:
        """IPv6, every address and names can be listened on."""
        with serving(site, address=address) as port:
            host = "[::1]" if address.startswith("[") else "127.0.0.1" if address == ":0" else "localhost"
            assert curl(f"http://{host}:{port}/-/healthy")[0] == 200

    @pytest.mark.parametrize("address", ["", "1234", "localhost:x", "localhost:70000", "no.such.host.invalid:1", "192.0.2.1:1", "a" * 99 + ":1"])
    def test_wrong_addresses(self, address: str) -> None:
        """An address that cannot be listened on is named in one line."""
        with pytest.raises(WtmpdbError, match=r"^--web.listen-address: "):
            listen([address])


class TestBounds:
    """Clients that ask too much."""

    def test_long_request(self, site: Site) -> None:
        """A request of too many bytes is cut off, and others are served."""
        with serving(site) as port:
            found = raw(port, b"GET /metrics HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (number, b"x" * 1000) for number in range(90)))
            assert b"wtmpdb_up" not in found
            assert ask(port, "/metrics")[0] == 200

    @pytest.mark.parametrize(
        "sent", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 50, b"GET / HTTP/1.1\r\nA b\r\n\r\n", b""]
    )
    def test_nonsense(self, site: Site, sent: bytes) -> None:
        """What is no request is answered by an error or not at all, and others are served."""
        with serving(site) as port:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(sent)
            assert ask(port, "/metrics")[0] == 200

    def test_fault_of_ours(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        """A fault of ours in answering costs that answer, and is told; others are served."""
        said: list[WtmpdbError] = []
        sockets = listen(["127.0.0.1:0"])
        server = Server(sockets, site, report=said.append)
        thread = threading.Thread(target=server.serve)
        thread.start()
        port = sockets[0].getsockname()[1]
        with monkeypatch.context() as patch:
            patch.setattr(site, "answer", None)
            assert raw(port, b"GET / HTTP/1.1\r\n\r\n") == b""
        assert ask(port, "/")[0] == 200
        server.stop()
        thread.join()
        for one in (*sockets, server._stop, server._stopped):
            one.close()
        assert [str(error) for error in said] == ["a request was not answered: TypeError(\"'NoneType' object is not callable\")"]

    def test_slow_clients(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        """As many clients as there are connections, each sending a byte now and then, hold up nobody: the oldest makes room, the rest end in time."""
        monkeypatch.setattr(web, "SECONDS", 1.0)
        with serving(site) as port:
            slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(web.CONNECTIONS)]
            begun = time.monotonic()
            for number in range(4):
                for connection in slow:
                    connection.sendall(b"GET / HTTP/1.1\r\nX: "[number * 4 : number * 4 + 4])
                time.sleep(0.2)
            asked = time.monotonic()
            assert ask(port, "/metrics")[0] == 200
            assert time.monotonic() - asked < 0.5
            assert slow[0].recv(1) == b""
            assert slow[-1].recv(1) == b""
            assert 0.9 < time.monotonic() - begun < 5
            for connection in slow:
                connection.close()


class TestPasswords:
    """Users of the file."""

    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        """Make a file with a user."""
        path = tmp_path / "web.yml"
        path.write_text(f"basic_auth_users:\n  alice: {HASH}\n")
        return path

    def test_right_and_wrong(self, site: Site, config: Path) -> None:
        """Only the right password of a user lets in, again and again, to any page; the scrape itself is what it protects."""
        with serving(site, config) as port:
            url = f"http://127.0.0.1:{port}/metrics"
            assert [curl("--user", "alice:secret", url)[0] for _ in range(2)] == [200, 200]
            assert [curl("--user", user, url)[0] for user in ("alice:wrong", "bob:secret", "bob:", ":secret", "alice:secret\n")] == [401] * 5
            assert curl(url)[0] == 401
            assert curl(f"http://127.0.0.1:{port}/")[0] == 401
            status, headers, _ = ask(port, "/metrics", Authorization="Basic ###")
            assert (status, headers["www-authenticate"]) == (401, 'Basic realm="wtmpdb exporter"')
            assert ask(port, "/metrics", Authorization="Bearer secret")[0] == 401

    def test_unknown_user_takes_as_long(self, tmp_path: Path) -> None:
        """An unknown user takes as long as a wrong password: a hash is computed for both."""
        path = tmp_path / "web.yml"
        path.write_text(f"basic_auth_users: {{alice: {bcrypt.hashpw(b'secret', bcrypt.gensalt(10)).decode()}}}\n")
        passwords = WebConfig(str(path)).guard().passwords

        def seconds(user: str) -> float:
            times = []
            for _ in range(5):
                begun = time.perf_counter()
                assert not passwords.are_right(user, b"wrong")
                times.append(time.perf_counter() - begun)
            return min(times)

        known, unknown = seconds("alice"), seconds("nobody")
        assert 0.5 < known / unknown < 2
        assert known > 0.005

    def test_change(self, site: Site, config: Path) -> None:
        """A file that is changed counts from the next request on; what was right before is not remembered."""
        with serving(site, config) as port:
            url = f"http://127.0.0.1:{port}/metrics"
            assert curl("--user", "alice:secret", url)[0] == 200
            config.write_text(f"basic_auth_users:\n  alice: {OTHER}\n")
            assert curl("--user", "alice:secret", url)[0] == 401
            assert curl("--user", "alice:other", url)[0] == 200

    @pytest.mark.parametrize("content", ["", "{", "basic_auth_users:\n", "tls_server_config: {cert_file: none.pem, key_file: none.pem}"])
    def test_broken_change(self, site: Site, config: Path, content: str) -> None:
        """While the file is broken, or asks for less than before, nobody is let in; when it is right again all goes on."""
        good = config.read_text()
        with serving(site, config) as port:
            url = f"http://127.0.0.1:{port}/metrics"
            assert curl("--user", "alice:secret", url)[0] == 200
            config.write_text(content)
            assert curl("--user", "alice:secret", url)[0] == 0
            config.write_text(good)
            assert curl("--user", "alice:secret", url)[0] == 200

    def test_headers(self, site: Site, tmp_path: Path) -> None:
        """Headers that the file asks for are in every answer, errors too."""
        path = tmp_path / "web.yml"
        path.write_text("http_server_config:\n  http2: true\n  headers:\n    X-Frame-Options: deny\n    X-XSS-Protection: ''\n")
        with serving(site, path) as port:
            for page, method in (("/", "GET"), ("/none", "GET"), ("/", "PUT")):
                headers = ask(port, page, method)[1]
                assert headers["x-frame-options"] == "deny"
                assert "x-xss-protection" not in headers

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            ("- a", "is no mapping"),
            ("a: [", "not YAML in line"),
            ("surprise: 1", "surprise is not supported"),
            ("rate_limit: {burst: 1}", "rate_limit is not supported"),
            ("basic_auth_users: [alice]", "basic_auth_users is no mapping"),
            ("basic_auth_users: {alice: secret}", "alice has no hash of bcrypt"),
            (f"basic_auth_users: {{alice: {HASH.replace('$04$', '$31$')}}}", "alice has no hash of bcrypt"),
            ("http_server_config: {headers: {Set-Cookie: a}}", "headers: Set-Cookie is not supported"),
            ('http_server_config: {headers: {X-Frame-Options: "a\\nb"}}', "holds what no header can"),
            ("tls_server_config: {cert_file: a.pem}", "key_file is missing"),
            ("tls_server_config: {cert_file: a.pem, key_file: a.pem}", "a.pem: No such file or directory"),
            ("tls_server_config: {cert_file: a.pem, key_file: a.pem, cipher_suites: [X]}", "cipher_suites is not supported"),
            ("tls_server_config: {cert_file: a.pem, key_file: a.pem, min_version: SSL3}", "min_version: SSL3 is not supported"),
            ("tls_server_config: {cert_file: a.pem, key_file: a.pem, client_auth_type: RequireAnyClientCert}", "is not supported"),
            ("tls_server_config: {cert_file: a.pem, key_file: a.pem, client_allowed_sans: [x]}", "needs client_auth_type"),
        ],
    )
    def test_wrong_files(self, tmp_path: Path, content: str, why: str) -> None:
        """A file that asks for what is not there, or not understood, is refused in one line that names it."""
        path = tmp_path / "web.yml"
        path.write_text(content)
        with pytest.raises(WtmpdbError) as caught:
            WebConfig(str(path))
        assert why in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an authority, a certificate of the server and two of clients, one of them by nobody we know."""
    path = tmp_path_factory.mktemp("keys")
    script = """
        set -e
        new() {
            name=$1
            shift
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$name" -keyout $name.key "$@" 2>/dev/null
        }
        new ca -x509 -days 2 -out ca.pem
        new stranger -x509 -days 2 -out stranger.pem
        for name in localhost renewed client; do
            new $name -out $name.csr
            printf 'subjectAltName=DNS:%s\\n' $name | sed s/renewed/localhost/ > $name.ext
            openssl x509 -req -days 2 -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile $name.ext -out $name.pem 2>/dev/null
        done
    """
    subprocess.run(["bash", "-c", script], cwd=path, check=True)
    return path


class TestTls:
    """Certificates."""

    def write(self, keys: Path, tmp_path: Path, more: str = "") -> Path:
        """Write a file that asks for TLS, with its certificate beside it."""
        for name in ("localhost.pem", "localhost.key", "ca.pem"):
            (tmp_path / name).write_bytes((keys / name).read_bytes())
        (tmp_path / "web.yml").write_text(f"tls_server_config:\n  cert_file: localhost.pem\n  key_file: localhost.key\n{more}")
        return tmp_path / "web.yml"

    def test_server(self, site: Site, keys: Path, tmp_path: Path) -> None:
        """With a certificate there is TLS of version 1.2 or later, and nothing without."""
        with serving(site, self.write(keys, tmp_path), "localhost:0") as port:
            trusting = ("--cacert", str(keys / "ca.pem"), f"https://localhost:{port}/metrics")
            assert curl(*trusting) == (200, "")
            assert curl("--tls-max", "1.2", *trusting)[0] == 200
            assert curl("--tls-max", "1.1", *trusting)[0] == 0
            assert curl(f"https://localhost:{port}/metrics")[0] == 0
            assert curl(f"http://localhost:{port}/metrics")[0] == 0

    def test_silent_clients(self, site: Site, keys: Path, tmp_path: Path) -> None:
        """Clients that begin no handshake hold up nobody, however many they are."""
        with serving(site, self.write(keys, tmp_path), "localhost:0") as port:
            silent = [socket.create_connection(("localhost", port)) for _ in range(4 * web.CONNECTIONS)]
            begun = time.monotonic()
            assert curl("--cacert", str(keys / "ca.pem"), f"https://localhost:{port}/metrics")[0] == 200
            assert time.monotonic() - begun < 2
            for connection in silent:
                connection.close()

    def test_versions(self, site: Site, keys: Path, tmp_path: Path) -> None:
        """The versions that are allowed can be bounded."""
        with serving(site, self.write(keys, tmp_path, "  min_version: TLS13\n"), "localhost:0") as port:
            trusting = ("--cacert", str(keys / "ca.pem"), f"https://localhost:{port}/metrics")
            assert [curl("--tls-max", version, *trusting)[0] for version in ("1.2", "1.3")] == [0, 200]

    def test_clients(self, site: Site, keys: Path, tmp_path: Path) -> None:
        """Where client certificates are asked for, only one of the authority lets in, and a user's password is needed besides."""
        more = f"  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\nbasic_auth_users:\n  alice: {HASH}\n"
        with serving(site, self.write(keys, tmp_path, more), "localhost:0") as port:
            trusting = ("--cacert", str(keys / "ca.pem"), f"https://localhost:{port}/metrics")
            client = ("--cert", str(keys / "client.pem"), "--key", str(keys / "client.key"))
            stranger = ("--cert", str(keys / "stranger.pem"), "--key", str(keys / "stranger.key"))
            assert curl(*client, "--user", "alice:secret", *trusting)[0] == 200
            assert curl(*client, *trusting)[0] == 401
            assert curl(*stranger, "--user", "alice:secret", *trusting)[0] == 0
            assert curl("--user", "alice:secret", *trusting)[0] == 0

    @pytest.mark.parametrize(("names", "status"), [("client", 200), ("another", 0)])
    def test_names_of_clients(self, site: Site, keys: Path, tmp_path: Path, names: str, status: int) -> None:
        """Where names are given, the certificate of a client must bear one of them."""
        more = f"  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  client_allowed_sans: [x, {names}]\n"
        with serving(site, self.write(keys, tmp_path, more), "localhost:0") as port:
            client = ("--cert", str(keys / "client.pem"), "--key", str(keys / "client.key"))
            assert curl("--cacert", str(keys / "ca.pem"), *client, f"https://localhost:{port}/metrics")[0] == status

    def test_renewal(self, site: Site, keys: Path, tmp_path: Path) -> None:
        """A certificate that is renewed is the one that is shown from the next connection on, without a restart."""
        config = self.write(keys, tmp_path)
        with serving(site, config, "localhost:0") as port:

            def shown() -> bytes:
                command = ["openssl", "s_client", "-connect", f"localhost:{port}", "-CAfile", str(keys / "ca.pem")]
                return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=10).stdout

            assert b"CN = localhost" in shown() or b"CN=localhost" in shown()
            (tmp_path / "localhost.pem").write_bytes((keys / "renewed.pem").read_bytes())
            (tmp_path / "localhost.key").write_bytes((keys / "renewed.key").read_bytes())
            assert b"CN = renewed" in shown() or b"CN=renewed" in shown()
            config.write_text("{}")
            assert curl(f"http://localhost:{port}/metrics")[0] == 0
