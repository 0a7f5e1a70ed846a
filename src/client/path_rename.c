/* SPDX-License-Identifier: MIT */
/*
 * rename, renameat, renameat2.
 *
 * Both names at one server, and nothing else to be asked: RENAME, one call, atomic. Otherwise,
 * moving inode I from (P, a) to (Q, b) where b may be an inode O:
 *
 *   step  message                       (P, a)  (Q, b)   why
 *   1     RENAME_LOCK to server 0       I       O        directories between parents only: so
 *                                                        that no two renames make a ring
 *   2     PARENT from Q up to the root  I       O        I above Q: EINVAL
 *   3     O a directory: MARK (rmdir)   I       O marked not empty: ENOTEMPTY
 *   4     ADD_MAP (Q, b) -> I, REPLACE  I       I pending  atomic for who looks b up
 *   5     RM_MAP (P, a), expect I       -       I pending  a leads elsewhere: undo 4, look again
 *   6     CONFIRM to b's server, and of   -     I        sent by a's server in the transaction of 5
 *         a directory SET_PARENT to its home
 *   7     O: LINK -1, or COMMIT         -       I
 *
 * With O marked and both names at one server, RENAME does 4 to 6 at once. It moves what a leads to then:
 * the names were looked up before, and may lead elsewhere by now. But a directory between parents must
 * be the one that step 2 was about, or it may be put below itself; else all starts over.
 *
 * RENAME_WHITEOUT: in step 5 (P, a) does not go, but leads to a new device 0/0 of a's server. Without
 * memory for that step 4 is taken back.
 *
 * A new name that only a message could tell of is not looked up before: the intent has from the reply what
 * stood there.
 *
 * Exchanging two names at different servers: path_exchange.c.
 *
 * The race of step 5: a is removed, or renamed by another, between the lookup and RM_MAP. Then b
 * leads to O again. That must still be possible, and what was done by way of b in between must not
 * have been for nothing: so b is pending until the rename is decided, and who would remove, rename or
 * replace it waits. Without that two renames of a directory, one of which fails, and a removal by
 * the one's new name left the other's leading nowhere:
 *
 *   step  a -> b             a -> c             rmdir c         a  b  c
 *   1     ADD_MAP b          ADD_MAP c                          I  I  I (b, c pending)
 *   2                                           waits
 *   3     RM_MAP a: DONE                                        -  I  I (c pending)
 *   4                        RM_MAP a: ENOENT
 *   5                        takes c back       ENOENT          -  I  -
 *
 * A rename that finds its old name pending does not wait while its new one is: it takes that back
 * first, so that no two wait for each other.
 *
 * Steps of the intent. rename_finish goes on from any of them, for the process itself and for who
 * recovers it:
 *
 *   intent   done so far                       next
 *   BEGUN    O perhaps marked                  ABORT
 *   ADD      the same; 4 is under way          ABORT
 *   REMOVE   4                                 5; a was gone: UNDO
 *   DONE     5 and 6                           7
 *   TOLD     RENAME                            7
 *   UNDO     4, a gone                         ADD_MAP (Q, b) -> O for I; RM_MAP if there was no O
 *   UNDONE   all as before                     ABORT
 */
#include "client/path.h"

#include <linux/fs.h>

/* A rename under way. */
struct moving {
	struct place from, to;
	u32 flags; /* RENAME_* */
	bool is_dir;
	bool locked; /* RENAME_LOCK held */
	bool entered; /* the new name leads to the inode, and its server knows that this core caches that */
	bool sticky; /* the new name's directory: who owns what is replaced matters */
	bool one_server; /* both names are at one server, which may do it all */
	bool stale; /* a directory came to a name after it was looked up: start over */
	struct intent_node *intent, *lock_intent;
};

/* --- the parts -------------------------------------------------------------------------------------- */

static long lock_call(struct task *t, u32 op)
{
	struct req_RENAME_LOCK q = { .op = op, .owner = thread_owner(t) };
	struct rep_RENAME_LOCK p;
	long r;

	for (;;) {
		r = rpc_rename_lock(&t->ctx, 0, &q, &p);
		if (r != -EAGAIN)
			return r;
		if (q.wait_seq)
			retry_wait(t, q.wait_seq);
		q.wait_seq = msg_event_prepare(&t->ctx);
	}
}

