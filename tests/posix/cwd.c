/* SPDX-License-Identifier: MIT */
/* chdir, fchdir, getcwd, a removed current directory, and the *at calls. */
#include "t.h"

static const char *cwd(void)
{
	static char buf[PATH_MAX];
	size_t len = strlen(t_top);

	if (!getcwd(buf, sizeof(buf)))
		return strerror(errno);
	return strncmp(buf, t_top, len) == 0 ? buf + len : buf;
}

static void t_chdir(void)
{
	char small[4];
	int fd;

	must(mkdir("a", 0755));
	must(mkdir("a/b", 0755));
	must(t_put("f", "top"));
	must(t_put("a/b/g", "deep"));
	must(symlink("a/b", "l"));
	is_str(cwd(), "", "at the top");
	is_long(chdir("a"), 0, "chdir");
	is_str(cwd(), "/a", "getcwd");
	is_str(t_get("../f"), "top", "relative to it");
	is_long(chdir("b"), 0, "deeper");
	is_str(cwd(), "/a/b", "getcwd, deeper");
	is_long(chdir(".."), 0, "..");
	is_str(cwd(), "/a", "getcwd, up");
	is_long(chdir("."), 0, ".");
	is_long(chdir(t_top), 0, "an absolute path");
	is_str(cwd(), "", "getcwd, top");
	is_long(chdir("l"), 0, "a symlink");
	is_str(cwd(), "/a/b", "is its target");
	is_long(chdir("../../a//./b/"), 0, "a winding path");
	is_str(cwd(), "/a/b", "is made plain");
	must(chdir(t_top));
	is_errno(chdir("f"), ENOTDIR, "a file");
	is_errno(chdir("none"), ENOENT, "nothing");
	is_errno(chdir(""), ENOENT, "the empty name");
	is_errno(chdir("f/.."), ENOTDIR, ".. of a file");
	is_str(cwd(), "", "failures change nothing");
	fd = must(open("a/b", O_RDONLY));
	is_long(fchdir(fd), 0, "fchdir");
	is_str(cwd(), "/a/b", "getcwd, fchdir");
	is_str(t_get("g"), "deep", "a file there");
	is_errno(fchdir(must(open("g", O_RDONLY))), ENOTDIR, "fchdir to a file");
	is_errno(fchdir(99), EBADF, "fchdir to no descriptor");
	must(chdir(t_top));
	fd = is_ok(open("a", O_PATH | O_DIRECTORY), "O_PATH of a directory");
	is_long(fchdir(fd), 0, "fchdir by O_PATH");
	must(chdir(t_top));
	ok(getcwd(small, sizeof(small)) == NULL && errno == ERANGE, "getcwd: too small");
	ok(getcwd(small, 0) == NULL && errno == EINVAL, "getcwd: no size");
	is_long(chdir("/"), 0, "to /");
	is_str(cwd(), "/", "getcwd, /");
	is_long(access("usr", F_OK), 0, "what is outside is there");
	must(chdir("/usr/bin"));
	is_str(cwd(), "/usr/bin", "getcwd, outside");
	is_long(chdir(t_top), 0, "and back");
	is_str(t_get("f"), "top", "a file here");
}

static void t_moved(void)
{
	struct stat st;

	must(mkdir("a", 0755));
	must(mkdir("a/b", 0755));
	must(mkdir("a/b/c", 0755));
	must(chdir("a/b/c"));
	must(rename("../../../a/b", "../../../z"));
	is_str(cwd(), "/z/c", "getcwd after a parent was moved");
	is_long(chdir(".."), 0, "..");
	is_str(cwd(), "/z", "is the moved one");
	is_long(stat("../a", &st), 0, "its parent is the new one");
	must(chdir("c"));
	must(rename("../c", "../d"));
	is_str(cwd(), "/z/d", "getcwd after it was renamed itself");
}

