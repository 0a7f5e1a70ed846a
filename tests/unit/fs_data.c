/* SPDX-License-Identifier: MIT */
/*
 * File data against a plain model: random writes, truncations, holes, by handlers (near) and
 * directly in blocks as a far client does it, in all memory models, with evictions; and what
 * becomes of blocks.
 */
#include <linux/falloc.h>

#include "unit/fs.h"

#define ROOT INO_ROOT
#define FILES 6
#define SIZE_MAX_ (600 * 1024)

struct model {
	u64 ino;
	u64 size;
	char *data;
	bool far_open; /* core 1 keeps it open, so blocks go to limbo */
};

static struct fsw f;
static struct model file[FILES];
static u64 rnd;
static char buf[SIZE_MAX_], buf2[SIZE_MAX_];
static u32 errors;

static u32 pick(u32 n)
{
	return (u32)(t_random(&rnd) % n);
}

static void bad(const char *what, struct model *m, u64 off, u64 len)
{
	if (errors++ < 10)
		diag("%s: file %d off %lu len %lu size %lu", what, (int)(m - file), off, len,
		     m->size);
}

static void fill(char *p, size_t n)
{
	for (size_t i = 0; i < n; i += 8) {
		u64 v = t_random(&rnd);

		memcpy(p + i, &v, MIN(n - i, 8));
	}
}

/* --- a far client, core 1 ------------------------------------------------------------------ */

static void as(bool far)
{
	f.far = far;
	f.core = far ? 1 : 0;
}

static struct island *far_island(void)
{
	return &f.w.isl[f.w.islands - 1];
}

/* The block of an index, asked for one by one; 0: a hole. */
static blk_t far_block(u64 ino, u64 index, u32 flags, long *r)
{
	struct run run[64];
	struct rep_BLOCKS p = { .runs = BYTES(run, sizeof(run)) };

	*r = FS(&f, blocks, BLOCKS, &p, .ino = ino, .first = index, .count = 1, .flags = flags);
	return *r < 0 || !p.runs.len ? 0 : run[0].blk;
}

static long far_write(u64 ino, u64 off, const char *from, u64 len)
{
	struct island *isl = far_island();
	u64 at = off, end = off + len;
	long r = op(&f, ino, O_WRONLY);

	if (r < 0)
		return r;
	while (at < end) {
		u64 in = at % PAGE_SIZE, n = MIN(end - at, PAGE_SIZE - in);
		blk_t blk = far_block(ino, at / PAGE_SIZE, BLOCKS_ALLOC, &r);

		if (r < 0 || !blk)
			break;
		mem_invalidate(isl, mem_block(isl, blk), PAGE_SIZE);
		memcpy(mem_block(isl, blk) + in, from, n);
		mem_writeback(isl, mem_block(isl, blk), PAGE_SIZE);
		at += n;
		from += n;
	}
	if (at > off)
		FS(&f, flush, FLUSH, NULL, .ino = ino, .flags = FLUSH_WROTE, .off = off,
		   .end = at);
	cl(&f, ino, O_WRONLY);
	return at > off ? (long)(at - off) : r;
}

static long far_read(u64 ino, u64 off, char *to, u64 len)
{
	struct island *isl = far_island();
	struct rep_OPEN p = { 0 };
	u64 end;
	long r = FS(&f, open, OPEN, &p, .ino = ino, .flags = O_RDONLY, .cred = &f.cred);

	if (r < 0)
		return r;
	end = MIN(off + len, p.attr.size);
	for (u64 at = off; at < end;) {
		u64 in = at % PAGE_SIZE, n = MIN(end - at, PAGE_SIZE - in);
		blk_t blk = far_block(ino, at / PAGE_SIZE, 0, &r);

		if (blk) {
			mem_invalidate(isl, mem_block(isl, blk), PAGE_SIZE);
			memcpy(to, mem_block(isl, blk) + in, n);
		} else {
			memset(to, 0, n);
		}
		at += n;
		to += n;
	}
	cl(&f, ino, O_RDONLY);
	return end > off ? (long)(end - off) : 0;
}

