/* SPDX-License-Identifier: MIT */
/* utimensat, futimens, utimes: what is set, NOW, OMIT, who may. */
#include "t.h"

#include <sys/time.h>
#include <utime.h>

static struct timespec ts_of(long sec, long nsec)
{
	return (struct timespec){ .tv_sec = sec, .tv_nsec = nsec };
}

static int set(const char *path, struct timespec a, struct timespec m, int flags)
{
	struct timespec ts[2] = { a, m };

	return utimensat(AT_FDCWD, path, ts, flags);
}

static void t_set(void)
{
	struct stat st;
	int fd;

	must(t_put("f", "x"));
	is_long(set("f", ts_of(1000, 123456789), ts_of(2000, 987654321), 0), 0, "both");
	must(stat("f", &st));
	is_long(st.st_atim.tv_sec, 1000, "atime");
	is_long(st.st_atim.tv_nsec, 123456789, "atime's nanoseconds");
	is_long(st.st_mtim.tv_sec, 2000, "mtime");
	is_long(st.st_mtim.tv_nsec, 987654321, "mtime's nanoseconds");
	is_long(set("f", ts_of(0, UTIME_OMIT), ts_of(3000, 1), 0), 0, "OMIT atime");
	must(stat("f", &st));
	is_long(st.st_atim.tv_sec, 1000, "OMIT leaves atime");
	is_long(st.st_mtim.tv_sec, 3000, "and sets mtime");
	is_long(set("f", ts_of(4000, 2), ts_of(0, UTIME_OMIT), 0), 0, "OMIT mtime");
	must(stat("f", &st));
	is_long(st.st_atim.tv_sec, 4000, "sets atime");
	is_long(st.st_mtim.tv_sec, 3000, "OMIT leaves mtime");
	is_long(set("f", ts_of(5, UTIME_NOW), ts_of(0, UTIME_OMIT), 0), 0,
		"NOW for atime");
	must(stat("f", &st));
	ok(st.st_atim.tv_sec > 1500000000, "is now");
	is_long(st.st_mtim.tv_sec, 3000, "mtime stays");
	is_long(utimensat(AT_FDCWD, "f", NULL, 0), 0, "no times at all");
	must(stat("f", &st));
	ok(st.st_mtim.tv_sec > 1500000000, "is now for mtime");
	ok(st.st_atim.tv_sec > 1500000000, "and atime");
	is_long(set("f", ts_of(-5, 0), ts_of(-6, 0), 0), 0, "before 1970");
	must(stat("f", &st));
	is_long(st.st_mtim.tv_sec, -6, "is kept");
	is_errno(set("f", ts_of(1, 1000000000), ts_of(1, 0), 0), EINVAL, "10^9 ns");
	is_errno(set("f", ts_of(1, -1), ts_of(1, 0), 0), EINVAL, "-1 ns");
	is_errno(set("none", ts_of(1, 0), ts_of(1, 0), 0), ENOENT, "nothing");
	is_errno(set("f/x", ts_of(1, 0), ts_of(1, 0), 0), ENOTDIR, "below a file");
	is_errno(set("f", ts_of(1, 0), ts_of(1, 0), 0x4000), EINVAL, "a bad flag");
	fd = must(open("f", O_RDONLY));
	struct timespec both[2] = { { 7, 7 }, { 8, 8 } };
	is_long(futimens(fd, both), 0, "futimens of a read-only descriptor");
	must(stat("f", &st));
	is_long(st.st_mtim.tv_sec, 8, "is set");
	must(symlink("f", "l"));
	is_long(set("l", ts_of(11, 0), ts_of(12, 0), AT_SYMLINK_NOFOLLOW), 0,
		"a symlink");
	must(lstat("l", &st));
	is_long(st.st_mtim.tv_sec, 12, "is set itself");
	must(stat("f", &st));
	is_long(st.st_mtim.tv_sec, 8, "its target is not");
	is_long(set("l", ts_of(13, 0), ts_of(14, 0), 0), 0, "followed");
	must(stat("f", &st));
	is_long(st.st_mtim.tv_sec, 14, "its target is");
	must(mkdir("d", 0755));
	is_long(set("d", ts_of(15, 0), ts_of(16, 0), 0), 0, "a directory");
	must(stat("d", &st));
	is_long(st.st_mtim.tv_sec, 16, "the directory is set");
	struct timeval tv[2] = { { 21, 500000 }, { 22, 250000 } };
	is_long(utimes("f", tv), 0, "utimes");
	must(stat("f", &st));
	is_long(st.st_mtim.tv_nsec, 250000000, "microseconds");
	struct utimbuf ut = { 31, 32 };
	is_long(utime("f", &ut), 0, "utime");
	must(stat("f", &st));
	is_long(st.st_mtim.tv_sec, 32, "seconds");
	is_long(st.st_mtim.tv_nsec, 0, "and no fraction");
}

