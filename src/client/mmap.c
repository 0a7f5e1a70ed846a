/* SPDX-License-Identifier: MIT */
/*
 * Mappings of Hare's files: mmap, munmap, mremap, msync, mprotect.
 *
 * A mapping shows the file's blocks themselves, by mappings of the DRAM object, one for each run
 * of blocks that are neighbours there:
 *
 *   file      | run 0: blocks 7-9 | hole        | run 1: block 3 |  end  |
 *   shared    | DRAM 7-9          | allocated   | DRAM 3         | faults with SIGBUS
 *   private   | DRAM 7-9, copied  | zeros       | DRAM 3, copied | faults with SIGBUS
 *             |   when written    |
 *
 * The part behind the end maps DRAM behind its own end, where the host raises SIGBUS as Linux
 * does for files. When the file has grown the blocks are mapped there: after a call of this
 * process that made it longer, or at the fault (client_fault).
 *
 * The file's blocks stay while a mapping shows them: an OPEN with OPEN_PIN is counted, and
 * stands as a description (`pin`) in core-kernel memory; mappings that a process and its children
 * have of one file share it. So unmapping, exec, exit and being killed give it back as any
 * description.
 *
 * Memory models without coherence: what the island's cache holds of a far file's blocks is
 * dropped when they are mapped, and what was stored is written back, and told to the server, by
 * msync, munmap, fsync, close and exit: close-to-open, as for read and write.
 */
#include <asm/mman.h>
#include <linux/mman.h>

#include "client/file.h"
#include "client/path.h"

#define TYPE_MASK 0xfL
#define RESERVE_FLAGS (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_32BIT)
#define PASSED_FLAGS (MAP_POPULATE | MAP_LOCKED | MAP_NORESERVE)
#define VALIDATED_FLAGS                                                                \
	(TYPE_MASK | RESERVE_FLAGS | PASSED_FLAGS | MAP_GROWSDOWN | MAP_DENYWRITE |    \
	 MAP_EXECUTABLE | MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB | MAP_ANONYMOUS)
#define ADDR_MAX 0x7ffffffff000ULL
#define BLOCKS_MAX 0x40000000U

struct mapping {
	struct list link; /* fdtable.maps */
	struct ofd *pin;
	u64 start, end; /* addresses, whole pages */
	u64 off;        /* of start in the file */
	u64 there;      /* address up to which the file's pages are mapped */
	u32 prot;
	u32 shared;
	u32 stored;     /* it may have been written through */
	u32 readonly;   /* the descriptor was not writable */
};

static struct fdtable *table(struct task *t)
{
	return t->proc->fds;
}

static bool overlaps(const struct mapping *m, u64 from, u64 to)
{
	return m->start < to && from < m->end;
}

/* --- showing blocks -------------------------------------------------------------------------------- */

static long map_at(u64 addr, u64 len, u32 prot, u32 flags, int fd, u64 off)
{
	long r = SYS(mmap, addr, len, prot, flags | MAP_FIXED, fd, off);

	return sys_failed(r) ? r : 0;
}

static long map_run(struct task *t, const struct mapping *m, u64 addr, const struct run *run,
		    u32 flags)
{
	struct island *isl = t->ctx.isl;
	u64 len = (u64)RUN_COUNT(run) * PAGE_SIZE;

	if (m->pin->far && isl->model != MEM_COHERENT)
		mem_invalidate(isl, mem_block(isl, run->blk), len);
	return map_at(addr, len, m->prot, flags | (m->shared ? MAP_SHARED : MAP_PRIVATE),
		      mem_block_fd(isl), mem_block_off(isl, run->blk));
}

static long ask_blocks(struct task *t, const struct mapping *m, u64 first, u64 count, u32 flags,
		       struct run *runs, u32 *n)
{
	struct req_BLOCKS q = {
		.ino = m->pin->ino,
		.first = first,
		.count = (u32)MIN(count, (u64)BLOCKS_MAX),
		.flags = flags,
	};
	struct rep_BLOCKS p = { .runs = { .p = runs, .cap = RUNS_MAX * sizeof(*runs) } };
	long r = rpc_blocks(&t->ctx, ofd_server(m->pin), &q, &p);

	*n = p.runs.len / (u32)sizeof(*runs);
	return r < 0 ? r : *n ? 0 : -EIO;
}

