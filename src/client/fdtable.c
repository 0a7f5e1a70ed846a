/* SPDX-License-Identifier: MIT */
/*
 * The table of descriptors: one number space for the host's descriptors, which keep the
 * number that the host gave them, and Hare's, whose numbers the host does not know.
 * (Thesis 3.5.)
 *
 * Host call made a descriptor -> fd_adopt. Hare made one -> ofd_new, fd_install. A call
 * that uses a number: fd_get, work, ofd_put. Numbers that are not in the table are passed
 * to the host: somebody may have opened them behind our back, else it says EBADF itself.
 *
 * Who may look without the lock:
 * - at an entry's kind, anybody: arrays of entries are never freed while the table lives;
 * - at everything, the only thread of a process whose table is its own (fd_is_alone):
 *   nobody else changes it, and a description in it stays while the entry does. So its
 *   calls count no reference, and a read or write of a near file takes no lock of its own.
 * Other threads count a reference under the lock and note it in client_root.holds.
 *
 * Mappings of Hare's files hang here too, because they live as long: fork copies them
 * with the table, exec and exit drop them (mmap.c).
 */
#include <linux/resource.h>

#include "client/file.h"

#define FDTABLE_START 64u /* entries of a new table */
#define COPY_STEP     512u /* entries copied in one transaction */
#define DIRENT_NAME   19 /* offset of d_name in struct linux_dirent64 */
#define DIRENT_RECLEN 16

/* --- entries; the lock is held ---------------------------------------------------- */

static struct fdents *ents_new(struct ck *ck, u32 cap, u32 hidden)
{
	struct fdents *e =
		ck_alloc_for(ck, CK_HELD, sizeof(*e) + cap * sizeof(struct fdent));

	if (!e)
		return NULL;
	e->cap = cap;
	for (u32 fd = hidden; fd < hidden + HIDDEN_FDS && fd < cap; fd++)
		e->e[fd].kind = FD_HIDDEN;
	return e;
}

long fd_grow(struct ck *ck, struct fdtable *ft, u32 fd)
{
	u32 cap = ft->cap;
	struct fdents *e;

	if (likely(fd < cap))
		return 0;
	if (fd >= FD_MAX)
		return -EMFILE;
	while (cap <= fd)
		cap = MIN(2 * cap, FD_MAX);
	e = ents_new(ck, cap, ft->hidden);
	if (!e)
		return -ENOMEM;
	memcpy(e->e, ft->ent, ft->cap * sizeof(struct fdent));
	e->older = fdents_of(ft->ent);
	TX_SET(ck, ft->ent, &e->e[0]);
	TX_SET(ck, ft->cap, cap);
	return 0;
}

void fd_set_entry(struct ck *ck, struct fdtable *ft, u32 fd, u32 kind, struct ofd *o,
		  bool cloexec)
{
	struct fdent *e = &ft->ent[fd], to = { .what = e->what };

	if (e->ofd != o)
		TX_SET(ck, e->ofd, o);
	to.kind = (u8)kind;
	to.cloexec = cloexec;
	TX_SET(ck, e->what, to.what);
	if (kind == FD_NONE && fd < ft->lowest)
		TX_SET(ck, ft->lowest, fd);
}

long fd_lowest(struct ck *ck, struct fdtable *ft, u32 min)
{
	u32 fd = MAX(min, ft->lowest);
	long r;

	while (fd < ft->cap && ft->ent[fd].kind != FD_NONE)
		fd++;
	if (min <= ft->lowest && fd != ft->lowest)
		TX_SET(ck, ft->lowest, fd);
	if (fd >= ft->limit && ft->limit)
		return -EMFILE;
	r = fd_grow(ck, ft, fd);
	return r ? r : (long)fd;
}

struct ofd *fd_clear(struct ck *ck, struct fdtable *ft, u32 fd)
{
	struct ofd *o;

	if (fd >= ft->cap || ft->ent[fd].kind == FD_NONE || ft->ent[fd].kind == FD_HIDDEN)
		return NULL;
	o = ft->ent[fd].ofd;
	fd_set_entry(ck, ft, fd, FD_NONE, NULL, false);
	return o;
}

