/* SPDX-License-Identifier: MIT */
/*
 * The interposition layer, linked into every program by way of the loader `hare-ld`.
 *
 *   program: syscall --SUD: SIGSYS (sud.c)-.
 *   program: patched site -> stub (patch.c) +-> icpt_entry (entry.S)   own stack, saves all
 *                                            -> icpt_enter (dispatch.c) row of syscalls.def
 *                                               -> client_NAME, icpt_NAME, or the host
 *                                            -> back, by the exit window (deliver.c)
 *
 * Who may do what where. A thread is in program code, or in ours on its own C stack. It
 * never runs a program's handler on top of our code: a signal that finds it there waits
 * for the end of the call, or the call is unwound to the program's system call
 * instruction (deliver.c). State of the program at any moment is therefore the host's
 * ucontext, or the one frame at the top of the C stack.
 *
 * No libc, no thread-local storage, no vector registers; FS is the program's, GS is ours.
 */
#ifndef HARE_INTERCEPT_ICPT_H
#define HARE_INTERCEPT_ICPT_H

#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/sigcontext.h>
#include <asm/ucontext.h>

#include "base/str.h"
#include "base/sys.h"
#include "client/client.h"
#include "intercept/offsets.h"
#include "sched/sched.h"

/* The program's registers at its system call, as entry.S pushes them. */
struct frame {
	u64 r15, r14, r13, r12, rbp, rbx, r9, r8, r10, rdx, rsi, rdi;
	u64 rax; /* the result */
	u64 nr; /* the number that the program asked for */
	u64 rip; /* where the program goes on: just behind its `syscall` */
	u64 rsp;
};
#define SYSCALL_LEN 2 /* rip - SYSCALL_LEN makes the call again */

/* struct sigaction of the kernel's interface. */
struct kact {
	u64 handler, flags, restorer, mask;
};

#define SIG_MAX	     64
#define SIG_BIT(sig) (1ULL << ((sig)-1))
/* The signals that this layer cannot do without: the host never blocks them, and a
 * thread's wish to block them is kept in thread.vmask. */
#define OWN_SIGNALS (SIG_BIT(SIGSYS) | SIG_BIT(SIGSEGV) | SIG_BIT(SIGBUS))

struct lock {
	u32 state; /* futex: 0 free, 1 held, 2 held and waited for */
};

/* What CLONE_SIGHAND shares. */
struct sighand {
	struct lock lock;
	u32 shared; /* by more than the thread in whose block it lies */
	u64 known; /* signals whose action the host need not be asked for */
	struct kact act[SIG_MAX + 1];
};

/* What CLONE_THREAD shares. */
struct process {
	u32 threads; /* alive */
	u32 freeze; /* futex: tid of the thread that is in exec; the others wait */
	u32 parked; /* futex: how many do, or are where they do nothing until they would */
	u32 leader_left; /* the first thread has ended; it stays listed */
};

/* A signal kept back. */
struct held {
	u32 sig; /* 0: none */
	siginfo_t info;
};

#define C_STACK_SIZE  (128u << 10)
#define ALTSTACK_SIZE (64u << 10)

/* One per thread, at the high end of its block; see thread.c for the block's layout. */
struct thread {
	/* read by entry.S through GS */
	struct thread *self;
	u64 stack_top; /* of the C stack: the frame ends here */
	u32 work; /* a signal waits for the end of the running call */
	u32 cut; /* at the end of the running call: client_cut_now */
	u64 entry; /* icpt_entry, where stubs jump to */
	u32 poked; /* the wait that is about to begin is over: host_poke_over */
	u32 pad;

