/* SPDX-License-Identifier: MIT */
/*
 * steps HOW: a tracer that takes a program of Hare through one system call instruction by instruction,
 * and lets something come in between, before each of them in turn (tests/race/steps.t).
 *
 *	read, ppoll, sigsuspend   a signal, in a call that waits: its handler runs, and what lets the signal
 *	                          in by itself ends with EINTR
 *	sigaction                 the same, in a call that has locked what the delivery needs
 *	lock                      a call of the tracer's own that needs the lock which the other one may have
 *
 * Says "good", or what went wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEPS_MAX 20000
#define WARM	  20 /* calls, until the place that makes them is patched */
#define NEAR	  150 /* instructions before the sleep: each of them; else one of FAR */
#define FAR	  37

static int fds[2];
static volatile int *over; /* the call has returned */
static sigset_t open_set;

static long call_read(void)
{
	char c;
	long r = read(fds[0], &c, 1);

	return r == 1 || (r < 0 && errno == EINTR) ? 0 : -1;
}

static long call_ppoll(void)
{
	return ppoll(NULL, 0, NULL, &open_set) == -1 && errno == EINTR ? 0 : -1;
}

static long call_sigsuspend(void)
{
	return sigsuspend(&open_set) == -1 && errno == EINTR ? 0 : -1;
}

static long call_sigaction(void)
{
	struct sigaction act = { .sa_handler = SIG_IGN };

	return sigaction(SIGUSR2, &act, NULL);
}

static long call_dup(void)
{
	return close(dup(fds[0]));
}

static const struct how {
	const char *name;
	long (*call)(void);
	int waits, blocked, lock; /* blocked: only the call lets the signal in */
} g_hows[] = {
	{ "read", call_read, 1, 0, 0 },
	{ "ppoll", call_ppoll, 1, 1, 0 },
	{ "sigsuspend", call_sigsuspend, 1, 1, 0 },
	{ "sigaction", call_sigaction, 0, 0, 0 },
	{ "lock", call_dup, 0, 0, 1 },
};
static const struct how *g_how;

/* --- the program: stops before and behind each call, and in the handler ------------------------------- */

/* As raise, which would block signals meanwhile. */
static void stop(int sig)
{
	syscall(SYS_tgkill, getpid(), getpid(), sig);
}

static void on_usr1(int sig)
{
	int saved = errno;

	(void)sig;
	stop(SIGTSTP);
	errno = saved;
}

static _Noreturn void program(void)
{
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	for (;;) {
		*over = 0;
		stop(SIGSTOP);
		if (g_how->call())
			_exit(1);
		*over = 1;
		stop(SIGSTOP);
	}
}

/* --- the tracer --------------------------------------------------------------------------------------- */

static void fail(const char *what, long n)
{
	printf("%s, at instruction %ld\n", what, n);
	exit(1);
}

/* Until it stops for what is none of the loader's own signals, nor the one that we sent. 0: it has
 * ended. */
static int next_stop(pid_t pid, int request)
{
	int status, sig = 0;

	do {
		if (ptrace(request, pid, 0, (long)sig) || waitpid(pid, &status, __WALL) != pid ||
		    !WIFSTOPPED(status))
			return 0;
		sig = WSTOPSIG(status);
	} while (sig == SIGSYS || sig == SIGSEGV || sig == SIGUSR1);
	return sig;
}

/* The next instruction of it puts it to sleep. */
static int is_asleep(pid_t pid)
{
	struct user_regs_struct r;
	long word;

	ptrace(PTRACE_GETREGS, pid, 0, &r);
	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, pid, (void *)r.rip, 0);
	if (errno || (word & 0xffff) != 0x050f)
		return 0;
	return (r.rax == SYS_futex && !(r.rsi & 1)) || r.rax == SYS_ppoll ||
	       r.rax == SYS_rt_sigsuspend || r.rax == SYS_read;
}

/* At most max instructions on from the stop before a call, until it sleeps or is over: how many. */
static long steps(pid_t pid, long max)
{
	long n = 0;

	while (n < max && !*over && !(g_how->waits && is_asleep(pid))) {
		if (next_stop(pid, PTRACE_SINGLESTEP) != SIGTRAP)
			fail("no step", n);
		n++;
	}
	return n;
}

/* The signal, and to the stop behind the call. */
static void signalled(pid_t pid, long n)
{
	struct pollfd left = { .fd = fds[0], .events = POLLIN };
	int sig;
	char c;

	kill(pid, SIGUSR1);
	if (next_stop(pid, PTRACE_CONT) != SIGTSTP)
		fail("the handler did not run", n);
	if (g_how->call == call_read && write(fds[1], "x", 1) != 1)
		fail("write", n);
	sig = next_stop(pid, PTRACE_CONT);
	if (sig != SIGSTOP)
		fail("the call did not end as it should", n);
	if (g_how->call == call_read && poll(&left, 1, 0) == 1 && read(fds[0], &c, 1) != 1)
		fail("read", n);
}

/* The tracer's own call, and to the stop behind the call; the stop where it stands comes again. */
static void locked(pid_t pid, long n)
{
	int sig;

	if (close(dup(fds[1])))
		fail("the tracer's own call", n);
	do {
		sig = next_stop(pid, PTRACE_CONT);
	} while (sig == SIGTRAP);
	if (sig != SIGSTOP)
		fail("the call did not end as it should", n);
}

/* One call, with what comes in between at an instruction, or where it sleeps or is over. */
static long one(pid_t pid, long at)
{
	long n = steps(pid, at);

	if (g_how->lock)
		locked(pid, n);
	else
		signalled(pid, n);
	if (next_stop(pid, PTRACE_CONT) != SIGSTOP)
		fail("it ended", n);
	return n;
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = on_usr1 };
	int status;
	sigset_t set;
	long n = 0;
	pid_t pid;

	alarm(100);
	for (size_t i = 0; i < sizeof(g_hows) / sizeof(g_hows[0]) && argc == 2; i++)
		if (!strcmp(g_hows[i].name, argv[1]))
			g_how = &g_hows[i];
	over = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!g_how || pipe(fds) || over == MAP_FAILED)
		return 2;
	sigemptyset(&open_set);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaction(SIGUSR1, &act, NULL);
	if (g_how->blocked)
		sigprocmask(SIG_BLOCK, &set, NULL);
	pid = fork();
	if (!pid)
		program();
	if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
		fail("it did not start", 0);
	for (int i = 0; i < WARM; i++)
		n = one(pid, STEPS_MAX);
	for (long k = 0; k <= n; k += g_how->lock ? 5 : g_how->waits && n - k > NEAR ? FAR : 1)
		one(pid, k);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, __WALL);
	fprintf(stderr, "%ld instructions\n", n);
	puts(n > 20 ? "good" : "there were no instructions");
	return 0;
}
