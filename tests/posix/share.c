/* SPDX-License-Identifier: MIT */
/*
 * Descriptors shared by processes: one offset, one set of status flags, over fork and
 * exec; O_APPEND from several processes; descriptors sent over a socket.
 */
#include "t.h"

#include <sys/resource.h>
#include <sys/socket.h>

static int s_write(int argc, char **argv)
{
	size_t len = strlen(argv[1]);

	return write(atoi(argv[0]), argv[1], len) != (ssize_t)len || argc != 2;
}

static int s_seek(int argc, char **argv)
{
	return lseek(atoi(argv[0]), atoi(argv[1]), SEEK_SET) != atoi(argv[1]) ||
	       argc != 2;
}

static int s_append(int argc, char **argv)
{
	int fd = open(argv[0], O_WRONLY | O_APPEND);
	char rec[32];

	for (int i = 0; i < atoi(argv[2]); i++) {
		int len = snprintf(rec, sizeof(rec), "%s %04d\n", argv[1], i);

		if (write(fd, rec, (size_t)len) != len)
			return argc;
	}
	return 0;
}

static int s_records(int argc, char **argv)
{
	char rec[32];

	for (int i = 0; i < atoi(argv[2]); i++) {
		int len = snprintf(rec, sizeof(rec), "%s %04d\n", argv[1], i);

		if (write(atoi(argv[0]), rec, (size_t)len) != len)
			return argc;
	}
	return 0;
}

static int s_setfl(int argc, char **argv)
{
	return fcntl(atoi(argv[0]), F_SETFL, O_APPEND) || argc != 1;
}

static void offsets(int how)
{
	char name[16], buf[16] = "";
	int fd;

	snprintf(name, sizeof(name), "f%d", how);
	fd = must(open(name, O_RDWR | O_CREAT, 0644));
	must(write(fd, "one ", 4));
	is_long(t_end(t_start(how, "write", t_num(fd), "two ", NULL)), 0,
		"a child writes, how %d", how);
	is_long(lseek(fd, 0, SEEK_CUR), 8, "the offset moved here, how %d", how);
	must(write(fd, "three ", 6));
	is_long(t_end(t_start(how, "write", t_num(fd), "four", NULL)), 0,
		"another child writes, how %d", how);
	is_str(t_get(name), "one two three four", "nothing is overwritten, how %d", how);
	is_long(t_end(t_start(how, "seek", t_num(fd), "4", NULL)), 0,
		"a child seeks, how %d", how);
	is_long(read(fd, buf, 3), 3, "read here, how %d", how);
	is_str(buf, "two", "is from where the child went, how %d", how);
	is_long(t_end(t_start(how, "setfl", t_num(fd), NULL)), 0,
		"a child sets O_APPEND, how %d", how);
	is_long(fcntl(fd, F_GETFL) & O_APPEND, O_APPEND, "is set here, how %d", how);
	must(write(fd, "!", 1));
	is_str(t_get(name), "one two three four!", "and works, how %d", how);
	must(close(fd));
}

static void t_offsets(void)
{
	offsets(T_FORK);
	offsets(T_EXEC);
}

/* Counts each "X NNNN" record of a file; nonzero if one is missing, double or torn. */
static int bad_records(const char *path, int writers, int count)
{
	char seen[4][1000] = { { 0 } }, line[64];
	FILE *f = fopen(path, "r");
	int bad = !f, n = 0, i;
	char who;

	while (f && fgets(line, sizeof(line), f)) {
		if (strlen(line) != 7 || sscanf(line, "%c %d", &who, &i) != 2 ||
		    who < 'a' || who >= 'a' + writers || i < 0 || i >= count ||
		    seen[who - 'a'][i]++)
			bad++;
		n++;
	}
	if (f)
		fclose(f);
	if (bad || n != writers * count)
		t_diag("%d records, %d bad", n, bad);
	return bad + (n != writers * count);
}

