/* SPDX-License-Identifier: MIT */
/* link, symlink, readlink and the walk through symlinks. */
#include "t.h"

static void t_link(void)
{
	int fd, dir;

	must(t_put("f", "text"));
	must(mkdir("d", 0755));
	is_long(link("f", "g"), 0, "link");
	ok(t_same("f", "g"), "is the same inode");
	is_long(t_nlink("f"), 2, "the link count");
	is_long(link("f", "d/h"), 0, "into another directory");
	is_long(t_nlink("g"), 3, "the link count");
	must(t_put("g", "changed"));
	is_str(t_get("d/h"), "changed", "one's write is the other's");
	is_long(unlink("f"), 0, "unlink the first name");
	is_str(t_get("g"), "changed", "the file stays");
	is_long(t_nlink("g"), 2, "the link count");
	is_errno(link("g", "d/h"), EEXIST, "to a name that exists");
	is_errno(link("none", "x"), ENOENT, "from nothing");
	is_errno(link("g", "none/x"), ENOENT, "into nothing");
	is_errno(link("g", "d/h/x"), ENOTDIR, "below a file");
	is_errno(link("g", ""), ENOENT, "to the empty name");
	is_errno(link("d", "x"), EPERM, "a directory");
	is_errno(link("g", "d"), EEXIST, "to a directory's name");
	is_errno(link("g", "x/"), ENOENT, "to a name with a slash");
	is_errno(link("g/", "x"), ENOTDIR, "from a file with a slash");
	must(symlink("g", "s"));
	is_long(link("s", "t"), 0, "a symlink itself");
	ok(t_same("s", "t"), "is linked, not its target");
	is_long(t_nlink("s"), 2, "a symlink's link count");
	is_long(linkat(AT_FDCWD, "s", AT_FDCWD, "u", AT_SYMLINK_FOLLOW), 0,
		"AT_SYMLINK_FOLLOW");
	ok(t_same("u", "g"), "links the target");
	is_errno(linkat(AT_FDCWD, "g", AT_FDCWD, "v", 0x8000), EINVAL, "a bad flag");
	fd = must(open("d", O_RDONLY));
	is_long(linkat(fd, "h", AT_FDCWD, "w", 0), 0, "linkat from a directory");
	is_long(linkat(AT_FDCWD, "w", fd, "w", 0), 0, "linkat into one");
	is_long(t_nlink("g"), 5, "the link count");
	dir = must(open("g", O_RDONLY));
	is_errno(linkat(dir, "h", AT_FDCWD, "y", 0), ENOTDIR, "linkat from a file");
	is_errno(linkat(77, "h", AT_FDCWD, "y", 0), EBADF, "linkat from no descriptor");
}

static void t_many(void)
{
	char name[32];
	int good = 1;

	must(t_put("f", "x"));
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		good &= link("f", name) == 0;
	}
	ok(good, "200 links");
	is_long(t_nlink("f"), 201, "the link count");
	for (int i = 0; i < 200; i += 2) {
		snprintf(name, sizeof(name), "l%d", i);
		good &= unlink(name) == 0;
	}
	ok(good, "every second removed");
	is_long(t_nlink("l1"), 101, "the link count");
}

static void t_symlink(void)
{
	char buf[PATH_MAX + 10], target[PATH_MAX + 10];
	struct stat st;

	is_long(symlink("target", "l"), 0, "symlink");
	is_long(lstat("l", &st), 0, "lstat");
	ok(S_ISLNK(st.st_mode), "its type");
	is_long(st.st_mode & 0777, 0777, "its mode");
	is_long(st.st_size, 6, "its size is the target's length");
	is_long(readlink("l", buf, sizeof(buf)), 6, "readlink");
	ok(memcmp(buf, "target", 6) == 0, "the target");
	memset(buf, 'x', 10);
	is_long(readlink("l", buf, 3), 3, "readlink to a short buffer");
	ok(memcmp(buf, "tarx", 4) == 0, "cuts, and ends with no 0");
	is_errno(readlink("l", buf, 0), EINVAL, "readlink to no buffer");
	is_errno(readlink("none", buf, 10), ENOENT, "readlink of nothing");
	must(t_put("f", ""));
	is_errno(readlink("f", buf, 10), EINVAL, "readlink of a file");
	is_errno(readlink(".", buf, 10), EINVAL, "readlink of a directory");
	is_errno(readlink("f/x", buf, 10), ENOTDIR, "readlink below a file");
	is_errno(readlink("l/", buf, 10), ENOENT, "readlink of dangling/");
	is_errno(symlink("x", "l"), EEXIST, "symlink where one is");
	is_errno(symlink("x", "f"), EEXIST, "symlink where a file is");
	is_errno(symlink("", "e"), ENOENT, "an empty target");
	is_errno(symlink("x", ""), ENOENT, "an empty name");
	is_errno(symlink("x", "none/l"), ENOENT, "in no directory");
	is_errno(symlink("x", "f/l"), ENOTDIR, "below a file");
	is_errno(symlink("x", "new/"), ENOENT, "a name with a slash");
	memset(target, 'y', sizeof(target));
	target[4095] = 0;
	is_long(symlink(target, "long"), 0, "a target of 4095 bytes");
	is_long(readlink("long", buf, sizeof(buf)), 4095, "its readlink");
	ok(memcmp(buf, target, 4095) == 0, "is the same");
	target[4095] = 'y';
	target[4096] = 0;
	is_errno(symlink(target, "longer"), ENAMETOOLONG, "one of 4096");
	is_errno(stat("l", &st), ENOENT, "stat of a dangling one");
	is_errno(chmod("l", 0644), ENOENT, "chmod of one");
	must(t_put("target", "text"));
	is_str(t_get("l"), "text", "now that the target exists");
	is_long(t_size("l"), 6, "its own size is as before");
}

