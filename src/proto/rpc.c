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

bool rpc_is_near(const struct ctx *c, u32 core)
{
	return !(c->isl->super->without & WITHOUT_LOCAL_CALLS) &&
	       mem_is_near(c->isl, core);
}

u32 rpc_entry_server(const struct ctx *c, u64 dir, u32 dflags, const char *name,
		     size_t len)
{
	if (!(dflags & DIR_DISTRIBUTED))
		return ino_server(dir);
	return (u32)(hash_name(dir, name, len) % c->isl->super->cores);
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

static void trace_rpc(struct ctx *c, u32 id, u64 start, long result, u32 where, u32 peer)
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
	if (!r)
		r = run_handler(e, h->type, &q, p);
	if (r < 0)
		ck_abort(e->ck);
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
		trace_rpc(c, h->type, start, r, 2, h->src);
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
	msg_drain_core(c, srv);
	ck_lock(c, ck);
	r = run_handler(&e, id, q, p);
	if (r < 0)
		ck_abort(ck);
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

static __attribute__((noinline)) long call_far(struct ctx *c, u32 srv, u32 id,
					       const void *q, void *p)
{
	struct msg_hdr h = { .type = (u16)id, .src = (u8)c->core, .slot = c->slot };
	u8 *buf = msg_call_buffer(c);
	bool call = rpc_is_two_way(id);
	long len = rpc_encode_req(id, q, buf, MSG_DATA_MAX);
	const u8 *reply;
	s32 status;
	u32 got;

	if (len < 0)
		return len;
	h.len = (u32)len;
	h.kind = call ? MSG_REQUEST : MSG_ONEWAY;
	if (call)
		h.seq = msg_call_prepare(c);
	send_request(c, srv, &h, buf);
	if (!call)
		return 0;
	status = msg_call_wait(c, h.seq, srv, &reply, &got);
	if (got) {
		long r = rpc_decode_rep(id, p, reply, got);

		if (r < 0)
			return r;
	} else {
		rpc_clear_rep(id, p);
	}
	return status;
}

long rpc_late_reply(struct ctx *c, u32 srv, u32 slot, u32 seq, u32 id, void *p)
{
	struct req_PING pq = { 0 };
	struct rep_PING pp;
	const u8 *data;
	s32 status;
	u32 len;
	long r = rpc_ping(c, srv, &pq, &pp);

	if (r || !msg_slot_reply(c->ck, slot, seq, &status, &data, &len))
		return -ENOMSG;
	if (!len) {
		rpc_clear_rep(id, p);
		return status;
	}
	r = rpc_decode_rep(id, p, data, len);
	return r < 0 ? -ENOMSG : status;
}

static __attribute__((always_inline)) inline long rpc_call(struct ctx *c, u32 srv, u32 id,
							   const void *q, void *p)
{
	bool near = rpc_is_near(c, srv);
	bool traced = trace_is_on(c->ck);
	u64 start = traced ? host_monotonic_ns() : 0;
	long r;

	if (unlikely(srv >= c->isl->super->cores))
		return -ENOENT; /* an inode number that no server has */
	r = near ? call_near(c, srv, id, q, p) : call_far(c, srv, id, q, p);
	if (unlikely(traced))
		trace_rpc(c, id, start, r, near ? 0 : 1, srv);
	return r;
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
	if (id == RPC_EVENT)
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
