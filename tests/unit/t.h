/* SPDX-License-Identifier: MIT */
/*
 * TAP for unit tests. One process prints points; what other processes find out is handed to it
 * by exit status or in shared memory.
 *
 *	ok(got == want, "three records come in order");
 *	is(got, want, "bytes in use");
 *	return done_testing();
 */
#ifndef HARE_TESTS_UNIT_T_H
#define HARE_TESTS_UNIT_T_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int t_count_, t_failed_;

__attribute__((format(printf, 4, 5), unused)) static bool
t_ok_(bool good, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	printf("%s %d - ", good ? "ok" : "not ok", ++t_count_);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	if (!good) {
		t_failed_++;
		printf("# at %s:%d\n", file, line);
	}
	fflush(stdout);
	return good;
}

/* A test point: prints it, and is its result. */
#define ok(cond, ...) t_ok_(!!(cond), __FILE__, __LINE__, __VA_ARGS__)
/* Two integers are equal; prints both when not. */
#define is(got, want, ...)                                                               \
	t_is_((int64_t)(got), (int64_t)(want), __FILE__, __LINE__, __VA_ARGS__)
#define t_is_(got, want, file, line, ...)                                                \
	({                                                                               \
		int64_t t_g_ = (got), t_w_ = (want);                                     \
		bool t_good_ = t_ok_(t_g_ == t_w_, file, line, __VA_ARGS__);             \
		if (!t_good_)                                                            \
			printf("# got %lld, want %lld\n", (long long)t_g_,               \
			       (long long)t_w_);                                         \
		t_good_;                                                                 \
	})
#define diag(fmt, ...) printf("# " fmt "\n", ##__VA_ARGS__)
/* Stops the whole program: nothing that follows makes sense. */
#define need(cond, what)                                                                 \
	do {                                                                             \
		if (!(cond)) {                                                           \
			printf("Bail out! %s (%s:%d)\n", what, __FILE__, __LINE__);      \
			exit(1);                                                         \
		}                                                                        \
	} while (0)

/* The plan; the program's exit status. */
__attribute__((unused)) static int done_testing(void)
{
	printf("1..%d\n", t_count_);
	fflush(stdout);
	return t_failed_ != 0;
}

/* A small repeatable random number generator (splitmix64). */
__attribute__((unused)) static uint64_t t_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

#endif
