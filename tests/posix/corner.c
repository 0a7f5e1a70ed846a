/* SPDX-License-Identifier: MIT */
/*
 * Corners: what each call says to odd paths, descriptors and values. Tables of calls that all
 * get the same argument, and single points from the man pages.
 */
#include "t.h"

#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/quota.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* --- every call that takes a path, with one path ------------------------------------------ */

static long c_open(const char *p)
{
	int fd = open(p, O_RDONLY | O_NONBLOCK);

	return fd < 0 ? fd : close(fd);
}
static long c_creat(const char *p)
{
	int fd = open(p, O_WRONLY | O_CREAT | O_NONBLOCK, 0644);

	return fd < 0 ? fd : close(fd);
}
static long c_excl(const char *p)
{
	int fd = open(p, O_WRONLY | O_CREAT | O_EXCL, 0644);

	return fd < 0 ? fd : close(fd);
}
static long c_directory(const char *p)
{
	int fd = open(p, O_RDONLY | O_DIRECTORY);

	return fd < 0 ? fd : close(fd);
}
static long c_nofollow(const char *p)
{
	int fd = open(p, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);

	return fd < 0 ? fd : close(fd);
}
static long c_path(const char *p)
{
	int fd = open(p, O_PATH);

	return fd < 0 ? fd : close(fd);
}
static long c_path_nofollow(const char *p)
{
	int fd = open(p, O_PATH | O_NOFOLLOW);

	return fd < 0 ? fd : close(fd);
}
static long c_tmpfile(const char *p)
{
	int fd = open(p, O_RDWR | O_TMPFILE, 0600);

	return fd < 0 ? fd : close(fd);
}
static long c_stat(const char *p)
{
	struct stat st;

	return stat(p, &st);
}
static long c_lstat(const char *p)
{
	struct stat st;

	return lstat(p, &st);
}
static long c_statx(const char *p)
{
	struct statx st;

	return statx(AT_FDCWD, p, AT_SYMLINK_NOFOLLOW, STATX_ALL, &st);
}
static long c_statfs(const char *p)
{
	struct statfs st;

	return statfs(p, &st);
}
static long c_access(const char *p)
{
	return access(p, F_OK);
}
static long c_readlink(const char *p)
{
	char buf[8];

	return readlink(p, buf, sizeof(buf)) < 0 ? -1 : 0;
}
static long c_chmod(const char *p)
{
	return chmod(p, 0755);
}
static long c_chown(const char *p)
{
	return chown(p, -1, -1);
}
static long c_lchown(const char *p)
{
	return lchown(p, -1, -1);
}
static long c_utimens(const char *p)
{
	return utimensat(AT_FDCWD, p, NULL, 0);
}
static long c_lutimens(const char *p)
{
	return utimensat(AT_FDCWD, p, NULL, AT_SYMLINK_NOFOLLOW);
}
static long c_truncate(const char *p)
{
	return truncate(p, 0);
}
static long c_mkdir(const char *p)
{
	return mkdir(p, 0755);
}
static long c_mkfifo(const char *p)
{
	return mkfifo(p, 0644);
}
static long c_mknod(const char *p)
{
	return mknod(p, S_IFREG | 0644, 0);
}
static long c_symlink(const char *p)
{
	return symlink("there", p);
}
static long c_unlink(const char *p)
{
	return unlink(p);
}
static long c_rmdir(const char *p)
{
	return rmdir(p);
}
static long c_link_from(const char *p)
{
	return link(p, "new");
}
static long c_link_follow(const char *p)
{
	return linkat(AT_FDCWD, p, AT_FDCWD, "new", AT_SYMLINK_FOLLOW);
}
static long c_link_to(const char *p)
{
	return link("file", p);
}
static long c_rename_from(const char *p)
{
	return rename(p, "new");
}
static long c_rename_file(const char *p)
{
	return rename("file", p);
}
static long c_rename_dir(const char *p)
{
	return rename("other", p);
}
static long c_noreplace(const char *p)
{
	return renameat2(AT_FDCWD, "file", AT_FDCWD, p, RENAME_NOREPLACE);
}
static long c_exchange(const char *p)
{
	return renameat2(AT_FDCWD, "file", AT_FDCWD, p, RENAME_EXCHANGE);
}
static long c_chdir(const char *p)
{
	long r = chdir(p);

	if (!r)
		must(chdir(t_top));
	return r;
}
static long c_getxattr(const char *p)
{
	char c;

	return getxattr(p, "user.none", &c, 1);
}
static long c_lgetxattr(const char *p)
{
	char c;

	return lgetxattr(p, "user.none", &c, 1);
}
static long c_listxattr(const char *p)
{
	return listxattr(p, NULL, 0) < 0 ? -1 : 0;
}
static long c_exec(const char *p)
{
	char *argv[] = { (char *)p, NULL };

	return execv(p, argv);
}

