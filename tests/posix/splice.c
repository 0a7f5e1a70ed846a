/* SPDX-License-Identifier: MIT */
/*
 * Data moved between descriptors of all kinds (splice, tee, vmsplice, sendfile,
 * copy_file_range), reads and writes with flags, and what pipes tell of themselves.
 */
#include "t.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

static char text[200000], back[200000];

static void fill(void)
{
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 23);
}

static int file(const char *name, size_t len)
{
	int fd = must(open(name, O_RDWR | O_CREAT | O_TRUNC, 0644));

	fill();
	must(write(fd, text, len));
	must(lseek(fd, 0, SEEK_SET));
	return fd;
}

/* A FIFO outside, open at both ends. */
static void outside(int p[2])
{
	char dir[] = "/tmp/hare-splice-XXXXXX", name[64];

	if (!mkdtemp(dir))
		_exit(98);
	snprintf(name, sizeof(name), "%s/f", dir);
	must(mkfifo(name, 0600));
	p[0] = must(open(name, O_RDONLY | O_NONBLOCK));
	p[1] = must(open(name, O_WRONLY));
	must(fcntl(p[0], F_SETFL, 0));
	must(unlink(name));
	must(rmdir(dir));
}

/* len bytes of text from `from` on come out of fd. */
static int gives(int fd, size_t from, size_t len)
{
	size_t got = 0;
	ssize_t n;

	while (got < len && (n = read(fd, back + got, len - got)) > 0)
		got += (size_t)n;
	return got == len && !memcmp(back, text + from, len);
}

static int holds(int fd)
{
	int n = -1;

	return ioctl(fd, FIONREAD, &n) ? -1 : n;
}

/* --- splice ----------------------------------------------------------------------------- */

static void ends(const char *what, int from[2], int to[2])
{
	must(write(from[1], text, 3000));
	is_long(splice(from[0], NULL, to[1], NULL, 1000, 0), 1000, "%s: part", what);
	ok(gives(to[0], 0, 1000), "%s: its bytes", what);
	is_long(splice(from[0], NULL, to[1], NULL, 100000, SPLICE_F_MOVE | SPLICE_F_MORE),
		2000, "%s: all that is there", what);
	ok(gives(to[0], 1000, 2000), "%s: the rest", what);
	is_errno(splice(from[0], NULL, to[1], NULL, 10, SPLICE_F_NONBLOCK), EAGAIN,
		 "%s: nothing is there", what);
	must(write(from[1], text, 500));
	is_long(tee(from[0], to[1], 200, 0), 200, "%s: tee", what);
	is_long(tee(from[0], to[1], 100000, SPLICE_F_NONBLOCK), 500, "%s: tee of all",
		what);
	ok(gives(to[0], 0, 200) && gives(to[0], 0, 500), "%s: tee's bytes", what);
	ok(gives(from[0], 0, 500), "%s: they are still in the first", what);
	is_errno(tee(from[0], to[1], 10, SPLICE_F_NONBLOCK), EAGAIN,
		 "%s: tee of nothing", what);
}

static void t_pipes(void)
{
	int p[2], q[2], h[2], g[2];

	fill();
	must(pipe(p));
	must(pipe(q));
	outside(h);
	outside(g);
	ends("pipe to pipe", p, q);
	ends("pipe to outside", p, h);
	ends("outside to pipe", h, q);
	ends("outside to outside", h, g);
	is_errno(splice(p[0], NULL, p[1], NULL, 10, 0), EINVAL, "a pipe to itself");
	is_errno(tee(p[0], p[1], 10, 0), EINVAL, "tee to itself");
	is_errno(splice(p[1], NULL, q[1], NULL, 10, 0), EBADF, "from a writing end");
	is_errno(splice(p[0], NULL, q[0], NULL, 10, 0), EBADF, "to a reading end");
	is_errno(tee(p[1], q[1], 10, 0), EBADF, "tee from a writing end");
	is_errno(splice(p[0], NULL, q[1], NULL, 10, 99), EINVAL, "unknown flags");
	is_errno(splice(99, NULL, q[1], NULL, 10, 0), EBADF, "from nothing");
	is_errno(tee(p[0], 99, 10, 0), EBADF, "tee to nothing");
	is_errno(tee(p[0], file("f", 1), 10, 0), EINVAL, "tee to a file");
	is_long(splice(p[0], NULL, q[1], NULL, 0, 0), 0, "no bytes");
	is_long(tee(p[0], q[1], 0, 0), 0, "tee of no bytes");
}

