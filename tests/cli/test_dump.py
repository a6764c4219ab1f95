# SPDX-License-Identifier: BSD-2-Clause
"""`wtmpdb dump`: from the command line to the text and back. The text itself is held elsewhere."""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wtmpdb.__main__ import main
from wtmpdb.legacy.layouts import FIXED
from wtmpdb.legacy.record import NO_ADDRESS, USER_PROCESS

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parent.parent / "data"
UNDUMP = json.loads((DATA / "utmpdump" / "undump.json").read_text())
UTMPDUMP = shutil.which("utmpdump", path="/usr/bin:/bin")
NATIVE = FIXED["glibc-384-le"]
LINE = b"[7] [00123] [ts/0] [%-8s] [pts/0       ] [h                   ] [0.0.0.0        ] [2024-02-20T09:00:%02d,000000+00:00]\n"


def records(count: int) -> bytes:
    """Return a file of so many records."""
    return b"".join(
        NATIVE.encode((USER_PROCESS, 123, b"pts/0", b"ts/0", b"u%d" % n, b"h", 1_708_419_600 + n, 0, NO_ADDRESS, 0, 0, 0)) for n in range(count)
    )


def lines(first: int, end: int) -> bytes:
    """Return their text."""
    return b"".join(LINE % (b"u%d" % n, n) for n in range(first, end))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make a file of three records."""
    path = tmp_path / "wtmp"
    path.write_bytes(records(3))
    return path


def test_dump(path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Each record is a line, also of a compressed file, or of one from another machine."""
    packed, foreign = path.with_name("wtmp.gz"), path.with_name("foreign")
    packed.write_bytes(gzip.compress(records(3)))
    foreign.write_bytes(b"".join(map(FIXED["glibc-400-be"].encode, NATIVE.decode(records(3)))))
    for name in (path, packed, foreign):
        assert main(["wtmpdb", "dump", str(name)]) == 0
        assert capfdbinary.readouterr() == (lines(0, 3), b"")


def test_stray_bytes(path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """What is no record is left out, and told."""
    path.write_bytes(b"".join((records(2), b"\xff", records(3)[768:])))
    assert main(["wtmpdb", "dump", str(path)]) == 0
    out, error = capfdbinary.readouterr()
    assert out == lines(0, 3)
    assert error.startswith(f"wtmpdb dump: {path}: 1 bytes skipped".encode())


def test_standard_input(path: Path) -> None:
    """Without a file the standard input is read, one way and the other."""
    program = [sys.executable, "-m", "wtmpdb", "dump"]
    text = subprocess.run(program, input=path.read_bytes(), capture_output=True, check=True).stdout
    assert text == lines(0, 3)
    assert subprocess.run([*program, "-r"], input=text, capture_output=True, check=True).stdout == path.read_bytes()


@pytest.mark.parametrize("name", [name for name, case in UNDUMP.items() if case["rc"] == 0])
def test_reverse(name: str, tmp_path: Path) -> None:
    """From text come the bytes that `utmpdump -r` makes."""
    (tmp_path / "text").write_text(UNDUMP[name]["text"])
    assert main(["wtmpdb", "dump", "-r", str(tmp_path / "text"), "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out").read_bytes() == base64.b64decode(UNDUMP[name]["binary_b64"])


def test_lines_that_are_none(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Lines that are no records are left out, and told: the first few by what they say, then all by their number."""
    text = tmp_path / "text"
    text.write_bytes(b"[7] [1] [x]\n" + b"\x1b[2J\n" * 9 + lines(1, 2) + b"x" * 100_000)
    assert main(["wtmpdb", "dump", "-r", str(text)]) == 0
    out, error = capfdbinary.readouterr()
    assert len(out) == 384
    assert b"\x1b" not in error
    assert error.count(b"no record: ") == 5
    assert error.endswith(b"35 lines are no records\n")


def test_layouts(path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Text can be made into a file for another machine, which is read again."""
    text, made = path.with_name("text"), path.with_name("made")
    text.write_bytes(lines(0, 3))
    for words, layout in ((["--layout", "glibc-400"], "glibc-400-le"), (["--byte-order", "big"], "glibc-384-be")):
        assert main(["wtmpdb", "dump", "-r", *words, str(text), "-o", str(made)]) == 0
        assert made.read_bytes() == b"".join(map(FIXED[layout].encode, NATIVE.decode(records(3))))
        assert main(["wtmpdb", "dump", *words, str(made)]) == 0
        assert capfdbinary.readouterr() == (lines(0, 3), b"")
    assert main(["wtmpdb", "dump", "-r", "--layout", "utmpdump", str(text)]) == 1
    assert capfdbinary.readouterr() == (b"", b"wtmpdb dump: utmpdump: cannot be written\n")


class Growing(Exception):  # noqa: N818 - not an error
    """The end of the test."""


def test_follow(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last ten records are printed, then what is added, once it is whole; a file that was cut short is followed from its end."""
    path.write_bytes(records(15))
    more = records(18)[15 * 384 :]
    steps: list[Callable[[], object]] = [
        lambda: append(path, more[:500]),
        lambda: append(path, more[500:]),
        lambda: path.write_bytes(b""),
        lambda: append(path, more[:384]),
    ]

    def step(_: float) -> None:
        if not steps:
            raise Growing
        steps.pop(0)()

    monkeypatch.setattr("wtmpdb.cli.dump.time.sleep", step)
    with pytest.raises(Growing):
        main(["wtmpdb", "dump", "-f", str(path), "-o", str(path.with_name("out"))])
    assert path.with_name("out").read_bytes() == lines(5, 18) + lines(15, 16)


def append(path: Path, data: bytes) -> None:
    """Add bytes to a file."""
    with path.open("ab") as file:
        file.write(data)


def test_what_cannot_be_followed(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A compressed file and the standard input cannot be followed."""
    path.write_bytes(gzip.compress(records(3)))
    assert main(["wtmpdb", "dump", "-f", str(path)]) == 1
    assert capfd.readouterr().err == f"wtmpdb dump: {path}: cannot be followed\n"
    assert main(["wtmpdb", "dump", "-f"]) == 2
    assert "--follow needs a file" in capfd.readouterr().err


@pytest.mark.skipif(UTMPDUMP is None, reason="needs utmpdump")
def test_like_utmpdump(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Of the files of the cases, but for one with times before 1970, we print what `utmpdump` prints."""
    for path in sorted((DATA / "last").glob("*/wtmp")):
        if path.parent.name in ("17-odd-files-tail", "17-odd-files-head", "17-odd-files-short", "22-y2038"):
            continue
        theirs = subprocess.run([str(UTMPDUMP), str(path)], capture_output=True, check=True, env={"LC_ALL": "C", "PATH": os.environ["PATH"]}).stdout
        assert main(["wtmpdb", "dump", str(path)]) == 0
        assert capfdbinary.readouterr().out == theirs, path


def test_output_is_whole_or_none(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was in the file of -o stays where anything goes wrong, and the file that is read is not written over."""
    out = tmp_path / "out"
    out.write_text("of before")
    assert main(["wtmpdb", "dump", str(tmp_path / "none"), "-o", str(out)]) == 1
    assert out.read_text() == "of before"
    assert main(["wtmpdb", "dump", str(path), "-o", str(path)]) == 1
    assert "is what is being read" in capsys.readouterr().err
    assert path.read_bytes() == records(3)
    assert main(["wtmpdb", "dump", str(path), "-o", str(out)]) == 0
    assert out.read_bytes() == lines(0, 3)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out", "wtmp"]
