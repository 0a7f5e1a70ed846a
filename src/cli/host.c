/* SPDX-License-Identifier: MIT */
/*
 * base/host.h for the hare command and the tests: the "program's memory" is our own, and no
 * signal of a program interrupts us.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/host.h"
#include "base/sys.h"

long user_read(void *dst, const void *user_src, size_t len)
{
	memcpy(dst, user_src, len);
	return 0;
}

long user_write(void *user_dst, const void *src, size_t len)
{
	memcpy(user_dst, src, len);
	return 0;
}

long user_read_str(char *dst, const char *user_src, size_t size)
{
	size_t len = strnlen(user_src, size);

	if (len == size)
		return -ENAMETOOLONG;
	memcpy(dst, user_src, len + 1);
	return (long)len;
}

long host_block(long nr, long a, long b, long c, long d, long e, long f)
{
	return sys_call6(nr, a, b, c, d, e, f);
}

void host_poke_over(void)
{
}

bool host_signal_pending(void)
{
	return false;
}

static u64 clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

u64 host_realtime_ns(void)
{
	return clock_ns(CLOCK_REALTIME_COARSE);
}

u64 host_monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

void host_unmaps(u64 addr, u64 len)
{
	(void)addr;
	(void)len;
}
