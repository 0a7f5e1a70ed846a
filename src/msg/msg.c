/* SPDX-License-Identifier: MIT */
/*
 * Sending, the outbox, and draining. See msg.h.
 *
 * Draining a record is one transaction: what its handler changes, its reply, and the consumption
 * of the record. A drainer killed before the commit leaves the record for the next one; killed
 * after it, the next one publishes the reply.
 *
 *   handler's thread                     ck->recovered differs: whoever is next
 *   ring_put, TX_SET ...
 *   commit
 *   ring_publish, doorbell bit      <-   publish all, set all bits
 *   unlock
 *   wake the sleepers               <-   wake all
 */
#include <asm/errno.h>

#include "base/str.h"
#include "msg/ring.h"

#define BATCH	  64 /* records handled under one hold of the lock */
#define WAKES_MAX 4u /* cores woken after the unlock; more are woken before it */

static msg_receive_fn g_receiver;

void msg_set_receiver(msg_receive_fn fn)
{
	g_receiver = fn;
}

long msg_init(struct ctx *c, struct ck *ck)
{
	struct msg_root *m = ck_alloc(ck, sizeof(*m));

	(void)c;
	if (!m)
		return -ENOSPC;
	list_init_fresh(&m->outbox);
	list_init_fresh(&m->reserve);
	m->recovered = ck->recovered;
	TX_SET(ck, ck->root[CK_ROOT_MSG], m);
	for (u32 i = 0; i < OUTBOX_RESERVE; i++) {
		struct outbox_entry *e = ck_alloc(ck, sizeof(*e));

		if (!e)
			return -ENOSPC;
		e->reserved = 1;
		tx_list_add_tail(ck, &m->reserve, &e->link);
	}
	return 0;
}

/* --- sending ------------------------------------------------------------------------------------ */

static u64 wake_vector_of(const struct msg_hdr *h)
{
	if (h->wake == MSG_WAKE_NONE)
		return 0;
	return h->wake ? 1ULL << slot_vector(h->wake) : 1;
}

static void wake_agent(struct msg_root *m, u32 core)
{
	m->wakes[core] |= 1;
	m->unsent |= 1ULL << core;
}

long msg_send(struct ctx *c, struct ck *ck, u32 dst, const struct msg_hdr *h,
	      const void *data)
{
	struct msg_root *m = msg_root(ck);
	long r = m->queued[dst] ? -EAGAIN : ring_put(c, ck, dst, h, data);

	if (r)
		wake_agent(m, dst); /* it must make room */
	else
		m->wakes[dst] |= wake_vector_of(h);
	return r;
}

static struct outbox_entry *entry_new(struct ck *ck, u32 len)
{
	struct msg_root *m = msg_root(ck);
	struct outbox_entry *e = ck_alloc(ck, sizeof(*e) + len);

	if (e || len || list_empty(&m->reserve))
		return e;
	e = LIST_ENTRY(m->reserve.next, struct outbox_entry, link);
	tx_list_del(ck, &e->link);
	tx_save(ck, &e->h, sizeof(e->h));
	return e;
}

long msg_post(struct ctx *c, struct ck *ck, u32 dst, const struct msg_hdr *h,
	      const void *data)
{
	struct msg_root *m = msg_root(ck);
	struct outbox_entry *e;

	if (likely(!msg_send(c, ck, dst, h, data)))
		return 0;
	e = entry_new(ck, h->len);
	if (!e)
		return -ENOSPC;
	/* Who drains makes room without telling us: our agent looks again and again, once it knows. */
	if (list_empty(&m->outbox))
		wake_agent(m, ck->core);
	TX_SET(ck, e->dst, dst);
	e->h = *h;
	if (h->len)
		memcpy(e->data, data, h->len);
	tx_list_add_tail(ck, &m->outbox, &e->link);
	TX_SET(ck, m->queued[dst], m->queued[dst] + 1);
	return 0;
}

bool msg_is_behind(struct ck *ck, u32 dst)
{
	return msg_root(ck)->queued[dst] != 0;
}

void msg_post_or_forget(struct ctx *c, struct ck *ck, u32 dst, const struct msg_hdr *h,
			const void *data)
{
	struct msg_root *m = msg_root(ck);

	if (likely(!msg_send(c, ck, dst, h, data)))
		return;
	if (!(m->forget & (1ULL << dst)))
		TX_SET(ck, m->forget, m->forget | 1ULL << dst);
}

