/* SPDX-License-Identifier: MIT */
/*
 * A file's size and its map of blocks: BLOCKS PAGES FLUSH TRUNC FALLOCATE.
 *
 * Far clients access blocks directly: they are told runs, write in the blocks, write back, and
 * say so by FLUSH, which also makes the file grow. Blocks handed out beyond the end are zeroed
 * here first, so that it never matters who wrote how much of them when the file grows.
 *
 * Shrinking: the size first, with FS_I_TRIM ("what is behind it is garbage"), then the rest in
 * steps. Whoever dies in between leaves the mark, and who next makes the file grow, or opens it,
 * finishes.
 */
#include <linux/falloc.h>

#include "fileserver/fs.h"

#define RUN_SCAN	1024u /* blocks looked at for one answer */
#define ALLOC_STEP	64u /* blocks zeroed in one request */
#define COUNT_STEP	4096u /* blocks counted in one request */
#define BLOCK_INDEX_MAX (FS_SIZE_MAX / PAGE_SIZE)

static u64 blocks_of(u64 size)
{
	return (size + PAGE_SIZE - 1) / PAGE_SIZE;
}

/* --- runs -------------------------------------------------------------------------------------- */

static void run_add(struct run *runs, u32 *n, u64 index, blk_t blk, u64 count)
{
	struct run *last = *n ? &runs[*n - 1] : NULL;

	if (last && blk && last->blk && last->blk + last->count == blk) {
		last->count += (u32)count;
		return;
	}
	runs[*n].index = index;
	runs[*n].blk = blk;
	runs[*n].count = (u32)MIN(count, 0x7fffffffu);
	(*n)++;
}

void fs_runs(struct rpc_env *e, struct fs_inode *i, u64 first, u64 count,
	     struct rpc_bytes *out)
{
	struct run *runs = out->p;
	u32 max = MIN(out->cap / (u32)sizeof(*runs), RUNS_MAX), n = 0, scanned = 0;
	u64 end = first + count, at = first, index, v;

	out->len = 0;
	if (!runs || !max)
		return;
	if (e->far && (i->flags & FS_I_DIRTY))
		end = fs_data_push(e, i, first, count, FS_TRIM_STEP);
	while (at < end && scanned++ < RUN_SCAN) {
		bool any = radix_next(&i->map, at, &index, &v) && index < end;

		if (!any)
			index = end;
		if (index > at) {
			if (n == max)
				break;
			run_add(runs, &n, at, 0, index - at);
			at = index;
		}
		if (!any)
			break;
		if (n == max && runs[n - 1].blk + runs[n - 1].count != FS_BLK(v))
			break;
		run_add(runs, &n, at++, FS_BLK(v), 1);
	}
	out->len = n * (u32)sizeof(*runs);
}

/* --- allocation ---------------------------------------------------------------------------------- */

/* Blocks [index, index+count) get the DRAM blocks from blk on, zeroed. */
static long map_run(struct rpc_env *e, struct fs_inode *i, u64 index, blk_t blk,
		    u32 count)
{
	const struct island *isl = e->c->isl;
	bool coherent = fs_of(e->ck)->coherent;
	u64 flag = coherent || e->far ? 0 : FS_BLK_DIRTY;

	memset(mem_block(isl, blk), 0, (size_t)count * PAGE_SIZE);
	if (!coherent && e->far)
		mem_writeback(isl, mem_block(isl, blk), (size_t)count * PAGE_SIZE);
	for (u32 n = 0; n < count; n++)
		if (tx_radix_set(e->ck, &i->map, index + n, (blk + n) | flag) < 0)
			return -ENOSPC;
	return flag ? fs_data_dirty(e, i, index, count) : 0;
}

/* Fills holes in [first, first+count), ALLOC_STEP blocks at most. How many blocks from first on
 * there are now, at least 1; -ENOSPC. */
