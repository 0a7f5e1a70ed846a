/* SPDX-License-Identifier: MIT */
/*
 * The working directory, chroot and umask.
 *
 * proc.cwd is an inode of Hare, or 0: then the host's own working directory counts. A working
 * directory is counted as an open of its inode, so that it lives on when it is removed. The
 * host's kernel keeps its own notion all the time; it matters only while proc.cwd is 0.
 */
#include "client/path.h"

static void cwd_unpin(struct task *t, u64 ino, u32 core)
{
	struct req_CLOSE q = { .ino = ino, .flags = OPEN_CWD, .core = core };
	struct rep_CLOSE p;

	rpc_close(&t->ctx, ino_server(ino), &q, &p);
}

long cwd_set(struct task *t, struct proc *p, u64 ino, u32 dflags)
{
	struct req_OPEN q = { .ino = ino, .flags = OPEN_CWD, .cred = &p->cred };
	struct rep_OPEN rep = { .runs = { .p = NULL } };
	struct ck *ck = t->ctx.ck;
	u64 old, old_open;
	long r = ino ? rpc_open(&t->ctx, ino_server(ino), &q, &rep) : 0;

	if (r)
		return r;
	ck_lock(&t->ctx, ck);
	old = p->cwd;
	old_open = p->cwd_open;
	TX_SET(ck, p->cwd, ino);
	TX_SET(ck, p->cwd_dflags, dflags);
	TX_SET(ck, p->cwd_open, ino != 0);
	ck_unlock(ck);
	if (old && old_open)
		cwd_unpin(t, old, t->ctx.core);
	return 0;
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