static void t_ends(void)
{
	int p[2], q[2];

	fill();
	must(pipe(p));
	must(pipe(q));
	must(write(p[1], text, 100));
	must(close(p[1]));
	is_long(splice(p[0], NULL, q[1], NULL, 1000, 0), 100, "before the end");
	is_long(splice(p[0], NULL, q[1], NULL, 1000, 0), 0, "at the end");
	is_long(tee(p[0], q[1], 1000, 0), 0, "tee at the end");
	must(pipe(p));
	must(write(p[1], text, 100));
	must(close(q[0]));
	signal(SIGPIPE, SIG_IGN);
	is_errno(splice(p[0], NULL, q[1], NULL, 10, 0), EPIPE, "nobody reads");
	is_errno(tee(p[0], q[1], 10, 0), EPIPE, "tee, nobody reads");
	is_long(holds(p[0]), 100, "nothing is lost");
	must(pipe(q));
	must(fcntl(q[1], F_SETFL, O_NONBLOCK));
	while (write(q[1], text, sizeof(text)) > 0)
		;
	is_errno(splice(p[0], NULL, q[1], NULL, 10, SPLICE_F_NONBLOCK), EAGAIN, "full");
	is_errno(tee(p[0], q[1], 10, SPLICE_F_NONBLOCK), EAGAIN, "tee, full");
	is_long(holds(p[0]), 100, "nothing is lost then");
	struct iovec iov = { text, 10 };
	is_errno(vmsplice(q[1], &iov, 1, SPLICE_F_NONBLOCK), EAGAIN, "vmsplice, full");
}

static int s_writer(int argc, char **argv)
{
	fill();
	t_sleep_ms(30);
	for (int i = 0; i < 50; i++)
		if (write(atoi(argv[0]), text + i * 1000, 1000) != 1000)
			return 1;
	return argc != 1;
}

/* Waits for what another process, perhaps on another core, writes. */
static void t_waits(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++) {
		int p[2], q[2], out = file("out", 0);
		long sum = 0, n;
		pid_t pid;

		must(pipe(p));
		must(pipe(q));
		must(fcntl(p[0], F_SETFD, FD_CLOEXEC));
		pid = must(t_start(how, "writer", t_num(p[1]), NULL));
		must(close(p[1]));
		while ((n = splice(p[0], NULL, q[1], NULL, 10000, 0)) > 0)
			while (n > 0) {
				long m = must(splice(q[0], NULL, out, NULL, (size_t)n,
						     0));

				n -= m;
				sum += m;
			}
		is_long(sum, 50000, "all that was written, how %d", how);
		is_long(t_end(pid), 0, "the writer ends, how %d", how);
		must(lseek(out, 0, SEEK_SET));
		ok(gives(out, 0, 50000), "the bytes, how %d", how);
		must(close(p[0]));
	}
}

/* splice FROM TO LEN: its result, or an error as one above 100. */
static int s_splice(int argc, char **argv)
{
	long n = splice(atoi(argv[0]), NULL, atoi(argv[1]), NULL, (size_t)atol(argv[2]), 0);

	return argc != 3 || n < 0 ? 100 + errno : (int)(n / 100);
}

/* While one waits for room in the second pipe another one reads from the first. */
static void t_readers(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++) {
		int p[2], q[2], size;
		pid_t pid;

		fill();
		must(pipe(p));
		must(pipe(q));
		size = fcntl(q[1], F_GETPIPE_SZ);
		must(write(q[1], text, (size_t)size));
		must(write(p[1], text, 2000));
		pid = must(t_start(how, "splice", t_num(p[0]), t_num(q[1]), "2000", NULL));
		t_sleep_ms(50); /* it waits by now, mostly; any order is right */
		ok(gives(p[0], 0, 2000), "another reads what was there, how %d", how);
		must(write(p[1], text + 5000, 2000));
		ok(gives(q[0], 0, (size_t)size), "there is room, how %d", how);
		is_long(t_end(pid), 20, "what came since is moved, how %d", how);
		is_long(holds(p[0]), 0, "and gone, how %d", how);
		ok(gives(q[0], 5000, 2000), "and arrives, how %d", how);
	}
}

