/* SPDX-License-Identifier: MIT */
/*
 * The directory cache of a core (thesis, sections 3.7.1 and 3.7.2): lookups at far servers, in
 * core-kernel memory, shared by all processes of the core. Near servers are asked each time:
 * a local call costs as much as a hit.
 *
 * Why a hit is never stale: the server records who asked. When a name changes it sends
 * INVALIDATE before the change is visible to anybody, and a sent message is delivered (msg.h).
 * So who drains first and then looks into the cache sees every change that was complete before.
 * A reply on its way while its invalidation arrives is the one race:
 *
 *   step  this core                             server             cache
 *   1     inval_count = 7, sends RESOLVE        -                  -
 *   2     -                                     replies ino 5      -
 *   3     -                                     unlink: INVALIDATE -
 *   4     drains: reply into the slot, then     -                  inval_count = 8
 *         the invalidation (nothing to forget)
 *   5     would insert ino 5: 7 != 8, does not  -                  -
 *
 * The count is of all invalidations; which ones came in between is looked up in a ring of the
 * last ones, so that a busy neighbour does not keep a core from caching.
 *
 * Negative answers are cached as well (ino 0). Search permission is checked against the cached
 * mode and owner of the directory; its entries live and die with them (epoch, see state.h), so
 * INVAL_DIR and INVAL_ALL cost one store however much they forget. Dead entries leave by the lru
 * lists (second chance: `used` is set by hits without a lock's order mattering).
 */
#include "base/hash.h"
#include "client/path.h"

#define CACHE_MAX	16384 /* lookups per core; about 110 bytes each */
#define PERMS_MAX	4096 /* directories per core */
#define EVICT_SCAN_MAX	8 /* second chances given per insertion */
#define EVICT_WHEN_FULL 16

/* --- boot ---------------------------------------------------------------------------------- */

static struct list *heads_new(struct ck *ck, u32 count)
{
	struct list *l = ck_alloc(ck, count * sizeof(*l));
	u32 i;

	for (i = 0; l && i < count; i++)
		list_init_fresh(&l[i]);
	return l;
}

long client_core_init(struct ck *ck)
{
	struct client_root *r = ck_alloc(ck, sizeof(*r));

	if (!r)
		return -ENOSPC;
	r->dentries = heads_new(ck, CACHE_BUCKETS);
	r->perms = heads_new(ck, CACHE_BUCKETS);
	r->vnodes = heads_new(ck, VNODE_BUCKETS);
	r->holds = ck_alloc(ck, MSG_SLOTS * sizeof(*r->holds));
	if (!r->dentries || !r->perms || !r->vnodes || !r->holds || sites_init(ck, r))
		return -ENOSPC;
	list_init_fresh(&r->lru);
	list_init_fresh(&r->perm_lru);
	list_init_fresh(&r->closing);
	list_init_fresh(&r->vnode_lru);
	list_init_fresh(&r->flights);
	r->cache_max = CACHE_MAX;
	TX_SET(ck, ck->root[CK_ROOT_CLIENT], (void *)r);
	return 0;
}

/* --- tables; the core's lock is held ------------------------------------------------------- */

static struct list *dentry_head(struct client_root *r, u64 dir, const char *name,
				size_t len)
{
	return &r->dentries[hash_name(dir, name, len) % CACHE_BUCKETS];
}

static struct dentry *dentry_find(struct client_root *r, u64 dir, const char *name,
				  size_t len)
{
	struct list *head = dentry_head(r, dir, name, len);
	struct list *l;

	for (l = head->next; l != head; l = l->next) {
		struct dentry *d = LIST_ENTRY(l, struct dentry, hash);

		if (d->dir == dir && d->len == len && !memcmp(d->name, name, len))
			return d;
	}
	return NULL;
}

static struct dir_perm *perm_find(struct client_root *r, u64 dir)
{
	struct list *head = &r->perms[hash_u64(dir) % CACHE_BUCKETS];
	struct list *l;

	for (l = head->next; l != head; l = l->next) {
		struct dir_perm *p = LIST_ENTRY(l, struct dir_perm, hash);

		if (p->dir == dir && p->all == r->all_epoch)
			return p;
	}
	return NULL;
}

static void dentry_drop(struct ck *ck, struct client_root *r, struct dentry *d)
{
	tx_list_del(ck, &d->hash);
	tx_list_del(ck, &d->lru);
	TX_ADD(ck, r->cached, -1);
	ck_free(ck, d);
}

static void perm_drop(struct ck *ck, struct client_root *r, struct dir_perm *p)
{
	tx_list_del(ck, &p->hash);
	tx_list_del(ck, &p->lru);
	TX_ADD(ck, r->perms_cached, -1);
	ck_free(ck, p);
}