static u64 host_limit(u32 which)
{
	struct rlimit64 lim = { 0, 0 };

	if (sys_failed(SYS(prlimit64, 0, which, NULL, &lim)))
		return which == RLIMIT_NOFILE ? 1024 : RLIM64_INFINITY;
	return lim.rlim_cur;
}

/* --- using numbers ---------------------------------------------------------------- */

/* With the lock. */
static struct ofd *count_entry(struct task *t, struct fdtable *ft, int fd)
{
	struct ck *ck = t->ctx.ck;
	struct fdent *e = fd_entry(ft, fd);
	struct ofd *o;
	u32 i;

	if (!e || e->kind != FD_HARE)
		return NULL;
	o = e->ofd;
	TX_ADD(ck, o->refs, 1);
	if (hold_push(t, o, true, &i))
		hold_note(t, ck, i, o);
	return o;
}

static struct ofd *get_counted(struct task *t, struct fdtable *ft, int fd)
{
	struct ck *ck = t->ctx.ck;
	struct ofd *o;

	ck_lock(&t->ctx, ck);
	o = count_entry(t, ft, fd);
	ck_unlock(ck);
	return o;
}

struct ofd *fd_get_of(struct task *t, u32 host_pid, int fd)
{
	struct ck *ck = t->ctx.ck;
	struct ofd *o = NULL;
	struct proc *p;

	ck_lock(&t->ctx, ck);
	p = proc_by_host_pid(ck, host_pid);
	if (p && p->fds)
		o = count_entry(t, p->fds, fd);
	ck_unlock(ck);
	return o;
}

struct ofd *fd_get(struct task *t, int fd, bool *host)
{
	struct fdtable *ft = t->proc->fds;
	struct fdent *e = likely(ft) ? fd_entry(ft, fd) : NULL;
	u32 i;

	*host = false;
	if (likely(e && e->kind == FD_HARE)) {
		if (likely(fd_is_alone(t, ft)) && hold_push(t, e->ofd, false, &i))
			return e->ofd;
		return get_counted(t, ft, fd);
	}
	*host = fd >= 0 && !fd_is_hidden(t, fd);
	return NULL;
}

struct ofd *fd_use_slow(struct task *t, long fd, long *ret)
{
	bool host;
	struct ofd *o = fd_get(t, (int)fd, &host);

	if (!o)
		*ret = host ? CLIENT_HOST : -EBADF;
	return o;
}

bool fd_is_host(struct task *t, int fd)
{
	struct fdtable *ft = t->proc->fds;
	struct fdent *e = ft ? fd_entry(ft, fd) : NULL;

	return !(e && e->kind == FD_HARE) && fd >= 0 && !fd_is_hidden(t, fd);
}

/* The limits of a table that an agent made, before its process ran: asked for by the
 * process. */
static void learn_limits(struct task *t, struct fdtable *ft)
{
	struct ck *ck = t->ctx.ck;
	u32 limit;
	u64 fsize;

	if ((u32)SYS(getpid) != t->proc->host_pid)
		return;
	limit = (u32)MIN(host_limit(RLIMIT_NOFILE), (u64)FD_MAX);
	fsize = host_limit(RLIMIT_FSIZE);
	ck_lock(&t->ctx, ck);
	TX_SET(ck, ft->limit, limit);
	TX_SET(ck, ft->fsize, fsize);
	ck_unlock(ck);
}

long fd_install(struct task *t, struct ofd *o, bool cloexec, int min)
{
	struct ck *ck = t->ctx.ck;
	struct fdtable *ft = t->proc->fds;
	int i = hold_find(t, o);
	bool counted = i < 0 || t->hold_counted & 1u << i;
	long fd;

	if (unlikely(!ft->limit))
		learn_limits(t, ft);
	ck_lock(&t->ctx, ck);
	fd = fd_lowest(ck, ft, (u32)min);
	if (fd < 0) {
		ck_abort(ck);
		ck_unlock(ck);
		ofd_put(t, o);
		return fd;
	}
	fd_set_entry(ck, ft, (u32)fd, FD_HARE, o, cloexec);
	if (!counted)
		TX_ADD(ck, o->refs, 1);
	if (i >= 0) {
		if (counted)
			hold_note(t, ck, (u32)i, NULL);
		t->hold_used &= ~(1u << i);
		t->hold_counted &= ~(1u << i);
	}
	ck_unlock(ck);
	return fd;
}

