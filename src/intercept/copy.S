/* SPDX-License-Identifier: MIT */
/*
 * Copies between ours and the program's memory. A fault at any instruction between
 * icpt_copy_begin and icpt_copy_end makes the function return -EFAULT (deliver.c), so
 * nothing is pushed here.
 */
#define FUNC(name) .globl name; .hidden name; .type name, @function; .balign 16; name:
#define LABEL(name) .globl name; .hidden name; name:
#define EFAULT 14
#define ENAMETOOLONG 36

	.text
LABEL(icpt_copy_begin)

/* long user_read(void *dst, const void *user_src, size_t len)
 * long user_write(void *user_dst, const void *src, size_t len)
 * Up to 16 bytes by two overlapping moves, below 256 by 32 bytes at a time and the last 32 again,
 * else by `rep movsb`: that takes 9 ns to begin, which is what 256 bytes take by words. */
FUNC(user_read)
FUNC(user_write)
	cmp	$16, %rdx
	ja	4f
	cmp	$8, %rdx
	jb	1f
	mov	(%rsi), %rax
	mov	-8(%rsi, %rdx), %rcx
	mov	%rax, (%rdi)
	mov	%rcx, -8(%rdi, %rdx)
	xor	%eax, %eax
	ret
1:	cmp	$4, %rdx
	jb	2f
	mov	(%rsi), %eax
	mov	-4(%rsi, %rdx), %ecx
	mov	%eax, (%rdi)
	mov	%ecx, -4(%rdi, %rdx)
	xor	%eax, %eax
	ret
2:	test	%rdx, %rdx
	jz	3f
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rdx
	jmp	2b
3:	xor	%eax, %eax
	ret
4:	cmp	$256, %rdx
	jae	6f
	lea	-32(%rsi, %rdx), %r8	/* the last 32 bytes; of fewer, the last 16 */
	lea	-32(%rdi, %rdx), %r9
	cmp	$32, %rdx
	jb	7f
5:	mov	(%rsi), %rax
	mov	8(%rsi), %rcx
	mov	16(%rsi), %rdx
	mov	24(%rsi), %r10
	mov	%rax, (%rdi)
	mov	%rcx, 8(%rdi)
	mov	%rdx, 16(%rdi)
	mov	%r10, 24(%rdi)
	add	$32, %rsi
	add	$32, %rdi
	cmp	%r8, %rsi
	jb	5b
	mov	(%r8), %rax
	mov	8(%r8), %rcx
	mov	16(%r8), %rdx
	mov	24(%r8), %r10
	mov	%rax, (%r9)
	mov	%rcx, 8(%r9)
	mov	%rdx, 16(%r9)
	mov	%r10, 24(%r9)
	xor	%eax, %eax
	ret
7:	mov	(%rsi), %rax
	mov	8(%rsi), %rcx
	mov	16(%r8), %rdx
	mov	24(%r8), %r10
	mov	%rax, (%rdi)
	mov	%rcx, 8(%rdi)
	mov	%rdx, 16(%r9)
	mov	%r10, 24(%r9)
	xor	%eax, %eax
	ret
6:	mov	%rdx, %rcx
	rep movsb
	xor	%eax, %eax
	ret

/* long user_read_str(char *dst, const char *user_src, size_t size)
 * By words, as long as a word lies in one page: the string may end just before a hole. */
FUNC(user_read_str)
	xor	%ecx, %ecx
	movabs	$0x0101010101010101, %r8
	movabs	$0x8080808080808080, %r9
1:	lea	8(%rcx), %rax
	cmp	%rdx, %rax
	ja	3f
	lea	(%rsi, %rcx), %rax
	and	$4095, %eax
	cmp	$4088, %eax
	ja	3f
	mov	(%rsi, %rcx), %rax
	mov	%rax, (%rdi, %rcx)
	mov	%rax, %r10
	sub	%r8, %rax
	not	%r10
	and	%r10, %rax
	and	%r9, %rax
	jnz	2f
	add	$8, %rcx
	jmp	1b
2:	bsf	%rax, %rax
	shr	$3, %eax
	add	%rcx, %rax
	ret
3:	cmp	%rdx, %rcx
	jae	5f
	mov	(%rsi, %rcx), %al
	mov	%al, (%rdi, %rcx)
	test	%al, %al
	jz	4f
	inc	%rcx
	jmp	1b
4:	mov	%rcx, %rax
	ret
5:	mov	$-ENAMETOOLONG, %rax
	ret
LABEL(icpt_copy_end)

LABEL(icpt_copy_fault)
	mov	$-EFAULT, %rax
	ret

	.section .note.GNU-stack, "", @progbits