static long map_alloc(struct rpc_env *e, struct fs_inode *i, u64 first, u64 count)
{
	u64 spare = ck_spare(e->ck), end = first + MIN(count, (u64)ALLOC_STEP),
	    at = first;

	while (at < end) {
		u64 next, v, before;
		u32 got;
		blk_t blk;

		if (radix_get(&i->map, at)) {
			at++;
			continue;
		}
		if (!radix_next(&i->map, at, &next, &v) || next > end)
			next = end;
		before = at ? radix_get(&i->map, at - 1) : 0;
		blk = fs_blk_alloc(e, before ? FS_BLK(before) + 1 : 0, FS_BLK_ROOM,
				   (u32)(next - at), &got);
		if (!blk)
			break;
		if (map_run(e, i, at, blk, got) < 0)
			return -ENOSPC;
		at += got;
	}
	if (at == first)
		return -ENOSPC;
	if (ck_filled(e->ck, spare))
		return -ENOSPC;
	return (long)(at - first);
}

static void set_flag(struct rpc_env *e, struct fs_inode *i, u32 flag)
{
	if (!(i->flags & flag))
		TX_SET(e->ck, i->flags, (u16)(i->flags | flag));
}

/* A far writer takes blocks ahead of its writes (src/client/vnode.c), and when the last one closes, those
 * beyond the end are free again. Clients remember closed files' blocks: the version tells them. */
void fs_ahead_free(struct rpc_env *e, struct fs_inode *i)
{
	u32 mark = ck_mark(e->ck), done = 0;

	if (!(i->flags & FS_I_KEPT) &&
	    fs_map_punch(e, i, blocks_of(i->size), ~0ULL, FS_AHEAD_STEP, &done) < 0) {
		ck_abort_to(e->ck, mark); /* no memory for limbo: with another close */
		return;
	}
	if (done)
		TX_SET(e->ck, i->version, i->version + 1);
	if (done < FS_AHEAD_STEP)
		TX_SET(e->ck, i->flags, (u16)(i->flags & ~FS_I_AHEAD));
}

long fs_blocks(struct rpc_env *e, const struct req_BLOCKS *q, struct rep_BLOCKS *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	u64 count = q->count;
	long r;

	p->runs.len = 0;
	if (!i)
		return -ENOENT;
	if (!fs_is_reg(i))
		return fs_is_dir(i) ? -EISDIR : -EINVAL;
	if (q->first > BLOCK_INDEX_MAX || q->first + count > BLOCK_INDEX_MAX + 1)
		return -EFBIG;
	p->size = i->size;
	if (!count)
		return 0;
	if (q->flags & BLOCKS_ALLOC) {
		fs_make_room(e->ck);
		if ((q->flags & BLOCKS_STEAL) && !radix_get(&i->map, q->first) &&
		    !fs_blk_enough(e->ck, 1))
			return -HARE_ESTEAL;
		fs_tail_guard(e);
		r = i->flags & FS_I_TRIM ? fs_trim_finish(e, i) : 0;
		if (!r)
			r = map_alloc(e, i, q->first, count);
		if (r > 0)
			count = (u64)r;
		if (r > 0 && q->first + count > blocks_of(i->size))
			set_flag(e, i, FS_I_AHEAD);
		if (r > 0 && e->far && !fs_of(e->ck)->coherent)
			r = fs_data_remote(e, i, q->first, count);
		if (r < 0)
			return r;
	}
	if (!e->far && (i->flags & FS_I_REMOTE))
		fs_data_pull(e, i, q->first, count);
	fs_runs(e, i, q->first, count, &p->runs);
	return 0;
}

long fs_pages(struct rpc_env *e, const struct req_PAGES *q, struct rep_PAGES *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	u64 last = q->last, at = q->first, index, v;

	p->count = p->next = 0;
	if (!i)
		return -ENOENT;
	if (!fs_is_reg(i))
		return 0;
	if (i->flags & FS_I_TRIM || (i->flags & (FS_I_AHEAD | FS_I_KEPT)) == FS_I_AHEAD) {
		if (!i->size)
			return 0;
		last = MIN(last, blocks_of(i->size) - 1);
	}
	for (; radix_next(&i->map, at, &index, &v) && index <= last; at = index + 1) {
		if (p->count == COUNT_STEP) {
			p->next = index;
			break;
		}
		p->count++;
	}
	return 0;
}

/* --- size ------------------------------------------------------------------------------------------ */

static long zero_bytes(struct rpc_env *e, struct fs_inode *i, u64 off, u64 len)
{
	long r;

	if (!len)
		return 0;
	r = fs_data_will_write(e, i, off, len);
	if (r < 0)
		return r;
	fs_data_changes(fs_of(e->ck));
	while (len) {
		u64 in = off % PAGE_SIZE, n = MIN(len, PAGE_SIZE - in);
		u64 v = radix_get(&i->map, off / PAGE_SIZE);

		if (v)
			memset(mem_block(e->c->isl, FS_BLK(v)) + in, 0, n);
		off += n;
		len -= n;
	}
	return 0;
}

