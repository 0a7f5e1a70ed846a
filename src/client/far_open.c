/* SPDX-License-Identifier: MIT */
/*
 * Opens at far servers, exact when their process is killed.
 *
 * A far OPEN (or CREATE that opens) is counted by the server before the caller knows of it: who
 * is killed in between would leave an open that nobody closes. So before the call its slot and
 * number are recorded as an intent; the transaction that notes the open in its description ends
 * that. Who finds the intent after the process's death makes a call of its own to that server:
 * replies come in order, so the dead one's, if there is any, lies in its slot by then, whoever
 * drained it; and an open that it tells of is closed.
 *
 * A reference more of a shared description (DUP) is as exact: old_ino is its id.
 *
 *   intent: step the RPC's id, ino (0: in CREATE's reply), ino_dflags the open's flags,
 *           new_dflags the server, new_dir slot << 32 | call (far_call_note)
 */
#include "client/path.h"

void far_call_note(struct task *t, struct intent *it, u32 srv)
{
	if (likely(rpc_is_near(&t->ctx, srv)))
		return;
	it->new_dflags = srv;
	it->new_dir = (u64)t->ctx.slot << 32 | msg_call_next(&t->ctx);
}

long far_call_result(struct ctx *c, const struct intent *it, u32 id, void *rep)
{
	if (!it->new_dir)
		return -ENOMSG;
	return rpc_late_reply(c, it->new_dflags, (u32)(it->new_dir >> 32),
			      (u32)it->new_dir, id, rep);
}

struct intent_node *far_open_begin(struct task *t, u32 srv, u32 id, u64 ino, u32 flags)
{
	struct intent it = {
		.op = INTENT_FAR_OPEN, .step = id, .ino = ino, .ino_dflags = flags
	};

	if (likely(rpc_is_near(&t->ctx, srv)))
		return NULL;
	far_call_note(t, &it, srv);
	return intent_begin(t, &it);
}

struct intent_node *far_dup_begin(struct task *t, u32 srv, u64 ino, u64 shared)
{
	struct intent it = {
		.op = INTENT_FAR_OPEN, .step = RPC_DUP, .ino = ino, .old_ino = shared
	};

	if (likely(rpc_is_near(&t->ctx, srv)))
		return NULL;
	far_call_note(t, &it, srv);
	return intent_begin(t, &it);
}

void far_open_noted(struct ck *ck, struct intent_node *n)
{
	if (likely(!n))
		return;
	tx_list_del(ck, &n->link);
	ck_free(ck, n);
}

void far_open_failed(struct task *t, struct intent_node *n)
{
	if (n)
		intent_end(t, n);
}

void far_open_recover(struct ctx *c, const struct intent *it)
{
	union {
		struct rep_OPEN open;
		struct rep_CREATE create;
		struct rep_DUP dup;
	} p = { 0 };
	struct req_CLOSE q = { .ino = it->ino,
			       .flags = it->ino_dflags,
			       .core = c->core,
			       .ofd = it->old_ino };
	struct rep_CLOSE rep;

	if (far_call_result(c, it, it->step, &p))
		return;
	if (it->step == RPC_CREATE) {
		if (!p.create.opened)
			return;
		q.ino = p.create.ino;
	}
	(void)rpc_close(c, it->new_dflags, &q, &rep);
}