static void concurrent(const char *sub, const char *what, int how)
{
	char name[32], who[2] = "a";
	pid_t pid[3];
	int fd;

	snprintf(name, sizeof(name), "%s%d", sub, how);
	fd = must(open(name, O_WRONLY | O_CREAT, 0644));
	for (int i = 0; i < 3; i++, who[0]++)
		pid[i] = (pid_t)must(t_start(how, sub,
					     strcmp(sub, "append") ? t_num(fd) : name,
					     who, "300", NULL));
	for (int i = 0; i < 3; i++)
		is_long(t_end(pid[i]), 0, "%s: writer %d ends, how %d", what, i, how);
	is_long(bad_records(name, 3, 300), 0, "%s: no record is lost or torn, how %d",
		what, how);
	is_long(t_size(name), 3 * 300 * 7, "%s: the size, how %d", what, how);
	must(close(fd));
}

static void t_append(void)
{
	concurrent("append", "O_APPEND, each its own open", T_FORK);
	concurrent("append", "O_APPEND, each its own open", T_EXEC);
}

static void t_oneoffset(void)
{
	concurrent("records", "one description", T_FORK);
	concurrent("records", "one description", T_EXEC);
}

/* A description becomes one of several cores while it is written here. */
static void t_becomes(void)
{
	char name[16];

	for (int k = 0; k < 12; k++) {
		pid_t pid[3];
		int fd, bad = 0;

		snprintf(name, sizeof(name), "becomes%d", k);
		fd = must(open(name, O_WRONLY | O_CREAT, 0644));
		pid[0] = (pid_t)must(
			t_start(T_FORK, "records", t_num(fd), "a", "300", NULL));
		pid[1] = (pid_t)must(
			t_start(T_EXEC, "records", t_num(fd), "b", "300", NULL));
		pid[2] = (pid_t)must(
			t_start(T_FORK, "records", t_num(fd), "c", "300", NULL));
		for (int i = 0; i < 3; i++)
			bad += t_end(pid[i]) != 0;
		is_long(bad, 0, "all writers end, file %d", k);
		is_long(bad_records(name, 3, 300), 0, "no record is lost, file %d", k);
		is_long(lseek(fd, 0, SEEK_CUR), 3 * 300 * 7, "the offset, file %d", k);
		must(close(fd));
	}
}

/* Readers that share one description share out the records between them. */
static int s_take(int argc, char **argv)
{
	int fd = atoi(argv[0]), sum = 0;
	char rec[8];

	while (read(fd, rec, 8) == 8)
		sum += rec[0] == 'r' && rec[7] == '\n';
	return write(atoi(argv[1]), &sum, sizeof(sum)) != sizeof(sum) || argc != 2;
}

static void t_readers(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++) {
		int fd = must(open("r", O_RDWR | O_CREAT | O_TRUNC, 0644)), p[2];
		int sum = 0, n, got = 0;
		pid_t pid[3];
		char rec[9];

		for (int i = 0; i < 500; i++) {
			snprintf(rec, sizeof(rec), "r%06d\n", i);
			must(write(fd, rec, 8));
		}
		must(lseek(fd, 0, SEEK_SET));
		must(pipe(p));
		for (int i = 0; i < 3; i++)
			pid[i] = (pid_t)must(
				t_start(how, "take", t_num(fd), t_num(p[1]), NULL));
		must(close(p[1]));
		while (read(p[0], &n, sizeof(n)) == sizeof(n)) {
			sum += n;
			got++;
		}
		is_long(got, 3, "all readers report, how %d", how);
		is_long(sum, 500, "each record is read by one, how %d", how);
		is_long(lseek(fd, 0, SEEK_CUR), 4000, "the offset is at the end, how %d",
			how);
		for (int i = 0; i < 3; i++)
			is_long(t_end(pid[i]), 0, "reader %d ends, how %d", i, how);
		must(close(fd));
		must(close(p[0]));
	}
}

