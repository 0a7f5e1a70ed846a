/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing files, by whichever way the file's server is reached:
 *
 *   near    local calls of 64 KiB at a time; always coherent. One buffer is copied once, straight
 *           between program and block (read_direct, write_direct); vectors, and what goes wrong
 *           there, go through t->bounce by READ and WRITE
 *   far     directly in the blocks (vnode.c); by message what only the server can do: writes at
 *           the end (O_APPEND), writes behind it, descriptions whose offset is shared by cores. This
 *           core may know of the file by other descriptions, and their writes may be in its cache
 *           alone: those are told before, and what it knows is forgotten after a WRITE
 *   far, without direct access (--without, or no memory for a vnode): messages of 16 KiB; what
 *           this island has mapped of it is in copy.c
 *
 * A page of the program may be missing, and fetching it may take long, or want what the lock
 * protects. So reads copy after the lock is released; the exception is write_direct.
 */
#include <linux/fs.h>

#include "client/file.h"
#include "client/path.h"

#define S_OFF_MAX ((u64)FILE_OFF_MAX)

/* --- by READ and WRITE ------------------------------------------------------------ */

static u32 piece_max(const struct ofd *o)
{
	return o->far ? MSG_IO_MAX : CLIENT_BOUNCE_SIZE;
}

/* What this core has written of a far file is for the server to find. */
static __attribute__((noinline)) void tell_written(struct task *t, struct ofd *o)
{
	struct vnode *v = o->vnode;

	if (t->ctx.isl->super->without & WITHOUT_DIRECT_ACCESS)
		return;
	if (v) {
		if (v->dirty_to)
			vnode_sync(t, v);
		return;
	}
	/* A description that came by exec; others of this core may be another one's. */
	v = vnode_find(t, o->ino);
	if (!v)
		return;
	if (v->dirty_to)
		vnode_sync(t, v);
	vnode_put(t, v);
}

/* One READ into t->bounce; bytes or -errno. */
static long read_piece(struct task *t, struct ofd *o, u64 off, u32 len, u32 flags)
{
	struct req_READ q = {
		.ino = o->ino, .ofd = o->shared, .off = off, .len = len, .flags = flags
	};
	struct rep_READ p = { .data = { .p = t->bounce, .cap = len } };
	long r;

	if (unlikely(o->flags & O_NOATIME))
		q.flags |= IO_NOATIME;
	if (unlikely(o->far) && len) {
		tell_written(t, o);
		(void)copy_flush(t, o->ino, flags & IO_SHARED ? 0 : off,
				 flags & IO_SHARED ? FILE_OFF_MAX : off + len);
	}
	r = rpc_read(&t->ctx, ofd_server(o), &q, &p);
	if (r < 0)
		return r;
	ofd_told(o, p.last);
	return (long)p.data.len;
}

void file_accessed(struct task *t, struct ofd *o)
{
	if (o->vnode)
		vnode_accessed(t, o->vnode);
	else
		(void)read_piece(t, o, 0, 0, 0);
}

/* A near file and one buffer. */
static bool goes_direct(const struct task *t, const struct ofd *o, const struct uio *u,
			u32 flags)
{
	return !o->far && !(flags & IO_SHARED) && !u->user && !trace_is_on(t->ctx.ck);
}

/* Bytes [off, off+len) of a span's blocks, neighbours in memory in one piece. 0 or -EFAULT. */
static long span_copy(const struct island *isl, const struct fs_span *s, u64 off,
		      char *user)
{
	u32 in = (u32)(off % PAGE_SIZE), left = s->len, i = 0;

	while (left) {
		u32 n = MIN(left, PAGE_SIZE - in);
		blk_t blk = s->blk[i++];

		while (n < left && s->blk[i] == (blk ? s->blk[i - 1] + 1 : 0)) {
			n += MIN(left - n, PAGE_SIZE);
			i++;
		}
		if (likely(blk) ? user_write(user, mem_block(isl, blk) + in, n)
				: user_zero(user, n))
			return -EFAULT;
		user += n;
		left -= n;
		in = 0;
	}
	return 0;
}

/* A READ that is copied once, without the lock; u moves on. Bytes, or what says that it has to be
 * done by READ: that it failed, or that data of this server changed meanwhile. */
