# SPDX-License-Identifier: MIT
# kill -9 of what Hare itself consists of: `hare run`, an agent, a proxy, `hare trace`.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/processes.sh"

# What of the host Hare could leave behind.
traces()
{
	ls -A /dev/shm | grep -i hare
	cut -d " " -f 5 /proc/self/mountinfo | grep -i hare
}
# An instance of three cores whose programs are on all of them; $pids are its processes.
start() # PROGRAM
{
	rm -f "$TAP_TMP/up"
	# shellcheck disable=SC2016
	"$HARE" run --cores 3 -- bash -c 'sleep 40 & sleep 40 & sleep 0.2; echo up >"$0"; '"$1" \
		"$TAP_TMP/up" >"$TAP_TMP/out" 2>"$TAP_TMP/err" </dev/null &
	run=$!
	for _ in $(seq 200); do
		[ -s "$TAP_TMP/up" ] && break
		sleep 0.05
	done
	pids=$(below $run)
}

before=$(traces)
start 'sleep 40'
kill -9 $run
wait $run 2>/dev/null
is $? 137 "hare run is killed"
# shellcheck disable=SC2086
all_gone $pids
ok $? "hare run killed: all that it started ends"
is "$(traces)" "$before" "hare run killed: nothing is left in /dev/shm, nothing mounted"

start 'sleep 40'
agent=
for pid in $pids; do
	case $(cat "/proc/$pid/comm" 2>/dev/null) in
	hared*) agent=$pid ;;
	esac
done
ok "$([ -n "$agent" ]; echo $?)" "an agent is found"
kill -9 "$agent"
kill $run
wait $run
is $? 143 "an agent killed: the instance ends in order"
# shellcheck disable=SC2086
all_gone $pids
ok $? "an agent killed: all ends"
is "$(traces)" "$before" "an agent killed: nothing is left"

# The proxy of a program on another core: it is what its parent knows and kills.
# shellcheck disable=SC2016
got=$(HARE_OPTS="--cores 2" hare_run -- bash -c '
	sleep 40 >/hare/f & p=$!
	sleep 0.5
	kill -9 $p; wait $p 2>/dev/null; echo "$?"
	rm -f /hare/f
	for i in $(seq 50); do
		"$HARE" ps | grep -q "sleep 40$" || break
		sleep 0.1
	done
	"$HARE" ps | grep -c "sleep 40$"
	"$HARE" fsck' 2>/dev/null)
is "$got" "137
0
2 cores, 1 inodes, 0 names: 0 violations" "a proxy killed: its program ends, what it had open is closed"

# shellcheck disable=SC2016
got=$(HARE_OPTS="--cores 2" hare_run -- bash -c '
	"$HARE" trace >/dev/null & t=$!
	sleep 0.5
	kill -9 $t; wait $t 2>/dev/null; echo "$?"
	echo x >/hare/x; cat /hare/x; rm /hare/x
	"$HARE" fsck' 2>/dev/null)
is "$got" "137
x
2 cores, 1 inodes, 0 names: 0 violations" "hare trace killed: the instance goes on"
done_testing
