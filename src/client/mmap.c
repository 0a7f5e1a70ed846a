/* SPDX-License-Identifier: MIT */
/*
 * mmap, munmap, mprotect, msync and mremap of Hare's files; what they do with a mapping
 * is in mapping.c. Calls that concern none of them are the host's, which costs one look
 * at a list.
 */
#include <asm/mman.h>

#include "client/mapping.h"

#define TYPE_MASK     0xfL
#define RESERVE_FLAGS (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_32BIT)
#define VALIDATED_FLAGS                                                                  \
	(TYPE_MASK | RESERVE_FLAGS | MAPPING_FLAGS | MAP_GROWSDOWN | MAP_DENYWRITE |     \
	 MAP_EXECUTABLE | MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB | MAP_ANONYMOUS)
#define ADDR_MAX 0x7ffffffff000ULL
#define TX_STEP	 64 /* records changed in one transaction */

static struct fdtable *table(struct task *t)
{
	return t->proc->fds;
}

/* --- mmap ------------------------------------------------------------------------- */

static long check_mmap(const struct ofd *o, u64 len, u32 prot, u32 flags, u64 off)
{
	u32 type = flags & TYPE_MASK;

	if (off % PAGE_SIZE)
		return -EINVAL;
	if (o->flags & O_PATH)
		return -EBADF;
	if (!len || flags & MAP_HUGETLB)
		return -EINVAL;
	if (len > ADDR_MAX)
		return -ENOMEM;
	if (off + ALIGN_UP(len, (u64)PAGE_SIZE) < off)
		return -EOVERFLOW;
	if (type < MAP_SHARED || type > MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (type != MAP_PRIVATE && flags & MAP_GROWSDOWN)
		return -EINVAL;
	if (type == MAP_SHARED_VALIDATE && flags & ~(u32)VALIDATED_FLAGS)
		return -EOPNOTSUPP;
	if (off + len > FILE_OFF_MAX)
		return -EOVERFLOW;
	if (type != MAP_PRIVATE && prot & PROT_WRITE && !ofd_can_write(o))
		return -EACCES;
	if (!ofd_can_read(o))
		return -EACCES;
	return o->kind == OFD_FILE ? 0 : -ENODEV;
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

	vnode_sync_ino(t, o->ino);
	m.stored = m.shared && m.prot & PROT_WRITE;
	m.pin = mapping_pin(t, o, !m.readonly, &r);
	if (!m.pin)
		return r;
	if (!(a[3] & RESERVE_FLAGS) && mapping_show_once(t, &m, (u64)a[0], (u32)a[3])) {
		r = mapping_add(t, &m);
		if (!r)
			return (long)m.start;
		SYS(munmap, m.start, m.end - m.start);
		ofd_put(t, m.pin);
		return r;
	}
	at = SYS(mmap, a[0], m.end, PROT_NONE,
		 (a[3] & RESERVE_FLAGS) | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		 0);
	if (sys_failed(at)) {
		ofd_put(t, m.pin);
		return at;
	}
	m.start = m.there = (u64)at;
	m.end += m.start;
	mappings_cut(t, m.start, m.end); /* MAP_FIXED: what was there is gone */
	r = mapping_show(t, &m, (u32)a[3]);
	if (!r)
		r = mapping_add(t, &m);
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

	mappings_flush(t, from, to);
	r = SYS(mmap, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (!sys_failed(r))
		mappings_cut(t, from, to);
	return r;
}

/* Without a look at the table: anonymous memory at a place that the host chooses. */
static bool mmap_is_hosts(struct task *t, const long a[6])
{
	return (a[3] & MAP_ANONYMOUS) && !(a[3] & MAP_FIXED && maps_any(t));
}

static long mmap_call(struct task *t, long a[6])
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
			mappings_flush(t, (u64)a[0], (u64)a[0] + (u64)a[1]);
		if (!r)
			r = map_hare(t, o, a);
		if (!sys_failed(r) && !(o->flags & O_NOATIME))
			file_accessed(t, o);
	}
	ofd_put(t, o);
	return r;
}

/* The caller's system call, one of those that change mappings. */
static long locked_call(struct task *t, long (*call)(struct task *t, long a[6]),
			long a[6])
{
	bool locked = mapping_lock(t);
	long r = call(t, a);

	mapping_unlock(t, locked);
	return r;
}

long client_mmap(struct task *t, long a[6])
{
	return mmap_is_hosts(t, a) ? CLIENT_HOST : locked_call(t, mmap_call, a);
}

/* --- munmap, mprotect, msync ------------------------------------------------------ */

