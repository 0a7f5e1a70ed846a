/* SPDX-License-Identifier: MIT */
/*
 * Files of far servers: what this core knows about them, and reading and writing their
 * blocks directly in DRAM (thesis 3.3 and 3.3.1). Called by file.c; asks servers by
 * BLOCKS and FLUSH.
 *
 * Close-to-open: an OPEN's version that is not the one known makes the block map
 * forgotten; it is learned again as it is used, and each block's old cache lines are
 * dropped before its first use (VBLK_STALE). Close and fsync write back what was written,
 * then tell it (FLUSH).
 *
 *   step  core A (cache)                  DRAM       server         core B (cache)
 *   1     write: block 7 = "new" (dirty)  "old"      version 5      "old", version 5
 *   2     close: write back               "new"                     "old"
 *   3     FLUSH_WROTE -->                 "new"      version 6      "old"
 *   4                                                               open: OPEN says 6: map dropped
 *   5                                                               read: invalidate, "new"
 *
 * A write that makes the file longer is written back before its FLUSH, so that nobody
 * ever sees blocks that hold what another file left there. Bytes beyond the end that
 * others may expect to be zero (a write behind the end, an appending one) are the
 * server's business: such writes go there by message.
 *
 * Kill safety: data is copied outside transactions; what a killed writer copied is as if
 * the write had been partial. The blocks stand in a record of the thread (struct writing)
 * meanwhile, by which they are written back if it is killed; the range is entered as dirty
 * after the copy.
 *
 * The map is what leads to dirty blocks, so it is forgotten only while nothing is dirty;
 * a writer that finds its blocks forgotten when it has copied writes them back at once, and writes
 * again if the file has others by then (write_step).
 *
 * Taking a lock of a file is like opening it, giving it back like closing it (lock.c).
 */
#include "base/hash.h"
#include "client/file.h"

#define VNODES_KEPT   512 /* closed files whose blocks and version are remembered */
#define TX_STEP	      256 /* map entries changed in one transaction */
#define BATCH	      64 /* blocks dealt with in one step of a read or write */
#define FETCH_BLOCKS  256 /* asked for at a time */
#define AHEAD_MAX     64 /* blocks allocated ahead of a growing file */
#define REFRESH_TRIES 4
#define INFO_SIZE     (RUNS_MAX * sizeof(struct run))

/* --- the table of vnodes ---------------------------------------------------------- */

static struct list *vnode_head(struct client_root *r, u64 ino)
{
	return &r->vnodes[hash_u64(ino) % VNODE_BUCKETS];
}

static struct vnode *find(struct client_root *r, u64 ino)
{
	struct list *head = vnode_head(r, ino), *l;

	for (l = head->next; l != head; l = l->next) {
		struct vnode *v = LIST_ENTRY(l, struct vnode, hash);

		if (v->ino == ino)
			return v;
	}
	return NULL;
}

static void take(struct ck *ck, struct client_root *r, struct vnode *v)
{
	if (!v->refs) {
		tx_list_del(ck, &v->lru);
		TX_ADD(ck, r->vnodes_closed, -1);
	}
	TX_ADD(ck, v->refs, 1);
}

struct vnode *vnode_find(struct task *t, u64 ino)
{
	struct ck *ck = t->ctx.ck;
	struct client_root *r = client_root(ck);
	struct vnode *v = NULL;

	ck_lock(&t->ctx, ck);
	v = find(r, ino);
	if (v)
		take(ck, r, v);
	ck_unlock(ck);
	return v;
}

static struct vnode *make(struct ck *ck, struct client_root *r, u64 ino)
{
	struct vnode *v = ck_alloc_for(ck, CK_HELD, sizeof(*v));

	if (!v)
		return NULL;
	v->ino = ino;
	v->refs = 1;
	list_init_fresh(&v->hash);
	list_init_fresh(&v->lru);
	tx_list_add_tail(ck, vnode_head(r, ino), &v->hash);
	return v;
}

struct vnode *vnode_get(struct task *t, u64 ino)
{
	struct ck *ck = t->ctx.ck;
	struct client_root *r = client_root(ck);
	struct vnode *v;

	ck_lock(&t->ctx, ck);
	v = find(r, ino);
	if (v)
		take(ck, r, v);
	else
		v = make(ck, r, ino);
	ck_unlock(ck);
	return v;
}

struct vnode *vnode_join(struct task *t, struct ofd *o)
{
	struct ck *ck = t->ctx.ck;
	struct client_root *r = client_root(ck);
	struct vnode *v;

	if (o->vnode)
		return o->vnode;
	/* Reference and description in one transaction, as in vnode_leave. */
	ck_lock(&t->ctx, ck);
	v = o->vnode;
	if (!v) {
		v = find(r, o->ino);
		if (v)
			take(ck, r, v);
		else
			v = make(ck, r, o->ino);
		if (v)
			TX_SET(ck, o->vnode, v);
	}
	ck_unlock(ck);
	return v;
}

