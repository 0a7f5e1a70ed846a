/* SPDX-License-Identifier: MIT */
/* What exec.c, exec_far.c, exec_arrive.c and exec_home.c share. */
#ifndef HARE_CLIENT_EXEC_H
#define HARE_CLIENT_EXEC_H

#include <linux/time_types.h>

#include "client/process.h"

static inline u64 timeval_us(const struct __kernel_old_timeval *tv)
{
	return (u64)tv->tv_sec * 1000000 + (u64)tv->tv_usec;
}

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
/* For proc.pass: all that is owed is that. In the transaction that enters it; NULL: no memory. */
struct exec_pass *exec_pass_file(struct ck *ck, u64 ino);

/* The two halves of client_exec_receive; st->job is set. */
bool exec_parse(struct exec_start *st, char *data, u32 len, char **pointers, u32 max);
long exec_receive(struct task *t, struct exec_start *st);
/* A descriptor that st->proxy serves, which becomes the program: it is that one's own again. */
bool exec_fd_is_home(const struct exec_start *st, const struct ctx *c,
		     const struct image_fd *d);
/* Such a one, or a duplicate of one. */
bool exec_fd_goes_home(const struct exec_start *st, const struct ctx *c,
		       const struct image_fd *d);
/* In the host process that is to be the program, after client_exec_agent: descriptors may have any number, as
 * they may be beyond a limit that was lowered later; devices; signals, limits, umask, working directory, ids;
 * the loader, which returns when it cannot be executed. */
void exec_raise_limit(void);
long exec_open_devices(const struct exec_start *st);
long exec_enter_state(const struct exec_start *st);
void exec_run_loader(struct task *t, const struct exec_start *st);

/* What exec keeps, exec_keep.c. read: of this process; false: it has something that cannot go along. agent: as
 * client_exec_agent, which calls it. enter: as exec_enter_state, which calls it, and with the rights of before its
 * ids; what this process may not have is left out. */
bool exec_keep_read(struct exec_keep *k);
void exec_keep_agent(void);
void exec_keep_enter(const struct exec_keep *k);

/* The thread ends: its exec_mem goes. */
void exec_forget(struct task *t);

#endif
