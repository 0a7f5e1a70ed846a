/* SPDX-License-Identifier: MIT */
/*
 * Doorbells: the wake-ups, the only coherent thing between islands, and they carry no data: a bit
 * per source core, and words to sleep on.
 *
 * A sleeper announces itself (sleepers), looks once more, and sleeps on the word; a waker makes
 * its work visible, then looks at sleepers. Both orders are sequentially consistent, so one of
 * them sees the other. A killed sleeper leaves the count too high, which costs needless wake-ups
 * and nothing else. Sleeps are in slices of at most VECTOR_SLICE_NS, so that a waker that died between
 * its work and its wake-up delays a sleeper and does not hang it.
 *
 * The agent (vector 0) is not woken while a thread of its core polls (poll_until). Who polls
 * clears that mark before it looks for the last time, and a waker sets its bit before it looks
 * at the mark. A poller killed or preempted leaves a mark that soon lies in the past; until then
 * who waits for a reply rings the agent himself before he sleeps.
 */
#include <asm/errno.h>
#include <linux/futex.h>

#include "base/host.h"
#include "base/race.h"
#include "base/sys.h"
#include "msg/ring.h"

#define BACKLOG_NS    1000000 /* the agent's sleep while its outbox waits for a full ring */
#define SPIN_NS	      100000 /* about what it costs to wake a processor that sleeps */
#define SPIN_SHORT_NS 8000 /* about what a sleep and a wake-up cost */
#define SPIN_ROUNDS   32u /* looks between two looks at the clock */
#define YIELDED_NS    4000 /* a sched_yield that took so long let somebody else run */
#define CROWDED_NS    10000000
#define MARK_NS	      8000 /* so far ahead a spinner's mark lies, which it renews */

static void wake_vector(struct doorbell *d, u32 vector)
{
	if (!__atomic_load_n(&d->vec[vector].sleepers, __ATOMIC_SEQ_CST))
		return;
	__atomic_fetch_add(&d->vec[vector].word, 1, __ATOMIC_SEQ_CST);
	SYS(futex, &d->vec[vector].word, FUTEX_WAKE, 0x7fffffff, 0, 0, 0);
}

void msg_ring(const struct island *isl, u32 core, u32 vector)
{
	struct doorbell *d = doorbell(isl, core);

	if (vector == 0)
		__atomic_store_n(&d->rung, 1, __ATOMIC_SEQ_CST);
	else /* what we wake for is visible first */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	wake_vector(d, vector);
}

u32 *msg_vector_word(const struct island *isl, u32 core, u32 vector)
{
	return &doorbell(isl, core)->vec[vector].word;
}

void doorbell_wake(const struct island *isl, u32 core, u64 vectors)
{
	struct doorbell *d = doorbell(isl, core);

	if (!vectors)
		return;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (; vectors; vectors &= vectors - 1) {
		u32 vector = (u32)__builtin_ctzll(vectors);

		/* Nobody on the futex to drain for: the agent drains, and pokes. */
		if (vector &&
		    unlikely(__atomic_load_n(&d->pollers[vector], __ATOMIC_SEQ_CST)))
			wake_vector(d, 0);
		if (vector == 0 &&
		    __atomic_load_n(&d->vec[0].sleepers, __ATOMIC_SEQ_CST) &&
		    __atomic_load_n(&d->poll_until, __ATOMIC_SEQ_CST) >
			    host_monotonic_ns())
			continue;
		wake_vector(d, vector);
	}
}

u32 vector_prepare(struct ctx *c, u32 vector)
{
	struct doorbell *d = doorbell(c->isl, c->core);

	__atomic_fetch_add(&d->vec[vector].sleepers, 1, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&d->vec[vector].word, __ATOMIC_SEQ_CST);
}

void vector_done(struct ctx *c, u32 vector)
{
	__atomic_fetch_sub(&doorbell(c->isl, c->core)->vec[vector].sleepers, 1,
			   __ATOMIC_SEQ_CST);
}

