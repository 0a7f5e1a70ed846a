/* SPDX-License-Identifier: MIT */
/*
 * Where the program's system calls come in and go out, and the few places where a signal
 * must be able to tell by the instruction pointer alone what state the program is in.
 *
 * Windows (deliver.c knows them by their labels):
 *   entry    [icpt_entry, icpt_entry_end)      the call has not begun: back to the site
 *   exit     [icpt_exit_begin, icpt_exit_end)  the call is done: the frame is the program
 *   host     [icpt_host_begin, icpt_host_syscall] not begun, or to be made again
 *            icpt_host_end                        made: rax is the result
 *   block    [icpt_block_begin, icpt_block_syscall] host_block: -EINTR instead of waiting
 *   sigreturn [icpt_sigreturn_begin, icpt_sigreturn_syscall] not begun
 * A flag test and the system call instruction lie in one window, so a signal between them
 * is not lost. Between the exit window's parts, and everywhere else, signals are
 * deferred.
 */
#include "intercept/offsets.h"

#define FUNC(name) .globl name; .hidden name; .type name, @function; .balign 16; name:
#define LABEL(name) .globl name; .hidden name; name:

	.text

/* The kernel starts us with argc, argv, envp, auxv at rsp; loader.c makes of it the
 * program's. */
FUNC(_start)
	xor	%ebp, %ebp
	mov	%rsp, %rdi
	mov	%rsp, %rbx
	and	$-16, %rsp
	sub	$16, %rsp
	mov	%rsp, %rsi		/* u64 out[2]: entry point, stack */
	call	loader_main
	mov	(%rsp), %rax
	mov	8(%rsp), %rsp
	xor	%edx, %edx
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d
	jmp	*%rax

/*
 * A system call of the program. rax: number; rdi, rsi, rdx, r10, r8, r9: arguments; rcx:
 * where to go on; r11 is free. Everything but rax, rcx and r11 is kept; the red zone is
 * not touched.
 */
FUNC(icpt_entry)
	mov	%rsp, %r11
	mov	%gs:T_STACK, %rsp
LABEL(icpt_entry_switched)		/* the program's rsp is in r11 */
	push	%r11
	push	%rcx
	push	%rax
	push	%rax
	push	%rdi
	push	%rsi
	push	%rdx
	push	%r10
	push	%r8
	push	%r9
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
LABEL(icpt_entry_pushed)		/* all is in the frame */
	mov	%rsp, %rdi
	cld
	call	icpt_enter		/* returns to where exit has begun */
LABEL(icpt_entry_end)
LABEL(icpt_exit_begin)
	cmpq	$0, %gs:T_WORK		/* work and cut */
	jne	2f
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	pop	%r9
	pop	%r8
	pop	%r10
	pop	%rdx
	pop	%rsi
	pop	%rdi
	pop	%rax
	lea	8(%rsp), %rsp
	mov	$0, %r11d		/* not as a trap leaves it: trap_was_lost */
	pop	%rcx
	pop	%rsp
	jmp	*%rcx
	/* A signal waits: signal_wrapper, to which a fault leads, lets it in here, where the program's state
	 * is complete. */
2:	mov	%rsp, %rdi
	call	signal_exit_work
	test	%rax, %rax
	jz	icpt_exit_begin
LABEL(icpt_exit_deliver)
	hlt
LABEL(icpt_exit_end)

/* long icpt_host_call(long nr, const long a[6]) */
FUNC(icpt_host_call)
	mov	%rdi, %rax
	mov	%rsi, %r11
	mov	(%r11), %rdi
	mov	8(%r11), %rsi
	mov	16(%r11), %rdx
	mov	24(%r11), %r10
	mov	32(%r11), %r8
	mov	40(%r11), %r9
LABEL(icpt_host_begin)
	cmpl	$0, %gs:T_WORK
	jne	1f
LABEL(icpt_host_syscall)
	syscall
LABEL(icpt_host_end)
	ret
1:	mov	$-ICPT_ERESTARTNOINTR, %rax
	ret

/* long host_block(long nr, long a, long b, long c, long d, long e, long f) */
FUNC(host_block)
	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	%rdx, %rsi
	mov	%rcx, %rdx
	mov	%r8, %r10
	mov	%r9, %r8
	mov	8(%rsp), %r9
LABEL(icpt_block_begin)
	cmpl	$0, %gs:T_WORK
	jne	icpt_block_intr
	cmpl	$0, %gs:T_POKED
	jne	icpt_block_intr
LABEL(icpt_block_syscall)
	syscall
LABEL(icpt_block_end)
	ret
LABEL(icpt_block_intr)
	mov	$-ICPT_EINTR, %rax
	ret

/* long icpt_do_sigreturn(struct ucontext *uc) */
FUNC(icpt_do_sigreturn)
LABEL(icpt_sigreturn_begin)
	cmpq	$0, %gs:T_WORK		/* work and cut */
	jne	1f
	mov	%rdi, %rsp
	mov	$15, %eax
LABEL(icpt_sigreturn_syscall)
	syscall
	ud2
1:	mov	$-ICPT_ERESTARTNOINTR, %rax
	ret

/* Restorer of our own handlers. */
FUNC(icpt_restorer)
	mov	$15, %eax
	syscall
	ud2

/*
 * long icpt_clone_vm(long nr, const long a[6], struct thread *child) The child has the
 * child's C stack, with its frame on it; all signals are blocked; GS is still the
 * parent's.
 */
FUNC(icpt_clone_vm)
	push	%rbx
	mov	%rdi, %rax
	mov	%rsi, %r11
	mov	%rdx, %rbx
	mov	(%r11), %rdi
	mov	8(%r11), %rsi
	mov	16(%r11), %rdx
	mov	24(%r11), %r10
	mov	32(%r11), %r8
	mov	40(%r11), %r9
	syscall
	test	%rax, %rax
	jz	1f
	pop	%rbx
	ret
1:	xor	%ebp, %ebp
	mov	%rbx, %rdi
	call	icpt_child_start
	jmp	icpt_exit_begin

/* _Noreturn void icpt_unmap_exit(void *block, size_t size, long nr, long status)
 * Signals are blocked: after the munmap there is no stack. */
FUNC(icpt_unmap_exit)
	mov	%rdx, %r12
	mov	%rcx, %r13
	mov	$11, %eax
	syscall
	mov	%r12, %rax
	mov	%r13, %rdi
	syscall
	ud2

	.section .note.GNU-stack, "", @progbits
