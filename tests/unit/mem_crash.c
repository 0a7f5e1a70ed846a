/* SPDX-License-Identifier: MIT */
/*
 * A process dies at the k-th logged store, commit or unlock of an operation, for every k; another
 * takes its lock over. The operation is then done or not done, and nothing is lost or leaked.
 */
#include "unit/world.h"

#define NODES 6

/* In core-kernel memory, at the root that the message layer does not use here. */
struct state {
	u64 done; /* operations completed: set together with what they do */
	u64 left, right; /* their sum is constant */
	struct list list;
	struct radix radix;
	void *obj[8];
};
struct node {
	struct list link;
	u64 value;
};

static struct world g_w;

static struct state *state(void)
{
	return g_w.ck[0]->root[CK_ROOT_FS];
}

static void op_set(struct ck *ck, struct state *s)
{
	TX_SET(ck, s->left, s->left - 5);
	TX_SET(ck, s->right, s->right + 5);
}

static void op_alloc(struct ck *ck, struct state *s)
{
	void *p = ck_alloc(ck, 100), *q = ck_alloc(ck, 40000), *r = ck_alloc(ck, 200000);

	memset(p, 0xee, 100);
	memset(q, 0xdd, 40000);
	TX_SET(ck, s->obj[0], p);
	TX_SET(ck, s->obj[1], q);
	TX_SET(ck, s->obj[2], r);
}

static void op_free(struct ck *ck, struct state *s)
{
	for (u32 i = 0; i < 3; i++) {
		ck_free(ck, s->obj[i]);
		TX_SET(ck, s->obj[i], NULL);
	}
}

static void op_list(struct ck *ck, struct state *s)
{
	for (u64 i = 0; i < NODES; i++) {
		struct node *n = ck_alloc(ck, sizeof(*n));

		n->value = i;
		tx_list_add_tail(ck, &s->list, &n->link);
	}
}

static void op_unlist(struct ck *ck, struct state *s)
{
	while (!list_empty(&s->list)) {
		struct node *n = LIST_ENTRY(s->list.next, struct node, link);

		tx_list_del(ck, &n->link);
		ck_free(ck, n);
	}
}

static void op_radix(struct ck *ck, struct state *s)
{
	tx_radix_set(ck, &s->radix, 0, 10);
	tx_radix_set(ck, &s->radix, 70, 11);
	tx_radix_set(ck, &s->radix, 1ULL << 40, 12);
}

static void op_unradix(struct ck *ck, struct state *s)
{
	tx_radix_set(ck, &s->radix, 70, 0);
	tx_radix_set(ck, &s->radix, 1ULL << 40, 0);
	tx_radix_set(ck, &s->radix, 0, 0);
}

static void op_taken_back(struct ck *ck, struct state *s)
{
	op_set(ck, s);
	op_list(ck, s);
	op_radix(ck, s);
	ck_abort(ck);
}

static void op_everything(struct ck *ck, struct state *s)
{
	op_alloc(ck, s);
	op_free(ck, s);
	op_radix(ck, s);
	op_list(ck, s);
	op_unlist(ck, s);
	op_unradix(ck, s);
	op_set(ck, s);
}

static const struct op {
	const char *name;
	void (*run)(struct ck *ck, struct state *s);
} g_ops[] = {
	{ "set", op_set },
	{ "alloc", op_alloc },
	{ "free", op_free },
	{ "list", op_list },
	{ "unlist", op_unlist },
	{ "radix", op_radix },
	{ "unradix", op_unradix },
	{ "abort", op_taken_back },
	{ "everything", op_everything },
	{ "alloc again", op_alloc },
	{ "radix again", op_radix },
	{ "list again", op_list },
	{ "free again", op_free },
};

static void begin_and_run(struct ctx *c, const struct op *op)
{
	struct state *s = state();

	ck_lock(c, c->ck);
	op->run(c->ck, s);
	TX_SET(c->ck, s->done, s->done + 1);
	ck_unlock(c->ck);
}

/* Everything that an operation may change, in one number. */
static u64 digest(const struct state *s)
{
	u64 h = s->left * 3 + s->right * 5 + s->radix.count * 7, index, value, from = 0;

	for (u32 i = 0; i < 8; i++)
		h = h * 31 + (s->obj[i] != NULL);
	for (const struct list *l = s->list.next; l != &s->list; l = l->next)
		h = h * 31 + LIST_ENTRY(l, struct node, link)->value + 1;
	while (radix_next(&s->radix, from, &index, &value)) {
		h = h * 31 + index + value;
		from = index + 1;
	}
	return h;
}

static u64 used(void)
{
	return g_w.ck[0]->heap_used;
}

/* What it looks like when it is completed; taken back. */
static u64 digest_after(struct ctx *c, const struct op *op)
{
	u64 d;

	ck_lock(c, c->ck);
	op->run(c->ck, state());
	d = digest(state());
	ck_abort(c->ck);
	ck_unlock(c->ck);
	return d;
}

/* A child that dies at its k-th point: of an operation, or of taking the lock. */
static pid_t dying(const struct op *op, u64 k)
{
	struct ctx *c = &g_w.ctx[0];
	pid_t pid = world_fork(&g_w);

	if (pid)
		return pid;
	g_crash_count = 0;
	g_crash_at = k;
	if (op) {
		begin_and_run(c, op);
	} else {
		ck_lock(c, c->ck);
		ck_unlock(c->ck);
	}
	_exit(0);
}

