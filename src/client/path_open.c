/* SPDX-License-Identifier: MIT */
/*
 * open, openat, openat2, creat; O_TMPFILE, O_PATH, FIFOs; the program file of execve.
 *
 * O_CREAT does not look the last name up: CREATE says whether the name was there, and opens what
 * it made or found, in one call (coalescing). Only a symlink there costs a second walk.
 *
 *   open(O_CREAT)   walk to the directory -> create() -> made, or found here: install
 *                                                     -> found elsewhere: OPEN -> install
 *                                                     -> a symlink: walk it, start over
 */
#include "client/file.h"
#include "client/path.h"
#include "client/procfs.h"

#include <linux/openat2.h>

#define OPEN_VALID                                                                       \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NDELAY |       \
	 O_NONBLOCK | O_SYNC | O_DSYNC | FASYNC | O_DIRECT | O_LARGEFILE | O_DIRECTORY | \
	 O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE)
#define OPEN_PATH_VALID (O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC)
/* What fcntl(F_GETFL) does not show. */
#define OPEN_NOT_KEPT (O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC)
#define TMPFILE_BIT   (O_TMPFILE & ~O_DIRECTORY)
#define RUNS_BYTES    (RUNS_MAX * sizeof(struct run))

/* An open(2) that is under way. */
struct opening {
	long dirfd, upath;
	u32 flags; /* O_*, checked */
	u32 mode; /* of a new file */
	u32 walk; /* WALK_* from RESOLVE_* */
	struct place pl;
	bool made; /* by this very call */
	struct ofd *ofd; /* made before the inode is opened, with ino 0 until it is */
	struct rpc_bytes runs; /* a far file's first blocks; empty for near ones */
	u8 runs_buf[RUNS_BYTES];
};

/* --- description and descriptor ---------------------------------------------------------------- */

/* A blocking open of one end of a FIFO waits for the other end; since: what OPEN told of it. */
static long fifo_wait(struct task *t, u64 ino, u32 flags, u32 since)
{
	struct req_POLL q = { .ino = ino, .fifo_peer = 1, .since = since };
	struct rep_POLL p;
	long r;

	if (flags & (O_NONBLOCK | O_PATH) || (flags & O_ACCMODE) > O_WRONLY)
		return 0;
	q.access = flags & O_ACCMODE;
	q.events = (flags & O_ACCMODE) == O_RDONLY ? HP_IN : HP_OUT;
	for (;;) {
		q.wait_seq = msg_event_prepare(&t->ctx);
		r = rpc_poll(&t->ctx, ino_server(ino), &q, &p);
		if (r || p.revents)
			return r;
		r = msg_event_wait(&t->ctx, q.wait_seq, -1);
		if (r == -HARE_ERESTARTSYS)
			return r;
	}
}

static u32 kept_flags(const struct opening *op)
{
	return (op->flags & ~(u32)OPEN_NOT_KEPT) |
	       (op->flags & O_PATH ? 0 : (u32)O_LARGEFILE);
}

static u32 kind_of(const struct opening *op, u32 type)
{
	if (op->flags & O_PATH)
		return OFD_PATH;
	if (type == HS_IFDIR)
		return OFD_DIR;
	return type != HS_IFIFO		    ? OFD_FILE
	       : op->pl.dflags & PLACE_PIPE ? OFD_PIPE
					    : OFD_FIFO;
}

/* The description that an open of such an inode will fill. While its ino is 0 nothing is counted
 * at a server: so whoever is killed owes no close that was not opened, and none too few. */
static long want_ofd(struct task *t, struct opening *op, u32 type)
{
	if (!op->ofd)
		op->ofd = ofd_new(t, OFD_FILE, 0, kept_flags(op));
	if (!op->ofd)
		return -ENFILE;
	op->ofd->kind = kind_of(op, type);
	return 0;
}

static void drop_ofd(struct task *t, struct opening *op)
{
	if (op->ofd)
		ofd_put(t, op->ofd);
	op->ofd = NULL;
}

