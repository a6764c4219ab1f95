# SPDX-License-Identifier: BSD-2-Clause
"""Import: killed, beside others that write and read, without space, without rights, and of a million records."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from importing import again, at, import_, many, sides, without_ids, write
from old_records import BEGIN, boot, login, logout
from support import make_file, opened, table
from wtmpdb.errors import FullError, LogError
from wtmpdb.legacy import staging
from wtmpdb.log import Log


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return where the database will be."""
    (tmp_path / "db").mkdir()
    return tmp_path / "db" / "wtmp"


class TestRobustness:
    def test_killed(self, tmp_path: Path, database: Path) -> None:
        """An import that was killed at any moment is completed by the next: what comes out is the same, and never a half of it."""
        file = many(tmp_path / "wtmp", 30_000)
        whole = tmp_path / "whole.db"
        command = [sys.executable, "-m", "wtmpdb", "import", str(file), "-f"]
        begun = time.monotonic()
        subprocess.run([*command, str(whole)], check=True, stdout=subprocess.DEVNULL)
        lasts = time.monotonic() - begun  # the machine may be slow, or have much to do
        chance, states = random.Random(4), set()  # noqa: S311 - not for secrets
        for _ in range(12):
            with subprocess.Popen([*command, str(database)], stdout=subprocess.DEVNULL) as process:
                time.sleep(lasts * (0.2 + chance.random() * 0.8))
                lasts *= 0.8 if process.poll() == 0 else 1.2  # what the machine has to do changes
                process.kill()
            if database.exists() and database.stat().st_size:
                with Log.write(str(database)):  # rolls back what was begun
                    pass
                states.add(len(table(database)))
                assert len(table(database)) == len(sides(database))
                if len(table(database)) == len(table(whole)):
                    again(database)
        subprocess.run([*command, str(database)], check=True, stdout=subprocess.DEVNULL)
        assert without_ids(database) == without_ids(whole)
        assert len(states) > 1

    def test_nobody_waits(self, tmp_path: Path, database: Path) -> None:
        """While an import copies, a writer gets its turn before it gives up, and a reader never waits for long."""
        file = many(tmp_path / "wtmp", 120_000)
        Log.write(str(database)).close()
        waits: dict[str, list[float]] = {"writer": [], "reader": []}
        done = threading.Event()

        def write_now_and_then() -> None:
            number = 0
            while not done.is_set():
                number += 1
                begun = time.perf_counter()
                with Log.write(str(database)) as log:
                    log.apply([opened("dora", at(number - 10**6), host=None, tty="tty9")])
                waits["writer"].append(time.perf_counter() - begun)
                time.sleep(0.01)

        def read_now_and_then() -> None:
            while not done.is_set():
                begun = time.perf_counter()
                with Log.read(str(database)) as log:
                    next(iter(log.rows()), None)
                waits["reader"].append(time.perf_counter() - begun)
                time.sleep(0.005)

        threads = [threading.Thread(target=target) for target in (write_now_and_then, read_now_and_then)]
        for thread in threads:
            thread.start()
        command = [sys.executable, "-m", "wtmpdb", "import", "-f", str(database), str(file)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        done.set()
        for thread in threads:
            thread.join()
        assert len(table(database)) == 60_001 + len(waits["writer"])
        assert max(waits["writer"]) < 4
        assert max(waits["reader"]) < 4

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small file system")
    def test_full_disk(self, tmp_path: Path) -> None:
        """A full disk ends an import with an error and nothing damaged; with room it is completed."""
        file, small = many(tmp_path / "wtmp", 40_000), tmp_path / "small"
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], capture_output=True, check=False).returncode:
            pytest.skip("no file system can be mounted here")
        try:
            with pytest.raises(FullError, match="no space left"):
                import_(small / "wtmp.db", file)
            written = len(table(small / "wtmp.db"))
            assert 0 < written < 20_001
            assert len(sides(small / "wtmp.db")) == written
            subprocess.run(["mount", "-o", "remount,size=50m", str(small)], check=True)
            import_(small / "wtmp.db", file)
            assert len(table(small / "wtmp.db")) == 20_001
        finally:
            subprocess.run(["umount", str(small)], check=True)

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a file system")
    def test_read_only(self, tmp_path: Path) -> None:
        """On a read-only file system an import ends with an error."""
        file, small = write(tmp_path / "wtmp", boot(BEGIN)), tmp_path / "small"
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(small)], capture_output=True, check=False).returncode:
            pytest.skip("no file system can be mounted here")
        try:
            make_file(small / "wtmp.db", [])
            subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
            with pytest.raises(LogError, match="read-only"):
                import_(small / "wtmp.db", file)
            assert import_(small / "wtmp.db", file, dry=True).counts.boots == 1
        finally:
            subprocess.run(["umount", str(small)], check=True)

    def test_locked(self, tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A database that somebody keeps locked ends an import with an error, in time; nothing is lost."""
        file = write(tmp_path / "wtmp", boot(BEGIN))
        make_file(database, [])
        monkeypatch.setattr(staging, "PATIENCE", 0.2)
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LogError, match="locked"):
                import_(database, file)
        assert import_(database, file).counts.boots == 1

    def test_dry(self, tmp_path: Path, database: Path) -> None:
        """A dry import says what it would do and writes nothing, be there a database, one of C, an empty file or none."""
        older, newer = write(tmp_path / "a", boot(BEGIN), login(BEGIN + 1, "tty1")), write(tmp_path / "b", logout(BEGIN + 2, "tty1"))
        summary = import_(database, older, dry=True)
        assert (summary.counts.sessions, summary.counts.boots, database.exists()) == (1, 1, False)
        database.touch()
        assert import_(database, older, dry=True).counts.sessions == 1
        assert database.stat().st_size == 0
        import_(database, older)
        before = database.read_bytes()
        summary = import_(database, older, newer, dry=True)
        assert (summary.counts.duplicates, summary.counts.closed) == (2, 1)
        assert database.read_bytes() == before
        c_file = make_file(tmp_path / "c.db", [(3, "alice", at(1), None, "tty1", "192.0.2.7", None)], ours=False)
        before = c_file.read_bytes()
        assert import_(c_file, older, dry=True).counts.recognised == 1
        assert c_file.read_bytes() == before


@pytest.mark.skipif("WTMPDB_EXAMPLES" not in os.environ, reason="takes a minute: set WTMPDB_EXAMPLES")
def test_a_million_records(tmp_path: Path, database: Path) -> None:
    """A million records are imported in bounded memory."""
    file = many(tmp_path / "wtmp", 1_000_000)
    # A process of its own, since a child inherits the peak memory of the process that started it.
    code = (
        "import os, sys; pid = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[1:]], os.environ); "
        "_, status, used = os.wait4(pid, 0); print(used.ru_maxrss, file=sys.stderr); sys.exit(status != 0)"
    )
    command = [sys.executable, "-c", code, "-m", "wtmpdb", "import", "-f", str(database), str(file)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "added 500,000 sessions, 1 boot" in ran.stdout
    assert int(ran.stderr) < 64_000
