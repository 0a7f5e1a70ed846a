/* SPDX-License-Identifier: MIT */
/*
 * Data from one descriptor to another: sendfile, copy_file_range, splice, vmsplice, tee.
 * Between the host's descriptors alone they are the host's calls; otherwise the data goes
 * through memory here, piece by piece, for Hare's and the host's ends alike.
 *
 * From a file or a pipe of Hare only what went out is taken. What was taken from a pipe
 * or socket of the host is put into the other end whatever happens, waiting if need be,
 * since it cannot be put back.
 *
 * From a pipe of Hare that is three steps: a look at the bytes, putting them into the other
 * end, and taking as many as went. Other readers get nothing in between, by LOCK_APPEND, as
 * Linux locks the pipe: it goes with its holder, of whom then nothing was taken. Bytes, and
 * room for them, are waited for without it.
 */
#include <linux/fs.h>
#include <linux/poll.h>

#include "client/file.h"

#define PIECE		16384u
#define SPLICE_KNOWN	15u
#define SPLICE_NONBLOCK 2u

/* One end of a copy. */
struct end {
	int fd;
	struct ofd *o; /* NULL: the host's */
	bool seekable;
	bool given; /* the offset is the call's own: the description's does not move */
	u32 type; /* HS_IF* */
	u32 flags; /* O_* */
	u64 off;
	void *user_off; /* where the new offset goes, or NULL */
	bool packet; /* the piece is one, or a part of one (packets of pipes) */
};

/* --- the ends --------------------------------------------------------------------- */

struct host_stat { /* the part of struct stat that is looked at */
	u64 dev, ino, nlink;
	u32 mode, uid, gid, pad;
	u8 rest[144 - 40];
};

static long host_end(struct end *e)
{
	struct host_stat st;
	long r = SYS(fstat, e->fd, &st);

	if (r)
		return r;
	e->type = st.mode & HS_IFMT;
	e->flags = (u32)SYS(fcntl, e->fd, F_GETFL);
	if (e->flags & O_PATH)
		return -EBADF;
	if (e->given)
		return 0;
	r = SYS(lseek, e->fd, 0, SEEK_CUR);
	e->seekable = !sys_failed(r);
	e->off = e->seekable ? (u64)r : 0;
	return 0;
}

static long hare_end(struct task *t, struct end *e)
{
	long r;

	e->type = e->o->mode & HS_IFMT;
	r = ofd_flags(t, e->o);
	if (r < 0)
		return r;
	e->flags = (u32)r;
	e->seekable = e->o->kind == OFD_FILE;
	if (e->given || !e->seekable)
		return 0;
	return ofd_pos(t, e->o, &e->off);
}

/* An end of the call: user_off as the program gave it. */
static long end_open(struct task *t, struct end *e, long fd, void *user_off)
{
	bool host;
	s64 off;

	*e = (struct end){ .fd = (int)fd,
			   .given = user_off != NULL,
			   .user_off = user_off };
	if (user_off) {
		if (user_read(&off, user_off, sizeof(off)))
			return -EFAULT;
		e->off = (u64)off;
		e->seekable = true;
	}
	e->o = fd_get(t, e->fd, &host);
	if (!e->o)
		return host ? host_end(e) : -EBADF;
	if (e->o->flags & O_PATH)
		return -EBADF;
	return hare_end(t, e);
}

/* The offset after `done` bytes goes where it belongs. */
static long end_close(struct task *t, struct end *e, long done)
{
	long r = 0;

	if (done > 0 && e->seekable && e->given) {
		r = user_write(e->user_off, &e->off, sizeof(e->off));
	} else if (done > 0 && e->seekable && e->o) {
		r = ofd_set_pos(t, e->o, e->off);
	} else if (done > 0 && e->seekable) {
		SYS(lseek, e->fd, e->off, SEEK_SET);
	}
	if (e->o)
		ofd_put(t, e->o);
	return r;
}

static bool can_read(const struct end *e)
{
	return !(((e->flags & O_ACCMODE) + 1) & 1) ? false : !(e->flags & O_PATH);
}

static bool can_write(const struct end *e)
{
	return (((e->flags & O_ACCMODE) + 1) & 2) && !(e->flags & O_PATH);
}

