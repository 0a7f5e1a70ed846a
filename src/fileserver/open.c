/* SPDX-License-Identifier: MIT */
/*
 * Opens and shared open descriptions: OPEN CLOSE DUP OFD_LOCAL OFD_FLAGS (thesis 3.5).
 *
 * An inode counts its opens; opens by far cores also per core, with what each may do, since a
 * core may be lost with all that it had open, and since blocks are not reused while a far core
 * may access them. A mapping (OPEN_PIN) holds blocks like a far open.
 *
 * A description that processes of several cores share lives here, with its offset:
 *
 *   OPEN           DUP ofd=0 refs=2        READ/WRITE IO_SHARED    CLOSE ofd   CLOSE ofd
 *   local offset   offset and flags move   offset moves            refs 1      refs 0: takes the
 *                  here, refs 2                                                OPEN back
 *
 * Of a regular file an inode counts the opens that may write (mappings of such descriptions
 * too) and the programs that run it, OPEN_EXEC: each forbids the other (ETXTBSY). Both are part of
 * an OPEN and end with its CLOSE, so they are as exact as opens are. CLOSE is one way, but no exec
 * can overtake it: what was sent to a server first is handled first (ring.c), and who was told
 * of the close comes after it, since a close waits for room in a full ring (client/ofd.c). Of a directory it counts those that may list it (not a working
 * directory): without any, cookies may be used again (entry.c).
 *
 * Of a description with one reference OFD_LOCAL tells the holder the offset, which is the holder's
 * from then on (client/ofd.c). Nothing here says so: who has the only reference knows it, and only
 * by DUP with push, which brings the offset, can another core come to it.
 */
#include "fileserver/fs.h"

struct fs_ofd *fs_ofd_find(const struct fs_inode *i, u64 id)
{
	if (!i->more)
		return NULL;
	for (struct list *l = i->more->ofds.next; l != &i->more->ofds; l = l->next)
		if (LIST_ENTRY(l, struct fs_ofd, link)->id == id)
			return LIST_ENTRY(l, struct fs_ofd, link);
	return NULL;
}

/* --- counts ------------------------------------------------------------------------------------- */

static struct fs_far *far_of(const struct fs_inode *i, u32 core)
{
	struct fs_far *x = i->more ? i->more->far : NULL;

	while (x && x->core != core)
		x = x->next;
	return x;
}

static bool reads(u32 flags)
{
	return (flags & FS_O_ACCMODE) != O_WRONLY;
}
static bool writes(u32 flags)
{
	return (flags & FS_O_ACCMODE) != O_RDONLY;
}

static bool executes(u32 flags)
{
	return unlikely((flags & (OPEN_EXEC | O_PATH)) == OPEN_EXEC);
}
/* As Linux: access mode 3 opens neither for reading nor for writing. */
static bool may_write(u32 flags)
{
	return ((flags & FS_O_ACCMODE) + 1) & 2 && !(flags & (OPEN_EXEC | O_PATH));
}

static long far_count(struct rpc_env *e, struct fs_inode *i, u32 flags)
{
	struct ck *ck = e->ck;
	struct fs_more *m = fs_inode_more(e, i);
	struct fs_far *x = far_of(i, e->core);

	if (!m)
		return -ENOSPC;
	if (!x) {
		x = ck_alloc(ck, sizeof(*x));
		if (!x)
			return -ENOSPC;
		x->core = e->core;
		x->next = m->far;
		TX_SET(ck, m->far, x);
	}
	TX_SET(ck, x->opens, x->opens + 1);
	TX_SET(ck, m->far_opens, m->far_opens + 1);
	if (flags & OPEN_PIN)
		TX_SET(ck, x->pins, x->pins + 1);
	if (reads(flags))
		TX_SET(ck, x->readers, x->readers + 1);
	if (writes(flags))
		TX_SET(ck, x->writers, x->writers + 1);
	if (executes(flags))
		TX_SET(ck, x->runs, x->runs + 1);
	return 0;
}

