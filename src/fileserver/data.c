/* SPDX-License-Identifier: MIT */
/*
 * File data as handlers move it. READ WRITE LSEEK, and when this island's cache is written back
 * or dropped.
 *
 * Consistency between islands (thesis 3.3.1, close-to-open). Near clients read and write by these
 * handlers (local calls), far ones directly in the blocks:
 *
 *   near WRITE            far client                  what this server does
 *   writes blocks                                     marks them FS_BLK_DIRTY
 *                         OPEN, BLOCKS                writes those back, then tells the runs
 *                         writes back, FLUSH_WROTE    remembers the range (FS_I_REMOTE)
 *   READ, WRITE, mmap                                 drops that range first
 *   CLOSE                                             if far cores have it open: writes back
 *
 * In the coherent model nothing of this is kept. A block's content is written outside the undo
 * log, so its dirty mark is committed before it is changed.
 */
#include "fileserver/fs.h"

enum { SEEK_SET_, SEEK_CUR_, SEEK_END_, SEEK_DATA_, SEEK_HOLE_ }; /* lseek(2)'s numbers */

/* --- coherence ------------------------------------------------------------------------------------ */

long fs_data_dirty(struct rpc_env *e, struct fs_inode *i, u64 first, u64 count)
{
	struct fs_more *m = fs_inode_more(e, i);

	if (!m)
		return -ENOSPC;
	if (!(i->flags & FS_I_DIRTY)) {
		TX_SET(e->ck, i->flags, (u16)(i->flags | FS_I_DIRTY));
		TX_SET(e->ck, m->dirty_lo, first);
		TX_SET(e->ck, m->dirty_hi, first + count);
		return 0;
	}
	if (first < m->dirty_lo)
		TX_SET(e->ck, m->dirty_lo, first);
	if (first + count > m->dirty_hi)
		TX_SET(e->ck, m->dirty_hi, first + count);
	return 0;
}

u64 fs_data_push(struct rpc_env *e, struct fs_inode *i, u64 first, u64 count, u32 max)
{
	const struct island *isl = e->c->isl;
	struct fs_more *m = i->more;
	u64 end = first + count, index, v, at;

	if (!(i->flags & FS_I_DIRTY) || first >= m->dirty_hi || end <= m->dirty_lo)
		return end;
	at = MAX(first, m->dirty_lo);
	end = MIN(end, m->dirty_hi);
	for (; radix_next(&i->map, at, &index, &v) && index < end; at = index + 1) {
		if (!(v & FS_BLK_DIRTY))
			continue;
		if (!max--)
			return index;
		mem_writeback(isl, mem_block(isl, FS_BLK(v)), PAGE_SIZE);
		tx_radix_set(e->ck, &i->map, index, FS_BLK(v));
	}
	/* The range that may still hold dirty blocks shrinks from its ends. */
	if (first <= m->dirty_lo && end >= m->dirty_hi) {
		TX_SET(e->ck, i->flags, (u16)(i->flags & ~FS_I_DIRTY));
	} else if (first <= m->dirty_lo) {
		TX_SET(e->ck, m->dirty_lo, end);
	} else if (end >= m->dirty_hi) {
		TX_SET(e->ck, m->dirty_hi, first);
	}
	return first + count;
}

void fs_data_pull(struct rpc_env *e, struct fs_inode *i, u64 first, u64 count)
{
	const struct island *isl = e->c->isl;
	struct fs_more *m = i->more;
	u64 end = first + count, index, v, at;

	if (first >= m->remote_hi || end <= m->remote_lo)
		return;
	at = MAX(first, m->remote_lo);
	end = MIN(end, m->remote_hi);
	/* Invalidation writes back what this island wrote in the same blocks, as clflush does. */
	for (; radix_next(&i->map, at, &index, &v) && index < end; at = index + 1) {
		if (v & FS_BLK_DIRTY)
			mem_writeback(isl, mem_block(isl, FS_BLK(v)), PAGE_SIZE);
		mem_invalidate(isl, mem_block(isl, FS_BLK(v)), PAGE_SIZE);
	}
	if (first <= m->remote_lo && end >= m->remote_hi)
		TX_SET(e->ck, i->flags, (u16)(i->flags & ~FS_I_REMOTE));
	else if (first <= m->remote_lo)
		TX_SET(e->ck, m->remote_lo, end);
	else if (end >= m->remote_hi)
		TX_SET(e->ck, m->remote_hi, first);
}

