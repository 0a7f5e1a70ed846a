/* SPDX-License-Identifier: MIT */
/* rename, renameat2: every combination of what the two names are, and mistakes. */
#include "t.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE	 2
#define RENAME_WHITEOUT	 4
#endif

/* What a name may be. */
enum { NONE, FILE_, EMPTYDIR, FULLDIR, LINK_, DANGLING, FIFO, KINDS };

static const char *const kinds[] = { "nothing",
				     "a file",
				     "an empty directory",
				     "a full directory",
				     "a symlink",
				     "a dangling symlink",
				     "a FIFO" };

static void make(const char *name, int kind)
{
	char inner[32];

	snprintf(inner, sizeof(inner), "%s/in", name);
	switch (kind) {
	case FILE_:
		must(t_put(name, name));
		break;
	case FULLDIR:
	case EMPTYDIR:
		must(mkdir(name, 0755));
		if (kind == FULLDIR)
			must(t_put(inner, name));
		break;
	case LINK_:
		must(symlink("some", name));
		break;
	case DANGLING:
		must(symlink("nowhere", name));
		break;
	case FIFO:
		must(mkfifo(name, 0644));
		break;
	default:
		break;
	}
}

static void clear(const char *name)
{
	char inner[32];

	snprintf(inner, sizeof(inner), "%s/in", name);
	if (unlink(inner) == -1 && unlink(name) == 0)
		return;
	rmdir(name);
	unlink(name);
}

static int wanted(int from, int to)
{
	int from_dir = from == EMPTYDIR || from == FULLDIR;
	int to_dir = to == EMPTYDIR || to == FULLDIR;

	if (from == NONE)
		return ENOENT;
	if (to == NONE)
		return 0;
	if (from_dir && !to_dir)
		return ENOTDIR;
	if (!from_dir && to_dir)
		return EISDIR;
	return to == FULLDIR ? ENOTEMPTY : 0;
}

static void combos(const char *a, const char *b)
{
	must(t_put("some", "x"));
	for (int from = NONE; from < KINDS; from++) {
		for (int to = NONE; to < KINDS; to++) {
			struct stat st = { 0 };
			int err = wanted(from, to), got;
			ino_t ino;

			make(a, from);
			make(b, to);
			lstat(a, &st);
			ino = st.st_ino;
			got = rename(a, b) ? errno : 0;
			if (got == EEXIST)
				got = ENOTEMPTY;
			is_long(got, err, "%s to %s", kinds[from], kinds[to]);
			if (err == 0)
				ok(!t_exists(a) && lstat(b, &st) == 0 && st.st_ino == ino,
				   "%s to %s: moved", kinds[from], kinds[to]);
			else
				ok(t_exists(a) == (from != NONE) &&
					   t_exists(b) == (to != NONE),
				   "%s to %s: both stay", kinds[from], kinds[to]);
			clear(a);
			clear(b);
		}
	}
}

static void t_same_dir(void)
{
	combos("a", "b");
}

static void t_other_dir(void)
{
	must(mkdir("d", 0755));
	must(mkdir("e", 0755));
	must(symlink("../some", "d/some"));
	must(symlink("../some", "e/some"));
	combos("d/a", "e/b");
}

static void t_paths(void)
{
	must(mkdir("d", 0755));
	must(mkdir("d/sub", 0755));
	must(t_put("f", "text"));
	must(t_put("g", "other"));
	is_errno(rename("d", "d/sub/x"), EINVAL, "a directory into itself");
	is_errno(rename("d", "d/x"), EINVAL, "one level below");
	is_errno(rename("d/sub", "d"), ENOTEMPTY, "onto its own parent");
	is_long(rename("d", "d"), 0, "onto itself");
	is_long(rename("f", "f"), 0, "a file onto itself");
	is_long(rename("d/", "d2/"), 0, "a directory with slashes");
	is_long(rename("d2", "d///"), 0, "and back");
	is_errno(rename("f/", "x"), ENOTDIR, "a file with a slash");
	is_errno(rename("f", "x/"), ENOTDIR, "to a name with a slash");
	is_errno(rename("none/", "x"), ENOENT, "nothing with a slash");
	is_errno(rename("f", "none/x"), ENOENT, "into no directory");
	is_errno(rename("f", "g/x"), ENOTDIR, "below a file");
	is_errno(rename("g/x", "f"), ENOTDIR, "from below a file");
	is_errno(rename("", "x"), ENOENT, "from the empty name");
	is_errno(rename("f", ""), ENOENT, "to the empty name");
	is_errno(rename(".", "x"), EBUSY, "from .");
	is_errno(rename("d/.", "x"), EBUSY, "from d/.");
	is_errno(rename("..", "x"), EBUSY, "from ..");
	is_errno(rename("f", "."), EBUSY, "to .");
	is_errno(rename("f", "d/.."), EBUSY, "to d/..");
	is_errno(rename("d", "d/sub/.."), EBUSY, "to d/sub/..");
	is_long(rename("f", "./d/../h"), 0, "by a winding path");
	is_str(t_get("h"), "text", "is there");
	ok(t_same("d", "d/."), "d is as it was");
}

