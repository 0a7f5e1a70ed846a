/* SPDX-License-Identifier: MIT */
/*
 * Partitioned DRAM (thesis 6.2.1): copies of far files, for mappings. COPY COPY_DATA PATCH
 *
 * An island cannot map the blocks of another one's servers. So its processes that map such a file
 * are shown a copy: an inode of one of the island's own cores (rpc_copy_core), without a name, in
 * whose blocks the file's pages are filled in as they are mapped (client/copy.c asks). All
 * processes of the island map the same copy, and so see each other's stores at once.
 *
 * A page that may be stored in has a twin, what the file holds of it. A byte that differs has been
 * stored and is not in the file yet. COPY_DIFF finds those, PATCH writes them in the file, COPY_CLEAN
 * brings the twin up to date; bytes beside them, which others may have written, are not touched.
 *
 *   step  process of island A             copy / twin      file
 *   1     maps it, is shown "aaaa"        aaaa / aaaa      aaaa
 *   2     stores b                        abaa / aaaa      aaaa
 *   3     (island B writes the last two)  abaa / aaaa      aacc
 *   4     msync: COPY_DIFF, PATCH         abaa / aaaa      abcc
 *   5     COPY_CLEAN                      abaa / abaa      abcc
 *   6     maps it anew: old, COPY_FILL    abcc / abcc      abcc
 *
 * Killed after step 4: the same byte is written once more, by whom the agent lets do what is left.
 *
 * What a process has read from the file may be old when it arrives here: `gen` grows with all that
 * makes it so (a write of this island, COPY_CUT), and COPY_FILL is refused if it did. A page is
 * old when it was filled in an epoch before: another version of the file was seen since.
 *
 * When the file becomes shorter, its server tells the copy's core as it tells those that map it
 * (client/cut.c). What a killed process stored is in the copy still, and written by its agent.
 *
 * Bytes are outside the undo log. Pages change before twins: who is killed between them leaves bytes
 * that look stored and are those of the file.
 */
#include "fileserver/fs.h"

#define SCAN_PAGES 256u /* looked at for one COPY_WANT */
#define DIFF_PAGES 16u /* compared for one COPY_DIFF */
#define FILL_PAGES (COPY_IO_MAX / PAGE_SIZE)
#define EPOCH_BITS 24u

/* --- the table -------------------------------------------------------------------------------- */

static struct list *bucket(struct fs *f, u64 ino)
{
	return &f->copies[hash_u64(ino) % FS_COPY_BUCKETS];
}

static struct fs_copy *find(struct fs *f, u64 ino)
{
	struct list *head = bucket(f, ino), *l;

	for (l = head->next; l != head; l = l->next)
		if (LIST_ENTRY(l, struct fs_copy, hash)->ino == ino)
			return LIST_ENTRY(l, struct fs_copy, hash);
	return NULL;
}

static struct fs_copy *copy_new(struct rpc_env *e, u64 ino)
{
	struct ck *ck = e->ck;
	struct fs *f = fs_of(ck);
	struct fs_copy *cp = ck_alloc_for(ck, CK_HELD, sizeof(*cp));
	struct fs_inode *twins = cp ? ck_alloc_for(ck, CK_HELD, sizeof(*twins)) : NULL;
	struct fs_inode *i =
		twins ? fs_inode_new(e, CK_HELD, HS_IFREG | 0600, 0, 0) : NULL;
	struct fs_more *m = i ? fs_inode_more(e, i) : NULL;

	if (!m)
		return NULL;
	twins->mode = HS_IFREG;
	i->nlink = 0;
	i->flags = FS_I_COPY;
	m->copy = cp;
	cp->ino = ino;
	cp->inode = i;
	cp->twins = twins;
	cp->epoch = 1;
	list_init_fresh(&cp->hash);
	list_init_fresh(&cp->link);
	tx_list_add_tail(ck, bucket(f, ino), &cp->hash);
	tx_list_add_tail(ck, &f->copies_new, &cp->link);
	TX_SET(ck, ck->copies, ck->copies + 1);
	return cp;
}

