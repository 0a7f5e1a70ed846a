#!/bin/bash
# SPDX-License-Identifier: MIT
# The main job, on a part of this project (the whole is `make demo`): make -j4, spread over the
# cores, with the machine's own make, gcc, as and coreutils, gives object code that is byte for
# byte what the host builds on tmpfs, with 1, 2 and 4 cores, under the coherent and the emulated
# memory model (and with evictions), each core an island of its own and all in one.
. "$(dirname "$0")/../lib/tap.sh"

objects=""
for src in "$TAP_TOP"/src/{base,mem,msg}/*.c; do
	o=${src#"$TAP_TOP"/src/}
	objects="$objects build/host/${o%.c}.o"
done

tree=$TAP_SHM/tree
mkdir -p "$tree"
cp -a "$TAP_TOP"/{Makefile,CHANGELOG.md,src} "$tree/"
native=$TAP_SHM/native
cp -a "$tree" "$native"
# shellcheck disable=SC2086
(cd "$native" && make -s -j4 $objects) >"$TAP_TMP/native.log" 2>&1
ok $? "built natively" || diag "$(tail -5 "$TAP_TMP/native.log")"

build() # OPTION...
{
	local out=$TAP_SHM/out status

	rm -rf "$out"
	# shellcheck disable=SC2086
	"$HARE_TEST_LIMIT" 120 "$HARE" run "$@" --import "$tree" --export "build:$out" -- \
		make -s -j4 $objects >"$TAP_TMP/hare.log" 2>&1
	status=$?
	ok $status "built: $*" || diag "$(tail -5 "$TAP_TMP/hare.log")"
	diff -r "$native/build" "$out" >"$TAP_TMP/diff" 2>&1
	ok $? "the same object code: $*" || diag "$(head -5 "$TAP_TMP/diff")"
}

build --cores 1
build --cores 2
build --cores 4
build --cores 2 --islands 1
build --cores 4 --islands 1
build --cores 4 --islands 2
build --cores 1 --memory-model emulated
build --cores 2 --memory-model emulated
build --cores 4 --memory-model emulated
build --cores 4 --memory-model emulated --chaos 7
build --cores 4 --islands 1 --memory-model emulated
build --cores 4 --memory-model flush
done_testing