/* --- a near client that copies by itself ------------------------------------------------------ */

static long take_span(u64 ino, u64 off, u64 len, struct fs_span *s)
{
	struct rpc_env e = fsw_env(&f);
	long r;

	ck_lock(e.c, e.ck);
	r = fs_read_span(&e, ino, off, (u32)MIN(len, 65536ul), 0, s);
	fsw_finish(&f, &e, r);
	return r;
}

static long span_read(u64 ino, u64 off, char *to, u64 len)
{
	u64 at = off, end = off + len;
	struct fs_span s;

	while (at < end) {
		long r = take_span(ino, at, end - at, &s);

		if (r < 0 || !s.len)
			return at > off ? (long)(at - off) : r;
		for (u64 done = 0, i = 0; done < s.len; i++) {
			u64 in = (at + done) % PAGE_SIZE, n = MIN(s.len - done, PAGE_SIZE - in);

			if (s.blk[i])
				memcpy(to + done, mem_block(&f.w.isl[0], s.blk[i]) + in, n);
			else
				memset(to + done, 0, n);
			done += n;
		}
		if (!fs_span_holds(f.w.ck[0], &s))
			return -EAGAIN;
		at += s.len;
		to += s.len;
	}
	return (long)(at - off);
}

/* --- random operations --------------------------------------------------------------------- */

static void do_write(struct model *m)
{
	u64 off = pick(4) ? pick(SIZE_MAX_ - 70000) : m->size, len;
	long r;

	off = MIN(off, SIZE_MAX_ - 70000ul);
	len = 1 + pick(pick(3) ? 9000 : 65000);
	if (!pick(3)) {
		off = ALIGN_DOWN(off, 4096);
		len = ALIGN_UP(len, 4096);
	}
	fill(buf, len);
	as(!pick(3));
	if (f.far) {
		r = far_write(m->ino, off, buf, len);
	} else {
		op(&f, m->ino, O_WRONLY);
		r = wr(&f, m->ino, off, buf, len);
		cl(&f, m->ino, O_WRONLY);
	}
	if (r != (long)len)
		bad("write", m, off, (u64)r);
	if (r <= 0)
		return;
	if (off > m->size)
		memset(m->data + m->size, 0, off - m->size);
	memcpy(m->data + off, buf, (size_t)r);
	m->size = MAX(m->size, off + (u64)r);
}

static void do_read(struct model *m)
{
	u64 off = pick(SIZE_MAX_), len = pick(SIZE_MAX_);
	u64 want = off < m->size ? MIN(len, m->size - off) : 0;
	long r;

	as(!pick(3));
	if (f.far) {
		r = far_read(m->ino, off, buf, len);
	} else {
		op(&f, m->ino, O_RDONLY);
		r = pick(2) ? rd(&f, m->ino, off, buf, len) : span_read(m->ino, off, buf, len);
		cl(&f, m->ino, O_RDONLY);
	}
	if (r != (long)want || memcmp(buf, m->data + off, want))
		bad(f.far ? "far read" : "near read", m, off, len);
}

static void do_trunc(struct model *m)
{
	u64 size = pick(3) ? pick(SIZE_MAX_) : pick(3) * 4096;

	as(!pick(3));
	if (!pick(4)) {
		op(&f, m->ino, O_WRONLY | O_TRUNC);
		cl(&f, m->ino, O_WRONLY);
		size = 0;
	} else if (trunc_to(&f, m->ino, size) < 0) {
		bad("truncate", m, size, 0);
	}
	if (size > m->size)
		memset(m->data + m->size, 0, size - m->size);
	m->size = size;
}