/* The offset is local again when one holder is left, and right. */
static void t_back(void)
{
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));
	char buf[30] = "";

	for (int i = 0; i < 5; i++) {
		must(write(fd, "p", 1));
		must(t_end(
			t_start(i % 2 ? T_FORK : T_EXEC, "write", t_num(fd), "c", NULL)));
	}
	is_str(t_get("f"), "pcpcpcpcpc", "parent and children in turn");
	is_long(lseek(fd, -4, SEEK_CUR), 6, "seek back");
	is_long(read(fd, buf, 20), 4, "read to the end");
	is_str(buf, "pcpc", "the text");
	pid_t pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 3; i++)
			if (t_end(t_start(T_EXEC, "write", t_num(fd), "g", NULL)))
				_exit(1);
		_exit(0);
	}
	must(close(fd));
	is_long(t_end(pid), 0, "a child goes on with it after the parent closed");
	is_str(t_get("f"), "pcpcpcpcpcggg", "what its children wrote");
}

/* It is one of several cores, and again of one, while it is written here. */
static void t_returns(void)
{
	char name[16];

	for (int k = 0; k < 6; k++) {
		pid_t pid[2];
		int fd, bad = 0;
		char i3[2] = "a";

		snprintf(name, sizeof(name), "returns%d", k);
		fd = must(open(name, O_WRONLY | O_CREAT, 0644));
		for (int i = 0; i < 2; i++, i3[0]++)
			pid[i] = (pid_t)must(t_start(T_FORK, "records", t_num(fd), i3,
						     "300", NULL));
		for (int i = 0; i < 4; i++)
			bad += t_end(t_start(T_EXEC, "write", t_num(fd), "c 0000\n",
					     NULL)) != 0;
		for (int i = 0; i < 2; i++)
			bad += t_end(pid[i]) != 0;
		is_long(bad, 0, "all writers end, file %d", k);
		is_long(t_size(name), 604 * 7, "no record is lost, file %d", k);
		is_long(lseek(fd, 0, SEEK_CUR), 604 * 7, "the offset, file %d", k);
		must(close(fd));
	}
}

/* What a shell starts with >file 2>&1: two numbers of one description, which is its alone. */
static int s_both(int argc, char **argv)
{
	int a = atoi(argv[0]), b = atoi(argv[1]);

	for (int i = 0; i < 4; i++)
		if (write(i % 2 ? a : b, i % 2 ? "a" : "b", 1) != 1)
			return 1;
	if (lseek(a, 0, SEEK_CUR) != 4 || lseek(b, -1, SEEK_CUR) != 3 ||
	    write(a, "A", 1) != 1)
		return 2;
	if (fcntl(a, F_SETFL, O_APPEND) || !(fcntl(b, F_GETFL) & O_APPEND) ||
	    lseek(b, 0, SEEK_SET) || write(b, "!", 1) != 1)
		return 3;
	if (fcntl(b, F_SETFL, 0) || t_end(t_start(T_EXEC, "write", t_num(a), "kid", NULL)) ||
	    lseek(b, 0, SEEK_CUR) != 8)
		return 4;
	if (write(a, ".", 1) != 1 || write(b, ".", 1) != 1 || write(a, ".", 1) != 1)
		return 5;
	return argc != 2;
}

static void t_redirect(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++)
		for (int k = 0; k < 4; k++) {
			int a = must(open("f", O_RDWR | O_CREAT | O_TRUNC, 0644));
			int b = must(dup(a));
			pid_t pid = must(
				t_start(how, "both", t_num(a), t_num(b), NULL));

			must(close(a));
			must(close(b));
			is_long(t_end(pid), 0, "it writes with both, how %d", how);
			is_str(t_get("f"), "babA!kid...", "one offset, how %d", how);
		}
}

