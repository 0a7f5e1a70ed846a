/* SPDX-License-Identifier: MIT */
/*
 * Descriptors as /proc shows them: lists, links, opening anew; the caller's own and those
 * of another process, on another core too.
 */
#include "t.h"

#include <sys/xattr.h>

static char cwd[PATH_MAX];

/* The numbers that a directory lists, as a string of 0 and 1; NULL. */
static const char *listed(const char *dir)
{
	static char set[64];
	struct dirent *e;
	DIR *d = opendir(dir);

	if (!d)
		return NULL;
	memset(set, '0', sizeof(set) - 1);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' && atoi(e->d_name) < 63 &&
		    atoi(e->d_name) != dirfd(d))
			set[atoi(e->d_name)] = '1';
	closedir(d);
	return set;
}

static const char *open_numbers(void)
{
	static char set[64];

	for (int i = 0; i < 63; i++)
		set[i] = t_is_open(i) ? '1' : '0';
	return set;
}

static const char *link_of(const char *path)
{
	static char text[4][PATH_MAX];
	static int next;
	char *s = text[next++ % 4];
	ssize_t n = readlink(path, s, PATH_MAX - 1);

	if (n < 0)
		return NULL;
	s[n] = 0;
	return s;
}

static const char *fd_link(pid_t pid, int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	return link_of(path);
}

static const char *below(const char *name)
{
	static char text[PATH_MAX + 64];

	snprintf(text, sizeof(text), "%s/%s", cwd, name);
	return text;
}

static int has_suffix(const char *s, const char *suffix)
{
	return s && strlen(s) >= strlen(suffix) &&
	       !strcmp(s + strlen(s) - strlen(suffix), suffix);
}

/* How many of the numbers 100 to 199 a list of two or three entries at a time has. */
static int in_pieces(void)
{
	int fd = must(open("/proc/self/fd", O_RDONLY)), n = 0;
	char buf[64];
	long r;

	while ((r = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0)
		for (long at = 0; at < r; at += *(unsigned short *)(buf + at + 16))
			n += atoi(buf + at + 19) >= 100 && atoi(buf + at + 19) < 200;
	close(fd);
	return n;
}

static void t_list(void)
{
	const char *dirs[] = { "/proc/self/fd", "/dev/fd", "/proc/self/fdinfo",
			       "/proc/thread-self/fd" };
	int p[2], fd, n = 0;
	char path[64], own[64];
	struct dirent *e;
	long pos = -1;
	DIR *d;

	must(pipe(p));
	fd = must(open("f", O_RDWR | O_CREAT, 0644));
	must(open("/dev/null", O_RDONLY));
	must(open(".", O_RDONLY));
	must(dup2(fd, 40));
	must(close(fd));
	for (int i = 0; i < 4; i++) {
		snprintf(own, sizeof(own), "%s", open_numbers());
		is_str(listed(dirs[i]), own, "all open numbers are in list %d", i);
	}
	snprintf(path, sizeof(path), "/proc/%d/fd", getpid());
	is_str(listed(path), own, "and in that by number");
	for (int i = 100; i < 200; i++)
		must(dup2(p[0], i));
	d = opendir("/proc/self/fd");
	while ((e = readdir(d))) {
		n += atoi(e->d_name) >= 100 && atoi(e->d_name) < 200;
		if (atoi(e->d_name) == 150)
			pos = telldir(d);
		if (e->d_name[0] != '.' && e->d_type != DT_LNK)
			n = -1000;
	}
	is_long(n, 100, "a long list, of links");
	seekdir(d, pos);
	e = readdir(d);
	is_long(e ? atoi(e->d_name) : -1, 151, "seekdir");
	rewinddir(d);
	e = readdir(d);
	is_str(e ? e->d_name : NULL, ".", "rewinddir");
	closedir(d);
	/* small buffers */
	fd = must(open("/dev/null", O_RDONLY));
	for (int i = 0; i < 3; i++) { /* as many numbers of the host's before them */
		if (i)
			must(dup2(fd, 60 + i));
		n = in_pieces();
		is_long(n, 100, "in small pieces, %d", i);
	}
	close(fd), close(61), close(62);
}

static void t_links(void)
{
	int p[2], fd;
	struct stat st;
	char path[64], want[64];

	fd = must(open("f", O_RDWR | O_CREAT, 0644));
	is_str(fd_link(getpid(), fd), below("f"), "a file");
	must(rename("f", "g"));
	is_str(fd_link(getpid(), fd), below("g"), "renamed");
	must(unlink("g"));
	ok(has_suffix(fd_link(getpid(), fd), " (deleted)"), "removed");
	must(mkdir("d", 0755));
	fd = must(open("d", O_RDONLY));
	is_str(fd_link(getpid(), fd), below("d"), "a directory");
	must(pipe(p));
	must(fstat(p[0], &st));
	snprintf(want, sizeof(want), "pipe:[%lu]", (unsigned long)st.st_ino);
	is_str(fd_link(getpid(), p[0]), want, "a pipe");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p[1]);
	is_long(lstat(path, &st), 0, "lstat");
	is_long(st.st_mode, S_IFLNK | 0300, "is a link, of one open for writing");
	is_errno(lgetxattr(path, "system.posix_acl_access", want, 10), EOPNOTSUPP,
		 "lgetxattr");
	is_errno(lgetxattr(path, "user.a", want, 10), ENODATA, "lgetxattr of another");
	is_long(llistxattr(path, want, sizeof(want)), 0, "llistxattr");
	is_long(lchown(path, (uid_t)-1, (gid_t)-1), 0, "lchown");
	is_long(stat(path, &st), 0, "stat");
	ok(S_ISFIFO(st.st_mode), "is the pipe");
	must(close(p[1]));
	is_errno(stat(path, &st), ENOENT, "stat when it is closed");
	is_errno(readlink(path, want, 10), ENOENT, "readlink");
	is_errno(open(path, O_RDONLY), ENOENT, "open");
	is_str(link_of("/proc/self/cwd"), cwd, "cwd");
	is_str(link_of("/proc/self/exe"), t_self, "exe");
	is_str(link_of("/proc/self/root"), "/", "root");
}

