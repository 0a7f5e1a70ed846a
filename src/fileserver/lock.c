/* SPDX-License-Identifier: MIT */
/*
 * LOCK: flock, POSIX and open-file-description locks. flock locks are about the whole file and
 * see only each other; the other two kinds see each other. A flock lock that is converted, and
 * cannot be at once, is gone; the others stay.
 *
 * Who must wait is registered with what it wants, and woken when nothing is in its way any more;
 * it asks again then. From these registrations deadlocks of POSIX locks are found, as deep as Linux
 * looks: at once among the files of this server; over several the client looks (client/deadlock.c),
 * when this server says that a cycle can be.
 */
#include "fileserver/fs.h"

enum { RD, WR, UN }; /* F_RDLCK, F_WRLCK, F_UNLCK */
#define DEADLOCK_DEPTH 10
#define STEP	       128u /* locks or waiters dealt with in one transaction */
#define PASS_MAX       4096u

/* Locks see only those of their class. */
static u32 class_of(const struct fs_lock *l)
{
	return l->kind == LOCK_OFD ? LOCK_POSIX : l->kind;
}

static bool conflict(const struct fs_lock *a, const struct fs_lock *b)
{
	if (class_of(a) != class_of(b))
		return false;
	if (a->owner == b->owner && a->kind == b->kind)
		return false;
	return a->start <= b->end && b->start <= a->end &&
	       (a->type == WR || b->type == WR);
}

static struct fs_lock *first_conflict(const struct fs_more *m, const struct fs_lock *want)
{
	for (struct list *l = m->locks.next; l != &m->locks; l = l->next)
		if (conflict(LIST_ENTRY(l, struct fs_lock, link), want))
			return LIST_ENTRY(l, struct fs_lock, link);
	return NULL;
}

static void lock_free(struct ck *ck, struct fs_lock *l)
{
	tx_list_del(ck, &l->link);
	ck_free(ck, l);
}

static void lock_end(struct rpc_env *e, struct fs_more *m, struct fs_lock *l)
{
	struct fs_inode *i = m->inode;

	if (l->kind == LOCK_APPEND) {
		TX_SET(e->ck, m->appender, 0);
		if (fs_type(i) == HS_IFIFO && i->pipe)
			fs_pipe_free_again(e, i->pipe);
	}
	lock_free(e->ck, l);
}

static void waiter_free(struct ck *ck, struct fs_lock_waiter *w)
{
	tx_list_del(ck, &w->link);
	tx_list_del(ck, &w->blocked);
	ck_free(ck, w);
}

/* After STEP of them: what was done so far stays. All of this file may be done again. */
static void step(struct ck *ck, u32 *n)
{
	if (++*n % STEP == 0)
		ck_commit(ck);
}

/* Wakes those who are not in conflict any more. */
static void wake(struct rpc_env *e, struct fs_more *m, bool all)
{
	struct list *l = m->lock_waiters.next;
	u32 n = 0;

	while (l != &m->lock_waiters) {
		struct fs_lock_waiter *w = LIST_ENTRY(l, struct fs_lock_waiter, link);

		l = l->next;
		if (!all && first_conflict(m, &w->want))
			continue;
		rpc_wake(e, w->core, w->slot, w->seq);
		waiter_free(e->ck, w);
		step(e->ck, &n);
	}
}

/* --- setting --------------------------------------------------------------------------------------- */

static bool is_own(const struct fs_lock *l, const struct fs_lock *want)
{
	return l->owner == want->owner && l->kind == want->kind;
}

static struct fs_lock *lock_new(struct ck *ck, struct fs_more *m,
				const struct fs_lock *from)
{
	struct fs_lock *l = ck_alloc_for(ck, CK_HELD, sizeof(*l));

	if (!l)
		return NULL;
	*l = *from;
	tx_list_add_tail(ck, &m->locks, &l->link);
	return l;
}

/* The owner's locks in want's range end: cut, split or removed. -ENOLCK. */
static long carve(struct rpc_env *e, struct fs_more *m, const struct fs_lock *want)
{
	struct ck *ck = e->ck;
	struct list *next;
	u32 n = 0;

	for (struct list *at = m->locks.next; at != &m->locks; at = next) {
		struct fs_lock *l = LIST_ENTRY(at, struct fs_lock, link), *rest;

		next = at->next;
		if (!is_own(l, want) || l->start > want->end || l->end < want->start)
			continue;
		if (l->start < want->start && l->end > want->end) {
			rest = lock_new(ck, m, l);
			if (!rest)
				return -ENOLCK;
			rest->start = want->end + 1;
			TX_SET(ck, l->end, want->start - 1);
			return 0; /* own locks do not overlap: there is no other */
		}
		if (l->start < want->start)
			TX_SET(ck, l->end, want->start - 1);
		else if (l->end > want->end)
			TX_SET(ck, l->start, want->end + 1);
		else
			lock_end(e, m, l);
		step(ck, &n);
	}
	return 0;
}