/* mover FROM TO: until the end. */
static int s_mover(int argc, char **argv)
{
	long n = 0;

	for (int i = 0; n >= 0; i++) {
		n = splice(atoi(argv[0]), NULL, atoi(argv[1]), NULL, 8 * (size_t)(1 + i % 3000), 0);
		if (n == 0)
			return argc != 2;
	}
	return 1;
}

enum { NUMBERS = 60000 };

/* Two move what one pipe gets to another one, and a third reads from the first, too: each number
 * comes once. */
static void t_movers(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++) {
		uint64_t *seen = calloc(NUMBERS, sizeof(*seen)), n[512];
		int p[2], q[2], bad = 0, lost = 0;
		pid_t pid[4];
		long got;

		must(pipe(p));
		must(pipe(q));
		for (int i = 0; i < 2; i++) {
			pid[i] = must(fork());
			if (pid[i] == 0) {
				char *argv[] = { t_num(p[0]), t_num(q[1]) };

				close(p[1]);
				if (how == T_FORK)
					_exit(s_mover(2, argv));
				execl(t_self, t_self, "--sub", "mover", argv[0], argv[1], NULL);
				_exit(95);
			}
		}
		pid[2] = must(fork());
		if (pid[2] == 0) {
			close(p[1]);
			while ((got = read(p[0], n, 8 * 37)) > 0)
				must(write(q[1], n, (size_t)got));
			_exit(got != 0);
		}
		pid[3] = must(fork());
		if (pid[3] == 0) {
			for (uint64_t i = 0; i < NUMBERS;) {
				size_t k = 0;

				for (; k < 100 && i < NUMBERS; k++)
					n[k] = i++;
				must(write(p[1], n, 8 * k));
			}
			_exit(0);
		}
		must(close(p[1]));
		must(close(q[1]));
		while ((got = read(q[0], n, sizeof(n))) > 0)
			for (long i = 0; i < got / 8; i++)
				bad += n[i] >= NUMBERS || seen[n[i]]++ > 0;
		for (int i = 0; i < NUMBERS; i++)
			lost += !seen[i];
		is_long(bad, 0, "none twice, how %d", how);
		is_long(lost, 0, "none lost, how %d", how);
		for (int i = 0; i < 4; i++)
			is_long(t_end(pid[i]), 0, "process %d, how %d", i, how);
		must(close(p[0]));
		must(close(q[0]));
		free(seen);
	}
}

static void t_files(void)
{
	int f = file("f", 100000), p[2], s[2], out, h[2];
	loff_t off = 10, neg = -1, far = 99990;

	must(pipe(p));
	outside(h);
	is_long(splice(f, &off, p[1], NULL, 5000, 0), 5000, "from an offset");
	is_long(off, 5010, "which moves");
	is_long(lseek(f, 0, SEEK_CUR), 0, "the file's does not");
	out = file("g", 100);
	off = 50;
	is_long(splice(p[0], NULL, out, &off, 5000, 0), 5000, "to an offset");
	is_long(off, 5050, "which moves too");
	is_long(t_size("g"), 5050, "the file grows");
	must(lseek(out, 50, SEEK_SET));
	ok(gives(out, 10, 5000), "the bytes");
	is_long(splice(f, &far, p[1], NULL, 5000, 0), 10, "near the end");
	is_long(splice(f, &far, p[1], NULL, 5000, 0), 0, "at the end");
	ok(gives(p[0], 99990, 10), "its bytes");
	is_errno(splice(f, &neg, p[1], NULL, 10, 0), EINVAL, "a negative offset");
	is_errno(splice(p[0], NULL, out, &neg, 10, 0), EINVAL, "one to write at");
	is_errno(splice(f, (loff_t *)8, p[1], NULL, 10, 0), EFAULT, "a bad pointer");
	is_errno(splice(f, NULL, p[1], &off, 10, 0), ESPIPE, "an offset for a pipe");
	is_errno(splice(p[0], NULL, must(open("g", O_WRONLY | O_APPEND)), NULL, 10, 0),
		 EINVAL, "to an appending one");
	is_errno(splice(must(open("g", O_WRONLY)), NULL, p[1], NULL, 10, 0), EBADF,
		 "from one that is only written");
	is_errno(splice(p[0], NULL, must(open("g", O_RDONLY)), NULL, 10, 0), EBADF,
		 "to one that is only read");
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	must(write(s[1], text, 700));
	is_long(splice(s[0], NULL, p[1], NULL, 5000, 0), 700, "from a socket");
	is_long(splice(p[0], NULL, s[1], NULL, 5000, 0), 700, "to a socket");
	ok(gives(s[0], 0, 700), "there and back");
	must(write(h[1], text, 800));
	must(ftruncate(out, 0));
	off = 0;
	is_long(splice(h[0], NULL, out, &off, 5000, 0), 800, "from a pipe outside");
	must(lseek(out, 0, SEEK_SET));
	ok(gives(out, 0, 800), "its bytes, outside");
	off = 3;
	is_long(splice(f, &off, h[1], NULL, 900, 0), 900, "to a pipe outside");
	ok(gives(h[0], 3, 900), "the bytes there");
}

