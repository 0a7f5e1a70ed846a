/* SPDX-License-Identifier: MIT */
/*
 * Descriptors sent over sockets (SCM_RIGHTS): of files, directories, pipes and the outside;
 * what is left of them when they are peeked at, cut off, or never received. Processes that
 * only share a name are on other cores in Hare.
 */
#include "t.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { MANY = 253 };

static ssize_t send_fds(int sock, const int *fds, int n, const char *text, int flags)
{
	static char ctl[CMSG_SPACE(sizeof(int) * (MANY + 1))];
	struct iovec iov = { (char *)text, strlen(text) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	memset(ctl, 0, sizeof(ctl));
	if (n) {
		m.msg_control = ctl;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)n);
	}
	return sendmsg(sock, &m, flags);
}

static int send_fd(int sock, int fd)
{
	return send_fds(sock, &fd, 1, "f", 0) == 1 ? 0 : -1;
}

static char got_text[64];
static int got_flags;

/* How many descriptors came, of at most `room`; -1. */
static int receive_fds(int sock, int *fds, int room, int flags)
{
	static char ctl[CMSG_SPACE(sizeof(int) * MANY)];
	struct iovec iov = { got_text, sizeof(got_text) - 1 };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = room ? ctl : NULL,
			    .msg_controllen = room ? CMSG_LEN(sizeof(int) * (size_t)room)
						   : 0 };
	ssize_t n = recvmsg(sock, &m, flags);
	struct cmsghdr *c;
	int count;

	if (n < 0)
		return -1;
	got_text[n] = 0;
	got_flags = m.msg_flags;
	c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return 0;
	count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(fds, CMSG_DATA(c), (size_t)count * sizeof(int));
	return count;
}

static int receive_fd(int sock)
{
	int fd;

	return receive_fds(sock, &fd, 1, 0) == 1 ? fd : -1;
}

static void pair(int s[2], int type)
{
	must(socketpair(AF_UNIX, type, 0, s));
}

/* True when the other ends of a pipe are all closed, within some seconds. */
static int at_end(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };
	char c;

	return poll(&p, 1, 10000) == 1 && read(fd, &c, 1) == 0;
}

static int not_at_end(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, 100) == 0;
}

/* --- by name, which another core knows too ------------------------------------------ */

static struct sockaddr_un addr(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", name);
	return a;
}

static int listen_at(const char *name, int type)
{
	struct sockaddr_un a = addr(name);
	int s = must(socket(AF_UNIX, type, 0));

	must(bind(s, (struct sockaddr *)&a, sizeof(a)));
	if (type != SOCK_DGRAM)
		must(listen(s, 5));
	return s;
}

static int connect_to(const char *name, int type)
{
	struct sockaddr_un a = addr(name);
	int s = socket(AF_UNIX, type, 0);

	return connect(s, (struct sockaddr *)&a, sizeof(a)) ? -1 : s;
}

/* Opens a file, writes to it, sends it. */
static int s_sender(int argc, char **argv)
{
	int s = connect_to(argv[0], atoi(argv[1]));
	int fd = open(argv[2], O_RDWR | O_CREAT, 0644);

	if (s < 0 || fd < 0 || write(fd, "sent ", 5) != 5 || send_fd(s, fd))
		return 1;
	return argc != 3;
}

/* Receives a file, reads on in it, writes at its end, appends from then on. */
static int s_reader(int argc, char **argv)
{
	int s = connect_to(argv[0], SOCK_STREAM), fd = receive_fd(s);
	char buf[16] = "";

	if (fd < 0 || read(fd, buf, 4) != 4 || strcmp(buf, "efgh"))
		return 1;
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_APPEND))
		return 2;
	return write(s, "k", 1) != 1 || argc != 1;
}

/* Receives both ends of a pipe and talks to itself, then lets go. */
static int s_pipes(int argc, char **argv)
{
	int s = connect_to(argv[0], SOCK_SEQPACKET), fds[3];
	char buf[8] = "";

	if (receive_fds(s, fds, 3, 0) != 3)
		return 1;
	if (write(fds[1], "me", 2) != 2 || read(fds[0], buf, 2) != 2 || strcmp(buf, "me"))
		return 2;
	return write(fds[2], "out", 3) != 3 || argc != 1;
}