/* In fs_inode.uses. */
#define ONE_OPEN 1ULL
#define ONE_USER (1ULL << 32)

/* A file's open that may write, a directory's that may list it. */
static inline bool is_user(const struct fs_inode *i, u32 flags)
{
	if (likely(fs_is_reg(i)))
		return may_write(flags);
	return fs_is_dir(i) && !(flags & O_PATH);
}

static long count_open(struct rpc_env *e, struct fs_inode *i, u32 flags)
{
	long r = e->far ? far_count(e, i, flags) : 0;
	u64 uses = ONE_OPEN;

	if (r < 0)
		return r;
	if (is_user(i, flags))
		uses |= ONE_USER;
	TX_SET(e->ck, i->uses, i->uses + uses);
	if (fs_is_reg(i) && executes(flags))
		TX_SET(e->ck, i->runs, i->runs + 1);
	fs_copy_opened(e->ck, i);
	if (flags & OPEN_PIN) {
		if (!fs_inode_more(e, i))
			return -ENOSPC;
		TX_SET(e->ck, i->more->pins, i->more->pins + 1);
	}
	if (fs_type(i) == HS_IFIFO && !(flags & O_PATH))
		fs_pipe_ends(e, i, flags, 1);
	return 0;
}

/* Mappings by near processes. */
static u32 near_pins(const struct fs_more *m)
{
	u32 n = m->pins;

	for (const struct fs_far *x = m->far; x; x = x->next)
		n -= MIN(n, x->pins);
	return n;
}

/* Partitioned DRAM: who has the copy that the processes of a core have mapped. */
static u64 copy_core(const struct fs *f, const struct fs_inode *i, u32 core)
{
	if (likely(!mem_is_partitioned(f->super)))
		return 0;
	return 1ULL << rpc_copy_core(f->super, mem_island_of(f->super, core),
				     i->node.key);
}

u64 fs_mapped_by(const struct fs *f, const struct fs_inode *i)
{
	const struct fs_more *m = i->more;
	u64 cores = 0;

	if (likely(!m || !m->pins))
		return 0;
	for (const struct fs_far *x = m->far; x; x = x->next)
		if (x->pins)
			cores |= 1ULL << x->core | copy_core(f, i, x->core);
	return near_pins(m) ? cores | f->near_cores : cores;
}

/* CUT_MARK to another core. -ENOSPC; -EAGAIN: it would wait for room there, while CUT_ASK of who makes the
 * file shorter comes by another ring. A second one may follow in this transaction (show_tail): that there
 * is room for it is seen by sending it, and taking it back. */
static long post_cut(struct rpc_env *e, u32 core, const struct req_CUT *q)
{
	long r = rpc_post_cut(e, core, q);
	u32 mark = ck_mark(e->ck);

	if (q->tail)
		return r;
	if (r >= 0 && q->size % PAGE_SIZE && !fs_of(e->ck)->coherent)
		r = rpc_post_cut(e, core, q);
	if (r >= 0 && msg_is_behind(e->ck, core))
		return -EAGAIN;
	ck_abort_to(e->ck, mark);
	return r;
}

long fs_cut(struct rpc_env *e, struct fs_inode *i, u64 size, blk_t tail)
{
	u64 cores = fs_mapped_by(fs_of(e->ck), i), left;
	struct req_CUT q = {
		.ino = i->node.key, .size = size, .op = CUT_MARK, .tail = tail
	};
	struct rep_CUT p;
	long r = 0;

	for (left = cores & ~(1ULL << e->srv); unlikely(left) && r >= 0; left &= left - 1)
		r = post_cut(e, (u32)__builtin_ctzll(left), &q);
	if (r >= 0 && cores & 1ULL << e->srv) /* last: it may commit half-way */
		(void)client_cut(e, &q, &p);
	return r;
}

