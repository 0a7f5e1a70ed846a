#!/bin/bash
# SPDX-License-Identifier: MIT
# Each program here prints the same TAP natively, under the interposition alone (hare-passthrough),
# and in Hare: signals, threads, registers and exec state are as the kernel alone would have them.
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../../build}
. "$here/../lib/tap.sh"

# all_ok OUTPUT: a plan, and no point failed
all_ok()
{
	grep -q '^1\.\.' "$1" && ! grep -q '^not ok' "$1"
}

out=$TAP_TMP/out
for src in "$here"/*.c; do
	p=$(basename "$src" .c)
	bin=$build/tests/intercept/$p
	for way in native passthrough hare; do
		case $way in
		native) cmd=("$bin") ;;
		passthrough) cmd=("$build/hare-passthrough" run core=0 "$bin" "$bin") ;;
		hare) cmd=("$build/hare" run --cores 2 -- "$bin") ;;
		esac
		timeout -k 5 120 "${cmd[@]}" >"$out" 2>&1 </dev/null
		status=$?
		all_ok "$out"
		good=$?
		ok $((status || good)) "$p $way (exit status $status)"
		[ "$good" = 0 ] || grep -v '^ok' "$out" | sed 's/^/# /' | head -20
	done
done
done_testing
