/* SPDX-License-Identifier: MIT */
/* poll, select, epoll: on pipes, files and both kinds of descriptor together. */
#include "t.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>

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
	is_long(poll1(99, POLLIN, 0), POLLNVAL, "no descriptor is POLLNVAL");
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
	FD_ZERO(&r);
	FD_SET(99, &r);
	is_errno(select(100, &r, NULL, NULL, &tv), EBADF, "no descriptor");
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
	is_errno(epoll_ctl(ep, EPOLL_CTL_ADD, 99, &ev), EBADF, "add no descriptor");
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

T_SUBS = { { "later", s_later }, { "exit", s_exit }, T_END };

T_SECTIONS = {
	{ "poll", t_poll },	{ "wake", t_wake },   { "mixed", t_mixed },
	{ "select", t_select }, { "epoll", t_epoll }, T_END,
};
