# SPDX-License-Identifier: BSD-2-Clause
"""The database: where it is, whose it is, whether it is whole, and what it has of what we add."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile

from wtmpdb import schema
from wtmpdb.doctor.asking import Asked, OutOfTimeError, asked, connected
from wtmpdb.doctor.finding import note, ok, problem
from wtmpdb.errors import DamagedLogError, DeniedLogError, LogError, NoLogError
from wtmpdb.installation import places
from wtmpdb.installation.found import sshd_records
from wtmpdb.log import Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.doctor.case import Case
    from wtmpdb.doctor.finding import Finding

COLUMNS = ["ID", "Type", "User", "Login", "Logout", "TTY", "RemoteHost", "Service"]
"""The columns of `wtmp`: the C project's readers insist on them."""

TABLES = ("boot", "imported", "session", "wtmp")
_SETUP = "sudo wtmpdb setup"
_MEND = "sudo wtmpdb recorder --once"
_MOST_TOLD = 3
_LARGEST_ID = 2**31 - 1
_ROOM_FOR_COPY = "/var/tmp"  # noqa: S108 - within it, a directory of our own


def place(case: Case) -> Iterator[Finding]:
    """Check that there is a history, and one only: the C tools of Debian 13 keep theirs elsewhere, and ours is a link to it."""
    path, theirs = case.database, case.path(places.C_DATABASE)
    if not os.path.lexists(path):
        yield note("database", f"{path} is not there yet: the first boot or login that is recorded makes it", "sudo wtmpdb boot")
        return
    if os.path.islink(path):
        yield ok("database", f"{path} is a link to {os.path.realpath(path)}")
    if case.alone:
        return
    apart = os.path.exists(path) and os.path.exists(theirs) and not os.path.samefile(path, theirs)
    if apart and sshd_records(case.root):
        what = f"sshd writes into {places.C_DATABASE}, everything else into {path}: the history is in two halves"
        yield problem("database", what, f"sudo mv {path} {path}.before && {_SETUP} && sudo wtmpdb import {path}.before")
    elif apart and os.path.getsize(theirs):
        yield note("database", f"{places.C_DATABASE} is another history beside {path}", f"sudo wtmpdb import {places.C_DATABASE}")


def modes(case: Case) -> Iterator[Finding]:
    """Check that the file, its journal and its directory have the owner and the modes that they should."""
    if case.alone or not os.path.isfile(case.database):
        return
    real = os.path.realpath(case.database)
    facts, mode = _facts(real)
    wanted = 0o640 if case.asked_for("private") else 0o644
    findings: list[Finding] = []
    if facts.st_uid != 0:
        findings.append(problem("modes", f"{real} belongs to user {facts.st_uid}, who can change the history", f"sudo chown root: {real}"))
    elif mode & 0o022:
        findings.append(problem("modes", f"{real} can be written by others (mode {mode:04o})", f"sudo chmod {wanted:04o} {real}"))
    elif mode & ~wanted & 0o777:
        findings.append(
            problem("modes", f"{real} can be read by everybody (mode {mode:04o}), but was to be private", f"sudo chmod {wanted:04o} {real}")
        )
    elif wanted & ~mode:
        findings.append(note("modes", f"{real} has the mode {mode:04o}: users cannot see the history", f"sudo chmod {wanted:04o} {real}"))
    # Of a link, its own directory counts too: who can write that can lead the link elsewhere.
    for directory in dict.fromkeys(map(os.path.dirname, (os.path.abspath(case.database), real))):
        findings += _directory(case, directory)
    findings += _journal(f"{real}-journal", facts)
    yield from findings or [ok("modes", f"{real} is {_owners(facts)} {mode:04o}; only root can change it, its journal or their directory")]


def _facts(path: str) -> tuple[os.stat_result, int]:
    facts = os.lstat(path)
    return facts, stat.S_IMODE(facts.st_mode)


def _directory(case: Case, path: str) -> Iterator[Finding]:
    _, mode = _facts(path)
    if mode & 0o022 and not mode & 0o002 and path == os.path.dirname(case.path(places.C_DATABASE)):  # that of another package
        yield note(
            "modes",
            f"{path} can be written by its group (mode {mode:04o}), which can replace the history",
            f"sudo chmod g-w {path}, if nothing else wants it so",
        )
    elif why := case.unsafe(path):
        yield problem("modes", f"{why}: somebody else than root can replace the history", f"sudo chown root: {path}; sudo chmod go-w {path}")


