/* SPDX-License-Identifier: MIT */
/* The heap and its transactions against a model; a full core kernel. */
#include "unit/world.h"

#define OBJECTS 300
#define STEPS	40000

struct object {
	u64 *p;
	u32 size, seed;
};

static u64 g_seed = 1;

static u32 random_size(void)
{
	static const u32 most[] = { 64, 600, 5000, 40000, 300000, 1 << 20 };
	u64 r = t_random(&g_seed) % 100;

	return (u32)(t_random(&g_seed) % most[r < 50   ? 0
					      : r < 80 ? 1
					      : r < 94 ? 2
					      : r < 98 ? 3
					      : r < 99 ? 4
						       : 5]);
}

static void fill(const struct object *o)
{
	for (u32 i = 0; i < o->size / 8; i++)
		o->p[i] = o->seed + i;
}

static bool intact(const struct object *o)
{
	for (u32 i = 0; i < o->size / 8; i++)
		if (o->p[i] != o->seed + i)
			return false;
	return true;
}

static bool zeroed(const struct object *o)
{
	for (u32 i = 0; i < o->size / 8; i++)
		if (o->p[i])
			return false;
	return true;
}

static void t_model(struct world *w)
{
	static struct object now[OBJECTS], committed[OBJECTS];
	struct ctx *c = &w->ctx[0];
	struct ck *ck = c->ck;
	u32 bad_content = 0, not_zero = 0, unaligned = 0, bad_check = 0, too_much = 0;
	u64 used = ck->heap_used;

	ck_lock(c, ck);
	for (u32 step = 0; step < STEPS; step++) {
		struct object *o = &now[t_random(&g_seed) % OBJECTS];
		u64 what = t_random(&g_seed) % 16;

		if (what < 12 && o->p) {
			bad_content += !intact(o);
			ck_free(ck, o->p);
			o->p = NULL;
		} else if (what < 12) {
			o->size = random_size();
			o->seed = (u32)t_random(&g_seed);
			o->p = ck_alloc(ck, o->size);
			if (o->p) {
				not_zero += !zeroed(o);
				unaligned += (u64)o->p % 16 != 0;
				fill(o);
			}
		} else if (what == 12) {
			ck_abort(ck);
			memcpy(now, committed, sizeof(now));
		} else if (what == 13) {
			ck_commit(ck);
			memcpy(committed, now, sizeof(now));
		}
		if (ck->log_count > CK_LOG_MAX / 2)
			ck_commit(ck), memcpy(committed, now, sizeof(now));
		if (what == 14 && !ck->log_count) {
			for (u32 i = 0; i < OBJECTS; i++)
				bad_content += now[i].p && !intact(&now[i]);
			bad_check += ck_check(ck, world_bad, NULL);
		}
		too_much += ck->heap_used > (u64)OBJECTS << 21;
	}
	ck_abort(ck);
	for (u32 i = 0; i < OBJECTS; i++) {
		bad_content += committed[i].p && !intact(&committed[i]);
		ck_free(ck, committed[i].p);
		if (i % 100 == 0)
			ck_commit(ck);
	}
	ck_unlock(ck);
	is(bad_content, 0, "objects keep their content");
	is(not_zero, 0, "memory comes zeroed");
	is(unaligned, 0, "memory is aligned to 16 bytes");
	is(bad_check + world_check(w, 0), 0, "the heap is sound after %d steps", STEPS);
	is(too_much, 0, "use does not grow without bound");
	is(ck->heap_used, used, "all freed: as much in use as before");
}

/* A chain through the first words of small objects, until nothing is left. */
static u32 eat(struct ck *ck, u64 **chain, size_t size)
{
	u32 n = 0;
	u64 *p;

	while ((p = ck_alloc(ck, size))) {
		p[0] = (u64)*chain;
		*chain = p;
		n++;
		ck_commit(ck);
	}
	return n;
}

static void give_back(struct ck *ck, u64 **chain)
{
	while (*chain) {
		u64 *next = (u64 *)(*chain)[0];

		ck_free(ck, *chain);
		ck_commit(ck);
		*chain = next;
	}
}

static void t_full(struct world *w)
{
	struct ctx *c = &w->ctx[0];
	struct ck *ck = c->ck;
	u64 used = ck->heap_used, *chain = NULL, *small = NULL;
	struct radix r = { 0 };
	u32 first, again;

	ck_lock(c, ck);
	first = eat(ck, &chain, 30000);
	ok(first > 100, "%u objects of 30000 bytes fit", first);
	ok(!ck_alloc(ck, 1 << 20), "a megabyte does not");
	ok(!ck_alloc(ck, (4 << 20)), "nor what is over the largest size");
	ok(!ck_alloc(ck, ~(size_t)0), "nor everything");
	ck_unlock(ck);
	is(world_check(w, 0), 0, "a full heap is sound");
	ck_lock(c, ck);
	give_back(ck, &chain);
	again = eat(ck, &chain, 30000);
	ok(again >= first, "as many fit the second time: %u", again);
	eat(ck, &small,
	    sizeof(u64) * 64); /* a radix node's size: what was left of chunks */
	is(tx_radix_set(ck, &r, 77, 1), -ENOSPC, "a radix tree says that memory is full");
	ok(!r.root && !r.count && !radix_get(&r, 77), "and is as it was");
	ck_commit(ck);
	is(tx_radix_set(ck, &r, 0, 5), 0, "index 0 needs no memory");
	give_back(ck, &chain);
	give_back(ck, &small);
	ck_unlock(ck);
	is(world_check(w, 0), 0, "sound after all");
	ok(ck->heap_used >= used, "in use: %llu", (unsigned long long)ck->heap_used);
}

