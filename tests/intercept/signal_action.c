/* SPDX-License-Identifier: MIT */
/* Signals that come while their own or other actions are being set and read: the thread must not wait for
 * itself. */
#define _GNU_SOURCE
#include <sys/time.h>

#include "tap.h"

#define HITS 1000

static volatile long hits, bad;

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

int main(void)
{
	limit_seconds(60);
	rounds(SIGALRM, 60);
	ok(bad == 0, "the action of the signal itself");
	rounds(SIGCHLD, 70);
	ok(bad == 0, "another one's");
	return done();
}