static void fill_ofd(const struct task *t, const struct opening *op, struct ofd *o,
		     const struct attr *a)
{
	o->far = !rpc_is_near(&t->ctx, ino_server(o->ino));
	o->mode = a->mode;
	o->dflags = a->dflags;
	if (op->flags & TMPFILE_BIT && op->flags & O_EXCL)
		o->dflags |= OFD_NOLINK;
	o->parent = op->pl.dir;
	o->parent_dflags = op->pl.dir_dflags;
}

/* Gives the description its number; its inode has been opened at its server. */
static long install(struct task *t, struct opening *op, const struct attr *a)
{
	struct ofd *o = op->ofd;
	long r;

	fill_ofd(t, op, o, a);
	if (o->kind == OFD_FIFO) {
		o->off = a->version; /* POLL's `since` */
		r = fifo_wait(t, o->ino, op->flags, (u32)a->version);
		if (r)
			return r;
	}
	if (unlikely(op->flags & O_DIRECT) && o->kind != OFD_FILE)
		return -EINVAL; /* of FIFOs too: they have packets by F_SETFL */
	if (o->kind == OFD_FILE) {
		file_opened(t, o, a, &op->runs);
	}
	if (op->flags & O_TRUNC)
		maps_shrunk(t, o->ino, a->mapped);
	notify_opened(t, o, &op->pl, op->flags & O_TRUNC && !op->made);
	op->ofd = NULL; /* fd_install takes it in any case */
	return fd_install(t, o, (op->flags & O_CLOEXEC) != 0, 0);
}

static void runs_wanted(const struct task *t, struct opening *op, u64 ino)
{
	bool near = rpc_is_near(&t->ctx, ino_server(ino));

	op->runs.p = near ? NULL : op->runs_buf;
	op->runs.len = 0;
	op->runs.cap = near ? 0 : RUNS_BYTES;
}

/* --- what is there ---------------------------------------------------------------------------------- */

/* A description of a proxy's host descriptor has no inode: its number is duplicated. */
static long reopen_relay(struct task *t, const struct opening *op)
{
	bool host;
	struct ofd *o = op->pl.magic_pid ? NULL : fd_get(t, op->pl.magic_fd, &host);

	if (!o)
		return op->pl.magic_pid ? -ENXIO : -ENOENT;
	return fd_install(t, o, (op->flags & O_CLOEXEC) != 0, 0);
}

/* A removed directory can be opened by those who are in it: by "." or a descriptor. */
static long may_read_removed(struct task *t, u64 ino)
{
	struct attr a;
	long r = attr_get(t, ino, &a);

	return r ? r : perm_check(&t->proc->cred, a.mode, a.uid, a.gid, MAY_READ);
}

/* This core's own server has the file, nothing has to wait, and no description was made yet. */
static bool opens_own(const struct task *t, const struct opening *op)
{
	return ino_server(op->pl.ino) == t->ctx.core &&
	       rpc_is_near(&t->ctx, t->ctx.core) &&
	       (op->pl.type == HS_IFREG ||
		(op->pl.type == HS_IFDIR && !(op->flags & O_DIRECT))) &&
	       !op->ofd && t->proc->fds->limit && !watching(t) && !trace_is_on(t->ctx.ck);
}

/* Then OPEN, description and number are one transaction: one lock instead of three, and nothing to
 * be noted in case that the thread is killed in between. The number, or -errno. */
static long open_own(struct task *t, struct opening *op, const struct req_OPEN *q)
{
	struct fdtable *ft = t->proc->fds;
	struct ck *ck = t->ctx.ck;
	struct ofd *o = NULL;
	struct rep_OPEN p;
	struct rpc_env e;
	long r;

	p.runs = (struct rpc_bytes){ .p = NULL };
	step_lock(t, t->ctx.core, &e);
	r = fs_open(&e, q, &p);
	ck->counter[COUNT_LOCAL(RPC_OPEN)]++;
	if (!r) {
		/* After OPEN, which may commit when it cuts the file. */
		o = ofd_alloc(t, kind_of(op, op->pl.type), q->ino, kept_flags(op));
		r = o ? fd_lowest(ck, ft, 0) : -ENFILE;
	}
	if (likely(r >= 0)) {
		fill_ofd(t, op, o, &p.attr);
		fd_set_entry(ck, ft, (u32)r, FD_HARE, o, (op->flags & O_CLOEXEC) != 0);
	} else {
		ck_abort(ck);
	}
	msg_unlock(&t->ctx, ck);
	if (q->flags & O_TRUNC && r >= 0)
		maps_shrunk(t, q->ino, p.attr.mapped);
	return r;
}