static int open_at(int fd, const char *below_it, int flags)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/proc/self/fd/%d%s", fd, below_it);
	return open(path, flags, 0644);
}

static void t_open(void)
{
	char buf[16] = "";
	int fd, again, p[2], w, d;

	must(t_put("f", "content"));
	fd = must(open("f", O_RDWR));
	must(lseek(fd, 3, SEEK_SET));
	again = is_ok(open_at(fd, "", O_RDONLY), "open a file anew");
	is_long(lseek(again, 0, SEEK_CUR), 0, "has an offset of its own");
	is_errno(write(again, "x", 1), EBADF, "and a mode of its own");
	must(unlink("f"));
	again = is_ok(open_at(fd, "", O_RDWR | O_APPEND), "when it has no name");
	is_long(write(again, "+", 1), 1, "append");
	is_long(pread(fd, buf, 16, 0), 8, "seen by the first");
	again = is_ok(open_at(fd, "", O_WRONLY | O_TRUNC), "with O_TRUNC");
	is_long(pread(fd, buf, 16, 0), 0, "it is empty");
	is_errno(open_at(fd, "", O_RDWR | O_CREAT | O_EXCL), EEXIST, "with O_EXCL");
	is_errno(open_at(fd, "/x", O_RDONLY), ENOTDIR, "below a file");
	must(mkdir("d", 0755));
	must(t_put("d/in", "inside"));
	d = must(open("d", O_RDONLY));
	fd = is_ok(open_at(d, "/in", O_RDONLY), "below a directory");
	is_long(read(fd, buf, 6), 6, "read");
	must(pipe(p));
	w = is_ok(open_at(p[0], "", O_WRONLY), "a pipe's other end");
	is_long(write(w, "abc", 3), 3, "write");
	is_long(read(p[0], buf, 16), 3, "read");
	again = is_ok(open_at(p[0], "", O_RDONLY | O_NONBLOCK), "with O_NONBLOCK");
	is_errno(read(again, buf, 1), EAGAIN, "read");
	is_long(fcntl(p[0], F_GETFL) & O_NONBLOCK, 0, "the first still waits");
	fd = must(open("d/in", O_PATH));
	again = is_ok(open_at(fd, "", O_RDONLY), "of an O_PATH descriptor");
	is_long(read(again, buf, 16), 6, "read it");
	must(chmod("d/in", 0444));
	if (geteuid())
		is_errno(open_at(fd, "", O_RDWR), EACCES, "asks for permission");
	else
		ok(1, "asks for permission");
	must(dup2(again, 0));
	fd = is_ok(open("/dev/stdin", O_RDONLY), "/dev/stdin");
	is_long(read(fd, buf, 16), 6, "from its start");
	fd = is_ok(open("/dev/fd/0", O_RDONLY), "/dev/fd/0");
	is_long(read(fd, buf, 16), 6, "from its start too");
}

static const char *info(int fd, const char *key)
{
	static char line[128];
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key))) {
			line[strcspn(line, "\n")] = 0;
			fclose(f);
			return line + strlen(key);
		}
	return NULL;
}

