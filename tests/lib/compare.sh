# SPDX-License-Identifier: MIT
# compare.sh: one script, run in a fresh directory of tmpfs and in a fresh Hare; all
# that can be seen of it must be the same. Sourced after tap.sh.
#
#	compare [-r STATUS] [-x REGEX] [-E] [-t SECONDS] [-o "OPTS"] DESCRIPTION <<'END'
#	the script, for bash
#	END
#
# Compared: exit status (which must be STATUS; without -r it is that of "exit 0", added
# at the script's end), stdout, stderr (not with -E), and the tree left behind: names,
# types, modes, link counts, owners, sizes, contents. REGEX names paths (as find prints
# them, ./a/b) whose content is not to be compared: what holds times or process ids. The
# place where the directory is reads as @DIR@ in the output. -o adds options to hare
# run. One point a call. With $HARE_TEST_SHOW set, the output on tmpfs is shown.

# The scripts are files outside, so that what they say of line numbers is the same.
compare()
{
	local status="" prune="" with_err=1 secs=$HARE_CASE_LIMIT opts="" OPTIND=1 opt
	local name dir native hare rc

	while getopts r:x:Et:o: opt; do
		case $opt in
		r) status=$OPTARG ;;
		x) prune=$OPTARG ;;
		E) with_err=0 ;;
		t) secs=$OPTARG ;;
		o) opts=$OPTARG ;;
		*) return 2 ;;
		esac
	done
	shift $((OPTIND - 1))
	name=$1
	dir=$(mktemp -d "$TAP_TMP/case.XXXXXX")
	native=$dir/native
	hare=$dir/hare
	mkdir "$native" "$hare"
	cat >"$dir/script"
	if [ -z "$status" ]; then
		status=0
		echo "exit 0" >>"$dir/script"
	fi

	compare_native "$dir" "$native" "$secs" "$prune"
	rc=$(cat "$native/status" 2>/dev/null)
	if [ "$rc" != "$status" ]; then
		tap_point 1 "$name"
		diag "natively the script's status is '$rc', expected $status: the test is wrong"
		compare_show "$native"
		return 1
	fi
	[ -z "${HARE_TEST_SHOW:-}" ] || compare_show "$native"
	# shellcheck disable=SC2086
	HARE_CASE_LIMIT=$secs hare_run --chdir "$HARE_AT" $opts -- bash "$TAP_LIB/inside.sh" \
		"$dir/script" "$hare" "$prune" >"$hare/log" 2>&1 </dev/null
	echo $? >"$hare/run"
	compare_judge "$dir" "$name" "$with_err" "$status"
	rm -rf "$dir"
}

compare_native() # DIR OUT SECONDS PRUNE
{
	local place

	place=$(mktemp -d "$TAP_SHM/n.XXXXXX")
	chmod 1777 "$place"
	(cd "$place" && limited "$3" bash "$TAP_LIB/inside.sh" "$1/script" "$2" "$4") \
		>"$2/log" 2>&1 </dev/null
	compare_place "$place" "$2"
	chmod -R u+rwx "$place" 2>/dev/null
	rm -rf "$place"
}

compare_place() # PLACE OUT: the directory's name, wherever it was, becomes @DIR@
{
	local f

	for f in stdout stderr tree; do
		[ -f "$2/$f" ] && sed -i "s#$1\\([^-_.a-z0-9]\\|\$\\)#@DIR@\\1#g" "$2/$f"
	done
}

compare_show() # OUT
{
	local f

	for f in log stderr stdout; do
		[ -s "$1/$f" ] || continue
		diag "$f:"
		head -n 40 "$1/$f" | sed 's/^/#   /'
	done
}

compare_judge() # DIR NAME WITH_ERR STATUS
{
	local dir=$1 bad=0 files="status stdout" f why=""

	[ "$3" = 1 ] && files="$files stderr"
	compare_place "$HARE_AT" "$dir/hare"
	if [ "$(cat "$dir/hare/run")" != "$4" ]; then
		bad=1
		why="hare run ended with status $(cat "$dir/hare/run"), not $4"
	fi
	for f in $files tree; do
		cmp -s "$dir/native/$f" "$dir/hare/$f" || bad=1
	done
	tap_point "$bad" "$2" && return 0
	[ -z "$why" ] || diag "$why"
	[ -s "$dir/hare/log" ] && head -n 30 "$dir/hare/log" | sed 's/^/#   /'
	for f in $files tree; do
		cmp -s "$dir/native/$f" "$dir/hare/$f" && continue
		diag "$f differs (- tmpfs, + Hare):"
		diff -u "$dir/native/$f" "$dir/hare/$f" 2>&1 | tail -n +3 | grep '^[-+]' |
			head -n 40 | sed 's/^/#   /'
	done
	[ "$3" = 1 ] || head -n 10 "$dir/hare/stderr" 2>/dev/null | sed 's/^/# stderr: /'
	return 1
}
