/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of another core's host, as a program sees them: each operation is performed by the
 * proxy that the program left where the descriptor is valid. (Thesis section 3.6.1; the protocol
 * is in proto/hio.h.) A round trip costs two messages to the proxy's core and two wake-ups, so
 * this is for terminals, pipes to the outside and the like, never for Hare's own files.
 */
#include <asm/errno.h>
#include <asm/ioctls.h>
#include <asm/stat.h>
#include <asm/termbits.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/termios.h>
#include <linux/time_types.h>
#include <linux/uio.h>

#include "base/str.h"
#include "base/sys.h"
#include "client/process.h"
#include "proto/hio.h"

#define NAP_NS	 1000000
#define SIG_PIPE 13
#define SIG_TTIN 21
#define SIG_TTOU 22
#define IOVS_MAX 1024
#define O_PATH_	 010000000

/* One operation. in, out: our own memory, at most HIO_DATA_MAX bytes each way. */
struct request {
	u32 core, pid, fd, op;
	u64 a, b, c;
	const void *in;
	u32 in_len;
	void *out;
	u32 out_cap, out_len;
	bool wait_interruptible;
};

static void nap(void)
{
	struct __kernel_timespec t = { .tv_nsec = NAP_NS };

	SYS(nanosleep, &t, 0);
}

static long call(struct task *t, struct request *r, u32 op, u64 a, u32 seq, s64 *result)
{
	struct req_HOST_IO q = {
		.pid = r->pid,
		.fd = r->fd,
		.op = op,
		.a = a,
		.b = r->b,
		.c = r->c,
		.owner = task_owner(t),
		.wait_seq = seq,
	};
	struct rep_HOST_IO p = { .data = { r->out, 0, r->out_cap } };
	bool first = op == r->op;
	long ret;

	if (first)
		q.data = (struct rpc_bytes){ (void *)r->in, r->in_len, r->in_len };
	ret = rpc_host_io(&t->ctx, r->core, &q, &p);
	*result = p.result;
	r->out_len = p.data.len;
	return ret;
}

/* The caller was interrupted: what is done counts, what is not is taken back. */
static long cancel(struct task *t, struct request *r, u64 tag, s64 *result)
{
	long ret;

	while ((ret = call(t, r, HIO_CANCEL, tag, 0, result)) == -EAGAIN)
		nap();
	if (!ret && *result == -ECANCELED)
		return -HARE_ERESTARTSYS;
	return ret;
}

/* Result of the operation. -EIO: the proxy is gone. */
static long request(struct task *t, struct request *r)
{
	u32 seq = msg_event_prepare(&t->ctx);
	s64 result, tag;
	long ret = call(t, r, r->op, r->a, seq, &tag);

	while (!ret) {
		ret = msg_event_wait(&t->ctx, seq, -1);
		if (ret) {
			if (!r->wait_interruptible) {
				nap();
				ret = call(t, r, HIO_FETCH, (u64)tag, seq, &result);
			} else {
				ret = cancel(t, r, (u64)tag, &result);
			}
		} else {
			ret = call(t, r, HIO_FETCH, (u64)tag, seq, &result);
		}
		if (!ret)
			return result;
		if (ret == -EAGAIN)
			ret = 0;
	}
	return ret == -ESRCH ? -EIO : ret;
}

static struct request of_ofd(struct ofd *o, u32 op)
{
	return (struct request){
		.core = o->relay_core, .pid = o->relay_pid, .fd = o->relay_fd, .op = op
	};
}

long relay_request(struct task *t, struct ofd *o, u32 op, u64 a, u64 b)
{
	struct request r = of_ofd(o, op);

	r.a = a;
	r.b = b;
	return request(t, &r);
}

long relay_own(struct task *t, u32 op, u64 a, u64 b)
{
	struct request r = { .core = t->proc->proxy_core,
			     .pid = t->proc->proxy_pid,
			     .op = op,
			     .a = a,
			     .b = b };

	return request(t, &r);
}

