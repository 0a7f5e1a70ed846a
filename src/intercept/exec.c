/* SPDX-License-Identifier: MIT */
/*
 * execve and execveat: the host executes this loader again, which maps the program.
 *
 *   hare-ld MODE ARGS ARGV0 PATH [ARG...]
 *
 * MODE is `run`, or `proxy` when the program was started on another core. ARGS are the
 * client's (memory descriptors, core) and ours: the signal mask, ignored signals,
 * comm, tracing. Signals stay blocked from here until the new image is ready, as one that
 * came in between would find no handler; what is pending stays pending, as at any exec.
 */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "base/race.h"
#include "intercept/icpt.h"

struct exec {
	struct exec_plan plan;
	char args[1024];
};

/* The loader's command line; the plan left room for it before the program's. */
static char **make_argv(struct exec *x)
{
	char **words = x->plan.argv - EXEC_WORDS;

	words[0] = (char *)"hare-ld";
	words[1] = (char *)(x->plan.remote ? "proxy" : "run");
	words[2] = x->args;
	words[3] = x->plan.argc ? x->plan.argv[0] : (char *)"";
	words[4] = x->plan.path;
	return words;
}

static void make_args(struct thread *t, struct exec *x, u64 mask)
{
	int len = str_format(x->args, sizeof(x->args), "%s,mask=%lx,ignore=%lx",
			     x->plan.loader_args, (unsigned long)(mask | t->vmask),
			     (unsigned long)signal_ignored(t));

	if (g_program.trace_fd >= 0)
		len += str_format(x->args + len, sizeof(x->args) - (size_t)len,
				  ",trace=%d", g_program.trace_fd);
	len += str_format(x->args + len, sizeof(x->args) - (size_t)len, ",patch=%u",
			  g_program.patch_after);
	/* last, because it may hold any character */
	str_format(x->args + len, sizeof(x->args) - (size_t)len, ",name=%s",
		   x->plan.comm);
}

/* A signal that came before they were blocked waits for the new program. */
static u64 block_for_exec(struct thread *t)
{
	u64 mask;

	signal_block_all(&mask);
	if (t->work) {
		mask = t->saved_mask;
		signal_send_self((int)t->deferred.sig, &t->deferred.info);
		t->work = 0;
	}
	signal_own_to_host(t);
	return mask;
}

static long run_loader(struct exec *x)
{
	char **words = make_argv(x);
	long ret = SYS(execveat, g_program.loader_fd, "", words, x->plan.envp,
		       AT_EMPTY_PATH);

	if (ret == -EBADF)
		ret = SYS(execve, "/proc/self/exe", words, x->plan.envp);
	return ret;
}

static long exec_planned(struct task *task, struct exec *x)
{
	struct thread *t = thread_of(task);
	long ret;
	u64 mask;

	thread_freeze(t);
	mask = block_for_exec(t);
	make_args(t, x, mask);
	client_exec_commit(task, &x->plan);
	race_point("committed", RACE_AT);
	ret = run_loader(x);
	if (x->plan.remote) /* the program is elsewhere, and this one has no descriptors left */
		SYS(tkill, t->tid, SIGKILL);
	signal_set_mask(mask);
	thread_thaw(t);
	return ret;
}

/* What the host does not know of signals: own ones that are blocked or ignored in name, and what is blocked
 * when one that was caught in this call has all blocked to its end. */
static void own_signals(struct thread *t, struct exec_plan *plan)
{
	u64 mask;

	SYS(rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8);
	compiler_barrier(); /* one that is caught from here on has not changed it */
	plan->mask = (t->work ? t->saved_mask : mask) | t->vmask;
	plan->ignored = 0;
	for (int sig = 1; sig <= SIG_MAX; sig++)
		if (OWN_SIGNALS & SIG_BIT(sig) &&
		    t->sighand->act[sig].handler == (u64)SIG_IGN)
			plan->ignored |= SIG_BIT(sig);
}

static long do_exec(struct task *task, int dirfd, const char *path, char **argv,
		    char **envp, int flags)
{
	struct exec x;
	long ret;

	if (proc_is_exe(task, path))
		path = program_exe();
	own_signals(thread_of(task), &x.plan);
	ret = client_exec_prepare(task, dirfd, path, argv, envp, flags, &x.plan);
	if (ret)
		return ret;
	ret = exec_planned(task, &x);
	client_exec_drop(&x.plan);
	return ret;
}

long icpt_execve(struct task *task, long a[6])
{
	return do_exec(task, AT_FDCWD, (const char *)a[0], (char **)a[1], (char **)a[2],
		       0);
}

long icpt_execveat(struct task *task, long a[6])
{
	return do_exec(task, (int)a[0], (const char *)a[1], (char **)a[2], (char **)a[3],
		       (int)a[4]);
}
