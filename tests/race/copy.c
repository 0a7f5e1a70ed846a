/* SPDX-License-Identifier: MIT */
/*
 * Partitioned DRAM: files of another island that are mapped. What the copy promises (client/copy.c),
 * that nothing of another island is touched for it, and what comes between its steps.
 */
#include <linux/falloc.h>
#include <sys/file.h>

#include "race/race.h"

#define PAGE 4096
#define LEN  (3 * PAGE)

static struct town g;
static struct person
	*g_p[MAX_CORES]; /* islands: 0 and 1, 2 and 3; the files are at server 0 */
static struct rival *g_a, *g_b; /* on cores 2 and 3 */
static const char g_f[] = "/hare/f";
static char *g_seen; /* what a rival saw in its mapping */
static u64 g_free[MAX_CORES]; /* blocks, when there are no files */
static char g_buf[1 << 20];

static u64 blocks_free(u32 core)
{
	struct ctx *c = &g.w.ctx[core];
	struct fs_stats s;

	ck_lock(c, c->ck);
	while (fs_trim(c, c->ck))
		ck_commit(c->ck);
	fs_stats(c->ck, &s);
	ck_unlock(c->ck);
	return s.blocks_free;
}

static u64 free_of_island(u32 island)
{
	return blocks_free(2 * island) + blocks_free(2 * island + 1);
}

static void clear(void)
{
	do_unlink(g_p[0], g_f, NULL);
	quiet(&g, g_p);
	for (u32 i = 0; i < 2; i++)
		is(free_of_island(i), g_free[i], "all blocks of island %u are free again",
		   i);
	is(town_check(&g, NULL), 0, "no invariant is violated");
}

static void put_file(char c, long len)
{
	long fd = CALL(g_p[0], open, g_f, O_CREAT | O_TRUNC | O_RDWR, 0644);

	memset(g_buf, c, (size_t)len);
	is(CALL(g_p[0], write, fd, g_buf, len), len, "a file of server 0");
	CALL(g_p[0], close, fd);
	is(ino_server(ino_of(g_p[0], g_f)), 0, "is there");
}

static long put_at(struct person *p, const char *text, u64 off)
{
	long fd = CALL(p, open, g_f, O_RDWR, 0), n;

	n = CALL(p, pwrite64, fd, text, strlen(text), off);
	CALL(p, close, fd);
	return n == (long)strlen(text) ? 0 : n;
}

static bool is_at(struct person *p, const char *text, u64 off)
{
	long fd = CALL(p, open, g_f, O_RDONLY, 0), n;
	char buf[64] = "";

	n = CALL(p, pread64, fd, buf, strlen(text), off);
	CALL(p, close, fd);
	if (n == (long)strlen(text) && !memcmp(buf, text, (size_t)n))
		return true;
	diag("got '%s', want '%s'", buf, text);
	return false;
}

static long map_it(struct person *p, int flags)
{
	bool shared = flags == MAP_SHARED;
	long fd = CALL(p, open, g_f, shared ? O_RDWR : O_RDONLY, 0), at;

	at = CALL(p, mmap, 0, LEN, PROT_READ | PROT_WRITE, flags, fd, 0);
	CALL(p, close, fd);
	return at;
}

static char *map(struct person *p)
{
	long at = map_it(p, MAP_SHARED);

	need(at > 0, "mmap");
	return (char *)at;
}

static bool is_mapped(long at)
{
	int fd = open("/dev/zero", O_RDONLY);
	bool there = read(fd, (void *)at, 1) == 1;

	close(fd);
	return there;
}

/* --- what is promised ---------------------------------------------------------------------- */

