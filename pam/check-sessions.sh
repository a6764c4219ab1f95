#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# check-sessions.sh BUILD: real sessions through libpam, under the sanitizers and under valgrind. Called by `make check`.

set -eu
build=$(cd "$1" && pwd)

if [ "$(id -u)" -ne 0 ]; then
	echo "SKIPPED: sessions are recorded only for root"
	exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -m 0700 "$work/spool" "$work/spool/tmp" "$work/spool/new"
mkdir -m 0700 "$work/spool/failed" "$work/spool/failed/tmp" "$work/spool/failed/new"

service() { # NAME MODULE [OPTION...]: a PAM service whose only module is ours
	name=$1 module=$2
	shift 2
	{
		echo "session required $build/$module spool=$work/spool poke=$work/poke $*"
		echo "auth [default=ignore] $build/$module spool=$work/spool poke=$work/poke $*"
		echo "auth requisite pam_deny.so"
	} >"$work/$name"
}

expect() { # NUMBER: of letters in the spool, or in that of failed logins, which is emptied
	found=$(find "$work/spool/new" "$work/spool/failed/new" -type f | wc -l)
	[ "$found" -eq "$1" ] || { echo "FAILED: $found letters, not $1" >&2; exit 1; }
	rm -f "$work"/spool/new/* "$work"/spool/failed/new/*
}

service plain pam_wtmpdb_spool.so
service sanitized pam_wtmpdb_spool-san.so
service broken pam_wtmpdb_spool-san.so silent "spool=$work/none"

echo "sessions under AddressSanitizer and UndefinedBehaviorSanitizer"
"$build/exercise-san" "$work" sanitized 1 4 25
expect 200
"$build/exercise-san" "$work" sanitized 1 4 25 failed
expect 100
"$build/exercise-san" "$work" broken 1 1 5
"$build/exercise-san" "$work" broken 1 1 5 failed
expect 0

if command -v valgrind >/dev/null; then
	echo "sessions under valgrind"
	valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect \
		"$build/exercise" "$work" plain 1 2 10
	expect 40
	valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect \
		"$build/exercise" "$work" plain 1 2 10 failed
	expect 20
else
	echo "SKIPPED: no valgrind"
fi

echo "40 processes of 20 sessions each"
"$build/exercise" "$work" plain 40 1 20
expect 1600

echo "failed logins: 40 processes of 20 each, then more than may wait"
"$build/exercise" "$work" plain 40 1 20 failed
expect 800
"$build/exercise" "$work" plain 1 1 2000 failed
expect $((2000 - $(wc -c <"$work/spool/failed/uncounted")))
