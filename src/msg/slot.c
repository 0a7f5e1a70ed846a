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
#include "base/race.h"
#include "base/str.h"
#include "base/sys.h"
#include "msg/ring.h"

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

static struct msg_slot *slot_new(struct ctx *c)
{
	const struct super *su = c->isl->super;
	bool far = su->islands > 1 || su->without & WITHOUT_LOCAL_CALLS;
	u32 room = far ? MSG_DATA_MAX : 0;
	struct msg_slot *s = ck_alloc(c->ck, sizeof(*s) + room);

	if (s)
		s->room = room;
	return s;
}

/* Takes slot i if it is still free. */
static bool slot_claim(struct ctx *c, u32 i, bool reclaim)
{
	struct msg_root *m = msg_root(c->ck);
	struct msg_slot *s;
	bool won = false;

	ck_lock(c, c->ck);
	s = m->slot[i];
	if (!s) {
		s = slot_new(c);
		if (s)
			TX_SET(c->ck, m->slot[i], s);
	}
	if (s && slot_is_free(s, reclaim)) {
		/* of a thread that was killed */
		s->poll_pid = s->poke_lock = 0;
		s->topic = 0;
		TX_SET(c->ck, s->tid, c->tid);
		won = true;
	}
	ck_unlock(c->ck);
	if (won)
		c->slot = i;
	return won;
}

long msg_slot_take(struct ctx *c)
{
	struct msg_root *m = msg_root(c->ck);

	/* None is made behind one that is missing: those that are there stand together. */
	for (int reclaim = 0; reclaim < 2; reclaim++)
		for (u32 i = 1; i < MSG_SLOTS; i++) {
			if (slot_is_free(m->slot[i], reclaim) &&
			    slot_claim(c, i, reclaim))
				return 0;
			if (!m->slot[i])
				break;
		}
	return -EAGAIN;
}

void msg_slot_give(struct ctx *c)
{
	if (!c->slot)
		return;
	__atomic_store_n(&slot_of_ctx(c)->tid, 0, __ATOMIC_RELEASE);
	c->slot = 0;
}

static struct msg_part *slot_part(struct msg_slot *s, u32 i)
{
	return (struct msg_part *)(s->data +
				   i * (MSG_MANY_ROOM(s->many) + MSG_PART_HEADER));
}

/* The reply to one of many calls; false: none that is waited for. */
static bool slot_reply_part(struct msg_slot *s, const struct msg_hdr *h, const void *data)
{
	u32 i = h->seq - (s->call_seq - s->many + 1);
	struct msg_part *p;

	if (i >= s->many || s->done & (1ULL << i) || !s->room)
		return false;
	p = slot_part(s, i);
	p->status = h->status;
	p->len = h->len;
	if (h->len > MSG_MANY_ROOM(s->many)) {
		p->status = -EMSGSIZE;
		p->len = 0;
	}
	memcpy(p->data, data, p->len);
	__atomic_fetch_or(&s->done, 1ULL << i, __ATOMIC_RELEASE);
	return true;
}

static bool slot_reply_one(struct msg_slot *s, const struct msg_hdr *h, const void *data)
{
	if (h->seq != s->call_seq || h->seq == s->done_seq || h->len > s->room)
		return false; /* late or repeated */
	memcpy(s->data, data, h->len);
	s->status = h->status;
	s->len = h->len;
	__atomic_store_n(&s->done_seq, h->seq, __ATOMIC_RELEASE);
	return true;
}

void slot_reply(struct ctx *c, struct ck *ck, const struct msg_hdr *h, const void *data)
{
	struct msg_root *m = msg_root(ck);
	struct msg_slot *s = h->slot < MSG_SLOTS ? m->slot[h->slot] : NULL;

	if (!s || !(unlikely(s->many) ? slot_reply_part(s, h, data)
				      : slot_reply_one(s, h, data)))
		return;
	if (h->slot == c->slot && ck == c->ck)
		return; /* our own: we are awake */
	m->wakes[ck->core] |= 1ULL << slot_vector(h->slot);
	m->unsent |= 1ULL << ck->core;
}