static const struct {
	const char *name;
	long (*fn)(const char *path);
} calls[] = {
	{ "open", c_open },
	{ "creat", c_creat },
	{ "open excl", c_excl },
	{ "open directory", c_directory },
	{ "open nofollow", c_nofollow },
	{ "open path", c_path },
	{ "open path nofollow", c_path_nofollow },
	{ "open tmpfile", c_tmpfile },
	{ "stat", c_stat },
	{ "lstat", c_lstat },
	{ "statx", c_statx },
	{ "statfs", c_statfs },
	{ "access", c_access },
	{ "readlink", c_readlink },
	{ "chmod", c_chmod },
	{ "chown", c_chown },
	{ "lchown", c_lchown },
	{ "utimensat", c_utimens },
	{ "utimensat nofollow", c_lutimens },
	{ "truncate", c_truncate },
	{ "mkdir", c_mkdir },
	{ "mkfifo", c_mkfifo },
	{ "mknod", c_mknod },
	{ "symlink", c_symlink },
	{ "unlink", c_unlink },
	{ "rmdir", c_rmdir },
	{ "link from", c_link_from },
	{ "link from followed", c_link_follow },
	{ "link to", c_link_to },
	{ "rename from", c_rename_from },
	{ "rename a file to", c_rename_file },
	{ "rename a directory to", c_rename_dir },
	{ "rename noreplace to", c_noreplace },
	{ "exchange with", c_exchange },
	{ "chdir", c_chdir },
	{ "getxattr", c_getxattr },
	{ "lgetxattr", c_lgetxattr },
	{ "listxattr", c_listxattr },
	{ "execve", c_exec },
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* What the calls find: each gets it anew. */
static void prepare(void)
{
	static int n;
	char dir[16];

	must(chdir(t_top));
	snprintf(dir, sizeof(dir), "c%d", n++);
	must(mkdir(dir, 0755));
	must(chdir(dir));
	must(t_put("file", "x"));
	must(mkdir("dir", 0755));
	must(mkdir("full", 0755));
	must(t_put("full/f", "x"));
	must(mkdir("other", 0755));
	must(symlink("file", "link"));
	must(symlink("dir", "dirlink"));
	must(symlink("none", "dangling"));
	must(symlink("loop", "loop"));
	must(mkfifo("fifo", 0644));
}

static char name_255[256], name_256[257], path_4095[4096], path_4096[4097];
#define NAME_255  name_255
#define NAME_256  name_256
#define PATH_4095 path_4095
#define PATH_4096 path_4096
#define BAD	  ((const char *)8)

/* "./" many times, then "file". */
static void long_path(char *to, size_t len)
{
	memset(to, '/', len);
	for (size_t i = len & 1; i + 4 < len; i += 2)
		to[i] = '.';
	memcpy(to + len - 4, "file", 5);
	if (to[0] == '/')
		to[0] = '.';
}

static void long_names(void)
{
	memset(name_255, 'n', 255);
	memset(name_256, 'n', 256);
	long_path(path_4095, 4095);
	long_path(path_4096, 4096);
}

/* What each call says, in the order of `calls`. */
static const struct {
	const char *what;
	const char *path;
	short says[CALLS];
} paths[] = {
	{ "an empty path",
	  "",
	  { ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT,
	  ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT,
	  ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT,
	  ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT } },
	{ "a name that is not there",
	  "none",
	  { ENOENT, 0, 0, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT,
	  ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, 0, 0, 0, 0,
	  ENOENT, ENOENT, ENOENT, ENOENT, 0, ENOENT, 0, 0, 0, ENOENT, ENOENT, ENOENT, ENOENT,
	  ENOENT, ENOENT } },
	{ "not there, with a slash",
	  "none/",
	  { ENOENT, EISDIR, EISDIR, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT,
	  ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, 0,
	  ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOTDIR, 0,
	  ENOTDIR, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT } },
	{ "below what is not there",
	  "none/x",
	  { ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT,
	  ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT,
	  ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT,
	  ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT } },
	{ "above what is not there",
	  "none/..",
	  { ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT,
	  ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT,
	  ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT,
	  ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT } },
	{ "a file with a slash",
	  "file/",
	  { ENOTDIR, EISDIR, EISDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, EEXIST, EEXIST, EEXIST, EEXIST, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, EEXIST, ENOTDIR, ENOTDIR, ENOTDIR, EEXIST, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR } },
	{ "below a file",
	  "file/x",
	  { ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR } },
	{ "a file's dot",
	  "file/.",
	  { ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR } },
	{ "above a file",
	  "file/..",
	  { ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR } },
	{ "a file",
	  "file",
	  { 0, 0, EEXIST, ENOTDIR, 0, 0, 0, ENOTDIR, 0, 0, 0, 0, 0, EINVAL, 0, 0, 0, 0, 0, 0,
	  EEXIST, EEXIST, EEXIST, EEXIST, 0, ENOTDIR, 0, 0, EEXIST, 0, 0, ENOTDIR, EEXIST, 0,
	  ENOTDIR, ENODATA, ENODATA, 0, EACCES } },
	{ "a directory",
	  "dir",
	  { 0, EISDIR, EEXIST, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EINVAL, 0, 0, 0, 0, 0, EISDIR,
	  EEXIST, EEXIST, EEXIST, EEXIST, EISDIR, 0, EPERM, EPERM, EEXIST, 0, EISDIR, 0,
	  EEXIST, 0, 0, ENODATA, ENODATA, 0, EACCES } },
	{ "a directory with a slash",
	  "dir/",
	  { 0, EISDIR, EISDIR, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EINVAL, 0, 0, 0, 0, 0, EISDIR,
	  EEXIST, EEXIST, EEXIST, EEXIST, EISDIR, 0, EPERM, EPERM, EEXIST, 0, ENOTDIR, 0,
	  EEXIST, 0, 0, ENODATA, ENODATA, 0, EACCES } },
	{ "a directory's dot",
	  "dir/.",
	  { 0, EISDIR, EEXIST, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EINVAL, 0, 0, 0, 0, 0, EISDIR,
	  EEXIST, EEXIST, EEXIST, EEXIST, EISDIR, EINVAL, EPERM, EPERM, EEXIST, EBUSY, EBUSY,
	  EBUSY, EEXIST, EBUSY, 0, ENODATA, ENODATA, 0, EACCES } },
	{ "above a directory",
	  "dir/..",
	  { 0, EISDIR, EEXIST, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EINVAL, 0, 0, 0, 0, 0, EISDIR,
	  EEXIST, EEXIST, EEXIST, EEXIST, EISDIR, ENOTEMPTY, EPERM, EPERM, EEXIST, EBUSY,
	  EBUSY, EBUSY, EEXIST, EBUSY, 0, ENODATA, ENODATA, 0, EACCES } },
	{ "new in a directory, with a slash",
	  "dir/new/",
	  { ENOENT, EISDIR, EISDIR, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT,
	  ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, 0,
	  ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOTDIR, 0,
	  ENOTDIR, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT } },
	{ "a full directory",
	  "full",
	  { 0, EISDIR, EEXIST, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EINVAL, 0, 0, 0, 0, 0, EISDIR,
	  EEXIST, EEXIST, EEXIST, EEXIST, EISDIR, ENOTEMPTY, EPERM, EPERM, EEXIST, 0, EISDIR,
	  ENOTEMPTY, EEXIST, 0, 0, ENODATA, ENODATA, 0, EACCES } },
	{ "a full directory with slashes",
	  "full//",
	  { 0, EISDIR, EISDIR, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EINVAL, 0, 0, 0, 0, 0, EISDIR,
	  EEXIST, EEXIST, EEXIST, EEXIST, EISDIR, ENOTEMPTY, EPERM, EPERM, EEXIST, 0, ENOTDIR,
	  ENOTEMPTY, EEXIST, 0, 0, ENODATA, ENODATA, 0, EACCES } },
	{ "a symlink",
	  "link",
	  { 0, 0, EEXIST, ENOTDIR, ELOOP, 0, 0, ENOTDIR, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	  EEXIST, EEXIST, EEXIST, EEXIST, 0, ENOTDIR, 0, 0, EEXIST, 0, 0, ENOTDIR, EEXIST, 0,
	  ENOTDIR, ENODATA, ENODATA, 0, EACCES } },
	{ "a symlink with a slash",
	  "link/",
	  { ENOTDIR, EISDIR, EISDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, EEXIST, EEXIST, EEXIST, EEXIST, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, EEXIST, ENOTDIR, ENOTDIR, ENOTDIR, EEXIST, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR } },
	{ "a symlink to a directory",
	  "dirlink",
	  { 0, EISDIR, EEXIST, 0, ELOOP, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EISDIR,
	  EEXIST, EEXIST, EEXIST, EEXIST, 0, ENOTDIR, 0, EPERM, EEXIST, 0, 0, ENOTDIR, EEXIST,
	  0, 0, ENODATA, ENODATA, 0, EACCES } },
	{ "a symlink to a directory with a slash",
	  "dirlink/",
	  { 0, EISDIR, EISDIR, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EINVAL, 0, 0, 0, 0, 0, EISDIR,
	  EEXIST, EEXIST, EEXIST, EEXIST, ENOTDIR, ENOTDIR, EPERM, EPERM, EEXIST, ENOTDIR,
	  ENOTDIR, ENOTDIR, EEXIST, ENOTDIR, 0, ENODATA, ENODATA, 0, EACCES } },
	{ "a symlink to a directory's dot",
	  "dirlink/.",
	  { 0, EISDIR, EEXIST, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EINVAL, 0, 0, 0, 0, 0, EISDIR,
	  EEXIST, EEXIST, EEXIST, EEXIST, EISDIR, EINVAL, EPERM, EPERM, EEXIST, EBUSY, EBUSY,
	  EBUSY, EEXIST, EBUSY, 0, ENODATA, ENODATA, 0, EACCES } },
	{ "a dangling symlink",
	  "dangling",
	  { ENOENT, 0, EEXIST, ENOENT, ELOOP, ENOENT, 0, ENOENT, ENOENT, 0, 0, ENOENT, ENOENT,
	  0, ENOENT, ENOENT, 0, ENOENT, 0, ENOENT, EEXIST, EEXIST, EEXIST, EEXIST, 0, ENOTDIR,
	  0, ENOENT, EEXIST, 0, 0, ENOTDIR, EEXIST, 0, ENOENT, ENOENT, ENODATA, ENOENT, ENOENT
	  } },
	{ "a dangling symlink with a slash",
	  "dangling/",
	  { ENOENT, EISDIR, EISDIR, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT,
	  ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT,
	  EEXIST, EEXIST, EEXIST, EEXIST, ENOTDIR, ENOTDIR, ENOENT, ENOENT, EEXIST, ENOTDIR,
	  ENOTDIR, ENOTDIR, EEXIST, ENOTDIR, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT } },
	{ "a symlink to itself",
	  "loop",
	  { ELOOP, ELOOP, EEXIST, ELOOP, ELOOP, ELOOP, 0, ELOOP, ELOOP, 0, 0, ELOOP, ELOOP, 0,
	  ELOOP, ELOOP, 0, ELOOP, 0, ELOOP, EEXIST, EEXIST, EEXIST, EEXIST, 0, ENOTDIR, 0,
	  ELOOP, EEXIST, 0, 0, ENOTDIR, EEXIST, 0, ELOOP, ELOOP, ENODATA, ELOOP, ELOOP } },
	{ "a symlink to itself with a slash",
	  "loop/",
	  { ELOOP, EISDIR, EISDIR, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP,
	  ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, EEXIST, EEXIST,
	  EEXIST, EEXIST, ENOTDIR, ENOTDIR, ELOOP, ELOOP, EEXIST, ENOTDIR, ENOTDIR, ENOTDIR,
	  EEXIST, ENOTDIR, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP } },
	{ "below a symlink to itself",
	  "loop/x",
	  { ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP,
	  ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP,
	  ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP, ELOOP,
	  ELOOP, ELOOP, ELOOP, ELOOP } },
	{ "a FIFO",
	  "fifo",
	  { 0, ENXIO, EEXIST, ENOTDIR, 0, 0, 0, ENOTDIR, 0, 0, 0, 0, 0, EINVAL, 0, 0, 0, 0, 0,
	  EINVAL, EEXIST, EEXIST, EEXIST, EEXIST, 0, ENOTDIR, 0, 0, EEXIST, 0, 0, ENOTDIR,
	  EEXIST, 0, ENOTDIR, ENODATA, ENODATA, 0, EACCES } },
	{ "a FIFO with a slash",
	  "fifo/",
	  { ENOTDIR, EISDIR, EISDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, EEXIST, EEXIST, EEXIST, EEXIST, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, EEXIST, ENOTDIR, ENOTDIR, ENOTDIR, EEXIST, ENOTDIR, ENOTDIR, ENOTDIR,
	  ENOTDIR, ENOTDIR, ENOTDIR } },
	{ "the working directory",
	  ".",
	  { 0, EISDIR, EEXIST, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EINVAL, 0, 0, 0, 0, 0, EISDIR,
	  EEXIST, EEXIST, EEXIST, EEXIST, EISDIR, EINVAL, EPERM, EPERM, EEXIST, EBUSY, EBUSY,
	  EBUSY, EEXIST, EBUSY, 0, ENODATA, ENODATA, 0, EACCES } },
	{ "a name of 255 bytes",
	  NAME_255,
	  { ENOENT, 0, 0, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT,
	  ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, ENOENT, 0, 0, 0, 0,
	  ENOENT, ENOENT, ENOENT, ENOENT, 0, ENOENT, 0, 0, 0, ENOENT, ENOENT, ENOENT, ENOENT,
	  ENOENT, ENOENT } },
	{ "a name of 256 bytes",
	  NAME_256,
	  { ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG,
	  ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG,
	  ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG,
	  ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG,
	  ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG,
	  ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG,
	  ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG } },
	{ "a path of 4095 bytes",
	  PATH_4095,
	  { ENOENT, 0, EEXIST, ENOTDIR, 0, 0, 0, ENOTDIR, 0, 0, 0, 0, 0, EINVAL, 0, 0, 0, 0,
	  0, 0, EEXIST, EEXIST, EEXIST, EEXIST, 0, ENOENT, ENOENT, ENOENT, 0, 0, 0, ENOTDIR,
	  EEXIST, 0, ENOTDIR, ENODATA, ENODATA, 0, EACCES } },
	{ "a path of 4096 bytes",
	  PATH_4096,
	  { ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG,
	  ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG,
	  ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG,
	  ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG,
	  ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG,
	  ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG,
	  ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG } },
	{ "a bad pointer",
	  BAD,
	  { EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT,
	  EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT,
	  EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT,
	  EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT } },
};

static void t_paths(void)
{
	long_names();
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		for (size_t k = 0; k < CALLS; k++) {
			int want = paths[i].says[k];
			long r;

			prepare();
			errno = 0;
			r = calls[k].fn(paths[i].path);
			if (want)
				t_errno(r, errno, want, "%s: %s", calls[k].name,
					paths[i].what);
			else
				is_long(r, 0, "%s: %s", calls[k].name, paths[i].what);
		}
}


/* --- openat2 ------------------------------------------------------------------------------- */

static long open2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how = { .flags = flags, .mode = mode, .resolve = resolve };
	long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));

	return fd < 0 ? fd : close((int)fd);
}

