/* SPDX-License-Identifier: MIT */
/*
 * chmod, chown, utimens, truncate, by path and (attr_*) by inode.
 *
 * Mode and owner of a distributed directory stand at every server, where they are checked; its
 * home has the truth, and posts SHARD_ATTR to the others when that changes. The servers invalidate
 * what cores cached of it, which is waited for.
 */
#include "client/file.h"
#include "client/path.h"

#define NS_PER_SEC   1000000000L
#define UTIME_NOW_   0x3fffffffL
#define UTIME_OMIT_  0x3ffffffeL
#define TIME_SEC_MAX 9223372035L /* what fits into 64 bits of nanoseconds */

/* --- by inode ----------------------------------------------------------------------------------------- */

/* Until all parts of a directory know what was posted to them. */
static void wait_for_parts(struct task *t, const struct attr *a)
{
	struct req_PING q = { 0 };
	struct rep_PING p[MAX_CORES];
	long r[MAX_CORES];

	if (unlikely(a->dflags & DIR_DISTRIBUTED))
		rpc_all_ping(&t->ctx,
			     rpc_servers(&t->ctx) & ~(1ULL << ino_server(a->ino)), &q,
			     false, p, r);
}

/* The mode or the owner has been changed. */
static long perm_changed(struct task *t, const struct attr *a)
{
	wait_for_parts(t, a);
	notify_ino(t, a->ino, IN_ATTRIB);
	return 0;
}

/* Before each of these what was written and read so far is told: a write takes set-id bits away, and
 * has an earlier time. */

long attr_chmod(struct task *t, u64 ino, u32 mode)
{
	struct req_CHMOD q = { .ino = ino, .mode = mode & 07777, .cred = &t->proc->cred };
	struct rep_CHMOD p;
	long r;

	if (!ino)
		return -EBADF;
	vnode_sync_ino(t, ino);
	while ((r = rpc_chmod(&t->ctx, ino_server(ino), &q, &p)) == -EAGAIN)
		pending_wait();
	return r ? r : perm_changed(t, &p.attr);
}

long attr_chown(struct task *t, u64 ino, u32 uid, u32 gid)
{
	struct req_CHOWN q = {
		.ino = ino, .uid = uid, .gid = gid, .cred = &t->proc->cred
	};
	struct rep_CHOWN p;
	long r;

	if (!ino)
		return -EBADF;
	vnode_sync_ino(t, ino);
	while ((r = rpc_chown(&t->ctx, ino_server(ino), &q, &p)) == -EAGAIN)
		pending_wait();
	return r ? r : perm_changed(t, &p.attr);
}

struct times {
	s64 sec, nsec;
};

static u64 to_ns(const struct times *ts)
{
	s64 sec = MAX(MIN(ts->sec, TIME_SEC_MAX), -TIME_SEC_MAX);

	return (u64)(sec * NS_PER_SEC + ts->nsec);
}

static bool nsec_valid(s64 nsec)
{
	return nsec == UTIME_NOW_ || nsec == UTIME_OMIT_ ||
	       (nsec >= 0 && nsec < NS_PER_SEC);
}

/* ts: access and modification time, or NULL for now. Values that make no sense are refused here,
 * after the path was found, as Linux does. */
static long set_times(struct task *t, u64 ino, const struct times *ts)
{
	struct req_UTIMENS q = { .ino = ino, .cred = &t->proc->cred };
	struct rep_UTIMENS p;
	u32 atime = UTIMENS_ATIME | UTIMENS_ATIME_NOW;
	u32 mtime = UTIMENS_MTIME | UTIMENS_MTIME_NOW;
	long r;

	if (!ino)
		return -EBADF;
	if (ts && !(nsec_valid(ts[0].nsec) && nsec_valid(ts[1].nsec)))
		return -EINVAL;
	if (!ts || (ts[0].nsec == UTIME_NOW_ && ts[1].nsec == UTIME_NOW_)) {
		q.flags = UTIMENS_ATIME_NOW | UTIMENS_MTIME_NOW;
	} else {
		q.flags = UTIMENS_OWNER;
		if (ts[0].nsec == UTIME_NOW_)
			q.flags |= UTIMENS_ATIME_NOW;
		else if (ts[0].nsec != UTIME_OMIT_)
			q.flags |= UTIMENS_ATIME;
		if (ts[1].nsec == UTIME_NOW_)
			q.flags |= UTIMENS_MTIME_NOW;
		else if (ts[1].nsec != UTIME_OMIT_)
			q.flags |= UTIMENS_MTIME;
		q.atime = to_ns(&ts[0]);
		q.mtime = to_ns(&ts[1]);
	}
	vnode_sync_ino(t, ino);
	r = rpc_utimens(&t->ctx, ino_server(ino), &q, &p);
	if (!r) /* both times are attributes; one alone is as if read or written, says Linux */
		notify_ino(t, ino,
			   !(q.flags & mtime)	? IN_ACCESS
			   : !(q.flags & atime) ? IN_MODIFY
						: IN_ATTRIB);
	return r;
}

