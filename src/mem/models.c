/* SPDX-License-Identifier: MIT */
/*
 * The memory models: what write-back and invalidate do. The only file with flush instructions
 * and fences between islands. See mem.h.
 *
 * Emulated: the island's copy is its cache and the shadow remembers each line as it was when it
 * was last synchronised with DRAM, so a line is dirty exactly when copy and shadow differ.
 * Write-back stores dirty lines, whole, as a cache does. Invalidate does what clflush does:
 * writes a dirty line back, then drops it, that is, reloads it. A line is reloaded word by word
 * with compare-and-exchange, so that a store that races with it is not lost (to the program it
 * is as if the line had been fetched just before the store). A store of what the copy already
 * holds cannot be seen: harmless when DRAM holds the same, which mem_overwrite provides for.
 *
 * Threads of the island that synchronise the same line at the same time take turns, by a lock
 * per page: else one that was slow would put an older word over a newer one. A thread may be
 * killed in its turn. It stores to DRAM before it stores to the shadow, so that a line half
 * written back is still dirty; and it notes beforehand what it is about to load, so that who
 * takes the lock over can tell words that it loaded from words that the program stored.
 */
#include <cpuid.h>
#include <linux/fs.h>

#include "base/hash.h"
#include "base/race.h"
#include "base/sys.h"
#include "mem/models.h"

#define WORDS (CACHE_LINE / 8)

enum flush_kind { FLUSH_UNKNOWN, FLUSH_CLFLUSH, FLUSH_CLFLUSHOPT, FLUSH_CLWB };
static int g_flush; /* enum flush_kind, found out once per process */
static u64 g_chaos; /* this process's random state */

static int flush_kind(void)
{
	u32 a, b = 0, c, d;

	if (g_flush != FLUSH_UNKNOWN)
		return g_flush;
	__cpuid_count(7, 0, a, b, c, d);
	if (b & (1u << 24))
		g_flush = FLUSH_CLWB; /* such processors have clflushopt too */
	else if (b & (1u << 23))
		g_flush = FLUSH_CLFLUSHOPT;
	else
		g_flush = FLUSH_CLFLUSH;
	return g_flush;
}

static void flush_writeback(char *p, char *end)
{
	int kind = flush_kind();

	for (; p < end; p += CACHE_LINE) {
		if (kind == FLUSH_CLWB)
			__asm__ volatile("clwb %0" : "+m"(*p));
		else if (kind == FLUSH_CLFLUSHOPT)
			__asm__ volatile("clflushopt %0" : "+m"(*p));
		else
			__asm__ volatile("clflush %0" : "+m"(*p));
	}
	__asm__ volatile("sfence" ::: "memory");
}

static void flush_invalidate(char *p, char *end)
{
	bool opt = flush_kind() != FLUSH_CLFLUSH;

	/* The loads that told us to look come first: clflushopt is not ordered with them. */
	__asm__ volatile("lfence" ::: "memory");
	for (; p < end; p += CACHE_LINE) {
		if (opt)
			__asm__ volatile("clflushopt %0" : "+m"(*p));
		else
			__asm__ volatile("clflush %0" : "+m"(*p));
	}
	__asm__ volatile("mfence" ::: "memory");
}

void mem_flush_fresh(const struct super *s, char *p, size_t len)
{
	if (s->model == MEM_FLUSH)
		flush_writeback(p, p + len);
}

/* --- emulated ----------------------------------------------------------------------------------- */

struct line_lock {
	u32 owner; /* host thread id; 0: free */
	u32 loading; /* the rest says what the owner is loading */
	u64 off; /* of the line in DRAM */
	u64 value[WORDS]; /* found there */
	u64 pad[6];
};
#define LINE_LOCKS   (MEM_LOCKS_SIZE / sizeof(struct line_lock))
#define LOCK_YIELD   64 /* tries between two sched_yield */
#define LOCK_SUSPECT 4096 /* tries before the owner's life is doubted */

