/* SPDX-License-Identifier: MIT */
/*
 * Places in files from which programs make system calls, as all processes of a core have met them:
 * offsets of `syscall` instructions that trapped. A process that maps such a file patches the ones
 * that are worth it at once (src/intercept/patch.c), instead of trapping at each.
 *
 * Worth it: to patch a page costs a process about as much as one trap and a half, so a page is
 * taken when the processes that mapped the file had two traps in it, on average. Once taken, it
 * stays so, and so do sites that are met in it later.
 *
 * The table is outside the log and without a lock, as counters are: entries are claimed by one
 * compare-and-swap and never removed, so a killed process leaves at most one that says nothing. A
 * count that is lost, or a site that is entered twice, harms nobody. When it is full, no more is
 * learned.
 */
#include <asm/errno.h>

#include "base/hash.h"
#include "client/state.h"

#define SITES	 1024u /* a power of two */
#define PROBES	 256u /* entries looked at for one file, and for one site of it */
#define OFF_FILE 1u /* the file's own entry: no instruction is there. count: mappings */
#define HOT	 0x80000000u /* in count: to be patched */
#define LEAST	 8u /* traps before anything is concluded */

struct site {
	u64 file; /* 0: free */
	u32 off; /* 0: not yet entered */
	u32 count;
};
_Static_assert(SITES * sizeof(struct site) == 16384, "a size class of the heap");

long sites_init(struct ck *ck, struct client_root *r)
{
	r->sites = ck_alloc(ck, SITES * sizeof(struct site));
	return r->sites ? 0 : -ENOSPC;
}

static struct client_root *root(const struct task *t)
{
	return t->ctx.ck->root[CK_ROOT_CLIENT];
}

/* The file's entries lie behind its hash, others' between them; a free one ends the search. */
static struct site *nth(const struct client_root *r, u64 file, u32 n)
{
	return &r->sites[(file + n) % SITES];
}

static u64 file_of(const struct site *s)
{
	return __atomic_load_n(&s->file, __ATOMIC_ACQUIRE);
}

static u32 off_of(const struct site *s)
{
	return __atomic_load_n(&s->off, __ATOMIC_ACQUIRE);
}

static bool claim(struct site *s, u64 file, u32 off)
{
	u64 none = 0;

	if (!__atomic_compare_exchange_n(&s->file, &none, file, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		return false;
	__atomic_store_n(&s->off, off, __ATOMIC_RELEASE);
	return true;
}

/* NULL: there is no more room. */
static struct site *entry(struct client_root *r, u64 file, u32 off)
{
	for (u32 n = 0; n < PROBES; n++) {
		struct site *s = nth(r, file, n);

		if (!file_of(s) && claim(s, file, off))
			return s;
		if (file_of(s) == file && off_of(s) == off)
			return s;
	}
	return NULL;
}

static bool same_page(u32 a, u32 b)
{
	return a / PAGE_SIZE == b / PAGE_SIZE;
}

struct page_state {
	u32 traps, maps;
	bool hot;
};

static struct page_state look(const struct client_root *r, u64 file, u32 off)
{
	struct page_state p = { 0 };

	for (u32 n = 0; n < PROBES; n++) {
		const struct site *s = nth(r, file, n);

		if (!file_of(s))
			break;
		if (file_of(s) != file)
			continue;
		if (off_of(s) == OFF_FILE) {
			p.maps = s->count;
		} else if (same_page(off_of(s), off)) {
			p.traps += s->count & ~HOT;
			p.hot |= s->count & HOT;
		}
	}
	return p;
}

static void heat(struct client_root *r, u64 file, u32 off)
{
	bool news = false;

	for (u32 n = 0; n < PROBES; n++) {
		struct site *s = nth(r, file, n);

		if (!file_of(s))
			break;
		if (file_of(s) != file || off_of(s) <= OFF_FILE ||
		    !same_page(off_of(s), off) || s->count & HOT)
			continue;
		__atomic_fetch_or(&s->count, HOT, __ATOMIC_RELAXED);
		news = true;
	}
	if (news)
		__atomic_fetch_add(&r->sites_news, 1, __ATOMIC_RELEASE);
}

void client_site_trapped(struct task *t, u64 file, u32 off, u32 weight)
{
	struct client_root *r = root(t);
	struct site *s = entry(r, file, off);
	struct page_state p;

	if (!s || s->count & HOT)
		return;
	__atomic_fetch_add(&s->count, weight, __ATOMIC_RELAXED);
	p = look(r, file, off);
	if (p.hot || (p.traps >= LEAST && p.traps >= 2 * p.maps))
		heat(r, file, off);
}

static u32 hot_sites(const struct client_root *r, u64 file, u32 *off, u32 max)
{
	u32 count = 0;

	for (u32 n = 0; n < PROBES && count < max; n++) {
		const struct site *s = nth(r, file, n);

		if (!file_of(s))
			break;
		if (file_of(s) == file && off_of(s) > OFF_FILE && s->count & HOT)
			off[count++] = off_of(s);
	}
	return count;
}

u32 client_sites_hot(struct task *t, u64 file, u32 *off, u32 max)
{
	return hot_sites(root(t), file, off, max);
}

void client_sites_mapped(struct task *t, u64 file)
{
	struct site *s = entry(root(t), file, OFF_FILE);

	if (s && s->count < HOT - 1)
		__atomic_fetch_add(&s->count, 1, __ATOMIC_RELAXED);
}

u64 client_sites_news(struct task *t)
{
	return __atomic_load_n(&root(t)->sites_news, __ATOMIC_ACQUIRE);
}
