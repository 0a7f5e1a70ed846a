/* SPDX-License-Identifier: MIT */
/* poll, select, epoll: on pipes, files and both kinds of descriptor together. */
#include "t.h"

#include <sys/epoll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

/* A number that is no descriptor, whatever this process inherited. */
static int no_fd(void)
{
	(void)close(99);
	return 99;
}

static char big[65536];

static int poll1(int fd, short events, int ms)
{
	struct pollfd pfd = { fd, events, 0 };

	return poll(&pfd, 1, ms) == 1 ? pfd.revents : 0;
}

static void t_poll(void)
{
	struct pollfd pfd[4];
	int p[2], q[2], f;
	char c;

	must(pipe(p));
	must(pipe(q));
	f = must(open("f", O_RDWR | O_CREAT, 0644));
	is_long(poll1(p[0], POLLIN, 0), 0, "an empty pipe cannot be read");
	is_long(poll1(p[1], POLLOUT, 0), POLLOUT, "it can be written");
	must(write(p[1], "x", 1));
	is_long(poll1(p[0], POLLIN, 0), POLLIN, "one with a byte can be read");
	must(write(p[1], big, 65535));
	is_long(poll1(p[1], POLLOUT, 0), 0, "a full one cannot be written");
	must(read(p[0], big, 65536));
	is_long(poll1(p[0], POLLIN, 0), 0, "emptied again");
	is_long(poll1(f, POLLIN | POLLOUT, 0), POLLIN | POLLOUT, "a file always can");
	is_long(poll1(no_fd(), POLLIN, 0), POLLNVAL, "no descriptor is POLLNVAL");
	is_long(poll(NULL, 0, 10), 0, "none at all is a pause");
	pfd[0] = (struct pollfd){ p[0], POLLIN, 0 };
	pfd[1] = (struct pollfd){ q[0], POLLIN, 0 };
	pfd[2] = (struct pollfd){ -1, POLLIN, 55 };
	is_long(poll(pfd, 3, 20), 0, "none ready, time passes");
	is_long(pfd[2].revents, 0, "-1 is passed over");
	must(write(q[1], "y", 1));
	is_long(poll(pfd, 3, 1000), 1, "one of two");
	ok(!pfd[0].revents && pfd[1].revents == POLLIN, "the right one");
	must(close(p[1]));
	is_long(poll1(p[0], POLLIN, 0), POLLHUP, "POLLHUP without a writer");
	must(close(q[0]));
	is_long(poll1(q[1], POLLOUT, 0) & POLLERR, POLLERR, "POLLERR without a reader");
	is_long(read(p[0], &c, 1), 0, "the end is read");
	is_errno(poll((struct pollfd *)8, 1, 0), EFAULT, "a bad pointer");
}

static int s_later(int argc, char **argv)
{
	t_sleep_ms(atoi(argv[1]));
	return write(atoi(argv[0]), "late", 4) != 4 || argc != 2;
}

static int s_exit(int argc, char **argv)
{
	(void)argv;
	t_sleep_ms(40);
	return argc;
}

static void t_wake(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++) {
		pid_t pid;
		int p[2];

		must(pipe(p));
		must(fcntl(p[0], F_SETFD, FD_CLOEXEC));
		pid = must(t_start(how, "later", t_num(p[1]), "40", NULL));
		is_long(poll1(p[0], POLLIN, 10000), POLLIN,
			"another writes later, how %d", how);
		is_long(t_end(pid), 0, "it ends, how %d", how);
		must(read(p[0], big, 10));
		pid = must(t_start(how, "exit", NULL));
		must(close(p[1]));
		is_long(poll1(p[0], POLLIN, 10000), POLLHUP,
			"another exits later, how %d", how);
		is_long(t_end(pid), 0, "it ends too, how %d", how);
		must(close(p[0]));
	}
}

