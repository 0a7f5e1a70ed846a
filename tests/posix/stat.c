/* SPDX-License-Identifier: MIT */
/* stat, fstat, lstat, statx: every field, and which call updates which time. */
#include "t.h"

#include <sys/sysmacros.h>

enum { OLD = 1000000000 };

static void t_fields(void)
{
	struct stat st, st2, top;
	int fd;

	must(t_put("f", "0123456789"));
	is_long(stat("f", &st), 0, "stat");
	ok(S_ISREG(st.st_mode), "a file's type");
	is_long(st.st_size, 10, "its size");
	ok(st.st_blocks > 0 && st.st_blocks * 512 < 1 << 20, "its blocks");
	ok(st.st_blksize >= 512, "its block size");
	ok(st.st_ino != 0, "its inode number");
	must(stat(".", &top));
	ok(S_ISDIR(top.st_mode), "a directory's type");
	is_long(st.st_dev == top.st_dev, 1, "the same device as its directory");
	is_long(st.st_rdev, 0, "no device number");
	fd = must(open("f", O_RDONLY));
	is_long(fstat(fd, &st2), 0, "fstat");
	is_long(st2.st_ino, st.st_ino, "the same inode number");
	is_long(st2.st_dev, st.st_dev, "the same device");
	is_long(lstat("f", &st2), 0, "lstat");
	is_long(st2.st_ino, st.st_ino, "the same inode number by lstat");
	is_long(fstatat(AT_FDCWD, "f", &st2, 0), 0, "fstatat");
	is_long(fstatat(fd, "", &st2, AT_EMPTY_PATH), 0, "fstatat AT_EMPTY_PATH");
	is_long(st2.st_ino, st.st_ino, "the same inode number by AT_EMPTY_PATH");
	is_errno(fstatat(fd, "x", &st2, 0), ENOTDIR, "fstatat below a file");
	is_errno(fstatat(77, "x", &st2, 0), EBADF, "fstatat below no descriptor");
	is_errno(fstatat(AT_FDCWD, "f", &st2, 0x800000), EINVAL,
		 "fstatat with a bad flag");
	is_errno(fstatat(AT_FDCWD, "", &st2, 0), ENOENT, "fstatat of the empty name");
	must(symlink("f", "l"));
	must(stat("l", &st2));
	is_long(st2.st_ino, st.st_ino, "stat follows a symlink");
	must(lstat("l", &st2));
	ok(st2.st_ino != st.st_ino && S_ISLNK(st2.st_mode), "lstat does not");
	is_long(fstatat(AT_FDCWD, "l", &st2, AT_SYMLINK_NOFOLLOW), 0,
		"AT_SYMLINK_NOFOLLOW");
	ok(S_ISLNK(st2.st_mode), "is the symlink");
	must(t_put("empty", ""));
	must(stat("empty", &st2));
	is_long(st2.st_blocks, 0, "an empty file has no blocks");
	ok(st2.st_ino != st.st_ino, "two files have two inode numbers");
	is_errno(stat("none", &st), ENOENT, "nothing");
	is_errno(stat("f/x", &st), ENOTDIR, "below a file");
	is_errno(stat("f/", &st), ENOTDIR, "a file with a slash");
	is_errno(stat("", &st), ENOENT, "the empty name");
	is_long(stat("./", &st2), 0, "./");
	is_long(st2.st_ino, top.st_ino, "is the directory");
}

static void t_nlinks(void)
{
	must(mkdir("d", 0755));
	is_long(t_nlink("d"), 2, "an empty directory");
	must(mkdir("d/a", 0755));
	must(mkdir("d/b", 0755));
	is_long(t_nlink("d"), 4, "with two directories");
	must(t_put("d/f", ""));
	must(symlink("a", "d/l"));
	is_long(t_nlink("d"), 4, "files and symlinks do not count");
	must(rmdir("d/a"));
	is_long(t_nlink("d"), 3, "one removed");
	must(rename("d/b", "b"));
	is_long(t_nlink("d"), 2, "one moved out");
	must(rename("b", "d/c"));
	is_long(t_nlink("d"), 3, "one moved in");
}

static void t_statx(void)
{
	struct statx sx;
	struct stat st;

	must(t_put("f", "0123456789"));
	must(stat("f", &st));
	is_long(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &sx), 0,
		"statx");
	is_long(sx.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS, "all basic fields");
	is_long(sx.stx_mode, st.st_mode, "its mode");
	is_long((long)sx.stx_size, st.st_size, "its size");
	is_long((long)sx.stx_ino, (long)st.st_ino, "its inode number");
	is_long(sx.stx_nlink, 1, "its link count");
	is_long(sx.stx_uid, st.st_uid, "its owner");
	is_long((long)sx.stx_blocks, st.st_blocks, "its blocks");
	is_long(sx.stx_mtime.tv_sec, st.st_mtim.tv_sec, "its mtime");
	is_long(sx.stx_mtime.tv_nsec, st.st_mtim.tv_nsec, "to the nanosecond");
	is_long(makedev(sx.stx_dev_major, sx.stx_dev_minor) == st.st_dev, 1,
		"its device");
	is_errno(statx(AT_FDCWD, "none", 0, STATX_BASIC_STATS, &sx), ENOENT, "nothing");
	is_errno(statx(AT_FDCWD, "f", 0, 0x80000000u, &sx), EINVAL, "a reserved mask");
	is_long(statx(must(open("f", O_RDONLY)), "", AT_EMPTY_PATH, STATX_SIZE, &sx), 0,
		"AT_EMPTY_PATH");
	is_long((long)sx.stx_size, 10, "the size by AT_EMPTY_PATH");
}

