/* SPDX-License-Identifier: MIT */
/* Lists and radix trees in core-kernel memory, changed inside transactions. See mem.h. */
#include <asm/errno.h>

#include "mem/mem.h"

#define RADIX_BITS	 6
#define RADIX_SLOTS	 64u
#define RADIX_HEIGHT_MAX 11u

struct radix_node {
	u64 slot[RADIX_SLOTS];
};

void tx_list_add_tail(struct ck *ck, struct list *head, struct list *node)
{
	struct list *last = head->prev;

	TX_SET(ck, node->next, head);
	TX_SET(ck, node->prev, last);
	TX_SET(ck, last->next, node);
	TX_SET(ck, head->prev, node);
}

void tx_list_del(struct ck *ck, struct list *node)
{
	TX_SET(ck, node->prev->next, node->next);
	TX_SET(ck, node->next->prev, node->prev);
	TX_SET(ck, node->next, node);
	TX_SET(ck, node->prev, node);
}

static u32 slot_of(u64 index, u32 level)
{
	return (u32)(index >> (level * RADIX_BITS)) & (RADIX_SLOTS - 1);
}

/* Indices that a tree of this height can hold are below it; 0 means all. */
static bool fits(u64 index, u32 height)
{
	return height >= RADIX_HEIGHT_MAX || index >> (height * RADIX_BITS) == 0;
}

u64 radix_get(const struct radix *r, u64 index)
{
	u64 v = r->root;

	if (!fits(index, r->height))
		return 0;
	for (u32 level = r->height; level-- && v;)
		v = ((const struct radix_node *)v)->slot[slot_of(index, level)];
	return v;
}

static long grow(struct ck *ck, struct radix *r, u64 index)
{
	while (!fits(index, r->height)) {
		if (r->root) {
			struct radix_node *n = ck_alloc(ck, sizeof(*n));

			if (!n)
				return -ENOSPC;
			n->slot[0] = r->root;
			TX_SET(ck, r->root, (u64)n);
		}
		TX_SET(ck, r->height, r->height + 1);
	}
	return 0;
}

/* at: the slot that was emptied. Its neighbours tell it of most nodes, in whatever order they empty. */
static bool node_is_empty(const struct radix_node *n, u32 at)
{
	if (n->slot[(at + 1) % RADIX_SLOTS] || n->slot[(at - 1) % RADIX_SLOTS])
		return false;
	for (u32 i = 0; i < RADIX_SLOTS; i++)
		if (n->slot[i])
			return false;
	return true;
}

static void radix_remove(struct ck *ck, struct radix *r, u64 index)
{
	u64 *path[RADIX_HEIGHT_MAX + 1];
	u64 *at = &r->root;
	u32 depth = 0;

	if (!fits(index, r->height))
		return;
	for (u32 level = r->height; level--;) {
		if (!*at)
			return;
		path[depth++] = at;
		at = &((struct radix_node *)*at)->slot[slot_of(index, level)];
	}
	if (!*at)
		return;
	TX_SET(ck, *at, 0);
	TX_SET(ck, r->count, r->count - 1);
	while (depth-- && node_is_empty((struct radix_node *)*path[depth],
					slot_of(index, r->height - 1 - depth))) {
		ck_free(ck, (void *)*path[depth]);
		TX_SET(ck, *path[depth], 0);
	}
	if (!r->root && r->height)
		TX_SET(ck, r->height, 0);
}

/* The place of a value, with the nodes above it made; NULL when memory is full. */
static u64 *radix_place(struct ck *ck, struct radix *r, u64 index)
{
	u64 *at = &r->root;

	if (grow(ck, r, index) < 0)
		return NULL;
	for (u32 level = r->height; level--;) {
		if (!*at) {
			struct radix_node *n = ck_alloc(ck, sizeof(*n));

			if (!n)
				return NULL;
			TX_SET(ck, *at, (u64)n);
		}
		at = &((struct radix_node *)*at)->slot[slot_of(index, level)];
	}
	return at;
}

long tx_radix_set(struct ck *ck, struct radix *r, u64 index, u64 value)
{
	u32 mark = ck_mark(ck);
	u64 *at;

	if (!value) {
		radix_remove(ck, r, index);
		return 0;
	}
	at = radix_place(ck, r, index);
	if (!at) {
		ck_abort_to(ck, mark); /* no empty nodes, whatever the caller does now */
		return -ENOSPC;
	}
	if (!*at)
		TX_SET(ck, r->count, r->count + 1);
	TX_SET(ck, *at, value);
	return 0;
}

/* Depth first below one node; base is the node's first index. */
static bool next_below(u64 v, u32 height, u64 base, u64 from, u64 *index, u64 *value)
{
	const struct radix_node *n;
	u32 shift;
	u64 i;

	if (!v)
		return false;
	if (!height) {
		*index = base;
		*value = v;
		return base >= from;
	}
	n = (const struct radix_node *)v;
	shift = (height - 1) * RADIX_BITS;
	i = from > base ? (from - base) >> shift : 0;
	if (height > 1) {
		for (; i < RADIX_SLOTS; i++)
			if (next_below(n->slot[i], height - 1, base + (i << shift), from,
				       index, value))
				return true;
		return false;
	}
	/* Reading a directory, and looking for what there is to free in a file, is mostly this. */
	while (i < RADIX_SLOTS && !n->slot[i])
		i++;
	if (i >= RADIX_SLOTS)
		return false;
	*index = base + i;
	*value = n->slot[i];
	return true;
}

bool radix_next(const struct radix *r, u64 from, u64 *index, u64 *value)
{
	if (!fits(from, r->height))
		return false;
	return next_below(r->root, r->height, 0, from, index, value);
}