long fd_room(struct task *t, u32 min)
{
	struct ck *ck = t->ctx.ck;
	long fd;

	if (unlikely(!t->proc->fds->limit))
		learn_limits(t, t->proc->fds);
	ck_lock(&t->ctx, ck);
	fd = fd_lowest(ck, t->proc->fds, min);
	if (fd < 0)
		ck_abort(ck);
	ck_unlock(ck);
	return fd;
}

long fd_dup(struct task *t, int fd, bool cloexec, u32 min)
{
	struct ck *ck = t->ctx.ck;
	struct fdtable *ft = t->proc->fds;
	long to = -EBADF;
	struct fdent *e;

	if (unlikely(!ft->limit))
		learn_limits(t, ft);
	ck_lock(&t->ctx, ck);
	e = fd_entry(ft, fd);
	if (likely(e && e->kind == FD_HARE)) {
		struct ofd *o = e->ofd;

		to = fd_lowest(ck, ft, min);
		if (likely(to >= 0)) {
			fd_set_entry(ck, ft, (u32)to, FD_HARE, o, cloexec);
			TX_ADD(ck, o->refs, 1);
		}
	}
	if (unlikely(to < 0))
		ck_abort(ck);
	ck_unlock(ck);
	return to;
}

/* --- host descriptors ------------------------------------------------------------- */

/* Where a descriptor that the host numbered `have` belongs: `have` once it is entered,
 * another number when it has to move there, -EMFILE. */
static long adopt_place(struct task *t, u32 have, u32 min, bool cloexec)
{
	struct ck *ck = t->ctx.ck;
	struct fdtable *ft = t->proc->fds;
	struct ofd *shadow = NULL;
	long want;

	ck_lock(&t->ctx, ck);
	if (have < ft->cap && have >= min && ft->ent[have].kind == FD_HOST) {
		/* somebody closed it behind our back */
		shadow = fd_clear(ck, ft, have);
	}
	want = fd_lowest(ck, ft, min);
	if (want == (long)have)
		fd_set_entry(ck, ft, have, FD_HOST, NULL, cloexec);
	else if (want < 0)
		ck_abort(ck);
	if (shadow)
		ofd_drop_unlock(t, shadow);
	else
		ck_unlock(ck);
	return want;
}

/* The number is free here but taken at the host: opened behind our back. */
static void discover(struct task *t, u32 fd)
{
	struct ck *ck = t->ctx.ck;
	struct fdtable *ft = t->proc->fds;
	long flags = SYS(fcntl, fd, F_GETFD);

	ck_lock(&t->ctx, ck);
	if (!sys_failed(flags) && fd < ft->cap && ft->ent[fd].kind == FD_NONE)
		fd_set_entry(ck, ft, fd, FD_HOST, NULL, flags & FD_CLOEXEC);
	ck_unlock(ck);
}

long fd_adopt(struct task *t, long host_fd, bool cloexec, int min)
{
	struct fdtable *ft = t->proc->fds;
	long want, moved;

	if (sys_failed(host_fd) || !ft)
		return host_fd == -EINTR ? -HARE_ERESTARTSYS : host_fd;
	if (unlikely(!ft->limit))
		learn_limits(t, ft);
	for (;;) {
		if (host_fd >= (long)FD_MAX && min >= (int)FD_MAX)
			return host_fd; /* beyond what the table knows */
		want = adopt_place(t, (u32)host_fd, (u32)min, cloexec);
		if (want == host_fd)
			return host_fd;
		if (want < 0) {
			SYS(close, host_fd);
			return want;
		}
		moved = SYS(fcntl, host_fd, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, want);
		if (moved != want && !sys_failed(moved))
			discover(t, (u32)want);
		SYS(close, host_fd);
		if (sys_failed(moved))
			return -EMFILE;
		host_fd = moved;
	}
}

/* --- closing ---------------------------------------------------------------------- */

/* A close tells what was stored through mappings, where memory is not coherent. */
static bool close_syncs(const struct task *t, const struct fdtable *ft)
{
	return !list_empty(&ft->maps) && t->ctx.isl->model != MEM_COHERENT &&
	       ft == t->proc->fds;
}