/* --- reading and writing --------------------------------------------------------------------------- */

/* A background job at its terminal: when SIGTTIN, SIGTTOU would not stop it, EIO; else the signal
 * is on its way, and the call begins anew after it. */
static long terminal_refused(u32 sig)
{
	struct {
		u64 handler, flags, restorer, mask;
	} act;
	u64 mask;

	SYS(rt_sigprocmask, 0, 0, &mask, 8);
	if (SYS(rt_sigaction, sig, 0, &act, 8) || act.handler == 1 ||
	    (mask & (1ULL << (sig - 1))))
		return -EIO;
	nap();
	return host_signal_pending() ? -HARE_ERESTARTSYS : -EAGAIN;
}

/* One READ or WRITE of at most HIO_DATA_MAX bytes in t->bounce. */
static long transfer(struct task *t, struct ofd *o, u32 op, size_t len, u64 off)
{
	bool in = op == HIO_READ || op == HIO_PREAD;
	struct request r = of_ofd(o, op);
	long ret;

	r.a = in ? len : 0;
	r.b = off;
	r.wait_interruptible = true;
	if (in) {
		r.out = t->bounce;
		r.out_cap = (u32)len;
	} else {
		r.in = t->bounce;
		r.in_len = (u32)len;
	}
	do {
		ret = request(t, &r);
		if (ret == -HARE_ERESTARTSYS && !host_signal_pending()) {
			ret = terminal_refused(in ? SIG_TTIN : SIG_TTOU);
			if (ret == -EAGAIN)
				continue;
		}
		return ret;
	} while (true);
}

static long do_read(struct task *t, struct ofd *o, u32 op, char *user, size_t len,
		    u64 off)
{
	size_t done = 0;

	if (!len)
		return 0;
	do {
		size_t n = MIN(len - done, (size_t)HIO_DATA_MAX);
		long r = transfer(t, o, op, n, off + done);

		if (r > 0 && user_write(user + done, t->bounce, (size_t)r))
			r = -EFAULT;
		if (r <= 0)
			return done ? (long)done : r;
		done += (size_t)r;
		if ((size_t)r < n || op == HIO_READ)
			break; /* more would perhaps be waited for */
	} while (done < len);
	return (long)done;
}

static void broken_pipe(struct task *t)
{
	SYS(tgkill, t->proc->host_pid, t->ctx.tid, SIG_PIPE);
}

/* All of it, as a blocking write does; a descriptor that does not block ends it with EAGAIN. */
static long do_write(struct task *t, struct ofd *o, u32 op, const char *user, size_t len,
		     u64 off)
{
	size_t done = 0;

	while (done < len) {
		size_t n = MIN(len - done, (size_t)HIO_DATA_MAX);
		long r = user_read(t->bounce, user + done, n);

		if (!r)
			r = transfer(t, o, op, n, off + done);
		if (r <= 0) {
			if (r == -EPIPE)
				broken_pipe(t);
			return done ? (long)done : r;
		}
		done += (size_t)r;
	}
	return (long)done;
}

/* readv, writev and their relatives: buffer by buffer; not atomic, as no pipe is beyond 4 KiB. */
static long vectors(struct task *t, struct ofd *o, u32 op, const struct iovec *user,
		    u64 count, u64 off)
{
	bool in = op == HIO_READ || op == HIO_PREAD;
	u64 done = 0, i;

	if (count > IOVS_MAX)
		return -EINVAL;
	for (i = 0; i < count; i++) {
		struct iovec v;
		long r;

		if (user_read(&v, user + i, sizeof(v)))
			return done ? (long)done : -EFAULT;
		if (!v.iov_len)
			continue;
		r = in ? do_read(t, o, op, v.iov_base, v.iov_len, off + done)
		       : do_write(t, o, op, v.iov_base, v.iov_len, off + done);
		if (r <= 0)
			return done ? (long)done : r;
		done += (u64)r;
		if ((u64)r < v.iov_len || (in && op == HIO_READ))
			break;
	}
	return (long)done;
}