static void do_fallocate(struct model *m)
{
	static const u32 modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	u32 mode = modes[pick(ARRAY_SIZE(modes))];
	u64 off = pick(SIZE_MAX_ - 1), len = 1 + pick((u32)(SIZE_MAX_ - off)), at = off;
	u64 end = off + len;
	struct rep_FALLOCATE p = { 0 };

	as(false);
	while (at < end) {
		long r = FS(&f, fallocate, FALLOCATE, &p, .ino = m->ino, .mode = mode, .off = at,
			    .len = end - at);

		if (r < 0 || !p.done || p.done > end - at) {
			bad("fallocate", m, at, (u64)r);
			return;
		}
		at += p.done;
	}
	if (end > m->size && !(mode & FALLOC_FL_KEEP_SIZE)) {
		memset(m->data + m->size, 0, end - m->size);
		m->size = end;
	}
	if (mode & (FALLOC_FL_ZERO_RANGE | FALLOC_FL_PUNCH_HOLE))
		memset(m->data + off, 0, MIN(end, MAX(m->size, off)) - off);
}

static void do_new(struct model *m)
{
	char name[16];

	as(false);
	snprintf(name, sizeof(name), "f%d", (int)(m - file));
	if (m->ino) {
		if (m->far_open) {
			as(true);
			cl(&f, m->ino, O_RDONLY);
			as(false);
			m->far_open = false;
		}
		if (rm(&f, ROOT, name) < 0)
			bad("unlink", m, 0, 0);
	}
	m->ino = (u64)mk(&f, ROOT, name, HS_IFREG | 0644);
	m->size = 0;
}

static void toggle_far_open(struct model *m)
{
	as(true);
	if (m->far_open)
		cl(&f, m->ino, O_RDONLY);
	else
		op(&f, m->ino, O_RDONLY);
	m->far_open = !m->far_open;
	as(false);
}

static void whole(struct model *m)
{
	u64 at = 0;

	as(false);
	if (stat_of(&f, m->ino).size != m->size)
		bad("size", m, stat_of(&f, m->ino).size, 0);
	op(&f, m->ino, O_RDONLY);
	for (; at < m->size; at += 65536) {
		u64 n = MIN(m->size - at, 65536ul);

		if (rd(&f, m->ino, at, buf, n) != (long)n || memcmp(buf, m->data + at, n))
			bad("content, near", m, at, n);
	}
	cl(&f, m->ino, O_RDONLY);
	as(true);
	if (far_read(m->ino, 0, buf2, m->size) != (long)m->size || memcmp(buf2, m->data, m->size))
		bad("content, far", m, 0, m->size);
	as(false);
}

static void t_random_ops(u32 model, u64 chaos, u32 rounds)
{
	struct fs_stats s0, s1;
	u32 n = 0;

	fsw_new(&f, &(struct world_cfg){ .cores = 2, .islands = 2, .model = model,
					 .chaos = chaos }, 0);
	fsw_stats(&f, 0, &s0);
	errors = 0;
	rnd = chaos + model;
	for (u32 i = 0; i < FILES; i++) {
		file[i] = (struct model){ .data = calloc(1, SIZE_MAX_ + 70000) };
		do_new(&file[i]);
	}
	for (u32 i = 0; i < rounds; i++) {
		struct model *m = &file[pick(FILES)];

		switch (pick(12)) {
		case 0: case 1: case 2: case 3: case 4:
			do_write(m);
			break;
		case 5: case 6: case 7:
			do_read(m);
			break;
		case 8:
			do_trunc(m);
			break;
		case 9:
			do_fallocate(m);
			break;
		case 10:
			toggle_far_open(m);
			break;
		case 11:
			if (!pick(4))
				do_new(m);
			break;
		}
		if (i % 100 == 0)
			n += fsw_check(&f);
	}
	for (u32 i = 0; i < FILES; i++) {
		char name[16];

		whole(&file[i]);
		if (file[i].far_open)
			toggle_far_open(&file[i]);
		snprintf(name, sizeof(name), "f%d", i);
		rm(&f, ROOT, name);
		free(file[i].data);
	}
	is(errors, 0, "%s%s: %u random operations agree with the model", world_model(model),
	   chaos ? " with evictions" : "", rounds);
	is(n + fsw_check_all(&f), 0, "consistent throughout");
	fsw_stats(&f, 0, &s1);
	is(s1.blocks_free, s0.blocks_free, "all blocks are free again");
	ok(f.max_log < CK_LOG_MAX / 2, "the longest transaction has %lu stores", f.max_log);
	fsw_end(&f);
}

