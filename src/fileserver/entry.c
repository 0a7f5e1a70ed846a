/* SPDX-License-Identifier: MIT */
/*
 * Directory entries: (dir, name) -> inode, in one table per server, with each directory's cookie
 * map for reading it in order. And the callbacks of the lookup caches (thesis 3.7.1): every
 * entry knows the cores that cache it, and a name that far cores know *not* to be there is
 * remembered as a negative entry, so that only they hear when it is made.
 *
 *   far core          server                                   others
 *   RESOLVE a  ---->  entry.cached |= core
 *                     RM_MAP a: entry goes, INVALIDATE posted  ----> before the reply leaves
 *   RESOLVE b  ---->  not there: negative entry, cached |= core
 *                     CREATE b: negative goes, INVALIDATE posted
 *
 * The asking core is told too, when it caches the name: if its process is killed before it reads
 * the reply, nobody else there would know.
 */
#include "fileserver/fs.h"

long fs_name_check(const struct rpc_str *name)
{
	if (!name->len)
		return -ENOENT;
	if (name->len > NAME_LEN_MAX)
		return -ENAMETOOLONG;
	if (name->p[0] == '.' &&
	    (name->len == 1 || (name->len == 2 && name->p[1] == '.')))
		return -EEXIST;
	for (u32 i = 0; i < name->len; i++)
		if (name->p[i] == '/' || !name->p[i])
			return -EINVAL;
	return 0;
}

static inline bool same_name(const char *a, const char *b, u32 len)
{
	while (len >= 8) {
		u64 x, y;

		__builtin_memcpy(&x, a, 8);
		__builtin_memcpy(&y, b, 8);
		if (x != y)
			return false;
		a += 8, b += 8, len -= 8;
	}
	while (len--)
		if (a[len] != b[len])
			return false;
	return true;
}

static inline void copy_name(char *to, const char *from, u32 len)
{
	for (; len >= 8; len -= 8, to += 8, from += 8)
		__builtin_memcpy(to, from, 8);
	while (len--)
		to[len] = from[len];
}

struct fs_entry *fs_entry_find(const struct fs *f, u64 dir, const char *name, u32 len,
			       u64 hash)
{
	for (struct fs_node *n = *fs_table_bucket(&f->entries, hash); n; n = n->next) {
		struct fs_entry *t = (struct fs_entry *)n;

		if (n->key == hash && t->dir == dir && t->len == len &&
		    same_name(t->name, name, len))
			return t;
	}
	return NULL;
}

long fs_invalidate(struct rpc_env *e, u64 mask, u32 kind, u64 dir, const char *name,
		   u32 len)
{
	struct req_INVALIDATE q = { .kind = kind,
				    .dir = dir,
				    .name = { .p = name, .len = len } };

	while (mask) {
		u32 core = (u32)__builtin_ctzll(mask);
		long r = rpc_post_invalidate(e, core, &q);

		if (r < 0)
			return r;
		mask &= mask - 1;
	}
	return 0;
}

/* --- negative entries --------------------------------------------------------------------------- */

static struct fs_neg *neg_find(const struct fs *f, u64 dir, const char *name, u32 len,
			       u64 hash)
{
	for (struct fs_node *n = *fs_table_bucket(&f->negs, hash); n; n = n->next) {
		struct fs_neg *t = (struct fs_neg *)n;

		if (n->key == hash && t->dir == dir && t->len == len &&
		    same_name(t->name, name, len))
			return t;
	}
	return NULL;
}

static long neg_drop(struct rpc_env *e, struct fs_neg *t)
{
	struct fs *f = fs_of(e->ck);
	long r = fs_invalidate(e, t->cached, INVAL_ENTRY, t->dir, t->name, t->len);

	if (r < 0)
		return r;
	fs_table_remove(e->ck, &f->negs, &t->node);
	tx_list_del(e->ck, &t->lru);
	ck_free(e->ck, t);
	return 0;
}