	struct process *process;
	struct sighand *sighand;
	s32 tid;
	bool vm_process; /* made by CLONE_VM without CLONE_THREAD */
	bool parent_frees; /* made by vfork: its block is the parent's to free */
	bool clear_handlers; /* CLONE_CLEAR_SIGHAND */
	struct proc *child_proc; /* what client_fork_prepare made for this child */
	u64 start_mask; /* the host's mask to begin with */
	u64 saved_mask; /* the host's mask when `deferred` was caught */
	u64 wait_mask; /* while `waits`: the program's mask for the wait that the host makes */
	bool waits;
	bool waited; /* `deferred` ended such a wait */
	u64 vmask; /* subset of OWN_SIGNALS */
	stack_t vstack; /* the program's sigaltstack */
	u64 scratch[4]; /* masks on their way to the host */
	bool at_host; /* the running call went to the host: for the trace */
	bool hand_busy; /* it has the lock of sighand, or is about to: see signal_lock */
	u64 calls, traps; /* statistics */
	struct held deferred; /* caught in our code: delivered at the end of the call */
	struct held own[3]; /* sent while blocked in name only: SIGSYS, SIGSEGV, SIGBUS */
	struct ucontext sigreturn;
	/* a CLONE_VM child that is no thread uses its own; threads use their creator's */
	struct process own_process;
	struct sighand own_sighand;
	struct task task;
};

_Static_assert(offsetof(struct thread, self) == T_SELF, "entry.S");
_Static_assert(offsetof(struct thread, stack_top) == T_STACK, "entry.S");
_Static_assert(offsetof(struct thread, work) == T_WORK, "entry.S");
_Static_assert(offsetof(struct thread, poked) == T_POKED, "entry.S");
_Static_assert(offsetof(struct thread, cut) == T_WORK + 4, "entry.S tests both");
_Static_assert(offsetof(struct thread, entry) == T_ENTRY, "patch.c");
_Static_assert(sizeof(struct frame) == F_SIZE, "entry.S");

/* The program as it was started; written before it runs. */
struct program {
	u64 main_lo, main_hi; /* the program's own image */
	u64 lib_base, lib_next; /* images placed by us lie in between */
	u64 vdso; /* address of the vdso's ELF header, 0: none */
	u64 hwcap2;
	s32 trace_fd; /* -1: off */
	s32 loader_fd; /* this loader, hidden from the program; -1: /proc/self/exe is it */
	u32 patch_after; /* traps at one site before it is patched; 0: never */
	bool exe_known; /* exe is that; else the path that the program was loaded by */
	char exe[PATH_LEN_MAX]; /* what /proc/self/exe shall say: ask program_exe */
};
extern struct program g_program;

static inline struct thread *thread_self(void)
{
	struct thread *t;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(t));
	return t;
}
static inline struct thread *thread_of(struct task *task)
{
	return container_of(task, struct thread, task);
}
/* Of the call that runs now. */
static inline struct frame *thread_frame(struct thread *t)
{
	return (struct frame *)(t->stack_top - sizeof(struct frame));
}

static inline bool thread_on_c_stack(const struct thread *t, u64 rsp)
{
	return rsp <= t->stack_top && rsp > t->stack_top - C_STACK_SIZE;
}

/* --- dispatch.c --------------------------------------------------------------------- */

/* Makes system call nr as the program of this thread would: routes it by syscalls.def. */
long icpt_syscall(struct task *task, long nr, long a[6]);
void icpt_enter(struct frame *f);

/* --- entry.S, copy.S ---------------------------------------------------------------- */

/* The host's call as the last thing of a program's call: a signal may end it, and then
 * control does not come back here. So: no lock held, nothing left to do, and nr and the
 * program's own registers describe the same call. */
long icpt_host_call(long nr, const long a[6]);
/* clone or clone3 whose child starts on the C stack of `child`, in icpt_child_start. */
long icpt_clone_vm(long nr, const long a[6], struct thread *child);
/* rt_sigreturn from *uc. Returns only when a signal waits: -ICPT_ERESTARTNOINTR. */
long icpt_do_sigreturn(struct ucontext *uc);
/* Unmaps the caller's own block, then makes the call nr(status): exit or exit_group. */
_Noreturn void icpt_unmap_exit(void *block, size_t size, long nr, long status);