static void t_mixed(void)
{
	int p[2], s[2], e = eventfd(0, 0), f = open("f", O_RDWR | O_CREAT, 0644);
	struct pollfd pfd[3];
	pid_t pid;

	must(pipe(p));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	pfd[0] = (struct pollfd){ p[0], POLLIN, 0 };
	pfd[1] = (struct pollfd){ s[0], POLLIN, 0 };
	pfd[2] = (struct pollfd){ e, POLLIN, 0 };
	is_long(poll(pfd, 3, 10), 0, "a pipe, a socket, an eventfd: none");
	pid = must(t_start(T_EXEC, "later", t_num(s[1]), "30", NULL));
	is_long(poll(pfd, 3, 10000), 1, "the socket");
	is_long(pfd[1].revents, POLLIN, "it is");
	t_end(pid);
	must(read(s[0], big, 10));
	pid = must(t_start(T_EXEC, "later", t_num(p[1]), "30", NULL));
	is_long(poll(pfd, 3, 10000), 1, "the pipe");
	is_long(pfd[0].revents, POLLIN, "it is the pipe");
	t_end(pid);
	must(write(e, &(uint64_t){ 1 }, 8));
	is_long(poll(pfd, 3, 10000), 2, "pipe and eventfd");
	is_long(poll1(f, POLLIN, 0), POLLIN, "and a file");
}

static void t_select(void)
{
	struct timeval tv = { 0, 10000 };
	fd_set r, w;
	int p[2], f, null = must(open("/dev/null", O_RDWR)), max;

	must(pipe(p));
	f = must(open("f", O_RDWR | O_CREAT, 0644));
	max = f > null ? f : null;
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(p[0], &r);
	is_long(select(max + 1, &r, &w, NULL, &tv), 0, "none ready");
	is_long(FD_ISSET(p[0], &r), 0, "the set is empty");
	must(write(p[1], "x", 1));
	FD_SET(p[0], &r);
	FD_SET(p[1], &w);
	FD_SET(f, &r);
	FD_SET(null, &w);
	tv.tv_sec = 5;
	is_long(select(max + 1, &r, &w, NULL, &tv), 4, "pipe both ways, file and device");
	ok(FD_ISSET(p[0], &r) && FD_ISSET(p[1], &w) && FD_ISSET(f, &r) &&
		   FD_ISSET(null, &w),
	   "all four");
	/* A number as low as this: Linux looks at none behind the end of the process's table. */
	FD_ZERO(&r);
	f = must(dup(null));
	must(close(f));
	FD_SET(f, &r);
	is_errno(select(f + 1, &r, NULL, NULL, &tv), EBADF, "no descriptor");
	is_errno(select(-1, NULL, NULL, NULL, &tv), EINVAL, "a negative number");
	tv = (struct timeval){ 0, 1000 };
	is_long(select(0, NULL, NULL, NULL, &tv), 0, "a pause");
	struct timespec ts = { 0, 1000 };
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	is_long(pselect(max + 1, &r, NULL, NULL, &ts, NULL), 1, "pselect");
}

