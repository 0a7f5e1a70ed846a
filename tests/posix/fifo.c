/* SPDX-License-Identifier: MIT */
/* Named pipes: open blocks for the other side, data flows between processes, the end. */
#include "t.h"

static int s_write(int argc, char **argv)
{
	int fd = open(argv[0], O_WRONLY);
	size_t len = strlen(argv[1]);

	return fd < 0 || write(fd, argv[1], len) != (ssize_t)len || argc != 2;
}

static int s_read(int argc, char **argv)
{
	int fd = open(argv[0], O_RDONLY);
	char buf[64] = "";
	size_t len = 0;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, buf + len, sizeof(buf) - 1 - len)) > 0)
		len += (size_t)n;
	return fd < 0 || strcmp(buf, argv[1]) || argc != 2;
}

static void t_make(void)
{
	struct stat st;

	is_long(mkfifo("p", 0640), 0, "mkfifo");
	is_long(lstat("p", &st), 0, "lstat");
	is_long(st.st_mode, S_IFIFO | 0640, "type and mode");
	is_long(st.st_size, 0, "size");
	is_errno(mkfifo("p", 0640), EEXIST, "again");
	is_errno(mkfifo("none/p", 0640), ENOENT, "in no directory");
	is_errno(mkfifo("", 0640), ENOENT, "the empty name");
	is_errno(open("p", O_WRONLY | O_NONBLOCK), ENXIO,
		 "O_WRONLY and O_NONBLOCK, no reader");
	is_errno(open("p", O_RDONLY | O_DIRECTORY), ENOTDIR, "O_DIRECTORY");
	is_long(link("p", "q"), 0, "link");
	is_long(t_nlink("p"), 2, "two links");
	is_long(rename("q", "r"), 0, "rename");
	is_long(unlink("p"), 0, "unlink");
	is_long(chmod("r", 0600), 0, "chmod");
	is_errno(truncate("r", 0), EINVAL, "truncate");
}

static void t_flow(void)
{
	char buf[64] = "";
	pid_t pid;
	int fd;

	for (int how = T_FORK; how <= T_EXEC; how++) {
		unlink("p");
		must(mkfifo("p", 0644));
		pid = must(t_start(how, "write", "p", "from a writer", NULL));
		fd = is_ok(open("p", O_RDONLY), "open to read waits for a writer, how %d",
			   how);
		size_t len = 0;
		ssize_t n;
		memset(buf, 0, sizeof(buf));
		while ((n = read(fd, buf + len, sizeof(buf) - 1 - len)) > 0)
			len += (size_t)n;
		is_str(buf, "from a writer", "the text, how %d", how);
		is_long(n, 0, "then the end, how %d", how);
		is_long(t_end(pid), 0, "the writer ends, how %d", how);
		must(close(fd));
		pid = must(t_start(how, "read", "p", "to a reader", NULL));
		fd = is_ok(open("p", O_WRONLY),
			   "open to write waits for a reader, how %d", how);
		is_long(write(fd, "to a reader", 11), 11, "write, how %d", how);
		must(close(fd));
		is_long(t_end(pid), 0, "the reader has it, how %d", how);
	}
}

static void t_nonblock(void)
{
	char c;
	int r, w, rw;

	must(mkfifo("p", 0644));
	r = is_ok(open("p", O_RDONLY | O_NONBLOCK),
		  "O_RDONLY and O_NONBLOCK does not wait");
	is_long(read(r, &c, 1), 0, "no writer yet: the end");
	w = is_ok(open("p", O_WRONLY | O_NONBLOCK), "now a writer");
	is_errno(read(r, &c, 1), EAGAIN, "no data: EAGAIN");
	is_long(write(w, "x", 1), 1, "write");
	is_long(read(r, &c, 1), 1, "read");
	must(close(w));
	is_long(read(r, &c, 1), 0, "the end again");
	w = is_ok(open("p", O_WRONLY), "a second writer");
	is_long(write(w, "y", 1), 1, "writes");
	is_long(read(r, &c, 1), 1, "and is read");
	must(close(r));
	signal(SIGPIPE, SIG_IGN);
	is_errno(write(w, "z", 1), EPIPE, "no reader: EPIPE");
	must(close(w));
	rw = is_ok(open("p", O_RDWR), "O_RDWR waits for nobody");
	is_long(write(rw, "self", 4), 4, "write to oneself");
	is_long(read(rw, &c, 1), 1, "and read");
	is_long(c, 's', "the byte");
}

static void t_unlinked(void)
{
	char c = 0;
	int rw, r;

	must(mkfifo("p", 0644));
	rw = must(open("p", O_RDWR));
	r = must(open("p", O_RDONLY));
	must(unlink("p"));
	is_long(write(rw, "u", 1), 1, "an unlinked FIFO is written");
	is_long(read(r, &c, 1), 1, "and read");
	must(mkfifo("p", 0644));
	is_errno(open("p", O_WRONLY | O_NONBLOCK), ENXIO,
		 "a new one of that name is another");
}

