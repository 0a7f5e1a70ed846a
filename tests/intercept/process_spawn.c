/* SPDX-License-Identifier: MIT */
/* vfork, posix_spawn, clone: what the child shares and what it does not. */
#define _GNU_SOURCE
#include <sched.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tap.h"

extern char **environ;
static volatile int shared, hits;

static void on_signal(int sig)
{
	(void)sig;
	hits++;
}

static int exit_of(pid_t pid)
{
	int status = -1;

	if (waitpid(pid, &status, __WALL) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void t_vfork(void)
{
	char *argv[] = { "sh", "-c", "exit 3", NULL };
	struct sigaction old;
	pid_t pid;
	volatile int bad = 0;

	handle(SIGUSR1, on_signal, 0);
	for (volatile int i = 0; i < 30; i++) {
		pid = vfork();
		if (!pid) {
			shared = i;
			signal(SIGUSR1, SIG_IGN);
			execv("/bin/sh", argv);
			_exit(127);
		}
		bad += shared != i || exit_of(pid) != 3;
	}
	ok(bad == 0, "vfork + exec, memory is shared");
	sigaction(SIGUSR1, NULL, &old);
	raise(SIGUSR1);
	ok(old.sa_handler == on_signal && hits == 1, "its signal handlers are not");
	pid = vfork();
	if (!pid)
		_exit(9);
	ok(exit_of(pid) == 9, "vfork + exit");
	pid = vfork();
	if (!pid) {
		execv("/nonexistent", argv);
		shared = errno;
		_exit(4);
	}
	ok(exit_of(pid) == 4 && shared == ENOENT, "vfork + exec that fails");
	ok(system("exit 5") >> 8 == 5, "system");
}

static void t_spawn(void)
{
	char *argv[] = { "sh", "-c", "kill -TERM $$; sleep 1; exit 0", NULL };
	posix_spawnattr_t attr;
	sigset_t set, mask;
	pid_t pid = 0;
	int ret;

	signal(SIGTERM, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigemptyset(&mask);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigdefault(&attr, &set);
	posix_spawnattr_setsigmask(&attr, &mask);
	ret = posix_spawn(&pid, "/bin/sh", NULL, &attr, argv, environ);
	ok(ret == 0 && exit_of(pid) == 128 + SIGTERM, "posix_spawn with default SIGTERM");
	ok(posix_spawn(&pid, "/nonexistent", NULL, NULL, argv, environ) == ENOENT,
	   "posix_spawn of nothing: ENOENT");
	ok(signal(SIGTERM, SIG_DFL) == SIG_IGN, "the parent still ignores it");
}

/* Of our address space, in pages. */
static long mapped(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long pages = -1;

	if (f && fscanf(f, "%ld", &pages) != 1)
		pages = -1;
	if (f)
		fclose(f);
	return pages;
}

static void t_no_leak(void)
{
	char *argv[] = { "true", NULL };
	long before = 0;
	int bad = 0;
	pid_t pid = 0;

	for (int i = 0; i < 60; i++) {
		if (i == 10)
			before = mapped();
		bad += posix_spawnp(&pid, "true", NULL, NULL, argv, environ) != 0 ||
		       exit_of(pid) != 0;
	}
	ok(!bad && mapped() < before + 1000, "what a spawn needed does not stay mapped");
}

static int on_stack(void *arg)
{
	*(volatile int *)arg = 77;
	return 6;
}

static void t_clone(void)
{
	char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile int bad = 0;
	pid_t pid;

	shared = 1;
	pid = clone(on_stack, stack + 65536, SIGCHLD, (void *)&shared);
	ok(exit_of(pid) == 6 && shared == 1, "clone with a stack, memory copied");
	for (int i = 0; i < 100; i++) {
		shared = 0;
		pid = clone(on_stack, stack + 65536, CLONE_VM | SIGCHLD, (void *)&shared);
		bad += exit_of(pid) != 6 || shared != 77;
	}
	ok(bad == 0, "clone with CLONE_VM");
	shared = 0;
	pid = clone(on_stack, stack + 65536,
		    CLONE_VM | CLONE_VFORK | CLONE_SIGHAND | SIGCHLD, (void *)&shared);
	ok(exit_of(pid) == 6 && shared == 77, "clone with CLONE_SIGHAND");
	ok(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0) == -1 && errno == EINVAL,
	   "flags that do not go together: EINVAL");
	ok(raise(0) == 0 && getppid() > 0, "the parent is well");
}

/* What clone3 needs to know; older headers have no CLONE_CLEAR_SIGHAND. */
struct clone3_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};
#define CLEAR_SIGHAND 0x100000000ULL

static int clear_child(uint64_t flags)
{
	struct clone3_args a = { .flags = flags | CLEAR_SIGHAND, .exit_signal = SIGCHLD };
	struct sigaction user1, user2, segv;
	pid_t pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));

	if (pid)
		return pid < 0 ? -errno : exit_of(pid);
	sigaction(SIGUSR1, NULL, &user1);
	sigaction(SIGUSR2, NULL, &user2);
	sigaction(SIGSEGV, NULL, &segv);
	_exit((user1.sa_handler != SIG_DFL) | (user2.sa_handler != SIG_IGN) << 1 |
	      (segv.sa_handler != SIG_DFL) << 2);
}