static void t_openat2(void)
{
	struct {
		struct open_how how;
		uint64_t more;
	} big = { .how = { .flags = O_RDONLY } };
	char deep[5000] = "";
	int dir, at, down, i;

	must(mkdir("d", 0755));
	must(t_put("d/f", "x"));
	must(symlink("f", "d/l"));
	must(symlink("../f", "d/up"));
	must(symlink("/d/f", "d/abs"));
	must(t_put("f", "x"));
	dir = must(open("d", O_RDONLY));
	is_errno(syscall(SYS_openat2, dir, "f", &big, 8), EINVAL, "too small a struct");
	is_long(syscall(SYS_openat2, dir, "f", &big, sizeof(big)) >= 0, 1, "a larger one");
	big.more = 1;
	is_errno(syscall(SYS_openat2, dir, "f", &big, sizeof(big)), E2BIG, "with more in it");
	is_errno(syscall(SYS_openat2, dir, "f", &big, 5000), E2BIG, "too large a struct");
	is_errno(open2(dir, "f", 1ULL << 40, 0, 0), EINVAL, "unknown flags");
	is_errno(open2(dir, "f", O_RDONLY, 0600, 0), EINVAL, "a mode for nothing");
	is_errno(open2(dir, "g", O_CREAT, 0200000, 0), EINVAL, "too much mode");
	is_errno(open2(dir, "f", O_RDONLY, 0, 1 << 20), EINVAL, "unknown resolve bits");
	is_errno(open2(dir, "f", O_PATH | O_RDWR, 0, 0), EINVAL, "O_PATH and more");
	is_errno(open2(dir, "f", 0, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT), EINVAL, "both");
	is_long(open2(dir, "f", 0, 0, RESOLVE_BENEATH), 0, "beneath");
	is_long(open2(dir, "l", 0, 0, RESOLVE_BENEATH), 0, "a symlink beneath");
	is_errno(open2(dir, "../f", 0, 0, RESOLVE_BENEATH), EXDEV, "above");
	is_errno(open2(dir, "up", 0, 0, RESOLVE_BENEATH), EXDEV, "a symlink that leads out");
	is_errno(open2(dir, "abs", 0, 0, RESOLVE_BENEATH), EXDEV, "an absolute symlink");
	is_errno(open2(dir, "/etc", 0, 0, RESOLVE_BENEATH), EXDEV, "an absolute path");
	is_long(open2(dir, "../f", 0, 0, RESOLVE_IN_ROOT), 0, "the root's parent is itself");
	is_long(open2(dir, "/f", 0, 0, RESOLVE_IN_ROOT), 0, "absolute in it");
	is_long(open2(dir, "up", 0, 0, RESOLVE_IN_ROOT), 0, "a symlink up in it");
	is_errno(open2(dir, "abs", 0, 0, RESOLVE_IN_ROOT), ENOENT, "a symlink to nowhere in it");
	must(mkdir("d/e", 0755));
	must(mkdir("d/e/g", 0755));
	must(symlink("../../f", "d/e/g/up"));
	must(symlink("/e/g", "d/back"));
	is_long(open2(dir, "e/g/../../f", 0, 0, RESOLVE_BENEATH), 0, "down and up again");
	is_long(open2(dir, "e/g/up", 0, 0, RESOLVE_BENEATH), 0, "up by a symlink");
	is_long(open2(dir, "e/g/../..", 0, 0, RESOLVE_BENEATH), 0, "to where it began");
	is_errno(open2(dir, "e/g/../../../f", 0, 0, RESOLVE_BENEATH), EXDEV, "one too many");
	is_errno(open2(dir, "e/g/../../../d/../f", 0, 0, RESOLVE_IN_ROOT), ENOENT, "no d in it");
	is_long(open2(dir, "e/g/../../../f", 0, 0, RESOLVE_IN_ROOT), 0, "in it, one too many");
	is_long(open2(dir, "e/g/../../back/../g/up", 0, 0, RESOLVE_IN_ROOT), 0,
		"an absolute symlink begins anew");
	at = dir;
	for (i = 0; i < 1200; i++) {
		must(mkdirat(at, "a", 0755));
		at = must(openat(down = at, "a", O_RDONLY | O_DIRECTORY));
		if (down != dir)
			close(down);
		strcat(deep, "a/");
	}
	is_long(open2(dir, deep, 0, 0, RESOLVE_BENEATH), 0, "far down");
	for (i = 0; i < 500; i++)
		strcat(deep, "../");
	is_long(open2(dir, deep, 0, 0, RESOLVE_BENEATH), 0, "and up again");
	for (i = 0; i < 1200; i++) {
		down = must(openat(at, "..", O_RDONLY | O_DIRECTORY));
		close(at);
		must(unlinkat(at = down, "a", AT_REMOVEDIR));
	}
	is_errno(open2(dir, "f/../f", 0, 0, RESOLVE_BENEATH), ENOTDIR, "up from a file");
	is_errno(open2(dir, "l", 0, 0, RESOLVE_NO_SYMLINKS), ELOOP, "no symlinks");
	is_long(open2(dir, "l", O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS), 0,
		"the last may be one, unfollowed");
}