static long unmap_call(struct task *t, long a[6])
{
	u64 from = (u64)a[0], to = from + ALIGN_UP((u64)a[1], (u64)PAGE_SIZE);
	long r;

	if (from % PAGE_SIZE || to <= from)
		return CLIENT_HOST;
	mappings_flush(t, from, to);
	r = SYS(munmap, a[0], a[1]);
	if (!r)
		mappings_cut(t, from, to);
	return r;
}

long client_munmap(struct task *t, long a[6])
{
	host_unmaps((u64)a[0], (u64)a[1]); /* Valgrind does so */
	return maps_any(t) ? locked_call(t, unmap_call, a) : CLIENT_HOST;
}

/* A shared mapping of a descriptor that is not open for writing stays read-only; others
 * may be written from now on. */
static long protect_records(struct task *t, u64 from, u64 to, u32 prot)
{
	struct ck *ck = t->ctx.ck;
	struct fdtable *ft = table(t);
	struct list *l;
	long r = 0;
	u32 n = 0;

	ck_lock(&t->ctx, ck);
	for (l = ft->maps.next; l != &ft->maps && !r; l = l->next) {
		struct mapping *m = LIST_ENTRY(l, struct mapping, link);

		if (!mapping_overlaps(m, from, to))
			continue;
		/* The part that is split off comes last in the list. */
		if (is_partly_shown(m) &&
		    (!mapping_split(ck, ft, m, from) || !mapping_split(ck, ft, m, to)))
			r = -ENOMEM;
		if (r || !mapping_overlaps(m, from, to))
			continue;
		if (m->shared && m->readonly && prot & PROT_WRITE)
			r = -EACCES;
		else if (m->shared && prot & PROT_WRITE && !m->stored)
			TX_SET(ck, m->stored, 1);
		if (!r && from <= m->start && to >= m->end)
			TX_SET(ck, m->prot, prot);
		if (!r && ++n % TX_STEP == 0)
			ck_commit(ck);
	}
	if (r)
		ck_abort(ck);
	else
		mapping_join(ck, ft, from, to);
	ck_unlock(ck);
	return r;
}

long client_mprotect(struct task *t, long a[6])
{
	u64 from = (u64)a[0], to = from + ALIGN_UP((u64)a[1], (u64)PAGE_SIZE);
	bool locked;
	long r;

	if (!maps_any(t) || from % PAGE_SIZE || to < from)
		return CLIENT_HOST;
	locked = mapping_lock(t);
	r = protect_records(t, from, to,
			    (u32)a[2] & (PROT_READ | PROT_WRITE | PROT_EXEC));
	mapping_unlock(t, locked);
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
		mappings_flush(t, from, to);
	return CLIENT_HOST; /* which checks flags and that all of it is mapped */
}

/* --- mremap ----------------------------------------------------------------------- */

/* Another place, or length, for [m->start, m->end) of a copied record: shown anew
 * there. */
static long move(struct task *t, const struct mapping *m, u64 new_len, u32 flags,
		 u64 new_addr)
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
	mappings_cut(t, to.start, to.end);
	if (!m->shared)
		to.prot |= PROT_WRITE;
	r = mapping_show(t, &to, 0);
	if (!r && !m->shared) {
		/* What the program changed in its private pages goes along. */
		if (m->there > m->start)
			r = user_write((void *)to.start, (const void *)m->start,
				       MIN(MIN(m->there - m->start, len), new_len));
		SYS(mprotect, to.start, new_len, m->prot);
		to.prot = m->prot;
	}
	if (!r)
		r = mapping_add(t, &to);
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
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
		      -1, 0);

	if (sys_failed(at) || (u64)at != m->end) {
		if (!sys_failed(at))
			SYS(munmap, at, end - m->end);
		return -ENOMEM;
	}
	more.off += m->end - m->start;
	more.start = more.there = m->end;
	more.end = end;
	if (mapping_show(t, &more, 0) || mapping_add(t, &more)) {
		SYS(munmap, more.start, more.end - more.start);
		return -ENOMEM;
	}
	return (long)m->start;
}

