/* SPDX-License-Identifier: MIT */
/*
 * The working directory, the root (chroot) and umask.
 *
 * proc.cwd is an inode of Hare, or 0: then the host's own working directory counts. A working
 * directory is kept open, so that it lives on when it is removed: by a description that has no
 * number, shared with children until one of them goes elsewhere. The
 * host's kernel keeps its own notion all the time; it matters only while proc.cwd is 0.
 *
 * The root is kept in the same way: proc.root, or 0 while it is the host's. With a root in Hare no
 * absolute path or link is the host's any more (walk.c); the host's own root does not change, so the
 * loader finds its files. As on Linux, a working directory or descriptor outside leads out.
 *
 * Processes that clone(CLONE_FS) made share all three: each has a copy in its entry, where every call
 * looks, and a change is made in all copies by one transaction. So none of them may leave the core
 * (exec.c). Threads have one entry.
 */
#include "client/file.h"
#include "client/path.h"

enum kept_dir { KEPT_CWD, KEPT_ROOT };

/* A directory that a process keeps: fields of its entry. */
struct kept {
	u64 *ino;
	u32 *dflags;
	struct ofd **ofd;
};

static struct kept kept_of(struct proc *p, enum kept_dir which)
{
	if (which == KEPT_CWD)
		return (struct kept){ &p->cwd, &p->cwd_dflags, &p->cwd_ofd };
	return (struct kept){ &p->root, &p->root_dflags, &p->root_ofd };
}

static struct proc *next_peer(const struct proc *p)
{
	return LIST_ENTRY(p->fs_peers.next, struct proc, fs_peers);
}

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

/* One reference of the new description is the caller's to give; each peer has one of each. */
static void keep_peer(struct ck *ck, struct proc *p, enum kept_dir which, u64 ino,
		      u32 dflags, struct ofd *o, bool counted)
{
	struct kept k = kept_of(p, which);

	if (o && !counted)
		TX_ADD(ck, o->refs, 1);
	if (*k.ofd && !counted)
		TX_ADD(ck, (*k.ofd)->refs, -1);
	TX_SET(ck, *k.ino, ino);
	TX_SET(ck, *k.dflags, dflags);
	TX_SET(ck, *k.ofd, o);
}

static long keep(struct task *t, struct proc *p, enum kept_dir which, u64 ino, u32 dflags)
{
	struct ck *ck = t->ctx.ck;
	struct ofd *o = NULL, *old;
	long r = ino ? cwd_open(t, p, ino, dflags, &o) : 0;

	_Static_assert(PROC_THREADS_MAX * 5 + 64 < CK_LOG_MAX, "all peers in one log");
	if (r)
		return r;
	ck_lock(&t->ctx, ck);
	old = *kept_of(p, which).ofd;
	for (struct proc *q = next_peer(p); q != p; q = next_peer(q))
		keep_peer(ck, q, which, ino, dflags, o, false);
	keep_peer(ck, p, which, ino, dflags, o, true);
	if (o)
		hold_pass(t, ck, o);
	if (old)
		ofd_drop_unlock(t, old);
	else
		ck_unlock(ck);
	return 0;
}

long cwd_set(struct task *t, struct proc *p, u64 ino, u32 dflags)
{
	return keep(t, p, KEPT_CWD, ino, dflags);
}

long root_set(struct task *t, struct proc *p, u64 ino, u32 dflags)
{
	return keep(t, p, KEPT_ROOT, ino, dflags);
}

void fs_unshare(struct task *t, struct proc *p)
{
	struct ck *ck = t->ctx.ck;

	if (likely(list_empty(&p->fs_peers)))
		return;
	ck_lock(&t->ctx, ck);
	tx_list_del(ck, &p->fs_peers);
	ck_unlock(ck);
}

bool client_chrooted(const struct task *t)
{
	return t->proc->root != 0;
}