static void t_info(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
	const char *flags;

	must(write(fd, "12345", 5));
	is_str(info(fd, "pos:\t"), "5", "the offset");
	flags = info(fd, "flags:\t");
	is_long(flags ? strtol(flags, NULL, 8) &
				(O_ACCMODE | O_APPEND | O_CLOEXEC | O_NONBLOCK)
		      : -1,
		O_RDWR | O_APPEND | O_CLOEXEC, "the flags");
	is_errno(open("/proc/self/fdinfo/99", O_RDONLY), ENOENT, "of nothing");
}

/* --- another process's ------------------------------------------------------------------- */

/* other PID FILE DIR PIPE: what the parent has open under these numbers. */
static int s_other(int argc, char **argv)
{
	pid_t pid = atoi(argv[0]);
	char path[64], buf[16] = "", dir[PATH_MAX];
	const char *l, *list;
	int fd;

	if (!getcwd(dir, sizeof(dir)))
		return 20;
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	list = listed(path);
	if (!list || list[atoi(argv[1])] != '1' || list[atoi(argv[2])] != '1' ||
	    list[atoi(argv[3])] != '1' || list[62] != '0')
		return 1;
	l = fd_link(pid, atoi(argv[1]));
	if (!has_suffix(l, "/f") || strncmp(l, dir, strlen(dir)))
		return 2;
	l = fd_link(pid, atoi(argv[3]));
	if (!l || strncmp(l, "pipe:[", 6))
		return 3;
	snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, argv[1]);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, buf, 16) != 6 || strcmp(buf, "parent"))
		return 4;
	snprintf(path, sizeof(path), "/proc/%d/fd/%s/in", pid, argv[2]);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, buf, 16) != 2)
		return 5;
	snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, argv[3]);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "hello", 5) != 5)
		return 6;
	snprintf(path, sizeof(path), "/proc/%d/cwd", pid);
	if (!(l = link_of(path)) || strcmp(l, dir))
		return 7;
	snprintf(path, sizeof(path), "/proc/%d/cwd/f", pid);
	if (!(l = t_get(path)) || strcmp(l, "parent"))
		return 8;
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	if (!(l = link_of(path)) || strcmp(l, t_self))
		return 9;
	snprintf(path, sizeof(path), "/proc/%d/fd/61", pid);
	if (open(path, O_RDONLY) != -1 || errno != ENOENT)
		return 10;
	return argc != 4;
}

static void t_other(void)
{
	int fd, dir, p[2];
	char buf[16] = "";

	must(t_put("f", "parent"));
	must(mkdir("d", 0755));
	must(t_put("d/in", "in"));
	fd = must(fcntl(must(open("f", O_RDONLY)), F_DUPFD_CLOEXEC, 20));
	dir = must(fcntl(must(open("d", O_RDONLY)), F_DUPFD_CLOEXEC, 20));
	must(pipe2(p, O_CLOEXEC | O_NONBLOCK));
	must(dup2(p[0], 30));
	p[0] = 30;
	for (int how = T_FORK; how <= T_EXEC; how++) {
		is_long(t_end(t_start(how, "other", t_num(getpid()), t_num(fd),
				      t_num(dir), t_num(p[0]), NULL)),
			0, "a child looks at its parent, how %d", how);
		is_long(read(p[0], buf, 16), 5, "and writes to it, how %d", how);
	}
}

/* What a program that was started anew sees of what it inherited. */
static int s_inherited(int argc, char **argv)
{
	char own[64];
	const char *l = fd_link(getpid(), atoi(argv[0]));

	snprintf(own, sizeof(own), "%s", open_numbers());
	if (strcmp(listed("/proc/self/fd"), own))
		return 1;
	return !has_suffix(l, "/f") || argc != 1;
}

static void t_inherited(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));

	for (int how = T_FORK; how <= T_EXEC; how++)
		is_long(t_end(t_start(how, "inherited", t_num(fd), NULL)), 0,
			"a child's list and links, how %d", how);
}

/* Each section begins by noting where it is. */
#define IN_CWD(name)                                                                     \
	static void name##_(void)                                                        \
	{                                                                                \
		if (getcwd(cwd, sizeof(cwd)))                                            \
			name();                                                          \
	}
IN_CWD(t_links)

T_SUBS = { { "other", s_other }, { "inherited", s_inherited }, T_END };

T_SECTIONS = {
	{ "list", t_list }, { "links", t_links_ }, { "open", t_open },
	{ "info", t_info }, { "other", t_other },  { "inherited", t_inherited },
	T_END,
};