def _journal(path: str, wanted: os.stat_result) -> Iterator[Finding]:
    try:
        facts, mode = _facts(path)
    except OSError:
        return
    if not stat.S_ISREG(facts.st_mode):
        yield problem("modes", f"{path} is not a regular file: nothing can be written", f"sudo rm {path}")
    elif facts.st_uid != wanted.st_uid:
        yield problem("modes", f"{path} belongs to user {facts.st_uid}", f"sudo chown --reference={path.removesuffix('-journal')} {path}")
    elif mode != stat.S_IMODE(wanted.st_mode):
        yield problem("modes", f"{path} has the mode {mode:04o}, not that of the history", _MEND)


def _owners(facts: os.stat_result) -> str:
    import grp  # noqa: PLC0415 - only to show names
    import pwd  # noqa: PLC0415

    try:
        return f"{pwd.getpwuid(facts.st_uid).pw_name}:{grp.getgrgid(facts.st_gid).gr_name}"
    except KeyError:
        return f"{facts.st_uid}:{facts.st_gid}"


def whole(case: Case) -> Iterator[Finding]:
    """Check that SQLite can open the file, and finds no damage in it."""
    try:
        Log.read(case.database, timeout=1.0).close()
    except NoLogError:
        return
    except LogError as error:
        if isinstance(error, DeniedLogError) and not case.alone:  # as it is to be where the history is private
            yield note("integrity", "only root and the group of the history can look into it", "sudo wtmpdb doctor")
            return
        yield problem("integrity", str(error), error.hint or (_recovery(case.database) if isinstance(error, DamagedLogError) else ""))
        return
    if _is_wal(case.database):
        yield problem("journal", f"{case.database} is in WAL mode: users cannot read it once its last writer has gone", _MEND)
    if not os.path.getsize(case.database):
        yield ok("integrity", f"{case.database} is empty: the next that is recorded makes its tables")
    elif case.full:
        yield from _checked_in_full(case.database)
    else:
        with asked(case.database) as log:
            if log is not None:
                yield from _checked(log, case.database)


def _is_wal(path: str) -> bool:
    """Tell whether the header of the file names WAL: bytes 18 and 19, https://www.sqlite.org/fileformat.html."""
    with open(path, "rb") as file:
        return file.read(20)[18:] == b"\2\2"


def _checked(log: Asked, path: str) -> Iterator[Finding]:
    left = list(TABLES)
    try:
        while left:
            if log.has(left[0]):
                yield from _damage(log.all(f"PRAGMA quick_check({left[0]})", most=_MOST_TOLD), path)
            left.pop(0)
    except OutOfTimeError:
        done = [name for name in TABLES if name not in left]
        what = f"no damage found in {', '.join(done) or 'what could be read'}; the file is too large to look at {', '.join(left)} too"
        yield ok("integrity", f"{what}: 'wtmpdb doctor --full' does")
    except sqlite3.Error as error:
        yield problem("integrity", f"{path}: {error}", _recovery(path))
    else:
        yield ok("integrity", "SQLite's quick check finds no damage; 'wtmpdb doctor --full' looks at the indexes too")


def _damage(said: list[tuple[str]], path: str) -> Iterator[Finding]:
    if said != [("ok",)]:
        yield problem("integrity", f"{path} is damaged: {'; '.join(text for (text,) in said)}", _recovery(path))


def _recovery(path: str) -> str:
    path = os.path.realpath(path)
    return f"sudo mv {path} {path}.damaged, and the recorder makes a new one; 'sqlite3 {path}.damaged .dump' may save what is in it"