/* Entries of the map are forgotten: what was asked for before is not to be entered. Lock held. */
static void forgot(struct ck *ck, struct vnode *v)
{
	struct client_root *r = client_root(ck);

	TX_ADD(ck, v->epoch, 1);
	TX_ADD(ck, r->forgets, 1);
	TX_SET(ck, v->forgot, r->forgets);
}

/* Takes map entries [from, to) out, a step; true when nothing is left of them. Lock
 * held. */
static bool forget_step(struct ck *ck, struct vnode *v, u64 from, u64 to)
{
	u64 index, value;

	forgot(ck, v);
	for (u32 i = 0; i < TX_STEP; i++) {
		if (!radix_next(&v->map, from, &index, &value) || index >= to)
			return true;
		if (tx_radix_set(ck, &v->map, index, 0) < 0)
			return true; /* freeing needs no memory */
	}
	return false;
}

/* The map leads to what is to be written back: that first. Returns with the lock held, in the
 * transaction of the last of so many steps: nothing is dirty, nothing of them is known. */
static u32 forget_lock(struct task *t, struct vnode *v, u64 from, u64 to)
{
	struct ck *ck = t->ctx.ck;
	u32 steps = 0;

	for (;;) {
		vnode_sync(t, v);
		ck_lock(&t->ctx, ck);
		if (!v->dirty_to) {
			steps++;
			if (forget_step(ck, v, from, to))
				return steps;
		}
		ck_unlock(ck);
	}
}

void vnode_written(struct task *t, struct vnode *v, u64 off, u64 size)
{
	struct ck *ck = t->ctx.ck;

	/* Beyond what was the end nothing that is known holds any more. */
	forget_lock(t, v, MIN(off, v->size) / PAGE_SIZE, ~0ULL);
	TX_SET(ck, v->size, size);
	TX_SET(ck, v->flags, v->flags | VNODE_WROTE | VNODE_ATIME);
	ck_unlock(ck);
}

void vnode_changed(struct task *t, struct vnode *v, const struct attr *a)
{
	struct ck *ck = t->ctx.ck;

	forget_lock(t, v, 0, ~0ULL);
	TX_SET(ck, v->size, a->size);
	TX_SET(ck, v->version, a->version);
	ck_unlock(ck);
}

void vnode_filled(struct task *t, u64 ino, u64 from, u64 to)
{
	struct ck *ck = t->ctx.ck;
	struct vnode *v = vnode_find(t, ino);
	u64 index, value;

	if (!v)
		return;
	ck_lock(&t->ctx, ck);
	forgot(ck, v);
	for (u32 n = 1; radix_next(&v->map, from, &index, &value) && index < to;
	     from = index + 1) {
		if (!(value & VBLK_HOLE))
			continue;
		(void)tx_radix_set(ck, &v->map, index, 0);
		if (n++ % TX_STEP == 0)
			ck_commit(ck);
	}
	ck_unlock(ck);
	vnode_put(t, v);
}

/* The oldest closed vnode goes, when there are too many; its map in steps. */
static void trim(struct task *t)
{
	struct ck *ck = t->ctx.ck;
	struct client_root *r = client_root(ck);
	bool more = true;

	while (more && r->vnodes_closed > VNODES_KEPT) {
		struct vnode *v;

		ck_lock(&t->ctx, ck);
		v = LIST_ENTRY(r->vnode_lru.next, struct vnode, lru);
		more = r->vnodes_closed > VNODES_KEPT && !busy_is_held(&v->busy);
		if (more && forget_step(ck, v, 0, ~0ULL)) {
			tx_list_del(ck, &v->lru);
			tx_list_del(ck, &v->hash);
			TX_ADD(ck, r->vnodes_closed, -1);
			ck_free(ck, v);
		}
		ck_unlock(ck);
	}
}

static void put_locked(struct ck *ck, struct vnode *v)
{
	struct client_root *r = client_root(ck);

	TX_ADD(ck, v->refs, -1);
	if (v->refs)
		return;
	tx_list_add_tail(ck, &r->vnode_lru, &v->lru);
	TX_ADD(ck, r->vnodes_closed, 1);
}

void vnode_put(struct task *t, struct vnode *v)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	put_locked(ck, v);
	ck_unlock(ck);
	trim(t);
}

/* A description's reference: gone from both in one transaction, so that it is not given back
 * twice when who closes the description is killed. */
void vnode_leave(struct task *t, struct ofd *o)
{
	struct ck *ck = t->ctx.ck;

	ck_lock(&t->ctx, ck);
	put_locked(ck, o->vnode);
	TX_SET(ck, o->vnode, NULL);
	ck_unlock(ck);
	trim(t);
}

static char *block_of(struct task *t, u64 value)
{
	return mem_block(t->ctx.isl, VBLK(value));
}

