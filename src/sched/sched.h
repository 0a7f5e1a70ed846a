/* SPDX-License-Identifier: MIT */
/*
 * The scheduling server of one core (thesis section 3.6.1): the handlers of the `sched` rows of
 * proto/rpc.def, which never do anything slow themselves but queue jobs for the core's agent,
 * and the proxy that a process becomes when it execs on another core.
 */
#ifndef HARE_SCHED_SCHED_H
#define HARE_SCHED_SCHED_H

#include "mem/mem.h"
#include "proto/proc.h"

struct task;

/* For the agent: the first job, copied to buf of at least SCHED_JOB_MAX bytes. False: none. It
 * stays the first until it is done, so that the successor of an agent that was killed over it
 * finds it again. */
#define SCHED_JOB_MAX (sizeof(struct sched_job) + 16384)
bool sched_job_first(struct ctx *c, struct sched_job *buf);
void sched_job_done(struct ctx *c);
/* The entry of a program that a predecessor made for this job; NULL: none. */
struct proc *sched_job_entry(struct ctx *c, const struct sched_job *job);
/* The first job, an EXEC, is offered to the proxy of its program, if that is of this core. True: it is no
 * job of the agent's now. */
bool sched_offer(struct ctx *c);
/* Sends the signal of a JOB_SIGNAL to whom it is for. */
void sched_job_signal(struct ctx *c, const struct sched_job *job);
/* Does what a JOB_ASK asks for. */
void sched_job_ask(struct ctx *c, const struct sched_job *job);
/* The answer to a JOB_HOST_WATCH. */
void sched_watch_done(struct ctx *c, u32 tag, s64 result);
/* Tells a proxy about its program: wait status and resource usage. */
void sched_report(struct ctx *c, u32 proxy_core, u32 proxy_pid, u32 status, u64 user_us,
		  u64 system_us, u64 maxrss);

/* What a process is that became a proxy: args is "core=N,dram=FD,copy=FD,...". Ends as the
 * program does. home is called, with `arg`, when the program may come back: client_exec_home. */
typedef void sched_home(struct task *arg, const struct ctx *c, struct proc *proxy,
			u32 held, void (*resend)(void));
_Noreturn void sched_proxy_main(const char *args, sched_home *home, struct task *arg);

#endif
