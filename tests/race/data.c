/* SPDX-License-Identifier: MIT */
/*
 * Readers and writers of blocks against what takes the blocks away, makes the file longer or tells
 * that it has changed: truncate, unlink, append, another core's close.
 */
#include <sys/uio.h>

#include "race/race.h"

#define PAGE 4096

static struct town g;
static struct person *g_p[MAX_CORES];
static struct rival *g_near, *g_far, *g_far_b, *g_far2; /* on cores 0, 1, 1 and 2; the files are at server 0 */
static const char g_f[] = "/hare/f", g_g[] = "/hare/g";
static char *g_seen; /* what a rival read */
static u64 g_free; /* blocks, when there are no files */

static u64 blocks_free(void)
{
	return stats_of(&g, g_p).blocks_free;
}

static void clear(void)
{
	do_unlink(g_p[0], g_f, NULL);
	do_unlink(g_p[0], g_g, NULL);
	quiet(&g, g_p);
	is(blocks_free(), g_free, "all blocks are free again");
	is(town_check(&g, NULL), 0, "no invariant is violated");
}

/* count bytes of c at the file's end. */
static long put(struct person *p, const char *path, char c, size_t count)
{
	long fd = CALL(p, open, path, O_CREAT | O_WRONLY | O_APPEND, 0644), n;
	char *buf = malloc(count);

	memset(buf, c, count);
	n = CALL(p, write, fd, buf, count);
	CALL(p, close, fd);
	free(buf);
	return n;
}

/* Takes every block there is; how many bytes. */
static u64 fill(struct person *p, const char *path)
{
	u64 sum = 0;
	long n;

	while ((n = put(p, path, 'g', 1 << 20)) > 0)
		sum += (u64)n;
	is(n, -ENOSPC, "no block is free any more");
	return sum;
}

/* All of it is c. */
static bool all_is(struct person *p, const char *path, char c, u64 count)
{
	static char buf[1 << 20];
	long fd = CALL(p, open, path, O_RDONLY, 0), n;
	u64 sum = 0, bad = 0;

	while ((n = CALL(p, read, fd, buf, sizeof(buf))) > 0) {
		for (long i = 0; i < n; i++)
			bad += buf[i] != c;
		sum += (u64)n;
	}
	CALL(p, close, fd);
	return sum == count && !bad;
}

static long do_write_first(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, open, x, O_RDWR, 0), n;
	static char buf[2 * PAGE];

	memset(buf, *y, sizeof(buf));
	n = CALL(p, pwrite64, fd, buf, sizeof(buf), 0);
	CALL(p, close, fd);
	return n;
}

static long do_read_at(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, open, x, O_RDONLY, 0), n;

	rival_here("opened");
	n = CALL(p, pread64, fd, g_seen, 2 * PAGE, y ? atol(y) : 0);
	CALL(p, close, fd);
	return n;
}

static long do_append(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, open, x, O_WRONLY | O_APPEND, 0), n;

	n = CALL(p, write, fd, y, strlen(y));
	CALL(p, close, fd);
	return n;
}

static long do_truncate(struct person *p, const char *x, const char *y)
{
	(void)y;
	return CALL(p, truncate, x, 0);
}

/* --- the block goes, and another file gets it ----------------------------------------------------------- */

static void write_to_reused(const char *what, rival_fn take_away)
{
	u64 len;

	is(put(g_p[0], g_f, 'f', 2 * PAGE), 2 * PAGE, "a file");
	ok(rival_run(g_far, do_write_first, g_f, "w", RACE_AT, "copy in"),
	   "a far core is about to write to a block");
	is(take_away(g_p[0], g_f, NULL), 0, "%s", what);
	len = fill(g_p[0], g_g);
	is(rival_end(g_far), 2 * PAGE, "it writes");
	ok(all_is(g_p[2], g_g, 'g', len), "the other file has none of it");
	clear();
}

static void read_of_reused(const char *what, struct rival *r, rival_fn take_away)
{
	u64 bad = 0;
	long n;

	is(put(g_p[0], g_f, 'f', 2 * PAGE), 2 * PAGE, "a file");
	memset(g_seen, 0, 2 * PAGE);
	ok(rival_run(r, do_read_at, g_f, NULL, RACE_AT, "copy out"),
	   "a core is about to read a block");
	is(take_away(g_p[0], g_f, NULL), 0, "%s", what);
	fill(g_p[0], g_g);
	n = rival_end(r);
	ok(n >= 0 && n <= 2 * PAGE, "it reads %ld", n);
	for (long i = 0; i < n; i++)
		bad += g_seen[i] == 'g';
	is(bad, 0, "nothing of the other file");
	clear();
}

