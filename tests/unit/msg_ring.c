/* SPDX-License-Identifier: MIT */
/* Rings between two processes, both ways at once, in every memory model; full; full of garbage. */
#include "msg/ring.h"
#include "unit/world.h"

static struct world g_w;
static struct stats {
	u64 received, wrong, sent, full, late;
} * g_stats; /* [2] */
static u32 g_me;

static void pattern(u8 *p, u32 len, u64 seq)
{
	for (u32 i = 0; i < len; i++)
		p[i] = (u8)(seq * 7 + i);
}

static bool pattern_is(const u8 *p, u32 len, u64 seq)
{
	for (u32 i = 0; i < len; i++)
		if (p[i] != (u8)(seq * 7 + i))
			return false;
	return true;
}

static u32 random_len(u64 *seed)
{
	u64 r = t_random(seed);

	if (r % 100 < 70)
		return (u32)(r >> 32) % 100;
	if (r % 100 < 97)
		return (u32)(r >> 32) % 2000;
	return r % 100 == 99 ? MSG_DATA_MAX - (u32)(r >> 60)
			     : (u32)(r >> 32) % MSG_DATA_MAX;
}

static void count(struct ctx *c, struct ck *ck, const struct msg_hdr *h, const void *data)
{
	struct stats *s = &g_stats[g_me];

	(void)c, (void)ck;
	if (h->kind != MSG_ONEWAY || h->src != 1 - g_me || h->seq != (u32)s->received ||
	    !pattern_is(data, h->len, s->received))
		s->wrong++;
	s->received++;
}

/* Sends by turns with msg_send, which may find the ring full, and msg_post, which may not. */
static bool send_one(struct ctx *c, u64 *seed)
{
	static u8 data[MSG_DATA_MAX];
	struct stats *s = &g_stats[g_me];
	struct msg_hdr h = { .kind = MSG_ONEWAY,
			     .seq = (u32)s->sent,
			     .len = random_len(seed) };
	long r;

	pattern(data, h.len, s->sent);
	h.wake = s->sent % 3 ? 0 : MSG_WAKE_NONE;
	ck_lock(c, c->ck);
	if (s->sent % 50 == 7 && s->sent > s->received + 3) {
		/* What is taken back was never sent. */
		msg_post(c, c->ck, 1 - g_me, &h, data);
		msg_post(c, c->ck, 1 - g_me, &h, data);
		ck_abort(c->ck);
	}
	r = s->sent % 4 ? msg_send(c, c->ck, 1 - g_me, &h, data)
			: msg_post(c, c->ck, 1 - g_me, &h, data);
	msg_unlock(c, c->ck);
	if (r)
		s->full++;
	else
		s->sent++;
	return !r;
}

static void side(u32 core, u64 want)
{
	struct ctx *c = &g_w.ctx[core];
	u64 seed = core + 100, deadline = host_monotonic_ns() + 60000000000ULL;
	struct stats *s = &g_stats[core];

	g_me = core;
	world_pin(core);
	while ((s->sent < want || s->received < want) && host_monotonic_ns() < deadline) {
		u64 burst = t_random(&seed) % 40;

		while (burst-- && s->sent < want && send_one(c, &seed))
			;
		if (!msg_drain(c))
			msg_agent_sleep(c, 2000000);
	}
	while (!list_empty(&msg_root(c->ck)->outbox) && host_monotonic_ns() < deadline) {
		msg_drain(c);
		usleep(1000);
	}
}

static void t_flood(u32 model, u64 chaos, u64 want)
{
	struct world_cfg cfg = { .cores = 2, .model = model, .chaos = chaos };
	const char *name = world_model(model);
	pid_t pid;

	world_new(&g_w, &cfg);
	memset(g_stats, 0, 2 * sizeof(*g_stats));
	msg_set_receiver(count);
	pid = world_fork(&g_w);
	if (!pid) {
		side(1, want);
		_exit(0);
	}
	side(0, want);
	is(world_wait(pid), 0, "%s%s: the other side ends", name, chaos ? ", chaos" : "");
	for (u32 i = 0; i < 2; i++) {
		is(g_stats[i].received, want, "%s: all records of %u came", name, 1 - i);
		is(g_stats[i].wrong, 0, "%s: once, in order, intact", name);
	}
	is(world_check(&g_w, 0) + world_check(&g_w, 1), 0, "%s: sound", name);
	diag("%llu times the ring was full",
	     (unsigned long long)(g_stats[0].full + g_stats[1].full));
	world_end(&g_w);
}

