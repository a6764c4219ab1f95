# SPDX-License-Identifier: BSD-2-Clause
"""PAM's stacks, as libpam reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtmpdb.doctor.stacks import file_of, session_lines

if TYPE_CHECKING:
    from pathlib import Path


def stacks(root: Path, **files: str) -> str:
    """Write stacks; return the root of the tree."""
    directory = root / "etc/pam.d"
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text)
    return str(root)


def modules(root: str, service: str) -> list[str]:
    """Return where each module of a service stands."""
    return [f"{line} {line.module}" for line in session_lines(root, service)]


def test_lines(tmp_path: Path) -> None:
    """Lines of the session part count, with their number, control and options; comments, other parts and empty lines do not."""
    text = """# session required pam_no.so
auth required pam_no.so
session required pam_a.so one two # three

-session optional pam_b.so
SESSION [success=1 default=\\]ignore] /lib/security/pam_c.so x=[a b]
session optional \\
    pam_d.so long
  session required pam_e.so
"""
    lines = session_lines(stacks(tmp_path, login=text), "login")
    assert [(line.number, line.control, line.module, line.options) for line in lines] == [
        (3, "required", "pam_a.so", ("one", "two")),
        (5, "optional", "pam_b.so", ()),
        (6, "[success=1 default=\\]ignore]", "pam_c.so", ("x=[a", "b]")),
        (7, "optional", "pam_d.so", ("long",)),
        (9, "required", "pam_e.so", ()),
    ]
    assert str(lines[0]) == "/etc/pam.d/login:3"


@pytest.mark.parametrize("how", ["@include common", "session include common", "session substack common", "session Include /etc/pam.d/common"])
def test_includes(tmp_path: Path, how: str) -> None:
    """What is included, in any of the three ways, stands where it is included."""
    common = "auth required pam_x.so\nsession required pam_c.so\n"
    root = stacks(tmp_path, login=f"session required pam_a.so\n{how}\nauth include nothing\nsession required pam_b.so\n", common=common)
    assert modules(root, "login") == ["/etc/pam.d/login:1 pam_a.so", "/etc/pam.d/common:2 pam_c.so", "/etc/pam.d/login:4 pam_b.so"]


def test_includes_of_nothing(tmp_path: Path) -> None:
    """A file that is not there has no lines, be it the service or what it includes."""
    root = stacks(tmp_path, login="@include none\nsession include none\nsession include ../shadow\nsession required pam_a.so\n")
    assert modules(root, "login") == ["/etc/pam.d/login:4 pam_a.so"]
    assert modules(root, "none") == []


def test_circles_end(tmp_path: Path) -> None:
    """Files that include one another, or each the next one twice, come to an end."""
    root = stacks(tmp_path, a="@include b\nsession required pam_a.so\n", b="@include a\n@include b\nsession required pam_b.so\n")
    assert modules(root, "a") == ["/etc/pam.d/b:3 pam_b.so", "/etc/pam.d/a:2 pam_a.so"]
    stacks(tmp_path, **{f"s{number}": f"@include s{number + 1}\n@include s{number + 1}\nsession required pam_a.so\n" for number in range(40)})
    assert 0 < len(modules(root, "s0")) <= 200


def test_directories(tmp_path: Path) -> None:
    """A service of the vendor's directory is found, and one in /etc takes its place."""
    vendor = tmp_path / "usr/lib/pam.d"
    vendor.mkdir(parents=True)
    (vendor / "login").write_text("session required pam_v.so\n")
    (vendor / "su").write_text("session required pam_v.so\n")
    root = stacks(tmp_path, su="session required pam_a.so\n")
    assert modules(root, "login") == ["/usr/lib/pam.d/login:1 pam_v.so"]
    assert modules(root, "su") == ["/etc/pam.d/su:1 pam_a.so"]


@pytest.mark.parametrize("name", ["", ".", "..", "../passwd", "a/b", "a\0b", "/etc/passwd"])
def test_no_names_of_services(tmp_path: Path, name: str) -> None:
    """What leads out of the directory is no service."""
    assert file_of(stacks(tmp_path), name) is None


@given(st.text(alphabet="session @include[]\\=#\n-\tpam_a.so", max_size=200))
def test_any_text(text: str) -> None:
    """Whatever stands in a stack can be read."""
    import tempfile  # noqa: PLC0415 - Hypothesis does not go with tmp_path
    from pathlib import Path  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as directory:
        lines = session_lines(stacks(Path(directory), login=text), "login")
    assert all(line.module and line.number >= 1 for line in lines)
