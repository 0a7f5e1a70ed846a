/* SPDX-License-Identifier: MIT */
/*
 * What the files about processes (process.c, pid.c, exec.c, relay.c) share among themselves.
 */
#ifndef HARE_CLIENT_PROCESS_H
#define HARE_CLIENT_PROCESS_H

#include "client/state.h"
#include "client/syscalls.h"

/* --- process.c ------------------------------------------------------------------------------ */

/* Rings the agent, once for many new processes. */
void agent_wake(struct task *t);
/* The host's fsuid, fsgid and groups of the running thread. t->bounce is overwritten. */
void cred_read(struct task *t, struct cred *cred);
/* From here on its saved uid is the effective one, as after every exec. */
void exec_saves_uid(struct task *t);
/* Closes what p holds; then frees its entry. */
void proc_release(struct task *t, struct proc *p);
void proc_drop(struct task *t, struct proc *p);

/* --- exec.c --------------------------------------------------------------------------------- */

/* References that an exec on another core had taken when its process died: gives them back. */
void exec_pass_undo(struct task *t, struct proc *p);

/* --- pid.c ---------------------------------------------------------------------------------- */

/* What another core could not give the process: from now on it and its children stay here. */
void stay_here(struct task *t);

/* --- relay.c -------------------------------------------------------------------------------- */

/* A process died: what its threads asked of proxies is wanted no more. */
void relay_forget(struct task *t, struct proc *p);
/* One operation on a relayed description, without data. */
long relay_request(struct task *t, struct ofd *o, u32 op, u64 a, u64 b);
/* One operation of the running process's own proxy, see HIO_* in proto/hio.h; its result. */
long relay_own(struct task *t, u32 op, u64 a, u64 b);

#endif
