# SPDX-License-Identifier: BSD-2-Clause
"""How the PAM module is built, hardened, installed and checked."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from pam_world import SOURCE

if TYPE_CHECKING:
    from pathlib import Path


def run(*command: str | Path, timeout: int = 120) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed; returns what it said."""
    done = subprocess.run([str(word) for word in command], check=False, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def need(*tools: str) -> None:
    """Skip where a tool is missing."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {missing}")


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_sources_compile_without_a_warning(tmp_path: Path, compiler: str) -> None:
    """Under both compilers everything builds, warnings being errors, and nothing is said."""
    need(compiler)
    done = run("make", "-s", "-C", SOURCE, f"CC={compiler}", f"BUILD={tmp_path}", "all", tmp_path / "exercise")
    assert (done.stdout, done.stderr) == ("", "")


def test_packagers_may_bring_their_flags(tmp_path: Path) -> None:
    """The flags of a distribution, with a level of fortification of their own, go together with ours."""
    flags = "-O2 -g -Wp,-U_FORTIFY_SOURCE -Wp,-D_FORTIFY_SOURCE=2 -fstack-protector-strong"
    run("make", "-s", "-C", SOURCE, f"BUILD={tmp_path}", f"CFLAGS={flags}", "LDFLAGS=-Wl,-z,relro")


def test_only_the_entry_points_are_exported(build: Path) -> None:
    """The module exports the functions that PAM calls, and no other name."""
    need("nm")
    symbols = run("nm", "-D", "--defined-only", build / "pam_wtmpdb_spool.so").stdout.splitlines()
    assert {line.split()[-1] for line in symbols} == {"pam_sm_authenticate", "pam_sm_setcred", "pam_sm_open_session", "pam_sm_close_session"}


def test_the_module_needs_only_pam_and_the_c_library(build: Path) -> None:
    """No other library comes into a login with us."""
    need("readelf")
    lines = run("readelf", "-d", "-W", build / "pam_wtmpdb_spool.so").stdout.splitlines()
    needed = {line.split("[")[1].split(".")[0] for line in lines if "(NEEDED)" in line}
    assert needed <= {"libpam", "libc", "libpthread", "ld-linux-x86-64", "ld-linux-aarch64"}


def test_the_module_is_hardened(build: Path) -> None:
    """Relocations are read-only and bound at once, no code is writable, and the environment cannot be read."""
    need("readelf")
    said = run("readelf", "-d", "-l", "-W", build / "pam_wtmpdb_spool.so").stdout
    segments = [line.split() for line in said.splitlines() if line.strip().startswith("GNU_")]
    flags = {segment[0]: segment[6] for segment in segments}
    assert "BIND_NOW" in said
    assert {"GNU_RELRO", "GNU_STACK"} <= flags.keys()
    assert "E" not in flags["GNU_STACK"]
    assert not any(" RWE " in line for line in said.splitlines())
    symbols = run("nm", "-D", build / "pam_wtmpdb_spool.so").stdout
    assert "getenv" not in symbols.replace("pam_getenv", "")


def test_it_is_installed_beside_pam_permit_and_removed(tmp_path: Path) -> None:
    """Install finds the directory of the PAM modules by itself, under DESTDIR, and uninstall undoes it."""
    common = ["make", "-s", "-C", str(SOURCE), f"BUILD={tmp_path / 'build'}", f"DESTDIR={tmp_path / 'root'}"]
    run(*common, "install")
    (installed,) = (tmp_path / "root").rglob("pam_wtmpdb_spool.so")
    assert installed.stat().st_mode & 0o777 == 0o644
    real = installed.parent.relative_to(tmp_path / "root")
    assert ("/" / real / "pam_permit.so").exists()
    run(*common, "uninstall")
    assert not installed.exists()
    run(*common, "SECURITYDIR=/elsewhere", "install")
    assert (tmp_path / "root/elsewhere/pam_wtmpdb_spool.so").exists()


def test_make_check_passes(tmp_path: Path) -> None:
    """Sessions run clean under AddressSanitizer, UndefinedBehaviorSanitizer and valgrind."""
    said = run("make", "-C", SOURCE, f"BUILD={tmp_path}", "check").stdout
    assert ("AddressSanitizer" in said) == (os.geteuid() == 0)  # sessions are recorded only for root


def test_the_encoder_withstands_fuzzing(tmp_path: Path) -> None:
    """A few seconds of libFuzzer find no input that makes a malformed letter."""
    need("clang")
    probe = subprocess.run(
        ["clang", "-fsanitize=fuzzer", "-x", "c", "-", "-o", str(tmp_path / "probe")],
        input=b"int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d == 0 && n; }",
        check=False,
        capture_output=True,
    )
    if probe.returncode:
        pytest.skip("clang is here without libFuzzer")
    run("make", "-s", "-C", SOURCE, f"BUILD={tmp_path}", "N=3", "fuzz")


def test_the_debian_profile_comes_after_logind_and_never_forces() -> None:
    """The profile is optional, for interactive sessions, and sorts after pam_systemd, whose session id it needs."""
    lines = (SOURCE / "pam-configs" / "wtmpdb-spool").read_text().splitlines()
    fields = dict(line.split(": ", 1) for line in lines if ": " in line)
    assert fields["Session-Type"] == "Additional"
    assert fields["Session-Interactive-Only"] == "yes"
    assert int(fields["Priority"]) < 0
    assert not {"Auth", "Account", "Password"} & {line.split(":")[0].split("-")[0] for line in lines}
    assert lines[-1].split() == ["optional", "pam_wtmpdb_spool.so"]


def test_the_debian_profile_for_failed_logins_has_no_say() -> None:
    """The profile comes after all that may let somebody in, and its only line decides nothing, whatever the module answers."""
    lines = (SOURCE / "pam-configs" / "wtmpdb-failures").read_text().splitlines()
    fields = dict(line.split(": ", 1) for line in lines if ": " in line)
    assert fields["Auth-Type"] == "Primary"
    assert int(fields["Priority"]) < 0
    assert not {"Session", "Account", "Password"} & {line.split(":")[0].split("-")[0] for line in lines}
    assert lines[-2:] == ["Auth:", "\t[default=ignore]\tpam_wtmpdb_spool.so"]
