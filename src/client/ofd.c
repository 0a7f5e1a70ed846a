/* SPDX-License-Identifier: MIT */
/*
 * Open descriptions: counting, closing, sharing between cores. (Thesis 3.5.1.)
 *
 * A reference is held by each descriptor, by each call of a process with several threads,
 * and by a description that ofd_new made and that has no number yet; the latter two are
 * noted in client_root.holds under the thread's reply slot, so that nothing is lost when
 * it is killed.
 *
 * Closing, and what is found when the thread that closes is killed:
 *
 *   step  this core                                             killed after it: the agent
 *   1     last reference goes: link to client_root.closing      goes on with 2
 *   2     leave epoll sets, write back, locks, inotify          does it again, harmless
 *   3     own server: CLOSE and free, one transaction           nothing left to do
 *         far server: CLOSE into its ring and free, one         nothing left to do
 *         server on another core of the island: CLOSE and       frees it when close_sent says that
 *         close_sent, one transaction of that core; free        it ran, else goes on with 2
 *
 * Who is told of a close may at once try what the open forbade, by another core's ring: so a CLOSE does not
 * stand in the outbox, but step 3 waits until there is room for it.
 *
 * Where nothing is to be done in step 2, which is the rule, 1 and 3 are one critical
 * section; of a description that no cores share they are one transaction, without the list.
 *
 * Local to shared: ofd_share moves offset and flags to the inode's server by DUP; from
 * then on `shared` is not 0 and reads, writes and seeks at the offset go there. What this
 * core wrote is written back before. Another process here may be about to use the offset,
 * which the lock `busy` settles:
 *
 *   step  a child: write              another child: exec elsewhere   offset here / there
 *   1     not shared: local then                                      7 / -
 *   2                                 busy; DUP; shared; unlocked     7 / 7
 *   3     busy; looks again: shared                                   7 / 7
 *   4     WRITE IO_SHARED                                             7 / 14
 *
 * Shared to local, when one core is left that has it (thesis 3.5: one reference). References at
 * the server are those of cores (struct ofd), of EXECs on their way and of TAKEs; so who holds
 * the only one is alone with it, and no other core can come to it but through this one. The
 * reply to a read, write or seek says that this is so (`last`), as does an exec's image; the
 * next one asks OFD_LOCAL in place of the server's offset:
 *
 *   step  this core (busy is held)                     refs  offset here / there  valid
 *   1     WRITE IO_SHARED; reply: last                 1     -  / 14              there
 *   2     busy; OFD_LOCAL: 14, attributes, blocks      1     -  / 14              there
 *   3     off, flags, kept = shared, shared = 0        1     14 / 14              here
 *   4     writes; no server is asked                   1     20 / 14              here
 *   5     exec elsewhere: DUP with push; shared        2     20 / 20              there
 *
 * The losing races:
 *   - another process here uses the server's offset meanwhile: it holds busy over its request
 *   - DUP by a TAKE of one sent over a socket, which wants no word from us: while a flight of it
 *     is there (flights) it stays SHARED; and it becomes SHARED under the busy under which the
 *     flight is entered
 *   - the last but one CLOSE comes after OFD_LOCAL: EAGAIN; a later reply says `last` again
 *   - killed at 2 or 3: the server has changed nothing but whose open it is; asked again
 *   - killed at 5: the offset here counts as long as shared is 0; DUP's references are taken
 *     back by its intent (far_open.c), and the next DUP pushes again
 */
#include <linux/futex.h>

#include "client/file.h"
#include "client/path.h"

#define BUSY_WAITERS	      0x80000000u
#define BUSY_SLICE_NS	      50000000L
#define LOCK_OWNER_OFD	      (1ULL << 63)
#define LOCK_OWNER_CORE_SHIFT 24

/* --- a handler of the own server inside a transaction ----------------------------- */

void own_begin(struct task *t, struct rpc_env *e)
{
	e->c = &t->ctx;
	e->ck = t->ctx.ck;
	e->srv = e->core = t->ctx.core;
	e->slot = t->ctx.slot;
	e->far = false;
	e->unlocked =
		true; /* `replies` is for who posts: a local close is spared the store */
}

