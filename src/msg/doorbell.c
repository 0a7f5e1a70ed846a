/* SPDX-License-Identifier: MIT */
/*
 * Doorbells: the wake-ups, the only coherent thing between islands, and they carry no data: a bit
 * per source core, and words to sleep on.
 *
 * A sleeper announces itself (sleepers), looks once more, and sleeps on the word; a waker makes
 * its work visible, then looks at sleepers. Both orders are sequentially consistent, so one of
 * them sees the other. A killed sleeper leaves the count too high, which costs needless wake-ups
 * and nothing else. Sleeps are in slices of at most SLICE_NS, so that a waker that died between
 * its work and its wake-up delays a sleeper and does not hang it.
 */
#include <asm/errno.h>
#include <linux/futex.h>

#include "base/host.h"
#include "base/sys.h"
#include "msg/ring.h"

#define SLICE_NS 200000000

void msg_ring(const struct island *isl, u32 core, u32 vector)
{
	struct doorbell *d = doorbell(isl, core);

	if (!__atomic_load_n(&d->vec[vector].sleepers, __ATOMIC_SEQ_CST))
		return;
	__atomic_fetch_add(&d->vec[vector].word, 1, __ATOMIC_SEQ_CST);
	SYS(futex, &d->vec[vector].word, FUTEX_WAKE, 0x7fffffff, 0, 0, 0);
}

u32 *msg_vector_word(const struct island *isl, u32 core, u32 vector)
{
	return &doorbell(isl, core)->vec[vector].word;
}

void doorbell_signal(struct ctx *c, u32 src, u32 dst, u32 wake)
{
	struct doorbell *d = doorbell(c->isl, dst);

	__atomic_fetch_or(&d->pending, 1ULL << src, __ATOMIC_SEQ_CST);
	if (wake == MSG_WAKE_NONE)
		return;
	if (wake) {
		msg_ring(c->isl, dst, slot_vector(wake));
		return;
	}
	if (__atomic_load_n(&d->vec[0].sleepers, __ATOMIC_SEQ_CST) &&
	    __atomic_load_n(&d->poll_until, __ATOMIC_RELAXED) < host_monotonic_ns())
		msg_ring(c->isl, dst, 0);
}

u32 vector_prepare(struct ctx *c, u32 vector)
{
	struct doorbell *d = doorbell(c->isl, c->core);

	__atomic_fetch_add(&d->vec[vector].sleepers, 1, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&d->vec[vector].word, __ATOMIC_SEQ_CST);
}

void vector_done(struct ctx *c, u32 vector)
{
	__atomic_fetch_sub(&doorbell(c->isl, c->core)->vec[vector].sleepers, 1, __ATOMIC_SEQ_CST);
}

long vector_sleep(struct ctx *c, u32 vector, u32 word, s64 ns, bool interruptible)
{
	u32 *at = msg_vector_word(c->isl, c->core, vector);
	s64 slice = ns < 0 || ns > SLICE_NS ? SLICE_NS : ns;
	struct { s64 sec, nsec; } t = { 0, slice };

	if (interruptible)
		return host_block(__NR_futex, (long)at, FUTEX_WAIT, word, (long)&t, 0, 0);
	return SYS(futex, at, FUTEX_WAIT, word, &t, 0, 0);
}

void msg_agent_sleep(struct ctx *c, s64 timeout_ns)
{
	struct doorbell *d = doorbell(c->isl, c->core);
	u32 word = vector_prepare(c, 0);

	if (!__atomic_load_n(&d->pending, __ATOMIC_SEQ_CST))
		vector_sleep(c, 0, word, timeout_ns, false);
	vector_done(c, 0);
}