static void t_epoll(void)
{
	struct epoll_event ev = { .events = EPOLLIN }, out[4];
	int ep = must(epoll_create1(EPOLL_CLOEXEC)), p[2], s[2];
	pid_t pid;

	must(pipe(p));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	ev.data.u64 = 111;
	is_long(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev), 0, "add a pipe");
	is_errno(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev), EEXIST, "again");
	ev.data.u64 = 222;
	is_long(epoll_ctl(ep, EPOLL_CTL_ADD, s[0], &ev), 0, "add a socket");
	is_errno(epoll_ctl(ep, EPOLL_CTL_ADD, no_fd(), &ev), EBADF, "add no descriptor");
	is_errno(epoll_ctl(ep, EPOLL_CTL_ADD, must(open("f", O_RDWR | O_CREAT, 0644)),
			   &ev),
		 EPERM, "add a file");
	is_long(epoll_wait(ep, out, 4, 10), 0, "none ready");
	must(write(p[1], "x", 1));
	is_long(epoll_wait(ep, out, 4, 1000), 1, "the pipe");
	is_long((long)out[0].data.u64, 111, "its data");
	is_long(out[0].events, EPOLLIN, "its event");
	is_long(epoll_wait(ep, out, 4, 0), 1, "level: again");
	must(write(s[1], "y", 1));
	is_long(epoll_wait(ep, out, 4, 1000), 2, "pipe and socket");
	must(read(p[0], big, 10));
	is_long(epoll_wait(ep, out, 4, 0), 1, "the socket alone");
	is_long((long)out[0].data.u64, 222, "its data, socket");
	is_long(epoll_ctl(ep, EPOLL_CTL_DEL, s[0], NULL), 0, "remove it");
	is_errno(epoll_ctl(ep, EPOLL_CTL_DEL, s[0], NULL), ENOENT, "again, removed");
	ev = (struct epoll_event){ .events = EPOLLIN | EPOLLET, .data.u64 = 333 };
	is_long(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &ev), 0, "edge-triggered");
	must(write(p[1], "x", 1));
	is_long(epoll_wait(ep, out, 4, 1000), 1, "an edge");
	is_long(epoll_wait(ep, out, 4, 0), 0, "just once");
	must(write(p[1], "x", 1));
	is_long(epoll_wait(ep, out, 4, 1000), 1, "the next edge");
	must(read(p[0], big, 10));
	ev = (struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 444 };
	is_long(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &ev), 0, "one shot");
	pid = must(t_start(T_EXEC, "later", t_num(p[1]), "30", NULL));
	is_long(epoll_wait(ep, out, 4, 10000), 1, "another writes later");
	is_long((long)out[0].data.u64, 444, "its data, later");
	is_long(epoll_wait(ep, out, 4, 0), 0, "the shot is spent");
	t_end(pid);
	is_long(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &ev), 0, "armed again");
	must(read(p[0], big, 10));
	must(close(p[1]));
	is_long(epoll_wait(ep, out, 4, 1000), 1, "the writer is gone");
	is_long(out[0].events & EPOLLHUP, EPOLLHUP, "EPOLLHUP");
	must(close(p[0]));
	is_long(epoll_wait(ep, out, 4, 0), 0, "a closed descriptor leaves the set");
	is_errno(epoll_wait(ep, out, 0, 0), EINVAL, "no room");
	is_errno(epoll_wait(s[0], out, 4, 0), EINVAL, "no epoll descriptor");
}


/* --- signals while waiting ---------------------------------------------------------- */

static volatile int caught;

static void on_signal(int sig)
{
	caught = sig;
}