/* --- what the server says --------------------------------------------------------- */

/* Enters runs; blocks that are known as they are stay as they are. Up to `max` blocks.
 * Nothing when something was forgotten since `epoch`, before which they were asked for:
 * they may be from before what was the reason. False: the core kernel is full. */
static bool learn(struct task *t, struct vnode *v, const struct run *run, u32 runs,
		  u64 max, u32 epoch)
{
	struct ck *ck = t->ctx.ck;
	bool ok = true;
	u32 n = 0;

	ck_lock(&t->ctx, ck);
	for (u32 i = 0; ok && i < runs && v->epoch == epoch; i++, run++) {
		for (u32 k = 0; ok && k < run->count && max; k++, max--) {
			u64 value = run->blk ? (run->blk + k) | VBLK_STALE : VBLK_HOLE;
			u64 old = radix_get(&v->map, run->index + k);

			/* A hole may have been filled by another process of this core since
			 * it was told of; who takes blocks away has them forgotten. */
			if (old && !(old & VBLK_HOLE) &&
			    (value == VBLK_HOLE || VBLK(old) == VBLK(value)))
				continue;
			/* Another one is there now: what was written to the block that was
			 * there goes while the map still leads to it, and the file, open
			 * here, keeps it from being another's. */
			if (VBLK(old) && !(old & VBLK_HOLE))
				mem_writeback(t->ctx.isl, block_of(t, old), PAGE_SIZE);
			ok = tx_radix_set(ck, &v->map, run->index + k, value) == 0;
			if (++n % TX_STEP == 0)
				ck_commit(ck);
		}
	}
	ck_unlock(ck);
	return ok;
}

/* As relatime has it: a read is noted when something was changed since the last one, or when that was
 * a day ago. */
static bool wants_atime(const struct task *t, const struct attr *a)
{
	s64 atime = (s64)a->atime; /* times before 1970 are negative */

	return atime <= (s64)a->mtime || atime <= (s64)a->ctime ||
	       atime <= (s64)t->ctx.ck->day_ago;
}

static void flags_add(struct task *t, struct vnode *v, u32 flags)
{
	ck_lock(&t->ctx, t->ctx.ck);
	TX_SET(t->ctx.ck, v->flags, v->flags | flags);
	ck_unlock(t->ctx.ck);
}

/* Of a vnode, what others change. */
struct seen {
	u64 version, size;
	u32 epoch, flags;
};

/* Without the lock: what is changed meanwhile is found to be so later. */
static struct seen seen_of(const struct vnode *v)
{
	struct seen s = {
		.version = __atomic_load_n(&v->version, __ATOMIC_ACQUIRE),
		.size = __atomic_load_n(&v->size, __ATOMIC_ACQUIRE),
		.epoch = __atomic_load_n(&v->epoch, __ATOMIC_ACQUIRE),
		.flags = __atomic_load_n(&v->flags, __ATOMIC_ACQUIRE),
	};

	return s;
}

static bool is_current(const struct seen *s, const struct attr *a)
{
	return s->version == a->version && !(s->flags & VNODE_WROTE);
}

/* As it was, but for `steps` in which who asks has forgotten entries. */
static bool is_seen(const struct vnode *v, const struct seen *s, u32 steps)
{
	return v->version == s->version && v->size == s->size &&
	       v->epoch == s->epoch + steps && !((v->flags ^ s->flags) & VNODE_WROTE);
}

void vnode_asked(struct task *t)
{
	t->asked = __atomic_load_n(&client_root(t->ctx.ck)->forgets, __ATOMIC_ACQUIRE);
}

static bool ask_again(struct task *t, const struct vnode *v, struct attr *a)
{
	struct req_FSTAT q = { .ino = v->ino };
	struct rep_FSTAT p;

	if (rpc_fstat(&t->ctx, ino_server(v->ino), &q, &p))
		return false;
	*a = p.attr;
	return true;
}

/* What the server says of a file may be older than what this core knows by the time that it is
 * entered:
 *
 *   step  P1: open             P2, same core: ftruncate(100)     server           vnode
 *   1     OPEN: 6, block 7                                       6, block 7       5
 *   2     forgets the map                                                         5
 *   3                          TRUNC; 7, 100 bytes               7, 7 in limbo    7
 *   4     it is not as it was at 1: FSTAT: 7; nothing to enter                    7
 *
 * Without step 4: 6, and the map leads to block 7, which is nobody's. */
