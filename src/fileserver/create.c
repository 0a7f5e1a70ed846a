/* SPDX-License-Identifier: MIT */
/*
 * Names that come and go: CREATE ADD_MAP RM_MAP CONFIRM.
 *
 * Order of checks, as Linux has it: search permission of the directory, whether the name is
 * there, write permission, sticky bit, type.
 */
#include <linux/inotify.h>

#include "fileserver/fs.h"

/* --- CREATE ------------------------------------------------------------------------------------- */

static long target_check(const char *target, u32 len)
{
	if (!len)
		return -ENOENT;
	if (len >= PATH_LEN_MAX)
		return -ENAMETOOLONG;
	for (u32 i = 0; i < len; i++)
		if (!target[i])
			return -EINVAL;
	return 0;
}

static long create_check(const struct req_CREATE *q)
{
	switch (q->mode & HS_IFMT) {
	case HS_IFREG:
	case HS_IFDIR:
	case HS_IFIFO:
	case HS_IFSOCK:
		return 0;
	case HS_IFLNK:
		return target_check(q->target.p, q->target.len);
	case HS_IFCHR: /* 0:0 is a whiteout, which everybody may make */
		return q->cred->uid && q->rdev ? -EPERM : 0;
	case HS_IFBLK:
		return q->cred->uid ? -EPERM : 0;
	default:
		return -EINVAL;
	}
}

/* What a set-gid directory passes on. d: NULL when the parent is not known here; then the caller
 * gave the group in cred already. */
static void inherit(const struct fs_dir *d, const struct cred *cr, u32 *mode, u32 *gid)
{
	u32 type = *mode & HS_IFMT;

	*gid = cr->gid;
	if (type == HS_IFLNK)
		*mode = HS_IFLNK | 0777;
	if (!d || !(d->mode & HS_ISGID))
		return;
	*gid = d->gid;
	if (type == HS_IFDIR)
		*mode |= HS_ISGID;
	else if ((*mode & HS_ISGID) && (*mode & 0010) && cr->uid &&
		 !fs_in_group(cr, d->gid))
		*mode &= ~HS_ISGID;
}

static long create_inode(struct rpc_env *e, const struct req_CREATE *q,
			 const struct fs_dir *d, u64 parent, struct fs_inode **out)
{
	u32 mode = q->mode & (HS_IFMT | 07777), gid;
	struct fs_inode *i;

	inherit(d, q->cred, &mode, &gid);
	i = fs_inode_new(e, q->flags & CREATE_SPREAD ? CK_SPREAD : CK_GROWTH, mode,
			 q->cred->uid, gid);
	if (!i)
		return -ENOSPC;
	*out = i;
	switch (mode & HS_IFMT) {
	case HS_IFLNK:
		i->target = fs_alloc(e->ck, q->target.len + 1);
		if (!i->target)
			return -ENOSPC;
		memcpy(i->target, q->target.p, q->target.len);
		i->size = q->target.len;
		break;
	case HS_IFDIR:
		if (q->flags & CREATE_DISTRIBUTED)
			fs_inode_part(i)->dflags = DIR_DISTRIBUTED;
		return fs_dir_set_parent(e, fs_inode_part(i), parent,
					 d ? d->part->dflags : 0, q->name.p, q->name.len);
	case HS_IFCHR:
	case HS_IFBLK:
		i->rdev = q->rdev;
		break;
	default:
		break;
	}
	return 0;
}

long fs_whiteout(struct rpc_env *e, struct fs_dir *d, struct fs_entry *n,
		 const struct cred *cr)
{
	u32 mode = HS_IFCHR, gid;
	struct fs_inode *i;

	inherit(d, cr, &mode, &gid);
	i = fs_inode_new(e, CK_GROWTH, mode, cr->uid, gid);
	return i ? fs_entry_set(e, d, n, i->node.key, HS_IFCHR, 0) : -ENOSPC;
}

static void created(struct rep_CREATE *p, const struct fs_inode *i)
{
	fs_inode_attr(i, &p->attr);
	p->ino = i->node.key;
	p->type = fs_type(i);
	p->dflags = p->attr.dflags;
	p->created = 1;
}

/* The name is there already. */
static long create_found(struct rpc_env *e, const struct req_CREATE *q,
			 struct rep_CREATE *p, struct fs_entry *n)
{
	struct fs_inode *i;
	long r;

