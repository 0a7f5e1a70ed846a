/* SPDX-License-Identifier: MIT */
/* mkdir, rmdir, unlink, mknod: results and mistakes. */
#include "t.h"

static void t_mkdir(void)
{
	struct stat st;

	is_long(mkdir("d", 0750), 0, "mkdir");
	is_long(stat("d", &st), 0, "stat");
	is_long(st.st_mode, S_IFDIR | 0750, "its mode");
	is_long(st.st_nlink, 2, "its link count");
	is_long(st.st_uid, geteuid(), "its owner");
	is_errno(mkdir("d", 0755), EEXIST, "again");
	is_errno(mkdir("d/", 0755), EEXIST, "again with a slash");
	is_errno(mkdir(".", 0755), EEXIST, ".");
	is_errno(mkdir("..", 0755), EEXIST, "..");
	is_errno(mkdir("/", 0755), EEXIST, "/");
	is_errno(mkdir("d/.", 0755), EEXIST, "d/.");
	is_errno(mkdir("d/..", 0755), EEXIST, "d/..");
	is_errno(mkdir("new/.", 0755), ENOENT, "new/.");
	is_errno(mkdir("none/d", 0755), ENOENT, "below what does not exist");
	is_errno(mkdir("", 0755), ENOENT, "the empty name");
	must(t_put("f", ""));
	is_errno(mkdir("f", 0755), EEXIST, "where a file is");
	is_errno(mkdir("f/d", 0755), ENOTDIR, "below a file");
	is_long(mkdir("slash/", 0755), 0, "a new name with a slash");
	is_long(mkdir("slashes///", 0755), 0, "and with three");
	must(symlink("none", "dang"));
	is_errno(mkdir("dang", 0755), EEXIST, "where a dangling symlink is");
	is_errno(mkdir("dang/", 0755), EEXIST, "with a slash too");
	is_long(mkdir("d/e", 0755), 0, "a subdirectory");
	is_long(t_nlink("d"), 3, "counts in its parent");
	is_long(mkdir("st", 01777), 0, "with the sticky bit");
	is_long(t_mode("st"), 01755, "which umask leaves");
	umask(077);
	is_long(mkdir("um", 0777), 0, "under umask 077");
	is_long(t_mode("um"), 0700, "its mode");
	must(mkdir("sg", 0755));
	must(chmod("sg", 02755));
	must(mkdir("sg/sub", 0755));
	is_long(t_mode("sg/sub") & 02000, 02000,
		"set-group-id is inherited by directories");
}

static void t_rmdir(void)
{
	must(mkdir("d", 0755));
	must(mkdir("d/e", 0755));
	must(t_put("f", ""));
	must(symlink("d/e", "l"));
	is_errno(rmdir("d"), ENOTEMPTY, "not empty");
	is_errno(rmdir("f"), ENOTDIR, "a file");
	is_errno(rmdir("f/x"), ENOTDIR, "below a file");
	is_errno(rmdir("none"), ENOENT, "nothing");
	is_errno(rmdir(""), ENOENT, "the empty name");
	is_errno(rmdir("l"), ENOTDIR, "a symlink to a directory");
	is_errno(rmdir("l/"), ENOTDIR, "with a slash too");
	is_errno(rmdir("."), EINVAL, ".");
	is_errno(rmdir("d/e/."), EINVAL, "d/e/.");
	is_errno(rmdir(".."), ENOTEMPTY, "..");
	is_errno(rmdir("d/.."), ENOTEMPTY, "d/..");
	ok(rmdir("/") == -1 && errno == EBUSY, "/ is busy");
	is_long(rmdir("d/e/"), 0, "an empty one, with a slash");
	is_long(t_nlink("d"), 2, "its parent's link count");
	is_long(rmdir("d"), 0, "the parent is empty now");
	is_errno(rmdir("d"), ENOENT, "again");
	ok(!t_exists("d"), "is gone");
	must(mkdir("d", 0755));
	must(t_put("d/f", ""));
	is_errno(rmdir("d"), ENOTEMPTY, "with a file in it");
	must(unlink("d/f"));
	is_long(rmdir("d"), 0, "without it");
}

static void t_unlink(void)
{
	int fd;

	must(t_put("f", "x"));
	must(mkdir("d", 0755));
	must(symlink("f", "l"));
	must(symlink("none", "dang"));
	is_errno(unlink("d"), EISDIR, "a directory");
	is_errno(unlink("d/"), EISDIR, "a directory with a slash");
	is_errno(unlink("none"), ENOENT, "nothing");
	is_errno(unlink(""), ENOENT, "the empty name");
	is_errno(unlink("f/"), ENOTDIR, "a file with a slash");
	is_errno(unlink("f/x"), ENOTDIR, "below a file");
	is_errno(unlink("none/x"), ENOENT, "below nothing");
	is_errno(unlink("."), EISDIR, ".");
	is_errno(unlink("l/"), ENOTDIR, "a symlink with a slash");
	is_long(unlink("l"), 0, "a symlink");
	ok(t_exists("f"), "leaves its target");
	is_long(unlink("dang"), 0, "a dangling symlink");
	is_long(unlink("f"), 0, "a file");
	ok(!t_exists("f"), "is gone");
	is_errno(unlink("f"), ENOENT, "again");
	fd = must(open(".", O_RDONLY));
	must(mkdir("e", 0755));
	is_long(unlinkat(fd, "e", AT_REMOVEDIR), 0, "unlinkat AT_REMOVEDIR");
	is_errno(unlinkat(fd, "d", 0), EISDIR, "unlinkat of a directory");
	is_errno(unlinkat(fd, "d", 0x4000), EINVAL, "unlinkat with a bad flag");
	is_long(remove("d"), 0, "remove of a directory");
}

