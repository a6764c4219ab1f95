# SPDX-License-Identifier: BSD-2-Clause
"""Programs of the C project that speak varlink, and systemd's varlinkctl, against our recorder: all in a tree of Debian's sid."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from system.containers import BUILT_C, CannotError, Tree, debian

if TYPE_CHECKING:
    from system.containers import Workplace

pytestmark = pytest.mark.system

# As systemd does it: the sockets are descriptors 3 and 4, and the variables name the process.
START = """
import os, socket, sys
poked, listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX)
poked.bind("/run/wtmpdb/poke")
listening.bind("/run/wtmpdb/socket")
listening.listen(4096)
os.chmod("/run/wtmpdb/socket", 0o666)
os.chmod("/run/wtmpdb/poke", 0o600)
fds = os.dup(poked.fileno()), os.dup(listening.fileno())
for place, fd in enumerate(fds):
    os.dup2(fd, 3 + place)
os.environ |= dict(LISTEN_FDS="2", LISTEN_FDNAMES="poke:varlink", LISTEN_PID=str(os.getpid()))
sys.path.insert(0, "/src/src")
from wtmpdb.__main__ import main
sys.exit(main(["wtmpdb", "recorder", "--resident"]))
"""

MANY = """
import sqlite3, sys
database = sqlite3.connect("/var/lib/wtmpdb/wtmp.db")
rows = ((3, "many", 1700000000000000 + number, 1700000001000000 + number, f"pts/{number}", "host", "sshd") for number in range(int(sys.argv[1])))
database.executemany("INSERT INTO wtmp (Type, User, Login, Logout, TTY, RemoteHost, Service) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
database.commit()
"""

SPEAK = f"""
useradd alice
useradd bob
mkdir -p /run/wtmpdb /var/lib/wtmpdb/spool
chmod 700 /var/lib/wtmpdb/spool
(cd /var/lib/wtmpdb/spool && mkdir -m 700 tmp new bad)
printf '%s required pam_permit.so\\n' auth account >/etc/pam.d/theirs
echo 'session required {BUILT_C}/pam_wtmpdb.so database=varlink' >>/etc/pam.d/theirs
python3 /srv/start.py 2>/srv/said &
recorder=$!
until [ -S /run/wtmpdb/socket ] && varlinkctl call /run/wtmpdb/socket org.openSUSE.wtmpdb.Ping '{{}}' >/srv/ping; do sleep 0.1; done

for interface in org.openSUSE.wtmpdb org.wtmpdb.History org.varlink.service; do
    varlinkctl introspect /run/wtmpdb/socket $interface >/srv/described
    varlinkctl validate-idl /srv/described >/dev/null && echo $interface >>/srv/valid
done

{BUILT_C}/wtmpdb boot >/srv/boot 2>&1
for user in alice bob; do
    pamtester -I tty=/dev/pts/7 -I rhost=192.0.2.7 theirs $user open_session close_session >/dev/null
done
{BUILT_C}/wtmpdb last >/srv/all.txt
{BUILT_C}/wtmpdb boottime >/srv/boottime.txt
setpriv --reuid alice --clear-groups {BUILT_C}/wtmpdb last -j >/srv/everybody.json
chmod 640 /var/lib/wtmpdb/wtmp.db
setpriv --reuid alice --clear-groups {BUILT_C}/wtmpdb last -j >/srv/alice.json
echo none >/var/lib/wtmpdb/private
setpriv --reuid alice --clear-groups {BUILT_C}/wtmpdb last >/srv/none.txt 2>&1 || :
{BUILT_C}/wtmpdb rotate >/srv/rotate.txt 2>&1 || :

python3 /srv/many.py 90000
{BUILT_C}/wtmpdb last | grep -c ^many >/srv/counted
python3 /srv/many.py 90000
{BUILT_C}/wtmpdb last >/srv/too-many.txt 2>&1 || :
grep VmHWM /proc/$recorder/status >/srv/memory
varlinkctl call /run/wtmpdb/socket org.openSUSE.wtmpdb.Quit '{{}}'
wait $recorder && echo 0 >/srv/ended
"""


@pytest.fixture(scope="module")
def spoken(workplace: Workplace) -> Tree:
    """Let them speak; return what is left."""
    try:
        tree = Tree(workplace, debian("sid-varlink"))
    except CannotError as error:
        pytest.skip(str(error))
    tree.copy_in()
    tree.put("/srv/start.py", START)
    tree.put("/srv/many.py", MANY)
    tree.run(SPEAK)
    return tree


def text(tree: Tree, name: str) -> str:
    """Return what a file in /srv holds."""
    return tree.path(f"/srv/{name}").read_text()


def test_systemd_understands_it(spoken: Tree) -> None:
    """The tool of systemd calls methods, and finds the descriptions of all interfaces valid."""
    assert json.loads(text(spoken, "ping")) == {"Alive": True}
    assert text(spoken, "valid").split() == ["org.openSUSE.wtmpdb", "org.wtmpdb.History", "org.varlink.service"]


def test_sessions_through_their_module(spoken: Tree) -> None:
    """A session of `pam_wtmpdb.so database=varlink` and their boot are rows, and their `last` lists them."""
    lines = [line.split() for line in text(spoken, "all.txt").splitlines() if line and not line.startswith("wtmpdb")]
    assert [line[:3] for line in lines[:2]] == [["bob", "pts/7", "192.0.2.7"], ["alice", "pts/7", "192.0.2.7"]]
    assert all("(00:00)" in line for line in lines[:2])
    assert lines[2][1:3] == ["system", "boot"]
    assert text(spoken, "boottime.txt").startswith("system boot ")


def test_what_a_user_sees(spoken: Tree) -> None:
    """Their `last` shows a user everything of a history that everybody may read, own sessions and boots of a private one, or nothing."""
    seen = [{entry["user"] for entry in json.loads(text(spoken, name))["entries"]} - {"soft-reboot"} for name in ("everybody.json", "alice.json")]
    assert [users - {"reboot"} for users in seen] == [{"alice", "bob"}, {"alice"}]
    assert "PermissionDenied" in text(spoken, "none.txt")


def test_many_rows(spoken: Tree) -> None:
    """Their `last` lists 90,000 rows; what is too much for a message it reports as we say it; the recorder's memory stays small."""
    assert int(text(spoken, "counted")) == 90_000
    assert "too large for one message" in text(spoken, "too-many.txt")
    assert int(text(spoken, "memory").split()[1]) < 32_000


def test_what_is_not_there(spoken: Tree) -> None:
    """Their `rotate` says why it fails, Quit ends the recorder in good order, and it has nothing to complain of."""
    assert "cannot rotate" in text(spoken, "rotate.txt")
    assert text(spoken, "ended") == "0\n"
    assert text(spoken, "said") == ""
