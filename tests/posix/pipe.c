/* SPDX-License-Identifier: MIT */
/* Pipes: order, end, EPIPE, atomic writes, capacity, O_NONBLOCK, who holds them open. */
#include "t.h"

#include <sys/ioctl.h>

static char big[256 << 10];

static void t_basic(void)
{
	char buf[100] = "";
	struct stat st;
	int p[2];

	is_long(pipe(p), 0, "pipe");
	is_long(write(p[1], "hello", 5), 5, "write");
	is_long(read(p[0], buf, 100), 5, "read gives what is there");
	is_str(buf, "hello", "the text");
	is_long(write(p[1], "abcdef", 6), 6, "write more");
	is_long(read(p[0], buf, 2), 2, "read a part");
	is_long(read(p[0], buf + 2, 100), 4, "read the rest");
	is_str(buf, "abcdef", "in order");
	is_errno(write(p[0], "x", 1), EBADF, "write to the read end");
	is_errno(read(p[1], buf, 1), EBADF, "read from the write end");
	is_errno(lseek(p[0], 0, SEEK_SET), ESPIPE, "lseek");
	is_errno(pread(p[0], buf, 1, 0), ESPIPE, "pread");
	is_errno(pwrite(p[1], buf, 1, 0), ESPIPE, "pwrite");
	is_long(fstat(p[0], &st), 0, "fstat");
	ok(S_ISFIFO(st.st_mode), "its type");
	is_long(fcntl(p[0], F_GETFL) & O_ACCMODE, O_RDONLY, "the read end's mode");
	is_long(fcntl(p[1], F_GETFL) & O_ACCMODE, O_WRONLY, "the write end's mode");
	is_long(write(p[1], "", 0), 0, "write of nothing");
	is_long(read(p[0], buf, 0), 0, "read of nothing does not block");
	must(write(p[1], "12345", 5));
	int n = -1;
	is_long(ioctl(p[0], FIONREAD, &n), 0, "FIONREAD");
	is_long(n, 5, "tells how much is there");
	must(close(p[1]));
	is_long(read(p[0], buf, 100), 5, "what was written before the close");
	is_long(read(p[0], buf, 100), 0, "then the end");
	is_long(read(p[0], buf, 100), 0, "and again");
	is_errno(pipe2(p, 0x40000000), EINVAL, "pipe2 with a bad flag");
	is_long(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0, "pipe2");
	is_long(fcntl(p[0], F_GETFD), FD_CLOEXEC, "O_CLOEXEC");
	is_long(fcntl(p[1], F_GETFL) & O_NONBLOCK, O_NONBLOCK, "O_NONBLOCK");
}

static void t_epipe(void)
{
	int p[2];
	pid_t pid;

	must(pipe(p));
	must(close(p[0]));
	signal(SIGPIPE, SIG_IGN);
	is_errno(write(p[1], "x", 1), EPIPE, "write without a reader");
	is_errno(write(p[1], big, sizeof(big)), EPIPE, "much, too");
	pid = must(fork());
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		_exit(write(p[1], "x", 1) == 1);
	}
	is_long(t_end(pid), 1000 + SIGPIPE, "SIGPIPE kills who does not expect it");
}

static void t_nonblock(void)
{
	char buf[10];
	int p[2], total = 0;
	ssize_t n;

	must(pipe2(p, O_NONBLOCK));
	is_errno(read(p[0], buf, 1), EAGAIN, "read of an empty pipe");
	while ((n = write(p[1], big, 4096)) > 0)
		total += (int)n;
	is_long(n == -1 ? errno : 0, EAGAIN, "write to a full one");
	is_long(total, 65536, "its capacity is 64 KiB");
	is_errno(write(p[1], "x", 1), EAGAIN, "one byte more");
	is_long(read(p[0], big, 4096), 4096, "4096 bytes read");
	is_long(write(p[1], big, 4096), 4096, "4096 go in again");
	while (read(p[0], big, sizeof(big)) > 0)
		;
	is_long(write(p[1], big, 100000), 65536, "a large write is partial");
	is_errno(write(p[1], big, 100), EAGAIN, "then it is full");
	must(read(p[0], big, 50));
	is_errno(write(p[1], big, 4096), EAGAIN,
		 "a write up to PIPE_BUF is all or nothing");
	while (read(p[0], big, sizeof(big)) > 0)
		;
	must(close(p[1]));
	is_long(read(p[0], buf, 1), 0, "the end is no EAGAIN");
}

