/* SPDX-License-Identifier: MIT */
/* sigaltstack: who runs where, what it says, and a stack overflow survived. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "tap.h"

#define SIZE 65536
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

static char *alt;
static volatile int on_alt, flags_inside, set_inside, nested_on_alt, overflowed;
static sigjmp_buf jump;

static int is_on_alt(void)
{
	char here;

	return (uintptr_t)&here >= (uintptr_t)alt &&
	       (uintptr_t)&here < (uintptr_t)alt + SIZE;
}

static void on_nested(int sig)
{
	(void)sig;
	nested_on_alt = is_on_alt();
}

static void on_signal(int sig)
{
	stack_t ss, new = { .ss_sp = alt, .ss_size = SIZE };

	(void)sig;
	on_alt = is_on_alt();
	sigaltstack(NULL, &ss);
	flags_inside = (int)ss.ss_flags;
	set_inside = sigaltstack(&new, NULL);
	raise(SIGUSR2);
}

static void on_disarmed(int sig)
{
	stack_t ss;

	(void)sig;
	on_alt = is_on_alt();
	sigaltstack(NULL, &ss);
	flags_inside = (int)ss.ss_flags;
}

static void on_overflow(int sig)
{
	(void)sig;
	overflowed = is_on_alt();
	siglongjmp(jump, 1);
}

static volatile int forever = 1;

static int recurse(int n)
{
	volatile char buf[4096];

	buf[0] = (char)n;
	return forever ? recurse(n + 1) + buf[0] : 0;
}

int main(void)
{
	struct rlimit rl = { .rlim_cur = 1 << 20, .rlim_max = 1 << 20 };
	stack_t ss, old;

	limit_seconds(30);
	alt = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		   0);
	sigaltstack(NULL, &old);
	ok(old.ss_flags == SS_DISABLE, "none to begin with");
	ss = (stack_t){ .ss_sp = alt, .ss_size = 1024 };
	ok(sigaltstack(&ss, NULL) == -1 && errno == ENOMEM, "too small: ENOMEM");
	ss = (stack_t){ .ss_sp = alt, .ss_size = SIZE, .ss_flags = 64 };
	ok(sigaltstack(&ss, NULL) == -1 && errno == EINVAL, "unknown flag: EINVAL");
	ok(sigaltstack((stack_t *)8, NULL) == -1 && errno == EFAULT,
	   "bad pointer: EFAULT");
	ss.ss_flags = 0;
	ok(sigaltstack(&ss, NULL) == 0, "set");
	sigaltstack(NULL, &old);
	ok(old.ss_sp == alt && old.ss_size == SIZE && old.ss_flags == 0, "reads back");
	ss = (stack_t){ .ss_sp = alt, .ss_size = 1024 };
	ok(sigaltstack(&ss, NULL) == -1 && errno == ENOMEM, "again too small: ENOMEM");
	sigaltstack(NULL, &old);
	ok(old.ss_sp == alt && old.ss_size == SIZE, "the one that was set is kept");
	ss = (stack_t){ .ss_sp = alt, .ss_size = SIZE, .ss_flags = SS_ONSTACK | (int)(1u << 31) };
	sigaltstack(&ss, NULL);
	sigaltstack(NULL, &old);
	ok(old.ss_flags == (int)(1u << 31), "SS_AUTODISARM reads back, SS_ONSTACK not");
	ss.ss_flags = 0;
	sigaltstack(&ss, NULL);
	handle(SIGUSR1, on_signal, SA_ONSTACK);
	handle(SIGUSR2, on_nested, SA_ONSTACK);
	raise(SIGUSR1);
	ok(on_alt && nested_on_alt, "handlers run on it, nested ones too");
	ok(flags_inside == SS_ONSTACK && set_inside == -1,
	   "in use: SS_ONSTACK, cannot be changed");
	handle(SIGUSR1, on_signal, 0);
	raise(SIGUSR1);
	ok(!on_alt && nested_on_alt, "without SA_ONSTACK the normal stack");
	ss.ss_flags = (int)SS_AUTODISARM;
	ok(sigaltstack(&ss, NULL) == 0, "SS_AUTODISARM");
	handle(SIGUSR1, on_disarmed, SA_ONSTACK);
	raise(SIGUSR1);
	ok(on_alt && flags_inside == SS_DISABLE, "disarmed in the handler");
	sigaltstack(NULL, &old);
	ok(old.ss_sp == alt && (unsigned)old.ss_flags == SS_AUTODISARM,
	   "and armed again after it");
	ss.ss_flags = 0;
	sigaltstack(&ss, NULL);
	setrlimit(RLIMIT_STACK, &rl);
	handle(SIGSEGV, on_overflow, SA_ONSTACK);
	for (int i = 0; i < 3; i++) {
		overflowed = 0;
		if (!sigsetjmp(jump, 1))
			recurse(0);
		ok(overflowed, "a stack overflow is survived");
	}
	ss.ss_flags = SS_DISABLE;
	ok(sigaltstack(&ss, &old) == 0 && old.ss_sp == alt, "disabled");
	handle(SIGUSR1, on_nested, SA_ONSTACK);
	nested_on_alt = 1;
	raise(SIGUSR1);
	ok(!nested_on_alt, "then the normal stack");
	return done();
}