static void stores(void)
{
	char *x, *y;

	put_file('o', LEN);
	x = map(g_p[2]);
	y = map(g_p[3]);
	ok(x[0] == 'o' && x[LEN - 1] == 'o' && x != y,
	   "it is mapped on two cores of island 1");
	memcpy(x + PAGE - 2, "stored", 6);
	ok(!memcmp(y + PAGE - 2, "stored", 6), "which see each other's stores");
	ok(is_at(g_p[3], "ostoredo", PAGE - 3), "by read, too");
	memcpy(x + PAGE - 2, "STORED", 6);
	is(put_at(g_p[0], "xyz", PAGE + 4), 0, "island 0 writes beside it");
	is(CALL(g_p[2], msync, x, LEN, MS_SYNC), CLIENT_HOST, "msync");
	ok(is_at(g_p[0], "oSTOREDxyzo", PAGE - 3), "neither is lost");
	memcpy(x, "more", 4);
	is(CALL(g_p[2], munmap, x, LEN), 0, "munmap");
	ok(is_at(g_p[0], "moreo", 0), "is as msync");
	ok(!memcmp(y + PAGE + 4, "oo", 2), "a mapping that is there goes on as it was");
	is(CALL(g_p[3], munmap, y, LEN), 0, "munmap");
	y = map(g_p[3]);
	ok(!memcmp(y, "more", 4) && !memcmp(y + PAGE - 3, "oSTOREDxyzo", 11),
	   "one that is made afterwards sees all");
	CALL(g_p[3], munmap, y, LEN);
	clear();
}

static void writes(void)
{
	long fd, other;
	char *x;

	put_file('o', 2 * PAGE + 10);
	x = map(g_p[2]);
	is(put_at(g_p[3], "written", PAGE - 3), 0, "a write in the island");
	ok(!memcmp(x + PAGE - 3, "writteno", 8), "is seen by its mappings");
	is(put_at(g_p[3], "longer", 2 * PAGE + 10), 0, "at the end");
	ok(!memcmp(x + 2 * PAGE + 9, "olonger\0", 8), "as well");
	memcpy(x + 20, "stored", 6);
	is(put_at(g_p[3], "xy", 22), 0, "over what was stored");
	ok(!memcmp(x + 20, "stxyed", 6) && is_at(g_p[3], "stxyed", 20),
	   "the later one stays");
	x[30] = x[50] = 's';
	fd = CALL(g_p[3], open, g_f, O_RDWR, 0);
	is(CALL(g_p[3], fallocate, fd, FALLOC_FL_ZERO_RANGE, 25, 20), 0,
	   "zeroed in the island");
	ok(!x[30] && x[50] == 's' && x[46] == 'o' && x[24] == 'e',
	   "the mapping shows it");
	is(put_at(g_p[0], "far", 100), 0, "island 0 writes");
	ok(!memcmp(x + 100, "ooo", 3), "which a mapping that is there need not see");
	other = CALL(g_p[2], open, g_f, O_RDWR, 0);
	is(CALL(g_p[2], flock, other, LOCK_EX), 0, "until it takes a lock");
	ok(!memcmp(x + 100, "far", 3), "now it does");
	x[101] = 'i';
	is(CALL(g_p[2], flock, other, LOCK_UN), 0,
	   "what it stores before it gives that back");
	ok(is_at(g_p[0], "fir", 100), "is in the file");
	CALL(g_p[3], close, fd);
	CALL(g_p[2], close, other);
	CALL(g_p[2], munmap, x, LEN);
	clear();
}

static void truncation(void)
{
	char *x;

	put_file('o', LEN);
	x = map(g_p[2]);
	memset(x + PAGE, 's', 2 * PAGE);
	is(CALL(g_p[0], truncate, g_f, (long)PAGE + 100), 0, "island 0 truncates it");
	client_cut_now(&g_p[2]->t);
	ok(!client_cut_due(&g_p[2]->t) && is_mapped((long)x + PAGE) &&
		   !is_mapped((long)x + 2 * PAGE),
	   "the mapping ends there");
	ok(x[PAGE + 99] == 's' && !x[PAGE + 100] && !x[2 * PAGE - 1],
	   "behind the end there are zeroes");
	is(CALL(g_p[3], truncate, g_f, (long)LEN), 0, "longer again");
	is(put_at(g_p[2], "n", LEN - 1), 0, "by the process itself as well");
	ok(is_mapped((long)x + 2 * PAGE) && !x[2 * PAGE] && x[LEN - 1] == 'n' &&
		   !x[PAGE + 100],
	   "the mapping shows what the file has");
	CALL(g_p[2], munmap, x, LEN);
	ok(is_at(g_p[0], "s", PAGE + 99), "what was stored before the end is kept");
	ok(is_at(g_p[0], (char[]){ 0 }, PAGE + 100), "and nothing behind it");
	clear();
}

