/* SPDX-License-Identifier: MIT */
/* epoll by several threads: whom an event is told, and what changes while they wait. */
#include "t.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>

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

/* --- changes while a thread waits ---------------------------------------------------- */

enum how { EPOLL, EPOLL_PWAIT, POLL, SELECT, HOWS };

struct waiter {
	pthread_t id;
	int fd;
	enum how how;
	uint64_t data; /* what was told; by poll and select 1 */
};

static uint64_t wait_once(int fd, enum how how)
{
	struct epoll_event ev = { 0 };
	struct pollfd pfd = { fd, POLLIN, 0 };
	fd_set r;

	switch (how) {
	case EPOLL:
		return epoll_wait(fd, &ev, 1, -1) == 1 ? ev.data.u64 : 0;
	case EPOLL_PWAIT:
		return epoll_pwait(fd, &ev, 1, 100000, &(sigset_t){ 0 }) == 1
			       ? ev.data.u64
			       : 0;
	case POLL:
		return poll(&pfd, 1, -1) == 1 && pfd.revents == POLLIN;
	default:
		FD_ZERO(&r);
		FD_SET(fd, &r);
		return select(fd + 1, &r, NULL, NULL, NULL) == 1;
	}
}

static void *wait_it(void *arg)
{
	struct waiter *w = arg;

	w->data = wait_once(w->fd, w->how);
	return NULL;
}

static void begin(struct waiter *w, int fd, enum how how)
{
	w->fd = fd;
	w->how = how;
	pthread_create(&w->id, NULL, wait_it, w);
}

/* A thread waits for a set that is empty, has a member of the host, or one of Hare; or for one in
 * which it is. Another one adds what is ready, or will be. */
static void added(enum how how, int before, int nested)
{
	int set = must(epoll_create1(0)), top = set, p[2], q[2];
	struct waiter w;

	ep = set;
	must(pipe(p));
	must(pipe(q));
	if (nested) {
		ep = top = must(epoll_create1(0));
		must(ctl(EPOLL_CTL_ADD, set, EPOLLIN, 3));
		ep = set;
	}
	if (before == 1)
		must(ctl(EPOLL_CTL_ADD, must(eventfd(0, 0)), EPOLLIN, 1));
	if (before == 2)
		must(ctl(EPOLL_CTL_ADD, q[0], EPOLLIN, 2));
	for (int ready = 0; ready < 2; ready++) {
		char c;

		begin(&w, top, how);
		t_sleep_ms(10);
		if (ready)
			must(write(p[1], "x", 1));
		must(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 7));
		t_sleep_ms(2);
		if (!ready)
			must(write(p[1], "x", 1));
		pthread_join(w.id, NULL);
		is_long((long)w.data, how >= POLL ? 1 : nested ? 3 : 7,
			"added: how %d, before %d, nested %d, ready %d", how, before, nested,
			ready);
		must(read(p[0], &c, 1));
		must(ctl(EPOLL_CTL_DEL, p[0], 0, 0));
	}
	must(close(set));
	if (top != set)
		must(close(top));
}

static void t_added(void)
{
	for (int nested = 0; nested < 2; nested++)
		for (int before = 0; before < 3; before++)
			for (enum how how = EPOLL; how < HOWS; how++)
				added(how, before, nested);
}

/* At once: in any order, the event is told. */
static void t_races(void)
{
	struct waiter w;
	int good = 0, p[2];

	must(pipe(p));
	must(write(p[1], "x", 1));
	for (int i = 0; i < 300; i++) {
		ep = must(epoll_create1(0));
		begin(&w, ep, (enum how)(i % HOWS));
		for (int k = 0; k < i % 7; k++)
			sched_yield();
		must(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 7));
		pthread_join(w.id, NULL);
		good += w.data == (w.how >= POLL ? 1 : 7);
		must(close(ep));
	}
	is_long(good, 300, "a set gets its first member as a thread begins to wait");
}

