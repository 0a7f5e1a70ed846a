/* SPDX-License-Identifier: MIT */
/*
 * Syscall User Dispatch: the net that misses no system call. With no selector byte and
 * this loader's text as the excluded range, every `syscall` instruction elsewhere raises
 * SIGSYS; the handler only sends the program to icpt_entry, as a patched site's stub
 * does.
 *
 * Armed per thread; fork, vfork, clone and execve clear it, so a child arms it before it
 * runs program code. The kernel compares the address behind the instruction, so the range
 * is one byte longer than the text.
 */
#include <linux/audit.h>
#include <linux/errno.h>
#include <linux/prctl.h>

#include "intercept/icpt.h"

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif
#ifndef SYS_USER_DISPATCH
#define SYS_USER_DISPATCH 2
#endif

long sud_arm(void)
{
	size_t len = (size_t)(etext - __executable_start) + 1;

	return SYS(prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON,
		   __executable_start, len, 0);
}

/* One that was sent was pending as a system call trapped: the kernel drops the trap's own signal, and
 * with it the call. The instruction leaves rcx and r11 as no other way to there does (entry.S clears
 * r11). */
static bool trap_was_lost(struct thread *t, const struct sigcontext *r)
{
	return r->rcx == r->rip && r->r11 == r->eflags &&
	       (r->rip < (u64)__executable_start || r->rip >= (u64)etext) &&
	       !thread_on_c_stack(t, r->rsp);
}

/* Handler of SIGSYS. */
void sud_signal(int sig, siginfo_t *info, struct ucontext *uc)
{
	struct sigcontext *r = &uc->uc_mcontext;
	struct thread *t = thread_self();

	if (info->si_code != SYS_USER_DISPATCH) {
		if (info->si_code <= 0 && trap_was_lost(t, r))
			r->rip -= SYSCALL_LEN; /* the call is made again */
		if (signal_is_freeze(info)) {
			signal_freeze(t, info, uc);
			return;
		}
		if (info->si_code == SI_QUEUE &&
		    client_poked(&t->task, (u64)info->si_value.sival_ptr)) {
			signal_poked(t, r);
			return;
		}
		signal_wrapper(sig, info, uc);
		return;
	}
	if (info->si_arch != AUDIT_ARCH_X86_64) { /* int 0x80 */
		r->rax = (u64)-ENOSYS;
		return;
	}
	if (unlikely(thread_on_c_stack(t, r->rsp))) { /* the vdso, called by our code */
		r->rax = (u64)sys_call6((long)r->rax, (long)r->rdi, (long)r->rsi,
					(long)r->rdx, (long)r->r10, (long)r->r8,
					(long)r->r9);
		return;
	}
	t->traps++;
	patch_count(r->rip - SYSCALL_LEN);
	r->rcx = r->rip;
	r->rip = (u64)icpt_entry;
}
