/* SPDX-License-Identifier: MIT */
/*
 * What a far call costs when both sides look by themselves: PING between two processes on two CPUs,
 * in each memory model. To be compared with the line_rtt of `hb line` (bench/README.md).
 */
#include "msg/ring.h"
#include "unit/world.h"

#define SAMPLES 20000
#define BATCH	8

static struct world g_w;

static int by_value(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return (x > y) - (x < y);
}

static void serve(struct ctx *c)
{
	struct doorbell *d = doorbell(c->isl, c->core);

	for (;;) {
		__atomic_store_n(&d->poll_until, host_monotonic_ns() + 1000000,
				 __ATOMIC_RELAXED);
		for (u32 i = 0; i < 1000; i++) {
			if (__atomic_load_n(&d->pending, __ATOMIC_RELAXED))
				msg_drain(c);
			else
				cpu_pause();
		}
	}
}

static void t_ping(u32 model)
{
	static u64 ns[SAMPLES];
	struct ctx *c;
	pid_t pid;

	world_new(&g_w, &(struct world_cfg){ .cores = 2, .model = model });
	rpc_init();
	pid = world_fork(&g_w);
	if (!pid) {
		world_pin(1);
		serve(&g_w.ctx[1]);
	}
	world_pin(0);
	c = &g_w.ctx[0];
	need(msg_slot_take(c) == 0, "a slot");
	for (u32 i = 0; i < SAMPLES; i++) {
		u64 start = host_monotonic_ns();

		for (u32 k = 0; k < BATCH; k++) {
			struct req_PING q = { 0 };
			struct rep_PING p;

			(void)rpc_ping(c, 1, &q, &p);
		}
		ns[i] = (host_monotonic_ns() - start) / BATCH;
	}
	qsort(ns, SAMPLES, sizeof(ns[0]), by_value);
	printf("far call, polled, %-8s  p10 %llu ns  p50 %llu ns  p90 %llu ns\n",
	       world_model(model), (unsigned long long)ns[SAMPLES / 10],
	       (unsigned long long)ns[SAMPLES / 2],
	       (unsigned long long)ns[SAMPLES * 9 / 10]);
	kill(pid, SIGKILL);
	world_wait(pid);
	world_end(&g_w);
}

int main(void)
{
	t_ping(MEM_COHERENT);
	t_ping(MEM_FLUSH);
	t_ping(MEM_EMULATED);
	return 0;
}