static int s_dir(int argc, char **argv)
{
	int s = connect_to(argv[0], SOCK_STREAM), fds[2], fd, n = 0;
	struct stat st;
	DIR *d;

	if (receive_fds(s, fds, 2, 0) != 2)
		return 1;
	fd = openat(fds[0], "in", O_WRONLY);
	if (fd < 0 || write(fd, "new", 3) != 3)
		return 2;
	if (fstat(fds[1], &st) || st.st_size != 3 || read(fds[1], &fd, 1) != -1)
		return 3;
	d = fdopendir(fds[0]);
	while (d && readdir(d))
		n++;
	return n != 3 || argc != 1;
}

static void t_named(void)
{
	const int types[] = { SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM };
	char name[16], file[16];

	for (int i = 0; i < 3; i++) {
		for (int how = T_FORK; how <= T_EXEC; how++) {
			snprintf(name, sizeof(name), "s%d%d", i, how);
			snprintf(file, sizeof(file), "f%d%d", i, how);
			int s = listen_at(name, types[i]), c = s, fd;
			pid_t pid = must(t_start(how, "sender", name, t_num(types[i]),
						 file, NULL));

			if (types[i] != SOCK_DGRAM)
				c = must(accept(s, NULL, NULL));
			fd = is_ok(receive_fd(c), "type %d comes, how %d", i, how);
			is_long(t_end(pid), 0, "type %d: its sender ends, how %d", i,
				how);
			is_long(lseek(fd, 0, SEEK_CUR), 5, "type %d: offset, how %d", i,
				how);
			is_long(write(fd, "on", 2), 2, "type %d: write, how %d", i, how);
			is_str(t_get(file), "sent on", "type %d: the file, how %d", i,
			       how);
			is_long(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR,
				"type %d: its mode, how %d", i, how);
			must(close(fd));
			must(close(s));
		}
	}
}

static void t_offset(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++) {
		const char *name = how ? "s1" : "s0";
		int s = listen_at(name, SOCK_STREAM), fd, c;
		char buf[32] = "";
		pid_t pid;

		must(t_put("f", "abcdefghijkl"));
		fd = must(open("f", O_RDWR));
		must(read(fd, buf, 4));
		pid = must(t_start(how, "reader", name, NULL));
		c = must(accept(s, NULL, NULL));
		is_long(send_fd(c, fd), 0, "send, how %d", how);
		is_long(read(c, buf, 1), 1, "the receiver has read, how %d", how);
		is_long(t_end(pid), 0, "and ends, how %d", how);
		is_long(lseek(fd, 0, SEEK_CUR), 8, "the offset moved here, how %d", how);
		is_long(fcntl(fd, F_GETFL) & O_APPEND, O_APPEND,
			"and O_APPEND is set, how %d", how);
		must(lseek(fd, 0, SEEK_SET));
		is_long(write(fd, "END", 3), 3, "write, how %d", how);
		is_str(t_get("f"), "abcdefghijklEND", "is at the end, how %d", how);
		must(close(fd));
	}
}

static void t_pipes(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++) {
		const char *name = how ? "s1" : "s0";
		int s = listen_at(name, SOCK_SEQPACKET), p[2], q[2], fds[3], c;
		char buf[16] = "";
		pid_t pid;

		must(pipe(p));
		must(pipe(q));
		memcpy(fds, p, sizeof(p));
		fds[2] = q[1];
		pid = must(t_start(how, "pipes", name, NULL));
		c = must(accept(s, NULL, NULL));
		is_long(send_fds(c, fds, 3, "p", 0), 1, "send three ends, how %d", how);
		must(close(p[0]));
		must(close(p[1]));
		must(close(q[1]));
		is_long(read(q[0], buf, 16), 3, "what the receiver wrote, how %d", how);
		is_str(buf, "out", "the text, how %d", how);
		is_long(t_end(pid), 0, "the receiver ends, how %d", how);
		ok(at_end(q[0]), "and the pipe with it, how %d", how);
	}
}

