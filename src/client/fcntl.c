/* SPDX-License-Identifier: MIT */
/*
 * System calls about descriptors themselves: close, dup, fcntl. Host descriptors
 * are known to the table, so these calls keep table and host alike: first what cannot
 * fail.
 */
#include <linux/close_range.h>
#include <linux/fs.h>

#include "client/file.h"

#define SEALS_KNOWN 0x3fL
#define SET_FLAGS   ((u32)(O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | FASYNC))

static struct fdtable *table(struct task *t)
{
	return t->proc->fds;
}

/* --- close ------------------------------------------------------------------------ */

/* A host number leaves the table before the host closes it: nobody can get it
 * meanwhile. */
static void forget_host(struct task *t, struct fdtable *ft, u32 fd)
{
	fd_close_entry(t, ft, fd);
}

/* At once, and not as the host's call that a signal puts off: made again, it would find the number free
 * in the table, or another thread's. With the last descriptor of a socket goes what was sent over
 * it and not received. */
static long close_host(struct task *t, int fd)
{
	long r = SYS(close, fd);

	if (unlikely(pass_any(t)))
		pass_settle(t);
	return r;
}

long client_close(struct task *t, long a[6])
{
	struct fdtable *ft = table(t);
	int fd = (int)a[0];
	struct fdent *e = ft ? fd_entry(ft, fd) : NULL;

	if (fd < 0 || fd_is_hidden(t, fd))
		return -EBADF;
	if (!e || e->kind == FD_NONE)
		return CLIENT_HOST;
	if (e->kind == FD_HOST) {
		forget_host(t, ft, (u32)fd);
		return close_host(t, fd);
	}
	fd_close_entry(t, ft, (u32)fd);
	return 0;
}

void fd_cloexec(struct task *t, struct fdtable *ft, u32 fd, bool on)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	if (fd < ft->cap && ft->ent[fd].kind != FD_NONE && ft->ent[fd].kind != FD_HIDDEN)
		TX_SET(ck, ft->ent[fd].cloexec, (u8)on);
	ck_unlock(ck);
}

/* The host's part of close_range, around the hidden numbers. */
static long close_range_host(struct task *t, u64 first, u64 last, u64 flags)
{
	u64 base = (u64)t->ctx.isl->super->fd_base, end = base + HIDDEN_FDS;
	long r = 0;

	if (first < base)
		r = SYS(close_range, first, MIN(last, base - 1), flags);
	if (!r && last >= end)
		r = SYS(close_range, MAX(first, end), last, flags);
	return r;
}

long client_close_range(struct task *t, long a[6])
{
	u32 first = (u32)a[0], last = (u32)a[1], flags = (u32)a[2], end;
	struct fdtable *ft = table(t);
	long r;

	if (flags & ~(u32)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last)
		return -EINVAL;
	if (!ft)
		return CLIENT_HOST;
	if (flags & CLOSE_RANGE_UNSHARE) {
		r = fdtable_unshare(t, t->proc);
		if (r)
			return r;
		ft = table(t);
	}
	end = MIN(last, ft->cap - 1);
	for (u32 fd = first; fd <= end && first < ft->cap; fd++) {
		if (ft->ent[fd].kind == FD_NONE || ft->ent[fd].kind == FD_HIDDEN)
			continue;
		if (flags & CLOSE_RANGE_CLOEXEC)
			fd_cloexec(t, ft, fd, true);
		else
			fd_close_entry(t, ft, fd);
	}
	return close_range_host(t, first, last, flags);
}

/* --- dup -------------------------------------------------------------------------- */

/* The lowest number >= min that is free on both sides, for a host call that takes one. */
static long free_number(struct task *t, u32 min)
{
	struct ck *ck = t->ctx.ck;
	long fd;

	ck_lock(&t->ctx, ck);
	fd = fd_lowest(ck, table(t), min);
	if (fd < 0)
		ck_abort(ck);
	ck_unlock(ck);
	return fd;
}

/* The members of an epoll instance go with every number that means it. */
static void share_shadow(struct task *t, int from, long to)
{
	struct fdtable *ft = table(t);
	struct ck *ck = t->ctx.ck;
	struct fdent *e = fd_entry(ft, from);

	if (likely(!e || !e->ofd) || e->kind != FD_HOST)
		return;
	ck_lock(&t->ctx, ck);
	if ((u32)to < ft->cap && ft->ent[to].kind == FD_HOST && e->ofd &&
	    !ft->ent[to].ofd) {
		TX_ADD(ck, e->ofd->refs, 1);
		TX_SET(ck, ft->ent[to].ofd, e->ofd);
	}
	ck_unlock(ck);
}

