/* SPDX-License-Identifier: MIT */
/*
 * Operations of several messages and what becomes of them when their process is killed.
 *
 * Before such an operation does anything it records in proc.intents what it is at; the agent
 * finds the record when the process is dead and calls client_intent_recover. `step` says how far
 * it came. At near servers step changes in the same transaction as what it counts (STEP_CALL), so
 * it is exact; at a far one it changes when the reply is in, so the call that follows the step
 * may have been made.
 *
 *   op           step  done so far                              recovery
 *   CREATE       0     inode made, if ino is not 0              DESTROY (far: entry there? keep)
 *                1     ADD_MAP                                  keep
 *   UNLINK       0     -                                        -
 *                1     RM_MAP                                   LINK -1
 *   LINK         0     far: perhaps LINK +1                     its late reply tells
 *                1     LINK +1                                  LINK -1 (far: entry there? keep)
 *                2     ADD_MAP                                  keep
 *   RENAME       0     target marked, if it is a directory      ABORT
 *                1     the same                                 ABORT (far: entry there? as 2)
 *                2     ADD_MAP                                  RM_MAP, then as 3
 *                3     RM_MAP                                   SET_PARENT, LINK -1 or COMMIT
 *                4     SET_PARENT, COMMIT                       -
 *   RMDIR        0     some parts marked                        ABORT
 *                1     all parts marked                         ABORT (far: entry gone? COMMIT)
 *                2     RM_MAP                                   COMMIT
 *   EXCHANGE     0     -                                        - (far: b leads to I? as 1)
 *                1     ADD_MAP of the second name               the rest, or taken back
 *                2     ADD_MAP of the first name                SET_PARENT
 *   RENAME_LOCK  0     lock may be held                         give it back
 *
 * A dead process's last message was delivered when its send returned, and rings are in order: so
 * what the agent of the same core asks after that is answered after it.
 *
 * A LINK -1 must not be done twice: it is sent in the transaction that ends the intent, or marked
 * in the one that does it. Where a far RM_MAP may or may not have run (UNLINK 0), nothing is
 * done: an inode that nobody can reach costs memory, a link too few costs data.
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
		n->it.owner = task_owner(t);
		list_init_fresh(&n->link);
		tx_list_add_tail(ck, &t->proc->intents, &n->link);
	}
	ck_unlock(ck);
	return n;
}

void intent_step(struct task *t, struct intent_node *n, u32 step)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	TX_SET(ck, n->it.step, step);
	ck_unlock(ck);
}

void intent_end(struct task *t, struct intent_node *n)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	tx_list_del(ck, &n->link);
	ck_free(ck, n);
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
	if (ok) {
		tx_list_del(e.ck, &n->link);
		ck_free(e.ck, n);
	} else {
		ck_abort(e.ck);
	}
	msg_unlock(&t->ctx, e.ck);
	return ok;
}

void link_drop_end(struct task *t, struct intent_node *n, u64 ino)
{
	struct req_LINK q = { .ino = ino, .delta = -1 };
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

/* --- recovery, in the agent ------------------------------------------------------------------ */

static const struct cred g_root_cred;

/* Whether dir/name is there, and whose: 0 when it is not, or cannot be told. */
static u64 entry_ino(struct ctx *c, u64 dir, u32 dflags, const char *name)
{
	struct req_RESOLVE q = { .dir = dir,
				 .name = { .p = name, .len = (u32)strlen(name) },
				 .cred = &g_root_cred };
	struct rep_RESOLVE p;
	u32 srv = rpc_entry_server(c, dir, dflags, name, q.name.len);

	return rpc_resolve(c, srv, &q, &p) ? 0 : p.ino;
}

static void destroy(struct ctx *c, const struct intent *it)
{
	struct req_DESTROY q = { .ino = it->ino };
	struct rep_DESTROY p;

	if (it->ino_dflags & DIR_DISTRIBUTED) {
		struct req_SHARD sq = { .dir = it->ino, .op = SHARD_DROP };

		(void)shards_all(c, &sq);
	}
	rpc_destroy(c, ino_server(it->ino), &q, &p);
}

