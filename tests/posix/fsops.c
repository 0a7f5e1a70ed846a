/* SPDX-License-Identifier: MIT */
/* statfs, sync, sendfile, copy_file_range, splice, tee, fadvise: here and to outside. */
#include "t.h"

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

static char text[100000], back[100000];

static int outside(void)
{
	char name[] = "/tmp/hare-posix-XXXXXX";
	int fd = mkstemp(name);

	unlink(name);
	return fd;
}

static int file(const char *name, size_t len)
{
	int fd = must(open(name, O_RDWR | O_CREAT | O_TRUNC, 0644));

	for (size_t i = 0; i < len; i++)
		text[i] = (char)('a' + i % 23);
	must(write(fd, text, len));
	must(lseek(fd, 0, SEEK_SET));
	return fd;
}

static int same(int fd, off_t off, size_t from, size_t len)
{
	return pread(fd, back, len, off) == (ssize_t)len &&
	       !memcmp(back, text + from, len);
}

static void t_statfs(void)
{
	struct statfs sf;
	struct statvfs sv;
	int fd;

	must(t_put("f", "x"));
	is_long(statfs(".", &sf), 0, "statfs");
	ok(sf.f_bsize >= 512, "its block size");
	ok(sf.f_blocks >= sf.f_bfree && sf.f_bfree >= sf.f_bavail, "its blocks");
	ok(sf.f_namelen == 255, "its name length");
	ok(sf.f_bfree > 0, "some are free");
	is_long(statfs("f", &sf), 0, "of a file");
	fd = must(open("f", O_RDONLY));
	is_long(fstatfs(fd, &sf), 0, "fstatfs");
	is_long(statvfs(".", &sv), 0, "statvfs");
	is_long((long)sv.f_namemax, 255, "its name length, statvfs");
	is_errno(statfs("none", &sf), ENOENT, "of nothing");
	is_errno(fstatfs(99, &sf), EBADF, "of no descriptor");
	is_long(pathconf(".", _PC_NAME_MAX), 255, "pathconf _PC_NAME_MAX");
	is_long(pathconf(".", _PC_PIPE_BUF), 4096, "pathconf _PC_PIPE_BUF");
}

static void t_sync(void)
{
	int fd = file("f", 100), dir = must(open(".", O_RDONLY)), p[2];

	is_long(fsync(fd), 0, "fsync");
	is_long(fdatasync(fd), 0, "fdatasync");
	is_long(fsync(dir), 0, "fsync of a directory");
	is_long(syncfs(fd), 0, "syncfs");
	is_errno(fsync(99), EBADF, "fsync of no descriptor");
	must(pipe(p));
	is_errno(fsync(p[0]), EINVAL, "fsync of a pipe");
	sync();
	is_long(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), 0, "posix_fadvise");
	is_long(posix_fadvise(fd, 0, 0, 99), EINVAL, "posix_fadvise with nonsense");
	is_long(posix_fadvise(p[0], 0, 0, POSIX_FADV_NORMAL), ESPIPE,
		"posix_fadvise of a pipe");
	is_long(readahead(fd, 0, 100), 0, "readahead");
	is_long(sync_file_range(fd, 0, 100, SYNC_FILE_RANGE_WRITE), 0, "sync_file_range");
}

static void t_sendfile(void)
{
	int in = file("f", 50000), out = must(open("g", O_RDWR | O_CREAT, 0644));
	int far = outside(), s[2], p[2];
	off_t off = 100;

	is_long(sendfile(out, in, NULL, 50000), 50000, "file to file");
	ok(same(out, 0, 0, 50000), "the bytes");
	is_long(lseek(in, 0, SEEK_CUR), 50000, "moves the source's offset");
	is_long(lseek(out, 0, SEEK_CUR), 50000, "and the target's");
	is_long(sendfile(out, in, NULL, 100), 0, "at the end");
	is_long(sendfile(out, in, &off, 1000), 1000, "with an offset");
	is_long(off, 1100, "which moves");
	is_long(lseek(in, 0, SEEK_CUR), 50000, "instead of the source's");
	ok(same(out, 50000, 100, 1000), "its bytes");
	off = 0;
	is_long(sendfile(far, in, &off, 50000), 50000, "to a file outside");
	ok(same(far, 0, 0, 50000), "the bytes outside");
	must(ftruncate(out, 0));
	must(lseek(out, 0, SEEK_SET));
	must(lseek(far, 0, SEEK_SET));
	is_long(sendfile(out, far, NULL, 60000), 50000, "from a file outside");
	ok(same(out, 0, 0, 50000), "the bytes from outside");
	must(pipe(p));
	off = 0;
	is_long(sendfile(p[1], in, &off, 5000), 5000, "to a pipe");
	is_long(read(p[0], back, 10000), 5000, "read from it");
	is_long(memcmp(back, text, 5000), 0, "the bytes in the pipe");
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	off = 10;
	is_long(sendfile(s[0], in, &off, 5000), 5000, "to a socket");
	is_long(recv(s[1], back, 5000, MSG_WAITALL), 5000, "received");
	is_long(memcmp(back, text + 10, 5000), 0, "the bytes in the socket");
	is_errno(sendfile(out, p[0], NULL, 10), EINVAL, "from a pipe");
	is_errno(sendfile(99, in, NULL, 10), EBADF, "to no descriptor");
	is_errno(sendfile(out, 99, NULL, 10), EBADF, "from no descriptor");
	is_errno(sendfile(must(open("f", O_RDONLY)), in, NULL, 10), EBADF,
		 "to a read-only one");
}