void vnode_refresh(struct task *t, struct vnode *v, const struct attr *a,
		   const struct rpc_bytes *runs)
{
	bool knows = runs && runs->p;
	struct ck *ck = t->ctx.ck;
	struct attr now = *a;
	u32 epoch, tries = 0;

	for (;;) {
		struct seen s = seen_of(v);
		bool again;

		/* Who asked for runs has called vnode_asked before. */
		knows = knows && v->forgot <= t->asked;
		if (is_current(&s, &now) || now.version < s.version) {
			if (wants_atime(t, &now) &&
			    !(s.flags & (VNODE_ATIME | VNODE_READ)))
				flags_add(t, v, VNODE_ATIME);
			return;
		}
		/* This core may have made it longer after the server answered. */
		again = !tries && s.flags & VNODE_WROTE && now.size < s.size;
		if (!again) {
			race_point("forgets", RACE_AT);
			if (is_seen(v, &s, forget_lock(t, v, 0, ~0ULL)))
				break;
			ck_unlock(ck);
		}
		knows = false;
		if (tries++ > REFRESH_TRIES || !ask_again(t, v, &now)) {
			/* What the others of this core know is newer; whoever opens the file
			 * next asks again. */
			flags_add(t, v, VNODE_WROTE);
			return;
		}
	}
	TX_SET(ck, v->version, now.version);
	TX_SET(ck, v->size, now.size);
	TX_SET(ck, v->flags, wants_atime(t, &now) ? VNODE_ATIME : 0);
	epoch = v->epoch;
	ck_unlock(ck);
	if (knows)
		(void)learn(t, v, runs->p, runs->len / (u32)sizeof(struct run),
			    FETCH_BLOCKS, epoch);
}

/* Asks for blocks [first, first + count); with BLOCKS_ALLOC they are there afterwards.
 * -ENOMEM: this core's kernel has no room to remember them. */
static long fetch(struct task *t, struct vnode *v, u64 first, u32 count, u32 flags)
{
	u8 runs[INFO_SIZE];
	struct req_BLOCKS q = {
		.ino = v->ino, .first = first, .count = count, .flags = flags
	};
	struct rep_BLOCKS p = { .runs = { .p = runs, .cap = sizeof(runs) } };
	u32 epoch = __atomic_load_n(&v->epoch, __ATOMIC_ACQUIRE);
	long r = room_blocks(t, ino_server(v->ino), &q, &p);

	if (r < 0)
		return r;
	if (!p.runs.len)
		return -EIO;
	return learn(t, v, p.runs.p, p.runs.len / (u32)sizeof(struct run), count, epoch)
		       ? 0
		       : -ENOMEM;
}

/* --- telling the server ----------------------------------------------------------- */

static struct req_FLUSH flush_of(const struct task *t, const struct vnode *v)
{
	return (struct req_FLUSH){ .ino = v->ino,
				   .uid = t->proc ? t->proc->cred.uid : 0 };
}

/* In the transaction that is open. False: there is no room for it, or others' records could come
 * before it; the transaction has to be aborted. */
static bool flush_post(struct rpc_env *e, const struct req_FLUSH *q)
{
	u32 srv = ino_server(q->ino);

	e->replies = false;
	if (rpc_post_flush(e, srv, q) < 0 || msg_is_behind(e->ck, srv))
		return false;
	e->ck->counter[COUNT_SENT(RPC_FLUSH)]++;
	return true;
}

static void flush_send(struct task *t, const struct req_FLUSH *q)
{
	struct rep_FLUSH p;

	rpc_flush(&t->ctx, ino_server(q->ino), q, &p);
}

/* Values of up to BATCH map entries from index on; the epoch that they are from. */
static u32 look(struct task *t, struct vnode *v, u64 index, u32 count, u64 *value)
{
	struct ck *ck = t->ctx.ck;
	u32 epoch;

	ck_lock(&t->ctx, ck);
	for (u32 i = 0; i < count; i++)
		value[i] = radix_get(&v->map, index + i);
	epoch = v->epoch;
	ck_unlock(ck);
	return epoch;
}

/* Bytes [from, to), whose first block is *value. */
static void writeback_blocks(struct task *t, u64 from, u64 to, const u64 *value)
{
	const struct island *isl = t->ctx.isl;

	for (; from < to; value++) {
		u64 in = from % PAGE_SIZE, n = MIN(to - from, PAGE_SIZE - in);

		if (VBLK(*value) && !(*value & VBLK_HOLE))
			mem_writeback(isl, mem_block(isl, VBLK(*value)) + in, n);
		from += n;
	}
}

static void writeback(struct task *t, struct vnode *v, u64 from, u64 to)
{
	u64 value[BATCH];

	while (from < to) {
		u64 index = from / PAGE_SIZE, end = MIN(to, (index + BATCH) * PAGE_SIZE);

		look(t, v, index, (u32)((end - 1) / PAGE_SIZE - index + 1), value);
		writeback_blocks(t, from, end, value);
		from = end;
	}
}

/* What vnode_sync found, and what it is to tell. */
struct sync {
	u64 from, to; /* bytes that were written; to 0: none */
	u64 time;
	u32 writes;
};

/* Takes out of the books what was written back since they were looked at, unless it was written to
 * again; *q: what is to be told of it. Lock held. */
