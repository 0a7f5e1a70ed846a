/* SPDX-License-Identifier: MIT */
/*
 * Calls and events between processes of two cores: polling and sleeping, several callers of one
 * core at a time, callers and agents killed. No wake-up is lost, no request is lost or done twice.
 */
#include "msg/ring.h"
#include "unit/world.h"

#define CLIENTS 64
enum { ADD = 1, EVENT_AFTER, EVENT_NOW }; /* message types of this test */

struct counts { /* in a server's core kernel */
	u64 last[CLIENTS]; /* the last request of each client that was served */
	u64 served, wrong;
};
struct request {
	u32 client, slot, seq, pad;
	u64 n;
};
static struct shared {
	u64 stop, agents_stop, done[CLIENTS], wrong, worst_ns;
} * g_s;
static struct world g_w;

static struct counts *counts(struct ck *ck)
{
	return ck->root[CK_ROOT_FS];
}

static void reply(struct ctx *c, struct ck *ck, const struct msg_hdr *h, const void *data,
		  u32 len)
{
	struct msg_hdr out = *h;

	out.kind = MSG_REPLY;
	out.wake = h->slot;
	out.len = len;
	out.status = 77;
	if (msg_post(c, ck, h->src, &out, data) < 0)
		TX_SET(ck, counts(ck)->wrong, counts(ck)->wrong + 1);
}

static void serve(struct ctx *c, struct ck *ck, const struct msg_hdr *h, const void *data)
{
	const struct request *q = data;
	struct counts *n = counts(ck);

	if (h->kind == MSG_FORGET)
		return;
	if (h->type == EVENT_NOW) {
		msg_event_set(c, ck->core, q->slot, q->seq);
		return;
	}
	if (n->last[q->client] + 1 != q->n)
		TX_SET(ck, n->wrong, n->wrong + 1);
	TX_SET(ck, n->last[q->client], q->n);
	TX_SET(ck, n->served, n->served + 1);
	if (h->type == EVENT_AFTER) {
		struct msg_hdr ev = { .kind = MSG_ONEWAY,
				      .type = EVENT_NOW,
				      .len = h->len,
				      .wake = q->slot };

		msg_post(c, ck, h->src, &ev, data);
	}
	reply(c, ck, h, data, h->len);
}

static void agent(u32 core)
{
	struct ctx *c = &g_w.ctx[core];

	world_pin(core);
	while (!__atomic_load_n(&g_s->agents_stop, __ATOMIC_RELAXED)) {
		msg_drain(c);
		msg_agent_sleep(c, -1);
	}
	_exit(0);
}

/* One request from ctx to core dst; the time it took. */
static u64 call(struct ctx *c, u32 dst, u32 type, struct request *q, u32 len)
{
	static __thread u8 big[MSG_DATA_MAX];
	struct msg_hdr h = {
		.type = (u16)type, .kind = MSG_REQUEST, .slot = c->slot, .len = len
	};
	u64 start = host_monotonic_ns();
	const u8 *data;
	u32 got;
	s32 status;

	memcpy(big, q, sizeof(*q));
	h.seq = msg_call_prepare(c, type, dst);
	for (;;) {
		long r;

		ck_lock(c, c->ck);
		r = msg_send(c, c->ck, dst, &h, big);
		msg_unlock(c, c->ck);
		if (!r)
			break;
		if (!msg_drain(c))
			usleep(50);
	}
	status = msg_call_wait(c, h.seq, dst, &data, &got);
	if (status != 77 || got != len || memcmp(data, q, sizeof(*q)))
		__atomic_fetch_add(&g_s->wrong, 1, __ATOMIC_RELAXED);
	return host_monotonic_ns() - start;
}

static void client(u32 core, u32 id, u64 calls)
{
	struct ctx c = g_w.ctx[core];
	struct request q = { .client = id, .n = counts(g_w.ck[1 - core])->last[id] };
	u64 seed = id;

	c.tid = (u32)syscall(SYS_gettid);
	need(msg_slot_take(&c) == 0, "a slot");
	while (calls-- && !__atomic_load_n(&g_s->stop, __ATOMIC_RELAXED)) {
		u64 took;

		q.n++;
		took = call(&c, 1 - core, ADD, &q,
			    calls % 64 ? (u32)sizeof(q)
				       : (u32)(sizeof(q) + t_random(&seed) % 18000));
		__atomic_store_n(&g_s->done[id], q.n, __ATOMIC_SEQ_CST);
		if (took > g_s->worst_ns)
			g_s->worst_ns = took;
	}
	msg_slot_give(&c);
}

static void begin(u32 model, u64 chaos)
{
	memset(g_s, 0, sizeof(*g_s));
	world_new(&g_w,
		  &(struct world_cfg){ .cores = 2, .model = model, .chaos = chaos });
	msg_set_receiver(serve);
	for (u32 i = 0; i < 2; i++) {
		struct ctx *c = &g_w.ctx[i];

		ck_lock(c, c->ck);
		TX_SET(c->ck, c->ck->root[CK_ROOT_FS],
		       ck_alloc(c->ck, sizeof(struct counts)));
		ck_unlock(c->ck);
	}
}