long fs_data_remote(struct rpc_env *e, struct fs_inode *i, u64 first, u64 count)
{
	struct fs_more *m = fs_inode_more(e, i);

	if (!m)
		return -ENOSPC;
	if (!(i->flags & FS_I_REMOTE)) {
		TX_SET(e->ck, i->flags, (u16)(i->flags | FS_I_REMOTE));
		TX_SET(e->ck, m->remote_lo, first);
		TX_SET(e->ck, m->remote_hi, first + count);
		return 0;
	}
	if (first < m->remote_lo)
		TX_SET(e->ck, m->remote_lo, first);
	if (first + count > m->remote_hi)
		TX_SET(e->ck, m->remote_hi, first + count);
	return 0;
}

long fs_data_will_write(struct rpc_env *e, struct fs_inode *i, u64 off, u64 len)
{
	u64 first = off / PAGE_SIZE, count = (off + len - 1) / PAGE_SIZE - first + 1;
	bool changed = false;
	long r;

	if (fs_of(e->ck)->coherent)
		return 0;
	fs_data_fresh(e, i, off, len);
	r = fs_data_dirty(e, i, first, count);
	if (r < 0)
		return r;
	for (u64 n = first; n < first + count; n++) {
		u64 v = radix_get(&i->map, n);

		if (!v || (v & FS_BLK_DIRTY))
			continue;
		tx_radix_set(e->ck, &i->map, n, v | FS_BLK_DIRTY);
		changed = true;
	}
	if (changed)
		ck_commit(e->ck);
	return 0;
}

/* --- files ------------------------------------------------------------------------------------------ */

void fs_data_read(struct rpc_env *e, struct fs_inode *i, u64 off, void *buf, u32 len)
{
	const struct island *isl = e->c->isl;
	char *to = buf;

	fs_data_fresh(e, i, off, len);
	while (len) {
		u32 in = (u32)(off % PAGE_SIZE), n = MIN(len, PAGE_SIZE - in);
		u64 v = radix_get(&i->map, off / PAGE_SIZE);

		if (likely(v))
			memcpy(to, mem_block(isl, FS_BLK(v)) + in, n);
		else
			memset(to, 0, n);
		to += n;
		off += n;
		len -= n;
	}
}

/* The program's page was not there after all. */
#define WRITE_FAULT 0xffffffffu

/* A block for index, with zeros where [in, in+n) will not be written. 0: none left. */
static blk_t new_block(struct rpc_env *e, struct fs_inode *i, u64 index, u32 in, u32 n)
{
	u64 flag = fs_of(e->ck)->coherent ? 0 : FS_BLK_DIRTY;
	u64 before = index ? radix_get(&i->map, index - 1) : 0;
	u32 got;
	blk_t blk = fs_blk_alloc(e, before ? FS_BLK(before) + 1 : 0,
				 i->map.count > 16 ? FS_BLK_ROOM : 0, 1, &got);
	char *p;

	if (!blk)
		return 0;
	if (tx_radix_set(e->ck, &i->map, index, blk | flag) < 0) {
		fs_blk_free(e->ck, blk, 1);
		return 0;
	}
	p = mem_block(e->c->isl, blk);
	if (in)
		memset(p, 0, in);
	if (in + n < PAGE_SIZE)
		memset(p + in + n, 0, PAGE_SIZE - in - n);
	return blk;
}

/* Bytes written (fewer when blocks run out), or WRITE_FAULT. `from` may be the program's memory. */
static u32 write_blocks(struct rpc_env *e, struct fs_inode *i, u64 off, const char *from,
			u32 len)
{
	const struct island *isl = e->c->isl;
	u32 done = 0;

	while (done < len) {
		u32 in = (u32)(off % PAGE_SIZE), n = MIN(len - done, PAGE_SIZE - in);
		u64 v = radix_get(&i->map, off / PAGE_SIZE);
		blk_t blk = v ? FS_BLK(v) : new_block(e, i, off / PAGE_SIZE, in, n);

		if (unlikely(!blk))
			break;
		if (unlikely(user_read(mem_block(isl, blk) + in, from + done, n)))
			return WRITE_FAULT;
		off += n;
		done += n;
	}
	return done;
}

long fs_data_write(struct rpc_env *e, struct fs_inode *i, u64 off, const void *buf,
		   u32 len)
{
	struct fs *f = fs_of(e->ck);
	u64 spare = ck_spare(e->ck);
	u32 done;
	long r;

	if (!len)
		return 0;
	if (off >= FS_SIZE_MAX)
		return -EFBIG;
	len = (u32)MIN((u64)len, FS_SIZE_MAX - off);
	if (unlikely(i->flags & FS_I_TRIM) && off + len > i->size) {
		r = fs_trim_finish(e, i);
		if (r < 0)
			return r;
	}
	if (off + len > i->size) {
		fs_tail_guard(e);
		f->tail_hint = i->node.key;
	}
	r = fs_data_will_write(e, i, off, len);
	if (r < 0)
		return r;
	fs_data_changes(f);
	done = write_blocks(e, i, off, buf, len);
	if (unlikely(done == WRITE_FAULT)) {
		f->tail_recovered_hint = e->ck->recovered - 1;
		return -EFAULT;
	}
	if (!done)
		return -ENOSPC;
	if (ck_filled(e->ck, spare)) {
		f->tail_recovered_hint =
			e->ck->recovered - 1; /* rolled back, as by a death */
		return -ENOSPC;
	}
	if (off + done > i->size)
		TX_SET(e->ck, i->size, off + done);
	return done;
}

