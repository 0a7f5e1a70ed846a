/* SPDX-License-Identifier: MIT */
/*
 * Making and serving RPCs. See rpc.h.
 *
 *   rpc_name()  near: lock the server's core kernel, run the handler, commit, flush, unlock
 *               far:  encode, send on the own core's ring, wait in the reply slot, decode
 *   receive()   a record that a drain found: decode, run the handler, post the reply; consuming
 *               the record, the handler's changes and the reply are one transaction
 *
 * Kill safety: whoever dies before the commit did nothing; after it whoever takes the lock over
 * publishes what was sent. A handler that commits half-way may be run again from its start if
 * its thread is killed after that, so what it commits half-way must bear repetition.
 */
#include <asm/errno.h>

#include "base/hash.h"
#include "base/host.h"
#include "base/sys.h"
#include "proto/codec.h"

#define REQ(...)
#define REP(...)

#define FULL_RING_NAP_NS 50000

/* Scratch of a core kernel for replies being made; used under its lock. */
struct rpc_scratch {
	struct rpc_core core;
	u8 bytes[MSG_DATA_MAX]; /* the BYTES of the reply that a handler makes */
	u8 record[MSG_DATA_MAX]; /* a message being encoded */
};

static struct rpc_scratch *scratch(struct ck *ck)
{
	return ck->root[CK_ROOT_TRACE];
}

u32 rpc_entry_server(const struct ctx *c, u64 dir, u32 dflags, const char *name,
		     size_t len)
{
	if (!(dflags & DIR_DISTRIBUTED))
		return ino_server(dir);
	return (u32)(hash_name(dir, name, len) % c->isl->super->servers);
}

const char *rpc_name(u32 id)
{
	switch (id) {
#define RPC(layer, NAME, name, kind, server, cost, doc, q, p)                            \
	case RPC_##NAME:                                                                 \
		return #NAME;
#include "proto/rpc.def"
#undef RPC
	default:
		return "?";
	}
}

long rpc_core_init(struct ck *ck)
{
	struct rpc_scratch *s = ck_alloc(ck, sizeof(*s));

	if (!s)
		return -ENOSPC;
	s->core.trace = ck_alloc(ck, sizeof(struct trace_ring));
	if (!s->core.trace)
		return -ENOSPC;
	TX_SET(ck, ck->root[CK_ROOT_TRACE], s);
	return 0;
}

void trace_add(struct ck *ck, const struct trace_rec *r)
{
	struct trace_ring *ring = trace_ring(ck);
	u64 i;

	if (!ring)
		return;
	i = __atomic_fetch_add(&ring->next, 1, __ATOMIC_RELAXED);
	ring->rec[i % TRACE_RECS] = *r;
}

void rpc_trace(struct ctx *c, u32 id, u64 start, long result, u32 where, u32 peer)
{
	u64 now = host_monotonic_ns();
	struct trace_rec r = {
		.time_ns = start,
		.tid = c->tid,
		.id = (u16)id,
		.result = result,
		.cost_ns = (u32)(now - start),
		.where = (u8)where,
		.peer = (u8)peer,
	};

	trace_add(c->ck, &r);
}

/* --- serving ---------------------------------------------------------------------------------- */

static __attribute__((always_inline)) inline long run_handler(struct rpc_env *e, u32 id,
							      const void *q, void *p)
{
	switch (id) {
#define RPC(layer, NAME, name, kind, server, cost, doc, rq, rp)                          \
	case RPC_##NAME:                                                                 \
		return layer##_##name(e, q, p);
#include "proto/rpc.def"
#undef RPC
	default:
		return -EBADMSG;
	}
}

bool rpc_is_two_way(u32 id)
{
	enum { CALL, ONEWAY };

	switch (id) {
#define RPC(layer, NAME, name, kind, server, cost, doc, q, p)                            \
	case RPC_##NAME:                                                                 \
		return kind == CALL;
#include "proto/rpc.def"
#undef RPC
	default:
		return false;
	}
}

union any_req {
#define RPC(layer, NAME, name, kind, server, cost, doc, q, p) struct req_##NAME name;
#include "proto/rpc.def"
#undef RPC
};
union any_rep {
#define RPC(layer, NAME, name, kind, server, cost, doc, q, p) struct rep_##NAME name;
#include "proto/rpc.def"
#undef RPC
};