/* The locks go while the descriptor still keeps the inode open. */
static void before_close(struct task *t, struct fdtable *ft, u64 ino)
{
	if (close_syncs(t, ft))
		maps_sync(t, ino);
	if (ft->posix_locks) {
		vnode_sync_ino(t, ino);
		posix_locks_release(t, ino);
	}
}

void fd_before_replace(struct task *t, u32 fd)
{
	struct fdtable *ft = t->proc->fds;
	struct ofd *o;
	bool host;

	if (likely(!ft->posix_locks && !close_syncs(t, ft)))
		return;
	o = fd_get(t, (int)fd, &host);
	if (!o)
		return;
	if (o->kind == OFD_FILE)
		before_close(t, ft, o->ino);
	ofd_put(t, o);
}

void fd_close_entry(struct task *t, struct fdtable *ft, u32 fd)
{
	struct ck *ck = t->ctx.ck;
	struct ofd *o;

	ck_lock(&t->ctx, ck);
	o = fd_clear(ck, ft, fd);
	if (!o) {
		ck_unlock(ck);
		return;
	}
	if (unlikely(ft->posix_locks || close_syncs(t, ft)) && o->kind == OFD_FILE) {
		u64 ino = o->ino;

		ck_abort(ck);
		ck_unlock(ck);
		before_close(t, ft, ino);
		ck_lock(&t->ctx, ck);
		o = fd_clear(ck, ft, fd);
	}
	if (o)
		ofd_drop_unlock(t, o);
	else
		ck_unlock(ck);
}

static bool has_something(const struct fdent *e)
{
	return e->kind == FD_HARE || (e->kind == FD_HOST && e->ofd);
}

long fdtable_unshare(struct task *t, struct proc *p)
{
	struct fdtable *old = p->fds;
	struct ck *ck = t->ctx.ck;
	long r;

	if (!old || old->refs == 1)
		return 0;
	/* The new table is entered before the old one is given up: a death in between
	 * leaves a count too high, not a table that is freed twice. */
	r = fdtable_copy(t, old, &p->fds, true);
	if (r && p->fds != old)
		fdtable_put(t, &p->fds);
	ck_lock(&t->ctx, ck);
	if (!r)
		TX_ADD(ck, old->refs, -1);
	else
		TX_SET(ck, p->fds, old);
	ck_unlock(ck);
	return r;
}

void fdtable_exec_close(struct task *t, struct proc *p)
{
	struct fdtable *ft;

	(void)fdtable_unshare(t, p);
	ft = p->fds;
	if (!ft)
		return;
	maps_drop(t, ft);
	for (u32 fd = 0; fd < ft->cap; fd++)
		if (ft->ent[fd].cloexec)
			fd_close_entry(t, ft, fd);
}

static void table_free(struct ck *ck, struct fdtable *ft)
{
	struct fdents *e = fdents_of(ft->ent);

	while (e) {
		struct fdents *older = e->older;

		ck_free(ck, e);
		e = older;
	}
	ck_free(ck, ft);
}

void fdtable_put(struct task *t, struct fdtable **ftp)
{
	struct ck *ck = t->ctx.ck;
	struct fdtable *ft = *ftp;

	if (!ft)
		return;
	ck_lock(&t->ctx, ck);
	if (ft->refs > 1) {
		TX_ADD(ck, ft->refs, -1);
		TX_SET(ck, *ftp, NULL);
		ck_unlock(ck);
		return;
	}
	ck_unlock(ck);
	if (ft->held)
		holds_release(t, ft);
	maps_drop(t, ft);
	for (u32 fd = 0; fd < ft->cap; fd++)
		if (has_something(&ft->ent[fd]))
			fd_close_entry(t, ft, fd);
	closing_finish(t);
	ck_lock(&t->ctx, ck);
	table_free(ck, ft);
	TX_SET(ck, *ftp, NULL);
	ck_unlock(ck);
}

/* --- making ----------------------------------------------------------------------- */

static struct fdtable *table_new(struct ck *ck, u32 cap, u32 hidden)
{
	struct fdtable *ft = ck_alloc(ck, sizeof(*ft));
	struct fdents *e = ft ? ents_new(ck, cap, hidden) : NULL;

