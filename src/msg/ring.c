/* SPDX-License-Identifier: MIT */
/*
 * Rings: one per ordered pair of cores, in DRAM, without any hardware atomics or coherence.
 *
 *   producer                                consumer
 *   ring_put: copy record behind the tail,
 *     write it back, count it in the log
 *   (commit)
 *   ring_publish: tail = end of the last
 *     record, write the line back
 *   ring the doorbell                       invalidate the tail's line, read it
 *                                           invalidate the record, read it
 *                                           (handle it, commit)
 *   invalidate the head's line, read it <-  now and then: head = consumed, write the line back
 *
 * Where the producer stands (tail[]) and the consumer (head[]) is core-kernel memory, changed in
 * transactions; what stands in the ring is published from there, again after a kill. Cost of a
 * small record: two lines written back, two invalidated.
 */
#include <asm/errno.h>

#include "base/str.h"
#include "msg/ring.h"

#define WRAP	      0xffffffffu
#define RECORD_MAX    (sizeof(struct msg_hdr) + MSG_DATA_MAX)
#define RING_SIZE_MIN 65536u

_Static_assert(RING_SIZE_MIN - RING_HEADER - HEAD_LAZY >= 2 * RECORD_MAX,
	       "an empty ring has room");

static struct ring *ring_at(const struct island *isl, u32 src, u32 dst)
{
	const struct super *s = isl->super;

	return (struct ring *)(isl->base + s->ring_off +
			       ((u64)src * s->cores + dst) * s->ring_size);
}

static u64 room(const struct island *isl)
{
	return isl->super->ring_size - RING_HEADER;
}

static u64 record_size(u32 len)
{
	return ALIGN_UP(sizeof(struct msg_hdr) + len, (u64)CACHE_LINE);
}

/* Bytes that can be written, looking at the consumer's head only when it seems needed. */
static u64 space(struct ctx *c, struct msg_root *m, struct ring *r, u32 dst, u64 want)
{
	u64 cap = room(c->isl);
	u64 used = m->tail[dst] - m->seen_head[dst];

	if (cap - used < want) {
		mem_invalidate(c->isl, &r->head, sizeof(r->head));
		m->seen_head[dst] = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE);
		used = m->tail[dst] - m->seen_head[dst];
	}
	return used <= cap ? cap - used : 0; /* the other end may write nonsense */
}

long ring_put(struct ctx *c, struct ck *ck, u32 dst, const struct msg_hdr *h,
	      const void *data)
{
	struct ring *r = ring_at(c->isl, ck->core, dst);
	struct msg_root *m = msg_root(ck);
	u64 size = record_size(h->len), cap = room(c->isl);
	u64 at = m->tail[dst] % cap;
	u64 skip = cap - at < size ? cap - at : 0;
	struct msg_hdr *out;

	if (space(c, m, r, dst, size + skip) < size + skip)
		return -EAGAIN;
	if (skip) {
		out = (struct msg_hdr *)(r->data + at);
		out->len = WRAP;
		mem_writeback(c->isl, out, sizeof(*out));
		at = 0;
	}
	out = (struct msg_hdr *)(r->data + at);
	/* These lines come while we wait for the doorbell's. */
	__builtin_prefetch(out, 1);
	__builtin_prefetch(&r->tail, 1);
	*out = *h;
	out->order =
		__atomic_fetch_add(&doorbell(c->isl, dst)->order, 1, __ATOMIC_SEQ_CST);
	if (h->len)
		memcpy(out + 1, data, h->len);
	mem_writeback(c->isl, out, sizeof(*h) + h->len);
	ck_crash_point();
	m->unsent |= 1ULL << dst;
	TX_SET(ck, m->tail[dst], m->tail[dst] + skip + size);
	return 0;
}

