# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb exporter`: serve metrics to Prometheus."""

from __future__ import annotations

import os
import signal
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from importlib.util import find_spec
from typing import TYPE_CHECKING

from wtmpdb.errors import WtmpdbError, complain

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

    from wtmpdb.exporter.sources import Source

LISTEN = "127.0.0.1:20380"
"""Where it listens by default. The port is none that is given out to clients, nor one of the 9100 to 9999 that exporters have used up."""

EPILOGUE = f"""
It listens on {LISTEN} unless told otherwise. 'wtmpdb setup --exporter' runs it as a service.

Examples:
  wtmpdb exporter
  wtmpdb exporter --web.listen-address=:20380 --web.config.file=/etc/wtmpdb/web.yml
  wtmpdb exporter --collect.per-user --collect.per-host
  wtmpdb exporter --textfile /var/lib/prometheus/node-exporter
  wtmpdb exporter --compat.unix-user-exporter --utmp-path=/host/run/utmp
"""

_SERIES, _COMPATIBLE_SERIES = 100, 1000


def run(words: Sequence[str], program: str) -> int:
    """Run the command."""
    parser = _parser(program)
    wishes = parser.parse_args(words)
    wishes.max_series = wishes.max_series if wishes.max_series is not None else _COMPATIBLE_SERIES if wishes.compatible else _SERIES
    if wishes.max_series < 1:
        parser.error("--collect.max-series: at least 1")
    if wishes.file and wishes.utmp_path:
        parser.error("--file and --utmp-path: one of them")
    if wishes.textfile is not None and (wishes.addresses or wishes.systemd_socket or wishes.config_file):
        parser.error("--textfile serves nothing: it goes with no --web option")
    if not wishes.telemetry_path.startswith("/") or wishes.telemetry_path in ("/", "/-/healthy"):
        parser.error("--web.telemetry-path: begins with /, and is neither / nor /-/healthy")
    for module in ("prometheus_client", *(("bcrypt", "yaml") if wishes.config_file else ())):
        if find_spec(module) is None:
            raise WtmpdbError(f"the Python package {module} is not installed", "pip install 'wtmpdb[exporter]'")

    from prometheus_client import CollectorRegistry  # noqa: PLC0415 - now that it is known to be there

    def report(error: WtmpdbError) -> None:
        complain(f"{program}: {error}", error.hint)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_collector(wishes, report))
    return _write(registry, wishes.textfile) if wishes.textfile is not None else _serve(registry, wishes, report)


def _parser(program: str) -> ArgumentParser:
    about = "Serve metrics of sessions, failed logins, boots and the history itself to Prometheus."
    parser = ArgumentParser(prog=program, description=about, epilog=EPILOGUE, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("-f", "--file", metavar="FILE", help="read this database")
    parser.add_argument("--utmp-path", metavar="FILE", help="read this utmp file, of any layout, instead of the database")
    parser.add_argument("--collect.per-user", dest="per_user", action="store_true", help="sessions of each user, too")
    parser.add_argument("--collect.per-host", dest="per_host", action="store_true", help="sessions and failures of each remote host, too")
    parser.add_argument("--collect.sessions", dest="sessions", action="store_true", help="each open session, too")
    text = "so many values of one label at most, the rest is counted as 'other' (default: 100, with --compat.unix-user-exporter 1000)"
    parser.add_argument("--collect.max-series", dest="max_series", metavar="N", type=int, help=text)
    parser.add_argument("--compat.unix-user-exporter", dest="compatible", action="store_true", help="only the metrics of unix-user-exporter")
    text = "listen there; may be given more than once"
    parser.add_argument("--web.listen-address", dest="addresses", metavar="HOST:PORT", action="append", default=[], help=text)
    parser.add_argument("--web.systemd-socket", dest="systemd_socket", action="store_true", help="take the sockets that systemd hands over")
    parser.add_argument("--web.config.file", dest="config_file", metavar="FILE", help="TLS, client certificates and users, as Prometheus has them")
    text = "where the metrics are (default: %(default)s)"
    parser.add_argument("--web.telemetry-path", dest="telemetry_path", metavar="PATH", default="/metrics", help=text)
    parser.add_argument("--textfile", metavar="DIR", help="write DIR/wtmpdb.prom for node_exporter, once, and end")
    parser.add_argument("--debug", action="store_true", help="tell of each request on standard error")
    return parser


def _collector(wishes: Namespace, report: Callable[[WtmpdbError], None]) -> Collector:
    if wishes.compatible:
        from wtmpdb.exporter.compat import UTMP, UnixUsers  # noqa: PLC0415 - all of these need prometheus_client

        if wishes.utmp_path is None and wishes.file is None and os.path.exists(UTMP):
            wishes.utmp_path = UTMP
        return UnixUsers(_source(wishes), wishes.max_series)
    from wtmpdb.exporter.collector import Sessions, Wishes  # noqa: PLC0415

    return Sessions(_source(wishes), Wishes(wishes.per_user, wishes.per_host, wishes.sessions, wishes.max_series), report)


def _source(wishes: Namespace) -> Source:
    if wishes.utmp_path:
        from wtmpdb.exporter.utmp import Utmp  # noqa: PLC0415 - the readers of old files are not small

        return Utmp(wishes.utmp_path)
    from wtmpdb.exporter.sources import Database  # noqa: PLC0415

    return Database(wishes.file)


def _write(registry: CollectorRegistry, directory: str) -> int:
    from prometheus_client import write_to_textfile  # noqa: PLC0415

    write_to_textfile(os.path.join(directory, "wtmpdb.prom"), registry)
    return 0


def _serve(registry: CollectorRegistry, wishes: Namespace, report: Callable[[WtmpdbError], None]) -> int:
    from wtmpdb.exporter.site import Site  # noqa: PLC0415
    from wtmpdb.exporter.web import Server, handed_over, listen  # noqa: PLC0415

    guard = None
    if wishes.config_file:
        from wtmpdb.exporter.webconfig import WebConfig  # noqa: PLC0415

        guard = WebConfig(wishes.config_file).guard
    sockets = handed_over() if wishes.systemd_socket else []
    compatible = wishes.compatible
    default = [] if sockets else [":32142" if compatible else LISTEN]
    sockets += listen(wishes.addresses or default)
    title = "Unix User Exporter" if compatible else "wtmpdb exporter"
    about = "Who is on, in the metrics of unix-user-exporter." if compatible else "The login history of this machine, for Prometheus."
    site = Site(registry, metrics=wishes.telemetry_path, title=title, about=about, openmetrics=not compatible)
    # Nothing is to be saved. As process 1 of a container it would not end by itself: the default is to ignore the signal there.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    for one in sockets:
        host, port = one.getsockname()[:2]
        complain(f"wtmpdb exporter: listening on {f'[{host}]' if ':' in host else host}:{port}")
    Server(sockets, site, guard, report, debug=wishes.debug).serve()
    return 0