static void t_copy(void)
{
	int in = file("f", 50000), out = must(open("g", O_RDWR | O_CREAT, 0644));
	int far = outside();
	off_t a = 1000, b = 5;
	ssize_t n;

	is_long(copy_file_range(in, NULL, out, NULL, 50000, 0), 50000, "copy_file_range");
	ok(same(out, 0, 0, 50000), "the bytes");
	is_long(lseek(in, 0, SEEK_CUR), 50000, "the source's offset");
	is_long(copy_file_range(in, NULL, out, NULL, 10, 0), 0, "at the end");
	is_long(copy_file_range(in, &a, out, &b, 3000, 0), 3000, "with offsets");
	is_long(a, 4000, "the source's");
	is_long(b, 3005, "the target's");
	ok(same(out, 5, 1000, 3000), "the bytes at offsets");
	a = 0;
	b = 60000;
	is_long(copy_file_range(in, &a, out, &b, 50000, 0), 50000, "beyond the end");
	is_long(t_size("g"), 110000, "grows the file");
	a = b = 0;
	is_errno(copy_file_range(in, &a, in, &(off_t){ 10 }, 100, 0), EINVAL,
		 "overlapping");
	is_errno(copy_file_range(in, &a, out, &b, 10, 1), EINVAL, "a flag");
	is_errno(copy_file_range(in, &a, 99, &b, 10, 0), EBADF, "to no descriptor");
	is_errno(copy_file_range(in, &a, must(open("g", O_RDONLY)), &b, 10, 0), EBADF,
		 "to a read-only one");
	is_errno(copy_file_range(in, &a, must(open("g", O_WRONLY | O_APPEND)), &b, 10, 0),
		 EBADF, "to an appending one");
	n = copy_file_range(in, &a, far, &b, 1000, 0);
	ok(n == 1000 || (n == -1 && errno == EXDEV), "to a file outside: done, or EXDEV");
	is_errno(copy_file_range(must(open(".", O_RDONLY)), NULL, out, NULL, 10, 0),
		 EISDIR, "from a directory");
}

static void t_splice(void)
{
	int in = file("f", 50000), out = must(open("g", O_RDWR | O_CREAT, 0644));
	int p[2], q[2];
	loff_t off = 7;

	must(pipe(p));
	must(pipe(q));
	is_long(splice(in, NULL, p[1], NULL, 10000, 0), 10000, "file to pipe");
	is_long(lseek(in, 0, SEEK_CUR), 10000, "moves the offset");
	is_long(tee(p[0], q[1], 4000, 0), 4000, "tee");
	is_long(read(q[0], back, 10000), 4000, "the copy");
	is_long(memcmp(back, text, 4000), 0, "the copy's bytes");
	is_long(splice(p[0], NULL, out, NULL, 10000, 0), 10000, "pipe to file");
	ok(same(out, 0, 0, 10000), "the bytes");
	is_long(splice(in, &off, p[1], NULL, 100, 0), 100, "with an offset");
	is_long(off, 107, "which moves");
	is_long(splice(p[0], NULL, q[1], NULL, 100, 0), 100, "pipe to pipe");
	is_long(read(q[0], back, 1000), 100, "read from it");
	is_long(memcmp(back, text + 7, 100), 0, "its bytes");
	is_errno(splice(in, NULL, out, NULL, 10, 0), EINVAL, "without a pipe");
	is_errno(splice(p[0], &off, out, NULL, 10, 0), ESPIPE, "an offset for a pipe");
	struct iovec iov = { text, 500 };
	is_long(vmsplice(p[1], &iov, 1, 0), 500, "vmsplice");
	is_long(read(p[0], back, 1000), 500, "read what was given");
	is_errno(splice(p[0], NULL, out, NULL, 10, SPLICE_F_NONBLOCK), EAGAIN,
		 "NONBLOCK");
}

T_SECTIONS = {
	{ "statfs", t_statfs }, { "sync", t_sync },	{ "sendfile", t_sendfile },
	{ "copy", t_copy },	{ "splice", t_splice }, T_END,
};