/* 0; 1: nothing is to be changed; -errno. */
static long read_times(struct times ts[2], const void *user)
{
	long r = user_read(ts, user, 2 * sizeof(ts[0]));

	if (r)
		return r;
	if (ts[0].nsec == UTIME_OMIT_ && ts[1].nsec == UTIME_OMIT_)
		return 1;
	return 0;
}

long attr_utimens(struct task *t, u64 ino, const void *user_timespecs)
{
	struct times ts[2];
	long r = user_timespecs ? read_times(ts, user_timespecs) : 0;

	if (r)
		return r < 0 ? r : 0;
	return set_times(t, ino, user_timespecs ? ts : NULL);
}

/* --- chmod -------------------------------------------------------------------------------------------- */

static long do_chmod(struct task *t, long *dirfd, long *upath, u32 mode, u32 wf)
{
	struct place pl;
	u32 tries = 0;
	long r;

	do {
		r = path_walk(t, dirfd, upath, wf, &pl);
		if (r)
			break;
		/* As Linux since 6.6: a symlink has no mode to change. */
		if (pl.type == HS_IFLNK)
			return -EOPNOTSUPP;
		r = attr_chmod(t, pl.ino, mode);
	} while (place_gone(t, r, &pl, &tries));
	return r;
}

long client_chmod(struct task *t, long a[6])
{
	return do_chmod(t, NULL, &a[0], (u32)a[1], WALK_FOLLOW);
}

long client_fchmodat(struct task *t, long a[6])
{
	return do_chmod(t, &a[0], &a[1], (u32)a[2], WALK_FOLLOW);
}