	if (!e)
		return NULL;
	ft->refs = 1;
	ft->cap = cap;
	ft->hidden = hidden;
	ft->ent = e->e;
	list_init_fresh(&ft->maps);
	return ft;
}

/* Enters an empty table at *to. */
static long table_start(struct task *t, struct fdtable **to, u32 cap, u32 limit,
			u64 fsize)
{
	struct ck *ck = t->ctx.ck;
	struct fdtable *ft;

	ck_lock(&t->ctx, ck);
	ft = table_new(ck, cap, (u32)t->ctx.isl->super->fd_base);
	if (ft) {
		ft->limit = limit;
		ft->fsize = fsize;
		TX_SET(ck, *to, ft);
	} else {
		ck_abort(ck);
	}
	ck_unlock(ck);
	return ft ? 0 : -ENOMEM;
}

static void enter_host(struct task *t, struct fdtable *ft, u32 fd)
{
	struct ck *ck = t->ctx.ck;
	long flags = SYS(fcntl, fd, F_GETFD);

	if (sys_failed(flags) || flags & FD_CLOEXEC || fd_is_hidden(t, (int)fd))
		return;
	ck_lock(&t->ctx, ck);
	if (!fd_grow(ck, ft, fd) && ft->ent[fd].kind == FD_NONE)
		fd_set_entry(ck, ft, fd, FD_HOST, NULL, false);
	ck_unlock(ck);
}

static void enter_listed(struct task *t, struct fdtable *ft, long dir)
{
	long n, at;

	while ((n = SYS(getdents64, dir, t->bounce, CLIENT_BOUNCE_SIZE)) > 0) {
		for (at = 0; at < n;) {
			const u8 *d = t->bounce + at;
			u64 fd;

			if (str_to_u64((const char *)d + DIRENT_NAME, &fd) &&
			    (long)fd != dir)
				enter_host(t, ft, (u32)fd);
			at += d[DIRENT_RECLEN] | d[DIRENT_RECLEN + 1] << 8;
		}
	}
}

void fdtable_pass_locks(struct task *t, struct fdtable *ft, u64 servers)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	TX_SET(ck, ft->posix_locks, servers);
	ck_unlock(ck);
}

long fd_enter_host(struct task *t, int fd)
{
	struct ck *ck = t->ctx.ck;
	struct fdtable *ft = t->proc->fds;
	long r;

	ck_lock(&t->ctx, ck);
	r = fd_grow(ck, ft, (u32)fd);
	if (!r)
		fd_set_entry(ck, ft, (u32)fd, FD_HOST, NULL, false);
	ck_unlock(ck);
	return r;
}

long fdtable_new(struct task *t, struct fdtable **to, bool host)
{
	long r = table_start(t, to, FDTABLE_START, 0, RLIM64_INFINITY);
	long dir;

	if (r || !host)
		return r;
	learn_limits(t, *to);
	dir = SYS(open, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!sys_failed(dir)) {
		enter_listed(t, *to, dir);
		SYS(close, dir);
		return 0;
	}
	for (u32 fd = 0; fd < 1024; fd++)
		enter_host(t, *to, fd);
	return 0;
}

/* Entries [from, from + COPY_STEP), with a reference each. */
static void copy_step(struct task *t, struct fdtable *src, struct fdtable *ft, u32 from)
{
	struct ck *ck = t->ctx.ck;
	u32 end = MIN(MIN(from + COPY_STEP, src->cap), ft->cap);

	ck_lock(&t->ctx, ck);
	for (u32 fd = from; fd < end; fd++) {
		struct fdent *e = &src->ent[fd];

		if (e->kind == FD_NONE || e->kind == FD_HIDDEN)
			continue;
		if (e->ofd)
			TX_ADD(ck, e->ofd->refs, 1);
		fd_set_entry(ck, ft, fd, e->kind, e->ofd, e->cloexec);
	}
	ck_unlock(ck);
}

/* *to is in the child's entry from the start: who dies in between leaves nothing
 * unknown. */
long fdtable_copy(struct task *t, struct fdtable *from, struct fdtable **to, bool maps)
{
	long r = table_start(t, to, from->cap, from->limit, from->fsize);

	for (u32 fd = 0; !r && fd < from->cap; fd += COPY_STEP)
		copy_step(t, from, *to, fd);
	return r || !maps ? r : maps_copy(t, from, *to);
}

