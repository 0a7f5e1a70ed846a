/* SPDX-License-Identifier: MIT */
/* SIGSYS of the program's own seccomp filter reaches its handler, which emulates the
 * call. */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "tap.h"

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1 /* si_code */
#endif

static volatile int nr, code;

static void on_sigsys(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	(void)sig;
	nr = si->si_syscall;
	code = si->si_code;
	uc->uc_mcontext.gregs[REG_RAX] = 4242;
}

int main(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getuid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = 4, .filter = filter };
	struct sigaction sa = { .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO };
	int bad = 0;

	limit_seconds(20);
	sigaction(SIGSYS, &sa, NULL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	ok(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0, "filter installed");
	for (int i = 0; i < 50; i++)
		bad += syscall(SYS_getuid) != 4242;
	ok(bad == 0 && nr == SYS_getuid && code == SYS_SECCOMP,
	   "the handler's result is the call's");
	ok(getppid() > 0, "other calls work");
	return done();
}