static void t_deep(void)
{
	static char buf[3 * PATH_MAX];
	char name[201];
	int i;

	memset(name, 'n', 200);
	name[200] = '\0';
	for (i = 0; i < 15; i++) {
		must(mkdir(name, 0755));
		must(chdir(name));
	}
	ok(syscall(SYS_getcwd, buf, sizeof(buf)) > 15 * 201, "getcwd of a long path");
	is_errno(syscall(SYS_getcwd, buf, 200UL), ERANGE, "no room");
	for (i = 0; i < 15; i++) {
		must(mkdir(name, 0755));
		must(chdir(name));
	}
	is_errno(syscall(SYS_getcwd, buf, sizeof(buf)), ENAMETOOLONG, "longer than PATH_MAX");
	is_errno(syscall(SYS_getcwd, buf, 200UL), ENAMETOOLONG, "and no room");
	is_errno(readlink("/proc/self/cwd", buf, sizeof(buf)), ENAMETOOLONG, "as a link");
	for (i = 0; i < 30; i++) {
		must(chdir(".."));
		must(rmdir(name));
	}
}

static void t_removed(void)
{
	char buf[PATH_MAX];
	struct stat st;
	int fd;

	must(mkdir("d", 0755));
	must(chdir("d"));
	fd = must(open(".", O_RDONLY));
	is_long(rmdir("../d"), 0, "rmdir of the current directory");
	ok(getcwd(buf, sizeof(buf)) == NULL && errno == ENOENT, "getcwd");
	is_errno(open("f", O_WRONLY | O_CREAT, 0644), ENOENT, "create");
	is_errno(mkdir("x", 0755), ENOENT, "mkdir");
	is_errno(symlink("x", "y"), ENOENT, "symlink");
	is_errno(open("f", O_RDONLY), ENOENT, "open");
	is_long(stat(".", &st), 0, "stat of .");
	is_long(st.st_nlink, 0, "its link count");
	is_long(fstat(fd, &st), 0, "fstat");
	is_ok(open(".", O_RDONLY), "open of .");
	is_errno(unlink("f"), ENOENT, "unlink");
	is_errno(rmdir("."), EINVAL, "rmdir of .");
	is_errno(mkdirat(fd, "x", 0755), ENOENT, "mkdirat by a descriptor");
	is_long(chdir(t_top), 0, "leaving it");
	is_errno(openat(fd, "f", O_WRONLY | O_CREAT, 0644), ENOENT,
		 "openat by a descriptor");
	must(mkdir("d", 0755));
	is_errno(openat(fd, "f", O_WRONLY | O_CREAT, 0644), ENOENT,
		 "a new directory of that name is another one");
}