static pid_t start_agent(u32 core)
{
	pid_t pid = world_fork(&g_w);

	if (!pid)
		agent(core);
	return pid;
}

static pid_t start_client(u32 core, u32 id, u64 calls)
{
	pid_t pid = world_fork(&g_w);

	if (pid)
		return pid;
	world_pin(core);
	client(core, id, calls);
	_exit(0);
}

static u32 late(void)
{
	return doorbell(&g_w.isl[0], 0)->late + doorbell(&g_w.isl[0], 1)->late;
}

static void stop_agents(pid_t *agents)
{
	g_s->agents_stop = 1;
	for (u32 i = 0; i < 2; i++) {
		msg_ring(&g_w.isl[0], i, 0);
		world_wait(agents[i]);
	}
}

static void end(const char *name)
{
	is(counts(g_w.ck[0])->wrong + counts(g_w.ck[1])->wrong + g_s->wrong, 0,
	   "%s: none lost, none done twice, replies right", name);
	is(world_check(&g_w, 0) + world_check(&g_w, 1), 0, "%s: sound", name);
	world_end(&g_w);
}

/* `each` clients on each core call the other core. */
static void t_calls(const char *name, u32 model, u64 chaos, u32 each, u64 calls)
{
	pid_t agents[2], clients[CLIENTS];
	u32 failed = 0;

	begin(model, chaos);
	for (u32 i = 0; i < 2; i++)
		agents[i] = start_agent(i);
	for (u32 i = 0; i < each * 2; i++)
		clients[i] = start_client(i % 2, i, calls);
	for (u32 i = 0; i < each * 2; i++)
		failed += world_wait(clients[i]) != 0;
	is(failed, 0, "%s: %u clients a core end", name, each);
	is(counts(g_w.ck[0])->served, each * calls, "%s: core 0 served all", name);
	is(counts(g_w.ck[1])->served, each * calls, "%s: core 1 served all", name);
	is(late(), 0, "%s: no wake-up was lost", name);
	diag("%s: the longest call took %llu us", name,
	     (unsigned long long)g_s->worst_ns / 1000);
	stop_agents(agents);
	end(name);
}

/* Threads of one process share a core, whoever drains. */
static void *thread(void *arg)
{
	client(0, (u32)(u64)arg, 3000);
	return NULL;
}