/* --- blocks ---------------------------------------------------------------------------------- */

static u64 pages_of(u64 ino, u64 first, u64 last)
{
	struct rep_PAGES p = { 0 };
	u64 sum = 0;

	do {
		if (FS(&f, pages, PAGES, &p, .ino = ino, .first = p.next ? p.next : first,
		       .last = last))
			return ~0ULL;
		sum += p.count;
	} while (p.next);
	return sum;
}

static void t_full(void)
{
	struct fs_stats s0, s1;
	static char page[65536];
	u64 ino, ino2, off = 0;
	long r;

	fsw_new(&f, &(struct world_cfg){ .cores = 1, .size = 48 << 20 }, 0);
	fsw_stats(&f, 0, &s0);
	ino = (u64)mk(&f, ROOT, "big", HS_IFREG | 0644);
	while ((r = wr(&f, ino, off, page, sizeof(page))) > 0)
		off += (u64)r;
	is(r, -ENOSPC, "writing until ENOSPC");
	is(off, s0.blocks * PAGE_SIZE, "every block was used");
	fsw_stats(&f, 0, &s1);
	is(s1.blocks_free, 0, "none is free");
	is(stat_of(&f, ino).blocks, s0.blocks, "all are this file's");
	is(FS(&f, fallocate, FALLOCATE, NULL, .ino = ino, .off = off, .len = 1), -ENOSPC,
	   "fallocate: ENOSPC");
	is(pages_of(ino, 0, ~0ULL), s0.blocks, "pages, in steps");
	is(pages_of(ino, 5, off / PAGE_SIZE - 2), s0.blocks - 6, "and of a part");
	is(FS(&f, blocks, BLOCKS, NULL, .ino = ino, .first = off / PAGE_SIZE, .count = 1,
	      .flags = BLOCKS_ALLOC),
	   -ENOSPC, "blocks: ENOSPC");
	ok(mk(&f, ROOT, "more", HS_IFREG | 0644) > 0, "files without data can be made");
	is(fsw_check(&f), 0, "consistent");
	is(rm(&f, ROOT, "big"), 0, "unlink of a large file");
	fsw_stats(&f, 0, &s1);
	is(s1.blocks_free, s0.blocks, "all blocks count as free");
	is(fsw_check(&f), 0, "consistent");
	ino2 = (u64)look(&f, ROOT, "more");
	for (off = 0; (r = wr(&f, ino2, off, page, sizeof(page))) > 0;)
		off += (u64)r;
	is(off, s0.blocks * PAGE_SIZE, "and every one can be had at once");
	is(trunc_to(&f, ino2, 5000), 0, "truncate");
	fsw_stats(&f, 0, &s1);
	is(s1.blocks_free, s0.blocks - 2, "gives all back but two");
	is(rm(&f, ROOT, "more"), 0, "unlink");
	while (fs_trim(&f.w.ctx[0], f.w.ck[0]))
		ck_commit(f.w.ck[0]);
	ck_commit(f.w.ck[0]);
	is(fsw_check_all(&f), 0, "consistent");
	fsw_end(&f);
}