static long post_reply(struct ctx *c, struct ck *ck, const struct msg_hdr *h, long status,
		       const union any_rep *rep)
{
	struct rpc_scratch *s = scratch(ck);
	struct msg_hdr out = *h;
	long len = rep ? rpc_encode_rep(h->type, rep, s->record, sizeof(s->record)) : 0;

	out.kind = MSG_REPLY;
	out.wake = h->slot;
	out.src = (u8)ck->core;
	out.status = (s32)(len < 0 ? len : status);
	out.len = len < 0 ? 0 : (u32)len;
	return msg_post(c, ck, h->src, &out, s->record);
}

static long handle(struct rpc_env *e, const struct msg_hdr *h, const void *data,
		   union any_rep *p)
{
	struct rpc_scratch *s = scratch(e->ck);
	union any_req q;
	struct cred cred;
	long r;

	rpc_clear_rep(h->type, p);
	rpc_place_rep(h->type, p, s->bytes, sizeof(s->bytes) - 512);
	r = rpc_decode_req(h->type, &q, data, h->len, &cred);
	if (r < 0)
		return r;
	do {
		r = run_handler(e, h->type, &q, p);
		if (r < 0)
			ck_abort(e->ck);
	} while (unlikely(r < 0) && ck_reclaimed(e->ck));
	return r;
}

static void forget_all(struct rpc_env *e)
{
	struct req_INVALIDATE q = { .kind = INVAL_ALL };
	struct rep_INVALIDATE p;

	client_invalidate(e, &q, &p);
}

static void receive(struct ctx *c, struct ck *ck, const struct msg_hdr *h,
		    const void *data)
{
	struct rpc_env e = { .c = c,
			     .ck = ck,
			     .srv = ck->core,
			     .core = h->src,
			     .slot = h->slot,
			     .far = true,
			     .replies = h->kind == MSG_REQUEST,
			     .unlocked = true };
	u64 start = trace_is_on(ck) ? host_monotonic_ns() : 0;
	union any_rep p;
	long r;

	if (h->kind == MSG_FORGET) {
		forget_all(&e);
		return;
	}
	if (h->type == RPC_NONE || h->type >= RPC_COUNT)
		return; /* a message that is none of ours: nothing to answer */
	r = handle(&e, h, data, &p);
	ck->counter[COUNT_SERVED(h->type)]++;
	if (h->kind == MSG_REQUEST && post_reply(c, ck, h, r, &p) < 0) {
		/* No memory even for the reply: nothing was done. The caller must hear of it, and
		 * for replies without payload there is a reserve. */
		ck_abort(ck);
		r = -ENOSPC;
		BUG_ON(post_reply(c, ck, h, r, NULL) < 0);
	}
	if (start)
		rpc_trace(c, h->type, start, r, 2, h->src);
}

void rpc_init(void)
{
	msg_set_receiver(receive);
}

/* --- calling ---------------------------------------------------------------------------------- */

/* Inlined into each stub with its constant id, so that a local call is a direct call. */
static __attribute__((always_inline)) inline long
call_near(struct ctx *c, u32 srv, u32 id, const void *q, void *p)
{
	struct ck *ck = mem_ck(c->isl, srv);
	struct rpc_env e = { .c = c,
			     .ck = ck,
			     .srv = srv,
			     .core = c->core,
			     .slot = c->slot,
			     .unlocked = true };
	long r;

	/* What other cores told this server before (FLUSH, CLOSE) comes first. */
	msg_drain_core(c, ck, srv);
	ck_lock(c, ck);
	do {
		r = run_handler(&e, id, q, p);
		if (r < 0)
			ck_abort(ck);
	} while (unlikely(r < 0) && ck_reclaimed(ck));
	ck->counter[COUNT_LOCAL(id)]++;
	msg_unlock(c, ck);
	return r;
}

static void send_request(struct ctx *c, u32 srv, const struct msg_hdr *h,
			 const u8 *record)
{
	struct {
		s64 sec, nsec;
	} nap = { 0, FULL_RING_NAP_NS };

	for (;;) {
		long r;

		ck_lock(c, c->ck);
		r = msg_send(c, c->ck, srv, h, record);
		if (!r)
			c->ck->counter[COUNT_SENT(h->type)]++;
		msg_unlock(c, c->ck); /* if the ring is full this wakes its reader */
		if (!r)
			return;
		if (!msg_drain(c)) /* serve those who wait for us */
			SYS(nanosleep, &nap, 0);
	}
}

