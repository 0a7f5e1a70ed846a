/* SPDX-License-Identifier: MIT */
/* vfork, posix_spawn, clone: what the child shares and what it does not. */
#define _GNU_SOURCE
#include <sched.h>
#include <spawn.h>
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
	t_clone();
	t_fork_tree();
	return done();
}
