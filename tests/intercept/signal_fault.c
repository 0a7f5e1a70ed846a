/* SPDX-License-Identifier: MIT */
/* Faults of the program reach its handler, with address; bad pointers in calls give
 * EFAULT. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "tap.h"

static sigjmp_buf jump;
static void *volatile fault_addr;
static volatile int fault_code, fixed;
static char *page;

static void on_fault(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	fault_addr = si->si_addr;
	fault_code = si->si_code;
	siglongjmp(jump, sig);
}

static void on_fixable(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	if (si->si_addr == page && !fixed++)
		mprotect(page, 4096, PROT_READ | PROT_WRITE);
	else
		_exit(99);
}

static void catch (int sig, void (*fn)(int, siginfo_t *, void *))
{
	struct sigaction sa = { .sa_sigaction = fn, .sa_flags = SA_SIGINFO };

	sigaction(sig, &sa, NULL);
}

static void t_handlers(void)
{
	char name[] = "/tmp/hare-fault-XXXXXX";
	volatile char *p;
	sigset_t m;
	int fd, sig;

	catch (SIGSEGV, on_fault);
	catch (SIGBUS, on_fault);
	for (int i = 0; i < 1000; i++) {
		sig = sigsetjmp(jump, 1);
		if (!sig)
			*(volatile int *)(uintptr_t)(0x1000 + i) = 1;
		if (sig != SIGSEGV || fault_addr != (void *)(uintptr_t)(0x1000 + i))
			break;
	}
	ok(sig == SIGSEGV && fault_code == SEGV_MAPERR,
	   "SIGSEGV, si_addr, siglongjmp, 1000 times");
	sigprocmask(SIG_BLOCK, NULL, &m);
	ok(!sigismember(&m, SIGSEGV), "the mask is restored by siglongjmp");
	sig = sigsetjmp(jump, 1);
	if (!sig)
		*(volatile int *)(uintptr_t)0x8000000000000000 = 1;
	ok(sig == SIGSEGV && fault_code == SI_KERNEL, "an address that is no address");
	fd = mkstemp(name);
	unlink(name);
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	sig = sigsetjmp(jump, 1);
	if (!sig)
		sig = *p;
	ok(sig == SIGBUS && fault_addr == (void *)p, "SIGBUS behind the end of a file");
	close(fd);
	page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	catch (SIGSEGV, on_fixable);
	*(volatile char *)page = 5;
	ok(fixed == 1 && *page == 5, "a handler that mends and returns");
}

/* By number: libc looks at some of these itself. */
static void bad_pointers(const char *when)
{
	static void *volatile bad = (void *)8, *volatile far = (void *)-5L;
	char buf[64];
	int zero = open("/dev/zero", O_RDWR);

#define efault(...) (syscall(__VA_ARGS__) == -1 && errno == EFAULT)
	ok(efault(SYS_rt_sigaction, SIGUSR1, bad, NULL, 8), "sigaction%s", when);
	ok(efault(SYS_rt_sigprocmask, SIG_BLOCK, bad, NULL, 8), "sigprocmask%s", when);
	ok(efault(SYS_sigaltstack, bad, NULL), "sigaltstack%s", when);
	ok(efault(SYS_openat, AT_FDCWD, bad, O_RDONLY), "openat%s", when);
	ok(efault(SYS_stat, far, buf), "stat%s", when);
	ok(efault(SYS_read, zero, bad, 10), "read%s", when);
	ok(efault(SYS_nanosleep, bad, NULL), "nanosleep%s", when);
	ok(efault(SYS_ppoll, NULL, 0, NULL, bad, 8), "ppoll%s", when);
	ok(efault(SYS_execve, bad, NULL, NULL), "execve%s", when);
	ok(efault(SYS_execve, "/bin/true", bad, NULL), "execve, argv%s", when);
	ok(efault(SYS_execve, "/bin/true", NULL, far), "execve, envp%s", when);
	ok(efault(SYS_readlink, "/proc/self/exe", bad, 10), "readlink%s", when);
	close(zero);
}

static volatile int deeper = 1;

static int overflow(int n)
{
	volatile char buf[4096];

	buf[0] = (char)n;
	return deeper ? overflow(n + 1) + buf[0] : 0;
}

/* How a child ends that does one bad thing. */
static int child_status(int what)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		sigset_t m;

		signal(SIGSEGV, what == 2 ? SIG_IGN : SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		sigfillset(&m);
		if (what == 1)
			sigprocmask(SIG_BLOCK, &m, NULL);
		if (what == 3) {
			catch (SIGSEGV, on_fixable);
			sigprocmask(SIG_BLOCK, &m, NULL);
		}
		if (what == 4)
			__builtin_trap();
		if (what == 5) {
			catch (SIGSEGV, on_fixable);
			overflow(0);
		}
		*(volatile int *)8 = 1;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

int main(void)
{
	sigset_t all, old;

	limit_seconds(30);
	t_handlers();
	bad_pointers("");
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	bad_pointers(", all blocked");
	sigprocmask(SIG_SETMASK, &old, NULL);
	ok(child_status(0) == SIGSEGV, "default: dies of SIGSEGV");
	ok(child_status(1) == SIGSEGV, "blocked: dies of SIGSEGV");
	ok(child_status(2) == SIGSEGV, "ignored: dies of SIGSEGV");
	ok(child_status(3) == SIGSEGV, "blocked with a handler: dies of SIGSEGV");
	ok(child_status(4) == SIGILL, "SIGILL");
	ok(child_status(5) == SIGSEGV, "no stack left for the handler: dies of SIGSEGV");
	return done();
}
