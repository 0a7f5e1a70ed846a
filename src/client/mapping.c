/* SPDX-License-Identifier: MIT */
/*
 * Mappings of Hare's files: how they are shown, kept, written back. The calls are in
 * mmap.c.
 *
 * A mapping shows the file's blocks themselves, by mappings of the DRAM object, one for
 * each run of blocks that are neighbours there:
 *
 *   file      | run 0: blocks 7-9 | hole        | run 1: block 3 |  end  |
 *   shared    | DRAM 7-9          | allocated   | DRAM 3         | faults with SIGBUS
 *   private   | DRAM 7-9, copied  | zeros       | DRAM 3, copied | faults with SIGBUS
 *             |   when written    |
 *
 * Holes of a shared mapping are allocated when it is made, EAGER_PAGES at most: that costs no
 * faults, and the host's kernel can write there. Larger holes, and what finds no room, are shown as
 * the part behind the end is, and allocated where they are touched (client_fault), or where
 * a call of the host met them (client_unshown).
 *
 * The part behind the end maps DRAM behind its own end, where the host raises SIGBUS as
 * Linux does for files. When the file has grown the blocks are mapped there: after a call
 * of this process that made it longer, or at the fault (client_fault).
 *
 * Partitioned DRAM: of files of other islands a copy is shown in the same way, in this island's
 * blocks (copy.c). The file's server says where its holes are, and that the rest is filled in.
 *
 * The file's blocks stay while a mapping shows them: an OPEN with OPEN_PIN is counted,
 * and stands as a description (`pin`) in core-kernel memory; mappings that a process and
 * its children have of one file share it. So unmapping, exec, exit and being killed give
 * it back as any description.
 *
 * Memory models without coherence: what the island's cache holds of a far file's blocks
 * is dropped when they are mapped, and what was stored is written back, and told to the
 * server, by msync, munmap, fsync, close and exit: close-to-open, as for read and write.
 */
#include <asm/mman.h>

#include "base/race.h"
#include "client/mapping.h"
#include "client/path.h"

#define BLOCKS_MAX  0x40000000U
#define EAGER_PAGES 16384U /* 64 MiB */
#define FILL_PAGES  64U /* at a fault; what one BLOCKS allocates */
#define ARG_MAX_LEN (16U << 20)
#define FAULTS_MAX  8U
#define COPY_PAGES  256U /* filled for one answer */

/* --- showing blocks --------------------------------------------------------------- */

static long map_at(u64 addr, u64 len, u32 prot, u32 flags, int fd, u64 off)
{
	long r = SYS(mmap, addr, len, prot, flags | MAP_FIXED, fd, off);

	return sys_failed(r) ? r : 0;
}

static long map_run(struct task *t, const struct mapping *m, u64 addr,
		    const struct run *run, u32 flags)
{
	struct island *isl = t->ctx.isl;
	u64 len = (u64)run->count * PAGE_SIZE;

	if (m->pin->far && !m->pin->copy && isl->model != MEM_COHERENT)
		mem_invalidate(isl, mem_block(isl, run->blk), len);
	return map_at(addr, len, m->prot, flags | (m->shared ? MAP_SHARED : MAP_PRIVATE),
		      mem_block_fd(isl), mem_block_off(isl, run->blk));
}

/* The first of the file's runs, in blocks of the copy; a hole as it is. */
static long copied(struct task *t, const struct mapping *m, struct run *runs, u32 *n)
{
	*n = 1;
	if (!runs[0].blk)
		return 0;
	return copy_runs(t, m->pin, runs[0].index,
			 MIN((u64)runs[0].count, (u64)COPY_PAGES),
			 m->shared && !m->readonly, runs, n);
}

static long ask_blocks(struct task *t, const struct mapping *m, u64 first, u64 count,
		       u32 flags, struct run *runs, u32 *n)
{
	struct req_BLOCKS q = {
		.ino = m->pin->ino,
		.first = first,
		.count = (u32)MIN(count, (u64)BLOCKS_MAX),
		.flags = flags,
	};
	struct rep_BLOCKS p = { .runs = { .p = runs, .cap = RUNS_MAX * sizeof(*runs) } };
	long r = room_blocks(t, ofd_server(m->pin), &q, &p);

	*n = p.runs.len / (u32)sizeof(*runs);
	if (unlikely(m->pin->copy) && r >= 0 && *n)
		return copied(t, m, runs, n);
	return r < 0 ? r : *n ? 0 : -EIO;
}