static bool lock_cas(struct line_lock *l, u32 from, u32 to)
{
	return __atomic_compare_exchange_n(&l->owner, &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

/* The owner died while it loaded a line: what it loaded is not ours, so it must not look dirty. */
static void line_repair(const struct island *isl, struct line_lock *l)
{
	u64 *copy = (u64 *)(isl->base + l->off);
	u64 *shadow = (u64 *)(isl->shadow + l->off);

	if (!l->loading)
		return;
	for (int i = 0; i < WORDS; i++)
		if (__atomic_load_n(&copy[i], __ATOMIC_RELAXED) == l->value[i])
			shadow[i] = l->value[i];
	l->loading = 0;
}

static struct line_lock *line_lock(const struct island *isl, u64 off, u32 tid)
{
	struct line_lock *l =
		(struct line_lock *)isl->locks + off / PAGE_SIZE % LINE_LOCKS;

	for (u32 tries = 1; !lock_cas(l, 0, tid); tries++) {
		u32 owner = __atomic_load_n(&l->owner, __ATOMIC_RELAXED);

		race_point("line busy", RACE_AT);
		cpu_pause();
		if (tries % LOCK_YIELD == 0)
			SYS(sched_yield);
		if (owner &&
		    (owner == tid ||
		     (tries % LOCK_SUSPECT == 0 && ck_thread_dead(owner))) &&
		    lock_cas(l, owner, tid)) {
			line_repair(isl, l);
			break;
		}
	}
	return l;
}

static void line_unlock(struct line_lock *l)
{
	__atomic_store_n(&l->owner, 0, __ATOMIC_RELEASE);
}

static bool line_is_dirty(const u64 *copy, const u64 *shadow)
{
	for (int i = 0; i < WORDS; i++)
		if (__atomic_load_n(&copy[i], __ATOMIC_RELAXED) != shadow[i])
			return true;
	return false;
}

static void line_store(u64 *copy, u64 *shadow, u64 *dram)
{
	for (int i = 0; i < WORDS; i++) {
		u64 v = __atomic_load_n(&copy[i], __ATOMIC_RELAXED);

		race_point("storing", RACE_AT);
		__atomic_store_n(&dram[i], v, __ATOMIC_RELEASE);
		race_point("half stored", RACE_AT);
		__atomic_store_n(&shadow[i], v, __ATOMIC_RELEASE);
	}
}

static void line_load(struct line_lock *l, u64 off, u64 *copy, u64 *shadow,
		      const u64 *dram)
{
	l->off = off;
	for (int i = 0; i < WORDS; i++)
		l->value[i] = __atomic_load_n(&dram[i], __ATOMIC_RELAXED);
	__atomic_store_n(&l->loading, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < WORDS; i++) {
		u64 old = shadow[i];

		race_point("loading", RACE_AT);
		if (__atomic_compare_exchange_n(&copy[i], &old, l->value[i], false,
						__ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
			race_point("loaded", RACE_AT);
			__atomic_store_n(&shadow[i], l->value[i], __ATOMIC_RELEASE);
		}
	}
	__atomic_store_n(&l->loading, 0, __ATOMIC_RELEASE);
}

/* Lines [off, end), all of one page. */
static void emulated_lines(const struct island *isl, u64 off, u64 end, u32 tid, bool drop)
{
	struct line_lock *l = line_lock(isl, off, tid);

	for (; off < end; off += CACHE_LINE) {
		u64 *copy = (u64 *)(isl->base + off);
		u64 *shadow = (u64 *)(isl->shadow + off);
		u64 *dram = (u64 *)(isl->dram + off);

		if (line_is_dirty(copy, shadow))
			line_store(copy, shadow, dram);
		if (drop)
			line_load(l, off, copy, shadow, dram);
	}
	line_unlock(l);
}

static void emulated(const struct island *isl, const char *p, size_t len, bool drop)
{
	u64 off = ALIGN_DOWN((u64)(p - isl->base), (u64)CACHE_LINE);
	u64 end = ALIGN_UP((u64)(p - isl->base) + len, (u64)CACHE_LINE);
	u32 tid = (u32)SYS(gettid);

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	while (off < end) {
		u64 stop = MIN(end, ALIGN_UP(off + 1, (u64)PAGE_SIZE));

		emulated_lines(isl, off, stop, tid, drop);
		off = stop;
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (isl->super->chaos_seed && (++g_chaos & 63) == 0)
		mem_chaos(isl);
}

void mem_writeback(const struct island *isl, const void *p, size_t len)
{
	char *start = (char *)ALIGN_DOWN((u64)p, (u64)CACHE_LINE);

	compiler_barrier();
	if (isl->model == MEM_FLUSH)
		flush_writeback(start, (char *)p + len);
	else if (isl->model == MEM_EMULATED)
		emulated(isl, p, len, false);
}

void mem_invalidate(const struct island *isl, const void *p, size_t len)
{
	char *start = (char *)ALIGN_DOWN((u64)p, (u64)CACHE_LINE);

	compiler_barrier();
	if (isl->model == MEM_FLUSH)
		flush_invalidate(start, (char *)p + len);
	else if (isl->model == MEM_EMULATED)
		emulated(isl, p, len, true);
	compiler_barrier();
}

static u64 chaos_random(const struct island *isl)
{
	g_chaos = hash_u64(g_chaos + isl->super->chaos_seed + ((u64)isl->id << 48) + 1);
	return g_chaos;
}

/* Some pages of the island's copy that were ever used, some lines of each. Core kernels never
 * cross islands, so evicting them would show nothing; everything else may go at any time. */
void mem_chaos(const struct island *isl)
{
	const struct super *s = isl->super;
	u64 span = s->dram_size - s->block_off + s->ck_off - s->ring_off;
	u32 tid;

	if (isl->model != MEM_EMULATED || !s->chaos_seed)
		return;
	tid = (u32)SYS(gettid);
	for (int i = 0; i < 4; i++) {
		u64 at = s->ring_off + chaos_random(isl) % span;
		long page;

		if (at >= s->ck_off)
			at += s->block_off - s->ck_off;
		page = SYS(lseek, isl->fds.copy, ALIGN_DOWN(at, (u64)PAGE_SIZE),
			   SEEK_DATA);
		if (sys_failed(page) || (u64)page + PAGE_SIZE > s->dram_size)
			continue;
		if ((u64)page >= s->ck_off && (u64)page < s->block_off)
			continue;
		for (u64 line = 0; line < PAGE_SIZE; line += CACHE_LINE) {
			u64 off = (u64)page + line;
			u64 what = chaos_random(isl) & 3;

			if (what < 2)
				emulated_lines(isl, off, off + CACHE_LINE, tid,
					       what == 1);
		}
	}
}
