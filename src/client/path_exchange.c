/* SPDX-License-Identifier: MIT */
/*
 * RENAME_EXCHANGE of two names at different servers (at one server: RENAME). Inode I under (P, a),
 * J under (Q, b):
 *
 *   step  message                         (P, a)  (Q, b)  if it fails
 *   -     LINK I +1, unless a directory   I       J       -
 *   1     ADD_MAP (Q, b): I for J         I       I       b leads elsewhere by now: start over
 *   2     ADD_MAP (P, a): J for I         J       I       a leads elsewhere: b gets J back
 *   3     SET_PARENT of directories       J       I
 *   -     LINK I -1                       J       I
 *
 * No name is missing at any time. Between 1 and 2 both lead to I; whoever removes one of them then
 * drops a link that I really has, which is what the extra one is for: so when a is gone at step 2
 * the exchange did not happen, and when b is gone it did, just before.
 *
 * Steps of the intent; exchange_finish goes on from any of them, for the process itself and for who
 * recovers it:
 *
 *   intent   under way or to be done next              it failed
 *   FIRST    1                                         nothing was done
 *   SECOND   2                                         UNDO
 *   DONE     3                                         -
 *   UNDO     ADD_MAP (Q, b): J for I again: UNDONE     LOST
 *   LOST     b is another's: J's link goes; a directory, which nobody can have removed, gets the
 *            name if it is free
 */
#include "client/path.h"

static const struct cred g_any; /* what the program may do was seen to before */

#define TYPE_OF(dflags) ((dflags)&HS_IFMT) /* kept beside DIR_* in an intent */

static u32 server_of(const struct ctx *c, u64 dir, u32 dflags, const char *name)
{
	return rpc_entry_server(c, dir, dflags, name, strlen(name));
}

static void fill_add(struct req_ADD_MAP *q, u64 dir, const char *name, u64 ino,
		     u32 dflags)
{
	*q = (struct req_ADD_MAP){ .dir = dir,
				   .name = { .p = name, .len = (u32)strlen(name) },
				   .cred = &g_any,
				   .ino = ino,
				   .type = TYPE_OF(dflags),
				   .dflags = dflags & DIR_DISTRIBUTED };
}

/* The name leads to `ino` from now on, if it led to `expect`; -EAGAIN, -ENOENT: it did not. */
static void fill_swap(struct req_ADD_MAP *q, u64 dir, const char *name, u64 expect,
		      u64 ino, u32 dflags)
{
	fill_add(q, dir, name, ino, dflags);
	q->flags = MAP_EXCHANGE;
	q->expect = expect;
}

static long swap_step(struct task *t, struct intent_node *n, u32 srv,
		      const struct req_ADD_MAP *q, u32 step)
{
	struct rep_ADD_MAP p;

	return STEP_CALL(t, srv, ADD_MAP, add_map, q, &p, intent_mark(t, ck_, n, step));
}

/* Step 2. */
static long second(struct task *t, struct intent_node *n)
{
	const struct intent *it = &n->it;
	struct req_ADD_MAP q;

	fill_swap(&q, it->dir, it->name, it->ino, it->old_ino, it->old_dflags);
	return swap_step(t, n, server_of(&t->ctx, it->dir, it->dir_dflags, it->name), &q,
			 EXCHANGE_DONE);
}

/* Step 1 is taken back: b leads to J again. */
static long take_back(struct task *t, struct intent_node *n)
{
	const struct intent *it = &n->it;
	struct req_ADD_MAP q;

	fill_swap(&q, it->new_dir, it->new_name, it->ino, it->old_ino, it->old_dflags);
	return swap_step(t, n,
			 server_of(&t->ctx, it->new_dir, it->new_dflags, it->new_name),
			 &q, EXCHANGE_UNDONE);
}

/* Somebody removed b meanwhile, or replaced it: that was J's name. Ends the intent. */
static void lost(struct task *t, struct intent_node *n)
{
	const struct intent *it = &n->it;
	u32 srv = server_of(&t->ctx, it->new_dir, it->new_dflags, it->new_name);
	struct req_ADD_MAP q;
	struct rep_ADD_MAP p;

	if (TYPE_OF(it->old_dflags) != HS_IFDIR) {
		link_drop_end(t, n, it->old_ino);
		return;
	}
	fill_add(&q, it->new_dir, it->new_name, it->old_ino, it->old_dflags);
	(void)rpc_add_map(&t->ctx, srv, &q, &p);
	intent_end(t, n);
}