/* So often that it would take minutes if each had to look by itself. */
static void t_armed(void)
{
	struct waiter w;
	int good = 0, p[2];

	ep = must(epoll_create1(0));
	must(pipe(p));
	must(write(p[1], "x", 1));
	must(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLONESHOT, 7));
	wait_once(ep, EPOLL);
	for (int i = 0; i < 400; i++) {
		begin(&w, ep, (enum how)(i % HOWS));
		t_sleep_ms(1);
		must(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 7));
		pthread_join(w.id, NULL);
		good += w.data == (w.how >= POLL ? 1 : 7);
		if (w.how >= POLL)
			wait_once(ep, EPOLL);
	}
	is_long(good, 400, "a shot is armed again while a thread waits");
	good = 0;
	must(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 7));
	wait_once(ep, EPOLL);
	for (int i = 0; i < 400; i++) {
		begin(&w, ep, EPOLL);
		t_sleep_ms(1);
		must(write(p[1], "x", 1));
		pthread_join(w.id, NULL);
		good += w.data == 7;
	}
	is_long(good, 400, "a byte more, of some that were not read, is an edge");
}

/* The set is shared with a child, which waits; and with a copy of its number. */
static void t_shared(void)
{
	for (enum how how = EPOLL; how < HOWS; how++) {
		int p[2], d, go[2];
		char c;
		pid_t pid;

		ep = must(epoll_create1(0));
		must(pipe(p));
		must(pipe(go));
		must(write(p[1], "x", 1));
		d = must(dup(ep));
		pid = must(fork());
		if (pid == 0) {
			must(write(go[1], "x", 1));
			_exit(wait_once(d, how) != (how >= POLL ? 1 : 7));
		}
		must(read(go[0], &c, 1));
		t_sleep_ms(10);
		must(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 7));
		is_long(t_end(pid), 0, "a child waits, how %d", how);
		must(close(d));
		must(close(ep));
	}
}

/* A set with an event becomes a member of the one that is waited for. */
static void t_joined(void)
{
	for (enum how how = EPOLL; how < HOWS; how++) {
		int outer = must(epoll_create1(0)), inner = must(epoll_create1(0)), p[2];
		struct waiter w;

		must(pipe(p));
		must(write(p[1], "x", 1));
		ep = inner;
		must(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 7));
		begin(&w, outer, how);
		t_sleep_ms(10);
		ep = outer;
		must(ctl(EPOLL_CTL_ADD, inner, EPOLLIN, 8));
		pthread_join(w.id, NULL);
		is_long((long)w.data, how >= POLL ? 1 : 8, "a set joins, how %d", how);
	}
}

static volatile int caught;

static void on_signal(int sig)
{
	caught = sig;
}

static void *wait_short(void *arg)
{
	struct epoll_event ev;
	int r = epoll_wait(ep, &ev, 1, *(int *)arg);

	*(int *)arg = r < 0 ? -errno : r;
	return NULL;
}

/* A wait that a change interrupts still ends as it would: in time, and by a signal. */
static void t_ends(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	int p[2], ms = 100;
	pthread_t id;

	sigaction(SIGUSR1, &sa, NULL);
	must(pipe(p));
	ep = must(epoll_create1(0));
	pthread_create(&id, NULL, wait_short, &ms);
	t_sleep_ms(20);
	must(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 7));
	pthread_join(id, NULL);
	is_long(ms, 0, "its time is over");
	for (int i = 0; i < 2; i++) {
		must(close(ep));
		ep = must(epoll_create1(0));
		ms = 50000;
		pthread_create(&id, NULL, wait_short, &ms);
		t_sleep_ms(20);
		if (i)
			must(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 7));
		t_sleep_ms(20);
		caught = 0;
		pthread_kill(id, SIGUSR1);
		pthread_join(id, NULL);
		is_long(ms, -EINTR, "a signal ends it, changed %d", i);
		is_long(caught, SIGUSR1, "its handler ran, changed %d", i);
	}
	must(close(ep));
	ep = must(epoll_create1(0));
	ms = 50000;
	pthread_create(&id, NULL, wait_short, &ms);
	t_sleep_ms(20);
	must(ctl(EPOLL_CTL_ADD, must(eventfd(1, 0)), EPOLLIN, 7));
	pthread_join(id, NULL);
	is_long(ms, 1, "a member of another kind");
}

T_SECTIONS = {
	{ "shots", t_shots },
	{ "added", t_added },
	{ "races", t_races },
	{ "armed", t_armed },
	{ "shared", t_shared },
	{ "joined", t_joined },
	{ "ends", t_ends },
	{ "fault", t_fault },
	T_END,
};