/* A node that means a device which every host has for everybody: the host's one is opened. Rights
 * on the node were checked; which device it is says its number alone. */
static long open_device(struct task *t, const struct opening *op)
{
	static const struct {
		u64 rdev;
		const char *path;
	} known[] = { { 0x103, "/dev/null" },	 { 0x105, "/dev/zero" },
		      { 0x107, "/dev/full" },	 { 0x108, "/dev/random" },
		      { 0x109, "/dev/urandom" }, { 0x500, "/dev/tty" } };
	u32 flags = op->flags & ~(u32)(O_CREAT | O_EXCL | O_NOFOLLOW);
	struct attr a;
	long r = attr_get(t, op->pl.ino, &a);
	u32 i;

	if (r)
		return r;
	for (i = 0; i < ARRAY_SIZE(known) && known[i].rdev != a.rdev; i++)
		;
	if (i == ARRAY_SIZE(known))
		return -ENXIO;
	if (a.rdev == 0x500 && t->proc->tty_core != MAX_CORES)
		return relay_open(t, known[i].path, flags, 0);
	r = host_block(__NR_openat, AT_FDCWD, (long)known[i].path, (long)flags, 0, 0, 0);
	return r < 0 ? r : fd_adopt(t, r, (flags & O_CLOEXEC) != 0, 0);
}

static long open_now(struct task *t, struct opening *op)
{
	const struct place *pl = &op->pl;
	struct req_OPEN q = { .ino = pl->ino,
			      .flags = op->flags,
			      .cred = &t->proc->cred };
	struct rep_OPEN p;
	long r;

	if (pl->magic && !pl->ino)
		return reopen_relay(t, op);
	if (op->flags & O_DIRECTORY && pl->type != HS_IFDIR)
		return -ENOTDIR;
	if (op->flags & O_PATH) {
		q.flags |= OPEN_NOCHECK;
	} else {
		if (pl->type == HS_IFLNK)
			return -ELOOP;
		if (pl->type == HS_IFDIR && (op->flags & (O_ACCMODE | O_CREAT | O_TRUNC)))
			return -EISDIR;
	}
	if (likely(opens_own(t, op))) {
		r = open_own(t, op, &q);
		if (r != -ENOENT || pl->dir)
			return r;
	}
	r = want_ofd(t, op, pl->type);
	if (r)
		return r;
	runs_wanted(t, op, pl->ino);
	p.runs = op->runs;
	r = far_aware_open(t, op->ofd, &q, &p);
	if (r == -ENOENT && !pl->dir && pl->type == HS_IFDIR) {
		r = may_read_removed(t, pl->ino);
		q.flags |= OPEN_NOCHECK;
		if (!r)
			r = far_aware_open(t, op->ofd, &q, &p);
	}
	op->runs.len = p.runs.len;
	if (r == -ENXIO && pl->type == HS_IFCHR)
		return open_device(t, op);
	return r ? r : install(t, op, &p.attr);
}

/* O_TRUNC waits while those who have the file mapped cannot be told, see cut.c. */
static long open_there(struct task *t, struct opening *op)
{
	long r;

	while (unlikely((r = open_now(t, op)) == -EAGAIN) && op->flags & O_TRUNC &&
	       op->pl.ino && op->pl.type == HS_IFREG)
		pending_wait();
	return r;
}

static long open_host(struct task *t, const struct opening *op)
{
	bool proc_dir;
	long fd;

	if (unlikely(t->proc->tty_core != MAX_CORES) &&
	    relay_is_tty((const char *)op->upath))
		return relay_open(t, "/dev/tty", op->flags, op->mode);
	fd = procfs_open(t, (const char *)op->upath, op->flags, &proc_dir);
	if (likely(fd == CLIENT_HOST))
		fd = host_block(__NR_openat, op->dirfd, op->upath, (long)op->flags,
				(long)op->mode, 0, 0);
	if (fd < 0)
		return fd;
	fd = fd_adopt(t, fd, (op->flags & O_CLOEXEC) != 0, 0);
	if (unlikely(proc_dir) && fd >= 0)
		procfs_mark(t, (int)fd);
	return fd;
}