/* All that is dirty in a core's cache goes to DRAM, as it may at any time. */
static void evict(u32 core)
{
	const struct island *isl = &g.w.isl[core];

	for (blk_t b = 1; mem_has_block(isl, b); b++)
		mem_writeback(isl, mem_block(isl, b), PAGE);
}

static long do_write_byte(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, open, x, O_RDWR, 0), n = CALL(p, pwrite64, fd, y, 1, 0);

	CALL(p, close, fd);
	return n;
}

/* Another file that has all blocks is as it was written when it is in DRAM and core 1's cache goes there, too. */
static void nothing_left(void)
{
	u64 len = fill(g_p[0], g_g);

	ok(all_is(g_p[2], g_g, 'g', len), "another file has its blocks");
	evict(1);
	is(do_write_byte(g_p[0], g_g, "g"), 1, "so that core 2 reads it anew");
	ok(all_is(g_p[2], g_g, 'g', len), "what it left in its cache never gets there");
	clear();
}

static void killed_writer(void)
{
	struct rival *r = rival_new(&g, 1);

	is(put(g_p[0], g_f, 'f', 2 * PAGE), 2 * PAGE, "a file");
	ok(rival_run(r, do_write_first, g_f, "w", RACE_AT, "copied in"),
	   "a far core has written to a block");
	is(do_unlink(g_p[0], g_f, NULL), 0, "unlink");
	rival_kill(r);
	rival_bury(r, g_p[1]);
	quiet(&g, g_p);
	nothing_left();
}

static long do_sync(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, open, x, O_RDONLY, 0), r = CALL(p, fsync, fd);

	(void)y;
	CALL(p, close, fd);
	return r;
}

/* Another process of the core writes back what the core has written, or has the blocks forgotten, and then the
 * writer copies. */
static void killed_writer_alone(const char *what, rival_fn meanwhile)
{
	struct rival *r = rival_new(&g, 1);

	is(put(g_p[0], g_f, 'f', 2 * PAGE), 2 * PAGE, "a file");
	ok(rival_run(r, do_write_first, g_f, "w", RACE_AT, "copy in"),
	   "a far core is about to write to a block");
	is(meanwhile(g_p[1], g_f, NULL), 0, "%s, by another process", what);
	is(do_unlink(g_p[0], g_f, NULL), 0, "unlink");
	ok(rival_on(r, RACE_AT, "copied in"), "it has written");
	rival_kill(r);
	rival_bury(r, g_p[1]);
	quiet(&g, g_p);
	nothing_left();
}

/* --- append --------------------------------------------------------------------------------------------- */

static void two_append(u32 when)
{
	static const char *const both[] = { "0onetwo", "0twoone" };

	is(file_put(g_p[0], g_f, "0"), 1, "a file");
	ok(rival_run(g_far, do_append, g_f, "one", when, "WRITE"), "one appends");
	is(do_append(g_p[2], g_f, "two"), 3, "another core appends meanwhile");
	is(rival_end(g_far), 3, "the first goes on");
	ok(file_is(g_p[0], g_f, both[when == RACE_ASK]), "both are there");
	clear();
}

/* --- what a core knows of a far file ----------------------------------------------------------- */

/* A file of so many blocks that an open does not tell of the last ones. */
#define MANY 300
#define LAST (280L * PAGE)

/* Bytes that are not c, of two pages as a core reads them now. */
static long not_all(struct person *p, char c)
{
	static char buf[2 * PAGE];
	long fd = CALL(p, open, g_f, O_RDONLY, 0), bad = 0;
	long n = CALL(p, pread64, fd, buf, sizeof(buf), LAST);

	CALL(p, close, fd);
	for (long i = 0; i < n; i++)
		bad += buf[i] != c;
	return n == 2 * PAGE ? bad : -1;
}

static long do_write_last(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, open, x, O_RDWR, 0), n;
	static char buf[2 * PAGE];

	memset(buf, *y, sizeof(buf));
	n = CALL(p, pwrite64, fd, buf, sizeof(buf), LAST);
	rival_here("written");
	CALL(p, close, fd);
	return n;
}

/* Reads what it is about to read, and then once more. */
static long do_read_last(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, open, x, O_RDONLY, 0), n;

	(void)y;
	CALL(p, pread64, fd, g_seen, 2 * PAGE, LAST);
	n = CALL(p, pread64, fd, g_seen, 2 * PAGE, LAST);
	CALL(p, close, fd);
	return n;
}

