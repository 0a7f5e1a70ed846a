/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/fd and fdinfo with Hare's descriptors among the host's; and what /proc/PID/cwd, exe and
 * fd/N of other processes lead to. The host lists its own numbers, in order; Hare's are merged in
 * here, the loader's hidden ones taken out. The position of the host's directory is that of both:
 * number N is at N + 2, after the dots.
 *
 * Of any process its own core is asked (RPC FDS); which one that is, nobody else knows, so the
 * asker's comes first and then the others. Who may look is the host's decision: what it refuses is
 * not asked for. kcmp, which compares descriptors of two processes, is here too.
 */
#include <linux/fs.h>
#include <linux/memfd.h>

#include "client/file.h"
#include "client/path.h"
#include "client/procfs.h"
#include "proto/hio.h"

#define PROC_MAGIC 0x9fa0
#define NUMBERS	   512u
#define HALF	   (CLIENT_BOUNCE_SIZE / 2)
#define DT_LNK_	   10
#define DT_REG_	   8
#define FIRST	   2 /* position of number 0 */

struct dirent64 {
	u64 ino, off;
	u16 len;
	u8 type;
	char name[];
};
#define DIRENT_NAME offsetof(struct dirent64, name)

/* --- asking ----------------------------------------------------------------------- */

/* Answers are put in p->data by the caller. -ESRCH: it is no process of Hare's. */
static long ask(struct task *t, const struct req_FDS *q, struct rep_FDS *p)
{
	u32 cores = t->ctx.isl->super->cores, i;
	long r = rpc_fds(&t->ctx, t->ctx.core, q, p);

	for (i = 0; r == -ESRCH && i < cores; i++)
		if (i != t->ctx.core)
			r = rpc_fds(&t->ctx, i, q, p);
	return r;
}

/* May this process look at that one? */
static bool may_look(u32 host_pid)
{
	char link[32], c;

	str_format(link, sizeof(link), "/proc/%u/cwd", host_pid);
	return SYS(readlink, link, &c, 1) > 0;
}

/* As may_look, for a process of another kernel: its user and root may. */
static bool may_look_far(struct task *t, u32 pid, u32 host_pid)
{
	u32 core, far;

	if (!procfs_is_far(t, pid, &core, &far))
		return may_look(host_pid);
	return !t->proc->cred.uid || procfs_uid(pid) == t->proc->cred.uid;
}

long procfs_fd(struct task *t, u32 pid, u32 op, u32 fd, struct image_fd *d)
{
	struct req_FDS q = { .pid = procfs_host_pid(t, pid), .op = op, .fd = fd };
	struct rep_FDS p = { .data = { .p = d, .cap = sizeof(*d) } };
	long r;

	if (!may_look_far(t, pid, q.pid))
		return -ENOENT;
	r = ask(t, &q, &p);
	return r || p.data.len != sizeof(*d) ? -ENOENT : 0;
}

long procfs_exe(struct task *t, u32 pid, char *buf, u32 size)
{
	struct req_FDS q = { .pid = procfs_host_pid(t, pid), .op = FDS_EXE };
	struct rep_FDS p = { .data = { .p = buf, .cap = size } };

	if (!may_look_far(t, pid, q.pid) || ask(t, &q, &p) || !p.data.len)
		return -ENOENT;
	return (long)p.data.len;
}

/* --- answering; run by whoever drains, e->ck locked --------------------------------- */

static void list_numbers(const struct fdtable *ft, u32 from, bool host,
			 struct rpc_bytes *out)
{
	u32 *n = out->p;

	for (u32 fd = from; fd < ft->cap && out->len + sizeof(*n) <= out->cap; fd++) {
		if (ft->ent[fd].kind != FD_HARE && !(host && ft->ent[fd].kind == FD_HOST))
			continue;
		n[out->len / sizeof(*n)] = fd;
		out->len += (u32)sizeof(*n);
	}
}

static long one_number(const struct fdtable *ft, u32 fd, struct image_fd *d)
{
	if (fd >= ft->cap || ft->ent[fd].kind != FD_HARE)
		return -EBADF;
	ofd_image(ft->ent[fd].ofd, d);
	return 0;
}

static long which(const struct rpc_env *e, const struct fdtable *ft, u32 fd,
		  struct rpc_bytes *out)
{
	u32 kind = fd < ft->cap ? ft->ent[fd].kind : FD_HOST;
	struct fd_which w = { .kind = WHICH_HOST };
	const struct ofd *o;