/* One trial from a given state; the child's exit status. */
static int trial(const struct op *op, u64 k, u32 *unsound)
{
	pid_t pid = dying(op, k);
	int status = -1;

	if (k % 2) /* also while it is a zombie */
		waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	else
		status = world_wait(pid);
	*unsound += world_check(&g_w, 0);
	return status < 0 ? world_wait(pid) : status;
}

static void t_op(const struct op *op)
{
	struct ctx *c = &g_w.ctx[0];
	u64 before = digest(state()), after = digest_after(c, op), start = used(),
	    end = 0, k;
	u64 done = state()->done, size = c->ck->heap_next - (u64)c->ck;
	u32 wrong = 0, unsound = 0, leaked = 0, dead_done = 0;
	char *saved = malloc(size);
	int status = 99;

	memcpy(saved, c->ck, size);
	for (k = 1; status == 99; k++) {
		memcpy(c->ck, saved, size);
		status = trial(op, k, &unsound);
		wrong += digest(state()) != (state()->done == done ? before : after);
		if (state()->done == done) {
			leaked += used() != start;
			continue;
		}
		dead_done += status == 99;
		if (!end)
			end = used();
		leaked += used() != end;
	}
	free(saved);
	ok(!status && state()->done == done + 1 && dead_done >= 2 && !wrong,
	   "%s: done or not done at each of %u points", op->name, (u32)k - 2);
	is(unsound, 0, "%s: core kernel sound", op->name);
	is(leaked, 0, "%s: no memory is lost", op->name);
}

/* Who takes the lock over may die too, at any point. */
static void t_twice(const struct op *op)
{
	struct ctx *c = &g_w.ctx[0];
	u64 size = c->ck->heap_next - (u64)c->ck, before = digest(state()),
	    done = state()->done;
	u64 after = digest_after(c, op);
	u32 wrong = 0, unsound = 0, trials = 0;
	char *saved = malloc(size);

	memcpy(saved, c->ck, size);
	for (u64 k = 2; k < 260; k += 7 + k / 3) {
		for (u64 j = 1; j < 400; j += 1 + j / 4) {
			int status;

			memcpy(c->ck, saved, size);
			world_wait(dying(op, k));
			status = world_wait(dying(NULL, j));
			unsound += world_check(&g_w, 0);
			wrong += digest(state()) !=
				 (state()->done == done ? before : after);
			trials++;
			if (status != 99)
				break;
		}
	}
	memcpy(c->ck, saved, size);
	free(saved);
	is(wrong + unsound, 0, "%s: dying in the middle of taking over, %u times",
	   op->name, trials);
}

/* Leaves chunks of two classes, and a large object, that hold nothing. */
static void leave_empty(struct ck *ck)
{
	void *p[300], *large = ck_alloc(ck, 200000);
	u32 i;

	for (i = 0; i < 300; i++)
		p[i] = ck_alloc(ck, i % 2 ? 1000 : 700);
	ck_commit(ck);
	for (i = 0; i < 300; i++)
		ck_free(ck, p[i]);
	ck_free(ck, large);
	ck_commit(ck);
}

static u64 reclaim(void)
{
	struct ctx *c = &g_w.ctx[0];

	ck_lock(c, c->ck);
	c->ck->freed = 1 << 20; /* enough to be worth it */
	ck_reclaim(c->ck);
	ck_unlock(c->ck);
	return c->ck->chunk_bytes;
}

static void t_reclaim(void)
{
	struct ctx *c = &g_w.ctx[0];
	u64 size, want, start;
	u32 unsound = 0, wrong = 0, points = 0;
	int status = 99;
	char *saved;

	ck_lock(c, c->ck);
	leave_empty(c->ck);
	ck_unlock(c->ck);
	start = used();
	size = c->ck->heap_next - (u64)c->ck;
	saved = malloc(size);
	memcpy(saved, c->ck, size);
	want = reclaim();
	ok(want >= 8 * 65536, "%lu bytes in empty chunks are found", want);
	for (u64 k = 1; status == 99; k++, points++) {
		pid_t pid;

		memcpy(c->ck, saved, size);
		pid = world_fork(&g_w);
		if (!pid) {
			g_crash_count = 0;
			g_crash_at = k;
			reclaim();
			_exit(0);
		}
		status = world_wait(pid);
		unsound += world_check(&g_w, 0);
		wrong += reclaim() != want || used() != start;
		unsound += world_check(&g_w, 0);
	}
	free(saved);
	ok(!unsound && !wrong && points > 500, "dying at %u points of giving chunks back",
	   points);
	/* They serve another class, also a large one. */
	ck_lock(c, c->ck);
	size = c->ck->heap_next;
	ok(ck_alloc(c->ck, 200000) && ck_alloc(c->ck, 5000) && c->ck->heap_next == size,
	   "what was given back is used for other sizes");
	ck_abort(c->ck);
	ck_unlock(c->ck);
	is(c->ck->chunk_bytes, want, "and back after an abort");
	is(world_check(&g_w, 0), 0, "sound");
}

int main(void)
{
	struct ctx *c;
	struct state *s;

	world_new(&g_w, &(struct world_cfg){ .cores = 1 });
	c = &g_w.ctx[0];
	ck_lock(c, c->ck);
	s = ck_alloc(c->ck, sizeof(*s));
	list_init_fresh(&s->list);
	s->left = 1000;
	TX_SET(c->ck, c->ck->root[CK_ROOT_FS], s);
	ck_unlock(c->ck);
	for (u32 i = 0; i < ARRAY_SIZE(g_ops); i++)
		t_op(&g_ops[i]);
	t_twice(&g_ops[8]);
	t_twice(&g_ops[9]);
	t_reclaim();
	is(s->left + s->right, 1000, "sums hold");
	world_end(&g_w);
	return done_testing();
}
