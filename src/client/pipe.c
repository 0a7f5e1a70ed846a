/* SPDX-License-Identifier: MIT */
/*
 * Pipes and FIFOs as a program uses them: pipe, and their side of read and write. The
 * bytes are at the inode's server (fileserver/pipe.c), for a pipe the core that made it.
 * A blocking call asks with IO_WAIT, which registers for an EVENT when it cannot be
 * served, and sleeps until something may have changed.
 */
#include "client/file.h"
#include "client/path.h"

#define SIG_PIPE    13
#define PIPE_FLAGS  (O_CLOEXEC | O_NONBLOCK | O_DIRECT)
#define PIPE_ATOMIC 4096u

void raise_sigpipe(struct task *t)
{
	SYS(tgkill, t->proc->host_pid, t->ctx.tid, SIG_PIPE);
}

/* O_NONBLOCK of a description that several cores share may have been changed by
 * another. */
static bool may_wait(struct task *t, struct ofd *o, bool nonblock)
{
	long flags;

	if (nonblock || likely(!o->shared))
		return !nonblock;
	flags = ofd_flags(t, o);
	return flags < 0 || !(flags & O_NONBLOCK);
}

/* Sleeps until the event; 0: try again. */
static long sleep_until(struct task *t, u32 seq)
{
	long r;

	proc_waits(t->proc, 1);
	r = msg_event_wait(&t->ctx, seq, -1);
	proc_waits(t->proc, -1);

	return r == -ETIMEDOUT ? 0 : r;
}

/* One READ into memory of ours. flags: IO_PEEK (takes nothing, from byte `off` of what is there),
 * IO_SPLICE. *last: it ended with a packet. */
static long read_some(struct task *t, struct ofd *o, void *to, u32 len, u32 seq,
		      u32 flags, u64 off, bool *last)
{
	struct req_READ q = {
		.ino = o->ino,
		.off = off,
		.len = len,
		.flags = (seq ? IO_WAIT : 0) | flags,
		.wait_seq = seq,
	};
	struct rep_READ p = { .data = { .p = to, .cap = len } };
	long r = rpc_read(&t->ctx, ofd_server(o), &q, &p);

	*last = !r && p.last;
	return r < 0 ? r : (long)p.data.len;
}

/* Bytes that were read, back to the pipe's front, the last of them first. */
static void give_back(struct task *t, struct ofd *o, const u8 *from, u32 len, bool packet)
{
	struct req_WRITE q = { .ino = o->ino, .flags = IO_BACK | IO_SPLICE };
	struct rep_WRITE p;
	u32 n;

	for (q.flags |= packet ? IO_PACKET : 0; len; len -= n, q.flags &= ~IO_PACKET) {
		n = MIN(len, MSG_IO_MAX);
		q.data = (struct rpc_bytes){ .p = (void *)(from + len - n), .len = n };
		if (rpc_write(&t->ctx, ofd_server(o), &q, &p))
			return;
	}
}

/* What was read, n bytes of it, did not fit into the program's memory: it gets whole pages, as Linux
 * gives them, and the rest stays in the pipe. */
static void put_less(struct task *t, struct ofd *o, struct uio *u, size_t want,
		     size_t before, u32 n, bool packet)
{
	size_t done = want - before;
	u32 at = 0, k;

	for (uio_back(u, want, done); at < n; at += k) {
		k = MIN(n - at, (u32)PAGE_SIZE);
		if (uio_put(u, t->bounce + at, k))
			break;
	}
	uio_back(u, want, done + at);
	give_back(t, o, t->bounce + at, n - at, packet);
}