long client_fchmodat2(struct task *t, long a[6])
{
	if (a[3] & ~(long)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return do_chmod(t, &a[0], &a[1], (u32)a[2],
			(a[3] & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
				(a[3] & AT_EMPTY_PATH ? WALK_EMPTY : 0));
}

/* --- chown -------------------------------------------------------------------------------------------- */

static long do_chown(struct task *t, long *dirfd, long *upath, long uid, long gid, u32 wf)
{
	struct place pl;
	u32 tries = 0;
	long r;

	do {
		r = path_walk(t, dirfd, upath, wf, &pl);
		if (r)
			break;
		r = attr_chown(t, pl.ino, (u32)uid, (u32)gid);
	} while (place_gone(t, r, &pl, &tries));
	return r;
}

long client_chown(struct task *t, long a[6])
{
	return do_chown(t, NULL, &a[0], a[1], a[2], WALK_FOLLOW);
}

long client_lchown(struct task *t, long a[6])
{
	return do_chown(t, NULL, &a[0], a[1], a[2], 0);
}

long client_fchownat(struct task *t, long a[6])
{
	if (a[4] & ~(long)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return do_chown(t, &a[0], &a[1], a[2], a[3],
			(a[4] & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
				(a[4] & AT_EMPTY_PATH ? WALK_EMPTY : 0));
}

/* --- times -------------------------------------------------------------------------------------------- */

static long do_utimes(struct task *t, long *dirfd, long *upath, const struct times *ts,
		      u32 wf)
{
	struct place pl;
	u32 tries = 0;
	long r;

	do {
		r = path_walk(t, dirfd, upath, wf, &pl);
		if (r)
			break;
		r = set_times(t, pl.ino, ts);
	} while (place_gone(t, r, &pl, &tries));
	return r;
}

long client_utimensat(struct task *t, long a[6])
{
	struct times ts[2];
	long r = a[2] ? read_times(ts, (const void *)a[2]) : 0;

	if (r)
		return r < 0 ? r : 0;
	if (a[3] & ~(long)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	/* Without a path: the descriptor itself, futimens(3). */
	if (!a[1] && (int)a[0] != AT_FDCWD) {
		bool host;
		struct ofd *o;

		if (a[3])
			return -EINVAL;
		o = fd_get(t, (int)a[0], &host);
		if (!o)
			return host ? CLIENT_HOST : -EBADF;
		notify_saw_ofd(t, o);
		r = o->flags & O_PATH ? -EBADF : set_times(t, o->ino, a[2] ? ts : NULL);
		ofd_put(t, o);
		return r;
	}
	return do_utimes(t, &a[0], &a[1], a[2] ? ts : NULL,
			 (a[3] & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
				 (a[3] & AT_EMPTY_PATH ? WALK_EMPTY : 0));
}

/* struct timeval[2]: microseconds. */
static long read_timevals(struct times ts[2], const void *user)
{
	long r = user_read(ts, user, 2 * sizeof(ts[0]));
	int i;

	for (i = 0; !r && i < 2; i++) {
		if (ts[i].nsec < 0 || ts[i].nsec >= 1000000)
			r = -EINVAL;
		ts[i].nsec *= 1000;
	}
	return r;
}

long client_futimesat(struct task *t, long a[6])
{
	struct times ts[2];
	long args[6] = { a[0], 0, a[2], 0 };
	long r = a[2] ? read_timevals(ts, (const void *)a[2]) : 0;

	if (r)
		return r;
	if (!a[1] && (int)a[0] != AT_FDCWD) {
		bool host;
		struct ofd *o = fd_get(t, (int)args[0], &host);

		if (!o)
			return host ? CLIENT_HOST : -EBADF;
		notify_saw_ofd(t, o);
		r = set_times(t, o->ino, a[2] ? ts : NULL);
		ofd_put(t, o);
		return r;
	}
	return do_utimes(t, &a[0], &a[1], a[2] ? ts : NULL, WALK_FOLLOW);
}

long client_utimes(struct task *t, long a[6])
{
	struct times ts[2];
	long r = a[1] ? read_timevals(ts, (const void *)a[1]) : 0;

	return r ? r : do_utimes(t, NULL, &a[0], a[1] ? ts : NULL, WALK_FOLLOW);
}

long client_utime(struct task *t, long a[6])
{
	s64 sec[2];
	long r = a[1] ? user_read(sec, (const void *)a[1], sizeof(sec)) : 0;
	struct times ts[2];

	if (r)
		return r;
	if (a[1]) {
		ts[0] = (struct times){ sec[0], 0 };
		ts[1] = (struct times){ sec[1], 0 };
	}
	return do_utimes(t, NULL, &a[0], a[1] ? ts : NULL, WALK_FOLLOW);
}

/* --- truncate ------------------------------------------------------------------------------------------ */

static long truncate_place(struct task *t, const struct place *pl, u64 size)
{
	struct req_TRUNC q = {
		.ino = pl->ino, .size = size, .check = 1, .cred = &t->proc->cred
	};
	struct rep_TRUNC p;
	struct vnode *v;
	long r;

	if (pl->type != HS_IFREG)
		return pl->type == HS_IFDIR ? -EISDIR : -EINVAL;
	r = file_limit(t, pl->ino, size);
	if (r)
		return r;
	/* The server keeps what is before the new end: all of it has to be there. */
	v = there_begin(t, pl->ino);
	r = truncate_call(t, &q, &p);
	there_done(t, v, r ? NULL : &p.attr);
	if (r)
		return r;
	maps_shrunk(t, pl->ino, p.attr.mapped);
	maps_grown(t, pl->ino);
	notify_ino(t, pl->ino, IN_MODIFY);
	return 0;
}

long client_truncate(struct task *t, long a[6])
{
	struct place pl;
	u32 tries = 0;
	long r;

	if (a[1] < 0)
		return -EINVAL;
	do {
		r = path_walk(t, NULL, &a[0], WALK_FOLLOW, &pl);
		if (r)
			break;
		r = truncate_place(t, &pl, (u64)a[1]);
	} while (place_gone(t, r, &pl, &tries));
	return r;
}