/* A read of core 1 has asked for blocks; another process of core 1 has the file cut and written anew
 * before it has entered what it was told. */
static void learned_before_truncate(void)
{
	is(put(g_p[0], g_f, 'o', MANY * PAGE), MANY * PAGE, "a file");
	ok(rival_run(g_far, do_read_last, g_f, NULL, RACE_ANSWERED, "BLOCKS"), "blocks are told");
	is(do_truncate(g_p[1], g_f, NULL), 0, "truncate");
	is(put(g_p[1], g_f, 'n', MANY * PAGE), MANY * PAGE, "written anew");
	is(rival_end(g_far), 2 * PAGE, "the next read of it");
	ok(g_seen[0] == 'n' && g_seen[2 * PAGE - 1] == 'n', "sees that");
	/* This one first: what core 1 forgets is written back by that. */
	is(not_all(g_p[2], 'n'), 0, "core 2 reads what core 1 wrote");
	is(not_all(g_p[1], 'n'), 0, "so does core 1");
	clear();
}

/* The read was told of a hole, which another process of core 1 has filled by then. */
static void learned_before_filled(void)
{
	is(put(g_p[0], g_f, 'o', 1), 1, "a file");
	is(CALL(g_p[0], truncate, g_f, (long)MANY * PAGE), 0, "with a hole");
	ok(rival_run(g_far, do_read_last, g_f, NULL, RACE_ANSWERED, "BLOCKS"), "a hole is told");
	ok(rival_run(g_far_b, do_write_last, g_f, "n", RACE_AT, "written"), "it is filled");
	is(rival_end(g_far), 2 * PAGE, "the next read of it");
	ok(g_seen[0] == 'n' && g_seen[2 * PAGE - 1] == 'n', "sees that");
	is(rival_end(g_far_b), 2 * PAGE, "and closed");
	/* This one first: what core 1 forgets is written back by that. */
	is(not_all(g_p[2], 'n'), 0, "core 2 reads what core 1 wrote");
	is(not_all(g_p[1], 'n'), 0, "so does core 1");
	clear();
}

/* Another core changed the file, so who opens it here forgets the blocks under a writer's hands: before
 * it has copied, when it has, when it has noted that. */
static void forgotten_under_writer(const char *at)
{
	is(put(g_p[0], g_f, 'o', MANY * PAGE), MANY * PAGE, "a file");
	ok(rival_run(g_far, do_write_last, g_f, "n", RACE_AT, at), "core 1 writes: %s", at);
	is(put(g_p[2], g_f, 'a', PAGE), PAGE, "core 2 changes the file");
	is(CALL(g_p[1], close, CALL(g_p[1], open, g_f, O_RDONLY, 0)), 0, "core 1 forgets the blocks");
	is(rival_end(g_far), 2 * PAGE, "the writer ends");
	/* This one first: what core 1 forgets is written back by that. */
	is(not_all(g_p[2], 'n'), 0, "core 2 reads what core 1 wrote");
	is(not_all(g_p[1], 'n'), 0, "so does core 1");
	clear();
}

/* What core 1 has written is still in its cache when the file has other blocks, which another process of it
 * learns; the old ones are given to another file when nobody has this one open any more. */
static void relearned_over_dirty(void)
{
	char before[24];
	u64 len;

	is(put(g_p[0], g_f, 'o', MANY * PAGE), MANY * PAGE, "a file");
	snprintf(before, sizeof(before), "%ld", LAST - 2 * PAGE);
	ok(rival_run(g_far_b, do_read_at, g_f, before, RACE_AT, "opened"), "core 1 has it open");
	ok(rival_run(g_far, do_write_last, g_f, "d", RACE_AT, "written"), "and has written");
	is(do_truncate(g_p[0], g_f, NULL), 0, "cut");
	is(put(g_p[0], g_f, 'n', MANY * PAGE), MANY * PAGE, "and written anew");
	is(rival_end(g_far_b), 2 * PAGE, "core 1 reads what is before that");
	is(rival_end(g_far), 2 * PAGE, "the writer closes it");
	is(not_all(g_p[2], 'n'), 0, "the file has what was written last");
	len = fill(g_p[0], g_g);
	ok(all_is(g_p[1], g_g, 'g', len), "another file has its old blocks, and nothing of it");
	ok(all_is(g_p[2], g_g, 'g', len), "wherever one looks");
	clear();
}