static void less(struct ck *ck, u32 *n)
{
	if (*n)
		TX_SET(ck, *n, *n - 1);
}

static void far_uncount(struct ck *ck, struct fs_inode *i, struct fs_far *x, u32 flags)
{
	struct fs_far **at = &i->more->far;

	less(ck, &x->opens);
	less(ck, &i->more->far_opens);
	if ((flags & OPEN_PIN) && x->pins) {
		less(ck, &x->pins);
		less(ck, &i->more->pins);
	}
	if (reads(flags))
		less(ck, &x->readers);
	if (writes(flags))
		less(ck, &x->writers);
	if (executes(flags))
		less(ck, &x->runs);
	if (x->opens)
		return;
	if (x->pins) /* it closed its mappings as something else */
		TX_SET(ck, i->more->pins, i->more->pins - MIN(i->more->pins, x->pins));
	while (*at != x)
		at = &(*at)->next;
	TX_SET(ck, *at, x->next);
	ck_free(ck, x);
}

/* Takes opens back, at most so many as there are, and the users and runs among them. Neither is ever more
 * than the opens, should one be closed as something else. */
static void uncount(struct ck *ck, struct fs_inode *i, u32 opens, u32 users, u32 runs)
{
	u32 left = i->opens - MIN(i->opens, opens);
	u64 w = MIN(i->writers - MIN(i->writers, users), left);

	TX_SET(ck, i->uses, w * ONE_USER | left);
	if (fs_is_reg(i) && unlikely(i->runs))
		TX_SET(ck, i->runs, MIN(i->runs - MIN(i->runs, runs), left));
}

/* The same for one open, which there is. */
static inline void uncount_one(struct ck *ck, struct fs_inode *i, u32 flags)
{
	u32 users = is_user(i, flags);

	if (unlikely(i->opens - 1 < i->writers - users || i->writers < users ||
		     (fs_is_reg(i) && i->runs)))
		uncount(ck, i, 1, users, executes(flags));
	else
		TX_SET(ck, i->uses, i->uses - ONE_OPEN - users * ONE_USER);
}

/* After opens went: blocks in limbo may go, and the inode itself. */
static void closed(struct rpc_env *e, struct fs_inode *i)
{
	struct fs_more *m = i->more;

	if (m && !i->opens && m->pins)
		TX_SET(e->ck, m->pins, 0);
	if (m && m->limbo && !fs_has_direct(i))
		fs_limbo_free(e->ck, m);
	if (m && !e->far && (i->flags & FS_I_DIRTY) && fs_has_direct(i))
		fs_data_push(e, i, 0, ~0ULL >> 1, FS_TRIM_STEP);
	if (unlikely(i->flags & FS_I_AHEAD) && !i->writers)
		fs_ahead_free(e, i);
	if (i->opens)
		return;
	if (fs_type(i) == HS_IFIFO)
		fs_pipe_release(e,
				i); /* gone already, unless ends were closed as others */
	fs_inode_release(e, i);
}

static void count_close(struct rpc_env *e, struct fs_inode *i, u32 flags, u32 core)
{
	struct fs_far *x = far_of(i, core);
	u32 far_opens = i->more ? i->more->far_opens : 0;

	/* A close that no open was counted for changes nothing. */
	if (x)
		far_uncount(e->ck, i, x, flags);
	else if (i->opens <= far_opens)
		return;
	else if ((flags & OPEN_PIN) && i->more && near_pins(i->more))
		less(e->ck, &i->more->pins);
	uncount_one(e->ck, i, flags);
	if (fs_type(i) == HS_IFIFO && !(flags & O_PATH))
		fs_pipe_ends(e, i, flags, -1);
	closed(e, i);
}