/* --- one piece -------------------------------------------------------------------- */

/* A descriptor of another core's host. */
static long by_proxy(struct task *t, struct end *e, long nr, void *buf, size_t len)
{
	long args[6] = { e->fd, (long)buf, (long)len };

	return e->o->kind == OFD_RELAY ? relay_op(t, e->o, nr, args) : -EINVAL;
}

/* Of all but pipes of Hare. */
static long take(struct task *t, struct end *e, void *buf, size_t len, bool nonblock)
{
	u64 off = e->off;
	struct uio u;

	uio_buf(&u, buf, len);
	if (e->o && e->seekable)
		return file_readv(t, e->o, &u, &off);
	if (e->o)
		return by_proxy(t, e, __NR_read, buf, len);
	if (e->seekable)
		return host_block(__NR_pread64, e->fd, (long)buf, (long)len, (long)off, 0,
				  0);
	if (nonblock) {
		struct pollfd p = { .fd = e->fd, .events = POLLIN };

		if (SYS(poll, &p, 1, 0) == 0)
			return -EAGAIN;
	}
	return host_block(__NR_read, e->fd, (long)buf, (long)len, 0, 0, 0);
}

/* Until an end that does not block takes more. False: a signal came, or the end is
 * broken. */
static bool wait_room(struct task *t, struct end *e)
{
	struct until u = until_in(-1);
	struct pollfd p = { .fd = e->fd, .events = POLLOUT };

	if (!e->o)
		return host_block(__NR_ppoll, (long)&p, 1, 0, 0, 0, 0) > 0;
	for (;;) {
		u32 seq = msg_event_prepare(&t->ctx);

		if (ofd_poll(t, e->o, POLLOUT, seq, NULL))
			return true;
		if (wait_event(t, seq, &u) < 0)
			return false;
	}
}

/* A pipe takes what it has room for; it is waited for only when it has none. */
static long put_pipe(struct task *t, struct end *e, const void *buf, size_t len,
		     bool nonblock)
{
	for (;;) {
		struct uio u;
		long r;

		uio_buf(&u, (void *)buf, len);
		r = pipe_writev(t, e->o, &u, true,
				IO_SPLICE | (e->packet ? IO_PACKET : 0));
		if (r != -EAGAIN || nonblock || e->flags & O_NONBLOCK)
			return r;
		if (!wait_room(t, e))
			return -HARE_ERESTARTSYS;
	}
}

static long put(struct task *t, struct end *e, const void *buf, size_t len, bool nonblock)
{
	u64 off = e->off;
	struct uio u;

	uio_buf(&u, (void *)buf, len);
	if (e->o && e->seekable)
		return file_writev(t, e->o, &u, &off,
				   e->flags & O_APPEND ? IO_APPEND : 0);
	if (e->o && ofd_is_pipe(e->o))
		return put_pipe(t, e, buf, len, nonblock);
	if (e->o)
		return by_proxy(t, e, __NR_write, (void *)buf, len);
	if (e->seekable)
		return host_block(__NR_pwrite64, e->fd, (long)buf, (long)len, (long)off,
				  0, 0);
	return host_block(__NR_write, e->fd, (long)buf, (long)len, 0, 0, 0);
}

/* All of a piece that cannot be put back. */
static long put_all(struct task *t, struct end *e, const char *buf, size_t len)
{
	size_t done = 0;
	long r = 0;

	while (done < len) {
		r = put(t, e, buf + done, len - done, false);
		if (r > 0) {
			done += (size_t)r;
			e->off += e->seekable ? (u64)r : 0;
		} else if ((r != -EAGAIN && r != -HARE_ERESTARTSYS && r != -EINTR) ||
			   !wait_room(t, e)) {
			break;
		}
	}
	return done ? (long)done : r;
}

/* Until a pipe of Hare has something, and what is no file has room for it. 1; 0: the end;
 * -EAGAIN, -HARE_ERESTARTSYS. */
static long wait_both(struct task *t, struct end *in, struct end *out, bool nonblock)
{
	bool packet;
	u8 byte;
	long r = pipe_peek(t, in->o, &byte, 1, 0, nonblock || in->flags & O_NONBLOCK,
			   &packet);

	if (r <= 0 || out->seekable || nonblock || out->flags & O_NONBLOCK)
		return r;
	return wait_room(t, out) ? 1 : -HARE_ERESTARTSYS;
}