static void t_capacity(void)
{
	int p[2];

	must(pipe2(p, O_NONBLOCK));
	is_long(fcntl(p[0], F_GETPIPE_SZ), 65536, "F_GETPIPE_SZ");
	must(write(p[1], "abc", 3));
	is_errno(fcntl(must(open(".", O_RDONLY)), F_GETPIPE_SZ), EBADF, "of no pipe");
}

static int s_writer(int argc, char **argv)
{
	int fd = atoi(argv[0]), count = atoi(argv[2]);
	char rec[100];

	memset(rec, argv[1][0], sizeof(rec));
	for (int i = 0; i < count; i++)
		if (write(fd, rec, sizeof(rec)) != sizeof(rec))
			return argc;
	return 0;
}

static int s_echo(int argc, char **argv)
{
	int in = atoi(argv[0]), out = atoi(argv[1]);
	static char buf[30000];
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			return argc;
	return n != 0;
}

/* Several writers, records of 100 bytes: none is torn, none lost. */
static void atomic(int how)
{
	int p[2], counts[3] = { 0 }, torn = 0;
	char rec[100];
	pid_t pid[3];
	size_t got;
	ssize_t n;

	must(pipe(p));
	for (int i = 0; i < 3; i++)
		pid[i] =
			(pid_t)must(t_start(how, "writer", t_num(p[1]),
					    (char[]){ (char)('a' + i), 0 }, "400", NULL));
	must(close(p[1]));
	for (;;) {
		for (got = 0; got < 100; got += (size_t)n) {
			n = read(p[0], rec + got, 100 - got);
			if (n <= 0)
				break;
		}
		if (got < 100)
			break;
		for (int i = 1; i < 100; i++)
			torn |= rec[i] != rec[0];
		if (rec[0] >= 'a' && rec[0] <= 'c')
			counts[rec[0] - 'a']++;
	}
	is_long((long)got, 0, "no half record at the end, how %d", how);
	is_long(torn, 0, "no record is torn, how %d", how);
	for (int i = 0; i < 3; i++) {
		is_long(counts[i], 400, "all of writer %d's records, how %d", i, how);
		is_long(t_end(pid[i]), 0, "writer %d ends, how %d", i, how);
	}
	must(close(p[0]));
}

static void t_atomic(void)
{
	atomic(T_FORK);
	atomic(T_EXEC);
}

/* There and back through two pipes and another process, more than the pipes hold. */
static void through(int how)
{
	int to[2], from[2], good = 1, flags;
	size_t sent = 0, back = 0, total = 2 << 20;
	pid_t pid;

	must(pipe(to));
	must(pipe(from));
	must(fcntl(to[1], F_SETFD, FD_CLOEXEC));
	must(fcntl(from[0], F_SETFD, FD_CLOEXEC));
	pid = fork();
	if (pid == 0) {
		close(to[1]);
		close(from[0]);
		_exit(t_end(t_start(how, "echo", t_num(to[0]), t_num(from[1]), NULL)));
	}
	must(close(to[0]));
	must(close(from[1]));
	flags = fcntl(to[1], F_GETFL);
	must(fcntl(to[1], F_SETFL, flags | O_NONBLOCK));
	while (back < total) {
		struct pollfd pfd[2] = { { sent < total ? to[1] : -1, POLLOUT, 0 },
					 { from[0], POLLIN, 0 } };
		ssize_t n;

		if (poll(pfd, 2, 10000) <= 0)
			break;
		if (pfd[0].revents & POLLOUT) {
			size_t len = total - sent < 9973 ? total - sent : 9973;

			for (size_t i = 0; i < len; i++)
				big[i] = (char)((sent + i) % 251);
			n = write(to[1], big, len);
			if (n > 0)
				sent += (size_t)n;
			if (sent == total)
				close(to[1]);
		}
		if (pfd[1].revents & POLLIN) {
			n = read(from[0], big, 20000);
			for (ssize_t i = 0; i < n; i++)
				good &= big[i] == (char)((back + (size_t)i) % 251);
			if (n <= 0)
				break;
			back += (size_t)n;
		}
	}
	is_long((long)back, (long)total, "2 MiB there and back, how %d", how);
	ok(good, "unchanged, how %d", how);
	is_long(read(from[0], big, 1), 0, "then the end, how %d", how);
	is_long(t_end(pid), 0, "the other ends, how %d", how);
	must(close(from[0]));
}

