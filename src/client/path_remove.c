/* SPDX-License-Identifier: MIT */
/*
 * unlink and rmdir.
 *
 * unlink: RM_MAP at the entry's server removes the name and drops the link too: in the same
 * transaction when the inode is there (coalescing), else by a LINK -1 that it posts in it.
 *
 * rmdir of a directory whose entry, inode and contents are at one server: RMDIR_ALL. Otherwise
 * the three phases of thesis 3.4.1; D's home is H, its entry in P is at server E, its parts are
 * at all servers S when it is distributed (at H alone when not):
 *
 *   step  message                    D at H        D at S      entry   if it fails
 *   1     RMDIR_SERIALIZE to H       one remover   -           there   EAGAIN: wait, again
 *   2     RMDIR_MARK to H, all S     marked        marked      there   ENOTEMPTY: ABORT to all
 *   3     RM_MAP to E                marked        marked      gone    ABORT to all
 *   4     RMDIR_COMMIT to S, H       gone          gone        gone
 *
 * The race: a file made in D between 2 and 4 waits at its server until COMMIT (then ENOENT) or
 * ABORT (then it is made). A file made before 2 makes MARK fail. Two removers: the second waits
 * at step 1, then finds no directory: ENOENT.
 */
#include "client/path.h"

/* --- the parts ------------------------------------------------------------------------------ */

static u64 servers_of(const struct ctx *c, u64 dir, u32 dflags)
{
	return dflags & DIR_DISTRIBUTED ? rpc_servers(c) : 1ULL << ino_server(dir);
}

/* SERIALIZE or MARK at all of `servers` at once. Who answers that another rmdir is under way is
 * asked again when that may be over. */
static long rmdir_phase(struct task *t, u64 servers, u64 dir, u32 phase)
{
	struct req_RMDIR q = { .dir = dir,
			       .phase = phase,
			       .cred = &t->proc->cred,
			       .owner = thread_owner(t) };
	struct rep_RMDIR p[MAX_CORES];
	long r[MAX_CORES], err = 0;

	for (;;) {
		u64 left = servers, again = 0;

		rpc_all_rmdir(&t->ctx, servers, &q, false, p, r);
		for (; left; left &= left - 1) {
			u32 srv = (u32)__builtin_ctzll(left);

			if (r[srv] == -EAGAIN)
				again |= 1ULL << srv;
			else if (r[srv] && !err)
				err = r[srv];
		}
		if (err || !again)
			return err;
		servers = again;
		if (q.wait_seq)
			retry_wait(t, q.wait_seq);
		q.wait_seq = msg_event_prepare(&t->ctx);
	}
}

void dir_unmark(struct task *t, u64 dir, u32 dflags, u32 phase, u64 owner)
{
	static const struct cred none;
	struct ctx *c = &t->ctx;
	struct req_RMDIR q = {
		.dir = dir, .phase = phase, .cred = &none, .owner = owner
	};
	struct rep_RMDIR p[MAX_CORES];
	long r[MAX_CORES];

	rpc_all_rmdir(c, servers_of(c, dir, dflags), &q, false, p, r);
}

long dir_mark(struct task *t, u64 dir, u32 dflags)
{
	long r = rmdir_phase(t, 1ULL << ino_server(dir), dir, RMDIR_SERIALIZE);

	if (r)
		return r;
	race_point("serialized", RACE_AT);
	r = rmdir_phase(t, servers_of(&t->ctx, dir, dflags), dir, RMDIR_MARK);
	race_point("marked", RACE_AT);
	if (r)
		dir_unmark(t, dir, dflags, RMDIR_ABORT, thread_owner(t));
	return r;
}

static u32 owner_of(struct task *t, u64 ino)
{
	struct attr a;

	return attr_get(t, ino, &a) ? ~0u : a.uid;
}

/* RM_MAP of an entry that leads to pl->ino; with an intent that becomes step `step`. A sticky
 * directory wants the owner named. -EAGAIN: it leads elsewhere by now. */
static long remove_entry(struct task *t, const struct place *pl, u32 flags,
			 struct intent_node *n, u32 step, struct rep_RM_MAP *p)
{
	u32 srv = rpc_entry_server(&t->ctx, pl->dir, pl->dir_dflags, pl->name,
				   pl->name_len);
	struct req_RM_MAP q = { .dir = pl->dir,
				.name = { .p = pl->name, .len = pl->name_len },
				.cred = &t->proc->cred,
				.flags = flags,
				.expect = pl->ino,
				.sticky_owner = ~0u };
	long r;

	for (;;) {
		if (n)
			r = STEP_CALL(t, srv, RM_MAP, rm_map, &q, p,
				      TX_SET(ck_, n->it.step, step));
		else
			r = rpc_rm_map(&t->ctx, srv, &q, p);
		if (r == -EAGAIN && p->busy) {
			pending_wait();
			continue;
		}
		/* A sticky directory, whose server does not know the inode's owner. */
		if (r != -EPERM || q.sticky_owner != ~0u || srv == ino_server(pl->ino))
			break;
		q.sticky_owner = owner_of(t, pl->ino);
		if (q.sticky_owner == ~0u)
			break;
	}
	if (!r)
		cache_forget(t, pl->dir, pl->dir_dflags, pl->name, pl->name_len);
	return r;
}

/* --- unlink ------------------------------------------------------------------------------------ */

