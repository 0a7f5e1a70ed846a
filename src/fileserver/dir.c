/* SPDX-License-Identifier: MIT */
/*
 * Directories as one server sees them. RESOLVE DIRENT SHARD PARENT SET_PARENT.
 *
 * A directory has its inode at its home server. Its entries are there too or, when it is
 * distributed, at the server that hash(dir, name) chooses; each server then has a part of it
 * (struct fs_part), with a copy of mode and owner, so that permission checks stay local. Cookies
 * grow with every entry added, so reading goes on correctly while entries come and go.
 */
#include "fileserver/fs.h"

long fs_dir_find(struct fs *f, u64 dir, struct fs_dir *d)
{
	if (ino_server(dir) == f->srv) {
		struct fs_inode *i = fs_inode_find(f, dir);

		if (!i)
			return -ENOENT;
		if (!fs_is_dir(i))
			return -ENOTDIR;
		d->inode = i;
		d->part = fs_inode_part(i);
		d->mode = i->mode;
		d->uid = i->uid;
		d->gid = i->gid;
		return i->nlink ? 0 : -ENOENT;
	}
	d->inode = NULL;
	d->part = (struct fs_part *)fs_table_find(&f->shards, dir);
	if (!d->part)
		return -ENOENT;
	d->mode = d->part->mode;
	d->uid = d->part->uid;
	d->gid = d->part->gid;
	return 0;
}

void fs_dir_touch(struct ck *ck, const struct fs_dir *d, u64 now)
{
	if (d->inode)
		fs_inode_touch(ck, d->inode, now);
	else if (d->part->mtime != now)
		TX_SET(ck, d->part->mtime, now);
}

long fs_dir_sticky(const struct fs_dir *d, const struct cred *cr, u32 owner)
{
	if (!(d->mode & HS_ISVTX) || !cr->uid || cr->uid == d->uid || cr->uid == owner)
		return 0;
	return -EPERM;
}

long fs_dir_set_parent(struct rpc_env *e, struct fs_part *p, u64 parent, u32 dflags,
		       const char *name, u32 len)
{
	char *copy = NULL;

	if (len > NAME_LEN_MAX)
		return -ENAMETOOLONG;
	if (len) {
		copy = ck_alloc(e->ck, len);
		if (!copy)
			return -ENOSPC;
		memcpy(copy, name, len);
	}
	ck_free(e->ck, p->name);
	TX_SET(e->ck, p->name, copy);
	TX_SET(e->ck, p->name_len, len);
	TX_SET(e->ck, p->parent, parent);
	TX_SET(e->ck, p->parent_dflags, dflags);
	return 0;
}

long fs_dir_tell_home(struct rpc_env *e, u64 ino, u64 parent, u32 dflags,
		      const struct rpc_str *name, u32 *busy)
{
	struct req_SET_PARENT q = {
		.ino = ino, .parent = parent, .parent_dflags = dflags, .name = *name
	};
	struct rep_SET_PARENT p;
	u32 home = ino_server(ino);
	long r;

	if (home == e->srv) {
		(void)fs_set_parent(e, &q, &p); /* one that is gone needs none */
		return 0;
	}
	r = fs_posted_at_once(e, home, rpc_post_set_parent(e, home, &q));
	if (r == -EAGAIN)
		*busy = BUSY_PENDING;
	return r;
}

long fs_dir_delayed(struct rpc_env *e, struct fs_dir *d, u32 seq)
{
	if (likely(!d->part->mark_owner))
		return 0;
	return fs_wait(e, &d->part->waiters, seq, FS_WAIT_ANY);
}

long fs_part_perm_changed(struct rpc_env *e, struct fs_part *p)
{
	u64 mask = p->perm_cached;

	if (!mask)
		return 0;
	TX_SET(e->ck, p->perm_cached, 0);
	return fs_invalidate(e, mask, INVAL_DIR, p->node.key, "", 0);
}

/* Mode or owner of a directory: its parts check them, too, and are told in this transaction, so that
 * they end up as the home is, whatever changes at once and whoever is killed. */
long fs_dir_perm_changed(struct rpc_env *e, struct fs_inode *i)
{
	struct fs_part *p = fs_inode_part(i);
	struct req_SHARD q = { .dir = p->node.key,
			       .op = SHARD_ATTR,
			       .mode = i->mode,
			       .uid = i->uid,
			       .gid = i->gid };
	long r = fs_part_perm_changed(e, p);

	if (likely(!(p->dflags & DIR_DISTRIBUTED)))
		return r;
	for (u32 srv = 0; !r && srv < fs_of(e->ck)->servers; srv++)
		if (srv != e->srv)
			r = fs_posted_at_once(e, srv, rpc_post_shard(e, srv, &q));
	return r;
}

