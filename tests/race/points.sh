# SPDX-License-Identifier: MIT
# Race points of programs in an instance (hook.c), and waiting for what has to have happened. Sourced
# by *.t after tap.sh, and by the scripts that they run inside.
#
#	arm POINT [COMM]   the next program (of that name) that comes by stops there
#	at POINT           waits until one does; true: it did, and $PID is its host pid
#	on POINT...        it goes on
#	kill_outside PID   the host kills a process; kill_outside_by SIGNAL PID: or sends another signal
#	until_ok CMD...    waits until a command succeeds
#
# Nothing is measured: a wait ends after a minute, as one that failed.

until_ok() # COMMAND...
{
	local i

	for i in $(seq 1200); do
		"$@" 2>/dev/null && return 0
		sleep 0.05
	done
	return 1
}

arm() # POINT [COMM]
{
	printf '%s' "${2-}" >"$HARE_RACE/.$1"
	mv "$HARE_RACE/.$1" "$HARE_RACE/$1"
}

at() # POINT
{
	until_ok test -s "$HARE_RACE/$1.here" && PID=$(cat "$HARE_RACE/$1.here")
}

on() # POINT...
{
	local point

	for point; do
		rm -f "$HARE_RACE/$point.here"
	done
}

# Nothing is armed, nobody is held.
disarm()
{
	rm -f "${HARE_RACE:?}"/*
}

state_is() # PID LETTER
{
	[ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat")" = "$2" ]
}

gone() # PID
{
	[ ! -e "/proc/$1" ] || state_is "$1" Z
}

# In scripts, at their end: nothing is left in Hare. Programs on other cores end, and close what they
# have, after their proxies, so this waits; what stays is a leak. (No pipe here: it has an inode.)
no_leak()
{
	local left

	until_ok fsck_is "1 inodes, 0 names: 0 violations"
	read -r left <"$HARE_RACE/.fsck"
	same "${left#* cores, }" "1 inodes, 0 names: 0 violations" "nothing is left"
}

fsck_is()
{
	"$HARE" fsck >"$HARE_RACE/.fsck"
	grep -q "$1" "$HARE_RACE/.fsck"
}

# In scripts: the host kills one process, whatever that is to Hare; or sends it another signal.
kill_outside() # PID
{
	kill_outside_by KILL "$1"
}
kill_outside_by() # SIGNAL PID
{
	echo "-$1 $2" >"$HARE_RACE/.pid"
	mv "$HARE_RACE/.pid" "$HARE_RACE/.kill"
	until_ok test ! -e "$HARE_RACE/.kill"
}

# What does so, outside.
killer()
{
	while sleep 0.02; do
		[ -e "$HARE_RACE/.kill" ] || continue
		# shellcheck disable=SC2046
		kill $(cat "$HARE_RACE/.kill")
		rm "$HARE_RACE/.kill"
	done 2>/dev/null
}

# One script in an instance whose programs have the points; a point of the test for each line "ok what"
# or "not ok what".
inside() # NAME OPTIONS... < SCRIPT
{
	local name=$1 what rc race=${HARE%/*}/race/hare killer

	shift
	export HARE_RACE=$TAP_TMP/race POINTS=$TAP_TOP/tests/race/points.sh
	mkdir -p "$HARE_RACE"
	disarm
	cat >"$TAP_TMP/script"
	killer &
	killer=$!
	HARE_OPTS="--cores 3 --placement local $*" HARE=$race hare_run --chdir "$HARE_AT" -- \
		env HARE="$race" bash "$TAP_TMP/script" "$TAP_TMP" \
		>"$TAP_TMP/out" 2>"$TAP_TMP/err"
	rc=$?
	kill $killer
	wait $killer 2>/dev/null
	told "$name" "$rc"
}

# In scripts: a line for the test outside.
say() # STATUS WHAT
{
	if [ "$1" = 0 ]; then echo "ok $2"; else echo "not ok $2"; fi
}

same() # GOT WANT WHAT
{
	if [ "$1" = "$2" ]; then echo "ok $3"; else echo "not ok $3: '$1', not '$2'"; fi
}
