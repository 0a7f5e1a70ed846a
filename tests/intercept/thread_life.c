/* SPDX-License-Identifier: MIT */
/* Threads: many, short, with fork and exec from them, and what is left when they are
 * gone. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tap.h"

static volatile int counter, hits;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void on_signal(int sig)
{
	(void)sig;
	__atomic_fetch_add(&hits, 1, __ATOMIC_RELAXED);
}

static void *count(void *arg)
{
	for (int i = 0; i < 100; i++) {
		pthread_mutex_lock(&lock);
		counter++;
		pthread_mutex_unlock(&lock);
		syscall(SYS_getppid);
	}
	return arg;
}

static long mapped_kb(void)
{
	char line[256];
	long kb = -1;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmSize: %ld", &kb) == 1)
			break;
	}
	if (f)
		fclose(f);
	return kb;
}

static void t_many(void)
{
	pthread_t t[64];
	int bad = 0;

	for (int i = 0; i < 64; i++)
		bad += pthread_create(&t[i], NULL, count, (void *)(long)i);
	for (int i = 0; i < 64; i++) {
		void *ret = NULL;

		pthread_join(t[i], &ret);
		bad += ret != (void *)(long)i;
	}
	ok(bad == 0 && counter == 6400, "64 threads at once");
}

static void t_short(void)
{
	long before, after;
	pthread_t t;
	int bad = 0;

	for (int i = 0; i < 100; i++)
		bad += pthread_create(&t, NULL, count, NULL) || pthread_join(t, NULL);
	before = mapped_kb();
	for (int i = 0; i < 500; i++)
		bad += pthread_create(&t, NULL, count, NULL) || pthread_join(t, NULL);
	after = mapped_kb();
	ok(bad == 0, "600 short threads");
	ok(after - before < 4096, "which leave nothing mapped");
}

static void *fork_in_thread(void *arg)
{
	pid_t pid = fork();
	int status = 0;

	(void)arg;
	if (!pid) {
		handle(SIGUSR1, on_signal, 0);
		raise(SIGUSR1);
		_exit(hits == 1 ? 11 : 12);
	}
	waitpid(pid, &status, 0);
	return (void *)(long)WEXITSTATUS(status);
}

static void *exec_in_thread(void *arg)
{
	char *argv[] = { "sh", "-c", "exit 21", NULL };

	(void)arg;
	execv("/bin/sh", argv);
	return NULL;
}

static void *forever(void *arg)
{
	for (;;)
		syscall(SYS_getppid);
	return arg;
}

static void *sleeper(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static int status_of(void (*child)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		child();
		_exit(99);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void exec_among_threads(void)
{
	pthread_t t;

	pthread_create(&t, NULL, forever, NULL);
	pthread_create(&t, NULL, sleeper, NULL);
	usleep(10000);
	pthread_create(&t, NULL, exec_in_thread, NULL);
	pthread_join(t, NULL);
}

static void failed_exec_among_threads(void)
{
	pthread_t t;

	pthread_create(&t, NULL, count, NULL);
	execl("/nonexistent", "x", NULL);
	pthread_join(t, NULL);
	_exit(counter > 0 ? 31 : 32);
}

static void *exit_all(void *arg)
{
	exit(41);
	return arg;
}

static void exit_in_thread(void)
{
	pthread_t t;

	pthread_create(&t, NULL, sleeper, NULL);
	pthread_create(&t, NULL, exit_all, NULL);
	pthread_join(t, NULL);
}

static void *late(void *arg)
{
	usleep(50000);
	(void)arg;
	_exit(51);
}

static void main_leaves_first(void)
{
	pthread_t t;

	pthread_create(&t, NULL, late, NULL);
	syscall(SYS_exit, 0);
}

static void main_leaves_last(void)
{
	syscall(SYS_exit, 61);
}

static void t_cancel(void)
{
	void *ret = NULL;
	int bad = 0;

	for (int i = 0; i < 50; i++) {
		pthread_t t;

		pthread_create(&t, NULL, sleeper, NULL);
		if (i % 2)
			usleep(200);
		pthread_cancel(t);
		pthread_join(t, &ret);
		bad += ret != PTHREAD_CANCELED;
	}
	ok(bad == 0, "threads are cancelled in a wait");
}

int main(void)
{
	pthread_t t;
	void *ret = NULL;

	limit_seconds(60);
	t_many();
	t_short();
	pthread_create(&t, NULL, fork_in_thread, NULL);
	pthread_join(t, &ret);
	ok(ret == (void *)11L, "fork in a thread");
	ok(status_of(exec_among_threads) == 21, "exec in a thread, with others busy");
	ok(status_of(failed_exec_among_threads) == 31,
	   "exec that fails, with others busy");
	ok(status_of(exit_in_thread) == 41, "exit in a thread");
	ok(status_of(main_leaves_first) == 51, "the first thread leaves first");
	ok(status_of(main_leaves_last) == 61, "the only thread leaves");
	t_cancel();
	return done();
}
