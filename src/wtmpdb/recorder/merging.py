# SPDX-License-Identifier: BSD-2-Clause
"""Rows of ssh sessions whose terminal was made after PAM was told of them: the terminal is put in, and two rows of one session become one.

Debian 13's sshd writes a row of its own, without a row in ``session``, for each terminal that it makes, before the user's program starts. To end it,
it looks up the newest open row of the terminal, and sets the logout of that ID. So it is sshd's row that stays: our facts go into it, and our own,
of which sshd never knew, is deleted. No ID that sshd may hold is ever free.
"""

from __future__ import annotations

from wtmpdb.event import UNMADE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wtmpdb.log import Log

SOON = 10_000_000
"""µs within which sshd makes the terminal of a session that was over before anybody saw it."""

NEAR = 2_000_000
"""µs that lie at most between the two ends that sshd and its PAM module tell of one session."""

MOST = 1_000
"""How many rows are looked at in one go; older ones stay as they are."""

_OURS = "wtmp JOIN session ON entry_id = ID AND session.login = wtmp.Login"
_NOBODYS = " AND ".join(
    f"NOT EXISTS (SELECT 1 FROM {table} WHERE entry_id = theirs.ID AND {table}.login = theirs.Login)"  # noqa: S608 - constants
    for table in ("session", "imported")
)


def newest(log: Log) -> int:
    """Return the largest ID of a row of ours, 0 for none."""
    found = log.query("SELECT max(entry_id) FROM session")[0][0]
    return int(found or 0)


def without_terminal(log: Log, boot: str, after: int) -> list[tuple[str, int, int]]:
    """Return the sessions of a boot that have no terminal yet: key, process, its start. Those with an ID above ``after``, the newest first."""
    return _sessions(log, "entry_id > ?", boot, after)


def open_without_terminal(log: Log, boot: str) -> list[tuple[str, int, int]]:
    """Return all that are open, likewise."""
    return _sessions(log, "Logout IS NULL", boot)


def _sessions(log: Log, which: str, boot: str, *values: int) -> list[tuple[str, int, int]]:
    found = log.query(
        f"SELECT session_key, pid, start_ticks FROM {_OURS} WHERE {which} AND TTY = ? AND boot_key = ? AND pid > 0 AND start_ticks IS NOT NULL"  # noqa: S608
        " AND session_key IS NOT NULL ORDER BY wtmp.Login DESC LIMIT ?",
        (*values, UNMADE, boot, MOST),
    )
    return [(key.decode(), pid, start) for key, pid, start in found]


def put_in(log: Log, terminals: Iterable[tuple[str, str]]) -> None:
    """Put terminals, given by the keys of their sessions, into rows that are open and have none, all in one transaction. Raises LogError."""

    def work() -> None:
        for key, tty in terminals:
            _put_in(log, key, tty)

    log.at_once(work)


def _put_in(log: Log, key: str, tty: str) -> None:
    found = log.query(
        "SELECT ours.ID, (SELECT ID FROM wtmp AS theirs WHERE Type = 3 AND User = ours.User AND TTY = ? AND Login >= ours.Login"  # noqa: S608
        f" AND Logout IS NULL AND {_NOBODYS} ORDER BY Login DESC LIMIT 1)"
        " FROM wtmp AS ours JOIN session ON entry_id = ours.ID AND session.login = ours.Login"
        " WHERE session_key = ? AND Logout IS NULL AND TTY IN (?, ?)",
        (tty, key, UNMADE, tty),
    )
    for ours, theirs in found:
        if theirs is None:
            log.query("UPDATE wtmp SET TTY = ? WHERE ID = ?", (tty, ours))
        else:
            _merge(log, ours, theirs)


def find(log: Log, keys: Iterable[str]) -> None:
    """Look for what sshd wrote of sessions that are over, and whose terminal nobody has seen; all in one transaction. Raises LogError.

    That is a row of the same user and host that began soon after and ended at the same time.
    """

    def work() -> None:
        for key in keys:
            _find(log, key)

    log.at_once(work)


def _find(log: Log, key: str) -> None:
    found = log.query(
        "SELECT ours.ID, theirs.ID FROM wtmp AS ours JOIN session ON entry_id = ours.ID AND session.login = ours.Login"  # noqa: S608
        " JOIN wtmp AS theirs ON theirs.User = ours.User AND theirs.Login BETWEEN ours.Login AND min(ours.Login + ?, ours.Logout)"
        " AND theirs.Logout BETWEEN ours.Logout - ? AND ours.Logout + ? AND coalesce(theirs.RemoteHost, '') = coalesce(ours.RemoteHost, '')"
        " AND theirs.Type = 3 AND theirs.TTY LIKE 'pts/%' AND ours.TTY IN (?, theirs.TTY)"
        f" WHERE session_key = ? AND {_NOBODYS} ORDER BY abs(theirs.Logout - ours.Logout) LIMIT 1",
        (SOON, NEAR, NEAR, UNMADE, key),
    )
    for ours, theirs in found:
        _merge(log, ours, theirs)


def _merge(log: Log, ours: int, theirs: int) -> None:
    """Move our facts into sshd's row: the login that PAM was told, so that all sessions have it from there, and the logout if there is one."""
    log.query("UPDATE OR REPLACE session SET entry_id = ? WHERE entry_id = ?", (theirs, ours))
    log.query(
        "UPDATE wtmp SET Login = ours.Login, Logout = coalesce(ours.Logout, wtmp.Logout),"
        " RemoteHost = coalesce(ours.RemoteHost, wtmp.RemoteHost), Service = ours.Service"
        " FROM (SELECT Login, Logout, RemoteHost, Service FROM wtmp WHERE ID = ?) AS ours WHERE ID = ?",
        (ours, theirs),
    )
    log.query("DELETE FROM wtmp WHERE ID = ?", (ours,))


# sshd may end its row after our letter has: then it finds another that is open.


def others_on_terminal(log: Log, key: str) -> list[tuple[int, int]]:
    """Return ID and login of the other open rows on the terminal of a session."""
    found = log.query(
        "SELECT wtmp.ID, wtmp.Login FROM wtmp JOIN (SELECT ID, TTY FROM wtmp JOIN session ON entry_id = ID AND session.login = wtmp.Login"
        " WHERE session_key = ? AND TTY <> ?) AS ours WHERE wtmp.TTY = ours.TTY AND wtmp.ID <> ours.ID AND Logout IS NULL AND Type = 3 LIMIT ?",
        (key, UNMADE, MOST),
    )
    return [(ident, login) for ident, login in found]


def open_again(log: Log, rows: Mapping[tuple[int, int], int]) -> None:
    """Open rows, given by ID and login, that were closed after a moment (µs) though no letter did it; all in one transaction. Raises LogError."""
    log.at_once(
        lambda: [
            log.query(
                "UPDATE wtmp SET Logout = NULL WHERE ID = ? AND Login = ? AND Logout BETWEEN ? AND ? AND NOT EXISTS"
                " (SELECT 1 FROM session WHERE entry_id = ID AND session.login = wtmp.Login AND closed_by IS NOT NULL)",
                (*row, since - NEAR, since + SOON),
            )
            for row, since in rows.items()
        ]
    )
