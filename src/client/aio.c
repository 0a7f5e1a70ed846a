/* SPDX-License-Identifier: MIT */
/*
 * Linux's asynchronous I/O (io_submit; what libaio is a wrapper of) on Hare's files. As on tmpfs,
 * a request is carried out before io_submit returns; only its completion is asynchronous, and
 * stands in the host's ring, which programs read without a system call. So the completion is made
 * by the host: the program's iocb is submitted once more as a request to a device that ends at
 * once with the wanted result, and then restored.
 *
 *   result      request of the host
 *   n >= 0      write of n bytes to /dev/null
 *   -ENOSPC     write to /dev/full
 *   -EFAULT     read of /dev/zero to where no memory is
 *   other       none: io_submit itself fails with it
 *
 * Cost: four calls of the host for a batch, one more for each request. A request that was carried
 * out and then finds the ring full (-EAGAIN) is carried out again when the program submits it
 * again.
 */
#include <linux/aio_abi.h>

#include "client/file.h"

enum { DEV_NULL, DEV_FULL, DEV_ZERO, DEVS };

struct batch {
	struct task *t;
	u64 ring;
	s32 dev[DEVS]; /* of the host, -1: not open */
};

static long device(struct batch *b, u32 which)
{
	static const char name[DEVS][12] = { "/dev/null", "/dev/full", "/dev/zero" };

	if (b->dev[which] < 0)
		b->dev[which] = (s32)SYS(open, name[which], O_RDWR | O_CLOEXEC, 0);
	return b->dev[which] < 0 ? -EINVAL : b->dev[which];
}

/* What the host does must leave the iocb as it is after a submission. */
static long complete(struct batch *b, struct iocb *user, const struct iocb *cb,
		     long result)
{
	struct iocb as = *cb, was = *cb;
	long r, fd;

	fd = device(b, result == -ENOSPC   ? DEV_FULL
		       : result == -EFAULT ? DEV_ZERO
					   : DEV_NULL);
	if (fd < 0)
		return fd;
	as.aio_fildes = (u32)fd;
	as.aio_lio_opcode = result == -EFAULT ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE;
	as.aio_buf = result == -EFAULT ? 1 : (u64)user;
	as.aio_nbytes = result < 0 ? 1 : (u64)result;
	as.aio_offset = 0;
	as.aio_rw_flags = 0;
	if (user_write(user, &as, sizeof(as)))
		return -EFAULT;
	r = SYS(io_submit, b->ring, 1, &user);
	was.aio_key = 0;
	(void)user_write(user, &was, sizeof(was));
	return r == 1 ? 0 : r ? r : -EAGAIN;
}

/* A result that a completion carries; else io_submit fails with it. */
static bool is_result(long r)
{
	return r >= 0 || r == -ENOSPC || r == -EFAULT;
}

static long transfer(struct task *t, struct ofd *o, const struct iocb *cb, bool write)
{
	bool vec = cb->aio_lio_opcode == IOCB_CMD_PREADV ||
		   cb->aio_lio_opcode == IOCB_CMD_PWRITEV;
	struct uio u;
	long r = 0;

	if (write ? !ofd_can_write(o) : !ofd_can_read(o))
		return -EBADF;
	if (o->kind != OFD_FILE && !ofd_is_pipe(o))
		return -EINVAL;
	if (cb->aio_offset < 0 && !ofd_is_pipe(o))
		return -EINVAL;
	if (vec)
		r = uio_vec(&u, (const void *)cb->aio_buf, (long)cb->aio_nbytes);
	else
		uio_buf(&u, (void *)cb->aio_buf, (size_t)cb->aio_nbytes);
	return r ? r : io_at(t, o, &u, (u64)cb->aio_offset, write, (u32)cb->aio_rw_flags);
}

static long carry_out(struct task *t, struct ofd *o, const struct iocb *cb)
{
	switch (cb->aio_lio_opcode) {
	case IOCB_CMD_PREAD:
	case IOCB_CMD_PREADV:
		return transfer(t, o, cb, false);
	case IOCB_CMD_PWRITE:
	case IOCB_CMD_PWRITEV:
		return transfer(t, o, cb, true);
	case IOCB_CMD_FSYNC:
	case IOCB_CMD_FDSYNC:
		if (cb->aio_buf || cb->aio_offset || cb->aio_nbytes || cb->aio_rw_flags ||
		    o->kind == OFD_RELAY || ofd_is_pipe(o))
			return -EINVAL;
		return o->kind == OFD_FILE ? file_sync(t, o) : 0;
	default:
		return -EINVAL;
	}
}

static long submit_one(struct batch *b, struct iocb *user)
{
	struct task *t = b->t;
	struct iocb cb;
	struct ofd *o;
	bool host;
	long r;

	if (user_read(&cb, user, sizeof(cb)))
		return -EFAULT;
	if (cb.aio_reserved2 || (s64)cb.aio_nbytes < 0)
		return -EINVAL;
	o = fd_get(t, (int)cb.aio_fildes, &host);
	if (!o)
		return -EBADF;
	r = o->flags & O_PATH ? -EBADF : carry_out(t, o, &cb);
	ofd_put(t, o);
	return is_result(r) ? complete(b, user, &cb, r) : r;
}

/* How many of the first n requests are for the host's descriptors, or cannot be read. */
static long count_host(struct task *t, struct iocb *const *list, long n)
{
	struct iocb *p;
	long i;
	u32 fd;

	for (i = 0; i < n; i++)
		if (!user_read(&p, &list[i], sizeof(p)) &&
		    !user_read(&fd, &p->aio_fildes, sizeof(fd)) &&
		    !fd_is_host(t, (int)fd))
			break;
	return i;
}

static long submit(struct batch *b, struct iocb *const *list, long n, long host)
{
	long done = 0, r = 0;

	while (done < n) {
		struct iocb *p;

		if (host) {
			r = SYS(io_submit, b->ring, host, list + done);
			if (r > 0)
				done += r;
			if (r != host)
				break;
		} else {
			r = user_read(&p, &list[done], sizeof(p)) ? -EFAULT
								  : submit_one(b, p);
			if (r)
				break;
			done++;
		}
		host = count_host(b->t, list + done, n - done);
	}
	return done ? done : r;
}

long client_io_submit(struct task *t, long a[6])
{
	struct batch b = { .t = t, .ring = (u64)a[0], .dev = { -1, -1, -1 } };
	struct iocb *const *list = (struct iocb *const *)a[2];
	long n = MIN(a[1], 65536L), host, r;

	if (n <= 0)
		return CLIENT_HOST;
	host = count_host(t, list, n);
	if (host == n)
		return CLIENT_HOST;
	r = submit(&b, list, n, host);
	for (u32 i = 0; i < DEVS; i++)
		if (b.dev[i] >= 0)
			SYS(close, b.dev[i]);
	return r;
}
