/* SPDX-License-Identifier: MIT */
/* The message layer's inside: state in core-kernel memory, rings, doorbells. For src/msg alone. */
#ifndef HARE_MSG_RING_H
#define HARE_MSG_RING_H

#include "msg/msg.h"

#define VECTORS		64u
#define RING_HEADER	(2 * CACHE_LINE)
#define OUTBOX_RESERVE	64u
#define VECTOR_SLICE_NS 200000000 /* the longest sleep at a time */

/* In DRAM, mapped coherently by all: wake-ups only. One page a core. */
struct doorbell {
	u64 pending; /* a bit per source core with records in its ring */
	u64 forget; /* a bit per source core that wants us to forget: MSG_FORGET */
	u64 pad0[6];
	u64 order; /* counts the records sent to this core, by anybody; not polled: own line */
	u64 pad1[7];
	u64 poll_until; /* CLOCK_MONOTONIC: until then some thread of the core looks by itself; it
			 * is written all the time meanwhile, and so is apart from the vectors */
	u64 pad2[7];
	u32 rung; /* vector 0 was rung since the agent last slept */
	u32 late; /* statistics: sleeps ended by the slice with the work there: lost wake-ups */
	struct {
		u32 word; /* futex; changes at each ring */
		u32 sleepers; /* a hint: 0 means that no wake-up is needed */
	} vec[VECTORS];
	u32 pollers
		[VECTORS]; /* a hint as well: threads of the vector in a host call, see msg_poke */
};

/* In DRAM, one per ordered pair. Positions count bytes for ever; a record's place is its position
 * modulo the ring's room. */
struct ring {
	u64 tail; /* written by the producer alone, own cache line: records below are published */
	u64 pad0[7];
	u64 head; /* written by the consumer alone, own cache line; may be HEAD_LAZY behind */
	u64 pad1[7];
	char data[];
};
/* So lazily is the head told. Room for the largest record, and its gap at the ring's end, always
 * remains: see the assertion in ring.c. */
#define HEAD_LAZY 16384u

/* A reply slot, in its core's kernel. Owned by the thread `tid`; filled by who drains. */
struct msg_slot {
	u32 tid;
	u32 call_seq; /* the last call made, */
	u32 call_type,
		call_dst; /* what it was and where it went; written after its number */
	u32 done_seq; /* the last call answered */
	s32 status;
	u32 len;
	u32 event_seq; /* the last event prepared */
	u32 event_set; /* the last event that came */
	u32 poll_pid; /* its thread is in a host call that an event has to end: its process */
	u32 poke_lock; /* tid of who is about to poke it */
	u32 room; /* bytes of data: MSG_DATA_MAX, or 0 where there are no far cores */
	u32 many; /* calls made at once, ending with call_seq; 0: just one */
	u32 pad;
	u64 topic; /* what its thread waits for that others of the core change; 0: nothing */
	u64 want,
		done; /* many: a bit per call that is waited for, and that is answered */
	u8 data[]; /* of the request while it is made, then of the reply */
};

/* A reply of many, in the slot's data. */
struct msg_part {
	s32 status;
	u32 len;
	u8 data[];
};
_Static_assert(sizeof(struct msg_part) == MSG_PART_HEADER, "as msg.h says");

struct outbox_entry {
	struct list link;
	u32 dst;
	u32 reserved; /* one of the reserve, not from the heap */
	struct msg_hdr h;
	u8 data[];
};

/* What is not in the log is marked raw: it may be too much after a kill (then something is done
 * twice that does no harm), never too little: recovery sets all of it. */
