# SPDX-License-Identifier: BSD-2-Clause
"""Case: the machine that is looked at, or a tree of one, and what is known of it beforehand."""

from __future__ import annotations

import os
import stat
import time

from wtmpdb.errors import WtmpdbError
from wtmpdb.installation import places
from wtmpdb.installation.changes import only_roots
from wtmpdb.installation.found import inside, systemd_runs
from wtmpdb.installation.ledger import OPTIONS, Ledger
from wtmpdb.log import DATABASE
from wtmpdb.system import System


class Case:
    """What all checks share. Paths are those of the tree's root; ``now`` is seconds since the epoch."""

    def __init__(
        self, root: str = "/", *, file: str | None = None, full: bool = False, system: System | None = None, now: float | None = None
    ) -> None:
        """Take the root of the tree, and a database to look at alone, instead of the tree's own."""
        self.root = root
        self.full = full
        self.system = system or System()
        self.now = time.time() if now is None else now
        self.alone = file is not None
        self.database = file or self.path(DATABASE)
        self.spool = self.path(places.SPOOL)
        self.is_root = os.geteuid() == 0
        # Who is not root cannot see whether it stands in a tree.
        self.systemd = systemd_runs(root) or (not self.is_root and root == "/" and os.path.isdir("/run/systemd/system"))
        self.prefix = self._prefix()

    def path(self, path: str) -> str:
        """Return where a file of the tree is for us."""
        return inside(self.root, path)

    def _prefix(self) -> str:
        """Return where the program is, as the tree itself calls it: where the link leads, if into a virtual environment."""
        try:
            target = os.readlink(self.path(places.PROGRAM))
        except OSError:
            return places.PREFIX
        top = os.path.dirname(os.path.dirname(target))
        return top if os.path.exists(self.path(f"{top}/pyvenv.cfg")) else places.PREFIX

    def asked_for(self, option: str) -> bool:
        """Tell whether `setup` was asked for something; where its record cannot be read, what it does by default."""
        try:
            return Ledger(self.root, dry=True).options[option]
        except WtmpdbError:
            return OPTIONS[option]

    @staticmethod
    def unsafe(path: str) -> str:
        """Return what of a file, or of a directory above it, others than root can change, and how; "" when nothing."""
        loose = only_roots(path)
        if loose is None:
            return ""
        facts = os.lstat(loose)
        if facts.st_uid != 0:
            return f"{loose} belongs to user {facts.st_uid}"
        return f"{loose} can be written by others (mode {stat.S_IMODE(facts.st_mode):04o})"