static void t_interrupted(void)
{
	pid_t pid;

	must(mkfifo("p", 0644));
	pid = must(t_start(T_EXEC, "read", "p", "", NULL));
	t_sleep_ms(50);
	must(kill(pid, SIGKILL));
	is_long(t_end(pid), 1000 + SIGKILL, "killed while its open waits");
	is_errno(open("p", O_WRONLY | O_NONBLOCK), ENXIO, "it is no reader any more");
}

/* Which times of an inode have moved since it was asked last: "amc" all, "---" none. */
static const char *moved(int fd)
{
	static struct stat was;
	static char got[4];
	struct stat st;

	must(fstat(fd, &st));
	snprintf(got, sizeof(got), "%c%c%c",
		 memcmp(&st.st_atim, &was.st_atim, sizeof(st.st_atim)) ? 'a' : '-',
		 memcmp(&st.st_mtim, &was.st_mtim, sizeof(st.st_mtim)) ? 'm' : '-',
		 memcmp(&st.st_ctim, &was.st_ctim, sizeof(st.st_ctim)) ? 'c' : '-');
	was = st;
	t_sleep_ms(20);
	return got;
}

static int s_write_fd(int argc, char **argv)
{
	return write(atoi(argv[0]), "12", 2) != 2 || argc != 1;
}

static int s_read_fd(int argc, char **argv)
{
	char c;

	return read(atoi(argv[0]), &c, 1) != 1 || argc != 1;
}

static void times_of(int r, int w, const char *kind, const char *mc, const char *a)
{
	struct iovec v = { "abc", 3 };
	struct timespec ts[2] = { { 5, 5 }, { 6, 6 } };
	char buf[8];
	int p[2];

	must(pipe2(p, O_NONBLOCK));
	moved(r);
	is_str(moved(r), "---", "%s: nothing is done", kind);
	must(write(w, "abc", 3));
	is_str(moved(r), mc, "%s: write", kind);
	must(read(r, buf, 1));
	is_str(moved(r), a, "%s: read", kind);
	must(read(r, buf, 1));
	is_str(moved(r), "---", "%s: another read", kind);
	must(write(w, "", 0));
	must(read(r, buf, 0));
	is_str(moved(r), "---", "%s: write and read of nothing", kind);
	must(read(r, buf, 8));
	is_errno(read(r, buf, 1), EAGAIN, "%s: nothing is there", kind);
	is_str(moved(r), "---", "%s: and no time has moved", kind);
	must(write(p[1], "hello", 5));
	must(splice(p[0], NULL, w, NULL, 5, 0));
	must(tee(r, p[1], 2, 0));
	must(splice(r, NULL, p[1], NULL, 2, 0));
	must(vmsplice(w, &v, 1, 0));
	is_str(moved(r), "---", "%s: splice, tee and vmsplice", kind);
	is_long(t_end(t_start(T_EXEC, "write_fd", t_num(w), NULL)), 0,
		"%s: another program writes", kind);
	is_str(moved(r), mc, "%s: its write", kind);
	is_long(t_end(t_start(T_EXEC, "read_fd", t_num(r), NULL)), 0,
		"%s: another program reads", kind);
	is_str(moved(r), a, "%s: its read", kind);
	must(futimens(r, ts));
	is_str(moved(r), "amc", "%s: futimens", kind);
	must(write(w, "a", 1));
	is_str(moved(r), mc, "%s: write then", kind);
	must(fcntl(r, F_SETFL, O_NONBLOCK | O_NOATIME));
	must(read(r, buf, 1));
	is_str(moved(r), "---", "%s: read with O_NOATIME", kind);
	must(fcntl(r, F_SETFL, O_NONBLOCK));
	must(read(r, buf, 1));
	is_str(moved(r), a, "%s: and without", kind);
}

static void t_times(void)
{
	int p[2], r;

	must(pipe2(p, O_NONBLOCK));
	if (t_kernel(6, 15)) /* before, those of pipes moved as well */
		times_of(p[0], p[1], "a pipe", "---", "---");
	must(mkfifo("f", 0600));
	r = (int)must(open("f", O_RDONLY | O_NONBLOCK));
	times_of(r, (int)must(open("f", O_WRONLY)), "a FIFO", "-mc", "a--");
}

T_SUBS = { { "write", s_write },
	   { "read", s_read },
	   { "write_fd", s_write_fd },
	   { "read_fd", s_read_fd },
	   T_END };

T_SECTIONS = {
	{ "make", t_make },
	{ "flow", t_flow },
	{ "nonblock", t_nonblock },
	{ "unlinked", t_unlinked },
	{ "interrupted", t_interrupted },
	{ "times", t_times },
	T_END,
};
