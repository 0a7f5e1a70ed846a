/* SPDX-License-Identifier: MIT */
/*
 * Two threads in epoll_wait of one instance that see the same event of a pipe (epoll.c): one of them
 * tells it, whichever comes first, if the member is edge-triggered or for one shot.
 */
#include <sys/epoll.h>

#include "race/race.h"

static struct town g;
static struct person *g_p[MAX_CORES], *g_own; /* g_own: of core 1 */
static struct rival *g_a, *g_b; /* threads of g_own's process */
static long g_ep;
static int g_pipe[2];

static struct rival *thread_of(struct person *own)
{
	struct rival *r = rival_new(&g, own->t.ctx.core);

	own->p->threads++;
	r->p->p = own->p;
	r->p->t.proc = own->p;
	return r;
}

/* How many events there are, and 10 for each of another pipe's data. */
static long do_look(struct person *p, const char *x, const char *y)
{
	struct epoll_event out[2];
	long n = CALL(p, epoll_wait, g_ep, out, 2, 0), r = n;

	(void)x, (void)y;
	for (long i = 0; i < n; i++)
		r += out[i].data.u64 == 7 ? 0 : 10;
	return r;
}

static long ctl(int op, u32 events, u64 data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	return CALL(g_own, epoll_ctl, g_ep, op, g_pipe[0], &ev);
}

static void put_byte(void)
{
	is(CALL(g_own, write, g_pipe[1], "x", 1), 1, "a byte");
}

static void get_byte(void)
{
	char c;

	is(CALL(g_own, read, g_pipe[0], &c, 1), 1, "it is read");
}

/* One is about to tell, and another one comes in between. */
static void both(u32 how, const char *what)
{
	is(ctl(EPOLL_CTL_MOD, EPOLLIN | how, 7), 0, "%s", what);
	put_byte();
	ok(rival_run(g_a, do_look, NULL, NULL, RACE_AT, "epoll claim"), "%s: one is about to tell it",
	   what);
	is(rival_do(g_b, do_look, NULL, NULL), 1, "%s: another one does", what);
	is(rival_end(g_a), 0, "%s: so that one does not", what);
	is(rival_do(g_b, do_look, NULL, NULL), 0, "%s: it is told once", what);
	get_byte();
}

/* What comes between is the next edge, or the next shot: it is told too, not swallowed. */
static void next(u32 how, const char *what)
{
	is(ctl(EPOLL_CTL_MOD, EPOLLIN | how, 7), 0, "%s, next", what);
	put_byte();
	ok(rival_run(g_a, do_look, NULL, NULL, RACE_AT, "epoll claim"), "%s: one is about to tell it",
	   what);
	is(rival_do(g_b, do_look, NULL, NULL), 1, "%s: another one does", what);
	get_byte();
	put_byte();
	if (how & EPOLLONESHOT)
		is(ctl(EPOLL_CTL_MOD, EPOLLIN | how, 7), 0, "%s: armed again", what);
	is(rival_end(g_a), 1, "%s: the next one is told by the first", what);
	is(rival_do(g_b, do_look, NULL, NULL), 0, "%s: once", what);
	get_byte();
}

/* The member is changed, or another one, before it is told. */
static void changed(void)
{
	is(ctl(EPOLL_CTL_MOD, EPOLLIN | EPOLLONESHOT, 8), 0, "one shot, of other data");
	put_byte();
	ok(rival_run(g_a, do_look, NULL, NULL, RACE_AT, "epoll claim"), "about to be told");
	is(ctl(EPOLL_CTL_MOD, EPOLLIN | EPOLLONESHOT, 7), 0, "and changed");
	is(rival_end(g_a), 1, "as it is now");
	is(ctl(EPOLL_CTL_MOD, EPOLLIN | EPOLLONESHOT, 7), 0, "one shot");
	ok(rival_run(g_a, do_look, NULL, NULL, RACE_AT, "epoll claim"), "about to be told");
	is(ctl(EPOLL_CTL_DEL, 0, 0), 0, "and removed");
	is(rival_end(g_a), 0, "not told");
	get_byte();
	is(ctl(EPOLL_CTL_ADD, EPOLLIN, 7), 0, "there again");
}

/* Each byte is an edge. */
static void edges(void)
{
	is(ctl(EPOLL_CTL_MOD, EPOLLIN | EPOLLET, 7), 0, "edge-triggered");
	put_byte();
	is(rival_do(g_a, do_look, NULL, NULL), 1, "an edge");
	is(rival_do(g_a, do_look, NULL, NULL), 0, "once");
	put_byte();
	is(rival_do(g_b, do_look, NULL, NULL), 1, "another byte is an edge");
	is(rival_do(g_a, do_look, NULL, NULL), 0, "once");
	get_byte();
	get_byte();
}

static void run(const char *what, const struct world_cfg *wc)
{
	town_open(&g, g_p, what, wc);
	g_own = town_person(&g, 1, 0);
	is(CALL(g_own, pipe2, g_pipe, O_NONBLOCK), 0, "a pipe");
	g_ep = CALL(g_own, epoll_create1, 0);
	ok(g_ep >= 0, "an instance");
	is(ctl(EPOLL_CTL_ADD, EPOLLIN, 7), 0, "with the pipe");
	g_a = thread_of(g_own);
	g_b = thread_of(g_own);
	both(EPOLLONESHOT, "one shot");
	both(EPOLLET, "an edge");
	both(EPOLLET | EPOLLONESHOT, "an edge for one shot");
	next(EPOLLONESHOT, "one shot");
	next(EPOLLET, "an edge");
	changed();
	edges();
	CALL(g_own, close, g_pipe[0]);
	CALL(g_own, close, g_pipe[1]);
	CALL(g_own, close, g_ep);
	sound(&g, g_p);
	town_end(&g);
}

int main(void)
{
	return race_main(run, IN_ISLANDS | IN_ONE | IN_EMULATED);
}
