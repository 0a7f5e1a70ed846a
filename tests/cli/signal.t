# SPDX-License-Identifier: MIT
# `hare run` ends at a signal whatever it is doing, and leaves nothing behind.
. "$(dirname "$0")/../lib/tap.sh"

src=$TAP_TMP/src
mkdir -p "$src"
for d in 1 2 3 4 5 6 7 8; do
	mkdir "$src/$d"
	(cd "$src/$d" && seq 1 400000 | split -a 4 -l 1000 -)
done

# Everything that runs below a process, itself included.
below() # PID
{
	local child

	echo "$1"
	for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
		below "$child"
	done
}
# True when none of these runs any more.
all_gone() # PID...
{
	local pid i

	for pid in "$@"; do
		for i in 1 2 3 4 5 6 7 8 9 10; do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.2
		done
		kill -0 "$pid" 2>/dev/null && return 1
	done
	return 0
}
# Starts hare with these arguments in the background, waits until `ready` says it is so far, and
# sends the signal. Then: $status, and $left, what it left behind.
interrupted() # SIGNAL READY ARGS...
{
	local sig=$1 ready=$2 i pids
	shift 2

	rm -f "$TAP_TMP/started" "$TAP_TMP/pid"
	# shellcheck disable=SC2016,SC2086
	limited 50 sh -c 'echo $$ >"$0"; exec "$@"' "$TAP_TMP/pid" "$HARE" run $HARE_OPTS "$@" \
		2>"$TAP_TMP/err" &
	limiter=$!
	for ((i = 0; i < 200; i++)); do
		pid=$(cat "$TAP_TMP/pid" 2>/dev/null)
		[ -n "$pid" ] && $ready && break
		sleep 0.05
	done
	# shellcheck disable=SC2046
	pids=$(below "$pid")
	[ "${stop:-0}" = 0 ] || kill -STOP $(echo "$pids" | tail -n +2)
	kill "-$sig" "$pid"
	wait $limiter
	status=$?
	left=none
	# shellcheck disable=SC2086
	all_gone $pids || left="processes"
}
booted() { [ "$(pgrep -cP "$pid")" -ge 2 ]; }
importing() { booted && sleep 0.1; }
program() { [ -e "$TAP_TMP/started" ]; }
exporting() { [ -n "$(ls "$TAP_TMP/back" 2>/dev/null)" ]; }

# So much that it takes longer than the test's own look at what runs.
many=
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
	many="$many --import $src:/$i"
done
# shellcheck disable=SC2086
for sig in TERM INT; do
	interrupted $sig booted --import "$src" -- true
	is "$status $left" "125 none" "SIG$sig at the beginning of an import"
	interrupted $sig importing $many -- true
	is "$status $left" "125 none" "SIG$sig in an import"
	rm -rf "$TAP_TMP/back"
	interrupted $sig exporting --import "$src" --export "/:$TAP_TMP/back" -- true
	is "$status $left" "125 none" "SIG$sig in an export"
	interrupted $sig program -- sh -c ": >$TAP_TMP/started; exec sleep 30"
	is "$left" none "SIG$sig to a program"
done
# The agents do not answer.
stop=1
# shellcheck disable=SC2086
interrupted TERM importing $many -- true
is "$status $left" "125 none" "SIGTERM when the import hangs"
stop=0

done_testing