/* Own neighbours of the same type become one with want. */
static void merge(struct ck *ck, struct fs_more *m, struct fs_lock *want)
{
	struct list *next;

	for (struct list *at = m->locks.next; at != &m->locks; at = next) {
		struct fs_lock *l = LIST_ENTRY(at, struct fs_lock, link);

		next = at->next;
		if (!is_own(l, want) || l->type != want->type)
			continue;
		if (l->end != want->start - 1 && l->start - 1 != want->end)
			continue;
		if (l->end == want->start - 1 && want->start)
			want->start = l->start;
		else if (l->start - 1 == want->end && l->start)
			want->end = l->end;
		else
			continue; /* the ends of the number range are not neighbours */
		lock_free(ck, l);
	}
}

/* --- waiting --------------------------------------------------------------------------------------- */

/* Does `owner` wait, directly or through others, for a lock of `target`? */
static bool waits_for(const struct fs *f, u64 owner, u64 target, int depth)
{
	if (depth == 0)
		return false;
	for (struct list *l = f->blocked.next; l != &f->blocked; l = l->next) {
		const struct fs_lock_waiter *w =
			LIST_ENTRY(l, struct fs_lock_waiter, blocked);
		const struct fs_lock *other;

		if (w->want.kind != LOCK_POSIX || w->want.owner != owner)
			continue;
		other = first_conflict(w->more, &w->want);
		if (!other || other->kind != LOCK_POSIX)
			continue;
		if (other->owner == target ||
		    waits_for(f, other->owner, target, depth - 1))
			return true;
	}
	return false;
}

/* Does anybody here wait for a lock of `owner`? */
static bool is_awaited(const struct fs *f, u64 owner)
{
	for (struct list *l = f->blocked.next; l != &f->blocked; l = l->next) {
		const struct fs_lock_waiter *w =
			LIST_ENTRY(l, struct fs_lock_waiter, blocked);
		const struct fs_lock *k;

		if (w->want.kind != LOCK_POSIX || w->want.owner == owner)
			continue;
		k = first_conflict(w->more, &w->want);
		if (k && k->kind == LOCK_POSIX && k->owner == owner)
			return true;
	}
	return false;
}

/* What the asking thread waited for it does not wait for any more. True when it did. */
static bool unblock(struct rpc_env *e)
{
	struct fs *f = fs_of(e->ck);

	for (struct list *l = f->blocked.next; l != &f->blocked; l = l->next) {
		struct fs_lock_waiter *w = LIST_ENTRY(l, struct fs_lock_waiter, blocked);

		if (w->core != e->core || w->slot != e->slot)
			continue;
		waiter_free(e->ck, w);
		return true;
	}
	return false;
}

static long block(struct rpc_env *e, struct fs_more *m, const struct fs_lock *want,
		  const struct fs_lock *other, const struct req_LOCK *q,
		  struct rep_LOCK *p)
{
	bool posix = want->kind == LOCK_POSIX && other->kind == LOCK_POSIX;
	struct fs *f = fs_of(e->ck);
	struct fs_lock_waiter *w;

	if (!q->wait_seq)
		return -EAGAIN;
	if (posix && waits_for(f, other->owner, want->owner, DEADLOCK_DEPTH))
		return -EDEADLK;
	w = ck_alloc(e->ck, sizeof(*w));
	if (!w)
		return -ENOLCK;
	w->want = *want;
	w->more = m;
	w->core = e->core;
	w->slot = e->slot;
	w->seq = q->wait_seq;
	TX_SET(e->ck, f->next_wait, f->next_wait + 1);
	w->id = p->wait_id = f->next_wait;
	if (posix) {
		p->blocker = other->owner;
		p->search = w->searching =
			other->owner != q->searched &&
			(q->servers & ~(1ULL << e->srv) || is_awaited(f, want->owner));
	}
	tx_list_add_tail(e->ck, &m->lock_waiters, &w->link);
	tx_list_add_tail(e->ck, &f->blocked, &w->blocked);
	ck_commit(e->ck);
	return -EAGAIN;
}

