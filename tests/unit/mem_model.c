/* SPDX-License-Identifier: MIT */
/*
 * The memory models: that the emulated one bites when a write-back or an invalidate is forgotten,
 * that none of them harms code that forgets nothing, whatever is evicted, raced with or killed.
 */
#include "unit/world.h"

#define WORDS  8
#define ROUNDS 20000

static struct world g_w;

static u64 *block(u32 island, u32 blk)
{
	return (u64 *)mem_block(&g_w.isl[island], blk);
}

static void give(u32 island, u32 blk, u64 seed)
{
	u64 *p = block(island, blk);

	mem_overwrite(&g_w.isl[island], p, PAGE_SIZE);
	for (u32 i = 0; i < PAGE_SIZE / 8; i++)
		p[i] = seed * 1000 + i / 3;
	mem_writeback(&g_w.isl[island], p, PAGE_SIZE);
}

static u32 take(u32 island, u32 blk, u64 seed)
{
	u64 *p = block(island, blk);
	u32 wrong = 0;

	mem_invalidate(&g_w.isl[island], p, PAGE_SIZE);
	for (u32 i = 0; i < PAGE_SIZE / 8; i++)
		wrong += p[i] != seed * 1000 + i / 3;
	return wrong;
}

/* --- what must be, and what must not, for code that forgets --------------------------------- */

static void t_forgotten(bool stale)
{
	struct island *a = &g_w.isl[0], *b = &g_w.isl[1];
	u64 *pa = block(0, 1), *pb = block(1, 1);

	is(*pb, 0, "the other island has read the line");
	*pa = 7;
	mem_invalidate(b, pb, 8);
	is(*pb, stale ? 0 : 7, "a forgotten write-back is %s",
	   stale ? "noticed" : "harmless");
	mem_writeback(a, pa, 8);
	is(*pb, stale ? 0 : 7, "a forgotten invalidate is %s",
	   stale ? "noticed" : "harmless");
	mem_invalidate(b, pb, 8);
	is(*pb, 7, "nothing forgotten: the value");
	pa[512] = 9;
	mem_invalidate(a, &pa[512], 8);
	is(pa[512], 9, "invalidating a dirty line loses nothing");
	mem_invalidate(b, &pb[512], 8);
	is(pb[512], 9, "and writes it back");
}

static void t_overwrite(void)
{
	give(0, 3, 1);
	give(1, 3, 2);
	give(0, 3, 1); /* what this island's stale copy holds already */
	is(take(1, 3, 1), 0, "storing again what a stale copy holds is a store");
	is(take(0, 3, 1), 0, "for both");
}

static void t_handover(void)
{
	u64 seed = 5;
	u32 wrong = 0;

	for (u32 i = 0; i < 3000; i++) {
		u32 blk = 1 + (u32)(t_random(&seed) % 5), from = i % 2;

		give(from, blk, i);
		wrong += take(1 - from, blk, i);
		if (i % 4 == 0)
			mem_chaos(&g_w.isl[i / 4 % 2]);
	}
	is(wrong, 0, "blocks given to and fro keep their content");
}

/* --- threads of one island on one line -------------------------------------------------------- */

struct shared {
	u64 told[WORDS];
	u64 lost, stop, progress;
};
static struct shared *g_s;

static bool stopped(void)
{
	return __atomic_load_n(&g_s->stop, __ATOMIC_RELAXED);
}

/* Owns one word of a line that others of its island store to, write back and invalidate. */
static void *writer(void *arg)
{
	u64 i = (u64)arg;
	u64 *p = block(0, 2) + i;
	u64 v = g_s->told[i];

	for (u32 n = 0; n < ROUNDS && !stopped(); n++) {
		if (__atomic_load_n(p, __ATOMIC_RELAXED) < v)
			__atomic_fetch_add(&g_s->lost, 1, __ATOMIC_RELAXED);
		__atomic_store_n(p, ++v, __ATOMIC_RELAXED);
		if (n % 3 == 0)
			mem_invalidate(&g_w.isl[0], p, 8);
		mem_writeback(&g_w.isl[0], p, 8);
		__atomic_store_n(&g_s->told[i], v, __ATOMIC_SEQ_CST);
		__atomic_fetch_add(&g_s->progress, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *reader(void *arg)
{
	u64 *p = block(1, 2);

	(void)arg;
	while (!stopped()) {
		for (u32 i = 0; i < WORDS; i++) {
			u64 told = __atomic_load_n(&g_s->told[i], __ATOMIC_SEQ_CST);

			mem_invalidate(&g_w.isl[1], &p[i], 8);
			if (__atomic_load_n(&p[i], __ATOMIC_RELAXED) < told)
				__atomic_fetch_add(&g_s->lost, 1, __ATOMIC_RELAXED);
		}
	}
	return NULL;
}

static void t_one_line(void)
{
	pthread_t t[4], r;

	memset(g_s, 0, sizeof(*g_s));
	for (u64 i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, writer, (void *)i);
	pthread_create(&r, NULL, reader, NULL);
	for (u64 i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	g_s->stop = 1;
	pthread_join(r, NULL);
	is(g_s->lost, 0, "four threads of one island on one line lose no store");
}

/* The same with processes that are killed at any moment. */
static void t_killed(void)
{
	pid_t r, victim, steady;
	u64 seed = 77, before;

	memset(g_s, 0, sizeof(*g_s));
	memset(block(0, 2), 0, CACHE_LINE);
	mem_writeback(&g_w.isl[0], block(0, 2), CACHE_LINE);
	r = world_fork(&g_w);
	if (!r) {
		reader(NULL);
		_exit(0);
	}
	steady = world_fork(&g_w);
	if (!steady) {
		while (!stopped())
			writer((void *)1);
		_exit(0);
	}
	for (u32 i = 0; i < 150; i++) {
		victim = world_fork(&g_w);
		if (!victim) {
			for (;;)
				writer((void *)3);
		}
		usleep((useconds_t)(t_random(&seed) % 1500));
		kill(victim, SIGKILL);
		world_wait(victim);
	}
	before = g_s->progress;
	for (u32 i = 0; i < 200 && g_s->progress == before; i++)
		usleep(10000);
	ok(g_s->progress > before, "killing one leaves the others going");
	g_s->stop = 1;
	world_wait(steady);
	world_wait(r);
	is(g_s->lost, 0, "and no store is lost");
}

static void t_world(u32 model, u64 chaos)
{
	world_new(&g_w,
		  &(struct world_cfg){ .cores = 2, .model = model, .chaos = chaos });
	diag("%s%s", world_model(model), chaos ? ", chaos" : "");
	if (!chaos) /* evictions may repair what was forgotten */
		t_forgotten(model == MEM_EMULATED);
	t_overwrite();
	t_handover();
	t_one_line();
	t_killed();
	world_end(&g_w);
}

int main(void)
{
	g_s = world_shared(sizeof(*g_s));
	t_world(MEM_COHERENT, 0);
	t_world(MEM_FLUSH, 0);
	t_world(MEM_EMULATED, 0);
	t_world(MEM_EMULATED, 12345);
	return done_testing();
}
