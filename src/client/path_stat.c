/* SPDX-License-Identifier: MIT */
/*
 * stat and its relatives, access, readlink, statfs: calls that only look.
 *
 * A near file's attributes come with the lookup of its name (RESOLVE, want_attr): stat costs one
 * local call, whatever the number of names (walk_near). Directories report sizes as tmpfs does:
 * 20 bytes per entry.
 */
#include "client/path.h"
#include "client/procfs.h"

#include <asm/stat.h>
#include <asm/statfs.h>
#include <linux/stat.h>

#define DIRENT_BYTES 20 /* what an entry adds to st_size */
#define TMPFS_MAGIC  0x01021994
#define STATFS_FLAGS 0x20 /* f_flags is valid */
#define NS	     1000000000LL

/* --- attributes --------------------------------------------------------------------------------- */

/* All parts of a distributed directory together. */
static long add_shards(struct task *t, struct attr *a)
{
	struct req_SHARD q = { .dir = a->ino, .op = SHARD_STAT };
	struct rep_SHARD p[MAX_CORES];
	u64 entries = 0, subdirs = 0;
	long r[MAX_CORES];
	u32 srv;

	rpc_all_shard(&t->ctx, rpc_servers(&t->ctx), &q, false, p, r);
	for (srv = 0; srv < t->ctx.isl->super->servers; srv++) {
		if (r[srv] == -ENOENT)
			continue; /* removed, still open */
		if (r[srv])
			return r[srv];
		entries += p[srv].entries;
		subdirs += p[srv].subdirs;
		a->mtime = MAX(a->mtime, p[srv].mtime);
		a->ctime = MAX(a->ctime, p[srv].mtime);
	}
	a->size = entries;
	if (a->nlink)
		a->nlink = 2 + (u32)subdirs;
	return 0;
}

long attr_get(struct task *t, u64 ino, struct attr *a)
{
	struct req_FSTAT q = { .ino = ino };
	long r;

	if (unlikely(!ino))
		return -EBADF;
	/* The reply is its one field: the server writes straight into *a. */
	_Static_assert(sizeof(struct rep_FSTAT) == sizeof(*a), "rpc.def");
	r = rpc_fstat(&t->ctx, ino_server(ino), &q, (struct rep_FSTAT *)a);
	if (r)
		return r;
	if (unlikely(a->dflags & DIR_DISTRIBUTED))
		return add_shards(t, a);
	if (!rpc_is_near(&t->ctx, ino_server(ino)) && (a->mode & HS_IFMT) == HS_IFREG)
		file_attr(t, a);
	return 0;
}

/* Times before 1970 have nanoseconds too that count up. */
static inline void time_split(u64 ns, s64 *sec, u64 *nsec)
{
	s64 s = (s64)ns / NS, n = (s64)ns - s * NS;

	*sec = n < 0 ? s - 1 : s;
	*nsec = (u64)(n < 0 ? n + NS : n);
}

static u64 shown_size(const struct attr *a)
{
	return (a->mode & HS_IFMT) == HS_IFDIR ? (a->size + 2) * DIRENT_BYTES : a->size;
}

long attr_put_stat(const struct attr *a, void *user)
{
	struct stat st;

	st.st_dev = HARE_DEV;
	st.st_ino = a->ino;
	st.st_nlink = a->nlink;
	st.st_mode = a->mode;
	st.st_uid = a->uid;
	st.st_gid = a->gid;
	st.st_rdev = a->rdev;
	st.st_size = (s64)shown_size(a);
	st.st_blksize = PAGE_SIZE;
	st.st_blocks = (s64)(a->blocks * (PAGE_SIZE / 512));
	time_split(a->atime, (s64 *)&st.st_atime, &st.st_atime_nsec);
	time_split(a->mtime, (s64 *)&st.st_mtime, &st.st_mtime_nsec);
	time_split(a->ctime, (s64 *)&st.st_ctime, &st.st_ctime_nsec);
	INIT_STRUCT_STAT_PADDING(st);
	return user_write(user, &st, sizeof(st));
}

/* Not in every system's headers. */
#define MNT_ID		0x1000u
#define MNT_ID_UNIQUE	0x4000u
#define ATTR_MOUNT_ROOT 0x2000u
/* immutable, append, nodump, automount, mount root, DAX */
#define ATTRS_KNOWN 0x203070u

