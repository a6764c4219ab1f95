# SPDX-License-Identifier: BSD-2-Clause
"""A coverage-guided fuzz target for the detector and the reader of old files: ``python tests/legacy/fuzz_reader.py -max_total_time=60``.

The first byte of an input says whether the layout is detected or which one is forced; the rest is the file. Whatever it is: no error but
ours, the same number of bytes accounted for as there are, and never more than seconds (libFuzzer's ``-timeout``).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-untyped]  # it has no types

sys.path.insert(0, str(Path(__file__).parent.parent))

with atheris.instrument_imports(include=["wtmpdb"]):
    from wtmpdb.errors import WtmpdbError
    from wtmpdb.legacy import dump
    from wtmpdb.legacy.fixed import FixedLayout
    from wtmpdb.legacy.layouts import LAYOUTS
    from wtmpdb.legacy.library import encode
    from wtmpdb.legacy.reader import LegacyFile

from every_layout import WRITABLE, content, history

DETECTED = 128  # first bytes below: the layout is detected
NAMES = [name for name in LAYOUTS if name != "wtmpdb"]
FILE = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process


def read(data: bytes) -> None:
    """Read a file in both directions."""
    name = None if not data or data[0] < DETECTED else NAMES[(data[0] - DETECTED) % len(NAMES)]
    FILE.seek(0)
    FILE.truncate()
    FILE.write(data[1:])
    FILE.flush()
    try:
        with LegacyFile("fuzz", name, descriptor=_duplicate()) as file:
            check(file, len(data) - 1)
    except WtmpdbError:
        pass


def check(file: LegacyFile, size: int) -> None:
    """Hold that all bytes are accounted for, and that what is read can be shown and written."""
    count = 0
    for record in file:
        count += 1
        dump.write(record.fields)
        assert len(repr(record)) + len(str(record.address)) > 0
        assert record.raw
        if isinstance(file.layout, FixedLayout):
            assert len(record.raw) == file.layout.size
            _written(file.layout, record.fields)
    if isinstance(file.layout, FixedLayout) and not file.compression and size > 0:
        left = size - count * file.layout.size - file.skipped.bytes
        assert left in (0, file.layout.size)  # a signature
    for chunk in file.backward():
        assert len(chunk) <= size


def _written(layout: FixedLayout, fields: tuple) -> None:  # type: ignore[type-arg]
    try:
        assert len(encode(layout, fields)) == layout.size
    except ValueError:
        assert fields[0] not in (7, 8) or not layout.is_plain


def _duplicate() -> int:
    import os  # noqa: PLC0415

    return os.open(f"/proc/self/fd/{FILE.fileno()}", os.O_RDONLY)


def main() -> None:
    """Fuzz, beginning with a small file of every layout."""
    corpus = Path(tempfile.mkdtemp(prefix="fuzz"))
    for name in WRITABLE:
        (corpus / name).write_bytes(b"\0" + content(name, history(4)))
    atheris.Setup([sys.argv[0], "-timeout=10", "-max_len=4096", "-rss_limit_mb=1024", *sys.argv[1:], str(corpus)], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
