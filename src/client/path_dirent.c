/* SPDX-License-Identifier: MIT */
/*
 * getdents and getdents64.
 *
 * A position in a directory (d_off, lseek, telldir) is
 *
 *   63    56 55        48 47                                   0
 *   0        server       0 ".", 1 "..", else server's cookie + 2
 *
 * Entries of a distributed directory come server by server, but all servers are asked at once for
 * the beginning of their parts; "." and ".." come first, at server position 0. A server's cookies keep their meaning while entries come and go, and so do these:
 * a name that is there all the time is seen exactly once.
 *
 * Of the host's directories the one in which Hare appears lists it, as it would a mount point.
 */
#include <linux/fs.h>
#include <linux/stat.h>

#include "client/file.h"
#include "client/path.h"
#include "client/procfs.h"

#define POS_SERVER_SHIFT 48
#define POS_COOKIE_MASK	 ((1ULL << POS_SERVER_SHIFT) - 1)
#define POS_DOTS	 2ULL /* positions of "." and ".." */
#define BATCH		 16384 /* bytes of entries that one call brings */

/* linux_dirent64 and linux_dirent as getdents(2) has them. */
struct dirent64 {
	u64 ino;
	u64 off;
	u16 len;
	u8 type;
	char name[];
};
struct dirent_old {
	u64 ino;
	u64 off;
	u16 len;
	char name[]; /* its NUL, padding, and the type in the last byte */
};
#define DIRENT64_NAME	19
#define DIRENT_OLD_NAME 18
#define DT_DIR_		4

/* A reading of one directory by one call. */
struct reading {
	struct task *t;
	u64 dir;
	u32 servers; /* that have parts: all, or only `first` */
	u32 first;
	bool old; /* the layout of getdents */
	char *out; /* where records are built: t->bounce + BATCH */
	size_t used, size;
	u64 pos; /* after the last record in out */
};

/* Appends one record; false when there is no room. */
static bool emit(struct reading *rd, u64 ino, u64 next, u8 type, const char *name)
{
	size_t len = strlen(name);
	size_t need = rd->old ? DIRENT_OLD_NAME + len + 2 : DIRENT64_NAME + len + 1;
	char *rec = rd->out + rd->used;

	need = ALIGN_UP(need, (size_t)8);
	if (rd->used + need > rd->size)
		return false;
	if (rd->old) {
		struct dirent_old *d = (void *)rec;

		d->ino = ino;
		d->off = next;
		d->len = (u16)need;
		memset(d->name, 0, need - DIRENT_OLD_NAME);
		memcpy(d->name, name, len);
		rec[need - 1] = (char)type;
	} else {
		struct dirent64 *d = (void *)rec;

		d->ino = ino;
		d->off = next;
		d->len = (u16)need;
		d->type = type;
		memset(d->name, 0, need - DIRENT64_NAME);
		memcpy(d->name, name, len);
	}
	rd->used += need;
	rd->pos = next;
	return true;
}

static u64 pos_of(const struct reading *rd, u32 srv, u64 cookie)
{
	u64 part = rd->servers > 1 ? srv : 0;

	return part << POS_SERVER_SHIFT | (cookie + POS_DOTS);
}

static u64 parent_ino(struct reading *rd)
{
	struct req_PARENT q = { .ino = rd->dir };
	struct rep_PARENT p = { .name = { .p = NULL } };
	struct place up;

	if (rd->dir == INO_ROOT)
		return rd->dir;
	/* Often known already, but only to those who may search it. */
	if (!cache_lookup_parent(rd->t, rd->dir, &up))
		return up.ino;
	return rpc_parent(&rd->t->ctx, ino_server(rd->dir), &q, &p) ? rd->dir : p.parent;
}

/* What a server answered. 0: go on; 1: out is full; 2: this server has no more; -errno. */
static long take(struct reading *rd, u32 srv, long r, const struct rep_DIRENT *p)
{
	u32 at;

	if (r == -EINVAL && rd->used)
		return 1; /* not even one more fits */
	if (r)
		return r;
	for (at = 0; at < p->data.len;) {
		struct dirent64 *d = (void *)((char *)p->data.p + at);

		if (!emit(rd, d->ino, pos_of(rd, srv, d->off), d->type, d->name))
			return 1;
		at += d->len;
	}
	if (p->eof)
		return 2;
	return p->data.len ? 0 : 1;
}

/* The same for an answer that was put where it belongs: the server writes getdents64's records,
 * in which only the positions are to be changed. */
static long take_in_place(struct reading *rd, u32 srv, long r, const struct rep_DIRENT *p)
{
	char *rec = rd->out + rd->used, *end = rec + p->data.len;

	if (r == -EINVAL && rd->used)
		return 1;
	if (r)
		return r;
	while (rec < end) {
		struct dirent64 *d = (void *)rec;

		rd->pos = pos_of(rd, srv, d->off);
		d->off = rd->pos;
		rec += d->len;
	}
	rd->used += p->data.len;
	if (p->eof)
		return 2;
	return p->data.len ? 0 : 1;
}

