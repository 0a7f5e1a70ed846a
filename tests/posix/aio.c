/* SPDX-License-Identifier: MIT */
/* Linux's asynchronous I/O: io_submit on files. */
#include "t.h"

#include <linux/aio_abi.h>
#include <sys/eventfd.h>

static aio_context_t ring;

static void begin(void)
{
	ring = 0;
	must(syscall(SYS_io_setup, 16, &ring));
}

static struct iocb request(int op, int fd, void *buf, size_t len, off_t off)
{
	struct iocb cb = { .aio_data = 77,
			   .aio_lio_opcode = (unsigned short)op,
			   .aio_fildes = (unsigned)fd,
			   .aio_buf = (uintptr_t)buf,
			   .aio_nbytes = len,
			   .aio_offset = off };

	return cb;
}

static long submit(struct iocb *cb, long n)
{
	struct iocb *list[8];

	for (long i = 0; i < n; i++)
		list[i] = &cb[i];
	return syscall(SYS_io_submit, ring, n, list);
}

/* The result of the one request that was submitted. */
static long result(struct iocb *cb)
{
	struct io_event ev = { 0 };
	struct timespec ts = { 5, 0 };

	if (syscall(SYS_io_getevents, ring, 1L, 1L, &ev, &ts) != 1)
		return -999;
	if (ev.obj != (uintptr_t)cb || ev.data != 77)
		return -998;
	return (long)ev.res;
}

static long one(int op, int fd, void *buf, size_t len, off_t off)
{
	struct iocb cb = request(op, fd, buf, len, off), was = cb;

	if (submit(&cb, 1) != 1)
		return -1000 - errno;
	return memcmp(&cb, &was, sizeof(cb)) ? -997 : result(&cb);
}

static void t_rw(void)
{
	char buf[16] = "";
	struct iovec v[2] = { { buf, 2 }, { buf + 4, 3 } };
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));

	begin();
	is_long(one(IOCB_CMD_PWRITE, fd, "hello world", 11, 0), 11, "pwrite");
	is_long(t_size("f"), 11, "is in the file");
	is_long(one(IOCB_CMD_PREAD, fd, buf, 5, 6), 5, "pread");
	is_str(buf, "world", "what was read");
	is_long(one(IOCB_CMD_PREAD, fd, buf, 5, 9), 2, "pread at the end");
	is_long(one(IOCB_CMD_PREAD, fd, buf, 5, 50), 0, "pread behind it");
	is_long(one(IOCB_CMD_PREADV, fd, v, 2, 1), 5, "preadv");
	ok(memcmp(buf, "el", 2) == 0 && memcmp(buf + 4, "lo ", 3) == 0, "both parts");
	is_long(one(IOCB_CMD_PWRITEV, fd, v, 2, 20), 5, "pwritev");
	is_long(t_size("f"), 25, "the size after it");
	is_long(one(IOCB_CMD_FSYNC, fd, NULL, 0, 0), 0, "fsync");
	is_long(one(IOCB_CMD_FDSYNC, fd, NULL, 0, 0), 0, "fdsync");
	is_long(one(IOCB_CMD_PREAD, fd, (void *)16, 5, 0), -EFAULT, "pread to nowhere");
	is_long(lseek(fd, 0, SEEK_CUR), 0, "the offset stays");
}

static void t_errors(void)
{
	char buf[16] = "";
	int ro = must(open("f", O_RDONLY | O_CREAT, 0644));
	int wo = must(open("f", O_WRONLY)), path = must(open("f", O_PATH));
	int dir = must(open(".", O_RDONLY));
	struct iocb cb = request(IOCB_CMD_PREAD, ro, buf, 1, 0);

	begin();
	is_long(one(IOCB_CMD_PREAD, 99, buf, 1, 0), -1000 - EBADF, "no descriptor");
	is_long(one(IOCB_CMD_PREAD, wo, buf, 1, 0), -1000 - EBADF, "read of O_WRONLY");
	is_long(one(IOCB_CMD_PWRITE, ro, buf, 1, 0), -1000 - EBADF, "write of O_RDONLY");
	is_long(one(IOCB_CMD_PREAD, path, buf, 1, 0), -1000 - EBADF, "O_PATH");
	is_long(one(IOCB_CMD_PREAD, dir, buf, 1, 0), -1000 - EINVAL, "a directory");
	is_long(one(IOCB_CMD_PREAD, ro, buf, 1, -1), -1000 - EINVAL, "a negative offset");
	is_long(one(99, ro, buf, 1, 0), -1000 - EINVAL, "no such operation");
	cb.aio_reserved2 = 1;
	is_errno(submit(&cb, 1), EINVAL, "a reserved field");
	cb.aio_reserved2 = 0;
	cb.aio_rw_flags = 1 << 20;
	is_errno(submit(&cb, 1), EOPNOTSUPP, "an unknown flag");
	is_long(submit(&cb, 0), 0, "no request");
	is_errno(submit(&cb, -1), EINVAL, "less than none");
	is_errno(syscall(SYS_io_submit, ring, 1L, (void *)16), EFAULT, "no list");
	is_errno(syscall(SYS_io_submit, 4096L, 1L, NULL), EINVAL, "no ring");
}

static void t_batch(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT | O_APPEND, 0644));
	int null = must(open("/dev/null", O_WRONLY)), ev = must(eventfd(0, 0));
	struct io_event got[8];
	struct iocb cb[6];
	uint64_t count = 0;
	long sum = 0;

	begin();
	for (int i = 0; i < 6; i++) {
		cb[i] = request(IOCB_CMD_PWRITE, i == 2 ? null : fd, "abcdef",
				(size_t)i + 1, 0);
		cb[i].aio_flags = IOCB_FLAG_RESFD;
		cb[i].aio_resfd = (unsigned)ev;
	}
	is_long(submit(cb, 5), 5, "files and a device in one batch");
	is_long(syscall(SYS_io_getevents, ring, 5L, 8L, got, NULL), 5, "all are done");
	for (int i = 0; i < 5; i++)
		sum += (long)got[i].res;
	is_long(sum, 15, "all of it");
	is_long(t_size("f"), 12, "what the file has of it");
	is_long(read(ev, &count, 8), 8, "the eventfd");
	is_long((long)count, 5, "counts them");
	cb[3].aio_fildes = 99;
	is_long(submit(cb, 6), 3, "a batch ends where a request is wrong");
	is_long(syscall(SYS_io_getevents, ring, 3L, 8L, got, NULL), 3,
		"those before are done");
	is_long(syscall(SYS_io_destroy, ring), 0, "io_destroy");
}

static int s_write(int argc, char **argv)
{
	int fd = open(argv[0], O_WRONLY);

	begin();
	return argc != 1 || one(IOCB_CMD_PWRITE, fd, "other", 5, 100000) != 5 ||
	       close(fd);
}

static void t_other(void)
{
	char buf[16] = "";
	int fd;

	must(t_put("f", "here"));
	is_long(t_end(t_start(T_EXEC, "write", "f", NULL)), 0, "another process writes");
	fd = must(open("f", O_RDONLY));
	begin();
	is_long(one(IOCB_CMD_PREAD, fd, buf, 10, 100000), 5, "this one reads");
	is_str(buf, "other", "what it wrote");
}

T_SUBS = { { "write", s_write }, T_END };

T_SECTIONS = { { "rw", t_rw },
	       { "errors", t_errors },
	       { "batch", t_batch },
	       { "other", t_other },
	       T_END };
