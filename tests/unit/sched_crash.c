/* SPDX-License-Identifier: MIT */
/*
 * ASK, and what the agent does for it, killed after every store of who runs it: the successor does what
 * is left, whoever asked gets the answer or hears that there is none, and nothing of it stays.
 */
#include "proto/proc.h"
#include "sched/sched.h"
#include "unit/world.h"

extern u64 g_crash_at, g_crash_count;

static struct world g;
static u32 g_asked; /* the process that is asked about: this one */
static u8 g_job[SCHED_JOB_MAX] __attribute__((aligned(8)));
static u8 g_data[ASK_DATA_MAX];

static long ask(u32 op, u32 tag, u32 *new_tag)
{
	struct ctx *c = &g.ctx[0];
	struct rpc_env e = { .c = c, .ck = c->ck, .slot = 1 };
	struct req_ASK q = { .op = op,
			     .pid = g_asked,
			     .tag = tag,
			     .wait_seq = op == ASK_RESULT,
			     .name = { .p = "comm", .len = 4 } };
	struct rep_ASK p = { .data = { .p = g_data, .cap = sizeof(g_data) } };
	long r;

	if (op == ASK_RESULT)
		q.name.len = 0;
	ck_lock(c, c->ck);
	r = sched_ask(&e, &q, &p);
	if (r < 0)
		ck_abort(c->ck);
	ck_unlock(c->ck);
	if (new_tag)
		*new_tag = p.tag;
	return r ? r : op == ASK_RESULT ? p.result : 0;
}

static void agent(void)
{
	struct sched_job *job = (struct sched_job *)g_job;

	while (sched_job_first(&g.ctx[0], job)) {
		if (job->kind == JOB_ASK)
			sched_job_ask(&g.ctx[0], job);
		sched_job_done(&g.ctx[0]);
	}
}

static long whole(void)
{
	u32 tag = 0;
	long r = ask(ASK_FILE, 0, &tag);

	if (r)
		return 1;
	if (ask(ASK_RESULT, tag, NULL) != -EAGAIN)
		return 2;
	agent();
	if (ask(ASK_RESULT, tag, NULL) <= 0)
		return 3;
	return ask(ASK_RESULT, tag, NULL) == -ESRCH ? 0 : 4;
}

static void begin(void)
{
	struct ctx *c = &g.ctx[0];
	struct proc *p;

	world_new(&g, &(struct world_cfg){ .cores = 1 });
	ck_lock(c, c->ck);
	need(proc_init(c->ck) == 0 && (p = proc_new(c->ck)), "proc_new");
	p->state = PROC_RUNNING;
	g_asked = (u32)getpid();
	proc_set_host_pid(c->ck, p, g_asked);
	ck_unlock(c->ck);
}

static u64 used(void)
{
	struct ctx *c = &g.ctx[0];
	u64 n;

	ck_lock(c, c->ck);
	ck_commit(c->ck);
	n = c->ck->heap_used;
	ck_unlock(c->ck);
	return n;
}

/* What a successor finds. Answers that nobody fetched are fetched. */
static u32 left(void)
{
	struct proc_root *r = proc_root(g.ck[0]);
	u32 bad = 0, asks = 0;

	bad += world_check(&g, 0); /* takes the lock over */
	for (struct list *l = r->asks.next; l != &r->asks; l = l->next)
		asks++;
	bad += asks != r->ask_count;
	agent();
	for (u32 tag = 1; tag <= r->ask_tag; tag++) {
		long n = ask(ASK_RESULT, tag, NULL);

		bad += n <= 0 && n != -ESRCH;
	}
	bad += !list_empty(&r->asks) || !list_empty(&r->jobs) || r->ask_count;
	return bad + world_check(&g, 0);
}

int main(void)
{
	u64 k = 0, before, after;
	u32 bad = 0, lost = 0;
	int status;

	begin();
	before = used();
	do {
		pid_t pid = world_fork(&g);

		if (!pid) {
			g_crash_count = 0;
			g_crash_at = k + 1;
			_exit((int)whole());
		}
		k++;
		status = world_wait(pid);
		bad += left();
		after = used();
		lost += after > before + 1024;
	} while (status == 99 && bad < 3);
	is(status, 0, "ASK ends well after %lu stores", (unsigned long)k);
	ok(k > 20, "of which there are some");
	is(bad, 0, "it can be killed after any of them");
	is(lost, 0, "and loses no memory");
	world_end(&g);
	return done_testing();
}