static void private(void)
{
	long at;
	char *x;

	put_file('o', PAGE + 5);
	at = map_it(g_p[2], MAP_PRIVATE);
	need(at > 0, "mmap");
	x = (char *)at;
	ok(x[0] == 'o' && x[PAGE + 4] == 'o' && !x[PAGE + 5], "a private mapping");
	memcpy(x, "mine", 4);
	CALL(g_p[2], msync, x, LEN, MS_SYNC);
	ok(is_at(g_p[0], "oooo", 0) && is_at(g_p[2], "oooo", 0), "keeps to itself");
	CALL(g_p[2], munmap, x, LEN);
	clear();
}

/* --- DRAM of one's own --------------------------------------------------------------------- */

static u64 fill_up(struct person *p, const char *path)
{
	long fd = CALL(p, open, path, O_CREAT | O_WRONLY, 0644), n;
	u64 sum = 0;

	while ((n = CALL(p, write, fd, g_buf, sizeof(g_buf))) > 0)
		sum += (u64)n;
	is(n, -ENOSPC, "island %u is full", p->t.ctx.core / 2);
	CALL(p, close, fd);
	return sum;
}

static u32 foreign_blocks(u64 ino)
{
	u32 bad = 0;

	for (u32 c = 0; c < g.w.cores; c++) {
		const struct island *isl = &g.w.isl[mem_island_of(g.w.isl[0].super, c)];
		struct run run[RUNS_MAX];
		struct req_BLOCKS q = { .ino = ino, .count = 1 << 20 };
		struct rep_BLOCKS p = { .runs = { .p = run, .cap = sizeof(run) } };

		if (ino_server(ino) != c || rpc_blocks(&g_p[c]->t.ctx, c, &q, &p))
			continue;
		for (u32 i = 0; i < p.runs.len / sizeof(*run); i++)
			for (u32 k = 0; run[i].blk && k < run[i].count; k++)
				bad += !mem_has_block(isl, run[i].blk + k);
	}
	return bad;
}

static void no_room(void)
{
	u64 share = (u64)g.w.isl[0].super->blocks_per_core * PAGE, got;
	long at;
	char *x;

	put_file('o', LEN);
	/* Each at its maker's server. */
	got = fill_up(g_p[2], "/hare/e/big");
	ok(got > 3 * share / 2 && got <= 2 * share, "of both its cores' blocks");
	is(foreign_blocks(ino_of(g_p[2], "/hare/e/big")), 0, "and of none of island 0's");
	ok(free_of_island(0) > g_free[0] / 2, "which has many");
	is(map_it(g_p[2], MAP_SHARED), -ENOMEM, "no room for a shared copy");
	at = map_it(g_p[2], MAP_PRIVATE);
	ok(at > 0, "a private mapping has memory of its own: %ld", at);
	x = (char *)at;
	ok(at > 0 && x[0] == 'o' && x[LEN - 1] == 'o', "and shows the file");
	if (at > 0)
		CALL(g_p[2], munmap, at, LEN);
	is(do_unlink(g_p[2], "/hare/e/big", NULL), 0, "unlink");
	quiet(&g, g_p);
	x = map(g_p[2]);
	ok(x[LEN - 1] == 'o', "then there is room");
	CALL(g_p[2], munmap, x, LEN);
	clear();
}