static long lock_take(struct task *t, struct moving *m)
{
	struct intent it = { .op = INTENT_RENAME_LOCK };
	long r;

	m->lock_intent = intent_begin(t, &it);
	if (!m->lock_intent)
		return -ENOSPC;
	r = lock_call(t, 1);
	m->locked = r == 0;
	return r;
}

static void lock_give(struct task *t, struct moving *m)
{
	if (m->locked)
		lock_call(t, 0);
	if (m->lock_intent)
		intent_end(t, m->lock_intent);
	m->locked = false;
	m->lock_intent = NULL;
}

/* -EINVAL when directory ino is dir or above it. */
static long loop_check(struct task *t, u64 ino, u64 dir)
{
	int depth = 0;

	while (dir != INO_ROOT) {
		struct req_PARENT q = { .ino = dir };
		struct rep_PARENT p = { .name = { .p = NULL } };
		long r;

		if (dir == ino)
			return -EINVAL;
		r = rpc_parent(&t->ctx, ino_server(dir), &q, &p);
		if (r || ++depth > PATH_LEN_MAX)
			return r ? r : -ELOOP;
		dir = p.parent;
	}
	return dir == ino ? -EINVAL : 0;
}

static u32 owner_of(struct task *t, u64 ino)
{
	struct attr a;

	return ino && !attr_get(t, ino, &a) ? a.uid : ~0u;
}

static void forget_both(struct task *t, const struct moving *m)
{
	cache_forget(t, m->from.dir, m->from.dir_dflags, m->from.name, m->from.name_len);
	cache_forget(t, m->to.dir, m->to.dir_dflags, m->to.name, m->to.name_len);
}

/* What the new name's server told by its reply: it leads to the inode that was moved. */
static void learn_moved(struct task *t, const struct moving *m, u64 mark)
{
	cache_forget(t, m->from.dir, m->from.dir_dflags, m->from.name, m->from.name_len);
	cache_learn(t, mark, &m->to, m->from.ino, m->from.type, m->from.dflags);
}

/* --- checks --------------------------------------------------------------------------------------------- */

static long may_write_to(struct task *t, u64 ino)
{
	struct attr a;
	long r = attr_get(t, ino, &a);

	return r ? r : perm_check(&t->proc->cred, a.mode, a.uid, a.gid, MAY_WRITE);
}

/* Whether names may be taken out of and put into the directories, as Linux's may_delete and
 * may_create ask in this order. The servers check again what they can see. */
static long allowed(struct task *t, struct moving *m)
{
	const struct cred *cred = &t->proc->cred;
	struct perm p;
	long r;

	m->sticky = false;
	if (cred->uid == 0)
		return 0;
	r = dir_may_write(t, m->from.dir, &p);
	if (!r && p.mode & HS_ISVTX) {
		r = sticky_check(cred, &p, owner_of(t, m->from.ino));
		m->one_server = false; /* which knows the owners of its own inodes only */
	}
	if (!r)
		r = dir_may_write(t, m->to.dir, &p);
	m->sticky = (p.mode & HS_ISVTX) != 0;
	m->one_server &= !m->sticky;
	if (!r && m->to.ino && m->sticky)
		r = sticky_check(cred, &p, owner_of(t, m->to.ino));
	if (r || m->from.dir == m->to.dir)
		return r;
	/* `..` of a directory itself changes. */
	if (m->is_dir)
		r = may_write_to(t, m->from.ino);
	if (!r && m->flags & RENAME_EXCHANGE && m->to.type == HS_IFDIR)
		r = may_write_to(t, m->to.ino);
	return r;
}

/* A slash at the end where no directory is. */
static long slashes_fit(const struct moving *m)
{
	const struct place *from = &m->from, *to = &m->to;

	if (!m->is_dir &&
	    (from->must_dir || (to->must_dir && !(m->flags & RENAME_EXCHANGE))))
		return -ENOTDIR;
	if (m->flags & RENAME_EXCHANGE && to->must_dir && to->type != HS_IFDIR)
		return -ENOTDIR;
	return 0;
}

static long types_fit(const struct moving *m)
{
	const struct place *from = &m->from, *to = &m->to;

	if (m->flags & RENAME_EXCHANGE || !to->ino || to->ino == from->ino)
		return 0;
	if (m->is_dir && to->type != HS_IFDIR)
		return -ENOTDIR;
	if (!m->is_dir && to->type == HS_IFDIR)
		return -EISDIR;
	return 0;
}

/* --- the general way ------------------------------------------------------------------------------------- */