static long open_plain(struct task *t, struct opening *op)
{
	u32 wf = op->walk | (op->flags & O_NOFOLLOW ? 0 : WALK_FOLLOW), tries = 0;
	long r;

	if (unlikely(mem_separate(t->ctx.isl->super))) {
		long fd = procfs_open_far(t, (const char *)op->upath, op->flags);

		if (fd != CLIENT_HOST)
			return fd;
	}
	do {
		long dirfd = op->dirfd, upath = op->upath;

		r = path_walk(t, &dirfd, &upath, wf, &op->pl);
		if (r == CLIENT_HOST) {
			op->dirfd = dirfd;
			op->upath = upath;
			return open_host(t, op);
		}
		if (r)
			break;
		r = open_there(t, op);
	} while (place_gone(t, r, &op->pl, &tries));
	return r;
}

/* --- O_CREAT -------------------------------------------------------------------------------------------- */

/* A file to be made for op->ofd, and opened. */
static void want_file(struct task *t, struct opening *op, u32 not_passed,
		      struct creation *cr)
{
	cr->mode = HS_IFREG | (op->mode & 07777 & ~t->proc->umask);
	cr->open_flags = op->flags & ~not_passed;
	cr->rdev = 0;
	cr->target = NULL;
	cr->target_len = 0;
	cr->excl = op->flags & O_CREAT && op->flags & O_EXCL;
	cr->open = true;
	cr->tmpfile = false;
	cr->node = NULL;
	cr->ofd = op->ofd;
	cr->distribute = false;
	cr->runs.p = op->runs_buf;
	cr->runs.len = 0;
	cr->runs.cap = RUNS_BYTES;
}

/* O_CREAT of what is there, in Linux's may_create_in_sticky: in a sticky directory that others may
 * write to, only the node's owner or when it is the directory's. FIFOs and files are not protected
 * so unless the host's fs.protected_fifos and _regular say it, which are not looked at. */
static long open_found(struct task *t, struct opening *op)
{
	u32 type = op->pl.type;
	struct perm dir;
	struct attr a;

	if (likely(type == HS_IFREG || type == HS_IFIFO || type == HS_IFDIR) ||
	    type == HS_IFLNK || !op->pl.dir || dir_perm_get(t, op->pl.dir, &dir) ||
	    !(dir.mode & HS_ISVTX) || !(dir.mode & 0002) || attr_get(t, op->pl.ino, &a))
		return open_there(t, op);
	if (a.uid != dir.uid && a.uid != t->proc->cred.uid)
		return -EACCES;
	return open_there(t, op);
}

/* -EAGAIN: start over, having been told by op->walk to follow the last name. */
static long creat_at(struct task *t, struct opening *op)
{
	struct creation cr;
	long r = want_ofd(t, op, HS_IFREG);

	if (r)
		return r;
	want_file(t, op, O_CREAT | O_EXCL, &cr);
	r = create(t, &op->pl, &cr);
	op->ofd = cr.ofd;
	if (r)
		return r;
	op->pl.ino = cr.ino;
	op->pl.type = cr.type;
	op->pl.dflags = cr.dflags;
	if (cr.opened) {
		op->made = cr.created;
		op->runs = cr.runs;
		return install(t, op, &cr.attr);
	}
	if (cr.type == HS_IFLNK && !(op->flags & O_NOFOLLOW)) {
		op->walk |= WALK_FOLLOW;
		return -EAGAIN;
	}
	r = open_found(t, op);
	return r == -ENOENT ? -EAGAIN : r;
}

static long may_look(struct task *t, u64 dir)
{
	struct perm p;
	long r = dir_perm_get(t, dir, &p);

	if (!r)
		r = perm_check(&t->proc->cred, p.mode | HS_IFDIR, p.uid, p.gid, MAY_EXEC);
	return r ? r : -EISDIR;
}

