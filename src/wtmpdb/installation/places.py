# SPDX-License-Identifier: BSD-2-Clause
"""Where an installation puts things. Paths are those of the machine; in a tree that is not running, its root stands before them."""

from __future__ import annotations

from wtmpdb import connection

PREFIX = "/opt/wtmpdb"
"""The program, with all that it needs of Python; `install.sh` makes it."""

PROGRAM = "/usr/local/bin/wtmpdb"
NAMES = ("last", "lastb", "who")
"""The names beside PROGRAM that `setup --last` makes links of."""

UNITS = "/usr/local/lib/systemd/system"
TMPFILES = "/usr/local/lib/tmpfiles.d"
MANUAL = "/usr/local/share/man"
COMPLETIONS = "/usr/local/share/bash-completion/completions"

PROFILES = "/usr/share/pam-configs"
PROFILE = "wtmpdb-spool"
FAILURES_PROFILE = "wtmpdb-failures"
STACKS = "/etc/pam.d"
MODULE = "pam_wtmpdb_spool.so"

STATE = "/var/lib/wtmpdb"
SPOOL = f"{STATE}/spool"
FAILED_SPOOL = f"{SPOOL}/failed"
RUNTIME = "/run/wtmpdb"
RECORD = f"{STATE}/setup.json"
"""What setup has done, and what it was asked for: its next run and `setup --undo` go by it."""

PRIVATE = f"{STATE}/{connection.PRIVATE}"
"""While this file is there, a history that is made anew gets the mode 0640."""

ENABLED = (
    "wtmpdb-boot.service",
    "wtmpdb-boot-time.service",
    "wtmpdb-boot-time.path",
    "wtmpdb-recorder.socket",
    "wtmpdb-recorder.path",
    "wtmpdb-recorder.timer",
)
"""The units that setup enables."""

RECORDER = "wtmpdb-recorder.service"
RESIDENT = (RECORDER, "wtmpdb-varlink.socket")
"""The units that setup enables as well when the recorder is to stay resident."""

RESIDENT_FILES = {
    f"{UNITS}/wtmpdb-varlink.socket": "systemd/recorder/wtmpdb-varlink.socket",
    f"{UNITS}/{RECORDER}.d/resident.conf": "systemd/recorder/resident.conf",
}
"""What makes it so: where it goes, and where the package has it."""

EXPORTER = ("wtmpdb-exporter.socket",)
"""The units that setup enables as well when metrics are to be served; the socket starts EXPORTER_SERVICE."""

EXPORTER_SERVICE = "wtmpdb-exporter.service"
EXPORTER_FILES = {f"{UNITS}/{unit}": f"systemd/exporter/{unit}" for unit in (*EXPORTER, EXPORTER_SERVICE)}
"""Where they go, and where the package has them."""

# Debian's packages of the C project's wtmpdb.
C_DATABASE = "/var/log/wtmp.db"
C_PROFILE = "wtmpdb"
C_MODULE = "pam_wtmpdb.so"
C_BOOT_UNIT = "wtmpdb-update-boot.service"
C_DAEMON_UNITS = ("wtmpdbd.socket", "wtmpdbd.service")  # other distributions; on the same socket as our recorder
C_LOGROTATE = "/etc/logrotate.d/wtmpdb"