def _checked_in_full(path: str) -> Iterator[Finding]:
    """Check a copy: the check itself would keep writers waiting for long."""
    if shutil.disk_usage(_ROOM_FOR_COPY).free < 2 * os.path.getsize(path):
        yield note("integrity", f"was not checked: no room for a copy in {_ROOM_FOR_COPY}", "make room there")
        return
    with tempfile.TemporaryDirectory(prefix="wtmpdb-doctor-", dir=_ROOM_FOR_COPY) as directory:
        source, copy = connected(path), sqlite3.connect(f"{directory}/wtmp.db", isolation_level=None)
        try:
            copy.execute("PRAGMA synchronous = OFF")
            source.backup(copy, pages=4096, sleep=0.001)
            said = Asked(copy, None).all("PRAGMA integrity_check", most=_MOST_TOLD)
        except sqlite3.Error as error:
            said = [(str(error),)]
        finally:
            source.close()
            copy.close()
    found = list(_damage(said, path))
    yield from found or [ok("integrity", "SQLite's full check of a copy finds no damage")]


def tables(case: Case) -> Iterator[Finding]:
    """Check that the table is as the C project's readers want it; what we add is there, of this version."""
    with asked(case.database) as log:
        if log is None or not os.path.getsize(case.database):
            return
        if not log.has("wtmp"):
            if log.one("SELECT count(*) FROM sqlite_master"):
                yield problem(
                    "tables", f"{case.database} is a database, but no history: it has no table wtmp", f"sudo mv {case.database} {case.database}.other"
                )
            return
        columns = [name for (name,) in log.all("SELECT name FROM pragma_table_xinfo('wtmp')")]
        if columns != COLUMNS:
            yield problem(
                "tables", f"wtmp has the columns {', '.join(columns)}: the C tools insist on {', '.join(COLUMNS)}", "undo what changed the table"
            )
            return
        yield from _version(log)
        yield from _indexes(log)
        if (log.one("SELECT max(ID) FROM wtmp") or 0) > _LARGEST_ID:
            yield problem(
                "tables", f"there are IDs above {_LARGEST_ID}, which the C tools cannot read", "find what wrote them: no program of this project does"
            )


def _version(log: Asked) -> Iterator[Finding]:
    version = log.one("PRAGMA user_version")
    named = (statement.split() for statement in schema.SIDE_TABLES)
    wanted = {words[words.index("EXISTS") + 1].partition("(")[0] for words in named}
    missing = sorted(wanted - {name for (name,) in log.all("SELECT name FROM sqlite_master WHERE type IN ('table', 'trigger')")})
    if version > schema.VERSION:
        what = f"a newer wtmpdb has written the file (version {version}; this one knows {schema.VERSION}): all works on"
        yield note("tables", what, "upgrade this wtmpdb")
    elif version == 0 and len(missing) == len(wanted):
        yield note("tables", "the C tools have made the file: the first that we write adds our tables", _MEND)
    elif missing:
        yield problem("tables", f"{', '.join(missing)} of ours is not there", _SETUP)
    elif version < schema.VERSION:
        yield note("tables", f"an older wtmpdb has written the file (version {version}; this one has {schema.VERSION})", _SETUP)
    else:
        yield ok("tables", f"are those of version {version}")


def _indexes(log: Asked) -> Iterator[Finding]:
    wanted = [statement.split()[5] for statement in schema.INDEXES]
    there = {name for (name,) in log.all("SELECT name FROM sqlite_master WHERE type = 'index'")}
    missing = [name for name in wanted if name not in there]
    if missing:
        yield note("indexes", f"{', '.join(missing)} missing: 'last' and the recorder are slow", _SETUP)
    else:
        yield ok("indexes", f"{', '.join(wanted)} are there")


def boots(case: Case) -> Iterator[Finding]:
    """Check that the running boot has its row: by it, what was open before is known to have ended."""
    if case.alone or case.root != "/":
        return
    key = case.system.boot_key()
    try:
        with Log.read(case.database, timeout=1.0) as log:
            found = log.boots()
    except LogError:
        return  # told above
    say = problem if case.systemd else note
    if any(boot.key == key for boot in found):
        yield ok("boot", "the running boot is recorded")
    elif any(boot.key is None and abs(boot.login - case.system.boot_time()) < 60_000_000 for boot in found[-2:]):  # noqa: PLR2004 - a minute
        yield note("boot", "the running boot was recorded by the C tool, not by us: soft reboots are not told apart", "sudo wtmpdb boot")
    else:
        yield say("boot", "the running boot is not recorded: sessions of before may be shown as still logged in", "sudo wtmpdb boot")


CHECKS = (place, modes, whole, tables, boots)
