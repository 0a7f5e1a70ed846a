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
 *   4     ADD_MAP (Q, b) -> I, REPLACE  I       I        atomic for who looks b up
 *   5     RM_MAP (P, a), expect I       -       I        somebody removed a: undo 4, ENOENT
 *   6     O: LINK -1, or COMMIT         -       I
 *   7     I a directory: SET_PARENT     -       I
 *
 * Exchanging two names at different servers: path_exchange.c.
 *
 * The race of step 5 (a removed or renamed by another between the lookup and RM_MAP) puts O back
 * under b. Between 4 and 5 the file has both names, as between link and unlink.
 */
#include "client/path.h"

#include <linux/fs.h>

/* A rename under way. */
struct moving {
	struct place from, to;
	u32 flags; /* RENAME_* */
	bool is_dir;
	bool locked; /* RENAME_LOCK held */
	bool sticky; /* the new name's directory: who owns what is replaced matters */
	u64 marked; /* the directory that is to be replaced, marked */
	u32 marked_dflags;
	struct intent_node *intent, *lock_intent;
};

/* --- the parts -------------------------------------------------------------------------------------- */

static long lock_call(struct task *t, u32 op)
{
	struct req_RENAME_LOCK q = { .op = op, .owner = task_owner(t) };
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

static void set_parent(struct task *t, u64 ino, const struct place *at)
{
	struct req_SET_PARENT q = { .ino = ino,
				    .parent = at->dir,
				    .parent_dflags = at->dir_dflags,
				    .name = { .p = at->name, .len = at->name_len } };
	struct rep_SET_PARENT p;

	rpc_set_parent(&t->ctx, ino_server(ino), &q, &p);
}

static void forget_both(struct task *t, const struct moving *m)
{
	cache_forget(t, m->from.dir, m->from.dir_dflags, m->from.name, m->from.name_len);
	cache_forget(t, m->to.dir, m->to.dir_dflags, m->to.name, m->to.name_len);
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
	if (!r && p.mode & HS_ISVTX)
		r = sticky_check(cred, &p, owner_of(t, m->from.ino));
	if (!r)
		r = dir_may_write(t, m->to.dir, &p);
	m->sticky = (p.mode & HS_ISVTX) != 0;
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

static long types_fit(const struct moving *m)
{
	const struct place *from = &m->from, *to = &m->to;

	if (!m->is_dir &&
	    (from->must_dir || (to->must_dir && !(m->flags & RENAME_EXCHANGE))))
		return -ENOTDIR;
	if (m->flags & RENAME_EXCHANGE || !to->ino || to->ino == from->ino)
		return 0;
	if (m->is_dir && to->type != HS_IFDIR)
		return -ENOTDIR;
	if (!m->is_dir && to->type == HS_IFDIR)
		return -EISDIR;
	return 0;
}

/* --- the general way ------------------------------------------------------------------------------------- */

static long mark_target(struct task *t, struct moving *m)
{
	long r;

	if (m->marked == m->to.ino)
		return 0;
	if (m->marked)
		dir_unmark(t, m->marked, m->marked_dflags, RMDIR_ABORT);
	m->marked = 0;
	r = dir_mark(t, m->to.ino, m->to.dflags);
	if (r)
		return r;
	m->marked = m->to.ino;
	m->marked_dflags = m->to.dflags;
	return 0;
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
	r = types_fit(m);
	if (r || !to->ino || to->type != HS_IFDIR || to->ino == m->from.ino)
		return r;
	return mark_target(t, m);
}

/* The intent knows what was really replaced. */
static void note_added(struct ck *ck, struct intent_node *n, const struct rep_ADD_MAP *p)
{
	bool old_dir = (p->old_type & HS_IFMT) == HS_IFDIR;

	if (p->same)
		return;
	TX_SET(ck, n->it.old_ino, p->old_ino);
	if (p->old_ino)
		TX_SET(ck, n->it.old_dflags,
		       p->old_dflags | (old_dir ? INTENT_OLD_DIR : 0));
	TX_SET(ck, n->it.step, 2);
}

/* Step 4. *p says what was replaced. */
static long add_new(struct task *t, struct moving *m, struct rep_ADD_MAP *p)
{
	const struct place *from = &m->from, *to = &m->to;
	u32 srv = rpc_entry_server(&t->ctx, to->dir, to->dir_dflags, to->name,
				   to->name_len);
	struct req_ADD_MAP q = { .dir = to->dir,
				 .name = { .p = to->name, .len = to->name_len },
				 .cred = &t->proc->cred,
				 .ino = from->ino,
				 .type = from->type,
				 .dflags = from->dflags,
				 .sticky_owner = ~0u };
	int i;

	q.flags = m->flags & RENAME_NOREPLACE ? 0 : MAP_REPLACE;
	for (i = 0; i < RACE_RETRIES; i++) {
		long r;

		q.marked = m->marked;
		q.expect = to->ino;
		if (to->ino && m->sticky)
			q.sticky_owner = owner_of(t, to->ino);
		p->busy = 0;
		p->old_ino = 0;
		p->same = 0;
		r = STEP_CALL(t, srv, ADD_MAP, add_map, &q, p,
			      note_added(ck_, m->intent, p));
		if (r != -EAGAIN)
			return r;
		if (p->busy) {
			/* Q is being removed. Two of these must not wait for each other. */
			if (m->marked)
				dir_unmark(t, m->marked, m->marked_dflags, RMDIR_ABORT);
			m->marked = 0;
			if (q.wait_seq)
				retry_wait(t, q.wait_seq);
			q.wait_seq = msg_event_prepare(&t->ctx);
		}
		/* Another target than the one looked at, or one that must be marked first. */
		cache_forget(t, to->dir, to->dir_dflags, to->name, to->name_len);
		r = look_at_target(t, m);
		if (r)
			return r;
	}
	return -EBUSY;
}

/* Step 5. */
static long remove_old(struct task *t, const struct moving *m)
{
	const struct place *from = &m->from;
	u32 srv = rpc_entry_server(&t->ctx, from->dir, from->dir_dflags, from->name,
				   from->name_len);
	struct req_RM_MAP q = { .dir = from->dir,
				.name = { .p = from->name, .len = from->name_len },
				.cred = &t->proc->cred,
				.flags = RM_MOVED,
				.expect = from->ino };
	struct rep_RM_MAP p;
	long r = STEP_CALL(t, srv, RM_MAP, rm_map, &q, &p,
			   TX_SET(ck_, m->intent->it.step, 3));

	return r == -EAGAIN ? -ENOENT : r;
}

/* Step 5 found the old name gone: what was replaced gets its name back. */
static void undo_new(struct task *t, const struct moving *m,
		     const struct rep_ADD_MAP *old)
{
	const struct place *to = &m->to;
	u32 srv = rpc_entry_server(&t->ctx, to->dir, to->dir_dflags, to->name,
				   to->name_len);
	struct req_RM_MAP rq = { .dir = to->dir,
				 .name = { .p = to->name, .len = to->name_len },
				 .cred = &t->proc->cred,
				 .flags = RM_MOVED,
				 .expect = m->from.ino };
	struct req_ADD_MAP aq = { .dir = to->dir,
				  .name = { .p = to->name, .len = to->name_len },
				  .cred = &t->proc->cred,
				  .ino = old->old_ino,
				  .type = old->old_type,
				  .dflags = old->old_dflags };
	struct rep_RM_MAP rp;
	struct rep_ADD_MAP ap;

	if (rpc_rm_map(&t->ctx, srv, &rq, &rp) || !old->old_ino)
		return;
	if (rpc_add_map(&t->ctx, srv, &aq, &ap) && (old->old_type & HS_IFMT) != HS_IFDIR)
		link_drop(
			&t->ctx,
			old->old_ino); /* the name was taken meanwhile: it is replaced */
}

static long intent_for(struct task *t, struct moving *m)
{
	struct intent it = { .op = INTENT_RENAME,
			     .dir = m->from.dir,
			     .dir_dflags = m->from.dir_dflags,
			     .new_dir = m->to.dir,
			     .new_dflags = m->to.dir_dflags,
			     .ino = m->from.ino,
			     .old_ino = m->to.ino };

	it.ino_dflags = m->from.dflags | (m->is_dir ? INTENT_IS_DIR : 0);
	it.old_dflags = m->to.dflags | (m->to.type == HS_IFDIR ? INTENT_OLD_DIR : 0);
	memcpy(it.name, m->from.name, m->from.name_len + 1);
	memcpy(it.new_name, m->to.name, m->to.name_len + 1);
	m->intent = intent_begin(t, &it);
	return m->intent ? 0 : -ENOSPC;
}

/* Steps 3 to 7. */
static long move(struct task *t, struct moving *m)
{
	struct rep_ADD_MAP old;
	long r = look_at_target(t, m);

	if (!r)
		r = intent_for(t, m);
	if (r)
		return r;
	intent_step(t, m->intent, 1);
	r = add_new(t, m, &old);
	if (r || old.same)
		return r;
	r = remove_old(t, m);
	if (r) {
		intent_step(t, m->intent, 1);
		undo_new(t, m, &old);
		return r;
	}
	if (m->is_dir)
		set_parent(t, m->from.ino, &m->to);
	if (old.old_ino && old.old_ino == m->marked) {
		dir_unmark(t, m->marked, m->marked_dflags, RMDIR_COMMIT);
		m->marked = 0;
	} else if (old.old_ino) {
		link_drop_end(t, m->intent, old.old_ino);
		m->intent = NULL;
	}
	return 0;
}

static long rename_general(struct task *t, struct moving *m)
{
	long r = allowed(t, m);

	if (!r && m->flags & RENAME_EXCHANGE)
		r = exchange_apart(t, &m->from, &m->to,
				   m->sticky ? owner_of(t, m->to.ino) : ~0u);
	else if (!r)
		r = move(t, m);
	if (m->marked)
		dir_unmark(t, m->marked, m->marked_dflags, RMDIR_ABORT);
	if (m->intent)
		intent_end(t, m->intent);
	forget_both(t, m);
	return r;
}

/* --- one server --------------------------------------------------------------------------------------------- */

/* RENAME replaced a file whose inode is at another server. */
static void replaced_far(struct task *t, struct moving *m, u64 ino)
{
	if (m->intent)
		link_drop_end(t, m->intent, ino);
	else
		link_drop(&t->ctx, ino);
	m->intent = NULL;
}

/* When RENAME may leave a link to be dropped elsewhere, that is recorded before: as an UNLINK. */
static long intent_for_one(struct task *t, struct moving *m, u32 srv)
{
	struct intent it = { .op = INTENT_UNLINK, .ino = m->to.ino };

	if (!m->to.ino || ino_server(m->to.ino) == srv || m->flags & RENAME_EXCHANGE)
		return 0;
	m->intent = intent_begin(t, &it);
	return m->intent ? 0 : -ENOSPC;
}

static void note_renamed(struct ck *ck, struct intent_node *n, const struct rep_RENAME *p)
{
	if (!n || p->same || !p->old_ino || p->old_done)
		return;
	TX_SET(ck, n->it.ino, p->old_ino);
	TX_SET(ck, n->it.step, 1);
}

/* RENAME; -EAGAIN when the general way is needed. */
static long rename_one(struct task *t, struct moving *m, u32 srv)
{
	const struct place *from = &m->from, *to = &m->to;
	struct req_RENAME q = { .dir = from->dir,
				.name = { .p = from->name, .len = from->name_len },
				.new_dir = to->dir,
				.new_name = { .p = to->name, .len = to->name_len },
				.cred = &t->proc->cred,
				.flags = m->flags };
	struct rep_RENAME p;
	long r;

	r = intent_for_one(t, m, srv);
	if (r)
		return r;
	for (;;) {
		p.old_ino = 0;
		p.busy = 0;
		r = STEP_CALL(t, srv, RENAME, rename, &q, &p,
			      note_renamed(ck_, m->intent, &p));
		if (r != -EAGAIN || !p.busy)
			break;
		if (q.wait_seq)
			retry_wait(t, q.wait_seq);
		q.wait_seq = msg_event_prepare(&t->ctx);
	}
	if (r || p.same)
		return r;
	/* Where a directory hangs, the server has told those that are its own. */
	if ((p.type & HS_IFMT) == HS_IFDIR && ino_server(p.ino) != srv)
		set_parent(t, p.ino, to);
	if (m->flags & RENAME_EXCHANGE) {
		if ((p.old_type & HS_IFMT) == HS_IFDIR && ino_server(p.old_ino) != srv)
			set_parent(t, p.old_ino, from);
	} else if (p.old_ino && !p.old_done) {
		replaced_far(t, m, p.old_ino);
	}
	forget_both(t, m);
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

static long rename_places(struct task *t, struct moving *m)
{
	struct place *from = &m->from, *to = &m->to;
	u32 srv = rpc_entry_server(&t->ctx, from->dir, from->dir_dflags, from->name,
				   from->name_len);
	u32 new_srv = rpc_entry_server(&t->ctx, to->dir, to->dir_dflags, to->name,
				       to->name_len);
	long r;

	m->is_dir = from->type == HS_IFDIR;
	if (m->is_dir && from->ino == to->dir)
		return -EINVAL;
	if (to->ino && to->ino == from->dir)
		return m->flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	r = lock_and_check(t, m);
	if (!r)
		r = types_fit(m);
	if (!r) {
		r = -EAGAIN;
		if (srv == new_srv && !(t->ctx.isl->super->without & WITHOUT_COALESCING))
			r = rename_one(t, m, srv);
		if (m->intent)
			intent_end(t, m->intent);
		m->intent = NULL;
		if (r == -EAGAIN)
			r = rename_general(t, m);
	}
	if (m->lock_intent)
		lock_give(t, m);
	return r;
}

/* One path is the host's: never possible, but a bad descriptor or a bad path comes first. */
static long rename_across(long *dirfd, long upath)
{
	long r = host_lookup(dirfd, upath, AT_SYMLINK_NOFOLLOW);

	return !r || r == -ENOENT ? -EXDEV : r;
}

static long try_rename(struct task *t, long *olddir, long *oldpath, long *newdir,
		       long *newpath, u32 flags)
{
	struct moving m;
	long r, r2;

	m.flags = flags;
	m.locked = false;
	m.marked = 0;
	m.intent = NULL;
	m.lock_intent = NULL;
	r = path_walk(t, olddir, oldpath, WALK_PARENT, &m.from);
	if (r && r != CLIENT_HOST)
		return r;
	r2 = path_walk2(t, newdir, newpath, WALK_PARENT, &m.to);
	/* A last name that is too long shows only when it is looked up, after the old one. */
	if (r2 == -ENAMETOOLONG && !r && !m.from.ino && !place_has_no_name(&m.from))
		return -ENOENT;
	if (r2 && r2 != CLIENT_HOST)
		return r2;
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

	/* RENAME_WHITEOUT is for union mounts. */
	if (flags & ~(u32)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
	    flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	return do_rename(t, &a[0], &a[1], &a[2], &a[3], flags);
}
