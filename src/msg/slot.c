/* SPDX-License-Identifier: MIT */
/*
 * Reply slots: where a thread finds the answer to its call, and its events.
 *
 * One call is under way per slot; its sequence number tells late or repeated replies from the one
 * awaited. Whoever drains the core's rings fills the slot (data first, done_seq last) and rings
 * the slot's vector.
 */
#include <asm/errno.h>

#include "base/host.h"
#include "base/str.h"
#include "base/sys.h"
#include "msg/ring.h"

#define SPIN_NS 8000 /* about what a sleep and a wake-up cost */

struct msg_slot *slot_of_ctx(struct ctx *c)
{
	struct msg_slot *s = msg_root(c->ck)->slot[c->slot];

	BUG_ON(!s || s->tid != c->tid);
	return s;
}

static bool slot_is_free(struct msg_slot *s, bool reclaim)
{
	return !s || !s->tid || (reclaim && ck_thread_dead(s->tid));
}

/* Takes slot i if it is still free. */
static bool slot_claim(struct ctx *c, u32 i, bool reclaim)
{
	struct msg_root *r = msg_root(c->ck);
	struct msg_slot *s;
	bool ok = false;

	ck_lock(c, c->ck);
	s = r->slot[i];
	if (!s) {
		s = ck_alloc(c->ck, sizeof(*s));
		if (s)
			TX_SET(c->ck, r->slot[i], s);
	}
	if (s && slot_is_free(s, reclaim)) {
		TX_SET(c->ck, s->tid, c->tid);
		ok = true;
	}
	ck_unlock(c->ck);
	if (ok)
		c->slot = i;
	return ok;
}

long msg_slot_take(struct ctx *c)
{
	struct msg_root *r = msg_root(c->ck);

	for (int reclaim = 0; reclaim < 2; reclaim++)
		for (u32 i = 1; i < MSG_SLOTS; i++)
			if (slot_is_free(r->slot[i], reclaim) && slot_claim(c, i, reclaim))
				return 0;
	return -EAGAIN;
}

void msg_slot_give(struct ctx *c)
{
	if (!c->slot)
		return;
	__atomic_store_n(&slot_of_ctx(c)->tid, 0, __ATOMIC_RELEASE);
	c->slot = 0;
}

void slot_reply(struct ctx *c, struct ck *ck, const struct msg_hdr *h, const void *data)
{
	struct msg_slot *s = h->slot < MSG_SLOTS ? msg_root(ck)->slot[h->slot] : NULL;

	if (!s || h->seq != s->call_seq || h->seq == s->done_seq)
		return; /* late or repeated */
	memcpy(s->data, data, h->len);
	s->status = h->status;
	s->len = h->len;
	__atomic_store_n(&s->done_seq, h->seq, __ATOMIC_RELEASE);
	msg_ring(c->isl, ck->core, slot_vector(h->slot));
}

u32 msg_call_prepare(struct ctx *c)
{
	struct msg_slot *s = slot_of_ctx(c);

	return ++s->call_seq;
}

static bool call_done(const struct msg_slot *s, u32 seq)
{
	return __atomic_load_n(&s->done_seq, __ATOMIC_ACQUIRE) == seq;
}

/* Spinning helps only while the other core runs on another CPU. */
static bool may_spin(const struct ctx *c, u32 dst)
{
	const struct super *s = c->isl->super;

	return s->cpu[dst % MAX_CORES] != s->cpu[c->core] && s->cpus > 1;
}

static bool spin(struct ctx *c, const struct msg_slot *s, u32 seq)
{
	struct doorbell *d = doorbell(c->isl, c->core);
	u64 end = host_monotonic_ns() + SPIN_NS;
	bool done = false;

	__atomic_store_n(&d->poll_until, end, __ATOMIC_RELAXED);
	while (!(done = call_done(s, seq))) {
		if (__atomic_load_n(&d->pending, __ATOMIC_RELAXED))
			msg_drain(c);
		else if (host_monotonic_ns() >= end)
			break;
		else
			cpu_pause();
	}
	__atomic_store_n(&d->poll_until, 0, __ATOMIC_SEQ_CST);
	msg_drain(c); /* what came while senders relied on us */
	return done || call_done(s, seq);
}

static void sleep_for_reply(struct ctx *c, const struct msg_slot *s, u32 seq, u32 dst)
{
	u32 vector = slot_vector(c->slot);

	while (!call_done(s, seq)) {
		u32 word = vector_prepare(c, vector);

		if (!msg_drain(c) && !call_done(s, seq)) {
			msg_ring(c->isl, dst, 0);
			vector_sleep(c, vector, word, -1, false);
		}
		vector_done(c, vector);
	}
}

long msg_call_wait(struct ctx *c, u32 seq, u32 dst, void *buf, size_t size, u32 *len,
		   s32 *status)
{
	struct msg_slot *s = slot_of_ctx(c);

	if (!may_spin(c, dst) || !spin(c, s, seq))
		sleep_for_reply(c, s, seq, dst);
	*status = s->status;
	*len = MIN(s->len, (u32)size);
	memcpy(buf, s->data, *len);
	return 0;
}

/* --- events ------------------------------------------------------------------------------------- */

u32 msg_event_prepare(struct ctx *c)
{
	struct msg_slot *s = slot_of_ctx(c);
	u32 seq = s->event_seq + 1;

	if (!seq)
		seq = 1; /* 0 means "do not register" in requests */
	s->event_seq = seq;
	return seq;
}

void msg_event_set(struct ctx *c, u32 core, u32 slot, u32 seq)
{
	struct ck *ck = mem_ck(c->isl, core);
	struct msg_slot *s = slot < MSG_SLOTS ? msg_root(ck)->slot[slot] : NULL;

	if (!s)
		return;
	__atomic_store_n(&s->event_set, seq, __ATOMIC_SEQ_CST);
	msg_ring(c->isl, core, slot_vector(slot));
}

long msg_event_wait(struct ctx *c, u32 seq, s64 timeout_ns)
{
	struct msg_slot *s = slot_of_ctx(c);
	u32 vector = slot_vector(c->slot);
	u64 end = timeout_ns >= 0 ? host_monotonic_ns() + (u64)timeout_ns : 0;
	long r = 0;

	while (__atomic_load_n(&s->event_set, __ATOMIC_SEQ_CST) != seq) {
		s64 left = timeout_ns < 0 ? -1 : (s64)(end - host_monotonic_ns());
		u32 word;

		if (timeout_ns >= 0 && left <= 0)
			return -ETIMEDOUT;
		if (host_signal_pending())
			return -HARE_ERESTARTSYS;
		word = vector_prepare(c, vector);
		if (!msg_drain(c) && __atomic_load_n(&s->event_set, __ATOMIC_SEQ_CST) != seq)
			r = vector_sleep(c, vector, word, left, true);
		vector_done(c, vector);
		if (r == -EINTR || r == -HARE_ERESTARTSYS)
			return -HARE_ERESTARTSYS;
		if (r == -ETIMEDOUT && timeout_ns < 0)
			return 0; /* look again: the waker may have died before it woke us */
	}
	return 0;
}