static void sync_done(struct ck *ck, struct vnode *v, const struct sync *s,
		      struct req_FLUSH *q)
{
	/* Who is just making the file longer tells that itself. */
	q->flags = s->to ? FLUSH_WROTE | FLUSH_INSIDE : 0;
	q->end = MIN(s->to, v->size);
	q->off = MIN(s->from, q->end);
	q->time = s->time;
	q->atime = v->flags & VNODE_READ ? v->atime : 0;
	if (v->writes == s->writes) {
		TX_SET(ck, v->dirty_from, 0);
		TX_SET(ck, v->dirty_to, 0);
	}
	TX_SET(ck, v->flags, v->flags & ~VNODE_READ);
}

/* What is out of the books is told in the same transaction: who is killed leaves both or none, and
 * who finds nothing dirty here, and tells another core of the file, knows that the server is told. */
void vnode_sync(struct task *t, struct vnode *v)
{
	struct ck *ck = t->ctx.ck;
	struct req_FLUSH q = flush_of(t, v);
	struct sync s;
	struct rpc_env e;

	if (!v->dirty_to && !(v->flags & VNODE_READ))
		return;
	ck_lock(&t->ctx, ck);
	s.writes = v->writes;
	s.from = v->dirty_from;
	s.to = v->dirty_to;
	s.time = v->mtime;
	ck_unlock(ck);
	/* Written back before it leaves the books: who is killed in between does it
	 * twice. */
	writeback(t, v, s.from, s.to);
	ck_lock(&t->ctx, ck);
	own_begin(t, &e);
	sync_done(ck, v, &s, &q);
	if (unlikely(!flush_post(&e, &q))) {
		ck_abort(ck);
		own_end(&e);
		flush_send(t, &q);
		ck_lock(&t->ctx, ck);
		sync_done(ck, v, &s, &q);
	}
	own_end(&e);
	race_point("synced", RACE_AT);
}

void vnode_sync_ino(struct task *t, u64 ino)
{
	struct vnode *v;

	if (rpc_is_near(&t->ctx, ino_server(ino)))
		return;
	v = vnode_find(t, ino);
	if (!v)
		return;
	vnode_sync(t, v);
	vnode_put(t, v);
}

/* --- blocks ready for use --------------------------------------------------------- */

/* Blocks that were made fit for use: their entries say so, unless some were forgotten
 * since they were looked at (and may have been learned again, with other lines in DRAM).
 * False: the map leads elsewhere now. Lock held. */
static bool settle(struct ck *ck, struct vnode *v, u64 index, u32 count, const u64 *was,
		   u32 epoch)
{
	bool same = true;

	for (u32 i = 0; i < count; i++) {
		u64 now = radix_get(&v->map, index + i);

		if (now == was[i] && now & VBLK_STALE && v->epoch == epoch)
			(void)tx_radix_set(ck, &v->map, index + i, now & ~VBLK_STALE);
		else
			same &= VBLK(now) == VBLK(was[i]);
	}
	return same;
}

/* Drops old cache lines of blocks that need it. */
static void freshen(struct task *t, struct vnode *v, u64 index, u32 count,
		    const u64 *value, u32 epoch)
{
	struct ck *ck = t->ctx.ck;
	bool any = false;

	for (u32 i = 0; i < count; i++) {
		if (!(value[i] & VBLK_STALE))
			continue;
		mem_invalidate(t->ctx.isl, block_of(t, value[i]), PAGE_SIZE);
		any = true;
	}
	if (!any)
		return;
	ck_lock(&t->ctx, ck);
	(void)settle(ck, v, index, count, value, epoch);
	ck_unlock(ck);
}

/* --- reading ---------------------------------------------------------------------- */

/* How many of the entries are known, from the first on. */
static u32 known(const u64 *value, u32 count)
{
	u32 i = 0;

	while (i < count && value[i])
		i++;
	return i;
}

static long read_blocks(struct task *t, struct uio *u, u64 off, size_t len,
			const u64 *value)
{
	while (len) {
		size_t in = off % PAGE_SIZE, n = MIN(len, PAGE_SIZE - in);
		long r = *value & VBLK_HOLE ? uio_zero(u, n)
					    : uio_put(u, block_of(t, *value) + in, n);

		if (r)
			return r;
		off += n;
		len -= n;
		value++;
	}
	return 0;
}

/* At the end as this core knows it: asks whether it still is. */
static u64 size_now(struct task *t, struct vnode *v, u64 off)
{
	struct req_FSTAT q = { .ino = v->ino };
	struct rep_FSTAT p;

	if (off < v->size)
		return v->size;
	if (!rpc_fstat(&t->ctx, ino_server(v->ino), &q, &p))
		vnode_refresh(t, v, &p.attr, NULL);
	return v->size;
}