static long zero_tail(struct rpc_env *e, struct fs_inode *i)
{
	return zero_bytes(e, i, i->size, ALIGN_UP(i->size, (u64)PAGE_SIZE) - i->size);
}

void fs_tail_repair(struct rpc_env *e)
{
	struct fs *f = fs_of(e->ck);
	struct fs_inode *i = fs_inode_find(f, f->tail_hint);

	if (i && fs_is_reg(i) && zero_tail(e, i) < 0)
		return; /* no memory: next time */
	compiler_barrier();
	f->tail_recovered_hint = e->ck->recovered;
}

/* The zeroes behind the end are for far mappings to see. */
static void show_tail(struct rpc_env *e, struct fs_inode *i)
{
	u64 index = i->size / PAGE_SIZE, v = radix_get(&i->map, index);

	if (likely(fs_of(e->ck)->coherent || !i->more || !i->more->pins || !v ||
		   i->size % PAGE_SIZE == 0))
		return;
	fs_data_push(e, i, index, 1, 1);
	(void)fs_cut(e, i, i->size, FS_BLK(v));
}

long fs_trim_finish(struct rpc_env *e, struct fs_inode *i)
{
	u32 done;
	long r = zero_tail(e, i);

	while (!r) {
		r = fs_map_punch(e, i, blocks_of(i->size), ~0ULL, FS_TRIM_STEP, &done);
		if (r < 0 || done < FS_TRIM_STEP)
			break;
		ck_commit(e->ck);
	}
	if (r < 0)
		return r;
	show_tail(e, i);
	TX_SET(e->ck, i->flags, (u16)(i->flags & ~FS_I_TRIM));
	return 0;
}

#define BEYOND (FS_I_AHEAD | FS_I_KEPT) /* it loses all that is beyond the end */

static long shrink(struct rpc_env *e, struct fs_inode *i, u64 size)
{
	long r = size < i->size ? fs_cut(e, i, size, 0) : 0;

	if (r < 0)
		return r;
	if (!size) {
		r = fs_map_drop(e, i);
		if (r < 0)
			return r;
		if (i->size)
			TX_SET(e->ck, i->size, 0);
		if (i->flags & (FS_I_TRIM | BEYOND))
			TX_SET(e->ck, i->flags, (u16)(i->flags & ~(FS_I_TRIM | BEYOND)));
		return 0;
	}
	TX_SET(e->ck, i->size, size);
	TX_SET(e->ck, i->flags, (u16)((i->flags & ~BEYOND) | FS_I_TRIM));
	ck_commit(e->ck);
	/* It is shorter now; what cannot be freed yet (no memory for limbo) is freed later. */
	if (fs_trim_finish(e, i) < 0)
		ck_abort(e->ck);
	return 0;
}

long fs_data_truncate(struct rpc_env *e, struct fs_inode *i, u64 size)
{
	long r = 0;

	if (size > FS_SIZE_MAX)
		return -EFBIG;
	if (size <= i->size)
		return shrink(e, i, size);
	fs_tail_guard(e);
	if (i->flags & FS_I_TRIM)
		r = fs_trim_finish(e, i);
	if (!r)
		TX_SET(e->ck, i->size, size);
	return r;
}

long fs_trunc(struct rpc_env *e, const struct req_TRUNC *q, struct rep_TRUNC *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	bool same;
	long r;

	if (!i)
		return -ENOENT;
	if (!fs_is_reg(i))
		return fs_is_dir(i) ? -EISDIR : -EINVAL;
	if (q->size > FS_SIZE_MAX)
		return -EFBIG;
	if (q->check) {
		r = fs_perm(q->cred, i->mode, i->uid, i->gid, MAY_WRITE);
		if (r == 0)
			r = fs_may_write(i);
		if (r < 0)
			return r;
	}
	same = q->size == i->size;
	r = fs_data_truncate(e, i, q->size);
	if (r < 0)
		return r;
	/* truncate(2) of a file that has the size already changes no time; ftruncate(2) does. */
	if (!same || !q->check) {
		TX_SET(e->ck, i->version, i->version + 1);
		fs_inode_touch(e->ck, i, host_realtime_ns());
	}
	fs_inode_drop_setid_of(e->ck, i, q->cred);
	fs_inode_attr(i, &p->attr);
	p->attr.mapped = fs_mapped_by(fs_of(e->ck), i);
	return 0;
}