static long do_write_second(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, open, x, O_RDWR, 0), n;
	static char buf[PAGE];

	memset(buf, *y, sizeof(buf));
	n = CALL(p, pwrite64, fd, buf, PAGE, PAGE);
	CALL(p, close, fd);
	return n;
}

/* The first 100 bytes are c, the second page d, and what is between them zero. */
static bool is_cut(struct person *p, char c, char d)
{
	static char buf[3 * PAGE];
	long fd = CALL(p, open, g_f, O_RDONLY, 0), n = CALL(p, read, fd, buf, 3 * PAGE);
	bool good = n == 2 * PAGE;

	CALL(p, close, fd);
	for (long i = 0; i < n && good; i++)
		good = buf[i] == (i < 100 ? c : i < PAGE ? 0 : d);
	return good;
}

/* What an open was told is entered when another process of the core has cut the file. */
static void opened_then_cut(void)
{
	is(put(g_p[0], g_f, 'o', 2 * PAGE), 2 * PAGE, "a file");
	ok(rival_run(g_far, do_write_second, g_f, "w", RACE_AT, "forgets"),
	   "core 1 has opened it, and is about to enter what it was told");
	is(CALL(g_p[1], truncate, g_f, 100), 0, "another process of core 1 cuts it");
	is(rival_end(g_far), PAGE, "the first writes");
	ok(is_cut(g_p[2], 'o', 'w'), "core 2 sees that");
	ok(is_cut(g_p[1], 'o', 'w'), "so does core 1");
	clear();
}

/* --- writers, and another process of their core that cuts the file ------------------------------- */

static long do_truncate_100(struct person *p, const char *x, const char *y)
{
	(void)y;
	return CALL(p, truncate, x, 100);
}

static long do_open_trunc(struct person *p, const char *x, const char *y)
{
	(void)y;
	return do_close(p, CALL(p, open, x, O_WRONLY | O_TRUNC, 0));
}

/* As do_write_second, from several buffers. */
static long do_writev_second(struct person *p, const char *x, const char *y)
{
	struct iovec v[3];
	static char buf[PAGE];
	long fd = CALL(p, open, x, O_RDWR, 0), n;

	memset(buf, *y, sizeof(buf));
	for (int i = 0; i < 3; i++)
		v[i] = (struct iovec){ buf + i, i < 2 ? 1000 : PAGE - 2000 };
	n = CALL(p, pwritev, fd, v, 3, PAGE);
	CALL(p, close, fd);
	return n;
}

/* What is written inside the file is beyond its end when it has been copied: the write comes after the cut. */
static void cut_under_writer(const char *at, rival_fn writer)
{
	is(put(g_p[0], g_f, 'o', 2 * PAGE), 2 * PAGE, "a file");
	ok(rival_run(g_far, writer, g_f, "w", RACE_AT, at), "core 1 writes: %s", at);
	is(do_truncate_100(g_p[1], g_f, NULL), 0, "another process of core 1 cuts the file");
	is(rival_end(g_far), PAGE, "the writer ends");
	ok(is_cut(g_p[2], 'o', 'w'), "core 2 sees what it wrote");
	ok(is_cut(g_p[1], 'o', 'w'), "so does core 1");
	clear();
}

/* What makes it longer comes before the cut, which waits for it. */
static void cut_under_append(const char *at, rival_fn cut, s64 size)
{
	struct stat st = { 0 };

	is(put(g_p[0], g_f, 'o', PAGE), PAGE, "a file");
	ok(rival_run(g_far, do_write_second, g_f, "w", RACE_AT, at), "core 1 writes at its end: %s", at);
	ok(rival_run(g_far_b, cut, g_f, NULL, RACE_AT, "busy"), "who cuts it waits for that");
	is(rival_end(g_far), PAGE, "the writer ends");
	is(rival_end(g_far_b), 0, "it is cut");
	is(CALL(g_p[2], stat, g_f, &st), 0, "stat");
	is(st.st_size, size, "it is as long as that");
	clear();
}

/* --- a close, and an open that comes after it ---------------------------------------------------------------- */

static long do_write_inside(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, open, x, O_RDWR, 0), n;

	rival_here("opened");
	n = CALL(p, pwrite64, fd, y, strlen(y), 3);
	CALL(p, close, fd);
	return n;
}

/* The close's messages, which nobody waits for, and the OPEN of a core whose ring is looked at first
 * are drained at once. */