/* The number first: who is killed right after it has not sent anything, so what else the slot says
 * of the call is not believed (msg_slot_reply finds no reply). */
u32 msg_call_prepare(struct ctx *c, u32 type, u32 dst)
{
	struct msg_slot *s = slot_of_ctx(c);
	u32 seq = s->call_seq + 1;

	s->many = 0;
	__atomic_store_n(&s->call_seq, seq, __ATOMIC_RELEASE);
	__atomic_store_n(&s->call_type, type, __ATOMIC_RELEASE);
	__atomic_store_n(&s->call_dst, dst, __ATOMIC_RELEASE);
	return seq;
}

u32 msg_call_prepare_many(struct ctx *c, u32 count)
{
	struct msg_slot *s = slot_of_ctx(c);
	u32 first = s->call_seq + 1;

	BUG_ON(!s->room || !count || count > MAX_CORES);
	/* A late reply to an earlier call may come at any moment: its number fits at none. */
	s->many = 0;
	compiler_barrier();
	s->call_seq += count;
	s->call_type = 0; /* its replies are not kept for others */
	s->done = 0;
	s->want = ~0ULL;
	compiler_barrier();
	s->many = count;
	return first;
}

u32 msg_call_next(struct ctx *c)
{
	return slot_of_ctx(c)->call_seq + 1;
}

bool msg_slot_call(struct ck *ck, u32 slot, u32 *seq, u32 *type, u32 *dst)
{
	struct msg_slot *s = slot < MSG_SLOTS ? msg_root(ck)->slot[slot] : NULL;

	if (!s || !s->call_seq)
		return false;
	*seq = s->call_seq;
	*type = s->call_type;
	*dst = s->call_dst;
	return true;
}

bool msg_slot_reply(struct ck *ck, u32 slot, u32 seq, s32 *status, const u8 **data,
		    u32 *len)
{
	struct msg_slot *s = slot < MSG_SLOTS ? msg_root(ck)->slot[slot] : NULL;

	if (!s || s->call_seq != seq || s->done_seq != seq)
		return false;
	*status = s->status;
	*data = s->data;
	*len = s->len;
	return true;
}

u8 *msg_call_buffer(struct ctx *c)
{
	struct msg_slot *s = slot_of_ctx(c);

	BUG_ON(!s->room);
	return s->data;
}

static bool call_done(const struct msg_slot *s, u32 seq)
{
	if (unlikely(s->many))
		return (__atomic_load_n(&s->done, __ATOMIC_ACQUIRE) & s->want) == s->want;
	return __atomic_load_n(&s->done_seq, __ATOMIC_ACQUIRE) == seq;
}

/* Spinning helps only while one of the other cores runs on another CPU. */
static bool may_spin(const struct ctx *c, u64 dsts)
{
	const struct super *s = c->isl->super;

	for (; dsts; dsts &= dsts - 1) {
		u32 dst = (u32)__builtin_ctzll(dsts);

		if (s->cpu[dst % s->cpus] != s->cpu[c->core % s->cpus])
			return true;
	}
	return false;
}

static bool spin_for_reply(struct ctx *c, const struct msg_slot *s, u32 seq)
{
	struct doorbell *d = doorbell(c->isl, c->core);
	struct spin p = { .m = msg_root(c->ck), .mark = &d->poll_until };
	bool done;

	while (!(done = call_done(s, seq))) {
		if (__atomic_load_n(&d->pending, __ATOMIC_RELAXED))
			msg_drain(c);
		else if (!spin_on(&p))
			break;
	}
	__atomic_store_n(&d->poll_until, 0, __ATOMIC_SEQ_CST);
	msg_drain(c); /* what came while senders relied on us */
	return done || call_done(s, seq);
}

static void ring_agents(struct ctx *c, u64 cores)
{
	for (; cores; cores &= cores - 1)
		msg_ring(c->isl, (u32)__builtin_ctzll(cores), 0);
}