static void tell(struct task *t, const struct intent *it)
{
	if (TYPE_OF(it->ino_dflags) == HS_IFDIR)
		dir_set_parent(t, it->ino, it->new_dir, it->new_dflags, it->new_name);
	if (TYPE_OF(it->old_dflags) == HS_IFDIR)
		dir_set_parent(t, it->old_ino, it->dir, it->dir_dflags, it->name);
}

long exchange_finish(struct task *t, struct intent_node *n)
{
	const struct intent *it = &n->it;
	u32 end;

	if (it->step == EXCHANGE_SECOND && second(t, n))
		intent_step(t, n, EXCHANGE_UNDO);
	if (it->step == EXCHANGE_UNDO && take_back(t, n))
		intent_step(t, n, EXCHANGE_LOST);
	if (it->step == EXCHANGE_DONE)
		tell(t, it);
	end = it->step;
	if (end == EXCHANGE_LOST)
		lost(t, n);
	else
		intent_end(t, n);
	return end == EXCHANGE_DONE ? 0 : -ENOENT;
}

/* Step 1, as the program; sticky: whose J is matters. */
static long begin(struct task *t, const struct place *to, u32 sticky_owner,
		  struct intent_node *n)
{
	struct req_ADD_MAP q;

	fill_swap(&q, n->it.new_dir, n->it.new_name, to->ino, n->it.ino,
		  n->it.ino_dflags);
	q.cred = &t->proc->cred;
	q.sticky_owner = sticky_owner;
	return swap_step(t, n,
			 server_of(&t->ctx, to->dir, to->dir_dflags, n->it.new_name), &q,
			 EXCHANGE_SECOND);
}

/* An extra link of I, dropped exactly once whatever happens: an UNLINK without RM_MAP. */
static long hold_link(struct task *t, u64 ino, struct intent_node **held)
{
	struct intent it = { .op = INTENT_UNLINK, .ino = ino };
	struct req_LINK q = { .ino = ino, .delta = 1 };
	struct rep_LINK p;
	u32 srv = ino_server(ino);
	long r;

	*held = intent_begin(t, &it);
	if (!*held)
		return -ENOSPC;
	r = STEP_CALL(t, srv, LINK, link, &q, &p, TX_SET(ck_, (*held)->it.step, 1));
	if (r) {
		intent_end(t, *held);
		*held = NULL;
	}
	return r;
}

long exchange_apart(struct task *t, const struct place *from, const struct place *to,
		    u32 sticky_owner)
{
	struct intent it = { .op = INTENT_EXCHANGE,
			     .dir = from->dir,
			     .dir_dflags = from->dir_dflags,
			     .new_dir = to->dir,
			     .new_dflags = to->dir_dflags,
			     .ino = from->ino,
			     .ino_type = from->type,
			     .old_type = to->type,
			     .ino_dflags = from->dflags | from->type,
			     .old_ino = to->ino,
			     .old_dflags = to->dflags | to->type };
	struct intent_node *n, *held = NULL;
	long r = 0;

	if (from->ino == to->ino)
		return 0;
	memcpy(it.name, from->name, from->name_len + 1);
	memcpy(it.new_name, to->name, to->name_len + 1);
	if (from->type != HS_IFDIR)
		r = hold_link(t, from->ino, &held);
	if (r)
		return r == -ENOENT ? -EAGAIN : r; /* removed meanwhile */
	n = intent_begin(t, &it);
	r = n ? begin(t, to, sticky_owner, n) : -ENOSPC;
	if (r == -ENOENT)
		r = -EAGAIN;
	if (!r)
		r = exchange_finish(t, n);
	else if (n)
		intent_end(t, n);
	if (held)
		link_drop_end(t, held, from->ino);
	if (!r)
		notify_exchanged(t, &it);
	return r;
}