u64 fs_map_holes(const struct radix *map, u64 first, u64 count)
{
	u64 index, v, at = first, holes = count;

	for (; radix_next(map, at, &index, &v) && index - first < count; at = index + 1)
		holes--;
	return holes;
}

/* Whether there are blocks for all of it. Nothing was changed yet. */
static bool has_room(struct ck *ck, const struct fs_inode *i, u64 off, u32 len)
{
	u64 first = off / PAGE_SIZE, count;

	if (!len || off >= FS_SIZE_MAX)
		return true;
	count = (off + len - 1) / PAGE_SIZE - first + 1;
	return likely(fs_blk_room(fs_of(ck)) >= count) || fs_blk_enough(ck, count) ||
	       fs_blk_enough(ck, fs_map_holes(&i->map, first, count));
}

/* --- READ, WRITE ------------------------------------------------------------------------------------- */

/* The shared description that a request names. NULL when it names none; *r: -EBADF. */
static struct fs_ofd *shared(const struct fs_inode *i, u32 flags, u64 id, u32 bad_mode,
			     long *r)
{
	struct fs_ofd *o;

	*r = 0;
	if (likely(!(flags & IO_SHARED)))
		return NULL;
	o = fs_ofd_find(i, id);
	if (!o || (o->flags & FS_O_ACCMODE) == bad_mode)
		*r = -EBADF;
	return o;
}

long fs_read_span(struct rpc_env *e, u64 ino, u64 off, u32 len, u32 flags,
		  struct fs_span *s)
{
	struct fs *f = fs_of(e->ck);
	struct fs_inode *i = fs_inode_find(f, ino);
	u64 index, end;
	u32 n = 0;

	s->len = 0;
	if (unlikely(!i))
		return -ENOENT;
	if (unlikely(!fs_is_reg(i)))
		return -EOPNOTSUPP;
	if (unlikely(off > FS_SIZE_MAX))
		return -EINVAL;
	/* finding the end is reading, too */
	if (!(flags & IO_NOATIME))
		fs_inode_read_at(e->ck, i);
	if (off >= i->size)
		return 0;
	s->len = len = (u32)MIN((u64)len, i->size - off);
	fs_data_fresh(e, i, off, len);
	index = off / PAGE_SIZE;
	end = (off + len + PAGE_SIZE - 1) / PAGE_SIZE;
	BUG_ON(end - index > FS_SPAN_BLOCKS);
	while (index < end)
		s->blk[n++] = FS_BLK(radix_get(&i->map, index++));
	s->seq = f->data_seq;
	return 0;
}

bool fs_span_holds(const struct ck *ck, const struct fs_span *s)
{
	/* Loads are not reordered with loads (x86), so what was copied came before this look. */
	compiler_barrier();
	return __atomic_load_n(&fs_of(ck)->data_seq, __ATOMIC_ACQUIRE) == s->seq;
}

long fs_read(struct rpc_env *e, const struct req_READ *q, struct rep_READ *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	u32 len = MIN(q->len, p->data.cap);
	struct fs_ofd *o;
	u64 off = q->off;
	long r;

	p->data.len = 0;
	p->off = off;
	p->last = 0;
	if (unlikely(!i))
		return -ENOENT;
	if (unlikely(!fs_is_reg(i))) {
		if (fs_type(i) == HS_IFIFO)
			return fs_pipe_read(e, i, q, p);
		return fs_is_dir(i) ? -EISDIR : -EINVAL;
	}
	o = shared(i, q->flags, q->ofd, O_WRONLY, &r);
	if (r < 0)
		return r;
	if (o) {
		p->off = off = o->off;
		p->last = o->refs == 1;
	}
	if (off > FS_SIZE_MAX)
		return -EINVAL;
	if (!(q->flags & IO_NOATIME))
		fs_inode_read_at(e->ck, i);
	if (off >= i->size || !p->data.p)
		return 0;
	len = (u32)MIN((u64)len, i->size - off);
	fs_data_read(e, i, off, p->data.p, len);
	p->data.len = len;
	if (o)
		TX_SET(e->ck, o->off, off + len);
	return 0;
}

/* O_APPEND of a shared description, which any core may have set; it holds for pwrite too. */
static bool appends(const struct fs_inode *i, const struct req_WRITE *q)
{
	const struct fs_ofd *o = unlikely(q->ofd) ? fs_ofd_find(i, q->ofd) : NULL;

	return o && (o->flags & O_APPEND) && !(q->flags & IO_NOAPPEND);
}

