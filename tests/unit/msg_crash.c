/* SPDX-License-Identifier: MIT */
/*
 * A process dies at the k-th point (logged store, commit, publication, unlock) of sending,
 * serving, receiving, for every k; others go on. What it committed has happened, exactly once, and
 * what it did not commit has not.
 */
#include "msg/ring.h"
#include "unit/world.h"

struct counts { /* in each core kernel */
	u64 served, forgets, done, last, disorder;
};

static struct world g_w;
static struct ctx *g_a, *g_b;
static u32 g_seq;
static char *g_saved[3];
static u64 g_size[3];

static struct counts *counts(struct ck *ck)
{
	return ck->root[CK_ROOT_FS];
}

static void serve(struct ctx *c, struct ck *ck, const struct msg_hdr *h, const void *data)
{
	struct counts *n = counts(ck);
	struct msg_hdr out = *h;

	if (h->kind == MSG_FORGET) {
		TX_SET(ck, n->forgets, n->forgets + 1);
		return;
	}
	if (*(const u64 *)data <= n->last)
		TX_SET(ck, n->disorder, n->disorder + 1);
	TX_SET(ck, n->last, *(const u64 *)data);
	TX_SET(ck, n->served, n->served + 1);
	if (h->kind != MSG_REQUEST)
		return;
	out.kind = MSG_REPLY;
	out.wake = h->slot;
	out.status = (s32)n->served;
	msg_post(c, ck, h->src, &out, data);
}

static void send(u32 kind, u64 value, u32 len, bool post)
{
	static u8 data[MSG_DATA_MAX];
	struct msg_hdr h = { .kind = (u8)kind, .len = len, .wake = MSG_WAKE_NONE };

	if (kind == MSG_REQUEST) {
		h.slot = g_a->slot;
		h.seq = g_seq = msg_call_prepare(g_a, h.type, 1);
	}
	memcpy(data, &value, sizeof(value));
	ck_lock(g_a, g_a->ck);
	TX_SET(g_a->ck, counts(g_a->ck)->done, counts(g_a->ck)->done + 1);
	if (post)
		msg_post(g_a, g_a->ck, 1, &h, data);
	else
		msg_send(g_a, g_a->ck, 1, &h, data);
	msg_unlock(g_a, g_a->ck);
}

static void settle(void)
{
	for (u32 i = 0; i < 6; i++) {
		msg_drain(g_b);
		msg_drain(g_a);
	}
}

static void nothing(void)
{
}

/* --- scenarios ---------------------------------------------------------------------------------- */

static void one_request(void)
{
	send(MSG_REQUEST, 1, 20, false);
}

static void three_oneways(void)
{
	send(MSG_ONEWAY, 1, 20, false);
	send(MSG_ONEWAY, 2, 5000, true);
	send(MSG_ONEWAY, 3, 8, false);
}

static void drain_b(void)
{
	msg_drain(g_b);
}

static void drain_a(void)
{
	msg_drain(g_a);
}

static bool served_and_answered(void)
{
	const u8 *data;
	u32 len;

	return counts(g_b->ck)->served == 1 &&
	       msg_root(g_a->ck)->slot[g_a->slot]->done_seq == g_seq &&
	       msg_call_wait(g_a, g_seq, 1, &data, &len) == 1 && len == 20 &&
	       data[0] == 1;
}

static bool as_many_as_done(void)
{
	struct counts *n = counts(g_b->ck);

	return n->served == counts(g_a->ck)->done && !n->disorder;
}

static void request_served(void)
{
	one_request();
	drain_b();
}

static void ring_and_outbox(void)
{
	for (u64 i = 1; i <= 9; i++)
		send(MSG_ONEWAY, i, 15000, true);
	msg_drain(g_b);
}

static bool nine_served(void)
{
	return as_many_as_done() && counts(g_b->ck)->served == 9 &&
	       list_empty(&msg_root(g_a->ck)->outbox);
}

static void fill_ring(void)
{
	for (u64 i = 1; i <= 3; i++)
		send(MSG_ONEWAY, i, MSG_DATA_MAX, false);
}

static void into_outbox(void)
{
	send(MSG_ONEWAY, 4, 9000, true);
	send(MSG_ONEWAY, 5, 9, true);
}