static void t_content(void)
{
	int fd, old;
	char buf[10] = "";

	must(t_put("f", "new"));
	must(t_put("g", "old"));
	fd = must(open("f", O_RDWR));
	old = must(open("g", O_RDONLY));
	is_long(rename("f", "g"), 0, "replace a file that is open");
	is_str(t_get("g"), "new", "the name has the new one");
	is_long(read(old, buf, 9), 3, "the old one is read");
	is_str(buf, "old", "its text");
	is_long(pwrite(fd, "N", 1, 0), 1, "write by the moved one's descriptor");
	is_str(t_get("g"), "New", "is seen by the name");
	struct stat st;
	is_long(fstat(old, &st), 0, "fstat of the replaced one");
	is_long(st.st_nlink, 0, "its link count is 0");
	is_long(fstat(fd, &st), 0, "fstat of the moved one");
	is_long(st.st_nlink, 1, "its link count is 1");
}

static void t_hardlinks(void)
{
	must(t_put("f", "text"));
	must(link("f", "g"));
	must(mkdir("d", 0755));
	must(link("f", "d/h"));
	is_long(rename("f", "g"), 0, "one link to another of the same file");
	ok(t_exists("f") && t_exists("g"), "does nothing: both stay");
	is_long(t_nlink("f"), 3, "the link count stays");
	is_long(rename("f", "d/h"), 0, "across directories");
	ok(t_exists("f") && t_exists("d/h"), "does nothing too");
	is_long(t_nlink("f"), 3, "and leaves the count");
	must(t_put("x", "x"));
	is_long(rename("x", "g"), 0, "replacing one of several links");
	is_long(t_nlink("f"), 2, "takes one off the count");
	is_str(t_get("f"), "text", "and leaves the rest");
	is_long(rename("f", "y"), 0, "renaming one of two links");
	is_long(t_nlink("d/h"), 2, "leaves the count");
}

static void t_dirs(void)
{
	struct stat st, st2;
	int fd;

	must(mkdir("a", 0755));
	must(mkdir("a/b", 0755));
	must(mkdir("a/b/c", 0755));
	must(t_put("a/b/c/f", "deep"));
	must(mkdir("z", 0755));
	must(stat("a/b", &st));
	is_long(rename("a/b", "z/b"), 0, "a directory to another parent");
	is_str(t_get("z/b/c/f"), "deep", "with all that is in it");
	is_errno(open("a/b/c/f", O_RDONLY), ENOENT, "the old path is gone");
	is_long(t_nlink("a"), 2, "the old parent's link count");
	is_long(t_nlink("z"), 3, "the new parent's");
	must(stat("z/b/..", &st2));
	must(stat("z", &st));
	is_long(st2.st_ino, st.st_ino, ".. is the new parent");
	must(mkdir("e", 0755));
	is_long(rename("z/b", "e"), 0, "onto an empty directory");
	is_str(t_get("e/c/f"), "deep", "which it replaces");
	is_long(t_nlink("z"), 2, "the parent's link count");
	fd = must(open("e/c", O_RDONLY));
	must(fchdir(fd));
	is_long(rename("../../e", "../../moved"), 0, "a parent of the current directory");
	is_str(t_get("f"), "deep", "which stays where one is");
	is_str(t_get("../../moved/c/f"), "deep", "and can be walked from");
	must(fchdir(must(open("../..", O_RDONLY))));
	must(mkdir("old", 0755));
	must(mkdir("new", 0755));
	fd = must(open("new", O_RDONLY));
	is_long(rename("old", "new"), 0, "onto an empty directory that is open");
	is_errno(openat(fd, "f", O_WRONLY | O_CREAT, 0644), ENOENT,
		 "nothing can be created in the replaced one");
	must(fstat(fd, &st));
	is_long(st.st_nlink, 0, "whose link count is 0");
}

