/* SPDX-License-Identifier: MIT */
/*
 * System calls that read and write through a descriptor, and what goes with them: lseek,
 * fstat, fsync, ftruncate, fallocate, hints. Order of checks and errors are Linux's
 * (fs/read_write.c).
 */
#include <asm/statfs.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <linux/fs.h>

#include "client/file.h"

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif
#define RWF_KNOWN                                                                        \
	(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND | RWF_NOAPPEND)
#define USER_TOP	 0x7ffffffff000UL
#define FADV_MAX	 5 /* POSIX_FADV_NOREUSE */
#define SYNC_RANGE_KNOWN 7

static void count_bytes(struct task *t, u32 which, long n)
{
	if (n > 0)
		t->ctx.ck->counter[which] += (u64)n;
}

/* A descriptor of another core's host: its proxy makes the call. */
static bool relayed(struct task *t, struct ofd *o, long nr, long a[6], long *r)
{
	if (likely(o->kind != OFD_RELAY))
		return false;
	*r = o->flags & O_PATH ? -EBADF : relay_op(t, o, nr, a);
	return true;
}

/* --- reading and writing ---------------------------------------------------------- */

/* at: the offset of pread, NULL: the description's own. */
static long ofd_readv(struct task *t, struct ofd *o, struct uio *u, const u64 *at,
		      u32 rwf)
{
	bool nonblock = ofd_nonblock(o) || rwf & RWF_NOWAIT;
	long r;

	if (at && ofd_is_pipe(o))
		return -ESPIPE;
	if (!ofd_can_read(o))
		return -EBADF;
	switch (o->kind) {
	case OFD_FILE:
		if (at) {
			u64 off = *at;

			r = file_readv(t, o, u, &off);
		} else {
			r = file_read_here(t, o, u);
		}
		break;
	case OFD_PIPE:
	case OFD_FIFO:
		r = pipe_readv(t, o, u, nonblock, pipe_flags(o));
		break;
	case OFD_DIR:
		return -EISDIR;
	default:
		return -EBADF;
	}
	count_bytes(t, COUNT_BYTES_READ, r);
	if (r > 0)
		notify_ofd(t, o, IN_ACCESS);
	return r;
}

/* How a write stands to the end: what it was told, before what the description says. */
static u32 append_flags(u32 rwf)
{
	return (rwf & RWF_APPEND ? IO_APPEND : 0) |
	       (rwf & RWF_NOAPPEND ? IO_NOAPPEND : 0);
}

static long write_file_at(struct task *t, struct ofd *o, struct uio *u, u64 off, u32 rwf)
{
	u32 flags = append_flags(rwf);
	bool locked = false, here = true;
	long r;

	/* pwrite on an O_APPEND description appends on Linux, whatever POSIX says; of a SHARED
	 * one the server knows. */
	if (unlikely(o->shared))
		here = pos_lock_local(t, o, &locked);
	if (o->flags & O_APPEND && here && !(flags & IO_NOAPPEND))
		flags |= IO_APPEND;
	r = file_writev(t, o, u, &off, flags);
	pos_unlock(o, locked);
	return r;
}

static long ofd_writev(struct task *t, struct ofd *o, struct uio *u, const u64 *at,
		       u32 rwf)
{
	bool nonblock = ofd_nonblock(o) || rwf & RWF_NOWAIT;
	long r;

	if (at && ofd_is_pipe(o))
		return -ESPIPE;
	if (!ofd_can_write(o))
		return -EBADF;
	switch (o->kind) {
	case OFD_FILE:
		r = at ? write_file_at(t, o, u, *at, rwf)
		       : file_write_here(t, o, u, append_flags(rwf));
		break;
	case OFD_PIPE:
	case OFD_FIFO:
		r = pipe_writev(t, o, u, nonblock, pipe_flags(o));
		break;
	default:
		return -EBADF;
	}
	if (rwf & (RWF_DSYNC | RWF_SYNC) && r > 0 && o->kind == OFD_FILE)
		(void)file_sync(t, o);
	if (r > 0)
		notify_ofd(t, o, IN_MODIFY);
	count_bytes(t, COUNT_BYTES_WRITTEN, r);
	return r;
}