bool ring_publish(struct ctx *c, struct ck *ck, u32 dst)
{
	struct ring *r = ring_at(c->isl, ck->core, dst);
	u64 tail = msg_root(ck)->tail[dst];

	/* After a recovery (all vectors) it is written back in any case: whoever was killed may have
	 * stored it and no more. */
	if (__atomic_load_n(&r->tail, __ATOMIC_RELAXED) == tail &&
	    msg_root(ck)->wakes[dst] != ~0ULL)
		return false;
	__atomic_store_n(&r->tail, tail, __ATOMIC_RELEASE);
	ck_crash_point();
	mem_writeback(c->isl, &r->tail, sizeof(r->tail));
	return true;
}

void ring_prefetch(struct ctx *c, struct ck *ck, u32 src)
{
	struct ring *r = ring_at(c->isl, src, ck->core);

	if (c->isl->model != MEM_COHERENT)
		return; /* what is fetched too early would only be dropped again */
	__builtin_prefetch(&r->tail);
	__builtin_prefetch(r->data + msg_root(ck)->head[src] % room(c->isl));
}

u64 ring_tail(struct ctx *c, struct ck *ck, u32 src)
{
	struct ring *r = ring_at(c->isl, src, ck->core);

	mem_invalidate(c->isl, &r->tail, sizeof(r->tail));
	return __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
}

/* Is there a sound record of this header in [at, at + left) of the ring? */
static bool record_is_sound(u32 len, u64 at, u64 cap, u64 left)
{
	return len <= MSG_DATA_MAX && at + record_size(len) <= cap &&
	       record_size(len) <= left;
}

const void *ring_get(struct ctx *c, struct ck *ck, u32 src, u64 tail, u64 *head,
		     struct msg_hdr *h, u32 *dropped)
{
	struct ring *r = ring_at(c->isl, src, ck->core);
	u64 cap = room(c->isl);

	while (*head != tail && tail - *head <= cap && tail % CACHE_LINE == 0) {
		u64 at = *head % cap;
		struct msg_hdr *in = (struct msg_hdr *)(r->data + at);

		mem_invalidate(c->isl, in, sizeof(*in));
		*h = *in;
		compiler_barrier(); /* what is checked is what is used */
		if (h->len == WRAP) {
			*head += cap - at;
			continue;
		}
		if (!record_is_sound(h->len, at, cap, tail - *head))
			break;
		if (record_size(h->len) > CACHE_LINE)
			mem_invalidate(c->isl, (char *)in + CACHE_LINE,
				       record_size(h->len) - CACHE_LINE);
		*head += record_size(h->len);
		h->src = (u8)src; /* who really sent it */
		return in + 1;
	}
	if (*head !=
	    tail) { /* the other end is broken: nothing in the ring can be trusted */
		*head = ALIGN_DOWN(tail, (u64)CACHE_LINE);
		(*dropped)++;
	}
	return NULL;
}

u64 ring_order(struct ctx *c, struct ck *ck, u32 src, u64 tail)
{
	struct ring *r = ring_at(c->isl, src, ck->core);
	u64 cap = room(c->isl), head = msg_root(ck)->head[src];

	while (head != tail && tail - head <= cap) {
		u64 at = head % cap;
		const struct msg_hdr *in = (const struct msg_hdr *)(r->data + at);

		mem_invalidate(c->isl, in, sizeof(*in));
		if (__atomic_load_n(&in->len, __ATOMIC_RELAXED) != WRAP)
			return in->order;
		head += cap - at;
	}
	return 0;
}

void ring_publish_head(struct ctx *c, struct ck *ck, u32 src, u64 head, bool now)
{
	struct ring *r = ring_at(c->isl, src, ck->core);
	u64 told = __atomic_load_n(&r->head, __ATOMIC_RELAXED);

	if (head - told < HEAD_LAZY && !(now && head != told))
		return;
	__atomic_store_n(&r->head, head, __ATOMIC_RELEASE);
	ck_crash_point();
	mem_writeback(c->isl, &r->head, sizeof(r->head));
}
