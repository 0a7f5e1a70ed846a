# SPDX-License-Identifier: MIT
# stress-ng's stressors of classes filesystem, pipe, scheduler (which are the processes') and
# interrupt (signals), and some of others, each for STRESSNG_SECONDS (2), verified: what passes on
# tmpfs passes in Hare, leaves nothing behind, and hare fsck is clean after each. Some act on the whole
# machine when root starts them, on tmpfs as in Hare: other tests beside it lost output.
. "$(dirname "$0")/lib.sh"
suite_need stress-ng stress-ng || done_testing

# Left out: what stops or starves the machine (bind-mount, softlockup, cyclic, resched), is as
# often as not killed or broken on tmpfs itself (dev-shm, mmapfork), or counts other processes.
LEAVE_OUT="bind-mount softlockup cyclic resched dev-shm mmapfork race-sched"
MORE="aio aiol chroot epoll mmap mmapmany msync msyncmany poll pty readahead resources revio rlimit seal seek
	sock sockfd sockpair umount zero"
# Differences by design:
SUITE_EXCEPT="binderfs*	mount(2) below Hare is refused (CAVEATS)
dnotify*	F_NOTIFY is as on a kernel without CONFIG_DNOTIFY (CAVEATS)"

stressors()
{
	local class

	if [ -n "${STRESSNG_ONLY:-}" ]; then
		echo "$STRESSNG_ONLY"
		return
	fi
	for class in filesystem pipe scheduler interrupt; do
		stress-ng --class "$class?" 2>&1 | sed -n 's/.*stressors: //p'
	done
	echo $MORE
}

# shellcheck disable=SC2046
set -- $(stressors | tr ' ' '\n' | sort -u | grep -vxF "$(tr ' ' '\n' <<<"$LEAVE_OUT")")
suite_steps stressng 7000 bash "$SUITE_DIR/stressng.steps" "${STRESSNG_SECONDS:-2}" "$@"
done_testing
