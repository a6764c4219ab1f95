#!/bin/sh
# Makes a working installation on this machine: packages, a virtual environment in /opt/wtmpdb, the PAM module and its profile, the units.
# Running it again upgrades; the history stays.
set -eu
umask 022
# What the caller has in the environment is not for root to follow.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP

prefix=/opt/wtmpdb
units=/usr/local/lib/systemd/system
tmpfiles=/usr/local/lib/tmpfiles.d
man=/usr/local/share/man
profile=/usr/share/pam-configs/wtmpdb-spool
database=/var/lib/wtmpdb/wtmp.db
debian_database=/var/log/wtmp.db
enabled="wtmpdb-boot.service wtmpdb-boot-time.service wtmpdb-boot-time.path wtmpdb-recorder.socket wtmpdb-recorder.path wtmpdb-recorder.timer"

say() { printf '%s\n' "install.sh: $*"; }
die() { printf '%s\n' "install.sh: $*" >&2; exit 1; }

usage() {
    cat <<END
Usage: sudo ./install.sh [--no-packages]

Installs wtmpdb into $prefix, its PAM module and its units.

  --no-packages  do not install packages of the distribution: they are there already

Example:
  git clone … wtmpdb && cd wtmpdb && sudo ./install.sh
END
}

install_packages() {
    if command -v apt-get >/dev/null; then
        say "installing packages with apt-get"
        apt-get update -qq || say "apt-get update failed: going on with the lists that are there"
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            python3 python3-venv gcc make libc6-dev libpam0g-dev libpam-runtime >/dev/null
    elif command -v dnf >/dev/null; then
        say "installing packages with dnf"
        dnf install -y -q python3 python3-pip gcc make pam-devel
    elif command -v zypper >/dev/null; then
        say "installing packages with zypper"
        zypper --non-interactive --quiet install python311 python311-pip gcc make pam-devel
    else
        say "no apt-get, dnf or zypper here: taking Python, a C compiler, make and libpam's headers as given"
    fi
}

# A python3 found in PATH may be somebody's private build: only the system's own, in directories that only root can write.
find_python() {
    for python in /usr/bin/python3 /usr/bin/python3.14 /usr/bin/python3.13 /usr/bin/python3.12 /usr/bin/python3.11; do
        [ -x "$python" ] || continue
        "$python" -ISEc 'import sys; sys.exit(sys.version_info < (3, 11))' || continue
        real=$(readlink -f "$python")
        while [ "$real" != / ]; do
            [ -z "$(find "$real" -maxdepth 0 \( ! -user root -o -perm /022 \) ! -type l)" ] || die "$real: must belong to root and be writable by nobody else"
            real=$(dirname "$real")
        done
        return
    done
    die "no Python 3.11 or later in /usr/bin"
}

