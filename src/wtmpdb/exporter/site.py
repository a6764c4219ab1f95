# SPDX-License-Identifier: BSD-2-Clause
"""What is served: the metrics, a page that leads to them, a word that all is well. Nothing comes from the disk, and no request changes anything."""

from __future__ import annotations

import gzip
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from wtmpdb.errors import WtmpdbError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import CollectorRegistry

_TEXT = "text/plain; charset=utf-8"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
<h1>{title}</h1>
<p>{about}</p>
<ul>
<li><a href="{metrics}">Metrics</a></li>
<li><a href="/-/healthy">Health</a></li>
</ul>
</body>
</html>
"""


class Answer(NamedTuple):
    """Status, headers and body of a response."""

    status: int
    headers: dict[str, str]
    body: bytes


class Site:
    """The pages of one exporter."""

    def __init__(self, registry: CollectorRegistry, *, metrics: str = "/metrics", title: str, about: str, openmetrics: bool = True) -> None:
        """Serve the metrics of ``registry`` at the path ``metrics``; ``openmetrics`` says whether their names allow that format, too."""
        self._registry = registry
        self._metrics = metrics
        self._open = openmetrics
        self._page = _PAGE.format(title=escape(title), about=escape(about), metrics=escape(metrics)).encode()

    def answer(self, path: str, headers: Mapping[str, str]) -> Answer:
        """Return what is at a path; ``headers`` are those of the request, by their names in small letters."""
        path = path.partition("?")[0]
        if path == self._metrics:
            return self._scrape(headers)
        if path == "/-/healthy":
            return Answer(200, {"Content-Type": _TEXT}, b"wtmpdb exporter is healthy.\n")
        if path == "/":
            return Answer(200, {"Content-Type": "text/html; charset=utf-8"}, self._page)
        return Answer(404, {"Content-Type": _TEXT}, b"There is nothing here.\n")

    def _scrape(self, headers: Mapping[str, str]) -> Answer:
        wants_open = self._open and "application/openmetrics-text" in headers.get("accept", "")
        try:
            body: bytes = (openmetrics.generate_latest if wants_open else generate_latest)(self._registry)
        except WtmpdbError as error:
            return Answer(503, {"Content-Type": _TEXT}, f"{error}\n".encode("utf-8", "replace"))
        found = {"Content-Type": openmetrics.CONTENT_TYPE_LATEST if wants_open else CONTENT_TYPE_PLAIN_0_0_4, "Vary": "Accept, Accept-Encoding"}
        if _accepts_gzip(headers.get("accept-encoding", "")):
            body = gzip.compress(body, 5)
            found["Content-Encoding"] = "gzip"
        return Answer(200, found, body)


def _accepts_gzip(accepted: str) -> bool:
    """Tell whether gzip is named without a weight of zero."""
    for coding in accepted.split(","):
        name, _, weight = coding.replace(" ", "").partition(";q=")
        if name.lower() == "gzip":
            return not weight or weight.strip("0.") != ""
    return False
