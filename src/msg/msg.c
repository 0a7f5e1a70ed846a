/* SPDX-License-Identifier: MIT */
/*
 * Sending, the outbox, and draining. See msg.h.
 *
 * Draining a record is one transaction: what its handler changes, its reply in the outbox, and
 * the consumption of the record. After the commit the outbox is sent. A drainer killed before
 * the commit leaves the record for the next one; killed after it, the outbox.
 */
#include <asm/errno.h>

#include "base/str.h"
#include "msg/ring.h"

#define BATCH 64 /* records handled under one hold of the lock */

static msg_receive_fn g_receiver;

void msg_set_receiver(msg_receive_fn fn)
{
	g_receiver = fn;
}

long msg_init(struct ctx *c, struct ck *ck)
{
	struct msg_root *r = ck_alloc(ck, sizeof(*r));

	(void)c;
	if (!r)
		return -ENOSPC;
	list_init_fresh(&r->outbox);
	list_init_fresh(&r->reserve);
	TX_SET(ck, ck->root[CK_ROOT_MSG], r);
	for (u32 i = 0; i < OUTBOX_RESERVE; i++) {
		struct outbox_entry *e = ck_alloc(ck, sizeof(*e));

		if (!e)
			return -ENOSPC;
		e->reserved = 1;
		tx_list_add_tail(ck, &r->reserve, &e->link);
	}
	return 0;
}

long msg_send(struct ctx *c, struct ck *ck, u32 dst, const struct msg_hdr *h, const void *data)
{
	long r = ring_put(c, ck, dst, h, data);

	if (!r)
		doorbell_signal(c, ck->core, dst, h->wake);
	return r;
}

/* --- outbox ------------------------------------------------------------------------------------- */

static struct outbox_entry *entry_new(struct ck *ck, u32 len)
{
	struct msg_root *r = msg_root(ck);
	struct outbox_entry *e = ck_alloc(ck, sizeof(*e) + len);

	if (e || len || list_empty(&r->reserve))
		return e;
	e = LIST_ENTRY(r->reserve.next, struct outbox_entry, link);
	tx_list_del(ck, &e->link);
	tx_save(ck, &e->h, sizeof(e->h));
	return e;
}

long msg_post(struct ck *ck, u32 dst, const struct msg_hdr *h, const void *data)
{
	struct outbox_entry *e = entry_new(ck, h->len);

	if (!e)
		return -ENOSPC;
	TX_SET(ck, e->dst, dst);
	e->h = *h;
	memcpy(e->data, data, h->len);
	tx_list_add_tail(ck, &msg_root(ck)->outbox, &e->link);
	return 0;
}

static void entry_drop(struct ck *ck, struct outbox_entry *e)
{
	tx_list_del(ck, &e->link);
	if (e->reserved)
		tx_list_add_tail(ck, &msg_root(ck)->reserve, &e->link);
	else
		ck_free(ck, e);
	ck_commit(ck);
}

void msg_flush(struct ctx *c, struct ck *ck)
{
	struct msg_root *r = msg_root(ck);
	struct list *l = r->outbox.next;
	u64 full = 0; /* destinations whose ring is full: their order must be kept */

	while (unlikely(l != &r->outbox)) {
		struct outbox_entry *e = LIST_ENTRY(l, struct outbox_entry, link);

		l = l->next;
		if (full & (1ULL << e->dst))
			continue;
		if (msg_send(c, ck, e->dst, &e->h, e->data) < 0)
			full |= 1ULL << e->dst;
		else
			entry_drop(ck, e);
	}
}

/* --- draining ------------------------------------------------------------------------------------- */

static bool drain_one(struct ctx *c, struct ck *ck, u32 src)
{
	struct msg_root *r = msg_root(ck);
	u64 head = r->head[src];
	u32 dropped = r->dropped;
	struct msg_hdr h;
	bool got = ring_get(c, ck, src, &head, &h, r->record, &dropped);

	if (head == r->head[src])
		return false;
	if (got && h.kind == MSG_REPLY)
		slot_reply(c, ck, &h, r->record);
	else if (got)
		g_receiver(c, ck, &h, r->record);
	TX_SET(ck, r->dropped, dropped);
	TX_SET(ck, r->head[src], head);
	ck_commit(ck);
	msg_flush(c, ck);
	ring_publish_head(c, ck, src, head);
	return got;
}

/* All rings, when a killed process may have taken doorbell bits with it. */
static u64 take_pending(struct ctx *c, struct ck *ck)
{
	struct msg_root *r = msg_root(ck);
	u64 bits = __atomic_exchange_n(&doorbell(c->isl, c->core)->pending, 0, __ATOMIC_SEQ_CST);

	if (unlikely(r->recovered != ck->recovered)) {
		r->recovered = ck->recovered;
		bits = ~0ULL;
		msg_flush(c, ck);
	}
	return bits;
}

bool msg_drain(struct ctx *c)
{
	struct doorbell *d = doorbell(c->isl, c->core);
	struct ck *ck = c->ck;
	u32 cores = c->isl->super->cores;
	bool any = false;
	int left = BATCH;
	u64 bits;

	if (!__atomic_load_n(&d->pending, __ATOMIC_SEQ_CST) &&
	    msg_root(ck)->recovered == ck->recovered)
		return false;
	ck_lock(c, ck);
	bits = take_pending(c, ck);
	for (u32 src = 0; src < cores; src++) {
		if (!(bits & (1ULL << src)))
			continue;
		while (left && drain_one(c, ck, src))
			any = true, left--;
		if (!left) { /* more may be there: somebody must look again */
			__atomic_fetch_or(&d->pending, bits, __ATOMIC_SEQ_CST);
			break;
		}
		bits &= ~(1ULL << src);
	}
	ck_unlock(ck);
	return any;
}

u32 msg_check(struct ctx *c, struct ck *ck, void (*bad)(void *arg, const char *text), void *arg)
{
	struct msg_root *r = msg_root(ck);
	u32 errors = 0;

	(void)c;
	for (struct list *l = r->outbox.next; l != &r->outbox; l = l->next) {
		if (l->next->prev == l && l->prev->next == l)
			continue;
		bad(arg, "messages: the outbox's links are broken");
		errors++;
		break;
	}
	if (r->dropped) {
		bad(arg, "messages: damaged rings were dropped");
		errors++;
	}
	return errors;
}