static void t_masks(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct epoll_event ev = { .events = EPOLLIN }, out[2];
	int p[2], ep = must(epoll_create1(0));
	struct timespec ts = { 10, 0 };
	struct pollfd pfd;
	sigset_t usr, none;
	fd_set r;

	must(pipe(p));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
	pfd = (struct pollfd){ p[0], POLLIN, 0 };
	sigaction(SIGUSR1, &sa, NULL);
	sigemptyset(&none);
	sigemptyset(&usr);
	sigaddset(&usr, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr, NULL);

	raise(SIGUSR1);
	is_errno(ppoll(&pfd, 1, &ts, &none), EINTR, "ppoll lets a pending signal in");
	is_long(caught, SIGUSR1, "its handler ran");
	caught = 0;
	raise(SIGUSR1);
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	is_errno(pselect(p[0] + 1, &r, NULL, NULL, &ts, &none), EINTR, "pselect too");
	is_long(caught, SIGUSR1, "its handler ran, pselect");
	caught = 0;
	raise(SIGUSR1);
	is_errno(epoll_pwait(ep, out, 2, 10000, &none), EINTR, "epoll_pwait too");
	is_long(caught, SIGUSR1, "its handler ran, epoll_pwait");
	caught = 0;
	raise(SIGUSR1);
	ts = (struct timespec){ 0, 1000000 };
	is_long(ppoll(&pfd, 1, &ts, &usr), 0, "a mask that has it keeps it out");
	is_long(caught, 0, "no handler ran");
	must(write(p[1], "x", 1));
	is_long(ppoll(&pfd, 1, &ts, &none), 1, "what is ready comes first");
	is_long(ppoll(&pfd, 1, &ts, NULL), 1, "without a mask");
	sigset_t now;
	sigprocmask(SIG_SETMASK, NULL, &now);
	is_long(sigismember(&now, SIGUSR1), 1, "the mask is as before");
	must(read(p[0], big, 1));
	sigprocmask(SIG_SETMASK, &none, NULL);
	is_long(caught, SIGUSR1, "it was pending still");

	/* while it waits, from another process; SA_RESTART does not restart it */
	for (int i = 0; i < 3; i++) {
		pid_t pid = must(fork());

		if (pid == 0) {
			t_sleep_ms(30);
			kill(getppid(), SIGUSR1);
			_exit(0);
		}
		caught = 0;
		if (i == 0)
			is_errno(poll(&pfd, 1, 10000), EINTR, "poll is interrupted");
		else if (i == 1)
			is_errno(epoll_wait(ep, out, 2, 10000), EINTR,
				 "epoll_wait is interrupted");
		else
			is_errno(select(p[0] + 1, &r, NULL, NULL, NULL), EINTR,
				 "select is interrupted");
		is_long(caught, SIGUSR1, "by the handler %d", i);
		t_end(pid);
		FD_SET(p[0], &r);
	}
	is_errno(ppoll(&pfd, 1, &(struct timespec){ 0, 2000000000 }, NULL), EINVAL,
		 "a bad time");
	is_errno(syscall(SYS_ppoll, &pfd, 1, NULL, &none, 4), EINVAL, "a bad mask size");
}

/* --- the host's kinds beside a pipe ---------------------------------------------------- */

static void t_kinds(void)
{
	struct itimerspec its = { .it_value = { 0, 20000000 } };
	int p[2], t = must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)), sfd, pidfd;
	struct signalfd_siginfo si;
	struct pollfd pfd[4];
	uint64_t count;
	sigset_t set;
	pid_t pid;

	must(pipe(p));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sfd = must(signalfd(-1, &set, SFD_NONBLOCK));
	pid = must(fork());
	if (pid == 0) {
		t_sleep_ms(60);
		_exit(3);
	}
	pidfd = (int)must(syscall(SYS_pidfd_open, pid, 0));
	pfd[0] = (struct pollfd){ p[0], POLLIN, 0 };
	pfd[1] = (struct pollfd){ t, POLLIN, 0 };
	pfd[2] = (struct pollfd){ sfd, POLLIN, 0 };
	pfd[3] = (struct pollfd){ pidfd, POLLIN, 0 };
	is_long(poll(pfd, 3, 0), 0, "none yet");
	must(timerfd_settime(t, 0, &its, NULL));
	is_long(poll(pfd, 3, 10000), 1, "one");
	is_long(pfd[1].revents, POLLIN, "the timer");
	is_long(read(t, &count, 8), 8, "read it");
	raise(SIGUSR2);
	is_long(poll(pfd, 3, 10000), 1, "one, then");
	is_long(pfd[2].revents, POLLIN, "the signal");
	is_long(read(sfd, &si, sizeof(si)), (long)sizeof(si), "read the signal");
	is_long(si.ssi_signo, SIGUSR2, "its number");
	is_long(si.ssi_pid, getpid(), "its sender");
	is_long(poll(pfd, 4, 10000), 1, "one at last");
	is_long(pfd[3].revents, POLLIN, "the child's end");
	is_long(t_end(pid), 3, "its status");
	pfd[0].fd = pfd[1].fd = p[0];
	pfd[2].fd = p[1];
	pfd[2].events = POLLOUT;
	must(write(p[1], "x", 1));
	is_long(poll(pfd, 3, 0), 3, "a descriptor twice, and its other end");
}

