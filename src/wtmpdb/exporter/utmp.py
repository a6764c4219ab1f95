# SPDX-License-Identifier: BSD-2-Clause
"""A utmp file as a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtmpdb.errors import WtmpdbError
from wtmpdb.exporter.sources import Reading
from wtmpdb.legacy.analysis import live_users
from wtmpdb.legacy.reader import open_file
from wtmpdb.legacy.record import BOOT_TIME
from wtmpdb.live import Session
from wtmpdb.text import store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.legacy.reader import LegacyFile
    from wtmpdb.legacy.record import Record


class Utmp:
    """A live utmp file of any layout, such as one that is mounted into a container. Who has a record there is on: no process is looked for."""

    def __init__(self, path: str) -> None:
        """Read the file at ``path``, anew each time."""
        self._path = path

    def read(self) -> Reading:
        """Return what is so now. Raises WtmpdbError when the file is not there, or is none."""
        booted: list[int] = []

        def records(file: LegacyFile) -> Iterator[Record]:
            for record in file:
                if record.type == BOOT_TIME:
                    booted.append(record.time)
                yield record

        try:
            with open_file(self._path) as file:
                found = live_users(records(file))
        except OSError as error:
            raise WtmpdbError(f"{self._path}: {error.strerror}") from error
        sessions = [Session(_stored(on.user), on.since, tty=_stored(on.line), host=_stored(on.host), pid=on.pid) for on in found]
        return Reading(sessions, booted[-1] if booted else None)


def _stored(text: str) -> bytes:
    """Return text as the database has it."""
    return store(text.encode("utf-8", "surrogateescape")).encode()