/* Moves what fits from the outbox to the rings, each record in a transaction of its own. */
static void flush_outbox(struct ctx *c, struct ck *ck)
{
	struct msg_root *m = msg_root(ck);
	struct list *l = m->outbox.next;
	u64 full = 0; /* destinations whose ring is full: their order must be kept */

	while (l != &m->outbox) {
		struct outbox_entry *e = LIST_ENTRY(l, struct outbox_entry, link);

		l = l->next;
		if (full & (1ULL << e->dst))
			continue;
		if (ring_put(c, ck, e->dst, &e->h, e->data) < 0) {
			wake_agent(m, e->dst);
			full |= 1ULL << e->dst;
			continue;
		}
		m->wakes[e->dst] |= wake_vector_of(&e->h);
		TX_SET(ck, m->queued[e->dst], m->queued[e->dst] - 1);
		tx_list_del(ck, &e->link);
		if (e->reserved)
			tx_list_add_tail(ck, &m->reserve, &e->link);
		else
			ck_free(ck, e);
		ck_commit(ck);
	}
}

static u64 all_cores(const struct ctx *c)
{
	return ~0ULL >> (64 - c->isl->super->cores);
}

/* A holder of the lock was killed: what it did not get to, for all cores. */
static void recover(struct ctx *c, struct ck *ck)
{
	struct msg_root *m = msg_root(ck);

	m->unsent = m->busy = all_cores(c);
	for (u32 i = 0; i < MAX_CORES; i++)
		m->wakes[i] = ~0ULL;
	m->recovered = ck->recovered;
}

static void publish_to(struct ctx *c, struct ck *ck, u32 dst)
{
	struct msg_root *m = msg_root(ck);
	struct doorbell *d = doorbell(c->isl, dst);
	u64 bit = 1ULL << ck->core;
	bool ring = ring_publish(c, ck, dst) || m->wakes[dst] == ~0ULL;

	ck_crash_point();
	if (unlikely(m->forget & (1ULL << dst))) {
		__atomic_fetch_or(&d->forget, bit, __ATOMIC_SEQ_CST);
		ck_crash_point();
		ring = true;
		TX_SET(ck, m->forget, m->forget & ~(1ULL << dst));
		ck_commit(ck);
	}
	if (ring)
		__atomic_fetch_or(&d->pending, bit, __ATOMIC_SEQ_CST);
}

/* Publishes; the wake-ups remain in wakes[] of the cores returned. */
static u64 flush(struct ctx *c, struct ck *ck)
{
	struct msg_root *m = msg_root(ck);
	u64 unsent;

	ck_commit(ck);
	if (unlikely(m->recovered != ck->recovered))
		recover(c, ck);
	if (unlikely(!list_empty(&m->outbox)))
		flush_outbox(c, ck);
	unsent = m->unsent;
	for (u64 left = unsent; left; left &= left - 1)
		publish_to(c, ck, (u32)__builtin_ctzll(left));
	return unsent;
}

void msg_flush(struct ctx *c, struct ck *ck)
{
	struct msg_root *m = msg_root(ck);
	u64 unsent = flush(c, ck);

	m->unsent = 0;
	for (; unsent; unsent &= unsent - 1) {
		u32 dst = (u32)__builtin_ctzll(unsent);

		doorbell_wake(c->isl, dst, m->wakes[dst]);
		m->wakes[dst] = 0;
	}
}

void msg_unlock_slow(struct ctx *c, struct ck *ck)
{
	struct msg_root *m = msg_root(ck);
	struct {
		u32 core;
		u64 vectors;
	} wake[WAKES_MAX];
	u32 n = 0;
	u64 unsent;

	unsent = flush(c, ck);
	m->unsent = 0;
	ck_crash_point();
	for (; unsent; unsent &= unsent - 1) {
		u32 dst = (u32)__builtin_ctzll(unsent);

		if (n == WAKES_MAX) { /* rare; before the unlock serves as well */
			doorbell_wake(c->isl, dst, m->wakes[dst]);
		} else if (m->wakes[dst]) {
			wake[n].core = dst;
			wake[n++].vectors = m->wakes[dst];
		}
		m->wakes[dst] = 0;
	}
	ck_unlock(ck);
	while (n--)
		doorbell_wake(c->isl, wake[n].core, wake[n].vectors);
}

