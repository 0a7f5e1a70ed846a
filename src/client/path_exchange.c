/* SPDX-License-Identifier: MIT */
/*
 * RENAME_EXCHANGE of two names at different servers (at one server: RENAME). Inode I under (P, a),
 * J under (Q, b):
 *
 *   step  message                         (P, a)  (Q, b)     if it fails
 *   1     ADD_MAP (Q, b): I for J         I       I pending  b leads elsewhere by now: start over
 *   2     ADD_MAP (P, a): J for I         J       I pending  a leads elsewhere: b gets J back
 *   3     CONFIRM to b's server, of       J       I          sent by a's server in the transaction of 2
 *         directories SET_PARENT
 *
 * No name is missing at any time. Between 1 and 2 both lead to I. Nobody else can take b away then, for it
 * is pending (path_rename.c), and who takes a away takes I's only link: so the exchange did not
 * happen, and starts over.
 *
 * Steps of the intent; exchange_finish goes on from any of them, for the process itself and for who
 * recovers it:
 *
 *   intent   under way or to be done next              it failed
 *   FIRST    1                                         nothing was done
 *   SECOND   2 and 3                                   UNDO
 *   DONE     -                                         -
 *   UNDO     ADD_MAP (Q, b): J for I again: UNDONE     cannot be
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
		      const struct req_ADD_MAP *q, u32 step, u32 *busy)
{
	struct rep_ADD_MAP p = { .busy = 0 };
	long r = STEP_CALL(t, srv, ADD_MAP, add_map, q, &p, intent_mark(t, ck_, n, step));

	*busy = p.busy;
	return r;
}

/* Steps 2 and 3. */
static long second(struct task *t, struct intent_node *n, u32 *busy)
{
	const struct intent *it = &n->it;
	struct req_ADD_MAP q;

	fill_swap(&q, it->dir, it->name, it->ino, it->old_ino, it->old_dflags);
	q.flags |= MAP_CONFIRM;
	q.confirm_dir = it->new_dir;
	q.confirm_dflags = it->new_dflags;
	q.confirm_name.p = it->new_name;
	q.confirm_name.len = (u32)strlen(it->new_name);
	return swap_step(t, n, server_of(&t->ctx, it->dir, it->dir_dflags, it->name), &q,
			 EXCHANGE_DONE, busy);
}

/* Step 1 is taken back: b leads to J again. */
static long take_back(struct task *t, struct intent_node *n)
{
	const struct intent *it = &n->it;
	struct req_ADD_MAP q;

	u32 busy;

	fill_swap(&q, it->new_dir, it->new_name, it->ino, it->old_ino, it->old_dflags);
	q.flags |= MAP_UNDO;
	return swap_step(t, n,
			 server_of(&t->ctx, it->new_dir, it->new_dflags, it->new_name),
			 &q, EXCHANGE_UNDONE, &busy);
}

long exchange_finish(struct task *t, struct intent_node *n)
{
	const struct intent *it = &n->it;
	u32 busy = 0;
	bool done;

	if (it->step == EXCHANGE_SECOND && second(t, n, &busy))
		intent_step(t, n, EXCHANGE_UNDO);
	if (it->step == EXCHANGE_UNDO)
		(void)take_back(t, n);
	done = it->step == EXCHANGE_DONE;
	intent_end(t, n);
	if (busy)
		pending_wait();
	return done ? 0 : -EAGAIN;
}

/* Step 1, as the program; sticky: whose J is matters. */
static long begin(struct task *t, const struct place *to, u32 sticky_owner,
		  struct intent_node *n)
{
	struct req_ADD_MAP q;
	u32 busy;
	long r;

	fill_swap(&q, n->it.new_dir, n->it.new_name, to->ino, n->it.ino,
		  n->it.ino_dflags);
	q.flags |= MAP_PENDING;
	q.cred = &t->proc->cred;
	q.sticky_owner = sticky_owner;
	r = swap_step(t, n, server_of(&t->ctx, to->dir, to->dir_dflags, n->it.new_name),
		      &q, EXCHANGE_SECOND, &busy);
	if (r && busy)
		pending_wait();
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
	struct intent_node *n;
	long r;

	if (from->ino == to->ino)
		return 0;
	memcpy(it.name, from->name, from->name_len + 1);
	memcpy(it.new_name, to->name, to->name_len + 1);
	n = intent_begin(t, &it);
	r = n ? begin(t, to, sticky_owner, n) : -ENOSPC;
	if (r == -ENOENT)
		r = -EAGAIN;
	if (!r)
		r = exchange_finish(t, n);
	else if (n)
		intent_end(t, n);
	if (!r)
		notify_exchanged(t, &it);
	return r;
}
