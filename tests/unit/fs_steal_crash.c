/* SPDX-License-Identifier: MIT */
/*
 * Blocks that pass from server to server: one server can have them all, none is lost and none is
 * given twice, also when who runs the handlers dies after any of their stores.
 */
#include "unit/fs.h"

extern u64 g_crash_at, g_crash_count;

#define ROOT  INO_ROOT
#define CORES 3
#define MODE  (HS_IFREG | 0644)

static struct fsw f;
static char data[65536], got[65536];

static void drain_all(void)
{
	for (u32 n = 0; n < 3; n++)
		for (u32 c = 0; c < CORES; c++)
			while (msg_drain(&f.w.ctx[c]))
				;
}

/* Core 0 asks server `from` for blocks. */
static u32 steal(u32 from, u32 to, u32 want)
{
	struct rep_STEAL p = { 0 };
	long r;

	f.srv = from;
	r = FS(&f, steal, STEAL, &p, .to = to, .want = want);
	f.srv = 0;
	return r < 0 ? 0 : p.count;
}

static u64 blocks_free(void)
{
	struct fs_stats s;
	u64 n = 0;

	for (u32 c = 0; c < CORES; c++) {
		fsw_stats(&f, c, &s);
		n += s.blocks_free;
	}
	return n;
}

static long write_all(u64 ino, u64 off, u32 len)
{
	struct rep_WRITE p = { 0 };
	long r = FS(&f, write, WRITE, &p, .ino = ino, .off = off, .data = BYTES(data, len),
		    .flags = IO_STEAL);

	return r < 0 ? r : p.count;
}

/* As client/room.c does. */
static u64 fill(u64 ino, u64 off)
{
	for (;;) {
		long n = write_all(ino, off, sizeof(data));

		if (n == -HARE_ESTEAL && steal(1, 0, 16) + steal(2, 0, 16)) {
			drain_all();
			continue;
		}
		if (n == -HARE_ESTEAL)
			n = wr(&f, ino, off, data, sizeof(data));
		if (n <= 0)
			return off;
		off += (u64)n;
	}
}

static void t_all_of_it(u32 model, u32 islands)
{
	u64 all, ino, size, bad = 0;
	const char *name = world_model(model);

	fsw_new(&f,
		&(struct world_cfg){ .cores = CORES, .islands = islands, .model = model,
				     .size = 64 << 20 },
		0);
	all = blocks_free();
	for (u32 round = 0; round < 2; round++) {
		ino = (u64)mk(&f, ROOT, "big", MODE);
		size = fill(ino, 0);
		is(size, all * PAGE_SIZE, "%s: one server takes all blocks", name);
		is(blocks_free(), 0, "none is left");
		is(wr(&f, ino, size, data, 1), -ENOSPC, "ENOSPC");
		for (u64 at = 0; at < size; at += sizeof(data)) {
			u64 n = MIN(size - at, sizeof(data));

			bad += rd(&f, ino, at, got, n) != (long)n || memcmp(got, data, n);
		}
		is(bad, 0, "the data is right");
		is(fsw_check_all(&f), 0, "consistent");
		is(rm(&f, ROOT, "big"), 0, "unlink");
		is(blocks_free(), all, "all are free again");
		is(fsw_check_all(&f), 0, "consistent");
		/* The next round begins with what the others hold. */
		while (steal(0, 1 + round % 2, 100000))
			drain_all();
		is(fsw_check_all(&f), 0, "consistent when another took them");
	}
	fsw_end(&f);
}

