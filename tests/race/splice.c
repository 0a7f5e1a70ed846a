/* SPDX-License-Identifier: MIT */
/*
 * A thread that moves bytes from one pipe to another (splice.c) stands between putting them there and
 * taking them from the first: others who read from that get none of them; if it is killed, all.
 */
#include "race/race.h"

static struct town g;
static struct person *g_p[MAX_CORES], *g_own; /* g_own: of core 1 */
static struct rival *g_a, *g_b; /* threads of g_own's process */
static int g_from[2], g_to[2];

static struct rival *thread_of(struct person *own)
{
	struct rival *r = rival_new(&g, own->t.ctx.core);

	own->p->threads++;
	r->p->p = own->p;
	r->p->t.proc = own->p;
	return r;
}

static long do_splice(struct person *p, const char *x, const char *y)
{
	(void)x, (void)y;
	return CALL(p, splice, g_from[0], NULL, g_to[1], NULL, 100, 0);
}

static long do_tee(struct person *p, const char *x, const char *y)
{
	(void)x, (void)y;
	return CALL(p, tee, g_from[0], g_to[1], 100, 0);
}

static long do_read(struct person *p, const char *x, const char *y)
{
	char buf[100];

	(void)x, (void)y;
	return CALL(p, read, g_from[0], buf, sizeof(buf));
}

static void put(const char *text)
{
	is(CALL(g_own, write, g_from[1], text, strlen(text)), (long)strlen(text), "%s goes in", text);
}

static void has(int fd, const char *text, const char *what)
{
	char buf[100] = "";
	long n = CALL(g_own, read, fd, buf, sizeof(buf));

	ok(n == (long)strlen(text) && !memcmp(buf, text, (size_t)n), "%s: %s", what, text);
}

/* Another reader waits till it is done, for what comes after. */
static void reader(void)
{
	put("abcd");
	ok(rival_run(g_a, do_splice, NULL, NULL, RACE_ANSWERED, "WRITE"), "all is put, not taken yet");
	ok(rival_run(g_b, do_read, NULL, NULL, RACE_AT, "event looked"), "another reader waits");
	is(rival_end(g_a), 4, "the mover is done");
	put("xyz");
	is(rival_end(g_b), 3, "the reader gets what comes then");
	has(g_to[0], "abcd", "it was moved");
}

/* tee takes nothing: the reader gets all of it afterwards. */
static void teed(void)
{
	put("abcd");
	ok(rival_run(g_a, do_tee, NULL, NULL, RACE_ANSWERED, "WRITE"), "all is put");
	ok(rival_run(g_b, do_read, NULL, NULL, RACE_AT, "event looked"), "another reader waits");
	is(rival_end(g_a), 4, "tee is done");
	is(rival_end(g_b), 4, "the reader gets the same");
	has(g_to[0], "abcd", "it was copied");
}

/* Two movers, one after the other. */
static void movers(void)
{
	put("abcd");
	ok(rival_run(g_a, do_splice, NULL, NULL, RACE_ANSWERED, "WRITE"), "all is put, not taken yet");
	ok(rival_run(g_b, do_splice, NULL, NULL, RACE_AT, "event looked"), "another mover waits");
	is(rival_end(g_a), 4, "the first is done");
	put("xyz");
	is(rival_end(g_b), 3, "the second moves what comes then");
	has(g_to[0], "abcdxyz", "all of it");
}

/* Moves from a FIFO, or reads it. */
static long do_fifo(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, open, x, O_RDONLY, 0), r;
	char buf[100];
	int to[2];

	if (fd < 0 || CALL(p, pipe2, to, 0))
		return -EBADF;
	r = *y == 'r' ? CALL(p, read, fd, buf, sizeof(buf))
		      : CALL(p, splice, fd, NULL, to[1], NULL, 100, 0);
	CALL(p, close, to[0]);
	CALL(p, close, to[1]);
	CALL(p, close, fd);
	return r;
}

/* Killed there: nothing was taken, and whoever waits gets it. */
static void killed(void)
{
	struct rival *a = rival_new(&g, 1), *b = rival_new(&g, 2);
	long fd;

	is(CALL(g_p[0], mknod, "/hare/ff", S_IFIFO | 0600, 0), 0, "a FIFO");
	fd = CALL(g_p[0], open, "/hare/ff", O_RDWR, 0);
	is(CALL(g_p[0], write, fd, "abcd", 4), 4, "with something in it");
	ok(rival_run(a, do_fifo, "/hare/ff", "s", RACE_ANSWERED, "WRITE"), "all is put");
	ok(rival_run(b, do_fifo, "/hare/ff", "r", RACE_AT, "event looked"), "another reader waits");
	rival_kill(a);
	rival_bury(a, g_p[1]);
	is(rival_end(b), 4, "the mover is killed: the reader gets all");
	CALL(g_p[0], close, fd);
	is(CALL(g_p[0], unlink, "/hare/ff"), 0, "it goes");
	rival_free(b);
}

static void run(const char *what, const struct world_cfg *wc)
{
	town_open(&g, g_p, what, wc);
	g_own = town_person(&g, 1, 0);
	is(CALL(g_own, pipe2, g_from, 0), 0, "a pipe");
	is(CALL(g_own, pipe2, g_to, 0), 0, "another one");
	g_a = thread_of(g_own);
	g_b = thread_of(g_own);
	reader();
	teed();
	movers();
	killed();
	for (int i = 0; i < 2; i++) {
		CALL(g_own, close, g_from[i]);
		CALL(g_own, close, g_to[i]);
	}
	sound(&g, g_p);
	town_end(&g);
}

int main(void)
{
	return race_main(run, IN_ISLANDS | IN_ONE | IN_EMULATED);
}