long io_at(struct task *t, struct ofd *o, struct uio *u, u64 off, bool write, u32 rwf)
{
	const u64 *at = ofd_is_pipe(o) ? NULL : &off;

	if (rwf & ~(u32)RWF_KNOWN)
		return -EOPNOTSUPP;
	if (rwf & RWF_APPEND && rwf & RWF_NOAPPEND)
		return -EINVAL;
	return write ? ofd_writev(t, o, u, at, rwf) : ofd_readv(t, o, u, at, rwf);
}

/* The program's buffer lies where programs' memory can be. */
static bool in_range(const long a[6])
{
	return (u64)a[2] <= USER_TOP && (u64)a[1] <= USER_TOP - (u64)a[2];
}

/* read, write, pread, pwrite: nr with constants, so that each is compiled by itself. */
static __attribute__((always_inline)) inline long do_rw(struct task *t, long a[6],
							long nr, bool write, bool at)
{
	u64 off = at ? (u64)a[3] : 0;
	struct uio u;
	struct ofd *o;
	long r;

	if (at && a[3] < 0)
		return -EINVAL;
	o = fd_use(t, a[0], &r);
	if (!o)
		return r;
	if (relayed(t, o, nr, a, &r))
		;
	else if (unlikely(!in_range(a)) &&
		 (at || (write ? ofd_can_write(o) : ofd_can_read(o))))
		r = -EFAULT;
	else {
		uio_buf(&u, (void *)a[1], (size_t)a[2]);
		r = write ? ofd_writev(t, o, &u, at ? &off : NULL, 0)
			  : ofd_readv(t, o, &u, at ? &off : NULL, 0);
	}
	fd_done(t, o);
	return r;
}

long client_read(struct task *t, long a[6])
{
	return do_rw(t, a, __NR_read, false, false);
}

long client_write(struct task *t, long a[6])
{
	return do_rw(t, a, __NR_write, true, false);
}

long client_pread64(struct task *t, long a[6])
{
	return do_rw(t, a, __NR_pread64, false, true);
}

long client_pwrite64(struct task *t, long a[6])
{
	return do_rw(t, a, __NR_pwrite64, true, true);
}

/* RWF_* matter only when there is something to be read or written by this descriptor. */
static long rwf_check(const struct ofd *o, const struct uio *u, bool write, bool at,
		      u32 rwf)
{
	if (!u->total || !(write ? ofd_can_write(o) : ofd_can_read(o)) ||
	    (at && ofd_is_pipe(o)))
		return 0;
	/* files of tmpfs, too, cannot promise not to wait */
	if (rwf & ~(u32)RWF_KNOWN || (o->kind == OFD_FILE && rwf & RWF_NOWAIT) ||
	    (o->kind == OFD_DIR && rwf & ~(u32)RWF_HIPRI))
		return -EOPNOTSUPP;
	return (rwf & RWF_APPEND && rwf & RWF_NOAPPEND) ? -EINVAL : 0;
}

/* All six calls with vectors. off -1: the description's own offset, where that is
 * allowed. */
static long do_vec(struct task *t, long a[6], bool write, bool with_off, u32 rwf)
{
	static const u16 nr[2][2] = { { __NR_readv, __NR_preadv },
				      { __NR_writev, __NR_pwritev } };
	u64 off = with_off ? (u64)a[3] : ~0ULL;
	const u64 *at = off == ~0ULL ? NULL : &off;
	struct uio u;
	long r;
	struct ofd *o = fd_use(t, a[0], &r);

	if (!o)
		return r;
	if (relayed(t, o, nr[write][at != NULL], a, &r)) {
		fd_done(t, o);
		return r;
	}
	r = uio_vec(&u, (const void *)a[1], a[2]);
	if (unlikely(rwf) && !r)
		r = rwf_check(o, &u, write, at != NULL, rwf);
	if (!r)
		r = write ? ofd_writev(t, o, &u, at, rwf) : ofd_readv(t, o, &u, at, rwf);
	fd_done(t, o);
	return r;
}

long client_readv(struct task *t, long a[6])
{
	return do_vec(t, a, false, false, 0);
}

long client_writev(struct task *t, long a[6])
{
	return do_vec(t, a, true, false, 0);
}

/* A negative offset is refused before the descriptor is looked at, as Linux does. */
long client_preadv(struct task *t, long a[6])
{
	return a[3] < 0 ? -EINVAL : do_vec(t, a, false, true, 0);
}

long client_pwritev(struct task *t, long a[6])
{
	return a[3] < 0 ? -EINVAL : do_vec(t, a, true, true, 0);
}

