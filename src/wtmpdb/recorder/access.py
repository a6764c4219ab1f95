# SPDX-License-Identifier: BSD-2-Clause
"""Who may see what of the history: decided by what the kernel says of the process at the other end of a socket, never by what that says of itself.

Who may read the file sees all of it: root, the group, and everybody as long as its mode lets everybody. What the others see is one word in the file
``private`` beside the history, which `wtmpdb setup` writes: their own sessions and the boots, everything, or nothing.
"""

from __future__ import annotations

import os
import stat
from time import monotonic

from wtmpdb.connection import PRIVATE
from wtmpdb.errors import LogError, NoLogError
from wtmpdb.text import store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from threading import Thread

    Condition = tuple[str, tuple[object, ...]]  # what follows WHERE, and its values

ALL, OWN, NONE = OTHERS = ("all", "own", "none")
"""What others may see."""

_KNOWN_FOR = 60.0
_MOST_NAMES = 256
_MOST_QUESTIONS = 8
_PATIENCE = 0.005


class View:
    """A part of the history: the sessions of one user and the boots, or, where ``user`` is None, everything."""

    __slots__ = ("user",)

    def __init__(self, user: str | None = None) -> None:
        """Keep the user, whose name is as the file keeps it; "" has no sessions."""
        self.user = user

    def conditions(self, *, opened: bool = False) -> list[Condition]:
        """Return conditions, of which each row that may be seen fulfils exactly one; ``opened`` leaves out what has ended.

        A plus keeps SQLite from looking for the term in an index: what is open is few, and has one of its own.
        """
        if self.user is None:
            return [("Logout IS NULL" if opened else "1", ())]
        boots = ("+Type = 1 AND Logout IS NULL", ()) if opened else BOOTS
        if not self.user:
            return [boots]
        return [("+Type = 3 AND +User = ? AND Logout IS NULL" if opened else "Type = 3 AND User = ?", (self.user,)), boots]


BOOTS: Condition = ("Type = 1", ())


def may_read(path: str, uid: int, groups: Collection[int]) -> bool:
    """Tell whether a process may read a file by its owner, group and mode. Raises LogError."""
    try:
        facts = os.stat(path)
    except OSError as error:
        raise (NoLogError if isinstance(error, FileNotFoundError) else LogError)(f"{path}: {error.strerror}") from error
    if uid in (0, facts.st_uid):
        return True
    return bool(facts.st_mode & (stat.S_IRGRP if facts.st_gid in groups else stat.S_IROTH))


def for_others(path: str) -> str:
    """Return what those who may not read the history at ``path`` may see of it; a word that nobody knows hides everything."""
    try:
        with open(os.path.join(os.path.dirname(path), PRIVATE), encoding="ascii", errors="replace") as file:
            said = file.read(64).strip()
    except FileNotFoundError:
        return OWN
    except OSError:
        return NONE
    return (said or OWN) if said in ("", *OTHERS) else NONE


class Names:
    """The names of users, asked of the system in threads: a directory service that does not answer must not hold up the recorder."""

    def __init__(self) -> None:
        """Know none."""
        self._known: dict[int, tuple[float, str]] = {}
        self._asking: dict[int, Thread] = {}

    def of(self, uid: int) -> str | None:
        """Return the name of a user as the file keeps it, or "" where there is none; None as long as that is not known yet."""
        told, name = self._known.get(uid, (0.0, ""))
        if told and monotonic() - told < _KNOWN_FOR:
            return name
        self._ask(uid)
        told_now, name = self._known.get(uid, (0.0, ""))
        return name if told_now != told else None

    def _ask(self, uid: int) -> None:
        from threading import Thread  # noqa: PLC0415 - seldom

        thread = self._asking.get(uid)
        if thread is None:
            if len(self._asking) >= _MOST_QUESTIONS:
                self._asking = {asked: thread for asked, thread in self._asking.items() if thread.is_alive()}
                if len(self._asking) >= _MOST_QUESTIONS:
                    return
            thread = self._asking[uid] = Thread(target=self._find, args=(uid,), daemon=True)
            thread.start()
            thread.join(_PATIENCE)  # users of this machine itself are found at once
        if not thread.is_alive():
            del self._asking[uid]

    def _find(self, uid: int) -> None:
        import pwd  # noqa: PLC0415 - seldom

        try:
            name = store(os.fsencode(pwd.getpwuid(uid).pw_name))
        except (KeyError, OSError):
            name = ""
        while len(self._known) >= _MOST_NAMES:
            self._known.pop(next(iter(self._known)), None)
        self._known[uid] = monotonic(), name
