/* SPDX-License-Identifier: MIT */
/*
 * link and linkat: the link is counted at the inode's server before the name is added at the
 * entry's, so that a count is never too small.
 */
#include "client/path.h"

/* What fs.protected_hardlinks = 1 asks: links only to files that one owns or may read and write
 * and that carry no privilege. */
static long may_link(const struct task *t, const struct attr *a)
{
	const struct cred *c = &t->proc->cred;
	u32 type = a->mode & HS_IFMT;

	if (c->uid == 0 || c->uid == a->uid)
		return 0;
	if (type != HS_IFREG || a->mode & HS_ISUID ||
	    (a->mode & (HS_ISGID | 0010)) == (HS_ISGID | 0010))
		return -EPERM;
	return perm_check(c, a->mode, a->uid, a->gid, MAY_READ | MAY_WRITE) ? -EPERM : 0;
}

/* What is wrong with the new name, in Linux's order: it is there; then whether the source may be
 * linked at all; then whether the directory may be written. */
static long name_check(struct task *t, const struct place *pl)
{
	struct place there;
	long r = cache_lookup(t, pl->dir, pl->dir_dflags, pl->name, pl->name_len, false,
			      &there);

	return !r ? -EEXIST : r == -ENOENT ? 0 : r;
}

static long target_check(struct task *t, const struct place *pl)
{
	struct perm p;
	long r = name_check(t, pl);

	return r ? r : dir_may_write(t, pl->dir, &p);
}

static long link_add(struct task *t, const struct place *pl, struct intent_node *n,
		     u32 type)
{
	u32 srv = rpc_entry_server(&t->ctx, pl->dir, pl->dir_dflags, pl->name,
				   pl->name_len);
	struct req_ADD_MAP q = { .dir = pl->dir,
				 .name = { .p = pl->name, .len = pl->name_len },
				 .cred = &t->proc->cred,
				 .ino = n->it.ino,
				 .type = type };
	struct rep_ADD_MAP p;
	u64 mark = cache_mark(t);
	long r;

	for (;;) {
		r = STEP_CALL(t, srv, ADD_MAP, add_map, &q, &p,
			      TX_SET(ck_, n->it.step, 2));
		if (r != -EAGAIN)
			break;
		if (q.wait_seq)
			retry_wait(t, q.wait_seq);
		q.wait_seq = msg_event_prepare(&t->ctx);
	}
	if (!r)
		cache_learn(t, mark, pl, n->it.ino, type, 0);
	return r;
}

static long link_place(struct task *t, const struct place *from, const struct place *to)
{
	struct intent it = { .op = INTENT_LINK,
			     .dir = to->dir,
			     .dir_dflags = to->dir_dflags,
			     .ino = from->ino };
	struct req_LINK q = { .ino = from->ino, .delta = 1 };
	struct rep_LINK p;
	struct intent_node *n;
	struct attr a;
	long r;

	r = attr_get(t, from->ino, &a);
	if (!r)
		r = may_link(t, &a);
	if (r || from->type == HS_IFDIR) {
		long first = r ? name_check(t, to) : target_check(t, to);

		return first ? first : r ? r : -EPERM;
	}
	memcpy(it.name, to->name, to->name_len + 1);
	n = intent_begin(t, &it);
	if (!n)
		return -ENOSPC;
	r = STEP_CALL(t, ino_server(from->ino), LINK, link, &q, &p,
		      TX_SET(ck_, n->it.step, 1));
	if (r) {
		intent_end(t, n);
		return r;
	}
	r = link_add(t, to, n, a.mode & HS_IFMT);
	if (r)
		link_drop_end(t, n, from->ino);
	else
		intent_end(t, n);
	return r;
}

static long host_old(long *dirfd, long upath, u32 wf)
{
	return host_lookup(dirfd, upath,
			   (wf & WALK_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW) |
				   (wf & WALK_EMPTY ? AT_EMPTY_PATH : 0));
}

/* One path is the host's: never possible, but other errors come first. */
static long link_across(struct task *t, const struct place *from, long *olddir,
			long oldpath, long *newdir, long newpath, u32 wf,
			const struct place *to)
{
	long r;

	if (from->host) {
		r = from->magic ? 0 : host_old(olddir, oldpath, wf);
		if (r)
			return r;
		if (place_has_no_name(to))
			return -EEXIST;
		r = target_check(t, to);
		return r == -EEXIST ? r : -EXDEV;
	}
	r = host_lookup(newdir, newpath, AT_SYMLINK_NOFOLLOW);
	if (!r)
		return -EEXIST;
	return r == -ENOENT ? -EXDEV : r;
}

static long do_link(struct task *t, long *olddir, long *oldpath, long *newdir,
		    long *newpath, u32 wf)
{
	struct place from, to;
	long r, r2;

	r = path_walk(t, olddir, oldpath, wf, &from);
	if (r && r != CLIENT_HOST)
		return r;
	r2 = path_walk2(t, newdir, newpath, WALK_PARENT | WALK_NOLAST, &to);
	if (r2 && r2 != CLIENT_HOST) {
		if (r == CLIENT_HOST && !from.magic)
			r = host_old(olddir, *oldpath, wf);
		return r && r != CLIENT_HOST ? r : r2;
	}
	if (r != r2)
		return link_across(t, &from, olddir, *oldpath, newdir, *newpath, wf, &to);
	if (r == CLIENT_HOST)
		return r;
	if (place_has_no_name(&to))
		return -EEXIST;
	if (to.must_dir) {
		r = target_check(t, &to);
		return r == -EEXIST ? r : -ENOENT;
	}
	if (from.magic && from.type == HS_IFREG && from.dflags & OFD_NOLINK) {
		r = target_check(t, &to);
		return r ? r : -ENOENT;
	}
	if (!from.ino)
		return -EXDEV; /* a host descriptor of a proxy */
	return link_place(t, &from, &to);
}

long client_link(struct task *t, long a[6])
{
	return do_link(t, NULL, &a[0], NULL, &a[1], 0);
}

long client_linkat(struct task *t, long a[6])
{
	if (a[4] & ~(long)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	a[0] = (int)a[0];
	a[2] = (int)a[2];
	return do_link(t, &a[0], &a[1], &a[2], &a[3],
		       (a[4] & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0) |
			       (a[4] & AT_EMPTY_PATH ? WALK_EMPTY : 0));
}