static long vec2_check(struct task *t, const long a[6])
{
	if (a[3] < -1)
		return -EINVAL;
	return fd_is_host(t, (int)a[0]) ? CLIENT_HOST : 0;
}

long client_preadv2(struct task *t, long a[6])
{
	long r = vec2_check(t, a);

	return r ? r : do_vec(t, a, false, true, (u32)a[5]);
}

long client_pwritev2(struct task *t, long a[6])
{
	long r = vec2_check(t, a);

	return r ? r : do_vec(t, a, true, true, (u32)a[5]);
}

/* --- lseek ------------------------------------------------------------------------ */

/* Moves where the server has to be asked: shared offsets, the end, data and holes. */
static long seek_there(struct task *t, struct ofd *o, s64 off, u32 whence)
{
	struct req_LSEEK q = {
		.ino = o->ino, .ofd = o->shared, .off = off, .whence = whence
	};
	struct rep_LSEEK p;
	long r;

	vnode_sync_ino(t, o->ino);
	r = rpc_lseek(&t->ctx, ofd_server(o), &q, &p);
	if (r >= 0)
		ofd_told(o, p.last);
	return r == -EOVERFLOW ? -EINVAL : r < 0 ? r : p.off;
}

static long seek_file(struct task *t, struct ofd *o, s64 off, u32 whence)
{
	bool locked;
	long r = off;

	if (!pos_lock_local(t, o, &locked)) {
		r = seek_there(t, o, off, whence);
		pos_unlock(o, locked);
		return r;
	}
	if (whence == SEEK_CUR)
		r = __builtin_add_overflow((s64)o->off, off, &r) ? -EINVAL : r;
	else if (whence != SEEK_SET)
		r = seek_there(t, o, off, whence);
	if (r >= 0)
		__atomic_store_n(&o->off, (u64)r, __ATOMIC_RELAXED);
	else if (r != -ENXIO)
		r = -EINVAL;
	pos_unlock(o, locked);
	return r;
}

long client_lseek(struct task *t, long a[6])
{
	u32 whence = (u32)a[2];
	long r;
	struct ofd *o = fd_use(t, a[0], &r);

	if (!o)
		return r;
	if (relayed(t, o, __NR_lseek, a, &r))
		;
	else if (o->kind == OFD_PATH)
		r = -EBADF;
	else if (whence > SEEK_MAX)
		r = -EINVAL;
	else if (ofd_is_pipe(o))
		r = ofd_is_inotify(o) ? 0
				      : -ESPIPE; /* it has an offset, that never moves */
	else if (o->kind == OFD_DIR && whence > SEEK_CUR)
		r = -EINVAL;
	else
		r = seek_file(t, o, a[1], whence);
	fd_done(t, o);
	return r;
}

/* --- fstat, fstatfs, xattrs, owners ----------------------------------------------- */

long client_fstat(struct task *t, long a[6])
{
	struct attr at;
	long r;
	struct ofd *o = fd_use(t, a[0], &r);

	if (!o)
		return r;
	if (!relayed(t, o, __NR_fstat, a, &r)) {
		r = attr_get(t, o->ino, &at);
		if (!r)
			r = attr_put_stat(&at, (void *)a[1]);
	}
	fd_done(t, o);
	return r;
}

/* A pipe without a name is of a file system of its own. */
static long pipe_statfs(void *user)
{
	struct statfs st = { .f_type = PIPEFS_MAGIC,
			     .f_bsize = PAGE_SIZE,
			     .f_frsize = PAGE_SIZE,
			     .f_namelen = NAME_LEN_MAX,
			     .f_flags = 0x20 };

	return user_write(user, &st, sizeof(st));
}

long client_fstatfs(struct task *t, long a[6])
{
	long r;
	struct ofd *o = fd_use(t, a[0], &r);

	if (!o)
		return r;
	r = o->kind == OFD_RELAY  ? -ENOSYS
	    : o->kind == OFD_PIPE ? pipe_statfs((void *)a[1])
				  : attr_put_statfs(t, (void *)a[1]);
	fd_done(t, o);
	return r;
}

/* An inode by descriptor, for calls that O_PATH does not allow; `check`: of the arguments, which
 * comes before. *r is set on NULL. */
static struct ofd *use_inode(struct task *t, long fd, long check, long *r)
{
	struct ofd *o = NULL;

	*r = check;
	if (!check)
		o = fd_use(t, fd, r);