/* The copy of the record that [from, to) lies in, cut to that. */
static bool part_of_record(struct task *t, u64 from, u64 to, struct mapping *m)
{
	for (u32 n = 0; mapping_copy(t, table(t), n, m); n++) {
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

/* What a private mapping showed was moved away: it shows the file again. Where that cannot be, for
 * lack of memory, its old pages stay. */
static void show_again(struct task *t, const struct mapping *m)
{
	struct mapping old = *m;

	old.end = m->there; /* behind that it shows nothing, and goes on doing so */
	old.there = old.start;
	if (old.start < old.end)
		(void)mapping_show(t, &old, 0);
}

/* MREMAP_DONTUNMAP: the pages move, the mapping stays. A shared one shows the same at both. */
static long move_pages(struct task *t, const struct mapping *m, const long a[6])
{
	long r = move(t, m, m->end - m->start, (u32)a[3], (u64)a[4]);

	if (!sys_failed(r) && !m->shared)
		show_again(t, m);
	return r;
}

static long remap(struct task *t, const struct mapping *m, const long a[6], u64 new_len)
{
	u64 old_len = m->end - m->start;
	long r;

	if (a[3] & MREMAP_DONTUNMAP)
		return move_pages(t, m, a);
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
	mapping_flush(t, m, m->start, m->end);
	SYS(munmap, m->start, old_len);
	mappings_cut(t, m->start, m->end);
	return r;
}

/* The old size is 0: a shared mapping of what is there, and on, besides the old one. */
static long map_again(struct task *t, const struct mapping *m, const long a[6],
		      u64 new_len)
{
	long r;

	if (!m->shared)
		return -EINVAL;
	if (!(a[3] & MREMAP_MAYMOVE))
		return -ENOMEM;
	if (a[3] & MREMAP_FIXED && m->start - (u64)a[4] < new_len) {
		/* the new place is made free first: then there is nothing to be shown there */
		long unmap[6] = { a[4], (long)new_len };

		r = unmap_call(t, unmap);
		return r ? r : -EFAULT;
	}
	return move(t, m, new_len, (u32)a[3], a[3] & MREMAP_FIXED ? (u64)a[4] : 0);
}

/* The new place is no place, or part of the old one. */
static bool bad_place(const long a[6], u64 old_len, u64 new_len)
{
	u64 from = (u64)a[0], to = (u64)a[4];

	return a[3] & (MREMAP_FIXED | MREMAP_DONTUNMAP) &&
	       (to % PAGE_SIZE || to > ADDR_MAX - MIN(new_len, ADDR_MAX) ||
		(from + old_len > to && to + new_len > from));
}

static bool bad_remap(const long a[6], u64 old_len, u64 new_len)
{
	u32 flags = (u32)a[3];

	if (a[3] & ~(long)(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) ||
	    a[0] % PAGE_SIZE || !new_len)
		return true;
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) && !(flags & MREMAP_MAYMOVE))
		return true;
	if (flags & MREMAP_DONTUNMAP && old_len != new_len)
		return true;
	return bad_place(a, old_len, new_len);
}

/* A mapping of the host's moves, perhaps over some of Hare's. */
static long remap_host(struct task *t, const long a[6], u64 new_len)
{
	u64 to = (u64)a[4];
	const struct mapping *m = NULL;
	u64 at;
	long r;

	if (a[3] & MREMAP_FIXED)
		m = mapping_find(table(t), to, to + new_len);
	if (!m)
		return CLIENT_HOST;
	at = MAX(m->start, to);
	mappings_flush(t, to, to + new_len);
	r = SYS(mremap, a[0], a[1], a[2], a[3], a[4]);
	/* What was there is gone, of some errors, too. */
	if (!sys_failed(r) || SYS(msync, at, PAGE_SIZE, MS_ASYNC) == -ENOMEM)
		mappings_cut(t, to, to + new_len);
	return r;
}

static long remap_call(struct task *t, long a[6])
{
	u64 from = (u64)a[0], old_len = ALIGN_UP((u64)a[1], (u64)PAGE_SIZE);
	u64 new_len = ALIGN_UP((u64)a[2], (u64)PAGE_SIZE);
	struct mapping m;
	long r;

	if (bad_remap(a, old_len, new_len)) {
		if (mapping_find(table(t), from, from + MAX(old_len, 1ULL)))
			return -EINVAL;
		return CLIENT_HOST;
	}
	if (new_len < old_len && !(a[3] & MREMAP_FIXED)) {
		long unmap[6] = { (long)(from + new_len), (long)(old_len - new_len) };

		if (!mapping_find(table(t), from, from + old_len))
			return CLIENT_HOST;
		r = unmap_call(t, unmap);
		if (r == CLIENT_HOST)
			r = SYS(munmap, unmap[0], unmap[1]);
		return r ? r : a[0];
	}
	if (!part_of_record(t, from, from + MAX(old_len, (u64)PAGE_SIZE), &m))
		return mapping_find(table(t), from, from + MAX(old_len, 1ULL))
			       ? -EFAULT
			       : remap_host(t, a, new_len);
	r = old_len ? remap(t, &m, a, new_len) : map_again(t, &m, a, new_len);
	/* A record that was added took this thread's reference of the pin with it. */
	if (hold_find(t, m.pin) >= 0)
		ofd_put(t, m.pin);
	return r;
}

long client_mremap(struct task *t, long a[6])
{
	return maps_any(t) ? locked_call(t, remap_call, a) : CLIENT_HOST;
}
