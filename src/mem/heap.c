/* SPDX-License-Identifier: MIT */
/*
 * The core kernel's heap: size classes over chunks of 64 KiB, all state in the core kernel.
 *
 * A chunk starts at a multiple of 64 KiB with a header that names its class, so that ck_free
 * finds it from any object's address. Large allocations are runs of 1, 2, 4, ... chunks with one
 * header. Free objects are linked through their first 8 bytes.
 *
 * Transactions: allocation is a few logged stores. ck_free only links the object to the garbage
 * list (logged); after the commit ck_collect gives it back. So memory freed in a transaction is
 * never handed out again inside it, and what a rollback restores was not overwritten.
 */
#include "base/str.h"
#include "mem/mem.h"

#define CHUNK	      65536u
#define HEADER	      64u
#define CHUNK_MAGIC   0x6b6e6863u
#define SMALL_CLASSES 22u

struct chunk {
	u32 magic;
	u32 cls;
	u64 size; /* of its objects */
};

static const u32 class_size[SMALL_CLASSES] = {
	16,   32,   48,	  64,	96,   128,  192,  256,	 384,	512,   768,
	1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32704,
};

static u64 size_of_class(u32 cls)
{
	if (cls < SMALL_CLASSES)
		return class_size[cls];
	return ((u64)CHUNK << (cls - SMALL_CLASSES)) - HEADER;
}

/* Of the sizes up to 512, in steps of 16. */
static const u8 class_small[33] = {
	0, 0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7,
	8, 8, 8, 8, 8, 8, 8, 8, 9, 9, 9, 9, 9, 9, 9, 9,
};

static u32 class_of(size_t size)
{
	u32 cls = 10;

	if (likely(size <= 512))
		return class_small[(size + 15) / 16];
	while (cls < CK_CLASSES && size_of_class(cls) < size)
		cls++;
	return cls;
}

static void zero(void *p, size_t size)
{
	u64 *w = p, *end = w + size / 8;

	if (size > 1024) {
		memset(p, 0, size);
		return;
	}
	for (; end - w >= 4; w += 4)
		w[0] = w[1] = w[2] = w[3] = 0;
	while (w < end)
		*w++ = 0;
}

/* A run of chunks of never used memory; the header is fresh memory, written raw. */
static struct chunk *chunk_new(struct ck *ck, u32 cls)
{
	u64 len = cls < SMALL_CLASSES ? CHUNK : (u64)CHUNK << (cls - SMALL_CLASSES);
	struct chunk *k = (struct chunk *)ck->heap_next;

	if (len > ck->heap_end - ck->heap_next)
		return NULL;
	TX_SET(ck, ck->heap_next, ck->heap_next + len);
	k->magic = CHUNK_MAGIC;
	k->cls = cls;
	k->size = size_of_class(cls);
	return k;
}

static void *carve(struct ck *ck, u32 cls)
{
	struct ck_class *s = &ck->cls[cls];
	u64 size = size_of_class(cls);
	u64 p;

	if (cls >= SMALL_CLASSES) {
		struct chunk *k = chunk_new(ck, cls);

		return k ? (char *)k + HEADER : NULL;
	}
	if (s->cur_end - s->cur < size) {
		struct chunk *k = chunk_new(ck, cls);

		if (!k)
			return NULL;
		TX_SET(ck, s->cur, (u64)k + HEADER);
		TX_SET(ck, s->cur_end, (u64)k + CHUNK);
	}
	p = s->cur;
	TX_SET(ck, s->cur, p + size);
	return (void *)p;
}

void *ck_alloc(struct ck *ck, size_t size)
{
	u32 cls = class_of(size);
	void *p;

	if (unlikely(cls >= CK_CLASSES))
		return NULL;
	p = ck->cls[cls].free;
	if (likely(p))
		TX_SET(ck, ck->cls[cls].free, *(void **)p);
	else
		p = carve(ck, cls);
	if (unlikely(!p))
		return NULL;
	TX_ADD(ck, ck->heap_used, size_of_class(cls));
	/* The link word of a reused object is logged: a rollback puts the object, with its link,
	 * back on the list. */
	ck_log(ck, p, *(u64 *)p, 8);
	zero(p, ALIGN_UP(size, (size_t)8));
	return p;
}

