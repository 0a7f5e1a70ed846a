/* SPDX-License-Identifier: MIT */
/* The host's /proc with the numbers that programs see: procfs.c. For the path calls. */
#ifndef HARE_CLIENT_PROCFS_H
#define HARE_CLIENT_PROCFS_H

#include "client/state.h"

/* A path of the host: /proc/N... of a process that the host knows by another number is rewritten
 * into buf (PATH_LEN_MAX; *rewritten). -ENOENT: a number that programs do not see. */
long procfs_path(struct task *t, const char *path, char *buf, bool *rewritten);
/* open of a host path: a descriptor of the host for /proc/N/stat and status in translation, and
 * for /proc/self/fdinfo/N; or CLIENT_HOST. *dir: it may be a directory of /proc: procfs_mark its
 * descriptor. */
long procfs_open(struct task *t, const char *user_path, u32 flags, bool *dir);
void procfs_mark(struct task *t, int fd);
/* getdents64 of a host descriptor; CLIENT_HOST when it is not /proc. */
long procfs_getdents(struct task *t, long a[6]);

/* procfd.c */
long procfs_fd_getdents(struct task *t,
			long a[6]); /* the same; it is a /proc directory */
long procfs_fdinfo(struct task *t, u32 fd, bool cloexec); /* a descriptor of the host */
/* What descriptor fd (FDS_ONE) or the working directory (FDS_CWD) of process pid is. -ENOENT: none
 * of Hare's, or none of the caller's business. The path of its program; length. */
long procfs_fd(struct task *t, u32 pid, u32 op, u32 fd, struct image_fd *d);
long procfs_exe(struct task *t, u32 pid, char *buf, u32 size);

/* The number by which this core's host knows the program of a pid; the pid itself when that is
 * so, or nobody knows. */
u32 procfs_host_pid(struct task *t, u32 pid);
/* The other way: the pid that programs know. */
u32 procfs_seen_pid(struct task *t, u32 host_pid);

#endif
