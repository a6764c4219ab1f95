# SPDX-License-Identifier: BSD-2-Clause
"""Whether a session without a logout in an old file is still there, as the newest util-linux `last` decides it.

It asks the machine that it runs on, whichever machine the file is from: when that was started, which users it has, the login uid of the process and
the owner of the terminal.
"""

from __future__ import annotations

from wtmpdb.entry import SECOND, End

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wtmpdb.legacy.record import Fields
    from wtmpdb.system import System

_UNSET = 2**32 - 1  # the login uid of a process that no login has set (credentials(7), /proc/PID/loginuid)
_MOST_REMEMBERED = 10_000


class Phantoms:
    """Tells sessions that are still there from those that are gone."""

    def __init__(self, system: System) -> None:
        """Ask ``system``, this machine."""
        self._system = system
        self._started = system.kernel_start() // SECOND
        self._users: dict[bytes, int | None] = {}

    def __call__(self, fields: Fields) -> int:
        """Return `End.STILL` or `End.GONE` for the record of a login."""
        _, pid, line, _, user, _, seconds, *_ = fields
        return End.STILL if seconds >= self._started and self._is_there(self._user_id(user), pid, line) else End.GONE

    def _is_there(self, user: int | None, pid: int, line: bytes) -> bool:
        if user is None:
            return False
        login = self._system.login_uid(pid)
        if login is not None:
            return login in (user, _UNSET)
        # An X display is no terminal. Of an empty line `last` asks for /dev itself.
        return line.startswith(b":") or self._system.tty_owner(line or b".") == user

    def _user_id(self, name: bytes) -> int | None:
        if name not in self._users:
            if len(self._users) > _MOST_REMEMBERED:
                self._users.clear()
            self._users[name] = self._system.user_id(name)
        return self._users[name]