static long decode_reply(u32 id, void *p, s32 status, const u8 *reply, u32 len)
{
	long r = 0;

	if (len)
		r = rpc_decode_rep(id, p, reply, len);
	else
		rpc_clear_rep(id, p);
	return r < 0 ? r : status;
}

static __attribute__((noinline)) long call_far(struct ctx *c, u32 srv, u32 id,
					       const void *q, void *p)
{
	struct msg_hdr h = { .type = (u16)id, .src = (u8)c->core, .slot = c->slot };
	u8 *buf = msg_call_buffer(c);
	bool call = rpc_is_two_way(id);
	const u8 *reply;
	s32 status;
	u32 got;
	long len;

	if (unlikely(srv >= c->isl->super->cores))
		return -ENOENT; /* an inode number that no server has */
	/* First: until then a late reply to the slot's last owner, who was killed, may come. */
	if (call)
		h.seq = msg_call_prepare(c, id, srv);
	len = rpc_encode_req(id, q, buf, MSG_DATA_MAX);
	if (len < 0)
		return len;
	h.len = (u32)len;
	h.kind = call ? MSG_REQUEST : MSG_ONEWAY;
	send_request(c, srv, &h, buf);
	rpc_race(id, RACE_SENT);
	if (!call)
		return 0;
	status = msg_call_wait(c, h.seq, srv, &reply, &got);
	return decode_reply(id, p, status, reply, got);
}

long rpc_late_reply(struct ctx *c, u32 slot, u32 since, u32 id, void *p)
{
	struct req_PING pq = { 0 };
	struct rep_PING pp;
	u32 seq, type, dst, len;
	const u8 *data;
	s32 status;
	long r;

	if (!msg_slot_call(c->ck, slot, &seq, &type, &dst) || (s32)(seq - since) < 0 ||
	    type != id)
		return -ENOMSG;
	/* Replies of one server come in order. */
	r = rpc_ping(c, dst, &pq, &pp);
	if (r || !msg_slot_reply(c->ck, slot, seq, &status, &data, &len))
		return -ENOMSG;
	r = decode_reply(id, p, status, data, len);
	return r == -EBADMSG ? -ENOMSG : r;
}

/* While `hare trace` listens; not inlined, so it goes through the switch of run_handler. */
static __attribute__((noinline)) long call_traced(struct ctx *c, u32 srv, u32 id,
						  const void *q, void *p)
{
	bool near = rpc_is_near(c, srv);
	u64 start = host_monotonic_ns();
	long r = near ? call_near(c, srv, id, q, p) : call_far(c, srv, id, q, p);

	rpc_trace(c, id, start, r, near ? 0 : 1, srv);
	return r;
}

static __attribute__((always_inline)) inline long rpc_call(struct ctx *c, u32 srv, u32 id,
							   const void *q, void *p)
{
	long r;

	rpc_race(id, RACE_ASK);
	if (unlikely(trace_is_on(c->ck)))
		r = call_traced(c, srv, id, q, p);
	else if (likely(rpc_is_near(c, srv)))
		r = call_near(c, srv, id, q, p);
	else
		r = call_far(c, srv, id, q, p);
	rpc_race(id, RACE_ANSWERED);
	return r;
}

/* --- broadcast -------------------------------------------------------------------------------- */

struct many {
	struct ctx *c;
	u32 id;
	const char *q;
	size_t q_step;
	char *p;
	size_t p_step;
	long *result;
};

static __attribute__((noinline)) void many_one(const struct many *m, u32 srv)
{
	m->result[srv] = rpc_call(m->c, srv, m->id, m->q + srv * m->q_step,
				  m->p + srv * m->p_step);
}

/* Sends to all of `far`; those that were sent, in the order of their numbers from `first` on. */
static u64 many_send(const struct many *m, u64 far, u32 first)
{
	struct msg_hdr h = { .type = (u16)m->id,
			     .kind = MSG_REQUEST,
			     .src = (u8)m->c->core,
			     .slot = m->c->slot,
			     .seq = first };
	u8 record[RPC_ALL_REQUEST_MAX];
	u64 sent = 0;

	for (; far; far &= far - 1) {
		u32 srv = (u32)__builtin_ctzll(far);
		long len = rpc_encode_req(m->id, m->q + srv * m->q_step, record,
					  sizeof(record));

		if (len < 0) {
			m->result[srv] = len;
			continue;
		}
		h.len = (u32)len;
		send_request(m->c, srv, &h, record);
		h.seq++;
		sent |= 1ULL << srv;
	}
	return sent;
}