void fs_far_drop(struct rpc_env *e, struct fs_inode *i, u32 core)
{
	struct fs_far *x = far_of(i, core), **at;
	struct fs_more *m = i->more;
	struct ck *ck = e->ck;

	if (!x)
		return;
	/* Of a directory's readers too many stay: cookies are used again later. */
	uncount(ck, i, x->opens, fs_is_reg(i) ? x->writers : 0, x->runs);
	TX_SET(ck, m->far_opens, m->far_opens - MIN(m->far_opens, x->opens));
	TX_SET(ck, m->pins, m->pins - MIN(m->pins, x->pins));
	if (fs_type(i) == HS_IFIFO && i->pipe)
		fs_async_lost(e, i, core);
	if (fs_type(i) == HS_IFIFO)
		fs_pipe_lost(e, i, x->readers, x->writers);
	at = &m->far;
	while (*at != x)
		at = &(*at)->next;
	TX_SET(ck, *at, x->next);
	ck_free(ck, x);
	closed(e, i);
}

/* --- OPEN ------------------------------------------------------------------------------------------ */

static inline long open_check(const struct fs_inode *i, u32 flags, const struct cred *cr)
{
	u32 want = 0;

	if (reads(flags))
		want |= MAY_READ;
	if (writes(flags) || (flags & O_TRUNC))
		want |= MAY_WRITE;
	if (flags & OPEN_EXEC)
		want = MAY_EXEC;
	if (fs_perm(cr, i->mode, i->uid, i->gid, want) < 0)
		return -EACCES;
	if ((flags & O_NOATIME) && cr->uid && cr->uid != i->uid)
		return -EPERM;
	return 0;
}

/* A file: permission first, then what Linux calls busy. cr NULL: nothing is asked. */
static long open_file(const struct fs_inode *i, u32 flags, const struct cred *cr)
{
	long r = cr ? open_check(i, flags, cr) : 0;

	if (unlikely(r < 0))
		return r;
	if (executes(flags) && i->writers)
		return -ETXTBSY;
	return may_write(flags) || flags & O_TRUNC ? fs_may_write(i) : 0;
}

/* What cannot be opened so, whoever asks. */
static long open_type(const struct fs_inode *i, u32 flags)
{
	switch (fs_type(i)) {
	case HS_IFDIR:
		return writes(flags) || (flags & O_TRUNC) ? -EISDIR : 0;
	case HS_IFLNK:
		return -ELOOP;
	case HS_IFSOCK:
	case HS_IFCHR:
	case HS_IFBLK:
		return -ENXIO;
	case HS_IFIFO:
		if ((flags & FS_O_ACCMODE) == FS_O_ACCMODE)
			return -EINVAL;
		if ((flags & (FS_O_ACCMODE | O_NONBLOCK)) == (O_WRONLY | O_NONBLOCK) &&
		    (!i->pipe || !i->pipe->readers))
			return -ENXIO;
		return 0;
	default:
		return 0;
	}
}

static long open_pipe(struct rpc_env *e, struct fs_inode *i, u32 flags, u64 *peers)
{
	struct fs_pipe *pipe = fs_pipe_of(e, i);

	if (!pipe)
		return -ENOSPC;
	/* For a blocking open: how often the other end was opened until now, see POLL; one that is
	 * open now counts as opened since, because it may be gone before POLL comes. */
	*peers = 1 + (u64)(reads(flags) ? pipe->writer_opens - !!pipe->writers
					: pipe->reader_opens - !!pipe->readers);
	return 0;
}

/* Linux asks for the type of a directory first, of the others after permission. */
static long open_other(struct rpc_env *e, struct fs_inode *i, u32 flags,
		       const struct cred *cr, u64 *peers)
{
	long r = 0;

	if (fs_is_dir(i) || fs_type(i) == HS_IFLNK)
		r = open_type(i, flags);
	if (!r && cr)
		r = open_check(i, flags, cr);
	if (!r)
		r = open_type(i, flags);
	if (!r && fs_type(i) == HS_IFIFO)
		r = open_pipe(e, i, flags, peers);
	return r;
}

