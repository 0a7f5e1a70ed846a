/* SPDX-License-Identifier: MIT */
/*
 * RMDIR: three phases, so that a distributed directory is removed only when it is empty
 * everywhere (thesis 3.4.1). And what happens to a directory when it goes.
 *
 *     step                        home H           shard S        a CREATE in it
 *  1  SERIALIZE at H              serial           -              runs
 *  2  MARK at all                 serial, mark     mark           EAGAIN, registered
 *  3a all 0: RM_MAP of its entry  (at the entry's server; permission is checked there)
 *  4a COMMIT at all               nlink 0          part gone      woken, again: ENOENT
 *  3b one ENOTEMPTY: ABORT at all -                -              woken, again: runs
 *
 * The race lost: a CREATE that came before the MARK makes that MARK say ENOTEMPTY. A second
 * rmdir meets step 1's serial mark and waits, so marks of two never wait for each other. When
 * the marking process dies the agent ends it by its intent, or fs_owner_died aborts it.
 */
#include <linux/inotify.h>

#include "fileserver/fs.h"

/* Links a part into fs.marks while it has an owner. */
static void marks_update(struct ck *ck, struct fs_part *p)
{
	bool owned = p->mark_owner || p->serial_owner;

	if (owned && list_empty(&p->marks))
		tx_list_add_tail(ck, &fs_of(ck)->marks, &p->marks);
	else if (!owned && !list_empty(&p->marks))
		tx_list_del(ck, &p->marks);
}

void fs_part_unmark(struct rpc_env *e, struct fs_part *p, bool serial)
{
	if (p->mark_owner)
		TX_SET(e->ck, p->mark_owner, 0);
	if (serial && p->serial_owner)
		TX_SET(e->ck, p->serial_owner, 0);
	marks_update(e->ck, p);
	fs_wake_all(e, &p->waiters, FS_WAIT_ANY);
}

void fs_marks_owner_died(struct rpc_env *e, u64 owner)
{
	struct fs *f = fs_of(e->ck);
	struct list *l = f->marks.next;

	while (l != &f->marks) {
		struct fs_part *p = LIST_ENTRY(l, struct fs_part, marks);

		l = l->next;
		if (OWNER_PROC(p->serial_owner) == owner ||
		    OWNER_PROC(p->mark_owner) == owner)
			fs_part_unmark(e, p, true);
	}
}

void fs_dir_gone(struct rpc_env *e, struct fs_inode *i, u64 now)
{
	struct ck *ck = e->ck;

	TX_SET(ck, i->nlink, 0);
	if (i->ctime != now)
		TX_SET(ck, i->ctime, now);
	fs_part_unmark(e, fs_inode_part(i), true);
	fs_inode_release(e, i);
}

static long serialize(struct rpc_env *e, const struct req_RMDIR *q, struct fs_dir *d)
{
	if (!d->inode)
		return -EINVAL; /* only at home */
	if (d->part->serial_owner)
		return fs_wait(e, &d->part->waiters, q->wait_seq, FS_WAIT_ANY);
	TX_SET(e->ck, d->part->serial_owner, q->owner);
	marks_update(e->ck, d->part);
	return 0;
}

static long mark(struct rpc_env *e, const struct req_RMDIR *q, struct fs_dir *d)
{
	if (d->part->mark_owner == q->owner)
		return 0;
	if (d->part->mark_owner)
		return fs_wait(e, &d->part->waiters, q->wait_seq, FS_WAIT_ANY);
	if (d->part->entries)
		return -ENOTEMPTY;
	TX_SET(e->ck, d->part->mark_owner, q->owner);
	marks_update(e->ck, d->part);
	return 0;
}

static long commit(struct rpc_env *e, const struct req_RMDIR *q, struct fs_dir *d)
{
	if (d->part->mark_owner != q->owner)
		return -EINVAL; /* never marked, or aborted since */
	BUG_ON(d->part->entries);
	if (d->inode) {
		fs_dir_gone(e, d->inode, host_realtime_ns());
		return 0;
	}
	fs_notify_gone(e, q->dir, false);
	fs_table_remove(e->ck, &fs_of(e->ck)->shards, &d->part->node);
	fs_part_release(e, d->part);
	ck_free(e->ck, d->part);
	return 0;
}

static long rmdir_abort(struct rpc_env *e, const struct req_RMDIR *q, struct fs_dir *d)
{
	bool serial = d->part->serial_owner == q->owner;

	if (serial || d->part->mark_owner == q->owner)
		fs_part_unmark(e, d->part, serial);
	return 0;
}

/* The entry and the directory are both here: one message, no phases. */
static long all(struct rpc_env *e, const struct req_RMDIR *q, struct rep_RMDIR *p)
{
	struct fs *f = fs_of(e->ck);
	struct fs_dir d, child;
	struct fs_entry *n;
	u64 now;
	long r = fs_dir_find(f, q->parent, &d);

	if (r < 0)
		return r;
	r = fs_dir_perm(&d, q->cred, MAY_EXEC);
	if (r < 0)
		return r;
	n = fs_entry_find(f, q->parent, q->name.p, q->name.len,
			  fs_hash(q->parent, &q->name));
	if (!n)
		return -ENOENT;
	r = fs_dir_perm(&d, q->cred, MAY_WRITE);
	if (r < 0)
		return r;
	p->ino = n->ino;
	if (n->type != HS_IFDIR >> 12) {
		struct fs_inode *i = fs_inode_find(f, n->ino);

		r = i ? fs_dir_sticky(&d, q->cred, i->uid) : 0;
		return r < 0 ? r : -ENOTDIR;
	}
	if ((q->dir && n->ino != q->dir) || ino_server(n->ino) != f->srv ||
	    (n->dflags & DIR_DISTRIBUTED))
		return -EAGAIN;
	r = fs_entry_busy(n, &p->busy);
	if (r < 0)
		return r;
	r = fs_dir_find(f, n->ino, &child);
	if (r < 0)
		return r;
	r = fs_dir_sticky(&d, q->cred, child.uid);
	if (r < 0)
		return r;
	if (child.part->serial_owner || child.part->mark_owner) {
		p->busy = 1;
		return fs_wait(e, &child.part->waiters, q->wait_seq, FS_WAIT_ANY);
	}
	if (child.part->entries)
		return -ENOTEMPTY;
	now = host_realtime_ns();
	r = fs_entry_del(e, &d, n);
	if (r < 0)
		return r;
	fs_dir_touch(e->ck, &d, now);
	fs_dir_gone(e, child.inode, now);
	fs_notify_name(e, q->parent, q->name.p, q->name.len, HS_IFDIR, IN_DELETE, 0);
	return 0;
}

long fs_rmdir(struct rpc_env *e, const struct req_RMDIR *q, struct rep_RMDIR *p)
{
	struct fs_dir d;
	long r;

	p->ino = q->dir;
	p->busy = 0;
	if (q->phase == RMDIR_ALL)
		return all(e, q, p);
	if (!q->owner)
		return -EINVAL;
	if (q->dir == INO_ROOT)
		return -EBUSY;
	r = fs_dir_find(fs_of(e->ck), q->dir, &d);
	if (r < 0)
		return r;
	switch (q->phase) {
	case RMDIR_SERIALIZE:
		r = serialize(e, q, &d);
		break;
	case RMDIR_MARK:
		r = mark(e, q, &d);
		break;
	case RMDIR_COMMIT:
		return commit(e, q, &d);
	case RMDIR_ABORT:
		return rmdir_abort(e, q, &d);
	default:
		return -EINVAL;
	}
	p->busy = r == -EAGAIN;
	return r;
}