static long renameat2_(const char *from, const char *to, unsigned flags)
{
	return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void t_flags(void)
{
	must(t_put("f", "f"));
	must(t_put("g", "g"));
	must(mkdir("d", 0755));
	must(mkdir("d/sub", 0755));
	is_errno(renameat2_("f", "g", RENAME_NOREPLACE), EEXIST, "NOREPLACE on a file");
	is_errno(renameat2_("f", "d", RENAME_NOREPLACE), EEXIST,
		 "NOREPLACE on a directory");
	is_errno(renameat2_("f", "f", RENAME_NOREPLACE), EEXIST, "NOREPLACE on itself");
	is_long(renameat2_("f", "h", RENAME_NOREPLACE), 0, "NOREPLACE to a new name");
	is_str(t_get("h"), "f", "moves");
	is_long(renameat2_("g", "h", RENAME_EXCHANGE), 0, "EXCHANGE of two files");
	is_str(t_get("g"), "f", "the first");
	is_str(t_get("h"), "g", "the second");
	is_errno(renameat2_("g", "none", RENAME_EXCHANGE), ENOENT,
		 "EXCHANGE with nothing");
	is_long(renameat2_("g", "d", RENAME_EXCHANGE), 0,
		"EXCHANGE of file and directory");
	is_str(t_get("d"), "f", "the file");
	ok(t_exists("g/sub"), "the directory");
	is_errno(renameat2_("g", "g/sub", RENAME_EXCHANGE), EINVAL,
		 "EXCHANGE with what is below");
	is_errno(renameat2_("g/sub", "g", RENAME_EXCHANGE), EINVAL,
		 "and the other way round");
	is_long(renameat2_("h", "g/sub", RENAME_EXCHANGE), 0,
		"EXCHANGE across directories");
	is_long(t_nlink("g"), 2, "the parent's link count");
	is_str(t_get("g/sub"), "g", "the file");
	is_errno(renameat2_("h", "d", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL,
		 "EXCHANGE and NOREPLACE");
	is_errno(renameat2_("h", "d", 0x80), EINVAL, "an unknown flag");
}

/* Is it what RENAME_WHITEOUT leaves behind? */
static int is_white(const char *name)
{
	struct stat st;

	return lstat(name, &st) == 0 && st.st_mode == S_IFCHR && st.st_rdev == 0 &&
	       st.st_nlink == 1 && st.st_size == 0 && st.st_uid == geteuid();
}

static int s_mkdir(int argc, char **argv)
{
	return argc != 1 || mkdir(argv[0], 0777) != 0;
}

/* a and b are two directories, or one. */
static void whiten(const char *what, const char *a, const char *b)
{
	char f[64], g[64], d[64], e[64], sub[80];
	long links;

	snprintf(f, sizeof(f), "%s/f", a);
	snprintf(g, sizeof(g), "%s/g", b);
	snprintf(d, sizeof(d), "%s/d", a);
	snprintf(e, sizeof(e), "%s/e", b);
	snprintf(sub, sizeof(sub), "%s/sub", e);
	must(t_put(f, "f"));
	is_long(renameat2_(f, g, RENAME_WHITEOUT), 0, "%s: a file", what);
	ok(is_white(f), "%s: what it leaves", what);
	is_str(t_get(g), "f", "%s: the file", what);
	is_long(rename(g, f), 0, "%s: rename over that", what);
	is_str(t_get(f), "f", "%s: the file is back", what);
	must(t_put(g, "g"));
	is_errno(renameat2_(f, g, RENAME_WHITEOUT | RENAME_NOREPLACE), EEXIST,
		 "%s: NOREPLACE", what);
	is_long(renameat2_(f, g, RENAME_WHITEOUT), 0, "%s: over a file", what);
	ok(is_white(f), "%s: what is left then", what);
	is_str(t_get(g), "f", "%s: what is there then", what);
	is_long(unlink(f), 0, "%s: it can be removed", what);
	is_long(renameat2_(g, f, RENAME_WHITEOUT | RENAME_NOREPLACE), 0,
		"%s: NOREPLACE to a new name", what);
	ok(is_white(g), "%s: leaves one, too", what);
	must(unlink(g));
	must(mkdir(d, 0755));
	must(mkdir(e, 0755));
	links = t_nlink(a) + t_nlink(b);
	snprintf(sub, sizeof(sub), "%s/sub", d);
	must(mkdir(sub, 0755));
	is_errno(renameat2_(e, d, RENAME_WHITEOUT), ENOTEMPTY,
		 "%s: a directory over one that is not empty", what);
	is_errno(renameat2_(f, d, RENAME_WHITEOUT), EISDIR, "%s: a file over a directory",
		 what);
	is_errno(renameat2_(d, f, RENAME_WHITEOUT), ENOTDIR, "%s: a directory over a file",
		 what);
	is_errno(renameat2_(d, sub, RENAME_WHITEOUT), EINVAL, "%s: below itself", what);
	is_long(renameat2_(d, e, RENAME_WHITEOUT), 0, "%s: a directory", what);
	ok(is_white(d), "%s: what that leaves", what);
	snprintf(sub, sizeof(sub), "%s/sub", e);
	ok(t_exists(sub), "%s: it was moved", what);
	is_long(t_nlink(a) + t_nlink(b), strcmp(a, b) ? links - 1 : links - 2,
		"%s: links of the directories", what);
	must(unlink(d));
	must(rmdir(sub));
	must(rmdir(e));
	must(unlink(f));
}

static void t_whiteout(void)
{
	struct dirent *de;
	struct stat st;
	int type = -1;
	pid_t pid;
	DIR *dir;

	must(mkdir("x", 0777));
	must(t_end(t_start(T_EXEC, "mkdir", "y", NULL)) ? -1 : 0);
	must(t_end(t_start(T_EXEC, "mkdir", "z", NULL)) ? -1 : 0);
	whiten("in one directory", "x", "x");
	whiten("to another", "x", "y");
	whiten("back", "y", "x");
	whiten("of others", "z", "y");
	must(t_put("f", "f"));
	must(link("f", "g"));
	is_long(renameat2_("f", "f", RENAME_WHITEOUT), 0, "to itself");
	is_long(renameat2_("f", "g", RENAME_WHITEOUT), 0, "to another link");
	is_str(t_get("f"), "f", "nothing is done");
	is_long(t_nlink("f"), 2, "both are there");
	is_errno(renameat2_("none", "h", RENAME_WHITEOUT), ENOENT, "of nothing");
	is_errno(renameat2_("f", "x", RENAME_WHITEOUT | RENAME_EXCHANGE), EINVAL,
		 "with EXCHANGE");
	is_errno(renameat2_("f", "x", 7), EINVAL, "with all flags");
	is_long(renameat2_("f", "h", RENAME_WHITEOUT), 0, "one to look at");
	dir = opendir(".");
	while (dir && (de = readdir(dir)))
		if (!strcmp(de->d_name, "f"))
			type = de->d_type;
	closedir(dir);
	is_long(type, DT_CHR, "readdir's type");
	if (geteuid() == 0) {
		must(mkdir("s", 0777));
		must(chown("s", 0, 5));
		must(chmod("s", 02777));
		must(t_put("s/f", "f"));
		is_long(renameat2_("s/f", "s/g", RENAME_WHITEOUT), 0, "in a set-gid directory");
		must(lstat("s/f", &st));
		is_long((long)st.st_gid, 5, "it has its group");
		must(mkdir("own", 0777));
		must(chmod("own", 0777));
		must(mkdir("closed", 0755));
		must(t_put("closed/f", "f"));
		pid = t_fork_nobody();
		if (!pid) {
			int bad = t_put("own/f", "f") ||
				  renameat2_("own/f", "own/g", RENAME_WHITEOUT) ||
				  !is_white("own/f");

			bad |= (renameat2_("closed/f", "own/h", RENAME_WHITEOUT) != -1 ||
				errno != EACCES)
			       << 1;
			_exit(bad);
		}
		is_long(t_end(pid), 0, "a user without privileges may do it");
	}
}

static void t_cross(void)
{
	char name[] = "/tmp/hare-posix-XXXXXX";
	int fd = mkstemp(name);
	struct stat a, b;

	must(fd);
	must(fstat(fd, &a));
	must(stat(".", &b));
	if (a.st_dev == b.st_dev) {
		unlink(name);
		t_skip("another file system", "EXDEV");
		return;
	}
	must(t_put("f", "x"));
	is_errno(rename(name, "g"), EXDEV, "from another file system");
	is_errno(rename("f", name), EXDEV, "to another");
	is_errno(link(name, "g"), EXDEV, "link from another");
	is_errno(link("f", name), EEXIST, "link to another, where a file is");
	must(unlink(name));
	is_errno(link("f", name), EXDEV, "link to another");
	is_str(t_get("f"), "x", "all is as it was");
}

static void t_perm(void)
{
	pid_t pid;

	must(mkdir("ro", 0755));
	must(mkdir("rw", 0777));
	must(chmod("rw", 0777));
	must(t_put("ro/f", ""));
	must(t_put("rw/f", ""));
	must(chmod("ro", 0555));
	pid = t_fork_nobody();
	if (pid == 0) {
		is_errno(rename("ro/f", "rw/g"), EACCES, "out of 0555");
		is_errno(rename("rw/f", "ro/g"), EACCES, "into 0555");
		is_errno(rename("rw/f", "ro/f"), EACCES, "onto a file in 0555");
		is_long(rename("rw/f", "rw/g"), 0, "in 0777");
		_exit(0);
	}
	is_long(t_end(pid), 0, "the unprivileged child ends");
	must(chmod("ro", 0755));
}

/* Renames to and fro while others look: one of the names is always there. */
static int s_swap(int argc, char **argv)
{
	for (int i = 0; i < atoi(argv[0]); i++)
		if (rename("x", "y") || rename("y", "x"))
			return argc + 1;
	return 0;
}

static int s_replace(int argc, char **argv)
{
	for (int i = 0; i < atoi(argv[0]); i++)
		if (t_put(argv[1], "whole") || rename(argv[1], "file"))
			return argc + 1;
	return 0;
}

static void t_atomic(void)
{
	int good = 1, seen = 1;
	pid_t a, b;

	must(t_put("x", "1"));
	must(t_put("file", "whole"));
	a = must(t_start(T_EXEC, "swap", "300", NULL));
	b = must(t_start(T_EXEC, "replace", "300", "tmp1", NULL));
	for (int i = 0; i < 600; i++) {
		const char *text = t_get("file");

		good &= text && strcmp(text, "whole") == 0;
		seen &= t_size("x") <= 1 && t_size("y") <= 1;
	}
	is_long(t_end(a), 0, "300 renames to and fro");
	is_long(t_end(b), 0, "300 replacements");
	ok(good, "a name that is replaced is always there, and whole");
	ok(seen && t_exists("x") && !t_exists("y"),
	   "a file that moved to and fro is where it was");
	a = must(t_start(T_EXEC, "replace", "200", "tmp1", NULL));
	b = must(t_start(T_EXEC, "replace", "200", "tmp2", NULL));
	is_long(t_end(a), 0, "two that replace the same name: first");
	is_long(t_end(b), 0, "second");
	is_str(t_get("file"), "whole", "one of them won");
	is_long(t_nlink("file"), 1, "its link count");
}

/* Two that move directories below each other's: never a loop. */
static int s_mover(int argc, char **argv)
{
	int moved = 0;

	for (int i = 0; i < 200; i++) {
		if (rename(argv[0], argv[1]) == 0)
			moved += rename(argv[1], argv[0]) == 0;
		else if (errno != EINVAL && errno != ENOENT && errno != ENOTEMPTY)
			return 1;
	}
	return argc == 2 && moved >= 0 ? 0 : 2;
}

static void t_loop(void)
{
	pid_t a, b;

	must(mkdir("p", 0755));
	must(mkdir("q", 0755));
	a = must(t_start(T_EXEC, "mover", "p", "q/p", NULL));
	b = must(t_start(T_EXEC, "mover", "q", "p/q", NULL));
	is_long(t_end(a), 0, "one moves p below q");
	is_long(t_end(b), 0, "while the other moves q below p");
	ok(t_exists("p") || t_exists("q"), "both can be reached from the top");
	is_long(t_exists("p") + t_exists("q") + t_exists("p/q") + t_exists("q/p"), 2,
		"each at one place");
}

/* Onto a directory above: ENOTEMPTY whatever it is that would move. */
static void t_above(void)
{
	static const char *const path[] = { "a/b/c", "a/b", "a" };

	must(mkdir("a", 0755));
	must(mkdir("a/b", 0755));
	must(mkdir("a/b/c", 0755));
	must(mkdir("a/b/c/d", 0755));
	must(t_put("a/b/c/f", "x"));
	for (int i = 0; i < 3; i++) {
		is_errno(rename("a/b/c/f", path[i]), ENOTEMPTY, "a file onto %s", path[i]);
		is_errno(rename("a/b/c/d", path[i]), ENOTEMPTY, "a directory onto %s", path[i]);
	}
	is_errno(rename("a/b/c/f", "a/b/c/d"), EISDIR, "onto one beside it");
	is_errno(rename("a/b", "a/b/c/d"), EINVAL, "below itself");
}

T_SUBS = { { "mkdir", s_mkdir },
	   { "swap", s_swap },
	   { "replace", s_replace },
	   { "mover", s_mover },
	   T_END };

T_SECTIONS = {
	{ "samedir", t_same_dir }, { "otherdir", t_other_dir },	 { "paths", t_paths },
	{ "content", t_content },  { "hardlinks", t_hardlinks }, { "dirs", t_dirs },
	{ "flags", t_flags },	   { "whiteout", t_whiteout },
	{ "cross", t_cross },	 { "perm", t_perm },
	{ "atomic", t_atomic },	   { "loop", t_loop },		 { "above", t_above },
	T_END,
};
