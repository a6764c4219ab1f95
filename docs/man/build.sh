#!/bin/sh
# Makes the man pages from their Markdown sources. The pages are kept in the repository, so that an installation needs no tool.
# Needs go-md2man (package go-md2man in Debian, golang-github-cpuguy83-md2man in Fedora).
#
#   docs/man/build.sh         into docs/man
#   docs/man/build.sh DIR     into another directory
set -eu
here=$(cd "$(dirname "$0")" && pwd)
to=${1:-$here}

for source in "$here"/*.[0-9].md; do
    page=$(basename "$source" .md)
    # A plain hyphen may be shown as one that cannot be copied into a command; older versions of the tool leave it plain.
    go-md2man -in "$source" | sed -e '/^\./!s/\\\{0,1\}-/\\-/g' >"$to/$page"
done
for name in boottime shutdown; do
    echo ".so man1/wtmpdb-boot.1" >"$to/wtmpdb-$name.1"
done