/* --- draining ------------------------------------------------------------------------------------- */

/* The next record of a ring that is filled up to `tail`. */
static bool drain_one(struct ctx *c, struct ck *ck, u32 src, u64 tail)
{
	struct msg_root *m = msg_root(ck);
	u64 head = m->head[src];
	u32 dropped = m->dropped;
	const void *data;
	struct msg_hdr h;

	if (head == tail)
		return false;
	data = ring_get(c, ck, src, tail, &head, &h, &dropped);
	if (data && h.kind == MSG_REPLY) {
		slot_reply(c, ck, &h, data);
	} else if (data && h.kind < MSG_FORGET) {
		memcpy(m->record, data, h.len);
		g_receiver(c, ck, &h, m->record);
	}
	if (unlikely(dropped != m->dropped)) {
		TX_SET(ck, m->dropped, dropped);
		m->forgetting = 1; /* there may have been something to forget */
	}
	TX_SET(ck, m->head[src], head);
	flush(c, ck);
	return data != NULL;
}

/* Takes the doorbell's bits over into busy, which says what is still to be drained. */
static u64 take_pending(struct ctx *c, struct ck *ck)
{
	struct msg_root *m = msg_root(ck);
	struct doorbell *d = doorbell(c->isl, ck->core);
	u64 bits = __atomic_load_n(&d->pending, __ATOMIC_ACQUIRE);

	if (unlikely(m->recovered != ck->recovered))
		recover(c, ck);
	if (!bits)
		return 0;
	m->busy |= bits & all_cores(c);
	for (u64 left = bits & all_cores(c); left; left &= left - 1)
		ring_prefetch(c, ck, (u32)__builtin_ctzll(left));
	__atomic_fetch_and(&d->pending, ~bits, __ATOMIC_SEQ_CST);
	ck_crash_point();
	return bits & all_cores(c);
}

static void forget(struct ctx *c, struct ck *ck)
{
	struct msg_root *m = msg_root(ck);
	struct doorbell *d = doorbell(c->isl, ck->core);
	struct msg_hdr h = { .kind = MSG_FORGET, .src = (u8)ck->core };

	if (__atomic_load_n(&d->forget, __ATOMIC_ACQUIRE)) {
		m->forgetting = 1;
		__atomic_store_n(&d->forget, 0, __ATOMIC_SEQ_CST);
		ck_crash_point();
	}
	if (!m->forgetting)
		return;
	g_receiver(c, ck, &h, NULL);
	flush(c, ck);
	m->forgetting = 0;
}

/* The rings being drained: how far they were filled when last looked at, and the place of each
 * one's next record in the order of sending, which is looked up only when there is a choice. */
struct drain {
	u64 live; /* sources with records */
	u64 known; /* of these, whose order is */
	u64 tail[MAX_CORES];
	u64 order[MAX_CORES];
};

static void drained(struct ctx *c, struct ck *ck, struct drain *d, u32 src)
{
	struct msg_root *m = msg_root(ck);

	d->live &= ~(1ULL << src);
	m->busy &= ~(1ULL << src);
	ring_publish_head(c, ck, src, m->head[src], false);
}

/* Looks at the rings of `sources`, whose doorbell bits are cleared: what comes later sets them. */
static void look(struct ctx *c, struct ck *ck, struct drain *d, u64 sources)
{
	struct msg_root *m = msg_root(ck);

	d->known &= ~sources;
	for (; sources; sources &= sources - 1) {
		u32 src = (u32)__builtin_ctzll(sources);

		d->tail[src] = ring_tail(c, ck, src);
		if (d->tail[src] != m->head[src])
			d->live |= 1ULL << src;
		else
			drained(c, ck, d, src);
	}
}

static u32 earliest(struct ctx *c, struct ck *ck, struct drain *d)
{
	u32 best = (u32)__builtin_ctzll(d->live);
	u64 left = d->live & (d->live - 1);

	if (likely(!left))
		return best;
	for (u64 l = d->live & ~d->known; l; l &= l - 1) {
		u32 src = (u32)__builtin_ctzll(l);

		d->order[src] = ring_order(c, ck, src, d->tail[src]);
	}
	d->known = d->live;
	for (; left; left &= left - 1) {
		u32 src = (u32)__builtin_ctzll(left);

		if (d->order[src] < d->order[best])
			best = src;
	}
	return best;
}

