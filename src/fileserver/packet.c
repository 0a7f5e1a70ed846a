/* SPDX-License-Identifier: MIT */
/*
 * Packets of pipes: what is written with O_DIRECT (pipe2, F_SETFL). Called by pipe.c.
 *
 * As on Linux a packet has a page of the pipe to itself, and a read ends with the first one that it
 * meets, whose rest is dropped; bytes that were written without O_DIRECT stand on pages before and
 * behind. A pipe is made so (FS_P_PACKETS) by the first packet, and becomes one of bytes again by the
 * first bytes that find it empty; until then head and tail count whole pages, and a word for each
 * says where on it the bytes are:
 *
 *   page[n]   PG_OFF | PG_LEN << 13 | PG_PACKET         n: position / PAGE_SIZE % pages
 *
 *   bytes    | ...head####|##########|###tail... |        (FS_P_PACKETS is not set)
 *   packets  |head   ab...|##########|###|pkt.....|tail   rounded down and up
 *
 * What a packet's write may put on a last page of bytes, it does, as bytes: so does Linux. Pipes
 * without packets pay for none of this: the flag is in the line that each read and write looks at.
 */
#include "fileserver/fs.h"

#define PG_BITS	     13u
#define PG_OFF(w)    ((w) & ((1u << PG_BITS) - 1))
#define PG_LEN(w)    ((w) >> PG_BITS & ((1u << PG_BITS) - 1))
#define PG_PACKET    (1u << 2 * PG_BITS)
#define PG(off, len) ((u32)(off) | (u32)(len) << PG_BITS)

static u32 *page_of(const struct fs_pipe *p, u64 pos)
{
	return &p->page[fs_pipe_page(p, pos)];
}

static char *memory(struct rpc_env *e, const struct fs_pipe *p, u64 pos)
{
	return (char *)mem_block(e->c->isl, p->slot[fs_pipe_page(p, pos)]);
}

u32 fs_packet_bytes(const struct fs_pipe *p)
{
	u32 n = 0;

	for (u64 pos = p->head; pos < p->tail; pos += PAGE_SIZE)
		n += PG_LEN(*page_of(p, pos));
	return n;
}

/* --- writing -------------------------------------------------------------------------------------- */

/* A shared description's flags are here. */
static bool is_packet(const struct fs_inode *i, const struct req_WRITE *q)
{
	const struct fs_ofd *o = NULL;

	if (i->pipe->flags & FS_P_DIRECT && q->ofd && !(q->flags & IO_SPLICE))
		o = fs_ofd_find(i, q->ofd);
	return o ? o->flags & O_DIRECT : q->flags & IO_PACKET;
}

/* What of a packet's write goes on the last page, where `room` bytes are free: that part of it which
 * fills no page, or nothing. */
static u32 packet_merges(const struct req_WRITE *q, u32 room)
{
	u32 part = q->data.len % PAGE_SIZE;

	return part <= room && !(q->flags & IO_SPLICE) ? part : 0;
}

/* Bytes free on the last page of a pipe of bytes. */
static u32 bytes_room(const struct fs_pipe *p)
{
	return p->head == p->tail ? 0 : (u32)(-p->tail % PAGE_SIZE);
}

bool fs_packets(struct rpc_env *e, const struct fs_inode *i, const struct req_WRITE *q)
{
	struct fs_pipe *p = i->pipe;
	bool packet = is_packet(i, q);

	if (!(p->flags & FS_P_PACKETS))
		return packet && packet_merges(q, bytes_room(p)) != q->data.len;
	if (packet || p->head != p->tail)
		return true;
	TX_SET(e->ck, p->flags, p->flags & ~FS_P_PACKETS);
	return false;
}

