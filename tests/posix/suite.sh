# SPDX-License-Identifier: MIT
# suite.sh: compile all programs of this directory and run them, first on tmpfs, then in
# Hare with the options in $POSIX_OPTS; the second run must have all points of the
# first, with the same results. Sourced by the *.t files, which set POSIX_OPTS, and
# POSIX_USER to run as another user. Programs see $T_NATIVE on tmpfs. tests/run gives
# $HARE_TEST_CACHE, a place where the files share the compiled programs and the results on
# tmpfs.

POSIX_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$POSIX_DIR/../lib/tap.sh"
need_all flock util-linux
need_all "${CC:-cc}" gcc

POSIX_CACHE=${HARE_TEST_CACHE:-$TAP_TMP}
POSIX_USER=${POSIX_USER:-$(id -u)}
POSIX_LIMIT=${POSIX_LIMIT:-100}
POSIX_LABEL= # behind each description, where one file runs several configurations

posix_programs()
{
	local file

	if [ -n "${POSIX_ONLY:-}" ]; then
		printf '%s\n' $POSIX_ONLY
		return
	fi
	for file in "$POSIX_DIR"/*.c; do
		basename "$file" .c
	done
}

posix_compile() # PROGRAM
{
	local out=$POSIX_CACHE/$1

	[ -x "$out" ] && return 0
	"${CC:-cc}" -O1 -std=gnu17 -D_GNU_SOURCE -pthread -Wall -Wextra \
		-Wno-missing-field-initializers -Wno-nonnull -Wno-stringop-overflow \
		-Wno-stringop-overread -o "$out.new" "$POSIX_DIR/$1.c" && mv "$out.new" "$out"
}

# A clone in a home that is closed to others: they run a copy.
posix_reachable()
{
	local bin=$POSIX_CACHE/bin

	posix_as test -x "$HARE" && return
	[ -d "$bin" ] || { mkdir "$bin.$$" && cp "$HARE" "${HARE%/*}/hare-ld" "$bin.$$/" &&
		mv "$bin.$$" "$bin"; }
	HARE=$bin/hare
}

posix_as() # CMD...: as $POSIX_USER
{
	if [ "$POSIX_USER" = "$(id -u)" ]; then
		"$@"
	else
		setpriv --reuid "$POSIX_USER" --regid "$POSIX_USER" --clear-groups "$@"
	fi
}

# One program on tmpfs; its output to $POSIX_CACHE/PROGRAM.USER.
posix_native() # PROGRAM
{
	local out=$POSIX_CACHE/$1.$POSIX_USER place

	[ -f "$out" ] && return 0
	place=$(mktemp -d "$TAP_SHM/p.XXXXXX")
	chmod 1777 "$place"
	(cd "$place" && T_NATIVE=1 posix_as "$HARE_TEST_LIMIT" "$POSIX_LIMIT" "$POSIX_CACHE/$1" .) \
		>"$out.new" 2>&1 </dev/null
	echo "# exit status $?" >>"$out.new"
	mv "$out.new" "$out"
	chmod -R u+rwx "$place" 2>/dev/null
	rm -rf "$place"
}

# Both, once for all files that run at the same time.
posix_prepare() # PROGRAM
{
	(
		flock 9
		posix_compile "$1" && posix_native "$1"
	) 9>"$POSIX_CACHE/$1.lock"
}

# All points of tmpfs's output, judged by Hare's: "0 what" or "1 what", and "# ..." lines.
# A point that occurs several times is told apart by its place among its likes.
posix_judge() # NATIVE HARE
{
	awk '
	function point(line) {
		sub(/^(not )?ok [0-9]+ - /, "", line)
		seen[nfile, line]++
		return seen[nfile, line] > 1 ? line " (" seen[nfile, line] ")" : line
	}
	FNR == 1 { nfile++ }
	/^(not )?ok / {
		what = point($0)
		good = /^ok/
		if (nfile == 1) {
			order[++n] = what
			want[what] = good
		} else {
			got[what] = good ? "ok" : "not ok"
			last = what
			if (!(what in want))
				extra[++nextra] = what
		}
		next
	}
	nfile == 2 && /^# (got|it|its|line|status)/ && last != "" {
		why[last] = why[last] "\n" $0
	}
	END {
		for (i = 1; i <= n; i++) {
			what = order[i]
			if (!want[what])
				print "1 " what "\n# it fails on tmpfs: the test is wrong"
			else if (got[what] == "ok")
				print "0 " what
			else
				print "1 " what (what in got ? why[what] : "\n# not reached")
		}
		for (i = 1; i <= nextra; i++)
			print "1 " extra[i] "\n# a point that tmpfs has not" why[extra[i]]
	}' "$1" "$2"
}

posix_report() # PROGRAM NATIVE HARE
{
	local mark what

	while read -r mark what; do
		if [ "$mark" = "#" ]; then
			echo "# $what"
		else
			tap_point "$mark" "$1: $what$POSIX_LABEL"
		fi
	done < <(posix_judge "$2" "$3")
}

posix_in_hare() # PROGRAM
{
	local out=$TAP_TMP/$1.hare rc

	HARE_CASE_LIMIT=$POSIX_LIMIT HARE_OPTS=$POSIX_OPTS posix_run "$POSIX_CACHE/$1" . \
		>"$out" 2>&1 </dev/null
	rc=$?
	posix_report "$1" "$POSIX_CACHE/$1.$POSIX_USER" "$out"
	if ! grep -q '^1\.\.' "$out" || [ "$rc" -gt 1 ]; then
		tap_point 1 "$1: ran to its end$POSIX_LABEL"
		diag "exit status $rc"
		grep -v '^ok' "$out" | tail -n 30 | sed 's/^/#   /'
	else
		tap_point 0 "$1: ran to its end$POSIX_LABEL"
	fi
	rm -f "$out"
}

posix_run() # CMD...
{
	local at=()

	[ "$HARE_AT" = /hare ] || at=(--at "$HARE_AT")
	# shellcheck disable=SC2086
	posix_as "$HARE_TEST_LIMIT" "$POSIX_LIMIT" "$HARE" run $HARE_OPTS "${at[@]}" \
		--chdir "$HARE_AT" -- "$@"
}

posix_areas()
{
	local prog

	posix_reachable
	for prog in $(posix_programs); do
		if ! posix_prepare "$prog"; then
			tap_point 1 "$prog: compiles"
			continue
		fi
		if [ "$POSIX_OPTS" = native ]; then
			posix_report "$prog" "$POSIX_CACHE/$prog.$POSIX_USER" \
				"$POSIX_CACHE/$prog.$POSIX_USER"
		else
			posix_in_hare "$prog"
		fi
	done
}

posix_suite()
{
	posix_areas
	done_testing
}