/* --- a full ring -------------------------------------------------------------------------------- */

static u32 g_forgets, g_got;

static void note(struct ctx *c, struct ck *ck, const struct msg_hdr *h, const void *data)
{
	(void)c, (void)ck, (void)data;
	if (h->kind == MSG_FORGET)
		g_forgets++;
	else
		g_got++;
}

static void t_full(void)
{
	static u8 data[MSG_DATA_MAX];
	struct msg_hdr h = { .kind = MSG_ONEWAY, .wake = MSG_WAKE_NONE, .len = 1000 };
	u32 fits = 0, outbox = 0, used, word;
	struct ctx *a, *b;

	world_new(&g_w, &(struct world_cfg){ .cores = 2 });
	a = &g_w.ctx[0], b = &g_w.ctx[1];
	msg_set_receiver(note);
	ck_lock(a, a->ck);
	while (!msg_send(a, a->ck, 1, &h, data)) {
		msg_flush(a, a->ck);
		fits++;
	}
	ok(fits >= 40, "%u records of 1000 bytes fit", fits);
	ck_commit(a->ck);
	used = (u32)a->ck->heap_used;
	while (outbox < 500 && !msg_post(a, a->ck, 1, &h, data))
		outbox++;
	is(outbox, 500, "a full ring takes posts into the outbox");
	h.len = 5;
	is(msg_send(a, a->ck, 1, &h, data), -EAGAIN,
	   "a small one does not overtake them");
	msg_post_or_forget(a, a->ck, 1, &h, data);
	msg_post_or_forget(a, a->ck, 1, &h, data);
	word = vector_prepare(a, 0);
	msg_unlock(a, a->ck);
	ok(vector_prepare(a, 0) != word, "the sender's agent is woken: it is to send the rest");
	vector_done(a, 0);
	vector_done(a, 0);
	for (u32 i = 0; i < 100 && g_got < fits + outbox; i++) {
		msg_drain(b);
		msg_drain(a);
	}
	is(g_got, fits + outbox, "all come");
	is(g_forgets, 1, "and one order to forget");
	is(a->ck->heap_used, used, "the outbox is empty");
	is(world_check(&g_w, 0) + world_check(&g_w, 1), 0, "sound");
	world_end(&g_w);
}

static void t_full_memory(void)
{
	static u8 data[MSG_DATA_MAX];
	struct msg_hdr h = { .kind = MSG_ONEWAY, .wake = MSG_WAKE_NONE, .len = 3000 };
	u32 n = 0, reserve = 0, fits = 0;
	struct ctx *a, *b;

	world_new(&g_w, &(struct world_cfg){ .cores = 2 });
	a = &g_w.ctx[0], b = &g_w.ctx[1];
	ck_lock(a, a->ck);
	for (size_t size = 65000; size; size = size > 16 ? size / 4 : 0)
		while (ck_alloc(a->ck, size))
			ck_commit(a->ck);
	g_got = 0;
	while (!msg_send(a, a->ck, 1, &h, data))
		msg_flush(a, a->ck), fits++;
	while (!msg_post(a, a->ck, 1, &h, data))
		n++;
	is(n, 0, "no memory, a full ring: posts fail");
	h.len = 0;
	while (reserve < 60 && !msg_post(a, a->ck, 1, &h, data))
		reserve++;
	is(reserve, 60, "but not those without payload");
	msg_unlock(a, a->ck);
	for (u32 i = 0; i < 100 && g_got < fits + reserve; i++) {
		msg_drain(b);
		msg_drain(a);
	}
	is(g_got, fits + reserve, "which come");
	is(world_check(&g_w, 0), 0, "sound");
	world_end(&g_w);
}

/* --- order ------------------------------------------------------------------------------------- */

static u32 g_next, g_disorder;

static void in_order(struct ctx *c, struct ck *ck, const struct msg_hdr *h,
		     const void *data)
{
	(void)c, (void)ck, (void)data;
	g_disorder += h->seq != g_next++;
}

