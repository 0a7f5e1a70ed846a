/* SPDX-License-Identifier: MIT */
/*
 * Calls by which a description comes to count at a far server, exact when their process is killed.
 *
 * A far OPEN (or CREATE that opens) is counted by the server before the caller knows of it: who
 * is killed in between would leave an open that nobody closes. So before the call an intent is
 * recorded; the transaction that notes the open in its description ends that. Who finds the intent
 * after the process's death looks whether the call was answered (rpc_late_reply), and takes back
 * what was counted, in the transaction that ends the intent.
 *
 *   intent     step          ino                    ino_dflags       old_ino      new_dir
 *   FAR_OPEN   the RPC's id  0: in the reply of     the open's flags -            -
 *                            CREATE, PIPE, INOTIFY
 *   FAR_DUP    -             the inode              new references   shared id    -
 *   FAR_DUP    -             the inode              new references   0            the description
 *                                                   beside its own                that gets an id
 * A DUP that pushes the offset of one that is LOCAL again is the second of these: while no id is
 * noted as `shared` the offset here counts.
 */
#include "client/file.h"
#include "client/path.h"

struct intent_node *far_open_begin_far(struct task *t, u32 srv, u32 id, u64 ino,
				       u32 flags)
{
	struct intent it = {
		.op = INTENT_FAR_OPEN, .step = id, .ino = ino, .ino_dflags = flags
	};

	if (likely(rpc_is_near(&t->ctx, srv)))
		return NULL;
	vnode_asked(t);
	return intent_begin(t, &it);
}

struct intent_node *far_dup_begin(struct task *t, u64 ino, u64 shared, u32 refs,
				  struct ofd *moved)
{
	struct intent it = { .op = INTENT_FAR_DUP,
			     .ino = ino,
			     .ino_dflags = refs,
			     .new_dir = (u64)moved,
			     .old_ino = shared };

	return rpc_is_near(&t->ctx, ino_server(ino)) ? NULL : intent_begin(t, &it);
}

void far_noted(struct ck *ck, struct intent_node *n)
{
	if (unlikely(n))
		intent_drop(ck, n);
}

void far_failed(struct task *t, struct intent_node *n)
{
	if (n)
		intent_end(t, n);
}

long far_aware_open(struct task *t, struct ofd *o, const struct req_OPEN *q,
		    struct rep_OPEN *p)
{
	u32 srv = ino_server(q->ino);
	struct intent_node *n;
	struct vnode *v = NULL;
	long r;

	if (q->flags & O_TRUNC && !(q->flags & O_PATH))
		v = there_begin(t, q->ino);
	n = far_open_begin(t, srv, RPC_OPEN, q->ino, q->flags);
	r = STEP_CALL(t, srv, OPEN, open, q, p, TX_SET(ck_, o->ino, q->ino);
		      far_noted(ck_, n));
	if (r)
		far_failed(t, n);
	there_done(t, v, r ? NULL : &p->attr);
	return r;
}

/* --- recovery -------------------------------------------------------------------------------- */

/* A pipe's other end: the first one's is closed by close_and_end. */
static void close_writer(struct rpc_env *e, const struct req_CLOSE *q)
{
	struct req_CLOSE w = *q;

	w.flags = O_WRONLY;
	(void)rpc_post_close(e, ino_server(q->ino), &w);
}

/* `count` CLOSEs leave in the transaction that ends the intent. Without memory for them the open
 * stays, which is less harm than one close too many. */
static void close_and_end(struct task *t, struct intent_node *n,
			  const struct req_CLOSE *q, u32 count)
{
	struct rpc_env e;

	step_lock(t, t->ctx.core, &e);
	for (; count && rpc_post_close(&e, ino_server(q->ino), q) >= 0; count--)
		;
	if (n->it.op == INTENT_FAR_OPEN && n->it.step == RPC_PIPE)
		close_writer(&e, q);
	if (n->it.new_dir) {
		struct ofd *o = (struct ofd *)n->it.new_dir;

		/* What the dead one still holds of it is closed as a shared one. */
		TX_SET(e.ck, o->shared, q->ofd);
		TX_SET(e.ck, o->lock_owner, 0);
	}
	intent_drop(e.ck, n);
	msg_unlock(&t->ctx, e.ck);
}

/* The dead one was about to make a description shared: with its lock `busy` held. True when it
 * has no id by now; then its offset, which others may have moved since, goes to the server. */
static bool still_local(struct task *t, const struct ofd *o, u64 id)
{
	struct req_LSEEK q = { .ino = o->ino, .ofd = id, .off = (s64)o->off };
	struct rep_LSEEK p;

	if (o->shared)
		return false;
	if (o->kind == OFD_FILE)
		(void)rpc_lseek(&t->ctx, ino_server(o->ino), &q, &p);
	return true;
}

void far_recover(struct task *t, struct intent_node *n)
{
	const struct intent *it = &n->it;
	struct ofd *moved = (struct ofd *)it->new_dir;
	u32 id = it->op == INTENT_FAR_DUP ? RPC_DUP : it->step;
	struct req_CLOSE q = { .ino = it->ino,
			       .flags = it->ino_dflags,
			       .core = t->ctx.core };
	union {
		struct rep_OPEN open;
		struct rep_CREATE create;
		struct rep_DUP dup;
		struct rep_PIPE pipe;
		struct rep_INOTIFY inotify;
	} p = { 0 };

	if (rpc_late_reply(&t->ctx, it->slot, it->seq, id, &p) ||
	    (id == RPC_CREATE && !p.create.opened)) {
		intent_end(t, n);
		return;
	}
	if (id == RPC_CREATE)
		q.ino = p.create.ino;
	if (id == RPC_PIPE)
		q.ino = p.pipe.ino;
	if (id == RPC_INOTIFY)
		q.ino = p.inotify.ino;
	if (id == RPC_DUP)
		q.ofd = p.dup.ofd;
	if (moved)
		busy_lock(t, &moved->busy);
	/* A sharer here may have taken the lock over and done the same again: that id stands for
	 * the open now. The dead one's is left, which is less harm than one close too many. */
	if (!moved || still_local(t, moved, q.ofd))
		close_and_end(t, n, &q, id == RPC_DUP ? it->ino_dflags : 1);
	else
		intent_end(t, n);
	if (moved)
		busy_unlock(&moved->busy);
}