static int send_fd(int sock, int fd)
{
	char data = 'f', ctl[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &data, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = ctl,
			      .msg_controllen = sizeof(ctl) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -1;
}

static int receive_fd(int sock)
{
	char data, ctl[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &data, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = ctl,
			      .msg_controllen = sizeof(ctl) };
	struct cmsghdr *c;
	int fd = -1;

	if (recvmsg(sock, &msg, 0) != 1 || !(c = CMSG_FIRSTHDR(&msg)) ||
	    c->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static int s_sender(int argc, char **argv)
{
	int fd = open(argv[1], O_RDWR | O_CREAT, 0644);

	if (fd < 0 || write(fd, "sent ", 5) != 5 || send_fd(atoi(argv[0]), fd))
		return 1;
	return argc != 2;
}

static void t_passing(void)
{
	int s[2], fd;
	pid_t pid;

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	pid = must(t_start(T_FORK, "sender", t_num(s[1]), "f", NULL));
	fd = is_ok(receive_fd(s[0]), "a descriptor comes over a socket");
	is_long(t_end(pid), 0, "its sender ends");
	is_long(lseek(fd, 0, SEEK_CUR), 5, "its offset");
	is_long(write(fd, "on", 2), 2, "write to it");
	is_str(t_get("f"), "sent on", "the file");
	is_long(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR, "its mode");
}

/* Clears O_NONBLOCK of a pipe, and writes to it later. */
static int s_block(int argc, char **argv)
{
	if (fcntl(atoi(argv[0]), F_SETFL, 0) || write(atoi(argv[2]), "k", 1) != 1)
		return 1;
	t_sleep_ms(50);
	return write(atoi(argv[1]), "late", 4) != 4 || argc != 3;
}

/* Flags that another process sets or clears hold here at once. */
static void t_flags(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++) {
		int p[2], q[2], fd;
		char buf[8];
		pid_t pid;

		must(pipe2(p, O_NONBLOCK));
		must(pipe(q));
		must(fcntl(p[1], F_SETFL, 0));
		is_errno(read(p[0], buf, 4), EAGAIN, "O_NONBLOCK is set, how %d", how);
		pid = must(t_start(how, "block", t_num(p[0]), t_num(p[1]), t_num(q[1]),
				   NULL));
		must(read(q[0], buf, 1));
		is_long(fcntl(p[0], F_GETFL) & O_NONBLOCK, 0, "a child clears it, how %d",
			how);
		is_long(read(p[0], buf, 4), 4, "so a read waits, how %d", how);
		is_long(t_end(pid), 0, "for the child, how %d", how);
		fd = must(open("f", O_RDWR | O_CREAT | O_TRUNC, 0644));
		must(write(fd, "abcd", 4));
		is_long(t_end(t_start(how, "setfl", t_num(fd), NULL)), 0,
			"a child sets O_APPEND, how %d", how);
		is_long(pwrite(fd, "e", 1, 0), 1, "pwrite, how %d", how);
		is_str(t_get("f"), "abcde", "appends, how %d", how);
	}
}

static int s_put(int argc, char **argv)
{
	return argc == 2 ? t_put(argv[0], argv[1]) : 2;
}

static int s_same(int argc, char **argv)
{
	const char *got = argc == 2 ? t_get(argv[0]) : NULL;

	return got && !strcmp(got, argv[1]) ? 0 : 1;
}

static long readers(const char *want)
{
	long bad = 0;

	for (int i = 0; i < 4; i++)
		bad += t_end(t_start(T_EXEC, "same", "f", want, NULL)) != 0;
	return bad;
}

/* A close of one of several descriptors is a close: who opens then sees what was written. */
static void t_one_of(void)
{
	int fd, copy;
	pid_t pid;

	must(t_end(t_start(T_EXEC, "put", "f", "old text", NULL)));
	fd = must(open("f", O_RDWR | O_CLOEXEC));
	is_long(readers("old text"), 0, "before");
	copy = must(fcntl(fd, F_DUPFD_CLOEXEC, 0));
	must(pwrite(copy, "new", 3, 0));
	must(close(copy));
	is_long(readers("new text"), 0, "a duplicate was closed");
	pid = must(fork());
	if (!pid) {
		must(pwrite(fd, "NEW", 3, 0));
		_exit(0);
	}
	is_long(t_end(pid), 0, "a child that inherited it ends");
	is_long(readers("NEW text"), 0, "what it wrote");
	must(close(fd));
}

static int g_xfsz;

static void on_xfsz(int sig)
{
	(void)sig;
	g_xfsz++;
}

static int limit_to(long size)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_FSIZE, &r))
		return -1;
	r.rlim_cur = (rlim_t)size;
	return setrlimit(RLIMIT_FSIZE, &r);
}

static char g_many[300000];

/* A write to descriptor, with limit, of length: gives the count that is wanted, or (-1) EFBIG, and then
 * alone SIGXFSZ. */
