/* SPDX-License-Identifier: MIT */
/*
 * Waiters: who was told EAGAIN and waits for an EVENT. A handler never blocks: the asking thread
 * prepares its event, asks, is registered here, sleeps, and asks again when woken; waking for
 * nothing is harmless. So waiters are forgotten when woken, there is one at most per thread and
 * place, and those of threads that gave up or died stay until the next wake. Among a pipe's there are those
 * that get signals (async.c).
 */
#include "fileserver/fs.h"

long fs_wait(struct rpc_env *e, struct list *head, u32 seq, u32 events)
{
	struct fs_waiter *w;

	if (!seq)
		return -EAGAIN;
	for (struct list *l = head->next; l != head; l = l->next) {
		w = LIST_ENTRY(l, struct fs_waiter, link);
		if (w->core != e->core || w->slot != e->slot)
			continue;
		TX_SET(e->ck, w->seq, seq);
		TX_SET(e->ck, w->events, events);
		ck_commit(e->ck);
		return -EAGAIN;
	}
	w = ck_alloc(e->ck, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->core = e->core;
	w->slot = e->slot;
	w->seq = seq;
	w->events = events;
	tx_list_add_tail(e->ck, head, &w->link);
	ck_commit(e->ck);
	return -EAGAIN;
}

static void forget(struct ck *ck, struct fs_waiter *w)
{
	tx_list_del(ck, &w->link);
	ck_free(ck, w);
}

void fs_wake_all(struct rpc_env *e, struct list *head, u32 events)
{
	struct list *l = head->next;

	/* What does not fit into the log looks again by itself (msg_event_wait). */
	while (l != head && e->ck->log_count < CK_LOG_MAX / 2) {
		struct fs_waiter *w = LIST_ENTRY(l, struct fs_waiter, link);

		l = l->next;
		if (!(w->events & events))
			continue;
		if (unlikely(w->core == FS_ASYNC)) {
			fs_async_tell(e, w, events);
			continue;
		}
		rpc_wake(e, w->core, w->slot, w->seq);
		forget(e->ck, w);
	}
}

void fs_wait_free(struct ck *ck, struct list *head)
{
	while (!list_empty(head))
		forget(ck, LIST_ENTRY(head->next, struct fs_waiter, link));
}
