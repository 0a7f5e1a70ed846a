/* SPDX-License-Identifier: MIT */
/*
 * What exec keeps and the host's kernel knows of a process beside its ids, limits and signals: read where a
 * program leaves its core (exec_far.c), set where it goes on (exec_arrive.c), also when that is its proxy at
 * home, which has what the program had when it left. Called from these, and by prctl.
 *
 * What cannot be had from the kernel, or not be set again, keeps the program, and what it forks, on its core
 * from the moment when it asks for it (stay_here): the capability sets, securebits and the like. Filters of
 * seccomp and a tracer are seen at the exec (read_status).
 */
#include <asm/errno.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <linux/time.h>

#include "base/str.h"
#include "base/sys.h"
#include "client/exec.h"
#include "proto/hio.h"

#define IOPRIO_WHO_PROCESS_  1
#define PR_SET_MDWE_	     65
#define PR_SET_MEMORY_MERGE_ 67
#define OOM_FILE	     "/proc/self/oom_score_adj"

static s32 g_oom; /* what this process has, see exec_keep_agent */

/* --- what it has ------------------------------------------------------------------------------- */

static bool read_oom(s32 *oom)
{
	char text[16];
	long fd = SYS(open, OOM_FILE, O_RDONLY | O_CLOEXEC, 0), n;
	bool minus;
	u64 v;

	if (sys_failed(fd))
		return false;
	n = SYS(read, fd, text, sizeof(text) - 1);
	SYS(close, fd);
	if (n <= 0)
		return false;
	text[n - (text[n - 1] == '\n')] = 0;
	minus = text[0] == '-';
	if (!str_to_u64(text + minus, &v))
		return false;
	*oom = minus ? -(s32)v : (s32)v;
	return true;
}

/* False: deadlines are shares of a processor, which it would have twice; of other classes than these nothing
 * is known. */
static bool read_sched(struct exec_keep *k)
{
	struct sched_attr a;

	k->nice = 20 - (s32)SYS(getpriority, PRIO_PROCESS, 0);
	if (sys_failed(SYS(sched_getattr, 0, &a, sizeof(a), 0)))
		return false;
	k->policy = a.sched_policy;
	k->priority = a.sched_priority;
	k->sched_flags = a.sched_flags & SCHED_FLAG_RESET_ON_FORK;
	k->ioprio = (s32)SYS(ioprio_get, IOPRIO_WHO_PROCESS_, 0);
	return k->policy <= SCHED_IDLE;
}

static void read_timers(struct exec_keep *k)
{
	for (u32 i = 0; i < EXEC_TIMERS; i++) {
		struct __kernel_old_itimerval it = { 0 };

		SYS(getitimer, i, &it);
		k->timer[i].value_us = timeval_us(&it.it_value);
		k->timer[i].interval_us = timeval_us(&it.it_interval);
	}
}

