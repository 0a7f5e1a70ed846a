/* SPDX-License-Identifier: MIT */
/*
 * Blocks: which ones this server's files have (thesis 3.3), and which ones it has. A bitmap with a
 * summary. Low blocks first, since memory used before is warm and backed by pages; contiguous runs
 * where a file grows, since runs are what clients are told.
 *
 * A few blocks of each server are kept for pipes, which work when the files have filled everything;
 * nobody counts them as free.
 *
 * Stealing. At boot each server has an equal share of DRAM. One that has none free says so to its
 * client, which asks the others; a server never waits for another one:
 *
 *   client         server S (full)                 server V
 *   WRITE -------> ESTEAL
 *   STEAL S -------------------------------------> takes blocks out of its bitmaps, posts GIVE
 *   <--------------------------------------------- count       (one transaction)
 *                  GIVE: adds them to its own <---'
 *   WRITE -------> done
 *
 * A record is delivered exactly once, whoever is killed, so a block belongs to V, or stands in one
 * record, or belongs to S. V gives large pieces, and never more than half of what it has free, so
 * that two servers that are both nearly full do not take the same blocks from each other again and
 * again. ENOSPC is the client's word (client/room.c): when two looks at all servers, one after the
 * other, found nothing free, nothing in flight, and nothing that had become free in between.
 *
 * With partitioned DRAM a block never leaves its island: the others cannot access it.
 *
 * Blocks taken from a file are not always free at once:
 *
 *   file ---- no direct access, few ----> free
 *     |------ no direct access, many ---> carrier on fs.dead ---- fs_trim, or need ----> free
 *     |------ a far core has it open, or it is mapped ----> carrier in limbo
 *                                           `---- the last such open is closed ----> fs.dead
 *
 * A carrier is an inode's memory, in no table, whose map holds the blocks. So truncating or
 * removing a large file is one short transaction.
 */
#include "fileserver/fs.h"

#define KEPT_MAX   32u
#define GIVE_PIECE 2048u /* blocks given at a time, at least, if there are so many */
#define GIVE_MAX   8192u
/* Where the giver's cache has to be emptied of them first, for a part of a millisecond. */
#define GIVE_FLUSHED 256u

static u64 words_of(const struct fs *f)
{
	return (f->blk_all + 63) / 64;
}

static u64 *used_word(const struct fs *f, u64 w)
{
	return &f->blk_map[w / FS_BITMAP_WORDS]->used[w % FS_BITMAP_WORDS];
}

static u64 *own_word(const struct fs *f, u64 w)
{
	return &f->blk_map[w / FS_BITMAP_WORDS]->own[w % FS_BITMAP_WORDS];
}

/* The bits of a word from block n on, for `count` blocks at most; *run: how many that are. */
static u64 mask_from(u64 n, u64 count, u32 *run)
{
	u32 bit = (u32)(n % 64);

	*run = (u32)MIN(count, 64ULL - bit);
	return (*run == 64 ? ~0ULL : (1ULL << *run) - 1) << bit;
}

static struct fs_bitmap *piece_new(struct ck *ck)
{
	struct fs_bitmap *m = ck_alloc(ck, sizeof(*m));

	if (m) {
		memset(m->full, 0xff, sizeof(m->full));
		memset(m->used, 0xff, sizeof(m->used));
	}
	return m;
}

long fs_blk_init(struct ck *ck, struct fs *f, u32 blocks)
{
	u64 pieces, n, share = f->srv < f->blk_cores ? blocks : 0;
	u32 run;

	f->blk_all = (u64)blocks * f->blk_cores;
	f->blk_share = f->blk_own = f->blk_free = share;
	f->blk_kept = MIN(share / 64, KEPT_MAX);
	f->blk_home = f->blk_hint = f->blk_room_hint = share * f->srv;
	pieces = (words_of(f) + FS_BITMAP_WORDS - 1) / FS_BITMAP_WORDS;
	f->blk_map = ck_alloc(ck, (pieces + 1) * sizeof(*f->blk_map));
	if (!f->blk_map)
		return -ENOSPC;
	for (u64 i = 0; i < pieces; i++) {
		f->blk_map[i] = piece_new(ck);
		if (!f->blk_map[i])
			return -ENOSPC;
	}
	for (n = f->blk_home; n < f->blk_home + share; n += run) {
		u64 mask = mask_from(n, f->blk_home + share - n, &run), w = n / 64;
		struct fs_bitmap *m = f->blk_map[w / FS_BITMAP_WORDS];
		u64 k = w % FS_BITMAP_WORDS;

		m->used[k] &= ~mask;
		m->own[k] |= mask;
		m->full[k / 64] &= ~(1ULL << (k % 64));
	}
	return 0;
}