/* Gives what is there, but waits while there is nothing. */
long pipe_readv(struct task *t, struct ofd *o, struct uio *u, bool nonblock, u32 flags)
{
	u32 max = o->far ? MSG_IO_MAX : CLIENT_BOUNCE_SIZE;
	size_t want = u->total;
	bool wait = !nonblock, last;
	long r = 0;

	while (u->total) {
		size_t before = u->total;
		bool first = want == before;
		u32 len = (u32)MIN(u->total, (size_t)max);
		u32 seq = wait && first ? msg_event_prepare(&t->ctx) : 0;

		r = read_some(t, o, t->bounce, len, seq, flags, 0, &last);
		if (r == -EAGAIN && first && wait) {
			wait = may_wait(t, o, nonblock);
			if (wait)
				r = sleep_until(t, seq);
			if (!r)
				continue;
		}
		if (r <= 0)
			break;
		if (unlikely(uio_put(u, t->bounce, (size_t)r))) {
			put_less(t, o, u, want, before, (u32)r, last);
			r = -EFAULT;
			break;
		}
		if (!(flags & IO_SPLICE) && ((u32)r < len || last))
			break;
	}
	epoll_used(t, o, HP_IN);
	return want != u->total ? (long)(want - u->total) : r;
}

long pipe_peek(struct task *t, struct ofd *o, void *to, u32 len, u64 off, bool nonblock,
	       bool *packet)
{
	len = MIN(len, MSG_IO_MAX);
	for (;;) {
		u32 seq = nonblock ? 0 : msg_event_prepare(&t->ctx);
		long r = read_some(t, o, to, len, seq, IO_PEEK, off, packet);

		if (r != -EAGAIN || nonblock || !may_wait(t, o, nonblock))
			return r;
		r = sleep_until(t, seq);
		if (r < 0)
			return r;
	}
}

void pipe_drop(struct task *t, struct ofd *o, u32 len)
{
	bool last;

	while (len) {
		long r = read_some(t, o, t->bounce, MIN(len, MSG_IO_MAX), 0, IO_SPLICE, 0,
				   &last);

		if (r <= 0)
			return;
		len -= (u32)r;
	}
	epoll_used(t, o, HP_IN);
}

static long write_some(struct task *t, struct ofd *o, const void *data, u32 len, u32 seq,
		       u32 flags)
{
	struct req_WRITE q = {
		.ino = o->ino,
		.ofd = o->shared,
		.flags = flags | (seq ? IO_WAIT : 0),
		.wait_seq = seq,
		.uid = t->proc->cred.uid,
		.data = { .p = (void *)data, .len = len },
	};
	struct rep_WRITE p;
	long r = room_write(t, ofd_server(o), &q, &p);

	return r < 0 ? r : (long)p.count;
}

/* All of one piece that lies in t->bounce, unless it may not wait. */
static long write_piece(struct task *t, struct ofd *o, u32 len, bool nonblock, u32 flags,
			u32 *done)
{
	bool wait = !nonblock;
	long r = 0;

	*done = 0;
	while (*done < len) {
		u32 seq = wait ? msg_event_prepare(&t->ctx) : 0;

		r = write_some(t, o, t->bounce + *done, len - *done, seq, flags);
		if (r == -EAGAIN && wait) {
			wait = may_wait(t, o, nonblock);
			if (wait)
				r = sleep_until(t, seq);
			if (!r)
				continue;
		}
		if (r < 0)
			return r;
		*done += (u32)r;
		if (!wait && *done < len)
			return -EAGAIN;
	}
	return 0;
}

/* Linux looks at the pipe before it looks at the bytes. */
static long no_bytes(struct task *t, struct ofd *o, bool nonblock)
{
	struct req_POLL q = { .ino = o->ino, .access = O_WRONLY, .events = HP_OUT };
	struct rep_POLL p;

	if (rpc_poll(&t->ctx, ofd_server(o), &q, &p))
		return -EFAULT;
	if (p.revents & HP_ERR)
		return -EPIPE;
	return nonblock && !(p.revents & HP_OUT) ? -EAGAIN : -EFAULT;
}

/* Up to PIPE_ATOMIC bytes go in at once or not at all; more may mix with other writers'
 * data. */
