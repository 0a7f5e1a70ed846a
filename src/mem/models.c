/* SPDX-License-Identifier: MIT */
/*
 * The memory models: what write-back and invalidate do. The only file with flush instructions
 * and fences between islands. See mem.h.
 *
 * Emulated: the island's copy is its cache and the shadow remembers each line as it was when it
 * was last synchronised with DRAM, so a line is dirty exactly when copy and shadow differ.
 * Write-back stores dirty lines, whole, as a cache does. Invalidate does what clflush does:
 * writes a dirty line back, then drops it, that is, reloads it. A clean line is reloaded word by
 * word with compare-and-exchange, so that a store that races with it is not lost (to the
 * program it is as if the line had been fetched just before the store).
 */
#include <cpuid.h>
#include <linux/fs.h>

#include "base/hash.h"
#include "base/sys.h"
#include "mem/mem.h"

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

	for (; p < end; p += CACHE_LINE) {
		if (opt)
			__asm__ volatile("clflushopt %0" : "+m"(*p));
		else
			__asm__ volatile("clflush %0" : "+m"(*p));
	}
	__asm__ volatile("mfence" ::: "memory");
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

		shadow[i] = v;
		__atomic_store_n(&dram[i], v, __ATOMIC_RELAXED);
	}
}

static void line_drop(u64 *copy, u64 *shadow, u64 *dram)
{
	for (int i = 0; i < WORDS; i++) {
		u64 old = shadow[i];
		u64 v = __atomic_load_n(&dram[i], __ATOMIC_RELAXED);

		if (__atomic_compare_exchange_n(&copy[i], &old, v, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			shadow[i] = v;
	}
}

static void emulated_lines(const struct island *isl, u64 off, u64 end, bool drop)
{
	for (; off < end; off += CACHE_LINE) {
		u64 *copy = (u64 *)(isl->base + off);
		u64 *shadow = (u64 *)(isl->shadow + off);
		u64 *dram = (u64 *)(isl->dram + off);

		if (line_is_dirty(copy, shadow))
			line_store(copy, shadow, dram);
		if (drop)
			line_drop(copy, shadow, dram);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void emulated(const struct island *isl, const char *p, size_t len, bool drop)
{
	u64 off = ALIGN_DOWN((u64)(p - isl->base), (u64)CACHE_LINE);
	u64 end = ALIGN_UP((u64)(p - isl->base) + len, (u64)CACHE_LINE);

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	emulated_lines(isl, off, end, drop);
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

	if (isl->model != MEM_EMULATED || !s->chaos_seed)
		return;
	for (int i = 0; i < 4; i++) {
		u64 at = s->ring_off + chaos_random(isl) % span;
		long page;

		if (at >= s->ck_off)
			at += s->block_off - s->ck_off;
		page = SYS(lseek, isl->fds.copy, ALIGN_DOWN(at, (u64)PAGE_SIZE), SEEK_DATA);
		if (sys_failed(page) || (u64)page + PAGE_SIZE > s->dram_size)
			continue;
		if ((u64)page >= s->ck_off && (u64)page < s->block_off)
			continue;
		for (u64 line = 0; line < PAGE_SIZE; line += CACHE_LINE) {
			u64 off = (u64)page + line;
			u64 what = chaos_random(isl) & 3;

			if (what < 2)
				emulated_lines(isl, off, off + CACHE_LINE, what == 1);
		}
	}
}