/* Blocks of two files that lie between each other: the most stores a transaction can need. */
static void t_fragmented(void)
{
	static char page[4096];
	struct fs_stats s0, s1;
	u64 a, b;

	fsw_new(&f, &(struct world_cfg){ .cores = 2, .islands = 2, .model = MEM_EMULATED }, 0);
	fsw_stats(&f, 0, &s0);
	a = (u64)mk(&f, ROOT, "a", HS_IFREG | 0644);
	b = (u64)mk(&f, ROOT, "b", HS_IFREG | 0644);
	for (u64 i = 0; i < 4000; i++) {
		wr(&f, i % 2 ? a : b, i * 64 * 4096, page, 4096);
		if (i % 3 == 0)
			wr(&f, i % 2 ? b : a, i * 64 * 4096 + 8192, page, 4096);
	}
	as(true);
	op(&f, a, O_RDWR);
	as(false);
	is(trunc_to(&f, a, 100 << 20), 0, "truncate while a far core has it open");
	is(trunc_to(&f, a, 10 << 20), 0, "again");
	is(fsw_check(&f), 0, "consistent");
	as(true);
	cl(&f, a, O_RDWR);
	as(false);
	is(trunc_to(&f, a, 1 << 20), 0, "truncate");
	is(trunc_to(&f, b, 1 << 20), 0, "the other");
	wr(&f, a, 5 << 20, page, 4096);
	is(rm(&f, ROOT, "a"), 0, "unlink");
	is(rm(&f, ROOT, "b"), 0, "unlink");
	for (bool more = true; more;) {
		ck_lock(&f.w.ctx[0], f.w.ck[0]);
		more = fs_trim(&f.w.ctx[0], f.w.ck[0]);
		f.max_log = MAX(f.max_log, (u64)f.w.ck[0]->log_count);
		ck_unlock(f.w.ck[0]);
	}
	fsw_stats(&f, 0, &s1);
	is(s1.blocks_free, s0.blocks_free, "all blocks are free again");
	is(fsw_check_all(&f), 0, "consistent");
	ok(f.max_log < CK_LOG_MAX * 3 / 4, "the longest transaction has %lu stores", f.max_log);
	fsw_end(&f);
}

static void t_deferred(void)
{
	struct fs_stats s0, s1;
	static char page[65536];
	u64 ino;

	fsw_new(&f, &(struct world_cfg){ .cores = 2, .islands = 2 }, 0);
	ino = (u64)mk(&f, ROOT, "a", HS_IFREG | 0644);
	fsw_stats(&f, 0, &s0);
	wr(&f, ino, 0, page, sizeof(page));
	as(true);
	is(op(&f, ino, O_RDWR), 0, "a far core opens");
	as(false);
	is(trunc_to(&f, ino, 4096), 0, "a near one truncates");
	is(trunc_to(&f, ino, 0), 0, "twice");
	fsw_stats(&f, 0, &s1);
	is(s1.blocks_free, s0.blocks_free - 16, "no block is reused yet");
	is(fsw_check(&f), 0, "consistent");
	is(op(&f, ino, O_RDONLY | (int)OPEN_PIN), 0, "a near process maps it");
	as(true);
	is(cl(&f, ino, O_RDWR), 0, "the far core closes");
	as(false);
	fsw_stats(&f, 0, &s1);
	is(s1.blocks_free, s0.blocks_free - 16, "still mapped");
	is(cl(&f, ino, O_RDONLY | (int)OPEN_PIN), 0, "unmapped");
	fsw_stats(&f, 0, &s1);
	is(s1.blocks_free, s0.blocks_free, "now they are free");
	wr(&f, ino, 0, page, sizeof(page));
	as(true);
	is(op(&f, ino, O_RDWR), 0, "a far core opens");
	as(false);
	is(rm(&f, ROOT, "a"), 0, "a near one removes the file");
	is(stat_of(&f, ino).nlink, 0, "it lives on");
	ck_lock(&f.w.ctx[0], f.w.ck[0]);
	fs_core_died(&f.w.ctx[0], f.w.ck[0], 1);
	ck_unlock(f.w.ck[0]);
	is(stat_of(&f, ino).ino, 0, "the far core dies: gone");
	fsw_stats(&f, 0, &s1);
	is(s1.blocks_free, s0.blocks_free, "with its blocks");
	is(fsw_check_all(&f), 0, "consistent");
	fsw_end(&f);
}

