# SPDX-License-Identifier: BSD-2-Clause
"""The program: its interpreter, what it needs of Python, whether somebody else could change it, and whether it is the one that is called."""

from __future__ import annotations

import os
import re
import stat
import sys
from importlib.util import find_spec

from wtmpdb import __version__
from wtmpdb.doctor.finding import note, ok, problem
from wtmpdb.errors import WtmpdbError
from wtmpdb.installation import places
from wtmpdb.installation.ledger import Ledger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtmpdb.doctor.case import Case
    from wtmpdb.doctor.finding import Finding

INSTALL = "run 'sudo ./install.sh' again, in a checkout of wtmpdb"
_NEEDED = {"sqlalchemy": "SQLAlchemy", "alembic": "Alembic", "pam": "python-pam"}
_BIN = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")


def launcher(case: Case) -> Iterator[Finding]:
    """Check that the program is installed, and only root can change it or its interpreter."""
    path = case.path(f"{case.prefix}/bin/wtmpdb")
    if not os.path.exists(path):
        yield problem("program", f"{path} is not there: the units and the link want it", "sudo ./install.sh")
        return
    interpreter = _interpreter(path)
    if not interpreter or not os.access(case.path(interpreter), os.X_OK):
        yield problem("program", f"{path}: its interpreter {interpreter or 'is not named'} cannot be run", INSTALL)
        return
    for part in (path, case.path(interpreter), *_all_within(case.path(f"{case.prefix}/lib"))):
        if why := case.unsafe(part):
            yield problem(
                "program",
                f"{why}: root would run what somebody else wrote",
                f"sudo chown -R root: {case.prefix}; sudo chmod -R go-w {case.prefix}",
            )
            return
    yield ok("program", f"wtmpdb {__version__} in {case.path(case.prefix)}, run by {interpreter}; only root can change it")


def _all_within(top: str) -> Iterator[str]:
    """Yield what others could change of all that stands in a directory, and the directory itself."""
    yield top
    for directory, names, files in os.walk(top):
        for name in (*names, *files):
            facts = os.lstat(f"{directory}/{name}")
            if not stat.S_ISLNK(facts.st_mode) and (facts.st_uid != 0 or facts.st_mode & 0o022):
                yield f"{directory}/{name}"


def _interpreter(path: str) -> str:
    with open(path, "rb") as file:
        first = file.readline(256).decode("utf-8", "surrogateescape").split()
    return first[0][2:] if first and first[0].startswith("#!/") else ""


def python(case: Case) -> Iterator[Finding]:
    """Check that the packages are those of the Python that runs: an upgrade of the system brings another."""
    running = "python{}.{}".format(*sys.version_info)
    found = sorted(name for name in _listed(case.path(f"{case.prefix}/lib")) if re.fullmatch(r"python3\.\d+", name))
    if found and running not in found:
        yield note("python", f"was upgraded from {found[-1]} to {running} under the installation: that works, but is not what was installed", INSTALL)
    else:
        yield ok("python", f"{sys.version.split()[0]}, {sys.executable}")
    missing = [name for module, name in _NEEDED.items() if find_spec(module) is None]
    if missing:
        yield problem("packages", f"{', '.join(missing)} cannot be found", INSTALL)
    else:
        yield ok("packages", f"{', '.join(_NEEDED.values())} are there")


def called(case: Case) -> Iterator[Finding]:
    """Check that the names by which the program is called lead to it."""
    own = case.path(f"{case.prefix}/bin/wtmpdb")
    if not os.path.exists(own):
        return
    if not _leads_to(case.path(places.PROGRAM), own):
        yield problem(
            "link", f"{places.PROGRAM} does not lead to {case.prefix}/bin/wtmpdb", f"sudo ln -sfn {case.prefix}/bin/wtmpdb {places.PROGRAM}"
        )
    for name in places.NAMES if case.asked_for("last") else ():
        link = f"{os.path.dirname(places.PROGRAM)}/{name}"
        if not _leads_to(case.path(link), own):
            yield note("link", f"{link} does not lead to wtmpdb, as was asked of setup", "sudo wtmpdb setup --last")
    first, others = _in_path(case, own)
    if first:
        yield note(
            "path",
            f"{first} comes before {places.PROGRAM} in PATH: 'wtmpdb' means that one",
            f"put {os.path.dirname(places.PROGRAM)} before it in PATH",
        )
    elif others:
        yield ok("path", f"'wtmpdb' is ours; {', '.join(others)} stands behind it")
    else:
        yield ok("path", f"'wtmpdb' is {places.PROGRAM}")


def _leads_to(link: str, target: str) -> bool:
    return os.path.realpath(link) == os.path.realpath(target)


def _in_path(case: Case, own: str) -> tuple[str, list[str]]:
    """Return another wtmpdb that stands before ours in PATH, or "", and those that stand behind it."""
    before, behind, seen = "", [], False
    directories = [*os.environ.get("PATH", "").split(":"), *_BIN] if case.root == "/" else [case.path(path) for path in _BIN]
    for directory in dict.fromkeys(filter(None, directories)):
        path = f"{directory}/wtmpdb"
        if not os.access(path, os.X_OK) or not os.path.isfile(path):
            continue
        if _leads_to(path, own):
            seen = True
        elif seen:
            behind.append(path)
        else:
            before = before or path
    return (before, behind) if seen else ("", [])


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def record(case: Case) -> Iterator[Finding]:
    """Check that what setup has left of itself can be read: it goes by that."""
    try:
        Ledger(case.root, dry=True)
    except WtmpdbError as error:
        yield problem("setup", str(error), error.hint)


CHECKS = (launcher, python, called, record)