void own_end(struct rpc_env *e)
{
	msg_unlock(e->c, e->ck);
}

/* --- references ------------------------------------------------------------------- */

void hold_note(struct task *t, struct ck *ck, u32 i, struct ofd *o)
{
	struct client_root *r = client_root(ck);
	struct hold *h;

	h = &r->holds[t->ctx.slot];
	if (o && h->ft != t->proc->fds)
		TX_SET(ck, h->ft, t->proc->fds);
	if (h->ft && !o != !h->ofd[i])
		TX_ADD(ck, h->ft->held, o ? 1 : -1);
	TX_SET(ck, h->ofd[i], o);
}

void hold_pass(struct task *t, struct ck *ck, struct ofd *o)
{
	int i = hold_find(t, o);

	if (i < 0)
		return;
	hold_note(t, ck, (u32)i, NULL);
	t->hold_used &= ~(1u << i);
	t->hold_counted &= ~(1u << i);
}

struct ofd *ofd_alloc(struct task *t, u32 kind, u64 ino, u32 flags)
{
	struct ck *ck = t->ctx.ck;
	struct ofd *o = ck_alloc_for(ck, CK_HELD, sizeof(*o));

	if (!o)
		return NULL;
	o->refs = 1;
	o->kind = kind;
	o->flags = flags;
	o->ino = ino;
	o->far = !rpc_is_near(&t->ctx, ino_server(ino));
	list_init_fresh(&o->link);
	list_init_fresh(&o->watch);
	return o;
}

struct ofd *ofd_new(struct task *t, u32 kind, u64 ino, u32 flags)
{
	struct ck *ck = t->ctx.ck;
	struct ofd *o;
	u32 i;

	ck_lock(&t->ctx, ck);
	o = ofd_alloc(t, kind, ino, flags);
	if (!o)
		ck_abort(ck);
	else if (hold_push(t, o, true, &i))
		hold_note(t, ck, i, o);
	ck_unlock(ck);
	return o;
}

void ofd_put(struct task *t, struct ofd *o)
{
	struct ck *ck = t->ctx.ck;
	int i = hold_find(t, o);

	if (likely(i >= 0)) {
		bool counted = t->hold_counted & 1u << i;

		t->hold_used &= ~(1u << i);
		t->hold_counted &= ~(1u << i);
		if (likely(!counted))
			return;
	}
	ck_lock(&t->ctx, ck);
	if (i >= 0)
		hold_note(t, ck, (u32)i, NULL);
	ofd_drop_unlock(t, o);
}

void ofd_drop(struct task *t, struct ofd *o)
{
	ck_lock(&t->ctx, t->ctx.ck);
	ofd_drop_unlock(t, o);
}

/* --- closing ---------------------------------------------------------------------- */

static void close_request(const struct task *t, const struct ofd *o, struct req_CLOSE *q)
{
	q->ino = o->ino;
	q->flags = o->flags;
	q->core = unlikely(o->kind == OFD_EXE) ? o->relay_core : t->ctx.core;
	q->ofd = ofd_id(o);
}

static bool owes_close(const struct ofd *o)
{
	return (o->ino || o->kind == OFD_RELAY) && !o->untold && !o->close_sent;
}

static void ofd_free(struct ck *ck, struct ofd *o)
{
	if (!list_empty(&o->link))
		tx_list_del(ck, &o->link);
	ck_free(ck, o);
}

/* Step 3 for own and far servers; lock held, released. False: another way is needed, or (close_waits) there
 * is no room yet; the lock is still held and the transaction has to be aborted. */
static bool close_in_tx(struct task *t, struct ofd *o)
{
	struct ck *ck = t->ctx.ck;
	struct rpc_env e;
	struct req_CLOSE q;
	struct rep_CLOSE p;
	long r = 0;

	own_begin(t, &e);
	if (owes_close(o)) {
		u32 srv = ofd_server(o);

		close_request(t, o, &q);
		if (o->kind == OFD_RELAY)
			return false;
		if (srv == t->ctx.core && !o->far) {
			r = fs_close(&e, &q, &p);
			ck->counter[COUNT_LOCAL(RPC_CLOSE)]++;
		} else if (o->far) {
			e.replies = false;
			r = rpc_post_close(&e, srv, &q);
			if (unlikely(r < 0 || msg_is_behind(ck, srv)))
				return false;
			ck->counter[COUNT_SENT(RPC_CLOSE)]++;
		} else {
			return false;
		}
	}
	if (r < 0)
		return false;
	ofd_free(ck, o);
	own_end(&e);
	return true;
}