install_program() {
    say "installing into $prefix"
    # -I: nothing is imported from the directory that this was called in.
    "$python" -Im venv "$prefix"
    "$prefix/bin/python" -Im pip install --quiet --disable-pip-version-check --upgrade "$here"
    # The script that pip makes reads the whole environment of Python first; this one starts in half the time, lets no variable of the
    # caller in, and goes on working when the system's Python is upgraded.
    cat >"$prefix/bin/wtmpdb.new" <<END
#!$python -ISB
import os, sys
own = "python%d.%d" % sys.version_info[:2]
sys.path += ["$prefix/lib/%s/site-packages" % name for name in [own, *os.listdir("$prefix/lib")]]
try:
    from wtmpdb.__main__ import main
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(1)
END
    chmod 755 "$prefix/bin/wtmpdb.new"
    mv "$prefix/bin/wtmpdb.new" "$prefix/bin/wtmpdb"
    mkdir -p /usr/local/bin "$man/man1" "$man/man8"
    ln -sfn "$prefix/bin/wtmpdb" /usr/local/bin/wtmpdb
    install -m 644 "$here"/docs/man/*.1 "$man/man1"
    install -m 644 "$here"/docs/man/*.8 "$man/man8"
}

install_units() {
    say "installing units and directories"
    mkdir -p "$units" "$tmpfiles"
    install -m 644 "$here"/systemd/wtmpdb-* "$units"
    install -m 644 "$here"/systemd/tmpfiles.d/wtmpdb.conf "$tmpfiles"
    # The same directories, for a machine whose systemd-tmpfiles does not run now.
    mkdir -p /var/lib/wtmpdb /run/wtmpdb
    install -d -m 700 /var/lib/wtmpdb/spool /var/lib/wtmpdb/spool/tmp /var/lib/wtmpdb/spool/new /var/lib/wtmpdb/spool/bad
}

# Debian 13's sshd writes sessions with a terminal into the C library's file by itself. We share that file, and leave those sessions to it.
sshd_records() {
    for program in /usr/sbin/sshd /usr/lib/openssh/sshd-session; do
        if [ -x "$program" ] && ldd "$program" 2>/dev/null | grep -q libwtmpdb; then return 0; fi
    done
    return 1
}

live_with_c() {
    sshd_records || [ -e "$debian_database" ] || return 0
    if [ ! -e "$database" ] && [ ! -L "$database" ]; then
        say "sharing $debian_database with Debian's own wtmpdb"
        ln -s "$debian_database" "$database"
    fi
    if [ -e /usr/share/pam-configs/wtmpdb ]; then
        say "turning off the PAM profile of Debian's wtmpdb: ours takes its place"
        DEBIAN_FRONTEND=noninteractive pam-auth-update --package --disable wtmpdb
    fi
    if [ -e /usr/lib/systemd/system/wtmpdb-update-boot.service ]; then
        say "masking wtmpdb-update-boot.service: wtmpdb-boot.service takes its place"
        systemctl mask --quiet wtmpdb-update-boot.service || true
    fi
}

install_pam() {
    say "building and installing the PAM module"
    make -s -C "$here/pam" BUILD="$build" all
    make -s -C "$here/pam" BUILD="$build" install
    if ! command -v pam-auth-update >/dev/null; then
        say "no pam-auth-update here; put this line at the end of the session part of the stacks that open sessions (login, sshd, su …):"
        say "    session optional pam_wtmpdb_spool.so"
        return
    fi
    mkdir -p "$(dirname "$profile")"
    if sshd_records; then
        say "sshd records sessions with a terminal itself; ssh sessions without one (scp, sftp) are not recorded"
        sed 's/pam_wtmpdb_spool\.so$/& skip_if=sshd/' "$here/pam/pam-configs/wtmpdb-spool" >"$profile"
    else
        install -m 644 "$here/pam/pam-configs/wtmpdb-spool" "$profile"
    fi
    DEBIAN_FRONTEND=noninteractive pam-auth-update --package
    # It says nothing when it leaves files alone that somebody has edited.
    grep -q pam_wtmpdb_spool /etc/pam.d/common-session || {
        say "pam-auth-update left /etc/pam.d/common-session alone, because it was edited by hand; put this line at its end:"
        say "    session optional pam_wtmpdb_spool.so"
    }
}

start_units() {
    if ! command -v systemctl >/dev/null; then
        say "no systemd here: run '/usr/local/bin/wtmpdb boot' at boot, 'wtmpdb shutdown' at shutdown, and 'wtmpdb recorder --once' now and then"
    elif [ -d /run/systemd/system ]; then
        say "starting the units"
        systemctl daemon-reload
        # shellcheck disable=SC2086 # a list of names
        systemctl enable --quiet --now $enabled
    else
        say "enabling the units: systemd is not running, they start with the next boot"
        # shellcheck disable=SC2086 # a list of names
        systemctl enable --quiet $enabled
    fi
}

packages=yes
for argument in "$@"; do
    case $argument in
        --no-packages) packages=no ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
[ "$(id -u)" = 0 ] || die "must be run as root: sudo ./install.sh"
here=$(cd "$(dirname "$0")" && pwd)
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

[ "$packages" = no ] || install_packages
find_python
install_program
install_units
live_with_c
install_pam
start_units
if [ -e "$database" ]; then
    say "done: 'wtmpdb last' shows the history"
else
    say "done: the history begins with the next boot"
fi