static void t_offsets(void)
{
	char b[16] = "";
	struct rep_DUP d = { 0 };
	struct rep_READ r = { .data = BYTES(b, 4) };
	struct rep_WRITE w = { 0 };
	struct rep_LSEEK l = { 0 };
	struct rep_OFD_FLAGS g = { 0 };
	struct rep_OFD_LOCAL back = { 0 };
	u64 ino, max = 0x7fffffffffffffffULL;

	fsw_new(&f, &(struct world_cfg){ .cores = 1 }, 0);
	ino = (u64)mk(&f, ROOT, "a", HS_IFREG | 0644);
	wr(&f, ino, 0, "0123456789", 10);
	is(FS(&f, dup, DUP, &d, .ino = ino, .refs = 2), -EBADF, "dup: EBADF, not open");
	op(&f, ino, O_RDWR);
	is(FS(&f, dup, DUP, &d, .ino = ino, .refs = 2, .off = 3, .flags = O_RDWR), 0, "dup");
	is(d.refs, 2, "two references");
	is(FS(&f, read, READ, &r, .ino = ino, .ofd = d.ofd, .len = 4, .flags = IO_SHARED), 0,
	   "read at the shared offset");
	ok(r.off == 3 && r.data.len == 4 && !memcmp(b, "3456", 4), "which is 3");
	is(FS(&f, lseek, LSEEK, &l, .ino = ino, .ofd = d.ofd, .whence = SEEK_CUR), 0, "lseek");
	is(l.off, 7, "it moved");
	is(FS(&f, ofd_flags, OFD_FLAGS, &g, .ino = ino, .ofd = d.ofd, .set = 1,
	      .flags = O_APPEND),
	   0, "set O_APPEND");
	is(FS(&f, write, WRITE, &w, .ino = ino, .ofd = d.ofd, .flags = IO_SHARED,
	      .data = BYTES("xy", 2)),
	   0, "write");
	ok(w.off == 10 && w.size == 12, "appends");
	is(FS(&f, lseek, LSEEK, &l, .ino = ino, .ofd = d.ofd, .off = -13, .whence = SEEK_END),
	   -EINVAL, "lseek: EINVAL before the beginning");
	is(FS(&f, lseek, LSEEK, &l, .ino = ino, .ofd = 99, .whence = SEEK_SET), -EBADF,
	   "lseek: EBADF");
	is(FS(&f, lseek, LSEEK, &l, .ino = ino, .whence = 9), -EINVAL, "lseek: EINVAL");
	is(FS(&f, ofd_local, OFD_LOCAL, &back, .ino = ino, .ofd = d.ofd), -EAGAIN,
	   "local again: EAGAIN, two have it");
	is(g.last, 0, "which F_SETFL said too");
	is(FS(&f, close, CLOSE, NULL, .ino = ino, .ofd = d.ofd), 0, "close one");
	is(FS(&f, lseek, LSEEK, &l, .ino = ino, .ofd = d.ofd, .whence = SEEK_CUR), 0, "lseek");
	is(l.last, 1, "says that one is left");
	is(FS(&f, ofd_local, OFD_LOCAL, &back, .ino = ino, .ofd = 99), -EBADF,
	   "local again: EBADF");
	for (int again = 0; again < 2; again++) {
		is(FS(&f, ofd_local, OFD_LOCAL, &back, .ino = ino, .ofd = d.ofd), 0,
		   "local again, time %d", again);
		ok(back.off == 12 && back.flags == (O_RDWR | O_APPEND) && back.attr.size == 12,
		   "the offset, the flags, the size");
	}
	is(FS(&f, dup, DUP, &d, .ino = ino, .ofd = d.ofd, .refs = 1, .push = 1, .off = 5,
	      .flags = O_WRONLY),
	   0, "shared once more");
	is(FS(&f, read, READ, &r, .ino = ino, .ofd = d.ofd, .len = 2, .flags = IO_SHARED), 0,
	   "read, its access mode is what it was");
	ok(r.off == 5 && !r.last, "from the offset that came");
	is(FS(&f, close, CLOSE, NULL, .ino = ino, .ofd = d.ofd), 0, "close that");
	is(stat_of(&f, ino).ino, ino, "still there");
	is(rm(&f, ROOT, "a"), 0, "unlink");
	is(FS(&f, close, CLOSE, NULL, .ino = ino, .ofd = d.ofd), 0, "close the other");
	is(stat_of(&f, ino).ino, 0, "gone");
	/* limits, holes */
	ino = (u64)mk(&f, ROOT, "h", HS_IFREG | 0644);
	is(wr(&f, ino, max, "x", 1), -EFBIG, "write: EFBIG");
	is(wr(&f, ino, max - 1, "xy", 2), 1, "the last byte can be written");
	is(stat_of(&f, ino).size, max, "the largest size");
	is(FS(&f, lseek, LSEEK, &l, .ino = ino, .off = 1, .whence = SEEK_END), -EOVERFLOW,
	   "lseek: EOVERFLOW");
	is(trunc_to(&f, ino, max + 1), -EFBIG, "truncate: EFBIG");
	is(trunc_to(&f, ino, 1 << 20), 0, "truncate");
	is(stat_of(&f, ino).blocks, 0, "a hole");
	wr(&f, ino, 65536, "x", 1);
	is(FS(&f, lseek, LSEEK, &l, .ino = ino, .off = 5, .whence = SEEK_DATA), 0, "SEEK_DATA");
	is(l.off, 65536, "finds it");
	is(FS(&f, lseek, LSEEK, &l, .ino = ino, .off = 65540, .whence = SEEK_HOLE), 0, "SEEK_HOLE");
	is(l.off, 65536 + 4096, "behind it");
	is(FS(&f, lseek, LSEEK, &l, .ino = ino, .off = 70000, .whence = SEEK_DATA), -ENXIO,
	   "SEEK_DATA: ENXIO");
	is(FS(&f, lseek, LSEEK, &l, .ino = ino, .off = 1 << 20, .whence = SEEK_HOLE), -ENXIO,
	   "SEEK_HOLE: ENXIO");
	is(rd(&f, ino, 65530, b, 8), 8, "read");
	ok(!memcmp(b, "\0\0\0\0\0\0x\0", 8), "zeros around");
	is(rd(&f, ino, 1 << 20, b, 8), 0, "read at the end");
	is(FS(&f, fallocate, FALLOCATE, NULL, .ino = ino, .mode = 0x40, .len = 5), -EOPNOTSUPP,
	   "fallocate: EOPNOTSUPP");
	is(FS(&f, fallocate, FALLOCATE, NULL, .ino = ino), -EINVAL, "fallocate: EINVAL");
	is(FS(&f, fallocate, FALLOCATE, NULL, .ino = ino, .off = max, .len = 5), -EFBIG,
	   "fallocate: EFBIG");
	is(FS(&f, fallocate, FALLOCATE, NULL, .ino = ROOT, .len = 5), -EISDIR,
	   "fallocate: EISDIR");
	is(rd(&f, ROOT, 0, b, 8), -EISDIR, "read: EISDIR");
	is(wr(&f, ROOT, 0, b, 8), -EISDIR, "write: EISDIR");
	is(trunc_to(&f, ROOT, 0), -EISDIR, "truncate: EISDIR");
	is(rd(&f, 777, 0, b, 8), -ENOENT, "read: ENOENT");
	is(cl(&f, ino, O_RDWR), 0, "a close too many");
	is(stat_of(&f, ino).ino, ino, "changes nothing");
	is(fsw_check_all(&f), 0, "consistent");
	fsw_end(&f);
}

