# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb doctor` on a booted machine: it finds nothing wrong with an installation, and names what is broken afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from system.containers import CannotError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from system.containers import Container

pytestmark = pytest.mark.system
both = pytest.mark.parametrize("name", ["bookworm", "trixie"])

TIMED = """
import json, subprocess, time
took = []
for _ in range(3):
    begun = time.monotonic()
    done = subprocess.run(["wtmpdb", "doctor", "--json"], capture_output=True, text=True)
    took.append(time.monotonic() - begun)
print(json.dumps({"took": min(took), "code": done.returncode, "error": done.stderr, "said": json.loads(done.stdout)}))
"""

# What is broken, how it is mended, and which check is to say so, in which words.
BREAKAGES = {
    "a socket that is stopped": (
        "systemctl stop wtmpdb-recorder.socket",
        "systemctl stop wtmpdb-recorder.service; systemctl start wtmpdb-recorder.socket",
        "units",
        "enabled, but does not run",
    ),
    "a unit that is disabled": (
        "systemctl disable -q wtmpdb-recorder.timer",
        "systemctl enable -q wtmpdb-recorder.timer",
        "units",
        "wtmpdb-recorder.timer is not enabled",
    ),
    "a letter that nobody takes": (
        "systemctl stop wtmpdb-recorder.path; touch -d '20 minutes ago' /var/lib/wtmpdb/spool/new/x",
        "rm /var/lib/wtmpdb/spool/new/x; systemctl start wtmpdb-recorder.path",
        "spool",
        "1 letter waits, the oldest for 20 min",
    ),
    "a letter that was broken": ("echo x >/var/lib/wtmpdb/spool/bad/x", "rm /var/lib/wtmpdb/spool/bad/x", "spool", "1 letter could not be read"),
    "no line": (
        "cp /etc/pam.d/common-session /root/; sed -i /wtmpdb/d /etc/pam.d/common-session",
        "cp /root/common-session /etc/pam.d/",
        "pam lines",
        "no service names the module",
    ),
    "no module": (
        "mv /usr/lib/*/security/pam_wtmpdb_spool.so /root/",
        "mv /root/pam_wtmpdb_spool.so $(dirname /usr/lib/*/security/pam_permit.so)/",
        "pam module",
        "is not there",
    ),
    "a directory for all": ("chmod 777 /var/lib/wtmpdb", "chmod 755 /var/lib/wtmpdb", "modes", "can be written by others (mode 0777)"),
    "a history for all": (
        "chmod 666 /var/lib/wtmpdb/wtmp.db",
        "chmod 644 /var/lib/wtmpdb/wtmp.db",
        "modes",
        "can be written by others (mode 0666)",
    ),
    "a spool for all": ("chmod 755 /var/lib/wtmpdb/spool", "chmod 700 /var/lib/wtmpdb/spool", "spool", "others may see who logs in"),
    "a program for all": ("chmod 777 /opt/wtmpdb/lib", "chmod 755 /opt/wtmpdb/lib", "program", "can be written by others (mode 0777)"),
    "no link": ("mv /usr/local/bin/wtmpdb /root/", "mv /root/wtmpdb /usr/local/bin/", "link", "does not lead to"),
    "a database that is none": (
        "cp -aL /var/lib/wtmpdb/wtmp.db /root/wtmp.db; yes | head -c 9000 >/var/lib/wtmpdb/wtmp.db",
        "cp -a /root/wtmp.db $(readlink -f /var/lib/wtmpdb/wtmp.db)",
        "integrity",
        "not a database",
    ),
}


@pytest.fixture(scope="module")
def own(container: Callable[[str], Container]) -> Iterator[Callable[[str], Container]]:
    """Give a booted container that these tests break, and mend again."""
    running: dict[str, Container] = {}

    def get(name: str) -> Container:
        if name not in running:
            new = container(name)
            try:
                new.boot()
            except CannotError as error:
                pytest.skip(str(error))
            running[name] = new
        return running[name]

    yield get
    for one in running.values():
        one.close()


