/* SPDX-License-Identifier: MIT */
/* Radix trees against a model: dense, sparse, any 64 bits; removal, walking, aborts. */
#include "unit/world.h"

#define STEPS	20000
#define ENTRIES 512

struct entry {
	u64 index, value; /* value 0: absent */
};

static u64 g_seed = 3;

static u64 random_index(u32 kind)
{
	u64 r = t_random(&g_seed);

	switch (kind) {
	case 0: /* dense */
		return r % ENTRIES;
	case 1: /* sparse */
		return r % ENTRIES * 4097 + (r >> 32) % 3;
	case 2: /* every height */
		return r >> (t_random(&g_seed) % 64);
	default: /* around the edges of levels */
		return (1ULL << (6 * (r % 11))) - 1 + (r >> 32) % 3;
	}
}

static struct entry *model_find(struct entry *m, u64 index)
{
	struct entry *unused = NULL;

	for (u32 i = 0; i < ENTRIES; i++) {
		if (m[i].value && m[i].index == index)
			return &m[i];
		if (!m[i].value)
			unused = &m[i];
	}
	return unused;
}

/* The least index >= from. */
static const struct entry *model_next(const struct entry *m, u64 from)
{
	const struct entry *best = NULL;

	for (u32 i = 0; i < ENTRIES; i++)
		if (m[i].value && m[i].index >= from &&
		    (!best || m[i].index < best->index))
			best = &m[i];
	return best;
}

static bool same_walk(const struct radix *r, const struct entry *m)
{
	const struct entry *e;
	u64 from = 0, index, value, n = 0;

	while ((e = model_next(m, from))) {
		if (!radix_next(r, from, &index, &value) || index != e->index ||
		    value != e->value || radix_get(r, index) != value)
			return false;
		n++;
		from = index + 1;
		if (!from)
			return r->count == n;
	}
	return !radix_next(r, from, &index, &value) && r->count == n;
}

static void t_kind(struct world *w, u32 kind, const char *name)
{
	static struct entry now[ENTRIES], committed[ENTRIES];
	struct ctx *c = &w->ctx[0];
	struct ck *ck = c->ck;
	struct radix *r;
	u32 wrong = 0;
	u64 used;

	memset(now, 0, sizeof(now));
	memset(committed, 0, sizeof(committed));
	ck_lock(c, ck);
	r = ck_alloc(ck, sizeof(*r));
	ck_commit(ck);
	used = ck->heap_used;
	for (u32 step = 0; step < STEPS; step++) {
		u64 index = random_index(kind), from = random_index(kind), at, value;
		struct entry *e = model_find(now, index);
		const struct entry *next;

		if (!e) /* the model is full */
			index = (e = &now[t_random(&g_seed) % ENTRIES])->index;
		wrong += radix_get(r, index) != e->value;
		e->index = index;
		e->value = t_random(&g_seed) % 5 < (step / 2000 % 2 ? 1 : 3)
				   ? t_random(&g_seed) | 1
				   : 0;
		wrong += tx_radix_set(ck, r, index, e->value) != 0;
		wrong += radix_get(r, index) != e->value;
		next = model_next(now, from);
		if (radix_next(r, from, &at, &value))
			wrong += !next || next->index != at || next->value != value;
		else
			wrong += next != NULL;
		if (step % 7 == 0) {
			ck_commit(ck);
			memcpy(committed, now, sizeof(now));
		} else if (step % 37 == 0) {
			ck_abort(ck);
			memcpy(now, committed, sizeof(now));
		}
		if (step % 997 == 0)
			wrong += !same_walk(r, now);
	}
	is(wrong, 0, "%s indices: as the model says", name);
	for (u32 i = 0; i < ENTRIES; i++) {
		if (now[i].value)
			tx_radix_set(ck, r, now[i].index, 0);
		ck_commit(ck);
	}
	ok(!r->count && !r->root && !r->height, "%s: emptied", name);
	is(ck->heap_used, used, "%s: all nodes freed", name);
	is(tx_radix_set(ck, r, ~0ULL, 9), 0, "%s: the last index of all", name);
	is(radix_get(r, ~0ULL), 9, "%s: is there", name);
	is(radix_get(r, ~0ULL >> 1), 0, "%s: and no other", name);
	tx_radix_set(ck, r, ~0ULL, 0);
	ck_free(ck, r);
	ck_unlock(ck);
	is(world_check(w, 0), 0, "%s: the heap is sound", name);
}

int main(void)
{
	struct world w;

	world_new(&w, &(struct world_cfg){ .cores = 1 });
	t_kind(&w, 0, "dense");
	t_kind(&w, 1, "sparse");
	t_kind(&w, 2, "random");
	t_kind(&w, 3, "edge");
	world_end(&w);
	return done_testing();
}