void vnode_accessed(struct task *t, struct vnode *v)
{
	struct ck *ck = t->ctx.ck;

	if (!(v->flags & VNODE_ATIME))
		return;
	ck_lock(&t->ctx, ck);
	TX_SET(ck, v->flags, (v->flags & ~VNODE_ATIME) | VNODE_READ);
	TX_SET(ck, v->atime, host_realtime_ns());
	ck_unlock(ck);
}

long vnode_read(struct task *t, struct vnode *v, struct uio *u, u64 *off)
{
	size_t want = u->total;
	u64 value[BATCH];
	long r = 0;

	while (u->total) {
		u64 size = size_now(t, v, *off), index = *off / PAGE_SIZE, len;
		size_t before = u->total;
		u32 count, epoch;

		if (*off >= size)
			break;
		len = MIN(u->total, size - *off);
		count = (u32)MIN((*off + len - 1) / PAGE_SIZE - index + 1, (u64)BATCH);
		epoch = look(t, v, index, count, value);
		count = known(value, count);
		if (!count) {
			r = fetch(t, v, index, FETCH_BLOCKS, 0);
			if (r < 0)
				break;
			continue;
		}
		freshen(t, v, index, count, value, epoch);
		race_point("copy out", RACE_AT);
		len = MIN(len, (index + count) * PAGE_SIZE - *off);
		r = read_blocks(t, u, *off, len, value);
		*off += before - u->total;
		if (r)
			break;
	}
	if (want != u->total || !r)
		vnode_accessed(t, v);
	return want != u->total ? (long)(want - u->total) : r;
}

/* --- writing ---------------------------------------------------------------------- */

/* How many of the entries have a block, from the first on. */
static u32 allocated(const u64 *value, u32 count)
{
	u32 i = 0;

	while (i < count && value[i] && !(value[i] & VBLK_HOLE))
		i++;
	return i;
}

/* The blocks of [off, off + len), allocated; how many. It can be fewer than wanted: a
 * server that is short of blocks gives what it has. 0: what it gave is already another's
 * again (the file was truncated); to be asked for anew. */
static long blocks_for_write(struct task *t, struct vnode *v, u64 off, u64 len,
			     u64 *value, u32 *epoch)
{
	u64 index = off / PAGE_SIZE, blocks = v->size / PAGE_SIZE;
	u32 count = (u32)((off + len - 1) / PAGE_SIZE - index + 1), ahead = count;
	long r;

	*epoch = look(t, v, index, count, value);
	if (likely(allocated(value, count) == count))
		return count;
	if (off + len > v->size)
		ahead = MAX(count, (u32)MIN(blocks, (u64)AHEAD_MAX));
	r = fetch(t, v, index, ahead, BLOCKS_ALLOC);
	if (r < 0)
		return r;
	*epoch = look(t, v, index, count, value);
	return allocated(value, count);
}

/* Makes a block fit for a write of n bytes of it: lines that hold other bytes too have to
 * be up to date. */
static void prepare_block(struct task *t, u64 value, u32 n)
{
	char *p = block_of(t, value);

	if (!(value & VBLK_STALE))
		return;
	if (n == PAGE_SIZE)
		mem_overwrite(t->ctx.isl, p, PAGE_SIZE);
	else
		mem_invalidate(t->ctx.isl, p, PAGE_SIZE);
}

static long copy_in(struct task *t, struct uio *u, u64 off, u64 len, const u64 *value)
{
	while (len) {
		u32 in = (u32)(off % PAGE_SIZE), n = (u32)MIN(len, PAGE_SIZE - in);
		long r;

		prepare_block(t, *value, n);
		r = uio_get(u, block_of(t, *value) + in, n);
		if (r) {
			/* Its other lines may be old ones. */
			if (*value & VBLK_STALE)
				mem_invalidate(t->ctx.isl, block_of(t, *value),
					       PAGE_SIZE);
			return r;
		}
		off += n;
		len -= n;
		value++;
	}
	return 0;
}

static void dirty_range(struct ck *ck, struct vnode *v, u64 off, u64 end)
{
	if (!v->dirty_to || off < v->dirty_from)
		TX_SET(ck, v->dirty_from, off);
	if (end > v->dirty_to)
		TX_SET(ck, v->dirty_to, end);
}

/* Bytes that are written, or may be, at `now`. Lock held. */
static void note_dirty(struct ck *ck, struct vnode *v, u64 off, u64 end, u64 now)
{
	dirty_range(ck, v, off, end);
	TX_ADD(ck, v->writes, 1);
	TX_SET(ck, v->mtime, now);
	TX_SET(ck, v->flags, v->flags | VNODE_WROTE | VNODE_ATIME);
}