static void word_set(struct ck *ck, struct fs *f, u64 w, u64 value)
{
	struct fs_bitmap *m = f->blk_map[w / FS_BITMAP_WORDS];
	u64 k = w % FS_BITMAP_WORDS, bit = 1ULL << (k % 64);
	bool full = value == ~0ULL;

	TX_SET(ck, m->used[k], value);
	if (full != !!(m->full[k / 64] & bit))
		TX_SET(ck, m->full[k / 64], m->full[k / 64] ^ bit);
}

/* The first word >= w (all of them, from there around) that is not full. One is there. */
static u64 word_with_free(const struct fs *f, u64 w)
{
	u64 pieces = (words_of(f) + FS_BITMAP_WORDS - 1) / FS_BITMAP_WORDS;

	for (u64 n = 0; n <= pieces; n++) {
		const struct fs_bitmap *m = f->blk_map[w / FS_BITMAP_WORDS];
		u64 k = w % FS_BITMAP_WORDS,
		    open = ~m->full[k / 64] & (~0ULL << (k % 64));

		while (!open && ++k / 64 < ARRAY_SIZE(m->full)) {
			k = ALIGN_UP(k, 64);
			if (k / 64 >= ARRAY_SIZE(m->full))
				break;
			open = ~m->full[k / 64];
		}
		if (open)
			return w / FS_BITMAP_WORDS * FS_BITMAP_WORDS + k / 64 * 64 +
			       (u64)__builtin_ctzll(open);
		w = (w / FS_BITMAP_WORDS + 1) % pieces * FS_BITMAP_WORDS;
	}
	BUG("blocks are counted as free that the bitmap does not have");
}

#define EMPTY_TRIES 64

/* A word of 64 free blocks; 0 and false when there is none near where there may be one. */
static bool place_with_room(struct fs *f, u64 *n)
{
	u64 words = f->blk_all / 64, w = f->blk_room_hint / 64;

	for (u32 i = 0; i < EMPTY_TRIES && words; i++, w++) {
		if (w >= words)
			w = f->blk_home / 64;
		if (w >= words)
			return false;
		f->blk_room_hint = w * 64;
		if (*used_word(f, w))
			continue;
		*n = w * 64;
		return true;
	}
	return false;
}

/* Where to begin: with FS_BLK_ROOM at 64 free blocks, if such are near, else at the next one. */
static u64 place_of(struct fs *f, u32 flags)
{
	u64 at = f->blk_hint < f->blk_all ? f->blk_hint : 0, w = at / 64, open, n;

	if ((flags & FS_BLK_ROOM) && place_with_room(f, &n))
		return n;
	open = ~*used_word(f, w) & (~0ULL << (at % 64));
	if (!open) {
		w = word_with_free(f, w + 1 < words_of(f) ? w + 1 : 0);
		open = ~*used_word(f, w);
	}
	n = w * 64 + (u64)__builtin_ctzll(open);
	f->blk_hint = n + 1;
	return n;
}

static bool is_free(const struct fs *f, u64 n)
{
	return n < f->blk_all && !fs_blk_used(f, n);
}

/* Takes free blocks from n on, want at most: how many. */
static u32 take(struct ck *ck, struct fs *f, u64 n, u32 want)
{
	u32 got = 0;

	while (got < want && n < f->blk_all) {
		u64 w = *used_word(f, n / 64);
		u32 bit = (u32)(n % 64);
		u64 rest = w >> bit; /* zeros come in from above: cut below */
		u32 run = rest ? (u32)__builtin_ctzll(rest) : 64 - bit;

		run = MIN(MIN(run, 64 - bit), want - got);
		if (!run)
			break;
		w |= (run == 64 ? ~0ULL : (1ULL << run) - 1) << bit;
		word_set(ck, f, n / 64, w);
		n += run;
		got += run;
		if (bit + run < 64)
			break;
	}
	return got;
}

bool fs_blk_enough(struct ck *ck, u64 count)
{
	struct fs *f = fs_of(ck);

	while (fs_blk_room(f) < count && f->dead) {
		fs_dead_trim(ck, FS_TRIM_STEP);
		ck_commit(ck);
	}
	return fs_blk_room(f) >= count;
}