/* Orphans of a subreaper come to it in the host, where its proxy would get them: it stays. */
bool exec_keep_read(struct exec_keep *k)
{
	s32 subreaper = 0;

	SYS(prctl, PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
	if (subreaper || !read_sched(k) || !read_oom(&k->oom))
		return false;
	k->persona = (u32)SYS(personality, 0xffffffff);
	k->no_new_privs = (u32)SYS(prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	k->thp = (s32)SYS(prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0);
	k->timer_slack = SYS(prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);
	read_timers(k);
	return true;
}

/* --- where it goes on -------------------------------------------------------------------------- */

void exec_keep_agent(void)
{
	(void)read_oom(&g_oom);
}

static void enter_oom(s32 oom)
{
	char text[16];
	long fd;

	if (oom == g_oom)
		return;
	fd = SYS(open, OOM_FILE, O_WRONLY | O_CLOEXEC, 0);
	if (sys_failed(fd))
		return;
	SYS(write, fd, text, str_format(text, sizeof(text), "%d", oom));
	SYS(close, fd);
}

/* First the nice value, which the policy of real time hides, and from which an ioprio follows. */
static void enter_sched(const struct exec_keep *k)
{
	struct exec_keep own = { 0 };
	struct sched_attr a = {
		.size = sizeof(a),
		.sched_policy = k->policy,
		.sched_flags = k->sched_flags,
		.sched_nice = k->nice,
		.sched_priority = k->priority,
	};

	(void)read_sched(&own);
	if (k->nice != own.nice)
		SYS(setpriority, PRIO_PROCESS, 0, k->nice);
	if (k->policy != own.policy || k->priority != own.priority ||
	    k->sched_flags != own.sched_flags)
		SYS(sched_setattr, 0, &a, 0);
	if (k->ioprio >= 0 && k->ioprio != SYS(ioprio_get, IOPRIO_WHO_PROCESS_, 0))
		SYS(ioprio_set, IOPRIO_WHO_PROCESS_, 0, k->ioprio);
}

static void enter_timers(const struct exec_keep *k)
{
	for (u32 i = 0; i < EXEC_TIMERS; i++) {
		u64 us = k->timer[i].value_us, interval = k->timer[i].interval_us;
		struct __kernel_old_itimerval it = {
			.it_value = { (long)(us / 1000000), (long)(us % 1000000) },
			.it_interval = { (long)(interval / 1000000),
					 (long)(interval % 1000000) },
		};

		if (us)
			SYS(setitimer, i, &it, 0);
	}
}

void exec_keep_enter(const struct exec_keep *k)
{
	enter_oom(k->oom);
	enter_sched(k);
	enter_timers(k);
	if (k->persona != (u32)SYS(personality, 0xffffffff))
		SYS(personality, k->persona);
	/* 0: a policy of real time has none, and would set another one */
	if (k->timer_slack > 0 &&
	    k->timer_slack != SYS(prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0))
		SYS(prctl, PR_SET_TIMERSLACK, k->timer_slack, 0, 0, 0);
	if (k->no_new_privs)
		SYS(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* --- what stays -------------------------------------------------------------------------------- */

static bool stays(const long a[6])
{
	switch (a[0]) {
	case PR_CAPBSET_DROP:
	case PR_SET_SECUREBITS:
	case PR_SET_SPECULATION_CTRL:
	case PR_SET_IO_FLUSHER:
	case PR_SET_MDWE_:
	case PR_SET_MEMORY_MERGE_:
	case PR_SET_TSC:
	case PR_MCE_KILL:
		return true;
	case PR_CAP_AMBIENT:
		return a[1] != PR_CAP_AMBIENT_IS_SET;
	case PR_SCHED_CORE:
		return a[1] == PR_SCHED_CORE_CREATE || a[1] == PR_SCHED_CORE_SHARE_FROM;
	default:
		return false;
	}
}

/* The parent's death, which the proxy alone sees: here the parent is the agent. The signal comes as any other
 * does, or ends the proxy and so the program. */
static long parent_death(struct task *t, const long a[6])
{
	bool ask = a[0] == PR_GET_PDEATHSIG;
	s32 sig;
	long r;

	if (!ask && (u64)a[1] > SIGNAL_MAX)
		return -EINVAL;
	r = relay_own(t, HIO_PDEATHSIG, ask ? PDEATHSIG_ASK : (u64)a[1], 0);
	sig = (s32)r;
	if (!ask || r < 0)
		return r;
	return user_write((void *)a[1], &sig, sizeof(sig)) ? -EFAULT : 0;
}

long client_prctl(struct task *t, long a[6])
{
	long r;

	if ((a[0] == PR_SET_PDEATHSIG || a[0] == PR_GET_PDEATHSIG) &&
	    exec_has_proxy(t->proc))
		return parent_death(t, a);
	if (!stays(a))
		return CLIENT_HOST;
	r = sys_call6(__NR_prctl, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (!sys_failed(r))
		stay_here(t);
	return r;
}
