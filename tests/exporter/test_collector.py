# SPDX-License-Identifier: BSD-2-Clause
"""The collector: what is exposed of a history, and what becomes of it when the history changes."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from support import BOOT_KEY, C_TABLE, HOUR, NOON, SECOND, Machine, closed, edit, make_file, opened
from wtmpdb.entry import now
from wtmpdb.exporter import sources
from wtmpdb.exporter.collector import Sessions, Wishes
from wtmpdb.exporter.sources import Database
from wtmpdb.log import Log
from wtmpdb.recorder import pulse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prometheus_client.registry import Collector

    from wtmpdb.errors import WtmpdbError

    Expose = Callable[[Collector], dict[str, float]]

COUNTED = """CREATE TABLE counted (day INTEGER, host TEXT, user TEXT, service TEXT, number INTEGER, first INTEGER, last INTEGER,
    PRIMARY KEY (day, host, user, service))"""
DAY = 24 * HOUR
MIDNIGHT = NOON - 12 * HOUR


def collector(path: Path, machine: Machine, **wishes: object) -> Sessions:
    """Return a collector of a history."""
    return Sessions(Database(str(path), system=machine), Wishes(**wishes))  # type: ignore[arg-type]


class TestValues:
    """What is counted."""

    def test_sessions(self, history: Path, machine: Machine, expose: Expose) -> None:
        """A session whose process lives is on; one that went with its boot is not."""
        found = expose(collector(history, machine))
        assert found["sessions{class=user,remote=true,type=tty}"] == 1
        assert found["sessions{class=user,remote=false,type=tty}"] == 0
        assert found["users"] == 1
        assert found["session_oldest_start_timestamp_seconds"] == (NOON - 2 * HOUR) / SECOND

    def test_history(self, history: Path, machine: Machine, expose: Expose) -> None:
        """Starts are counted by service, ends by their reason, boots and crashes, and the durations of what has ended."""
        found = expose(collector(history, machine))
        assert (found["session_starts_total{service=sshd}"], found["session_starts_total{service=login}"]) == (3, 1)
        assert [found[f"session_ends_total{{reason={reason}}}"] for reason in ("logout", "crash", "shutdown")] == [1, 1, 1]
        assert (found["boots_total"], found["unclean_shutdowns_total"]) == (3, 1)
        assert found["boot_timestamp_seconds"] == (NOON - 4 * HOUR) / SECOND
        assert found["session_duration_seconds_bucket{le=3600.0}"] == 1
        assert found["session_duration_seconds_bucket{le=14400.0}"] == 2
        assert found["session_duration_seconds_count"] == 3
        assert found["session_duration_seconds_sum"] == (1 + 2 + 9) * 3600

    def test_state(self, history: Path, machine: Machine, expose: Expose) -> None:
        """Size, rows, oldest row and version tell how the history is."""
        found = expose(collector(history, machine))
        assert found["up"] == 1
        assert found["database_rows"] == 7
        assert found["database_size_bytes"] == history.stat().st_size
        assert found["oldest_record_timestamp_seconds"] == (NOON - 50 * HOUR) / SECOND
        assert found["last_success_timestamp_seconds"] == (NOON - 2 * HOUR) / SECOND
        assert found["schema_version"] == 1

    def test_letters_that_wait(self, history: Path, machine: Machine, expose: Expose) -> None:
        """Letters that wait are counted where the spool can be seen, and absent where not."""
        source = collector(history, machine)
        assert "spool_letters" not in expose(source)
        (history.parent / "spool" / "new").mkdir(parents=True)
        (history.parent / "spool" / "new" / "letter").touch()
        assert expose(source)["spool_letters"] == 1

    def test_pulse_of_the_recorder(self, history: Path, machine: Machine, expose: Expose, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of the history of this machine the recorder's pulse tells what waits in a spool that may not be seen, and when a recorder looked."""
        monkeypatch.setattr(pulse, "PULSE", str(history.parent / "recorder"))
        assert "recorder_last_look_timestamp_seconds" not in expose(collector(history, machine))
        monkeypatch.setattr(sources, "DATABASE", str(history))
        assert expose(collector(history, machine))["recorder_last_look_timestamp_seconds"] == 0
        (history.parent / "recorder").write_text("3\n")
        os.utime(history.parent / "recorder", (NOON // SECOND, NOON // SECOND))
        found = expose(collector(history, machine))
        assert found["spool_letters"] == 3
        assert found["recorder_last_look_timestamp_seconds"] == NOON // SECOND

    def test_nothing_more_unless_asked(self, history: Path, machine: Machine, expose: Expose) -> None:
        """No user, host or session is named unless that was asked for."""
        names = " ".join(expose(collector(history, machine)))
        assert "alice" not in names
        assert "192.0.2.7" not in names

    def test_of_each_user_host_and_session(self, history: Path, machine: Machine, expose: Expose) -> None:
        """Users, hosts and sessions are named where that was asked for."""
        found = expose(collector(history, machine, per_user=True, per_host=True, sessions=True))
        assert found["user_sessions{user=alice}"] == 1
        assert found["host_sessions{remote_host=192.0.2.7}"] == 1
        assert found["session_info{remote_host=192.0.2.7,session=7,tty=ssh,user=alice}"] == 1
        assert found["session_start_timestamp_seconds{session=7}"] == (NOON - 2 * HOUR) / SECOND

    def test_empty_history(self, tmp_path: Path, machine: Machine, expose: Expose) -> None:
        """A history without rows, and an empty file, are read: there is nothing in them."""
        Log.write(str(tmp_path / "wtmp.db")).close()
        (tmp_path / "empty.db").touch()
        for name in ("wtmp.db", "empty.db"):
            found = expose(collector(tmp_path / name, machine))
            assert (found["up"], found["database_rows"], found["boots_total"]) == (1, 0, 0)

    def test_file_of_c(self, tmp_path: Path, machine: Machine, expose: Expose) -> None:
        """A file that C made, without anything of ours and with values that damage made, is read."""
        rows = [
            (1, "reboot", NOON - 9, None, "~", "6", None),
            (3, "alice", NOON, NOON + SECOND, "tty1", None, None),
            (3, "bob", "x", "y", "tty2", 7, 8),
        ]
        path = make_file(tmp_path / "c.db", rows, ours=False, strict=False)
        found = expose(collector(path, machine, per_user=True, per_host=True, sessions=True))
        assert (found["up"], found["schema_version"], found["database_rows"]) == (1, 0, 3)
        assert found["session_starts_total{service=8}"] == 1


class TestChanges:
    """What the next scrape tells."""

    def test_is_fresh(self, history: Path, machine: Machine, expose: Expose) -> None:
        """Each scrape tells what is so now: a login, its logout, a killed session."""
        source = collector(history, machine)
        assert expose(source)["sessions{class=user,remote=true,type=tty}"] == 1
        machine.processes[200] = 2000
        event = opened("dave", NOON, pid=200, start=2000)
        with Log.write(str(history)) as log:
            log.apply([event])
        found = expose(source)
        assert (found["sessions{class=user,remote=true,type=tty}"], found["users"], found["session_starts_total{service=sshd}"]) == (2, 2, 4)
        with Log.write(str(history)) as log:
            log.apply([closed(event, NOON + 30 * SECOND)])
        found = expose(source)
        assert (found["sessions{class=user,remote=true,type=tty}"], found["session_ends_total{reason=logout}"]) == (1, 2)
        assert found["session_duration_seconds_bucket{le=60.0}"] == 1
        del machine.processes[100]
        found = expose(source)
        assert (found["sessions{class=user,remote=true,type=tty}"], found["session_ends_total{reason=logout}"]) == (0, 2)

    def test_a_boot_ends_sessions(self, history: Path, machine: Machine, expose: Expose) -> None:
        """After a crash and a new boot the sessions of the one before have ended with it."""
        source = collector(history, machine)
        expose(source)
        machine.key, machine.boot = BOOT_KEY.replace("8", "9"), NOON
        with Log.write(str(history)) as log:
            log.begin_boot(machine.key, NOON, user="reboot", kernel="6.1")
        found = expose(source)
        assert (found["session_ends_total{reason=crash}"], found["unclean_shutdowns_total"], found["boots_total"]) == (2, 2, 4)
        assert found["session_duration_seconds_sum"] == (1 + 2 + 9 + 2) * 3600

    def test_a_shutdown_ends_sessions(self, history: Path, machine: Machine, expose: Expose) -> None:
        """A session that is open when the machine is shut down ended by the shutdown."""
        source = collector(history, machine)
        expose(source)
        with Log.write(str(history)) as log:
            log.end_boot(BOOT_KEY, NOON)
        machine.key, machine.boot = BOOT_KEY.replace("8", "9"), NOON + HOUR
        with Log.write(str(history)) as log:
            log.begin_boot(machine.key, machine.boot, user="reboot", kernel="6.1")
        found = expose(source)
        assert (found["session_ends_total{reason=shutdown}"], found["unclean_shutdowns_total"]) == (2, 1)

    def test_last_letters_of_a_boot(self, history: Path, machine: Machine, expose: Expose) -> None:
        """Just after a boot it is not said yet how sessions ended: a logout whose letter still waits is counted as one when it comes."""
        source = collector(history, machine)
        expose(source)
        booted = now()
        machine.key, machine.boot = BOOT_KEY.replace("8", "9"), booted
        with Log.write(str(history)) as log:
            log.begin_boot(machine.key, booted, user="reboot", kernel="6.1")
        found = expose(source)
        assert (found["session_ends_total{reason=crash}"], found["sessions{class=user,remote=true,type=tty}"]) == (1, 0)
        with edit(history) as database:
            database.execute("UPDATE wtmp SET Logout = ? WHERE ID = 7", (NOON,))
        found = expose(source)
        assert (found["session_ends_total{reason=crash}"], found["session_ends_total{reason=logout}"]) == (1, 2)

    def test_deleted_rows(self, history: Path, machine: Machine, expose: Expose) -> None:
        """When old rows are deleted the sums of what happened stay, and what tells how the history is goes along."""
        source = collector(history, machine)
        before = expose(source)
        with edit(history) as database:
            database.execute("DELETE FROM wtmp WHERE ID < 5")
            database.execute("INSERT INTO wtmp (Type, User, Login, Logout, Service) VALUES (3, 'eve', ?, ?, 'sshd')", (NOON, NOON + 1))
        found = expose(source)
        assert found["database_rows"] == 4
        assert found["oldest_record_timestamp_seconds"] == (NOON - 32 * HOUR) / SECOND
        assert found["session_starts_total{service=sshd}"] == before["session_starts_total{service=sshd}"] + 1
        assert found["boots_total"] == before["boots_total"]

    @pytest.mark.parametrize("same_inode", [True, False])
    def test_another_file(self, history: Path, machine: Machine, expose: Expose, *, same_inode: bool) -> None:
        """When the file is replaced, no sum goes back, and what comes then is counted, also where IDs are used again."""
        source = collector(history, machine)
        before = expose(source)
        if same_inode:
            with edit(history) as database:
                database.execute("DROP TABLE wtmp")
                database.execute(C_TABLE)
        else:
            make_file(history.with_name("new.db"), []).rename(history)
        after = expose(source)
        assert {name for name, value in after.items() if "_total" in name and value != before[name]} == set()
        assert after["database_rows"] == 0
        with edit(history) as database:
            database.execute("INSERT INTO wtmp (Type, User, Login, Service) VALUES (3, 'eve', ?, 'sshd')", (NOON,))
        found = expose(source)
        assert found["session_starts_total{service=sshd}"] == before["session_starts_total{service=sshd}"] + 1
        assert found["database_rows"] == 1

    def test_restart(self, history: Path, machine: Machine, expose: Expose) -> None:
        """An exporter that is started anew gives the same numbers as one that has counted along."""
        source = collector(history, machine)
        expose(source)
        with Log.write(str(history)) as log:
            event = opened("dave", NOON, pid=9, start=9)
            log.apply([event, closed(event, NOON + 5 * SECOND), opened("eve", NOON + 1, pid=100, start=1000)])
        seen, anew = expose(source), expose(collector(history, machine))
        assert {name: value for name, value in seen.items() if "scrape" not in name} == {
            name: value for name, value in anew.items() if "scrape" not in name
        }

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(steps=st.lists(st.tuples(st.sampled_from(["add", "close", "delete", "boot", "replace"]), st.integers(0, 20)), max_size=12))
    def test_no_sum_goes_back(self, tmp_path: Path, expose: Expose, steps: list[tuple[str, int]]) -> None:
        """Whatever is done to the rows, no counter and no bucket ever goes back."""
        path = tmp_path / "any.db"
        path.unlink(missing_ok=True)
        make_file(path, [])
        source = collector(path, Machine())
        before: dict[str, float] = {}
        for number, (step, which) in enumerate(steps):
            if step == "replace":
                make_file(tmp_path / "new.db", []).rename(path)
            with edit(path) as database:
                if step == "add":
                    row = (f"s{which % 3}", NOON + number, NOON + number + which if which % 2 else None)
                    database.execute("INSERT INTO wtmp (Type, User, Service, Login, Logout) VALUES (3, 'u', ?, ?, ?)", row)
                elif step == "close":
                    database.execute("UPDATE wtmp SET Logout = Login + ? WHERE Logout IS NULL AND ID % 3 = ?", (which, which % 3))
                elif step == "delete":
                    database.execute("DELETE FROM wtmp WHERE ID % 4 = ?", (which % 4,))
                elif step == "boot":
                    database.execute("INSERT INTO wtmp (Type, User, Login, TTY) VALUES (1, 'reboot', ?, '~')", (NOON + number - which,))
            found = {name: value for name, value in expose(source).items() if "_total" in name or "_bucket" in name or "_sum" in name}
            assert {name for name, value in before.items() if found[name] < value} == set()
            before = found


class TestFailures:
    """Failed logins."""

    def failed(self, history: Path, rows: list[tuple[str, int, str]], counted: list[tuple[object, ...]] | None = None) -> Path:
        """Make the file of failed logins beside a history."""
        path = history.with_name("btmp.db")
        make_file(path, [(3, "x", time, time, "ssh", host, service) for host, time, service in rows])
        with edit(path) as database:
            if counted is not None:
                database.execute(COUNTED)
                database.executemany("INSERT INTO counted VALUES (?, ?, ?, ?, ?, ?, ?)", counted)
        return path

    def test_none_recorded(self, history: Path, machine: Machine, expose: Expose) -> None:
        """Where no failures are recorded their metrics are absent, and all else is there."""
        found = expose(collector(history, machine))
        assert (found["up"], found["failures_up"]) == (1, 0)
        assert "last_failure_timestamp_seconds" not in found
        assert not any(name.startswith("failures_total") for name in found)

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody who may not read a file")
    def test_not_to_be_read(self, history: Path, machine: Machine, expose: Expose) -> None:
        """Failures that may not be read are absent, and all else is there."""
        self.failed(history, [("192.0.2.9", NOON, "sshd")]).chmod(0)
        for directory in [history.parent, *history.parent.parents][:3]:
            directory.chmod(0o755)
        source = collector(history, machine)
        os.seteuid(65534)
        try:
            found = expose(source)
        finally:
            os.seteuid(0)
        assert (found["up"], found["failures_up"]) == (1, 0)

    def test_rows_and_counted(self, history: Path, machine: Machine, expose: Expose) -> None:
        """Attempts that are rows and attempts that were only counted make one sum, by service and, where asked for, by host."""
        self.failed(
            history,
            [("192.0.2.9", NOON, "sshd"), ("192.0.2.9", NOON + SECOND, "sshd"), ("", NOON, "login")],
            [(MIDNIGHT, "192.0.2.9", "", "sshd", 40, NOON, NOON + HOUR), (MIDNIGHT - 9 * DAY, "192.0.2.5", "root", "sshd", 2, 1, 2)],
        )
        found = expose(collector(history, machine, per_host=True))
        assert (found["failures_total{service=sshd}"], found["failures_total{service=login}"], found["failures_up"]) == (44, 1, 1)
        assert (found["host_failures_total{remote_host=192.0.2.9}"], found["host_failures_total{remote_host=192.0.2.5}"]) == (42, 2)
        assert found["last_failure_timestamp_seconds"] == (NOON + HOUR) / SECOND

    def test_counting_goes_on(self, history: Path, machine: Machine, expose: Expose) -> None:
        """Numbers that grow, and new days, are added up without counting anything twice."""
        path = self.failed(history, [("h", NOON, "sshd")], [(MIDNIGHT, "h", "", "sshd", 10, NOON, NOON)])
        source = collector(history, machine)
        assert expose(source)["failures_total{service=sshd}"] == 11
        for day in range(1, 5):
            with edit(path) as database:
                database.execute("UPDATE counted SET number = number + 1 WHERE day = ?", (MIDNIGHT + (day - 1) * DAY,))
                database.execute("INSERT INTO counted VALUES (?, 'h', '', 'sshd', 5, ?, ?)", (MIDNIGHT + day * DAY, NOON, NOON))
            assert expose(source)["failures_total{service=sshd}"] == 11 + 6 * day
        assert expose(collector(history, machine))["failures_total{service=sshd}"] == 11 + 6 * 4

    def test_a_day_that_lies_ahead(self, history: Path, machine: Machine, expose: Expose) -> None:
        """A day that was counted while the clock was far ahead does not keep the days that come from being counted."""
        path = self.failed(history, [], [(now() // DAY * DAY + 9000 * DAY, "h", "", "sshd", 1, NOON, NOON)])
        source = collector(history, machine)
        assert expose(source)["failures_total{service=sshd}"] == 1
        for number in (1, 2):
            with edit(path) as database:
                database.execute("INSERT OR REPLACE INTO counted VALUES (?, 'h', '', 'sshd', ?, ?, ?)", (now() // DAY * DAY, number, NOON, NOON))
            assert expose(source)["failures_total{service=sshd}"] == 1 + number


class TestBounds:
    """No more series than were allowed."""

    def test_users_and_hosts(self, tmp_path: Path, machine: Machine, expose: Expose) -> None:
        """The users and hosts with most sessions are named, all others together are `other`."""
        rows = [(3, f"u{number}", NOON + copy, None, f"x{number}{copy}", f"h{number}", "x") for number in range(6) for copy in range(number + 1)]
        found = expose(collector(make_file(tmp_path / "w.db", rows), machine, per_user=True, per_host=True, max_series=2))
        assert {name: value for name, value in found.items() if name.startswith("user_sessions")} == {
            "user_sessions{user=u5}": 6,
            "user_sessions{user=u4}": 5,
            "user_sessions{user=other}": 10,
        }
        assert found["host_sessions{remote_host=other}"] == 10

    def test_sessions(self, tmp_path: Path, machine: Machine, expose: Expose) -> None:
        """Of too many sessions the oldest are named, and one series tells how many others there are."""
        rows = [(3, "u", NOON + number, None, f"x{number}", "h", "x") for number in range(9)]
        found = expose(collector(make_file(tmp_path / "w.db", rows), machine, sessions=True, max_series=4))
        assert len([name for name in found if name.startswith("session_info")]) == 5
        assert found["session_info{remote_host=other,session=other,tty=other,user=other}"] == 5

    def test_services_keep_their_names(self, tmp_path: Path, machine: Machine, expose: Expose) -> None:
        """A counter that has a name keeps it, whoever becomes greater: else it would go back."""
        path = make_file(tmp_path / "w.db", [(3, "u", NOON, NOON + 1, "t", None, name) for name in ("a", "a", "b", "b", "c")])
        source = collector(path, machine, max_series=2)
        first = expose(source)
        assert (first["session_starts_total{service=a}"], first["session_starts_total{service=other}"]) == (2, 1)
        with edit(path) as database:
            database.executemany("INSERT INTO wtmp (Type, User, Login, Logout, Service) VALUES (3, 'u', ?, ?, 'c')", [(NOON, NOON + 1)] * 9)
        then = expose(source)
        assert (then["session_starts_total{service=a}"], then["session_starts_total{service=other}"]) == (2, 10)


class TestTrouble:
    """What cannot be read."""

    def test_no_history(self, tmp_path: Path, machine: Machine, expose: Expose) -> None:
        """Without a history `up` is 0, nothing else is told of it, and the reason is reported once; when it comes all is well."""
        said: list[WtmpdbError] = []
        source = Sessions(Database(str(tmp_path / "wtmp.db"), system=machine), report=said.append)
        for _ in range(3):
            found = expose(source)
            assert found["up"] == 0
            assert {name.partition("{")[0] for name in found} == {"up", "scrape_duration_seconds", "build_info"}
        assert [str(error) for error in said] == [f"{tmp_path}/wtmp.db: No such file or directory"]
        make_file(tmp_path / "wtmp.db", [])
        assert expose(source)["up"] == 1

    def test_damaged_history(self, tmp_path: Path, machine: Machine, expose: Expose) -> None:
        """A file that is no database makes `up` 0."""
        (tmp_path / "wtmp.db").write_bytes(b"nonsense" * 100)
        assert expose(collector(tmp_path / "wtmp.db", machine))["up"] == 0

    @pytest.mark.parametrize("number", [20, 3000])
    def test_page_missing(self, tmp_path: Path, machine: Machine, expose: Expose, number: int) -> None:
        """A file whose last page was lost, which SQLite does not see, makes `up` 0, at each scrape; it is not read without end."""
        path = make_file(tmp_path / "wtmp.db", [(3, "alice", NOON, NOON, "tty1", None, "login")] * number, ours=False)
        os.truncate(path, path.stat().st_size - 4000)
        source = collector(path, machine)
        assert [expose(source)["up"] for _ in range(3)] == [0, 0, 0]

    def test_history_vanishes(self, history: Path, machine: Machine, expose: Expose) -> None:
        """Nothing stale is told of a history that is gone, and the sums go on where they were when it is back."""
        source = collector(history, machine)
        before = expose(source)
        moved = history.rename(history.with_name("moved.db"))
        assert "sessions{class=user,remote=true,type=tty}" not in expose(source)
        moved.rename(history)
        assert expose(source)["session_starts_total{service=sshd}"] == before["session_starts_total{service=sshd}"]

    def test_registering_reads_nothing(self, tmp_path: Path, machine: Machine) -> None:
        """Registering the collector does not look at the history."""
        said: list[WtmpdbError] = []
        CollectorRegistry(auto_describe=False).register(Sessions(Database(str(tmp_path / "none.db"), system=machine), report=said.append))
        assert said == []

    def test_locked_history(self, history: Path, machine: Machine, expose: Expose) -> None:
        """A history that somebody has locked for long makes `up` 0, and is read again afterwards."""
        source = collector(history, machine)
        locking = sqlite3.connect(history, isolation_level=None)
        locking.execute("BEGIN EXCLUSIVE")
        assert expose(source)["up"] == 0
        locking.close()
        assert expose(source)["up"] == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.binary(max_size=300), min_size=3, max_size=3))
def test_any_text(tmp_path: Path, texts: list[bytes]) -> None:
    """Whatever bytes stand in user, host and service, what is exposed is UTF-8 and can be parsed, one session being one series."""
    path = tmp_path / "c.db"
    path.unlink(missing_ok=True)
    with edit(path) as database:
        database.execute(C_TABLE)
        database.execute(
            "INSERT INTO wtmp (Type, User, Login, TTY, RemoteHost, Service) VALUES (3, CAST(? AS TEXT), ?, 't', CAST(? AS TEXT), CAST(? AS TEXT))",
            (texts[0], NOON, *texts[1:]),
        )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector(path, Machine(), per_user=True, per_host=True, sessions=True))
    families = {family.name: family.samples for family in text_string_to_metric_families(generate_latest(registry).decode())}
    assert len(families["wtmpdb_session_info"]) == 1
    assert all(value.isprintable() or not value.isascii() for value in families["wtmpdb_session_info"][0].labels.values())