long fs_open_inode(struct rpc_env *e, struct fs_inode *i, u32 flags,
		   const struct cred *cr, struct attr *attr, struct rpc_bytes *runs)
{
	const struct cred *asked = flags & (OPEN_PIN | OPEN_NOCHECK) ? NULL : cr;
	u64 peers = 0;
	long r = 0;

	if (!(flags & O_PATH)) {
		if ((flags & O_DIRECTORY) && !fs_is_dir(i))
			return -ENOTDIR;
		r = likely(fs_is_reg(i)) ? open_file(i, flags, asked)
					 : open_other(e, i, flags, asked, &peers);
	}
	if (r < 0)
		return r;
	if (unlikely(i->flags & FS_I_TRIM))
		(void)fs_trim_finish(e, i);
	if ((flags & O_TRUNC) && !(flags & O_PATH) && fs_is_reg(i)) {
		r = fs_data_truncate(e, i, 0);
		if (r < 0)
			return r;
		TX_SET(e->ck, i->version, i->version + 1);
		if (cr)
			fs_inode_drop_setid_of(e->ck, i, cr);
		fs_inode_touch(e->ck, i, host_realtime_ns());
	}
	r = count_open(e, i, flags);
	if (r < 0)
		return r;
	if (attr) {
		fs_inode_attr(i, attr);
		if (peers)
			attr->version = peers;
		if (flags & O_TRUNC)
			attr->mapped = fs_mapped_by(fs_of(e->ck), i);
	}
	if (runs && fs_is_reg(i))
		fs_runs(e, i, 0, (i->size + PAGE_SIZE - 1) / PAGE_SIZE, runs);
	return 0;
}

long fs_open(struct rpc_env *e, const struct req_OPEN *q, struct rep_OPEN *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);

	p->runs.len = 0;
	if (!i || (fs_is_dir(i) && !i->nlink && !(q->flags & OPEN_NOCHECK)))
		return -ENOENT;
	return fs_open_inode(e, i, q->flags, q->cred, &p->attr, &p->runs);
}

/* --- shared descriptions --------------------------------------------------------------------------- */

static void ofd_drop(struct rpc_env *e, struct fs_inode *i, struct fs_ofd *o)
{
	u32 flags = o->flags, core = o->core;

	if (o->refs > 1) {
		TX_SET(e->ck, o->refs, o->refs - 1);
		return;
	}
	fs_notify_closed(e, i, o);
	fs_locks_ofd_gone(e, i->more, LOCK_OWNER_SHARED | o->id);
	if (fs_type(i) == HS_IFIFO)
		fs_async_gone(e, i, LOCK_OWNER_SHARED | o->id);
	tx_list_del(e->ck, &o->link);
	ck_free(e->ck, o);
	count_close(e, i, flags, core);
}

long fs_close(struct rpc_env *e, const struct req_CLOSE *q, struct rep_CLOSE *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	struct fs_ofd *o;

	(void)p;
	if (!i)
		return -ENOENT;
	if (!q->ofd) {
		count_close(e, i, q->flags, q->core);
		return 0;
	}
	o = fs_ofd_find(i, q->ofd);
	if (!o)
		return -EBADF;
	ofd_drop(e, i, o);
	return 0;
}

/* Its open counts as the asking core's, which may access the blocks from now on. */
static long count_move(struct rpc_env *e, struct fs_inode *i, struct fs_ofd *o)
{
	struct fs_far *x;
	long r = 0;

	if (o->core == e->core)
		return 0;
	if (e->far)
		r = far_count(e, i, o->flags);
	if (r < 0)
		return r;
	x = far_of(i, o->core);
	TX_SET(e->ck, o->core, e->core);
	if (x) {
		far_uncount(e->ck, i, x, o->flags);
		closed(e, i);
	}
	return 0;
}

