/* SPDX-License-Identifier: MIT */
/* Test Anything Protocol for small programs: ok(cond, text) and done(). A test that hangs
 * is ended by SIGKILL, from a timer that no handler of the test sees. */
#ifndef HARE_TESTS_INTERCEPT_TAP_H
#define HARE_TESTS_INTERCEPT_TAP_H

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int tap_count, tap_failed;

#define ok(cond, ...) tap_ok(cond, #cond, __FILE__, __LINE__, __VA_ARGS__)
__attribute__((format(printf, 5, 6))) static inline int
tap_ok(int cond, const char *what, const char *file, int line, const char *fmt, ...)
{
	__builtin_va_list ap;
	int saved = errno;

	printf("%sok %d - ", cond ? "" : "not ", ++tap_count);
	__builtin_va_start(ap, fmt);
	vprintf(fmt, ap);
	__builtin_va_end(ap);
	printf("\n");
	if (!cond) {
		tap_failed++;
		printf("# %s:%d: %s (errno %d)\n", file, line, what, saved);
	}
	fflush(stdout);
	errno = saved;
	return cond;
}

static inline void limit_seconds(int seconds)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	struct itimerspec its = { .it_value = { .tv_sec = seconds } };
	timer_t timer;

	if (!timer_create(CLOCK_MONOTONIC, &ev, &timer))
		timer_settime(timer, 0, &its, NULL);
}

static inline int done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed != 0;
}

static inline double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static inline void handle(int sig, void (*fn)(int), int flags)
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };

	sigaction(sig, &sa, NULL);
}

#endif
