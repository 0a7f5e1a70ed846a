/* SPDX-License-Identifier: MIT */
/*
 * From a system call's number to who makes it, by syscalls.def. Called by entry.S with
 * the program's registers; calls src/client, the handlers of this folder, and the host.
 *
 * One `switch` over all numbers: the compiler makes a jump table without relocations and
 * direct calls.
 */
#include <linux/errno.h>
#include <linux/fcntl.h>

#include "intercept/icpt.h"
#include "proto/rpc.h"

/* A path argument that names the program itself means the program, not this loader. */
static inline bool fix_exe(const struct task *task, long *path)
{
	if (likely(!proc_is_exe(task, (const char *)*path)))
		return false;
	*path = (long)program_exe();
	return true;
}

/* Calls that answer CLIENT_HOST for a path of the host and have done nothing then: only those paths
 * are looked at for the program's own name, not Hare's, which would cost each stat 40
 * instructions. The others (open) make the host's call themselves. */
static inline bool fixes_late(long nr)
{
	switch (nr) {
	case __NR_stat:
	case __NR_access:
	case __NR_newfstatat:
	case __NR_statx:
	case __NR_faccessat:
	case __NR_faccessat2:
		return true;
	default:
		return false;
	}
}

/* Their path, if it follows a symlink at its end. */
static long *late_path(long nr, long a[6])
{
	if (!fixes_late(nr))
		return NULL;
	switch (nr) {
	case __NR_stat:
	case __NR_access:
		return &a[0];
	case __NR_newfstatat:
	case __NR_faccessat2:
		return a[3] & AT_SYMLINK_NOFOLLOW ? NULL : &a[1];
	case __NR_statx:
		return a[2] & AT_SYMLINK_NOFOLLOW ? NULL : &a[1];
	default:
		return &a[1];
	}
}

static __attribute__((noinline)) long call_fixed(struct task *task, long a[6], long *path,
						 long (*call)(struct task *, long[6]))
{
	fix_exe(task, path);
	return call(task, a);
}

/* CLIENT_HOST: the host makes it. Only jumps, so that it costs the frequent calls no registers. */
static __attribute__((noinline)) long route(struct task *task, long nr, long a[6])
{
	switch (nr) {
#define ROUTE_CLIENT(name) return client_##name(task, a);
#define ROUTE_PATH(name)                                                                 \
	return fixes_late(__NR_##name) ? client_##name(task, a)                          \
				       : call_fixed(task, a, &a[0], client_##name);
#define ROUTE_AT(name)                                                                   \
	return fixes_late(__NR_##name) ? client_##name(task, a)                          \
				       : call_fixed(task, a, &a[1], client_##name);
#define ROUTE_ICPT(name) return icpt_##name(task, a);
#define ROUTE_HOST(name) return CLIENT_HOST;
#define ROUTE_DENY(name) return -ENOSYS;
#define SYSCALL(number, name, kind, args, note)                                          \
	case number:                                                                     \
		ROUTE_##kind(name)
#include "intercept/syscalls.def"
#undef SYSCALL
	case HARE_CALL: /* the hare command's own, see client.h */
		return client_hare(task, a);
	default:
		return -ENOSYS;
	}
}

static __attribute__((noinline)) long to_host(struct task *task, long nr, long a[6])
{
	long *path = late_path(nr, a);
	long ret;

	if (path && fix_exe(task, path)) {
		ret = route(task, nr, a);
		if (ret != CLIENT_HOST)
			return ret;
	}
	if (likely(task->ctx.ck))
		task->ctx.ck->counter[COUNT_HOST_CALLS]++;
	thread_of(task)->at_host = true;
	ret = icpt_host_call(nr, a);
	if (unlikely(ret == -EFAULT) && client_unshown(task, a))
		ret = icpt_host_call(nr, a);
	return ret;
}

static inline long route_whole(struct task *task, long nr, long a[6])
{
	long ret = route(task, nr, a);

	return ret == CLIENT_HOST ? to_host(task, nr, a) : ret;
}

/* One call while `hare trace` listens. A call that a signal unwinds leaves no record. */
static __attribute__((noinline)) long route_traced(struct task *task, long nr, long a[6])
{
	struct thread *t = thread_of(task);
	struct trace_rec r = {
		.time_ns = host_monotonic_ns(),
		.tid = task->ctx.tid,
		.kind = 1,
		.id = (u16)nr,
		.arg = (u64)a[0],
	};

	t->at_host = false;
	r.result = route_whole(task, nr, a);
	r.cost_ns = (u32)(host_monotonic_ns() - r.time_ns);
	r.where = t->at_host;
	trace_add(task->ctx.ck, &r);
	return r.result;
}

/* Under `hare trace` or --trace, or one of the loader's own before the core kernel is mapped. */
static __attribute__((noinline)) long call_watched(struct task *task, long nr, long a[6])
{
	long args[6] = { a[0], a[1], a[2], a[3], a[4], a[5] };
	struct ck *ck = task->ctx.ck;
	long ret;

	if (ck)
		ck->counter[COUNT_SYSCALLS]++;
	ret = ck && trace_is_on(ck) ? route_traced(task, nr, a)
				    : route_whole(task, nr, a);
	if (g_program.trace_fd >= 0)
		trace_call(thread_of(task), nr, args, ret);
	return ret;
}

static inline bool is_watched(const struct task *task)
{
	const struct ck *ck = task->ctx.ck;

	return g_program.trace_fd >= 0 || !ck || trace_is_on(ck);
}

static inline void call_begins(struct thread *t)
{
	t->calls++;
	if (unlikely(t->process->freeze))
		thread_park(t);
}

long icpt_syscall(struct task *task, long nr, long a[6])
{
	call_begins(thread_of(task));
	return call_watched(task, nr, a);
}

/* The common way is short: what the frame and the thread have is read again where it is needed. */
void icpt_enter(struct frame *f)
{
	struct thread *t = thread_self();
	long a[6] = { (long)f->rdi, (long)f->rsi, (long)f->rdx,
		      (long)f->r10, (long)f->r8,  (long)f->r9 };
	long ret;

	call_begins(t);
	if (unlikely(is_watched(&t->task))) {
		ret = call_watched(&t->task, (long)f->nr, a);
	} else {
		t->task.ctx.ck->counter[COUNT_SYSCALLS]++;
		ret = route(&t->task, (long)f->nr, a);
		if (ret == CLIENT_HOST)
			ret = to_host(&t->task, (long)f->nr, a);
	}
	if (unlikely(ret <= -HARE_ERESTARTSYS && ret >= -HARE_ERESTARTNOHAND))
		ret = signal_finish(t, f, ret);
	f->rax = (u64)ret;
	if (unlikely(client_may_cut(&t->task)))
		t->cut = 1;
}
