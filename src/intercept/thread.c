/* SPDX-License-Identifier: MIT */
/*
 * Threads and processes: one block for each thread, and clone in all its forms.
 *
 *   block    | alternate stack | guard page | C stack | struct thread |
 *
 * struct thread begins inside of the C stack's first page, so that a short call touches
 * one page of ours: it is one fault less for each fork and exec.
 *
 * A child without CLONE_VM is a copy: it goes on where the parent is, with the block that
 * it has. A child with CLONE_VM (thread, vfork, posix_spawn) gets a block of its own, in
 * which a copy of the parent's frame stands, and starts on that C stack in
 * icpt_child_start; from there it leaves by the exit window like everybody else.
 *
 * Signals are blocked from before the clone until both have their GS, alternate stack and
 * dispatch. Who frees a block: a thread its own, as the last thing it does (entry.S); the
 * parent that of a vfork child; a CLONE_VM child that is no thread its own at exit.
 */
#include <asm/prctl.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/time_types.h>

#include "base/race.h"
#include "intercept/icpt.h"

#define HWCAP2_FSGSBASE 2
#define STACK_OFF	2
#define CLONE_ARGS_MAX	128

#define THREAD_OFF 2560 /* of struct thread in its first page: the stack has the rest */
#define THREAD_SIZE                                                                      \
	(ALIGN_UP(sizeof(struct thread) + THREAD_OFF, (size_t)PAGE_SIZE) - THREAD_OFF)
#define BELOW_THREAD (ALTSTACK_SIZE + PAGE_SIZE + C_STACK_SIZE + THREAD_OFF)
#define BLOCK_SIZE   (BELOW_THREAD + THREAD_SIZE)

/* --- locks -------------------------------------------------------------------------- */