/* --- statx, faccessat2, renameat2, unlinkat ------------------------------------------------ */

static void t_flags(void)
{
	struct statx sx;
	struct stat st;
	char c;
	int f, d;

	must(mkdir("d", 0755));
	must(t_put("d/f", "xyz"));
	must(symlink("none", "d/l"));
	d = must(open("d", O_RDONLY));
	f = must(open("d/f", O_RDONLY));
	is_errno(statx(d, "f", 0, 0x80000000u, &sx), EINVAL, "statx: a reserved mask");
	is_errno(statx(d, "f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, 0, &sx), EINVAL,
		 "statx: both ways of sync");
	is_errno(statx(d, "f", 1 << 20, 0, &sx), EINVAL, "statx: unknown flags");
	is_long(statx(f, "", AT_EMPTY_PATH, STATX_ALL, &sx), 0, "statx: by descriptor");
	is_long((long)sx.stx_size, 3, "its size");
	is_long((sx.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS, 1, "all is known");
	is_errno(statx(f, "", 0, STATX_ALL, &sx), ENOENT, "statx: an empty path");
	is_errno(statx(d, "f", 0, STATX_ALL, (void *)8), EFAULT, "statx: a bad buffer");
	is_errno(fstatat(d, "f", &st, 1 << 20), EINVAL, "fstatat: unknown flags");
	is_errno(fstatat(f, "f", &st, 0), ENOTDIR, "fstatat: below a file");
	is_errno(fstatat(77, "f", &st, 0), EBADF, "fstatat: no such descriptor");
	is_long(fstatat(77, "/", &st, 0), 0, "fstatat: an absolute path");
	is_long(fstatat(f, "", &st, AT_EMPTY_PATH), 0, "fstatat: the descriptor");
	is_errno(syscall(SYS_faccessat2, d, "f", 8, 0), EINVAL, "faccessat2: unknown mode");
	is_errno(syscall(SYS_faccessat2, d, "f", 0, 1), EINVAL, "faccessat2: unknown flags");
	is_long(syscall(SYS_faccessat2, f, "", R_OK, AT_EMPTY_PATH), 0, "faccessat2: by descriptor");
	is_errno(syscall(SYS_faccessat2, d, "l", 0, 0), ENOENT, "faccessat2: followed");
	is_long(syscall(SYS_faccessat2, d, "l", 0, AT_SYMLINK_NOFOLLOW), 0,
		"faccessat2: not followed");
	is_errno(renameat2(d, "f", d, "g", 1 << 10), EINVAL, "renameat2: unknown flags");
	is_errno(renameat2(d, "f", d, "g", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL,
		 "renameat2: both");
	is_errno(renameat2(d, "f", 77, "g", 0), EBADF, "renameat2: no such descriptor");
	is_errno(renameat2(d, "f", f, "g", 0), ENOTDIR, "renameat2: below a file");
	is_errno(renameat2(d, "none", d, "f", RENAME_NOREPLACE), ENOENT, "nothing onto something");
	is_errno(unlinkat(d, "f", 1), EINVAL, "unlinkat: unknown flags");
	is_errno(unlinkat(d, "f", AT_REMOVEDIR), ENOTDIR, "unlinkat: a file as a directory");
	is_errno(unlinkat(AT_FDCWD, "d", 0), EISDIR, "unlinkat: a directory as a file");
	is_errno(linkat(d, "f", d, "g", 1), EINVAL, "linkat: unknown flags");
	is_errno(linkat(d, "l", d, "g", AT_SYMLINK_FOLLOW), ENOENT, "linkat: to nothing");
	is_long(linkat(d, "l", d, "g", 0), 0, "linkat: the symlink itself");
	is_errno(fchownat(d, "f", -1, -1, 1), EINVAL, "fchownat: unknown flags");
	is_errno(utimensat(d, "f", NULL, 1), EINVAL, "utimensat: unknown flags");
	is_errno(readlinkat(d, "f", &c, 1), EINVAL, "readlinkat: a file");
	is_errno(readlinkat(d, "l", &c, 0), EINVAL, "readlinkat: no room");
	is_long(readlinkat(d, "l", &c, 1), 1, "readlinkat: cut");
	is_errno(open("d/f", O_CREAT | O_DIRECTORY, 0600), EINVAL, "open: make a directory");
	is_errno(open("d", O_WRONLY), EISDIR, "open: a directory for writing");
	is_errno(open("d", O_RDONLY | O_TRUNC), EISDIR, "open: a directory to truncate");
	is_errno(open("d", O_CREAT, 0600), EISDIR, "open: a directory to make");
	is_errno(open("d/l", O_NOFOLLOW), ELOOP, "open: a symlink");
	is_errno(open("d/l", O_CREAT | O_EXCL, 0600), EEXIST, "open: a symlink to make");
	is_errno(open("d", O_TMPFILE | O_RDONLY), EINVAL, "open: a temporary one to read");
	is_errno(truncate("d/f", -1), EINVAL, "truncate: negative");
	is_errno(ftruncate(f, 0), EINVAL, "ftruncate: open for reading");
	is_errno(ftruncate(d, 0), EINVAL, "ftruncate: a directory");
	is_errno(lseek(f, -1, SEEK_SET), EINVAL, "lseek: negative");
	is_errno(lseek(f, 0, 77), EINVAL, "lseek: unknown whence");
	is_errno(lseek(f, 3, SEEK_DATA), ENXIO, "lseek: no data there");
	is_errno(pread(f, &c, 1, -1), EINVAL, "pread: negative");
	is_errno(read(d, &c, 1), EISDIR, "read: a directory");
	is_errno(write(f, &c, 1), EBADF, "write: open for reading");
	is_errno(dup3(f, f, 0), EINVAL, "dup3: to itself");
	is_errno(fcntl(f, F_DUPFD, -1), EINVAL, "F_DUPFD: negative");
	is_errno(fcntl(f, 12345, 0), EINVAL, "fcntl: unknown");
	is_errno(ioctl(f, TIOCGWINSZ, &st), ENOTTY, "ioctl: no terminal");
}

/* --- descriptors of O_PATH ------------------------------------------------------------------ */

static void t_opath(void)
{
	char buf[64];
	struct stat st;
	struct statfs fs;
	struct timespec ts[2] = { { 5, 0 }, { 6, 0 } };
	int f, d, l;

	must(mkdir("d", 0755));
	must(t_put("d/f", "xyz"));
	must(symlink("f", "d/l"));
	f = must(open("d/f", O_PATH));
	d = must(open("d", O_PATH));
	l = must(open("d/l", O_PATH | O_NOFOLLOW));
	is_errno(read(f, buf, 1), EBADF, "read");
	is_errno(pread(f, buf, 1, 0), EBADF, "pread");
	is_errno(write(f, buf, 1), EBADF, "write");
	is_errno(lseek(f, 0, SEEK_SET), EBADF, "lseek");
	is_errno(ftruncate(f, 0), EBADF, "ftruncate");
	is_errno(fallocate(f, 0, 0, 1), EBADF, "fallocate");
	is_errno(fchmod(f, 0600), EBADF, "fchmod");
	is_errno(fchown(f, -1, -1), EBADF, "fchown");
	is_errno(futimens(f, NULL), EBADF, "futimens");
	is_errno(fsync(f), EBADF, "fsync");
	is_errno(flock(f, LOCK_SH), EBADF, "flock");
	is_errno(fgetxattr(f, "user.x", buf, 1), EBADF, "fgetxattr");
	is_errno(fsetxattr(f, "user.x", buf, 1, 0), EBADF, "fsetxattr");
	is_errno(flistxattr(f, NULL, 0), EBADF, "flistxattr");
	is_errno(ioctl(f, FIONREAD, buf), EBADF, "ioctl");
	is_errno(syscall(SYS_getdents64, d, buf, sizeof(buf)), EBADF, "getdents");
	is_errno((long)mmap(NULL, 1, PROT_READ, MAP_SHARED, f, 0), EBADF, "mmap");
	is_errno(fcntl(f, F_SETFL, O_NONBLOCK), EBADF, "F_SETFL");
	is_long(fcntl(f, F_GETFL), O_PATH, "F_GETFL");
	is_long(fcntl(f, F_SETFD, FD_CLOEXEC), 0, "F_SETFD");
	is_long(fcntl(f, F_GETFD), FD_CLOEXEC, "F_GETFD");
	is_long(close(must(dup(f))), 0, "dup");
	is_long(fstat(f, &st), 0, "fstat");
	is_long(st.st_size, 3, "its size");
	is_long(fstat(l, &st), 0, "fstat of a symlink");
	is_long(S_ISLNK(st.st_mode), 1, "it is one");
	is_long(fstatfs(f, &fs), 0, "fstatfs");
	is_long(readlinkat(l, "", buf, sizeof(buf)), 1, "readlinkat of itself");
	is_errno(readlinkat(f, "", buf, sizeof(buf)), ENOENT, "readlinkat of a file");
	is_errno(openat(l, "", O_RDONLY), ENOENT, "openat with an empty path");
	is_errno(openat(f, "x", O_RDONLY), ENOTDIR, "openat below a file");
	is_long(close(must(openat(d, "f", O_RDONLY))), 0, "openat below a directory");
	is_long(fchownat(f, "", -1, -1, AT_EMPTY_PATH), 0, "fchownat of itself");
	is_long(utimensat(f, "", ts, AT_EMPTY_PATH), 0, "utimensat of itself");
	is_long(faccessat(d, "f", R_OK, 0), 0, "faccessat below");
	is_long(mkdirat(d, "s", 0755), 0, "mkdirat below");
	is_long(unlinkat(d, "s", AT_REMOVEDIR), 0, "unlinkat below");
	is_long(symlinkat("x", d, "y"), 0, "symlinkat below");
	is_long(renameat(d, "y", d, "z"), 0, "renameat below");
	is_errno(fchdir(f), ENOTDIR, "fchdir to a file");
	is_long(fchdir(d), 0, "fchdir");
	is_long(t_exists("f"), 1, "it is there");
	snprintf(buf, sizeof(buf), "/proc/self/fd/%d", f);
	is_long(close(must(open(buf, O_RDWR))), 0, "opened anew");
	snprintf(buf, sizeof(buf), "/proc/self/fd/%d", l);
	is_errno(open(buf, O_RDONLY), ELOOP, "a symlink opened anew");
}

/* --- files without a name -------------------------------------------------------------------- */

static void t_tmpfile(void)
{
	char path[64];
	struct stat st;
	int f, x;

	must(mkdir("d", 0755));
	f = must(open("d", O_TMPFILE | O_RDWR, 0640));
	must(write(f, "abc", 3));
	must(fstat(f, &st));
	is_long((long)st.st_nlink, 0, "no link");
	is_long(st.st_mode & 07777, 0640, "its mode");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f);
	is_errno(linkat(AT_FDCWD, path, AT_FDCWD, "d", AT_SYMLINK_FOLLOW), EEXIST,
		 "a name that is taken");
	is_long(linkat(AT_FDCWD, path, AT_FDCWD, "d/n", AT_SYMLINK_FOLLOW), 0, "gets a name");
	is_str(t_get("d/n"), "abc", "it is there");
	must(fstat(f, &st));
	is_long((long)st.st_nlink, 1, "one link");
	x = must(open("d", O_TMPFILE | O_RDWR | O_EXCL, 0600));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", x);
	is_errno(linkat(AT_FDCWD, path, AT_FDCWD, "d/e", AT_SYMLINK_FOLLOW), ENOENT,
		 "one that may not get a name");
	must(unlink("d/n"));
	is_errno(linkat(AT_FDCWD, "/proc/self/fd/77", AT_FDCWD, "d/e", AT_SYMLINK_FOLLOW), ENOENT,
		 "no such descriptor");
	is_long(rmdir("d"), 0, "the directory is empty");
	is_errno(open("d", O_TMPFILE | O_RDWR, 0600), ENOENT, "no directory");
}

/* --- symlinks in a row ------------------------------------------------------------------------- */

static void t_chain(void)
{
	char a[16], b[16], deep[200] = "";
	int i;

	must(t_put("l0", "x"));
	for (i = 1; i <= 41; i++) {
		snprintf(a, sizeof(a), "l%d", i - 1);
		snprintf(b, sizeof(b), "l%d", i);
		must(symlink(a, b));
	}
	is_long(c_open("l40"), 0, "40 symlinks");
	is_errno(c_open("l41"), ELOOP, "41 symlinks");
	is_errno(c_stat("l41"), ELOOP, "stat of it");
	is_long(c_lstat("l41"), 0, "lstat of it");
	is_long(c_path_nofollow("l41"), 0, "itself");
	is_errno(c_creat("l41"), ELOOP, "to be made");
	must(symlink(".", "here"));
	for (i = 0; i < 39; i++)
		strcat(deep, "here/");
	strcat(deep, "l1");
	is_long(c_open(deep), 0, "40 of them along a path");
	is_errno(c_open(strcat(deep, "/")), ENOTDIR, "with a slash behind the file");
	memmove(deep + 5, deep, strlen(deep) + 1);
	memcpy(deep, "here/", 5);
	deep[strlen(deep) - 1] = 0;
	is_errno(c_open(deep), ELOOP, "41 along a path");
}

/* --- a working directory that is gone ------------------------------------------------------------ */

static void t_gone(void)
{
	char buf[PATH_MAX];
	struct stat st;
	DIR *d;
	int fd, n = 0;

	must(mkdir("d", 0755));
	must(chdir("d"));
	fd = must(open(".", O_RDONLY));
	must(rmdir("../d"));
	is_errno(syscall(SYS_getcwd, buf, sizeof(buf)), ENOENT, "getcwd");
	is_long(stat(".", &st), 0, "stat");
	is_long((long)st.st_nlink, 0, "no link");
	is_errno(mkdir("x", 0755), ENOENT, "mkdir in it");
	is_errno(open("x", O_CREAT | O_RDWR, 0600), ENOENT, "creat in it");
	is_errno(symlink("x", "y"), ENOENT, "symlink in it");
	is_errno(open("x", O_RDONLY), ENOENT, "open in it");
	is_errno(rename("../none", "x"), ENOENT, "rename into it");
	is_errno(rmdir("."), EINVAL, "rmdir of .");
	is_long(fchmod(fd, 0700), 0, "fchmod");
	is_long(close(must(open(".", O_RDONLY))), 0, "open .");
	d = fdopendir(fd);
	while (d && readdir(d))
		n++;
	is_long(n, 0, "readdir finds nothing");
	is_long(chdir(".."), 0, "chdir ..");
	is_errno(chdir("d"), ENOENT, "and not back");
}

/* --- times ------------------------------------------------------------------------------------------ */

static void t_times(void)
{
	struct timespec ts[2] = { { 1, 123456789 }, { -5, 999999999 } };
	struct stat st;
	pid_t pid;

	must(t_put("f", "x"));
	is_long(utimensat(AT_FDCWD, "f", ts, 0), 0, "set");
	must(stat("f", &st));
	is_long(st.st_atim.tv_sec, 1, "seconds");
	is_long(st.st_atim.tv_nsec, 123456789, "nanoseconds");
	is_long(st.st_mtim.tv_sec, -5, "before 1970");
	is_long(st.st_mtim.tv_nsec, 999999999, "nanoseconds before 1970");
	ts[0].tv_nsec = 1000000000;
	is_errno(utimensat(AT_FDCWD, "f", ts, 0), EINVAL, "too many nanoseconds");
	ts[0].tv_nsec = -1;
	is_errno(utimensat(AT_FDCWD, "f", ts, 0), EINVAL, "negative nanoseconds");
	ts[0] = ts[1] = (struct timespec){ 99, UTIME_OMIT };
	is_long(utimensat(AT_FDCWD, "none", ts, 0), 0, "both omitted: not even looked at");
	is_errno(utimensat(AT_FDCWD, "f", (void *)8, 0), EFAULT, "a bad pointer");
	must(chmod("f", 0666));
	must(chmod(".", 0777));
	if (geteuid() != 0) {
		t_skip("not root", "by others");
		return;
	}
	pid = t_fork_nobody();
	if (!pid) {
		struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };
		struct timespec one[2] = { { 0, UTIME_NOW }, { 0, UTIME_OMIT } };

		is_long(utimensat(AT_FDCWD, "f", NULL, 0), 0, "who may write may set to now");
		is_long(utimensat(AT_FDCWD, "f", now, 0), 0, "the same said otherwise");
		is_errno(utimensat(AT_FDCWD, "f", one, 0), EPERM, "one of them: the owner alone");
		ts[0] = ts[1] = (struct timespec){ 5, 5 };
		is_errno(utimensat(AT_FDCWD, "f", ts, 0), EPERM, "a time: the owner alone");
		is_errno(chmod("f", 0600), EPERM, "chmod: the owner alone");
		is_errno(chown("f", T_NOBODY, -1), EPERM, "chown: nobody");
		is_errno(open("f", O_RDONLY | O_NOATIME), EPERM, "O_NOATIME: the owner alone");
		_exit(0);
	}
	t_end(pid);
	must(chmod("f", 0600));
	pid = t_fork_nobody();
	if (!pid) {
		is_errno(utimensat(AT_FDCWD, "f", NULL, 0), EACCES, "who may not write may not");
		_exit(0);
	}
	t_end(pid);
}

/* --- rights -------------------------------------------------------------------------------------------- */

static void t_rights(void)
{
	gid_t groups[2] = { 4242, 4243 };
	struct stat st;
	pid_t pid;

	if (geteuid() != 0) {
		t_skip("not root", "rights");
		return;
	}
	must(t_put("own", "x"));
	must(chmod("own", 0600));
	must(mkdir("sg", 0777));
	must(chown("sg", 0, 4242));
	must(chmod("sg", 02777));
	must(mkdir("sg/d", 0755));
	must(t_put("sg/f", "x"));
	must(stat("sg/d", &st));
	is_long(st.st_gid, 4242, "a directory gets the group");
	is_long(st.st_mode & 07777, 02755, "and passes it on");
	must(stat("sg/f", &st));
	is_long(st.st_gid, 4242, "a file gets the group");
	must(mkdir("st", 0777));
	must(chmod("st", 01777));
	must(t_put("st/root", "x"));
	must(mkdir("st/dir", 0777));
	must(t_put("g", "x"));
	must(chown("g", 0, 4243));
	must(chmod("g", 0060));
	is_long(mknod("null", S_IFCHR | 0666, makedev(1, 3)), 0, "a device's name");
	must(stat("null", &st));
	is_long((long)st.st_rdev, (long)makedev(1, 3), "its number");
	pid = fork();
	if (!pid) {
		must(setgroups(2, groups));
		must(setresgid(T_NOBODY, T_NOBODY, T_NOBODY));
		must(seteuid(T_NOBODY));
		is_long(access("own", R_OK), 0, "access asks for the real user");
		is_errno(faccessat(AT_FDCWD, "own", R_OK, AT_EACCESS), EACCES,
			 "AT_EACCESS for the effective one");
		is_errno(open("own", O_RDONLY), EACCES, "open too");
		is_long(close(must(open("g", O_RDWR))), 0, "a supplementary group");
		is_errno(unlink("st/root"), EPERM, "a sticky directory: unlink");
		is_errno(rename("st/root", "st/x"), EPERM, "a sticky directory: rename");
		is_errno(rmdir("st/dir"), EPERM, "a sticky directory: rmdir");
		is_long(t_put("st/mine", "x"), 0, "a sticky directory: make");
		is_errno(rename("st/mine", "st/root"), EPERM, "a sticky directory: replace");
		is_long(rename("st/mine", "st/mine2"), 0, "a sticky directory: one's own");
		is_long(t_put("sg/n", "x"), 0, "in a set-gid directory");
		must(chmod("sg/n", 02755));
		is_long(t_mode("sg/n"), 02755, "a member may set the bit");
		is_errno(chown("sg/n", -1, 4999), EPERM, "not a group of one's own");
		is_long(chown("sg/n", -1, 4243), 0, "a group of one's own");
		is_long(t_mode("sg/n"), 0755, "which clears the bit");
		is_errno(mknod("st/null", S_IFCHR | 0666, makedev(1, 3)), EPERM, "mknod of a device");
		is_long(mknod("st/fifo", S_IFIFO | 0666, 0), 0, "mknod of a FIFO");
		is_errno(chmod("g", 0666), EPERM, "chmod by a group's member");
		_exit(0);
	}
	t_end(pid);
	umask(027);
	must(mkdir("um", 01777));
	is_long(t_mode("um"), 01750, "umask: mkdir");
	must(mknod("umf", S_IFREG | 0666, 0));
	is_long(t_mode("umf"), 0640, "umask: mknod");
	must(close(must(open("umo", O_CREAT | O_RDWR, 06777))));
	is_long(t_mode("umo"), 06750, "umask: open");
	must(symlink("x", "ums"));
	is_long(t_mode("ums"), 0777, "umask: not for symlinks");
}

/* --- attributes, sizes, other limits ---------------------------------------------------------------- */

static void t_limits(void)
{
	static char big[70000];
	struct iovec iov[2] = { { big, 1 }, { big, 1 } };
	struct statfs fs;
	char name[300];
	int f, d;

	must(t_put("f", "x"));
	must(symlink("f", "l"));
	must(mkfifo("p", 0600));
	f = must(open("f", O_RDWR));
	is_errno(setxattr("f", "x", "v", 1, 0), EOPNOTSUPP, "xattr: no prefix");
	is_errno(setxattr("f", "", "v", 1, 0), ERANGE, "xattr: no name");
	is_errno(setxattr("f", "user.x", "v", 1, 77), EINVAL, "xattr: unknown flags");
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[256] = 0;
	is_errno(setxattr("f", name, "v", 1, 0), ERANGE, "xattr: a name of 256 bytes");
	is_errno(setxattr("f", "user.x", big, 65537, 0), E2BIG, "xattr: a value of 65537 bytes");
	is_errno(getxattr("f", "user.x", big, 8), ENODATA, "xattr: not there");
	is_errno(removexattr("f", "user.x"), ENODATA, "xattr: remove what is not there");
	is_errno(setxattr("p", "user.x", "v", 1, 0), EPERM, "xattr: of a FIFO");
	is_errno(lsetxattr("l", "user.x", "v", 1, 0), EPERM, "xattr: of a symlink");
	memset(name, 'n', sizeof(name));
	is_errno(readv(f, iov, -1), EINVAL, "readv: negative");
	is_long(readv(f, iov, 0), 0, "readv: nothing");
	is_errno(readv(f, iov, 1025), EINVAL, "readv: too many");
	iov[1].iov_len = (size_t)-1;
	is_errno(readv(f, iov, 2), EINVAL, "readv: too long");
	is_errno(syscall(SYS_getdents64, must(open(".", O_RDONLY)), big, 1), EINVAL,
		 "getdents: no room");
	is_errno(syscall(SYS_getdents64, f, big, 100), ENOTDIR, "getdents: a file");
	memset(big, 's', 4096);
	big[4096] = 0;
	is_errno(symlink(big, "s"), ENAMETOOLONG, "symlink: 4096 bytes");
	big[4095] = 0;
	is_long(symlink(big, "s"), 0, "symlink: 4095 bytes");
	is_long(readlink("s", big, sizeof(big)), 4095, "readlink of it");
	is_errno(c_open("s"), ENAMETOOLONG, "followed: its name is too long");
	is_errno(symlink("", "e"), ENOENT, "symlink: empty");
	is_errno(flock(f, 77), EINVAL, "flock: unknown");
	is_errno(fallocate(f, 0, -1, 1), EINVAL, "fallocate: negative");
	is_errno(fallocate(f, 0, 0, 0), EINVAL, "fallocate: nothing");
	is_errno(fallocate(f, 0, LLONG_MAX, 1), EFBIG, "fallocate: beyond the end of all files");
	is_errno(ftruncate(f, -1), EINVAL, "ftruncate: negative");
	is_errno(posix_fallocate(-1, 0, 1) == EBADF ? (errno = EBADF, -1) : 0, EBADF,
		 "posix_fallocate: no descriptor");
	is_errno(rename("f", "f/x"), ENOTDIR, "rename: below a file");
	must(mkdir("d", 0755));
	must(mkdir("d/e", 0755));
	is_errno(rename("d", "d/e/f"), EINVAL, "rename: below itself");
	is_errno(rename("d/e", "d"), ENOTEMPTY, "rename: onto its parent");
	is_errno(renameat2(AT_FDCWD, "d", AT_FDCWD, "d/e", RENAME_EXCHANGE), EINVAL,
		 "exchange: with what is below");
	is_errno(link("d", "h"), EPERM, "link: a directory");
	is_errno(unlink("d"), EISDIR, "unlink: a directory");
	is_errno(rmdir("f"), ENOTDIR, "rmdir: a file");
	is_errno(rmdir("d/e/.."), ENOTEMPTY, "rmdir: above");
	must(statfs("d", &fs));
	is_long((long)fs.f_namelen, 255, "statfs: the longest name");
	ok(fs.f_bsize == 4096 && fs.f_blocks >= fs.f_bfree && fs.f_bfree >= fs.f_bavail,
	   "statfs: blocks");
	ok(fs.f_files >= fs.f_ffree && fs.f_ffree > 0, "statfs: inodes");
	d = must(open("d", O_RDONLY));
	is_errno((long)mmap(NULL, 1, PROT_READ, MAP_SHARED, d, 0), ENODEV, "mmap: a directory");
	is_errno((long)mmap(NULL, 0, PROT_READ, MAP_SHARED, f, 0), EINVAL, "mmap: nothing");
	is_errno((long)mmap(NULL, 1, PROT_READ, MAP_SHARED, f, 1), EINVAL, "mmap: not at a page");
	is_errno((long)mmap(NULL, 1, PROT_WRITE, MAP_SHARED, must(open("f", O_RDONLY)), 0), EACCES,
		 "mmap: to write what is open for reading");
	is_errno(syscall(SYS_quotactl, QCMD(Q_GETQUOTA, USRQUOTA), "f", 0, big), ENOTBLK,
		 "quotactl: not a device");
}

T_SECTIONS = { { "paths", t_paths },   { "openat2", t_openat2 }, { "flags", t_flags },
	       { "opath", t_opath },   { "tmpfile", t_tmpfile }, { "chain", t_chain },
	       { "gone", t_gone },     { "times", t_times },	 { "rights", t_rights },
	       { "limits", t_limits }, T_END };