static void t_vmsplice(void)
{
	struct iovec iov[3] = { { text, 100 }, { text + 100, 0 }, { text + 100, 200 } };
	int p[2], f = file("f", 10), null = must(open("/dev/null", O_RDWR));

	fill();
	must(pipe(p));
	is_long(vmsplice(p[1], iov, 3, 0), 300, "three pieces");
	ok(gives(p[0], 0, 300), "their bytes");
	is_long(vmsplice(p[1], iov, 3, SPLICE_F_GIFT), 300, "as a gift");
	iov[0] = (struct iovec){ back, 250 };
	memset(back, 0, 300);
	is_long(vmsplice(p[0], iov, 1, 0), 250, "out of a pipe");
	ok(!memcmp(back, text, 250), "the bytes");
	is_long(holds(p[0]), 50, "the rest is there");
	is_long(vmsplice(p[1], iov, 0, 0), 0, "no pieces");
	is_errno(vmsplice(f, iov, 1, 0), EBADF, "a file");
	is_errno(vmsplice(null, iov, 1, 0), EBADF, "a device");
	is_errno(vmsplice(99, iov, 1, 0), EBADF, "nothing");
	is_errno(vmsplice(p[1], iov, 1, 99), EINVAL, "unknown flags");
	is_errno(vmsplice(p[1], iov, 2000, 0), EINVAL, "too many pieces");
	is_errno(vmsplice(p[1], (struct iovec *)8, 1, 0), EFAULT, "a bad pointer");
}

static void t_sendfile(void)
{
	int f = file("f", 150000), p[2], s[2], out = file("g", 0);
	off_t off = 0, neg = -1;
	long sum = 0, n;

	must(pipe2(p, O_NONBLOCK));
	is_long(sendfile(p[1], f, &off, 150000), 65536, "to a pipe that does not wait");
	is_long(off, 65536, "the offset is at what went");
	is_errno(sendfile(p[1], f, &off, 10), EAGAIN, "when it is full");
	ok(gives(p[0], 0, 65536), "the bytes");
	is_long(sendfile(out, f, &off, 0), 0, "no bytes");
	is_errno(sendfile(out, f, &neg, 10), EINVAL, "a negative offset");
	is_errno(sendfile(must(open("g", O_WRONLY | O_APPEND)), f, &off, 10), EINVAL,
		 "to an appending one");
	is_errno(sendfile(out, must(open(".", O_RDONLY)), NULL, 10), EINVAL,
		 "from a directory");
	is_errno(sendfile(out, f, (off_t *)8, 10), EFAULT, "a bad pointer");
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	pid_t pid = must(fork());
	if (pid == 0) {
		must(close(s[1]));
		_exit(!gives(s[0], 0, 150000));
	}
	must(close(s[0]));
	off = 0;
	while (sum < 150000 && (n = sendfile(s[1], f, &off, 150000 - (size_t)sum)) > 0)
		sum += n;
	is_long(sum, 150000, "a long one to a socket");
	is_long(t_end(pid), 0, "arrives");
	must(lseek(out, 0, SEEK_SET));
	must(lseek(f, 1000, SEEK_SET));
	is_long(sendfile(out, f, NULL, 200000), 149000, "from where the file is");
	must(lseek(out, 0, SEEK_SET));
	ok(gives(out, 1000, 149000), "the bytes, from there");
}