static void t_walk(void)
{
	must(mkdir("a", 0755));
	must(mkdir("a/b", 0755));
	must(t_put("a/b/f", "deep"));
	must(t_put("f", "top"));
	must(symlink("a/b", "ab"));
	must(symlink("../f", "a/up"));
	must(symlink("../../ab/../up", "a/b/round"));
	must(symlink(".", "dot"));
	must(symlink("a/b/", "slash"));
	is_str(t_get("ab/f"), "deep", "a directory's symlink");
	is_str(t_get("a/up"), "top", "relative to where the link is");
	is_str(t_get("ab/../up"), "top", ".. leaves the target, not the link");
	is_str(t_get("ab/round"), "top", "links in links");
	is_str(t_get("dot/dot/dot/./f"), "top", "a link to .");
	is_str(t_get("slash/f"), "deep", "a target with a slash");
	is_str(t_get("slash//f"), "deep", "and two");
	is_long(mkdir("ab/new", 0755), 0, "mkdir through a link");
	ok(t_exists("a/b/new"), "is in the target");
	is_long(rename("ab/new", "dot/moved"), 0, "rename through links");
	ok(t_exists("moved"), "is there");
	must(unlink("ab"));
	must(symlink("a", "ab"));
	is_str(t_get("ab/b/f"), "deep", "a link made anew points elsewhere");
	is_errno(open("ab/f", O_RDONLY), ENOENT, "and no longer to the old");
	is_long(symlink("x", "ab/b/n"), 0, "a symlink through a link");
	is_errno(unlink("dot/"), ENOTDIR, "unlink of link/");
	is_long(unlink("dot"), 0, "unlink of the link");
}

/* Symlink `name` to `to`, followed by so much of nothing that it is as long as can be. */
static void long_link(const char *to, const char *name)
{
	char target[4096];
	size_t len = (size_t)snprintf(target, sizeof(target), "%s/", to);

	while (len + 2 < sizeof(target) - 1) {
		target[len++] = '.';
		target[len++] = '/';
	}
	target[len] = 0;
	must(symlink(target, name));
}

/* Number n of them: through all before it, each with its rest still to be walked. */
static void t_nested(void)
{
	char to[300], name[300], top[5000], cwd[4096];
	int fd;

	must(mkdir("d", 0755));
	must(t_put("d/f", "deep"));
	long_link("d", "l1");
	for (int i = 2; i <= 41; i++) {
		snprintf(to, sizeof(to), "l%d", i - 1);
		snprintf(name, sizeof(name), "l%d", i);
		long_link(to, name);
	}
	for (int i = 1; i <= 41; i += i < 8 ? 1 : i < 38 ? 10 : 1) {
		snprintf(name, sizeof(name), "l%d/f", i);
		if (i == 41)
			is_errno(open(name, O_RDONLY), ELOOP, "41 of them");
		else
			is_str(t_get(name), "deep", "%d of them", i);
	}
	is_str(t_get("l40/f"), "deep", "40 of them");
	is_str(t_get("l39/../d/f"), "deep", "39, and on");
	is_str(t_get("l20/../l20/f"), "deep", "20, twice");
	is_errno(open("l20/../l21/f", O_RDONLY), ELOOP, "20, and 21");
	is_errno(open("l40/none", O_RDONLY), ENOENT, "nothing behind them");
	is_errno(open("l40/f/x", O_RDONLY), ENOTDIR, "below a file behind them");
	fd = (int)is_ok(open("l40/new", O_CREAT | O_EXCL | O_WRONLY, 0644),
			"made behind them");
	close(fd);
	ok(t_exists("d/new"), "it is there");
	is_long(rename("l40/new", "l39/newer"), 0, "rename between them");
	ok(t_exists("d/newer"), "it is there, too");
	is_long(chdir("l40"), 0, "chdir");
	is_str(t_get("f"), "deep", "a file there");
	must(chdir(".."));
	/* The same by absolute targets. */
	must(getcwd(cwd, 3000) ? 0 : -1);
	snprintf(top, sizeof(top), "%s/d", cwd);
	long_link(top, "a1");
	for (int i = 2; i <= 41; i++) {
		snprintf(top, sizeof(top), "%s/a%d", cwd, i - 1);
		snprintf(name, sizeof(name), "a%d", i);
		long_link(top, name);
	}
	is_str(t_get("a40/f"), "deep", "40 with absolute targets");
	is_errno(open("a41/f", O_RDONLY), ELOOP, "41 with absolute targets");
	/* Rings: each leaves more to be walked. */
	long_link("r2", "r1");
	long_link("r1", "r2");
	is_errno(open("r1/f", O_RDONLY), ELOOP, "a ring of two");
	is_errno(open("r2", O_RDONLY), ELOOP, "itself");
}

T_SECTIONS = {
	{ "link", t_link },
	{ "many", t_many },
	{ "symlink", t_symlink },
	{ "walk", t_walk },
	{ "nested", t_nested },
	T_END,
};