/* The blocks of others are not even mapped. */
static void not_there(void)
{
	u32 wrong = 0;

	for (u32 i = 0; i < 2; i++)
		for (u32 c = 0; c < g.w.cores; c++) {
			struct island *isl = &g.w.isl[i];
			blk_t blk = 1 + c * isl->super->blocks_per_core;
			unsigned char vec;

			wrong += mem_has_block(isl, blk) != (c / 2 == i);
			wrong +=
				!mincore(mem_block(isl, blk), PAGE, &vec) != (c / 2 == i);
		}
	is(wrong, 0, "each island maps its own blocks and no others");
}

/* --- forced orders ------------------------------------------------------------------------- */

static long do_map_and_look(struct person *p, const char *x, const char *y)
{
	char *at = (char *)CALL(p, mmap, 0, LEN, PROT_READ, MAP_SHARED,
				CALL(p, open, x, O_RDWR, 0), 0);

	(void)y;
	if ((long)at < 0)
		return (long)at;
	client_cut_now(&p->t);
	g_seen[PAGE] = is_mapped((long)at + PAGE);
	memcpy(g_seen, at, PAGE);
	CALL(p, munmap, at, LEN);
	return CALL(p, close, 3);
}

static long do_write_at_10(struct person *p, const char *x, const char *y)
{
	(void)x;
	return put_at(p, y, 10);
}

static long do_store_at_10(struct person *p, const char *x, const char *y)
{
	char *at = map(p);

	(void)x;
	memcpy(at + 10, y, strlen(y));
	rival_here("stored");
	CALL(p, munmap, at, LEN);
	return 0;
}

/* The island's own write comes between the read of the file and the filling of the copy. */
static void filled_after_write(void)
{
	put_file('o', LEN);
	ok(rival_run(g_a, do_map_and_look, g_f, NULL, RACE_ANSWERED, "READ"),
	   "core 2 has read it");
	is(put_at(g_p[3], "new", 10), 0, "core 3 writes");
	is(rival_end(g_a), 0, "core 2 maps it");
	ok(!memcmp(g_seen + 9, "onewo", 5), "and sees that");
	clear();
}

/* A write finds no copy; there is one when it is done. */
static void made_before_write(void)
{
	char *x;

	put_file('o', LEN);
	ok(rival_run(g_b, do_write_at_10, g_f, "new", RACE_ASK, "WRITE"),
	   "core 3 is about to write");
	x = map(g_p[2]);
	ok(!memcmp(x + 9, "ooo", 3), "core 2 has mapped it");
	is(rival_end(g_b), 0, "the write is done");
	ok(!memcmp(x + 9, "onewo", 5), "and seen");
	CALL(g_p[2], munmap, x, LEN);
	clear();
}

/* Two writes are served in one order and come back in the other. */
static void writes_cross(void)
{
	char *x;

	put_file('o', LEN);
	x = map(g_p[2]);
	ok(rival_run(g_b, do_write_at_10, g_f, "first", RACE_ANSWERED, "WRITE"),
	   "core 3 has written");
	ok(rival_run(g_a, do_write_at_10, g_f, "other", RACE_AT, "busy"),
	   "core 2 waits for it");
	is(rival_end(g_b), 0, "the first");
	is(rival_end(g_a), 0, "the other");
	ok(!memcmp(x + 9, "oothero", 7) && is_at(g_p[0], "oothero", 9),
	   "the mapping has what the file has");
	CALL(g_p[2], munmap, x, LEN);
	clear();
}

static void cut_before_filled(void)
{
	put_file('o', LEN);
	ok(rival_run(g_a, do_map_and_look, g_f, NULL, RACE_ANSWERED, "READ"),
	   "core 2 has read it");
	is(CALL(g_p[0], truncate, g_f, 11L), 0, "core 0 truncates it");
	is(rival_end(g_a), 0, "core 2 maps it");
	ok(g_seen[10] == 'o' && !g_seen[11] && !g_seen[PAGE - 1] && !g_seen[PAGE],
	   "and sees nothing of what went");
	clear();
}

