/* SPDX-License-Identifier: MIT */
/*
 * ASYNC: whom signals about a pipe's description go to (F_SETOWN, F_SETSIG), and sending them.
 *
 * A description with an owner or a signal of its own has a record among the pipe's waiters, which is
 * looked through where those are woken anyway. With O_ASYNC the record waits, too: for FS_TELL_IN and
 * FS_TELL_OUT, as Linux calls kill_fasync. Unlike a waiter it stays: it is known by what the
 * description's locks are, is passed on with them when several cores share it, and goes with them.
 *
 *   step  writer, core A      here, in one transaction              core B, and each other
 *   1     WRITE               bytes; SIGNAL to all cores posted     -
 *   2     count                                                     it has the process: a job
 *   3                                                               agent: rt_sigqueueinfo
 *
 * The process may be anywhere by then, so all cores are asked; where it was, its proxy passes nothing on
 * (forwarded). It is known by its number and its birth: another one that gets its number later does
 * not get its signals. What does not fit into the rings is lost, as what a full queue of signals loses.
 */
#include "fileserver/fs.h"
#include "proto/proc.h"

#define SIG_IO_	      29
#define FORWARD_NEVER 0xffffffffu
/* si_code, and what poll would say, of signals with one of their own */
#define CODE_IN	   1
#define CODE_OUT   2
#define CODE_OTHER (-5) /* SI_SIGIO: of signals whose codes mean something else */
#define BAND_IN	   0x41u
#define BAND_OUT   0x304u

struct fs_async {
	struct fs_waiter w; /* core FS_ASYNC; events: FS_TELL_*, or 0 without O_ASYNC */
	u64 key; /* as the owner of its locks */
	u32 core; /* whose the description is; MAX_CORES: several cores' */
	u32 kind, pid, tid; /* pid 0: nobody */
	u32 sig, fd, ruid, euid;
	u64 birth;
};

static struct fs_async *async_of(const struct fs_pipe *p, u64 key)
{
	for (struct list *l = p->waiters.next; l != &p->waiters; l = l->next) {
		struct fs_waiter *w = LIST_ENTRY(l, struct fs_waiter, link);
		struct fs_async *a = container_of(w, struct fs_async, w);

		if (w->core == FS_ASYNC && a->key == key)
			return a;
	}
	return NULL;
}

static struct fs_async *async_get(struct rpc_env *e, struct fs_pipe *p, u64 key)
{
	struct fs_async *a = async_of(p, key);

	if (a)
		return a;
	a = ck_alloc_for(e->ck, CK_HELD, sizeof(*a));
	if (!a)
		return NULL;
	a->w.core = FS_ASYNC;
	a->key = key;
	a->core = (key & LOCK_OWNER_SHARED) == LOCK_OWNER_SHARED ? MAX_CORES : e->core;
	tx_list_add_tail(e->ck, &p->waiters, &a->w.link);
	return a;
}

static u32 tell_events(u32 access)
{
	u32 ends = (access & FS_O_ACCMODE) + 1;

	return (ends & 1 ? FS_TELL_IN : 0) | (ends & 2 ? FS_TELL_OUT : 0);
}

/* A record that says nothing any more than that there is none. */
static void forget(struct ck *ck, struct fs_async *a)
{
	tx_list_del(ck, &a->w.link);
	ck_free(ck, a);
}

static void set(struct ck *ck, struct fs_async *a, const struct req_ASYNC *q)
{
	switch (q->op) {
	case ASYNC_OWNER:
		TX_SET(ck, a->kind, q->kind);
		TX_SET(ck, a->pid, q->pid);
		TX_SET(ck, a->tid, q->tid);
		TX_SET(ck, a->ruid, q->ruid);
		TX_SET(ck, a->euid, q->euid);
		TX_SET(ck, a->birth, q->birth);
		break;
	case ASYNC_SIG:
		TX_SET(ck, a->sig, q->sig);
		break;
	case ASYNC_ON:
		TX_SET(ck, a->fd, q->fd);
		TX_SET(ck, a->w.events, tell_events(q->access));
		break;
	default: /* ASYNC_OFF */
		TX_SET(ck, a->w.events, 0);
	}
}

