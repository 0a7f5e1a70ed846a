/* SPDX-License-Identifier: MIT */
/*
 * Cycles of POSIX locks over two servers (deadlock.c): two waits that close one begin at the same moment;
 * and a wait ends, and another one begins, while somebody follows the chain.
 */
#include "race/race.h"

static struct town g;
static struct person *g_p[MAX_CORES];
static struct rival *g_a, *g_b, *g_c; /* of cores 0, 1 and 2, and so are their owners' numbers */
static const char g_x[] = "/hare/x", g_y[] = "/hare/d/y"; /* at servers 0 and 2 */

static long lock(struct person *p, long fd, int cmd, short type)
{
	struct flock fl = { .l_type = type };

	return CALL(p, fcntl, fd, cmd, &fl);
}

/* Locks x and then, while it keeps that, y. */
static long do_both(struct person *p, const char *x, const char *y)
{
	long fx = CALL(p, open, x, O_RDWR, 0), fy = CALL(p, open, y, O_RDWR, 0), r;

	r = lock(p, fx, F_SETLK, F_WRLCK);
	rival_here("has one");
	if (!r)
		r = lock(p, fy, F_SETLKW, F_WRLCK);
	CALL(p, close, fx);
	CALL(p, close, fy);
	return r;
}

/* Locks x, gives it back, and only then waits for y. */
static long do_in_turn(struct person *p, const char *x, const char *y)
{
	long fx = CALL(p, open, x, O_RDWR, 0), fy = CALL(p, open, y, O_RDWR, 0), r;

	r = lock(p, fx, F_SETLK, F_WRLCK);
	rival_here("has one");
	if (!r)
		r = lock(p, fx, F_SETLK, F_UNLCK);
	if (!r)
		r = lock(p, fy, F_SETLKW, F_WRLCK);
	CALL(p, close, fx);
	CALL(p, close, fy);
	return r;
}

/* Both waits are registered before either looks. The one of the higher owner fails, whoever looks
 * first; the other one looks again until that has given up. */
static void both_begin(struct rival *low, struct rival *high, bool low_first)
{
	ok(rival_run(low, do_both, g_x, g_y, RACE_AT, "has one") &&
		   rival_run(high, do_both, g_y, g_x, RACE_AT, "has one"),
	   "two have one lock each");
	ok(rival_on(low, RACE_AT, "registered") && rival_on(high, RACE_AT, "registered"),
	   "both wait for the other's, and have not looked");
	if (low_first)
		ok(rival_on(low, RACE_AT, "looks again"), "the lower one does not fail");
	is(rival_end(high), -EDEADLK, "the higher one does");
	is(rival_end(low), 0, "and the lower one has both");
	sound(&g, g_p);
}

/* a waits for b, which is not in a's way any more by the time a finds that b waits for a. */
static void ended_meanwhile(void)
{
	ok(rival_run(g_a, do_both, g_y, g_x, RACE_AT, "has one") &&
		   rival_run(g_b, do_in_turn, g_x, g_y, RACE_AT, "has one"),
	   "two have one lock each");
	ok(rival_run(g_c, do_both, "/hare/z", g_y, RACE_AT, "event looked"), "a third waits for it");
	ok(rival_on(g_a, RACE_AT, "followed"), "the first waits for the second, and looks");
	ok(rival_on(g_b, RACE_AT, "event looked"), "which gives its lock back, and waits");
	is(rival_end(g_a), 0, "the first finds no cycle, and has both");
	is(rival_end(g_c), 0, "then the third has it");
	is(rival_end(g_b), 0, "then the second");
	sound(&g, g_p);
}

static void run(const char *what, const struct world_cfg *wc)
{
	town_open(&g, g_p, what, wc);
	g_a = rival_new(&g, 0);
	g_b = rival_new(&g, 1);
	g_c = rival_new(&g, 2);
	need(!do_mkdir(g_p[2], "/hare/d", NULL) && !do_create(g_p[2], g_y, NULL) &&
		     !do_create(g_p[0], g_x, NULL) && !do_create(g_p[0], "/hare/z", NULL),
	     "files");
	both_begin(g_a, g_b, false);
	both_begin(g_a, g_b, true);
	both_begin(g_b, g_c, true);
	both_begin(g_a, g_c, true);
	ended_meanwhile();
	town_end(&g);
}

int main(void)
{
	return race_main(run, IN_ISLANDS | IN_ONE | IN_EMULATED);
}