blk_t fs_blk_alloc(struct rpc_env *e, blk_t goal, u32 flags, u32 want, u32 *got)
{
	const struct island *isl = e->c->isl;
	struct fs *f = fs_of(e->ck);
	u64 n = goal - 1ULL, room;

	if (unlikely(f->blk_free <= f->blk_kept))
		fs_dead_trim(e->ck, FS_TRIM_STEP);
	room = flags & FS_BLK_PIPE ? f->blk_free : fs_blk_room(f);
	if (unlikely(!room))
		return 0;
	want = (u32)MIN((u64)want, room);
	if (!goal || !is_free(f, n))
		n = place_of(f, flags);
	*got = take(e->ck, f, n, want);
	TX_SET(e->ck, f->blk_free, f->blk_free - *got);
	goal = (blk_t)(1 + n);
	/* The emulation does not see a store of what its stale copy holds already. */
	if (unlikely(isl->model == MEM_EMULATED))
		mem_invalidate(isl, mem_block(isl, goal), (size_t)*got * PAGE_SIZE);
	return goal;
}

void fs_blk_free(struct ck *ck, blk_t blk, u32 count)
{
	struct fs *f = fs_of(ck);
	u64 n = blk - 1ULL;
	u32 run;

	BUG_ON(!blk || n + count > f->blk_all);
	fs_data_changes(f);
	TX_SET(ck, f->blk_free, f->blk_free + count);
	f->freed_hint++;
	if (n < f->blk_hint)
		f->blk_hint = n;
	if (n < f->blk_room_hint && count >= 64)
		f->blk_room_hint = n;
	for (; count; n += run, count -= run) {
		u64 mask = mask_from(n, count, &run), w = *used_word(f, n / 64);

		BUG_ON((w & *own_word(f, n / 64) & mask) != mask);
		word_set(ck, f, n / 64, w & ~mask);
	}
}

/* --- stealing ------------------------------------------------------------------------------------- */

/* The highest word below w that is not full; -1: none. */
static s64 word_below(const struct fs *f, u64 w)
{
	while (w--) {
		u64 k = w % FS_BITMAP_WORDS;
		const struct fs_bitmap *m = f->blk_map[w / FS_BITMAP_WORDS];

		if (m->full[k / 64] == ~0ULL)
			w -= k %
			     64; /* nothing in all that this word of the summary is about */
		else if (~m->full[k / 64] & (1ULL << (k % 64)))
			return (s64)w;
	}
	return -1;
}

/* The uppermost run of ones in a word that has any. */
static u64 top_run(u64 word, u32 max, u32 *lo, u32 *len)
{
	u32 hi = 63 - (u32)__builtin_clzll(word);
	u64 zeros = ~(word << (63 - hi));

	*len = MIN(MIN(zeros ? (u32)__builtin_clzll(zeros) : 64u, hi + 1), max);
	*lo = hi + 1 - *len;
	return (*len == 64 ? ~0ULL : (1ULL << *len) - 1) << *lo;
}

static bool extent_add(struct extent *x, u32 *count, u32 blk, u32 len)
{
	if (*count && x[*count - 1].blk == blk + len) {
		x[*count - 1].blk = blk;
		x[*count - 1].count += len;
		return true;
	}
	if (*count == EXTENTS_MAX)
		return false;
	x[(*count)++] = (struct extent){ .blk = blk, .count = len };
	return true;
}

/* Free blocks, the highest ones first, leave this server: max at most; how many. */
static u32 take_out(struct ck *ck, struct fs *f, u32 max, struct extent *x, u32 *count)
{
	s64 w = (s64)words_of(f);
	u32 n = 0, lo, len;

	while (n < max && (w = word_below(f, (u64)w)) >= 0) {
		u64 open = ~*used_word(f, (u64)w);

		while (open && n < max) {
			u64 mask = top_run(open, max - n, &lo, &len);

			if (!extent_add(x, count, (u32)(1 + (u64)w * 64 + lo), len))
				goto out;
			TX_SET(ck, *own_word(f, (u64)w), *own_word(f, (u64)w) & ~mask);
			word_set(ck, f, (u64)w, *used_word(f, (u64)w) | mask);
			open &= ~mask;
			n += len;
		}
	}
out:
	TX_SET(ck, f->blk_free, f->blk_free - n);
	TX_SET(ck, f->blk_own, f->blk_own - n);
	return n;
}

