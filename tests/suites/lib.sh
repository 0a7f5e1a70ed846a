# SPDX-License-Identifier: MIT
# lib.sh: other people's test suites, run on tmpfs and in Hare, unmodified; what passes on tmpfs
# must pass in Hare. Sourced by tests/suites/*.sh, which `make check-suites` runs (hours; not in CI).
#
#	. "$(dirname "$0")/lib.sh"
#	suite_need fio fio || done_testing
#	suite_native OUT SECONDS CMD...  CMD in a fresh directory of tmpfs, output to file OUT
#	suite_hare OUT SECONDS CMD...    the same in a fresh Hare with $HARE_OPTS, then hare fsck
#	suite_as USER                    all of the following as USER (for root alone)
#	suite_steps NAME SECONDS CMD...  both, the second for each of $SUITE_CORES; a point per step
#	suite_cases LABEL NATIVE HARE    a point: all lines "CASE<TAB>RESULT" of two files agree
#
# CMD finds a fresh directory as its working directory, HOME and TMPDIR. A step is a line
# "step NAME<TAB>RESULT" that CMD prints (suite_step in steps.sh): RESULT must be what it is on tmpfs.
# Where Hare differs by design (CAVEATS.md), the file lists the cases in SUITE_EXCEPT, a line
# "PATTERN<TAB>REASON" each; they are shown as skipped.
#
# From the environment: SUITE_CORES ("2 4"), SUITE_OPTS (more options for hare run), SUITE_LOGS
# (a directory that keeps all output).

SUITE_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$SUITE_DIR/../lib/tap.sh"
SUITE_CORES=${SUITE_CORES:-2 4}
SUITE_OPTS=${SUITE_OPTS:-}
SUITE_EXCEPT=
SUITE_LOGS=${SUITE_LOGS:-$TAP_TMP}
mkdir -p "$SUITE_LOGS"
export SUITE_DIR

suite_need() # PROGRAM-OR-FILE PACKAGE: else a skipped point
{
	case $1 in
	/*) [ -e "$1" ] && return 0 ;;
	*) command -v "$1" >/dev/null 2>&1 && return 0 ;;
	esac
	skip "$2" "$1"
	return 1
}

# Sets SUITE_AS, what goes before a command so that $SUITE_USER runs it.
SUITE_AS=()
suite_as() # USER
{
	SUITE_AS=(setpriv --reuid "$1" --regid "$(id -g "$1")" --init-groups)
	# A clone in a home that is closed to that user: it runs a copy.
	"${SUITE_AS[@]}" test -x "$HARE" && "${SUITE_AS[@]}" test -r "$SUITE_DIR/lib.sh" && return
	mkdir -p "$TAP_TMP/build" && cp "$HARE" "${HARE%/*}/hare-ld" "$TAP_TMP/build/"
	mkdir -p "$TAP_TMP/tests/suites" && cp "$SUITE_DIR"/* "$TAP_TMP/tests/suites/"
	HARE=$TAP_TMP/build/hare SUITE_DIR=$TAP_TMP/tests/suites
}

suite_native() # OUT SECONDS CMD...
{
	local out=$1 secs=$2 place rc

	shift 2
	place=$(mktemp -d "$TAP_SHM/s.XXXXXX")
	chmod 1777 "$place"
	(cd "$place" && limited "$secs" "${SUITE_AS[@]}" bash "$SUITE_DIR/inside.sh" "$@") \
		>"$out" 2>&1 </dev/null
	rc=$?
	chmod -R u+rwx "$place" 2>/dev/null
	rm -rf "$place"
	return "$rc"
}

suite_hare() # OUT SECONDS CMD...
{
	local out=$1 secs=$2 at=()

	shift 2
	[ "$HARE_AT" = /hare ] || at=(--at "$HARE_AT")
	# shellcheck disable=SC2086
	limited "$secs" "${SUITE_AS[@]}" "$HARE" run $HARE_OPTS $SUITE_OPTS "${at[@]}" --chdir "$HARE_AT" \
		-- bash "$SUITE_DIR/inside.sh" "$@" >"$out" 2>&1 </dev/null
}

# Is CASE one that SUITE_EXCEPT lists? Prints its reason.
suite_excepted() # CASE
{
	local pattern why

	while IFS=$'\t' read -r pattern why; do
		[ -n "$pattern" ] || continue
		# shellcheck disable=SC2254
		case $1 in
		$pattern) echo "$why"; return 0 ;;
		esac
	done <<<"$SUITE_EXCEPT"
	return 1
}

# What differs, a line "CASE<TAB>ON TMPFS<TAB>IN HARE" each. Only what passes on tmpfs has to
# pass in Hare, but every result is compared.
suite_differ() # NATIVE HARE
{
	awk -F'\t' '
	FNR == 1 { nfile++ }
	NF < 2 { next }
	nfile == 1 { if (!($1 in want)) order[++n] = $1; want[$1] = $2; next }
	{ got[$1] = $2; if (!($1 in want) && !($1 in extra)) { extra[$1]; order[++n] = $1 } }
	END {
		for (i = 1; i <= n; i++) {
			c = order[i]
			w = c in want ? want[c] : "-"
			g = c in got ? got[c] : "-"
			if (w != g) print c "\t" w "\t" g
		}
	}' "$1" "$2"
}

suite_cases() # LABEL NATIVE HARE
{
	local label=$1 name on in why bad=() good

	good=$(cut -f2 "$2" | grep -c '^ok')
	while IFS=$'\t' read -r name on in; do
		if why=$(suite_excepted "$name"); then
			diag "$name: $in ($why)"
		else
			bad+=("$name: $on on tmpfs, $in in Hare")
		fi
	done < <(suite_differ "$2" "$3")
	[ "${#bad[@]}" = 0 ] && [ -s "$2" ]
	tap_point "$?" "$label: $good cases pass as on tmpfs" && return 0
	printf '# %s\n' "${bad[@]}"
	return 1
}

suite_points() # LABEL NATIVE HARE: a point for each step
{
	local label=$1 name on in why

	while IFS=$'\t' read -r name on; do
		in=$(awk -F'\t' -v n="$name" '$1 == n { print $2; exit }' "$3")
		if [ "$on" != "$in" ] && why=$(suite_excepted "$name"); then
			TAP_N=$((TAP_N + 1))
			echo "ok $TAP_N - $label: $name # SKIP $why"
		else
			is "${in:-not reached}" "$on" "$label: $name"
		fi
	done <"$2"
}

suite_only_steps() # OUT: its steps
{
	sed -n 's/^step //p' "$1"
}

suite_steps() # NAME SECONDS CMD...
{
	local name=$1 secs=$2 cores log=$SUITE_LOGS/$1 rc

	shift 2
	suite_native "$log.tmpfs" "$secs" "$@"
	ok $? "$name: on tmpfs" || tail -n 20 "$log.tmpfs" | sed 's/^/# /'
	suite_only_steps "$log.tmpfs" >"$TAP_TMP/on"
	for cores in $SUITE_CORES; do
		HARE_OPTS="--cores $cores" suite_hare "$log.hare$cores" "$secs" "$@"
		rc=$?
		suite_only_steps "$log.hare$cores" >"$TAP_TMP/in"
		suite_points "$name, $cores cores" "$TAP_TMP/on" "$TAP_TMP/in"
		ok "$rc" "$name, $cores cores: ran to its end" ||
			grep -v '^step ' "$log.hare$cores" | tail -n 30 | sed 's/^/# /'
	done
}