static void t_range(void)
{
	int f = file("f", 30000), g = file("g", 10);
	off_t a = 0, b = 0, neg = -1;
	struct rlimit was, now;

	is_long(copy_file_range(f, &a, f, &(off_t){ 50000 }, 10000, 0), 10000,
		"within a file");
	is_long(t_size("f"), 60000, "it grows");
	must(lseek(f, 50000, SEEK_SET));
	ok(gives(f, 0, 10000), "the bytes");
	is_errno(copy_file_range(f, &neg, g, &b, 10, 0), EOVERFLOW, "from -1 over 0");
	neg = -100;
	is_errno(copy_file_range(f, &neg, g, &b, 10, 0), EINVAL, "a negative offset");
	is_long(copy_file_range(f, &a, g, &b, 0, 0), 0, "no bytes");
	is_errno(copy_file_range(must(open("f", O_WRONLY)), &a, g, &b, 10, 0), EBADF,
		 "from one that is only written");
	int p[2];
	must(pipe(p));
	is_errno(copy_file_range(p[0], NULL, g, NULL, 10, 0), EINVAL, "from a pipe");
	is_errno(copy_file_range(f, NULL, p[1], NULL, 10, 0), EINVAL, "to a pipe");
	signal(SIGXFSZ, SIG_IGN);
	must(getrlimit(RLIMIT_FSIZE, &was));
	now = was;
	now.rlim_cur = 5000;
	must(setrlimit(RLIMIT_FSIZE, &now));
	a = b = 0;
	is_long(copy_file_range(f, &a, g, &b, 10000, 0), 5000, "up to RLIMIT_FSIZE");
	is_errno(copy_file_range(f, &a, g, &b, 10000, 0), EFBIG, "and no further");
	must(setrlimit(RLIMIT_FSIZE, &was));
}

/* --- reads and writes with flags ---------------------------------------------------------- */

static void t_flags(void)
{
	struct iovec iov[2] = { { text, 3 }, { text + 3, 2 } }, in = { back, 100 };
	int f = file("f", 10), a, p[2];

	is_long(pwritev2(f, iov, 2, 2, RWF_APPEND), 5, "RWF_APPEND");
	is_long(t_size("f"), 15, "goes to the end");
	is_long(lseek(f, 0, SEEK_CUR), 0, "the offset stays");
	is_long(pwritev2(f, iov, 2, -1, RWF_APPEND), 5, "RWF_APPEND at the offset");
	is_long(lseek(f, 0, SEEK_CUR), 20, "moves it to the end");
	is_long(t_size("f"), 20, "and the size");
	must(lseek(f, 4, SEEK_SET));
	is_long(pwritev2(f, iov, 1, -1, RWF_SYNC), 3, "offset -1 is the file's own");
	is_long(lseek(f, 0, SEEK_CUR), 7, "which moves");
	is_long(preadv2(f, &in, 1, -1, 0), 13, "read there");
	is_long(preadv2(f, &in, 1, 5, RWF_HIPRI), 15, "RWF_HIPRI");
	is_long(pwritev2(f, iov, 2, 0, RWF_DSYNC), 5, "RWF_DSYNC");
	is_errno(preadv2(f, &in, 1, 0, 0x4000), EOPNOTSUPP, "unknown flags");
	is_errno(preadv2(f, &in, 1, -2, 0), EINVAL, "a negative offset");
	is_errno(preadv2(99, &in, 1, 0, 0), EBADF, "nothing");
	a = must(open("f", O_RDWR | O_APPEND));
	is_long(pwritev2(a, iov, 1, 0, 0), 3, "pwrite to an appending one");
	is_long(t_size("f"), 23, "appends");
	long r = pwritev2(a, iov, 1, 0, RWF_NOAPPEND);
	ok(r == 3 || (r == -1 && errno == EOPNOTSUPP), "RWF_NOAPPEND, where it is known");
	ok(t_size("f") == 23, "does not");
	must(pipe(p));
	is_errno(preadv2(p[0], &in, 1, -1, RWF_NOWAIT), EAGAIN, "RWF_NOWAIT of a pipe");
	must(write(p[1], "xy", 2));
	is_long(preadv2(p[0], &in, 1, -1, RWF_NOWAIT), 2, "when something is there");
	is_errno(preadv2(p[0], &in, 1, 0, 0), ESPIPE, "an offset in a pipe");
	is_long(preadv2(f, &in, 1, 0, RWF_NOWAIT) >= 0 || errno == EOPNOTSUPP, 1,
		"RWF_NOWAIT of a file");
}