/* A flock that is converted is given up first, as on Linux: whoever waits for that goes on, and a
 * conversion that fails, or that a signal ends, leaves none. */
static void give_up(struct rpc_env *e, struct fs_more *m, const struct fs_lock *want)
{
	for (struct list *l = m->locks.next; l != &m->locks; l = l->next) {
		struct fs_lock *own = LIST_ENTRY(l, struct fs_lock, link);

		if (!is_own(own, want))
			continue;
		lock_free(e->ck, own);
		wake(e, m, false);
		ck_commit(e->ck);
		return;
	}
}

static long set(struct rpc_env *e, struct fs_more *m, struct fs_lock *want,
		const struct req_LOCK *q, struct rep_LOCK *p)
{
	struct fs_lock *other = want->type == UN ? NULL : first_conflict(m, want);
	long r;

	if (other && want->kind == LOCK_FLOCK)
		give_up(e, m, want);
	if (other)
		return block(e, m, want, other, q, p);
	r = carve(e, m, want);
	if (r < 0)
		return r;
	if (want->type != UN) {
		merge(e->ck, m, want);
		if (!lock_new(e->ck, m, want))
			return -ENOLCK;
		if (want->kind == LOCK_APPEND)
			TX_SET(e->ck, m->appender, want->owner);
	}
	if (!list_empty(&m->lock_waiters))
		wake(e, m, false);
	return 0;
}

/* owner: of LOCK_APPEND any thread of that process. */
static bool belongs(const struct fs_lock *l, u32 kind, u64 owner)
{
	return l->kind == kind &&
	       (kind == LOCK_APPEND ? OWNER_PROC(l->owner) : l->owner) == owner;
}

static void release_owner(struct rpc_env *e, struct fs_more *m, u32 kind, u64 owner)
{
	struct list *next;
	u32 n = 0;

	for (struct list *l = m->locks.next; l != &m->locks; l = next) {
		struct fs_lock *k = LIST_ENTRY(l, struct fs_lock, link);

		next = l->next;
		if (!belongs(k, kind, owner))
			continue;
		lock_end(e, m, k);
		step(e->ck, &n);
	}
	if (!list_empty(&m->lock_waiters))
		wake(e, m, false);
}

/* --- handler ------------------------------------------------------------------------------------------ */

/* F_OFD_GETLK of F_UNLCK: what the description itself holds there. */
static const struct fs_lock *first_own(const struct fs_more *m,
				       const struct fs_lock *want)
{
	for (const struct list *l = m->locks.next; l != &m->locks; l = l->next) {
		const struct fs_lock *own = LIST_ENTRY(l, struct fs_lock, link);

		if (is_own(own, want) && own->start <= want->end &&
		    want->start <= own->end)
			return own;
	}
	return NULL;
}

static void get(const struct fs_more *m, const struct fs_lock *want, struct rep_LOCK *p)
{
	const struct fs_lock *l = !m		     ? NULL
				  : want->type == UN ? first_own(m, want)
						     : first_conflict(m, want);

	p->type = UN;
	if (!l)
		return;
	p->type = l->type;
	p->start = l->start;
	p->end = l->end;
	p->pid = l->pid;
}

long fs_lock(struct rpc_env *e, const struct req_LOCK *q, struct rep_LOCK *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	struct fs_lock want = {
		.kind = q->kind,
		.type = q->type,
		.owner = q->owner,
		.start = q->kind == LOCK_FLOCK ? 0 : q->start,
		.end = q->kind == LOCK_FLOCK ? ~0ULL : q->end,
		.pid = q->pid,
	};
	struct fs_more *m;
	long r;

	p->type = UN;
	p->blocker = p->wait_id = p->search = 0;
	if (!i)
		return -ENOENT;
	if (q->kind > LOCK_APPEND || q->type > UN || want.start > want.end)
		return -EINVAL;
	m = i->more;
	switch (q->op) {
	case LOCK_GET:
		get(m, &want, p);
		return 0;
	case LOCK_SET:
		if (unblock(e))
			ck_commit(e->ck);
		if (!m && want.type == UN)
			return 0;
		m = fs_inode_more(e, i);
		if (!m)
			return -ENOLCK;
		r = set(e, m, &want, q, p);
		if (!r && want.type != UN)
			fs_inode_attr(i, &p->attr);
		return r;
	case LOCK_RELEASE_OWNER:
		if (m)
			release_owner(e, m, q->kind, q->owner);
		if (q->kind == LOCK_OFD && fs_type(i) == HS_IFIFO)
			fs_async_gone(e, i, q->owner);
		return 0;
	default:
		return -EINVAL;
	}
}