/* Free blocks become this server's. -EINVAL: they cannot be another's. */
static long put_in(struct ck *ck, struct fs *f, const struct extent *x)
{
	u64 n = x->blk - 1ULL, left = x->count;
	u32 run;

	if (!x->blk || n + left > f->blk_all)
		return -EINVAL;
	TX_SET(ck, f->blk_free, f->blk_free + left);
	TX_SET(ck, f->blk_own, f->blk_own + left);
	f->freed_hint++;
	if (n < f->blk_hint)
		f->blk_hint = n;
	if (left >= 64)
		f->blk_room_hint = n;
	for (; left; n += run, left -= run) {
		u64 mask = mask_from(n, left, &run), *own = own_word(f, n / 64);

		if (*own & mask)
			return -EINVAL;
		TX_SET(ck, *own, *own | mask);
		word_set(ck, f, n / 64, *used_word(f, n / 64) & ~mask);
	}
	return 0;
}

static void passed(struct ck *ck, struct fs_passed *p, const struct extent *x, u32 count)
{
	u64 n = p->count, sum = p->sum;

	for (u32 i = 0; i < count; i++) {
		n += x[i].count;
		for (u32 k = 0; k < x[i].count; k++)
			sum += hash_u64(x[i].blk + k);
	}
	TX_SET(ck, p->count, n);
	TX_SET(ck, p->sum, sum);
}

static u64 passed_count(const struct fs_passed *p)
{
	u64 n = 0;

	for (u32 i = 0; i < MAX_CORES; i++)
		n += p[i].count;
	return n;
}

/* Lines that this island's cache holds of them must not be written back any more, once another
 * island writes there. */
static void clean(const struct island *isl, const struct extent *x, u32 count)
{
	for (u32 i = 0; i < count; i++)
		mem_invalidate(isl, mem_block(isl, x[i].blk),
			       (size_t)x[i].count * PAGE_SIZE);
}

static long give_to(struct rpc_env *e, u32 to, u32 want, u32 *given)
{
	struct fs *f = fs_of(e->ck);
	bool far = !f->coherent && !mem_is_near(e->c->isl, to);
	struct extent x[EXTENTS_MAX];
	struct req_GIVE q = { .extents = { .p = x } };
	u64 half;
	u32 count = 0;

	fs_blk_enough(e->ck, 2ULL * MAX(want, GIVE_PIECE));
	half = (fs_blk_room(f) + 1) / 2;
	want = MIN(MAX(want, GIVE_PIECE), far ? GIVE_FLUSHED : GIVE_MAX);
	*given = take_out(e->ck, f, (u32)MIN((u64)want, half), x, &count);
	if (!*given)
		return 0;
	if (far)
		clean(e->c->isl, x, count);
	passed(e->ck, &f->gave[to], x, count);
	q.extents.len = q.extents.cap = count * (u32)sizeof(*x);
	return rpc_post_give(e, to, &q);
}

long fs_steal(struct rpc_env *e, const struct req_STEAL *q, struct rep_STEAL *p)
{
	struct fs *f = fs_of(e->ck);

	p->count = 0;
	if (q->to >= f->cores || !mem_may_pass(e->c->isl->super, e->srv, q->to))
		return -EINVAL;
	/* No memory to send them: as if there were none. */
	if (q->want && q->to != f->srv && give_to(e, q->to, q->want, &p->count) < 0) {
		ck_abort(e->ck);
		p->count = 0;
	}
	p->blocks_free = fs_blk_room(f) + f->dead_blocks;
	p->freed = f->freed_hint;
	p->gave = passed_count(f->gave);
	p->got = passed_count(f->got);
	return 0;
}

long fs_give(struct rpc_env *e, const struct req_GIVE *q, struct rep_GIVE *p)
{
	struct fs *f = fs_of(e->ck);
	const u8 *at = q->extents.p;
	u32 count = q->extents.len / (u32)sizeof(struct extent);

	(void)p;
	if (!e->far || e->core >= f->cores || e->core == f->srv ||
	    !mem_may_pass(e->c->isl->super, e->core, e->srv))
		return -EINVAL; /* servers alone give, by message */
	for (u32 i = 0; i < count; i++, at += sizeof(struct extent)) {
		struct extent x;
		long r;

		memcpy(&x, at, sizeof(x));
		r = put_in(e->ck, f, &x);
		if (r < 0)
			return r;
		passed(e->ck, &f->got[e->core], &x, 1);
	}
	return 0;
}

/* --- taking blocks from files ------------------------------------------------------------------- */

u32 fs_map_free(struct ck *ck, struct radix *map, u64 from, u64 to, u32 max)
{
	u32 n = 0, run = 0;
	blk_t first = 0;
	u64 index = from, v;

	while (n < max && map->count && radix_next(map, index, &index, &v) &&
	       index < to) {
		if (run && FS_BLK(v) == first + run) {
			run++;
		} else {
			if (run)
				fs_blk_free(ck, first, run);
			first = FS_BLK(v);
			run = 1;
		}
		tx_radix_set(ck, map, index++, 0);
		n++;
	}
	if (run)
		fs_blk_free(ck, first, run);
	return n;
}