/* It can be closed by close_in_tx, and by nothing else. */
static bool close_waits(const struct ofd *o)
{
	return o->far && o->kind != OFD_RELAY;
}

/* The locks of a description that is closed. */
static void ofd_locks_release(struct task *t, struct ofd *o)
{
	struct req_LOCK q = { .ino = o->ino,
			      .op = LOCK_RELEASE_OWNER,
			      .owner = ofd_lock_owner(t, o) };
	struct rep_LOCK p;

	q.kind = LOCK_FLOCK;
	rpc_lock(&t->ctx, ofd_server(o), &q, &p);
	q.kind = LOCK_OFD;
	rpc_lock(&t->ctx, ofd_server(o), &q, &p);
}

/* Step 2. */
static void close_prepare(struct task *t, struct ofd *o)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	epoll_forget(ck, o);
	ck_unlock(ck);
	if (o->vnode) {
		vnode_sync(t, o->vnode);
		vnode_leave(t, o);
	}
	if (o->copy)
		copy_leave(t, o);
	if (o->lock_owner)
		ofd_locks_release(t, o);
	notify_closed(t, o);
}

static void close_by_call(struct task *t, struct ofd *o)
{
	struct ck *ck = t->ctx.ck;
	struct req_CLOSE q;
	struct rep_CLOSE p;

	if (owes_close(o)) {
		close_request(t, o, &q);
		if (o->kind != OFD_RELAY) {
			(void)STEP_CALL(t, ofd_server(o), CLOSE, close, &q, &p,
					TX_SET(ck_, o->close_sent, 1));
		} else {
			/* Once at most: the proxy may have the number for something
			 * else. */
			ck_lock(&t->ctx, ck);
			TX_SET(ck, o->close_sent, 1);
			ck_unlock(ck);
			relay_close(t, o->relay_pid, o->relay_core, o->relay_fd);
		}
	}
	ck_lock(&t->ctx, ck);
	ofd_free(ck, o);
	ck_unlock(ck);
}

/* Steps 2 and 3 of a description on the closing list. */
static void close_finish(struct task *t, struct ofd *o)
{
	struct ck *ck = t->ctx.ck;

	close_prepare(t, o);
	for (;;) {
		ck_lock(&t->ctx, ck);
		if (close_in_tx(t, o))
			return;
		ck_abort(ck);
		msg_unlock(&t->ctx, ck); /* wakes who can make room */
		if (!close_waits(o))
			break;
		if (!msg_drain(&t->ctx)) /* as others may wait for us */
			pending_wait();
	}
	close_by_call(t, o);
}

static bool has_dirty(const struct ofd *o)
{
	return o->kind == OFD_FILE && o->vnode && o->vnode->dirty_to;
}

void ofd_drop_unlock(struct task *t, struct ofd *o)
{
	struct ck *ck = t->ctx.ck;
	bool plain;
	u32 mark;

	TX_ADD(ck, o->refs, -1);
	if (o->refs) {
		u64 dirty = has_dirty(o) ? o->ino : 0;

		ck_unlock(ck);
		/* A close is one also when others still have the description. */
		if (unlikely(dirty))
			vnode_sync_ino(t, dirty);
		return;
	}
	if (o->kind == OFD_EPOLL_SHADOW) {
		epoll_shadow_free(ck, o);
		ck_unlock(ck);
		return;
	}
	plain = !o->vnode && !o->copy && !o->lock_owner && list_empty(&o->watch) &&
		!ck->watched;
	mark = ck_mark(ck);
	/* CLOSE of one that cores share may commit in between: not without step 1. */
	if (likely(plain && !ofd_id(o))) {
		if (likely(close_in_tx(t, o)))
			return;
		ck_abort_to(ck, mark);
	}
	tx_list_add_tail(ck, &client_root(ck)->closing, &o->link);
	TX_SET(ck, o->closer, t->ctx.tid);
	if (plain && ofd_id(o)) {
		ck_commit(
			ck); /* close_in_tx that fails takes back its own changes alone */
		if (likely(close_in_tx(t, o)))
			return;
		ck_abort(ck);
	}
	ck_unlock(ck);
	close_finish(t, o);
}

