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

# Every core's agent and programs are pinned to one CPU; cores share them evenly.
allowed() # PID: the CPUs it may use, one a line
{
	sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$1/status" | tr , '\n' |
		while IFS=- read -r from to; do seq "$from" "${to:-$from}"; done
}
mapfile -t cpus < <(allowed self)
want=
for core in 0 1 2 3; do
	want+="${cpus[core % ${#cpus[@]}]} "
done
mkfifo "$TAP_TMP/go"
hare_run --cores 4 -- bash -c '
	for mask in 1 2 4 8; do taskset $mask sed -n "s/^Cpus_allowed_list:\t//p" /proc/self/status; done
	read -r _ <"$0"' "$TAP_TMP/go" >"$TAP_TMP/out" &
run=$!
until [ "$(wc -l <"$TAP_TMP/out")" = 4 ] || ! kill -0 $run 2>/dev/null; do sleep 0.02; done
agents=
for pid in $(pgrep -x hared); do # of this instance alone
	up=$pid
	until [ "${up:-0}" = 0 ] || [ "$up" = $$ ]; do up=$(sed -n "s/^PPid:\t//p" "/proc/$up/status"); done
	[ "$up" = $$ ] && agents+="$(allowed "$pid" | xargs) "
done
echo >"$TAP_TMP/go"
wait $run
is "$(xargs <"$TAP_TMP/out") " "$want" "programs are pinned to their core's CPU"
is "$(tr ' ' '\n' <<<"$agents" | sort -n | xargs)" "$(tr ' ' '\n' <<<"$want" | sort -n | xargs)" \
	"and so are the cores' servers"
done_testing
