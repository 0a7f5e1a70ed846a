/* SPDX-License-Identifier: MIT */
/*
 * Pipes and FIFOs: PIPE POLL PIPE_SIZE, and their side of READ and WRITE.
 *
 * A byte ring over blocks, which only this server's handlers touch. `head` and `tail` count bytes
 * since the ring was last empty; then both return to 0, so that small messages stay in one page.
 * Bytes become visible when tail moves, which is logged; copying them is not. Packets: packet.c.
 *
 *   open of a FIFO   counts a reader or writer at once, then waits (POLL fifo_peer) until the
 *                    other end is, or was since then, open: OPEN tells how often it was so far
 *   last end closes  all waiters are woken; FIFO: what was in it is gone
 */
#include "fileserver/fs.h"

#define PIPE_PAGES     16u
#define PIPE_PAGES_MAX 256u /* 1 MiB, Linux's default limit for unprivileged users */
#define POLL_IN	       (HP_IN | 0x40u) /* with POLLRDNORM */
#define POLL_OUT       (HP_OUT | 0x100u) /* with POLLWRNORM */

static bool reads(u32 flags)
{
	return (flags & FS_O_ACCMODE) != O_WRONLY;
}
static bool writes(u32 flags)
{
	return (flags & FS_O_ACCMODE) != O_RDONLY;
}

struct fs_pipe *fs_pipe_of(struct rpc_env *e, struct fs_inode *i)
{
	struct fs_pipe *p = i->pipe;

	if (p)
		return p;
	p = ck_alloc_for(e->ck, CK_HELD, sizeof(*p));
	if (!p)
		return NULL;
	p->slot = ck_alloc_for(e->ck, CK_HELD, PIPE_PAGES * sizeof(*p->slot));
	if (!p->slot)
		return NULL;
	p->pages = PIPE_PAGES;
	list_init_fresh(&p->waiters);
	TX_SET(e->ck, i->pipe, p);
	return p;
}

static void slots_free(struct ck *ck, struct fs_pipe *p)
{
	for (u32 n = 0; n < p->pages; n++)
		if (p->slot[n])
			fs_blk_free(ck, p->slot[n], 1);
	ck_free(ck, p->slot);
	if (p->page)
		ck_free(ck, p->page);
}

void fs_pipe_release(struct rpc_env *e, struct fs_inode *i)
{
	struct fs_pipe *p = i->pipe;

	if (!p)
		return;
	if (p->notify)
		fs_notify_release(e->ck, p->notify);
	fs_wake_all(e, &p->waiters, FS_WAIT_ANY);
	fs_wait_free(e->ck, &p->waiters);
	slots_free(e->ck, p);
	TX_SET(e->ck, i->pipe, NULL);
	ck_free(e->ck, p);
}

static void ends_changed(struct rpc_env *e, struct fs_inode *i, bool fewer)
{
	const struct fs_pipe *p = i->pipe;
	u32 events = FS_WAIT_ANY;

	if (!p->readers && !p->writers) {
		fs_pipe_release(e, i);
		return;
	}
	if (fewer && !p->readers != !p->writers)
		events |= FS_TELL_IN | FS_TELL_OUT;
	fs_wake_all(e, &i->pipe->waiters, events);
}

void fs_pipe_ends(struct rpc_env *e, struct fs_inode *i, u32 flags, s32 delta)
{
	struct fs_pipe *p = i->pipe;
	struct ck *ck = e->ck;
	bool r = reads(flags), w = writes(flags);

	if (!p)
		return;
	if (r && (delta > 0 || p->readers))
		TX_SET(ck, p->readers, p->readers + (u32)delta);
	if (w && (delta > 0 || p->writers))
		TX_SET(ck, p->writers, p->writers + (u32)delta);
	if (delta > 0 && r)
		TX_SET(ck, p->reader_opens, p->reader_opens + 1);
	if (delta > 0 && w)
		TX_SET(ck, p->writer_opens, p->writer_opens + 1);
	ends_changed(e, i, delta < 0);
}