static struct fs_inode *carrier_new(struct ck *ck)
{
	struct fs_inode *c = ck_alloc(ck, sizeof(*c));

	if (c)
		c->mode = HS_IFREG;
	return c;
}

void fs_dead_add(struct ck *ck, struct fs_inode *carrier)
{
	struct fs *f = fs_of(ck);

	TX_SET(ck, carrier->node.next, (struct fs_node *)f->dead);
	TX_SET(ck, f->dead, carrier);
	TX_SET(ck, f->dead_blocks, f->dead_blocks + carrier->map.count);
	f->freed_hint++;
}

bool fs_dead_trim(struct ck *ck, u32 max)
{
	struct fs *f = fs_of(ck);
	struct fs_inode *c = f->dead;
	u32 n;

	if (!c)
		return false;
	n = fs_map_free(ck, &c->map, 0, ~0ULL, max);
	TX_SET(ck, f->dead_blocks, f->dead_blocks - n);
	if (!c->map.count) {
		TX_SET(ck, f->dead, (struct fs_inode *)c->node.next);
		ck_free(ck, c);
	}
	return f->dead != NULL;
}

void fs_dead_free(struct ck *ck)
{
	bool more;

	do {
		more = fs_dead_trim(ck, FS_TRIM_STEP) | fs_locks_trim(ck) |
		       fs_xattrs_trim(ck);
		ck_commit(ck);
	} while (more);
}

bool fs_trim(struct ctx *c, struct ck *ck)
{
	if (fs_locks_trim(ck) || fs_xattrs_trim(ck))
		return true;
	return fs_dead_trim(ck, FS_TRIM_STEP) | fs_notify_trim(c, ck) |
	       fs_copies_trim(c, ck);
}

void fs_limbo_free(struct ck *ck, struct fs_more *m)
{
	struct fs *f = fs_of(ck);
	struct fs_inode *last = m->limbo;
	u64 blocks = 0;

	if (!last)
		return;
	/* There may be any number of carriers: all of them in a few stores. */
	for (;; last = (struct fs_inode *)last->node.next) {
		blocks += last->map.count;
		if (!last->node.next)
			break;
	}
	TX_SET(ck, last->node.next, (struct fs_node *)f->dead);
	TX_SET(ck, f->dead, m->limbo);
	TX_SET(ck, f->dead_blocks, f->dead_blocks + blocks);
	TX_SET(ck, m->limbo, NULL);
	f->freed_hint++;
	fs_dead_trim(ck, FS_TRIM_STEP / 4);
}

long fs_map_drop(struct rpc_env *e, struct fs_inode *i)
{
	bool direct = fs_has_direct(i);
	struct fs_inode *c;

	if (!i->map.count)
		return 0;
	if (!direct && i->map.count <= FS_TRIM_STEP) {
		fs_map_free(e->ck, &i->map, 0, ~0ULL, FS_TRIM_STEP);
		return 0;
	}
	c = carrier_new(e->ck);
	if (!c)
		return -ENOSPC;
	c->map = i->map;
	TX_SET(e->ck, i->map.root, 0);
	TX_SET(e->ck, i->map.height, 0);
	TX_SET(e->ck, i->map.count, 0);
	if (direct) {
		c->node.next = (struct fs_node *)i->more->limbo;
		TX_SET(e->ck, i->more->limbo, c);
	} else {
		fs_dead_add(e->ck, c);
	}
	return 0;
}

long fs_map_punch(struct rpc_env *e, struct fs_inode *i, u64 from, u64 to, u32 max,
		  u32 *done)
{
	struct ck *ck = e->ck;
	struct fs_inode *c;
	u64 index = from, v;

	*done = 0;
	if (!fs_has_direct(i)) {
		*done = fs_map_free(ck, &i->map, from, to, max);
		return 0;
	}
	if (!radix_next(&i->map, from, &index, &v) || index >= to)
		return 0;
	c = carrier_new(ck);
	if (!c)
		return -ENOSPC;
	c->node.next = (struct fs_node *)i->more->limbo;
	TX_SET(ck, i->more->limbo, c);
	for (; *done < max && radix_next(&i->map, index, &index, &v) && index < to;
	     index++) {
		if (tx_radix_set(ck, &c->map, FS_BLK(v), FS_BLK(v)) < 0)
			return -ENOSPC;
		tx_radix_set(ck, &i->map, index, 0);
		(*done)++;
	}
	return 0;
}
