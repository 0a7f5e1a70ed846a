/* SPDX-License-Identifier: MIT */
/*
 * Messages between cores: one single-producer single-consumer ring per ordered pair of cores,
 * in DRAM, written with write-back and read with invalidate; and doorbells, the wake-ups.
 * (Thesis section 3.7.2; bytes only, what they mean is src/proto's.)
 *
 * Atomic delivery: msg_send returns when the record is in DRAM and the doorbell bit is set, so a
 * receiver that then drains finds it. The ring's producer end belongs to the sending core's
 * kernel and its consumer end to the receiving one's: each is used under that core's lock, by
 * any thread.
 *
 * Sending is part of the sender's transaction: a record stands in the ring at once, but becomes
 * visible there only when the transaction is committed and msg_flush or msg_unlock has published
 * it; an abort takes it back. So every record arrives exactly once, whoever is killed when.
 *
 * Doorbell of a core (coherent, carries no data): a bit per source core, and 64 vectors on which
 * threads sleep; vector 0 is the agent's, a thread sleeps on vector 1 + slot % 63.
 *
 * Reply slots: a thread that calls other cores owns one slot in its core's kernel. Replies and
 * events are put there by whichever thread of the core drains.
 */
#ifndef HARE_MSG_MSG_H
#define HARE_MSG_MSG_H

#include "mem/mem.h"

#define MSG_DATA_MAX 20480 /* bytes of one record's payload */
#define MSG_SLOTS    1024 /* reply slots of one core: threads that can call at a time */

enum msg_kind {
	MSG_REQUEST,
	MSG_REPLY,
	MSG_ONEWAY,
	MSG_FORGET, /* no record: records of msg_post_or_forget were lost, forget what they could name */
};

struct msg_hdr {
	u32 len; /* payload bytes */
	u16 type; /* enum rpc_id */
	u8 kind;
	u8 src; /* sending core */
	u32 slot; /* the caller's reply slot on the requesting core */
	u32 seq; /* of the call, so that a late reply is not taken for another's */
	s32 status; /* reply: 0 or negative errno */
	u32 wake; /* requests: 0 rings the agent; MSG_WAKE_NONE nobody; else the waiter's slot */
	u64 order; /* set by the layer: see msg_drain */
};
#define MSG_WAKE_NONE 0xffffffffu

/* Called for each record, with the core's lock held, inside a transaction that also holds the
 * consumption of the record. data is a private copy. Replies to our own calls never come here. */
typedef void (*msg_receive_fn)(struct ctx *c, struct ck *ck, const struct msg_hdr *h,
			       const void *data);

/* Boot: once per core kernel. -ENOSPC. */
long msg_init(struct ctx *c, struct ck *ck);
void msg_set_receiver(msg_receive_fn fn); /* per process, set by src/proto */

/* Takes or gives back a reply slot of c->core for c->tid: fills c->slot. -EAGAIN when all slots
 * are taken (slots of dead threads are reclaimed first). Lock not held. */
long msg_slot_take(struct ctx *c);
void msg_slot_give(struct ctx *c);

/* All in a transaction of core kernel ck, its lock held; they leave ck's core for core dst when it
 * is committed and flushed. Who is woken then says h->wake, but an agent is not woken while a
 * thread of its core polls.
 *
 * msg_send: -EAGAIN when the ring is full. msg_post: what finds the ring full stands in the outbox,
 * in core-kernel memory, and goes later, in order; -ENOSPC when that is full too (never without
 * payload, there is a reserve). msg_post_or_forget: what finds the ring full is dropped, and the
 * receiver gets a MSG_FORGET as if it were the record; needs no memory, never fails. */
long msg_send(struct ctx *c, struct ck *ck, u32 dst, const struct msg_hdr *h,
	      const void *data);
long msg_post(struct ctx *c, struct ck *ck, u32 dst, const struct msg_hdr *h,
	      const void *data);
void msg_post_or_forget(struct ctx *c, struct ck *ck, u32 dst, const struct msg_hdr *h,
			const void *data);
/* What was posted last to core dst stands in the outbox: records that others send may overtake it. */
bool msg_is_behind(struct ck *ck, u32 dst);
/* What every local call looks at, in vain as a rule: the begin of the layer's state (ring.h). */
struct msg_hot {
	u64 unsent, busy;
	struct list outbox;
	u32 recovered;
};
static inline bool msg_is_idle(const struct msg_hot *m, const struct ck *ck, u64 work)
{
	return likely(!work && m->recovered == ck->recovered && list_empty(&m->outbox));
}
/* msg_flush: commits, publishes everything sent and posted, and wakes receivers that sleep; lock
 * held. msg_unlock: commits, publishes, releases the lock, and only then wakes: better. */
void msg_flush(struct ctx *c, struct ck *ck);
void msg_unlock_slow(struct ctx *c, struct ck *ck);
static inline void msg_unlock(struct ctx *c, struct ck *ck)
{
	const struct msg_hot *m = ck->root[CK_ROOT_MSG];

	if (msg_is_idle(m, ck, m->unsent))
		ck_unlock(ck);
	else
		msg_unlock_slow(c, ck);
}

/* Handles all records that were delivered to c's core before the call; takes the lock itself
 * (and now and then lets others have it). True when any record was handled. Cheap when nothing is
 * there: five loads. */
bool msg_drain_slow(struct ctx *c, struct ck *ck, u32 core);
/* The same for any core of this island (ck: its core kernel): before a local call, so that it finds
 * what other cores' messages that were delivered before have changed. */