static void many_far(const struct many *m, u64 far, u64 near)
{
	u64 start = trace_is_on(m->c->ck) ? host_monotonic_ns() : 0;
	u32 first = msg_call_prepare_many(m->c, (u32)__builtin_popcountll(far));
	u64 sent;
	u32 i;

	rpc_race(m->id, RACE_ASK);
	sent = many_send(m, far, first);
	rpc_race(m->id, RACE_SENT);
	m->c->ck->counter[COUNT_BROADCASTS]++;
	for (; near; near &= near - 1)
		many_one(m, (u32)__builtin_ctzll(near));
	msg_call_wait_many(m->c, (u32)__builtin_popcountll(sent), sent);
	for (i = 0; sent; i++, sent &= sent - 1) {
		u32 srv = (u32)__builtin_ctzll(sent);
		const u8 *reply;
		u32 len;
		s32 status = msg_call_part(m->c, i, &reply, &len);

		m->result[srv] =
			decode_reply(m->id, m->p + srv * m->p_step, status, reply, len);
		if (start)
			rpc_trace(m->c, m->id, start, m->result[srv], 1, srv);
	}
	rpc_race(m->id, RACE_ANSWERED);
}

void rpc_all(struct ctx *c, u32 id, u64 servers, const void *q, size_t q_step, void *p,
	     size_t p_step, long *result)
{
	const struct many m = { c, id, q, q_step, p, p_step, result };
	bool apart = c->isl->super->without & WITHOUT_BROADCAST;
	u64 far = 0, left;

	servers &= rpc_servers(c);
	for (left = servers; left; left &= left - 1)
		if (!rpc_is_near(c, (u32)__builtin_ctzll(left)))
			far |= left & -left;
	/* With one far server the near ones' handlers still run while it works. */
	if (far && !apart && servers & (servers - 1)) {
		many_far(&m, far, servers & ~far);
		return;
	}
	for (left = servers; left; left &= left - 1)
		many_one(&m, (u32)__builtin_ctzll(left));
}

static long post(struct rpc_env *e, u32 core, u32 id, const void *q)
{
	struct rpc_scratch *s = scratch(e->ck);
	struct msg_hdr h = { .type = (u16)id, .kind = MSG_ONEWAY, .src = (u8)e->srv };
	/* `bytes` may hold the reply being made, `record` does not yet. */
	long len = rpc_encode_req(id, q, s->record, sizeof(s->record));

	if (len < 0)
		return len;
	h.len = (u32)len;
	if (id == RPC_INVALIDATE) {
		/* Lookups drain before they look, so nobody need wake for an invalidation. */
		h.wake = MSG_WAKE_NONE;
		msg_post_or_forget(e->c, e->ck, core, &h, s->record);
		return 0;
	}
	if (e->replies && core == e->core)
		h.wake = MSG_WAKE_NONE; /* whom the reply wakes drains this first */
	else if (id == RPC_CONFIRM)
		h.wake = MSG_WAKE_NONE; /* who wants to know asks, and that wakes */
	else if (id == RPC_EVENT)
		h.wake = ((const struct req_EVENT *)q)->slot;
	return msg_post(e->c, e->ck, core, &h, s->record);
}

#define RPC(layer, NAME, name, kind, server, cost, doc, rq, rp)                          \
	long rpc_##name(struct ctx *c, u32 srv, const struct req_##NAME *q,              \
			struct rep_##NAME *p)                                            \
	{                                                                                \
		return rpc_call(c, srv, RPC_##NAME, q, p);                               \
	}                                                                                \
	long rpc_post_##name(struct rpc_env *e, u32 core, const struct req_##NAME *q)    \
	{                                                                                \
		return post(e, core, RPC_##NAME, q);                                     \
	}
#include "proto/rpc.def"
#undef RPC

void rpc_wake(struct rpc_env *e, u32 core, u32 slot, u32 seq)
{
	struct req_EVENT q = { .slot = slot, .seq = seq };

	if (mem_is_near(e->c->isl, core)) {
		if (e->unlocked)
			msg_event_post(e->c, e->ck, core, slot, seq);
		else
			msg_event_set(e->c, core, slot, seq);
		return;
	}
	/* When even the outbox is full the waiter finds out by looking again by itself. */
	(void)rpc_post_event(e, core, &q);
}