static void t_fields(struct world *w)
{
	struct {
		u8 a;
		u16 b;
		u32 c;
		u64 d;
		void *e;
		s32 f;
		u64 many[64];
	} * s;
	struct ctx *c = &w->ctx[0];
	struct ck *ck = c->ck;
	u32 mark;

	ck_lock(c, ck);
	s = ck_alloc(ck, sizeof(*s));
	s->a = 1, s->b = 2, s->c = 3, s->d = 4, s->e = s, s->f = -6;
	ck_commit(ck);
	TX_SET(ck, s->a, 11);
	TX_SET(ck, s->b, 12);
	TX_SET(ck, s->c, 13);
	TX_SET(ck, s->d, 14);
	TX_SET(ck, s->e, NULL);
	TX_ADD(ck, s->f, -10);
	tx_save(ck, s->many, sizeof(s->many));
	memset(s->many, 0xff, sizeof(s->many));
	ok(s->a == 11 && s->b == 12 && s->c == 13 && s->d == 14 && !s->e && s->f == -16,
	   "set");
	mark = ck_mark(ck);
	TX_SET(ck, s->a, 21);
	TX_SET(ck, s->f, 22);
	ck_abort_to(ck, mark);
	ok(s->a == 11 && s->f == -16 && s->many[63] == ~0ULL, "taken back to a mark");
	ck_abort(ck);
	ok(s->a == 1 && s->b == 2 && s->c == 3 && s->d == 4 && s->e == s && s->f == -6 &&
		   !s->many[0] && !s->many[63],
	   "taken back");
	TX_SET(ck, s->a, 31);
	ck_commit(ck);
	ck_abort(ck);
	is(s->a, 31, "what was committed stays");
	ck_free(ck, s);
	ck_unlock(ck);
}

struct node {
	struct list link;
	u32 value;
};

static u32 list_digits(const struct list *head)
{
	u32 v = 0;

	for (const struct list *l = head->next; l != head; l = l->next)
		v = v * 10 + LIST_ENTRY(l, struct node, link)->value;
	return v;
}

static void t_lists(struct world *w)
{
	struct ctx *c = &w->ctx[0];
	struct ck *ck = c->ck;
	struct node *n[5];
	struct list *head;

	ck_lock(c, ck);
	head = ck_alloc(ck, sizeof(*head));
	list_init_fresh(head);
	ok(list_empty(head), "a fresh list is empty");
	for (u32 i = 1; i < 5; i++) {
		n[i] = ck_alloc(ck, sizeof(*n[i]));
		n[i]->value = i;
		tx_list_add_tail(ck, head, &n[i]->link);
	}
	is(list_digits(head), 1234, "four nodes in order");
	ck_commit(ck);
	tx_list_del(ck, &n[2]->link);
	tx_list_del(ck, &n[1]->link);
	is(list_digits(head), 34, "two removed");
	tx_list_del(ck, &n[1]->link);
	is(list_digits(head), 34, "removing one that is on no list does nothing");
	tx_list_add_tail(ck, head, &n[1]->link);
	is(list_digits(head), 341, "one added again");
	ck_abort(ck);
	is(list_digits(head), 1234, "taken back");
	for (u32 i = 1; i < 5; i++) {
		tx_list_del(ck, &n[i]->link);
		ck_free(ck, n[i]);
	}
	ok(list_empty(head), "empty again");
	ck_free(ck, head);
	ck_unlock(ck);
}

/* A thread that was killed by an execve leaves its id to the new program. */
static void t_inherit(struct world *w)
{
	struct ctx *c = &w->ctx[0];
	struct ck *ck = c->ck;
	u64 *p;

	ck_lock(c, ck);
	p = ck_alloc(ck, 64);
	*p = 5;
	ck_commit(ck);
	TX_SET(ck, *p, 6);
	ck_inherit(c);
	ok(!ck->lock && *p == 5, "a lock under the own id is taken over");
	ck_inherit(c);
	is(ck->recovered, 1, "once");
	ck_lock(c, ck);
	ck_free(ck, p);
	ck_unlock(ck);
}

int main(void)
{
	struct world w;

	world_new(&w, &(struct world_cfg){ .cores = 1, .size = 96 << 20 });
	t_fields(&w);
	t_lists(&w);
	t_model(&w);
	t_full(&w);
	t_inherit(&w);
	world_end(&w);
	return done_testing();
}