static void t_sticky(void)
{
	pid_t pid;

	if (geteuid() != 0) {
		t_skip("root", "sticky");
		return;
	}
	must(mkdir("tmp", 01777));
	must(chmod("tmp", 01777));
	must(t_put("tmp/root", ""));
	must(mkdir("tmp/rootd", 0777));
	must(mkdir("open", 0777));
	must(chmod("open", 0777));
	must(t_put("open/root", ""));
	pid = t_fork_nobody();
	if (pid == 0) {
		is_errno(unlink("tmp/root"), EPERM,
			 "another's file in a sticky directory");
		is_errno(rmdir("tmp/rootd"), EPERM, "another's directory");
		is_errno(rename("tmp/root", "tmp/x"), EPERM, "renamed");
		is_long(unlink("open/root"), 0, "another's file without the bit");
		must(t_put("tmp/mine", ""));
		is_errno(rename("tmp/mine", "tmp/root"), EPERM, "replacing another's");
		is_long(rename("tmp/mine", "tmp/mine2"), 0, "one's own, renamed");
		is_long(unlink("tmp/mine2"), 0, "one's own, removed");
		_exit(0);
	}
	is_long(t_end(pid), 0, "the unprivileged child ends");
	is_long(unlink("tmp/root"), 0, "root may");
}

static void t_perm(void)
{
	pid_t pid;

	must(mkdir("d", 0755));
	must(t_put("d/f", ""));
	must(mkdir("d/e", 0755));
	must(chmod("d", 0555));
	pid = t_fork_nobody();
	if (pid == 0) {
		is_errno(unlink("d/f"), EACCES, "unlink in 0555");
		is_errno(rmdir("d/e"), EACCES, "rmdir in 0555");
		is_errno(mkdir("d/n", 0755), EACCES, "mkdir in 0555");
		is_errno(mkdir("d/e", 0755), EEXIST, "mkdir of what is there");
		is_errno(symlink("x", "d/n"), EACCES, "symlink in 0555");
		is_errno(mkfifo("d/n", 0644), EACCES, "mkfifo in 0555");
		_exit(0);
	}
	is_long(t_end(pid), 0, "the unprivileged child ends");
	must(chmod("d", 0755));
}

static void t_mknod(void)
{
	struct stat st;

	is_long(mknod("reg", S_IFREG | 0640, 0), 0, "mknod of a file");
	is_long(stat("reg", &st), 0, "stat");
	is_long(st.st_mode, S_IFREG | 0640, "its mode");
	is_long(mknod("plain", 0600, 0), 0, "mknod without a type is a file");
	is_long(mknod("fifo", S_IFIFO | 0644, 0), 0, "mknod of a FIFO");
	ok(lstat("fifo", &st) == 0 && S_ISFIFO(st.st_mode), "it is one");
	is_errno(mknod("fifo", S_IFIFO | 0644, 0), EEXIST, "again");
	is_errno(mknod("x", S_IFDIR | 0755, 0), EPERM, "mknod of a directory");
	is_errno(mknod("x", S_IFLNK | 0755, 0), EINVAL, "mknod of a symlink");
	is_errno(mknod("none/x", S_IFREG | 0644, 0), ENOENT, "in no directory");
}

static void t_deep(void)
{
	char path[2048] = "";
	int good = 1;

	for (int i = 0; i < 100; i++) {
		strcat(path, i ? "/d" : "d");
		good &= mkdir(path, 0755) == 0;
	}
	ok(good, "100 directories in each other");
	strcat(path, "/f");
	is_long(t_put(path, "deep"), 0, "a file at the bottom");
	is_str(t_get(path), "deep", "reads back");
	must(unlink(path));
	for (int i = 0; i < 100; i++) {
		path[strlen(path) - 2] = 0;
		good &= rmdir(path) == 0;
	}
	ok(good, "removed from below");
	ok(!t_exists("d"), "all is gone");
}

T_SECTIONS = {
	{ "mkdir", t_mkdir },	{ "rmdir", t_rmdir },
	{ "unlink", t_unlink }, { "sticky", t_sticky },
	{ "perm", t_perm },	{ "mknod", t_mknod },
	{ "deep", t_deep },	T_END,
};