/* What a near reader copies without the lock is known to be stale after any change. */
static void t_spans(void)
{
	struct fs_span s, s2;
	u64 ino, other;

	fsw_new(&f, &(struct world_cfg){ .cores = 1, .size = 48 << 20 }, 0);
	ino = (u64)mk(&f, ROOT, "a", HS_IFREG | 0644);
	other = (u64)mk(&f, ROOT, "b", HS_IFREG | 0644);
	wr(&f, ino, 0, "0123456789", 10);
	wr(&f, ino, 3 * PAGE_SIZE, "x", 1);
	is(take_span(ino, 4, 3 * PAGE_SIZE, &s), 0, "a span");
	is(s.len, 3 * PAGE_SIZE - 3, "up to the end");
	ok(s.blk[0] && !s.blk[1] && !s.blk[2] && s.blk[3], "blocks and holes");
	ok(fs_span_holds(f.w.ck[0], &s), "it holds");
	is(take_span(ino, 3 * PAGE_SIZE + 1, 5, &s2), 0, "at the end");
	is(s2.len, 0, "there is nothing");
	is(stat_of(&f, ino).size, 3 * PAGE_SIZE + 1, "looking at the file");
	ok(fs_span_holds(f.w.ck[0], &s), "changes nothing");
	wr(&f, ino, 1, "y", 1);
	ok(!fs_span_holds(f.w.ck[0], &s), "a write into the file: it holds no more");
	take_span(ino, 0, 1, &s);
	trunc_to(&f, ino, 5);
	ok(!fs_span_holds(f.w.ck[0], &s), "nor after a truncation");
	wr(&f, other, 0, "z", 1);
	take_span(other, 0, 1, &s);
	is(rm(&f, ROOT, "b"), 0, "unlink");
	ok(!fs_span_holds(f.w.ck[0], &s), "nor when the block is free again");
	is(take_span(other, 0, 1, &s), -ENOENT, "ENOENT");
	is(take_span(ROOT, 0, 1, &s), -EOPNOTSUPP, "a directory: EOPNOTSUPP");
	is(take_span(ino, 1ULL << 63, 1, &s), -EINVAL, "EINVAL");
	is(fsw_check_all(&f), 0, "consistent");
	fsw_end(&f);
}