long fs_lock_waits(struct rpc_env *e, const struct req_LOCK_WAITS *q,
		   struct rep_LOCK_WAITS *p)
{
	struct fs *f = fs_of(e->ck);

	p->blocker = p->wait_id = p->searching = 0;
	p->awaited = is_awaited(f, q->owner);
	for (struct list *l = f->blocked.next; l != &f->blocked && !p->blocker;
	     l = l->next) {
		struct fs_lock_waiter *w = LIST_ENTRY(l, struct fs_lock_waiter, blocked);
		const struct fs_lock *k;

		if (w->want.kind != LOCK_POSIX || w->want.owner != q->owner ||
		    (q->wait_id && w->id != q->wait_id))
			continue;
		if (q->over && w->searching)
			TX_SET(e->ck, w->searching, 0);
		k = first_conflict(w->more, &w->want);
		if (!k || k->kind != LOCK_POSIX)
			continue;
		p->blocker = k->owner;
		p->wait_id = w->id;
		p->searching = w->searching;
	}
	return 0;
}

void fs_locks_release(struct rpc_env *e, struct fs_more *m)
{
	struct list *dead = &fs_of(e->ck)->dead_locks;
	struct list *first = m->locks.next, *last = m->locks.prev;
	struct ck *ck = e->ck;

	wake(e, m, true);
	if (list_empty(&m->locks))
		return;
	/* There may be any number of them: freed later, in steps. */
	TX_SET(ck, dead->prev->next, first);
	TX_SET(ck, first->prev, dead->prev);
	TX_SET(ck, last->next, dead);
	TX_SET(ck, dead->prev, last);
	TX_SET(ck, m->locks.next, &m->locks);
	TX_SET(ck, m->locks.prev, &m->locks);
}

bool fs_locks_trim(struct ck *ck)
{
	struct list *dead = &fs_of(ck)->dead_locks;

	for (u32 n = 0; n < STEP && !list_empty(dead); n++)
		lock_free(ck, LIST_ENTRY(dead->next, struct fs_lock, link));
	return !list_empty(dead);
}

static bool is_passed(const struct fs_lock *k, u64 from)
{
	return k->kind != LOCK_POSIX && k->owner == from;
}

long fs_locks_pass(struct rpc_env *e, struct fs_more *m, u64 from, u64 to)
{
	struct list *l;
	u32 n = 0;

	for (l = m->locks.next; l != &m->locks; l = l->next)
		n += is_passed(LIST_ENTRY(l, struct fs_lock, link), from);
	if (n > PASS_MAX) /* they could not be passed in one transaction */
		return -ENOSPC;
	for (l = m->locks.next; n && l != &m->locks; l = l->next) {
		struct fs_lock *k = LIST_ENTRY(l, struct fs_lock, link);

		if (is_passed(k, from))
			TX_SET(e->ck, k->owner, to);
	}
	return 0;
}

void fs_locks_ofd_gone(struct rpc_env *e, struct fs_more *m, u64 owner)
{
	if (list_empty(&m->locks))
		return;
	release_owner(e, m, LOCK_FLOCK, owner);
	release_owner(e, m, LOCK_OFD, owner);
}

void fs_locks_owner_died(struct rpc_env *e, u64 owner)
{
	struct fs *f = fs_of(e->ck);
	struct list *next;
	u32 n = 0;

	for (struct list *l = f->blocked.next; l != &f->blocked; l = next) {
		struct fs_lock_waiter *w = LIST_ENTRY(l, struct fs_lock_waiter, blocked);

		next = l->next;
		if (belongs(&w->want, LOCK_POSIX, owner) ||
		    belongs(&w->want, LOCK_APPEND, owner)) {
			waiter_free(e->ck, w);
			step(e->ck, &n);
		}
	}
	for (struct list *l = f->more.next; l != &f->more; l = l->next) {
		struct fs_more *m = LIST_ENTRY(l, struct fs_more, all);

		release_owner(e, m, LOCK_POSIX, owner);
		if (unlikely(m->appender))
			release_owner(e, m, LOCK_APPEND, owner);
	}
}