static void t_now(void)
{
	struct timespec before, after;
	struct stat st;

	clock_gettime(CLOCK_REALTIME_COARSE, &before);
	must(t_put("f", "x"));
	clock_gettime(CLOCK_REALTIME, &after);
	must(stat("f", &st));
	ok(st.st_mtim.tv_sec > before.tv_sec || (st.st_mtim.tv_sec == before.tv_sec &&
						 st.st_mtim.tv_nsec >= before.tv_nsec),
	   "a new file is not older than the clock before it was made");
	ok(st.st_mtim.tv_sec < after.tv_sec || (st.st_mtim.tv_sec == after.tv_sec &&
						st.st_mtim.tv_nsec <= after.tv_nsec),
	   "and not newer than after");
}

static void t_perm(void)
{
	pid_t pid;

	if (geteuid() != 0) {
		t_skip("root", "perm");
		return;
	}
	must(t_put("ro", "x"));
	must(t_put("rw", "x"));
	must(chmod("rw", 0666));
	must(t_put("own", "x"));
	must(chmod("own", 0444));
	must(chown("own", T_NOBODY, T_NOBODY));
	pid = t_fork_nobody();
	if (pid == 0) {
		is_errno(utimensat(AT_FDCWD, "ro", NULL, 0), EACCES,
			 "now, no write permission");
		is_long(utimensat(AT_FDCWD, "rw", NULL, 0), 0, "now, write permission");
		is_errno(set("rw", ts_of(1, 0), ts_of(1, 0), 0), EPERM,
			 "a time, not the owner");
		is_errno(set("rw", ts_of(0, UTIME_NOW), ts_of(0, UTIME_OMIT), 0), EPERM,
			 "NOW and OMIT, not the owner");
		is_long(set("rw", ts_of(0, UTIME_OMIT), ts_of(0, UTIME_OMIT), 0), 0,
			"OMIT twice");
		is_long(set("own", ts_of(1, 0), ts_of(1, 0), 0), 0, "a time, the owner");
		_exit(0);
	}
	is_long(t_end(pid), 0, "the unprivileged child ends");
}

/* Times set while the file is open for more: a close does not undo them (cp -p, tar). */
static void t_kept(void)
{
	struct timespec both[2] = { { 7, 7 }, { 8, 8 } };
	struct stat st;
	char c;
	int fd;

	must(t_put("k", "0123456789"));
	fd = must(open("k", O_RDWR));
	must(read(fd, &c, 1));
	must(pwrite(fd, "x", 1, 0));
	is_long(futimens(fd, both), 0, "futimens after a read and a write");
	must(close(fd));
	must(stat("k", &st));
	is_long(st.st_atim.tv_sec, 7, "atime after the close");
	is_long(st.st_mtim.tv_sec, 8, "mtime after the close");
}

T_SECTIONS = { { "kept", t_kept }, { "set", t_set }, { "now", t_now }, { "perm", t_perm }, T_END };