/* --- limits ----------------------------------------------------------------------- */

/* The process that prlimit names: this one, or another of this core; lock held. */
static struct fdtable *limited_table(struct task *t, long pid)
{
	struct proc *p;

	if (!pid || (u32)pid == t->proc->host_pid)
		return t->proc->fds;
	p = proc_by_host_pid(t->ctx.ck, (u32)pid);
	return p ? p->fds : NULL;
}

static long limit_changed(struct task *t, long pid, long which, u64 value)
{
	struct ck *ck = t->ctx.ck;
	struct fdtable *ft;

	ck_lock(&t->ctx, ck);
	ft = limited_table(t, pid);
	if (ft && which == RLIMIT_NOFILE)
		TX_SET(ck, ft->limit, (u32)MIN(value, (u64)FD_MAX));
	if (ft && which == RLIMIT_FSIZE)
		TX_SET(ck, ft->fsize, value);
	ck_unlock(ck);
	return 0;
}

/* What the loader needs to exist and for an exec's arguments and image. */
#define LOADER_AS (40u << 20)

/* RLIMIT_AS is the program's: what Hare maps into every process comes on top at the host. */
static u64 as_own(struct task *t)
{
	return mem_mapped(t->ctx.isl) + LOADER_AS;
}

static u64 as_given(struct task *t, u64 lim)
{
	u64 own = as_own(t);

	return lim < RLIM64_INFINITY - own ? lim + own : lim;
}

static u64 as_shown(struct task *t, u64 lim)
{
	u64 own = as_own(t);

	return lim == RLIM64_INFINITY ? lim : lim > own ? lim - own : 0;
}

/* Of this process, or another of this core; of one outside it is the host's. */
static long limit_as(struct task *t, long pid, const void *new, void *old)
{
	struct rlimit64 lim, was;
	struct ck *ck = t->ctx.ck;
	bool known;
	long r;

	ck_lock(&t->ctx, ck);
	known = limited_table(t, pid) != NULL;
	ck_unlock(ck);
	if (!known)
		return SYS(prlimit64, pid, RLIMIT_AS, new, old);
	if (new &&user_read(&lim, new, sizeof(lim)))
		return -EFAULT;
	lim.rlim_cur = new ? as_given(t, lim.rlim_cur) : 0;
	lim.rlim_max = new ? as_given(t, lim.rlim_max) : 0;
	r = SYS(prlimit64, pid, RLIMIT_AS, new ? &lim : NULL, &was);
	if (r || !old)
		return r;
	was.rlim_cur = as_shown(t, was.rlim_cur);
	was.rlim_max = as_shown(t, was.rlim_max);
	return user_write(old, &was, sizeof(was));
}

long client_prlimit64(struct task *t, long a[6])
{
	struct rlimit64 lim;
	long r;

	if (a[1] == RLIMIT_AS)
		return limit_as(t, a[0], (void *)a[2], (void *)a[3]);
	if (!a[2] || (a[1] != RLIMIT_NOFILE && a[1] != RLIMIT_FSIZE))
		return CLIENT_HOST;
	if (user_read(&lim, (void *)a[2], sizeof(lim)))
		return -EFAULT;
	r = SYS(prlimit64, a[0], a[1], a[2], a[3]);
	return r ? r : limit_changed(t, a[0], a[1], lim.rlim_cur);
}

long client_getrlimit(struct task *t, long a[6])
{
	if (a[0] != RLIMIT_AS)
		return CLIENT_HOST;
	return a[1] ? limit_as(t, 0, NULL, (void *)a[1]) : -EFAULT;
}

long client_setrlimit(struct task *t, long a[6])
{
	struct rlimit64 lim;
	long r;

	if (a[0] == RLIMIT_AS)
		return a[1] ? limit_as(t, 0, (void *)a[1], NULL) : -EFAULT;
	if (a[0] != RLIMIT_NOFILE && a[0] != RLIMIT_FSIZE)
		return CLIENT_HOST;
	if (user_read(&lim, (void *)a[1], sizeof(lim)))
		return -EFAULT;
	r = SYS(setrlimit, a[0], a[1]);
	return r ? r : limit_changed(t, 0, a[0], lim.rlim_cur);
}
