# SPDX-License-Identifier: BSD-2-Clause
"""Who is on now: what is open in the history and lives."""

from __future__ import annotations

from wtmpdb.entry import End, EntryType
from wtmpdb.history import History

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wtmpdb.log import Log
    from wtmpdb.system import System

_LIVES = (End.STILL, End.UNKNOWN)


class Session:
    """A session that is open now. Text is bytes as it is stored; ``login`` is µs since the epoch, UTC; what is not known is None."""

    __slots__ = ("host", "id", "login", "pid", "service", "tty", "user", "xdg_session")

    def __init__(
        self,
        user: bytes,
        login: int,
        *,
        tty: bytes | None = None,
        host: bytes | None = None,
        service: bytes | None = None,
        pid: int | None = None,
        id: int | None = None,  # noqa: A002 - the field's own name
        xdg_session: str | None = None,
    ) -> None:
        """Keep the facts; ``id`` is the ID of its row, None for a session that has none."""
        self.user = user
        self.login = login
        self.tty = tty
        self.host = host
        self.service = service
        self.pid = pid
        self.id = id
        self.xdg_session = xdg_session


def sessions(log: Log, system: System | None = None) -> list[Session]:
    """Return the sessions that are open now, the oldest first."""
    found = []
    for lines in History(log, system, at_home=True).lines([log.open_rows()]):
        for how, user, tty, host, service, login, _, ident, type_ in lines:
            if type_ == EntryType.USER_PROCESS and how in _LIVES:
                opening = log.opening(ident, login) if ident is not None else None
                found.append(Session(user, login, tty=tty, host=host, service=service, pid=opening.pid if opening else None, id=ident))
    return found[::-1]