void cwd_inherit(struct ck *ck, struct proc *p, struct proc *child, bool share)
{
	child->umask = p->umask;
	child->cwd = p->cwd;
	child->cwd_dflags = p->cwd_dflags;
	child->cwd_ofd = p->cwd_ofd;
	if (p->cwd_ofd)
		TX_ADD(ck, p->cwd_ofd->refs, 1);
	child->root = p->root;
	child->root_dflags = p->root_dflags;
	child->root_ofd = p->root_ofd;
	if (p->root_ofd)
		TX_ADD(ck, p->root_ofd->refs, 1);
	if (share)
		tx_list_add_tail(ck, &p->fs_peers, &child->fs_peers);
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
	u32 tries = 0;
	long r;

	do {
		r = path_walk(t, NULL, &a[0], WALK_FOLLOW, &pl);
		if (r == CLIENT_HOST) {
			r = host_block(__NR_chdir, a[0], 0, 0, 0, 0, 0);
			return r ? r : cwd_set(t, t->proc, 0, 0);
		}
		if (r)
			return r;
		if (pl.type != HS_IFDIR)
			return -ENOTDIR;
		r = enter(t, pl.ino, pl.dflags);
	} while (place_gone(t, r, &pl, &tries));
	return r;
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

/* The working directory is the host's, the root is not. */
static long host_cwd(struct task *t, long a[6])
{
	static const char outside[] = "(unreachable)";
	size_t room = PATH_LEN_MAX - sizeof(outside) - 1;
	char *path = t->path + sizeof(outside) - 1;
	long r = SYS(getcwd, path, room), len;

	if (sys_failed(r))
		return r;
	memcpy(t->path, outside, sizeof(outside) - 1);
	len = (long)strlen(t->path) + 1;
	if (len > a[1])
		return -ERANGE;
	r = user_write((void *)a[0], t->path, (size_t)len);
	return r ? r : len;
}

long client_getcwd(struct task *t, long a[6])
{
	long r, len;

	if (!t->proc->cwd)
		return t->proc->root ? host_cwd(t, a) : CLIENT_HOST;
	len = walk_path_of(t, t->proc->cwd, t->path, PATH_LEN_MAX);
	if (len < 0)
		return len;
	if ((size_t)len + 1 > (size_t)a[1])
		return -ERANGE;
	r = user_write((void *)a[0], t->path, (size_t)len + 1);
	return r ? r : len + 1;
}

#define CAP_SYS_CHROOT_ 18
static bool may_chroot(void)
{
	struct {
		u32 version;
		s32 pid;
	} head = { 0x20080522, 0 };
	struct {
		u32 effective, permitted, inheritable;
	} caps[2] = { { 0 } };

	return !SYS(capget, &head, caps) && caps[0].effective & 1u << CAP_SYS_CHROOT_;
}

/* A directory of the host: from a working directory that is outside, or before any other. Hare is
 * seen from every root of the host. */
static long chroot_host(struct task *t, long upath)
{
	long r = host_block(__NR_chroot, upath, 0, 0, 0, 0, 0);

	return r ? r : root_set(t, t->proc, 0, 0);
}

static long chroot_to(struct task *t, const struct place *pl)
{
	struct attr at;
	long r;

	if (pl->type != HS_IFDIR)
		return -ENOTDIR;
	r = attr_get(t, pl->ino, &at);
	if (!r)
		r = perm_check(&t->proc->cred, at.mode, at.uid, at.gid, MAY_EXEC);
	if (!r && !may_chroot())
		r = -EPERM;
	return r ? r : root_set(t, t->proc, pl->ino, pl->dflags);
}

long client_chroot(struct task *t, long a[6])
{
	struct place pl;
	u32 tries = 0;
	long r;

	do {
		r = path_walk(t, NULL, &a[0], WALK_FOLLOW, &pl);
		if (r == CLIENT_HOST)
			return t->proc->root ? chroot_host(t, a[0]) : r;
		if (r)
			return r;
		r = chroot_to(t, &pl);
	} while (place_gone(t, r, &pl, &tries));
	return r;
}

/* The host makes files with its own umask, so it is told too. */
long client_umask(struct task *t, long a[6])
{
	struct proc *p = t->proc;
	struct ck *ck = t->ctx.ck;
	u32 old = p->umask;

	SYS(umask, a[0] & 0777);
	ck_lock(&t->ctx, ck);
	for (struct proc *q = next_peer(p); q != p; q = next_peer(q))
		TX_SET(ck, q->umask, (u32)a[0] & 0777);
	TX_SET(ck, p->umask, (u32)a[0] & 0777);
	ck_unlock(ck);
	return (long)old;
}