static void t_dir(void)
{
	must(mkdir("d", 0755));
	for (int how = T_FORK; how <= T_EXEC; how++) {
		const char *name = how ? "s1" : "s0";
		int s = listen_at(name, SOCK_STREAM), fds[2];
		pid_t pid;

		must(t_put("d/in", ""));
		fds[0] = must(open("d", O_RDONLY | O_DIRECTORY));
		fds[1] = must(open("d/in", O_PATH));
		pid = must(t_start(how, "dir", name, NULL));
		is_long(send_fds(must(accept(s, NULL, NULL)), fds, 2, "d", 0), 1,
			"send a directory and a path, how %d", how);
		is_long(t_end(pid), 0, "the receiver reads them, how %d", how);
		is_str(t_get("d/in"), "new", "and wrote below, how %d", how);
	}
}

/* --- one message ---------------------------------------------------------------------- */

static void t_mixed(void)
{
	int s[2], in[5], fds[8], p[2], far = must(open("/dev/zero", O_RDONLY));
	struct stat a, b;
	char buf[8];

	pair(s, SOCK_STREAM);
	must(pipe(p));
	must(t_put("f", "file"));
	in[0] = far;
	in[1] = must(open("f", O_RDONLY));
	in[2] = p[0];
	in[3] = must(dup(s[0]));
	in[4] = p[1];
	is_long(send_fds(s[0], in, 5, "mix", 0), 3, "send both kinds");
	is_long(receive_fds(s[1], fds, 8, 0), 5, "all come");
	is_str(got_text, "mix", "with the text");
	for (int i = 0; i < 5; i++) {
		must(fstat(in[i], &a));
		must(fstat(fds[i], &b));
		ok(a.st_ino == b.st_ino && a.st_dev == b.st_dev, "number %d is right", i);
	}
	is_long(read(fds[0], buf, 8), 8, "the device");
	is_long(read(fds[1], buf, 8), 4, "the file");
	is_long(write(fds[4], "pp", 2), 2, "the pipe");
	is_long(read(fds[2], buf, 8), 2, "its other end");
	is_long(fcntl(fds[1], F_GETFD), 0, "not close-on-exec");
	is_long(send_fds(s[0], in, 2, "c", 0), 1, "send again");
	is_long(receive_fds(s[1], fds, 8, MSG_CMSG_CLOEXEC), 2, "with MSG_CMSG_CLOEXEC");
	is_long(fcntl(fds[0], F_GETFD), FD_CLOEXEC, "close-on-exec outside");
	is_long(fcntl(fds[1], F_GETFD), FD_CLOEXEC, "close-on-exec here");
	in[1] = 99;
	is_errno(send_fds(s[0], in, 2, "b", 0), EBADF, "a bad number");
	in[1] = -1;
	is_errno(send_fds(s[0], in, 2, "b", 0), EBADF, "a negative number");
	is_long(send_fds(s[0], in, 0, "plain", 0), 5, "send none");
	is_long(receive_fds(s[1], fds, 8, 0), 0, "none came in between");
	is_str(got_text, "plain", "the text");
}

static void t_many(void)
{
	int s[2], in[MANY + 1], fds[MANY];
	struct stat st;
	int bad = 0;

	pair(s, SOCK_DGRAM);
	for (int i = 0; i <= MANY; i++)
		in[i] = must(open("f", O_RDWR | O_CREAT, 0644));
	is_errno(send_fds(s[0], in, MANY + 1, "m", 0), EINVAL, "one too many");
	is_long(send_fds(s[0], in, MANY, "m", 0), 1, "as many as can be");
	for (int i = 0; i <= MANY; i++)
		must(close(in[i]));
	is_long(receive_fds(s[1], fds, MANY, 0), MANY, "all come");
	for (int i = 0; i < MANY; i++)
		bad += fstat(fds[i], &st) != 0;
	is_long(bad, 0, "all are good");
}