static long open_creat(struct task *t, struct opening *op)
{
	int i;

	for (i = 0; i < RACE_RETRIES; i++) {
		u32 wf = op->walk | WALK_PARENT |
			 (op->walk & WALK_FOLLOW ? 0 : WALK_NOLAST);
		long dirfd = op->dirfd, upath = op->upath;
		long r = path_walk(t, &dirfd, &upath, wf, &op->pl);

		if (r == CLIENT_HOST) {
			op->dirfd = dirfd;
			op->upath = upath;
			return open_host(t, op);
		}
		if (r)
			return r;
		if (op->pl.magic && op->pl.type == HS_IFDIR && !(op->flags & O_EXCL))
			return -EISDIR;
		if (op->pl.magic && !(op->flags & O_EXCL)) {
			op->flags &= ~(u32)O_CREAT;
			return open_there(t, op);
		}
		if (op->pl.must_dir) /* seen in the directory, so it must be one to search */
			return op->pl.dir ? may_look(t, op->pl.dir) : -EISDIR;
		if (place_has_no_name(&op->pl))
			return op->flags & O_EXCL ? -EEXIST : -EISDIR;
		r = op->pl.ino ? open_found(t, op) : creat_at(t, op);
		if (r != -EAGAIN && !(r == -ENOENT && op->pl.ino))
			return r;
		if (i) /* see walk_again */
			pending_wait();
	}
	return -ENOENT;
}

/* An unnamed file in the file system of a directory. */
static long open_tmpfile(struct task *t, struct opening *op)
{
	struct creation cr;
	struct perm parent;
	u32 follow = op->flags & O_NOFOLLOW ? 0 : WALK_FOLLOW, tries = 0;
	long r;

	do {
		r = path_walk(t, &op->dirfd, &op->upath, op->walk | follow, &op->pl);
		if (r == CLIENT_HOST)
			return open_host(t, op);
		if (r)
			return r;
		if (op->pl.type != HS_IFDIR)
			return -ENOTDIR;
		r = dir_may_write(t, op->pl.ino, &parent);
	} while (place_gone(t, r, &op->pl, &tries));
	if (r)
		return r;
	r = want_ofd(t, op, HS_IFREG);
	if (r)
		return r;
	want_file(t, op, O_TMPFILE | O_EXCL, &cr);
	cr.tmpfile = true;
	cr.excl = (op->flags & O_EXCL) != 0;
	op->pl.dir = op->pl.ino;
	op->pl.dir_dflags = op->pl.dflags;
	op->pl.name_len = 0;
	r = create_unnamed_any(t, &op->pl, &parent, &cr);
	if (r)
		return r;
	op->runs = cr.runs;
	return install(t, op, &cr.attr);
}

/* --- the calls ------------------------------------------------------------------------------------------- */