/* Another thread is in the midst of a write of several pieces, and nothing may come between. */
static bool has_to_wait(const struct rpc_env *e, const struct fs_inode *i,
			const struct req_WRITE *q)
{
	u64 who = i->more->appender;

	if (fs_is_callers(e, who) || q->flags & IO_ANYWAY)
		return false;
	return q->flags & (IO_APPEND | IO_SHARED) || appends(i, q);
}

long fs_write(struct rpc_env *e, const struct req_WRITE *q, struct rep_WRITE *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	struct fs_ofd *o;
	u64 off = q->off;
	u32 len = q->data.len;
	long r;

	p->count = 0;
	p->last = 0;
	if (unlikely(!i))
		return -ENOENT;
	if (unlikely(!fs_is_reg(i))) {
		if (fs_type(i) == HS_IFIFO)
			return fs_pipe_write(e, i, q, p);
		return fs_is_dir(i) ? -EISDIR : -EINVAL;
	}
	o = shared(i, q->flags, q->ofd, O_RDONLY, &r);
	if (r < 0)
		return r;
	if (unlikely(i->more && i->more->appender) && has_to_wait(e, i, q))
		return -EAGAIN;
	if (o) {
		off = o->off;
		p->last = o->refs == 1;
	}
	if ((q->flags & IO_APPEND) || appends(i, q))
		off = i->size;
	if (off > FS_SIZE_MAX)
		return -EINVAL;
	if (unlikely(
		    q->limit)) { /* here alone an offset or end that others move is known */
		if (off >= q->limit - 1)
			return -EFBIG;
		len = (u32)MIN((u64)len, q->limit - 1 - off);
	}
	fs_make_room(e->ck);
	if ((q->flags & IO_STEAL) && !has_room(e->ck, i, off, len))
		return -HARE_ESTEAL;
	r = fs_data_write(e, i, off, q->data.p, len);
	if (r < 0)
		return r;
	p->count = (u32)r;
	p->off = off;
	p->size = i->size;
	if (o)
		TX_SET(e->ck, o->off, off + (u64)r);
	if (!r)
		return 0;
	TX_SET(e->ck, i->version, i->version + 1);
	fs_inode_drop_setid(e->ck, i, q->uid);
	fs_inode_touch(e->ck, i, host_realtime_ns());
	return 0;
}

/* --- LSEEK -------------------------------------------------------------------------------------------- */

/* The next data or hole at or after off. -ENXIO at the end. */
static long seek_map(const struct fs_inode *i, u64 off, bool data)
{
	u64 index = off / PAGE_SIZE, v, at;

	if (off >= i->size)
		return -ENXIO;
	if (!fs_is_reg(i))
		return data ? (long)off : (long)i->size;
	if (data) {
		if (!radix_next(&i->map, index, &index, &v))
			return -ENXIO;
		at = MAX(off, index * PAGE_SIZE);
		return at < i->size ? (long)at : -ENXIO;
	}
	while (radix_get(&i->map, index) && index * PAGE_SIZE < i->size)
		index++;
	return (long)MIN(MAX(off, index * PAGE_SIZE), i->size);
}

static long add_offset(u64 base, s64 off, s64 *out)
{
	s64 at;

	if (__builtin_add_overflow((s64)base, off, &at))
		return -EOVERFLOW;
	if (at < 0)
		return -EINVAL;
	*out = at;
	return 0;
}

long fs_lseek(struct rpc_env *e, const struct req_LSEEK *q, struct rep_LSEEK *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	struct fs_ofd *o = NULL;
	long r;

	if (!i)
		return -ENOENT;
	if (fs_type(i) == HS_IFIFO || fs_type(i) == HS_IFSOCK)
		return -ESPIPE;
	if (q->ofd) {
		o = fs_ofd_find(i, q->ofd);
		if (!o)
			return -EBADF;
	}
	switch (q->whence) {
	case SEEK_SET_:
		r = add_offset(0, q->off, &p->off);
		break;
	case SEEK_CUR_:
		r = o ? add_offset(o->off, q->off, &p->off) : -EINVAL;
		break;
	case SEEK_END_:
		r = add_offset(i->size, q->off, &p->off);
		break;
	case SEEK_DATA_:
	case SEEK_HOLE_:
		r = q->off < 0 ? -ENXIO
			       : seek_map(i, (u64)q->off, q->whence == SEEK_DATA_);
		p->off = r;
		break;
	default:
		return -EINVAL;
	}
	if (r < 0)
		return r;
	p->last = o && o->refs == 1;
	if (o)
		TX_SET(e->ck, o->off, (u64)p->off);
	return 0;
}
