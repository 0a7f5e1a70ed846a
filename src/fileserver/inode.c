/* SPDX-License-Identifier: MIT */
/*
 * Inodes: life cycle and attributes. LINK FSTAT DESTROY CHMOD CHOWN UTIMENS READLINK STATFS.
 *
 * An inode lives while it has links or opens. A directory's stored link count is 1 while it is
 * there and 0 when removed; what stat shows is 2 + subdirectories, as tmpfs does.
 */
#include <linux/inotify.h>

#include "fileserver/fs.h"

#define LINKS_MAX 0x7fffffffu

void *fs_alloc(struct ck *ck, size_t size)
{
	return ck_alloc_for(ck, CK_GROWTH, size);
}

struct fs_inode *fs_inode_new(struct rpc_env *e, enum ck_use use, u32 mode, u32 uid,
			      u32 gid)
{
	struct fs *f = fs_of(e->ck);
	bool dir = (mode & HS_IFMT) == HS_IFDIR;
	struct fs_inode *i = ck_alloc_for(
		e->ck, use, dir ? sizeof(struct fs_dirinode) : sizeof(struct fs_inode));

	if (!i)
		return NULL;
	i->node.key = f->next_ino;
	TX_SET(e->ck, f->next_ino, f->next_ino + 1);
	i->mode = (u16)mode;
	i->nlink = 1;
	i->uid = uid;
	i->gid = gid;
	i->mtime = i->ctime = i->atime = i->btime = host_realtime_ns();
	i->version = 1;
	if (dir)
		fs_part_init_fresh(fs_inode_part(i), i->node.key);
	fs_table_insert_fresh(e->ck, &f->inodes, &i->node);
	return i;
}

struct fs_more *fs_inode_more(struct rpc_env *e, struct fs_inode *i)
{
	struct fs_more *m = i->more;

	if (m)
		return m;
	m = ck_alloc_for(e->ck, CK_HELD, sizeof(*m));
	if (!m)
		return NULL;
	m->inode = i;
	list_init_fresh(&m->locks);
	list_init_fresh(&m->lock_waiters);
	list_init_fresh(&m->ofds);
	tx_list_add_tail(e->ck, &fs_of(e->ck)->more, &m->all);
	TX_SET(e->ck, i->more, m);
	return m;
}

static void more_free(struct rpc_env *e, struct fs_inode *i)
{
	struct fs_more *m = i->more;

	fs_locks_release(e, m);
	fs_xattrs_free(e->ck, m);
	fs_limbo_free(e->ck, m);
	while (!list_empty(&m->ofds)) {
		struct fs_ofd *o = LIST_ENTRY(m->ofds.next, struct fs_ofd, link);

		tx_list_del(e->ck, &o->link);
		ck_free(e->ck, o);
	}
	while (m->far) {
		struct fs_far *x = m->far;

		TX_SET(e->ck, m->far, x->next);
		ck_free(e->ck, x);
	}
	tx_list_del(e->ck, &m->all);
	TX_SET(e->ck, i->more, NULL);
	ck_free(e->ck, m);
}

void fs_inode_release(struct rpc_env *e, struct fs_inode *i)
{
	struct ck *ck = e->ck;
	struct fs *f = fs_of(ck);

	if (i->nlink || i->opens)
		return;
	fs_notify_gone(e, i->node.key, true);
	fs_table_remove(ck, &f->inodes, &i->node);
	if (unlikely(i->flags & FS_I_COPY))
		fs_copy_gone(ck, i);
	if (i->more)
		more_free(e, i);
	switch (fs_type(i)) {
	case HS_IFREG:
		if (fs_map_free(ck, &i->map, 0, ~0ULL, FS_TRIM_STEP) == FS_TRIM_STEP &&
		    i->map.count) {
			fs_dead_add(ck, i);
			return;
		}
		break;
	case HS_IFDIR:
		fs_part_release(e, fs_inode_part(i));
		break;
	case HS_IFIFO:
		fs_pipe_release(e, i);
		break;
	case HS_IFLNK:
		ck_free(ck, i->target);
		break;
	default:
		break;
	}
	ck_free(ck, i);
}

static void link_drop(struct rpc_env *e, struct fs_inode *i, u64 now)
{
	TX_SET(e->ck, i->nlink, i->nlink - 1);
	fs_notify_self(e, i->node.key, IN_ATTRIB);
	if (i->nlink || i->opens) {
		if (i->ctime != now)
			TX_SET(e->ck, i->ctime, now);
		return;
	}
	fs_inode_release(e, i);
}