long fs_neg_add(struct rpc_env *e, u64 dir, const struct rpc_str *name, u64 hash)
{
	struct fs *f = fs_of(e->ck);
	u64 bit = 1ULL << e->core;
	struct fs_neg *t;
	long r;

	if (f->no_cache)
		return 0;
	t = neg_find(f, dir, name->p, name->len, hash);
	if (t) {
		if (!(t->cached & bit))
			TX_SET(e->ck, t->cached, t->cached | bit);
		return 0;
	}
	if (f->negs.count >= f->neg_max) {
		r = neg_drop(e, LIST_ENTRY(f->neg_lru.next, struct fs_neg, lru));
		if (r < 0)
			return r;
	}
	t = fs_alloc(e->ck, sizeof(*t) + name->len);
	if (!t) { /* the oldest gives way, to the next one */
		if (f->negs.count)
			(void)neg_drop(e,
				       LIST_ENTRY(f->neg_lru.next, struct fs_neg, lru));
		return -ENOSPC;
	}
	t->node.key = hash;
	t->dir = dir;
	t->cached = bit;
	t->len = (u8)name->len;
	copy_name(t->name, name->p, name->len);
	fs_table_insert_fresh(e->ck, &f->negs, &t->node);
	tx_list_add_tail(e->ck, &f->neg_lru, &t->lru);
	return 0;
}

/* --- entries ------------------------------------------------------------------------------------ */

long fs_entry_add(struct rpc_env *e, struct fs_dir *d, u64 dir,
		  const struct rpc_str *name, u64 hash, u64 ino, u32 type, u32 dflags)
{
	struct ck *ck = e->ck;
	struct fs *f = fs_of(ck);
	struct fs_part *part = d->part;
	struct fs_entry *n;
	long r;

	if (f->negs.count) {
		struct fs_neg *t = neg_find(f, dir, name->p, name->len, hash);

		r = t ? neg_drop(e, t) : 0;
		if (r < 0)
			return r;
	}
	n = fs_alloc(ck, offsetof(struct fs_entry, name) + name->len);
	if (!n)
		return -ENOSPC;
	n->node.key = hash;
	n->dir = dir;
	n->ino = ino;
	n->cookie = part->next_cookie;
	n->type = (u8)(type >> 12);
	n->dflags = (u8)dflags;
	n->len = (u8)name->len;
	copy_name(n->name, name->p, name->len);
	if (e->far && !f->no_cache)
		n->cached = 1ULL << e->core;
	r = tx_radix_set(ck, &part->cookies, n->cookie - FS_COOKIE_FIRST, (u64)n);
	if (r < 0)
		return r;
	fs_table_insert_fresh(ck, &f->entries, &n->node);
	TX_SET(ck, part->next_cookie, n->cookie + 1);
	TX_SET(ck, part->entries, part->entries + 1);
	if (type == HS_IFDIR)
		TX_SET(ck, part->subdirs, part->subdirs + 1);
	return 0;
}

static long told(struct rpc_env *e, const struct fs_entry *n)
{
	if (likely(!n->cached))
		return 0;
	return fs_invalidate(e, n->cached, INVAL_ENTRY, n->dir, n->name, n->len);
}

long fs_entry_del(struct rpc_env *e, struct fs_dir *d, struct fs_entry *n)
{
	struct ck *ck = e->ck;
	struct fs_part *part = d->part;
	long r = told(e, n);

	if (r < 0)
		return r;
	fs_table_remove(ck, &fs_of(ck)->entries, &n->node);
	tx_radix_set(ck, &part->cookies, n->cookie - FS_COOKIE_FIRST, 0);
	TX_SET(ck, part->entries, part->entries - 1);
	if (n->type == HS_IFDIR >> 12)
		TX_SET(ck, part->subdirs, part->subdirs - 1);
	/* Nobody reads it: cookies may be used again. That keeps the map of them small, and a name that
	 * comes and goes costs it no node each time. */
	if (d->inode && !d->inode->readers) {
		if (!part->entries)
			TX_SET(ck, part->next_cookie, FS_COOKIE_FIRST);
		else if (n->cookie == part->next_cookie - 1)
			TX_SET(ck, part->next_cookie, n->cookie);
	}
	ck_free(ck, n);
	return 0;
}

long fs_entry_set(struct rpc_env *e, struct fs_dir *d, struct fs_entry *n, u64 ino,
		  u32 type, u32 dflags)
{
	struct ck *ck = e->ck;
	long r = told(e, n);
	u64 was = n->type == HS_IFDIR >> 12, is = type == HS_IFDIR;

	if (r < 0)
		return r;
	TX_SET(ck, n->ino, ino);
	TX_SET(ck, n->type, (u8)(type >> 12));
	TX_SET(ck, n->dflags, (u8)dflags);
	TX_SET(ck, n->cached, 0);
	if (was != is)
		TX_SET(ck, d->part->subdirs, d->part->subdirs + is - was);
	return 0;
}
