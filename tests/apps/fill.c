/* SPDX-License-Identifier: MIT */
/*
 * fill DIR WHAT...: makes things of a kind in DIR until that fails, removes them all, and does so
 * again. Prints TAP: the errno is right, things go on working meanwhile, and after each removal
 * as many blocks and inodes are free as before.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int points;
static char path[8192], long_name[256], page[65536];
static const char *dir, *what;

__attribute__((format(printf, 2, 3))) static void ok(bool good, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - %s: ", good ? "" : "not ", ++points, what);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	puts("");
	fflush(stdout);
}

static const char *name(long i)
{
	snprintf(path, sizeof(path), "%s/t/%ld", dir, i);
	return path;
}

/* --- kinds: make number i, remove number i; 0 or -1 with errno ------------------------------ */

static int mk_empty(long i)
{
	int fd = open(name(i), O_CREAT | O_EXCL | O_WRONLY, 0600);

	return fd < 0 ? -1 : close(fd);
}
static int rm_file(long i)
{
	return unlink(name(i));
}

/* A failed write leaves the file, which is removed with the others. */
static int mk_sized(long i, size_t size)
{
	int fd = open(name(i), O_CREAT | O_EXCL | O_WRONLY, 0600);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, page, size);
	if (n != (ssize_t)size) {
		int e = n < 0 ? errno : ENOSPC;

		close(fd);
		unlink(path);
		errno = e;
		return -1;
	}
	return close(fd);
}
static int mk_small(long i)
{
	return mk_sized(i, 1);
}
static int mk_medium(long i)
{
	return mk_sized(i, sizeof(page));
}

static int mk_big(long i)
{
	int fd = open(name(0), (i ? 0 : O_CREAT | O_EXCL) | O_WRONLY | O_APPEND, 0600);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, page, 4096);
	if (n < 0) {
		int e = errno;

		close(fd);
		errno = e;
		return -1;
	}
	return close(fd);
}
static int rm_big(long i)
{
	return i ? 0 : unlink(name(0));
}

/* Blocks 1 MiB apart: their map needs the most memory. */
static int mk_sparse(long i)
{
	int fd = open(name(0), (i ? 0 : O_CREAT | O_EXCL) | O_WRONLY, 0600);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = pwrite(fd, page, 1, i << 20);
	if (n < 0) {
		int e = errno;

		close(fd);
		errno = e;
		return -1;
	}
	return close(fd);
}

static int mk_dir(long i)
{
	return mkdir(name(i), 0700);
}
static int rm_dir(long i)
{
	return rmdir(name(i));
}

static const char *long_path(long i)
{
	snprintf(path, sizeof(path), "%s/t/%s%08ld", dir, long_name, i);
	return path;
}
static int mk_long(long i)
{
	int fd = open(long_path(i), O_CREAT | O_EXCL | O_WRONLY, 0600);

	return fd < 0 ? -1 : close(fd);
}
static int rm_long(long i)
{
	return unlink(long_path(i));
}

static int mk_symlink(long i)
{
	return symlink(long_name, name(i));
}
static int mk_hardlink(long i)
{
	if (!i)
		return mk_empty(0);
	snprintf(page, sizeof(page), "%s/t/0", dir);
	return link(page, long_path(i));
}
static int rm_hardlink(long i)
{
	return i ? rm_long(i) : rm_file(0);
}

/* One file's attributes, each of which may be long. */
static int mk_xattr(long i)
{
	char attr[64];

	if (i == 0 && mk_empty(0))
		return -1;
	snprintf(attr, sizeof(attr), "user.%ld", i);
	if (i && i % 64 == 0 && mk_empty(i / 64))
		return -1;
	if (!setxattr(name(i / 64), attr, page, 16000, 0))
		return 0;
	if (i % 64 == 0) { /* a file without any is not counted */
		unlink(path);
		errno = ENOSPC;
	}
	return -1;
}
static int rm_xattr(long i)
{
	return i % 64 ? 0 : unlink(name(i / 64));
}

static int fds[70000];
static int mk_fd(long i)
{
	if (!i && mk_empty(0))
		return -1;
	fds[i] = open(name(0), O_RDWR);
	return fds[i] < 0 ? -1 : 0;
}
static int rm_fd(long i)
{
	return i ? close(fds[i]) : close(fds[0]) | rm_file(0);
}

static int mk_pipe(long i)
{
	return pipe(&fds[2 * i]);
}
static int rm_pipe(long i)
{
	return close(fds[2 * i]) | close(fds[2 * i + 1]);
}
/* With something in it. */
static int mk_fullpipe(long i)
{
	if (pipe2(&fds[2 * i], O_NONBLOCK))
		return -1;
	if (write(fds[2 * i + 1], page, 65536) > 0)
		return 0;
	int e = errno;

	rm_pipe(i);
	errno = e == EAGAIN ? ENOMEM : e;
	return -1;
}

/* Every second byte of a file. */
static int lock_fd = -1;
static int mk_lock(long i)
{
	struct flock l = { .l_type = F_WRLCK, .l_start = 2 * i, .l_len = 1 };

	if (!i)
		lock_fd = open(name(0), O_CREAT | O_EXCL | O_RDWR, 0600);
	return fcntl(lock_fd, F_SETLK, &l);
}
static int rm_lock(long i)
{
	return i ? 0 : close(lock_fd) | rm_file(0);
}