long fs_ofd_local(struct rpc_env *e, const struct req_OFD_LOCAL *q,
		  struct rep_OFD_LOCAL *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	struct fs_ofd *o = i ? fs_ofd_find(i, q->ofd) : NULL;
	long r;

	p->runs.len = 0;
	if (!o)
		return -EBADF;
	if (o->refs != 1)
		return -EAGAIN;
	r = count_move(e, i, o);
	if (r < 0)
		return r;
	p->off = o->off;
	p->flags = o->flags;
	fs_inode_attr(i, &p->attr);
	if (fs_is_reg(i))
		fs_runs(e, i, 0, (i->size + PAGE_SIZE - 1) / PAGE_SIZE, &p->runs);
	return 0;
}

#define OFD_REFS_MAX 0x7fffffffu
#define STATUS_FLAGS ((u32)(O_APPEND | O_NONBLOCK | O_NOATIME | O_DIRECT | FASYNC))

static u32 with_status(u32 flags, u32 status)
{
	return (flags & ~STATUS_FLAGS) | (status & STATUS_FLAGS);
}

long fs_dup(struct rpc_env *e, const struct req_DUP *q, struct rep_DUP *p)
{
	struct fs *f = fs_of(e->ck);
	struct fs_inode *i = fs_inode_find(f, q->ino);
	struct fs_ofd *o;

	if (!i || !i->opens)
		return -EBADF;
	if (q->ofd) {
		o = fs_ofd_find(i, q->ofd);
		if (!o || q->refs > OFD_REFS_MAX - o->refs)
			return -EBADF;
		if (q->refs)
			TX_SET(e->ck, o->refs, o->refs + q->refs);
		if (q->push) {
			TX_SET(e->ck, o->off, q->off);
			TX_SET(e->ck, o->flags, with_status(o->flags, q->flags));
		}
	} else {
		if (!q->refs || q->refs > OFD_REFS_MAX)
			return -EINVAL;
		o = fs_inode_more(e, i) ? ck_alloc_for(e->ck, CK_HELD, sizeof(*o)) : NULL;
		if (!o)
			return -ENOSPC;
		o->id = f->next_ofd;
		TX_SET(e->ck, f->next_ofd, f->next_ofd + 1);
		o->off = q->off;
		o->flags = q->flags;
		o->refs = q->refs;
		o->core = e->core;
		o->parent = q->parent;
		o->parent_dflags = q->parent_dflags;
		o->hash = q->hash;
		tx_list_add_tail(e->ck, &i->more->ofds, &o->link);
		if (q->lock_owner && fs_locks_pass(e, i->more, q->lock_owner,
						   LOCK_OWNER_SHARED | o->id) < 0)
			return -ENOSPC;
		if (q->lock_owner && fs_type(i) == HS_IFIFO)
			fs_async_pass(e, i, q->lock_owner, LOCK_OWNER_SHARED | o->id);
	}
	p->ofd = o->id;
	p->refs = o->refs;
	return 0;
}

long fs_ofd_flags(struct rpc_env *e, const struct req_OFD_FLAGS *q,
		  struct rep_OFD_FLAGS *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	struct fs_ofd *o = i ? fs_ofd_find(i, q->ofd) : NULL;

	if (!o)
		return -EBADF;
	if (q->set && (q->flags ^ o->flags) & O_DIRECT && fs_type(i) == HS_IFIFO &&
	    i->pipe)
		TX_SET(e->ck, i->pipe->flags, i->pipe->flags | FS_P_DIRECT);
	if (q->set && o->flags & ~q->flags & FASYNC && fs_type(i) == HS_IFIFO)
		fs_async_off(e, i, LOCK_OWNER_SHARED | o->id);
	if (q->set)
		TX_SET(e->ck, o->flags, with_status(o->flags, q->flags));
	p->flags = o->flags;
	p->last = o->refs == 1;
	return 0;
}
