/* SPDX-License-Identifier: MIT */
/*
 * Hash tables that grow a bucket at a time (linear hashing), so that no insertion is ever slow
 * and a core kernel's memory need not be divided at boot. A lookup reads a bucket and, as a rule,
 * one node. Low bits of the key choose the bucket: keys are hashes, or counters.
 */
#include "fileserver/fs.h"

long fs_table_init(struct ck *ck, struct fs_table *t, u64 buckets)
{
	buckets = MIN(MAX(buckets, 64u), (u64)FS_TABLE_SEG * FS_TABLE_SEGS);
	for (u64 i = 0; i < buckets; i += FS_TABLE_SEG) {
		struct fs_node **seg = ck_alloc(ck, FS_TABLE_SEG * sizeof(*seg));

		if (!seg)
			return -ENOSPC;
		t->seg[i / FS_TABLE_SEG] = seg;
	}
	t->buckets = buckets;
	t->mask = 1;
	while (t->mask < buckets)
		t->mask = t->mask * 2 + 1;
	return 0;
}

/* Bucket number `buckets` comes to life with the nodes of its buddy that belong to it. */
static void split(struct ck *ck, struct fs_table *t)
{
	u64 n = t->buckets;
	struct fs_node **from, **to;

	if (n >= (u64)FS_TABLE_SEG * FS_TABLE_SEGS)
		return;
	if (!t->seg[n / FS_TABLE_SEG]) {
		struct fs_node **seg = fs_alloc(ck, FS_TABLE_SEG * sizeof(*seg));

		if (!seg)
			return;
		TX_SET(ck, t->seg[n / FS_TABLE_SEG], seg);
	}
	if (n > t->mask)
		TX_SET(ck, t->mask, t->mask * 2 + 1);
	from = fs_table_at(t, n & (t->mask >> 1));
	TX_SET(ck, t->buckets, n + 1);
	to = fs_table_at(t, n);
	while (*from) {
		struct fs_node *node = *from;

		if (fs_table_bucket(t, node->key) != to) {
			from = &node->next;
			continue;
		}
		TX_SET(ck, *from, node->next);
		TX_SET(ck, node->next, *to);
		TX_SET(ck, *to, node);
	}
}

void fs_table_insert_fresh(struct ck *ck, struct fs_table *t, struct fs_node *n)
{
	struct fs_node **b;

	if (t->count >= t->buckets)
		split(ck, t);
	b = fs_table_bucket(t, n->key);
	n->next = *b;
	TX_SET(ck, *b, n);
	TX_SET(ck, t->count, t->count + 1);
}

void fs_table_remove(struct ck *ck, struct fs_table *t, struct fs_node *n)
{
	struct fs_node **b = fs_table_bucket(t, n->key);

	while (*b != n) {
		BUG_ON(!*b);
		b = &(*b)->next;
	}
	TX_SET(ck, *b, n->next);
	TX_SET(ck, t->count, t->count - 1);
}

struct fs_node *fs_table_next(const struct fs_table *t, const struct fs_node *n)
{
	u64 i = 0;

	if (n && n->next)
		return n->next;
	if (n)
		i = fs_table_index(t, n->key) + 1;
	for (; i < t->buckets; i++)
		if (*fs_table_at(t, i))
			return *fs_table_at(t, i);
	return NULL;
}
