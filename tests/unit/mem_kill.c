/* SPDX-License-Identifier: MIT */
/* Processes that change a core kernel are killed at random moments, while others go on. */
#include "unit/world.h"

#define KILLS	 400
#define STEADY	 2
#define ACCOUNTS 32

struct bank {
	u64 account[ACCOUNTS]; /* sum constant */
	u64 total_ops;
	struct list list; /* length: the value at `listed` */
	u64 listed;
	struct radix map; /* index i present iff bit i of `bits` */
	u64 bits;
};
struct item {
	struct list link;
	u64 pad[6];
};

static struct world g_w;
static struct shared {
	u64 stop, ops[STEADY + 1];
	u64 worst_ns;
} * g_s;

static struct bank *bank(void)
{
	return g_w.ck[0]->root[CK_ROOT_FS];
}

static void step(struct ctx *c, u64 *seed)
{
	struct ck *ck = c->ck;
	struct bank *b = bank();
	u64 r = t_random(seed), from = r % ACCOUNTS, to = (r >> 8) % ACCOUNTS,
	    bit = (r >> 16) % 64;

	ck_lock(c, ck);
	TX_SET(ck, b->account[from], b->account[from] - 1);
	TX_SET(ck, b->account[to], b->account[to] + 1);
	if (r >> 63) {
		struct item *i = ck_alloc(ck, sizeof(*i));

		tx_list_add_tail(ck, &b->list, &i->link);
		TX_SET(ck, b->listed, b->listed + 1);
	} else if (!list_empty(&b->list)) {
		struct item *i = LIST_ENTRY(b->list.next, struct item, link);

		tx_list_del(ck, &i->link);
		ck_free(ck, i);
		TX_SET(ck, b->listed, b->listed - 1);
	}
	tx_radix_set(ck, &b->map, bit * 70, b->bits >> bit & 1 ? 0 : bit + 1);
	TX_SET(ck, b->bits, b->bits ^ 1ULL << bit);
	TX_SET(ck, b->total_ops, b->total_ops + 1);
	if (r >> 60 & 1)
		ck_abort(ck);
	ck_unlock(ck);
}

static void hammer(u32 who)
{
	u64 seed = (u64)getpid() * 77;

	while (!__atomic_load_n(&g_s->stop, __ATOMIC_RELAXED)) {
		u64 start = host_monotonic_ns(), took;

		step(&g_w.ctx[0], &seed);
		took = host_monotonic_ns() - start;
		if (who < STEADY && took > g_s->worst_ns)
			g_s->worst_ns = took;
		__atomic_fetch_add(&g_s->ops[who], 1, __ATOMIC_RELAXED);
	}
	_exit(0);
}

static u32 audit(void)
{
	struct bank *b = bank();
	u64 sum = 0, n = 0;
	u32 wrong = 0;

	for (u32 i = 0; i < ACCOUNTS; i++)
		sum += b->account[i];
	for (const struct list *l = b->list.next; l != &b->list; l = l->next) {
		wrong += l->next->prev != l;
		n++;
	}
	for (u64 i = 0; i < 64; i++)
		wrong += radix_get(&b->map, i * 70) != (b->bits >> i & 1 ? i + 1 : 0);
	return wrong + (sum != 1000 * ACCOUNTS) + (n != b->listed) +
	       ((u64)__builtin_popcountll(b->bits) != b->map.count);
}

int main(void)
{
	pid_t steady[STEADY], victim;
	u64 seed = 9, before[STEADY], recovered;
	u32 wrong = 0, stuck = 0;
	struct ctx *c;
	struct bank *b;

	g_s = world_shared(sizeof(*g_s));
	world_new(&g_w, &(struct world_cfg){ .cores = 1 });
	c = &g_w.ctx[0];
	ck_lock(c, c->ck);
	b = ck_alloc(c->ck, sizeof(*b));
	list_init_fresh(&b->list);
	for (u32 i = 0; i < ACCOUNTS; i++)
		b->account[i] = 1000;
	TX_SET(c->ck, c->ck->root[CK_ROOT_FS], b);
	ck_unlock(c->ck);
	for (u32 i = 0; i < STEADY; i++)
		if (!(steady[i] = world_fork(&g_w)))
			hammer(i);
	for (u32 i = 0; i < KILLS; i++) {
		if (!(victim = world_fork(&g_w)))
			hammer(STEADY);
		usleep((useconds_t)(t_random(&seed) % 3000));
		kill(victim, SIGKILL);
		if (i % 2)
			world_wait(
				victim); /* else it stays a zombie until the audit is over */
		ck_lock(c, c->ck);
		wrong += audit();
		ck_unlock(c->ck);
		if (i % 2 == 0)
			world_wait(victim);
	}
	recovered = c->ck->recovered;
	for (u32 i = 0; i < STEADY; i++)
		before[i] = __atomic_load_n(&g_s->ops[i], __ATOMIC_RELAXED);
	for (u32 i = 0; i < STEADY; i++)
		for (u32 n = 0;
		     __atomic_load_n(&g_s->ops[i], __ATOMIC_RELAXED) == before[i]; n++)
			if (n > 500) {
				stuck++;
				break;
			} else {
				usleep(10000);
			}
	g_s->stop = 1;
	for (u32 i = 0; i < STEADY; i++)
		world_wait(steady[i]);
	is(wrong, 0, "invariants hold after each of %d kills", KILLS);
	is(stuck, 0, "nobody hangs");
	is(world_check(&g_w, 0), 0, "the core kernel is sound");
	ok(recovered > 0, "%llu of them held the lock", (unsigned long long)recovered);
	diag("%llu operations; the longest took %llu us",
	     (unsigned long long)b->total_ops, (unsigned long long)g_s->worst_ns / 1000);
	world_end(&g_w);
	return done_testing();
}
