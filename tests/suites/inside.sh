#!/bin/bash
# SPDX-License-Identifier: MIT
# inside.sh CMD...: what suite_native and suite_hare run in a fresh directory: CMD with that as its
# HOME and TMPDIR, in a plain environment; in Hare then hare fsck. Exits with CMD's status, or
# 97 when fsck found something.

export HOME=$PWD TMPDIR=$PWD/tmp PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
unset MAKEFLAGS MAKELEVEL
mkdir -p "$TMPDIR" work && cd work || exit 125
"$@"
status=$?
wait
case $HOME in
"$HARE_AT"*)
	"$HARE" fsck || [ "$status" != 0 ] || status=97 ;;
esac
exit "$status"