static long dup_host(struct task *t, int fd, u32 min, bool cloexec)
{
	long want = free_number(t, min), r;

	if (want < 0 && sys_failed(SYS(fcntl, fd, F_GETFD)))
		return -EBADF;
	if (want < 0)
		return want;
	r = SYS(fcntl, fd, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, want);
	r = fd_adopt(t, r, cloexec, (int)min);
	if (r >= 0)
		share_shadow(t, fd, r);
	return r;
}

/* dup and F_DUPFD. */
static long dup_min(struct task *t, long fd, u32 min, bool cloexec)
{
	if (!table(t))
		return CLIENT_HOST;
	if (fd_is_host(t, (int)fd))
		return dup_host(t, (int)fd, min, cloexec);
	return fd_dup(t, (int)fd, cloexec, min);
}

long client_dup(struct task *t, long a[6])
{
	return dup_min(t, a[0], 0, false);
}

/* Puts a description under a number; what was there is dropped. 1: the host has it open
 * too. */
static long place_hare(struct task *t, struct ofd *o, u32 to, bool cloexec)
{
	struct ck *ck = t->ctx.ck;
	struct fdtable *ft = table(t);
	struct ofd *old;
	bool host;
	long r;

	ck_lock(&t->ctx, ck);
	r = fd_grow(ck, ft, to);
	if (r) {
		ck_abort(ck);
		ck_unlock(ck);
		return r;
	}
	host = ft->ent[to].kind == FD_HOST;
	old = fd_clear(ck, ft, to);
	TX_ADD(ck, o->refs, 1);
	fd_set_entry(ck, ft, to, FD_HARE, o, cloexec);
	if (old)
		ofd_drop_unlock(t, old);
	else
		ck_unlock(ck);
	return host;
}

static long dup_over_hare(struct task *t, struct ofd *o, u32 to, bool cloexec)
{
	long r;

	fd_before_replace(t, to);
	r = place_hare(t, o, to, cloexec);
	if (r > 0)
		SYS(close, to);
	return r < 0 ? r : (long)to;
}

static long dup_over_host(struct task *t, int from, u32 to, bool cloexec)
{
	struct ck *ck = t->ctx.ck;
	struct fdtable *ft = table(t);
	struct ofd *old = NULL;
	long r = SYS(dup3, from, to, cloexec ? O_CLOEXEC : 0);

	if (sys_failed(r))
		return r;
	fd_before_replace(t, to);
	ck_lock(&t->ctx, ck);
	if (!fd_grow(ck, ft, to)) {
		old = fd_clear(ck, ft, to);
		fd_set_entry(ck, ft, to, FD_HOST, NULL, cloexec);
	}
	if (old)
		ofd_drop_unlock(t, old);
	else
		ck_unlock(ck);
	share_shadow(t, from, r);
	return r;
}

static long dup_over(struct task *t, int from, int to, bool cloexec)
{
	struct fdtable *ft = table(t);
	bool host;
	struct ofd *o;
	long r;

	if (!ft)
		return CLIENT_HOST;
	o = fd_get(t, from, &host);
	if (!o && !host)
		return -EBADF;
	if (to < 0 || fd_is_hidden(t, to) || (ft->limit && (u32)to >= ft->limit && o))
		r = -EBADF;
	else
		r = o ? dup_over_hare(t, o, (u32)to, cloexec)
		      : dup_over_host(t, from, (u32)to, cloexec);
	if (o)
		ofd_put(t, o);
	return r;
}

long client_dup2(struct task *t, long a[6])
{
	bool host;
	struct ofd *o;

	if ((int)a[0] != (int)a[1])
		return dup_over(t, (int)a[0], (int)a[1], false);
	o = fd_get(t, (int)a[0], &host);
	if (!o)
		return host ? CLIENT_HOST : -EBADF;
	ofd_put(t, o);
	return (int)a[1];
}

long client_dup3(struct task *t, long a[6])
{
	if (a[2] & ~(long)O_CLOEXEC || (int)a[0] == (int)a[1])
		return -EINVAL;
	return dup_over(t, (int)a[0], (int)a[1], a[2] != 0);
}

/* --- status flags ----------------------------------------------------------------- */

/* The description's lock is held; here: it has the flags. Else another core may have set O_ASYNC: that
 * it is taken away the server sees. */