	if (kind == FD_HIDDEN)
		return -EBADF;
	if (out->cap < sizeof(w))
		return -ENOSPC;
	if (kind == FD_HARE) {
		o = ft->ent[fd].ofd;
		w.kind = o->kind == OFD_RELAY ? WHICH_RELAY : WHICH_HARE;
		w.pid = o->relay_pid;
		w.fd = o->relay_fd;
		w.core = o->kind == OFD_RELAY ? o->relay_core : e->c->core;
		w.ino = ofd_id(o) ? o->ino : 0;
		w.id = ofd_id(o) ? ofd_id(o) : (u64)o;
	}
	memcpy(out->p, &w, sizeof(w));
	out->len = sizeof(w);
	return 0;
}

long client_fds(struct rpc_env *e, const struct req_FDS *q, struct rep_FDS *p)
{
	struct proc *of = proc_by_host_pid(e->ck, q->pid);
	struct image_fd d = { 0 };
	long r = 0;

	p->data.len = 0;
	if (!of || of->state == PROC_PROXY || !of->fds)
		return -ESRCH;
	switch (q->op) {
	case FDS_LIST:
	case FDS_LIST_ALL:
		list_numbers(of->fds, q->fd, q->op == FDS_LIST_ALL, &p->data);
		return 0;
	case FDS_WHICH:
		return which(e, of->fds, q->fd, &p->data);
	case FDS_EXE:
		if (of->exe) {
			p->data.len = MIN((u32)strlen(of->exe), p->data.cap);
			memcpy(p->data.p, of->exe, p->data.len);
		}
		return 0;
	case FDS_CWD:
		d.kind = OFD_DIR;
		d.mode = HS_IFDIR;
		d.ino = of->cwd;
		d.dflags = of->cwd_dflags;
		r = of->cwd ? 0 : -EBADF;
		break;
	default:
		r = one_number(of->fds, q->fd, &d);
		break;
	}
	if (!r && p->data.cap < sizeof(d))
		r = -ENOSPC;
	if (r)
		return r;
	memcpy(p->data.p, &d, sizeof(d));
	p->data.len = sizeof(d);
	return 0;
}

/* --- the directory ---------------------------------------------------------------- */

/* "/proc/PID/fd", "/proc/PID/task/TID/fdinfo": the host's PID, and the type of entries; 0: another
 * directory. */
static u32 fd_dir(int dir, u8 *type)
{
	char link[32], path[64], *p = path + 6, *end;
	u64 pid = 0;
	long n;

	str_format(link, sizeof(link), "/proc/self/fd/%d", dir);
	n = SYS(readlink, link, path, sizeof(path) - 1);
	if (n < 10 || n >= (long)sizeof(path) - 1 || memcmp(path, "/proc/", 6))
		return 0;
	path[n] = '\0';
	end = strrchr(path, '/');
	*type = !strcmp(end, "/fdinfo") ? DT_REG_ : DT_LNK_;
	if (*type == DT_LNK_ && strcmp(end, "/fd"))
		return 0;
	while (*p >= '0' && *p <= '9')
		pid = pid * 10 + (u64)(*p++ - '0');
	return *p == '/' ? (u32)pid : 0;
}

/* A listing being put together. */
struct merge {
	struct task *t;
	char *out;
	size_t used, size;
	u32 pid;
	u32 next; /* the lowest number not yet listed */
	u64 pos; /* where the list goes on; the host's own is at its next number already */
	u32 at, count; /* in hare */
	u32 hare[NUMBERS];
	u8 type;
	bool far; /* a process of another kernel: all comes from its core */
	bool hare_end; /* hare has all that is left */
};

static bool emit(struct merge *m, u64 ino, u32 fd, const char *name)
{
	size_t len = strlen(name), need = ALIGN_UP(DIRENT_NAME + len + 1, (size_t)8);
	struct dirent64 *d = (void *)(m->out + m->used);

	if (m->used + need > m->size)
		return false;
	memset(d, 0, need);
	d->ino = ino;
	d->off = (u64)fd + 1 + FIRST;
	d->len = (u16)need;
	d->type = m->type;
	memcpy(d->name, name, len);
	m->used += need;
	m->next = fd + 1;
	m->pos = d->off;
	return true;
}

/* The next number of Hare's, from m->next on; ~0: none. */
static u32 next_hare(struct merge *m)
{
	struct req_FDS q = { .pid = m->pid,
			     .op = m->far ? FDS_LIST_ALL : FDS_LIST,
			     .fd = m->next };
	struct rep_FDS p = { .data = { .p = m->hare, .cap = sizeof(m->hare) } };

	while (m->at < m->count && m->hare[m->at] < m->next)
		m->at++;
	if (m->at == m->count && !m->hare_end) {
		m->at = m->count = 0;
		if (!ask(m->t, &q, &p))
			m->count = p.data.len / (u32)sizeof(u32);
		m->hare_end = m->count < NUMBERS;
	}
	return m->at < m->count ? m->hare[m->at] : ~0U;
}