/* A pipe of bytes becomes one of pages. -EAGAIN: its first and last bytes are on one. */
static long to_pages(struct rpc_env *e, struct fs_pipe *p)
{
	u64 from = p->head & ~(u64)(PAGE_SIZE - 1), to = ALIGN_UP(p->tail, PAGE_SIZE);
	struct ck *ck = e->ck;

	if (to - from > (u64)p->pages * PAGE_SIZE)
		return -EAGAIN;
	if (!p->page) {
		u32 *page = ck_alloc_for(ck, CK_HELD, p->pages * sizeof(*page));

		if (!page)
			return -ENOMEM;
		TX_SET(ck, p->page, page);
	}
	for (u64 pos = from; pos < to; pos += PAGE_SIZE) {
		u64 first = MAX(pos, p->head), end = MIN(pos + PAGE_SIZE, p->tail);

		TX_SET(ck, *page_of(p, pos), PG(first - pos, end - first));
	}
	TX_SET(ck, p->head, from);
	TX_SET(ck, p->tail, to);
	TX_SET(ck, p->flags, p->flags | FS_P_PACKETS);
	return 0;
}

/* Bytes free on the last page, if that is one of bytes. */
static u32 last_room(const struct fs_pipe *p)
{
	u32 w = p->head == p->tail ? PG_PACKET : *page_of(p, p->tail - PAGE_SIZE);

	return w & PG_PACKET ? 0 : PAGE_SIZE - PG_OFF(w) - PG_LEN(w);
}

static void merge(struct rpc_env *e, struct fs_pipe *p, const char *from, u32 n)
{
	u64 pos = p->tail - PAGE_SIZE;
	u32 *w = page_of(p, pos);

	memcpy(memory(e, p, pos) + PG_OFF(*w) + PG_LEN(*w), from, n);
	TX_SET(e->ck, *w, PG(PG_OFF(*w), PG_LEN(*w) + n));
}

/* Fewer than asked for when there are no blocks. */
static u32 put_pages(struct rpc_env *e, struct fs_pipe *p, const char *from, u32 len,
		     u32 packet)
{
	u64 tail = p->tail;
	u32 at = 0;

	while (at < len) {
		u32 n = MIN(len - at, PAGE_SIZE);

		if (!fs_pipe_block(e, p, tail, tail ? 0 : FS_BLK_PIPE))
			break;
		memcpy(memory(e, p, tail), from + at, n);
		TX_SET(e->ck, *page_of(p, tail), PG(0, n) | packet);
		tail += PAGE_SIZE;
		at += n;
	}
	TX_SET(e->ck, p->tail, tail);
	return at;
}

static u32 blocks_lacking(const struct fs_pipe *p, u32 pages)
{
	u32 lack = 0;

	for (u32 n = 0; n < pages; n++)
		lack += !p->slot[fs_pipe_page(p, p->tail + n * PAGE_SIZE)];
	return lack;
}

static long put(struct rpc_env *e, struct fs_pipe *p, const struct req_WRITE *q,
		bool packet)
{
	u32 len = q->data.len, free = fs_pipe_room(p) / PAGE_SIZE, room = last_room(p);
	u32 n = packet ? packet_merges(q, room) : MIN(room, len);
	u32 pages = (len - n + PAGE_SIZE - 1) / PAGE_SIZE;
	const char *from = q->data.p;
	bool whole = len <= PAGE_SIZE;

	if (pages > free && (whole || (!n && !free)))
		return -EAGAIN;
	pages = MIN(pages, free);
	if ((q->flags & IO_STEAL) && !fs_blk_enough(e->ck, blocks_lacking(p, pages)))
		return -HARE_ESTEAL;
	if (n)
		merge(e, p, from, n);
	n += put_pages(e, p, from + n, MIN(len - n, pages * PAGE_SIZE),
		       packet ? PG_PACKET : 0);
	if (n && (n == len || !whole))
		return (long)n;
	return p->head == p->tail ? -ENOMEM : -EAGAIN;
}

long fs_packet_put(struct rpc_env *e, const struct fs_inode *i, const struct req_WRITE *q)
{
	bool packet = is_packet(i, q);
	struct fs_pipe *p = i->pipe;
	long r = p->flags & FS_P_PACKETS ? 0 : to_pages(e, p);

	if (!r)
		r = put(e, p, q, packet);
	if (r == -EAGAIN)
		ck_abort(e->ck);
	return r;
}

