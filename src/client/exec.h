/* SPDX-License-Identifier: MIT */
/* What exec.c and exec_far.c share. */
#ifndef HARE_CLIENT_EXEC_H
#define HARE_CLIENT_EXEC_H

#include "client/process.h"

/* Starts the planned program on core plan->target. False: it stays here, nothing has changed. */
bool exec_far(struct task *t, struct exec_plan *plan);
/* The program is there: what it took along is its own. */
void exec_pass_done(struct task *t, struct proc *p);

/* The thread ends: its exec_mem goes. */
void exec_forget(struct task *t);

#endif