/* --- FLUSH ------------------------------------------------------------------------------------------- */

/* Near clients wrote through a mapping: their blocks are dirty in this island's cache. */
static long flush_near(struct rpc_env *e, struct fs_inode *i, u64 first, u64 end)
{
	u64 index = first, v;
	u32 n = 0;
	long r = fs_data_dirty(e, i, first, end - first);

	for (; !r && radix_next(&i->map, index, &index, &v) && index < end; index++) {
		if (v & FS_BLK_DIRTY)
			continue;
		tx_radix_set(e->ck, &i->map, index, v | FS_BLK_DIRTY);
		if (++n % FS_TRIM_STEP == 0)
			ck_commit(e->ck);
	}
	return r;
}

/* It was written at `time`, perhaps long ago: others may have written, or set its times, since. */
static void wrote_at(struct ck *ck, struct fs_inode *i, u64 time)
{
	s64 at = (s64)time;

	if (i->flags & FS_I_TIMED ? at >= (s64)i->ctime : at > (s64)i->mtime) {
		TX_SET(ck, i->mtime, time);
		TX_SET(ck, i->flags, (u16)(i->flags & ~FS_I_TIMED));
	}
	if (at > (s64)i->ctime)
		TX_SET(ck, i->ctime, time);
}

static long flush_wrote(struct rpc_env *e, const struct req_FLUSH *q, struct fs_inode *i)
{
	u64 first = q->off / PAGE_SIZE, end = blocks_of(q->end), now;
	long r = 0;

	if (q->off > q->end || q->end > FS_SIZE_MAX)
		return -EINVAL;
	if (!fs_of(e->ck)->coherent && end > first)
		r = e->far ? fs_data_remote(e, i, first, end - first)
			   : flush_near(e, i, first, end);
	if (!r && q->end > i->size && !(q->flags & FLUSH_INSIDE))
		r = fs_data_truncate(e, i, q->end);
	if (r < 0)
		return r;
	now = host_realtime_ns();
	TX_SET(e->ck, i->version, i->version + 1);
	fs_inode_drop_setid(e->ck, i, q->uid);
	wrote_at(e->ck, i, q->time ? MIN(q->time, now) : now);
	return 0;
}

long fs_flush(struct rpc_env *e, const struct req_FLUSH *q, struct rep_FLUSH *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	long r = 0;

	(void)p;
	if (!i)
		return -ENOENT;
	if (!fs_is_reg(i))
		return -EINVAL;
	if (q->flags & FLUSH_WROTE)
		r = flush_wrote(e, q, i);
	if (r < 0)
		return r;
	if (q->atime && (s64)q->atime > (s64)i->atime) /* before 1970: negative */
		TX_SET(e->ck, i->atime, MIN(q->atime, host_realtime_ns()));
	/* fsync by a near client: to those far ones that have it open already. */
	if (!e->far && fs_has_direct(i))
		fs_data_push(e, i, 0, ~0ULL >> 1, FS_TRIM_STEP);
	return 0;
}

/* --- FALLOCATE --------------------------------------------------------------------------------------- */

static void fallocate_done(struct rpc_env *e, const struct req_FALLOCATE *q,
			   struct fs_inode *i, u64 done, struct rep_FALLOCATE *p)
{
	p->done = done;
	TX_SET(e->ck, i->version, i->version + 1);
	fs_inode_drop_setid(e->ck, i, q->uid);
	fs_inode_touch(e->ck, i, host_realtime_ns());
	if (done == q->len && !(q->mode & FALLOC_FL_KEEP_SIZE) &&
	    q->off + q->len > i->size)
		TX_SET(e->ck, i->size, q->off + q->len);
}

/* How many blocks there are too few to fill the holes of [first, first+count). */
static u64 lacking(const struct fs *f, const struct fs_inode *i, u64 first, u64 count)
{
	u64 have = fs_blk_room(f) + f->dead_blocks;

	if (count <= have)
		return 0;
	/* Looked at in full only when it matters. */
	if (count - MIN(count, i->map.count) <= have)
		count = fs_map_holes(&i->map, first, count);
	else
		count -= i->map.count;
	return count - MIN(count, have);
}