static void t_clear_handlers(void)
{
	struct sigaction old;

	handle(SIGUSR1, on_signal, 0);
	handle(SIGSEGV, on_signal, 0);
	signal(SIGUSR2, SIG_IGN);
	ok(clear_child(0) == 0, "clone3 without handlers: what was ignored stays so");
	ok(clear_child(CLONE_SIGHAND | CLONE_VM) == -EINVAL, "not with CLONE_SIGHAND");
	sigaction(SIGUSR1, NULL, &old);
	hits = 0;
	raise(SIGUSR1);
	ok(old.sa_handler == on_signal && hits == 1, "the parent has its handlers");
	signal(SIGSEGV, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
}

static int is_pending(int sig)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, sig);
}

static void t_actions(void)
{
	char *argv[] = { "sh", "-c", "kill -USR2 $$; kill -TERM $$; exit 3", NULL };
	struct sigaction act = { .sa_handler = SIG_DFL, .sa_flags = SA_NODEFER }, old;
	sigset_t set, before;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGURG);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &before);
	signal(SIGUSR1, SIG_DFL);
	raise(SIGUSR1);
	raise(SIGURG);
	signal(SIGURG, SIG_DFL);
	signal(SIGUSR1, SIG_DFL);
	ok(!is_pending(SIGURG) && is_pending(SIGUSR1),
	   "SIG_DFL again: drops only a signal that is ignored by default");
	signal(SIGUSR1, SIG_IGN);
	ok(!is_pending(SIGUSR1), "SIG_IGN drops any");
	sigprocmask(SIG_SETMASK, &before, NULL);
	sigaction(SIGUSR1, &act, &old);
	ok(old.sa_handler == SIG_IGN && !sigaction(SIGUSR1, NULL, &old) &&
		   old.sa_handler == SIG_DFL && old.sa_flags & SA_NODEFER,
	   "flags of the default action are kept");
	signal(SIGUSR2, SIG_IGN);
	for (int i = 0; i < 3; i++) {
		pid = fork();
		if (!pid) {
			execv("/bin/sh", argv);
			_exit(127);
		}
		ok(exit_of(pid) == 128 + SIGTERM, "an ignored signal stays so at exec");
	}
	signal(SIGUSR2, SIG_DFL);
}

static void t_fork_tree(void)
{
	volatile int bad = 0;

	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();

		if (!pid) {
			pid_t sub = fork();

			if (!sub)
				_exit(i);
			_exit(exit_of(sub) == i ? i + 1 : 99);
		}
		bad += exit_of(pid) != i + 1;
	}
	ok(bad == 0, "fork in a fork");
}

int main(void)
{
	limit_seconds(60);
	t_vfork();
	t_spawn();
	t_no_leak();
	t_clone();
	t_clear_handlers();
	t_actions();
	t_fork_tree();
	return done();
}
