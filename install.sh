#!/bin/sh
# Makes a working installation on this machine: packages, a virtual environment in /opt/wtmpdb and in it the PAM module; then `wtmpdb setup` puts
# all that in its place. Running it again upgrades; the history stays. Killed at any point, the program of before is there, or the new one.
set -eu
umask 022
# What the caller has in the environment is not for root to follow.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP

prefix=/opt/wtmpdb

say() { printf '%s\n' "install.sh: $*"; }
die() { printf '%s\n' "install.sh: $*" >&2; exit 1; }

usage() {
    cat <<END
Usage: sudo ./install.sh [--no-packages] [OPTION of wtmpdb setup…]

Installs wtmpdb into $prefix, its PAM module and its units.

  --no-packages  do not install packages of the distribution: they are there already

Every other option goes to 'wtmpdb setup', which does the second half: --no-pam, --no-failures, --no-systemd, --no-import,
--private, --others=all|own|none, --all-sessions, --recorder, --exporter, --last.

Examples:
  git clone … wtmpdb && cd wtmpdb && sudo ./install.sh
  sudo ./install.sh --private --recorder
  sudo wtmpdb setup --undo     takes everything out again
END
}

# A mirror may be out of reach while all that is needed is there: what is missing shows later.
install_packages() {
    if command -v apt-get >/dev/null; then
        say "installing packages with apt-get"
        apt-get update -qq || say "apt-get update failed: going on with the lists that are there"
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            python3 python3-venv gcc make libc6-dev libpam0g-dev libpam-runtime >/dev/null || say "apt-get install failed: going on with what is there"
    elif command -v dnf >/dev/null; then
        say "installing packages with dnf"
        dnf install -y -q python3 python3-pip gcc make pam-devel || say "dnf install failed: going on with what is there"
    elif command -v zypper >/dev/null; then
        say "installing packages with zypper"
        zypper --non-interactive --quiet install python311 python311-pip gcc make pam-devel || say "zypper install failed: going on with what is there"
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
    die "no Python 3.11 or later in /usr/bin: install it, and run this again"
}

build_module() {
    for tool in make "${CC:-cc}"; do
        command -v "$tool" >/dev/null || die "no '$tool' here, and it could not be installed: the PAM module cannot be built; nothing was changed"
    done
    say "building the PAM module"
    make -s -C "$here/pam" BUILD="$build" all || die "the PAM module cannot be built; nothing was changed (are libc's and libpam's headers there?)"
}

install_program() {
    say "installing into $prefix"
    # Made beside it and then put in its place. -I: nothing is imported from the directory that this was called in.
    # With the extra for the exporter always: setup can turn it on later, but not get packages.
    new=$prefix.new old=$prefix.old
    rm -rf "$new"
    "$python" -Im venv "$new" || die "$new: cannot be made (is python3-venv there?); nothing was changed"
    "$new/bin/python" -Im pip install --quiet --disable-pip-version-check "$here[exporter]" || die "pip could not get what it needs; nothing was changed" \
        "(is there a network? PIP_NO_INDEX and PIP_FIND_LINKS let it take files from a directory)"
    install -m 644 "$build/pam_wtmpdb_spool.so" "$new/lib"
    find "$new/bin" "$new/pyvenv.cfg" -type f -exec sed -i "s|$new|$prefix|g" {} +
    rm -rf "$old"
    [ ! -e "$prefix" ] || mv "$prefix" "$old"
    mv "$new" "$prefix"
    rm -rf "$old"
}

packages=yes
count=$#
while [ "$count" -gt 0 ]; do
    case $1 in
        --no-packages) packages=no ;;
        -h | --help) usage; exit 0 ;;
        --pam | --no-pam | --failures | --no-failures | --systemd | --no-systemd | --import | --no-import | --private | --no-private | --all-sessions | --no-all-sessions | --recorder | --no-recorder | --exporter | --no-exporter | --last | --no-last) set -- "$@" "$1" ;;
        --others=all | --others=own | --others=none) set -- "$@" "$1" ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
    count=$((count - 1))
done
[ "$(id -u)" = 0 ] || die "must be run as root: sudo ./install.sh"
here=$(cd "$(dirname "$0")" && pwd)
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

[ "$packages" = no ] || install_packages
find_python
build_module
install_program
say "setting up"
"$prefix/bin/python" -IBm wtmpdb setup "$@"
