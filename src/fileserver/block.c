/* SPDX-License-Identifier: MIT */
/*
 * Blocks: which ones this server's files have (thesis 3.3). A bitmap with a summary. Low blocks
 * first, since memory used before is warm and backed by pages; contiguous runs where a file
 * grows, since runs are what clients are told.
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

static u64 *used_word(const struct fs *f, u64 w)
{
	return &f->blk_map[w / FS_BITMAP_WORDS]->used[w % FS_BITMAP_WORDS];
}

long fs_blk_init(struct ck *ck, struct fs *f, u32 blocks)
{
	u64 words = (blocks + 63ULL) / 64;
	u64 pieces = (words + FS_BITMAP_WORDS - 1) / FS_BITMAP_WORDS;

	f->blk_map = ck_alloc(ck, (pieces + 1) * sizeof(*f->blk_map));
	if (!f->blk_map)
		return -ENOSPC;
	for (u64 i = 0; i < pieces; i++) {
		struct fs_bitmap *m = ck_alloc(ck, sizeof(*m));

		if (!m)
			return -ENOSPC;
		f->blk_map[i] = m;
		for (u64 w = 0; w < FS_BITMAP_WORDS; w++) {
			if (i * FS_BITMAP_WORDS + w < words)
				continue;
			m->used[w] = ~0ULL; /* there is nothing: taken for ever */
			m->full[w / 64] |= 1ULL << (w % 64);
		}
	}
	if (blocks % 64)
		*used_word(f, words - 1) = ~0ULL << (blocks % 64);
	f->blk_total = f->blk_free = blocks;
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
	u64 words = (f->blk_total + 63) / 64;
	u64 pieces = (words + FS_BITMAP_WORDS - 1) / FS_BITMAP_WORDS;

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
	u64 words = f->blk_total / 64, w = f->blk_room_hint / 64;

	for (u32 i = 0; i < EMPTY_TRIES && words; i++, w++) {
		if (w >= words)
			w = 0;
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
	u64 at = f->blk_hint < f->blk_total ? f->blk_hint : 0, w = at / 64, open, n;

	if ((flags & FS_BLK_ROOM) && place_with_room(f, &n))
		return n;
	open = ~*used_word(f, w) & (~0ULL << (at % 64));
	if (!open) {
		w = word_with_free(f, w + 1 < (f->blk_total + 63) / 64 ? w + 1 : 0);
		open = ~*used_word(f, w);
	}
	n = w * 64 + (u64)__builtin_ctzll(open);
	f->blk_hint = n + 1;
	return n;
}

static bool is_free(const struct fs *f, u64 n)
{
	return n < f->blk_total && !(*used_word(f, n / 64) & (1ULL << (n % 64)));
}

/* Takes free blocks from n on, want at most: how many. */
static u32 take(struct ck *ck, struct fs *f, u64 n, u32 want)
{
	u32 got = 0;

	while (got < want && n < f->blk_total) {
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

static u64 first_blk(const struct fs *f)
{
	return 1 + (u64)f->srv * f->blk_total;
}

blk_t fs_blk_alloc(struct rpc_env *e, blk_t goal, u32 flags, u32 want, u32 *got)
{
	const struct island *isl = e->c->isl;
	struct fs *f = fs_of(e->ck);
	u64 n = goal - first_blk(f);

	if (unlikely(!f->blk_free))
		fs_dead_trim(e->ck, FS_TRIM_STEP);
	if (unlikely(!f->blk_free))
		return 0;
	if (!goal || !is_free(f, n))
		n = place_of(f, flags);
	*got = take(e->ck, f, n, want);
	TX_SET(e->ck, f->blk_free, f->blk_free - *got);
	goal = (blk_t)(first_blk(f) + n);
	/* The emulation does not see a store of what its stale copy holds already. */
	if (unlikely(isl->model == MEM_EMULATED))
		mem_invalidate(isl, mem_block(isl, goal), (size_t)*got * PAGE_SIZE);
	return goal;
}

void fs_blk_free(struct ck *ck, blk_t blk, u32 count)
{
	struct fs *f = fs_of(ck);
	u64 n = blk - first_blk(f);

	BUG_ON(blk < first_blk(f) || n + count > f->blk_total);
	TX_SET(ck, f->blk_free, f->blk_free + count);
	if (n < f->blk_hint)
		f->blk_hint = n;
	if (n < f->blk_room_hint && count >= 64)
		f->blk_room_hint = n;
	while (count) {
		u32 bit = (u32)(n % 64), run = MIN(count, 64 - bit);
		u64 mask = (run == 64 ? ~0ULL : (1ULL << run) - 1) << bit;
		u64 w = *used_word(f, n / 64);

		BUG_ON((w & mask) != mask);
		word_set(ck, f, n / 64, w & ~mask);
		n += run;
		count -= run;
	}
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

bool fs_trim(struct ctx *c, struct ck *ck)
{
	(void)c;
	return fs_dead_trim(ck, FS_TRIM_STEP);
}

void fs_limbo_free(struct ck *ck, struct fs_more *m)
{
	if (!m->limbo)
		return;
	while (m->limbo) {
		struct fs_inode *c = m->limbo;

		TX_SET(ck, m->limbo, (struct fs_inode *)c->node.next);
		fs_dead_add(ck, c);
	}
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