	p->ino = n->ino;
	p->type = (u32)n->type << 12;
	p->dflags = n->dflags;
	fs_entry_cached(e, n);
	if (q->flags & CREATE_EXCL) {
		if (e->far)
			ck_commit(e->ck); /* it is told, and may be cached */
		return -EEXIST;
	}
	if (!(q->flags & CREATE_OPEN) || p->type != HS_IFREG)
		return 0;
	i = fs_inode_find(fs_of(e->ck), n->ino);
	if (!i)
		return 0;
	r = fs_open_inode(e, i, q->open_flags, q->cred, &p->attr, &p->runs);
	if (unlikely(r == -EAGAIN)) { /* O_TRUNC has to wait, which OPEN can */
		ck_abort(e->ck);
		fs_entry_cached(e, n);
		return 0;
	}
	if (!r)
		p->opened = 1;
	return r;
}

/* CREATE with dir = 0. */
static long create_nameless(struct rpc_env *e, const struct req_CREATE *q,
			    struct rep_CREATE *p)
{
	struct fs_inode *i;
	struct fs_dir d;
	bool here = q->parent && fs_dir_find(fs_of(e->ck), q->parent, &d) == 0;
	bool tmp = (q->flags & CREATE_TMPFILE) != 0;
	long r = create_check(q);

	/* It is counted by its open alone. */
	if (tmp && (!(q->flags & CREATE_OPEN) || (q->mode & HS_IFMT) != HS_IFREG))
		return -EINVAL;
	if (r)
		return r;
	r = create_inode(e, q, here ? &d : NULL, q->parent, &i);
	if (r < 0)
		return r;
	if (tmp) {
		i->nlink = 0;
		i->flags = q->flags & CREATE_EXCL ? 0 : FS_I_LINKABLE;
	}
	if ((q->flags & CREATE_OPEN) && fs_is_reg(i)) {
		r = fs_open_inode(e, i, q->open_flags & ~(u32)O_TRUNC, NULL, NULL, NULL);
		p->opened = !r;
	}
	created(p, i);
	return r;
}

long fs_create(struct rpc_env *e, const struct req_CREATE *q, struct rep_CREATE *p)
{
	struct fs *f = fs_of(e->ck);
	struct fs_dir d;
	struct fs_inode *i;
	struct fs_entry *n;
	u64 hash;
	long r;

	fs_make_room(e->ck);
	p->created = p->opened = 0;
	p->runs.len = 0;
	if (!q->dir)
		return create_nameless(e, q, p);
	r = fs_name_check(&q->name);
	if (r < 0)
		return r;
	r = fs_dir_find(f, q->dir, &d);
	if (r < 0)
		return r;
	r = fs_dir_perm(&d, q->cred, MAY_EXEC);
	if (r < 0)
		return r;
	hash = fs_hash(q->dir, &q->name);
	n = fs_entry_find(f, q->dir, q->name.p, q->name.len, hash);
	if (n)
		return create_found(e, q, p, n);
	r = fs_dir_perm(&d, q->cred, MAY_WRITE);
	if (!r)
		r = create_check(q);
	if (!r)
		r = fs_dir_delayed(e, &d, q->wait_seq);
	if (!r)
		r = create_inode(e, q, &d, q->dir, &i);
	if (r < 0)
		return r;
	r = fs_entry_add(e, &d, q->dir, &q->name, hash, i->node.key, fs_type(i),
			 q->flags & CREATE_DISTRIBUTED && fs_is_dir(i) ? DIR_DISTRIBUTED
								       : 0);
	if (r < 0)
		return r;
	fs_dir_touch(e->ck, &d, i->btime);
	fs_notify_name(e, q->dir, q->name.p, q->name.len, fs_type(i), IN_CREATE, 0);
	if ((q->flags & CREATE_OPEN) && fs_is_reg(i)) {
		r = fs_open_inode(e, i, q->open_flags & ~(u32)O_TRUNC, NULL, NULL, NULL);
		p->opened = !r;
	}
	created(p, i);
	return r;
}

/* --- ADD_MAP, RM_MAP --------------------------------------------------------------------------------- */

/* Sticky directories: may cr remove entry n? told, owner: what the client knows of an inode
 * that is elsewhere. -EPERM; -EAGAIN when the owner is not known. */
static long may_remove(struct rpc_env *e, const struct fs_dir *d, const struct cred *cr,
		       const struct fs_entry *n, u64 told, u32 owner)
{
	struct fs_inode *i;

	if (!(d->mode & HS_ISVTX) || !cr->uid || cr->uid == d->uid)
		return 0;
	i = fs_inode_find(fs_of(e->ck), n->ino);
	if (i)
		return fs_dir_sticky(d, cr, i->uid);
	if (told != n->ino)
		return -EAGAIN;
	return fs_dir_sticky(d, cr, owner);
}

static long types_fit(const struct req_ADD_MAP *q, const struct fs_entry *n, bool old_dir,
		      bool new_dir)
{
	if (old_dir && !new_dir)
		return -EISDIR;
	if (!old_dir && new_dir)
		return -ENOTDIR;
	return old_dir && n->ino != q->marked ? -EAGAIN : 0;
}

