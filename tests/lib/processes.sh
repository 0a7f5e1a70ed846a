# SPDX-License-Identifier: MIT
# What runs below a process, and whether it has ended. Sourced by *.t after tap.sh.

# Everything that runs below a process, itself included.
below() # PID
{
	local child

	echo "$1"
	for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do
		below "$child"
	done
}

# Waits, at most 10 s, until none of these runs any more; a zombie does not run.
all_gone() # PID...
{
	local pid i state

	for pid in "$@"; do
		for i in $(seq 100); do
			state=$(sed 's/.*) //; s/ .*//' "/proc/$pid/stat" 2>/dev/null)
			[ -z "$state" ] || [ "$state" = Z ] && break
			sleep 0.1
		done
		[ "$i" = 100 ] && return 1
	done
	return 0
}
