/* SPDX-License-Identifier: MIT */
/* No wake-up is lost: a signal that is unblocked only by the waiting call itself ends it,
 * whenever it comes. A lost one hangs, and the time limit kills the test. */
#define _GNU_SOURCE
#include <poll.h>
#include <sys/select.h>
#include <sys/wait.h>

#include "tap.h"

#define ROUNDS 20000

static volatile sig_atomic_t hits;
static sigset_t blocked, open_set;

static void on_signal(int sig)
{
	(void)sig;
	hits++;
}

enum how { SUSPEND, PPOLL, PSELECT };

static int wait_one(enum how how)
{
	switch (how) {
	case SUSPEND:
		return sigsuspend(&open_set);
	case PPOLL:
		return ppoll(NULL, 0, NULL, &open_set);
	default:
		return pselect(0, NULL, NULL, NULL, NULL, &open_set);
	}
}

/* Parent and child signal each other in turn. */
static int ping_pong(enum how how, int rounds)
{
	pid_t parent = getpid(), pid;
	int status, bad = 0;

	hits = 0;
	pid = fork();
	if (!pid) {
		for (int i = 0; i < rounds; i++) {
			while (hits <= i)
				wait_one(how);
			kill(parent, SIGUSR1);
		}
		_exit(0);
	}
	for (int i = 0; i < rounds; i++) {
		kill(pid, SIGUSR1);
		while (hits <= i) {
			if (wait_one(how) != -1 || errno != EINTR)
				bad++;
		}
	}
	waitpid(pid, &status, 0);
	return bad + status;
}

/* The self-pipe's rival: a busy sender, and a receiver that counts every wait. */
static int flood(int rounds)
{
	pid_t parent = getpid(), pid = fork();
	int waits = 0;

	if (!pid) {
		for (int i = 0; i < rounds; i++)
			kill(parent, SIGUSR1);
		kill(parent, SIGUSR2);
		_exit(0);
	}
	hits = 0;
	while (!waitpid(pid, NULL, WNOHANG)) {
		struct timespec ts = { .tv_nsec = 1000000 };

		ppoll(NULL, 0, &ts, &open_set);
		waits++;
	}
	return waits;
}

int main(void)
{
	limit_seconds(120);
	handle(SIGUSR1, on_signal, 0);
	handle(SIGUSR2, on_signal, 0);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigaddset(&blocked, SIGUSR2);
	sigprocmask(SIG_BLOCK, &blocked, &open_set);
	ok(ping_pong(SUSPEND, ROUNDS) == 0, "sigsuspend: %d rounds", ROUNDS);
	ok(ping_pong(PPOLL, ROUNDS) == 0, "ppoll: %d rounds", ROUNDS);
	ok(ping_pong(PSELECT, ROUNDS) == 0, "pselect: %d rounds", ROUNDS);
	ok(flood(ROUNDS) > 0 && hits > 0, "ppoll under a flood of signals");
	return done();
}