/* Pages of bytes, of which the last may be a packet, before the first one. */
long fs_packet_back(struct rpc_env *e, struct fs_pipe *p, const struct req_WRITE *q)
{
	u32 len = q->data.len, packet = q->flags & IO_PACKET ? PG_PACKET : 0, n;
	const char *from = q->data.p;

	if (ALIGN_UP(len, (u32)PAGE_SIZE) > fs_pipe_room(p))
		return -EAGAIN;
	fs_pipe_turn(e->ck, p, ALIGN_UP(len, (u32)PAGE_SIZE));
	for (; len; len -= n, packet = 0) {
		u64 pos = p->head - PAGE_SIZE;

		n = (len - 1) % PAGE_SIZE + 1;
		if (!fs_pipe_block(e, p, pos, 0))
			return -ENOMEM;
		memcpy(memory(e, p, pos), from + len - n, n);
		TX_SET(e->ck, *page_of(p, pos), PG(0, n) | packet);
		TX_SET(e->ck, p->head, pos);
	}
	return q->data.len;
}

/* --- reading -------------------------------------------------------------------------------------- */

void fs_packet_get(struct rpc_env *e, struct fs_pipe *p, const struct req_READ *q,
		   struct rep_READ *rep)
{
	bool peek = q->flags & IO_PEEK, keep = peek || q->flags & IO_SPLICE;
	u32 cap = MIN(q->len, rep->data.cap), at = 0;
	u64 skip = peek ? q->off : 0, pos = p->head;

	while (pos < p->tail && at < cap && !rep->last) {
		u32 *w = page_of(p, pos), len = PG_LEN(*w), n;

		if (skip >= len) {
			skip -= len;
			pos += PAGE_SIZE;
			continue;
		}
		if (keep && at && *w & PG_PACKET)
			break;
		n = MIN(cap - at, len - (u32)skip);
		memcpy((char *)rep->data.p + at,
		       memory(e, p, pos) + PG_OFF(*w) + (u32)skip, n);
		at += n;
		skip = 0;
		rep->last = (*w & PG_PACKET) != 0;
		if (peek || n == len || (rep->last && !keep))
			pos += PAGE_SIZE;
		else
			TX_SET(e->ck, *w, *w + PG(n, 0) - PG(0, n));
	}
	rep->data.len = at;
	if (peek)
		return;
	if (pos == p->tail) {
		TX_SET(e->ck, p->tail, 0);
		pos = 0;
	}
	TX_SET(e->ck, p->head, pos);
}

/* --- F_SETPIPE_SZ ----------------------------------------------------------------------------------- */

/* Pages keep their blocks; those that hold nothing are freed. */
long fs_packet_resize(struct rpc_env *e, struct fs_pipe *p, u32 pages)
{
	u32 used = fs_pipe_used(p) / PAGE_SIZE, first = (u32)(p->head / PAGE_SIZE);
	struct ck *ck = e->ck;
	blk_t *slot;
	u32 *page;

	if (used > pages)
		return -EBUSY;
	slot = ck_alloc_for(ck, CK_HELD, pages * sizeof(*slot));
	page = slot ? ck_alloc_for(ck, CK_HELD, pages * sizeof(*page)) : NULL;
	if (!page)
		return -ENOMEM;
	for (u32 n = 0; n < p->pages; n++) {
		u32 at = (first + n) % p->pages;

		if (n < used) {
			slot[n] = p->slot[at];
			page[n] = p->page[at];
		} else if (p->slot[at]) {
			fs_blk_free(ck, p->slot[at], 1);
		}
	}
	ck_free(ck, p->slot);
	ck_free(ck, p->page);
	TX_SET(ck, p->slot, slot);
	TX_SET(ck, p->page, page);
	TX_SET(ck, p->pages, pages);
	TX_SET(ck, p->head, 0);
	TX_SET(ck, p->tail, (u64)used * PAGE_SIZE);
	return 0;
}