/* Shows the runs that were answered, from block *at on, at most to `end`. Stops at a hole of a
 * shared mapping, which has to be filled first. */
static long map_runs(struct task *t, const struct mapping *m, struct run *runs, u32 n, u64 *at,
		     u64 end, u32 flags, bool *hole)
{
	u64 base = m->off / PAGE_SIZE;

	*hole = false;
	for (u32 i = 0; i < n && *at < end; i++) {
		struct run *run = &runs[i];
		u64 addr = m->start + (*at - base) * PAGE_SIZE;
		long r;

		run->count = (u32)MIN((u64)RUN_COUNT(run), end - *at);
		if (!run->blk && m->shared) {
			*hole = true;
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

/* Shows the file's blocks from address m->there up to its end or the mapping's. */
static long map_file(struct task *t, struct mapping *m, u64 size, u32 flags)
{
	u64 base = m->off / PAGE_SIZE, pages = (m->end - m->start) / PAGE_SIZE;
	u64 end = MIN((size + PAGE_SIZE - 1) / PAGE_SIZE, base + pages);
	u64 at = base + (m->there - m->start) / PAGE_SIZE;
	struct run runs[RUNS_MAX];
	u64 first = at;
	u32 alloc = 0;
	long r = 0;

	while (!r && at < end) {
		bool hole;
		u32 n;

		r = ask_blocks(t, m, at, end - at, alloc, runs, &n);
		if (!r)
			r = map_runs(t, m, runs, n, &at, end, flags, &hole);
		alloc = !r && hole ? BLOCKS_ALLOC : 0;
	}
	m->there = MAX(m->there, m->start + (at - base) * PAGE_SIZE);
	if (m->shared && m->pin->far)
		vnode_filled(t, m->pin->ino, first, at);
	return r;
}

/* What lies behind the file's end: DRAM behind its own. */
static long map_beyond(struct task *t, const struct mapping *m)
{
	struct island *isl = t->ctx.isl;
	u64 off = ALIGN_UP(isl->super->dram_size, (u64)PAGE_SIZE) + PAGE_SIZE;

	if (m->there >= m->end)
		return 0;
	return map_at(m->there, m->end - m->there, m->prot, m->shared ? MAP_SHARED : MAP_PRIVATE,
		      isl->fds.dram, off);
}

static long file_size(struct task *t, struct ofd *pin, u64 *size)
{
	struct req_FSTAT q = { .ino = pin->ino };
	struct rep_FSTAT p;
	long r = rpc_fstat(&t->ctx, ofd_server(pin), &q, &p);

	*size = p.attr.size;
	return r;
}

/* --- records --------------------------------------------------------------------------------------- */

/* A description that keeps the blocks, with a reference noted as this thread's. `of` is open in
 * this process; another mapping's pin is used again when there is one. */
static struct ofd *pin_get(struct task *t, struct ofd *of, bool writable, long *err)
{
	u32 acc = (writable ? O_RDWR : O_RDONLY) | OPEN_PIN;
	struct req_OPEN q = { .ino = of->ino, .flags = acc, .cred = &t->proc->cred };
	struct rep_OPEN p = { .runs = { .p = NULL } };
	struct ck *ck = t->ctx.ck;
	struct ofd *pin = NULL;
	struct list *l;
	u32 i;

	ck_lock(&t->ctx, ck);
	for (l = table(t)->maps.next; l != &table(t)->maps && !pin; l = l->next) {
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
	/* It gets the inode, and owes a CLOSE, in the transaction that counts the OPEN. */
	*err = -ENOMEM;
	pin = ofd_new(t, OFD_FILE, 0, acc);
	if (!pin)
		return NULL;
	pin->far = of->far;
	*err = STEP_CALL(t, ofd_server(of), OPEN, open, &q, &p, TX_SET(ck_, pin->ino, of->ino));
	if (!*err)
		return pin;
	ofd_put(t, pin);
	return NULL;
}

/* Enters a mapping; its pin's reference moves there. -ENOMEM. */
static long record_add(struct task *t, const struct mapping *from)
{
	struct ck *ck = t->ctx.ck;
	struct mapping *m;

	ck_lock(&t->ctx, ck);
	m = ck_alloc(ck, sizeof(*m));
	if (m) {
		*m = *from;
		list_init_fresh(&m->link);
		tx_list_add_tail(ck, &table(t)->maps, &m->link);
		hold_pass(t, ck, m->pin);
	}
	ck_unlock(ck);
	return m ? 0 : -ENOMEM;
}

static struct mapping *record_find(struct fdtable *ft, u64 from, u64 to)
{
	struct list *l;

	for (l = ft->maps.next; l != &ft->maps; l = l->next) {
		struct mapping *m = LIST_ENTRY(l, struct mapping, link);

		if (overlaps(m, from, to))
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
}

static void cut_back(struct ck *ck, struct mapping *m, u64 from)
{
	TX_SET(ck, m->end, from);
	if (m->there > from)
		TX_SET(ck, m->there, from);
}

/* Takes [from, to) out of one record; the pin to drop, or NULL. Lock held. */
static struct ofd *record_cut(struct ck *ck, struct fdtable *ft, struct mapping *m, u64 from, u64 to)
{
	struct ofd *pin = m->pin;
	struct mapping *rest;

	if (from <= m->start && to >= m->end) {
		tx_list_del(ck, &m->link);
		ck_free(ck, m);
		return pin;
	}
	if (from <= m->start) {
		cut_front(ck, m, to);
	} else if (to >= m->end) {
		cut_back(ck, m, from);
	} else {
		rest = ck_alloc(ck, sizeof(*rest));
		if (rest) {
			*rest = *m;
			list_init_fresh(&rest->link);
			rest->off += to - m->start;
			rest->start = to;
			rest->there = MAX(rest->there, to);
			tx_list_add_tail(ck, &ft->maps, &rest->link);
			TX_ADD(ck, pin->refs, 1);
			cut_back(ck, m, from);
		} else {
			cut_front(ck, m, m->end); /* no memory: the pin stays, which is safe */
		}
	}
	return NULL;
}

/* The records no longer say anything about [from, to). */
static void records_cut(struct task *t, u64 from, u64 to)
{
	struct ck *ck = t->ctx.ck;
	struct fdtable *ft = table(t);
	struct mapping *m;

	do {
		struct ofd *pin = NULL;

		ck_lock(&t->ctx, ck);
		m = record_find(ft, from, to);
		if (m)
			pin = record_cut(ck, ft, m, from, to);
		if (pin)
			ofd_drop_unlock(t, pin);
		else
			ck_unlock(ck);
	} while (m);
}

/* --- writing back ------------------------------------------------------------------------------------ */

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
			u64 count = MIN((u64)RUN_COUNT(&runs[i]), end - at);

			if (runs[i].blk)
				mem_writeback(isl, mem_block(isl, runs[i].blk), count * PAGE_SIZE);
			at += count;
		}
		first = at;
	}
}

/* Writes back what was stored in [from, to) of a copy of a record, and tells the server. */
static void flush_mapping(struct task *t, const struct mapping *m, u64 from, u64 to)
{
	struct req_FLUSH q = {
		.ino = m->pin->ino, .flags = FLUSH_WROTE | FLUSH_INSIDE, .uid = t->proc->cred.uid
	};
	struct rep_FLUSH p;

	from = MAX(from, m->start);
	to = MIN(MIN(to, m->end), m->there);
	if (!m->stored || from >= to)
		return;
	q.off = m->off + (from - m->start);
	q.end = m->off + (to - m->start);
	if (t->ctx.isl->model != MEM_COHERENT)
		writeback_blocks(t, m, q.off / PAGE_SIZE, (q.end + PAGE_SIZE - 1) / PAGE_SIZE);
	q.time = host_realtime_ns();
	rpc_flush(&t->ctx, ofd_server(m->pin), &q, &p);
}

/* Record number n, as a copy; its pin is this thread's until record_done. */
static bool record_copy(struct task *t, struct fdtable *ft, u32 n, struct mapping *out)
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

static void flush_range(struct task *t, u64 from, u64 to)
{
	struct mapping m;

	for (u32 n = 0; record_copy(t, table(t), n, &m); n++) {
		if (overlaps(&m, from, to))
			flush_mapping(t, &m, from, to);
		ofd_put(t, m.pin);
	}
}

void maps_sync(struct task *t, u64 ino)
{
	struct mapping m;

	if (!maps_any(t))
		return;
	for (u32 n = 0; record_copy(t, table(t), n, &m); n++) {
		if (m.pin->ino == ino)
			flush_mapping(t, &m, m.start, m.end);
		ofd_put(t, m.pin);
	}
}

/* --- files that grow ------------------------------------------------------------------------------------ */

/* Shows what has become of the part behind the end; true when there is more now. */
static bool grow(struct task *t, struct mapping *m)
{
	struct ck *ck = t->ctx.ck;
	u64 was = m->there, size;
	struct list *l;

	if (was >= m->end || file_size(t, m->pin, &size))
		return false;
	if (map_file(t, m, size, 0) || m->there == was)
		return false;
	ck_lock(&t->ctx, ck);
	for (l = table(t)->maps.next; l != &table(t)->maps; l = l->next) {
		struct mapping *r = LIST_ENTRY(l, struct mapping, link);

		if (r->start == m->start && r->end == m->end && r->pin == m->pin)
			TX_SET(ck, r->there, m->there);
	}
	ck_unlock(ck);
	return true;
}

void maps_grown(struct task *t, u64 ino)
{
	struct mapping m;

	if (!maps_any(t))
		return;
	for (u32 n = 0; record_copy(t, table(t), n, &m); n++) {
		if (m.pin->ino == ino && m.there < m.end)
			(void)grow(t, &m);
		ofd_put(t, m.pin);
	}
}

bool client_fault(struct task *t, u64 addr)
{
	bool grown = false;
	struct mapping m;

	if (!t->proc || !maps_any(t))
		return false;
	for (u32 n = 0; !grown && record_copy(t, table(t), n, &m); n++) {
		if (addr >= m.there && addr < m.end)
			grown = grow(t, &m) && addr < m.there;
		ofd_put(t, m.pin);
	}
	return grown;
}

/* --- fork, exec, exit ------------------------------------------------------------------------------------- */

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

		if (!record_copy(t, ft, 0, &m))
			return;
		flush_mapping(t, &m, m.start, m.end);
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

/* --- mmap ---------------------------------------------------------------------------------------------------- */

static long check_mmap(const struct ofd *o, u64 len, u32 prot, u32 flags, u64 off)
{
	u32 type = flags & TYPE_MASK;

	if (!len || off % PAGE_SIZE)
		return -EINVAL;
	if (type < MAP_SHARED || type > MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (type == MAP_SHARED_VALIDATE && flags & ~(u32)VALIDATED_FLAGS)
		return -EOPNOTSUPP;
	if (len > ADDR_MAX)
		return -ENOMEM;
	if (off + len < off || off + len > FILE_OFF_MAX)
		return -EOVERFLOW;
	if (o->flags & O_PATH)
		return -EBADF;
	if (type != MAP_PRIVATE && prot & PROT_WRITE && !ofd_can_write(o))
		return -EACCES;
	if (!ofd_can_read(o))
		return -EACCES;
	return o->kind == OFD_FILE ? 0 : -ENODEV;
}

/* Shows the file in a range of addresses that is reserved at m->start. */
static long map_in_place(struct task *t, struct mapping *m, u32 flags)
{
	u64 size;
	long r = file_size(t, m->pin, &size);

	if (!r)
		r = map_file(t, m, size, flags & PASSED_FLAGS);
	if (!r)
		r = map_beyond(t, m);
	return r;
}

static long map_hare(struct task *t, struct ofd *o, const long a[6])
{
	struct mapping m = {
		.end = ALIGN_UP((u64)a[1], (u64)PAGE_SIZE),
		.off = (u64)a[5],
		.prot = (u32)a[2],
		.shared = (a[3] & TYPE_MASK) != MAP_PRIVATE,
		.readonly = !ofd_can_write(o),
	};
	long r = 0, at;

	if (o->vnode)
		vnode_sync(t, o->vnode);
	m.stored = m.shared && m.prot & PROT_WRITE;
	m.pin = pin_get(t, o, m.shared && !m.readonly, &r);
	if (!m.pin)
		return r;
	at = SYS(mmap, a[0], m.end, PROT_NONE,
		 (a[3] & RESERVE_FLAGS) | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (sys_failed(at)) {
		ofd_put(t, m.pin);
		return at;
	}
	m.start = m.there = (u64)at;
	m.end += m.start;
	records_cut(t, m.start, m.end); /* MAP_FIXED: what was there is gone */
	r = map_in_place(t, &m, (u32)a[3]);
	if (!r)
		r = record_add(t, &m);
	if (r) {
		SYS(munmap, m.start, m.end - m.start);
		ofd_put(t, m.pin);
		return r == -ENOSPC ? -ENOMEM : r;
	}
	return at;
}

/* A mapping that is the host's takes the place of some of Hare's. */
static long map_over(struct task *t, const long a[6])
{
	u64 from = (u64)a[0], to = from + ALIGN_UP((u64)a[1], (u64)PAGE_SIZE);
	long r;

	flush_range(t, from, to);
	r = SYS(mmap, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (!sys_failed(r))
		records_cut(t, from, to);
	return r;
}

long client_mmap(struct task *t, long a[6])
{
	bool host = true;
	struct ofd *o = a[3] & MAP_ANONYMOUS ? NULL : fd_get(t, (int)a[4], &host);
	long r;

	if (!o) {
		if (!host)
			return -EBADF;
		return a[3] & MAP_FIXED && maps_any(t) ? map_over(t, a) : CLIENT_HOST;
	}
	if (o->kind == OFD_RELAY) {
		r = relay_op(t, o, __NR_mmap, a);
	} else {
		r = check_mmap(o, (u64)a[1], (u32)a[2], (u32)a[3], (u64)a[5]);
		if (!r && a[3] & MAP_FIXED && maps_any(t))
			flush_range(t, (u64)a[0], (u64)a[0] + (u64)a[1]);
		if (!r)
			r = map_hare(t, o, a);
	}
	ofd_put(t, o);
	return r;
}

/* --- munmap, mprotect, msync ------------------------------------------------------------------------------ */

long client_munmap(struct task *t, long a[6])
{
	u64 from = (u64)a[0], to = from + ALIGN_UP((u64)a[1], (u64)PAGE_SIZE);
	long r;

	if (!maps_any(t) || from % PAGE_SIZE || to <= from)
		return CLIENT_HOST;
	flush_range(t, from, to);
	r = SYS(munmap, a[0], a[1]);
	if (!r)
		records_cut(t, from, to);
	return r;
}

/* A shared mapping of a descriptor that is not open for writing stays read-only; others may be
 * written from now on. */
static long protect_records(struct task *t, u64 from, u64 to, u32 prot)
{
	struct ck *ck = t->ctx.ck;
	struct fdtable *ft = table(t);
	struct list *l;
	long r = 0;

	ck_lock(&t->ctx, ck);
	for (l = ft->maps.next; l != &ft->maps && !r; l = l->next) {
		struct mapping *m = LIST_ENTRY(l, struct mapping, link);

		if (!overlaps(m, from, to))
			continue;
		if (m->shared && m->readonly && prot & PROT_WRITE)
			r = -EACCES;
		else if (m->shared && prot & PROT_WRITE && !m->stored)
			TX_SET(ck, m->stored, 1);
		if (!r && from <= m->start && to >= m->end)
			TX_SET(ck, m->prot, prot);
	}
	if (r)
		ck_abort(ck);
	ck_unlock(ck);
	return r;
}

long client_mprotect(struct task *t, long a[6])
{
	long r = 0;

	if (maps_any(t))
		r = protect_records(t, (u64)a[0], (u64)a[0] + (u64)a[1],
				    (u32)a[2] & (PROT_READ | PROT_WRITE | PROT_EXEC));
	return r ? r : CLIENT_HOST;
}

long client_pkey_mprotect(struct task *t, long a[6])
{
	return client_mprotect(t, a);
}

long client_msync(struct task *t, long a[6])
{
	u64 from = (u64)a[0], to = from + ALIGN_UP((u64)a[1], (u64)PAGE_SIZE);

	if (maps_any(t) && to > from && from % PAGE_SIZE == 0)
		flush_range(t, from, to);
	return CLIENT_HOST; /* which checks flags and that all of it is mapped */
}

/* --- mremap -------------------------------------------------------------------------------------------------- */

/* Another place, or length, for [m->start, m->end) of a copied record: shown anew there. */
static long move(struct task *t, const struct mapping *m, u64 new_len, u32 flags, u64 new_addr)
{
	struct mapping to = *m;
	u64 len = m->end - m->start;
	u32 fixed = flags & MREMAP_FIXED ? MAP_FIXED : 0;
	long at, r;

	at = SYS(mmap, new_addr, new_len, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
	if (sys_failed(at))
		return at;
	to.start = to.there = (u64)at;
	to.end = to.start + new_len;
	records_cut(t, to.start, to.end);
	if (!m->shared)
		to.prot |= PROT_WRITE;
	r = map_in_place(t, &to, 0);
	if (!r && !m->shared) {
		/* What the program changed in its private pages goes along. */
		if (m->there > m->start)
			r = user_write((void *)to.start, (const void *)m->start,
				       MIN(MIN(m->there - m->start, len), new_len));
		SYS(mprotect, to.start, new_len, m->prot);
		to.prot = m->prot;
	}
	if (!r)
		r = record_add(t, &to);
	if (r) {
		SYS(munmap, at, new_len);
		return r;
	}
	return at;
}

/* Grows where it is, when the addresses behind it are free. */
static long stretch(struct task *t, const struct mapping *m, u64 new_len)
{
	struct mapping more = *m;
	u64 end = m->start + new_len;
	long at = SYS(mmap, m->end, end - m->end, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (sys_failed(at) || (u64)at != m->end) {
		if (!sys_failed(at))
			SYS(munmap, at, end - m->end);
		return -ENOMEM;
	}
	more.off += m->end - m->start;
	more.start = more.there = m->end;
	more.end = end;
	if (map_in_place(t, &more, 0) || record_add(t, &more)) {
		SYS(munmap, more.start, more.end - more.start);
		return -ENOMEM;
	}
	return (long)m->start;
}

/* The copy of the record that [from, to) lies in, cut to that. */
static bool part_of_record(struct task *t, u64 from, u64 to, struct mapping *m)
{
	for (u32 n = 0; record_copy(t, table(t), n, m); n++) {
		if (from >= m->start && to <= m->end) {
			m->off += from - m->start;
			m->start = from;
			m->end = to;
			m->there = MAX(MIN(m->there, to), from);
			return true;
		}
		ofd_put(t, m->pin);
	}
	return false;
}

static long remap(struct task *t, const struct mapping *m, const long a[6], u64 new_len)
{
	u64 old_len = m->end - m->start;
	long r;

	if (!(a[3] & MREMAP_FIXED) && new_len == old_len)
		return a[0];
	if (!(a[3] & MREMAP_FIXED) && new_len > old_len) {
		r = stretch(t, m, new_len);
		if (r > 0 || !(a[3] & MREMAP_MAYMOVE))
			return r;
	}
	r = move(t, m, new_len, (u32)a[3], a[3] & MREMAP_FIXED ? (u64)a[4] : 0);
	if (sys_failed(r))
		return r;
	flush_mapping(t, m, m->start, m->end);
	SYS(munmap, m->start, old_len);
	records_cut(t, m->start, m->end);
	return r;
}

long client_mremap(struct task *t, long a[6])
{
	u64 from = (u64)a[0], old_len = ALIGN_UP((u64)a[1], (u64)PAGE_SIZE);
	u64 new_len = ALIGN_UP((u64)a[2], (u64)PAGE_SIZE);
	struct mapping m;
	long r;

	if (!maps_any(t))
		return CLIENT_HOST;
	if (a[3] & ~(long)(MREMAP_MAYMOVE | MREMAP_FIXED) || from % PAGE_SIZE || !new_len ||
	    (a[3] & MREMAP_FIXED && !(a[3] & MREMAP_MAYMOVE))) {
		if (record_find(table(t), from, from + MAX(old_len, 1ULL)))
			return -EINVAL;
		return CLIENT_HOST;
	}
	if (new_len < old_len && !(a[3] & MREMAP_FIXED)) {
		long unmap[6] = { (long)(from + new_len), (long)(old_len - new_len) };

		if (!record_find(table(t), from, from + old_len))
			return CLIENT_HOST;
		r = client_munmap(t, unmap);
		if (r == CLIENT_HOST)
			r = SYS(munmap, unmap[0], unmap[1]);
		return r ? r : a[0];
	}
	if (!old_len || !part_of_record(t, from, from + old_len, &m))
		return record_find(table(t), from, from + MAX(old_len, 1ULL)) ? -EFAULT :
										CLIENT_HOST;
	r = remap(t, &m, a, new_len);
	/* A record that was added took this thread's reference of the pin with it. */
	if (hold_find(t, m.pin) >= 0)
		ofd_put(t, m.pin);
	return r;
}