static struct chunk *chunk_of(struct ck *ck, void *p)
{
	struct chunk *k = (struct chunk *)ALIGN_DOWN((u64)p, (u64)CHUNK);

	BUG_ON((u64)p < ck->heap_base || (u64)p >= ck->heap_next);
	BUG_ON(k->magic != CHUNK_MAGIC || k->cls >= CK_CLASSES);
	return k;
}

void ck_free(struct ck *ck, void *p)
{
	if (!p)
		return;
	chunk_of(ck, p);
	TX_SET(ck, *(void **)p, ck->garbage);
	TX_SET(ck, ck->garbage, p);
}

/* Moves what was freed to the free lists, each object in a transaction of its own, so that dying
 * in between loses nothing. No transaction is open. */
void ck_collect(struct ck *ck)
{
	while (ck->garbage) {
		void *p = ck->garbage;
		u32 cls = chunk_of(ck, p)->cls;

		TX_SET(ck, ck->garbage, *(void **)p);
		TX_SET(ck, *(void **)p, ck->cls[cls].free);
		TX_SET(ck, ck->cls[cls].free, p);
		TX_ADD(ck, ck->heap_used, -size_of_class(cls));
		compiler_barrier();
		ck->log_count = 0;
		compiler_barrier();
		ck_crash_point();
	}
}

void ck_init(struct island *isl, u32 core)
{
	struct ck *ck = mem_ck(isl, core);

	memset(ck, 0, sizeof(*ck));
	ck->core = core;
	ck->island = isl->id;
	ck->heap_base = ALIGN_UP((u64)ck + sizeof(*ck), (u64)CHUNK);
	ck->heap_next = ck->heap_base;
	ck->heap_end = ALIGN_DOWN((u64)ck + isl->super->ck_size, (u64)CHUNK);
	ck->magic = SUPER_MAGIC;
}

/* --- check -------------------------------------------------------------------------------------- */

static u64 free_bytes(struct ck *ck, u32 cls, u64 limit, u32 *errors,
		      void (*bad)(void *arg, const char *text), void *arg)
{
	u64 n = 0;

	for (void **p = ck->cls[cls].free; p; p = *p) {
		u64 at = (u64)p;
		struct chunk *k = (struct chunk *)ALIGN_DOWN(at, (u64)CHUNK);

		if (at < ck->heap_base || at >= ck->heap_next || k->cls != cls ||
		    (at - (u64)k - HEADER) % k->size) {
			bad(arg, "heap: a free list leads out of its chunks");
			(*errors)++;
			break;
		}
		if (++n > limit) {
			bad(arg, "heap: a free list has a loop");
			(*errors)++;
			break;
		}
	}
	return n * size_of_class(cls);
}

u32 ck_check(struct ck *ck, void (*bad)(void *arg, const char *text), void *arg)
{
	u64 carved[CK_CLASSES] = { 0 }, used = 0;
	u32 errors = 0;

	if (ck->magic != SUPER_MAGIC) {
		bad(arg, "core kernel: wrong magic number");
		return 1;
	}
	if (ck->log_count || ck->garbage) {
		bad(arg, "core kernel: a transaction is open");
		errors++;
	}
	for (u64 at = ck->heap_base; at < ck->heap_next;) {
		struct chunk *k = (struct chunk *)at;

		if (k->magic != CHUNK_MAGIC || k->cls >= CK_CLASSES) {
			bad(arg, "heap: a chunk without a header");
			return errors + 1;
		}
		if (k->cls >= SMALL_CLASSES) {
			carved[k->cls] += k->size;
			at += (u64)CHUNK << (k->cls - SMALL_CLASSES);
			continue;
		}
		carved[k->cls] += ck->cls[k->cls].cur_end == at + CHUNK
					  ? ck->cls[k->cls].cur - at - HEADER
					  : (CHUNK - HEADER) / k->size * k->size;
		at += CHUNK;
	}
	for (u32 i = 0; i < CK_CLASSES; i++)
		used += carved[i] - free_bytes(ck, i,
					       (ck->heap_next - ck->heap_base) / 16,
					       &errors, bad, arg);
	if (used != ck->heap_used) {
		bad(arg, "heap: the bytes in use do not add up");
		errors++;
	}
	return errors;
}