/* Every second block is free: many short extents. */
static void t_fragments(void)
{
	u64 ino[2], all;
	u32 n = 0, x;

	fsw_new(&f, &(struct world_cfg){ .cores = CORES, .size = 64 << 20 }, 0);
	all = blocks_free();
	ino[0] = (u64)mk(&f, ROOT, "a", MODE);
	ino[1] = (u64)mk(&f, ROOT, "b", MODE);
	for (u64 i = 0; i < 2400; i++)
		wr(&f, ino[i % 2], i * PAGE_SIZE, data, PAGE_SIZE);
	rm(&f, ROOT, "a");
	while ((x = steal(0, 1, 100000))) {
		n += x;
		drain_all();
	}
	ok(n > 1200, "%u blocks went in short runs", n);
	ok(f.max_log < CK_LOG_MAX * 3 / 4, "the longest transaction has %lu stores", f.max_log);
	is(fsw_check_all(&f), 0, "consistent");
	rm(&f, ROOT, "b");
	is(blocks_free(), all, "none is lost");
	fsw_end(&f);
}

static void t_refuses(void)
{
	struct extent x[] = { { 1, 5 }, { 0, 1 }, { 0xffffffff, 5 }, { 5, 0xffffffff } };
	struct rep_STEAL p = { 0 };

	fsw_new(&f, &(struct world_cfg){ .cores = CORES, .size = 64 << 20 }, 0);
	is(FS(&f, steal, STEAL, &p, .to = CORES, .want = 1), -EINVAL, "STEAL: no such server");
	is(FS(&f, steal, STEAL, &p, .to = 0, .want = 1), 0, "STEAL for itself");
	is(p.count, 0, "gives nothing");
	is(FS(&f, give, GIVE, NULL, .extents = BYTES(x, sizeof(x))), -EINVAL,
	   "GIVE: not by a client");
	f.far = true;
	f.core = 1;
	for (u32 i = 0; i < ARRAY_SIZE(x); i++)
		is(FS(&f, give, GIVE, NULL, .extents = BYTES(&x[i], sizeof(x[i]))), -EINVAL,
		   "GIVE: extent %u", i);
	f.far = false;
	f.core = 0;
	is(fsw_check_all(&f), 0, "consistent");
	fsw_end(&f);
}

/* The owner recovers, and what is in flight arrives. */
static u32 recover(void)
{
	u32 n = 0;

	for (u32 c = 0; c < CORES; c++) {
		ck_lock(&f.w.ctx[c], f.w.ck[c]);
		msg_flush(&f.w.ctx[c], f.w.ck[c]);
		ck_unlock(f.w.ck[c]);
	}
	n += fsw_check_all(&f); /* with records in flight */
	drain_all();
	return n + fsw_check_all(&f);
}

static void t_crash(u32 model)
{
	u32 n = 0, points = 0;
	u64 all;

	fsw_new(&f, &(struct world_cfg){ .cores = CORES, .model = model, .size = 64 << 20 }, 0);
	all = blocks_free();
	for (u64 k = 1;; k++) {
		pid_t pid = world_fork(&f.w);
		int status;

		if (!pid) {
			f.w.ctx[0].slot = 0;
			g_crash_count = 0;
			g_crash_at = k;
			steal(1, 0, 1);
			drain_all();
			_exit(0);
		}
		status = world_wait(pid);
		n += recover();
		if (blocks_free() != all) {
			diag("store %lu: %lu blocks are free, of %lu", k, blocks_free(), all);
			n++;
		}
		if (status != 99) {
			is(status, 0, "%s: ends well", world_model(model));
			break;
		}
		points++;
		/* Back, so that the next one has as many. */
		for (u32 i = 0; i < 8; i++)
			steal(0, 1, 8192);
		drain_all();
	}
	ok(!n && points > 30, "%s: dying at %u points loses nothing", world_model(model), points);
	fsw_end(&f);
}

int main(void)
{
	rpc_init();
	for (u32 i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7 + i / 256 + 1);
	t_all_of_it(MEM_COHERENT, CORES);
	t_all_of_it(MEM_COHERENT, 1);
	t_all_of_it(MEM_EMULATED, CORES);
	t_fragments();
	t_refuses();
	t_crash(MEM_COHERENT);
	t_crash(MEM_EMULATED);
	return done_testing();
}
