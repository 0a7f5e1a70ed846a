/* SPDX-License-Identifier: MIT */
/* The message layer's inside: state in core-kernel memory, rings, doorbells. For src/msg alone. */
#ifndef HARE_MSG_RING_H
#define HARE_MSG_RING_H

#include "msg/msg.h"

#define VECTORS 64u
#define RING_HEADER (2 * CACHE_LINE)
#define OUTBOX_RESERVE 64u

/* In DRAM, mapped coherently by all: wake-ups only. One page a core. */
struct doorbell {
	u64 pending;    /* a bit per source core with records in its ring */
	u64 pad0[7];
	u64 poll_until; /* CLOCK_MONOTONIC: until then some thread of the core looks by itself */
	u64 pad1[7];
	struct {
		u32 word;     /* futex; changes at each ring */
		u32 sleepers; /* a hint: 0 means that no wake-up is needed */
	} vec[VECTORS];
};

/* In DRAM, one per ordered pair. Positions count bytes for ever; a record's place is its position
 * modulo the ring's room. */
struct ring {
	u64 tail; /* written by the producer alone, own cache line */
	u64 pad0[7];
	u64 head; /* written by the consumer alone, own cache line */
	u64 pad1[7];
	char data[];
};

/* A reply slot, in its core's kernel. Owned by the thread `tid`; filled by who drains. */
struct msg_slot {
	u32 tid;
	u32 call_seq;  /* the last call made */
	u32 done_seq;  /* the last call answered */
	s32 status;
	u32 len;
	u32 event_seq; /* the last event prepared */
	u32 event_set; /* the last event that came */
	u32 pad;
	u8 data[MSG_DATA_MAX];
};

struct outbox_entry {
	struct list link;
	u32 dst;
	u32 reserved; /* one of the reserve, not from the heap */
	struct msg_hdr h;
	u8 data[];
};

struct msg_root {
	u64 head[MAX_CORES]; /* consumed so far, of each source's ring */
	u64 seen_head[MAX_CORES]; /* producer: the other end's head as last seen */
	struct list outbox;
	struct list reserve; /* entries without payload, for when the heap is full */
	u32 recovered;       /* ck->recovered when all rings were last drained */
	u32 dropped;         /* records with lengths that cannot be */
	struct msg_slot *slot[MSG_SLOTS];
	u8 record[MSG_DATA_MAX]; /* the record being handled */
};

static inline struct msg_root *msg_root(struct ck *ck)
{
	return ck->root[CK_ROOT_MSG];
}
static inline struct doorbell *doorbell(const struct island *isl, u32 core)
{
	return (struct doorbell *)(isl->doorbells + (u64)core * PAGE_SIZE);
}
static inline u32 slot_vector(u32 slot)
{
	return 1 + slot % (VECTORS - 1);
}

/* ring.c */
long ring_put(struct ctx *c, struct ck *ck, u32 dst, const struct msg_hdr *h, const void *data);
/* The next record of src's ring at position *head: copies the header out and its payload into
 * buf; *head moves past it. False when the ring is empty. A damaged ring is dropped up to its
 * tail, and *dropped grows. */
bool ring_get(struct ctx *c, struct ck *ck, u32 src, u64 *head, struct msg_hdr *h, void *buf,
	      u32 *dropped);
void ring_publish_head(struct ctx *c, struct ck *ck, u32 src, u64 head);
/* doorbell.c */
void doorbell_signal(struct ctx *c, u32 src, u32 dst, u32 wake);
/* Sleeps on a vector while *word is seen, at most ns; interruptible through host_block. */
long vector_sleep(struct ctx *c, u32 vector, u32 word, s64 ns, bool interruptible);
u32 vector_prepare(struct ctx *c, u32 vector); /* counts as a sleeper; the word to sleep on */
void vector_done(struct ctx *c, u32 vector);
/* slot.c */
void slot_reply(struct ctx *c, struct ck *ck, const struct msg_hdr *h, const void *data);
struct msg_slot *slot_of_ctx(struct ctx *c);

#endif