void fs_inode_unlink(struct rpc_env *e, struct fs_inode *i, u64 now)
{
	if (unlikely(i->flags & FS_I_LINKABLE)) /* it has had a name */
		TX_SET(e->ck, i->flags, (u16)(i->flags & ~FS_I_LINKABLE));
	link_drop(e, i, now);
}

void fs_inode_attr(const struct fs_inode *i, struct attr *a)
{
	a->ino = i->node.key;
	a->mode = i->mode;
	a->nlink = i->flags & FS_I_ANON ? 1 : i->nlink;
	a->uid = i->uid;
	a->gid = i->gid;
	a->size = i->size;
	a->blocks = 0;
	a->rdev = 0;
	a->atime = i->atime;
	a->mtime = i->mtime;
	a->ctime = i->ctime;
	a->btime = i->btime;
	a->version = i->version;
	a->dflags = 0;
	a->pad = 0;
	a->mapped = 0;
	if (fs_is_reg(i)) {
		a->blocks = i->map.count;
	} else if (fs_is_dir(i)) {
		const struct fs_part *p = &((const struct fs_dirinode *)i)->part;

		a->nlink = i->nlink ? 2 + (u32)p->subdirs : 0;
		a->size = p->entries;
		a->dflags = p->dflags;
	} else if (fs_type(i) == HS_IFCHR || fs_type(i) == HS_IFBLK) {
		a->rdev = i->rdev;
	}
}

void fs_inode_drop_setid(struct ck *ck, struct fs_inode *i, u32 uid)
{
	u32 mode = i->mode;

	if (likely(!(mode & (HS_ISUID | HS_ISGID))) || !uid || !fs_is_reg(i))
		return;
	mode &= ~HS_ISUID;
	if (mode & 0010) /* without group execution it is a mark for locking */
		mode &= ~HS_ISGID;
	if (mode != i->mode)
		TX_SET(ck, i->mode, (u16)mode);
}

/* The same where the groups of who asks are known: the mark for locking goes, too, when the file's
 * is none of them. */
void fs_inode_drop_setid_of(struct ck *ck, struct fs_inode *i, const struct cred *cr)
{
	fs_inode_drop_setid(ck, i, cr->uid);
	if (unlikely(i->mode & HS_ISGID) && cr->uid && fs_is_reg(i) &&
	    !fs_in_group(cr, i->gid))
		TX_SET(ck, i->mode, (u16)(i->mode & ~HS_ISGID));
}

/* --- handlers ------------------------------------------------------------------------------------- */

long fs_link(struct rpc_env *e, const struct req_LINK *q, struct rep_LINK *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	u64 now;

	if (!i)
		return -ENOENT;
	if (fs_is_dir(i))
		return -EPERM;
	if (q->delta != 1 && q->delta != -1)
		return -EINVAL;
	if (!i->nlink && (q->delta < 0 || !(i->flags & FS_I_LINKABLE)))
		return -ENOENT;
	if (q->delta > 0 && i->nlink >= LINKS_MAX)
		return -EMLINK;
	now = host_realtime_ns();
	if (q->delta > 0) {
		TX_SET(e->ck, i->nlink, i->nlink + 1);
		TX_SET(e->ck, i->ctime, now);
		fs_inode_attr(i, &p->attr);
		fs_notify_self(e, q->ino, IN_ATTRIB);
		return 0;
	}
	fs_inode_attr(i, &p->attr);
	p->attr.nlink--;
	if (q->undo)
		link_drop(e, i, now);
	else
		fs_inode_unlink(e, i, now);
	return 0;
}

long fs_fstat(struct rpc_env *e, const struct req_FSTAT *q, struct rep_FSTAT *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);

	if (!i)
		return -ENOENT;
	fs_inode_attr(i, &p->attr);
	return 0;
}

long fs_destroy(struct rpc_env *e, const struct req_DESTROY *q, struct rep_DESTROY *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	u64 now = host_realtime_ns();

	(void)p;
	if (!i || !i->nlink)
		return -ENOENT;
	if (q->ino == INO_ROOT)
		return -EBUSY;
	if (!fs_is_dir(i)) {
		fs_inode_unlink(e, i, now);
		return 0;
	}
	if (fs_inode_part(i)->entries)
		return -ENOTEMPTY;
	fs_dir_gone(e, i, now);
	return 0;
}

long fs_chmod(struct rpc_env *e, const struct req_CHMOD *q, struct rep_CHMOD *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	u32 mode = q->mode & 07777;

	if (!i)
		return -ENOENT;
	if (q->cred->uid && q->cred->uid != i->uid)
		return -EPERM;
	if (fs_type(i) == HS_IFLNK)
		return -EOPNOTSUPP;
	if (q->cred->uid && !fs_in_group(q->cred, i->gid))
		mode &= ~HS_ISGID;
	TX_SET(e->ck, i->mode, (u16)(fs_type(i) | mode));
	TX_SET(e->ck, i->ctime, host_realtime_ns());
	fs_inode_attr(i, &p->attr);
	return fs_is_dir(i) ? fs_dir_perm_changed(e, i) : 0;
}