static void t_threads(void)
{
	pthread_t t[3];
	pid_t agents[2];

	begin(MEM_COHERENT, 0);
	for (u32 i = 0; i < 2; i++)
		agents[i] = start_agent(i);
	for (u64 i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, thread, (void *)i);
	for (u64 i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	is(counts(g_w.ck[1])->served, 9000, "threads: all served");
	is(late(), 0, "threads: no wake-up was lost");
	stop_agents(agents);
	end("threads");
}

/* Without any agent: who waits drains. */
static void t_no_agent(void)
{
	pid_t a, b;

	begin(MEM_EMULATED, 0);
	a = start_client(0, 0, 300);
	b = start_client(1, 1, ~0ULL);
	is(world_wait(a) + 0, 0, "no agents: one ends, served by the other");
	g_s->stop = 1;
	kill(b, SIGKILL);
	world_wait(b);
	end("no agents");
}

/* --- kills -------------------------------------------------------------------------------------- */

static void t_kills(const char *name, u32 model, u32 kills)
{
	pid_t agents[2], clients[4];
	u64 seed = 31 + model, before[4];
	u32 stuck = 0, slots = 0;

	begin(model, 0);
	for (u32 i = 0; i < 2; i++)
		agents[i] = start_agent(i);
	for (u32 i = 0; i < 4; i++)
		clients[i] = start_client(i % 2, i, ~0ULL);
	for (u32 k = 0; k < kills; k++) {
		u32 who = (u32)(t_random(&seed) % 4);

		usleep((useconds_t)(t_random(&seed) % 4000));
		if (who < 2) {
			kill(agents[who], SIGKILL);
			world_wait(agents[who]);
			agents[who] = start_agent(who);
			continue;
		}
		/* Clients 0 and 1 live to the end; the others get new names, since what a killed one
		 * asked for may still be done. */
		kill(clients[who], SIGKILL);
		world_wait(clients[who]);
		clients[who] = start_client(who % 2, 4 + k % 30 * 2 + who % 2, ~0ULL);
	}
	for (u32 i = 0; i < 2; i++)
		before[i] = g_s->done[i];
	for (u32 i = 0; i < 2; i++)
		for (u32 n = 0;
		     __atomic_load_n(&g_s->done[i], __ATOMIC_RELAXED) == before[i]; n++) {
			if (n > 500) {
				stuck++;
				break;
			}
			usleep(10000);
		}
	is(stuck, 0, "%s: after %u kills the others go on", name, kills);
	g_s->stop = 1;
	is(world_wait(clients[0]) + world_wait(clients[1]), 0, "%s: and end", name);
	is(counts(g_w.ck[1])->last[0], g_s->done[0],
	   "%s: all that client 0 asked was done", name);
	is(counts(g_w.ck[0])->last[1], g_s->done[1],
	   "%s: all that client 1 asked was done", name);
	for (u32 i = 2; i < 4; i++)
		world_wait(clients[i]);
	stop_agents(agents);
	for (u32 i = 0; i < MSG_SLOTS; i++)
		slots += msg_root(g_w.ck[0])->slot[i] != NULL;
	diag("%s: %llu calls, %u locks taken over, %u slots, longest call %llu us", name,
	     (unsigned long long)(g_s->done[0] + g_s->done[1]),
	     g_w.ck[0]->recovered + g_w.ck[1]->recovered, slots,
	     (unsigned long long)g_s->worst_ns / 1000);
	end(name);
}

static void t_slots(void)
{
	struct ctx c;
	u32 taken = 0;
	pid_t pid;

	world_new(&g_w, &(struct world_cfg){ .cores = 1 });
	pid = world_fork(&g_w);
	if (!pid) { /* dies with all slots */
		for (c = g_w.ctx[0]; msg_slot_take(&c) == 0; taken++)
			;
		_exit(taken > 200 ? 0 : 1);
	}
	is(world_wait(pid), 0, "slots: hundreds for one process");
	c = g_w.ctx[0];
	is(msg_slot_take(&c), 0, "slots: those of a dead process are reclaimed");
	msg_slot_give(&c);
	is(c.slot, 0, "slots: given back");
	is(world_check(&g_w, 0), 0, "slots: sound");
	world_end(&g_w);
}

/* --- events ------------------------------------------------------------------------------------- */

static void *near_waker(void *arg)
{
	struct ctx c = g_w.ctx[0];
	u32 *at = arg; /* slot, seq, rounds */

	c.tid = (u32)syscall(SYS_gettid);
	for (u32 last = 0; last < at[2];) {
		u32 seq = __atomic_load_n(&at[1], __ATOMIC_SEQ_CST);

		if (seq == last) {
			sched_yield();
			continue;
		}
		last = seq;
		if (seq % 3 == 0)
			usleep(30);
		msg_event_set(&c, 0, at[0], seq - 1); /* one that is late */
		msg_event_set(&c, 0, at[0], seq);
	}
	return NULL;
}

static void t_events(void)
{
	u32 at[3] = { 0, 0, 2000 }, early = 0, slow = 0;
	pid_t agents[2];
	struct ctx c;
	u64 start;
	pthread_t t;
	u32 seq = 0;

	begin(MEM_COHERENT, 0);
	c = g_w.ctx[0];
	need(msg_slot_take(&c) == 0, "a slot");
	for (u32 i = 0; i < 2; i++)
		agents[i] = start_agent(i);
	at[0] = c.slot;
	pthread_create(&t, NULL, near_waker, at);
	while (seq < at[2]) {
		seq = msg_event_prepare(&c);
		start = host_monotonic_ns();
		__atomic_store_n(&at[1], seq, __ATOMIC_SEQ_CST);
		early += msg_event_wait(&c, seq, -1) != 0;
		slow += host_monotonic_ns() - start > 190000000;
	}
	pthread_join(t, NULL);
	is(early, 0, "events: of near cores come");
	is(slow, 0, "events: none is lost");
	slow = 0;
	for (u64 n = 1; n <= 2000; n++) {
		struct request q = { .client = 5, .slot = c.slot, .n = n };

		q.seq = msg_event_prepare(&c);
		start = host_monotonic_ns();
		call(&c, 1, EVENT_AFTER, &q, sizeof(q));
		early += msg_event_wait(&c, q.seq, -1) != 0;
		slow += host_monotonic_ns() - start > 190000000;
	}
	is(early, 0, "events: of far cores come");
	is(slow, 0, "events: none is lost");
	start = host_monotonic_ns();
	is(msg_event_wait(&c, msg_event_prepare(&c), 30000000), -ETIMEDOUT,
	   "events: a time limit");
	ok(host_monotonic_ns() - start >= 30000000, "events: not before its time");
	is(msg_event_wait(&c, msg_event_prepare(&c), 0), -ETIMEDOUT,
	   "events: a limit of nothing");
	start = host_monotonic_ns();
	is(msg_event_wait(&c, msg_event_prepare(&c), -1), 0,
	   "events: no limit: one looks again");
	ok(host_monotonic_ns() - start >= 100000000, "events: not all the time");
	stop_agents(agents);
	end("events");
}

int main(void)
{
	g_s = world_shared(sizeof(*g_s));
	t_slots();
	t_calls("one", MEM_COHERENT, 0, 1, 20000);
	t_calls("many", MEM_COHERENT, 0, 4, 3000);
	t_calls("flush", MEM_FLUSH, 0, 2, 5000);
	t_calls("emulated", MEM_EMULATED, 0, 2, 2000);
	t_calls("chaos", MEM_EMULATED, 7, 2, 1000);
	t_threads();
	t_no_agent();
	t_events();
	t_kills("killed", MEM_COHERENT, 200);
	t_kills("killed, emulated", MEM_EMULATED, 100);
	return done_testing();
}