/* Drops the entry that was not used for longest, more or less. */
static void dentry_evict(struct ck *ck, struct client_root *r)
{
	struct dentry *d = LIST_ENTRY(r->lru.next, struct dentry, lru);
	int i;

	for (i = 0; i < EVICT_SCAN_MAX && d->used; i++) {
		d->used = 0;
		tx_list_del(ck, &d->lru);
		tx_list_add_tail(ck, &r->lru, &d->lru);
		d = LIST_ENTRY(r->lru.next, struct dentry, lru);
	}
	dentry_drop(ck, r, d);
}

static void perm_evict(struct ck *ck, struct client_root *r)
{
	struct dir_perm *p = LIST_ENTRY(r->perm_lru.next, struct dir_perm, lru);
	int i;

	for (i = 0; i < EVICT_SCAN_MAX && p->used; i++) {
		p->used = 0;
		tx_list_del(ck, &p->lru);
		tx_list_add_tail(ck, &r->perm_lru, &p->lru);
		p = LIST_ENTRY(r->perm_lru.next, struct dir_perm, lru);
	}
	perm_drop(ck, r, p);
}

/* The directory's entry in the table of permissions, new or brought up to date. */
static struct dir_perm *perm_insert(struct ck *ck, struct client_root *r, u64 dir,
				    const struct rep_RESOLVE *rep)
{
	struct dir_perm *p = perm_find(r, dir);

	if (!p) {
		struct list *head = &r->perms[hash_u64(dir) % CACHE_BUCKETS];

		if (r->perms_cached >= PERMS_MAX)
			perm_evict(ck, r);
		p = ck_alloc_for(ck, CK_GROWTH, sizeof(*p));
		if (!p)
			return NULL;
		p->dir = dir;
		p->all = r->all_epoch;
		TX_ADD(ck, r->epoch, 1);
		p->epoch = r->epoch;
		list_init_fresh(&p->hash);
		list_init_fresh(&p->lru);
		tx_list_add_tail(ck, head, &p->hash);
		tx_list_add_tail(ck, &r->perm_lru, &p->lru);
		TX_ADD(ck, r->perms_cached, 1);
	}
	if (p->mode != rep->dir_mode || p->uid != rep->dir_uid ||
	    p->gid != rep->dir_gid) {
		TX_SET(ck, p->mode, rep->dir_mode);
		TX_SET(ck, p->uid, rep->dir_uid);
		TX_SET(ck, p->gid, rep->dir_gid);
	}
	return p;
}

static struct dentry *dentry_new(struct ck *ck, struct client_root *r, u64 dir,
				 const char *name, size_t len)
{
	struct dentry *d;

	if (r->cached >= r->cache_max)
		dentry_evict(ck, r);
	d = ck_alloc_for(ck, CK_GROWTH, sizeof(*d) + len);
	if (!d) { /* older ones give way, to the next */
		for (int i = 0; i < EVICT_WHEN_FULL && r->cached; i++)
			dentry_evict(ck, r);
		return NULL;
	}
	d->dir = dir;
	d->len = (u32)len;
	memcpy(d->name, name, len);
	list_init_fresh(&d->hash);
	list_init_fresh(&d->lru);
	tx_list_add_tail(ck, dentry_head(r, dir, name, len), &d->hash);
	tx_list_add_tail(ck, &r->lru, &d->lru);
	TX_ADD(ck, r->cached, 1);
	return d;
}

/* --- lookup -------------------------------------------------------------------------------- */

/* RESOLVE, answered into out->res. */
static long resolve(struct task *t, u32 srv, u64 dir, const char *name, size_t len,
		    bool want_attr, struct place *out)
{
	struct rep_RESOLVE *p = &out->res;
	struct req_RESOLVE q;
	long r;

	q.dir = dir;
	q.name.p = name;
	q.name.len = (u32)len;
	q.cred = &t->proc->cred;
	q.want_attr = want_attr;
	p->ino = 0;
	p->type = 0;
	p->dir_mode = 0;
	p->has_attr = 0;
	r = rpc_resolve(&t->ctx, srv, &q, p);
	if (r) {
		out->ino = 0;
		out->type = 0;
		out->has_attr = false;
		return r;
	}
	place_resolved(out);
	return 0;
}

enum hit { HIT_NO, HIT_ENTRY, HIT_ABSENT, HIT_DENIED };

