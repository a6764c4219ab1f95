# SPDX-License-Identifier: BSD-2-Clause
"""Who is on now: what is open in the history and lives, and what logind knows beyond it."""

from __future__ import annotations

from wtmpdb.entry import SECOND, End, EntryType
from wtmpdb.history import History
from wtmpdb.log import Log
from wtmpdb.system import System

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.entry import Row
    from wtmpdb.logind import Login

_LIVES = (End.STILL, End.UNKNOWN)
_SAME_LOGIN = 10 * SECOND  # sshd writes its row when the terminal is made, a moment after logind was told
_DEVICES = (b"pts/", b"tty")
_NO_DEVICES = (None, b"", b"ssh")  # what stands in the place of a terminal that was made later, or never


class Session:
    """A session that is open now. Text is bytes as it is stored; ``login`` is µs since the epoch, UTC; what is not known is None.

    ``tty`` is the terminal that it has now, where that can be seen. ``xdg_session``, ``kind`` (its class) and ``seat`` are logind's.
    """

    __slots__ = ("host", "id", "kind", "login", "pid", "seat", "service", "tty", "user", "xdg_session")

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
        kind: str | None = None,
        seat: str | None = None,
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
        self.kind = kind
        self.seat = seat


def sessions(log: Log | None, system: System | None = None) -> list[Session]:
    """Return the sessions of people that are open now on this machine, the oldest first.

    ``log`` is the history of this machine, None where there is none yet. Whoever came by another way than PAM is known by logind; what neither
    tells of, a window of a terminal multiplexer say, is no login.
    """
    system = system or System()
    found = _with_logins(_recorded_here(log, system) if log else [], system)
    for session in found:
        if session.tty in _NO_DEVICES and session.pid is not None:
            session.tty = system.terminal(session.pid) or session.tty
    return sorted(found, key=lambda session: session.login)


def recorded(log: Log) -> list[Session]:
    """Return the sessions that are open in a history of whatever machine, the oldest first; what nobody can say counts as open."""
    return list(_open(log, History(log), log.open_rows()))[::-1]


def _open(log: Log, history: History, rows: list[Row]) -> Iterator[Session]:
    for lines in history.lines([rows]):
        for how, user, tty, host, service, login, _, ident, type_ in lines:
            if type_ == EntryType.USER_PROCESS and how in _LIVES and ident is not None:
                opening = log.opening(ident, login)
                pid, xdg_session = (opening.pid, opening.xdg_session) if opening else (None, None)
                yield Session(user, login, tty=tty, host=host, service=service, pid=pid, id=ident, xdg_session=xdg_session)


def _recorded_here(log: Log, system: System) -> list[Session]:
    """Return what is open in the history of this machine, newest first."""
    key = system.boot_key()

    def may_live(row: Row) -> bool:
        """Leave out the many sessions that went down with earlier boots."""
        opening = log.opening(row[7], row[5])
        return opening is None or not opening.boot or opening.boot == key

    # What stands in for a log, and keeps the open rows itself, has no need to leave some out.
    rows = [row for row in (log.open_rows(key) if isinstance(log, Log) else log.open_rows()) if may_live(row)]
    found: list[Session] = []
    taken: set[bytes] = set()
    for session in _open(log, History(log, system, at_home=True), rows):
        tty = session.tty or b""
        if session.pid is None and tty.startswith(_DEVICES):  # C's: nothing but its terminal tells whether it lives
            if tty in taken or (tty.startswith(b"pts/") and system.tty_owner(tty) is None):
                continue
            taken.add(tty)
        found.append(session)
    return found


def _with_logins(found: list[Session], system: System) -> list[Session]:
    """Return the sessions with what logind knows of them, without those that are no person's, and what only logind knows."""
    logins, ended = _living(system)
    by_id = {login.id: login for login in logins}
    by_leader: dict[int | None, Login] = {login.leader: login for login in logins}
    on: list[Session] = []
    known: set[str] = set()
    for session in found:
        login = (by_leader.get(session.pid) if session.pid is not None else None) or by_id.get(session.xdg_session or "")
        if login is None:
            if not _is_of(session, ended):
                on.append(session)
        elif not login.is_of_a_person:
            # The id is of PAM's environment, which pam_env may fill from a file of the user: it hides nobody.
            if login.leader != session.pid:
                on.append(session)
        else:
            on.append(_joined(session, login))
            if login.user == session.user or login.leader == session.pid:  # else it is a su within it
                known.add(login.id)
    by_tty = {(session.user, session.tty): session for session in on if session.pid is None}
    for login in logins:
        if login.id in known or not login.is_of_a_person:
            continue
        tty = login.tty or (system.terminal(login.leader) if login.leader is not None else None)
        same = by_tty.get((login.user, tty)) if tty else None  # a row of C, such as Debian 13's sshd writes
        if same:
            _joined(same, login).pid = login.leader
        else:
            on.append(_joined(Session(login.user, login.login, tty=tty, host=login.host, service=login.service, pid=login.leader), login))
    return on


def _living(system: System) -> tuple[list[Login], list[Login]]:
    """Return the sessions of logind's that live, and those that do not: they wait for processes that their end has left behind."""
    logins: tuple[list[Login], list[Login]] = [], []
    for login in system.logins():
        ended = login.closing or (login.leader is not None and system.process_lives(login.leader, None) is False)
        logins[ended].append(login)
    return logins


def _is_of(session: Session, ended: list[Login]) -> bool:
    """Tell whether a row of C, which tells no process, began with a session that has ended, whatever still holds its terminal."""
    return session.pid is None and any(
        (login.user, login.host) == (session.user, session.host) and abs(login.login - session.login) < _SAME_LOGIN for login in ended
    )


def _joined(session: Session, login: Login) -> Session:
    session.xdg_session, session.kind, session.seat = login.id, login.kind, login.seat
    session.service = session.service or login.service
    if session.tty in _NO_DEVICES:
        session.tty = login.tty or session.tty
    return session