static int s_limited(int argc, char **argv)
{
	long limit = atol(argv[1]), len = atol(argv[2]), want = atol(argv[3]), r;

	signal(SIGXFSZ, on_xfsz);
	if (argc != 4 || limit_to(limit))
		return 90;
	memset(g_many, 'm', sizeof(g_many));
	errno = 0;
	r = write(atoi(argv[0]), g_many, (size_t)len);
	if (want < 0)
		return r != -1 || errno != EFBIG || g_xfsz != 1;
	return r != want || g_xfsz != 0;
}

/* It is not caught. */
static int s_killed(int argc, char **argv)
{
	signal(SIGXFSZ, SIG_DFL);
	if (argc != 1 || limit_to(1000))
		return 90;
	return write(atoi(argv[0]), "x", 1) != 1;
}

static void limits(const char *what, int flags, int how)
{
	char f[32], num[16];
	int fd;

	snprintf(f, sizeof(f), "l%d%d", flags != 0, how);
	fd = (int)must(open(f, O_RDWR | O_CREAT | flags, 0644));
	snprintf(num, sizeof(num), "%d", fd);
	is_long(t_end(t_start(how, "limited", num, "1000", "600", "600", NULL)), 0,
		"%s: below the limit", what);
	is_long(t_end(t_start(how, "limited", num, "1000", "600", "400", NULL)), 0,
		"%s: up to it", what);
	is_long(t_end(t_start(how, "limited", num, "1000", "600", "-1", NULL)), 0,
		"%s: from it on", what);
	is_long(t_end(t_start(how, "killed", num, NULL)), 1000 + SIGXFSZ,
		"%s: SIGXFSZ kills", what);
	is_long(t_size(f), 1000, "%s: the size", what);
	is_long(lseek(fd, 0, SEEK_CUR), 1000, "%s: the offset", what);
	is_long(write(fd, "more", 4), 4, "%s: without a limit", what);
	is_long(t_end(t_start(how, "limited", num, "200000", "300000", "198996", NULL)), 0,
		"%s: a long write", what);
	is_long(t_size(f), 200000, "%s: the size then", what);
	is_long(t_end(t_start(how, "limited", num, "0", "1", "-1", NULL)), 0,
		"%s: a limit of 0", what);
	is_long(t_end(t_start(how, "limited", num, "0", "0", "0", NULL)), 0,
		"%s: nothing to write", what);
	close(fd);
}

static void t_limits(void)
{
	limits("offset, forked", 0, T_FORK);
	limits("offset, executed", 0, T_EXEC);
	limits("O_APPEND, forked", O_APPEND, T_FORK);
	limits("O_APPEND, executed", O_APPEND, T_EXEC);
}

/* Memory that ends, and what is given up to there: bits of what went wrong. */
static int edges(int fd, int c)
{
	size_t page = 4096;
	char *m = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *end = m + 2 * page, buf[20];
	struct iovec v[2] = { { m, 5000 }, { (void *)8, 50000 } };
	int bad = m == MAP_FAILED || munmap(end, page);

	bad |= (lseek(fd, 0, SEEK_SET) || read(fd, (void *)8, 10) != -1 || errno != EFAULT ||
		lseek(fd, 0, SEEK_CUR))
	       << 1;
	bad |= (lseek(fd, 100, SEEK_SET) != 100 || read(fd, end - 3, 10) != 3 ||
		end[-1] != 'x' || lseek(fd, 0, SEEK_CUR) != 103)
	       << 2;
	bad |= (lseek(fd, 0, SEEK_SET) || read(fd, m, 40000) != 8192 ||
		lseek(fd, 0, SEEK_CUR) != 8192)
	       << 3;
	bad |= (lseek(fd, 0, SEEK_SET) || readv(fd, v, 2) != 5000 ||
		lseek(fd, 0, SEEK_CUR) != 5000)
	       << 4;
	memset(m, c, 2 * page);
	bad |= (lseek(fd, 0, SEEK_SET) || write(fd, (void *)8, 10) != -1 || errno != EFAULT ||
		lseek(fd, 0, SEEK_CUR))
	       << 5;
	bad |= (lseek(fd, 4096, SEEK_SET) != 4096 || write(fd, end - 3, 5000) != 3 ||
		lseek(fd, 0, SEEK_CUR) != 4099)
	       << 6;
	v[0].iov_len = 5;
	bad |= (lseek(fd, 8192, SEEK_SET) != 8192 || writev(fd, v, 2) != 5 ||
		lseek(fd, 0, SEEK_CUR) != 8197)
	       << 7;
	memset(buf, 0, sizeof(buf));
	bad |= (pread(fd, buf, 6, 4096) != 6 || buf[0] != c || buf[2] != c || buf[3] != 'x' ||
		pread(fd, buf, 8, 8192) != 8 || buf[4] != c || buf[5] != 'x')
	       << 8;
	return bad;
}