/* What was marked, or is about to be, stands in the intent. */
static void note_marked(struct task *t, struct intent_node *n, u64 dir, u32 dflags)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	TX_SET(ck, n->it.marked, dir);
	TX_SET(ck, n->it.marked_dflags, dflags);
	ck_unlock(ck);
}

static void unmark(struct task *t, struct intent_node *n, u32 phase)
{
	if (!n->it.marked)
		return;
	dir_unmark(t, n->it.marked, n->it.marked_dflags, phase, n->it.owner);
	note_marked(t, n, 0, 0);
}

static long mark_target(struct task *t, struct moving *m)
{
	long r;

	if (m->intent->it.marked == m->to.ino)
		return 0;
	unmark(t, m->intent, RMDIR_ABORT);
	note_marked(t, m->intent, m->to.ino, m->to.dflags);
	r = dir_mark(t, m->to.ino, m->to.dflags);
	if (r)
		note_marked(t, m->intent, 0, 0);
	return r;
}

/* What stands under the new name now, marked when it is an (empty) directory. */
static long look_at_target(struct task *t, struct moving *m)
{
	struct place *to = &m->to;
	long r = cache_lookup(t, to->dir, to->dir_dflags, to->name, to->name_len, false,
			      to);

	if (r && r != -ENOENT)
		return r;
	if (r)
		to->ino = 0;
	if (to->ino && m->flags & RENAME_NOREPLACE)
		return -EEXIST;
	r = slashes_fit(m);
	if (!r)
		r = types_fit(m);
	if (r || !to->ino || to->type != HS_IFDIR || to->ino == m->from.ino)
		return r;
	return mark_target(t, m);
}

/* The intent knows what was really replaced. */
static void note_replaced(struct ck *ck, struct intent_node *n, u64 old, u32 type,
			  u32 dflags, u32 step)
{
	TX_SET(ck, n->it.old_ino, old);
	TX_SET(ck, n->it.old_type, old ? type & HS_IFMT : 0);
	TX_SET(ck, n->it.old_dflags, old ? dflags : 0);
	TX_SET(ck, n->it.step, step);
}

void rename_note_added(struct ck *ck, struct intent_node *n, const struct rep_ADD_MAP *p)
{
	if (!p->same)
		note_replaced(ck, n, p->old_ino, p->old_type, p->old_dflags,
			      RENAME_REMOVE);
}

void rename_note_renamed(struct ck *ck, struct intent_node *n, const struct rep_RENAME *p)
{
	if (!p->same)
		note_replaced(ck, n, p->old_done ? 0 : p->old_ino, p->old_type,
			      p->old_dflags, RENAME_TOLD);
}

/* What RENAME moved may be another file than was looked up. */
static void note_moved(struct task *t, struct moving *m, u32 srv,
		       const struct rep_RENAME *p)
{
	m->from.ino = p->ino;
	m->from.type = p->type & HS_IFMT;
	m->from.dflags = p->dflags;
	if (ino_server(p->ino) != srv)
		notify_moved(t, p->ino);
}

/* Steps 4 and 5 at once, with the target marked if it is a directory. */
static long rename_marked(struct task *t, struct moving *m, u32 srv, u32 wait_seq,
			  u32 *busy)
{
	const struct place *from = &m->from, *to = &m->to;
	struct req_RENAME q = { .dir = from->dir,
				.name = { .p = from->name, .len = from->name_len },
				.new_dir = to->dir,
				.new_name = { .p = to->name, .len = to->name_len },
				.cred = &t->proc->cred,
				.flags = m->flags,
				.expect = from->ino,
				.marked = m->intent->it.marked,
				.wait_seq = wait_seq };
	struct rep_RENAME p = { .busy = 0 };
	long r = STEP_CALL(t, srv, RENAME, rename, &q, &p,
			   rename_note_renamed(ck_, m->intent, &p));

	*busy = p.busy;
	m->entered = !r && !p.same;
	if (m->entered)
		note_moved(t, m, srv, &p);
	return r;
}