static struct statx_timestamp timestamp(u64 ns)
{
	struct statx_timestamp ts = { 0 };
	s64 sec;
	u64 nsec;

	time_split(ns, &sec, &nsec);
	ts.tv_sec = sec;
	ts.tv_nsec = (u32)nsec;
	return ts;
}

static u32 dev_major(u64 dev)
{
	return (u32)(dev >> 8) & 0xfff;
}

static u32 dev_minor(u64 dev)
{
	return ((u32)dev & 0xff) | ((u32)(dev >> 12) & 0xfff00);
}

/* What tmpfs says that it has given: the change and modification times only together, and when one
 * is asked for; birth only then. */
static u32 given(u32 wanted)
{
	const u32 times = STATX_MTIME | STATX_CTIME;
	u32 id = wanted & MNT_ID_UNIQUE ? MNT_ID_UNIQUE : MNT_ID;

	return (STATX_BASIC_STATS & ~(wanted & times ? 0 : times)) |
	       (wanted & STATX_BTIME) | id;
}

long attr_put_statx(const struct attr *a, u32 wanted, void *user)
{
	struct statx sx = {
		.stx_mask = given(wanted),
		.stx_attributes = a->ino == INO_ROOT ? ATTR_MOUNT_ROOT : 0,
		.stx_attributes_mask = ATTRS_KNOWN,
		.stx_mnt_id = HARE_MOUNT,
		.stx_blksize = PAGE_SIZE,
		.stx_nlink = a->nlink,
		.stx_uid = a->uid,
		.stx_gid = a->gid,
		.stx_mode = (u16)a->mode,
		.stx_ino = a->ino,
		.stx_size = shown_size(a),
		.stx_blocks = a->blocks * (PAGE_SIZE / 512),
		.stx_atime = timestamp(a->atime),
		.stx_btime = timestamp(a->btime),
		.stx_ctime = timestamp(a->ctime),
		.stx_mtime = timestamp(a->mtime),
		.stx_rdev_major = dev_major(a->rdev),
		.stx_rdev_minor = dev_minor(a->rdev),
		.stx_dev_major = dev_major(HARE_DEV),
		.stx_dev_minor = dev_minor(HARE_DEV),
	};

	return user_write(user, &sx, sizeof(sx));
}

long attr_put_statfs(struct task *t, void *user)
{
	struct statfs st = { .f_type = TMPFS_MAGIC,
			     .f_bsize = PAGE_SIZE,
			     .f_frsize = PAGE_SIZE,
			     .f_namelen = NAME_LEN_MAX,
			     .f_flags = STATFS_FLAGS };
	struct req_STATFS q = { .unused = 0 };
	struct rep_STATFS p[MAX_CORES];
	long r[MAX_CORES];
	u32 srv;

	rpc_all_statfs(&t->ctx, rpc_servers(&t->ctx), &q, false, p, r);
	for (srv = 0; srv < t->ctx.isl->super->servers; srv++) {
		if (r[srv])
			return r[srv];
		st.f_blocks += (s64)p[srv].blocks;
		st.f_bfree += (s64)p[srv].blocks_free;
		st.f_files += (s64)p[srv].inodes;
		st.f_ffree += (s64)p[srv].inodes_free;
	}
	st.f_bavail = st.f_bfree;
	memcpy(&st.f_fsid, &t->ctx.isl->super->boot_id, sizeof(st.f_fsid));
	return user_write(user, &st, sizeof(st));
}

/* --- stat ------------------------------------------------------------------------------------------- */

/* The link of one of Hare's descriptors: that of a host descriptor, with the mode that tells
 * how ours is open. Its inode number is the other's. */
static u32 link_mode(struct task *t, const struct place *pl)
{
	struct image_fd d = { .flags = O_RDWR };
	bool host;
	struct ofd *o = pl->magic_pid ? NULL : fd_get(t, pl->magic_fd, &host);

	if (o) {
		d.flags = o->flags;
		ofd_put(t, o);
	} else if (pl->magic_pid) {
		(void)procfs_fd(t, pl->magic_pid, FDS_ONE, (u32)pl->magic_fd, &d);
	}
	if (d.flags & O_PATH)
		return HS_IFLNK;
	return HS_IFLNK | ((d.flags & O_ACCMODE) == O_WRONLY ? 0U : 0500U) |
	       ((d.flags & O_ACCMODE) == O_RDONLY ? 0U : 0300U);
}

