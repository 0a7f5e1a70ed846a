/* SPDX-License-Identifier: MIT */
/* The host's /proc with the numbers that programs see: procfs.c. For the path calls. */
#ifndef HARE_CLIENT_PROCFS_H
#define HARE_CLIENT_PROCFS_H

#include "client/state.h"

/* A path of the host: /proc/N... of a process that the host knows by another number is rewritten
 * into buf (PATH_LEN_MAX; *rewritten). -ENOENT: a number that programs do not see. */
long procfs_path(struct task *t, const char *path, char *buf, bool *rewritten);
/* open of a host path: a descriptor of the host for /proc/N/stat and status in translation, or
 * CLIENT_HOST. *dir: it is /proc itself: procfs_mark its descriptor. */
long procfs_open(struct task *t, const char *user_path, u32 flags, bool *dir);
void procfs_mark(struct task *t, int fd);
/* getdents64 of a host descriptor; CLIENT_HOST when it is not /proc. */
long procfs_getdents(struct task *t, long a[6]);

/* The number by which this core's host knows the program of a pid; the pid itself when that is
 * so, or nobody knows. */
u32 procfs_host_pid(struct task *t, u32 pid);
/* The other way: the pid that programs know. */
u32 procfs_seen_pid(struct task *t, u32 host_pid);

#endif