/* Looks into the cache; *inval is its state for a later cache_insert. */
static enum hit cache_look(struct task *t, u64 dir, const char *name, size_t len,
			   u64 *inval, struct place *out)
{
	struct ck *ck = t->ctx.ck;
	struct client_root *r = client_root(ck);
	enum hit hit = HIT_NO;
	struct dir_perm *p;
	struct dentry *d;

	ck_lock(&t->ctx, ck);
	*inval = r->inval_count;
	p = perm_find(r, dir);
	if (p) {
		p->used = 1;
		d = dentry_find(r, dir, name, len);
		if (perm_check(&t->proc->cred, p->mode | HS_IFDIR, p->uid, p->gid,
			       MAY_EXEC)) {
			hit = HIT_DENIED;
		} else if (d && d->epoch == p->epoch) {
			d->used = 1;
			out->ino = d->ino;
			out->type = d->type;
			out->dflags = d->dflags;
			hit = d->ino ? HIT_ENTRY : HIT_ABSENT;
		}
	}
	if (hit != HIT_NO)
		ck->counter[COUNT_CACHE_HITS]++;
	ck_unlock(ck);
	return hit;
}

/* Whether dir/name was invalidated since the count was `since`. */
static bool invalidated(const struct client_root *r, u64 since, u64 dir, u64 hash)
{
	u64 i;

	if (r->inval_count - since > INVAL_RING)
		return true;
	for (i = since; i != r->inval_count; i++) {
		const struct inval *v = &r->inval_ring[i % INVAL_RING];

		if (v->hash == hash || (!v->hash && (!v->dir || v->dir == dir)))
			return true;
	}
	return false;
}

/* hash 0: all of dir; dir 0 as well: everything. */
static void note_invalidation(struct ck *ck, struct client_root *r, u64 dir, u64 hash)
{
	struct inval *v = &r->inval_ring[r->inval_count % INVAL_RING];

	TX_SET(ck, v->dir, dir);
	TX_SET(ck, v->hash, hash);
	TX_ADD(ck, r->inval_count, 1);
}

/* Enters what a server answered, unless it was invalidated since. rep NULL: only if mode and
 * owner of the directory are known. */
static void cache_insert(struct task *t, u64 dir, const char *name, size_t len, u64 inval,
			 const struct rep_RESOLVE *rep, const struct place *pl)
{
	struct ck *ck = t->ctx.ck;
	struct client_root *r = client_root(ck);
	struct dir_perm *p;
	struct dentry *d;

	ck_lock(&t->ctx, ck);
	if (invalidated(r, inval, dir, hash_name(dir, name, len)))
		goto out;
	p = rep ? perm_insert(ck, r, dir, rep) : perm_find(r, dir);
	if (!p)
		goto out;
	d = dentry_find(r, dir, name, len);
	if (!d)
		d = dentry_new(ck, r, dir, name, len);
	if (!d)
		goto out;
	TX_SET(ck, d->ino, pl->ino);
	TX_SET(ck, d->type, pl->type);
	TX_SET(ck, d->dflags, pl->dflags);
	TX_SET(ck, d->epoch, p->epoch);
out:
	ck_unlock(ck);
}

/* 0, -ENOENT, -EACCES; 1: the cache does not know. */
static long cache_answer(struct task *t, u64 dir, const char *name, size_t len,
			 u64 *inval, struct place *out)
{
	msg_drain(&t->ctx);
	switch (cache_look(t, dir, name, len, inval, out)) {
	case HIT_ENTRY:
		return 0;
	case HIT_ABSENT:
		return -ENOENT;
	case HIT_DENIED:
		return -EACCES;
	default:
		return 1;
	}
}

static long lookup_far(struct task *t, u32 srv, u64 dir, const char *name, size_t len,
		       bool want_attr, struct place *out)
{
	u64 inval = 0;
	long r;
	bool cache = !(t->ctx.isl->super->without & WITHOUT_DIRECTORY_CACHE);

	out->has_attr = false;
	if (cache) {
		r = cache_answer(t, dir, name, len, &inval, out);
		if (r <= 0)
			return r;
	}
	out->dflags = 0;
	r = resolve(t, srv, dir, name, len, want_attr, out);
	if (cache && (!r || r == -ENOENT) && out->res.dir_mode)
		cache_insert(t, dir, name, len, inval, &out->res, out);
	return r;
}

static long lookup_at(struct task *t, u32 srv, u64 dir, const char *name, size_t len,
		      bool want_attr, struct place *out)
{
	if (unlikely(!rpc_is_near(&t->ctx, srv)))
		return lookup_far(t, srv, dir, name, len, want_attr, out);
	return resolve(t, srv, dir, name, len, want_attr, out);
}

long cache_lookup(struct task *t, u64 dir, u32 dflags, const char *name, size_t len,
		  bool want_attr, struct place *out)
{
	u32 srv = rpc_entry_server(&t->ctx, dir, dflags, name, len);

	return lookup_at(t, srv, dir, name, len, want_attr, out);
}