/* While nobody else reads from it: what is there now, and fits. */
static long copy_held(struct task *t, struct end *in, struct end *out, u64 len)
{
	u8 buf[PIECE];
	u64 done = 0;
	long r = 0;

	while (done < len) {
		long got = pipe_peek(t, in->o, buf, (u32)MIN(len - done, (u64)PIECE), 0,
				     true, &out->packet);

		r = got;
		if (got > 0)
			r = put(t, out, buf, (size_t)got, true);
		if (r <= 0)
			break;
		out->off += out->seekable ? (u64)r : 0;
		pipe_drop(t, in->o, (u32)r);
		done += (u64)r;
		if (r < got || host_signal_pending())
			break;
	}
	return done ? (long)done : r;
}

/* `copies` from a pipe of Hare, which nobody else reads meanwhile. wait: for bytes, for room, and again
 * if others were faster. What may block in the host is waited for in any case. */
static long copy_alone(struct task *t, struct end *in, struct end *out, u64 len,
		       long (*copies)(struct task *, struct end *, struct end *, u64),
		       bool nonblock, bool wait)
{
	bool ask = !out->seekable && !(out->o && ofd_is_pipe(out->o)), locked;
	long r;

	for (;; ask = true) {
		r = ask ? wait_both(t, in, out, nonblock) : 1;
		if (r <= 0)
			return r;
		locked = append_lock(t, in->o);
		if (!locked && host_signal_pending())
			return -HARE_ERESTARTSYS;
		r = copies(t, in, out, len);
		if (locked)
			append_unlock(t, in->o);
		if (r != -EAGAIN || !wait)
			return r;
	}
}

static long copy_pipe(struct task *t, struct end *in, struct end *out, u64 len,
		      bool nonblock)
{
	if (out->type == HS_IFIFO)
		nonblock |= ((in->flags | out->flags) & O_NONBLOCK) != 0;
	return copy_alone(t, in, out, len, copy_held, nonblock,
			  !nonblock && (out->seekable || !(out->flags & O_NONBLOCK)));
}

/* From anything else; once: in one piece. */
static long copy_rest(struct task *t, struct end *in, struct end *out, u64 len,
		      bool nonblock)
{
	bool once = !in->seekable;
	u8 buf[PIECE];
	u64 done = 0;
	long r = 0;

	while (done < len) {
		long got = take(t, in, buf, MIN(len - done, (u64)PIECE), nonblock);

		r = got;
		if (got <= 0)
			break;
		if (once) {
			r = put_all(t, out, (const char *)buf, (size_t)got);
		} else {
			r = put(t, out, buf, (size_t)got, nonblock || done);
			if (r > 0 && out->seekable)
				out->off += (u64)r;
		}
		if (r <= 0)
			break;
		if (in->seekable)
			in->off += (u64)r;
		done += (u64)r;
		if (once || r < got || host_signal_pending())
			break;
	}
	return done ? (long)done : r;
}

/* Copies up to len bytes. A pipe gives what it has, and that is all. */
static long copy(struct task *t, struct end *in, struct end *out, u64 len, bool nonblock)
{
	long r;

	if (nonblock && !out->seekable) {
		struct pollfd p = { .fd = out->fd, .events = POLLOUT };

		if (out->o ? !ofd_poll(t, out->o, POLLOUT, 0, NULL)
			   : !SYS(poll, &p, 1, 0))
			return -EAGAIN;
	}
	if (!len)
		return 0;
	r = in->o && ofd_is_pipe(in->o) ? copy_pipe(t, in, out, len, nonblock)
					: copy_rest(t, in, out, len, nonblock);
	if (r == -EINTR)
		r = -HARE_ERESTARTSYS;
	if (r > 0 && in->o)
		notify_ofd(t, in->o, IN_ACCESS);
	if (r > 0 && out->o)
		notify_ofd(t, out->o, IN_MODIFY);
	return r;
}

/* --- the calls -------------------------------------------------------------------- */

static bool both_host(struct task *t, long x, long y)
{
	return fd_is_host(t, (int)x) && fd_is_host(t, (int)y);
}