long fs_async(struct rpc_env *e, const struct req_ASYNC *q, struct rep_ASYNC *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	struct fs_async *a;

	*p = (struct rep_ASYNC){ 0 };
	if (!i || fs_type(i) != HS_IFIFO || !i->pipe)
		return -EBADF;
	if (q->op > ASYNC_OFF || q->sig > SIGNAL_MAX)
		return -EINVAL;
	a = q->op == ASYNC_GET || q->op == ASYNC_OFF ? async_of(i->pipe, q->key)
						     : async_get(e, i->pipe, q->key);
	if (!a)
		return q->op == ASYNC_GET || q->op == ASYNC_OFF ? 0 : -ENOMEM;
	if (q->op != ASYNC_GET)
		set(e->ck, a, q);
	p->kind = a->kind;
	p->pid = a->pid;
	p->tid = a->tid;
	p->sig = a->sig;
	p->birth = a->birth;
	if (!a->pid && !a->sig && !a->w.events && q->op != ASYNC_GET)
		forget(e->ck, a);
	return 0;
}

void fs_async_pass(struct rpc_env *e, struct fs_inode *i, u64 from, u64 to)
{
	struct fs_async *a = i->pipe ? async_of(i->pipe, from) : NULL;

	if (!a)
		return;
	TX_SET(e->ck, a->key, to);
	TX_SET(e->ck, a->core, MAX_CORES);
}

void fs_async_off(struct rpc_env *e, struct fs_inode *i, u64 key)
{
	struct fs_async *a = i->pipe ? async_of(i->pipe, key) : NULL;

	if (a)
		TX_SET(e->ck, a->w.events, 0);
}

void fs_async_gone(struct rpc_env *e, struct fs_inode *i, u64 key)
{
	struct fs_async *a = i->pipe ? async_of(i->pipe, key) : NULL;

	if (a)
		forget(e->ck, a);
}

void fs_async_lost(struct rpc_env *e, struct fs_inode *i, u32 core)
{
	struct list *head = &i->pipe->waiters, *next;

	for (struct list *l = head->next; l != head; l = next) {
		struct fs_waiter *w = LIST_ENTRY(l, struct fs_waiter, link);
		struct fs_async *a = container_of(w, struct fs_async, w);

		next = l->next;
		if (w->core == FS_ASYNC && a->core == core)
			forget(e->ck, a);
	}
}

/* --- sending ------------------------------------------------------------------------------------- */

/* Signals whose si_code says other things than what a descriptor is ready for. */
static bool has_own_codes(u32 sig)
{
	return sig == 4 || sig == 5 || sig == 7 || sig == 8 || sig == 11 || sig == 17 ||
	       sig == 31;
}

static void info_fill(const struct fs_async *a, u32 event, struct signal_info_io *i)
{
	bool in = event == FS_TELL_IN;

	i->signo = a->sig ? (s32)a->sig : SIG_IO_;
	i->error = SIGNAL_INFO_IO;
	i->code = SIGNAL_CODE_QUEUE;
	if (!a->sig)
		return; /* without a signal of its own it says nothing */
	i->real_code = has_own_codes(a->sig) ? CODE_OTHER : in ? CODE_IN : CODE_OUT;
	i->band = in ? BAND_IN : BAND_OUT;
	i->fd = a->fd;
}

static long post(struct rpc_env *e, const struct req_SIGNAL *q)
{
	const struct super *s = e->c->isl->super;
	struct rep_SIGNAL p;
	long r = 0;

	for (u32 core = mem_first_program_core(s); core < s->cores && r >= 0; core++) {
		if (core == e->srv)
			(void)sched_signal(e, q, &p);
		else
			r = rpc_post_signal(e, core, q);
	}
	return r;
}

static void tell(struct rpc_env *e, const struct fs_async *a, u32 event)
{
	u8 info[SIGNAL_INFO_SIZE] __attribute__((aligned(8))) = { 0 };
	struct req_SIGNAL q = {
		.pid = a->pid,
		.group = a->kind == ASYNC_PGRP,
		.tid = a->tid,
		.birth = a->birth,
		.info = { info, sizeof(info), 0 },
		.ruid = a->ruid,
		.euid = a->euid,
		.forwarded = FORWARD_NEVER,
	};
	u32 mark = ck_mark(e->ck);

	info_fill(a, event, (struct signal_info_io *)info);
	q.sig = (u32)((struct signal_info_io *)info)->signo;
	if (post(e, &q) < 0)
		ck_abort_to(e->ck, mark);
}

void fs_async_tell(struct rpc_env *e, struct fs_waiter *w, u32 events)
{
	const struct fs_async *a = container_of(w, struct fs_async, w);

	events &= w->events;
	if (!a->pid)
		return;
	if (events & FS_TELL_IN)
		tell(e, a, FS_TELL_IN);
	if (events & FS_TELL_OUT)
		tell(e, a, FS_TELL_OUT);
}