long fs_chown(struct rpc_env *e, const struct req_CHOWN *q, struct rep_CHOWN *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	const struct cred *cr = q->cred;
	u32 mode;

	if (!i)
		return -ENOENT;
	mode = i->mode;
	if (cr->uid) {
		if (q->uid != ~0u && (cr->uid != i->uid || q->uid != i->uid))
			return -EPERM;
		if (q->gid != ~0u &&
		    (cr->uid != i->uid || (q->gid != i->gid && !fs_in_group(cr, q->gid))))
			return -EPERM;
	}
	if (!fs_is_dir(i)) {
		mode &= ~HS_ISUID;
		if (mode & 0010)
			mode &= ~HS_ISGID;
	}
	if (q->uid != ~0u)
		TX_SET(e->ck, i->uid, q->uid);
	if (q->gid != ~0u)
		TX_SET(e->ck, i->gid, q->gid);
	if (mode != i->mode)
		TX_SET(e->ck, i->mode, (u16)mode);
	TX_SET(e->ck, i->ctime, host_realtime_ns());
	fs_inode_attr(i, &p->attr);
	return fs_is_dir(i) ? fs_dir_perm_changed(e, i) : 0;
}

long fs_utimens(struct rpc_env *e, const struct req_UTIMENS *q, struct rep_UTIMENS *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	const struct cred *cr = q->cred;
	u64 now = host_realtime_ns();

	(void)p;
	if (!i)
		return -ENOENT;
	if (cr->uid && cr->uid != i->uid) {
		if (q->flags & UTIMENS_OWNER)
			return -EPERM;
		if (fs_perm(cr, i->mode, i->uid, i->gid, MAY_WRITE) < 0)
			return -EACCES;
	}
	if (q->flags & (UTIMENS_ATIME | UTIMENS_ATIME_NOW))
		TX_SET(e->ck, i->atime, q->flags & UTIMENS_ATIME_NOW ? now : q->atime);
	if (q->flags & (UTIMENS_MTIME | UTIMENS_MTIME_NOW))
		TX_SET(e->ck, i->mtime, q->flags & UTIMENS_MTIME_NOW ? now : q->mtime);
	if (q->flags & UTIMENS_MTIME)
		TX_SET(e->ck, i->flags, (u16)(i->flags | FS_I_TIMED));
	else if (q->flags & UTIMENS_MTIME_NOW)
		TX_SET(e->ck, i->flags, (u16)(i->flags & ~FS_I_TIMED));
	TX_SET(e->ck, i->ctime, now);
	return 0;
}

long fs_hint(struct rpc_env *e, const struct req_HINT *q, struct rep_HINT *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);

	if (!i)
		return -ENOENT;
	if (q->set) {
		if (q->cred->uid && q->cred->uid != i->uid)
			return -EPERM;
		if (q->hint > RW_HINT_MAX)
			return -EINVAL;
		TX_SET(e->ck, i->flags,
		       (u16)((i->flags & ~FS_I_HINT) |
			     q->hint * (FS_I_HINT & -FS_I_HINT)));
	}
	p->hint = (i->flags & FS_I_HINT) / (FS_I_HINT & -FS_I_HINT);
	return 0;
}

long fs_readlink(struct rpc_env *e, const struct req_READLINK *q, struct rep_READLINK *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	u32 len;

	if (!i)
		return -ENOENT;
	if (fs_type(i) != HS_IFLNK)
		return -EINVAL;
	len = MIN((u32)i->size, p->data.cap);
	if (p->data.p)
		memcpy(p->data.p, i->target, len);
	p->data.len = len;
	fs_inode_read_at(e->ck, i);
	return 0;
}

#define INODE_COST                                                                       \
	384 /* heap bytes of a file: inode, entry, its share of tables and maps */

long fs_statfs(struct rpc_env *e, const struct req_STATFS *q, struct rep_STATFS *p)
{
	const struct fs *f = fs_of(e->ck);
	struct fs_stats s;

	(void)q;
	fs_stats(e->ck, &s);
	p->blocks = f->blk_share -
		    f->blk_kept; /* so that the sum over servers stays as it is */
	p->blocks_free = s.blocks_free;
	p->inodes_free = s.heap > s.heap_used ? (s.heap - s.heap_used) / INODE_COST : 0;
	p->inodes = s.inodes + p->inodes_free;
	return 0;
}
