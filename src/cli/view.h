/* SPDX-License-Identifier: MIT */
/*
 * A running instance as `hare ps`, `stat`, `trace` and `fsck` see it: the core kernels of all
 * its cores, also of several islands, mapped into this process. Only a tool of the host may do
 * that; no program's Hare code ever does.
 *
 * Works the same for a hare command that is a program of the instance and for one outside
 * (--name). A command inside makes no system call that could reach Hare while it holds a core's
 * lock: it would wait for itself. So: gather under the lock, print after it.
 */
#ifndef HARE_CLI_VIEW_H
#define HARE_CLI_VIEW_H

#include "mem/mem.h"

struct view {
	const struct super *super;
	u32 cores, islands;
	bool inside; /* this command is a program of the instance */
	struct island isl[MAX_CORES]; /* by island */
	struct ctx ctx[MAX_CORES]; /* by core: for its lock and its handlers */
	s32 keeper[MAX_CORES]; /* by island; 0: its kernel is ours */
};

/* Finds the instance (name NULL: the one that we run in, or the only one) and maps it. 0, or
 * the command's exit status after a line on stderr. */
int view_open(struct view *v, const char *name);

/* A core's lock, waited for but never taken over from a holder that looks dead: seen from inside,
 * the host's processes may look so. Ends the command when it cannot be had for long. */
struct ctx *view_lock(struct view *v, u32 core);
void view_unlock(struct view *v, u32 core);

static inline struct ck *view_ck(const struct view *v, u32 core)
{
	return v->ctx[core].ck;
}

/* --- options that these commands share: util.c ---------------------------------------------- */

/* `--opt VALUE` or `--opt=VALUE` at argv[*i]: the value, *i moved; NULL when it is another. */
const char *opt_value(int argc, char **argv, int *i, const char *opt);
/* "hare: what 'subject': see 'hare help CMD'" on stderr (subject may be NULL); 2. */
int usage(const char *cmd, const char *what, const char *subject);
/* The same for an option or argument that the command does not know. */
int usage_option(const char *cmd, const char *arg);

#endif
