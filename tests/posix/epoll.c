/* SPDX-License-Identifier: MIT */
/* epoll by several threads: whom an event is told, and what changes while they wait. */
#include "t.h"

#include <pthread.h>
#include <sys/epoll.h>

enum { WAITERS = 4, ROUNDS = 40 };

static int ep;

static int ctl(int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	return epoll_ctl(ep, op, fd, &ev);
}

/* --- one event, several threads ---------------------------------------------------- */

enum { PIPE = 1, QUIT };

static volatile int hits;

/* Counts what it is told until it is told to end. */
static void *hear(void *arg)
{
	struct epoll_event ev;

	for (;;) {
		if (epoll_wait(ep, &ev, 1, -1) != 1)
			return arg;
		if (ev.data.u64 == QUIT)
			return NULL;
		__atomic_add_fetch(&hits, 1, __ATOMIC_SEQ_CST);
	}
}

static int heard(int n)
{
	for (int i = 0; i < 10000 && hits < n; i++)
		t_sleep_ms(1);
	return hits >= n;
}

static void once_each(uint32_t how, const char *what)
{
	int p[2], quit[2], all = 1;
	pthread_t t[WAITERS];
	char c;

	ep = must(epoll_create1(0));
	must(pipe(p));
	must(pipe(quit));
	must(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN | how, PIPE));
	must(ctl(EPOLL_CTL_ADD, quit[0], EPOLLIN, QUIT));
	hits = 0;
	for (int i = 0; i < WAITERS; i++)
		pthread_create(&t[i], NULL, hear, &ep);
	t_sleep_ms(20);
	for (int i = 1; i <= ROUNDS; i++) {
		must(write(p[1], "x", 1));
		all &= heard(i);
		t_sleep_ms(2); /* who would be told too is, mostly */
		must(read(p[0], &c, 1));
		if (how & EPOLLONESHOT)
			must(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | how, PIPE));
	}
	ok(all, "%s: each is told", what);
	is_long(hits, ROUNDS, "%s: to one of the threads", what);
	must(write(quit[1], "q", 1));
	all = 1;
	for (int i = 0; i < WAITERS; i++) {
		void *bad;

		pthread_join(t[i], &bad);
		all &= !bad;
	}
	ok(all, "%s: the threads end", what);
	must(close(ep));
}

static void t_shots(void)
{
	once_each(EPOLLONESHOT, "shots");
	once_each(EPOLLET, "edges");
	once_each(EPOLLET | EPOLLONESHOT, "edges for one shot");
}

/* What cannot be told is told to the next one who asks. */
static void t_fault(void)
{
	static const uint32_t how[] = { EPOLLONESHOT, EPOLLET, EPOLLET | EPOLLONESHOT };
	char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct epoll_event ev;
	int p[2];

	ep = must(epoll_create1(0));
	must(pipe(p));
	must(write(p[1], "x", 1));
	for (int i = 0; i < 3; i++) {
		must(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN | how[i], 10));
		is_errno(epoll_wait(ep, (void *)none, 1, 1000), EFAULT, "no memory, %d", i);
		is_long(epoll_wait(ep, &ev, 1, 1000), 1, "it is told then, %d", i);
		is_long((long)ev.data.u64, 10, "with its data, %d", i);
		is_long(epoll_wait(ep, &ev, 1, 0), 0, "once, %d", i);
		must(ctl(EPOLL_CTL_DEL, p[0], 0, 0));
	}
}

T_SECTIONS = {
	{ "shots", t_shots },
	{ "fault", t_fault },
	T_END,
};