/* One that a dead thread left half closed, now ours; NULL: none. */
static struct ofd *closing_claim(struct task *t)
{
	struct ck *ck = t->ctx.ck;
	struct client_root *r = client_root(ck);
	struct ofd *found = NULL;
	struct list *l;

	if (!r->holds || list_empty(&r->closing))
		return NULL;
	ck_lock(&t->ctx, ck);
	for (l = r->closing.next; l != &r->closing && !found; l = l->next) {
		struct ofd *o = LIST_ENTRY(l, struct ofd, link);

		if (o->closer != t->ctx.tid && ck_thread_dead(o->closer)) {
			TX_SET(ck, o->closer, t->ctx.tid);
			found = o;
		}
	}
	ck_unlock(ck);
	return found;
}

void closing_finish(struct task *t)
{
	struct ofd *o;

	while ((o = closing_claim(t))) {
		/* close_sent counts only when the server's transaction was committed. */
		client_settle(&t->ctx);
		close_finish(t, o);
	}
}

void holds_release(struct task *t, struct fdtable *ft)
{
	struct ck *ck = t->ctx.ck;
	struct client_root *r = client_root(ck);

	for (u32 s = 0; s < MSG_SLOTS; s++) {
		struct hold *h = &r->holds[s];

		if (h->ft != ft)
			continue;
		for (u32 i = 0; i < HOLDS; i++) {
			struct ofd *o;

			ck_lock(&t->ctx, ck);
			o = h->ft == ft ? h->ofd[i] : NULL;
			if (!o) {
				ck_unlock(ck);
				continue;
			}
			TX_SET(ck, h->ofd[i], NULL);
			TX_ADD(ck, ft->held, -1);
			ofd_drop_unlock(t, o);
		}
	}
}

/* --- locks that outlive their holder ---------------------------------------------- */

