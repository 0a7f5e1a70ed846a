/* SPDX-License-Identifier: MIT */
/*
 * execve and execveat: the host executes this loader again, which maps the program.
 *
 *   hare-ld MODE ARGS ARGV0 PATH [ARG...]
 *
 * MODE is `run`, or `proxy` when the program was started on another core. ARGS are the
 * client's (memory descriptors, core) and ours: the signal mask, ignored own signals,
 * comm, tracing. Signals stay blocked from here until the new image is ready, as one that
 * came in between would find no handler; what is pending stays pending, as at any exec.
 */
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "intercept/icpt.h"

#define FIXED_ARGS 5 /* hare-ld MODE ARGS ARGV0 PATH */
#define COMM_SIZE  16

struct exec {
	struct exec_plan plan;
	char args[1024];
	char **argv;
	size_t argv_size;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The loader's command line, in memory of its own. */
static long make_argv(struct exec *x)
{
	const struct exec_plan *p = &x->plan;
	u32 rest = p->argc > 1 ? p->argc - 1 : 0;
	long mem;

	x->argv_size = (FIXED_ARGS + (size_t)rest + 1) * sizeof(char *);
	mem = SYS(mmap, NULL, x->argv_size, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sys_failed(mem))
		return mem;
	x->argv = (char **)mem;
	x->argv[0] = (char *)"hare-ld";
	x->argv[1] = (char *)(p->remote ? "proxy" : "run");
	x->argv[2] = x->args;
	x->argv[3] = p->argc ? p->argv[0] : (char *)"";
	x->argv[4] = (char *)p->path;
	for (u32 i = 0; i < rest; i++)
		x->argv[FIXED_ARGS + i] = p->argv[i + 1];
	x->argv[FIXED_ARGS + rest] = NULL;
	return 0;
}

static void make_args(struct thread *t, struct exec *x, u64 mask)
{
	const char *name = base_name(x->plan.name[0] ? x->plan.name : x->plan.path);
	int len = str_format(x->args, sizeof(x->args), "%s,mask=%lx,ignore=%lx",
			     x->plan.loader_args, (unsigned long)(mask | t->vmask),
			     (unsigned long)signal_ignored_own(t));

	if (g_program.trace_fd >= 0)
		len += str_format(x->args + len, sizeof(x->args) - (size_t)len,
				  ",trace=%d", g_program.trace_fd);
	len += str_format(x->args + len, sizeof(x->args) - (size_t)len, ",patch=%u",
			  g_program.patch_after);
	/* last, because it may hold any character */
	str_format(x->args + len, sizeof(x->args) - (size_t)len, ",name=%.*s",
		   COMM_SIZE - 1, name);
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
	return mask;
}

static long run_loader(struct exec *x)
{
	long ret = SYS(execve, "/proc/self/exe", x->argv, x->plan.envp);

	if (ret == -ENOENT || ret == -EACCES)
		ret = SYS(execve, g_program.loader, x->argv, x->plan.envp);
	return ret;
}

static long exec_planned(struct task *task, struct exec *x)
{
	struct thread *t = thread_of(task);
	long ret = make_argv(x);
	u64 mask;

	if (ret)
		return ret;
	thread_freeze(t);
	mask = block_for_exec(t);
	make_args(t, x, mask);
	client_exec_commit(task, &x->plan);
	ret = run_loader(x);
	if (x->plan.remote) /* the program is elsewhere, and this one has no descriptors left */
		SYS(tkill, t->tid, SIGKILL);
	signal_set_mask(mask);
	thread_thaw(t);
	SYS(munmap, x->argv, x->argv_size);
	return ret;
}

static long do_exec(struct task *task, int dirfd, const char *path, char **argv,
		    char **envp, int flags)
{
	struct exec x;
	long ret;

	if (proc_is_exe(path))
		path = g_program.exe;
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