/* A small writev in one piece, so that lines of several writers do not mix. */
static long gather(struct task *t, struct ofd *o, const struct iovec *user, u64 count)
{
	size_t len = 0;
	u64 i;

	for (i = 0; i < count && i < IOVS_MAX; i++) {
		struct iovec v;

		if (user_read(&v, user + i, sizeof(v)))
			return -EFAULT;
		if (v.iov_len > HIO_DATA_MAX - len)
			return vectors(t, o, HIO_WRITE, user, count, 0);
		if (user_read(t->bounce + len, v.iov_base, v.iov_len))
			return -EFAULT;
		len += v.iov_len;
	}
	if (i < count)
		return -EINVAL;
	for (size_t done = 0;;) {
		long r = len ? transfer(t, o, HIO_WRITE, len - done, 0) : 0;

		if (r == -EPIPE)
			broken_pipe(t);
		if (r <= 0 || (done += (size_t)r) == len)
			return done ? (long)done : r;
		memmove(t->bounce, t->bounce + r, len - done);
	}
}

/* --- the rest ---------------------------------------------------------------------------------------- */

static long do_fstat(struct task *t, struct ofd *o, void *user)
{
	struct request r = of_ofd(o, HIO_FSTAT);
	struct stat st;
	long ret;

	r.out = &st;
	r.out_cap = sizeof(st);
	ret = request(t, &r);
	if (ret)
		return ret;
	return r.out_len == sizeof(st) ? user_write(user, &st, sizeof(st)) : -EIO;
}

long relay_path(struct task *t, struct ofd *o, char *buf, size_t size)
{
	struct request r = of_ofd(o, HIO_PATH);
	long ret;

	r.out = buf;
	r.out_cap = (u32)MIN(size - 1, (size_t)PATH_LEN_MAX);
	ret = request(t, &r);
	if (ret < 0)
		return ret;
	buf[r.out_len] = '\0';
	return (long)strlen(buf);
}

/* What an ioctl's argument points to: bytes, or 0 when it is a number or we do not know. */
static long ioctl_size(u64 nr)
{
	switch (nr) {
	case TCGETS:
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		return sizeof(struct termios);
	case TCGETS2:
	case TCSETS2:
	case TCSETSW2:
	case TCSETSF2:
		return sizeof(struct termios2);
	case TIOCGWINSZ:
	case TIOCSWINSZ:
		return sizeof(struct winsize);
	case TIOCGPGRP:
	case TIOCSPGRP:
	case TIOCGSID:
	case TIOCOUTQ:
	case FIONREAD:
	case FIONBIO:
	case FIOASYNC:
	case TIOCMGET:
	case TIOCMSET:
	case TIOCMBIS:
	case TIOCMBIC:
	case TIOCGETD:
	case TIOCSETD:
	case TIOCGSOFTCAR:
	case TIOCSSOFTCAR:
	case TIOCGEXCL:
	case TIOCGPTN:
	case TIOCSPTLCK:
	case TIOCGPTLCK:
	case TIOCPKT:
	case TIOCGPKT:
		return sizeof(int);
	case TIOCSTI:
		return 1;
	case TCSBRK:
	case TCXONC:
	case TCFLSH:
	case TCSBRKP:
	case TIOCSBRK:
	case TIOCCBRK:
	case TIOCNOTTY:
	case TIOCEXCL:
	case TIOCNXCL:
	case TIOCSCTTY:
		return 0;
	default:
		return -ENOTTY;
	}
}

static bool ioctl_reads(u64 nr)
{
	switch (nr) {
	case TCGETS:
	case TCGETS2:
	case TIOCGWINSZ:
	case TIOCGPGRP:
	case TIOCGSID:
	case TIOCOUTQ:
	case FIONREAD:
	case TIOCMGET:
	case TIOCGETD:
	case TIOCGSOFTCAR:
	case TIOCGEXCL:
	case TIOCGPTN:
	case TIOCGPTLCK:
	case TIOCGPKT:
		return true;
	default:
		return false;
	}
}