/* --- epoll, more ------------------------------------------------------------------------- */

static void t_fair(void)
{
	struct epoll_event ev = { .events = EPOLLIN }, out[1];
	int ep = must(epoll_create1(0)), p[3][2], s[2], seen[4] = { 0 };

	for (int i = 0; i < 3; i++) {
		must(pipe(p[i]));
		must(write(p[i][1], "x", 1));
		ev.data.u64 = (uint64_t)i;
		must(epoll_ctl(ep, EPOLL_CTL_ADD, p[i][0], &ev));
	}
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	must(write(s[1], "y", 1));
	ev.data.u64 = 3;
	must(epoll_ctl(ep, EPOLL_CTL_ADD, s[0], &ev));
	for (int i = 0; i < 16; i++)
		if (epoll_wait(ep, out, 1, 0) == 1)
			seen[out[0].data.u64]++;
	is_long(seen[0] + seen[1] + seen[2] + seen[3], 16, "one each time");
	ok(seen[0] && seen[1] && seen[2] && seen[3], "all have their turn");
}

static int s_dribble(int argc, char **argv)
{
	for (int i = 0; i < 200; i++)
		if (write(atoi(argv[0]), "abcdefgh", 1 + (size_t)i % 8) < 0)
			return 1;
	return argc != 1;
}

/* Edge-triggered, until EAGAIN: nothing is missed. */
static void t_edges(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++) {
		struct epoll_event ev = { .events = EPOLLIN | EPOLLET }, out[2];
		int ep = must(epoll_create1(EPOLL_CLOEXEC)), p[2];
		long sum = 0, n;
		bool end = false;
		pid_t pid;

		must(pipe2(p, O_NONBLOCK));
		must(fcntl(p[1], F_SETFL, 0));
		must(fcntl(p[0], F_SETFD, FD_CLOEXEC));
		must(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
		pid = must(t_start(how, "dribble", t_num(p[1]), NULL));
		must(close(p[1]));
		while (!end && epoll_wait(ep, out, 2, 10000) == 1) {
			while ((n = read(p[0], big, 100)) > 0)
				sum += n;
			end = n == 0;
		}
		is_long(sum, 200 * 9 / 2, "all bytes come, how %d", how);
		ok(end, "and the end, how %d", how);
		is_long(t_end(pid), 0, "the writer ends, how %d", how);
		must(close(p[0]));
	}
}

static void t_nested(void)
{
	struct epoll_event ev = { .events = EPOLLIN }, out[2];
	int inner = must(epoll_create1(0)), outer = must(epoll_create1(0)), p[2], d;
	pid_t pid;

	must(pipe(p));
	ev.data.u64 = 1;
	must(epoll_ctl(inner, EPOLL_CTL_ADD, p[0], &ev));
	ev.data.u64 = 2;
	is_long(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &ev), 0, "an instance in another");
	is_errno(epoll_ctl(inner, EPOLL_CTL_ADD, outer, &ev), ELOOP, "but not in a loop");
	is_errno(epoll_ctl(inner, EPOLL_CTL_ADD, inner, &ev), EINVAL, "nor in itself");
	is_long(epoll_wait(outer, out, 2, 10), 0, "nothing yet");
	is_long(poll1(outer, POLLIN, 0), 0, "nor for poll");
	pid = must(t_start(T_EXEC, "later", t_num(p[1]), "30", NULL));
	is_long(epoll_wait(outer, out, 2, 10000), 1, "the inner one");
	is_long((long)out[0].data.u64, 2, "its data");
	is_long(poll1(outer, POLLIN, 0), POLLIN, "for poll too");
	is_long(epoll_wait(inner, out, 2, 0), 1, "and in it");
	is_long((long)out[0].data.u64, 1, "the pipe");
	t_end(pid);
	must(read(p[0], big, 10));
	is_long(epoll_wait(outer, out, 2, 0), 0, "nothing any more");
	/* copies of the instance, by dup and fork */
	d = must(dup(inner));
	must(close(inner));
	must(write(p[1], "x", 1));
	is_long(epoll_wait(d, out, 2, 1000), 1, "dup is the same instance");
	pid = must(fork());
	if (pid == 0)
		_exit(epoll_wait(d, out, 2, 1000) != 1 || out[0].data.u64 != 1);
	is_long(t_end(pid), 0, "and so it is in a child");
}