/* What a killed thread left: it is to be told of as if it had been written, whatever came of it. */
static void writing_recover(struct task *t, struct writing *w)
{
	struct ck *ck = t->ctx.ck;
	struct writing was;

	ck_lock(&t->ctx, ck);
	was = *w;
	ck_unlock(ck);
	if (!was.tid || !ck_thread_dead(was.tid))
		return;
	/* By the blocks: the map may lead elsewhere. */
	for (u32 i = 0; i < was.count; i++)
		mem_writeback(t->ctx.isl, mem_block(t->ctx.isl, was.blk[i]), PAGE_SIZE);
	ck_lock(&t->ctx, ck);
	if (w->tid == was.tid) {
		note_dirty(ck, was.v, was.off, was.end, host_realtime_ns());
		TX_SET(ck, w->tid, 0);
	}
	ck_unlock(ck);
}

void vnode_recover(struct task *t)
{
	struct client_root *r = client_root(t->ctx.ck);

	for (u32 i = 0; i < __atomic_load_n(&r->writers, __ATOMIC_ACQUIRE); i++) {
		struct writing *w = r->writing[i];

		if (w && __atomic_load_n(&w->tid, __ATOMIC_ACQUIRE))
			writing_recover(t, w);
	}
}

/* The calling thread's record; NULL: full. */
static struct writing *writing_mine(struct task *t)
{
	struct ck *ck = t->ctx.ck;
	struct client_root *r = client_root(ck);
	struct writing **all = __atomic_load_n(&r->writing, __ATOMIC_ACQUIRE), *w = NULL;
	u32 slot = t->ctx.slot;

	if (likely(all && all[slot]))
		return all[slot];
	ck_lock(&t->ctx, ck);
	if (!r->writing) {
		all = ck_alloc_for(ck, CK_HELD, MSG_SLOTS * sizeof(*all));
		if (all)
			TX_SET(ck, r->writing, all);
	}
	if (r->writing)
		w = ck_alloc_for(ck, CK_HELD, sizeof(*w));
	if (w) {
		TX_SET(ck, r->writing[slot], w);
		TX_SET(ck, r->writers, MAX(r->writers, slot + 1));
	}
	ck_unlock(ck);
	return w;
}

/* Before bytes [off, end) are copied: whoever is killed in the middle leaves dirty lines, which would go
 * to DRAM when the cache likes, perhaps over what another file has there by then. They are not entered as
 * written yet: whoever wrote that back meanwhile would take it out again. -ENOMEM. */
static long write_begin(struct task *t, struct vnode *v, u64 off, u64 end,
			const u64 *value, struct writing **writing)
{
	u32 count = (u32)((end - 1) / PAGE_SIZE - off / PAGE_SIZE + 1);
	struct writing *w;

	*writing = NULL;
	if (t->ctx.isl->model == MEM_COHERENT)
		return 0;
	w = writing_mine(t);
	if (unlikely(!w))
		return -ENOMEM;
	if (unlikely(w->tid)) /* the slot was a killed thread's, that is not reaped yet */
		writing_recover(t, w);
	w->v = v;
	w->off = off;
	w->end = end;
	w->count = count;
	for (u32 i = 0; i < count; i++)
		w->blk[i] = VBLK(value[i]);
	__atomic_store_n(&w->tid, t->ctx.tid, __ATOMIC_RELEASE);
	compiler_barrier();
	*writing = w;
	return 0;
}

/* Everything is in the books, or in DRAM. */
static void write_end(struct writing *w)
{
	if (w)
		__atomic_store_n(&w->tid, 0, __ATOMIC_RELEASE);
}

/* Bytes [off, end), which are in DRAM, are beyond the end as this core knows it: told with the
 * file's new size. Lock held, released; all that is changed is what this transaction has. */
static void grow_unlock(struct task *t, struct vnode *v, u64 off, u64 end, u64 now)
{
	struct ck *ck = t->ctx.ck;
	struct req_FLUSH q = flush_of(t, v);
	struct rpc_env e;
	bool told;

	q.flags = FLUSH_WROTE;
	q.off = off;
	q.end = end;
	q.time = now;
	own_begin(t, &e);
	told = flush_post(&e, &q);
	if (unlikely(!told)) {
		ck_abort(ck);
		own_end(&e);
		flush_send(t, &q);
		ck_lock(&t->ctx, ck);
	}
	if (end > v->size)
		TX_SET(ck, v->size, end);
	TX_SET(ck, v->flags, v->flags | VNODE_WROTE | VNODE_ATIME);
	/* What is dirty beside it is told again at close. */
	TX_SET(ck, v->mtime, now);
	own_end(&e);
}

/* They were. Inside the file they are written back and told at close; when it is longer now, at once.
 * False, and nothing is noted: the map leads elsewhere, or the file was cut and so would be made longer
 * without the lock for that. */
