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

/* Values of up to 64 KiB. */
static char big[65536 + 1], back[65536 + 1];

static void fill(char c, size_t size)
{
	memset(big, c, size);
	if (size)
		big[size - 1] = '.';
}

/* Has it this value, of one letter? The length; -2: it is another one. */
static int is_whole(ssize_t n, char c)
{
	fill(c, (size_t)n);
	return !memcmp(big, back, (size_t)n);
}
static long has(const char *path, char c)
{
	ssize_t n = getxattr(path, "user.big", back, sizeof(back));

	return n > 0 && !is_whole(n, c) ? -2 : n;
}

static void t_big(void)
{
	static const int sizes[] = { 16383, 16384, 16385, 20000, 32768, 50000, 65535, 65536 };
	int fd;

	must(t_put("f", "x"));
	must(mkdir("d", 0755));
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		fill((char)('a' + i), (size_t)sizes[i]);
		is_long(setxattr("f", "user.big", big, (size_t)sizes[i], 0), 0, "%d bytes",
			sizes[i]);
		is_long(has("f", (char)('a' + i)), sizes[i], "%d bytes are there", sizes[i]);
		is_long(getxattr("f", "user.big", NULL, 0), sizes[i], "%d is its length",
			sizes[i]);
		is_errno(getxattr("f", "user.big", back, (size_t)sizes[i] - 1), ERANGE,
			 "%d bytes to a shorter buffer", sizes[i]);
		is_long(getxattr("f", "user.big", back, (size_t)sizes[i]), sizes[i],
			"%d bytes to one of their size", sizes[i]);
	}
	is_errno(getxattr("f", "user.big", back, 10), ERANGE, "to a short one");
	is_errno(setxattr("f", "user.big", big, 65537, 0), E2BIG, "a byte more");
	is_errno(setxattr("f", "user.big", big, (size_t)1 << 40, 0), E2BIG, "much more");
	is_long(getxattr("f", "user.big", back, (size_t)1 << 40), 65536, "to no end of room");
	fill('z', 40000);
	is_errno(setxattr("f", "user.big", big, 40000, XATTR_CREATE), EEXIST, "XATTR_CREATE");
	is_errno(setxattr("f", "user.no", big, 40000, XATTR_REPLACE), ENODATA,
		 "XATTR_REPLACE");
	is_errno(setxattr("f", "bad.no", big, 40000, 0), EOPNOTSUPP, "no name space");
	is_errno(setxattr("f", "user.big", (char *)8, 40000, 0), EFAULT, "from nowhere");
	is_errno(getxattr("f", "user.big", (char *)8, 65536), EFAULT, "to nowhere");
	is_long(has("f", 'h'), 65536, "the value is as it was");
	is_long(setxattr("f", "user.big", "v", 1, XATTR_REPLACE), 0, "a small one again");
	is_long(getxattr("f", "user.big", back, sizeof(back)), 1, "is there");
	fill('d', 60000);
	is_long(setxattr("d", "user.big", big, 60000, 0), 0, "of a directory");
	is_long(has("d", 'd'), 60000, "it is there");
	fd = (int)must(open("f", O_RDONLY));
	fill('f', 60000);
	is_long(fsetxattr(fd, "user.big", big, 60000, 0), 0, "by a descriptor");
	is_long(has("f", 'f'), 60000, "it is there");
	is_long(fremovexattr(fd, "user.big"), 0, "removed");
	is_errno(fgetxattr(fd, "user.big", back, 100), ENODATA, "it is gone");
	close(fd);
}

static int s_sets(int argc, char **argv)
{
	char c = argc > 1 ? argv[1][0] : '?';

	for (int i = 0; i < 1000000; i++) {
		fill(c, c == 'a' ? 65536 : 40000);
		if (setxattr(argv[0], "user.big", big, c == 'a' ? 65536 : 40000, 0))
			return 1;
	}
	return 0;
}

static int is_torn(const char *path)
{
	ssize_t n = getxattr(path, "user.big", back, sizeof(back));

	return !(n == 65536 && is_whole(n, 'a')) && !(n == 40000 && is_whole(n, 'b'));
}

/* Two set it all the time, and are killed in the end: it is one's or the other's. */
static void t_whole(void)
{
	int bad = 0;
	pid_t a, b;

	must(t_put("f", "x"));
	fill('a', 65536);
	must(setxattr("f", "user.big", big, 65536, 0));
	for (int round = 0; round < 5; round++) {
		a = t_start(T_EXEC, "sets", "f", "a", NULL);
		b = t_start(T_EXEC, "sets", "f", "b", NULL);
		for (int i = 0; i < 40; i++)
			bad += is_torn("f");
		kill(a, SIGKILL);
		kill(b, SIGKILL);
		t_end(a);
		t_end(b);
		bad += is_torn("f");
	}
	is_long(bad, 0, "a value is always whole");
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

T_SUBS = { { "set", s_set }, { "sets", s_sets }, T_END };

T_SECTIONS = { { "basic", t_basic },
	       { "perm", t_perm },
	       { "many", t_many },
	       { "big", t_big },
	       { "whole", t_whole },
	       { "other", t_other },
	       T_END };
