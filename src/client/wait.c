/* SPDX-License-Identifier: MIT */
/*
 * Waiting for Hare's events and for the host's descriptors at once: poll, select and
 * epoll over both kinds.
 *
 * Servers wake a waiter by its event (msg.h), a futex; the host wakes it inside a host
 * call. No host call waits for both, so the thread sleeps in ppoll and asks to be poked:
 * whoever sets its event sends it a SIGSYS, which is this library's own signal in any
 * case and never blocked.
 *
 *   waiter                                   waker
 *   1  event_prepare: seq                    a  marks the event
 *   2  asks servers (registers seq)          b  sees poll_pid: pokes
 *   3  msg_poll_begin: poll_pid set; has
 *      the event come already? then 5
 *   4  ppoll
 *   5  msg_poll_end, from 1 again
 *
 * A mark before 3 is seen in 3. A poke between 3 and the kernel's wait interrupts
 * nothing, but its handler (client_poked) zeroes the time that ppoll is about to read, and
 * host_block does not begin (signal_poked); a poke later ends ppoll with EINTR. So no order loses it. No descriptor, thread or helper
 * process is needed, and a set of Hare's descriptors alone sleeps on the futex. The wait
 * ends twice a second to look again, for the one case that a poke cannot cover: the waker
 * is another user's, or was killed.
 */
#include <linux/poll.h>
#include <linux/time_types.h>

#include "client/file.h"

#define SLICE_NS 500000000LL
#define NS_PER_S 1000000000LL

struct until until_in(s64 ns)
{
	return (struct until){ .end = ns < 0 ? 0 : host_monotonic_ns() + (u64)ns,
			       .forever = ns < 0 };
}

s64 until_left(const struct until *u)
{
	u64 now;

	if (u->forever)
		return -1;
	now = host_monotonic_ns();
	return now >= u->end ? 0 : (s64)(u->end - now);
}

bool client_poked(struct task *t, u64 value)
{
	if (value != MSG_POKE)
		return false;
	if (t->poll_time)
		t->poll_time[0] = t->poll_time[1] = 0;
	return true;
}

long wait_mixed(struct task *t, u32 seq, struct pollfd *host, u32 n,
		const struct until *u, const void *mask, size_t mask_size)
{
	s64 left = until_left(u), ns = left < 0 || left > SLICE_NS ? SLICE_NS : left;
	struct __kernel_timespec ts = { .tv_sec = ns / NS_PER_S,
					.tv_nsec = ns % NS_PER_S };
	long r;

	t->poll_time = (s64 *)&ts;
	compiler_barrier();
	if (msg_poll_begin(&t->ctx, seq))
		ts = (struct __kernel_timespec){ 0 };
	r = host_block(__NR_ppoll, (long)host, n, (long)&ts, (long)mask, (long)mask_size,
		       0);
	compiler_barrier();
	t->poll_time = NULL;
	host_poke_over();
	msg_poll_end(&t->ctx);
	if (r != -EINTR)
		return r;
	/* A poke, or a signal of the program's. */
	return host_signal_pending() ? -HARE_ERESTARTNOHAND : 0;
}

long wait_event(struct task *t, u32 seq, const struct until *u)
{
	long r = msg_event_wait(&t->ctx, seq, until_left(u));

	return r == -HARE_ERESTARTSYS ? -HARE_ERESTARTNOHAND : r;
}
