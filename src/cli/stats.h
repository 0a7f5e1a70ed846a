/* SPDX-License-Identifier: MIT */
/* What the cores counted, read without stopping them. See stats.c. */
#ifndef HARE_CLI_STATS_H
#define HARE_CLI_STATS_H

#include "cli/view.h"
#include "fileserver/fileserver.h"
#include "proto/rpc.h"

struct core_stats {
	u64 counter[CK_COUNTERS];
	struct fs_stats fs;
	u64 running; /* processes now, proxies left out */
	u64 recovered; /* times a dead process's transaction was taken back */
};

/* One core now; into sum, added. */
void stats_read(struct view *v, u32 core, struct core_stats *s);
void stats_add(struct core_stats *sum, const struct core_stats *s);
void stats_sub(struct core_stats *s,
	       const struct core_stats *before); /* counters alone */

/* Of all RPCs: handlers run by their callers, requests and one-way messages sent by programs, and
 * messages that arrived (requests and one-way messages, those of handlers included). */
u64 stats_local(const struct core_stats *s);
u64 stats_sent(const struct core_stats *s);
u64 stats_served(const struct core_stats *s);
/* Messages that travelled, counted where they arrived; a call's reply is one of its own. */
u64 stats_messages(const struct core_stats *s);

#endif
