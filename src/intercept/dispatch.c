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

/* Whether the call follows a symlink at the end of its path. */
static bool at_follows(long nr, const long a[6])
{
	switch (nr) {
	case __NR_newfstatat:
		return !(a[3] & AT_SYMLINK_NOFOLLOW);
	case __NR_statx:
		return !(a[2] & AT_SYMLINK_NOFOLLOW);
	case __NR_faccessat2:
		return !(a[3] & AT_SYMLINK_NOFOLLOW);
	default:
		return true;
	}
}

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

static inline long route(struct task *task, long nr, long a[6])
{
	long ret;

	switch (nr) {
#define ROUTE_CLIENT(name)                                                               \
	ret = client_##name(task, a);                                                    \
	break;
#define ROUTE_PATH(name)                                                                 \
	if (!fixes_late(__NR_##name))                                                    \
		fix_exe(task, &a[0]);                                                    \
	ret = client_##name(task, a);                                                    \
	if (fixes_late(__NR_##name) && ret == CLIENT_HOST && fix_exe(task, &a[0]))       \
		ret = client_##name(task, a);                                            \
	break;
#define ROUTE_AT(name)                                                                   \
	if (!fixes_late(__NR_##name) && at_follows(__NR_##name, a))                      \
		fix_exe(task, &a[1]);                                                    \
	ret = client_##name(task, a);                                                    \
	if (fixes_late(__NR_##name) && ret == CLIENT_HOST &&                             \
	    at_follows(__NR_##name, a) && fix_exe(task, &a[1]))                          \
		ret = client_##name(task, a);                                            \
	break;
#define ROUTE_ICPT(name) return icpt_##name(task, a);
#define ROUTE_HOST(name)                                                                 \
	ret = CLIENT_HOST;                                                               \
	break;
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
	if (ret != CLIENT_HOST)
		return ret;
	if (likely(task->ctx.ck))
		task->ctx.ck->counter[COUNT_HOST_CALLS]++;
	thread_of(task)->at_host = true;
	ret = icpt_host_call(nr, a);
	if (unlikely(ret == -EFAULT) && client_unshown(task, a))
		ret = icpt_host_call(nr, a);
	return ret;
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
	r.result = route(task, nr, a);
	r.cost_ns = (u32)(host_monotonic_ns() - r.time_ns);
	r.where = t->at_host;
	trace_add(task->ctx.ck, &r);
	return r.result;
}

static inline long route_counted(struct task *task, long nr, long a[6])
{
	struct ck *ck = task->ctx.ck;

	if (unlikely(!ck)) /* the loader's own calls, before the core kernel is mapped */
		return route(task, nr, a);
	ck->counter[COUNT_SYSCALLS]++;
	return trace_is_on(ck) ? route_traced(task, nr, a) : route(task, nr, a);
}

long icpt_syscall(struct task *task, long nr, long a[6])
{
	struct thread *t = thread_of(task);
	long ret;

	t->calls++;
	if (unlikely(t->process->freeze))
		thread_park(t);
	if (likely(g_program.trace_fd < 0))
		return route_counted(task, nr, a);

	long args[6] = { a[0], a[1], a[2], a[3], a[4], a[5] };

	ret = route_counted(task, nr, a);
	trace_call(t, nr, args, ret);
	return ret;
}

void icpt_enter(struct frame *f)
{
	struct thread *t = thread_self();
	long a[6] = { (long)f->rdi, (long)f->rsi, (long)f->rdx,
		      (long)f->r10, (long)f->r8,  (long)f->r9 };
	long ret = icpt_syscall(&t->task, (long)f->nr, a);

	if (unlikely(ret <= -HARE_ERESTARTSYS && ret >= -HARE_ERESTARTNOHAND))
		ret = signal_finish(t, f, ret);
	f->rax = (u64)ret;
	if (unlikely(client_may_cut(&t->task)))
		t->cut = 1;
}
