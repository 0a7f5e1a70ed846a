/* SPDX-License-Identifier: MIT */
/*
 * The two sides of a copy, see side.h: the host's kernel, and the client library, whose
 * handlers are called in this process with our own memory as the program's.
 */
#include <errno.h>

#include "base/sys.h"
#include "cli/side.h"
#include "client/syscalls.h"

static long host_call(struct side *s, long nr, long a[6])
{
	long r;

	(void)s;
	do
		r = sys_call6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	while (r == -EINTR);
	return r;
}

static long hare_route(struct task *t, long nr, long a[6])
{
	switch (nr) {
#define CALL(name)                                                                       \
	case __NR_##name:                                                                \
		return client_##name(t, a);
		CALL(openat)
		CALL(close)
		CALL(read)
		CALL(write)
		CALL(lseek)
		CALL(ftruncate)
		CALL(fstat)
		CALL(newfstatat)
		CALL(getdents64)
		CALL(mkdirat)
		CALL(mknodat)
		CALL(symlinkat)
		CALL(readlinkat)
		CALL(linkat)
		CALL(unlinkat)
		CALL(fchown)
		CALL(fchownat)
		CALL(fchmod)
		CALL(utimensat)
		CALL(umask)
		CALL(flistxattr)
		CALL(fgetxattr)
		CALL(fsetxattr)
#undef CALL
	default:
		return -ENOSYS;
	}
}

static long hare_call(struct side *s, long nr, long a[6])
{
	long arg[6], r;

	do {
		__builtin_memcpy(arg, a, sizeof(arg));
		r = hare_route(s->task, nr, arg);
	} while (r == -EINTR || r == -HARE_ERESTARTSYS || r == -HARE_ERESTARTNOHAND);
	return r == CLIENT_HOST ? -EXDEV : r;
}

void side_host(struct side *s)
{
	*s = (struct side){ .call = host_call };
}

void side_hare(struct side *s, struct task *t)
{
	*s = (struct side){ .call = hare_call, .task = t };
}
