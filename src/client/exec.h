/* SPDX-License-Identifier: MIT */
/* What exec.c and exec_far.c share. */
#ifndef HARE_CLIENT_EXEC_H
#define HARE_CLIENT_EXEC_H

#include "client/process.h"

/* Starts the planned program on core plan->target. False: it stays here, nothing has changed. */
bool exec_far(struct task *t, struct exec_plan *plan);
/* It was started by an EXEC: a proxy stands for it on the core where it was born, or went from
 * first. */
static inline bool exec_has_proxy(const struct proc *p)
{
	return p->proxy_core != MAX_CORES;
}
/* It has gone on to core target: its proxy is told, this process is to end. */
void exec_moved(struct task *t, u32 target);
/* The program is there: what it took along is its own. */
void exec_pass_done(struct task *t, struct proc *p);

/* What p runs from now on: a description of path_open_exec, whose reference moves there (NULL: the
 * host's, or nothing); what it ran before can be written again. */
void exec_runs(struct task *t, struct proc *p, struct ofd *o);
/* The thread ends: its exec_mem goes. */
void exec_forget(struct task *t);

#endif
