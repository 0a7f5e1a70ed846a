/* SPDX-License-Identifier: MIT */
/* Eight threads read and write pipes under timers, thread-directed and process-directed
 * signals: with SA_RESTART no call fails and no byte is lost. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "tap.h"

#define PAIRS  4
#define ROUNDS 20000

static volatile long hits;
static volatile int stop, errors;
static int pipes[PAIRS][2];
static pthread_t threads[2 * PAIRS];

static void on_signal(int sig)
{
	struct stat st;
	int saved = errno;

	(void)sig;
	__atomic_fetch_add(&hits, 1, __ATOMIC_RELAXED);
	stat("/tmp", &st);
	errno = saved;
}

static void *writer(void *arg)
{
	int *p = arg;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		if (write(p[1], &i, sizeof(i)) != sizeof(i))
			errors++;
	}
	return NULL;
}

static void *reader(void *arg)
{
	int *p = arg;

	for (uint32_t i = 0, got; i < ROUNDS; i++) {
		if (read(p[0], &got, sizeof(got)) != sizeof(got) || got != i) {
			errors++;
			break;
		}
	}
	return NULL;
}

static void *sniper(void *arg)
{
	(void)arg;
	while (!stop) {
		for (int i = 0; i < 2 * PAIRS; i++)
			pthread_kill(threads[i], SIGUSR1);
		usleep(200);
	}
	return NULL;
}

int main(void)
{
	struct itimerval it = { { 0, 200 }, { 0, 200 } };
	pthread_t s;

	limit_seconds(60);
	handle(SIGALRM, on_signal, SA_RESTART);
	handle(SIGUSR1, on_signal, SA_RESTART | SA_ONSTACK);
	for (int i = 0; i < PAIRS; i++) {
		if (pipe(pipes[i]))
			return 1;
		pthread_create(&threads[2 * i], NULL, reader, pipes[i]);
		pthread_create(&threads[2 * i + 1], NULL, writer, pipes[i]);
	}
	setitimer(ITIMER_REAL, &it, NULL);
	pthread_create(&s, NULL, sniper, NULL);
	usleep(100000);
	stop = 1; /* before the first join: pthread_kill must find the threads */
	pthread_join(s, NULL);
	for (int i = 0; i < 2 * PAIRS; i++)
		pthread_join(threads[i], NULL);
	ok(errors == 0, "no call failed, no byte lost");
	ok(hits > 10, "signals did arrive");
	return done();
}