static bool note_after(struct task *t, struct vnode *v, u64 off, u64 end, bool locked,
		       const u64 *value, u32 epoch)
{
	struct ck *ck = t->ctx.ck;
	u64 index = off / PAGE_SIZE, now = host_realtime_ns();
	u32 count = (u32)((end - 1) / PAGE_SIZE - index + 1);
	bool longer = end > v->size;

	if (unlikely(longer && !locked))
		return false;
	if (longer) /* before anybody can see it */
		writeback_blocks(t, off, end, value);
	ck_lock(&t->ctx, ck);
	if (unlikely(!settle(ck, v, index, count, value, epoch) ||
		     (!longer && end > v->size))) {
		ck_unlock(ck);
		return false;
	}
	if (longer) {
		grow_unlock(t, v, off, end, now);
		return true;
	}
	note_dirty(ck, v, off, end, now);
	ck_unlock(ck);
	return true;
}

/* The map was forgotten under a writer's hands. Whether the file has the same blocks all the same, as
 * the map, learned anew, says. */
static bool same_blocks(struct task *t, struct vnode *v, u64 off, u64 end,
			const u64 *value)
{
	u64 index = off / PAGE_SIZE, now[BATCH];
	u32 count = (u32)((end - 1) / PAGE_SIZE - index + 1), same = 0;

	if (fetch(t, v, index, count, 0) < 0)
		return false;
	look(t, v, index, count, now);
	while (same < count && VBLK(now[same]) == VBLK(value[same]))
		same++;
	return same == count;
}

/* They were copied. False: to be done again. */
static bool written(struct task *t, struct vnode *v, u64 off, u64 end, bool locked,
		    const u64 *value, u32 epoch)
{
	if (likely(note_after(t, v, off, end, locked, value, epoch)))
		return true;
	/* Of blocks that the file has no more, too, nothing may stay in the cache: they will be
	 * another's, once this one is closed. */
	writeback_blocks(t, off, end, value);
	return same_blocks(t, v, off, end, value) &&
	       note_after(t, v, off, end, locked, value, epoch);
}

/* A fault after byte `at`: what was copied behind it, in its block, is not counted, and may
 * not stay when it lies behind the end. Nor may it stay in the cache, where nobody would look for it. */
static void fault_beyond(struct task *t, const struct vnode *v, u64 start, u64 at,
			 const u64 *value)
{
	u64 in = at % PAGE_SIZE, size = v->size;
	u64 keep = size > at ? MIN(size - at, PAGE_SIZE - in) : 0;
	char *p = block_of(t, value[at / PAGE_SIZE - start / PAGE_SIZE]);

	memset(p + in + keep, 0, PAGE_SIZE - in - keep);
	mem_writeback(t->ctx.isl, p, PAGE_SIZE);
}

/* One step: at most BATCH blocks, *off <= size. It can be for nothing (0, *off stays):
 *
 *   step  P1: write(4096, 1904 bytes)      P2, same core: ftruncate(100)   map, size
 *   1     the map leads to block 7; copies                                 7, 8192
 *   2                                      block 7 is nobody's             forgotten, 100
 *   3     note_after: the map led to 7
 *   4     bytes taken back; again, as a                                    100
 *         write behind the end
 *
 * Told nevertheless, the file would be 6000 bytes long, and all of them zero from 100 on. A writer
 * that makes the file longer has v->busy, which who cuts it wants. */
static long write_step(struct task *t, struct vnode *v, struct uio *u, u64 *off,
		       bool locked)
{
	u64 start = *off, in = start % PAGE_SIZE, value[BATCH];
	u64 len = MIN((u64)u->total, BATCH * PAGE_SIZE - in);
	struct uio_pos back = uio_pos(u);
	struct writing *w;
	u32 epoch;
	long r = blocks_for_write(t, v, start, len, value, &epoch);

	if (r <= 0)
		return r;
	len = MIN(len, (u64)r * PAGE_SIZE - in);
	r = write_begin(t, v, start, start + len, value, &w);
	if (unlikely(r))
		return r;
	race_point("copy in", RACE_AT);
	r = copy_in(t, u, start, len, value);
	race_point("copied in", RACE_AT);
	if (r) {
		len = back.total - u->total;
		fault_beyond(t, v, start, start + len, value);
	}
	if (len && likely(written(t, v, start, start + len, locked, value, epoch))) {
		*off = start + len;
	} else if (len) {
		uio_back_to(u, &back);
		r = 0;
	}
	write_end(w);
	return r;
}

/* Writes that make the file longer are one at a time on this core. */
long vnode_write(struct task *t, struct vnode *v, struct uio *u, u64 *off)
{
	u64 start = *off;
	long r = 0;

	while (u->total && !r && *off <= v->size) {
		bool locked = *off + u->total > v->size;

		if (locked)
			busy_lock(t, &v->busy);
		while (u->total && !r && *off <= v->size &&
		       (locked || *off + u->total <= v->size))
			r = write_step(t, v, u, off, locked);
		if (locked)
			busy_unlock(&v->busy);
	}
	return *off != start ? (long)(*off - start) : r;
}