/* A copy is cut when there is no memory to keep its pages for those that map them: what was read
 * from the file before does not come into it all the same. */
static void t_copy_full(void)
{
	const u64 far = (1ULL << 40) | 77;
	struct rep_COPY_DATA want = { 0 };
	static char data[16384];
	struct rep_COPY p = { 0 };
	struct ctx *c;

	fsw_new(&f, &(struct world_cfg){ .cores = 2 }, 0);
	c = &f.w.ctx[0];
	memset(data, 'x', sizeof(data));
	is(FS(&f, copy, COPY, &p, .ino = far), 0, "copy");
	is(FS(&f, open, OPEN, NULL, .ino = p.copy, .flags = O_RDWR | OPEN_PIN | OPEN_NOCHECK,
	      .cred = &f.cred),
	   0, "open");
	is(FS(&f, copy_data, COPY_DATA, NULL, .ino = far, .op = COPY_FILL, .end = 16384,
	      .data = BYTES(data, sizeof(data))),
	   0, "fill");
	FS(&f, copy_data, COPY_DATA, &want, .ino = far, .op = COPY_WANT, .end = 16384);
	ck_lock(c, c->ck);
	for (size_t size = 1 << 20; size >= 16; size /= 2)
		while (ck_alloc(c->ck, size))
			ck_commit(c->ck);
	ck_unlock(c->ck);
	is(FS(&f, copy_data, COPY_DATA, NULL, .ino = far, .op = COPY_CUT, .off = 5000), 0,
	   "cut with no memory left");
	is(FS(&f, copy_data, COPY_DATA, NULL, .ino = far, .op = COPY_FILL, .off = 8192,
	      .end = 16384, .gen = want.gen, .data = BYTES(data, 8192)),
	   -EAGAIN, "what was read before is old");
	FS(&f, copy_data, COPY_DATA, &want, .ino = far, .op = COPY_WANT, .off = 8192, .end = 16384);
	is(want.count, 2, "and so are the pages");
	is(fsw_check(&f), 0, "consistent");
	fsw_end(&f);
}

int main(int argc, char **argv)
{
	u32 rounds = argc > 1 ? (u32)atoi(argv[1]) : 1500;

	t_offsets();
	t_spans();
	t_full();
	t_fragmented();
	t_deferred();
	t_copy_full();
	t_random_ops(MEM_COHERENT, 0, rounds);
	t_random_ops(MEM_FLUSH, 0, rounds);
	t_random_ops(MEM_EMULATED, 0, rounds);
	for (u64 chaos = 1; chaos <= 4; chaos++)
		t_random_ops(MEM_EMULATED, chaos, rounds);
	return done_testing();
}
