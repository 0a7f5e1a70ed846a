# SPDX-License-Identifier: MIT
# kernels.sh: for tests of --kernels separate. Sourced after tap.sh.

# need_kernels CMD...: the whole file is skipped when the host does not let CMD (setpriv, or env)
# have namespaces.
need_kernels()
{
	local why

	why=$("$@" "$HARE" run --cores 2 --kernels separate -- true 2>&1) && return
	case $why in
	*"this host does not let us"*)
		echo "ok 1 # SKIP ${why#hare: }"
		echo "1..1"
		exit 0
		;;
	esac
}