extern char __executable_start[], etext[];
extern char icpt_entry[], icpt_entry_switched[], icpt_entry_pushed[], icpt_entry_end[];
extern char icpt_exit_begin[], icpt_exit_deliver[], icpt_exit_end[];
extern char icpt_host_begin[], icpt_host_syscall[], icpt_host_end[];
extern char icpt_block_begin[], icpt_block_syscall[], icpt_block_end[], icpt_block_intr[];
extern char icpt_sigreturn_begin[], icpt_sigreturn_syscall[];
extern char icpt_copy_begin[], icpt_copy_end[], icpt_copy_fault[];
extern char icpt_restorer[];

/* --- sud.c, patch.c ----------------------------------------------------------------- */

/* Arms Syscall User Dispatch for this thread. -EINVAL: the kernel has none. */
long sud_arm(void);
void sud_signal(int sig, siginfo_t *info, struct ucontext *uc);
/* A site trapped: patches it when it has done so often enough. */
void patch_count(u64 site);
/* An mmap of a file's text, where images lie: with the sites patched that are known. */
bool patch_is_text(const long a[6]);
long patch_map(struct task *t, const long a[6]);
/* What children trap at, and forget with their end, is patched before there are more. */
void patch_before_fork(struct task *t);
void patch_fork_child(void);
/* When rip is in a stub: the address that the stub loads into rcx; else 0. */
u64 patch_stub_return(u64 rip, u64 rcx);

/* --- signal.c, deliver.c ------------------------------------------------------------ */

/* Installs the handlers of OWN_SIGNALS; `ignored` are those that exec inherited as
 * ignored: `known`, all of them, else of OWN_SIGNALS only. */
void signal_init(struct thread *t, bool known, u64 ignored);
void signal_wrapper(int sig, siginfo_t *info, struct ucontext *uc);
/* One by which a wait in the host is ended has come (client_poked). */
void signal_poked(struct thread *t, struct sigcontext *r);
/* A SIGSYS by which thread_freeze stops a thread. */
bool signal_is_freeze(const siginfo_t *info);
void signal_freeze(struct thread *t, siginfo_t *info, struct ucontext *uc);
#define FREEZE_VALUE 0x46524545U
void signal_lock(struct thread *t);
void signal_unlock(struct thread *t);
void signal_get_action(struct thread *t, int sig, struct kact *act);
void signal_reset_action(struct thread *t, int sig);
long signal_install_wrapper(int sig, u64 flags, struct kact *old);
/* The host's mask of this thread, all blocked; and back. */
void signal_block_all(u64 *old);
void signal_set_mask(u64 mask);
/* OWN_SIGNALS that were sent while blocked in name and are so no longer: sends them
 * again. */
void signal_release_own(struct thread *t);
/* At exec, with everything blocked: those that are blocked in name stay pending at the host. */
void signal_own_to_host(struct thread *t);
/* Called by entry.S at the end of a call while thread.work or thread.cut is set. True: a signal is
 * to be let in. */
u64 signal_exit_work(struct frame *f);
/* CLIENT_CUT has come. */
void signal_cut(struct thread *t, struct ucontext *uc);
/* Result of a call that says that a signal interrupted it: what the program sees. */
long signal_finish(struct thread *t, struct frame *f, long ret);
/* Sends a signal, with the details that it came with, to this thread. */
void signal_send_self(int sig, siginfo_t *info);
/* The program's alternate stack: whether sp is on it; sigaltstack's checks and effect. */
bool signal_on_vstack(const struct thread *t, u64 sp);
long signal_set_vstack(struct thread *t, const stack_t *ss, u64 sp);
/* The child of a fork does not inherit a pending signal. */
void signal_fork_child(struct thread *t);
/* What CLONE_CLEAR_SIGHAND asks for: no handlers, what is ignored stays so. */
void signal_clear_handlers(struct thread *t);
u64 signal_ignored(struct thread *t);

