/* SPDX-License-Identifier: MIT */
/* Extended attributes of the user's name space. */
#include "t.h"

#include <sys/xattr.h>

static int lists(const char *names, ssize_t len, const char *want)
{
	for (const char *p = names; p < names + len; p += strlen(p) + 1)
		if (strcmp(p, want) == 0)
			return 1;
	return 0;
}

static void t_basic(void)
{
	char buf[256] = "", name[300];
	ssize_t n;
	int fd;

	must(t_put("f", "x"));
	must(mkdir("d", 0755));
	is_errno(getxattr("f", "user.a", buf, sizeof(buf)), ENODATA, "get of none");
	is_long(setxattr("f", "user.a", "value", 5, 0), 0, "set");
	is_long(getxattr("f", "user.a", buf, sizeof(buf)), 5, "get");
	is_long(memcmp(buf, "value", 5), 0, "the value");
	is_long(getxattr("f", "user.a", NULL, 0), 5, "get of the size");
	is_errno(getxattr("f", "user.a", buf, 3), ERANGE, "get to a short buffer");
	is_long(setxattr("f", "user.a", "longer value", 12, 0), 0, "set again");
	is_long(getxattr("f", "user.a", buf, sizeof(buf)), 12, "the new size");
	is_errno(setxattr("f", "user.a", "x", 1, XATTR_CREATE), EEXIST, "XATTR_CREATE");
	is_errno(setxattr("f", "user.b", "x", 1, XATTR_REPLACE), ENODATA,
		 "XATTR_REPLACE");
	is_long(setxattr("f", "user.b", "", 0, XATTR_CREATE), 0, "an empty value");
	is_long(getxattr("f", "user.b", buf, sizeof(buf)), 0, "its size");
	n = is_ok(listxattr("f", buf, sizeof(buf)), "list");
	ok(lists(buf, n, "user.a") && lists(buf, n, "user.b"), "both names");
	is_ok(listxattr("f", NULL, 0), "list's size");
	is_errno(listxattr("f", buf, 3), ERANGE, "list to a short buffer");
	is_long(removexattr("f", "user.a"), 0, "remove");
	is_errno(removexattr("f", "user.a"), ENODATA, "again");
	is_errno(getxattr("f", "user.a", buf, sizeof(buf)), ENODATA, "it is gone");
	fd = must(open("f", O_RDWR));
	is_long(fsetxattr(fd, "user.c", "\0\1\2", 3, 0), 0, "fsetxattr");
	is_long(fgetxattr(fd, "user.c", buf, sizeof(buf)), 3, "fgetxattr");
	is_long(memcmp(buf, "\0\1\2", 3), 0, "bytes");
	is_long(fremovexattr(fd, "user.c"), 0, "fremovexattr");
	is_long(setxattr("d", "user.dir", "1", 1, 0), 0, "a directory");
	is_long(getxattr("d", "user.dir", buf, sizeof(buf)), 1, "has it");
	must(symlink("f", "l"));
	is_long(setxattr("l", "user.l", "2", 1, 0), 0, "by a symlink");
	is_long(getxattr("f", "user.l", buf, sizeof(buf)), 1, "is at the target");
	is_errno(lsetxattr("l", "user.l", "2", 1, 0), EPERM, "not on a symlink itself");
	is_errno(setxattr("none", "user.a", "x", 1, 0), ENOENT, "nothing");
	is_errno(setxattr("f", "nonsense", "x", 1, 0), EOPNOTSUPP, "no name space");
	is_errno(setxattr("f", "", "x", 1, 0), ERANGE, "the empty name");
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[256] = 0;
	is_errno(setxattr("f", name, "x", 1, 0), ERANGE, "a name of 256 bytes");
	is_errno(setxattr("f", "user.a", "x", 1, 77), EINVAL, "a bad flag");
	is_errno(fsetxattr(99, "user.a", "x", 1, 0), EBADF, "no descriptor");
	must(link("f", "g"));
	is_long(getxattr("g", "user.l", buf, sizeof(buf)), 1,
		"another link has the same");
	must(rename("f", "h"));
	is_long(getxattr("h", "user.l", buf, sizeof(buf)), 1, "and after rename");
}

static void t_perm(void)
{
	char buf[16];
	pid_t pid;

	must(t_put("ro", "x"));
	must(t_put("no", "x"));
	must(setxattr("ro", "user.a", "v", 1, 0));
	must(setxattr("no", "user.a", "v", 1, 0));
	must(chmod("ro", 0444));
	must(chmod("no", 0));
	pid = t_fork_nobody();
	if (pid == 0) {
		is_long(getxattr("ro", "user.a", buf, 16), 1,
			"read with read permission");
		is_errno(setxattr("ro", "user.a", "w", 1, 0), EACCES,
			 "set without write's");
		is_errno(removexattr("ro", "user.a"), EACCES, "remove without write's");
		is_errno(getxattr("no", "user.a", buf, 16), EACCES, "read without");
		_exit(0);
	}
	is_long(t_end(pid), 0, "the unprivileged child ends");
}

/* Lists of more than a message holds, and of more than Linux gives. */
static void t_many(void)
{
	static char list[70000];
	char name[300];
	long len = 0, n;
	int found = 0;

	must(t_put("f", "x"));
	for (int i = 0; i < 200; i++) {
		len += snprintf(name, sizeof(name), "user.%0200d", i) + 1;
		must(setxattr("f", name, "v", 1, 0));
	}
	n = is_ok(listxattr("f", NULL, 0), "the length");
	is_long(listxattr("f", list, sizeof(list)), n, "the list has it");
	for (char *p = list; p < list + n; p += strlen(p) + 1)
		found += strncmp(p, "user.00", 7) == 0;
	is_long(found, 200, "all names");
	is_errno(listxattr("f", list, (size_t)n - 1), ERANGE, "a byte too short");
	is_long(listxattr("f", list, (size_t)n), n, "just long enough");
	for (int i = 200; i < 400; i++) {
		snprintf(name, sizeof(name), "user.%0200d", i);
		must(setxattr("f", name, "v", 1, 0));
	}
	is_long(listxattr("f", NULL, 0), n + len, "the length beyond 64 KiB");
	is_errno(listxattr("f", list, sizeof(list)), E2BIG, "such a list");
	is_errno(listxattr("f", list, 1000), ERANGE, "to a short buffer");
}

static int s_set(int argc, char **argv)
{
	return setxattr(argv[0], "user.other", "core", 4, 0) || argc != 1;
}

static void t_other(void)
{
	char buf[16] = "";

	must(t_put("f", "x"));
	is_errno(getxattr("f", "user.other", buf, 16), ENODATA, "looked at before");
	is_long(t_end(t_start(T_EXEC, "set", "f", NULL)), 0, "another sets one");
	is_long(getxattr("f", "user.other", buf, 16), 4, "it is seen here");
	is_str(buf, "core", "its value");
}

T_SUBS = { { "set", s_set }, T_END };

T_SECTIONS = { { "basic", t_basic },
	       { "perm", t_perm },
	       { "many", t_many },
	       { "other", t_other },
	       T_END };