/* Sleeps until rung; each time anew rings the servers, whose agents may have been killed. */
static void sleep_for_reply(struct ctx *c, const struct msg_slot *s, u32 seq, u64 dsts)
{
	u32 vector = slot_vector(c->slot);

	while (!call_done(s, seq)) {
		u32 word = vector_prepare(c, vector);
		long r = 0;

		if (!msg_drain(c) && !call_done(s, seq)) {
			race_point("call looked", RACE_AT);
			ring_agents(c, dsts);
			r = vector_sleep(c, vector, word, -1, false);
		}
		vector_done(c, vector);
		if (r == -ETIMEDOUT && (msg_drain(c) || call_done(s, seq)))
			doorbell_late(c);
	}
}

s32 msg_call_wait(struct ctx *c, u32 seq, u32 dst, const u8 **data, u32 *len)
{
	struct msg_slot *s = slot_of_ctx(c);

	if (!may_spin(c, 1ULL << dst) || !spin_for_reply(c, s, seq))
		sleep_for_reply(c, s, seq, 1ULL << dst);
	*data = s->data;
	*len = s->len;
	return s->status;
}

void msg_call_wait_many(struct ctx *c, u32 sent, u64 dsts)
{
	struct msg_slot *s = slot_of_ctx(c);

	s->want = sent < 64 ? (1ULL << sent) - 1 : ~0ULL;
	if (!may_spin(c, dsts) || !spin_for_reply(c, s, s->call_seq))
		sleep_for_reply(c, s, s->call_seq, dsts);
}