	if (o && (o->flags & O_PATH || o->kind == OFD_RELAY)) {
		*r = o->flags & O_PATH ? -EBADF : -EPERM;
		fd_done(t, o);
		return NULL;
	}
	if (o)
		notify_saw_ofd(t, o);
	return o;
}

long client_fchmod(struct task *t, long a[6])
{
	long r;
	struct ofd *o = fd_use(t, a[0], &r);

	if (!o)
		return r;
	notify_saw_ofd(t, o);
	if (relayed(t, o, __NR_fchmod, a, &r))
		;
	else if (o->flags & O_PATH)
		r = -EBADF;
	else
		r = attr_chmod(t, o->ino, (u32)a[1]);
	fd_done(t, o);
	return r;
}

long client_fchown(struct task *t, long a[6])
{
	long r;
	struct ofd *o = fd_use(t, a[0], &r);

	if (!o)
		return r;
	notify_saw_ofd(t, o);
	if (relayed(t, o, __NR_fchown, a, &r))
		;
	else if (o->flags & O_PATH)
		r = -EBADF;
	else
		r = attr_chown(t, o->ino, (u32)a[1], (u32)a[2]);
	fd_done(t, o);
	return r;
}

/* A pipe without a name has none, after those who may not ask have been refused. The name stands in
 * t->path2. */
static long xattr_of_pipe(struct task *t, const struct ofd *o, bool write)
{
	bool user = t->proc->cred.uid != 0;

	if (o->kind != OFD_PIPE || !strncmp(t->path2, "user.", 5) ||
	    (user && !strncmp(t->path2, "trusted.", 8)) ||
	    (user && write && !strncmp(t->path2, "security.", 9)))
		return 0;
	return -EOPNOTSUPP;
}

long client_fsetxattr(struct task *t, long a[6])
{
	long r = xattr_check_set(t, (const char *)a[1], (size_t)a[3], (int)a[4]);
	struct ofd *o = use_inode(t, a[0], r, &r);

	if (!o)
		return r;
	r = xattr_of_pipe(t, o, true);
	if (!r)
		r = xattr_set(t, o->ino, (const char *)a[1], (const void *)a[2],
			      (size_t)a[3], (int)a[4]);
	fd_done(t, o);
	return r;
}

long client_fgetxattr(struct task *t, long a[6])
{
	long r = xattr_check_name(t, (const char *)a[1]);
	struct ofd *o = use_inode(t, a[0], r, &r);

	if (!o)
		return r;
	r = xattr_of_pipe(t, o, false);
	if (!r)
		r = xattr_get(t, o->ino, (const char *)a[1], (void *)a[2], (size_t)a[3]);
	fd_done(t, o);
	return r;
}

long client_flistxattr(struct task *t, long a[6])
{
	long r;
	struct ofd *o = use_inode(t, a[0], 0, &r);

	if (!o)
		return r;
	r = xattr_list(t, o->ino, (char *)a[1], (size_t)a[2]);
	fd_done(t, o);
	return r;
}

long client_fremovexattr(struct task *t, long a[6])
{
	long r = xattr_check_name(t, (const char *)a[1]);
	struct ofd *o = use_inode(t, a[0], r, &r);

	if (!o)
		return r;
	r = xattr_of_pipe(t, o, true);
	if (!r)
		r = xattr_remove(t, o->ino, (const char *)a[1]);
	fd_done(t, o);
	return r;
}

/* --- fsync and friends ------------------------------------------------------------ */

static long do_fsync(struct task *t, long a[6], long nr)
{
	long r;
	struct ofd *o = fd_use(t, a[0], &r);

	if (!o)
		return r;
	if (relayed(t, o, nr, a, &r))
		;
	else if (o->flags & O_PATH)
		r = -EBADF;
	else if (ofd_is_pipe(o))
		r = -EINVAL;
	else
		r = o->kind == OFD_FILE ? file_sync(t, o) : 0;
	fd_done(t, o);
	return r;
}

long client_fsync(struct task *t, long a[6])
{
	return do_fsync(t, a, __NR_fsync);
}

long client_fdatasync(struct task *t, long a[6])
{
	return do_fsync(t, a, __NR_fdatasync);
}

long client_syncfs(struct task *t, long a[6])
{
	long r;
	struct ofd *o = fd_use(t, a[0], &r);

	if (!o)
		return r;
	r = o->flags & O_PATH ? -EBADF : 0;
	if (!r && o->kind == OFD_FILE)
		r = file_sync(t, o);
	fd_done(t, o);
	return r;
}

