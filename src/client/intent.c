/* SPDX-License-Identifier: MIT */
/*
 * Operations of several messages and what becomes of them when their process is killed.
 *
 * Before such an operation does anything it records in proc.intents what it is at; who reaps the
 * process finds the record. `step` says how far it came. At near servers step changes in the same
 * transaction as what it counts (STEP_CALL), so it is exact. At far ones it changes when the reply
 * is in; but the reply outlives who waited for it, in its slot: so recovery first looks there
 * what became of the last call (g_edges), and then knows the step exactly too. It never looks at
 * names: by now they may lead elsewhere.
 *
 *   op           step  done so far                              recovery
 *   CREATE       0     inode made, if ino is not 0              DESTROY
 *                1     ADD_MAP                                  keep
 *   UNLINK       0     -                                        -
 *                1     RM_MAP                                   LINK -1
 *   LINK         0     -                                        -
 *                1     LINK +1                                  LINK -1
 *                2     ADD_MAP                                  keep
 *   RENAME             see path_rename.c                        rename_finish
 *   RMDIR        0     some parts marked                        ABORT
 *                1     all parts marked                         ABORT
 *                2     RM_MAP                                   COMMIT
 *   EXCHANGE           see path_exchange.c                      exchange_finish
 *   RENAME_LOCK  0     lock may be held                         give it back
 *   FAR_OPEN, FAR_DUP  see far_open.c
 *
 * Of intents of one thread that are open at once only one may have an edge for a call.
 *
 * A dead process's last message was delivered when its send returned, and rings are in order: so
 * what is asked from the same core after that is answered after it.
 *
 * Recovery may be killed too, and then done again by the next one. What must not be done twice (a
 * LINK -1, a CLOSE) is sent in the transaction that ends the intent, or marked in the one that does
 * it; what was found of the dead one's last call becomes the step first (catch_up).
 */
#include "client/path.h"

struct intent_node *intent_begin(struct task *t, const struct intent *it)
{
	struct ck *ck = t->ctx.ck;
	struct intent_node *n;

	ck_lock(&t->ctx, ck);
	n = ck_alloc(ck, sizeof(*n));
	if (n) {
		n->it = *it;
		n->it.owner = thread_owner(t);
		n->it.slot = t->ctx.slot;
		n->it.seq = msg_call_next(&t->ctx);
		list_init_fresh(&n->link);
		tx_list_add_tail(ck, &t->proc->intents, &n->link);
	}
	ck_unlock(ck);
	return n;
}

void intent_mark(struct task *t, struct ck *ck, struct intent_node *n, u32 step)
{
	TX_SET(ck, n->it.step, step);
	TX_SET(ck, n->it.seq, msg_call_next(&t->ctx));
}

void intent_step(struct task *t, struct intent_node *n, u32 step)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	intent_mark(t, ck, n, step);
	ck_unlock(ck);
}

void intent_drop(struct ck *ck, struct intent_node *n)
{
	tx_list_del(ck, &n->link);
	ck_free(ck, n);
}

void intent_end(struct task *t, struct intent_node *n)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	intent_drop(ck, n);
	ck_unlock(ck);
}

void step_lock(struct task *t, u32 srv, struct rpc_env *e)
{
	struct ctx *c = &t->ctx;

	*e = (struct rpc_env){ .c = c,
			       .ck = mem_ck(c->isl, srv),
			       .srv = srv,
			       .core = c->core,
			       .slot = c->slot,
			       .unlocked = true };
	msg_drain_core(c, e->ck, srv);
	ck_lock(c, e->ck);
}

/* By message, in the transaction that ends the intent; false when there is no memory. */
static bool link_drop_post(struct task *t, struct intent_node *n,
			   const struct req_LINK *q)
{
	struct rpc_env e;
	bool ok;

	step_lock(t, t->ctx.core, &e);
	ok = rpc_post_link(&e, ino_server(q->ino), q) >= 0;
	if (ok)
		intent_drop(e.ck, n);
	else
		ck_abort(e.ck);
	msg_unlock(&t->ctx, e.ck);
	return ok;
}

void link_drop_end(struct task *t, struct intent_node *n, u64 ino)
{
	struct req_LINK q = { .ino = ino, .delta = -1, .undo = n->it.op == INTENT_LINK };
	struct req_FSTAT fq = { .ino = ino };
	struct rep_LINK p;
	struct rep_FSTAT fp;
	u32 srv = ino_server(ino);

	if (!rpc_is_near(&t->ctx, srv) && link_drop_post(t, n, &q)) {
		/* Answered after it: whoever hears that this call is over sees the link gone. */
		rpc_fstat(&t->ctx, srv, &fq, &fp);
		return;
	}
	(void)STEP_CALL(t, srv, LINK, link, &q, &p, TX_SET(ck_, n->it.op, INTENT_NONE));
	intent_end(t, n);
}

void client_settle(struct ctx *c)
{
	u32 i;

	for (i = 0; i < c->isl->super->cores; i++) {
		struct ck *ck = mem_ck(c->isl, i);

		if (!mem_is_near(c->isl, i))
			continue;
		ck_lock(c, ck); /* takes over from a dead holder */
		ck_unlock(ck);
	}
}

