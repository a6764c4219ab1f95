# SPDX-License-Identifier: BSD-2-Clause
"""The program: its launcher, the links to it, its manual and its completion."""

from __future__ import annotations

import os
import subprocess
import sys
from glob import glob
from importlib.util import find_spec

from wtmpdb import shipped
from wtmpdb.errors import WtmpdbError
from wtmpdb.installation.changes import Changes, only_roots
from wtmpdb.installation.places import COMPLETIONS, MANUAL, NAMES, PREFIX, PROGRAM

_OLDEST = (3, 11)
_PYTHON = "/usr/bin/python3"

# The script that pip makes reads the whole environment of Python first; this one starts in half the time, lets no variable of the caller in, and
# goes on working when the system's Python is upgraded.
LAUNCHER = """\
#!{python} -ISB
import os, sys
own = "python%d.%d" % sys.version_info[:2]
sys.path += ["{prefix}/lib/%s/site-packages" % name for name in [own, *os.listdir("{prefix}/lib")] if name.startswith("python")]
try:
    from wtmpdb.__main__ import main
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(1)
"""


def prefix() -> str:
    """Return the directory of the virtual environment that this very program is installed in. Raises WtmpdbError when it is in none."""
    library, _, package = os.path.dirname(os.path.realpath(shipped.__file__)).rpartition("/site-packages/")
    top = os.path.dirname(os.path.dirname(library))
    if package != "wtmpdb" or not os.path.exists(f"{top}/pyvenv.cfg"):
        raise WtmpdbError("this wtmpdb is not installed: it runs from its source, or from a directory of the system", "run 'sudo ./install.sh'")
    return top


def interpreter() -> str:
    """Return the Python for the launcher: the system's own, under the name that stays when it is upgraded."""
    for path in (_PYTHON, os.path.realpath(sys.executable)):
        if os.path.exists(path) and _version(path) >= _OLDEST:
            return path
    raise WtmpdbError(f"{_PYTHON}: not a Python {_OLDEST[0]}.{_OLDEST[1]} or later")


def _version(path: str) -> tuple[int, ...]:
    command = [path, "-ISc", "import sys; print(*sys.version_info[:2])"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)  # noqa: S603 - our own words
    return tuple(int(word) for word in done.stdout.split()) if done.returncode == 0 else (0,)


def check(top: str, python: str) -> None:
    """Raise WtmpdbError unless only root can change the program and its Python: root's services run them."""
    for path in (top, python):
        if loose := only_roots(path):
            raise WtmpdbError(f"{loose}: others than root can change it, and root's services would run what is in it", f"install into {PREFIX}")


def check_exporter() -> None:
    """Raise WtmpdbError unless what the exporter needs is there."""
    if missing := [name for name in ("prometheus_client", "yaml", "bcrypt") if find_spec(name) is None]:
        raise WtmpdbError(f"the exporter needs Python packages that are not there: {', '.join(missing)}", "pip install 'wtmpdb[exporter]'")


def put(changes: Changes, top: str, python: str, *, names: bool) -> None:
    """Put the launcher, links, manual and completion in place."""
    changes.put(f"{top}/bin/wtmpdb", LAUNCHER.format(python=python, prefix=top).encode(), 0o755)
    if not changes.link(PROGRAM, f"{top}/bin/wtmpdb"):
        changes.note(f"{PROGRAM} is not ours: it stays; the program is {top}/bin/wtmpdb")
    for name in NAMES if names else ():
        path = os.path.join(os.path.dirname(PROGRAM), name)
        if changes.link(path, os.path.basename(PROGRAM)):
            changes.link(f"{COMPLETIONS}/{name}", os.path.basename(PROGRAM))
        else:
            changes.note(f"{path} is not ours: it stays")
    for page in sorted(glob(f"{shipped.path('docs/man')}/*.[18]")):
        changes.put(f"{MANUAL}/man{page[-1]}/{os.path.basename(page)}", read(page))
    changes.put(f"{COMPLETIONS}/wtmpdb", read(shipped.path("docs/completion/wtmpdb")))


def read(path: str) -> bytes:
    """Return what is in a file that is shipped."""
    with open(path, "rb") as file:
        return file.read()