/* Step 4 alone; the intent says what was replaced. */
static long add_new(struct task *t, struct moving *m, u32 srv, u32 wait_seq, u32 *busy)
{
	const struct place *from = &m->from, *to = &m->to;
	struct req_ADD_MAP q = { .dir = to->dir,
				 .name = { .p = to->name, .len = to->name_len },
				 .cred = &t->proc->cred,
				 .ino = from->ino,
				 .type = from->type,
				 .dflags = from->dflags,
				 .flags = MAP_MOVED | MAP_PENDING |
					  (m->flags & RENAME_NOREPLACE ? 0 : MAP_REPLACE),
				 .marked = m->intent->it.marked,
				 .expect = to->ino,
				 .sticky_owner = ~0u,
				 .wait_seq = wait_seq };
	struct rep_ADD_MAP p = { .busy = 0 };
	long r;

	if (to->ino && m->sticky)
		q.sticky_owner = owner_of(t, to->ino);
	r = STEP_CALL(t, srv, ADD_MAP, add_map, &q, &p,
		      rename_note_added(ck_, m->intent, &p));
	*busy = p.busy;
	m->entered = !r && !p.same;
	return r;
}

/* Step 4, or 4 and 5, with a target that others may change all the time. Where one server can do
 * both it must: else the directory has two names for a moment, and who removes it by one of them
 * leaves the other. */
static long enter_new(struct task *t, struct moving *m)
{
	const struct place *to = &m->to;
	u32 srv = rpc_entry_server(&t->ctx, to->dir, to->dir_dflags, to->name,
				   to->name_len);
	u32 wait_seq = 0;
	int i;

	for (i = 0; i < RACE_RETRIES; i++) {
		u32 busy;
		long r = m->one_server ? rename_marked(t, m, srv, wait_seq, &busy)
				       : add_new(t, m, srv, wait_seq, &busy);

		m->stale = r == -EAGAIN && busy == BUSY_OTHER;
		if (r != -EAGAIN || m->stale)
			return r;
		if (busy) {
			/* Q is being removed, or a name is pending. Two of these must not wait for
			 * each other. */
			unmark(t, m->intent, RMDIR_ABORT);
			busy_wait(t, busy, &wait_seq);
		}
		/* Another target than the one looked at, or one that must be marked first. */
		cache_forget(t, to->dir, to->dir_dflags, to->name, to->name_len);
		r = look_at_target(t, m);
		if (r)
			return r;
	}
	return -EBUSY;
}

static const struct cred g_root_cred;

/* RM_MAP of a name that leads to the inode that moves; then the intent is at `step`. */
static long remove_name(struct task *t, struct intent_node *n, struct req_RM_MAP *q,
			u32 dflags, u32 step, u32 *busy)
{
	u32 srv = rpc_entry_server(&t->ctx, q->dir, dflags, q->name.p, q->name.len);
	struct rep_RM_MAP p = { .busy = 0 };
	long r;

	q->cred = q->flags & RM_WHITEOUT ? &t->proc->cred : &g_root_cred;
	q->expect = n->it.ino;
	r = STEP_CALL(t, srv, RM_MAP, rm_map, q, &p, TX_SET(ck_, n->it.step, step));
	*busy = p.busy;
	return r;
}

/* Steps 5 and 6. */
static long remove_old(struct task *t, struct intent_node *n, u32 *busy)
{
	const struct intent *it = &n->it;
	struct req_RM_MAP q = {
		.dir = it->dir,
		.name = { .p = it->name, .len = (u32)strlen(it->name) },
		.flags = RM_MOVED | RM_CONFIRM |
			 (it->flags & RENAME_WHITEOUT ? RM_WHITEOUT : 0),
		.confirm_dir = it->new_dir,
		.confirm_dflags = it->new_dflags,
		.confirm_name = { .p = it->new_name, .len = (u32)strlen(it->new_name) },
	};

	return remove_name(t, n, &q, it->dir_dflags, RENAME_DONE, busy);
}

/* Step 4 is taken back, of a name that nobody else could change: it goes, or what was replaced has
 * it again. */
static long remove_new(struct task *t, struct intent_node *n)
{
	const struct intent *it = &n->it;
	struct req_RM_MAP q = {
		.dir = it->new_dir,
		.name = { .p = it->new_name, .len = (u32)strlen(it->new_name) },
		.flags = RM_MOVED | RM_UNDO,
	};
	u32 busy;

	return remove_name(t, n, &q, it->new_dflags, RENAME_UNDONE, &busy);
}