static void t_at(void)
{
	struct stat st;
	char buf[16] = "", path[PATH_MAX + 16];
	int d, f;

	must(mkdir("d", 0755));
	must(mkdir("e", 0755));
	must(t_put("f", "top"));
	d = must(open("d", O_RDONLY));
	f = must(open("f", O_RDONLY));
	is_ok(openat(d, "g", O_WRONLY | O_CREAT, 0644), "openat creates");
	ok(t_exists("d/g"), "in the directory");
	is_long(mkdirat(d, "s", 0755), 0, "mkdirat");
	is_long(symlinkat("g", d, "l"), 0, "symlinkat");
	is_long(readlinkat(d, "l", buf, 10), 1, "readlinkat");
	is_str(buf, "g", "the target");
	is_long(linkat(d, "g", d, "h", 0), 0, "linkat");
	is_long(fstatat(d, "h", &st, 0), 0, "fstatat");
	is_long(st.st_nlink, 2, "the link count");
	is_long(renameat(d, "h", AT_FDCWD, "e/h"), 0, "renameat");
	ok(t_exists("e/h"), "is there");
	is_long(fchmodat(d, "g", 0600, 0), 0, "fchmodat");
	is_long(t_mode("d/g"), 0600, "the mode");
	is_long(faccessat(d, "g", R_OK, 0), 0, "faccessat");
	is_long(mkfifoat(d, "p", 0644), 0, "mkfifoat");
	is_long(utimensat(d, "g", NULL, 0), 0, "utimensat");
	is_long(fchownat(d, "g", (uid_t)-1, (gid_t)-1, 0), 0, "fchownat");
	is_long(unlinkat(d, "p", 0), 0, "unlinkat");
	is_long(unlinkat(d, "s", AT_REMOVEDIR), 0, "unlinkat AT_REMOVEDIR");
	is_ok(openat(d, "../f", O_RDONLY), "openat ..");
	is_errno(openat(f, "x", O_RDONLY), ENOTDIR, "openat below a file");
	is_errno(openat(99, "x", O_RDONLY), EBADF, "openat below no descriptor");
	snprintf(path, sizeof(path), "%s/f", t_top);
	is_ok(openat(99, path, O_RDONLY), "an absolute path needs none");
	is_ok(openat(d, path, O_RDONLY), "and takes no notice of one");
	must(rename("d", "moved"));
	is_ok(openat(d, "g", O_RDONLY), "openat after the directory was moved");
	is_errno(openat(d, "", O_RDONLY), ENOENT, "the empty name");
	is_ok(openat(d, ".", O_RDONLY), ".");
	d = must(open("/usr", O_RDONLY));
	is_long(faccessat(d, "bin", F_OK, 0), 0, "a directory outside");
	is_errno(openat(d, "f", O_RDONLY), ENOENT, "the file is not there");
	snprintf(path, sizeof(path), "..%s/f", t_top);
	is_ok(openat(d, path, O_RDONLY), "from outside by .. to here");
}

static int s_where(int argc, char **argv)
{
	char buf[PATH_MAX];

	if (!getcwd(buf, sizeof(buf)) || strcmp(buf, argv[0]) || !t_exists("mark"))
		return argc;
	return chdir("..") != 0;
}

static void t_inherit(void)
{
	char want[PATH_MAX + 8];

	must(mkdir("w", 0755));
	must(chdir("w"));
	must(t_put("mark", ""));
	snprintf(want, sizeof(want), "%s/w", t_top);
	is_long(t_end(t_start(T_FORK, "where", want, NULL)), 0, "a fork has it");
	is_long(t_end(t_start(T_EXEC, "where", want, NULL)), 0, "and an exec");
	is_str(cwd(), "/w", "their chdir does not change ours");
}

/* What one stands in stays usable when a directory above it is closed to all. */
static void t_perm(void)
{
	int up[2], down[2];
	pid_t pid;
	char c;

	must(mkdir("a", 0755));
	must(mkdir("a/b", 0755));
	must(t_put("a/b/f", "x"));
	must(pipe(up));
	must(pipe(down));
	pid = t_fork_nobody();
	if (pid == 0) {
		int fd = must(open("a/b", O_RDONLY));

		must(chdir("a/b"));
		is_long(access("f", R_OK), 0, "before");
		must(write(up[1], "x", 1));
		must(read(down[0], &c, 1));
		is_long(access("f", R_OK), 0,
			"below a directory that was closed meanwhile");
		is_ok(openat(fd, "f", O_RDONLY), "by a descriptor too");
		is_errno(chdir(".."), EACCES, "but one cannot go up to it");
		is_errno(access("../b/f", R_OK), EACCES, "nor look through it");
		_exit(0);
	}
	must(read(up[0], &c, 1));
	must(chmod("a", 0));
	must(write(down[1], "x", 1));
	is_long(t_end(pid), 0, "the unprivileged child ends");
	must(chmod("a", 0755));
}

T_SUBS = { { "where", s_where }, T_END };

T_SECTIONS = {
	{ "chdir", t_chdir },
	{ "moved", t_moved },
	{ "deep", t_deep },
	{ "removed", t_removed },
	{ "at", t_at },
	{ "inherit", t_inherit },
	{ "perm", t_perm },
	T_END,
};