static long do_ioctl(struct task *t, struct ofd *o, u64 nr, void *user)
{
	struct request r = of_ofd(o, HIO_IOCTL);
	long size = ioctl_size(nr), ret;
	u8 data[64] = { 0 };

	if (size < 0)
		return size;
	r.a = nr;
	r.b = (u64)user;
	if (size) {
		if (!ioctl_reads(nr) && user_read(data, user, (size_t)size))
			return -EFAULT;
		r.in = r.out = data;
		r.in_len = r.out_cap = (u32)size;
	}
	ret = request(t, &r);
	if (ret < 0 || !size || !ioctl_reads(nr))
		return ret;
	return user_write(user, data, r.out_len) ? -EFAULT : ret;
}

/* Commands that concern the number are the descriptor table's; locks and leases have no meaning
 * for a process on another kernel. */
static long do_fcntl(struct task *t, struct ofd *o, u64 cmd, u64 arg)
{
	struct ck *ck = t->ctx.ck;
	long r;

	switch (cmd) {
	case F_GETFL:
	case F_SETFL:
	case F_GETPIPE_SZ:
	case F_SETPIPE_SZ:
		r = relay_request(t, o, HIO_FCNTL, cmd, arg);
		if (!r && cmd == F_SETFL) {
			ck_lock(&t->ctx, ck);
			TX_SET(ck, o->flags,
			       (o->flags & O_ACCMODE) | ((u32)arg & ~(u32)O_ACCMODE));
			ck_unlock(ck);
		}
		return r;
	default:
		return -EINVAL;
	}
}

static long do_utimens(struct task *t, struct ofd *o, const void *user)
{
	struct request r = of_ofd(o, HIO_FUTIMENS);
	u8 times[32];

	if (user) {
		if (user_read(times, user, sizeof(times)))
			return -EFAULT;
		r.in = times;
		r.in_len = sizeof(times);
	}
	return request(t, &r);
}

long relay_op(struct task *t, struct ofd *o, long nr, long a[6])
{
	switch (nr) {
	case __NR_read:
		return do_read(t, o, HIO_READ, (char *)a[1], (size_t)a[2], 0);
	case __NR_write:
		return do_write(t, o, HIO_WRITE, (const char *)a[1], (size_t)a[2], 0);
	case __NR_pread64:
		return do_read(t, o, HIO_PREAD, (char *)a[1], (size_t)a[2], (u64)a[3]);
	case __NR_pwrite64:
		return do_write(t, o, HIO_PWRITE, (const char *)a[1], (size_t)a[2],
				(u64)a[3]);
	case __NR_readv:
		return vectors(t, o, HIO_READ, (void *)a[1], (u64)a[2], 0);
	case __NR_writev:
		return gather(t, o, (void *)a[1], (u64)a[2]);
	case __NR_preadv:
		return vectors(t, o, HIO_PREAD, (void *)a[1], (u64)a[2], (u64)a[3]);
	case __NR_pwritev:
		return vectors(t, o, HIO_PWRITE, (void *)a[1], (u64)a[2], (u64)a[3]);
	case __NR_lseek:
		return relay_request(t, o, HIO_LSEEK, (u64)a[1], (u64)a[2]);
	case __NR_fstat:
		return do_fstat(t, o, (void *)a[1]);
	case __NR_ioctl:
		return do_ioctl(t, o, (u64)a[1], (void *)a[2]);
	case __NR_fcntl:
		return do_fcntl(t, o, (u64)a[1], (u64)a[2]);
	case __NR_fsync:
		return relay_request(t, o, HIO_FSYNC, 0, 0);
	case __NR_fdatasync:
		return relay_request(t, o, HIO_FSYNC, 1, 0);
	case __NR_ftruncate:
		return relay_request(t, o, HIO_FTRUNCATE, (u64)a[1], 0);
	case __NR_fchmod:
		return relay_request(t, o, HIO_FCHMOD, (u64)a[1], 0);
	case __NR_fchown:
		return relay_request(t, o, HIO_FCHOWN, (u64)a[1], (u64)a[2]);
	case __NR_utimensat:
		return do_utimens(t, o, (const void *)a[2]);
	case __NR_fallocate: {
		struct request r = of_ofd(o, HIO_FALLOCATE);

		r.a = (u64)a[1];
		r.b = (u64)a[2];
		r.c = (u64)a[3];
		return request(t, &r);
	}
	case __NR_mmap:
		return -ENODEV;
	default:
		return -EINVAL;
	}
}