/* Handles the record that was sent first. Once it has been seen, whatever was sent to this core
 * before it has its doorbell bit set; so the doorbell is looked at between seeing and choosing,
 * and again when that brought other records. */
static bool drain_next(struct ctx *c, struct ck *ck, struct drain *d)
{
	struct doorbell *bell = doorbell(c->isl, ck->core);
	struct msg_root *m = msg_root(ck);
	u32 src = earliest(c, ck, d);
	bool any;

	while (unlikely(__atomic_load_n(&bell->pending, __ATOMIC_SEQ_CST))) {
		u32 was = src;

		look(c, ck, d, take_pending(c, ck));
		src = earliest(c, ck, d);
		if (src == was)
			break;
	}
	any = drain_one(c, ck, src, d->tail[src]);
	d->known &= ~(1ULL << src);
	if (!any || m->head[src] == d->tail[src]) /* empty, or damaged and dropped */
		drained(c, ck, d, src);
	return any;
}

/* After so many records: others get the lock for a moment, and may go on with what we looked at.
 * False when everything is done that was sent before this was asked first, which set *limit; the
 * rest is for the next one. */
static bool drain_on(struct ctx *c, struct ck *ck, struct drain *d, u64 *limit)
{
	struct doorbell *bell = doorbell(c->isl, ck->core);
	struct msg_root *m = msg_root(ck);
	u64 live;

	if (!*limit)
		*limit = __atomic_load_n(&bell->order, __ATOMIC_SEQ_CST);
	msg_unlock(c, ck);
	ck_lock(c, ck);
	d->live = d->known = 0;
	look(c, ck, d, m->busy);
	for (live = d->live; live; live &= live - 1) {
		u32 src = (u32)__builtin_ctzll(live);

		if (ring_order(c, ck, src, d->tail[src]) < *limit)
			return true;
	}
	__atomic_fetch_or(&bell->pending, d->live, __ATOMIC_SEQ_CST);
	return false;
}

static bool drain(struct ctx *c)
{
	struct ck *ck = c->ck;
	struct msg_root *m = msg_root(ck);
	bool any = false;
	struct drain d;
	u64 limit = 0;
	int n = 0;

	ck_lock(c, ck);
	take_pending(c, ck);
	d.live = d.known = 0;
	look(c, ck, &d, m->busy);
	while (d.live) {
		any |= drain_next(c, ck, &d);
		if (++n % BATCH == 0 && !drain_on(c, ck, &d, &limit))
			break;
	}
	forget(c, ck);
	if (any)
		m->server = c->tid;
	msg_unlock(c, ck);
	return any;
}

bool msg_drain_slow(struct ctx *c, struct ck *ck, u32 core)
{
	struct ctx of = *c;

	if (likely(core == c->core))
		return drain(c);
	of.core = core;
	of.ck = ck;
	of.slot = 0;
	return drain(&of);
}

/* --- check -------------------------------------------------------------------------------------- */

static u32 check_outbox(struct ck *ck, void (*bad)(void *arg, const char *text),
			void *arg)
{
	struct msg_root *m = msg_root(ck);
	u32 count[MAX_CORES] = { 0 };
	u32 errors = 0;

	for (struct list *l = m->outbox.next; l != &m->outbox; l = l->next) {
		struct outbox_entry *e = LIST_ENTRY(l, struct outbox_entry, link);

		if (l->next->prev != l || l->prev->next != l || e->dst >= MAX_CORES) {
			bad(arg, "messages: the outbox's links are broken");
			return 1;
		}
		count[e->dst]++;
	}
	for (u32 i = 0; i < MAX_CORES; i++) {
		if (count[i] == m->queued[i])
			continue;
		bad(arg, "messages: the outbox's counts are wrong");
		errors++;
	}
	return errors;
}

u32 msg_check(struct ctx *c, struct ck *ck, void (*bad)(void *arg, const char *text),
	      void *arg)
{
	struct msg_root *m = msg_root(ck);
	u32 errors = check_outbox(ck, bad, arg);

	for (u32 i = 0; i < c->isl->super->cores; i++) {
		if (m->tail[i] % CACHE_LINE == 0 && m->head[i] % CACHE_LINE == 0)
			continue;
		bad(arg, "messages: a ring's position is no line's");
		errors++;
	}
	if (m->dropped) {
		bad(arg, "messages: damaged rings were dropped");
		errors++;
	}
	return errors;
}
