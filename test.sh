#!/bin/bash
# Everything the tests need, then the tests. Arguments go to pytest: ./test.sh tests/test_log.py -k corrupt
set -euo pipefail
cd "$(dirname "$0")"

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    packages="python3 python3-venv gcc make libc6-dev libpam0g-dev pamtester openssh-server openssh-client valgrind systemd-container mmdebstrap
        util-linux strace clang libclang-rt-dev man-db go-md2man groff zstd bzip2 xz-utils postgresql prometheus curl openssl tmux
        podman runc faketime git tzdata"
    missing=""
    for package in $packages; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        apt-get update -qq || true
        # shellcheck disable=SC2086 # a list of names
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    fi
fi

python=/usr/bin/python3
[ -x .venv/bin/python ] || "$python" -m venv .venv
stamp=.venv/.installed
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    .venv/bin/pip install --quiet --disable-pip-version-check --editable '.[test]'
    touch "$stamp"
fi
exec .venv/bin/python -m pytest "$@"
