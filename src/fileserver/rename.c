/* SPDX-License-Identifier: MIT */
/*
 * RENAME of two names that map to this server, in one transaction; and the lock that serialises
 * renames of directories between parents, so that concurrent ones cannot make a loop.
 *
 * What cannot be decided here is EAGAIN (busy = 0) and the client goes the general way: ADD_MAP
 * at the new name's server, RM_MAP at the old one's.
 */
#include <linux/inotify.h>

#include "fileserver/fs.h"

#define RENAME_NOREPLACE 1u
#define RENAME_EXCHANGE	 2u
#define RENAME_WHITEOUT	 4u

/* One side of a rename. */
struct side {
	struct fs_dir d;
	u64 dir;
	const struct rpc_str *name;
	u64 hash;
	u64 expect; /* the directory that may get another parent */
	struct fs_entry *n;
};

static bool is_dir(const struct fs_entry *n)
{
	return n->type == HS_IFDIR >> 12;
}

static long find(struct rpc_env *e, struct side *s, u64 dir, const struct rpc_str *name,
		 const struct cred *cr)
{
	struct fs *f = fs_of(e->ck);
	long r = fs_name_check(name);

	if (r < 0)
		return r == -EEXIST ? -EBUSY : r;
	s->dir = dir;
	s->name = name;
	s->hash = fs_hash(dir, name);
	r = fs_dir_find(f, dir, &s->d);
	if (!r)
		r = fs_dir_perm(&s->d, cr, MAY_EXEC);
	if (r < 0)
		return r;
	s->n = fs_entry_find(f, dir, name->p, name->len, s->hash);
	return 0;
}

/* Write permission and sticky bit for an entry that leaves its place. */
static long may_leave(struct rpc_env *e, const struct side *s, const struct cred *cr)
{
	struct fs_inode *i;
	long r = fs_dir_perm(&s->d, cr, MAY_WRITE);

	if (r < 0 || !s->n || !(s->d.mode & HS_ISVTX) || !cr->uid || cr->uid == s->d.uid)
		return r;
	i = fs_inode_find(fs_of(e->ck), s->n->ino);
	return i ? fs_dir_sticky(&s->d, cr, i->uid) : -EAGAIN;
}

/* A directory that gets another parent: its `..` is written. It must be the one that the client,
 * with the rename lock held, saw not to be above its new place: by now the name may lead to another
 * one, and without the lock to a directory at all, which would go below itself. */
static long may_move(struct rpc_env *e, const struct side *from, const struct side *to,
		     const struct cred *cr, u32 *busy)
{
	struct fs_inode *i;

	if (from->n->ino == to->dir)
		return -EINVAL;
	if (!is_dir(from->n) || from->dir == to->dir)
		return 0;
	if (from->n->ino != from->expect) {
		*busy = BUSY_OTHER;
		return -EAGAIN;
	}
	i = fs_inode_find(fs_of(e->ck), from->n->ino);
	return i ? fs_perm(cr, i->mode, i->uid, i->gid, MAY_WRITE) : 0;
}

/* The inode that now stands at s: ctime, and a directory's place. */
static long arrived(struct rpc_env *e, const struct side *s, u64 ino, u32 type, u64 now,
		    u32 *busy)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), ino);
	struct fs_part *p;
	u64 mask;
	long r;

	if (!i)
		return type == HS_IFDIR && ino_server(ino) != e->srv
			       ? fs_dir_tell_home(e, ino, s->dir, s->d.part->dflags,
						  s->name, busy)
			       : 0;
	if (i->ctime != now)
		TX_SET(e->ck, i->ctime, now);
	if (!fs_is_dir(i))
		return 0;
	p = fs_inode_part(i);
	mask = p->parent == s->dir ? 0 : p->dotdot_cached;
	r = fs_dir_set_parent(e, p, s->dir, s->d.part->dflags, s->name->p, s->name->len);
	if (r < 0 || !mask)
		return r;
	TX_SET(e->ck, p->dotdot_cached, 0);
	return fs_invalidate(e, mask, INVAL_ENTRY, ino, "..", 2);
}

/* What stood at `from` is at `to` now. */
static void moved(struct rpc_env *e, const struct side *from, const struct side *to,
		  u64 ino, u32 type)
{
	u32 cookie;

	if (!fs_watching(e))
		return;
	cookie = fs_notify_cookie(e);
	fs_notify_name(e, from->dir, from->name->p, from->name->len, type, IN_MOVED_FROM,
		       cookie);
	fs_notify_name(e, to->dir, to->name->p, to->name->len, type, IN_MOVED_TO, cookie);
	fs_notify_self(e, ino, IN_MOVE_SELF);
}

static long exchange(struct rpc_env *e, struct side *a, struct side *b,
		     const struct cred *cr, u64 now, u32 *busy)
{
	u64 ino = a->n->ino;
	u32 type = (u32)a->n->type << 12, dflags = a->n->dflags;
	long r = may_move(e, b, a, cr, busy);

	if (!r)
		r = fs_entry_set(e, &a->d, a->n, b->n->ino, (u32)b->n->type << 12,
				 b->n->dflags);
	if (!r)
		r = fs_entry_set(e, &b->d, b->n, ino, type, dflags);
	if (!r)
		r = arrived(e, a, a->n->ino, (u32)a->n->type << 12, now, busy);
	if (!r)
		r = arrived(e, b, b->n->ino, (u32)b->n->type << 12, now, busy);
	if (!r) {
		moved(e, a, b, ino, type);
		moved(e, b, a, a->n->ino, (u32)a->n->type << 12);
	}
	return r;
}

/* May what stands at `to` be replaced by `from`? A directory must be marked, or be empty and
 * wholly here; then it is removed with the rename. -EAGAIN: the general way. */