/* --- recovery -------------------------------------------------------------------------------- */

/* The replies that say more than that a step was done. */
union reply {
	struct rep_CREATE create;
	struct rep_ADD_MAP add_map;
	struct rep_RM_MAP rm_map;
	struct rep_RENAME rename;
	struct rep_LINK link;
};

static void note_created(struct ck *ck, struct intent_node *n, const union reply *p)
{
	TX_SET(ck, n->it.ino, p->create.ino);
	TX_SET(ck, n->it.ino_dflags, p->create.dflags);
}
static void note_replaced(struct ck *ck, struct intent_node *n, const union reply *p)
{
	rename_note_added(ck, n, &p->add_map);
}
static void note_renamed(struct ck *ck, struct intent_node *n, const union reply *p)
{
	rename_note_renamed(ck, n, &p->rename);
}

/* Which call takes an operation from a step to the next; note does it when it is more. */
static const struct edge {
	u8 op, step, next;
	u16 id;
	void (*note)(struct ck *ck, struct intent_node *n, const union reply *p);
} g_edges[] = {
	{ INTENT_CREATE, 0, 0, RPC_CREATE, note_created },
	{ INTENT_CREATE, 0, 1, RPC_ADD_MAP, NULL },
	{ INTENT_UNLINK, 0, 1, RPC_RM_MAP, NULL },
	{ INTENT_LINK, 0, 1, RPC_LINK, NULL },
	{ INTENT_LINK, 1, 2, RPC_ADD_MAP, NULL },
	{ INTENT_RENAME, RENAME_ADD, 0, RPC_ADD_MAP, note_replaced },
	{ INTENT_RENAME, RENAME_ADD, 0, RPC_RENAME, note_renamed },
	{ INTENT_RENAME, RENAME_REMOVE, RENAME_DONE, RPC_RM_MAP, NULL },
	{ INTENT_RENAME, RENAME_UNDO, RENAME_UNDONE, RPC_RM_MAP, NULL },
	{ INTENT_RENAME, RENAME_UNDO, RENAME_UNDONE, RPC_ADD_MAP, NULL },
	{ INTENT_RMDIR, 1, 2, RPC_RM_MAP, NULL },
	{ INTENT_EXCHANGE, EXCHANGE_FIRST, EXCHANGE_SECOND, RPC_ADD_MAP, NULL },
	{ INTENT_EXCHANGE, EXCHANGE_SECOND, EXCHANGE_DONE, RPC_ADD_MAP, NULL },
	{ INTENT_EXCHANGE, EXCHANGE_UNDO, EXCHANGE_UNDONE, RPC_ADD_MAP, NULL },
};

/* Marks what the dead thread's last call has done, and that it is ours now. */
static void catch_up(struct task *t, struct intent_node *n)
{
	const struct edge *done = NULL;
	struct ck *ck = t->ctx.ck;
	union reply p;

	for (u32 i = 0; i < ARRAY_SIZE(g_edges) && !done; i++) {
		const struct edge *e = &g_edges[i];

		memset(&p, 0, sizeof(p)); /* and no room for BYTES */
		if (e->op == n->it.op && e->step == n->it.step &&
		    !rpc_late_reply(&t->ctx, n->it.slot, n->it.seq, e->id, &p))
			done = e;
	}
	ck_lock(&t->ctx, ck);
	if (done && done->note)
		done->note(ck, n, &p);
	else if (done)
		TX_SET(ck, n->it.step, done->next);
	TX_SET(ck, n->it.slot, t->ctx.slot);
	TX_SET(ck, n->it.seq, msg_call_next(&t->ctx));
	ck_unlock(ck);
}

static void rename_unlock(struct task *t, const struct intent *it)
{
	struct req_RENAME_LOCK q = { .op = 0, .owner = it->owner };
	struct rep_RENAME_LOCK p;

	(void)rpc_rename_lock(&t->ctx, 0, &q, &p);
}

void intent_recover(struct task *t, struct intent_node *n)
{
	struct intent *it = &n->it;

	if (it->op == INTENT_FAR_OPEN || it->op == INTENT_FAR_DUP) {
		far_recover(t, n);
		return;
	}
	catch_up(t, n);
	switch (it->op) {
	case INTENT_CREATE:
		if (it->ino && it->step == 0)
			inode_destroy(t, it->ino, it->ino_dflags);
		break;
	case INTENT_UNLINK:
	case INTENT_LINK:
		if (it->step == 1) {
			link_drop_end(t, n, it->ino);
			return;
		}
		break;
	case INTENT_RENAME:
		(void)rename_finish(t, n);
		return;
	case INTENT_EXCHANGE:
		(void)exchange_finish(t, n);
		return;
	case INTENT_RMDIR:
		dir_unmark(t, it->ino, it->ino_dflags,
			   it->step == 2 ? RMDIR_COMMIT : RMDIR_ABORT, it->owner);
		break;
	case INTENT_RENAME_LOCK:
		rename_unlock(t, it);
		break;
	default:
		break;
	}
	intent_end(t, n);
}
