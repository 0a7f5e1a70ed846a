/* SPDX-License-Identifier: MIT */
/* dup, dup2, dup3, fcntl on descriptors, and the lowest free number over all kinds. */
#include "t.h"

#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

static void t_dup(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644)), fd2, fd3;
	char c = 0;

	fd2 = is_ok(dup(fd), "dup");
	is_long(fd2, fd + 1, "is the lowest free number");
	must(write(fd, "abc", 3));
	is_long(lseek(fd2, 0, SEEK_CUR), 3, "shares the offset");
	must(lseek(fd2, 1, SEEK_SET));
	is_long(read(fd, &c, 1), 1, "read by the first");
	is_long(c, 'b', "is where the second went");
	fd3 = must(open("f", O_RDWR));
	is_long(lseek(fd3, 0, SEEK_CUR), 0, "another open shares nothing");
	must(close(fd));
	is_long(read(fd2, &c, 1), 1, "the copy works after the first is closed");
	is_long(c, 'c', "and has the offset");
	is_errno(dup(fd), EBADF, "dup of a closed one");
	is_errno(dup(-1), EBADF, "dup of -1");
}

static void t_dup2(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));
	int other = must(open("g", O_RDWR | O_CREAT, 0644));
	int p[2];

	is_long(dup2(fd, 50), 50, "dup2");
	is_long(write(50, "x", 1), 1, "the copy writes");
	is_long(lseek(fd, 0, SEEK_CUR), 1, "the offset is shared");
	is_long(dup2(other, 50), 50, "dup2 over an open one");
	is_long(write(50, "yy", 2), 2, "goes to the new file");
	is_long(t_size("g"), 2, "is there");
	is_long(t_size("f"), 1, "and not in the old");
	is_long(dup2(fd, fd), fd, "dup2 to itself");
	is_errno(dup2(40, 40), EBADF, "dup2 of a closed one to itself");
	is_errno(dup2(40, 50), EBADF, "dup2 of a closed one");
	is_long(write(50, "z", 1), 1, "leaves the target open");
	is_errno(dup2(fd, -1), EBADF, "dup2 to -1");
	is_errno(dup2(fd, 1 << 30), EBADF, "dup2 beyond the limit");
	is_errno(dup3(fd, fd, 0), EINVAL, "dup3 to itself");
	is_long(dup3(fd, 51, O_CLOEXEC), 51, "dup3 O_CLOEXEC");
	is_long(fcntl(51, F_GETFD), FD_CLOEXEC, "sets the flag");
	is_errno(dup3(fd, 51, O_APPEND), EINVAL, "dup3 with another flag");
	must(pipe(p));
	is_long(dup2(p[1], 50), 50, "a pipe over a file");
	is_long(write(50, "p", 1), 1, "write to it");
	is_long(dup2(fd, p[1]), p[1], "a file over a pipe's end");
	must(close(50));
	char b[4];
	is_long(read(p[0], b, 4), 1, "the byte is read");
	is_long(read(p[0], b, 4), 0, "then the end: no writer is left");
	int null = must(open("/dev/null", O_RDWR));
	is_long(dup2(null, fd), fd, "a device over a file");
	is_long(write(fd, "n", 1), 1, "write to it");
	is_long(t_size("f"), 1, "the file is unchanged");
	is_long(dup2(other, null), null, "a file over a device");
	is_long(write(null, "o", 1), 1, "write to it, file");
	is_long(t_size("g"), 4, "goes to the file");
}

static void t_fcntl(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644)), fd2;

	is_long(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR, "F_GETFL access mode");
	is_long(fcntl(fd, F_GETFL) & (O_CREAT | O_TRUNC | O_EXCL), 0,
		"no creation flags");
	is_long(fcntl(fd, F_SETFL, O_APPEND), 0, "F_SETFL O_APPEND");
	is_long(fcntl(fd, F_GETFL) & O_APPEND, O_APPEND, "is set");
	must(write(fd, "abc", 3));
	must(lseek(fd, 0, SEEK_SET));
	must(write(fd, "d", 1));
	is_str(t_get("f"), "abcd", "and works");
	is_long(fcntl(fd, F_SETFL, O_WRONLY | O_NONBLOCK), 0, "F_SETFL O_WRONLY");
	is_long(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR,
		"does not change the access mode");
	is_long(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_APPEND), O_NONBLOCK,
		"the rest it does");
	fd2 = must(dup(fd));
	is_long(fcntl(fd2, F_SETFL, 0), 0, "F_SETFL by a copy");
	is_long(fcntl(fd, F_GETFL) & O_NONBLOCK, 0, "status flags are shared");
	is_long(fcntl(fd, F_SETFD, FD_CLOEXEC), 0, "F_SETFD");
	is_long(fcntl(fd, F_GETFD), FD_CLOEXEC, "F_GETFD");
	is_long(fcntl(fd2, F_GETFD), 0, "descriptor flags are not shared");
	is_long(fcntl(fd, F_DUPFD, 30), 30, "F_DUPFD");
	is_long(fcntl(fd, F_DUPFD, 30), 31, "again: the next");
	is_long(fcntl(30, F_GETFD), 0, "without FD_CLOEXEC");
	is_long(fcntl(fd, F_DUPFD_CLOEXEC, 30), 32, "F_DUPFD_CLOEXEC");
	is_long(fcntl(32, F_GETFD), FD_CLOEXEC, "with FD_CLOEXEC");
	is_errno(fcntl(fd, F_DUPFD, -1), EINVAL, "F_DUPFD -1");
	is_errno(fcntl(fd, F_DUPFD, 1 << 30), EINVAL, "F_DUPFD beyond the limit");
	is_errno(fcntl(77, F_GETFD), EBADF, "a closed one");
	is_errno(fcntl(fd, 9999), EINVAL, "an unknown command");
}

