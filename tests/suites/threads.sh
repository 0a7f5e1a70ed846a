# SPDX-License-Identifier: MIT
# 64 threads in one process: file operations, signals, and exec in another thread, verified; a
# minute on tmpfs and in each configuration of Hare. HARE_THREADS_SECONDS gives other times.
. "$(dirname "$0")/../lib/tap.sh"
need_all "${CC:-cc}" gcc

secs=${HARE_THREADS_SECONDS:-60}
here=$TAP_TOP/tests/suites
${CC:-cc} -O1 -std=gnu17 -pthread -o "$TAP_TMP/threads" "$here/threads.c"
ok $? "threads.c compiles"

mkdir "$TAP_SHM/place"
limited $((secs + 60)) "$TAP_TMP/threads" "$TAP_SHM/place" "$secs" >"$TAP_TMP/out" 2>&1
ok $? "tmpfs" || diag "$(head -n 20 "$TAP_TMP/out")"

in_hare() # OPTIONS
{
	HARE_OPTS=$1 HARE_CASE_LIMIT=$((secs + 60)) hare_run --chdir "$HARE_AT" -- bash -c '
		"$0" . "$1" && [ -z "$(ls -A)" ] && "$HARE" fsck >/dev/null' \
		"$TAP_TMP/threads" "$secs" >"$TAP_TMP/out" 2>&1 </dev/null
	ok $? "$1" || diag "$(head -n 20 "$TAP_TMP/out")"
}

[ -n "${configs+set}" ] || configs=("--cores 1" "--cores 2" "--cores 4" "--cores 4 --islands 1"
	"--cores 2 --memory-model emulated" "--cores 2 --memory-model emulated --chaos 7")
for opts in "${configs[@]}"; do
	in_hare "$opts"
done
done_testing
