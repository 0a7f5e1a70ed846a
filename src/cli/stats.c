/* SPDX-License-Identifier: MIT */
/*
 * What the cores counted. Counters are read as they are, without the lock: each is one aligned
 * word. What the file server sums up is read under the lock.
 */
#include <string.h>

#include "cli/stats.h"
#include "proto/proc.h"

#define REQ(...)
#define REP(...)

void stats_read(struct view *v, u32 core, struct core_stats *s)
{
	struct ctx *c = view_lock(v, core);
	struct proc_root *root;
	struct list *l;
	u32 i;

	s->running = 0;
	fs_stats(c->ck, &s->fs);
	root = proc_root(c->ck);
	for (l = root->all.next; l != &root->all; l = l->next) {
		const struct proc *p = LIST_ENTRY(l, struct proc, all);

		s->running += p->state == PROC_RUNNING && !(p->flags & PROC_TOOL);
	}
	for (i = 0; i < CK_COUNTERS; i++)
		s->counter[i] = c->ck->counter[i];
	s->recovered = c->ck->recovered;
	view_unlock(v, core);
}

void stats_add(struct core_stats *sum, const struct core_stats *s)
{
	u32 i;

	for (i = 0; i < CK_COUNTERS; i++)
		sum->counter[i] += s->counter[i];
	sum->running += s->running;
	sum->recovered += s->recovered;
	sum->fs.inodes += s->fs.inodes;
	sum->fs.entries += s->fs.entries;
	sum->fs.negative += s->fs.negative;
	sum->fs.blocks += s->fs.blocks;
	sum->fs.blocks_free += s->fs.blocks_free;
	sum->fs.heap += s->fs.heap;
	sum->fs.heap_used += s->fs.heap_used;
}

void stats_sub(struct core_stats *s, const struct core_stats *before)
{
	u32 i;

	for (i = 0; i < CK_COUNTERS; i++)
		s->counter[i] -= before->counter[i];
}

/* A counter that stands for each RPC, over all of them; `first` is that of RPC 0. */
static u64 sum(const struct core_stats *s, u32 first)
{
	u64 n = 0;
	u32 id;

	for (id = 1; id < RPC_COUNT; id++)
		n += s->counter[first + id];
	return n;
}

u64 stats_local(const struct core_stats *s)
{
	return sum(s, COUNT_LOCAL(0));
}

u64 stats_sent(const struct core_stats *s)
{
	return sum(s, COUNT_SENT(0));
}

u64 stats_served(const struct core_stats *s)
{
	return sum(s, COUNT_SERVED(0));
}

u64 stats_messages(const struct core_stats *s)
{
	u64 n = 0;
	u32 id;

	for (id = 1; id < RPC_COUNT; id++)
		n += s->counter[COUNT_SERVED(id)] * (rpc_is_two_way(id) ? 2 : 1);
	return n;
}