static long restore_old(struct task *t, struct intent_node *n)
{
	const struct intent *it = &n->it;
	u32 len = (u32)strlen(it->new_name);
	u32 srv =
		rpc_entry_server(&t->ctx, it->new_dir, it->new_dflags, it->new_name, len);
	struct req_ADD_MAP q = { .dir = it->new_dir,
				 .name = { .p = it->new_name, .len = len },
				 .cred = &g_root_cred,
				 .ino = it->old_ino,
				 .type = it->old_type,
				 .dflags = it->old_dflags,
				 .flags = MAP_MOVED | MAP_EXCHANGE | MAP_UNDO,
				 .expect = it->ino };
	struct rep_ADD_MAP p;

	return STEP_CALL(t, srv, ADD_MAP, add_map, &q, &p,
			 TX_SET(ck_, n->it.step, RENAME_UNDONE));
}

/* From ADD_MAP on to where it is decided: 0, or why it is taken back. */
static long settle_names(struct task *t, struct intent_node *n, u32 *busy)
{
	struct intent *it = &n->it;
	long r = it->step == RENAME_REMOVE ? remove_old(t, n, busy) : 0;

	if (r)
		intent_step(t, n, RENAME_UNDO);
	if (it->step == RENAME_UNDO)
		(void)(it->old_ino ? restore_old(t, n) : remove_new(t, n));
	return r;
}

long rename_finish(struct task *t, struct intent_node *n)
{
	struct intent *it = &n->it;
	bool replaced, done;
	u32 busy = 0;
	long r = settle_names(t, n, &busy);

	if (it->step == RENAME_DONE)
		notify_renamed(t, it);
	done = it->step < RENAME_UNDO;
	replaced = it->old_ino && (it->step == RENAME_DONE || it->step == RENAME_TOLD);
	unmark(t, n, replaced && it->old_ino == it->marked ? RMDIR_COMMIT : RMDIR_ABORT);
	if (replaced && it->old_type != HS_IFDIR)
		link_drop_end(t, n, it->old_ino);
	else
		intent_end(t, n);
	if (busy)
		pending_wait();
	return done ? 0 : r == -ENOSPC ? r : -EAGAIN;
}

static long intent_for(struct task *t, struct moving *m)
{
	struct intent it = { .op = INTENT_RENAME,
			     .dir = m->from.dir,
			     .dir_dflags = m->from.dir_dflags,
			     .new_dir = m->to.dir,
			     .new_dflags = m->to.dir_dflags,
			     .ino = m->from.ino,
			     .ino_type = m->from.type,
			     .flags = m->flags & RENAME_WHITEOUT };

	memcpy(it.name, m->from.name, m->from.name_len + 1);
	memcpy(it.new_name, m->to.name, m->to.name_len + 1);
	m->intent = intent_begin(t, &it);
	return m->intent ? 0 : -ENOSPC;
}

/* Steps 3 to 7. */
static long move(struct task *t, struct moving *m)
{
	long r = intent_for(t, m), r2;

	if (r)
		return r;
	r = m->to.unlooked ? 0 : look_at_target(t, m);
	if (!r) {
		intent_step(t, m->intent, RENAME_ADD);
		r = enter_new(t, m);
	}
	r2 = rename_finish(t, m->intent);
	return r ? r : r2;
}

/* A rename changes the inode's ctime, and srv, its new entry's server, does that where it has
 * both. A call to the inode's server else: local by creation affinity, mostly. */
static void touch_moved(struct task *t, u64 ino, u32 srv)
{
	static const struct cred none;
	struct req_UTIMENS q = { .ino = ino, .cred = &none };
	struct rep_UTIMENS p;

	if (ino_server(ino) != srv)
		(void)rpc_utimens(&t->ctx, ino_server(ino), &q, &p);
}

static void touch_both(struct task *t, const struct moving *m, u32 srv)
{
	touch_moved(t, m->from.ino, srv);
	if (m->flags & RENAME_EXCHANGE)
		touch_moved(t, m->to.ino, srv);
}

static long rename_general(struct task *t, struct moving *m)
{
	u64 mark = cache_mark(t);
	long r = allowed(t, m);

	if (!r && m->flags & RENAME_EXCHANGE)
		r = exchange_apart(t, &m->from, &m->to,
				   m->sticky ? owner_of(t, m->to.ino) : ~0u);
	else if (!r)
		r = move(t, m);
	if (r || !m->entered)
		forget_both(t, m);
	else
		learn_moved(t, m, mark);
	if (!r)
		touch_both(t, m, ~0u);
	return r;
}

/* --- one server --------------------------------------------------------------------------------------------- */

