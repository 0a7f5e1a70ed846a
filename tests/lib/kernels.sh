# SPDX-License-Identifier: MIT
# kernels.sh: for tests of --kernels separate. Sourced after tap.sh.

# Does the host let us have namespaces? Else $KERNELS_WHY says what it does not allow.
have_kernels()
{
	KERNELS_WHY=$("$HARE" run --cores 2 --kernels separate -- true 2>&1) && return
	[[ $KERNELS_WHY != *"this host does not let us"* ]]
}

# The whole file is skipped when it does not.
need_kernels()
{
	have_kernels && return
	echo "ok 1 # SKIP ${KERNELS_WHY#hare: }"
	echo "1..1"
	exit 0
}
