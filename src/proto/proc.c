/* SPDX-License-Identifier: MIT */
/*
 * The table of processes of one core kernel: entries and the ways to find them. See proc.h.
 */
#include <asm/errno.h>

#include "base/hash.h"
#include "base/str.h"
#include "base/sys.h"
#include "proto/proc.h"
#include "proto/rpc.h"

static struct list *bucket(struct ck *ck, u32 host_pid)
{
	return &proc_root(ck)->hash[hash_u64(host_pid) % PROC_BUCKETS];
}

long proc_init(struct ck *ck)
{
	struct proc_root *r = ck_alloc(ck, sizeof(*r));
	u32 i;

	if (!r)
		return -ENOSPC;
	r->hash = ck_alloc(ck, PROC_BUCKETS * sizeof(*r->hash));
	if (!r->hash)
		return -ENOSPC;
	list_init_fresh(&r->all);
	list_init_fresh(&r->jobs);
	list_init_fresh(&r->watches);
	list_init_fresh(&r->asks);
	for (i = 0; i < PROC_BUCKETS; i++)
		list_init_fresh(&r->hash[i]);
	TX_SET(ck, ck->root[CK_ROOT_SCHED], r);
	return 0;
}

struct proc *proc_new(struct ck *ck)
{
	struct proc_root *r = proc_root(ck);
	struct proc *p = ck_alloc_for(ck, CK_HELD, sizeof(*p));

	if (!p)
		return NULL;
	list_init_fresh(&p->hash);
	list_init_fresh(&p->intents);
	list_init_fresh(&p->hio);
	list_init_fresh(&p->fs_peers);
	p->state = PROC_NEW;
	p->proxy_core = p->target_core = p->tty_core = MAX_CORES;
	p->affinity = ~0ULL;
	p->threads = 1;
	tx_list_add_tail(ck, &r->all, &p->all);
	TX_ADD(ck, r->count, 1);
	TX_ADD(ck, r->threads, 1);
	return p;
}

void proc_set_host_pid(struct ck *ck, struct proc *p, u32 host_pid)
{
	if (p->host_pid == host_pid)
		return;
	tx_list_del(ck, &p->hash);
	TX_SET(ck, p->host_pid, host_pid);
	if (host_pid)
		tx_list_add_tail(ck, bucket(ck, host_pid), &p->hash);
}

void proc_free(struct ck *ck, struct proc *p)
{
	while (!list_empty(&p->hio)) {
		struct list *l = p->hio.next;

		tx_list_del(ck, l);
		ck_free(ck, l); /* the link is a hio's first member */
	}
	tx_list_del(ck, &p->hash);
	tx_list_del(ck, &p->all);
	tx_list_del(ck, &p->fs_peers);
	TX_ADD(ck, proc_root(ck)->count, -1);
	TX_ADD(ck, proc_root(ck)->threads, -(u64)p->threads);
	if (p->exe)
		ck_free(ck, p->exe);
	ck_free(ck, p);
}

struct proc *proc_by_host_pid(struct ck *ck, u32 host_pid)
{
	struct list *head = bucket(ck, host_pid), *l;

	if (!host_pid)
		return NULL;
	for (l = head->next; l != head; l = l->next) {
		struct proc *p = LIST_ENTRY(l, struct proc, hash);

		if (p->host_pid == host_pid)
			return p;
	}
	return NULL;
}

struct proc *proc_by_pid(struct ck *ck, u32 pid)
{
	struct proc_root *r = proc_root(ck);
	struct proc *p = proc_by_host_pid(ck, pid), *proxy = NULL;
	struct list *l;

	if (!pid)
		return NULL;
	if (p && p->pid == pid && p->state != PROC_PROXY)
		return p;
	for (l = r->all.next; l != &r->all; l = l->next) {
		p = LIST_ENTRY(l, struct proc, all);
		if (p->pid != pid || (p->flags & PROC_TOOL))
			continue;
		if (p->state != PROC_PROXY)
			return p;
		proxy = p;
	}
	return proxy;
}

struct proc *proc_from_console(struct ck *ck, u32 pgid)
{
	struct proc_root *r = proc_root(ck);
	struct list *l;

	for (l = r->all.next; l != &r->all && r->pid_turn; l = l->next) {
		struct proc *p = LIST_ENTRY(l, struct proc, all);

		if ((p->flags & PROC_TOOL) && !p->host_pgid && (!pgid || p->pgid == pgid))
			return p;
	}
	return NULL;
}

long proc_set_exe(struct ck *ck, struct proc *p, const char *exe)
{
	size_t len = strlen(exe) + 1;
	char *copy = ck_alloc(ck, len);

	if (!copy)
		return -ENOSPC;
	memcpy(copy, exe, len);
	if (p->exe)
		ck_free(ck, p->exe);
	TX_SET(ck, p->exe, copy);
	return 0;
}

u32 proc_members(struct ck *ck, u32 pgid, u32 except, u32 after, u32 *pids, u32 max)
{
	struct proc_root *r = proc_root(ck);
	u32 n = 0, i;

	for (struct list *l = r->all.next; l != &r->all; l = l->next) {
		struct proc *p = LIST_ENTRY(l, struct proc, all);

		if (!proc_is_at_home(p) || p->pid == except || p->pid <= after ||
		    (pgid && p->pgid != pgid))
			continue;
		if (n == max && p->pid >= pids[n - 1])
			continue;
		i = n < max ? n++ : n - 1;
		for (; i && pids[i - 1] > p->pid; i--)
			pids[i] = pids[i - 1];
		pids[i] = p->pid;
	}
	return n;
}

#define SIG_CONT 18

bool proc_may_signal(const struct proc *p, const struct sender *s, u32 sig)
{
	return !s->euid || s->euid == p->suid || s->euid == p->ruid ||
	       s->ruid == p->suid || s->ruid == p->ruid ||
	       (sig == SIG_CONT && s->sid && s->sid == p->sid);
}

/* To the one thread, not to the process: of a kind the kernel keeps one signal alone in each of the two
 * queues, and a SIGCONT of the program's own is not to be lost over this one. */
long proc_wake(u32 host_pid)
{
	union {
		struct signal_info i;
		u8 room[SIGNAL_INFO_SIZE];
	} info = { .i = { .signo = SIG_CONT,
			  .code = SIGNAL_CODE_QUEUE,
			  .value = PROC_WAKE_SIGNAL } };

	return SYS(rt_tgsigqueueinfo, host_pid, host_pid, SIG_CONT, &info);
}

void proc_offer_back(struct rpc_env *e, struct proc *proxy)
{
	struct proc_root *r = proc_root(e->ck);

	if (!proxy->offer)
		return;
	tx_list_add_tail(e->ck, &r->jobs, &proxy->offer->link);
	TX_SET(e->ck, proxy->offer, NULL);
	if (r->job_slot)
		rpc_wake(e, e->srv, r->job_slot, r->job_seq);
}