static bool busy_cas(u32 *word, u32 from, u32 to)
{
	return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

static void busy_lock_slow(struct task *t, u32 *word)
{
	struct {
		s64 sec, nsec;
	} slice = { 0, BUSY_SLICE_NS };

	for (;;) {
		u32 v = __atomic_load_n(word, __ATOMIC_RELAXED);
		u32 tid = v & ~BUSY_WAITERS;

		if (!tid || ck_thread_dead(tid)) {
			if (!busy_cas(word, v, t->ctx.tid | BUSY_WAITERS))
				continue;
			if (tid) /* what it had not committed does not count */
				client_settle(&t->ctx);
			return;
		}
		race_point("busy", RACE_AT);
		if (v & BUSY_WAITERS || busy_cas(word, v, v | BUSY_WAITERS))
			SYS(futex, word, FUTEX_WAIT, tid | BUSY_WAITERS, &slice, 0, 0);
	}
}

void busy_lock(struct task *t, u32 *word)
{
	if (!busy_cas(word, 0, t->ctx.tid))
		busy_lock_slow(t, word);
}

void busy_unlock(u32 *word)
{
	if (__atomic_exchange_n(word, 0, __ATOMIC_RELEASE) & BUSY_WAITERS)
		SYS(futex, word, FUTEX_WAKE, 1, 0, 0, 0);
}

bool busy_is_mine(const struct task *t, const u32 *word)
{
	return (__atomic_load_n(word, __ATOMIC_RELAXED) & ~BUSY_WAITERS) == t->ctx.tid;
}

bool busy_is_held(const u32 *word)
{
	u32 tid = __atomic_load_n(word, __ATOMIC_RELAXED) & ~BUSY_WAITERS;

	return tid && !ck_thread_dead(tid);
}

bool pos_lock(struct task *t, struct ofd *o)
{
	if (likely(ofd_is_alone(t, o)))
		return false;
	busy_lock(t, &o->busy);
	return true;
}

/* --- sharing ---------------------------------------------------------------------- */

static void note_shared(struct task *t, struct ck *ck, struct ofd *o, u64 shared,
			ofd_share_fn *noted)
{
	if (!o->shared) {
		TX_SET(ck, o->shared, shared);
		TX_SET(ck, o->kept, 0);
		TX_SET(ck, o->lock_owner, 0);
	}
	__atomic_store_n(&o->last, 0, __ATOMIC_RELAXED);
	if (noted)
		noted(t, ck, o);
}

long ofd_share_held(struct task *t, struct ofd *o, u32 add_refs, ofd_share_fn *noted)
{
	struct req_DUP q = { .ino = o->ino };
	struct intent_node *n;
	struct rep_DUP p;
	u64 id = ofd_id(o);
	long r;

	if (o->kind == OFD_RELAY || (o->shared && !add_refs))
		return 0;
	(void)file_sync(t, o);
	q.ofd = id;
	q.refs = id ? add_refs : add_refs + 1;
	q.push = !o->shared;
	q.off = o->off;
	q.flags = o->flags;
	q.parent = o->parent;
	q.parent_dflags = o->parent_dflags;
	q.hash = o->name_hash;
	q.lock_owner = o->lock_owner ? LOCK_OWNER_OFD | o->lock_owner : 0;
	n = far_dup_begin(t, o->ino, id, add_refs, id ? NULL : o);
	r = STEP_CALL(t, ofd_server(o), DUP, dup, &q, &p,
		      note_shared(t, ck_, o, p.ofd, noted);
		      far_noted(ck_, n));
	if (r)
		far_failed(t, n);
	return r;
}

long ofd_share(struct task *t, struct ofd *o, u32 add_refs, ofd_share_fn *noted)
{
	bool locked = pos_lock(t, o);
	long r = ofd_share_held(t, o, add_refs, noted);

	pos_unlock(o, locked);
	return r;
}

/* Step 3; who is killed before it has changed nothing. */
static void note_back(struct task *t, struct ofd *o, const struct rep_OFD_LOCAL *p)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	TX_SET(ck, o->off, p->off);
	TX_SET(ck, o->flags, (o->flags & ~OFD_STATUS) | (p->flags & OFD_STATUS));
	TX_SET(ck, o->kept, o->shared);
	TX_SET(ck, o->shared, 0);
	ck_unlock(ck);
}

/* LOCAL again, if nobody else has it: true. The caller holds its lock `busy`, or is alone. */
bool ofd_back(struct task *t, struct ofd *o)
{
	struct req_OFD_LOCAL q = { .ino = o->ino, .ofd = o->shared };
	u8 runs[RUNS_MAX * sizeof(struct run)];
	struct rep_OFD_LOCAL p = { .runs = { .p = o->far ? runs : NULL,
					     .cap = sizeof(runs) } };

	if (!__atomic_load_n(&o->last, __ATOMIC_RELAXED) || o->flights)
		return false;
	__atomic_store_n(&o->last, 0, __ATOMIC_RELAXED);
	vnode_asked(t);
	if (rpc_ofd_local(&t->ctx, ofd_server(o), &q, &p))
		return false;
	if (o->kind == OFD_FILE && o->vnode)
		vnode_refresh(t, o->vnode, &p.attr, &p.runs);
	else if (o->kind == OFD_FILE)
		file_opened(t, o, &p.attr, &p.runs);
	note_back(t, o, &p);
	return true;
}

long pos_get(struct task *t, struct ofd *o, u64 *pos)
{
	struct req_LSEEK q = { .ino = o->ino, .ofd = o->shared, .whence = 1 };
	struct rep_LSEEK p;
	long r;

	if (likely(!o->shared)) {
		*pos = __atomic_load_n(&o->off, __ATOMIC_RELAXED);
		return 0;
	}
	r = rpc_lseek(&t->ctx, ofd_server(o), &q, &p);
	if (r)
		return r;
	ofd_told(o, p.last);
	*pos = (u64)p.off;
	return 0;
}