static long check_odd_flags(struct opening *op)
{
	u32 f = op->flags;

	if (f & O_PATH)
		f &= OPEN_PATH_VALID;
	if (f & TMPFILE_BIT && (f & (O_DIRECTORY | O_CREAT)) != O_DIRECTORY)
		return -EINVAL;
	if (f & TMPFILE_BIT && !(f & O_ACCMODE))
		return -EINVAL;
	if ((f & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
		return -EINVAL;
	op->flags = f;
	return 0;
}

/* As Linux's build_open_flags. 0 or -EINVAL. */
static inline long check_flags(struct opening *op)
{
	op->mode &= 07777;
	if (likely(!(op->flags & (O_PATH | O_DIRECTORY | TMPFILE_BIT))))
		return 0;
	return check_odd_flags(op);
}

/* An open that makes or truncates a file does so only when there is a number for it. A table
 * that can still grow has one. */
static long check_room(struct task *t)
{
	struct fdtable *ft = t->proc->fds;
	long r;

	if (likely(fdents_of(ft->ent)->cap < ft->limit))
		return 0;
	r = fd_room(t, 0);
	return r < 0 ? r : 0;
}

static long do_open(struct task *t, struct opening *op)
{
	long r = check_flags(op);

	if (!r && op->flags & (O_CREAT | O_TRUNC | TMPFILE_BIT))
		r = check_room(t);
	if (r)
		return r;
	op->ofd = NULL;
	op->made = false;
	if (op->flags & TMPFILE_BIT)
		r = open_tmpfile(t, op);
	else if (op->flags & O_CREAT)
		r = open_creat(t, op);
	else
		r = open_plain(t, op);
	drop_ofd(t, op);
	return r;
}

static long open_args(struct task *t, long dirfd, long upath, long flags, long mode)
{
	struct opening op;

	op.dirfd = dirfd;
	op.upath = upath;
	op.flags = (u32)flags & OPEN_VALID;
	op.mode = (u32)mode;
	op.walk = 0;
	return do_open(t, &op);
}

long client_open(struct task *t, long a[6])
{
	return open_args(t, AT_FDCWD, a[0], a[1], a[2]);
}

long client_openat(struct task *t, long a[6])
{
	return open_args(t, (int)a[0], a[1], a[2], a[3]);
}

long client_creat(struct task *t, long a[6])
{
	return open_args(t, AT_FDCWD, a[0], O_CREAT | O_WRONLY | O_TRUNC, a[1]);
}

static long openat2_host(struct task *t, const long a[6], bool cloexec)
{
	long fd = host_block(__NR_openat2, a[0], a[1], a[2], a[3], 0, 0);

	return fd < 0 ? fd : fd_adopt(t, fd, cloexec, 0);
}

/* struct open_how as far as it is known; what follows must be zero. */
static long read_how(struct open_how *how, const char *user, size_t size)
{
	size_t i;
	long r;

	if (size < sizeof(*how))
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	r = user_read(how, user, sizeof(*how));
	for (i = sizeof(*how); !r && i < size; i++) {
		char c;

		r = user_read(&c, user + i, 1);
		if (!r && c)
			r = -E2BIG;
	}
	return r;
}

static long how_check(const struct open_how *how)
{
	const u64 known = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS |
			  RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_CACHED;

	if (how->flags & ~(u64)OPEN_VALID || how->resolve & ~known)
		return -EINVAL;
	if (how->mode & ~07777ULL ||
	    (how->mode && !(how->flags & (O_CREAT | TMPFILE_BIT))))
		return -EINVAL;
	if (how->flags & O_PATH && how->flags & ~(u64)OPEN_PATH_VALID)
		return -EINVAL;
	if (how->resolve & RESOLVE_BENEATH && how->resolve & RESOLVE_IN_ROOT)
		return -EINVAL;
	return 0;
}

static bool is_absolute(long upath)
{
	char c;

	return !user_read(&c, (const char *)upath, 1) && c == '/';
}

long client_openat2(struct task *t, long a[6])
{
	struct opening op;
	struct open_how how;
	struct place pl;
	long dirfd = a[0], upath = a[1];
	bool cloexec;
	long r = read_how(&how, (const char *)a[2], (size_t)a[3]);

	if (r)
		return r;
	r = how_check(&how);
	op.flags = (u32)how.flags;
	op.mode = (u32)how.mode;
	if (!r)
		r = check_flags(&op);
	if (r)
		return r;
	cloexec = (how.flags & O_CLOEXEC) != 0;
	op.walk = (how.resolve & RESOLVE_NO_SYMLINKS ? WALK_NO_SYMLINKS | WALK_NO_MAGIC
						     : 0) |
		  (how.resolve & RESOLVE_NO_MAGICLINKS ? WALK_NO_MAGIC : 0) |
		  (how.resolve & RESOLVE_BENEATH ? WALK_BENEATH : 0) |
		  (how.resolve & RESOLVE_IN_ROOT ? WALK_IN_ROOT : 0) |
		  (how.resolve & RESOLVE_NO_XDEV ? WALK_NO_XDEV : 0);
	/* Confined below a directory of the host: the host's kernel confines. */
	if ((how.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT) ||
	     (how.resolve & RESOLVE_NO_XDEV && !is_absolute(upath))) &&
	    ((int)a[0] == AT_FDCWD ? !t->proc->cwd : fd_is_host(t, (int)a[0])))
		return openat2_host(t, a, cloexec);
	/* What the host shall open, it opens under the program's conditions. */
	r = path_walk(t, &dirfd, &upath, op.walk | WALK_PARENT, &pl);
	if (r == CLIENT_HOST) {
		a[0] = dirfd;
		a[1] = upath;
		return openat2_host(t, a, cloexec);
	}
	if (r)
		return r;
	if (how.resolve & RESOLVE_CACHED)
		return -EAGAIN;
	op.dirfd = (int)a[0];
	op.upath = a[1];
	return do_open(t, &op);
}

/* --- open_by_handle_at ------------------------------------------------------------------------------------- */

static long read_handle(struct hare_handle *h, const void *user)
{
	long r = user_read(h, user, offsetof(struct hare_handle, ino));

	if (r)
		return r;
	if (!h->bytes || h->bytes > HANDLE_MAX)
		return -EINVAL;
	if (h->bytes != HANDLE_BYTES || h->type != HANDLE_TYPE)
		return -ESTALE;
	return user_read(h->ino, (const char *)user + offsetof(struct hare_handle, ino),
			 sizeof(h->ino));
}

/* For root alone: no directory on the way is asked. */
long handle_open(struct task *t, int mount_fd, const void *user_handle, u32 flags)
{
	struct opening op = { .dirfd = mount_fd, .flags = flags & OPEN_VALID };
	struct hare_handle h;
	struct attr a;
	bool host = false;
	struct ofd *o = mount_fd == AT_FDCWD ? NULL : fd_get(t, mount_fd, &host);
	long r;

	if (mount_fd != AT_FDCWD && !o)
		return -EBADF;
	if (o)
		ofd_put(t, o);
	r = read_handle(&h, user_handle);
	if ((!r || r == -ESTALE) && t->proc->cred.uid)
		r = -EPERM;
	if (!r)
		r = attr_get(t, (u64)h.ino[2] << 32 | h.ino[1], &a);
	if (r)
		return r == -ENOENT ? -ESTALE : r;
	op.pl.ino = a.ino;
	op.pl.type = a.mode & HS_IFMT;
	op.pl.dflags = a.dflags;
	op.flags &= ~(u32)(O_CREAT | O_EXCL);
	r = check_flags(&op);
	if (!r)
		r = open_there(t, &op);
	drop_ofd(t, &op);
	return r == -ENOENT ? -ESTALE : r;
}

/* --- execve ------------------------------------------------------------------------------------------------ */

/* The file that was found, without a number; how: what OPEN alone is told. */
static long open_found_file(struct task *t, const struct place *pl, u32 flags, u32 how,
			    struct ofd **o)
{
	struct req_OPEN q = { .ino = pl->ino,
			      .flags = flags | how,
			      .cred = &t->proc->cred };
	struct rep_OPEN p;
	u8 runs[RUNS_BYTES];
	long r;

	p.runs.p = runs;
	p.runs.len = 0;
	p.runs.cap = sizeof(runs);
	*o = ofd_new(t, OFD_FILE, 0, flags | O_LARGEFILE);
	if (!*o)
		return -ENFILE;
	r = far_aware_open(t, *o, &q, &p);
	if (r) {
		ofd_put(t, *o);
		*o = NULL;
		return r;
	}
	(*o)->far = !rpc_is_near(&t->ctx, ino_server(q.ino));
	(*o)->mode = p.attr.mode;
	(*o)->parent = pl->dir;
	(*o)->parent_dflags = pl->dir_dflags;
	file_opened(t, *o, &p.attr, &p.runs);
	notify_opened(t, *o, pl, false);
	return 0;
}

long path_open_exec(struct task *t, int dirfd, const char *path, int at_flags,
		    struct place *out, char *host_buf, bool *rewritten, struct ofd **o)
{
	u32 wf = (at_flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
		 (at_flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
	u32 tries = 0;
	long r;

	*o = NULL;
	do {
		r = walk(t, dirfd, path, wf, out, host_buf, rewritten);
		if (r || out->host)
			return r;
		if (out->type == HS_IFLNK)
			return -ELOOP;
		if (out->type != HS_IFREG || out->must_dir)
			return -EACCES;
		r = open_found_file(t, out, O_RDONLY | OPEN_EXEC, 0, o);
	} while (place_gone(t, r, out, &tries));
	return r;
}

long path_open_running(struct task *t, struct ofd **o)
{
	const struct ofd *exe = t->proc->exe_ofd;
	struct place pl = { .type = HS_IFREG };

	*o = NULL;
	if (!exe)
		return -ENOENT;
	pl.ino = exe->ino;
	pl.dir = exe->parent;
	pl.dir_dflags = exe->parent_dflags;
	return open_found_file(t, &pl, O_RDONLY, OPEN_NOCHECK, o);
}