void fs_part_init_fresh(struct fs_part *p, u64 dir)
{
	p->node.key = dir;
	p->next_cookie = FS_COOKIE_FIRST;
	list_init_fresh(&p->marks);
	list_init_fresh(&p->waiters);
}

void fs_part_release(struct rpc_env *e, struct fs_part *p)
{
	fs_part_unmark(e, p, true);
	fs_wake_all(e, &p->waiters, FS_WAIT_ANY);
	fs_wait_free(e->ck, &p->waiters);
	ck_free(e->ck, p->name);
}

/* --- RESOLVE --------------------------------------------------------------------------------------- */

static void cached(struct rpc_env *e, u64 *mask)
{
	u64 bit = 1ULL << e->core;

	if (!(*mask & bit) && !fs_of(e->ck)->no_cache)
		TX_SET(e->ck, *mask, *mask | bit);
}

static void found(struct rpc_env *e, const struct req_RESOLVE *q, struct rep_RESOLVE *p,
		  u64 ino, u32 type, u32 dflags)
{
	struct fs_inode *i;

	p->ino = ino;
	p->type = type;
	p->dflags = dflags;
	if (!q->want_attr)
		return;
	i = fs_inode_find(fs_of(e->ck), ino);
	if (!i)
		return;
	fs_inode_attr(i, &p->attr);
	p->has_attr = 1;
}

static long resolve_dot(struct rpc_env *e, const struct req_RESOLVE *q,
			struct rep_RESOLVE *p, struct fs_dir *d)
{
	if (q->name.len == 1) {
		found(e, q, p, q->dir, HS_IFDIR, d->part->dflags);
		return 0;
	}
	if (!d->inode)
		return -EINVAL; /* only the home knows */
	if (e->far)
		cached(e, &d->part->dotdot_cached);
	found(e, q, p, d->part->parent, HS_IFDIR, d->part->parent_dflags);
	return 0;
}

static bool is_dots(const struct rpc_str *n)
{
	return n->p[0] == '.' && (n->len == 1 || (n->len == 2 && n->p[1] == '.'));
}

long fs_resolve(struct rpc_env *e, const struct req_RESOLVE *q, struct rep_RESOLVE *p)
{
	struct fs *f = fs_of(e->ck);
	struct fs_dir d = { 0 };
	struct fs_entry *n;
	u64 hash;
	long r;

	p->has_attr = 0;
	if (unlikely(!q->name.len))
		return -ENOENT;
	if (unlikely(q->name.len > NAME_LEN_MAX))
		return -ENAMETOOLONG;
	r = fs_dir_find(f, q->dir, &d);
	/* A removed directory still knows itself and its parent to those who are in it. */
	if (unlikely(r < 0) && !(r == -ENOENT && d.inode && is_dots(&q->name)))
		return r;
	p->dir_mode = d.mode;
	p->dir_uid = d.uid;
	p->dir_gid = d.gid;
	if (e->far)
		cached(e, &d.part->perm_cached);
	r = fs_dir_perm(&d, q->cred, MAY_EXEC);
	if (r < 0)
		goto keep;
	if (unlikely(is_dots(&q->name)))
		return resolve_dot(e, q, p, &d);
	hash = fs_hash(q->dir, &q->name);
	n = fs_entry_find(f, q->dir, q->name.p, q->name.len, hash);
	if (n) {
		fs_entry_cached(e, n);
		found(e, q, p, n->ino, (u32)n->type << 12, n->dflags);
		return 0;
	}
	if (e->far && fs_neg_add(e, q->dir, &q->name, hash) < 0)
		p->dir_mode =
			0; /* no memory to remember whom to tell: not to be cached */
	r = -ENOENT;
keep:
	if (e->far)
		ck_commit(
			e->ck); /* the callback just recorded is kept though this fails */
	return r;
}

/* --- reading ----------------------------------------------------------------------------------------- */

struct dirent64 {
	u64 ino;
	s64 off;
	u16 reclen;
	u8 type; /* DT_*, which are modes >> 12 */
	char name[];
};

long fs_dirent(struct rpc_env *e, const struct req_DIRENT *q, struct rep_DIRENT *p)
{
	u32 room = MIN(q->size, p->data.cap), at = 0;
	struct fs_dir d;
	u64 i = q->cookie - MIN(q->cookie, (u64)FS_COOKIE_FIRST), v;
	long r = fs_dir_find(fs_of(e->ck), q->dir, &d);

	p->data.len = 0;
	p->eof = 1;
	if (r < 0)
		return r;
	if (!p->data.p)
		return -EINVAL;
	for (; radix_next(&d.part->cookies, i, &i, &v); i++) {
		const struct fs_entry *n = (const struct fs_entry *)v;
		u32 len = (u32)ALIGN_UP(offsetof(struct dirent64, name) + n->len + 1, 8);
		struct dirent64 *t = (struct dirent64 *)((char *)p->data.p + at);

		if (len > room - at) {
			p->eof = 0;
			break;
		}
		t->ino = n->ino;
		t->off = (s64)(i + FS_COOKIE_FIRST + 1);
		t->reclen = (u16)len;
		t->type = n->type;
		memcpy(t->name, n->name, n->len);
		memset(t->name + n->len, 0,
		       len - offsetof(struct dirent64, name) - n->len);
		at += len;
	}
	if (!at && !p->eof)
		return -EINVAL; /* not even one fits */
	p->data.len = at;
	if (d.inode)
		fs_inode_read_at(e->ck, d.inode);
	return 0;
}

