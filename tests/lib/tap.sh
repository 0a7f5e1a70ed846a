# SPDX-License-Identifier: MIT
# tap.sh: what every test file here sources first. Prints TAP on stdout.
#
#	. "$(dirname "$0")/../lib/tap.sh"
#	ok "$?" "it worked"             one point; the first argument is an exit status
#	is "$got" "$want" "the value"   one point; says what was there on failure
#	skip PACKAGE "what"             one point, skipped
#	need sqlite3 sqlite3 "what" || ...   true if the program is there, else a skipped point
#	limited SECONDS CMD...          the command under lib/limit: 124 when it hangs
#	hare_run [OPTION...] -- CMD...  CMD in a fresh Hare, under limit; options before "--"
#	done_testing                    the plan; the last line of a test file
#
# Settings, from the environment: HARE (the program), HARE_OPTS ("--cores 4"), HARE_AT
# (where Hare appears, /hare), HARE_CASE_LIMIT (seconds for one case, 60).

set -u
export LC_ALL=C TZ=UTC
unset CDPATH ENV BASH_ENV MAKEFLAGS MAKELEVEL

TAP_LIB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TAP_TOP=$(cd "$TAP_LIB/../.." && pwd)
HARE=${HARE:-$TAP_TOP/build/hare}
HARE_OPTS=${HARE_OPTS:---cores 4}
HARE_AT=${HARE_AT:-/hare}
HARE_CASE_LIMIT=${HARE_CASE_LIMIT:-60}
export HARE HARE_OPTS HARE_AT HARE_CASE_LIMIT

TAP_N=0
TAP_BAD=0
TAP_TMP=$(mktemp -d "${TMPDIR:-/tmp}/htest.XXXXXX") || exit 1
TAP_SHM=$(mktemp -d /dev/shm/htest.XXXXXX) || exit 1
chmod 755 "$TAP_TMP" "$TAP_SHM"
trap 'chmod -R u+rwx "$TAP_TMP" "$TAP_SHM" 2>/dev/null; rm -rf "$TAP_TMP" "$TAP_SHM"' EXIT
trap 'exit 1' HUP INT TERM

tap_point() # STATUS DESCRIPTION
{
	TAP_N=$((TAP_N + 1))
	if [ "$1" = 0 ]; then
		echo "ok $TAP_N - $2"
	else
		local todo

		todo=$(tap_todo "$2")
		[ -n "$todo" ] || TAP_BAD=$((TAP_BAD + 1))
		echo "not ok $TAP_N - $2$todo"
	fi
	return "$1"
}

# " # TODO reason" when tests/todo knows that this point fails
tap_todo() # DESCRIPTION
{
	local pattern why

	while IFS=$'\t' read -r pattern why; do
		# shellcheck disable=SC2254
		case $pattern in
		'#'* | '') ;;
		*) case $1 in
			$pattern) printf ' # TODO %s' "$why"; return ;;
			esac ;;
		esac
	done <"$TAP_LIB/../todo"
}

diag()
{
	sed 's/^/# /' <<<"$*"
}

ok() # STATUS DESCRIPTION
{
	tap_point "$(($1 != 0))" "$2" || { diag "exit status $1"; return 1; }
}

is() # GOT WANT DESCRIPTION
{
	if [ "$1" = "$2" ]; then
		tap_point 0 "$3"
	else
		tap_point 1 "$3"
		diag "     got: $1"
		diag "expected: $2"
		return 1
	fi
}

skip() # PACKAGE DESCRIPTION
{
	TAP_N=$((TAP_N + 1))
	echo "ok $TAP_N - ${2-} # SKIP needs $1"
}

need() # PROGRAM PACKAGE DESCRIPTION
{
	command -v "$1" >/dev/null 2>&1 && return 0
	skip "$2" "${3-}"
	return 1
}

# told NAME STATUS: the points "ok WHAT" and "not ok WHAT" that a script in Hare printed, a line each, in
# $TAP_TMP/out ($TAP_TMP/err: what else it said), and that it ended with status 0.
told()
{
	local what

	while read -r what; do
		case $what in
		"ok "*) tap_point 0 "$1: ${what#ok }" ;;
		*) tap_point 1 "$1: ${what#not ok }"; diag "$(tail -n 5 "$TAP_TMP/err")" ;;
		esac
	done <"$TAP_TMP/out"
	is "$2" 0 "$1: ends with status 0"
}

# need_all PROGRAM PACKAGE: the whole file is skipped when the program is absent.
need_all()
{
	command -v "$1" >/dev/null 2>&1 && return 0
	echo "ok 1 # SKIP needs $2"
	echo "1..1"
	exit 0
}

done_testing()
{
	echo "1..$TAP_N"
	exit "$((TAP_BAD != 0))"
}

# The helper is compiled once: tests/run gives its place to all files that it runs.
if [ ! -x "${HARE_TEST_LIMIT:-}" ]; then
	HARE_TEST_LIMIT=$TAP_TMP/limit
	if ! ${CC:-cc} -O1 -std=gnu17 -o "$HARE_TEST_LIMIT" "$TAP_LIB/limit.c"; then
		echo "Bail out! lib/limit.c does not compile"
		exit 1
	fi
	export HARE_TEST_LIMIT
fi

limited() # SECONDS CMD...
{
	local secs=$1

	shift
	timeout -k 20 "$((secs + 20))" "$HARE_TEST_LIMIT" "$secs" "$@"
}

hare_run()
{
	local opts=()

	while [ "$1" != -- ]; do
		opts+=("$1")
		shift
	done
	[ "$HARE_AT" = /hare ] || opts+=(--at "$HARE_AT")
	# shellcheck disable=SC2086
	limited "$HARE_CASE_LIMIT" "$HARE" run $HARE_OPTS "${opts[@]}" "$@"
}