/* --- thread.c ----------------------------------------------------------------------- */

struct thread *thread_new(void);
void thread_free(struct thread *t);
/* GS, alternate stack and dispatch of the running thread. */
long thread_activate(struct thread *t);
void icpt_child_start(struct thread *t);
/* Stops the other threads of the process until thaw: in program code, or at the end of the call
 * that they are in, which ends as for a signal, and is then made again. Returns when all stand (or
 * after FREEZE_MAX_NS). Costs a signal for each of them; nothing where there are none. */
void thread_freeze(struct thread *t);
void thread_thaw(struct thread *t);
void thread_park(struct thread *t);
/* Around a host's call of any length in which signals are blocked and after which a thread would
 * wait for the thaw first of all: it counts as stopped. */
void thread_park_begin(struct thread *t);
void thread_park_end(struct thread *t);
void *thread_altstack(struct thread *t, size_t *size);

void lock_take(struct lock *l);
void lock_drop(struct lock *l);

/* --- elf.c, loader.c, misc.c -------------------------------------------------------- */

struct image {
	u64 bias, lo, hi;
	u64 entry;
	u64 phdr, phnum; /* as the program sees them */
	bool exec_stack;
	char interp[PATH_LEN_MAX]; /* empty: none */
};
/* Maps an ELF file through the program's own routing. Exits with one line when it
 * cannot. */
void elf_load(struct thread *t, const char *path, struct image *img, bool interp);
/* An address for an image of len bytes with room for stubs around it. */
u64 place_image(u64 len);
/* Opens a file as the program would; for the loader's own use before the program runs. */
long program_call(struct thread *t, long nr, long a, long b, long c, long d, long e,
		  long f);
_Noreturn void load_fail(int status, const char *path, const char *why, long err);

/* What /proc/self/exe shall say. */
const char *program_exe(void);

/* --- misc.c, trace.c, host.c -------------------------------------------------------- */

/* True when the program's path is /proc/self/exe or another name of the same, in the host's root. */
bool proc_is_exe(const struct task *task, const char *user_path);
const char *syscall_name(long nr);
/* Writes one line to g_program.trace_fd. */
void trace_call(struct thread *t, long nr, const long a[6], long ret);
void host_init(u64 vdso);

/* --- handlers: one for each row of syscalls.def whose route is ICPT or CLIENT ------- */

#define ROUTE_ICPT(name)   long icpt_##name(struct task *task, long a[6]);
#define ROUTE_CLIENT(name) long client_##name(struct task *t, long a[6]);
#define ROUTE_PATH(name)   ROUTE_CLIENT(name)
#define ROUTE_AT(name)	   ROUTE_CLIENT(name)
#define ROUTE_HOST(name)
#define ROUTE_DENY(name)
#define SYSCALL(nr, name, route, args, note) ROUTE_##route(name)
#include "intercept/syscalls.def"
#undef SYSCALL
#undef ROUTE_ICPT
#undef ROUTE_CLIENT
#undef ROUTE_PATH
#undef ROUTE_AT
#undef ROUTE_HOST
#undef ROUTE_DENY
/* also reached from ICPT rows */
long client_mmap(struct task *t, long a[6]);
long client_readlink(struct task *t, long a[6]);
long client_prctl(struct task *t, long a[6]);
long client_readlinkat(struct task *t, long a[6]);
long client_pselect6(struct task *t, long a[6]);
long client_rt_sigtimedwait(struct task *t, long a[6]);
long client_ppoll(struct task *t, long a[6]);
long client_epoll_pwait(struct task *t, long a[6]);
long client_epoll_pwait2(struct task *t, long a[6]);

/* src/sched's; runs in a loader that stands for a program on another core. */
_Noreturn void sched_proxy_main(const char *args, sched_home *home, struct task *arg)
	__attribute__((weak));
#pragma weak client_exec_home

#endif