static long stat_link(struct task *t, const struct place *pl, const char *like,
		      void *user)
{
	struct stat st;
	long r = SYS(newfstatat, AT_FDCWD, like, &st, AT_SYMLINK_NOFOLLOW);

	if (r)
		return r;
	st.st_mode = link_mode(t, pl);
	return user_write(user, &st, sizeof(st));
}

static long statx_link(struct task *t, const struct place *pl, const char *like, u32 mask,
		       void *user)
{
	struct statx stx;
	long r = SYS(statx, AT_FDCWD, like, AT_SYMLINK_NOFOLLOW, mask, &stx);

	if (r)
		return r;
	stx.stx_mode = (u16)link_mode(t, pl);
	return user_write(user, &stx, sizeof(stx));
}

/* Walks to what is there, and gets its attributes into pl->res.attr. As path_walk. */
static inline long walk_attr(struct task *t, long *dirfd, long *upath, u32 wf,
			     struct place *pl)
{
	u32 tries = 0;
	long r;

	do {
		r = path_walk(t, dirfd, upath, wf | WALK_ATTR, pl);
		if (r)
			break;
		r = place_attr(t, pl);
	} while (place_gone(t, r, pl, &tries));
	return r;
}

static long do_stat(struct task *t, long *dirfd, long *upath, long ubuf, u32 wf)
{
	struct place pl;
	long r = walk_attr(t, dirfd, upath, wf, &pl);

	if (r == CLIENT_HOST && pl.magic)
		return stat_link(t, &pl, (const char *)*upath, (void *)ubuf);
	return r ? r : attr_put_stat(&pl.res.attr, (void *)ubuf);
}

long client_stat(struct task *t, long a[6])
{
	return do_stat(t, NULL, &a[0], a[1], WALK_FOLLOW);
}

long client_lstat(struct task *t, long a[6])
{
	return do_stat(t, NULL, &a[0], a[1], 0);
}

/* AT_EMPTY_PATH with an empty path: fstat, which also knows descriptors without an inode. */
static bool is_empty_path(long upath)
{
	char c;

	return !upath || (!user_read(&c, (const char *)upath, 1) && !c);
}

