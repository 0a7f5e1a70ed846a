/* SPDX-License-Identifier: MIT */
/* hare stat: what every core did and holds, a column each, and the total. */
#include <stdio.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/stats.h"

typedef u64 (*stat_fn)(const struct core_stats *s);

#define COUNTER_FN(fn, index)                                                            \
	static u64 fn(const struct core_stats *s)                                        \
	{                                                                                \
		return s->counter[index];                                                \
	}
#define FIELD_FN(fn, field)                                                              \
	static u64 fn(const struct core_stats *s)                                        \
	{                                                                                \
		return s->field;                                                         \
	}
COUNTER_FN(get_procs, COUNT_PROCS)
COUNTER_FN(get_forks, COUNT_FORKS)
COUNTER_FN(get_exec_local, COUNT_EXEC_LOCAL)
COUNTER_FN(get_exec_remote, COUNT_EXEC_REMOTE)
COUNTER_FN(get_syscalls, COUNT_SYSCALLS)
COUNTER_FN(get_host_calls, COUNT_HOST_CALLS)
COUNTER_FN(get_cache_hits, COUNT_CACHE_HITS)
COUNTER_FN(get_invalidations, COUNT_INVALIDATIONS)
COUNTER_FN(get_broadcasts, COUNT_BROADCASTS)
COUNTER_FN(get_read, COUNT_BYTES_READ)
COUNTER_FN(get_written, COUNT_BYTES_WRITTEN)
FIELD_FN(get_running, running)
FIELD_FN(get_inodes, fs.inodes)
FIELD_FN(get_entries, fs.entries)
FIELD_FN(get_free, fs.blocks_free)
FIELD_FN(get_heap, fs.heap)
FIELD_FN(get_heap_used, fs.heap_used)
FIELD_FN(get_recovered, recovered)

static u64 get_used(const struct core_stats *s)
{
	return s->fs.blocks - s->fs.blocks_free;
}

/* The rows: key of --json, and what it is. A NULL key is a blank line. */
static const struct stat_row {
	const char *key, *text;
	stat_fn get;
} g_rows[] = {
	{ "running", "processes now", get_running },
	{ "processes", "programs started", get_procs },
	{ "forks", "forks", get_forks },
	{ "exec_local", "exec on the same core", get_exec_local },
	{ "exec_remote", "exec on another core", get_exec_remote },
	{ NULL, NULL, NULL },
	{ "syscalls", "system calls", get_syscalls },
	{ "host_calls", "  of these, the host's", get_host_calls },
	{ "local_calls", "local calls served", stats_local },
	{ "sent", "requests sent", stats_sent },
	{ "served", "requests served", stats_served },
	{ "messages", "messages, with replies", stats_messages },
	{ "broadcasts", "broadcasts", get_broadcasts },
	{ "cache_hits", "directory cache hits", get_cache_hits },
	{ "invalidations", "invalidations", get_invalidations },
	{ NULL, NULL, NULL },
	{ "inodes", "files and directories", get_inodes },
	{ "entries", "names", get_entries },
	{ "blocks_used", "blocks used (4 KiB)", get_used },
	{ "blocks_free", "blocks free", get_free },
	{ "bytes_read", "bytes read", get_read },
	{ "bytes_written", "bytes written", get_written },
	{ "kernel_bytes_used", "kernel memory used", get_heap_used },
	{ "kernel_bytes", "kernel memory", get_heap },
	{ "recoveries", "recoveries", get_recovered },
};

static void print_table(const struct core_stats *s, const struct core_stats *sum,
			u32 cores)
{
	size_t i;
	u32 c;

	printf("%-24s", "core");
	for (c = 0; c < cores; c++)
		printf(" %12u", c);
	printf(" %14s\n", "all");
	for (i = 0; i < ARRAY_SIZE(g_rows); i++) {
		if (!g_rows[i].key) {
			putchar('\n');
			continue;
		}
		printf("%-24s", g_rows[i].text);
		for (c = 0; c < cores; c++)
			printf(" %12llu", (unsigned long long)g_rows[i].get(&s[c]));
		printf(" %14llu\n", (unsigned long long)g_rows[i].get(sum));
	}
}

static void json_rows(const struct core_stats *s)
{
	const char *sep = "";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(g_rows); i++) {
		if (!g_rows[i].key)
			continue;
		printf("%s\"%s\": %llu", sep, g_rows[i].key,
		       (unsigned long long)g_rows[i].get(s));
		sep = ", ";
	}
}

/* RPCs that nobody made are left out. */
static void json_rpcs(const struct core_stats *s)
{
	const char *sep = "";
	u32 id;

	for (id = 1; id < RPC_COUNT; id++) {
		u64 local = s->counter[COUNT_LOCAL(id)],
		    sent = s->counter[COUNT_SENT(id)];
		u64 served = s->counter[COUNT_SERVED(id)];

		if (!local && !sent && !served)
			continue;
		printf("%s\"%s\": {\"local\": %llu, \"sent\": %llu, \"served\": %llu}",
		       sep, rpc_name(id), (unsigned long long)local,
		       (unsigned long long)sent, (unsigned long long)served);
		sep = ", ";
	}
}

static void json_one(const struct core_stats *s)
{
	json_rows(s);
	printf(", \"rpcs\": {");
	json_rpcs(s);
	printf("}}");
}

static void print_json(const struct view *v, const struct core_stats *s,
		       const struct core_stats *sum)
{
	u32 c;

	printf("{\"cores\": [");
	for (c = 0; c < v->cores; c++) {
		printf("%s\n {\"core\": %u, \"island\": %u, ", c ? "," : "", c,
		       mem_island_of(v->super, c));
		json_one(&s[c]);
	}
	printf("],\n \"total\": {");
	json_one(sum);
	printf("}\n");
}

int cmd_stat(int argc, char **argv)
{
	static struct core_stats s[MAX_CORES], sum;
	static struct view v;
	const char *name = NULL, *val;
	bool json = false;
	u32 c;
	int i, r;

	for (i = 1; i < argc; i++) {
		if ((val = opt_value(argc, argv, &i, "--name")))
			name = val;
		else if (!strcmp(argv[i], "--json"))
			json = true;
		else
			return usage_option("stat", argv[i]);
	}
	r = view_open(&v, name);
	if (r)
		return r;
	for (c = 0; c < v.cores; c++) {
		stats_read(&v, c, &s[c]);
		stats_add(&sum, &s[c]);
	}
	if (json)
		print_json(&v, s, &sum);
	else
		print_table(s, &sum, v.cores);
	return 0;
}
