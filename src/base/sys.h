/* SPDX-License-Identifier: MIT */
/*
 * Raw system calls of the host kernel, usable without libc. Return value: the kernel's own,
 * negative errno on failure. Constants come from the kernel's uapi headers.
 */
#ifndef HARE_BASE_SYS_H
#define HARE_BASE_SYS_H

#include <asm/unistd.h>

#include "base/types.h"

static inline long sys_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#define SYS_CALL_0(nr)		sys_call6(nr, 0, 0, 0, 0, 0, 0)
#define SYS_CALL_1(nr, a)	sys_call6(nr, (long)(a), 0, 0, 0, 0, 0)
#define SYS_CALL_2(nr, a, b)	sys_call6(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define SYS_CALL_3(nr, a, b, c) sys_call6(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS_CALL_4(nr, a, b, c, d)                                                       \
	sys_call6(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS_CALL_5(nr, a, b, c, d, e)                                                    \
	sys_call6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define SYS_CALL_6(nr, a, b, c, d, e, f)                                                 \
	sys_call6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#define SYS_PICK_(_1, _2, _3, _4, _5, _6, _7, name, ...) name
/* SYS(write, fd, buf, len) makes the host's system call __NR_write. */
#define SYS(name, ...)                                                                   \
	SYS_PICK_(__NR_##name, ##__VA_ARGS__, SYS_CALL_6, SYS_CALL_5, SYS_CALL_4,        \
		  SYS_CALL_3, SYS_CALL_2, SYS_CALL_1, SYS_CALL_0)                        \
	(__NR_##name, ##__VA_ARGS__)

static inline bool sys_failed(long ret)
{
	return (unsigned long)ret > -4096UL;
}

#endif