void doorbell_late(struct ctx *c)
{
	__atomic_fetch_add(&doorbell(c->isl, c->core)->late, 1, __ATOMIC_RELAXED);
}

long vector_sleep(struct ctx *c, u32 vector, u32 word, s64 ns, bool interruptible)
{
	u32 *at = msg_vector_word(c->isl, c->core, vector);
	s64 slice = ns < 0 || ns > VECTOR_SLICE_NS ? VECTOR_SLICE_NS : ns;
	struct {
		s64 sec, nsec;
	} t = { 0, slice };

	long r;

	if (interruptible)
		r = host_block(__NR_futex, (long)at, FUTEX_WAIT, word, (long)&t, 0, 0);
	else
		r = SYS(futex, at, FUTEX_WAIT, word, &t, 0, 0);
	if (r == -ETIMEDOUT)
		race_point("overslept", RACE_AT);
	return r;
}

/* --- the agent ---------------------------------------------------------------------------------- */

static bool agent_has_work(struct doorbell *d)
{
	return __atomic_load_n(&d->pending, __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(&d->rung, __ATOMIC_SEQ_CST);
}

/* Does somebody else wait for this processor? A yield tells, but if so it costs us our turn, and
 * the answer is therefore remembered for a while. */
static bool is_crowded(struct msg_root *m, u64 now)
{
	u64 after;

	if (now < __atomic_load_n(&m->crowded_until, __ATOMIC_RELAXED))
		return true;
	SYS(sched_yield);
	after = host_monotonic_ns();
	if (after - now < YIELDED_NS)
		return false;
	__atomic_store_n(&m->crowded_until, after + CROWDED_NS, __ATOMIC_RELAXED);
	return true;
}

/* A short spin pays in any case; a long one, sparing the caller and the server that a sleeping
 * processor is woken, only where nothing else would run here. */
bool spin_on(struct spin *p)
{
	u64 now;

	if (p->rounds++ % SPIN_ROUNDS) {
		cpu_pause();
		return true;
	}
	now = host_monotonic_ns();
	if (!p->start)
		p->start = now;
	if (now - p->start > SPIN_NS ||
	    (now - p->start > SPIN_SHORT_NS && is_crowded(p->m, now)))
		return false;
	if (p->mark)
		__atomic_store_n(p->mark, now + MARK_NS, __ATOMIC_RELAXED);
	return true;
}

/* Back-to-back calls meet an agent that is awake. */
static bool agent_poll(struct msg_root *m, struct doorbell *d)
{
	struct spin p = { .m = m };

	while (!agent_has_work(d))
		if (!spin_on(&p))
			return false;
	return true;
}

/* A lock whose holder died is noticed by who wants it; here somebody does. */
static void agent_check_lock(struct ctx *c)
{
	if (!__atomic_load_n(&c->ck->lock, __ATOMIC_RELAXED))
		return;
	ck_lock(c, c->ck);
	msg_unlock(c, c->ck);
}

static s64 agent_slice(struct ctx *c, s64 timeout_ns)
{
	if (!list_empty(&msg_root(c->ck)->outbox) &&
	    (timeout_ns < 0 || timeout_ns > BACKLOG_NS))
		return BACKLOG_NS;
	return timeout_ns;
}

void msg_agent_sleep(struct ctx *c, s64 timeout_ns)
{
	struct doorbell *d = doorbell(c->isl, c->core);
	const struct super *s = c->isl->super;
	struct msg_root *m = msg_root(c->ck);
	bool poll = m->server == c->tid && s->cores <= s->cpus;

	m->server = 0;
	if (!poll || !agent_poll(m, d)) {
		u32 word = vector_prepare(c, 0);

		if (!agent_has_work(d)) {
			race_point("agent looked", RACE_AT);
			vector_sleep(c, 0, word, agent_slice(c, timeout_ns), false);
		}
		vector_done(c, 0);
	}
	agent_check_lock(c);
	__atomic_store_n(&d->rung, 0, __ATOMIC_SEQ_CST);
}
