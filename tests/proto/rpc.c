/* SPDX-License-Identifier: MIT */
/* RPCs as their callers see them: near, far, to the own core by message, and what is refused. */
#include "proto/proc.h"
#include "unit/world.h"

#define LOAD 3 /* programs of core 0; of the others one more each */

static struct world g_w;

static void begin(const struct world_cfg *cfg)
{
	world_new(&g_w, cfg);
	rpc_init();
	for (u32 i = 0; i < g_w.cores; i++) {
		struct ctx *c = &g_w.ctx[i];

		ck_lock(c, c->ck);
		need(proc_init(c->ck) == 0, "proc_init");
		for (u32 n = 0; n < LOAD + i; n++)
			need(proc_new(c->ck) != NULL, "a program");
		proc_new(c->ck)->waiting = 1; /* which is no load */
		ck_unlock(c->ck);
	}
	need(msg_slot_take(&g_w.ctx[0]) == 0, "a slot");
}

static long ping(u32 dst)
{
	struct req_PING q = { .count = 1 };
	struct rep_PING p = { 0 };
	long r = rpc_ping(&g_w.ctx[0], dst, &q, &p);

	return r < 0 ? r : (long)p.load;
}

static void t_near(void)
{
	begin(&(struct world_cfg){ .cores = 4, .islands = 2 });
	ok(rpc_is_near(&g_w.ctx[0], 1), "a core of the same island is near");
	ok(!rpc_is_near(&g_w.ctx[0], 2), "one of another is not");
	is(ping(0), LOAD, "near: the own core");
	is(ping(1), LOAD + 1, "near: another core");
	is(ping(4), -ENOENT, "a core that does not exist");
	is(ping(~0u), -ENOENT, "nor does the last one");
	is((long)g_w.ck[1]->counter[COUNT_LOCAL(RPC_PING)], 1, "near: counted");
	is(g_w.ck[1]->lock, 0, "near: the lock is free again");
	world_end(&g_w);
}

static void server(u32 core)
{
	struct ctx *c = &g_w.ctx[core];

	for (;;) {
		msg_drain(c);
		msg_agent_sleep(c, -1);
	}
}

static void t_far(u32 model)
{
	const char *name = world_model(model);
	struct req_RESOLVE q = { .name = { "x", 300, 0 } };
	struct rep_RESOLVE p;
	struct trace_ring *t;
	u32 wrong = 0;
	pid_t pid;

	begin(&(struct world_cfg){ .cores = 2, .model = model });
	pid = world_fork(&g_w);
	if (!pid)
		server(1);
	for (u32 i = 0; i < 500; i++)
		wrong += ping(1) != LOAD + 1;
	is(wrong, 0, "%s: 500 calls", name);
	is((long)g_w.ck[0]->counter[COUNT_SENT(RPC_PING)], 500, "%s: counted as sent",
	   name);
	is(rpc_resolve(&g_w.ctx[0], 1, &q, &p), -EMSGSIZE,
	   "%s: what its row does not allow", name);
	t = trace_ring(g_w.ck[0]);
	g_w.ck[0]->tracing = 1;
	ping(1);
	ping(0);
	g_w.ck[0]->tracing = 0;
	ping(1);
	ok(t->next == 2 && t->rec[0].id == RPC_PING && t->rec[0].where == 1 &&
		   t->rec[0].peer == 1 && t->rec[1].where == 0 && t->rec[1].cost_ns > 0,
	   "%s: traced while that is on", name);
	kill(pid, SIGKILL);
	world_wait(pid);
	world_end(&g_w);
}

/* With local calls switched off even the own core is reached by message, without an agent. */
static void t_self(void)
{
	u32 wrong = 0;

	begin(&(struct world_cfg){ .cores = 1, .without = WITHOUT_LOCAL_CALLS });
	for (u32 i = 0; i < 1000; i++)
		wrong += ping(0) != LOAD;
	is(wrong, 0, "to the own core by message");
	is((long)g_w.ck[0]->counter[COUNT_SERVED(RPC_PING)], 1000, "served as messages");
	is(world_check(&g_w, 0), 0, "sound");
	world_end(&g_w);
}

/* Messages that no stub makes. */
static void t_strange(void)
{
	struct ctx *a, *b;
	u64 seed = 6;

	begin(&(struct world_cfg){ .cores = 2 });
	a = &g_w.ctx[0], b = &g_w.ctx[1];
	for (u32 i = 0; i < 3000; i++) {
		struct msg_hdr h = { .len = (u32)t_random(&seed) % 200,
				     .wake = (u32)t_random(&seed),
				     .type = (u16)t_random(&seed),
				     .kind = (u8)t_random(&seed),
				     .slot = (u32)t_random(&seed),
				     .seq = (u32)t_random(&seed) };
		u64 data[30];

		if (i % 2) /* garbage as a request of PING is refused */
			h.type = RPC_PING, h.kind = MSG_REQUEST, h.len += h.len == 4;
		else if (h.type < RPC_COUNT)
			h.type = RPC_NONE;
		for (u32 k = 0; k < 30; k++)
			data[k] = t_random(&seed);
		ck_lock(a, a->ck);
		msg_post(a, a->ck, 1, &h, data);
		msg_unlock(a, a->ck);
		msg_drain(b);
		msg_drain(a);
	}
	is(world_check(&g_w, 0) + world_check(&g_w, 1), 0, "strange messages do no harm");
	is((long)g_w.ck[1]->counter[COUNT_SERVED(RPC_PING)], 1500,
	   "and are answered if they ask");
	world_end(&g_w);
}

int main(void)
{
	t_near();
	t_far(MEM_COHERENT);
	t_far(MEM_EMULATED);
	t_self();
	t_strange();
	return done_testing();
}