long pipe_writev(struct task *t, struct ofd *o, struct uio *u, bool nonblock, u32 flags)
{
	u32 max = o->far ? MSG_IO_MAX : CLIENT_BOUNCE_SIZE;
	size_t done = 0;
	long r = 0;

	_Static_assert(MSG_IO_MAX >= PIPE_ATOMIC, "an atomic write is one message");
	while (u->total && !r) {
		u32 len = (u32)MIN(u->total, (size_t)max), n;

		if (uio_get(u, t->bounce, len)) {
			r = done ? -EFAULT : no_bytes(t, o, nonblock);
			break;
		}
		r = write_piece(t, o, len, nonblock, flags, &n);
		done += n;
	}
	epoll_used(t, o, HP_OUT);
	if (r == -EPIPE)
		raise_sigpipe(t);
	return done ? (long)done : r;
}

/* --- pipe, pipe2 ------------------------------------------------------------------ */

static void end_set(struct ck *ck, struct ofd *o, u64 ino, bool far)
{
	TX_SET(ck, o->ino, ino);
	TX_SET(ck, o->far, (u32)far);
	TX_SET(ck, o->mode, HS_IFIFO | 0600);
}

/* Both ends, each with a reference that is noted as this thread's. Until they have their
 * inode they owe no CLOSE; they get it in the transaction that makes it. */
static long make_ends(struct task *t, u32 flags, struct ofd *end[2])
{
	u32 srv = core_server(&t->ctx);
	bool far = !rpc_is_near(&t->ctx, srv);
	struct req_PIPE q = { .cred = &t->proc->cred };
	struct intent_node *n = NULL;
	struct rep_PIPE p;
	long r = -ENFILE;

	end[0] = ofd_new(t, OFD_PIPE, 0, O_RDONLY | (flags & O_NONBLOCK));
	end[1] = ofd_new(t, OFD_PIPE, 0, O_WRONLY | flags);
	if (end[0] && end[1]) {
		n = far_open_begin(t, srv, RPC_PIPE, 0, O_RDONLY);
		r = STEP_CALL(t, srv, PIPE, pipe, &q, &p,
			      end_set(ck_, end[0], p.ino, far);
			      end_set(ck_, end[1], p.ino, far); far_noted(ck_, n));
	}
	if (!r)
		return 0;
	far_failed(t, n);
	for (int i = 0; i < 2; i++)
		if (end[i])
			ofd_put(t, end[i]);
	return r == -ENOSPC ? -ENFILE : r;
}

static long do_pipe(struct task *t, int *user, u32 flags)
{
	struct ofd *end[2];
	bool cloexec = flags & O_CLOEXEC;
	s32 fd[2];
	long r;

	if (flags & ~(u32)PIPE_FLAGS)
		return -EINVAL;
	if (!t->proc->fds)
		return CLIENT_HOST;
	r = make_ends(t, flags & (O_NONBLOCK | O_DIRECT), end);
	if (r)
		return r;
	fd[0] = (s32)fd_install(t, end[0], cloexec, 0);
	if (fd[0] < 0) {
		ofd_put(t, end[1]);
		return fd[0];
	}
	fd[1] = (s32)fd_install(t, end[1], cloexec, 0);
	if (fd[1] < 0) {
		fd_close_entry(t, t->proc->fds, (u32)fd[0]);
		return fd[1];
	}
	if (user_write(user, fd, sizeof(fd))) {
		fd_close_entry(t, t->proc->fds, (u32)fd[0]);
		fd_close_entry(t, t->proc->fds, (u32)fd[1]);
		return -EFAULT;
	}
	return 0;
}

long client_pipe(struct task *t, long a[6])
{
	return do_pipe(t, (int *)a[0], 0);
}

long client_pipe2(struct task *t, long a[6])
{
	return do_pipe(t, (int *)a[0], (u32)a[1]);
}