static void t_through(void)
{
	through(T_FORK);
	through(T_EXEC);
}

static int s_hold(int argc, char **argv)
{
	char c;

	(void)argv;
	return read(0, &c, 1) < 0 ? 1 : argc - 1;
}

/* The end comes when the last writer is gone, wherever and however it goes. */
static void t_last(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++) {
		int p[2], hold[2];
		pid_t pid;
		char c;

		must(pipe(p));
		must(pipe(hold));
		must(fcntl(hold[1], F_SETFD, FD_CLOEXEC));
		must(fcntl(p[0], F_SETFD, FD_CLOEXEC));
		pid = fork();
		if (pid == 0) {
			dup2(hold[0], 0);
			close(hold[1]);
			close(p[0]);
			_exit(t_end(t_start(how, "hold", "", NULL)));
		}
		must(close(p[1]));
		must(fcntl(p[0], F_SETFL, O_NONBLOCK));
		is_errno(read(p[0], &c, 1), EAGAIN, "another holds it open, how %d", how);
		must(fcntl(p[0], F_SETFL, 0));
		must(close(hold[1]));
		is_long(read(p[0], &c, 1), 0, "the end when it exits, how %d", how);
		is_long(t_end(pid), 0, "it exits, how %d", how);
		must(close(p[0]));
		must(close(hold[0]));
	}
}

static int s_sleep(int argc, char **argv)
{
	(void)argv;
	t_sleep_ms(15000);
	return argc;
}

static void t_killed(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++) {
		int p[2];
		pid_t pid;
		char c;

		must(pipe(p));
		must(fcntl(p[0], F_SETFD, FD_CLOEXEC));
		pid = must(t_start(how, "sleep", NULL));
		must(close(p[1]));
		t_sleep_ms(20);
		must(kill(pid, SIGKILL));
		is_long(read(p[0], &c, 1), 0, "the end when the writer is killed, how %d",
			how);
		is_long(t_end(pid), 1000 + SIGKILL, "it was killed, how %d", how);
		must(close(p[0]));
		must(pipe(p));
		must(fcntl(p[1], F_SETFD, FD_CLOEXEC));
		pid = must(t_start(how, "sleep", NULL));
		must(close(p[0]));
		must(kill(pid, SIGKILL));
		signal(SIGPIPE, SIG_IGN);
		while (write(p[1], big, 65536) > 0)
			;
		is_long(errno, EPIPE, "EPIPE when the reader is killed, how %d", how);
		is_long(t_end(pid), 1000 + SIGKILL, "the reader was killed, how %d", how);
		must(close(p[1]));
	}
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void t_eintr(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	pid_t pid;
	int p[2];
	char c;

	must(pipe(p));
	must(sigaction(SIGUSR1, &sa, NULL));
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 50; i++) {
			t_sleep_ms(20);
			kill(getppid(), SIGUSR1);
		}
		_exit(0);
	}
	is_errno(read(p[0], &c, 1), EINTR, "a signal interrupts a read");
	kill(pid, SIGKILL);
	t_end(pid);
	sa.sa_flags = SA_RESTART;
	must(sigaction(SIGUSR1, &sa, NULL));
	pid = fork();
	if (pid == 0) {
		t_sleep_ms(50);
		kill(getppid(), SIGUSR1);
		t_sleep_ms(50);
		_exit(write(p[1], "x", 1) != 1);
	}
	is_long(read(p[0], &c, 1), 1, "with SA_RESTART it goes on");
	is_long(t_end(pid), 0, "the writer ends");
	sa.sa_flags = 0;
	must(sigaction(SIGUSR1, &sa, NULL));
	must(write(p[1], big, 65536));
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 50; i++) {
			t_sleep_ms(20);
			kill(getppid(), SIGUSR1);
		}
		_exit(0);
	}
	is_errno(write(p[1], "x", 1), EINTR, "a signal interrupts a write");
	kill(pid, SIGKILL);
	t_end(pid);
}