static inline bool msg_drain_core(struct ctx *c, struct ck *ck, u32 core)
{
	const struct msg_hot *m = ck->root[CK_ROOT_MSG];
	const u64 *pending = (const u64 *)(c->isl->doorbells + (u64)core * PAGE_SIZE);
	u64 work = __atomic_load_n(pending, __ATOMIC_ACQUIRE) |
		   __atomic_load_n(&m->busy, __ATOMIC_RELAXED);

	return msg_is_idle(m, ck, work) ? false : msg_drain_slow(c, ck, core);
}
static inline bool msg_drain(struct ctx *c)
{
	return msg_drain_core(c, c->ck, c->core);
}

/* One call: prepare numbers it (put seq and slot into the header), wait returns when the reply
 * is in the slot. *data points to its payload there, valid until the next prepare. Spins a short
 * time (draining), then rings dst's doorbell and sleeps. The slot's buffer of MSG_DATA_MAX bytes
 * may be used to put the request together: its content is free from prepare until the send. */
u32 msg_call_prepare(struct ctx *c, u32 type, u32 dst);
u32 msg_call_next(struct ctx *c); /* the number that the next call will have */
/* Several calls under way at once: prepare_many gives the first of `count` (at most MAX_CORES)
 * numbers in a row; wait_many returns when the first `sent` of them are answered, by the cores of
 * `dsts`; part is the reply to the i-th. Each may have MSG_MANY_ROOM(count) bytes; what is longer
 * becomes -EMSGSIZE. The slot's buffer holds replies from the first send on: not for requests. */
#define MSG_PART_HEADER	     8u
#define MSG_MANY_ROOM(count) (MSG_DATA_MAX / (count) / 8 * 8 - MSG_PART_HEADER)
u32 msg_call_prepare_many(struct ctx *c, u32 count);
void msg_call_wait_many(struct ctx *c, u32 sent, u64 dsts);
s32 msg_call_part(struct ctx *c, u32 i, const u8 **data, u32 *len);
/* The last call that the thread of a slot made, also when it died in it; *seq its number. False:
 * it made none. */
bool msg_slot_call(struct ck *ck, u32 slot, u32 *seq, u32 *type, u32 *dst);
/* The reply to it; data and len as msg_call_wait. False: there is none. */
bool msg_slot_reply(struct ck *ck, u32 slot, u32 seq, s32 *status, const u8 **data,
		    u32 *len);
u8 *msg_call_buffer(struct ctx *c);
s32 msg_call_wait(struct ctx *c, u32 seq, u32 dst, const u8 **data, u32 *len);

/* Events: "something that you wait for may have changed, look again". prepare before looking,
 * wait after looking in vain. From near and far cores alike. wait: 0 when woken (also for
 * nothing, at least five times a second), -ETIMEDOUT at timeout_ns (relative, -1 for ever),
 * -HARE_ERESTARTSYS on a signal. */
u32 msg_event_prepare(struct ctx *c);
bool msg_event_came(struct ctx *c, u32 seq);
long msg_event_wait(struct ctx *c, u32 seq, s64 timeout_ns);
/* Marks the event of (core, slot) in a core kernel of this island and wakes its thread. _post: in a
 * transaction of core kernel ck; wakes after msg_unlock. Woken for nothing if it is taken back. */
void msg_event_set(struct ctx *c, u32 core, u32 slot, u32 seq);
void msg_event_post(struct ctx *c, struct ck *ck, u32 core, u32 slot, u32 seq);

/* A thread that waits for events and for the host's descriptors at once sleeps in a host call.
 * Between begin and end whoever sets one of its events also pokes it: sends it signal SIGSYS with
 * the value MSG_POKE, which makes the host call return. begin: true when event seq came already.
 * After end no poke is under way. Only a thread of the same user can be poked, and a poker can be
 * killed before it does: the call has to end by itself now and then. */
#define MSG_POKE 0x48415245504f4b45ULL
bool msg_poll_begin(struct ctx *c, u32 seq);
void msg_poll_end(struct ctx *c);
/* The same when only threads of the own core set the event, so that nothing has to be drained; pid: of
 * the own process, as the host has it. After begin a topic is set, and looked whether the event came. */
void msg_poke_begin(struct ctx *c, u32 pid);
void msg_poke_end(struct ctx *c);

/* What a thread waits for that others of its core may change: any number but 0, which ends it.
 * Set after msg_event_prepare and before looking. Outside the log. */
#define MSG_TOPIC_ANY (~0ULL)
void msg_topic_set(struct ctx *c, u64 topic);
/* Wakes all who wait for it. In a transaction of c's own core kernel, behind the change. */
void msg_topic_post(struct ctx *c, u64 topic);

/* Wakes who sleeps on a vector of a core; 0 is the agent. An agent that does not sleep just now
 * finds its next msg_agent_sleep over at once. */
void msg_ring(const struct island *isl, u32 core, u32 vector);
/* The agent's sleep: until vector 0 was rung or records are there or timeout (-1: for ever, that
 * is, 200 ms). After records were served it polls a short while first. */
void msg_agent_sleep(struct ctx *c, s64 timeout_ns);
/* A host futex word and value to sleep on with other things (poll over host descriptors). */
u32 *msg_vector_word(const struct island *isl, u32 core, u32 vector);

u32 msg_check(struct ctx *c, struct ck *ck, void (*bad)(void *arg, const char *text),
	      void *arg);

#endif