static void set_pending(struct rpc_env *e, struct fs_entry *n, u32 pending)
{
	if (n->pending != pending)
		TX_SET(e->ck, n->pending, (u8)pending);
}

static u32 is_pending(const struct req_ADD_MAP *q)
{
	return (q->flags & MAP_PENDING) != 0;
}

static long replace(struct rpc_env *e, const struct req_ADD_MAP *q, struct rep_ADD_MAP *p,
		    struct fs_dir *d, struct fs_entry *n)
{
	bool old_dir = n->type == HS_IFDIR >> 12, new_dir = q->type == HS_IFDIR;
	long r;

	p->old_ino = n->ino;
	p->old_type = (u32)n->type << 12;
	p->old_dflags = n->dflags;
	if (!(q->flags & (MAP_REPLACE | MAP_EXCHANGE)))
		return -EEXIST;
	if (q->flags & MAP_EXCHANGE && n->ino != q->expect)
		return -EAGAIN;
	r = q->flags & MAP_UNDO ? 0 : fs_entry_busy(n, &p->busy);
	if (r < 0)
		return r;
	if (n->ino == q->ino) {
		p->same = 1;
		return 0;
	}
	r = fs_dir_perm(d, q->cred, MAY_WRITE);
	if (!r)
		r = may_remove(e, d, q->cred, n, q->expect, q->sticky_owner);
	if (!r && !(q->flags & MAP_EXCHANGE))
		r = types_fit(q, n, old_dir, new_dir);
	if (r < 0)
		return r;
	r = fs_entry_set(e, d, n, q->ino, q->type, q->dflags);
	if (r < 0)
		return r;
	set_pending(e, n, is_pending(q));
	fs_entry_cached(e, n);
	fs_dir_touch(e->ck, d, host_realtime_ns());
	return 0;
}

/* --- names that are pending -------------------------------------------------------------------------- */

long fs_confirm(struct rpc_env *e, const struct req_CONFIRM *q, struct rep_CONFIRM *p)
{
	struct fs_entry *n = fs_entry_find(fs_of(e->ck), q->dir, q->name.p, q->name.len,
					   fs_hash(q->dir, &q->name));

	(void)p;
	if (!n || n->ino != q->ino)
		return -ENOENT;
	set_pending(e, n, 0);
	return 0;
}

/* What the request's own name was about is decided: ino has the other name for good. In the same
 * transaction, so that no kill comes between; sent in this order, so that who finds the name
 * confirmed and renames on tells the home later than this. */
static long confirm_other(struct rpc_env *e, u64 ino, u32 type, u64 dir, u32 dflags,
			  const struct rpc_str *name, u32 *busy)
{
	struct req_CONFIRM q = { .dir = dir, .name = *name, .ino = ino };
	struct rep_CONFIRM p;
	u32 srv;
	long r;

	if (!name->len || ino_server(dir) >= fs_of(e->ck)->servers ||
	    ino_server(ino) >= fs_of(e->ck)->servers)
		return -EINVAL;
	srv = rpc_entry_server(e->c, dir, dflags, name->p, name->len);
	r = type == HS_IFDIR ? fs_dir_tell_home(e, ino, dir, dflags, name, busy) : 0;
	if (r < 0)
		return r;
	if (srv != e->srv)
		return rpc_post_confirm(e, srv, &q);
	(void)fs_confirm(e, &q, &p);
	return 0;
}

/* The second half of an exchange: what stood here has the other name, what stands here this one. */
static long exchanged(struct rpc_env *e, const struct req_ADD_MAP *q,
		      struct rep_ADD_MAP *p)
{
	struct fs_dir d;
	long r = confirm_other(e, p->old_ino, p->old_type, q->confirm_dir,
			       q->confirm_dflags, &q->confirm_name, &p->busy);

	if (r < 0 || q->type != HS_IFDIR)
		return r;
	r = fs_dir_find(fs_of(e->ck), q->dir, &d);
	return r < 0 ? r
		     : fs_dir_tell_home(e, q->ino, q->dir, d.part->dflags, &q->name,
					&p->busy);
}