/* Hare's numbers below `end`; false: out is full. */
static bool emit_hare(struct merge *m, u32 end)
{
	char name[16];
	u32 fd;

	while ((fd = next_hare(m)) < end) {
		str_format(name, sizeof(name), "%u", fd);
		if (!emit(m, (u64)m->pid << 32 | (fd + 1), fd, name))
			return false;
	}
	return true;
}

/* What the host listed, in `in`, with Hare's before and between. */
static bool merge_host(struct merge *m, const char *in, size_t len)
{
	size_t at = 0;
	u64 fd;

	while (at < len) {
		const struct dirent64 *d = (const void *)(in + at);

		at += d->len;
		if (!str_to_u64(d->name, &fd)) { /* a dot */
			if (m->used + d->len > m->size)
				return false;
			memcpy(m->out + m->used, d, d->len);
			m->used += d->len;
			m->pos = d->off;
			continue;
		}
		if (!emit_hare(m, (u32)fd))
			return false;
		if (fd_is_hidden(m->t, (int)fd) || next_hare(m) == (u32)fd)
			continue;
		if (!emit(m, d->ino, (u32)fd, d->name))
			return false;
	}
	return true;
}

static long list(struct task *t, int dir, u32 pid, u8 type, bool far, void *user,
		 size_t size)
{
	struct merge m = { .t = t,
			   .out = (char *)t->bounce + HALF,
			   .size = MIN(size, (size_t)HALF),
			   .pid = pid,
			   .far = far,
			   .type = type };
	long pos = SYS(lseek, dir, 0, SEEK_CUR), n;
	bool all;

	m.next = pos > FIRST ? (u32)(pos - FIRST) : 0;
	do {
		n = far ? 0 : SYS(getdents64, dir, t->bounce, m.size);
		if (n < 0)
			return n;
		all = merge_host(&m, (char *)t->bounce, (size_t)n);
		if (all && !n)
			all = emit_hare(&m, ~0U);
	} while (n > 0 && !m.used && all);
	if (!m.used && !all)
		return -EINVAL; /* not even one fits */
	if (m.used)
		SYS(lseek, dir, (long)m.pos, SEEK_SET);
	return user_write(user, m.out, m.used) ? -EFAULT : (long)m.used;
}

long procfs_fd_getdents(struct task *t, long a[6])
{
	u32 pid;
	u8 type;

	pid = fd_dir((int)a[0], &type);
	return pid ? list(t, (int)a[0], pid, type, false, (void *)a[1], (u32)a[2])
		   : CLIENT_HOST;
}

