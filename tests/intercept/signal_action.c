/* SPDX-License-Identifier: MIT */
/* Signals that come while their own or other actions are being set and read: of one thread, which
 * would wait for itself, and of several; also sent ones of SIGSEGV and SIGSYS. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "tap.h"

#define HITS	1000
#define THREADS 3

static volatile long hits, bad, ended;

static void on_signal(int sig)
{
	(void)sig;
	__atomic_fetch_add(&hits, 1, __ATOMIC_RELAXED);
}

static void set_and_read(int sig)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, old;

	if (sigaction(sig, &act, NULL) || sigaction(sig, NULL, &old) ||
	    old.sa_handler != on_signal)
		bad++;
	act.sa_handler = SIG_IGN;
	if (sigaction(SIGUSR2, &act, NULL) || sigaction(SIGUSR2, NULL, &old) ||
	    old.sa_handler != SIG_IGN)
		bad++;
}

static void rounds(int sig, int value)
{
	struct itimerval it = { { 0, value }, { 0, value } }, off = { 0 };

	hits = 0;
	handle(SIGALRM, on_signal, SA_RESTART);
	setitimer(ITIMER_REAL, &it, NULL);
	while (hits < HITS)
		set_and_read(sig);
	setitimer(ITIMER_REAL, &off, NULL);
}

static void *sender(void *arg)
{
	const int sigs[] = { SIGSEGV, SIGSYS, SIGBUS, SIGUSR1 };

	for (int i = 0; i < HITS; i++) {
		pthread_kill(*(pthread_t *)arg, sigs[i % 4]);
		for (int k = 0; k < 5; k++)
			set_and_read(SIGALRM);
	}
	__atomic_fetch_add(&ended, 1, __ATOMIC_RELAXED);
	return NULL;
}

int main(void)
{
	pthread_t self = pthread_self(), t[THREADS];

	limit_seconds(60);
	rounds(SIGALRM, 60);
	ok(bad == 0, "the action of the signal itself");
	rounds(SIGCHLD, 70);
	ok(bad == 0, "another one's");
	handle(SIGSEGV, on_signal, 0);
	handle(SIGSYS, on_signal, 0);
	handle(SIGBUS, on_signal, 0);
	handle(SIGUSR1, on_signal, 0);
	hits = 0;
	for (int i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, sender, &self);
	while (ended < THREADS)
		set_and_read(SIGCHLD);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	ok(hits > 0, "signals of threads arrive");
	ok(bad == 0, "sent by threads that set actions too");
	rounds(SIGSEGV, 60);
	ok(bad == 0, "and of SIGSEGV, which the loader always handles");
	return done();
}