static long read_direct(struct task *t, struct ofd *o, struct uio *u, u64 off, u32 len)
{
	struct rpc_env e;
	struct fs_span s;
	long r;

	step_lock(t, ofd_server(o), &e);
	r = fs_read_span(&e, o->ino, off, len, o->flags & O_NOATIME ? IO_NOATIME : 0, &s);
	e.ck->counter[COUNT_LOCAL(RPC_READ)]++;
	if (unlikely(r))
		ck_abort(e.ck);
	msg_unlock(&t->ctx, e.ck);
	if (unlikely(r) || !s.len)
		return r;
	race_point("copy out", RACE_AT);
	if (unlikely(span_copy(t->ctx.isl, &s, off, u->at)))
		return -EFAULT;
	if (unlikely(!fs_span_holds(e.ck, &s)))
		return -EAGAIN;
	u->at += s.len;
	u->left -= s.len;
	u->total -= s.len;
	return s.len;
}

/* What was read there but could not be given to the program is to be read again. */
static void shared_back(struct task *t, struct ofd *o, u64 n)
{
	struct req_LSEEK q = {
		.ino = o->ino, .ofd = o->shared, .off = -(s64)n, .whence = SEEK_CUR
	};
	struct rep_LSEEK p;

	(void)rpc_lseek(&t->ctx, ofd_server(o), &q, &p);
}

/* By message or local call; shared: at the offset that is the server's. */
static long read_by_call(struct task *t, struct ofd *o, struct uio *u, u64 *off,
			 u32 flags)
{
	bool direct = goes_direct(t, o, u, flags);
	size_t want = u->total;
	long r = 0;

	while (u->total) {
		u32 len = (u32)MIN(u->total, (size_t)piece_max(o));
		size_t before = u->total;
		long fault;

		if (likely(direct)) {
			r = read_direct(t, o, u, *off, len);
			if (likely(r > 0))
				*off += (u64)r;
			if (likely(r >= 0 && (u32)r < len))
				break;
			if (r >= 0)
				continue;
			direct = false;
		}
		r = read_piece(t, o, *off, len, flags);
		if (r <= 0)
			break;
		fault = uio_put(u, t->bounce, (size_t)r);
		*off += before - u->total;
		if (unlikely(fault) && flags & IO_SHARED)
			shared_back(t, o, (u64)r - (before - u->total));
		if (fault || (u32)r < len) {
			r = fault;
			break;
		}
	}
	return want != u->total ? (long)(want - u->total) : MIN(r, 0L);
}

/* --- longer than one WRITE, and nothing may come between -------------------------- */

#define APPEND_SLICE 50000000LL
#define APPEND_LONG  5000000000ULL /* ns */

static long append_call(struct task *t, struct ofd *o, u32 type, u32 seq)
{
	struct req_LOCK q = { .ino = o->ino,
			      .kind = LOCK_APPEND,
			      .op = LOCK_SET,
			      .owner = thread_owner(t),
			      .type = type,
			      .end = ~0ULL,
			      .wait_seq = seq };
	struct rep_LOCK p;

	return rpc_lock(&t->ctx, ofd_server(o), &q, &p);
}

void append_unlock(struct task *t, struct ofd *o)
{
	(void)append_call(t, o, F_UNLCK, 0);
}

bool append_lock(struct task *t, struct ofd *o)
{
	u64 end = host_monotonic_ns() + APPEND_LONG;
	long r;

	do {
		u32 seq = msg_event_prepare(&t->ctx);

		r = append_call(t, o, F_WRLCK, seq);
		if (r == -EAGAIN &&
		    msg_event_wait(&t->ctx, seq, APPEND_SLICE) == -HARE_ERESTARTSYS)
			break;
	} while (r == -EAGAIN && host_monotonic_ns() < end);
	if (r == -EAGAIN)
		append_unlock(t, o); /* it waits no more */
	return !r;
}

/* A WRITE, and this island's copy of a far file, if there is one, is told. */
static long write_once(struct task *t, struct ofd *o, struct req_WRITE *q,
		       struct rep_WRITE *p)
{
	bool begun;
	u32 gen = 0;
	long r;

	if (likely(!o->far))
		return room_write(t, ofd_server(o), q, p);
	begun = copy_write_begin(t, o->ino, &gen);
	r = room_write(t, ofd_server(o), q, p);
	copy_write_end(t, o->ino, begun, gen, p->off, q->data.p, r < 0 ? 0 : p->count);
	return r;
}