long pos_set(struct task *t, struct ofd *o, u64 pos)
{
	struct req_LSEEK q = { .ino = o->ino, .ofd = o->shared, .off = (s64)pos };
	struct rep_LSEEK p;

	if (unlikely(o->shared))
		return rpc_lseek(&t->ctx, ofd_server(o), &q, &p);
	/* One field that nothing else depends on: no transaction. */
	__atomic_store_n(&o->off, pos, __ATOMIC_RELAXED);
	return 0;
}

long ofd_pos(struct task *t, struct ofd *o, u64 *pos)
{
	bool locked;
	long r;

	(void)pos_lock_local(t, o, &locked);
	r = pos_get(t, o, pos);
	pos_unlock(o, locked);
	return r;
}

long ofd_set_pos(struct task *t, struct ofd *o, u64 pos)
{
	bool locked;
	long r;

	(void)pos_lock_local(t, o, &locked);
	r = pos_set(t, o, pos);
	pos_unlock(o, locked);
	return r;
}

void ofd_image(const struct ofd *o, struct image_fd *d)
{
	d->how = o->kind == OFD_RELAY ? IMAGE_RELAY : IMAGE_HARE;
	d->kind = o->kind;
	d->flags = o->flags;
	d->dflags = o->dflags;
	d->mode = o->mode;
	d->ino = o->ino;
	d->shared = ofd_id(o);
	d->dir_state = o->dir_state;
	d->name_hash = o->name_hash;
	d->relay_pid = o->relay_pid;
	d->relay_core = o->relay_core;
	d->relay_fd = o->relay_fd;
	d->parent = o->parent;
	d->parent_dflags = o->parent_dflags;
}

struct ofd *ofd_of_image(struct task *t, const struct image_fd *d, u64 ino)
{
	struct ofd *o =
		ofd_new(t, d->how == IMAGE_RELAY ? OFD_RELAY : d->kind, 0, d->flags);
	struct ck *ck = t->ctx.ck;

	if (!o)
		return NULL;
	ck_lock(&t->ctx, ck);
	TX_SET(ck, o->dflags, d->dflags);
	TX_SET(ck, o->mode, d->mode);
	TX_SET(ck, o->ino, ino);
	TX_SET(ck, o->shared, ino ? d->shared : 0);
	TX_SET(ck, o->last, d->alone);
	TX_SET(ck, o->far, !rpc_is_near(&t->ctx, ino_server(d->ino)));
	TX_SET(ck, o->dir_state, d->dir_state);
	TX_SET(ck, o->name_hash, d->name_hash);
	TX_SET(ck, o->relay_pid, d->relay_pid);
	TX_SET(ck, o->relay_core, d->relay_core);
	TX_SET(ck, o->relay_fd, d->relay_fd);
	TX_SET(ck, o->parent, d->parent);
	TX_SET(ck, o->parent_dflags, d->parent_dflags);
	ck_unlock(ck);
	return o;
}

/* --- locks ------------------------------------------------------------------------ */

u64 ofd_lock_owner(struct task *t, struct ofd *o)
{
	struct ck *ck = t->ctx.ck;
	struct client_root *r = client_root(ck);

	if (ofd_id(o))
		return LOCK_OWNER_SHARED | ofd_id(o);
	if (!o->lock_owner) {
		ck_lock(&t->ctx, ck);
		if (!o->lock_owner) {
			u32 mask = (1u << LOCK_OWNER_CORE_SHIFT) - 1;

			TX_ADD(ck, r->lock_owners, 1);
			TX_SET(ck, o->lock_owner,
			       t->ctx.core << LOCK_OWNER_CORE_SHIFT |
				       ((u32)r->lock_owners & mask));
		}
		ck_unlock(ck);
	}
	return LOCK_OWNER_OFD | o->lock_owner;
}

void posix_locks_release(struct task *t, u64 ino)
{
	struct req_LOCK q = { .ino = ino,
			      .kind = LOCK_POSIX,
			      .op = LOCK_RELEASE_OWNER,
			      .owner = posix_owner(t) };
	struct rep_LOCK p;

	rpc_lock(&t->ctx, ino_server(ino), &q, &p);
}
