/* SPDX-License-Identifier: MIT */
/* A system call changes rax, rcx and r11 and nothing else: registers, vectors, red
 * zone. */
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "tap.h"

struct state {
	uint64_t r[12]; /* rbx rbp r12-r15 rdi rsi rdx r8 r9 r10 */
	uint64_t xmm[4];
	uint64_t red[4];
};

int call_and_compare(uint64_t nr, const struct state *in, struct state *out);

/* Loads everything from `in`, makes call nr, stores everything to `out`. */
__asm__(".text\n"
	".type call_and_compare, @function\n"
	"call_and_compare:\n"
	"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rdx\n"
	"mov %rdi, %rax\n"
	"mov %rsi, %r11\n"
	"mov 0(%r11), %rbx; mov 8(%r11), %rbp; mov 16(%r11), %r12; mov 24(%r11), %r13\n"
	"mov 32(%r11), %r14; mov 40(%r11), %r15; mov 48(%r11), %rdi; mov 56(%r11), %rsi\n"
	"mov 64(%r11), %rdx; mov 72(%r11), %r8; mov 80(%r11), %r9; mov 88(%r11), %r10\n"
	"movdqu 96(%r11), %xmm0; movdqu 112(%r11), %xmm15\n"
	"mov 128(%r11), %rcx; mov %rcx, -8(%rsp); mov 136(%r11), %rcx; mov %rcx, "
	"-64(%rsp)\n"
	"mov 144(%r11), %rcx; mov %rcx, -120(%rsp); mov 152(%r11), %rcx; mov %rcx, "
	"-128(%rsp)\n"
	"syscall\n"
	"mov (%rsp), %r11\n"
	"mov %rbx, 0(%r11); mov %rbp, 8(%r11); mov %r12, 16(%r11); mov %r13, 24(%r11)\n"
	"mov %r14, 32(%r11); mov %r15, 40(%r11); mov %rdi, 48(%r11); mov %rsi, 56(%r11)\n"
	"mov %rdx, 64(%r11); mov %r8, 72(%r11); mov %r9, 80(%r11); mov %r10, 88(%r11)\n"
	"movdqu %xmm0, 96(%r11); movdqu %xmm15, 112(%r11)\n"
	"mov -8(%rsp), %rcx; mov %rcx, 128(%r11); mov -64(%rsp), %rcx; mov %rcx, "
	"136(%r11)\n"
	"mov -120(%rsp), %rcx; mov %rcx, 144(%r11); mov -128(%rsp), %rcx; mov %rcx, "
	"152(%r11)\n"
	"pop %rdx; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"ret\n");

static volatile long hits;

static void on_alarm(int sig)
{
	volatile double x = 1.5;

	(void)sig;
	for (int i = 0; i < 10; i++)
		x = x * x + (double)getppid();
	hits++;
}

static int rounds(int n)
{
	struct state in, out;
	int bad = 0;

	for (int i = 0; i < n; i++) {
		uint64_t *w = (uint64_t *)&in;

		for (size_t k = 0; k < sizeof(in) / 8; k++)
			w[k] = 0x123456789abcdefULL * (k + 1) + (uint64_t)i;
		memset(&out, 0, sizeof(out));
		call_and_compare(SYS_getppid, &in, &out);
		bad += memcmp(&in, &out, sizeof(in)) != 0;
	}
	return bad;
}

int main(void)
{
	struct itimerval it = { { 0, 100 }, { 0, 100 } };

	limit_seconds(30);
	ok(rounds(100) == 0, "all is kept, trapped and patched");
	handle(SIGALRM, on_alarm, 0);
	setitimer(ITIMER_REAL, &it, NULL);
	ok(rounds(300000) == 0, "also under signals");
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	ok(hits > 0, "which came");
	ok(syscall(100000) == -1 && errno == ENOSYS, "an unknown number: ENOSYS");
	return done();
}