static void rename_finish(struct ctx *c, const struct intent *it)
{
	u32 srv =
		rpc_entry_server(c, it->dir, it->dir_dflags, it->name, strlen(it->name));
	struct req_RM_MAP q = { .dir = it->dir,
				.name = { .p = it->name, .len = (u32)strlen(it->name) },
				.cred = &g_root_cred,
				.flags = RM_MOVED,
				.expect = it->ino };
	struct rep_RM_MAP p;
	struct req_SET_PARENT sq = { .ino = it->ino,
				     .parent = it->new_dir,
				     .parent_dflags = it->new_dflags,
				     .name = { .p = it->new_name,
					       .len = (u32)strlen(it->new_name) } };
	struct rep_SET_PARENT sp;

	if (it->step < 3)
		rpc_rm_map(c, srv, &q, &p);
	if (it->ino_dflags & INTENT_IS_DIR)
		rpc_set_parent(c, ino_server(it->ino), &sq, &sp);
	if (!it->old_ino)
		return;
	if (it->old_dflags & INTENT_OLD_DIR)
		dir_phase_end(c, it->old_ino, it->old_dflags, RMDIR_COMMIT, it->owner);
	else
		link_drop(c, it->old_ino);
}

static bool is_near(const struct ctx *c, u64 dir, u32 dflags, const char *name)
{
	return rpc_is_near(c, rpc_entry_server(c, dir, dflags, name, strlen(name)));
}

static void rename_recover(struct ctx *c, const struct intent *it)
{
	bool added = it->step >= 2;

	if (it->step == 1 && !is_near(c, it->new_dir, it->new_dflags, it->new_name))
		added = entry_ino(c, it->new_dir, it->new_dflags, it->new_name) ==
			it->ino;
	if (it->step > 3)
		return;
	if (added)
		rename_finish(c, it);
	else if (it->old_ino && it->old_dflags & INTENT_OLD_DIR)
		dir_phase_end(c, it->old_ino, it->old_dflags, RMDIR_ABORT, it->owner);
}

/* Whether the entry of a CREATE, LINK or RMDIR leads to its inode, when only looking can tell. */
static bool entry_there(struct ctx *c, const struct intent *it)
{
	return !is_near(c, it->dir, it->dir_dflags, it->name) &&
	       entry_ino(c, it->dir, it->dir_dflags, it->name) == it->ino;
}

static void rmdir_recover(struct ctx *c, const struct intent *it)
{
	bool gone = it->step == 2;

	if (it->step == 1 && !is_near(c, it->dir, it->dir_dflags, it->name))
		gone = !entry_there(c, it);
	dir_phase_end(c, it->ino, it->ino_dflags, gone ? RMDIR_COMMIT : RMDIR_ABORT,
		      it->owner);
}

long client_intent_recover(struct ctx *c, struct ck *ck, const struct intent *it)
{
	struct req_RENAME_LOCK lq = { .op = 0, .owner = it->owner };
	struct rep_RENAME_LOCK lp;
	struct rep_LINK link;

	(void)ck;
	switch (it->op) {
	case INTENT_CREATE:
		if (it->ino && it->step == 0 && !entry_there(c, it))
			destroy(c, it);
		return 0;
	case INTENT_UNLINK:
		return it->step == 1 ? link_drop(c, it->ino) : 0;
	case INTENT_LINK:
		return (it->step == 1 || !far_call_result(c, it, RPC_LINK, &link)) &&
				       !entry_there(c, it)
			       ? link_drop(c, it->ino)
			       : 0;
	case INTENT_RENAME:
		rename_recover(c, it);
		return 0;
	case INTENT_RMDIR:
		rmdir_recover(c, it);
		return 0;
	case INTENT_EXCHANGE:
		exchange_recover(c, it);
		return 0;
	case INTENT_RENAME_LOCK:
		return rpc_rename_lock(c, 0, &lq, &lp);
	default:
		return 0;
	}
}