static long set_status(struct task *t, struct ofd *o, u32 fd, u32 flags, bool here)
{
	struct req_OFD_FLAGS q = { .ino = o->ino, .ofd = o->shared, .flags = flags };
	struct rep_OFD_FLAGS p = { .flags = o->flags };
	long r = 0;

	if (!here && unlikely(flags & FASYNC))
		r = rpc_ofd_flags(&t->ctx, ofd_server(o), &q, &p);
	if (!r && (flags ^ p.flags) & FASYNC)
		r = owner_async(t, o, fd, flags & FASYNC);
	q.set = 1;
	return r || here ? r : rpc_ofd_flags(&t->ctx, ofd_server(o), &q, &p);
}

long ofd_set_flags(struct task *t, struct ofd *o, u32 fd, u32 flags)
{
	struct ck *ck = t->ctx.ck;
	bool locked = false, here;
	long r;

	if (flags & ~o->flags & O_NOATIME && t->proc->cred.uid) {
		struct attr a;

		r = attr_get(t, o->ino, &a);
		if (r || a.uid != t->proc->cred.uid)
			return r ? r : -EPERM;
	}
	if (flags & O_DIRECT && o->kind == OFD_DIR)
		return -EINVAL;
	if (!ofd_is_pipe(o))
		flags &= ~(u32)FASYNC;
	here = pos_lock_local(t, o, &locked);
	r = set_status(t, o, fd, flags, here);
	if (!r) {
		ck_lock(&t->ctx, ck);
		TX_SET(ck, o->flags, (o->flags & ~SET_FLAGS) | (flags & SET_FLAGS));
		ck_unlock(ck);
	}
	pos_unlock(o, locked);
	return r;
}

long ofd_flags(struct task *t, struct ofd *o)
{
	struct req_OFD_FLAGS q = { .ino = o->ino };
	struct rep_OFD_FLAGS p;
	bool locked;
	long r = 0;

	if (!o->shared)
		return o->flags;
	if (pos_lock_local(t, o, &locked)) {
		p.flags = o->flags;
	} else {
		q.ofd = o->shared;
		r = rpc_ofd_flags(&t->ctx, ofd_server(o), &q, &p);
		if (!r)
			ofd_told(o, p.last);
	}
	pos_unlock(o, locked);
	return r ? r : (long)((o->flags & ~SET_FLAGS) | (p.flags & SET_FLAGS));
}

/* --- fcntl ------------------------------------------------------------------------ */

static long fcntl_host(struct task *t, long a[6])
{
	u32 fd = (u32)a[0];
	long r;

	switch ((int)a[1]) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		if (!table(t) || (u32)a[2] >= FD_MAX)
			return CLIENT_HOST;
		if (table(t)->limit && (u32)a[2] >= table(t)->limit)
			return sys_failed(SYS(fcntl, fd, F_GETFD)) ? -EBADF : -EINVAL;
		return dup_host(t, (int)fd, (u32)a[2], a[1] == F_DUPFD_CLOEXEC);
	case F_SETFD:
		r = SYS(fcntl, fd, F_SETFD, a[2]);
		if (!r && table(t))
			fd_cloexec(t, table(t), fd, a[2] & FD_CLOEXEC);
		return r;
	default:
		return CLIENT_HOST;
	}
}

static long pipe_size(struct task *t, struct ofd *o, int cmd, long arg)
{
	struct req_PIPE_SIZE q = { .ino = o->ino, .size = (u32)arg };
	struct rep_PIPE_SIZE p;
	struct req_POLL pq = { .ino = o->ino, .access = o->flags & O_ACCMODE };
	struct rep_POLL pp;
	long r;

	if (!ofd_is_pipe(o))
		return -EBADF;
	if (cmd == F_GETPIPE_SZ) {
		r = rpc_poll(&t->ctx, ofd_server(o), &pq, &pp);
		return r ? r : (long)pp.capacity;
	}
	r = rpc_pipe_size(&t->ctx, ofd_server(o), &q, &p);
	return r ? r : (long)p.size;
}

/* What concerns the number alone. */
static long fcntl_number(struct task *t, struct ofd *o, u32 fd, int cmd, long arg)
{
	struct fdtable *ft = table(t);
	struct fdent *e;

	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		if (arg < 0 || (u64)arg >= FD_MAX || (ft->limit && (u64)arg >= ft->limit))
			return -EINVAL;
		(void)o;
		return dup_min(t, fd, (u32)arg, cmd == F_DUPFD_CLOEXEC);
	case F_GETFD:
		e = fd_entry(ft, (int)fd);
		return e && e->cloexec ? FD_CLOEXEC : 0;
	default: /* F_SETFD */
		fd_cloexec(t, ft, fd, arg & FD_CLOEXEC);
		return 0;
	}
}

