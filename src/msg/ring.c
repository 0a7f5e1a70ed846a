/* SPDX-License-Identifier: MIT */
/*
 * Rings: one per ordered pair of cores, in DRAM, without any hardware atomics or coherence.
 *
 *   producer                                consumer
 *   copy record, write it back
 *   tail += size, write the line back
 *   ring the doorbell                       invalidate the tail's line, read it
 *                                           invalidate the record, copy it out
 *                                           (handle it, commit)
 *   invalidate the head's line, read it <-  head += size, write the line back
 *
 * The tail is read by its own producer from its own line: a sender that was killed after it
 * moved the tail but before it rang loses nothing, since the next sender continues there.
 * Cost: two lines written back for a small record, two invalidated.
 */
#include <asm/errno.h>

#include "base/str.h"
#include "msg/ring.h"

#define WRAP 0xffffffffu

static struct ring *ring_at(const struct island *isl, u32 src, u32 dst)
{
	const struct super *s = isl->super;

	return (struct ring *)(isl->base + s->ring_off + ((u64)src * s->cores + dst) * s->ring_size);
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
static u64 space(struct ctx *c, struct ck *ck, struct ring *r, u32 dst, u64 tail, u64 want)
{
	u64 *head = &msg_root(ck)->seen_head[dst];

	if (room(c->isl) - (tail - *head) < want) {
		mem_invalidate(c->isl, &r->head, sizeof(r->head));
		*head = __atomic_load_n(&r->head, __ATOMIC_RELAXED);
	}
	return room(c->isl) - (tail - *head);
}

long ring_put(struct ctx *c, struct ck *ck, u32 dst, const struct msg_hdr *h, const void *data)
{
	struct ring *r = ring_at(c->isl, ck->core, dst);
	u64 size = record_size(h->len), cap = room(c->isl);
	u64 tail = __atomic_load_n(&r->tail, __ATOMIC_RELAXED);
	u64 at = tail % cap;
	u64 skip = cap - at < size ? cap - at : 0;
	struct msg_hdr *out;

	if (space(c, ck, r, dst, tail, size + skip) < size + skip)
		return -EAGAIN;
	if (skip) {
		out = (struct msg_hdr *)(r->data + at);
		out->len = WRAP;
		mem_writeback(c->isl, out, sizeof(*out));
		at = 0;
	}
	out = (struct msg_hdr *)(r->data + at);
	*out = *h;
	memcpy(out + 1, data, h->len);
	mem_writeback(c->isl, out, sizeof(*h) + h->len);
	__atomic_store_n(&r->tail, tail + skip + size, __ATOMIC_RELEASE);
	mem_writeback(c->isl, &r->tail, sizeof(r->tail));
	return 0;
}

bool ring_get(struct ctx *c, struct ck *ck, u32 src, u64 *head, struct msg_hdr *h, void *buf,
	      u32 *dropped)
{
	struct ring *r = ring_at(c->isl, src, ck->core);
	u64 cap = room(c->isl), tail, at;
	struct msg_hdr *in;

	mem_invalidate(c->isl, &r->tail, sizeof(r->tail));
	tail = __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
	for (;;) {
		if (*head == tail)
			return false;
		at = *head % cap;
		in = (struct msg_hdr *)(r->data + at);
		mem_invalidate(c->isl, in, sizeof(*in));
		*h = *in;
		if (tail - *head > cap)
			break;
		if (h->len == WRAP) {
			*head += cap - at;
			continue;
		}
		if (h->len > MSG_DATA_MAX || at + record_size(h->len) > cap ||
		    record_size(h->len) > tail - *head)
			break;
		mem_invalidate(c->isl, in, sizeof(*in) + h->len);
		memcpy(buf, in + 1, h->len);
		*head += record_size(h->len);
		h->src = (u8)src; /* who really sent it */
		return true;
	}
	*head = tail; /* the other end is broken: nothing in the ring can be trusted */
	(*dropped)++;
	return false;
}

void ring_publish_head(struct ctx *c, struct ck *ck, u32 src, u64 head)
{
	struct ring *r = ring_at(c->isl, src, ck->core);

	__atomic_store_n(&r->head, head, __ATOMIC_RELEASE);
	mem_writeback(c->isl, &r->head, sizeof(r->head));
}
