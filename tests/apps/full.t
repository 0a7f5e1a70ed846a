# SPDX-License-Identifier: MIT
# Everything full: blocks, inodes, names, descriptors, locks. What is said then, what goes on
# working, and that all of it can be used again (fill.c).
. "$(dirname "$0")/../lib/tap.sh"
need_all "${CC:-cc}" gcc

here=$(cd "$(dirname "$0")" && pwd)
${CC:-cc} -O1 -std=gnu17 -o "$TAP_TMP/fill" "$here/fill.c"
ok $? "fill.c compiles"

points() # NAME: TAP lines on stdin, as points here
{
	local what

	while read -r what; do
		case $what in
		"ok "*) tap_point 0 "$1: ${what#ok * - }" ;;
		"not ok "*) tap_point 1 "$1: ${what#not ok * - }" ;;
		[0-9]*) ;;
		*) echo "# $what" ;;
		esac
	done
}

# The directory that is filled is made on core 0; who fills it runs on another one, if there is one.
full() # NAME OPTIONS KINDS...
{
	local name=$1 opts=$2
	shift 2

	# shellcheck disable=SC2016
	HARE_OPTS=$opts hare_run -- sh -c 'dir=$HARE_AT/d; $0 $dir && shift && "$@" && "$HARE" fsck' \
		"${MKDIR:-mkdir}" "$HARE_AT/d" "$TAP_TMP/fill" "$HARE_AT/d" "$@" >"$TAP_TMP/out" 2>&1
	local rc=$?
	points "$name" <"$TAP_TMP/out"
	is "$rc $(sed -n 's/.*names: //p' "$TAP_TMP/out")" "0 0 violations" "$name: ends, and fsck"
}

full "1 core" "--cores 1 --memory 32M" all
full "2 cores" "--cores 2 --memory 80M" all
full "4 cores, 2 islands" "--cores 4 --islands 2 --memory 160M" all
full "2 cores, messages" "--cores 2 --memory 80M --without local-calls" big small empty long links xattrs
MKDIR="$HARE mkdir --distribute" \
	full "emulated, distributed" "--cores 4 --memory 160M --memory-model emulated" \
	big medium empty dirs long symlinks

# Programs start, and shells work, with no block left.
hare_run --cores 2 --memory 48M -- sh -c '
	cd "$0" && cat /dev/zero >big 2>/dev/null
	df . | tail -1 | grep -q " 0 *100%" || df .
	seq 1 1000 | sort -n | tail -1
	bash -c "exec echo from a program" | cat
	echo x 2>/dev/null >small && echo written
	rm big && echo x >small && cat small' "$HARE_AT" >"$TAP_TMP/out" 2>&1
is "$(cat "$TAP_TMP/out")" "1000
from a program
x" "pipes and programs with no block left"

done_testing