static void t_lowest(void)
{
	int a, b, p[2], s[2], base;

	base = must(open("/dev/null", O_RDONLY));
	a = must(open("a", O_RDWR | O_CREAT, 0644));
	b = must(open("/dev/null", O_RDONLY));
	is_long(a, base + 1, "a file here is the next number");
	is_long(b, base + 2, "a device after it");
	must(close(base));
	is_long(open("a", O_RDONLY), base, "a file takes a device's old number");
	must(close(a));
	is_long(open("/dev/null", O_RDONLY), a, "a device takes a file's");
	must(close(base));
	must(close(a));
	is_long(pipe(p), 0, "pipe");
	is_long(p[0], base, "its first end");
	is_long(p[1], a, "its second");
	is_long(dup(p[0]), base + 3, "dup of a pipe's end");
	must(close(p[1]));
	is_long(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0, "socketpair");
	is_long(s[0], a, "its first end, in the hole");
	is_long(s[1], base + 4, "its second, after all");
	must(close(0));
	is_long(open("a", O_RDONLY), 0, "a file as descriptor 0");
	must(close(0));
	is_long(open("/dev/null", O_RDONLY), 0, "a device as descriptor 0");
	must(close(0));
	is_long(dup(b), 0, "dup to descriptor 0");
}

static void t_many(void)
{
	struct rlimit rl = { 256, 256 };
	int n = 0, fd, last = -1;

	must(setrlimit(RLIMIT_NOFILE, &rl));
	must(t_put("f", "x"));
	while ((fd = open(n % 2 ? "f" : "/dev/null", O_RDONLY)) >= 0) {
		n++;
		last = fd;
	}
	is_long(errno, EMFILE, "EMFILE at the limit");
	is_long(last, 255, "the last number is the limit's");
	is_errno(dup(last), EMFILE, "dup too");
	is_errno(pipe((int[2]){}), EMFILE, "pipe too");
	is_errno(fcntl(last, F_DUPFD, 0), EMFILE, "F_DUPFD too");
	must(close(100));
	is_long(open("f", O_RDONLY), 100, "one closed can be used again");
	must(close(100));
	is_errno(pipe((int[2]){}), EMFILE, "pipe with one free");
	is_long(open("f", O_RDONLY), 100, "leaves it free");
	is_errno(dup2(last, 256), EBADF, "dup2 to the limit");
	is_long(dup2(last, 200), 200, "dup2 below it");
}

static void t_close_range(void)
{
	must(t_put("f", "x"));
	for (int i = 20; i < 30; i++)
		must(dup2(must(open(i % 2 ? "f" : "/dev/null", O_RDONLY)), i));
	is_long(syscall(SYS_close_range, 22, 25, 0), 0, "close_range");
	ok(t_is_open(21) && !t_is_open(22) && !t_is_open(25) && t_is_open(26),
	   "its range");
	is_long(syscall(SYS_close_range, 26, 27, 4), 0, "close_range CLOEXEC");
	is_long(fcntl(26, F_GETFD), FD_CLOEXEC, "a device");
	is_long(fcntl(27, F_GETFD), FD_CLOEXEC, "a file");
	is_errno(syscall(SYS_close_range, 9, 8, 0), EINVAL, "an empty range");
	is_long(syscall(SYS_close_range, 20, ~0u, 0), 0, "to the end");
	ok(!t_is_open(20) && !t_is_open(29), "closes all");
}

/* An ioctl whose result is a descriptor: the lowest number that no file of Hare has. */
static void t_ioctl_makes(void)
{
	int m = must(open("/dev/ptmx", O_RDWR | O_NOCTTY)), unlock = 0, peer, n;
	int f = must(open("f", O_RDWR | O_CREAT, 0644)), low;
	char c = 0;

	must(ioctl(m, TIOCSPTLCK, &unlock));
	low = must(dup(f));
	must(close(low));
	peer = is_ok(ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY), "ioctl TIOCGPTPEER");
	is_long(peer, low, "is the lowest free number");
	is_long(fcntl(peer, F_GETFD), 0, "not close-on-exec");
	is_long(write(m, "a\n", 2), 2, "write to the terminal's other end");
	is_long(read(peer, &c, 1), 1, "read from it");
	is_long(c, 'a', "what was written");
	is_long(write(f, "x", 1), 1, "write to the file");
	is_long(t_size("f"), 1, "is there");
	n = is_ok(ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC), "with O_CLOEXEC");
	is_long(fcntl(n, F_GETFD), FD_CLOEXEC, "is close-on-exec");
}

T_SECTIONS = {
	{ "dup", t_dup },
	{ "dup2", t_dup2 },
	{ "fcntl", t_fcntl },
	{ "lowest", t_lowest },
	{ "many", t_many },
	{ "closerange", t_close_range },
	{ "makes", t_ioctl_makes },
	T_END,
};