static void closed_then_opened(void)
{
	is(file_put(g_p[0], g_f, "abcabc"), 6, "a file");
	ok(rival_run(g_far2, do_write_inside, g_f, "def", RACE_AT, "opened"), "core 2 has it open");
	ok(file_is(g_p[1], g_f, "abcabc"), "core 1 has read it");
	town_pause(&g, 0);
	is(rival_end(g_far2), 3, "core 2 writes and closes it, nobody is awake on core 0");
	ok(rival_run(g_far, do_read_at, g_f, NULL, RACE_SENT, "OPEN"), "core 1 opens it");
	msg_drain(&g.w.ctx[0]);
	town_resume(&g, 0);
	memset(g_seen, 0, 16);
	is(rival_end(g_far), 6, "and reads it");
	ok(!memcmp(g_seen, "abcdef", 6), "as it was written");
	clear();
}

static long do_open_close(struct person *p, const char *x, const char *y)
{
	long fd = CALL(p, open, x, O_RDONLY, 0);

	(void)y;
	rival_here("opened");
	return CALL(p, close, fd);
}

/* Killed in a close, when what was written is in the books no more. */
static void killed_in_sync(void)
{
	struct rival *r = rival_new(&g, 1);

	is(file_put(g_p[0], g_f, "abcabc"), 6, "a file");
	ok(file_is(g_p[2], g_f, "abcabc"), "core 2 has read it");
	ok(rival_run(r, do_write_inside, g_f, "def", RACE_AT, "synced"),
	   "core 1 has written, and is in its close");
	rival_kill(r);
	rival_bury(r, g_p[1]);
	ok(file_is(g_p[2], g_f, "abcdef"), "core 2 sees what was written");
	ok(file_is(g_p[0], g_f, "abcdef"), "so does core 0");
	clear();
}

/* Another process of the core is in its close, and has taken what was written here out of the books. */
static void closed_by_two(void)
{
	long fd;

	is(file_put(g_p[0], g_f, "abcabc"), 6, "a file");
	ok(file_is(g_p[2], g_f, "abcabc"), "core 2 has read it");
	ok(rival_run(g_far, do_open_close, g_f, NULL, RACE_AT, "opened"),
	   "core 1 has it open");
	fd = CALL(g_p[1], open, g_f, O_RDWR, 0);
	is(CALL(g_p[1], pwrite64, fd, "def", 3, 3), 3, "twice, and writes");
	ok(rival_on(g_far, RACE_AT, "synced"), "the one closes it");
	is(CALL(g_p[1], close, fd), 0, "the other, that wrote, does so, too");
	ok(file_is(g_p[2], g_f, "abcdef"), "core 2, told of that, sees what was written");
	is(rival_end(g_far), 0, "the one goes on");
	clear();
}

static void run(const char *what, const struct world_cfg *wc)
{
	bool far = wc->islands != 1;

	town_open(&g, g_p, what, wc);
	g_near = rival_new(&g, 0);
	g_far = rival_new(&g, 1);
	g_far_b = rival_new(&g, 1);
	g_far2 = rival_new(&g, 2);
	g_free = blocks_free();
	read_of_reused("truncate under a near reader", g_near, do_truncate);
	read_of_reused("unlink under a near reader", g_near, do_unlink);
	read_of_reused("truncate under a reader", g_far, do_truncate);
	if (far) {
		read_of_reused("unlink under a reader", g_far, do_unlink);
		write_to_reused("truncate under a writer", do_truncate);
		write_to_reused("unlink under a writer", do_unlink);
		killed_writer();
		killed_writer_alone("fsync", do_sync);
		killed_writer_alone("truncate", do_truncate);
		learned_before_truncate();
		learned_before_filled();
		forgotten_under_writer("copy in");
		forgotten_under_writer("copied in");
		forgotten_under_writer("written");
		relearned_over_dirty();
		opened_then_cut();
		cut_under_writer("copy in", do_write_second);
		cut_under_writer("copied in", do_write_second);
		cut_under_writer("copied in", do_writev_second);
		cut_under_append("copied in", do_truncate_100, 100);
		cut_under_append("copied in", do_open_trunc, 0);
		closed_then_opened();
		killed_in_sync();
		closed_by_two();
	}
	two_append(RACE_ASK);
	two_append(RACE_ANSWERED);
	town_end(&g);
}

int main(void)
{
	g_seen = world_shared(2 * PAGE);
	return race_main(run, IN_ISLANDS | IN_ONE | IN_EMULATED);
}