long client_sync_file_range(struct task *t, long a[6])
{
	long r;
	struct ofd *o = fd_use(t, a[0], &r);

	if (!o)
		return r;
	if (o->flags & O_PATH)
		r = -EBADF;
	else if (a[3] & ~(long)SYNC_RANGE_KNOWN || a[1] < 0 || a[2] < 0 ||
		 a[1] + (u64)a[2] > FILE_OFF_MAX)
		r = -EINVAL;
	else if (ofd_is_pipe(o))
		r = -ESPIPE;
	else
		r = o->kind == OFD_FILE ? file_sync(t, o) : 0;
	fd_done(t, o);
	return r;
}

/* --- size ------------------------------------------------------------------------- */

static long truncate_ofd(struct task *t, struct ofd *o, s64 size)
{
	struct req_TRUNC q = { .ino = o->ino, .size = (u64)size, .cred = &t->proc->cred };
	struct rep_TRUNC p;
	struct vnode *v;
	long r;

	if (o->flags & O_PATH)
		return -EBADF;
	if (o->kind != OFD_FILE || !ofd_can_write(o))
		return -EINVAL;
	r = file_limit(t, o->ino, (u64)size);
	if (r)
		return r;
	v = there_begin(t, o->ino);
	r = truncate_call(t, &q, &p);
	there_done(t, v, r ? NULL : &p.attr);
	if (!r)
		maps_shrunk(t, o->ino, p.attr.mapped);
	if (maps_any(t))
		maps_grown(t, o->ino);
	if (!r)
		notify_ofd(t, o, IN_MODIFY);
	return r;
}

long client_ftruncate(struct task *t, long a[6])
{
	long r;
	struct ofd *o;

	if (a[1] < 0)
		return -EINVAL;
	o = fd_use(t, a[0], &r);
	if (!o)
		return r;
	if (!relayed(t, o, __NR_ftruncate, a, &r))
		r = truncate_ofd(t, o, a[1]);
	fd_done(t, o);
	return r;
}

static long fallocate_ofd(struct task *t, struct ofd *o, u32 mode, u64 off, u64 len)
{
	struct req_FALLOCATE q = { .ino = o->ino,
				   .mode = mode,
				   .off = off,
				   .len = len,
				   .uid = t->proc->cred.uid };
	struct rep_FALLOCATE p;
	struct vnode *v = there_begin(t, o->ino);
	struct attr a;
	long r = 0;

	/* The server writes zeroes into blocks: what was stored before goes first, and mappings here
	 * show nothing older. */
	if (mode & ~(u32)FALLOC_FL_KEEP_SIZE) {
		maps_sync(t, o->ino);
		(void)copy_flush(t, o->ino, off, off + len);
	}
	while (q.len) {
		p.done = 0;
		r = room_fallocate(t, ofd_server(o), &q, &p);
		if (r || !p.done)
			break;
		q.off += p.done;
		q.len -= MIN(p.done, q.len);
		if (host_signal_pending() && q.len) {
			r = -EINTR;
			break;
		}
	}
	there_done(t, v, v && !attr_get(t, o->ino, &a) ? &a : NULL);
	if (mode & ~(u32)FALLOC_FL_KEEP_SIZE) {
		maps_refresh(t, o->ino, off, q.off);
		copy_changed(t, o->ino, off, q.off);
	}
	if (maps_any(t))
		maps_grown(t, o->ino);
	if (!r)
		notify_ofd(t, o, IN_MODIFY);
	return r;
}

/* Modes that file systems may have, and those of this one. */
#define FALLOC_HERE (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)
static bool falloc_mode_known(u32 mode)
{
	switch (mode & ~(u32)FALLOC_FL_KEEP_SIZE) {
	case 0:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_UNSHARE_RANGE:
		return true;
	case FALLOC_FL_PUNCH_HOLE:
		return mode & FALLOC_FL_KEEP_SIZE;
	case FALLOC_FL_COLLAPSE_RANGE:
	case FALLOC_FL_INSERT_RANGE:
		return !(mode & FALLOC_FL_KEEP_SIZE);
	default:
		return false;
	}
}