static long finish(struct task *t, struct end *in, struct end *out, long r)
{
	long a = end_close(t, in, r), b = end_close(t, out, r);

	return r > 0 && (a || b) ? -EFAULT : r;
}

static long check_sendfile(const struct end *in, const struct end *out, s64 off)
{
	if (!can_read(in))
		return -EBADF;
	if (in->type == HS_IFIFO && in->given)
		return -ESPIPE;
	if (!can_write(out))
		return -EBADF;
	if (in->type == HS_IFIFO)
		return -EINVAL;
	if (in->type == HS_IFDIR || off < 0)
		return -EINVAL;
	return out->seekable && out->flags & O_APPEND ? -EINVAL : 0;
}

long client_sendfile(struct task *t, long a[6])
{
	struct end in, out = { 0 };
	long r;

	if (both_host(t, a[0], a[1]))
		return CLIENT_HOST;
	r = end_open(t, &in, a[1], (void *)a[2]);
	if (!r)
		r = end_open(t, &out, a[0], NULL);
	/* the source is looked at first, and where it is to be read */
	if (r == -EBADF && in.given && can_read(&in))
		r = in.type == HS_IFIFO ? -ESPIPE : (s64)in.off < 0 ? -EINVAL : r;
	if (!r)
		r = check_sendfile(&in, &out, (s64)in.off);
	if (!r)
		r = a[3] < 0 ? -EINVAL
			     : copy(t, &in, &out, MIN((u64)a[3], RW_MAX), false);
	return finish(t, &in, &out, r);
}

static bool overlap(const struct end *a, const struct end *b, u64 len)
{
	return a->o && b->o && a->o->ino == b->o->ino && a->off < b->off + len &&
	       b->off < a->off + len;
}

static long check_range(const struct end *in, const struct end *out, u64 len, u32 flags)
{
	if (flags)
		return -EINVAL;
	if (in->type == HS_IFDIR || out->type == HS_IFDIR)
		return -EISDIR;
	if (in->type != HS_IFREG || out->type != HS_IFREG)
		return -EINVAL;
	if (!can_read(in) || !can_write(out) || out->flags & O_APPEND)
		return -EBADF;
	if (in->off + len < in->off || out->off + len < out->off)
		return -EOVERFLOW;
	if ((s64)in->off < 0 || (s64)out->off < 0)
		return -EINVAL;
	return overlap(in, out, len) ? -EINVAL : 0;
}

long client_copy_file_range(struct task *t, long a[6])
{
	struct end in, out = { 0 };
	u64 len = MIN((u64)a[4], RW_MAX);
	long r;

	if (both_host(t, a[0], a[2]))
		return CLIENT_HOST;
	r = end_open(t, &in, a[0], (void *)a[1]);
	if (!r)
		r = end_open(t, &out, a[2], (void *)a[3]);
	if (!r)
		r = check_range(&in, &out, len, (u32)a[5]);
	if (!r)
		r = copy(t, &in, &out, len, false);
	return finish(t, &in, &out, r);
}

static long check_splice(const struct end *in, const struct end *out, u32 flags)
{
	bool from = in->type == HS_IFIFO, to = out->type == HS_IFIFO;

	if (flags & ~SPLICE_KNOWN)
		return -EINVAL;
	if ((from && in->given) || (to && out->given))
		return -ESPIPE;
	if (!can_read(in) || !can_write(out))
		return -EBADF;
	if (!from && !to)
		return -EINVAL;
	if (from && to && in->o && out->o && in->o->ino == out->o->ino)
		return -EINVAL;
	if (out->seekable && out->flags & O_APPEND)
		return -EINVAL;
	if ((in->given && (s64)in->off < 0) || (out->given && (s64)out->off < 0))
		return -EINVAL;
	return in->type == HS_IFDIR ? -EINVAL : 0;
}

long client_splice(struct task *t, long a[6])
{
	struct end in, out = { 0 };
	long r;

	if (both_host(t, a[0], a[2]))
		return CLIENT_HOST;
	if (!a[4])
		return 0;
	r = end_open(t, &in, a[0], (void *)a[1]);
	if (!r)
		r = end_open(t, &out, a[2], (void *)a[3]);
	if (!r)
		r = check_splice(&in, &out, (u32)a[5]);
	if (!r)
		r = copy(t, &in, &out, MIN((u64)a[4], RW_MAX),
			 (u32)a[5] & SPLICE_NONBLOCK);
	return finish(t, &in, &out, r);
}