static long allocate(struct rpc_env *e, const struct req_FALLOCATE *q, struct fs_inode *i,
		     struct rep_FALLOCATE *p)
{
	u64 first = q->off / PAGE_SIZE, count = blocks_of(q->off + q->len) - first, end,
	    zero;
	long r;

	p->lack = lacking(fs_of(e->ck), i, first, count);
	if (p->lack)
		return q->steal ? -HARE_ESTEAL : -ENOSPC;
	/* Zero what is there before anything is added: old content goes, new blocks are zero. */
	end = MIN(q->off + q->len, (first + ALLOC_STEP) * PAGE_SIZE);
	zero = q->mode & FALLOC_FL_ZERO_RANGE ? end - q->off : 0;
	r = zero_bytes(e, i, q->off, zero);
	if (!r)
		r = map_alloc(e, i, first, count);
	if (r < 0)
		return r;
	if (q->mode & FALLOC_FL_KEEP_SIZE && q->off + q->len > i->size)
		set_flag(e, i, FS_I_KEPT);
	fallocate_done(e, q, i, MIN(q->len, (first + (u64)r) * PAGE_SIZE - q->off), p);
	return 0;
}

/* Some of the blocks [*index, last); *index moves on. What is mapped has to show zeroes, in private
 * mappings too where nothing was stored: such blocks stay. */
static long punch_blocks(struct rpc_env *e, struct fs_inode *i, u64 *index, u64 last)
{
	u64 at = *index, v;
	long r = 0;
	u32 n;

	if (!i->more || !i->more->pins) {
		r = fs_map_punch(e, i, at, last, FS_TRIM_STEP, &n);
		if (n < FS_TRIM_STEP || !radix_next(&i->map, at, index, &v))
			*index = last;
		return r;
	}
	for (n = 0; !r && n < ALLOC_STEP; n++) {
		if (!radix_next(&i->map, *index, &at, &v) || at >= last) {
			*index = last;
			break;
		}
		r = zero_bytes(e, i, at * PAGE_SIZE, PAGE_SIZE);
		*index = at + 1;
	}
	return r;
}

static long punch(struct rpc_env *e, const struct req_FALLOCATE *q, struct fs_inode *i,
		  struct rep_FALLOCATE *p)
{
	u64 end = q->off + q->len, index = q->off / PAGE_SIZE, last = end / PAGE_SIZE;
	u64 head = MIN(ALIGN_UP(q->off, (u64)PAGE_SIZE), end) - q->off;
	long r;

	if (head) { /* not at a block's beginning: its rest first, blocks with the next request */
		r = zero_bytes(e, i, q->off, head);
		if (!r)
			fallocate_done(e, q, i, head, p);
		return r;
	}
	r = punch_blocks(e, i, &index, last);
	if (r < 0)
		return r;
	if (index < last) {
		fallocate_done(e, q, i, index * PAGE_SIZE - q->off, p);
		return 0;
	}
	r = zero_bytes(e, i, last * PAGE_SIZE, end % PAGE_SIZE);
	if (!r)
		fallocate_done(e, q, i, q->len, p);
	return r;
}

long fs_fallocate(struct rpc_env *e, const struct req_FALLOCATE *q,
		  struct rep_FALLOCATE *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	long r;

	p->done = p->lack = 0;
	if (!i)
		return -ENOENT;
	if (fs_type(i) == HS_IFIFO)
		return -ESPIPE;
	if (fs_is_dir(i))
		return -EISDIR;
	if (!fs_is_reg(i))
		return -ENODEV;
	if (!q->len || q->off > FS_SIZE_MAX || q->len > FS_SIZE_MAX)
		return -EINVAL;
	if (q->off + q->len > FS_SIZE_MAX)
		return -EFBIG;
	fs_make_room(e->ck);
	fs_tail_guard(e);
	r = i->flags & FS_I_TRIM ? fs_trim_finish(e, i) : 0;
	if (r < 0)
		return r;
	switch (q->mode) {
	case 0:
	case FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
		return allocate(e, q, i, p);
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
		return punch(e, q, i, p);
	default:
		return -EOPNOTSUPP;
	}
}
