/* SPDX-License-Identifier: MIT */
/*
 * What the freestanding layers need from whoever hosts them. Two implementations: the
 * program loader (src/intercept/host.c: faults become EFAULT, signals interrupt waits) and
 * the hare command and the tests (src/cli/host.c: plain memcpy and system calls).
 */
#ifndef HARE_BASE_HOST_H
#define HARE_BASE_HOST_H

#include "base/types.h"

/* Internal results, never seen by a program. The first two are the kernel's own numbers. */
#define HARE_ERESTARTSYS                                                                 \
	512 /* interrupted: restart if the handler has SA_RESTART, else EINTR */
#define HARE_ERESTARTNOHAND                                                              \
	514 /* interrupted: EINTR whenever a handler ran, else restart */

/* Copies len bytes from or to the program's memory. 0, or -EFAULT when any byte of it is not
 * accessible (some bytes may have been copied). Not with a core lock held, since the program's
 * page may have to be faulted in; but see file.c, write_direct. */
long user_read(void *dst, const void *user_src, size_t len);
long user_write(void *user_dst, const void *src, size_t len);
/* Copies a NUL-terminated string of at most size bytes, NUL included. Its length without the
 * NUL; -EFAULT; -ENAMETOOLONG when there is no NUL within size bytes. */
long user_read_str(char *dst, const char *user_src, size_t size);

/* A host system call that may block, made on behalf of the running thread. A signal for which
 * the program has a handler ends it with -EINTR, also when the signal arrived just before the
 * call: after a -EINTR, host_signal_pending() is true until the program's call returns. */
long host_block(long nr, long a, long b, long c, long d, long e, long f);
/* Behind a host_block that a poke may end (client_poked): one that came is forgotten. */
void host_poke_over(void);
/* True when a signal with a handler waits for the current program call to return. */
bool host_signal_pending(void);

/* The program takes a piece of address space away: if it is the vdso, the clock is a system call from
 * now on. */
void host_unmaps(u64 addr, u64 len);

/* CLOCK_REALTIME_COARSE and CLOCK_MONOTONIC in nanoseconds, through the vdso: no system call. */
u64 host_realtime_ns(void);
u64 host_monotonic_ns(void);

#endif