def doctor(container: Container, options: str = "") -> dict[str, Any]:
    """Return what the doctor says as JSON, under whatever name the program can be called."""
    document: dict[str, Any] = json.loads(container.run(f"/opt/wtmpdb/bin/wtmpdb doctor --json {options}", check=False))
    return document


def bad(document: dict[str, Any]) -> list[str]:
    """Return the problems."""
    return [f"{finding['check']}: {finding['what']}" for finding in document["findings"] if finding["state"] == "problem"]


@both
def test_finds_nothing_wrong_within_a_second(own: Callable[[str], Container], name: str) -> None:
    """After boot and a login the doctor finds no problem and ends with 0; it takes a second at most."""
    container = own(name)
    container.run("su - bob -c true")
    answer = json.loads(container.python(TIMED))
    assert bad(answer["said"]) == []
    assert (answer["code"], answer["error"]) == (0, "")
    assert answer["took"] < 2, answer["took"]  # 1 s is the aim; the machine of the tests may be busy
    container.run("wtmpdb doctor")
    container.run("wtmpdb doctor --full")


@both
def test_for_a_user(own: Callable[[str], Container], name: str) -> None:
    """Who is not root gets no problem from that alone, and hears of sudo."""
    text = own(name).run("exec setpriv --reuid bob --regid bob --clear-groups wtmpdb doctor")
    assert "only root can look into it" in text
    assert text.splitlines()[-1].endswith("'sudo wtmpdb doctor' sees more")


@both
def test_real_session(own: Callable[[str], Container], name: str) -> None:
    """A session through the machine's own stacks gives one row, which is in the history; ssh is left to an sshd that records itself."""
    container = own(name)
    document = doctor(container, "--pam")
    assert bad(document) == []
    assert [(entry["user"], entry["tty"], entry["service"], entry["end"]) for entry in document["entries"]] == [("root", "doctor", "login", "logout")]
    assert [line["id"] for line in container.last("doctor")] == [document["entries"][0]["id"]]
    ssh = doctor(container, "--pam sshd")
    assert bad(ssh) == []
    assert [entry["service"] for entry in ssh["entries"]] == ([] if name == "trixie" else ["sshd"])
    text = container.run("wtmpdb doctor --pam su-l")
    assert "no password was asked for" in text
    assert "The row stays in the history." in text


@both
@pytest.mark.parametrize("what", BREAKAGES)
def test_names_what_is_broken(own: Callable[[str], Container], name: str, what: str) -> None:
    """What is broken is named by its check, with what to do; when it is mended the doctor is content again."""
    container = own(name)
    breaking, mending, check, words = BREAKAGES[what]
    container.run(breaking)
    try:
        document = doctor(container)
        found = [finding for finding in document["findings"] if finding["check"] == check and words in finding["what"]]
        assert found, document
        assert all(finding["hint"] for finding in found)
    finally:
        container.run(mending)
    assert bad(doctor(container)) == []


def test_real_session_that_is_not_recorded(own: Callable[[str], Container]) -> None:
    """Without the line a real session gives no row, and the doctor says why."""
    container = own("bookworm")
    breaking, mending, *_ = BREAKAGES["no line"]
    container.run(breaking)
    try:
        document = doctor(container, "--pam")
        assert bad(document) == ["session: no row came: the stack of login does not run through the module"]
        assert document["entries"] == []
    finally:
        container.run(mending)


def test_after_a_crash(own: Callable[[str], Container]) -> None:
    """After a power cut the doctor explains what is left of it, and finds no problem."""
    container = own("bookworm")
    container.hold("alice", "127.0.0.66")
    container.run("wtmpdb recorder --once")
    container.crash()
    container.boot()
    document = doctor(container)
    assert bad(document) == []
    said = [finding["what"] for finding in document["findings"] if finding["check"] == "crash"]
    assert len(said) == 1
    assert "ended without a shutdown; a session that was open then is shown as 'crash': nothing to do" in said[0]