void fs_pipe_lost(struct rpc_env *e, struct fs_inode *i, u32 readers, u32 writers)
{
	struct fs_pipe *p = i->pipe;

	if (!p)
		return;
	TX_SET(e->ck, p->readers, p->readers - MIN(p->readers, readers));
	TX_SET(e->ck, p->writers, p->writers - MIN(p->writers, writers));
	ends_changed(e, i, true);
}

/* --- data -------------------------------------------------------------------------------------- */

/* There is less in it. */
static void wake_writers(struct rpc_env *e, struct fs_pipe *p)
{
	bool room = fs_pipe_room(p) >= PAGE_SIZE;

	fs_wake_all(e, &p->waiters, room ? HP_OUT | FS_TELL_OUT : FS_TELL_OUT);
}

/* Who cannot go on, and does not wait, has it told as if he had done something: so does Linux. */
static void tried(struct rpc_env *e, struct fs_pipe *p, u32 flags, u32 event)
{
	if (flags & IO_WAIT || list_empty(&p->waiters))
		return;
	fs_wake_all(e, &p->waiters, event);
	ck_commit(e->ck);
}

/* The times of FIFOs move as those of files, but not by splice; a pipe keeps those that it was made
 * with. What has to be looked at and changed is in lines that were used already. */
static inline void was_read(struct rpc_env *e, struct fs_inode *i, u32 flags)
{
	struct fs_pipe *p = i->pipe;

	if (!(i->flags & FS_I_ANON) && !(flags & (IO_NOATIME | IO_SPLICE)))
		fs_inode_read_at(e->ck, i);
	if (!list_empty(&p->waiters))
		wake_writers(e, p);
}

/* Another thread looks at what is in it, and will take that. */
static bool is_held(const struct rpc_env *e, const struct fs_inode *i)
{
	return unlikely(i->more && i->more->appender) &&
	       !fs_is_callers(e, i->more->appender);
}

void fs_pipe_free_again(struct rpc_env *e, struct fs_pipe *p)
{
	fs_wake_all(e, &p->waiters, POLL_IN);
}

long fs_pipe_read(struct rpc_env *e, struct fs_inode *i, const struct req_READ *q,
		  struct rep_READ *p)
{
	const struct island *isl = e->c->isl;
	struct fs_pipe *pipe = i->pipe;
	u32 len = MIN(q->len, p->data.cap), at = 0;
	u64 head;

	if (!pipe || !pipe->readers)
		return -EBADF;
	if (unlikely(!len || !p->data.p))
		return pipe->flags & FS_P_NOTIFY ? fs_notify_read(e, pipe, q, p) : 0;
	if (is_held(e, i))
		return fs_wait(e, &pipe->waiters, q->flags & IO_WAIT ? q->wait_seq : 0,
			       POLL_IN | HP_HUP);
	len = MIN(len, fs_pipe_used(pipe));
	if (!len) {
		if (pipe->flags & FS_P_NOTIFY) /* its events are elsewhere */
			return fs_notify_read(e, pipe, q, p);
		if (!pipe->writers)
			return 0;
		tried(e, pipe, q->flags, FS_TELL_OUT);
		return fs_wait(e, &pipe->waiters, q->flags & IO_WAIT ? q->wait_seq : 0,
			       POLL_IN | HP_HUP);
	}
	if (unlikely(pipe->flags & FS_P_PACKETS)) {
		fs_packet_get(e, pipe, q, p);
		if (!(q->flags & IO_PEEK))
			was_read(e, i, q->flags);
		return 0;
	}
	head = pipe->head;
	if (q->flags & IO_PEEK) {
		if (q->off >= fs_pipe_used(pipe))
			return 0;
		head += q->off;
		len = MIN(MIN(q->len, p->data.cap), fs_pipe_used(pipe) - (u32)q->off);
	}
	for (; at < len;) {
		u32 in = (u32)(head % PAGE_SIZE), n = MIN(len - at, PAGE_SIZE - in);
		blk_t blk = pipe->slot[fs_pipe_page(pipe, head)];

		memcpy((char *)p->data.p + at, mem_block(isl, blk) + in, n);
		head += n;
		at += n;
	}
	p->data.len = len;
	if (q->flags & IO_PEEK)
		return 0;
	if (head == pipe->tail) {
		TX_SET(e->ck, pipe->tail, 0);
		head = 0;
	}
	TX_SET(e->ck, pipe->head, head);
	was_read(e, i, q->flags);
	return 0;
}

