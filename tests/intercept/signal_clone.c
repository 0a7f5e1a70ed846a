/* SPDX-License-Identifier: MIT */
/* fork, vfork, thread creation and exec under a storm of signals, all with handlers. */
#define _GNU_SOURCE
#include <pthread.h>
#include <spawn.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "tap.h"

extern char **environ;
static volatile long hits;

static void on_signal(int sig)
{
	int saved = errno;

	(void)sig;
	getppid();
	__atomic_fetch_add(&hits, 1, __ATOMIC_RELAXED);
	errno = saved;
}

static void storm(int usec)
{
	struct itimerval it = { { 0, usec }, { 0, usec } };

	handle(SIGALRM, on_signal, SA_RESTART);
	setitimer(ITIMER_REAL, &it, NULL);
}

static int wait_for(pid_t pid)
{
	int status = -1;

	return waitpid(pid, &status, 0) == pid ? status : -1;
}

static int forks(int n)
{
	int bad = 0;

	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (!pid) {
			sigset_t m;

			sigprocmask(SIG_BLOCK, NULL, &m);
			_exit(sigismember(&m, SIGALRM) || sigismember(&m, SIGUSR2));
		}
		bad += pid < 0 || wait_for(pid) != 0;
	}
	return bad;
}

static int spawns(int n)
{
	char *argv[] = { "true", NULL };
	int bad = 0;

	for (int i = 0; i < n; i++) {
		pid_t pid;

		bad += posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) != 0 ||
		       wait_for(pid) != 0;
	}
	return bad;
}

static void *body(void *arg)
{
	sigset_t m;

	pthread_sigmask(SIG_BLOCK, NULL, &m);
	return sigismember(&m, SIGALRM) ? NULL : arg;
}

static int threads(int n)
{
	int bad = 0;

	for (int i = 0; i < n; i++) {
		void *ret = NULL, *arg = &ret;
		pthread_t t;

		bad += pthread_create(&t, NULL, body, arg) != 0;
		pthread_join(t, &ret);
		bad += ret != arg;
	}
	return bad;
}

static int killed(int n)
{
	int bad = 0;

	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (!pid) {
			for (;;)
				forks(1);
		}
		usleep(500 + 37 * i);
		kill(pid, SIGTERM);
		bad += wait_for(pid) != SIGTERM;
	}
	return bad;
}

static void *storm_thread(void *arg)
{
	return (void *)(long)(arg ? forks(100) : spawns(30));
}

static int in_threads(void)
{
	pthread_t t[4];
	long bad = 0;

	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, storm_thread, i & 1 ? &t : NULL);
	for (int i = 0; i < 4; i++) {
		void *ret;

		pthread_join(t[i], &ret);
		bad += (long)ret;
	}
	return (int)bad;
}

int main(void)
{
	limit_seconds(60);
	storm(150);
	ok(forks(300) == 0, "fork");
	ok(spawns(100) == 0, "posix_spawn");
	ok(threads(500) == 0, "threads");
	ok(killed(20) == 0, "children that are killed at any moment");
	ok(in_threads() == 0, "fork and posix_spawn in several threads");
	ok(hits > 10, "under signals");
	return done();
}