static u32 at_flags(long flags)
{
	return (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
	       (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
}

long client_newfstatat(struct task *t, long a[6])
{
	if (a[3] & ~(long)(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH))
		return -EINVAL;
	if (a[3] & AT_EMPTY_PATH && !a[1])
		a[1] = (long)""; /* as Linux since 6.11 */
	if (a[3] & AT_EMPTY_PATH && (int)a[0] != AT_FDCWD && is_empty_path(a[1])) {
		long args[6] = { a[0], a[2] };
		long r = client_fstat(t, args);

		return r;
	}
	a[0] = (int)a[0];
	return do_stat(t, &a[0], &a[1], a[2], at_flags(a[3]));
}

long client_statx(struct task *t, long a[6])
{
	const long known = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH |
			   AT_STATX_SYNC_TYPE;
	struct place pl;
	long r;

	if (a[2] & ~known || (a[2] & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
		return -EINVAL;
	if ((u32)a[3] & STATX__RESERVED)
		return -EINVAL;
	a[0] = (int)a[0];
	if (!a[1] && a[2] & AT_EMPTY_PATH)
		a[1] = (long)"";
	r = walk_attr(t, &a[0], &a[1], at_flags(a[2]), &pl);
	if (r == CLIENT_HOST && pl.magic)
		return statx_link(t, &pl, (const char *)a[1], (u32)a[3], (void *)a[4]);
	return r ? r : attr_put_statx(&pl.res.attr, (u32)a[3], (void *)a[4]);
}

long client_statfs(struct task *t, long a[6])
{
	struct place pl;
	long r = path_walk(t, NULL, &a[0], WALK_FOLLOW, &pl);

	return r ? r : attr_put_statfs(t, (void *)a[1]);
}

/* --- access ------------------------------------------------------------------------------------------ */

/* access(2) asks for the real ids, not those that the process works with; mostly they are equal,
 * and only the thread itself changes them (change_ids; a user namespace changes their numbers). */
static long real_check(struct task *t, const struct attr *a, u32 mode)
{
	const struct cred *own = &t->proc->cred;
	struct cred real;

	if (!t->ids_known || t->proc->flags & PROC_STAY) {
		t->uid = (u32)SYS(getuid);
		t->gid = (u32)SYS(getgid);
		t->ids_known = true;
	}
	if (likely(t->uid == own->uid && t->gid == own->gid))
		return perm_check(own, a->mode, a->uid, a->gid, mode);
	real = *own;
	real.uid = t->uid;
	real.gid = t->gid;
	return perm_check(&real, a->mode, a->uid, a->gid, mode);
}

static long do_access(struct task *t, long *dirfd, long *upath, long mode, long flags)
{
	const struct attr *a;
	struct place pl;
	long r;

	if (mode & ~7L ||
	    flags & ~(long)(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (!mode)
		return path_walk(t, dirfd, upath, at_flags(flags), &pl);
	r = walk_attr(t, dirfd, upath, at_flags(flags), &pl);
	if (r)
		return r;
	a = &pl.res.attr;
	if (flags & AT_EACCESS)
		return perm_check(&t->proc->cred, a->mode, a->uid, a->gid, (u32)mode);
	return real_check(t, a, (u32)mode);
}

long client_access(struct task *t, long a[6])
{
	return do_access(t, NULL, &a[0], (int)a[1], 0);
}

long client_faccessat(struct task *t, long a[6])
{
	a[0] = (int)a[0];
	return do_access(t, &a[0], &a[1], (int)a[2], 0);
}

long client_faccessat2(struct task *t, long a[6])
{
	a[0] = (int)a[0];
	return do_access(t, &a[0], &a[1], (int)a[2], (int)a[3]);
}

/* --- readlink ------------------------------------------------------------------------------------------ */

/* The name of an inode in the directory that it was opened in; 0 when it is there no more. */
static long name_in_dir(struct task *t, u64 dir, u32 dflags, u64 ino, char *name)
{
	u32 srv = dflags & DIR_DISTRIBUTED ? 0 : ino_server(dir);
	u32 last = dflags & DIR_DISTRIBUTED ? t->ctx.isl->super->servers - 1 : srv;
	struct dirent64 {
		u64 ino, off;
		u16 len;
		u8 type;
		char name[];
	};

	for (; srv <= last; srv++) {
		struct req_DIRENT q = { .dir = dir, .size = 16384 };
		struct rep_DIRENT p = { .data = { .p = WALK_TEXT(t, 2), .cap = 16384 } };

		do {
			u32 at = 0;

			if (rpc_dirent(&t->ctx, srv, &q, &p))
				break;
			while (at < p.data.len) {
				struct dirent64 *d = (void *)((char *)p.data.p + at);

				if (d->ino == ino)
					return (long)str_copy(name, d->name,
							      NAME_LEN_MAX + 1);
				q.cookie = d->off;
				at += d->len;
			}
			p.eof |= p.data.len == 0;
		} while (!p.eof);
	}
	return 0;
}

long ofd_path(struct task *t, struct ofd *o, char *buf, size_t size)
{
	const char *at = t->ctx.isl->super->at;
	char name[NAME_LEN_MAX + 1];
	long len;

	if ((o->mode & HS_IFMT) == HS_IFDIR) {
		len = walk_path_of(t, o->ino, buf, size);
		if (len != -ENOENT)
			return len;
	} else if (o->kind == OFD_RELAY) {
		return relay_path(t, o, buf, size);
	} else if (o->kind == OFD_PIPE) {
		return ofd_is_inotify(o) ? str_format(buf, size, "anon_inode:inotify")
					 : str_format(buf, size, "pipe:[%lu]", o->ino);
	} else if (o->parent &&
		   name_in_dir(t, o->parent, o->parent_dflags, o->ino, name)) {
		len = walk_path_of(t, o->parent, buf, size);
		if (len >= 0)
			return len +
			       str_format(buf + len, size - (size_t)len, "/%s", name);
	}
	return str_format(buf, size, "%s/#%lu (deleted)", at, o->ino);
}

/* The same of another process's. */
static long readlink_other(struct task *t, const struct place *pl, char *buf)
{
	struct image_fd d;
	struct ofd o = { 0 };
	long r = procfs_fd(t, pl->magic_pid, FDS_ONE, (u32)pl->magic_fd, &d);

	if (r)
		return r;
	o.kind = d.kind;
	o.mode = d.mode;
	o.ino = d.ino;
	o.relay_pid = d.relay_pid;
	o.relay_core = d.relay_core;
	o.relay_fd = d.relay_fd;
	o.parent = d.parent;
	o.parent_dflags = d.parent_dflags;
	return ofd_path(t, &o, buf, PATH_LEN_MAX);
}

/* "/proc/PID/exe" of another process of Hare's. */
static long readlink_exe(struct task *t, const char *path, char *buf)
{
	char number[16];
	size_t n = strlen(path) - 10;
	u64 pid;

	if (n >= sizeof(number))
		return CLIENT_HOST;
	memcpy(number, path + 6, n);
	number[n] = '\0';
	if (!str_to_u64(number, &pid))
		return CLIENT_HOST;
	n = (size_t)procfs_exe(t, (u32)pid, buf, PATH_LEN_MAX - 1);
	return (long)n < 0 ? CLIENT_HOST : (long)n;
}

/* "/proc/self/fd/N", "/proc/self/cwd" and "/proc/self" themselves. CLIENT_HOST when they are not Hare's. */
static long readlink_magic(struct task *t, const char *path, char *buf)
{
	struct place pl;
	bool rewritten, host;
	struct ofd *o;
	long r;

	if (strncmp(path, "/proc/", 6) && strncmp(path, "/dev/fd/", 8))
		return CLIENT_HOST;
	if (path[1] == 'p' && !strcmp(strrchr(path, '/'), "/exe"))
		return readlink_exe(t, path, buf);
	r = procfs_link(t, path, buf, PATH_LEN_MAX);
	if (r != CLIENT_HOST)
		return r;
	r = walk(t, AT_FDCWD, path, WALK_FOLLOW, &pl, t->host_path, &rewritten);
	if (r || pl.host)
		return CLIENT_HOST;
	if (!pl.magic)
		return walk_path_of(t, pl.ino, buf, PATH_LEN_MAX);
	if (pl.magic_pid)
		return readlink_other(t, &pl, buf);
	o = fd_get(t, pl.magic_fd, &host);
	if (!o)
		return -ENOENT;
	r = ofd_path(t, o, buf, PATH_LEN_MAX);
	ofd_put(t, o);
	return r;
}

/* Whether readlink of it is the link itself, not something below it. */
static bool is_magic_link(const char *path)
{
	const char *last = strrchr(path, '/');

	if (!last)
		return false;
	last++;
	return !strcmp(last, "cwd") || !strcmp(last, "exe") || !strcmp(last, "self") ||
	       !strcmp(last, "thread-self") || (*last >= '0' && *last <= '9');
}

static long readlink_place(struct task *t, const struct place *pl, char *text)
{
	struct req_READLINK q = { .ino = pl->ino };
	struct rep_READLINK p = { .data = { .p = text, .cap = PATH_LEN_MAX } };
	long r;

	if (pl->type != HS_IFLNK)
		return t->path[0] ? -EINVAL : -ENOENT;
	r = rpc_readlink(&t->ctx, ino_server(pl->ino), &q, &p);
	return r ? r : (long)p.data.len;
}

static long do_readlink(struct task *t, long *dirfd, long *upath, char *ubuf, long size)
{
	char *text = WALK_TEXT(t, 3);
	struct place pl;
	u32 tries = 0;
	long len;
	long r;

	if ((int)size <= 0)
		return -EINVAL;
	do {
		r = path_walk(t, dirfd, upath, dirfd ? WALK_EMPTY : 0, &pl);
		if (r)
			break;
		len = readlink_place(t, &pl, text);
	} while (place_gone(t, len, &pl, &tries));
	if (r == CLIENT_HOST && is_magic_link(t->path)) {
		len = readlink_magic(t, t->path, text);
		if (len == CLIENT_HOST)
			return r;
	} else if (r) {
		return r;
	}
	if (len < 0)
		return len;
	len = MIN(len, (long)(int)size);
	r = user_write(ubuf, text, (size_t)len);
	return r ? r : len;
}

long client_readlink(struct task *t, long a[6])
{
	return do_readlink(t, NULL, &a[0], (char *)a[1], a[2]);
}

long client_readlinkat(struct task *t, long a[6])
{
	a[0] = (int)a[0];
	return do_readlink(t, &a[0], &a[1], (char *)a[2], a[3]);
}