/* RENAME; -EAGAIN when the general way is needed. */
static long rename_one(struct task *t, struct moving *m, u32 srv)
{
	const struct place *from = &m->from, *to = &m->to;
	struct req_RENAME q = { .dir = from->dir,
				.name = { .p = from->name, .len = from->name_len },
				.new_dir = to->dir,
				.new_name = { .p = to->name, .len = to->name_len },
				.cred = &t->proc->cred,
				.flags = m->flags,
				.expect = from->ino,
				.new_expect = to->ino };
	u64 mark = cache_mark(t);
	struct rep_RENAME p;
	long r;

	for (;;) {
		p.busy = 0;
		r = rpc_rename(&t->ctx, srv, &q, &p);
		m->stale = r == -EAGAIN && p.busy == BUSY_OTHER;
		if (r != -EAGAIN || !p.busy || m->stale)
			break;
		busy_wait(t, p.busy, &q.wait_seq);
	}
	if (m->stale)
		forget_both(t, m);
	if (r || p.same)
		return r;
	note_moved(t, m, srv, &p);
	if (m->flags & RENAME_EXCHANGE && ino_server(to->ino) != srv)
		notify_moved(t, to->ino);
	if (m->flags & RENAME_EXCHANGE)
		forget_both(t, m);
	else
		learn_moved(t, m, mark);
	touch_both(t, m, srv);
	return 0;
}

/* Directories between parents, one rename at a time; none goes below itself. */
static long lock_and_check(struct task *t, struct moving *m)
{
	bool other_dir = m->flags & RENAME_EXCHANGE && m->to.type == HS_IFDIR;
	long r;

	if (m->from.dir == m->to.dir || !(m->is_dir || other_dir))
		return 0;
	r = lock_take(t, m);
	if (!r && m->is_dir)
		r = loop_check(t, m->from.ino, m->to.dir);
	if (!r && other_dir)
		r = loop_check(t, m->to.ino, m->from.dir);
	return r;
}

/* Linux sees that the new name is a directory above the old one before it looks at types. Asked
 * only after EISDIR: the new name need not be known before, and what was moved is no directory. */
static bool is_above(struct task *t, const struct moving *m)
{
	struct place to = m->to;

	return m->from.dir != to.dir &&
	       !cache_lookup(t, to.dir, to.dir_dflags, to.name, to.name_len, false,
			     &to) &&
	       loop_check(t, to.ino, m->from.dir) == -EINVAL;
}

/* A directory that gets another parent must be writable itself. The names' server sees that of its
 * own inodes. */
static long may_turn(struct task *t, struct moving *m, u32 srv)
{
	bool exchanged = m->flags & RENAME_EXCHANGE && m->to.type == HS_IFDIR;
	long r = 0;

	if (m->from.dir == m->to.dir || !t->proc->cred.uid)
		return 0;
	if (m->is_dir && ino_server(m->from.ino) != srv)
		r = may_write_to(t, m->from.ino);
	if (!r && exchanged && ino_server(m->to.ino) != srv)
		r = may_write_to(t, m->to.ino);
	return r ? allowed(t, m) : 0;
}

static long rename_places(struct task *t, struct moving *m)
{
	struct place *from = &m->from, *to = &m->to;
	u32 srv = rpc_entry_server(&t->ctx, from->dir, from->dir_dflags, from->name,
				   from->name_len);
	u32 new_srv = rpc_entry_server(&t->ctx, to->dir, to->dir_dflags, to->name,
				       to->name_len);
	long r, r2;

	m->is_dir = from->type == HS_IFDIR;
	if (m->is_dir && from->ino == to->dir)
		return -EINVAL;
	if (to->ino && to->ino == from->dir)
		return m->flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	r = lock_and_check(t, m);
	if (!r)
		r = slashes_fit(m);
	if (!r) {
		r = types_fit(m);
		r2 = r ? allowed(t, m) : 0; /* who may not is told so first */
		r = r2 ? r2 : r;
	}
	if (!r) {
		m->one_server = srv == new_srv &&
				!(t->ctx.isl->super->without & WITHOUT_COALESCING);
		r = m->one_server ? may_turn(t, m, srv) : -EAGAIN;
		if (!r)
			r = rename_one(t, m, srv);
		if (r == -EAGAIN && !m->stale)
			r = rename_general(t, m);
	}
	if (m->lock_intent)
		lock_give(t, m);
	return r == -EISDIR && is_above(t, m) ? -ENOTEMPTY : r;
}