/* A WRITE that came in the midst of another's. */
static long write_in_turn(struct task *t, struct ofd *o, struct req_WRITE *q,
			  struct rep_WRITE *p)
{
	bool locked = append_lock(t, o);
	long r;

	if (!locked && host_signal_pending())
		return -HARE_ERESTARTSYS;
	q->flags |= IO_ANYWAY;
	r = write_once(t, o, q, p);
	if (locked)
		append_unlock(t, o);
	return r;
}

static u64 size_limit(const struct task *t)
{
	const struct fdtable *ft = t->proc->fds;

	return ft && ft->limit ? ft->fsize : ~0ULL;
}

static void raise_sigxfsz(struct task *t)
{
	SYS(tgkill, t->proc->host_pid, t->ctx.tid, 25 /* SIGXFSZ */);
}

static long write_piece(struct task *t, struct ofd *o, u64 off, void *data, u32 len,
			u32 flags, struct rep_WRITE *p)
{
	struct req_WRITE q = {
		.ino = o->ino,
		.ofd = o->shared,
		.off = off,
		.limit = size_limit(t) + 1, /* none: 0 */
		.flags = flags,
		.uid = t->proc->cred.uid,
		.data = { .p = data, .len = len },
	};
	long r;

	if (unlikely(o->far))
		tell_written(t, o);
	r = write_once(t, o, &q, p);
	if (unlikely(r == -EAGAIN))
		r = write_in_turn(t, o, &q, p);
	if (r >= 0 && unlikely(o->vnode != NULL))
		vnode_written(t, o->vnode, p->off, p->size);
	if (r >= 0)
		ofd_told(o, p->last);
	return r < 0 ? r : (long)p->count;
}

/* Reads a byte of each page, so that they are there. */
static long touch(const char *user, size_t len)
{
	const char *end = user + len, *p = user;
	char c;

	do {
		if (user_read(&c, p, 1))
			return -EFAULT;
		p = (const char *)ALIGN_DOWN((u64)p + PAGE_SIZE, PAGE_SIZE);
	} while (p < end);
	return 0;
}

/* A WRITE of one buffer that is copied once: by the handler, from the program's memory, under the
 * lock. So this is for programs of one thread, whose pages nobody unmaps after they were touched;
 * should one be missing all the same (it was paged out in these nanoseconds), then the host brings
 * it back while others wait, or user_read fails and WRITE is taken back. -EFAULT: through
 * t->bounce then. */
static long write_direct(struct task *t, struct ofd *o, u64 off, struct uio *u, u32 len,
			 u32 flags, struct rep_WRITE *p)
{
	long r;

	if (unlikely(touch(u->at, len)))
		return -EFAULT;
	race_point("touched", RACE_AT);
	t->copies_locked = true;
	r = write_piece(t, o, off, u->at, len, flags, p);
	t->copies_locked = false;
	if (unlikely(r < 0))
		return r;
	u->at += len;
	u->left -= len;
	u->total -= len;
	return r;
}

static long write_by_call(struct task *t, struct ofd *o, struct uio *u, u64 *off,
			  u32 flags)
{
	bool direct = goes_direct(t, o, u, flags) && t->proc->threads <= 1;
	size_t want = u->total, done = 0;
	bool fault = false;
	bool locked = flags & (IO_APPEND | IO_SHARED) && want > piece_max(o) &&
		      append_lock(t, o);
	long r = 0;

	while (done < want) {
		u32 len = (u32)MIN(u->total, (size_t)piece_max(o));
		struct rep_WRITE p;

		r = direct ? write_direct(t, o, *off, u, len, flags, &p) : -EFAULT;
		if (r == -EFAULT) {
			direct = false;
			size_t before = u->total;

			/* what is before a page that is not there is written */
			fault = uio_get(u, t->bounce, len) != 0;
			if (unlikely(fault))
				len = (u32)(before - u->total);
			if (!len)
				break;
			r = write_piece(t, o, *off, t->bounce, len, flags, &p);
		}
		if (r < 0)
			break;
		done += (size_t)r;
		*off = p.off + (u64)r;
		if ((u32)r < len || fault)
			break;
	}
	if (locked)
		append_unlock(t, o);
	/* With a limit, that is why. */
	if (unlikely(r == -EFBIG && !done && size_limit(t) < S_OFF_MAX))
		raise_sigxfsz(t);
	return done ? (long)done : r;
}