/* The lowest free numbers, as open gives them. */
static void t_numbers(void)
{
	int s[2], in[2], fds[2], a, b;

	pair(s, SOCK_STREAM);
	in[0] = must(open("f", O_RDWR | O_CREAT, 0644));
	in[1] = must(open("/dev/null", O_RDONLY));
	must(send_fds(s[0], in, 2, "n", 0));
	a = must(dup(in[0]));
	b = must(dup(in[1]));
	must(close(a));
	must(close(b));
	must(receive_fds(s[1], fds, 2, 0));
	is_long(fds[0], a, "the first has the lowest number");
	is_long(fds[1], b, "the second the next");
}

static void t_peek(void)
{
	int s[2], p[2], a, b;

	pair(s, SOCK_STREAM);
	must(pipe(p));
	must(send_fd(s[0], p[1]));
	must(close(p[1]));
	is_long(receive_fds(s[1], &a, 1, MSG_PEEK), 1, "peek");
	is_long(receive_fds(s[1], &b, 1, MSG_PEEK), 1, "peek again");
	ok(a != b, "gives another one");
	is_long(write(a, "x", 1), 1, "which works");
	must(close(a));
	must(close(b));
	is_long(read(p[0], &a, 1), 1, "so");
	ok(not_at_end(p[0]), "the pipe is open while the message is there");
	b = is_ok(receive_fd(s[1]), "receive");
	ok(not_at_end(p[0]), "the pipe is open");
	must(close(b));
	ok(at_end(p[0]), "until that is closed");
}

static void t_cut(void)
{
	int s[2], p[2], fds[4], in[3];

	pair(s, SOCK_SEQPACKET);
	must(pipe(p));
	in[0] = in[1] = in[2] = p[1];
	must(send_fds(s[0], in, 3, "t", 0));
	must(close(p[1]));
	is_long(receive_fds(s[1], fds, 1, 0), 1, "room for one of three");
	is_long(got_flags & MSG_CTRUNC, MSG_CTRUNC, "MSG_CTRUNC");
	ok(not_at_end(p[0]), "it is open");
	must(close(fds[0]));
	ok(at_end(p[0]), "the others are closed");
	must(pipe(p));
	must(send_fd(s[0], p[1]));
	must(close(p[1]));
	is_long(receive_fds(s[1], fds, 0, 0), 0, "room for none");
	is_long(got_flags & MSG_CTRUNC, MSG_CTRUNC, "MSG_CTRUNC for none");
	ok(at_end(p[0]), "it is closed");
	must(pipe(p));
	must(send_fd(s[0], p[1]));
	must(close(p[1]));
	is_long(read(s[1], fds, 1), 1, "read instead");
	ok(at_end(p[0]), "closes it too");
}

/* No number is left for the receiver. */
static void t_limit(void)
{
	struct rlimit was, now;
	int s[2], in[2], fds[2], next;

	pair(s, SOCK_STREAM);
	in[0] = must(open("f", O_RDWR | O_CREAT, 0644));
	in[1] = must(open("f", O_RDWR));
	must(send_fds(s[0], in, 2, "l", 0));
	next = must(dup(0));
	must(close(next));
	must(getrlimit(RLIMIT_NOFILE, &was));
	now = was;
	now.rlim_cur = (rlim_t)next + 1;
	must(setrlimit(RLIMIT_NOFILE, &now));
	is_long(receive_fds(s[1], fds, 2, 0), 1, "one number is left");
	is_long(fds[0], next, "which it gets");
	is_long(got_flags & MSG_CTRUNC, MSG_CTRUNC, "MSG_CTRUNC");
	must(setrlimit(RLIMIT_NOFILE, &was));
}

/* --- what is never received ------------------------------------------------------------- */

