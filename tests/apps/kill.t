# SPDX-License-Identifier: MIT
# kill -9 at moments that a seed decides: whoever is not killed goes on, and the file
# system is whole. HARE_KILL_SEEDS gives other seeds than the usual ones,
# HARE_KILL_ROUNDS more kills.
. "$(dirname "$0")/../lib/tap.sh"
need_all "${CC:-cc}" gcc

here=$(cd "$(dirname "$0")" && pwd)
${CC:-cc} -O1 -std=gnu17 -o "$TAP_TMP/churn" "$here/churn.c"
ok $? "churn.c compiles"
${CC:-cc} -O1 -std=gnu17 -o "$TAP_TMP/killop" "$here/killop.c"
ok $? "killop.c compiles"

# One instance; a point for each line that kill.sh says, and one for its end.
round() # NAME SEED OPTIONS
{
	local out=$TAP_TMP/out what rc

	HARE_OPTS=$3 HARE_CASE_LIMIT=90 hare_run --chdir "$HARE_AT" -- bash "$here/kill.sh" \
		"$TAP_TMP/churn" "$2" "${HARE_KILL_ROUNDS:-25}" >"$out" 2>&1 </dev/null
	rc=$?
	while read -r what; do
		case $what in
		"ok "*) tap_point 0 "$1: ${what#ok }" ;;
		"not ok "*) tap_point 1 "$1: ${what#not ok }" ;;
		*) echo "# $what" ;;
		esac
	done <"$out"
	ok $rc "$1: seed $2: ends with status 0"
}

# Workers that do one operation only, killed in it: afterwards the file system is as before.
operation() # NAME OPERATION OPTIONS
{
	local out=$TAP_TMP/out rc

	HARE_OPTS=$3 HARE_CASE_LIMIT=60 hare_run --chdir "$HARE_AT" -- bash -c '
		space() { stat -f -c "%f free" .; "$HARE" fsck 2>&1; }
		before=$(space)
		"$0" "$1" 40 "$2" || exit 1
		ls -A
		for i in $(seq 30); do
			after=$(space)
			[ "$after" = "$before" ] && exit 0
			sleep 0.1
		done
		printf "before: %s\nafter: %s\n" "$before" "$after"
		exit 1' "$TAP_TMP/killop" "$2" 7 >"$out" 2>&1 </dev/null
	rc=$?
	ok $rc "$1: killed in $2: all is as before" || head -n 12 "$out" | sed 's/^/# /'
}

for op in create write link rename mkdir rendir symlink exec fork; do
	operation "4 cores" $op "--cores 4"
done
for op in write rename rendir fork; do
	operation "1 core" $op "--cores 1"
	operation "emulated" $op "--cores 2 --memory-model emulated"
done

for seed in ${HARE_KILL_SEEDS:-1 2}; do
	round "4 cores" "$seed" "--cores 4"
done
round "1 core" 3 "--cores 1"
round "1 island" 4 "--cores 4 --islands 1"
round "emulated" 5 "--cores 2 --memory-model emulated"
. "$here/../lib/kernels.sh"
if have_kernels; then
	round "separate kernels" 6 "--cores 3 --kernels separate"
fi
done_testing