long fs_copy(struct rpc_env *e, const struct req_COPY *q, struct rep_COPY *p)
{
	struct fs_copy *cp = find(fs_of(e->ck), q->ino);

	if (!cp)
		cp = copy_new(e, q->ino);
	if (!cp)
		return -ENOSPC;
	p->copy = cp->inode->node.key;
	return 0;
}

void fs_copy_opened_slow(struct ck *ck, struct fs_inode *i)
{
	if (!list_empty(&i->more->copy->link))
		tx_list_del(ck, &i->more->copy->link);
}

void fs_copy_gone(struct ck *ck, struct fs_inode *i)
{
	struct fs_copy *cp = i->more->copy;

	tx_list_del(ck, &cp->hash);
	if (!list_empty(&cp->link))
		tx_list_del(ck, &cp->link);
	fs_dead_add(ck, cp->twins);
	TX_SET(ck, ck->copies, ck->copies - 1);
	ck_free(ck, cp);
}

bool fs_copies_trim(struct ctx *c, struct ck *ck)
{
	struct rpc_env e = { .c = c, .ck = ck, .srv = ck->core, .core = ck->core };
	struct fs *f = fs_of(ck);

	if (likely(list_empty(&f->copies_new)))
		return false;
	fs_inode_release(&e, LIST_ENTRY(f->copies_new.next, struct fs_copy, link)->inode);
	return !list_empty(&f->copies_new);
}

/* --- pages ------------------------------------------------------------------------------------ */

/* A page's value: its block, and when it was filled; 0 is never now. */
static u64 tag(const struct fs_copy *cp)
{
	return (1 + (u64)cp->epoch % ((1u << EPOCH_BITS) - 1)) << (64 - EPOCH_BITS);
}

static bool is_old(const struct fs_copy *cp, u64 v)
{
	return v >> (64 - EPOCH_BITS) != tag(cp) >> (64 - EPOCH_BITS);
}

static u8 *page(const struct rpc_env *e, const struct fs_inode *i, u64 index)
{
	u64 v = radix_get(&i->map, index);

	return v ? (u8 *)mem_block(e->c->isl, FS_BLK(v)) : NULL;
}

static long page_new(struct rpc_env *e, struct fs_inode *i, u64 index, u64 tagged,
		     const u64 *content)
{
	u64 before = index ? radix_get(&i->map, index - 1) : 0;
	u32 got;
	blk_t blk =
		fs_blk_alloc(e, before ? FS_BLK(before) + 1 : 0, FS_BLK_ROOM, 1, &got);

	if (!blk)
		return -ENOSPC;
	memcpy(mem_block(e->c->isl, blk), content, PAGE_SIZE);
	return tx_radix_set(e->ck, &i->map, index, blk | tagged);
}

/* The bytes in which a and b are equal are all ones. */
static u64 same_bytes(u64 a, u64 b)
{
	u64 x = a ^ b, mask = 0;

	for (u32 i = 0; i < 64; i += 8)
		if (!(x >> i & 0xff))
			mask |= 0xffULL << i;
	return mask;
}