/* argv: the descriptor, or a name; the byte to write; two pipes' ends to take turns, or -1. */
static int s_edges(int argc, char **argv)
{
	int fd = argv[0][0] == 'e' ? open(argv[0], O_RDWR) : atoi(argv[0]), bad;
	char c, all[20000];

	if (argv[0][0] == 'e') { /* this core knows the bytes of before */
		bad = read(fd, all, sizeof(all)) != sizeof(all) || close(fd);
		if (write(atoi(argv[2]), "r", 1) != 1 || read(atoi(argv[3]), &c, 1) != 1)
			return 2;
		fd = open(argv[0], O_RDWR);
		return bad || edges(fd, argv[1][0]) || argc != 4;
	}
	bad = edges(fd, argv[1][0]);
	return (bad & 255) | bad >> 8;
}

static void edge_bytes(const char *at, char c)
{
	char got[20000], want[20000];
	int fd = must(open("edge", O_RDONLY));

	memset(want, 'x', sizeof(want));
	memset(want + 4096, c, 3);
	memset(want + 8192, c, 5);
	must(read(fd, got, sizeof(got)));
	is_long(memcmp(got, want, sizeof(got)), 0, "the bytes are written, no others, %s", at);
	must(close(fd));
}

static void t_edges(void)
{
	int fd = must(open("edge", O_RDWR | O_CREAT, 0600)), to[2], from[2];
	char all[20000];
	pid_t pid;

	memset(all, 'y', sizeof(all));
	must(write(fd, all, sizeof(all)));
	must(pipe(to));
	must(pipe(from));
	pid = t_start(T_EXEC, "edges", "edge", "f", t_num(to[1]), t_num(from[0]), NULL);
	must(read(to[0], all, 1));
	memset(all, 'x', sizeof(all));
	must(pwrite(fd, all, sizeof(all), 0));
	must(fsync(fd));
	is_long(edges(fd, 'o'), 0, "memory that ends");
	edge_bytes("own", 'o');
	must(write(from[1], "g", 1));
	is_long(t_end(pid), 0, "memory that ends, opened there");
	edge_bytes("there", 'f');
	for (int how = T_FORK; how <= T_EXEC; how++) {
		is_long(t_end(t_start(how, "edges", t_num(fd), "s", NULL)), 0,
			"memory that ends, shared, how %d", how);
		edge_bytes("shared", 's');
	}
	is_long(edges(fd, 'b'), 0, "and back");
	edge_bytes("back", 'b');
	must(close(fd));
}

T_SUBS = { { "edges", s_edges }, { "put", s_put }, { "same", s_same }, { "write", s_write },   { "seek", s_seek },
	   { "append", s_append }, { "records", s_records },
	   { "block", s_block },   { "setfl", s_setfl },   { "take", s_take },
	   { "sender", s_sender }, { "both", s_both }, { "limited", s_limited },
	   { "killed", s_killed }, T_END };

T_SECTIONS = {
	{ "offsets", t_offsets },
	{ "append", t_append },
	{ "oneoffset", t_oneoffset },
	{ "becomes", t_becomes },
	{ "readers", t_readers },
	{ "back", t_back },
	{ "returns", t_returns },
	{ "redirect", t_redirect },
	{ "passing", t_passing },
	{ "flags", t_flags },
	{ "one_of", t_one_of },
	{ "limits", t_limits },
	{ "edges", t_edges },
	T_END,
};