/* --- the rest --------------------------------------------------------------------- */

#define DUPFD_QUERY (F_LINUX_SPECIFIC_BASE + 3) /* Linux 6.10 */

/* Do both numbers mean one description? */
static long dupfd_query(struct task *t, const struct ofd *o, int fd)
{
	bool host;
	struct ofd *other = fd_get(t, fd, &host);

	if (!other)
		return host && !sys_failed(SYS(fcntl, fd, F_GETFD)) ? 0 : -EBADF;
	ofd_put(t, other);
	return other == o;
}

/* Signals about a directory are not sent: nothing can be asked for, and that be taken back. */
static long dnotify(const struct ofd *o, u32 arg)
{
	if (!(arg & ~(u32)DN_MULTISHOT))
		return 0;
	return o->kind == OFD_DIR ? -EINVAL : -ENOTDIR;
}

/* F_GET_RW_HINT, F_SET_RW_HINT: the inode's. */
static long rw_hint(struct task *t, const struct ofd *o, bool set, void *user)
{
	struct req_HINT q = { .ino = o->ino, .set = set, .cred = &t->proc->cred };
	struct rep_HINT p;
	struct attr a;
	u64 hint = 0;
	long r = 0;

	if (set && user_read(&hint, user, sizeof(hint))) {
		r = attr_get(t, o->ino, &a);
		if (!r && t->proc->cred.uid && t->proc->cred.uid != a.uid)
			r = -EPERM; /* which is looked at first */
		return r ? r : -EFAULT;
	}
	q.hint = (u32)MIN(hint, RW_HINT_MAX + 1ULL);
	r = rpc_hint(&t->ctx, ofd_server(o), &q, &p);
	if (r || set)
		return r;
	hint = p.hint;
	return user_write(user, &hint, sizeof(hint));
}

static long fcntl_hare(struct task *t, struct ofd *o, u32 fd, int cmd, long arg)
{
	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
	case F_GETFD:
	case F_SETFD:
		return fcntl_number(t, o, fd, cmd, arg);
	case F_GETFL:
		return ofd_flags(t, o);
	}
	if (o->flags & O_PATH)
		return -EBADF;
	switch (cmd) {
	case F_SETFL:
		return ofd_set_flags(t, o, fd, (u32)arg);
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return lock_fcntl(t, o, cmd, (void *)arg);
	case F_SETPIPE_SZ:
	case F_GETPIPE_SZ:
		return pipe_size(t, o, cmd, arg);
	case F_GETLEASE:
		return F_UNLCK;
	case F_GET_SEALS: /* none can be added, says tmpfs of its files */
		return o->kind == OFD_FILE ? F_SEAL_SEAL : -EINVAL;
	case F_ADD_SEALS:
		if (o->kind != OFD_FILE)
			return -EINVAL;
		return ofd_can_write(o) && arg & ~SEALS_KNOWN ? -EINVAL : -EPERM;
	case F_NOTIFY:
		return dnotify(o, (u32)arg);
	case F_SETLEASE:
		return -EINVAL;
	case F_GETOWN:
	case F_SETOWN:
	case F_GETOWN_EX:
	case F_SETOWN_EX:
	case F_GETSIG:
	case F_SETSIG:
		return owner_fcntl(t, o, cmd, arg);
	case F_GET_RW_HINT:
	case F_SET_RW_HINT:
		return rw_hint(t, o, cmd == F_SET_RW_HINT, (void *)arg);
	case DUPFD_QUERY:
		return dupfd_query(t, o, (int)arg);
	default:
		return -EINVAL;
	}
}

long client_fcntl(struct task *t, long a[6])
{
	int cmd = (int)a[1];
	bool host;
	struct ofd *o = fd_get(t, (int)a[0], &host);
	long r;

	if (!o)
		return host ? fcntl_host(t, a) : -EBADF;
	if (o->kind == OFD_RELAY && cmd != F_DUPFD && cmd != F_DUPFD_CLOEXEC &&
	    cmd != F_GETFD && cmd != F_SETFD)
		r = relay_op(t, o, __NR_fcntl, a);
	else
		r = fcntl_hare(t, o, (u32)a[0], cmd, a[2]);
	ofd_put(t, o);
	return r;
}