/* A far file: other processes of this core may know of it by descriptions of their own, and see what is
 * written when this returns. */
static __attribute__((noinline)) long write_there(struct task *t, struct ofd *o,
						  struct uio *u, u64 *off, u32 flags)
{
	struct vnode *v = NULL;
	long r;

	if (!(t->ctx.isl->super->without & WITHOUT_DIRECT_ACCESS))
		v = vnode_join(t, o);
	if (v)
		busy_lock(t, &v->busy);
	r = write_by_call(t, o, u, off, flags);
	if (v)
		busy_unlock(&v->busy);
	return r;
}

/* --- files ------------------------------------------------------------------------ */

long file_readv(struct task *t, struct ofd *o, struct uio *u, u64 *off)
{
	long r;

	if (unlikely((s64)(*off | (*off + u->total)) < 0)) /* the end, too */
		return -EINVAL;
	if (likely(!o->vnode) || o->shared)
		return read_by_call(t, o, u, off, 0);
	r = vnode_read(t, o->vnode, u, off);
	return r == -ENOMEM ? read_by_call(t, o, u, off, 0) : r;
}

/* A far file with a vnode: directly, and by message what lies behind the end. */
static long write_far(struct task *t, struct ofd *o, struct uio *u, u64 *off, u32 flags)
{
	struct vnode *v = o->vnode;
	u64 start = *off;
	long r = 0;

	while (u->total && r >= 0) {
		size_t before = u->total;
		bool there = flags & IO_APPEND || *off > v->size;

		r = there ? -ENOMEM : vnode_write(t, v, u, off);
		if (r == -ENOMEM) {
			there = true;
			r = write_there(t, o, u, off, flags);
		}
		/* Here nothing is written for one reason: another makes the file shorter. */
		if (flags & IO_APPEND || (there && u->total == before))
			break;
	}
	if (flags & IO_APPEND)
		return r;
	return *off != start ? (long)(*off - start) : r;
}

static u64 size_of(struct task *t, u64 ino)
{
	struct attr a;

	return attr_get(t, ino, &a) ? 0 : a.size;
}

/* How much of a write RLIMIT_FSIZE and the format's end let through; 0: -EFBIG. At the end of the
 * file, and at an offset that cores share, the server looks. */
static u64 write_room(struct task *t, u64 off, u32 flags)
{
	u64 limit = size_limit(t);

	if (likely(limit >= S_OFF_MAX))
		return off < S_OFF_MAX ? S_OFF_MAX - off : 0;
	if (flags & IO_APPEND)
		return S_OFF_MAX;
	if (off < limit)
		return limit - off;
	raise_sigxfsz(t);
	return 0;
}

long file_limit(struct task *t, u64 ino, u64 end)
{
	if (likely(end <= size_limit(t)) || end <= size_of(t, ino))
		return 0;
	raise_sigxfsz(t);
	return -EFBIG;
}

long file_writev(struct task *t, struct ofd *o, struct uio *u, u64 *off, u32 flags)
{
	u64 room;
	long r;

	if (unlikely((s64)(*off | (*off + u->total)) < 0)) /* the end, too */
		return -EINVAL;
	if (!u->total)
		return 0;
	room = write_room(t, flags & IO_APPEND ? 0 : *off, flags);
	if (unlikely(room < u->total)) {
		if (!room)
			return -EFBIG;
		u->total = room;
	}
	if (likely(!o->vnode) || o->shared) {
		r = likely(!o->far) ? write_by_call(t, o, u, off, flags)
				    : write_there(t, o, u, off, flags);
	} else {
		r = write_far(t, o, u, off, flags);
		/* It became SHARED meanwhile: its other holders read at the server. */
		if (unlikely(__atomic_load_n(&o->shared, __ATOMIC_RELAXED)))
			vnode_sync(t, o->vnode);
	}
	if (unlikely(o->flags & O_DSYNC) && r > 0)
		(void)file_sync(t, o);
	if (maps_any(t))
		maps_grown(t, o->ino);
	return r;
}

long file_read(struct task *t, struct ofd *o, char *user, size_t len, u64 *off)
{
	struct uio u;

	uio_buf(&u, user, len);
	return file_readv(t, o, &u, off);
}

long file_write(struct task *t, struct ofd *o, const char *user, size_t len, u64 *off,
		u32 flags)
{
	struct uio u;

	uio_buf(&u, (void *)user, len);
	return file_writev(t, o, &u, off, flags);
}