/* --- parts --------------------------------------------------------------------------------------------- */

static long shard_new(struct rpc_env *e, const struct req_SHARD *q)
{
	struct fs *f = fs_of(e->ck);
	struct fs_part *p = fs_alloc(e->ck, sizeof(*p));

	if (!p)
		return -ENOSPC;
	fs_part_init_fresh(p, q->dir);
	p->mode = HS_IFDIR | (q->mode & 07777);
	p->uid = q->uid;
	p->gid = q->gid;
	p->dflags = DIR_DISTRIBUTED;
	p->mtime = host_realtime_ns();
	fs_table_insert_fresh(e->ck, &f->shards, &p->node);
	return 0;
}

static long shard_attr(struct rpc_env *e, const struct req_SHARD *q, struct fs_dir *d)
{
	if (d->inode)
		return 0; /* CHMOD and CHOWN did it */
	TX_SET(e->ck, d->part->mode, HS_IFDIR | (q->mode & 07777));
	TX_SET(e->ck, d->part->uid, q->uid);
	TX_SET(e->ck, d->part->gid, q->gid);
	return fs_part_perm_changed(e, d->part);
}

static long shard_drop(struct rpc_env *e, struct fs_dir *d)
{
	if (d->inode)
		return 0; /* DESTROY and RMDIR do it */
	if (d->part->entries)
		return -ENOTEMPTY;
	fs_notify_gone(e, d->part->node.key, false);
	fs_table_remove(e->ck, &fs_of(e->ck)->shards, &d->part->node);
	fs_part_release(e, d->part);
	ck_free(e->ck, d->part);
	return 0;
}

long fs_shard(struct rpc_env *e, const struct req_SHARD *q, struct rep_SHARD *p)
{
	struct fs *f = fs_of(e->ck);
	struct fs_dir d;
	long r = fs_dir_find(f, q->dir, &d);

	if (r == -ENOENT && q->op == SHARD_NEW && ino_server(q->dir) != f->srv &&
	    ino_server(q->dir) < f->servers)
		return shard_new(e, q);
	if (r < 0)
		return r;
	switch (q->op) {
	case SHARD_NEW:
	case SHARD_ATTR:
		return shard_attr(e, q, &d);
	case SHARD_STAT:
		p->entries = d.part->entries;
		p->subdirs = d.part->subdirs;
		p->mtime = d.inode ? d.inode->mtime : d.part->mtime;
		return 0;
	case SHARD_DROP:
		return shard_drop(e, &d);
	default:
		return -EINVAL;
	}
}

/* --- where a directory hangs ------------------------------------------------------------------------- */

long fs_parent(struct rpc_env *e, const struct req_PARENT *q, struct rep_PARENT *p)
{
	struct fs_dir d;
	long r = fs_dir_find(fs_of(e->ck), q->ino, &d);

	p->name.len = 0;
	if (r < 0)
		return r;
	if (!d.inode)
		return -ENOENT;
	p->parent = d.part->parent;
	p->parent_dflags = d.part->parent_dflags;
	p->name.len = MIN(d.part->name_len, p->name.cap);
	if (p->name.p && p->name.len)
		memcpy(p->name.p, d.part->name, p->name.len);
	return 0;
}

long fs_set_parent(struct rpc_env *e, const struct req_SET_PARENT *q,
		   struct rep_SET_PARENT *p)
{
	struct fs_dir d;
	u64 mask;
	long r = fs_dir_find(fs_of(e->ck), q->ino, &d);

	(void)p;
	if (r < 0)
		return r;
	if (!d.inode || !q->name.len)
		return -EINVAL;
	if (q->ino == INO_ROOT)
		return -EBUSY;
	r = fs_dir_set_parent(e, d.part, q->parent, q->parent_dflags, q->name.p,
			      q->name.len);
	if (r == -ENOSPC) /* nobody waits to hear that; the name can be looked for */
		r = fs_dir_set_parent(e, d.part, q->parent, q->parent_dflags, NULL, 0);
	if (r < 0)
		return r;
	TX_SET(e->ck, d.inode->ctime, host_realtime_ns());
	mask = d.part->dotdot_cached;
	if (!mask)
		return 0;
	TX_SET(e->ck, d.part->dotdot_cached, 0);
	return fs_invalidate(e, mask, INVAL_ENTRY, q->ino, "..", 2);
}
