# SPDX-License-Identifier: MIT
# steps.sh: for the scripts that suite_steps runs.
#
#	suite_step NAME CMD...           runs CMD; the result is "ok" or its exit status
#	suite_value NAME VALUE           the result is VALUE (one line of it)

suite_step() # NAME CMD...
{
	local name=$1 rc

	shift
	"$@"
	rc=$?
	[ "$rc" = 0 ] && rc=ok
	printf 'step %s\t%s\n' "$name" "$rc"
}

suite_value() # NAME VALUE
{
	printf 'step %s\t%s\n' "$1" "${2//$'\n'/ }"
}