/* Without coalescing: RM_MAP, and LINK as a message of its own. */
static __attribute__((noinline)) long unlink_far(struct task *t, const struct place *pl)
{
	struct intent it = { .op = INTENT_UNLINK, .ino = pl->ino };
	struct intent_node *n = intent_begin(t, &it);
	struct rep_RM_MAP p = { .done = 0 };
	long r = n ? remove_entry(t, pl, RM_FILE, n, 1, &p) : -ENOSPC;

	if (!r)
		link_drop_end(t, n, pl->ino);
	else if (n)
		intent_end(t, n);
	return r;
}

static long unlink_place(struct task *t, const struct place *pl)
{
	struct rep_RM_MAP p;

	if (place_has_no_name(pl))
		return -EISDIR;
	if (!pl->ino)
		return -ENOENT;
	/* A path with a slash at its end is never that of a file. */
	if (pl->must_dir)
		return pl->type == HS_IFDIR ? -EISDIR : -ENOTDIR;
	if (t->ctx.isl->super->without & WITHOUT_COALESCING)
		return unlink_far(t, pl);
	return remove_entry(t, pl, RM_FILE | RM_UNLINK, NULL, 0, &p);
}

static long do_unlink(struct task *t, long *dirfd, long *upath)
{
	struct place pl;
	int i;

	for (i = 0; i < RACE_RETRIES; i++) {
		long r = path_walk(t, dirfd, upath, WALK_PARENT, &pl);

		if (!r)
			r = unlink_place(t, &pl);
		if (r != -EAGAIN)
			return r;
	}
	return -EBUSY;
}

long client_unlink(struct task *t, long a[6])
{
	return do_unlink(t, NULL, &a[0]);
}

/* --- rmdir ---------------------------------------------------------------------------------------- */

static long rmdir_all(struct task *t, const struct place *pl)
{
	struct req_RMDIR q = { .dir = pl->ino,
			       .phase = RMDIR_ALL,
			       .parent = pl->dir,
			       .name = { .p = pl->name, .len = pl->name_len },
			       .cred = &t->proc->cred,
			       .owner = thread_owner(t) };
	struct rep_RMDIR p;
	long r;

	for (;;) {
		p.busy = 0;
		r = rpc_rmdir(&t->ctx, ino_server(pl->ino), &q, &p);
		if (r != -EAGAIN || !p.busy)
			break;
		busy_wait(t, p.busy, &q.wait_seq);
	}
	if (!r)
		cache_forget(t, pl->dir, pl->dir_dflags, pl->name, pl->name_len);
	return r;
}

/* Permission comes before ENOTEMPTY, so it is checked before the directory is marked. */
static long rmdir_allowed(struct task *t, const struct place *pl)
{
	struct perm parent;
	long r = dir_may_write(t, pl->dir, &parent);

	if (r || !(parent.mode & HS_ISVTX) || t->proc->cred.uid == 0)
		return r;
	return sticky_check(&t->proc->cred, &parent, owner_of(t, pl->ino));
}

static long rmdir_phases(struct task *t, const struct place *pl)
{
	struct intent it = { .op = INTENT_RMDIR,
			     .dir = pl->dir,
			     .dir_dflags = pl->dir_dflags,
			     .ino = pl->ino,
			     .ino_dflags = pl->dflags };
	struct intent_node *n;
	struct rep_RM_MAP p;
	long r = rmdir_allowed(t, pl);

	if (r)
		return r;
	memcpy(it.name, pl->name, pl->name_len + 1);
	n = intent_begin(t, &it);
	if (!n)
		return -ENOSPC;
	r = dir_mark(t, pl->ino, pl->dflags);
	if (!r) {
		intent_step(t, n, 1);
		r = remove_entry(t, pl, RM_DIR, n, 2, &p);
		dir_unmark(t, pl->ino, pl->dflags, r ? RMDIR_ABORT : RMDIR_COMMIT,
			   n->it.owner);
	}
	intent_end(t, n);
	return r;
}

/* -EAGAIN: the name leads to another directory by now. */
static long rmdir_place(struct task *t, const struct place *pl)
{
	u32 entry_srv;
	long r;

	if (pl->last_dot)
		return -EINVAL;
	if (pl->last_dotdot)
		return -ENOTEMPTY;
	if (!pl->dir)
		return pl->type == HS_IFDIR ? -EBUSY : -ENOTDIR;
	if (!pl->ino)
		return -ENOENT;
	if (pl->type != HS_IFDIR) {
		r = rmdir_allowed(t, pl); /* comes first */
		return r ? r : -ENOTDIR;
	}
	entry_srv = rpc_entry_server(&t->ctx, pl->dir, pl->dir_dflags, pl->name,
				     pl->name_len);
	if (entry_srv == ino_server(pl->ino) && !(pl->dflags & DIR_DISTRIBUTED))
		return rmdir_all(t, pl);
	return rmdir_phases(t, pl);
}

static long do_rmdir(struct task *t, long *dirfd, long *upath)
{
	struct place pl;
	int i;

	for (i = 0; i < RACE_RETRIES; i++) {
		long r = path_walk(t, dirfd, upath, WALK_PARENT, &pl);

		if (!r)
			r = rmdir_place(t, &pl);
		if (r != -EAGAIN)
			return r;
	}
	return -EBUSY;
}

long client_rmdir(struct task *t, long a[6])
{
	return do_rmdir(t, NULL, &a[0]);
}

long client_unlinkat(struct task *t, long a[6])
{
	if (a[2] & ~(long)AT_REMOVEDIR)
		return -EINVAL;
	return a[2] ? do_rmdir(t, &a[0], &a[1]) : do_unlink(t, &a[0], &a[1]);
}
