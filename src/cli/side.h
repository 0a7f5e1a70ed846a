/* SPDX-License-Identifier: MIT */
/*
 * A side of a copy: the host's file system or Hare's, behind the same system calls. What is
 * copied from one to the other need not know which is which (copy.c).
 *
 * All calls return what the kernel would: a count or 0, or a negative errno. EINTR never. A
 * path that leads out of Hare gives -EXDEV on Hare's side.
 */
#ifndef HARE_CLI_SIDE_H
#define HARE_CLI_SIDE_H

#include <sys/stat.h>

#include "client/client.h"

struct side {
	long (*call)(struct side *s, long nr, long a[6]);
	struct task *task; /* Hare's side: who asks */
	long old_umask;
};

void side_host(struct side *s);
void side_hare(struct side *s, struct task *t);

#define SIDE_CALL_1(s, nr, a)	 (s)->call(s, nr, (long[6]){ (long)(a) })
#define SIDE_CALL_2(s, nr, a, b) (s)->call(s, nr, (long[6]){ (long)(a), (long)(b) })
#define SIDE_CALL_3(s, nr, a, b, c)                                                      \
	(s)->call(s, nr, (long[6]){ (long)(a), (long)(b), (long)(c) })
#define SIDE_CALL_4(s, nr, a, b, c, d)                                                   \
	(s)->call(s, nr, (long[6]){ (long)(a), (long)(b), (long)(c), (long)(d) })
#define SIDE_CALL_5(s, nr, a, b, c, d, e)                                                \
	(s)->call(s, nr,                                                                 \
		  (long[6]){ (long)(a), (long)(b), (long)(c), (long)(d), (long)(e) })
#define SIDE_PICK_(_1, _2, _3, _4, _5, name, ...) name
/* SIDE(s, close, fd) makes the system call close on that side. */
#define SIDE(s, name, ...)                                                               \
	SIDE_PICK_(__VA_ARGS__, SIDE_CALL_5, SIDE_CALL_4, SIDE_CALL_3, SIDE_CALL_2,      \
		   SIDE_CALL_1)                                                          \
	(s, __NR_##name, __VA_ARGS__)

#endif