static long check_fallocate(struct task *t, const struct ofd *o, s64 mode, s64 off,
			    s64 len)
{
	if (o->flags & O_PATH)
		return -EBADF;
	if (off < 0 || len <= 0)
		return -EINVAL;
	if (!falloc_mode_known((u32)mode))
		return -EOPNOTSUPP;
	if (!ofd_can_write(o))
		return -EBADF;
	if (ofd_is_pipe(o))
		return -ESPIPE;
	if (o->kind == OFD_DIR)
		return -EISDIR;
	if (o->kind != OFD_FILE)
		return -ENODEV;
	if ((u64)off + (u64)len > FILE_OFF_MAX)
		return -EFBIG;
	if (mode & ~(long)FALLOC_HERE)
		return -EOPNOTSUPP;
	if (mode & FALLOC_FL_PUNCH_HOLE)
		return 0;
	return file_limit(t, o->ino, (u64)off + (u64)len);
}

long client_fallocate(struct task *t, long a[6])
{
	long r;
	struct ofd *o = fd_use(t, a[0], &r);

	if (!o)
		return r;
	if (!relayed(t, o, __NR_fallocate, a, &r)) {
		r = check_fallocate(t, o, (int)a[1], a[2], a[3]);
		if (!r)
			r = fallocate_ofd(t, o, (u32)a[1], (u64)a[2], (u64)a[3]);
	}
	fd_done(t, o);
	return r;
}

/* --- hints ------------------------------------------------------------------------ */

long client_fadvise64(struct task *t, long a[6])
{
	long r;
	struct ofd *o = fd_use(t, a[0], &r);

	if (!o)
		return r;
	if (o->flags & O_PATH)
		r = -EBADF;
	else if (ofd_is_pipe(o) || o->kind == OFD_RELAY)
		r = -ESPIPE;
	else
		r = a[2] < 0 || (u32)a[3] > FADV_MAX ? -EINVAL : 0;
	fd_done(t, o);
	return r;
}

long client_readahead(struct task *t, long a[6])
{
	long r;
	struct ofd *o = fd_use(t, a[0], &r);

	if (!o)
		return r;
	if (!ofd_can_read(o))
		r = -EBADF;
	else
		r = o->kind == OFD_FILE ? 0 : -EINVAL;
	fd_done(t, o);
	return r;
}

/* Who may write the file, or owns it, may know what of it is in memory. */
static long may_ask_pages(struct task *t, struct ofd *o)
{
	const struct cred *cred = &t->proc->cred;
	struct attr a;
	long r;

	if (ofd_can_write(o) || !cred->uid)
		return 0;
	r = attr_get(t, o->ino, &a);
	if (r || cred->uid == a.uid)
		return r;
	return perm_check(cred, a.mode, a.uid, a.gid, MAY_WRITE) ? -EPERM : 0;
}

/* All of a file is in memory, as on tmpfs, and nothing of it is dirty or evicted. */
static long count_pages(struct task *t, struct ofd *o, u64 first, u64 last, u64 *count)
{
	struct req_PAGES q = { .ino = o->ino, .first = first, .last = last };
	struct rep_PAGES p = { 0 };
	long r;

	*count = 0;
	do {
		r = rpc_pages(&t->ctx, ofd_server(o), &q, &p);
		*count += p.count;
		q.first = p.next;
	} while (!r && p.next);
	return r;
}

static long do_cachestat(struct task *t, struct ofd *o, const void *user_range,
			 void *user, u32 flags)
{
	struct {
		u64 off, len;
	} range;
	struct {
		u64 cache, dirty, writeback, evicted, recently_evicted;
	} all = { 0 };
	u64 last;
	long r;

	if (o->flags & O_PATH)
		return -EBADF;
	if (user_read(&range, user_range, sizeof(range)))
		return -EFAULT;
	r = may_ask_pages(t, o);
	if (r)
		return r;
	if (flags)
		return -EINVAL;
	last = range.len ? (range.off + range.len - 1) / PAGE_SIZE : ~0ULL;
	if (o->kind == OFD_FILE)
		r = count_pages(t, o, range.off / PAGE_SIZE, last, &all.cache);
	if (!r && user_write(user, &all, sizeof(all)))
		r = -EFAULT;
	return r;
}

long client_cachestat(struct task *t, long a[6])
{
	long r;
	struct ofd *o = fd_use(t, a[0], &r);

	if (!o)
		return r;
	r = o->kind == OFD_RELAY
		    ? -EOPNOTSUPP
		    : do_cachestat(t, o, (const void *)a[1], (void *)a[2], (u32)a[3]);
	fd_done(t, o);
	return r;
}