/* A write is done before the file is cut, and told to the copy after that. */
static void cut_before_told(void)
{
	char *x;

	put_file('o', LEN);
	x = map(g_p[2]);
	ok(rival_run(g_b, do_write_at_10, g_f, "new", RACE_ANSWERED, "WRITE"),
	   "core 3 has written");
	is(CALL(g_p[0], truncate, g_f, 11L), 0, "core 0 truncates it");
	is(rival_end(g_b), 0, "core 3 goes on");
	client_cut_now(&g_p[2]->t);
	ok(x[10] == 'n' && !x[11] && !x[12], "the mapping has nothing behind the end");
	CALL(g_p[2], munmap, x, LEN);
	clear();
}

/* What one process has written to the file is not written once more by another one. */
static void not_twice(void)
{
	char *x;

	put_file('o', LEN);
	x = map(g_p[3]);
	ok(rival_run(g_b, do_store_at_10, g_f, "st", RACE_AT, "stored"),
	   "core 3 has stored");
	ok(rival_run(g_a, do_store_at_10, g_f, "st", RACE_AT, "patched"),
	   "core 2 is in munmap");
	ok(rival_on(g_b, RACE_AT, "busy"), "and has to wait");
	is(put_at(g_p[0], "later", 10), 0, "core 0 writes there");
	is(rival_end(g_a), 0, "core 2 is done");
	is(rival_end(g_b), 0, "core 3 too");
	ok(is_at(g_p[0], "later", 10), "the file has what was written last");
	CALL(g_p[3], munmap, x, LEN);
	clear();
}

/* Killed: what it stored is written by its agent; others go on. */
static void killed(const char *at)
{
	char *x;

	put_file('o', LEN);
	x = map(g_p[3]);
	ok(rival_run(g_a, do_store_at_10, g_f, "stored", RACE_AT, at), "core 2: %s", at);
	rival_kill(g_a);
	ok(!memcmp(x + 10, "stored", 6), "killed, and core 3 sees what it stored");
	rival_bury(g_a, g_p[2]);
	ok(is_at(g_p[0], "ostoredo", 9), "so does core 0");
	is(put_at(g_p[3], "written", 10), 0, "core 3 writes");
	ok(!memcmp(x + 9, "owritteno", 9), "and sees it");
	CALL(g_p[3], munmap, x, LEN);
	g_a = rival_new(&g, 2);
	clear();
}

static void run(const char *what, const struct world_cfg *wc)
{
	diag("%s", what);
	town_new(&g, wc);
	for (u32 i = 0; i < wc->cores; i++) {
		g_p[i] = town_person(&g, i, 0);
		for (int n = 0; n < 3; n++)
			fd_enter_host(&g_p[i]->t, n);
	}
	g_a = rival_new(&g, 2);
	g_b = rival_new(&g, 3);
	for (int n = 0; n < 3; n++) {
		fd_enter_host(&g_a->p->t, n);
		fd_enter_host(&g_b->p->t, n);
	}
	is(CALL(g_p[2], mkdir, "/hare/e", 0777), 0, "a directory of island 1");
	for (u32 i = 0; i < 2; i++)
		g_free[i] = free_of_island(i);
	not_there();
	stores();
	writes();
	truncation();
	private();
	no_room();
	filled_after_write();
	made_before_write();
	writes_cross();
	cut_before_filled();
	cut_before_told();
	not_twice();
	killed("patched");
	killed("stored");
	town_end(&g);
}

int main(void)
{
	const struct world_cfg wc = { .cores = 4,
				      .islands = 2,
				      .size = 256 << 20,
				      .without = WITHOUT_DIRECT_ACCESS };
	struct world_cfg emulated = wc, apart = wc;

	g_seen = world_shared(2 * PAGE);
	run("coherent", &wc);
	emulated.model = MEM_EMULATED;
	emulated.chaos = 5;
	run("emulated, with evictions", &emulated);
	apart.without |= WITHOUT_LOCAL_CALLS;
	run("without local calls", &apart);
	return done_testing();
}
