/* SPDX-License-Identifier: MIT */
/*
 * Operations of several messages and what becomes of them when their process is killed.
 *
 * Before such an operation leaves something half done it records in proc.intents what it is at;
 * the agent finds the record when the process is dead and calls client_intent_recover. A record
 * is written and removed under the core's lock; `step` says which messages may be out.
 *
 *   op           step  state                                    recovery
 *   CREATE       0     inode made, ADD_MAP may be out           entry there: keep; else DESTROY
 *   UNLINK       0     entry removed, LINK -1 not sent          LINK -1
 *                1     LINK -1 may be out                       nothing: see below
 *   LINK         0     LINK +1 done, ADD_MAP may be out         entry there: keep; else LINK -1
 *   RENAME       0     target marked (if a directory)           ABORT the mark
 *                1     ADD_MAP may be out                       entry there: finish; else as 0
 *                2     RM_MAP done                              finish
 *                3     old target may have lost its link        SET_PARENT, COMMIT
 *   RMDIR        0     marked                                   ABORT
 *                1     RM_MAP may be out                        entry gone: COMMIT; else ABORT
 *   RENAME_LOCK  0     lock may be held                         give it back
 *
 * A dead process's last message was delivered when its send returned, and rings are in order: so
 * what the agent of the same core asks after that is answered after it.
 *
 * Where a step may or may not have been done and doing it twice would harm (LINK -1), it is not
 * repeated: an inode that nobody can reach costs memory, a link too few costs data.
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

/* --- recovery, in the agent ------------------------------------------------------------------ */

static const struct cred g_root_cred;

/* Whether dir/name is there, and whose: 0 when it is not, or cannot be told. */
static u64 entry_ino(struct ctx *c, u64 dir, u32 dflags, const char *name)
{
	struct req_RESOLVE q = { .dir = dir, .name = { .p = name, .len = (u32)strlen(name) },
				 .cred = &g_root_cred };
	struct rep_RESOLVE p;
	u32 srv = rpc_entry_server(c, dir, dflags, name, q.name.len);

	return rpc_resolve(c, srv, &q, &p) ? 0 : p.ino;
}

static void destroy(struct ctx *c, const struct intent *it)
{
	struct req_DESTROY q = { .ino = it->ino };
	struct rep_DESTROY p;
	u32 srv;

	if (it->ino_dflags & DIR_DISTRIBUTED) {
		struct req_SHARD sq = { .dir = it->ino, .op = SHARD_DROP };
		struct rep_SHARD sp;

		for (srv = 0; srv < c->isl->super->cores; srv++)
			rpc_shard(c, srv, &sq, &sp);
	}
	rpc_destroy(c, ino_server(it->ino), &q, &p);
}

/* COMMIT or ABORT at every server with a part of a marked directory. */
static void rmdir_phase(struct ctx *c, const struct intent *it, u64 dir, u32 dflags, u32 phase)
{
	struct req_RMDIR q = { .dir = dir, .phase = phase, .cred = &g_root_cred,
			       .owner = it->owner };
	struct rep_RMDIR p;
	u32 home = ino_server(dir);
	u32 srv;

	if (dflags & DIR_DISTRIBUTED)
		for (srv = 0; srv < c->isl->super->cores; srv++)
			if (srv != home)
				rpc_rmdir(c, srv, &q, &p);
	rpc_rmdir(c, home, &q, &p);
}

static void rename_finish(struct ctx *c, const struct intent *it)
{
	u32 srv = rpc_entry_server(c, it->dir, it->dir_dflags, it->name, strlen(it->name));
	struct req_RM_MAP q = { .dir = it->dir,
				.name = { .p = it->name, .len = (u32)strlen(it->name) },
				.cred = &g_root_cred, .flags = RM_MOVED, .expect = it->ino };
	struct rep_RM_MAP p;

	if (it->step < 2)
		rpc_rm_map(c, srv, &q, &p);
	if (it->step < 3 && it->old_ino && !(it->old_dflags & INTENT_OLD_DIR))
		link_drop(c, it->old_ino);
	if (it->old_ino && it->old_dflags & INTENT_OLD_DIR)
		rmdir_phase(c, it, it->old_ino, it->old_dflags, RMDIR_COMMIT);
	if (it->ino_dflags & INTENT_IS_DIR) {
		struct req_SET_PARENT sq = { .ino = it->ino, .parent = it->new_dir,
					     .parent_dflags = it->new_dflags,
					     .name = { .p = it->new_name,
						       .len = (u32)strlen(it->new_name) } };
		struct rep_SET_PARENT sp;

		rpc_set_parent(c, ino_server(it->ino), &sq, &sp);
	}
}

static void rename_recover(struct ctx *c, const struct intent *it)
{
	bool added = it->step >= 2;

	if (it->step == 1)
		added = entry_ino(c, it->new_dir, it->new_dflags, it->new_name) == it->ino;
	if (added)
		rename_finish(c, it);
	else if (it->old_ino && it->old_dflags & INTENT_OLD_DIR)
		rmdir_phase(c, it, it->old_ino, it->old_dflags, RMDIR_ABORT);
}

long client_intent_recover(struct ctx *c, struct ck *ck, const struct intent *it)
{
	struct req_RENAME_LOCK lq = { .op = 0, .owner = it->owner };
	struct rep_RENAME_LOCK lp;
	bool there;

	(void)ck;
	switch (it->op) {
	case INTENT_CREATE:
		if (entry_ino(c, it->dir, it->dir_dflags, it->name) != it->ino)
			destroy(c, it);
		return 0;
	case INTENT_UNLINK:
		return it->step == 0 ? link_drop(c, it->ino) : 0;
	case INTENT_LINK:
		there = entry_ino(c, it->dir, it->dir_dflags, it->name) == it->ino;
		return there ? 0 : link_drop(c, it->ino);
	case INTENT_RENAME:
		rename_recover(c, it);
		return 0;
	case INTENT_RMDIR:
		there = it->step == 0 ||
			entry_ino(c, it->dir, it->dir_dflags, it->name) == it->ino;
		rmdir_phase(c, it, it->ino, it->ino_dflags, there ? RMDIR_ABORT : RMDIR_COMMIT);
		return 0;
	case INTENT_RENAME_LOCK:
		return rpc_rename_lock(c, 0, &lq, &lp);
	default:
		return 0;
	}
}
