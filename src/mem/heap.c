/* SPDX-License-Identifier: MIT */
/*
 * The core kernel's heap: size classes over chunks of 64 KiB, all state in the core kernel.
 *
 * A chunk starts at a multiple of 64 KiB with a header that names its class, so that ck_free
 * finds it from any object's address. Large allocations are runs of 1, 2, 4, ... chunks with one
 * header. Free objects are linked through their first 8 bytes.
 *
 * A chunk whose objects are all free goes to a list of chunks for any class, when memory is short
 * (ck_reclaim): its objects are first moved to ck->limbo, a few in each transaction, then dropped
 * with the chunk in one. A large object that is free is cut into chunks.
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

#define CHUNK_FREE 0xffffffffu /* as its class: on ck->chunks */
#define KEEP_MIN   ((u64)768 << 10)
#define KEEP_MAX   ((u64)4 << 20)
#define TIGHT	   ((u64)256 << 10)
#define STEP	   512u /* objects or chunks dealt with in one transaction */

struct chunk {
	u32 magic;
	u32 cls;
	u64 size; /* of its objects */
	struct chunk *next; /* on ck->chunks */
	u32 seen; /* raw: free objects counted by ck_reclaim */
	u32 pad;
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

static u64 keep_of(const struct ck *ck, enum ck_use use)
{
	u64 part = (ck->heap_end - ck->heap_base) / 16;
	u64 keep = MIN(MAX(part, KEEP_MIN), KEEP_MAX);

	if (use == CK_SPREAD)
		return MAX(4 * part, keep);
	return use == CK_NEEDED ? 0 : use == CK_HELD ? keep / 4 : keep;
}

bool ck_is_tight(const struct ck *ck)
{
	return ck_spare(ck) < keep_of(ck, CK_GROWTH) + TIGHT;
}

bool ck_is_full(struct ck *ck)
{
	if (ck_spare(ck) >= keep_of(ck, CK_GROWTH))
		return false;
	ck->starved = 1;
	return true;
}

/* Never used memory; the header is fresh, written raw. */
static struct chunk *chunk_fresh(struct ck *ck, u64 len)
{
	struct chunk *k = (struct chunk *)ck->heap_next;

	if (len > ck->heap_end - ck->heap_next)
		return NULL;
	TX_SET(ck, ck->heap_next, ck->heap_next + len);
	k->magic = CHUNK_MAGIC;
	return k;
}

/* Takes the chunks of [k, k + len) off the list: n of them, which are all there. An object will lie
 * over their headers. */
static void chunks_take(struct ck *ck, struct chunk *k, u64 len, u64 n)
{
	struct chunk **at = (struct chunk **)&ck->chunks;

	for (u64 off = CHUNK; off < len; off += CHUNK)
		tx_save(ck, (char *)k + off, sizeof(*k));
	while (*at) {
		if ((u64)*at - (u64)k < len)
			TX_SET(ck, *at, (*at)->next);
		else
			at = &(*at)->next;
	}
	TX_SET(ck, ck->chunk_bytes, ck->chunk_bytes - n * CHUNK);
}

/* Neighbours on the list of chunks. */
static struct chunk *chunk_run(struct ck *ck, u64 len)
{
	u64 n = len / CHUNK, found = 0;

	if (ck->chunk_bytes < len)
		return NULL;
	if (n == 1) {
		struct chunk *k = ck->chunks;

		TX_SET(ck, ck->chunks, (void *)k->next);
		TX_SET(ck, ck->chunk_bytes, ck->chunk_bytes - CHUNK);
		return k;
	}
	for (u64 at = ck->heap_base; at < ck->heap_next;) {
		struct chunk *k = (struct chunk *)at;
		bool large = k->cls != CHUNK_FREE && k->cls >= SMALL_CLASSES;

		found = k->cls == CHUNK_FREE ? found + 1 : 0;
		at += large ? (u64)CHUNK << (k->cls - SMALL_CLASSES) : CHUNK;
		if (found < n)
			continue;
		k = (struct chunk *)(at - len);
		chunks_take(ck, k, len, n);
		return k;
	}
	return NULL;
}

static struct chunk *chunk_new(struct ck *ck, u32 cls, enum ck_use use)
{
	u64 len = cls < SMALL_CLASSES ? CHUNK : (u64)CHUNK << (cls - SMALL_CLASSES);
	struct chunk *k = NULL;

