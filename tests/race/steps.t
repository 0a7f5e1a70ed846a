# SPDX-License-Identifier: MIT
# Programs that are taken through a system call instruction by instruction, by a tracer in Hare: a signal
# comes before each of them, so also between the last look and the sleep (src/intercept/entry.S), and while
# the call has the lock that the delivery needs; and the tracer needs a core lock that the program may hold
# there (src/mem/lock.c).
. "$(dirname "$0")/../lib/tap.sh"

${CC:-cc} -O1 -std=gnu17 -o "$TAP_TMP/steps" "$TAP_TOP/tests/race/inside/steps.c" || exit 1

steps() # HOW OPTIONS...
{
	local out

	out=$(HARE_OPTS="--cores 2 ${*:2}" HARE_CASE_LIMIT=140 hare_run -- "$TAP_TMP/steps" "$1" \
		2>"$TAP_TMP/err" </dev/null)
	is "$out" good "$* ($(cat "$TAP_TMP/err"))"
}

for how in read ppoll sigsuspend sigaction lock; do
	steps $how
done
steps lock --memory-model emulated
done_testing
