/* SPDX-License-Identifier: MIT */
/* siglongjmp out of a handler that interrupted anything: computing, short calls,
 * waits. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "tap.h"

#define JUMPS 5000

static sigjmp_buf jump;
static volatile int armed;
static volatile long jumps, returns;

static void on_alarm(int sig)
{
	(void)sig;
	if (armed) {
		armed = 0;
		jumps++;
		siglongjmp(jump, 1);
	}
	returns++;
}

static int p[2];

static void work(int kind)
{
	struct stat st;
	volatile long x = 0;
	char c;

	switch (kind) {
	case 0:
		for (;;)
			x++;
	case 1:
		for (;;)
			stat("/", &st);
	case 2:
		for (;;)
			if (read(p[0], &c, 1) >= 0)
				break;
	default:
		for (;;)
			getppid();
	}
}

int main(void)
{
	static const char *const names[] = { "computing", "stat", "a waiting read",
					     "getppid" };
	struct itimerval it = { { 0, 300 }, { 0, 300 } };

	limit_seconds(60);
	if (pipe(p))
		return 1;
	for (volatile int kind = 0; kind < 4; kind++) {
		jumps = 0;
		handle(SIGALRM, on_alarm, SA_RESTART);
		setitimer(ITIMER_REAL, &it, NULL);
		while (jumps < JUMPS / 4) {
			if (!sigsetjmp(jump, 1)) {
				armed = 1;
				work(kind);
			}
		}
		setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
		ok(jumps == JUMPS / 4, "out of %s, %d times", names[kind], JUMPS / 4);
	}
	return done();
}