/* --- pipes ----------------------------------------------------------------------------------- */

static void t_size_of_pipes(void)
{
	int p[2], f = file("f", 100), n;

	must(pipe2(p, O_NONBLOCK));
	is_long(fcntl(p[0], F_GETPIPE_SZ), 65536, "the size at first");
	is_long(fcntl(p[1], F_SETPIPE_SZ, 5000), 8192, "is rounded up");
	is_long(fcntl(p[0], F_GETPIPE_SZ), 8192, "for both ends");
	is_long(write(p[1], text, 20000), 8192, "and holds");
	is_errno(fcntl(p[1], F_SETPIPE_SZ, 4096), EBUSY, "not less than what is there");
	is_long(fcntl(p[1], F_SETPIPE_SZ, 100000), 131072, "more");
	is_long(write(p[1], text, 200000), 131072 - 8192, "holds more");
	is_long(holds(p[0]), 131072, "FIONREAD");
	must(read(p[0], back, sizeof(back)));
	is_long(fcntl(p[1], F_SETPIPE_SZ, 1), 4096, "one page at least");
	is_errno(fcntl(p[1], F_SETPIPE_SZ, -1), EINVAL, "a negative size");
	is_errno(fcntl(f, F_GETPIPE_SZ), EBADF, "of a file");
	is_errno(fcntl(f, F_SETPIPE_SZ, 4096), EBADF, "of a file, set");
	is_long(holds(f), 100, "FIONREAD of a file");
	must(lseek(f, 30, SEEK_SET));
	is_long(holds(f), 70, "from the offset on");
	is_long(holds(p[0]), 0, "FIONREAD of an empty pipe");
	n = 0;
	is_long(ioctl(p[0], FIONBIO, &n), 0, "FIONBIO");
	is_long(fcntl(p[0], F_GETFL) & O_NONBLOCK, 0, "clears O_NONBLOCK");
	n = 1;
	must(ioctl(p[0], FIONBIO, &n));
	is_errno(read(p[0], back, 1), EAGAIN, "and sets it");
	is_long(ioctl(p[0], FIOCLEX), 0, "FIOCLEX");
	is_long(fcntl(p[0], F_GETFD), FD_CLOEXEC, "sets close-on-exec");
	is_long(ioctl(p[0], FIONCLEX), 0, "FIONCLEX");
	is_long(fcntl(p[0], F_GETFD), 0, "clears it");
	is_long(isatty(f), 0, "a file is no terminal");
	is_long(errno, ENOTTY, "says ENOTTY");
	is_long(isatty(p[0]), 0, "nor a pipe");
	is_errno(ioctl(p[0], 0x1234, &n), ENOTTY, "an unknown request");
	is_errno(ioctl(99, FIONREAD, &n), EBADF, "of nothing");
	is_errno(ioctl(p[0], FIONREAD, (int *)8), EFAULT, "a bad pointer");
	if (geteuid()) {
		is_errno(fcntl(p[1], F_SETPIPE_SZ, 1 << 30), EPERM, "too much for a user");
	} else {
		ok(1, "too much for a user");
	}
}

T_SUBS = { { "writer", s_writer },
	   { "splice", s_splice },
	   { "mover", s_mover },
	   T_END };

T_SECTIONS = {
	{ "pipes", t_pipes },	{ "ends", t_ends },	    { "waits", t_waits },
	{ "files", t_files },	{ "vmsplice", t_vmsplice }, { "sendfile", t_sendfile },
	{ "range", t_range },	{ "flags", t_flags },	    { "size", t_size_of_pipes },
	{ "readers", t_readers }, { "movers", t_movers }, /* not before range: it limits our output */
	T_END,
};