/* A page gets what the file holds now, but where something was stored; processes store meanwhile. */
static void merge(u64 *to, u64 *twin, const u64 *content)
{
	for (u32 i = 0; i < PAGE_SIZE / 8; i++) {
		u64 now = __atomic_load_n(&to[i], __ATOMIC_RELAXED), same, next;

		do {
			same = twin ? same_bytes(now, twin[i]) : ~0ULL;
			next = (now & ~same) | (content[i] & same);
		} while (next != now && !__atomic_compare_exchange_n(
						&to[i], &now, next, false,
						__ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
		if (twin)
			twin[i] = content[i];
	}
}

static long fill_page(struct rpc_env *e, struct fs_copy *cp, u64 index,
		      const u64 *content, bool with_twin)
{
	u64 v = radix_get(&cp->inode->map, index);
	u64 *twin = (u64 *)page(e, cp->twins, index);
	long r = 0;

	if (v && !is_old(cp, v) && (twin || !with_twin))
		return 0;
	if (v) {
		merge((u64 *)mem_block(e->c->isl, FS_BLK(v)), twin, content);
		r = tx_radix_set(e->ck, &cp->inode->map, index, FS_BLK(v) | tag(cp));
	} else {
		r = page_new(e, cp->inode, index, tag(cp), content);
	}
	if (!r && with_twin && !twin)
		r = page_new(e, cp->twins, index, 0, content);
	return r;
}

/* --- COPY_DATA -------------------------------------------------------------------------------- */

static long want(const struct req_COPY_DATA *q, struct fs_copy *cp,
		 struct rep_COPY_DATA *p)
{
	u64 at = q->off / PAGE_SIZE, end = (q->end + PAGE_SIZE - 1) / PAGE_SIZE, v;

	for (u32 n = 0; at < end && n < SCAN_PAGES && p->count < FILL_PAGES; at++, n++) {
		if (q->flags & COPY_HAVE && !p->count &&
		    (!radix_next(&cp->inode->map, at, &at, &v) || at >= end)) {
			at = end;
			break;
		}
		v = radix_get(&cp->inode->map, at);
		if (v ? is_old(cp, v) || (q->flags & COPY_TWIN &&
					  !radix_get(&cp->twins->map, at))
		      : !(q->flags & COPY_HAVE))
			p->count++;
		else if (p->count)
			break;
	}
	p->off = (at - p->count) * PAGE_SIZE;
	return 0;
}

static long fill(struct rpc_env *e, const struct req_COPY_DATA *q, struct fs_copy *cp)
{
	u64 first = q->off / PAGE_SIZE, pages = (q->end - q->off) / PAGE_SIZE;
	u64 content[PAGE_SIZE / 8];
	long r = 0;

	if (q->off % PAGE_SIZE || q->end % PAGE_SIZE || pages > FILL_PAGES)
		return -EINVAL;
	if (q->gen != cp->gen)
		return -EAGAIN;
	if (!fs_blk_enough(e->ck, 2 * pages))
		return q->flags & COPY_STEAL ? -HARE_ESTEAL : -ENOSPC;
	for (u64 i = 0; !r && i < pages; i++) {
		u64 at = i * PAGE_SIZE;
		u64 n = q->data.len > at ? MIN(q->data.len - at, (u64)PAGE_SIZE) : 0;

		memcpy(content, (const u8 *)q->data.p + at, n);
		memset((u8 *)content + n, 0, PAGE_SIZE - n);
		r = fill_page(e, cp, first + i, content, q->flags & COPY_TWIN);
	}
	return r < 0 ? -ENOSPC : 0;
}

static void put_bytes(struct rpc_env *e, const struct fs_inode *i, u64 off,
		      const u8 *from, u64 len)
{
	while (len) {
		u64 in = off % PAGE_SIZE, n = MIN(len, PAGE_SIZE - in);
		u8 *to = page(e, i, off / PAGE_SIZE);

		if (to && from)
			memcpy(to + in, from, n);
		else if (to)
			memset(to + in, 0, n);
		off += n;
		len -= n;
		if (from)
			from += n;
	}
}

static void changed(struct ck *ck, struct fs_copy *cp)
{
	TX_SET(ck, cp->gen, cp->gen + 1);
}

static long put(struct rpc_env *e, const struct req_COPY_DATA *q, struct fs_copy *cp)
{
	if (q->gen != cp->gen)
		return -EAGAIN;
	put_bytes(e, cp->inode, q->off, q->data.p, q->data.len);
	put_bytes(e, cp->twins, q->off, q->data.p, q->data.len);
	changed(e->ck, cp);
	return 0;
}

static long make_old(struct rpc_env *e, const struct req_COPY_DATA *q, struct fs_copy *cp)
{
	u64 at = q->off / PAGE_SIZE, end = (q->end + PAGE_SIZE - 1) / PAGE_SIZE, v;
	u32 n = 0;

	changed(e->ck, cp);
	for (; radix_next(&cp->inode->map, at, &at, &v) && at < end; at++) {
		tx_radix_set(e->ck, &cp->inode->map, at, FS_BLK(v));
		if (++n % FS_TRIM_STEP == 0)
			ck_commit(e->ck);
	}
	return 0;
}

/* Pieces being written one behind the other. */
struct pieces {
	u8 *at, *end;
};

/* How many of the bytes have room. */
static u32 piece_add(struct pieces *w, u64 off, const u8 *from, u32 len)
{
	struct piece_head h = { .off = off };
	u64 room = (u64)(w->end - w->at);

	if (room <= sizeof(h))
		return 0;
	h.len = (u32)MIN((u64)len, room - sizeof(h));
	memcpy(w->at, &h, sizeof(h));
	memcpy(w->at + sizeof(h), from, h.len);
	w->at += sizeof(h) + h.len;
	return h.len;
}

/* The next piece, its bytes at *data; false: none, or none that makes sense. */
static bool piece_next(const u8 **at, const u8 *end, struct piece_head *h,
		       const u8 **data)
{
	if ((u64)(end - *at) < sizeof(*h))
		return false;
	memcpy(h, *at, sizeof(*h));
	*data = *at + sizeof(*h);
	if (h->len > (u64)(end - *data) || h->off > FS_SIZE_MAX - h->len)
		return false;
	*at = *data + h->len;
	return true;
}

/* What differs in bytes [from, to) of a page that begins at `base`. How far it came. */
static u64 page_diff(const u8 *now, const u8 *twin, u64 base, u32 from, u32 to,
		     struct pieces *w)
{
	u32 k = from;

	while (k < to) {
		u32 start = k, n;

		if (k % 8 == 0 && to - k >= 8 &&
		    *(const u64 *)(now + k) == *(const u64 *)(twin + k)) {
			k += 8;
			continue;
		}
		while (k < to && now[k] != twin[k])
			k++;
		n = k > start ? piece_add(w, base + start, now + start, k - start) : 0;
		if (n < k - start)
			return base + start + n;
		if (k == start)
			k++;
	}
	return base + to;
}

static long diff(struct rpc_env *e, const struct req_COPY_DATA *q, struct fs_copy *cp,
		 struct rep_COPY_DATA *p)
{
	u8 *data = p->data.p;
	struct pieces w = { data, data + MIN(p->data.cap, COPY_IO_MAX) };
	u64 now[PAGE_SIZE / 8], index, v;

	p->off = q->off;
	for (u32 n = 0; data && p->off < q->end && n < DIFF_PAGES; n++) {
		const u8 *from;
		u64 base, stop, got;

		if (!radix_next(&cp->twins->map, p->off / PAGE_SIZE, &index, &v) ||
		    index * PAGE_SIZE >= q->end) {
			p->off = q->end;
			break;
		}
		base = index * PAGE_SIZE;
		p->off = MAX(p->off, base);
		stop = MIN(q->end, base + PAGE_SIZE);
		from = page(e, cp->inode, index);
		if (from) {
			memcpy(now, from, PAGE_SIZE);
			got = page_diff((u8 *)now, (u8 *)mem_block(e->c->isl, FS_BLK(v)),
					base, (u32)(p->off - base), (u32)(stop - base),
					&w);
			p->off = got;
			if (got < stop)
				break;
		}
		p->off = stop;
	}
	p->data.len = data ? (u32)(w.at - data) : 0;
	return 0;
}

static long clean(struct rpc_env *e, const struct req_COPY_DATA *q, struct fs_copy *cp)
{
	const u8 *at = q->data.p, *end = at + q->data.len, *data;
	struct piece_head h;

	while (piece_next(&at, end, &h, &data))
		put_bytes(e, cp->twins, h.off, data, h.len);
	return 0;
}

/* No memory to keep pages for those that map them: they stay, empty. */
static void empty_pages(struct rpc_env *e, struct fs_inode *i, u64 first)
{
	u64 at = first, v;
	u32 n = 0;

	for (; radix_next(&i->map, at, &at, &v); at++) {
		memset(mem_block(e->c->isl, FS_BLK(v)), 0, PAGE_SIZE);
		tx_radix_set(e->ck, &i->map, at, FS_BLK(v)); /* old */
		if (++n % FS_TRIM_STEP == 0)
			ck_commit(e->ck);
	}
}

/* Pages behind the end stay until nobody maps them any more. */
static long cut(struct rpc_env *e, const struct req_COPY_DATA *q, struct fs_copy *cp)
{
	u64 tail = ALIGN_UP(q->off, (u64)PAGE_SIZE) - q->off;
	u64 first = (q->off + PAGE_SIZE - 1) / PAGE_SIZE;
	u32 done, mark;
	long r;

	changed(e->ck, cp);
	put_bytes(e, cp->inode, q->off, NULL, tail);
	put_bytes(e, cp->twins, q->off, NULL, tail);
	do {
		mark = ck_mark(e->ck); /* what came before in this transaction stays */
		r = fs_map_punch(e, cp->inode, first, ~0ULL, FS_TRIM_STEP, &done);
		if (r < 0)
			ck_abort_to(e->ck, mark);
		ck_commit(e->ck);
	} while (!r && done == FS_TRIM_STEP);
	if (r < 0) {
		empty_pages(e, cp->inode, first);
		empty_pages(e, cp->twins, first);
		return 0;
	}
	while (fs_map_free(e->ck, &cp->twins->map, first, ~0ULL, FS_TRIM_STEP) ==
	       FS_TRIM_STEP)
		ck_commit(e->ck);
	return 0;
}

static long version(struct rpc_env *e, const struct req_COPY_DATA *q, struct fs_copy *cp)
{
	if (q->version == cp->version)
		return 0;
	TX_SET(e->ck, cp->version, q->version);
	TX_SET(e->ck, cp->epoch, cp->epoch + 1);
	changed(e->ck, cp);
	return 0;
}

long fs_copy_data(struct rpc_env *e, const struct req_COPY_DATA *q,
		  struct rep_COPY_DATA *p)
{
	struct fs_copy *cp = find(fs_of(e->ck), q->ino);

	p->off = p->count = p->data.len = 0;
	if (!cp)
		return -ENOENT;
	p->gen = cp->gen;
	if (q->off > FS_SIZE_MAX || q->end > FS_SIZE_MAX ||
	    q->data.len > FS_SIZE_MAX - q->off)
		return -EINVAL;
	switch (q->op) {
	case COPY_VERSION:
		return version(e, q, cp);
	case COPY_WANT:
		return want(q, cp, p);
	case COPY_FILL:
		return q->end < q->off ? -EINVAL : fill(e, q, cp);
	case COPY_PUT:
		return put(e, q, cp);
	case COPY_OLD:
		return make_old(e, q, cp);
	case COPY_DIFF:
		return diff(e, q, cp, p);
	case COPY_CLEAN:
		return clean(e, q, cp);
	case COPY_CUT:
		return cut(e, q, cp);
	default:
		return -EINVAL;
	}
}

/* --- PATCH, at the file's server -------------------------------------------------------------- */

/* The first piece that lies inside, cut to that. */
static bool piece_inside(const u8 **at, const u8 *end, u64 size, struct piece_head *h,
			 const u8 **data)
{
	while (piece_next(at, end, h, data)) {
		if (h->off >= size || !h->len)
			continue;
		h->len = (u32)MIN((u64)h->len, size - h->off);
		return true;
	}
	return false;
}

long fs_patch(struct rpc_env *e, const struct req_PATCH *q, struct rep_PATCH *p)
{
	struct fs *f = fs_of(e->ck);
	struct fs_inode *i = fs_inode_find(f, q->ino);
	const u8 *at = q->data.p, *end = at + q->data.len, *data;
	struct piece_head h;

	(void)p;
	if (!i)
		return -ENOENT;
	if (!fs_is_reg(i))
		return -EINVAL;
	fs_make_room(e->ck);
	if (!piece_inside(&at, end, i->size, &h, &data))
		return 0;
	/* First: what follows may commit, and may be asked for again. */
	TX_SET(e->ck, i->version, i->version + 1);
	fs_inode_drop_setid(e->ck, i, q->uid);
	fs_inode_touch(e->ck, i, host_realtime_ns());
	do {
		u64 first = h.off / PAGE_SIZE;
		u64 count = (h.off + h.len - 1) / PAGE_SIZE - first + 1;
		long r;

		if (q->steal && !fs_blk_enough(e->ck, count) &&
		    !fs_blk_enough(e->ck, fs_map_holes(&i->map, first, count)))
			return -HARE_ESTEAL;
		r = fs_data_write(e, i, h.off, data, h.len);
		if (r < (long)h.len)
			return r < 0 ? r : -ENOSPC;
	} while (piece_inside(&at, end, i->size, &h, &data));
	return 0;
}