/* `pages` of memory with nothing behind. */
static char *edge(size_t pages)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	char *m = mmap(NULL, (pages + 1) * size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(m == MAP_FAILED ? -1 : 0);
	must(munmap(m + pages * size, size));
	return m + pages * size;
}

/* Reads of a pipe with 100000 bytes written in all into memory that is not there: the bytes stay. */
static int s_bad(int argc, char **argv)
{
	int fd = atoi(argv[0]), bad = 0, left = -1;
	char *end = edge(2), c = 0;
	struct iovec v[2] = { { &c, 1 }, { end, 10 } };

	bad |= (read(fd, end - 3, 6) != -1 || errno != EFAULT) << 0;
	bad |= (read(fd, (char *)8, 100) != -1 || errno != EFAULT) << 1;
	bad |= (readv(fd, v, 2) != -1 || errno != EFAULT) << 2;
	bad |= (read(fd, end - 8192, 50000) != 8192) << 3;
	for (int i = 0; i < 8192; i++)
		bad |= (end[i - 8192] != (char)(i % 251)) << 4;
	bad |= (read(fd, end, 60000) != -1 || errno != EFAULT) << 5;
	bad |= (ioctl(fd, FIONREAD, &left) != 0 || left != 40000 - 8192) << 6;
	for (int at = 8192; at < 40000; at++)
		bad |= (read(fd, &c, 1) != 1 || c != (char)(at % 251)) << 7;
	return bad | (argc != 1);
}

static void t_efault(void)
{
	char buf[10] = "";
	int p[2];

	for (int i = 0; i < 40000; i++)
		big[i] = (char)(i % 251);
	for (int how = T_FORK; how <= T_EXEC; how++) {
		must(pipe(p));
		must(write(p[1], big, 40000));
		is_long(t_end(t_start(how, "bad", t_num(p[0]), NULL)), 0,
			"what no memory is there for stays in the pipe, how %d", how);
		/* Around its end, where positions begin anew. */
		must(fcntl(p[0], F_SETFL, O_NONBLOCK));
		must(write(p[1], "abcdef", 6));
		is_errno(read(p[0], (char *)8, 6), EFAULT, "all that is in it");
		must(close(p[1]));
		is_errno(read(p[0], edge(1) - 3, 6), EFAULT, "and without a writer");
		is_long(read(p[0], buf, 2), 2, "a part");
		is_errno(read(p[0], (char *)8, 2), EFAULT, "and not the next one");
		is_long(read(p[0], buf + 2, 10), 4, "all is there");
		is_str(buf, "abcdef", "in order");
		must(close(p[0]));
	}
	must(pipe2(p, O_NONBLOCK));
	is_errno(write(p[1], (char *)8, 6), EFAULT, "write of nothing that is there");
	must(write(p[1], big, 65536));
	is_errno(write(p[1], (char *)8, 6), EAGAIN, "to a full one");
	must(close(p[0]));
	signal(SIGPIPE, SIG_IGN);
	is_errno(write(p[1], (char *)8, 6), EPIPE, "to one without a reader");
}

static void t_reopen(void)
{
	char path[64], buf[10] = "";
	int p[2], fd;

	must(pipe(p));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p[1]);
	fd = is_ok(open(path, O_WRONLY), "a pipe opened by /proc/self/fd");
	is_long(write(fd, "abc", 3), 3, "write to it");
	is_long(read(p[0], buf, 10), 3, "read from the pipe");
	is_str(buf, "abc", "the text");
	snprintf(path, sizeof(path), "/dev/fd/%d", p[0]);
	fd = is_ok(open(path, O_RDONLY), "and by /dev/fd");
	must(write(p[1], "def", 3));
	is_long(read(fd, buf, 10), 3, "read from that");
	is_str(buf, "def", "the second text");
}

T_SUBS = { { "writer", s_writer }, { "echo", s_echo }, { "hold", s_hold },
	   { "sleep", s_sleep },   { "bad", s_bad },   T_END };

T_SECTIONS = {
	{ "basic", t_basic },	    { "epipe", t_epipe },   { "nonblock", t_nonblock },
	{ "capacity", t_capacity }, { "atomic", t_atomic }, { "through", t_through },
	{ "last", t_last },	    { "killed", t_killed }, { "eintr", t_eintr },
	{ "efault", t_efault },	    { "reopen", t_reopen }, T_END,
};