/* What one core sent after another had sent is handled after it, whatever their rings. */
static void t_order(void)
{
	u64 seed = 8;
	u32 n = 0;

	world_new(&g_w, &(struct world_cfg){ .cores = 4, .model = MEM_EMULATED });
	msg_set_receiver(in_order);
	for (u32 round = 0; round < 100; round++) {
		for (u64 burst = t_random(&seed) % 300; burst; burst--) {
			struct ctx *c = &g_w.ctx[t_random(&seed) % 3];
			struct msg_hdr h = { .kind = MSG_ONEWAY,
					     .seq = n,
					     .len = n % 90 };
			static u8 data[90];

			ck_lock(c, c->ck);
			n += !msg_send(c, c->ck, 3, &h, data);
			msg_unlock(c, c->ck);
		}
		msg_drain(&g_w.ctx[3]);
	}
	ok(n > 10000 && g_next == n, "three senders, one receiver: all of %u came", n);
	is(g_disorder, 0, "in the order in which they were sent");
	world_end(&g_w);
}

static void again(struct ctx *c, struct ck *ck, const struct msg_hdr *h, const void *data)
{
	struct msg_hdr next = *h;

	g_got++;
	if (h->kind == MSG_ONEWAY)
		msg_post(c, ck, 0, &next, data);
}

/* A core whose every record causes another one still gets on with its own work. */
static void t_endless(void)
{
	struct msg_hdr h = { .kind = MSG_ONEWAY };
	struct ctx *c;
	u32 before;

	world_new(&g_w, &(struct world_cfg){ .cores = 1 });
	c = &g_w.ctx[0];
	msg_set_receiver(again);
	g_got = 0;
	ck_lock(c, c->ck);
	for (u32 i = 0; i < 3; i++)
		msg_send(c, c->ck, 0, &h, NULL);
	msg_unlock(c, c->ck);
	msg_drain(c);
	before = g_got;
	ok(before >= 3, "records without end: draining ends (%u)", before);
	ok(msg_drain(c) && g_got > before, "and goes on the next time");
	world_end(&g_w);
}

/* --- garbage ------------------------------------------------------------------------------------ */

static void t_garbage(void)
{
	struct super *s;
	struct ctx *b;
	u64 seed = 4;
	u32 dropped, sent = 0;

	world_new(&g_w, &(struct world_cfg){ .cores = 2 });
	s = g_w.isl[0].super;
	b = &g_w.ctx[1];
	msg_set_receiver(note);
	for (u32 round = 0; round < 20000; round++) {
		struct ring *r =
			(struct ring *)(g_w.isl[0].base + s->ring_off + s->ring_size);
		u64 *w = (u64 *)r->data, n = (s->ring_size - RING_HEADER) / 8;
		u64 head = msg_root(b->ck)->head[0];

		for (u32 i = 0; i < 40; i++) {
			u64 v = t_random(&seed),
			    at = round % 2 ? v % n : (head / 8 + v % 32) % n;

			w[at] = v >> 40 & 1
					? ~0ULL
					: t_random(&seed) % (v >> 41 & 1 ? 30000 : ~0ULL);
		}
		r->tail = t_random(&seed);
		if (round % 4)
			r->tail = head + r->tail % (s->ring_size * 2) /
						 (round % 8 ? 64 : 1) * 64;
		doorbell(&g_w.isl[0], 1)->pending = round % 16 ? 1 : t_random(&seed) | 1;
		msg_drain(b);
	}
	dropped = msg_root(b->ck)->dropped;
	ok(dropped > 100, "garbage in a ring does no harm (%u times dropped)", dropped);
	/* The real producer goes on. */
	g_got = 0;
	for (u32 i = 0; i < 2000; i++) {
		struct msg_hdr h = { .kind = MSG_ONEWAY, .len = i % 300 };
		struct ctx *a = &g_w.ctx[0];
		static u8 data[300];

		ck_lock(a, a->ck);
		sent += !msg_send(a, a->ck, 1, &h, data);
		msg_unlock(a, a->ck);
		msg_drain(b);
	}
	ok(sent > 1900 && g_got > 1800, "and the producer is heard again (%u of %u)",
	   g_got, sent);
	world_end(&g_w);
}

int main(void)
{
	g_stats = world_shared(2 * sizeof(*g_stats));
	t_full();
	t_full_memory();
	t_order();
	t_endless();
	t_garbage();
	t_flood(MEM_COHERENT, 0, 200000);
	t_flood(MEM_FLUSH, 0, 50000);
	t_flood(MEM_EMULATED, 0, 15000);
	t_flood(MEM_EMULATED, 99, 8000);
	return done_testing();
}