static long may_replace(struct rpc_env *e, const struct req_RENAME *q,
			struct rep_RENAME *p, const struct side *from,
			const struct side *to)
{
	struct fs_dir old;
	long r;

	if (is_dir(to->n) && !is_dir(from->n))
		return -EISDIR;
	if (!is_dir(to->n) && is_dir(from->n))
		return -ENOTDIR;
	if (!is_dir(to->n) || to->n->ino == q->marked)
		return 0;
	if (to->n->ino == from->dir)
		return -ENOTEMPTY;
	if (ino_server(to->n->ino) != e->srv || (to->n->dflags & DIR_DISTRIBUTED))
		return -EAGAIN;
	r = fs_dir_find(fs_of(e->ck), to->n->ino, &old);
	if (r < 0)
		return -EAGAIN;
	if (old.part->serial_owner || old.part->mark_owner) {
		p->busy = 1;
		return fs_wait(e, &old.part->waiters, q->wait_seq, FS_WAIT_ANY);
	}
	return old.part->entries ? -ENOTEMPTY : 0;
}

/* What stood at the new name loses its link; a directory of another server is the client's. */
static long replaced(struct rpc_env *e, const struct req_RENAME *q, struct rep_RENAME *p,
		     u64 now)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), p->old_ino);

	if (!i && p->old_type != HS_IFDIR && ino_server(p->old_ino) != e->srv) {
		p->old_done = 1;
		return fs_link_drop_far(e, p->old_ino);
	}
	if (!i || !i->nlink || p->old_ino == q->marked || fs_type(i) != p->old_type)
		return 0;
	if (fs_is_dir(i))
		fs_dir_gone(e, i, now);
	else
		fs_inode_unlink(e, i, now);
	p->old_done = 1;
	return 0;
}

static long move(struct rpc_env *e, const struct req_RENAME *q, struct rep_RENAME *p,
		 struct side *from, struct side *to, u64 now)
{
	u64 ino = from->n->ino;
	long r;

	if (to->n) {
		p->old_ino = to->n->ino;
		p->old_type = (u32)to->n->type << 12;
		p->old_dflags = to->n->dflags;
		r = may_replace(e, q, p, from, to);
		if (!r)
			r = fs_entry_set(e, &to->d, to->n, ino, p->type, p->dflags);
		if (!r)
			fs_entry_cached(e, to->n);
	} else {
		r = fs_dir_delayed(e, &to->d, q->wait_seq);
		p->busy = r == -EAGAIN;
		if (!r)
			r = fs_entry_add(e, &to->d, to->dir, to->name, to->hash, ino,
					 p->type, p->dflags);
	}
	if (!r)
		r = q->flags & RENAME_WHITEOUT
			    ? fs_whiteout(e, &from->d, from->n, q->cred)
			    : fs_entry_del(e, &from->d, from->n);
	if (!r)
		r = arrived(e, to, ino, p->type, now, &p->busy);
	if (!r)
		moved(e, from, to, ino, p->type);
	if (!r && p->old_ino)
		r = replaced(e, q, p, now);
	return r;
}

long fs_rename(struct rpc_env *e, const struct req_RENAME *q, struct rep_RENAME *p)
{
	struct side from, to;
	u64 now;
	long r;

	p->old_ino = 0;
	p->old_done = p->same = p->busy = 0;
	if ((q->flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) ||
	    ((q->flags & RENAME_EXCHANGE) && q->flags != RENAME_EXCHANGE))
		return -EINVAL;
	r = find(e, &from, q->dir, &q->name, q->cred);
	if (!r)
		r = find(e, &to, q->new_dir, &q->new_name, q->cred);
	if (r < 0)
		return r;
	from.expect = q->expect;
	to.expect = q->new_expect;
	if (!from.n)
		return -ENOENT;
	p->ino = from.n->ino;
	p->type = (u32)from.n->type << 12;
	p->dflags = from.n->dflags;
	if (to.n && (q->flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (!to.n && (q->flags & RENAME_EXCHANGE))
		return -ENOENT;
	r = fs_entry_busy(from.n, &p->busy);
	if (!r && to.n)
		r = fs_entry_busy(to.n, &p->busy);
	if (r < 0)
		return r;
	if (to.n && to.n->ino == from.n->ino) {
		p->same = 1;
		return 0;
	}
	r = may_leave(e, &from, q->cred);
	if (!r)
		r = may_leave(e, &to, q->cred);
	if (!r)
		r = may_move(e, &from, &to, q->cred, &p->busy);
	if (r < 0)
		return r;
	now = host_realtime_ns();
	r = q->flags & RENAME_EXCHANGE ? exchange(e, &from, &to, q->cred, now, &p->busy)
				       : move(e, q, p, &from, &to, now);
	if (r < 0)
		return r;
	fs_dir_touch(e->ck, &from.d, now);
	fs_dir_touch(e->ck, &to.d, now);
	return 0;
}

long fs_rename_lock(struct rpc_env *e, const struct req_RENAME_LOCK *q,
		    struct rep_RENAME_LOCK *p)
{
	struct fs *f = fs_of(e->ck);

	(void)p;
	if (!q->owner || q->op > 1)
		return -EINVAL;
	if (q->op == 1) {
		/* Threads of one process exclude each other too: no owner gets it twice. */
		if (f->rename_owner)
			return fs_wait(e, &f->rename_waiters, q->wait_seq, FS_WAIT_ANY);
		TX_SET(e->ck, f->rename_owner, q->owner);
		return 0;
	}
	if (f->rename_owner != q->owner)
		return -EINVAL;
	TX_SET(e->ck, f->rename_owner, 0);
	fs_wake_all(e, &f->rename_waiters, FS_WAIT_ANY);
	return 0;
}