struct msg_root {
	u64 unsent; /* raw: cores with unpublished records, or to be rung, or to forget */
	u64 busy; /* raw: sources whose doorbell bits were taken, not yet drained */
	struct list outbox;
	u32 recovered; /* ck->recovered when recovery was last done */
	u32 dropped; /* damaged rings that were dropped */
	u64 forget; /* cores that must forget */
	u64 forgetting; /* raw: we must forget ourselves */
	u32 server; /* raw: the thread that handled the last record */
	u32 pad;
	u64 crowded_until; /* raw: CLOCK_MONOTONIC; our processor has others to run: no long spins */
	u64 tail[MAX_CORES]; /* producer: end of the last record, published or not */
	u64 seen_head[MAX_CORES]; /* producer: the other end's head as last seen */
	u64 head[MAX_CORES]; /* consumer: consumed so far, of each source's ring */
	u64 wakes
		[MAX_CORES]; /* raw: vectors of each core to be rung after the next unlock */
	u32 queued[MAX_CORES]; /* entries in the outbox */
	struct list reserve; /* entries without payload, for when the heap is full */
	struct msg_slot *slot[MSG_SLOTS];
	u8 record[MSG_DATA_MAX]; /* the record being handled */
};

_Static_assert(offsetof(struct msg_root, unsent) == offsetof(struct msg_hot, unsent) &&
		       offsetof(struct msg_root, busy) ==
			       offsetof(struct msg_hot, busy) &&
		       offsetof(struct msg_root, outbox) ==
			       offsetof(struct msg_hot, outbox) &&
		       offsetof(struct msg_root, recovered) ==
			       offsetof(struct msg_hot, recovered) &&
		       offsetof(struct doorbell, pending) == 0,
	       "msg.h looks at them as struct msg_hot");

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

/* Puts a record behind the last one, unpublished, inside the transaction; -EAGAIN: no room. */
long ring_put(struct ctx *c, struct ck *ck, u32 dst, const struct msg_hdr *h,
	      const void *data);
/* Makes everything put so far visible. False when it was already. */
bool ring_publish(struct ctx *c, struct ck *ck, u32 dst);
/* Its lines are wanted soon: they come while something else is waited for. */
void ring_prefetch(struct ctx *c, struct ck *ck, u32 src);
/* How far src's ring to us is filled. */
u64 ring_tail(struct ctx *c, struct ck *ck, u32 src);
/* The record of src's ring at position *head, below `tail`: its header in *h, its payload where
 * the result points (h->len bytes, in the ring: it may change under us if the sender is
 * malicious); *head moves past it. NULL when there is none: the ring was damaged, is dropped up to
 * its tail, and *dropped grows; or nothing but a gap was left. */
const void *ring_get(struct ctx *c, struct ck *ck, u32 src, u64 tail, u64 *head,
		     struct msg_hdr *h, u32 *dropped);
/* The place in the order of sending of the record that ring_get would give; 0: damaged, or none. */
u64 ring_order(struct ctx *c, struct ck *ck, u32 src, u64 tail);
void ring_publish_head(struct ctx *c, struct ck *ck, u32 src, u64 head, bool now);

/* doorbell.c */

/* Wakes sleepers on these vectors of a core, the agent only if nobody there polls. */
void doorbell_wake(const struct island *isl, u32 core, u64 vectors);
u32 vector_prepare(struct ctx *c,
		   u32 vector); /* counts as a sleeper; the word to sleep on */
void vector_done(struct ctx *c, u32 vector);
/* Sleeps on a vector while *word is seen, at most ns (-1: a slice); interruptible through
 * host_block. 0, -EAGAIN, -ETIMEDOUT, -EINTR. */
long vector_sleep(struct ctx *c, u32 vector, u32 word, s64 ns, bool interruptible);
void doorbell_late(struct ctx *c); /* counts a lost wake-up */

/* A spinner's state. */
struct spin {
	struct msg_root *m;
	u64 *mark; /* where it tells until when it looks; may be NULL */
	u64 start; /* 0 at first */
	u32 rounds, pad;
};
/* To be asked between two looks. False when it is time to sleep: it has spun for long enough, or
 * somebody else wants this processor. */
bool spin_on(struct spin *p);

/* slot.c */
void slot_reply(struct ctx *c, struct ck *ck, const struct msg_hdr *h, const void *data);
struct msg_slot *slot_of_ctx(struct ctx *c);

#endif
