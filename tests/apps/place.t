# SPDX-License-Identifier: MIT
# Which cores programs run on: placement, split, affinity.
. "$(dirname "$0")/../lib/tap.sh"
need_all taskset util-linux

# The cores of the programs called NAME, each on a line, in order.
cores_of='cores_of() { "$HARE" ps | awk -v n="$1" '\''$6 == n { print $3 }'\'' | sort -n | xargs; }'
export HARE

out=$(hare_run --cores 4 --placement load -- bash -c "$cores_of"'
	taskset 2 sleep 60 & taskset 2 sleep 60 &
	until [ "$(cores_of sleep)" = "1 1" ]; do sleep 0.02; done
	for i in 1 2 3; do (exec -a other sleep 61) & sleep 0.2; done
	until [ "$(cores_of other | wc -w)" = 3 ]; do sleep 0.02; done
	cores_of other
	kill $(jobs -p); wait 2>/dev/null')
case " $out " in *" 1 "*) false ;; *) [ -n "$out" ] ;; esac
ok $? "by load: a core with two programs gets none while others have fewer" || diag "got '$out'"

for model in coherent emulated; do
	out=$(hare_run --cores 4 --split 2 --memory-model $model -- bash -c "$cores_of"'
		for i in 1 2 3 4; do sleep 60 & done
		until [ "$(cores_of sleep | wc -w)" = 4 ]; do sleep 0.02; done
		cores_of sleep; nproc
		taskset 1 true 2>/dev/null; echo $?
		kill $(jobs -p); wait 2>/dev/null')
	is "$(echo $out)" "2 2 3 3 2 1" "split: programs run on the cores that do not serve, $model"
done
out=$(hare_run --cores 4 --split 3 --islands 2 -- bash -c "cd $HARE_AT; mkdir a b c; touch a/x b/y c/z
	seq 1000 >a/f; cat a/f | wc -l; ls a b c | wc -l; rm -r a b c; ls | wc -l; $HARE fsck")
is "$(echo $out)" "1000 9 0 4 cores, 1 inodes, 0 names: 0 violations" "split: all goes to servers"
hare_run --cores 2 --split 2 -- true 2>"$TAP_TMP/err"
is "$? $(wc -l <"$TAP_TMP/err")" "2 1" "a split that leaves no core for programs"
hare_run --cores 2 --split 0 -- true 2>"$TAP_TMP/err"
is "$? $(wc -l <"$TAP_TMP/err")" "2 1" "a split of no core"
done_testing