void fs_pipe_turn(struct ck *ck, struct fs_pipe *p, u32 len)
{
	u64 ring = (u64)p->pages * PAGE_SIZE;

	if (p->head >= len)
		return;
	TX_SET(ck, p->head, p->head + ring);
	TX_SET(ck, p->tail, p->tail + ring);
}

blk_t fs_pipe_block_new(struct rpc_env *e, struct fs_pipe *p, u64 pos, u32 flags)
{
	u32 got;
	blk_t blk = fs_blk_alloc(e, 0, flags, 1, &got);

	if (blk)
		TX_SET(e->ck, p->slot[fs_pipe_page(p, pos)], blk);
	return blk;
}

static inline u32 put(struct rpc_env *e, struct fs_pipe *p, u64 pos, const char *from,
		      u32 len)
{
	u32 at = 0;

	while (at < len) {
		u32 in = (u32)(pos % PAGE_SIZE), n = MIN(len - at, PAGE_SIZE - in);
		blk_t blk = fs_pipe_block(e, p, pos, 0);

		if (!blk)
			break;
		memcpy(mem_block(e->c->isl, blk) + in, from + at, n);
		pos += n;
		at += n;
	}
	return at;
}

/* Whether there are blocks for n more bytes. Nothing was changed yet. */
static bool has_pages(struct ck *ck, const struct fs_pipe *p, u32 n)
{
	u32 lack = 0;

	for (u64 at = p->tail / PAGE_SIZE; at <= (p->tail + n - 1) / PAGE_SIZE; at++)
		lack += !p->slot[at % p->pages];
	return fs_blk_enough(ck, lack);
}

/* Bytes behind what is there: how many; -EAGAIN: no room, nothing was changed; -HARE_ESTEAL, -ENOMEM. */
static long put_bytes(struct rpc_env *e, struct fs_pipe *pipe, const struct req_WRITE *q)
{
	u32 len = q->data.len, n = MIN(len, fs_pipe_room(pipe));

	if (!n || (n < len && len <= PAGE_SIZE))
		return -EAGAIN;
	if ((q->flags & IO_STEAL) && !has_pages(e->ck, pipe, n))
		return -HARE_ESTEAL;
	if (!pipe->tail) /* empty: one page is enough to go on, and is kept for it */
		(void)fs_pipe_block(e, pipe, 0, FS_BLK_PIPE);
	n = put(e, pipe, pipe->tail, q->data.p, n);
	if (!n || (n < len && len <= PAGE_SIZE)) {
		/* No memory for more pages: those that it has are to be read first. */
		if (!fs_pipe_used(pipe))
			return -ENOMEM;
		ck_abort(e->ck);
		return -EAGAIN;
	}
	TX_SET(e->ck, pipe->tail, pipe->tail + n);
	return (long)n;
}

/* Before the first byte, where those that were read last were: as a rule their blocks are there still. */
static long put_back(struct rpc_env *e, struct fs_pipe *p, const struct req_WRITE *q)
{
	u32 len = q->data.len;

	if (p->flags & FS_P_NOTIFY)
		return -EBADF;
	if (p->flags & FS_P_PACKETS)
		return fs_packet_back(e, p, q);
	if (!fs_pipe_used(p))
		return put_bytes(e, p, q);
	if (len > fs_pipe_room(p))
		return -EAGAIN;
	fs_pipe_turn(e->ck, p, len);
	if (put(e, p, p->head - len, q->data.p, len) < len)
		return -ENOMEM;
	TX_SET(e->ck, p->head, p->head - len);
	return len;
}