static long check_tee(const struct end *in, const struct end *out, u32 flags)
{
	if (flags & ~SPLICE_KNOWN)
		return -EINVAL;
	if (!can_read(in) || !can_write(out))
		return -EBADF;
	if (in->type != HS_IFIFO || out->type != HS_IFIFO ||
	    (in->o && !ofd_is_pipe(in->o)))
		return -EINVAL;
	return in->o && out->o && in->o->ino == out->o->ino ? -EINVAL : 0;
}

/* The host's pipes can be looked into by a third one of the host's. */
static long tee_from_host(struct task *t, struct end *in, struct end *out, u64 len,
			  bool nonblock)
{
	s32 tmp[2];
	u8 buf[PIECE];
	long r = SYS(pipe2, tmp, O_CLOEXEC), got;
	u64 done = 0;

	if (r)
		return r;
	got = host_block(__NR_tee, in->fd, tmp[1], (long)MIN(len, RW_MAX),
			 nonblock ? SPLICE_NONBLOCK : 0, 0, 0);
	r = got == -EINTR ? -HARE_ERESTARTSYS : got;
	while (got > 0 && done < (u64)got) {
		r = SYS(read, tmp[0], buf, MIN((u64)got - done, (u64)PIECE));
		if (r > 0)
			r = put(t, out, buf, (size_t)r, nonblock || done);
		if (r <= 0)
			break;
		done += (u64)r;
	}
	SYS(close, tmp[0]);
	SYS(close, tmp[1]);
	return done ? (long)done : r;
}

/* While nobody else reads from it. */
static long tee_held(struct task *t, struct end *in, struct end *out, u64 len)
{
	u8 buf[PIECE];
	u64 done = 0;
	long r = 0;

	while (done < len) {
		u32 n = (u32)MIN(len - done, (u64)PIECE);
		long got = pipe_peek(t, in->o, buf, n, done, true, &out->packet);

		r = got > 0 ? put(t, out, buf, (size_t)got, true) : got;
		if (r <= 0)
			break;
		done += (u64)r;
		if (r < got)
			break;
	}
	return done ? (long)done : r;
}

/* What is in one pipe also into another; waits for the first bytes only. */
static long copy_tee(struct task *t, struct end *in, struct end *out, u64 len,
		     bool nonblock)
{
	nonblock |= ((in->flags | out->flags) & O_NONBLOCK) != 0;
	if (!in->o)
		return tee_from_host(t, in, out, len, nonblock);
	return copy_alone(t, in, out, len, tee_held, nonblock, !nonblock);
}

long client_tee(struct task *t, long a[6])
{
	struct end in, out = { 0 };
	long r;

	if (both_host(t, a[0], a[1]))
		return CLIENT_HOST;
	if (!a[2])
		return 0;
	r = end_open(t, &in, a[0], NULL);
	if (!r)
		r = end_open(t, &out, a[1], NULL);
	if (!r)
		r = check_tee(&in, &out, (u32)a[3]);
	if (!r)
		r = copy_tee(t, &in, &out, MIN((u64)a[2], RW_MAX),
			     a[3] & SPLICE_NONBLOCK);
	return finish(t, &in, &out, r);
}

long client_vmsplice(struct task *t, long a[6])
{
	struct uio u;
	long r;
	struct ofd *o = fd_use(t, a[0], &r);

	if (!o)
		return r;
	r = uio_vec(&u, (const void *)a[1], a[2]);
	if (a[3] & ~(long)SPLICE_KNOWN)
		r = -EINVAL;
	else if (!ofd_is_pipe(o))
		r = -EBADF;
	else if (!r && ofd_can_write(o))
		r = pipe_writev(t, o, &u,
				(a[3] & SPLICE_NONBLOCK) || o->flags & O_NONBLOCK,
				IO_SPLICE);
	else if (!r)
		r = pipe_readv(t, o, &u,
			       (a[3] & SPLICE_NONBLOCK) || o->flags & O_NONBLOCK,
			       IO_SPLICE);
	ofd_put(t, o);
	return r;
}
