/* SPDX-License-Identifier: MIT */
/*
 * The working directory, chroot and umask.
 *
 * proc.cwd is an inode of Hare, or 0: then the host's own working directory counts. A working
 * directory is kept open, so that it lives on when it is removed: by a description that has no
 * number, shared with children until one of them goes elsewhere. The
 * host's kernel keeps its own notion all the time; it matters only while proc.cwd is 0.
 */
#include "client/file.h"
#include "client/path.h"

/* A description that keeps the directory open; children share it. */
static long cwd_open(struct task *t, struct proc *p, u64 ino, u32 dflags,
		     struct ofd **out)
{
	struct req_OPEN q = { .ino = ino, .flags = OPEN_CWD, .cred = &p->cred };
	struct rep_OPEN rep = { .runs = { .p = NULL } };
	struct ofd *o = ofd_new(t, OFD_PATH, 0, OPEN_CWD & ~OPEN_NOCHECK);
	long r;

	if (!o)
		return -ENFILE;
	o->far = !rpc_is_near(&t->ctx, ino_server(ino));
	o->dflags = dflags;
	r = far_aware_open(t, o, &q, &rep);
	if (r) {
		ofd_put(t, o);
		return r;
	}
	*out = o;
	return 0;
}

long cwd_set(struct task *t, struct proc *p, u64 ino, u32 dflags)
{
	struct ck *ck = t->ctx.ck;
	struct ofd *o = NULL, *old;
	long r = ino ? cwd_open(t, p, ino, dflags, &o) : 0;

	if (r)
		return r;
	ck_lock(&t->ctx, ck);
	old = p->cwd_ofd;
	TX_SET(ck, p->cwd, ino);
	TX_SET(ck, p->cwd_dflags, dflags);
	TX_SET(ck, p->cwd_ofd, o);
	if (o)
		hold_pass(t, ck, o);
	if (old)
		ofd_drop_unlock(t, old);
	else
		ck_unlock(ck);
	return 0;
}

void cwd_inherit(struct ck *ck, const struct proc *p, struct proc *child)
{
	child->cwd = p->cwd;
	child->cwd_dflags = p->cwd_dflags;
	child->cwd_ofd = p->cwd_ofd;
	if (p->cwd_ofd)
		TX_ADD(ck, p->cwd_ofd->refs, 1);
}

static long enter(struct task *t, u64 ino, u32 dflags)
{
	struct attr a;
	long r = attr_get(t, ino, &a);

	if (!r)
		r = perm_check(&t->proc->cred, a.mode, a.uid, a.gid, MAY_EXEC);
	return r ? r : cwd_set(t, t->proc, ino, dflags);
}

long client_chdir(struct task *t, long a[6])
{
	struct place pl;
	long r = path_walk(t, NULL, &a[0], WALK_FOLLOW, &pl);

	if (r == CLIENT_HOST) {
		r = host_block(__NR_chdir, a[0], 0, 0, 0, 0, 0);
		return r ? r : cwd_set(t, t->proc, 0, 0);
	}
	if (r)
		return r;
	if (pl.type != HS_IFDIR)
		return -ENOTDIR;
	return enter(t, pl.ino, pl.dflags);
}

long client_fchdir(struct task *t, long a[6])
{
	bool host;
	struct ofd *o = fd_get(t, (int)a[0], &host);
	long r;

	if (!o) {
		if (!host)
			return -EBADF;
		r = host_block(__NR_fchdir, (int)a[0], 0, 0, 0, 0, 0);
		return r ? r : cwd_set(t, t->proc, 0, 0);
	}
	r = (o->mode & HS_IFMT) == HS_IFDIR ? enter(t, o->ino, o->dflags) : -ENOTDIR;
	ofd_put(t, o);
	return r;
}

long client_getcwd(struct task *t, long a[6])
{
	long r, len;

	if (!t->proc->cwd)
		return CLIENT_HOST;
	len = walk_path_of(t, t->proc->cwd, t->path, PATH_LEN_MAX);
	if (len < 0)
		return len;
	if ((size_t)len + 1 > (size_t)a[1])
		return -ERANGE;
	r = user_write((void *)a[0], t->path, (size_t)len + 1);
	return r ? r : len + 1;
}

/* The root stays the host's: only uid 0 could change it, and Hare is seen from every root. */
long client_chroot(struct task *t, long a[6])
{
	struct place pl;
	long r = path_walk(t, NULL, &a[0], WALK_FOLLOW, &pl);

	if (r)
		return r;
	return pl.type == HS_IFDIR ? -EPERM : -ENOTDIR;
}

/* The host makes files with its own umask, so it is told too. */
long client_umask(struct task *t, long a[6])
{
	struct ck *ck = t->ctx.ck;
	u32 old = t->proc->umask;

	SYS(umask, a[0] & 0777);
	ck_lock(&t->ctx, ck);
	TX_SET(ck, t->proc->umask, (u32)a[0] & 0777);
	ck_unlock(ck);
	return (long)old;
}