static __attribute__((noinline)) long write_odd(struct rpc_env *e, struct fs_inode *i,
						const struct req_WRITE *q)
{
	if (q->flags & IO_BACK)
		return put_back(e, i->pipe, q);
	return fs_packets(e, i, q) ? fs_packet_put(e, i, q) : put_bytes(e, i->pipe, q);
}

long fs_pipe_write(struct rpc_env *e, struct fs_inode *i, const struct req_WRITE *q,
		   struct rep_WRITE *p)
{
	struct fs_pipe *pipe = i->pipe;
	long r;

	p->off = p->size = 0;
	if (!pipe || (!pipe->writers && !(q->flags & IO_BACK)))
		return -EBADF;
	if (!pipe->readers)
		return -EPIPE;
	if (!q->data.len)
		return 0;
	if (unlikely(pipe->flags | (q->flags & (IO_PACKET | IO_BACK))))
		r = write_odd(e, i, q);
	else
		r = put_bytes(e, pipe, q);
	if (r == -EAGAIN)
		tried(e, pipe, q->flags, FS_TELL_IN);
	if (r == -EAGAIN)
		return fs_wait(e, &pipe->waiters, q->flags & IO_WAIT ? q->wait_seq : 0,
			       POLL_OUT | HP_ERR);
	if (r < 0)
		return r;
	p->count = (u32)r;
	if (!(i->flags & FS_I_ANON) && !(q->flags & IO_SPLICE))
		fs_inode_touch(e->ck, i, host_realtime_ns());
	if (!list_empty(&pipe->waiters))
		fs_wake_all(e, &pipe->waiters, HP_IN | FS_TELL_IN);
	return 0;
}

/* --- handlers ------------------------------------------------------------------------------------ */

long fs_pipe(struct rpc_env *e, const struct req_PIPE *q, struct rep_PIPE *p)
{
	struct fs_inode *i =
		fs_inode_new(e, CK_HELD, HS_IFIFO | 0600, q->cred->uid, q->cred->gid);
	long r;

	if (!i || !fs_pipe_of(e, i))
		return -ENOSPC;
	i->nlink = 0;
	i->flags = FS_I_ANON;
	r = fs_open_inode(e, i, O_RDONLY, NULL, NULL, NULL);
	if (!r)
		r = fs_open_inode(e, i, O_WRONLY, NULL, NULL, NULL);
	p->ino = i->node.key;
	return r;
}

/* A blocking open: is the other end there, or was it since? */
static u32 poll_peer(const struct fs_pipe *pipe, const struct req_POLL *q)
{
	bool r = reads(q->access), w = writes(q->access);
	u32 since = q->since - 1;

	if (!r && (pipe->readers || (q->since && pipe->reader_opens != since)))
		return HP_OUT;
	if (!w && (pipe->writers || (q->since && pipe->writer_opens != since)))
		return HP_IN;
	return r && w ? HP_IN | HP_OUT : 0;
}

static u32 poll_pipe(const struct fs_pipe *pipe, const struct req_POLL *q)
{
	u32 ready = 0;

	if (reads(q->access)) {
		if (fs_pipe_used(pipe) || (pipe->notify && pipe->notify->bytes))
			ready |= POLL_IN;
		/* A FIFO that nobody wrote to since we opened it has not been hung up. */
		if (!pipe->writers && !(q->since && pipe->writer_opens == q->since - 1))
			ready |= HP_HUP;
	}
	if (writes(q->access)) {
		if (fs_pipe_room(pipe) >= PAGE_SIZE)
			ready |= POLL_OUT;
		if (!pipe->readers)
			ready |= HP_ERR;
	}
	return ready & (q->events | HP_HUP | HP_ERR);
}

/* Edge-triggered, and no edge came since what was told. */
static bool is_old(const struct req_POLL *q, const struct rep_POLL *p)
{
	return q->told && p->bytes == q->told_bytes && !(p->revents & ~q->told);
}

/* What it waits for. That there is room is told again when there was none, but more bytes are an edge. */
static u32 awaited(const struct req_POLL *q, const struct rep_POLL *p)
{
	if (q->fifo_peer)
		return FS_WAIT_ANY;
	return (q->events & ~(p->revents & POLL_OUT)) | HP_HUP | HP_ERR;
}