/* One batch of one server; results as take. */
static long read_batch(struct reading *rd, u32 srv)
{
	u64 cookie = (rd->pos & POS_COOKIE_MASK) - POS_DOTS;
	struct req_DIRENT q = { .dir = rd->dir, .cookie = cookie };
	struct rep_DIRENT p = { .data = { .p = rd->t->bounce, .cap = BATCH } };

	q.size = (u32)MIN(rd->size - rd->used, (size_t)BATCH);
	if (rd->old)
		return take(rd, srv, rpc_dirent(&rd->t->ctx, srv, &q, &p), &p);
	p.data.p = rd->out + rd->used;
	p.data.cap = q.size;
	return take_in_place(rd, srv, rpc_dirent(&rd->t->ctx, srv, &q, &p), &p);
}

/* This server's part is at its end: the position of the next one's beginning. */
static void next_part(struct reading *rd, u32 *part)
{
	(*part)++;
	rd->pos = (u64)*part << POS_SERVER_SHIFT | POS_DOTS;
}

/* The first batches of all parts from *part on, asked for at once: the whole of a directory that is
 * not large. Stops at a part that has more, which is then read by itself. 0, 1 or -errno as take. */
static long read_first(struct reading *rd, u32 *part)
{
	u32 left = rd->servers - *part;
	size_t each = MIN(BATCH, RPC_ALL_ROOM(left) * left) / left / 8 * 8;
	u64 servers = rpc_servers(&rd->t->ctx) >> *part << *part;
	struct req_DIRENT q = { .dir = rd->dir, .size = (u32)each };
	struct rep_DIRENT p[MAX_CORES];
	long r[MAX_CORES], got = 2;
	u32 srv;

	for (srv = *part; srv < rd->servers; srv++)
		p[srv].data =
			(struct rpc_bytes){ .p = rd->t->bounce + (srv - *part) * each,
					    .cap = (u32)each };
	rpc_all_dirent(&rd->t->ctx, servers, &q, false, p, r);
	while (*part < rd->servers && got == 2) {
		/* A long name may need more room than each part had. */
		if (r[*part] == -EINVAL)
			got = read_batch(rd, rd->first + *part);
		else
			got = take(rd, *part, r[*part], &p[*part]);
		if (got == 2)
			next_part(rd, part);
	}
	return got == 2 ? 0 : got;
}

static long read_dots(struct reading *rd)
{
	if (rd->pos == 0 && !emit(rd, rd->dir, 1, DT_DIR_, "."))
		return 1;
	if (rd->pos == 1 && !emit(rd, parent_ino(rd), POS_DOTS, DT_DIR_, ".."))
		return 1;
	return 0;
}

/* Fills out from rd->pos on. 0 or -errno. */
static long read_entries(struct reading *rd)
{
	u32 part = (u32)(rd->pos >> POS_SERVER_SHIFT);
	long r = 0;

	if (rd->pos < POS_DOTS)
		r = read_dots(rd);
	while (!r && part < rd->servers) {
		if ((rd->pos & POS_COOKIE_MASK) < POS_DOTS)
			rd->pos = pos_of(rd, part, 0);
		if ((rd->pos & POS_COOKIE_MASK) == POS_DOTS && part + 1 < rd->servers) {
			r = read_first(rd, &part);
			continue;
		}
		r = read_batch(rd, rd->first + part);
		if (r == 2) {
			next_part(rd, &part);
			r = 0;
		}
	}
	return r < 0 ? r : 0;
}

/* --- a directory's name ------------------------------------------------------------------------------- */

/* In one server's part; -ENOENT when it is not there. */
static long name_in_part(struct task *t, u32 srv, u64 dir, u64 ino, char *name)
{
	struct req_DIRENT q = { .dir = dir };
	char buf[1024] __attribute__((aligned(8)));
	struct rep_DIRENT p = { .data = { .p = buf, .cap = sizeof(buf) } };

	q.size = sizeof(buf);
	do {
		long r = rpc_dirent(&t->ctx, srv, &q, &p);

		if (r)
			return r;
		for (u32 at = 0; at < p.data.len;) {
			const struct dirent64 *d = (void *)(buf + at);

			if (d->ino == ino && d->type == DT_DIR_) {
				size_t len = strlen(d->name);

				memcpy(name, d->name, len + 1);
				return (long)len;
			}
			q.cookie = d->off;
			at += d->len;
		}
	} while (!p.eof && p.data.len);
	return -ENOENT;
}

long dir_name_of(struct task *t, u64 dir, u32 dflags, u64 ino, char *name)
{
	u64 parts =
		dflags & DIR_DISTRIBUTED ? rpc_servers(&t->ctx) : 1ULL << ino_server(dir);
	long r = -ENOENT;

	for (; r == -ENOENT && parts; parts &= parts - 1)
		r = name_in_part(t, (u32)__builtin_ctzll(parts), dir, ino, name);
	return r;
}

