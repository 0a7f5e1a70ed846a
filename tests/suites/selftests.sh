# SPDX-License-Identifier: MIT
# The Linux kernel's selftests of system calls: a point a program, compared case by case.
. "$(dirname "$0")/lib.sh"
SOURCE=/usr/src/linux-source-6.1.tar.xz
suite_need "$SOURCE" linux-source-6.1 && suite_need "${CC:-cc}" gcc && suite_need xz xz-utils || done_testing
suite_need /usr/include/sys/capability.h libcap-dev || done_testing

# Left out: what takes minutes, needs the host's root elsewhere, or is about what Hare has not
# (CAVEATS.md: mounts, seccomp, debuggers, /proc/PID/maps, PID namespaces: clone3/clone3 and
# pidfd/pidfd_fdinfo_test).
PROGRAMS=${SELFTESTS:-clone3/clone3_clear_sighand core/close_range_test exec/non-regular
	exec/null-argv exec/recursion-depth futex/functional/futex_requeue
	futex/functional/futex_requeue_pi_signal_restart futex/functional/futex_wait
	futex/functional/futex_wait_private_mapped_file futex/functional/futex_wait_timeout
	futex/functional/futex_wait_wouldblock futex/functional/futex_waitv ipc/msgque
	membarrier/membarrier_test_single_thread openat2/openat2_test
	pidfd/pidfd_getfd_test pidfd/pidfd_open_test pidfd/pidfd_poll_test pidfd/pidfd_wait
	proc/fd-001-lookup proc/fd-002-posix-eq proc/proc-self-syscall proc/self proc/thread-self
	sigaltstack/sas splice/default_file_splice_read tmpfs/bug-link-o-tmpfile timers/posix_timers
	vm/map_populate vm/madv_populate vm/map_fixed_noreplace}
SUITE_EXCEPT=

TOP=$TAP_TMP/linux-source-6.1/tools/testing/selftests
tar -C "$TAP_TMP" -xf "$SOURCE" --wildcards 'linux-source-6.1/tools/testing/selftests/*'
ok $? "the sources"

compile() # PROGRAM
{
	local dir=$TOP/${1%/*} extra=()

	case $1 in
	openat2/*) extra=("$dir/helpers.c") ;;
	esac
	mkdir -p "$TAP_TMP/bin/$1"
	(cd "$dir" && "${CC:-cc}" -O1 -w -D_GNU_SOURCE -I. -I.. -I../.. -I../include -I../futex/include \
		-o "$TAP_TMP/bin/$1/run" "${1##*/}.c" "${extra[@]}" -pthread -lrt -lcap)
}

# Numbers of processes and descriptors differ.
cases() # RUN OUT PROGRAM
{
	"$1" "$2" 100 bash -c 'cp "$0/run" . && ./run'  "$TAP_TMP/bin/$3"
	echo "all of it	$?" | sed 's/\t0$/\tok/' >"$2.cases"
	sed -n 's/^\(ok\|not ok\) [0-9]* \(.*\)/\2\t\1/p' "$2" | sed 's/[0-9][0-9]*/N/g' >>"$2.cases"
}

for p in $PROGRAMS; do
	log=$SUITE_LOGS/selftests.${p//\//_}
	if ! compile "$p" 2>"$TAP_TMP/cc"; then
		skip "a header or library: $(head -n 1 "$TAP_TMP/cc")" "$p"
		continue
	fi
	cases suite_native "$log.tmpfs" "$p"
	for cores in $SUITE_CORES; do
		HARE_OPTS="--cores $cores" cases suite_hare "$log.hare$cores" "$p"
		suite_cases "$p, $cores cores" "$log.tmpfs.cases" "$log.hare$cores.cases"
	done
done
done_testing
