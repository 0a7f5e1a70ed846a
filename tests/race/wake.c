/* SPDX-License-Identifier: MIT */
/*
 * A wake-up between a sleeper's last look and its sleep (doorbell.c): of who waits for a reply, of who
 * waits for an event, from a near core and from a far one, and of an agent. Sleeps are in slices, so
 * a wake-up that is lost only delays; who slept a slice through comes by the point "overslept".
 */
#include "race/race.h"

static struct town g;
static struct person *g_p[MAX_CORES];
static struct rival *g_a, *g_b; /* on cores 1 and 2; the files are at server 0 */
static const char g_f[] = "/hare/f";
static struct seen {
	u32 slot, seq;
} *g_seen; /* the event that a rival waits for */

/* It goes on from where it looked, and sleeps through no slice. */
static long wakes(struct rival *r)
{
	bool late = rival_on(r, RACE_AT, "overslept");

	ok(!late, "it does not sleep");
	return rival_end(r);
}

static void reply(void)
{
	town_pause(&g, 0);
	ok(rival_run(g_a, do_stat, g_f, NULL, RACE_AT, "call looked"), "reply: looked, not there");
	town_resume(&g, 0);
	msg_ring(g.w.ctx[0].isl, 0, 0);
	/* Core 0 has answered that by the time it answers this. */
	is(do_stat(g_p[2], g_f, NULL), 0, "reply: it is sent");
	is(wakes(g_a), 0, "reply: it is there");
}

static long do_flock(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, open, x, O_RDWR, 0), r = CALL(p, flock, fd, 2 /* LOCK_EX */);

	(void)y;
	CALL(p, close, fd);
	return r;
}

/* A lock: the server tells who waits for it. */
static void event_of(struct rival *r, const char *what)
{
	long fd = CALL(g_p[0], open, g_f, O_RDWR, 0);

	is(CALL(g_p[0], flock, fd, 2), 0, "%s: a lock", what);
	ok(rival_run(r, do_flock, g_f, NULL, RACE_AT, "event looked"), "%s: looked, not free", what);
	is(CALL(g_p[0], close, fd), 0, "%s: given back", what);
	is(wakes(r), 0, "%s: taken", what);
}

static long do_wait(struct person *p, const char *x, const char *y)
{
	(void)x, (void)y;
	g_seen->slot = p->t.ctx.slot;
	g_seen->seq = msg_event_prepare(&p->t.ctx);
	return msg_event_wait(&p->t.ctx, g_seen->seq, -1);
}

/* From a process of the same core, without a message. */
static void event_here(void)
{
	ok(rival_run(g_a, do_wait, NULL, NULL, RACE_AT, "event looked"), "here: looked");
	msg_event_set(&g_p[1]->t.ctx, 1, g_seen->slot, g_seen->seq);
	is(wakes(g_a), 0, "here: it came");
}

/* Sleeps once as an agent does. */
static long do_sleep(struct person *p, const char *x, const char *y)
{
	struct ctx c = p->t.ctx;

	(void)x, (void)y;
	msg_agent_sleep(&c, -1);
	return 0;
}

static long do_ping(struct person *p, const char *x, const char *y)
{
	struct req_PING q = { 0 };
	struct rep_PING rep;

	(void)x, (void)y;
	return rpc_ping(&p->t.ctx, 1, &q, &rep);
}

/* A request for an agent that has just found nothing to do. */
static void agent(void)
{
	struct ctx *c = &g_p[1]->t.ctx;

	msg_drain(c);
	msg_agent_sleep(c, 0); /* it was rung before */
	ok(rival_run(g_a, do_sleep, NULL, NULL, RACE_AT, "agent looked"), "agent: nothing to do");
	ok(rival_run(g_b, do_ping, NULL, NULL, RACE_SENT, "PING"), "agent: a request is sent");
	is(wakes(g_a), 0, "agent: it looks again");
	msg_drain(c);
	is(rival_end(g_b), 0, "agent: and that is answered");
}

static void run(const char *what, const struct world_cfg *wc)
{
	town_open(&g, g_p, what, wc);
	g_a = rival_new(&g, 1);
	g_b = rival_new(&g, 2);
	is(file_put(g_p[0], g_f, "1"), 1, "a file");
	town_pause(&g, 1); /* so that nobody else takes what comes for core 1's sleepers */
	if (wc->islands != 1) {
		reply();
		agent();
	}
	event_of(g_a, "event");
	event_here();
	town_resume(&g, 1);
	sound(&g, g_p);
	town_end(&g);
}

int main(void)
{
	g_seen = world_shared(sizeof(*g_seen));
	return race_main(run, IN_ISLANDS | IN_ONE | IN_EMULATED);
}
