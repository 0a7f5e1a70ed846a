/* SPDX-License-Identifier: MIT */
/*
 * Blocks for a server that has none left: asked from the others on its behalf, since servers wait
 * for nobody (fileserver/block.c has the picture). Called by whoever writes or allocates, after
 * -HARE_ESTEAL.
 *
 * When nothing is to be had, that has to be so at one moment: a block could be freed behind our
 * back at a server that was asked already, or be under way from one to another. So what the
 * servers count is compared over two rounds.
 */
#include <asm/errno.h>

#include "client/state.h"

#define ROUNDS_MAX 32
#define FALLOW	   1024 /* more than this is asked for only when all of it is there */

struct look {
	u64 sent, free, own; /* blocks; own: free at the one that ran out */
	u64 freed, in_flight; /* sums of what the servers count */
};

/* Asks all servers that may give to it, or until enough is on its way. want = 0: only looks. */
static void ask_all(struct task *t, u32 srv, u64 want, struct look *l)
{
	const struct super *s = t->ctx.isl->super;
	u32 cores = mem_block_cores(s);
	struct req_STEAL q = { .to = srv, .want = (u32)MIN(want, (u64)~0u >> 1) };
	struct rep_STEAL p;

	*l = (struct look){ 0 };
	for (u32 i = 1; i <= cores; i++) {
		u32 from = (srv + i) % cores;

		if (!mem_may_pass(s, from, srv) || rpc_steal(&t->ctx, from, &q, &p))
			continue;
		if (from == srv)
			l->own = p.blocks_free;
		l->sent += p.count;
		l->free += p.blocks_free;
		l->freed += p.freed;
		l->in_flight += p.gave - p.got;
		if (want && l->sent >= want)
			break;
	}
}

bool room_steal(struct task *t, u32 srv, u64 want)
{
	struct look now, before;

	ask_all(t, srv, 0, &before);
	if (want > FALLOW && before.free + before.in_flight < want)
		return false;
	for (u32 i = 0; i < ROUNDS_MAX; i++) {
		ask_all(t, srv, MAX(want, 1UL), &now);
		if (now.sent || now.own > before.own)
			return true;
		if (!now.in_flight && now.freed == before.freed)
			return false;
		before = now;
	}
	return false;
}

long room_write(struct task *t, u32 srv, struct req_WRITE *q, struct rep_WRITE *p)
{
	long r;

	q->flags |= IO_STEAL;
	while ((r = rpc_write(&t->ctx, srv, q, p)) == -HARE_ESTEAL)
		if (!room_steal(t, srv, q->data.len / PAGE_SIZE + 2))
			q->flags &= ~IO_STEAL;
	return r;
}

long room_blocks(struct task *t, u32 srv, struct req_BLOCKS *q, struct rep_BLOCKS *p)
{
	long r;

	if (q->flags & BLOCKS_ALLOC)
		q->flags |= BLOCKS_STEAL;
	while ((r = rpc_blocks(&t->ctx, srv, q, p)) == -HARE_ESTEAL)
		if (!room_steal(t, srv, 1))
			q->flags &= ~BLOCKS_STEAL;
	return r;
}

long room_fallocate(struct task *t, u32 srv, struct req_FALLOCATE *q,
		    struct rep_FALLOCATE *p)
{
	long r;

	q->steal = 1;
	while ((r = rpc_fallocate(&t->ctx, srv, q, p)) == -HARE_ESTEAL)
		if (!room_steal(t, srv, p->lack))
			q->steal = 0;
	return r;
}