long fs_add_map(struct rpc_env *e, const struct req_ADD_MAP *q, struct rep_ADD_MAP *p)
{
	struct fs *f = fs_of(e->ck);
	struct fs_dir d;
	struct fs_entry *n;
	u64 hash;
	long r;

	fs_make_room(e->ck);
	p->old_ino = 0;
	p->same = p->busy = 0;
	r = fs_name_check(&q->name);
	if (r < 0)
		return r;
	if (!q->ino || (q->type & ~HS_IFMT) || !q->type ||
	    ino_server(q->ino) >= f->servers)
		return -EINVAL;
	r = fs_dir_find(f, q->dir, &d);
	if (!r)
		r = fs_dir_perm(&d, q->cred, MAY_EXEC);
	if (r < 0)
		return r;
	hash = fs_hash(q->dir, &q->name);
	n = fs_entry_find(f, q->dir, q->name.p, q->name.len, hash);
	if (n) {
		r = replace(e, q, p, &d, n);
		if (!r && q->flags & MAP_CONFIRM)
			r = exchanged(e, q, p);
		return r;
	}
	if (q->flags & MAP_EXCHANGE)
		return -ENOENT;
	r = fs_dir_perm(&d, q->cred, MAY_WRITE);
	if (r < 0)
		return r;
	r = fs_dir_delayed(e, &d, q->wait_seq);
	if (r < 0) {
		p->busy = 1;
		return r;
	}
	r = fs_entry_add(e, &d, q->dir, &q->name, hash, q->ino, q->type, q->dflags);
	if (r < 0)
		return r;
	if (is_pending(q))
		set_pending(e, fs_entry_find(f, q->dir, q->name.p, q->name.len, hash), 1);
	fs_dir_touch(e->ck, &d, host_realtime_ns());
	if (!(q->flags & MAP_MOVED))
		fs_notify_name(e, q->dir, q->name.p, q->name.len, q->type, IN_CREATE, 0);
	return 0;
}

static long rm_check(struct rpc_env *e, const struct req_RM_MAP *q, struct rep_RM_MAP *p,
		     const struct fs_dir *d, const struct fs_entry *n)
{
	bool dir = n->type == HS_IFDIR >> 12;
	long r;

	if (q->expect && q->expect != n->ino)
		return -EAGAIN;
	r = q->flags & RM_UNDO ? 0 : fs_entry_busy(n, &p->busy);
	if (r < 0)
		return r;
	if (!(q->flags & RM_MOVED)) {
		r = fs_dir_perm(d, q->cred, MAY_WRITE);
		if (!r)
			r = may_remove(e, d, q->cred, n, q->expect, q->sticky_owner);
		if (r < 0)
			return r;
	}
	if ((q->flags & RM_FILE) && dir)
		return -EISDIR;
	if ((q->flags & RM_DIR) && !dir)
		return -ENOTDIR;
	return 0;
}

/* An entry of a file of another server is gone: tells that server, in this transaction, so that
 * no kill can come between. Delivered before the reply is. */
long fs_link_drop_far(struct rpc_env *e, u64 ino)
{
	struct req_LINK q = { .ino = ino, .delta = -1 };

	return rpc_post_link(e, ino_server(ino), &q);
}

long fs_rm_map(struct rpc_env *e, const struct req_RM_MAP *q, struct rep_RM_MAP *p)
{
	struct fs *f = fs_of(e->ck);
	struct fs_dir d;
	struct fs_entry *n;
	struct fs_inode *i = NULL;
	u64 now;
	long r;

	p->ino = 0;
	p->done = p->busy = 0;
	r = fs_dir_find(f, q->dir, &d);
	if (!r && !(q->flags & RM_MOVED))
		r = fs_dir_perm(&d, q->cred, MAY_EXEC);
	if (r < 0)
		return r;
	n = fs_entry_find(f, q->dir, q->name.p, q->name.len, fs_hash(q->dir, &q->name));
	if (!n)
		return -ENOENT;
	p->ino = n->ino;
	p->type = (u32)n->type << 12;
	p->dflags = n->dflags;
	r = rm_check(e, q, p, &d, n);
	if (r < 0)
		return r;
	r = q->flags & RM_WHITEOUT ? fs_whiteout(e, &d, n, q->cred)
				   : fs_entry_del(e, &d, n);
	if (r < 0)
		return r;
	now = host_realtime_ns();
	fs_dir_touch(e->ck, &d, now);
	if ((q->flags & RM_UNLINK) && p->type != HS_IFDIR)
		i = fs_inode_find(f, p->ino);
	/* Its type is compared because a client may have added an entry that lies. */
	if (i && i->nlink && fs_type(i) == p->type) {
		fs_inode_unlink(e, i, now);
		p->done = 1;
	} else if ((q->flags & RM_UNLINK) && p->type != HS_IFDIR &&
		   ino_server(p->ino) != e->srv) {
		r = fs_link_drop_far(e, p->ino);
		p->done = !r;
	}
	if (!r && !(q->flags & RM_MOVED))
		fs_notify_name(e, q->dir, q->name.p, q->name.len, p->type, IN_DELETE, 0);
	if (!r && q->flags & RM_CONFIRM)
		r = confirm_other(e, p->ino, p->type, q->confirm_dir, q->confirm_dflags,
				  &q->confirm_name, &p->busy);
	return r;
}