static void post_or_forget(void)
{
	struct msg_hdr h = { .kind = MSG_ONEWAY, .len = 9000, .wake = MSG_WAKE_NONE };
	static u8 data[MSG_DATA_MAX];

	ck_lock(g_a, g_a->ck);
	TX_SET(g_a->ck, counts(g_a->ck)->last, 1);
	msg_post_or_forget(g_a, g_a->ck, 1, &h, data);
	msg_unlock(g_a, g_a->ck);
}

static bool told_to_forget(void)
{
	return as_many_as_done() && (!counts(g_a->ck)->last || counts(g_b->ck)->forgets);
}

static void fill_and_forget(void)
{
	fill_ring();
	post_or_forget();
}

static bool forgot(void)
{
	return as_many_as_done() && counts(g_b->ck)->forgets >= 1;
}

static const struct scenario {
	const char *name;
	void (*prepare)(void);
	void (*dies)(void);
	bool (*holds)(void);
	u32 victim; /* whose lock the dying one holds */
} g_scenarios[] = {
	{ "sending", nothing, three_oneways, as_many_as_done, 0 },
	{ "sending to a full ring", fill_ring, into_outbox, as_many_as_done, 0 },
	{ "emptying the outbox", ring_and_outbox, drain_a, nine_served, 0 },
	{ "serving a request", one_request, drain_b, served_and_answered, 1 },
	{ "serving three", three_oneways, drain_b, as_many_as_done, 1 },
	{ "receiving a reply", request_served, drain_a, served_and_answered, 0 },
	{ "telling to forget", fill_ring, post_or_forget, told_to_forget, 0 },
	{ "forgetting", fill_and_forget, drain_b, forgot, 1 },
};

/* --- all of it ---------------------------------------------------------------------------------- */

static char *region(u32 i)
{
	return i == 2 ? g_w.isl[0].base + g_w.isl[0].super->doorbell_off
		      : (char *)g_w.ck[i];
}

static void save(void)
{
	const struct super *s = g_w.isl[0].super;

	for (u32 i = 0; i < 3; i++) {
		g_size[i] = i == 2 ? s->ring_off - s->doorbell_off + 4 * s->ring_size
				   : g_w.ck[i]->heap_next - (u64)g_w.ck[i];
		g_saved[i] = malloc(g_size[i]);
		memcpy(g_saved[i], region(i), g_size[i]);
	}
}

static void restore(void)
{
	for (u32 i = 0; i < 3; i++)
		memcpy(region(i), g_saved[i], g_size[i]);
}

/* Whoever wants the lock next, or the agent, in time. */
static void take_over(struct ctx *c, u32 k)
{
	if (k % 2) {
		msg_agent_sleep(c, 0);
	} else {
		ck_lock(c, c->ck);
		ck_unlock(c->ck);
	}
}

static void t_scenario(const struct scenario *s)
{
	u32 wrong = 0, unsound = 0, k;
	int status = 99;

	for (k = 1; status == 99; k++) {
		pid_t pid;

		restore();
		s->prepare();
		pid = world_fork(&g_w);
		if (!pid) {
			g_crash_count = 0;
			g_crash_at = k;
			s->dies();
			_exit(0);
		}
		status = world_wait(pid);
		take_over(s->victim ? g_b : g_a, k);
		settle();
		if (!s->holds()) {
			wrong++;
			diag("at point %u", k);
		}
		unsound += world_check(&g_w, 0) + world_check(&g_w, 1);
	}
	ok(!status && k > 4 && !wrong, "%s: dying at each of %u points", s->name, k - 2);
	is(unsound, 0, "%s: sound", s->name);
}

int main(void)
{
	world_new(&g_w, &(struct world_cfg){ .cores = 2 });
	g_a = &g_w.ctx[0], g_b = &g_w.ctx[1];
	msg_set_receiver(serve);
	for (u32 i = 0; i < 2; i++) {
		struct ctx *c = &g_w.ctx[i];

		ck_lock(c, c->ck);
		TX_SET(c->ck, c->ck->root[CK_ROOT_FS],
		       ck_alloc(c->ck, sizeof(struct counts)));
		ck_unlock(c->ck);
	}
	need(msg_slot_take(g_a) == 0, "a slot");
	save();
	for (u32 i = 0; i < ARRAY_SIZE(g_scenarios); i++)
		t_scenario(&g_scenarios[i]);
	world_end(&g_w);
	return done_testing();
}