static void *close_later(void *arg)
{
	t_sleep_ms(30);
	close(((int *)arg)[0]);
	t_sleep_ms(30);
	if (write(((int *)arg)[1], "x", 1) != 1)
		return arg;
	return NULL;
}

/* A descriptor is closed while another thread waits for it: the wait goes on for what is left. */
static void t_closing(void)
{
	struct epoll_event ev = { .events = EPOLLIN }, out[2];
	int ep = must(epoll_create1(0)), p[2], q[2], fds[2];
	struct pollfd pfd[2];
	pthread_t id;
	void *r;

	must(pipe(p));
	must(pipe(q));
	ev.data.u64 = 1;
	must(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
	ev.data.u64 = 2;
	must(epoll_ctl(ep, EPOLL_CTL_ADD, q[0], &ev));
	fds[0] = p[0];
	fds[1] = q[1];
	pthread_create(&id, NULL, close_later, fds);
	is_long(epoll_wait(ep, out, 2, 10000), 1, "epoll_wait goes on");
	is_long((long)out[0].data.u64, 2, "with the other one");
	pthread_join(id, &r);
	ok(!r, "the thread has closed and written");
	must(read(q[0], big, 1));
	must(close(p[1]));
	must(pipe(p));
	pfd[0] = (struct pollfd){ p[0], POLLIN, 0 };
	pfd[1] = (struct pollfd){ q[0], POLLIN, 0 };
	fds[0] = p[0];
	pthread_create(&id, NULL, close_later, fds);
	is_long(poll(pfd, 2, 10000) >= 1, 1, "poll goes on");
	is_long(pfd[1].revents, POLLIN, "with the other one too");
	pthread_join(id, &r);
}

/* Several processes wait for one pipe: EPOLLEXCLUSIVE, ONESHOT over cores. */
static int s_worker(int argc, char **argv)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLEXCLUSIVE }, out[1];
	int ep = epoll_create1(0), fd = atoi(argv[0]), n = 0;
	char c;

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev))
		return 100;
	while (epoll_wait(ep, out, 1, 10000) == 1) {
		ssize_t r = read(fd, &c, 1);

		if (r == 0)
			return write(atoi(argv[1]), &n, sizeof(n)) != sizeof(n) ||
			       argc != 2;
		n += r == 1;
	}
	return 101;
}

static void t_herd(void)
{
	for (int how = T_FORK; how <= T_EXEC; how++) {
		int p[2], q[2], sum = 0, n;
		pid_t pid[3];

		must(pipe2(p, O_NONBLOCK));
		must(pipe(q));
		must(fcntl(p[1], F_SETFD, FD_CLOEXEC));
		for (int i = 0; i < 3; i++) {
			pid[i] = must(fork());
			if (pid[i] == 0) {
				close(p[1]);
				if (how == T_FORK) {
					char *argv[] = { t_num(p[0]), t_num(q[1]) };

					_exit(s_worker(2, argv));
				}
				execl(t_self, t_self, "--sub", "worker", t_num(p[0]),
				      t_num(q[1]), NULL);
				_exit(95);
			}
		}
		for (int i = 0; i < 100; i++) {
			must(write(p[1], "x", 1));
			if (i % 10 == 0)
				t_sleep_ms(2);
		}
		must(close(p[1]));
		for (int i = 0; i < 3; i++) {
			must(read(q[0], &n, sizeof(n)));
			sum += n;
			is_long(t_end(pid[i]), 0, "worker %d ends, how %d", i, how);
		}
		is_long(sum, 100, "each byte went to one of them, how %d", how);
	}
}