void lock_take(struct lock *l)
{
	u32 free = 0;

	if (__atomic_compare_exchange_n(&l->state, &free, 1, false, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(&l->state, 2, __ATOMIC_ACQUIRE))
		SYS(futex, &l->state, FUTEX_WAIT_PRIVATE, 2, NULL);
}

void lock_drop(struct lock *l)
{
	if (__atomic_exchange_n(&l->state, 0, __ATOMIC_RELEASE) == 2)
		SYS(futex, &l->state, FUTEX_WAKE_PRIVATE, 1);
}

/* --- blocks ------------------------------------------------------------------------- */

static char *block_of(struct thread *t)
{
	return (char *)t - BELOW_THREAD;
}

void *thread_altstack(struct thread *t, size_t *size)
{
	*size = ALTSTACK_SIZE;
	return block_of(t);
}

/* The block of the last vfork child: its pages are there already. */
static struct thread *g_spare;

static struct thread *spare_take(void)
{
	struct thread *t;

	if (!__atomic_load_n(&g_spare, __ATOMIC_RELAXED))
		return NULL;
	t = __atomic_exchange_n(&g_spare, NULL, __ATOMIC_ACQUIRE);
	if (t)
		memset(t, 0, offsetof(struct thread, task.path)); /* scratch behind it */
	return t;
}

static struct thread *block_new(void)
{
	long block = SYS(mmap, NULL, BLOCK_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (sys_failed(block))
		return NULL;
	if (sys_failed(
		    SYS(mprotect, block + (long)ALTSTACK_SIZE, PAGE_SIZE, PROT_NONE))) {
		SYS(munmap, block, BLOCK_SIZE);
		return NULL;
	}
	return (struct thread *)(block + (long)BELOW_THREAD);
}

struct thread *thread_new(void)
{
	struct thread *t = spare_take();

	if (!t)
		t = block_new();
	if (!t)
		return NULL;
	t->self = t;
	t->stack_top = (u64)t;
	t->entry = (u64)icpt_entry;
	t->vstack.ss_flags = STACK_OFF;
	return t;
}

void thread_free(struct thread *t)
{
	t = __atomic_exchange_n(&g_spare, t, __ATOMIC_ACQ_REL);
	if (t)
		SYS(munmap, block_of(t), BLOCK_SIZE);
}

static void set_gs(struct thread *t)
{
	if (g_program.hwcap2 & HWCAP2_FSGSBASE)
		__asm__ volatile("wrgsbase %0" ::"r"(t) : "memory");
	else
		SYS(arch_prctl, ARCH_SET_GS, t);
}

long thread_activate(struct thread *t)
{
	stack_t ss = { 0 };
	size_t size;

	set_gs(t);
	ss.ss_sp = thread_altstack(t, &size);
	ss.ss_size = size;
	SYS(sigaltstack, &ss, NULL);
	return sud_arm();
}

/* --- stopping the others for exec --------------------------------------------------- */

#define FREEZE_LOOK_NS 500000 /* until they are counted again, and asked again */
#define FREEZE_MAX_NS                                                                    \
	60000000000ULL /* a host so busy, or a thread that cannot be stopped */

static void ask_to_stop(s32 pid, s32 tid)
{
	siginfo_t info = { 0 };

	info.si_signo = SIGSYS;
	info.si_code = SI_QUEUE;
	info.si_value.sival_ptr = (void *)(u64)FREEZE_VALUE;
	SYS(rt_tgsigqueueinfo, pid, tid, SIGSYS, &info);
}

struct dirent64 { /* the kernel's */
	u64 ino, off;
	u16 reclen;
	u8 type;
	char name[];
};

static bool asked(struct thread *t, const char *name, s32 pid)
{
	u64 tid;

	if (!str_to_u64(name, &tid) || tid == (u32)t->tid)
		return false; /* . and .., too */
	if (tid == (u32)pid &&
	    __atomic_load_n(&t->process->leader_left, __ATOMIC_RELAXED))
		return false;
	ask_to_stop(pid, (s32)tid);
	return true;
}

/* How many threads but t the host lists; each is asked to stop. -errno when they cannot be
 * listed. */
static long ask_others(struct thread *t)
{
	long fd = SYS(open, "/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	s32 pid = (s32)SYS(getpid);
	long len, n = 0;
	char buf[2048];

	if (sys_failed(fd))
		return fd;
	while ((len = SYS(getdents64, fd, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + len; p += ((struct dirent64 *)p)->reclen)
			n += asked(t, ((struct dirent64 *)p)->name, pid);
	SYS(close, fd);
	return len < 0 ? len : n;
}

/* Those that stand make no others and do not end: when as many stood before the list was read as
 * are on it, all do. */
static void stop_others(struct thread *t)
{
	u64 end = host_monotonic_ns() + FREEZE_MAX_NS;
	struct __kernel_timespec ts = { .tv_nsec = FREEZE_LOOK_NS };
	u32 *parked = &t->process->parked;

	do {
		u32 have = __atomic_load_n(parked, __ATOMIC_SEQ_CST);
		long n = ask_others(t);

		if (n < 0 || n <= (long)have)
			return;
		race_point("freezing", RACE_AT);
		while ((have = __atomic_load_n(parked, __ATOMIC_SEQ_CST)) < n)
			if (SYS(futex, parked, FUTEX_WAIT_PRIVATE, have, &ts) ==
			    -ETIMEDOUT)
				break;
	} while (host_monotonic_ns() < end);
}

void thread_freeze(struct thread *t)
{
	u32 free = 0;

	while (!__atomic_compare_exchange_n(&t->process->freeze, &free, (u32)t->tid,
					    false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
		thread_park(t);
		free = 0;
	}
	if (__atomic_load_n(&t->process->threads, __ATOMIC_RELAXED) > 1)
		stop_others(t);
}

void thread_thaw(struct thread *t)
{
	__atomic_store_n(&t->process->freeze, 0, __ATOMIC_RELEASE);
	SYS(futex, &t->process->freeze, FUTEX_WAKE_PRIVATE, 1 << 30);
}

void thread_park_begin(struct thread *t)
{
	__atomic_fetch_add(&t->process->parked, 1, __ATOMIC_SEQ_CST);
}

void thread_park_end(struct thread *t)
{
	__atomic_fetch_sub(&t->process->parked, 1, __ATOMIC_SEQ_CST);
	thread_park(t);
}

void thread_park(struct thread *t)
{
	u32 who;

	while ((who = __atomic_load_n(&t->process->freeze, __ATOMIC_SEQ_CST)) &&
	       who != (u32)t->tid) {
		thread_park_begin(t);
		SYS(futex, &t->process->parked, FUTEX_WAKE_PRIVATE, 1);
		SYS(futex, &t->process->freeze, FUTEX_WAIT_PRIVATE, who, NULL);
		__atomic_fetch_sub(&t->process->parked, 1, __ATOMIC_SEQ_CST);
	}
}

/* --- children that are copies ------------------------------------------------------- */

/* The host leaves the child's pid where others find it, before the child runs: the maker may be
 * killed in the call. Not when the program wants it elsewhere. */
static void ask_born(long nr, long a[6], struct proc *child)
{
	struct clone_args *args = nr == __NR_clone3 ? (struct clone_args *)a[0] : NULL;
	u64 flags = args ? args->flags : (u64)a[0];
	u32 *born = client_fork_born(child);

	if (flags & CLONE_PARENT_SETTID || (!args && flags & CLONE_PIDFD)) {
		*born = CLIENT_BORN_UNKNOWN;
	} else if (args) {
		args->flags |= CLONE_PARENT_SETTID;
		args->parent_tid = (u64)born;
	} else {
		a[0] |= CLONE_PARENT_SETTID;
		a[2] = (long)born;
	}
}

static long fork_copy(struct thread *t, long nr, long a[6], u64 flags, u64 child_sp)
{
	bool threads = __atomic_load_n(&t->process->threads, __ATOMIC_RELAXED) > 1;
	struct task *task = &t->task;
	struct proc *child;
	long ret;

	race_point("forking", RACE_AT);
	ret = client_fork_prepare(task, flags, &child);
	if (ret)
		return ret;
	patch_before_fork(task);
	ask_born(nr, a, child);
	signal_block_all(&t->start_mask);
	if (threads)
		lock_take(&t->sighand->lock); /* whole, and free, in the child */
	if (threads && (flags & CLONE_VFORK))
		thread_park_begin(t);
	race_point("fork", RACE_AT);
	ret = sys_call6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	race_point(ret ? "forked" : "born", RACE_AT);
	if (threads)
		lock_drop(&t->sighand->lock);
	if (ret && threads && (flags & CLONE_VFORK))
		thread_park_end(t);
	if (ret == 0) {
		sud_arm();
		t->tid = (s32)SYS(gettid);
		if (threads) /* else the page stays shared */
			*t->process = (struct process){ .threads = 1 };
		if (child_sp)
			thread_frame(t)->rsp = child_sp;
		patch_fork_child();
		signal_fork_child(t);
		if (t->clear_handlers)
			signal_clear_handlers(t);
		client_fork_child(task, child, t->tid);
	} else {
		client_fork_parent(task, child, ret);
	}
	signal_set_mask(t->start_mask);
	return ret;
}

/* --- children that share memory ----------------------------------------------------- */

/* What the child starts with; its frame returns 0 to where the parent's call returns. */
static void child_setup(struct thread *t, struct thread *child, u64 flags, u64 child_sp)
{
	struct frame *f = thread_frame(child);

	*f = *thread_frame(t);
	f->rax = 0;
	if (child_sp)
		f->rsp = child_sp;
	child->vmask = t->vmask;
	if (flags & CLONE_VFORK)
		child->vstack = t->vstack;
	if (flags & CLONE_SIGHAND) {
		child->sighand = t->sighand;
		t->own_sighand.shared = 1;
	} else {
		child->sighand = &child->own_sighand;
		signal_lock(t);
		memcpy(child->own_sighand.act, t->sighand->act,
		       sizeof(child->own_sighand.act));
		child->own_sighand.known = t->sighand->known;
		signal_unlock(t);
	}
	if (flags & CLONE_THREAD) {
		child->process = t->process;
	} else {
		child->process = &child->own_process;
		child->own_process.threads = 1;
		child->vm_process = true;
		child->parent_frees = flags & CLONE_VFORK;
		child->task.ctx = t->task.ctx;
		child->task.proc = t->task.proc;
		child->task.flags = t->task.flags;
	}
}

static long clone_thread(struct thread *t, struct thread *child, long nr, const long a[6])
{
	long ret = client_thread_new(&t->task, &child->task);

	if (ret)
		return ret;
	__atomic_fetch_add(&t->process->threads, 1, __ATOMIC_RELAXED);
	ret = icpt_clone_vm(nr, a, child);
	if (sys_failed(ret)) {
		__atomic_fetch_sub(&t->process->threads, 1, __ATOMIC_RELAXED);
		client_thread_exit(&child->task);
	}
	return ret;
}

static long clone_process(struct thread *t, struct thread *child, long nr, long a[6],
			  u64 flags)
{
	long ret = client_fork_prepare(&t->task, flags, &child->child_proc);
	struct proc *proc = child->child_proc;

	if (ret)
		return ret;
	ask_born(nr, a, proc);
	if (flags & CLONE_VFORK)
		thread_park_begin(t);
	race_point("fork", RACE_AT);
	ret = icpt_clone_vm(nr, a, child);
	race_point("forked", RACE_AT);
	if (flags & CLONE_VFORK)
		thread_park_end(t);
	client_fork_parent(&t->task, proc, ret);
	return ret;
}

static long fork_shared(struct thread *t, struct thread *child, long nr, long a[6],
			u64 flags, u64 child_sp)
{
	u64 mask;
	long ret;

	child_setup(t, child, flags, child_sp);
	if (flags & CLONE_VFORK)
		client_exec_lend(&t->task, &child->task);
	signal_block_all(&mask);
	child->start_mask = t->work ? t->saved_mask : mask;
	if (flags & CLONE_THREAD)
		ret = clone_thread(t, child, nr, a);
	else
		ret = clone_process(t, child, nr, a, flags);
	signal_set_mask(mask);
	if (flags & CLONE_VFORK)
		client_exec_lend(&child->task, &t->task);
	if (sys_failed(ret) || (flags & CLONE_VFORK))
		thread_free(child);
	return ret;
}

/* Runs in the child, on its C stack, before anything of the program. */
void icpt_child_start(struct thread *t)
{
	thread_activate(t);
	t->tid = (s32)SYS(gettid);
	if (t->clear_handlers)
		signal_clear_handlers(t);
	if (t->vm_process)
		race_point("born", RACE_AT);
	if (t->vm_process)
		client_fork_child(&t->task, t->child_proc, t->tid);
	else
		client_thread_run(&t->task, t->tid);
	if (client_may_cut(&t->task))
		t->cut = 1;
	signal_set_mask(t->start_mask);
}

/* --- the system calls --------------------------------------------------------------- */

/* CLONE_PIDFD: the host leaves the number with us, as it may be one of Hare's; the program gets the one
 * that is free there. */
struct pidfd_out {
	s32 *user; /* NULL: not asked for */
	s32 fd;
};

static long pidfd_ask(struct pidfd_out *p, u64 flags, long user)
{
	p->user = flags & CLONE_PIDFD ? (s32 *)user : NULL;
	if (!p->user)
		return flags & CLONE_PIDFD ? -EFAULT : 0;
	return user_read(&p->fd, p->user, sizeof(p->fd)) ||
			       user_write(p->user, &p->fd, sizeof(p->fd))
		       ? -EFAULT
		       : 0;
}

static long pidfd_give(struct thread *t, struct pidfd_out *p, long ret)
{
	if (p->user && ret > 0) {
		p->fd = (s32)client_adopt(&t->task, p->fd, true);
		(void)user_write(p->user, &p->fd, sizeof(p->fd));
	}
	return ret;
}

static long clone_legacy(struct thread *t, long a[6])
{
	u64 flags = (u64)a[0], sp = (u64)a[1];
	struct thread *child;
	struct pidfd_out pidfd;

	if (pidfd_ask(&pidfd, flags, a[2]))
		return -EFAULT;
	if (pidfd.user)
		a[2] = (long)&pidfd.fd;
	a[1] = 0;
	if (!(flags & CLONE_VM))
		return pidfd_give(t, &pidfd, fork_copy(t, __NR_clone, a, flags, sp));
	child = thread_new();
	if (!child)
		return -ENOMEM;
	a[1] = (long)thread_frame(child);
	return pidfd_give(t, &pidfd, fork_shared(t, child, __NR_clone, a, flags, sp));
}

long icpt_clone(struct task *task, long a[6])
{
	return clone_legacy(thread_of(task), a);
}

long icpt_fork(struct task *task, long a[6])
{
	long args[6] = { SIGCHLD, 0, 0, 0, 0, 0 };

	(void)a;
	return clone_legacy(thread_of(task), args);
}

long icpt_vfork(struct task *task, long a[6])
{
	long args[6] = { CLONE_VFORK | CLONE_VM | SIGCHLD, 0, 0, 0, 0, 0 };

	(void)a;
	return clone_legacy(thread_of(task), args);
}

/* The kernel would clear our own handlers too. */
static bool take_clear_handlers(struct clone_args *args)
{
	bool clear = args->flags & CLONE_CLEAR_SIGHAND;

	args->flags &= ~(u64)CLONE_CLEAR_SIGHAND;
	return clear;
}

static long clone3(struct thread *t, struct clone_args *args, u64 size)
{
	long a[6] = { (long)args, (long)size, 0, 0, 0, 0 };
	bool clear = take_clear_handlers(args);
	u64 sp = args->stack + args->stack_size;
	struct thread *child;
	struct pidfd_out pidfd;
	long ret;

	if (clear && (args->flags & CLONE_SIGHAND))
		return -EINVAL;
	if (pidfd_ask(&pidfd, args->flags, (long)args->pidfd))
		return -EFAULT;
	if (pidfd.user)
		args->pidfd = (u64)&pidfd.fd;
	args->stack = 0;
	args->stack_size = 0;
	if (!(args->flags & CLONE_VM)) {
		t->clear_handlers = clear;
		ret = fork_copy(t, __NR_clone3, a, args->flags, sp);
		t->clear_handlers = false;
		return pidfd_give(t, &pidfd, ret);
	}
	child = thread_new();
	if (!child)
		return -ENOMEM;
	child->clear_handlers = clear;
	args->stack = child->stack_top - C_STACK_SIZE;
	args->stack_size = (u64)thread_frame(child) - args->stack;
	return pidfd_give(t, &pidfd,
			  fork_shared(t, child, __NR_clone3, a, args->flags, sp));
}

long icpt_clone3(struct task *task, long a[6])
{
	union {
		struct clone_args args;
		u8 bytes[CLONE_ARGS_MAX];
	} u = { 0 };
	size_t size = (size_t)a[1], i;

	if (size > PAGE_SIZE)
		return -E2BIG;
	if (size < CLONE_ARGS_SIZE_VER0)
		return -EINVAL;
	for (i = CLONE_ARGS_MAX; i < size; i++) { /* what no kernel knows must be 0 */
		u8 c;

		if (user_read(&c, (const char *)a[0] + i, 1))
			return -EFAULT;
		if (c)
			return -E2BIG;
	}
	size = MIN(size, (size_t)CLONE_ARGS_MAX);
	if (user_read(&u, (void *)a[0], size))
		return -EFAULT;
	if (!u.args.stack != !u.args.stack_size)
		return -EINVAL;
	return clone3(thread_of(task), &u.args, size);
}

static void release_self(struct thread *t, bool last, int status)
{
	if (last)
		client_exit(&t->task, status);
	else
		client_thread_exit(&t->task);
}

/* The caller's block goes with it, unless threads still use what is in it, or the parent
 * that waits in vfork will free it. */
static _Noreturn void leave(struct thread *t, long nr, int status)
{
	u64 old;

	signal_block_all(&old);
	if (!t->own_sighand.shared && !t->parent_frees)
		icpt_unmap_exit(block_of(t), BLOCK_SIZE, nr, status);
	for (;;)
		sys_call6(nr, status, 0, 0, 0, 0, 0);
}

long icpt_exit(struct task *task, long a[6])
{
	struct thread *t = thread_of(task);
	bool last = __atomic_fetch_sub(&t->process->threads, 1, __ATOMIC_ACQ_REL) == 1;

	release_self(t, last, (int)a[0]);
	if (!last && t->tid == (s32)SYS(getpid))
		__atomic_store_n(&t->process->leader_left, 1, __ATOMIC_RELAXED);
	leave(t, __NR_exit, (int)a[0]);
}

long icpt_exit_group(struct task *task, long a[6])
{
	struct thread *t = thread_of(task);

	client_exit(task, (int)a[0]);
	if (t->vm_process && t->process->threads == 1)
		leave(t, __NR_exit_group, (int)a[0]);
	for (;;)
		SYS(exit_group, a[0]);
}