	if (ck_spare(ck) >= len + keep_of(ck, use)) {
		k = chunk_run(ck, len);
		if (!k)
			k = chunk_fresh(ck, len);
	}
	if (!k) {
		ck->starved = 1;
		return NULL;
	}
	TX_SET(ck, k->cls, cls);
	TX_SET(ck, k->size, size_of_class(cls));
	return k;
}

static void *carve(struct ck *ck, u32 cls, enum ck_use use)
{
	struct ck_class *s = &ck->cls[cls];
	u64 size = size_of_class(cls);
	u64 p;

	if (cls >= SMALL_CLASSES) {
		struct chunk *k = chunk_new(ck, cls, use);

		return k ? (char *)k + HEADER : NULL;
	}
	if (s->cur_end - s->cur < size) {
		struct chunk *k = chunk_new(ck, cls, use);

		if (!k)
			return NULL;
		TX_SET(ck, s->cur, (u64)k + HEADER);
		TX_SET(ck, s->cur_end, (u64)k + CHUNK);
	}
	p = s->cur;
	TX_SET(ck, s->cur, p + size);
	return (void *)p;
}

static __attribute__((always_inline)) inline void *alloc(struct ck *ck, enum ck_use use,
							 size_t size)
{
	u32 cls = class_of(size);
	void *p;

	if (unlikely(cls >= CK_CLASSES))
		return NULL;
	p = ck->cls[cls].free;
	if (likely(p))
		TX_SET(ck, ck->cls[cls].free, *(void **)p);
	else
		p = carve(ck, cls, use);
	if (unlikely(!p))
		return NULL;
	TX_ADD(ck, ck->heap_used, size_of_class(cls));
	/* The link word of a reused object is logged: a rollback puts the object, with its link,
	 * back on the list. */
	ck_log(ck, p, *(u64 *)p, 8);
	zero(p, ALIGN_UP(size, (size_t)8));
	return p;
}

void *ck_alloc(struct ck *ck, size_t size)
{
	return alloc(ck, CK_NEEDED, size);
}

void *ck_alloc_for(struct ck *ck, enum ck_use use, size_t size)
{
	return alloc(ck, use, size);
}

static struct chunk *chunk_at(void *p)
{
	return (struct chunk *)ALIGN_DOWN((u64)p, (u64)CHUNK);
}

static struct chunk *chunk_of(struct ck *ck, void *p)
{
	struct chunk *k = chunk_at(p);

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

/* A transaction of the heap's own ends. */
static void end(struct ck *ck)
{
	compiler_barrier();
	ck->log_count = 0;
	compiler_barrier();
	ck_crash_point();
}

/* Bytes freed after which it is worth looking for empty chunks. */
static u64 reclaim_after(const struct ck *ck)
{
	u64 keep = keep_of(ck, CK_GROWTH);

	if (ck->starved)
		return 4 * CHUNK;
	return ck_spare(ck) < 2 * keep ? keep : ~0ULL;
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
		ck->freed += size_of_class(cls);
		end(ck);
	}
	/* While memory is short, what became free serves all sizes. */
	if (unlikely(ck->freed >= 4 * CHUNK) && ck->freed >= reclaim_after(ck))
		(void)ck_reclaim(ck);
}

/* --- giving chunks back --------------------------------------------------------------------------- */

/* The objects that a chunk of a small class was carved into. */
static u32 carved_of(const struct ck *ck, const struct chunk *k)
{
	const struct ck_class *s = &ck->cls[k->cls];
	u64 len =
		s->cur_end == (u64)k + CHUNK ? s->cur - (u64)k - HEADER : CHUNK - HEADER;

	return (u32)(len / k->size);
}

/* Marks up to STEP chunks that hold nothing (seen = ~0). How many. */
static u32 find_empty(struct ck *ck, u32 cls)
{
	u32 found = 0;

	for (void **p = ck->cls[cls].free; p; p = *p)
		chunk_of(ck, p)->seen = 0;
	for (void **p = ck->cls[cls].free; p; p = *p) {
		struct chunk *k = chunk_of(ck, p);

		if (k->seen == ~0u || ++k->seen < carved_of(ck, k) || found == STEP)
			continue;
		k->seen = ~0u;
		found++;
	}
	return found;
}

/* From the free list to limbo: the objects of chunks that were marked. */
static void to_limbo(struct ck *ck, u32 cls)
{
	void **at = &ck->cls[cls].free;
	u32 n = 0;

	while (*at) {
		void **p = *at;

		if (chunk_of(ck, p)->seen != ~0u) {
			at = p;
			continue;
		}
		TX_SET(ck, *at, *p);
		TX_SET(ck, *p, ck->limbo);
		TX_SET(ck, ck->limbo, (void *)p);
		if (++n % STEP == 0)
			end(ck);
	}
	end(ck);
}

static void chunk_drop(struct ck *ck, struct chunk *k)
{
	TX_SET(ck, k->cls, CHUNK_FREE);
	TX_SET(ck, k->next, (struct chunk *)ck->chunks);
	TX_SET(ck, ck->chunks, (void *)k);
	TX_SET(ck, ck->chunk_bytes, ck->chunk_bytes + CHUNK);
}

/* The chunks of what is in limbo, in one transaction. */
static void limbo_drop(struct ck *ck, u32 cls)
{
	struct ck_class *s = &ck->cls[cls];

	for (void **p = ck->limbo; p; p = *p) {
		struct chunk *k = chunk_at(p);

		if (k->seen != ~0u)
			continue; /* by another object of it */
		k->seen = 0;
		if (s->cur_end == (u64)k + CHUNK) {
			TX_SET(ck, s->cur, 0);
			TX_SET(ck, s->cur_end, 0);
		}
		chunk_drop(ck, k);
	}
	TX_SET(ck, ck->limbo, NULL);
	end(ck);
}

/* Who did this before was killed in it. */
static void limbo_restore(struct ck *ck)
{
	while (ck->limbo) {
		void **p = ck->limbo;
		u32 cls = chunk_of(ck, p)->cls;

		TX_SET(ck, ck->limbo, *p);
		TX_SET(ck, *p, ck->cls[cls].free);
		TX_SET(ck, ck->cls[cls].free, (void *)p);
		end(ck);
	}
}

static bool cut_large(struct ck *ck, u32 cls)
{
	u64 len = (u64)CHUNK << (cls - SMALL_CLASSES);
	bool any = false;

	while (ck->cls[cls].free) {
		void **p = ck->cls[cls].free;
		struct chunk *first = chunk_of(ck, p);

		TX_SET(ck, ck->cls[cls].free, *p);
		for (u64 off = 0; off < len; off += CHUNK) {
			struct chunk *k = (struct chunk *)((char *)first + off);

			k->magic = CHUNK_MAGIC; /* free memory: nothing to be undone */
			chunk_drop(ck, k);
		}
		end(ck);
		any = true;
	}
	return any;
}

bool ck_reclaim(struct ck *ck)
{
	bool any = false;

	limbo_restore(ck);
	if (ck->freed >= CHUNK / 2) {
		for (u32 cls = 0; cls < SMALL_CLASSES; cls++) {
			while (find_empty(ck, cls)) {
				to_limbo(ck, cls);
				limbo_drop(ck, cls);
				any = true;
			}
		}
		for (u32 cls = SMALL_CLASSES; cls < CK_CLASSES; cls++)
			any |= cut_large(ck, cls);
	}
	ck->freed = 0;
	ck->starved = 0;
	return any;
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
	u64 carved[CK_CLASSES] = { 0 }, used = 0, chunks = 0;
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

		if (k->magic == CHUNK_MAGIC && k->cls == CHUNK_FREE) {
			chunks++;
			at += CHUNK;
			continue;
		}
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
	if (chunks * CHUNK != ck->chunk_bytes)
		chunks = ~0ULL;
	for (struct chunk *k = ck->chunks; k && chunks; k = k->next)
		chunks -= k->cls == CHUNK_FREE;
	if (chunks) {
		bad(arg, "heap: empty chunks are not on their list");
		errors++;
	}
	for (void **p = ck->limbo; p; p = *p)
		used -= chunk_of(ck, p)->size;
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