static void t_odd(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLEXCLUSIVE }, out[2];
	int ep = must(epoll_create1(0)), p[2], f = must(mkfifo("ff", 0600)), s[2];

	must(pipe(p));
	is_long(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev), 0, "EPOLLEXCLUSIVE");
	is_errno(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &ev), EINVAL, "cannot be changed");
	must(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL));
	ev.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT;
	is_errno(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev), EINVAL, "nor go with ONESHOT");
	is_errno(epoll_ctl(ep, 9, p[0], &ev), EINVAL, "an unknown operation");
	is_errno(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], NULL), EFAULT, "no event");
	is_errno(epoll_ctl(p[0], EPOLL_CTL_ADD, p[1], &ev), EINVAL, "no instance");
	is_errno(epoll_ctl(no_fd(), EPOLL_CTL_ADD, p[1], &ev), EBADF, "no descriptor");
	ev.events = EPOLLIN;
	is_errno(epoll_ctl(ep, EPOLL_CTL_MOD, p[1], &ev), ENOENT, "no member");
	is_errno(epoll_create1(99), EINVAL, "unknown flags");
	ev = (struct epoll_event){ .events = EPOLLOUT | EPOLLET, .data.u64 = 5 };
	must(fcntl(p[1], F_SETFL, O_NONBLOCK));
	while (write(p[1], big, sizeof(big)) > 0)
		;
	must(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &ev));
	is_long(epoll_wait(ep, out, 2, 0), 0, "a full pipe");
	must(read(p[0], big, 60000));
	must(read(p[0], big, 5536));
	is_long(epoll_wait(ep, out, 2, 1000), 1, "has room again");
	is_long(out[0].events, EPOLLOUT, "EPOLLOUT");
	is_long(epoll_wait(ep, out, 2, 0), 0, "told once");
	must(close(p[0]));
	is_long(epoll_wait(ep, out, 2, 1000), 1, "no reader is an edge");
	ok(out[0].events & EPOLLERR, "EPOLLERR");
	f = must(open("ff", O_RDWR));
	ev = (struct epoll_event){ .events = EPOLLIN, .data.u64 = 6 };
	is_long(epoll_ctl(ep, EPOLL_CTL_ADD, f, &ev), 0, "a FIFO");
	must(write(f, "x", 1));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	ev = (struct epoll_event){ .events = EPOLLRDHUP, .data.u64 = 7 };
	must(epoll_ctl(ep, EPOLL_CTL_ADD, s[0], &ev));
	must(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL));
	is_long(epoll_wait(ep, out, 2, 1000), 1, "the FIFO");
	is_long((long)out[0].data.u64, 6, "its data");
	must(close(s[1]));
	is_long(epoll_wait(ep, out, 2, 1000), 2, "EPOLLRDHUP too");
	is_errno(poll((struct pollfd *)big, 1u << 30, 0), EINVAL, "too many for poll");
}

T_SUBS = { { "later", s_later },
	   { "exit", s_exit },
	   { "dribble", s_dribble },
	   { "worker", s_worker },
	   T_END };

T_SECTIONS = {
	{ "poll", t_poll },   { "wake", t_wake },     { "mixed", t_mixed },
	{ "select", t_select }, { "epoll", t_epoll }, { "masks", t_masks },
	{ "kinds", t_kinds }, { "fair", t_fair },     { "edges", t_edges },
	{ "nested", t_nested }, { "closing", t_closing }, { "herd", t_herd },
	{ "odd", t_odd },     T_END,
};