/* Sets a file's atime and mtime to OLD and lets the clock go on, so that an update shows. */
static struct stat age(const char *path)
{
	struct timespec ts[2] = { { .tv_sec = OLD }, { .tv_sec = OLD } };
	struct stat st;

	must(utimensat(AT_FDCWD, path, ts, AT_SYMLINK_NOFOLLOW));
	must(lstat(path, &st));
	t_sleep_ms(12);
	return st;
}

/* Which times of a file changed: "amc", with - for those that did not. */
static const char *changed(const char *path, const struct stat *old)
{
	static char what[4];
	struct stat st;

	if (lstat(path, &st))
		return "gone";
	what[0] = st.st_atim.tv_sec != OLD ? 'a' : '-';
	what[1] = st.st_mtim.tv_sec != OLD ? 'm' : '-';
	what[2] = memcmp(&st.st_ctim, &old->st_ctim, sizeof(st.st_ctim)) ? 'c' : '-';
	return what;
}

#define TIMES(path, call, want, what)                                                    \
	do {                                                                             \
		struct stat old_ = age(path);                                            \
		if ((call) < 0)                                                          \
			t_diag("%s: %s", #call, strerror(errno));                        \
		is_str(changed(path, &old_), want, what);                                \
	} while (0)

static int read_all(const char *path)
{
	return t_get(path) ? 0 : -1;
}

static int list(const char *path)
{
	DIR *d = opendir(path);

	while (d && readdir(d))
		;
	return d ? closedir(d) : -1;
}

static void t_times(void)
{
	char c;
	int fd, dir;

	must(t_put("f", "0123456789"));
	fd = must(open("f", O_RDWR));
	TIMES("f", read(fd, &c, 1), "a--", "read");
	TIMES("f", write(fd, "x", 1), "-mc", "write");
	TIMES("f", write(fd, "x", 0), "---", "write of nothing");
	TIMES("f", pwrite(fd, "x", 1, 0), "-mc", "pwrite");
	TIMES("f", ftruncate(fd, 5), "-mc", "ftruncate");
	TIMES("f", truncate("f", 7), "-mc", "truncate");
	TIMES("f", close(open("f", O_WRONLY | O_TRUNC)), "-mc", "O_TRUNC");
	TIMES("f", close(open("f", O_RDWR)), "---", "open");
	TIMES("f", chmod("f", 0600), "--c", "chmod");
	TIMES("f", fchmod(fd, 0644), "--c", "fchmod");
	TIMES("f", chown("f", (uid_t)-1, getegid()), "--c", "chown");
	TIMES("f", link("f", "g"), "--c", "link");
	TIMES("f", unlink("g"), "--c", "unlink of another link");
	TIMES("f", rename("f", "h") + rename("h", "f"), "--c", "rename");
	TIMES("f", access("f", R_OK), "---", "access");
	TIMES("f", lseek(fd, 0, SEEK_END), "---", "lseek");
	must(mkdir("d", 0755));
	dir = must(open("d", O_RDONLY));
	TIMES("d", list("d"), "a--", "readdir");
	TIMES("d", t_put("d/f", ""), "-mc", "a directory: create");
	TIMES("d", t_put("d/f", "x"), "---", "a directory: write to what is in it");
	TIMES("d", chmod("d/f", 0600), "---", "a directory: chmod of what is in it");
	TIMES("d", read_all("d/f"), "---", "a directory: read of what is in it");
	TIMES("d", link("d/f", "d/g"), "-mc", "a directory: link");
	TIMES("d", unlink("d/g"), "-mc", "a directory: unlink");
	TIMES("d", mkdir("d/s", 0755), "-mc", "a directory: mkdir");
	TIMES("d", rmdir("d/s"), "-mc", "a directory: rmdir");
	TIMES("d", symlink("x", "d/l"), "-mc", "a directory: symlink");
	TIMES("d", mkfifo("d/p", 0644), "-mc", "a directory: mkfifo");
	TIMES("d", rename("d/f", "d/g"), "-mc", "a directory: rename in it");
	TIMES("d", rename("d/g", "out"), "-mc", "a directory: rename out of it");
	TIMES("d", rename("out", "d/g"), "-mc", "a directory: rename into it");
	TIMES("d", rename("f", "d/g") + rename("d/g", "f"), "-mc",
	      "a directory: replaced");
	TIMES("d", fchmod(dir, 0755), "--c", "a directory: fchmod");
	TIMES("d/l", readlink("d/l", &c, 1), "a--", "readlink");
}

static int s_write(int argc, char **argv)
{
	int fd = open(argv[0], O_WRONLY);

	return fd < 0 || write(fd, "0123456789ab", 12) != 12 || argc != 1;
}

static int s_names(int argc, char **argv)
{
	(void)argv;
	return mkdir("dir/new", 0755) || link("file", "dir/link") ||
	       chmod("file", 0604) || argc;
}

static void t_other(void)
{
	struct stat st;

	must(t_put("file", "x"));
	must(mkdir("dir", 0755));
	is_long(t_size("file"), 1, "looked at first");
	is_long(t_nlink("dir"), 2, "and the directory");
	is_long(t_end(t_start(T_EXEC, "write", "file", NULL)), 0, "another writes");
	is_long(t_size("file"), 12, "the size is seen here");
	is_long(t_end(t_start(T_EXEC, "names", NULL)), 0, "another links and makes");
	must(stat("file", &st));
	is_long(st.st_nlink, 2, "the link count is seen here");
	is_long(st.st_mode & 07777, 0604, "and the mode");
	is_long(t_nlink("dir"), 3, "and the directory's count");
}

T_SUBS = { { "write", s_write }, { "names", s_names }, T_END };

T_SECTIONS = {
	{ "fields", t_fields }, { "nlink", t_nlinks }, { "statx", t_statx },
	{ "times", t_times },	{ "other", t_other },  T_END,
};
