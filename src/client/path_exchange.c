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
 * Killed after step 1 the agent does the rest, or takes step 1 back.
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

static void fill_swap(struct req_ADD_MAP *q, u64 dir, const char *name, u64 expect,
		      u64 ino, u32 dflags)
{
	fill_add(q, dir, name, ino, dflags);
	q->flags = MAP_EXCHANGE;
	q->expect = expect;
}

/* The name leads to `ino` from now on, if it led to `expect`; -EAGAIN, -ENOENT: it did not. */
static long swap(struct ctx *c, u64 dir, u32 dir_dflags, const char *name, u64 expect,
		 u64 ino, u32 dflags)
{
	struct req_ADD_MAP q;
	struct rep_ADD_MAP p;

	fill_swap(&q, dir, name, expect, ino, dflags);
	return rpc_add_map(c, server_of(c, dir, dir_dflags, name), &q, &p);
}

static u64 leads_to(struct ctx *c, u64 dir, u32 dir_dflags, const char *name)
{
	struct req_RESOLVE q = { .dir = dir,
				 .name = { .p = name, .len = (u32)strlen(name) },
				 .cred = &g_any };
	struct rep_RESOLVE p;

	return rpc_resolve(c, server_of(c, dir, dir_dflags, name), &q, &p) ? 0 : p.ino;
}

/* Step 1 is taken back: b leads to J again. When somebody removed it meanwhile, or replaced it, that
 * was J's name. */
static void take_back(struct ctx *c, const struct intent *it)
{
	struct req_ADD_MAP q;
	struct rep_ADD_MAP p;

	if (!swap(c, it->new_dir, it->new_dflags, it->new_name, it->ino, it->old_ino,
		  it->old_dflags))
		return;
	if (TYPE_OF(it->old_dflags) != HS_IFDIR) {
		link_drop(c, it->old_ino);
		return;
	}
	/* A directory that nobody removed must keep a name. */
	fill_add(&q, it->new_dir, it->new_name, it->old_ino, it->old_dflags);
	(void)rpc_add_map(c, server_of(c, it->new_dir, it->new_dflags, it->new_name), &q,
			  &p);
}

static void set_parent(struct ctx *c, u64 ino, u64 parent, u32 parent_dflags,
		       const char *name)
{
	struct req_SET_PARENT q = { .ino = ino,
				    .parent = parent,
				    .parent_dflags = parent_dflags,
				    .name = { .p = name, .len = (u32)strlen(name) } };
	struct rep_SET_PARENT p;

	rpc_set_parent(c, ino_server(ino), &q, &p);
}

/* After step 2, which gave r. */
static long finish(struct ctx *c, const struct intent *it, long r)
{
	if (r) {
		take_back(c, it);
		return r == -EAGAIN ? -ENOENT : r;
	}
	if (TYPE_OF(it->ino_dflags) == HS_IFDIR)
		set_parent(c, it->ino, it->new_dir, it->new_dflags, it->new_name);
	if (TYPE_OF(it->old_dflags) == HS_IFDIR)
		set_parent(c, it->old_ino, it->dir, it->dir_dflags, it->name);
	return 0;
}

/* Whether step 1 was done, when that server is far and its reply was not seen. */
static bool begun(struct ctx *c, const struct intent *it)
{
	u32 srv = server_of(c, it->new_dir, it->new_dflags, it->new_name);

	return !rpc_is_near(c, srv) &&
	       leads_to(c, it->new_dir, it->new_dflags, it->new_name) == it->ino;
}

void exchange_recover(struct ctx *c, const struct intent *it)
{
	long r = 0;

	if (it->step == 0 && !begun(c, it))
		return;
	if (it->step < 2)
		r = swap(c, it->dir, it->dir_dflags, it->name, it->ino, it->old_ino,
			 it->old_dflags);
	if (r == -EAGAIN && leads_to(c, it->dir, it->dir_dflags, it->name) == it->old_ino)
		r = 0; /* step 2 was done, at a far server */
	(void)finish(c, it, r);
}

/* Step 1, as the program; sticky: whose J is matters. */
static long begin(struct task *t, const struct place *to, u32 sticky_owner,
		  struct intent_node *n)
{
	struct req_ADD_MAP q;
	struct rep_ADD_MAP p;

	fill_swap(&q, n->it.new_dir, n->it.new_name, to->ino, n->it.ino,
		  n->it.ino_dflags);
	q.cred = &t->proc->cred;
	q.sticky_owner = sticky_owner;
	return STEP_CALL(t, server_of(&t->ctx, to->dir, to->dir_dflags, n->it.new_name),
			 ADD_MAP, add_map, &q, &p, TX_SET(ck_, n->it.step, 1));
}

static long second(struct task *t, struct intent_node *n)
{
	const struct intent *it = &n->it;
	u32 srv = server_of(&t->ctx, it->dir, it->dir_dflags, it->name);
	struct req_ADD_MAP q;
	struct rep_ADD_MAP p;
	long r;

	fill_swap(&q, it->dir, it->name, it->ino, it->old_ino, it->old_dflags);
	r = STEP_CALL(t, srv, ADD_MAP, add_map, &q, &p, TX_SET(ck_, n->it.step, 2));
	return finish(&t->ctx, it, r);
}

/* An extra link of I, dropped exactly once whatever happens: an INTENT_LINK that has no name. */
static long hold_link(struct task *t, u64 ino, struct intent_node **held)
{
	struct intent it = { .op = INTENT_LINK, .ino = ino };
	struct req_LINK q = { .ino = ino, .delta = 1 };
	struct rep_LINK p;
	u32 srv = ino_server(ino);
	long r;

	far_call_note(t, &it, srv);
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
	if (!r)
		r = second(t, n);
	else if (r == -ENOENT)
		r = -EAGAIN;
	if (n)
		intent_end(t, n);
	if (held)
		link_drop_end(t, held, from->ino);
	return r;
}
