/* SPDX-License-Identifier: MIT */
/*
 * Threads of an island that write back, invalidate and store in one line at once, in the emulated model
 * (models.c): they take turns, a store between is kept, and who is killed in its turn leaves a line that
 * the next one can tell.
 */
#include "race/race.h"

#define BLOCK 1000 /* of no file */
#define OLD   1
#define NEW   2
#define FAR   3

static struct town g;
static struct person *g_p[MAX_CORES];
static struct rival *g_a, *g_b; /* both of island 0 */

static u64 *word(u32 island)
{
	return (u64 *)mem_block(&g.w.isl[island], BLOCK);
}

/* What another island finds there. */
static u64 seen(u32 island)
{
	mem_invalidate(&g.w.isl[island], word(island), 8);
	return *word(island);
}

/* Word 0 of the line, as island 1 writes it. */
static void written_there(u64 v)
{
	(void)seen(1);
	*word(1) = v;
	mem_writeback(&g.w.isl[1], word(1), 8);
}

static long do_writeback(struct person *p, const char *x, const char *y)
{
	(void)p, (void)x, (void)y;
	mem_writeback(&g.w.isl[0], word(0), 8);
	return 0;
}

static long do_invalidate(struct person *p, const char *x, const char *y)
{
	(void)p, (void)x, (void)y;
	mem_invalidate(&g.w.isl[0], word(0), 8);
	return (long)*word(0);
}

static long do_store_new(struct person *p, const char *x, const char *y)
{
	*word(0) = NEW;
	return do_writeback(p, x, y);
}

/* The line as the test begins: clean, and everywhere 0. */
static void fresh(void)
{
	(void)seen(0);
	written_there(0);
	is(seen(0), 0, "a line of zeros");
}

/* One has read a word that it is about to store in DRAM; another one stores a newer one, and writes
 * it back. Nobody may see the older one afterwards. */
static void two_write_back(void)
{
	fresh();
	*word(0) = OLD;
	ok(rival_run(g_a, do_writeback, NULL, NULL, RACE_AT, "storing"), "one writes back");
	ok(rival_run(g_b, do_store_new, NULL, NULL, RACE_AT, "line busy"),
	   "another one, who has stored since, waits");
	is(rival_end(g_a), 0, "the first ends");
	is(rival_end(g_b), 0, "then the second");
	is(seen(1), NEW, "what was stored last is there");
	is(seen(0), NEW, "here, too");
}

/* One has read DRAM and is about to put it into the cache; another one changes DRAM and looks. */
static void two_invalidate(void)
{
	fresh();
	written_there(OLD);
	ok(rival_run(g_a, do_invalidate, NULL, NULL, RACE_AT, "loading"), "one loads");
	written_there(NEW);
	ok(rival_run(g_b, do_invalidate, NULL, NULL, RACE_AT, "line busy"), "another one waits");
	is(rival_end(g_a), OLD, "the first ends");
	is(rival_end(g_b), NEW, "the second finds what was told to it");
}

/* A program stores into the line that is being loaded: its store is the later one. */
static void stored_while_loaded(void)
{
	fresh();
	written_there(FAR);
	ok(rival_run(g_a, do_invalidate, NULL, NULL, RACE_AT, "loading"), "one loads");
	*word(0) = NEW;
	is(rival_end(g_a), NEW, "a store meanwhile is kept");
	mem_writeback(&g.w.isl[0], word(0), 8);
	is(seen(1), NEW, "and can be written back");
}

/* And one that comes while the line is being stored is written back by the next. */
static void stored_while_stored(void)
{
	fresh();
	*word(0) = OLD;
	ok(rival_run(g_a, do_writeback, NULL, NULL, RACE_AT, "storing"), "one writes back");
	*word(0) = NEW;
	is(rival_end(g_a), 0, "a store meanwhile");
	is(seen(1), OLD, "is not in what was read before");
	mem_writeback(&g.w.isl[0], word(0), 8);
	is(seen(1), NEW, "but the line is still dirty");
}

static void killed(rival_fn fn, const char *at, u64 here, u64 there)
{
	struct rival *a = rival_new(&g, 0);

	fresh();
	if (fn == do_writeback)
		*word(0) = OLD;
	else
		written_there(OLD);
	ok(rival_run(a, fn, NULL, NULL, RACE_AT, at), "one is killed, %s", at);
	rival_kill(a);
	if (fn == do_invalidate)
		written_there(FAR); /* so that a word that looks dirty would be written over it */
	is(rival_do(g_b, do_writeback, NULL, NULL), 0, "another one takes its turn");
	is(seen(1), there, "what was stored is there, what was loaded is not");
	is(seen(0), here, "and here");
}

static void run(const char *what, const struct world_cfg *wc)
{
	town_open(&g, g_p, what, wc);
	g_a = rival_new(&g, 0);
	g_b = rival_new(&g, 0);
	two_write_back();
	two_invalidate();
	stored_while_loaded();
	stored_while_stored();
	killed(do_writeback, "storing", OLD, OLD);
	killed(do_writeback, "half stored", OLD, OLD);
	killed(do_invalidate, "loading", FAR, FAR);
	killed(do_invalidate, "loaded", FAR, FAR);
	town_end(&g);
}

int main(void)
{
	return race_main(run, IN_EMULATED);
}