/* --- at the description's offset -------------------------------------------------- */

/* The offset of a local description moves. Whoever moves it holds it (pos_lock) or is
 * alone, and one word needs no undo: nothing else depends on it. */
static void set_off(struct ofd *o, u64 off)
{
	__atomic_store_n(&o->off, off, __ATOMIC_RELAXED);
}

static u64 get_off(const struct ofd *o)
{
	return __atomic_load_n(&o->off, __ATOMIC_RELAXED);
}

long file_read_here(struct task *t, struct ofd *o, struct uio *u)
{
	bool locked;
	u64 off = 0;
	long r;

	if (unlikely(!pos_lock_local(t, o, &locked))) {
		r = read_by_call(t, o, u, &off, IO_SHARED);
		pos_unlock(o, locked);
		return r;
	}
	off = get_off(o);
	r = file_readv(t, o, u, &off);
	set_off(o, off);
	pos_unlock(o, locked);
	return r;
}

long file_write_here(struct task *t, struct ofd *o, struct uio *u, u32 flags)
{
	bool locked;
	u64 off = 0;
	long r;

	if (unlikely(!pos_lock_local(t, o, &locked))) {
		flags |= IO_SHARED;
		r = o->far ? write_there(t, o, u, &off, flags)
			   : write_by_call(t, o, u, &off, flags);
		pos_unlock(o, locked);
		return r;
	}
	off = get_off(o);
	if (o->flags & O_APPEND && !(flags & IO_NOAPPEND))
		flags |= IO_APPEND;
	r = file_writev(t, o, u, &off, flags & IO_APPEND);
	set_off(o, off);
	pos_unlock(o, locked);
	return r;
}

/* --- open, sync, truncate --------------------------------------------------------- */

void file_opened(struct task *t, struct ofd *o, const struct attr *a,
		 const struct rpc_bytes *runs)
{
	struct vnode *v;

	if (likely(!o->far) || t->ctx.isl->super->without & WITHOUT_DIRECT_ACCESS)
		return;
	if ((a->mode & HS_IFMT) != HS_IFREG || o->flags & O_PATH)
		return;
	v = vnode_join(t, o);
	if (v)
		vnode_refresh(t, v, a, runs);
}

long file_sync(struct task *t, struct ofd *o)
{
	maps_sync(t, o->ino);
	vnode_sync_ino(t, o->ino);
	return 0;
}

/* A write may have taken set-id bits away, which the server sees when it is told. */
static void told_attr(struct task *t, struct vnode *v, struct attr *a)
{
	struct req_FSTAT q = { .ino = a->ino };
	struct rep_FSTAT p;

	vnode_sync(t, v);
	if (!rpc_fstat(&t->ctx, ino_server(a->ino), &q, &p))
		*a = p.attr;
}

void file_attr(struct task *t, struct attr *a)
{
	struct vnode *v;

	if (rpc_is_near(&t->ctx, ino_server(a->ino)))
		return;
	v = vnode_find(t, a->ino);
	if (!v)
		return;
	if (unlikely(a->mode & (HS_ISUID | HS_ISGID)) && v->dirty_to)
		told_attr(t, v, a);
	if (v->dirty_to && (s64)v->mtime > (s64)a->mtime)
		a->mtime = v->mtime;
	if (v->dirty_to && (s64)v->mtime > (s64)a->ctime)
		a->ctime = v->mtime;
	if (v->flags & VNODE_READ && (s64)v->atime > (s64)a->atime)
		a->atime = v->atime;
	vnode_refresh(t, v, a, NULL);
	a->size = v->size;
	vnode_put(t, v);
}

struct vnode *there_begin(struct task *t, u64 ino)
{
	struct vnode *v;

	if (rpc_is_near(&t->ctx, ino_server(ino)) ||
	    t->ctx.isl->super->without & WITHOUT_DIRECT_ACCESS)
		return NULL;
	/* Made if need be: who has been told of the file before, and enters that after it was
	 * changed, finds here that it was. */
	v = vnode_get(t, ino);
	if (!v)
		return NULL;
	busy_lock(t, &v->busy);
	vnode_sync(t, v);
	vnode_put(t, v);
	return v;
}

void there_done(struct task *t, struct vnode *v, const struct attr *a)
{
	if (!v)
		return;
	if (a)
		vnode_changed(t, v, a);
	busy_unlock(&v->busy);
}