long fs_poll(struct rpc_env *e, const struct req_POLL *q, struct rep_POLL *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	struct fs_pipe *pipe;
	long r;

	p->bytes = p->capacity = 0;
	if (!i)
		return -ENOENT;
	if (fs_type(i) != HS_IFIFO) {
		p->revents = q->events & (POLL_IN | POLL_OUT);
		return 0;
	}
	pipe = i->pipe;
	if (!pipe)
		return -EBADF; /* nobody has it open */
	p->bytes = pipe->flags & FS_P_PACKETS ? fs_packet_bytes(pipe)
		   : pipe->notify	      ? pipe->notify->bytes
					      : fs_pipe_used(pipe);
	p->capacity = pipe->pages * PAGE_SIZE;
	p->revents = q->fifo_peer ? poll_peer(pipe, q) : poll_pipe(pipe, q);
	if (is_held(e, i) && !q->fifo_peer)
		p->revents &= ~POLL_IN;
	if (!q->wait_seq || (p->revents && !is_old(q, p)))
		return 0;
	r = fs_wait(e, &pipe->waiters, q->wait_seq, awaited(q, p));
	return r == -EAGAIN ? 0 : r;
}

/* Copies what is in the pipe to new blocks, from position 0 on. -ENOSPC. */
static long refill(struct rpc_env *e, const struct fs_pipe *p, blk_t *slot)
{
	const struct island *isl = e->c->isl;
	u32 left = fs_pipe_used(p);
	u64 from = p->head, to = 0;

	while (left) {
		u32 n = MIN(left, (u32)MIN(PAGE_SIZE - from % PAGE_SIZE,
					   PAGE_SIZE - to % PAGE_SIZE));
		blk_t *blk = &slot[to / PAGE_SIZE];
		u32 got;

		if (!*blk)
			*blk = fs_blk_alloc(e, 0, 0, 1, &got);
		if (!*blk)
			return -ENOSPC;
		memcpy(mem_block(isl, *blk) + to % PAGE_SIZE,
		       mem_block(isl, p->slot[fs_pipe_page(p, from)]) + from % PAGE_SIZE,
		       n);
		from += n;
		to += n;
		left -= n;
	}
	return 0;
}

long fs_pipe_size(struct rpc_env *e, const struct req_PIPE_SIZE *q,
		  struct rep_PIPE_SIZE *p)
{
	struct fs_inode *i = fs_inode_find(fs_of(e->ck), q->ino);
	struct fs_pipe *pipe;
	struct ck *ck = e->ck;
	u32 pages = 1, bytes;
	blk_t *slot;
	long r;

	if (!i || fs_type(i) != HS_IFIFO || !i->pipe || i->pipe->notify)
		return -EBADF;
	if (q->size > 1u << 31)
		return -EINVAL;
	if (q->size > PIPE_PAGES_MAX * PAGE_SIZE)
		return -EPERM;
	pipe = i->pipe;
	while (pages * PAGE_SIZE < q->size)
		pages *= 2;
	p->size = pages * PAGE_SIZE;
	if (pipe->flags & FS_P_PACKETS && pages != pipe->pages) {
		r = fs_packet_resize(e, pipe, pages);
		if (!r)
			fs_wake_all(e, &pipe->waiters, HP_OUT);
		return r;
	}
	bytes = fs_pipe_used(pipe);
	if (bytes > p->size)
		return -EBUSY;
	if (pages == pipe->pages)
		return 0;
	slot = ck_alloc_for(ck, CK_HELD, pages * sizeof(*slot));
	if (!slot || refill(e, pipe, slot) < 0)
		return -ENOMEM;
	slots_free(ck, pipe);
	TX_SET(ck, pipe->page, NULL);
	TX_SET(ck, pipe->slot, slot);
	TX_SET(ck, pipe->pages, pages);
	TX_SET(ck, pipe->head, 0);
	TX_SET(ck, pipe->tail, bytes);
	fs_wake_all(e, &pipe->waiters, HP_OUT);
	return 0;
}
