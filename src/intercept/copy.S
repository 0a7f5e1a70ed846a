/* SPDX-License-Identifier: MIT */
/*
 * Copies between ours and the program's memory. A fault at any instruction between
 * icpt_copy_begin and icpt_copy_end makes the function return -EFAULT (deliver.c), so nothing
 * is pushed here.
 */
#define FUNC(name) .globl name; .hidden name; .type name, @function; .balign 16; name:
#define LABEL(name) .globl name; .hidden name; name:

	.text
LABEL(icpt_copy_begin)

/* long user_read(void *dst, const void *user_src, size_t len)
 * long user_write(void *user_dst, const void *src, size_t len)
 * Up to 16 bytes by overlapping moves, up to 256 by words, more by `rep movsb`. */
FUNC(user_read)
FUNC(user_write)
	cmp	$16, %rdx
	ja	2f
	cmp	$8, %rdx
	jb	1f
	mov	(%rsi), %rax
	mov	-8(%rsi, %rdx), %rcx
	mov	%rax, (%rdi)
	mov	%rcx, -8(%rdi, %rdx)
	xor	%eax, %eax
	ret
1:	cmp	$4, %rdx
	jb	3f
	mov	(%rsi), %eax
	mov	-4(%rsi, %rdx), %ecx
	mov	%eax, (%rdi)
	mov	%ecx, -4(%rdi, %rdx)
	xor	%eax, %eax
	ret
3:	test	%rdx, %rdx
	jz	5f
	movzbl	(%rsi), %eax
	movzbl	-1(%rsi, %rdx), %ecx
	shr	$1, %rdx
	movzbl	(%rsi, %rdx), %r8d	/* the middle of three; else one of the two again */
	mov	%r8b, (%rdi, %rdx)
	mov	%al, (%rdi)
	jz	5f
	nop
5:	jmp	6f
2:	cmp	$256, %rdx
	jae	4f
	mov	-8(%rsi, %rdx), %rcx
	lea	-8(%rdi, %rdx), %r9
	sub	$8, %rdx
	xor	%r8d, %r8d
7:	mov	(%rsi, %r8), %rax
	mov	%rax, (%rdi, %r8)
	add	$8, %r8
	cmp	%rdx, %r8
	jb	7b
	mov	%rcx, (%r9)
	xor	%eax, %eax
	ret
4:	mov	%rdx, %rcx
	rep movsb
	xor	%eax, %eax
	ret
6:	xor	%eax, %eax
	ret