/* --- the position ------------------------------------------------------------------------------------- */

static long read_dir(struct task *t, struct ofd *o, void *user, size_t size, bool old)
{
	bool spread = (o->dflags & DIR_DISTRIBUTED) != 0;
	struct reading rd = {
		.t = t,
		.dir = o->ino,
		.servers = spread ? t->ctx.isl->super->servers : 1,
		.first = spread ? 0 : ino_server(o->ino),
		.old = old,
		.out = (char *)t->bounce + BATCH,
		.size = MIN(size, (size_t)CLIENT_BOUNCE_SIZE - BATCH),
	};
	u64 before;
	long r;

	if (o->flags & O_PATH)
		return -EBADF;
	if (o->kind != OFD_DIR)
		return -ENOTDIR;
	r = pos_get(t, o, &rd.pos);
	if (r)
		return r;
	before = rd.pos;
	r = read_entries(&rd);
	if (r)
		return r;
	if (!rd.used) {
		/* The end, unless there was something that did not fit. */
		if ((rd.pos >> POS_SERVER_SHIFT) >= rd.servers)
			(void)pos_set(t, o, rd.pos);
		return (rd.pos >> POS_SERVER_SHIFT) >= rd.servers ? 0 : -EINVAL;
	}
	r = user_write(user, rd.out, rd.used);
	if (r)
		return r;
	if (rd.pos != before)
		(void)pos_set(t, o, rd.pos);
	return (long)rd.used;
}

/* --- the directory of the host in which Hare appears ----------------------------------------- */

/* Is fd the directory of the host above Hare, and no name of the host stands where Hare appears?
 * name: the one to list. */
static bool lists_hare(struct task *t, int fd, const char **name)
{
	const struct super *s = t->ctx.isl->super;
	char *above = (char *)t->bounce;
	struct statx dir, up;

	*name = strrchr(s->at, '/') + 1;
	memcpy(above, s->at, s->at_len + 1);
	above[*name - s->at] = '\0';
	return !SYS(statx, fd, "", AT_EMPTY_PATH, STATX_INO, &dir) &&
	       !SYS(statx, AT_FDCWD, above, 0, STATX_INO, &up) &&
	       dir.stx_ino == up.stx_ino && dir.stx_dev_major == up.stx_dev_major &&
	       dir.stx_dev_minor == up.stx_dev_minor &&
	       SYS(faccessat, AT_FDCWD, s->at, 0) == -ENOENT;
}

/* A listing from its beginning, for two host calls more, or three where Hare appears: its name
 * comes after the first entry and shares that one's position, so none of the host's moves. */
static long host_getdents(struct task *t, long a[6])
{
	struct reading rd = { .t = t, .out = (char *)t->bounce + BATCH };
	const char *name;
	struct dirent64 *first = (void *)t->bounce;
	size_t room;
	long n;

	if (t->proc->root || SYS(lseek, a[0], 0, SEEK_CUR) ||
	    !lists_hare(t, (int)a[0], &name))
		return CLIENT_HOST;
	room = ALIGN_UP(DIRENT64_NAME + strlen(name) + 1, (size_t)8);
	rd.size = MIN((size_t)(u32)a[2], (size_t)BATCH);
	if (rd.size <= room)
		return CLIENT_HOST;
	n = SYS(getdents64, a[0], first, rd.size - room);
	if (n <= 0)
		return n == -EINVAL ? CLIENT_HOST : n; /* no room for both: the host's */
	memcpy(rd.out, first, first->len);
	rd.used = first->len;
	(void)emit(&rd, INO_ROOT, first->off, DT_DIR_, name);
	memcpy(rd.out + rd.used, (char *)first + first->len, (size_t)n - first->len);
	rd.used += (size_t)n - first->len;
	return user_write((void *)a[1], rd.out, rd.used) ? -EFAULT : (long)rd.used;
}

static long do_getdents(struct task *t, long a[6], bool old)
{
	bool host, locked = false;
	struct ofd *o = fd_get(t, (int)a[0], &host);
	long r;

	if (!o && host) {
		r = old ? CLIENT_HOST : procfs_getdents(t, a);
		return r != CLIENT_HOST || old ? r : host_getdents(t, a);
	}
	if (!o)
		return -EBADF;
	(void)pos_lock_local(t, o, &locked);
	r = read_dir(t, o, (void *)a[1], (u32)a[2], old);
	pos_unlock(o, locked);
	if (r >= 0)
		notify_ofd(t, o, IN_ACCESS);
	ofd_put(t, o);
	return r;
}

long client_getdents(struct task *t, long a[6])
{
	return do_getdents(t, a, true);
}

long client_getdents64(struct task *t, long a[6])
{
	return do_getdents(t, a, false);
}