/* One path is the host's: never possible, but a bad descriptor or a bad path comes first. */
static long rename_across(long *dirfd, long upath)
{
	long r = host_lookup(dirfd, upath, AT_SYMLINK_NOFOLLOW);

	return !r || r == -ENOENT ? -EXDEV : r;
}

/* The host's path comes first, if it does not even lead to a directory. */
static long rename_host_first(long *dirfd, long upath, long err)
{
	long r = host_lookup(dirfd, upath, AT_SYMLINK_NOFOLLOW);

	return !r || r == -ENOENT ? err : r;
}

/* One of the last names is, or both are: paths without a name are refused before, and an old name
 * that is not there. */
static long too_long(const struct moving *m, long r, long r2, u32 flags)
{
	if (!r && place_has_no_name(&m->from))
		return -EBUSY;
	if (!r2 && place_has_no_name(&m->to))
		return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	return !r && !m->from.ino ? -ENOENT : -ENAMETOOLONG;
}

/* The path is one that is looked up whole but for its last name, which is too long. Linux sees that
 * only when both directories are found. */
static bool last_too_long(const char *path)
{
	size_t left = PATH_LEN_MAX;

	for (;;) {
		size_t n = 0;

		while (left && *path == '/')
			path++, left--;
		while (n < left && path[n] && path[n] != '/')
			n++;
		if (n == left)
			return false; /* the path itself is too long */
		path += n;
		left -= n;
		if (n > NAME_LEN_MAX) {
			while (*path == '/')
				path++;
			return !*path;
		}
		if (!*path)
			return false;
	}
}

static long try_rename(struct task *t, long *olddir, long *oldpath, long *newdir,
		       long *newpath, u32 flags)
{
	struct moving m;
	bool long_from, long_to;
	long r, r2;

	m.flags = flags;
	m.locked = false;
	m.entered = false;
	m.stale = false;
	m.lock_intent = NULL;
	r = path_walk(t, olddir, oldpath, WALK_PARENT, &m.from);
	long_from = r == -ENAMETOOLONG && last_too_long(t->path);
	if (r && r != CLIENT_HOST && !long_from)
		return r;
	/* With a flag it matters before all else whether the new name is there. */
	r2 = path_walk2(t, newdir, newpath, WALK_PARENT | (flags ? 0 : WALK_PEEK), &m.to);
	long_to = r2 == -ENAMETOOLONG && last_too_long(t->path2);
	if (r2 && r2 != CLIENT_HOST && !long_to)
		return r == CLIENT_HOST ? rename_host_first(olddir, *oldpath, r2) : r2;
	if (r == -ENAMETOOLONG || r2 == -ENAMETOOLONG)
		return r == CLIENT_HOST	   ? rename_host_first(olddir, *oldpath, -EXDEV)
		       : r2 == CLIENT_HOST ? rename_host_first(newdir, *newpath, -EXDEV)
					   : too_long(&m, r, r2, flags);
	if (r != r2)
		return rename_across(r == CLIENT_HOST ? olddir : newdir,
				     r == CLIENT_HOST ? *oldpath : *newpath);
	if (r == CLIENT_HOST)
		return r;
	if (place_has_no_name(&m.from))
		return -EBUSY;
	if (place_has_no_name(&m.to))
		return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	if (!m.from.ino)
		return -ENOENT;
	if (m.to.ino && flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (flags & RENAME_EXCHANGE && !m.to.ino)
		return -ENOENT;
	return rename_places(t, &m);
}

static long do_rename(struct task *t, long *olddir, long *oldpath, long *newdir,
		      long *newpath, u32 flags)
{
	int i;

	for (i = 0; i < RACE_RETRIES; i++) {
		long r = try_rename(t, olddir, oldpath, newdir, newpath, flags);

		if (r != -EAGAIN)
			return r;
	}
	return -EBUSY;
}

long client_rename(struct task *t, long a[6])
{
	return do_rename(t, NULL, &a[0], NULL, &a[1], 0);
}

long client_renameat(struct task *t, long a[6])
{
	return do_rename(t, &a[0], &a[1], &a[2], &a[3], 0);
}

long client_renameat2(struct task *t, long a[6])
{
	u32 flags = (u32)a[4];

	if (flags & ~(u32)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT) ||
	    (flags & RENAME_EXCHANGE && flags != RENAME_EXCHANGE))
		return -EINVAL;
	return do_rename(t, &a[0], &a[1], &a[2], &a[3], flags);
}