/* Our own directory stands for it, with its position. */
long procfs_open_far_fds(struct task *t, u32 host_pid, u32 flags)
{
	long fd = SYS(open, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	bool cloexec = flags & O_CLOEXEC;
	struct fdent *e;

	if (sys_failed(fd))
		return fd;
	if (!cloexec)
		SYS(fcntl, fd, F_SETFD, 0);
	fd = fd_adopt(t, fd, cloexec, 0);
	e = fd < 0 ? NULL : fd_entry(t->proc->fds, (int)fd);
	if (e) {
		e->proc_dir = 1;
		e->far_pid = host_pid;
	}
	return fd;
}

long procfs_far_getdents(struct task *t, long a[6], u32 host_pid)
{
	char link[32], path[64];
	long n;

	/* A number that was closed and is used again has the mark no more. */
	str_format(link, sizeof(link), "/proc/self/fd/%d", (int)a[0]);
	n = SYS(readlink, link, path, sizeof(path) - 1);
	path[MAX(n, 0L)] = '\0';
	if (n < 10 || memcmp(path, "/proc/", 6) || strcmp(strrchr(path, '/'), "/fd"))
		return CLIENT_HOST;
	return list(t, (int)a[0], host_pid, DT_LNK_, true, (void *)a[1], (u32)a[2]);
}

/* --- fdinfo ------------------------------------------------------------------------- */

static void octal(char *s, u64 v)
{
	char digits[24];
	int n = 0;

	do
		digits[n++] = (char)('0' + v % 8);
	while (v /= 8);
	while (n)
		*s++ = digits[--n];
	*s = '\0';
}

/* A copy of what /proc/self/fdinfo/N would say. */
long procfs_fdinfo(struct task *t, u32 fd, bool cloexec)
{
	long a[6] = { fd, 0, SEEK_CUR }, pos, flags, r;
	char text[128], oct[24];
	bool host;
	struct ofd *o = fd_get(t, (int)fd, &host);
	u64 ino = o ? o->ino : 0;
	int n;

	if (!o)
		return CLIENT_HOST;
	ofd_put(t, o);
	pos = client_lseek(t, a);
	a[1] = F_GETFL;
	flags = client_fcntl(t, a);
	a[1] = F_GETFD;
	if (client_fcntl(t, a) > 0)
		flags |= O_CLOEXEC;
	octal(oct, (u64)MAX(flags, 0L));
	n = str_format(text, sizeof(text),
		       "pos:\t%ld\nflags:\t0%s\nmnt_id:\t%u\nino:\t%lu\n", MAX(pos, 0L),
		       oct, HARE_MOUNT, (unsigned long)ino);
	r = SYS(memfd_create, "fdinfo", cloexec ? MFD_CLOEXEC : 0);
	if (!sys_failed(r))
		SYS(pwrite64, r, text, n, 0);
	return r;
}

/* --- kcmp ------------------------------------------------------------------------- */

enum { KCMP_FILE_, KCMP_VM_ }; /* linux/kcmp.h's first */

/* One side of a comparison: a process and a number of its, and what that is. */
struct side {
	u32 pid; /* the host's */
	u32 fd;
	struct fd_which w;
};

static long side_of(struct task *t, struct side *s)
{
	struct req_FDS q = { .pid = s->pid, .op = FDS_WHICH, .fd = s->fd };
	struct rep_FDS p = { .data = { .p = &s->w, .cap = sizeof(s->w) } };
	long r;

	if (q.pid == t->ctx.tid)
		q.pid = t->proc->host_pid;
	r = ask(t, &q, &p);
	if (r == -ESRCH) { /* no program of Hare */
		s->w.kind = WHICH_HOST;
		return 0;
	}
	if (!r && s->w.kind == WHICH_RELAY && !mem_separate(t->ctx.isl->super)) {
		s->pid = s->w.pid;
		s->fd = hio_fd(s->w.fd);
		s->w.kind = WHICH_HOST;
	}
	return r;
}

static long host_files(u32 pid1, u32 pid2, u32 fd1, u32 fd2)
{
	return SYS(kcmp, pid1, pid2, KCMP_FILE_, fd1, fd2);
}

/* 1: below, 2: above, in some order that is always the same. */
static long compare(const struct fd_which *a, const struct fd_which *b)
{
	const u64 x[] = { a->kind, a->ino, a->id, a->ino ? 0 : a->core, a->pid, a->fd };
	const u64 y[] = { b->kind, b->ino, b->id, b->ino ? 0 : b->core, b->pid, b->fd };

	for (u32 i = 0; i < ARRAY_SIZE(x); i++)
		if (x[i] != y[i])
			return x[i] < y[i] ? 1 : 2;
	return 0;
}

/* Of Hare's and the host's: the host's has to be open. */
static long compare_sides(const struct side *a, const struct side *b)
{
	long r = 0;

	if (a->w.kind == WHICH_HOST && b->w.kind == WHICH_HOST)
		return host_files(a->pid, b->pid, a->fd, b->fd);
	if (a->w.kind == WHICH_HOST)
		r = host_files(a->pid, a->pid, a->fd, a->fd);
	if (!r && b->w.kind == WHICH_HOST)
		r = host_files(b->pid, b->pid, b->fd, b->fd);
	return r ? r : compare(&a->w, &b->w);
}

/* The host says whether we may. What else processes share, it knows. */
long client_kcmp(struct task *t, long a[6])
{
	struct side x = { .fd = (u32)a[3] }, y = { .fd = (u32)a[4] };
	u32 core, pid;
	long r;

	for (int i = 0; i < 2; i++) {
		if (a[i] > 0 && mem_separate(t->ctx.isl->super) &&
		    procfs_is_far(t, (u32)a[i], &core, &pid))
			return -EPERM;
		a[i] = client_host_pid(t, (s32)a[i]);
	}
	if ((s32)a[2] != KCMP_FILE_)
		return CLIENT_HOST;
	r = SYS(kcmp, a[0], a[1], KCMP_VM_, 0, 0);
	if (r < 0)
		return r;
	x.pid = (u32)a[0];
	y.pid = (u32)a[1];
	r = side_of(t, &x);
	if (!r)
		r = side_of(t, &y);
	return r ? r : compare_sides(&x, &y);
}