/* DRAM behind its own end. */
static long map_nothing(struct task *t, const struct mapping *m, u64 addr, u64 len)
{
	struct island *isl = t->ctx.isl;
	u64 off = ALIGN_UP(isl->super->dram_size, (u64)PAGE_SIZE) + PAGE_SIZE;

	return map_at(addr, len, m->prot, m->shared ? MAP_SHARED : MAP_PRIVATE,
		      isl->fds.dram, off);
}

static u64 addr_of(const struct mapping *m, u64 index)
{
	return m->start + index * PAGE_SIZE - m->off;
}

/* Shows the runs that were answered, from block *at on, at most to `end`. Stops at a hole
 * of a shared mapping, which has to be filled first: *hole is how long it is. */
static long map_runs(struct task *t, const struct mapping *m, struct run *runs, u32 n,
		     u64 *at, u64 end, u32 flags, u64 *hole)
{
	*hole = 0;
	for (u32 i = 0; i < n && *at < end; i++) {
		struct run *run = &runs[i];
		u64 addr = addr_of(m, *at);
		long r;

		run->count = (u32)MIN((u64)run->count, end - *at);
		if (!run->blk && m->shared) {
			*hole = run->count;
			return 0;
		}
		if (run->blk)
			r = map_run(t, m, addr, run, flags);
		else
			r = map_at(addr, (u64)run->count * PAGE_SIZE, m->prot,
				   flags | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (r)
			return r;
		*at += run->count;
	}
	return 0;
}

/* Without room for a copy: memory of the process's own for some pages of a private mapping. */
static long read_pages(struct task *t, const struct mapping *m, u64 *at, u64 end)
{
	u64 addr = addr_of(m, *at), count = MIN(end - *at, (u64)COPY_PAGES);
	long r = map_at(addr, count * PAGE_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!r)
		r = copy_read(t, m->pin->ino, *at * PAGE_SIZE, (char *)addr,
			      count * PAGE_SIZE);
	if (!r && m->prot != (PROT_READ | PROT_WRITE))
		r = SYS(mprotect, addr, count * PAGE_SIZE, m->prot);
	*at += count;
	return r;
}

/* A hole that is not filled now. */
static long skip_hole(struct task *t, struct mapping *m, u64 *at, u64 hole)
{
	long r = map_nothing(t, m, addr_of(m, *at), hole * PAGE_SIZE);

	m->lazy = 1;
	*at += hole;
	return r;
}

/* Shows the file's blocks from address m->there up to its end or the mapping's. */
static long map_file(struct task *t, struct mapping *m, u64 size, u32 flags)
{
	u64 base = m->off / PAGE_SIZE, pages = (m->end - m->start) / PAGE_SIZE;
	u64 end = MIN((size + PAGE_SIZE - 1) / PAGE_SIZE, base + pages);
	u64 at = base + (m->there - m->start) / PAGE_SIZE;
	u64 first = at, hole = 0, left = EAGER_PAGES;
	struct run runs[RUNS_MAX];
	long r = 0;

	while (!r && at < end) {
		u64 now = hole;
		u32 n;

		r = ask_blocks(t, m, at, end - at, now ? BLOCKS_ALLOC : 0, runs, &n);
		if (unlikely(r == -ENOSPC && m->pin->copy && !m->shared)) {
			r = read_pages(t, m, &at, end);
			continue;
		}
		if (r == -ENOSPC && now) {
			r = skip_hole(t, m, &at, now);
			hole = 0;
			continue;
		}
		if (!r)
			r = map_runs(t, m, runs, n, &at, end, flags, &hole);
		if (!r && hole > left) {
			r = skip_hole(t, m, &at, hole);
			hole = 0;
		}
		left -= MIN(left, MIN(hole, (u64)FILL_PAGES));
	}
	m->there = MAX(m->there, m->start + (at - base) * PAGE_SIZE);
	if (m->shared && m->pin->far)
		vnode_filled(t, m->pin->ino, first, at);
	return r;
}

long map_beyond(struct task *t, const struct mapping *m)
{
	return m->there < m->end ? map_nothing(t, m, m->there, m->end - m->there) : 0;
}

static long pin_size(struct task *t, struct ofd *pin, u64 *size)
{
	struct req_FSTAT q = { .ino = pin->ino };
	struct rep_FSTAT p;
	long r = rpc_fstat(&t->ctx, ofd_server(pin), &q, &p);

	*size = p.attr.size;
	if (unlikely(pin->copy) && !r)
		copy_version(t, pin->ino, p.attr.version);
	return r;
}

/* The size up to which there are blocks to show. What was cut before is marked then: a near server
 * may have told this core, and nobody here has looked yet. */
static long size_to_show(struct task *t, struct mapping *m, u64 *size)
{
	long r;

	do {
		m->seen = cut_now(t);
		r = pin_size(t, m->pin, size);
		msg_drain(&t->ctx);
	} while (!r && cut_now(t) != m->seen);
	return r;
}

long mapping_show(struct task *t, struct mapping *m, u32 flags)
{
	u64 size;
	long r = size_to_show(t, m, &size);

	if (!r)
		r = map_file(t, m, size, flags & MAPPING_FLAGS);
	if (!r)
		r = map_beyond(t, m);
	return r;
}

bool mapping_show_once(struct task *t, struct mapping *m, u64 hint, u32 flags)
{
	u64 len = m->end, pages = len / PAGE_SIZE, size;
	struct island *isl = t->ctx.isl;
	struct run runs[RUNS_MAX];
	u32 n;
	long at;

	if (unlikely(m->pin->copy))
		return false;
	if (size_to_show(t, m, &size) || size <= m->off ||
	    size - m->off + PAGE_SIZE <= len)
		return false;
	if (ask_blocks(t, m, m->off / PAGE_SIZE, pages, 0, runs, &n))
		return false;
	if (!runs[0].blk || runs[0].count < pages)
		return false;
	if (m->pin->far && isl->model != MEM_COHERENT)
		mem_invalidate(isl, mem_block(isl, runs[0].blk), len);
	at = SYS(mmap, hint, len, m->prot,
		 (flags & MAPPING_FLAGS) | (m->shared ? MAP_SHARED : MAP_PRIVATE),
		 mem_block_fd(isl), mem_block_off(isl, runs[0].blk));
	if (sys_failed(at))
		return false;
	m->start = (u64)at;
	m->end = m->there = m->start + len;
	return true;
}

/* --- records ---------------------------------------------------------------------- */

/* Another mapping's pin is used again when there is one. */
struct ofd *mapping_pin(struct task *t, struct ofd *of, bool writable, long *err)
{
	u32 acc = (writable ? O_RDWR : O_RDONLY) | OPEN_PIN;
	struct req_OPEN q = { .ino = of->ino, .flags = acc, .cred = &t->proc->cred };
	struct rep_OPEN p = { .runs = { .p = NULL } };
	struct ck *ck = t->ctx.ck;
	struct ofd *pin = NULL;
	struct list *l;
	u32 i;

	ck_lock(&t->ctx, ck);
	for (l = t->proc->fds->maps.next; l != &t->proc->fds->maps && !pin; l = l->next) {
		struct mapping *m = LIST_ENTRY(l, struct mapping, link);

		if (m->pin->ino == of->ino && m->pin->flags == acc)
			pin = m->pin;
	}
	if (pin) {
		TX_ADD(ck, pin->refs, 1);
		if (hold_push(t, pin, true, &i))
			hold_note(t, ck, i, pin);
	}
	ck_unlock(ck);
	if (pin)
		return pin;
	/* It gets the inode, and owes a CLOSE, in the transaction that counts the
	 * OPEN. */
	*err = -ENOMEM;
	pin = ofd_new(t, OFD_FILE, 0, acc);
	if (!pin)
		return NULL;
	pin->far = of->far;
	*err = far_aware_open(t, pin, &q, &p);
	if (!*err && copy_wanted(t, of->ino))
		*err = copy_open(t, pin);
	if (!*err)
		return pin;
	ofd_put(t, pin);
	return NULL;
}

bool mapping_lock(struct task *t)
{
	struct fdtable *ft = t->proc->fds;

	if (!ft || busy_is_mine(t, &ft->map_busy))
		return false;
	busy_lock(t, &ft->map_busy);
	return true;
}

void mapping_unlock(struct task *t, bool locked)
{
	if (locked)
		busy_unlock(&t->proc->fds->map_busy);
}

long mapping_add(struct task *t, const struct mapping *from)
{
	struct ck *ck = t->ctx.ck;
	struct mapping *m;

	race_point("shown", RACE_AT);
	ck_lock(&t->ctx, ck);
	m = ck_alloc(ck, sizeof(*m));
	if (m) {
		*m = *from;
		list_init_fresh(&m->link);
		m->cut = 0;
		tx_list_add_tail(ck, &t->proc->fds->maps, &m->link);
		cut_missed(t, ck, m);
		hold_pass(t, ck, m->pin);
	}
	ck_unlock(ck);
	return m ? 0 : -ENOMEM;
}

struct mapping *mapping_find(struct fdtable *ft, u64 from, u64 to)
{
	struct list *l;

	for (l = ft->maps.next; l != &ft->maps; l = l->next) {
		struct mapping *m = LIST_ENTRY(l, struct mapping, link);

		if (mapping_overlaps(m, from, to))
			return m;
	}
	return NULL;
}

static void cut_front(struct ck *ck, struct mapping *m, u64 to)
{
	TX_SET(ck, m->off, m->off + (to - m->start));
	TX_SET(ck, m->start, to);
	if (m->there < to)
		TX_SET(ck, m->there, to);
	if (m->cut && m->cut < to)
		TX_SET(ck, m->cut, to);
}

static void cut_back(struct ck *ck, struct mapping *m, u64 from)
{
	TX_SET(ck, m->end, from);
	if (m->there > from)
		TX_SET(ck, m->there, from);
	if (m->cut >= from)
		TX_SET(ck, m->cut, 0);
}

bool mapping_split(struct ck *ck, struct fdtable *ft, struct mapping *m, u64 at)
{
	struct mapping *rest;

	if (at <= m->start || at >= m->end)
		return true;
	rest = ck_alloc(ck, sizeof(*rest));
	if (!rest)
		return false;
	*rest = *m;
	list_init_fresh(&rest->link);
	rest->off += at - m->start;
	rest->start = at;
	rest->there = MAX(rest->there, at);
	rest->cut = rest->cut ? MAX(rest->cut, at) : 0;
	tx_list_add_tail(ck, &ft->maps, &rest->link);
	TX_ADD(ck, m->pin->refs, 1);
	cut_back(ck, m, at);
	return true;
}

static bool goes_on(const struct mapping *a, const struct mapping *b)
{
	return b->start == a->end && b->pin == a->pin && b->prot == a->prot &&
	       b->shared == a->shared && b->readonly == a->readonly &&
	       b->off == a->off + (a->end - a->start);
}

static void join(struct ck *ck, struct mapping *a, struct mapping *b)
{
	if (a->there == a->end)
		TX_SET(ck, a->there, b->there);
	TX_SET(ck, a->end, b->end);
	TX_SET(ck, a->stored, a->stored | b->stored);
	TX_SET(ck, a->lazy, a->lazy | b->lazy);
	TX_SET(ck, a->seen, MIN(a->seen, b->seen));
	if (!a->cut)
		TX_SET(ck, a->cut, b->cut);
	TX_ADD(ck, b->pin->refs, -1);
	tx_list_del(ck, &b->link);
	ck_free(ck, b);
}

/* The one that a record goes on in. */
static struct mapping *next_of(struct fdtable *ft, const struct mapping *a)
{
	struct list *l;

	for (l = ft->maps.next; l != &ft->maps; l = l->next)
		if (goes_on(a, LIST_ENTRY(l, struct mapping, link)))
			return LIST_ENTRY(l, struct mapping, link);
	return NULL;
}

void mapping_join(struct ck *ck, struct fdtable *ft, u64 from, u64 to)
{
	struct mapping *b;
	struct list *l;

	for (l = ft->maps.next; l != &ft->maps; l = l->next) {
		struct mapping *a = LIST_ENTRY(l, struct mapping, link);

		if (a->end < from || a->start > to || !is_partly_shown(a))
			continue;
		while ((b = next_of(ft, a))) {
			join(ck, a, b);
			ck_commit(ck);
		}
	}
}

/* Takes [from, to) out of one record; the pin to drop, or NULL. Lock held. */
static struct ofd *record_cut(struct ck *ck, struct fdtable *ft, struct mapping *m,
			      u64 from, u64 to)
{
	struct ofd *pin = m->pin;

	if (from <= m->start && to >= m->end) {
		tx_list_del(ck, &m->link);
		ck_free(ck, m);
		return pin;
	}
	if (from <= m->start) {
		cut_front(ck, m, to);
	} else if (to >= m->end) {
		cut_back(ck, m, from);
	} else if (mapping_split(ck, ft, m, to)) {
		cut_back(ck, m, from);
	} else {
		cut_front(ck, m, m->end); /* no memory: the pin stays, which is safe */
	}
	return NULL;
}

void mappings_cut(struct task *t, u64 from, u64 to)
{
	struct ck *ck = t->ctx.ck;
	struct fdtable *ft = t->proc->fds;
	struct mapping *m;

	do {
		struct ofd *pin = NULL;

		ck_lock(&t->ctx, ck);
		m = mapping_find(ft, from, to);
		if (m)
			pin = record_cut(ck, ft, m, from, to);
		if (pin)
			ofd_drop_unlock(t, pin);
		else
			ck_unlock(ck);
	} while (m);
}

/* --- writing back ----------------------------------------------------------------- */

static void writeback_blocks(struct task *t, const struct mapping *m, u64 first, u64 end)
{
	struct island *isl = t->ctx.isl;
	struct run runs[RUNS_MAX];

	while (first < end) {
		u64 at = first;
		u32 n;

		if (ask_blocks(t, m, first, end - first, 0, runs, &n))
			return;
		for (u32 i = 0; i < n && at < end; i++) {
			u64 count = MIN((u64)runs[i].count, end - at);

			if (runs[i].blk)
				mem_writeback(isl, mem_block(isl, runs[i].blk),
					      count * PAGE_SIZE);
			at += count;
		}
		first = at;
	}
}

void mapping_flush(struct task *t, const struct mapping *m, u64 from, u64 to)
{
	struct req_FLUSH q = { .ino = m->pin->ino,
			       .flags = FLUSH_WROTE | FLUSH_INSIDE,
			       .uid = t->proc->cred.uid };
	struct rep_FLUSH p;

	from = MAX(from, m->start);
	to = MIN(MIN(to, m->end), m->there);
	if (!m->stored || from >= to)
		return;
	q.off = m->off + (from - m->start);
	q.end = m->off + (to - m->start);
	if (unlikely(m->pin->copy)) {
		(void)copy_flush(t, q.ino, q.off, q.end);
		return;
	}
	if (t->ctx.isl->model != MEM_COHERENT)
		writeback_blocks(t, m, q.off / PAGE_SIZE,
				 (q.end + PAGE_SIZE - 1) / PAGE_SIZE);
	q.time = host_realtime_ns();
	rpc_flush(&t->ctx, ofd_server(m->pin), &q, &p);
}

bool mapping_copy(struct task *t, struct fdtable *ft, u32 n, struct mapping *out)
{
	struct ck *ck = t->ctx.ck;
	struct list *l;
	u32 i;

	ck_lock(&t->ctx, ck);
	for (l = ft->maps.next; l != &ft->maps && n; l = l->next)
		n--;
	if (l != &ft->maps) {
		*out = *LIST_ENTRY(l, struct mapping, link);
		TX_ADD(ck, out->pin->refs, 1);
		if (hold_push(t, out->pin, true, &i))
			hold_note(t, ck, i, out->pin);
	}
	ck_unlock(ck);
	return l != &ft->maps;
}

void mappings_flush(struct task *t, u64 from, u64 to)
{
	struct mapping m;

	for (u32 n = 0; mapping_copy(t, t->proc->fds, n, &m); n++) {
		if (mapping_overlaps(&m, from, to))
			mapping_flush(t, &m, from, to);
		ofd_put(t, m.pin);
	}
}

void maps_sync(struct task *t, u64 ino)
{
	struct mapping m;

	if (!maps_any(t))
		return;
	for (u32 n = 0; mapping_copy(t, t->proc->fds, n, &m); n++) {
		if (m.pin->ino == ino)
			mapping_flush(t, &m, m.start, m.end);
		ofd_put(t, m.pin);
	}
}

/* Bytes [from, to) of a mapped block whose first byte is at `at` of the file are no longer cached. */
static void drop(struct island *isl, u32 blk, u64 at, u64 len, u64 from, u64 to)
{
	u64 lo = MAX(at, from), hi = MIN(at + len, to);

	if (lo < hi)
		mem_invalidate(isl, (char *)mem_block(isl, blk) + (lo - at), hi - lo);
}

/* A BLOCKS of a near file drops what a far core wrote. */
static void refresh(struct task *t, const struct mapping *m, u64 from, u64 to)
{
	struct island *isl = t->ctx.isl;
	u64 last = m->off + (m->there - m->start);
	u64 at = MAX(m->off, ALIGN_DOWN(from, (u64)PAGE_SIZE)) / PAGE_SIZE;
	u64 end = last <= to ? last / PAGE_SIZE : (to + PAGE_SIZE - 1) / PAGE_SIZE;
	struct run runs[RUNS_MAX];
	u64 size;

	if (unlikely(m->pin->copy)) {
		if (!pin_size(t, m->pin, &size))
			(void)copy_fill(t, m->pin->ino, at * PAGE_SIZE, end * PAGE_SIZE,
					COPY_HAVE);
		return;
	}
	while (at < end) {
		u32 n;

		if (ask_blocks(t, m, at, end - at, 0, runs, &n))
			return;
		for (u32 i = 0; i < n && at < end; at += runs[i++].count)
			if (runs[i].blk && m->pin->far)
				drop(isl, runs[i].blk, at * PAGE_SIZE,
				     MIN(end - at, (u64)runs[i].count) * PAGE_SIZE, from,
				     to);
	}
}

void maps_refresh(struct task *t, u64 ino, u64 from, u64 to)
{
	struct mapping m;

	if (!maps_any(t) ||
	    (t->ctx.isl->model == MEM_COHERENT && !mem_is_partitioned(t->ctx.isl->super)))
		return;
	for (u32 n = 0; mapping_copy(t, t->proc->fds, n, &m); n++) {
		if (m.pin->ino == ino)
			refresh(t, &m, from, to);
		ofd_put(t, m.pin);
	}
}

/* --- files that grow -------------------------------------------------------------- */

/* What a copy of a record shows now is noted in the record; what was cut meanwhile is marked. */
static void shown(struct task *t, const struct mapping *m)
{
	struct ck *ck = t->ctx.ck;
	struct list *l;

	race_point("shown", RACE_AT);
	ck_lock(&t->ctx, ck);
	for (l = t->proc->fds->maps.next; l != &t->proc->fds->maps; l = l->next) {
		struct mapping *r = LIST_ENTRY(l, struct mapping, link);

		if (r->start != m->start || r->end != m->end || r->pin != m->pin)
			continue;
		TX_SET(ck, r->there, m->there);
		TX_SET(ck, r->lazy, m->lazy);
		TX_SET(ck, r->seen, m->seen);
		cut_missed(t, ck, r);
	}
	ck_unlock(ck);
}

/* Shows what has become of the part behind the end; true when there is more now. */
static bool grow(struct task *t, struct mapping *m)
{
	u64 was = m->there, size;

	if (was >= m->end || size_to_show(t, m, &size) || client_cut_due(t))
		return false;
	if (map_file(t, m, size, 0) || m->there == was)
		return false;
	shown(t, m);
	return true;
}

/* Shows up to `pages` blocks from address addr on, of what a lazy mapping shows: a hole that begins
 * there is allocated, and *fresh. True when there is a block at addr now. */
static bool fill(struct task *t, struct mapping *m, u64 addr, u64 pages, bool *fresh)
{
	u64 first = (m->off + (addr - m->start)) / PAGE_SIZE, at = first, size, end, hole;
	struct run runs[RUNS_MAX];
	u32 n;

	if (size_to_show(t, m, &size) || client_cut_due(t))
		return false;
	end = MIN((size + PAGE_SIZE - 1) / PAGE_SIZE,
		  (m->off + (m->there - m->start)) / PAGE_SIZE);
	end = MIN(end, first + pages);
	if (at >= end || ask_blocks(t, m, at, end - at, 0, runs, &n))
		return false;
	if (!runs[0].blk) {
		end = MIN(end, at + runs[0].count);
		if (ask_blocks(t, m, at, end - at, BLOCKS_ALLOC, runs, &n))
			return false; /* the memory is full: SIGBUS, as on tmpfs */
		*fresh = true;
	}
	(void)map_runs(t, m, runs, n, &at, end, 0, &hole);
	if (m->pin->far)
		vnode_filled(t, m->pin->ino, first, at);
	shown(t, m);
	return at > first;
}

void maps_grown(struct task *t, u64 ino)
{
	struct mapping m;
	bool locked;

	if (!maps_any(t))
		return;
	locked = mapping_lock(t);
	client_cut_now(t);
	for (u32 n = 0; mapping_copy(t, t->proc->fds, n, &m); n++) {
		if (m.pin->ino == ino && m.there < m.end)
			(void)grow(t, &m);
		ofd_put(t, m.pin);
	}
	mapping_unlock(t, locked);
}

/* A fault that comes again and again where a block was shown is the host's. */
static bool is_stuck(struct task *t, u64 addr, bool fresh)
{
	t->fault_again = addr == t->fault_addr && !fresh ? t->fault_again + 1 : 0;
	t->fault_addr = addr;
	return t->fault_again > FAULTS_MAX;
}

/* The mapping shows nothing at addr: what is the file's there now? */
static bool show_more(struct task *t, struct mapping *m, u64 addr)
{
	bool fresh = false;

	if (addr >= m->there)
		return grow(t, m) && addr < m->there;
	return m->lazy &&
	       fill(t, m, ALIGN_DOWN(addr, (u64)PAGE_SIZE), FILL_PAGES, &fresh) &&
	       !is_stuck(t, addr, fresh);
}

bool client_fault(struct task *t, u64 addr)
{
	bool grown = false, locked;
	struct mapping m;

	if (!t->proc || !maps_any(t))
		return false;
	locked = mapping_lock(t);
	do {
		client_cut_now(t);
		for (u32 n = 0; !grown && mapping_copy(t, t->proc->fds, n, &m); n++) {
			if (addr >= m.start && addr < m.end)
				grown = show_more(t, &m, addr);
			ofd_put(t, m.pin);
		}
	} while (!grown && client_cut_due(t));
	mapping_unlock(t, locked);
	return grown;
}

/* Shows [from, from+len) where a lazy mapping has holes; true when there was one. */
static bool show_range(struct task *t, u64 from, u64 len)
{
	u64 to = from + len < from ? from : from + len;
	bool any = false, fresh;
	struct mapping m;

	for (u32 n = 0; mapping_copy(t, t->proc->fds, n, &m); n++) {
		u64 at = MAX(ALIGN_DOWN(from, (u64)PAGE_SIZE), m.start);

		for (; m.lazy && at < MIN(to, m.there); at += FILL_PAGES * PAGE_SIZE) {
			fresh = false;
			if (!fill(t, &m, at, FILL_PAGES, &fresh))
				break;
			any |= fresh;
		}
		ofd_put(t, m.pin);
	}
	return any;
}

bool client_unshown(struct task *t, const long a[6])
{
	bool any = false, locked;

	if (!t->proc || !maps_any(t))
		return false;
	locked = mapping_lock(t);
	for (u32 i = 0; i < 6; i++) {
		u64 len = i < 5 ? (u64)a[i + 1] : 0;

		any |= show_range(t, (u64)a[i],
				  MIN(MAX(len, (u64)PAGE_SIZE), (u64)ARG_MAX_LEN));
	}
	mapping_unlock(t, locked);
	return any;
}

/* --- fork, exec, exit ------------------------------------------------------------- */

long maps_copy(struct task *t, struct fdtable *from, struct fdtable *to)
{
	struct ck *ck = t->ctx.ck;
	struct list *l;
	long r = 0;

	if (list_empty(&from->maps))
		return 0;
	ck_lock(&t->ctx, ck);
	for (l = from->maps.next; l != &from->maps && !r; l = l->next) {
		struct mapping *m = LIST_ENTRY(l, struct mapping, link);
		struct mapping *copy = ck_alloc(ck, sizeof(*copy));

		if (!copy) {
			r = -ENOMEM;
			break;
		}
		*copy = *m;
		list_init_fresh(&copy->link);
		TX_ADD(ck, copy->pin->refs, 1);
		tx_list_add_tail(ck, &to->maps, &copy->link);
		ck_commit(ck);
	}
	if (r)
		ck_abort(ck);
	ck_unlock(ck);
	return r;
}

void maps_drop(struct task *t, struct fdtable *ft)
{
	struct ck *ck = t->ctx.ck;

	while (!list_empty(&ft->maps)) {
		struct mapping m;
		struct mapping *first;

		if (!mapping_copy(t, ft, 0, &m))
			return;
		mapping_flush(t, &m, m.start, m.end);
		ck_lock(&t->ctx, ck);
		first = LIST_ENTRY(ft->maps.next, struct mapping, link);
		if (!list_empty(&ft->maps) && first->pin == m.pin) {
			tx_list_del(ck, &first->link);
			ck_free(ck, first);
			ofd_drop_unlock(t, m.pin);
		} else {
			ck_unlock(ck);
		}
		ofd_put(t, m.pin);
	}
}