static const struct kind {
	const char *name;
	int (*make)(long i), (*remove)(long i);
	long max;
	int errs[3];
} kinds[] = {
	{ "big", mk_big, rm_big, 1 << 20, { ENOSPC } },
	{ "sparse", mk_sparse, rm_big, 1 << 20, { ENOSPC } },
	{ "small", mk_small, rm_file, 1 << 20, { ENOSPC } },
	{ "medium", mk_medium, rm_file, 1 << 20, { ENOSPC } },
	{ "empty", mk_empty, rm_file, 1 << 20, { ENOSPC } },
	{ "dirs", mk_dir, rm_dir, 1 << 20, { ENOSPC } },
	{ "long", mk_long, rm_long, 1 << 20, { ENOSPC } },
	{ "symlinks", mk_symlink, rm_file, 1 << 20, { ENOSPC } },
	{ "links", mk_hardlink, rm_hardlink, 1 << 20, { ENOSPC } },
	{ "xattrs", mk_xattr, rm_xattr, 1 << 20, { ENOSPC } },
	{ "descriptors", mk_fd, rm_fd, 65000, { EMFILE, ENFILE, ENOMEM } },
	{ "pipes", mk_pipe, rm_pipe, 32000, { EMFILE, ENFILE, ENOMEM } },
	{ "fullpipes", mk_fullpipe, rm_pipe, 32000, { EMFILE, ENFILE, ENOMEM } },
	{ "locks", mk_lock, rm_lock, 9000, { ENOLCK } },
};

/* What goes on working when everything is full: looking, removing, starting programs. */
static bool works(long last)
{
	struct stat st;
	char c;
	int p[2], status;
	bool good = !stat(dir, &st) && last >= 0;
	pid_t pid;

	if (strstr(what, "pipes") || !strcmp(what, "descriptors"))
		return good; /* a child would have all of them, too */
	pid = fork();

	if (!pid) {
		execl("/bin/true", "true", NULL);
		_exit(9);
	}
	good &= pid > 0 && waitpid(pid, &status, 0) == pid && !status;
	good &= !pipe(p) && write(p[1], "x", 1) == 1 && read(p[0], &c, 1) == 1;
	close(p[0]);
	close(p[1]);
	return good;
}

static void settle(struct statvfs *s, const struct statvfs *want)
{
	/* What far servers are told by one-way messages is done soon. */
	for (int i = 0; i < 100; i++) {
		statvfs(dir, s);
		if (!want || (s->f_bfree == want->f_bfree &&
			      s->f_ffree >= want->f_ffree - want->f_ffree / 8))
			return;
		usleep(20000);
	}
}

static void fill(const struct kind *k, const struct statvfs *start)
{
	struct statvfs before = *start, full, after;
	struct rlimit rl;
	long n[2], i, bad;

	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	for (int round = 0; round < 2; round++) {
		bool right = false;

		snprintf(path, sizeof(path), "%s/t", dir);
		mkdir(path, 0700);
		for (i = 0; i < k->max && !k->make(i); i++)
			;
		int e = errno;

		n[round] = i;
		for (int x = 0; x < 3; x++)
			right |= k->errs[x] && e == k->errs[x];
		ok(i == k->max || right, "%ld, then %s", i, strerror(e));
		statvfs(dir, &full);
		if (!strcmp(what, "big"))
			ok(full.f_bfree < 16, "%lu blocks are free of %lu",
			   (unsigned long)full.f_bfree, (unsigned long)full.f_blocks);
		ok(full.f_blocks == before.f_blocks, "the file system's size stays");
		ok(works(i), "other things go on");
		for (bad = 0; i-- > 0;)
			bad += k->remove(i) != 0;
		ok(!bad, "all are removed, but %ld", bad);
		snprintf(path, sizeof(path), "%s/t", dir);
		ok(!rmdir(path), "and their directory");
		settle(&after, &before);
		ok(after.f_bfree == before.f_bfree, "%lu blocks are free, before %lu",
		   (unsigned long)after.f_bfree, (unsigned long)before.f_bfree);
	}
	ok(n[1] >= n[0] - n[0] / 6, "the second time %ld fit, the first %ld", n[1], n[0]);
}

/* In a process of its own, whose tables go with it. */
static void run(const struct kind *k)
{
	struct statvfs before, after;
	int status;
	pid_t pid;

	what = k->name;
	settle(&before, NULL);
	pid = fork();
	if (!pid) {
		fill(k, &before);
		_exit(points);
	}
	waitpid(pid, &status, 0);
	points = WEXITSTATUS(status);
	ok(WIFEXITED(status), "ends");
	settle(&after, &before);
	/* Tables that have grown stay. */
	ok(after.f_ffree >= before.f_ffree - before.f_ffree / 8,
	   "%lu inodes are free, before %lu", (unsigned long)after.f_ffree,
	   (unsigned long)before.f_ffree);
}

int main(int argc, char **argv)
{
	dir = argv[1];
	memset(long_name, 'n', 247);
	memset(page, 'p', sizeof(page));
	for (int a = 2; a < argc; a++)
		for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++)
			if (!strcmp(argv[a], "all") || !strcmp(argv[a], kinds[k].name))
				run(&kinds[k]);
	printf("1..%d\n", points);
	return 0;
}