/* --- readiness ------------------------------------------------------------------------------------------ */

long relay_poll(struct task *t, struct ofd *o, u32 events)
{
	long r = relay_request(t, o, HIO_POLL, events, 0);

	return r < 0 ? POLLERR | POLLHUP : r;
}

void relay_watch(struct task *t, struct ofd *o, u32 events, u32 seq)
{
	struct request r = of_ofd(o, HIO_WATCH);
	s64 tag;

	(void)call(t, &r, HIO_WATCH, events, seq, &tag);
}

/* --- opening and closing ---------------------------------------------------------------------------------- */

bool relay_is_tty(const char *user_path)
{
	char path[12];

	return user_read_str(path, user_path, sizeof(path)) > 0 &&
	       !strcmp(path, "/dev/tty");
}

/* A path that means something else here than where the program came from: its terminal. */
long relay_open(struct task *t, const char *path, u32 flags, u32 mode)
{
	struct proc *p = t->proc;
	struct ck *ck = t->ctx.ck;
	struct request r = {
		.core = p->tty_core,
		.pid = p->tty_pid,
		.op = HIO_OPEN,
		.a = flags,
		.b = mode,
		.in = path,
		.in_len = (u32)strlen(path) + 1,
	};
	struct ofd *o;
	long fd;

	fd = request(t, &r);
	if (fd < 0)
		return fd == -EIO ? -ENXIO
				  : fd; /* without the proxy there is no terminal */
	o = ofd_new(t, OFD_RELAY, 0, flags & ~(u32)O_CLOEXEC);
	if (!o)
		return -ENFILE;
	ck_lock(&t->ctx, ck);
	TX_SET(ck, o->relay_pid, p->tty_pid);
	TX_SET(ck, o->relay_core, p->tty_core);
	TX_SET(ck, o->relay_fd, (u32)fd);
	TX_SET(ck, o->mode, HS_IFCHR | 0620);
	ck_unlock(ck);
	return fd_install(t, o, flags & O_CLOEXEC, 0);
}

void relay_close(struct task *t, u32 pid, u32 core, u32 fd)
{
	struct request r = { .core = core, .pid = pid, .fd = fd, .op = HIO_CLOSE };
	s64 tag;

	/* Nobody waits for it: the proxy forgets it when it is done. */
	(void)call(t, &r, HIO_CLOSE, 0, 0, &tag);
}

void relay_forget(struct task *t, struct proc *p)
{
	struct fdtable *ft = p->fds;
	struct proc *self = t->proc;
	u32 i, last = 0;

	if (!ft)
		return;
	t->proc = p;
	for (i = 0; i < ft->cap; i++) {
		struct ofd *o = ft->ent[i].kind == FD_HARE ? ft->ent[i].ofd : NULL;
		struct request r;
		s64 tag;

		if (!o || o->kind != OFD_RELAY || o->relay_pid == last)
			continue;
		last = o->relay_pid;
		r = of_ofd(o, HIO_FORGET);
		(void)call(t, &r, HIO_FORGET, task_owner(t), 0, &tag);
	}
	t->proc = self;
}