long cache_peek(struct task *t, u64 dir, u32 dflags, const char *name, size_t len,
		struct place *out)
{
	u32 srv = rpc_entry_server(&t->ctx, dir, dflags, name, len);
	u64 inval;
	long r = 1;

	if (rpc_is_near(&t->ctx, srv))
		return lookup_at(t, srv, dir, name, len, false, out);
	if (!(t->ctx.isl->super->without & WITHOUT_DIRECTORY_CACHE))
		r = cache_answer(t, dir, name, len, &inval, out);
	out->unlooked = r == 1;
	return r == 1 ? 0 : r;
}

long cache_lookup_parent(struct task *t, u64 dir, struct place *out)
{
	return lookup_at(t, ino_server(dir), dir, "..", 2, false, out);
}

u64 cache_mark(struct task *t)
{
	return __atomic_load_n(&client_root(t->ctx.ck)->inval_count, __ATOMIC_RELAXED);
}

void cache_learn(struct task *t, u64 mark, const struct place *at, u64 ino, u32 type,
		 u32 dflags)
{
	u32 srv = rpc_entry_server(&t->ctx, at->dir, at->dir_dflags, at->name,
				   at->name_len);
	struct place pl;

	if (rpc_is_near(&t->ctx, srv) ||
	    t->ctx.isl->super->without & WITHOUT_DIRECTORY_CACHE)
		return;
	pl.ino = ino;
	pl.type = type;
	pl.dflags = dflags;
	cache_insert(t, at->dir, at->name, at->name_len, mark, NULL, &pl);
}

long walk_lookup(struct task *t, u64 dir, u32 dflags, const char *name, size_t len,
		 struct place *out)
{
	return cache_lookup(t, dir, dflags, name, len, false, out);
}

void cache_forget(struct task *t, u64 dir, u32 dflags, const char *name, size_t len)
{
	struct ck *ck = t->ctx.ck;
	struct client_root *r = client_root(ck);
	struct dentry *d;

	if (rpc_is_near(&t->ctx, rpc_entry_server(&t->ctx, dir, dflags, name, len)))
		return;
	ck_lock(&t->ctx, ck);
	note_invalidation(ck, r, dir, hash_name(dir, name, len));
	d = dentry_find(r, dir, name, len);
	if (d)
		dentry_drop(ck, r, d);
	ck_unlock(ck);
}

bool dir_perm_peek(struct task *t, u64 dir, struct perm *out)
{
	struct ck *ck = t->ctx.ck;
	struct dir_perm *p;

	if (t->ctx.isl->super->without & WITHOUT_DIRECTORY_CACHE)
		return false;
	msg_drain(&t->ctx);
	ck_lock(&t->ctx, ck);
	p = perm_find(client_root(ck), dir);
	if (p) {
		out->mode = p->mode;
		out->uid = p->uid;
		out->gid = p->gid;
	}
	ck_unlock(ck);
	return p != NULL;
}

long dir_perm_get(struct task *t, u64 dir, struct perm *out)
{
	struct req_FSTAT q = { .ino = dir };
	struct rep_FSTAT p;
	long r;

	if (!rpc_is_near(&t->ctx, ino_server(dir)) && dir_perm_peek(t, dir, out))
		return 0;
	r = rpc_fstat(&t->ctx, ino_server(dir), &q, &p);
	if (r)
		return r;
	out->mode = p.attr.mode;
	out->uid = p.attr.uid;
	out->gid = p.attr.gid;
	return 0;
}

/* --- what servers tell; run by whoever drains, e->ck locked ---------------------------------- */

long client_invalidate(struct rpc_env *e, const struct req_INVALIDATE *q,
		       struct rep_INVALIDATE *p)
{
	struct client_root *r = client_root(e->ck);
	struct dentry *d;
	struct dir_perm *dp;

	(void)p;
	switch (q->kind) {
	case INVAL_ENTRY:
		note_invalidation(e->ck, r, q->dir,
				  hash_name(q->dir, q->name.p, q->name.len));
		d = dentry_find(r, q->dir, q->name.p, q->name.len);
		if (d)
			dentry_drop(e->ck, r, d);
		break;
	case INVAL_DIR:
		note_invalidation(e->ck, r, q->dir, 0);
		dp = perm_find(r, q->dir);
		if (dp)
			perm_drop(e->ck, r, dp);
		break;
	default: /* INVAL_ALL, and what is not known: forgetting is always right */
		note_invalidation(e->ck, r, 0, 0);
		TX_ADD(e->ck, r->all_epoch, 1);
		break;
	}
	e->ck->counter[COUNT_INVALIDATIONS]++;
	return 0;
}

long client_event(struct rpc_env *e, const struct req_EVENT *q, struct rep_EVENT *p)
{
	(void)p;
	msg_event_set(e->c, e->ck->core, q->slot, q->seq);
	return 0;
}
