#!/bin/bash
# SPDX-License-Identifier: MIT
# inside.sh SCRIPT OUT [PRUNE]: run one script in the current directory, the same way
# whether that is in tmpfs or in Hare, and write what came of it to the directory OUT
# (outside): stdout, stderr, status, and tree, the manifest of the current directory.
# Paths that match the regular expression PRUNE stay out of the manifest. Exits with the
# script's status.

script=$1 out=$2 prune=${3:-}
top=$PWD
mkdir -p tmp || exit 125
# TAP_* are for scripts that need to know; all else is the same everywhere.
env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$top" TMPDIR="$top/tmp" LC_ALL=C TZ=UTC \
	HARE="${HARE:-}" SUPPORT="${script%/*}" SHELL=/bin/bash GOFLAGS=-mod=mod \
	bash "$script" >"$out/stdout" 2>"$out/stderr" </dev/null
status=$?
echo "$status" >"$out/status"
cd "$top" || exit 125
umask 022
# One line a path: type, mode, links, owner, size (of files), target (of symlinks), and
# for files the content's checksum. A directory's size is the file system's own affair.
{
	find . -regextype posix-extended -mindepth 1 ${prune:+-regex "$prune" -prune -o} \
		\( -type f -printf '%p %y %m %n %U:%G %s\n' -o \
		-printf '%p %y %m %n %U:%G %l\n' \) | sort
	find . -regextype posix-extended -mindepth 1 ${prune:+-regex "$prune" -prune -o} \
		-type f -print0 | sort -z | xargs -0 -r sha256sum
} >"$out/tree" 2>&1
exit "$status"