static void t_unread(void)
{
	int s[2], p[2], fds[2];
	char buf[4096] = "";
	pid_t pid;

	must(pipe(p));
	pair(s, SOCK_STREAM);
	must(send_fd(s[0], p[1]));
	must(close(p[1]));
	must(close(s[0]));
	ok(not_at_end(p[0]), "a message in a socket keeps its pipe open");
	must(close(s[1]));
	ok(at_end(p[0]), "closing the socket closes it");

	must(pipe(p));
	pair(s, SOCK_STREAM);
	pid = must(fork());
	if (pid == 0) {
		must(send_fd(s[0], p[1]));
		kill(getpid(), SIGKILL);
	}
	must(close(p[1]));
	is_long(t_end(pid), 1000 + SIGKILL, "a sender is killed");
	fds[0] = is_ok(receive_fd(s[1]), "what it sent is there");
	is_long(write(fds[0], "y", 1), 1, "and works");
	must(read(p[0], buf, 1));
	must(send_fd(s[0], fds[0]));
	must(close(fds[0]));
	pid = must(fork());
	if (pid == 0) {
		must(receive_fd(s[1]));
		kill(getpid(), SIGKILL);
	}
	is_long(t_end(pid), 1000 + SIGKILL, "a receiver is killed");
	ok(at_end(p[0]), "its pipe is closed");

	must(pipe(p));
	pair(s, SOCK_DGRAM);
	while (send(s[0], buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	fds[0] = p[1];
	is_errno(send_fds(s[0], fds, 1, "full", MSG_DONTWAIT), EAGAIN, "a full socket");
	must(close(p[1]));
	ok(at_end(p[0]), "keeps nothing");

	/* a socket that was sent, with a descriptor unread in it */
	int q[2];

	must(pipe(p));
	pair(s, SOCK_STREAM);
	pair(q, SOCK_STREAM);
	must(send_fd(q[0], p[1]));
	must(send_fd(s[0], q[1]));
	must(close(p[1]));
	must(close(q[1]));
	ok(not_at_end(p[0]), "in a socket in a socket it is open");
	fds[0] = receive_fd(s[1]);
	fds[1] = is_ok(receive_fd(fds[0]), "and can be had");
	must(close(fds[1]));
	ok(at_end(p[0]), "and closed");
}

/* victim NAME in|out: receives descriptors, or sends them, until it is killed. */
static int s_victim(int argc, char **argv)
{
	int s = connect_to(argv[0], SOCK_SEQPACKET), fds[4], n, in = argv[1][0] == 'i';
	int keep = in ? -1 : receive_fd(s);

	for (;;) {
		if (in) {
			n = receive_fds(s, fds, 4, 0);
			while (n > 0)
				close(fds[--n]);
		} else {
			send_fd(s, keep);
		}
	}
	return argc;
}

/* Whoever is killed in the middle of passing a pipe's end: it is closed when all have gone. */
static void t_kills(void)
{
	int open_ends = 0, wrong = 0;
	unsigned seed = 12345;

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 24; i++) {
		int p[2], s, c, fds[2], n, in = i % 2;
		char name[16];
		pid_t pid;

		snprintf(name, sizeof(name), "k%d", i);
		s = listen_at(name, SOCK_SEQPACKET);
		must(pipe(p));
		must(fcntl(p[1], F_SETFD, FD_CLOEXEC));
		pid = must(t_start(i % 4 < 2 ? T_EXEC : T_FORK, "victim", name,
				   in ? "in" : "out", NULL));
		c = must(accept(s, NULL, NULL));
		fds[0] = fds[1] = p[1];
		if (!in)
			must(send_fd(c, p[1]));
		seed = seed * 1103515245 + 12345;
		for (unsigned k = 0; k < 5 + (seed >> 16) % 60; k++) {
			if (in && send_fds(c, fds, 2, "x", 0) < 0)
				break;
			if (!in && (n = receive_fds(c, fds, 2, 0)) > 0)
				must(close(fds[0]));
		}
		must(kill(pid, SIGKILL));
		wrong += t_end(pid) != 1000 + SIGKILL;
		must(close(c));
		must(close(s));
		must(close(p[1]));
		open_ends += !at_end(p[0]);
		must(close(p[0]));
	}
	is_long(wrong, 0, "all were killed");
	is_long(open_ends, 0, "no pipe stays open");
}

/* A file without a name lives on in a socket. */
static void t_unlinked(void)
{
	int s[2], fd = must(open("f", O_RDWR | O_CREAT, 0644));
	char buf[8] = "";

	pair(s, SOCK_STREAM);
	must(write(fd, "last", 4));
	must(unlink("f"));
	must(send_fd(s[0], fd));
	must(close(fd));
	fd = is_ok(receive_fd(s[1]), "receive");
	is_long(pread(fd, buf, 8, 0), 4, "read");
	is_str(buf, "last", "the text");
}

/* --- many messages, many processes -------------------------------------------------------- */

static void t_mmsg(void)
{
	char ctl[3][CMSG_SPACE(sizeof(int))], text[3][4];
	struct mmsghdr m[3] = { 0 };
	struct iovec iov[3];
	int s[2], fd = must(open("f", O_RDWR | O_CREAT, 0644)), got;

	pair(s, SOCK_DGRAM);
	for (int i = 0; i < 3; i++) {
		struct msghdr *h = &m[i].msg_hdr;
		struct cmsghdr *c;

		iov[i] = (struct iovec){ (void *)"abc", (size_t)i + 1 };
		h->msg_iov = &iov[i];
		h->msg_iovlen = 1;
		if (i == 0)
			continue;
		h->msg_control = ctl[i];
		h->msg_controllen = sizeof(ctl[i]);
		c = CMSG_FIRSTHDR(h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	is_long(sendmmsg(s[0], m, 3, 0), 3, "sendmmsg");
	is_long(m[2].msg_len, 3, "its lengths");
	memset(m, 0, sizeof(m));
	for (int i = 0; i < 3; i++) {
		iov[i] = (struct iovec){ text[i], 4 };
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
		m[i].msg_hdr.msg_control = ctl[i];
		m[i].msg_hdr.msg_controllen = sizeof(ctl[i]);
	}
	is_long(recvmmsg(s[1], m, 3, 0, NULL), 3, "recvmmsg");
	for (int i = 0; i < 3; i++) {
		struct cmsghdr *c = CMSG_FIRSTHDR(&m[i].msg_hdr);

		is_long(m[i].msg_len, i + 1, "length of %d", i);
		if (i == 0) {
			ok(!c, "none with the first");
			continue;
		}
		if (!ok(c && c->cmsg_type == SCM_RIGHTS, "one with %d", i))
			continue;
		memcpy(&got, CMSG_DATA(c), sizeof(got));
		is_long(write(got, "w", 1), 1, "it works, %d", i);
	}
	is_str(t_get("f"), "ww", "one offset");
}

/* A server that opens files for whom asks, as a privileged helper would. */
static int s_asker(int argc, char **argv)
{
	char name[16], want[32];
	int s = connect_to(argv[0], SOCK_SEQPACKET);

	for (int i = 0; i < 20; i++) {
		const char *text;
		int fd;

		snprintf(name, sizeof(name), "%s%d", argv[1], i % 5);
		if (send(s, name, strlen(name), 0) < 0 || (fd = receive_fd(s)) < 0)
			return 1;
		snprintf(want, sizeof(want), "%s.%d\n", argv[1], i);
		if (write(fd, want, strlen(want)) != (ssize_t)strlen(want))
			return 2;
		close(fd);
		text = t_get(name);
		if (!text || !strstr(text, want))
			return 3;
	}
	return argc != 2;
}

static void t_server(void)
{
	int s = listen_at("srv", SOCK_SEQPACKET), left = 3;
	struct pollfd p[4] = { { s, POLLIN, 0 } };
	char who[2] = "a", name[32];
	pid_t pid[3];

	for (int i = 0; i < 3; i++, who[0]++) {
		pid[i] = must(t_start(T_EXEC, "asker", "srv", who, NULL));
		p[i + 1] = (struct pollfd){ -1, POLLIN, 0 };
	}
	while (left && poll(p, 4, 15000) > 0) {
		for (int i = 1; i < 4; i++) {
			ssize_t n;
			int fd;

			if (p[0].revents && p[i].fd < 0) {
				p[i].fd = must(accept(s, NULL, NULL));
				p[i].revents = p[0].revents = 0;
			}
			if (p[i].fd < 0 || !p[i].revents)
				continue;
			n = read(p[i].fd, name, sizeof(name) - 1);
			if (n <= 0) {
				must(close(p[i].fd));
				p[i].fd = -1;
				left--;
				continue;
			}
			name[n] = 0;
			fd = must(open(name, O_WRONLY | O_CREAT | O_APPEND, 0644));
			must(send_fd(p[i].fd, fd));
			must(close(fd));
		}
	}
	is_long(left, 0, "all clients have gone");
	for (int i = 0; i < 3; i++)
		is_long(t_end(pid[i]), 0, "client %d had what it wanted", i);
}

/* --- who sent it --------------------------------------------------------------------------- */

static int s_who(int argc, char **argv)
{
	struct ucred me = { getpid(), getuid(), getgid() };
	int s = connect_to(argv[0], SOCK_STREAM);
	char ctl[CMSG_SPACE(sizeof(me))] = { 0 };
	pid_t pid = getpid();
	struct iovec iov = { &pid, sizeof(pid) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = ctl,
			    .msg_controllen = sizeof(ctl) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof(me));
	memcpy(CMSG_DATA(c), &me, sizeof(me));
	if (sendmsg(s, &m, 0) != sizeof(pid))
		return 1;
	return read(s, &pid, 1) != 1 || argc != 1;
}

static void t_creds(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++) {
		const char *name = how ? "s1" : "s0";
		int s = listen_at(name, SOCK_STREAM), c, one = 1;
		char ctl[CMSG_SPACE(sizeof(struct ucred))];
		struct ucred who = { 0 };
		socklen_t len = sizeof(who);
		pid_t said = 0, pid;
		struct iovec iov = { &said, sizeof(said) };
		struct msghdr m = { .msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = ctl,
				    .msg_controllen = sizeof(ctl) };
		struct cmsghdr *h;

		must(setsockopt(s, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
		pid = must(t_start(how, "who", name, NULL));
		c = must(accept(s, NULL, NULL));
		must(setsockopt(c, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
		is_long(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &who, &len), 0,
			"SO_PEERCRED, how %d", how);
		is_long(who.pid, pid, "is the child, how %d", how);
		is_long(recvmsg(c, &m, 0), sizeof(said), "receive, how %d", how);
		h = CMSG_FIRSTHDR(&m);
		if (ok(h && h->cmsg_type == SCM_CREDENTIALS, "credentials, how %d", how))
			memcpy(&who, CMSG_DATA(h), sizeof(who));
		is_long(who.pid, pid, "the sender's pid, how %d", how);
		is_long(said, pid, "as it knows it, how %d", how);
		is_long(who.uid, getuid(), "its user, how %d", how);
		must(write(c, "k", 1));
		is_long(t_end(pid), 0, "the sender ends, how %d", how);
	}
}

T_SUBS = { { "sender", s_sender }, { "reader", s_reader }, { "pipes", s_pipes },
	   { "victim", s_victim },
	   { "dir", s_dir },	   { "asker", s_asker },   { "who", s_who },
	   T_END };

T_SECTIONS = {
	{ "named", t_named },	  { "offset", t_offset },     { "pipes", t_pipes },
	{ "dir", t_dir },	  { "mixed", t_mixed },	      { "many", t_many },
	{ "numbers", t_numbers }, { "peek", t_peek },	      { "cut", t_cut },
	{ "limit", t_limit },	  { "unread", t_unread }, { "kills", t_kills },     { "unlinked", t_unlinked },
	{ "mmsg", t_mmsg },	  { "server", t_server },     { "creds", t_creds },
	T_END,
};