s32 msg_call_part(struct ctx *c, u32 i, const u8 **data, u32 *len)
{
	const struct msg_part *p = slot_part(slot_of_ctx(c), i);

	*data = p->data;
	*len = p->len;
	return p->status;
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

/* --- threads in host calls --- */

static void poke_lock(struct ctx *c, struct msg_slot *s)
{
	u32 was = 0;

	while (!__atomic_compare_exchange_n(&s->poke_lock, &was, c->tid, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		if (was == c->tid || ck_thread_dead(was)) {
			if (__atomic_compare_exchange_n(&s->poke_lock, &was, c->tid,
							false, __ATOMIC_SEQ_CST,
							__ATOMIC_SEQ_CST))
				return;
		}
		SYS(sched_yield);
		was = 0;
	}
}

static void poke(struct ctx *c, struct msg_slot *s)
{
	struct {
		s32 signo, error, code, pad, pid;
		u32 uid;
		u64 value;
		u8 rest[128 - 32];
	} info = { .signo = 31 /* SIGSYS */,
		   .code = -1 /* SI_QUEUE */,
		   .value = MSG_POKE };
	u32 pid;

	poke_lock(c, s);
	pid = __atomic_load_n(&s->poll_pid, __ATOMIC_SEQ_CST);
	if (pid)
		SYS(rt_tgsigqueueinfo, pid, s->tid, info.signo, &info);
	__atomic_store_n(&s->poke_lock, 0, __ATOMIC_SEQ_CST);
}

void msg_poke_begin(struct ctx *c, u32 pid)
{
	__atomic_store_n(&slot_of_ctx(c)->poll_pid, pid, __ATOMIC_RELEASE);
}

void msg_poke_end(struct ctx *c)
{
	struct msg_slot *s = slot_of_ctx(c);

	__atomic_store_n(&s->poll_pid, 0, __ATOMIC_SEQ_CST);
	/* Who pokes took the lock before he looked at poll_pid. */
	if (likely(!__atomic_load_n(&s->poke_lock, __ATOMIC_SEQ_CST)))
		return;
	poke_lock(c, s);
	__atomic_store_n(&s->poke_lock, 0, __ATOMIC_RELEASE);
}

bool msg_poll_begin(struct ctx *c, u32 seq)
{
	struct doorbell *d = doorbell(c->isl, c->core);

	__atomic_fetch_add(&d->pollers[slot_vector(c->slot)], 1, __ATOMIC_SEQ_CST);
	msg_poke_begin(c, (u32)SYS(getpid));
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	msg_drain(c);
	return msg_event_came(c, seq);
}

void msg_poll_end(struct ctx *c)
{
	struct doorbell *d = doorbell(c->isl, c->core);

	msg_poke_end(c);
	__atomic_fetch_sub(&d->pollers[slot_vector(c->slot)], 1, __ATOMIC_SEQ_CST);
}

/* Never goes back: a late event of an earlier wait must not hide that of this one. True when it
 * is news. */
static bool event_mark(struct ctx *c, u32 core, u32 slot, u32 seq)
{
	struct msg_root *m = msg_root(mem_ck(c->isl, core));
	struct msg_slot *s = slot < MSG_SLOTS ? m->slot[slot] : NULL;
	u32 was;

	if (!s || !seq)
		return false;
	was = __atomic_load_n(&s->event_set, __ATOMIC_SEQ_CST);
	do {
		if ((s32)(seq - was) <= 0 && was)
			return false;
	} while (!__atomic_compare_exchange_n(&s->event_set, &was, seq, false,
					      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	if (unlikely(__atomic_load_n(&s->poll_pid, __ATOMIC_SEQ_CST)))
		poke(c, s);
	return slot != c->slot || core != c->core; /* we are awake */
}

void msg_event_set(struct ctx *c, u32 core, u32 slot, u32 seq)
{
	if (event_mark(c, core, slot, seq))
		msg_ring(c->isl, core, slot_vector(slot));
}

void msg_event_post(struct ctx *c, struct ck *ck, u32 core, u32 slot, u32 seq)
{
	struct msg_root *m = msg_root(ck);

	if (!event_mark(c, core, slot, seq))
		return;
	m->wakes[core] |= 1ULL << slot_vector(slot);
	m->unsent |= 1ULL << core;
}

static bool event_came(const struct msg_slot *s, u32 seq)
{
	return __atomic_load_n(&s->event_set, __ATOMIC_SEQ_CST) == seq;
}

void msg_topic_set(struct ctx *c, u64 topic)
{
	struct msg_slot *s = slot_of_ctx(c);

	if (topic)
		__atomic_store_n(&s->topic, topic, __ATOMIC_SEQ_CST);
	else
		__atomic_store_n(&s->topic, 0, __ATOMIC_RELEASE);
}

/* Who has not set it yet will see the change. Who waits for something else by now is woken for
 * nothing. */
void msg_topic_post(struct ctx *c, u64 topic)
{
	struct msg_root *m = msg_root(c->ck);

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (u32 i = 1; i < MSG_SLOTS && m->slot[i]; i++) {
		struct msg_slot *s = m->slot[i];
		u64 what = __atomic_load_n(&s->topic, __ATOMIC_ACQUIRE);
		u32 seq = __atomic_load_n(&s->event_seq, __ATOMIC_RELAXED);

		if (what != topic && what != MSG_TOPIC_ANY)
			continue;
		/* Whoever marked it may have been killed before he poked. */
		if (event_came(s, seq) && s->poll_pid)
			poke(c, s);
		msg_event_post(c, c->ck, c->core, i, seq);
	}
}

bool msg_event_came(struct ctx *c, u32 seq)
{
	return event_came(slot_of_ctx(c), seq);
}

long msg_event_wait(struct ctx *c, u32 seq, s64 timeout_ns)
{
	struct msg_slot *s = slot_of_ctx(c);
	u32 vector = slot_vector(c->slot);
	u64 end = timeout_ns >= 0 ? host_monotonic_ns() + (u64)timeout_ns : 0;

	while (!event_came(s, seq)) {
		s64 left = timeout_ns < 0 ? -1 : (s64)(end - host_monotonic_ns());
		long r = 0;
		u32 word;

		if (timeout_ns >= 0 && left <= 0)
			return -ETIMEDOUT;
		if (host_signal_pending())
			return -HARE_ERESTARTSYS;
		word = vector_prepare(c, vector);
		if (!msg_drain(c) && !event_came(s, seq)) {
			race_point("event looked", RACE_AT);
			r = vector_sleep(c, vector, word, left, true);
		}
		vector_done(c, vector);
		if (r == -EINTR || r == -HARE_ERESTARTSYS)
			return -HARE_ERESTARTSYS;
		if (r == -ETIMEDOUT && (timeout_ns < 0 || left > VECTOR_SLICE_NS))
			return 0; /* look again: the waker may have died before it woke us */
	}
	return 0;
}
